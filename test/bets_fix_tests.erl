%% safe_fixtable/2 and slot/2 beside those of ets.
-module(bets_fix_tests).

-include_lib("eunit/include/eunit.hrl").

-compile(nowarn_export_all).
-compile(export_all).

types() -> [set, ordered_set, bag, duplicate_bag].

calls() ->
    [{safe_fixtable, ['T', Fix]} || Fix <- [true, false, x, 1]] ++ [{slot, ['T', N]} || N <- [a, -1, 1.0, 257, 100000, 1 bsl 70]].

same_as_ets_test_() ->
    [fun() -> bets_beside:same([Type], [{N, N} || N <- lists:seq(1, 5)], F, Args) end || Type <- types(), {F, Args} <- calls()] ++
        [
            fun() -> bets_beside:same_without_table(F, bets_beside:with(Bad, Args)) end
         || Bad <- [no_such_table, "text", dead], {F, Args} <- calls()
        ].

fixes_are_counted_for_each_process_test_() ->
    [
        {timeout, 60, fun() ->
            {E, B} = bets_beside:pair([Type, public], [{a, 1}]),
            [
                begin
                    ?assertEqual([false, false, false], infos(M, T)),
                    M:safe_fixtable(T, false),
                    M:safe_fixtable(T, true),
                    M:safe_fixtable(T, true),
                    Holder = spawn(fun() -> M:safe_fixtable(T, true), receive {From, stop} -> From ! stopping end end),
                    bets_beside:wait_until(fun() -> length(holders(M, T)) =:= 2 end),
                    [true, {Timestamp, Holders}, {Monotonic, Holders}] = infos(M, T),
                    ?assertEqual(lists:sort([{self(), 2}, {Holder, 1}]), lists:sort(Holders)),
                    ?assert(abs(timer:now_diff(Timestamp, os:timestamp())) < 10000000),
                    ?assert(abs(erlang:monotonic_time() - Monotonic) < erlang:convert_time_unit(10, second, native)),
                    M:safe_fixtable(T, false),
                    ?assert(lists:member({self(), 1}, holders(M, T))),
                    Ref = monitor(process, Holder),
                    Holder ! {self(), stop},
                    receive {'DOWN', Ref, process, _, _} -> ok end,
                    ?assertEqual([{self(), 1}], holders(M, T)),
                    M:safe_fixtable(T, false),
                    M:safe_fixtable(T, false),
                    ?assertEqual([false, false, false], infos(M, T))
                end
             || {M, T} <- [{ets, E}, {bets, B}]
            ],
            bets_beside:drop(E, B)
        end}
     || Type <- types()
    ].

infos(M, T) -> [M:info(T, Item) || Item <- [fixed, safe_fixed, safe_fixed_monotonic_time]].

holders(M, T) ->
    case M:info(T, safe_fixed) of
        false -> [];
        {_, Holders} -> Holders
    end.

deleted_keys_lead_on_while_the_table_is_fixed_test_() ->
    Deletions = [
        fun(M, T, K) -> M:delete(T, K) end, fun(M, T, K) -> M:delete_object(T, {K, K}) end, fun(M, T, K) -> M:take(T, K) end,
        fun(M, T, K) -> M:select_delete(T, [{{K, '_'}, [], [true]}]) end, fun(M, T, K) -> M:match_delete(T, {'_', K}) end
    ],
    [
        {timeout, 60, fun() ->
            {E, B} = bets_beside:pair([], [{N, N} || N <- lists:seq(1, 50)]),
            [
                begin
                    M:safe_fixtable(T, true),
                    ?assertEqual(lists:seq(1, 50), lists:sort(walk(M, T, Delete, M:first(T)))),
                    ?assertEqual({0, false, []}, {M:info(T, size), M:member(T, 7), M:lookup(T, 7)}),
                    ?assertEqual('$end_of_table', M:next(T, 7)),
                    ?assertError(badarg, M:next(T, never)),
                    M:safe_fixtable(T, false),
                    ?assertError(badarg, M:next(T, 7))
                end
             || {M, T} <- [{ets, E}, {bets, B}]
            ],
            bets_beside:drop(E, B)
        end}
     || Delete <- Deletions
    ].

walk(_M, _T, _Delete, '$end_of_table') -> [];
walk(M, T, Delete, Key) ->
    Delete(M, T, Key),
    [Key | walk(M, T, Delete, M:next(T, Key))].

a_fixed_table_that_is_emptied_test_() ->
    {timeout, 60, fun() ->
        {E, B} = bets_beside:pair([], [{N, N} || N <- lists:seq(1, 50)]),
        [
            begin
                M:safe_fixtable(T, true),
                M:delete_all_objects(T),
                ?assertEqual('$end_of_table', M:next(T, 7)),
                M:insert(T, {1, 1}),
                ?assertEqual(1, M:first(T))
            end
         || {M, T} <- [{ets, E}, {bets, B}]
        ],
        bets_beside:drop(E, B)
    end}.

slots_have_every_object_once_test_() ->
    [
        {lists:flatten(io_lib:format("~p ~p", [Type, Size])),
            {timeout, 60, fun() ->
                {E, B} = bets_beside:pair([Type], [{N, N} || N <- lists:seq(1, Size)]),
                ?assertEqual(lists:sort(ets:tab2list(E)), lists:sort(slots(bets, B, 0))),
                case Type of
                    ordered_set -> ?assertEqual(slots(ets, E, 0), slots(bets, B, 0));
                    _ -> ok
                end,
                bets_beside:drop(E, B)
            end}}
     || Type <- types(), Size <- [0, 1, 300, 5000]
    ].

slots(M, T, N) ->
    case M:slot(T, N) of
        '$end_of_table' ->
            ?assertError(badarg, M:slot(T, N + 1)),
            [];
        Objects ->
            Objects ++ slots(M, T, N + 1)
    end.

slots_stay_while_the_table_is_fixed_test_() ->
    {timeout, 60, fun() ->
        {E, B} = bets_beside:pair([], [{N, N} || N <- lists:seq(1, 3000)]),
        bets:safe_fixtable(B, true),
        Seen = slots_and_delete(B, 0),
        ?assertEqual(lists:seq(1, 3000), lists:sort(Seen)),
        bets_beside:drop(E, B)
    end}.

slots_and_delete(T, N) ->
    case bets:slot(T, N) of
        '$end_of_table' ->
            [];
        Objects ->
            [bets:delete(T, K) || {K, _} <- Objects],
            [K || {K, _} <- Objects] ++ slots_and_delete(T, N + 1)
    end.

slots_of_an_ordered_set_follow_its_changes_test_() ->
    {timeout, 60, fun() ->
        {E, B} = bets_beside:pair([ordered_set], [{N, N} || N <- lists:seq(1, 500)]),
        [
            begin
                ?assertEqual(ets:slot(E, N), bets:slot(B, N)),
                [M:delete(T, N + 2) || {M, T} <- [{ets, E}, {bets, B}], N rem 5 =:= 0]
            end
         || N <- [0, 1, 2, 3, 100, 101, 102, 50, 51, 300, 400]
        ],
        bets_beside:drop(E, B)
    end}.
