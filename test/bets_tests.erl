%% The functions of bets beside those of ets: the same calls with the same results and exceptions, on any term, in lists that are applied
%% whole, and on large objects; what a panic closes, and the words for bets' own errors. Traversals, owners and directories have suites of
%% their own.
-module(bets_tests).

-include_lib("eunit/include/eunit.hrl").

-compile(nowarn_export_all).
-compile(export_all).

-import(bets_beside, [
    cause/1, contents/0, dead_process/0, drop/2, keys/2, outcome/3, pair/2, same/4, same_call/4, same_without_table/2, title/2,
    with/2, words/3, written/1, zero/0
]).

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
    {setup, fun bets_beside:foreign_tables/0, fun bets_beside:stop_foreign/1, fun(_) ->
        [
            {title(Function, with(Tab, Args)), fun() -> same_without_table(Function, with(Tab, Args)) end}
         || Tab <- [foreign_protected, foreign_private], {Function, Args} <- calls()
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
        {k, 1, a}, {k, 3, c}, {k, 2}, {k, 2.0}, {k, 9}, {new, 1}, {missing}, {zero, 0.0}, {zero, -zero()}, {zero, 0},
        {zero, #{-zero() => [-1]}}
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
    ?assertEqual(Ets, without_the_option(Bets)).

%% In a line of its own bets names the option that both refuse.
without_the_option({error, badarg, {bad_option, _}, #{general := _} = Words}) -> {error, badarg, none, maps:remove(general, Words)};
without_the_option(Outcome) -> Outcome.

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

whereis_test() ->
    [same_call(whereis, [X], whereis, [X]) || X <- [no_such_table, 17, make_ref(), "name"]],
    {E, B} = pair([], []),
    ?assertMatch({error, badarg, none, _}, outcome(fun bets:whereis/1, [B], bets)),
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

odd_terms() ->
    Zero = zero(),
    [
        0, 1, -1, 1.0, 1.5, -Zero, 1 bsl 59, 1 bsl 63, 1 bsl 64, -(1 bsl 63), -(1 bsl 64), 1 bsl 2000, 1.0e300, 9007199254740993,
        9007199254740992.0, '', a, true, 'ä', 'λ', list_to_atom(lists:duplicate(255, 16#10FFFF)), "", "text", [a | b], [[]], {}, {a},
        {{}, []}, <<>>, <<0>>, <<"binary">>, <<1:1>>, <<5:13>>, binary:copy(<<"long">>, 1000), #{}, #{a => 1, 1 => a, 1.0 => b},
        maps:from_list([{N, -N} || N <- lists:seq(1, 100)]), self(), make_ref(), hd(erlang:ports()), fun lists:map/2,
        fun(X) -> {X, Zero} end, '_', '$1', lists:foldl(fun(_, Acc) -> [Acc] end, [], lists:seq(1, 1000))
    ].

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
    %% Gone before its table is, or its last write fails and is reported.
    Ref = monitor(process, Writer),
    unlink(Writer),
    exit(Writer, kill),
    receive {'DOWN', Ref, process, Writer, killed} -> ok end,
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
