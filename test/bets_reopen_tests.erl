%% A table that is closed can be opened at once, whatever its log had going on in the background.
%%
%% The differential test found it: the care for a log made the next segment after the close had let go of the
%% directory, and the opening met a file where it wanted to make one.
-module(bets_reopen_tests).

-include_lib("eunit/include/eunit.hrl").

opens_at_once_while_segments_come_and_go_test_() ->
    {timeout, 600, fun() ->
        {ok, _} = application:ensure_all_started(bets),
        Base = filename:join("/tmp", "bets_reopen_" ++ os:getpid()),
        Workers = [spawn_monitor(fun() -> reopen(filename:join(Base, integer_to_list(N)), 500) end) || N <- [1, 2, 3, 4]],
        [receive {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(normal, Reason) end || {Pid, Monitor} <- Workers],
        ok = file:del_dir_r(Base)
    end}.

%% Some objects of a third of a segment each: the log often stands where it wants the next one.
reopen(_Dir, 0) ->
    ok;
reopen(Dir, N) ->
    Tab = bets:new(reopened, [{dir, Dir}, {max_file_size, 4096}, {sync, always}]),
    [true = bets:insert(Tab, {K, binary:copy(<<"v">>, 1500)}) || K <- lists:seq(1, 1 + N rem 6)],
    ok = bets:close(Tab),
    reopen(Dir, N - 1).
