#!/usr/bin/env escript
%% -*- erlang -*-
%% After a build with mix and one with rebar3, each has documentation that the shells can read: every function that
%% bets exports is either documented or marked hidden.
-mode(compile).

main([]) ->
    Beams = ["_build/mix/dev/lib/bets/ebin", "_build/default/lib/bets/ebin"],
    case lists:append([problems(Ebin) || Ebin <- Beams]) of
        [] -> ok;
        Problems -> [io:format("~ts~n", [P]) || P <- Problems], halt(1)
    end.

problems(Ebin) ->
    Chunk = filename:join([filename:dirname(Ebin), "doc", "chunks", "bets.chunk"]),
    case file:read_file(Chunk) of
        {ok, Bytes} ->
            {docs_v1, _, erlang, _, ModuleDoc, _, Docs} = binary_to_term(Bytes),
            Documented = [{Name, Arity} || {{function, Name, Arity}, _, _, Doc, _} <- Docs, Doc =/= none],
            Beam = filename:join(Ebin, "bets.beam"),
            {ok, {bets, [{exports, Exports}]}} = beam_lib:chunks(Beam, [exports]),
            [io_lib:format("~ts: the module has no documentation", [Chunk]) || ModuleDoc =:= none] ++
                [io_lib:format("~ts: no documentation of ~p/~b", [Chunk, Name, Arity])
                 || {Name, Arity} = F <- Exports, Name =/= module_info, Name =/= behaviour_info,
                    not lists:member(F, Documented)];
        {error, Reason} ->
            [io_lib:format("~ts: ~ts", [Chunk, file:format_error(Reason)])]
    end.
