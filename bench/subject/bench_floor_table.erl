%% The floor: native/floor, a table that does nothing but the inevitable. No subject that can be asked for by name: `bench_floor_run' measures it.
%%
%% The functions that stand here as not loaded are the NIF's. Where its library is, says the environment: BETS_FLOOR_NIF.
-module(bench_floor_table).
-behaviour(bench_subject).

-export([available/0, new/1, attach/2, detach/1, insert/2, insert_list/2, lookup/2, delete/2]).
-export([update_counter/3, foldl/3, select/2, range/3, close/2, open/1, memory/1]).

-on_load(load/0).
-nifs([create/2, insert/2, insert_list/2, lookup/2, delete/2, update_counter/3, scan/2, filter/3, range/3]).

load() ->
    erlang:load_nif(os:getenv("BETS_FLOOR_NIF", "no library"), 0).

available() -> true.

new(#{dir := Dir, type := set}) -> create(unicode:characters_to_binary(Dir), 0);
new(#{dir := Dir, type := ordered_set}) -> create(unicode:characters_to_binary(Dir), 1).

attach(Table, _Mode) -> Table.
detach(_Table) -> ok.

insert(_Table, _Object) -> erlang:nif_error(not_loaded).
insert_list(_Table, _Objects) -> erlang:nif_error(not_loaded).
lookup(_Table, _Key) -> erlang:nif_error(not_loaded).
delete(_Table, _Key) -> erlang:nif_error(not_loaded).
update_counter(_Table, _Key, _Increment) -> erlang:nif_error(not_loaded).
range(_Table, _Key, _Count) -> erlang:nif_error(not_loaded).

foldl(Table, Fun, Acc) -> foldl(Table, Fun, Acc, 0).

foldl(_Table, _Fun, Acc, -1) ->
    Acc;
foldl(Table, Fun, Acc, Place) ->
    {Objects, Next} = scan(Table, Place),
    foldl(Table, Fun, lists:foldl(fun(_Object, Acc1) -> Fun(Acc1) end, Acc, Objects), Next).

%% Of the specifications that there are, the one that looks at all objects.
select(Table, [{{'_', Number, '$1'}, [], ['$1']}]) when is_integer(Number) ->
    filtered(Table, Number, 0).

filtered(_Table, _Number, -1) ->
    [];
filtered(Table, Number, Place) ->
    {Thirds, Next} = filter(Table, Place, Number),
    Thirds ++ filtered(Table, Number, Next).

close(_Table, _Context) -> ok.
%% A floor is not opened: how long that takes is a matter of what a library keeps for it.
-spec open(_) -> no_return().
open(_Context) -> error(not_supported).
memory(_Table) -> unknown.

create(_Dir, _Ordered) -> erlang:nif_error(not_loaded).
scan(_Table, _Place) -> erlang:nif_error(not_loaded).
filter(_Table, _Place, _Number) -> erlang:nif_error(not_loaded).
