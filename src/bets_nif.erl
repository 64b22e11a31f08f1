%% @private
-module(bets_nif).

-export([key_encode/2, key_decode/1, object_encode/2, object_decode/3, object_element/3, object_replace/4]).

-on_load(load/0).

load() ->
    Nif =
        case os:getenv("BETS_NIF") of
            false -> filename:join(code:priv_dir(bets), "bets_nif");
            Path -> Path
        end,
    erlang:load_nif(Nif, 0).

key_encode(_Term, _Form) -> erlang:nif_error(not_loaded).
key_decode(_Bytes) -> erlang:nif_error(not_loaded).
object_encode(_Tuple, _Keypos) -> erlang:nif_error(not_loaded).
object_decode(_Key, _Keypos, _Bytes) -> erlang:nif_error(not_loaded).
object_element(_Bytes, _Keypos, _Pos) -> erlang:nif_error(not_loaded).
object_replace(_Bytes, _Keypos, _Pos, _Term) -> erlang:nif_error(not_loaded).
