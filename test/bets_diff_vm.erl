%% A child VM that can be killed with SIGKILL at a chosen moment.
%%
%% Parent and child talk in external terms over the file descriptors 3 and 4 of the child, so that
%% neither distribution nor the child's standard output is in the way. The child halts when the
%% parent is gone.
-module(bets_diff_vm).

-export([start/0, start/1, start_with/2, start_under/2, run/4, recv/2, kill/1, kill_if_alive/1, stop/1, call/4, os_pid/1]).
-export([child_main/0]).

-record(vm, {port :: port(), os_pid :: integer()}).
-opaque vm() :: #vm{}.
-export_type([vm/0]).

%% Starts a VM with the code path of this one. `Args' are more arguments for `erl'.
-spec start() -> vm().
start() -> start([]).

-spec start([string()]) -> vm().
start(Args) ->
    start_with([], Args).

%% The same, by a command as in start_under/2.
-spec start_with([string()], [string()]) -> vm().
start_with(Command, Args) ->
    start_under(Command, lists:append([["-pa", filename:absname(Dir)] || Dir <- code:get_path(), not is_otp(Dir)]) ++ Args).

%% Starts a VM by a command that becomes it: a program, with its arguments, that executes what follows them. The code path is among `Args'.
-spec start_under([string()], [string()]) -> vm().
start_under(Command, Args) ->
    [Program | Before] = Command ++ [filename:join([code:root_dir(), "bin", "erl"])],
    Port = open_port({spawn_executable, os:find_executable(Program)},
                     [{args, Before ++ ["-noshell", "-noinput", "-boot", "no_dot_erlang"] ++ Args
                          ++ ["-run", "bets_diff_vm", "child_main"]},
                      nouse_stdio, {packet, 4}, binary, exit_status]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    #vm{port = Port, os_pid = OsPid}.

is_otp(Dir) -> Dir =:= "." orelse lists:prefix(code:lib_dir(), Dir).

%% Has the child evaluate `apply(Module, Function, [Reply | Args])' in a process of its own, where
%% `Reply(Term)' sends a term here.
-spec run(vm(), module(), atom(), [term()]) -> ok.
run(#vm{port = Port}, Module, Function, Args) ->
    %% A VM that has ended tells so at the next recv/2.
    catch port_command(Port, term_to_binary({run, Module, Function, Args})),
    ok.

%% The next term from the child; `{exit, Status}' when it ended by itself.
-spec recv(vm(), timeout()) -> {ok, term()} | timeout | {exit, integer()}.
recv(#vm{port = Port}, Timeout) ->
    receive
        {Port, {data, Bytes}} -> {ok, binary_to_term(Bytes)};
        {Port, {exit_status, Status}} -> {exit, Status}
    after Timeout ->
        timeout
    end.

%% Kills with SIGKILL, and returns when the process is gone: its locks are free then. Terms that it
%% had sent are dropped.
-spec kill(vm()) -> ok.
kill(#vm{port = Port, os_pid = OsPid} = Vm) ->
    true = port_command(killer(), io_lib:format("kill -9 ~b~n", [OsPid])),
    receive {Port, {exit_status, _}} -> ok end,
    drop(Vm).

%% The same for a VM that may have ended already.
-spec kill_if_alive(vm()) -> ok.
kill_if_alive(#vm{port = Port} = Vm) ->
    case erlang:port_info(Port, os_pid) of
        undefined -> drop(Vm);
        _ -> kill(Vm)
    end.

%% The process of the operating system.
-spec os_pid(vm()) -> integer().
os_pid(#vm{os_pid = OsPid}) -> OsPid.

%% Lets the VM halt, waits for it.
-spec stop(vm()) -> ok.
stop(#vm{port = Port} = Vm) ->
    catch port_command(Port, term_to_binary(halt)),
    receive {Port, {exit_status, _}} -> ok end,
    drop(Vm).

drop(#vm{port = Port} = Vm) ->
    receive {Port, _} -> drop(Vm) after 0 -> ok end.

%% `run/4', and the first term that comes back.
-spec call(vm(), module(), atom(), [term()]) -> {ok, term()} | {exit, integer()}.
call(Vm, Module, Function, Args) ->
    run(Vm, Module, Function, Args),
    recv(Vm, infinity).

%% A shell that stays: os:cmd/1 would start one for each kill, which takes milliseconds.
killer() ->
    case get(?MODULE) of
        undefined ->
            Port = open_port({spawn_executable, "/bin/sh"}, []),
            put(?MODULE, Port),
            Port;
        Port ->
            Port
    end.

%% The child's side.
-spec child_main() -> ok.
child_main() ->
    %% Whatever ends the loop, a reply that nobody takes any more among it, ends the VM: nobody else would.
    spawn(fun() ->
        try child_loop(open_port({fd, 3, 4}, [{packet, 4}, binary, eof]))
        after erlang:halt(1)
        end
    end),
    ok.

child_loop(Port) ->
    receive
        {Port, {data, Bytes}} ->
            case binary_to_term(Bytes) of
                {run, Module, Function, Args} ->
                    Loop = self(),
                    Reply = fun(Term) -> Loop ! {reply, Term}, ok end,
                    spawn(fun() -> guarded(Reply, Module, Function, Args) end);
                halt ->
                    erlang:halt(0)
            end,
            child_loop(Port);
        {reply, Term} ->
            port_command(Port, term_to_binary(Term)),
            child_loop(Port);
        {Port, eof} ->
            erlang:halt(0)
    end.

guarded(Reply, Module, Function, Args) ->
    try
        apply(Module, Function, [Reply | Args])
    catch
        Class:Reason:Stack -> Reply({crashed, {Class, Reason, Stack}})
    end.
