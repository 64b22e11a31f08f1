%% `first', `next' and folds, beside those of ets: every key once, in its place where there is an order, and objects as they are when their
%% turn comes.
-module(bets_traversal_tests).

-include_lib("eunit/include/eunit.hrl").

-compile(nowarn_export_all).
-compile(export_all).

-import(bets_beside, [drop/2, keys/2, outcome/3, pair/2, same_call/4, temp_dir/1, written/1]).

every_key_is_met_once_by_first_and_next_test() ->
    {E, B} = pair([], [{N, N * N} || N <- lists:seq(1, 500)]),
    ?assertEqual(lists:sort(keys(ets, E)), lists:sort(keys(bets, B))),
    ?assertEqual(keys(bets, B), [K || {K, _} <- bets:tab2list(B)]),
    ?assertEqual(keys(bets, B), lists:reverse(bets:foldl(fun({K, _}, Acc) -> [K | Acc] end, [], B))),
    ?assertEqual(keys(bets, B), lists:reverse(bets:foldr(fun({K, _}, Acc) -> [K | Acc] end, [], B))),
    ?assertEqual(bets:first(B), bets:last(B)),
    ?assertEqual(bets:next(B, 7), bets:prev(B, 7)),
    First = bets:first(B),
    ?assertEqual({First, [{First, First * First}]}, bets:first_lookup(B)),
    ?assertEqual(bets:first_lookup(B), bets:last_lookup(B)),
    Next = bets:next(B, First),
    ?assertEqual({Next, [{Next, Next * Next}]}, bets:next_lookup(B, First)),
    ?assertEqual(bets:next_lookup(B, First), bets:prev_lookup(B, First)),
    drop(E, B).

an_empty_table_ends_at_once_test() ->
    {E, B} = pair([], []),
    [?assertEqual('$end_of_table', bets:F(B)) || F <- [first, last, first_lookup, last_lookup]],
    ?assertEqual([], bets:tab2list(B)),
    ?assertEqual(acc, bets:foldl(fun(_, _) -> error(called) end, acc, B)),
    [?assertMatch({error, badarg, _, #{2 := _}}, outcome(fun bets:F/2, [B, k], bets)) || F <- [next, prev, next_lookup, prev_lookup]],
    drop(E, B).

an_ordered_set_goes_both_ways_test() ->
    {E, B} = pair([ordered_set], [{N, N * N} || N <- [9, 3, 1, 7, 5]] ++ [{Odd, odd} || Odd <- [a, [], {}, "x", <<>>, 2.5]]),
    ?assertEqual(ordered_set, bets:info(B, type)),
    ?assertEqual(ets:tab2list(E), bets:tab2list(B)),
    ?assertEqual(keys(ets, E), keys(bets, B)),
    [?assertEqual(ets:F(E), bets:F(B)) || F <- [first, last]],
    Collect = fun({K, _}, Acc) -> [K | Acc] end,
    [?assertEqual(ets:F(Collect, [], E), bets:F(Collect, [], B)) || F <- [foldl, foldr]],
    %% A key that is not there has its place.
    [
        ?assertEqual(ets:F(E, Key), bets:F(B, Key))
     || F <- [next, prev], Key <- [
            0, 1, 1.0, 4, 4.5, 9, 10, 2.5, a, b, [], {}, {1}, "", "y", <<>>, <<1>>, self(), make_ref(), 1 bsl 80, -1.0
        ]
    ],
    ?assertEqual({5, [{5, 25}]}, bets:next_lookup(B, 3.5)),
    ?assertEqual({3, [{3, 9}]}, bets:prev_lookup(B, 3.5)),
    ?assertEqual({1, [{1, 1}]}, bets:first_lookup(B)),
    ?assertEqual({<<>>, [{<<>>, odd}]}, bets:last_lookup(B)),
    drop(E, B).

the_end_of_the_table_is_no_place_in_it_test() ->
    {E, B} = pair([ordered_set], [{'$end_of_table', 1}, {a, 2}]),
    [same_call(F, [E, '$end_of_table'], F, [B, '$end_of_table']) || F <- [next, prev]],
    [
        ?assertMatch({error, badarg, _, _}, outcome(fun bets:F/2, [B, '$end_of_table'], bets))
     || F <- [next, prev, next_lookup, prev_lookup]
    ],
    ?assertEqual('$end_of_table', bets:first(B)),
    drop(E, B).

keys_that_are_equal_are_one_key_in_an_ordered_set_test() ->
    {E, B} = pair([ordered_set], []),
    Both = fun(F, Args) ->
        ?assertEqual({F, written([apply(ets, F, [E | Args])])}, {F, written([apply(bets, F, [B | Args])])}),
        ?assertEqual(written(ets:tab2list(E)), written(bets:tab2list(B)))
    end,
    [
        begin
            Both(insert, [{One, a}]),
            Both(insert, [{Other, b}]),
            Both(lookup, [One]),
            Both(member, [One]),
            Both(next, [0]),
            Both(lookup_element, [One, 1]),
            Both(update_element, [One, {2, c}]),
            Both(update_element, [One, {2, 5}]),
            Both(update_counter, [One, 1]),
            Both(update_counter, [One, 1, {One, 0}]),
            Both(insert_new, [{One, x}]),
            %% The object must be the stored one in the form of its key too.
            Both(delete_object, [{One, 7}]),
            Both(delete_object, [{Other, 7}]),
            Both(insert, [[{One, 1}, {Other, 2}]]),
            Both(take, [One]),
            Both(insert_new, [[{Other, 1}, {One, 2}]]),
            Both(update_counter, [Other, 1]),
            Both(delete, [Other])
        end
     || {One, Other} <- [
            {1, 1.0}, {1.0, 1}, {{1, [2]}, {1.0, [2.0]}}, {[1 | 2.0], [1.0 | 2]}, {0, -0.0}, {1 bsl 64, float(1 bsl 64)},
            {#{a => 1}, #{a => 1.0}}, {{#{k => [1]}, x}, {#{k => [1.0]}, x}}
        ]
    ],
    drop(E, B).

an_ordered_set_keeps_forms_and_order_over_a_reopening_test() ->
    {ok, _} = application:ensure_all_started(bets),
    Dir = temp_dir("ordered"),
    B = bets:new(t, [ordered_set, {dir, Dir}]),
    bets:insert(B, [{N, a} || N <- lists:seq(200, 1, -1)]),
    bets:insert(B, [{float(N), b} || N <- lists:seq(1, 200, 3)]),
    Before = bets:tab2list(B),
    ok = bets:close(B),
    {ok, Again} = bets:open(Dir),
    ?assertEqual(ordered_set, bets:info(Again, type)),
    ?assertEqual(Before, bets:tab2list(Again)),
    ?assertEqual({1.0, 200}, {bets:first(Again), bets:last(Again)}),
    ok = bets:close(Again),
    ?assertMatch({error, {type_mismatch, ordered_set, set}}, bets:open(Dir, [set])),
    {ok, Last} = bets:open(Dir, [ordered_set]),
    bets:delete(Last).

fold_sees_objects_as_they_are_when_their_turn_comes_test() ->
    {E, B} = pair([public], [{N, old} || N <- lists:seq(1, 50)]),
    %% Each visited object deletes its partner: none is seen after its partner was.
    Visit = fun({N, _}, Seen) ->
        true = bets:delete(B, 51 - N),
        ?assertNot(lists:member(51 - N, Seen)),
        [N | Seen]
    end,
    ?assertEqual(25, length(bets:foldl(Visit, [], B))),
    %% Each visited object renews all others.
    bets:insert(B, [{N, 0} || N <- lists:seq(1, 20)]),
    Renew = fun({N, Value}, Acc) ->
        ?assertEqual(length(Acc), Value),
        bets:insert(B, [{M, Value + 1} || M <- lists:seq(1, 20)]),
        [N | Acc]
    end,
    [bets:delete(B, N) || N <- lists:seq(21, 50)],
    ?assertEqual(lists:seq(1, 20), lists:sort(bets:foldl(Renew, [], B))),
    drop(E, B).

a_fold_over_a_bag_sees_the_objects_of_a_key_as_they_were_test() ->
    {E, B} = pair([duplicate_bag, public], []),
    %% More than a step takes.
    Objects = [{k, N} || N <- lists:seq(1, 300)],
    [Module:insert(Tab, Objects) || {Module, Tab} <- [{ets, E}, {bets, B}]],
    DeleteAll = fun(Module, Tab) -> fun({k, N}, Acc) -> Module:delete(Tab, k), [N | Acc] end end,
    ?assertEqual(lists:seq(300, 1, -1), ets:foldl(DeleteAll(ets, E), [], E)),
    ?assertEqual(lists:seq(300, 1, -1), bets:foldl(DeleteAll(bets, B), [], B)),
    drop(E, B).

fold_over_a_table_that_goes_away_test() ->
    {E, B} = pair([], [{N} || N <- lists:seq(1, 10)]),
    Delete = fun(_, _) -> catch bets:delete(B) end,
    ?assertMatch({error, badarg, id, #{3 := _}}, outcome(fun bets:foldl/3, [Delete, acc, B], bets)),
    ets:delete(E).

fold_on_no_table_names_its_third_argument_test() ->
    Fun = fun(_, Acc) -> Acc end,
    [
        ?assertMatch({error, badarg, id, #{3 := <<"the table identifier does not refer", _/binary>>}},
            outcome(fun bets:F/3, [Fun, acc, no_such_table], bets))
     || F <- [foldl, foldr]
    ].

fold_passes_exceptions_on_test() ->
    {E, B} = pair([], [{a}]),
    ?assertThrow(ball, bets:foldl(fun(_, _) -> throw(ball) end, acc, B)),
    {'EXIT', {Reason, _}} = catch ets:foldl(no_fun, acc, E),
    ?assertError(Reason, bets:foldl(no_fun, acc, B)),
    drop(E, B).
