%% @private
%% The application: it closes all tables when it stops.
-module(bets_app).

-behaviour(application).

-include_lib("kernel/include/logger.hrl").

-export([start/2, stop/1]).
-export([ensure_started/0]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Args) ->
    case bets_sup:start_link() of
        {ok, Pid} ->
            %% Where no file can be opened any more, no module can be loaded either, and that has to be told.
            {module, bets_errors} = code:ensure_loaded(bets_errors),
            bound_cache(application:get_env(bets, cache)),
            sweep(),
            {ok, Pid};
        Other ->
            {error, Other}
    end.

%% Without a bound of its own the cache takes up to an eighth of the memory that the VM may use.
bound_cache({ok, Bytes}) when is_integer(Bytes), Bytes >= 0 -> ok = bets_nif:set_cache(Bytes);
bound_cache({ok, Other}) -> error({bad_cache, Other, "the environment variable cache of bets is a number of bytes"});
bound_cache(undefined) -> ok.

sweep() ->
    case bets_nif:sweep(bets_dir:temporary_root()) of
        Swept when is_integer(Swept), Swept > 0 ->
            ?LOG_INFO("bets: removed ~w directories of temporary tables that dead VMs left", [Swept]);
        _ ->
            ok
    end.

-spec stop(term()) -> ok.
stop(_State) ->
    ok = bets_nif:close_all().

%% @private Starts the application if it is not: without it, tables work but nobody closes them when the VM stops.
-spec ensure_started() -> ok.
ensure_started() ->
    case whereis(bets_sup) of
        undefined -> start_unless_stopping(init:get_status());
        _Pid -> ok
    end.

start_unless_stopping({stopping, _}) ->
    ok;
start_unless_stopping(_Status) ->
    %% It may fail when bets is on the code path without its .app file; tables work all the same.
    _ = application:ensure_all_started(bets),
    ok.
