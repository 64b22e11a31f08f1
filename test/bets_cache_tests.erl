%% The value cache is bounded, for all tables together, and visible.
-module(bets_cache_tests).

-include_lib("eunit/include/eunit.hrl").

the_bound_holds_for_all_tables_together_test_() ->
    {timeout, 60, fun() ->
        Bound = 8 bsl 20,
        ok = restart([{cache, Bound}]),
        Tables = [bets:new(cached, [public]) || _ <- [1, 2]],
        [bets:insert(T, {N, <<0:8000>>}) || T <- Tables, N <- lists:seq(1, 20000)],
        Held = lists:sum([bets:info(T, cache) || T <- Tables]),
        %% What waits for its last reader is still counted.
        ?assert(Held > Bound div 4),
        ?assert(Held < Bound * 3 div 2),
        %% What was pushed out is read from the disk.
        [?assertEqual([{N, <<0:8000>>}], bets:lookup(T, N)) || T <- Tables, N <- lists:seq(1, 20000)],
        [bets:delete(T) || T <- Tables],
        ok = restart([])
    end}.

what_bets_holds_shows_in_the_memory_of_the_vm_test_() ->
    {timeout, 120, fun() ->
        T = bets:new(seen, [public]),
        %% What tables of tests before had is freed in the background.
        Before = settled(erlang:memory(total)),
        %% Some megabytes of what tables before had may be kept for this one, and counted already.
        [bets:insert(T, {N, <<0:8000>>}) || N <- lists:seq(1, 80000)],
        ?assert(erlang:memory(total) - Before > 40000 * 1000),
        ?assert(bets:info(T, cache) > 80000 * 1000),
        bets:delete(T)
    end}.

settled(Bytes) ->
    timer:sleep(300),
    case erlang:memory(total) of
        Fewer when Fewer < Bytes - 100000 -> settled(Fewer);
        Now -> Now
    end.

a_bound_that_is_no_number_is_refused_with_a_reason_test() ->
    _ = application:stop(bets),
    ok = application:set_env(bets, cache, lots),
    ?assertMatch({error, {bad_return, {_, {'EXIT', {{bad_cache, lots, _}, _}}}}}, start_quietly()),
    ok = restart([]).

start_quietly() ->
    Level = maps:get(level, logger:get_primary_config()),
    logger:set_primary_config(level, none),
    try application:start(bets)
    after logger:set_primary_config(level, Level)
    end.

restart(Env) ->
    _ = application:stop(bets),
    ok = application:unset_env(bets, cache),
    [ok = application:set_env(bets, Key, Value) || {Key, Value} <- Env],
    %% Without a bound of the environment the last one stays, so the default is set by hand.
    Env =:= [] andalso bets_nif:set_cache(1 bsl 30),
    application:start(bets).
