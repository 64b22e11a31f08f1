%% @private
%% The options of new/2 and open/2: checked here, and put in the fixed order that the NIF library reads.
-module(bets_options).

-export([parse/2, is_own/1, for_nif/1, ttl/1]).

-export_type([options/0]).

-type options() :: #{
    type := bets:type() | undefined,
    keypos := pos_integer() | undefined,
    protection := public | protected | private,
    named := boolean(),
    name := {given, atom()} | stored,
    dir := binary() | undefined,
    default_dir := boolean(),
    temporary := boolean(),
    heir := none | {pid(), term()},
    sync := bets:sync_mode(),
    max_file_size := pos_integer(),
    cache := boolean(),
    read_concurrency := boolean(),
    write_concurrency := boolean() | auto,
    decentralized_counters := boolean() | undefined,
    compressed := boolean(),
    ttl := pos_integer() | infinity,
    repair := boolean() | force,
    access := read | write,
    merge := merge()
}.

-type merge() :: #{
    merge_window := always | never | {0..23, 0..23},
    frag_merge_trigger := 1..100,
    dead_bytes_merge_trigger := pos_integer(),
    frag_threshold := 1..100,
    dead_bytes_threshold := pos_integer(),
    small_file_threshold := non_neg_integer(),
    merge_rate := pos_integer() | infinity
}.
%% The names but for the last are those of Bitcask.

%% The largest one-word integer, which is what ets takes as a keypos.
-define(SMALL_MAX, 16#7FFFFFFFFFFFFFF).
%% A tuple has less elements, so a larger keypos means the same: nothing can be stored.
-define(KEYPOS_MAX, 16#FFFFFFFF).
-define(FILE_SIZE_MIN, 4096).
-define(FILE_SIZE_MAX, (2 bsl 30)).
-define(BYTES_MAX, 16#FFFFFFFFFFFFFFFF).
-define(INTERVAL_MAX, 16#FFFFFFFF).
%% Some thousand years, in milliseconds.
-define(TTL_MAX, 16#FFFFFFFFFFFF).

-define(IS_TTL(Ttl), (Ttl =:= infinity orelse is_integer(Ttl) andalso Ttl > 0 andalso Ttl =< ?TTL_MAX)).

%% `Cause' is `none' for what is no list.
-spec parse(new | open, term()) -> {ok, options()} | {badarg, Cause :: term()}.
parse(Call, Options) ->
    try
        {ok, together(Call, options(Call, Options, defaults(Call)))}
    catch
        throw:Cause -> {badarg, Cause}
    end.

options(Call, [Option | Options], Acc) -> options(Call, Options, option(Call, Option, Acc));
options(_Call, [], Acc) -> Acc;
options(_Call, _NoList, _Acc) -> throw(none).

%% What is only read is there already, and is not changed.
together(_, #{access := read, repair := Repair}) when Repair =/= false -> throw({bad_option, {repair, Repair}});
together(new, #{access := read, named := false, dir := undefined}) -> throw({bad_option, {access, read}});
together(_, Options) -> Options.

defaults(Call) ->
    {Type, KeyPos} =
        case Call of
            new -> {set, 1};
            open -> {undefined, undefined}
        end,
    #{
        type => Type,
        keypos => KeyPos,
        protection => protected,
        named => false,
        name => stored,
        dir => undefined,
        default_dir => false,
        temporary => false,
        heir => none,
        sync => {interval, 1000},
        max_file_size => ?FILE_SIZE_MAX,
        cache => true,
        read_concurrency => false,
        write_concurrency => false,
        decentralized_counters => undefined,
        compressed => false,
        ttl => infinity,
        repair => false,
        access => write,
        merge => #{
            merge_window => always,
            frag_merge_trigger => 60,
            dead_bytes_merge_trigger => 512 bsl 20,
            frag_threshold => 40,
            dead_bytes_threshold => 128 bsl 20,
            small_file_threshold => 10 bsl 20,
            merge_rate => infinity
        }
    }.

%% The options of insert/3 and insert_new/3, as the NIF takes them.
-spec ttl(term()) -> {ok, default | pos_integer() | infinity | [non_neg_integer()]} | {badarg, Cause :: term()}.
ttl(Options) -> ttl(Options, default).

ttl([{ttl, Ttl} | Options], _Before) when ?IS_TTL(Ttl) -> ttl(Options, Ttl);
ttl([Option | _], _Before) -> {badarg, {bad_option, Option}};
ttl([], Ttl) -> {ok, Ttl};
ttl(NoList, _Before) -> {badarg, {bad_option, NoList}}.

%% In ets, `set' and `protected' change nothing: [bag, set] is a bag.
option(new, set, Acc) -> Acc;
option(open, set, Acc = #{type := undefined}) -> Acc#{type := set};
option(open, set, Acc) -> Acc;
option(_, Type, Acc) when Type =:= ordered_set; Type =:= bag; Type =:= duplicate_bag -> Acc#{type := Type};
option(_, protected, Acc) -> Acc;
option(_, public, Acc) -> Acc#{protection := public};
option(_, private, Acc) -> Acc#{protection := private};
option(_, named_table, Acc) -> Acc#{named := true};
option(_, compressed, Acc) -> Acc#{compressed := true};
option(_, {keypos, N}, Acc) when is_integer(N), N > 0, N =< ?SMALL_MAX -> Acc#{keypos := min(N, ?KEYPOS_MAX)};
option(_, {heir, none}, Acc) -> Acc#{heir := none};
option(_, {heir, Pid, Data}, Acc) when is_pid(Pid), node(Pid) =:= node() -> Acc#{heir := {Pid, Data}};
option(_, {read_concurrency, B}, Acc) when is_boolean(B) -> Acc#{read_concurrency := B};
option(_, {write_concurrency, B}, Acc) when is_boolean(B); B =:= auto -> Acc#{write_concurrency := B};
option(_, {decentralized_counters, B}, Acc) when is_boolean(B) -> Acc#{decentralized_counters := B};
option(new, {dir, Dir} = Option, Acc) ->
    case bets_dir:absolute(Dir) of
        {ok, Path} -> Acc#{dir := Path};
        error -> throw({bad_option, Option})
    end;
option(open, {name, Name}, Acc) when is_atom(Name) -> Acc#{name := {given, Name}};
option(_, {sync, Mode}, Acc) when Mode =:= always; Mode =:= none -> Acc#{sync := Mode};
option(_, {sync, {interval, Ms}}, Acc) when is_integer(Ms), Ms > 0, Ms =< ?INTERVAL_MAX ->
    Acc#{sync := {interval, Ms}};
option(_, {max_file_size, Bytes}, Acc) when is_integer(Bytes), Bytes >= ?FILE_SIZE_MIN, Bytes =< ?FILE_SIZE_MAX ->
    Acc#{max_file_size := Bytes};
option(_, {repair, Mode}, Acc) when is_boolean(Mode); Mode =:= force -> Acc#{repair := Mode};
option(_, {ttl, Ttl}, Acc) when ?IS_TTL(Ttl) -> Acc#{ttl := Ttl};
option(_, {access, read}, Acc) -> Acc#{access := read};
option(_, {cache, B}, Acc) when is_boolean(B) -> Acc#{cache := B};
option(_, {Name, Value} = Option, #{merge := Merge} = Acc) when is_map_key(Name, Merge) ->
    case is_merge(Name, Value) of
        true -> Acc#{merge := Merge#{Name := Value}};
        false -> throw({bad_option, Option})
    end;
option(_, Option, _) ->
    throw({bad_option, Option}).

is_merge(merge_window, {From, To}) -> is_hour(From) andalso is_hour(To);
is_merge(merge_window, Window) -> Window =:= always orelse Window =:= never;
is_merge(merge_rate, infinity) -> true;
is_merge(small_file_threshold, 0) -> true;
is_merge(Name, Percent) when Name =:= frag_merge_trigger; Name =:= frag_threshold ->
    is_integer(Percent) andalso Percent > 0 andalso Percent =< 100;
is_merge(_Bytes, Value) ->
    is_integer(Value) andalso Value > 0 andalso Value =< ?BYTES_MAX.

is_hour(Hour) -> is_integer(Hour) andalso Hour >= 0 andalso Hour < 24.

%% Whether ets does not know the option's name, and bets does.
-spec is_own(term()) -> boolean().
is_own(Option) when is_tuple(Option), tuple_size(Option) > 0 ->
    #{merge := Merge} = defaults(new),
    lists:member(element(1, Option), [dir, name, sync, max_file_size, cache, repair, access, ttl | maps:keys(Merge)]);
is_own(_Option) ->
    false.

%% A private table has one user: ets reports no write concurrency for it.
-spec for_nif(options()) -> tuple().
for_nif(#{protection := Protection, write_concurrency := WriteConcurrency} = Options) ->
    #{
        type := Type,
        keypos := KeyPos,
        named := Named,
        default_dir := DefaultDir,
        temporary := Temporary,
        sync := Sync,
        max_file_size := MaxFileSize,
        cache := Cache,
        read_concurrency := ReadConcurrency,
        decentralized_counters := DecentralizedCounters,
        compressed := Compressed,
        ttl := Ttl,
        access := Access,
        merge := Merge
    } = Options,
    #{
        merge_window := Window,
        frag_merge_trigger := FragTrigger,
        dead_bytes_merge_trigger := DeadTrigger,
        frag_threshold := Frag,
        dead_bytes_threshold := Dead,
        small_file_threshold := Small,
        merge_rate := Rate
    } = Merge,
    {Type, KeyPos, Protection, Named, DefaultDir, Temporary, Sync, MaxFileSize, Cache, ReadConcurrency,
        case Protection of
            private -> false;
            _ -> WriteConcurrency
        end,
        DecentralizedCounters, Compressed,
        case Ttl of
            infinity -> undefined;
            _ -> Ttl
        end,
        {Window, FragTrigger, DeadTrigger, Frag, Dead, Small, Rate}, Access =:= read}.
