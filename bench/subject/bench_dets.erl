%% `dets', the durable table of OTP. Every call goes through the table's one process.
-module(bench_dets).
-behaviour(bench_subject).

-export([available/0, new/1, attach/2, detach/1, insert/2, insert_list/2, lookup/2, delete/2]).
-export([update_counter/3, foldl/3, select/2, durable_insert/2, close/2, open/1, merge/2, memory/1]).

available() -> true.

new(Context) ->
    open(Context).

attach(Table, _Mode) -> Table.
detach(_Table) -> ok.
insert(Table, Object) -> ok = dets:insert(Table, Object).
insert_list(Table, Objects) -> ok = dets:insert(Table, Objects).
lookup(Table, Key) -> dets:lookup(Table, Key).
delete(Table, Key) -> ok = dets:delete(Table, Key).
update_counter(Table, Key, Increment) -> dets:update_counter(Table, Key, Increment).
foldl(Table, Fun, Acc0) -> dets:foldl(fun(_Object, Acc) -> Fun(Acc) end, Acc0, Table).
select(Table, Spec) -> dets:select(Table, Spec).

durable_insert(Table, Object) ->
    ok = dets:insert(Table, Object),
    ok = dets:sync(Table).

close(Table, _Context) ->
    dets:close(Table).

open(#{options := Options} = Context) ->
    open(Options, Context).

open(Options, #{dir := Dir}) ->
    File = filename:join(Dir, "bench.dets"),
    {ok, Table} = dets:open_file(File, [{file, File} | Options]),
    Table.

%% A repair writes the file anew.
merge(Table, #{options := Options} = Context) ->
    ok = dets:close(Table),
    open([{repair, force} | Options], Context).

memory(_Table) -> unknown.
