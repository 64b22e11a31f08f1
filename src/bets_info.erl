%% @private
%% What info/1,2 and i/0 tell of tables.
-module(bets_info).

-export([all/1, item/2, of_ets/1, print/0]).

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

%% The items of ets alone.
-spec of_ets(bets:table()) -> [{atom(), term()}] | undefined | bets_errors:failure().
of_ets(Tab) ->
    case all(Tab) of
        Items when is_list(Items) -> lists:takewhile(fun({Item, _}) -> Item =/= protection end, Items) ++ [lists:keyfind(protection, 1, Items)];
        Other -> Other
    end.

-spec item(bets:table(), term()) -> {ok, term()} | bets_errors:failure().
item(Tab, Item) ->
    case all(Tab) of
        %% ets fixes the table for this item, and so wants one.
        undefined when Item =:= binary ->
            {badarg, id};
        undefined ->
            {ok, undefined};
        Items when is_list(Items) ->
            case lists:keyfind(Item, 1, Items) of
                {_, Value} -> {ok, Value};
                false -> more(Tab, Item, Items)
            end;
        Failure ->
            Failure
    end.

%% Items that only info/2 knows.
more(Tab, Item, _Items) when Item =:= fixed; Item =:= safe_fixed; Item =:= safe_fixed_monotonic_time ->
    case {bets_nif:fixes(Tab), Item} of
        {{_, _, _}, fixed} -> {ok, true};
        {{_, Timestamp, Holders}, safe_fixed} -> {ok, {Timestamp, Holders}};
        {{Monotonic, _, Holders}, safe_fixed_monotonic_time} -> {ok, {Monotonic, Holders}};
        {NoFixes, _} -> {ok, NoFixes}
    end;
more(_Tab, merge, Items) ->
    {ok, bets_merger:status(proplists:get_value(id, Items))};
more(Tab, segment_stats, _Items) ->
    case bets_nif:segment_stats(Tab) of
        Stats when is_list(Stats) -> {ok, [segment(Segment) || Segment <- Stats]};
        Failure -> Failure
    end;
more(_Tab, binary, _Items) ->
    {ok, []};
more(_Tab, stats, Items) ->
    case lists:keyfind(type, 1, Items) of
        {type, ordered_set} ->
            {ok, false};
        _ ->
            {ok, {proplists:get_value(size, Items), proplists:get_value(segments, Items), proplists:get_value(disk_bytes, Items)}}
    end;
more(_Tab, _Item, _Items) ->
    {badarg, none}.

segment({Id, First, Last, Bytes, Dead, Kept, Damaged}) ->
    #{id => Id, first_seq => First, last_seq => Last, bytes => Bytes, dead_bytes => Dead, kept_bytes => Kept, damaged => Damaged}.

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
