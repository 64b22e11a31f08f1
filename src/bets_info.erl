%% @private
%% What info/1,2 and i/0 tell of tables.
-module(bets_info).

-export([all/1, item/2, print/0]).

%% The items of ets, in the order of ets, before those of bets.
-spec all(bets:table()) -> [{atom(), term()}] | undefined | bets_errors:failure().
all(Tab) ->
    case bets_nif:info(Tab) of
        Items when is_list(Items) -> lists:flatmap(fun item_of_ets/1, Items);
        Other -> Other
    end.

item_of_ets({memory, Bytes}) -> [{memory, words(Bytes)}];
item_of_ets({size, _} = Size) -> [Size, {node, node()}];
item_of_ets(Item) -> [Item].

words(Bytes) ->
    Word = erlang:system_info(wordsize),
    (Bytes + Word - 1) div Word.

-spec item(bets:table(), term()) -> {ok, term()} | bets_errors:failure().
item(Tab, Item) ->
    case all(Tab) of
        %% ets fixes the table for this item, and so wants one.
        undefined when Item =:= binary ->
            {badarg, id};
        undefined ->
            {ok, undefined};
        Items when is_list(Items) ->
            case lists:keyfind(Item, 1, Items ++ more()) of
                {_, Value} when is_atom(Item) -> {ok, Value};
                _ -> {badarg, none}
            end;
        Failure ->
            Failure
    end.

%% Items that only info/2 knows.
more() ->
    [{fixed, false}, {safe_fixed, false}, {safe_fixed_monotonic_time, false}, {binary, []}].

-spec print() -> ok.
print() ->
    row([id, name, type, size, mem, owner]),
    io:put_chars([" ", lists:duplicate(76, $-), "\n"]),
    lists:foreach(fun print_table/1, lists:sort(bets_nif:all())).

print_table(Tab) ->
    case all(Tab) of
        Items when is_list(Items) ->
            [Name, Type, Size, Memory, Owner] =
                [proplists:get_value(Item, Items) || Item <- [name, type, size, memory, owner]],
            row([Tab, Name, Type, Size, Memory, registered(Owner)]);
        _Gone ->
            ok
    end.

registered(Owner) ->
    case process_info(Owner, registered_name) of
        {registered_name, Name} -> Name;
        _ -> Owner
    end.

row(Terms) ->
    Cells = lists:zipwith(fun cell/2, Terms, [15, 17, 5, 6, 8, 0]),
    io:format(" ~ts~n", [lists:join(" ", Cells)]).

cell(Term, Width) ->
    string:pad(io_lib:format("~tp", [Term]), Width).
