%% Questions that a person would ask the index.
-module(demo_ask).

-export([all/1]).

-spec all(demo_tables:tables()) -> ok.
all(Tables) ->
    who_calls({lists, keyfind, 3}, Tables),
    most_exports(Tables),
    most_called(Tables),
    never_called(stdlib, Tables).

who_calls(MFA, #{callers := Callers}) ->
    Found =
        case bets:lookup(Callers, MFA) of
            [{MFA, All}] -> All;
            [] -> []
        end,
    ByModule = lists:reverse(lists:keysort(2, maps:to_list(count([M || {M, _, _} <- Found])))),
    io:format("~n  Who calls ~ts?~n", [show(MFA)]),
    io:format("    ~b functions in ~b modules, most of them in ~ts.~n", [
        length(Found), length(ByModule), listed([io_lib:format("~ts (~b)", [M, N]) || {M, N} <- top(ByModule)])
    ]).

most_exports(#{modules := Modules}) ->
    Sizes = bets:foldl(fun({Module, _App, Functions, _Calls}, Acc) -> [{Functions, Module} | Acc] end, [], Modules),
    io:format("~n  Which modules export most functions?~n"),
    io:format("    ~ts.~n", [listed([io_lib:format("~ts (~b)", [M, N]) || {N, M} <- top(descending(Sizes))])]).

most_called(#{callers := Callers}) ->
    Counts = bets:foldl(fun({Callee, Its}, Acc) -> [{length(Its), Callee} | Acc] end, [], Callers),
    io:format("~n  Which functions are called by most others?~n"),
    io:format("    ~ts.~n", [listed([io_lib:format("~ts (~b)", [show(F), N]) || {N, F} <- top(descending(Counts))])]).

never_called(App, #{functions := Functions, callers := Callers}) ->
    {Total, Unused} = bets:foldl(
        fun
            ({{_, module_info, _}, _}, Acc) -> Acc;
            ({MFA, A}, {N, Acc}) when A =:= App ->
                case bets:member(Callers, MFA) of
                    true -> {N + 1, Acc};
                    false -> {N + 1, [MFA | Acc]}
                end;
            (_, Acc) -> Acc
        end,
        {0, []},
        Functions
    ),
    io:format("~n  Which exports of ~s does nobody in OTP call by name?~n", [App]),
    io:format("    ~b of ~b, among them ~ts.~n", [
        length(Unused), Total, listed([show(MFA) || MFA <- spread(lists:sort(Unused), 4)])
    ]).

%% A few from all over a list.
spread(List, N) when length(List) =< N ->
    List;
spread(List, N) ->
    Step = length(List) div N,
    [lists:nth(1 + I * Step, List) || I <- lists:seq(0, N - 1)].

count(Items) ->
    lists:foldl(fun(Item, Acc) -> maps:update_with(Item, fun(N) -> N + 1 end, 1, Acc) end, #{}, Items).

top(List) -> lists:sublist(List, 3).

descending(List) -> lists:reverse(lists:sort(List)).

listed(Items) -> lists:join(", ", Items).

show({M, F, A}) -> io_lib:format("~tp:~tp/~b", [M, F, A]).
