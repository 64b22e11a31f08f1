%% Imports from dets beside what dets itself reads: files of each type, unclosed, in use and damaged.
-module(bets_import_dets_tests).

-include_lib("eunit/include/eunit.hrl").

-import(bets_import_beside, [dets_file/2, objects/1, same/2, table/1]).

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
