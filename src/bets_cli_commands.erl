%% @private
%% The commands of `bin/bets'.
-module(bets_cli_commands).

-export([info/3, verify/3, repair/3, merge/3, backup/3, dump/3, load/3, import/3]).

-include_lib("kernel/include/file.hrl").

-define(SHOWN_FAULTS, 100).

-spec info([string()], bets_cli:options(), bets_cli_bar:bar()) -> bets_cli:result().
info([Dir], _Options, _Bar) ->
    case bets_repair:inspect(Dir) of
        {ok, Overview} ->
            Names = [type, keypos, name, segments, sealed, disk_bytes, generation],
            Lines = [io_lib:format("~-11w ~ts~n", [Name, word(maps:get(Name, Overview))]) || Name <- Names],
            {ok, Lines, Overview};
        Failure ->
            failed(Failure)
    end.

word(Word) when is_binary(Word) -> Word;
word(Word) -> io_lib:format("~tw", [Word]).

-spec verify([string()], bets_cli:options(), bets_cli_bar:bar()) -> bets_cli:result().
verify([Dir], _, Bar) ->
    Options = [progress("reading", Bar)],
    Report =
        case bets_repair:verify(Dir, Options) of
            {error, {locked, _, _}} -> verify_snapshot(Dir, Options);
            Other -> Other
        end,
    case Report of
        {ok, #{sound := true} = Sound} -> {ok, [counts(Sound), spoilt(Sound), "nothing is wrong\n"], json(Sound)};
        {ok, #{faults := Faults} = Found} ->
            Hint = bets_cli_hint:damage(Dir, [File || #{file := File} <- Faults]),
            {found, [counts(Found), faults(Found), spoilt(Found), Hint, $\n], json(Found)};
        Failure -> failed(Failure)
    end.

%% What a program has open is checked as it is now.
verify_snapshot(Dir, Options) ->
    with_table(bets:open(Dir, [{access, read}, {cache, false}]), fun(Tab) -> bets_repair:verify(Tab, Options) end).

-spec repair([string()], bets_cli:options(), bets_cli_bar:bar()) -> bets_cli:result().
repair([Dir], Options, Bar) ->
    Mode = [{repair, force} || is_map_key(force, Options)],
    case bets_repair:repair(Dir, [progress("reading", Bar) | Mode ++ table_options(Options)]) of
        {ok, #{sound := true} = Report} ->
            {ok, [counts(Report), spoilt(Report), "nothing is wrong\n"], json(Report)};
        {ok, #{status := refused} = Report} ->
            Words = "nothing was changed: objects would be lost that cannot be named; --force saves what can be read\n",
            {found, [counts(Report), faults(Report), Words], json(Report)};
        {ok, #{loss := Loss, quarantined := Kept} = Report} ->
            Words = ["repaired", ["\nkept: " ++ file(File) || File <- Kept], $\n],
            Status =
                case Loss of
                    none -> ok;
                    _ -> found
                end,
            {Status, [counts(Report), faults(Report), Words], json(Report)};
        Failure ->
            failed(Failure)
    end.

%% Type and keypos that are not given are those of the table.
table_options(Options) ->
    [Type || {type, Type} <- maps:to_list(Options)] ++
        [Option || {Name, _} = Option <- maps:to_list(Options), Name =:= keypos orelse Name =:= name].

progress(What, Bar) ->
    {progress, fun(#{done := Done, total := Total}) -> bets_cli_bar:show(Bar, What, Done, Total) end}.

counts(#{segments := Segments, records := Records, bytes := Bytes}) ->
    io_lib:format("~b segments, ~b records, ~b bytes read~n", [Segments, Records, Bytes]).

faults(#{faults := Faults, omitted := Omitted, loss := Loss}) ->
    More = length(Faults) + Omitted - ?SHOWN_FAULTS,
    [
        [fault(Fault) || Fault <- lists:sublist(Faults, ?SHOWN_FAULTS)],
        [io_lib:format("and ~b more~n", [More]) || More > 0],
        ["older objects may come back where records are lost\n" || Loss =:= records]
    ].

fault(#{file := File, offset := Offset, what := What, loss := Loss} = Fault) ->
    Key = [io_lib:format(", key ~0tp", [Key]) || #{key := Key} <- [Fault]],
    Seqs = [io_lib:format(", seqs ~b to ~b", [First, Last]) || #{seqs := {First, Last}} <- [Fault], Loss =:= records],
    io_lib:format("~ts at ~b: ~ts (lost: ~w~ts~ts)~n", [file(File), Offset, What, Loss, Key, Seqs]).

%% What saves time only, and is of no use.
spoilt(#{spoilt := Spoilt}) ->
    [io_lib:format("~ts: ~ts (harmless: the next opening does without it)~n", [file(File), What]) || #{file := File, what := What} <- Spoilt].

json(#{faults := Faults, spoilt := Spoilt, quarantined := Kept} = Report) ->
    Report#{faults := [json_fault(Fault) || Fault <- Faults], spoilt := [json_fault(Fault) || Fault <- Spoilt], quarantined := [text(File) || File <- Kept]}.

json_fault(#{file := File} = Fault) ->
    maps:map(
        fun
            (key, Key) -> text(io_lib:format("~0tp", [Key]));
            (seqs, {First, Last}) -> [First, Last];
            (_, Value) -> Value
        end,
        Fault#{file := text(File)}
    ).

text(Binary) when is_binary(Binary) -> Binary;
text(Chars) -> unicode:characters_to_binary(Chars).

file(File) when is_binary(File) -> file(binary_to_list(File));
file(File) -> File.

-spec merge([string()], bets_cli:options(), bets_cli_bar:bar()) -> bets_cli:result().
merge([Dir], _Options, Bar) ->
    with_table(bets:open(Dir, [{merge_window, never}]), fun(Tab) ->
        true = bets:merge(Tab, subscribe),
        Caller = self(),
        {Worker, Monitor} = spawn_monitor(fun() -> Caller ! {self(), try_merge(Tab)} end),
        merged(Dir, merging(Worker, Monitor, Bar))
    end).

try_merge(Tab) ->
    try
        bets:merge(Tab)
    catch
        error:{bets, Reason} -> {error, Reason}
    end.

merging(Worker, Monitor, Bar) ->
    receive
        {bets, merge, _Tab, progress, #{done := Done, total := Total}} ->
            bets_cli_bar:show(Bar, "merging", Done, Total),
            merging(Worker, Monitor, Bar);
        {bets, merge, _Tab, _Event, _Data} ->
            merging(Worker, Monitor, Bar);
        {Worker, Result} ->
            true = demonitor(Monitor, [flush]),
            Result;
        {'DOWN', Monitor, process, Worker, Reason} ->
            exit(Reason)
    end.

merged(_Dir, {error, Reason}) ->
    {error, Reason};
merged(Dir, #{inputs := Inputs, outputs := Outputs, damaged := Damaged, input_bytes := Before, output_bytes := Behind} = Report) ->
    Text = io_lib:format("~b files of ~b bytes became ~b of ~b bytes~n", [length(Inputs), Before, length(Outputs), Behind]),
    case Damaged of
        [] -> {ok, Text, Report};
        _ -> {found, [Text, io_lib:format("left out for damage: ~w~n", [Damaged]), bets_cli_hint:damage(Dir, []), $\n], Report}
    end.

-spec backup([string()], bets_cli:options(), bets_cli_bar:bar()) -> bets_cli:result().
backup([Dir, Target], _Options, _Bar) ->
    with_table(bets:open(Dir, [{merge_window, never}]), fun(Tab) ->
        try bets:backup(Tab, Target) of
            ok ->
                Size = bets:info(Tab, size),
                {ok, io_lib:format("~b objects in ~ts~n", [Size, Target]), #{objects => Size}}
        catch
            error:{bets, Reason} -> {error, Reason}
        end
    end).

-spec dump([string()], bets_cli:options(), bets_cli_bar:bar()) -> bets_cli:result().
dump([_Dir], #{json := true}, _Bar) ->
    {usage, "with --json a FILE is needed for the objects"};
dump([Dir | File], _Options, Bar) ->
    with_table(bets:open(Dir, [{access, read}]), fun(Tab) ->
        with_file(File, [write, raw, delayed_write], fun(Device) ->
            Total = bets:info(Tab, size),
            Fun = fun(N) -> bets_cli_bar:show(Bar, "writing", N, Total) end,
            case bets_dump:write(Tab, Device, Fun) of
                %% On the standard output there are the objects.
                {ok, N} when File =:= [] -> {ok, "", #{objects => N}};
                {ok, N} -> {ok, io_lib:format("~b objects~n", [N]), #{objects => N}};
                {error, Posix} -> {error, {io, write, File, Posix}}
            end
        end)
    end).

-spec load([string()], bets_cli:options(), bets_cli_bar:bar()) -> bets_cli:result().
load([Dir, File], Options, Bar) ->
    with_file([File || File =/= "-"], [read, {encoding, utf8}], fun(Device) ->
        case bets_dump:header(Device) of
            {ok, Header, Line} ->
                Dumped = maps:with([type, keypos, name], maps:from_list(Header)),
                with_table(make(Dir, Dumped, Options), fun(Tab) ->
                    case bets:info(Tab, size) of
                        N when N > 0, not is_map_key(add, Options) ->
                            {usage, io_lib:format("there are ~b objects in the table: --add adds to them", [N])};
                        N ->
                            load_into({Tab, N}, Device, Line, shown(File, Device, Bar))
                    end
                end);
            {error, Reason} ->
                not_loaded(Reason, 0)
        end
    end).

%% How much of a file is read tells how far it is; of the standard input nobody knows that.
shown("-", _Device, _Bar) ->
    fun(_N) -> ok end;
shown(File, Device, Bar) ->
    Total = filelib:file_size(File),
    fun(_N) ->
        {ok, Done} = file:position(Device, cur),
        bets_cli_bar:show(Bar, "reading", Done, Total)
    end.

load_into({Tab, Before}, Device, Line, Fun) ->
    Insert = fun(Objects, Deadline) -> insert(Tab, Objects, Deadline) end,
    case {bets_dump:read(Device, Line, Insert, Fun), bets:info(Tab, size)} of
        {{ok, N}, Size} when Before =:= 0, Size < N -> not_loaded({fewer, N}, Size);
        {{ok, N}, _} -> {ok, io_lib:format("~b objects~n", [N]), #{objects => N}};
        {{error, Reason}, Size} -> not_loaded(Reason, Size)
    end.

insert(Tab, Objects, infinity) ->
    true = bets:insert(Tab, Objects, [{ttl, infinity}]),
    ok;
insert(Tab, Objects, Deadline) ->
    true = bets_nif:insert(Tab, Objects, [Deadline]),
    ok.

not_loaded(Reason, Size) ->
    Words = load_error(Reason),
    {found, io_lib:format("~ts; ~b objects are in the table~n", [Words, Size]), #{error => text(Words), objects => Size}}.

load_error(not_a_dump) -> "this is no file of bin/bets dump";
load_error({newer_dump, Version}) -> io_lib:format("a newer bets wrote the file, in its version ~0tp", [Version]);
load_error({not_a_term, Line}) -> io_lib:format("line ~b is no Erlang term", [Line]);
load_error({cut_dump, N}) -> io_lib:format("the file was cut behind ~b objects", [N]);
load_error({fewer, N}) ->
    io_lib:format("~b objects were read; some have the same key (1 and 1.0 are one in an ordered_set), are one object in a bag, or have expired", [N]);
load_error(Reason) -> bets_errors:explain(Reason).

-spec import([string()], bets_cli:options(), bets_cli_bar:bar()) -> bets_cli:result().
import([Dir, Path], Options, Bar) ->
    Progress = {progress, fun(#{phase := Phase, done := Done, total := Total}) -> bets_cli_bar:show(Bar, atom_to_list(Phase), Done, Total) end},
    Known = [Progress | [{restart, true} || is_map_key(restart, Options)]],
    case source(Path, Options) of
        {ok, {Format, _} = Source, Own} ->
            Import = fun(Tab) -> imported(bets_import:Format(Path, Tab, Own ++ Known)) end,
            import_into(Dir, bets_import:kind(Source, Own), Options, Import);
        Failure ->
            Failure
    end.

%% What stands there, and the options of its import.
source(Path, Options) ->
    case file:read_file_info(Path) of
        {ok, #file_info{type = directory}} ->
            Given = [Option || {Name, _} = Option <- maps:to_list(Options), Name =:= decode orelse Name =:= force],
            {ok, {bitcask, Path}, Given ++ [{damaged, skip} || is_map_key('skip-damaged', Options)]};
        {ok, _} ->
            {ok, {dets, Path}, [{repair, true} || is_map_key(repair, Options)]};
        {error, Posix} ->
            {error, {io, open, Path, Posix}}
    end.

import_into(Dir, {ok, Source}, Options, Import) ->
    IsNew = is_no_table(Dir),
    case make(Dir, maps:filter(fun(_, Value) -> Value =/= any end, Source), Options) of
        {ok, Tab} when IsNew -> into_new(Tab, Import);
        Made -> with_table(Made, Import)
    end;
import_into(_Dir, Failure, _Options, _Import) ->
    Failure.

is_no_table(Dir) ->
    case bets_repair:inspect(Dir) of
        {error, {no_table, _}} -> true;
        _ -> false
    end.

into_new(Tab, Import) ->
    try Import(Tab) of
        {error, _} = Failure ->
            drop_empty(Tab),
            Failure;
        Result ->
            bets:close(Tab),
            Result
    catch
        Class:Reason:Stack ->
            drop_empty(Tab),
            erlang:raise(Class, Reason, Stack)
    end.

%% A table that was made in vain, and got nothing, would only be in the way of the next try.
drop_empty(Tab) ->
    case bets:info(Tab, size) of
        0 -> bets:delete(Tab);
        _ -> bets:close(Tab)
    end.

imported({ok, #{objects := Objects, skipped := Skipped, verified := Verified} = Report}) ->
    Damaged = maps:get(damaged, Report, []),
    Torn = maps:get(torn, Report, []),
    Text = [
        io_lib:format("~b objects, ~b skipped, ~b compared, ~b torn records~n", [Objects, Skipped, Verified, length(Torn)]),
        [io_lib:format("~ts at ~b: ~ts~n", [File, Offset, What]) || {File, Offset, What} <- Damaged]
    ],
    Json = #{
        objects => Objects,
        skipped => Skipped,
        verified => Verified,
        torn => [#{file => text(File), offset => Offset, length => Length} || {File, Offset, Length} <- Torn],
        damaged => [#{file => text(File), offset => Offset, what => text(What)} || {File, Offset, What} <- Damaged]
    },
    case Damaged of
        [] -> {ok, Text, Json};
        _ -> {found, Text, Json}
    end;
imported({error, Reason}) ->
    {error, Reason}.

%% Opens the table in a directory, or creates it.
%%
%% The source's type, keypos and name, as far as they are known, are those of a new table that is given none. Refused is a table
%% that does not hold all that the source may have.
make(Dir, Source, Options) ->
    case bets_repair:inspect(Dir) of
        {error, {no_table, _}} ->
            Wanted = maps:merge(Source, Options),
            fitting(Source, Wanted, fun() -> {ok, bets:new(maps:get(name, Wanted, bets), [{dir, Dir} | properties(Wanted)])} end);
        {ok, Stored} ->
            fitting(Source, Stored, fun() -> bets:open(Dir, properties(Options)) end);
        Failure ->
            failed(Failure)
    end.

fitting(Source, Target, Make) ->
    From = maps:merge(#{type => any, keypos => any}, Source),
    case bets_import:fits(From, {maps:get(type, Target, set), maps:get(keypos, Target, 1)}) of
        ok -> Make();
        Refused -> Refused
    end.

properties(Options) -> table_options(maps:remove(name, Options)).

with_table({ok, Tab}, Use) ->
    try
        Use(Tab)
    after
        bets:close(Tab)
    end;
with_table({error, Reason}, _Use) ->
    {error, Reason}.

with_file([], _Modes, Use) ->
    Use(standard_io);
with_file([File], Modes, Use) ->
    case file:open(File, Modes) of
        {ok, Device} ->
            try
                Use(Device)
            after
                file:close(Device)
            end;
        {error, Posix} ->
            {error, {io, open, File, Posix}}
    end.

failed({error, Reason}) -> {error, Reason};
failed({badarg, Cause}) -> {error, Cause}.
