%% @private
%% Reads one data file of Basho's Bitcask. It is a sequence of records, all integers big-endian:
%%
%% ```
%% | CRC-32 : 32 | time : 32 | key size : 16 | value size : 32 | key | value |
%% '''
%%
%% The CRC is over all that follows it.
-module(bets_import_bitcask_file).

-export([fold/5]).

-define(HEADER, 14).
-define(READ, 1048576).
%% Bitcask is not older than this second of 2009.
-define(FIRST_SECOND, 1230768000).

-type note() ::
    {torn, file:filename(), Offset :: non_neg_integer(), Bytes :: pos_integer()}
    | {damaged, file:filename(), Offset :: non_neg_integer(), What :: string()}.

-record(file, {fd :: file:fd(), path :: file:filename(), size :: non_neg_integer(), options :: map()}).

%% Calls `Fun' with key, value and offset of each record up to `Size'. What it is given is a part of a larger binary. Option `damaged': `error' or
%% `skip'; `progress': a fun that is called with the offset after each read.
-spec fold(fun((binary(), binary(), non_neg_integer(), Acc) -> Acc), Acc, file:filename(), non_neg_integer(), map()) -> {Acc, [note()]}.
fold(Fun, Acc, Path, Size, Options) ->
    case file:open(Path, [read, raw, binary]) of
        {ok, Fd} ->
            try
                records(Fun, Acc, #file{fd = Fd, path = Path, size = Size, options = Options}, 0, <<>>, [])
            after
                _ = file:close(Fd)
            end;
        {error, Posix} ->
            fail({io, open, Path, Posix})
    end.

%% `Bytes' are those from `At' on, as far as they were read.
records(_Fun, Acc, #file{size = At}, At, _Bytes, Notes) ->
    {Acc, lists:reverse(Notes)};
records(Fun, Acc, File, At, <<Crc:32, _Time:32, KeySize:16, ValueSize:32, Key:KeySize/binary, Value:ValueSize/binary, Rest/binary>> = Bytes, Notes) ->
    Length = ?HEADER + KeySize + ValueSize,
    case crc(Bytes, Length) of
        Crc -> records(Fun, Fun(Key, Value, At, Acc), File, At + Length, Rest, Notes);
        _ -> bad(Fun, Acc, File, At, Length, Bytes, Notes)
    end;
records(Fun, Acc, File, At, Bytes, Notes) ->
    case wanted(Bytes) of
        Length when At + Length > File#file.size -> {Acc, lists:reverse(tail(File, At), Notes)};
        Length -> records(Fun, Acc, File, At, more(File, At, Bytes, Length), Notes)
    end.

wanted(<<_Crc:32, _Time:32, KeySize:16, ValueSize:32, _/binary>>) -> ?HEADER + KeySize + ValueSize;
wanted(_Short) -> ?HEADER.

crc(Bytes, Length) ->
    erlang:crc32(binary:part(Bytes, 4, Length - 4)).

more(#file{size = Size, options = #{progress := Progress}} = File, At, Bytes, Length) ->
    Have = byte_size(Bytes),
    More = read(File, At + Have, min(max(Length - Have, ?READ), Size - At - Have)),
    _ = Progress(At + Have + byte_size(More)),
    <<Bytes/binary, More/binary>>.

%% ---------------------------------------------------------------- what is no record

%% Zeros up to the end are what a crash of the machine makes of a file that it had no time to write.
bad(Fun, Acc, File, At, Length, Bytes, Notes) ->
    case binary:part(Bytes, 0, ?HEADER) =:= <<0:(8 * ?HEADER)>> andalso only_zeros(File, At) of
        true ->
            {Acc, lists:reverse([torn(File, At) | Notes])};
        false ->
            Note = damaged(File, At, "the checksum of a record is wrong"),
            <<_:Length/binary, Rest/binary>> = Bytes,
            records(Fun, Acc, File, At + Length, Rest, [Note | Notes])
    end.

only_zeros(#file{size = Size}, Size) ->
    true;
only_zeros(#file{size = Size} = File, At) ->
    Bytes = read(File, At, min(?READ, Size - At)),
    Bytes =:= binary:copy(<<0>>, byte_size(Bytes)) andalso only_zeros(File, At + byte_size(Bytes)).

%% The last record of a file that was written to at a crash is cut off. A record whose lengths are damaged looks the same, but others follow it.
tail(File, At) ->
    case record_after(File, At + 1) of
        none -> [torn(File, At)];
        _Offset -> [damaged(File, At, "the lengths of a record lead behind the end of the file")]
    end.

torn(#file{path = Path, size = Size}, At) -> {torn, Path, At, Size - At}.

damaged(#file{path = Path, options = #{damaged := error}}, At, What) -> fail({damaged, Path, At, What});
damaged(#file{path = Path}, At, What) -> {damaged, Path, At, What}.

%% Looks at every offset. Larger records than ?READ are not looked for: their lengths stand everywhere in random bytes, and to test them all would take hours.
record_after(#file{size = Size}, At) when At + ?HEADER > Size ->
    none;
record_after(#file{size = Size} = File, At) ->
    Bytes = read(File, At, min(?READ + ?HEADER - 1, Size - At)),
    case record_in(File, At, Bytes) of
        none -> record_after(File, At + ?READ);
        Offset -> Offset
    end.

record_in(File, At, <<Crc:32, Time:32, KeySize:16, ValueSize:32, _/binary>> = Bytes) ->
    Length = ?HEADER + KeySize + ValueSize,
    case Time > ?FIRST_SECOND andalso Length =< ?READ andalso At + Length =< File#file.size andalso crc(read(File, At, Length), Length) of
        Crc -> At;
        _ ->
            <<_, Next/binary>> = Bytes,
            record_in(File, At + 1, Next)
    end;
record_in(_File, _At, _Short) ->
    none.

read(_File, _At, 0) ->
    <<>>;
read(#file{fd = Fd, path = Path}, At, Length) ->
    case file:pread(Fd, At, Length) of
        {ok, Bytes} when byte_size(Bytes) =:= Length -> Bytes;
        {ok, _Fewer} -> fail({damaged, Path, At, "the file has become shorter"});
        eof -> fail({damaged, Path, At, "the file has become shorter"});
        {error, Posix} -> fail({io, read, Path, Posix})
    end.

-spec fail(bets_errors:reason()) -> no_return().
fail(Reason) ->
    throw({bets_import, Reason}).
