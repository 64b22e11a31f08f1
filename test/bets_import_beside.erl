%% What the suites of imports share: sources and what is in them, tables to import into, the steps of an import and its killing.
-module(bets_import_beside).

-include_lib("stdlib/include/assert.hrl").

-export([objects/1, ets_table/1, dets_file/2, path/1]).
-export([table/1, same/2]).
-export([steps/1, killed_and_again/1]).

%% ---------------------------------------------------------------- sources

objects(bag) -> [{N rem 50, N, {deep, [N]}} || N <- lists:seq(1, 300)] ++ [{"key", #{x => 1}}, {1, x}, {1.0, x}];
objects(duplicate_bag) -> objects(bag) ++ lists:sublist(objects(bag), 40);
objects(ordered_set) -> [{N, N * N, {deep, [N]}} || N <- lists:seq(1, 300)] ++ [{a}, {"key", #{x => 1}}, {1.5, make_ref(), fun() -> ok end}];
objects(set) -> [{1.0, float} | objects(ordered_set)].

ets_table(Type) ->
    Source = ets:new(source, [Type, public]),
    true = ets:insert(Source, objects(Type)),
    Source.

%% dets has no ordered_set.
dets_file(ordered_set, _Objects) -> none;
dets_file(Type, Objects) ->
    File = path("source.dets"),
    {ok, d} = dets:open_file(d, [{file, File}, {type, Type}]),
    ok = dets:insert(d, Objects),
    ok = dets:close(d),
    File.

%% A path in a fresh directory.
path(Name) ->
    Dir = bets_beside:temp_dir("import-" ++ integer_to_list(erlang:unique_integer([positive]))),
    Path = filename:join(Dir, Name),
    ok = filelib:ensure_dir(Path),
    Path.

%% ---------------------------------------------------------------- tables

table(Type) -> bets:new(import, [Type, public]).

%% In any order. Sorting would not do: 1 and 1.0 are equal to it.
same(Expected, Found) ->
    ?assertEqual({[], []}, {Expected -- Found, Found -- Expected}).

%% ---------------------------------------------------------------- steps and kills

%% What an import tells of its progress.
steps(Import) ->
    Self = self(),
    {ok, _} = Import([{progress, fun(Step) -> Self ! {step, Step} end}]),
    received().

received() ->
    receive
        {step, Step} -> [Step | received()]
    after 0 -> []
    end.

%% However often the process has died, the same call comes to the right end.
killed_and_again(Import) ->
    [killed(Import, rand:uniform(25)) || _ <- lists:seq(1, 5)],
    [killed_within(Import, rand:uniform(20)) || _ <- lists:seq(1, 5)],
    {ok, #{verified := N, objects := N}} = Import([{verify, all}]).

%% At a step of its own.
killed(Import, Steps) ->
    {Pid, Monitor} = spawn_monitor(fun() ->
        Left = counters:new(1, []),
        counters:put(Left, 1, Steps),
        Import([
            {progress, fun(_) ->
                counters:sub(Left, 1, 1),
                counters:get(Left, 1) > 0 orelse exit(self(), kill)
            end}
        ])
    end),
    receive {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(killed, Reason) end.

%% Anywhere.
killed_within(Import, Milliseconds) ->
    {Pid, Monitor} = spawn_monitor(fun() -> Import([]) end),
    timer:sleep(Milliseconds),
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, _} -> ok end.
