%% @private
%% A directory of Basho's Bitcask as a source of objects, in two passes: the first keeps, for each key, where its last record stands; the
%% second gives the records that stand there, in the order of files. So keys are in memory and values are not.
-module(bets_import_bitcask).

-include_lib("kernel/include/file.hrl").

-export([kind/2, with/3]).

%% A file is marked for deletion by the bit x for others, in old versions by setuid.
-define(PENDING_DELETE, 8#4001).
%% A place is one small integer: the file's number and, in this many bits, the offset.
-define(OFFSET_BITS, 40).
-define(ANY, #{type => any, keypos => any}).

%% What a decoder makes of the records is not known, but that there are some, and whether they may be read.
-spec kind(file:name_all(), boolean()) -> #{type := any, keypos := any}.
kind(Name, Force) ->
    _ = usable(Name, Force),
    ?ANY.

%% Reads the keys, has `Use' make of the source, and of what there is to tell of the files, what it will.
-spec with(file:name_all(), map(), fun((map(), map()) -> Result)) -> Result.
with(Name, #{force := Force} = Options, Use) ->
    Files = usable(Name, Force),
    Index = ets:new(?MODULE, [private]),
    try
        Notes = index(Files, Index, Options),
        Fold = fun(Fun, Acc) -> fold(Files, Index, Fun, Acc, Options) end,
        Use(?ANY#{size => ets:info(Index, size), fold => Fold}, Notes)
    after
        ets:delete(Index)
    end.

%% ---------------------------------------------------------------- files

usable(Name, Force) ->
    Dir = unicode:characters_to_list(filename:join([Name])),
    {Names, Files} = files(Dir),
    Names =/= [] orelse fail({no_bitcask, Dir}),
    Force orelse unlocked(Dir),
    Files.

%% All names of data files, and of those to read, in their order: number, path and size. What a live writer appends
%% later is left out.
files(Dir) ->
    case file:list_dir(Dir) of
        {ok, Names} ->
            Data = lists:sort(lists:append([data_file(Name) || Name <- Names])),
            Read = lists:append([readable(filename:join(Dir, Name)) || {_Id, Name} <- Data]),
            {Data, [{Number, Path, Size} || {Number, {Path, Size}} <- lists:zip(lists:seq(1, length(Read)), Read)]};
        {error, Posix} ->
            fail({io, open, Dir, Posix})
    end.

data_file(Name) ->
    case re:run(Name, "^([0-9]+)\\.bitcask\\.data$", [unicode, {capture, all_but_first, list}]) of
        {match, [Id]} -> [{list_to_integer(Id), Name}];
        nomatch -> []
    end.

readable(Path) ->
    case file:read_file_info(Path, [raw]) of
        {ok, #file_info{mode = Mode}} when Mode band ?PENDING_DELETE =/= 0 -> [];
        {ok, #file_info{size = Size}} -> [{Path, Size}];
        {error, Posix} -> fail({io, open, Path, Posix})
    end.

%% Whether the process whose number stands in the file is the one that wrote it cannot be known.
unlocked(Dir) ->
    [
        fail({bitcask_in_use, File})
     || Name <- ["bitcask.write.lock", "bitcask.merge.lock"],
        File <- [filename:join(Dir, Name)],
        filelib:is_file(File)
    ].

%% ---------------------------------------------------------------- the two passes

index(Files, Index, #{damaged := Damaged, progress := Progress}) ->
    Total = lists:sum([Size || {_, _, Size} <- Files]),
    {_, Notes} = lists:foldl(
        fun({Number, Path, Size}, {Before, Notes}) ->
            Step = fun(At) -> Progress(#{phase => scan, done => Before + At, total => Total}) end,
            Keep = fun(Key, Value, At, []) -> keep(Index, Key, Value, place(Number, At)), [] end,
            {[], More} = bets_import_bitcask_file:fold(Keep, [], Path, Size, #{damaged => Damaged, progress => Step}),
            {Before + Size, Notes ++ More}
        end,
        {0, []},
        Files
    ),
    #{
        torn => [{Path, At, Bytes} || {torn, Path, At, Bytes} <- Notes],
        damaged => [{Path, At, What} || {damaged, Path, At, What} <- Notes]
    }.

keep(Index, Key, Value, Place) ->
    case is_tombstone(Value) of
        true -> ets:delete(Index, Key);
        %% A copy, because a key is else a part of all the bytes that were read with it.
        false -> ets:insert(Index, {binary:copy(Key), Place})
    end.

%% The three marks that versions of Bitcask wrote. A longer value that begins like one was put by a user.
is_tombstone(<<"bitcask_tombstone">>) -> true;
is_tombstone(<<"bitcask_tombstone1", _FileId:32>>) -> true;
is_tombstone(<<"bitcask_tombstone2", _FileId:32>>) -> true;
is_tombstone(_) -> false.

place(Number, Offset) -> Number bsl ?OFFSET_BITS bor Offset.

fold(Files, Index, Fun, Acc, #{damaged := Damaged, decode := Decode}) ->
    lists:foldl(
        fun({Number, Path, Size}, FileAcc) ->
            Give = fun(Key, Value, At, RecordAcc) ->
                case ets:lookup(Index, Key) of
                    [{_, Place}] ->
                        case place(Number, At) of
                            Place -> Fun(decode(Decode, binary:copy(Key), binary:copy(Value)), RecordAcc);
                            _Older -> RecordAcc
                        end;
                    [] ->
                        RecordAcc
                end
            end,
            {FileAcc1, _Told} = bets_import_bitcask_file:fold(Give, FileAcc, Path, Size, #{damaged => Damaged, progress => fun(_) -> ok end}),
            FileAcc1
        end,
        Acc,
        Files
    ).

%% ---------------------------------------------------------------- decoding

decode(raw, Key, Value) -> {Key, Value};
decode(riak, Key, Value) -> {riak_key(Key), Value};
decode(Fun, Key, Value) -> Fun(Key, Value).

riak_key(<<1:7, 0:1, BucketSize:16, Bucket:BucketSize/binary, Key/binary>>) ->
    {Bucket, Key};
riak_key(<<1:7, 1:1, TypeSize:16, Type:TypeSize/binary, BucketSize:16, Bucket:BucketSize/binary, Key/binary>>) ->
    {{Type, Bucket}, Key};
%% Of versions of Riak before 1.4.
riak_key(<<131, _/binary>> = External) ->
    try binary_to_term(External, [safe]) of
        {_Bucket, _Key} = BucketKey -> BucketKey;
        _ -> fail({not_riak, External})
    catch
        error:badarg -> fail({not_riak, External})
    end;
riak_key(Key) ->
    fail({not_riak, Key}).

-spec fail(bets_errors:reason()) -> no_return().
fail(Reason) ->
    throw({bets_import, Reason}).
