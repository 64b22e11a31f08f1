%% A panic in whichever function of the library: the VM lives, the table of the call takes no more until it is closed, and no other is touched.
-module(bets_panic_tests).

-include_lib("eunit/include/eunit.hrl").

each_function_test_() ->
    %% A library that is not built with the feature `testing' has no means to panic.
    try bets_nif:test_panic_in(none) of
        ok -> [{atom_to_list(Name), fun() -> panics(Name, Arity) end} || {Name, Arity} <- functions()]
    catch
        error:{not_loaded, _} -> io:format(user, "SKIPPED: panics: the library is not built for it~n", []), []
    end.

%% All of the module but what loads it and what is there for tests.
functions() ->
    [{Name, Arity} || {Name, Arity} <- bets_nif:module_info(exports), Name =/= module_info, not for_tests(atom_to_list(Name))].

for_tests("test_" ++ _) -> true;
for_tests("key_" ++ _) -> true;
for_tests("object_" ++ _) -> true;
for_tests(_) -> false.

panics(Name, Arity) ->
    Table = bets:new(panics, [public]),
    Other = bets:new(other, [public]),
    true = bets:insert(Table, {a, 1}),
    ok = bets_nif:test_panic_in(Name),
    %% It panics before it looks at what follows the table.
    Outcome = apply(bets_nif, Name, lists:sublist([Table, a, b, c, d], Arity)),
    ok = bets_nif:test_panic_in(none),
    ?assertEqual({bets, internal_error}, Outcome),
    case Arity of
        0 ->
            ?assertEqual([{a, 1}], bets:lookup(Table, a));
        _ ->
            ?assertError({bets, table_failed}, bets:lookup(Table, a)),
            ?assertError({bets, table_failed}, bets:insert(Table, {a, 2}))
    end,
    ?assertEqual(true, bets:insert(Other, {b, 2})),
    ?assertEqual([{b, 2}], bets:lookup(Other, b)),
    ?assertEqual(ok, bets:close(Table)),
    bets:delete(Other).
