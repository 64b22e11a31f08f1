%% Which charts a report has.
-module(bench_charts).

-export([all/3, axis_title/1, axis_note/1, columns/3]).

-type chart() :: {Section :: main | bench_plan:axis(), Title :: string(), File :: file:filename(), Svg :: bench_svg:svg()}.

-define(DURABLE, [bets, bitcask, mnesia, dets]).

%% Those for which there are figures. `Name' is what their files' names begin with.
-spec all(bench_results:results(), bench_args:config(), string()) -> [chart()].
all(Results, Config, Name) ->
    lists:flatten([
        ratios(Results, Name),
        durable(Results, Name),
        [grown(Axis, Points, Results, Config, Name) || {Axis, Points} <- bench_plan:axes(Config), lists:member(Axis, [value, objects])],
        [keys(Points, Results, Config, Name) || {key, Points} <- bench_plan:axes(Config)]
    ]).

%% Operations of one process beside those of `ets', with their targets.
ratios(Results, Name) ->
    Rows = [
        {[prefix(Subject), Title], [{Title, verdict(Ratio), Ratio}], target(Subject, Op, Reference)}
     || {Subject, Reference} <- [{bets, ets}, {bets_ordered, ets_ordered}],
        #{name := Op, title := Title, unit := nanoseconds} <- bench_ops:all(),
        Ratio <- [bench_results:ratio(values({Op, 1}, Subject, Results), values({Op, 1}, Reference, Results))],
        is_float(Ratio), Ratio > 0
    ],
    Chart = #{
        title => "Time an operation takes, as a multiple of what ets needs",
        base => 1,
        legend => [{"bets is faster", verdict(0.5)}, {"ets is faster", verdict(2.0)}],
        note => "One process. The dashed line is the target, where there is one."
    },
    [{main, "bets beside ets", Name ++ "-ets.svg", bench_bars:draw(Chart, Rows)} || Rows =/= []].

verdict(Ratio) when Ratio =< 1 -> "#0072b2";
verdict(_Ratio) -> "#d55e00".

prefix(bets_ordered) -> "ordered_set: ";
prefix(_Subject) -> "".

target(Subject, Op, Reference) ->
    Bounds = [Most || {S, {O, 1}, All} <- bench_targets:all(), S =:= Subject, O =:= Op, {of_subject, R, Most} <- All, R =:= Reference],
    hd(Bounds ++ [none]).

%% What the durable ones need.
durable(Results, Name) ->
    Rows = [
        {Title, Bars, none}
     || #{name := Op, title := Title, unit := nanoseconds} <- bench_ops:all(),
        Bars <- [bars([{main, {Op, 1}, Subject} || Subject <- ?DURABLE], Results)],
        length(Bars) > 1
    ],
    Chart = #{title => "Nanoseconds an operation, durable tables, one process", legend => legend(?DURABLE)},
    [{main, "bets beside other durable tables", Name ++ "-durable.svg", bench_bars:draw(Chart, Rows)} || Rows =/= []].

bars(Queries, Results) ->
    [
        {title(Subject), bench_svg:colour(Subject), Median}
     || {Section, What, Subject} <- Queries,
        Values <- [bench_results:values(Section, What, Subject, Results)],
        Values =/= #{},
        Median <- [bench_results:median(Values)],
        Median > 0
    ].

%% An axis of numbers: a panel an operation, a line a subject.
grown(Axis, Points, Results, #{subjects := Subjects} = Config, Name) ->
    Columns = [{X, Section} || {{Section, _}, X} <- lists:zip(columns(Axis, Points, Config), lists:sort([maps:get(Axis, Config) | Points]))],
    Names = [N || #{name := N} <- Subjects, lists:any(fun(P) -> any({Axis, P}, N, Results) end, Points)],
    Panels = [
        {Title, Lines}
     || #{name := Op, title := Title} <- bench_ops:all(),
        Lines <- [[{title(N), bench_svg:colour(N), Line} || N <- Names, Line <- [line(Op, N, Columns, Results)], length(Line) > 1]],
        Lines =/= []
    ],
    Chart = #{title => "Nanoseconds an operation, one process", x => axis_title(Axis), legend => legend(Names)},
    [{Axis, axis_title(Axis), Name ++ "-" ++ atom_to_list(Axis) ++ ".svg", bench_lines:draw(Chart, Panels)} || Panels =/= []].

any(Section, Subject, Results) ->
    lists:any(fun(#{section := S, subject := N}) -> S =:= Section andalso N =:= Subject end, Results).

line(Op, Subject, Columns, Results) ->
    [{X, Median} || {X, Section} <- Columns, {_, _, Median} <- bars([{Section, {Op, 1}, Subject}], Results)].

%% Types of keys have no order: bars.
keys(Points, Results, #{subjects := Subjects} = Config, Name) ->
    Columns = columns(key, Points, Config),
    Names = [N || #{name := N} <- Subjects, lists:any(fun(P) -> any({key, P}, N, Results) end, Points)],
    Rows = [
        {[Title, ", ", Key], Bars, none}
     || #{name := Op, title := Title} <- bench_ops:all(),
        lists:any(fun(#{op := O, section := S}) -> O =:= Op andalso S =:= {key, hd(Points)} end, Results),
        {Section, Key} <- Columns,
        Bars <- [bars([{Section, {Op, 1}, N} || N <- Names], Results)],
        Bars =/= []
    ],
    Chart = #{title => "Nanoseconds an operation, one process", legend => legend(Names)},
    [{key, axis_title(key), Name ++ "-key.svg", bench_bars:draw(Chart, Rows)} || Rows =/= []].

legend(Names) ->
    [{title(Name), bench_svg:colour(Name)} || Name <- Names].

title(Name) ->
    {ok, #{title := Title}} = bench_subject:find(Name),
    Title.

values(What, Subject, Results) ->
    bench_results:values(What, Subject, Results).

-spec axis_title(bench_plan:axis()) -> string().
axis_title(value) -> "Size of values";
axis_title(key) -> "Type of keys";
axis_title(objects) -> "Number of objects";
axis_title(memory_limit) -> "Four times more data than memory".

-spec axis_note(bench_plan:axis()) -> string().
axis_note(value) -> "Large values are fewer, so that all of them together have at most 512 MiB.\n\n";
axis_note(memory_limit) -> "Values of 2 KiB, in a VM that a cgroup holds to a quarter of the data's size, the page cache included.\n\n";
axis_note(_Axis) -> "".

%% The points of an axis with that of the main table among them, in order.
-spec columns(bench_plan:axis(), [term()], bench_args:config()) -> [{bench_plan:section(), unicode:chardata()}].
columns(memory_limit, Points, _Config) ->
    [{{memory_limit, Limit}, io_lib:format("~b MiB", [Limit bsr 20])} || Limit <- Points];
columns(Axis, Points, Config) ->
    [
        {Section, point(Axis, Point)}
     || {Point, Section} <- lists:sort([{maps:get(Axis, Config), main} | [{Point, {Axis, Point}} || Point <- Points]])
    ].

point(value, Bytes) -> [bench_markdown:number(Bytes), " B"];
point(key, Type) -> element(2, lists:keyfind(Type, 1, bench_keys:key_types()));
point(objects, Count) -> bench_markdown:number(Count).
