%% What the figures were measured on: a figure without its machine says nothing.
-module(bench_machine).

-export([facts/1, lines/1]).

-type facts() :: [{string(), string()}].

%% `Dir' is where the tables lie; it tells the file system.
-spec facts(file:filename()) -> facts().
facts(Dir) ->
    [
        {"date", now_utc()},
        {"bets", command("git -C '" ++ os:getenv("BETS_ROOT", ".") ++ "' describe --always --dirty --tags")},
        {"processor", cpu()},
        {"cores", integer_to_list(erlang:system_info(logical_processors_online))},
        {"memory", memory()},
        {"system", command("uname -srm")},
        {"file system", command("df --output=fstype '" ++ Dir ++ "' | tail -n 1")},
        {"Erlang/OTP", otp()},
        {"load average at the start", command("cut -d ' ' -f 1-3 /proc/loadavg")}
    ].

-spec lines(facts()) -> [string()].
lines(Facts) ->
    [Name ++ ": " ++ Value || {Name, Value} <- Facts].

now_utc() ->
    {{Y, Mo, D}, {H, Mi, _}} = calendar:universal_time(),
    lists:flatten(io_lib:format("~4..0b-~2..0b-~2..0b ~2..0b:~2..0b UTC", [Y, Mo, D, H, Mi])).

cpu() ->
    case command("grep -m 1 '^model name' /proc/cpuinfo | cut -d : -f 2") of
        "" -> "unknown";
        Name -> Name
    end.

memory() ->
    KiB = list_to_integer(command("awk '/^MemTotal/ {print $2}' /proc/meminfo")),
    lists:flatten(io_lib:format("~.1f GiB", [KiB / 1048576])).

otp() ->
    Version = filename:join([code:root_dir(), "releases", erlang:system_info(otp_release), "OTP_VERSION"]),
    Release =
        case file:read_file(Version) of
            {ok, Text} -> string:trim(binary_to_list(Text));
            {error, _} -> erlang:system_info(otp_release)
        end,
    Flavour = atom_to_list(erlang:system_info(emu_flavor)),
    Release ++ ", " ++ Flavour ++ ", " ++ integer_to_list(erlang:system_info(schedulers_online)) ++ " schedulers".

command(Command) ->
    string:trim(os:cmd(Command ++ " 2>/dev/null")).
