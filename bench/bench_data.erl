%% The objects and keys that a run works on, made before anything is timed.
%%
%% Items lie in persistent terms: a worker reads them without having them on its own heap, where the garbage collector would walk over
%% them in the middle of a measurement; and they are laid out in the order in which they are used, so that reading them is no cache
%% miss that the table gets the blame for. Many items come in batches, each timed by itself, so that they do not crowd the memory.
-module(bench_data).

-export([count/3, batches/2, prepare/4, items/2]).
-export_type([kind/0, batch/0]).

-type kind() ::
    %% {Key, Value} tuples
    objects
    %% the same in lists of 1000
    | lists
    %% keys of objects in an unrelated order, with other values
    | new_objects
    %% keys of objects in an unrelated order
    | keys
    %% keys that no object has
    | absent_keys
    %% keys of objects, the k-th most frequent one 1/k times as often as the first
    | zipf_keys
    %% a key, an object with another value, a key ...
    | mixed
    %% {Key, Number, Value}, a hundredth of all with each number from 0 to 99
    | numbered
    %% the same with keys {Group, Number}, 100 keys a group
    | grouped
    %% all groups
    | groups
    %% {Key, 0}
    | counters
    %% keys of counters
    | counter_keys
    %% the key of one counter, again and again
    | counter_key.
-type batch() :: {First :: non_neg_integer(), Last :: integer()}.

-define(LIST, 1000).
%% So many counters are the spread ones: enough to miss the caches, few enough to be loaded quickly.
-define(COUNTERS, 100000).
%% About what making an item takes of a heap.
-define(WORDS, 32).

%% How many items an operation walks over. A `sample' is large enough for a mean, and small beside loading the table.
-spec count(kind(), all | sample | pos_integer(), bench_keys:shape()) -> non_neg_integer().
count(groups, _Share, #{objects := N}) -> N div 100;
count(grouped, _Share, #{objects := N}) -> N - N rem 100;
count(mixed, Share, Shape) -> count(keys, Share, Shape) band bnot 1;
count(_Kind, all, #{objects := N}) -> N;
count(_Kind, sample, #{objects := N, sample := Sample}) -> min(N, Sample);
count(_Kind, Most, #{objects := N}) -> min(N, Most).

%% The items 0 to Count - 1, cut so that those of a batch, with their values, fit `batch_bytes'.
-spec batches(non_neg_integer(), bench_keys:shape()) -> [batch()].
batches(Count, #{value := Size, batch_bytes := Bytes}) ->
    %% Whole lists.
    Batch = max(1, Bytes div (Size + 100) div ?LIST) * ?LIST,
    [{From, min(From + Batch, Count) - 1} || From <- lists:seq(0, Count - 1, Batch)].

%% Makes a batch of a kind, cut into one slice a worker. A process of its own does it, whose heap has room for all: collecting its garbage
%% on the way would take longer than making the items.
-spec prepare(kind(), batch(), bench_keys:shape(), term()) -> ok.
prepare(Kind, {First, Last} = Batch, Shape, Seed) ->
    Words = ?WORDS * (Last - First + 1),
    {Pid, Monitor} = spawn_opt(
        fun() -> make(Kind, Batch, Shape, Seed) end, [monitor, {min_heap_size, Words}, {min_bin_vheap_size, 4 * Words}]
    ),
    receive
        {'DOWN', Monitor, process, Pid, normal} -> ok;
        {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    end.

make(Kind, {First, Last}, #{procs := Procs} = Shape, Seed) ->
    Item = item(Kind, Shape, Seed),
    %% Even, so that pairs stay together.
    Slice = ((Last - First + Procs) div Procs + 1) band bnot 1,
    lists:foreach(
        fun(Worker) ->
            From = min(Last + 1, First + (Worker - 1) * Slice),
            To = min(Last, From + Slice - 1),
            persistent_term:put({?MODULE, Kind, Worker}, arranged(Kind, [Item(I) || I <- lists:seq(From, To)]))
        end,
        lists:seq(1, Procs)
    ).

%% The slice of one worker (1..procs).
-spec items(kind() | none, pos_integer()) -> [term()].
items(none, _Worker) -> [];
items(Kind, Worker) -> persistent_term:get({?MODULE, Kind, Worker}).

arranged(lists, Objects) -> chunks(Objects);
arranged(_Kind, Items) -> Items.

%% A function from the number of an item to the item.
item(Kind, #{objects := N} = Shape, _Seed) when Kind =:= objects; Kind =:= lists ->
    Order = bench_keys:order(N, load),
    fun(I) -> bench_keys:object(Shape, Order(I), 0) end;
item(new_objects, #{objects := N} = Shape, Seed) ->
    Order = bench_keys:order(N, {new, Seed}),
    fun(I) -> bench_keys:object(Shape, Order(I), 1) end;
item(keys, #{objects := N} = Shape, Seed) ->
    Order = bench_keys:order(N, {keys, Seed}),
    fun(I) -> bench_keys:key(Shape, Order(I)) end;
item(absent_keys, #{objects := N} = Shape, Seed) ->
    Order = bench_keys:order(N, {absent, Seed}),
    fun(I) -> bench_keys:key(Shape, N + Order(I)) end;
item(zipf_keys, #{objects := N} = Shape, Seed) ->
    Rank = bench_keys:zipf(N, Seed),
    Order = bench_keys:order(N, {zipf, Seed}),
    fun(I) -> bench_keys:key(Shape, Order(Rank(I))) end;
item(mixed, #{objects := N} = Shape, Seed) ->
    Reads = bench_keys:order(N, {reads, Seed}),
    Writes = bench_keys:order(N, {writes, Seed}),
    fun
        (I) when I rem 2 =:= 0 -> bench_keys:key(Shape, Reads(I));
        (I) -> bench_keys:object(Shape, Writes(I), 2)
    end;
item(numbered, Shape, _Seed) ->
    fun(I) -> with_number(bench_keys:object(Shape, I, 0), I rem 100) end;
item(grouped, #{objects := N} = Shape, Seed) ->
    Order = bench_keys:order(N - N rem 100, {grouped, Seed}),
    fun(I) ->
        At = Order(I),
        setelement(1, with_number(bench_keys:object(Shape, At, 0), At rem 100), {At div 100, At rem 100})
    end;
item(groups, #{objects := N}, Seed) ->
    bench_keys:order(N div 100, {groups, Seed});
item(counters, Shape, _Seed) ->
    fun(I) -> {bench_keys:key(Shape, I), 0} end;
item(counter_keys, #{objects := N} = Shape, Seed) ->
    Order = bench_keys:order(N, {counters, Seed}),
    fun(I) -> bench_keys:key(Shape, Order(I) rem min(N, ?COUNTERS)) end;
item(counter_key, Shape, _Seed) ->
    fun(_) -> bench_keys:key(Shape, 0) end.

with_number({Key, Value}, Number) -> {Key, Number, Value}.

chunks([]) ->
    [];
chunks(Items) ->
    case length(Items) > ?LIST of
        true ->
            {Chunk, Rest} = lists:split(?LIST, Items),
            [Chunk | chunks(Rest)];
        false ->
            [Items]
    end.
