%% Merging: a table whose every object was overwritten once gives back the room that the first ones took.
-module(bench_compact).

-export([run/1]).

-spec run(bench_run:job()) -> [bench_run:result()].
run(#{subject := #{module := Module}, objects := N, dir := Dir} = Job) ->
    Context = bench_run:context(Job, merge),
    Start = erlang:monotonic_time(nanosecond),
    Table = Module:new(Context),
    ok = bench_run:load(Module, Table, {0, N - 1, 0}, Job),
    ok = bench_run:load(Module, Table, {0, N - 1, 1}, Job),
    Loaded = erlang:monotonic_time(nanosecond),
    ok = Module:close(Table, Context),
    Before = bench_files:bytes(Dir),
    Full = Module:open(Context),
    {{Merged, Nanoseconds}, Peak} = bench_files:peak(Dir, fun() -> timed(Module, Full, Context) end),
    ok = Module:close(Merged, Context),
    After = bench_files:bytes(Dir),
    Result = fun(Name, Value) -> #{op => Name, count => N, value => Value, empty => 0.0} end,
    [
        Result(merge_load, (Loaded - Start) / 1.0e6),
        Result(merge, Nanoseconds / 1.0e6),
        Result(merge_before, Before / N),
        Result(merge_peak, Peak / N),
        Result(merge_after, After / N)
    ].

timed(Module, Table, Context) ->
    Start = erlang:monotonic_time(nanosecond),
    Merged = Module:merge(Table, Context),
    {Merged, erlang:monotonic_time(nanosecond) - Start}.
