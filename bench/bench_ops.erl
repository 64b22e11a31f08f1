%% The operations: what each works on, what it needs of a subject, and its unit.
%%
%% To add one, give it a line in `all/0' and a clause in `bench_loops:run/4'; one that is no loop over items gets a clause in
%% `bench_run' instead.
-module(bench_ops).

-export([all/0, find/1, names/0, scenario_ops/1, scenarios/0, shown/0]).
-export_type([op/0, scenario/0, unit/0]).

-type scenario() :: main | lists | counters | matching | ranges | sync | merge | churn | memory | latency.
-type unit() :: nanoseconds | microseconds | milliseconds | bytes | times.
-type op() :: #{
    name := atom(),
    title := string(),
    scenario := scenario(),
    %% what the loop walks over; `none' for operations on the whole table
    items := bench_data:kind() | none,
    %% how many of them: as many as there are objects, or at most so many
    share := all | sample | pos_integer(),
    mode := read | write,
    %% needed by what comes after it in the scenario, so it runs even when not asked for
    load := boolean(),
    %% `all' process counts that were asked for, or these
    procs := all | [pos_integer()],
    %% optional callbacks that a subject must have
    needs := [{atom(), arity()}],
    types := [set | ordered_set],
    unit := unit()
}.

%% In the order in which a scenario runs them on one table.
-spec all() -> [op()].
all() ->
    Whole = #{procs => [1], mode => read},
    Opening = Whole#{unit => milliseconds},
    Prepared = Opening#{needs => [{prepare_open, 2}]},
    Merging = #{procs => [1], needs => [{merge, 2}], types => [set, ordered_set]},
    Latency = #{procs => [1]},
    Ordered = #{mode => read, types => [ordered_set]},
    Selecting = #{mode => read, needs => [{select, 2}], types => [set]},
    Bytes = #{procs => [1], unit => bytes},
    [
        op(insert, "insert", main, objects, #{load => true, share => all}),
        op(lookup_hit, "lookup, hit", main, keys, #{mode => read}),
        op(lookup_miss, "lookup, miss", main, absent_keys, #{mode => read}),
        op(lookup_zipf, "lookup, Zipf-distributed", main, zipf_keys, #{mode => read}),
        op(range, "range of 100 from a key", main, keys, Ordered#{needs => [{range, 3}], share => 10000}),
        op(overwrite, "insert, overwriting", main, new_objects, #{share => 1000000}),
        op(mix, "lookups and overwrites by turns", main, mixed, #{}),
        op(foldl, "foldl, per object", main, none, Whole),
        op(delete, "delete", main, keys, #{}),
        op(list_insert, "insert lists of 1000, per object", lists, lists, #{load => true, share => all}),
        op(disk, "disk a key after load", lists, none, Bytes),
        op(open_clean, "open after a clean close", lists, none, Opening),
        op(open_clean_cold, "open after a clean close, page cache cold", lists, none, Opening),
        op(open_hints, "open from hints", lists, none, Prepared),
        op(open_hints_cold, "open from hints, page cache cold", lists, none, Prepared),
        op(open_scan, "open without hints", lists, none, Prepared),
        op(open_scan_cold, "open without hints, page cache cold", lists, none, Prepared),
        op(counter_load, "insert counters", counters, counters, #{load => true, share => 100000, types => [set]}),
        op(counter_one, "update_counter, one row", counters, counter_key, #{types => [set]}),
        op(counter_spread, "update_counter, spread", counters, counter_keys, #{types => [set]}),
        op(match_load, "insert objects to select from", matching, numbered, Selecting#{mode => write, load => true, share => all}),
        op(select_lookup, "lookup beside the selects", matching, keys, Selecting),
        op(select_bound, "select of a bound key", matching, keys, Selecting),
        op(select_few, "select of 1 %, per object looked at", matching, none, Selecting#{procs => [1]}),
        op(range_load, "insert into ordered_set", ranges, grouped, Ordered#{mode => write, load => true, share => all}),
        op(range_select, "select of 100 keys that begin alike, per object", ranges, groups, Ordered#{needs => [{select, 2}], share => all}),
        op(range_next, "next, 100 times from a key, per key", ranges, groups, Ordered#{needs => [{next, 2}], share => all}),
        op(range_lookup, "next and lookup, 100 times from a key, per key", ranges, groups, Ordered#{needs => [{next, 2}], share => all}),
        op(sync_insert, "insert, durable on return", sync, objects, #{
            share => 1000000, procs => [1, 2, 16], needs => [{durable_insert, 2}], unit => microseconds, types => [set]
        }),
        op(merge_load, "insert and overwrite", merge, none, Merging#{load => true, unit => milliseconds}),
        op(merge, "merge of a table overwritten once", merge, none, Merging#{unit => milliseconds}),
        op(merge_before, "disk a key before a merge", merge, none, Merging#{unit => bytes}),
        op(merge_peak, "disk a key at most, during a merge", merge, none, Merging#{unit => bytes}),
        op(merge_after, "disk a key after a merge", merge, none, Merging#{unit => bytes}),
        op(churn, "insert, overwriting again and again", churn, none, Merging),
        op(churn_peak, "disk a key at most, meanwhile", churn, none, Merging#{unit => bytes}),
        op(churn_after, "disk a key when it is over", churn, none, Merging#{unit => bytes}),
        op(merge_p99, "p99 of lookups during a merge, beside without", latency, none, Latency#{unit => times}),
        op(merge_stall, "longest lookup during a merge, more than without", latency, none, Latency#{unit => milliseconds}),
        op(memory, "memory a key, resident", memory, none, Bytes),
        op(memory_vm, "memory a key, allocated in the VM", memory, none, Bytes),
        op(memory_own, "memory a key, own account", memory, none, Bytes),
        op(memory_beyond, "memory beyond the key, own account, worst while doubling", memory, none, Bytes),
        op(memory_peak, "memory a key, resident, peak while doubling", memory, none, Bytes)
    ].

op(Name, Title, Scenario, Items, More) ->
    Defaults = #{
        load => false, procs => all, unit => nanoseconds, share => sample, mode => write, needs => [], types => [set, ordered_set]
    },
    maps:merge(Defaults, More#{name => Name, title => Title, scenario => Scenario, items => Items}).

-spec names() -> [atom()].
names() ->
    [Name || #{name := Name} <- all()].

%% What is measured if nothing is said: all but what only fills a table for others, and what only concerns options of bets.
-spec shown() -> [atom()].
shown() ->
    names() -- [counter_load, match_load, range_load, merge_load, churn, churn_peak, churn_after].

-spec find(atom()) -> {ok, op()} | error.
find(Name) ->
    case [Op || #{name := N} = Op <- all(), N =:= Name] of
        [Op] -> {ok, Op};
        [] -> error
    end.

%% Those that a subject has a job for each: `latency' is what `bench_merge' measures.
-spec scenarios() -> [scenario()].
scenarios() ->
    [main, lists, counters, matching, ranges, sync, merge, churn, memory].

-spec scenario_ops(scenario()) -> [op()].
scenario_ops(Scenario) ->
    [Op || #{scenario := S} = Op <- all(), S =:= Scenario].
