%% The files of a table, from outside: how much room they take, and getting them out of the page cache.
-module(bench_files).

-export([bytes/1, evict/1, peak/2]).

%% Space taken, not length: a preallocated file counts whole, a sparse one only where it has blocks.
-spec bytes(file:filename()) -> non_neg_integer().
bytes(Dir) ->
    case string:lexemes(os:cmd("du -s --block-size=1 -- " ++ quoted(Dir) ++ " 2>/dev/null"), "\t ") of
        [Bytes | _] -> list_to_integer(Bytes);
        [] -> 0
    end.

%% Writes out the files below a directory and has the kernel forget their pages (posix_fadvise, which is what dd's flag `nocache' asks
%% for). That needs no rights, and leaves the caches of all other programs alone.
-spec evict(file:filename()) -> ok.
evict(Dir) ->
    _ = os:cmd("find " ++ quoted(Dir) ++ " -type f -exec sync -- {} + -exec sh -c 'for f; do dd if=\"$f\" iflag=nocache count=0; done' - {} + 2>/dev/null"),
    ok.

%% Runs a function, and gives its result with the highest use of space meanwhile, looked at 20 times a second.
-spec peak(file:filename(), fun(() -> Result)) -> {Result, Bytes :: non_neg_integer()}.
peak(Dir, Fun) ->
    Self = self(),
    Watcher = spawn_link(fun() -> watch(Dir, Self, bytes(Dir)) end),
    Result = Fun(),
    Watcher ! stop,
    receive
        {Watcher, Bytes} -> {Result, max(Bytes, bytes(Dir))}
    end.

watch(Dir, Parent, Highest) ->
    receive
        stop -> Parent ! {self(), Highest}
    after 50 ->
        watch(Dir, Parent, max(Highest, bytes(Dir)))
    end.

quoted(Path) ->
    "'" ++ lists:flatten(string:replace(Path, "'", "'\\''", all)) ++ "'".
