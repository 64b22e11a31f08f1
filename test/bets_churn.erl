%% Long churn: what comes and goes leaves nothing behind. `bin/soak churn' runs it at length, bets_churn_tests briefly.
-module(bets_churn).

-include_lib("kernel/include/file.hrl").

-export([main/0, opens/2, kills/2, halts/2, names/2]).
-export([halting/2, merging/2, named/3]).

%% Descriptors that may come: a table holds at most 16, of which it opens those that it reads.
-define(TABLE, 16).
%% What memory may grow by once all that is made on first use is there, in bytes.
-define(SLACK, 48 bsl 20).

-spec main() -> no_return().
main() ->
    [_ | Args] = init:get_plain_arguments(),
    Counts = options(Args, #{opens => 100000, kills => 10000, halts => 1000, names => 1000}),
    %% How fast a disk syncs is not asked here.
    Dir = filename:join(os:getenv("TMPDIR", "/dev/shm"), "bets_churn_" ++ os:getpid()),
    Results = [
        begin
            Result = try run(Part, Dir, N) catch Class:Reason:Stack -> {failed, {Class, Reason, Stack}} end,
            io:format("~-6s ~tp~n", [Part, Result]),
            file:del_dir_r(Dir),
            element(1, Result)
        end
     || {Part, N} <- maps:to_list(Counts), N > 0
    ],
    halt(case lists:usort(Results) of [ok] -> 0; _ -> 1 end).

run(opens, Dir, N) -> opens(Dir, N);
run(kills, Dir, N) -> kills(Dir, N);
run(halts, Dir, N) -> halts(Dir, N);
run(names, Dir, N) -> names(Dir, N).

options(["--" ++ Part, N | More], Counts) ->
    Key = list_to_existing_atom(Part),
    true = is_map_key(Key, Counts),
    options(More, Counts#{Key := list_to_integer(N)});
options([], Counts) ->
    Counts.

%% ---------------------------------------------------------------- opened and closed

%% So many openings and closings of tables of all types, with writes between: descriptors and memory do not grow.
-spec opens(file:name_all(), pos_integer()) -> {ok, map()}.
opens(Dir, N) ->
    {ok, _} = application:ensure_all_started(bets),
    Types = {set, ordered_set, bag, duplicate_bag},
    Cycle = fun(I) ->
        Type = element(I rem 4 + 1, Types),
        T = bets:new(t, [Type, {dir, filename:join(Dir, atom_to_list(Type))}, {max_file_size, 16384}]),
        true = bets:insert(T, {I rem 50, I}),
        I rem 97 =:= 0 andalso bets:delete_all_objects(T),
        case I rem 10 of 0 -> bets:delete(T); _ -> ok = bets:close(T) end
    end,
    [Cycle(I) || I <- lists:seq(1, N div 10)],
    Before = held(),
    each(Cycle, N div 10 + 1, N),
    flat(Before, held(), #{openings => N}).

each(_, From, To) when From > To -> ok;
each(F, From, To) -> F(From), each(F, From + 1, To).

%% ---------------------------------------------------------------- killed

%% Callers and owners are killed at random moments of their calls. A list is there whole or not at all; the table of a dead owner is closed, and its
%% directory can be opened at once; nothing is left of either.
-spec kills(file:name_all(), pos_integer()) -> {ok, map()}.
kills(Dir, N) ->
    {ok, _} = application:ensure_all_started(bets),
    Shared = bets:new(shared, [public, {dir, filename:join(Dir, "shared")}, {max_file_size, 65536}]),
    true = bets:insert(Shared, [{K, 0} || K <- lists:seq(1, 8)]),
    each(fun(I) -> kill(Shared, Dir, I) end, 1, N div 10),
    Before = held(),
    each(fun(I) -> kill(Shared, Dir, I) end, N div 10 + 1, N),
    After = held(),
    true = bets:delete(Shared),
    flat(Before, After, #{kills => N}).

kill(Shared, Dir, I) ->
    Own = filename:join(Dir, "own" ++ integer_to_list(I rem 5)),
    Victim =
        case I rem 2 of
            0 -> spawn(fun() -> call(Shared, I) end);
            1 -> spawn(fun() -> own(Own, I) end)
        end,
    Monitor = monitor(process, Victim),
    wait_us(rand:uniform(400)),
    exit(Victim, kill),
    receive {'DOWN', Monitor, process, Victim, Why} when Why =:= killed; Why =:= noproc -> ok end,
    %% One value for all: each list wrote all eight.
    [_] = lists:usort([V || {K, V} <- bets:tab2list(Shared), is_integer(K), K =< 8]),
    case I rem 2 of
        0 ->
            ok;
        1 ->
            %% The opening waits for the closing of its dead owner's table.
            T = bets:new(t, [{dir, Own}]),
            true = lists:member(bets:info(T, size) rem 8, [0]),
            ok = bets:close(T)
    end.

call(Shared, I) ->
    true = bets:insert(Shared, [{K, I} || K <- lists:seq(1, 8)]),
    _ = bets:tab2list(Shared),
    _ = bets:update_counter(Shared, counter, 1, {counter, 0}),
    _ = bets:select(Shared, [{{'$1', I}, [], ['$1']}]),
    _ = bets:take(Shared, counter),
    call(Shared, I + 2).

own(Dir, I) ->
    T = bets:new(t, [{dir, Dir}, {sync, case I rem 3 of 0 -> always; _ -> none end}]),
    true = bets:insert(T, [{K, I} || K <- lists:seq(1, 8)]),
    ok = bets:close(T),
    own(Dir, I + 2).

wait_us(Us) ->
    Until = erlang:monotonic_time(microsecond) + Us,
    (fun Spin() -> erlang:monotonic_time(microsecond) < Until andalso begin erlang:yield(), Spin() end end)().

%% ---------------------------------------------------------------- stopped in a merge

%% VMs that merge all the time are stopped or halted. They end with status 0, and not by a signal, and what was acknowledged is there.
-spec halts(file:name_all(), pos_integer()) -> {ok, map()}.
halts(Dir, N) ->
    {ok, _} = application:ensure_all_started(bets),
    Merging = [halted(filename:join(Dir, "t"), I) || I <- lists:seq(1, N)],
    {ok, #{halts => N, in_a_merge => length([yes || true <- Merging])}}.

halted(Dir, I) ->
    Vm = bets_diff_vm:start(),
    How = lists:nth(I rem 3 + 1, [stop, halt, halt_now]),
    bets_diff_vm:run(Vm, ?MODULE, merging, [Dir]),
    {ok, {Written, Merging}} = bets_diff_vm:recv(Vm, 60000),
    %% Told by itself: whoever halted at once might take the answer along.
    bets_diff_vm:run(Vm, ?MODULE, halting, [How]),
    case recv_exit(Vm) of
        0 -> ok;
        Status -> error({status, Status, How, I})
    end,
    {ok, T} = bets:open(Dir),
    Found = bets:tab2list(T),
    [] = [K || {K, V} <- maps:to_list(Written), not lists:keymember(K, 1, Found) orelse element(2, lists:keyfind(K, 1, Found)) < V],
    ok = bets:close(T),
    Merging.

recv_exit(Vm) ->
    case bets_diff_vm:recv(Vm, 60000) of
        {exit, Status} -> Status;
        timeout -> timeout;
        {ok, _} -> recv_exit(Vm)
    end.

%% In the VM that is stopped: writers at work and merges due all the time.
merging(Reply, Dir) ->
    _ = application:load(bets),
    application:set_env(bets, merge_interval, 1),
    {ok, _} = application:ensure_all_started(bets),
    Parent = self(),
    spawn(fun() ->
        T = bets:new(t, [named_table, public, {dir, Dir}, {max_file_size, 16384}, {frag_merge_trigger, 20}, {frag_threshold, 5}]),
        Parent ! open,
        receive after infinity -> T end
    end),
    receive open -> ok end,
    First = lists:max([0 | [V || {_, V, _} <- bets:tab2list(t)]]),
    [bets:insert(t, {K, First + 1, <<0:8000>>}) || K <- lists:seq(1, 40)],
    [spawn(fun() -> overwrite(W, First + 2) end) || W <- [0, 1]],
    timer:sleep(rand:uniform(40)),
    Merging = case bets:info(t, merge) of #{state := idle} -> false; _ -> true end,
    Reply({maps:from_list([{K, First + 1} || K <- lists:seq(1, 40)]), Merging}).

halting(_Reply, How) ->
    timer:sleep(rand:uniform(40)),
    case How of
        stop -> init:stop();
        halt -> erlang:halt(0);
        halt_now -> erlang:halt(0, [{flush, false}])
    end.

overwrite(W, N) ->
    %% The table goes before its writers when the VM stops.
    try [bets:insert(t, {K, N, <<0:8000>>}) || K <- lists:seq(1 + W, 40, 2)] of
        _ -> overwrite(W, N + 1)
    catch
        error:_ -> ok
    end.

%% ---------------------------------------------------------------- hostile names

%% Names that would like to be elsewhere, in a VM with umask 0: each has a directory of its own inside data_dir, and nobody else may look into it.
-spec names(file:name_all(), pos_integer()) -> {ok, map()}.
names(Dir, N) ->
    Data = filename:join(Dir, "data"),
    ok = filelib:ensure_path(Data),
    Outside = fun() -> lists:sort(filelib:wildcard(filename:join(Dir, "*"))) end,
    Before = Outside(),
    Vm = bets_diff_vm:start_with(["sh", "-c", "umask 0; exec \"$0\" \"$@\""], []),
    {ok, {ok, Tables}} = bets_diff_vm:call(Vm, ?MODULE, named, [Data, N]),
    bets_diff_vm:stop(Vm),
    Before = Outside(),
    {ok, Made} = file:list_dir_all(Data),
    Tables = length(Made),
    [] = [Path || Path <- lists:append([wild(Data, "*"), wild(Data, "*/*")]), mode(Path) band 8#077 =/= 0],
    {ok, #{names => Tables}}.

wild(Dir, Pattern) -> filelib:wildcard(filename:join(Dir, Pattern)).

mode(Path) ->
    {ok, Info} = file:read_link_info(Path),
    Info#file_info.mode band 8#777.

named(Reply, Data, N) ->
    _ = application:load(bets),
    application:set_env(bets, data_dir, Data),
    Names = lists:usort([name(I) || I <- lists:seq(1, N)]),
    [
        begin
            Name = bets:new(Name, [named_table]),
            true = bets:insert(Name, {name, Name}),
            ok = bets:close(Name)
        end
     || Name <- Names
    ],
    [
        begin
            Name = bets:new(Name, [named_table]),
            [{name, Name}] = bets:lookup(Name, name),
            ok = bets:close(Name)
        end
     || Name <- Names
    ],
    Reply({ok, length(Names)}).

name(I) ->
    Special = ["..", ".", "/", "../../etc/passwd", "\0", "a/../..", "LOCK", "MANIFEST", "con", "-rf", "~root", "$(id)", " ", "\n", "%2e%2e", [16#202E, $a], "A", "a",
               [16#C4], [$A, 16#308], lists:duplicate(255, $x), lists:duplicate(255, 16#10FFFF), "", "*", "?", "\\..\\", "nul.txt", "aux", "a.", "a "],
    Text =
        case I =< length(Special) of
            true -> lists:nth(I, Special);
            false -> [lists:nth(rand:uniform(12), "./\\\0aA%~\n :" ++ [16#E9]) || _ <- lists:seq(1, rand:uniform(40))]
        end,
    list_to_atom(Text).

%% ---------------------------------------------------------------- what the process holds

%% Descriptors, and bytes of resident memory, once what waits to be freed is freed.
held() ->
    [erlang:garbage_collect(P) || P <- processes()],
    Descriptors = settled(descriptors(), 100),
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [KiB]} = re:run(Status, "VmRSS:\\s*(\\d+)", [{capture, all_but_first, binary}]),
    #{descriptors => Descriptors, bytes => binary_to_integer(KiB) * 1024}.

%% What was closed is let go of by threads of its own, which on a busy machine take their time: waits until nothing goes for a second.
settled(Held, Looks) ->
    timer:sleep(1000),
    case descriptors() of
        Fewer when Fewer < Held, Looks > 0 -> settled(Fewer, Looks - 1);
        Now -> Now
    end.

descriptors() ->
    {ok, Files} = file:list_dir("/proc/self/fd"),
    length(Files).

flat(#{descriptors := D0, bytes := B0}, #{descriptors := D1, bytes := B1}, Counts) ->
    Grown = Counts#{descriptors => {D0, D1}, resident_mib => {B0 bsr 20, B1 bsr 20}},
    case D1 =< D0 + ?TABLE andalso B1 =< B0 + ?SLACK of
        true -> {ok, Grown};
        false -> {failed, Grown}
    end.
