%% Random specifications on random tables, on ets and on bets, with and without filters.
-module(prop_match).

-include_lib("proper/include/proper.hrl").

-export([
    prop_select/0, prop_bound/0, prop_ranges/0, prop_filters_change_nothing/0, prop_chunks/0, prop_count/0, prop_delete/0, prop_replace/0
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
        {3, oneof([0, 1, -1, 2, 1.0, 63, 64, 1 bsl 63, -(1 bsl 63), 1 bsl 64, a, b, <<"b">>, [], {{a, 1}}, '_', '$$'])}
    ]).

comparison() -> {operator(), operand(), operand()}.

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

%% A table and a specification. Most are made of an object of the table, so that they match it or nearly do: terms that have nothing to do
%% with each other seldom reach the guards.
given() ->
    ?LET({_Type, Keypos, Objects} = Table, table(), {Table, frequency([{1, spec()} | [{3, near(Keypos, Objects)} || Objects =/= []]])}).

near(Keypos, Objects) ->
    frequency([{4, [near_clause(Keypos, Objects)]}, {1, [near_clause(Keypos, Objects), near_clause(Keypos, Objects)]}, {1, [near_clause(Keypos, Objects), clause()]}]).

near_clause(Keypos, Objects) ->
    ?LET(Object, oneof(Objects), begin
        Size = tuple_size(Object),
        Parts = [
            frequency([{3, list_to_atom([$$ | integer_to_list(Position)])}, {1, '_'}, {1, element(Position, Object)}])
         || Position <- lists:seq(1, Size)
        ],
        ?LET(
            Pattern,
            frequency([{6, ?LET(Kept, Parts, list_to_tuple(Kept))}, {1, '$1'}, {1, '_'}]),
            {Pattern, list_of_few(near_guard(Pattern, Keypos, Object)), [frequency([{3, '$_'}, {1, '$$'}, {1, body()}])]}
        )
    end).

%% A comparison of an element, most often the key, with what is in the object there, a neighbour of that, or any term.
near_guard(Pattern, Keypos, Object) ->
    ?LET(Position, frequency([{1, Keypos}, {1, range(1, tuple_size(Object))}]), begin
        Element = element(Position, Object),
        Named = [list_to_atom([$$ | integer_to_list(Position)]) || is_tuple(Pattern)],
        Constant = frequency([{2, Element}, {2, neighbour(Element)}, {1, small()}]),
        Left = oneof([{element, Position, '$_'} | Named]),
        frequency([
            {3, {operator(), Left, {const, Constant}}},
            {1, {operator(), {const, Constant}, Left}},
            {1, {'andalso', {oneof(['>', '>=']), Left, {const, Constant}}, {oneof(['<', '=<']), Left, {const, Constant}}}}
        ])
    end).

neighbour(Number) when is_integer(Number) -> oneof([Number - 1, Number + 1, float(Number)]);
neighbour(Number) when is_float(Number) -> oneof([trunc(Number), trunc(Number) + 1, trunc(Number) - 1]);
neighbour(Atom) when is_atom(Atom) -> oneof(['', a, aa, b, zz]);
neighbour(Binary) when is_bitstring(Binary) -> oneof([<<>>, <<"a">>, <<"b", 0>>, <<1:3>>]);
neighbour(_Term) -> small().

operator() -> oneof(['<', '=<', '>', '>=', '==', '=:=', '/=', '=/=']).

%% ---------------------------------------------------------------- properties

prop_select() ->
    ?FORALL({Table, Spec}, given(), both(Table, fun(M, T) -> ordered(M, T, call(M, select, [T, Spec])) end)).

%% Guards on keys, with constants that are keys as often as not. In an ordered_set they are bounds.
prop_ranges() ->
    ?FORALL(
        {{Type, Keypos, Keys}, Clauses},
        ?LET(
            Keypos,
            oneof([1, 2]),
            {
                {oneof([set, ordered_set]), Keypos, ?LET(N, range(3, 15), vector(N, edge()))},
                frequency([{4, [between(Keypos)]}, {1, [between(Keypos), between(Keypos)]}])
            }
        ),
        both({Type, Keypos, [placed(Keypos, Key, N) || {N, Key} <- lists:zip(lists:seq(1, length(Keys)), Keys)]}, fun(M, T) ->
            Chunks = case call(M, select, [T, Clauses, 2]) of {error, _} = Error -> Error; First -> lists:append(chunks(M, First)) end,
            [ordered(M, T, Chunks) | [ordered(M, T, call(M, Function, [T, Clauses])) || Function <- [select, select_reverse]]]
        end)
    ).

between(Keypos) ->
    ?LET(Guards, oneof([[bounding()], [bounding(), bounding()]]), {placed(Keypos, '$1', '_'), Guards, [oneof(['$_', '$1', '$$', true])]}).

placed(1, Key, Other) -> {Key, Other};
placed(2, Key, Other) -> {Other, Key}.

bounding() -> oneof([{operator(), '$1', {const, edge()}}, {operator(), {const, edge()}, '$1'}]).

edge() ->
    oneof([
        -1, 0, 1, 1.0, 2, 2.0, 1.5, 3, 63, 64, zero(), -zero(), (1 bsl 63) - 1, 1 bsl 63, 9223372036854775808.0, -(1 bsl 63), -(1 bsl 63) - 1,
        a, b, <<>>, <<"a">>, <<"b">>, <<1:3>>, <<"b", 0>>, []
    ]).

%% Specifications that name a key: their results come another way.
prop_bound() ->
    ?FORALL(
        {{_Type, _Keypos, _Objects} = Table, Spec, Pattern},
        ?LET(
            {Type, Keypos, [_ | _] = Objects},
            ?SUCHTHAT({_, _, Objects}, table(), Objects =/= []),
            {{Type, Keypos, Objects}, [bound(Keypos, Objects)], ?LET({Pattern, _, _}, bound(Keypos, Objects), Pattern)}
        ),
        both(Table, fun(M, T) ->
            {
                ordered(M, T, call(M, select, [T, Spec])),
                call(M, select_count, [T, Spec]),
                ordered(M, T, call(M, match, [T, Pattern])),
                ordered(M, T, call(M, match_object, [T, Pattern]))
            }
        end)
    ).

bound(Keypos, Objects) ->
    ?LET(Object, oneof(Objects), begin
        Key = element(Keypos, Object),
        ?LET(
            {Parts, Bound},
            {[frequency([{3, variable()}, {1, exactly(Element)}]) || Element <- tuple_to_list(Object)], frequency([{4, exactly(Key)}, {1, neighbour(Key)}])},
            {setelement(Keypos, list_to_tuple(Parts), Bound), list_of_few(comparison()), [body()]}
        )
    end).

prop_filters_change_nothing() ->
    ?FORALL(
        {{Type, Keypos, Objects}, Spec},
        given(),
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
        {{Table, Spec}, Limit},
        {given(), range(1, 5)},
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
    ?FORALL({Table, Spec}, given(), both(Table, fun(M, T) -> call(M, select_count, [T, Spec]) end)).

prop_delete() ->
    ?FORALL(
        {Table, Spec},
        given(),
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
        given(),
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
