%% The kill soak: four processes of a child VM write to one table, the VM is killed with SIGKILL at a random moment,
%% the table is opened in a new VM and checked (`bets_kill_check'), and so on with the same directory, so that
%% recoveries pile up.
%%
%% The moments: in the midst of writing; within some milliseconds of the first write; within some
%% milliseconds of the beginning of the opening, so that recoveries are cut short too; as soon as a new file appears in the
%% table's directory, which is while a segment is made or becomes the active one, or a merge begins to copy; while a manifest is
%% published; and as soon as a file is gone, which is at the end of a merge. Merges go on all the time.
%% Not checked: power loss. What the kernel had taken over survives a SIGKILL in every sync mode.
-module(bets_kill).

-export([run/1, format/1]).

-define(WRITERS, 4).

%% Options, with their defaults:
%%   module  the table module (bets)             mutant  fault of bets_diff_ref (none)
%%   kills   how many (200)                      seed    integer (random)
%%   sync    always, none or {interval, Ms} ({interval, 1000})
%%   dir     where the table stands (/tmp)       max_file_size  of a segment, in bytes (65,536)
%%   keep    whether the directory of a violation stays (true)
%%   progress  called with a line of text now and then
%% Returns counts, or the first violation.
-spec run(map()) -> {ok, map()} | {failed, map()}.
run(Options) ->
    Opts = maps:merge(#{module => bets, mutant => none, kills => 200, seed => erlang:phash2(make_ref(), 1 bsl 30),
                        sync => {interval, 1000}, dir => "/tmp", max_file_size => 65536, keep => true, progress => fun(_) -> ok end}, Options),
    #{seed := Seed} = Opts,
    rand:seed(exsss, Seed),
    Dir = filename:join(maps:get(dir, Opts), "bets_kill_" ++ os:getpid() ++ "_" ++ integer_to_list(erlang:unique_integer([positive]))),
    ok = filelib:ensure_path(filename:join(Dir, "table")),
    Started = erlang:monotonic_time(millisecond),
    Counts = #{kills => 0, opening => 0, early => 0, midst => 0, rotation => 0, publish => 0, unlink => 0},
    case rounds(Opts#{dir := Dir}, bets_kill_check:new(Seed, ?WRITERS), Counts) of
        {ok, Done, State} ->
            file:del_dir_r(Dir),
            Acked = lists:sum([Next - 1 || {_, Next} <- bets_kill_check:writers(State)]),
            {ok, Done#{acked => Acked, seed => Seed, sync => maps:get(sync, Opts), ms => erlang:monotonic_time(millisecond) - Started}};
        {failed, Kill, Violation} ->
            maps:get(keep, Opts) orelse file:del_dir_r(Dir),
            {failed, #{seed => Seed, kill => Kill, violation => Violation, dir => Dir, sync => maps:get(sync, Opts)}}
    end.

-spec format({ok, map()} | {failed, map()}) -> iolist().
format({ok, #{kills := Kills, acked := Acked, opening := Opening, early := Early, midst := Midst, rotation := Rotation,
              publish := Publish, unlink := Unlink, sync := Sync, seed := Seed, ms := Ms}}) ->
    io_lib:format("sync ~w: nothing lost: ~w kills (~w while opening, ~w soon after, ~w at a new file, ~w at a manifest, ~w at the end of a merge, ~w in the midst), ~w writes acknowledged; ~.1f s; seed ~w~n",
                  [Sync, Kills, Opening, Early, Rotation, Publish, Unlink, Midst, Acked, Ms / 1000, Seed]);
format({failed, #{kill := Kill, violation := Violation, dir := Dir, seed := Seed, sync := Sync}}) ->
    io_lib:format("VIOLATION: sync ~w, seed ~w, after kill ~w, directory ~ts~n  ~tP~n", [Sync, Seed, Kill, Dir, Violation, 200]).

%% One more opening than kills: the last recovery is checked too.
rounds(#{kills := Kills} = Opts, State, #{kills := Done} = Counts) ->
    (maps:get(progress, Opts))(io_lib:format("sync ~w: ~w of ~w kills", [maps:get(sync, Opts), Done, Kills])),
    Vm = bets_diff_vm:start(),
    bets_diff_vm:run(Vm, bets_kill_writer, run, [maps:with([module, mutant, dir, sync, max_file_size, seed], Opts)]),
    case bets_diff_vm:recv(Vm, 30000) of
        {ok, opening} ->
            Moment = case Done of Kills -> never; _ -> moment() end,
            opening(Vm, Opts, State, Counts, Moment);
        Other ->
            failed(Vm, Done, {no_start, Other})
    end.

moment() ->
    case rand:uniform(14) of
        N when N =< 2 -> {opening, rand:uniform(6) - 1};
        N when N =< 4 -> {early, rand:uniform(6) - 1};
        N when N =< 7 -> rotation;
        N when N =< 9 -> publish;
        N when N =< 11 -> unlink;
        _ -> {midst, rand:uniform(300)}
    end.

%% The kill may strike the opening; the table was not handed over then, and the next opening is checked.
opening(Vm, Opts, State, #{kills := Done} = Counts, {opening, Ms}) ->
    case bets_diff_vm:recv(Vm, Ms) of
        timeout -> killed(Vm, Opts, State, Counts, opening);
        {ok, {opened, Found}} -> opened(Vm, Opts, State, Counts, {early, 0}, Found);
        Other -> failed(Vm, Done, {no_opening, Other})
    end;
opening(Vm, Opts, State, #{kills := Done} = Counts, Moment) ->
    case bets_diff_vm:recv(Vm, 60000) of
        {ok, {opened, Found}} -> opened(Vm, Opts, State, Counts, Moment, Found);
        Other -> failed(Vm, Done, {no_opening, Other})
    end.

opened(Vm, #{dir := Dir} = Opts, State, #{kills := Done} = Counts, Moment, Found) ->
    case bets_kill_check:check(Dir, Found, State) of
        {ok, Next} when Moment =:= never ->
            bets_diff_vm:kill(Vm),
            {ok, Counts, Next};
        {ok, Next} ->
            %% Writers go on from what was found.
            bets_diff_vm:run(Vm, bets_kill_writer, go, [bets_kill_check:writers(Next)]),
            case bets_diff_vm:recv(Vm, 30000) of
                {ok, writing} -> writing(Vm, Opts, Next, Counts, Moment);
                Other -> failed(Vm, Done, {no_writing, Other})
            end;
        {violation, Violation} ->
            failed(Vm, Done, Violation)
    end.

writing(Vm, #{dir := Dir} = Opts, State, Counts, Sign) when is_atom(Sign) ->
    Table = filename:join(Dir, "table"),
    {ok, Before} = file:list_dir(Table),
    await(Sign, Table, Before, erlang:monotonic_time(millisecond) + 500),
    killed(Vm, Opts, State, Counts, Sign);
writing(Vm, Opts, State, #{kills := Done} = Counts, {Kind, Ms}) ->
    case bets_diff_vm:recv(Vm, Ms) of
        timeout -> killed(Vm, Opts, State, Counts, Kind);
        Other -> failed(Vm, Done, {writer_ended, Other})
    end.

await(Sign, Table, Before, Until) ->
    {ok, Now} = file:list_dir(Table),
    Seen =
        case Sign of
            rotation -> Now -- Before =/= [];
            publish -> lists:member("MANIFEST.new", Now);
            unlink -> [Segment || Segment <- Before -- Now, filename:extension(Segment) =:= ".seg"] =/= []
        end,
    Seen orelse erlang:monotonic_time(millisecond) > Until orelse await(Sign, Table, Before, Until).

killed(Vm, Opts, State, #{kills := Done} = Counts, Kind) ->
    ok = bets_diff_vm:kill(Vm),
    rounds(Opts, State, Counts#{kills := Done + 1, Kind := maps:get(Kind, Counts) + 1}).

failed(Vm, Done, Violation) ->
    catch bets_diff_vm:kill(Vm),
    {failed, Done, Violation}.
