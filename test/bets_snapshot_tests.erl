%% `{access, read}': a table that is read while another VM writes to it.
-module(bets_snapshot_tests).

-export([write_until_killed/2, hold/1]).

-include_lib("eunit/include/eunit.hrl").

-define(PAIRS, 40).

%% The writer numbers its steps. Step N puts N under one of the counters, and a list under both halves of a pair; files are small and merged all the time.
write_until_killed(Dir, Sync) ->
    Options = [{dir, Dir}, public, {max_file_size, 64 bsl 10}, {sync, Sync}],
    T = bets:new(written, Options),
    Begin = 1 + lists:max([0 | [N || {counter, N} <- bets:lookup(T, counter)]]),
    spawn(fun() -> merge(T) end),
    write(T, Begin).

write(T, N) ->
    Pair = N rem ?PAIRS,
    true = bets:insert(T, [{{left, Pair}, N, binary:copy(<<N:32>>, N rem 200)}, {{right, Pair}, N}]),
    N = bets:update_counter(T, counter, {2, 1}, {counter, N - 1}),
    N rem 1000 =:= 0 andalso bets:delete(T, {left, Pair}) andalso bets:delete(T, {right, Pair}),
    _ = [io:format("~b~n", [N]) || N rem 500 =:= 0],
    write(T, N + 1).

merge(T) ->
    _ = bets:merge(T),
    merge(T).

readers_beside_a_writer_under_load_test_() ->
    [{lists:flatten(io_lib:format("sync ~w", [Sync])), {timeout, 120, fun() -> with_dir(fun(Dir) -> readers(Dir, Sync) end) end}}
     || Sync <- [{interval, 20}, none]].

readers(Dir, Sync) ->
    Writer = start(write_until_killed, [Dir, Sync]),
    Seen = acknowledged(Writer, 0),
    Descriptors = descriptors(),
    End = erlang:monotonic_time(millisecond) + 2000,
    Last = read_until({20, End}, Dir, Writer, Seen),
    %% What is held when the writer dies stays, also for the next one, which merges it away.
    {ok, Held} = bets:open(Dir, [{access, read}]),
    Before = lists:sort(bets:tab2list(Held)),
    kill(Writer),
    Later = read_until({1, erlang:monotonic_time(millisecond)}, Dir, Writer, Last),
    Next = start(write_until_killed, [Dir, Sync]),
    _ = read_until({1, erlang:monotonic_time(millisecond) + 500}, Dir, Next, max(Later, acknowledged(Next, Later))),
    ?assertEqual(Before, lists:sort(bets:tab2list(Held))),
    kill(Next),
    true = bets:close(Held) =:= ok,
    ?assert(descriptors() =< Descriptors + 2),
    %% With the last snapshot its files go.
    {ok, T} = bets:open(Dir),
    _ = bets:merge(T),
    Live = bets:info(T, disk_bytes),
    ok = bets:close(T),
    ?assert(lists:sum([filelib:file_size(File) || File <- filelib:wildcard(filename:join(Dir, "*.seg"))]) =< Live + (1 bsl 20)).

%% Opens and reads so many times at least, for the rate is the machine's, and up to this moment.
read_until({AtLeast, End}, Dir, Writer, Seen) ->
    {ok, T} = bets:open(Dir, [{access, read}]),
    Last = check(T, Seen),
    ?assert(descriptors() < 200),
    ok = bets:close(T),
    case AtLeast > 1 orelse erlang:monotonic_time(millisecond) < End of
        true -> read_until({AtLeast - 1, End}, Dir, Writer, max(Last, acknowledged(Writer, Last)));
        false -> Last
    end.

%% Lists are whole, counters go on, and everything that was acknowledged is there.
check(T, Seen) ->
    [{counter, N}] = bets:lookup(T, counter),
    ?assert(N >= Seen),
    Objects = bets:tab2list(T),
    Left = lists:sort([{Pair, M} || {{left, Pair}, M, _} <- Objects]),
    Right = lists:sort([{Pair, M} || {{right, Pair}, M} <- Objects]),
    %% The pair that is deleted goes in two steps.
    ?assert(length((Left -- Right) ++ (Right -- Left)) =< 1),
    ?assertEqual([], [Pair || {Pair, M} <- Right, M > N + 1]),
    [?assertEqual(binary:copy(<<M:32>>, M rem 200), Bytes) || {{left, _}, M, Bytes} <- Objects],
    ?assertEqual(length(Objects), bets:info(T, size)),
    ?assertEqual(Objects, bets:tab2list(T)),
    N.

a_reader_that_is_killed_holds_nothing_test_() ->
    {timeout, 180, fun() ->
        with_dir(fun(Dir) ->
            T = bets:new(t, [{dir, Dir}, {max_file_size, 4096}]),
            [bets:insert(T, {N, binary:copy(<<N>>, 100)}) || N <- lists:seq(1, 200)],
            Reader = start(hold, [Dir]),
            _ = acknowledged(Reader, 0),
            bets:delete_all_objects(T),
            bets:merge(T),
            Many = length(filelib:wildcard(filename:join(Dir, "*.seg"))),
            ?assert(Many > 5),
            kill(Reader),
            await(fun() -> length(filelib:wildcard(filename:join(Dir, "*.seg"))) =< 3 end, 600),
            bets:close(T)
        end)
    end}.

hold(Dir) ->
    {ok, T} = bets:open(Dir, [{access, read}]),
    200 = bets:info(T, size),
    io:format("1~n"),
    receive never -> ok end.

a_snapshot_in_the_same_vm_test() ->
    with_dir(fun(Dir) ->
        T = bets:new(t, [{dir, Dir}, public]),
        bets:insert(T, {a, 1}),
        {ok, S} = bets:open(Dir, [{access, read}]),
        Named = bets:new(snapshot, [{dir, Dir}, named_table, {access, read}]),
        ?assertEqual({write, read, read}, {bets:info(T, access), bets:info(S, access), bets:info(Named, access)}),
        ?assertEqual(t, bets:info(S, name)),
        bets:insert(T, {b, 2}),
        ?assertEqual([{a, 1}], bets:tab2list(S)),
        ?assertEqual([{a, 1}], bets:tab2list(snapshot)),
        refuses(S),
        ?assertEqual([{a, 1}], bets:tab2list(S)),
        ?assertEqual([{b, 2}], bets:lookup(T, b)),
        ok = bets:close(S),
        ok = bets:close(Named),
        ?assertEqual({error, already_open}, bets:open(Dir)),
        ok = bets:close(T)
    end).

few_files_are_open_however_many_there_are_test_() ->
    {timeout, 60, fun() -> with_dir(fun few_files_are_open/1) end}.

few_files_are_open(Dir) ->
    T = bets:new(t, [{dir, Dir}, {max_file_size, 4096}, {merge_window, never}]),
    [bets:insert(T, {N, binary:copy(<<N:32>>, 100)}) || N <- lists:seq(1, 500)],
    ?assert(bets:info(T, segments) > 40),
    Before = descriptors(),
    {ok, S} = bets:open(Dir, [{access, read}, {cache, false}]),
    ?assertEqual([], [N || N <- lists:seq(1, 500), bets:lookup(S, N) =/= [{N, binary:copy(<<N:32>>, 100)}]]),
    ?assert(descriptors() =< Before + 12),
    ok = bets:close(S),
    ok = bets:close(T).

%% The exception is that of a protected table, from the owner too; the words say why.
refuses(S) ->
    Calls = [
        {insert, [S, {b, 1}]}, {insert_new, [S, {b, 1}]}, {insert_new, [S, {a, 1}]}, {delete, [S, nothing]}, {delete, [S]}, {take, [S, a]}, {delete_object, [S, {b, 1}]},
        {delete_all_objects, [S]}, {update_counter, [S, a, 1]}, {update_element, [S, a, {2, 1}]}, {select_delete, [S, [{'_', [], [true]}]]},
        {match_delete, [S, '_']}, {select_replace, [S, [{'$1', [], ['$1']}]]}, {rename, [S, other]}, {merge, [S]}, {backup, [S, "/nowhere"]},
        {batch, [S, [{put, {b, 1}}]]}, {init_table, [S, fun(_) -> end_of_input end]}
    ],
    lists:foreach(
        fun({Function, Args}) ->
            try apply(bets, Function, Args) of
                Result -> ?assertEqual({refused, Function}, {Result, Function})
            catch
                error:badarg:Stack ->
                    ?assertMatch([{bets, Function, Args, _} | _], Stack),
                    Words = bets_errors:format_error(badarg, Stack),
                    ?assertMatch({Function, #{1 := "the table is a snapshot, opened with {access, read}" ++ _}, 1}, {Function, Words, map_size(Words)})
            end
        end,
        Calls
    ),
    ok = bets:sync(S),
    true = bets:give_away(S, spawn_link(fun() -> receive {'ETS-TRANSFER', T, Owner, _} -> bets:give_away(T, Owner, back); _ -> ok end end), x),
    receive {'ETS-TRANSFER', S, _, back} -> ok after 60000 -> error(timeout) end.

what_is_only_read_must_be_there_test() ->
    with_dir(fun(Dir) ->
        ?assertEqual({error, {no_table, Dir}}, bets:open(Dir, [{access, read}])),
        ?assertError(badarg, bets:new(t, [{dir, Dir}, {access, read}])),
        ?assertError(badarg, bets:new(t, [{access, read}])),
        ?assertError(badarg, bets:open(Dir, [{access, read}, {repair, true}])),
        ?assertError(badarg, bets:open(Dir, [{access, write}])),
        ?assertEqual(false, filelib:is_dir(Dir)),
        ok = bets:close(bets:new(t, [{dir, Dir}, bag])),
        ?assertEqual({error, {type_mismatch, bag, ordered_set}}, bets:open(Dir, [{access, read}, ordered_set])),
        {ok, S} = bets:open(Dir, [{access, read}]),
        {ok, T} = bets:open(Dir),
        true = bets:delete(T),
        ?assertEqual([], bets:tab2list(S)),
        ok = bets:close(S)
    end).

%% ---------------------------------------------------------------- VMs

start(Function, Args) ->
    Erl = filename:join([code:root_dir(), "bin", "erl"]),
    Eval = lists:flatten(io_lib:format("apply(~w, ~w, ~w), halt().", [?MODULE, Function, Args])),
    Paths = lists:append([["-pa", Path] || Path <- code:get_path(), filelib:is_dir(Path), lists:prefix(filename:absname(""), filename:absname(Path))]),
    open_port({spawn_executable, Erl}, [{args, ["-noinput" | Paths] ++ ["-eval", Eval]}, {line, 100}, exit_status, stderr_to_stdout]).

kill(Port) ->
    {os_pid, Pid} = erlang:port_info(Port, os_pid),
    _ = os:cmd("kill -9 " ++ integer_to_list(Pid)),
    receive {Port, {exit_status, _}} -> ok after 60000 -> error(not_killed) end.

%% The highest number that the VM has told; waits for one if none is known.
acknowledged(Port, Known) ->
    Wait = case Known of 0 -> 60000; _ -> 0 end,
    receive
        {Port, {data, {eol, Line}}} ->
            try list_to_integer(Line) of
                N -> acknowledged(Port, max(N, Known))
            catch
                error:badarg -> error({other_vm, Line})
            end
    after Wait ->
        Known > 0 orelse error(silent),
        Known
    end.

await(Fun, Times) ->
    case Fun() of
        true -> ok;
        false when Times > 0 -> timer:sleep(100), await(Fun, Times - 1)
    end.

descriptors() ->
    {ok, Names} = file:list_dir_all("/proc/self/fd"),
    length(Names).

with_dir(Fun) ->
    Dir = filename:join(bets_dir_tmp(), "bets-snapshot-" ++ os:getpid() ++ "-" ++ integer_to_list(erlang:unique_integer([positive]))),
    try
        Fun(Dir)
    after
        _ = file:del_dir_r(Dir)
    end.

bets_dir_tmp() ->
    os:getenv("TMPDIR", "/tmp").
