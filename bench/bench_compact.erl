%% Merging: a table whose every object was overwritten once gives back the room that the first ones took; and one that is overwritten again and
%% again is merged meanwhile.
-module(bench_compact).

-export([run/1, churn/1]).

-define(ROUNDS, 10).
-define(MERGE_INTERVAL, 200).

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

%% Automatic merges, which come sooner here than by default.
-spec churn(bench_run:job()) -> [bench_run:result()].
churn(#{subject := #{module := Module}, objects := N, dir := Dir} = Job) ->
    _ = application:load(bets),
    ok = application:set_env(bets, merge_interval, ?MERGE_INTERVAL),
    Context = bench_run:context(Job, speed),
    Table = Module:new(Context),
    ok = bench_run:load(Module, Table, {0, N - 1, 0}, Job),
    {Nanoseconds, Peak} = bench_files:peak(Dir, fun() -> overwritten(Module, Table, Job) end),
    ok = Module:close(Table, Context),
    Result = fun(Name, Value) -> #{op => Name, count => N, value => Value, empty => 0.0} end,
    [Result(churn, Nanoseconds / (?ROUNDS * N)), Result(churn_peak, Peak / N), Result(churn_after, bench_files:bytes(Dir) / N)].

overwritten(Module, Table, #{objects := N} = Job) ->
    Start = erlang:monotonic_time(nanosecond),
    lists:foreach(fun(Round) -> ok = bench_run:load(Module, Table, {0, N - 1, Round}, Job) end, lists:seq(1, ?ROUNDS)),
    erlang:monotonic_time(nanosecond) - Start.

timed(Module, Table, Context) ->
    Start = erlang:monotonic_time(nanosecond),
    Merged = Module:merge(Table, Context),
    {Merged, erlang:monotonic_time(nanosecond) - Start}.
