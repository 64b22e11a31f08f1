%% A table whose objects are several times larger than the memory that the VM may use: filled, read, traversed, closed
%% and opened again, with every value checked. `test/memory.sh' holds the VM to the limit; this module also reads, after
%% each step, the most memory that the VM had resident in it, and fails if that was above the limit.
-module(bets_big).

-export([main/0]).

-define(GROUPS, 1000).

%% The command line: `-s bets_big main -extra TYPE DIR LIMIT KEYS SIZE', sizes in bytes. Halts: 0 if all is as it should be.
-spec main() -> no_return().
main() ->
    [Type, Dir | Numbers] = init:get_plain_arguments(),
    [Limit, Keys, Size] = [list_to_integer(N) || N <- Numbers],
    try run(list_to_atom(Type), Dir, Limit, Keys, Size) of
        ok -> halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "~tp~n", [{Class, Reason, Stack}]),
            halt(1)
    after
        file:del_dir_r(Dir)
    end.

run(Type, Dir, Limit, Keys, Size) ->
    {ok, _} = application:ensure_all_started(bets),
    io:format("~s: ~b objects of ~b bytes: ~b MiB; the VM may use ~b MiB, the value cache ~b MiB~n",
              [Type, Keys, Size, mib(Keys * Size), mib(Limit), mib(element(2, application:get_env(bets, cache)))]),
    put(limit, Limit),
    T = bets:new(big, [Type, public, {dir, Dir}]),
    step("insert, one by one and in lists", fun() -> fill(T, Keys, Size) end),
    Keys = bets:info(T, size),
    reads(T, Type, Keys, Size),
    step("close", fun() -> bets:close(T) end),
    {ok, Again} = step("open", fun() -> bets:open(Dir) end),
    Keys = bets:info(Again, size),
    reads(Again, Type, Keys, Size),
    step("overwrite and delete", fun() -> change(Again, Keys, Size) end),
    step("clear", fun() -> bets:delete_all_objects(Again), 0 = bets:info(Again, size) end),
    true = bets:delete(Again),
    ok.

reads(T, Type, Keys, Size) ->
    step("lookups of random keys", fun() -> look(T, Keys, Size, Keys div 50) end),
    step("foldl over all objects", fun() ->
        Sum = Keys * (Keys - 1) div 2,
        {Keys, Sum} = bets:foldl(fun({K, _, _} = Object, {N, Acc}) -> Object = object(K, Size), {N + 1, Acc + K} end, {0, 0}, T)
    end),
    step("select with a filter on a field", fun() ->
        Found = bets:select(T, [{{'$1', 7, '_'}, [], ['$1']}]),
        true = lists:seq(7, Keys - 1, ?GROUPS) =:= lists:sort(Found)
    end),
    step("select of all objects, 1 MiB at a time", fun() ->
        Keys = chunks(bets:select(T, [{'_', [], ['$_']}], (1 bsl 20) div Size), Size, 0)
    end),
    step("select_count with a guard", fun() ->
        Half = Keys div 2,
        Half = bets:select_count(T, [{{'$1', '_', '_'}, [{'<', '$1', Half}], [true]}])
    end),
    step("traversal with next/2", fun() -> Keys = walk(T, Type, bets:first(T), 0, none) end),
    Type =:= ordered_set andalso step("ranges of 100 keys", fun() -> [range(T, rand:uniform(Keys - 100), Size) || _ <- lists:seq(1, 3)] end),
    ok.

%% The keys in an order of their own, so that an ordered_set is not built from one end.
fill(T, Keys, Size) ->
    Half = Keys div 2,
    each(0, 1, Half, fun(N) -> true = bets:insert(T, object(key(N, Keys), Size)) end),
    each(Half, 100, Keys, fun(N) ->
        true = bets:insert(T, [object(key(M, Keys), Size) || M <- lists:seq(N, min(N + 100, Keys) - 1)])
    end).

%% A list of all numbers would need memory of its own.
each(From, Step, End, Fun) when From < End -> Fun(From), each(From + Step, Step, End, Fun);
each(_, _, _, _) -> ok.

%% 7919 is a prime that divides no number of keys that is used here.
key(N, Keys) -> N * 7919 rem Keys.

look(_, _, _, 0) ->
    ok;
look(T, Keys, Size, N) ->
    K = rand:uniform(Keys) - 1,
    [Object] = bets:lookup(T, K),
    Object = object(K, Size),
    look(T, Keys, Size, N - 1).

chunks('$end_of_table', _, N) ->
    N;
chunks({Objects, Continuation}, Size, N) ->
    [Object = object(element(1, Object), Size) || Object <- Objects],
    chunks(bets:select(Continuation), Size, N + length(Objects)).

walk(_, _, '$end_of_table', N, _) -> N;
walk(T, ordered_set, K, N, Before) when Before =:= none; Before < K -> walk(T, ordered_set, bets:next(T, K), N + 1, K);
walk(T, set, K, N, _) -> walk(T, set, bets:next(T, K), N + 1, K).

range(T, From, Size) ->
    To = From + 100,
    Found = bets:select(T, [{{'$1', '_', '_'}, [{'>=', '$1', From}, {'<', '$1', To}], ['$_']}]),
    true = Found =:= [object(K, Size) || K <- lists:seq(From, To - 1)].

%% One object of ten is written again, one is deleted, and one that was not there is put in place of it.
change(T, Keys, Size) ->
    each(0, 10, Keys, fun(K) -> true = bets:update_element(T, K, {2, changed}) end),
    each(1, 10, Keys, fun(K) -> true = bets:delete(T, K) end),
    each(1, 10, Keys, fun(K) -> true = bets:insert_new(T, object(Keys + K, Size)) end),
    Keys = bets:info(T, size),
    Changed = (Keys + 9) div 10,
    Changed = bets:select_count(T, [{{'_', changed, '_'}, [], [true]}]).

%% A value says which key it belongs to, in every part of it. Only shared until the object is encoded.
object(K, Size) ->
    {K, K rem ?GROUPS, binary:copy(<<(erlang:phash2(K)):32, K:32>>, Size div 8)}.

step(Name, Fun) ->
    %% Lets the kernel count the peak anew.
    ok = file:write_file("/proc/self/clear_refs", "5"),
    Start = erlang:monotonic_time(millisecond),
    Result = Fun(),
    Peak = peak(),
    io:format("  ~-40s ~8.1f s  ~5b MiB~n", [Name, (erlang:monotonic_time(millisecond) - Start) / 1000, mib(Peak)]),
    Peak =< get(limit) orelse error({above_the_limit, Name, Peak, erlang:memory()}),
    Result.

%% Without what is mapped from files, the VM's own code above all: the kernel may drop that, and a cgroup need not count it.
peak() ->
    {ok, Status} = file:read_file("/proc/self/status"),
    max(0, kib(Status, "VmHWM") - kib(Status, "RssFile")) bsl 10.

kib(Status, Name) ->
    {match, [KiB]} = re:run(Status, Name ++ ":\\s+([0-9]+) kB", [{capture, all_but_first, list}]),
    list_to_integer(KiB).

mib(Bytes) -> Bytes bsr 20.
