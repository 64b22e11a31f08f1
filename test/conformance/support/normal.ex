defmodule Conformance.Normal do
  @moduledoc """
  What is made the same before two results are compared. This is the one place for it:

    * the table module's own name (`ets`, `bets`, ...), in stack traces, is `:table_module`;
    * table identifiers, references, pids, ports, and the names that `Conformance.Case.name/1` gave, are numbered in the
      order in which they come up;
    * functions are known by their arity only, as they hold tables in their environment;
    * -0.0 is told from 0.0, which compare equal up to OTP 26;
    * the oracle's marks for what the running `ets` does not have.

  Of an exception are compared: class, reason, the function that the stack trace begins with, its arguments, and the
  explanation that the shell prints below it (`error_info`).
  """

  alias Conformance.Oracle

  @doc "Calls a function of a table module. An exception comes back as `{:raised, class, reason, place, words}`."
  def call(module, function, args) do
    apply(module, function, args)
  catch
    class, reason -> {:raised, class, reason, place(__STACKTRACE__), words(reason, __STACKTRACE__)}
  end

  defp place([{module, function, args, _} | _]), do: {module, function, args}
  defp place([]), do: nil

  # As `erl_error` does it for the shell and `Exception.blame` for iex.
  defp words(reason, [{module, function, _, info} | _] = stack) do
    case info[:error_info] do
      nil ->
        nil

      error_info ->
        formatter = Map.get(error_info, :module, module)
        name = Map.get(error_info, :function, :format_error)

        try do
          formatter
          |> apply(name, [reason, stack])
          |> Map.new(fn {argument, words} -> {argument, IO.chardata_to_string(words)} end)
        rescue
          # OTP's own formatter does not expect every argument; the shell then prints no explanation.
          _ -> nil
        end
    end
    |> case do
      words when words in [nil, %{}] -> nil
      words -> {function, words}
    end
  end

  defp words(_reason, []), do: nil

  @doc "The form of a result that is compared."
  def form(term, module) do
    names = Process.get(:conformance_names, %{})
    {form, _} = walk(term, %{modules: modules(module), names: names, seen: %{}})
    form
  end

  defp modules(module), do: MapSet.new([module, Oracle, :ets])

  defp walk(atom, state) when is_atom(atom) do
    cond do
      n = state.names[atom] -> {{:name, n}, state}
      MapSet.member?(state.modules, atom) -> {:table_module, state}
      true -> {atom, state}
    end
  end

  defp walk(float, state) when is_float(float) do
    case <<float::float>> do
      <<1::1, 0::63>> -> {:minus_zero, state}
      _ -> {float, state}
    end
  end

  defp walk(pid, state) when pid == self(), do: {:self, state}

  defp walk(local, state) when is_reference(local) or is_pid(local) or is_port(local) do
    number = Map.get(state.seen, local, map_size(state.seen) + 1)
    {{:local, number}, put_in(state.seen[local], number)}
  end

  defp walk(fun, state) when is_function(fun), do: {{:fun, :erlang.fun_info(fun)[:arity]}, state}
  defp walk([], state), do: {[], state}

  # Not recursive in the tail: a list may be long, or improper.
  defp walk([_ | _] = list, state), do: walk_list(list, [], state)

  defp walk(tuple, state) when is_tuple(tuple) do
    {list, state} = walk(Tuple.to_list(tuple), state)
    {List.to_tuple(list), state}
  end

  defp walk(map, state) when is_map(map) do
    {pairs, state} = map |> :maps.to_list() |> Enum.sort() |> walk(state)
    {{:map, pairs}, state}
  end

  defp walk(term, state), do: {term, state}

  defp walk_list([head | tail], acc, state) do
    {head, state} = walk(head, state)
    walk_list(tail, [head | acc], state)
  end

  defp walk_list([], acc, state), do: {Enum.reverse(acc), state}

  defp walk_list(tail, acc, state) do
    {tail, state} = walk(tail, state)
    {:lists.reverse(acc, tail), state}
  end
end
