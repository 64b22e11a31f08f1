%% @doc Stands in for the table functions so that the build can be tried from end to end.
-module(bets).
-export([new/2, insert/2, lookup/2, close/1]).

%% @doc Creates a table in memory.
-spec new(atom(), [term()]) -> ets:tab().
new(Name, Options) ->
    {module, bets_nif} = code:ensure_loaded(bets_nif),
    ets:new(Name, [O || O <- Options, not is_tuple(O)]).

%% @doc Inserts an object.
-spec insert(ets:tab(), tuple()) -> true.
insert(Tab, Object) -> ets:insert(Tab, Object).

%% @doc The objects with this key.
-spec lookup(ets:tab(), term()) -> [tuple()].
lookup(Tab, Key) -> ets:lookup(Tab, Key).

%% @doc Closes the table.
-spec close(ets:tab()) -> true.
close(Tab) -> ets:delete(Tab).
