%% @private
%% Which keys are one.
%%
%% That is for the table to say: it keeps the rule of the OTP release that it was created under, while `=:=' has that of the running one, and the
%% two differ in whether `0.0' and `-0.0' are the same.
-module(bets_key).

-export([has_zero/1, same/3]).

%% Whether two keys are one key of the table.
-spec same(bets:table(), bets:key(), bets:key()) -> boolean().
same(_Tab, A, B) when is_integer(A); is_atom(A); is_binary(A) -> A =:= B;
same(Tab, A, B) -> bets_nif:same_key(Tab, A, B) =:= true.

%% Whether a zero of one sign or the other stands somewhere in the term.
-spec has_zero(term()) -> boolean().
has_zero(Float) when is_float(Float) -> Float == 0;
has_zero([Head | Tail]) -> has_zero(Head) orelse has_zero(Tail);
has_zero(Tuple) when is_tuple(Tuple) -> has_zero(tuple_to_list(Tuple));
has_zero(Map) when is_map(Map) -> has_zero(maps:to_list(Map));
has_zero(_Term) -> false.
