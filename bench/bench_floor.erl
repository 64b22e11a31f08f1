%% Floors: what an operation takes in a minimal program that does nothing but the inevitable. A target that is missed, but met by no more than a
%% tenth above its floor, is missed by the machine.
%%
%% Every executable in bench/floor/ takes part in every run of a report. It is called with the number of objects, the bytes of a value and an
%% empty directory, and prints lines `TYPE OPERATION PROCESSES FIGURE': the type of table, an operation of `bench_ops', the figure in
%% the operation's unit. What else it prints is not read.
-module(bench_floor).

-export([programs/0, subject/1, run/1]).

-spec programs() -> [file:filename()].
programs() ->
    Folder = filename:join([os:getenv("BETS_ROOT", "."), "bench", "floor"]),
    [File || File <- lists:sort(filelib:wildcard(filename:join(Folder, "*"))), executable(File)].

executable(File) ->
    os:find_executable(File) =/= false.

%% Under which name results stand that are a floor of this subject.
-spec subject(atom()) -> atom().
subject(Subject) ->
    case bench_subject:find(Subject) of
        {ok, #{type := Type}} -> floor_of(Type);
        error -> floor_of(set)
    end.

floor_of(set) -> floor_set;
floor_of(ordered_set) -> floor_ordered_set.

-spec run(#{program := file:filename(), objects := pos_integer(), value := pos_integer(), dir := file:filename(), _ => _}) ->
    {ok, [map()]} | {error, iodata()}.
run(#{program := Program, objects := Objects, value := Value, dir := Dir}) ->
    _ = file:del_dir_r(Dir),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    Args = [integer_to_list(Objects), integer_to_list(Value), Dir],
    Outcome = bench_vm:execute(Program, Args),
    _ = file:del_dir_r(Dir),
    case Outcome of
        {0, Output} -> {ok, lists:flatmap(fun result/1, string:lexemes(unicode:characters_to_list(iolist_to_binary(Output)), "\n"))};
        {Status, Output} -> {error, io_lib:format("exit status ~b~n~ts", [Status, Output])}
    end.

result(Line) ->
    case string:lexemes(Line, " ") of
        [Type, Op, Procs, Figure] when Type =:= "set"; Type =:= "ordered_set" ->
            {ok, #{name := Name}} = bench_ops:find(list_to_existing_atom(Op)),
            [#{subject => floor_of(list_to_existing_atom(Type)), op => Name, procs => list_to_integer(Procs), value => figure(Figure)}];
        _ ->
            []
    end.

figure(Text) ->
    case string:to_float(Text) of
        {error, no_float} -> list_to_integer(Text);
        {Float, _} -> Float
    end.
