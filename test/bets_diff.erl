%% The differential test: random sequences of operations on `ets' and on a table module, with close
%% and reopen, SIGKILL of the VM, and rotation among the operations.
%%
%% run/1 is the whole of it: it starts child VMs, hands them batches, kills them, and shrinks the first
%% sequence that differs. `bets_diff_gen' says what a sequence is, `bets_diff_run' what is compared.
%%
%% Three batches of five have kills. In every other one of these the VM is killed at a random moment
%% first, in the midst of operations; in all of them it is killed when every sequence has come to its own kill.
%% A sequence that was killed between two operations must find exactly what it had; one that was killed in an
%% operation finds it done or not done, and nothing else. Terms that are local to a VM (its pids,
%% references, ports) are keys and values only in sequences without a kill: after a kill they are not
%% the same terms any more.
-module(bets_diff).

-export([run/1, format/1]).

-define(BATCH, 200).

-type options() :: #{module => module(), mutant => atom(), sequences => pos_integer(), seed => integer(),
                     only => pos_integer(), dir => file:name_all(), vms => pos_integer(), min_ops => pos_integer(),
                     max_ops => pos_integer(), max_keys => pos_integer(), type => any | bets:type(), kills => boolean(), shrink => boolean(), progress => fun((iolist()) -> term())}.

%% Runs the test. Options, with their defaults:
%%   module     the table module (bets)          mutant    fault of bets_diff_ref (none)
%%   sequences  how many (10,000)                seed      integer (random)
%%   only       number of the one sequence to run (all)
%%   dir        where tables stand (/dev/shm, else /tmp: to survive SIGKILL takes no disk)
%%   vms        child VMs at a time (2)          max_keys  keys a sequence (20)
%%   min_ops, max_ops   operations a sequence (50, 80)
%%   type       of the tables (any)
%%   kills      whether VMs are killed (true)    shrink    whether to shrink a failure (true)
%%   progress   called with a line of text now and then
%% Returns counts, or the first failure: its number, what differed, and the shrunk sequence as text.
-spec run(options()) -> {ok, map()} | {failed, map()}.
run(Options) ->
    Opts = maps:merge(defaults(), Options),
    Dir = filename:join(maps:get(dir, Opts), "bets_diff_" ++ os:getpid() ++ "_" ++ integer_to_list(erlang:unique_integer([positive]))),
    ok = filelib:ensure_path(Dir),
    Started = erlang:monotonic_time(millisecond),
    try
        case run_batches(Opts#{dir := Dir}, batches(Opts)) of
            {ok, Counts} -> {ok, Counts#{seed => maps:get(seed, Opts), ms => erlang:monotonic_time(millisecond) - Started}};
            {failed, Failure} -> {failed, shrink(Opts, Failure#{seed => maps:get(seed, Opts)})}
        end
    after
        file:del_dir_r(Dir)
    end.

defaults() ->
    #{module => bets, mutant => none, sequences => 10000, seed => erlang:phash2(make_ref(), 1 bsl 30), dir => scratch_dir(),
      vms => 2, min_ops => 50, max_ops => 80, max_keys => 20, type => any, kills => true, shrink => true, progress => fun(_) -> ok end}.

scratch_dir() ->
    case filelib:is_dir("/dev/shm") of
        true -> "/dev/shm";
        false -> "/tmp"
    end.

%% The summary that is printed at the end.
-spec format({ok, map()} | {failed, map()}) -> iolist().
format({ok, #{ms := Ms, seed := Seed} = Counts}) ->
    [Sequences, Values, Raised, Reopens, Kills, Vms] = [maps:get(K, Counts, 0) || K <- [sequences, value, raised, reopened, kills, vms_killed]],
    Ops = maps:get(ops, Counts, 0),
    %% A VM that is killed takes its counts of answers with it; what each last one compared is what can be told.
    io_lib:format("no difference: ~w sequences, ~w operations (at least ~w values and ~w exceptions compared), ~w reopens (~.1f %), "
                  "~w kills of a sequence (~.1f %) by ~w kills of a VM; ~.1f s, ~w sequences/s; seed ~w~n",
                  [Sequences, Ops, Values, Raised, Reopens, percent(Reopens, Ops), Kills, percent(Kills, Ops), Vms, Ms / 1000,
                   Sequences * 1000 div max(1, Ms), Seed]);
format({failed, #{seed := Seed, number := Number, text := Text, sequence := Sequence, reproduced := Reproduced}}) ->
    ["DIFFERENCE in sequence ", integer_to_list(Number), ", seed ", integer_to_list(Seed), "\n", Text,
     case Reproduced of true -> "shrunk to:\n"; false -> "did not come again when shrinking; the whole sequence:\n" end,
     Sequence].

percent(_, 0) -> 0.0;
percent(Part, Whole) -> 100 * Part / Whole.

%% A sequence's number decides its batch and so its kind: `only' and the whole run agree.
batches(#{only := Number}) -> [{(Number - 1) div ?BATCH, [Number]}];
batches(#{sequences := N}) ->
    [{First div ?BATCH, lists:seq(First + 1, min(N, First + ?BATCH))} || First <- lists:seq(0, N - 1, ?BATCH)].

%% Workers, each with a child VM of its own, take batches until none is left or one has failed.
run_batches(#{vms := Vms} = Opts, Batches) ->
    Self = self(),
    Workers = [spawn_monitor(fun() -> worker(Self, Opts) end) || _ <- lists:seq(1, min(Vms, length(Batches)))],
    Result = dispatch(Opts, Batches, #{}, length(Workers)),
    [begin exit(Pid, kill), receive {'DOWN', Monitor, _, _, _} -> ok end end || {Pid, Monitor} <- Workers],
    flush(),
    Result.

dispatch(_Opts, [], Counts, 0) ->
    {ok, Counts};
dispatch(Opts, Batches, Counts, Running) ->
    receive
        {Pid, ready} when Batches =/= [] ->
            Pid ! {batch, hd(Batches)},
            dispatch(Opts, tl(Batches), Counts, Running);
        {_Pid, ready} ->
            dispatch(Opts, [], Counts, Running - 1);
        {_Pid, {done, More}} ->
            New = add(Counts, More),
            progress(Opts, New),
            dispatch(Opts, Batches, New, Running);
        {_Pid, {failed, Failure}} ->
            {failed, Failure};
        {'DOWN', _, process, _, Reason} ->
            error({worker_died, Reason})
    end.

flush() ->
    receive {Pid, _} when is_pid(Pid) -> flush() after 0 -> ok end.

progress(#{progress := Progress, sequences := N}, #{sequences := Done}) ->
    Progress(io_lib:format("~w of ~w sequences", [Done, N])).

worker(Parent, Opts) ->
    rand:seed(exsss, {maps:get(seed, Opts), 0, erlang:unique_integer([positive])}),
    worker(Parent, Opts, bets_diff_vm:start()).

worker(Parent, Opts, Vm) ->
    Parent ! {self(), ready},
    receive
        {batch, {BatchNo, Numbers}} ->
            Batch = (batch(Opts, BatchNo))#{numbers => Numbers},
            {Result, NewVm} = run_batch(Vm, Batch, early_kills(Batch, BatchNo), #{kills => 0, vms_killed => 0, killed_at => #{}}),
            file:del_dir_r(maps:get(dir, Batch)),
            Parent ! {self(), Result},
            worker(Parent, Opts, NewVm)
    end.

batch(#{dir := Dir} = Opts, BatchNo) ->
    Kills = case maps:get(kills, Opts) andalso BatchNo rem 5 < 3 of true -> 2; false -> 0 end,
    (maps:with([module, mutant, seed, min_ops, max_ops, max_keys, type], Opts))#{kills => Kills, dir => filename:join(Dir, "batch_" ++ integer_to_list(BatchNo))}.

%% How often the VM is killed at a random moment, before the kills for which sequences wait.
early_kills(#{kills := 0}, _BatchNo) -> 0;
early_kills(_Batch, BatchNo) -> 2 * (BatchNo rem 2).

run_batch(Vm, Batch, EarlyKills, Run) ->
    bets_diff_vm:run(Vm, bets_diff_batch, run, [Batch]),
    case bets_diff_vm:recv(Vm, infinity) of
        {ok, {started, Resumed}} -> await(Vm, Batch, EarlyKills, resumed(Run, Resumed));
        Other -> {{failed, ended(Batch, Other)}, bets_diff_vm:start()}
    end.

await(Vm, Batch, EarlyKills, Run) ->
    Patience = case EarlyKills of 0 -> infinity; _ -> rand:uniform(150) end,
    case bets_diff_vm:recv(Vm, Patience) of
        timeout ->
            run_batch(killed(Vm), Batch, EarlyKills - 1, killed_once(Run));
        {ok, {parked, Counts}} ->
            run_batch(killed(Vm), Batch, 0, killed_once(add_counts(Run, maps:remove(parked, Counts))));
        {ok, {done, Counts}} ->
            {{done, total(Batch, add_counts(Run, Counts))}, Vm};
        {ok, {failed, Number, Report}} ->
            KillsAt = maps:get(Number, maps:get(killed_at, Run), []),
            %% The other sequences of the batch end before their directories go.
            {{failed, Report#{number => Number, spec => spec(Batch, Number, KillsAt)}}, killed(Vm)};
        Other ->
            {{failed, ended(Batch, Other)}, bets_diff_vm:start()}
    end.

killed(Vm) ->
    ok = bets_diff_vm:kill(Vm),
    bets_diff_vm:start().

killed_once(#{vms_killed := N} = Run) -> Run#{vms_killed := N + 1}.

resumed(#{kills := Kills, killed_at := KilledAt} = Run, Resumed) ->
    Run#{kills := Kills + length(Resumed),
         killed_at := lists:foldl(fun({Number, Acked}, Acc) -> Acc#{Number => [Acked | maps:get(Number, Acc, [])]} end, KilledAt, Resumed)}.

add_counts(Run, Counts) -> Run#{counts => add(maps:get(counts, Run, #{}), Counts)}.

%% Operations are counted from the sequences themselves: what a killed VM had counted is lost.
total(#{numbers := Numbers}, #{counts := Counts} = Run) ->
    maps:merge(Counts#{sequences => length(Numbers)}, maps:with([kills, vms_killed], Run)).

add(A, B) -> maps:fold(fun(K, V, Acc) -> Acc#{K => V + maps:get(K, Acc, 0)} end, A, B).

%% The VM ended by itself, or its batch process crashed.
ended(#{numbers := [Number | _]} = Batch, How) ->
    Text = unicode:characters_to_binary(io_lib:format("  the VM or the batch ended: ~tp~n", [How])),
    #{number => Number, text => Text, spec => spec(Batch, Number, [])}.

spec(Batch, Number, KillsAt) ->
    (maps:remove(numbers, Batch))#{number => Number, kills_at => KillsAt, keep => all}.

%% Shrinking: PropEr takes operations out of the failing sequence as long as it still fails. An operation is
%% known by its number, so that terms that are local to a VM need not travel.
shrink(#{shrink := false}, #{spec := Spec} = Failure) ->
    Failure#{sequence => show(Spec, all), reproduced => false};
shrink(_Opts, Failure) ->
    try shrunk(Failure)
    after [bets_diff_vm:stop(Vm) || Vm <- [erase(shrink_vm)], Vm =/= undefined]
    end.

shrunk(#{spec := Spec0, text := Text} = Failure) ->
    put(last_text, Text),
    {Spec, Length} = with_length(Spec0),
    case [again || _ <- [1, 2, 3], not holds(Spec, all)] of
        [] ->
            Failure#{sequence => show(Spec, all), reproduced => false};
        _ ->
            Property = proper:forall(proper_types:shrink_list(lists:seq(1, Length)), fun(Keep) -> holds(Spec, Keep) end),
            Kept = case proper:counterexample(Property, [{numtests, 1}, {max_shrinks, 400}, quiet]) of
                [Keep] when is_list(Keep) -> Keep;
                _ -> all
            end,
            holds(Spec, Kept),
            Failure#{sequence => show(Spec, Kept), text => get(last_text), reproduced => true}
    end.

%% `kills_at' counts the kills that the sequence had of itself; only those at other places are added.
with_length(#{kills_at := KillsAt} = Spec) ->
    #{ops := Ops} = bets_diff_batch:generate(Spec#{kills_at := []}),
    Own = [At - 1 || {At, kill} <- lists:zip(lists:seq(1, length(Ops)), Ops)],
    New = Spec#{kills_at := lists:usort(KillsAt) -- Own},
    {New, length(maps:get(ops, bets_diff_batch:generate(New)))}.

%% True if the sequence, cut down to `Keep', shows no difference. One VM serves until it is killed: to start one takes longer than a sequence.
holds(Spec, Keep) ->
    Dir = filename:join(maps:get(dir, Spec), "shrink_" ++ integer_to_list(erlang:unique_integer([positive]))),
    Vm = case erase(shrink_vm) of undefined -> bets_diff_vm:start(); Kept -> Kept end,
    Result = play(Vm, Spec#{keep := Keep, dir := Dir}),
    file:del_dir_r(Dir),
    case Result of
        ok -> true;
        {failed, Text} -> put(last_text, Text), false
    end.

play(Vm, Spec) ->
    case bets_diff_vm:call(Vm, bets_diff_batch, one, [Spec]) of
        {ok, {done, _}} -> put(shrink_vm, Vm), ok;
        {ok, {parked, _}} -> play(killed(Vm), Spec);
        {ok, {failed, _, #{text := Text}}} -> put(shrink_vm, Vm), {failed, Text};
        {ok, Other} -> bets_diff_vm:stop(Vm), {failed, unicode:characters_to_binary(io_lib:format("  ~tp~n", [Other]))};
        {exit, Status} -> {failed, unicode:characters_to_binary(io_lib:format("  the VM ended with status ~w~n", [Status]))}
    end.

show(Spec, Keep) ->
    Vm = bets_diff_vm:start(),
    {ok, Text} = bets_diff_vm:call(Vm, bets_diff_batch, show, [Spec#{keep := Keep}]),
    bets_diff_vm:stop(Vm),
    Text.
