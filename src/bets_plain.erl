%% @private
%% Plain specifications: of one clause, with a pattern of constants and variables, guards that compare them, and an object or elements of it as result.
%%
%% They say by their looks that they compile and what they give. So they are not compiled, and their results are not copied, which is what
%% `ets:match_spec_run/2' does even with whole objects. What is not sure here is not plain: floats, of which zeros are alike and not the same, among it.
-module(bets_plain).

-export([gives_all/1, plan/1, results/3, without/3]).

-export_type([plan/0]).

-opaque plan() :: {Size :: non_neg_integer(), [check()], [guard()], Wanted :: wanted()} | everything.

-type check() :: {pos_integer(), {is, term()} | {tuple, non_neg_integer(), [check()]}}.
-type guard() :: {Op :: atom(), operand(), operand()}.
-type operand() :: {at, pos_integer()} | {is, term()}.
-type wanted() :: object | true | pos_integer() | [pos_integer()].

%% What to do for a specification, or `none' if it is not plain.
-spec plan(term()) -> plan() | none.
plan([{Pattern, Guards, [Result]}]) when is_tuple(Pattern), is_list(Guards) ->
    case elements(tuple_size(Pattern), Pattern, [], []) of
        {Checks, Variables} -> planned(tuple_size(Pattern), Checks, guards(Guards, Variables), wanted(Result, Variables));
        none -> none
    end;
plan(_Spec) ->
    none.

planned(_Size, _Checks, none, _Wanted) -> none;
planned(_Size, _Checks, _Guards, none) -> none;
planned(Size, Checks, Guards, Wanted) -> {Size, Checks, Guards, Wanted}.

%% The constants of a pattern, and its variables with their positions, if none of them stands there twice.
elements(0, _Pattern, Checks, Variables) ->
    {Checks, Variables};
elements(Position, Pattern, Checks, Variables) ->
    Term = element(Position, Pattern),
    case Term =/= '_' andalso is_variable(Term) of
        false when Term =:= '_' ->
            elements(Position - 1, Pattern, Checks, Variables);
        true ->
            case lists:keymember(Term, 1, Variables) of
                false -> elements(Position - 1, Pattern, Checks, [{Term, Position} | Variables]);
                true -> none
            end;
        false ->
            case check(Term) of
                none -> none;
                Check -> elements(Position - 1, Pattern, [{Position, Check} | Checks], Variables)
            end
    end.

check(Tuple) when is_tuple(Tuple) ->
    case elements(tuple_size(Tuple), Tuple, [], []) of
        {Checks, []} -> {tuple, tuple_size(Tuple), Checks};
        _ -> none
    end;
check(Term) ->
    constant(Term).

constant(Term) when is_integer(Term); is_binary(Term) ->
    {is, Term};
constant(Atom) when is_atom(Atom) ->
    case bets_spec:is_constant_atom(Atom) of
        true -> {is, Atom};
        false -> none
    end;
constant(_Term) ->
    none.

%% Those whose order as atoms is that of their numbers.
is_variable('$1') -> true;
is_variable('$2') -> true;
is_variable('$3') -> true;
is_variable('$4') -> true;
is_variable('$5') -> true;
is_variable('$6') -> true;
is_variable('$7') -> true;
is_variable('$8') -> true;
is_variable('$9') -> true;
is_variable(_) -> false.

%% Comparisons, which do not fail whatever they compare.
guards([{Op, Left, Right} | Guards], Variables) ->
    case is_comparison(Op) andalso {operand(Left, Variables), operand(Right, Variables)} of
        {{_, _} = L, {_, _} = R} ->
            case guards(Guards, Variables) of
                none -> none;
                Others -> [{Op, L, R} | Others]
            end;
        _ ->
            none
    end;
guards([], _Variables) ->
    [];
guards(_Guards, _Variables) ->
    none.

is_comparison('=:=') -> true;
is_comparison('==') -> true;
is_comparison('<') -> true;
is_comparison('=<') -> true;
is_comparison('>') -> true;
is_comparison('>=') -> true;
is_comparison('=/=') -> true;
is_comparison('/=') -> true;
is_comparison(_) -> false.

operand({const, Term}, _Variables) ->
    {is, Term};
operand(Term, Variables) ->
    case lists:keyfind(Term, 1, Variables) of
        {_, Position} -> {at, Position};
        false -> constant(Term)
    end.

%% What to take of an object: all of it, an element, a list of elements; or `true'.
wanted(true, _Variables) ->
    true;
wanted('$_', _Variables) ->
    object;
wanted('$$', Variables) ->
    [Position || {_, Position} <- lists:keysort(1, Variables)];
wanted(Result, Variables) ->
    case lists:keyfind(Result, 1, Variables) of
        {_, Position} -> Position;
        false -> none
    end.

%% The same for objects of the right size whose keys are known to pass these tests of a filter.
%%
%% Atoms and bitstrings are equal to nothing else, so a comparison with one holds if the test does: of these, a filter's tests of the key decide all.
-spec without(plan(), pos_integer(), [{pos_integer(), Op :: atom(), term()}]) -> plan().
without({Size, Checks, Guards, Wanted}, Keypos, Tests) ->
    case {Checks, [Guard || Guard <- Guards, not is_tested(Guard, Keypos, Tests)], Wanted} of
        {[], [], object} -> everything;
        {_, Left, _} -> {Size, Checks, Left, Wanted}
    end.

is_tested({Op, {at, Keypos}, {is, Term}}, Keypos, Tests) when is_atom(Term); is_bitstring(Term) ->
    lists:member(Op, ['<', '=<', '>', '>=']) andalso lists:member({Keypos, Op, Term}, Tests);
is_tested(_Guard, _Keypos, _Tests) ->
    false.

%% Whether the objects themselves are the results, all of them.
-spec gives_all(plan()) -> boolean().
gives_all(Plan) -> Plan =:= everything.

%% The results of these objects, in their order, in front of others.
-spec results([tuple()], plan(), [term()]) -> [term()].
results(Objects, everything, Others) ->
    Objects ++ Others;
results([Object | Objects], {Size, Checks, Guards, Wanted} = Plan, Others) when tuple_size(Object) =:= Size ->
    case passes(Checks, Object) andalso holds(Guards, Object) of
        true -> [take(Wanted, Object) | results(Objects, Plan, Others)];
        false -> results(Objects, Plan, Others)
    end;
results([_ | Objects], Plan, Others) ->
    results(Objects, Plan, Others);
results([], _Plan, Others) ->
    Others.

passes([{Position, {is, Term}} | Checks], Object) ->
    element(Position, Object) =:= Term andalso passes(Checks, Object);
passes([{Position, {tuple, Size, Inner}} | Checks], Object) ->
    case element(Position, Object) of
        Tuple when tuple_size(Tuple) =:= Size -> passes(Inner, Tuple) andalso passes(Checks, Object);
        _ -> false
    end;
passes([], _Object) ->
    true.

holds([{Op, Left, Right} | Guards], Object) ->
    compare(Op, value(Left, Object), value(Right, Object)) andalso holds(Guards, Object);
holds([], _Object) ->
    true.

value({at, Position}, Object) -> element(Position, Object);
value({is, Term}, _Object) -> Term.

compare('=:=', Left, Right) -> Left =:= Right;
compare('==', Left, Right) -> Left == Right;
compare('<', Left, Right) -> Left < Right;
compare('=<', Left, Right) -> Left =< Right;
compare('>', Left, Right) -> Left > Right;
compare('>=', Left, Right) -> Left >= Right;
compare('=/=', Left, Right) -> Left =/= Right;
compare('/=', Left, Right) -> Left /= Right.

take(object, Object) -> Object;
take(true, _Object) -> true;
take(Position, Object) when is_integer(Position) -> element(Position, Object);
take(Positions, Object) -> [element(Position, Object) || Position <- Positions].
