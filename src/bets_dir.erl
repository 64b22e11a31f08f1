%% @private
%% Where tables stand.
-module(bets_dir).

-export([absolute/1, data_dir/0, of_name/1, temporary_root/0]).

-include_lib("kernel/include/logger.hrl").

%% A file name may have 255 bytes on common file systems; some layers take off a few.
-define(NAME_MAX, 200).
-define(PREFIX_MAX, 64).

%% @private A path in the form of file names, as an absolute one in bytes.
-spec absolute(term()) -> {ok, binary()} | error.
absolute(Dir) ->
    try filename:flatten(Dir) of
        Empty when Empty =:= ""; Empty =:= <<>> -> error;
        Path -> native(filename:absname(Path))
    catch
        error:_ -> error
    end.

native(Path) ->
    Bytes =
        case is_binary(Path) of
            true -> Path;
            false -> unicode:characters_to_binary(Path, unicode, file:native_name_encoding())
        end,
    case is_binary(Bytes) andalso binary:match(Bytes, <<0>>) =:= nomatch of
        true -> {ok, Bytes};
        false -> error
    end.

%% @private The directory of all tables that have a name and no directory of their own. The value is made absolute when it is
%% first asked for, so that a later change of the working directory does not move it.
-spec data_dir() -> binary().
data_dir() ->
    Configured = application:get_env(bets, data_dir, "bets_data"),
    case persistent_term:get({?MODULE, data_dir}, undefined) of
        {Configured, Dir} ->
            Dir;
        _ ->
            Dir =
                case absolute(Configured) of
                    {ok, Path} -> Path;
                    error -> error({bad_data_dir, Configured})
                end,
            ?LOG_NOTICE("bets: named tables are kept in ~ts", [Dir]),
            persistent_term:put({?MODULE, data_dir}, {Configured, Dir}),
            Dir
    end.

%% @private The directory of a named table: one name below the data directory, whatever the table's name is.
-spec of_name(atom()) -> binary().
of_name(Name) ->
    filename:join(data_dir(), encode(atom_to_binary(Name, utf8))).

%% Small letters, digits, `_' and `-' stand for themselves, every other byte for `=' and two digits: no two names become
%% one where case is folded, and none is `.', `..' or hidden.
encode(<<>>) ->
    <<"=">>;
encode(Name) ->
    Encoded = <<<<(encode_byte(Byte))/binary>> || <<Byte>> <= Name>>,
    case byte_size(Encoded) =< ?NAME_MAX of
        true ->
            Encoded;
        false ->
            Prefix = binary:part(Encoded, 0, ?PREFIX_MAX),
            Hash = <<<<(hex(Nibble))>> || <<Nibble:4>> <= erlang:md5(Name)>>,
            %% `==' is in no other encoded name. The stored name is compared when the table is opened, so that names made
            %% to have the same hash get an error and not each other's objects.
            <<Prefix/binary, "==", Hash/binary>>
    end.

encode_byte(Byte) when Byte >= $a, Byte =< $z; Byte >= $0, Byte =< $9; Byte =:= $_; Byte =:= $- ->
    <<Byte>>;
encode_byte(Byte) ->
    <<$=, (hex(Byte bsr 4)), (hex(Byte band 15))>>.

hex(Nibble) when Nibble < 10 -> $0 + Nibble;
hex(Nibble) -> $a + Nibble - 10.

%% @private Under which temporary tables get their directories.
-spec temporary_root() -> binary().
temporary_root() ->
    Configured =
        case os:getenv("TMPDIR") of
            Unset when Unset =:= false; Unset =:= "" -> "/tmp";
            Dir -> Dir
        end,
    case absolute(Configured) of
        {ok, Path} -> Path;
        error -> <<"/tmp">>
    end.
