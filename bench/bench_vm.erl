%% Starts a fresh VM for one job, and reads what it measured.
-module(bench_vm).

-export([run/1, execute/2]).

%% Empties the directory of the job first and removes it afterwards.
-spec run(map()) -> {ok, [bench_run:result()]} | {error, iodata()}.
run(#{program := _} = Job) ->
    bench_floor:run(Job);
run(#{dir := Dir} = Job) ->
    remove(Dir),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    JobFile = Dir ++ ".job",
    OutFile = Dir ++ ".out",
    _ = file:delete(OutFile),
    ok = file:write_file(JobFile, io_lib:format("~0p.~n", [Job#{out => OutFile}])),
    Outcome =
        case limited(Job, arguments(Job, JobFile)) of
            {error, Why} -> {error, Why};
            {Status, Output} -> outcome(Status, Output, file:consult(OutFile))
        end,
    remove(Dir),
    _ = [file:delete(File) || File <- [JobFile, OutFile]],
    Outcome.

outcome(0, _Output, {ok, Results}) -> {ok, Results};
outcome(Status, Output, _) -> {error, io_lib:format("exit status ~b~n~ts", [Status, Output])}.

arguments(Job, JobFile) ->
    Paths = lists:append([["-pa", Path] || {pa, Values} <- init:get_arguments(), Path <- Values]),
    Cache = lists:append([["-bets", "cache", integer_to_list(Limit div 8)] || #{memory_limit := Limit} <- [Job], is_integer(Limit)]),
    Paths ++ ["-noinput"] ++ Cache ++ ["-run", "bench_run", "main", JobFile].

limited(#{memory_limit := Limit}, Args) when is_integer(Limit) ->
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
