%% @private
%% safe_fixtable/2 and slot/2.
-module(bets_fix).

-export([set/2, slot/2]).

-spec set(bets:table(), term()) -> true | bets_errors:failure().
set(Tab, true) ->
    Monotonic = erlang:monotonic_time(),
    Microseconds = erlang:convert_time_unit(Monotonic + erlang:time_offset(), native, microsecond),
    Timestamp = {Microseconds div 1000000000000, Microseconds div 1000000 rem 1000000, Microseconds rem 1000000},
    bets_nif:fix(Tab, Monotonic, Timestamp);
set(Tab, false) ->
    bets_nif:unfix(Tab);
set(Tab, _Fix) ->
    case bets_nif:describe(Tab, read) of
        {badarg, _} = Failure -> Failure;
        _ -> {badarg, none}
    end.

-spec slot(bets:table(), term()) -> [tuple()] | '$end_of_table' | bets_errors:failure().
slot(Tab, Slot) ->
    case bets_nif:slot(Tab, Slot) of
        Keys when is_list(Keys) -> objects(Tab, Keys, []);
        Other -> Other
    end.

objects(Tab, [Key | Keys], Acc) ->
    case bets_nif:lookup(Tab, Key) of
        Objects when is_list(Objects) -> objects(Tab, Keys, [Objects | Acc]);
        Failure -> Failure
    end;
objects(_Tab, [], Acc) ->
    lists:append(lists:reverse(Acc)).
