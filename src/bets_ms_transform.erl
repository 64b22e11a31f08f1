%% @doc The parse transform that makes calls of {@link bets:fun2ms/1} into match specifications.
%%
%% A module has it with `-include_lib("bets/include/ms_transform.hrl").' The work is done by stdlib's `ms_transform', which knows
%% `ets:fun2ms/1' and `dbg:fun2ms/1' only: the calls are renamed before.
-module(bets_ms_transform).

-export([parse_transform/2, format_error/1]).
-export([from_shell/1]).

%% @doc Transforms the forms of a module.
-spec parse_transform([erl_parse:abstract_form()], [term()]) ->
    [erl_parse:abstract_form()] | {error | warning, term(), term()} | term().
parse_transform(Forms, Options) ->
    ms_transform:parse_transform(renamed(Forms), Options).

%% The positions stay, so that errors and warnings point to the right lines.
renamed({call, Anno, {remote, Remote, {atom, Module, bets}, {atom, _, fun2ms} = Name}, [_] = Args}) ->
    {call, Anno, {remote, Remote, {atom, Module, ets}, Name}, renamed(Args)};
renamed(Forms) when is_list(Forms) ->
    [renamed(Form) || Form <- Forms];
renamed(Form) when is_tuple(Form) ->
    list_to_tuple([renamed(Part) || Part <- tuple_to_list(Form)]);
renamed(Form) ->
    Form.

%% @doc Explains an error of the transform.
-spec format_error(term()) -> unicode:chardata().
format_error(Error) ->
    ms_transform:format_error(Error).

%% @private The specification of a fun that the shell made.
-spec from_shell(fun()) -> bets:match_spec() | {error, transform_error}.
from_shell(ShellFun) ->
    case erl_eval:fun_data(ShellFun) of
        {fun_data, Bindings, Clauses} ->
            case ms_transform:transform_from_shell(ets, Clauses, Bindings) of
                {error, [{_, [{_, _, Code} | _]} | _], _} ->
                    io:format("Error: ~ts~n", [ms_transform:format_error(Code)]),
                    {error, transform_error};
                Spec ->
                    Spec
            end;
        _ ->
            exit(
                {badarg,
                    {bets, fun2ms, [
                        function, called, with, real, 'fun', should, be, transformed, with, parse_transform, 'or',
                        called, with, a, 'fun', generated, in, the, shell
                    ]}}
            )
    end.
