%% The short forms of the long churn: descriptors and memory stay as they are, whatever comes and goes. `bin/soak churn' has the long ones.
-module(bets_churn_tests).

-include_lib("eunit/include/eunit.hrl").

openings_leave_nothing_test_() -> short(opens, 600).

kills_of_callers_and_owners_leave_nothing_test_() -> short(kills, 400).

a_stop_in_a_merge_is_no_crash_test_() -> short(halts, 3).

hostile_names_stay_inside_and_nobody_else_may_look_test_() -> short(names, 120).

short(Part, N) ->
    {timeout, 120, fun() ->
        Dir = filename:join(os:getenv("TMPDIR", "/tmp"), "bets_churn_tests_" ++ os:getpid()),
        try
            ?assertMatch({ok, _}, bets_churn:Part(Dir, N))
        after
            file:del_dir_r(Dir)
        end
    end}.
