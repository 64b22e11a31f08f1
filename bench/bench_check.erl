%% What `bin/bench --short' looks at, beyond that every job ran to its end: a report that lacks something would else be noticed by its readers.
-module(bench_check).

-export([results/2, files/1]).

-include_lib("xmerl/include/xmerl.hrl").

%% Every operation that is measured by default, and every target, has its figures. What is missing, in words.
-spec results(bench_results:results(), bench_args:config()) -> [string()].
results(Results, #{command := report, ops := Ops, subjects := Subjects}) ->
    Measured = lists:usort([Op || #{op := Op, section := main} <- Results]),
    Names = [Name || #{name := Name} <- Subjects],
    Targets = [
        {Subject, What, Bound}
     || {Subject, {Op, _} = What, Bounds} <- bench_targets:all(),
        lists:member(Op, Ops),
        Bound <- Bounds,
        lists:all(fun(Name) -> lists:member(Name, Names) end, [Subject | reference(Bound)])
    ],
    [lists:flatten(io_lib:format("~s was not measured", [Op])) || Op <- Ops -- Measured] ++
        [
            lists:flatten(io_lib:format("the target ~p of ~s, ~p is not judged", [Bound, Subject, What]))
         || {Subject, What, Bound} <- Targets, not judged(Subject, What, Bound, Results)
        ];
results(_Results, _Config) ->
    [].

reference({of_subject, Name, _}) when Name =/= durable -> [Name];
reference(_Bound) -> [].

%% The time of an operation that is too short for the clock may come out below nothing, and then has no ratio.
judged(Subject, {Op, Procs} = What, {of_subject, Reference, _} = Bound, Results) when Reference =/= durable ->
    bench_targets:judge(Subject, What, Bound, Results) =/= unknown orelse
        lists:all(fun(Name) -> bench_results:values({Op, Procs}, Name, Results) =/= #{} end, [Subject, Reference]);
judged(Subject, What, Bound, Results) ->
    bench_targets:judge(Subject, What, Bound, Results) =/= unknown orelse bench_results:values(What, Subject, Results) =/= #{}.

%% The charts that a written report names are there, and are XML.
-spec files(file:filename()) -> [string()].
files(Path) ->
    {ok, Text} = file:read_file(Path),
    Images =
        case re:run(Text, "\\]\\(([^)]+\\.svg)\\)", [global, {capture, all_but_first, list}]) of
            {match, Matches} -> [filename:join(filename:dirname(Path), Image) || [Image] <- Matches];
            nomatch -> []
        end,
    [Image ++ " is no chart" || Image <- Images, not chart(Image)].

chart(Image) ->
    try xmerl_scan:file(Image) of
        {#xmlElement{name = svg, content = [_ | _]}, _} -> true;
        _ -> false
    catch
        exit:_ -> false
    end.
