%% `bets', with the options of its subject line on top of the defaults.
-module(bench_bets).
-behaviour(bench_subject).

-export([available/0, new/1, attach/2, detach/1, insert/2, insert_list/2, lookup/2, delete/2]).
-export([update_counter/3, foldl/3, select/2, next/2, range/3, durable_insert/2]).
-export([close/2, open/1, prepare_open/2, merge/2, memory/1]).

available() ->
    case code:ensure_loaded(bets) of
        {module, bets} -> true;
        {error, Reason} -> {false, io_lib:format("module bets does not load: ~p", [Reason])}
    end.

new(#{type := Type} = Context) ->
    bets:new(bench, [Type, {dir, dir(Context)} | options(Context)]).

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
%% The table was opened with `{sync, always}'.
durable_insert(Table, Object) -> bets:insert(Table, Object).

%% The guard bounds the range: nothing outside of it is looked at.
range(Table, Key, Count) ->
    case bets:select(Table, [{{'$1', '_'}, [{'>=', '$1', {const, Key}}], ['$_']}], Count) of
        {Objects, _Continuation} -> Objects;
        '$end_of_table' -> []
    end.

close(Table, _Context) ->
    ok = bets:close(Table).

open(Context) ->
    {ok, Table} = bets:open(dir(Context), options(Context)),
    Table.

prepare_open(How, Context) ->
    remove("CHECKPOINT", Context),
    How =:= hints orelse remove("*.hint", Context),
    ok.

remove(Pattern, Context) ->
    lists:foreach(fun(File) -> ok = file:delete(File) end, filelib:wildcard(filename:join(dir(Context), Pattern))).

merge(Table, _Context) ->
    #{dropped := Dropped} = bets:merge(Table),
    true = Dropped > 0,
    Table.

%% In words, as ets has it.
memory(Table) ->
    bets:info(Table, memory) * erlang:system_info(wordsize).

options(#{options := Options, purpose := Purpose}) ->
    [public | options(Purpose)] ++ Options;
options(speed) -> [];
%% The value cache is bounded and shared by all tables, so it is no part of what a key costs.
options(memory) -> [{cache, false}];
options(sync) -> [{sync, always}];
options(merge) -> [{merge_window, never}].

dir(#{dir := Dir}) ->
    filename:join(Dir, "bench.bets").
