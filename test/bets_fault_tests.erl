%% What the operating system refuses: room, permission, descriptors, file lengths, a directory that another VM has. Each time
%% a clear error, nothing half done, and nothing lost afterwards. Of the failures that only a simulated disk can make, the engine's tests
%% take care.
-module(bets_fault_tests).

-include_lib("eunit/include/eunit.hrl").

-export([without_permission/2, until_the_longest_file/2, until_no_descriptor/2, read_without_descriptors/2, from_another_vm/2]).

%% ---------------------------------------------------------------- a full disk

%% With small files the room ends when one is made, with a large one in the midst of it.
full_disk_test_() ->
    [
        {setup, fun() -> mount(2048) end, fun unmount/1, fun
            ({mounted, Disk}) -> {title(Options), {timeout, 60, fun() -> full_disk(Disk, Options) end}};
            ({cannot, Why}) -> skipped(title(Options), Why)
        end}
     || Options <- [
            [{sync, none}], [{sync, always}], [{sync, {interval, 5}}], [{sync, {interval, 5}}, {max_file_size, 16384}],
            [{sync, none}, {max_file_size, 16384}, {cache, false}]
        ]
    ].

title(Options) -> lists:flatten(io_lib:format("full disk, ~p", [Options])).

full_disk(Disk, Options) ->
    Dir = filename:join(Disk, "t"),
    Ballast = [ballast(Disk, Name, KiB) || {Name, KiB} <- [{"1", 64}, {"2", 64}, {"3", 1300}]],
    T = bets:new(t, [{dir, Dir} | Options]),
    E = ets:new(t, []),
    true = both({T, E}, insert, [[{counter, 1, 1} | [{N, 1} || N <- lists:seq(1, 100)]]]),
    fill({T, E}),
    %% Whatever needs room is refused, and changes nothing.
    [
        begin
            {bets, {io, Operation, Path, enospc} = Reason} = refusal(fun() -> apply(bets, Function, [T | Args]) end),
            ?assert(lists:prefix(Dir, Path)),
            ?assert(lists:member(Operation, [write, create, sync])),
            ?assertNotEqual(nomatch, string:find(bets_errors:explain(Reason), "no space left on device"))
        end
     || {Function, Args} <- [
            {insert, [{1, replaced}]}, {insert, [[{1, replaced}, {new, 1}]]}, {insert_new, [{new, 1}]}, {update_counter, [counter, 1]},
            {update_counter, [new, 1, {new, 1}]}, {update_element, [1, {2, replaced}]}, {take, [1]}, {delete, [1]},
            {delete_object, [{counter, 1, 1}]}, {delete_all_objects, []}
        ]
    ],
    same(E, T),
    ?assertNot(bets:insert_new(T, {1, x})),
    ?assertEqual([], bets:take(T, new)),
    %% What was acknowledged has its room, staged or not.
    ?assertEqual(ok, bets:sync(T)),
    same(E, T),
    %% It goes on as soon as there is room, and to the end again.
    ok = file:delete(hd(Ballast)),
    true = both({T, E}, insert, [[{1, replaced}, {new, 1, 1}]]),
    2 = both({T, E}, update_counter, [new, 1]),
    fill({T, E}),
    same(E, T),
    ?assertEqual(ok, bets:close(T)),
    ?assertMatch({badarg, id}, refusal(fun() -> bets:close(T) end)),
    %% An opening needs room: for its own files, and for a copy of what no sync has been told to cover.
    case bets:open(Dir) of
        {error, Refusal} -> ?assertMatch({io, _, _, enospc}, Refusal);
        {ok, Fits} -> bets:close(Fits)
    end,
    [ok = file:delete(File) || File <- tl(Ballast)],
    {ok, Again} = bets:open(Dir, Options),
    same(E, Again),
    true = both({Again, E}, delete, [1]),
    fill({Again, E}),
    same(E, Again),
    ?assertEqual(true, bets:delete(Again)),
    ?assertEqual({error, {no_table, Dir}}, bets:open(Dir)),
    ets:delete(E).

%% Smaller and smaller objects, until there is room for none, also when what the table does in the background has come to rest.
fill(Tabs) ->
    Added = [fill(Tabs, Size, 0) || Size <- [30000, 4000, 500, 50, 1]],
    Deleted = empty(Tabs, 100),
    timer:sleep(30),
    lists:sum([Deleted | Added]) =:= 0 orelse fill(Tabs).

%% The smallest write is the deletion of a short key.
empty({T, _} = Tabs, N) when N > 1 ->
    case bets:member(T, N) of
        false ->
            empty(Tabs, N - 1);
        true ->
            try both(Tabs, delete, [N]) of
                true -> 1 + empty(Tabs, N - 1)
            catch
                error:{bets, {io, _, _, enospc}} -> 0
            end
    end;
empty(_Tabs, _N) ->
    0.

fill(Tabs, Size, N) ->
    try both(Tabs, insert, [{{Size, erlang:unique_integer([positive])}, <<0:(Size * 8)>>}]) of
        true -> fill(Tabs, Size, N + 1)
    catch
        error:{bets, {io, _, _, enospc}} -> N
    end.

ballast(Disk, Name, KiB) ->
    File = filename:join(Disk, Name),
    ok = file:write_file(File, <<0:(KiB * 8192)>>),
    File.

mount(KiB) ->
    Disk = fresh_dir("disk"),
    case os:cmd(lists:flatten(io_lib:format("mount -t tmpfs -o size=~bk,mode=700 bets_tests ~s 2>&1", [KiB, Disk]))) of
        "" -> {mounted, Disk};
        Why -> ok = file:del_dir(Disk), {cannot, Why}
    end.

unmount({mounted, Disk}) ->
    %% Lazily, for a table of a test that failed is still open.
    "" = os:cmd("umount -l " ++ Disk ++ " 2>&1"),
    ok = file:del_dir(Disk);
unmount({cannot, _}) ->
    ok.

%% ---------------------------------------------------------------- permissions

%% Root may do anything, so another user tries.
permissions_test_() ->
    {timeout, 60, fun() ->
        Dir = fresh_dir("permissions"),
        case in_vm(as_nobody(), without_permission, [Dir], fun(Code) -> os:cmd("chmod 777 " ++ Dir), readable_by_all(Code) end) of
            {not_started, Why} -> skipped("permissions", Why);
            Result -> ?assertEqual({ok, done}, Result)
        end,
        file:del_dir_r(Dir)
    end}.

as_nobody() ->
    case os:cmd("id -u") of
        "0\n" -> ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        _ -> []
    end.

without_permission(Reply, Parent) ->
    Dir = filename:join(Parent, "t"),
    T = bets:new(t, [{dir, Dir}]),
    bets:insert(T, Objects = [{N, N} || N <- lists:seq(1, 100)]),
    ok = bets:close(T),
    Manifest = filename:join(Dir, "MANIFEST"),
    [
        begin
            ok = file:change_mode(Path, Mode),
            {error, {io, _, _, eacces} = Reason} = bets:open(Dir),
            true = string:find(bets_errors:explain(Reason), "permission denied") =/= nomatch,
            {badarg, {io, _, _, eacces}} = refusal(fun() -> bets:new(t, [{dir, Dir}]) end),
            ok = file:change_mode(Path, Back),
            {ok, Again} = bets:open(Dir),
            Objects = lists:sort(bets:tab2list(Again)),
            ok = bets:close(Again)
        end
     || {Path, Mode, Back} <- [
            {Dir, 8#500, 8#700}, {Dir, 8#300, 8#700}, {Dir, 8#000, 8#700}, {Manifest, 8#000, 8#600}, {Manifest, 8#200, 8#600},
            {filename:join(Dir, "LOCK"), 8#400, 8#600}
        ]
    ],
    ok = file:change_mode(Dir, 8#500),
    Below = filename:join([Dir, "missing", "t"]),
    {badarg, {io, create, _, eacces}} = refusal(fun() -> bets:new(t, [{dir, Below}]) end),
    {error, {no_table, Below}} = bets:open(Below),
    ok = file:change_mode(Dir, 8#700),
    %% While it is open: what was acknowledged stays, and the close succeeds, for the records need no new file.
    {ok, Open} = bets:open(Dir),
    true = bets:insert(Open, {more, 1}),
    ok = file:change_mode(Dir, 8#500),
    true = bets:insert(Open, {more, 2}),
    ok = bets:close(Open),
    ok = file:change_mode(Dir, 8#700),
    {ok, Last} = bets:open(Dir),
    [{more, 2}] = bets:lookup(Last, more),
    101 = bets:info(Last, size),
    true = bets:delete(Last),
    Reply(done).

missing_parents_are_made_by_new_only_test() ->
    Dir = fresh_dir("parents"),
    Deep = filename:join([Dir, "a", "b", "t"]),
    ?assertEqual({error, {no_table, Deep}}, bets:open(Deep)),
    ?assertEqual({ok, []}, file:list_dir(Dir)),
    T = bets:new(t, [{dir, Deep}]),
    bets:insert(T, {a, 1}),
    bets:close(T),
    {ok, Again} = bets:open(Deep),
    ?assertEqual([{a, 1}], bets:lookup(Again, a)),
    bets:delete(Again),
    file:del_dir_r(Dir).

%% ---------------------------------------------------------------- the longest file

%% The kernel kills a process that writes beyond its limit, unless it looks first. The VM itself may need larger files for its machine
%% code when it starts, so it gets its limit then.
longest_file_test_() ->
    {timeout, 60, fun() ->
        Dir = fresh_dir("fsize"),
        ?assertEqual({ok, [efbig, goes_on]}, in_vm([], until_the_longest_file, [Dir])),
        [
            begin
                {ok, T} = bets:open(filename:join(Dir, Name)),
                ?assertEqual(lists:seq(1, bets:info(T, size)), lists:sort([N || {N, _} <- bets:tab2list(T)])),
                ?assert(bets:info(T, size) >= Least),
                ?assertEqual(true, bets:insert(T, {more, binary:copy(<<0>>, 30000000)})),
                bets:delete(T)
            end
         || {Name, Least} <- [{"one file", 150}, {"small files", 500}]
        ],
        file:del_dir_r(Dir)
    end}.

until_the_longest_file(Reply, Parent) ->
    "" = os:cmd("prlimit --fsize=20000000 --pid " ++ os:getpid() ++ " 2>&1"),
    Value = binary:copy(<<0>>, 100000),
    T = bets:new(t, [{dir, filename:join(Parent, "one file")}]),
    N = insert_until_refused(T, 1, Value),
    true = N > 150,
    {bets, {io, write, _, Posix}} = refusal(fun() -> bets:insert(T, [{N, Value}, {N + 1, Value}]) end),
    {bets, {io, write, _, Posix}} = refusal(fun() -> bets:insert(T, {1, binary:copy(<<0>>, 30000000)}) end),
    N1 = N - 1,
    N1 = bets:info(T, size),
    [{1, Value}] = bets:lookup(T, 1),
    ok = bets:close(T),
    Small = bets:new(t, [{dir, filename:join(Parent, "small files")}, {max_file_size, 5000000}]),
    [true = bets:insert(Small, {I, Value}) || I <- lists:seq(1, 500)],
    ok = bets:close(Small),
    Reply([Posix, goes_on]).

insert_until_refused(T, N, Value) ->
    try bets:insert(T, {N, Value}) of
        true -> insert_until_refused(T, N + 1, Value)
    catch
        error:{bets, _} -> N
    end.

%% ---------------------------------------------------------------- descriptors

no_descriptor_test_() ->
    {timeout, 60, fun() ->
        Dir = fresh_dir("nofile"),
        {ok, Opened} = in_vm(["prlimit", "--nofile=80"], until_no_descriptor, [Dir]),
        ?assert(Opened > 3),
        [
            begin
                {ok, T} = bets:open(filename:join(Dir, integer_to_list(N))),
                ?assertEqual([{N, before}, {more, N}], lists:sort(bets:tab2list(T))),
                bets:delete(T)
            end
         || N <- lists:seq(1, Opened)
        ],
        file:del_dir_r(Dir)
    end}.

until_no_descriptor(Reply, Dir) ->
    Name = fun(N) -> filename:join(Dir, integer_to_list(N)) end,
    Tables = open_until_refused(Name, 1),
    Refused = length(Tables) + 1,
    {badarg, {io, _, _, emfile} = Reason} = refusal(fun() -> bets:new(t, [{dir, Name(Refused)}]) end),
    true = string:find(bets_errors:explain(Reason), "too many open files") =/= nomatch,
    %% Those that are open go on.
    [true = bets:insert(T, {more, N}) || {N, T} <- Tables],
    [[{N, before}] = bets:lookup(T, N) || {N, T} <- Tables],
    [ok = bets:close(T) || {_, T} <- Tables],
    %% The one that was refused is not held by what was left of the attempt.
    T = bets:new(t, [{dir, Name(Refused)}]),
    true = bets:delete(T),
    Reply(length(Tables)).

open_until_refused(Name, N) ->
    try bets:new(t, [{dir, Name(N)}]) of
        T -> bets:insert(T, {N, before}), [{N, T} | open_until_refused(Name, N + 1)]
    catch
        error:badarg -> []
    end.

%% An object whose file cannot be opened is not "not there".
cold_reads_without_descriptors_test_() ->
    {timeout, 60, fun() ->
        Dir = fresh_dir("cold"),
        T = bets:new(t, [{dir, Dir}, {max_file_size, 4096}]),
        [bets:insert(T, {N, binary:copy(<<N>>, 1000)}) || N <- lists:seq(1, 120)],
        bets:close(T),
        {ok, {Read, Refused}} = in_vm(["prlimit", "--nofile=80"], read_without_descriptors, [Dir]),
        ?assertEqual(120, Read + Refused),
        ?assert(Refused > 0),
        {ok, Again} = bets:open(Dir),
        bets:delete(Again),
        file:del_dir_r(Dir)
    end}.

read_without_descriptors(Reply, Dir) ->
    {ok, T} = bets:open(Dir, [{cache, false}]),
    Files = files(),
    Answers = [
        try bets:lookup(T, N) of
            [{N, <<N, _/binary>>}] -> read
        catch
            error:{bets, {io, open, _, emfile}} -> refused
        end
     || N <- lists:seq(1, 120)
    ],
    [file:close(File) || File <- Files],
    [[{N, _}] = bets:lookup(T, N) || N <- lists:seq(1, 120)],
    ok = bets:close(T),
    Reply({length([A || A <- Answers, A =:= read]), length([A || A <- Answers, A =:= refused])}).

%% All descriptors that are left.
files() ->
    case file:open("/dev/null", [raw, read]) of
        {ok, File} -> [File | files()];
        {error, emfile} -> []
    end.

%% ---------------------------------------------------------------- another VM

%% It cannot open the table, nor does its attempt disturb the one that has it.
another_vm_test_() ->
    {timeout, 60, fun() ->
        Dir = fresh_dir("locked"),
        %% No sync changes a file meanwhile.
        T = bets:new(t, [{dir, Dir}, {sync, none}]),
        bets:insert(T, {a, 1}),
        Before = files_of(Dir),
        OsPid = list_to_integer(os:getpid()),
        Words = Dir ++ " is in use by OS process " ++ os:getpid(),
        ?assertEqual({ok, {{error, {locked, Dir, OsPid}}, {badarg, {locked, Dir, OsPid}}, Words}}, in_vm([], from_another_vm, [Dir])),
        ?assertEqual(Before, files_of(Dir)),
        ?assertEqual(true, bets:insert(T, {b, 2})),
        ?assertEqual(ok, bets:close(T)),
        {ok, Again} = bets:open(Dir),
        ?assertEqual([{a, 1}, {b, 2}], lists:sort(bets:tab2list(Again))),
        bets:delete(Again)
    end}.

from_another_vm(Reply, Dir) ->
    New = refusal(fun() -> bets:new(t, [{dir, Dir}]) end),
    {error, Reason} = Open = bets:open(Dir),
    Reply({Open, New, bets_errors:explain(Reason)}).

files_of(Dir) ->
    {ok, Names} = file:list_dir(Dir),
    lists:sort([{Name, file:read_file(filename:join(Dir, Name))} || Name <- Names]).

%% ---------------------------------------------------------------- helpers

%% The reason of an error, with its cause if it has one for the shell.
refusal(Fun) ->
    try Fun() of
        Result -> {no_refusal, Result}
    catch
        error:badarg:Stack -> {badarg, bets_diff_run:cause(Stack)};
        error:Reason -> Reason
    end.

%% Makes a call on a table of bets, and if that succeeds on the table of ets beside it.
both({T, E}, Function, Args) ->
    Result = apply(bets, Function, [T | Args]),
    Result = apply(ets, Function, [E | Args]).

same(E, T) ->
    ?assertEqual(lists:sort(ets:tab2list(E)), lists:sort(bets:tab2list(T))),
    ?assertEqual(ets:info(E, size), bets:info(T, size)),
    [?assertEqual(ets:lookup(E, Key), bets:lookup(T, Key)) || Key <- [missing | [element(1, Object) || Object <- ets:tab2list(E)]]].

skipped(What, Why) ->
    io:format(user, "SKIPPED: ~s: ~ts~n", [What, string:trim(Why)]),
    [].

in_vm(Command, Function, Args) ->
    in_vm(Command, Function, Args, fun(Code) -> Code end).

%% Runs a function of this module in a VM that is started by a command. The code is a copy, which `Prepare' may open to other users.
in_vm(Command, Function, Args, Prepare) ->
    Code = fresh_dir("code"),
    Lib = code:lib_dir(bets),
    Tests = filename:dirname(code:which(?MODULE)),
    ok = file:make_dir(filename:join(Code, "tests")),
    [
        "" = os:cmd(lists:flatten(io_lib:format("cp -rL '~ts' '~ts' 2>&1", [From, filename:join(Code, To)])))
     || {From, To} <- [{filename:join(Lib, "ebin"), "."}, {filename:join(Lib, "priv"), "."}, {Tests, "tests"}]
    ],
    Prepare(Code),
    Paths = [filename:join(Code, "ebin"), filename:join([Code, "tests", filename:basename(Tests)])],
    try
        Vm = bets_diff_vm:start_under(Command, ["-pa" | Paths]),
        case bets_diff_vm:call(Vm, ?MODULE, Function, Args) of
            {exit, Status} ->
                {not_started, io_lib:format("~s ended with status ~w", [hd(Command ++ ["erl"]), Status])};
            Answer ->
                bets_diff_vm:stop(Vm),
                Answer
        end
    after
        file:del_dir_r(Code)
    end.

readable_by_all(Code) ->
    "" = os:cmd("chmod -R a+rX " ++ Code ++ " 2>&1").

fresh_dir(Name) ->
    Unique = integer_to_list(erlang:unique_integer([positive])),
    Dir = filename:join("/tmp", "bets_fault_tests_" ++ os:getpid() ++ "_" ++ Unique ++ "_" ++ Name),
    ok = file:make_dir(Dir),
    Dir.
