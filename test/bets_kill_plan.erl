%% What a writer of the kill soak does: its Nth operation follows from the seed, the writer and N alone, so that
%% parent, writer and checker agree on it without talking to each other.
%%
%% Each writer has keys that are its own: after a kill, what they hold must be exactly what its first N operations make,
%% or its first N + 1. On top of that all writers share one counter, and a group of keys that each insert
%% writes together.
-module(bets_kill_plan).

-export([op/3, run/3, model/0, apply_op/4, own_keys/1, group/0, counter/0]).

-define(KEYS, 24).

-type op() :: {insert, tuple()} | {insert_list, [tuple()]} | {insert_new, [tuple()]} | {delete, term()} | {take, term()}
            | {update_counter, term()} | {update_element, term(), term()} | {delete_object, tuple()} | count | {group, [tuple()]}.
-type model() :: #{own := #{term() => tuple()}, count := non_neg_integer(), group := none | pos_integer()}.
-export_type([op/0, model/0]).

-spec op(integer(), pos_integer(), pos_integer()) -> op().
op(Seed, Writer, N) ->
    Random = erlang:phash2({Seed, Writer, N}, 1 bsl 27),
    Key = {Writer, Random rem ?KEYS},
    Object = object(Key, N, Random),
    case (Random div ?KEYS) rem 20 of
        R when R < 7 -> {insert, Object};
        R when R < 10 -> {insert_list, [object({Writer, K rem ?KEYS}, N, Random) || K <- lists:seq(Random rem ?KEYS, Random rem ?KEYS + 1 + Random rem 5)]};
        10 -> {insert_new, [Object, object({Writer, (Random + 7) rem ?KEYS}, N, Random)]};
        R when R < 13 -> {delete, Key};
        13 -> {take, Key};
        14 -> {update_element, Key, N};
        15 -> {delete_object, Object};
        R when R < 18 -> {update_counter, {Writer, counter}};
        18 -> count;
        19 -> {group, [{Shared, {Writer, N}, padding(Random)} || Shared <- group()]}
    end.

%% Key, number of the operation, padding: every value tells who wrote it.
object(Key, N, Random) -> {Key, N, padding(Random)}.

padding(Random) -> binary:copy(<<"p">>, case Random rem 16 of 0 -> 3000; 1 -> 600; Few -> Few end).

-spec group() -> [term()].
group() -> [{group, 1}, {group, 2.0}, <<"group">>, [group]].

-spec counter() -> term().
counter() -> count.

%% Does an operation on the table.
-spec run(module(), term(), op()) -> term().
run(Module, Tab, {insert, Object}) -> true = Module:insert(Tab, Object);
run(Module, Tab, {insert_list, Objects}) -> true = Module:insert(Tab, Objects);
run(Module, Tab, {insert_new, Objects}) -> Module:insert_new(Tab, Objects);
run(Module, Tab, {delete, Key}) -> true = Module:delete(Tab, Key);
run(Module, Tab, {take, Key}) -> Module:take(Tab, Key);
run(Module, Tab, {update_element, Key, Value}) -> Module:update_element(Tab, Key, {2, Value});
run(Module, Tab, {delete_object, Object}) -> true = Module:delete_object(Tab, Object);
run(Module, Tab, {update_counter, Key}) -> Module:update_counter(Tab, Key, 1, {Key, 0, <<>>});
run(Module, Tab, count) -> Module:update_counter(Tab, counter(), 1, {counter(), 0});
run(Module, Tab, {group, Objects}) -> true = Module:insert(Tab, Objects).

%% The part of the table that one writer decides: its own keys, how often it has counted, and which of its operations was
%% its last on the group.
-spec model() -> model().
model() -> #{own => #{}, count => 0, group => none}.

-spec apply_op(integer(), pos_integer(), pos_integer(), model()) -> model().
apply_op(Seed, Writer, N, #{own := Own, count := Count} = Model) ->
    case op(Seed, Writer, N) of
        count -> Model#{count := Count + 1};
        {group, _} -> Model#{group := N};
        Op -> Model#{own := own(Op, Own)}
    end.

own({insert, Object}, Own) -> Own#{element(1, Object) => Object};
own({insert_list, Objects}, Own) -> lists:foldl(fun(Object, Acc) -> own({insert, Object}, Acc) end, Own, Objects);
own({insert_new, Objects}, Own) ->
    case [Object || Object <- Objects, is_map_key(element(1, Object), Own)] of
        [] -> own({insert_list, Objects}, Own);
        _ -> Own
    end;
own({delete, Key}, Own) -> maps:remove(Key, Own);
own({take, Key}, Own) -> maps:remove(Key, Own);
own({update_element, Key, Value}, Own) when is_map_key(Key, Own) -> Own#{Key := setelement(2, maps:get(Key, Own), Value)};
own({update_element, _Key, _Value}, Own) -> Own;
own({delete_object, Object}, Own) ->
    case maps:find(element(1, Object), Own) of
        {ok, Object} -> maps:remove(element(1, Object), Own);
        _ -> Own
    end;
own({update_counter, Key}, Own) ->
    {_, N, Padding} = maps:get(Key, Own, {Key, 0, <<>>}),
    Own#{Key => {Key, N + 1, Padding}}.

%% The keys that only this writer writes.
-spec own_keys(pos_integer()) -> [term()].
own_keys(Writer) -> [{Writer, counter} | [{Writer, K} || K <- lists:seq(0, ?KEYS - 1)]].
