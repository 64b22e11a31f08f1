%% Tables in directories: what is there after a reopening, one user of a directory at a time, the options that are bets' own; and the
%% application, which closes tables and sweeps up the directories of temporary ones.
-module(bets_dir_tests).

-include_lib("eunit/include/eunit.hrl").

-compile(nowarn_export_all).
-compile(export_all).

-import(bets_beside, [in_dir/1, in_process/1, other_vm/3, outcome/3]).

%% ---------------------------------------------------------------- directories

what_was_stored_is_there_after_reopening_test() ->
    in_dir(fun(Dir) ->
        T = bets:new(t, [{dir, Dir}, {keypos, 2}]),
        Objects = [{N, {key, N}, [N]} || N <- lists:seq(1, 1000)],
        bets:insert(T, Objects),
        ?assertEqual(ok, bets:close(T)),
        ?assertMatch({error, badarg, id, _}, outcome(fun bets:lookup/2, [T, 1], bets)),
        {ok, Again} = bets:open(Dir),
        ?assertEqual(Objects, lists:sort(bets:tab2list(Again))),
        ?assertEqual(2, bets:info(Again, keypos)),
        ?assertEqual(t, bets:info(Again, name)),
        ?assertEqual(Dir, bets:info(Again, dir)),
        ?assertEqual(ok, bets:close(Again))
    end).

a_deleted_table_leaves_no_files_test() ->
    in_dir(fun(Dir) ->
        Sub = filename:join(Dir, "t"),
        T = bets:new(t, [{dir, Sub}]),
        bets:insert(T, {a, 1}),
        ?assert(filelib:is_dir(Sub)),
        ?assertEqual(true, bets:delete(T)),
        ?assertEqual({error, {no_table, Sub}}, bets:open(Sub))
    end).

one_directory_is_one_table_test() ->
    in_dir(fun(Dir) ->
        T = bets:new(t, [{dir, Dir}]),
        ?assertEqual({error, already_open}, bets:open(Dir)),
        ?assertEqual({error, already_open}, bets:open(Dir ++ "/")),
        ?assertMatch({error, badarg, already_open, #{2 := "the directory is already open" ++ _}},
            outcome(fun bets:new/2, [t, [{dir, Dir}]], bets)),
        bets:close(T)
    end).

one_directory_is_one_table_through_links_test() ->
    in_dir(fun(Dir) ->
        Real = filename:join(Dir, "real"),
        Link = filename:join(Dir, "link"),
        T = bets:new(t, [{dir, Real}]),
        ok = file:make_symlink(Real, Link),
        ?assertEqual({error, already_open}, bets:open(Link)),
        bets:close(T)
    end).

another_vm_finds_the_directory_locked_test_() ->
    {timeout, 60, fun() ->
        in_dir(fun(Dir) ->
            T = bets:new(t, [{dir, Dir}]),
            OsPid = list_to_integer(os:getpid()),
            ?assertEqual({error, {locked, Dir, OsPid}}, other_vm(bets, open, [Dir])),
            bets:close(T),
            ?assertMatch({ok, _}, other_vm(bets, open, [Dir]))
        end)
    end}.

contradicting_options_are_refused_test() ->
    in_dir(fun(Dir) ->
        bets:close(bets:new(t, [{dir, Dir}, {keypos, 2}])),
        ?assertEqual({error, {keypos_mismatch, 2, 1}}, bets:open(Dir, [{keypos, 1}])),
        ?assertMatch(
            {error, badarg, {keypos_mismatch, 2, 1}, #{2 := "the table in the directory has keypos 2, not 1: open it with the stored one"}},
            outcome(fun bets:new/2, [t, [{dir, Dir}]], bets)),
        {ok, T} = bets:open(Dir, [set, {keypos, 2}]),
        bets:close(T)
    end).

a_file_is_no_directory_test() ->
    in_dir(fun(Dir) ->
        File = filename:join(Dir, "file"),
        ok = file:write_file(File, "text"),
        ?assertMatch({error, Reason} when element(1, Reason) =:= not_a_table; element(1, Reason) =:= io, bets:open(File)),
        ?assertMatch({error, badarg, _, #{2 := _}}, outcome(fun bets:new/2, [t, [{dir, File}]], bets)),
        ?assertMatch({error, _}, bets:open(filename:join(File, "below"))),
        ?assertEqual({ok, <<"text">>}, file:read_file(File))
    end).

a_directory_without_permission_test() ->
    case os:cmd("id -u") of
        "0\n" ->
            %% Nothing is forbidden to root, but /proc takes no directories from anyone.
            ?assertMatch({error, badarg, {io, _, _, _}, #{2 := _}},
                outcome(fun bets:new/2, [t, [{dir, "/proc/bets/t"}]], bets));
        _ ->
            in_dir(fun(Dir) ->
                ok = file:change_mode(Dir, 8#500),
                ?assertMatch({error, badarg, {io, _, _, eacces}, #{2 := _}},
                    outcome(fun bets:new/2, [t, [{dir, filename:join(Dir, "t")}]], bets)),
                ok = file:change_mode(Dir, 8#700)
            end)
    end.

nothing_to_open_test() ->
    in_dir(fun(Dir) ->
        Sub = filename:join(Dir, "none"),
        ?assertEqual({error, {no_table, Sub}}, bets:open(Sub)),
        ?assertNot(filelib:is_dir(Sub))
    end).

own_options_are_checked_test() ->
    [
        ?assertMatch({error, badarg, {bad_option, _}, #{2 := "invalid option " ++ _}}, outcome(fun bets:new/2, [t, [Option]], bets))
     || Option <- [
            {dir, 17}, {dir, "a\0b"}, {dir, ""}, {sync, sometimes}, {sync, {interval, 0}}, {sync, {interval, a}}, {max_file_size, 0},
            {max_file_size, a}, {max_file_size, 1 bsl 40}, {cache, 17}, {access, read}
        ]
    ],
    [
        ?assertMatch({error, badarg, {bad_option, _}, #{2 := _}}, outcome(fun bets:open/2, ["/nowhere", Options], bets))
     || Options <- [[named_table], [{dir, "x"}], [bad], bad]
    ],
    ?assertMatch({error, badarg, {bad_option, _}, _}, outcome(fun bets:open/1, [17], bets)).

%% As the shell shows it. Where ets refuses the option too, its words stay.
refused_options_are_named_test() ->
    [
        ?assertNotEqual(nomatch, string:find(shown(Function, Args), "*** " ++ Words))
     || {Words, Function, Args} <- [
            {"invalid option bogus: ", new, [t, [set, bogus]]},
            {"argument 2: invalid options\n", new, [t, [set, bogus]]},
            {"invalid option {bogus,1}: ", new, [t, [{bogus, 1}, set]]},
            {"invalid option {keypos,0}: ", new, [t, [{keypos, 0}]]},
            {"argument 2: invalid option {sync,often}: ", new, [t, [set, {sync, often}]]},
            {"argument 2: invalid option bogus: ", open, ["/nowhere", [set, bogus]]},
            {"argument 2: invalid option bogus: ", verify, ["/nowhere", [bogus]]},
            {"argument 2: invalid option {repair,false}: ", repair, ["/nowhere", [set, {repair, false}]]}
        ]
    ],
    Long = {bogus, lists:duplicate(100000, {a, "text"})},
    ?assert(length(bets_errors:explain({bad_option, Long})) < 500).

%% The exception of a call.
shown(Function, Args) ->
    try apply(bets, Function, Args) of
        Result -> error({taken, Result})
    catch
        error:badarg:Stack -> lists:flatten(erl_error:format_exception(error, badarg, Stack))
    end.

%% In a process of its own: what other tests were sent is not asked for.
sync_always_waits_and_leaves_no_message_test() ->
    in_dir(fun(Dir) ->
        ok = in_process(fun() -> sync_always(Dir) end)
    end).

sync_always(Dir) ->
    T = bets:new(t, [{dir, Dir}, {sync, always}]),
    ?assertEqual(true, bets:insert(T, {a, 1})),
    ?assertEqual(true, bets:insert(T, [{b, 1}, {c, 1}])),
    ?assertEqual(false, bets:insert_new(T, {a, 1})),
    ?assertEqual(2, bets:update_counter(T, a, 1)),
    ?assertEqual([{b, 1}], bets:take(T, b)),
    ?assertEqual(true, bets:delete(T, c)),
    #{seq := Seq, durable_seq := Durable} = maps:from_list(bets:info(T)),
    ?assertEqual(Seq, Durable),
    ?assertEqual({messages, []}, process_info(self(), messages)),
    ?assertEqual(ok, bets:sync(T)),
    ok = bets:close(T).

closing_is_for_those_who_may_write_test() ->
    in_dir(fun(Dir) ->
        T = bets:new(t, [{dir, Dir}]),
        [
            ?assertMatch({error, badarg, access, #{1 := _}}, in_process(fun() -> outcome(fun bets:F/1, [T], bets) end))
         || F <- [close, delete]
        ],
        ?assertEqual(ok, bets:close(T)),
        ?assertMatch({error, badarg, id, #{1 := _}}, outcome(fun bets:close/1, [T], bets))
    end).

%% ---------------------------------------------------------------- the application

stopping_the_application_closes_tables_test() ->
    in_dir(fun(Dir) ->
        T = bets:new(t, [{dir, Dir}]),
        Temporary = bets:new(t, []),
        bets:insert(T, {a, 1}),
        ok = application:stop(bets),
        ?assertEqual(undefined, bets:info(T)),
        ?assertEqual(undefined, bets:info(Temporary)),
        {ok, Again} = bets:open(Dir),
        ?assertEqual([{a, 1}], bets:lookup(Again, a)),
        bets:close(Again)
    end).

temporary_directories_of_dead_vms_are_swept_test_() ->
    {timeout, 60, fun() ->
        in_dir(fun(Dir) ->
            Before = os:getenv("TMPDIR"),
            true = os:putenv("TMPDIR", Dir),
            {killed, Left} = other_vm(?MODULE, die_with_a_temporary_table, []),
            ?assert(filelib:is_dir(Left)),
            {alive, Mine} = other_vm(?MODULE, temporary_directory, []),
            case Before of false -> os:unsetenv("TMPDIR"); _ -> os:putenv("TMPDIR", Before) end,
            ?assertNot(filelib:is_dir(Left)),
            ?assertNot(filelib:is_dir(Mine))
        end)
    end}.

die_with_a_temporary_table() ->
    T = bets:new(t, []),
    bets:insert(T, {a, 1}),
    {killed, bets:info(T, dir)}.

temporary_directory() ->
    T = bets:new(t, []),
    Dir = bets:info(T, dir),
    true = filelib:is_dir(Dir),
    ok = application:stop(bets),
    {alive, Dir}.
