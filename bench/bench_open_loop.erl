%% Open loop: operations have intended starts, so many a second, and a latency counts from there. A stall delays all that should have started meanwhile, as it would
%% in a server.
-module(bench_open_loop).

-export([peak/1, run/3, for_seconds/1, figures/1]).

-export_type([operation/0, seen/0]).

%% Does the operation of this number and tells which kind it was.
-type operation() :: fun((pos_integer()) -> Kind :: atom()).
%% Counts of latencies, for each kind.
-type seen() :: #{atom() => counters:counters_ref()}.

-define(BUCKETS, 16 * 64).
-define(PEAK_SECONDS, 1).

%% How many operations a second one process can do.
-spec peak(operation()) -> pos_integer().
peak(Operation) ->
    End = erlang:monotonic_time(nanosecond) + ?PEAK_SECONDS * 1000000000,
    count(Operation, 1, End) div ?PEAK_SECONDS.

count(Operation, N, End) ->
    _ = Operation(N),
    case erlang:monotonic_time(nanosecond) < End of
        true -> count(Operation, N + 1, End);
        false -> N
    end.

%% Whether so many seconds are over, from now on.
-spec for_seconds(pos_integer()) -> fun(() -> boolean()).
for_seconds(Seconds) ->
    End = erlang:monotonic_time(nanosecond) + Seconds * 1000000000,
    fun() -> erlang:monotonic_time(nanosecond) >= End end.

%% Runs operations of these kinds, `Rate' a second, in a process of their own until `IsOver'.
-spec run({operation(), [atom()]}, pos_integer(), fun(() -> boolean())) -> seen().
run({Operation, Kinds}, Rate, IsOver) ->
    Seen = maps:from_list([{Kind, counters:new(?BUCKETS, [])} || Kind <- Kinds]),
    Self = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        Start = erlang:monotonic_time(nanosecond),
        ok = go(Operation, {Start, 1000000000 / Rate, IsOver, Seen}, 1),
        Self ! {over, self()}
    end),
    receive
        {over, Pid} -> true = demonitor(Monitor, [flush]), Seen;
        {'DOWN', Monitor, process, Pid, Reason} -> exit(Reason)
    end.

go(Operation, {Start, Gap, IsOver, Seen} = Plan, N) ->
    Intended = Start + trunc(N * Gap),
    wait(Intended),
    Kind = Operation(N),
    Took = erlang:monotonic_time(nanosecond) - Intended,
    counters:add(maps:get(Kind, Seen), bucket(Took), 1),
    case N band 255 =:= 0 andalso IsOver() of
        true -> ok;
        false -> go(Operation, Plan, N + 1)
    end.

wait(Until) ->
    case erlang:monotonic_time(nanosecond) < Until of
        true -> wait(Until);
        false -> ok
    end.

%% Sixteen for each doubling: 4 % wide.
bucket(Nanoseconds) -> max(1, min(?BUCKETS, trunc(math:log2(max(1, Nanoseconds)) * 16))).

microseconds(Bucket) -> math:pow(2, (Bucket + 1) / 16) / 1000.

%% The median, the 99th and the 99.9th of a hundred, and the longest, in microseconds.
-spec figures(counters:counters_ref()) -> [float()].
figures(Counts) ->
    All = [{Bucket, counters:get(Counts, Bucket)} || Bucket <- lists:seq(1, ?BUCKETS)],
    Total = lists:sum([N || {_, N} <- All]),
    [microseconds(at(All, Total * Part)) || Part <- [0.5, 0.99, 0.999]] ++ [microseconds(lists:max([1 | [Bucket || {Bucket, N} <- All, N > 0]]))].

at([{Bucket, N} | _], Left) when N >= Left -> Bucket;
at([{Bucket, _}], _Left) -> Bucket;
at([{_, N} | Rest], Left) -> at(Rest, Left - N).
