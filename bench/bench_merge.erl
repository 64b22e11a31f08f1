%% bin/bench merge: how long reads and writes take while a table is merged.
%%
%% Open loop: operations have intended starts, half as many a second as one process can do, and a latency counts from there. So a stall delays all that should have
%% started meanwhile, as it would in a server. Each table gets a window without a merge and one with it; `ets' gets two without, which is what the machine itself does.
%% Half of the operations are lookups, half overwrite an object.
-module(bench_merge).

-export([main/0]).

-define(BUCKETS, 16 * 64).
-define(PEAK_SECONDS, 1).

%% Entry for `erl -s bench_merge main -extra merge ARGS'.
-spec main() -> no_return().
main() ->
    case parse(tl(init:get_plain_arguments()), #{objects => 1000000, seconds => 5, dir => "/tmp", rate => infinity, results => none}) of
        {ok, Config} ->
            run(Config),
            halt(0);
        error ->
            io:put_chars(standard_error,
                "usage: bin/bench merge [--objects N] [--seconds N] [--merge_rate BYTES_PER_SECOND] [--dir DIR] [--results FILE] [--short]\n"
                "The window with a merge is as long as the merge; the others have --seconds.\n"),
            halt(2)
    end.

parse(["--short" | Rest], Config) -> parse(Rest, Config#{objects := 20000, seconds := 1});
parse(["--objects", N | Rest], Config) -> number(objects, N, Rest, Config);
parse(["--seconds", N | Rest], Config) -> number(seconds, N, Rest, Config);
parse(["--merge_rate", N | Rest], Config) -> number(rate, N, Rest, Config);
parse(["--results", File | Rest], Config) -> parse(Rest, Config#{results := File});
parse(["--dir", Dir | Rest], Config) -> parse(Rest, Config#{dir := Dir});
parse([], Config) -> {ok, Config};
parse(_, _Config) -> error.

number(Name, Text, Rest, Config) ->
    case string:to_integer(Text) of
        {N, []} when N > 0 -> parse(Rest, Config#{Name := N});
        _ -> error
    end.

run(#{objects := Objects} = Config) ->
    io:format("~b objects of 100 bytes, overwritten once before; microseconds from the intended start~n~n", [Objects]),
    io:format("| table | operations/s | window | operation | p50 | p99 | p99.9 | longest |~n|---|---|---|---|---|---|---|---|~n"),
    Results = lists:append([subject({M, Type}, Config) || Type <- [set, ordered_set], M <- [ets, bets]]),
    results(Results, Config).

%% What the second window of lookups was beside the first, for a report of bin/bench.
results(_Results, #{results := none}) ->
    ok;
results(Results, #{results := File}) ->
    ok = file:write_file(File, [io_lib:format("~0p.~n", [Result]) || Result <- Results]).

subject({M, Type} = Subject, #{objects := Objects, seconds := Seconds} = Config) ->
    Tab = open(Subject, Config),
    _ = [M:insert(Tab, object(N, Round)) || Round <- [1, 2], N <- lists:seq(0, Objects - 1)],
    Rate = peak(M, Tab, Objects) div 2,
    Name = io_lib:format("~w ~w", [M, Type]),
    Quiet = window(M, Tab, Objects, Rate, seconds(Seconds)),
    _ = show(Name, Rate, "without a merge", Quiet),
    {What, Other} =
        case M of
            ets -> {"the same again", window(M, Tab, Objects, Rate, seconds(Seconds))};
            bets -> {"with a merge", window(M, Tab, Objects, Rate, merge(Tab))}
        end,
    _ = show(Name, Rate, What, Other),
    Ratios = compare(Quiet, Other),
    close(Subject, Tab),
    [
        #{subject => named(Subject), op => Op, count => 1, value => Value, empty => 0.0}
     || {read, P99, Stall} <- Ratios, {Op, Value} <- [{merge_p99, P99}, {merge_stall, Stall}]
    ].

%% As `bench_subject' names it.
named({M, set}) -> M;
named({ets, ordered_set}) -> ets_ordered;
named({bets, ordered_set}) -> bets_ordered.

open({ets, Type}, _Config) ->
    ets:new(bench, [Type, public]);
open({bets, Type}, #{dir := Dir, rate := Rate}) ->
    Path = filename:join(Dir, "bench_merge-" ++ os:getpid()),
    bets:new(bench, [Type, public, {dir, Path}, {max_file_size, 64 bsl 20}, {merge_window, never}, {merge_rate, Rate}]).

close({M, _}, Tab) ->
    true = M:delete(Tab).

key(N) -> <<(N * 16#9E3779B97F4A7C15):64, N:64>>.

object(N, Round) -> {key(N), <<Round:800>>}.

%% How many operations a second one process can do.
peak(M, Tab, Objects) ->
    End = erlang:monotonic_time(nanosecond) + ?PEAK_SECONDS * 1000000000,
    count(M, Tab, Objects, 1, End) div ?PEAK_SECONDS.

count(M, Tab, Objects, N, End) ->
    _ = operation(M, Tab, Objects, N),
    case erlang:monotonic_time(nanosecond) < End of
        true -> count(M, Tab, Objects, N + 1, End);
        false -> N
    end.

%% The keys come in no order.
operation(M, Tab, Objects, N) ->
    At = (N * 2654435761) rem Objects,
    case N band 1 of
        0 -> [_] = M:lookup(Tab, key(At)), read;
        1 -> true = M:insert(Tab, object(At, N)), write
    end.

seconds(Seconds) ->
    End = erlang:monotonic_time(nanosecond) + Seconds * 1000000000,
    fun() -> erlang:monotonic_time(nanosecond) >= End end.

merge(Tab) ->
    Done = atomics:new(1, []),
    _ = spawn_link(fun() ->
        #{} = bets:merge(Tab),
        atomics:put(Done, 1, 1)
    end),
    fun() -> atomics:get(Done, 1) =:= 1 end.

%% Runs until `IsOver'. Gives the counts of latencies of reads and of writes.
window(M, Tab, Objects, Rate, IsOver) ->
    Seen = #{read => counters:new(?BUCKETS, []), write => counters:new(?BUCKETS, [])},
    Self = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        Start = erlang:monotonic_time(nanosecond),
        ok = go(M, Tab, Objects, {Start, 1000000000 / Rate, IsOver, Seen}, 1),
        Self ! {over, self()}
    end),
    receive
        {over, Pid} -> true = demonitor(Monitor, [flush]), Seen;
        {'DOWN', Monitor, process, Pid, Reason} -> exit(Reason)
    end.

go(M, Tab, Objects, {Start, Gap, IsOver, Seen} = Plan, N) ->
    Intended = Start + trunc(N * Gap),
    wait(Intended),
    Operation = operation(M, Tab, Objects, N),
    Took = erlang:monotonic_time(nanosecond) - Intended,
    counters:add(maps:get(Operation, Seen), bucket(Took), 1),
    case N band 255 =:= 0 andalso IsOver() of
        true -> ok;
        false -> go(M, Tab, Objects, Plan, N + 1)
    end.

wait(Until) ->
    case erlang:monotonic_time(nanosecond) < Until of
        true -> wait(Until);
        false -> ok
    end.

%% Sixteen for each doubling: 4 % wide.
bucket(Nanoseconds) -> max(1, min(?BUCKETS, trunc(math:log2(max(1, Nanoseconds)) * 16))).

microseconds(Bucket) -> math:pow(2, (Bucket + 1) / 16) / 1000.

show(Name, Rate, What, Seen) ->
    [
        io:format("| ~s | ~b | ~s | ~w | ~s |~n", [Name, Rate, What, Operation, lists:join(" | ", [io_lib:format("~.1f", [T]) || T <- figures(Counts)])])
     || {Operation, Counts} <- lists:sort(maps:to_list(Seen))
    ].

figures(Counts) ->
    All = [{Bucket, counters:get(Counts, Bucket)} || Bucket <- lists:seq(1, ?BUCKETS)],
    Total = lists:sum([N || {_, N} <- All]),
    [microseconds(at(All, Total * Part)) || Part <- [0.5, 0.99, 0.999]] ++ [microseconds(lists:max([1 | [Bucket || {Bucket, N} <- All, N > 0]]))].

at([{Bucket, N} | _], Left) when N >= Left -> Bucket;
at([{Bucket, _}], _Left) -> Bucket;
at([{_, N} | Rest], Left) -> at(Rest, Left - N).

compare(Quiet, Other) ->
    [
        begin
            [_, Before, _, LongestBefore] = figures(maps:get(Operation, Quiet)),
            [_, Behind, _, Longest] = figures(maps:get(Operation, Other)),
            io:format("| | | second against first | ~w | | ~.1fx | | ~.1f ms more |~n", [Operation, Behind / Before, (Longest - LongestBefore) / 1000]),
            {Operation, Behind / Before, (Longest - LongestBefore) / 1000}
        end
     || Operation <- [read, write]
    ].
