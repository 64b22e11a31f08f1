%% The subject that does nothing: its times are what the loops themselves cost, which is subtracted from the others'.
-module(bench_null).
-behaviour(bench_subject).

-export([available/0, new/1, attach/2, detach/1, insert/2, insert_list/2, lookup/2, delete/2]).
-export([update_counter/3, foldl/3, select/2, next/2, range/3, close/2, open/1, memory/1]).

available() -> true.
new(_Context) -> null.
attach(null, _Mode) -> null.
detach(null) -> ok.
insert(null, _Object) -> true.
insert_list(null, _Objects) -> true.
lookup(null, _Key) -> [].
delete(null, _Key) -> true.
update_counter(null, _Key, Increment) -> Increment.
foldl(null, _Fun, Acc) -> Acc.
select(null, _Spec) -> [].
next(null, Key) -> Key.
range(null, _Key, _Count) -> [].
close(null, _Context) -> ok.
open(_Context) -> null.
memory(null) -> unknown.
