%% The same damage, kills and full disk for bets, Basho's Bitcask and dets: `bin/soak peers'. Prints what docs/durability.md says of them.
-module(bets_peers).

-export([main/0, write/3, look/3, fill/3]).

-define(OBJECTS, 100).

-spec main() -> no_return().
main() ->
    [_ | Args] = init:get_plain_arguments(),
    {Flips, Kills} = case Args of ["--flips", F, "--kills", K] -> {list_to_integer(F), list_to_integer(K)}; [] -> {2000, 50} end,
    Root = filename:join("/tmp", "bets_peers_" ++ os:getpid()),
    ok = filelib:ensure_path(Root),
    Subjects = [bets, dets] ++ [bitcask || code:which(bitcask) =/= non_existing],
    [
        begin
            Dir = filename:join(Root, atom_to_list(Subject)),
            io:format("~-8s ~p bits flipped: ~p~n", [Subject, Flips, flips(Subject, Dir, Flips)]),
            io:format("~-8s ~p kills: ~p~n", [Subject, Kills, kills(Subject, Dir ++ "_killed", Kills)]),
            io:format("~-8s full disk: ~p~n", [Subject, full(Subject, Dir ++ "_full")])
        end
     || Subject <- Subjects
    ],
    file:del_dir_r(Root),
    halt(0).

%% ---------------------------------------------------------------- flipped bits

%% Each time a copy of a table that was closed, with one bit of one of its files turned over, is opened in a VM of its own and all keys are looked up.
flips(Subject, Dir, N) ->
    rand:seed(exsss, 7),
    Good = filename:join(Dir, "good"),
    ok = filelib:ensure_path(Good),
    T = open(Subject, Good),
    [put(Subject, T, K, value(K)) || K <- lists:seq(1, ?OBJECTS)],
    close(Subject, T),
    Files = [F || F <- filelib:wildcard(filename:join(Good, "**")), filelib:is_regular(F), filelib:file_size(F) > 0],
    Sizes = [{F, filelib:file_size(F)} || F <- Files],
    {Last, All} = lists:foldl(fun(_, {Vm, Counts}) ->
        Bad = filename:join(Dir, "bad"),
        file:del_dir_r(Bad),
        "" = os:cmd("cp -a " ++ Good ++ " " ++ Bad),
        {File, At} = place(Sizes, rand:uniform(lists:sum([S || {_, S} <- Sizes])) - 1),
        flip(Bad ++ lists:nthtail(length(Good), File), At),
        bets_diff_vm:run(Vm, ?MODULE, look, [Subject, Bad]),
        {Outcome, Next} =
            case bets_diff_vm:recv(Vm, 20000) of
                {ok, {crashed, _}} -> {reported, Vm};
                {ok, What} -> {What, Vm};
                timeout -> bets_diff_vm:kill_if_alive(Vm), {hangs, bets_diff_vm:start()};
                {exit, _} -> {vm_dies, bets_diff_vm:start()}
            end,
        {Next, maps:update_with(Outcome, fun(C) -> C + 1 end, 1, Counts)}
    end, {bets_diff_vm:start(), #{}}, lists:seq(1, N)),
    bets_diff_vm:kill_if_alive(Last),
    All.

place([{File, Size} | _], At) when At < Size -> {File, At};
place([{_, Size} | More], At) -> place(More, At - Size).

flip(File, At) ->
    {ok, <<Before:At/binary, Byte, After/binary>>} = file:read_file(File),
    ok = file:write_file(File, [Before, Byte bxor (1 bsl (rand:uniform(8) - 1)), After]).

value(K) -> binary:copy(<<K>>, 50 + K).

%% The worst of what the keys give: a wrong value, an object that is silently gone, an error, or nothing.
look(Reply, Subject, Dir) ->
    error_logger:tty(false),
    Reply(
        try open(Subject, Dir) of
            T ->
                Found = [try get(Subject, T, K) of V -> {K, V} catch _:_ -> {K, error} end || K <- lists:seq(1, ?OBJECTS)],
                catch close(Subject, T),
                case {[K || {K, V} <- Found, V =/= value(K), V =/= none, V =/= error], [K || {K, none} <- Found], [K || {K, error} <- Found]} of
                    {[_ | _], _, _} -> wrong_value;
                    {[], [_ | _], _} -> silently_gone;
                    {[], [], [_ | _]} -> reported;
                    {[], [], []} -> harmless
                end
        catch
            _:_ -> reported
        end
    ).

%% ---------------------------------------------------------------- kills

kills(Subject, Dir, N) ->
    ok = filelib:ensure_path(Dir),
    Acks = filename:join(Dir, "acks"),
    Table = filename:join(Dir, "t"),
    ok = filelib:ensure_path(Table),
    rand:seed(exsss, 8),
    Rounds = [
        begin
            Vm = bets_diff_vm:start(),
            bets_diff_vm:run(Vm, ?MODULE, write, [Subject, {Table, Acks, Round * 1000000}]),
            Opened = bets_diff_vm:recv(Vm, 20000),
            timer:sleep(rand:uniform(200)),
            bets_diff_vm:kill_if_alive(Vm),
            case Opened of {ok, opened} -> ok; _ -> no_opening end
        end
     || Round <- lists:seq(1, N)
    ],
    {ok, Bytes} = file:read_file(Acks),
    Acked = [K || <<K:64>> <= Bytes],
    error_logger:tty(false),
    T = open(Subject, Table),
    Lost = [K || K <- Acked, try get(Subject, T, K) =:= none catch _:_ -> true end],
    close(Subject, T),
    #{acknowledged => length(Acked), lost => length(Lost), refused_openings => length([R || no_opening = R <- Rounds])}.

write(Reply, Subject, {Table, Acks, First}) ->
    T = open(Subject, Table),
    {ok, File} = file:open(Acks, [append, raw]),
    Reply(opened),
    write(Subject, T, File, First).

write(Subject, T, File, K) ->
    put(Subject, T, K, <<K:800>>),
    ok = file:write(File, <<K:64>>),
    write(Subject, T, File, K + 1).

%% ---------------------------------------------------------------- a full disk

full(Subject, Dir) ->
    ok = filelib:ensure_path(Dir),
    case os:cmd("mount -t tmpfs -o size=2m bets_peers " ++ Dir) of
        "" ->
            try
                Vm = bets_diff_vm:start(),
                bets_diff_vm:run(Vm, ?MODULE, fill, [Subject, Dir]),
                Filled = bets_diff_vm:recv(Vm, 60000),
                bets_diff_vm:kill_if_alive(Vm),
                Again = case Filled of {ok, #{keys := Keys}} -> Keys; _ -> [] end,
                %% Nobody is asked to open a table without any room.
                "" = os:cmd("mount -o remount,size=8m " ++ Dir),
                T = try open(Subject, filename:join(Dir, "t")) catch _:_ -> refused end,
                Lost = case T of
                    refused -> opening_refused;
                    _ -> L = length([K || K <- Again, try get(Subject, T, K) =:= none catch _:_ -> true end]), catch close(Subject, T), L
                end,
                case Filled of
                    {ok, Answer} when is_map(Answer) -> maps:remove(keys, Answer#{lost_after_kill => Lost, acknowledged => length(Again)});
                    Other -> {Other, Lost}
                end
            after
                os:cmd("umount -l " ++ Dir)
            end;
        Why ->
            {skipped, Why}
    end.

%% Writes until it is refused, makes room, and writes again.
fill(Reply, Subject, Dir) ->
    error_logger:tty(false),
    Ballast = filename:join(Dir, "ballast"),
    ok = file:write_file(Ballast, <<0:(8 * 400000)>>),
    Table = filename:join(Dir, "t"),
    ok = filelib:ensure_path(Table),
    T = open(Subject, Table),
    {Keys, Why} = fill_up(Subject, T, 1, []),
    Reads = try get(Subject, T, hd(Keys)) =/= none catch _:_ -> false end,
    ok = file:delete(Ballast),
    {More, _} = fill_up(Subject, T, 1000000, []),
    Reply(#{keys => Keys ++ More, refusal => Why, reads_go_on => Reads, writes_resume => length(More)}).

fill_up(_Subject, _T, K, Keys) when K rem 1000000 > 20000 ->
    {Keys, never_refused};
fill_up(Subject, T, K, Keys) ->
    try put(Subject, T, K, <<K:2400>>) of
        ok -> fill_up(Subject, T, K + 1, [K | Keys])
    catch
        _:Why -> {Keys, brief(Why)}
    end.

brief(Why) -> lists:sublist(lists:flatten(io_lib:format("~0p", [Why])), 100).

%% ---------------------------------------------------------------- the subjects

open(bets, Dir) ->
    {ok, _} = application:ensure_all_started(bets),
    bets:new(t, [public, {dir, Dir}]);
open(dets, Dir) ->
    {ok, T} = dets:open_file(make_ref(), [{file, filename:join(Dir, "t.dets")}]),
    T;
open(bitcask, Dir) ->
    case bitcask:open(Dir, [read_write]) of
        T when is_reference(T) -> T;
        Error -> error(Error)
    end.

put(bets, T, K, V) -> true = bets:insert(T, {K, V}), ok;
put(dets, T, K, V) -> case dets:insert(T, {K, V}) of ok -> ok; Error -> error(Error) end;
put(bitcask, T, K, V) -> case bitcask:put(T, <<K:64>>, V) of ok -> ok; Error -> error(Error) end.

get(bets, T, K) -> case bets:lookup(T, K) of [] -> none; [{K, V}] -> V end;
get(dets, T, K) -> case dets:lookup(T, K) of [] -> none; [{K, V}] -> V; Error -> error(Error) end;
get(bitcask, T, K) -> case bitcask:get(T, <<K:64>>) of not_found -> none; {ok, V} -> V; Error -> error(Error) end.

close(bets, T) -> bets:close(T);
close(dets, T) -> dets:close(T);
close(bitcask, T) -> bitcask:close(T).
