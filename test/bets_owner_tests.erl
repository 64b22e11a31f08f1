%% Names, owners and heirs, beside those of ets: where the directory of a table goes when its name changes, and what is left of a table when
%% its owner dies.
-module(bets_owner_tests).

-include_lib("eunit/include/eunit.hrl").

-compile(nowarn_export_all).
-compile(export_all).

-import(bets_beside, [dead_process/0, drop/2, in_dir/1, in_process/1, outcome/3, pair/2, temp_dir/1, wait_until/1]).

%% ---------------------------------------------------------------- names

named_tables_test() ->
    in_dir(fun(_) ->
        named = bets:new(named, [named_table]),
        ?assertEqual(true, bets:insert(named, {a, 1})),
        Tid = bets:whereis(named),
        ?assertEqual([{a, 1}], bets:lookup(Tid, a)),
        ?assert(lists:member(named, bets:all())),
        ?assertMatch({error, badarg, already_exists, #{1 := <<"table name already exists">>}},
            outcome(fun bets:new/2, [named, [named_table]], bets)),
        ?assertEqual(other, bets:rename(named, other)),
        ?assertEqual(undefined, bets:whereis(named)),
        ?assertEqual(Tid, bets:whereis(other)),
        ?assertMatch({error, badarg, none, #{2 := _}}, outcome(fun bets:rename/2, [other, other], bets)),
        ?assertEqual(true, bets:delete(other)),
        ?assertEqual(undefined, bets:whereis(other)),
        ?assertEqual(undefined, bets:info(Tid))
    end).

%% To ets, `undefined' is a name as any other.
undefined_is_a_name_test() ->
    in_dir(fun(Dir) ->
        [
            begin
                a = Module:new(a, [named_table]),
                Tid = Module:whereis(a),
                Module:insert(a, {k, 1}),
                ?assertEqual(undefined, Module:rename(a, undefined)),
                ?assertEqual({undefined, Tid}, {Module:whereis(a), Module:whereis(undefined)}),
                ?assertEqual([{k, 1}], Module:lookup(undefined, k)),
                ?assertEqual({undefined, true}, {Module:info(undefined, name), Module:info(undefined, named_table)}),
                ?assertMatch({error, badarg, already_exists, _}, outcome(fun Module:new/2, [undefined, [named_table]], Module)),
                ?assertMatch({error, badarg, none, _}, outcome(fun Module:rename/2, [undefined, undefined], Module)),
                ?assertEqual(b, Module:rename(undefined, b)),
                ?assertEqual(undefined, Module:whereis(undefined)),
                Module:delete(b),
                Unnamed = Module:new(u, []),
                ?assertEqual({Unnamed, undefined}, {Module:rename(Unnamed, undefined), Module:info(Unnamed, name)}),
                Module:delete(Unnamed)
            end
         || Module <- [ets, bets]
        ],
        %% Its directory is opened again by either function, under that name or another.
        undefined = bets:new(undefined, [named_table]),
        bets:insert(undefined, {k, 1}),
        Undefined = bets:info(undefined, dir),
        bets:close(undefined),
        {ok, undefined} = bets:open(Undefined, [named_table, {name, undefined}]),
        ?assertEqual([{k, 1}], bets:lookup(undefined, k)),
        bets:delete(undefined),
        bets:close(bets:new(stored, [{dir, Dir}])),
        {ok, undefined} = bets:open(Dir, [named_table, {name, undefined}]),
        ?assertEqual(undefined, bets:info(bets:whereis(undefined), name)),
        bets:close(undefined),
        {ok, T} = bets:open(Dir, [{name, undefined}]),
        ?assertEqual(undefined, bets:info(T, name)),
        bets:close(T),
        {ok, Stored} = bets:open(Dir),
        ?assertEqual(stored, bets:info(Stored, name)),
        ?assertMatch({error, badarg, {bad_option, named_table}, _}, outcome(fun bets:open/2, [Dir, [named_table]], bets)),
        bets:close(Stored)
    end).

the_directory_moves_with_the_name_test() ->
    in_dir(fun(_) ->
        before = bets:new(before, [named_table]),
        bets:insert(before, {a, 1}),
        Old = bets:info(before, dir),
        'after' = bets:rename(before, 'after'),
        New = bets:info('after', dir),
        ?assertEqual({binary_to_list(bets_dir:of_name('after')), false, true}, {New, filelib:is_dir(Old), filelib:is_dir(New)}),
        bets:insert('after', {b, 2}),
        %% The old name is free, for a table of its own.
        before = bets:new(before, [named_table]),
        ?assertEqual([], bets:tab2list(before)),
        ?assertEqual(ok, bets:close(before)),
        ?assertError({bets, {not_a_table, _, _}}, bets:rename('after', before)),
        ?assertEqual(ok, bets:close('after')),
        'after' = bets:new('after', [named_table]),
        ?assertEqual([{a, 1}, {b, 2}], lists:sort(bets:tab2list('after'))),
        bets:delete('after')
    end).

an_explicit_directory_stays_when_the_name_changes_test() ->
    in_dir(fun(Dir) ->
        named = bets:new(named, [named_table, {dir, Dir}]),
        other = bets:rename(named, other),
        ?assertEqual(Dir, bets:info(other, dir)),
        ?assertEqual({error, already_open}, bets:open(Dir)),
        bets:close(other)
    end).

renaming_an_unnamed_table_changes_its_info_only_test() ->
    {E, B} = pair([], []),
    ?assertEqual(E, ets:rename(E, other)),
    ?assertEqual(B, bets:rename(B, other)),
    ?assertEqual({other, other}, {ets:info(E, name), bets:info(B, name)}),
    drop(E, B).

a_name_stays_below_the_data_directory_test() ->
    in_dir(fun(Dir) ->
        Names = [
            '..', '.', '', '/', '/etc', 'a/../../b', 'A', a, 'ä', 'λ', '=', '==', '=41', 'a b', 'a\n', 'con', '~',
            list_to_atom(lists:duplicate(255, $x)), list_to_atom(lists:duplicate(255, $X)),
            list_to_atom(lists:duplicate(254, $X) ++ "Y"), list_to_atom(lists:duplicate(255, 16#10FFFF))
        ],
        Dirs = [bets_dir:of_name(Name) || Name <- Names],
        ?assertEqual(length(Names), length(lists:usort([string:casefold(D) || D <- Dirs]))),
        [
            begin
                ?assertEqual(unicode:characters_to_binary(filename:join(Dir, "data")), filename:dirname(D)),
                ?assertMatch({match, _}, re:run(filename:basename(D), "^[a-z0-9_=-]{1,200}$"))
            end
         || D <- Dirs
        ]
    end).

%% ---------------------------------------------------------------- owners

the_files_of_a_temporary_table_go_with_its_owner_test() ->
    Tab = in_process(fun() -> bets:new(t, [public]) end),
    ?assertEqual(undefined, bets:info(Tab)),
    ?assertMatch({error, badarg, id, _}, outcome(fun bets:insert/2, [Tab, {a}], bets)),
    Kept = bets:new(t, []),
    Dir = bets:info(Kept, dir),
    bets:delete(Kept),
    ?assertNot(filelib:is_dir(Dir)).

%% The table of a dead owner is gone for whoever is linked to it before he hears of the death.
a_dead_owner_has_no_table_test() ->
    [
        begin
            Parent = self(),
            process_flag(trap_exit, true),
            Owner = spawn_link(fun() ->
                T = bets:new(owned, [named_table, public, {dir, temp_dir("owned")}]),
                Parent ! {tab, bets:whereis(T)},
                receive stop -> ok end
            end),
            Tid = receive {tab, T0} -> T0 end,
            ?assertEqual(Owner, bets:info(owned, owner)),
            Owner ! stop,
            receive {'EXIT', Owner, normal} -> ok end,
            ?assertEqual(undefined, bets:whereis(owned)),
            ?assertEqual(undefined, bets:info(Tid)),
            ?assertMatch({error, badarg, id, _}, outcome(fun bets:member/2, [Tid, a], bets)),
            %% Opening the same directory waits until it is closed.
            {ok, Again} = bets:open(temp_dir("owned"), [named_table, {name, owned}]),
            bets:delete(Again),
            process_flag(trap_exit, false)
        end
     || _ <- lists:seq(1, 20)
    ].

the_heir_gets_the_table_test() ->
    [
        begin
            Me = self(),
            Owner = spawn(fun() ->
                T = Module:new(inherited, [named_table, {heir, Me, {some, [data]}}]),
                Module:insert(T, {a, 1}),
                receive stop -> ok end
            end),
            wait_until(fun() -> Module:whereis(inherited) =/= undefined andalso Module:member(inherited, a) end),
            ?assertEqual(Me, Module:info(inherited, heir)),
            Owner ! stop,
            receive {'ETS-TRANSFER', inherited, Owner, {some, [data]}} -> ok after 60000 -> error(no_message) end,
            ?assertEqual(Me, Module:info(inherited, owner)),
            ?assertEqual([{a, 1}], Module:lookup(inherited, a)),
            ?assertEqual(Me, Module:info(inherited, heir)),
            Module:delete(inherited)
        end
     || Module <- [ets, bets]
    ].

a_dead_heir_inherits_nothing_test() ->
    Heir = dead_process(),
    Tab = in_process(fun() ->
        T = bets:new(t, [public, {heir, Heir, data}]),
        none = bets:info(T, heir),
        T
    end),
    ?assertEqual(undefined, bets:info(Tab)).

give_away_test() ->
    [
        begin
            Tab = Module:new(t, [protected]),
            Me = self(),
            Taker = spawn(fun() ->
                receive {'ETS-TRANSFER', T, From, gift} -> From ! {got, T, Module:insert(T, {a, 1})} end,
                receive stop -> ok end
            end),
            ?assert(Module:give_away(Tab, Taker, gift)),
            receive {got, Tab, true} -> ok after 60000 -> error(no_message) end,
            ?assertEqual(Taker, Module:info(Tab, owner)),
            ?assertMatch({error, badarg, access, _}, outcome(fun Module:insert/2, [Tab, {b, 1}], Module)),
            ?assertMatch({error, badarg, access, _}, outcome(fun Module:give_away/3, [Tab, Me, x], Module)),
            Taker ! stop,
            wait_until(fun() -> Module:info(Tab) =:= undefined end)
        end
     || Module <- [ets, bets]
    ].

setopts_changes_protection_test() ->
    {E, B} = pair([public], []),
    [Module:setopts(T, {protection, private}) || {Module, T} <- [{ets, E}, {bets, B}]],
    ?assertEqual(ets:info(E, protection), bets:info(B, protection)),
    ?assertMatch({error, badarg, access, _}, in_process(fun() -> outcome(fun bets:lookup/2, [B, a], bets) end)),
    drop(E, B).
