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

%% What may stand before the command too.
-define(IS_FLAG(Argument), (Argument =:= "--json" orelse Argument =:= "--quiet")).

commands() ->
    [
        command("info", "DIR", "what the directory tells of its table; it may be in use", [], none, fun bets_cli_commands:info/3),
        command("verify", "DIR", "reads every record and says what is wrong; changes nothing", [], "something is wrong with the table",
            fun bets_cli_commands:verify/3),
        command("repair", "DIR", "repairs a damaged table; with --force, whatever is lost by that",
            [{force, flag, "saves what can be read, whatever is lost"} | kind("of the table, if its MANIFEST is made anew")],
            "objects were lost, or would be lost without --force", fun bets_cli_commands:repair/3),
        command("merge", "DIR", "removes what was overwritten and deleted", [], "files were left out for damage", fun bets_cli_commands:merge/3),
        command("backup", "DIR TARGET", "makes TARGET a table with the same objects, by links where that can be", [], none,
            fun bets_cli_commands:backup/3),
        command("dump", "DIR [FILE]", "writes all objects as Erlang terms, one in a line; to the standard output without FILE", [], none,
            fun bets_cli_commands:dump/3),
        command("load", "DIR FILE", "inserts what dump wrote; makes the table if there is none. FILE may be -",
            [{add, flag, "adds to the objects that are there, in the place of those with the same keys"} | kind("of a table that is made, if not that of the dump")],
            "not all that dump wrote is in the table", fun bets_cli_commands:load/3),
        command("import", "DIR SOURCE", "inserts what a file of dets or a directory of Bitcask holds; makes the table if there is none",
            kind("of a table that is made, if not that of the source") ++ [
                {decode, decoder, "takes keys of Bitcask as they are, or as those of Riak"},
                {force, flag, "imports from Bitcask though a lock file says that a program has it open"},
                {repair, flag, "has dets repair a copy of a file that was not closed, which may lose objects"},
                {'skip-damaged', flag, "passes over damaged records of Bitcask: older ones of their keys may take their place"},
                {restart, flag, "deletes the objects of the table before"}
            ],
            "damaged records were passed over", fun bets_cli_commands:import/3)
    ].

command(Name, Arguments, What, Options, Status1, Run) ->
    #{name => Name, arguments => Arguments, what => What, options => Options, status_1 => Status1, run => Run}.

kind(Whose) ->
    [{type, type, "the type " ++ Whose}, {keypos, integer, "the position of the key " ++ Whose}, {name, atom, "the name " ++ Whose}].

common() ->
    [
        {help, flag, "prints what a command does, its options and its statuses, and does nothing else"},
        {json, flag, "prints one JSON object and nothing else"},
        {quiet, flag, "draws no progress bar; there is none anyway where the standard error is no terminal"}
    ].

%% Runs the arguments behind `-extra' and ends the VM.
-spec main() -> no_return().
main() ->
    ok = io:setopts(standard_io, [{encoding, unicode}]),
    %% What a command has to say it says by itself.
    ok = logger:set_primary_config(level, error),
    erlang:halt(run(init:get_plain_arguments(), #{tty => os:getenv("BETS_TTY", "") =/= "", errors => standard_error})).

%% Runs a command, prints what it gives, and gives the status.
-spec run([string()], #{tty := boolean(), errors := io:device()}) -> 0..2.
run([Flag | _] = Arguments, Context) when ?IS_FLAG(Flag) ->
    case lists:splitwith(fun(Argument) -> ?IS_FLAG(Argument) end, Arguments) of
        %% Behind the name, since what is behind a `--' is no option.
        {Flags, [Name | Rest]} -> run([Name | Flags ++ Rest], Context);
        {_, []} -> run([], Context)
    end;
run([Help | Arguments], #{errors := Errors}) when Help =:= "--help"; Help =:= "help"; Help =:= "-h" ->
    case parse(Arguments, common(), [], #{}) of
        {ok, Words, Options} -> finish(usage(Words), Options, Errors);
        Wrong -> finish(leading(Wrong, "--help"), #{}, Errors)
    end;
run([Name | Arguments], #{errors := Errors} = Context) ->
    case find(Name) of
        {ok, #{options := Known} = Command} ->
            case parse(Arguments, Known ++ common(), [], #{}) of
                {ok, _Words, #{help := true} = Options} -> finish(usage([Name]), Options, Errors);
                {ok, Words, Options} -> finish(leading(call(Command, Words, Options, Context), Name ++ " --help"), Options, Errors);
                Wrong -> finish(leading(Wrong, Name ++ " --help"), #{}, Errors)
            end;
        Wrong ->
            finish(Wrong, #{}, Errors)
    end;
run([], #{errors := Errors}) ->
    io:put_chars(Errors, bets_cli_usage:all(commands(), common())),
    ?FAILED.

find(Name) ->
    case [Command || #{name := Known} = Command <- commands(), Known =:= Name] of
        [Command] -> {ok, Command};
        [] -> leading({usage, io_lib:format("there is no command ~ts", [Name])}, "--help")
    end.

usage([]) ->
    usage_text(bets_cli_usage:all(commands(), common()));
usage([Name | _]) ->
    case find(Name) of
        {ok, Command} -> usage_text(bets_cli_usage:one(Command, common()));
        Wrong -> Wrong
    end.

usage_text(Text) -> {ok, Text, #{usage => Text}}.

%% Who called a command wrongly is led to where the right way stands.
leading({usage, Words}, Help) -> {usage, [Words, "; see bin/bets ", Help]};
leading(Result, _Help) -> Result.

call(#{name := Name, arguments := Expected, run := Run}, Words, Options, #{tty := Tty}) ->
    {Least, Most} = arity(Expected),
    case length(Words) of
        N when N >= Least, N =< Most ->
            Bar = bets_cli_bar:new(Tty andalso not is_map_key(quiet, Options)),
            try Run(Words, Options, Bar) of
                {error, Reason} -> {failed, bets_cli_hint:explain(Name, hd(Words), Options, Reason)};
                Result -> Result
            catch
                error:{bets, Reason} -> {failed, bets_cli_hint:explain(Name, hd(Words), Options, Reason)};
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
    io:format(Errors, "bets: ~ts~n", [Words]),
    ?FAILED.

parse(["--" | Words], _Known, Acc, Options) ->
    {ok, lists:reverse(Acc, Words), Options};
parse(["-h" | Rest], Known, Acc, Options) ->
    parse(["--help" | Rest], Known, Acc, Options);
parse(["--" ++ Name | Rest], Known, Acc, Options) ->
    case [Option || {Key, _, _} = Option <- Known, atom_to_list(Key) =:= Name] of
        [{Key, flag, _}] -> parse(Rest, Known, Acc, Options#{Key => true});
        [{Key, Kind, _}] -> parse_value(Key, Kind, Rest, Known, Acc, Options);
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
