%% Times one operation: workers get ready, start together, and the clock runs from the first start to the last end.
%%
%% A worker's heap is large enough that growing it is no part of the figure, and small enough that what a loop leaves
%% behind is collected many times while the clock runs: a library pays for the garbage that its results make.
-module(bench_worker).

-export([time/5]).

-define(HEAP_WORDS, 65536).

%% Nanoseconds from the first start to the last end, and the count of objects on which the operation succeeded.
-spec time(module(), term(), read | write, pos_integer(), fun((term(), pos_integer()) -> fun(() -> non_neg_integer()))) ->
    {non_neg_integer(), non_neg_integer()}.
time(Module, Table, Mode, Procs, Prepare) ->
    Parent = self(),
    Options = [link, {min_heap_size, ?HEAP_WORDS}, {min_bin_vheap_size, ?HEAP_WORDS}],
    Pids = [
        spawn_opt(fun() -> worker(Parent, Module, Table, Mode, Worker, Prepare) end, Options)
     || Worker <- lists:seq(1, Procs)
    ],
    lists:foreach(fun(Pid) -> receive {Pid, ready} -> ok end end, Pids),
    lists:foreach(fun(Pid) -> Pid ! go end, Pids),
    Times = [receive {Pid, done, Start, End, Count} -> {Start, End, Count} end || Pid <- Pids],
    {Starts, Ends, Counts} = lists:unzip3(Times),
    {lists:max(Ends) - lists:min(Starts), lists:sum(Counts)}.

worker(Parent, Module, Table, Mode, Worker, Prepare) ->
    Handle = Module:attach(Table, Mode),
    Loop = Prepare(Handle, Worker),
    true = erlang:garbage_collect(),
    Parent ! {self(), ready},
    receive
        go -> ok
    end,
    Start = erlang:monotonic_time(nanosecond),
    Count = Loop(),
    End = erlang:monotonic_time(nanosecond),
    ok = Module:detach(Handle),
    Parent ! {self(), done, Start, End, Count}.
