%% @private
%% The functions that the NIF library replaces, and nothing else: a library can be loaded once only, so this module has to
%% be one that never changes in a running system.
-module(bets_nif).

-export([
    all/0,
    await_durable/3,
    close/1,
    close_all/0,
    delete/1,
    delete/2,
    delete_all_objects/1,
    delete_object/2,
    first/1,
    first_lookup/1,
    give_away/3,
    info/1,
    insert/2,
    insert_new/2,
    lookup/2,
    lookup_element/3,
    lookup_element/4,
    member/2,
    next/2,
    next_lookup/2,
    open/4,
    rename/2,
    scan/3,
    set_options/2,
    sweep/1,
    sync/1,
    take/2,
    test_panic/1,
    update_counter/3,
    update_counter/4,
    update_element/3,
    update_element/4,
    version/1,
    whereis/1
]).

-on_load(load/0).

-spec load() -> ok | {error, term()}.
load() ->
    Priv =
        case code:priv_dir(bets) of
            {error, bad_name} ->
                filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), "priv");
            Dir ->
                Dir
        end,
    erlang:load_nif(filename:join(Priv, "bets_nif"), 0).

all() -> missing().
await_durable(_Table, _Commit, _Ref) -> missing().
close(_Table) -> missing().
close_all() -> missing().
delete(_Table) -> missing().
delete(_Table, _Key) -> missing().
delete_all_objects(_Table) -> missing().
delete_object(_Table, _Object) -> missing().
first(_Table) -> missing().
first_lookup(_Table) -> missing().
give_away(_Table, _Pid, _Gift) -> missing().
info(_Table) -> missing().
insert(_Table, _Objects) -> missing().
insert_new(_Table, _Objects) -> missing().
lookup(_Table, _Key) -> missing().
lookup_element(_Table, _Key, _Position) -> missing().
lookup_element(_Table, _Key, _Position, _Default) -> missing().
member(_Table, _Key) -> missing().
next(_Table, _Key) -> missing().
next_lookup(_Table, _Key) -> missing().
open(_Mode, _Dir, _Options, _Heir) -> missing().
rename(_Table, _Name) -> missing().
scan(_Table, _From, _Limit) -> missing().
set_options(_Table, _HeirAndProtection) -> missing().
sweep(_Root) -> missing().
sync(_Table) -> missing().
take(_Table, _Key) -> missing().
test_panic(_Table) -> missing().
update_counter(_Table, _Key, _Op) -> missing().
update_counter(_Table, _Key, _Op, _Default) -> missing().
update_element(_Table, _Key, _Spec) -> missing().
update_element(_Table, _Key, _Spec, _Default) -> missing().
version(_Table) -> missing().
whereis(_Name) -> missing().

-spec missing() -> no_return().
missing() ->
    erlang:nif_error(not_loaded).
