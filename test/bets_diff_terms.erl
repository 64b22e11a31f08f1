%% Keys and values that table libraries get wrong, and the comparison that tells them apart.
%%
%% `=:=' alone is too weak an oracle: up to OTP 26 it holds `0.0' and `-0.0' for the same term, so a
%% table that loses the sign would pass. `same/2' compares floats by their bits as well.
-module(bets_diff_terms).

-export([portable/0, all/0, is_local/1, is_far/1, negative_zero/0, same/2, same_bag/2, canonical/1, unsigned/1]).

%% Terms that mean the same in every VM that has this module loaded: fit for sequences with a kill.
%% Close relatives (1 and 1.0, "a" and <<"a">> ...) stand together on purpose. '$end_of_table' is not
%% among them: as a key it makes every traversal ambiguous, in ets too.
-spec portable() -> [term()].
portable() ->
    case persistent_term:get({?MODULE, portable}, undefined) of
        undefined ->
            Terms = make_portable(),
            persistent_term:put({?MODULE, portable}, Terms),
            Terms;
        Terms ->
            Terms
    end.

%% The portable terms and those that live only as long as this VM: its pids, references and ports.
-spec all() -> [term()].
all() ->
    case persistent_term:get({?MODULE, all}, undefined) of
        undefined ->
            Terms = local() ++ portable(),
            persistent_term:put({?MODULE, all}, Terms),
            Terms;
        Terms ->
            Terms
    end.

%% The compiler of OTP 25 takes a -0.0 that it can see for 0.0, and so does a table of literals.
-spec negative_zero() -> float().
negative_zero() -> binary_to_term(<<131, 70, 1:1, 0:63>>).

make_portable() ->
    Big = 1 bsl 64,
    [1, 1.0, 0, 0.0, negative_zero(), -1, -1.0,
     1 bsl 53, float(1 bsl 53), (1 bsl 53) + 1, 1 bsl 59, 1 bsl 60, -(1 bsl 60), Big, Big + 1,
     float(Big), -Big, 1 bsl 700, 1.7976931348623157e308, 5.0e-324,
     a, 'A', '', undefined, '_', '$1', [], {}, #{},
     "a", <<"a">>, 'Ω', <<"Ω"/utf8>>, <<>>, <<1:1>>, <<1:7>>, <<0:9>>, binary:copy(<<"k">>, 300),
     {1}, {1.0}, {1, a}, {1, {a, [1.0]}}, [1], [1.0], [1 | 2], [1 | 2.0], [a, b | c],
     #{1 => a}, #{1.0 => a}, #{a => 1}, #{a => 1.0}, #{a => negative_zero()}, #{{} => #{}},
     maps:from_list([{I, I} || I <- lists:seq(1, 40)]),
     fun lists:map/2, fun erlang:node/0, closure(1), closure(1.0),
     far_pid(1), far_pid(2), far_ref(1), far_port(1)].

local() ->
    [self(), whereis(init), make_ref(), make_ref(), {self(), make_ref()}, local_port(),
     [whereis(code_server)], #{whereis(init) => make_ref()}].

%% True for an identifier of this node.
-spec is_local(term()) -> boolean().
is_local(Term) -> is_identifier(Term) andalso node(Term) =:= node().

%% True for an identifier of the node that is not there.
-spec is_far(term()) -> boolean().
is_far(Term) -> is_identifier(Term) andalso node(Term) =/= node().

is_identifier(Term) -> is_pid(Term) orelse is_reference(Term) orelse is_port(Term).

local_port() ->
    case erlang:ports() of
        [Port | _] -> Port;
        [] -> make_ref()
    end.

closure(X) -> fun(Y) -> {X, Y} end.

%% Identifiers of a node that is not there, built from the external format: they are the same
%% terms in every VM.
far_pid(N) -> binary_to_term(<<131, 88, (far_node())/binary, N:32, 0:32, 7:32>>).
far_ref(N) -> binary_to_term(<<131, 90, 3:16, (far_node())/binary, 7:32, N:32, 2:32, 3:32>>).
far_port(N) -> binary_to_term(<<131, 89, (far_node())/binary, N:32, 7:32>>).

far_node() -> <<119, 8, "far@away">>.

%% True if both terms are equal to the last bit.
-spec same(term(), term()) -> boolean().
same(A, B) -> A =:= B andalso canonical(A) =:= canonical(B).

%% `same/2' for lists whose order carries no meaning.
-spec same_bag([term()], [term()]) -> boolean().
same_bag(As, Bs) when is_list(As), is_list(Bs) ->
    lists:sort(canonical(As)) =:= lists:sort(canonical(Bs));
same_bag(A, B) ->
    same(A, B).

%% The canonical term in which zeros have the same sign if they are the same term to this OTP, as they are up to OTP 26.
-spec unsigned(term()) -> term().
unsigned(Term) ->
    case binary_to_term(<<131, 70, 0:64>>) =:= negative_zero() of
        true -> without_signs(Term);
        false -> canonical(Term)
    end.

without_signs(F) when is_float(F), F == 0.0 -> {'$float', zero};
without_signs(T) when is_tuple(T) -> list_to_tuple([without_signs(E) || E <- tuple_to_list(T)]);
without_signs([H | T]) -> [without_signs(H) | without_signs(T)];
without_signs(M) when is_map(M) -> maps:from_list([{without_signs(K), without_signs(V)} || {K, V} <- maps:to_list(M)]);
without_signs(T) -> canonical(T).

%% The term with every float replaced by its bits: `=:=' on canonical terms is identity, and their
%% sort order never takes an integer for a float.
-spec canonical(term()) -> term().
canonical(F) when is_float(F) -> {'$float', <<F/float>>};
canonical(T) when is_tuple(T) -> list_to_tuple([canonical(E) || E <- tuple_to_list(T)]);
canonical([H | T]) -> [canonical(H) | canonical(T)];
canonical(M) when is_map(M) -> maps:from_list([{canonical(K), canonical(V)} || {K, V} <- maps:to_list(M)]);
canonical(T) -> T.
