%% Faults for `bets_diff_ref'. Each is one that a table library could have; a harness that does not
%% find one of them is blind on that side.
-module(bets_diff_mutants).

-export([sequential/0, parallel/0, killed/0]).
-export([ets_options/2, change/4, read/4, to_log/3, from_log/2]).

-type call() :: {atom(), [term()]}.

%% Faults that one process can see.
-spec sequential() -> [atom()].
sequential() ->
    [numeric_keys, exact_keys, old_form_kept, delete_object_by_equality, prev_is_next, unsigned_zero, lost_after_reopen, insert_new_overwrites, delete_object_by_key,
     take_keeps, threshold_off_by_one, wrong_cause, insert_before_check, counters_one_by_one,
     first_duplicate_wins, update_element_drops, next_skips, default_not_stored, delete_comes_back,
     lost_by_open,
     order_lost_at_reopening, duplicate_kept, one_copy_removed].

%% Faults that show only between processes.
-spec parallel() -> [atom()].
parallel() ->
    [counter_in_two_steps, list_in_two_steps, insert_new_in_two_steps, take_in_two_steps,
     clear_one_by_one, stale_lookup].

%% Faults that show only after a kill.
-spec killed() -> [atom()].
killed() ->
    [late_log, torn_list, torn_group, mixed_group, delete_comes_back, lost_after_reopen].

%% Options of the table inside.
-spec ets_options(atom(), [term()]) -> [term()].
ets_options(numeric_keys, Opts) -> [ordered_set | Opts];
ets_options(exact_keys, Opts) -> Opts -- [ordered_set];
ets_options(duplicate_kept, Opts) -> [case Opt of bag -> duplicate_bag; _ -> Opt end || Opt <- Opts];
ets_options(_, Opts) -> Opts.

%% Does a change on the table inside.
-spec change(atom(), atom(), ets:table(), [term()]) -> term().
change(unsigned_zero, F, Tab, Args) ->
    raw(F, Tab, without_sign(Args));
change(insert_new_overwrites, insert_new, Tab, [Object]) when is_tuple(Object) ->
    Result = raw(insert_new, Tab, [Object]),
    raw(insert, Tab, [Object]),
    Result;
change(delete_object_by_key, delete_object, Tab, [Object]) when is_tuple(Object) ->
    KeyPos = ets:info(Tab, keypos),
    case is_integer(KeyPos) andalso tuple_size(Object) >= KeyPos of
        true -> raw(delete, Tab, [element(KeyPos, Object)]);
        false -> raw(delete_object, Tab, [Object])
    end;
change(old_form_kept, insert, Tab, [Object]) when is_tuple(Object) ->
    KeyPos = ets:info(Tab, keypos),
    case is_integer(KeyPos) andalso tuple_size(Object) >= KeyPos andalso raw(lookup, Tab, [element(KeyPos, Object)]) of
        [Old] -> raw(insert, Tab, [setelement(KeyPos, Object, element(KeyPos, Old))]);
        _ -> raw(insert, Tab, [Object])
    end;
change(delete_object_by_equality, delete_object, Tab, [Object]) when is_tuple(Object) ->
    KeyPos = ets:info(Tab, keypos),
    case is_integer(KeyPos) andalso tuple_size(Object) >= KeyPos andalso raw(lookup, Tab, [element(KeyPos, Object)]) of
        [Old] when Old == Object -> raw(delete_object, Tab, [Old]);
        _ -> raw(delete_object, Tab, [Object])
    end;
change(one_copy_removed, delete_object, Tab, [Object]) when is_tuple(Object) ->
    KeyPos = ets:info(Tab, keypos),
    Copies = case is_integer(KeyPos) andalso tuple_size(Object) >= KeyPos andalso raw(lookup, Tab, [element(KeyPos, Object)]) of
        [_ | _] = Found -> [Copy || Copy <- Found, Copy =:= Object];
        _ -> []
    end,
    Result = raw(delete_object, Tab, [Object]),
    Copies =/= [] andalso raw(insert, Tab, [tl(Copies)]),
    Result;
change(take_keeps, take, Tab, [Key]) ->
    Taken = raw(take, Tab, [Key]),
    raw(insert, Tab, [Taken]),
    Taken;
change(threshold_off_by_one, update_counter, Tab, [Key, {Pos, Incr, Threshold, Set} | Rest]) when is_integer(Threshold), Incr >= 0 ->
    raw(update_counter, Tab, [Key, {Pos, Incr, Threshold - 1, Set} | Rest]);
change(wrong_cause, update_counter, Tab, [_, _] = Args) ->
    try
        raw(update_counter, Tab, Args)
    catch
        error:badarg:Stack ->
            case bets_diff_run:cause(Stack) of
                badkey -> erlang:error(badarg, Args, [{error_info, #{cause => position, module => erl_stdlib_errors}}]);
                _ -> erlang:raise(error, badarg, Stack)
            end
    end;
change(insert_before_check, insert, Tab, [[Object | _] = Objects]) ->
    catch raw(insert, Tab, [Object]),
    raw(insert, Tab, [Objects]);
change(counters_one_by_one, update_counter, Tab, [Key, [_, _ | _] = Ops]) ->
    try
        [raw(update_counter, Tab, [Key, Op]) || Op <- Ops]
    catch
        _:_ -> raw(update_counter, Tab, [Key, Ops])
    end;
change(first_duplicate_wins, insert, Tab, [Objects]) when is_list(Objects), length(Objects) > 1 ->
    raw(insert, Tab, [lists:reverse(Objects)]);
change(update_element_drops, update_element, Tab, [Key, [_, _ | _] = Specs]) ->
    raw(update_element, Tab, [Key, [lists:last(Specs)]]);
change(default_not_stored, update_counter, Tab, [Key, _, _] = Args) ->
    IsNew = raw(lookup, Tab, [Key]) =:= [],
    Result = raw(update_counter, Tab, Args),
    IsNew andalso raw(delete, Tab, [Key]),
    Result;
change(counter_in_two_steps, update_counter, Tab, [Key, Incr]) when is_integer(Incr) ->
    KeyPos = ets:info(Tab, keypos),
    New = raw(lookup_element, Tab, [Key, KeyPos + 1]) + Incr,
    pause(),
    raw(update_element, Tab, [Key, {KeyPos + 1, New}]),
    New;
change(list_in_two_steps, insert, Tab, [[Object | Objects]]) when is_tuple(Object), Objects =/= [] ->
    raw(insert, Tab, [Object]),
    pause(),
    raw(insert, Tab, [Objects]);
change(insert_new_in_two_steps, insert_new, Tab, [Object]) when is_tuple(Object) ->
    IsNew = not raw(member, Tab, [element(ets:info(Tab, keypos), Object)]),
    pause(),
    IsNew andalso raw(insert, Tab, [Object]);
change(take_in_two_steps, take, Tab, [Key]) ->
    Found = raw(lookup, Tab, [Key]),
    pause(),
    raw(delete, Tab, [Key]),
    Found;
change(clear_one_by_one, delete_all_objects, Tab, []) ->
    [begin raw(delete_object, Tab, [Object]), pause() end || Object <- raw(tab2list, Tab, [])],
    true;
change(_, F, Tab, Args) ->
    raw(F, Tab, Args).

%% Does a read on the table inside.
-spec read(atom(), atom(), ets:table(), [term()]) -> term().
read(next_skips, next, Tab, [Key]) ->
    case raw(next, Tab, [Key]) of
        '$end_of_table' -> '$end_of_table';
        Next -> raw(next, Tab, [Next])
    end;
read(prev_is_next, prev, Tab, [Key]) ->
    raw(next, Tab, [Key]);
read(stale_lookup, lookup, Tab, [Key]) ->
    %% A process sees what its lookup before this one should have seen.
    Now = raw(lookup, Tab, [Key]),
    case put({?MODULE, Tab, Key}, Now) of
        undefined -> Now;
        Before -> Before
    end;
read(_, F, Tab, Args) ->
    raw(F, Tab, Args).

%% What a change leaves in the log.
-spec to_log(atom(), atom(), [term()]) -> [call()].
to_log(late_log, F, Args) ->
    %% Every other change waits for the next one of its process.
    case erase({?MODULE, late}) of
        undefined -> put({?MODULE, late}, {F, Args}), [];
        Late -> [Late, {F, Args}]
    end;
to_log(unsigned_zero, F, Args) ->
    [{F, without_sign(Args)}];
to_log(_, F, Args) ->
    [{F, Args}].

%% What is read back from the log.
-spec from_log(atom(), [call()]) -> [call()].
from_log(lost_after_reopen, Calls) ->
    case lists:reverse(Calls) of
        [{insert, _} | Older] -> lists:reverse(Older);
        _ -> Calls
    end;
from_log(delete_comes_back, Calls) ->
    %% The last one, wherever it stands: which call is the very last before a kill is a matter of luck.
    case lists:splitwith(fun({F, _}) -> F =/= delete end, lists:reverse(Calls)) of
        {Later, [_Delete | Older]} -> lists:reverse(Older, lists:reverse(Later));
        {_, []} -> Calls
    end;
from_log(order_lost_at_reopening, Calls) ->
    swap_inserts(Calls);
from_log(torn_list, Calls) ->
    case lists:reverse(Calls) of
        [{insert, [[_, _ | _] = Objects]} | Older] -> lists:reverse([{insert, [tl(Objects)]} | Older]);
        _ -> Calls
    end;
from_log(torn_group, Calls) ->
    %% Of the last list that all writers share, the first half.
    case lists:splitwith(fun is_no_group/1, lists:reverse(Calls)) of
        {Later, [{insert, [Objects]} | Older]} ->
            lists:reverse(Older, [{insert, [lists:sublist(Objects, length(Objects) div 2)]} | lists:reverse(Later)]);
        {_, []} ->
            Calls
    end;
from_log(mixed_group, Calls) ->
    %% The last list that all writers share has a value of the one before it.
    case [Objects || {insert, [Objects]} = Call <- Calls, not is_no_group(Call)] of
        [_, _ | _] = Groups ->
            [Before, Last] = lists:nthtail(length(Groups) - 2, Groups),
            Mixed = [setelement(3, hd(Last), element(3, hd(Before))) | tl(Last)],
            [case Call of {insert, [Last]} -> {insert, [Mixed]}; _ -> Call end || Call <- Calls];
        _ ->
            Calls
    end;
from_log(_, Calls) ->
    Calls.

is_no_group({insert, [[_ | _] = Objects]}) -> [Key || {Key, _, _} <- Objects] =/= bets_kill_plan:group();
is_no_group(_Call) -> true.

swap_inserts([{insert, _} = Older, {insert, _} = Newer | Calls]) -> [Newer, Older | swap_inserts(Calls)];
swap_inserts([Call | Calls]) -> [Call | swap_inserts(Calls)];
swap_inserts([]) -> [].

raw(F, Tab, Args) -> bets_diff_ref:raw(F, Tab, Args).

%% Lets another process in between two steps.
pause() -> erlang:yield().

%% Written as a literal, the compiler would give back the zero that was matched, whose sign it takes for the same.
without_sign(F) when is_float(F), F == 0.0 -> binary_to_term(<<131, 70, 0:64>>);
without_sign(T) when is_tuple(T) -> list_to_tuple(without_sign(tuple_to_list(T)));
without_sign([H | T]) -> [without_sign(H) | without_sign(T)];
without_sign(T) -> T.
