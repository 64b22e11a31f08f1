%% bin/demo, seen from outside: two VMs, one after the other, and what they report.
%%
%%   demo_main      starts the two VMs and draws their progress
%%   demo_child     what happens inside each of them, in order
%%   demo_beams     reads .beam files: exports and calls
%%   demo_index     writes what was read into tables, with several processes
%%   demo_tables    the tables, the same in bets and in ets
%%   demo_check     compares tables object by object
%%   demo_ask       the questions
%%   demo_measure   inserts and lookups a second, beside ets and dets
%%   demo_bar       the progress bar
%%
%% A child talks to its parent by lines on its standard output: those that begin with `@' are for the parent
%% (`@total N', `@done MODULE'), everything else is for the person who watches.
-module(demo_main).

-export([main/0]).

-record(child, {port, bar, total = 0, done = []}).

%% 128 + SIGKILL, as shells and ports report it.
-define(KILLED, 137).

%% Entry for `erl -s demo_main main -extra ARGS'. Exits with 1 if anything is not as it should be.
-spec main() -> no_return().
main() ->
    case demo_args() of
        {ok, Options} ->
            halt(run(Options));
        {error, Arg} ->
            io:format(standard_error, "usage: bin/demo [--short] [--keep DIR]~n(I do not understand ~ts)~n", [Arg]),
            halt(2)
    end.

demo_args() ->
    demo_args(init:get_plain_arguments(), #{short => false, tty => false, keep => false, dir => none}).

demo_args([], Options) -> {ok, Options};
demo_args(["--short" | T], Options) -> demo_args(T, Options#{short := true});
demo_args(["--tty" | T], Options) -> demo_args(T, Options#{tty := true});
demo_args(["--dir", Dir | T], Options) -> demo_args(T, Options#{dir := Dir});
demo_args(["--keep", Dir | T], Options) -> demo_args(T, Options#{dir := filename:absname(Dir), keep := true});
demo_args([Arg | _], _) -> {error, Arg}.

run(#{dir := Dir, keep := Keep} = Options) ->
    case empty(Dir, Keep) of
        ok ->
            Status = first_vm(Options),
            Keep orelse file:del_dir_r(Dir),
            Status =:= 0 andalso Keep andalso say_kept(Dir),
            Status;
        {error, Why} ->
            io:format("~ts ~ts~n", [Dir, Why]),
            1
    end.

%% A directory that somebody named is theirs: only an empty one, or none, is used.
empty(Dir, false) ->
    _ = file:del_dir_r(Dir),
    filelib:ensure_dir(filename:join(Dir, "x"));
empty(Dir, true) ->
    case file:list_dir(Dir) of
        {ok, [_ | _]} -> {error, "is not empty"};
        _ -> filelib:ensure_dir(filename:join(Dir, "x"))
    end.

first_vm(Options) ->
    io:format("~nIndexing the installed OTP into bets tables, with 4 processes.~n"),
    {Status, #child{total = Total, done = Done}} = child("first", Options, []),
    case Status of
        ?KILLED when Done =/= [], length(Done) < Total ->
            io:format("The VM has killed itself (SIGKILL), while 4 processes were writing.~n"),
            io:format("It had reported ~b modules as written.~n~n", [length(Done)]),
            second_vm(Options, Done);
        _ ->
            io:format("The first VM should have died by SIGKILL (status ~b) in mid-work, but ended with status ~b "
                      "after ~b of ~b modules.~n", [?KILLED, Status, length(Done), Total]),
            1
    end.

second_vm(#{dir := Dir} = Options, Done) ->
    DoneFile = filename:join(Dir, "done.terms"),
    ok = file:write_file(DoneFile, io_lib:format("~0tp.~n", [Done])),
    {Status, _} = child("second", Options, [DoneFile]),
    _ = file:delete(DoneFile),
    case Status of
        0 -> 0;
        _ -> 1
    end.

child(Which, #{dir := Dir, short := Short, tty := Tty}, More) ->
    Paths = lists:append([["-pa", Path] || {pa, Values} <- init:get_arguments(), Path <- Values]),
    Args = ["-noinput", "-s", "demo_child", "main", "-extra", Which, Dir, atom_to_list(Short) | More],
    Port = open_port(
        {spawn_executable, os:find_executable("erl")},
        [{args, Paths ++ Args}, exit_status, binary, {line, 4096}, hide]
    ),
    follow(#child{port = Port, bar = demo_bar:new(Tty)}).

follow(#child{port = Port, bar = Bar} = Child) ->
    receive
        {Port, {data, {_, <<"@total ", N/binary>>}}} ->
            Total = binary_to_integer(N),
            follow(Child#child{bar = demo_bar:total(Total, Bar), total = Total});
        {Port, {data, {_, <<"@done ", Module/binary>>}}} ->
            follow(Child#child{bar = demo_bar:step(Bar), done = [Module | Child#child.done]});
        {Port, {data, {_, Line}}} ->
            io:format("~ts~n", [Line]),
            follow(Child);
        {Port, {exit_status, Status}} ->
            demo_bar:stop(Bar),
            {Status, Child}
    end.

say_kept(Dir) ->
    io:format("~nThe tables are kept. In `rebar3 shell':~n~n"),
    io:format("  {ok, Callers} = bets:open(\"~ts\").~n", [demo_tables:dir(callers, Dir)]),
    io:format("  bets:lookup(Callers, {lists, keyfind, 3}).~n").
