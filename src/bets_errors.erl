%% @doc What the errors of {@link bets} mean, for the shell and for logs.
%%
%% An error that {@link ets} raises too has the words that `ets' of this OTP has for it. An error of `bets' itself is a
%% term, the `Reason' of `{error, Reason}' and of the raised `{bets, Reason}':
%% <dl>
%% <dt>`already_open'</dt><dd>the directory is open in this VM; share the table by its name or identifier.</dd>
%% <dt>`{locked, Dir, OsPid}'</dt><dd>another OS process has the directory open, or, for {@link bets:repair/2}, a snapshot of it; `OsPid' is `undefined' if it is not known.</dd>
%% <dt>`{no_table, Dir}'</dt><dd>there is no table in the directory.</dd>
%% <dt>`{not_a_table, Path, Why}'</dt><dd>the path is no directory, or holds what no table holds.</dd>
%% <dt>`{type_mismatch, Stored, Asked}', `{keypos_mismatch, Stored, Asked}'</dt>
%% <dd>the table was created with another type or position of the key.</dd>
%% <dt>`{name_mismatch, Dir}'</dt><dd>the directory that belongs to the name holds a table of another name.</dd>
%% <dt>`{bad_option, Option}'</dt><dd>the option is not one that can be used here.</dd>
%% <dt>`{bad_options, no_name}', `{bad_options, NoList}'</dt><dd>a table for a supervisor has no name, or its options are no list.</dd>
%% <dt>`already_exists'</dt><dd>a table has the name already.</dd>
%% <dt>`{io, Operation, Path, Posix}'</dt><dd>the operating system refused; `Posix' is as in {@link file}.</dd>
%% <dt>`{damaged, File, Offset, What}', `{missing, File}', `damaged_object'</dt>
%% <dd>bytes are not what was written, or gone.</dd>
%% <dt>`{newer_version, File, Version, Supported}'</dt><dd>a newer version of bets wrote the file.</dd>
%% <dt>`{read_only, Cause}'</dt><dd>an earlier failure stopped all writes until the table is opened again.</dd>
%% <dt>`{sync_failed, Cause}'</dt><dd>it is not known whether the write survives a power loss.</dd>
%% <dt>`merge_stuck'</dt><dd>a bug was met in a merge; nothing is lost, and there are no merges of the table until it is opened again.</dd>
%% <dt>`merge_cancelled', `not_started'</dt><dd>the merge was given up by {@link bets:merge/2}; it needs the application `bets' running.</dd>
%% <dt>`{too_large, What, Bytes, Limit}', `too_many_segments'</dt><dd>a limit of the format.</dd>
%% <dt>`internal_error', `table_failed'</dt>
%% <dd>a bug was met, in this call or in an earlier one on the table, which only takes `close/1' and `delete/1' now.</dd>
%% </dl>
%% {@link bets_import} has these besides:
%% <dl>
%% <dt>`{no_source, Source}', `{no_target, Tab}'</dt><dd>there is no such table, or the caller may not use it.</dd>
%% <dt>`{type_differs, Source, Target}', `{keypos_differs, Source, Target}'</dt>
%% <dd>the table cannot hold all that a table of the source's type can, or has its keys elsewhere.</dd>
%% <dt>`{not_empty, Tab, Size}'</dt><dd>a `duplicate_bag' that has objects would have them twice.</dd>
%% <dt>`{source_count, Expected, Found}'</dt><dd>the source gave another number of objects than it says that it has.</dd>
%% <dt>`{target_count, Expected, Found}', `{object_differs, Key}'</dt>
%% <dd>the table has not what was inserted.</dd>
%% <dt>`{bad_object, Term}', `{not_riak, Key}'</dt><dd>a decoder gave no object with a key, or has no word for the key.</dd>
%% <dt>`{not_dets, File}', `{not_closed, File}', `{dets, File, Reason}'</dt>
%% <dd>the file is none of dets, or was not closed, or dets has this to say of it.</dd>
%% <dt>`{no_bitcask, Dir}', `{bitcask_in_use, LockFile}'</dt>
%% <dd>there is no data file of Bitcask in the directory, or a program has it open for writing.</dd>
%% </dl>
-module(bets_errors).

-export([format_error/2, explain/1]).
-export([reason/1, options/1]).

-export_type([failure/0, reason/0]).

-type reason() :: term().
%% The reason of an error of `bets' itself.

-type failure() :: {badarg, Cause :: term()} | {system_limit, none} | {bets, reason()}.
%% What a function of `bets_nif' gives when it fails.

%% @private The reason to raise for a failure.
-spec reason(failure()) -> badarg | system_limit | {bets, reason()}.
reason({badarg, _Cause}) -> badarg;
reason({system_limit, _Cause}) -> system_limit;
reason({bets, _Reason} = Failure) -> Failure.

%% @private The options of `erlang:error/3' for a failure.
-spec options(failure()) -> [{error_info, map()}].
options({_Class, none}) -> [{error_info, #{module => ?MODULE}}];
options({_Class, Cause}) -> [{error_info, #{module => ?MODULE, cause => Cause}}].

%% @doc Explains an exception of {@link bets}, as the shell and loggers ask for it.
%%
%% Gives a map from the number of an argument to what is wrong with it.
-spec format_error(term(), erlang:stacktrace()) ->
    #{pos_integer() | general | reason => unicode:chardata()}.
format_error({bets, Reason}, _StackTrace) ->
    #{general => explain(Reason)};
format_error(_Reason, [{_Module, Function, Args, Info} | _]) when is_list(Args) ->
    words(maps:get(cause, proplists:get_value(error_info, Info, #{}), none), Function, Args, Info);
format_error(_Reason, _StackTrace) ->
    #{}.

words({bad_option, Option} = Cause, new, Args, Info) ->
    case bets_options:is_own(Option) of
        true -> #{2 => explain(Cause)};
        %% ets refuses it too, without naming it.
        false -> (words_of_ets(new, Args, Info))#{general => explain(Cause)}
    end;
%% ets has words for a caller without the right alone; a snapshot takes changes from nobody.
words(snapshot, _Function, _Args, _Info) ->
    #{1 => explain(snapshot)};
words(Cause, Function, Args, Info) ->
    case is_ets_cause(Cause) of
        true -> words_of_ets(Function, Args, Info);
        false -> #{length(Args) => explain(Cause)}
    end.

is_ets_cause(Cause) ->
    lists:member(Cause, [
        none, type, id, access, table_type, badkey, keypos, position, owner, not_owner, already_exists
    ]).

%% Some functions of ets are made of others, so that their errors name these.
words_of_ets(Function, [_Fun, _Acc, Tab], Info) when Function =:= foldl; Function =:= foldr ->
    moved(ask_ets(first, [Tab], Info), 3);
words_of_ets(Function, [Tab, Key], Info) when Function =:= next_lookup; Function =:= prev_lookup ->
    ask_ets(next, [Tab, Key], Info);
words_of_ets(lookup_element, [Tab, Key, Position, _Default], Info) ->
    ask_ets(lookup_element, [Tab, Key, Position], Info);
words_of_ets(update_element, [Tab, Key, Spec, Default] = Args, Info) ->
    %% From OTP 27 on ets has the function, and words for it.
    case erlang:function_exported(ets, update_element, 4) of
        true -> ask_ets(update_element, Args, Info);
        false when is_tuple(Default) -> ask_ets(update_element, [Tab, Key, Spec], Info);
        false -> maps:remove(3, (ask_ets(update_element, [Tab, Key, Spec], Info))#{4 => <<"not a tuple">>})
    end;
words_of_ets(Function, [Tab, Objects, _Options], Info) when Function =:= insert; Function =:= insert_new ->
    ask_ets(Function, [Tab, Objects], Info);
words_of_ets(ttl, [Tab, Key], Info) ->
    ask_ets(lookup, [Tab, Key], Info);
words_of_ets(batch, [Tab, Changes], Info) ->
    or_else(ask_ets(delete_all_objects, [Tab], Info), #{2 => changes(Changes)});
words_of_ets(replace_object, [Tab, Old, New], Info) ->
    or_else(ask_ets(delete_object, [Tab, Old], Info), #{3 => replacement(New)});
words_of_ets(select_delete, Args, Info) ->
    ask_ets(internal_select_delete, Args, Info);
words_of_ets(match_delete, [Tab, Pattern], Info) ->
    ask_ets(internal_select_delete, [Tab, [{Pattern, [], [true]}]], Info);
words_of_ets(Function, Args, Info) ->
    ask_ets(Function, Args, Info).

or_else(Words, Otherwise) when map_size(Words) =:= 0 -> Otherwise;
or_else(Words, _Otherwise) -> Words.

changes(Changes) when not is_list(Changes) -> <<"not a list">>;
changes(_Changes) -> <<"not a list of {put, Object} and {delete, Key}">>.

replacement(New) when not is_tuple(New) -> <<"not a tuple">>;
replacement(_New) -> <<"has not the key of the second argument">>.

moved(#{1 := Words}, Argument) -> #{Argument => Words};
moved(Words, _Argument) -> Words.

ask_ets(Function, Args, Info) ->
    try
        erl_stdlib_errors:format_error(badarg, [{ets, Function, Args, Info}])
    catch
        %% It meets improper lists unprepared.
        error:_ -> #{}
    end.

%% @doc Says in words what a reason of `{error, Reason}' or `{bets, Reason}' means.
%%
%% ```
%% 1> bets_errors:explain(already_open).
%% "the directory is already open as a table in this VM: use that one by its name or identifier"
%% '''
-spec explain(reason()) -> string().
explain(already_open) ->
    "the directory is already open as a table in this VM: use that one by its name or identifier";
explain(already_exists) ->
    "there is a table of that name already: use it, or take another name";
explain({locked, Dir, undefined}) ->
    text("~ts is in use by another OS process", [Dir]);
explain({locked, Dir, OsPid}) ->
    text("~ts is in use by OS process ~w", [Dir, OsPid]);
explain({no_table, Dir}) ->
    text("there is no table in ~ts; new/2 creates one", [Dir]);
explain({not_a_table, Path, Why}) ->
    text("~ts: ~ts", [Path, Why]);
explain({type_mismatch, Stored, Asked}) ->
    text("the table in the directory has type ~w, not ~w: open it with the stored type", [Stored, Asked]);
explain({keypos_mismatch, Stored, Asked}) ->
    text("the table in the directory has keypos ~w, not ~w: open it with the stored one", [Stored, Asked]);
explain({name_mismatch, Dir}) ->
    text("~ts holds a table of another name", [Dir]);
explain({bad_option, {ttl, Ttl}}) ->
    text("invalid option {ttl,~0tP}: a time to live is a number of milliseconds above 0, or infinity", [Ttl, 20]);
explain({bad_option, Option}) ->
    text("invalid option ~0tP: the documentation of the function tells which options there are, and their values", [Option, 20]);
explain({bad_options, no_name}) ->
    "the option {name, Name} is missing, or Name is no atom";
explain({bad_options, NoList}) ->
    text("~0tP is no list of options", [NoList, 20]);
explain({io, Operation, Path, Posix}) when is_atom(Posix) ->
    text("~ts ~ts: ~ts", [Operation, Path, file:format_error(Posix)]);
explain({io, Operation, Path, Posix}) ->
    text("~ts ~ts: ~tp", [Operation, Path, Posix]);
explain({damaged, File, Offset, What}) ->
    text("~ts is damaged at offset ~w: ~ts", [File, Offset, What]);
explain({missing, File}) ->
    text("~ts is missing", [File]);
explain(damaged_object) ->
    "the stored bytes of the object are no object";
explain({newer_version, File, Version, Supported}) ->
    text("~ts has format version ~w; this bets reads up to ~w", [File, Version, Supported]);
explain({read_only, Cause}) ->
    text("the table is read-only until it is closed and opened again, since an earlier failure: ~ts", [explain(Cause)]);
explain({sync_failed, Cause}) ->
    text("sync failed, the outcome is unknown: ~ts", [explain(Cause)]);
explain({too_large, What, Bytes, Limit}) ->
    text("~ts of ~w bytes is larger than the limit of ~w", [What, Bytes, Limit]);
explain(merge_stuck) ->
    <<"a merge met objects that it had not copied, which is a bug; nothing is lost, and the table is not merged until it is opened again">>;
explain(merging) ->
    <<"a merge of the table is under way">>;
explain(merge_cancelled) ->
    <<"the merge was cancelled; everything is as before">>;
explain(not_started) ->
    <<"the application bets is not running: application:ensure_all_started(bets)">>;
explain({bad_command, _Command}) ->
    <<"not pause, resume, cancel, subscribe or unsubscribe">>;
explain(too_many_segments) ->
    "the table has too many segments";
explain({no_source, Source}) ->
    text("there is no ets table ~tp that the caller may read", [Source]);
explain({no_target, Tab}) ->
    text("there is no table ~tp that the caller may write to", [Tab]);
explain({type_differs, Source, Target}) ->
    text("a ~w cannot hold all that a ~w can: import into a table of another type", [Target, Source]);
explain({keypos_differs, Source, Target}) ->
    text("the key is at position ~w of the source's objects and at ~w of the table's", [Source, Target]);
explain({not_empty, Tab, Size}) ->
    text("the duplicate_bag ~tp has ~w objects, which would be there twice: {restart, true} deletes them first", [Tab, Size]);
explain({source_count, Expected, Found}) ->
    text("the source says that it has ~w objects, and gave ~w: it was written to meanwhile or is damaged", [Expected, Found]);
explain({target_count, Expected, Found}) ->
    text("~w objects were inserted, and the table has ~w: keys were the same, or it was written to meanwhile", [Expected, Found]);
explain({object_differs, Key}) ->
    text("the object with the key ~tP in the table is not the one that was inserted", [Key, 20]);
explain({bad_object, Term}) ->
    text("~tP is no object with a key", [Term, 20]);
explain({not_riak, Key}) ->
    text("~tP is no key of Riak", [Key, 20]);
explain({not_dets, File}) ->
    text("~ts is no file of dets", [File]);
explain({not_closed, File}) ->
    text("~ts was not closed, or is open: close it where it is open, or import with {repair, true}, which has dets repair a copy and may lose objects", [File]);
explain({dets, File, Reason}) ->
    text("dets cannot read ~ts: ~tp", [File, Reason]);
explain({no_bitcask, Dir}) ->
    text("there is no data file of Bitcask in ~ts", [Dir]);
explain({bitcask_in_use, LockFile}) ->
    text("there is ~ts: a program has the directory open, or was killed; close it there, or, if no program has it open, import with {force, true}", [LockFile]);
explain(snapshot) ->
    "the table is a snapshot, opened with {access, read}, which takes no changes: make them where the table is open without that option";
explain(closed) ->
    "the table was closed meanwhile";
explain(internal_error) ->
    "internal error; the table only takes close/1 and delete/1 now";
explain(table_failed) ->
    "an earlier internal error; the table only takes close/1 and delete/1 now";
explain(Reason) ->
    text("~tp", [Reason]).

text(Format, Args) ->
    lists:flatten(io_lib:format(Format, Args)).
