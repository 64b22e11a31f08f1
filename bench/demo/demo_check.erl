%% Compares tables object by object, in both directions.
-module(demo_check).

-export([same/2, contained/2, lost/2]).

%% How many objects the two indexes differ in; each difference is printed, up to a few.
-spec same(demo_tables:tables(), demo_tables:tables()) -> non_neg_integer().
same(Tables, Reference) ->
    contained(Tables, Reference) + contained(Reference, Tables).

%% How many objects of the first index the second does not have just so.
-spec contained(demo_tables:tables(), demo_tables:tables()) -> non_neg_integer().
contained(Tables, Others) ->
    lists:sum([contained(Name, Tables, Others) || Name <- demo_tables:names()]).

contained(Name, #{library := Library} = Tables, #{library := Other} = Others) ->
    OtherTable = maps:get(Name, Others),
    Library:foldl(
        fun(Object, Differences) ->
            case Other:lookup(OtherTable, element(1, Object)) of
                [Object] -> Differences;
                Found -> differs(Name, Library, Object, Other, Found, Differences)
            end
        end,
        0,
        maps:get(Name, Tables)
    ).

differs(Name, Library, Object, Other, Found, Differences) ->
    Differences < 5 andalso
        io:format("  DIFFERENT in ~s: ~s has ~0tP, ~s has ~0tP~n", [Name, Library, Object, 20, Other, Found, 20]),
    Differences + 1.

%% How many of the modules are not in the index.
-spec lost(demo_tables:tables(), [module()]) -> non_neg_integer().
lost(#{library := Library, modules := Modules}, Done) ->
    Lost = [Module || Module <- Done, not Library:member(Modules, Module)],
    [io:format("  LOST: ~ts was reported as written~n", [Module]) || Module <- lists:sublist(Lost, 5)],
    length(Lost).
