%% @private
%% A file of dets as a source of objects.
-module(bets_import_dets).

-export([kind/2, with/3]).

-define(OBJECTS_READ, 100).
-define(COOKIE, 16#00abcdef).
-define(VERSION, 9).

%% Type and position of the key. What a repair makes of the file is not known before it is done.
-spec kind(file:name_all(), boolean()) -> #{type := bets:type(), keypos := pos_integer()}.
kind(Name, true) ->
    {Type, KeyPos} = header(path(Name)),
    #{type => Type, keypos => KeyPos};
kind(Name, false) ->
    with(Name, false, fun(Source) -> maps:with([type, keypos], Source) end).

%% Opens the file for reading, has `Use' make of the source what it will, and closes it.
-spec with(file:name_all(), boolean(), fun((map()) -> Result)) -> Result.
with(Name, Repair, Use) ->
    File = path(Name),
    {Type, KeyPos} = header(File),
    case open(File, Type, KeyPos, [{access, read}, {repair, false}]) of
        {ok, Dets} -> use(Dets, File, Type, KeyPos, Use);
        {error, not_closed} when Repair -> repaired(File, Type, KeyPos, Use);
        {error, not_closed} -> fail({not_closed, File});
        {error, Reason} -> fail({dets, File, Reason})
    end.

repaired(File, Type, KeyPos, Use) ->
    Copy = File ++ ".bets-repair",
    try
        ok = checked(file:copy(File, Copy), copy, Copy),
        case open(Copy, Type, KeyPos, [{repair, true}]) of
            {ok, Dets} -> use(Dets, File, Type, KeyPos, Use);
            {error, Reason} -> fail({dets, File, Reason})
        end
    after
        _ = file:delete(Copy)
    end.

use(Dets, File, Type, KeyPos, Use) ->
    try
        Fold = fun(Fun, Acc) -> fold(fun() -> dets:match_object(Dets, '_', ?OBJECTS_READ) end, File, Fun, Acc) end,
        Use(#{type => Type, keypos => KeyPos, size => dets:info(Dets, size), fold => Fold})
    after
        _ = dets:close(Dets)
    end.

fold(Read, File, Fun, Acc) ->
    case read(Read, File) of
        '$end_of_table' -> Acc;
        {error, Reason} -> fail({dets, File, Reason});
        {Objects, Continuation} -> fold(fun() -> dets:match_object(Continuation) end, File, Fun, lists:foldl(Fun, Acc, Objects))
    end.

%% The process of dets does not survive all that it reads in a damaged file.
read(Read, File) ->
    try
        Read()
    catch
        error:badarg -> fail({dets, File, damaged})
    end.

%% dets asks for type and position of the key when it opens a file for reading, and tells neither beforehand.
header(File) ->
    case file:open(File, [read, raw, binary]) of
        {ok, Fd} ->
            Read = file:read(Fd, 32),
            _ = file:close(Fd),
            case Read of
                {ok, <<_Free:32, ?COOKIE:32, _Closed:32, Type:32, ?VERSION:32, _M:32, _Next:32, KeyPos:32>>} when Type >= 1, Type =< 3, KeyPos > 0 ->
                    {element(Type, {set, bag, duplicate_bag}), KeyPos};
                {error, Posix} ->
                    fail({io, read, File, Posix});
                _ ->
                    fail({not_dets, File})
            end;
        {error, Posix} ->
            fail({io, open, File, Posix})
    end.

open(File, Type, KeyPos, Options) ->
    case dets:open_file(make_ref(), [{file, File}, {type, Type}, {keypos, KeyPos} | Options]) of
        {ok, Dets} -> {ok, Dets};
        {error, {Word, _File}} when Word =:= needs_repair; Word =:= not_closed -> {error, not_closed};
        {error, Reason} -> {error, Reason}
    end.

%% dets takes no binaries.
path(Name) when is_binary(Name) -> unicode:characters_to_list(Name);
path(Name) -> filename:flatten(Name).

checked({ok, _Bytes}, _Operation, _Path) -> ok;
checked({error, Posix}, Operation, Path) -> fail({io, Operation, Path, Posix}).

-spec fail(bets_errors:reason()) -> no_return().
fail(Reason) ->
    throw({bets_import, Reason}).
