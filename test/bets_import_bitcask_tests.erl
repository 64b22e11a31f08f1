%% Imports from Basho's Bitcask, where it is installed, beside what Bitcask itself reads: directories as it leaves them, files with faults, decoders.
-module(bets_import_bitcask_tests).

-include_lib("eunit/include/eunit.hrl").
-include_lib("kernel/include/file.hrl").

-import(bets_import_beside, [killed_and_again/1, path/1, same/2, steps/1, table/1]).

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

%% ---------------------------------------------------------------- directories

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

%% ---------------------------------------------------------------- files with faults

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
