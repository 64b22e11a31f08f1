%% Checking and repairing tables: bets:verify/1,2, bets:repair/2 and the option `repair'.
-module(bets_repair_tests).

-export([log/2]).

-include_lib("eunit/include/eunit.hrl").
-include_lib("kernel/include/file.hrl").

with_dir(Test) ->
    {timeout, 60, fun() ->
        {ok, _} = application:ensure_all_started(bets),
        Root = filename:join("/tmp", "bets-repair-" ++ os:getpid() ++ "-" ++ integer_to_list(erlang:unique_integer([positive]))),
        #{level := Level} = logger:get_primary_config(),
        %% What a repair at an opening logs.
        ok = logger:set_primary_config(level, error),
        try
            Test(filename:join(Root, "t"))
        after
            logger:set_primary_config(level, Level),
            file:del_dir_r(Root)
        end
    end}.

%% A closed table of objects {N, <<N:800>>}, in small files.
filled(Dir, Options) ->
    T = bets:new(t, [{dir, Dir}, {max_file_size, 4096} | Options]),
    [bets:insert(T, {N, <<N:800>>}) || N <- lists:seq(1, 100)],
    ok = bets:close(T).

segments(Dir) ->
    lists:sort(filelib:wildcard(filename:join(Dir, "*.seg"))).

%% Changes the byte at an offset from the front, or, if negative, from the end.
damage(File, Offset) ->
    {ok, Bytes} = file:read_file(File),
    At = (byte_size(Bytes) + Offset) rem byte_size(Bytes),
    <<Front:At/binary, Byte, Rest/binary>> = Bytes,
    ok = file:write_file(File, <<Front/binary, (Byte bxor 4), Rest/binary>>).

%% Damages the object's bytes in some segment.
damage_value(Dir, N) ->
    [{File, At}] = [
        {File, At}
     || File <- segments(Dir),
        {ok, Bytes} <- [file:read_file(File)],
        {At, _} <- binary:matches(Bytes, <<0:640, N:160>>)
    ],
    damage(File, At),
    File.

a_sound_table_is_sound_open_and_closed_test_() ->
    with_dir(fun(Dir) ->
        [
            begin
                filled(Dir, [Type]),
                {ok, Closed} = bets:verify(Dir),
                ?assertMatch(#{sound := true, status := unchanged, faults := [], loss := none, records := 100}, Closed),
                ?assertNot(is_map_key(objects, Closed)),
                {ok, T} = bets:open(Dir),
                {ok, Open} = bets:verify(T),
                ?assertMatch(#{sound := true, objects := 100, records := 100}, Open),
                ?assertEqual({error, already_open}, bets:repair(Dir, [])),
                bets:delete(T)
            end
         || Type <- [set, ordered_set, bag, duplicate_bag]
        ]
    end).

%% However its directory is given; the words of the error lead to the table.
a_directory_that_is_open_is_verified_as_its_table_test_() ->
    with_dir(fun(Dir) ->
        filled(Dir, []),
        Link = Dir ++ "-link",
        ok = file:make_symlink(Dir, Link),
        Elsewhere = bets:new(t, []),
        {ok, Snapshot} = bets:open(Dir, [{access, read}]),
        {ok, T} = bets:open(Dir, [private]),
        true = bets:insert(T, {101, x}),
        [
            ?assertMatch({ok, #{sound := true, objects := 101, records := 101}}, bets:verify(Given))
         || Given <- [Dir, list_to_binary(Dir), Dir ++ "/", filename:join([Dir, "..", "t"]), Link]
        ],
        %% Whoever may not read the table is told that it is open.
        Self = self(),
        spawn(fun() -> Self ! {refused, bets:verify(Dir)} end),
        ?assertEqual({error, already_open}, receive {refused, Refused} -> Refused end),
        [ok = bets:close(Tab) || Tab <- [T, Snapshot, Elsewhere]],
        {ok, Closed} = bets:verify(Dir),
        ?assertNot(is_map_key(objects, Closed))
    end).

a_rotten_object_is_named_and_repaired_without_force_test_() ->
    with_dir(fun(Dir) ->
        filled(Dir, []),
        File = damage_value(Dir, 42),
        Fault = fun({ok, #{faults := [Only]}}) -> Only end,
        ?assertMatch(#{file := File, key := 42, loss := object, offset := _}, Fault(bets:verify(Dir))),
        {ok, T} = bets:open(Dir),
        ?assertError({bets, {damaged, File, _, _}}, bets:lookup(T, 42)),
        ?assertMatch(#{file := File, key := 42, loss := object}, Fault(bets:verify(T))),
        bets:close(T),
        {ok, Report} = bets:repair(Dir, []),
        ?assertMatch(#{status := repaired, loss := object, sound := false, quarantined := [_]}, Report),
        ?assertMatch({ok, #{sound := true, records := 100}}, bets:verify(Dir)),
        {ok, T2} = bets:open(Dir),
        ?assertEqual([], bets:lookup(T2, 42)),
        ?assertEqual(99, bets:info(T2, size)),
        bets:close(T2)
    end).

%% What saves time only costs no object when it rots, but it is told; an opening that meets it makes it anew.
rotten_hints_and_checkpoints_are_told_and_harmless_test_() ->
    with_dir(fun(Dir) ->
        filled(Dir, []),
        [Hint | _] = lists:sort(filelib:wildcard(filename:join(Dir, "*.hint"))),
        Checkpoint = filename:join(Dir, "CHECKPOINT"),
        ?assertMatch({ok, #{sound := true, spoilt := []}}, bets:verify(Dir)),
        damage(Hint, -3),
        damage(Checkpoint, 80),
        {ok, Report} = bets:verify(Dir),
        ?assertMatch(#{sound := true, status := unchanged, faults := [], loss := none}, Report),
        ?assertMatch([#{file := Hint, loss := none, what := _}, #{file := Checkpoint}], maps:get(spoilt, Report)),
        ?assertMatch({ok, #{status := unchanged, spoilt := [_, _]}}, bets:repair(Dir, [])),
        {ok, T} = bets:open(Dir),
        ?assertEqual(100, length(bets:tab2list(T))),
        bets:close(T),
        ?assertMatch({ok, #{sound := true, spoilt := []}}, bets:verify(Dir))
    end).

%% The header of a record is rotten: its segment does not tell whose it was, its hint does.
a_right_hint_names_what_its_segment_cannot_test_() ->
    with_dir(fun(Dir) ->
        filled(Dir, [ordered_set]),
        File = lists:nth(3, segments(Dir)),
        damage(File, 32 + 20),
        {ok, #{sound := false, loss := object, faults := Faults}} = bets:verify(Dir),
        [#{key := Key, file := File, offset := 32}] = [Fault || #{loss := object} = Fault <- Faults],
        {ok, #{status := repaired, loss := object}} = bets:repair(Dir, []),
        {ok, T} = bets:open(Dir),
        ?assertEqual(lists:seq(1, 100) -- [Key], [N || {N, _} <- bets:tab2list(T)]),
        bets:close(T)
    end).

%% An opening that has hints and a checkpoint of the keydir does not read the data files.
read_all_at_opening(Dir) ->
    Files = filelib:wildcard(filename:join(Dir, "*.hint")) ++ filelib:wildcard(filename:join(Dir, "CHECKPOINT")),
    [_ | _] = Files,
    lists:foreach(fun(File) -> ok = file:delete(File) end, Files).

%% What is logged meanwhile.
logged(Fun) ->
    ok = logger:set_primary_config(level, warning),
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
    try
        Fun()
    after
        logger:remove_handler(?MODULE),
        logger:set_primary_config(level, error)
    end,
    receive {logged, Text} -> Text after 1000 -> "" end.

log(#{msg := {Format, Arguments}}, #{config := Pid}) when is_list(Arguments) ->
    Pid ! {logged, lists:flatten(io_lib:format(Format, Arguments))};
log(_Event, _Config) ->
    ok.

what_cannot_be_named_needs_force_test_() ->
    with_dir(fun(Dir) ->
        filled(Dir, [ordered_set]),
        File = lists:nth(3, segments(Dir)),
        damage(File, 32 + 20),
        %% With them, only the object itself cannot be read.
        {ok, Known} = bets:open(Dir),
        ?assertEqual(100, bets:info(Known, size)),
        bets:close(Known),
        {ok, Original} = file:read_file(File),
        read_all_at_opening(Dir),
        ?assertMatch({error, {damaged, File, 32, _}}, bets:open(Dir)),
        ?assertMatch({ok, #{status := refused, loss := records}}, bets:repair(Dir, [])),
        Logged = logged(fun() -> ?assertMatch({error, {damaged, File, 32, _}}, bets:open(Dir, [{repair, true}])) end),
        ?assertNotEqual(nomatch, string:find(Logged, "{repair, force}"), Logged),
        {ok, #{status := repaired, faults := [#{seqs := {Seq, Seq}}], quarantined := [Kept]}} =
            bets:repair(Dir, [{repair, force}]),
        ?assertEqual({ok, Original}, file:read_file(Kept)),
        {ok, #file_info{mode = Mode}} = file:read_file_info(filename:dirname(Kept)),
        ?assertEqual(8#700, Mode band 8#777),
        {ok, T} = bets:open(Dir),
        ?assertEqual(lists:seq(1, 100) -- [Seq], [N || {N, _} <- bets:tab2list(T)]),
        bets:delete(T),
        ?assert(filelib:is_regular(Kept))
    end).

a_damaged_table_is_repaired_as_it_is_opened_if_that_is_asked_for_test_() ->
    with_dir(fun(Dir) ->
        filled(Dir, []),
        File = lists:nth(2, segments(Dir)),
        ok = file:delete(File),
        ?assertEqual({error, {missing, File}}, bets:open(Dir)),
        ?assertError(badarg, bets:new(t, [{dir, Dir}])),
        T = bets:new(t, [{dir, Dir}, {repair, force}]),
        ?assert(bets:info(T, size) > 50),
        bets:close(T),
        ok = file:delete(filename:join(Dir, "MANIFEST")),
        ?assertMatch({error, {missing, _}}, bets:open(Dir, [{repair, force}])),
        {ok, T2} = bets:open(Dir, [set, {repair, force}]),
        ?assert(bets:info(T2, size) > 50),
        bets:close(T2)
    end).

a_manifest_is_made_anew_with_the_type_that_is_given_test_() ->
    with_dir(fun(Dir) ->
        T = bets:new(t, [{dir, Dir}, ordered_set, {keypos, 2}]),
        bets:insert(T, [{a, 2}, {b, 1.0}]),
        bets:close(T),
        damage(filename:join(Dir, "MANIFEST"), 30),
        ?assertMatch({ok, #{sound := false, faults := [#{file := _}]}}, bets:verify(Dir)),
        ?assertMatch({error, {damaged, _, 0, _}}, bets:repair(Dir, [{repair, force}])),
        {ok, #{status := repaired}} = bets:repair(Dir, [{repair, force}, ordered_set, {keypos, 2}, {name, t}]),
        {ok, T2} = bets:open(Dir),
        ?assertEqual([{b, 1.0}, {a, 2}], bets:tab2list(T2)),
        ?assertEqual({t, 2}, {bets:info(T2, name), bets:info(T2, keypos)}),
        bets:close(T2),
        ?assertEqual({error, {type_mismatch, ordered_set, bag}}, bets:repair(Dir, [bag]))
    end).

progress_is_told_test_() ->
    with_dir(fun(Dir) ->
        filled(Dir, []),
        Self = self(),
        Fun = fun(#{done := Done, total := Total}) when Done =< Total -> Self ! {done, Done} end,
        {ok, #{bytes := Bytes}} = bets:verify(Dir, [{progress, Fun}]),
        ?assert(Bytes > 100 * 100),
        ?assertEqual(Bytes, receive {done, Done} -> Done after 0 -> none end),
        {ok, _} = bets:repair(Dir, [{progress, Fun}]),
        ?assertEqual(Bytes, receive {done, Done} -> Done after 0 -> none end)
    end).

bad_arguments_and_places_are_refused_test_() ->
    with_dir(fun(Dir) ->
        ?assertMatch({error, {no_table, _}}, bets:verify(Dir)),
        ?assertMatch({error, {no_table, _}}, bets:repair(Dir, [])),
        ?assertNot(filelib:is_file(Dir)),
        ?assertError(badarg, bets:verify(no_such_table)),
        ?assertError(badarg, bets:verify(make_ref())),
        ?assertError(badarg, bets:verify({})),
        [?assertError(badarg, bets:repair(Dir, Bad)) || Bad <- [x, [x], [{repair, false}], [{keypos, 0}]]],
        [?assertError(badarg, bets:verify(Dir, Bad)) || Bad <- [x, [set], [{progress, 1}]]],
        ?assertError(badarg, bets:new(t, [{dir, Dir}, {repair, yes}])),
        T = bets:new(t, [private]),
        Self = self(),
        spawn(fun() -> Self ! {refused, catch bets:verify(T)} end),
        ?assertMatch({'EXIT', {badarg, _}}, receive {refused, Refused} -> Refused end)
    end).

a_table_that_is_written_to_is_sound_test_() ->
    with_dir(fun(Dir) ->
        T = bets:new(t, [{dir, Dir}, public, {max_file_size, 65536}]),
        Writer = spawn_link(fun() -> write(T, 1) end),
        [?assertMatch({ok, #{sound := true}}, bets:verify(T)) || _ <- lists:seq(1, 10)],
        unlink(Writer),
        exit(Writer, kill),
        bets:close(T)
    end).

write(T, N) ->
    bets:insert(T, {N rem 500, <<N:800>>}),
    N rem 7 =:= 0 andalso bets:delete(T, N rem 300),
    write(T, N + 1).
