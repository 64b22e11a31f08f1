%% The report as a whole: what was measured on what, against which targets, in which tables and charts.
-module(bench_report).

-export([format/3]).

-import(bench_markdown, [table/1, cell/1, ratio/1, number/1, quantity/2, unit/1]).
-import(bench_results, [values/3, values/4, median/1]).

-define(FLOOR, "at the floor").
-define(AXIS_RATIOS, [{bets, ets}, {bets, bitcask}, {bets_ordered, ets_ordered}]).

%% The report, and the files of its charts, which stand beside it. A report for the terminal has none.
-spec format(bench_results:results(), bench_args:config(), bench_machine:facts()) ->
    {unicode:chardata(), [{file:filename(), unicode:chardata()}]}.
format(Results, #{command := Command, write := Path} = Config, Machine) ->
    Tables = [main_table(Title, Type, Results, Config) || {Title, Type} <- [{"`set`", set}, {"`ordered_set`", ordered_set}]],
    Head = [
        "# Benchmark\n\n",
        "How to read this is said in [README.md](README.md).\n\n",
        [["- ", Line, "\n"] || Line <- bench_machine:lines(Machine)],
        setup(Config),
        "\n"
    ],
    case Command of
        table ->
            {[Head, Tables, empty_loops(Results)], []};
        report ->
            Charts = bench_charts:all(Results, Config, filename:basename(Path, ".md")),
            Axes = [axis(Axis, Points, Results, Config) || {Axis, Points} <- bench_plan:axes(Config), Points =/= []],
            Images = fun(Section) -> [bench_markdown:image(Title, File) || {S, Title, File, _} <- Charts, S =:= Section] end,
            {
                [
                    Head,
                    "## Targets\n\n",
                    targets(Results),
                    "## All operations\n\n",
                    Images(main),
                    Tables,
                    empty_loops(Results),
                    [["\n## While a table is merged\n\n", Text] || #{text := Text} <- lists:sublist([Result || #{text := _} = Result <- Results], 1)],
                    [["\n## ", bench_charts:axis_title(Axis), "\n\n", Images(Axis), Table] || {Axis, Table} <- Axes]
                ],
                [{File, Svg} || {_, _, File, Svg} <- Charts]
            }
    end.

setup(#{objects := N, runs := Runs, key := Key, value := Value, dets_objects := Dets, subjects := Subjects}) ->
    {_, KeyTitle} = lists:keyfind(Key, 1, bench_keys:key_types()),
    Names = [Name || #{name := Name} <- Subjects],
    [
        io_lib:format("- ~s objects {~s, ~b-byte binary}, ~b run(s)~n", [number(N), KeyTitle, Value, Runs]),
        [
            io_lib:format("- dets: ~s objects only; it is slower with more of them~n", [number(Dets)])
         || lists:member(dets, Names), Dets < N
        ],
        [
            "- Bitcask: with more than one process, writes go through the process that has the directory open\n"
         || lists:member(bitcask, Names)
        ]
    ].

targets(Results) ->
    Rows = [
        row(Subject, What, Bound, Results)
     || {Subject, What, Bounds} <- bench_targets:all(), Bound <- Bounds, values(What, Subject, Results) =/= #{}
    ],
    Count = fun(Verdict) -> length([V || [_, _, _, _, _, V, _] <- Rows, V =:= Verdict]) end,
    [
        io_lib:format(
            "~b of ~b are met, and ~b more but for at most a tenth above the floor: what a minimal program takes that does nothing but the inevitable,\n"
            "where there is one in `bench/floor`. A ratio is one of what both take: less is better.\n\n",
            [Count("yes"), length(Rows), Count(?FLOOR)]
        ),
        table([["operation", "processes", "measured", "target", "against the target", "met", "floor"] | Rows]),
        "\n"
    ].

row(Subject, {Op, Procs} = What, Bound, Results) ->
    {ok, #{title := Title, unit := Unit}} = bench_ops:find(Op),
    Median = median(values(What, Subject, Results)),
    {Measured, Met, Floor} =
        case bench_targets:judge(Subject, What, Bound, Results) of
            unknown ->
                {"\x{2013}", "not measured", "\x{2013}"};
            #{measured := M, met := IsMet, reference := R} ->
                Least = least(Bound, What, bench_floor:subject(Subject), {M, Median}, Results),
                {against(Bound, M, R, Unit), met(IsMet, Least), floor(Bound, Least, Unit)}
        end,
    [
        [type(Subject), Title],
        integer_to_list(Procs),
        quantity(Median, Unit),
        bound(Bound, Unit),
        Measured,
        Met,
        Floor
    ].

type(Subject) ->
    case bench_subject:find(Subject) of
        {ok, #{type := ordered_set}} -> "ordered_set: ";
        _ -> ""
    end.

bound({of_subject, durable, Most}, _Unit) -> ["\x{2264} ", ratio(Most), " of the best durable peer"];
bound({of_subject, Name, Most}, _Unit) -> ["\x{2264} ", ratio(Most), " of ", title(Name)];
bound({at_most, Most}, Unit) -> ["\x{2264} ", quantity(Most, Unit)];
bound({faster_than_one, Least}, _Unit) -> ["\x{2265} ", ratio(Least), " times as fast as with 1"].

against({of_subject, durable, _}, Ratio, Name, _Unit) -> [ratio(Ratio), " of ", title(Name)];
against({at_most, _}, Value, _Name, Unit) -> quantity(Value, Unit);
against(_Bound, Ratio, _Name, _Unit) -> ratio(Ratio).

%% The floor of a row, and how many times that we take, or it us if more is better.
least({faster_than_one, _} = Bound, What, Floor, {Measured, _}, Results) ->
    case bench_targets:judge(Floor, What, Bound, Results) of
        #{measured := Least} -> {Least, Least / Measured};
        unknown -> none
    end;
least(_Bound, What, Floor, {_, Median}, Results) ->
    case values(What, Floor, Results) of
        Values when Values =:= #{} -> none;
        Values -> {median(Values), Median / median(Values)}
    end.

met(true, _Least) -> "yes";
met(false, {_, Times}) when Times =< 1.1 -> ?FLOOR;
met(false, _Least) -> "**no**".

floor(_Bound, none, _Unit) -> "\x{2013}";
floor({faster_than_one, _}, {Least, Times}, _Unit) -> [ratio(Least), "; ", ratio(1 / Times), " times that"];
floor(_Bound, {Least, Times}, Unit) -> [quantity(Least, Unit), "; ", ratio(Times), " times that"].

title(Name) ->
    {ok, #{title := Title}} = bench_subject:find(Name),
    Title.

%% All that was measured with one type of table.
main_table(Title, Type, Results, #{subjects := Subjects, procs := Procs}) ->
    Mine = [S || #{type := T} = S <- Subjects, T =:= Type],
    Rows = [
        operation(Op, P, Mine, Results)
     || #{name := Name} = Op <- bench_ops:all(),
        P <- lists:usort(Procs ++ [1, 2, 16]),
        lists:any(fun(#{name := S}) -> values({Name, P}, S, Results) =/= #{} end, Mine)
    ],
    Header = ["operation", "unit", "processes"] ++ [T || #{title := T} <- Mine] ++ [H || {H, _, _} <- pairs(Mine)],
    [
        [
            ["### ", Title, "\n\n",
             "Median of the runs (least\x{2013}most). A ratio below 1 means that bets is faster or smaller.\n\n",
             table([Header | Rows]), "\n"]
         || Rows =/= []
        ]
    ].

operation(#{name := Op, title := Title, unit := Unit}, Procs, Subjects, Results) ->
    What = {Op, Procs},
    [Title, unit(Unit), integer_to_list(Procs)] ++
        [cell(values(What, Name, Results)) || #{name := Name} <- Subjects] ++
        [against_peers(What, Ours, Theirs, Results) || {_, Ours, Theirs} <- pairs(Subjects)].

%% The first of our own subjects against what is in memory, and against the best of the durable ones.
pairs(Subjects) ->
    case [Name || #{name := Name, role := ours} <- Subjects] of
        [] ->
            [];
        [Ours | _] ->
            [{"bets / ets", Ours, Peers} || Peers <- [roles(memory, Subjects)], Peers =/= []] ++
                [{"bets / best durable", Ours, Peers} || Peers <- [roles(durable, Subjects)], Peers =/= []]
    end.

roles(Role, Subjects) ->
    [Name || #{name := Name, role := R} <- Subjects, R =:= Role].

against_peers(What, Ours, Theirs, Results) ->
    case bench_results:best(What, {Ours, Theirs}, Results) of
        {_, Values} -> ratio(bench_results:ratio(values(What, Ours, Results), Values));
        none -> ratio(none)
    end.

%% An axis: an operation and subject a row, a point a column; below the subjects of an operation their ratios.
axis(Axis, Points, Results, #{subjects := Subjects} = Config) ->
    Columns = bench_charts:columns(Axis, Points, Config),
    Measured = fun(Op, Name) -> lists:any(fun(Point) -> values({Axis, Point}, {Op, 1}, Name, Results) =/= #{} end, Points) end,
    At = fun(Section, Op, Name) -> values(Section, {Op, 1}, Name, Results) end,
    Rows = [
        Row
     || #{name := Op, title := Title, unit := nanoseconds} <- bench_ops:all(),
        Row <-
            [
                [[Title, ", ", Subject]] ++ [cell(At(Section, Op, Name)) || {Section, _} <- Columns]
             || #{name := Name, title := Subject} <- Subjects, Measured(Op, Name)
            ] ++
                [
                    [[Title, ", ", title(Ours), " / ", title(Theirs)]] ++
                        [ratio(bench_results:ratio(At(Section, Op, Ours), At(Section, Op, Theirs))) || {Section, _} <- Columns]
                 || {Ours, Theirs} <- ?AXIS_RATIOS, Measured(Op, Ours), Measured(Op, Theirs)
                ]
    ],
    {Axis, [
        bench_charts:axis_note(Axis),
        table([["ns, 1 process"] ++ [Title || {_, Title} <- Columns] | Rows])
    ]}.

empty_loops(Results) ->
    Ops = [
        io_lib:format("~s ~s", [Name, number(median(Empty))])
     || #{name := Name, unit := nanoseconds, items := Items} <- bench_ops:all(),
        Items =/= none,
        Empty <- [[E || #{op := Op, empty := E, procs := 1, section := main} <- Results, Op =:= Name]],
        Empty =/= []
    ],
    ["The loops themselves, already taken off (ns, 1 process): ", lists:join(", ", Ops), ".\n"].
