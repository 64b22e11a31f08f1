%% Openings: what is timed is `Module:open/1' on what a close left, from the page cache or from the disk.
-module(bench_open).

-export([run/4]).

%% What a close lets go of is freed behind it, which takes processors and the VM's allocator from an opening that comes at once.
-define(SETTLE_MS, 1000).

%% Closes the table, takes away what this way of opening shall do without, and times the opening.
-spec run(atom(), bench_run:job(), bench_subject:context(), term()) -> {bench_run:result(), term()}.
run(Name, #{subject := #{module := Module}, objects := N} = Job, #{dir := Dir} = Context, Table) ->
    ok = Module:close(Table, Context),
    {How, Cache} = way(Name),
    How =:= clean orelse (ok = Module:prepare_open(How, Context)),
    Cache =:= warm orelse (ok = bench_files:evict(Dir)),
    timer:sleep(?SETTLE_MS),
    Start = erlang:monotonic_time(nanosecond),
    Reopened = Module:open(Context),
    Elapsed = erlang:monotonic_time(nanosecond) - Start,
    check_sample(Module, Reopened, Job),
    {#{op => Name, count => N, value => Elapsed / 1.0e6, empty => 0.0}, Reopened}.

way(open_clean) -> {clean, warm};
way(open_clean_cold) -> {clean, cold};
way(open_hints) -> {hints, warm};
way(open_hints_cold) -> {hints, cold};
way(open_scan) -> {scan, warm};
way(open_scan_cold) -> {scan, cold}.

%% A fast open that lost something would be no result.
check_sample(Module, Table, #{objects := N} = Job) ->
    Sample = [bench_keys:key(Job, I * (N - 1) div 1000) || I <- lists:seq(0, 1000)],
    Prepare = fun(Handle, 1) -> fun() -> bench_loops:run(lookup_hit, Module, Handle, Sample) end end,
    {_, 1001} = bench_worker:time(Module, Table, read, 1, Prepare),
    ok.
