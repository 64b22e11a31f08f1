%% What is aimed at: 1,000,000 objects of a 16-byte binary as key and one of 100 bytes, default options, one run.
%%
%% A bound on a ratio is one on what an operation takes: 0.25 of a peer is four times as fast, or a quarter of its size.
-module(bench_targets).

-export([all/0, judge/4]).
-export_type([target/0, bound/0, verdict/0]).

-type bound() ::
    %% at most so much of what another subject takes; of the best durable peer that was measured
    {of_subject, atom() | durable, number()}
    %% at most so much, in the unit of the operation
    | {at_most, number()}
    %% with two processes, so many times as fast as with one
    | {faster_than_one, number()}.
-type target() :: {Subject :: atom(), {Op :: atom(), Procs :: pos_integer()}, [bound()]}.
-type verdict() :: #{measured := float(), met := boolean(), reference := atom()}.

-spec all() -> [target()].
all() ->
    Third = 1 / 3,
    [
        {bets, {lookup_hit, 1}, [{of_subject, ets, 0.85}, {of_subject, bitcask, Third}]},
        {bets, {lookup_miss, 1}, [{of_subject, ets, 0.3}, {of_subject, bitcask, Third}]},
        {bets, {lookup_hit, 2}, [{faster_than_one, 1.9}]},
        {bets, {insert, 1}, [{of_subject, ets, 1.0}, {of_subject, bitcask, Third}]},
        {bets, {overwrite, 1}, [{of_subject, ets, 1.0}, {of_subject, bitcask, Third}]},
        {bets, {delete, 1}, [{of_subject, ets, 1.2}, {of_subject, bitcask, Third}]},
        {bets, {list_insert, 1}, [{of_subject, ets, 1.0}, {of_subject, durable, 0.25}]},
        {bets, {counter_one, 1}, [{of_subject, ets, 2.0}, {of_subject, durable, 0.1}]},
        {bets, {counter_spread, 1}, [{of_subject, ets, 1.6}, {of_subject, durable, 0.1}]},
        {bets_ordered, {lookup_hit, 1}, [{of_subject, ets_ordered, 0.9}]},
        {bets_ordered, {range, 1}, [{of_subject, ets_ordered, 0.4}]},
        {bets_ordered, {insert, 1}, [{of_subject, ets_ordered, 2.0}]},
        {bets, {foldl, 1}, [{of_subject, ets, 0.4}]},
        {bets, {select_few, 1}, [{of_subject, ets, 0.5}]},
        {bets, {sync_insert, 16}, [{of_subject, bitcask, 0.1}]},
        {bets, {memory, 1}, [{of_subject, ets, 1 / 6}]},
        {bets, {memory_beyond, 1}, [{at_most, 28}]},
        {bets_ordered, {memory_beyond, 1}, [{at_most, 64}]},
        {bets, {disk, 1}, [{at_most, 150}]},
        {bets, {open_clean, 1}, [{of_subject, ets, 0.05}, {at_most, 50}]},
        {bets, {open_hints, 1}, [{at_most, 250}]},
        {bets_ordered, {open_clean, 1}, [{at_most, 300}]},
        {bets, {merge, 1}, [{of_subject, bitcask, 0.2}]},
        {bets, {merge_p99, 1}, [{at_most, 2}]},
        {bets, {merge_stall, 1}, [{at_most, 20}]}
    ].

%% Whether a bound is kept; `unknown' if what it needs was not measured.
-spec judge(atom(), {atom(), pos_integer()}, bound(), bench_results:results()) -> verdict() | unknown.
judge(Subject, What, {of_subject, durable, Most}, Results) ->
    Peers = [Name || #{name := Name, role := durable} <- bench_subject:all()],
    case bench_results:best(What, {Subject, Peers}, Results) of
        {Name, _} -> judge(Subject, What, {of_subject, Name, Most}, Results);
        none -> unknown
    end;
judge(Subject, What, {of_subject, Reference, Most}, Results) ->
    Ratio = bench_results:ratio(bench_results:values(What, Subject, Results), bench_results:values(What, Reference, Results)),
    verdict(Ratio, fun(Measured) -> Measured =< Most end, Reference);
judge(Subject, What, {at_most, Most}, Results) ->
    case bench_results:values(What, Subject, Results) of
        Values when Values =:= #{} -> unknown;
        Values -> verdict(bench_results:median(Values), fun(Measured) -> Measured =< Most end, Subject)
    end;
judge(Subject, {Op, _} = What, {faster_than_one, Least}, Results) ->
    Ratio = bench_results:ratio(bench_results:values({Op, 1}, Subject, Results), bench_results:values(What, Subject, Results)),
    verdict(Ratio, fun(Measured) -> Measured >= Least end, Subject).

verdict(none, _Holds, _Reference) -> unknown;
verdict(Measured, Holds, Reference) -> #{measured => Measured, met => Holds(Measured), reference => Reference}.
