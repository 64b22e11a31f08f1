%% Patterns and match specifications: the same calls on ets and bets tables of the same contents.
-module(bets_match_tests).

-include_lib("eunit/include/eunit.hrl").
-include_lib("bets/include/ms_transform.hrl").

-compile(nowarn_export_all).
-compile(export_all).

types() -> [set, ordered_set, bag, duplicate_bag].

%% ---------------------------------------------------------------- one call

same_as_ets_test_() ->
    [
        {title(Type, Function, Objects), fun() -> same(Type, Objects, Function) end}
     || Type <- types(), Objects <- [[], objects()], Function <- lists:usort([F || {F, _} <- calls()])
    ].

%% That others go the long way, with compiled ones, is seen by nothing but the time that they take.
plain_test_() ->
    Plain = [
        {{'_', '$1'}, [], ['$_']}, {{'$1', 1, a, <<"b">>}, [], ['$1']}, {{{a, '_'}, '$1'}, [], ['$$']}, {{}, [], [true]},
        {{'$1', '$2'}, [{'>', '$1', 1}, {'=<', {const, {a, 1.0}}, '$2'}, {'=/=', '$1', '$2'}], ['$2']}
    ],
    Others = [
        {'_', [], ['$_']}, {{'$1', '$1'}, [], ['$_']}, {{'$1', 1.0}, [], ['$_']}, {{{a, '$1'}}, [], ['$_']}, {{'$10'}, [], ['$_']}, {{'$1'}, [], ['$2']},
        {{'$1', [a]}, [], ['$_']}, {{'$1', #{}}, [], ['$_']}, {{'$1'}, [{'>', '$2', 1}], ['$_']}, {{'$1'}, [{'>', '$1', 1.0}], ['$_']}, {{'$1'}, [true], ['$_']},
        {{'$1'}, [{'+', '$1', 1}], ['$_']}, {{'$1'}, [{'>', '$1', {a}}], ['$_']}, {{'$1'}, [{is_atom, '$1'}], ['$_']}, {{'$1'}, x, ['$_']}, {{'$1'}, [], []},
        {{'$1'}, [], ['$1', '$_']}, {{'$1'}, [], [{{'$1'}}]}, {{'$1'}, [{'>', '$1', 1} | x], ['$_']}, x
    ],
    [
        {title(Is, plain, Clause), ?_assertEqual(Is =:= plain, bets_plain:plan([Clause]) =/= none)}
     || {Is, Clauses} <- [{plain, Plain}, {no, Others}], Clause <- Clauses
    ] ++ [?_assertEqual(none, bets_plain:plan(Spec)) || Spec <- [[], x, [hd(Plain), hd(Plain)], [hd(Plain) | x]]].

%% On objects that no filter has held back.
plain_results_test() ->
    Terms = [1, 1.0, 2, 3.5, a, b, 'A', <<"b">>, <<"c">>, [], {a}, {a, 1}, {a, 1.0}, {a, 1, b}, {{a, 1}, 2}, 1 bsl 70, '$1', '_', bets_beside:zero(), -bets_beside:zero()],
    Objects = [{Left, Right} || Left <- Terms, Right <- Terms] ++ [{}, {1}, {1, 2, 3}],
    Constants = [1, 2, a, b, <<"b">>, {a}, {a, 1}, {a, '_'}, {'_', 1}, {a, 1, '_'}, {{'_', 1}, 2}, 1 bsl 70, '_'],
    Operands = ['$1', '$2', 1, 2, a, <<"b">>, {const, {a, 1}}, {const, 1.0}, {const, '$1'}, {const, bets_beside:zero()}],
    Clauses =
        [{{Constant, '$2'}, [], ['$2']} || Constant <- Constants] ++
        [{{'$1', Constant}, [], [Wanted]} || Constant <- Constants, Wanted <- ['$1', '$_', '$$', true]] ++
        [
            {{'$1', '$2'}, [{Op, Left, Right}], ['$$']}
         || Op <- ['=:=', '==', '<', '=<', '>', '>=', '=/=', '/='], Left <- Operands, Right <- Operands
        ] ++
        [{{'$2', '$1'}, [{'<', '$1', 2}, {'>=', '$2', a}], [Wanted]} || Wanted <- ['$1', '$2', '$_', '$$', true]],
    [
        begin
            Expected = ets:match_spec_run(Objects, ets:match_spec_compile([Clause])) ++ [others],
            ?assertEqual({Clause, Expected}, {Clause, bets_plain:results(Objects, bets_plain:plan([Clause]), [others])})
        end
     || Clause <- Clauses
    ].

%% What stands under `_', `$_' or `$$' in a pattern was taken for what these mean in a guard: an atom like others, the object, the list of its variables.
names_without_a_meaning_in_patterns_test_() ->
    Objects = [{a, 1}, {a, 2}, {zz, 1}, {'_', 3}, {'$_', 4}, {'$$', z}],
    Specs =
        [
            [{Pattern, [{Op, Left, Right}], ['$_']}]
         || Pattern <- [{'_', '$2'}, {'$1', '_'}, {'$_', '_'}, {'$$', '_'}, {'_', '_'}, '_', '$_', '$$'],
            Op <- ['<', '>=', '=:=', '==', '/='],
            {Left, Right} <- [{'_', z}, {'_', 1}, {1, '_'}, {'$_', z}, {'$$', z}, {z, '$_'}, {{element, 1, '_'}, a}, {{element, 1, '$_'}, a}]
        ],
    [
        {title(Type, names, Spec), fun() ->
            Results = fun(M) ->
                T = M:new(names, [Type]),
                M:insert(T, Objects),
                Called = try lists:sort(M:select(T, Spec)) catch error:Reason -> Reason end,
                M:delete(T),
                Called
            end,
            ?assertEqual(Results(ets), Results(bets))
        end}
     || Type <- [set, ordered_set], Spec <- Specs
    ].

%% A select that gives few results at a time, and whose pattern tells nothing but the size of objects, ended its steps inside the keys of a bag, where a new
%% object of a key that was seen comes again.
chunks_of_a_bag_have_whole_keys_test_() ->
    [
        {title(Type, chunks, Spec), fun() ->
            Seen = fun(M) ->
                T = M:new(chunks, [Type]),
                Objects = [{k, 1}, {k, 2}, {k, 3}],
                M:insert(T, Objects),
                {[First], Continuation} = M:select(T, Spec, 1),
                M:delete_object(T, First),
                M:insert(T, First),
                All = [First | rest(M, M:select(Continuation))],
                M:delete(T),
                lists:sort(All)
            end,
            ?assertEqual(Seen(ets), Seen(bets))
        end}
     || Type <- [bag, duplicate_bag], Spec <- [[{{'$1', '$2'}, [], ['$_']}], [{'_', [], ['$_']}], [{'$1', [], ['$1']}]]
    ].

rest(_M, '$end_of_table') -> [];
rest(M, {Results, Continuation}) -> Results ++ rest(M, M:select(Continuation)).

%% Bounds of keys that a table has looked at are not looked at again, other guards are.
bounds_test() ->
    Without = fun(Guards, Tests) -> bets_plain:results([{k, 5}, {b, 5}], bets_plain:without(bets_plain:plan([{{'$1', '$2'}, Guards, ['$_']}]), 1, Tests), []) end,
    Tests = [{1, '>=', z}, {1, '<', <<"a">>}],
    ?assertEqual([{k, 5}, {b, 5}], Without([{'>=', '$1', z}, {'<', '$1', <<"a">>}], Tests)),
    [
        ?assertEqual({Guard, []}, {Guard, Without([Guard], [{1, '==', z}, {2, '>=', z}, {1, '=<', 1} | Tests])})
     || Guard <- [{'>', '$1', z}, {'>=', '$1', <<"z">>}, {'==', '$1', z}, {'>=', '$2', z}, {'=<', '$1', 1}]
    ],
    ?assertEqual([{k, 5}], Without([{'>=', '$1', z}, {'>', '$1', c}], Tests)).

same_without_a_table_test_() ->
    [
        {title(Bad, Function, Args), fun() -> bets_beside:same_without_table(Function, bets_beside:with(Bad, ['T' | Args])) end}
     || Bad <- [no_such_table, "text", 17, make_ref(), dead], {Function, Args} <- few_calls()
    ].

same_without_the_right_test_() ->
    {setup, fun bets_beside:foreign_tables/0, fun bets_beside:stop_foreign/1, fun(_) ->
        [
            {title(Tab, Function, Args), fun() -> bets_beside:same_without_table(Function, [Tab | Args]) end}
         || Tab <- [foreign_protected, foreign_private], {Function, Args} <- few_calls(),
            Tab =:= foreign_private orelse lists:member(Function, [select_delete, select_replace])
        ]
    end}.

few_calls() ->
    Specs = [[{'_', [], ['$_']}], [{{1, '_', '_'}, [], [true]}], [], bad],
    [{F, [Spec]} || F <- [select, select_count, select_delete, select_reverse, select_replace, match, match_object], Spec <- Specs] ++
        [{F, [Spec, Limit]} || F <- [select, select_reverse, match, match_object], Spec <- Specs, Limit <- [1, 0]].

title(What, Function, Args) ->
    lists:flatten(io_lib:format("~p ~p~0P", [What, Function, Args, 20])).

objects() ->
    [
        {1, a, 10}, {2, b, 20}, {3, a, 30}, {4, 1.0, 1}, {5, 1, 1.0}, {6}, {7, #{x => 1, y => 2}, 5}, {#{k => 1, l => 2}, map, 0},
        {{a, 1}, tuple, 1}, {{a, 2}, tuple, 2}, {{b, 1}, tuple, 3}, {"list", <<"bin">>, <<1:3>>}, {1 bsl 70, 1 bsl 80, -(1 bsl 80)},
        {x, bets_beside:zero(), -bets_beside:zero()}, {y, '$1', '_'},
        {1, a, 10}, {1, a, 11}, {1, b, 1}, {3, a, 31}, {3, a, 32}, {1, a, 10}
    ].

calls() ->
    [{F, [Spec]} || F <- [select, select_count, select_delete, select_reverse, select_replace], Spec <- specs()] ++
        [{F, [Pattern]} || F <- [match, match_object, match_delete], Pattern <- patterns()] ++
        [{F, [Spec, Limit]} || F <- [select, select_reverse], {Spec, Limit} <- limited()].

limited() ->
    All = [{'_', [], ['$_']}],
    [{All, 0}, {All, -1}, {All, a}, {All, 1.0}, {All, 1 bsl 70}, {bad, 1}, {bad, 0}, {[{{1, '_', '_'}, [], ['$_']}], 1}, {All, 1000}, {[], 1}, {[], 0}].

patterns() ->
    Zero = bets_beside:zero(),
    [
        '_', '$1', '$0', 5, [], "text", {}, {'_'}, {'$1'}, {'_', '_', '_'}, {'$1', '$2', '$3'}, {'$2', '$1', '$1'}, {'_', '$1', '$1'}, {1, '_', '_'},
        {1.0, '_', '_'}, {1, '$1', '$1'}, {'_', a, '_'}, {'$1', a, '$2'}, {'_', '_', 1}, {'_', '_', 1.0}, {'_', 1, '_'}, {'_', Zero, '_'}, {'_', -Zero, '_'},
        {'_', '_', Zero}, {{a, '_'}, '_', '_'}, {{a, '$1'}, '$2', '_'}, {{'_', 1}, '_', '_'}, {{a, 1}, tuple, '_'}, {'_', #{}, '_'}, {'_', #{x => 1}, '_'},
        {'_', #{x => '$1'}, '_'}, {'_', #{z => 1}, '_'}, {#{}, '_', '_'}, {#{k => 1}, '_', '_'}, {#{k => '$1'}, '_', '_'}, {#{k => 1, l => 2}, '_', '_'},
        {"list", '$1', '$2'}, {[$l | '$1'], '_', '_'}, {'_', <<"bin">>, '_'}, {'_', '_', <<1:3>>}, {1 bsl 70, '_', '_'}, {'_', 1 bsl 80, '$1'}, {x, '_', '_'},
        {y, '$1', '_'}, {missing, '_', '_'}, {'$a', '_', '_'}, {'$', '_', '_'}, {'_', '_', '_', '_'}, {'$100', '$99', '_'}
    ].

specs() ->
    Guards = [
        [], [true], [false], [not_a_guard], [{'>', '$3', 5}], [{'<', '$3', 5}], [{'>=', '$3', 1}], [{'=<', '$3', 1}], [{'==', '$3', 1}], [{'=:=', '$3', 1}],
        [{'/=', '$3', 1}], [{'=/=', '$3', 1}], [{'>', 5, '$3'}], [{'=<', 1, '$3'}], [{'==', '$2', a}], [{'=:=', '$2', a}], [{'>', '$2', a}], [{'==', '$2', {const, <<"bin">>}}],
        [{'>', '$1', 3}], [{'<', '$1', 3}], [{'>=', '$1', 3}], [{'=<', '$1', 3}], [{'>', '$1', x}], [{'=<', '$1', x}], [{'=:=', '$1', 3}], [{'==', '$1', 3}],
        [{'==', '$1', 3.0}], [{'=:=', '$1', {const, {a, 1}}}], [{'==', '$1', {{a, 1}}}], [{'andalso', {'>', '$3', 1}, {'<', '$3', 25}}], [{'and', {'>', '$3', 1}, true}],
        [{'orelse', {'==', '$3', 1}, {'==', '$2', a}}], [{'not', {'==', '$3', 1}}], [{is_integer, '$3'}], [{'>', '$3', 5}, {'==', '$2', a}], [{'>', {element, 3, '$_'}, 5}],
        [{'==', {element, 9, '$_'}, 5}], [{'>', {'+', '$3', 1}, 5}], [{'==', '$3', 1 bsl 80}], [{'<', '$3', -(1 bsl 80)}], [{'>', '$2', (1 bsl 63) - 1}], [{'>', '$2', 1 bsl 63}],
        [{'=<', '$1', (1 bsl 63) - 1}], [{'==', '$2', '$3'}], [{'=:=', '$3', {const, []}}], [{'>', '$9', 1}], [{is_map_key, x, '$2'}], [{'==', '$3', bets_beside:zero()}]
    ],
    Bodies = [
        ['$_'], [true], ['$$'], ['$1'], [{'>', '$3', 5}], [{{'$1', '$2'}}], [{{'$1', '$2', {element, 9, '$_'}}}], [{element, 9, '$_'}], [{'+', '$3', 1}], [false, true],
        [{{'$1', {const, new}, {element, 1, '$_'}}}], [{const, {1, new}}], [{{{element, 1, '$_'}, 1}}], [{{'$2', '$1', '$1'}}], [{{{const, 1}, x}}], [{{1, x}}], ['$_', '$_'], []
    ],
    [[{{'$1', '$2', '$3'}, Guard, ['$_']}] || Guard <- Guards] ++
        [[{{'$1', '$2', '$3'}, Guard, [true]}] || Guard <- Guards] ++
        [[{{'$1', '$2', '$3'}, Guard, [{{'$1', {{'$3', '$2'}}}}]}] || Guard <- Guards] ++
        [[{{'$1', '$2', '$3'}, [], Body}] || Body <- Bodies] ++
        [[{{1, '$2', '$3'}, [], Body}] || Body <- Bodies] ++
        [[{'$1', [{'>', {element, 3, '$1'}, 5}], Body}] || Body <- Bodies] ++
        [[{Pattern, [], [true]}] || Pattern <- patterns()] ++
        [[{Pattern, [], ['$_']}] || Pattern <- patterns()] ++
        [
            bad, [], [bad], [{}], [{'_', [], []}], [{'_', bad, ['$_']}], [{'_', [], ['$1']}], [{'_', [], ['$_']} | bad], [{'_', [], ['$_'], x}],
            [{{1, '_', '_'}, [], ['$_']}, {{2, '_', '_'}, [], ['$_']}, {{1, '_', '_'}, [], ['$_']}],
            [{{1, '_', '_'}, [], [true]}, {{'_', a, '_'}, [], [true]}],
            [{{1, '_', '_'}, [{'==', 1, 2}], [true]}, {{1, '_', '_'}, [], [one]}],
            [{{'_', a, '_'}, [], [a]}, {{'_', '_', 1}, [], [one]}, {{'_'}, [], [short]}],
            [{5, [], [true]}, {{3, '_', '_'}, [], [true]}]
        ].

same(Type, Objects, Function) ->
    {E, B} = bets_beside:pair([Type], Objects),
    [same_call(E, B, Function, Args) || {F, Args} <- calls(), F =:= Function],
    bets_beside:drop(E, B).

same_call(E, B, Function, Args) ->
    Before = ets:tab2list(E),
    ?assertEqual({Args, in_order(ets, Function, [E | Args])}, {Args, in_order(bets, Function, [B | Args])}),
    ?assertEqual({Args, outcome(ets, Function, [E | Args])}, {Args, outcome(bets, Function, [B | Args])}),
    After = ets:tab2list(E),
    ?assertEqual({Args, sorted(After)}, {Args, sorted(bets:tab2list(B))}),
    ?assertEqual(ets:info(E, size), bets:info(B, size)),
    [begin M:delete_all_objects(T), M:insert(T, Before) end || After =/= Before, {M, T} <- [{ets, E}, {bets, B}]].

%% Tells 1 from 1.0 and 0.0 from -0.0.
sorted(Terms) -> lists:sort([io_lib:format("~w", [Term]) || Term <- Terms]).

outcome(Module, Function, Args) ->
    case bets_beside:outcome_of(Module, Function, Args) of
        %% Which results come first is a matter of the hash.
        {ok, {Results, Continuation}} when is_tuple(Continuation) -> {ok, {length(Results), more}};
        {ok, {Results, Continuation}} -> {ok, {sorted(Results), Continuation}};
        {ok, Results} when is_list(Results) -> {ok, sorted(Results)};
        Outcome -> Outcome
    end.

%% The results of an ordered_set, in their order.
in_order(Module, Function, [Tab | _] = Args) when Function =:= select; Function =:= select_reverse; Function =:= match; Function =:= match_object ->
    case Module:info(Tab, type) of
        ordered_set ->
            try apply(Module, Function, Args) of
                {Results, _} -> io_lib:format("~w", [Results]);
                Results -> io_lib:format("~w", [Results])
            catch
                error:_ -> error
            end;
        _ ->
            any
    end;
in_order(_Module, _Function, _Args) ->
    any.

match_delete_is_that_of_ets_without_a_table_test_() ->
    [
        fun() ->
            Words = fun(M) -> element(3, bets_beside:outcome_of(M, match_delete, [Tab, {a}])) end,
            ?assertEqual(Words(ets), Words(bets))
        end
     || Tab <- [no_such_table, 17]
    ].

a_specification_that_is_too_deep_test() ->
    Deep = lists:foldl(fun(_, Acc) -> {'not', Acc} end, true, lists:seq(1, 200000)),
    bets_beside:same([], [{a}], select, ['T', [{'_', [Deep], ['$_']}]]).

%% ---------------------------------------------------------------- several calls

chunks(Module, Tab, Function, Spec, Limit) ->
    chunks(Module, Function, Module:Function(Tab, Spec, Limit)).

chunks(_Module, _Function, '$end_of_table') -> [];
chunks(_Module, _Function, {Results, '$end_of_table'}) -> [Results];
chunks(Module, Function, {Results, Continuation}) -> [Results | chunks(Module, Function, Module:Function(Continuation))].

chunks_have_every_object_once_test_() ->
    [
        {lists:flatten(io_lib:format("~p ~p ~p ~p", [Function, Size, Limit, Arg])), fun() ->
            {E, B} = bets_beside:pair([], [{N, N rem 3} || N <- lists:seq(1, Size)]),
            Ets = chunks(ets, E, Function, Arg, Limit),
            Bets = chunks(bets, B, Function, Arg, Limit),
            ?assertEqual(lists:sort(lists:append(Ets)), lists:sort(lists:append(Bets))),
            ?assertEqual(lists:map(fun length/1, Ets), lists:map(fun length/1, Bets)),
            bets_beside:drop(E, B)
        end}
     || Size <- [0, 1, 10, 1001],
        Limit <- [1, 2, 7, 10, 100, 1001, 5000],
        {Function, Arg} <- [
            {match, {'$1', 1}}, {match_object, {'_', '_'}}, {select, [{{'$1', '$2'}, [{'>', {'rem', '$1', 7}, 3}], ['$1']}]},
            {select, [{{'$1', 0}, [], ['$_']}]}, {select_reverse, [{'_', [], ['$_']}]}
        ]
    ].

a_limit_of_all_objects_still_gives_a_continuation_test() ->
    {E, B} = bets_beside:pair([], [{N} || N <- lists:seq(1, 5)]),
    [
        begin
            {_, C} = M:match_object(T, '_', 5),
            ?assert(is_tuple(C)),
            ?assertEqual('$end_of_table', M:match_object(C)),
            ?assertMatch({_, '$end_of_table'}, M:match_object(T, '_', 6))
        end
     || {M, T} <- [{ets, E}, {bets, B}]
    ],
    bets_beside:drop(E, B).

%% An `ordered_set' finds the object of the float by the integer, and a pattern takes none but the same.
a_bound_key_takes_the_same_key_alone_test_() ->
    [
        {title(Type, Stored, Asked), fun() ->
            Tabs = [{M, M:new(t, [Type])} || M <- [ets, bets]],
            [M:insert(T, {Stored, x}) || {M, T} <- Tabs],
            Pattern = {Asked, '$1'},
            [Of, Of] = [
                [M:match_object(T, Pattern), M:match(T, Pattern), M:select(T, [{Pattern, [], ['$_']}]), M:select_count(T, [{Pattern, [], [true]}]),
                 M:select(T, [{Pattern, [{'=:=', '$1', x}], [true]}])]
             || {M, T} <- Tabs
            ],
            [M:delete(T) || {M, T} <- Tabs]
        end}
     || Type <- types(), Stored <- [1, 1.0, {1, a}, {1.0, a}, a, <<"a">>], Asked <- [1, 1.0, {1, a}, {1.0, a}, a, <<"a">>]
    ].

keys_that_are_bound_leave_results_for_later_test() ->
    {E, B} = bets_beside:pair([], [{N, x} || N <- lists:seq(1, 5)]),
    Spec = [{{N, '_'}, [], [N]} || N <- [1, 3, 5, 7]],
    ?assertEqual(
        lists:map(fun length/1, chunks(ets, E, select, Spec, 2)), lists:map(fun length/1, chunks(bets, B, select, Spec, 2))
    ),
    ?assertEqual([1, 3, 5], lists:sort(lists:append(chunks(bets, B, select, Spec, 1)))),
    bets_beside:drop(E, B).

a_continuation_outlives_rename_and_dies_with_the_table_test() ->
    {E, B} = bets_beside:pair([public], [{N} || N <- lists:seq(1, 10)]),
    [
        begin
            {First, C} = M:select(T, [{'_', [], ['$_']}], 4),
            M:rename(T, renamed),
            {Second, C2} = bets_beside:in_process(fun() -> M:match(C) end),
            {Third, '$end_of_table'} = M:select_reverse(C2),
            ?assertEqual([{N} || N <- lists:seq(1, 10)], lists:sort(First ++ Second ++ Third)),
            M:delete(T),
            ?assertMatch({error, badarg, id, _}, bets_beside:outcome_of(M, match_object, [C]))
        end
     || {M, T} <- [{ets, E}, {bets, B}]
    ].

a_continuation_from_outside_is_repaired_test() ->
    {E, B} = bets_beside:pair([], [{N, N} || N <- lists:seq(1, 10)]),
    Spec = [{{'$1', '_'}, [], ['$1']}],
    Other = [{{'$1', '_'}, [], [{'-', '$1'}]}],
    [
        begin
            {First, C} = M:select(T, Spec, 4),
            %% As binary_to_term gives it in another VM.
            Outside = setelement(4, C, <<"not compiled">>),
            ?assertMatch({error, badarg, none, _}, bets_beside:outcome_of(M, select, [Outside])),
            ?assertEqual(C, R:repair_continuation(C, Other)),
            {Second, _} = M:select(R:repair_continuation(Outside, Other)),
            ?assertEqual([4, 4], [length(First), length(Second)]),
            ?assert(lists:all(fun(N) -> N < 0 andalso not lists:member(-N, First) end, Second)),
            ?assertEqual('$end_of_table', R:repair_continuation('$end_of_table', Spec)),
            ?assertError(function_clause, R:repair_continuation(bad, Spec)),
            ?assertError(badarg, R:repair_continuation(Outside, bad))
        end
     || {M, T} <- [{ets, E}, {bets, B}], R <- [ets, bets]
    ],
    bets_beside:drop(E, B).

bad_continuations_test_() ->
    {E, B} = bets_beside:pair([], [{a}]),
    Compiled = ets:match_spec_compile([{'_', [], ['$_']}]),
    [
        fun() -> ?assertEqual(outcome(ets, F, [with(E, C)]), outcome(bets, F, [with(B, C)])) end
     || F <- [select, match, match_object, select_reverse],
        C <- [
            bad, {}, {a}, {a, b}, {17}, {'T'}, {'T', 1, 2, x, [], 0}, {no_such_table, 0, 1, Compiled, [], 0}, [],
            {'T', x, [], 1, Compiled, [], 0, 0, 0}
        ]
    ].

with(Tab, Tuple) when is_tuple(Tuple) ->
    list_to_tuple([case Part of 'T' -> Tab; _ -> Part end || Part <- tuple_to_list(Tuple)]);
with(_Tab, Term) ->
    Term.

objects_that_stay_are_seen_once_while_others_come_and_go_test_() ->
    {timeout, 60, fun() ->
        {E, B} = bets_beside:pair([public], [{{stays, N}, 0} || N <- lists:seq(1, 2000)]),
        Stop = make_ref(),
        Writers = [spawn_monitor(fun() -> write_until(Stop, B, W, 1) end) || W <- [1, 2]],
        [
            begin
                Seen = lists:append(chunks(bets, B, select, [{{{stays, '$1'}, '_'}, [], ['$1']}], Limit)),
                ?assertEqual(lists:seq(1, 2000), lists:sort(Seen))
            end
         || _ <- lists:seq(1, 5), Limit <- [1, 13, 500]
        ],
        [Pid ! Stop || {Pid, _} <- Writers],
        [receive {'DOWN', Ref, process, _, Reason} -> ?assertEqual(normal, Reason) end || {_, Ref} <- Writers],
        bets_beside:drop(E, B)
    end}.

write_until(Stop, Tab, W, N) ->
    bets:insert(Tab, {{comes, W, N}, N}),
    bets:delete(Tab, {comes, W, N - 100}),
    bets:insert(Tab, {{stays, 1 + (N * 7 + W) rem 2000}, N}),
    receive Stop -> ok after 0 -> write_until(Stop, Tab, W, N + 1) end.

%% Each counter is raised by some and reset by others: what is taken away is what was added.
nothing_is_lost_between_writers_and_replacers_test_() ->
    {timeout, 60, fun() ->
        {E, B} = bets_beside:pair([public], [{N, 0, 0} || N <- lists:seq(1, 20)]),
        Rounds = 2000,
        Add = fun() -> [bets:update_counter(B, 1 + N rem 20, {2, 1}) || N <- lists:seq(1, Rounds)] end,
        %% Moves what was counted from the second element to the third.
        Move = fun() ->
            [bets:select_replace(B, [{{'$1', '$2', '$3'}, [{'>', '$2', 0}], [{{'$1', 0, {'+', '$2', '$3'}}}]}]) || _ <- lists:seq(1, 200)]
        end,
        together([Add, Move, Add, Move]),
        ?assertEqual(2 * Rounds, lists:sum([X + Y || {_, X, Y} <- bets:tab2list(B)])),
        bets_beside:drop(E, B)
    end}.

deleted_and_left_objects_add_up_test_() ->
    {timeout, 60, fun() ->
        {E, B} = bets_beside:pair([public], []),
        Count = 3000,
        Sums = ets:new(sums, [public]),
        Insert = fun(From) -> fun() -> [bets:insert(B, {{From, N}, N rem 2}) || N <- lists:seq(1, Count)] end end,
        Delete = fun(I) ->
            fun() ->
                ets:insert(Sums, {I, lists:sum([bets:select_delete(B, [{{'_', 1}, [], [true]}]) || _ <- lists:seq(1, 300)])})
            end
        end,
        together([Insert(1), Delete(1), Insert(2), Delete(2)]),
        Deleted = lists:sum([N || {_, N} <- ets:tab2list(Sums)]),
        ?assertEqual(2 * Count, Deleted + bets:info(B, size)),
        ?assertEqual(Count, bets:select_count(B, [{{'_', 0}, [], [true]}])),
        ets:delete(Sums),
        bets_beside:drop(E, B)
    end}.

together(Funs) ->
    Refs = [spawn_monitor(Fun) || Fun <- Funs],
    [receive {'DOWN', Ref, process, _, Reason} -> ?assertEqual(normal, Reason) end || {_, Ref} <- Refs].

copies_in_a_bag_are_replaced_and_deleted_one_by_one_test() ->
    Objects = [{k, 1}, {k, 2}, {k, 1}, {k, 3}, {l, 1}] ++ [{many, N rem 7} || N <- lists:seq(1, 500)],
    [E, B] = [begin T = M:new(t, [duplicate_bag]), [M:insert(T, O) || O <- Objects], T end || M <- [ets, bets]],
    [
        begin
            %% What one becomes is there as another.
            ?assertEqual(length(Objects), M:select_replace(T, [{{'$1', '$2'}, [], [{{'$1', {'+', '$2', 1}}}]}])),
            ?assertEqual([{k, 2}, {k, 3}, {k, 2}, {k, 4}], order(M, M:lookup(T, k))),
            ?assertEqual([{l, 2}], M:lookup(T, l)),
            ?assertEqual(lists:sort([{many, 1 + N rem 7} || N <- lists:seq(1, 500)]), lists:sort(M:lookup(T, many))),
            ?assertEqual(length(Objects), M:select_replace(T, [{'_', [], ['$_']}])),
            ?assertEqual(2, M:select_delete(T, [{{k, 2}, [], [true]}])),
            ?assertEqual(length(Objects) - 2, M:info(T, size))
        end
     || {M, T} <- [{ets, E}, {bets, B}]
    ],
    bets_beside:drop(E, B).

%% In bets the replaced ones go to the end.
order(ets, Objects) -> Objects;
order(bets, Objects) ->
    ?assertEqual([{k, 2}, {k, 2}, {k, 3}, {k, 4}], lists:sort(Objects)),
    [{k, 2}, {k, 3}, {k, 2}, {k, 4}].

a_table_that_goes_away_in_the_middle_test() ->
    {E, B} = bets_beside:pair([], [{N} || N <- lists:seq(1, 2000)]),
    {ok, Query} = bets_match:query(B, read, [{'_', [], ['$_']}], forward),
    Delete = fun(_Objects, Steps) ->
        _ = (catch bets:delete(B)),
        {ok, Steps + 1}
    end,
    ?assertEqual({badarg, id}, bets_match:fold(Query, Delete, 0)),
    ets:delete(E).

deleting_all_counts_all_test() ->
    {E, B} = bets_beside:pair([], [{N} || N <- lists:seq(1, 100)]),
    ?assertEqual(100, bets:select_delete(B, [{'_', [], [true]}])),
    ?assertEqual(0, bets:info(B, size)),
    ?assertEqual(0, bets:select_delete(B, [{'_', [], [true]}])),
    bets_beside:drop(E, B).

changes_survive_test() ->
    Dir = bets_beside:temp_dir("match_reopen"),
    T = bets:new(t, [{dir, Dir}, {sync, always}]),
    bets:insert(T, [{N, N rem 3} || N <- lists:seq(1, 300)]),
    100 = bets:select_delete(T, [{{'_', 0}, [], [true]}]),
    100 = bets:select_replace(T, [{{'$1', 1}, [], [{{'$1', replaced}}]}]),
    Before = lists:sort(bets:tab2list(T)),
    bets:close(T),
    {ok, T2} = bets:open(Dir),
    ?assertEqual(Before, lists:sort(bets:tab2list(T2))),
    bets:delete(T2).

changes_of_bags_survive_test() ->
    Dir = bets_beside:temp_dir("match_reopen_bag"),
    T = bets:new(t, [duplicate_bag, {dir, Dir}, {sync, always}]),
    bets:insert(T, [{N rem 10, N rem 3} || N <- lists:seq(1, 300)]),
    100 = bets:select_delete(T, [{{'_', 0}, [], [true]}]),
    100 = bets:select_replace(T, [{{'$1', 1}, [], [{{'$1', replaced}}]}]),
    Before = bets:tab2list(T),
    bets:close(T),
    {ok, T2} = bets:open(Dir),
    ?assertEqual(Before, bets:tab2list(T2)),
    bets:delete(T2).

%% ---------------------------------------------------------------- specifications

fun2ms_test() ->
    N = 10,
    ?assertEqual([{{'$1', '$2'}, [{'>', '$2', {const, 10}}], ['$1']}], bets:fun2ms(fun({K, V}) when V > N -> K end)),
    ?assertEqual([{{'$1'}, [], ['$_']}], ets:fun2ms(fun({_K} = Object) -> Object end)),
    ?assertExit({badarg, {bets, fun2ms, [function | _]}}, apply(bets, fun2ms, [fun(X) -> X end])),
    ?assertError(function_clause, apply(bets, fun2ms, [not_a_fun])).

fun2ms_in_the_shell_test() ->
    {ok, Tokens, _} = erl_scan:string("bets:fun2ms(fun({A, B}) when B > N -> A end)."),
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    ?assertEqual(
        {value, [{{'$1', '$2'}, [{'>', '$2', {const, 7}}], ['$1']}], [{'N', 7}]}, erl_eval:exprs(Exprs, [{'N', 7}])
    ).

the_transform_tells_what_is_wrong_test() ->
    Forms = fun(Text) ->
        {ok, Tokens, _} = erl_scan:string(Text),
        {ok, Form} = erl_parse:parse_form(Tokens),
        Form
    end,
    Module = [{attribute, 1, file, {"m.erl", 1}}, {attribute, 1, module, m}],
    Result = bets_ms_transform:parse_transform(Module ++ [Forms("f() -> bets:fun2ms(fun(X) -> lists:map(X) end).")], []),
    {error, [{"m.erl", [{_, ms_transform, Error} | _]}], _} = Result,
    ?assert(is_list(lists:flatten(bets_ms_transform:format_error(Error)))).

compiled_specifications_test_() ->
    Compiled = ets:match_spec_compile([{'$1', [], ['$1']}]),
    [
        fun() -> ?assertEqual(result(ets, F, Args), result(bets, F, Args)) end
     || {F, Args} <- [
            {match_spec_compile, [bad]}, {match_spec_run, [[{a}, b, 1], Compiled]}, {match_spec_run, [[a], bad]}, {match_spec_run, [a, Compiled]},
            {match_spec_run, [[a | b], Compiled]}, {is_compiled_ms, [Compiled]}, {is_compiled_ms, [x]}, {is_compiled_ms, [make_ref()]},
            {test_ms, [{a, b}, [{{'$1', '_'}, [], ['$1']}]]}, {test_ms, [{a}, [{{b}, [], [true]}]]}, {test_ms, [{a}, bad]}, {test_ms, [a, [{'$1', [], ['$1']}]]}
        ]
    ].

result(Module, Function, Args) ->
    try {ok, apply(Module, Function, Args)}
    catch Class:Reason -> {Class, Reason}
    end.
