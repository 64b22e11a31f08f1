%% Open loop: operations have intended starts, so many a second, and a latency counts from there. A stall delays all that should have started meanwhile, as it would
%% in a server.
-module(bench_open_loop).

-export([fill/3, at/2, key/1, object/2]).
-export([peak/1, run/3, for_seconds/1, figures/1, show/2]).

-export_type([operation/0, seen/0]).

%% Does the operation of this number and tells which kind it was.
-type operation() :: fun((pos_integer()) -> Kind :: atom()).
%% Counts of latencies, for each kind.
-type seen() :: #{atom() => counters:counters_ref()}.

-define(BUCKETS, 16 * 64).
-define(PEAK_SECONDS, 1).
%% More operations a second than any process can do.
-define(OVERDUE_RATE, 1000000000).

%% Stores so many objects and overwrites each once. Gives the table.
-spec fill(module(), term(), pos_integer()) -> term().
fill(M, Tab, Objects) ->
    [M:insert(Tab, object(N, Round)) || Round <- [1, 2], N <- lists:seq(0, Objects - 1)],
    Tab.

%% The number of the object that the Nth operation is about: in no order.
-spec at(non_neg_integer(), pos_integer()) -> non_neg_integer().
at(N, Objects) -> (N * 2654435761) rem Objects.

-spec key(non_neg_integer()) -> binary().
key(N) -> <<(N * 16#9E3779B97F4A7C15):64, N:64>>.

-spec object(non_neg_integer(), integer()) -> {binary(), binary()}.
object(N, Round) -> {key(N), <<Round:800>>}.

%% How many operations of these kinds a second one process can do in this loop, its clock and its counts included: all are overdue from the start.
-spec peak({operation(), [atom()]}) -> pos_integer().
peak({_, Kinds} = Operations) ->
    Seen = run(Operations, ?OVERDUE_RATE, for_seconds(?PEAK_SECONDS)),
    lists:sum([N || Kind <- Kinds, {_, N} <- counts(maps:get(Kind, Seen))]) div ?PEAK_SECONDS.

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
    All = counts(Counts),
    Total = lists:sum([N || {_, N} <- All]),
    [microseconds(rank(All, Total * Part)) || Part <- [0.5, 0.99, 0.999]] ++ [microseconds(lists:max([1 | [Bucket || {Bucket, N} <- All, N > 0]]))].

counts(Counts) -> [{Bucket, counters:get(Counts, Bucket)} || Bucket <- lists:seq(1, ?BUCKETS)].

rank([{Bucket, N} | _], Left) when N >= Left -> Bucket;
rank([{Bucket, _}], _Left) -> Bucket;
rank([{_, N} | Rest], Left) -> rank(Rest, Left - N).

%% A row of a table: these words, and the figures.
-spec show([iodata()], counters:counters_ref()) -> ok.
show(Words, Counts) ->
    io:format("| ~ts |~n", [lists:join(" | ", Words ++ [io_lib:format("~.1f", [T]) || T <- figures(Counts)])]).
