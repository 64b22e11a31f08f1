%% @private
%% Specifications of one clause that names a key: what costs about a lookup has no time for being analysed.
%%
%% The key's objects come with one call. The commonest specifications (the key, variables or `_', no guard, one variable or the whole as
%% result) say by their looks that they compile and what they give, so they are not compiled either. For all that is not sure the answer is
%% `none', and who asked goes the long way: there, errors come in the order that ets has for them.
-module(bets_bound).

-export([results/2]).

%% The results of the specification on the objects of its key.
-spec results(bets:table(), term()) -> [term()] | none.
results(Tab, [{Pattern, Guards, Body}] = Spec) when is_tuple(Pattern) ->
    case bets_nif:lookup_pattern(Tab, Pattern) of
        [Keypos | Objects] -> of_objects(Objects, Keypos, Pattern, Guards, Body, Spec);
        _ -> none
    end;
results(_Tab, _Spec) ->
    none.

of_objects(Objects, Keypos, Pattern, [], [Result], Spec) ->
    Key = element(Keypos, Pattern),
    %% Of these keys, those that are the same have one look, unlike floats.
    case (is_integer(Key) orelse is_binary(Key) orelse is_atom(Key)) andalso
        wanted(Result, variables(tuple_size(Pattern), Keypos, Pattern, []))
    of
        false -> compiled(Objects, Spec);
        Wanted -> taken(Objects, tuple_size(Pattern), Keypos, Key, Wanted)
    end;
of_objects(Objects, _Keypos, _Pattern, _Guards, _Body, Spec) ->
    compiled(Objects, Spec).

compiled(Objects, Spec) ->
    case bets_spec:compile(Spec) of
        {ok, Compiled} -> ets:match_spec_run(Objects, Compiled);
        _Failure -> none
    end.

%% The variables of a pattern with their positions, or `false' if it has other terms beside the key, or one of them twice.
variables(0, _Keypos, _Pattern, Variables) ->
    Variables;
variables(Keypos, Keypos, Pattern, Variables) ->
    variables(Keypos - 1, Keypos, Pattern, Variables);
variables(Position, Keypos, Pattern, Variables) ->
    case element(Position, Pattern) of
        '_' ->
            variables(Position - 1, Keypos, Pattern, Variables);
        Term ->
            case is_variable(Term) andalso not lists:keymember(Term, 1, Variables) of
                true -> variables(Position - 1, Keypos, Pattern, [{Term, Position} | Variables]);
                false -> false
            end
    end.

%% Those whose order as atoms is that of their numbers.
is_variable('$1') -> true;
is_variable('$2') -> true;
is_variable('$3') -> true;
is_variable('$4') -> true;
is_variable('$5') -> true;
is_variable('$6') -> true;
is_variable('$7') -> true;
is_variable('$8') -> true;
is_variable('$9') -> true;
is_variable(_) -> false.

%% What to take of an object: all of it, an element, a list of elements.
wanted(_Result, false) ->
    false;
wanted('$_', _Variables) ->
    object;
wanted('$$', [{_, Position}]) ->
    [Position];
wanted('$$', Variables) ->
    [Position || {_, Position} <- lists:keysort(1, Variables)];
wanted(Result, Variables) ->
    case lists:keyfind(Result, 1, Variables) of
        {_, Position} -> Position;
        false -> false
    end.

%% In an `ordered_set' a key is found by what is `==' to it.
taken([Object | Objects], Size, Keypos, Key, Wanted) when tuple_size(Object) =:= Size, element(Keypos, Object) =:= Key ->
    [take(Wanted, Object) | taken(Objects, Size, Keypos, Key, Wanted)];
taken([_ | Objects], Size, Keypos, Key, Wanted) ->
    taken(Objects, Size, Keypos, Key, Wanted);
taken([], _Size, _Keypos, _Key, _Wanted) ->
    [].

take(object, Object) -> Object;
take(Position, Object) when is_integer(Position) -> element(Position, Object);
take(Positions, Object) -> [element(Position, Object) || Position <- Positions].
