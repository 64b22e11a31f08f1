%% The command line of bin/bench.
-module(bench_args).

-export([parse/1]).
-export_type([config/0]).

-type config() :: #{
    objects := pos_integer(),
    dets_objects := pos_integer(),
    runs := pos_integer(),
    procs := [pos_integer()],
    ops := [atom()],
    subjects := [bench_subject:subject()],
    key := bin16 | int,
    value := non_neg_integer(),
    dir := file:filename(),
    write := none | file:filename()
}.

-spec parse([string()]) -> {ok, config()} | {help | error, iodata()}.
parse(Args) ->
    try
        parse(Args, defaults())
    catch
        throw:help -> {help, usage()};
        throw:{wrong, Format, Values} -> {error, [io_lib:format(Format, Values), "\n\n", usage()]}
    end.

defaults() ->
    #{
        objects => 1000000,
        dets_objects => 50000,
        runs => 5,
        procs => [1, 2],
        ops => [Name || #{name := Name} <- bench_ops:all(), not lists:member(Name, [counter_load, match_load, range_load])],
        subjects => bench_subject:all(),
        key => bin16,
        value => 100,
        dir => default_dir(),
        write => none
    }.

%% Not the temporary directory of the system, which may be in memory.
default_dir() ->
    filename:join([os:getenv("BETS_ROOT", "."), "_build", "bench", "data"]).

parse([], Config) -> {ok, Config};
parse(["--help" | _], _) -> throw(help);
parse(["--short" | T], C) -> parse(T, C#{objects := 20000, dets_objects := 2000, runs := 1});
parse(["--objects", N | T], C) -> parse(T, C#{objects := positive("--objects", N)});
parse(["--dets-objects", N | T], C) -> parse(T, C#{dets_objects := positive("--dets-objects", N)});
parse(["--runs", N | T], C) -> parse(T, C#{runs := positive("--runs", N)});
parse(["--procs", L | T], C) -> parse(T, C#{procs := [positive("--procs", N) || N <- split(L)]});
parse(["--only", L | T], C) -> parse(T, C#{ops := [op(Name) || Name <- split(L)]});
parse(["--subjects", L | T], C) -> parse(T, C#{subjects := [subject(Name) || Name <- split(L)]});
parse(["--key", "bin16" | T], C) -> parse(T, C#{key := bin16});
parse(["--key", "int" | T], C) -> parse(T, C#{key := int});
parse(["--value", N | T], C) -> parse(T, C#{value := positive("--value", N)});
parse(["--dir", Dir | T], C) -> parse(T, C#{dir := filename:absname(Dir)});
parse(["--write", Name | T], C) -> parse(T, C#{write := report(Name)});
parse([Arg | _], _) -> throw({wrong, "I do not understand ~ts here.", [Arg]}).

split(List) ->
    string:lexemes(List, ",").

positive(Option, Text) ->
    case string:to_integer(Text) of
        {N, ""} when N > 0 -> N;
        _ -> throw({wrong, "~s takes a positive integer, not ~ts.", [Option, Text]})
    end.

op(Text) ->
    find(Text, bench_ops:names(), "operation").

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

report(Name) ->
    filename:join([os:getenv("BETS_ROOT", "."), "docs", "benchmarks", filename:basename(Name, ".md") ++ ".md"]).

usage() ->
    [
        "bin/bench [options]: measures bets beside its peers, each scenario in a fresh VM.\n\n"
        "  --objects N        objects in a table (1000000)\n"
        "  --dets-objects N   the same for dets, which is slow (50000)\n"
        "  --runs K           runs of everything; the table shows medians (5)\n"
        "  --procs 1,2        process counts\n"
        "  --key bin16|int    keys of 16 random bytes, or integers\n"
        "  --value N          bytes of a value (100)\n"
        "  --dir DIR          where the tables lie (_build/bench/data)\n"
        "  --write NAME       also write the report to docs/benchmarks/NAME.md\n"
        "  --short            20000 objects, 1 run: checks that everything runs, measures nothing\n",
        ["  --subjects A,B     of ", commas(bench_subject:names()), "\n"],
        ["  --only OP,OP       of ", commas(bench_ops:names()), "\n"]
    ].
