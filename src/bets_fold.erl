%% @private
%% Goes through all objects of a table in steps that no scheduler feels.
-module(bets_fold).

-export([foldl/3, foldr/3, step/4, to_list/1]).

-define(OBJECTS_MAX, 100).

-type place() :: tuple() | [tuple() | non_neg_integer(), ...].

%% The function sees each object as it is when its turn comes, as in ets: when the table was written to since the step was
%% read, the rest of it is read again. Steps start small and grow as long as nothing is written.
-spec foldl(fun((tuple(), Acc) -> Acc), Acc, bets:table()) -> {ok, Acc} | bets_errors:failure().
foldl(Fun, Acc, Tab) ->
    case bets_fold_bag:keypos(Tab) of
        none -> steps(forward, Fun, Acc, Tab, start, 8);
        KeyPos -> bets_fold_bag:fold(fun(Objects, Acc1) -> lists:foldl(Fun, Acc1, Objects) end, Acc, Tab, KeyPos)
    end.

-spec foldr(fun((tuple(), Acc) -> Acc), Acc, bets:table()) -> {ok, Acc} | bets_errors:failure().
foldr(Fun, Acc, Tab) ->
    case bets_fold_bag:keypos(Tab) of
        none -> steps(backward, Fun, Acc, Tab, start, 8);
        KeyPos -> bets_fold_bag:fold(fun(Objects, Acc1) -> lists:foldr(Fun, Acc1, Objects) end, Acc, Tab, KeyPos)
    end.

steps(Direction, Fun, Acc, Tab, From, Limit) ->
    case scan(Direction, Tab, From, Limit) of
        {Objects, State, Version} ->
            visit(Direction, Fun, Acc, Tab, From, lists:reverse(Objects), State, Version, Limit);
        Failure ->
            Failure
    end.

visit(Direction, Fun, Acc, Tab, _From, [Object | Objects], State, Version, Limit) ->
    Acc1 = fold_one(Direction, Fun, Acc, Object),
    case bets_nif:version(Tab) of
        Version -> visit(Direction, Fun, Acc1, Tab, Object, Objects, State, Version, Limit);
        Changed when is_integer(Changed) -> steps(Direction, Fun, Acc1, Tab, Object, 1);
        Failure -> Failure
    end;
visit(_Direction, _Fun, Acc, _Tab, _From, [], done, _Version, _Limit) ->
    {ok, Acc};
visit(Direction, Fun, Acc, Tab, From, [], more, _Version, Limit) ->
    steps(Direction, Fun, Acc, Tab, From, min(2 * Limit, ?OBJECTS_MAX)).

%% By the functions that ets uses, so that what is no function raises the same.
fold_one(forward, Fun, Acc, Object) -> lists:foldl(Fun, Acc, [Object]);
fold_one(backward, Fun, Acc, Object) -> lists:foldr(Fun, Acc, [Object]).

scan(forward, Tab, From, Limit) -> bets_nif:scan(Tab, From, Limit);
scan(backward, Tab, From, Limit) -> bets_nif:scan_back(Tab, From, Limit).

-spec to_list(bets:table()) -> {ok, [tuple()]} | bets_errors:failure().
to_list(Tab) ->
    to_list(Tab, start, []).

to_list(Tab, From, Acc) ->
    case bets_nif:scan(Tab, From, ?OBJECTS_MAX) of
        {[Last | _] = Objects, more, _} -> to_list(Tab, Last, Objects ++ Acc);
        {[], more, _} -> to_list(Tab, From, Acc);
        {[Last | _] = Objects, Seq, _} when is_integer(Seq) -> to_list(Tab, [Last, Seq], Objects ++ Acc);
        {Objects, done, _} -> {ok, lists:reverse(Objects ++ Acc)};
        Failure -> Failure
    end.

%% For lazy enumerables: at most `Limit' objects behind `From', and what to ask for next.
-spec step(forward | backward, bets:table(), start | place(), pos_integer()) -> {[tuple()], place() | start | done}.
step(Direction, Tab, From, Limit) ->
    case scan(Direction, Tab, From, min(Limit, ?OBJECTS_MAX)) of
        {Objects, done, _} -> {lists:reverse(Objects), done};
        {[Last | _] = Objects, more, _} -> {lists:reverse(Objects), Last};
        {[], more, _} -> {[], From};
        {[Last | _] = Objects, Seq, _} when is_integer(Seq) -> {lists:reverse(Objects), [Last, Seq]};
        Failure -> erlang:error(bets_errors:reason(Failure), [Tab, From], bets_errors:options(Failure))
    end.
