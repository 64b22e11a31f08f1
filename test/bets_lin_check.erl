%% Is a history linearizable? The search of Wing and Gong, with Lowe's memory of what was tried.
%%
%% A history is linearizable if each operation can be given one instant between its call and its return such
%% that the answers are those of the model at these instants. The search tries, as the next one, every
%% operation that was called before any of those that are left returned; a pair of (operations done, state
%% of the model) that has failed once is not tried again. Histories are short, so the exponential worst case
%% does not matter: 4 processes with 6 operations take less than a millisecond.
-module(bets_lin_check).

-export([is_linearizable/2]).

%% Called and returned are instants of one clock that no two events share.
-type event() :: {Called :: integer(), Returned :: integer(), bets_lin_model:op(), Answer :: term()}.
-export_type([event/0]).

-spec is_linearizable(bets_lin_model:model(), [event()]) -> boolean().
is_linearizable(Model, Events) ->
    Numbered = lists:zip(lists:seq(0, length(Events) - 1), lists:keysort(1, Events)),
    {Found, _} = search(Numbered, 0, Model, #{}),
    Found.

%% `Left' is ordered by call. `Tried' holds what led nowhere.
search([], _Done, _Model, Tried) ->
    {true, Tried};
search(Left, Done, Model, Tried) when is_map_key({Done, Model}, Tried) ->
    _ = Left,
    {false, Tried};
search(Left, Done, Model, Tried) ->
    FirstReturn = lists:min([Returned || {_, {_, Returned, _, _}} <- Left]),
    Candidates = lists:takewhile(fun({_, {Called, _, _, _}}) -> Called < FirstReturn end, Left),
    try_each(Candidates, Left, Done, Model, Tried).

try_each([], _Left, Done, Model, Tried) ->
    {false, Tried#{{Done, Model} => true}};
try_each([{N, {_, _, Op, Answer}} = Candidate | Others], Left, Done, Model, Tried) ->
    case bets_lin_model:step(Op, Model) of
        {Answer, Next} ->
            case search(lists:delete(Candidate, Left), Done bor (1 bsl N), Next, Tried) of
                {true, _} = Found -> Found;
                {false, More} -> try_each(Others, Left, Done, Model, More)
            end;
        _ ->
            try_each(Others, Left, Done, Model, Tried)
    end.
