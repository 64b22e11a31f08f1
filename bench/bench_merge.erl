%% bin/bench merge: how long reads and writes take while a table is merged.
%%
%% Latencies in an open loop (`bench_open_loop') at half of what one process can do in it: a window without a merge, and one with it. `ets' has its second window beside the merge of
%% a table of bets that has nothing to do with it: what that costs, the machine's processors and disk cost, and no lock of ours.
-module(bench_merge).

-export([main/0]).

-define(KINDS, [read, write]).

%% Entry for `erl -s bench_merge main -extra merge ARGS'.
-spec main() -> no_return().
main() ->
    Defaults = #{objects => 1000000, seconds => 5, dir => "/tmp", merge_rate => infinity, results => none, short => #{objects => 20000, seconds => 1}},
    case bench_flags:parse(tl(init:get_plain_arguments()), Defaults) of
        {ok, Config} ->
            run(Config),
            halt(0);
        error ->
            io:put_chars(standard_error,
                "usage: bin/bench merge [--objects N] [--seconds N] [--merge_rate BYTES_PER_SECOND] [--dir DIR] [--results FILE] [--short]\n"
                "The window with a merge is as long as the merge; the others have --seconds.\n"),
            halt(2)
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
    Tab = bench_open_loop:fill(M, open(Subject, Config), Objects),
    Operation = fun(N) -> operation(M, Tab, Objects, N) end,
    Rate = bench_open_loop:peak({Operation, ?KINDS}) div 2,
    Merged =
        case M of
            ets -> bench_open_loop:fill(bets, open({bets, Type}, Config), Objects);
            bets -> Tab
        end,
    Quiet = bench_open_loop:run({Operation, ?KINDS}, Rate, bench_open_loop:for_seconds(Seconds)),
    Busy = bench_open_loop:run({Operation, ?KINDS}, Rate, merge(Merged)),
    _ = [true = bets:delete(Merged) || M =:= ets],
    true = M:delete(Tab),
    Name = io_lib:format("~w ~w", [M, Type]),
    _ = show(Name, Rate, "without a merge", Quiet),
    _ = show(Name, Rate, case M of ets -> "beside a merge of bets"; bets -> "with a merge" end, Busy),
    [
        #{subject => named(Subject), op => Op, count => 1, value => Value, empty => 0.0}
     || {read, P99, Stall} <- compare(Quiet, Busy), {Op, Value} <- [{merge_p99, P99}, {merge_stall, Stall}]
    ].

%% As `bench_subject' names it.
named({M, set}) -> M;
named({ets, ordered_set}) -> ets_ordered;
named({bets, ordered_set}) -> bets_ordered.

open({ets, Type}, _Config) ->
    ets:new(bench, [Type, public]);
open({bets, Type}, #{dir := Dir, merge_rate := Rate}) ->
    Path = filename:join(Dir, "bench_merge-" ++ os:getpid()),
    bets:new(bench, [Type, public, {dir, Path}, {max_file_size, 64 bsl 20}, {merge_window, never}, {merge_rate, Rate}]).

%% The keys come in no order.
operation(M, Tab, Objects, N) ->
    At = bench_open_loop:at(N, Objects),
    case N band 1 of
        0 -> [_] = M:lookup(Tab, bench_open_loop:key(At)), read;
        1 -> true = M:insert(Tab, bench_open_loop:object(At, N)), write
    end.

merge(Tab) ->
    Done = atomics:new(1, []),
    _ = spawn_link(fun() ->
        #{} = bets:merge(Tab),
        atomics:put(Done, 1, 1)
    end),
    fun() -> atomics:get(Done, 1) =:= 1 end.

show(Name, Rate, What, Seen) ->
    [bench_open_loop:show([Name, io_lib:format("~b", [Rate]), What, atom_to_list(Kind)], maps:get(Kind, Seen)) || Kind <- ?KINDS].

compare(Quiet, Busy) ->
    [
        begin
            [_, Before, _, LongestBefore] = bench_open_loop:figures(maps:get(Kind, Quiet)),
            [_, Behind, _, Longest] = bench_open_loop:figures(maps:get(Kind, Busy)),
            io:format("| | | second against first | ~w | | ~.1fx | | ~.1f ms more |~n", [Kind, Behind / Before, (Longest - LongestBefore) / 1000]),
            {Kind, Behind / Before, (Longest - LongestBefore) / 1000}
        end
     || Kind <- ?KINDS
    ].
