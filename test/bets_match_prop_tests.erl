%% The properties of prop_match, some cases each: PROPER_TESTS says how many.
-module(bets_match_prop_tests).

-include_lib("eunit/include/eunit.hrl").

properties_test_() ->
    Tests = list_to_integer(os:getenv("PROPER_TESTS", "200")),
    [
        {timeout, 600, {atom_to_list(Property), fun() ->
            ?assert(proper:quickcheck(prop_match:Property(), [{numtests, Tests}, {to_file, user}, long_result]) =:= true)
        end}}
     || {Property, 0} <- prop_match:module_info(exports), lists:prefix("prop_", atom_to_list(Property))
    ].
