%% All EUnit suites, with a minute for each `_test()': EUnit's five seconds are what a disk that stands still for a while takes by itself.
-module(bets_eunit).

-export([all/0]).

-define(SECONDS, 60).

all() ->
    %% Where none is found, nothing would be tested and all be well.
    [_ | _] = Beams = filelib:wildcard(filename:join(filename:dirname(code:which(?MODULE)), "*_tests.beam")),
    [{Name, tests(list_to_atom(Name))} || Beam <- lists:sort(Beams), Name <- [filename:basename(Beam, ".beam")]].

tests(Module) ->
    lists:append([test(Module, Name, atom_to_list(Name)) || {Name, 0} <- Module:module_info(exports)]).

test(Module, Name, String) ->
    case {lists:suffix("_test", String), lists:suffix("_test_", String)} of
        {true, _} -> [{timeout, ?SECONDS, {Module, Name}}];
        {_, true} -> [{generator, Module, Name}];
        _ -> []
    end.
