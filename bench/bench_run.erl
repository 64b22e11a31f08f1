%% The child VM: one scenario of one subject, from an empty directory. Results go to a file as Erlang terms.
-module(bench_run).

-export([main/1]).
-export_type([job/0, result/0]).

-type job() :: #{
    subject := bench_subject:subject(),
    scenario := bench_ops:scenario(),
    ops := [atom()],
    procs := pos_integer(),
    objects := pos_integer(),
    key := bin16 | int,
    value := non_neg_integer(),
    seed := term(),
    dir := file:filename(),
    out := file:filename()
}.
-type result() :: #{op := atom(), count := pos_integer(), value := number(), empty := number()}.
%% `value' in the unit of the operation, the empty loop already taken off; `empty' is what was taken off.

%% Entry for `erl -run bench_run main JobFile'.
-spec main([string()]) -> no_return().
main([JobFile]) ->
    try
        {ok, [Job]} = file:consult(JobFile),
        Results = scenario(Job),
        ok = file:write_file(maps:get(out, Job), [io_lib:format("~0p.~n", [R]) || R <- Results]),
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "~p: ~p~n~p~n", [Class, Reason, Stack]),
            halt(1)
    end.

scenario(#{scenario := memory, ops := Asked} = Job) ->
    asked(memory(Job), Asked);
scenario(#{scenario := Scenario, ops := Asked, subject := #{module := Module}} = Job) ->
    Context = context(Job, speed),
    Last = last_asked(Scenario, Asked),
    Table = Module:new(Context),
    Steps = [Op || #{name := N, load := Load} = Op <- Last, Load orelse lists:member(N, Asked)],
    {Results, _} = lists:mapfoldl(fun(Op, T) -> step(Op, Job, Context, T) end, Table, Steps),
    asked(Results, Asked).

%% Loading is timed as well, but reported only to those who want to know.
asked(Results, Asked) ->
    [R || #{op := Name} = R <- Results, lists:member(Name, Asked)].

%% Nothing after the last operation that was asked for has to run.
last_asked(Scenario, Asked) ->
    Reversed = lists:reverse(bench_ops:scenario_ops(Scenario)),
    lists:reverse(lists:dropwhile(fun(#{name := N}) -> not lists:member(N, Asked) end, Reversed)).

step(#{name := open}, #{subject := #{module := Module}, objects := N} = Job, Context, Table) ->
    ok = Module:close(Table, Context),
    Start = erlang:monotonic_time(nanosecond),
    Reopened = Module:open(Context),
    Elapsed = erlang:monotonic_time(nanosecond) - Start,
    check_sample(Module, Reopened, Job),
    {#{op => open, count => N, value => Elapsed / 1.0e6, empty => 0.0}, Reopened};
step(#{name := disk}, #{subject := #{module := Module}, objects := N}, #{dir := Dir} = Context, Table) ->
    ok = Module:close(Table, Context),
    Bytes = disk_bytes(Dir),
    {#{op => disk, count => N, value => Bytes / N, empty => 0.0}, Module:open(Context)};
step(#{name := Name, items := Kind, mode := Mode}, Job, _Context, Table) ->
    #{subject := #{module := Module}, procs := Procs, seed := Seed} = Job,
    Kind =:= none orelse bench_data:prepare(Kind, Job, {Name, Seed}),
    Prepare = fun(M) ->
        fun(Handle, Worker) ->
            Items = items(Kind, Worker),
            fun() -> bench_ops:loop(Name, M, Handle, Items) end
        end
    end,
    {EmptyNs, _} = bench_worker:time(bench_null, null, Mode, Procs, Prepare(bench_null)),
    {Ns, Count} = bench_worker:time(Module, Table, Mode, Procs, Prepare(Module)),
    Count =:= expected(Name, Job) orelse error({wrong_count, Name, Count, expected(Name, Job)}),
    {#{op => Name, count => Count, value => (Ns - EmptyNs) / Count, empty => EmptyNs / Count}, Table}.

items(none, _Worker) -> [];
items(Kind, Worker) -> bench_data:items(Kind, Worker).

expected(counter_load, #{objects := N}) -> min(N, 100000);
%% Whole hundreds.
expected(Name, #{objects := N}) when Name =:= select_few; Name =:= range_select; Name =:= range_next; Name =:= range_lookup ->
    N - N rem 100;
expected(_Name, #{objects := N}) -> N.

%% A fast open that lost something would be no result.
check_sample(Module, Table, #{objects := N} = Job) ->
    Sample = [bench_data:key(Job, 1 + I * (N - 1) div 1000) || I <- lists:seq(0, 1000)],
    Prepare = fun(Handle, 1) -> fun() -> bench_ops:loop(lookup_hit, Module, Handle, Sample) end end,
    {_, 1001} = bench_worker:time(Module, Table, read, 1, Prepare),
    ok.

%% Objects are made as they are inserted, so that the table alone keeps what it keeps. A round without the table
%% goes before, because the VM holds on to memory that making the objects once needed.
memory(#{subject := #{module := Module}, objects := N} = Job) ->
    Context = context(Job, memory),
    ok = load(bench_null, null, Job),
    ok = load(bench_null, null, Job),
    Before = resident(),
    Table = Module:new(Context),
    ok = load(Module, Table, Job),
    After = resident(),
    Own = Module:memory(Table),
    [#{op => memory, count => N, value => (After - Before) / N, empty => 0.0}] ++
        [#{op => memory_own, count => N, value => Own / N, empty => 0.0} || Own =/= unknown].

load(Module, Table, #{objects := N} = Job) ->
    Prepare = fun(Handle, 1) -> fun() -> load(1, N, Module, Handle, Job) end end,
    {_, N} = bench_worker:time(Module, Table, write, 1, Prepare),
    lists:foreach(fun erlang:garbage_collect/1, processes()),
    ok.

load(I, N, _Module, _Handle, _Job) when I > N ->
    N;
load(I, N, Module, Handle, Job) ->
    _ = Module:insert(Handle, bench_data:object(Job, I, 0)),
    load(I + 1, N, Module, Handle, Job).

%% Anonymous resident memory of this VM: pages of mapped files belong to the page cache and can go at any time.
resident() ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [KiB]} = re:run(Status, "RssAnon:\\s+(\\d+) kB", [{capture, all_but_first, list}]),
    list_to_integer(KiB) * 1024.

%% Space taken, not length: a preallocated file counts whole, a sparse one only where it has blocks.
disk_bytes(Dir) ->
    [Bytes | _] = string:lexemes(os:cmd(["du -s --block-size=1 -- '", string:replace(Dir, "'", "'\\''", all), "'"]), "\t "),
    list_to_integer(Bytes).

context(#{dir := Dir, procs := Procs, scenario := Scenario, subject := #{options := Options}}, Purpose) ->
    #{dir => Dir, procs => Procs, type => type(Scenario), options => Options, purpose => Purpose}.

type(ranges) -> ordered_set;
type(_Scenario) -> set.
