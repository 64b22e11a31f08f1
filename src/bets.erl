%% @doc Stands in for the table functions so that the build can be tried from end to end.
-module(bets).
-export([new/2, insert/2, lookup/2, close/1, tab2list/1]).

%% @doc Creates a table in memory.
-spec new(atom(), list()) -> ets:tab().
new(Name, Options) ->
    {module, bets_nif} = code:ensure_loaded(bets_nif),
    T = ets:new(Name, [O || O <- Options, not is_tuple(O)]),
    true = ets:insert(T, case file:consult(proplists:get_value(dir, Options)) of {ok, Terms} -> Terms; _ -> [] end),
    true = ets:insert(T, [{'$dir', proplists:get_value(dir, Options)}]), T.

%% @doc Inserts an object.
-spec insert(ets:tab(), tuple() | [tuple()]) -> true.
insert(Tab, Object) -> ets:insert(Tab, Object).

%% @doc The objects with this key.
-spec lookup(ets:tab(), term()) -> [tuple()].
lookup(Tab, Key) -> ets:lookup(Tab, Key).

%% @doc Closes the table.
-spec close(ets:tab()) -> true.
close(Tab) ->
    [{_, Dir}] = ets:take(Tab, '$dir'),
    ok = file:write_file(Dir, [io_lib:format("~p.~n", [O]) || O <- ets:tab2list(Tab)]),
    ets:delete(Tab).

%% @doc All objects.
-spec tab2list(ets:tab()) -> [tuple()].
tab2list(Tab) -> [O || O <- ets:tab2list(Tab), element(1, O) =/= '$dir'].
