%% Random operation sequences, as PropEr types.
%%
%% A sequence is a map: how the table is made, and a list of at least `min_ops' operations on at most
%% 20 keys. An operation is one of
%%
%%   {call, F, Args}           the owner calls F(Tab, Args...)
%%   {other, F, Args}          so does a process that does not own the table
%%   {stale, F, Args}          the owner calls F on the identifier that the table had before it was
%%                             last opened
%%   {bad_table, Tab, F, Args} the owner calls F on something that is no table
%%   {walk, next | prev}       a whole traversal, from first/1 or last/1
%%   {reopen, How, Owner}      the table is closed (`close') or its owner dies (`owner_exit'); then
%%                             it is opened by the process that runs the sequence (`self') or by
%%                             another one (`helper')
%%   {merge, Steps}            a merge is begun, or the one under way is carried on, for so many steps
%%   kill                      the VM is killed, and the table is opened in a new one
-module(bets_diff_gen).

-export([sequence/1, is_change/1]).

-include_lib("proper/include/proper.hrl").

-type op() ::
    {call | other | stale, atom(), [term()]}
    | {bad_table, term(), atom(), [term()]}
    | {walk, next | prev}
    | {reopen, close | owner_exit, self | helper}
    | {merge, pos_integer()}
    | kill.
-type sequence() :: #{type := bets:type(), keypos := 1..3, name := atom() | {unnamed, atom()}, protection := atom(),
                      max_file_size := pos_integer(), sync := term(), ops := [op()]}.
-export_type([op/0, sequence/0]).

%% Options: `min_ops' and `max_ops', `kills' (the greatest number of kills; none if 0), `name' (an
%% atom that no other sequence of the run has), `max_keys', and `type' (`any' for one of all).
-spec sequence(map()) -> proper_types:type().
sequence(#{min_ops := Min, max_ops := Max, kills := Kills, name := Name, max_keys := MaxKeys, type := Type}) ->
    Universe = case Kills of 0 -> bets_diff_terms:all(); _ -> bets_diff_terms:portable() end,
    ?LET(TableType, case Type of any -> oneof([set, ordered_set, bag, duplicate_bag]); _ -> Type end,
    ?LET({KeyPos, Keys, IsNamed, Protection, FileSize, Sync, N, KillAt},
         {frequency([{4, 1}, {2, 2}, {1, 3}]), keys(key_universe(TableType, Universe), MaxKeys), boolean(),
          frequency([{3, public}, {2, protected}, {1, private}]), oneof([4096, 8192, 65536]),
          frequency([{6, none}, {3, {interval, 5}}, {1, always}]), range(Min, Max),
          kill_positions(Kills, Max)},
         ?LET(Ops, vector(N, op(KeyPos, Keys, Universe, Name)),
              #{type => TableType, keypos => KeyPos, protection => Protection, max_file_size => FileSize, sync => Sync,
                name => case IsNamed of true -> Name; false -> {unnamed, Name} end,
                ops => with_kills(Ops, KillAt)}))).

%% Of identifiers, `ets' orders those of this node among those of others by the node's name; bets does not know it.
key_universe(ordered_set, Universe) ->
    case lists:any(fun bets_diff_terms:is_local/1, Universe) of
        true -> [Term || Term <- Universe, not bets_diff_terms:is_far(Term)];
        false -> Universe
    end;
key_universe(_Type, Universe) ->
    Universe.

%% True if the operation may change what the table holds.
-spec is_change(op()) -> boolean().
is_change({Kind, F, _}) when Kind =:= call; Kind =:= other ->
    lists:member(F, [insert, insert_new, take, delete, delete_object, delete_found, delete_all_objects,
                     update_counter, update_element]);
is_change({stale, _, _}) ->
    %% The old identifier of a named table is its name.
    true;
is_change(_) ->
    false.

kill_positions(0, _Max) -> [];
kill_positions(Kills, Max) -> ?LET(N, range(1, Kills), vector(N, range(1, Max))).

with_kills(Ops, []) ->
    Ops;
with_kills(Ops, [At | Ats]) ->
    {Before, After} = lists:split(min(At, length(Ops)), Ops),
    with_kills(Before ++ [kill | After], Ats).

%% A run of neighbours in the universe, so that close relatives meet, and some from anywhere.
keys(Universe, MaxKeys) ->
    N = length(Universe),
    ?LET({Start, Len, Others}, {range(1, N), range(1, max(1, MaxKeys - 8)), vector(min(8, MaxKeys - 1), elements(Universe))},
         lists:usort(fun exactly_before/2, lists:sublist(Universe, Start, Len) ++ Others)).

exactly_before(A, B) -> bets_diff_terms:canonical(A) =< bets_diff_terms:canonical(B).

op(KeyPos, Keys, Universe, Name) ->
    Key = pick(list_to_tuple(Keys)),
    Value = value(list_to_tuple(Universe)),
    Object = object(KeyPos, Key, Value),
    Call = call(KeyPos, Key, Value, Object, Name),
    frequency([{78, ?LET({F, Args}, Call, {call, F, Args})},
               {6, ?LET({F, Args}, Call, {other, F, Args})},
               {2, ?LET({F, Args}, Call, {stale, F, Args})},
               {2, ?LET({Tab, {F, Args}}, {bad_table(), Call}, {bad_table, Tab, F, Args})},
               {4, {walk, oneof([next, prev])}},
               {6, {merge, oneof([1, 3, 10, 1000])}},
               {7, {reopen, oneof([close, owner_exit]), frequency([{4, self}, {1, helper}])}}]).

%% A table argument that names nothing. Atoms are checked for existence by both sides.
bad_table() ->
    oneof([no_such_table, 1, "table", <<"table">>, {a, table}, 1.5, []]).

call(KeyPos, Key, Value, Object, Name) ->
    BadObject = bad_object(KeyPos),
    Objects = frequency([{12, ?LET(N, range(0, 6), vector(N, Object))},
                         {2, ?LET({A, B, C}, {Object, BadObject, Object}, [A, B, C])},
                         {1, ?LET({A, B}, {Object, Object}, [A | B])}]),
    Position = frequency([{10, range(1, 5)}, {1, elements([0, -1, 1.0, a, 1 bsl 70])}]),
    frequency(
        [{12, {insert, [frequency([{12, Object}, {1, BadObject}])]}},
         {6, {insert, [Objects]}},
         {4, {insert_new, [frequency([{12, Object}, {1, BadObject}])]}},
         {4, {insert_new, [Objects]}},
         {8, {lookup, [Key]}},
         {4, {lookup_element, [Key, Position]}},
         {3, {lookup_element, [Key, Position, Value]}},
         {3, {member, [Key]}},
         {5, {take, [Key]}},
         {5, {delete, [Key]}},
         {4, {delete_object, [frequency([{12, Object}, {1, BadObject}])]}},
         {3, {delete_found, [Key]}},
         {1, {delete_all_objects, []}},
         {10, {update_counter, [Key, counter_spec(KeyPos)]}},
         {6, {update_counter, [Key, counter_spec(KeyPos), default_object(Object, BadObject)]}},
         {6, {update_element, [Key, element_spec(Value)]}},
         {3, {update_element, [Key, element_spec(Value), default_object(Object, BadObject)]}},
         {2, oneof([{first, []}, {last, []}, {first_lookup, []}, {last_lookup, []}])},
         {4, oneof([{next, [Key]}, {prev, [Key]}, {next_lookup, [Key]}, {prev_lookup, [Key]}])},
         {3, oneof([{tab2list, []}, {fold, [foldl]}, {fold, [foldr]}, {fold_throws, [foldl]}])},
         {3, {info, [elements([size, keypos, type, name, named_table, protection, owner, id, node, fixed,
                               no_such_item, 17])]}},
         {1, {info, []}},
         {1, {whereis, []}},
         {1, {all, []}},
         {1, {sync, []}},
         {2, {rename, [frequency([{6, oneof([Name, other_name(Name)])}, {1, elements([1, "name"])}])]}}]).

other_name(Name) -> list_to_atom(atom_to_list(Name) ++ "'").

object(KeyPos, Key, Value) ->
    ?LET({Before, K, After}, {vector(KeyPos - 1, Value), Key, ?LET(N, frequency([{1, 0}, {3, 1}, {3, 2}, {1, 3}]), vector(N, Value))},
         list_to_tuple(Before ++ [K | After])).

bad_object(1) -> elements([{}, [bad], bad, 1, <<"x">>, #{}]);
bad_object(KeyPos) -> elements([{}, [bad], bad, 1, <<"x">>, #{}, erlang:make_tuple(KeyPos - 1, short)]).

default_object(Object, BadObject) -> frequency([{10, Object}, {1, BadObject}]).

%% `elements/1' for terms of any size: PropEr looks through what it takes for a type.
pick(Terms) -> ?LET(N, range(1, tuple_size(Terms)), element(N, Terms)).

value(Universe) ->
    frequency([{6, range(-3, 9)},
               {2, pick(Universe)},
               {1, elements([1 bsl 59 - 1, 1 bsl 63, -(1 bsl 59), 1 bsl 64 - 1])},
               {1, ?LET(N, elements([0, 1, 63, 64, 65, 500, 3000]), binary:copy(<<"v">>, N))}]).

counter_spec(KeyPos) ->
    Op = counter_op(KeyPos),
    frequency([{6, increment()},
               {10, Op},
               {5, ?LET(N, range(0, 3), vector(N, Op))},
               {1, elements([bad, {1}, {}, [bad], 1.5, {2, a}, {2, 1, 2}, {2, 1, a, 0}, [{2, 1} | bad]])}]).

counter_op(KeyPos) ->
    Pos = frequency([{12, range(KeyPos + 1, KeyPos + 2)}, {2, range(0, 5)}]),
    oneof([{Pos, increment()},
           {Pos, increment(), frequency([{10, range(-4, 10)}, {1, elements([1.0, a])}]), increment()}]).

increment() ->
    frequency([{10, range(-4, 4)}, {2, elements([1 bsl 58, -(1 bsl 58), 1 bsl 62, 1 bsl 63, 1 bsl 64, -(1 bsl 65)])},
               {1, elements([1.0, a])}]).

element_spec(Value) ->
    One = {frequency([{12, range(1, 4)}, {1, elements([0, -1, a, 1 bsl 70])}]), Value},
    frequency([{8, One},
               {5, ?LET(N, range(0, 3), vector(N, One))},
               {1, elements([bad, {2}, {}, [bad], {2, a, b}, [{2, 1} | bad]])}]).
