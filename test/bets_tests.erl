%% The functions of bets beside those of ets: the same calls, the same results, the same exceptions.
-module(bets_tests).

-include_lib("eunit/include/eunit.hrl").

-compile(nowarn_export_all).
-compile(export_all).

%% ---------------------------------------------------------------- the same as ets

%% Each call is made on an ets table and on a bets table of the same contents; `T' stands for the table, `ME' for the caller.
same_as_ets_test_() ->
    at_once([{title(Function, Args), fun() -> same([], contents(), Function, Args) end} || {Function, Args} <- calls()]).

%% Most of their time goes to waiting for a dirty scheduler.
at_once(Tests) -> {inparallel, 8, Tests}.

same_with_keypos_2_test_() ->
    [
        {title(Function, Args), fun() -> same([{keypos, 2}], [{a, k}, {b, 1}], Function, Args) end}
     || {Function, Args} <- keypos_calls()
    ].

same_on_no_table_test_() ->
    at_once([
        {title(Function, Args), fun() -> same_without_table(Function, with(Bad, Args)) end}
     || Bad <- [no_such_table, "text", 17, make_ref(), dead], {Function, Args} <- calls() ++ info_calls(), lists:member('T', Args)
    ]).

same_without_the_right_test_() ->
    {setup, fun() -> foreign_tables() end, fun stop_foreign/1, fun(_) ->
        [
            {title(Function, with(Tab, Args)), fun() -> same_without_table(Function, with(Tab, Args)) end}
         || Tab <- [foreign_protected, foreign_private], {Function, Args} <- calls(), not is_change_of(Tab, Function)
        ]
    end}.

%% In a bag a key has several objects; their order in answers counts.
same_in_bags_test_() ->
    [
        {atom_to_list(Type) ++ " " ++ title(Function, Args), fun() -> same_in_order(Type, bag_contents(), Function, Args) end}
     || Type <- [bag, duplicate_bag], {Function, Args} <- bag_calls()
    ].

bag_contents() ->
    [{k, 3, c}, {k, 1, a}, {k, 3, c}, {k, 2}, {k, 1, a}, {other, 1}, {zero, 0.0}, {zero, #{0.0 => [-1]}}].

bag_calls() ->
    Objects = [
        {k, 1, a}, {k, 3, c}, {k, 2}, {k, 2.0}, {k, 9}, {new, 1}, {missing}, {zero, 0.0}, {zero, minus_zero()}, {zero, 0},
        {zero, #{minus_zero() => [-1]}}
    ],
    [{Function, ['T', Object]} || Function <- [insert, insert_new, delete_object], Object <- Objects ++ [{}, bad, [bad]]] ++
        [
            {Function, ['T', Key | Rest]}
         || Key <- [k, other, missing],
            {Function, Rest} <- [
                {lookup, []}, {lookup_element, [2]}, {lookup_element, [3]}, {lookup_element, [1]}, {lookup_element, [0]}, {member, []},
                {take, []}, {delete, []}, {update_counter, [{2, 1}]}, {update_counter, [bad]}, {update_counter, [{2, 1}, {k, 1}]},
                {update_counter, [{2, 1}, bad]}, {update_element, [{2, x}]}, {update_element, [[]]}, {update_element, [bad]}
            ]
        ] ++ [{insert, ['T', []]}, {insert_new, ['T', []]}, {insert_new, ['T', [{new, 1}, {k, 3, c}]]}, {delete_all_objects, ['T']}].

minus_zero() -> -1.0 * zero_float().

zero_float() -> list_to_float("0.0").

%% ets of OTP 23 to 25 puts a list into a bag from its end.
same_in_order(Type, Objects, Function, Args) ->
    E = ets:new(t, [Type]),
    [ets:insert(E, Object) || Object <- Objects],
    B = bets:new(t, [Type]),
    bets:insert(B, Objects),
    Call = fun(Module, Tab) ->
        try {ok, apply(Module, Function, with(Tab, Args))} of
            {ok, Result} when Result =:= Tab -> the_table;
            Result -> Result
        catch
            Class:Reason:Stack -> {Class, Reason, cause(Stack), words(Module, Reason, Stack)}
        end
    end,
    ?assertEqual(Call(ets, E), Call(bets, B)),
    State = fun(Module, Tab) -> {Module:info(Tab, size), [Module:lookup(Tab, Key) || Key <- [k, other, zero, new, missing]]} end,
    ?assertEqual(State(ets, E), State(bets, B)),
    ByKey = fun(Stored) -> lists:keysort(1, Stored) end,
    ?assertEqual(ByKey(ets:tab2list(E)), ByKey(bets:tab2list(B))),
    [
        ?assertEqual(ByKey(ets:Fold(fun put_first/2, [], E)), ByKey(bets:Fold(fun put_first/2, [], B)))
     || Fold <- [foldl, foldr]
    ],
    drop(E, B).

put_first(Object, Acc) -> [Object | Acc].

a_list_goes_into_a_bag_from_its_start_test() ->
    B = bets:new(t, [bag]),
    bets:insert(B, [{k, 1}, {k, 2}, {k, 1}, {k, 3}]),
    ?assertEqual([{k, 1}, {k, 2}, {k, 3}], bets:lookup(B, k)),
    ?assertEqual({k, [{k, 1}, {k, 2}, {k, 3}]}, bets:first_lookup(B)),
    bets:delete(B).

a_fold_over_a_bag_sees_the_objects_of_a_key_as_they_were_test() ->
    {E, B} = pair([duplicate_bag, public], []),
    %% More than a step takes.
    Objects = [{k, N} || N <- lists:seq(1, 300)],
    [Module:insert(Tab, Objects) || {Module, Tab} <- [{ets, E}, {bets, B}]],
    DeleteAll = fun(Module, Tab) -> fun({k, N}, Acc) -> Module:delete(Tab, k), [N | Acc] end end,
    ?assertEqual(lists:seq(300, 1, -1), ets:foldl(DeleteAll(ets, E), [], E)),
    ?assertEqual(lists:seq(300, 1, -1), bets:foldl(DeleteAll(bets, B), [], B)),
    drop(E, B).

%% What others may do with the foreign table, and would change it for the calls that follow.
is_change_of(_Tab, _Function) -> false.

contents() ->
    [{k, 1, a, 1.0}, {1, int}, {1.0, float}, {big, 1 bsl 80}, {short}].

calls() ->
    Bin = binary:copy(<<"x">>, 100),
    [
        {insert, ['T', {new, 1}]},
        {insert, ['T', {k, 2}]},
        {insert, ['T', {{deep, [1, #{a => b}]}, Bin}]},
        {insert, ['T', [{x, 1}, {y, 2}, {x, 3}]]},
        {insert, ['T', []]},
        {insert, ['T', {}]},
        {insert, ['T', [{x, 1}, {}]]},
        {insert, ['T', [{x, 1}, bad]]},
        {insert, ['T', [{x, 1} | bad]]},
        {insert, ['T', bad]},
        {insert, ['T', 1]},
        {insert, ['T', [{N, Bin} || N <- lists:seq(1, 1000)]]},
        {insert, ['T', [{N, Bin} || N <- lists:seq(1, 1000)] ++ [bad]]},
        {insert_new, ['T', {k, 5}]},
        {insert_new, ['T', {q, 5}]},
        {insert_new, ['T', [{q, 5}, {q, 6}]]},
        {insert_new, ['T', [{q, 5}, {k, 6}]]},
        {insert_new, ['T', []]},
        {insert_new, ['T', [bad]]},
        {insert_new, ['T', bad]},
        {lookup, ['T', k]},
        {lookup, ['T', 1]},
        {lookup, ['T', 1.0]},
        {lookup, ['T', missing]},
        {lookup_element, ['T', k, 1]},
        {lookup_element, ['T', k, 4]},
        {lookup_element, ['T', k, 5]},
        {lookup_element, ['T', k, 0]},
        {lookup_element, ['T', k, -1]},
        {lookup_element, ['T', k, a]},
        {lookup_element, ['T', k, 1 bsl 70]},
        {lookup_element, ['T', missing, 1]},
        {lookup_element, ['T', missing, 0]},
        {member, ['T', k]},
        {member, ['T', missing]},
        {take, ['T', k]},
        {take, ['T', missing]},
        {delete, ['T', k]},
        {delete, ['T', missing]},
        {delete_object, ['T', {k, 1, a, 1.0}]},
        {delete_object, ['T', {k, 1, a, 1}]},
        {delete_object, ['T', {missing}]},
        {delete_object, ['T', {}]},
        {delete_object, ['T', bad]},
        {delete_object, ['T', [{k}]]},
        {delete_all_objects, ['T']},
        {next, ['T', missing]},
        {next, ['T', '$end_of_table']},
        {prev, ['T', missing]},
        {tab2list, ['T']},
        {rename, ['T', 17]},
        {give_away, ['T', 'ME', gift]},
        {give_away, ['T', 17, gift]},
        {give_away, ['T', dead_process(), gift]},
        {setopts, ['T', {heir, none}]},
        {setopts, ['T', []]},
        {setopts, ['T', [{heir, none}, {heir, none}]]},
        {setopts, ['T', [{heir, none} | bad]]},
        {setopts, ['T', bad]},
        {setopts, ['T', [{heir, self(), data}, {protection, private}]]}
    ] ++ counter_calls() ++ element_calls().

counter_calls() ->
    Ops = [
        1, -1, 0, 1 bsl 70, {2, 1}, {2, 0}, {2, -5}, {2, 1 bsl 70}, {2, -(1 bsl 70)}, {2, 10, 5, 0}, {2, 10, 11, 0}, {2, -10, -5, 7},
        {2, -10, -9, 7}, {2, 0, 0, 9}, {2, 0, 1, 9}, {2, 1, 1 bsl 70, 0}, {2, 1, 0, 1 bsl 70}, {2, 1, x, 0}, {2, 1, 0, x}, {2, 1, 0},
        [], [{2, 1}], [{2, 1}, {2, 1}, {2, 10, 5, 0}], [{2, 1}, {3, 1}], [{2, 1}, {9, 1}], [{2, 1}, bad], [{2, 1} | bad], [1],
        {1, 1}, {0, 1}, {-1, 1}, {9, 1}, {3, 1}, {4, 1}, {1, x}, {9, x}, {a, 1}, {1 bsl 70, 1}, {1 bsl 59, 1}, {(1 bsl 59) - 1, 1},
        {-(1 bsl 59), 1}, bad, 1.5, {1, 1, 5, 5}, {}
    ],
    [{update_counter, ['T', Key, Op]} || Key <- [k, big, short, missing], Op <- Ops] ++
        [
            {update_counter, ['T', Key, Op, Default]}
         || Key <- [k, missing], Op <- Ops, Default <- [{a, 1}, {a}, {a, b, c}, {a, 1, 2, 3, 4}, bad, []]
        ].

element_calls() ->
    [
        {update_element, ['T', Key, Spec]}
     || Key <- [k, missing],
        Spec <- [
            {2, new}, {2, [deep, {1}]}, [{2, x}, {3, y}], [{2, x}, {2, y}], [], {1, x}, {9, x}, {0, x}, {-1, x}, {a, x}, bad, {2},
            {2, 3, 4}, [{2, x}, {1, y}], [{9, x}, {1, y}], [{1, x}, {9, y}], [{1, x}, bad], [bad, {1, x}], [{2, x} | bad],
            {1 bsl 70, x}
        ]
    ].

keypos_calls() ->
    [
        {insert, ['T', {a}]},
        {insert, ['T', [{a, b}, {a}]]},
        {insert, ['T', {new, k}]},
        {insert_new, ['T', {a}]},
        {delete_object, ['T', {a}]},
        {delete_object, ['T', {a, k}]},
        {update_counter, ['T', k, 1]},
        {update_counter, ['T', k, {1, 1}]},
        {update_counter, ['T', k, {2, 1}]},
        {update_counter, ['T', z, {1, 1}, {1, x}]},
        {update_counter, ['T', z, {2, 1}, {1, x}]},
        {update_element, ['T', k, {1, z}]},
        {update_element, ['T', k, {2, z}]},
        {lookup, ['T', k]},
        {take, ['T', 1]}
    ].

info_calls() ->
    [{info, ['T']}, {info, ['T', name]}, {info, ['T', no_item]}, {info, ['T', 17]}, {delete, ['T']}, {first, ['T']}, {last, ['T']}].

info_items_are_those_of_ets_test() ->
    Options = [public, {keypos, 3}, {read_concurrency, true}, {write_concurrency, true}, {heir, self(), data}],
    E = ets:new(name, Options),
    B = bets:new(name, Options),
    EtsItems = [Item || {Item, _} <- ets:info(E)],
    ?assertEqual(EtsItems, lists:sublist([Item || {Item, _} <- bets:info(B)], length(EtsItems))),
    [
        ?assertEqual({Item, ets:info(E, Item)}, {Item, bets:info(B, Item)})
     || Item <- EtsItems ++ [fixed, safe_fixed, safe_fixed_monotonic_time, binary], Item =/= id, Item =/= memory
    ],
    ?assertEqual(B, bets:info(B, id)),
    ?assert(is_integer(bets:info(B, memory))),
    ?assertEqual(undefined, bets:info(no_such_table, no_item)),
    same_without_table(info, [make_ref()]),
    bets:delete(B),
    ets:delete(E).

info_on_bad_items_test() ->
    [same([], [], info, ['T', Item]) || Item <- [no_item, 17, "name"]].

new_options_test_() ->
    [
        {title(new, [Options]), fun() -> same_new(Options) end}
     || Options <- [
            [], [set], [private, public], [public, private], [public, protected], [private, protected], [compressed],
            [{keypos, 2}, {keypos, 3}], [{keypos, 0}], [{keypos, -1}], [{keypos, a}], [{keypos, 1 bsl 70}], [{heir, none}],
            [{heir, self(), x}], [{heir, a, b}], [{heir, none, 1}], [{read_concurrency, true}], [{read_concurrency, 1}],
            [{write_concurrency, true}, private], [{write_concurrency, auto}], [{write_concurrency, x}],
            [{decentralized_counters, x}], [no_option], [{no_option, 1}], [1], [set | bad], bad, [{keypos, 1, 2}], [{}]
        ]
    ] ++ [{"new of no atom", fun() -> same_call(new, [Name, []], new, [Name, []]) end} || Name <- [17, "name", <<"n">>]].

same_new(Options) ->
    Facts = fun(Module) ->
        fun(Name, Opts) ->
            T = Module:new(Name, Opts),
            Items = [keypos, protection, type, heir, read_concurrency, compressed, name, named_table, size],
            Result = [{Item, Module:info(T, Item)} || Item <- Items],
            Module:delete(T),
            Result
        end
    end,
    Ets = outcome(Facts(ets), [name, Options], ets),
    Bets = outcome(Facts(bets), [name, Options], bets),
    ?assertEqual(Ets, Bets).

whereis_test() ->
    [same_call(whereis, [X], whereis, [X]) || X <- [no_such_table, 17, make_ref(), "name"]],
    {E, B} = pair([], []),
    ?assertMatch({error, badarg, none, _}, outcome(fun bets:whereis/1, [B], bets)),
    drop(E, B).

%% ---------------------------------------------------------------- traversal

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
     || F <- [next, prev], Key <- [0, 1, 1.0, 4, 4.5, 9, 10, 2.5, a, b, [], {}, {1}, "", "y", <<>>, <<1>>, self(), make_ref(), 1 bsl 80, -1.0]
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

writers_side_by_side_are_told_as_in_ets_test() ->
    [
        begin
            {E, B} = pair(Options, []),
            [?assertEqual({Options, Item, ets:info(E, Item)}, {Options, Item, bets:info(B, Item)})
             || Item <- [type, write_concurrency, decentralized_counters]],
            drop(E, B)
        end
     || Type <- [set, ordered_set], Protection <- [public, private], Concurrency <- [true, false, auto],
        Counters <- [[], [{decentralized_counters, true}], [{decentralized_counters, false}]],
        Options <- [[Type, Protection, {write_concurrency, Concurrency} | Counters]]
    ].

keys(Module, Tab) -> keys(Module, Tab, Module:first(Tab)).
keys(_Module, _Tab, '$end_of_table') -> [];
keys(Module, Tab, Key) -> [Key | keys(Module, Tab, Module:next(Tab, Key))].

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

%% ---------------------------------------------------------------- functions that this ets may not have

lookup_element_with_default_test() ->
    {E, B} = pair([], [{k, v}]),
    ?assertEqual(v, bets:lookup_element(B, k, 2, d)),
    ?assertEqual(d, bets:lookup_element(B, missing, 2, d)),
    [?assertMatch({error, badarg, none, #{3 := _}}, outcome(fun bets:lookup_element/4, [B, k, Pos, d], bets)) || Pos <- [0, a, 3]],
    ?assertMatch({error, badarg, none, #{3 := _}}, outcome(fun bets:lookup_element/4, [B, missing, 0, d], bets)),
    drop(E, B).

update_element_with_default_test() ->
    {E, B} = pair([], [{k, v, w}]),
    ?assert(bets:update_element(B, k, {2, new}, {d, 1, 2})),
    ?assertEqual([{k, new, w}], bets:lookup(B, k)),
    ?assert(bets:update_element(B, fresh, {2, new}, {d, 1, 2})),
    ?assertEqual([{fresh, new, 2}], bets:lookup(B, fresh)),
    ?assertMatch({error, badarg, none, #{4 := <<"not a tuple">>}},
        outcome(fun bets:update_element/4, [B, k, {2, x}, bad], bets)),
    ?assertMatch({error, badarg, keypos, #{3 := _}}, outcome(fun bets:update_element/4, [B, q, {1, x}, {d, 1}], bets)),
    ?assertEqual(false, bets:member(B, q)),
    drop(E, B).

%% `ets' writes such a key behind the end of the object. In an `ordered_set', the VM then ends with `tag_val_def() Assertion failed'.
a_default_without_a_place_for_the_key_is_refused_test_() ->
    [
        fun() ->
            {E, B} = pair([Type, {keypos, 2}], []),
            [
                ?assertMatch({error, badarg, _, _}, outcome(Update, [B, k, Spec, Default], bets))
             || {Update, Specs} <- [
                    {fun bets:update_counter/4, [{1, 1}, {3, 1}, []]},
                    {fun bets:update_element/4, [{1, x}, {3, x}, []]}
                ],
                Spec <- Specs,
                Default <- [{}, {1}]
            ],
            ?assertEqual([], bets:tab2list(B)),
            drop(E, B)
        end
     || Type <- [set, ordered_set]
    ].

%% ---------------------------------------------------------------- terms

any_term_is_a_key_and_an_element_test() ->
    {E, B} = pair([], []),
    Terms = odd_terms(),
    Zip = lists:zip(Terms, lists:reverse(Terms)),
    [Module:insert(T, {Key, Element, Key}) || {Key, Element} <- Zip, {Module, T} <- [{ets, E}, {bets, B}]],
    ?assertEqual(ets:info(E, size), bets:info(B, size)),
    [
        begin
            ?assertEqual(ets:lookup(E, Key), bets:lookup(B, Key)),
            ?assert(bets:member(B, Key)),
            ?assertEqual(ets:lookup_element(E, Key, 1), bets:lookup_element(B, Key, 1)),
            ?assertEqual(ets:lookup_element(E, Key, 2), bets:lookup_element(B, Key, 2)),
            ?assertEqual(ets:update_element(E, Key, {3, Element}), bets:update_element(B, Key, {3, Element})),
            ?assertEqual(written(ets:lookup(E, Key)), written(bets:lookup(B, Key)))
        end
     || {Key, Element} <- Zip
    ],
    ?assertEqual(lists:sort(written(ets:tab2list(E))), lists:sort(written(bets:tab2list(B)))),
    ?assertEqual(lists:sort(written(keys(ets, E))), lists:sort(written(keys(bets, B)))),
    [
        begin
            ets:delete_object(E, Object),
            bets:delete_object(B, Object),
            ?assertEqual(ets:lookup(E, element(1, Object)), bets:lookup(B, element(1, Object)))
        end
     || {Key, _} <- Zip, Object <- [{Key, other, Key} | ets:lookup(E, Key)]
    ],
    ?assertEqual(ets:info(E, size), bets:info(B, size)),
    drop(E, B).

%% Tells 0.0 from -0.0, which compare as equal up to OTP 26.
written(Objects) -> [io_lib:format("~w", [Object]) || Object <- Objects].

the_form_of_a_key_is_that_of_the_last_insert_test() ->
    {E, B} = pair([], []),
    Zero = zero(),
    [
        begin
            [Module:insert(T, {Key, N}) || {Module, T} <- [{ets, E}, {bets, B}]],
            [Module:update_element(T, Other, {2, x}) || {Module, T} <- [{ets, E}, {bets, B}]],
            ?assertEqual(written(lists:sort(ets:tab2list(E))), written(lists:sort(bets:tab2list(B)))),
            ?assertEqual(written([ets:lookup_element(E, Key, 1)]), written([bets:lookup_element(B, Key, 1)])),
            ?assertEqual(written(ets:lookup(E, Other)), written(bets:lookup(B, Other)))
        end
     || {Key, Other, N} <- [{Zero, -Zero, 1}, {-Zero, Zero, 2}, {Zero, -Zero, 3}, {{-Zero}, {Zero}, 4}, {{Zero}, {-Zero}, 5}]
    ],
    ?assertEqual(written(ets:take(E, Zero)), written(bets:take(B, Zero))),
    drop(E, B).

zero() -> binary_to_term(<<131, 70, 0:64>>).

odd_terms() ->
    Zero = zero(),
    [
        0, 1, -1, 1.0, 1.5, -Zero, 1 bsl 59, 1 bsl 63, 1 bsl 64, -(1 bsl 63), -(1 bsl 64), 1 bsl 2000, 1.0e300, 9007199254740993,
        9007199254740992.0, '', a, true, 'ä', 'λ', list_to_atom(lists:duplicate(255, 16#10FFFF)), "", "text", [a | b], [[]], {}, {a},
        {{}, []}, <<>>, <<0>>, <<"binary">>, <<1:1>>, <<5:13>>, binary:copy(<<"long">>, 1000), #{}, #{a => 1, 1 => a, 1.0 => b},
        maps:from_list([{N, -N} || N <- lists:seq(1, 100)]), self(), make_ref(), hd(erlang:ports()), fun lists:map/2,
        fun(X) -> {X, Zero} end, '_', '$1', lists:foldl(fun(_, Acc) -> [Acc] end, [], lists:seq(1, 1000))
    ].

%% ---------------------------------------------------------------- names

named_tables_test() ->
    in_dir(fun(_) ->
        named = bets:new(named, [named_table]),
        ?assertEqual(true, bets:insert(named, {a, 1})),
        Tid = bets:whereis(named),
        ?assertEqual([{a, 1}], bets:lookup(Tid, a)),
        ?assert(lists:member(named, bets:all())),
        ?assertMatch({error, badarg, already_exists, #{1 := <<"table name already exists">>}},
            outcome(fun bets:new/2, [named, [named_table]], bets)),
        ?assertEqual(other, bets:rename(named, other)),
        ?assertEqual(undefined, bets:whereis(named)),
        ?assertEqual(Tid, bets:whereis(other)),
        ?assertMatch({error, badarg, none, #{2 := _}}, outcome(fun bets:rename/2, [other, other], bets)),
        ?assertEqual(true, bets:delete(other)),
        ?assertEqual(undefined, bets:whereis(other)),
        ?assertEqual(undefined, bets:info(Tid))
    end).

%% To ets, `undefined' is a name as any other.
undefined_is_a_name_test() ->
    in_dir(fun(Dir) ->
        [
            begin
                a = Module:new(a, [named_table]),
                Tid = Module:whereis(a),
                Module:insert(a, {k, 1}),
                ?assertEqual(undefined, Module:rename(a, undefined)),
                ?assertEqual({undefined, Tid}, {Module:whereis(a), Module:whereis(undefined)}),
                ?assertEqual([{k, 1}], Module:lookup(undefined, k)),
                ?assertEqual({undefined, true}, {Module:info(undefined, name), Module:info(undefined, named_table)}),
                ?assertMatch({error, badarg, already_exists, _}, outcome(fun Module:new/2, [undefined, [named_table]], Module)),
                ?assertMatch({error, badarg, none, _}, outcome(fun Module:rename/2, [undefined, undefined], Module)),
                ?assertEqual(b, Module:rename(undefined, b)),
                ?assertEqual(undefined, Module:whereis(undefined)),
                Module:delete(b),
                Unnamed = Module:new(u, []),
                ?assertEqual({Unnamed, undefined}, {Module:rename(Unnamed, undefined), Module:info(Unnamed, name)}),
                Module:delete(Unnamed)
            end
         || Module <- [ets, bets]
        ],
        %% Its directory is opened again by either function, under that name or another.
        undefined = bets:new(undefined, [named_table]),
        bets:insert(undefined, {k, 1}),
        Undefined = bets:info(undefined, dir),
        bets:close(undefined),
        {ok, undefined} = bets:open(Undefined, [named_table, {name, undefined}]),
        ?assertEqual([{k, 1}], bets:lookup(undefined, k)),
        bets:delete(undefined),
        bets:close(bets:new(stored, [{dir, Dir}])),
        {ok, undefined} = bets:open(Dir, [named_table, {name, undefined}]),
        ?assertEqual(undefined, bets:info(bets:whereis(undefined), name)),
        bets:close(undefined),
        {ok, T} = bets:open(Dir, [{name, undefined}]),
        ?assertEqual(undefined, bets:info(T, name)),
        bets:close(T),
        {ok, Stored} = bets:open(Dir),
        ?assertEqual(stored, bets:info(Stored, name)),
        ?assertMatch({error, badarg, {bad_option, named_table}, _}, outcome(fun bets:open/2, [Dir, [named_table]], bets)),
        bets:close(Stored)
    end).

the_directory_moves_with_the_name_test() ->
    in_dir(fun(_) ->
        before = bets:new(before, [named_table]),
        bets:insert(before, {a, 1}),
        Old = bets:info(before, dir),
        'after' = bets:rename(before, 'after'),
        New = bets:info('after', dir),
        ?assertEqual({binary_to_list(bets_dir:of_name('after')), false, true}, {New, filelib:is_dir(Old), filelib:is_dir(New)}),
        bets:insert('after', {b, 2}),
        %% The old name is free, for a table of its own.
        before = bets:new(before, [named_table]),
        ?assertEqual([], bets:tab2list(before)),
        ?assertEqual(ok, bets:close(before)),
        ?assertError({bets, {not_a_table, _, _}}, bets:rename('after', before)),
        ?assertEqual(ok, bets:close('after')),
        'after' = bets:new('after', [named_table]),
        ?assertEqual([{a, 1}, {b, 2}], lists:sort(bets:tab2list('after'))),
        bets:delete('after')
    end).

an_explicit_directory_stays_when_the_name_changes_test() ->
    in_dir(fun(Dir) ->
        named = bets:new(named, [named_table, {dir, Dir}]),
        other = bets:rename(named, other),
        ?assertEqual(Dir, bets:info(other, dir)),
        ?assertEqual({error, already_open}, bets:open(Dir)),
        bets:close(other)
    end).

renaming_an_unnamed_table_changes_its_info_only_test() ->
    {E, B} = pair([], []),
    ?assertEqual(E, ets:rename(E, other)),
    ?assertEqual(B, bets:rename(B, other)),
    ?assertEqual({other, other}, {ets:info(E, name), bets:info(B, name)}),
    drop(E, B).

a_name_stays_below_the_data_directory_test() ->
    in_dir(fun(Dir) ->
        Names = [
            '..', '.', '', '/', '/etc', 'a/../../b', 'A', a, 'ä', 'λ', '=', '==', '=41', 'a b', 'a\n', 'con', '~',
            list_to_atom(lists:duplicate(255, $x)), list_to_atom(lists:duplicate(255, $X)),
            list_to_atom(lists:duplicate(254, $X) ++ "Y"), list_to_atom(lists:duplicate(255, 16#10FFFF))
        ],
        Dirs = [bets_dir:of_name(Name) || Name <- Names],
        ?assertEqual(length(Names), length(lists:usort([string:casefold(D) || D <- Dirs]))),
        [
            begin
                ?assertEqual(unicode:characters_to_binary(filename:join(Dir, "data")), filename:dirname(D)),
                ?assertMatch({match, _}, re:run(filename:basename(D), "^[a-z0-9_=-]{1,200}$"))
            end
         || D <- Dirs
        ]
    end).

%% ---------------------------------------------------------------- owners

the_files_of_a_temporary_table_go_with_its_owner_test() ->
    Tab = in_process(fun() -> bets:new(t, [public]) end),
    ?assertEqual(undefined, bets:info(Tab)),
    ?assertMatch({error, badarg, id, _}, outcome(fun bets:insert/2, [Tab, {a}], bets)),
    Kept = bets:new(t, []),
    Dir = bets:info(Kept, dir),
    bets:delete(Kept),
    ?assertNot(filelib:is_dir(Dir)).

%% The table of a dead owner is gone for whoever is linked to it before he hears of the death.
a_dead_owner_has_no_table_test() ->
    [
        begin
            Parent = self(),
            process_flag(trap_exit, true),
            Owner = spawn_link(fun() ->
                T = bets:new(owned, [named_table, public, {dir, temp_dir("owned")}]),
                Parent ! {tab, bets:whereis(T)},
                receive stop -> ok end
            end),
            Tid = receive {tab, T0} -> T0 end,
            ?assertEqual(Owner, bets:info(owned, owner)),
            Owner ! stop,
            receive {'EXIT', Owner, normal} -> ok end,
            ?assertEqual(undefined, bets:whereis(owned)),
            ?assertEqual(undefined, bets:info(Tid)),
            ?assertMatch({error, badarg, id, _}, outcome(fun bets:member/2, [Tid, a], bets)),
            %% Opening the same directory waits until it is closed.
            {ok, Again} = bets:open(temp_dir("owned"), [named_table, {name, owned}]),
            bets:delete(Again),
            process_flag(trap_exit, false)
        end
     || _ <- lists:seq(1, 20)
    ].

the_heir_gets_the_table_test() ->
    [
        begin
            Me = self(),
            Owner = spawn(fun() ->
                T = Module:new(inherited, [named_table, {heir, Me, {some, [data]}}]),
                Module:insert(T, {a, 1}),
                receive stop -> ok end
            end),
            wait_until(fun() -> Module:whereis(inherited) =/= undefined andalso Module:member(inherited, a) end),
            ?assertEqual(Me, Module:info(inherited, heir)),
            Owner ! stop,
            receive {'ETS-TRANSFER', inherited, Owner, {some, [data]}} -> ok after 2000 -> error(no_message) end,
            ?assertEqual(Me, Module:info(inherited, owner)),
            ?assertEqual([{a, 1}], Module:lookup(inherited, a)),
            ?assertEqual(Me, Module:info(inherited, heir)),
            Module:delete(inherited)
        end
     || Module <- [ets, bets]
    ].

a_dead_heir_inherits_nothing_test() ->
    Heir = dead_process(),
    Tab = in_process(fun() ->
        T = bets:new(t, [public, {heir, Heir, data}]),
        none = bets:info(T, heir),
        T
    end),
    ?assertEqual(undefined, bets:info(Tab)).

give_away_test() ->
    [
        begin
            Tab = Module:new(t, [protected]),
            Me = self(),
            Taker = spawn(fun() ->
                receive {'ETS-TRANSFER', T, From, gift} -> From ! {got, T, Module:insert(T, {a, 1})} end,
                receive stop -> ok end
            end),
            ?assert(Module:give_away(Tab, Taker, gift)),
            receive {got, Tab, true} -> ok after 2000 -> error(no_message) end,
            ?assertEqual(Taker, Module:info(Tab, owner)),
            ?assertMatch({error, badarg, access, _}, outcome(fun Module:insert/2, [Tab, {b, 1}], Module)),
            ?assertMatch({error, badarg, access, _}, outcome(fun Module:give_away/3, [Tab, Me, x], Module)),
            Taker ! stop,
            wait_until(fun() -> Module:info(Tab) =:= undefined end)
        end
     || Module <- [ets, bets]
    ].

setopts_changes_protection_test() ->
    {E, B} = pair([public], []),
    [Module:setopts(T, {protection, private}) || {Module, T} <- [{ets, E}, {bets, B}]],
    ?assertEqual(ets:info(E, protection), bets:info(B, protection)),
    ?assertMatch({error, badarg, access, _}, in_process(fun() -> outcome(fun bets:lookup/2, [B, a], bets) end)),
    drop(E, B).

%% ---------------------------------------------------------------- lists are atomic

no_list_is_ever_half_seen_test() ->
    B = bets:new(t, [public]),
    Keys = lists:seq(1, 20),
    bets:insert(B, [{K, 0} || K <- Keys]),
    Writer = spawn_link(fun() -> write_lists(B, Keys, 1) end),
    Halves = lists:sum([
        begin
            A = bets:lookup_element(B, 1, 2),
            Z = bets:lookup_element(B, 20, 2),
            %% Read in the order in which they would be written, the second is never older.
            case Z >= A of true -> 0; false -> 1 end
        end
     || _ <- lists:seq(1, 20000)
    ]),
    unlink(Writer),
    exit(Writer, kill),
    ?assertEqual(0, Halves),
    bets:delete(B).

write_lists(B, Keys, N) ->
    bets:insert(B, [{K, N} || K <- Keys]),
    write_lists(B, Keys, N + 1).

counters_lose_no_update_test() ->
    B = bets:new(t, [public]),
    bets:insert(B, {c, 0}),
    Pids = [spawn_monitor(fun() -> [bets:update_counter(B, c, 1) || _ <- lists:seq(1, 5000)] end) || _ <- lists:seq(1, 8)],
    [receive {'DOWN', Ref, process, Pid, Reason} -> normal = Reason end || {Pid, Ref} <- Pids],
    ?assertEqual(40000, bets:lookup_element(B, c, 2)),
    bets:delete(B).

%% ---------------------------------------------------------------- large ones

objects_and_lists_of_any_size_test_() ->
    {timeout, 60, fun() ->
        {E, B} = pair([], []),
        Big = {big, lists:seq(1, 200000), binary:copy(<<"0123456789">>, 300000)},
        Many = [{N, integer_to_binary(N)} || N <- lists:seq(1, 50000)],
        [M:insert(T, Big) || {M, T} <- [{ets, E}, {bets, B}]],
        [M:insert(T, Many) || {M, T} <- [{ets, E}, {bets, B}]],
        ?assertEqual(ets:lookup(E, big), bets:lookup(B, big)),
        ?assertEqual(ets:info(E, size), bets:info(B, size)),
        ?assertEqual(lists:sort(ets:tab2list(E)), lists:sort(bets:tab2list(B))),
        ?assertEqual(ets:update_element(E, big, {2, x}), bets:update_element(B, big, {2, x})),
        ?assertEqual(ets:take(E, big), bets:take(B, big)),
        drop(E, B)
    end}.

%% ---------------------------------------------------------------- directories

what_was_stored_is_there_after_reopening_test() ->
    in_dir(fun(Dir) ->
        T = bets:new(t, [{dir, Dir}, {keypos, 2}]),
        Objects = [{N, {key, N}, [N]} || N <- lists:seq(1, 1000)],
        bets:insert(T, Objects),
        ?assertEqual(ok, bets:close(T)),
        ?assertMatch({error, badarg, id, _}, outcome(fun bets:lookup/2, [T, 1], bets)),
        {ok, Again} = bets:open(Dir),
        ?assertEqual(Objects, lists:sort(bets:tab2list(Again))),
        ?assertEqual(2, bets:info(Again, keypos)),
        ?assertEqual(t, bets:info(Again, name)),
        ?assertEqual(Dir, bets:info(Again, dir)),
        ?assertEqual(ok, bets:close(Again))
    end).

a_deleted_table_leaves_no_files_test() ->
    in_dir(fun(Dir) ->
        Sub = filename:join(Dir, "t"),
        T = bets:new(t, [{dir, Sub}]),
        bets:insert(T, {a, 1}),
        ?assert(filelib:is_dir(Sub)),
        ?assertEqual(true, bets:delete(T)),
        ?assertEqual({error, {no_table, Sub}}, bets:open(Sub))
    end).

one_directory_is_one_table_test() ->
    in_dir(fun(Dir) ->
        T = bets:new(t, [{dir, Dir}]),
        ?assertEqual({error, already_open}, bets:open(Dir)),
        ?assertEqual({error, already_open}, bets:open(Dir ++ "/")),
        ?assertMatch({error, badarg, already_open, #{2 := "the directory is already open" ++ _}},
            outcome(fun bets:new/2, [t, [{dir, Dir}]], bets)),
        bets:close(T)
    end).

one_directory_is_one_table_through_links_test() ->
    in_dir(fun(Dir) ->
        Real = filename:join(Dir, "real"),
        Link = filename:join(Dir, "link"),
        T = bets:new(t, [{dir, Real}]),
        ok = file:make_symlink(Real, Link),
        ?assertEqual({error, already_open}, bets:open(Link)),
        bets:close(T)
    end).

another_vm_finds_the_directory_locked_test_() ->
    {timeout, 60, fun() ->
        in_dir(fun(Dir) ->
            T = bets:new(t, [{dir, Dir}]),
            OsPid = list_to_integer(os:getpid()),
            ?assertEqual({error, {locked, Dir, OsPid}}, other_vm(bets, open, [Dir])),
            bets:close(T),
            ?assertMatch({ok, _}, other_vm(bets, open, [Dir]))
        end)
    end}.

contradicting_options_are_refused_test() ->
    in_dir(fun(Dir) ->
        bets:close(bets:new(t, [{dir, Dir}, {keypos, 2}])),
        ?assertEqual({error, {keypos_mismatch, 2, 1}}, bets:open(Dir, [{keypos, 1}])),
        ?assertMatch({error, badarg, {keypos_mismatch, 2, 1}, #{2 := "the table in the directory has keypos 2, not 1: open it with the stored one"}},
            outcome(fun bets:new/2, [t, [{dir, Dir}]], bets)),
        {ok, T} = bets:open(Dir, [set, {keypos, 2}]),
        bets:close(T)
    end).

a_file_is_no_directory_test() ->
    in_dir(fun(Dir) ->
        File = filename:join(Dir, "file"),
        ok = file:write_file(File, "text"),
        ?assertMatch({error, Reason} when element(1, Reason) =:= not_a_table; element(1, Reason) =:= io, bets:open(File)),
        ?assertMatch({error, badarg, _, #{2 := _}}, outcome(fun bets:new/2, [t, [{dir, File}]], bets)),
        ?assertMatch({error, _}, bets:open(filename:join(File, "below"))),
        ?assertEqual({ok, <<"text">>}, file:read_file(File))
    end).

a_directory_without_permission_test() ->
    case os:cmd("id -u") of
        "0\n" ->
            %% Nothing is forbidden to root, but /proc takes no directories from anyone.
            ?assertMatch({error, badarg, {io, _, _, _}, #{2 := _}},
                outcome(fun bets:new/2, [t, [{dir, "/proc/bets/t"}]], bets));
        _ ->
            in_dir(fun(Dir) ->
                ok = file:change_mode(Dir, 8#500),
                ?assertMatch({error, badarg, {io, _, _, eacces}, #{2 := _}},
                    outcome(fun bets:new/2, [t, [{dir, filename:join(Dir, "t")}]], bets)),
                ok = file:change_mode(Dir, 8#700)
            end)
    end.

nothing_to_open_test() ->
    in_dir(fun(Dir) ->
        Sub = filename:join(Dir, "none"),
        ?assertEqual({error, {no_table, Sub}}, bets:open(Sub)),
        ?assertNot(filelib:is_dir(Sub))
    end).

own_options_are_checked_test() ->
    [
        ?assertMatch({error, badarg, {bad_option, _}, #{2 := "invalid option " ++ _}}, outcome(fun bets:new/2, [t, [Option]], bets))
     || Option <- [
            {dir, 17}, {dir, "a\0b"}, {dir, ""}, {sync, sometimes}, {sync, {interval, 0}}, {sync, {interval, a}}, {max_file_size, 0},
            {max_file_size, a}, {max_file_size, 1 bsl 40}, {cache, 17}, {access, read}
        ]
    ],
    [
        ?assertMatch({error, badarg, {bad_option, _}, #{2 := _}}, outcome(fun bets:open/2, ["/nowhere", Options], bets))
     || Options <- [[named_table], [{dir, "x"}], [bad], bad]
    ],
    ?assertMatch({error, badarg, {bad_option, _}, _}, outcome(fun bets:open/1, [17], bets)).

%% In a process of its own: what other tests were sent is not asked for.
sync_always_waits_and_leaves_no_message_test() ->
    in_dir(fun(Dir) ->
        ok = in_process(fun() -> sync_always(Dir) end)
    end).

sync_always(Dir) ->
    T = bets:new(t, [{dir, Dir}, {sync, always}]),
    ?assertEqual(true, bets:insert(T, {a, 1})),
    ?assertEqual(true, bets:insert(T, [{b, 1}, {c, 1}])),
    ?assertEqual(false, bets:insert_new(T, {a, 1})),
    ?assertEqual(2, bets:update_counter(T, a, 1)),
    ?assertEqual([{b, 1}], bets:take(T, b)),
    ?assertEqual(true, bets:delete(T, c)),
    #{seq := Seq, durable_seq := Durable} = maps:from_list(bets:info(T)),
    ?assertEqual(Seq, Durable),
    ?assertEqual({messages, []}, process_info(self(), messages)),
    ?assertEqual(ok, bets:sync(T)),
    ok = bets:close(T).

closing_is_for_those_who_may_write_test() ->
    in_dir(fun(Dir) ->
        T = bets:new(t, [{dir, Dir}]),
        [
            ?assertMatch({error, badarg, access, #{1 := _}}, in_process(fun() -> outcome(fun bets:F/1, [T], bets) end))
         || F <- [close, delete]
        ],
        ?assertEqual(ok, bets:close(T)),
        ?assertMatch({error, badarg, id, #{1 := _}}, outcome(fun bets:close/1, [T], bets))
    end).

%% ---------------------------------------------------------------- the application

stopping_the_application_closes_tables_test() ->
    in_dir(fun(Dir) ->
        T = bets:new(t, [{dir, Dir}]),
        Temporary = bets:new(t, []),
        bets:insert(T, {a, 1}),
        ok = application:stop(bets),
        ?assertEqual(undefined, bets:info(T)),
        ?assertEqual(undefined, bets:info(Temporary)),
        {ok, Again} = bets:open(Dir),
        ?assertEqual([{a, 1}], bets:lookup(Again, a)),
        bets:close(Again)
    end).

temporary_directories_of_dead_vms_are_swept_test_() ->
    {timeout, 60, fun() ->
        in_dir(fun(Dir) ->
            Before = os:getenv("TMPDIR"),
            true = os:putenv("TMPDIR", Dir),
            {killed, Left} = other_vm(?MODULE, die_with_a_temporary_table, []),
            ?assert(filelib:is_dir(Left)),
            {alive, Mine} = other_vm(?MODULE, temporary_directory, []),
            case Before of false -> os:unsetenv("TMPDIR"); _ -> os:putenv("TMPDIR", Before) end,
            ?assertNot(filelib:is_dir(Left)),
            ?assertNot(filelib:is_dir(Mine))
        end)
    end}.

die_with_a_temporary_table() ->
    T = bets:new(t, []),
    bets:insert(T, {a, 1}),
    {killed, bets:info(T, dir)}.

temporary_directory() ->
    T = bets:new(t, []),
    Dir = bets:info(T, dir),
    true = filelib:is_dir(Dir),
    ok = application:stop(bets),
    {alive, Dir}.

%% ---------------------------------------------------------------- panics

a_panic_closes_one_table_only_test_() ->
    %% A library that is not built with the feature `testing' has no means to panic.
    try bets_nif:test_panic(no_table) of
        {badarg, id} -> fun a_panic_closes_one_table_only/0
    catch
        error:{not_loaded, _} -> io:format(user, "SKIPPED: panics: the library is not built for it~n", []), []
    end.

a_panic_closes_one_table_only() ->
    {E, B} = pair([], [{a, 1}]),
    Other = bets:new(other, []),
    ?assertEqual({bets, internal_error}, bets_nif:test_panic(B)),
    ?assertError({bets, table_failed}, bets:lookup(B, a)),
    ?assertError({bets, table_failed}, bets:insert(B, {a, 2})),
    ?assertEqual(true, bets:insert(Other, {a, 1})),
    ?assertEqual(ok, bets:close(B)),
    ?assertMatch({error, badarg, id, _}, outcome(fun bets:lookup/2, [B, a], bets)),
    bets:delete(Other),
    ets:delete(E).

%% ---------------------------------------------------------------- errors in words

every_own_reason_has_words_test() ->
    Reasons = [
        already_open, {locked, "/d", 17}, {locked, "/d", undefined}, {no_table, "/d"}, {not_a_table, "/d", <<"a link">>},
        {type_mismatch, bag, set}, {keypos_mismatch, 2, 1}, {name_mismatch, "/d"},
        {bad_option, {sync, x}}, {io, write, "/f", enospc}, {io, write, "/f", 999}, {damaged, "/f", 17, <<"bad crc">>},
        {missing, "/f"}, damaged_object, {newer_version, "/f", 9, 1}, {read_only, {io, sync, "/f", eio}},
        {sync_failed, {io, sync, "/f", eio}}, {too_large, object, 5, 4}, too_many_segments, closed, internal_error, table_failed
    ],
    [
        begin
            Words = bets_errors:explain(Reason),
            ?assert(io_lib:printable_unicode_list(Words)),
            ?assertEqual(nomatch, string:find(Words, "{"))
        end
     || Reason <- Reasons, Reason =/= {bad_option, {sync, x}}
    ],
    ?assertEqual("write /f: no space left on device", bets_errors:explain({io, write, "/f", enospc})).

%% ---------------------------------------------------------------- helpers

title(Function, Args) ->
    lists:flatten(io_lib:format("~p~0P", [Function, Args, 12])).

pair(Options, Objects) ->
    E = ets:new(t, Options),
    B = bets:new(t, Options),
    true = ets:insert(E, Objects),
    true = bets:insert(B, Objects),
    {E, B}.

drop(E, B) ->
    ets:delete(E),
    bets:delete(B).

same(Options, Objects, Function, Args) ->
    {E, B} = pair(Options, Objects),
    ?assertEqual(outcome_of(ets, Function, with(E, Args)), outcome_of(bets, Function, with(B, Args))),
    ?assertEqual(lists:sort(ets:tab2list(E)), lists:sort(bets:tab2list(B))),
    ?assertEqual(ets:info(E, size), bets:info(B, size)),
    drop(E, B).

same_without_table(Function, Args) ->
    same_call(Function, Args, Function, Args).

same_call(EtsFunction, EtsArgs, BetsFunction, BetsArgs) ->
    ?assertEqual(outcome_of(ets, EtsFunction, EtsArgs), outcome_of(bets, BetsFunction, BetsArgs)).

with(Tab, Args) ->
    [case Arg of 'T' when Tab =:= dead -> dead_table(); 'T' -> Tab; 'ME' -> self(); _ -> Arg end || Arg <- Args].

%% An identifier that both modules take for a table which is gone does not exist: each gets its own.
dead_table() -> dead_table.

outcome_of(Module, Function, Args) ->
    Real = [case Arg of dead_table -> dead_table(Module); _ -> Arg end || Arg <- Args],
    outcome(fun(As) -> apply(Module, Function, As) end, Real, Module, list).

dead_table(Module) ->
    T = Module:new(t, []),
    Module:delete(T),
    T.

outcome(Fun, Args, Module) ->
    outcome(fun(As) -> apply(Fun, As) end, Args, Module, list).

%% A result, or the class, the reason, the cause and the words for each argument.
outcome(Fun, Args, Module, list) ->
    try Fun(Args) of
        Result -> {ok, generic(Result, Args)}
    catch
        Class:Reason:Stack -> {Class, Reason, cause(Stack), words(Module, Reason, Stack)}
    end.

generic(Result, [Tab | _]) when Result =:= Tab -> the_table;
generic(Result, _) when is_list(Result) -> lists:sort(Result);
generic(Result, _) -> Result.

cause([{_, _, _, Info} | _]) -> maps:get(cause, proplists:get_value(error_info, Info, #{}), none).

words(Module, Reason, [{M, F, A, Info} | _] = Stack) when is_list(A) ->
    M = Module,
    Explainer = maps:get(module, proplists:get_value(error_info, Info, #{})),
    try Explainer:format_error(Reason, Stack) of
        %% ets makes these functions of others, whose arguments its words are about.
        Words when F =:= tab2list; F =:= match_object; F =:= delete_all_objects; F =:= internal_delete_all ->
            maps:with([1], Words);
        Words -> Words
    catch
        error:function_clause -> #{}
    end;
words(_, _, _) ->
    no_words.

foreign_tables() ->
    Me = self(),
    Pid = spawn(fun() ->
        in_temp_data_dir(),
        [
            begin
                Module:new(Name, [named_table, Protection]),
                Module:insert(Name, contents())
            end
         || {Name, Protection} <- [{foreign_protected, protected}, {foreign_private, private}], Module <- [ets, bets]
        ],
        Me ! ready,
        receive stop -> [Module:delete(Name) || Name <- [foreign_protected, foreign_private], Module <- [ets, bets]] end,
        Me ! stopped
    end),
    receive ready -> Pid after 5000 -> error(not_ready) end.

stop_foreign(Pid) ->
    Pid ! stop,
    receive stopped -> ok after 5000 -> error(not_stopped) end.

in_temp_data_dir() ->
    _ = application:load(bets),
    application:set_env(bets, data_dir, temp_dir("data")).

temp_dir(Name) ->
    filename:join([os:getenv("TMPDIR", "/tmp"), "bets_tests_" ++ os:getpid(), Name]).

in_dir(Fun) ->
    Dir = temp_dir("dir" ++ integer_to_list(erlang:unique_integer([positive]))),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    _ = application:load(bets),
    application:set_env(bets, data_dir, filename:join(Dir, "data")),
    try
        Fun(Dir)
    after
        application:unset_env(bets, data_dir),
        os:cmd("rm -rf " ++ Dir)
    end.

in_process(Fun) ->
    Me = self(),
    {Pid, Ref} = spawn_monitor(fun() -> Me ! {self(), Fun()} end),
    receive {'DOWN', Ref, process, Pid, Reason} -> normal = Reason end,
    receive {Pid, Result} -> Result end.

dead_process() ->
    {Pid, Ref} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Ref, process, Pid, _} -> Pid end.

wait_until(Fun) -> wait_until(Fun, 200).
wait_until(Fun, 0) -> ?assert(Fun());
wait_until(Fun, N) ->
    case Fun() of
        true -> ok;
        false -> timer:sleep(10), wait_until(Fun, N - 1)
    end.

%% Calls a function in a new VM, which is killed afterwards. References do not come back.
other_vm(Module, Function, Args) ->
    Erl = filename:join([code:root_dir(), "bin", "erl"]),
    Paths = lists:append([["-pa", P] || P <- code:get_path(), string:find(P, code:lib_dir()) =:= nomatch]),
    Call = base64:encode(term_to_binary({Module, Function, Args})),
    Eval =
        "{M, F, A} = binary_to_term(base64:decode(<<\"" ++ binary_to_list(Call) ++ "\">>)),"
        "io:format(\"result ~s~n\", [base64:encode(term_to_binary(apply(M, F, A)))]),"
        "receive after infinity -> ok end.",
    Port = open_port({spawn_executable, Erl}, [{args, ["-noinput" | Paths] ++ ["-eval", Eval]}, {line, 1000000}, exit_status]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    Result = result_of(Port),
    os:cmd("kill -9 " ++ integer_to_list(OsPid)),
    receive {Port, {exit_status, _}} -> ok after 5000 -> ok end,
    Result.

%% Other lines are reports.
result_of(Port) ->
    receive
        {Port, {data, {eol, "result " ++ Line}}} -> binary_to_term(base64:decode(Line));
        {Port, {data, _}} -> result_of(Port);
        {Port, {exit_status, Status}} -> {exit_status, Status}
    after 30000 -> timeout
    end.
