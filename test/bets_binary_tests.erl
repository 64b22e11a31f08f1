%% Binaries that come in one call may share memory: each has its own bytes all the same, and keeps little more than those.
-module(bets_binary_tests).

-include_lib("eunit/include/eunit.hrl").

-import(bets_beside, [drop/2, pair/2]).

%% What a binary keeps of its neighbours is less than so much, in bytes.
-define(SHARED_MAX, 512).

lengths() ->
    lists:seq(0, 700) ++ [65, 65, 64, 128, 129, 255, 256, 256, 257, 511, 512, 513, 100000, 66].

value(Key) ->
    rand:bytes(lists:nth(Key, lengths())).

%% Short values among long ones, several in an object, inside of lists and maps; gone through while others are made and collected.
binaries_of_all_lengths_come_as_they_were_test_() ->
    [
        {atom_to_list(Type), {timeout, 60, fun() ->
            Objects = [{Key, value(Key), [value(Key), #{a => value(Key)}]} || Key <- lists:seq(1, length(lengths()))],
            {E, B} = pair([Type], Objects ++ [{1, <<N:896>>} || N <- lists:seq(1, 100), Type =/= set, Type =/= ordered_set]),
            All = lists:sort(ets:tab2list(E)),
            Spec = [{'_', [], ['$_']}],
            Results = [
                bets:tab2list(B),
                bets:select(B, Spec),
                chunks(bets:select(B, Spec, 7)),
                bets:match_object(B, '_'),
                bets:foldl(fun(Object, Acc) -> [Object | Acc] end, [], B),
                lists:append([bets:lookup(B, Key) || Key <- lists:seq(1, length(lengths()))])
            ],
            erlang:garbage_collect(),
            [?assertEqual(All, lists:sort(Result)) || Result <- Results],
            [?assert(is_small(V)) || Result <- Results, Object <- Result, V <- tl(tuple_to_list(Object)), is_binary(V)],
            ?assertEqual(lists:sort(ets:take(E, 1)), lists:sort(bets:take(B, 1))),
            drop(E, B)
        end}}
     || Type <- [set, ordered_set, bag, duplicate_bag]
    ].

chunks('$end_of_table') -> [];
chunks({Objects, Continuation}) -> Objects ++ chunks(bets:select(Continuation)).

is_small(Binary) ->
    binary:referenced_byte_size(Binary) =< max(?SHARED_MAX, byte_size(Binary)).

many_share_and_few_do_not_test() ->
    {E, B} = pair([ordered_set], [{Key, <<Key:800>>} || Key <- lists:seq(1, 500)]),
    Kept = fun(Values) -> lists:sum([binary:referenced_byte_size(V) || V <- Values]) end,
    [{1, One}] = bets:lookup(B, 1),
    ?assertEqual(100, Kept([One])),
    %% The first piece of memory comes when as much was given already: two binaries alone share nothing, and three keep 400 bytes.
    {[_, _] = Two, _} = bets:select(B, [{{'_', '$1'}, [], ['$1']}], 2),
    ?assertEqual(200, Kept(Two)),
    All = fun(Objects) -> Kept([V || {_, V} <- Objects]) end,
    [?assert(All(Objects) > 4 * 100 * 500) || Objects <- [bets:tab2list(B), bets:select(B, [{{'_', '_'}, [], ['$_']}])]],
    drop(E, B).

%% What a guard or the result leaves out of an object stayed in memory beside what was kept.
what_is_left_out_keeps_no_memory_test() ->
    [
        begin
            {E, B} = pair([Type], [{Key, Key rem 10, rand:bytes(100)} || Key <- lists:seq(1, 500)]),
            [
                begin
                    Values = [V || Result <- bets:select(B, Spec), V <- [Result, Result], is_binary(V)]
                        ++ [V || {_, _, V} <- bets:select(B, Spec)],
                    ?assert(length(Values) >= 50),
                    ?assertEqual([100], lists:usort([binary:referenced_byte_size(V) || V <- Values]))
                end
             || Spec <- [
                    [{{'_', '$1', '_'}, [{'=:=', {'rem', '$1', 10}, 3}], ['$_']}],
                    [{{'_', 3, '$1'}, [], ['$1']}],
                    [{{'_', '$1', '$2'}, [{'<', {'rem', '$1', 10}, 5}], ['$2']}],
                    [{{'_', '_', '$1'}, [], ['$1']}]
                ]
            ],
            drop(E, B)
        end
     || Type <- [set, ordered_set]
    ].

%% Where there is one object, none of its binaries keeps another one.
an_object_alone_has_memory_of_its_own_test() ->
    [
        begin
            Object = list_to_tuple([key | [rand:bytes(100) || _ <- lists:seq(1, 5)]]),
            {E, B} = pair([Type], [Object]),
            Found = [bets:tab2list(B), bets:lookup(B, key), bets:match_object(B, {'_', '_', '_', '_', '_', '_'}), bets:take(B, key)],
            [
                ?assertEqual([100], lists:usort([binary:referenced_byte_size(V) || V <- tl(tuple_to_list(Same))]))
             || [Same] <- Found
            ],
            ?assertEqual([[Object], [Object], [Object], [Object]], Found),
            drop(E, B)
        end
     || Type <- [set, ordered_set, bag, duplicate_bag]
    ].
