%% Random specifications on random tables, on ets and on bets, with and without filters.
-module(prop_match).

-include_lib("proper/include/proper.hrl").

-export([
    prop_select/0, prop_filters_change_nothing/0, prop_chunks/0, prop_count/0, prop_delete/0, prop_replace/0
]).

%% ---------------------------------------------------------------- generators

%% Few terms, so that patterns meet objects; numbers that are == and not =:=, zeros of both signs, maps, odd sizes.
small() ->
    oneof([
        0, 1, -1, 1.0, 2, 2.0, zero(), -zero(), 63, 64, -64, 300, 1 bsl 62, 1 bsl 63, -(1 bsl 63), 1 bsl 64, 18446744073709551616.0, 1.5, a, b, true, '',
        <<>>, <<"b">>, <<1:3>>, [], [a], [1], [1.0], "ab", {}, {a}, {1}, {1.0}, {a, 1}, {a, [1]}, {b, 2}, #{}, #{a => 1}, #{a => 1, b => 2}, #{1 => a}, '$1', '_',
        binary:copy(<<"x">>, 70), lists:seq(1, 20), exactly([a | b])
    ]).

zero() -> binary_to_term(<<131, 70, 0:64>>).

object(Keypos) ->
    ?LET(Elements, ?LET(N, range(Keypos, 4), vector(N, small())), list_to_tuple(Elements)).

table() ->
    ?LET(
        {Type, Keypos},
        {oneof([set, ordered_set, bag, duplicate_bag]), oneof([1, 1, 2])},
        {Type, Keypos, list(object(Keypos))}
    ).

variable() -> oneof(['_', '$1', '$2', '$3', '$10']).

part() ->
    frequency([
        {4, variable()}, {4, small()}, {1, {part_of(), part_of()}}, {1, [part_of() | part_of()]}, {1, ?LET(P, part_of(), #{a => P})}
    ]).

part_of() -> oneof([variable(), small()]).

pattern() ->
    frequency([
        {1, variable()}, {8, ?LET(Parts, ?LET(N, range(1, 4), vector(N, part())), list_to_tuple(Parts))}, {1, small()}
    ]).

operand() ->
    frequency([
        {4, oneof(['$1', '$2', '$3'])}, {1, '$_'}, {1, {element, range(0, 5), oneof(['$_', '$1'])}}, {3, {const, small()}},
        {3, oneof([0, 1, -1, 2, 1.0, 63, 64, 1 bsl 63, -(1 bsl 63), 1 bsl 64, a, b, <<"b">>, [], {{a, 1}}])}
    ]).

comparison() -> {oneof(['<', '=<', '>', '>=', '==', '=:=', '/=', '=/=']), operand(), operand()}.

guard() ->
    frequency([
        {6, comparison()}, {1, {'andalso', comparison(), comparison()}}, {1, {'and', comparison(), comparison()}}, {1, {'orelse', comparison(), comparison()}},
        {1, {'not', comparison()}}, {1, {is_integer, operand()}}, {1, true}, {1, operand()}
    ]).

body() ->
    oneof([
        '$_', '$$', '$1', true, false, {{'$1', '$2'}}, {{'$1', {'+', '$2', 1}}}, {element, 2, '$_'}, comparison(), {{'$1', {const, new}}},
        {{{element, 1, '$_'}, '$2'}}, {{'$2', '$1'}}, {const, {1, 2}}
    ]).

spec() ->
    frequency([{6, [clause()]}, {2, [clause(), clause()]}, {1, [clause(), clause(), clause()]}]).

clause() -> {pattern(), list_of_few(guard()), [body()]}.

list_of_few(Generator) -> frequency([{3, []}, {4, [Generator]}, {1, [Generator, Generator]}]).

%% ---------------------------------------------------------------- properties

prop_select() ->
    ?FORALL({Table, Spec}, {table(), spec()}, both(Table, fun(M, T) -> ordered(M, T, call(M, select, [T, Spec])) end)).

prop_filters_change_nothing() ->
    ?FORALL(
        {{Type, Keypos, Objects}, Spec},
        {table(), spec()},
        begin
            T = table(bets, Type, Keypos, Objects),
            try
                lists:all(
                    fun(Direction) ->
                        same(text(bets_match:all(T, Spec, Direction, filter)), text(bets_match:all(T, Spec, Direction, no_filter)), Spec)
                    end,
                    [forward, backward]
                )
            after
                bets:delete(T)
            end
        end
    ).

prop_chunks() ->
    ?FORALL(
        {Table, Spec, Limit},
        {table(), spec(), range(1, 5)},
        both(Table, fun(M, T) ->
            case call(M, select, [T, Spec, Limit]) of
                {error, _} = Error -> Error;
                First -> ordered(M, T, lists:append(chunks(M, First)))
            end
        end)
    ).

chunks(_M, '$end_of_table') -> [];
chunks(_M, {Results, '$end_of_table'}) -> [Results];
chunks(M, {Results, Continuation}) -> [Results | chunks(M, M:select(Continuation))].

prop_count() ->
    ?FORALL({Table, Spec}, {table(), spec()}, both(Table, fun(M, T) -> call(M, select_count, [T, Spec]) end)).

prop_delete() ->
    ?FORALL(
        {Table, Spec},
        {table(), spec()},
        both(Table, fun(M, T) ->
            Deleted = call(M, select_delete, [T, true_of(Spec)]),
            {Deleted, M:info(T, size), ordered(M, T, M:tab2list(T))}
        end)
    ).

%% Most bodies are `true', or little would be deleted.
true_of(Spec) -> [{Pattern, Guards, case Body of ['$_'] -> [true]; ['$1'] -> [true]; _ -> Body end} || {Pattern, Guards, Body} <- Spec].

prop_replace() ->
    ?FORALL(
        {Table, Spec},
        {table(), spec()},
        both(Table, fun(M, T) ->
            Replaced = call(M, select_replace, [T, Spec]),
            {Replaced, M:info(T, size), ordered(M, T, M:tab2list(T))}
        end)
    ).

both({Type, Keypos, Objects}, Fun) ->
    [Ets, Bets] = [
        begin
            T = table(M, Type, Keypos, Objects),
            try Fun(M, T) after M:delete(T) end
        end
     || M <- [ets, bets]
    ],
    same(Ets, Bets, {Type, Keypos}).

same(Same, Same, _What) -> true;
same(A, B, What) ->
    io:format("~p~n~p~n~p~n", [What, A, B]),
    false.

%% One by one: lists into bags of OTP 25 come out reversed.
table(M, Type, Keypos, Objects) ->
    T = M:new(prop_match, [Type, public, {keypos, Keypos}]),
    [M:insert(T, Object) || Object <- Objects],
    T.

call(M, Function, Args) ->
    try
        apply(M, Function, Args)
    catch
        error:Reason -> {error, Reason}
    end.

text({ok, Results}) -> [io_lib:format("~w", [Result]) || Result <- Results];
text(Failure) -> Failure.

%% Results as text, which tells zeros apart; in the table's order where there is one.
ordered(M, T, Results) when is_list(Results) ->
    Texts = [lists:flatten(io_lib:format("~w", [Result])) || Result <- Results],
    case M:info(T, type) of
        ordered_set -> Texts;
        _ -> lists:sort(Texts)
    end;
ordered(_M, _T, Other) ->
    Other.
