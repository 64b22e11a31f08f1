%% `ets', the measure of speed. More than one process get the two concurrency options, as a user would set them.
-module(bench_ets).
-behaviour(bench_subject).

-export([available/0, new/1, attach/2, detach/1, insert/2, insert_list/2, lookup/2, delete/2]).
-export([update_counter/3, foldl/3, select/2, next/2, range/3, close/2, open/1, memory/1]).

available() -> true.

new(#{procs := Procs, type := Type, options := Options}) ->
    ets:new(bench, [Type, public | concurrency(Procs)] ++ Options).

attach(Table, _Mode) -> Table.
detach(_Table) -> ok.
insert(Table, Object) -> ets:insert(Table, Object).
insert_list(Table, Objects) -> ets:insert(Table, Objects).
lookup(Table, Key) -> ets:lookup(Table, Key).
delete(Table, Key) -> ets:delete(Table, Key).
update_counter(Table, Key, Increment) -> ets:update_counter(Table, Key, Increment).
foldl(Table, Fun, Acc0) -> ets:foldl(fun(_Object, Acc) -> Fun(Acc) end, Acc0, Table).
select(Table, Spec) -> ets:select(Table, Spec).
next(Table, Key) -> ets:next(Table, Key).

%% A guard on the key does not bound the range: `ets' looks at every object. Going from key to key is the quickest that OTP 25 has.
range(Table, Key, Count) ->
    ets:lookup(Table, Key) ++ following(Table, Key, Count - 1).

following(_Table, _Key, 0) ->
    [];
following(Table, Key, Count) ->
    case ets:next(Table, Key) of
        '$end_of_table' -> [];
        Next -> ets:lookup(Table, Next) ++ following(Table, Next, Count - 1)
    end.

close(Table, Context) ->
    ok = ets:tab2file(Table, file(Context)),
    true = ets:delete(Table),
    ok.

open(Context) ->
    {ok, Table} = ets:file2tab(file(Context)),
    Table.

%% Binaries over 64 bytes live outside the table and are not in this figure.
memory(Table) ->
    ets:info(Table, memory) * erlang:system_info(wordsize).

concurrency(1) -> [];
concurrency(_) -> [{read_concurrency, true}, {write_concurrency, true}].

file(#{dir := Dir}) ->
    filename:join(Dir, "bench.ets").
