%% The command line of the long tests: `bin/soak'.
-module(bets_diff_soak).

-export([main/0, mutants/2]).

%% Runs what the command line names, and halts: 0 if nothing was found.
-spec main() -> no_return().
main() ->
    io:setopts([{encoding, unicode}]),
    [Part | Args] = init:get_plain_arguments(),
    Opts = #{seed := Seed} = maps:merge(#{seed => erlang:phash2({os:system_time(), os:getpid()}, 1 bsl 30), progress => progress()},
                                        options(Args)),
    io:format("seed ~w~n", [Seed]),
    halt(case lists:all(fun(P) -> part(P, Opts) end, parts(list_to_atom(Part))) of true -> 0; false -> 1 end).

parts(all) -> [diff, parallel, kill];
parts(Part) -> [Part].

part(diff, Opts) ->
    report(bets_diff, bets_diff:run(maps:merge(#{sequences => 100000}, Opts)));
part(parallel, Opts) ->
    Types = case Opts of #{type := Only} -> [Only]; _ -> [set, ordered_set] end,
    lists:all(fun(Type) ->
        report(bets_lin, bets_lin:run(maps:merge(#{histories => 50000}, Opts#{type => Type})))
            andalso report(bets_lin, bets_lin:watch(maps:merge(#{seconds => 30}, Opts#{type => Type})))
    end, Types);
part(kill, Opts) ->
    Modes = case Opts of #{sync := Mode} -> [Mode]; _ -> [always, {interval, 1000}, none] end,
    lists:all(fun(Mode) -> report(bets_kill, bets_kill:run(Opts#{sync => Mode})) end, Modes);
part(mutants, #{seed := Seed}) ->
    Found = [{Kind, Mutant, mutants(Kind, #{mutant => Mutant, seed => Seed})}
             || {Kind, Mutants} <- [{sequential, bets_diff_mutants:sequential()}, {parallel, bets_diff_mutants:parallel()},
                                    {killed, bets_diff_mutants:killed()}], Mutant <- Mutants],
    [io:format("~-10s ~-24s ~s~n", [Kind, Mutant, case At of missed -> "MISSED"; _ -> ["found by number ", integer_to_list(At)] end])
     || {Kind, Mutant, At} <- Found],
    [] =:= [missed || {_, _, missed} <- Found].

%% Where the harness finds a fault of `bets_diff_ref': the number of the sequence, history or kill.
-spec mutants(sequential | parallel | killed, map()) -> non_neg_integer() | missed.
mutants(sequential, Opts) ->
    found(number, bets_diff:run(Opts#{module => bets_diff_ref, sequences => 3000, shrink => false}));
mutants(parallel, Opts) ->
    found(number, bets_lin:run(Opts#{module => bets_diff_ref, histories => 20000}));
mutants(killed, Opts) ->
    found(kill, bets_kill:run(Opts#{module => bets_diff_ref, kills => 200, sync => none, keep => false})).

found(_Key, {ok, _}) -> missed;
found(Key, {failed, Failure}) -> maps:get(Key, Failure).

report(Module, Result) ->
    io:format("~ts", [[[$\r || {ok, _} <- [io:columns()]] | Module:format(Result)]]),
    element(1, Result) =:= ok.

options(["--" ++ Name, Value | More]) when Value =/= "" ->
    lists:member(Name, ["sequences", "only", "vms", "min_ops", "max_ops", "max_keys", "type", "kills", "histories", "seconds", "sync",
                        "max_file_size", "seed", "module", "mutant", "dir"]) orelse wrong("--" ++ Name),
    (options(More))#{list_to_atom(Name) => value(Name, Value)};
options([]) ->
    #{};
options([Wrong | _]) ->
    wrong(Wrong).

-spec wrong(string()) -> no_return().
wrong(Wrong) ->
    io:format("not an option, or without a value: ~ts~n", [Wrong]),
    halt(2).

value("dir", Value) -> filename:absname(Value);
value("sync", "interval") -> {interval, 1000};
value(_, Value) ->
    case string:to_integer(Value) of
        {N, ""} -> N;
        _ -> list_to_atom(Value)
    end.

%% On a terminal one line that is written again and again, elsewhere a line in half a minute.
progress() ->
    case io:columns() of
        {ok, _} -> fun(Text) -> io:format("\r~ts", [Text]) end;
        {error, _} -> fun progress_line/1
    end.

progress_line(Text) ->
    Now = erlang:monotonic_time(second),
    case get(?MODULE) of
        Last when is_integer(Last), Now - Last < 30 ->
            ok;
        _ ->
            put(?MODULE, Now),
            io:format("~ts~n", [Text])
    end.
