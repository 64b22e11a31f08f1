%% Line charts in panels side by side, both scales logarithmic: how a figure grows with what stands on the axis.
-module(bench_lines).

-export([draw/2]).
-export_type([panel/0]).

-import(bench_svg, [text/5, line/5, position/2]).

-type panel() :: {Title :: unicode:chardata(), [series()]}.
-type series() :: {Title :: unicode:chardata(), Colour :: string(), [{X :: number(), Y :: number()}]}.

-define(PANEL_WIDTH, 400).
-define(PANEL_HEIGHT, 250).
-define(LEFT, 56).
-define(TOP, 70).

%% `x' and `y' say what stands on the axes. Panels share both scales, so that they can be compared.
-spec draw(#{title := unicode:chardata(), x := unicode:chardata(), legend := [{unicode:chardata(), string()}]}, [panel(), ...]) -> bench_svg:svg().
draw(#{title := Title, x := XTitle, legend := Legend}, Panels) ->
    Points = [Point || {_, Series} <- Panels, {_, _, Line} <- Series, Point <- Line],
    {Xs, Ys} = lists:unzip(Points),
    Rows = (length(Panels) + 1) div 2,
    bench_svg:page(2 * ?PANEL_WIDTH + 20, ?TOP + Rows * ?PANEL_HEIGHT, Title, [
        bench_svg:legend({12, 42}, 130, Legend),
        [panel(I, Panel, Xs, Ys, XTitle) || {I, Panel} <- lists:zip(lists:seq(0, length(Panels) - 1), Panels)]
    ]).

panel(I, {Title, Series}, Xs, Ys, XTitle) ->
    Left = (I rem 2) * ?PANEL_WIDTH + ?LEFT,
    Right = (I rem 2 + 1) * ?PANEL_WIDTH - 6,
    Top = (I div 2) * ?PANEL_HEIGHT + ?TOP,
    Bottom = Top + ?PANEL_HEIGHT - 70,
    X = bench_svg:scale(Xs, Left, Right),
    Y = bench_svg:scale(Ys, Bottom, Top),
    [
        text({Left, Top - 8}, start, "#222", [{bold, true}], Title),
        [
            [line({Left, At}, {Right, At}, "#dddddd", 1, ""), text({Left - 6, At + 4}, 'end', "#555", [{size, 11}], bench_svg:label(Tick))]
         || Tick <- bench_svg:ticks(Y), At <- [position(Tick, Y)]
        ],
        [
            [line({At, Top}, {At, Bottom}, "#eeeeee", 1, ""), text({At, Bottom + 15}, middle, "#555", [{size, 11}], bench_svg:label(Tick))]
         || Tick <- lists:usort(Xs), At <- [position(Tick, X)]
        ],
        text({(Left + Right) / 2, Bottom + 31}, middle, "#555", [{size, 11}], XTitle),
        [series(One, X, Y) || One <- Series]
    ].

series({Title, Colour, Points}, X, Y) ->
    Places = [{position(PX, X), position(PY, Y)} || {PX, PY} <- Points],
    [
        bench_svg:polyline(Places, Colour),
        [
            bench_svg:circle(Place, 3, Colour, [Title, ", ", bench_svg:label(PX), ": ", bench_svg:label(PY)])
         || {Place, {PX, PY}} <- lists:zip(Places, Points)
        ]
    ].
