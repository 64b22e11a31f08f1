%% What the suites that put bets beside ets share: the same call on both with its results and exceptions compared, and the tables, processes,
%% directories and other VMs that such calls need.
-module(bets_beside).

-include_lib("stdlib/include/assert.hrl").

-export([same/4, same_without_table/2, same_call/4]).
-export([outcome/3, outcome_of/3, cause/1, words/3]).
-export([title/2, with/2]).
-export([pair/2, drop/2, contents/0, keys/2, foreign_tables/0, stop_foreign/1]).
-export([written/1, zero/0]).
-export([temp_dir/1, in_dir/1]).
-export([in_process/1, dead_process/0, wait_until/1, other_vm/3]).

%% ---------------------------------------------------------------- the same on both

%% The call has the same outcome on a table of each with these objects, and leaves the same objects behind.
same(Options, Objects, Function, Args) ->
    {E, B} = pair(Options, Objects),
    ?assertEqual(outcome_of(ets, Function, with(E, Args)), outcome_of(bets, Function, with(B, Args))),
    ?assertEqual(lists:sort(ets:tab2list(E)), lists:sort(bets:tab2list(B))),
    ?assertEqual(ets:info(E, size), bets:info(B, size)),
    drop(E, B).

%% The same where the arguments name no table of this call's own.
same_without_table(Function, Args) ->
    same_call(Function, Args, Function, Args).

same_call(EtsFunction, EtsArgs, BetsFunction, BetsArgs) ->
    ?assertEqual(outcome_of(ets, EtsFunction, EtsArgs), outcome_of(bets, BetsFunction, BetsArgs)).

%% The outcome of a function of this module, `ets' or `bets'.
outcome_of(Module, Function, Args) ->
    Real = [case Arg of dead_table -> dead_table(Module); _ -> Arg end || Arg <- Args],
    outcome(erlang:make_fun(Module, Function, length(Real)), Real, Module).

%% A result, or the class, the reason, the cause and the words for each argument.
outcome(Fun, Args, Module) ->
    try apply(Fun, Args) of
        Result -> {ok, generic(Result, Args)}
    catch
        Class:Reason:Stack -> {Class, Reason, cause(Stack), words(Module, Reason, Stack)}
    end.

generic(Result, [Tab | _]) when Result =:= Tab -> the_table;
generic(Result, _) when is_list(Result) -> lists:sort(Result);
generic(Result, _) -> Result.

cause([{_, _, _, Info} | _]) -> maps:get(cause, proplists:get_value(error_info, Info, #{}), none).

words(Module, Reason, [{M, F, A, Info} | _] = Stack) when is_list(A) ->
    M = Module,
    Explainer = maps:get(module, proplists:get_value(error_info, Info, #{})),
    try Explainer:format_error(Reason, Stack) of
        %% ets makes these functions of others, whose arguments its words are about.
        Words when F =:= tab2list; F =:= match_object; F =:= delete_all_objects; F =:= internal_delete_all ->
            maps:with([1], Words);
        Words -> Words
    catch
        error:function_clause -> #{}
    end;
words(_, _, _) ->
    no_words.

%% ---------------------------------------------------------------- calls

title(Function, Args) ->
    lists:flatten(io_lib:format("~p~0P", [Function, Args, 12])).

%% The arguments for a table: `T' stands for it, `ME' for the caller. The table `dead' is one that was deleted.
with(Tab, Args) ->
    [case Arg of 'T' when Tab =:= dead -> dead_table; 'T' -> Tab; 'ME' -> self(); _ -> Arg end || Arg <- Args].

%% An identifier that both modules take for a table which is gone does not exist: each gets its own.
dead_table(Module) ->
    T = Module:new(t, []),
    Module:delete(T),
    T.

%% ---------------------------------------------------------------- tables

pair(Options, Objects) ->
    E = ets:new(t, Options),
    B = bets:new(t, Options),
    true = ets:insert(E, Objects),
    true = bets:insert(B, Objects),
    {E, B}.

drop(E, B) ->
    ets:delete(E),
    bets:delete(B).

contents() ->
    [{k, 1, a, 1.0}, {1, int}, {1.0, float}, {big, 1 bsl 80}, {short}].

%% The keys in the order of `next'.
keys(Module, Tab) -> keys(Module, Tab, Module:first(Tab)).
keys(_Module, _Tab, '$end_of_table') -> [];
keys(Module, Tab, Key) -> [Key | keys(Module, Tab, Module:next(Tab, Key))].

%% A process with tables of both modules under the names `foreign_protected' and `foreign_private'.
foreign_tables() ->
    Me = self(),
    Pid = spawn(fun() ->
        in_temp_data_dir(),
        [
            begin
                Module:new(Name, [named_table, Protection]),
                Module:insert(Name, contents())
            end
         || {Name, Protection} <- [{foreign_protected, protected}, {foreign_private, private}], Module <- [ets, bets]
        ],
        Me ! ready,
        receive stop -> [Module:delete(Name) || Name <- [foreign_protected, foreign_private], Module <- [ets, bets]] end,
        Me ! stopped
    end),
    receive ready -> Pid after 60000 -> error(not_ready) end.

stop_foreign(Pid) ->
    Pid ! stop,
    receive stopped -> ok after 60000 -> error(not_stopped) end.

%% ---------------------------------------------------------------- terms

%% Tells 0.0 from -0.0, which compare as equal up to OTP 26.
written(Objects) -> [io_lib:format("~w", [Object]) || Object <- Objects].

%% 0.0, unknown to the compiler, which may take -0.0 for the same.
zero() -> binary_to_term(<<131, 70, 0:64>>).

%% ---------------------------------------------------------------- directories

in_temp_data_dir() ->
    _ = application:load(bets),
    application:set_env(bets, data_dir, temp_dir("data")).

%% A path of this VM's own.
temp_dir(Name) ->
    filename:join([os:getenv("TMPDIR", "/tmp"), "bets_tests_" ++ os:getpid(), Name]).

%% Calls the function with a fresh directory, below which tables with names have theirs too, and removes it.
in_dir(Fun) ->
    Dir = temp_dir("dir" ++ integer_to_list(erlang:unique_integer([positive]))),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    _ = application:load(bets),
    application:set_env(bets, data_dir, filename:join(Dir, "data")),
    try
        Fun(Dir)
    after
        application:unset_env(bets, data_dir),
        os:cmd("rm -rf " ++ Dir)
    end.

%% ---------------------------------------------------------------- processes and VMs

%% What the function returns in a process that has ended by then.
in_process(Fun) ->
    Me = self(),
    {Pid, Ref} = spawn_monitor(fun() -> Me ! {self(), Fun()} end),
    receive {'DOWN', Ref, process, Pid, Reason} -> normal = Reason end,
    receive {Pid, Result} -> Result end.

dead_process() ->
    {Pid, Ref} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Ref, process, Pid, _} -> Pid end.

wait_until(Fun) -> wait_until(Fun, 200).
wait_until(Fun, 0) -> ?assert(Fun());
wait_until(Fun, N) ->
    case Fun() of
        true -> ok;
        false -> timer:sleep(10), wait_until(Fun, N - 1)
    end.

%% Calls a function in a new VM, which is killed afterwards. References do not come back.
other_vm(Module, Function, Args) ->
    Erl = filename:join([code:root_dir(), "bin", "erl"]),
    Paths = lists:append([["-pa", P] || P <- code:get_path(), string:find(P, code:lib_dir()) =:= nomatch]),
    Call = base64:encode(term_to_binary({Module, Function, Args})),
    Eval =
        "{M, F, A} = binary_to_term(base64:decode(<<\"" ++ binary_to_list(Call) ++ "\">>)),"
        "io:format(\"result ~s~n\", [base64:encode(term_to_binary(apply(M, F, A)))]),"
        "receive after infinity -> ok end.",
    Port = open_port({spawn_executable, Erl}, [{args, ["-noinput" | Paths] ++ ["-eval", Eval]}, {line, 1000000}, exit_status]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    Result = result_of(Port),
    os:cmd("kill -9 " ++ integer_to_list(OsPid)),
    receive {Port, {exit_status, _}} -> ok after 60000 -> ok end,
    Result.

%% Other lines are reports.
result_of(Port) ->
    receive
        {Port, {data, {eol, "result " ++ Line}}} -> binary_to_term(base64:decode(Line));
        {Port, {data, _}} -> result_of(Port);
        {Port, {exit_status, Status}} -> {exit_status, Status}
    after 60000 -> timeout
    end.
