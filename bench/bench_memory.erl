%% Memory: what a table of so many objects takes, and what it takes at worst while it grows from half as many to twice as many.
-module(bench_memory).

-export([run/1]).

%% The table is looked at so many times on its way to twice its size.
-define(STEPS, 40).

%% A round without the table goes before, because the VM holds on to memory that making the objects once needed.
-spec run(bench_run:job()) -> [bench_run:result()].
run(#{subject := #{module := Module}, objects := N} = Job) ->
    Doubled = Job#{objects := 2 * N},
    ok = bench_run:load(bench_null, null, {0, N div 2, 0}, Doubled),
    ok = bench_run:load(bench_null, null, {0, N div 2, 0}, Doubled),
    collect(),
    Before = {resident(), allocated()},
    Table = Module:new(bench_run:context(Job, memory)),
    Looks = [look(Module, Table, Step, Before, Doubled) || Step <- lists:seq(1, ?STEPS)],
    #{resident := Resident, allocated := Allocated, own := Own} = lists:nth(?STEPS div 2, Looks),
    From = [Look || #{count := Count} = Look <- Looks, Count >= N div 2],
    Key = key_bytes(Job),
    Result = fun(Name, Value) -> #{op => Name, count => N, value => Value, empty => 0.0} end,
    [
        Result(memory, Resident),
        Result(memory_vm, Allocated),
        Result(memory_peak, lists:max([R || #{resident := R} <- From]))
    ] ++
        case Own of
            unknown ->
                [];
            _ ->
                [Result(memory_own, Own), Result(memory_beyond, lists:max([O || #{own := O} <- From]) - Key)]
        end.

%% Bytes a key after each step.
look(Module, Table, Step, {Resident, Allocated}, #{objects := Doubled} = Job) ->
    Count = Step * Doubled div ?STEPS,
    ok = bench_run:load(Module, Table, {(Step - 1) * Doubled div ?STEPS, Count - 1, 0}, Job),
    collect(),
    Own =
        case Module:memory(Table) of
            unknown -> unknown;
            Bytes -> Bytes / Count
        end,
    #{count => Count, resident => (resident() - Resident) / Count, allocated => (allocated() - Allocated) / Count, own => Own}.

collect() ->
    lists:foreach(fun erlang:garbage_collect/1, processes()).

%% Anonymous resident memory of this VM: pages of mapped files belong to the page cache and can go at any time.
resident() ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [KiB]} = re:run(Status, "RssAnon:\\s+(\\d+) kB", [{capture, all_but_first, list}]),
    list_to_integer(KiB) * 1024.

%% Blocks in use of the VM's allocators, which libraries that take their memory elsewhere do not show in.
allocated() ->
    erlang:memory(total).

%% What of a key any table has to keep: its bytes, were it stored as plainly as can be.
key_bytes(#{key := bin16}) -> 16;
key_bytes(#{key := int}) -> 8;
key_bytes(#{key := tuple}) -> 24.
