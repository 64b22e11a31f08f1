%% @private
%% Which keys are one.
%%
%% That is for the table to say: it keeps the rule of the OTP release that it was created under, while `=:=' has that of the running one, and the
%% two differ in whether `0.0' and `-0.0' are the same.
-module(bets_key).

-export([has_zero/1, same/3]).

%% Whether two keys are one key of the table, which is not one in the order of its keys.
-spec same(bets:table(), bets:key(), bets:key()) -> boolean().
same(Tab, A, B) ->
    case has_zero(A) of
        true -> bets_nif:same_key(Tab, A, B) =:= true;
        false -> A =:= B
    end.

%% Whether a zero of one sign or the other may stand somewhere in the term: a fun does not tell.
-spec has_zero(term()) -> boolean().
has_zero(Float) when is_float(Float) -> Float == 0;
has_zero(Fun) when is_function(Fun) -> true;
has_zero([Head | Tail]) -> has_zero(Head) orelse has_zero(Tail);
has_zero(Tuple) when is_tuple(Tuple) -> has_zero(tuple_to_list(Tuple));
has_zero(Map) when is_map(Map) -> has_zero(maps:to_list(Map));
has_zero(_Term) -> false.
