%% bin/bench tuning: what the options of bets cost and bring, each beside the defaults in runs that take turns.
%%
%% A table compares variants, of which the first is the one that the others are set against. A variant is a set of options, a shape of the data,
%% or a number of processes.
-module(bench_tuning).

-export([jobs/1, report/3]).

-import(bench_markdown, [number/1, ratio/1, unit/1]).

-type variant() :: #{name := atom(), title := string(), options := [term()], type := set | ordered_set, procs := pos_integer(), shape := map()}.
-type table() :: #{name := atom(), title := string(), note := string(), ops := [atom()], variants := [variant()]}.

-define(MAIN, [insert, lookup_hit, lookup_miss, overwrite, delete]).

-spec tables() -> [table()].
tables() ->
    [
        #{
            name => options,
            title => "Options",
            note => "In a bag the operation `overwriting` adds a second object to each key.",
            ops => ?MAIN ++ [list_insert, disk, open_clean, open_scan, memory_own],
            variants => [
                variant(defaults, "defaults", []),
                variant(sync_none, "`{sync, none}`", [{sync, none}]),
                variant(sync_often, "`{sync, {interval, 50}}`", [{sync, {interval, 50}}]),
                variant(uncached, "`{cache, false}`", [{cache, false}]),
                variant(small_files, "`{max_file_size, 16 MiB}`", [{max_file_size, 16 bsl 20}]),
                variant(ttl, "`{ttl, 3600000}`", [{ttl, 3600000}]),
                (variant(ordered, "`ordered_set`", []))#{type := ordered_set},
                variant(bag, "`bag`", [bag]),
                variant(duplicate_bag, "`duplicate_bag`", [duplicate_bag])
            ]
        },
        #{
            name => sync,
            title => "`{sync, always}`",
            note => "The time an insert takes, the inserts of all processes counted together.",
            ops => [sync_insert],
            variants => [(variant(list_to_atom("sync_" ++ N), N ++ " process(es)", []))#{procs := list_to_integer(N)} || N <- ["1", "4", "16", "64"]]
        },
        #{
            name => compressed,
            title => "`compressed`",
            note => "Values of 1 KiB that consist of words.",
            ops => [insert, lookup_hit, disk],
            variants => [
                text(plain, "defaults", []),
                text(compressed, "`compressed`", [compressed]),
                text(plain_uncached, "`{cache, false}`", [{cache, false}]),
                text(compressed_uncached, "`compressed`, `{cache, false}`", [compressed, {cache, false}])
            ]
        },
        #{
            name => merging,
            title => "Merges",
            note =>
                "Half of the objects, each overwritten ten times in random order, in files of 16 MiB, with a look at what is to be merged five times a second.",
            ops => [churn, churn_peak, churn_after],
            variants => [
                merging(merge_default, "defaults", []),
                merging(merge_early, "`{frag_merge_trigger, 30}`, `{frag_threshold, 20}`", [{frag_merge_trigger, 30}, {frag_threshold, 20}]),
                merging(merge_late, "`{frag_merge_trigger, 85}`, `{frag_threshold, 70}`", [{frag_merge_trigger, 85}, {frag_threshold, 70}]),
                merging(merge_slowly, "`{merge_rate, 20 MB}`", [{merge_rate, 20000000}]),
                merging(merge_never, "`{merge_window, never}`", [{merge_window, never}])
            ]
        },
        #{
            name => processes,
            title => "Processes",
            note => "The time an operation takes, those of all processes counted together: half of it with two is as good as can be.",
            ops => [insert, lookup_hit, mix],
            variants => [(variant(list_to_atom("procs_" ++ N), N ++ " process(es)", []))#{procs := list_to_integer(N)} || N <- ["1", "2", "4", "16"]]
        }
    ].

variant(Name, Title, Options) ->
    #{name => Name, title => Title, options => Options, type => set, procs => 1, shape => #{}}.

text(Name, Title, Options) ->
    (variant(Name, Title, Options))#{shape := #{filler => text, value => 1024, divided => 4}}.

merging(Name, Title, Options) ->
    (variant(Name, Title, [{max_file_size, 16 bsl 20} | Options]))#{shape := #{divided => 2}}.

%% The variants of a table take turns.
-spec jobs(bench_args:config()) -> [map()].
jobs(#{runs := Runs, ops := Wanted} = Config) ->
    [
        job(Table, Run, Scenario, Asked, Variant, Config)
     || Run <- lists:seq(1, Runs),
        #{ops := Ops, variants := Variants} = Table <- tables(),
        Scenario <- bench_ops:scenarios(),
        Asked <- [[Op || #{name := Op} <- bench_ops:scenario_ops(Scenario), lists:member(Op, Ops), lists:member(Op, Wanted)]],
        Asked =/= [],
        Variant <- Variants
    ].

job(#{name := Table}, Run, Scenario, Asked, #{shape := Shape, procs := Procs} = Variant, #{objects := Objects} = Config) ->
    Subject = (maps:with([name, title, options, type], Variant))#{module => bench_bets, limit => infinity},
    Shaped = maps:merge(Config#{objects := Objects div maps:get(divided, Shape, 1)}, maps:without([divided], Shape)),
    bench_plan:job({tuning, Table}, Run, Procs, Scenario, Asked, Subject, Shaped).

-spec report(bench_results:results(), bench_args:config(), bench_machine:facts()) -> unicode:chardata().
report(Results, #{objects := Objects, value := Value, runs := Runs}, Machine) ->
    [
        "# What options cost and bring\n\n",
        "Written by `bin/bench tuning`. What the options are for is said in [tuning.md](../tuning.md), how to read figures in [README.md](README.md).\n\n",
        [["- ", Line, "\n"] || Line <- bench_machine:lines(Machine)],
        io_lib:format("- ~s objects {16-byte binary, ~b-byte binary} if nothing else is said, ~b run(s)~n~n", [number(Objects), Value, Runs]),
        "Medians. In brackets: the ratio to the first row within each run.\n",
        [section(Table, Results) || Table <- tables()]
    ].

section(#{name := Name, ops := Ops} = Table, Results) ->
    Measured = lists:usort([Op || #{section := {tuning, T}, op := Op} <- Results, T =:= Name]),
    case [Op || Asked <- Ops, lists:member(Asked, Measured), {ok, Op} <- [bench_ops:find(Asked)]] of
        [] -> [];
        Found -> section(Table, Found, Results)
    end.

section(#{name := Name, title := Title, note := Note, variants := [#{name := First} | _] = Variants}, Found, Results) ->
    Header = ["" | [[OpTitle, ", ", unit(Unit)] || #{title := OpTitle, unit := Unit} <- Found]],
    Values = fun(#{name := Variant, procs := Procs}, Op) -> bench_results:values({tuning, Name}, {Op, Procs}, Variant, Results) end,
    Rows = [
        [RowTitle | [cell(Values(Variant, Op), Values(hd(Variants), Op), Name1 =:= First) || #{name := Op} <- Found]]
     || #{name := Name1, title := RowTitle} = Variant <- Variants
    ],
    ["\n## ", Title, "\n\n", Note, "\n\n", bench_markdown:table([Header | Rows])].

cell(Values, _First, _) when Values =:= #{} -> ratio(none);
cell(Values, _First, true) -> number(bench_results:median(Values));
cell(Values, First, false) -> [number(bench_results:median(Values)), " (", ratio(bench_results:ratio(Values, First)), ")"].
