%% @private
%% JSON, as far as the command line prints it.
-module(bets_cli_json).

-export([encode/1]).

-export_type([value/0]).

-type value() :: null | boolean() | number() | atom() | binary() | [value()] | #{atom() => value()}.
%% An atom is a string, and so is a binary, which is UTF-8. A list is an array.

%% The value in UTF-8, on one line. The members of an object have the order of their names.
-spec encode(value()) -> unicode:chardata().
encode(null) -> "null";
encode(true) -> "true";
encode(false) -> "false";
encode(Atom) when is_atom(Atom) -> string(atom_to_binary(Atom, utf8));
encode(N) when is_integer(N) -> integer_to_list(N);
encode(N) when is_float(N) -> io_lib:format("~w", [N]);
encode(Text) when is_binary(Text) -> string(Text);
encode(List) when is_list(List) -> [$[, lists:join($,, [encode(Value) || Value <- List]), $]];
encode(Map) when is_map(Map) ->
    Members = [[string(atom_to_binary(Name, utf8)), $:, encode(Value)] || {Name, Value} <- lists:sort(maps:to_list(Map))],
    [${, lists:join($,, Members), $}].

string(Text) ->
    [$", [escape(Char) || Char <- characters(Text)], $"].

%% A file's name need not be text.
characters(Text) ->
    case unicode:characters_to_list(Text, utf8) of
        Chars when is_list(Chars) -> Chars;
        _ -> binary_to_list(Text)
    end.

escape($") -> "\\\"";
escape($\\) -> "\\\\";
escape(Char) when Char < 32; Char =:= 127 -> io_lib:format("\\u~4.16.0b", [Char]);
escape(Char) -> Char.
