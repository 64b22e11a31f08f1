%% The objects and keys that a run works on, made before anything is timed.
%%
%% Keys are the MD5 of a number, so they are uniformly random, distinct, the same in every run, and cheap to make
%% again. Values are distinct binaries. Items lie in persistent terms: a worker reads them without having them on
%% its own heap, where the garbage collector would walk over them in the middle of a measurement; and they are laid
%% out in the order in which they are used, so that reading them is no cache miss that the table gets the blame for.
-module(bench_data).

-export([prepare/3, items/2, object/3, key/2]).
-export_type([kind/0, shape/0]).

-type shape() :: #{objects := pos_integer(), procs := pos_integer(), key := bin16 | int, value := non_neg_integer()}.
-type kind() ::
    %% {Key, Value} tuples in the order of loading
    objects
    %% the same in lists of 1000
    | lists
    %% the same keys in an unrelated order, with other values
    | new_objects
    %% all keys in an unrelated order
    | keys
    %% as many keys that no object has
    | absent_keys
    %% {Key, Number, Value}, a hundredth of all with each number from 0 to 99
    | numbered
    %% the same with keys {Group, Number}, 100 keys a group, in random order
    | grouped
    %% all groups in random order
    | groups
    %% {Key, 0}
    | counters
    %% as many keys of counters as there are objects, in random order
    | counter_keys
    %% the key of one counter, again and again
    | counter_key.

-define(LIST, 1000).
%% So many counters are the spread ones: enough to miss the caches, few enough to be loaded quickly.
-define(COUNTERS, 100000).

%% Makes the items of a kind, cut into one slice a worker.
-spec prepare(kind(), shape(), term()) -> ok.
prepare(Kind, #{procs := Procs} = Shape, Seed) ->
    All = make(Kind, Shape, Seed),
    Slice = (length(All) + Procs - 1) div Procs,
    store(Kind, 1, Procs, Slice, All).

store(Kind, Worker, Procs, _Slice, Rest) when Worker =:= Procs ->
    persistent_term:put({?MODULE, Kind, Worker}, Rest);
store(Kind, Worker, Procs, Slice, Items) ->
    {Mine, Rest} = lists:split(min(Slice, length(Items)), Items),
    persistent_term:put({?MODULE, Kind, Worker}, Mine),
    store(Kind, Worker + 1, Procs, Slice, Rest).

%% The slice of one worker (1..procs).
-spec items(kind(), pos_integer()) -> [term()].
items(Kind, Worker) ->
    persistent_term:get({?MODULE, Kind, Worker}).

make(objects, #{objects := N} = Shape, _Seed) ->
    [object(Shape, I, 0) || I <- lists:seq(1, N)];
make(lists, Shape, Seed) ->
    chunks(make(objects, Shape, Seed));
make(new_objects, #{objects := N} = Shape, Seed) ->
    [object(Shape, I, 1) || I <- shuffle(lists:seq(1, N), {new, Seed})];
make(keys, #{objects := N} = Shape, Seed) ->
    [key(Shape, I) || I <- shuffle(lists:seq(1, N), {keys, Seed})];
make(absent_keys, #{objects := N} = Shape, Seed) ->
    [key(Shape, I) || I <- shuffle(lists:seq(N + 1, 2 * N), {absent, Seed})];
make(numbered, #{objects := N} = Shape, _Seed) ->
    [with_number(object(Shape, I, 0), I rem 100) || I <- lists:seq(1, N)];
make(grouped, #{objects := N} = Shape, Seed) ->
    [
        setelement(1, with_number(object(Shape, I, 0), I rem 100), {I div 100, I rem 100})
     || I <- shuffle(lists:seq(0, N - 1), {grouped, Seed})
    ];
make(groups, #{objects := N}, Seed) ->
    shuffle(lists:seq(0, N div 100 - 1), {groups, Seed});
make(counters, Shape, _Seed) ->
    [{key(Shape, I), 0} || I <- lists:seq(1, counters(Shape))];
make(counter_keys, #{objects := N} = Shape, Seed) ->
    Counters = counters(Shape),
    [key(Shape, 1 + I rem Counters) || I <- shuffle(lists:seq(1, N), {counters, Seed})];
make(counter_key, #{objects := N} = Shape, _Seed) ->
    lists:duplicate(N, key(Shape, 1)).

%% The I-th object; `Version' tells the value of an overwrite from the first one.
-spec object(shape(), pos_integer(), byte()) -> {term(), binary()}.
object(#{value := Size} = Shape, I, Version) when Size >= 9 ->
    {key(Shape, I), <<I:64, Version, (filler(Size - 9))/binary>>};
object(#{value := Size} = Shape, I, Version) ->
    {key(Shape, I), binary:part(<<I:56, Version>>, 8 - Size, Size)}.

with_number({Key, Value}, Number) -> {Key, Number, Value}.

-spec key(shape(), pos_integer()) -> term().
key(#{key := bin16}, I) -> erlang:md5(<<I:64>>);
key(#{key := int}, I) -> I.

%% Bytes that do not compress, the same for every object of a VM.
filler(Size) ->
    case persistent_term:get({?MODULE, filler, Size}, none) of
        none ->
            Filler = rand_bytes(Size),
            persistent_term:put({?MODULE, filler, Size}, Filler),
            Filler;
        Filler ->
            Filler
    end.

rand_bytes(Size) ->
    State = rand:seed_s(exsss, {1, 2, 3}),
    {Bytes, _} = rand:bytes_s(Size, State),
    Bytes.

counters(#{objects := N}) ->
    min(N, ?COUNTERS).

%% The order by a salted hash is unrelated to the order of insertion, of the keys, and of any table's buckets.
shuffle(Items, Salt) ->
    [Item || {_, Item} <- lists:sort([{erlang:phash2({Salt, Item}), Item} || Item <- Items])].

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
