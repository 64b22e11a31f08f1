%% A durable table made of `ets' and a log of its calls: the subject on which the harness itself is
%% tested. With no mutant set it must pass every check; with a mutant set (`bets_diff_mutants') the
%% harness must fail.
%%
%% It offers those functions of `bets' that the harness calls. Without `{dir, Dir}' a table is kept
%% in memory only. Its names live apart from those of `ets', so that table and oracle can share one.
-module(bets_diff_ref).

-export([new/2, open/2, close/1, delete/1, sync/1, all/0]).
-export([insert/2, insert_new/2, lookup/2, lookup_element/3, lookup_element/4, member/2, take/2,
         delete/2, delete_object/2, delete_all_objects/1, update_counter/3, update_counter/4,
         update_element/3, update_element/4, first/1, last/1, next/2, prev/2, first_lookup/1,
         last_lookup/1, next_lookup/2, prev_lookup/2, foldl/3, foldr/3, tab2list/1, info/1, info/2,
         whereis/1, rename/2]).
-export([set_mutant/1, mutant/0, raw/3]).

-define(TABLES, bets_diff_ref_tables).

%% Chooses the fault of this VM; `none' is none.
-spec set_mutant(atom()) -> ok.
set_mutant(Mutant) -> persistent_term:put({?MODULE, mutant}, Mutant).

-spec mutant() -> atom().
mutant() -> persistent_term:get({?MODULE, mutant}, none).

%% Tables.

new(Name, Opts) ->
    tables(),
    Dir = proplists:get_value(dir, Opts, none),
    EtsOpts = [Opt || Opt <- Opts, is_ets_option(Opt)],
    Tab = ets:new(inner(Name), bets_diff_mutants:ets_options(mutant(), EtsOpts)),
    Type = lists:last([set | [Opt || Opt <- Opts, lists:member(Opt, [ordered_set, bag, duplicate_bag])]]),
    ets:insert(?TABLES, {identifier(Tab), log_file(Dir), atomics:new(1, []), Type}),
    ok = store_layout(Dir, Tab),
    replay(Tab, log_file(Dir)),
    outer(Tab).

%% Type and position of the key stand in a file beside the log.
open(Dir, Opts) ->
    {name, Name} = lists:keyfind(name, 1, Opts),
    {ok, [{Type, KeyPos}]} = file:consult(layout_file(Dir)),
    mutant() =:= lost_by_open andalso file:delete(log_file(Dir)),
    {ok, new(Name, [Type, {dir, Dir}, {keypos, KeyPos} | Opts])}.

store_layout(none, _Tab) -> ok;
store_layout(Dir, Tab) ->
    Layout = {field_of(Tab, 4, set), ets:info(Tab, keypos)},
    file:write_file(layout_file(Dir), io_lib:format("~p.~n", [Layout])).

layout_file(Dir) -> filename:join(Dir, "layout").

is_ets_option({Key, _}) -> lists:member(Key, [keypos, read_concurrency, write_concurrency]);
is_ets_option(Opt) -> is_atom(Opt).

close(Tab) -> true = ets:delete(inner(Tab)), ok.

delete(Tab) ->
    Log = log_of(inner(Tab)),
    true = ets:delete(inner(Tab)),
    Log =:= none orelse file:delete(Log),
    true.

sync(Tab) ->
    _ = ets:member(inner(Tab), sync),
    ok.

all() -> [outer(Tab) || Tab <- ets:all(), ets:member(?TABLES, identifier(Tab))].

%% Changes: logged when they have succeeded, in the order in which they happened.

insert(Tab, What) -> change(insert, Tab, [What]).
insert_new(Tab, What) -> change(insert_new, Tab, [What]).
take(Tab, Key) -> change(take, Tab, [Key]).
delete(Tab, Key) -> change(delete, Tab, [Key]).
delete_object(Tab, Object) -> change(delete_object, Tab, [Object]).
delete_all_objects(Tab) -> change(delete_all_objects, Tab, []).
update_counter(Tab, Key, Op) -> change(update_counter, Tab, [Key, Op]).
update_counter(Tab, Key, Op, Default) -> change(update_counter, Tab, [Key, Op, Default]).
update_element(Tab, Key, Spec) -> change(update_element, Tab, [Key, Spec]).
update_element(Tab, Key, Spec, Default) -> change(update_element, Tab, [Key, Spec, Default]).

%% Reads.

lookup(Tab, Key) -> read(lookup, Tab, [Key]).
lookup_element(Tab, Key, Pos) -> read(lookup_element, Tab, [Key, Pos]).
lookup_element(Tab, Key, Pos, Default) -> read(lookup_element, Tab, [Key, Pos, Default]).
member(Tab, Key) -> read(member, Tab, [Key]).
first(Tab) -> read(first, Tab, []).
last(Tab) -> read(last, Tab, []).
next(Tab, Key) -> read(next, Tab, [Key]).
prev(Tab, Key) -> read(prev, Tab, [Key]).
first_lookup(Tab) -> read(first_lookup, Tab, []).
last_lookup(Tab) -> read(last_lookup, Tab, []).
next_lookup(Tab, Key) -> read(next_lookup, Tab, [Key]).
prev_lookup(Tab, Key) -> read(prev_lookup, Tab, [Key]).
foldl(Fun, Acc, Tab) -> ets:foldl(Fun, Acc, inner(Tab)).
foldr(Fun, Acc, Tab) -> ets:foldr(Fun, Acc, inner(Tab)).
tab2list(Tab) -> read(tab2list, Tab, []).

info(Tab) ->
    case ets:info(inner(Tab)) of
        undefined -> undefined;
        Items -> [outer_item(Tab, Item) || Item <- Items]
    end.

info(Tab, Item) ->
    {_, Value} = outer_item(Tab, {Item, ets:info(inner(Tab), Item)}),
    Value.

whereis(Name) -> ets:whereis(inner(Name)).
rename(Tab, Name) -> outer(ets:rename(inner(Tab), inner(Name))).

outer_item(_Tab, {name, Name}) -> {name, outer(Name)};
%% The type that was asked for: a mutant may have another one inside.
outer_item(Tab, {type, Type}) when Type =/= undefined -> {type, field_of(inner(Tab), 4, Type)};
outer_item(_Tab, Item) -> Item.

read(F, Tab, Args) -> bets_diff_mutants:read(mutant(), F, inner(Tab), Args).

change(F, Tab, Args) ->
    Inner = inner(Tab),
    case log_of(Inner) =:= none of
        true -> bets_diff_mutants:change(mutant(), F, Inner, Args);
        false -> locked_change(F, Inner, Args)
    end.

%% One change at a time: else two writers might stand in the log in another order than in the table.
locked_change(F, Tab, Args) ->
    Lock = lock_of(Tab),
    lock(Lock),
    try
        Result = bets_diff_mutants:change(mutant(), F, Tab, Args),
        log(Tab, F, Args),
        Result
    after
        atomics:put(Lock, 1, 0)
    end.

lock(Lock) ->
    case atomics:compare_exchange(Lock, 1, 0, 1) of
        ok -> ok;
        1 -> erlang:yield(), lock(Lock)
    end.

%% Calls the oracle's function on the table inside, without lock and log.
-spec raw(atom(), ets:table(), [term()]) -> term().
raw(F, Tab, Args) -> bets_diff_oracle:call(F, Tab, Args).

%% The log: a 32-bit length and the call as an external term, again and again.

log(Tab, F, Args) ->
    case log_of(Tab) of
        none ->
            ok;
        Log ->
            Frames = [frame(Call) || Call <- bets_diff_mutants:to_log(mutant(), F, Args)],
            ok = file:write_file(Log, Frames, [append, raw])
    end.

frame(Call) ->
    Bytes = term_to_binary(Call),
    <<(byte_size(Bytes)):32, Bytes/binary>>.

replay(_Tab, none) ->
    ok;
replay(Tab, Log) ->
    case file:read_file(Log) of
        {ok, Bytes} ->
            Calls = bets_diff_mutants:from_log(mutant(), [binary_to_term(B) || <<N:32, B:N/binary>> <= Bytes]),
            lists:foreach(fun({F, Args}) -> catch raw(F, Tab, Args) end, Calls);
        {error, enoent} ->
            ok
    end.

log_file(none) -> none;
log_file(Dir) -> filename:join(Dir, "calls.log").

log_of(Tab) -> field_of(Tab, 2, none).
lock_of(Tab) -> field_of(Tab, 3, none).

field_of(Tab, Pos, Default) ->
    case ets:lookup(?TABLES, identifier(Tab)) of
        [Row] -> element(Pos, Row);
        [] -> Default
    end.

identifier(Name) when is_atom(Name) -> ets:whereis(Name);
identifier(Tab) -> Tab.

%% The registry of live tables. It belongs to a process of its own, because tables outlive callers.
tables() ->
    case ets:whereis(?TABLES) of
        undefined ->
            Caller = self(),
            {Pid, Monitor} = spawn_monitor(fun() -> own_tables(Caller) end),
            receive
                {Pid, ready} -> demonitor(Monitor, [flush]);
                {'DOWN', Monitor, _, _, _} -> tables()
            end;
        _ ->
            true
    end.

own_tables(Caller) ->
    try ets:new(?TABLES, [named_table, public, {read_concurrency, true}]) of
        _ ->
            Caller ! {self(), ready},
            receive stop -> ok end
    catch
        error:badarg -> already_there
    end.

%% Names inside start with "ref ".
inner(Name) when is_atom(Name) -> list_to_atom("ref " ++ atom_to_list(Name));
inner(Tab) -> Tab.

outer(Name) when is_atom(Name) ->
    case atom_to_list(Name) of
        "ref " ++ Outer -> list_to_atom(Outer);
        _ -> Name
    end;
outer(Tab) -> Tab.
