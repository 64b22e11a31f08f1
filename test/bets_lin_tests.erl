%% The short form of the parallel test, and its proof.
-module(bets_lin_tests).

-include_lib("eunit/include/eunit.hrl").

%% The long form is `bin/soak parallel'.
bets_is_linearizable_test_() ->
    [{atom_to_list(Type), {timeout, 300, fun() -> passes(bets_lin:run(#{module => bets, type => Type, histories => 2500})) end}}
     || Type <- [set, ordered_set, bag, duplicate_bag]].

no_list_is_seen_by_half_test_() ->
    [{atom_to_list(Type), {timeout, 60, fun() -> passes(bets_lin:watch(#{module => bets, type => Type, seconds => 2})) end}}
     || Type <- [set, ordered_set]].

ets_is_linearizable_test_() ->
    {timeout, 300, fun() -> passes(bets_lin:run(#{module => bets_diff_ref, histories => 1000})) end}.

harness_finds_test_() ->
    [{atom_to_list(Mutant), {timeout, 120, fun() -> ?assertNotEqual(missed, bets_diff_soak:mutants(parallel, #{mutant => Mutant, seed => 1})) end}}
     || Mutant <- bets_diff_mutants:parallel()].

model_answers_as_ets_test_() ->
    {timeout, 60, fun() ->
        [?assert(proper:quickcheck(proper:forall(proper_types:list(bets_lin:op()), fun(Ops) -> bets_lin_model:agrees(Type, Ops) end),
                                   [quiet, {numtests, 1000}, {max_size, 60}]))
         || Type <- [set, ordered_set, bag, duplicate_bag]]
    end}.

%% Histories by hand: called, returned, operation, answer.
checker_test_() ->
    Check = fun(Events) -> bets_lin_check:is_linearizable(bets_lin_model:new(set), Events) end,
    [?_assert(Check([])),
     {"a lookup within an insert may see it or not",
      [?_assert(Check([{1, 4, {insert, {a, 1}}, true}, {2, 3, {lookup, a}, Answer}])) || Answer <- [[], [{a, 1}]]]},
     {"a lookup after an insert sees it",
      ?_assertNot(Check([{1, 2, {insert, {a, 1}}, true}, {3, 4, {lookup, a}, []}]))},
     {"what was seen once is seen later",
      ?_assertNot(Check([{1, 6, {insert, {a, 1}}, true}, {2, 3, {lookup, a}, [{a, 1}]}, {4, 5, {lookup, a}, []}]))},
     {"two counters give two answers",
      ?_assertNot(Check([{1, 3, {update_counter, a, 1, {a, 0}}, 1}, {2, 4, {update_counter, a, 1, {a, 0}}, 1}]))},
     {"a list is there at once",
      ?_assertNot(Check([{1, 6, {insert, [{a, 1}, {b, 1}]}, true}, {2, 3, {lookup, a}, [{a, 1}]}, {4, 5, {lookup, b}, []}]))}].

passes(Result) ->
    ?debugFmt("~ts", [bets_lin:format(Result)]),
    ?assertMatch({ok, _}, Result).
