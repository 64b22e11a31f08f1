%% @private
%% What an operator may do about damage, which the reasons of the library do not say: there it is not told by commands.
-module(bets_cli_hint).

-export([explain/3, damage/2]).

%% What a command met, in words.
-spec explain(Command :: string(), Dir :: string(), bets_errors:reason()) -> iodata().
explain(Command, Dir, Reason) ->
    Hint =
        case damaged_file(Reason, Dir) of
            {ok, File} -> hint(Command, Dir, is_manifest(File));
            none -> ""
        end,
    [bets_errors:explain(Reason), ["; " || Hint =/= ""], Hint].

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

%% The source of an import is damaged in the same words, and nothing of bets repairs it.
damaged_file({damaged, File, _Offset, _What}, Dir) -> in_dir(File, Dir);
damaged_file({missing, File}, Dir) -> in_dir(File, Dir);
damaged_file(damaged_object, _Dir) -> {ok, "an object"};
damaged_file(_Reason, _Dir) -> none.

in_dir(File, Dir) ->
    case bets_dir:absolute(filename:dirname(File)) =:= bets_dir:absolute(Dir) of
        true -> {ok, File};
        false -> none
    end.
