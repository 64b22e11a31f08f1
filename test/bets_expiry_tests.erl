%% Objects that expire: absent for every function, as in an ets table from which they were deleted.
-module(bets_expiry_tests).

-include_lib("eunit/include/eunit.hrl").

-compile(nowarn_export_all).
-compile(export_all).

-define(TYPES, [set, ordered_set, bag, duplicate_bag]).

%% ---------------------------------------------------------------- absent everywhere

absent_everywhere_test_() ->
    {inparallel, 4, [
        {lists:concat([Type, " ", Name]), {timeout, 60, fun() -> same_as_deleted(Type, Options, Call) end}}
     || Type <- ?TYPES, {Name, Call} <- calls(), Options <- [[], [compressed, {sync, always}]], is_of(Type, Name)
    ]}.

is_of(Type, Name) when Type =:= bag; Type =:= duplicate_bag ->
    not lists:member(Name, [update_counter, update_counter_default, update_element]);
is_of(_Type, _Name) ->
    true.

%% The keys that have expired, between those that have not. In a bag, some keys have objects of both kinds.
live() -> [{K, K * 10} || K <- lists:seq(1, 60), K rem 3 =/= 0].
expired() -> [{K, K * 10} || K <- lists:seq(0, 63), K rem 3 =:= 0].

same_as_deleted(Type, Options, Call) ->
    Ets = ets:new(t, [Type, public]),
    Bets = bets:new(t, [Type, public | Options]),
    Mixed = [{K, mixed} || lists:member(Type, [bag, duplicate_bag]), K <- [1, 2]],
    Expired = expired() ++ Mixed,
    [bets:insert(Bets, Object, [{ttl, 1}]) || Object <- Expired],
    true = bets:insert(Bets, live()),
    true = ets:insert(Ets, Expired ++ live()),
    [ets:delete_object(Ets, Object) || Object <- Expired],
    timer:sleep(5),
    ?assertEqual(outcome(Call, ets, Ets), outcome(Call, bets, Bets)),
    ?assertEqual(lists:sort(ets:tab2list(Ets)), lists:sort(bets:tab2list(Bets))),
    bets:delete(Bets),
    ets:delete(Ets).

outcome(Call, Module, Tab) ->
    try Call(Module, Tab) of
        Result -> Result
    catch
        error:Reason -> {error, Reason}
    end.

calls() ->
    Gone = [0, 3, 30, 63],
    Keys = Gone ++ [1, 2, 100],
    All = [{'_', [], ['$_']}],
    [
        {lookup, fun(M, T) -> [M:lookup(T, K) || K <- Keys] end},
        {member, fun(M, T) -> [M:member(T, K) || K <- Keys] end},
        {lookup_element, fun(M, T) -> M:lookup_element(T, 3, 2) end},
        {take, fun(M, T) -> [M:take(T, K) || K <- Keys] end},
        {delete, fun(M, T) -> [M:delete(T, K) || K <- Keys] end},
        {delete_object, fun(M, T) -> [M:delete_object(T, {K, K * 10}) || K <- Keys] end},
        {insert, fun(M, T) -> [M:insert(T, {K, new}) || K <- Keys] end},
        {insert_again, fun(M, T) -> [M:insert(T, {K, K * 10}) || K <- Keys] end},
        {insert_list, fun(M, T) -> M:insert(T, [{K, new} || K <- Keys]) end},
        {insert_new, fun(M, T) -> [M:insert_new(T, {K, new}) || K <- Keys] end},
        {insert_new_list, fun(M, T) -> M:insert_new(T, [{K, new} || K <- Gone]) end},
        {update_counter, fun(M, T) -> M:update_counter(T, 3, 1) end},
        {update_counter_default, fun(M, T) -> [M:update_counter(T, K, 1, {K, 5}) || K <- Keys] end},
        {update_element, fun(M, T) -> [M:update_element(T, K, {2, x}) || K <- Keys] end},
        {first_next, fun(M, T) -> lists:sort(walk(M, T, first, next)) end},
        {last_prev, fun(M, T) -> lists:sort(walk(M, T, last, prev)) end},
        {next_of_gone, fun(M, T) -> [outcome(fun(_, _) -> M:next(T, K) end, M, T) || K <- [3, 30], ordered(M, T) orelse true] -- some(M, T) end},
        {fixed_next, fun(M, T) ->
            M:safe_fixtable(T, true),
            Keys1 = walk(M, T, first, next),
            M:safe_fixtable(T, false),
            lists:sort(Keys1)
        end},
        {tab2list, fun(M, T) -> lists:sort(M:tab2list(T)) end},
        {foldl, fun(M, T) -> M:foldl(fun({K, _}, Sum) -> K + Sum end, 0, T) end},
        {foldr, fun(M, T) -> M:foldr(fun({K, _}, Sum) -> K + Sum end, 0, T) end},
        {match, fun(M, T) -> {lists:sort(M:match(T, {'$1', '$2'})), [M:match(T, {K, '$1'}) || K <- Keys]} end},
        {match_object, fun(M, T) -> {lists:sort(M:match_object(T, {'_', '_'})), [M:match_object(T, {K, '_'}) || K <- Keys]} end},
        {match_delete, fun(M, T) -> [M:match_delete(T, {K, '_'}) || K <- Keys] end},
        {select, fun(M, T) -> {lists:sort(M:select(T, All)), [M:select(T, [{{K, '$1'}, [], ['$1']}]) || K <- Keys]} end},
        {select_some, fun(M, T) -> lists:sort(M:select(T, [{{'$1', '_'}, [{'>', '$1', 20}, {'<', '$1', 40}], ['$1']}])) end},
        {select_chunks, fun(M, T) -> lists:sort(chunks(M, M:select(T, All, 1))) end},
        {select_reverse, fun(M, T) -> lists:sort(M:select_reverse(T, All)) end},
        {select_count, fun(M, T) -> [M:select_count(T, [{{K, '_'}, [], [true]}]) || K <- ['_' | Keys]] end},
        {select_delete, fun(M, T) -> M:select_delete(T, [{{'$1', '_'}, [{'<', '$1', 31}], [true]}]) end},
        {select_delete_all, fun(M, T) -> M:select_delete(T, [{'_', [], [true]}]) end},
        {select_replace, fun(M, T) -> replaced(M, T, M:info(T, type)) end},
        {delete_all_objects, fun(M, T) -> M:delete_all_objects(T) end},
        {slot, fun(M, T) -> lists:sort(slots(M, T, 0)) end},
        {size, fun(M, T) ->
            %% The bound that is documented.
            M =:= bets andalso timer:sleep(1500),
            M:info(T, size)
        end},
        {qlc, fun(M, T) -> lists:sort(qlc:e(M:table(T))) end},
        {tab2file, fun(M, T) ->
            File = filename:join("/tmp", lists:concat(["bets_expiry_", os:getpid(), erlang:unique_integer([positive])])),
            ok = M:tab2file(T, File),
            {ok, Copy} = ets:file2tab(File),
            file:delete(File),
            Objects = lists:sort(ets:tab2list(Copy)),
            ets:delete(Copy),
            Objects
        end}
    ].

%% In hash order the two modules have keys in different orders: what counts is that both refuse, or answer.
some(_M, _T) -> [].
ordered(M, T) -> M:info(T, type) =:= ordered_set.

walk(M, T, First, Next) -> walk_on(M, T, Next, M:First(T)).

walk_on(_M, _T, _Next, '$end_of_table') -> [];
walk_on(M, T, Next, Key) -> [Key | walk_on(M, T, Next, M:Next(T, Key))].

chunks(_M, '$end_of_table') -> [];
chunks(M, {Objects, Continuation}) -> Objects ++ chunks(M, M:select(Continuation)).

slots(M, T, N) ->
    case M:slot(T, N) of
        '$end_of_table' -> [];
        Objects -> Objects ++ slots(M, T, N + 1)
    end.

replaced(M, T, bag) -> outcome(fun(_, _) -> M:select_replace(T, [{{'$1', '_'}, [], [{{'$1', x}}]}]) end, M, T);
replaced(M, T, _Type) -> M:select_replace(T, [{{'$1', '_'}, [], [{{'$1', x}}]}]).

%% ---------------------------------------------------------------- what sets a deadline and what keeps it

table_ttl_test_() ->
    [{atom_to_list(Type), fun() -> table_ttl(Type) end} || Type <- ?TYPES].

table_ttl(Type) ->
    T = bets:new(t, [Type, {ttl, 60_000}]),
    ?assertEqual(60_000, bets:info(T, ttl)),
    true = bets:insert(T, {a, 1}),
    true = bets:insert_new(T, [{b, 1}]),
    true = bets:insert(T, {c, 1}, [{ttl, infinity}]),
    true = bets:insert(T, {d, 1}, [{ttl, 30_000}]),
    true = bets:insert(T, {e, 1}, []),
    ?assertEqual([infinity], bets:ttl(T, c)),
    ?assertEqual([], bets:ttl(T, missing)),
    [?assert(within(bets:ttl(T, K), Ms)) || {K, Ms} <- [{a, 60_000}, {b, 60_000}, {d, 30_000}, {e, 60_000}]],
    %% A plain insert sets the table's.
    true = bets:insert(T, {d, 1}),
    [Last | _] = lists:reverse(bets:ttl(T, d)),
    ?assert(within([Last], 60_000)),
    ?assertEqual(5 + length([x || Type =:= duplicate_bag]), length(bets:tab2list(T))),
    bets:delete(T).

%% A machine that stands still for a while is still right.
within([Left], Ms) -> Left =< Ms andalso Left > Ms - 20_000.

updates_keep_the_deadline_test_() ->
    [{atom_to_list(Type), fun() -> updates_keep(Type) end} || Type <- [set, ordered_set]].

updates_keep(Type) ->
    T = bets:new(t, [Type, {ttl, 3_600_000}]),
    Changes = [
        fun(K) -> bets:update_counter(T, K, 1) end,
        fun(K) -> bets:update_element(T, K, {2, 7}) end,
        fun(K) -> bets:select_replace(T, [{{K, '$1'}, [], [{{K, 8}}]}]) end,
        fun(K) -> bets:replace_object(T, {K, 1}, {K, 9}) end
    ],
    [
        begin
            bets:insert(T, {K, 1}, [{ttl, Ttl}]),
            Change(K),
            ?assertNotEqual([{K, 1}], bets:lookup(T, K)),
            case Ttl of
                infinity -> ?assertEqual([infinity], bets:ttl(T, K));
                _ -> ?assert(within(bets:ttl(T, K), Ttl))
            end
        end
     || {K, Change} <- lists:enumerate(Changes), Ttl <- [30_000, infinity]
    ],
    %% What was not there gets the table's.
    bets:update_counter(T, new, 1, {new, 0}),
    ?assert(within(bets:ttl(T, new), 3_600_000)),
    bets:delete(T).

replaced_in_a_bag_test() ->
    T = bets:new(t, [duplicate_bag]),
    bets:insert(T, {k, 1}, [{ttl, 30_000}]),
    bets:insert(T, {k, 2}),
    1 = bets:select_replace(T, [{{k, 1}, [], [{{k, 3}}]}]),
    ?assertEqual([{k, 2}, {k, 3}], bets:lookup(T, k)),
    [infinity, Left] = bets:ttl(T, k),
    ?assert(within([Left], 30_000)),
    bets:delete(T).

an_object_of_a_bag_gets_another_deadline_test() ->
    T = bets:new(t, [bag]),
    bets:insert(T, [{k, 1}, {k, 2}]),
    bets:insert(T, {k, 1}, [{ttl, 30_000}]),
    ?assertEqual([{k, 2}, {k, 1}], bets:lookup(T, k)),
    ?assertMatch([infinity, Left] when Left =< 30_000, bets:ttl(T, k)),
    bets:insert(T, [{k, 1}, {k, 2}, {k, 3}]),
    ?assertEqual([{k, 2}, {k, 1}, {k, 3}], bets:lookup(T, k)),
    ?assertEqual([infinity, infinity, infinity], bets:ttl(T, k)),
    ?assertEqual(3, bets:info(T, size)),
    bets:delete(T).

%% ---------------------------------------------------------------- over restarts

deadlines_outlive_the_table_test_() ->
    [{lists:concat([Type, " ", How]), {timeout, 30, fun() -> outlive(Type, How) end}} || Type <- ?TYPES, How <- [checkpoint, hints, backup]].

outlive(Type, How) ->
    Dir = filename:join("/tmp", lists:concat(["bets_expiry_", os:getpid(), "_", erlang:unique_integer([positive])])),
    T = bets:new(t, [Type, {dir, Dir}, {ttl, 60_000}]),
    bets:insert(T, {short, 1}, [{ttl, 100}]),
    bets:insert(T, {long, 1}),
    bets:insert(T, {ever, 1}, [{ttl, infinity}]),
    Opened =
        case How of
            backup ->
                {ok, _} = backup(T, Dir ++ ".copy"),
                bets:close(T),
                Dir ++ ".copy";
            _ ->
                bets:close(T),
                How =:= hints andalso file:delete(filename:join(Dir, "CHECKPOINT")),
                Dir
        end,
    timer:sleep(110),
    {ok, U} = bets:open(Opened),
    ?assertEqual(infinity, bets:info(U, ttl)),
    ?assertEqual([{ever, 1}, {long, 1}], lists:sort(bets:tab2list(U))),
    ?assert(within(bets:ttl(U, long), 60_000)),
    ?assertEqual([infinity], bets:ttl(U, ever)),
    {ok, Report} = bets:verify(U),
    ?assert(maps:get(sound, Report)),
    bets:delete(U),
    file:del_dir_r(Dir),
    file:del_dir_r(Dir ++ ".copy").

backup(T, To) ->
    {ok, bets:backup(T, To)}.

dumped_and_loaded_test_() ->
    [{atom_to_list(Type), fun() -> dump_and_load(Type) end} || Type <- ?TYPES].

dump_and_load(Type) ->
    T = bets:new(t, [Type]),
    Objects = [{k, self()}, {k, 2}, {k, 3}, {l, 1}, {'$expires', 5, {a}}],
    [bets:insert(T, Object, [{ttl, Ttl}]) || {Object, Ttl} <- lists:zip(Objects, [60_000, infinity, 50_000, infinity, 70_000])],
    bets:insert(T, {k, 2}, [{ttl, 40_000}]),
    File = filename:join("/tmp", lists:concat(["bets_expiry_", os:getpid(), "_", erlang:unique_integer([positive])])),
    {ok, Out} = file:open(File, [write]),
    {ok, N} = bets_dump:write(T, Out, fun(_) -> ok end),
    ok = file:close(Out),
    {ok, In} = file:open(File, [read]),
    {ok, _Header, Line} = bets_dump:header(In),
    U = bets:new(t, [Type]),
    Insert = fun
        (List, infinity) -> true = bets:insert(U, List), ok;
        (List, Deadline) -> true = bets_nif:insert(U, List, [Deadline]), ok
    end,
    {ok, N} = bets_dump:read(In, Line, Insert, fun(_) -> ok end),
    ok = file:close(In),
    file:delete(File),
    [
        begin
            ?assertEqual(bets:lookup(T, K), bets:lookup(U, K)),
            ?assertEqual(tl(bets_nif:ttl(T, K)), tl(bets_nif:ttl(U, K)))
        end
     || K <- [k, l, '$expires']
    ],
    bets:delete(T),
    bets:delete(U).

%% ---------------------------------------------------------------- what is refused

bad_ttl_test_() ->
    [
        fun() ->
            refused(fun() -> bets:new(t, [{ttl, Bad}]) end, {ttl, Bad}),
            T = bets:new(t, []),
            refused(fun() -> bets:insert(T, {a, 1}, [{ttl, Bad}]) end, {ttl, Bad}),
            refused(fun() -> bets:insert_new(T, {a, 1}, [{ttl, Bad}]) end, {ttl, Bad}),
            ?assertEqual([], bets:tab2list(T)),
            bets:delete(T)
        end
     || Bad <- [0, -1, 1.0, forever, 1 bsl 60, "1", {1, 2}]
    ].

bad_options_test() ->
    T = bets:new(t, []),
    [refused(fun() -> bets:insert(T, {a, 1}, Bad) end, Cause) || {Bad, Cause} <- [{[x], x}, {x, x}, {[{ttl, 5} | x], x}, {[{tll, 5}], {tll, 5}}]],
    bets:delete(T).

refused(Fun, Option) ->
    try Fun() of
        Result -> error({taken, Result})
    catch
        error:badarg:Stack ->
            [{_, _, Args, Info} | _] = Stack,
            #{cause := Cause} = proplists:get_value(error_info, Info),
            ?assertEqual({bad_option, Option}, Cause),
            Words = maps:get(length(Args), bets_errors:format_error(badarg, Stack)),
            is_tuple(Option) andalso element(1, Option) =:= ttl andalso
                ?assertNotEqual(nomatch, string:find(Words, "number of milliseconds above 0"))
    end.

%% ---------------------------------------------------------------- many at once

%% Whatever number expires at once, nobody waits for the sweep, and a traversal that meets nothing else goes on elsewhere.
a_burst_test_() ->
    {timeout, 120, [{atom_to_list(Type), {timeout, 60, fun() -> burst(Type) end}} || Type <- ?TYPES]}.

burst(Type) ->
    N = 100_000,
    T = bets:new(t, [Type, public]),
    bets:insert(T, {N + 1, live}),
    Until = erlang:system_time(millisecond) + 4_000,
    [true = bets_nif:insert(T, [{K, x} || K <- lists:seq(From, From + 999)], [Until]) || From <- lists:seq(1, N, 1000)],
    timer:sleep(max(0, Until - erlang:system_time(millisecond)) + 1),
    ?assertEqual(N + 1, bets:first(T)),
    ?assertEqual([{N + 1, live}], bets:tab2list(T)),
    ?assertEqual(1, bets:select_count(T, [{'_', [], [true]}])),
    await_size(T, 1, 100),
    bets:delete(T).

await_size(T, Size, Tries) ->
    case bets:info(T, size) of
        Size -> ok;
        _ when Tries > 0 -> timer:sleep(100), await_size(T, Size, Tries - 1);
        Other -> error({size, Other})
    end.
