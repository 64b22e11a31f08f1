%% The short form of the kill soak, and its proof.
-module(bets_kill_tests).

-include_lib("eunit/include/eunit.hrl").

%% The long form is `bin/soak kill'.
no_acknowledged_write_is_lost_test_() ->
    %% Side by side: they wait for VMs to start and for their moments most of the time.
    {inparallel, 3,
    [{lists:flatten(io_lib:format("sync ~w", [Sync])), {timeout, 300, fun() -> passes(bets_kill:run(#{module => bets, kills => 20, sync => Sync})) end}}
     || Sync <- [always, {interval, 1000}, none]]}.

harness_passes_a_log_of_calls_test_() ->
    {timeout, 120, fun() -> passes(bets_kill:run(#{module => bets_diff_ref, kills => 10, sync => none})) end}.

harness_finds_test_() ->
    {inparallel, 3,
    [{atom_to_list(Mutant), {timeout, 300, fun() -> ?assertNotEqual(missed, bets_diff_soak:mutants(killed, #{mutant => Mutant, seed => 1})) end}}
     || Mutant <- bets_diff_mutants:killed()]}.

passes(Result) ->
    ?debugFmt("~ts", [bets_kill:format(Result)]),
    ?assertMatch({ok, _}, Result).
