%% @private
%% select_delete/2 and select_replace/2. Each object is changed by itself, and only if it is still the one that matched; if
%% another one stands in its place by then, that is asked again.
-module(bets_change).

-export([delete/2, replace/2]).

-type result() :: non_neg_integer().
-type outcome() :: result() | {durable, reference(), non_neg_integer(), result()} | bets_match:failure().

-record(changed, {count = 0 :: non_neg_integer(), commit = none :: none | non_neg_integer()}).

-spec delete(bets:table(), term()) -> outcome().
delete(Tab, [{'_', [], [true]}]) ->
    bets_nif:clear(Tab);
delete(Tab, Spec) ->
    case bets_match:query(Tab, write, Spec, forward) of
        {ok, Query} -> change(Query, Spec, fun victims/1, fun bets_nif:delete_objects/2);
        Failure -> Failure
    end.

victims(Results) -> [Object || {Object, true} <- Results].

-spec replace(bets:table(), term()) -> outcome().
replace(Tab, Spec) ->
    case bets_nif:describe(Tab, write) of
        {_, Type, _} when Type =:= bag; Type =:= duplicate_bag -> {badarg, table_type};
        {_, Type, Keypos} -> replace(Tab, Spec, Type, Keypos);
        Failure -> Failure
    end.

replace(Tab, Spec, Type, Keypos) ->
    case bets_match:query(Tab, write, Spec, forward) of
        {ok, Query} ->
            case bets_spec:keeps_key(Spec, Type, Keypos) of
                true -> change(Query, Spec, fun pairs/1, fun bets_nif:replace_objects/2);
                false -> {badarg, none}
            end;
        Failure ->
            Failure
    end.

pairs(Results) -> [[Old | New] || {Old, New} <- Results].

change(_Query, [], _Choose, _Change) ->
    0;
change(Query, Spec, Choose, Change) ->
    Tab = bets_match:table(Query),
    {ok, Marked} = bets_spec:compile(bets_spec:mark(Spec)),
    Apply = fun(Objects, Acc) ->
        apply_to(Tab, Objects, fun(List) -> Choose(ets:match_spec_run(List, Marked)) end, Change, Acc)
    end,
    case bets_match:fold(Query, Apply, #changed{}) of
        {ok, #changed{count = Count, commit = none}} -> Count;
        {ok, #changed{count = Count, commit = Commit}} -> {durable, Tab, Commit, Count};
        Failure -> Failure
    end.

apply_to(Tab, Objects, Choose, Change, Acc) ->
    case Choose(lists:reverse(Objects)) of
        [] -> {ok, Acc};
        Chosen -> steps(Tab, Chosen, Choose, Change, Acc)
    end.

steps(_Tab, [], _Choose, _Change, Acc) ->
    {ok, Acc};
steps(Tab, Chosen, Choose, Change, Acc) ->
    case Change(Tab, Chosen) of
        {durable, _, Commit, Step} -> stepped(Tab, Step, Choose, Change, Acc#changed{commit = Commit});
        {_, _, _} = Step -> stepped(Tab, Step, Choose, Change, Acc);
        Failure -> Failure
    end.

stepped(Tab, {Count, Changed, Rest}, Choose, Change, #changed{count = Sum} = Acc) ->
    case again(Tab, Changed, Choose, Change, Acc#changed{count = Sum + Count}) of
        {ok, Acc1} -> steps(Tab, Rest, Choose, Change, Acc1);
        Failure -> Failure
    end.

again(_Tab, [], _Choose, _Change, Acc) ->
    {ok, Acc};
again(Tab, [Key | Keys], Choose, Change, Acc) ->
    case bets_nif:lookup(Tab, Key) of
        Objects when is_list(Objects) ->
            case apply_to(Tab, Objects, Choose, Change, Acc) of
                {ok, Acc1} -> again(Tab, Keys, Choose, Change, Acc1);
                Failure -> Failure
            end;
        Failure ->
            Failure
    end.
