%% The codec against the VM: its comparison is the oracle for the numeric form; for the exact form, and for the keys of maps,
%% `compare/3` refines it.
-module(prop_codec).

-include_lib("proper/include/proper.hrl").

-export([
    prop_numeric_order/0,
    prop_exact_order/0,
    prop_key_returns/0,
    prop_object_returns/0,
    prop_object_is_canonical/0,
    prop_elements_are_read_and_replaced/0,
    prop_damage_is_an_error/0,
    compare/3,
    forms/0,
    any_term/0
]).

%% The forms of this release: exact and numeric.
forms() ->
    case zeros_equal() of
        true -> {1, 3};
        false -> {2, 4}
    end.

zeros_equal() ->
    binary_to_term(<<131, 70, 0:64>>) =:= binary_to_term(<<131, 70, 128, 0:56>>).

prop_numeric_order() ->
    {_, Numeric} = forms(),
    ?FORALL(
        {A, B},
        pair(),
        begin
            Expected = vm_compare(A, B),
            ?WHENFAIL(
                io:format("~w~n~w~nexpected ~w~n~w~n~w~n", [A, B, Expected, key(A, Numeric), key(B, Numeric)]),
                Expected =:= compare_keys(A, B, Numeric) andalso Expected =:= compare(numeric, A, B)
            )
        end
    ).

prop_exact_order() ->
    {Exact, _} = forms(),
    ?FORALL(
        {A, B},
        pair(),
        begin
            Expected = compare(exact, A, B),
            ?WHENFAIL(
                io:format("~w~n~w~nexpected ~w~n~w~n~w~n", [A, B, Expected, key(A, Exact), key(B, Exact)]),
                (Expected =:= equal) =:= (A =:= B) andalso Expected =:= compare_keys(A, B, Exact)
            )
        end
    ).

prop_key_returns() ->
    ?FORALL(
        {T, Form},
        {any_term(), range(1, 4)},
        begin
            {Compared, Bytes} = bets_nif:key_encode(T, Form),
            Back = bets_nif:key_decode(Bytes),
            ?WHENFAIL(
                io:format("~w~n~w~n~w~n", [T, Bytes, Back]),
                same_form(T, Back) andalso Compared =< byte_size(Bytes)
            )
        end
    ).

prop_object_returns() ->
    ?FORALL(
        {Before, Key, After},
        {resize(6, list(any_term())), any_term(), resize(6, list(any_term()))},
        begin
            Object = list_to_tuple(Before ++ [Key | After]),
            Keypos = length(Before) + 1,
            Back = bets_nif:object_decode(Key, Keypos, bets_nif:object_encode(Object, Keypos)),
            ?WHENFAIL(io:format("~w~n~w~n", [Object, Back]), same_form(Object, Back))
        end
    ).

prop_object_is_canonical() ->
    ?FORALL(
        {A, B},
        pair(),
        begin
            Bytes = [bets_nif:object_encode({k, T}, 1) || T <- [A, B, rebuilt(A)]],
            [BytesA, BytesB, BytesRebuilt] = Bytes,
            ?WHENFAIL(
                io:format("~w~n~w~n~w~n", [A, B, Bytes]),
                (not same_form(A, B) orelse BytesA =:= BytesB) andalso
                    (A =:= B orelse BytesA =/= BytesB) andalso
                    BytesRebuilt =:= BytesA
            )
        end
    ).

prop_elements_are_read_and_replaced() ->
    ?FORALL(
        {Elements, New, A, B},
        {non_empty(resize(6, list(any_term()))), any_term(), non_neg_integer(), non_neg_integer()},
        begin
            Object = list_to_tuple(Elements),
            Keypos = A rem tuple_size(Object) + 1,
            Key = element(Keypos, Object),
            Bytes = bets_nif:object_encode(Object, Keypos),
            case B rem tuple_size(Object) + 1 of
                Keypos ->
                    decodes_or_fails(fun() -> bets_nif:object_element(Bytes, Keypos, Keypos) end);
                Pos ->
                    Changed = bets_nif:object_replace(Bytes, Keypos, Pos, New),
                    same_form(element(Pos, Object), bets_nif:object_element(Bytes, Keypos, Pos)) andalso
                        same_form(setelement(Pos, Object, New), bets_nif:object_decode(Key, Keypos, Changed)) andalso
                        Changed =:= bets_nif:object_encode(setelement(Pos, Object, New), Keypos)
            end
        end
    ).

prop_damage_is_an_error() ->
    ?FORALL(
        {T, Where, Byte, Cut},
        {any_term(), non_neg_integer(), byte(), boolean()},
        begin
            {_, Key} = bets_nif:key_encode(T, 3),
            Object = bets_nif:object_encode({k, T}, 1),
            decodes_or_fails(fun() -> bets_nif:key_decode(damaged(Key, Where, Byte, Cut)) end) andalso
                decodes_or_fails(fun() -> bets_nif:object_decode(k, 1, damaged(Object, Where, Byte, Cut)) end)
        end
    ).

decodes_or_fails(Decode) ->
    try Decode() of
        _ -> true
    catch
        error:_ -> true
    end.

damaged(Bytes, Where, Byte, Cut) ->
    Place = Where rem byte_size(Bytes),
    <<Before:Place/binary, _, After/binary>> = Bytes,
    case Cut of
        true -> Before;
        false -> <<Before/binary, Byte, After/binary>>
    end.

%%% Order.

key(T, Form) ->
    {Compared, Bytes} = bets_nif:key_encode(T, Form),
    binary:part(Bytes, 0, Compared).

compare_keys(A, B, Form) ->
    {KeyA, KeyB} = {key(A, Form), key(B, Form)},
    Common = min(byte_size(KeyA), byte_size(KeyB)),
    Order = vm_compare(KeyA, KeyB),
    case Order of
        equal -> equal;
        %% No compared part is a prefix of another.
        _ when binary_part(KeyA, 0, Common) =:= binary_part(KeyB, 0, Common) -> prefix;
        _ -> Order
    end.

vm_compare(A, B) when A < B -> less;
vm_compare(A, B) when A > B -> greater;
vm_compare(_, _) -> equal.

%% The order of terms in a mode: `numeric`, where equal numbers are equal; `exact`, where the integer of two equal numbers is
%% nearer to zero; `map_key`, where every integer comes before every float.
compare(numeric, A, B) when is_number(A), is_number(B) ->
    vm_compare(A, B);
compare(map_key, A, B) when is_integer(A), is_float(B) ->
    less;
compare(map_key, A, B) when is_float(A), is_integer(B) ->
    greater;
compare(_, A, B) when is_number(A), is_number(B) ->
    case vm_compare(A, B) of
        equal when A =:= B -> equal;
        equal -> vm_compare(rank(A), rank(B));
        Order -> Order
    end;
compare(Mode, A, B) when is_tuple(A), is_tuple(B), tuple_size(A) =:= tuple_size(B) ->
    compare_all(Mode, tuple_to_list(A), tuple_to_list(B));
compare(Mode, [A | As], [B | Bs]) ->
    case compare(Mode, A, B) of
        equal -> compare(Mode, As, Bs);
        Order -> Order
    end;
compare(Mode, A, B) when is_map(A), is_map(B), map_size(A) =:= map_size(B) ->
    {KeysA, KeysB} = {sorted_keys(A), sorted_keys(B)},
    case compare_all(map_key, KeysA, KeysB) of
        equal -> compare_all(Mode, [map_get(K, A) || K <- KeysA], [map_get(K, B) || K <- KeysB]);
        Order -> Order
    end;
compare(_, A, B) ->
    vm_compare(A, B).

compare_all(Mode, [A | As], [B | Bs]) ->
    case compare(Mode, A, B) of
        equal -> compare_all(Mode, As, Bs);
        Order -> Order
    end;
compare_all(_, [], []) ->
    equal.

sorted_keys(Map) ->
    lists:sort(fun(A, B) -> compare(map_key, A, B) =/= greater end, maps:keys(Map)).

rank(N) when is_integer(N) -> 0;
rank(F) ->
    <<Sign:1, _:63>> = <<F/float>>,
    case F == 0 andalso zeros_equal() of
        true -> 1;
        false -> 1 - 2 * Sign
    end.

%%% Form: what `=:=` does not see.

same_form(A, B) ->
    A =:= B andalso io_lib:format("~w", [normal(A)]) =:= io_lib:format("~w", [normal(B)]).

%% Maps of many keys have no order of their own.
normal(Map) when is_map(Map) ->
    {map, [{normal(K), normal(V)} || {K, V} <- lists:sort(maps:to_list(Map))]};
normal([H | T]) ->
    [normal(H) | normal(T)];
normal(Tuple) when is_tuple(Tuple) ->
    list_to_tuple([normal(E) || E <- tuple_to_list(Tuple)]);
normal(T) ->
    T.

%% The same term, put together in another way.
rebuilt(Map) when is_map(Map) ->
    lists:foldl(
        fun({K, V}, M) -> M#{rebuilt(K) => rebuilt(V)} end,
        #{},
        lists:reverse(maps:to_list(Map))
    );
rebuilt([H | T]) ->
    [rebuilt(H) | rebuilt(T)];
rebuilt(Tuple) when is_tuple(Tuple) ->
    list_to_tuple([rebuilt(E) || E <- tuple_to_list(Tuple)]);
rebuilt(Bits) when is_bitstring(Bits) ->
    <<_:3, Again/bitstring>> = <<5:3, Bits/bitstring>>,
    Again;
rebuilt(T) ->
    T.

%%% Terms.

%% Two terms that are often near each other.
pair() ->
    oneof([
        {any_term(), any_term()},
        ?LET(T, any_term(), {T, near(T)}),
        {any_number(), any_number()},
        {bits(), bits()},
        {identifier(), identifier()},
        {any_fun(), any_fun()},
        ?LET(T, any_atom(), {T, near(T)})
    ]).

near(N) when is_integer(N) ->
    oneof([N, N + 1, N - 1, -N | [float(N) || abs(N) < 1 bsl 1000]]);
near(N) when is_float(N) ->
    <<Bits:64>> = <<N/float>>,
    oneof([N, trunc(N), trunc(N) + 1, -N | [F || D <- [1, -1], F <- floats(Bits + D)]]);
near(A) when is_atom(A) ->
    oneof([A | [list_to_atom(atom_to_list(A) ++ [C]) || length(atom_to_list(A)) < 255, C <- [0, 1, $a]]]);
near(Bits) when is_bitstring(Bits) ->
    oneof([Bits, <<Bits/bitstring, 0:1>>, <<Bits/bitstring, 0>>, <<Bits/bitstring, 1:1>>]);
near([H | T]) ->
    ?LET({H1, T1}, {near(H), near(T)}, oneof([[H1 | T], [H | T1], [H, H1 | T]]));
near({}) ->
    {};
near(Tuple) when is_tuple(Tuple) ->
    ?LET(
        I,
        range(1, tuple_size(Tuple)),
        ?LET(E, near(element(I, Tuple)), setelement(I, Tuple, E))
    );
near(Map) when is_map(Map), map_size(Map) > 0 ->
    ?LET(
        {K, V},
        oneof(maps:to_list(Map)),
        ?LET({K1, V1}, {near(K), near(V)}, oneof([Map#{K := V1}, (maps:remove(K, Map))#{K1 => V}]))
    );
near(T) ->
    exactly(T).

floats(Bits) ->
    try
        <<F/float>> = <<Bits:64>>,
        [F]
    catch
        error:_ -> []
    end.

any_term() ->
    ?SIZED(Size, any_term(Size)).

any_term(0) ->
    leaf();
any_term(Size) ->
    Less = Size div 4,
    Part = ?LAZY(any_term(Less)),
    Parts = resize(Less + 2, list(Part)),
    frequency([
        {6, leaf()},
        {2, ?LET(L, Parts, list_to_tuple(L))},
        {2, Parts},
        {1, ?LET({L, T}, {non_empty(Parts), leaf()}, lists:foldr(fun(H, A) -> [H | A] end, T, L))},
        {2, ?LET(L, resize(Less + 2, list({Part, Part})), maps:from_list(L))},
        {1, ?LET({F, L}, {leaf(), range(0, 100)}, maps:from_list([{{I, F}, F} || I <- lists:seq(1, L)]))},
        {1, ?LET(L, range(0, 100), maps:from_list([{numbered(I), I} || I <- lists:seq(1, L)]))},
        {1, ?LET(T, Part, fun_over(T))}
    ]).

numbered(I) when I rem 3 =:= 0 -> float(I);
numbered(I) when I rem 3 =:= 1 -> I;
numbered(I) -> {I, -I / 1}.

leaf() ->
    frequency([
        {6, any_number()},
        {4, bits()},
        {4, any_atom()},
        {1, []},
        {1, {}},
        {1, identifier()},
        {1, any_fun()}
    ]).

any_fun() ->
    oneof([
        oneof([fun lists:map/2, fun lists:map/3, fun lists:nth/2, fun erlang:self/0, fun local/1]),
        ?LET(T, any_atom(), fun_over(T)),
        ?LET(T, {any_atom(), any_atom()}, fun_over(T))
    ]).

local(X) -> X.

%% Comparison of environments is that of the VM, so what is in them must not tell numbers apart.
fun_over(T) ->
    case has_number(T) of
        true -> fun() -> fun_over end;
        false -> oneof([fun() -> T end, fun(X) -> {X, T} end])
    end.

has_number(T) -> re:run(io_lib:format("~w", [T]), "[0-9]", [{capture, none}]) =:= match.

any_number() ->
    oneof([
        integer(),
        float(),
        oneof([0.0, -0.0, 0, 1, 1.0, -1, -1.0]),
        ?LET({P, D}, {range(0, 1100), range(-2, 2)}, (1 bsl P) + D),
        ?LET({P, D}, {range(0, 1100), range(-2, 2)}, -(1 bsl P) + D),
        ?LET({P, D}, {range(0, 1023), range(-2, 2)}, trunc(math:pow(2, P)) + D),
        ?LET({P, S}, {range(-1074, 1023), oneof([1, -1])}, S * math:pow(2, P)),
        ?LET(Bits, range(0, (1 bsl 64) - 1), hd(floats(Bits) ++ [1.5])),
        ?LET({B, S}, {binary(), oneof([1, -1])}, S * binary:decode_unsigned(<<0, B/binary>>)),
        oneof([9007199254740993, 9007199254740992.0, 1.0e300, trunc(1.0e300), 5.0e-324, 1.7976931348623157e308])
    ]).

bits() ->
    oneof([
        bitstring(),
        binary(),
        ?LET(L, list(range(0, 3)), list_to_binary(L)),
        ?LET({L, B, N}, {list(range(0, 3)), range(0, 127), range(1, 7)}, <<(list_to_binary(L))/binary, B:N>>),
        ?LET({N, T}, {range(60, 200), oneof([<<>>, <<1>>, <<255>>, <<0:1>>])}, <<0:(N * 8), T/bitstring>>)
    ]).

any_atom() ->
    oneof([
        oneof([a, b, aa, ab, '', true, undefined]),
        ?LET(Chars, resize(6, list(character())), list_to_atom(Chars))
    ]).

character() ->
    oneof([range(0, 3), range($a, $c), range(128, 255), range(16#3B1, 16#3C9), 16#FFFF, 16#10000, 16#10FFFF]).

%% The names of other nodes sort behind this one's, as local identifiers sort before all others.
identifier() ->
    oneof([
        exactly(self()),
        ?LAZY(make_ref()),
        ?LAZY(spawn(fun() -> ok end)),
        ?LAZY(oneof(erlang:ports())),
        ?LAZY(alias()),
        ?LET(
            {Node, Id, Serial, Creation},
            {node_name(), small(), small(), range(1, 3)},
            binary_to_term(<<131, 88, Node/binary, Id:32, Serial:32, Creation:32>>)
        ),
        ?LET(
            {Node, Id, Creation},
            {node_name(), small(), range(1, 3)},
            binary_to_term(<<131, 89, Node/binary, Id:32, Creation:32>>)
        ),
        ?LET(
            {Node, Words, Creation},
            {node_name(), vector(3, small()), range(1, 3)},
            binary_to_term(<<131, 90, 3:16, Node/binary, Creation:32, <<<<W:32>> || W <- Words>>/binary>>)
        )
    ]).

small() -> range(0, 3).

node_name() ->
    oneof([<<119, (byte_size(N)), N/binary>> || N <- [<<"z@h">>, <<"zz@h">>, <<"z@i">>]]).
