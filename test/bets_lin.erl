%% The parallel test: 2 to 4 processes run short lists of operations on a few keys of one table at once, and
%% their answers are checked for linearizability (`bets_lin_check') against a model (`bets_lin_model').
%%
%% List inserts, insert_new of lists, delete_all_objects, update_counter, take and the rest count as one
%% instant each. Not checked: traversals and folds, which ets does not promise to be one instant.
%%
%% A watcher runs in addition (watch/1): one process inserts two keys together in one list, again and again,
%% while others read first one key and then the other. The second answer must be as new as the first one. It
%% says little that a history does not, but some hundred thousand times a second.
-module(bets_lin).

-export([run/1, watch/1, format/1, op/0]).

-include_lib("proper/include/proper.hrl").

-define(KEYS, [a, 1, 1.0, {b, <<"b">>}]).

%% Runs random histories. Options, with their defaults:
%%   module    the table module (bets)           mutant     fault of bets_diff_ref (none)
%%   histories how many (10,000)                 seed       integer (random)
%%   dir       directory of the table (none: a temporary table)
%%   type      of the table (set)
%%   progress  called with a line of text now and then
%% Returns counts, or the first history that is not linearizable. The operations come back with the seed; how the
%% processes interleave does not, so the history itself is the report.
-spec run(map()) -> {ok, map()} | {failed, map()}.
run(Options) ->
    Opts = maps:merge(#{module => bets, mutant => none, type => set, histories => 10000, seed => erlang:phash2(make_ref(), 1 bsl 30),
                        dir => none, progress => fun(_) -> ok end}, Options),
    bets_diff_ref:set_mutant(maps:get(mutant, Opts)),
    Clock = atomics:new(1, []),
    Started = erlang:monotonic_time(millisecond),
    %% Bound to schedulers: else the one that wakes them tends to run them one after the other.
    Workers = [spawn_opt(fun() -> worker(Clock) end, [link, {scheduler, N rem erlang:system_info(schedulers_online) + 1}])
               || N <- lists:seq(1, 4)],
    Tab = new_table(Opts),
    Result = histories(1, Opts, Tab, Workers, #{seed => maps:get(seed, Opts), histories => 0, operations => 0, overlaps => 0}),
    drop_table(Opts, Tab),
    [begin unlink(Worker), exit(Worker, kill) end || Worker <- Workers],
    {Tag, Map} = Result,
    {Tag, Map#{ms => erlang:monotonic_time(millisecond) - Started}}.

-spec format({ok, map()} | {failed, map()}) -> iolist().
format({ok, #{histories := N, operations := Ops, overlaps := Overlaps, seed := Seed, ms := Ms}}) ->
    io_lib:format("linearizable: ~w histories, ~w operations, ~w of which overlapped another; ~.1f s, ~w histories/s; seed ~w~n",
                  [N, Ops, Overlaps, Ms / 1000, N * 1000 div max(1, Ms), Seed]);
format({ok, #{writes := Writes, reads := Reads, seconds := Seconds}}) ->
    io_lib:format("no half-seen list: ~w looks, ~w list inserts, ~w s~n", [Reads, Writes, Seconds]);
format({failed, #{seed := Seed, number := N, setup := Setup, history := History}}) ->
    io_lib:format("NOT LINEARIZABLE: history ~w of seed ~w~nthe table before: ~tp~n~ts",
                  [N, Seed, Setup, [io_lib:format("  ~w: ~w..~w  ~tp -> ~tp~n", [P, C, R, Op, Answer]) || {P, {C, R, Op, Answer}} <- History]]);
format({failed, #{first := First, second := Second}}) ->
    io_lib:format("HALF-SEEN LIST: read ~tp, then ~tp~n", [First, Second]).

new_table(#{module := Module, dir := Dir, type := Type}) ->
    Opts = [Type, public, {read_concurrency, true}, {write_concurrency, true}] ++ [{dir, Dir} || Dir =/= none],
    Module:new(lin, Opts).

drop_table(#{module := Module}, Tab) -> Module:delete(Tab).

histories(N, #{histories := Last}, _Tab, _Workers, Counts) when N > Last ->
    {ok, Counts};
histories(N, Opts, Tab, Workers, Counts) ->
    N rem 1000 =:= 0 andalso (maps:get(progress, Opts))(io_lib:format("~w of ~w histories", [N, maps:get(histories, Opts)])),
    {ok, {Setup, Lists}} = proper_gen:pick(parallel(), 10, {maps:get(seed, Opts), N, 2}),
    Module = maps:get(module, Opts),
    true = Module:delete_all_objects(Tab),
    true = Module:insert(Tab, Setup),
    History = play(Module, Tab, lists:zip(lists:sublist(Workers, length(Lists)), Lists)),
    Events = [Event || {_, Event} <- History],
    {_, Model} = bets_lin_model:step({insert, Setup}, bets_lin_model:new(maps:get(type, Opts))),
    case bets_lin_check:is_linearizable(Model, Events) of
        true ->
            #{operations := Ops, overlaps := Overlaps} = Counts,
            histories(N + 1, Opts, Tab, Workers,
                      Counts#{histories := N, operations := Ops + length(Events), overlaps := Overlaps + overlaps(Events)});
        false ->
            {failed, #{seed => maps:get(seed, Opts), number => N, setup => Setup, history => lists:keysort(1, History)}}
    end.

overlaps(Events) ->
    length([x || {C, R, _, _} <- Events, lists:any(fun({C1, R1, _, _}) -> C1 > C andalso C1 < R orelse C > C1 andalso C < R1 end, Events)]).

%% What the table holds before, and a list of operations for each process.
parallel() ->
    ?LET(Processes, range(2, 4),
         {?LET(N, range(0, 3), vector(N, object())), vector(Processes, ?LET(N, range(2, 12 div Processes + 2), vector(N, op())))}).

%% An operation of the parallel test.
-spec op() -> proper_types:type().
op() ->
    Key = key(),
    Object = object(),
    Objects = ?LET(N, range(2, 4), vector(N, Object)),
    frequency([{4, {insert, Object}}, {5, {insert, Objects}}, {3, {insert_new, Object}}, {3, {insert_new, Objects}},
               {8, {lookup, Key}}, {2, {member, Key}}, {4, {take, Key}}, {2, {delete, Key}}, {2, {delete_object, Object}},
               {1, delete_all_objects}, {5, {update_counter, Key, range(1, 3)}},
               {3, {update_counter, Key, range(1, 3), {new, 0}}}, {2, {update_element, Key, {2, range(1, 9)}}}]).

object() -> {key(), range(0, 9)}.

key() -> ?LET(N, range(1, length(?KEYS)), lists:nth(N, ?KEYS)).

%% All begin together: they spin until the last one is there.
play(Module, Tab, Parts) ->
    Gate = atomics:new(1, []),
    N = length(Parts),
    [Worker ! {play, self(), Gate, N, Module, Tab, Ops} || {Worker, Ops} <- Parts],
    lists:append([receive {Worker, Events} -> [{P, Event} || Event <- Events] end
                  || {P, {Worker, _}} <- lists:zip(lists:seq(1, N), Parts)]).

worker(Clock) ->
    receive
        {play, From, Gate, N, Module, Tab, Ops} ->
            atomics:add(Gate, 1, 1),
            spin(Gate, N),
            From ! {self(), [event(Clock, Module, Tab, Op) || Op <- Ops]},
            worker(Clock)
    end.

spin(Gate, N) -> spin(Gate, N, 300).

spin(Gate, N, Left) ->
    case atomics:get(Gate, 1) of
        N -> ok;
        _ when Left > 0 -> spin(Gate, N, Left - 1);
        _ -> erlang:yield(), spin(Gate, N, 300)
    end.

%% The clock is a counter: it orders events of all processes, and is at least as strict as time.
event(Clock, Module, Tab, Op) ->
    Called = atomics:add_get(Clock, 1, 1),
    Answer = bets_lin_model:apply_to(Module, Tab, Op),
    {Called, atomics:add_get(Clock, 1, 1), Op, Answer}.

%% Watches for half-seen lists: `seconds' (2), `module', `mutant', `dir' and `readers' (3).
-spec watch(map()) -> {ok, map()} | {failed, map()}.
watch(Options) ->
    Opts = #{module := Module} = maps:merge(#{module => bets, mutant => none, type => set, dir => none, seconds => 2, readers => 3}, Options),
    bets_diff_ref:set_mutant(maps:get(mutant, Opts)),
    Tab = new_table(Opts),
    Module:insert(Tab, [{left, 0}, {right, 0}]),
    Stop = atomics:new(1, []),
    Self = self(),
    Writer = spawn_link(fun() -> Self ! {self(), write(Module, Tab, Stop, 1)} end),
    Readers = [spawn_link(fun() -> Self ! {self(), look(Module, Tab, Stop, 0)} end) || _ <- lists:seq(1, maps:get(readers, Opts))],
    timer:sleep(1000 * maps:get(seconds, Opts)),
    atomics:put(Stop, 1, 1),
    Writes = receive {Writer, W} -> W end,
    Looks = [receive {Reader, R} -> R end || Reader <- Readers],
    drop_table(Opts, Tab),
    case [Half || {half, Half} <- Looks] of
        [] -> {ok, #{writes => Writes, reads => lists:sum([R || {whole, R} <- Looks]), seconds => maps:get(seconds, Opts)}};
        [{First, Second} | _] -> {failed, #{first => First, second => Second}}
    end.

write(Module, Tab, Stop, N) ->
    case atomics:get(Stop, 1) of
        1 ->
            N;
        0 ->
            %% The order in the list changes, so that neither key is always the first.
            Pair = [{left, N}, {right, N}],
            true = Module:insert(Tab, case N rem 2 of 0 -> Pair; 1 -> lists:reverse(Pair) end),
            write(Module, Tab, Stop, N + 1)
    end.

look(Module, Tab, Stop, N) ->
    {One, Two} = case N rem 2 of 0 -> {left, right}; 1 -> {right, left} end,
    First = Module:lookup(Tab, One),
    Second = Module:lookup(Tab, Two),
    case {First, Second, atomics:get(Stop, 1)} of
        {[{_, A}], [{_, B}], Stopped} when B >= A ->
            case Stopped of
                1 -> {whole, N};
                0 -> look(Module, Tab, Stop, N + 1)
            end;
        _ ->
            {half, {First, Second}}
    end.
