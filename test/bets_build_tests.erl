-module(bets_build_tests).
%% PropEr first: both define ?LET, and EUnit gives way.
-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").

%% The library that the build put beside the beams is the one that is loaded.
the_nif_loads_test() ->
    ?assertMatch({module, bets_nif}, code:ensure_loaded(bets_nif)).
