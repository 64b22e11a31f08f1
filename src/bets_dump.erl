%% @private
%% Objects as text: a file of Erlang terms, one on a line, which `file:consult/1' reads too.
%%
%% The first term is `{bets_dump, 2, Options}' with the table's `type', `keypos' and `name', the last one `{bets_dump_end, Objects}', without which
%% the file was cut. Between them stand the objects in the table's order. An object with a pid, a port, a reference or a fun, which cannot be read
%% as text, stands as `{'$external', Base64}', its external term format; so does one that looks like that. An object that
%% expires stands as `{'$expires', Deadline, Object}', in milliseconds since 1970.
-module(bets_dump).

-export([write/3, header/1, read/4]).

-export_type([header/0]).

-type header() :: [{type, bets:type()} | {keypos, pos_integer()} | {name, atom()}].

-define(VERSION, 2).
-define(BATCH, 1000).

%% Writes all objects; `Fun' is called with the number of those written after each batch.
-spec write(bets:table(), io:device(), fun((non_neg_integer()) -> ok)) -> {ok, non_neg_integer()} | {error, term()}.
write(Tab, Device, Fun) ->
    Header = [{Item, bets:info(Tab, Item)} || Item <- [type, keypos, name]],
    try
        put_terms(Device, [{bets_dump, ?VERSION, Header}]),
        Keypos = bets:info(Tab, keypos),
        N = write(bets:select(Tab, [{'_', [], ['$_']}], ?BATCH), Device, Fun, {Tab, Keypos, none}, 0),
        put_terms(Device, [{bets_dump_end, N}]),
        {ok, N}
    catch
        throw:{write, Reason} -> {error, Reason}
    end.

write('$end_of_table', _Device, _Fun, _Met, N) ->
    N;
write({Objects, Continuation}, Device, Fun, Met, N) ->
    {Terms, Next} = lists:mapfoldl(fun term/2, Met, Objects),
    put_terms(Device, Terms),
    Written = N + length(Objects),
    ok = Fun(Written),
    write(bets:select(Continuation), Device, Fun, Next, Written).

%% The objects of a key come one behind the other, so those whose deadlines are known and which did not come yet are kept.
term(Object, {Tab, Keypos, {Key, Pairs}}) when element(Keypos, Object) =:= Key ->
    {Deadline, Rest} = deadline(Object, Pairs),
    {expiring(readable(Object), Deadline), {Tab, Keypos, {Key, Rest}}};
term(Object, {Tab, Keypos, _}) ->
    Key = element(Keypos, Object),
    term(Object, {Tab, Keypos, {Key, pairs(Tab, Key)}}).

pairs(Tab, Key) ->
    [_Now | Deadlines] = bets_nif:ttl(Tab, Key),
    case lists:all(fun(Deadline) -> Deadline =:= infinity end, Deadlines) of
        true -> [];
        %% Some may have expired between the two calls, or have come.
        false -> pair(bets:lookup(Tab, Key), Deadlines)
    end.

pair([Object | Objects], [Deadline | Deadlines]) -> [{Object, Deadline} | pair(Objects, Deadlines)];
pair(_, _) -> [].

deadline(Object, [{Object, Deadline} | Rest]) -> {Deadline, Rest};
deadline(Object, [_Other | Rest]) -> deadline(Object, Rest);
deadline(_Object, []) -> {infinity, []}.

expiring(Term, infinity) -> Term;
expiring(Term, Deadline) -> {'$expires', Deadline, Term}.

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
is_readable({'$expires', _, _}) -> false;
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
        {ok, {bets_dump, Version, Header}, Line} when is_list(Header), Version >= 1, Version =< ?VERSION ->
            {ok, Header, Line};
        {ok, {bets_dump, Version, _}, _Line} -> {error, {newer_dump, Version}};
        {error, _} = Error -> Error;
        _ -> {error, not_a_dump}
    end.

%% Reads the objects behind the header, from this line on, and hands them to `Insert', some at a time, with when they expire, or `infinity'; `Fun' is called with the number of those handed on. Gives
%% their number.
-spec read(io:device(), pos_integer(), fun(([tuple()], non_neg_integer() | infinity) -> ok), fun((non_neg_integer()) -> ok)) ->
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
        {{ok, Next, Line}, {ok, Object, Deadline}} ->
            %% In the order in which they stood: a key of a bag keeps that of its objects.
            ok = Insert(lists:reverse(Batch), infinity),
            ok = Insert([Object], Deadline),
            read(Device, Line, Next, Insert, Fun, [], N + 1);
        {{ok, Next, Line}, {ok, Object}} when (N + 1) rem ?BATCH =:= 0 ->
            ok = Insert(lists:reverse(Batch, [Object]), infinity),
            ok = Fun(N + 1),
            read(Device, Line, Next, Insert, Fun, [], N + 1);
        {{ok, Next, Line}, {ok, Object}} ->
            read(Device, Line, Next, Insert, Fun, [Object | Batch], N + 1);
        {End, _} ->
            ok = Insert(lists:reverse(Batch), infinity),
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

object({'$expires', Deadline, Term}) when is_integer(Deadline), Deadline >= 0 ->
    case object(Term) of
        {ok, Object} -> {ok, Object, Deadline};
        _ -> error
    end;
object({'$external', Base64}) ->
    try binary_to_term(base64:decode(Base64)) of
        Object when is_tuple(Object) -> {ok, Object};
        _ -> error
    catch
        error:_ -> error
    end;
object(Object) when is_tuple(Object) -> {ok, Object};
object(_Term) -> error.
