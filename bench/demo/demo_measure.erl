%% Inserts and lookups a second of bets, ets and dets, on the objects of the index itself, by one process.
%%
%% The three take turns, three times, and the median counts. bin/bench measures with more care.
-module(demo_measure).

-export([speed/2, disk_bytes/1]).

-define(ROUNDS, 3).
%% dets is so slow that it gets only a part.
-define(DETS_OBJECTS, 20000).

-type rates() :: [{bets | ets | dets, Inserts :: pos_integer(), Lookups :: pos_integer()}].

%% Operations a second, for the objects given, in tables that are made in `Dir' and deleted again.
-spec speed([tuple()], file:filename()) -> rates().
speed(Objects, Dir) ->
    Keys = shuffle([element(1, Object) || Object <- Objects]),
    Some = lists:sublist(Objects, ?DETS_OBJECTS),
    SomeKeys = shuffle([element(1, Object) || Object <- Some]),
    Rounds = [
        [
            {bets, measure(bets, Objects, Keys, Dir)},
            {ets, measure(ets, Objects, Keys, Dir)},
            {dets, measure(dets, Some, SomeKeys, Dir)}
        ]
     || _ <- lists:seq(1, ?ROUNDS)
    ],
    [
        {Library, median([I || Round <- Rounds, {L, {I, _}} <- Round, L =:= Library]),
            median([N || Round <- Rounds, {L, {_, N}} <- Round, L =:= Library])}
     || Library <- [bets, ets, dets]
    ].

measure(Library, Objects, Keys, Dir) ->
    Table = new(Library, Dir),
    Inserts = rate(length(Objects), fun() ->
        lists:foreach(fun(Object) -> Library:insert(Table, Object) end, Objects)
    end),
    Lookups = rate(length(Keys), fun() -> lists:foreach(fun(Key) -> [_] = Library:lookup(Table, Key) end, Keys) end),
    delete(Library, Table, Dir),
    {Inserts, Lookups}.

%% In a process of its own, so that each library meets the same fresh heap.
rate(Count, Fun) ->
    {Pid, Monitor} = spawn_opt(
        fun() ->
            Start = erlang:monotonic_time(nanosecond),
            Fun(),
            exit({took, erlang:monotonic_time(nanosecond) - Start})
        end,
        [monitor]
    ),
    receive
        {'DOWN', Monitor, process, Pid, {took, Ns}} -> Count * 1000000000 div Ns;
        {'DOWN', Monitor, process, Pid, Reason} -> error({measuring, Reason})
    end.

new(bets, Dir) ->
    bets:new(speed, [set, public, {dir, filename:join(Dir, "speed")}]);
new(ets, _Dir) ->
    ets:new(speed, [set, public]);
new(dets, Dir) ->
    {ok, Table} = dets:open_file(speed, [{file, dets_file(Dir)}]),
    Table.

delete(dets, Table, Dir) ->
    ok = dets:close(Table),
    ok = file:delete(dets_file(Dir));
delete(Library, Table, _Dir) ->
    true = Library:delete(Table).

dets_file(Dir) ->
    filename:join(Dir, "speed.dets").

%% Space that the files below a directory take.
-spec disk_bytes(file:filename()) -> non_neg_integer().
disk_bytes(Dir) ->
    [Bytes | _] = string:lexemes(os:cmd(["du -s --block-size=1 -- '", string:replace(Dir, "'", "'\\''", all), "'"]), "\t "),
    list_to_integer(Bytes).

shuffle(Items) ->
    [Item || {_, Item} <- lists:sort([{erlang:phash2({shuffle, Item}), Item} || Item <- Items])].

median(Values) ->
    lists:nth((length(Values) + 1) div 2, lists:sort(Values)).
