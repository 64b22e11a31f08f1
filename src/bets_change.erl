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
        {_, bag, _} -> {badarg, table_type};
        {_, Type, Keypos} -> replace(Tab, Spec, Type, Keypos);
        Failure -> Failure
    end.

replace(Tab, Spec, Type, Keypos) ->
    case bets_match:query(Tab, write, Spec, forward) of
        {ok, Query} ->
            case bets_spec:keeps_key(Spec, Type, Keypos) of
                true when Type =:= duplicate_bag -> by_key(Query, Spec, Keypos);
                true -> change(Query, Spec, fun pairs/1, replacer(0));
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
    Chosen = chooser(Spec, Choose),
    Apply = fun(Objects, Acc) -> apply_to(Tab, Objects, Chosen, Change, Acc) end,
    changed(Tab, bets_match:fold(Query, Apply, #changed{})).

chooser(Spec, Choose) ->
    {ok, Marked} = bets_spec:compile(bets_spec:mark(Spec)),
    fun(Objects) -> Choose(ets:match_spec_run(Objects, Marked)) end.

changed(_Tab, {ok, #changed{count = Count, commit = none}}) -> Count;
changed(Tab, {ok, #changed{count = Count, commit = Commit}}) -> {durable, Tab, Commit, Count};
changed(_Tab, Failure) -> Failure.

replacer(Through) ->
    fun(Tab, Pairs) -> bets_nif:replace_objects(Tab, Pairs, Through) end.

%% In a bag, what replaces an object stands behind the other objects of its key: the objects of a key are looked at once, together, or a
%% traversal would meet the new ones. One that equals an object that is replaced too is told from it by its seq.
by_key(_Query, [], _Keypos) ->
    0;
by_key(Query, Spec, Keypos) ->
    Tab = bets_match:table(Query),
    Choose = chooser(Spec, fun(Results) -> once(pairs(Results), #{}) end),
    Apply = fun(Objects, {Done, Acc}) ->
        by_key(Tab, lists:reverse(Objects), Keypos, Choose, Done, Acc)
    end,
    case bets_match:fold(Query, Apply, {none, #changed{}}) of
        {ok, {_, Acc}} -> changed(Tab, {ok, Acc});
        Failure -> Failure
    end.

by_key(_Tab, [], _Keypos, _Choose, Done, Acc) ->
    {ok, {Done, Acc}};
by_key(Tab, [Object | Objects], Keypos, Choose, Done, Acc) ->
    Key = element(Keypos, Object),
    case Done =/= none andalso bets_key:same(Tab, Key, hd(Done)) of
        true ->
            by_key(Tab, Objects, Keypos, Choose, Done, Acc);
        false ->
            case replace_key(Tab, Key, Choose, bets_nif:version(Tab), Acc) of
                {ok, Acc1} -> by_key(Tab, Objects, Keypos, Choose, [Key], Acc1);
                Failure -> Failure
            end
    end.

replace_key(Tab, Key, Choose, Through, Acc) when is_integer(Through) ->
    again(Tab, [Key], Choose, replacer(Through), Acc);
replace_key(_Tab, _Key, _Choose, Failure, _Acc) ->
    Failure.

%% All copies of an object are replaced together. One that `=:=' alone holds for a copy, since it has a zero of another sign, stays.
once([Pair | Pairs], Seen) ->
    case Seen of
        #{Pair := Same} ->
            case bets_key:has_zero(Pair) andalso term_to_binary(Same) =/= term_to_binary(Pair) of
                true -> [Pair | once(Pairs, Seen)];
                false -> once(Pairs, Seen)
            end;
        #{} ->
            [Pair | once(Pairs, Seen#{Pair => Pair})]
    end;
once([], _Seen) ->
    [].

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
