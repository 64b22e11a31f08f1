%% The two VMs of the demo. The first begins the index and kills itself; the second finishes it and checks it.
-module(demo_child).

-export([main/0]).

%% Entry for `erl -s demo_child main -extra first|second DIR SHORT [DONE_FILE]'.
-spec main() -> no_return().
main() ->
    try
        case init:get_plain_arguments() of
            ["first", Dir, Short] -> first(Dir, list_to_atom(Short));
            ["second", Dir, Short, DoneFile] -> second(Dir, list_to_atom(Short), DoneFile)
        end
    of
        Differences -> halt(min(Differences, 1))
    catch
        Class:Reason:Stack ->
            io:format("~p: ~p~n~p~n", [Class, Reason, Stack]),
            halt(2)
    end.

first(Dir, Short) ->
    Files = demo_beams:files(Short),
    io:format("@total ~b~n", [length(Files)]),
    Written = counters:new(1, [atomics]),
    Tables = demo_tables:create(Dir, []),
    spawn_link(fun() -> killer(Written, length(Files) div 2) end),
    ok = demo_index:build(Tables, Files, fun(Module) ->
        counters:add(Written, 1, 1),
        report(Module)
    end),
    %% Reached only if the killer did not do its work.
    timer:sleep(10000),
    1.

%% SIGKILL from outside, through the operating system: no part of the VM gets a chance to put things in order. The
%% writers are not told and go on until it arrives.
killer(Written, Enough) ->
    case counters:get(Written, 1) >= Enough of
        true ->
            os:cmd("kill -9 " ++ os:getpid());
        false ->
            timer:sleep(1),
            killer(Written, Enough)
    end.

report(Module) ->
    io:format("@done ~ts~n", [Module]).

second(Dir, Short, DoneFile) ->
    {ok, [Done]} = file:consult(DoneFile),
    Files = demo_beams:files(Short),
    Reference = demo_tables:ets(),
    io:format("A new VM builds the same index in ets, to compare with, and opens the bets tables.~n"),
    ok = demo_index:build(Reference, Files, fun(_Module) -> ok end),
    ok = demo_index:invert(Reference),
    {Tables, CrashMs} = time_ms(fun() -> demo_tables:open(Dir) end),
    AfterCrash = after_crash(Tables, Reference, [binary_to_atom(M) || M <- Done]),
    finish(Tables, Files),
    Differences = check(Tables, Reference),
    {Reopened, CleanMs} = reopen(Tables, Dir),
    questions(Reopened),
    figures(Reopened, Reference, Dir, CrashMs, CleanMs),
    verdict(AfterCrash + Differences).

after_crash(#{modules := Modules} = Tables, Reference, Done) ->
    Lost = demo_check:lost(Tables, Done),
    Wrong = demo_check:contained(Tables, Reference),
    io:format("After the kill: ~s objects of ~b whole modules are there; of what was reported as written, "
              "~b modules are lost; ~b objects are wrong.~n~n",
              [group(objects(Tables)), size_of(bets, Modules), Lost, Wrong]),
    Lost + Wrong.

finish(#{modules := Modules} = Tables, Files) ->
    Missing = [File || File <- Files, not bets:member(Modules, module(File))],
    io:format("Finishing the index: ~b modules are missing or were cut short.~n", [length(Missing)]),
    io:format("@total ~b~n", [length(Missing)]),
    ok = demo_index:build(Tables, Missing, fun report/1),
    ok = demo_index:invert(Tables).

module(File) ->
    list_to_atom(filename:basename(File, ".beam")).

check(Tables, Reference) ->
    Differences = demo_check:same(Tables, Reference),
    io:format("~nCompared with ets, object by object and both ways: ~s objects, ~b differences.~n",
              [group(objects(Tables)), Differences]),
    Differences.

reopen(Tables, Dir) ->
    ok = demo_tables:close(Tables),
    time_ms(fun() -> demo_tables:open(Dir) end).

questions(Tables) ->
    io:format("~nA few questions, after closing and opening once more:~n"),
    demo_ask:all(Tables).

figures(Tables, Reference, Dir, CrashMs, CleanMs) ->
    Count = objects(Tables),
    Disk = demo_measure:disk_bytes(Dir),
    Words = lists:sum([bets:info(maps:get(Name, Tables), memory) || Name <- demo_tables:names()]),
    Memory = Words * erlang:system_info(wordsize),
    io:format("~nMeasured on the way:~n~n"),
    io:format("  objects                        ~s in ~b tables~n", [group(Count), length(demo_tables:names())]),
    io:format("  on disk                        ~s bytes, ~b an object~n", [group(Disk), Disk div Count]),
    io:format("  memory a key                   ~b bytes, the key included~n", [Memory div Count]),
    io:format("  opening the tables             ~.1f ms after the kill, ~.1f ms after closing them~n", [CrashMs, CleanMs]),
    Objects = ets:tab2list(maps:get(calls, Reference)),
    Rates = demo_measure:speed(Objects, Dir),
    io:format("~n  a second, one process          inserts       lookups~n"),
    [
        io:format("    ~-24s ~12s  ~12s~n", [Library, group(Inserts), group(Lookups)])
     || {Library, Inserts, Lookups} <- Rates
    ].

verdict(0) ->
    io:format("~nEverything is as it should be.~n"),
    0;
verdict(_) ->
    io:format("~nNOT everything is as it should be, see above.~n"),
    1.

objects(#{library := Library} = Tables) ->
    lists:sum([size_of(Library, maps:get(Name, Tables)) || Name <- demo_tables:names()]).

size_of(Library, Table) ->
    Library:info(Table, size).

time_ms(Fun) ->
    Start = erlang:monotonic_time(microsecond),
    Result = Fun(),
    {Result, (erlang:monotonic_time(microsecond) - Start) / 1000}.

group(N) when N < 1000 -> integer_to_list(N);
group(N) -> group(N div 1000) ++ io_lib:format(",~3..0b", [N rem 1000]).
