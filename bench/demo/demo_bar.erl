%% A progress bar on a terminal; a line for each tenth elsewhere.
-module(demo_bar).

-export([new/1, total/2, step/1, stop/1]).
-export_type([bar/0]).

-record(bar, {tty :: boolean(), total = 0 :: non_neg_integer(), done = 0 :: non_neg_integer()}).
-opaque bar() :: #bar{}.

-define(WIDTH, 50).

-spec new(Tty :: boolean()) -> bar().
new(Tty) ->
    #bar{tty = Tty}.

%% Begins a new count, up to `Total'.
-spec total(non_neg_integer(), bar()) -> bar().
total(Total, Bar) ->
    draw(Bar#bar{total = Total, done = 0}).

-spec step(bar()) -> bar().
step(#bar{done = Done} = Bar) ->
    draw(Bar#bar{done = Done + 1}).

%% Ends the line of a bar that never became full.
-spec stop(bar()) -> ok.
stop(#bar{tty = true, total = Total, done = Done}) when Done < Total -> io:nl();
stop(_Bar) -> ok.

draw(#bar{tty = true, total = Total, done = Done} = Bar) ->
    Full = ?WIDTH * Done div max(Total, 1),
    io:format("\r  [~s~s] ~b/~b modules", [
        lists:duplicate(Full, $#), lists:duplicate(?WIDTH - Full, $.), Done, Total
    ]),
    Done =:= Total andalso io:nl(),
    Bar;
draw(#bar{tty = false, total = Total, done = Done} = Bar) ->
    case Done > 0 andalso 10 * Done div Total > 10 * (Done - 1) div Total of
        true -> io:format("  ~b/~b modules~n", [Done, Total]);
        false -> ok
    end,
    Bar.
