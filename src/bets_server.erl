%% @private
%% A process that owns a table: it opens it when it starts and closes it when its supervisor stops it. Both faces use it.
%% Reads and writes do not pass through it.
-module(bets_server).

-behaviour(gen_server).

-export([child_spec/1, start_link/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

%% Closing waits for the disk; a supervisor kills what takes longer, and then the table closes by itself.
-define(SHUTDOWN_MS, 30_000).

-spec child_spec([bets:server_option()]) -> supervisor:child_spec().
child_spec(Options) ->
    #{
        id => {bets, proplists:get_value(name, Options)},
        start => {bets, start_link, [Options]},
        shutdown => ?SHUTDOWN_MS,
        modules => [?MODULE]
    }.

-spec start_link([bets:server_option()]) -> {ok, pid()} | {error, bets_errors:reason()}.
start_link(Options) ->
    gen_server:start_link(?MODULE, Options, []).

-spec init(term()) -> {ok, reference(), hibernate} | {stop, bets_errors:reason()}.
init(Options) ->
    process_flag(trap_exit, true),
    case open(Options) of
        {ok, Name} -> {ok, bets:whereis(Name), hibernate};
        {badarg, none} -> {stop, {bad_options, Options}};
        {_, Reason} -> {stop, Reason}
    end.

open(Options) when length(Options) >= 0 ->
    case lists:keytake(name, 1, Options) of
        {value, {name, Name}, Rest} when is_atom(Name) -> bets_opener:new(Name, [named_table | shared(Rest)]);
        _ -> {badarg, {bad_options, no_name}}
    end;
open(_NoList) ->
    {badarg, none}.

%% The owner itself neither reads nor writes, so a table that only it may write to would be of no use.
shared(Options) ->
    case lists:any(fun(Option) -> lists:member(Option, [protected, private]) end, Options) of
        true -> Options;
        false -> [public | Options]
    end.

-spec handle_call(term(), gen_server:from(), reference()) -> {reply, {error, unknown_call}, reference()}.
handle_call(_Request, _From, Table) ->
    {reply, {error, unknown_call}, Table}.

-spec handle_cast(term(), reference()) -> {noreply, reference()}.
handle_cast(_Request, Table) ->
    {noreply, Table}.

-spec handle_info(term(), reference()) -> {noreply, reference()}.
handle_info(_Message, Table) ->
    {noreply, Table}.

-spec terminate(term(), reference()) -> ok.
terminate(_Reason, Table) ->
    try
        bets:close(Table)
    catch
        %% Someone has closed or deleted it already.
        error:badarg -> ok
    end.
