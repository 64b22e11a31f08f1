%% @private
%% Objects as text: a file of Erlang terms, one on a line, which `file:consult/1' reads too.
%%
%% The first term is `{bets_dump, 1, Options}' with the table's `type', `keypos' and `name', the last one `{bets_dump_end, Objects}', without which
%% the file was cut. Between them stand the objects in the table's order. An object with a pid, a port, a reference or a fun, which cannot be read
%% as text, stands as `{'$external', Base64}', its external term format; so does one that looks like that.
-module(bets_dump).

-export([write/3, header/1, read/4]).

-export_type([header/0]).

-type header() :: [{type, bets:type()} | {keypos, pos_integer()} | {name, atom()}].

-define(VERSION, 1).
-define(BATCH, 1000).

%% Writes all objects; `Fun' is called with the number of those written after each batch.
-spec write(bets:table(), io:device(), fun((non_neg_integer()) -> ok)) -> {ok, non_neg_integer()} | {error, term()}.
write(Tab, Device, Fun) ->
    Header = [{Item, bets:info(Tab, Item)} || Item <- [type, keypos, name]],
    try
        put_terms(Device, [{bets_dump, ?VERSION, Header}]),
        N = write(bets:select(Tab, [{'_', [], ['$_']}], ?BATCH), Device, Fun, 0),
        put_terms(Device, [{bets_dump_end, N}]),
        {ok, N}
    catch
        throw:{write, Reason} -> {error, Reason}
    end.

write('$end_of_table', _Device, _Fun, N) ->
    N;
write({Objects, Continuation}, Device, Fun, N) ->
    put_terms(Device, [readable(Object) || Object <- Objects]),
    Written = N + length(Objects),
    ok = Fun(Written),
    write(bets:select(Continuation), Device, Fun, Written).

put_terms(Device, Terms) ->
    Text = [io_lib:format("~0tp.~n", [Term]) || Term <- Terms],
    Written =
        case Device of
            standard_io -> io:put_chars(Device, Text);
            _File -> file:write(Device, unicode:characters_to_binary(Text))
        end,
    case Written of
        ok -> ok;
        {error, Reason} -> throw({write, Reason})
    end.

readable(Object) ->
    case is_readable(Object) of
        true -> Object;
        false -> {'$external', binary_to_list(base64:encode(term_to_binary(Object)))}
    end.

is_readable({'$external', _}) -> false;
is_readable(Term) -> is_text(Term).

is_text(Term) when is_pid(Term); is_port(Term); is_reference(Term); is_function(Term) -> false;
is_text([Head | Tail]) -> is_text(Head) andalso is_text(Tail);
is_text(Term) when is_tuple(Term) -> lists:all(fun is_text/1, tuple_to_list(Term));
is_text(Term) when is_map(Term) -> lists:all(fun is_text/1, maps:to_list(Term));
is_text(_Term) -> true.

%% The options of the table that the file was written from, and the line where it goes on.
-spec header(io:device()) -> {ok, header(), Line :: pos_integer()} | {error, term()}.
header(Device) ->
    case next(Device, 1) of
        {ok, {bets_dump, ?VERSION, Header}, Line} when is_list(Header) -> {ok, Header, Line};
        {ok, {bets_dump, Version, _}, _Line} -> {error, {newer_dump, Version}};
        {error, _} = Error -> Error;
        _ -> {error, not_a_dump}
    end.

%% Reads the objects behind the header, from this line on, and hands them to `Insert', some at a time; `Fun' is called with the number of those handed on. Gives
%% their number.
-spec read(io:device(), pos_integer(), fun(([tuple()]) -> ok), fun((non_neg_integer()) -> ok)) ->
    {ok, non_neg_integer()} | {error, term()}.
read(Device, Start, Insert, Fun) ->
    case next(Device, Start) of
        {ok, First, Line} -> read(Device, Line, First, Insert, Fun, [], 0);
        eof -> {error, {cut_dump, 0}};
        Error -> Error
    end.

%% The term that was read last is held back: the last one of all is no object.
read(Device, Start, Held, Insert, Fun, Batch, N) ->
    case {next(Device, Start), object(Held)} of
        {{ok, Next, Line}, {ok, Object}} when (N + 1) rem ?BATCH =:= 0 ->
            ok = Insert(lists:reverse(Batch, [Object])),
            ok = Fun(N + 1),
            read(Device, Line, Next, Insert, Fun, [], N + 1);
        {{ok, Next, Line}, {ok, Object}} ->
            read(Device, Line, Next, Insert, Fun, [Object | Batch], N + 1);
        {End, _} ->
            ok = Insert(lists:reverse(Batch)),
            ended(End, Held, N)
    end.

ended(eof, {bets_dump_end, N}, N) -> {ok, N};
ended(eof, {bets_dump_end, Expected}, N) -> {error, {source_count, Expected, N}};
ended(eof, _Held, N) -> {error, {cut_dump, N}};
ended({ok, _Next, _Line}, Held, _N) -> {error, {bad_object, Held}};
ended({error, _} = Error, _Held, _N) -> Error.

next(Device, Start) ->
    case io:read(Device, '', Start) of
        {ok, Term, Line} -> {ok, Term, Line};
        {eof, _Line} -> eof;
        eof -> eof;
        {error, {Line, _Module, _Description}, _End} -> {error, {not_a_term, Line}};
        {error, Reason} -> {error, Reason}
    end.

object({'$external', Base64}) ->
    try binary_to_term(base64:decode(Base64)) of
        Object when is_tuple(Object) -> {ok, Object};
        _ -> error
    catch
        error:_ -> error
    end;
object(Object) when is_tuple(Object) -> {ok, Object};
object(_Term) -> error.
