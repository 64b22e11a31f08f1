%% @private
%% What went wrong in words of the command line: its commands and options are not those of the library.
-module(bets_cli_hint).

-export([explain/4, damage/2]).

%% What a command met, in words.
-spec explain(Command :: string(), Dir :: string(), bets_cli:options(), bets_errors:reason()) -> iodata().
explain(Command, Dir, Options, Reason) ->
    Hint =
        case damaged_file(Reason, Dir) of
            {ok, File} -> hint(Command, Dir, is_manifest(File));
            %% It is the source that is damaged, and nothing of bets repairs it.
            source when Command =:= "import", not is_map_key('skip-damaged', Options) -> "--skip-damaged passes over what cannot be read";
            _ -> ""
        end,
    [words(Reason, Dir), ["; " || Hint =/= ""], Hint].

words({no_table, Dir}, _) ->
    io_lib:format("there is no table in ~ts", [Dir]);
words({not_closed, File}, _) ->
    io_lib:format("~ts was not closed, or is open: close it where it is open, or import with --repair, which has dets repair a copy and may lose objects", [File]);
words({bitcask_in_use, LockFile}, _) ->
    io_lib:format("there is ~ts: a program has the directory open, or was killed; close it there, or, if no program has it open, import with --force", [LockFile]);
words({not_empty, _Tab, Size}, Dir) ->
    io_lib:format("the duplicate_bag in ~ts has ~w objects, which would be there twice: --restart deletes them first", [Dir, Size]);
words(Reason, _Dir) ->
    bets_errors:explain(Reason).

%% What is to be done about the files with damage.
-spec damage(Dir :: string(), [file:filename_all()]) -> iodata().
damage(Dir, Files) ->
    hint("verify", Dir, lists:any(fun is_manifest/1, Files)).

hint(_Command, Dir, true) ->
    ["bin/bets repair ", Dir, " --force --type TYPE rebuilds the MANIFEST from the data files (with --keypos N, if it was not 1)"];
%% What it does not repair it says by itself.
hint("repair", _Dir, false) ->
    "";
hint(_Command, Dir, false) ->
    ["bin/bets repair ", Dir, " saves what can be saved"].

is_manifest(File) -> lists:member(filename:basename(File), ["MANIFEST", <<"MANIFEST">>]).

%% The source of an import is damaged in the same words.
damaged_file({damaged, File, _Offset, _What}, Dir) -> in_dir(File, Dir);
damaged_file({missing, File}, Dir) -> in_dir(File, Dir);
damaged_file(damaged_object, _Dir) -> {ok, "an object"};
damaged_file(_Reason, _Dir) -> none.

in_dir(File, Dir) ->
    case bets_dir:absolute(filename:dirname(File)) =:= bets_dir:absolute(Dir) of
        true -> {ok, File};
        false -> source
    end.
