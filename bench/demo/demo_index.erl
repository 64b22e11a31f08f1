%% Reads .beam files and writes the index, with several processes at once.
-module(demo_index).

-export([build/3, invert/1]).

-define(WRITERS, 4).

%% Reads the files that the tables do not have yet. `Done' is called with the name of each module after all of it
%% has been written. The record in `modules' goes last: whoever finds it may rely on the rest, and a module that was
%% interrupted half way is simply written again.
-spec build(demo_tables:tables(), [file:filename()], fun((module()) -> term())) -> ok.
build(Tables, Files, Done) ->
    Queue = list_to_tuple(Files),
    Next = atomics:new(1, []),
    Writers = [spawn_monitor(fun() -> writer(Tables, Queue, Next, Done) end) || _ <- lists:seq(1, ?WRITERS)],
    lists:foreach(fun wait/1, Writers).

wait({Pid, Monitor}) ->
    receive
        {'DOWN', Monitor, process, Pid, normal} -> ok;
        {'DOWN', Monitor, process, Pid, Reason} -> error({writer, Reason})
    end.

writer(Tables, Queue, Next, Done) ->
    case atomics:add_get(Next, 1, 1) of
        I when I =< tuple_size(Queue) ->
            write(Tables, demo_beams:read(element(I, Queue)), Done),
            writer(Tables, Queue, Next, Done);
        _ ->
            ok
    end.

write(#{library := Library} = Tables, Contents, Done) ->
    #{functions := Functions, calls := Calls, modules := Modules} = Tables,
    #{module := Module, app := App, functions := Exported, calls := Called} = Contents,
    true = Library:insert(Functions, [{MFA, App} || MFA <- Exported]),
    lists:foreach(fun(Call) -> true = Library:insert(Calls, Call) end, Called),
    true = Library:insert(Modules, {Module, App, length(Exported), length(Called)}),
    Done(Module).

%% Fills `callers' from `calls'.
-spec invert(demo_tables:tables()) -> ok.
invert(#{library := Library, calls := Calls, callers := Callers}) ->
    ByCallee = Library:foldl(
        fun({{Callee, Caller}, _Sites}, Acc) ->
            maps:update_with(Callee, fun(Others) -> [Caller | Others] end, [Caller], Acc)
        end,
        #{},
        Calls
    ),
    maps:foreach(
        fun(Callee, Its) -> true = Library:insert(Callers, {Callee, lists:sort(Its)}) end,
        ByCallee
    ).
