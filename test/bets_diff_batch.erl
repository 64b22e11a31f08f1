%% The part of the differential test that runs in the child VM: a batch of sequences.
%%
%% Sequences without a kill run one after the other on every scheduler. Sequences with kills run all
%% at once, each on a table of its own, so that one SIGKILL strikes every one of them somewhere else.
%% A sequence that meets its kill parks; when all that are left are parked, the parent is told.
%%
%% What survives of a sequence between two VMs: its number and seed, from which it can be generated again; itself in the
%% file `sequence', since that is quicker; its table, and the file `ack', one byte for each operation that had returned. The file is written
%% after the operation returned and before the next one begins.
-module(bets_diff_batch).

-export([run/2, one/2, show/2, generate/1]).

%% What makes a sequence: `kills_at' adds kills after so many operations, `keep' leaves out all but
%% these operations (by their number, with the added kills counted).
-type spec() :: #{module := module(), mutant := atom(), seed := integer(), number := pos_integer(),
                  kills := non_neg_integer(), kills_at := [non_neg_integer()], keep := all | [pos_integer()],
                  min_ops := pos_integer(), max_ops := pos_integer(), max_keys := pos_integer(), type := any | set | ordered_set, dir := file:name_all()}.
-export_type([spec/0]).

%% Runs `numbers' of a batch. Replies: {started, [{Number, Acked}]} with those that go on after a kill, then
%% {done, Counts}, {parked, Counts} or {failed, Number, Report}.
-spec run(fun((term()) -> ok), map()) -> ok.
run(Reply, #{kills := 0, numbers := Numbers} = Batch) ->
    prepare(Batch),
    Reply({started, []}),
    {Mine, Others} = lists:partition(fun(N) -> N rem 2 =:= 0 end, Numbers),
    Self = self(),
    [spawn_link(fun() -> [Self ! {N, run_one(spec(Batch, N))} || N <- Part] end) || Part <- [Mine, Others]],
    collect(Reply, Numbers, #{}, 0);
run(Reply, #{numbers := Numbers} = Batch) ->
    prepare(Batch),
    Left = [N || N <- Numbers, not is_done(spec(Batch, N))],
    Reply({started, [{N, acked(spec(Batch, N))} || N <- Left, is_begun(spec(Batch, N))]}),
    Self = self(),
    [spawn_link(fun() -> Self ! {N, run_one((spec(Batch, N))#{parent => Self})} end) || N <- Left],
    collect(Reply, Left, #{}, 0).

%% Runs one sequence; replies as run/2 does.
-spec one(fun((term()) -> ok), spec()) -> ok.
one(Reply, #{number := Number} = Spec) ->
    prepare(Spec),
    Self = self(),
    spawn_link(fun() -> Self ! {Number, run_one(Spec#{parent => Self})} end),
    collect(Reply, [Number], #{}, 0).

%% Replies the sequence in readable form.
-spec show(fun((term()) -> ok), spec()) -> ok.
show(Reply, Spec) ->
    #{ops := Ops} = Seq = generate(Spec),
    Lines = [io_lib:format("  ~3w  ~tp~n", [N, Op]) || {N, Op} <- lists:zip(lists:seq(1, length(Ops)), Ops)],
    Reply(unicode:characters_to_binary([io_lib:format("  new  ~tp~n", [maps:remove(ops, Seq)]) | Lines])).

%% The sequence that a spec stands for. The same spec gives the same sequence in every VM, but for
%% the identity of terms that are local to a VM.
-spec generate(spec()) -> bets_diff_gen:sequence().
generate(#{seed := Seed, number := Number} = Spec) ->
    Name = list_to_atom("diff_" ++ integer_to_list(Number rem 10000)),
    Type = bets_diff_gen:sequence((maps:with([min_ops, max_ops, kills, max_keys, type], Spec))#{name => Name}),
    {ok, #{ops := Ops} = Seq} = proper_gen:pick(Type, 10, {Seed, Number, 1}),
    Seq#{ops := keep(maps:get(keep, Spec), add_kills(lists:reverse(lists:sort(maps:get(kills_at, Spec))), Ops))}.

add_kills(Ats, Ops) ->
    lists:foldl(fun(At, Acc) ->
        {Before, After} = lists:split(min(At, length(Acc)), Acc),
        Before ++ [kill | After]
    end, Ops, Ats).

keep(all, Ops) -> Ops;
keep(Numbers, Ops) -> [lists:nth(N, Ops) || N <- Numbers].

prepare(#{module := Module, mutant := Mutant}) ->
    bets_diff_ref:set_mutant(Mutant),
    {module, Module} = code:ensure_loaded(Module),
    {module, _} = code:ensure_loaded(ets),
    %% All terms are made by one process, the oldest.
    _ = bets_diff_terms:all(),
    _ = bets_diff_terms:portable(),
    _ = application:ensure_all_started(Module),
    ok.

spec(Batch, Number) -> Batch#{number => Number, kills_at => [], keep => all}.

%% A process of its own for each sequence; what it leaves behind dies with it.
run_one(Spec) ->
    {Pid, Monitor} = spawn_monitor(fun() -> exit({result, play(Spec)}) end),
    receive
        {'DOWN', Monitor, process, Pid, {result, Result}} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> {differs, #{at => 0, op => crash, expected => none, got => Reason}}
    end.

play(#{module := Module, kills := 0, kills_at := []} = Spec) ->
    Table = table_dir(Spec),
    ok = filelib:ensure_path(Table),
    Result = bets_diff_run:sequence(Module, generate(Spec), {Table, #{ack => fun() -> ok end, park => fun() -> error(kill_in_plain_sequence) end}}),
    _ = file:del_dir_r(dir(Spec)),
    Result;
play(#{module := Module} = Spec) ->
    IsBegun = is_begun(Spec),
    ok = filelib:ensure_path(table_dir(Spec)),
    {ok, File} = file:open(ack_file(Spec), [append, raw]),
    #{parent := Parent, number := Number} = Spec,
    Hooks = #{ack => fun() -> ok = file:write(File, <<1>>) end,
              park => fun() -> Parent ! {Number, parked}, receive after infinity -> ok end end},
    Result = case IsBegun of
        true -> bets_diff_run:resume(Module, kept(Spec), {table_dir(Spec), Hooks}, acked(Spec));
        false -> bets_diff_run:sequence(Module, kept(Spec), {table_dir(Spec), Hooks})
    end,
    ok = file:close(File),
    case Result of
        {ok, _} ->
            ok = file:rename(ack_file(Spec), done_file(Spec)),
            _ = file:del_dir_r(table_dir(Spec));
        _ ->
            ok
    end,
    Result.

%% A sequence with kills has portable terms only. A kill may have cut the file short.
kept(#{kills := 0} = Spec) ->
    generate(Spec);
kept(#{kills_at := [], keep := all} = Spec) ->
    File = filename:join(dir(Spec), "sequence"),
    case file:read_file(File) of
        {ok, <<Size:32, Bytes:Size/binary>>} ->
            binary_to_term(Bytes);
        _ ->
            Seq = generate(Spec),
            Bytes = term_to_binary(Seq),
            ok = file:write_file(File, [<<(byte_size(Bytes)):32>>, Bytes]),
            Seq
    end;
kept(Spec) ->
    generate(Spec).

collect(Reply, [], Counts, 0) ->
    Reply({done, Counts});
collect(Reply, [], Counts, Parked) ->
    Reply({parked, Counts#{parked => Parked}});
collect(Reply, Left, Counts, Parked) ->
    receive
        {Number, {ok, More}} ->
            collect(Reply, lists:delete(Number, Left), add(Counts, More#{sequences => 1}), Parked);
        {Number, parked} ->
            collect(Reply, lists:delete(Number, Left), Counts, Parked + 1);
        {Number, {differs, Report}} ->
            Reply({failed, Number, Report#{text => report_text(Report)}})
    end.

%% Local terms are readable only in the VM that made them.
report_text(#{at := At, op := Op, expected := Expected, got := Got}) ->
    unicode:characters_to_binary(io_lib:format("  operation ~w: ~tP~n  expected: ~tP~n  got:      ~tP~n",
                                               [At, Op, 60, Expected, 200, Got, 200])).

add(A, B) -> maps:fold(fun(K, V, Acc) -> Acc#{K => V + maps:get(K, Acc, 0)} end, A, B).

dir(#{dir := Dir, number := Number}) -> filename:join(Dir, integer_to_list(Number)).
table_dir(Spec) -> filename:join(dir(Spec), "table").
ack_file(Spec) -> filename:join(dir(Spec), "ack").
done_file(Spec) -> filename:join(dir(Spec), "done").

is_done(Spec) -> filelib:is_regular(done_file(Spec)).
is_begun(Spec) -> filelib:is_regular(ack_file(Spec)).
acked(Spec) -> filelib:file_size(ack_file(Spec)).
