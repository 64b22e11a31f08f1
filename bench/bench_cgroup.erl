%% A group of processes that the kernel holds to a limit of memory, the page cache of their files included.
-module(bench_cgroup).

-export([available/0, with/2]).

%% Whether this user may make such a group here.
-spec available() -> boolean().
available() ->
    with(1 bsl 30, fun(_Enter) -> true end) =:= true.

%% Makes a group, calls the function with the shell command that moves the shell into it, and removes the group when the function returns.
-spec with(pos_integer(), fun((Enter :: string()) -> Result)) -> Result | {error, iodata()}.
with(Limit, Fun) ->
    case hierarchy() of
        none ->
            {error, "there is no cgroup hierarchy for memory here"};
        {Mount, LimitFile, NoSwap} ->
            Group = filename:join(Mount, "bets-bench-" ++ os:getpid() ++ "-" ++ integer_to_list(erlang:unique_integer([positive]))),
            case file:make_dir(Group) of
                ok ->
                    try
                        limited(Group, LimitFile, Limit, NoSwap, Fun)
                    after
                        remove(Group, 20)
                    end;
                {error, Reason} ->
                    {error, io_lib:format("no cgroup can be made in ~ts: ~ts", [Mount, file:format_error(Reason)])}
            end
    end.

%% The kernel's files are written in one call each; where it does not count swap, there is no file for it.
limited(Group, LimitFile, Limit, {SwapFile, Swap}, Fun) ->
    case file:write_file(filename:join(Group, LimitFile), integer_to_list(Limit)) of
        ok ->
            _ = filelib:is_file(filename:join(Group, SwapFile)) andalso
                file:write_file(filename:join(Group, SwapFile), integer_to_list(Swap(Limit))),
            Fun("echo $$ > '" ++ filename:join(Group, "cgroup.procs") ++ "'");
        {error, Reason} ->
            {error, io_lib:format("the cgroup takes no limit: ~ts", [file:format_error(Reason)])}
    end.

%% The first version has a hierarchy a controller, the second has one for all.
hierarchy() ->
    {ok, Mounts} = file:read_file("/proc/mounts"),
    Lines = [string:lexemes(Line, " ") || Line <- string:lexemes(binary_to_list(Mounts), "\n")],
    First = [Mount || [_, Mount, "cgroup", Options | _] <- Lines, lists:member("memory", string:lexemes(Options, ","))],
    Second = [Mount || [_, Mount, "cgroup2" | _] <- Lines],
    case {First, Second} of
        {[Mount | _], _} -> {Mount, "memory.limit_in_bytes", {"memory.memsw.limit_in_bytes", fun(Limit) -> Limit end}};
        {[], [Mount | _]} -> {Mount, "memory.max", {"memory.swap.max", fun(_Limit) -> 0 end}};
        {[], []} -> none
    end.

%% The kernel lets go of a group a moment after its last process.
remove(Group, Tries) ->
    case file:del_dir(Group) of
        ok ->
            ok;
        {error, _} when Tries > 0 ->
            timer:sleep(100),
            remove(Group, Tries - 1);
        {error, Reason} ->
            io:format(standard_error, "~ts is left behind: ~ts~n", [Group, file:format_error(Reason)])
    end.
