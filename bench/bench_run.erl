%% The child VM: one scenario of one subject, from an empty directory. Results go to a file as Erlang terms.
-module(bench_run).

-export([main/1, context/2, load/4]).
-export_type([job/0, result/0]).

-type job() :: #{
    subject := bench_subject:subject(),
    scenario := bench_ops:scenario(),
    ops := [atom()],
    procs := pos_integer(),
    objects := pos_integer(),
    key := bench_keys:key_type(),
    value := non_neg_integer(),
    sample := pos_integer(),
    batch_bytes := pos_integer(),
    %% how long operations run that are measured for a time and not for a count
    milliseconds := pos_integer(),
    seed := term(),
    dir := file:filename(),
    out := file:filename(),
    _ => _
}.
-type result() :: #{op := atom(), count := non_neg_integer(), value := number(), empty := number()}.
%% `value' in the unit of the operation, the empty loop already taken off; `empty' is what was taken off.

%% Entry for `erl -run bench_run main JobFile'.
-spec main([string()]) -> no_return().
main([JobFile]) ->
    try
        {ok, [Job]} = file:consult(JobFile),
        %% Else the first loop would load its code while the clock runs.
        ok = code:ensure_modules_loaded([bench_loops, bench_null]),
        Results = scenario(Job),
        ok = file:write_file(maps:get(out, Job), [io_lib:format("~0p.~n", [R]) || R <- Results]),
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "~p: ~p~n~p~n", [Class, Reason, Stack]),
            halt(1)
    end.

scenario(#{scenario := memory, ops := Asked} = Job) ->
    asked(bench_memory:run(Job), Asked);
scenario(#{scenario := merge, ops := Asked} = Job) ->
    asked(bench_compact:run(Job), Asked);
scenario(#{scenario := churn, ops := Asked} = Job) ->
    asked(bench_compact:churn(Job), Asked);
scenario(#{scenario := Scenario, ops := Asked, subject := #{module := Module} = Subject} = Job) ->
    Context = context(Job, purpose(Scenario)),
    Last = last_asked([Op || Op <- bench_ops:scenario_ops(Scenario), bench_subject:takes_part(Subject, Op)], Asked),
    Table = Module:new(Context),
    Steps = [Op || #{name := N, load := Load} = Op <- Last, Load orelse lists:member(N, Asked)],
    {Results, _} = lists:mapfoldl(fun(Op, T) -> step(Op, Job, Context, T) end, Table, Steps),
    asked(Results, Asked).

purpose(sync) -> sync;
purpose(_Scenario) -> speed.

%% Loading is timed as well, but reported only to those who want to know.
asked(Results, Asked) ->
    [R || #{op := Name} = R <- Results, lists:member(Name, Asked)].

%% Nothing after the last operation that was asked for has to run.
last_asked(Ops, Asked) ->
    lists:reverse(lists:dropwhile(fun(#{name := N}) -> not lists:member(N, Asked) end, lists:reverse(Ops))).

step(#{name := disk}, #{subject := #{module := Module}, objects := N}, #{dir := Dir} = Context, Table) ->
    ok = Module:close(Table, Context),
    {#{op => disk, count => N, value => bench_files:bytes(Dir) / N, empty => 0.0}, Module:open(Context)};
step(#{name := sync_insert} = Op, Job, _Context, Table) ->
    {synced(Op, Job, Table), Table};
step(#{unit := milliseconds, name := Name}, Job, Context, Table) ->
    bench_open:run(Name, Job, Context, Table);
step(#{name := Name, items := Kind} = Op, #{objects := N} = Job, _Context, Table) ->
    Batches =
        case Kind of
            none -> [none];
            _ -> bench_data:batches(bench_data:count(Kind, maps:get(share, Op), Job), Job)
        end,
    Timed = [timed(Op, Batch, Job, Table) || Batch <- Batches],
    {Ns, Empty, Counts} = lists:unzip3(Timed),
    Count = lists:sum(Counts),
    Count =:= expected(Op, Job) orelse error({wrong_count, Name, Count, expected(Op, Job), N}),
    {#{op => Name, count => Count, value => (lists:sum(Ns) - lists:sum(Empty)) / Count, empty => lists:sum(Empty) / Count}, Table}.

timed(#{mode := write} = Op, Batch, #{subject := #{one_writer := true}, procs := Procs} = Job, Table) when Procs > 1 ->
    timed(Op, Batch, Job#{procs := 1}, Table);
timed(#{name := Name, items := Kind, mode := Mode}, Batch, #{subject := #{module := Module}, procs := Procs, seed := Seed} = Job, Table) ->
    Kind =:= none orelse bench_data:prepare(Kind, Batch, Job, {Name, Seed}),
    Prepare = fun(M) ->
        fun(Handle, Worker) ->
            Items = bench_data:items(Kind, Worker),
            fun() -> bench_loops:run(Name, M, Handle, Items) end
        end
    end,
    {EmptyNs, _} = bench_worker:time(bench_null, null, Mode, Procs, Prepare(bench_null)),
    {Ns, Count} = bench_worker:time(Module, Table, Mode, Procs, Prepare(Module)),
    {Ns, EmptyNs, Count}.

%% Objects are made as they are inserted: beside the disk that is nothing.
synced(#{name := Name}, #{subject := #{module := Module}, procs := Procs, milliseconds := Ms, objects := N} = Job, Table) ->
    bench_data:prepare(objects, {0, N - 1}, Job, {Name, load}),
    Prepare = fun(Handle, Worker) ->
        Items = bench_data:items(objects, Worker),
        fun() -> bench_loops:until(erlang:monotonic_time(nanosecond) + Ms * 1000000, Module, Handle, Items) end
    end,
    {Ns, Count} = bench_worker:time(Module, Table, write, Procs, Prepare),
    #{op => Name, count => Count, value => Ns / Count / 1000, empty => 0.0}.

expected(#{name := foldl}, #{objects := N}) -> N;
%% Whole hundreds.
expected(#{name := select_few}, #{objects := N}) -> (N + 99) div 100 * 100;
expected(#{items := groups} = Op, Job) -> 100 * bench_data:count(groups, maps:get(share, Op), Job);
expected(#{items := Kind, share := Share}, Job) -> bench_data:count(Kind, Share, Job).

%% Inserts the objects from one place in the order of loading to another, making them as it goes: the table alone keeps what it keeps.
-spec load(module(), Table :: term(), {non_neg_integer(), integer(), byte()}, job()) -> ok.
load(Module, Table, {From, To, Version}, #{objects := N} = Job) ->
    Order = bench_keys:order(N, {load, Version}),
    Prepare = fun(Handle, 1) -> fun() -> load(From, To, Module, Handle, Order, {Job, Version}) end end,
    {_, _} = bench_worker:time(Module, Table, write, 1, Prepare),
    ok.

load(I, To, _Module, _Handle, _Order, _What) when I > To ->
    0;
load(I, To, Module, Handle, Order, {Job, Version} = What) ->
    _ = Module:insert(Handle, bench_keys:object(Job, Order(I), Version)),
    load(I + 1, To, Module, Handle, Order, What).

%% How a subject is to make its table.
-spec context(job(), speed | memory | sync | merge) -> bench_subject:context().
context(#{dir := Dir, procs := Procs, scenario := Scenario, subject := #{options := Options, type := Type}}, Purpose) ->
    #{dir => Dir, procs => Procs, type => Type, options => Options, purpose => Purpose, arity => arity(Scenario)}.

arity(matching) -> 3;
arity(ranges) -> 3;
arity(_Scenario) -> 2.
