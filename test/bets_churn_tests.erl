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

%% Guards the closing of a table whose owner is dead and that nobody asks for any more: its lock and its files are let go of all the same.
a_dead_owners_table_closes_though_nobody_asks_test_() ->
    {timeout, 30, fun() ->
        Dir = filename:join(os:getenv("TMPDIR", "/tmp"), "bets_churn_tests_owner_" ++ os:getpid()),
        {Owner, Monitor} = spawn_monitor(fun() ->
            T = bets:new(t, [{dir, Dir}]),
            true = bets:insert(T, {a, 1}),
            exit({holds, descriptors(Dir)})
        end),
        receive {'DOWN', Monitor, process, Owner, {holds, Held}} -> ?assert(Held > 0) end,
        ?assertEqual(0, settled(Dir, 100)),
        file:del_dir_r(Dir)
    end}.

settled(Dir, Times) ->
    case descriptors(Dir) of
        Held when Held > 0, Times > 0 -> timer:sleep(100), settled(Dir, Times - 1);
        Held -> Held
    end.

%% Descriptors of files of a directory, and of itself.
descriptors(Dir) ->
    {ok, Fds} = file:list_dir("/proc/self/fd"),
    Links = [file:read_link_all(filename:join("/proc/self/fd", Fd)) || Fd <- Fds],
    length([Path || {ok, Path} <- Links, lists:prefix(Dir, unicode:characters_to_list(Path))]).

%% Guards a running system against a new version of the library: it is refused, and the one that is loaded goes on, also for who is in the midst of its calls.
a_library_that_is_loaded_again_is_refused_and_the_old_one_goes_on_test_() ->
    {timeout, 30, fun() ->
        T = bets:new(loaded_again, [public]),
        true = bets:insert(T, {n, 0}),
        Busy = spawn_link(fun F() -> bets:update_counter(T, n, 1), F() end),
        #{level := Level} = logger:get_primary_config(),
        ok = logger:set_primary_config(level, none),
        Loaded = [code:load_file(bets_nif) || _ <- lists:seq(1, 3)],
        ok = logger:set_primary_config(level, Level),
        ?assertEqual(lists:duplicate(3, {error, on_load_failure}), Loaded),
        [{n, Before}] = bets:lookup(T, n),
        ok = counts_on(T, Before, 100),
        unlink(Busy),
        exit(Busy, kill),
        true = bets:delete(T)
    end}.

counts_on(T, Before, Tries) ->
    case bets:lookup(T, n) of
        [{n, After}] when After > Before -> ok;
        _ when Tries > 0 -> timer:sleep(50), counts_on(T, Before, Tries - 1)
    end.
