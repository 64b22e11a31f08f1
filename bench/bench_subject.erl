%% A subject is a table library that the benchmark can drive.
%%
%% To add one, write a module with the callbacks below and give it a line in `all/0'. The same module may stand
%% there several times with different options, for example one table type or sync mode a line.
%%
%% A handle (`h()') belongs to the worker process that called `attach/2': some libraries keep the state of an open
%% table in the process dictionary, so a table made by one process cannot simply be used by another.
-module(bench_subject).

-export([all/0, names/0, find/1, available/1, takes_part/2]).
-export_type([subject/0, context/0, how/0]).

-type subject() :: #{
    name := atom(),
    title := string(),
    module := module(),
    type := set | ordered_set,
    options := [term()],
    %% for ratios: ours are compared with the others of their type
    role := ours | memory | durable,
    %% a report measures these again and again, and the others once
    core := boolean(),
    %% what a report measures of it
    scenarios := all | [bench_ops:scenario()],
    %% objects beyond which the subject is too slow to be measured
    limit := infinity | pos_integer(),
    %% one process writes, however many read
    one_writer => true
}.
-type context() :: #{
    dir := file:filename(),
    procs := pos_integer(),
    type := set | ordered_set,
    options := [term()],
    %% elements of an object, for those that want to know when they make a table
    arity := pos_integer(),
    %% `memory': without what is bounded and shared by all tables; `sync': as `durable_insert/2' wants it; `merge': nothing is merged
    %% without being asked to
    purpose := speed | memory | sync | merge
}.
-type how() :: hints | scan.
%% What an opening has to go by: a summary of keys, or the data alone.

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
%% Bytes of memory by the subject's own account, or `unknown'.
-callback memory(t()) -> non_neg_integer() | unknown.

%% Those that have the following take part in the operations that need them.
-callback select(h(), ets:match_spec()) -> [term()].
-callback next(h(), Key :: term()) -> term().
%% So many objects from a key on, in the order of keys, in the way that is quickest for the subject.
-callback range(h(), Key :: term(), pos_integer()) -> [tuple()].
%% Returns when the object survives a loss of power.
-callback durable_insert(h(), tuple()) -> term().
%% Takes from a closed table what a quicker way of opening it than the given one would use.
-callback prepare_open(how(), context()) -> ok.
%% Gives back the room that overwritten objects take; timed. The table was closed and opened before.
-callback merge(t(), context()) -> t().
-optional_callbacks([select/2, next/2, range/3, durable_insert/2, prepare_open/2, merge/2]).

%% Every subject, in the order in which runs alternate between them.
-spec all() -> [subject()].
all() ->
    [
        subject(bets, "bets", bench_bets, set, ours),
        subject(ets, "ets", bench_ets, set, memory),
        (subject(bets_uncached, "bets, no cache", bench_bets, set, ours))#{
            options := [{cache, false}], core := false, scenarios := [main]
        },
        subject(bitcask, "Bitcask", bench_bitcask, set, durable),
        (subject(mnesia, "mnesia", bench_mnesia, set, durable))#{core := false},
        (subject(dets, "dets", bench_dets, set, durable))#{core := false, limit := 20000},
        subject(bets_ordered, "bets ordered_set", bench_bets, ordered_set, ours),
        subject(ets_ordered, "ets ordered_set", bench_ets, ordered_set, memory)
    ].

subject(Name, Title, Module, Type, Role) ->
    #{
        name => Name, title => Title, module => Module, type => Type, options => [], role => Role,
        core => true, scenarios => all, limit => infinity
    }.

-spec names() -> [atom()].
names() ->
    [Name || #{name := Name} <- all()].

-spec find(atom()) -> {ok, subject()} | error.
find(Name) ->
    case [S || #{name := N} = S <- all(), N =:= Name] of
        [Subject] -> {ok, Subject};
        [] -> error
    end.

-spec available(subject()) -> true | {false, string()}.
available(#{module := Module}) ->
    Module:available().

%% Whether a subject can do what an operation asks for.
-spec takes_part(subject(), bench_ops:op()) -> boolean().
takes_part(#{module := Module, type := Type}, #{needs := Needs, types := Types}) ->
    _ = code:ensure_loaded(Module),
    lists:member(Type, Types) andalso lists:all(fun({Name, Arity}) -> erlang:function_exported(Module, Name, Arity) end, Needs).
