%% Keys and objects by their number, and the orders in which they are asked for. A new type of key or shape of value goes here.
%%
%% Everything is made again from its number: distinct, the same in every run, and cheap.
-module(bench_keys).

-export([key/2, key_types/0, object/3, order/2, zipf/2]).
-export_type([shape/0, key_type/0]).

-type key_type() :: bin16 | int | tuple.
-type shape() :: #{
    objects := pos_integer(),
    procs := pos_integer(),
    key := key_type(),
    %% bytes
    value := non_neg_integer(),
    %% what values consist of, by default what does not compress
    filler => random | text,
    %% how many objects a sample has at most
    sample := pos_integer(),
    batch_bytes := pos_integer(),
    _ => _
}.

-spec key_types() -> [{key_type(), Title :: string()}].
key_types() ->
    [{bin16, "16-byte binary"}, {int, "integer"}, {tuple, "{atom, integer, 8-byte binary}"}].

-spec key(shape(), non_neg_integer()) -> term().
key(#{key := bin16}, I) -> erlang:md5(<<I:64>>);
key(#{key := int}, I) -> I;
key(#{key := tuple}, I) -> {user, I div 100, binary:part(erlang:md5(<<I:64>>), 0, 8)}.

%% The I-th object; `Version' tells the value of an overwrite from the first one.
-spec object(shape(), non_neg_integer(), byte()) -> {term(), binary()}.
object(#{value := Size} = Shape, I, Version) when Size >= 9 ->
    {key(Shape, I), <<I:64, Version, (filler(maps:get(filler, Shape, random), Size - 9))/binary>>};
object(#{value := Size} = Shape, I, Version) ->
    {key(Shape, I), binary:part(<<I:56, Version>>, 8 - Size, Size)}.

%% The same for every object of a VM.
filler(Kind, Size) ->
    case persistent_term:get({?MODULE, Kind, Size}, none) of
        none ->
            Filler = binary:part(bytes(Kind, Size), 0, Size),
            persistent_term:put({?MODULE, Kind, Size}, Filler),
            Filler;
        Filler ->
            Filler
    end.

%% Bytes that do not compress, or words in random order.
bytes(random, Size) ->
    {Bytes, _} = rand:bytes_s(Size, rand:seed_s(exsss, {1, 2, 3})),
    Bytes;
bytes(text, Size) ->
    Words = {"table ", "object ", "segment ", "record ", "key ", "value ", "owner ", "of ", "a ", "the ", "reads ", "writes ", "and ", "merge ", "log ", "in "},
    {Text, _} = lists:mapfoldl(
        fun(_, State) ->
            {At, Next} = rand:uniform_s(tuple_size(Words), State),
            {element(At, Words), Next}
        end,
        rand:seed_s(exsss, {1, 2, 3}),
        lists:seq(0, Size)
    ),
    list_to_binary(Text).

%% A permutation of 0..N-1 that is unrelated to the order of the keys and of any table's buckets: a Feistel network on the bits of the
%% number, applied again until the result is below N. It needs no memory, as sorting by a hash would.
-spec order(pos_integer(), term()) -> fun((non_neg_integer()) -> non_neg_integer()).
order(N, Salt) ->
    Half = half_bits(N, 1),
    Mask = (1 bsl Half) - 1,
    Keys = [erlang:phash2({Salt, Round}, 1 bsl 26) || Round <- [1, 2, 3, 4]],
    fun(I) -> walk(I, N, Half, Mask, Keys) end.

half_bits(N, Half) when 1 bsl (2 * Half) >= N -> Half;
half_bits(N, Half) -> half_bits(N, Half + 1).

walk(I, N, Half, Mask, Keys) ->
    case rounds(I bsr Half, I band Mask, Mask, Keys) of
        {Left, Right} when Left bsl Half bor Right < N -> Left bsl Half bor Right;
        {Left, Right} -> walk(Left bsl Half bor Right, N, Half, Mask, Keys)
    end.

%% The product stays below 59 bits, so no big integer is made.
rounds(Left, Right, Mask, [Key | Keys]) ->
    Mixed = (((Right bxor Key) * 16#9E3779B1) bsr 15) band Mask,
    rounds(Right, Left bxor Mixed, Mask, Keys);
rounds(Left, Right, _Mask, []) ->
    {Left, Right}.

%% Ranks from 0 to N - 1, the k-th as often as 1/k (exponent 1), by inversion of the distribution.
-spec zipf(pos_integer(), term()) -> fun((non_neg_integer()) -> non_neg_integer()).
zipf(N, Salt) ->
    Log = math:log(N + 1),
    fun(I) ->
        Uniform = erlang:phash2({Salt, I}, 1 bsl 27) / (1 bsl 27),
        min(N, trunc(math:exp(Uniform * Log))) - 1
    end.
