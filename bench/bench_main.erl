%% bin/bench: bets beside its peers.
%%
%% The folder, from the outside in:
%%
%%   bench_main      runs the jobs, keeps their results, prints or writes the report
%%   bench_args      the command line
%%   bench_plan      which jobs there are, in which order; bench_tuning those of bin/bench tuning, and their report
%%   bench_progress  how far it is, on the standard error
%%   bench_vm        one fresh VM for one job; bench_cgroup holds it to a limit of memory
%%   bench_machine   what the figures were measured on
%%   bench_check     what a short run looks at
%%   bench_results   medians, spreads, ratios
%%   bench_targets   what is aimed at; bench_floor runs the programs that say what is possible
%%   bench_floor_run what floor/table, one of those programs, runs
%%   bench_report    the report; bench_markdown its tables, bench_charts and bench_svg its charts
%%
%%   bench_run       inside the fresh VM: the scenario, step by step; those that are no loops are in bench_open, bench_compact, bench_memory
%%   bench_worker    processes that start together, and the clock
%%   bench_ops       the operations; bench_loops their loops; a new workload goes here
%%   bench_data      the items that they walk over, made of bench_keys; a new key type or value shape goes there
%%   bench_files     the room that files take, and the page cache
%%   bench_subject   the libraries that are measured; subject/ has a module for each
%%
%%   bench_merge     bin/bench merge, which stands alone: latencies in an open loop while a table is merged
%%   demo/           bin/demo, which shares nothing with the above
-module(bench_main).

-export([main/0]).

%% Entry for `erl -s bench_main main -extra ARGS'. Exits with 1 if a job failed, with 2 if the arguments are wrong.
-spec main() -> no_return().
main() ->
    ok = io:setopts([{encoding, unicode}]),
    case bench_args:parse(init:get_plain_arguments()) of
        {ok, #{command := {render, File}} = Config} ->
            {ok, [{machine, Machine}, {config, Measured}, {results, Results}]} = file:consult(File),
            publish(Results, rendered(Measured, Config), Machine),
            halt(0);
        {ok, #{short := true, command := table}} ->
            halt(lists:max([run(short(Command)) || Command <- ["report", "tuning"]]));
        {ok, Config} ->
            halt(run(Config));
        {help, Text} ->
            io:put_chars(Text),
            halt(0);
        {error, Text} ->
            io:put_chars(standard_error, Text),
            halt(2)
    end.

%% Where it went before, if nothing else is said.
rendered(Measured, #{write := none}) -> Measured;
rendered(Measured, #{write := Path}) -> Measured#{write := Path}.

%% Both reports, with the arguments of the one command.
short(Command) ->
    {ok, #{dir := Dir} = Config} = bench_args:parse([Command | init:get_plain_arguments()]),
    Config#{write := filename:join(Dir, Command ++ ".md")}.

run(#{subjects := Wanted, dir := Dir, at_once := AtOnce} = Wish) ->
    Config = Wish#{subjects := [S || S <- Wanted, available(S)]},
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    Machine = bench_machine:facts(Dir),
    Jobs = bench_plan:jobs(Config),
    Outcomes = all(Jobs, AtOnce, Dir, bench_progress:start(length(Jobs))),
    Results = [R || {ok, Rs} <- Outcomes, R <- Rs],
    keep(Results, Config, Machine),
    publish(Results, Config, Machine),
    Wrong = ["a job failed" || error <- Outcomes] ++ checked(Results, Config),
    _ = [io:format(standard_error, "WRONG: ~ts~n", [What]) || What <- Wrong],
    min(1, length(Wrong)).

checked(Results, #{short := true, write := Path} = Config) -> bench_check:results(Results, Config) ++ bench_check:files(Path);
checked(_Results, _Config) -> [].

available(#{title := Title} = Subject) ->
    case bench_subject:available(Subject) of
        true ->
            true;
        {false, Why} ->
            io:format(standard_error, "~s is left out: ~s~n", [Title, Why]),
            false
    end.

%% Each place has a directory of its own; one place is what measures.
all(Jobs, AtOnce, Dir, Progress) ->
    Places = [filename:join(Dir, "run" ++ integer_to_list(I)) || I <- lists:seq(1, AtOnce)],
    all(Jobs, Places, 0, Progress, []).

all([], _Places, 0, Progress, Outcomes) ->
    bench_progress:stop(Progress),
    lists:reverse(Outcomes);
all([Job | Jobs], [Place | Places], Running, Progress, Outcomes) ->
    Self = self(),
    bench_progress:begins(describe(Job), Progress),
    _ = spawn_link(fun() -> Self ! {ended, Place, Job, bench_vm:run(Job#{dir => Place})} end),
    all(Jobs, Places, Running + 1, Progress, Outcomes);
all(Jobs, Places, Running, Progress, Outcomes) ->
    receive
        {ended, Place, Job, Outcome} ->
            all(Jobs, [Place | Places], Running - 1, bench_progress:ended(Progress), [outcome(Job, Outcome) | Outcomes])
    end.

outcome(#{subject := #{name := Name}} = Job, {ok, Results}) ->
    Tags = (maps:with([section, run, procs, objects, key, value], Job))#{subject => Name},
    {ok, [maps:merge(Tags, Result) || Result <- Results]};
outcome(Job, {error, Text}) ->
    io:format(standard_error, "~nFAILED: ~ts~n~ts~n", [describe(Job), Text]),
    error.

describe(#{section := Section, run := Run, procs := Procs, scenario := Scenario, subject := #{title := Title}, objects := Objects}) ->
    io_lib:format("run ~b, ~ts~s, ~ts, ~b process(es), ~b objects", [Run, axis(Section), Scenario, Title, Procs, Objects]).

axis(main) -> "";
axis({tuning, Table}) -> io_lib:format("tuning ~s, ", [Table]);
axis({Axis, Point}) -> io_lib:format("~s ~p, ", [Axis, Point]).

report(Results, #{command := tuning} = Config, Machine) -> {bench_tuning:report(Results, Config, Machine), []};
report(Results, Config, Machine) -> bench_report:format(Results, Config, Machine).

%% What was measured outlives its report, so that another can be made of it.
keep(Results, #{write := none} = Config, Machine) ->
    keep(Results, Config#{write := "table.md"}, Machine);
keep(Results, #{write := Path, dir := Dir, short := Short} = Config, Machine) ->
    %% A try does not replace what was measured.
    Folder =
        case Short of
            true -> Dir;
            false -> filename:dirname(Dir)
        end,
    File = filename:join(Folder, filename:basename(Path, ".md") ++ ".results"),
    Terms = [{machine, Machine}, {config, Config}, {results, Results}],
    ok = file:write_file(File, unicode:characters_to_binary([io_lib:format("~tp.~n", [Term]) || Term <- Terms])),
    io:format(standard_error, "what was measured is in ~ts~n", [File]).

publish(Results, #{write := none} = Config, Machine) ->
    {Report, _Charts} = report(Results, Config, Machine),
    io:put_chars(Report);
publish(Results, #{write := Path} = Config, Machine) ->
    {Report, Charts} = report(Results, Config, Machine),
    ok = filelib:ensure_dir(Path),
    ok = file:write_file(Path, unicode:characters_to_binary(Report)),
    lists:foreach(
        fun({Name, Svg}) ->
            ok = file:write_file(filename:join(filename:dirname(Path), Name), unicode:characters_to_binary(Svg))
        end,
        Charts
    ),
    io:format("~ts~nwritten to ~ts~n", [Report, Path]).
