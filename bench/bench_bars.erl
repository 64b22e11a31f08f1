%% Bar charts, one row of bars a label, on a logarithmic scale.
-module(bench_bars).

-export([draw/2]).
-export_type([row/0]).

-import(bench_svg, [text/5, line/5, rect/5, position/2]).

-type row() :: {Label :: unicode:chardata(), [bar()], Mark :: number() | none}.
%% A mark is a line across the row, at a value that is aimed at.
-type bar() :: {Title :: unicode:chardata(), Colour :: string(), Value :: number()}.

-define(WIDTH, 860).
-define(LEFT, 330).
-define(RIGHT, 800).
-define(TOP, 62).
-define(BAR, 13).
-define(GAP, 9).

%% `base' is where bars begin: at 1 for ratios, so that they point to either side; without it at the left.
-spec draw(#{title := unicode:chardata(), base => number(), legend := [{unicode:chardata(), string()}], note => unicode:chardata()}, [row(), ...]) ->
    bench_svg:svg().
draw(#{title := Title, legend := Legend} = Chart, Rows) ->
    Values = [Value || {_, Bars, _} <- Rows, {_, _, Value} <- Bars],
    Others = [Base || #{base := Base} <- [Chart]] ++ [Mark || {_, _, Mark} <- Rows, Mark =/= none],
    %% So that the shortest bar can be seen, and has room for its figure.
    Scale = bench_svg:scale([lists:min(Values) / 2 | Values ++ Others], ?LEFT, ?RIGHT),
    {Bottom, Drawn} = lists:foldl(
        fun(Row, {Y, Done}) -> {Y + height(Row), [row(Row, Y, maps:get(base, Chart, none), Scale) | Done]} end, {?TOP, []}, Rows
    ),
    Grid = [
        [line({X, ?TOP - 6}, {X, Bottom}, "#dddddd", 1, ""), text({X, Bottom + 14}, middle, "#555", [{size, 11}], bench_svg:label(Tick))]
     || Tick <- bench_svg:ticks(Scale), X <- [position(Tick, Scale)]
    ],
    Base = [line({X, ?TOP - 6}, {X, Bottom}, "#222222", 1, "") || #{base := At} <- [Chart], X <- [position(At, Scale)]],
    Note = text({12, Bottom + 32}, start, "#555", [{size, 11}], maps:get(note, Chart, "")),
    bench_svg:page(?WIDTH, Bottom + 42, Title, [bench_svg:legend({12, 42}, 130, Legend), Grid, lists:reverse(Drawn), Base, Note]).

height({_, Bars, _}) ->
    ?BAR * length(Bars) + ?GAP.

row({Label, Bars, Mark}, Y, Base, Scale) ->
    Middle = Y + ?BAR * length(Bars) / 2 + 4,
    [
        text({?LEFT - 8, Middle}, 'end', "#222", [], Label),
        [bar(Bar, Y + I * ?BAR, Base, Scale) || {I, Bar} <- lists:zip(lists:seq(0, length(Bars) - 1), Bars)],
        [line({X, Y - 2}, {X, Y + ?BAR * length(Bars) + 1}, "#cc0000", 2, "3,2") || Mark =/= none, X <- [position(Mark, Scale)]]
    ].

bar({Title, Colour, Value}, Y, Base, Scale) ->
    From =
        case Base of
            none -> ?LEFT;
            _ -> position(Base, Scale)
        end,
    To = position(Value, Scale),
    Number = bench_svg:label(Value),
    [
        rect({min(From, To), Y}, max(1, abs(To - From)), ?BAR - 2, Colour, [Title, ": ", Number]),
        %% Beyond the end of the bar.
        case To >= From of
            true -> text({To + 4, Y + ?BAR - 3}, start, "#222", [{size, 11}], Number);
            false -> text({To - 4, Y + ?BAR - 3}, 'end', "#222", [{size, 11}], Number)
        end
    ].
