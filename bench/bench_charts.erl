%% Which charts a report has.
-module(bench_charts).

-export([all/3, axis_title/1, axis_note/1, columns/3]).

-spec all(bench_results:results(), bench_args:config(), string()) ->
    [{Section :: main | bench_plan:axis(), Title :: string(), File :: file:filename(), Svg :: unicode:chardata()}].
all(_Results, _Config, _Name) ->
    [].

-spec axis_title(bench_plan:axis()) -> string().
axis_title(value) -> "Size of values";
axis_title(key) -> "Type of keys";
axis_title(objects) -> "Number of objects";
axis_title(memory_limit) -> "Four times more data than memory".

-spec axis_note(bench_plan:axis()) -> string().
axis_note(value) -> "Large values are fewer, so that all of them together have at most 512 MiB.\n\n";
axis_note(memory_limit) -> "Values of 1 KiB, in a VM that a cgroup holds to a quarter of the data's size, the page cache included.\n\n";
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
