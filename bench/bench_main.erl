%% bin/bench: bets beside its peers.
%%
%% The folder, from the outside in:
%%
%%   bench_main      plans the runs, alternates the subjects, prints the report
%%   bench_args      the command line
%%   bench_vm        one fresh VM for one scenario of one subject
%%   bench_machine   what the figures were measured on
%%   bench_report    medians, spreads and ratios as a Markdown table
%%   bench_run       inside the fresh VM: the scenario, step by step
%%   bench_worker    inside the fresh VM: processes that start together, and the clock
%%   bench_ops       the operations and their loops; a new workload goes here
%%   bench_data      keys and objects; a new key type or value shape goes here
%%   bench_merge     bin/bench merge, which stands alone: latencies in an open loop while a table is merged
%%   bench_subject   the libraries that are measured; subject/ has a module for each
%%   demo/           bin/demo, which shares nothing with the above
%%
%% A scenario is a sequence of operations on one table. The subjects take turns (A B C D A B C D ...), so that a
%% machine that gets slower in the middle gets slower for all of them; ratios are taken within a turn.
-module(bench_main).

-export([main/0]).

%% Entry for `erl -s bench_main main -extra ARGS'. Exits with 1 if a run failed, with 2 if the arguments are wrong.
-spec main() -> no_return().
main() ->
    ok = io:setopts([{encoding, unicode}]),
    case bench_args:parse(init:get_plain_arguments()) of
        {ok, Config} ->
            halt(run(Config));
        {help, Text} ->
            io:put_chars(Text),
            halt(0);
        {error, Text} ->
            io:put_chars(standard_error, Text),
            halt(2)
    end.

run(#{subjects := Wanted, dir := Dir, runs := Runs} = Config) ->
    Subjects = [S || S <- Wanted, available(S)],
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    Machine = bench_machine:facts(Dir),
    io:put_chars([[Line, $\n] || Line <- bench_machine:lines(Machine)]),
    Jobs = [
        {Run, Procs, Scenario, Ops, Subject}
     || Run <- lists:seq(1, Runs),
        Procs <- maps:get(procs, Config),
        {Scenario, Ops} <- scenarios(maps:get(ops, Config), Procs),
        Subject <- Subjects,
        bench_subject:takes_part(Subject, Scenario)
    ],
    Outcomes = run_all(Jobs, Config, 1, length(Jobs)),
    Failed = [Job || {Job, error} <- Outcomes],
    Results = [R || {_, {ok, Rs}} <- Outcomes, R <- Rs],
    Report = bench_report:format(Results, Subjects, Config, Machine),
    io:put_chars(["\n", Report]),
    write(maps:get(write, Config), Report),
    case Failed of
        [] -> 0;
        _ -> 1
    end.

available(#{name := Name, module := Module}) ->
    case Module:available() of
        true ->
            true;
        {false, Why} ->
            io:format("~s is left out: ~s~n", [Name, Why]),
            false
    end.

scenarios(Ops, Procs) ->
    [
        {Scenario, Asked}
     || Scenario <- bench_ops:scenarios(),
        Asked <- [asked(Scenario, Ops, Procs)],
        Asked =/= []
    ].

asked(Scenario, Ops, Procs) ->
    [
        Name
     || #{name := Name, procs := Allowed} <- bench_ops:scenario_ops(Scenario),
        lists:member(Name, Ops),
        Allowed =:= all orelse Procs =:= 1
    ].

run_all([], _Config, _I, _Total) ->
    [];
run_all([{Run, Procs, Scenario, Ops, Subject} = Job | Jobs], Config, I, Total) ->
    #{name := Name, limit := Limit} = Subject,
    Objects = min(maps:get(objects, Config), limit(Name, Limit, Config)),
    io:format("[~b/~b] run ~b, ~b process(es), ~s: ~s, ~b objects", [I, Total, Run, Procs, Scenario, Name, Objects]),
    Start = erlang:monotonic_time(millisecond),
    Outcome = bench_vm:run(#{
        subject => Subject,
        scenario => Scenario,
        ops => Ops,
        procs => Procs,
        objects => Objects,
        key => maps:get(key, Config),
        value => maps:get(value, Config),
        seed => Run,
        dir => filename:join(maps:get(dir, Config), "run")
    }),
    Seconds = (erlang:monotonic_time(millisecond) - Start) / 1000,
    Tagged =
        case Outcome of
            {ok, Results} ->
                io:format(" (~.1f s)~n", [Seconds]),
                {ok, [R#{run => Run, procs => Procs, subject => Name} || R <- Results]};
            {error, Text} ->
                io:format(" FAILED~n~ts~n", [Text]),
                error
        end,
    [{Job, Tagged} | run_all(Jobs, Config, I + 1, Total)].

%% `infinity' is greater than every number in the term order, which is what min/2 goes by.
limit(dets, _Limit, #{dets_objects := Limit}) -> Limit;
limit(_Name, Limit, _Config) -> Limit.

write(none, _Report) ->
    ok;
write(Path, Report) ->
    ok = filelib:ensure_dir(Path),
    ok = file:write_file(Path, unicode:characters_to_binary(Report)),
    io:format("~nwritten to ~ts~n", [Path]).
