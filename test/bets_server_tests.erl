%% Owners under supervisors, and what a stop of the application or of the VM leaves behind.
-module(bets_server_tests).

-include_lib("eunit/include/eunit.hrl").

-behaviour(supervisor).

-export([init/1]).
%% Called in other VMs.
-export([own/2, temporary/0]).

supervised_test_() ->
    [
        {"a table stays with its supervisor's child", with(fun stays/1)},
        {"a killed owner's table is opened again by the restart", with(fun restarts/1)},
        {"stopping the supervisor closes the table, durably", with(fun stops/1)},
        {"an owner whose table someone else closed stops quietly", with(fun closed_by_another/1)},
        {"an owner that cannot open its table does not start, and says why", with(fun refuses/1)},
        {"the protection that was asked for is kept", with(fun protection/1)},
        {"messages and calls from strangers do an owner no harm", with(fun strangers/1)}
    ].

stays(Dir) ->
    Supervisor = supervise(Dir),
    true = bets:insert(served, {a, 1}),
    [{{bets, served}, Owner, worker, [bets_server]}] = supervisor:which_children(Supervisor),
    ?assertEqual(Owner, bets:info(served, owner)),
    ?assertEqual(public, bets:info(served, protection)),
    stop(Supervisor).

restarts(Dir) ->
    Supervisor = supervise(Dir),
    [{_, First, _, _}] = supervisor:which_children(Supervisor),
    Second = lists:foldl(
        fun(N, Owner) ->
            true = bets:insert(served, {N, N}),
            exit(Owner, kill),
            restarted(Supervisor, Owner)
        end,
        First,
        lists:seq(1, 5)
    ),
    ?assertNotEqual(First, Second),
    ?assertEqual([{N, N} || N <- lists:seq(1, 5)], lists:sort(bets:tab2list(served))),
    stop(Supervisor).

restarted(Supervisor, Old) ->
    case supervisor:which_children(Supervisor) of
        [{_, New, _, _}] when is_pid(New), New =/= Old -> New;
        _ -> timer:sleep(1), restarted(Supervisor, Old)
    end.

stops(Dir) ->
    Supervisor = supervise(Dir),
    true = bets:insert(served, {a, 1}),
    stop(Supervisor),
    ?assertEqual(undefined, bets:whereis(served)),
    ?assert(is_clean(Dir)),
    {ok, Table} = bets:open(Dir),
    ?assertEqual([{a, 1}], bets:lookup(Table, a)),
    ok = bets:close(Table).

closed_by_another(Dir) ->
    {ok, Owner} = bets:start_link([{name, served}, {dir, Dir}]),
    ok = bets:close(served),
    ?assertEqual(ok, gen_server:stop(Owner)).

refuses(Dir) ->
    ok = bets:close(bets:new(t, [{dir, Dir}, {keypos, 2}])),
    process_flag(trap_exit, true),
    Start = fun(Options) -> bets:start_link([{dir, Dir} | Options]) end,
    ?assertEqual({error, {keypos_mismatch, 2, 1}}, Start([{name, served}])),
    ?assertEqual({error, {bad_option, {sync, often}}}, Start([{name, served}, {sync, often}])),
    ?assertEqual({error, {bad_options, no_name}}, Start([])),
    ?assertEqual({error, {bad_options, no_name}}, Start([{name, "served"}])),
    ?assertEqual({error, {bad_option, colour}}, Start([{name, served}, colour])),
    ?assertEqual({error, {bad_options, [{name, served} | end_of_list]}}, bets:start_link([{name, served} | end_of_list])),
    {ok, Table} = bets:open(Dir, [{name, served}, named_table]),
    ?assertEqual({error, already_exists}, Start([{name, served}, {keypos, 2}])),
    ?assertEqual({error, already_open}, Start([{name, other}, {keypos, 2}])),
    ok = bets:close(Table),
    %% Every reason has words.
    [
        ?assertMatch([_ | _], bets_errors:explain(Reason))
     || Reason <- [{bad_options, no_name}, {bad_options, [{name, served} | end_of_list]}, already_exists, already_open]
    ].

protection(Dir) ->
    {ok, Owner} = bets:start_link([{name, served}, {dir, Dir}, protected]),
    ?assertEqual(protected, bets:info(served, protection)),
    ?assertError(badarg, bets:insert(served, {a, 1})),
    ok = gen_server:stop(Owner).

strangers(Dir) ->
    {ok, Owner} = bets:start_link([{name, served}, {dir, Dir}]),
    Owner ! hello,
    ok = gen_server:cast(Owner, hello),
    ?assertEqual({error, unknown_call}, gen_server:call(Owner, hello)),
    true = bets:insert(served, {a, 1}),
    ok = gen_server:stop(Owner).

application_test_() ->
    [
        {"a stop of the application leaves no unsealed segment",
            with(fun(Dir) -> ?assert(is_clean_after(Dir, fun(Vm) -> ok = peer:call(Vm, application, stop, [bets]), halt_vm(Vm) end)) end)},
        {"so does a stop of the VM",
            with(fun(Dir) -> ?assert(is_clean_after(Dir, fun(Vm) -> ok = peer:call(Vm, init, stop, []) end)) end)},
        {"a halt does not, and loses nothing",
            with(fun(Dir) -> ?assertNot(is_clean_after(Dir, fun(Vm) -> halt_vm(Vm) end)) end)}
    ].

%% Two tables: one of a supervised owner, one whose owner lives as long as the VM and knows nothing of stopping.
is_clean_after(Dir, Stop) ->
    Dirs = [filename:join(Dir, Name) || Name <- ["served", "owned"]],
    Vm = start_vm([]),
    ok = peer:call(Vm, ?MODULE, own, Dirs),
    Stop(Vm),
    gone(Vm),
    Clean = [is_clean(D) || D <- Dirs],
    [
        begin
            {ok, Table} = bets:open(D),
            ?assertEqual([{N, N} || N <- lists:seq(1, 100)], lists:sort(bets:tab2list(Table))),
            ok = bets:close(Table)
        end
     || D <- Dirs
    ],
    ?assertMatch([Same, Same], Clean),
    hd(Clean).

own(ServedDir, OwnedDir) ->
    {ok, _} = application:ensure_all_started(bets),
    Parent = self(),
    spawn(fun() ->
        {ok, _} = bets:start_link([{name, served}, {dir, ServedDir}, {sync, none}]),
        owned = bets:new(owned, [named_table, public, {dir, OwnedDir}, {sync, none}]),
        Parent ! ready,
        receive
            never -> ok
        end
    end),
    receive
        ready -> ok
    end,
    [true = bets:insert(Table, {N, N}) || Table <- [served, owned], N <- lists:seq(1, 100)],
    ok.

halt_vm(Vm) ->
    catch peer:call(Vm, erlang, halt, [0]).

temporary_test_() ->
    {"starting sweeps the temporary tables of dead VMs, and only theirs", with(fun sweeps/1)}.

sweeps(Dir) ->
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    Tables = fun() -> lists:sort(filelib:wildcard(filename:join(Dir, "bets-temporary-*"))) end,
    Env = [{"TMPDIR", Dir}],
    Living = start_vm(Env),
    ok = peer:call(Living, ?MODULE, temporary, []),
    [OfLiving] = Tables(),
    Dead = start_vm(Env),
    ok = peer:call(Dead, ?MODULE, temporary, []),
    [OfDead] = Tables() -- [OfLiving],
    "" = os:cmd("kill -9 " ++ peer:call(Dead, os, getpid, [])),
    gone(Dead),
    ?assert(filelib:is_dir(OfDead)),
    Next = start_vm(Env),
    {ok, _} = peer:call(Next, application, ensure_all_started, [bets]),
    ?assertEqual([OfLiving], Tables()),
    ok = peer:stop(Next),
    ok = peer:call(Living, init, stop, []),
    gone(Living),
    ?assertEqual([], Tables()).

temporary() ->
    Parent = self(),
    spawn(fun() ->
        true = bets:insert(bets:new(t, [public]), {a, 1}),
        Parent ! ready,
        receive
            never -> ok
        end
    end),
    receive
        ready -> ok
    end.

%% Helpers.

with(Test) ->
    {timeout, 60, fun() ->
        {ok, _} = application:ensure_all_started(bets),
        Name = io_lib:format("bets-server-~s-~w", [os:getpid(), erlang:unique_integer([positive])]),
        Dir = filename:join(bets_dir:temporary_root(), Name),
        try
            Test(unicode:characters_to_list(Dir))
        after
            file:del_dir_r(Dir)
        end
    end}.

supervise(Dir) ->
    {ok, Supervisor} = supervisor:start_link(?MODULE, [bets:child_spec([{name, served}, {dir, Dir}])]),
    Supervisor.

init(Children) ->
    {ok, {#{intensity => 10}, Children}}.

stop(Supervisor) ->
    unlink(Supervisor),
    gen_server:stop(Supervisor).

start_vm(Env) ->
    Paths = lists:append([["-pa", Path] || Path <- code:get_path(), filelib:is_dir(Path)]),
    {ok, Vm, _Node} = peer:start(#{connection => standard_io, args => Paths, env => Env}),
    Vm.

gone(Vm) ->
    Monitor = monitor(process, Vm),
    receive
        {'DOWN', Monitor, process, Vm, _} -> ok
    after 60000 -> error(still_running)
    end.

%% Whether every segment that the manifest names is sealed (docs/format.md).
is_clean(Dir) ->
    {ok, <<"bets.man", _:8/binary, Body/binary>>} = file:read_file(filename:join(Dir, "MANIFEST")),
    <<_:52/binary, NameLen:32/little, _:NameLen/binary, Count:32/little, Segments:(Count * 32)/binary, _/binary>> = Body,
    [] =:= [Id || <<Id:32/little, State, _:27/binary>> <= Segments, State =/= 1].
