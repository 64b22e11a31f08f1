%% Tables to and from files, dets, init functions, queries and the shell: beside ets, and each reading what the other wrote.
-module(bets_copy_tests).

-include_lib("eunit/include/eunit.hrl").
-include_lib("stdlib/include/qlc.hrl").

-compile(nowarn_export_all).
-compile(export_all).

types() -> [set, ordered_set, bag, duplicate_bag].

objects() -> [{N, N * N, {deep, [N]}} || N <- lists:seq(1, 250)] ++ [{a}, {"key", #{x => 1}, <<1:3>>}, {1.5, make_ref()}].

file(Name) ->
    File = bets_beside:temp_dir(Name),
    ok = filelib:ensure_dir(File),
    _ = file:delete(File),
    File.

%% ---------------------------------------------------------------- files

ets_and_bets_read_each_others_files_test_() ->
    Options = [[], [{extended_info, [object_count]}], [{extended_info, [md5sum]}], [{extended_info, [object_count, md5sum]}, {sync, true}], [{sync, false}]],
    [
        fun() ->
            {E, B} = bets_beside:pair([Type, public], objects()),
            File = file("table"),
            [
                begin
                    ?assertEqual(ok, Writer:tab2file(T, File, Opts)),
                    ?assertEqual(ets:tabfile_info(File), bets:tabfile_info(File)),
                    {ok, Back} = Reader:file2tab(File, [{verify, Verify}]),
                    ?assertEqual(lists:sort(ets:tab2list(E)), lists:sort(Reader:tab2list(Back))),
                    Items = [name, type, protection, keypos, named_table, size],
                    ?assertEqual([Writer:info(T, Item) || Item <- Items], [Reader:info(Back, Item) || Item <- Items]),
                    Reader:delete(Back)
                end
             || {Writer, T} <- [{ets, E}, {bets, B}], Reader <- [ets, bets], Verify <- [true, false]
            ],
            bets_beside:drop(E, B)
        end
     || Type <- types(), Opts <- Options
    ].

extended_info_is_that_of_ets_test() ->
    {E, B} = bets_beside:pair([ordered_set], objects()),
    [F1, F2] = [file(Name) || Name <- ["ets_file", "bets_file"]],
    ok = ets:tab2file(E, F1, [{extended_info, [md5sum, object_count]}]),
    ok = bets:tab2file(B, F2, [{extended_info, [md5sum, object_count]}]),
    [[H1 | T1], [H2 | T2]] = [terms(F) || F <- [F1, F2]],
    %% The headers differ in the identifier, so the digests do.
    ?assertEqual([element(1, I) || I <- tuple_to_list(H1)], [element(1, I) || I <- tuple_to_list(H2)]),
    ?assertEqual(lists:droplast(T1), lists:droplast(T2)),
    ['$end_of_table', [Count, {md5, _}]] = lists:last(T1),
    ?assertMatch(['$end_of_table', [Count, {md5, _}]], lists:last(T2)),
    bets_beside:drop(E, B).

terms(File) ->
    {ok, Log} = disk_log:open([{name, make_ref()}, {file, File}, {mode, read_only}]),
    Terms = terms(Log, disk_log:bchunk(Log, start)),
    disk_log:close(Log),
    Terms.

terms(_Log, eof) -> [];
terms(Log, {Next, Binaries, 0}) -> terms(Log, {Next, Binaries});
terms(Log, {Next, Binaries}) -> [binary_to_term(B) || B <- Binaries] ++ terms(Log, disk_log:bchunk(Log, Next)).

%% Each file is damaged in each byte that matters: both say the same, and neither keeps a half-read table.
damaged_files_test_() ->
    [
        {timeout, 60, fun() ->
            {E, B} = bets_beside:pair([], [{N, N} || N <- lists:seq(1, 20)]),
            File = file("damaged"),
            ok = bets:tab2file(B, File, Options),
            {ok, Bytes} = file:read_file(File),
            Tables = length(bets:all()),
            [
                begin
                    <<Before:At/binary, Byte, After/binary>> = Bytes,
                    ok = file:write_file(File, [Before, Byte bxor 1, After]),
                    same_or_better(At, read(ets, File), read(bets, File))
                end
             || At <- lists:seq(0, 600, 7) ++ values(Bytes)
            ],
            [
                begin
                    ok = file:write_file(File, binary:part(Bytes, 0, Len)),
                    same_or_better(Len, read(ets, File), read(bets, File))
                end
             || Len <- lists:seq(0, byte_size(Bytes), 23)
            ],
            ?assertEqual(Tables, length(bets:all())),
            bets_beside:drop(E, B)
        end}
     || Options <- [[], [{extended_info, [object_count, md5sum]}]]
    ].

%% Where ets crashes on a header, bets has a word for it.
same_or_better(At, Ets, Bets) ->
    Same = [A =:= B orelse (is_tuple(A) andalso element(1, A) =:= error andalso B =:= cannot_create_table) || {A, B} <- lists:zip(Ets, Bets)],
    ?assertEqual({At, [true, true], Ets, Bets}, {At, Same, Ets, Bets}).

%% The values of the objects. Where lengths are damaged, disk_log itself may not come to an end.
values(Bytes) ->
    [At + 5 || {At, 6} <- binary:matches(Bytes, [<<104, 2, 97, N, 97, N>> || N <- [1, 7, 20]])].

read(Module, File) ->
    [
        try Module:file2tab(File, [{verify, Verify}]) of
            {ok, Tab} ->
                Objects = lists:sort(Module:tab2list(Tab)),
                Module:delete(Tab),
                Objects;
            {error, {read_error, _}} -> read_error;
            {error, Reason} -> Reason
        catch
            Class:Reason -> {Class, Reason}
        end
     || Verify <- [true, false]
    ].

files_fail_as_in_ets_test_() ->
    [
        fun() -> bets_beside:same([], [{a, 1}], F, Args) end
     || {F, Args} <- [
            {tab2file, ['T', "/nonex/x"]}, {tab2file, ['T', "/tmp"]}, {tab2file, ['T', "/nonex/x", [bad]]}, {tab2file, ['T', "/nonex/x", [{sync, 1}]]},
            {tab2file, ['T', "/nonex/x", [{sync, true} | bad]]}, {tab2file, ['T', "/nonex/x", [{extended_info, [bad]}]]},
            {tab2file, ['T', "/nonex/x", [{extended_info, bad}]]}, {tab2file, ['T', "/nonex/x", [{extended_info, []}, {extended_info, []}]]}
        ]
    ] ++
        [
            fun() -> bets_beside:same_without_table(F, Args) end
         || {F, Args} <- [
                {tab2file, [no_such_table, "/tmp/bets_no_table"]}, {file2tab, ["/nonex/x"]}, {file2tab, ["/tmp"]}, {file2tab, ["/nonex/x", [bad]]},
                {file2tab, ["/nonex/x", bad]}, {file2tab, ["/nonex/x", [{verify, 1}]]}, {tabfile_info, ["/nonex/x"]}, {tabfile_info, ["/etc/passwd"]},
                {file2tab, ["/etc/passwd"]}
            ]
        ].

a_taken_name_test() ->
    File = file("named"),
    T = bets:new(bets_copy_named, [named_table, {dir, bets_beside:temp_dir("named_dir")}]),
    ok = bets:tab2file(T, File),
    ?assertEqual({error, cannot_create_table}, bets:file2tab(File)),
    bets:delete(T),
    {ok, bets_copy_named} = bets:file2tab(File),
    ?assertEqual({true, true}, {bets:info(bets_copy_named, named_table), bets:info(bets_copy_named, temporary)}),
    bets:delete(bets_copy_named).

a_file_goes_into_a_table_that_is_there_test() ->
    File = file("into"),
    {E, B} = bets_beside:pair([], [{a, 1}, {b, 2}]),
    ok = ets:tab2file(E, File),
    T = bets:new(t, [{dir, bets_beside:temp_dir("into_dir")}]),
    ?assertEqual({ok, T}, bets:file2tab(File, [{table, T}])),
    ?assertEqual([{a, 1}, {b, 2}], lists:sort(bets:tab2list(T))),
    bets:delete(T),
    bets_beside:drop(E, B).

%% ---------------------------------------------------------------- dets

dets_test() ->
    {E, B} = bets_beside:pair([], objects()),
    {ok, D} = dets:open_file(bets_copy_dets, [{file, file("dets")}]),
    ok = dets:insert(D, {old, 1}),
    ?assertEqual(D, bets:to_dets(B, D)),
    ?assertEqual(lists:sort(ets:tab2list(E)), lists:sort(dets:match_object(D, '_'))),
    T = bets:new(t, []),
    bets:insert(T, [{a, other}, {stays}]),
    ?assertEqual(true, bets:from_dets(T, D)),
    ?assertEqual(lists:sort([{stays} | ets:tab2list(E)]), lists:sort(bets:tab2list(T))),
    [
        ?assertEqual(class(ets, F, [bets_beside:with(E, [Tab]) ++ [With]]), class(bets, F, [bets_beside:with(B, [Tab]) ++ [With]]))
     || F <- [to_dets, from_dets], {Tab, With} <- [{'T', no_dets}, {'T', 17}, {no_such_table, D}, {17, D}]
    ],
    dets:close(D),
    bets:delete(T),
    bets_beside:drop(E, B).

class(Module, Function, [Args]) ->
    try {ok, apply(Module, Function, Args)}
    catch Class:Reason -> {Class, Reason}
    end.

%% ---------------------------------------------------------------- init_table

init_table_test() ->
    {E, B} = bets_beside:pair([], [{old}]),
    Me = self(),
    Steps = fun Steps(Left) ->
        fun
            (close) -> Me ! closed;
            (read) when Left =:= [] -> end_of_input;
            (read) -> {hd(Left), Steps(tl(Left))}
        end
    end,
    [
        begin
            ?assertEqual(true, M:init_table(T, Steps([[{a, 1}, {b, 2}], [], [{a, 3}]]))),
            ?assertEqual([{a, 3}, {b, 2}], lists:sort(M:tab2list(T))),
            ?assertExit({badarg, _}, M:init_table(T, Steps([[{c, 1}, bad, {d, 1}]]))),
            receive closed -> ok after 0 -> error(not_closed) end,
            ?assertEqual([{c, 1}], M:tab2list(T)),
            ?assertExit(nonsense, M:init_table(T, fun(read) -> nonsense end)),
            ?assertError({badfun, x}, M:init_table(T, x)),
            ?assertError(badarg, M:init_table(no_such_table, Steps([])))
        end
     || {M, T} <- [{ets, E}, {bets, B}]
    ],
    bets_beside:drop(E, B).

%% ---------------------------------------------------------------- qlc

queries_give_what_they_give_on_ets_test_() ->
    Queries = [
        fun(M, T, O) -> qlc:q([X || X <- M:table(T, O)]) end,
        fun(M, T, O) -> qlc:q([V || {7, V} <- M:table(T, O)]) end,
        fun(M, T, O) -> qlc:q([V || {K, V} <- M:table(T, O), K =:= 7 orelse K =:= 8]) end,
        fun(M, T, O) -> qlc:q([K || {K, V} <- M:table(T, O), V > 100, K rem 2 =:= 0]) end,
        fun(M, T, O) -> qlc:q([{A, B} || {A, X} <- M:table(T, O), {B, Y} <- M:table(T, O), X =:= B, Y > 400]) end,
        fun(M, T, O) -> qlc:sort(qlc:q([V || {K, V} <- M:table(T, O), K == 7.0])) end
    ],
    Options = [
        [], {n_objects, 3}, [{n_objects, default}], [{traverse, first_next}], [{traverse, last_prev}], [{traverse, select}, {n_objects, 1}],
        [{traverse, {select, [{{'$1', '_'}, [{'<', '$1', 30}], ['$_']}]}}]
    ],
    [
        fun() ->
            {E, B} = {ets:new(bets_copy_query, [Type, named_table]), bets_copy_query},
            {ok, B} = bets_opener:temporary(bets_copy_query, [Type, named_table]),
            [M:insert(T, [{N, N * N} || N <- lists:seq(1, 50)]) || {M, T} <- [{ets, E}, {bets, B}]],
            [
                begin
                    [Ets, Bets] = [qlc:e(Query(M, T, Opts)) || {M, T} <- [{ets, E}, {bets, B}]],
                    case Type of
                        ordered_set -> ?assertEqual(Ets, Bets);
                        _ -> ?assertEqual(lists:sort(Ets), lists:sort(Bets))
                    end,
                    ?assertEqual(plan(Query(ets, E, Opts)), plan(Query(bets, B, Opts))),
                    ?assertEqual(false, bets:info(B, fixed))
                end
             || Query <- Queries, Opts <- Options
            ],
            bets_beside:drop(E, B)
        end
     || Type <- types()
    ].

%% How a query is carried out: lookups, specifications, traversals.
plan(Query) ->
    Text = unicode:characters_to_list(qlc:info(Query)),
    Known = re:replace(Text, "#Ref<[0-9.]+>", "T", [global, {return, list}]),
    Plain = re:replace(Known, "\\s+", " ", [global, {return, list}]),
    re:replace(Plain, "\\bb?ets:|'b?ets'", "m:", [global, {return, list}]).

a_query_of_an_unnamed_table_shows_its_lookup_test() ->
    {E, B} = bets_beside:pair([], [{1, a}, {2, b}]),
    [
        ?assertMatch({match, _}, re:run(qlc:info(Query), "bets:lookup"))
     || Query <- [
            qlc:q([V || {1, V} <- bets:table(B)]), qlc:q([V || {K, V} <- bets:table(B), K =:= 1 orelse K =:= 2])
        ]
    ],
    bets_beside:drop(E, B).

options_of_table_test() ->
    {E, B} = bets_beside:pair([], []),
    [
        ?assertEqual(kind(ets, [E, O]), kind(bets, [B, O]))
     || O <- [bad, [bad], {n_objects, 0}, {n_objects, x}, {traverse, x}, {unique, true}, [{parent_fun, fun() -> x end}], []]
    ],
    bets_beside:drop(E, B).

kind(Module, Args) ->
    try apply(Module, table, Args) of Handle -> element(1, Handle)
    catch Class:Reason -> {Class, Reason}
    end.

%% ---------------------------------------------------------------- the shell

browsing_looks_as_in_ets_test_() ->
    [
        fun() ->
            {E, B} = bets_beside:pair([ordered_set], [{N, lists:duplicate(N, $x)} || N <- lists:seq(1, 30)] ++ [{x, [$y]}]),
            ?assertEqual(browse(ets, [E | Args], Input), browse(bets, [B | Args], Input)),
            bets_beside:drop(E, B)
        end
     || Args <- [[], [10], [10, 40], [2, 20]],
        Input <- [
            ["q\n"], ["c\n", "q\n"], ["\n", "c\n", "c\n", "c\n", "q\n"], ["p3\n", "p31\n", "px\n", "c\n", "p1\n", "q\n"],
            ["/xxxxxxxx\n", "p2\n", "c\n", "c\n", "q\n"], ["/(\n", "q\n"], ["hm\n", "q\n"], [], ["/nothing\n", "c\n", "q\n"]
        ]
    ].

killing_a_table_in_the_shell_test() ->
    {E, B} = bets_beside:pair([], [{a}]),
    ?assertEqual(browse(ets, [E], ["k\n"]), browse(bets, [B], ["k\n"])),
    ?assertEqual({undefined, undefined}, {ets:info(E), bets:info(B)}).

browsing_no_table_test() ->
    [?assertError(badarg, apply(M, i, [no_such_table | Args])) || M <- [ets, bets], Args <- [[], [5], [5, 5]]].

%% What is printed when these lines are typed.
browse(Module, Args, Lines) ->
    Me = self(),
    {Pid, Ref} = spawn_monitor(fun() ->
        group_leader(Me, self()),
        receive go -> ok end,
        exit({result, apply(Module, i, Args)})
    end),
    %% A private table is not needed: those of the tests are protected. Only its owner may delete it.
    _ = Lines =:= ["k\n"] andalso [Module:setopts(hd(Args), {protection, public})],
    Pid ! go,
    serve(Ref, Lines, []).

serve(Ref, Lines, Printed) ->
    receive
        {io_request, From, As, Request} ->
            {Answer, Lines1, Text} = io(Request, Lines),
            From ! {io_reply, As, Answer},
            serve(Ref, Lines1, [Text | Printed]);
        {'DOWN', Ref, process, _, {result, Result}} ->
            {Result, lists:reverse(Printed)};
        {'DOWN', Ref, process, _, Reason} ->
            {failed, Reason}
    after 60000 -> error(stuck)
    end.

io({put_chars, _, M, F, A}, Lines) -> {ok, Lines, unicode:characters_to_binary(apply(M, F, A))};
io({put_chars, _, Chars}, Lines) -> {ok, Lines, unicode:characters_to_binary(Chars)};
io({get_line, _, Prompt}, [Line | Lines]) -> {Line, Lines, Prompt};
io({get_line, _, Prompt}, []) -> {eof, [], Prompt}.

%% ---------------------------------------------------------------- all functions

every_function_of_ets_is_there_test() ->
    Internal = [{internal_delete_all, 2}, {internal_request_all, 0}, {internal_select_delete, 2}, {match_spec_run_r, 3}, {delete_all_objects, 2}],
    ?assertEqual([], (ets:module_info(exports) -- bets:module_info(exports)) -- Internal).
