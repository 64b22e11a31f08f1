%% Tables of Markdown, and figures as they stand in them.
-module(bench_markdown).

-export([table/1, cell/1, number/1, ratio/1, quantity/2, unit/1, image/2]).

%% The first row is the header; the first column is text, the others are figures.
-spec table([[unicode:chardata()]]) -> unicode:chardata().
table([Header | _] = Rows) ->
    Widths = [lists:max([string:length(lists:nth(I, Row)) || Row <- Rows]) || I <- lists:seq(1, length(Header))],
    [First | Rest] = [line(Row, Widths) || Row <- Rows],
    Rule = ["|---", lists:duplicate(length(Header) - 1, "|---:"), "|\n"],
    [First, Rule, Rest].

line([First | Cells], [Width | Widths]) ->
    Padded = [[" ", string:pad(Cell, W, leading), " |"] || {Cell, W} <- lists:zip(Cells, Widths)],
    ["| ", string:pad(First, Width), " |", Padded, "\n"].

%% The median of the runs, with the least and the most if there are several.
-spec cell(bench_results:by_run()) -> unicode:chardata().
cell(ByRun) ->
    case maps:values(ByRun) of
        [] -> dash();
        [Value] -> number(Value);
        Values -> [number(bench_results:median(Values)), " (", number(lists:min(Values)), "\x{2013}", number(lists:max(Values)), ")"]
    end.

-spec ratio(number() | none) -> unicode:chardata().
ratio(none) -> dash();
ratio(Ratio) when Ratio < 0.095 -> io_lib:format("~.3f", [Ratio / 1]);
ratio(Ratio) when Ratio < 10 -> io_lib:format("~.2f", [Ratio / 1]);
ratio(Ratio) -> number(Ratio).

%% Three digits or so, in groups.
-spec number(number()) -> unicode:chardata().
number(Value) when abs(Value) < 10 -> io_lib:format("~.1f", [Value / 1]);
number(Value) when Value < 0 -> ["-", number(-Value)];
number(Value) -> group(integer_to_list(round(Value))).

group(Digits) when length(Digits) =< 3 ->
    Digits;
group(Digits) ->
    {Head, Tail} = lists:split(length(Digits) - 3, Digits),
    group(Head) ++ "," ++ Tail.

%% A figure with its unit.
-spec quantity(number(), bench_ops:unit()) -> unicode:chardata().
quantity(Value, Unit) ->
    [number(Value), " ", unit(Unit)].

-spec unit(bench_ops:unit()) -> unicode:chardata().
unit(nanoseconds) -> "ns";
unit(microseconds) -> "\x{b5}s";
unit(milliseconds) -> "ms";
unit(bytes) -> "B";
unit(times) -> "x".

-spec image(unicode:chardata(), file:filename()) -> unicode:chardata().
image(Title, File) ->
    ["![", Title, "](", File, ")\n\n"].

dash() ->
    "\x{2013}".
