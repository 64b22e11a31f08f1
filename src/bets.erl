%% @doc Tables with the functions of {@link ets} whose objects live in a log on disk.
%%
%% The functions have the names, arguments, results and errors of `ets'. A table stands in a directory; its objects survive the
%% process, the VM and the machine. Several processes may use a table at once, as with `ets'; one VM at a time may have it
%% open.
%%
%% == Tables ==
%% {@link new/2} opens or creates, {@link open/2} opens what is there. The process that opened a table owns it. When the owner dies
%% without an heir the table is closed and its files stay; the files of a temporary table, one with neither a name nor a
%% directory, go with it. A function takes the name of a named table or the identifier that `new/2' gave.
%%
%% == Types ==
%% In a `set' and an `ordered_set' a key has one object. In a `bag' it may have several, no two of them the same (`=:='); in a
%% `duplicate_bag', several and repeated ones. The objects of a key have the order in which they were inserted, also after the table was
%% opened again. An insertion into a bag, and {@link delete_object/2}, read only objects that are most likely the same, however many the key has.
%%
%% Keys are the same if they are `=:='; in an `ordered_set', if they are `==', also inside tuples and lists: an insert with the key `1.0' replaces
%% the object with the key `1'. The objects of an `ordered_set' stand in the order of their keys. Pids, ports and references of this
%% node come before those of other nodes, whatever its name is.
%%
%% == Errors ==
%% Where `ets' raises `badarg', so does `bets', with the same explanation in the shell. What only a table on disk can
%% meet - a full disk, damage - is raised as `error:{bets, Reason}'; {@link bets_errors} lists the reasons. No function gives a
%% wrong object or none when a stored one cannot be read.
%%
%% == Durability ==
%% When a function that writes returns, the change survives the death of the VM. Whether it also survives a power
%% loss depends on the option `sync' of {@link new/2}.
%%
%% == Configuration ==
%% The application's environment has three keys: `data_dir', where named tables without a directory of their own stand (default
%% `"bets_data"' in the working directory), `cache', the bound of the value cache of all tables in bytes (default an eighth of the
%% memory that the VM may use, the machine's or its container's), and `merge_interval', how many milliseconds apart is looked for
%% tables that a merge is due for (default 5000).
%%
%% == Cost ==
%% "Constant time" means constant in a `set'; in an `ordered_set' a key is found in time that grows with the logarithm of the size.
%% "Reads memory" means that the function never touches the disk. "May read the disk" means that the object may have left the
%% memory; the call then moves to a dirty scheduler. A write is appended to a file in the page cache. Functions that wait for
%% a disk say so. Objects of more than some 30 kB, and lists of more than 100 objects, are handled on dirty schedulers, and so are
%% keys with more than some 1,000 objects. Where a key has several objects, a cost "an object" counts them all.
-module(bets).

-export([
    all/0,
    backup/2,
    batch/2,
    child_spec/1,
    close/1,
    delete/1,
    delete/2,
    delete_all_objects/1,
    delete_object/2,
    file2tab/1,
    file2tab/2,
    first/1,
    first_lookup/1,
    foldl/3,
    foldr/3,
    from_dets/2,
    fun2ms/1,
    give_away/3,
    i/0,
    i/1,
    i/2,
    i/3,
    info/1,
    info/2,
    init_table/2,
    insert/2,
    insert/3,
    insert_new/2,
    insert_new/3,
    is_compiled_ms/1,
    last/1,
    last_lookup/1,
    lookup/2,
    lookup_element/3,
    lookup_element/4,
    match/1,
    match/2,
    match/3,
    match_delete/2,
    match_object/1,
    match_object/2,
    match_object/3,
    match_spec_compile/1,
    match_spec_run/2,
    member/2,
    merge/1,
    merge/2,
    new/2,
    next/2,
    next_lookup/2,
    open/1,
    open/2,
    prev/2,
    prev_lookup/2,
    rename/2,
    repair/2,
    repair_continuation/2,
    replace_object/3,
    safe_fixtable/2,
    select/1,
    select/2,
    select/3,
    select_count/2,
    select_delete/2,
    select_replace/2,
    select_reverse/1,
    select_reverse/2,
    select_reverse/3,
    setopts/2,
    slot/2,
    start_link/1,
    sync/1,
    tab2file/2,
    tab2file/3,
    tab2list/1,
    tabfile_info/1,
    table/1,
    table/2,
    take/2,
    test_ms/2,
    to_dets/2,
    ttl/2,
    update_counter/3,
    update_counter/4,
    update_element/3,
    update_element/4,
    verify/1,
    verify/2,
    whereis/1
]).

-export_type([
    table/0,
    key/0,
    type/0,
    ttl/0,
    option/0,
    open_option/0,
    server_option/0,
    change/0,
    sync_mode/0,
    update_op/0,
    element_spec/0,
    match_pattern/0,
    match_spec/0,
    merge_option/0,
    merge_report/0,
    continuation/0
]).

-type table() :: atom() | reference().
%% The name of a named table, or a table identifier.

-type key() :: term().
%% Keys are the same if they are `=:='; in an `ordered_set', if they are `=='.

-type type() :: set | ordered_set | bag | duplicate_bag.

-type ttl() :: (Milliseconds :: pos_integer()) | infinity.
%% How long an object is there. From its deadline on it is absent for every function. An insertion gives it the time that is said there, or that of the table's
%% option `ttl'; `update_counter', `update_element' and `select_replace' leave the deadline of an object that is there as it is. Only
%% `info(Tab, size)' may count it up to a second longer, or longer when millions expire at once.
%%
%% The wall clock is used for this and for nothing else. Its highest value is kept, so that what was absent stays absent when the clock is set back, also after a
%% crash of the VM, and after a loss of power for what was so before the last sync. Until the clock has caught up, time stands still for the table. A clock that jumps
%% far ahead makes objects expire.

-type sync_mode() :: always | {interval, Milliseconds :: pos_integer()} | none.
%% When a write is made durable, see {@link new/2}.

-type shared_option() ::
    set
    | ordered_set
    | bag
    | duplicate_bag
    | public
    | protected
    | private
    | named_table
    | compressed
    | {keypos, pos_integer()}
    | {heir, pid(), HeirData :: term()}
    | {heir, none}
    | {read_concurrency, boolean()}
    | {write_concurrency, boolean() | auto}
    | {decentralized_counters, boolean()}
    | {sync, sync_mode()}
    | {max_file_size, pos_integer()}
    | {cache, boolean()}
    | {ttl, ttl()}
    | {repair, boolean() | force}
    | {access, read}
    | merge_option().

-type merge_option() ::
    {merge_window, always | never | {FirstHour :: 0..23, LastHour :: 0..23}}
    | {frag_merge_trigger | frag_threshold, Percent :: 1..100}
    | {dead_bytes_merge_trigger | dead_bytes_threshold, pos_integer()}
    | {small_file_threshold, non_neg_integer()}
    | {merge_rate, BytesPerSecond :: pos_integer() | infinity}.
%% When a table is merged without being asked to, see {@link new/2}.

-type merge_report() :: #{
    inputs := [FileNumber :: pos_integer()],
    outputs := [FileNumber :: pos_integer()],
    damaged := [FileNumber :: pos_integer()],
    input_bytes := non_neg_integer(),
    output_bytes := non_neg_integer(),
    copied := non_neg_integer(),
    dropped := non_neg_integer(),
    kept := non_neg_integer(),
    milliseconds := non_neg_integer()
}.
%% What a merge did, see {@link merge/1}.

-type option() :: shared_option() | {dir, file:name_all()}.
%% An option of {@link new/2}.

-type open_option() :: shared_option() | {name, atom()}.
%% An option of {@link open/2}.

-type server_option() :: option() | {name, atom()}.
%% An option of {@link start_link/1}.

-type change() :: {put, Object :: tuple()} | {delete, key()}.
%% A change of {@link batch/2}.

-type update_op() ::
    (Increment :: integer())
    | {Position :: pos_integer(), Increment :: integer()}
    | {Position :: pos_integer(), Increment :: integer(), Threshold :: integer(), SetValue :: integer()}.

-type element_spec() :: {Position :: pos_integer(), Value :: term()}.

-type match_pattern() :: atom() | tuple().
%% An object with variables: `_' and `$N'.

-type match_spec() :: [{match_pattern(), Guards :: [term()], Body :: [term()]}].
%% As `ets:match_spec()'.

-opaque continuation() :: tuple().
%% Where a traversal stands.

%% Raised here and not in a helper, so that the exception names the function that the user called, with its arguments.
-define(FAIL(Failure, Args),
    erlang:error(bets_errors:reason(Failure), Args, bets_errors:options(Failure))
).

%% For results that are no pairs.
-define(RESULT(Call, Args),
    case Call of
        {_, _} = Failure -> ?FAIL(Failure, Args);
        Result -> Result
    end
).

%% For any term as result: it comes with `ok'.
-define(VALUE(Call, Args),
    case Call of
        {ok, Value_} -> Value_;
        Failure -> ?FAIL(Failure, Args)
    end
).

%% For any term as result: it comes in a list of one.
-define(KEY(Call, Args),
    case Call of
        [Key_] -> Key_;
        '$end_of_table' -> '$end_of_table';
        Failure -> ?FAIL(Failure, Args)
    end
).

-define(ELEMENT(Call, Args),
    case Call of
        [Element] -> Element;
        Failure -> ?FAIL(Failure, Args)
    end
).

-define(PAIR(Call, Args),
    case Call of
        [Key_ | Objects] when is_list(Objects), Objects =/= [] -> {Key_, Objects};
        '$end_of_table' -> '$end_of_table';
        Failure -> ?FAIL(Failure, Args)
    end
).

-define(FOLD(Fold, Fun, Acc, Tab),
    case bets_fold:Fold(Fun, Acc, Tab) of
        {ok, Result} -> Result;
        Failure -> ?FAIL(Failure, [Fun, Acc, Tab])
    end
).

-compile({no_auto_import, [whereis/1]}).
-compile({inline, [settled/1]}).

%% @doc Lists all open tables: the names of named ones, the identifiers of the others.
%%
%% Reads memory. Takes time in proportion to the number of tables.
%% ```
%% 1> bets:new(colours, [named_table]), bets:all().
%% [colours]
%% '''
-spec all() -> [table()].
all() ->
    bets_nif:all().

%% @doc Makes a directory a table that holds what this one holds at this moment.
%%
%% The directory is created; it may be there and empty. Where it is on the same file system it gets links to the table's files, which never change, so that costs
%% constant time a file and no room; elsewhere the files are copied, while the table is written to as always. The backup is complete and durable when the call returns. It is opened
%% by {@link open/2}, while the table is open or not, and whatever becomes of the one leaves the other as it is. A merge of the table stands still meanwhile. After a crash in the midst the directory
%% is no table; remove it.
%%
%% Waits for the disk.
%%
%% Errors: `badarg' if there is no such table, the caller may not read it, or `Dir' is no path; `{bets, Reason}' if something stands in the directory, or the disk fails or
%% is full.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:backup(T, "/tmp/b"), {ok, B} = bets:open("/tmp/b"), bets:lookup(B, a).
%% [{a,1}]
%% '''
-spec backup(table(), file:name_all()) -> ok.
backup(Tab, Dir) ->
    ?RESULT(bets_opener:backup(Tab, Dir), [Tab, Dir]).

%% @doc Stores objects and deletes keys in one step: every reader sees all of the changes or none, and so does whoever opens the table
%% after a crash.
%%
%% `{put, Object}' does what {@link insert/2} does and `{delete, Key}' what {@link delete/2} does. Of changes of the same key the last
%% wins. Not for bags. `ets' has no such function. Constant time a change; appends to the log.
%%
%% Errors: `badarg' if there is no such table, the caller may not write to it, it is a bag or a duplicate_bag, or a change is none; nothing
%% is changed then.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:batch(T, [{put, {b, 2}}, {delete, a}]), bets:tab2list(T).
%% [{b,2}]
%% '''
-spec batch(table(), [change()]) -> true.
batch(Tab, Changes) ->
    ?RESULT(settled(bets_nif:batch(Tab, Changes)), [Tab, Changes]).

%% @doc Gives the specification of a child that owns a table, for a supervisor: see {@link start_link/1}.
%%
%% The child's `id' is `{bets, Name}'. A supervisor that stops it waits up to 30 seconds for the closing.
%% ```
%% 1> maps:get(id, bets:child_spec([{name, colours}])).
%% {bets,colours}
%% '''
-spec child_spec([server_option()]) -> supervisor:child_spec().
child_spec(Options) ->
    bets_server:child_spec(Options).

%% @doc Closes a table and keeps its files. A temporary table is deleted.
%%
%% All writes so far are durable when the function returns. The caller needs the right to write. Waits for the disk.
%%
%% Errors: `badarg' if there is no such table or the caller may not write to it; `{bets, Reason}' if the last writes could not be made
%% durable, the table is closed all the same.
%% ```
%% 1> T = bets:new(t, [{dir, "/tmp/t"}]), bets:close(T).
%% ok
%% '''
-spec close(table()) -> ok.
close(Tab) ->
    ?RESULT(bets_nif:close(Tab), [Tab]).

%% @doc Deletes a table with its files.
%%
%% After a crash in the middle, the whole table is there or none of it. Files in the directory that are not the table's stay.
%% Waits for the disk.
%%
%% Errors: `badarg' if there is no such table or the caller may not write to it; `{bets, Reason}' if a file could not be removed.
%% ```
%% 1> T = bets:new(t, []), bets:delete(T).
%% true
%% '''
-spec delete(table()) -> true.
delete(Tab) ->
    ?RESULT(bets_nif:delete(Tab), [Tab]).

%% @doc Deletes the objects with this key, if there are any.
%%
%% Constant time; appends to the log if the key is there.
%%
%% Errors: `badarg' if there is no such table or the caller may not write to it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:delete(T, a), bets:member(T, a).
%% false
%% '''
-spec delete(table(), key()) -> true.
delete(Tab, Key) ->
    ?RESULT(settled(bets_nif:delete(Tab, Key)), [Tab, Key]).

%% @doc Deletes all objects in one step: every reader sees all of them or none.
%%
%% Appends one record to the log. The time does not depend on the size of the objects; on a large table it is spent on a dirty scheduler.
%%
%% Errors: `badarg' if there is no such table or the caller may not write to it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 2}]), bets:delete_all_objects(T), bets:tab2list(T).
%% []
%% '''
-spec delete_all_objects(table()) -> true.
delete_all_objects(Tab) ->
    ?RESULT(settled(bets_nif:delete_all_objects(Tab)), [Tab]).

%% @doc Deletes exactly this object, if it is there, and all copies of it: other objects with the same key stay.
%%
%% Constant time, in bags time in proportion to the objects of the key. May read the disk; appends to the log if the object is there.
%%
%% Errors: `badarg' if there is no such table, the caller may not write to it, or `Object' is no tuple with a key.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:delete_object(T, {a, 2}), bets:lookup(T, a).
%% [{a,1}]
%% '''
-spec delete_object(table(), tuple()) -> true.
delete_object(Tab, Object) ->
    ?RESULT(settled(bets_nif:delete_object(Tab, Object)), [Tab, Object]).

%% @doc As {@link file2tab/2} without options.
%% ```
%% 1> bets:file2tab("/nowhere").
%% {error,{read_error,{file_error,"/nowhere",enoent}}}
%% '''
-spec file2tab(file:name()) -> {ok, table()} | {error, term()}.
file2tab(File) ->
    file2tab(File, []).

%% @doc Makes a table of a file of {@link tab2file/3} or of `ets:tab2file/3', with the name, type and protection that are in it.
%%
%% The table is a temporary one: its files go with it. With `{table, Tab}' the objects are put into that table instead, so a durable one can be filled; it is
%% deleted if the file cannot be read to its end. With `{verify, true}' the number of objects and, if the file has one, the digest are checked.
%% Takes linear time; reads the file.
%%
%% Gives `{error, cannot_create_table}' if the name is taken, `{error, badfile}' if the file is no table, `{error, checksum_error}' and
%% `{error, invalid_object_count}' if it is not what was written, or another `{error, Reason}'.
%% ```
%% 1> T = bets:new(t, []), ok = bets:tab2file(T, "/tmp/t.tab"), {ok, T2} = bets:file2tab("/tmp/t.tab"), bets:info(T2, name).
%% t
%% '''
-spec file2tab(file:name(), [{verify, boolean()} | {table, table()}]) -> {ok, table()} | {error, term()}.
file2tab(File, Options) ->
    bets_file:read(File, Options).

%% @doc Gives the first key in the table's order: in an `ordered_set' the smallest one, in a `set' the order is fixed but not known
%% beforehand.
%%
%% Reads memory. Constant time.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:first(T).
%% a
%% '''
-spec first(table()) -> key() | '$end_of_table'.
first(Tab) ->
    ?KEY(bets_nif:first(Tab), [Tab]).

%% @doc Gives the first key in the table's order, as {@link first/1}, with its object.
%%
%% Constant time. May read the disk.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:first_lookup(T).
%% {a,[{a,1}]}
%% '''
-spec first_lookup(table()) -> {key(), [tuple()]} | '$end_of_table'.
first_lookup(Tab) ->
    ?PAIR(bets_nif:first_lookup(Tab), [Tab]).

%% @doc Calls `Fun' with every object and the result of the call before, in the table's order. Gives the last result, or `Acc' if there is no
%% object.
%%
%% An object that is there all the time is seen once, as it is at that moment; one that comes or goes meanwhile may be seen or not. The
%% objects of a key in a bag are seen as they were together at one moment.
%% Linear time, in steps of at most 100 objects. May read the disk.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it, also when it is deleted while `Fun' runs.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 2}]), bets:foldl(fun({_, N}, Sum) -> N + Sum end, 0, T).
%% 3
%% '''
-spec foldl(fun((Object :: tuple(), Acc) -> Acc), Acc, table()) -> Acc.
foldl(Fun, Acc, Tab) ->
    ?FOLD(foldl, Fun, Acc, Tab).

%% @doc Like {@link foldl/3}, from the last object to the first. Where keys are not ordered, only the
%% objects of each key come from the last to the first, as in `ets'.
%%
%% Linear time, in steps of at most 100 objects. May read the disk.
%%
%% Errors: as {@link foldl/3}.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:foldr(fun(Object, Acc) -> [Object | Acc] end, [], T).
%% [{a,1}]
%% '''
-spec foldr(fun((Object :: tuple(), Acc) -> Acc), Acc, table()) -> Acc.
foldr(Fun, Acc, Tab) ->
    ?FOLD(foldr, Fun, Acc, Tab).

%% @doc Stores all objects of an open dets table. What is in the table stays, but for objects with the same keys. Takes linear time; reads the dets
%% file, appends to the log.
%%
%% Errors: `badarg' if there is no such table or dets table, or the caller may not write to it; another reason of dets.
%% ```
%% 1> {ok, d} = dets:open_file(d, [{file, "/tmp/d.dets"}]), T = bets:new(t, []), bets:from_dets(T, d).
%% true
%% '''
-spec from_dets(table(), dets:tab_name()) -> true.
from_dets(Tab, Dets) ->
    case bets_copy:from_dets(Tab, Dets) of
        true -> true;
        {error, Reason} -> erlang:error(Reason, [Tab, Dets])
    end.

%% @doc Makes a match specification of a literal fun, in the shell.
%%
%% In a module the call is made into a literal when it is compiled, if the module has the line
%% `-include_lib("bets/include/ms_transform.hrl").' That header also does `ets:fun2ms/1'. A module that has the header of stdlib instead can use
%% `ets:fun2ms/1': the specification is the same.
%%
%% Errors: exits with `{badarg, Explanation}' when it is called with the fun of a compiled module; gives `{error, transform_error}', with the reason
%% printed, if the fun's body cannot be made into a specification.
%% ```
%% 1> bets:fun2ms(fun({Key, N}) when N > 10 -> Key end).
%% [{{'$1','$2'},[{'>','$2',10}],['$1']}]
%% '''
-spec fun2ms(fun((tuple()) -> term())) -> match_spec() | {error, transform_error}.
fun2ms(ShellFun) when is_function(ShellFun) ->
    bets_ms_transform:from_shell(ShellFun).

%% @doc Makes `Pid' the owner of a table of the caller's and sends it `{'ETS-TRANSFER', Tab, FromPid, GiftData}'.
%%
%% Constant time; nothing is written.
%%
%% Errors: `badarg' if there is no such table, the caller is not its owner, or `Pid' is no living process of this node or the owner
%% itself.
%% ```
%% 1> T = bets:new(t, []), Pid = spawn(fun() -> receive stop -> ok end end), bets:give_away(T, Pid, gift).
%% true
%% '''
-spec give_away(table(), pid(), term()) -> true.
give_away(Tab, Pid, GiftData) ->
    ?RESULT(bets_nif:give_away(Tab, Pid, GiftData), [Tab, Pid, GiftData]).

%% @doc Prints a line for each open table: identifier, name, type, size, memory in words, owner.
%%
%% Reads memory. Takes time in proportion to the number of tables.
%% ```
%% 1> bets:i().
%%  id              name              type  size   mem      owner
%%  ----------------------------------------------------------------------------
%% ok
%% '''
-spec i() -> ok.
i() ->
    bets_info:print().

%% @doc As {@link i/3}, 40 lines high.
%% ```
%% 1> bets:i(no_table).
%% ** exception error: bad argument
%% '''
-spec i(table()) -> ok.
i(Tab) ->
    i(Tab, 40).

%% @doc As {@link i/3}, 80 characters wide.
%% ```
%% 1> bets:i(no_table, 20).
%% ** exception error: bad argument
%% '''
-spec i(table(), Height :: pos_integer()) -> ok.
i(Tab, Height) ->
    i(Tab, Height, 80).

%% @doc Shows a table in the shell, page by page: `c' goes on, `p12' prints object number 12 in full, `/Regexp' shows only what matches, `k' deletes the
%% table, `q' ends.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it.
%% ```
%% 1> bets:i(no_table, 20, 80).
%% ** exception error: bad argument
%% '''
-spec i(table(), Height :: pos_integer(), Width :: pos_integer()) -> ok.
i(Tab, Height, Width) ->
    bets_browse:start(Tab, Height, Width).

%% @doc Tells what is known of a table: the items of `ets:info/1' in their order, then those of `bets':
%% <dl>
%% <dt>`dir'</dt><dd>the directory.</dd>
%% <dt>`temporary'</dt><dd>whether the files go with the table.</dd>
%% <dt>`access'</dt><dd>`read' for a snapshot (`{access, read}' in {@link new/2}), else `write'.</dd>
%% <dt>`sync', `max_file_size'</dt><dd>as in {@link new/2}.</dd>
%% <dt>`cache'</dt><dd>bytes of the value cache that this table takes, with what in them is no longer live.</dd>
%% <dt>`disk_bytes', `segments'</dt><dd>the size and the number of the data files.</dd>
%% <dt>`seq', `durable_seq'</dt><dd>the number of the last write, and of the last one that survives a power loss.</dd>
%% </dl>
%% `memory' is what keys and buffers take, in words as in `ets'. Any process may ask. Gives `undefined' if the table is gone.
%%
%% Reads memory. Constant time.
%%
%% Errors: `badarg' if `Tab' can be no table.
%% ```
%% 1> T = bets:new(t, []), proplists:get_value(size, bets:info(T)).
%% 0
%% '''
-spec info(table()) -> [{atom(), term()}] | undefined.
info(Tab) ->
    ?RESULT(bets_info:all(Tab), [Tab]).

%% @doc Tells one item of {@link info/1}; also `fixed', `safe_fixed' and
%% `safe_fixed_monotonic_time' as `ets:info/2', `binary', which is always empty, and `stats', of no defined form. Gives
%% `undefined' if the table is gone.
%%
%% Reads memory. Constant time.
%%
%% Errors: `badarg' if `Tab' can be no table, or `Item' is not known.
%% ```
%% 1> T = bets:new(t, []), bets:info(T, type).
%% set
%% '''
-spec info(table(), atom()) -> term().
info(Tab, Item) ->
    case bets_info:item(Tab, Item) of
        {ok, Value} -> Value;
        Failure -> ?FAIL(Failure, [Tab, Item])
    end.

%% @doc Deletes all objects and stores those that `InitFun' gives.
%%
%% `InitFun(read)' gives `{Objects, InitFun2}', with which it goes on, or `end_of_input'. Objects are stored one by one: others see
%% them come. Appends to the log.
%%
%% Errors: `badarg' if there is no such table or the caller may not write to it. Exits if `InitFun' gives anything else, or an object cannot be stored, after
%% `InitFun2(close)' was called.
%% ```
%% 1> T = bets:new(t, []), bets:init_table(T, fun(read) -> {[{a, 1}], fun(_) -> end_of_input end} end).
%% true
%% '''
-spec init_table(table(), InitFun) -> true when InitFun :: fun((read | close) -> end_of_input | {[tuple()], InitFun} | term()).
init_table(Tab, InitFun) ->
    case settled(bets_nif:delete_all_objects(Tab)) of
        true -> bets_copy:init(Tab, InitFun);
        Failure -> ?FAIL(Failure, [Tab, InitFun])
    end.

%% @doc Stores an object, or all objects of a list, each in place of the one with the same key; in a bag, behind the others with its key.
%%
%% A list is stored in one step: every reader sees all of it or nothing, and so does whoever opens the table after a crash. Of
%% objects with the same key the last wins. In a `duplicate_bag' all are stored, in the order of the list; in a `bag' those that are
%% there already are left out. Constant time an object; appends to the log.
%%
%% Errors: `badarg' if there is no such table, the caller may not write to it, or an object is no tuple with a key; nothing is stored
%% then.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 2}]), bets:lookup(T, b).
%% [{b,2}]
%% '''
-spec insert(table(), tuple() | [tuple()]) -> true.
insert(Tab, Objects) ->
    ?RESULT(settled(bets_nif:insert(Tab, Objects)), [Tab, Objects]).

%% @doc Like {@link insert/2}, but the objects are there only for some time, or for ever, whatever the table's option `ttl' says.
%%
%% From its deadline on an object is absent for every function; see {@link ttl()}. In a `bag', an object that is there with another deadline gets
%% the new one, and stands behind the other objects of its key then.
%%
%% Constant time an object; appends to the log. The first object that expires makes a file and may wait for the disk.
%%
%% Errors: as {@link insert/2}; badarg if an option is no `{ttl, Milliseconds}' or `{ttl, infinity}'.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}, [{ttl, 50}]), timer:sleep(60), bets:lookup(T, a).
%% []
%% '''
-spec insert(table(), tuple() | [tuple()], [{ttl, ttl()}]) -> true.
insert(Tab, Objects, Options) ->
    Args = [Tab, Objects, Options],
    case bets_options:ttl(Options) of
        {ok, default} -> ?RESULT(settled(bets_nif:insert(Tab, Objects)), Args);
        {ok, Ttl} -> ?RESULT(settled(bets_nif:insert(Tab, Objects, Ttl)), Args);
        Failure -> ?RESULT(Failure, Args)
    end.

%% @doc Like {@link insert/2}, but stores nothing and gives `false' if one of the keys is there.
%%
%% Constant time an object; appends to the log.
%%
%% Errors: as {@link insert/2}.
%% ```
%% 1> T = bets:new(t, []), [bets:insert_new(T, {a, 1}), bets:insert_new(T, [{a, 2}, {b, 2}])].
%% [true,false]
%% '''
-spec insert_new(table(), tuple() | [tuple()]) -> boolean().
insert_new(Tab, Objects) ->
    ?RESULT(settled(bets_nif:insert_new(Tab, Objects)), [Tab, Objects]).

%% @doc Like {@link insert_new/2}, with the options of {@link insert/3}. An object that has expired is not there.
%%
%% Constant time an object; appends to the log.
%%
%% Errors: as {@link insert/3}.
%% ```
%% 1> T = bets:new(t, []), [bets:insert_new(T, {lock, 1}, [{ttl, 60000}]), bets:insert_new(T, {lock, 2}, [{ttl, 60000}])].
%% [true,false]
%% '''
-spec insert_new(table(), tuple() | [tuple()], [{ttl, ttl()}]) -> boolean().
insert_new(Tab, Objects, Options) ->
    Args = [Tab, Objects, Options],
    case bets_options:ttl(Options) of
        {ok, default} -> ?RESULT(settled(bets_nif:insert_new(Tab, Objects)), Args);
        {ok, Ttl} -> ?RESULT(settled(bets_nif:insert_new(Tab, Objects, Ttl)), Args);
        Failure -> ?RESULT(Failure, Args)
    end.

%% @doc Tells whether a term is a match specification that {@link match_spec_compile/1} compiled in this VM run.
%%
%% The same as `ets:is_compiled_ms/1'.
%% ```
%% 1> bets:is_compiled_ms(bets:match_spec_compile([{'_', [], [true]}])).
%% true
%% '''
-spec is_compiled_ms(term()) -> boolean().
is_compiled_ms(Term) ->
    ets:is_compiled_ms(Term).

%% @doc Gives the last key in the order of an `ordered_set'. In a table of another type it is the first one, as in `ets'.
%%
%% Reads memory. Constant time.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it.
%% ```
%% 1> T = bets:new(t, []), bets:last(T).
%% '$end_of_table'
%% '''
-spec last(table()) -> key() | '$end_of_table'.
last(Tab) ->
    ?KEY(bets_nif:last(Tab), [Tab]).

%% @doc Gives the key of {@link last/1} with its object.
%%
%% Constant time. May read the disk.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:last_lookup(T).
%% {a,[{a,1}]}
%% '''
-spec last_lookup(table()) -> {key(), [tuple()]} | '$end_of_table'.
last_lookup(Tab) ->
    ?PAIR(bets_nif:last_lookup(Tab), [Tab]).

%% @doc Gives a list of the objects with this key, in the order in which they were inserted, or an empty list.
%%
%% Constant time an object. May read the disk, but for a key that is not there.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it; `{bets, Reason}' if the object cannot be read.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:lookup(T, a).
%% [{a,1}]
%% '''
-spec lookup(table(), key()) -> [tuple()].
lookup(Tab, Key) ->
    ?RESULT(bets_nif:lookup(Tab, Key), [Tab, Key]).

%% @doc Gives the element at a position, from 1, of the object with this key; in a bag, the list of those of all objects with this key.
%%
%% Constant time. May read the disk.
%%
%% Errors: `badarg' if there is no such table, the caller may not read it, the key is not there, or the object has no such position.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:lookup_element(T, a, 2).
%% 1
%% '''
-spec lookup_element(table(), key(), Position :: pos_integer()) -> term().
lookup_element(Tab, Key, Position) ->
    ?ELEMENT(bets_nif:lookup_element(Tab, Key, Position), [Tab, Key, Position]).

%% @doc Like {@link lookup_element/3}, but gives `Default' if the key is not there.
%%
%% Constant time. May read the disk.
%%
%% Errors: as {@link lookup_element/3}, but for the missing key.
%% ```
%% 1> T = bets:new(t, []), bets:lookup_element(T, a, 2, none).
%% none
%% '''
-spec lookup_element(table(), key(), Position :: pos_integer(), Default :: term()) -> term().
lookup_element(Tab, Key, Position, Default) ->
    ?ELEMENT(bets_nif:lookup_element(Tab, Key, Position, Default), [Tab, Key, Position, Default]).

%% @doc Goes on with a traversal that {@link match/3}, {@link select/3} or one of their kin began: gives the next results and how to go on.
%%
%% Any process that may read the table can go on, and it makes no difference by which of these functions. A continuation stays valid when the table is written
%% to or renamed: an object that is there all the time is met once.
%% May read the disk.
%%
%% Errors: `badarg' if `Continuation' is none, its table is gone or the caller may not read it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 1}]), {_, C} = bets:match(T, {'_', '$1'}, 1), {[[1]], _} = bets:match(C), ok.
%% ok
%% '''
-spec match(continuation() | '$end_of_table') -> {[[term()]], continuation() | '$end_of_table'} | '$end_of_table'.
match(Continuation) ->
    ?VALUE(bets_match:next(Continuation), [Continuation]).

%% @doc Gives for each object that a pattern fits the list of what its variables `$1', `$2' .. stand for.
%%
%% `_' fits any term, an atom `$N' any term that is the same wherever the variable stands. A pattern with a key in it costs a lookup, in an `ordered_set' the
%% beginning of a key (as in `{{a, '_'}, '_'}') a look at the keys that begin so; any other one linear time. See {@link select/2}.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 2}]), bets:match(T, {'$1', 2}).
%% [[b]]
%% '''
-spec match(table(), match_pattern()) -> [[term()]].
match(Tab, Pattern) ->
    ?VALUE(bets_match:all(Tab, [{Pattern, [], ['$$']}], forward), [Tab, Pattern]).

%% @doc Like {@link match/2}, but gives at most `Limit' results and how to go on with {@link match/1}.
%%
%% Errors: as {@link match/2}; also if `Limit' is no positive integer.
%% ```
%% 1> T = bets:new(t, []), bets:match(T, {'$1', 2}, 10).
%% '$end_of_table'
%% '''
-spec match(table(), match_pattern(), Limit :: pos_integer()) ->
    {[[term()]], continuation() | '$end_of_table'} | '$end_of_table'.
match(Tab, Pattern, Limit) ->
    ?VALUE(bets_match:chunk(Tab, [{Pattern, [], ['$$']}], forward, Limit), [Tab, Pattern, Limit]).

%% @doc Deletes all objects that a pattern fits, each in a step of its own.
%%
%% Costs what {@link match/2} costs, and a record in the log for each object; one for all with the pattern `_'.
%%
%% Errors: `badarg' if there is no such table or the caller may not write to it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 2}]), bets:match_delete(T, {'_', 2}), bets:tab2list(T).
%% [{a,1}]
%% '''
-spec match_delete(table(), match_pattern()) -> true.
match_delete(Tab, Pattern) ->
    case settled(bets_change:delete(Tab, [{Pattern, [], [true]}])) of
        Count when is_integer(Count) -> true;
        Failure -> ?FAIL(Failure, [Tab, Pattern])
    end.

%% @doc As {@link match/1}.
%% ```
%% 1> bets:match_object('$end_of_table').
%% '$end_of_table'
%% '''
-spec match_object(continuation() | '$end_of_table') ->
    {[tuple()], continuation() | '$end_of_table'} | '$end_of_table'.
match_object(Continuation) ->
    ?VALUE(bets_match:next(Continuation), [Continuation]).

%% @doc Gives all objects that a pattern fits. Patterns and costs are as in {@link match/2}.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 2}]), bets:match_object(T, {'_', 2}).
%% [{b,2}]
%% '''
-spec match_object(table(), match_pattern()) -> [tuple()].
match_object(Tab, Pattern) ->
    ?VALUE(bets_match:all(Tab, [{Pattern, [], ['$_']}], forward), [Tab, Pattern]).

%% @doc Like {@link match_object/2}, but gives at most `Limit' objects and how to go on with {@link match_object/1}.
%%
%% Errors: as {@link match_object/2}; also if `Limit' is no positive integer.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:match_object(T, '_', 10).
%% {[{a,1}],'$end_of_table'}
%% '''
-spec match_object(table(), match_pattern(), Limit :: pos_integer()) ->
    {[tuple()], continuation() | '$end_of_table'} | '$end_of_table'.
match_object(Tab, Pattern, Limit) ->
    ?VALUE(bets_match:chunk(Tab, [{Pattern, [], ['$_']}], forward, Limit), [Tab, Pattern, Limit]).

%% @doc Compiles a match specification for {@link match_spec_run/2}. The same as `ets:match_spec_compile/1'.
%%
%% Errors: `badarg' if it is none.
%% ```
%% 1> bets:match_spec_run([{a, 1}, {b, 2}], bets:match_spec_compile([{{'$1', 2}, [], ['$1']}])).
%% [b]
%% '''
-spec match_spec_compile(match_spec()) -> ets:comp_match_spec().
match_spec_compile(MatchSpec) ->
    case bets_spec:compile(MatchSpec) of
        {ok, Compiled} -> Compiled;
        Failure -> ?FAIL(Failure, [MatchSpec])
    end.

%% @doc Runs a compiled match specification on each term of a list. The same as `ets:match_spec_run/2'.
%%
%% Errors: `badarg' if the list is none or the specification is not compiled.
%% ```
%% 1> bets:match_spec_run([{a}], bets:match_spec_compile([{'$1', [], ['$1']}])).
%% [{a}]
%% '''
-spec match_spec_run([term()], ets:comp_match_spec()) -> [term()].
match_spec_run(List, Compiled) ->
    try
        ets:match_spec_run(List, Compiled)
    catch
        error:badarg -> ?FAIL({badarg, none}, [List, Compiled])
    end.

%% @doc Tells whether there is an object with this key.
%%
%% Reads memory. Constant time.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it.
%% ```
%% 1> T = bets:new(t, []), bets:member(T, a).
%% false
%% '''
-spec member(table(), key()) -> boolean().
member(Tab, Key) ->
    ?RESULT(bets_nif:member(Tab, Key), [Tab, Key]).

%% @doc Opens a table or creates it, and makes the caller its owner. Gives `Name' with `named_table', an identifier without.
%%
%% The options of `ets:new/2' mean the same; `read_concurrency', `write_concurrency' and `decentralized_counters' change nothing but
%% {@link info/1}. Options of `bets':
%% <dl>
%% <dt>`{dir, Path}'</dt>
%% <dd>the directory, which is created if it is not there. Without it, a named table stands below the application's `data_dir'
%% (`"bets_data"' in the working directory if it is not set), in a directory that only depends on the name; any other table is temporary.</dd>
%% <dt>`{sync, always}'</dt><dd>a write returns when it is durable. Other processes see it before.</dd>
%% <dt>`{sync, {interval, Milliseconds}}'</dt>
%% <dd>a power loss takes at most the writes of the last so many milliseconds, the last ones first. The default, with 1000.</dd>
%% <dt>`{sync, none}'</dt><dd>the operating system writes when it likes.</dd>
%% <dt>`{max_file_size, Bytes}'</dt><dd>a new data file is begun before one grows beyond this, from 4096 to 2147483648, the default.</dd>
%% <dt>`{cache, boolean()}'</dt><dd>whether the value cache serves the table. Default `true'.</dd>
%% <dt>`{repair, true}', `{repair, force}'</dt>
%% <dd>a table that cannot be opened because it is damaged is repaired first, as by {@link repair/2}, and what was lost is logged. Default `false': it
%% stays as it is.</dd>
%% <dt>`{ttl, Milliseconds}'</dt>
%% <dd>how long objects are there that are inserted without a time of their own, see {@link ttl()} and {@link insert/3}. Default: `infinity'. It is
%% not stored: objects keep the deadlines that they have, and whoever opens the table again says it again.</dd>
%% <dt>`{access, read}'</dt>
%% <dd>the table is a <em>snapshot</em> of what its directory holds, which must be there; nothing in it is changed. It is opened beside the table itself, if that is open, in
%% another OS process or in this VM, as often as wanted: it has all that was acknowledged before, up to one write, and nothing of what comes later. Whatever would
%% change the table is refused as in a `protected' table of another process, `delete/1' and `rename/2' included; who opened it closes it. As long as it is open,
%% the files that it needs stay on the disk, also if they are merged; so close it soon. If the table is deleted or its directory moved, reading what is not
%% cached becomes an error.</dd>
%% <dt>`compressed'</dt>
%% <dd>objects are stored compressed (LZ4, each by itself) where that makes them shorter. They take less of the disk and more time to
%% write, and to read when they are not cached. The option concerns what is written; whatever is stored is read.</dd>
%% </dl>
%% Records that were overwritten or deleted take room until a merge removes them (see {@link merge/1}). The options that say when that is have the names
%% that they have in Bitcask:
%% <dl>
%% <dt>`{frag_merge_trigger, Percent}', `{dead_bytes_merge_trigger, Bytes}'</dt>
%% <dd>a data file of which so much is dead makes a merge due. Defaults 60 and 536870912. Eight small ones (see below) side by side do, too.</dd>
%% <dt>`{frag_threshold, Percent}', `{dead_bytes_threshold, Bytes}', `{small_file_threshold, Bytes}'</dt>
%% <dd>a merge takes in files of which so much is dead, or which are smaller than that. Defaults 40, 134217728 and 10485760; no file counts as small that has a
%% fourth of `max_file_size'.</dd>
%% <dt>`{merge_window, always | never | {FirstHour, LastHour}}'</dt>
%% <dd>when merges may begin, in hours of the local time. Default `always'.</dd>
%% <dt>`{merge_rate, BytesPerSecond | infinity}'</dt><dd>how much a merge may read, check and write. Default `infinity'.</dd>
%% </dl>
%% Every 5 seconds, or as many milliseconds as the application's environment variable `merge_interval' says, one process looks for which tables a merge is due.
%% An opening that finds more than 64 files merges small ones at once, up to 16 MiB of them, unless `merge_window' is `never'.
%% Waits for the disk. Takes time in proportion to the number of objects.
%%
%% Errors: `badarg' with a cause that the shell explains: the name is taken, an option is none, the stored table has another type or
%% position of the key, the directory is in use or cannot be used.
%% ```
%% 1> bets:new(colours, [named_table, public, {sync, always}]).
%% colours
%% '''
-spec new(Name :: atom(), [option()]) -> table().
new(Name, Options) ->
    case bets_opener:new(Name, Options) of
        {ok, Tab} -> Tab;
        {_, Cause} -> ?FAIL({badarg, Cause}, [Name, Options])
    end.

%% @doc Merges whatever can be merged, and waits for it: copies what is live out of data files that have dead records, and removes those files.
%%
%% Tables are merged without being asked to, when the options of {@link new/2} say so; this call also merges what is not worth it yet, and the
%% newest data file. Readers and writers go on meanwhile. The merges of all tables are carried out one after the other, but for those
%% with a `merge_rate', which go on beside the others. Reads all files that are merged and
%% writes what is live of them; needs so much room on the disk until it is through. After an error or a crash at any moment everything is as before.
%%
%% Any process may call it. Gives what was done: the numbers of the files that were merged, written, and left out for damage; bytes before and
%% after; objects copied, records dropped, and tombstones that had to be kept because an older file may have what they hide; milliseconds.
%%
%% Errors: `badarg' if there is no such table; `{bets, Reason}' if the disk fails or is full, or the merge was cancelled.
%% ```
%% 1> T = bets:new(t, []), [bets:insert(T, {a, N}) || N <- lists:seq(1, 1000)], maps:get(dropped, bets:merge(T)).
%% 999
%% '''
-spec merge(table()) -> merge_report().
merge(Tab) ->
    ?RESULT(bets_merger:merge(Tab), [Tab]).

%% @doc Controls the merges of a table. Any process may.
%% <dl>
%% <dt>`pause'</dt><dd>no merge begins, and one that is under way stops between two steps, until `resume'. Gives `true'.</dd>
%% <dt>`resume'</dt><dd>ends that; `false' if they were not paused.</dd>
%% <dt>`cancel'</dt><dd>gives up the merge under way; `false' if there is none, or if its files are in use already and it can only go on.</dd>
%% <dt>`subscribe'</dt>
%% <dd>the caller gets messages `{bets, merge, Identifier, Event, Data}' until it dies or the table is closed: `start', `progress' with the keys `phase',
%% `done' and `total' (bytes) and `report', `stop' with `report', and `failure' with `reason'. If the application `telemetry' is there, it gets all but `progress' as
%% events `[bets, merge, Event]'.</dd>
%% <dt>`unsubscribe'</dt><dd>ends that.</dd>
%% </dl>
%% What goes on can also be asked for: `info(Tab, merge)'.
%%
%% Waits for a step of a merge, mostly up to 35 milliseconds; if that waits for the disk, for the disk too.
%%
%% Errors: `badarg' if there is no such table or command.
%% ```
%% 1> T = bets:new(t, []), bets:merge(T, pause), maps:get(state, bets:info(T, merge)).
%% paused
%% '''
-spec merge(table(), pause | resume | cancel | subscribe | unsubscribe) -> boolean().
merge(Tab, Command) ->
    ?RESULT(bets_merger:command(Tab, Command), [Tab, Command]).

%% @doc Gives the key behind `Key' in the table's order.
%%
%% Reads memory. Constant time.
%%
%% Errors: `badarg' if there is no such table, the caller may not read it, or `Key' is not there. In an `ordered_set' any `Key' has
%% its place, there or not, but `'$end_of_table''.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:next(T, a).
%% '$end_of_table'
%% '''
-spec next(table(), key()) -> key() | '$end_of_table'.
next(Tab, Key) ->
    ?KEY(bets_nif:next(Tab, Key), [Tab, Key]).

%% @doc Gives the key of {@link next/2} with its object.
%%
%% Constant time. May read the disk.
%%
%% Errors: as {@link next/2}.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:next_lookup(T, a).
%% '$end_of_table'
%% '''
-spec next_lookup(table(), key()) -> {key(), [tuple()]} | '$end_of_table'.
next_lookup(Tab, Key) ->
    ?PAIR(bets_nif:next_lookup(Tab, Key), [Tab, Key]).

%% @doc Opens the table in a directory, as {@link open/2} without options.
%%
%% Waits for the disk. Takes time in proportion to the number of objects.
%% ```
%% 1> bets:open("/nowhere").
%% {error,{no_table,"/nowhere"}}
%% '''
-spec open(file:name_all()) -> {ok, table()} | {error, bets_errors:reason()}.
open(Dir) ->
    open(Dir, []).

%% @doc Opens the table that is in a directory, with the type and the position of the key that it was created with, and makes the caller its
%% owner. Nothing is created.
%%
%% The options are those of {@link new/2} but for `dir'. A type or `keypos' is compared with what is stored. `named_table' needs
%% `{name, Name}'; without that, the name is the stored one.
%% Waits for the disk. Takes time in proportion to the number of objects.
%%
%% Gives `{error, Reason}' with a reason of {@link bets_errors}, or `already_exists' if the name is taken. Raises `badarg' if `Dir' is
%% no file name or an option is none.
%% ```
%% 1> bets:close(bets:new(t, [{dir, "/tmp/t"}])), {ok, T} = bets:open("/tmp/t"), bets:info(T, name).
%% t
%% '''
-spec open(file:name_all(), [open_option()]) -> {ok, table()} | {error, bets_errors:reason()}.
open(Dir, Options) ->
    case bets_opener:open(Dir, Options) of
        {ok, Tab} -> {ok, Tab};
        {bets, Reason} -> {error, Reason};
        {badarg, already_exists} -> {error, already_exists};
        Failure -> ?FAIL(Failure, [Dir, Options])
    end.

%% @doc Gives the key before `Key' in the order of an `ordered_set'. In a table of another type it is the next one, as in `ets'.
%%
%% Reads memory. Constant time.
%%
%% Errors: as {@link next/2}.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:prev(T, a).
%% '$end_of_table'
%% '''
-spec prev(table(), key()) -> key() | '$end_of_table'.
prev(Tab, Key) ->
    ?KEY(bets_nif:prev(Tab, Key), [Tab, Key]).

%% @doc Gives the key of {@link prev/2} with its object.
%%
%% Constant time. May read the disk.
%%
%% Errors: as {@link next/2}.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:prev_lookup(T, a).
%% '$end_of_table'
%% '''
-spec prev_lookup(table(), key()) -> {key(), [tuple()]} | '$end_of_table'.
prev_lookup(Tab, Key) ->
    ?PAIR(bets_nif:prev_lookup(Tab, Key), [Tab, Key]).

%% @doc Gives a table another name. Gives that name for a named table, the identifier for another, whose name is only seen in {@link info/1}.
%%
%% The directory of a named table that was created without `dir' moves with the name, and stands at one of the two places after a
%% crash; readers and writers go on meanwhile. Waits for the disk then. Any other directory stays. Constant time.
%%
%% Errors: `badarg' if there is no such table, the caller may not write to it, or a table has the name already;
%% `{bets, {not_a_table, Path, Why}}' if a closed table has its directory where this one's is to be.
%% ```
%% 1> bets:new(old, [named_table]), bets:rename(old, new).
%% new
%% '''
-spec rename(table(), Name :: atom()) -> table().
rename(Tab, Name) ->
    ?RESULT(bets_opener:rename(Tab, Name), [Tab, Name]).

%% @doc Puts `New' in the place of `Old' if exactly `Old' is stored, in one step. Gives `false', and changes nothing, if it is not.
%%
%% Both have the same key. With {@link lookup/2} before it, this is how to change an object by any function: when another process was
%% faster, look again. Not for bags. `ets' has this only as {@link ets:select_replace/2}. Constant time. May read the disk; appends
%% to the log if `Old' is there.
%%
%% Errors: `badarg' if there is no such table, the caller may not write to it, it is a bag or a duplicate_bag, or the objects are no tuples
%% with the same key.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), [bets:replace_object(T, {a, 1}, {a, 2}), bets:replace_object(T, {a, 1}, {a, 3})].
%% [true,false]
%% '''
-spec replace_object(table(), Old :: tuple(), New :: tuple()) -> boolean().
replace_object(Tab, Old, New) ->
    ?RESULT(settled(bets_nif:replace_object(Tab, Old, New)), [Tab, Old, New]).
%% @doc Repairs the damaged table in a directory, which nobody may have open, as far as the options allow, and tells what was lost. A table
%% that is sound stays as it is.
%%
%% With `{repair, true}', the default, only what can be repaired with each lost object known by its key; with `{repair, force}' all that can be read is
%% saved. {@link bets_repair} has what that means, the options and the report. The damaged files are kept, in the folder `quarantine' of the directory.
%%
%% Reads all files, writes as much as is damaged, waits for the disk. Takes time in proportion to the table's bytes on disk.
%%
%% Gives `{error, Reason}' with a reason of {@link bets_errors} if the directory has no table or is in use, if the disk fails, and for a `MANIFEST' that
%% cannot be read if that is not forced with the type given. Raises `badarg' if `Dir' is no file name or an option is none.
%% ```
%% 1> bets:close(bets:new(t, [{dir, "/tmp/t"}])), {ok, Report} = bets:repair("/tmp/t", []), maps:get(sound, Report).
%% true
%% '''
-spec repair(file:name_all(), [bets_repair:option()]) -> {ok, bets_repair:report()} | {error, bets_errors:reason()}.
repair(Dir, Options) ->
    case bets_repair:repair(Dir, Options) of
        {badarg, _} = Failure -> ?FAIL(Failure, [Dir, Options]);
        Result -> Result
    end.

%% @doc Makes a continuation that was stored outside of the VM, or sent to another one, usable again. `MatchSpec' has to be that of the traversal; for a
%% pattern it is `[{Pattern, [], ['$$']}]' or, of `match_object', `[{Pattern, [], ['$_']}]'. `ets:repair_continuation/2' does the same.
%%
%% The table has to be open still: its identifier is in the continuation.
%%
%% Errors: `badarg' if the specification is none.
%% ```
%% 1> bets:repair_continuation('$end_of_table', [{'_', [], ['$_']}]).
%% '$end_of_table'
%% '''
-spec repair_continuation(continuation() | '$end_of_table', match_spec()) -> continuation() | '$end_of_table'.
repair_continuation('$end_of_table', _MatchSpec) ->
    '$end_of_table';
repair_continuation({_, _, _, Limit, Compiled, More, N, M} = Continuation, MatchSpec) when
    is_integer(Limit), is_list(More), is_integer(N), is_integer(M)
->
    repaired(Continuation, 5, Compiled, MatchSpec);
repair_continuation({_, Slot, Limit, Compiled, More, N} = Continuation, MatchSpec) when
    is_integer(Slot), is_integer(Limit), is_list(More), is_integer(N)
->
    repaired(Continuation, 4, Compiled, MatchSpec).

repaired(Continuation, Position, Compiled, MatchSpec) ->
    case ets:is_compiled_ms(Compiled) of
        true -> Continuation;
        false -> setelement(Position, Continuation, match_spec_compile(MatchSpec))
    end.

%% @doc Holds a table fixed, or lets it go again: as long as it is fixed, {@link next/2} takes keys that were deleted meanwhile.
%%
%% Traversals of `bets' meet an object that is there all the time exactly once whether the table is fixed or not. A process may fix a
%% table several times, and has to let it go as often; when it dies all its fixes end. While a table is fixed each deletion takes some memory for its
%% key. Constant time.
%%
%% Errors: `badarg' if there is no such table, the caller may not read it, or `Fix' is no boolean.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:safe_fixtable(T, true), bets:delete(T, a), bets:next(T, a).
%% '$end_of_table'
%% '''
-spec safe_fixtable(table(), Fix :: boolean()) -> true.
safe_fixtable(Tab, Fix) ->
    ?RESULT(bets_fix:set(Tab, Fix), [Tab, Fix]).

%% @doc As {@link match/1}.
%% ```
%% 1> bets:select('$end_of_table').
%% '$end_of_table'
%% '''
-spec select(continuation() | '$end_of_table') -> {[term()], continuation() | '$end_of_table'} | '$end_of_table'.
select(Continuation) ->
    ?VALUE(bets_match:next(Continuation), [Continuation]).

%% @doc Runs a match specification on all objects and gives the results of those that match, in the table's order.
%%
%% `ets' itself compiles and runs the specification. If each clause has a key in its pattern, only these keys are looked up; in an `ordered_set', a pattern with the
%% beginning of a key makes it a look at the keys that begin so. Otherwise all objects are gone through, in steps; those that constants in the
%% pattern, or guards that compare an element with a constant, rule out are not made into terms. May read the disk.
%%
%% An object that is there all the time is seen once, as it is at that moment; one that comes or goes meanwhile may be seen or not.
%%
%% Errors: `badarg' if there is no such table, the caller may not read it, or the specification is none; `system_limit' if it is too deep.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 20}]), bets:select(T, [{{'$1', '$2'}, [{'>', '$2', 10}], ['$1']}]).
%% [b]
%% '''
-spec select(table(), match_spec()) -> [term()].
select(Tab, MatchSpec) ->
    ?VALUE(bets_match:all(Tab, MatchSpec, forward), [Tab, MatchSpec]).

%% @doc Like {@link select/2}, but gives at most `Limit' results and how to go on with {@link select/1}.
%%
%% Errors: as {@link select/2}; also if `Limit' is no positive integer.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:select(T, [{'_', [], ['$_']}], 10).
%% {[{a,1}],'$end_of_table'}
%% '''
-spec select(table(), match_spec(), Limit :: pos_integer()) ->
    {[term()], continuation() | '$end_of_table'} | '$end_of_table'.
select(Tab, MatchSpec, Limit) ->
    ?VALUE(bets_match:chunk(Tab, MatchSpec, forward, Limit), [Tab, MatchSpec, Limit]).

%% @doc Tells for how many objects a match specification gives `true'. Costs what {@link select/2} costs.
%%
%% Errors: as {@link select/2}.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 20}]), bets:select_count(T, [{{'_', '$1'}, [], [{'>', '$1', 10}]}]).
%% 1
%% '''
-spec select_count(table(), match_spec()) -> non_neg_integer().
select_count(Tab, MatchSpec) ->
    ?VALUE(bets_match:count(Tab, MatchSpec), [Tab, MatchSpec]).

%% @doc Deletes the objects for which a match specification gives `true', and tells how many.
%%
%% Each object is deleted in a step of its own, and only as the object that matched: when it is changed in between, the specification is run again on what is
%% there then. Costs what {@link select/2} costs, and a record in the log for each object; `[{'_', [], [true]}]' deletes all in one step with one record.
%%
%% Errors: `badarg' if there is no such table, the caller may not write to it, or the specification is none; `system_limit' if it is too deep.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 20}]), bets:select_delete(T, [{{'_', '$1'}, [{'>', '$1', 10}], [true]}]).
%% 1
%% '''
-spec select_delete(table(), match_spec()) -> non_neg_integer().
select_delete(Tab, MatchSpec) ->
    case settled(bets_change:delete(Tab, MatchSpec)) of
        Count when is_integer(Count) -> Count;
        Failure -> ?FAIL(Failure, [Tab, MatchSpec])
    end.

%% @doc Puts what a match specification gives for an object in the place of that object, for all objects that match, and tells how many.
%%
%% Each object is replaced in a step of its own, as in {@link select_delete/2}; in a `duplicate_bag' all copies of an object are, and what replaces them stands behind the
%% other objects of the key. The form of the specification has to show that the key stays: the result is `$_', or
%% a tuple with the variable of the key, `{const, Key}' or `{element, KeyPosition, '$_'}' in the key's position. Not for tables of type `bag'. Costs what
%% {@link select/2} costs, and a record in the log for each object.
%%
%% Errors: `badarg' if there is no such table, the caller may not write to it, the table is a `bag', or the specification is none or could change a key;
%% `system_limit' if it is too deep.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:select_replace(T, [{{'$1', '$2'}, [], [{{'$1', {'+', '$2', 1}}}]}]), bets:lookup(T, a).
%% [{a,2}]
%% '''
-spec select_replace(table(), match_spec()) -> non_neg_integer().
select_replace(Tab, MatchSpec) ->
    case settled(bets_change:replace(Tab, MatchSpec)) of
        Count when is_integer(Count) -> Count;
        Failure -> ?FAIL(Failure, [Tab, MatchSpec])
    end.

%% @doc As {@link match/1}: a traversal that began in reverse goes on so.
%% ```
%% 1> bets:select_reverse('$end_of_table').
%% '$end_of_table'
%% '''
-spec select_reverse(continuation() | '$end_of_table') ->
    {[term()], continuation() | '$end_of_table'} | '$end_of_table'.
select_reverse(Continuation) ->
    ?VALUE(bets_match:next(Continuation), [Continuation]).

%% @doc Like {@link select/2}, in an `ordered_set' from the last object to the first. In a table of another type it is the same, as in `ets'.
%%
%% Errors: as {@link select/2}.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:select_reverse(T, [{'_', [], ['$_']}]).
%% [{a,1}]
%% '''
-spec select_reverse(table(), match_spec()) -> [term()].
select_reverse(Tab, MatchSpec) ->
    ?VALUE(bets_match:all(Tab, MatchSpec, backward), [Tab, MatchSpec]).

%% @doc Like {@link select_reverse/2}, but gives at most `Limit' results and how to go on with {@link select_reverse/1}.
%%
%% Errors: as {@link select_reverse/2}; also if `Limit' is no positive integer.
%% ```
%% 1> T = bets:new(t, []), bets:select_reverse(T, [{'_', [], ['$_']}], 10).
%% '$end_of_table'
%% '''
-spec select_reverse(table(), match_spec(), Limit :: pos_integer()) ->
    {[term()], continuation() | '$end_of_table'} | '$end_of_table'.
select_reverse(Tab, MatchSpec, Limit) ->
    ?VALUE(bets_match:chunk(Tab, MatchSpec, backward, Limit), [Tab, MatchSpec, Limit]).

%% @doc Changes the heir or the protection of a table of the caller's.
%%
%% Constant time; nothing is written.
%%
%% Errors: `badarg' if there is no such table, the caller is not its owner, or an option is none or there twice.
%% ```
%% 1> T = bets:new(t, []), bets:setopts(T, {heir, self(), data}).
%% true
%% '''
-spec setopts(table(), Option | [Option]) -> true when
    Option :: {heir, pid(), term()} | {heir, none} | {protection, public | protected | private}.
setopts(Tab, Options) ->
    ?RESULT(bets_opener:set(Tab, Options), [Tab, Options]).

%% @doc Starts a process that opens or creates a table and owns it, as a child of a supervisor: see {@link child_spec/1}.
%%
%% The options are those of {@link new/2} and `{name, Name}', which is required: the table is a named one. It is `public' unless an option
%% says otherwise, for the process itself neither reads nor writes. When the process is stopped, it closes the table, so that all writes are
%% durable and the next one can open it at once; the same holds when it is killed, but then what the sync mode allows may be
%% lost in a power failure. Stop the child rather than close its table. Waits for the disk. Takes time in proportion to the number of objects.
%%
%% Gives `{error, Reason}' with a reason of {@link bets_errors} if the table cannot be opened.
%% ```
%% 1> {ok, Pid} = bets:start_link([{name, colours}, {dir, "/tmp/colours"}]), bets:info(colours, owner) =:= Pid.
%% true
%% '''
-spec start_link([server_option()]) -> {ok, pid()} | {error, bets_errors:reason()}.
start_link(Options) ->
    bets_server:start_link(Options).
%% @doc Gives the objects of one slot, from 0. All slots together have every object once. Behind the last one is `$end_of_table'.
%%
%% In an `ordered_set' slot N has the object number N + 1; going on by one costs constant time as long as nothing is written, a leap linear time. In a
%% table of another type there are 256 slots or more; when the table grows or shrinks their number changes, unless it is fixed (see {@link safe_fixtable/2}). May
%% read the disk.
%%
%% Errors: `badarg' if there is no such table, the caller may not read it, or the slot is beyond the end.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), lists:append([bets:slot(T, N) || N <- lists:seq(0, 255)]).
%% [{a,1}]
%% '''
-spec slot(table(), non_neg_integer()) -> [tuple()] | '$end_of_table'.
slot(Tab, Slot) ->
    ?RESULT(bets_fix:slot(Tab, Slot), [Tab, Slot]).

%% @doc Returns when all writes so far survive a power loss.
%%
%% Waits for the disk.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it; `{bets, Reason}' if the disk fails, after which the table takes
%% no writes.
%% ```
%% 1> T = bets:new(t, [{dir, "/tmp/t"}]), bets:insert(T, {a, 1}), bets:sync(T).
%% ok
%% '''
-spec sync(table()) -> ok.
sync(Tab) ->
    ?RESULT(bets_nif:sync(Tab), [Tab]).

%% @doc As {@link tab2file/3} without options.
%% ```
%% 1> T = bets:new(t, []), bets:tab2file(T, "/tmp/t.tab").
%% ok
%% '''
-spec tab2file(table(), file:name()) -> ok | {error, term()}.
tab2file(Tab, File) ->
    tab2file(Tab, File, []).

%% @doc Writes all objects to a file that `ets:file2tab/1' and {@link file2tab/1} read.
%%
%% `{extended_info, [object_count, md5sum]}' adds what {@link file2tab/2} verifies; with `{sync, true}' the file is durable. The file is written anew.
%% To save a table of `bets' there is no need for it: its own files are kept.
%% An object that is there all the time is written once. Takes linear time.
%%
%% Gives `{error, badtab}' if there is no such table, or another `{error, Reason}'.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:tab2file(T, "/tmp/t.tab", [{extended_info, [md5sum]}]), {ok, E} = ets:file2tab("/tmp/t.tab"), ets:tab2list(E).
%% [{a,1}]
%% '''
-spec tab2file(table(), file:name(), [{extended_info, [object_count | md5sum]} | {sync, boolean()}]) -> ok | {error, term()}.
tab2file(Tab, File, Options) ->
    bets_file:write(Tab, File, Options).

%% @doc Gives all objects, in the table's order.
%%
%% Linear time, in steps of at most 100 objects. May read the disk.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:tab2list(T).
%% [{a,1}]
%% '''
-spec tab2list(table()) -> [tuple()].
tab2list(Tab) ->
    case bets_fold:to_list(Tab) of
        {ok, Objects} -> Objects;
        Failure -> ?FAIL(Failure, [Tab])
    end.

%% @doc Tells name, type, protection, `named_table', `keypos', size, extended information and version of a file of {@link tab2file/3} or of
%% `ets:tab2file/3'.
%% ```
%% 1> bets:tabfile_info("/nowhere").
%% {error,{read_error,{file_error,"/nowhere",enoent}}}
%% '''
-spec tabfile_info(file:name()) -> {ok, [{atom(), term()}]} | {error, term()}.
tabfile_info(File) ->
    bets_file:info(File).

%% @doc As {@link table/2} without options.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 2}]), qlc:e(qlc:q([K || {K, N} <- bets:table(T), N > 1])).
%% [b]
%% '''
-spec table(table()) -> qlc:query_handle().
table(Tab) ->
    table(Tab, []).

%% @doc Makes a table the source of a query of {@link qlc}. A query that asks for keys looks them up; one that compares elements with constants
%% becomes a match specification.
%%
%% With `{traverse, select}', the default, objects are gone through as by {@link select/3}, `{n_objects, N}' at a time (100); with `{traverse, {select, MatchSpec}}' by this
%% specification; with `{traverse, first_next}' or `last_prev' key by key, in an `ordered_set' in the order of its keys. Other options are those of
%% `qlc:table/2'.
%%
%% Errors: `badarg' if an option is none; when the query runs, if there is no such table or the caller may not read it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, [{a, 1}, {b, 2}]), qlc:e(qlc:q([N || {b, N} <- bets:table(T, {n_objects, 10})])).
%% [2]
%% '''
-spec table(table(), Option | [Option]) -> qlc:query_handle() when
    Option :: {n_objects, default | pos_integer()} | {traverse, first_next | last_prev | select | {select, match_spec()}}.
table(Tab, Options) ->
    case bets_qlc:table(Tab, Options) of
        {ok, Handle} -> Handle;
        {badarg, none} -> erlang:error(badarg, [Tab, Options])
    end.

%% @doc Deletes the objects with this key and gives them in a list, in one step; an empty list if there are none.
%%
%% Constant time an object. May read the disk; appends to the log if the key is there.
%%
%% Errors: `badarg' if there is no such table or the caller may not write to it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), [bets:take(T, a), bets:take(T, a)].
%% [[{a,1}],[]]
%% '''
-spec take(table(), key()) -> [tuple()].
take(Tab, Key) ->
    ?RESULT(settled(bets_nif:take(Tab, Key)), [Tab, Key]).

%% @doc Runs a match specification on a tuple. The same as `ets:test_ms/2'.
%%
%% Gives `{ok, Result}', with `false' if it does not match, or `{error, Errors}' if the specification is none.
%% ```
%% 1> bets:test_ms({a, 1}, [{{'$1', '_'}, [], ['$1']}]).
%% {ok,a}
%% '''
-spec test_ms(tuple(), match_spec()) -> {ok, term()} | {error, [{warning | error, string()}]}.
test_ms(Tuple, MatchSpec) ->
    ets:test_ms(Tuple, MatchSpec).

%% @doc Tells how long the objects of a key are still there, in milliseconds or `infinity', in the order of {@link lookup/2}.
%%
%% Reads memory. Takes time in proportion to the objects of the key.
%%
%% Errors: `badarg' if there is no such table or the caller may not read it.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:insert(T, {b, 1}, [{ttl, 60000}]), [_] = bets:ttl(T, b), [bets:ttl(T, K) || K <- [a, c]].
%% [[infinity],[]]
%% '''
-spec ttl(table(), key()) -> [ttl()].
ttl(Tab, Key) ->
    case bets_nif:ttl(Tab, Key) of
        [Now | Deadlines] -> [left(Deadline, Now) || Deadline <- Deadlines];
        Failure -> ?FAIL(Failure, [Tab, Key])
    end.

left(infinity, _Now) -> infinity;
left(Deadline, Now) -> max(1, Deadline - Now).

%% @doc Puts all objects into an open dets table, in the place of what is in it, and gives its name. Takes linear time; writes the dets file.
%%
%% Errors: `badarg' if there is no such table or dets table, or the caller may not read it; another reason of dets.
%% ```
%% 1> {ok, d} = dets:open_file(d, [{file, "/tmp/d.dets"}]), T = bets:new(t, []), bets:to_dets(T, d).
%% d
%% '''
-spec to_dets(table(), dets:tab_name()) -> dets:tab_name().
to_dets(Tab, Dets) ->
    case bets_copy:to_dets(Tab, Dets) of
        ok -> Dets;
        {error, Reason} -> erlang:error(Reason, [Tab, Dets])
    end.

%% @doc Adds to integers in the object with this key, in one step, and gives the results.
%%
%% An operation is `{Position, Increment}', or `Increment' alone for the position behind the key, or `{Position, Increment, Threshold, SetValue}':
%% when the result is beyond `Threshold' in the direction of the increment, `SetValue' is stored and given. Of a list, all operations are
%% done in their order or none. Constant time an operation. May read the disk; appends to the log.
%%
%% Errors: `badarg' if there is no such table, the caller may not write to it, it is a bag, the key is not there, or the object has no integer at a
%% position or has its key there.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), [bets:update_counter(T, a, 10), bets:update_counter(T, a, {2, 1, 10, 0})].
%% [11,0]
%% '''
-spec update_counter(table(), key(), update_op()) -> integer();
    (table(), key(), [update_op()]) -> [integer()].
update_counter(Tab, Key, Op) ->
    ?RESULT(settled(bets_nif:update_counter(Tab, Key, Op)), [Tab, Key, Op]).

%% @doc Like {@link update_counter/3}, but starts from the object `Default', with `Key' in the place of its key, if the key is not there.
%%
%% Constant time an operation. May read the disk; appends to the log.
%%
%% Errors: as {@link update_counter/3}, but for the missing key; also if `Default' is no tuple with a key.
%% ```
%% 1> T = bets:new(t, []), [bets:update_counter(T, a, 1, {a, 0}), bets:update_counter(T, a, 1, {a, 0})].
%% [1,2]
%% '''
-spec update_counter(table(), key(), update_op(), Default :: tuple()) -> integer();
    (table(), key(), [update_op()], Default :: tuple()) -> [integer()].
update_counter(Tab, Key, Op, Default) ->
    ?RESULT(settled(bets_nif:update_counter(Tab, Key, Op, Default)), [Tab, Key, Op, Default]).

%% @doc Stores new elements at positions of the object with this key, all in one step. Gives `false' if the key is not there.
%%
%% Constant time an element. May read the disk; appends to the log if the key is there.
%%
%% Errors: `badarg' if there is no such table, the caller may not write to it, it is a bag, or the object has no such position or has its key there.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), bets:update_element(T, a, {2, new}), bets:lookup(T, a).
%% [{a,new}]
%% '''
-spec update_element(table(), key(), element_spec() | [element_spec()]) -> boolean().
update_element(Tab, Key, Spec) ->
    ?RESULT(settled(bets_nif:update_element(Tab, Key, Spec)), [Tab, Key, Spec]).

%% @doc Like {@link update_element/3}, but starts from the object `Default', with `Key' in the place of its key, if the key is not there.
%%
%% Constant time an element. May read the disk; appends to the log.
%%
%% Errors: as {@link update_element/3}; also if `Default' is no tuple with a key.
%% ```
%% 1> T = bets:new(t, []), bets:update_element(T, a, {2, new}, {a, old}), bets:lookup(T, a).
%% [{a,new}]
%% '''
-spec update_element(table(), key(), element_spec() | [element_spec()], Default :: tuple()) -> true.
update_element(Tab, Key, Spec, Default) ->
    ?RESULT(settled(bets_nif:update_element(Tab, Key, Spec, Default)), [Tab, Key, Spec, Default]).

%% @doc As {@link verify/2} without options.
%% ```
%% 1> T = bets:new(t, []), bets:insert(T, {a, 1}), {ok, Report} = bets:verify(T), maps:get(sound, Report).
%% true
%% '''
-spec verify(table() | Dir :: string() | binary()) -> {ok, bets_repair:report()} | {error, bets_errors:reason()}.
verify(Source) ->
    case bets_repair:verify(Source, []) of
        {badarg, _} = Failure -> ?FAIL(Failure, [Source]);
        Result -> Result
    end.

%% @doc Reads every record of a table and checks it, and tells what is wrong in a map that {@link bets_repair} explains.
%%
%% Of an open table, given by its name or identifier, it checks what was written when the call began, and that each object can be read from the disk,
%% whatever is in the cache; readers and writers go on meanwhile. A directory, given as a string or binary, is checked while nobody has it open, and nothing
%% in it is changed; if this VM has it open, the table is checked. What a power loss or a kill has left is no fault. Of a directory the hints and the checkpoint are read too; one that is wrong costs time
%% only, and is told apart from faults.
%%
%% With the option `{progress, Fun}', `Fun' is called with a {@link bets_repair:progress()} now and then, by the caller.
%%
%% Reads all files, in steps of some megabytes on dirty schedulers; a directory is read by one call. Waits for the disk. Takes time in proportion to the
%% table's bytes on disk, and memory for its longest object.
%%
%% Gives `{error, Reason}' with a reason of {@link bets_errors} if the check cannot be made: there is no table, another OS process has it open (whose
%% snapshot, by `{access, read}' of {@link new/2}, can be checked), this VM has it open and the caller may not read it, or is just opening, closing or checking it (`already_open'), the disk
%% fails. Raises `badarg' if there is no such table, the caller may not read it, or an option is none.
%% ```
%% 1> bets:close(bets:new(t, [{dir, "/tmp/t"}])), {ok, Report} = bets:verify("/tmp/t", []), maps:get(faults, Report).
%% []
%% '''
-spec verify(table() | Dir :: string() | binary(), [bets_repair:verify_option()]) ->
    {ok, bets_repair:report()} | {error, bets_errors:reason()}.
verify(Source, Options) ->
    case bets_repair:verify(Source, Options) of
        {badarg, _} = Failure -> ?FAIL(Failure, [Source, Options]);
        Result -> Result
    end.

%% @doc Gives the identifier of a named table, or `undefined'. Using the identifier saves the search for the name.
%%
%% Reads memory. Constant time.
%%
%% Errors: `badarg' if `Name' is no atom.
%% ```
%% 1> bets:whereis(no_table).
%% undefined
%% '''
-spec whereis(Name :: atom()) -> reference() | undefined.
whereis(Name) ->
    ?RESULT(bets_nif:whereis(Name), [Name]).

%% With `{sync, always}' a write is done but not durable when it comes back from the library.
settled({durable, Tab, Commit, Result}) ->
    case await(Tab, Commit) of
        ok -> Result;
        Failure -> Failure
    end;
settled(Result) ->
    Result.

%% The reference is made in the function that receives, so that the VM does not search the messages that came before.
await(Tab, Commit) ->
    Ref = make_ref(),
    case bets_nif:await_durable(Tab, Commit, Ref) of
        wait ->
            receive
                {Ref, Answer} -> Answer
            end;
        Answer ->
            Answer
    end.
