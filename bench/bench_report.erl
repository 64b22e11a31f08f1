%% Medians with their spread, and ratios, as Markdown.
-module(bench_report).

-export([format/4, median/1]).

%% The ratios that the report shows: each of these subjects against each of those references.
-define(REFERENCES, [ets, bitcask]).

-spec format([map()], [bench_subject:subject()], bench_args:config(), [{string(), string()}]) -> unicode:chardata().
format(Results, Subjects, Config, Machine) ->
    Names = [Name || #{name := Name} <- Subjects],
    Pairs = pairs(Names),
    Header = ["operation", "processes"] ++
        [atom_to_list(Name) || Name <- Names] ++
        [io_lib:format("~s / ~s", [S, R]) || {S, R} <- Pairs],
    Rows = [
        row(Op, Procs, Results, Names, Pairs)
     || #{name := Name} = Op <- bench_ops:all(),
        Procs <- maps:get(procs, Config),
        [] =/= [x || #{op := N, procs := P} <- Results, N =:= Name, P =:= Procs]
    ],
    [
        "# Benchmark\n\n",
        "How to read this is said in [README.md](README.md).\n\n",
        [["- ", Line, "\n"] || Line <- bench_machine:lines(Machine)],
        setup(Config, Names),
        "\n",
        "Nanoseconds an operation unless said; median of the runs (least to most). A ratio below 1 means that the\n"
        "first of the two is faster or smaller.\n\n",
        table([Header | Rows]),
        "\n",
        empty_loops(Results)
    ].

setup(#{objects := N, runs := Runs, key := Key, value := Value, dets_objects := Dets}, Names) ->
    [
        io_lib:format("- ~b objects {~s, ~b-byte binary}, ~b run(s)~n", [N, key(Key), Value, Runs]),
        [
            io_lib:format("- dets: ~b objects only; it is slower with more of them~n", [Dets])
         || lists:member(dets, Names), Dets < N
        ],
        [
            "- bitcask: with more than one process, writes go through the process that has the directory open\n"
         || lists:member(bitcask, Names)
        ]
    ].

key(bin16) -> "16-byte binary";
key(int) -> "integer".

%% Our own subjects against the references; where none of ours was measured, everything against the first reference.
pairs(Names) ->
    References = [R || R <- ?REFERENCES, lists:member(R, Names)],
    case {[N || N <- Names, ours(N)], References} of
        {[], [First | _]} -> [{N, First} || N <- Names, N =/= First];
        {Ours, _} -> [{S, R} || S <- Ours, R <- References]
    end.

ours(Name) ->
    {ok, #{module := Module}} = bench_subject:find(Name),
    Module =:= bench_bets.

row(#{name := Op, title := Title}, Procs, Results, Names, Pairs) ->
    Values = fun(Subject) ->
        maps:from_list([
            {Run, Value}
         || #{op := O, procs := P, subject := S, run := Run, value := Value} <- Results,
            O =:= Op,
            P =:= Procs,
            S =:= Subject
        ])
    end,
    [Title, integer_to_list(Procs)] ++
        [cell(maps:values(Values(Name))) || Name <- Names] ++
        [ratio(Values(S), Values(R)) || {S, R} <- Pairs].

cell([]) ->
    "\x{2013}";
cell([Value]) ->
    number(Value);
cell(Values) ->
    io_lib:format("~ts (~ts\x{2013}~ts)", [number(median(Values)), number(lists:min(Values)), number(lists:max(Values))]).

%% Within one run the machine was in much the same mood, so ratios are taken there, and their median is shown.
ratio(Values, References) ->
    case [V / maps:get(Run, References) || {Run, V} <- maps:to_list(Values), maps:get(Run, References, 0) > 0] of
        [] -> "\x{2013}";
        Ratios -> io_lib:format("~.2f", [median(Ratios)])
    end.

number(Value) when abs(Value) < 10 -> io_lib:format("~.1f", [Value / 1]);
number(Value) -> group(integer_to_list(round(Value))).

group(Digits) when length(Digits) =< 3 ->
    Digits;
group(Digits) ->
    {Head, Tail} = lists:split(length(Digits) - 3, Digits),
    group(Head) ++ "," ++ Tail.

-spec median([number(), ...]) -> float().
median(Values) ->
    Sorted = lists:sort(Values),
    N = length(Sorted),
    (lists:nth((N + 1) div 2, Sorted) + lists:nth(N div 2 + 1, Sorted)) / 2.

empty_loops(Results) ->
    Ops = [
        io_lib:format("~s ~s", [Name, number(median(Empty))])
     || #{name := Name, unit := ns_per_object, items := Items} <- bench_ops:all(),
        Items =/= none,
        Empty <- [[E || #{op := Op, empty := E, procs := 1} <- Results, Op =:= Name]],
        Empty =/= []
    ],
    ["The loops themselves, already taken off (ns, 1 process): ", lists:join(", ", Ops), ".\n"].

table([Header | _] = Rows) ->
    Widths = [lists:max([string:length(lists:nth(I, Row)) || Row <- Rows]) || I <- lists:seq(1, length(Header))],
    [First | Rest] = [line(Row, Widths) || Row <- Rows],
    Rule = ["|---", lists:duplicate(length(Header) - 1, "|---:"), "|\n"],
    [First, Rule, Rest].

line([First | Cells], [Width | Widths]) ->
    Padded = [[" ", string:pad(Cell, W, leading), " |"] || {Cell, W} <- lists:zip(Cells, Widths)],
    ["| ", string:pad(First, Width), " |", Padded, "\n"].
