%% The zeros. `0.0' and `-0.0' are the same term up to OTP 26, and two terms from OTP 27 on. A table keeps the rule of the OTP that it was
%% created under, whatever OTP it is opened with: here each table is made under one rule and under the other.
-module(bets_zero_tests).
%% PropEr first: both define ?LET, and EUnit gives way.
-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").

-define(TYPES, [set, ordered_set, bag, duplicate_bag]).

both_rules_test_() ->
    [
        {lists:flatten(io_lib:format("~s, ~s, zeros ~s", [Name, Type, Rule])), fun() -> Test(Rule, Type) end}
     || {Name, Types, Test} <- tests(), Type <- Types, Rule <- [equal, distinct]
    ].

tests() ->
    [
        {"insert and lookup", ?TYPES, fun keys/2},
        {"zeros inside a key", ?TYPES, fun inner_keys/2},
        {"insert_new, take, delete", ?TYPES, fun changes/2},
        {"update", [set, ordered_set], fun updates/2},
        {"delete_object", ?TYPES, fun delete_object/2},
        {"objects of a bag", [bag], fun objects/2},
        {"a pattern's key", ?TYPES, fun patterns/2},
        {"two keys in a specification", ?TYPES, fun two_keys/2},
        {"chunks", [bag, duplicate_bag], fun chunks/2},
        {"fold", [bag, duplicate_bag], fun folds/2},
        {"select_replace", [set, ordered_set, duplicate_bag], fun replaces/2},
        {"select_delete", ?TYPES, fun select_delete/2},
        {"replace_object", [set, ordered_set], fun replace_object/2}
    ].

keys(Rule, Type) ->
    with(Rule, Type, [{pos(), a}, {neg(), b}], fun(T) ->
        same(of_key(Rule, Type, [[{pos(), a}], [{neg(), b}]]), bets:tab2list(T)),
        {Pos, Neg} =
            case {are_one(Rule, Type), is_bag(Type)} of
                {true, true} -> {[{pos(), a}, {neg(), b}], [{pos(), a}, {neg(), b}]};
                {true, false} -> {[{neg(), b}], [{neg(), b}]};
                {false, _} -> {[{pos(), a}], [{neg(), b}]}
            end,
        same(Pos, bets:lookup(T, pos())),
        same(Neg, bets:lookup(T, neg())),
        ?assertEqual([], [Object || Type =/= ordered_set, Object <- bets:lookup(T, 0)])
    end).

inner_keys(Rule, Type) ->
    [
        with(Rule, Type, [{Key(pos()), a}, {Key(neg()), b}], fun(T) ->
            same(of_key(Rule, Type, [[{Key(pos()), a}], [{Key(neg()), b}]]), bets:tab2list(T))
        end)
     || Key <- [fun(Zero) -> {Zero} end, fun(Zero) -> [1 | Zero] end, fun(Zero) -> #{k => Zero} end]
    ].

changes(Rule, Type) ->
    with(Rule, Type, [{pos(), a}], fun(T) ->
        One = are_one(Rule, Type),
        ?assertEqual(One, bets:member(T, neg())),
        ?assertEqual(not One, bets:insert_new(T, {neg(), b})),
        same(case One of true -> [{pos(), a}]; false -> [{neg(), b}] end, bets:take(T, neg())),
        same([{pos(), a} || not One], bets:tab2list(T)),
        bets:insert(T, {pos(), a}),
        bets:delete(T, neg()),
        ?assertEqual(One, [] =:= bets:lookup(T, pos()))
    end).

updates(Rule, Type) ->
    with(Rule, Type, [{pos(), 1}], fun(T) ->
        case are_one(Rule, Type) of
            true ->
                ?assertEqual(2, bets:update_counter(T, neg(), 1)),
                ?assert(bets:update_element(T, neg(), {2, z})),
                same([{pos(), z}], bets:tab2list(T));
            false ->
                ?assertError(badarg, bets:update_counter(T, neg(), 1)),
                ?assertNot(bets:update_element(T, neg(), {2, z})),
                ?assertEqual(6, bets:update_counter(T, neg(), 1, {x, 5})),
                same([{neg(), 6}, {pos(), 1}], bets:tab2list(T))
        end,
        bets:insert(T, {k, pos()}),
        ?assert(bets:update_element(T, k, {2, neg()})),
        same([{k, neg()}], bets:lookup(T, k))
    end).

delete_object(Rule, Type) ->
    [
        with(Rule, Type, [Object(pos())], fun(T) ->
            bets:delete_object(T, Object(neg())),
            same([Object(pos()) || Rule =:= distinct], bets:tab2list(T)),
            bets:delete_object(T, Object(pos())),
            ?assertEqual([], bets:tab2list(T))
        end)
     || Object <- [fun(Zero) -> {Zero, a} end, fun(Zero) -> {k, Zero} end, fun(Zero) -> {k, #{a => [Zero]}} end]
    ].

objects(Rule, bag) ->
    with(Rule, bag, [{k, pos()}, {k, neg()}, {k, pos()}], fun(T) ->
        same([{k, pos()} | [{k, neg()} || Rule =:= distinct]], bets:lookup(T, k))
    end).

%% A constant in a pattern means itself, to the sign, under every OTP.
patterns(Rule, Type) ->
    with(Rule, Type, [{pos(), a}, {neg(), b}], fun(T) ->
        Pos = [{pos(), a} || is_bag(Type) orelse not are_one(Rule, Type)],
        same(Pos, bets:match_object(T, {pos(), '_'})),
        same([{neg(), b}], bets:match_object(T, {neg(), '_'})),
        ?assertEqual(length(Pos), bets:select_count(T, [{{pos(), '_'}, [], [true]}])),
        same([{neg(), b}], bets:select(T, [{{'$1', '$2'}, [{'==', '$2', b}], ['$_']}])),
        same({[{neg(), b}], '$end_of_table'}, bets:match_object(T, {neg(), '_'}, 5))
    end).

two_keys(Rule, Type) ->
    Spec = [{{pos(), '_'}, [], ['$_']}, {{neg(), '_'}, [], ['$_']}],
    with(Rule, Type, [{pos(), a}, {neg(), b}], fun(T) ->
        same(bets:tab2list(T), bets:select(T, Spec)),
        {Objects, '$end_of_table'} = bets:select(T, Spec, 5),
        same(bets:tab2list(T), Objects)
    end).

chunks(Rule, Type) ->
    Objects = [Object || N <- lists:seq(1, 10), Object <- [{pos(), N}, {neg(), -N}]],
    with(Rule, Type, [{other, 1}, {another, 1} | Objects], fun(T) ->
        [same(bets:tab2list(T), in_chunks(bets:select(T, [{'_', [], ['$_']}], Limit))) || Limit <- [1, 2, 3, 7, 30]]
    end).

in_chunks('$end_of_table') -> [];
in_chunks({Objects, Continuation}) -> Objects ++ in_chunks(bets:select(Continuation)).

folds(Rule, Type) ->
    Objects = [Object || N <- lists:seq(1, 10), Object <- [{pos(), N}, {neg(), -N}]],
    with(Rule, Type, Objects, fun(T) ->
        [
            begin
                same(Objects, bets:Fold(fun(Object, Acc) -> [Object | Acc] end, [], T)),
                %% What is written meanwhile makes the fold look again.
                same(Objects, bets:Fold(fun(Object, Acc) -> bets:delete(T, none), [Object | Acc] end, [], T))
            end
         || Fold <- [foldl, foldr]
        ],
        Seen = bets:foldl(fun({_, N} = Object, Acc) -> bets:insert(T, {N, new}), bets:delete(T, N), [Object | Acc] end, [], T),
        same(Objects, [Object || {_, N} = Object <- Seen, N =/= new])
    end).

replaces(Rule, Type) ->
    Objects = [{pos(), 1}, {neg(), 2}, {pos(), 3}, {k, pos()}, {k, pos()} | [{k, neg()} || Rule =:= distinct]],
    with(Rule, Type, Objects, fun(T) ->
        Before = bets:tab2list(T),
        ?assertEqual(length(Before), bets:select_replace(T, [{{'$1', '$2'}, [], [{{'$1', {{x, '$2'}}}}]}])),
        same([{Key, {x, Value}} || {Key, Value} <- Before], bets:tab2list(T)),
        ?assertEqual(length(Before), bets:select_replace(T, [{'_', [], ['$_']}])),
        same([{Key, {x, Value}} || {Key, Value} <- Before], bets:tab2list(T))
    end).

select_delete(Rule, Type) ->
    with(Rule, Type, [{pos(), a}, {neg(), b}, {c, pos()}], fun(T) ->
        Left = [Object || {Key, _} = Object <- bets:tab2list(T), bits(Key) =/= bits(neg())],
        ?assertEqual(1, bets:select_delete(T, [{{neg(), '_'}, [], [true]}])),
        same(Left, bets:tab2list(T)),
        ?assertEqual(0, bets:select_delete(T, [{{c, neg()}, [], [true]}])),
        ?assertEqual(length(Left), bets:select_delete(T, [{{'$1', '$2'}, [], [true]}]))
    end).

replace_object(Rule, Type) ->
    with(Rule, Type, [{pos(), 1}], fun(T) ->
        ?assertEqual(Rule =:= equal, bets:replace_object(T, {neg(), 1}, {neg(), 2})),
        ?assertEqual(Rule =:= distinct, bets:replace_object(T, {pos(), 1}, {pos(), 2})),
        same([{pos(), 2}], bets:tab2list(T))
    end).

%% Under the rule of the running OTP, all is as in its ets.
as_in_ets_test_() ->
    [
        {lists:flatten(io_lib:format("~s, ~w", [Type, N])), fun() ->
            [Ets, Bets] = [outcome(Module, Type, Change) || Module <- [ets, bets]],
            ?assertEqual(Ets, Bets)
        end}
     || Type <- ?TYPES, {N, Change} <- lists:enumerate(as_in_ets())
    ].

outcome(Module, Type, Change) ->
    T = Module:new(t, [Type]),
    [Module:insert(T, Object) || Object <- [{pos(), 1}, {neg(), 2}, {k, pos()}, {neg(), 3}, {k, neg()}, {{neg()}, 4}]],
    Result = try Change(Module, T) catch Class:Reason -> {Class, Reason} end,
    Left = Module:tab2list(T),
    Module:delete(T),
    {sorted(Result), sorted(Left)}.

as_in_ets() ->
    Zeros = [pos(), neg()],
    [fun(Module, T) -> Module:select_replace(T, [{{From, '$1'}, [], [{{{const, To}, z}}]}]) end || From <- Zeros, To <- Zeros] ++
        [fun(Module, T) -> Module:select_replace(T, [{{'$1', Zero}, [], [{{'$1', z}}]}]) end || Zero <- Zeros] ++
        [
            fun(Module, T) -> Module:select(T, [{{'$1', '$2'}, [{Op, Variable, Zero}], ['$_']}]) end
         || Op <- ['==', '=:=', '/=', '=/=', '<', '>='], Variable <- ['$1', '$2'], Zero <- Zeros
        ] ++
        [fun(Module, T) -> Module:select_delete(T, [{{'$1', '$1'}, [], [true]}]) end] ++
        [fun(Module, T) -> Module:delete_object(T, {Key, N}) end || Key <- Zeros, N <- [1, 2]] ++
        [fun(Module, T) -> Module:F(T, Key) end || F <- [lookup, take, delete, member], Key <- [{neg()}, {pos()} | Zeros]].

%% ---------------------------------------------------------------- helpers

pos() -> binary_to_term(<<131, 70, 0:1, 0:63>>).
neg() -> binary_to_term(<<131, 70, 1:1, 0:63>>).

is_bag(Type) -> Type =:= bag orelse Type =:= duplicate_bag.

%% Whether the zeros are one key: in the order of keys they always are.
are_one(Rule, Type) -> Rule =:= equal orelse Type =:= ordered_set.

%% What is left of the objects of one key, or of two.
of_key(Rule, Type, ObjectsOfKeys) ->
    case are_one(Rule, Type) andalso not is_bag(Type) of
        true -> lists:last(ObjectsOfKeys);
        false -> lists:append(ObjectsOfKeys)
    end.

same(Expected, Got) ->
    ?assertEqual(sorted(Expected), sorted(Got)).

sorted(Objects) when is_list(Objects) -> lists:sort([bits(Object) || Object <- Objects]);
sorted(Other) -> bits(Other).

bits(Term) -> bets_diff_terms:canonical(Term).

%% A table of this rule, which stands in its manifest.
with(Rule, Type, Objects, Fun) ->
    Dir = filename:join("/tmp", "bets_zero_tests_" ++ os:getpid()),
    Made = bets:new(t, [Type, {dir, Dir}]),
    ok = bets:close(Made),
    set_rule(filename:join(Dir, "MANIFEST"), case Rule of equal -> 1; distinct -> 2 end),
    {ok, T} = bets:open(Dir),
    try
        [bets:insert(T, Object) || Object <- Objects],
        Fun(T),
        %% It is the log that has the last word on what is one key.
        Before = bets:tab2list(T),
        ok = bets:close(T),
        {ok, Again} = bets:open(Dir),
        same(Before, bets:tab2list(Again)),
        bets:delete(Again)
    after
        [bets:delete(T) || bets:info(T, size) =/= undefined]
    end.

%% The layout is in docs/format.md.
set_rule(Manifest, Rule) ->
    {ok, Bytes} = file:read_file(Manifest),
    Size = byte_size(Bytes) - 68,
    <<Before:57/binary, _Rule, 0:16, 1:32/little, After:Size/binary, _Crc:32>> = Bytes,
    New = [Before, <<Rule, 0:16, 1:32/little>>, After],
    ok = file:write_file(Manifest, [New, <<(erlang:crc32(New)):32/little>>]).
