%% The short form of the differential test, and its proof: `bets_diff' passes ets itself and finds seeded faults.
-module(bets_diff_tests).

-include_lib("eunit/include/eunit.hrl").

%% The long form is `bin/soak diff'.
bets_does_what_ets_does_test_() ->
    {timeout, 1200, fun() -> passes(bets_diff:run(#{module => bets, sequences => 10000})) end}.

harness_passes_ets_test_() ->
    {timeout, 300, fun() -> passes(bets_diff:run(#{module => bets_diff_ref, sequences => 400})) end}.

%% The seed is fixed: a fault that is rare in the sequences must not make the test fail now and then.
harness_finds_test_() ->
    {inparallel, 3,
    [{atom_to_list(Mutant), {timeout, 120, fun() -> ?assertNotEqual(missed, bets_diff_soak:mutants(sequential, #{mutant => Mutant, seed => 5})) end}}
     || Mutant <- bets_diff_mutants:sequential()]}.

shrinks_to_few_operations_test_() ->
    {timeout, 120, fun() ->
        {failed, #{reproduced := true, sequence := Text}} =
            bets_diff:run(#{module => bets_diff_ref, mutant => take_keeps, seed => 5, sequences => 400}),
        %% How the table is made, and two or three operations.
        Numbered = [Line || Line <- binary:split(Text, <<"\n">>, [global]), re:run(Line, "^ +[0-9]+  [{k]") =/= nomatch],
        ?assert(length(Numbered) =< 4)
    end}.

one_seed_one_sequence_test() ->
    Spec = #{seed => 7, number => 3, kills => 2, kills_at => [], keep => all, min_ops => 50, max_ops => 80, max_keys => 20, type => any},
    ?assertEqual(bets_diff_batch:generate(Spec), bets_diff_batch:generate(Spec)),
    ?assert(length(maps:get(ops, bets_diff_batch:generate(Spec))) >= 50).

comparison_sees_the_sign_of_zero_test() ->
    ?assert(bets_diff_terms:same({[0.0], #{a => 1}}, {[0.0], #{a => 1}})),
    ?assertNot(bets_diff_terms:same({[0.0]}, {[bets_diff_terms:negative_zero()]})),
    ?assert(bets_diff_terms:same({[bets_diff_terms:negative_zero()]}, {[bets_diff_terms:negative_zero()]})),
    ?assertNot(bets_diff_terms:same_bag([1, 2], [1.0, 2])).

passes(Result) ->
    ?debugFmt("~ts", [bets_diff:format(Result)]),
    ?assertMatch({ok, _}, Result).
