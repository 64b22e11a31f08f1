%% @private
%% What `bin/bets' tells of itself: of all commands, or of one with its options and statuses.
-module(bets_cli_usage).

-export([all/2, one/2]).

-export_type([option/0, command/0]).

-type option() :: {Name :: atom(), Kind :: flag | type | decoder | integer | atom, What :: string()}.

-type command() :: #{
    name := string(),
    arguments := string(),
    what := string(),
    options := [option()],
    status_1 := string() | none,
    run := fun(([string()], bets_cli:options(), bets_cli_bar:bar()) -> bets_cli:result())
}.
%% `status_1' says what the status 1 means, if the command has it.

%% All commands, and the options that each of them takes.
-spec all([command()], [option()]) -> binary().
all(Commands, Common) ->
    unicode:characters_to_binary([
        "usage: bin/bets COMMAND ARGUMENTS [--OPTION [VALUE]]...\n\nCommands\n",
        [
            [io_lib:format("  ~ts ~ts~n      ~ts~n", [Name, Arguments, What]), [["     ", [[$\s | flag(Option)] || Option <- Options], $\n] || Options =/= []]]
         || #{name := Name, arguments := Arguments, what := What, options := Options} <- Commands
        ],
        "\nAll commands\n",
        explained(Common),
        "\nThe status is 0 if all is well, 1 if something is wrong with the table or was lost, 2 if the command could not be run.\n"
    ]).

%% One command.
-spec one(command(), [option()]) -> binary().
one(#{name := Name, arguments := Arguments, what := What, options := Options, status_1 := Found}, Common) ->
    unicode:characters_to_binary([
        io_lib:format("usage: bin/bets ~ts ~ts [--OPTION [VALUE]]...~n~n~ts~n~nOptions~n", [Name, Arguments, What]),
        explained(Options ++ Common),
        "\nStatus\n  0  all is well\n",
        [["  1  ", Found, $\n] || Found =/= none],
        "  2  the command could not be run\n"
    ]).

explained(Options) ->
    Width = lists:max([string:length(flag(Option)) || Option <- Options]),
    [["  ", string:pad(flag(Option), Width), "  ", What, $\n] || {_, _, What} = Option <- Options].

flag({Name, Kind, _What}) -> ["--", atom_to_list(Name), value(Kind)].

value(flag) -> "";
value(type) -> " set|ordered_set|bag|duplicate_bag";
value(decoder) -> " raw|riak";
value(integer) -> " N";
value(atom) -> " NAME".
