%% The options of the small commands: `--name VALUE' into a map that has all of them with their defaults.
-module(bench_flags).

-export([parse/2]).

%% A number stands for a positive number, anything else for a word; `--short' has the values that `short' names. `error' if something is not understood.
-spec parse([string()], #{short := map(), atom() => term()}) -> {ok, map()} | error.
parse(Args, #{short := Short} = Config) ->
    parse(Args, Short, maps:remove(short, Config)).

parse([], _Short, Config) ->
    {ok, Config};
parse(["--short" | Rest], Short, Config) ->
    parse(Rest, Short, maps:merge(Config, Short));
parse(["--" ++ Name, Value | Rest], Short, Config) ->
    case [Key || Key <- maps:keys(Config), atom_to_list(Key) =:= Name] of
        [Key] ->
            case value(Value, maps:get(Key, Config)) of
                {ok, Taken} -> parse(Rest, Short, Config#{Key := Taken});
                error -> error
            end;
        [] ->
            error
    end;
parse(_, _Short, _Config) ->
    error.

value(Text, Default) when is_integer(Default); Default =:= infinity ->
    case string:to_integer(Text) of
        {N, []} when N > 0 -> {ok, N};
        _ -> error
    end;
value(Text, _Default) ->
    {ok, Text}.
