%% A subject is a table library that the benchmark can drive.
%%
%% To add one, write a module with the callbacks below and give it a line in `all/0'. The same module may stand
%% there several times with different options, for example one table type or sync mode a line.
%%
%% A handle (`h()') belongs to the worker process that called `attach/2': some libraries keep the state of an open
%% table in the process dictionary, so a table made by one process cannot simply be used by another.
-module(bench_subject).

-export([all/0, find/1, names/0, takes_part/2]).
-export_type([subject/0, context/0]).

-type subject() :: #{name := atom(), module := module(), options := [term()], limit := infinity | pos_integer()}.
%% `limit' is the number of objects beyond which the subject is too slow to be measured.
-type context() :: #{
    dir := file:filename(),
    procs := pos_integer(),
    type := set | ordered_set,
    options := [term()],
    purpose := speed | memory
}.
-type t() :: term().
-type h() :: term().

%% `true', or why the subject cannot be measured on this machine.
-callback available() -> true | {false, Why :: string()}.
%% An empty table in the directory of the context, which exists and is empty.
-callback new(context()) -> t().
%% Called by each worker before it is timed. `write' handles must be able to do everything.
-callback attach(t(), read | write) -> h().
-callback detach(h()) -> ok.
-callback insert(h(), tuple()) -> term().
-callback insert_list(h(), [tuple()]) -> term().
%% `[_]' for a hit and `[]' for a miss.
-callback lookup(h(), Key :: term()) -> [term()].
-callback delete(h(), Key :: term()) -> term().
-callback update_counter(h(), Key :: term(), integer()) -> integer().
-callback foldl(h(), fun((Acc) -> Acc), Acc) -> Acc.
%% Leaves everything on disk, so that `open/1' finds it; not timed.
-callback close(t(), context()) -> ok.
%% Opens what `close/2' left; timed.
-callback open(context()) -> t().
%% Those that have these two take part in the scenarios of selects and ranges.
-callback select(h(), ets:match_spec()) -> [term()].
-callback next(h(), Key :: term()) -> term().
-optional_callbacks([select/2, next/2]).
%% Bytes of memory by the subject's own account, or `unknown'.
-callback memory(t()) -> non_neg_integer() | unknown.

%% Every subject, in the order in which runs alternate between them.
-spec all() -> [subject()].
all() ->
    [
        #{name => bets, module => bench_bets, options => [], limit => infinity},
        #{name => ets, module => bench_ets, options => [], limit => infinity},
        #{name => dets, module => bench_dets, options => [], limit => 50000},
        #{name => bitcask, module => bench_bitcask, options => [], limit => infinity}
    ].

-spec names() -> [atom()].
names() ->
    [Name || #{name := Name} <- all()].

-spec find(atom()) -> {ok, subject()} | error.
find(Name) ->
    case [S || #{name := N} = S <- all(), N =:= Name] of
        [Subject] -> {ok, Subject};
        [] -> error
    end.

%% Whether a subject can do what a scenario asks for.
-spec takes_part(subject(), bench_ops:scenario()) -> boolean().
takes_part(#{module := Module}, Scenario) when Scenario =:= matching; Scenario =:= ranges ->
    _ = code:ensure_loaded(Module),
    erlang:function_exported(Module, select, 2) andalso erlang:function_exported(Module, next, 2);
takes_part(_Subject, _Scenario) ->
    true.
