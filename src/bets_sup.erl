%% @private
%% The top supervisor. Most work is done by threads of the NIF library; only merges have a process.
-module(bets_sup).

-behaviour(supervisor).

-export([start_link/0, init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    {ok, {#{}, [#{id => bets_merger, start => {bets_merger, start_link, []}}]}}.
