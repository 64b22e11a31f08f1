%% @private
%% Folds over tables in which a key has many objects.
%%
%% As in ets, keys are visited in the table's order, and the objects of a key are seen as they were together at one moment, whatever
%% the function does to them.
-module(bets_fold_bag).

-export([keypos/1, fold/4]).

-define(OBJECTS_MAX, 100).

%% The position of the key, or `none' if the table is no bag, or none at all.
-spec keypos(bets:table()) -> pos_integer() | none.
keypos(Tab) ->
    case bets_nif:info(Tab) of
        Items when is_list(Items) ->
            case proplists:get_value(type, Items) of
                Type when Type =:= bag; Type =:= duplicate_bag -> proplists:get_value(keypos, Items);
                _ -> none
            end;
        _Gone ->
            none
    end.

%% Calls the function with the objects of each key. When the table was written to since a step was read, the rest of it is read
%% again. Steps start small and grow as long as nothing is written.
-spec fold(fun(([tuple(), ...], Acc) -> Acc), Acc, bets:table(), pos_integer()) ->
    {ok, Acc} | bets_errors:failure().
fold(Fun, Acc, Tab, KeyPos) ->
    keys(Fun, Acc, Tab, KeyPos, start, 8).

keys(Fun, Acc, Tab, KeyPos, From, Limit) ->
    case bets_nif:scan(Tab, From, Limit) of
        {[], done, _} ->
            {ok, Acc};
        {[], more, _} ->
            keys(Fun, Acc, Tab, KeyPos, From, Limit);
        {[Object | _], Seq, _} when is_integer(Seq) ->
            case bets_nif:lookup(Tab, element(KeyPos, Object)) of
                [] ->
                    keys(Fun, Acc, Tab, KeyPos, Object, Limit);
                Objects when is_list(Objects) ->
                    keys(Fun, Fun(Objects, Acc), Tab, KeyPos, Object, Limit);
                Failure ->
                    Failure
            end;
        {Objects, State, Version} ->
            visit_keys(Fun, Acc, Tab, KeyPos, by_key(Tab, KeyPos, Objects), State, Version, Limit);
        Failure ->
            Failure
    end.

visit_keys(Fun, Acc, Tab, KeyPos, [Objects | Keys], State, Version, Limit) ->
    Acc1 = Fun(Objects, Acc),
    case bets_nif:version(Tab) of
        Version when Keys =:= [], State =:= done -> {ok, Acc1};
        Version when Keys =:= [] -> keys(Fun, Acc1, Tab, KeyPos, hd(Objects), min(2 * Limit, ?OBJECTS_MAX));
        Version -> visit_keys(Fun, Acc1, Tab, KeyPos, Keys, State, Version, Limit);
        Changed when is_integer(Changed) -> keys(Fun, Acc1, Tab, KeyPos, hd(Objects), 1);
        Failure -> Failure
    end.

%% From the last object to the first, to lists of those of each key, from the first to the last.
by_key(Tab, KeyPos, Objects) ->
    lists:foldl(
        fun
            (Object, [[Next | _] = Same | Others] = Keys) ->
                case bets_key:same(Tab, element(KeyPos, Object), element(KeyPos, Next)) of
                    true -> [[Object | Same] | Others];
                    false -> [[Object] | Keys]
                end;
            (Object, []) ->
                [[Object]]
        end,
        [],
        Objects
    ).
