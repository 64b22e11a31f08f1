%% @private
%% The functions that the NIF library replaces, and nothing else: a library can be loaded once only, so this module has to
%% be one that never changes in a running system.
-module(bets_nif).

-export([
    all/0,
    await_durable/3,
    backup/2,
    batch/2,
    check/2,
    clear/1,
    close/1,
    close_all/0,
    delete/1,
    delete/2,
    delete_all_objects/1,
    delete_object/2,
    delete_objects/2,
    describe/2,
    first/1,
    first_lookup/1,
    fix/3,
    fixes/1,
    give_away/3,
    info/1,
    insert/2,
    insert/3,
    insert_new/2,
    insert_new/3,
    inspect/1,
    key_decode/1,
    key_encode/2,
    last/1,
    last_lookup/1,
    lookup/2,
    lookup_element/3,
    lookup_element/4,
    lookup_pattern/2,
    member/2,
    merge_cancel/1,
    merge_due/1,
    merge_start/2,
    merge_step/2,
    new_progress/0,
    next/2,
    next_lookup/2,
    object_decode/3,
    object_element/3,
    object_encode/2,
    object_replace/4,
    open/4,
    prev/2,
    prev_lookup/2,
    progress/1,
    relocate/4,
    rename/2,
    repair/4,
    replace_object/3,
    replace_objects/3,
    same_key/3,
    scan/3,
    scan_back/3,
    segment_stats/1,
    select/5,
    set_options/2,
    slot/2,
    sweep/1,
    set_cache/1,
    sync/1,
    take/2,
    test_panic/1,
    test_panic_in/1,
    test_watch/0,
    ttl/2,
    unfix/1,
    update_counter/3,
    update_counter/4,
    update_element/3,
    update_element/4,
    verify/2,
    version/1,
    whereis/1
]).

-on_load(load/0).

-spec load() -> ok | {error, term()}.
load() ->
    erlang:load_nif(library(), 0).

%% The library is beside this module's code. `code:priv_dir/1' is asked last, for it takes any directory of the code path that is
%% called bets for the application's, such as the working directory of who has one of that name.
library() ->
    App = filename:dirname(filename:dirname(code:which(?MODULE))),
    Beside = filename:join([App, "priv", "bets_nif"]),
    case filelib:is_regular(Beside ++ ".so") orelse code:priv_dir(bets) of
        true -> Beside;
        {error, bad_name} -> Beside;
        Priv -> filename:join(Priv, "bets_nif")
    end.

-type durable(Result) :: {durable, reference(), Commit :: non_neg_integer(), Result}.
-type key_or_end() :: nonempty_list(bets:key()) | '$end_of_table'.
-type object_or_end() :: nonempty_list(term()) | '$end_of_table'.
%% A key and its objects.
-type counted() :: integer() | [integer()].
-type version() :: non_neg_integer().

-spec all() -> [bets:table()].
all() -> erlang:nif_error(not_loaded).

-spec await_durable(reference(), non_neg_integer(), reference()) -> ok | wait | bets_errors:failure().
await_durable(_, _, _) -> erlang:nif_error(not_loaded).

-spec backup(bets:table(), binary()) -> ok | bets_errors:failure().
backup(_, _) -> erlang:nif_error(not_loaded).

-spec batch(bets:table(), [bets:change()]) -> true | durable(true) | bets_errors:failure().
batch(_, _) -> erlang:nif_error(not_loaded).

-spec check(bets:table(), reference()) -> more | {ok, bets_repair:report()} | bets_errors:failure().
check(_, _) -> erlang:nif_error(not_loaded).

-spec clear(bets:table()) -> non_neg_integer() | durable(non_neg_integer()) | bets_errors:failure().
clear(_) -> erlang:nif_error(not_loaded).

-spec close(bets:table()) -> ok | bets_errors:failure().
close(_) -> erlang:nif_error(not_loaded).

-spec close_all() -> ok.
close_all() -> erlang:nif_error(not_loaded).

-spec delete(bets:table()) -> true | bets_errors:failure().
delete(_) -> erlang:nif_error(not_loaded).

-spec delete(bets:table(), bets:key()) -> true | durable(true) | bets_errors:failure().
delete(_, _) -> erlang:nif_error(not_loaded).

-spec delete_all_objects(bets:table()) -> true | durable(true) | bets_errors:failure().
delete_all_objects(_) -> erlang:nif_error(not_loaded).

-spec delete_object(bets:table(), tuple()) -> true | durable(true) | bets_errors:failure().
delete_object(_, _) -> erlang:nif_error(not_loaded).

-type changed(Item) :: {Count :: non_neg_integer(), Changed :: [bets:key()], Rest :: [Item]}.

-spec delete_objects(bets:table(), [tuple()]) ->
    changed(tuple()) | durable(changed(tuple())) | bets_errors:failure().
delete_objects(_, _) -> erlang:nif_error(not_loaded).

-spec describe(bets:table(), read | write) ->
    {reference(), bets:type(), pos_integer()} | bets_errors:failure().
describe(_, _) -> erlang:nif_error(not_loaded).

-spec first(bets:table()) -> key_or_end() | bets_errors:failure().
first(_) -> erlang:nif_error(not_loaded).

-spec first_lookup(bets:table()) -> object_or_end() | bets_errors:failure().
first_lookup(_) -> erlang:nif_error(not_loaded).

-spec fix(bets:table(), MonotonicTime :: integer(), erlang:timestamp()) -> true | bets_errors:failure().
fix(_, _, _) -> erlang:nif_error(not_loaded).

-spec fixes(bets:table()) ->
    {MonotonicTime :: integer(), erlang:timestamp(), [{pid(), Count :: pos_integer()}]}
    | false
    | undefined
    | bets_errors:failure().
fixes(_) -> erlang:nif_error(not_loaded).

-spec give_away(bets:table(), pid(), term()) -> true | bets_errors:failure().
give_away(_, _, _) -> erlang:nif_error(not_loaded).

-spec info(bets:table()) -> [{atom(), term()}] | undefined | bets_errors:failure().
info(_) -> erlang:nif_error(not_loaded).

-spec insert(bets:table(), tuple() | [tuple()]) -> true | durable(true) | bets_errors:failure().
insert(_, _) -> erlang:nif_error(not_loaded).

-spec insert(bets:table(), tuple() | [tuple()], pos_integer() | infinity | [non_neg_integer()]) ->
    true | durable(true) | bets_errors:failure().
insert(_, _, _) -> erlang:nif_error(not_loaded).

-spec insert_new(bets:table(), tuple() | [tuple()]) -> boolean() | durable(boolean()) | bets_errors:failure().
insert_new(_, _) -> erlang:nif_error(not_loaded).

-spec insert_new(bets:table(), tuple() | [tuple()], pos_integer() | infinity | [non_neg_integer()]) ->
    boolean() | durable(boolean()) | bets_errors:failure().
insert_new(_, _, _) -> erlang:nif_error(not_loaded).

-spec ttl(bets:table(), term()) -> nonempty_list(non_neg_integer() | infinity) | bets_errors:failure().
ttl(_, _) -> erlang:nif_error(not_loaded).

-spec lookup(bets:table(), bets:key()) -> [tuple()] | bets_errors:failure().
lookup(_, _) -> erlang:nif_error(not_loaded).

-spec lookup_element(bets:table(), bets:key(), pos_integer()) -> nonempty_list(term()) | bets_errors:failure().
lookup_element(_, _, _) -> erlang:nif_error(not_loaded).

-spec lookup_element(bets:table(), bets:key(), pos_integer(), term()) ->
    nonempty_list(term()) | bets_errors:failure().
lookup_element(_, _, _, _) -> erlang:nif_error(not_loaded).

-spec lookup_pattern(bets:table(), term()) -> [pos_integer() | tuple(), ...] | none | bets_errors:failure().
lookup_pattern(_, _) -> erlang:nif_error(not_loaded).

-spec member(bets:table(), bets:key()) -> boolean() | bets_errors:failure().
member(_, _) -> erlang:nif_error(not_loaded).

-spec inspect(binary()) -> {ok, bets_repair:overview()} | bets_errors:failure().
inspect(_) -> erlang:nif_error(not_loaded).

-spec last(bets:table()) -> key_or_end() | bets_errors:failure().
last(_) -> erlang:nif_error(not_loaded).

-spec last_lookup(bets:table()) -> object_or_end() | bets_errors:failure().
last_lookup(_) -> erlang:nif_error(not_loaded).

-spec merge_cancel(bets:table()) -> boolean() | bets_errors:failure().
merge_cancel(_) -> erlang:nif_error(not_loaded).

-spec merge_due(0..23) -> [reference()].
merge_due(_) -> erlang:nif_error(not_loaded).

-type merge_report() ::
    {Inputs :: [pos_integer()], Outputs :: [pos_integer()], Damaged :: [pos_integer()], {InputBytes :: non_neg_integer(), OutputBytes :: non_neg_integer()},
        {Copied :: non_neg_integer(), Dropped :: non_neg_integer(), Kept :: non_neg_integer()}}.

-spec merge_start(bets:table(), everything | due) -> {ok, pos_integer() | infinity} | nothing | bets_errors:failure().
merge_start(_, _) -> erlang:nif_error(not_loaded).

-spec merge_step(bets:table(), pos_integer()) ->
    {atom(), Done :: non_neg_integer(), Total :: non_neg_integer(), merge_report()} | nothing | bets_errors:failure().
merge_step(_, _) -> erlang:nif_error(not_loaded).

-spec new_progress() -> reference().
new_progress() -> erlang:nif_error(not_loaded).

-spec next(bets:table(), bets:key()) -> key_or_end() | bets_errors:failure().
next(_, _) -> erlang:nif_error(not_loaded).

-spec next_lookup(bets:table(), bets:key()) -> object_or_end() | bets_errors:failure().
next_lookup(_, _) -> erlang:nif_error(not_loaded).

-spec open({create | existing | stored_name, atom(), binary()}, binary(), tuple(), none | {pid(), term()}) ->
    {ok, bets:table()} | bets_errors:failure().
open(_, _, _, _) -> erlang:nif_error(not_loaded).

-spec prev(bets:table(), bets:key()) -> key_or_end() | bets_errors:failure().
prev(_, _) -> erlang:nif_error(not_loaded).

-spec prev_lookup(bets:table(), bets:key()) -> object_or_end() | bets_errors:failure().
prev_lookup(_, _) -> erlang:nif_error(not_loaded).

-spec progress(reference()) -> non_neg_integer().
progress(_) -> erlang:nif_error(not_loaded).

-spec relocate(bets:table(), atom(), binary(), binary()) -> bets:table() | bets_errors:failure().
relocate(_, _, _, _) -> erlang:nif_error(not_loaded).

-spec rename(bets:table(), atom()) -> bets:table() | {move, reference()} | bets_errors:failure().
rename(_, _) -> erlang:nif_error(not_loaded).

-spec repair(binary(), true | force, {bets:type() | undefined, pos_integer() | undefined, binary()}, reference()) ->
    {ok, bets_repair:report()} | bets_errors:failure().
repair(_, _, _, _) -> erlang:nif_error(not_loaded).

-spec replace_object(bets:table(), tuple(), tuple()) -> boolean() | durable(boolean()) | bets_errors:failure().
replace_object(_, _, _) -> erlang:nif_error(not_loaded).

-type pair() :: nonempty_improper_list(tuple(), tuple()).

-spec replace_objects(bets:table(), [pair()], Through :: non_neg_integer()) ->
    changed(pair()) | durable(changed(pair())) | bets_errors:failure().
replace_objects(_, _, _) -> erlang:nif_error(not_loaded).

-spec same_key(bets:table(), bets:key(), bets:key()) -> boolean() | bets_errors:failure().
same_key(_, _, _) -> erlang:nif_error(not_loaded).

-spec scan(bets:table(), start | tuple() | [tuple() | non_neg_integer(), ...], pos_integer()) ->
    {[tuple()], more | done | non_neg_integer(), version()} | bets_errors:failure().
scan(_, _, _) -> erlang:nif_error(not_loaded).

-spec scan_back(bets:table(), start | tuple(), pos_integer()) ->
    {[tuple()], more | done, version()} | bets_errors:failure().
scan_back(_, _, _) -> erlang:nif_error(not_loaded).

-type place() :: {forward | backward, start | nonempty_list(term()), Prefix :: [tuple() | cons]}.

-spec segment_stats(bets:table()) ->
    [
        {Id :: pos_integer(), FirstSeq :: pos_integer(), LastSeq :: pos_integer(), Bytes :: non_neg_integer(),
            DeadBytes :: non_neg_integer(), KeptBytes :: non_neg_integer(), Damaged :: boolean()}
    ]
    | bets_errors:failure().
segment_stats(_) -> erlang:nif_error(not_loaded).

-spec select(bets:table(), place(), pos_integer(), Filter :: [tuple()], Share :: boolean()) ->
    {[tuple()], done | nonempty_list(term())} | bets_errors:failure().
select(_, _, _, _, _) -> erlang:nif_error(not_loaded).

-spec set_options(bets:table(), {undefined | none | {pid(), term()}, atom()} | invalid) ->
    true | bets_errors:failure().
set_options(_, _) -> erlang:nif_error(not_loaded).

-spec slot(bets:table(), term()) -> [bets:key()] | '$end_of_table' | bets_errors:failure().
slot(_, _) -> erlang:nif_error(not_loaded).

-spec sweep(binary()) -> non_neg_integer().
sweep(_) -> erlang:nif_error(not_loaded).

-spec set_cache(non_neg_integer()) -> ok | bets_errors:failure().
set_cache(_) -> erlang:nif_error(not_loaded).

-spec sync(bets:table()) -> ok | bets_errors:failure().
sync(_) -> erlang:nif_error(not_loaded).

-spec take(bets:table(), bets:key()) -> [tuple()] | durable([tuple()]) | bets_errors:failure().
take(_, _) -> erlang:nif_error(not_loaded).

-spec unfix(bets:table()) -> true | bets_errors:failure().
unfix(_) -> erlang:nif_error(not_loaded).

-spec update_counter(bets:table(), bets:key(), term()) -> counted() | durable(counted()) | bets_errors:failure().
update_counter(_, _, _) -> erlang:nif_error(not_loaded).

-spec update_counter(bets:table(), bets:key(), term(), tuple()) ->
    counted() | durable(counted()) | bets_errors:failure().
update_counter(_, _, _, _) -> erlang:nif_error(not_loaded).

-spec update_element(bets:table(), bets:key(), term()) -> boolean() | durable(boolean()) | bets_errors:failure().
update_element(_, _, _) -> erlang:nif_error(not_loaded).

-spec update_element(bets:table(), bets:key(), term(), tuple()) ->
    boolean() | durable(boolean()) | bets_errors:failure().
update_element(_, _, _, _) -> erlang:nif_error(not_loaded).

-spec verify(binary(), reference()) -> {ok, bets_repair:report()} | bets_errors:failure().
verify(_, _) -> erlang:nif_error(not_loaded).

-spec version(bets:table()) -> version() | bets_errors:failure().
version(_) -> erlang:nif_error(not_loaded).

-spec whereis(atom()) -> reference() | undefined | bets_errors:failure().
whereis(_) -> erlang:nif_error(not_loaded).

%% What follows is there for the tests: the library has it when it is built with the feature `testing'.

-spec key_encode(term(), 1..4) -> {non_neg_integer(), binary()} | {error, string()}.
key_encode(_, _) -> erlang:nif_error(not_loaded).

-spec key_decode(binary()) -> term().
key_decode(_) -> erlang:nif_error(not_loaded).

-spec object_element(binary(), pos_integer(), pos_integer()) -> term().
object_element(_, _, _) -> erlang:nif_error(not_loaded).

-spec object_replace(binary(), pos_integer(), pos_integer(), term()) -> binary().
object_replace(_, _, _, _) -> erlang:nif_error(not_loaded).

-spec object_encode(tuple(), pos_integer()) -> binary().
object_encode(_, _) -> erlang:nif_error(not_loaded).

-spec object_decode(term(), pos_integer(), binary()) -> tuple().
object_decode(_, _, _) -> erlang:nif_error(not_loaded).

-spec test_panic(bets:table()) -> bets_errors:failure().
test_panic(_) -> erlang:nif_error(not_loaded).

-spec test_panic_in(atom()) -> ok.
test_panic_in(_) -> erlang:nif_error(not_loaded).

-spec test_watch() -> tuple().
test_watch() -> erlang:nif_error(not_loaded).
