%% The command line of bin/bench.
-module(bench_args).

-export([parse/1]).
-export_type([config/0]).

-type config() :: #{
    command := table | report | tuning | {render, file:filename()},
    %% whether this only tries that everything runs
    short := boolean(),
    objects := pos_integer(),
    dets_objects := pos_integer(),
    sample := pos_integer(),
    runs := pos_integer(),
    axis_runs := pos_integer(),
    milliseconds := pos_integer(),
    procs := [pos_integer()],
    ops := [atom()],
    subjects := [bench_subject:subject()],
    key := bench_keys:key_type(),
    value := non_neg_integer(),
    %% VMs at a time: more than one measures nothing
    at_once := pos_integer(),
    %% also what takes more than a few minutes
    long := boolean(),
    dir := file:filename(),
    write := none | file:filename()
}.

-spec parse([string()]) -> {ok, config()} | {help | error, iodata()}.
parse(Args) ->
    try
        {ok, command(Args)}
    catch
        throw:help -> {help, usage()};
        throw:{wrong, Format, Values} -> {error, [io_lib:format(Format, Values), "\n\n", usage()]}
    end.

command(["report" | Args]) ->
    parse(Args, (defaults())#{command := report, procs := [1, 2], write := report("report")});
command(["tuning" | Args]) ->
    parse(Args, (defaults())#{command := tuning, ops := bench_ops:names(), objects := 500000, write := report("tuning")});
command(["render", File | Args]) ->
    parse(Args, (defaults())#{command := {render, File}});
command(Args) ->
    parse(Args, defaults()).

defaults() ->
    #{
        command => table,
        short => false,
        objects => 1000000,
        dets_objects => 20000,
        sample => 400000,
        runs => 3,
        axis_runs => 1,
        milliseconds => 2000,
        procs => [1],
        ops => bench_ops:shown(),
        subjects => bench_subject:all(),
        key => bin16,
        value => 100,
        at_once => 1,
        long => false,
        dir => filename:join([root(), "_build", "bench", "data"]),
        write => none
    }.

%% Not the temporary directory of the system, which may be in memory.
root() ->
    os:getenv("BETS_ROOT", ".").

parse([], Config) -> Config;
parse(["--help" | _], _) -> throw(help);
parse(["--short" | T], C) -> parse(T, short(C));
parse(["--long" | T], C) -> parse(T, C#{long := true});
parse(["--objects", N | T], C) -> parse(T, C#{objects := positive("--objects", N)});
parse(["--dets-objects", N | T], C) -> parse(T, C#{dets_objects := positive("--dets-objects", N)});
parse(["--runs", N | T], C) -> parse(T, C#{runs := positive("--runs", N)});
parse(["--axis-runs", N | T], C) -> parse(T, C#{axis_runs := positive("--axis-runs", N)});
parse(["--procs", L | T], C) -> parse(T, C#{procs := [positive("--procs", N) || N <- split(L)]});
parse(["--only", L | T], C) -> parse(T, C#{ops := [find(Name, bench_ops:names(), "operation") || Name <- split(L)]});
parse(["--subjects", L | T], C) -> parse(T, C#{subjects := [subject(Name) || Name <- split(L)]});
parse(["--key", Name | T], C) -> parse(T, C#{key := find(Name, [Key || {Key, _} <- bench_keys:key_types()], "type of key")});
parse(["--value", N | T], C) -> parse(T, C#{value := positive("--value", N)});
parse(["--dir", Dir | T], C) -> parse(T, C#{dir := filename:absname(Dir)});
parse(["--write", Name | T], C) -> parse(T, C#{write := report(Name)});
parse([Arg | _], _) -> throw({wrong, "I do not understand ~ts here.", [Arg]}).

%% Everything that the two reports have, in the little that it takes to see that it runs. They are written beside the tables.
short(C) ->
    C#{short := true, objects := 2000, dets_objects := 500, runs := 1, milliseconds := 20, at_once := 2, long := true}.

split(List) ->
    string:lexemes(List, ",").

positive(Option, Text) ->
    case string:to_integer(Text) of
        {N, ""} when N > 0 -> N;
        _ -> throw({wrong, "~s takes a positive integer, not ~ts.", [Option, Text]})
    end.

subject(Text) ->
    {ok, Subject} = bench_subject:find(find(Text, bench_subject:names(), "subject")),
    Subject.

find(Text, Names, What) ->
    case [Name || Name <- Names, atom_to_list(Name) =:= Text] of
        [Name] -> Name;
        [] -> throw({wrong, "There is no ~s ~ts. There are: ~ts", [What, Text, commas(Names)]})
    end.

commas(Names) ->
    lists:join(", ", [atom_to_list(Name) || Name <- Names]).

%% A name is a file in docs/benchmarks; a path stands for itself.
report(Name) ->
    case filename:basename(Name) of
        Name -> filename:join([root(), "docs", "benchmarks", filename:basename(Name, ".md") ++ ".md"]);
        _ -> filename:absname(Name)
    end.

usage() ->
    [
        "bin/bench [options]                 one table: bets beside its peers, each scenario in a fresh VM\n"
        "bin/bench report [options]          that, the targets, and how the figures grow with values, keys and objects, with charts\n"
        "bin/bench tuning [options]          what options of bets cost and bring\n"
        "bin/bench render FILE [options]     the report of what an earlier run has left in _build/bench/NAME.results\n"
        "bin/bench merge [options]           latencies while a table is merged; has options of its own\n\n"
        "  --objects N        objects in a table (1000000; of tuning 500000)\n"
        "  --dets-objects N   the same for dets, which is slow (20000)\n"
        "  --runs K           runs of everything; the table shows medians (3)\n"
        "  --axis-runs K      runs of what a report has with other values, keys and numbers of objects (1)\n"
        "  --procs 1,2        process counts (1; of a report 1,2)\n",
        ["  --key TYPE         of ", commas([Key || {Key, _} <- bench_keys:key_types()]), " (bin16)\n"],
        "  --value N          bytes of a value (100)\n"
        "  --long             in a report also 10,000,000 objects, and data of four times the memory (as root)\n"
        "  --dir DIR          where the tables lie (_build/bench/data)\n"
        "  --write NAME       where the report goes: docs/benchmarks/NAME.md, or a path (NAME is report or tuning for these)\n"
        "  --short            report and tuning with 2000 objects, two VMs at a time: checks that everything runs, measures nothing\n",
        ["  --subjects A,B     of ", commas(bench_subject:names()), "\n"],
        ["  --only OP,OP       of ", commas(bench_ops:names()), "\n"]
    ].
