%% Basho's Bitcask (Debian's erlang-bitcask), with its faster I/O, that of its NIF.
%%
%% A directory has one writer at a time, and a handle works only in the process that opened it. So one process
%% writes with a handle of its own; several send their writes to the process that owns the handle, which is what
%% an application has to do as well. Readers have a handle each, and share the keydir. Bitcask has no counters: a
%% get and a put stand in.
-module(bench_bitcask).
-behaviour(bench_subject).

-export([available/0, new/1, attach/2, detach/1, insert/2, insert_list/2, lookup/2, delete/2]).
-export([update_counter/3, foldl/3, durable_insert/2, close/2, open/1, prepare_open/2, merge/2, memory/1]).

available() ->
    case code:ensure_loaded(bitcask) of
        {module, bitcask} -> true;
        {error, _} -> {false, "not installed (Debian package erlang-bitcask)"}
    end.

new(Context) ->
    open(Context).

%% The owner's handle also keeps the keydir in memory while workers come and go.
open(#{procs := Procs, options := Options} = Context) ->
    _ = application:load(bitcask),
    ok = application:set_env(bitcask, io_mode, nif),
    Path = path(Context),
    Mode = [read_write || Procs > 1],
    #{path => Path, owner => start_owner(Path, Mode ++ Options), procs => Procs, options => Options}.

attach(#{path := Path}, read) ->
    opened(bitcask:open(Path, []));
attach(#{procs := 1, path := Path, options := Options}, write) ->
    opened(bitcask:open(Path, [read_write | Options]));
attach(#{owner := Owner}, write) ->
    {via, Owner}.

detach({via, _Owner}) -> ok;
detach(Ref) -> bitcask:close(Ref).

insert({via, Owner}, Object) -> call(Owner, fun(Ref) -> insert(Ref, Object) end);
insert(Ref, {Key, Value}) -> ok = bitcask:put(Ref, key(Key), value(Value)).

%% Not by the option `{sync_strategy, o_sync}', which on Linux changes nothing: the flag is set when the file is open, and then ignored.
durable_insert({via, Owner}, Object) ->
    call(Owner, fun(Ref) -> durable_insert(Ref, Object) end);
durable_insert(Ref, Object) ->
    ok = insert(Ref, Object),
    ok = bitcask:sync(Ref).

insert_list({via, Owner}, Objects) -> call(Owner, fun(Ref) -> insert_list(Ref, Objects) end);
insert_list(Ref, Objects) -> lists:foreach(fun(Object) -> insert(Ref, Object) end, Objects).

lookup({via, Owner}, Key) ->
    call(Owner, fun(Ref) -> lookup(Ref, Key) end);
lookup(Ref, Key) ->
    case bitcask:get(Ref, key(Key)) of
        {ok, Value} -> [Value];
        not_found -> []
    end.

delete({via, Owner}, Key) -> call(Owner, fun(Ref) -> delete(Ref, Key) end);
delete(Ref, Key) -> ok = bitcask:delete(Ref, key(Key)).

update_counter({via, Owner}, Key, Increment) ->
    call(Owner, fun(Ref) -> update_counter(Ref, Key, Increment) end);
update_counter(Ref, Key, Increment) ->
    {ok, <<Old:64/signed>>} = bitcask:get(Ref, key(Key)),
    New = Old + Increment,
    ok = bitcask:put(Ref, key(Key), <<New:64/signed>>),
    New.

foldl({via, Owner}, Fun, Acc0) -> call(Owner, fun(Ref) -> foldl(Ref, Fun, Acc0) end);
foldl(Ref, Fun, Acc0) -> bitcask:fold(Ref, fun(_Key, _Value, Acc) -> Fun(Acc) end, Acc0).

close(#{owner := Owner}, _Context) ->
    ok = emptied(8),
    ok = call(Owner, stop).

%% After a merge another process deletes the old files, when it was left alone for a second.
emptied(0) ->
    ok;
emptied(Tries) ->
    case bitcask_merge_delete:queue_length() of
        0 ->
            ok;
        _ ->
            timer:sleep(1200),
            emptied(Tries - 1)
    end.

%% Every opening goes by hints, where they are.
prepare_open(hints, _Context) ->
    ok;
prepare_open(scan, Context) ->
    lists:foreach(fun(File) -> ok = file:delete(File) end, filelib:wildcard(filename:join(path(Context), "*.hint"))).

%% The owner does not write, so every file may be merged.
merge(#{path := Path, procs := 1} = Table, _Context) ->
    ok = bitcask:merge(Path),
    Table.

path(#{dir := Dir}) ->
    filename:join(Dir, "bench.bitcask").

memory(_Table) -> unknown.

%% Keys and values are binaries already in the plain workload, which costs nothing to find out.
key(Key) when is_binary(Key) -> Key;
key(Key) -> term_to_binary(Key).

value(Value) when is_binary(Value) -> Value;
value(Value) when is_integer(Value) -> <<Value:64/signed>>;
value(Value) -> term_to_binary(Value).

start_owner(Path, Options) ->
    Parent = self(),
    Owner = spawn_link(fun() ->
        Ref = opened(bitcask:open(Path, Options)),
        Parent ! {self(), open},
        serve(Ref)
    end),
    receive
        {Owner, open} -> Owner
    end.

serve(Ref) ->
    receive
        {From, Tag, stop} ->
            ok = bitcask:close(Ref),
            From ! {Tag, ok};
        {From, Tag, Fun} ->
            From ! {Tag, Fun(Ref)},
            serve(Ref)
    end.

call(Owner, Request) ->
    Tag = make_ref(),
    Owner ! {self(), Tag, Request},
    receive
        {Tag, Result} -> Result
    end.

opened({error, Reason}) -> error({bitcask_open, Reason});
opened(Ref) -> Ref.
