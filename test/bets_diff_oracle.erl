%% The oracle: `ets' of the running OTP, and the functions that later releases added, written in
%% terms of it. Where the running OTP has such a function, it is used.
%%
%% The cause `any' in an exception means that the running OTP cannot tell which cause is right, so
%% every cause is accepted.
-module(bets_diff_oracle).

-export([call/3]).

%% Calls `F' on the table; raises what ets raises.
-spec call(atom(), ets:table(), [term()]) -> term().
call(F, Tab, [[_ | _] = Objects]) when F =:= insert; F =:= insert_new ->
    case turns_lists() andalso lists:member(ets:info(Tab, type), [bag, duplicate_bag]) andalso are_objects(Objects, ets:info(Tab, keypos)) of
        true -> one_by_one(F, Tab, Objects);
        false -> apply(ets, F, [Tab, Objects])
    end;
call(F, Tab, [Key, _Spec, Default] = Args) when is_tuple(Default), (F =:= update_counter orelse F =:= update_element) ->
    %% Releases of ets up to OTP 27 take a default that has no place for the key, and write the key behind its end.
    case ets:member(Tab, Key) orelse tuple_size(Default) >= ets:info(Tab, keypos) of
        true -> call_or_emulate(F, Tab, Args);
        false -> unsure()
    end;
call(F, Tab, Args) ->
    call_or_emulate(F, Tab, Args).

call_or_emulate(F, Tab, Args) ->
    case erlang:function_exported(ets, F, length(Args) + 1) orelse erlang:is_builtin(ets, F, length(Args) + 1) of
        true -> apply(ets, F, [Tab | Args]);
        false -> emulate(F, Tab, Args)
    end.

%% OTP 23 to 25 insert a list into a bag from its end.
turns_lists() -> list_to_integer(erlang:system_info(otp_release)) =< 25.

are_objects(Objects, KeyPos) ->
    is_integer(KeyPos) andalso length_or_none(Objects) =/= none
        andalso lists:all(fun(Object) -> is_tuple(Object) andalso tuple_size(Object) >= KeyPos end, Objects).

length_or_none(List) ->
    try length(List) catch error:badarg -> none end.

one_by_one(insert, Tab, Objects) ->
    lists:foreach(fun(Object) -> ets:insert(Tab, Object) end, Objects),
    true;
one_by_one(insert_new, Tab, Objects) ->
    %% It asks for the right to write.
    true = ets:insert_new(Tab, []),
    KeyPos = ets:info(Tab, keypos),
    not lists:any(fun(Object) -> ets:member(Tab, element(KeyPos, Object)) end, Objects)
        andalso one_by_one(insert, Tab, Objects).

emulate(lookup_element, Tab, [Key, Pos, Default]) ->
    try
        ets:lookup_element(Tab, Key, Pos)
    catch
        error:badarg:Stack ->
            case bets_diff_run:cause(Stack) of
                badkey when is_integer(Pos), Pos >= 1 -> Default;
                _ -> erlang:raise(error, badarg, Stack)
            end
    end;
emulate(update_element, Tab, [Key, Spec, Default]) ->
    case ets:member(Tab, Key) of
        true when not is_tuple(Default) ->
            _ = ets:update_element(Tab, Key, []),
            unsure();
        true ->
            ets:update_element(Tab, Key, Spec);
        false ->
            _ = ets:update_element(Tab, Key, []),
            update_default(Tab, Key, Spec, Default, ets:info(Tab, keypos))
    end;
emulate(first_lookup, Tab, []) ->
    with_object(Tab, ets:first(Tab));
emulate(last_lookup, Tab, []) ->
    with_object(Tab, ets:last(Tab));
emulate(next_lookup, Tab, [Key]) ->
    with_object(Tab, ets:next(Tab, Key));
emulate(prev_lookup, Tab, [Key]) ->
    with_object(Tab, ets:prev(Tab, Key)).

with_object(_Tab, '$end_of_table') -> '$end_of_table';
with_object(Tab, Key) -> {Key, ets:lookup(Tab, Key)}.

%% The default object is built and changed in a table of its own, so that a bad spec leaves no trace.
update_default(Tab, Key, Spec, Default, KeyPos) when is_tuple(Default), tuple_size(Default) >= KeyPos ->
    Scratch = ets:new(scratch, [{keypos, KeyPos}]),
    try
        ets:insert(Scratch, setelement(KeyPos, Default, Key)),
        ets:update_element(Scratch, Key, Spec),
        ets:insert(Tab, ets:lookup(Scratch, Key))
    catch
        error:badarg -> unsure()
    after
        ets:delete(Scratch)
    end;
update_default(_Tab, _Key, _Spec, _Default, _KeyPos) ->
    unsure().

unsure() ->
    erlang:error(badarg, none, [{error_info, #{cause => any, module => erl_stdlib_errors}}]).
