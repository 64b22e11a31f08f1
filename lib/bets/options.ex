defmodule Bets.Options do
  @moduledoc false
  # The options of `Bets` in the form of those of `:bets`.

  # Every process may use a table unless an option says otherwise: a program that shares nothing needs no table.
  @spec to_erlang([Bets.option()]) :: [term]
  def to_erlang(options) when is_list(options) do
    protected? = Enum.any?(options, &(&1 in [:protected, :private] or match?({:protection, _}, &1)))
    Enum.flat_map(if(protected?, do: options, else: [:public | options]), &option/1)
  end

  def to_erlang(options) do
    raise ArgumentError, "the options of a table are a keyword list, not #{inspect(options)}"
  end

  # What is wrong with an option that a function refuses, however large the option is.
  @spec refused(term, String.t()) :: String.t()
  def refused(option, function) do
    shown = inspect(option, limit: 10, printable_limit: 200)
    "invalid option #{shown}: `h #{function}` tells which options there are, and their values"
  end

  defp option({:type, type}) when type in [:set, :ordered_set, :bag, :duplicate_bag], do: [type]
  defp option({:protection, protection}) when protection in [:public, :protected, :private], do: [protection]
  defp option({:compressed, true}), do: [:compressed]
  defp option({:compressed, false}), do: []

  defp option({name, _} = option) when name in [:type, :protection, :compressed] do
    raise ArgumentError, "invalid option #{inspect([option])}"
  end

  defp option(option), do: [option]
end
