%% A table several times larger than the memory of its VM: the short form of `bin/soak memory'.
-module(bets_big_tests).

-include_lib("eunit/include/eunit.hrl").

%% The VM alone takes some 45 MiB, and its allocators keep as much again of what steps have used: with a limit of 96 MiB a table of four times that was
%% above it by less than 1 MiB now and then.
a_table_four_times_larger_than_the_memory_test_() ->
    {timeout, 300, fun() ->
        Ebin = filename:dirname(code:which(bets)),
        Script = filename:absname("test/memory.sh"),
        case run(Script, ["--check"]) of
            {0, _} ->
                Dir = filename:join(filename:dirname(Ebin), "big_" ++ os:getpid()),
                {Status, Said} = run(Script, ["--type", "set", "--limit", "128", "--cache", "8", "--keys", "8400", "--size", "64000",
                                              "--dir", Dir, "--ebin", Ebin]),
                ?assertEqual({0, Said}, {Status, Said});
            {_, _} ->
                io:format(user, "skipped: no cgroup with a limit on memory can be made here~n", [])
        end
    end}.

run(Script, Args) ->
    Port = open_port({spawn_executable, Script}, [{args, Args}, exit_status, stderr_to_stdout, binary]),
    said(Port, <<>>).

said(Port, Said) ->
    receive
        {Port, {data, Data}} -> said(Port, <<Said/binary, Data/binary>>);
        {Port, {exit_status, Status}} -> {Status, Said}
    end.
