%% A table with keypos 1 as a pure function: what each operation answers when nothing else is going on.
%% The checker of histories searches with it; its own check is a comparison with `ets' (`agrees/2').
%%
%% Of floats that are equal to an integer, keys are such themselves and do not hold them inside. Arguments are valid: what a wrong argument answers is the affair of `bets_diff'.
-module(bets_lin_model).

-export([new/1, step/2, apply_to/3, agrees/2]).

-type model() :: {bets:type(), #{term() => [tuple()]}}.
-type op() :: {insert, tuple() | [tuple()]} | {insert_new, tuple() | [tuple()]} | {lookup, term()} | {member, term()}
            | {take, term()} | {delete, term()} | {delete_object, tuple()} | delete_all_objects
            | {update_counter, term(), integer()} | {update_counter, term(), integer(), tuple()}
            | {update_element, term(), {2, term()}}.
-export_type([model/0, op/0]).

-spec new(bets:type()) -> model().
new(Type) -> {Type, #{}}.

%% The answer and the table after it.
-spec step(op(), model()) -> {term(), model()}.
step(Op, {Type, Map}) ->
    {Answer, Next} = do(Op, Type, Map),
    {Answer, {Type, Next}}.

do({insert, Objects}, T, M) when is_list(Objects) -> {true, put_all(Objects, T, M)};
do({insert, Object}, T, M) -> {true, put_all([Object], T, M)};
do({insert_new, Objects}, T, M) when is_list(Objects) ->
    case [O || O <- Objects, found(element(1, O), T, M) =/= []] of
        [] -> {true, put_all(Objects, T, M)};
        _ -> {false, M}
    end;
do({insert_new, Object}, T, M) -> do({insert_new, [Object]}, T, M);
do({lookup, Key}, T, M) -> {found(Key, T, M), M};
do({member, Key}, T, M) -> {found(Key, T, M) =/= [], M};
do({take, Key}, T, M) -> {found(Key, T, M), maps:remove(id(Key, T), M)};
do({delete, Key}, T, M) -> {true, maps:remove(id(Key, T), M)};
do({delete_object, Object}, T, M) ->
    Id = id(element(1, Object), T),
    case [O || O <- found(element(1, Object), T, M), O =/= Object] of
        [] -> {true, maps:remove(Id, M)};
        Left -> {true, M#{Id => Left}}
    end;
do(delete_all_objects, _T, _M) -> {true, #{}};
do(Op, T, M) when (T =:= bag orelse T =:= duplicate_bag), (element(1, Op) =:= update_counter orelse element(1, Op) =:= update_element) ->
    {badarg, M};
do({update_counter, Key, Incr}, T, M) ->
    case found(Key, T, M) of
        [Object] -> count(Object, Incr, T, M);
        [] -> {badarg, M}
    end;
do({update_counter, Key, Incr, Default}, T, M) ->
    case found(Key, T, M) of
        [Object] -> count(Object, Incr, T, M);
        [] -> count(setelement(1, Default, Key), Incr, T, M)
    end;
do({update_element, Key, {2, Value}}, T, M) ->
    case found(Key, T, M) of
        [Object] -> {true, put_all([setelement(2, Object, Value)], T, M)};
        [] -> {false, M}
    end.

count({Key, N}, Incr, T, M) when is_integer(N) -> {N + Incr, put_all([{Key, N + Incr}], T, M)}.

found(Key, T, M) -> maps:get(id(Key, T), M, []).

put_all(Objects, T, M) -> lists:foldl(fun(Object, Acc) -> put_one(Object, T, Acc) end, M, Objects).

put_one(Object, T, M) ->
    Found = found(element(1, Object), T, M),
    M#{id(element(1, Object), T) =>
        case T of
            bag -> Found ++ [Object || not lists:member(Object, Found)];
            duplicate_bag -> Found ++ [Object];
            _ -> [Object]
        end}.

%% One term for all keys that are the same to the table.
id(Key, ordered_set) when is_float(Key), trunc(Key) == Key -> trunc(Key);
id(Key, _Type) -> Key.

%% Does the operation on a real table; `badarg' stands for that exception.
-spec apply_to(module(), term(), op()) -> term().
apply_to(bets_diff_oracle, Tab, Op) when is_tuple(Op) ->
    [F | Args] = tuple_to_list(Op),
    try
        bets_diff_oracle:call(F, Tab, Args)
    catch
        error:badarg -> badarg
    end;
apply_to(bets_diff_oracle, Tab, delete_all_objects) ->
    ets:delete_all_objects(Tab);
apply_to(Module, Tab, delete_all_objects) ->
    Module:delete_all_objects(Tab);
apply_to(Module, Tab, Op) ->
    [F | Args] = tuple_to_list(Op),
    try
        apply(Module, F, [Tab | Args])
    catch
        error:badarg -> badarg
    end.

%% True if `ets' answers all of these operations as the model does.
-spec agrees(bets:type(), [op()]) -> boolean().
agrees(Type, Ops) ->
    Tab = ets:new(model, [Type]),
    {Answers, _} = lists:mapfoldl(fun step/2, new(Type), Ops),
    Real = [apply_to(bets_diff_oracle, Tab, Op) || Op <- Ops],
    ets:delete(Tab),
    Answers =:= Real.
