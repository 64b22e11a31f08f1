%% Makes the calls of bets:fun2ms/1, ets:fun2ms/1 and dbg:fun2ms/1 in a module into match specifications.
-compile({parse_transform, bets_ms_transform}).
