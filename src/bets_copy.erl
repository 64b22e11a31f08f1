%% @private
%% Filling tables: init_table/2, and from and to dets.
-module(bets_copy).

-export([init/2, from_dets/2, to_dets/2]).

-define(OBJECTS_MAX, 100).

%% Objects are stored one by one as they come, as in ets.
-spec init(bets:table(), fun()) -> true.
init(Tab, Fun) ->
    continue(Tab, Fun(read)).

continue(_Tab, end_of_input) ->
    true;
continue(Tab, {Objects, Fun}) when is_list(Objects), is_function(Fun) ->
    case catch lists:foreach(fun(Object) -> bets:insert(Tab, Object) end, Objects) of
        {'EXIT', Reason} ->
            _ = (catch Fun(close)),
            exit(Reason);
        ok ->
            continue(Tab, Fun(read))
    end;
continue(_Tab, Error) ->
    exit(Error).

%% All objects of a dets table into a table. What goes wrong is given.
-spec from_dets(bets:table(), dets:tab_name()) -> true | {error, term()}.
from_dets(Tab, Dets) ->
    caught(fun() ->
        {_Id, _Type, _Keypos} = writable(bets_nif:describe(Tab, write)),
        case dets:foldl(fun(Object, true) -> bets:insert(Tab, Object) end, true, Dets) of
            true -> true;
            {error, _} = Error -> Error
        end
    end).

writable({badarg, _Cause}) -> erlang:error(badarg);
writable(Described) -> Described.

%% The objects of a table in the place of those of a dets table. What goes wrong is given.
-spec to_dets(bets:table(), dets:tab_name()) -> ok | {error, term()}.
to_dets(Tab, Dets) ->
    caught(fun() ->
        First = bets:match_object(Tab, '_', ?OBJECTS_MAX),
        dets:init_table(Dets, fun(Request) -> read(Request, First) end)
    end).

read(close, _Chunk) -> ok;
read(read, '$end_of_table') -> end_of_input;
read(read, {Objects, Continuation}) -> {Objects, fun(Request) -> later(Request, Continuation) end}.

later(close, _Continuation) -> ok;
later(read, Continuation) -> read(read, bets:match_object(Continuation)).

caught(Fun) ->
    try
        Fun()
    catch
        error:Reason -> {error, Reason};
        exit:Reason -> {error, Reason};
        throw:Reason -> {error, Reason}
    end.
