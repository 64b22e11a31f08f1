%% @private
%% The functions of a table that take patterns and match specifications, and only read.
%%
%% A table is read in steps. Objects that the bytes alone rule out are not decoded; on the others, the specification as `ets'
%% compiled it, or a plain one as it is, is run in the calling process. A continuation has a shape of those that ets uses, so that `ets' and `bets' repair it
%% alike:
%% ```
%% {Tab, 0, Limit, Compiled, [Last, Filter | Results], 1}              in the order of hashes
%% {Tab, -1, Limit, Compiled, Results, 1}                              nothing but results is left
%% {Tab, LastKey, [], Limit, Compiled, [Filter, Prefix], Backward, 0}  in the order of keys
%% '''
%% `Last' is `[Key]', or `[Key, Seq]' where a step ended among many objects of a key. `Results' are those of objects with the same key as the last one that was given.
-module(bets_match).

-export([all/3, all/4, chunk/4, count/2, fold/3, next/1, query/4, table/1]).

-export_type([failure/0, query/0]).

%% So many objects are asked for at a time. A step ends earlier when it takes long.
-define(OBJECTS_MAX, 500).

-define(IS_LIMIT(Limit), (is_integer(Limit) andalso Limit > 0 andalso Limit < (1 bsl 59))).

-record(query, {
    tab :: reference(),
    order :: hash | keys,
    keypos :: pos_integer(),
    direction :: forward | backward,
    compiled :: none | ets:comp_match_spec(),
    plan = none :: none | bets_plain:plan(),
    keys :: all | [bets:key()],
    filter :: bets_spec:filter(),
    prefix :: bets_spec:prefix()
}).

-opaque query() :: #query{}.

-type failure() :: bets_errors:failure().

%% All results, in the table's order.
-spec all(bets:table(), term(), forward | backward) -> {ok, [term()]} | failure().
all(Tab, Spec, Direction) ->
    case bets_bound:results(Tab, Spec) of
        none -> all(Tab, Spec, Direction, filter);
        Results -> {ok, Results}
    end.

%% Without filters every object is decoded: the result is the same.
-spec all(bets:table(), term(), forward | backward, filter | no_filter) -> {ok, [term()]} | failure().
all(Tab, Spec, Direction, Filters) ->
    case once(Tab, Spec, Direction) of
        {ok, Query} when Filters =:= filter -> collected(Query);
        {ok, Query} -> collected(Query#query{filter = [], prefix = [], plan = bets_plain:plan(Spec)});
        Failure -> Failure
    end.

collected(Query) ->
    case fold(Query, fun(Objects, Acc) -> {ok, results(Objects, Query, Acc)} end, []) of
        {ok, Results} -> {ok, lists:reverse(Results)};
        Failure -> Failure
    end.

%% How many results are `true'.
-spec count(bets:table(), term()) -> {ok, non_neg_integer()} | failure().
count(Tab, Spec) ->
    case bets_bound:results(Tab, Spec) of
        none -> count_all(Tab, Spec);
        Results -> {ok, count_true(Results, 0)}
    end.

count_all(Tab, Spec) ->
    case once(Tab, Spec, forward) of
        {ok, Query} -> fold(Query, fun(Objects, Count) -> {ok, count_true(results(Objects, Query, []), Count)} end, 0);
        Failure -> Failure
    end.

count_true([true | Results], Count) -> count_true(Results, Count + 1);
count_true([_ | Results], Count) -> count_true(Results, Count);
count_true([], Count) -> Count.

%% The first results, at most `Limit', and how to go on.
-spec chunk(bets:table(), term(), forward | backward, term()) ->
    {ok, {[term()], term()} | '$end_of_table'} | failure().
chunk(Tab, Spec, Direction, Limit) ->
    case query(Tab, read, Spec, Direction) of
        {ok, _Query} when not ?IS_LIMIT(Limit) -> {badarg, none};
        {ok, #query{keys = all} = Query} -> gather(planned(Query, bets_plain:plan(Spec)), start, Limit, Limit, []);
        {ok, Query} -> few(Query, Limit);
        Failure -> Failure
    end.

few(#query{order = Order} = Query, Limit) ->
    case collected(Query) of
        {ok, Results} when Order =:= keys, length(Results) > Limit ->
            %% Only a place in the order of the keys can be kept.
            gather(Query#query{keys = all}, start, Limit, Limit, []);
        {ok, Results} ->
            {ok, given(Query, Limit, Results)};
        Failure ->
            Failure
    end.

given(_Query, _Limit, []) ->
    '$end_of_table';
given(#query{tab = Tab, compiled = Compiled}, Limit, Results) ->
    case length(Results) > Limit of
        true ->
            {Now, Later} = lists:split(Limit, Results),
            {Now, {Tab, -1, Limit, Compiled, Later, 1}};
        false ->
            {Results, '$end_of_table'}
    end.

%% What a continuation gives, and how to go on.
-spec next(term()) -> {ok, {[term()], term()} | '$end_of_table'} | failure().
next('$end_of_table') ->
    {ok, '$end_of_table'};
next(Continuation) when is_tuple(Continuation), tuple_size(Continuation) > 0 ->
    case bets_nif:describe(element(1, Continuation), read) of
        {Tab, Type, Keypos} -> resume(base(Tab, Type, Keypos), Continuation);
        Failure -> Failure
    end;
next(_Continuation) ->
    {badarg, none}.

resume(Base, {_, -1, Limit, Compiled, Results, _}) when
    Base#query.order =:= hash, ?IS_LIMIT(Limit), is_list(Results)
->
    checked(Base#query{compiled = Compiled, keys = []}, fun(Query) -> {ok, given(Query, Limit, Results)} end);
resume(Base, {_, 0, Limit, Compiled, [[_ | _] = From, Filter | Results], _}) when
    Base#query.order =:= hash, ?IS_LIMIT(Limit), is_list(Filter)
->
    checked(Base#query{compiled = Compiled, filter = Filter}, fun(Query) -> left_over(Query, From, Limit, Results) end);
resume(Base, {_, Key, [], Limit, Compiled, [Filter, Prefix], Backward, _}) when
    Base#query.order =:= keys, ?IS_LIMIT(Limit), is_list(Filter), is_list(Prefix)
->
    Direction = case Backward of 0 -> forward; _ -> backward end,
    Resumed = Base#query{compiled = Compiled, filter = Filter, prefix = Prefix, direction = Direction},
    checked(Resumed, fun(Query) -> gather(Query, [Key], Limit, Limit, []) end);
resume(_Base, _Continuation) ->
    {badarg, none}.

checked(#query{compiled = Compiled} = Query, Fun) ->
    case ets:is_compiled_ms(Compiled) of
        true -> Fun(Query);
        false -> {badarg, none}
    end.

left_over(Query, From, Limit, Results) when length(Results) < Limit ->
    gather(Query, From, Limit, Limit - length(Results), lists:reverse(Results));
left_over(Query, From, Limit, Results) ->
    {Now, Later} = lists:split(Limit, Results),
    {ok, {Now, continuation(Query, Limit, From, Later)}}.

%% `Missing' results are wanted behind those of `Acc', which has the last one first.
gather(Query, From, Limit, Missing, Acc) ->
    gather(Query, From, Limit, Missing, Acc, min(Missing, ?OBJECTS_MAX)).

%% Asking for no more objects than results are missing, nothing has to be given back. Where few objects match, more are asked for.
gather(Query, From, Limit, Missing, Acc, Asked) ->
    case step(Query, From, Asked) of
        {Objects, Place} when is_list(Objects) ->
            Results = results(Objects, Query, []),
            gathered(Query, Limit, Missing, Acc, Asked, {Objects, Results, Place});
        Failure ->
            Failure
    end.

gathered(Query, Limit, Missing, Acc, Asked, {Objects, Results, Place}) ->
    case length(Results) of
        0 when Place =/= done ->
            gather(Query, Place, Limit, Missing, Acc, min(2 * Asked, ?OBJECTS_MAX));
        Count when Count < Missing, Place =:= done ->
            {ok, last(lists:reverse(Acc, lists:reverse(Results)))};
        Count when Count < Missing ->
            gather(Query, Place, Limit, Missing - Count, Results ++ Acc);
        Count when Count =:= Missing, Place =/= done ->
            {ok, {lists:reverse(Acc, lists:reverse(Results)), continuation(Query, Limit, Place, [])}};
        _ ->
            {Given, Key, Later} = cut(lists:reverse(Objects), Missing, Query, Acc),
            {ok, {Given, continuation(Query, Limit, behind(Key, Place), Later)}}
    end.

last([]) -> '$end_of_table';
last(Results) -> {Results, '$end_of_table'}.

%% The results up to the one that was missing last, and the others of the same key.
cut([Object | Objects], Missing, #query{tab = Tab, compiled = Compiled, keypos = Keypos} = Query, Acc) ->
    case ets:match_spec_run([Object], Compiled) of
        [] ->
            cut(Objects, Missing, Query, Acc);
        [Result] when Missing > 1 ->
            cut(Objects, Missing - 1, Query, [Result | Acc]);
        [Result] ->
            Key = element(Keypos, Object),
            Same = lists:takewhile(fun(Next) -> bets_key:same(Tab, element(Keypos, Next), Key) end, Objects),
            {lists:reverse(Acc, [Result]), Key, ets:match_spec_run(Same, Compiled)}
    end.

%% A step may have ended inside the key.
behind(Key, [Key, _Seq] = Place) -> Place;
behind(Key, _Place) -> [Key].

continuation(#query{tab = Tab, order = hash, compiled = Compiled, filter = Filter}, Limit, From, Later) ->
    {Tab, 0, Limit, Compiled, [From, Filter | Later], 1};
continuation(#query{order = keys, compiled = Compiled} = Query, Limit, [Key], []) ->
    #query{tab = Tab, filter = Filter, prefix = Prefix, direction = Direction} = Query,
    Backward = case Direction of forward -> 0; backward -> 1 end,
    {Tab, Key, [], Limit, Compiled, [Filter, Prefix], Backward, 0}.

%% The results of these objects in front of others.
results(Objects, #query{plan = none, compiled = Compiled}, Others) -> ets:match_spec_run(Objects, Compiled) ++ Others;
results(Objects, #query{plan = Plan}, Others) -> bets_plain:results(Objects, Plan, Others).

%% Calls `Fun' with the objects that may match, in lists that have the last object first.
-spec fold(query(), fun(([tuple()], Acc) -> {ok, Acc} | Failure), Acc) -> {ok, Acc} | Failure | bets_errors:failure().
fold(#query{keys = all} = Query, Fun, Acc) ->
    fold(Query, start, Fun, Acc);
fold(#query{keys = []}, _Fun, Acc) ->
    {ok, Acc};
fold(#query{tab = Tab, keys = [Key | Keys]} = Query, Fun, Acc) ->
    case bets_nif:lookup(Tab, Key) of
        Objects when is_list(Objects) ->
            case Fun(lists:reverse(Objects), Acc) of
                {ok, Acc1} -> fold(Query#query{keys = Keys}, Fun, Acc1);
                Failure -> Failure
            end;
        Failure ->
            Failure
    end.

fold(Query, From, Fun, Acc) ->
    case step(Query, From, ?OBJECTS_MAX) of
        {Objects, Place} when is_list(Objects) ->
            case Fun(Objects, Acc) of
                {ok, Acc1} when Place =:= done -> {ok, Acc1};
                {ok, Acc1} -> fold(Query, Place, Fun, Acc1);
                Failure -> Failure
            end;
        Failure ->
            Failure
    end.

%% What is given whole may share memory; else what is kept of it would keep the rest.
step(#query{plan = Plan, tab = Tab, direction = Direction, prefix = Prefix, filter = Filter}, From, Objects) ->
    bets_nif:select(Tab, {Direction, From, Prefix}, Objects, Filter, Plan =/= none andalso bets_plain:gives_all(Plan)).

%% The identifier of the table that a query is about.
-spec table(query()) -> reference().
table(#query{tab = Tab}) -> Tab.

%% What is asked of a table in one go, without a continuation, which would need the compiled specification.
once(Tab, Spec, Direction) ->
    case bets_plain:plan(Spec) of
        none ->
            query(Tab, read, Spec, Direction);
        Plan ->
            case bets_nif:describe(Tab, read) of
                {Id, Type, Keypos} -> {ok, planned(query(Id, Type, Keypos, Spec, Direction, none), Plan)};
                Failure -> Failure
            end
    end.

%% What is asked of a table: rights first, then the specification, as in ets.
-spec query(bets:table(), read | write, term(), forward | backward) -> {ok, query()} | failure().
query(Tab, Need, Spec, Direction) ->
    case bets_nif:describe(Tab, Need) of
        {Id, Type, Keypos} ->
            case bets_spec:compile(clauses(Spec)) of
                {ok, Compiled} -> {ok, query(Id, Type, Keypos, Spec, Direction, Compiled)};
                Failure -> Failure
            end;
        Failure ->
            Failure
    end.

%% Without clauses nothing matches, which ets takes here but does not compile.
clauses([]) -> [{{}, [false], [false]}];
clauses(Spec) -> Spec.

query(Tab, Type, Keypos, Spec, Direction, Compiled) ->
    Base = (base(Tab, Type, Keypos))#query{compiled = Compiled, direction = Direction},
    case bets_spec:keys(Spec, Keypos) of
        all when Type =:= ordered_set ->
            Base#query{filter = bets_spec:filter(Spec, Keypos), prefix = bets_spec:prefix(Spec, Keypos)};
        all ->
            Base#query{filter = bets_spec:filter(Spec, Keypos)};
        Keys ->
            Base#query{keys = in_order(Keys, Base#query.order, Direction)}
    end.

%% An object is met only if it has the size of the one clause, and in the order of keys if the tests that are about its key take it.
planned(#query{order = Order, keypos = Keypos, filter = [{_Size, Tests}]} = Query, Plan) when Plan =/= none ->
    Passed = case Order of keys -> Tests; hash -> [] end,
    Query#query{plan = bets_plain:without(Plan, Keypos, Passed)};
planned(Query, Plan) ->
    Query#query{plan = Plan}.

%% What a continuation does not have.
base(Tab, Type, Keypos) ->
    #query{
        tab = Tab,
        order = order(Type),
        keypos = Keypos,
        direction = forward,
        compiled = none,
        keys = all,
        filter = [],
        prefix = []
    }.

order(ordered_set) -> keys;
order(_Type) -> hash.

%% The results are built from the last one on.
in_order([_] = Keys, _Order, _Direction) -> Keys;
in_order(Keys, keys, forward) -> lists:usort(fun(A, B) -> A =< B end, Keys);
in_order(Keys, keys, backward) -> lists:reverse(in_order(Keys, keys, forward));
in_order(Keys, hash, _Direction) -> maps:keys(maps:from_keys(Keys, [])).
