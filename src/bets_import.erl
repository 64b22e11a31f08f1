%% @doc Fills a table with what an {@link ets} table, a {@link dets} file or a directory of Basho's Bitcask holds, in one call.
%%
%% == Result ==
%% `{ok, Report}' says that every object was read and inserted, that the counts fit, that the objects looked up again are the same,
%% and that all of it survives a power loss. `{error, Reason}' says what is wrong; {@link bets_errors:explain/1} has it in words. What was inserted until then
%% stays in the table.
%%
%% == Starting again ==
%% Objects are inserted in lists, each of them atomic. After an import that failed, or whose process or VM died, the same call does the whole of it
%% again and ends with the right contents: in a `set' or an `ordered_set' an object replaces itself, in a `bag' it is there once. A `duplicate_bag' would have it
%% twice, so it has to be empty (`{error, {not_empty, Tab, Size}}') unless the option `{restart, true}' has it emptied first.
%%
%% Nothing may write to the source meanwhile, nor to the keys that are imported. Other objects of the table stay as they are.
%%
%% == Options ==
%% <dl>
%% <dt>`{progress, Fun}'</dt><dd>`Fun' is called with a {@link progress()} after each list that was inserted. What it gives is not used; an exception
%% ends the import and comes to the caller.</dd>
%% <dt>`{batch, N}'</dt><dd>how many objects a list has at most, 1,000 by default. A list of more than 4 MiB is not made longer.</dd>
%% <dt>`{verify, none | all | N}'</dt><dd>how many objects, chosen at random, are compared at the end; 1,000 by default. `all' reads the source once more. The number of
%% objects is compared unless it is `none': it must be the same if the table was empty, else the table may have more.</dd>
%% <dt>`{restart, boolean()}'</dt><dd>deletes all objects of the table before.</dd>
%% </dl>
%%
%% == Cost ==
%% Linear time; waits for the disk. The caller holds one list at a time, and for each object to be compared its key and a number. What {@link bitcask/3} takes beside
%% that stands there.
-module(bets_import).

-export([bitcask/3, dets/3, ets/3]).
-export([fits/2, kind/2]).

-export_type([option/0, dets_option/0, bitcask_option/0, progress/0, report/0, bitcask_report/0]).

-type progress() :: #{phase := scan | import | verify, done := non_neg_integer(), total := non_neg_integer()}.
%% How far it is: bytes in the phase `scan', in which the keys of a Bitcask directory are read, objects in the others.

-type option() ::
    {progress, fun((progress()) -> term())}
    | {batch, pos_integer()}
    | {verify, none | all | pos_integer()}
    | {restart, boolean()}.

-type dets_option() :: option() | {repair, boolean()}.

-type decoder() :: raw | riak | fun((Key :: binary(), Value :: binary()) -> Object :: tuple() | skip).

-type bitcask_option() :: option() | {decode, decoder()} | {damaged, error | skip} | {force, boolean()}.

-type report() :: #{objects := non_neg_integer(), skipped := non_neg_integer(), verified := non_neg_integer()}.
%% The numbers of objects that were inserted, left out because a decoder gave `skip', and compared.

-type bitcask_report() :: #{
    objects := non_neg_integer(),
    skipped := non_neg_integer(),
    verified := non_neg_integer(),
    torn := [{file:filename(), Offset :: non_neg_integer(), Bytes :: pos_integer()}],
    damaged := [{file:filename(), Offset :: non_neg_integer(), What :: string()}]
}.
%% `torn' are unfinished records at the ends of files, which no one was told to be written; `damaged' is what the option `{damaged, skip}' passed over.

-define(OBJECTS_READ, 100).
-define(BATCH_BYTES_MAX, 4194304).
-define(HASHES, 4294967296).

%% Where objects come from. `fold' may be called more than once.
-type source() :: #{
    type := bets:type() | any,
    keypos := pos_integer() | any,
    size := non_neg_integer(),
    fold := fun((fun((tuple() | skip, Acc) -> Acc), Acc) -> Acc)
}.

-record(sink, {
    tab :: bets:table(),
    keypos :: pos_integer(),
    options :: map(),
    total :: non_neg_integer(),
    batch = [] :: [tuple()],
    batch_objects = 0 :: non_neg_integer(),
    batch_bytes = 0 :: non_neg_integer(),
    objects = 0 :: non_neg_integer(),
    skipped = 0 :: non_neg_integer(),
    %% From 1 on: key and hash of an object. Hashes, so that large objects are not held.
    sample = #{} :: #{pos_integer() => {term(), non_neg_integer()}}
}).

%% @doc Imports an `ets' table that the caller may read.
%%
%% The position of the key must be the same. A `bag' goes into a `bag' or a `duplicate_bag', a `duplicate_bag' only into its like, the other types
%% into each. A `set' with the keys `1' and `1.0', which are one key in an `ordered_set', is found out by the count. The objects of a key keep their order.
%%
%% Errors: `{no_source, Source}', `{no_target, Tab}', `{type_differs, Source, Target}', `{keypos_differs, Source, Target}',
%% `{not_empty, Tab, Size}', `{source_count, Expected, Found}', `{target_count, Expected, Found}', `{object_differs, Key}', `{bad_option, Option}',
%% or a reason of {@link bets}, such as a full disk.
%% ```
%% 1> E = ets:new(e, []), ets:insert(E, [{a, 1}, {b, 2}]), T = bets:new(t, []), bets_import:ets(E, T, []).
%% {ok,#{objects => 2,skipped => 0,verified => 2}}
%% '''
-spec ets(ets:table(), bets:table(), [option()]) -> {ok, report()} | {error, bets_errors:reason()}.
ets(Source, Tab, Options) ->
    guarded(fun() ->
        Checked = options(Options, #{}),
        {Type, KeyPos, Size} = ets_info(Source),
        Fold = fun(Fun, Acc) -> fold_ets(Source, Type, Fun, Acc) end,
        import(#{type => Type, keypos => KeyPos, size => Size, fold => Fold}, Tab, Checked)
    end).

%% @doc Imports a file of `dets', which no one has open for writing.
%%
%% The file is only read. One that was not closed, or is open, is refused: `dets' would repair it, and may lose objects by that. With `{repair, true}' the repair is done
%% on a copy beside the file, with the name's ending `.bets-repair', which is deleted afterwards. `dets' has no checksums, so of damage inside objects only what it
%% cannot read is told. Types and the position of the key are as in {@link ets/3}.
%%
%% Errors: as {@link ets/3}, but for `no_source'; `{io, Operation, File, Posix}', `{not_dets, File}', `{not_closed, File}', `{dets, File, Reason}'.
%% ```
%% 1> {ok, d} = dets:open_file(d, [{file, "/tmp/d.dets"}]), ok = dets:insert(d, {a, 1}), ok = dets:close(d).
%% ok
%% 2> T = bets:new(t, []), bets_import:dets("/tmp/d.dets", T, []).
%% {ok,#{objects => 1,skipped => 0,verified => 1}}
%% '''
-spec dets(file:name_all(), bets:table(), [dets_option()]) -> {ok, report()} | {error, bets_errors:reason()}.
dets(File, Tab, Options) ->
    guarded(fun() ->
        #{repair := Repair} = Checked = options(Options, #{repair => false}),
        bets_import_dets:with(File, Repair, fun(Source) -> import(Source, Tab, Checked) end)
    end).

%% @doc Imports a directory of Basho's Bitcask (its versions 1 and 2), without any code of it. The directory is only read.
%%
%% Options beside those of all imports:
%% <dl>
%% <dt>`{decode, raw}'</dt><dd>objects are `{Key, Value}' with both binaries. The default.</dd>
%% <dt>`{decode, riak}'</dt><dd>for the keys of Riak's Bitcask backend: objects are `{{Bucket, Key}, Value}', and `{{{Type, Bucket}, Key}, Value}' for buckets with a
%% type. The value stays as it is. Another key is refused: `{not_riak, Key}'.</dd>
%% <dt>`{decode, Fun}'</dt><dd>`Fun(Key, Value)' gives an object, with a key of its own for each `Key', or `skip'.</dd>
%% <dt>`{damaged, error | skip}'</dt><dd>what to do about a record whose checksum is wrong: give up, as is the default, or pass over it and name it in the report. The next record
%% is where the lengths of the bad one lead; where they lead nowhere the rest of the file is passed over. An older value of a key may then take the place of a newer one
%% or of a deletion.</dd>
%% <dt>`{force, true}'</dt><dd>imports although there is a lock file, which is there while a program writes to the directory or merges, and after it was killed. Is one
%% still alive, files may go away in the midst, which is an error, or records come that are not imported.</dd>
%% </dl>
%% Of the records of a key the last counts, in the order of the numbers of files; none if it is a deletion. Files that Bitcask has marked for deletion are left out. Hint files are not
%% used: every record is read, and its checksum tested, twice. The expiry of keys is a setting of a program and not in the files: nothing expires. A file may end
%% with a torn record, or in zeros, which the report names; it is damage if a record of at most 1 MiB follows. A value that only begins like the mark of a deletion is imported,
%% though Bitcask itself does not give it.
%%
%% Keys are held in memory during the import (some 100 bytes and the key for each that is not deleted), values are not.
%%
%% Errors: as {@link ets/3}, but for `no_source'; `{no_bitcask, Dir}', `{bitcask_in_use, LockFile}', `{damaged, File, Offset, What}', `{io, Operation, File, Posix}',
%% `{not_riak, Key}', `{bad_object, Term}'.
%% ```
%% 1> bets_import:bitcask("/tmp", bets:new(t, []), []).
%% {error,{no_bitcask,"/tmp"}}
%% '''
-spec bitcask(file:name_all(), bets:table(), [bitcask_option()]) -> {ok, bitcask_report()} | {error, bets_errors:reason()}.
bitcask(Dir, Tab, Options) ->
    guarded(fun() ->
        Checked = options(Options, #{decode => raw, damaged => error, force => false}),
        %% Before the keys are read, which takes long.
        _ = target(Tab),
        bets_import_bitcask:with(Dir, Checked, fun(Source, Notes) ->
            {ok, Report} = import(Source, Tab, Checked),
            {ok, maps:merge(Report, Notes)}
        end)
    end).

%% @private What a source is, without its objects, and whether it can be read as far as a look at it tells: before a table is made for it.
-spec kind({dets, file:name_all()} | {bitcask, file:name_all()}, [option() | dets_option() | bitcask_option()]) ->
    {ok, #{type := bets:type() | any, keypos := pos_integer() | any}} | {error, bets_errors:reason()}.
kind({dets, File}, Options) ->
    guarded(fun() -> {ok, bets_import_dets:kind(File, proplists:get_bool(repair, Options))} end);
kind({bitcask, Dir}, Options) ->
    guarded(fun() -> {ok, bets_import_bitcask:kind(Dir, proplists:get_bool(force, Options))} end).

%% What ends an import is thrown, so that each step only has to do its own part.
guarded(Import) ->
    try
        Import()
    catch
        throw:{?MODULE, Reason} -> {error, Reason}
    end.

%% ---------------------------------------------------------------- options

options(Options, Own) ->
    taken(Options, maps:merge(#{progress => fun(_) -> ok end, batch => 1000, verify => 1000, restart => false}, Own)).

taken([Option | Options], Acc) -> taken(Options, option(Option, Acc));
taken([], Acc) -> Acc;
taken(NoList, _Acc) -> fail({bad_option, NoList}).

option({Name, Value} = Option, Acc) when is_map_key(Name, Acc) ->
    case is_valid(Name, Value) of
        true -> Acc#{Name := Value};
        false -> fail({bad_option, Option})
    end;
option(Option, _Acc) ->
    fail({bad_option, Option}).

is_valid(progress, Value) -> is_function(Value, 1);
is_valid(batch, Value) -> is_integer(Value) andalso Value > 0;
is_valid(verify, Value) -> lists:member(Value, [none, all]) orelse is_integer(Value) andalso Value > 0;
is_valid(decode, Value) -> lists:member(Value, [raw, riak]) orelse is_function(Value, 2);
is_valid(damaged, Value) -> lists:member(Value, [error, skip]);
is_valid(_Boolean, Value) -> is_boolean(Value).

%% ---------------------------------------------------------------- the import

-spec import(source(), bets:table(), map()) -> {ok, report()}.
import(#{size := Size, fold := Fold} = Source, Tab, #{verify := Verify} = Options) ->
    {Type, KeyPos} = Target = target(Tab),
    ok = checked(fits(Source, Target)),
    Before = prepare(Tab, Type, Options),
    Sink = flush(Fold(fun put/2, #sink{tab = Tab, keypos = KeyPos, options = Options, total = Size})),
    #sink{objects = Objects, skipped = Skipped} = Sink,
    Objects + Skipped =:= Size orelse fail({source_count, Size, Objects + Skipped}),
    ok = written(Tab, fun() -> bets:sync(Tab) end),
    Verify =:= none orelse count(Tab, Before, Objects),
    {ok, #{objects => Objects, skipped => Skipped, verified => verify(Verify, Fold, Sink)}}.

target(Tab) ->
    case bets_nif:describe(Tab, write) of
        {_Id, Type, KeyPos} -> {Type, KeyPos};
        {badarg, _} -> fail({no_target, Tab});
        {bets, Reason} -> fail(Reason)
    end.

checked(ok) -> ok;
checked({error, Reason}) -> fail(Reason).

%% @private Whether a table of this type, with its keys at this position, holds all that one of the source's can.
-spec fits(#{type := bets:type() | any, keypos := pos_integer() | any, _ => _}, {bets:type(), pos_integer()}) -> ok | {error, bets_errors:reason()}.
fits(#{type := From, keypos := At}, {To, KeyPos}) ->
    case keeps(From, To) of
        false -> {error, {type_differs, From, To}};
        true when At =/= any, At =/= KeyPos -> {error, {keypos_differs, At, KeyPos}};
        true -> ok
    end.

keeps(bag, To) -> To =:= bag orelse To =:= duplicate_bag;
keeps(duplicate_bag, To) -> To =:= duplicate_bag;
keeps(_Single, _To) -> true.

prepare(Tab, Type, #{restart := Restart}) ->
    true = not Restart orelse written(Tab, fun() -> bets:delete_all_objects(Tab) end),
    case bets:info(Tab, size) of
        undefined -> fail({no_target, Tab});
        Size when Size > 0, Type =:= duplicate_bag -> fail({not_empty, Tab, Size});
        Size -> Size
    end.

put(skip, #sink{skipped = Skipped} = Sink) ->
    Sink#sink{skipped = Skipped + 1};
put(Object, #sink{keypos = KeyPos, batch = Batch, batch_objects = N, batch_bytes = Bytes, options = #{batch := Max}} = Sink) when
    is_tuple(Object), tuple_size(Object) >= KeyPos
->
    Sink1 = sample(Object, Sink#sink{
        batch = [Object | Batch], batch_objects = N + 1, batch_bytes = Bytes + erlang:external_size(Object)
    }),
    case Sink1 of
        #sink{batch_objects = More, batch_bytes = Sum} when More >= Max; Sum >= ?BATCH_BYTES_MAX -> flush(Sink1);
        _ -> Sink1
    end;
put(Object, _Sink) ->
    fail({bad_object, Object}).

flush(#sink{batch = []} = Sink) ->
    Sink;
flush(#sink{tab = Tab, batch = Batch, objects = Objects, batch_objects = N} = Sink) ->
    true = written(Tab, fun() -> bets:insert(Tab, lists:reverse(Batch)) end),
    Sink1 = Sink#sink{batch = [], batch_objects = 0, batch_bytes = 0, objects = Objects + N},
    tell(import, Objects + N + Sink1#sink.skipped, Sink1),
    Sink1.

tell(Phase, Done, #sink{options = #{progress := Progress}, total = Total}) ->
    Progress(#{phase => Phase, done => Done, total => Total}).

written(Tab, Call) ->
    try
        Call()
    catch
        error:{bets, Reason} -> fail(Reason);
        error:badarg -> fail({no_target, Tab})
    end.

%% ---------------------------------------------------------------- verification

%% Each object has the same chance to be in the sample, however many there will be (Vitter's algorithm R).
sample(Object, #sink{options = #{verify := Max}, sample = Sample, objects = Objects, batch_objects = N} = Sink) when is_integer(Max) ->
    case Objects + N of
        Number when Number =< Max -> Sink#sink{sample = Sample#{Number => sampled(Object, Sink)}};
        Number ->
            case rand:uniform(Number) of
                Place when Place =< Max -> Sink#sink{sample = Sample#{Place := sampled(Object, Sink)}};
                _ -> Sink
            end
    end;
sample(_Object, Sink) ->
    Sink.

sampled(Object, #sink{keypos = KeyPos}) -> {element(KeyPos, Object), hash(Object)}.

hash(Object) -> erlang:phash2(Object, ?HASHES).

count(Tab, Before, Objects) ->
    case bets:info(Tab, size) of
        Objects -> ok;
        Size when is_integer(Size), Before > 0, Size > Objects -> ok;
        undefined -> fail({no_target, Tab});
        Size -> fail({target_count, Objects, Size})
    end.

verify(none, _Fold, _Sink) ->
    0;
verify(all, Fold, #sink{keypos = KeyPos} = Sink) ->
    Fold(
        fun
            (skip, N) -> N;
            (Object, N) -> verified(element(KeyPos, Object), fun(Stored) -> Stored =:= Object end, N, Sink)
        end,
        0
    );
verify(_Max, _Fold, #sink{sample = Sample} = Sink) ->
    maps:fold(
        fun(_Place, {Key, Hash}, N) -> verified(Key, fun(Stored) -> hash(Stored) =:= Hash end, N, Sink) end,
        0,
        Sample
    ).

verified(Key, IsSame, N, #sink{tab = Tab, options = #{batch := Max}} = Sink) ->
    Stored = written(Tab, fun() -> bets:lookup(Tab, Key) end),
    lists:any(IsSame, Stored) orelse fail({object_differs, Key}),
    _ = (N + 1) rem Max =:= 0 andalso tell(verify, N + 1, Sink),
    N + 1.

%% ---------------------------------------------------------------- ets

ets_info(Source) ->
    try [ets:info(Source, Item) || Item <- [type, keypos, size, protection, owner]] of
        [_, _, _, private, Owner] when Owner =/= self() -> fail({no_source, Source});
        [Type, KeyPos, Size, _, _] when is_integer(Size) -> {Type, KeyPos, Size};
        _ -> fail({no_source, Source})
    catch
        error:badarg -> fail({no_source, Source})
    end.

fold_ets(Source, Type, Fun, Acc) ->
    read(Source, fun() -> ets:safe_fixtable(Source, true) end),
    try
        case Type of
            %% lookup/2 alone has the objects of a key in their order.
            _ when Type =:= bag; Type =:= duplicate_bag ->
                fold_keys(Source, read(Source, fun() -> ets:first(Source) end), Fun, Acc);
            _ ->
                fold_chunks(Source, read(Source, fun() -> ets:match_object(Source, '_', ?OBJECTS_READ) end), Fun, Acc)
        end
    after
        %% It may have gone meanwhile.
        catch ets:safe_fixtable(Source, false)
    end.

fold_keys(_Source, '$end_of_table', _Fun, Acc) ->
    Acc;
fold_keys(Source, Key, Fun, Acc) ->
    Acc1 = lists:foldl(Fun, Acc, read(Source, fun() -> ets:lookup(Source, Key) end)),
    fold_keys(Source, read(Source, fun() -> ets:next(Source, Key) end), Fun, Acc1).

fold_chunks(_Source, '$end_of_table', _Fun, Acc) ->
    Acc;
fold_chunks(Source, {Objects, Continuation}, Fun, Acc) ->
    Acc1 = lists:foldl(Fun, Acc, Objects),
    fold_chunks(Source, read(Source, fun() -> ets:match_object(Continuation) end), Fun, Acc1).

read(Source, Call) ->
    try
        Call()
    catch
        error:badarg -> fail({no_source, Source})
    end.

-spec fail(bets_errors:reason()) -> no_return().
fail(Reason) ->
    throw({?MODULE, Reason}).
