%% @private
-module(bets_nif).
-on_load(init/0).

init() ->
    erlang:load_nif(filename:join(priv_dir(), "bets_nif"), 0).

%% code:priv_dir/1 knows the application only by its place on the code path; a beam that was
%% loaded from elsewhere still finds the priv beside its own ebin.
priv_dir() ->
    case code:priv_dir(bets) of
        {error, bad_name} ->
            filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), "priv");
        Dir ->
            Dir
    end.
