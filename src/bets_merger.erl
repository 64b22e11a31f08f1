%% @private
%% The process that merges: all tables. It looks from time to time for which of them a merge is due, and carries
%% merges out step by step, each step a call to a dirty scheduler. Between two steps it listens. Merges go one after the other, but for those that have to keep to a
%% rate: they would hold up the others, so each goes on beside them.
-module(bets_merger).

-behaviour(gen_server).

-include_lib("kernel/include/logger.hrl").

-export([start_link/0]).
-export([merge/1, command/2, status/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% What a step takes at most, which ends after 25 milliseconds anyway. Between two steps the processors change hands, which those who read and write may have to wait for.
-define(STEP_BYTES, (32 bsl 20)).
-define(STEP_BYTES_MIN, (16 bsl 10)).
%% A table whose merge failed is left alone for a while, in milliseconds.
-define(RETRY_AFTER, 60_000).
-define(HISTORY, 10).

-record(job, {
    tab :: reference(),
    %% Who waits for the result.
    callers = [] :: [gen_server:from()],
    choice :: everything | due,
    %% What merge_start/2 gave; undefined before the first step.
    rate :: pos_integer() | infinity | undefined,
    started = 0 :: integer(),
    done = 0 :: non_neg_integer(),
    %% The message that makes the next step.
    next :: reference() | undefined
}).

-record(state, {
    running = #{} :: #{reference() => #job{}},
    queue = [] :: [#job{}],
    paused = #{} :: #{reference() => []},
    failed = #{} :: #{reference() => Until :: integer()},
    subscribers = #{} :: #{reference() => [{pid(), reference()}]}
}).

-spec start_link() -> {ok, pid()} | {error, term()} | ignore.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Merges all there is to merge, and waits for it.
-spec merge(bets:table()) -> bets:merge_report() | bets_errors:failure().
merge(Tab) ->
    call(merge, Tab).

-spec command(bets:table(), pause | resume | cancel | subscribe | unsubscribe) -> boolean() | bets_errors:failure().
command(Tab, Command) when Command =:= pause; Command =:= resume; Command =:= cancel; Command =:= subscribe; Command =:= unsubscribe ->
    call(Command, Tab);
command(_Tab, Command) ->
    {badarg, {bad_command, Command}}.

call(Command, Tab) ->
    ok = bets_app:ensure_started(),
    case identifier(Tab) of
        undefined ->
            {badarg, id};
        Id ->
            try
                gen_server:call(?MODULE, {Command, Id, self()}, infinity)
            catch
                exit:{Reason, _} when Reason =:= noproc; Reason =:= shutdown; Reason =:= normal -> {bets, not_started}
            end
    end.

identifier(Tab) ->
    case bets_nif:info(Tab) of
        Items when is_list(Items) -> proplists:get_value(id, Items);
        _ -> undefined
    end.

%% What info/2 tells. Waits for nobody.
-spec status(reference()) -> map().
status(Id) ->
    Status =
        case lookup({status, Id}) of
            [{_, Known}] -> Known;
            [] -> #{state => idle}
        end,
    case lookup({history, Id}) of
        [{_, History}] -> Status#{history => History};
        [] -> Status#{history => []}
    end.

lookup(Key) ->
    try
        ets:lookup(?MODULE, Key)
    catch
        error:badarg -> []
    end.

%% ---------------------------------------------------------------- the process

-spec init([]) -> {ok, #state{}}.
init([]) ->
    ?MODULE = ets:new(?MODULE, [named_table, {read_concurrency, true}]),
    poll_later(),
    {ok, #state{}}.

poll_later() ->
    erlang:send_after(application:get_env(bets, merge_interval, 5000), self(), poll).

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}} | {reply, term(), #state{}}.
handle_call({merge, Tab, _}, From, #state{queue = Queue} = State) ->
    {noreply, go_on(State#state{queue = Queue ++ [#job{tab = Tab, callers = [From], choice = everything}]})};
handle_call({pause, Tab, _}, _From, #state{paused = Paused} = State) ->
    {reply, true, go_on(show(Tab, put_back(Tab, State#state{paused = Paused#{Tab => []}})))};
handle_call({resume, Tab, _}, _From, #state{paused = Paused} = State) ->
    {reply, is_map_key(Tab, Paused), go_on(show(Tab, State#state{paused = maps:remove(Tab, Paused)}))};
handle_call({cancel, Tab, _}, _From, #state{running = Running} = State) when is_map_key(Tab, Running) ->
    #{Tab := Job} = Running,
    case bets_nif:merge_cancel(Tab) of
        true -> {reply, true, go_on(finish(Job, {bets, merge_cancelled}, State))};
        Other -> {reply, Other, State}
    end;
handle_call({cancel, Tab, _}, _From, #state{queue = Queue} = State) ->
    case lists:partition(fun(#job{tab = T, rate = Rate}) -> T =:= Tab andalso Rate =/= undefined end, Queue) of
        {[Job], Rest} ->
            case bets_nif:merge_cancel(Tab) of
                true -> {reply, true, finish(Job, {bets, merge_cancelled}, State#state{queue = Rest})};
                Other -> {reply, Other, State}
            end;
        {[], _} ->
            {reply, false, State}
    end;
handle_call({subscribe, Tab, Pid}, _From, #state{subscribers = Subscribers} = State) ->
    Others = lists:keydelete(Pid, 1, maps:get(Tab, Subscribers, [])),
    {reply, true, State#state{subscribers = Subscribers#{Tab => [{Pid, monitor(process, Pid)} | Others]}}};
handle_call({unsubscribe, Tab, Pid}, _From, State) ->
    {reply, true, unsubscribe(fun(T, P) -> {T, P} =:= {Tab, Pid} end, State)}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_Request, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({step, Tab, Next}, #state{running = Running} = State) ->
    case Running of
        #{Tab := #job{next = Next} = Job} -> {noreply, step(Job, State)};
        #{} -> {noreply, State}
    end;
handle_info(poll, State) ->
    poll_later(),
    {noreply, go_on(poll(sweep(State)))};
handle_info({'DOWN', _Monitor, process, Pid, _}, State) ->
    {noreply, unsubscribe(fun(_, P) -> P =:= Pid end, State)};
handle_info(_Message, State) ->
    {noreply, State}.

unsubscribe(IsMeant, #state{subscribers = Subscribers} = State) ->
    Left = maps:map(
        fun(Tab, Pids) ->
            {Gone, Kept} = lists:partition(fun({Pid, _}) -> IsMeant(Tab, Pid) end, Pids),
            lists:foreach(fun({_, Monitor}) -> demonitor(Monitor, [flush]) end, Gone),
            Kept
        end,
        Subscribers
    ),
    State#state{subscribers = maps:filter(fun(_, Pids) -> Pids =/= [] end, Left)}.

%% Forgets what is known of tables that are closed.
sweep(#state{running = Running, queue = Queue, paused = Paused, failed = Failed, subscribers = Subscribers} = State) ->
    Now = erlang:monotonic_time(millisecond),
    IsOpen = fun(Tab) -> identifier(Tab) =/= undefined end,
    Known = lists:usort([Tab || {{_, Tab}, _} <- ets:tab2list(?MODULE)]),
    Closed = [Tab || Tab <- Known, not IsOpen(Tab)],
    lists:foreach(fun(Tab) -> ets:delete(?MODULE, {status, Tab}), ets:delete(?MODULE, {history, Tab}) end, Closed),
    {Left, Gone} = lists:partition(fun(#job{tab = Tab}) -> IsOpen(Tab) end, maps:values(Running) ++ Queue),
    lists:foreach(fun(Job) -> reply(Job, {badarg, id}) end, Gone),
    State#state{
        running = maps:filter(fun(_, Job) -> lists:member(Job, Left) end, Running),
        queue = [Job || Job <- Queue, lists:member(Job, Left)],
        paused = maps:filter(fun(Tab, _) -> IsOpen(Tab) end, Paused),
        failed = maps:filter(fun(Tab, Until) -> Until > Now andalso IsOpen(Tab) end, Failed),
        subscribers = maps:filter(fun(Tab, _) -> IsOpen(Tab) end, Subscribers)
    }.

%% Adds the tables for which a merge is due.
poll(#state{running = Running, queue = Queue, paused = Paused, failed = Failed} = State) ->
    {_, {Hour, _, _}} = calendar:local_time(),
    Known = maps:keys(Running) ++ [Tab || #job{tab = Tab} <- Queue],
    Due = [
        #job{tab = Tab, choice = due}
     || Tab <- bets_nif:merge_due(Hour),
        not lists:member(Tab, Known),
        not is_map_key(Tab, Paused),
        not is_map_key(Tab, Failed)
    ],
    State#state{queue = Queue ++ Due}.

%% The merge of a table that is paused makes way for others.
put_back(Tab, #state{running = Running, queue = Queue} = State) ->
    case maps:take(Tab, Running) of
        {Job, Others} -> State#state{running = Others, queue = [Job | Queue]};
        error -> State
    end.

%% Begins the next merge, or carries on one that was paused, if none is running but such as keep to a rate. A table has one merge at a time.
go_on(#state{running = Running, queue = Queue, paused = Paused} = State) ->
    Waits = fun(#job{tab = Tab}) -> is_map_key(Tab, Paused) orelse is_map_key(Tab, Running) end,
    case {lists:any(fun(#job{rate = Rate}) -> Rate =:= infinity end, maps:values(Running)), lists:splitwith(Waits, Queue)} of
        {true, _} -> State;
        {false, {_, []}} -> State;
        {false, {Waiting, [Job | Rest]}} -> start(Job, State#state{queue = Waiting ++ Rest})
    end.

start(#job{tab = Tab, rate = Rate} = Job, State) when Rate =/= undefined ->
    go_on(show(Tab, step_after(0, Job, State)));
start(#job{tab = Tab, choice = Choice} = Job, State) ->
    case bets_nif:merge_start(Tab, Choice) of
        {ok, Rate} ->
            started(Job, Rate, State);
        {bets, merging} ->
            %% A process of this module that died has left it.
            started(Job, infinity, State);
        nothing ->
            reply(Job, report({[], [], [], {0, 0}, {0, 0, 0}}, 0)),
            go_on(State);
        Failure ->
            go_on(finish(Job, Failure, State))
    end.

started(#job{tab = Tab} = Job, Rate, State) ->
    tell(Tab, start, #{}, State),
    go_on(show(Tab, step_after(0, Job#job{rate = Rate, started = erlang:monotonic_time(millisecond)}, State))).

%% One message a merge is on its way, so that a merge keeps to its rate.
step_after(Milliseconds, #job{tab = Tab} = Job, #state{running = Running} = State) ->
    Next = make_ref(),
    _ = erlang:send_after(Milliseconds, self(), {step, Tab, Next}),
    State#state{running = Running#{Tab => Job#job{next = Next}}}.

step(#job{tab = Tab, rate = Rate, done = Before} = Job, State) ->
    case bets_nif:merge_step(Tab, step_bytes(Rate)) of
        {done, _, _, Report} ->
            Took = erlang:monotonic_time(millisecond) - Job#job.started,
            go_on(finish(Job, report(Report, Took), State));
        {Phase, Done, Total, Report} ->
            ets:insert(?MODULE, {{status, Tab}, #{state => running, phase => Phase, done => Done, total => Total}}),
            tell(Tab, progress, #{phase => Phase, done => Done, total => Total, report => report(Report, 0)}, State),
            step_after(pause(Rate, Done - Before), Job#job{done = Done}, State);
        nothing ->
            go_on(finish(Job, {bets, merge_cancelled}, State));
        Failure ->
            go_on(finish(Job, Failure, State))
    end.

%% With a rate, the pause behind a step is a tenth of a second if that is possible.
step_bytes(infinity) -> ?STEP_BYTES;
step_bytes(Rate) -> max(?STEP_BYTES_MIN, min(?STEP_BYTES, Rate div 10)).

%% So long after that many bytes, in milliseconds.
pause(infinity, _Bytes) -> 0;
pause(Rate, Bytes) -> max(0, Bytes) * 1000 div Rate.

finish(#job{tab = Tab} = Job, #{} = Report, State) ->
    ets:delete(?MODULE, {status, Tab}),
    History = maps:get(history, status(Tab)),
    ets:insert(?MODULE, {{history, Tab}, lists:sublist([Report | History], ?HISTORY)}),
    tell(Tab, stop, #{report => Report}, State),
    reply(Job, Report),
    show(Tab, ended(Tab, State));
finish(#job{tab = Tab} = Job, Failure, #state{failed = Failed} = State) ->
    ets:delete(?MODULE, {status, Tab}),
    tell(Tab, failure, #{reason => Failure}, State),
    log(Tab, Failure),
    reply(Job, Failure),
    Until = erlang:monotonic_time(millisecond) + ?RETRY_AFTER,
    show(Tab, ended(Tab, State#state{failed = Failed#{Tab => Until}})).

ended(Tab, #state{running = Running} = State) -> State#state{running = maps:remove(Tab, Running)}.

%% A table that was closed meanwhile is no failure worth a line.
log(_Tab, {badarg, _}) -> ok;
log(_Tab, {bets, merge_cancelled}) -> ok;
log(Tab, {bets, Reason}) -> ?LOG_WARNING("bets: a merge of ~tp was given up: ~ts", [bets:info(Tab, name), bets_errors:explain(Reason)]).

reply(#job{callers = Callers}, Result) ->
    lists:foreach(fun(From) -> gen_server:reply(From, Result) end, Callers).

%% Shows whether a table's merges are held up.
show(Tab, #state{paused = Paused, running = Running} = State) ->
    IsRunning = is_map_key(Tab, Running),
    Status =
        case lookup({status, Tab}) of
            [{_, Known}] -> Known;
            [] -> #{}
        end,
    case {is_map_key(Tab, Paused), IsRunning} of
        {true, _} -> ets:insert(?MODULE, {{status, Tab}, Status#{state => paused}});
        {false, true} -> ets:insert(?MODULE, {{status, Tab}, Status#{state => running}});
        {false, false} -> ets:delete(?MODULE, {status, Tab})
    end,
    State.

report({Inputs, Outputs, Damaged, {InputBytes, OutputBytes}, {Copied, Dropped, Kept}}, Took) ->
    #{
        inputs => Inputs,
        outputs => Outputs,
        damaged => Damaged,
        input_bytes => InputBytes,
        output_bytes => OutputBytes,
        copied => Copied,
        dropped => Dropped,
        kept => Kept,
        milliseconds => Took
    }.

%% Tells subscribers, and telemetry if that is there.
tell(Tab, Event, Data, #state{subscribers = Subscribers}) ->
    lists:foreach(fun({Pid, _}) -> Pid ! {bets, merge, Tab, Event, Data} end, maps:get(Tab, Subscribers, [])),
    Telemetry = telemetry,
    case Event =/= progress andalso erlang:function_exported(Telemetry, execute, 3) of
        true -> Telemetry:execute([bets, merge, Event], measurements(Data), maps:put(table, Tab, Data));
        false -> ok
    end.

measurements(#{report := Report}) -> maps:with([input_bytes, output_bytes, copied, dropped, kept, milliseconds], Report);
measurements(_Data) -> #{}.
