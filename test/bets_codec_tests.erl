%% Runs the properties of the codec, and cases that a generator does not reach.
-module(bets_codec_tests).

-include_lib("eunit/include/eunit.hrl").

properties_test_() ->
    [
        {atom_to_list(Property),
            {timeout, 600, fun() ->
                ?assert(proper:quickcheck(prop_codec:Property(), [{to_file, user}, {numtests, tests()}]))
            end}}
     || {Property, 0} <- prop_codec:module_info(exports), lists:prefix("prop_", atom_to_list(Property))
    ].

tests() ->
    list_to_integer(os:getenv("PROPER_TESTS", "500")).

deep_terms_return_test_() ->
    [
        {Name,
            {timeout, 60, fun() ->
                Term = lists:foldl(fun(_, T) -> Nest(T) end, [], lists:seq(1, 100000)),
                {_, Key} = bets_nif:key_encode(Term, 1),
                ?assert(bets_nif:key_decode(Key) =:= Term),
                ?assert(bets_nif:object_decode(k, 1, bets_nif:object_encode({k, Term}, 1)) =:= {k, Term})
            end}}
     || {Name, Nest} <- [
            {"tuples", fun(T) -> {T} end},
            {"lists", fun(T) -> [T, a] end},
            {"tails", fun(T) -> [a | T] end},
            {"values of maps", fun(T) -> #{a => T, b => 1} end},
            {"keys of maps", fun(T) -> #{T => 1} end}
        ]
    ].

bytes_cut_short_are_an_error_test() ->
    Term = {1, 2.5, <<"abc">>, [a, {b}], #{x => 1 bsl 100}, self(), fun lists:map/2},
    {_, Key} = bets_nif:key_encode(Term, 1),
    Object = bets_nif:object_encode({k, Term}, 1),
    [?assertError(_, bets_nif:key_decode(binary:part(Key, 0, N))) || N <- lists:seq(0, byte_size(Key) - 1)],
    [
        ?assertError(_, bets_nif:object_decode(k, 1, binary:part(Object, 0, N)))
     || N <- lists:seq(0, byte_size(Object) - 1)
    ].

common_keys_are_short_and_have_no_suffix_test_() ->
    [
        ?_test(begin
            {Compared, Bytes} = bets_nif:key_encode(Term, Form),
            ?assertEqual(Compared, byte_size(Bytes)),
            ?assert(Compared =< Max)
        end)
     || Form <- [1, 2, 3, 4],
        {Term, Max} <- [{0, 1}, {200, 2}, {-5, 2}, {10000, 3}, {<<"a binary of 16 b">>, 18}, {atom, 6}, {1.5, 2}]
    ].

%% A pid of an earlier incarnation is the bytes of a pid of this one, but for the marker.
pids_of_an_earlier_incarnation_test() ->
    Pid = self(),
    {Compared, Key} = bets_nif:key_encode(Pid, 1),
    Head = byte_size(Key) - 8,
    <<Before:Head/binary, Marker:64>> = Key,
    Earlier = <<Before/binary, (Marker bxor 16#123456789):64>>,
    Dead = bets_nif:key_decode(Earlier),
    ?assert(is_pid(Dead)),
    ?assertNotEqual(Pid, Dead),
    ?assertEqual('nonode@nohost', node(Dead)),
    ?assertNot(lists:member(Dead, processes())),
    ?assertEqual({Compared, Earlier}, bets_nif:key_encode(Dead, 1)),
    {k, Dead} = bets_nif:object_decode(k, 1, bets_nif:object_encode({k, Dead}, 1)).

local_identifiers_stay_local_test() ->
    Alias = alias(),
    [
        begin
            {_, Key} = bets_nif:key_encode(Local, 1),
            ?assertEqual(Local, bets_nif:key_decode(Key)),
            ?assertEqual(nomatch, binary:match(Key, <<"nonode">>))
        end
     || Local <- [self(), make_ref(), Alias | erlang:ports()]
    ],
    {_, Key} = bets_nif:key_encode(Alias, 1),
    bets_nif:key_decode(Key) ! to_the_alias,
    receive
        to_the_alias -> ok
    after 60000 -> error(alias_lost)
    end.

local_identifiers_stay_local_when_distribution_starts_test_() ->
    {setup,
        fun() ->
            os:cmd("epmd -daemon"),
            net_kernel:start(['bets_codec_test@localhost', shortnames])
        end,
        fun(_) -> net_kernel:stop() end, fun
            ({ok, _}) ->
                fun() ->
                    Locals = [self(), make_ref() | erlang:ports()],
                    Keys = [bets_nif:key_encode(Local, 1) || Local <- Locals],
                    ?assertEqual('bets_codec_test@localhost', node()),
                    ?assertEqual(Locals, [bets_nif:key_decode(Key) || {_, Key} <- Keys]),
                    ok = net_kernel:stop(),
                    nonode@nohost = await_node(nonode@nohost, 500),
                    ?assertEqual(Locals, [bets_nif:key_decode(Key) || {_, Key} <- Keys]),
                    ?assertEqual(Keys, [bets_nif:key_encode(Local, 1) || Local <- Locals])
                end;
            ({error, _}) ->
                []
        end}.

%% On a busy machine the node has its name for some moments after the stop.
await_node(Node, Tries) when Tries =:= 0; Node =:= node() -> node();
await_node(Node, Tries) ->
    timer:sleep(10),
    await_node(Node, Tries - 1).

%% The tail of a list is looked at to count its elements, and again in its turn; the environment of a fun that was only looked at
%% once became the elements of the next tuple.
a_fun_as_a_tail_leaves_the_elements_alone_test() ->
    In = self(),
    Term = [{}, {a, b} | fun() -> In end],
    ?assertEqual({k, Term}, bets_nif:object_decode(k, 1, bets_nif:object_encode({k, Term}, 1))).
