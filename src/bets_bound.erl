%% @private
%% Specifications of one clause that names a key: what costs about a lookup has no time for being analysed.
%%
%% The key's objects come with one call, and the commonest specifications (`bets_plain') are not compiled. For all that is not sure the answer is
%% `none', and who asked goes the long way: there, errors come in the order that ets has for them.
-module(bets_bound).

-export([results/2]).

%% The results of the specification on the objects of its key.
-spec results(bets:table(), term()) -> [term()] | none.
results(Tab, [{Pattern, _Guards, _Body}] = Spec) when is_tuple(Pattern) ->
    case bets_nif:lookup_pattern(Tab, Pattern) of
        %% In an `ordered_set' a key is found by what is `==' to it, so its constant is looked at once more.
        [_Keypos | Objects] -> of_objects(Objects, bets_plain:plan(Spec), Spec);
        _ -> none
    end;
results(_Tab, _Spec) ->
    none.

of_objects(Objects, none, Spec) ->
    case bets_spec:compile(Spec) of
        {ok, Compiled} -> ets:match_spec_run(Objects, Compiled);
        _Failure -> none
    end;
of_objects(Objects, Plan, _Spec) ->
    bets_plain:results(Objects, Plan, []).
