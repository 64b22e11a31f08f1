#!/usr/bin/env escript
%% -*- erlang -*-
%% The two steps of the build that neither mix nor rebar3 has of its own. Both call this file, so that a
%% dependency on bets needs no package beyond Erlang and a Rust toolchain.
%%
%%   build.escript nif  [APP_DIR]   compile native/nif with cargo, install APP_DIR/priv/bets_nif.so
%%   build.escript docs [APP_DIR]   write APP_DIR/doc/chunks from the sources, for h/1,2,3 of the shells
%%
%% APP_DIR is the application's directory inside _build; under rebar3 it follows from the environment of the
%% hook. Nothing is written into the source tree. Cargo works in _build/bets_native, or in CARGO_TARGET_DIR if
%% that is set. BETS_CARGO_FEATURES names features of the crate bets_nif to build with.
-mode(compile).

main([Step]) -> main([Step, rebar_app_dir()]);
main(["nif", AppDir]) -> nif(filename:absname(AppDir));
main(["docs", AppDir]) -> docs(filename:absname(AppDir));
main(_) -> fail("usage: build.escript nif|docs [APP_DIR]", []).

%% --- nif ---------------------------------------------------------------------------------------------------

nif(AppDir) ->
    Cargo = cargo(),
    require_version(Cargo, minimum_version()),
    Target = filename:join([AppDir, "priv", "bets_nif.so"]),
    Library = build(Cargo, target_dir(AppDir), filelib:is_regular(Target)),
    install(Library, Target).

cargo() ->
    Home = os:getenv("CARGO_HOME", filename:join(os:getenv("HOME", "/"), ".cargo")),
    case {os:find_executable("cargo"), os:find_executable("cargo", filename:join(Home, "bin"))} of
        {false, false} ->
            fail("bets needs a Rust toolchain (Rust ~s or newer) to build its NIF, and there is no cargo on the "
                 "PATH nor in ~s.~nInstall one from https://rustup.rs and build again.",
                 [minimum_version(), filename:join(Home, "bin")]);
        {false, Cargo} -> Cargo;
        {Cargo, _} -> Cargo
    end.

%% The Cargo.toml of the workspace states the version once, for cargo and for this check. Cargo's own check comes
%% too late: an older cargo already stops at the edition, with a message that does not say what to do.
minimum_version() ->
    {ok, Toml} = file:read_file(source("Cargo.toml")),
    {match, [Version]} = re:run(Toml, "^rust-version = \"([0-9.]+)\"", [multiline, {capture, all_but_first, list}]),
    Version.

require_version(Cargo, Minimum) ->
    {Status, Lines} = run(Cargo, ["--version"]),
    case re:run(Lines, "^cargo ([0-9]+\\.[0-9]+(\\.[0-9]+)?)", [multiline, {capture, [1], list}]) of
        {match, [Version]} when Status =:= 0 ->
            numbers(Version) >= numbers(Minimum) orelse
                fail("bets needs Rust ~s or newer to build its NIF; ~s is version ~s.~n"
                     "Update it (rustup update stable) and build again.", [Minimum, Cargo, Version]);
        _ ->
            fail("bets needs a Rust toolchain (Rust ~s or newer) to build its NIF, and ~s --version failed "
                 "(exit status ~b).", [Minimum, Cargo, Status])
    end.

numbers(Version) -> [list_to_integer(N) || N <- string:lexemes(Version, ".")].

%% One cargo directory serves every mix environment and rebar3 profile of a _build, so that only the first of them
%% compiles. A build path of another shape keeps its own.
target_dir(AppDir) ->
    case {os:getenv("CARGO_TARGET_DIR"), lists:splitwith(fun(Name) -> Name =/= "_build" end,
                                                         lists:reverse(filename:split(AppDir)))} of
        {false, {_, ["_build" | _] = Build}} ->
            filename:join(lists:reverse(["bets_native" | Build]));
        {false, {_, []}} ->
            filename:join(filename:dirname(filename:dirname(AppDir)), "bets_native");
        {Dir, _} ->
            filename:absname(Dir)
    end.

%% Cargo tells its progress on the standard error, which goes to the terminal as it is, and its results as one JSON
%% object a line; the library's path is taken from there, because a configured target triple changes it.
build(Cargo, TargetDir, Quiet) ->
    Args = ["build", "-p", "bets_nif", "--release", "--locked", "--target-dir", TargetDir,
            "--message-format", "json-render-diagnostics"]
        ++ [Arg || Features <- [os:getenv("BETS_CARGO_FEATURES", "")], Features =/= "",
                   Arg <- ["--features", Features]]
        ++ ["--quiet" || Quiet],
    case run(Cargo, Args) of
        {0, Output} -> library(Output);
        {Status, _} -> fail("bets: cargo build failed (exit status ~b).", [Status])
    end.

library(Output) ->
    Artifact = "\"reason\":\"compiler-artifact\".*\"name\":\"bets_nif\".*\"filenames\":\\[[^]]*"
               "\"([^\"]*bets_nif\\.(so|dylib|dll))\"",
    case re:run(Output, Artifact, [{capture, [1], binary}]) of
        {match, [Path]} -> unicode:characters_to_list(binary:replace(Path, <<"\\\\">>, <<"\\">>, [global]));
        nomatch -> fail("bets: cargo built no library named bets_nif.", [])
    end.

%% The VM loads priv/bets_nif.so on every system, so a .dylib changes its name here. A running VM may have the
%% old library mapped: its bytes are never written over, a new file takes the name.
install(Library, Target) ->
    {ok, Bytes} = file:read_file(Library),
    case file:read_file(Target) of
        {ok, Bytes} ->
            ok;
        _ ->
            ok = ensure_own_dir(filename:dirname(Target)),
            Beside = Target ++ "." ++ os:getpid(),
            written(file:write_file(Beside, Bytes), Beside),
            written(file:rename(Beside, Target), Target)
    end.

%% Build tools link _build's priv to a priv of the source, if there is one; what is built must not go there.
ensure_own_dir(Priv) ->
    case file:read_link(Priv) of
        {ok, _} -> written(file:delete(Priv), Priv);
        {error, _} -> ok
    end,
    written(filelib:ensure_dir(filename:join(Priv, "x")), Priv).

%% --- docs --------------------------------------------------------------------------------------------------

%% A build without documentation is still a build: without edoc, or on a source it cannot read, nothing is written
%% and the compiler has the word.
docs(AppDir) ->
    Out = filename:join(AppDir, "doc"),
    Stale = [Source || Source <- filelib:wildcard(source("src/*.erl")), stale(Source, chunk(Out, Source))],
    case Stale =/= [] andalso code:ensure_loaded(edoc_doclet_chunks) of
        {module, _} ->
            Options = [{doclet, edoc_doclet_chunks}, {layout, edoc_layout_chunks}, {dir, Out}, {preprocess, true},
                       {includes, [source("include"), source("src")]}, {private, true}],
            try edoc:files(Stale, Options)
            catch _:_ -> io:format(standard_error, "bets: edoc could not write the documentation chunks.~n", [])
            end;
        _ ->
            ok
    end.

chunk(Out, Source) -> filename:join([Out, "chunks", filename:basename(Source, ".erl") ++ ".chunk"]).

stale(Source, Chunk) -> filelib:last_modified(Chunk) =< filelib:last_modified(Source).

%% --- shared ------------------------------------------------------------------------------------------------

source(Name) ->
    filename:join(filename:dirname(filename:dirname(filename:absname(escript:script_name()))), Name).

%% rebar3 unpacks a dependency straight into _build and builds it there; of a project's own application it keeps
%% the build apart from the source.
rebar_app_dir() ->
    Root = filename:dirname(source("native")),
    case {os:getenv("REBAR_BUILD_DIR"), lists:reverse(filename:split(Root))} of
        {false, _} -> fail("build.escript: name the application's directory, or call it from rebar3.", []);
        {_, [_App, "lib", _Profile, "_build" | _]} -> Root;
        {BuildDir, [App, "_checkouts" | _]} -> filename:join([BuildDir, "checkouts", App]);
        {BuildDir, _} -> filename:join([BuildDir, "lib", "bets"])
    end.

run(Command, Args) ->
    Port = open_port({spawn_executable, Command}, [{args, Args}, {cd, source("")}, binary, exit_status, in, hide]),
    collect(Port, []).

collect(Port, Chunks) ->
    receive
        {Port, {data, Bytes}} -> collect(Port, [Bytes | Chunks]);
        {Port, {exit_status, Status}} -> {Status, iolist_to_binary(lists:reverse(Chunks))}
    end.

written(ok, _Path) -> ok;
written({error, Reason}, Path) -> fail("bets: cannot write ~ts: ~ts.", [Path, file:format_error(Reason)]).

-spec fail(string(), [term()]) -> no_return().
fail(Format, Args) ->
    io:format(standard_error, "~n" ++ Format ++ "~n~n", Args),
    halt(1).
