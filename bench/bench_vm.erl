%% Starts a fresh VM for one job, and reads what it measured.
-module(bench_vm).

-export([run/1]).

%% Empties the directory of the job first and removes it afterwards.
-spec run(map()) -> {ok, [bench_run:result()]} | {error, iodata()}.
run(#{dir := Dir} = Job) ->
    remove(Dir),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    JobFile = Dir ++ ".job",
    OutFile = Dir ++ ".out",
    _ = file:delete(OutFile),
    ok = file:write_file(JobFile, io_lib:format("~0p.~n", [Job#{out => OutFile}])),
    {Status, Output} = erl(["-noinput", "-run", "bench_run", "main", JobFile]),
    remove(Dir),
    case {Status, file:consult(OutFile)} of
        {0, {ok, Results}} -> {ok, Results};
        _ -> {error, io_lib:format("exit status ~b~n~ts", [Status, Output])}
    end.

erl(Args) ->
    Paths = lists:append([["-pa", Path] || {pa, Values} <- init:get_arguments(), Path <- Values]),
    Port = open_port(
        {spawn_executable, os:find_executable("erl")},
        [{args, Paths ++ Args}, exit_status, stderr_to_stdout, binary, hide]
    ),
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
