%% @private
%% tab2file/3, file2tab/2, tabfile_info/1: tables as files of the format that `ets' has for them, a log of `disk_log'.
%%
%% ```
%% {Info1, Info2, ..}                       the items of info/1 as a tuple
%% Object ..
%% ['$end_of_table', [{count, N}, {md5, Digest}]]      with extended information only
%% '''
%% The digest is that of the binaries of all terms before the last. Their external format is that of `term_to_binary/1'.
-module(bets_file).

-export([write/3, read/2, info/1]).

-define(OBJECTS_MAX, 100).

-record(extended, {object_count = false :: boolean(), md5sum = false :: boolean(), sync = false :: boolean()}).

%% What has been read or written: objects so far, the digest's state.
-record(sum, {count = 0 :: non_neg_integer(), md5 = false :: false | binary()}).

-spec write(bets:table(), file:name(), term()) -> ok | {error, term()}.
write(Tab, File, Options) ->
    caught(fun() ->
        Extended = write_options(Options),
        _ = file:delete(File),
        case file:read_file_info(File) of
            {error, enoent} -> ok;
            _ -> throw(eaccess)
        end,
        Log = make_ref(),
        _ = ok(disk_log:open([{name, Log}, {file, File}])),
        try write_all(Tab, Log, Extended) of
            ok -> disk_log:close(Log)
        catch
            Class:Reason:Stack ->
                _ = disk_log:close(Log),
                _ = file:delete(File),
                erlang:raise(Class, Reason, Stack)
        end
    end).

caught(Fun) ->
    try
        Fun()
    catch
        throw:Reason -> {error, Reason};
        exit:Reason -> {error, Reason}
    end.

ok({error, Reason}) -> throw(Reason);
ok(Done) -> Done.

write_all(Tab, Log, #extended{object_count = Counts, md5sum = Sums, sync = Sync} = Extended) ->
    Sum0 = #sum{md5 = Sums andalso erlang:md5_init()},
    Sum1 = log(Log, [header(Tab, Extended)], Sum0),
    #sum{count = Count, md5 = MD5} = Sum2 = write_chunks(Log, bets:match_object(Tab, '_', ?OBJECTS_MAX), Sum1),
    _ = case [{count, Count - 1} || Counts] ++ [{md5, erlang:md5_final(MD5)} || Sums] of
        [] -> Sum2;
        End -> log(Log, [['$end_of_table', End]], Sum2)
    end,
    _ = Sync andalso ok(disk_log:sync(Log)),
    ok.

%% Only what ets has, so that ets reads it.
header(Tab, #extended{object_count = Counts, md5sum = Sums}) ->
    case bets_info:of_ets(Tab) of
        Items when is_list(Items) ->
            Info = [{extended_info, [object_count || Counts] ++ [md5sum || Sums]}],
            list_to_tuple(Items ++ [{major_version, 1}, {minor_version, 0} | Info]);
        undefined ->
            throw(badtab);
        {badarg, _} ->
            erlang:error(badarg)
    end.

write_chunks(_Log, '$end_of_table', Sum) ->
    Sum;
write_chunks(Log, {Objects, Continuation}, Sum) ->
    write_chunks(Log, bets:match_object(Continuation), log(Log, Objects, Sum)).

log(Log, Terms, #sum{count = Count, md5 = false} = Sum) ->
    ok = ok(disk_log:log_terms(Log, Terms)),
    Sum#sum{count = Count + length(Terms)};
log(Log, Terms, #sum{count = Count, md5 = MD5}) ->
    Binaries = [term_to_binary(Term) || Term <- Terms],
    ok = ok(disk_log:blog_terms(Log, Binaries)),
    #sum{count = Count + length(Terms), md5 = erlang:md5_update(MD5, Binaries)}.

write_options(Options) when is_list(Options) ->
    write_options(Options, #extended{}, false).

write_options([], Extended, _) -> Extended;
write_options([{sync, true} | Options], Extended, Seen) -> write_options(Options, Extended#extended{sync = true}, Seen);
write_options([{sync, false} | Options], Extended, Seen) -> write_options(Options, Extended, Seen);
write_options([{extended_info, Infos} | Options], Extended, false) -> write_options(Options, extended(Infos, Extended), true);
write_options([Option | _], _, _) -> throw({unknown_option, Option});
write_options(Malformed, _, _) -> throw({malformed_option, Malformed}).

extended([], Extended) -> Extended;
extended([object_count | Infos], Extended) -> extended(Infos, Extended#extended{object_count = true});
extended([md5sum | Infos], Extended) -> extended(Infos, Extended#extended{md5sum = true});
extended([Unknown | _], _) -> throw({unknown_option, [{extended_info, [Unknown]}]});
extended(Malformed, _) -> throw({malformed_option, Malformed}).

-spec read(file:name(), term()) -> {ok, bets:table()} | {error, term()}.
read(File, Options) ->
    caught(fun() ->
        {Verify, Target} = read_options(Options, false, none),
        Log = open(File, Verify),
        try
            {Items, Extended, Sum, Place} = read_header(Log, Verify),
            supported(Items),
            Tab = target(Target, Items),
            try
                Verified = case Verify of true -> Extended; false -> #extended{} end,
                {End, Sum1} = load(Tab, Log, Place, Sum, {Verify, Verified}),
                verify(Verify, Verified, End, Sum1, proplists:get_value(size, Items)),
                {ok, Tab}
            catch
                Class:Reason:Stack ->
                    bets:delete(Tab),
                    erlang:raise(Class, Reason, Stack)
            end
        after
            _ = disk_log:close(Log)
        end
    end).

read_options([], Verify, Target) -> {Verify, Target};
read_options([{verify, true} | Options], _, Target) -> read_options(Options, true, Target);
read_options([{verify, false} | Options], Verify, Target) -> read_options(Options, Verify, Target);
read_options([{table, Tab} | Options], Verify, none) -> read_options(Options, Verify, {table, Tab});
read_options([Unknown | _], _, _) -> throw({unknown_option, Unknown});
read_options(Malformed, _, _) -> throw({malformed_option, Malformed}).

open(File, Verify) ->
    Log = make_ref(),
    case disk_log:open([{name, Log}, {file, File}, {mode, read_only}]) of
        {ok, Log} ->
            Log;
        {repaired, Log, _, _} when Verify ->
            _ = disk_log:close(Log),
            throw(badfile);
        {repaired, Log, _, _} ->
            Log;
        {error, Reason} ->
            throw({read_error, Reason});
        Other ->
            throw(Other)
    end.

%% The first term, as a list of pairs.
read_header(Log, Verify) ->
    case chunk(Log, start, 1, Verify, Verify) of
        {Place, [Binary]} when is_binary(Binary) ->
            Digest = erlang:md5_update(erlang:md5_init(), Binary),
            header_of(binary_to_term(Binary), #sum{md5 = Digest}, Place);
        {Place, [Header]} ->
            header_of(Header, #sum{}, Place);
        _ ->
            throw(badfile)
    end.

header_of(Header, Sum, Place) when is_tuple(Header) ->
    header_items(tuple_to_list(Header), Sum, Place);
header_of(_Header, _Sum, _Place) ->
    throw(badfile).

header_items(Items, Sum, Place) ->
    case [Item || Item <- [name, type, protection, named_table, keypos, size], not lists:keymember(Item, 1, Items)] of
        [] ->
            Infos = case lists:keyfind(extended_info, 1, Items) of
                {_, List} when is_list(List) -> List;
                _ -> []
            end,
            Extended = #extended{object_count = lists:member(object_count, Infos), md5sum = lists:member(md5sum, Infos)},
            {Items, Extended, Sum, Place};
        _ ->
            throw(badfile)
    end.

version(Items) ->
    Number = fun(Key) ->
        case lists:keyfind(Key, 1, Items) of
            {_, N} -> N;
            false -> 0
        end
    end,
    {Number(major_version), Number(minor_version)}.

supported(Items) ->
    case version(Items) of
        {Major, _} = Version when Major > 1 -> throw({unsupported_file_version, Version});
        _ -> ok
    end.

target({table, Tab}, _Items) ->
    Tab;
target(none, Items) ->
    #{name := Name, type := Type, protection := Protection, keypos := Keypos} = maps:from_list(Items),
    Options = [Type, Protection, {keypos, Keypos}] ++
        flag(named_table, Items) ++
        flag(compressed, Items) ++
        [Item || {Key, _} = Item <- Items, Key =:= write_concurrency orelse Key =:= read_concurrency],
    try bets_opener:temporary(Name, Options) of
        {ok, Tab} -> Tab;
        _ -> throw(cannot_create_table)
    catch
        error:_ -> throw(cannot_create_table)
    end.

flag(Flag, Items) ->
    case lists:keyfind(Flag, 1, Items) of
        {_, true} -> [Flag];
        {_, false} -> [];
        false -> [];
        _ -> throw(cannot_create_table)
    end.

load(Tab, Log, Place, Sum, {Verify, #extended{md5sum = Sums}} = How) ->
    case chunk(Log, Place, ?OBJECTS_MAX, Verify, Sums) of
        eof ->
            {none, Sum};
        {Next, Terms} ->
            case taken(Terms, [], Sum) of
                {[], End, Sum1} ->
                    {End, Sum1};
                {Objects, End, Sum1} ->
                    true = bets:insert(Tab, Objects),
                    case End of
                        none -> load(Tab, Log, Next, Sum1, How);
                        _ -> {End, Sum1}
                    end
            end
    end.

%% The objects of a piece of the log, up to the end that has the extended information.
taken([], Objects, Sum) ->
    {lists:reverse(Objects), none, Sum};
taken([Binary | Terms], Objects, #sum{count = Count, md5 = MD5} = Sum) when is_binary(Binary) ->
    try binary_to_term(Binary) of
        ['$end_of_table', End] -> {lists:reverse(Objects), End, Sum};
        Object -> taken(Terms, [Object | Objects], Sum#sum{count = Count + 1, md5 = erlang:md5_update(MD5, Binary)})
    catch
        error:badarg -> taken(Terms, Objects, Sum)
    end;
taken([['$end_of_table', End]], Objects, Sum) ->
    {lists:reverse(Objects), End, Sum};
taken([Object | Terms], Objects, #sum{count = Count} = Sum) ->
    taken(Terms, [Object | Objects], Sum#sum{count = Count + 1}).

%% Terms as binaries where a digest is made of them.
chunk(Log, Place, Count, Verify, Binaries) ->
    Chunk = case Binaries of
        true -> disk_log:bchunk(Log, Place, Count);
        false -> disk_log:chunk(Log, Place, Count)
    end,
    case Chunk of
        {_, _, Bad} when Verify, Bad > 0 -> throw(badfile);
        {Next, Terms, _} -> {Next, Terms};
        Other -> Other
    end.

%% Without extended information the header's size is checked.
verify(false, _, _, _, _) ->
    ok;
verify(true, #extended{md5sum = false, object_count = false}, _End, #sum{count = Size}, Size) ->
    ok;
verify(true, #extended{md5sum = false, object_count = false}, _End, _Sum, _Size) ->
    throw(invalid_object_count);
verify(true, _, none, _, _) ->
    throw(badfile);
verify(true, #extended{md5sum = Sums, object_count = Counts}, End, #sum{count = Count, md5 = MD5}, Size) ->
    Digest = Sums andalso erlang:md5_final(MD5),
    Sums andalso proplists:get_value(md5, End) =/= Digest andalso throw(checksum_error),
    Expected = case {Counts, Sums} of
        {true, _} -> proplists:get_value(count, End);
        {false, true} -> Count;
        {false, false} -> Size
    end,
    Count =/= Expected andalso throw(invalid_object_count),
    ok.

-spec info(file:name()) -> {ok, [{atom(), term()}]} | {error, term()}.
info(File) when is_list(File); is_atom(File) ->
    caught(fun() ->
        Log = open(File, false),
        {Items, _, _, _} =
            try
                read_header(Log, false)
            after
                _ = disk_log:close(Log)
            end,
        Mandatory = [lists:keyfind(Item, 1, Items) || Item <- [name, type, protection, named_table, keypos, size]],
        Infos = case lists:keyfind(extended_info, 1, Items) of
            false -> {extended_info, []};
            Found -> Found
        end,
        {ok, Mandatory ++ [Infos, {version, version(Items)}]}
    end).
