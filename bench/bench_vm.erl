%% Starts a fresh VM for one job, and reads what it measured.
-module(bench_vm).

-export([run/1, execute/2]).

%% Empties the directory of the job first and removes it afterwards.
-spec run(map()) -> {ok, [bench_run:result()]} | {error, iodata()}.
run(#{program := _} = Job) ->
    bench_floor:run(Job);
run(#{scenario := latency, dir := Dir, objects := Objects, milliseconds := Ms} = Job) ->
    Seconds = integer_to_list(max(1, Ms * 5 div 2000)),
    Options = ["--objects", integer_to_list(Objects), "--seconds", Seconds, "--dir", Dir, "--results", Dir ++ ".out"],
    in_vm(Job, paths() ++ ["-noinput", "-s", "bench_merge", "main", "-extra", "merge" | Options]);
run(#{dir := Dir} = Job) ->
    in_vm(Job, paths() ++ ["-noinput"] ++ cache(Job) ++ ["-run", "bench_run", "main", Dir ++ ".job"]).

in_vm(#{dir := Dir} = Job, Args) ->
    remove(Dir),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    JobFile = Dir ++ ".job",
    OutFile = Dir ++ ".out",
    _ = file:delete(OutFile),
    ok = file:write_file(JobFile, io_lib:format("~0p.~n", [Job#{out => OutFile}])),
    Outcome =
        case limited(Job, Args) of
            {error, Why} -> {error, Why};
            {Status, Output} -> outcome(Status, Output, file:consult(OutFile), Job)
        end,
    remove(Dir),
    _ = [file:delete(File) || File <- [JobFile, OutFile]],
    Outcome.

%% What `bin/bench merge' prints is a result as well: it stands in the report as it is.
outcome(0, Output, {ok, Results}, #{scenario := latency}) ->
    {ok, [#{op => latencies, count => 1, value => 0, empty => 0.0, text => iolist_to_binary(Output)} | Results]};
outcome(0, _Output, {ok, Results}, _Job) ->
    {ok, Results};
outcome(Status, Output, _, _Job) ->
    {error, io_lib:format("exit status ~b~n~ts", [Status, Output])}.

paths() ->
    lists:append([["-pa", Path] || {pa, Values} <- init:get_arguments(), Path <- Values]).

%% The default is a part of the machine's memory, which is not what a VM in a group has.
cache(#{memory_limit := Limit}) -> ["-bets", "cache", integer_to_list(Limit div 8)];
cache(_Job) -> [].

limited(#{memory_limit := Limit}, Args) ->
    bench_cgroup:with(Limit, fun(Enter) -> execute(os:find_executable("sh"), ["-c", Enter ++ " && exec \"$@\"", "sh", erl() | Args]) end);
limited(_Job, Args) ->
    execute(erl(), Args).

erl() ->
    os:find_executable("erl").

%% Runs a program to its end.
-spec execute(file:filename(), [string()]) -> {Status :: non_neg_integer(), Output :: iodata()}.
execute(Program, Args) ->
    Port = open_port({spawn_executable, Program}, [{args, Args}, exit_status, stderr_to_stdout, binary, hide]),
    collect(Port, []).

collect(Port, Output) ->
    receive
        {Port, {data, Data}} -> collect(Port, [Output, Data]);
        {Port, {exit_status, Status}} -> {Status, Output}
    end.

remove(Dir) ->
    case file:del_dir_r(Dir) of
        ok -> ok;
        {error, enoent} -> ok
    end.
