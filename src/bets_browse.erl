%% @private
%% i/3: looking through a table in the shell, with the keys and the layout of that of ets.
-module(bets_browse).

-export([start/3]).

%% What is shown and how: `search' is the regular expression that objects have to match.
-record(view, {
    tab :: bets:table(),
    height :: pos_integer(),
    width :: pos_integer(),
    search = none :: none | {re, term()}
}).

-define(END_PROMPT, 'EOT  (q)uit (p)Digits (k)ill /Regexp -->').
-define(MORE_PROMPT, '(c)ontinue (q)uit (p)Digits (k)ill /Regexp -->').

-spec start(bets:table(), pos_integer(), pos_integer()) -> ok.
start(Tab, Height, Width) ->
    page(#view{tab = Tab, height = Height, width = Width}, bets:first(Tab), 1, 1).

%% `Turn' counts the lines of the page, `Number' the objects, from 1.
page(View, '$end_of_table', Turn, Number) ->
    choose(View, ?END_PROMPT, '$end_of_table', Turn, Number);
page(#view{height = Height} = View, Key, Turn, Number) when Turn >= Height ->
    choose(View, ?MORE_PROMPT, Key, Turn, Number);
page(View, Key, Turn, Number) ->
    show(View, Key, Turn, Number).

show(#view{tab = Tab} = View, Key, Turn, Number) ->
    Objects = wanted(View, Key),
    Count = length(Objects),
    lists:foreach(
        fun({N, Object}) -> line(View, N, Object) end,
        lists:zip(lists:seq(Number, Number + Count - 1), Objects)
    ),
    page(View, bets:next(Tab, Key), Turn + Count, Number + Count).

wanted(#view{tab = Tab, search = none}, Key) ->
    bets:lookup(Tab, Key);
wanted(#view{tab = Tab, search = {re, Expression}}, Key) ->
    [Object || Object <- bets:lookup(Tab, Key), re:run(text(Object), Expression, [{capture, none}]) =:= match].

line(#view{width = Width}, Number, Object) ->
    Text = text(Object),
    Fitting =
        case length(Text) > Width - 8 of
            true -> string:slice(Text, 0, Width - 13) ++ "  ...";
            false -> Text
        end,
    io:format("<~-4w> ~ts~n", [Number, Fitting]).

text(Term) ->
    lists:flatten(io_lib:format("~p", [Term])).

choose(#view{tab = Tab, search = Search} = View, Prompt, Key, Turn, Number) ->
    case answer(Prompt) of
        "c\n" when Key =:= '$end_of_table', Search =:= none -> choose(View, Prompt, Key, Turn, Number);
        "c\n" -> page(View, Key, 1, Number);
        "q\n" -> ok;
        "k\n" ->
            bets:delete(Tab),
            ok;
        [$p | Digits] ->
            print(View, string:to_integer(string:trim(Digits, trailing, "\n"))),
            choose(View, Prompt, Key, Turn, Number);
        [$/ | Expression] ->
            case re:compile(string:trim(Expression, trailing, "\n"), [unicode]) of
                {ok, Compiled} ->
                    page(View#view{search = {re, Compiled}}, bets:first(Tab), 1, 1);
                {error, {Why, _Position}} ->
                    io:format("~ts\n", [Why]),
                    choose(View, Prompt, Key, Turn, Number)
            end;
        eof -> ok;
        _ -> choose(View, Prompt, Key, Turn, Number)
    end.

answer(Prompt) ->
    case io:get_line(Prompt) of
        "\n" -> "c\n";
        Line when is_binary(Line) -> unicode:characters_to_list(Line);
        Line -> Line
    end.

print(#view{tab = Tab} = View, {Number, []}) when is_integer(Number), Number > 0 ->
    print(View, bets:first(Tab), Number);
print(_View, {Number, []}) when is_integer(Number) ->
    ok;
print(_View, _) ->
    io:put_chars("Bad digits\n").

print(_View, '$end_of_table', _Number) ->
    ok;
print(#view{tab = Tab} = View, Key, Number) ->
    Objects = wanted(View, Key),
    case Number - length(Objects) of
        Left when Left < 1 -> io:format("~tp~n", [lists:nth(Number, Objects)]);
        Left -> print(View, bets:next(Tab, Key), Left)
    end.
