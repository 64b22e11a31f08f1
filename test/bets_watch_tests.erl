%% No call on a normal scheduler works for 1 ms or waits. The test build measures each: processor time of the thread, and
%% voluntary context switches.
-module(bets_watch_tests).

-include_lib("eunit/include/eunit.hrl").

-define(OBJECTS, 20000).

schedulers_test_() ->
    {setup, fun start/0, fun stop/1, fun(Table) ->
        [
            {"many processes, every kind of call", tried(fun() -> mixed(Table) end)},
            {"a list of 100,000 objects", tried(fun() -> long_list(Table) end)},
            {"large and deep objects", tried(fun() -> large(Table) end)},
            {"a key of 10,000 objects", tried(fun many_objects/0)},
            {"clearing a table", tried(fun() -> clear(Table) end)},
            {"warm reads without the value cache", tried(fun warm/0)},
            {"objects that expire", tried(fun expiring/0)}
        ]
    end}.

start() ->
    Dir = filename:join(["/tmp", "bets_watch_" ++ os:getpid()]),
    Table = bets:new(watch, [set, public, {dir, Dir}, {max_file_size, 8 bsl 20}]),
    [bets:insert(Table, {N, N, <<0:800>>}) || N <- lists:seq(1, ?OBJECTS)],
    Table.

stop(Table) -> bets:delete(Table).

%% A thread's clock goes on while the host runs another machine, and while an interrupt is served: what that took counts as the call's. The kernel tells how much it
%% was, in ticks. So a case in which calls were long is tried again if any such time passed meanwhile; if none did, they were long, and the case fails at once. But for one or two: the host
%% may also take milliseconds to find memory for a page that this machine touches for the first time, of which nothing tells; a call that has too much to do has so each time.
%% One in which many calls had to do with the disk is tried again in any case: a disk that does not keep up with the writers is the machine's matter.
tried(Case) ->
    {timeout, 300, fun() -> try_case(Case, 5) end}.

try_case(Case, Tries) ->
    Before = taken(),
    try
        Case()
    catch
        throw:{long_calls, Long, _} = Seen ->
            case taken() - Before of
                Ticks when Tries > 1, Ticks > 0 orelse Long =< 2 ->
                    ?debugFmt("~p, and ~b ticks were taken from this machine; once more", [Seen, Ticks]),
                    try_case(Case, Tries - 1);
                _ ->
                    error(Seen)
            end;
        throw:{disk, _, _} = Seen when Tries > 1 ->
            ?debugFmt("~p; once more", [Seen]),
            try_case(Case, Tries - 1);
        throw:{disk, _, _} = Seen ->
            error(Seen)
    end.

%% Ticks of all processors that went to interrupts and to other machines of the host.
taken() ->
    {ok, Device} = file:open("/proc/stat", [read, raw, {read_ahead, 512}]),
    {ok, "cpu " ++ Line} = file:read_line(Device),
    ok = file:close(Device),
    [_User, _Nice, _System, _Idle, _Wait, Irq, Softirq, Steal | _] = [list_to_integer(Word) || Word <- string:lexemes(Line, " \n")],
    Irq + Softirq + Steal.

none_is_long(0, _LongestNs) -> ok;
none_is_long(Long, LongestNs) -> throw({long_calls, Long, {nanoseconds, LongestNs}}).

mixed(Table) ->
    _ = bets_nif:test_watch(),
    Until = erlang:monotonic_time(millisecond) + 4000,
    in_parallel(20, fun() -> work(Table, Until) end),
    {Calls, _, Io, LongestNs, Long, Switches} = bets_nif:test_watch(),
    ?debugFmt("~b calls, longest ~b us, ~b switches, ~b went to dirty I/O", [Calls, LongestNs div 1000, Switches, Io]),
    none_is_long(Long, LongestNs),
    %% The kernel may put a thread to sleep on a page that it is just writing out: rare, and no lock of ours.
    Switches * 10000 =< Calls andalso Io * 20 < Calls orelse throw({disk, Calls, {switches, Switches, went_to_dirty_io, Io}}),
    ok.

work(Table, Until) ->
    Key = rand:uniform(?OBJECTS),
    case rand:uniform(8) of
        1 -> bets:insert(Table, {Key, Key, <<1:800>>});
        2 -> bets:lookup(Table, Key);
        3 -> bets:update_counter(Table, Key, {2, 1}, {Key, 0, <<>>});
        4 -> bets:member(Table, Key);
        5 -> bets:insert(Table, [{rand:uniform(?OBJECTS), 0, <<2:800>>} || _ <- lists:seq(1, 50)]);
        6 -> bets:update_element(Table, Key, {3, <<3:800>>});
        7 -> bets:delete(Table, {extra, Key});
        8 -> rand:uniform(500) > 1 orelse bets:foldl(fun(_, N) -> N + 1 end, 0, Table)
    end,
    case erlang:monotonic_time(millisecond) < Until of
        true -> work(Table, Until);
        false -> ok
    end.

long_list(Table) ->
    List = [{{list, N}, N, <<4:800>>} || N <- lists:seq(1, 100000)],
    no_long_call(fun() -> bets:insert(Table, List) end),
    no_long_call(fun() -> false = bets:insert_new(Table, List) end),
    no_long_call(fun() -> 100000 = length([x || {{list, _}, _, _} <- bets:tab2list(Table)]) end).

large(Table) ->
    Deep = lists:foldl(fun(_, T) -> {T} end, [], lists:seq(1, 100000)),
    Wide = lists:seq(1, 300000),
    Binary = binary:copy(<<"x">>, 20000000),
    [
        no_long_call(fun() ->
            bets:insert(Table, {Key, Value, x}),
            [{Key, Value, x}] = bets:lookup(Table, Key),
            Value = bets:lookup_element(Table, Key, 2),
            true = bets:update_element(Table, Key, {3, y}),
            [{Key, Value, y}] = bets:take(Table, Key)
        end)
     || {Key, Value} <- [{deep, Deep}, {wide, Wide}, {binary, Binary}, {{Wide}, 1}, {Binary, 1}]
    ],
    %% Found in a review: whoever looked ahead in a list went through all elements of the objects that come.
    Object = list_to_tuple([object | lists:seq(1, 3000000)]),
    no_long_call(fun() -> true = bets:insert(Table, [Object]) end),
    true = bets:delete(Table, object).

many_objects() ->
    [many_objects(Type) || Type <- [bag, duplicate_bag]].

many_objects(Type) ->
    Dir = filename:join(["/tmp", "bets_many_" ++ os:getpid()]),
    %% The process owns the tables: they are gone with a try that ends early.
    in_process(fun() -> many_objects(Type, bets:new(many, [Type, {dir, Dir}]), Dir) end).

many_objects(Type, Table, Dir) ->
    bets:delete_all_objects(Table),
    Left = [{k, N} || N <- lists:seq(1, 10000), N rem 3 > 0],
    no_long_call(fun() -> [bets:insert(Table, {k, N}) || N <- lists:seq(1, 10000)] end),
    no_long_call(fun() -> [bets:delete_object(Table, {k, N}) || N <- lists:seq(3, 10000, 3)] end),
    no_long_call(fun() ->
        Left = bets:lookup(Table, k),
        Left = bets:tab2list(Table),
        Left = lists:reverse(bets:foldl(fun(Object, Acc) -> [Object | Acc] end, [], Table)),
        true = [N || {k, N} <- Left] =:= bets:lookup_element(Table, k, 2),
        true = bets:insert(Table, Left ++ [{other, 1}])
    end),
    ok = bets:close(Table),
    {ok, Again} = bets:open(Dir),
    ?assertEqual(Type =:= bag, bets:lookup(Again, k) =:= Left),
    no_long_call(fun() -> true = length(Left) =< length(bets:take(Again, k)) end),
    ?assertEqual([{other, 1}], bets:tab2list(Again)),
    bets:delete(Again).

clear(Table) ->
    no_long_call(fun() -> bets:delete_all_objects(Table) end).

no_long_call(Fun) ->
    _ = bets_nif:test_watch(),
    Fun(),
    {_, _, _, LongestNs, Long, _} = bets_nif:test_watch(),
    none_is_long(Long, LongestNs).

%% What is in the page cache is read where the caller runs.
warm() ->
    Dir = filename:join(["/tmp", "bets_warm_" ++ os:getpid()]),
    Table = bets:new(warm, [set, public, {dir, Dir}, {cache, false}]),
    [bets:insert(Table, {N, <<0:8000>>}) || N <- lists:seq(1, 1000)],
    _ = bets_nif:test_watch(),
    [[{N, _}] = bets:lookup(Table, N) || N <- lists:seq(1, 1000)],
    {_, _, Io, LongestNs, Long, _} = bets_nif:test_watch(),
    bets:delete(Table),
    none_is_long(Long, LongestNs),
    Io < 50 orelse throw({disk, 1000, {went_to_dirty_io, Io}}),
    ok.

%% Reads and writes while 100,000 objects expire at once, and traversals of what is left.
expiring() ->
    [in_process(fun() -> expiring(Type) end) || Type <- [set, ordered_set, bag]].

expiring(Type) ->
    T = bets:new(t, [Type, public, {ttl, 3600000}]),
    bets:insert(T, [{{live, N}, N} || N <- lists:seq(1, 100)]),
    Until = erlang:system_time(millisecond) + 3000,
    [bets_nif:insert(T, [{N, x} || N <- lists:seq(From, From + 999)], [Until]) || From <- lists:seq(1, 100000, 1000)],
    timer:sleep(max(0, Until - erlang:system_time(millisecond)) + 1),
    no_long_call(fun() ->
        {live, _} = bets:first(T),
        100 = length(bets:tab2list(T)),
        100 = bets:select_count(T, [{'_', [], [true]}]),
        [
            begin
                Key = {live, rand:uniform(100)},
                bets:insert(T, {Key, N}),
                [_ | _] = bets:lookup(T, Key),
                [] = bets:lookup(T, N),
                false = bets:member(T, N),
                bets:insert(T, {N, y}, [{ttl, 1 + N rem 50}])
            end
         || N <- lists:seq(1, 20000)
        ]
    end),
    bets:delete(T).

in_process(Fun) ->
    {Pid, Ref} = spawn_monitor(fun() ->
        exit(
            try
                {returned, Fun()}
            catch
                throw:Thrown -> {thrown, Thrown}
            end
        )
    end),
    receive
        {'DOWN', Ref, process, Pid, {returned, _}} -> ok;
        {'DOWN', Ref, process, Pid, {thrown, Thrown}} -> throw(Thrown);
        {'DOWN', Ref, process, Pid, Reason} -> error(Reason)
    end.

in_parallel(N, Fun) ->
    Workers = [spawn_monitor(Fun) || _ <- lists:seq(1, N)],
    [receive {'DOWN', Ref, process, Pid, Reason} -> ?assertEqual(normal, Reason) end || {Pid, Ref} <- Workers].
