%% bin/bench latency: how long lookups and inserts take while a merge, syncs and the opening of another table run, and how often a scheduler was held up.
%%
%% Latencies are measured in an open loop (`bench_open_loop') at half of what one process can do in it. `ets' runs beside another table that is filled and
%% deleted; what is left is what the machine itself does. The second part is a full load, as many processes as schedulers and every kind of call, during which the VM reports each stretch of 1 ms and
%% more in which a scheduler ran one process or port without a break (`long_schedule'). On a build with BETS_CARGO_FEATURES=testing it also tells what the calls on normal
%% schedulers took of their threads' processor time.
-module(bench_latency).

-export([main/0]).

-define(KINDS, [lookup, insert]).

-import(bench_open_loop, [at/2, key/1, object/2]).

%% Entry for `erl -s bench_latency main -extra latency ARGS'.
-spec main() -> no_return().
main() ->
    Defaults = #{objects => 1000000, seconds => 10, dir => "/tmp", short => #{objects => 20000, seconds => 1}},
    case bench_flags:parse(tl(init:get_plain_arguments()), Defaults) of
        {ok, Config} ->
            run(Config),
            halt(0);
        error ->
            io:put_chars(standard_error, "usage: bin/bench latency [--objects N] [--seconds N] [--dir DIR] [--short]\n"),
            halt(2)
    end.

run(#{objects := Objects} = Config) ->
    Subjects = [{M, Type} || Type <- [set, ordered_set], M <- [ets, bets]],
    io:format("~b objects of 100 bytes; microseconds from the intended start~n~n", [Objects]),
    io:format("| table | operations/s | window | operation | p50 | p99 | p99.9 | longest |~n|---|---|---|---|---|---|---|---|~n"),
    [latencies(Subject, Config) || Subject <- Subjects],
    io:format("~nFull load, ~b processes~n~n", [erlang:system_info(schedulers_online)]),
    io:format("| table | calls | stretches of 1 ms and more | a million calls | longest, ms | where |~n|---|---|---|---|---|---|~n"),
    [schedules(Subject, Config) || Subject <- Subjects].

%% --- latencies ---------------------------------------------------------------------------------------------

latencies({M, Type} = Subject, #{objects := Objects, seconds := Seconds} = Config) ->
    Tab = filled(Subject, "1", Config),
    Operation = fun(N) -> operation(M, Tab, Objects, N) end,
    Rate = bench_open_loop:peak({Operation, ?KINDS}) div 2,
    Quiet = bench_open_loop:run({Operation, ?KINDS}, Rate, bench_open_loop:for_seconds(Seconds)),
    Beside = beside(Subject, Tab, Config),
    Busy = bench_open_loop:run({Operation, ?KINDS}, Rate, bench_open_loop:for_seconds(Seconds)),
    Counts = stop(Beside),
    Name = io_lib:format("~w ~w", [M, Type]),
    delete_other(Subject, Config),
    show(Name, Rate, "alone", Quiet),
    show(Name, Rate, ["beside ", lists:join(", ", [io_lib:format("~b ~s", [N, What]) || {What, N} <- Counts])], Busy),
    true = M:delete(Tab).

operation(M, Tab, Objects, N) ->
    At = at(N, Objects),
    case N band 1 of
        0 -> [_] = M:lookup(Tab, key(At)), lookup;
        1 -> true = M:insert(Tab, object(At, N)), insert
    end.

show(Name, Rate, What, Seen) ->
    [bench_open_loop:show([Name, io_lib:format("~b", [Rate]), What, atom_to_list(Kind)], maps:get(Kind, Seen)) || Kind <- ?KINDS].

%% What runs beside the operations, each again and again in a process of its own.
beside({ets, Type}, _Tab, #{objects := Objects}) ->
    start([{"fillings of another table", fun() -> fill_and_delete(Type, Objects) end}]);
beside({bets, _} = Subject, Tab, Config) ->
    ok = bets:close(filled(Subject, "2", Config)),
    start([
        {"merges", fun() -> _ = (catch bets:merge(Tab)) end},
        {"syncs", fun() -> timer:sleep(50), ok = bets:sync(Tab) end},
        {"openings", fun() -> timer:sleep(50), {ok, Other} = bets:open(path("2", Config)), ok = bets:close(Other) end}
    ]).

delete_other({ets, _}, _Config) ->
    ok;
delete_other({bets, _}, Config) ->
    {ok, Other} = bets:open(path("2", Config)),
    true = bets:delete(Other).

fill_and_delete(Type, Objects) ->
    Tab = ets:new(other, [Type, public]),
    [ets:insert(Tab, object(N, 1)) || N <- lists:seq(0, Objects - 1)],
    ets:delete(Tab).

start(Works) ->
    Over = atomics:new(1, []),
    [{What, spawn_monitor(fun() -> exit({done, repeat(Work, Over, 0)}) end), Over} || {What, Work} <- Works].

repeat(Work, Over, N) ->
    case atomics:get(Over, 1) of
        0 -> Work(), repeat(Work, Over, N + 1);
        1 -> N
    end.

stop(Works) ->
    [atomics:put(Over, 1, 1) || {_, _, Over} <- Works],
    [
        receive
            {'DOWN', Monitor, process, Pid, {done, N}} -> {What, N};
            {'DOWN', Monitor, process, Pid, Reason} -> exit({What, Reason})
        end
     || {What, {Pid, Monitor}, _} <- Works
    ].

%% --- schedulers --------------------------------------------------------------------------------------------

schedules({M, Type} = Subject, #{objects := Objects, seconds := Seconds} = Config) ->
    Tab = filled(Subject, "1", Config),
    _ = watch(),
    Self = self(),
    Monitor = spawn_link(fun() ->
        erlang:system_monitor(self(), [{long_schedule, 1}]),
        Self ! {ready, self()},
        collect([])
    end),
    receive {ready, Monitor} -> ok end,
    IsOver = bench_open_loop:for_seconds(Seconds),
    Workers = [spawn_monitor(fun() -> exit({done, load(M, Tab, Objects, IsOver, W * 1000003)}) end) || W <- lists:seq(1, erlang:system_info(schedulers_online))],
    Pids = [Pid || {Pid, _} <- Workers],
    Calls = lists:sum([receive {'DOWN', Ref, process, Pid, {done, N}} -> N end || {Pid, Ref} <- Workers]),
    Monitor ! {stop, self()},
    Seen = receive {seen, All} -> [Info || {Pid, Info} <- All, lists:member(Pid, Pids)] end,
    Longest = lists:max([0 | [T || Info <- Seen, {timeout, T} <- Info]]),
    io:format("| ~w ~w | ~b | ~b | ~.1f | ~b | ~s |~n", [M, Type, Calls, length(Seen), length(Seen) * 1000000 / Calls, Longest, where(Seen)]),
    show_watch(Subject, watch()),
    true = M:delete(Tab).

collect(Seen) ->
    receive
        {monitor, Who, long_schedule, Info} -> collect([{Who, Info} | Seen]);
        {stop, From} -> erlang:system_monitor(undefined), From ! {seen, Seen}
    end.

%% What most of them were in when they were taken off, and how often.
where(Seen) ->
    Places = lists:foldl(fun(Info, Acc) -> maps:update_with(place(Info), fun(N) -> N + 1 end, 1, Acc) end, #{}, Seen),
    Sorted = lists:sublist(lists:reverse(lists:keysort(2, maps:to_list(Places))), 3),
    lists:join(", ", [io_lib:format("~b ~s", [N, Place]) || {Place, N} <- Sorted]).

place(Info) ->
    case proplists:get_value(out, Info) of
        {M, F, A} -> io_lib:format("~w:~w/~w", [M, F, A]);
        Other -> io_lib:format("~w", [Other])
    end.

load(M, Tab, Objects, IsOver, N) -> load(M, Tab, Objects, IsOver, N, 0).

load(M, Tab, Objects, IsOver, N, Calls) ->
    call(N rem 16, M, Tab, Objects, N),
    case Calls band 63 =:= 0 andalso IsOver() of
        true -> Calls + 1;
        false -> load(M, Tab, Objects, IsOver, N + 1, Calls + 1)
    end.

call(K, M, Tab, Objects, N) when K < 6 -> [_] = M:lookup(Tab, key(at(N, Objects)));
call(K, M, Tab, Objects, N) when K < 8 -> false = M:member(Tab, key(Objects + N));
call(K, M, Tab, Objects, N) when K < 12 -> true = M:insert(Tab, object(at(N, Objects), N));
call(12, M, Tab, _Objects, N) -> _ = M:update_counter(Tab, counter, {2, N band 1}, {counter, 0});
call(13, M, Tab, Objects, N) -> true = M:insert(Tab, [object(at(N + I, Objects), N) || I <- lists:seq(1, 20)]);
call(14, M, Tab, _Objects, N) -> true = M:insert(Tab, {{extra, N}, x}), true = M:delete(Tab, {extra, N});
call(15, M, Tab, _Objects, N) when N band 16#ffff < 16 -> _ = M:select_count(Tab, [{{'_', <<0:800>>}, [], [true]}]);
call(15, M, Tab, _Objects, _N) -> _ = M:select(Tab, [{{'_', '_'}, [], ['$_']}], 50).

%% Nothing but on a test build.
watch() ->
    try
        bets_nif:test_watch()
    catch
        error:_ -> none
    end.

show_watch({bets, _}, {Calls, _Cpu, Io, LongestNs, Long, Switches}) ->
    io:format("| | ~b on normal schedulers, ~b on dirty I/O | ~b of 1 ms of processor time and more | ~b voluntary switches | ~.2f | |~n", [Calls, Io, Long, Switches, LongestNs / 1000000]);
show_watch(_, _) ->
    ok.

%% --- tables ------------------------------------------------------------------------------------------------

filled({M, _} = Subject, Name, #{objects := Objects} = Config) ->
    bench_open_loop:fill(M, open(Subject, Name, Config), Objects).

open({ets, Type}, _Name, _Config) -> ets:new(bench, [Type, public]);
open({bets, Type}, Name, Config) -> bets:new(bench, [Type, public, {dir, path(Name, Config)}, {max_file_size, 64 bsl 20}, {merge_window, never}]).

path(Name, #{dir := Dir}) -> filename:join(Dir, "bench_latency-" ++ os:getpid() ++ "-" ++ Name).
