%% @private
%% A progress bar on a terminal, drawn on the standard error; nothing elsewhere.
-module(bets_cli_bar).

-export([new/1, show/4, clear/1]).

-export_type([bar/0]).

-opaque bar() :: boolean().

-define(WIDTH, 40).

-spec new(Tty :: boolean()) -> bar().
new(Tty) -> Tty.

%% Draws how far something is.
-spec show(bar(), What :: string(), Done :: non_neg_integer(), Total :: non_neg_integer()) -> ok.
show(false, _What, _Done, _Total) ->
    ok;
show(true, What, Done, Total) ->
    Full = ?WIDTH * min(Done, Total) div max(Total, 1),
    io:format(standard_error, "\r~ts [~ts~ts] ~3b %", [
        What, lists:duplicate(Full, $#), lists:duplicate(?WIDTH - Full, $.), 100 * min(Done, Total) div max(Total, 1)
    ]).

%% Takes it away.
-spec clear(bar()) -> ok.
clear(false) -> ok;
clear(true) -> io:put_chars(standard_error, "\r\e[K").
