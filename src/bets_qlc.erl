%% @private
%% table/2: a table as the source of a query of `qlc'.
-module(bets_qlc).

-export([table/2]).

-define(OBJECTS_MAX, 100).

%% `badarg' if an option of the traversal is none; other options are those of `qlc:table/2'.
-spec table(bets:table(), term()) -> {ok, qlc:query_handle()} | {badarg, none}.
table(Tab, Options) ->
    List = listify(Options),
    case {traverse(lists:keyfind(traverse, 1, List)), objects(lists:keyfind(n_objects, 1, List))} of
        {{ok, Traverse}, {ok, Objects}} ->
            Rest = lists:keydelete(n_objects, 1, lists:keydelete(traverse, 1, List)),
            {ok, qlc:table(traversal(Tab, Traverse, Objects), qlc_options(Tab, Options, Traverse) ++ Rest)};
        _ ->
            {badarg, none}
    end.

listify(Options) when is_list(Options) -> Options;
listify(Option) -> [Option].

traverse(false) -> {ok, select};
traverse({traverse, {select, _} = Select}) -> {ok, Select};
traverse({traverse, How}) when How =:= select; How =:= first_next; How =:= last_prev -> {ok, How};
traverse(_) -> badarg.

objects(false) -> {ok, ?OBJECTS_MAX};
objects({n_objects, default}) -> {ok, ?OBJECTS_MAX};
objects({n_objects, N}) when is_integer(N), N >= 1 -> {ok, N};
objects(_) -> badarg.

traversal(Tab, first_next, _) -> fun() -> next(Tab, bets:first(Tab)) end;
traversal(Tab, last_prev, _) -> fun() -> prev(Tab, bets:last(Tab)) end;
traversal(Tab, select, Objects) -> fun(MatchSpec) -> select(bets:select(Tab, MatchSpec, Objects)) end;
traversal(Tab, {select, MatchSpec}, Objects) -> fun() -> select(bets:select(Tab, MatchSpec, Objects)) end.

next(_Tab, '$end_of_table') -> [];
next(Tab, Key) -> bets:lookup(Tab, Key) ++ fun() -> next(Tab, bets:next(Tab, Key)) end.

prev(_Tab, '$end_of_table') -> [];
prev(Tab, Key) -> bets:lookup(Tab, Key) ++ fun() -> prev(Tab, bets:prev(Tab, Key)) end.

select('$end_of_table') -> [];
select({Objects, Continuation}) -> Objects ++ fun() -> select(bets:select(Continuation)) end.

qlc_options(Tab, Options, Traverse) ->
    [
        {pre_fun, fun(_) -> bets:safe_fixtable(Tab, true) end},
        {post_fun, fun() -> bets:safe_fixtable(Tab, false) end},
        {info_fun, fun(Item) -> info(Tab, Item) end},
        {format_fun, fun(What) -> format(Tab, Options, What) end},
        {key_equality, case bets:info(Tab, type) of ordered_set -> '=='; _ -> '=:=' end},
        {lookup_fun, lookup(Tab, Traverse)}
    ].

lookup(_Tab, {select, _MatchSpec}) -> undefined;
lookup(Tab, _Traverse) -> fun(_Position, Keys) -> lists:flatmap(fun(Key) -> bets:lookup(Tab, Key) end, Keys) end.

info(Tab, num_of_objects) -> bets:info(Tab, size);
info(Tab, keypos) -> bets:info(Tab, keypos);
info(Tab, is_unique_objects) -> bets:info(Tab, type) =/= duplicate_bag;
info(Tab, is_sorted_key) -> bets:info(Tab, type) =:= ordered_set;
info(_Tab, _Item) -> undefined.

%% What qlc:info/1 shows.
format(Tab, [], {all, _Elements, _Show}) ->
    {bets, table, [Tab]};
format(Tab, Options, {all, _Elements, _Show}) ->
    {bets, table, [Tab, Options]};
format(Tab, Options, {match_spec, MatchSpec}) ->
    {bets, table, [Tab, [{traverse, {select, MatchSpec}} | listify(Options)]]};
%% An identifier has no text that reads back.
format(Tab, _Options, {lookup, _Position, [Key], _Elements, Show}) when is_atom(Tab) ->
    io_lib:format("bets:lookup(~w, ~w)", [Tab, Show(Key)]);
format(Tab, _Options, {lookup, _Position, [Key], _Elements, _Show}) ->
    {bets, lookup, [Tab, Key]};
format(Tab, _Options, {lookup, _Position, Keys, _Elements, Show}) when is_atom(Tab) ->
    io_lib:format("lists:flatmap(fun(V) -> bets:lookup(~w, V) end, ~w)", [Tab, [Show(Key) || Key <- Keys]]);
format(Tab, _Options, {lookup, _Position, Keys, _Elements, _Show}) ->
    {bets, lookup, [Tab, {any, Keys}]}.
