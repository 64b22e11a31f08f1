%% Each sync mode makes the system calls that it promises: seen from outside the VM, by strace.
-module(bets_sync_tests).

-include_lib("eunit/include/eunit.hrl").

modes_test_() ->
    case os:find_executable("strace") of
        false ->
            [];
        Strace ->
            {timeout, 120, fun() ->
                %% Opening and closing sync on their own: what counts is what comes on top.
                Base = syncs(Strace, "none", 0),
                ?assertEqual(Base, syncs(Strace, "none", 20)),
                ?assert(syncs(Strace, "always", 20) - Base >= 20),
                Interval = syncs(Strace, "{interval,100}", 20) - Base,
                ?assert(Interval >= 1),
                ?assert(Interval =< 10)
            end}
    end.

%% The number of fdatasync calls of a VM that opens a table, writes N objects one after the other, and dies two seconds later.
syncs(Strace, Mode, N) ->
    Dir = filename:join("/tmp", "bets_sync_" ++ os:getpid()),
    Log = Dir ++ ".strace",
    Ebin = filename:dirname(code:which(bets)),
    Program = io_lib:format(
        "T = bets:new(t, [{dir, \"~s\"}, {sync, ~s}]), [bets:insert(T, {I, I}) || I <- lists:seq(1, ~b)], "
        "timer:sleep(2000), halt(0, [{flush, false}]).",
        [Dir, Mode, N]
    ),
    Args = ["-f", "-e", "trace=fdatasync", "-o", Log, "erl", "-noinput", "-pa", Ebin, "-eval", lists:flatten(Program)],
    Port = open_port({spawn_executable, Strace}, [{args, Args}, exit_status, stderr_to_stdout, hide]),
    wait(Port),
    {ok, Trace} = file:read_file(Log),
    ok = file:delete(Log),
    ok = file:del_dir_r(Dir),
    %% A call that another thread interrupts in the log takes two lines, one of which says so.
    length([L || L <- binary:split(Trace, <<"\n">>, [global]), binary:match(L, <<"fdatasync(">>) =/= nomatch]).

wait(Port) ->
    receive
        {Port, {data, _}} -> wait(Port);
        {Port, {exit_status, 0}} -> ok
    after 60000 -> error(timeout)
    end.
