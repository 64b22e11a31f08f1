%% The command line for operators: status, output, JSON.
-module(bets_cli_tests).

-include_lib("eunit/include/eunit.hrl").

with_root(Test) ->
    {timeout, 60, fun() ->
        {ok, _} = application:ensure_all_started(bets),
        Root = filename:join("/tmp", "bets-cli-" ++ os:getpid() ++ "-" ++ integer_to_list(erlang:unique_integer([positive]))),
        ok = filelib:ensure_dir(filename:join(Root, "x")),
        try
            Test(Root)
        after
            file:del_dir_r(Root)
        end
    end}.

%% Runs a command with another group leader: its status and what it prints.
run(Arguments) -> run(Arguments, "/dev/null").

run(Arguments, ErrorFile) ->
    File = filename:join("/tmp", "bets-cli-out-" ++ os:getpid()),
    {ok, Output} = file:open(File, [write, {encoding, utf8}]),
    {ok, Errors} = file:open(ErrorFile, [write, {encoding, utf8}]),
    Leader = group_leader(),
    true = group_leader(Output, self()),
    try bets_cli:run(Arguments, #{tty => false, errors => Errors}) of
        Status ->
            ok = file:close(Output),
            {ok, Text} = file:read_file(File),
            {Status, Text}
    after
        group_leader(Leader, self()),
        file:close(Errors),
        file:delete(File)
    end.

json(Arguments) ->
    {Status, Text} = run(["--json" | Arguments]),
    {Status, parse(Text)}.

%% A small reader of JSON, so that what is printed is judged by something else than what prints it.
parse(Text) ->
    {Value, Rest} = value(string:trim(unicode:characters_to_list(Text))),
    ?assertEqual("", Rest),
    Value.

value("{" ++ Rest) -> object(Rest, #{});
value("[]" ++ Rest) -> {[], Rest};
value("[" ++ Rest) -> array(Rest, []);
value("\"" ++ Rest) -> string(Rest, []);
value("true" ++ Rest) -> {true, Rest};
value("false" ++ Rest) -> {false, Rest};
value("null" ++ Rest) -> {null, Rest};
value(Text) ->
    {match, [Digits]} = re:run(Text, "^-?[0-9]+", [{capture, first, list}]),
    {list_to_integer(Digits), lists:nthtail(length(Digits), Text)}.

object("}" ++ Rest, Acc) -> {Acc, Rest};
object("," ++ Rest, Acc) -> object(Rest, Acc);
object(Text, Acc) ->
    {Name, ":" ++ Rest} = value(Text),
    {Value, Rest2} = value(Rest),
    object(Rest2, Acc#{list_to_atom(Name) => Value}).

array(Text, Acc) ->
    case value(Text) of
        {Value, "]" ++ Rest} -> {lists:reverse(Acc, [Value]), Rest};
        {Value, "," ++ Rest} -> array(Rest, [Value | Acc])
    end.

string("\"" ++ Rest, Acc) -> {lists:reverse(Acc), Rest};
string([$\\, $u, A, B, C, D | Rest], Acc) -> string(Rest, [list_to_integer([A, B, C, D], 16) | Acc]);
string([$\\, Char | Rest], Acc) when Char =:= $"; Char =:= $\\ -> string(Rest, [Char | Acc]);
string([Char | Rest], Acc) when Char >= 32, Char =/= $\\ -> string(Rest, [Char | Acc]).

filled(Dir, Type) ->
    T = bets:new(filled, [Type, {dir, Dir}, {max_file_size, 4096}]),
    Objects = [{N, <<N:800>>} || N <- lists:seq(1, 50)] ++
        [{"text\n\"", 'an atom', 1.5e-7, -0.0}, {<<"ä"/utf8>>, [228, 8364 | tail]}, {self(), fun lists:map/2, #{make_ref() => 1}}, {'$external', "x"}],
    [bets:insert(T, Object) || Object <- Objects],
    All = lists:sort(bets:tab2list(T)),
    bets:close(T),
    All.

all(Dir) ->
    {ok, T} = bets:open(Dir),
    All = lists:sort(bets:tab2list(T)),
    bets:close(T),
    All.

damage(Dir) ->
    [_, File | _] = lists:sort(filelib:wildcard(filename:join(Dir, "*.seg"))),
    flip(File, 52),
    %% They would name the object.
    lists:foreach(fun(Hint) -> ok = file:delete(Hint) end, filelib:wildcard(filename:join(Dir, "*.hint"))).

flip(File, Offset) ->
    {ok, <<Front:Offset/binary, Byte, Rest/binary>>} = file:read_file(File),
    ok = file:write_file(File, <<Front/binary, (Byte bxor 4), Rest/binary>>).

usage_is_told_and_is_status_2_test_() ->
    with_root(fun(Root) ->
        {0, Help} = run(["--help"]),
        [?assertMatch({_, _}, binary:match(Help, Word)) || Word <- [<<"verify DIR">>, <<"--force">>, <<"--json">>]],
        [
            ?assertEqual({2, <<>>}, run(Wrong))
         || Wrong <- [
                [],
                ["nope"],
                ["verify"],
                ["verify", Root, Root],
                ["verify", Root, "--force"],
                ["repair", Root, "--type", "queue"],
                ["repair", Root, "--keypos"],
                ["repair", Root, "--keypos", "0"],
                ["dump", Root, "--json"]
            ]
        ]
    end).

%% Asked in any of these ways; with no word of the other commands.
the_usage_of_one_command_is_told_test() ->
    [
        begin
            {0, Help} = run([Command, "--help"]),
            Has = fun(Words) -> ?assertEqual({Words, 1}, {Words, times(Words, binary_to_list(Help))}, Help) end,
            [Has(Words) || Words <- ["bin/bets " ++ Command ++ " " ++ Arguments, "--json", "\n  2  the command could not be run\n" | Own]],
            ?assertEqual(0, times("bin/bets " ++ Other, binary_to_list(Help))),
            Text = string:trim(binary_to_list(Help)),
            [
                ?assertEqual({0, Help}, run(Asked))
             || Asked <- [[Command, "-h"], ["help", Command], ["--help", Command], [Command, "DIR", "--help"], ["--quiet", Command, "--help"]]
            ],
            {0, #{usage := Json}} = json(["help", Command]),
            ?assertEqual(Text, string:trim(Json))
        end
     || {Command, Other, Arguments, Own} <- [
            {"verify", "repair", "DIR", ["\n  1  something is wrong with the table\n"]},
            {"repair", "verify", "DIR", ["--force  ", "--type set|ordered_set|bag|duplicate_bag  ", "\n  1  "]},
            {"import", "verify", "DIR SOURCE", ["--skip-damaged  ", "--decode raw|riak  ", "--restart  ", "--force  ", "--repair  ", "\n  1  "]},
            {"dump", "verify", "DIR [FILE]", ["\n  0  "]}
        ]
    ],
    ?assertMatch({0, #{usage := "usage: bin/bets COMMAND " ++ _}}, json(["--help"])),
    [?assertEqual({2, <<>>}, run(Wrong)) || Wrong <- [["help", "nope"], ["help", "--", "--json"], ["help", "--nope"]]].

flags_may_stand_before_the_command_test_() ->
    with_root(fun(Root) ->
        Dir = filename:join(Root, "t"),
        filled(Dir, set),
        [
            begin
                {0, Json} = run(Arguments),
                ?assertMatch(#{sound := true}, parse(Json))
            end
         || Arguments <- [["--json", "verify", Dir], ["--quiet", "--json", "verify", Dir], ["--json", "verify", "--", Dir]]
        ],
        [?assertEqual({2, <<>>}, run(Flags)) || Flags <- [["--json"], ["--json", "--quiet"], ["--json", "--json"]]]
    end).

what_was_called_wrongly_leads_to_the_help_test_() ->
    with_root(fun(Root) ->
        File = filename:join(Root, "errors"),
        [
            begin
                ?assertEqual({2, <<>>}, run(Arguments, File)),
                ?assertEqual({ok, Words}, file:read_file(File))
            end
         || {Words, Arguments} <- [
                {<<"bets: there is no option --bogus here; see bin/bets verify --help\n">>, ["verify", "/nowhere", "--bogus"]},
                {<<"bets: the arguments are DIR; see bin/bets verify --help\n">>, ["verify"]},
                {<<"bets: with --json a FILE is needed for the objects; see bin/bets dump --help\n">>, ["dump", Root, "--json"]},
                {<<"bets: there is no command nope; see bin/bets --help\n">>, ["nope"]}
            ]
        ]
    end).

what_cannot_be_run_is_status_2_with_an_error_test_() ->
    with_root(fun(Root) ->
        Nowhere = filename:join(Root, "nowhere"),
        [
            begin
                {2, #{error := Words}} = json([Command, Nowhere | More]),
                ?assertNotEqual(nomatch, string:find(Words, "no table"))
            end
         || {Command, More} <- [{"info", []}, {"verify", []}, {"repair", []}, {"dump", [filename:join(Root, "f")]}]
        ],
        ?assertMatch({2, #{error := _}}, json(["load", Nowhere, filename:join(Root, "no file")])),
        ?assertMatch({2, #{error := _}}, json(["import", Nowhere, filename:join(Root, "no file")])),
        ?assertNot(filelib:is_file(Nowhere)),
        T = bets:new(t, [{dir, Nowhere}]),
        ?assertMatch({2, #{error := _}}, json(["repair", Nowhere])),
        ?assertMatch({0, #{type := "set", name := "t"}}, json(["info", Nowhere])),
        bets:close(T)
    end).

a_table_is_described_checked_and_repaired_test_() ->
    with_root(fun(Root) ->
        Dir = filename:join(Root, "tä \"1\""),
        All = filled(Dir, ordered_set),
        ?assertMatch({0, #{type := "ordered_set", keypos := 1, name := "filled", segments := _}}, json(["info", Dir])),
        ?assertMatch({0, #{sound := true, records := 54, faults := []}}, json(["verify", Dir])),
        {0, Text} = run(["verify", Dir]),
        ?assertMatch({_, _}, binary:match(Text, <<"54 records">>)),
        damage(Dir),
        {1, #{sound := false, loss := "records", faults := [#{file := File, offset := _, seqs := [_, _]}]}} = json(["verify", Dir]),
        ?assertEqual(Dir, filename:dirname(File)),
        ?assertMatch({1, #{status := "refused"}}, json(["repair", Dir])),
        {1, #{status := "repaired", quarantined := [Kept]}} = json(["repair", Dir, "--force"]),
        ?assert(filelib:is_regular(Kept)),
        ?assertMatch({0, #{sound := true, spoilt := []}}, json(["verify", Dir])),
        ?assertMatch({0, #{status := "unchanged"}}, json(["repair", Dir])),
        ?assertMatch([_], All -- all(Dir)),
        ?assertEqual([], all(Dir) -- All)
    end).

%% How often the words stand in the text.
times(Words, Text) -> length(string:split(Text, Words, all)) - 1.

damage_is_told_with_what_to_do_test_() ->
    with_root(fun(Root) ->
        [Dir, Manifest] = [filename:join(Root, Name) || Name <- ["t", "t/MANIFEST"]],
        filled(Dir, set),
        Hint = "bin/bets repair " ++ Dir,
        Told = fun(Arguments) ->
            {2, #{error := Words}} = json(Arguments),
            ?assertEqual(1, times("bin/bets repair", Words), Words),
            ?assertEqual(1, times(Hint, Words), Words),
            Words
        end,
        [First | _] = lists:sort(filelib:wildcard(filename:join(Dir, "*.seg"))),
        ok = file:rename(First, First ++ "-away"),
        [Told(Arguments) || Arguments <- [["dump", Dir, filename:join(Root, "f")], ["merge", Dir], ["backup", Dir, filename:join(Root, "b")]]],
        {1, Text} = run(["verify", Dir]),
        ?assertEqual(1, times(Hint, Text), Text),
        ?assertEqual(0, times("--force", Text), Text),
        ok = file:rename(First ++ "-away", First),
        [
            begin
                Spoil(),
                [
                    ?assertEqual(1, times("--force --type TYPE", Told(Arguments)))
                 || Arguments <- [["info", Dir], ["dump", Dir, "f"], ["repair", Dir], ["repair", Dir, "--force"], ["repair", Dir, "--type", "set"]]
                ],
                {1, Found} = run(["verify", Dir]),
                ?assertEqual(1, times(Hint ++ " --force --type TYPE", Found), Found)
            end
         || Spoil <- [fun() -> ok = file:write_file(Manifest, "x") end, fun() -> ok = file:delete(Manifest) end]
        ],
        {1, _} = run(["repair", Dir, "--force", "--type", "set"]),
        ?assertMatch({0, _}, run(["verify", Dir]))
    end).

a_hint_that_is_wrong_is_told_and_is_no_failure_test_() ->
    with_root(fun(Root) ->
        Dir = filename:join(Root, "t"),
        filled(Dir, set),
        [Hint | _] = filelib:wildcard(filename:join(Dir, "*.hint")),
        flip(Hint, 70),
        ?assertMatch({0, #{sound := true, faults := [], spoilt := [#{file := Hint, loss := "none", what := _}]}}, json(["verify", Dir])),
        {0, Text} = run(["verify", Dir]),
        [?assertMatch({_, _}, binary:match(Text, Words)) || Words <- [<<".hint: ">>, <<"harmless">>, <<"nothing is wrong">>]]
    end).

a_backup_is_a_table_of_its_own_test_() ->
    with_root(fun(Root) ->
        [Dir, Target] = [filename:join(Root, Name) || Name <- ["t", "backup"]],
        filled(Dir, set),
        All = all(Dir),
        {0, #{objects := Size}} = json(["backup", Dir, Target]),
        ?assertEqual({length(All), All}, {Size, all(Target)}),
        ?assertMatch({2, _}, run(["backup", Dir, Target])),
        ?assertEqual(All, all(Target))
    end).

what_is_dead_is_merged_away_test_() ->
    with_root(fun(Root) ->
        Dir = filename:join(Root, "t"),
        filled(Dir, set),
        {ok, T} = bets:open(Dir),
        [bets:insert(T, {N, <<N:800>>}) || _ <- [1, 2, 3], N <- lists:seq(1, 50)],
        bets:close(T),
        All = all(Dir),
        {0, #{inputs := [_ | _], damaged := [], input_bytes := Before, output_bytes := Behind}} = json(["merge", Dir]),
        ?assert(Behind * 2 < Before),
        ?assertEqual(All, all(Dir)),
        ?assertMatch({0, _}, run(["merge", Dir]))
    end).

what_a_merge_leaves_out_is_told_with_what_to_do_test_() ->
    with_root(fun(Root) ->
        Dir = filename:join(Root, "t"),
        filled(Dir, set),
        {ok, T} = bets:open(Dir),
        [bets:insert(T, {N, <<N:800>>}) || N <- lists:seq(1, 50)],
        bets:close(T),
        [_, File | _] = lists:sort(filelib:wildcard(filename:join(Dir, "*.seg"))),
        flip(File, 52),
        {1, Text} = run(["merge", Dir]),
        ?assertEqual([1, 1], [times(Words, binary_to_list(Text)) || Words <- ["left out for damage", "bin/bets repair " ++ Dir]], Text)
    end).

what_is_dumped_is_loaded_test_() ->
    with_root(fun(Root) ->
        [From, To, File] = [filename:join(Root, Name) || Name <- ["from", "to", "file"]],
        [
            begin
                All = filled(From, Type),
                ?assertEqual({0, #{objects => 54}}, json(["dump", From, File])),
                {0, Text} = run(["dump", From]),
                ?assertEqual({ok, Text}, file:read_file(File)),
                {ok, Terms} = file:consult(File),
                ?assertEqual(56, length(Terms)),
                ?assertEqual({0, #{objects => 54}}, json(["load", To, File])),
                ?assertEqual(All, all(To)),
                TypeName = atom_to_list(Type),
                ?assertMatch({0, #{name := "filled", type := TypeName}}, json(["info", To])),
                ?assertEqual({2, <<>>}, run(["load", To, File])),
                {0, _} = run(["load", To, File, "--add"]),
                Times =
                    case Type of
                        duplicate_bag -> 2;
                        _ -> 1
                    end,
                ?assertEqual(Times * length(All), length(all(To))),
                [ok = file:del_dir_r(Dir) || Dir <- [From, To]]
            end
         || Type <- [set, ordered_set, bag, duplicate_bag]
        ]
    end).

%% In the words of an import, and before anything is made or written.
a_dump_is_not_loaded_into_what_cannot_hold_it_test_() ->
    with_root(fun(Root) ->
        [From, To, File] = [filename:join(Root, Name) || Name <- ["from", "to", "file"]],
        Refused = fun(Words, Arguments) ->
            {2, #{error := Told}} = json(["load", To, File | Arguments]),
            ?assertNotEqual(nomatch, string:find(Told, Words), Told)
        end,
        [
            begin
                filled(From, Source),
                {0, _} = run(["dump", From, File]),
                Words = lists:concat(["a ", Target, " cannot hold all that a ", Source, " can"]),
                Refused(Words, ["--type", atom_to_list(Target)]),
                ?assertNot(filelib:is_file(To)),
                bets:close(bets:new(t, [Target, {dir, To}])),
                Refused(Words, []),
                Refused(Words, ["--add"]),
                ?assertEqual([], all(To)),
                [ok = file:del_dir_r(Dir) || Dir <- [From, To]]
            end
         || {Source, Target} <- [{bag, set}, {bag, ordered_set}, {duplicate_bag, set}, {duplicate_bag, bag}]
        ],
        All = filled(From, set),
        {0, _} = run(["dump", From, File]),
        Refused("the key is at position 1", ["--keypos", "2"]),
        ?assertNot(filelib:is_file(To)),
        bets:close(bets:new(t, [{keypos, 2}, {dir, To}])),
        Refused("the key is at position 1", []),
        ok = file:del_dir_r(To),
        ?assertEqual({0, #{objects => 54}}, json(["load", To, File, "--type", "bag"])),
        %% A table that is there has its own type, and holds a set.
        ?assertEqual({0, #{objects => 54}}, json(["load", To, File, "--add"])),
        ?assertEqual(All, all(To))
    end).

%% A source that gets shorter while it is read is damaged even for who passes over damaged records.
what_was_done_already_is_not_advised_test() ->
    Advised = fun(Options) ->
        Words = bets_cli_hint:explain("import", "/t", Options, {damaged, "/source/1.bitcask.data", 0, "the file ends"}),
        string:find(Words, "--skip-damaged") =/= nomatch
    end,
    ?assert(Advised(#{})),
    ?assertNot(Advised(#{'skip-damaged' => true})).

%% Keys that are two in a set and one in an ordered_set went without a word.
objects_that_are_one_in_the_table_are_told_test_() ->
    with_root(fun(Root) ->
        [From, To, File] = [filename:join(Root, Name) || Name <- ["from", "to", "file"]],
        T = bets:new(t, [{dir, From}]),
        true = bets:insert(T, [{1, a}, {1.0, b}, {2, c}]),
        ok = bets:close(T),
        {0, _} = run(["dump", From, File]),
        {1, #{error := Words, objects := 2}} = json(["load", To, File, "--type", "ordered_set"]),
        ?assertNotEqual(nomatch, string:find(Words, "3 objects were read"), Words)
    end).

a_file_that_was_cut_or_is_none_is_found_out_test_() ->
    with_root(fun(Root) ->
        [From, To, File] = [filename:join(Root, Name) || Name <- ["from", "to", "file"]],
        filled(From, set),
        {0, _} = run(["dump", From, File]),
        {ok, Text} = file:read_file(File),
        Lines = binary:split(Text, <<"\n">>, [global]),
        Cases = [
            {lists:join($\n, lists:sublist(Lines, 20)) ++ "\n", "cut behind"},
            {binary:part(Text, 0, 3000), ["line", "cut behind"]},
            {"x.\n", "no file of bin/bets dump"},
            {"", "no file of bin/bets dump"},
            {"{bets_dump,3,[]}.\n", "newer"},
            {"{bets_dump,1,[{type,set}]}.\n{a,1}.\nb.\n{bets_dump_end,2}.\n", "b"},
            {"{bets_dump,1,[{type,set}]}.\n{a,1}.\n{bets_dump_end,2}.\n", "2"}
        ],
        [
            begin
                ok = file:write_file(File, Bytes),
                {1, #{error := Words}} = json(["load", To, File]),
                ?assert(lists:any(fun(Any) -> string:find(Words, Any) =/= nomatch end, alternatives(Expected)), Words),
                file:del_dir_r(To)
            end
         || {Bytes, Expected} <- Cases
        ]
    end).

a_dets_file_is_imported_test_() ->
    with_root(fun(Root) ->
        [File, Dir] = [filename:join(Root, Name) || Name <- ["f.dets", "t"]],
        dets_file(File, [{keypos, 2}]),
        ?assertMatch({0, #{objects := 10, verified := 10}}, json(["import", Dir, File, "--keypos", "2"]))
    end).

dets_file(File, Options) ->
    {ok, D} = dets:open_file(make_ref(), [{file, File} | Options]),
    ok = dets:insert(D, [{a, N} || N <- lists:seq(1, 10)]),
    ok = dets:close(D).

a_new_table_is_of_the_kind_of_the_dets_file_test_() ->
    with_root(fun(Root) ->
        [File, Dir] = [filename:join(Root, Name) || Name <- ["f.dets", "t"]],
        dets_file(File, [{keypos, 2}, {type, bag}]),
        ?assertMatch({0, #{objects := 10}}, json(["import", Dir, File])),
        ?assertMatch({0, #{type := "bag", keypos := 2}}, json(["info", Dir]))
    end).

an_import_that_fails_leaves_no_table_behind_test_() ->
    with_root(fun(Root) ->
        [File, Text, Bitcask, Dir] = [filename:join(Root, Name) || Name <- ["f.dets", "text", "bitcask", "t"]],
        dets_file(File, [{type, bag}]),
        ok = file:write_file(Text, "text"),
        %% Only reading it shows that it is damaged.
        ok = filelib:ensure_dir(filename:join(Bitcask, "x")),
        ok = file:write_file(filename:join(Bitcask, "1.bitcask.data"), <<0:40, 5, 0:56, 1:16, 1:32, "kv", 1:32>>),
        [
            begin
                {2, #{error := Words}} = json(["import", Dir | Arguments]),
                ?assertEqual([nomatch, nomatch], [string:find(Words, Not) || Not <- ["exception", "bin/bets repair"]], Words),
                ?assertNot(filelib:is_file(Dir), Arguments)
            end
         || Arguments <- [[Text], [File, "--type", "set"], [File, "--keypos", "2"], [Root], [Bitcask]]
        ],
        ?assertMatch({0, #{objects := 10}}, json(["import", Dir, File])),
        %% What was there before stays, also if it is empty.
        bets:close(bets:new(t, [{dir, Dir ++ "2"}])),
        ?assertMatch({2, _}, json(["import", Dir ++ "2", Bitcask])),
        ?assertMatch({0, _}, json(["info", Dir ++ "2"]))
    end).

%% Those of the library are of no use there.
messages_name_options_of_the_command_line_test_() ->
    with_root(fun(Root) ->
        [Open, Bitcask, Dir, Full] = [filename:join(Root, Name) || Name <- ["open.dets", "bitcask", "t", "full"]],
        Told = fun(Arguments, Option) ->
            {2, #{error := Words}} = json(Arguments),
            ?assertEqual([{"{", 0}, {"#Ref", 0}, {"/2", 0}, {Option, 1}], [{Part, times(Part, Words)} || Part <- ["{", "#Ref", "/2", Option]], Words)
        end,
        {ok, D} = dets:open_file(make_ref(), [{file, Open}, {type, duplicate_bag}]),
        ok = dets:insert(D, [{a, 1}, {b, 2}]),
        Told(["import", Dir, Open], "with --repair"),
        ok = dets:close(D),
        ?assertMatch({0, #{objects := 2}}, json(["import", Full, Open])),
        Told(["import", Full, Open], "--restart"),
        ?assertMatch({0, #{objects := 2}}, json(["import", Full, Open, "--restart"])),
        ok = filelib:ensure_dir(filename:join(Bitcask, "x")),
        Lock = filename:join(Bitcask, "bitcask.write.lock"),
        Record = bitcask_record(<<"k">>, <<"v">>),
        ok = file:write_file(filename:join(Bitcask, "1.bitcask.data"), Record),
        ok = file:write_file(Lock, ""),
        Told(["import", Dir, Bitcask], "with --force"),
        ?assertMatch({0, #{objects := 1}}, json(["import", Dir, Bitcask, "--force"])),
        ok = file:delete(Lock),
        ok = file:write_file(filename:join(Bitcask, "1.bitcask.data"), [flipped(Record), Record]),
        Told(["import", Dir, Bitcask], "--skip-damaged"),
        ?assertMatch({1, #{objects := 1}}, json(["import", Dir, Bitcask, "--skip-damaged"])),
        Told(["info", filename:join(Root, "none")], "there is no table in")
    end).

bitcask_record(Key, Value) ->
    Body = <<1:32, (byte_size(Key)):16, (byte_size(Value)):32, Key/binary, Value/binary>>,
    <<(erlang:crc32(Body)):32, Body/binary>>.

flipped(<<Byte, Rest/binary>>) -> <<(Byte bxor 4), Rest/binary>>.

the_script_runs_it_in_a_vm_of_its_own_test_() ->
    with_root(fun(Root) ->
        Dir = filename:join(Root, "t"),
        filled(Dir, set),
        [Json, "status 0"] = script("verify --json " ++ Dir),
        ?assertMatch(#{sound := true}, parse(Json)),
        ?assertEqual(["status 2"], script("verify /nowhere")),
        File = filename:join(Root, "copy"),
        ?assertEqual(["54 objects", "status 0"], script(["dump ", Dir, " | ", script(), " load ", File, " -"]))
    end).

script() ->
    ["BETS_EBIN=", filename:dirname(code:which(bets)), " sh ", filename:join([code:lib_dir(bets), "..", "..", "..", "..", "bin", "bets"])].

%% The lines that it prints, and its status.
script(Arguments) ->
    string:lexemes(os:cmd([script(), " ", Arguments, " 2>/dev/null; echo status $?"]), "\n").

alternatives([List | _] = Lists) when is_list(List) -> Lists;
alternatives(Text) -> [Text].

what_a_program_has_open_is_dumped_and_verified_test_() ->
    with_root(fun(Root) ->
        Dir = filename:join(Root, "t"),
        T = bets:new(t, [{dir, Dir}]),
        true = bets:insert(T, [{1, a}, {2, b}]),
        {0, Dumped} = run(["dump", Dir]),
        ?assertMatch({_, _}, binary:match(Dumped, <<"{2,b}">>)),
        ?assertMatch({0, #{sound := true, objects := 2}}, json(["verify", Dir])),
        [Json, "status 0"] = script("verify --json " ++ Dir),
        ?assertMatch(#{sound := true, objects := 2}, parse(Json)),
        true = bets:insert(T, {3, c}),
        ok = bets:close(T),
        %% Nothing was recovered or changed for that.
        {0, More} = run(["dump", Dir]),
        ?assertMatch({_, _}, binary:match(More, <<"{3,c}">>))
    end).
