%% `bets', with the options of its subject line on top of the defaults.
-module(bench_bets).
-behaviour(bench_subject).

-export([available/0, new/1, attach/2, detach/1, insert/2, insert_list/2, lookup/2, delete/2]).
-export([update_counter/3, foldl/3, select/2, next/2, close/2, open/1, memory/1]).

available() ->
    case code:ensure_loaded(bets) of
        {module, bets} -> true;
        {error, Reason} -> {false, io_lib:format("module bets does not load: ~p", [Reason])}
    end.

new(#{type := Type, options := Options} = Context) ->
    bets:new(bench, [Type, public, {dir, dir(Context)}] ++ cache(Context) ++ Options).

attach(Table, _Mode) -> Table.
detach(_Table) -> ok.
insert(Table, Object) -> bets:insert(Table, Object).
insert_list(Table, Objects) -> bets:insert(Table, Objects).
lookup(Table, Key) -> bets:lookup(Table, Key).
delete(Table, Key) -> bets:delete(Table, Key).
update_counter(Table, Key, Increment) -> bets:update_counter(Table, Key, Increment).
foldl(Table, Fun, Acc0) -> bets:foldl(fun(_Object, Acc) -> Fun(Acc) end, Acc0, Table).
select(Table, Spec) -> bets:select(Table, Spec).
next(Table, Key) -> bets:next(Table, Key).

close(Table, _Context) ->
    _ = bets:close(Table),
    ok.

open(#{options := Options} = Context) ->
    {ok, Table} = bets:open(dir(Context), [public | Options]),
    Table.

%% In words, as ets has it.
memory(Table) ->
    bets:info(Table, memory) * erlang:system_info(wordsize).

%% The value cache is bounded and shared by all tables, so it is no part of what a key costs.
cache(#{purpose := memory}) -> [{cache, false}];
cache(#{purpose := speed}) -> [].

dir(#{dir := Dir}) ->
    filename:join(Dir, "bench.bets").
