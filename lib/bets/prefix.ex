defmodule Bets.Prefix do
  @moduledoc false
  # The keys that begin with a binary or with the elements of a list stand together in the order of terms.

  @type bound :: :none | {term, inclusive? :: boolean}

  # The smallest such key, and the smallest key behind all of them.
  @spec bounds(term) :: {bound, bound}
  def bounds(prefix) when is_binary(prefix), do: {{prefix, true}, behind(prefix)}

  def bounds(prefix) do
    raise ArgumentError, "a prefix is a binary, not #{inspect(prefix)}"
  end

  # Trailing bytes of 255 have no successor; without any other byte every longer binary has the prefix.
  defp behind(prefix) do
    case prefix |> :binary.bin_to_list() |> Enum.reverse() |> Enum.drop_while(&(&1 == 255)) do
      [] -> :none
      [last | before] -> {[last + 1 | before] |> Enum.reverse() |> :binary.list_to_bin(), false}
    end
  end
end
