%% Pieces of charts: what stands on a page, where a value stands on a logarithmic scale, and which colour a subject has.
-module(bench_svg).

-export([page/4, text/5, line/5, rect/5, polyline/2, circle/4, legend/3]).
-export([scale/3, position/2, ticks/1, label/1, colour/1]).
-export_type([scale/0, svg/0]).

-type svg() :: unicode:chardata().
-type point() :: {X :: number(), Y :: number()}.
%% From which value to which, and on which stretch of the page.
-opaque scale() :: {From :: float(), To :: float(), Start :: number(), End :: number()}.

-define(SWATCH, 10).

%% A whole file. A white ground, since the pages that show it may be dark.
-spec page(number(), number(), unicode:chardata(), svg()) -> svg().
page(Width, Height, Title, Content) ->
    [
        io_lib:format(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ~s ~s\" width=\"~s\" height=\"~s\" role=\"img\"\n"
            "     font-family=\"sans-serif\" font-size=\"12\">\n",
            [number(N) || N <- [Width, Height, Width, Height]]
        ),
        ["<title>", escaped(Title), "</title>\n"],
        "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        text({12, 20}, start, "#222", [{bold, true}, {size, 14}], Title),
        Content,
        "</svg>\n"
    ].

-spec text(point(), start | middle | 'end', Colour :: string(), [{bold, true} | {size, pos_integer()}], unicode:chardata()) -> svg().
text({X, Y}, Anchor, Colour, Style, Text) ->
    [
        io_lib:format("<text x=\"~s\" y=\"~s\" text-anchor=\"~s\" fill=\"~s\"", [number(X), number(Y), Anchor, Colour]),
        [" font-weight=\"bold\"" || {bold, true} <- Style],
        [io_lib:format(" font-size=\"~b\"", [Size]) || {size, Size} <- Style],
        [">", escaped(Text), "</text>\n"]
    ].

-spec line(point(), point(), Colour :: string(), Width :: number(), Dash :: string()) -> svg().
line({X1, Y1}, {X2, Y2}, Colour, Width, Dash) ->
    [
        io_lib:format("<line x1=\"~s\" y1=\"~s\" x2=\"~s\" y2=\"~s\" stroke=\"~s\" stroke-width=\"~s\"",
            [number(X1), number(Y1), number(X2), number(Y2), Colour, number(Width)]),
        [[" stroke-dasharray=\"", Dash, "\""] || Dash =/= ""],
        "/>\n"
    ].

-spec rect(point(), Width :: number(), Height :: number(), Colour :: string(), Tip :: unicode:chardata()) -> svg().
rect({X, Y}, Width, Height, Colour, Tip) ->
    [
        io_lib:format("<rect x=\"~s\" y=\"~s\" width=\"~s\" height=\"~s\" fill=\"~s\">",
            [number(X), number(Y), number(Width), number(Height), Colour]),
        ["<title>", escaped(Tip), "</title></rect>\n"]
    ].

-spec polyline([point()], Colour :: string()) -> svg().
polyline(Points, Colour) ->
    At = lists:join(" ", [[number(X), ",", number(Y)] || {X, Y} <- Points]),
    ["<polyline points=\"", At, "\" fill=\"none\" stroke=\"", Colour, "\" stroke-width=\"2\"/>\n"].

-spec circle(point(), number(), Colour :: string(), Tip :: unicode:chardata()) -> svg().
circle({X, Y}, Radius, Colour, Tip) ->
    [
        io_lib:format("<circle cx=\"~s\" cy=\"~s\" r=\"~s\" fill=\"~s\">", [number(X), number(Y), number(Radius), Colour]),
        ["<title>", escaped(Tip), "</title></circle>\n"]
    ].

%% What stands for which colour, side by side.
-spec legend(point(), number(), [{unicode:chardata(), Colour :: string()}]) -> svg().
legend({X, Y}, Step, Entries) ->
    [
        [
            rect({X + I * Step, Y - ?SWATCH + 1}, ?SWATCH, ?SWATCH, Colour, Title),
            text({X + I * Step + ?SWATCH + 5, Y}, start, "#222", [], Title)
        ]
     || {I, {Title, Colour}} <- lists:zip(lists:seq(0, length(Entries) - 1), Entries)
    ].

%% A logarithmic scale that has room for all of these values (greater than 0). Its ends stand at the stretch's ends.
-spec scale([number(), ...], number(), number()) -> scale().
scale(Values, Start, End) ->
    From = floored(math:log10(lists:min(Values))),
    To = ceiled(math:log10(lists:max(Values))),
    case To - From < 0.3 of
        true -> {From - 0.30103, To + 0.30103, Start, End};
        false -> {From, To, Start, End}
    end.

-spec position(number(), scale()) -> float().
position(Value, {From, To, Start, End}) ->
    Log = max(From, min(To, math:log10(max(1.0e-9, Value)))),
    Start + (Log - From) / (To - From) * (End - Start).

%% 1, 2, 5, 10, 20 ... where they are on the scale; of many decades only the powers of ten.
-spec ticks(scale()) -> [float()].
ticks({From, To, _, _}) ->
    Steps =
        case To - From > 3 of
            true -> [1];
            false -> [1, 2, 5]
        end,
    Slack = 1.0e-6,
    [
        Step * math:pow(10, Decade)
     || Decade <- lists:seq(floor(From) - 1, ceil(To)),
        Step <- Steps,
        math:log10(Step) + Decade >= From - Slack,
        math:log10(Step) + Decade =< To + Slack
    ].

%% The next of 1, 2, 5 and their tenfolds, downwards and upwards.
floored(Log) ->
    Decade = floor(Log),
    lists:max([Decade + Step || Step <- steps(), Decade + Step =< Log + 1.0e-9]).

ceiled(Log) ->
    Decade = floor(Log),
    lists:min([Decade + Step || Step <- steps() ++ [1.0], Decade + Step >= Log - 1.0e-9]).

steps() -> [0.0, math:log10(2), math:log10(5)].

%% A figure as short as it can be: 0.05, 2.5, 20, 12k, 1M.
-spec label(number()) -> unicode:chardata().
label(Value) when Value >= 999999.5 -> [short(Value / 1000000), "M"];
label(Value) when Value >= 9999.5 -> [short(Value / 1000), "k"];
label(Value) -> short(Value).

short(Value) when Value >= 10 -> integer_to_list(round(Value));
short(Value) when Value >= 1 -> io_lib:format("~p", [trimmed(round(Value * 10) / 10)]);
short(Value) -> io_lib:format("~p", [trimmed(round(Value * 100) / 100)]).

trimmed(Value) when Value == trunc(Value) -> trunc(Value);
trimmed(Value) -> Value.

%% Distinguishable also for the colour-blind (Okabe and Ito).
-spec colour(atom()) -> string().
colour(bets) -> "#0072b2";
colour(bets_uncached) -> "#56b4e9";
colour(bets_ordered) -> "#009e73";
colour(ets) -> "#888888";
colour(ets_ordered) -> "#333333";
colour(bitcask) -> "#d55e00";
colour(mnesia) -> "#cc79a7";
colour(_Other) -> "#e69f00".

number(Value) when is_integer(Value) -> integer_to_list(Value);
number(Value) -> io_lib:format("~.1f", [Value / 1]).

escaped(Text) ->
    lists:map(
        fun
            ($<) -> "&lt;";
            ($>) -> "&gt;";
            ($&) -> "&amp;";
            ($") -> "&quot;";
            (Char) -> Char
        end,
        lists:flatten(unicode:characters_to_list(Text))
    ).
