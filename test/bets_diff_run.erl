%% Runs one sequence on `ets' and on the module under test, in the calling process, and compares
%% every answer.
%%
%% Checked: the value, or class, reason and cause of the exception, of each call; the contents, the
%% size and whole traversals at each opening and at the end. In an ordered_set all of it is the same, to the
%% order and to the last bit. In a set an answer whose order carries no meaning is compared as a multiset;
%% In a bag the order of a key's objects is compared; of the sign of a zero in a key that traversals give, it is not.
%% first/1, next/2 and the like must name a key that is there; last/1 and prev/2 must answer as first/1 and
%% next/2 do.
%% Not checked: the order of a traversal of a set, memory, and the text of the stack trace.
-module(bets_diff_run).

-export([sequence/3, resume/4, cause/1]).

-record(st, {seq :: bets_diff_gen:sequence(),
             module :: module(),             % the module under test
             dir :: file:name_all(),
             live :: boolean(),              % false while a replay rebuilds the oracle alone
             name :: term(),
             owner :: pid() | undefined,     % the helper, or undefined: the process that runs us
             oracle :: term(),               % the oracle's table
             tab :: term(),                  % the table under test
             stale :: {term(), term()},      % what both were before the last opening
             ack :: fun(() -> ok),
             park :: fun(() -> no_return())}).

-type report() :: #{at := non_neg_integer(), op := term(), expected := term(), got := term()}.
-type counts() :: #{value := non_neg_integer(), raised := non_neg_integer(),
                    ops := non_neg_integer(), reopened := non_neg_integer()}.
-type hooks() :: #{ack := fun(() -> ok), park := fun(() -> no_return())}.

%% Runs a sequence from its start in the empty directory `Dir'. `ack' is called after each operation,
%% `park' when the VM shall be killed.
%% It needs a process of its own: helpers and tables go with the process.
-spec sequence(module(), bets_diff_gen:sequence(), {file:name_all(), hooks()}) -> {ok, counts()} | {differs, report()}.
sequence(Module, Seq, {Dir, Hooks}) ->
    guarded(fun() ->
        St = open_tables(start(Module, Seq, Dir, Hooks, true), self),
        run(0, maps:get(ops, Seq), check_contents(St))
    end).

%% Goes on after a kill: `Acked' operations are known to have returned, the next one may have
%% happened or not.
-spec resume(module(), bets_diff_gen:sequence(), {file:name_all(), hooks()}, non_neg_integer()) -> {ok, counts()} | {differs, report()}.
resume(Module, Seq = #{ops := Ops}, {Dir, #{ack := Ack} = Hooks}, Acked) ->
    guarded(fun() ->
        {Done, Left} = lists:split(min(Acked, length(Ops)), Ops),
        Rebuilt = replay(Done, open_tables(start(Module, Seq, Dir, Hooks, false), self)),
        put(at, {Acked, recovery}),
        %% Which function finds the table again differs from sequence to sequence.
        put({count, openings}, Acked),
        Opened = open_subject(Rebuilt#st{live = true}),
        case Left of
            [] ->
                finish(check_contents(Opened));
            [kill | More] ->
                check_contents(Opened),
                Ack(),
                run(Acked + 1, More, Opened);
            [Op | More] ->
                case has_happened(Op, Opened) of
                    false ->
                        run(Acked, Left, Opened);
                    true ->
                        Ack(),
                        run(Acked + 1, More, Opened)
                end
        end
    end).

%% Whether the operation in flight at the kill was done; the oracle follows. It is done again if it was not:
%% what is acknowledged must always be what the oracle is rebuilt from.
has_happened(Op, St) ->
    try
        check_contents(St),
        false
    catch
        throw:{differs, Expected, Got} ->
            bets_diff_gen:is_change(Op) orelse differs(Expected, Got),
            replay([Op], St#st{live = false}),
            try
                check_contents(St),
                true
            catch
                throw:{differs, IfDone, GotAgain} -> differs({either, Expected, 'or', IfDone}, GotAgain)
            end
    end.

guarded(Fun) ->
    try
        Fun()
    catch
        throw:{differs, Expected, Got} ->
            {At, Op} = get(at),
            {differs, #{at => At, op => Op, expected => Expected, got => Got}}
    end.

start(Module, Seq, Dir, #{ack := Ack, park := Park}, IsLive) ->
    put(at, {0, new}),
    Dead = make_ref(),
    #st{seq = Seq, module = Module, dir = Dir, live = IsLive, name = maps:get(name, Seq),
        stale = {Dead, Dead}, ack = Ack, park = Park}.

run(_At, [], St) ->
    finish(St);
run(At, [Op | Ops], St) ->
    put(at, {At + 1, Op}),
    Next = step(Op, St),
    (St#st.ack)(),
    run(At + 1, Ops, Next).

replay(Ops, St) ->
    lists:foldl(fun(kill, S) -> reopen_oracle(S);
                   (Op, S) -> step(Op, S)
                end, St, Ops).

finish(St) ->
    put(at, {length(maps:get(ops, St#st.seq)), finish}),
    check_contents(St),
    close(St),
    in_owner(St, fun() -> ets:delete(St#st.oracle) end),
    %% Whoever gets here has done every operation, some of them in VMs that are gone.
    Ops = maps:get(ops, St#st.seq),
    {ok, #{value => counted(value), raised => counted(raised), ops => length(Ops),
           reopened => length([Op || {reopen, _, _} = Op <- Ops])}}.

count(What) -> put({count, What}, counted(What) + 1).

counted(What) ->
    case get({count, What}) of
        undefined -> 0;
        N -> N
    end.

%% Operations.

step({Kind, rename, [NewName]}, St) when Kind =:= call; Kind =:= other ->
    Call = fun() -> both(St, rename, [NewName], St#st.oracle, St#st.tab) end,
    Outcome = case Kind of call -> in_owner(St, Call); other -> in_other(St, Call) end,
    renamed(St, NewName, compare(rename, Outcome, St));
step({stale, rename, _Args}, #st{stale = {Name, Name}} = St) when is_atom(Name) ->
    St;
step({call, F, Args}, St) ->
    compare(F, in_owner(St, fun() -> both(St, F, Args, St#st.oracle, St#st.tab) end), St),
    St;
step({other, F, Args}, St) ->
    compare(F, in_other(St, fun() -> both(St, F, Args, St#st.oracle, St#st.tab) end), St),
    St;
step({stale, F, Args}, #st{stale = {Oracle, Tab}} = St) ->
    compare(F, in_owner(St, fun() -> both(St, F, Args, Oracle, Tab) end), St),
    St;
step({bad_table, Bad, F, Args}, St) ->
    compare(F, in_owner(St, fun() -> both(St, F, Args, Bad, Bad) end), St),
    St;
step({walk, Direction}, #st{live = true} = St) ->
    Keys = in_owner(St, fun() -> walk(St, St#st.module, St#st.tab, Direction) end),
    {ok, Expected} = in_owner(St, fun() -> walk(St, ets, St#st.oracle, Direction) end),
    case Keys of
        {ok, Got} -> same_keys(Expected, Got, St) orelse differs(Expected, Got);
        Raised -> differs(Expected, Raised)
    end,
    St;
step({walk, _Direction}, St) ->
    St;
step({merge, Steps}, #st{live = true, module = bets, tab = Tab} = St) ->
    %% Step by step, so that other operations come in between.
    case bets_nif:merge_start(Tab, everything) of
        nothing -> ok;
        {ok, _} -> ok;
        {bets, merging} -> ok
    end,
    merge(Tab, Steps),
    St;
step({merge, _Steps}, St) ->
    St;
step({reopen, How, Owner}, St) ->
    Shut = shut(How, St),
    check_contents(open_tables(Shut#st{stale = stale(St)}, Owner));
step(kill, #st{park = Park}) ->
    Park().

merge(_Tab, 0) ->
    ok;
merge(Tab, Steps) ->
    case bets_nif:merge_step(Tab, 300) of
        nothing -> ok;
        {done, _, _, _} -> ok;
        {_Phase, _, _, _} -> merge(Tab, Steps - 1)
    end.

%% The identifiers of a replayed table are lost; a name stays.
stale(#st{oracle = Name}) when is_atom(Name) -> {Name, Name};
stale(#st{live = false} = St) -> St#st.stale;
stale(St) -> {St#st.oracle, St#st.tab}.

renamed(#st{name = {unnamed, _}} = St, NewName, {value, _}) -> St#st{name = {unnamed, NewName}};
renamed(St, NewName, {value, NewName}) -> St#st{name = NewName, oracle = NewName, tab = NewName};
renamed(St, _NewName, _Outcome) -> St.

%% The outcome on both sides. It is evaluated in the process that makes the call.
both(#st{live = false}, F, Args, Oracle, _Tab) ->
    {observe(fun() -> view(F, bets_diff_oracle, Oracle, Args) end, Oracle), replayed};
both(St, F, Args, Oracle, Tab) ->
    {observe(fun() -> view(F, bets_diff_oracle, Oracle, Args) end, Oracle),
     observe(fun() -> view(F, St#st.module, Tab, Args) end, Tab)}.

view(fold, Module, Tab, [Fold]) ->
    fold(Module, Fold, fun(Object, Acc) -> [Object | Acc] end, [], Tab);
view(fold_throws, Module, Tab, [Fold]) ->
    fold(Module, Fold, fun(_, _) -> throw(stop) end, none, Tab);
view(delete_found, Module, Tab, [Key]) ->
    %% An object that differs from a stored one in the form of its key at most.
    case call(Module, lookup, Tab, [Key]) of
        [Object | _] -> call(Module, delete_object, Tab, [setelement(call(Module, info, Tab, [keypos]), Object, Key)]);
        [] -> none
    end;
view(all, bets_diff_oracle, Tab, []) ->
    lists:member(Tab, ets:all());
view(all, Module, Tab, []) ->
    lists:member(Tab, Module:all());
view(sync, bets_diff_oracle, Tab, []) ->
    %% It asks for what a read asks for.
    _ = ets:info(Tab, size) =/= undefined andalso ets:member(Tab, sync),
    ok;
view(sync, Module, Tab, []) ->
    case Module:info(Tab, size) of
        undefined -> ok;
        _ -> Module:sync(Tab)
    end;
view(whereis, Module, Tab, []) ->
    case call(Module, whereis, Tab, []) of
        undefined -> undefined;
        Found -> is_reference(Found)
    end;
view(info, Module, Tab, []) ->
    case call(Module, info, Tab, []) of
        undefined -> undefined;
        Items -> [lists:keyfind(Item, 1, Items) || Item <- [name, size, node, named_table, type, keypos, protection, owner]]
    end;
view(info, Module, Tab, [id]) ->
    is_reference(call(Module, info, Tab, [id]));
view(F, Module, Tab, Args) ->
    call(Module, F, Tab, Args).

call(bets_diff_oracle, F, Tab, Args) -> bets_diff_oracle:call(F, Tab, Args);
call(Module, F, Tab, Args) -> apply(Module, F, [Tab | Args]).

fold(bets_diff_oracle, Fold, Fun, Acc, Tab) -> ets:Fold(Fun, Acc, Tab);
fold(Module, Fold, Fun, Acc, Tab) -> Module:Fold(Fun, Acc, Tab).

observe(Fun, Tab) ->
    try Fun() of
        Tab -> {value, '$table'};
        Value -> {value, Value}
    catch
        Class:Reason:Stack -> {raised, Class, Reason, cause(Stack)}
    end.

%% The cause that the exception's stack trace gives for the shell, or `none'.
-spec cause(list()) -> term().
cause([{_, _, _, Info} | _]) ->
    maps:get(cause, proplists:get_value(error_info, Info, #{}), none);
cause(_) ->
    none.

%% Compares, and returns the outcome that was expected.
compare(_F, {Expected, replayed}, _St) -> Expected;
compare(F, {Expected, Got}, St) ->
    count(element(1, Expected)),
    is_fine(F, Expected, Got, St) orelse differs(Expected, Got),
    Expected.

is_fine(_F, {raised, Class, Reason, any}, {raised, Class, Reason, _}, _St) -> true;
is_fine(_F, Expected, Got, #st{seq = #{type := ordered_set}}) -> bets_diff_terms:same(Expected, Got);
is_fine(F, {value, Expected}, {value, Got}, St) when F =:= fold; F =:= tab2list -> same_objects(Expected, Got, St);
is_fine(F, {value, Expected}, {value, Got}, St) when F =:= first; F =:= last ->
    (Expected =:= '$end_of_table') =:= is_empty(St) andalso is_key(Got, Expected, St);
is_fine(F, {value, _}, {value, Got}, St) when F =:= next; F =:= prev ->
    is_key(Got, '$end_of_table', St);
is_fine(F, {value, Expected}, {value, Got}, St) when F =:= first_lookup; F =:= last_lookup ->
    case Got of
        {Key, Objects} -> Expected =/= '$end_of_table' andalso stands(Key, Objects, St);
        _ -> Got =:= Expected
    end;
is_fine(F, {value, _}, {value, Got}, St) when F =:= next_lookup; F =:= prev_lookup ->
    case Got of
        {Key, Objects} -> stands(Key, Objects, St);
        _ -> Got =:= '$end_of_table'
    end;
is_fine(_F, Expected, Got, _St) ->
    bets_diff_terms:same(Expected, Got).

%% In a bag the objects of each key have an order, whatever that of the keys is.
same_objects(Expected, Got, #st{seq = #{type := Type, keypos := KeyPos}}) when Type =:= bag, is_list(Got); Type =:= duplicate_bag, is_list(Got) ->
    bets_diff_terms:same(by_key(KeyPos, Expected), by_key(KeyPos, Got));
same_objects(Expected, Got, St) ->
    same_list(Expected, Got, St).

by_key(KeyPos, Objects) ->
    Numbered = lists:zip3([bets_diff_terms:unsigned(element(KeyPos, Object)) || Object <- Objects], lists:seq(1, length(Objects)), Objects),
    [Object || {_, _, Object} <- lists:sort(Numbered)].

%% A bag gives a key in the form of one of its objects: of which one, after some are gone, is its own affair.
same_keys(Expected, Got, #st{seq = #{type := Type}}) when Type =:= bag; Type =:= duplicate_bag ->
    lists:sort(bets_diff_terms:unsigned(Expected)) =:= lists:sort(bets_diff_terms:unsigned(Got));
same_keys(Expected, Got, St) ->
    same_list(Expected, Got, St).

same_list(Expected, Got, #st{seq = #{type := ordered_set}}) -> bets_diff_terms:same(Expected, Got);
same_list(Expected, Got, _St) -> bets_diff_terms:same_bag(Expected, Got).

%% A key of the table; or, where the traversal may be at its end, that.
is_key('$end_of_table', '$end_of_table', _St) -> true;
is_key(Key, _Expected, St) -> in_owner(St, fun() -> ets:member(St#st.oracle, Key) end).

is_empty(St) -> ets:info(St#st.oracle, size) =:= 0.

stands(Key, Objects, St) ->
    bets_diff_terms:same(in_owner(St, fun() -> ets:lookup(St#st.oracle, Key) end), Objects).

%% All keys that a traversal meets.
walk(St, Module, Tab, Direction) ->
    try
        {First, Back} = case Direction of next -> {Module:first(Tab), prev}; prev -> {Module:last(Tab), next} end,
        {ok, walk(Module, Tab, Direction, back(St, Direction, Back), First, 0)}
    catch
        Class:Reason:Stack -> {raised, Class, Reason, cause(Stack)}
    end.

%% In a set both directions are one.
back(#st{seq = #{type := ordered_set}}, Direction, _Other) -> Direction;
back(_St, _Direction, Other) -> Other.

walk(_Module, _Tab, _Direction, _Back, '$end_of_table', _N) -> [];
walk(_Module, _Tab, _Direction, _Back, _Key, 1000) -> [endless];
walk(Module, Tab, Direction, Back, Key, N) ->
    Next = Module:Direction(Tab, Key),
    Next = Module:Back(Tab, Key),
    [Key | walk(Module, Tab, Direction, Back, Next, N + 1)].

%% Contents, size, traversal and single lookups against the oracle.
check_contents(#st{live = false} = St) ->
    St;
check_contents(#st{module = Module, tab = Tab, oracle = Oracle} = St) ->
    {Expected, Got} = in_owner(St, fun() ->
        Objects = ets:tab2list(Oracle),
        Keys = [element(ets:info(Oracle, keypos), Object) || Object <- Objects],
        {{value, {length(Objects), walk(St, ets, Oracle, next), walk(St, ets, Oracle, prev), Objects, [ets:lookup(Oracle, Key) || Key <- Keys]}},
         observe(fun() ->
            {Module:info(Tab, size), walk(St, Module, Tab, next), walk(St, Module, Tab, prev), Module:tab2list(Tab), [Module:lookup(Tab, Key) || Key <- Keys]}
         end, Tab)}
    end),
    case {Expected, Got} of
        {{value, {Size, {ok, Keys}, {ok, Back}, Objects, Found}}, {value, {Size, {ok, GotKeys}, {ok, GotBack}, GotObjects, GotFound}}} ->
            (same_keys(Keys, GotKeys, St) andalso same_keys(Back, GotBack, St) andalso same_objects(Objects, GotObjects, St)
                andalso bets_diff_terms:same(Found, GotFound)) orelse differs(Expected, Got);
        _ ->
            differs(Expected, Got)
    end,
    St.

-spec differs(term(), term()) -> no_return().
differs(Expected, Got) -> throw({differs, Expected, Got}).

%% Opening and closing.

open_tables(St, Owner) ->
    Pid = case Owner of self -> undefined; helper -> spawn_helper() end,
    Opened = open_oracle(St#st{owner = Pid}),
    case St#st.live of
        true -> open_subject(Opened);
        false -> Opened
    end.

%% The oracle's contents outlive its table in the process dictionary.
open_oracle(St) ->
    Objects = case get(contents) of undefined -> []; Kept -> Kept end,
    Tab = in_owner(St, fun() ->
        New = ets:new(table_name(St), ets_options(St)),
        bets_diff_oracle:call(insert, New, [Objects]),
        New
    end),
    St#st{oracle = Tab}.

%% Made by new/2, then opened by open/2 and new/2 in turn, with other options each time: what is stored depends on none of them.
open_subject(#st{module = Module, dir = Dir} = St) ->
    N = counted(openings),
    count(openings),
    Open = case N rem 2 of
        0 -> fun() -> Module:new(table_name(St), [{dir, Dir} | own_options(N, St) ++ ets_options(St)]) end;
        1 ->
            %% The stored position of the key is adopted or compared.
            EtsOptions = [Option || Option <- ets_options(St), N rem 4 =:= 1 orelse not is_tuple(Option)],
            fun() -> {ok, Opened} = Module:open(Dir, [{name, table_name(St)} | own_options(N, St) ++ EtsOptions]), Opened end
    end,
    case in_owner(St, fun() -> observe(Open, none) end) of
        {value, Tab} -> St#st{tab = Tab};
        Raised -> differs({value, table}, Raised)
    end.

own_options(0, #st{seq = #{max_file_size := FileSize, sync := Sync}}) ->
    [{max_file_size, FileSize}, {sync, Sync}];
own_options(N, _St) ->
    [{max_file_size, element(N rem 3 + 1, {65536, 4096, 8192})}, {sync, element(N rem 5 + 1, {none, always, none, {interval, 5}, none})},
     {cache, N rem 3 =/= 2}].

table_name(#st{name = {unnamed, Name}}) -> Name;
table_name(#st{name = Name}) -> Name.

ets_options(#st{seq = #{type := Type, keypos := KeyPos, protection := Protection}, name = Name}) ->
    [Type, {keypos, KeyPos}, Protection | [named_table || is_atom(Name)]].

%% Contents are kept for the next opening.
shut(How, St) ->
    put(contents, in_owner(St, fun() -> ets:tab2list(St#st.oracle) end)),
    case {How, St#st.owner} of
        {owner_exit, Owner} when is_pid(Owner) ->
            stop_helper(Owner);
        _ ->
            in_owner(St, fun() -> ets:delete(St#st.oracle) end),
            close(St)
    end,
    stop_other(),
    St#st{owner = undefined}.

reopen_oracle(St) ->
    open_tables(shut(close, St), self).

close(#st{live = false}) ->
    ok;
close(#st{module = Module, tab = Tab} = St) ->
    case in_owner(St, fun() -> observe(fun() -> Module:close(Tab) end, none) end) of
        {value, ok} -> ok;
        Other -> differs({value, ok}, Other)
    end.

%% Processes. The helper runs what it is sent; it is the owner, or the one that is not.

in_owner(#st{owner = undefined}, Fun) -> Fun();
in_owner(#st{owner = Pid}, Fun) -> in_helper(Pid, Fun).

in_other(#st{owner = undefined}, Fun) ->
    Pid = case get(other) of undefined -> spawn_helper(); Other -> Other end,
    put(other, Pid),
    in_helper(Pid, Fun);
in_other(_St, Fun) ->
    Fun().

spawn_helper() ->
    Parent = self(),
    spawn(fun() -> helper(Parent, monitor(process, Parent)) end).

helper(Parent, Monitor) ->
    receive
        {Parent, Ref, Fun} ->
            Parent ! {Ref, Fun()},
            helper(Parent, Monitor);
        {'DOWN', Monitor, _, _, _} ->
            ok
    end.

in_helper(Pid, Fun) ->
    Ref = monitor(process, Pid),
    Pid ! {self(), Ref, Fun},
    receive
        {Ref, Result} -> demonitor(Ref, [flush]), Result;
        {'DOWN', Ref, _, _, Reason} -> error({helper_died, Reason})
    end.

stop_other() ->
    case erase(other) of
        undefined -> ok;
        Pid -> stop_helper(Pid)
    end.

stop_helper(Pid) ->
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Ref, _, _, _} -> ok end.
