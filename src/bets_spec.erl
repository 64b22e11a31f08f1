%% @private
%% What can be told from a match specification by looking at it: which keys it wants, what the bytes of its objects have to be.
%%
%% `ets:match_spec_run/2', or `bets_plain', has the last word, so whatever is in doubt here counts as wanted. But what a filter of one clause says of the size of objects
%% and, by order, of keys beside atoms and bitstrings must be all that there is to say: in the order of keys `bets_plain:without/3' does not ask that again.
-module(bets_spec).

-export([compile/1, filter/2, is_constant_atom/1, keeps_key/3, keys/2, mark/1, prefix/2]).

-export_type([filter/0, prefix/0, spec/0]).

-type spec() :: [tuple()].
-type filter() :: [{Arity :: non_neg_integer(), [{Position :: pos_integer(), Op :: atom(), Constant :: term()}]}].
%% Clauses one of which an object has to pass, as `bets_nif:select/4' takes them. Empty: all objects are wanted.

-type prefix() :: [{tuple, Arity :: non_neg_integer()} | cons | {term, term()}].
%% How the wanted keys begin: the parts of a key in order.

%% Constants beyond this size in bytes are not looked for in the bytes of objects.
-define(CONSTANT_MAX, 1024).

-define(IS_INT64(N), (is_integer(N) andalso N >= -(1 bsl 63) andalso N < (1 bsl 63))).

-spec compile(term()) -> {ok, ets:comp_match_spec()} | {badarg | system_limit, none}.
compile(Spec) ->
    try ets:match_spec_compile(Spec) of
        Compiled -> {ok, Compiled}
    catch
        error:Reason when Reason =:= badarg; Reason =:= system_limit -> {Reason, none}
    end.

%% The keys of all objects that can match, or `all' if they cannot be told.
-spec keys(spec(), pos_integer()) -> all | [bets:key()].
keys(Spec, Keypos) ->
    keys(Spec, Keypos, []).

keys([{Pattern, _, _} | Clauses], Keypos, Keys) ->
    case key(Pattern, Keypos) of
        none ->
            keys(Clauses, Keypos, Keys);
        all ->
            all;
        {key, Key} ->
            case is_bound(Key) of
                true -> keys(Clauses, Keypos, [Key | Keys]);
                false -> all
            end
    end;
keys([], _Keypos, [_, _ | _] = Keys) ->
    %% Whether two of them are one key of the table is not known here.
    case lists:any(fun bets_key:has_zero/1, Keys) of
        true -> all;
        false -> Keys
    end;
keys([], _Keypos, Keys) ->
    Keys.

key(Pattern, Keypos) when tuple_size(Pattern) >= Keypos ->
    {key, element(Keypos, Pattern)};
key(Pattern, _Keypos) when is_atom(Pattern) ->
    case is_constant_atom(Pattern) of
        true -> none;
        false -> all
    end;
key(_Pattern, _Keypos) ->
    none.

%% Whether a pattern for a key stands for this one key.
is_bound(Atom) when is_atom(Atom) ->
    is_constant_atom(Atom);
is_bound([Head | Tail]) ->
    is_bound(Head) andalso is_bound(Tail);
is_bound(Tuple) when is_tuple(Tuple) ->
    is_bound(tuple_to_list(Tuple));
is_bound(Map) when is_map(Map) ->
    maps_are_bound() andalso is_bound(maps:to_list(Map));
is_bound(_Term) ->
    true.

%% Up to OTP 25 a map as the pattern of a key is that key; later it stands for all maps that have its pairs.
maps_are_bound() ->
    case persistent_term:get({?MODULE, maps_are_bound}, unknown) of
        unknown ->
            Tab = ets:new(?MODULE, []),
            true = ets:insert(Tab, {#{a => 1}}),
            Bound = ets:match_object(Tab, {#{}}) =:= [],
            true = ets:delete(Tab),
            ok = persistent_term:put({?MODULE, maps_are_bound}, Bound),
            Bound;
        Bound ->
            Bound
    end.

%% Atoms that mean something in a specification are told by their looks, `$_' and `$01' included.
-spec is_constant_atom(atom()) -> boolean().
is_constant_atom('_') ->
    false;
is_constant_atom(Atom) ->
    case atom_to_list(Atom) of
        [$$ | Rest] -> lists:any(fun(C) -> (C < $0 orelse C > $9) andalso C =/= $_ andalso C =/= $$ end, Rest);
        _ -> true
    end.

%% For tables in the order of their keys, if one clause alone can match.
-spec prefix(spec(), pos_integer()) -> prefix().
prefix(Spec, Keypos) ->
    case [Key || {Pattern, _, _} <- Spec, Key <- [key(Pattern, Keypos)], Key =/= none] of
        [{key, Key}] -> parts([Key], []);
        _ -> []
    end.

parts([Term | Rest], Parts) ->
    case is_plain(Term) of
        true -> parts(Rest, [{term, Term} | Parts]);
        false when is_tuple(Term) -> parts(tuple_to_list(Term) ++ Rest, [{tuple, tuple_size(Term)} | Parts]);
        false when is_list(Term) -> parts([hd(Term), tl(Term) | Rest], [cons | Parts]);
        false -> lists:reverse(Parts)
    end;
parts([], Parts) ->
    lists:reverse(Parts).

%% Constants of which terms that are equal have the same bytes.
is_plain(Atom) when is_atom(Atom) -> is_constant_atom(Atom);
is_plain(Float) when is_float(Float) -> Float /= 0;
is_plain([Head | Tail]) -> is_plain(Head) andalso is_plain(Tail);
is_plain(Tuple) when is_tuple(Tuple) -> is_plain(tuple_to_list(Tuple));
is_plain(Term) -> is_integer(Term) orelse is_bitstring(Term) orelse Term =:= [].

%% The filter of a specification that compiles.
-spec filter(spec(), pos_integer()) -> filter().
filter(Spec, Keypos) ->
    Clauses = [clause(Clause, Keypos) || {Pattern, _, _} = Clause <- Spec, key(Pattern, Keypos) =/= none],
    case lists:member({0, []}, Clauses) of
        true -> [];
        false -> Clauses
    end.

clause({Pattern, Guards, _Body}, Keypos) when is_tuple(Pattern) ->
    Elements = lists:zip(lists:seq(1, tuple_size(Pattern)), tuple_to_list(Pattern)),
    Constants = [{Position, '=:=', Term} || {Position, Term} <- Elements, is_testable(Term)],
    %% A variable that stands at several positions has one value.
    Variables = maps:from_list([{Term, Position} || {Position, Term} <- Elements, is_variable(Term)]),
    {tuple_size(Pattern), lists:keysort(1, Constants ++ tests(Guards, Variables, Keypos))};
clause({Pattern, Guards, _Body}, Keypos) ->
    Variables = maps:from_list([{Pattern, object} || is_variable(Pattern)]),
    {0, lists:keysort(1, tests(Guards, Variables, Keypos))}.

%% What a pattern gives a name to. In guards `_' is an atom like others, and `$_' and `$$' are not what stands in a pattern under these names.
is_variable(Atom) when is_atom(Atom) ->
    case atom_to_list(Atom) of
        [$$ | [_ | _] = Digits] -> lists:all(fun(C) -> C >= $0 andalso C =< $9 end, Digits);
        _ -> false
    end;
is_variable(_Term) ->
    false.

%% All guards have to be true, so those that say nothing here are left out.
tests(Guards, Variables, Keypos) ->
    lists:flatmap(fun(Guard) -> test(Guard, Variables, Keypos) end, Guards).

test(Guard, Variables, Keypos) when
    tuple_size(Guard) > 1, element(1, Guard) =:= 'andalso';
    tuple_size(Guard) > 1, element(1, Guard) =:= 'and'
->
    tests(tl(tuple_to_list(Guard)), Variables, Keypos);
test({Op, Left, Right}, Variables, Keypos) when is_atom(Op) ->
    case {position(Left, Variables), constant(Right), position(Right, Variables), constant(Left)} of
        {Position, {ok, Constant}, _, _} when is_integer(Position) -> compare(Position, Op, Constant, Keypos);
        {_, _, Position, {ok, Constant}} when is_integer(Position) -> compare(Position, turned(Op), Constant, Keypos);
        _ -> []
    end;
test(_Guard, _Variables, _Keypos) ->
    [].

%% Where in the object a term of a guard stands.
position({element, Position, Object}, Variables) when is_integer(Position), Position > 0 ->
    case Object =:= '$_' orelse maps:get(Object, Variables, none) =:= object of
        true -> Position;
        false -> none
    end;
position(Term, Variables) when is_atom(Term) ->
    case is_constant_atom(Term) of
        true -> none;
        false -> maps:get(Term, Variables, none)
    end;
position(_Term, _Variables) ->
    none.

constant({const, Term}) -> testable(Term);
constant(Term) when is_number(Term); is_bitstring(Term); is_atom(Term) -> testable(Term);
constant(_Term) -> none.

testable(Term) ->
    case is_testable(Term) of
        true -> {ok, Term};
        false -> none
    end.

is_testable(Term) ->
    is_plain(Term) andalso (is_atom(Term) orelse is_integer(Term) orelse erlang:external_size(Term) =< ?CONSTANT_MAX).

turned('<') -> '>';
turned('=<') -> '>=';
turned('>') -> '<';
turned('>=') -> '=<';
turned(Op) -> Op.

compare(Position, '=:=', Constant, _Keypos) ->
    [{Position, '=:=', Constant}];
compare(Position, Op, Constant, _Keypos) when ?IS_INT64(Constant) ->
    case Op of
        '=/=' -> [{Position, '/=', Constant}];
        _ -> [{Position, Op, Constant} || lists:member(Op, ['<', '=<', '>', '>=', '==', '/='])]
    end;
compare(Position, '==', Constant, _Keypos) when is_atom(Constant); is_bitstring(Constant) ->
    [{Position, '==', Constant}];
compare(Keypos, Op, Constant, Keypos) when is_atom(Constant); is_bitstring(Constant) ->
    [{Keypos, Op, Constant} || lists:member(Op, ['<', '=<', '>', '>='])];
compare(_Position, _Op, _Constant, _Keypos) ->
    [].

%% The specification with each result in a pair behind the object that it is of.
-spec mark(spec()) -> spec().
mark(Spec) ->
    [{Pattern, Guards, mark_last(Body)} || {Pattern, Guards, Body} <- Spec].

mark_last([Last]) -> [{{'$_', Last}}];
mark_last([Term | Terms]) -> [Term | mark_last(Terms)].

%% Whether `ets' takes the specification for `select_replace/2': it looks at it before it looks at any object.
-spec keeps_key(spec(), bets:type(), pos_integer()) -> boolean().
keeps_key(Spec, Type, Keypos) ->
    Tab = ets:new(?MODULE, [Type, private, {keypos, Keypos}]),
    try ets:select_replace(Tab, Spec) of
        0 -> true
    catch
        error:badarg -> false
    after
        ets:delete(Tab)
    end.
