%% What was measured, asked for by operation: medians, spreads, ratios.
-module(bench_results).

-export([values/3, values/4, median/1, ratio/2, best/3]).
-export_type([results/0, by_run/0]).

-type results() :: [map()].
-type by_run() :: #{Run :: pos_integer() => number()}.

%% The values of an operation in the main table, a run each.
-spec values({Op :: atom(), Procs :: pos_integer()}, Subject :: atom(), results()) -> by_run().
values(What, Subject, Results) ->
    values(main, What, Subject, Results).

-spec values(bench_plan:section(), {atom(), pos_integer()}, atom(), results()) -> by_run().
values(Section, {Op, Procs}, Subject, Results) ->
    maps:from_list([
        {Run, Value}
     || #{section := S, op := O, procs := P, subject := Name, run := Run, value := Value} <- Results,
        O =:= Op,
        P =:= Procs,
        Name =:= Subject,
        S =:= Section
    ]).

-spec median(by_run() | [number(), ...]) -> float().
median(ByRun) when is_map(ByRun) ->
    median(maps:values(ByRun));
median(Values) ->
    Sorted = lists:sort(Values),
    N = length(Sorted),
    (lists:nth((N + 1) div 2, Sorted) + lists:nth(N div 2 + 1, Sorted)) / 2.

%% Within one run the machine was in much the same mood, so ratios are taken there; their median.
-spec ratio(by_run(), by_run()) -> float() | none.
ratio(Values, References) ->
    case [Value / maps:get(Run, References) || {Run, Value} <- maps:to_list(Values), maps:get(Run, References, 0) > 0] of
        [] -> none;
        Ratios -> median(Ratios)
    end.

%% Which of the subjects did it best. How long a whole table takes says nothing beside one with another number of objects.
-spec best({atom(), pos_integer()}, {Beside :: atom(), [atom()]}, results()) -> {atom(), by_run()} | none.
best({Op, _} = What, {Beside, Subjects}, Results) ->
    {ok, #{unit := Unit}} = bench_ops:find(Op),
    Found = [
        {median(Values), Name, Values}
     || Name <- Subjects,
        Values <- [values(What, Name, Results)],
        Values =/= #{},
        Unit =/= milliseconds orelse objects(What, Name, Results) =:= objects(What, Beside, Results)
    ],
    case lists:sort(Found) of
        [{_, Name, Values} | _] -> {Name, Values};
        [] -> none
    end.

objects({Op, Procs}, Subject, Results) ->
    lists:usort([N || #{section := main, op := O, procs := P, subject := S, objects := N} <- Results, O =:= Op, P =:= Procs, S =:= Subject]).
