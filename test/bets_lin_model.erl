%% A table of type set with keypos 1 as a pure function: what each operation answers when nothing else is going on.
%% The checker of histories searches with it; its own check is a comparison with `ets' (`agrees/2').
%%
%% Keys are compared exactly. Arguments are valid: what a wrong argument answers is the affair of `bets_diff'.
-module(bets_lin_model).

-export([new/0, step/2, apply_to/3, agrees/1]).

-type model() :: #{term() => tuple()}.
-type op() :: {insert, tuple() | [tuple()]} | {insert_new, tuple() | [tuple()]} | {lookup, term()} | {member, term()}
            | {take, term()} | {delete, term()} | {delete_object, tuple()} | delete_all_objects
            | {update_counter, term(), integer()} | {update_counter, term(), integer(), tuple()}
            | {update_element, term(), {2, term()}}.
-export_type([model/0, op/0]).

-spec new() -> model().
new() -> #{}.

%% The answer and the table after it.
-spec step(op(), model()) -> {term(), model()}.
step({insert, Objects}, M) when is_list(Objects) -> {true, put_all(Objects, M)};
step({insert, Object}, M) -> {true, put_all([Object], M)};
step({insert_new, Objects}, M) when is_list(Objects) ->
    case [O || O <- Objects, is_map_key(element(1, O), M)] of
        [] -> {true, put_all(Objects, M)};
        _ -> {false, M}
    end;
step({insert_new, Object}, M) -> step({insert_new, [Object]}, M);
step({lookup, Key}, M) -> {found(Key, M), M};
step({member, Key}, M) -> {is_map_key(Key, M), M};
step({take, Key}, M) -> {found(Key, M), maps:remove(Key, M)};
step({delete, Key}, M) -> {true, maps:remove(Key, M)};
step({delete_object, Object}, M) ->
    case found(element(1, Object), M) of
        [Object] -> {true, maps:remove(element(1, Object), M)};
        _ -> {true, M}
    end;
step(delete_all_objects, _M) -> {true, #{}};
step({update_counter, Key, Incr}, M) ->
    case M of
        #{Key := Object} -> count(Key, Object, Incr, M);
        _ -> {badarg, M}
    end;
step({update_counter, Key, Incr, Default}, M) ->
    count(Key, maps:get(Key, M, setelement(1, Default, Key)), Incr, M);
step({update_element, Key, {2, Value}}, M) ->
    case M of
        #{Key := Object} -> {true, M#{Key := setelement(2, Object, Value)}};
        _ -> {false, M}
    end.

count(Key, {_, N}, Incr, M) when is_integer(N) -> {N + Incr, M#{Key => {Key, N + Incr}}}.

found(Key, M) ->
    case M of
        #{Key := Object} -> [Object];
        _ -> []
    end.

put_all(Objects, M) -> lists:foldl(fun(Object, Acc) -> Acc#{element(1, Object) => Object} end, M, Objects).

%% Does the operation on a real table; `badarg' stands for that exception.
-spec apply_to(module(), term(), op()) -> term().
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
-spec agrees([op()]) -> boolean().
agrees(Ops) ->
    Tab = ets:new(model, []),
    {Answers, _} = lists:mapfoldl(fun step/2, new(), Ops),
    Real = [apply_to(ets, Tab, Op) || Op <- Ops],
    ets:delete(Tab),
    Answers =:= Real.
