%% @private
%% The command line for operators: what `bin/bets' runs.
%%
%% The status is 0 if all is well, 1 if something is wrong with the table or its contents, 2 if the command could not be run.
-module(bets_cli).

-export([main/0, run/2]).

-export_type([options/0, result/0]).

-type options() :: #{atom() => term()}.
%% The values of `--name' options; those without a value are `true'.

-type result() :: {ok | found, Text :: iodata(), Json :: bets_cli_json:value()} | {error, bets_errors:reason()} | {usage | failed, iodata()}.
%% What a command gives: `found' is the status 1.

-define(OK, 0).
-define(FOUND, 1).
-define(FAILED, 2).

%% Name, arguments, what it does, the options beside those of all commands, and the function.
commands() ->
    [
        {"info", "DIR", "what the directory tells of its table; it may be in use", [], fun bets_cli_commands:info/3},
        {"verify", "DIR", "reads every record and says what is wrong; changes nothing", [], fun bets_cli_commands:verify/3},
        {"repair", "DIR", "repairs a damaged table; with --force, whatever is lost by that",
            [{force, flag}, {type, type}, {keypos, integer}, {name, atom}], fun bets_cli_commands:repair/3},
        {"merge", "DIR", "removes what was overwritten and deleted", [], fun bets_cli_commands:merge/3},
        {"backup", "DIR TARGET", "makes TARGET a table with the same objects, by links where that can be", [], fun bets_cli_commands:backup/3},
        {"dump", "DIR [FILE]", "writes all objects as Erlang terms, one in a line; to the standard output without FILE", [],
            fun bets_cli_commands:dump/3},
        {"load", "DIR FILE", "inserts what dump wrote; makes the table if there is none. FILE may be -",
            [{add, flag}, {type, type}, {keypos, integer}, {name, atom}], fun bets_cli_commands:load/3},
        {"import", "DIR SOURCE", "inserts what a file of dets or a directory of Bitcask holds; makes the table if there is none",
            [{type, type}, {keypos, integer}, {name, atom}, {decode, decoder}, {repair, flag}, {'skip-damaged', flag}, {restart, flag}],
            fun bets_cli_commands:import/3}
    ].

common() ->
    [{json, flag}, {quiet, flag}].

%% Runs the arguments behind `-extra' and ends the VM.
-spec main() -> no_return().
main() ->
    ok = io:setopts(standard_io, [{encoding, unicode}]),
    %% What a command has to say it says by itself.
    ok = logger:set_primary_config(level, error),
    erlang:halt(run(init:get_plain_arguments(), #{tty => os:getenv("BETS_TTY", "") =/= "", errors => standard_error})).

%% Runs a command, prints what it gives, and gives the status.
-spec run([string()], #{tty := boolean(), errors := io:device()}) -> 0..2.
run([Help | _], _Context) when Help =:= "--help"; Help =:= "help"; Help =:= "-h" ->
    io:put_chars(usage()),
    ?OK;
run([Flag, Next | Rest], Context) when Flag =:= "--json"; Flag =:= "--quiet" ->
    run([Next | Rest] ++ [Flag], Context);
run([Name | Arguments], #{errors := Errors} = Context) ->
    case lists:keyfind(Name, 1, commands()) of
        {_, _, _, Known, _} = Command ->
            case parse(Arguments, Known ++ common(), [], #{}) of
                {ok, Words, Options} -> finish(call(Command, Words, Options, Context), Options, Errors);
                {usage, _} = Wrong -> finish(Wrong, #{}, Errors)
            end;
        false ->
            finish({usage, io_lib:format("there is no command ~ts", [Name])}, #{}, Errors)
    end;
run([], #{errors := Errors}) ->
    io:put_chars(Errors, usage()),
    ?FAILED.

call({Name, Expected, _, _, Run}, Words, Options, #{tty := Tty}) ->
    {Least, Most} = arity(Expected),
    case length(Words) of
        N when N >= Least, N =< Most ->
            Bar = bets_cli_bar:new(Tty andalso not is_map_key(quiet, Options)),
            try Run(Words, Options, Bar) of
                {error, Reason} -> {failed, bets_cli_hint:explain(Name, hd(Words), Reason)};
                Result -> Result
            catch
                error:{bets, Reason} -> {failed, bets_cli_hint:explain(Name, hd(Words), Reason)};
                Class:Reason:Stack -> {failed, erl_error:format_exception(Class, Reason, Stack)}
            after
                bets_cli_bar:clear(Bar)
            end;
        _ ->
            {usage, io_lib:format("the arguments are ~ts", [Expected])}
    end.

arity(Expected) ->
    Words = string:lexemes(Expected, " "),
    {length([W || [C | _] = W <- Words, C =/= $[]), length(Words)}.

finish({Status, Text, Json}, Options, _Errors) ->
    case is_map_key(json, Options) of
        true -> io:put_chars([bets_cli_json:encode(Json), $\n]);
        false -> io:put_chars(Text)
    end,
    case Status of
        ok -> ?OK;
        found -> ?FOUND
    end;
finish({failed, Words}, Options, Errors) ->
    case is_map_key(json, Options) of
        true -> io:put_chars([bets_cli_json:encode(#{error => unicode:characters_to_binary(Words)}), $\n]);
        false -> io:format(Errors, "bets: ~ts~n", [Words])
    end,
    ?FAILED;
finish({usage, Words}, _Options, Errors) ->
    io:format(Errors, "bets: ~ts; see bin/bets --help~n", [Words]),
    ?FAILED.

parse(["--" | Words], _Known, Acc, Options) ->
    {ok, lists:reverse(Acc, Words), Options};
parse(["--" ++ Name | Rest], Known, Acc, Options) ->
    case [Option || {Key, _} = Option <- Known, atom_to_list(Key) =:= Name] of
        [{Key, flag}] -> parse(Rest, Known, Acc, Options#{Key => true});
        [{Key, Kind}] -> parse_value(Key, Kind, Rest, Known, Acc, Options);
        [] -> {usage, ["there is no option --", Name, " here"]}
    end;
parse([Word | Rest], Known, Acc, Options) ->
    parse(Rest, Known, [Word | Acc], Options);
parse([], _Known, Acc, Options) ->
    {ok, lists:reverse(Acc), Options}.

parse_value(Key, Kind, [Text | Rest], Known, Acc, Options) ->
    case value(Kind, Text) of
        {ok, Value} -> parse(Rest, Known, Acc, Options#{Key => Value});
        error -> {usage, io_lib:format("--~ts cannot be ~ts", [Key, Text])}
    end;
parse_value(Key, _Kind, [], _Known, _Acc, _Options) ->
    {usage, io_lib:format("--~ts needs a value", [Key])}.

value(type, Text) -> one_of(Text, [set, ordered_set, bag, duplicate_bag]);
value(decoder, Text) -> one_of(Text, [raw, riak]);
value(atom, Text) when length(Text) =< 255 -> {ok, list_to_atom(Text)};
value(integer, Text) ->
    case string:to_integer(Text) of
        {N, ""} when N > 0 -> {ok, N};
        _ -> error
    end;
value(_Kind, _Text) -> error.

one_of(Text, Atoms) ->
    case [Atom || Atom <- Atoms, atom_to_list(Atom) =:= Text] of
        [Atom] -> {ok, Atom};
        [] -> error
    end.

usage() ->
    [
        "usage: bin/bets COMMAND ARGUMENTS [--OPTION [VALUE]]...\n\nCommands\n",
        [
            io_lib:format("  ~ts ~ts~n      ~ts~n~ts", [Name, Expected, Text, [["     ", options(Known), $\n] || Known =/= []]])
         || {Name, Expected, Text, Known, _} <- commands()
        ],
        "\nAll commands\n"
        "  --json    prints one JSON object and nothing else\n"
        "  --quiet   draws no progress bar; there is none anyway where the standard error is no terminal\n"
        "\nThe status is 0 if all is well, 1 if something is wrong with the table or was lost, 2 if the command could not be run.\n"
    ].

options(Known) ->
    [[" --", atom_to_list(Key), value_name(Kind)] || {Key, Kind} <- Known].

value_name(flag) -> "";
value_name(type) -> " set|ordered_set|bag|duplicate_bag";
value_name(decoder) -> " raw|riak";
value_name(integer) -> " N";
value_name(atom) -> " NAME".
