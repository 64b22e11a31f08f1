%% Imports beside what the source itself says that it holds: ets, dets, and Basho's Bitcask where it is installed.
-module(bets_import_tests).

-include_lib("eunit/include/eunit.hrl").
-include_lib("kernel/include/file.hrl").

-compile(nowarn_export_all).
-compile(export_all).

objects(bag) -> [{N rem 50, N, {deep, [N]}} || N <- lists:seq(1, 300)] ++ [{"key", #{x => 1}}, {1, x}, {1.0, x}];
objects(duplicate_bag) -> objects(bag) ++ lists:sublist(objects(bag), 40);
objects(ordered_set) -> [{N, N * N, {deep, [N]}} || N <- lists:seq(1, 300)] ++ [{a}, {"key", #{x => 1}}, {1.5, make_ref(), fun() -> ok end}];
objects(set) -> [{1.0, float} | objects(ordered_set)].

table(Type) -> bets:new(import, [Type, public]).

%% In any order. Sorting would not do: 1 and 1.0 are equal to it.
same(Expected, Found) ->
    ?assertEqual({[], []}, {Expected -- Found, Found -- Expected}).

%% A path in a fresh directory.
path(Name) ->
    Dir = bets_beside:temp_dir("import-" ++ integer_to_list(erlang:unique_integer([positive]))),
    Path = filename:join(Dir, Name),
    ok = filelib:ensure_dir(Path),
    Path.

ets_table(Type) ->
    Source = ets:new(source, [Type, public]),
    true = ets:insert(Source, objects(Type)),
    Source.

%% ---------------------------------------------------------------- ets

each_type_of_ets_goes_into_those_that_hold_it_test_() ->
    [
        {lists:flatten(io_lib:format("~w into ~w", [From, To])), fun() ->
            Source = ets_table(From),
            Tab = table(To),
            Size = ets:info(Source, size),
            Report = #{objects => Size, skipped => 0, verified => Size},
            ?assertEqual({ok, Report}, bets_import:ets(Source, Tab, [{verify, Verify}, {batch, Batch}])),
            same(ets:tab2list(Source), bets:tab2list(Tab)),
            [?assertEqual(ets:lookup(Source, Key), bets:lookup(Tab, Key)) || Key <- lists:usort([element(1, O) || O <- ets:tab2list(Source)])],
            bets:delete(Tab)
        end}
     || {From, To} <- [
            {set, set}, {set, bag}, {set, duplicate_bag}, {ordered_set, set}, {ordered_set, ordered_set}, {ordered_set, bag}, {bag, bag},
            {bag, duplicate_bag}, {duplicate_bag, duplicate_bag}
        ],
        {Verify, Batch} <- [{all, 1000}, {1000, 7}]
    ].

keys_that_become_one_are_found_by_the_count_test() ->
    Tab = table(ordered_set),
    Size = length(objects(set)),
    ?assertEqual({error, {target_count, Size, Size - 1}}, bets_import:ets(ets_table(set), Tab, [])),
    bets:delete(Tab).

an_empty_source_test() ->
    Tab = table(set),
    ?assertEqual({ok, #{objects => 0, skipped => 0, verified => 0}}, bets_import:ets(ets:new(e, []), Tab, [{verify, all}])),
    bets:delete(Tab).

other_objects_stay_test() ->
    Source = ets_table(ordered_set),
    Tab = table(set),
    true = bets:insert(Tab, [{other, 1}, {1, old}]),
    ?assertMatch({ok, _}, bets_import:ets(Source, Tab, [])),
    same([{other, 1} | ets:tab2list(Source)], bets:tab2list(Tab)),
    ?assertMatch({ok, _}, bets_import:ets(Source, Tab, [{restart, true}])),
    ?assertEqual(ets:info(Source, size), bets:info(Tab, size)),
    bets:delete(Tab).

the_position_of_the_key_test() ->
    Source = ets:new(source, [{keypos, 2}]),
    true = ets:insert(Source, {a, 1}),
    Tab = bets:new(import, [{keypos, 2}]),
    ?assertMatch({ok, #{objects := 1, verified := 1}}, bets_import:ets(Source, Tab, [])),
    Other = table(set),
    ?assertEqual({error, {keypos_differs, 2, 1}}, bets_import:ets(Source, Other, [])),
    [bets:delete(T) || T <- [Tab, Other]].

large_objects_do_not_gather_in_a_list_test() ->
    Source = ets:new(source, []),
    true = ets:insert(Source, [{N, binary:copy(<<N>>, 1500000)} || N <- lists:seq(1, 10)]),
    Tab = table(set),
    Done = steps(fun(Options) -> bets_import:ets(Source, Tab, Options) end),
    ?assertEqual([3, 6, 9, 10], [N || #{phase := import, done := N} <- Done]),
    bets:delete(Tab).

steps(Import) ->
    Self = self(),
    {ok, _} = Import([{progress, fun(Step) -> Self ! {step, Step} end}]),
    received().

received() ->
    receive
        {step, Step} -> [Step | received()]
    after 0 -> []
    end.

%% ---------------------------------------------------------------- what is refused

types_that_would_lose_objects_test() ->
    Tables = maps:from_list([{Type, table(Type)} || Type <- [set, ordered_set, bag]]),
    [
        ?assertEqual({error, {type_differs, From, To}}, bets_import:ets(ets_table(From), maps:get(To, Tables), []))
     || {From, To} <- [{bag, set}, {bag, ordered_set}, {duplicate_bag, set}, {duplicate_bag, ordered_set}, {duplicate_bag, bag}]
    ],
    [?assertEqual(0, bets:info(Tab, size)) || Tab <- maps:values(Tables)],
    [bets:delete(Tab) || Tab <- maps:values(Tables)].

missing_tables_files_and_wrong_options_test() ->
    Tab = table(set),
    Source = ets:new(e, []),
    File = path("none"),
    Dir = filename:dirname(File),
    Owner = spawn(fun() -> receive stop -> ok end end),
    Private = ets:new(p, [private]),
    Gone = ets:new(p, []),
    ets:delete(Gone),
    Read = ets:new(p, [private]),
    ets:give_away(Private, Owner, x),
    NoDets = path("no.dets"),
    ok = file:write_file(NoDets, binary:copy(<<7>>, 100)),
    Short = path("short.dets"),
    ok = file:write_file(Short, <<1, 2>>),
    [
        begin
            ?assertEqual({error, Reason}, Import()),
            %% It has words, not only a term.
            ?assertNotEqual(lists:flatten(io_lib:format("~tp", [Reason])), bets_errors:explain(Reason))
        end
     || {Reason, Import} <- [
            {{no_source, Gone}, fun() -> bets_import:ets(Gone, Tab, []) end},
            {{no_source, no_name}, fun() -> bets_import:ets(no_name, Tab, []) end},
            {{no_source, Private}, fun() -> bets_import:ets(Private, Tab, []) end},
            {{no_target, no_name}, fun() -> bets_import:ets(Source, no_name, []) end},
            {{no_target, no_name}, fun() -> bets_import:bitcask(Dir, no_name, []) end},
            {{io, open, File, enoent}, fun() -> bets_import:dets(File, Tab, []) end},
            {{io, open, File, enoent}, fun() -> bets_import:dets(list_to_binary(File), Tab, []) end},
            {{io, open, File, enoent}, fun() -> bets_import:bitcask(File, Tab, []) end},
            {{not_dets, NoDets}, fun() -> bets_import:dets(NoDets, Tab, []) end},
            {{not_dets, Short}, fun() -> bets_import:dets(Short, Tab, []) end},
            {{no_bitcask, Dir}, fun() -> bets_import:bitcask(Dir, Tab, []) end}
        ] ++ [
            {{bad_option, Option}, fun() -> bets_import:ets(Source, Tab, [Option]) end}
         || Option <- [{batch, 0}, {batch, x}, {verify, 0}, {verify, some}, {progress, x}, {restart, x}, {repair, true}, {decode, raw}, x]
        ] ++ [
            {{bad_option, Option}, fun() -> bets_import:bitcask(Dir, Tab, [Option]) end}
         || Option <- [{decode, x}, {damaged, x}, {force, 1}, {repair, true}]
        ] ++ [{{bad_option, {repair, 1}}, fun() -> bets_import:dets(File, Tab, [{repair, 1}]) end}, {{bad_option, x}, fun() -> bets_import:ets(Source, Tab, x) end}]
    ],
    ?assertMatch({ok, _}, bets_import:ets(Read, Tab, [])),
    Owner ! stop,
    bets:delete(Tab).

every_reason_has_words_test() ->
    [
        ?assertNotEqual(lists:flatten(io_lib:format("~tp", [Reason])), bets_errors:explain(Reason))
     || Reason <- [
            {type_differs, bag, set}, {keypos_differs, 1, 2}, {not_empty, t, 3}, {source_count, 1, 2}, {target_count, 1, 2}, {object_differs, k},
            {bad_object, x}, {not_riak, <<"k">>}, {not_closed, "f"}, {dets, "f", x}, {bitcask_in_use, "f"}
        ]
    ].

a_table_of_another_process_test() ->
    Self = self(),
    Owner = spawn(fun() ->
        Self ! bets:new(import, [protected]),
        receive stop -> ok end
    end),
    Tab = receive T -> T end,
    ?assertEqual({error, {no_target, Tab}}, bets_import:ets(ets:new(e, []), Tab, [])),
    Owner ! stop.

%% ---------------------------------------------------------------- verification

%% What happens to the table meanwhile stands for what a fault would do to it.
losses_are_found_test_() ->
    [
        {lists:flatten(io_lib:format("~w, ~w", [Fault, Verify])), fun() ->
            Source = ets_table(ordered_set),
            Tab = table(set),
            Before andalso bets:insert(Tab, [{{other, N}, x} || N <- lists:seq(1, 9)]),
            Hurt = fun(_) -> hurt(Fault, Tab) end,
            Result = bets_import:ets(Source, Tab, [{verify, Verify}, {batch, 10}, {progress, Hurt}]),
            ?assertEqual({Result, Expected}, {Result, expected(Result)}),
            Fault =:= close orelse bets:delete(Tab)
        end}
     || {Fault, Before, Verify, Expected} <- [
            {delete, false, 1000, target_count}, {delete, false, 1, target_count}, {delete, false, all, target_count}, {delete, false, none, ok},
            {delete, true, 1000, object_differs}, {delete, true, all, object_differs},
            {change, false, 1000, object_differs}, {change, false, all, object_differs}, {change, false, none, ok},
            {add, false, 1000, target_count}, {add, true, 1000, ok},
            {close, false, 1000, no_target}, {close, false, none, no_target}
        ]
    ].

hurt(delete, Tab) -> bets:delete(Tab, 5);
hurt(change, Tab) -> bets:member(Tab, 5) andalso bets:insert(Tab, {5, changed});
hurt(add, Tab) -> bets:insert(Tab, {another, 1});
hurt(close, Tab) -> bets:info(Tab) =/= undefined andalso bets:close(Tab).

expected({ok, _}) -> ok;
expected({error, {Word, _}}) -> Word;
expected({error, {Word, _, _}}) -> Word.

a_source_that_changes_is_told_test() ->
    Source = ets_table(ordered_set),
    Tab = table(set),
    Size = ets:info(Source, size),
    Hurt = fun(_) -> [ets:delete(Source, N) || N <- lists:seq(1, 300)] end,
    {error, {source_count, Size, _}} = bets_import:ets(Source, Tab, [{batch, 10}, {progress, Hurt}]),
    Other = ets_table(ordered_set),
    ?assertEqual({error, {no_source, Other}}, bets_import:ets(Other, Tab, [{batch, 1}, {progress, fun(_) -> catch ets:delete(Other) end}])),
    bets:delete(Tab).

a_sample_is_as_large_as_asked_test() ->
    Tab = table(set),
    [?assertMatch({ok, #{verified := N}}, bets_import:ets(ets_table(set), Tab, [{verify, N}])) || N <- [1, 10, 100]],
    ?assertMatch({ok, #{verified := 0}}, bets_import:ets(ets_table(set), Tab, [{verify, none}])),
    bets:delete(Tab).

progress_is_told_test() ->
    Source = ets_table(ordered_set),
    Tab = table(set),
    Size = ets:info(Source, size),
    Steps = steps(fun(Options) -> bets_import:ets(Source, Tab, [{batch, 100}, {verify, all} | Options]) end),
    Imported = [N || #{phase := import, done := N} <- Steps],
    ?assertEqual([100, 200, 300, Size], Imported),
    ?assertEqual([100, 200, 300], [N || #{phase := verify, done := N} <- Steps]),
    ?assertEqual([Size], lists:usort([Total || #{total := Total} <- Steps])),
    ?assertError(stop, bets_import:ets(Source, Tab, [{progress, fun(_) -> error(stop) end}])),
    ?assertThrow(stop, bets_import:ets(Source, Tab, [{progress, fun(_) -> throw(stop) end}])),
    bets:delete(Tab).

%% ---------------------------------------------------------------- starting again

%% The process dies at a chosen step, several times with the same table, and at last comes to the end.
after_a_kill_the_same_call_ends_right_test_() ->
    [
        {lists:flatten(io_lib:format("~w", [Type])), fun() ->
            Source = ets_table(Type),
            File = dets_file(Type, ets:tab2list(Source)),
            [
                begin
                    Tab = table(Type),
                    killed_and_again(fun(Options) -> Import(Tab, [{batch, 10} | Options]) end),
                    same(ets:tab2list(Source), bets:tab2list(Tab)),
                    bets:delete(Tab)
                end
             || Import <- [fun(Tab, Options) -> bets_import:ets(Source, Tab, Options ++ Restart) end] ++
                    [fun(Tab, Options) -> bets_import:dets(File, Tab, Options ++ Restart) end || Type =/= ordered_set]
            ]
        end}
     || {Type, Restart} <- [{set, []}, {ordered_set, []}, {bag, []}, {duplicate_bag, [{restart, true}]}]
    ].

killed_and_again(Import) ->
    [killed(Import, rand:uniform(25)) || _ <- lists:seq(1, 5)],
    [killed_within(Import, rand:uniform(20)) || _ <- lists:seq(1, 5)],
    {ok, #{verified := N, objects := N}} = Import([{verify, all}]).

%% At a step of its own.
killed(Import, Steps) ->
    {Pid, Monitor} = spawn_monitor(fun() ->
        Left = counters:new(1, []),
        counters:put(Left, 1, Steps),
        Import([
            {progress, fun(_) ->
                counters:sub(Left, 1, 1),
                counters:get(Left, 1) > 0 orelse exit(self(), kill)
            end}
        ])
    end),
    receive {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(killed, Reason) end.

%% Anywhere.
killed_within(Import, Milliseconds) ->
    {Pid, Monitor} = spawn_monitor(fun() -> Import([]) end),
    timer:sleep(Milliseconds),
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, _} -> ok end.

a_duplicate_bag_must_be_empty_test() ->
    Source = ets_table(duplicate_bag),
    Tab = table(duplicate_bag),
    Size = ets:info(Source, size),
    {ok, _} = bets_import:ets(Source, Tab, []),
    ?assertEqual({error, {not_empty, Tab, Size}}, bets_import:ets(Source, Tab, [])),
    ?assertEqual(Size, bets:info(Tab, size)),
    ?assertMatch({ok, _}, bets_import:ets(Source, Tab, [{restart, true}])),
    ?assertEqual(Size, bets:info(Tab, size)),
    bets:delete(Tab).

%% ---------------------------------------------------------------- dets

dets_file(ordered_set, _Objects) -> none;
dets_file(Type, Objects) ->
    File = path("source.dets"),
    {ok, d} = dets:open_file(d, [{file, File}, {type, Type}]),
    ok = dets:insert(d, Objects),
    ok = dets:close(d),
    File.

dets_objects(File, Type) ->
    {ok, d} = dets:open_file(d, [{file, File}, {type, Type}, {access, read}]),
    Objects = dets:match_object(d, '_'),
    ok = dets:close(d),
    Objects.

each_type_of_dets_test_() ->
    [
        {lists:flatten(io_lib:format("~w into ~w", [From, To])), fun() ->
            File = dets_file(From, objects(From)),
            {ok, Bytes} = file:read_file(File),
            Tab = table(To),
            Objects = dets_objects(File, From),
            Size = length(Objects),
            ?assertEqual({ok, #{objects => Size, skipped => 0, verified => Size}}, bets_import:dets(Name(File), Tab, [{verify, all}])),
            same(Objects, bets:tab2list(Tab)),
            %% It was only read, and no one has it open any more.
            ?assertEqual({ok, Bytes}, file:read_file(File)),
            ?assertEqual([], dets:all()),
            bets:delete(Tab)
        end}
     || {From, To} <- [{set, set}, {set, bag}, {bag, bag}, {bag, duplicate_bag}, {duplicate_bag, duplicate_bag}],
        Name <- [fun(File) -> File end, fun unicode:characters_to_binary/1]
    ].

dets_types_that_would_lose_objects_test() ->
    Tab = table(set),
    ?assertEqual({error, {type_differs, bag, set}}, bets_import:dets(dets_file(bag, []), Tab, [])),
    Other = bets:new(import, [{keypos, 2}]),
    ?assertEqual({error, {keypos_differs, 1, 2}}, bets_import:dets(dets_file(set, []), Other, [])),
    ?assertEqual([], dets:all()),
    [bets:delete(T) || T <- [Tab, Other]].

%% A copy of the file while it is open is what a killed VM leaves.
unclosed(File) ->
    {ok, d} = dets:open_file(d, [{file, File}]),
    ok = dets:insert(d, {last, 1}),
    {ok, _} = file:copy(File, File ++ "-unclosed"),
    ok = dets:close(d),
    File ++ "-unclosed".

an_unclosed_file_is_refused_or_its_copy_repaired_test() ->
    File = unclosed(dets_file(set, objects(set))),
    {ok, Bytes} = file:read_file(File),
    {ok, Names} = file:list_dir(filename:dirname(File)),
    Tab = table(set),
    ?assertEqual({error, {not_closed, File}}, bets_import:dets(File, Tab, [])),
    ?assertEqual(0, bets:info(Tab, size)),
    {ok, #{objects := Objects}} = bets_import:dets(File, Tab, [{repair, true}, {verify, all}]),
    ?assert(Objects >= length(objects(set))),
    [?assertEqual([Object], bets:lookup(Tab, element(1, Object))) || {Key, _} = Object <- objects(set), Key =/= 1.5],
    ?assertEqual({ok, Bytes}, file:read_file(File)),
    {ok, After} = file:list_dir(filename:dirname(File)),
    ?assertEqual(lists:sort(Names), lists:sort(After)),
    bets:delete(Tab).

a_file_that_is_open_elsewhere_is_refused_test() ->
    File = dets_file(set, []),
    {ok, d} = dets:open_file(d, [{file, File}]),
    ok = dets:insert(d, {a, 1}),
    Tab = table(set),
    ?assertEqual({error, {not_closed, File}}, bets_import:dets(File, Tab, [])),
    ok = dets:close(d),
    ?assertMatch({ok, #{objects := 1}}, bets_import:dets(File, Tab, [{repair, true}])),
    bets:delete(Tab).

%% dets has no checksums; what it cannot read, and what is gone, is told.
a_damaged_dets_file_gives_no_less_than_its_count_test() ->
    File = dets_file(set, [{N, binary:copy(<<"x">>, 50)} || N <- lists:seq(1, 200)]),
    {ok, Bytes} = file:read_file(File),
    [{At, _} | _] = binary:matches(Bytes, <<131, 104, 2>>),
    <<Before:At/binary, _:20/binary, After/binary>> = Bytes,
    ok = file:write_file(File, [Before, binary:copy(<<255>>, 20), After]),
    Tab = table(set),
    ?assertMatch({error, _}, bets_import:dets(File, Tab, [])),
    bets:delete(Tab).

%% ---------------------------------------------------------------- Basho's Bitcask

-define(SECONDS, 60).

with_bitcask(Title, Test) ->
    case code:ensure_loaded(bitcask) of
        {module, bitcask} ->
            {Title, {timeout, ?SECONDS, fun() ->
                _ = application:load(bitcask),
                ok = application:set_env(bitcask, io_mode, erlang),
                Test()
            end}};
        {error, _} ->
            io:format(user, "SKIPPED: import from Bitcask, ~ts: not installed (Debian package erlang-bitcask)~n", [Title]),
            []
    end.

%% A handle works in the process that opened it, and dies with it.
bitcask(Dir, Options, Use) ->
    Handle = bitcask:open(Dir, Options),
    ?assert(is_reference(Handle)),
    try
        Use(Handle)
    after
        bitcask:close(Handle)
    end.

bitcask_objects(Dir) ->
    bitcask(copied(Dir, fun(Name) -> lists:suffix(".data", Name) orelse lists:suffix(".hint", Name) end), [], fun(Handle) ->
        bitcask:fold(Handle, fun(Key, Value, Acc) -> [{Key, Value} | Acc] end, [])
    end).

%% The files of a directory whose names are wanted, with their modes, in a fresh one.
copied(Dir, Wanted) ->
    Copy = filename:dirname(path("x")),
    {ok, Names} = file:list_dir(Dir),
    [
        begin
            [From, To] = [filename:join(D, Name) || D <- [Dir, Copy]],
            {ok, _} = file:copy(From, To),
            {ok, #file_info{mode = Mode}} = file:read_file_info(From),
            ok = file:change_mode(To, Mode band 8#7777)
        end
     || Name <- Names, Wanted(Name)
    ],
    Copy.

%% Overwrites and deletions over several files, and the last record of a key not always the newest by its time.
written(Dir, Options) ->
    bitcask(Dir, [read_write, {max_file_size, 4000} | Options], fun(Handle) ->
        write(Handle),
        ok
    end).

write(Handle) ->
    [ok = bitcask:put(Handle, key(N rem 70), binary:copy(<<N:16>>, N rem 40)) || N <- lists:seq(1, 500)],
    [ok = bitcask:delete(Handle, key(N)) || N <- lists:seq(10, 20)],
    [ok = bitcask:put(Handle, key(N), <<"again">>) || N <- [12, 13]],
    %% As other versions write it.
    ok = bitcask:put(Handle, key(30), <<"bitcask_tombstone1", 1:32>>),
    ok = bitcask:put(Handle, key(31), <<"bitcask_tombstone">>).

key(N) -> <<"key", N:16>>.

data_files(Dir) ->
    Ids = lists:sort([list_to_integer(hd(string:split(filename:basename(File), "."))) || File <- filelib:wildcard(filename:join(Dir, "*.data"))]),
    [filename:join(Dir, integer_to_list(Id) ++ ".bitcask.data") || Id <- Ids].

imported(Dir, Options) ->
    Tab = table(set),
    Result = bets_import:bitcask(Dir, Tab, Options),
    Objects = bets:tab2list(Tab),
    bets:delete(Tab),
    {Result, Objects}.

bitcask_directories_test_() ->
    [
        with_bitcask(Title, fun() ->
            Dir = path("b"),
            ok = written(Dir, Options),
            ?assert(length(data_files(Dir)) > 4),
            Changed = Change(Dir),
            Expected = bitcask_objects(Changed),
            same_as_bitcask(Expected, imported(Changed, [{verify, all}])),
            same_as_bitcask(Expected, imported(unicode:characters_to_binary(Changed), []))
        end)
     || {Title, Options, Change} <- [
            {"closed", [], fun(Dir) -> Dir end},
            {"tombstones of version 0", [{tombstone_version, 0}], fun(Dir) -> Dir end},
            {"without hints", [], fun(Dir) -> copied(Dir, fun is_data/1) end},
            {"merged", [], fun merged/1},
            {"pending deletion", [], fun(Dir) -> marked(Dir, 8#0001) end},
            {"pending deletion in old versions", [], fun(Dir) -> marked(Dir, 8#4000) end},
            {"all pending deletion", [], fun(Dir) -> lists:foldl(fun(_, D) -> marked(D, 1) end, Dir, data_files(Dir)) end}
        ]
    ].

same_as_bitcask(Expected, {{ok, Report}, Found}) ->
    same(Expected, Found),
    Size = length(Expected),
    ?assertEqual(#{objects => Size, skipped => 0, verified => Size, torn => [], damaged => []}, Report).

is_data(Name) -> lists:suffix(".data", Name).

%% It merges what a handle knows.
merged(Dir) ->
    bitcask(Dir, [read_write], fun(_Handle) -> ok = bitcask:merge(Dir) end),
    Dir.

%% The last file that is not marked yet gets the mode bit, so that what was written last is gone.
marked(Dir, Bit) ->
    {File, Mode} = lists:last([{File, Mode} || File <- data_files(Dir), {ok, #file_info{mode = Mode}} <- [file:read_file_info(File)], Mode band 8#4001 =:= 0]),
    ok = file:change_mode(File, Mode band 8#7777 bor Bit),
    Dir.

what_was_written_is_there_test_() ->
    with_bitcask("the contents", fun() ->
        Dir = path("b"),
        ok = written(Dir, []),
        {_, Found} = imported(Dir, []),
        Keys = [key(N) || N <- lists:seq(0, 69), N < 10 orelse N > 20 orelse N =:= 12 orelse N =:= 13, N =/= 30, N =/= 31],
        ?assertEqual(Keys, lists:sort([Key || {Key, _} <- Found])),
        ?assertEqual(<<"again">>, proplists:get_value(key(12), Found))
    end).

a_directory_in_use_is_refused_test_() ->
    with_bitcask("in use", fun() ->
        Dir = path("b"),
        bitcask(Dir, [read_write, {max_file_size, 4000}], fun(Handle) ->
            write(Handle),
            Lock = filename:join(Dir, "bitcask.write.lock"),
            ?assertEqual({{error, {bitcask_in_use, Lock}}, []}, imported(Dir, [])),
            same_as_bitcask(bitcask_objects(Dir), imported(Dir, [{force, true}])),
            %% As after a kill: the lock stays, hints are not ended.
            Left = copied(Dir, fun(_) -> true end),
            ?assertMatch({{error, {bitcask_in_use, _}}, []}, imported(Left, [])),
            same_as_bitcask(bitcask_objects(Dir), imported(Left, [{force, true}]))
        end),
        ok = file:write_file(filename:join(Dir, "bitcask.merge.lock"), <<>>),
        ?assertMatch({{error, {bitcask_in_use, _}}, []}, imported(Dir, []))
    end).

values_that_only_begin_like_a_tombstone_test_() ->
    with_bitcask("values like tombstones", fun() ->
        Dir = path("b"),
        Values = [<<"bitcask_tombstone", Rest/binary>> || Rest <- [<<"1">>, <<"1234">>, <<"3____">>, <<" of mine">>]] ++ [<<"bitcask_tombston">>, <<>>],
        Objects = [{<<"k", N>>, Value} || {N, Value} <- lists:zip(lists:seq(1, length(Values)), Values)],
        bitcask(Dir, [read_write], fun(Handle) -> [ok = bitcask:put(Handle, K, V) || {K, V} <- Objects] end),
        {{ok, _}, Found} = imported(Dir, []),
        same(Objects, Found)
    end).

%% Larger than what is read at once, and exactly at its edge.
large_values_test_() ->
    with_bitcask("large values", fun() ->
        Dir = path("b"),
        Objects = [{<<N>>, binary:copy(<<N>>, Size)} || {N, Size} <- [{1, 1048576 - 15}, {2, 1048576}, {3, 3000000}, {4, 5}, {5, 1048575}]],
        bitcask(Dir, [read_write], fun(Handle) -> [ok = bitcask:put(Handle, K, V) || {K, V} <- Objects] end),
        {{ok, _}, Found} = imported(Dir, [{verify, all}]),
        same(Objects, Found)
    end).

%% ---------------------------------------------------------------- Bitcask files with faults

%% One file, and each record's object and end.
one_file(Objects) ->
    Dir = path("b"),
    bitcask(Dir, [read_write], fun(Handle) -> [ok = bitcask:put(Handle, K, V) || {K, V} <- Objects] end),
    [File] = data_files(Dir),
    {ok, Bytes} = file:read_file(File),
    {Ends, Size} = lists:mapfoldl(fun({K, V}, At) -> End = At + 14 + byte_size(K) + byte_size(V), {End, End} end, 0, Objects),
    ?assertEqual(Size, byte_size(Bytes)),
    {Dir, File, Bytes, lists:zip(Objects, Ends)}.

some_objects() -> [{<<"k", N>>, binary:copy(<<N>>, N)} || N <- [1, 7, 0, 30, 12]].

a_torn_end_is_told_at_every_length_test_() ->
    with_bitcask("torn", fun() ->
        {Dir, File, Bytes, Records} = one_file(some_objects()),
        [
            begin
                ok = file:write_file(File, binary:part(Bytes, 0, Length)),
                {{ok, #{torn := Torn}}, Found} = imported(Dir, []),
                same([Object || {Object, End} <- Records, End =< Length], Found),
                ?assertEqual([{File, At, Length - At} || At <- [lists:max([0 | [End || {_, End} <- Records, End =< Length]])], At < Length], Torn),
                Length rem 20 =:= 0 andalso same(bitcask_objects(copied(Dir, fun is_data/1)), Found)
            end
         || Length <- lists:seq(1, byte_size(Bytes))
        ],
        ok = file:write_file(File, [Bytes, binary:copy(<<0>>, 1500000)]),
        {{ok, #{torn := Torn}}, Found} = imported(Dir, []),
        ?assertEqual([{File, byte_size(Bytes), 1500000}], Torn),
        same(some_objects(), Found)
    end).

%% Each byte in turn: an error that names the place, but in the last record, whose lengths may lead behind the end as those of a torn one.
no_changed_byte_is_missed_test_() ->
    with_bitcask("each byte changed", fun() ->
        {Dir, File, Bytes, Records} = one_file(some_objects()),
        Last = lists:nth(length(Records) - 1, [End || {_, End} <- Records]),
        Starts = [0 | [End || {_, End} <- Records]],
        [
            begin
                <<Before:At/binary, Byte, After/binary>> = Bytes,
                ok = file:write_file(File, [Before, Byte bxor Mask, After]),
                Start = lists:max([S || S <- Starts, S =< At]),
                case imported(Dir, []) of
                    {{error, {damaged, File, Start, What}}, []} -> ?assert(is_list(What));
                    {{ok, #{torn := [{File, Start, _}]}}, Found} when Start =:= Last -> same(lists:droplast(some_objects()), Found)
                end,
                %% With the option: no object that is not one of them, and what is missing is told.
                {{ok, #{torn := Torn, damaged := Damaged}}, Rest} = imported(Dir, [{damaged, skip}]),
                ?assertEqual([], Rest -- some_objects()),
                ?assert(length(Torn) + length(Damaged) > 0)
            end
         || At <- lists:seq(0, byte_size(Bytes) - 1), Mask <- [1, 128]
        ]
    end).

damage_is_passed_over_if_asked_test_() ->
    with_bitcask("damage passed over", fun() ->
        {Dir, File, Bytes, Records} = one_file(some_objects()),
        [{_, _}, {_, Second}, {_, Third}, _, _] = Records,
        %% In a value: the next record is where it was.
        change(File, Bytes, Second - 1),
        {{ok, #{damaged := [{File, At, _}], objects := 4}}, Found} = imported(Dir, [{damaged, skip}]),
        ?assertEqual(element(2, hd(Records)), At),
        same(some_objects() -- [lists:nth(2, some_objects())], Found),
        %% In a length that leads behind the end: the rest is passed over.
        change(File, Bytes, Third + 10),
        {{ok, #{damaged := [{File, Third, _}], torn := [], objects := 3}}, Rest} = imported(Dir, [{damaged, skip}]),
        same(lists:sublist(some_objects(), 3), Rest)
    end).

change(File, Bytes, At) ->
    <<Before:At/binary, Byte, After/binary>> = Bytes,
    ok = file:write_file(File, [Before, Byte bxor 255, After]).

%% ---------------------------------------------------------------- decoders, progress and kills

decoders_test_() ->
    with_bitcask("decoders", fun() ->
        Plain = {<<1:7, 0:1, 1:16, "b", "key">>, <<"plain">>},
        Typed = {<<1:7, 1:1, 4:16, "type", 6:16, "bucket", "k">>, <<"typed">>},
        Old = {term_to_binary({<<"b">>, <<"old">>}), <<"old">>},
        {Dir, _, _, _} = one_file([Plain, Typed, Old]),
        {{ok, #{objects := 3}}, Riak} = imported(Dir, [{decode, riak}, {verify, all}]),
        same([{{<<"b">>, <<"key">>}, <<"plain">>}, {{{<<"type">>, <<"bucket">>}, <<"k">>}, <<"typed">>}, {{<<"b">>, <<"old">>}, <<"old">>}], Riak),
        Own = fun(_Key, <<"typed">>) -> skip; (Key, Value) -> {byte_size(Key), Value} end,
        {{ok, #{objects := 2, skipped := 1, verified := 2}}, Found} = imported(Dir, [{decode, Own}, {verify, all}]),
        same([{7, <<"plain">>}, {byte_size(element(1, Old)), <<"old">>}], Found),
        ?assertMatch({{error, {target_count, 3, 1}}, [_]}, imported(Dir, [{decode, fun(_, V) -> {same, V} end}])),
        ?assertMatch({{error, {bad_object, {}}}, []}, imported(Dir, [{decode, fun(_, _) -> {} end}])),
        ?assertMatch({{error, {bad_object, ok}}, []}, imported(Dir, [{decode, fun(_, _) -> ok end}])),
        [
            begin
                {Other, _, _, _} = one_file([{Key, <<"v">>}]),
                ?assertEqual({{error, {not_riak, Key}}, []}, imported(Other, [{decode, riak}]))
            end
         || Key <- [<<"k">>, <<1:7, 0:1, 9:16, "b">>, <<1:7, 1:1, 1:16, "t", 9:16>>, <<131, 255>>, term_to_binary(x)]
        ]
    end).

progress_of_a_directory_is_told_test_() ->
    with_bitcask("progress", fun() ->
        Dir = path("b"),
        ok = written(Dir, []),
        Tab = table(ordered_set),
        Steps = steps(fun(Options) -> bets_import:bitcask(Dir, Tab, [{batch, 20} | Options]) end),
        Bytes = lists:sum([filelib:file_size(File) || File <- data_files(Dir)]),
        Scanned = [{Done, Total} || #{phase := scan, done := Done, total := Total} <- Steps],
        ?assertEqual({Bytes, Bytes}, lists:last(Scanned)),
        ?assertEqual(length(data_files(Dir)), length(Scanned)),
        ?assertEqual([{20, 59}, {40, 59}, {59, 59}], [{Done, Total} || #{phase := import, done := Done, total := Total} <- Steps]),
        bets:delete(Tab)
    end).

after_a_kill_the_same_directory_ends_right_test_() ->
    with_bitcask("kills", fun() ->
        Dir = path("b"),
        ok = written(Dir, []),
        [
            begin
                Tab = table(Type),
                killed_and_again(fun(Options) -> bets_import:bitcask(Dir, Tab, [{batch, 2} | Options]) end),
                same(bitcask_objects(Dir), bets:tab2list(Tab)),
                bets:delete(Tab)
            end
         || Type <- [set, ordered_set, bag]
        ]
    end).
