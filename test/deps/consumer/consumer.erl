%% The program of the two projects that take bets as a dependency: what they call is written here once.
-module(consumer).
-export([main/0]).

-spec main() -> no_return().
main() ->
    {ok, _} = application:ensure_all_started(bets),
    Dir = os:getenv("CONSUMER_DIR"),
    Objects = table(Dir, [{a, 1}]),
    [{a, 1}] = Objects,
    [{a, 1}, {b, 2}] = lists:sort(table(Dir, [{b, 2}])),
    io:format("consumer: objects kept in ~ts~n", [Dir]),
    halt(0).

%% Opens the table (the first time it is made), inserts, and gives back all that it holds once closed and opened again.
table(Dir, Objects) ->
    T = bets:new(t, [set, named_table, public, {dir, Dir}]),
    true = bets:insert(T, Objects),
    [[Object] = bets:lookup(T, element(1, Object)) || Object <- Objects],
    bets:close(T),
    T2 = bets:new(t, [set, named_table, public, {dir, Dir}]),
    All = bets:tab2list(T2),
    bets:close(T2),
    All.
