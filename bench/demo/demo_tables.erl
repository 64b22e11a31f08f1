%% The tables of the index, the same whether they lie in bets or in ets.
%%
%%   functions   {Function, Application}
%%   calls       {{Callee, Caller}, Sites}
%%   modules     {Module, Application, Functions, Calls}, written when all else of a module has been
%%   callers     {Callee, [Caller]}, made from calls when every module has been read
-module(demo_tables).

-export([names/0, dir/2, create/2, open/1, ets/0, close/1]).
-export_type([tables/0]).

-type tables() :: #{library := bets | ets, functions := term(), calls := term(), modules := term(), callers := term()}.

-spec names() -> [atom()].
names() ->
    [functions, calls, modules, callers].

-spec dir(atom(), file:filename()) -> file:filename().
dir(Name, Dir) ->
    filename:join(Dir, Name).

%% New bets tables. `Options' come on top of `public' and `dir'.
-spec create(file:filename(), [term()]) -> tables().
create(Dir, Options) ->
    tables(bets, fun(Name) -> bets:new(Name, [set, public, {dir, dir(Name, Dir)} | Options]) end).

%% The bets tables that are there.
-spec open(file:filename()) -> tables().
open(Dir) ->
    tables(bets, fun(Name) ->
        {ok, Table} = bets:open(dir(Name, Dir), [public]),
        Table
    end).

-spec ets() -> tables().
ets() ->
    tables(ets, fun(Name) -> ets:new(Name, [set, public]) end).

-spec close(tables()) -> ok.
close(#{library := bets} = Tables) ->
    lists:foreach(fun(Name) -> bets:close(maps:get(Name, Tables)) end, names()).

tables(Library, Make) ->
    maps:from_list([{library, Library} | [{Name, Make(Name)} || Name <- names()]]).
