%% @doc What {@link bets:verify/2} and {@link bets:repair/2} tell, and how far a repair goes.
%%
%% == Report ==
%% A {@link report()} is a map:
%% <dl>
%% <dt>`sound'</dt><dd>whether nothing is wrong.</dd>
%% <dt>`status'</dt><dd>`unchanged': nothing was repaired; `repaired'; `refused': what would be lost needs `{repair, force}', and nothing was changed.</dd>
%% <dt>`segments', `records', `bytes'</dt><dd>what was read: files, the records of them that are right, bytes.</dd>
%% <dt>`objects'</dt><dd>of an open table, how many live objects were read where the index in memory says that they stand.</dd>
%% <dt>`faults', `omitted'</dt><dd>what is wrong, 10,000 entries at most, and the number of those that are not in the list.</dd>
%% <dt>`spoilt'</dt><dd>hint files and checkpoints of a closed table that are not as they were written, as faults whose loss is `none'. They save time only: the
%% next opening does without them, and makes them anew; a repair that changes the table removes them. They do not make a table unsound. Those of an open table are not looked at.</dd>
%% <dt>`loss'</dt><dd>the worst loss of all faults.</dd>
%% <dt>`quarantined'</dt><dd>the damaged files, where the repair has put them.</dd>
%% </dl>
%%
%% == Faults ==
%% A {@link fault()} names `file', `offset' and `length' in bytes (0 if that is not known) and says `what' is wrong. `loss' is what it costs:
%% <dl>
%% <dt>`none'</dt><dd>no object: the bytes only describe others, or stand elsewhere too.</dd>
%% <dt>`object'</dt><dd>one object, whose `key' is known. In a damaged table each read of it is an error; after a repair it is absent, and no older
%% object with the key comes back.</dd>
%% <dt>`records'</dt><dd>records whose keys are not known, or of a list that was not written to its end. They may have been newer objects or
%% deletions, so that <em>older objects of their keys may come back</em>. `seqs' are the first and the last of the sequence numbers among
%% which they are.</dd>
%% </dl>
%% Where bytes of a file cannot be read at all, its hint, if that is right, still names the keys of the records that stood there. Then the loss is `object' in the place of
%% `records', and deletions that stood there are not lost.
%%
%% == Repair ==
%% What a power loss or a kill has left is no damage: opening the table deals with it. Damage that an opening meets makes it fail until the table is
%% repaired; damage that it does not meet, because it need not read all files, makes reads of the objects concerned fail.
%% <dl>
%% <dt>`{repair, true}'</dt><dd>repairs a table if each object that is lost is known by its key (`loss' is `none' or `object'). If more would be lost,
%% nothing is changed.</dd>
%% <dt>`{repair, force}'</dt><dd>takes all records that can be read. Segments that are missing or cut are gone on without. A `MANIFEST' that
%% is missing or damaged is made anew of the segments, if the options name the type of the table (and `keypos', if it is not 1): it does not stand
%% anywhere else. Objects of a list that was not written to its end are not taken, as at any opening.</dd>
%% </dl>
%% Damaged files go to `quarantine', a folder in the table's directory, with all their bytes. Nothing in it is ever read, replaced or removed, also
%% not when the table is deleted. A repair that was interrupted is begun again and ends the same.
-module(bets_repair).

-export([inspect/1, verify/2, repair/2, at_open/4]).

-export_type([report/0, fault/0, loss/0, overview/0, progress/0, verify_option/0, option/0]).

-include_lib("kernel/include/file.hrl").
-include_lib("kernel/include/logger.hrl").

-type loss() :: none | object | records.
%% What a fault costs.

-type fault() :: #{
    file := file:filename_all(),
    offset := non_neg_integer(),
    length := non_neg_integer(),
    what := binary(),
    loss := loss(),
    key => bets:key(),
    seqs => {First :: pos_integer(), Last :: pos_integer()}
}.
%% Something that is not as it was written.

-type report() :: #{
    status := unchanged | repaired | refused,
    sound := boolean(),
    segments := non_neg_integer(),
    records := non_neg_integer(),
    bytes := non_neg_integer(),
    objects => non_neg_integer(),
    faults := [fault()],
    omitted := non_neg_integer(),
    spoilt := [fault()],
    loss := loss(),
    quarantined := [file:filename_all()]
}.
%% What was found and done.

-type overview() :: #{
    type := bets:type(),
    keypos := pos_integer(),
    name := binary(),
    generation := pos_integer(),
    segments := non_neg_integer(),
    sealed := non_neg_integer(),
    disk_bytes := non_neg_integer()
}.
%% What the `MANIFEST' of a table tells.

-type progress() :: #{done := non_neg_integer(), total := non_neg_integer()}.
%% Bytes. The total is that of the files, some of which need not be read to their ends.

-type verify_option() :: {progress, fun((progress()) -> term())}.

-type option() ::
    verify_option()
    | {repair, true | force}
    | bets:type()
    | {keypos, pos_integer()}
    | {name, atom()}.
%% `{repair, true}' is the default. Type, `keypos' and `name' are what a new `MANIFEST' gets; a stored type is compared with the one given.

-define(POLL_MS, 100).
-define(LOGGED_FAULTS, 20).

%% @private Tells what the directory of a table says of it, whether it is open or not. Changes nothing.
-spec inspect(file:name_all()) -> {ok, overview()} | {error, bets_errors:reason()} | {badarg, term()}.
inspect(Dir) ->
    in_dir(Dir, none, fun(Path, _Progress) -> bets_nif:inspect(Path) end).

%% @private
-spec verify(term(), term()) -> {ok, report()} | {error, bets_errors:reason()} | {badarg, term()}.
verify(Source, Options) ->
    case {parse(Options, #{progress => none}), is_table(Source)} of
        {#{progress := Fun}, true} -> finish(check(Source, Fun, bets_nif:new_progress()));
        {#{progress := Fun}, false} -> verify_dir(Source, Fun);
        {{bad_option, _} = Cause, _} -> {badarg, Cause}
    end.

verify_dir(Dir, Fun) ->
    case in_dir(Dir, Fun, fun bets_nif:verify/2) of
        {error, already_open} -> verify_open(Dir, Fun);
        Result -> Result
    end.

verify_open(Dir, Fun) ->
    Id = file_id(Dir),
    case [finish(check(Tab, Fun, bets_nif:new_progress())) || Tab <- bets_nif:all(), is_written_to(Tab, Id)] of
        [{badarg, _} | _] -> {error, already_open};
        [Result | _] -> Result;
        %% It was closed meanwhile.
        [] -> {error, already_open}
    end.

%% Whether the table, and no snapshot of it, has this directory open.
is_written_to(Tab, Id) ->
    case [bets_info:item(Tab, Item) || Item <- [access, dir]] of
        [{ok, write}, {ok, Dir}] -> Id =/= none andalso file_id(Dir) =:= Id;
        _ -> false
    end.

%% A directory has many paths.
file_id(Dir) ->
    case file:read_file_info(Dir) of
        {ok, #file_info{major_device = Device, inode = Inode}} -> {Device, Inode};
        {error, _} -> none
    end.

%% @private
-spec repair(term(), term()) -> {ok, report()} | {error, bets_errors:reason()} | {badarg, term()}.
repair(Dir, Options) ->
    Defaults = #{progress => none, repair => true, type => undefined, keypos => undefined, name => undefined},
    case parse(Options, Defaults) of
        #{progress := Fun, repair := Mode, type := Type, keypos := KeyPos, name := Name} ->
            Meta = {Type, KeyPos, name(Name)},
            in_dir(Dir, Fun, fun(Path, Progress) -> bets_nif:repair(Path, Mode, Meta, Progress) end);
        {bad_option, _} = Cause ->
            {badarg, Cause}
    end.

name(undefined) -> <<>>;
name(Name) -> atom_to_binary(Name, utf8).

%% A name that no table has is a directory's name as little as any other atom is.
is_table(Source) -> is_atom(Source) orelse is_reference(Source).

parse([{progress, Fun} | Rest], Acc) when is_function(Fun, 1) -> parse(Rest, Acc#{progress := Fun});
parse([{repair, Mode} | Rest], Acc = #{repair := _}) when Mode =:= true; Mode =:= force -> parse(Rest, Acc#{repair := Mode});
parse([{keypos, N} | Rest], Acc = #{keypos := _}) when is_integer(N), N > 0, N =< 16#FFFFFFFF -> parse(Rest, Acc#{keypos := N});
parse([{name, Name} | Rest], Acc = #{name := _}) when is_atom(Name) -> parse(Rest, Acc#{name := Name});
parse([Type | Rest], Acc = #{type := _}) when Type =:= set; Type =:= ordered_set; Type =:= bag; Type =:= duplicate_bag ->
    parse(Rest, Acc#{type := Type});
parse([], Acc) ->
    Acc;
parse([Option | _], _Acc) ->
    {bad_option, Option};
parse(NoList, _Acc) ->
    {bad_option, NoList}.

finish({bets, Reason}) -> {error, Reason};
finish(Result) -> Result.

in_dir(Dir, Fun, Work) ->
    case bets_dir:absolute(Dir) of
        {ok, Path} ->
            ok = bets_app:ensure_started(),
            finish(watched(Path, Fun, Work, bets_nif:new_progress()));
        error ->
            {badarg, {bad_option, {dir, Dir}}}
    end.

watched(Path, none, Work, Progress) ->
    Work(Path, Progress);
watched(Path, Fun, Work, Progress) ->
    Caller = self(),
    {Worker, Monitor} = spawn_monitor(fun() -> Caller ! {self(), Work(Path, Progress)} end),
    watch(Worker, Monitor, Fun, Progress, total(Path)).

watch(Worker, Monitor, Fun, Progress, Total) ->
    receive
        {Worker, Result} ->
            true = demonitor(Monitor, [flush]),
            tell(Fun, Progress, Total),
            Result;
        {'DOWN', Monitor, process, Worker, Reason} ->
            exit(Reason)
    after ?POLL_MS ->
        tell(Fun, Progress, Total),
        watch(Worker, Monitor, Fun, Progress, Total)
    end.

tell(none, _Progress, _Total) ->
    ok;
tell(Fun, Progress, Total) ->
    Done = bets_nif:progress(Progress),
    Fun(#{done => Done, total => max(Done, Total)}),
    ok.

total(Path) ->
    lists:sum([filelib:file_size(File) || File <- filelib:wildcard(filename:join(unicode:characters_to_list(Path), "*.seg"))]).

%% A step of some megabytes at a time, so that none holds a dirty scheduler for long.
check(Tab, Fun, Progress) ->
    case bets_nif:check(Tab, Progress) of
        more ->
            is_function(Fun) andalso tell(Fun, Progress, disk_bytes(Tab)),
            check(Tab, Fun, Progress);
        Result ->
            Result
    end.

disk_bytes(Tab) ->
    case bets_info:item(Tab, disk_bytes) of
        {ok, Bytes} when is_integer(Bytes) -> Bytes;
        _ -> 0
    end.

%% @private Repairs what an opening refused, and logs what was lost. Whether the opening may be tried again.
-spec at_open(true | force, Dir :: binary(), {bets:type() | undefined, pos_integer() | undefined, binary()}, bets_errors:reason()) ->
    boolean().
at_open(Mode, Dir, Meta, Reason) ->
    case is_damage(Reason) andalso bets_nif:repair(Dir, Mode, Meta, bets_nif:new_progress()) of
        {ok, #{status := Status} = Report} ->
            log(Dir, Report),
            Status =:= repaired;
        _ ->
            false
    end.

is_damage({damaged, _File, _Offset, _What}) -> true;
is_damage({missing, _File}) -> true;
is_damage(_Reason) -> false.

log(Dir, #{status := Status, faults := Faults, omitted := Omitted, loss := Loss}) ->
    ?LOG_WARNING("bets: ~ts is damaged (~b faults, loss of ~w): ~ts~n~ts", [
        Dir,
        length(Faults) + Omitted,
        Loss,
        outcome(Status),
        [describe(Fault) || Fault <- lists:sublist(Faults, ?LOGGED_FAULTS)]
    ]).

outcome(refused) -> "refused; {repair, force} saves what can be read";
outcome(Status) -> atom_to_list(Status).

describe(#{file := File, offset := Offset, what := What} = Fault) ->
    Key =
        case Fault of
            #{key := Known} -> io_lib:format(", key ~0tp", [Known]);
            #{} -> ""
        end,
    io_lib:format("  ~ts at ~b: ~ts~ts~n", [File, Offset, What, Key]).
