%% The table on a real kernel that is made to fail: `bin/soak kernel' (root). Each case tells what it tried and what it found.
%%
%% A driver in a VM of its own writes and puts each acknowledgement into a file that stands elsewhere. Its system calls are made to fail, or to kill it,
%% by strace; or the file system below it is full, cannot sync, is copied as a power loss would leave it, is mounted read-only, or is removed. Then
%% another VM opens the table, and everything that was acknowledged must be there (bets_kill_check), or what the model of the driver says.
-module(bets_kernel).

-export([main/0, workload/3, removed/2, opens/3, clock/3, until_full/2, contents/2]).

-define(WRITERS, 4).

-spec main() -> no_return().
main() ->
    [_ | Args] = init:get_plain_arguments(),
    {Only, Rounds} = options(Args, [], 20),
    Root = filename:join("/tmp", "bets_kernel_" ++ os:getpid()),
    ok = filelib:ensure_path(Root),
    Cases = [
        {killed, fun killed/2}, {errors, fun errors/2}, {fsync, fun fsync/2}, {power, fun power/2}, {read_only, fun read_only/2},
        {removed, fun removed_case/2}, {descriptors, fun descriptors/2}, {clock, fun clock_case/2}
    ],
    Results = [
        begin
            Dir = filename:join(Root, atom_to_list(Name)),
            ok = filelib:ensure_path(Dir),
            Result = try Case(Dir, Rounds) catch Class:Reason:Stack -> {failed, {Class, Reason, Stack}} end,
            report(Name, Result),
            element(1, Result) =:= failed orelse file:del_dir_r(Dir),
            element(1, Result)
        end
     || {Name, Case} <- Cases, Only =:= [] orelse lists:member(Name, Only)
    ],
    halt(case lists:member(failed, Results) of false -> 0; true -> 1 end).

options(["--case", Name | More], Only, Rounds) -> options(More, [list_to_atom(Name) | Only], Rounds);
options(["--rounds", N | More], Only, _) -> options(More, Only, list_to_integer(N));
options([], Only, Rounds) -> {Only, Rounds}.

report(Name, {ok, Format, Args}) -> io:format("~-12s " ++ Format ++ "~n", [Name | Args]);
report(Name, {skipped, Why}) -> io:format("~-12s SKIPPED: ~ts~n", [Name, string:trim(Why)]);
report(Name, {failed, Why}) -> io:format("~-12s FAILED: ~tp~n", [Name, Why]).

%% ---------------------------------------------------------------- killed in a system call

%% The Nth such call of a thread ends the VM. Recoveries pile up in one directory.
killed(Dir, Rounds) ->
    ok = filelib:ensure_path(filename:join(Dir, "table")),
    Calls = ["pwrite64", "/^f(data)?sync$", "/^rename", "/^unlink", "ftruncate", "fallocate"],
    Modes = [always, {interval, 5}],
    rand:seed(exsss, 1),
    Plan = [{Call, Mode, rand:uniform(60)} || _ <- lists:seq(1, Rounds), Call <- Calls, Mode <- Modes],
    killed(Plan, Dir, bets_kill_check:new(1, ?WRITERS), #{}).

killed([{Call, Mode, N} | More], Dir, State, Struck) ->
    Vm = strace([Call], ["inject=" ++ Call ++ ":signal=KILL:when=" ++ integer_to_list(N)], []),
    {Next, Ended} =
        case opened(Vm, Dir, Mode) of
            {ok, Found} ->
                {ok, Checked} = checked(Dir, Found, State),
                bets_diff_vm:run(Vm, bets_kill_writer, go, [bets_kill_check:writers(Checked)]),
                {Checked, ended(Vm, 1500)};
            %% It died while it opened.
            {exit, _} ->
                {State, true}
        end,
    Ended orelse end_traced(Vm),
    killed(More, Dir, Next, maps:update_with({Call, Ended}, fun(C) -> C + 1 end, 1, Struck));
killed([], Dir, State, Struck) ->
    Vm = bets_diff_vm:start(),
    {ok, Found} = opened(Vm, Dir, none),
    {ok, Last} = checked(Dir, Found, State),
    bets_diff_vm:kill(Vm),
    Acked = lists:sum([Next - 1 || {_, Next} <- bets_kill_check:writers(Last)]),
    Kills = lists:sum([N || {{_, true}, N} <- maps:to_list(Struck)]),
    Counts = [io_lib:format("~s ~w", [Call, N]) || {{Call, true}, N} <- maps:to_list(Struck)],
    true = Kills > 0,
    {ok, "~w kills in system calls (~ts), ~w writes acknowledged, none lost", [Kills, lists:join(", ", Counts), Acked]}.

opened(Vm, Dir, Mode) ->
    Plan = #{module => bets, mutant => none, dir => Dir, sync => Mode, max_file_size => 65536, seed => 1},
    bets_diff_vm:run(Vm, bets_kill_writer, run, [Plan]),
    case bets_diff_vm:recv(Vm, 30000) of
        {ok, opening} ->
            case bets_diff_vm:recv(Vm, 60000) of
                {ok, {opened, Found}} -> {ok, Found};
                {exit, _} = Exit -> Exit
            end;
        {exit, _} = Exit ->
            Exit
    end.

checked(Dir, Found, State) ->
    case bets_kill_check:check(Dir, Found, State) of
        {ok, Next} -> {ok, Next};
        {violation, Violation} -> error({violation, Violation})
    end.

%% Whether the VM ends by itself.
ended(Vm, Ms) ->
    case bets_diff_vm:recv(Vm, Ms) of
        {exit, _} -> true;
        timeout -> false;
        {ok, _} -> ended(Vm, Ms)
    end.

%% Who traces is not killed before who is traced, which would go on.
end_traced(Vm) ->
    "" = os:cmd("pkill -KILL -P " ++ integer_to_list(bets_diff_vm:os_pid(Vm))),
    true = ended(Vm, 10000).

%% One dirty I/O scheduler: strace counts the calls of each thread.
strace(Calls, Injections, Args) ->
    Trace = ["-e", "trace=" ++ lists:append(lists:join(",", Calls))],
    Command = ["strace", "-f", "-qqq", "-o", "/dev/null"] ++ Trace ++ lists:append([["-e", I] || I <- Injections]),
    bets_diff_vm:start_with(Command, ["+SDio", "1" | Args]).

%% ---------------------------------------------------------------- errors of system calls

%% What is refused is not applied, and all else is there; after a failed sync nothing is taken any more until the table is opened again.
errors(Dir, Rounds) ->
    rand:seed(exsss, 2),
    Faults = [
        {"pwrite64", "ENOSPC"}, {"pwrite64", "EIO"}, {"/^f(data)?sync$", "EIO"}, {"/^f(data)?sync$", "ENOSPC"}, {"/^rename", "EIO"},
        {"/^unlink", "EACCES"}, {"fallocate", "ENOSPC"}, {"ftruncate", "EIO"}
    ],
    Plan = [{Call, Error, Mode, When()} || _ <- lists:seq(1, max(1, Rounds div 4)), {Call, Error} <- Faults, Mode <- [always, none],
                                           When <- [fun once/0, fun often/0]],
    Counts = [error_round(filename:join(Dir, integer_to_list(N)), Fault) || {N, Fault} <- lists:enumerate(Plan)],
    [Acked, Refused, Unknown] = [lists:sum([maps:get(Key, C) || C <- Counts]) || Key <- [acked, refused, unknown]],
    true = Refused > 0,
    {ok, "~w runs, ~w writes acknowledged and there, ~w refused and not there, ~w with an unknown outcome", [length(Plan), Acked, Refused, Unknown]}.

once() -> integer_to_list(rand:uniform(40)).
often() -> integer_to_list(rand:uniform(10)) ++ "+" ++ integer_to_list(1 + rand:uniform(20)).

error_round(Dir, {Call, Error, Mode, When} = Fault) ->
    Vm = strace([Call], ["inject=" ++ Call ++ ":error=" ++ Error ++ ":when=" ++ When], []),
    {ok, Answer} = bets_diff_vm:call(Vm, ?MODULE, workload, [Dir, Mode]),
    end_traced(Vm),
    case Answer of
        {not_made, _} ->
            #{acked => 0, refused => 1, unknown => 0};
        {Model, Unknown, Counts} ->
            Fresh = bets_diff_vm:start(),
            {ok, {ok, Found}} = bets_diff_vm:call(Fresh, ?MODULE, contents, [Dir]),
            bets_diff_vm:stop(Fresh),
            Wrong = [{Key, Found1, May} || Key <- lists:seq(1, 50), Found1 <- [maps:get(Key, Found, none)],
                                           May <- [[maps:get(Key, Model, none) | maps:get(Key, Unknown, [])]], not lists:member(Found1, May)],
            Wrong =:= [] orelse error({Fault, Wrong}),
            Counts
    end.

%% 300 writes; what is acknowledged goes into the model. A table that takes no more is opened again.
workload(Reply, Dir, Mode) ->
    try bets:new(t, [{dir, Dir}, {sync, Mode}, {max_file_size, 16384}]) of
        T -> Reply(work(T, Dir, Mode, 1, #{}, #{}, #{acked => 0, refused => 0, unknown => 0}))
    catch
        error:Reason -> Reply({not_made, Reason})
    end.

work(T, _Dir, _Mode, 301, Model, Unknown, Counts) ->
    catch bets:close(T),
    {Model, Unknown, Counts};
work(T, Dir, Mode, N, Model, Unknown, Counts) ->
    Key = N * 7 rem 50 + 1,
    Change = fun() -> case N rem 5 of 0 -> bets:delete(T, Key); _ -> bets:insert(T, {Key, N, <<0:(N rem 11 * 8000)>>}) end end,
    New = case N rem 5 of 0 -> none; _ -> N end,
    Add = fun(What) -> maps:update_with(What, fun(C) -> C + 1 end, Counts) end,
    try Change() of
        true -> work(T, Dir, Mode, N + 1, Model#{Key => New}, maps:remove(Key, Unknown), Add(acked))
    catch
        error:{bets, {sync_failed, _}} ->
            again(T, Dir, Mode, N, Model, maps:update_with(Key, fun(L) -> [New | L] end, [New], Unknown), Add(unknown));
        error:{bets, {read_only, _}} ->
            again(T, Dir, Mode, N, Model, Unknown, Add(refused));
        error:{bets, {io, _, _, _}} ->
            %% Refused is not applied, here and after the next opening.
            Is = maps:get(Key, Model, none),
            May = [Is | maps:get(Key, Unknown, [])],
            try value(bets:lookup(T, Key)) of
                Value -> lists:member(Value, May) orelse error({refused_and_applied, Key, Value, May})
            catch
                error:{bets, _} -> ok
            end,
            work(T, Dir, Mode, N + 1, Model, Unknown, Add(refused))
    end.

again(T, Dir, Mode, N, Model, Unknown, Counts) ->
    catch bets:close(T),
    case bets:open(Dir, [{sync, Mode}, {max_file_size, 16384}]) of
        {ok, Again} -> work(Again, Dir, Mode, N + 1, Model, Unknown, Counts);
        {error, _} -> {Model, Unknown, Counts}
    end.

value([]) -> none;
value([{_, N, _}]) -> N.

contents(Reply, Dir) ->
    case bets:open(Dir) of
        {ok, T} ->
            Found = maps:from_list([{Key, N} || {Key, N, _} <- bets:tab2list(T)]),
            ok = bets:close(T),
            Reply({ok, Found});
        {error, _} = Error ->
            Reply(Error)
    end.

%% ---------------------------------------------------------------- a sync that fails on a real disk

%% A file system that promises 128 MiB on a memory of 24: the write back fails, and so does the sync.
fsync(Dir, _Rounds) ->
    Memory = filename:join(Dir, "memory"),
    Disk = filename:join(Dir, "disk"),
    mounted([{Memory, "-t tmpfs -o size=24m bets_kernel"}], fun() ->
        Image = image(filename:join(Memory, "image"), "128M"),
        Table = filename:join(Disk, "t"),
        {Acked, [Error]} = mounted([{Disk, "-o loop " ++ Image}], fun() ->
            Vm = bets_diff_vm:start(),
            {ok, Answer} = bets_diff_vm:call(Vm, ?MODULE, until_full, [Table]),
            bets_diff_vm:kill(Vm),
            Answer
        end),
        {sync_failed, {io, sync, _, eio}} = Error,
        %% Once there is room, what the disk has is what was durable: the page cache went with the mount.
        "" = os:cmd("mount -o remount,size=256m " ++ Memory ++ " 2>&1"),
        mounted([{Disk, "-o loop " ++ Image}], fun() ->
            Fresh = bets_diff_vm:start(),
            {ok, {ok, Found}} = bets_diff_vm:call(Fresh, ?MODULE, contents, [Table]),
            bets_diff_vm:stop(Fresh),
            [] = [N || N <- lists:seq(1, Acked), not is_map_key(N, Found)],
            {ok, "~w durable writes of 100 KB, then sync_failed and read_only; mounted again, all of them are there", [Acked]}
        end)
    end).

until_full(Reply, Dir) ->
    T = bets:new(t, [{dir, Dir}, {sync, always}, {max_file_size, 4 bsl 20}, {cache, false}]),
    Reply(until_full(T, 1, rand:bytes(100000), [])).

until_full(T, N, Value, []) when N < 2000 ->
    try bets:insert(T, {N, N, Value}) of
        true -> until_full(T, N + 1, Value, [])
    catch
        error:{bets, Reason} ->
            %% Never again on this file.
            {bets, {read_only, _}} = try bets:insert(T, {N, N, Value}) catch error:Second -> Second end,
            {N - 1, [Reason]}
    end;
until_full(_T, N, _Value, Errors) ->
    {N - 1, Errors}.

%% ---------------------------------------------------------------- power losses

%% The driver is stopped and the image of its disk copied until two copies are the same: what the disk has at that moment, without the page cache.
power(Dir, Rounds) ->
    Disk = filename:join(Dir, "disk"),
    Image = image(filename:join(Dir, "image"), "64M"),
    ok = file:make_symlink("disk/t", filename:join(Dir, "table")),
    mounted([{Disk, "-o loop,commit=1 " ++ Image}], fun() ->
        ok = filelib:ensure_path(filename:join(Disk, "t")),
        "" = os:cmd("sync"),
        Vm = bets_diff_vm:start(),
        {ok, _} = opened(Vm, Dir, always),
        bets_diff_vm:run(Vm, bets_kill_writer, go, [bets_kill_check:writers(bets_kill_check:new(1, ?WRITERS))]),
        rand:seed(exsss, 3),
        Copies = [copy(Vm, Dir, Image, N) || N <- lists:seq(1, Rounds)],
        bets_diff_vm:kill(Vm),
        Acked = [lost_power(Copy) || Copy <- Copies],
        true = lists:last(Acked) > 0,
        {ok, "~w images of a disk, up to ~w durable writes, none lost", [length(Copies), lists:last(Acked)]}
    end).

copy(Vm, Dir, Image, N) ->
    timer:sleep(rand:uniform(150)),
    Copy = filename:join(Dir, "copy" ++ integer_to_list(N)),
    ok = filelib:ensure_path(Copy),
    Pid = integer_to_list(bets_diff_vm:os_pid(Vm)),
    "" = os:cmd("kill -STOP " ++ Pid),
    [{ok, _} = file:copy(filename:join(Dir, Acks), filename:join(Copy, Acks)) || "acks_" ++ _ = Acks <- element(2, file:list_dir(Dir))],
    To = filename:join(Copy, "image"),
    "" = os:cmd("cp --sparse=always " ++ Image ++ " " ++ To ++ "; until cmp -s " ++ Image ++ " " ++ To ++ "; do cp --sparse=always " ++ Image
                ++ " " ++ To ++ "; done"),
    "" = os:cmd("kill -CONT " ++ Pid),
    Copy.

lost_power(Copy) ->
    Disk = filename:join(Copy, "disk"),
    ok = file:make_symlink("disk/t", filename:join(Copy, "table")),
    mounted([{Disk, "-o loop " ++ filename:join(Copy, "image")}], fun() ->
        Vm = bets_diff_vm:start(),
        {ok, Found} = opened(Vm, Copy, none),
        {ok, State} = checked(Copy, Found, bets_kill_check:new(1, ?WRITERS)),
        bets_diff_vm:kill(Vm),
        lists:sum([Next - 1 || {_, Next} <- bets_kill_check:writers(State)])
    end).

%% ---------------------------------------------------------------- others

%% A file system that takes no writes: refused with an error that says so, and nothing is changed.
read_only(Dir, _Rounds) ->
    Disk = filename:join(Dir, "disk"),
    Image = image(filename:join(Dir, "image"), "16M"),
    Table = filename:join(Disk, "t"),
    mounted([{Disk, "-o loop " ++ Image}], fun() ->
        Vm = bets_diff_vm:start(),
        {ok, {_, _, #{acked := 300}}} = bets_diff_vm:call(Vm, ?MODULE, workload, [Table, none]),
        bets_diff_vm:stop(Vm)
    end),
    Refused = mounted([{Disk, "-o loop,ro " ++ Image}], fun() ->
        Vm = bets_diff_vm:start(),
        {ok, {error, Reason}} = bets_diff_vm:call(Vm, ?MODULE, contents, [Table]),
        bets_diff_vm:stop(Vm),
        Reason
    end),
    {io, _, _, erofs} = Refused,
    mounted([{Disk, "-o loop " ++ Image}], fun() ->
        Vm = bets_diff_vm:start(),
        {ok, {ok, Found}} = bets_diff_vm:call(Vm, ?MODULE, contents, [Table]),
        bets_diff_vm:stop(Vm),
        {ok, "refused with ~p; mounted for writing again, all ~w objects are there", [Refused, map_size(Found)]}
    end).

removed_case(Dir, _Rounds) ->
    Vm = bets_diff_vm:start(),
    {ok, Answer} = bets_diff_vm:call(Vm, ?MODULE, removed, [filename:join(Dir, "t")]),
    bets_diff_vm:kill_if_alive(Vm),
    {{error, {io, sync, _, enoent}}, {bets, {read_only, _}}, [{1, 1}]} = Answer,
    {ok, "the next sync gives ~p", [enoent]}.

removed(Reply, Dir) ->
    T = bets:new(t, [{dir, Dir}]),
    bets:insert(T, {1, 1}),
    ok = bets:sync(T),
    "" = os:cmd("rm -rf " ++ Dir),
    bets:insert(T, {2, 2}),
    Sync = try bets:sync(T) catch error:{bets, Reason} -> {error, Reason} end,
    Insert = try bets:insert(T, {3, 3}) catch error:Second -> Second end,
    Reply({Sync, Insert, bets:lookup(T, 1)}).

%% A VM that may have so few descriptors starts or does not; if it does, openings fail cleanly, and those that succeed are sound.
descriptors(Dir, _Rounds) ->
    Results = [
        begin
            Vm = bets_diff_vm:start_with(["prlimit", "--nofile=" ++ integer_to_list(Limit)], []),
            bets_diff_vm:run(Vm, ?MODULE, opens, [filename:join(Dir, integer_to_list(Limit)), 1000]),
            %% Below some limit the VM starts in part only, and says nothing.
            Answer = bets_diff_vm:recv(Vm, 30000),
            bets_diff_vm:kill_if_alive(Vm),
            {Limit, Answer}
        end
     || Limit <- lists:seq(20, 100, 16)
    ],
    Started = [{Limit, Counts} || {Limit, {ok, {_, _} = Counts}} <- Results],
    [] = [Bad || {_, {ok, {crashed, _}}} = Bad <- Results],
    true = Started =/= [],
    {ok, "limits of 20 to 100: the VM starts with ~w of ~w; openings of 1,000 that succeeded there: ~w",
     [length(Started), length(Results), [Opened || {_, {Opened, _}} <- Started]]}.

%% Opens and closes two tables again and again.
opens(Reply, Dir, Times) ->
    Outcomes = [
        try bets:new(t, [{dir, filename:join(Dir, integer_to_list(N rem 2))}]) of
            T -> true = bets:insert(T, {N, N}), [{N, N}] = bets:lookup(T, N), ok = bets:close(T), opened
        catch
            error:badarg -> refused
        end
     || N <- lists:seq(1, Times)
    ],
    Reply({length([O || opened = O <- Outcomes]), length([R || refused = R <- Outcomes])}).

%% A VM whose clock goes back by twenty years while it has a table open, and one that opens it ten years before it was made.
clock_case(Dir, _Rounds) ->
    case filelib:wildcard("/usr/lib/*/faketime/libfaketimeMT.so.1") of
        [] ->
            {skipped, "libfaketime is not there"};
        [Library | _] ->
            Table = filename:join(Dir, "t"),
            Clock = filename:join(Dir, "clock"),
            Env = ["env", "LD_PRELOAD=" ++ Library, "FAKETIME_TIMESTAMP_FILE=" ++ Clock, "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1"],
            ok = file:write_file(Clock, "+10y\n"),
            Vm = bets_diff_vm:start_with(Env, []),
            {ok, {Years, 2000}} = bets_diff_vm:call(Vm, ?MODULE, clock, [Table, Clock]),
            bets_diff_vm:kill_if_alive(Vm),
            Fresh = bets_diff_vm:start_with(Env, []),
            {ok, {ok, Found}} = bets_diff_vm:call(Fresh, ?MODULE, contents, [Table]),
            bets_diff_vm:kill_if_alive(Fresh),
            2000 = map_size(Found),
            true = Years >= 19,
            {ok, "the clock went back by ~w years: all ~w objects are there", [Years, 2000]}
    end.

clock(Reply, Dir, Clock) ->
    T = bets:new(t, [{dir, Dir}, {max_file_size, 16384}]),
    Write = fun(From, To) -> [true = bets:insert(T, {N, N, <<0:800>>}) || N <- lists:seq(From, To)] end,
    Before = os:system_time(second),
    Write(1, 1000),
    ok = bets:sync(T),
    ok = file:write_file(Clock, "-10y\n"),
    timer:sleep(20),
    After = os:system_time(second),
    Write(501, 2000),
    bets:merge(T),
    ok = bets:close(T),
    {ok, Again} = bets:open(Dir),
    Reply({(Before - After) div (365 * 86400), bets:info(Again, size)}).

%% ---------------------------------------------------------------- helpers

image(File, Size) ->
    "" = os:cmd("truncate -s " ++ Size ++ " " ++ File ++ " && mkfs.ext4 -q -F " ++ File ++ " 2>&1"),
    File.

%% Runs `Fun' with file systems mounted, which are unmounted whatever it does.
mounted([{Point, How} | More], Fun) ->
    ok = filelib:ensure_path(Point),
    case os:cmd("mount " ++ How ++ " " ++ Point ++ " 2>&1") of
        "" -> try mounted(More, Fun) after unmount(Point, 50) end;
        Why -> {skipped, Why}
    end;
mounted([], Fun) ->
    Fun().

%% A process that was killed lets go of its files a moment later.
unmount(Point, Tries) ->
    case os:cmd("umount " ++ Point ++ " 2>&1") of
        "" -> ok;
        _ when Tries > 0 -> timer:sleep(100), unmount(Point, Tries - 1);
        _ -> "" = os:cmd("umount -l " ++ Point ++ " 2>&1"), ok
    end.
