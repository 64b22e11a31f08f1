%% The child's side of the kill soak: opens the table, hands over what it holds, and writes until it is killed.
-module(bets_kill_writer).

-export([run/2, go/2]).

%% Opens the table and waits for go/2. Replies `opening' and {opened, Found}.
-spec run(fun((term()) -> ok), map()) -> no_return().
run(Reply, #{module := Module, mutant := Mutant, dir := Dir, sync := Sync, max_file_size := FileSize} = Plan) ->
    true = register(?MODULE, self()),
    bets_diff_ref:set_mutant(Mutant),
    _ = application:load(Module),
    %% Merges are due all the time.
    application:set_env(Module, merge_interval, 5),
    _ = application:ensure_all_started(Module),
    Reply(opening),
    Merge = [{frag_merge_trigger, 30}, {frag_threshold, 10}],
    Tab = Module:new(kill, [public, {dir, filename:join(Dir, "table")}, {sync, Sync}, {max_file_size, FileSize} | Merge]),
    Objects = Module:tab2list(Tab),
    %% What a fold finds, a lookup must find too.
    Lost = [Object || Object <- Objects, Module:lookup(Tab, element(1, Object)) =/= [Object]],
    Reply({opened, #{objects => Objects, lost => Lost, size => Module:info(Tab, size)}}),
    receive {go, Writers} -> ok end,
    [spawn_link(fun() -> writer(Tab, Plan, Writer, Next) end) || {Writer, Next} <- Writers],
    Reply(writing),
    receive after infinity -> ok end.

%% Lets each writer go on with its next operation, by number. The parent has checked the table by then.
-spec go(fun((term()) -> ok), [{pos_integer(), pos_integer()}]) -> ok.
go(_Reply, Writers) ->
    ?MODULE ! {go, Writers},
    ok.

%% Each writer appends N, 8 bytes, to a file of its own when its Nth operation has returned. The bytes are with the
%% kernel then, and outlive the VM.
writer(Tab, #{dir := Dir} = Plan, Writer, Next) ->
    {ok, File} = file:open(bets_kill_check:ack_file(Dir, Writer), [append, raw]),
    write(Tab, Plan, Writer, Next, File).

write(Tab, #{module := Module, seed := Seed} = Plan, Writer, N, File) ->
    bets_kill_plan:run(Module, Tab, bets_kill_plan:op(Seed, Writer, N)),
    ok = file:write(File, <<N:64>>),
    write(Tab, Plan, Writer, N + 1, File).
