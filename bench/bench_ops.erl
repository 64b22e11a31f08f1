%% The operations: what each works on, and its loop.
%%
%% To add an operation, give it a line in `all/0' and a clause in `loop/4'. A loop does nothing but call the subject
%% and count what succeeded; the count is checked after the clock has stopped.
-module(bench_ops).

-export([all/0, find/1, names/0, scenario_ops/1, scenarios/0, loop/4]).
-export_type([op/0, scenario/0]).

-type scenario() :: main | lists | counters | matching | ranges | memory.
-type op() :: #{
    name := atom(),
    title := string(),
    scenario := scenario(),
    %% what the loop walks over; `none' for operations on the whole table
    items := bench_data:kind() | none,
    mode := read | write,
    %% needed by what comes after it in the scenario, so it runs even when not asked for
    load := boolean(),
    %% `all' process counts, or only the run with one process
    procs := all | one,
    unit := ns_per_object | milliseconds | bytes_per_key
}.

%% In the order in which a scenario runs them on one table.
-spec all() -> [op()].
all() ->
    [
        op(insert, "insert", main, objects, write, #{load => true}),
        op(lookup_hit, "lookup, hit", main, keys, read, #{}),
        op(lookup_miss, "lookup, miss", main, absent_keys, read, #{}),
        op(overwrite, "insert, overwriting", main, new_objects, write, #{}),
        op(foldl, "foldl, per object", main, none, read, #{procs => one}),
        op(delete, "delete", main, keys, write, #{}),
        op(list_insert, "insert lists of 1000, per object", lists, lists, write, #{load => true}),
        op(disk, "disk a key after load, bytes", lists, none, read, #{procs => one, unit => bytes_per_key}),
        op(open, "open after a clean close, ms", lists, none, read, #{procs => one, unit => milliseconds}),
        op(counter_load, "insert counters", counters, counters, write, #{load => true}),
        op(counter_one, "update_counter, one row", counters, counter_key, write, #{}),
        op(counter_spread, "update_counter, spread", counters, counter_keys, write, #{}),
        op(match_load, "insert objects to select from", matching, numbered, write, #{load => true}),
        op(select_lookup, "lookup beside the selects", matching, keys, read, #{}),
        op(select_bound, "select of a bound key", matching, keys, read, #{}),
        op(select_few, "select of 1 %, per object looked at", matching, none, read, #{procs => one}),
        op(range_load, "insert into ordered_set", ranges, grouped, write, #{load => true}),
        op(range_select, "select of 100 keys that begin alike, per object", ranges, groups, read, #{}),
        op(range_next, "next, 100 times from a key, per key", ranges, groups, read, #{}),
        op(range_lookup, "next and lookup, 100 times from a key, per key", ranges, groups, read, #{}),
        op(memory, "memory a key, resident, bytes", memory, none, write, #{procs => one, unit => bytes_per_key}),
        op(memory_own, "memory a key, own account, bytes", memory, none, write, #{procs => one, unit => bytes_per_key})
    ].

op(Name, Title, Scenario, Items, Mode, More) ->
    Defaults = #{load => false, procs => all, unit => ns_per_object},
    maps:merge(Defaults, More#{name => Name, title => Title, scenario => Scenario, items => Items, mode => Mode}).

-spec names() -> [atom()].
names() ->
    [Name || #{name := Name} <- all()].

-spec find(atom()) -> {ok, op()} | error.
find(Name) ->
    case [Op || #{name := N} = Op <- all(), N =:= Name] of
        [Op] -> {ok, Op};
        [] -> error
    end.

-spec scenarios() -> [scenario()].
scenarios() ->
    [main, lists, counters, matching, ranges, memory].

-spec scenario_ops(scenario()) -> [op()].
scenario_ops(Scenario) ->
    [Op || #{scenario := S} = Op <- all(), S =:= Scenario].

%% Runs an operation over its items and returns how many objects it succeeded on.
-spec loop(atom(), module(), term(), [term()]) -> non_neg_integer().
loop(insert, M, H, Items) -> inserts(Items, M, H, 0);
loop(overwrite, M, H, Items) -> inserts(Items, M, H, 0);
loop(counter_load, M, H, Items) -> inserts(Items, M, H, 0);
loop(list_insert, M, H, Items) -> list_inserts(Items, M, H, 0);
loop(lookup_hit, M, H, Items) -> hits(Items, M, H, 0);
loop(lookup_miss, M, H, Items) -> misses(Items, M, H, 0);
loop(delete, M, H, Items) -> deletes(Items, M, H, 0);
loop(counter_one, M, H, Items) -> counters(Items, M, H, 0);
loop(counter_spread, M, H, Items) -> counters(Items, M, H, 0);
loop(match_load, M, H, Items) -> inserts(Items, M, H, 0);
loop(range_load, M, H, Items) -> inserts(Items, M, H, 0);
loop(select_lookup, M, H, Items) -> hits(Items, M, H, 0);
loop(select_bound, M, H, Items) -> selects(Items, fun(Key) -> [{{Key, '_', '$1'}, [], ['$1']}] end, M, H, 0);
loop(select_few, M, H, []) -> 100 * length(M:select(H, [{{'_', 0, '$1'}, [], ['$1']}]));
loop(range_select, M, H, Items) -> selects(Items, fun(Group) -> [{{{Group, '_'}, '_', '_'}, [], ['$_']}] end, M, H, 0);
loop(range_next, M, H, Items) -> steps(Items, fun(_Key) -> ok end, M, H, 0);
loop(range_lookup, M, H, Items) -> steps(Items, fun(Key) -> M:lookup(H, Key) end, M, H, 0);
loop(foldl, M, H, []) -> M:foldl(H, fun(Count) -> Count + 1 end, 0).

inserts([Object | Objects], M, H, Count) ->
    _ = M:insert(H, Object),
    inserts(Objects, M, H, Count + 1);
inserts([], _M, _H, Count) ->
    Count.

list_inserts([Objects | Lists], M, H, Count) ->
    _ = M:insert_list(H, Objects),
    list_inserts(Lists, M, H, Count + length(Objects));
list_inserts([], _M, _H, Count) ->
    Count.

hits([Key | Keys], M, H, Count) ->
    case M:lookup(H, Key) of
        [_] -> hits(Keys, M, H, Count + 1);
        [] -> hits(Keys, M, H, Count)
    end;
hits([], _M, _H, Count) ->
    Count.

misses([Key | Keys], M, H, Count) ->
    case M:lookup(H, Key) of
        [] -> misses(Keys, M, H, Count + 1);
        [_] -> misses(Keys, M, H, Count)
    end;
misses([], _M, _H, Count) ->
    Count.

deletes([Key | Keys], M, H, Count) ->
    _ = M:delete(H, Key),
    deletes(Keys, M, H, Count + 1);
deletes([], _M, _H, Count) ->
    Count.

counters([Key | Keys], M, H, Count) ->
    _ = M:update_counter(H, Key, 1),
    counters(Keys, M, H, Count + 1);
counters([], _M, _H, Count) ->
    Count.

selects([Item | Items], Spec, M, H, Count) ->
    selects(Items, Spec, M, H, Count + length(M:select(H, Spec(Item))));
selects([], _Spec, _M, _H, Count) ->
    Count.

steps([Group | Groups], Visit, M, H, Count) ->
    steps(Groups, Visit, M, H, steps(100, {Group, -1}, Visit, M, H, Count));
steps([], _Visit, _M, _H, Count) ->
    Count.

steps(0, _Key, _Visit, _M, _H, Count) ->
    Count;
steps(Left, Key, Visit, M, H, Count) ->
    Next = M:next(H, Key),
    _ = Visit(Next),
    steps(Left - 1, Next, Visit, M, H, Count + 1).
