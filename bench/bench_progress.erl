%% How far a run is: a bar on a terminal, a line a job elsewhere; on the standard error, so that the report stays alone on the output.
-module(bench_progress).

-export([start/1, begins/2, ended/1, stop/1]).

-record(progress, {total, done = 0, since, terminal}).

-opaque progress() :: #progress{}.
-export_type([progress/0]).

-define(WIDTH, 24).

-spec start(non_neg_integer()) -> progress().
start(Total) ->
    #progress{total = Total, since = erlang:monotonic_time(millisecond), terminal = os:getenv("BETS_BENCH_TERMINAL") =:= "1"}.

%% A job of this name begins.
-spec begins(iodata(), progress()) -> ok.
begins(What, #progress{total = Total, done = Done, terminal = Terminal} = Progress) ->
    Line = [bar(Done, Total), io_lib:format(" ~b/~b", [Done, Total]), left(Progress), "  ", What],
    case Terminal of
        true -> io:put_chars(standard_error, ["\r\e[K", string:slice(Line, 0, 150)]);
        false -> io:put_chars(standard_error, [Line, "\n"])
    end.

-spec ended(progress()) -> progress().
ended(#progress{done = Done} = Progress) ->
    Progress#progress{done = Done + 1}.

-spec stop(progress()) -> ok.
stop(#progress{terminal = true}) -> io:put_chars(standard_error, "\r\e[K");
stop(#progress{}) -> ok.

bar(Done, Total) ->
    Full = ?WIDTH * Done div max(1, Total),
    ["[", lists:duplicate(Full, $#), lists:duplicate(?WIDTH - Full, $.), "]"].

%% Jobs differ, so this is a guess, and none before some have ended.
left(#progress{done = Done}) when Done < 5 ->
    "";
left(#progress{total = Total, done = Done, since = Since}) ->
    Elapsed = erlang:monotonic_time(millisecond) - Since,
    Seconds = Elapsed * (Total - Done) div (Done * 1000),
    io_lib:format(", about ~b:~2..0b min left", [Seconds div 60, Seconds rem 60]).
