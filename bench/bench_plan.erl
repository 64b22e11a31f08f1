%% Which jobs a run consists of, and in which order.
%%
%% A section is a group of jobs that differ from the main table in one thing (its axis). A job is one scenario of one subject. The subjects
%% take turns (A B C D A B C D ...), so that a machine that gets slower in the middle gets slower for all of them.
-module(bench_plan).

-export([axes/1, jobs/1, job/7]).
-export_type([section/0, axis/0]).

-type axis() :: value | key | objects | memory_limit.
-type section() :: main | {axis(), term()} | {tuning, Table :: atom()}.

-define(AXIS_OPS, [insert, lookup_hit, lookup_miss, overwrite]).
-define(PAIR_OPS, [insert, lookup_hit, lookup_miss, overwrite, mix, counter_one]).
%% Large values are as many as fit.
-define(AXIS_BYTES, (1 bsl 29)).
-define(MEMORY_LIMIT, (1 bsl 28)).
-define(BATCH_BYTES, (200 bsl 20)).

%% The axes that a run has, with their points beside that of the main table.
-spec axes(bench_args:config()) -> [{axis(), [term()]}].
axes(#{command := report, value := Value, key := Key, objects := Objects, long := Long}) ->
    [
        {value, [24, 100, 1024, 65536] -- [Value]},
        {key, [Type || {Type, _} <- bench_keys:key_types(), Type =/= Key]},
        {objects, [max(100, Objects div 100), max(200, Objects div 10)] ++ [10 * Objects || Long]},
        {memory_limit, [?MEMORY_LIMIT || Long, bench_cgroup:available()]}
    ];
axes(_Config) ->
    [].

-spec jobs(bench_args:config()) -> [map()].
jobs(#{command := tuning} = Config) ->
    bench_tuning:jobs(Config);
jobs(#{runs := Runs, axis_runs := AxisRuns} = Config) ->
    [Job || Run <- lists:seq(1, Runs), Job <- main(Run, Config) ++ latencies(Run, Config) ++ floors(Run, Config)] ++
        [
            Job
         || Run <- lists:seq(1, AxisRuns),
            {Axis, Points} <- axes(Config),
            Point <- Points,
            Job <- axis(Axis, Point, Run, Config)
        ].

main(Run, #{ops := Ops, subjects := Subjects} = Config) ->
    Counts = lists:usort(maps:get(procs, Config) ++ [16]),
    [
        job(main, Run, Procs, Scenario, Asked, Subject, Config)
     || Procs <- Counts,
        Scenario <- bench_ops:scenarios(),
        Subject <- Subjects,
        Asked <- [[Op || Op <- asked(Scenario, Ops, Procs, Subject, Config), worthwhile(Config, Run, Procs, Scenario, Op, Subject)]],
        Asked =/= []
    ].

%% A report has to be done within minutes. What is the same in every run is measured once; so are the subjects that are not in question; and
%% with two processes only what shows whether they get in each other's way.
worthwhile(#{command := report}, Run, Procs, Scenario, Op, #{core := Core, scenarios := Scenarios, type := Type}) ->
    (Scenarios =:= all orelse lists:member(Scenario, Scenarios)) andalso
        (Run =:= 1 orelse (Core andalso Scenario =/= memory andalso {Scenario, Type} =/= {merge, ordered_set})) andalso
        (Procs =/= 2 orelse Scenario =:= sync orelse (Core andalso lists:member(Op, ?PAIR_OPS)));
worthwhile(_Config, _Run, _Procs, _Scenario, _Op, _Subject) ->
    true.

%% `bin/bench merge', which has subjects of its own.
latencies(Run, #{command := report, ops := Ops} = Config) ->
    Subject = #{name => latency, title => "bets and ets", limit => infinity},
    [job(main, Run, 1, latency, [], Subject, Config) || lists:member(merge_p99, Ops)];
latencies(_Run, _Config) ->
    [].

%% A program beside the subjects, where a report shows floors.
floors(Run, #{command := report} = Config) ->
    Floor = #{name => floor, title => "floor", limit => infinity},
    [(job(main, Run, 1, floor, [], Floor, Config))#{program => Program} || Program <- bench_floor:programs()];
floors(_Run, _Config) ->
    [].

axis(Axis, Point, Run, #{ops := Ops, subjects := Subjects} = Config) ->
    Wanted = [Op || Op <- ?AXIS_OPS, lists:member(Op, Ops)],
    [
        job({Axis, Point}, Run, 1, main, Asked, Subject, at(Axis, Point, Config))
     || #{name := Name} = Subject <- Subjects,
        lists:member(Name, compared(Axis)),
        Asked <- [asked(main, Wanted, 1, Subject, Config)],
        Asked =/= []
    ].

compared(value) -> [bets, ets, bets_uncached, bitcask];
compared(memory_limit) -> [bets, bitcask];
compared(_Axis) -> [bets, ets, bitcask, bets_ordered, ets_ordered].

at(value, Size, #{objects := N} = Config) -> Config#{value := Size, objects := min(N, ?AXIS_BYTES div Size)};
at(key, Type, Config) -> Config#{key := Type};
at(objects, N, Config) -> Config#{objects := N};
%% Values of 2 KiB, four times the limit of them together. What the benchmark itself keeps at a time must be little beside it.
at(memory_limit, Limit, #{objects := N, sample := Sample} = Config) ->
    Config#{
        memory_limit => Limit, value := 2048, objects := min(N, 4 * Limit div 2048), sample := min(Sample, 20000), batch_bytes => Limit div 64
    }.

%% What of a scenario is measured with so many processes.
asked(Scenario, Ops, Procs, Subject, Config) ->
    [
        Name
     || #{name := Name, procs := Allowed} = Op <- bench_ops:scenario_ops(Scenario),
        lists:member(Name, Ops),
        lists:member(Procs, counts(Allowed, Config)),
        bench_subject:takes_part(Subject, Op)
    ].

counts(all, #{procs := Counts}) -> Counts;
counts(Allowed, _Config) -> Allowed.

%% One scenario of one subject. `infinity' is greater than every number in the term order, which is what min/2 goes by.
-spec job(section(), pos_integer(), pos_integer(), bench_ops:scenario() | floor, [atom()], map(), map()) -> map().
job(Section, Run, Procs, Scenario, Asked, #{name := Name, limit := Limit} = Subject, Config) ->
    Job = maps:with([key, value, filler, sample, milliseconds, memory_limit, batch_bytes], maps:merge(#{batch_bytes => ?BATCH_BYTES}, Config)),
    Job#{
        section => Section,
        run => Run,
        seed => Run,
        procs => Procs,
        scenario => Scenario,
        ops => Asked,
        subject => Subject,
        objects => min(maps:get(objects, Config), limit(Name, Limit, Config))
    }.

limit(dets, _Limit, #{dets_objects := Limit}) -> Limit;
limit(_Name, Limit, _Config) -> Limit.
