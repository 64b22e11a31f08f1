%% The loop of each operation. A loop does nothing but call the subject and count what succeeded; the count is checked after the
%% clock has stopped.
-module(bench_loops).

-export([run/4, until/4]).

-define(RANGE, 100).

%% Runs an operation over its items and returns how many objects it succeeded on.
-spec run(atom(), module(), term(), [term()]) -> non_neg_integer().
run(lookup_hit, M, H, Items) -> hits(Items, M, H, 0);
run(lookup_zipf, M, H, Items) -> hits(Items, M, H, 0);
run(select_lookup, M, H, Items) -> hits(Items, M, H, 0);
run(lookup_miss, M, H, Items) -> misses(Items, M, H, 0);
run(delete, M, H, Items) -> deletes(Items, M, H, 0);
run(mix, M, H, Items) -> mixes(Items, M, H, 0);
run(range, M, H, Items) -> ranges(Items, M, H, 0);
run(list_insert, M, H, Items) -> list_inserts(Items, M, H, 0);
run(counter_one, M, H, Items) -> counters(Items, M, H, 0);
run(counter_spread, M, H, Items) -> counters(Items, M, H, 0);
run(foldl, M, H, []) -> M:foldl(H, fun(Count) -> Count + 1 end, 0);
run(select_few, M, H, []) -> 100 * length(M:select(H, [{{'_', 0, '$1'}, [], ['$1']}]));
run(select_bound, M, H, Items) -> selects(Items, fun(Key) -> [{{Key, '_', '$1'}, [], ['$1']}] end, M, H, 0);
run(range_select, M, H, Items) -> selects(Items, fun(Group) -> [{{{Group, '_'}, '_', '_'}, [], ['$_']}] end, M, H, 0);
run(range_next, M, H, Items) -> steps(Items, fun(_Key) -> ok end, M, H, 0);
run(range_lookup, M, H, Items) -> steps(Items, fun(Key) -> M:lookup(H, Key) end, M, H, 0);
run(_Insert, M, H, Items) -> inserts(Items, M, H, 0).

%% Durable inserts until a moment (monotonic nanoseconds): how long one takes differs too much between subjects to say how many.
-spec until(integer(), module(), term(), [tuple()]) -> non_neg_integer().
until(End, M, H, Objects) ->
    until(End, M, H, Objects, 0).

until(End, M, H, [Object | Objects], Count) ->
    _ = M:durable_insert(H, Object),
    case erlang:monotonic_time(nanosecond) < End of
        true -> until(End, M, H, Objects, Count + 1);
        false -> Count + 1
    end;
until(_End, _M, _H, [], Count) ->
    Count.

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

mixes([Key, Object | Items], M, H, Count) ->
    Found = length(M:lookup(H, Key)),
    _ = M:insert(H, Object),
    mixes(Items, M, H, Count + 1 + Found);
mixes([], _M, _H, Count) ->
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

%% One near the end of the table has fewer objects.
ranges([Key | Keys], M, H, Count) ->
    case M:range(H, Key, ?RANGE) of
        [_ | _] -> ranges(Keys, M, H, Count + 1);
        [] -> ranges(Keys, M, H, Count)
    end;
ranges([], _M, _H, Count) ->
    Count.

selects([Item | Items], Spec, M, H, Count) ->
    selects(Items, Spec, M, H, Count + length(M:select(H, Spec(Item))));
selects([], _Spec, _M, _H, Count) ->
    Count.

steps([Group | Groups], Visit, M, H, Count) ->
    steps(Groups, Visit, M, H, steps(?RANGE, {Group, -1}, Visit, M, H, Count));
steps([], _Visit, _M, _H, Count) ->
    Count.

steps(0, _Key, _Visit, _M, _H, Count) ->
    Count;
steps(Left, Key, Visit, M, H, Count) ->
    Next = M:next(H, Key),
    _ = Visit(Next),
    steps(Left - 1, Next, Visit, M, H, Count + 1).
