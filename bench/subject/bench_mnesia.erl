%% A `disc_copies' table of mnesia with dirty operations, which are its fastest: a table of `ets' with a log beside it.
-module(bench_mnesia).
-behaviour(bench_subject).

-export([available/0, new/1, attach/2, detach/1, insert/2, insert_list/2, lookup/2, delete/2]).
-export([update_counter/3, foldl/3, select/2, durable_insert/2, close/2, open/1, memory/1]).

available() ->
    case application:load(mnesia) of
        {error, {"no such file or directory", _}} -> {false, "not installed (Debian package erlang-mnesia)"};
        _ -> true
    end.

new(#{arity := Arity, type := Type} = Context) ->
    configure(Context),
    ok = mnesia:create_schema([node()]),
    ok = mnesia:start(),
    Attributes = lists:sublist([key, value, more], Arity),
    {atomic, ok} = mnesia:create_table(bench, [{disc_copies, [node()]}, {type, Type}, {attributes, Attributes}]),
    bench.

attach(Table, _Mode) -> Table.
detach(_Table) -> ok.
insert(Table, Object) -> mnesia:dirty_write(Table, record(Object)).

insert_list(Table, Objects) ->
    mnesia:async_dirty(fun() -> lists:foreach(fun(Object) -> ok = mnesia:write(Table, record(Object), write) end, Objects) end).

lookup(Table, Key) -> mnesia:dirty_read(Table, Key).
delete(Table, Key) -> mnesia:dirty_delete(Table, Key).
update_counter(Table, Key, Increment) -> mnesia:dirty_update_counter(Table, Key, Increment).

foldl(Table, Fun, Acc0) ->
    mnesia:async_dirty(fun() -> mnesia:foldl(fun(_Record, Acc) -> Fun(Acc) end, Acc0, Table) end).

select(Table, [{Head, Guards, Body}]) ->
    mnesia:dirty_select(Table, [{record(Head), Guards, Body}]).

durable_insert(Table, Object) ->
    ok = insert(Table, Object),
    ok = mnesia:sync_log().

close(_Table, _Context) ->
    stopped = mnesia:stop(),
    ok.

open(Context) ->
    configure(Context),
    ok = mnesia:start(),
    ok = mnesia:wait_for_tables([bench], infinity),
    bench.

%% Binaries over 64 bytes live outside the table and are not in this figure.
memory(Table) ->
    mnesia:table_info(Table, memory) * erlang:system_info(wordsize).

%% It tells of every dump of its log that comes early.
configure(#{dir := Dir}) ->
    ok = logger:set_primary_config(level, critical),
    ok = application:set_env(mnesia, dir, filename:join(Dir, "bench.mnesia")).

record(Object) -> erlang:insert_element(1, Object, bench).
