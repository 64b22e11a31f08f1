%% What must stand in the table after a kill.
%%
%% For a writer whose Nth operation was the last to be acknowledged, its own keys must hold exactly what N
%% operations make or, the one in flight, N + 1. So an acknowledged write that is gone, a deleted object that is back, a value that
%% was never written and a list of which only a part is there are each a violation. Of the shared keys:
%% the counter lies between the counts of both cases, and the objects of the group are, to the last byte, those of one
%% operation, which is the last one on the group of its writer.
%%
%% Which of N and N + 1 it was is found out here, and is where the writer goes on. If both fit the own keys
%% (the operation in flight was `count' or a group, or changed nothing), the shared keys cannot tell either: it is written down as unknown, and the counter's
%% lower bound does not count it.
-module(bets_kill_check).

-export([new/2, check/3, ack_file/2, writers/1]).

-record(writer, {acked = 0 :: non_neg_integer(), model :: bets_kill_plan:model(), possible = 0 :: non_neg_integer(),
                 groups = [] :: [pos_integer()]}).
-opaque state() :: {Seed :: integer(), #{pos_integer() => #writer{}}}.
-export_type([state/0]).

-spec new(integer(), pos_integer()) -> state().
new(Seed, Writers) ->
    {Seed, maps:from_list([{W, #writer{model = bets_kill_plan:model()}} || W <- lists:seq(1, Writers)])}.

%% Each writer and the number of its next operation.
-spec writers(state()) -> [{pos_integer(), pos_integer()}].
writers({_Seed, Writers}) -> [{W, Acked + 1} || {W, #writer{acked = Acked}} <- maps:to_list(Writers)].

-spec ack_file(file:name_all(), pos_integer()) -> file:name_all().
ack_file(Dir, Writer) -> filename:join(Dir, "acks_" ++ integer_to_list(Writer)).

%% Checks what was found after a kill against the acknowledgements in `Dir'.
-spec check(file:name_all(), map(), state()) -> {ok, state()} | {violation, term()}.
check(Dir, #{objects := Objects, lost := Lost, size := Size}, {Seed, Writers}) ->
    Table = maps:from_list([{element(1, Object), Object} || Object <- Objects]),
    try
        Lost =:= [] orelse throw({a_fold_finds_what_lookup_does_not, Lost}),
        (map_size(Table) =:= length(Objects) andalso length(Objects) =:= Size) orelse throw({size, Size, length(Objects), map_size(Table)}),
        Known = [bets_kill_plan:counter() | bets_kill_plan:group()] ++ lists:append([bets_kill_plan:own_keys(W) || W <- maps:keys(Writers)]),
        maps:without(Known, Table) =:= #{} orelse throw({never_written, maps:without(Known, Table)}),
        Next = maps:map(fun(W, Writer) -> writer(Seed, W, last_ack(Dir, W), Writer, Table) end, Writers),
        counter(Table, maps:values(Next)),
        group(Seed, Table, Next),
        {ok, {Seed, Next}}
    catch
        throw:Violation -> {violation, Violation}
    end.

last_ack(Dir, W) ->
    case file:read_file(ack_file(Dir, W)) of
        {ok, Bytes} when byte_size(Bytes) >= 8 ->
            At = (byte_size(Bytes) div 8 - 1) * 8,
            <<_:At/binary, N:64, _/binary>> = Bytes,
            N;
        _ ->
            0
    end.

%% Nothing was acknowledged since the last check if the file's last number is one that is known.
writer(Seed, W, LastAck, #writer{acked = Known} = Writer, Table) ->
    Acked = max(LastAck, Known),
    Sure = lists:foldl(fun(N, Acc) -> applied(Seed, W, N, Acc) end, Writer, lists:seq(Known + 1, Acked)),
    Found = maps:with(bets_kill_plan:own_keys(W), Table),
    Done = applied(Seed, W, Acked + 1, Sure),
    case {own(Sure), own(Done)} of
        {Found, Found} -> uncertain(bets_kill_plan:op(Seed, W, Acked + 1), Acked + 1, Sure);
        {Found, _} -> Sure;
        {_, Found} -> Done;
        {IfNot, IfDone} -> throw({writer, W, acked, Acked, in_flight, bets_kill_plan:op(Seed, W, Acked + 1),
                                  wrong, difference(IfNot, Found), or_else, difference(IfDone, Found)})
    end.

applied(Seed, W, N, #writer{model = Model, groups = Groups} = Writer) ->
    New = #{group := Group} = bets_kill_plan:apply_op(Seed, W, N, Model),
    Writer#writer{acked = N, model = New, groups = case Group of N -> [N]; _ -> Groups end}.

own(#writer{model = #{own := Own}}) -> Own.

%% An operation on shared keys that may have been done. It counts as done for the number of the next one: it is
%% not done again, because done twice it would count twice.
uncertain(count, N, Writer) -> Writer#writer{acked = N, possible = Writer#writer.possible + 1};
uncertain({group, _}, N, Writer) -> Writer#writer{acked = N, groups = [N | Writer#writer.groups]};
uncertain(_NoEffect, _N, Writer) -> Writer.

difference(Expected, Found) ->
    [{Key, expected, maps:get(Key, Expected, none), found, maps:get(Key, Found, none)}
     || Key <- lists:usort(maps:keys(Expected) ++ maps:keys(Found)), maps:find(Key, Expected) =/= maps:find(Key, Found)].

counter(Table, Writers) ->
    Least = lists:sum([Count || #writer{model = #{count := Count}} <- Writers]),
    Most = Least + lists:sum([Maybe || #writer{possible = Maybe} <- Writers]),
    case Table of
        #{count := {count, N}} when N >= Least, N =< Most -> ok;
        #{count := Object} -> throw({counter, Object, between, Least, Most});
        _ when Least =:= 0 -> ok;
        _ -> throw({counter, none, between, Least, Most})
    end.

group(Seed, Table, Writers) ->
    Found = [maps:get(Key, Table, none) || Key <- bets_kill_plan:group()],
    case lists:usort([case Object of none -> none; _ -> element(2, Object) end || Object <- Found]) of
        [none] -> lists:all(fun(#writer{model = #{group := G}}) -> G =:= none end, maps:values(Writers)) orelse throw({group_is_gone, Found});
        [{W, N}] ->
            lists:member(N, (maps:get(W, Writers))#writer.groups) orelse throw({group_is_old, W, N, (maps:get(W, Writers))#writer.groups}),
            {group, Written} = bets_kill_plan:op(Seed, W, N),
            Found =:= Written orelse throw({group_is_mixed, difference(by_key(Written), by_key(Found))});
        _ -> throw({group_is_torn, Found})
    end.

by_key(Objects) -> maps:from_list([{element(1, Object), Object} || Object <- Objects]).
