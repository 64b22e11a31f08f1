%% What a .beam file exports and what it calls.
%%
%% The code itself is read, not the debug information: calls between modules, calls of functions of the same module
%% that are exported, built-in functions, and `fun M:F/A' where it stands as an operand. What `apply' calls by a name
%% made at run time cannot be seen.
-module(demo_beams).

-export([files/1, read/1]).
-export_type([contents/0]).

-type contents() :: #{
    module := module(),
    app := atom(),
    functions := [mfa()],
    %% {Callee, Caller} and how many call sites there are; the body of a fun belongs to the function that it stands in
    calls := [{{mfa(), mfa()}, pos_integer()}]
}.

%% The .beam files on the code path that belong to OTP, the first of each name, as the code server would choose.
-spec files(Short :: boolean()) -> [file:filename()].
files(Short) ->
    Root = code:lib_dir(),
    Dirs = [Dir || Dir <- code:get_path(), lists:prefix(Root, Dir), wanted(app(Dir), Short)],
    Files = [File || Dir <- Dirs, File <- filelib:wildcard(filename:join(Dir, "*.beam"))],
    first_of_each(Files, #{}).

wanted(_App, false) -> true;
wanted(App, true) -> lists:member(App, [kernel, stdlib]).

first_of_each([], _Seen) ->
    [];
first_of_each([File | Files], Seen) ->
    Name = filename:basename(File),
    case Seen of
        #{Name := _} -> first_of_each(Files, Seen);
        #{} -> [File | first_of_each(Files, Seen#{Name => seen})]
    end.

-spec read(file:filename()) -> contents().
read(File) ->
    {beam_file, Module, Exports, _Attributes, _Info, Functions} = beam_disasm:file(File),
    Exported = maps:from_list([{{Module, F, A}, true} || {F, A, _Label} <- Exports]),
    Sites = [
        {Callee, caller(Module, Name, Arity)}
     || {function, Name, Arity, _Entry, Code} <- Functions,
        Instruction <- Code,
        is_tuple(Instruction),
        Callee <- callees(Instruction, Exported)
    ],
    #{
        module => Module,
        app => app(filename:dirname(File)),
        functions => lists:sort(maps:keys(Exported)),
        calls => lists:sort(maps:to_list(count(Sites)))
    }.

callees({bif, Name, _Fail, Args, _To}, _Exported) ->
    [{erlang, Name, length(Args)}];
callees({gc_bif, Name, _Fail, _Live, Args, _To}, _Exported) ->
    [{erlang, Name, length(Args)}];
callees(Instruction, Exported) ->
    lists:append([operand(Operand, Exported) || Operand <- tuple_to_list(Instruction)]).

operand({extfunc, M, F, A}, _Exported) -> [{M, F, A}];
operand({literal, Fun}, _Exported) when is_function(Fun) -> external(Fun);
operand({M, F, A} = Local, Exported) when is_atom(M), is_atom(F), is_integer(A), is_map_key(Local, Exported) -> [Local];
operand({list, Operands}, Exported) -> lists:append([operand(O, Exported) || O <- Operands]);
operand(_Other, _Exported) -> [].

external(Fun) ->
    case erlang:fun_info(Fun, type) of
        {type, external} ->
            {module, M} = erlang:fun_info(Fun, module),
            {name, F} = erlang:fun_info(Fun, name),
            {arity, A} = erlang:fun_info(Fun, arity),
            [{M, F, A}];
        {type, local} ->
            []
    end.

%% The compiler names the body of a fun `-f/1-fun-0-', of a comprehension `-f/1-lc$^0/1-0-'.
caller(Module, Name, Arity) ->
    case re:run(atom_to_list(Name), "^-(.+)/([0-9]+)-", [ungreedy, unicode, {capture, all_but_first, list}]) of
        {match, [F, A]} -> {Module, list_to_atom(F), list_to_integer(A)};
        nomatch -> {Module, Name, Arity}
    end.

count(Sites) ->
    lists:foldl(fun(Site, Counts) -> maps:update_with(Site, fun(N) -> N + 1 end, 1, Counts) end, #{}, Sites).

%% "/usr/lib/erlang/lib/stdlib-4.2/ebin" is of the application stdlib.
app(Ebin) ->
    Dir = filename:basename(filename:dirname(Ebin)),
    list_to_atom(hd(string:split(Dir, "-"))).
