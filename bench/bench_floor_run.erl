%% What bench/floor/table runs: operations of `bench_ops' on the subject `bench_floor_table', by the scenarios and loops that all subjects run.
-module(bench_floor_run).

-export([main/0]).

%% Entry for `erl -s bench_floor_run main -extra OBJECTS VALUE DIR'. Exits with 1 if a job failed.
-spec main() -> no_return().
main() ->
    [Objects, Value, Dir] = init:get_plain_arguments(),
    {ok, Defaults} = bench_args:parse([]),
    Config = Defaults#{objects := list_to_integer(Objects), value := list_to_integer(Value)},
    lists:foreach(fun(What) -> measure(What, Dir, Config) end, measured()),
    halt(0).

measured() ->
    [
        {set, main, 1, [insert, lookup_hit, lookup_miss, overwrite, foldl, delete]},
        {set, main, 2, [lookup_hit]},
        {set, lists, 1, [list_insert]},
        {set, counters, 1, [counter_one, counter_spread]},
        {set, matching, 1, [select_few]},
        {ordered_set, main, 1, [insert, lookup_hit, lookup_miss, range, overwrite, delete]}
    ].

measure({Type, Scenario, Procs, Ops}, Dir, Config) ->
    %% Reads of more than one process are safe there, but not beside writes.
    Subject = #{name => floor, module => bench_floor_table, type => Type, options => [], limit => infinity, one_writer => true},
    Job = bench_plan:job(main, 1, Procs, Scenario, Ops, Subject, Config),
    case bench_vm:run(Job#{dir => filename:join(Dir, "table")}) of
        {ok, Results} ->
            [io:format("~s ~s ~b ~.2f~n", [Type, Op, Procs, float(Figure)]) || #{op := Op, value := Figure} <- Results];
        {error, Text} ->
            io:format("~ts~n", [Text]),
            halt(1)
    end.
