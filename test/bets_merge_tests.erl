%% Merging as Erlang callers see it. What a merge does to files and objects is tested in the engine.
-module(bets_merge_tests).

-include_lib("eunit/include/eunit.hrl").

-define(MERGES, [{merge_window, never}]).

dir() ->
    Name = io_lib:format("bets_merge_~s_~w", [os:getpid(), erlang:unique_integer([positive])]),
    filename:join(os:getenv("TMPDIR", "/tmp"), lists:flatten(Name)).

with_table(Options, Fun) ->
    Dir = dir(),
    T = bets:new(t, [public, {dir, Dir} | Options]),
    try
        Fun(T, Dir)
    after
        catch bets:delete(T)
    end.

fill(T, N) ->
    [bets:insert(T, {K, binary:copy(<<K:32>>, 25)}) || K <- lists:seq(1, N)].

a_merge_gives_the_space_back_and_changes_nothing_test_() ->
    {timeout, 60, fun() ->
        [
            with_table([Type, {max_file_size, 100000} | ?MERGES], fun(T, Dir) ->
                fill(T, 5000),
                [bets:delete(T, K) || K <- lists:seq(1, 4500)],
                Before = lists:sort(bets:tab2list(T)),
                Disk = bets:info(T, disk_bytes),
                Report = bets:merge(T),
                ?assertMatch(#{damaged := [], kept := 0}, Report),
                ?assertEqual(Before, lists:sort(bets:tab2list(T))),
                ?assert(bets:info(T, disk_bytes) < Disk div 5),
                ?assertEqual(length(maps:get(outputs, Report)), length(bets:info(T, segment_stats))),
                ?assertMatch([#{dead_bytes := 0, kept_bytes := 0} | _], bets:info(T, segment_stats)),
                ?assertMatch(#{state := idle, history := [Report]}, bets:info(T, merge)),
                ?assertMatch(#{inputs := [], copied := 0}, bets:merge(T)),
                bets:close(T),
                {ok, T2} = bets:open(Dir),
                ?assertEqual(Before, lists:sort(bets:tab2list(T2))),
                bets:delete(T2)
            end)
         || Type <- [set, ordered_set, bag, duplicate_bag]
        ]
    end}.

a_merge_that_is_due_comes_by_itself_test_() ->
    {timeout, 30, fun() ->
        with_table([{max_file_size, 100000}], fun(T, _Dir) ->
            bets:merge(T, subscribe),
            Id = bets:info(T, id),
            %% A look at all tables in the midst of the writes would begin it too early.
            bets:merge(T, pause),
            fill(T, 3000),
            fill(T, 3000),
            bets:merge(T, resume),
            %% The next look at all tables.
            bets_merger ! poll,
            receive {bets, merge, Id, start, #{}} -> ok end,
            receive {bets, merge, Id, progress, #{phase := copy, done := D, total := Total}} when D =< Total -> ok end,
            receive {bets, merge, Id, stop, #{report := #{dropped := Dropped}}} -> ?assert(Dropped >= 2000) end,
            ?assertEqual(true, bets:merge(T, unsubscribe)),
            ?assertEqual(3000, bets:info(T, size))
        end)
    end}.

outside_of_its_window_none_begins_test_() ->
    {timeout, 60, fun() ->
        {_, {Hour, _, _}} = calendar:local_time(),
        Later = (Hour + 2) rem 24,
        [
            with_table([{max_file_size, 100000}, {merge_window, Window}], fun(T, _Dir) ->
                %% What is merged meanwhile is due no more.
                bets:merge(T, pause),
                fill(T, 3000),
                fill(T, 3000),
                Due = lists:member(bets:info(T, id), bets_nif:merge_due(Hour)),
                ?assertEqual({Window, IsIn}, {Window, Due})
            end)
         || {Window, IsIn} <- [
                {always, true},
                {never, false},
                {{Later, Later}, false},
                {{Hour, Hour}, true},
                {{(Hour + 23) rem 24, (Hour + 1) rem 24}, true},
                {{(Hour + 1) rem 24, (Hour + 23) rem 24}, false}
            ]
        ]
    end}.

%% A soak of openings found tables that were never open for long enough to be merged with thousands of files.
openings_merge_what_they_leave_behind_test_() ->
    {timeout, 60, fun() ->
        [
            begin
                Dir = dir(),
                Cycle = fun(N) ->
                    {ok, T} = bets:open(Dir, [{merge_window, Window}]),
                    true = bets:insert(T, {N, N}),
                    ok = bets:close(T)
                end,
                ok = bets:close(bets:new(t, [{dir, Dir}])),
                [Cycle(N) || N <- lists:seq(1, 90)],
                {ok, T} = bets:open(Dir, [{merge_window, Window}]),
                ?assertEqual([{N, N} || N <- lists:seq(1, 90)], lists:sort(bets:tab2list(T))),
                ?assertEqual({Window, IsCrowded}, {Window, length(bets:info(T, segment_stats)) >= 90}),
                true = bets:delete(T)
            end
         || {Window, IsCrowded} <- [{never, true}, {always, false}, {{0, 0}, false}]
        ]
    end}.

merges_are_paused_resumed_and_cancelled_test_() ->
    {timeout, 30, fun() ->
        with_table([{max_file_size, 100000} | ?MERGES], fun(T, _Dir) ->
            fill(T, 3000),
            fill(T, 3000),
            ?assertEqual(false, bets:merge(T, cancel)),
            ?assertEqual(false, bets:merge(T, resume)),
            ?assertEqual(true, bets:merge(T, pause)),
            ?assertMatch(#{state := paused}, bets:info(T, merge)),
            Self = self(),
            spawn_link(fun() -> Self ! {merged, bets:merge(T)} end),
            receive {merged, _} -> error(not_paused) after 200 -> ok end,
            ?assertEqual(true, bets:merge(T, resume)),
            receive {merged, #{dropped := 3000}} -> ok end,
            ?assertMatch(#{state := idle, history := [_]}, bets:info(T, merge))
        end)
    end}.

a_merge_keeps_to_its_rate_and_makes_way_while_it_is_paused_test_() ->
    {timeout, 30, fun() ->
        with_table([{merge_rate, 1000} | ?MERGES], fun(T, _Dir) ->
            fill(T, 3000),
            fill(T, 3000),
            bets:merge(T, subscribe),
            Id = bets:info(T, id),
            {_, Monitor} = spawn_monitor(fun() -> bets:merge(T) end),
            receive {bets, merge, Id, progress, #{done := Read1}} when Read1 > 0 -> ok end,
            %% A step of this merge is followed by a pause of minutes, whatever else the process is told.
            [bets_merger ! poll || _ <- lists:seq(1, 20)],
            receive {bets, merge, Id, progress, #{done := Again}} when Again > 0 -> error(too_fast) after 300 -> ok end,
            bets:merge(T, pause),
            ?assertMatch(#{state := paused, phase := _}, bets:info(T, merge)),
            with_table(?MERGES, fun(Other, _) ->
                fill(Other, 10),
                fill(Other, 10),
                ?assertMatch(#{dropped := 10}, bets:merge(Other))
            end),
            bets:merge(T, resume),
            %% It is carried on where it was.
            receive {bets, merge, Id, progress, #{done := Done}} when Done > Read1 -> ok end,
            ?assertMatch(#{state := running}, bets:info(T, merge)),
            bets:merge(T, pause),
            ?assertEqual(true, bets:merge(T, cancel)),
            receive {'DOWN', Monitor, process, _, {{bets, merge_cancelled}, _}} -> ok end
        end)
    end}.

merges_that_keep_to_a_rate_hold_up_no_other_test_() ->
    {timeout, 30, fun() ->
        Slow = [{merge_rate, 1000} | ?MERGES],
        with_table(Slow, fun(T, _) ->
            with_table(Slow, fun(T2, _) ->
                Begun = [
                    begin
                        fill(Tab, 3000),
                        fill(Tab, 3000),
                        bets:merge(Tab, subscribe),
                        Id = bets:info(Tab, id),
                        {_, Monitor} = spawn_monitor(fun() -> bets:merge(Tab) end),
                        receive {bets, merge, Id, progress, #{done := Read}} when Read > 0 -> ok end,
                        {Tab, Monitor}
                    end
                 || Tab <- [T, T2]
                ],
                with_table(?MERGES, fun(Other, _) ->
                    fill(Other, 10),
                    fill(Other, 10),
                    ?assertMatch(#{dropped := 10}, bets:merge(Other))
                end),
                [?assertMatch(#{state := running, phase := copy}, bets:info(Tab, merge)) || {Tab, _} <- Begun],
                [?assertEqual(true, bets:merge(Tab, cancel)) || {Tab, _} <- Begun],
                [receive {'DOWN', Monitor, process, _, {{bets, merge_cancelled}, _}} -> ok end || {_, Monitor} <- Begun]
            end)
        end)
    end}.

a_slow_merge_can_be_cancelled_and_outlives_its_caller_test_() ->
    {timeout, 30, fun() ->
        %% A step of this one is followed by a long pause.
        with_table([{merge_rate, 1000} | ?MERGES], fun(T, _Dir) ->
            fill(T, 3000),
            fill(T, 3000),
            bets:merge(T, subscribe),
            Id = bets:info(T, id),
            {Pid, Monitor} = spawn_monitor(fun() -> bets:merge(T) end),
            receive {bets, merge, Id, progress, #{done := Read}} when Read > 0 -> ok end,
            ?assertMatch(#{state := running, phase := copy, total := _}, bets:info(T, merge)),
            ?assertEqual(true, bets:merge(T, cancel)),
            receive {'DOWN', Monitor, process, Pid, {{bets, merge_cancelled}, _}} -> ok end,
            receive {bets, merge, Id, failure, #{reason := {bets, merge_cancelled}}} -> ok end,
            ?assertEqual(3000, bets:info(T, size)),
            %% A table may be closed in the midst of one.
            {Pid2, Monitor2} = spawn_monitor(fun() -> bets:merge(T) end),
            receive {bets, merge, Id, progress, #{done := Read2}} when Read2 > 0 -> ok end,
            bets:close(T),
            exit(Pid2, kill),
            receive {'DOWN', Monitor2, process, Pid2, killed} -> ok end,
            bets_merger ! poll,
            ?assertEqual(undefined, bets:info(T))
        end)
    end}.

a_merge_that_its_process_left_is_carried_on_test_() ->
    {timeout, 30, fun() ->
        with_table([{merge_rate, 1000} | ?MERGES], fun(T, _Dir) ->
            fill(T, 3000),
            bets:merge(T, subscribe),
            Id = bets:info(T, id),
            bets:insert(T, {1, overwritten}),
            {_, Monitor} = spawn_monitor(fun() -> bets:merge(T) end),
            receive {bets, merge, Id, progress, #{done := Read3}} when Read3 > 0 -> ok end,
            exit(whereis(bets_merger), kill),
            receive {'DOWN', Monitor, process, _, _} -> ok end,
            wait_for_merger(),
            bets:merge(T),
            ?assertMatch([#{dead_bytes := 0}], bets:info(T, segment_stats)),
            ?assertEqual(3000, bets:info(T, size))
        end)
    end}.

wait_for_merger() ->
    case whereis(bets_merger) of
        undefined -> timer:sleep(1), wait_for_merger();
        _ -> ok
    end.

errors_are_those_of_the_face_test() ->
    ?assertError(badarg, bets:merge(no_such_table)),
    ?assertError(badarg, bets:merge(no_such_table, pause)),
    with_table([], fun(T, _Dir) -> ?assertError(badarg, bets:merge(T, faster)) end),
    [
        ?assertError(badarg, bets:new(t, [Option]))
     || Option <- [
            {merge_window, {0, 24}},
            {merge_window, sometimes},
            {frag_merge_trigger, 0},
            {frag_threshold, 101},
            {dead_bytes_threshold, 0},
            {dead_bytes_merge_trigger, many},
            {small_file_threshold, -1},
            {merge_rate, 0}
        ]
    ].
