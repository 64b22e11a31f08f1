%% Imports beside what the source itself says that it holds: from ets, and what all sources have in common: what is refused, verification, progress,
%% kills. What only dets and only Bitcask have is in suites of their own.
-module(bets_import_tests).

-include_lib("eunit/include/eunit.hrl").

-import(bets_import_beside, [dets_file/2, ets_table/1, killed_and_again/1, objects/1, path/1, same/2, steps/1, table/1]).

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
