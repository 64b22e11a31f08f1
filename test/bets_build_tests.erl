-module(bets_build_tests).
%% PropEr first: both define ?LET, and EUnit gives way.
-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").

%% The library that the build put beside the beams is the one that is loaded.
the_nif_loads_test() ->
    ?assertMatch({module, bets_nif}, code:ensure_loaded(bets_nif)).

%% A project of the same name in the code path is not taken for the application. (`bets' was cloned into `/bets', which rebar3 puts
%% into the path: the library was looked for in `/bets/priv', and no second VM could load it.)
the_nif_loads_beside_a_directory_called_bets_test_() ->
    {timeout, 60, fun() ->
        Dir = filename:join(["/tmp", "bets_build_tests_" ++ os:getpid(), "bets"]),
        ok = filelib:ensure_path(Dir),
        Erl = filename:join([code:root_dir(), "bin", "erl"]),
        Ebin = filename:dirname(code:which(bets)),
        Eval = "io:write({code:lib_dir(bets), code:ensure_loaded(bets_nif)}), halt().",
        Command = lists:join($\s, [["'", Word, "'"] || Word <- [Erl, "-noinput", "-pa", Ebin, Dir, "-eval", Eval]]),
        ?assertEqual(lists:flatten(io_lib:write({Dir, {module, bets_nif}})), os:cmd(lists:flatten(Command))),
        file:del_dir_r(filename:dirname(Dir))
    end}.

%% What the application's environment may have stands in the documentation of the module.
the_documentation_names_each_key_of_the_environment_test() ->
    {ok, Source} = file:read_file(filename:join(filename:dirname(proplists:get_value(source, bets:module_info(compile))), "bets.erl")),
    [_, Behind] = string:split(Source, "== Configuration =="),
    [Section, _] = string:split(Behind, "== Cost =="),
    _ = application:load(bets),
    {ok, Known} = application:get_all_key(bets),
    Keys = [cache | proplists:get_keys(proplists:get_value(env, Known))],
    [?assertNotEqual(nomatch, string:find(Section, [$`, atom_to_list(Key), $']), Key) || Key <- Keys].
