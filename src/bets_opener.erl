%% @private
%% Opens and creates tables: from options to a call of the NIF library.
-module(bets_opener).

-export([backup/2, new/2, open/2, rename/2, set/2, temporary/2]).

-spec new(term(), term()) -> {ok, bets:table()} | bets_errors:failure().
new(Name, Options) when is_atom(Name) ->
    case bets_options:parse(new, Options) of
        {ok, Parsed} -> call(create, place(Name, Parsed#{name := {given, Name}}));
        Failure -> Failure
    end;
new(_Name, _Options) ->
    {badarg, none}.

%% A temporary table, named or not.
-spec temporary(atom(), [bets:option()]) -> {ok, bets:table()} | bets_errors:failure().
temporary(Name, Options) ->
    case bets_options:parse(new, Options) of
        {ok, Parsed} -> call(create, (place(Name, Parsed#{name := {given, Name}, named := false}))#{named := maps:get(named, Parsed)});
        Failure -> Failure
    end.

place(Name, #{dir := undefined, named := true} = Options) ->
    Options#{dir := bets_dir:of_name(Name), default_dir := true};
place(_Name, #{dir := undefined} = Options) ->
    Options#{dir := bets_dir:temporary_root(), temporary := true};
place(_Name, Options) ->
    Options.

-spec open(term(), term()) -> {ok, bets:table()} | bets_errors:failure().
open(Dir, Options) ->
    case {bets_dir:absolute(Dir), bets_options:parse(open, Options)} of
        {error, _} -> {badarg, {bad_option, {dir, Dir}}};
        {_, {badarg, none}} -> {badarg, {bad_option, Options}};
        {_, {badarg, _} = Failure} -> Failure;
        {_, {ok, #{named := true, name := stored}}} -> {badarg, {bad_option, named_table}};
        {{ok, Path}, {ok, Parsed}} -> call(existing, Parsed#{dir := Path})
    end.

call(Mode, #{name := Name, dir := Dir, heir := Heir, repair := Repair} = Options) ->
    ok = bets_app:ensure_started(),
    How =
        case Name of
            {given, Atom} -> {Mode, Atom, atom_to_binary(Atom, utf8)};
            stored -> {stored_name, undefined, <<>>}
        end,
    Open = fun() -> bets_nif:open(How, Dir, bets_options:for_nif(Options), Heir) end,
    case Open() of
        {bets, Reason} = Failure when Repair =/= false ->
            #{type := Type, keypos := KeyPos} = Options,
            case bets_repair:at_open(Repair, Dir, {Type, KeyPos, element(3, How)}, Reason) of
                true -> Open();
                false -> Failure
            end;
        Result ->
            Result
    end.

-spec backup(bets:table(), term()) -> ok | bets_errors:failure().
backup(Tab, Dir) ->
    case bets_dir:absolute(Dir) of
        {ok, Path} -> bets_nif:backup(Tab, Path);
        error -> {badarg, {bad_option, {dir, Dir}}}
    end.

-spec rename(bets:table(), term()) -> bets:table() | bets_errors:failure().
rename(Tab, Name) ->
    case bets_nif:rename(Tab, Name) of
        {move, Identifier} ->
            bets_nif:relocate(Identifier, Name, atom_to_binary(Name, utf8), bets_dir:of_name(Name));
        Result ->
            Result
    end.

%% setopts/2: the table is looked at before the options, and all options before one is set.
-spec set(bets:table(), term()) -> true | bets_errors:failure().
set(Tab, Option) when not is_list(Option) ->
    set(Tab, [Option]);
set(Tab, Options) ->
    case bets_nif:set_options(Tab, settings(Options, #{})) of
        true -> true;
        Failure -> Failure
    end.

settings([{heir, none} | Rest], Acc) when not is_map_key(heir, Acc) ->
    settings(Rest, Acc#{heir => none});
settings([{heir, Pid, Data} | Rest], Acc) when not is_map_key(heir, Acc), is_pid(Pid), node(Pid) =:= node() ->
    settings(Rest, Acc#{heir => {Pid, Data}});
settings([{protection, Protection} | Rest], Acc) when
    not is_map_key(protection, Acc),
    (Protection =:= public orelse Protection =:= protected orelse Protection =:= private)
->
    settings(Rest, Acc#{protection => Protection});
settings([], Acc) ->
    {maps:get(heir, Acc, undefined), maps:get(protection, Acc, undefined)};
settings(_, _Acc) ->
    invalid.
