defmodule Conformance.Differences do
  @moduledoc """
  The known differences between `ets` and `bets`, from `differences.exs` beside the tests, and the verdict on a run.

  A difference names cases by the function they are about and by name (a string, or a regular expression). It
  may name a lens, a function of this module that takes away from a result what is different: what is left still has to be
  the same. Without a lens the whole result may differ. A difference that no case shows any more is stale, and an
  error.
  """

  @file_name Path.expand("../differences.exs", __DIR__)
  @external_resource @file_name

  @type t :: %{
          id: String.t(),
          what: String.t(),
          why: String.t(),
          types: [atom()],
          cases: [{String.t(), String.t() | Regex.t()}],
          lens: atom()
        }

  @doc "The differences that are to be seen with the running `ets`."
  @spec known() :: [t()]
  def known do
    {differences, _} = Code.eval_file(@file_name)

    for difference <- differences, Map.get(difference, :when, true) do
      Map.merge(%{types: Conformance.types(), lens: :nothing}, difference)
    end
  end

  @doc """
  Sorts the results of a run: each case with `:same`, `{:known, id}`, `{:new, expected, got}` or `{:broken, expected}`; and the
  identifiers of the known differences that no case showed.
  """
  def judge(results, known \\ known()) do
    judged = for {c, type, verdict} <- results, do: {c, type, verdict(c, type, verdict, known)}
    seen = for {_, _, {:known, id}} <- judged, uniq: true, do: id
    {judged, Enum.map(known, & &1.id) -- seen}
  end

  defp verdict(_c, _type, :same, _known), do: :same
  defp verdict(_c, _type, {:broken, expected}, _known), do: {:broken, expected}

  defp verdict(c, type, {:different, expected, got}, known) do
    explains? = fn difference ->
      type in difference.types and Enum.any?(difference.cases, &about?(&1, c)) and
        lens(difference.lens, expected) === lens(difference.lens, got)
    end

    case Enum.find(known, explains?) do
      nil -> {:new, expected, got}
      difference -> {:known, difference.id}
    end
  end

  defp about?({about, name}, c), do: matches?(about, c.about) and matches?(name, c.name)
  defp matches?(%Regex{} = regex, text), do: text =~ regex
  defp matches?(text, text), do: true
  defp matches?(_, _), do: false

  @doc "What is left of a result when what may differ is taken away."
  def lens(:nothing, _result), do: :anything

  # The function that the stack trace begins with, and which of its arguments is explained. The explanation itself stays.
  def lens(:place, result) do
    map_raised(result, fn class, reason, _place, words -> {:raised, class, reason, texts(words)} end)
  end

  # Class and reason stay.
  def lens(:reason, result),
    do: map_raised(result, fn class, reason, _place, _words -> {:raised, class, reason} end)

  # The explanation only.
  def lens(:words, result),
    do: map_raised(result, fn class, reason, place, _words -> {:raised, class, reason, place} end)

  # What is said of the whole call. The explanation of each argument stays.
  def lens(:general, result) do
    map_raised(result, fn class, reason, place, words ->
      {:raised, class, reason, place, of_arguments(words)}
    end)
  end

  # The order of a list.
  def lens(:order, list) when is_list(list) do
    if List.improper?(list), do: list, else: list |> Enum.map(&lens(:order, &1)) |> Enum.sort(&ordered?/2)
  end

  def lens(:order, tuple) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> Enum.map(&lens(:order, &1)) |> List.to_tuple()

  def lens(:order, term), do: term

  # The items that only bets has.
  def lens(:own_items, result), do: own_items(result)

  @own_items [
    :dir,
    :temporary,
    :access,
    :sync,
    :ttl,
    :max_file_size,
    :cache,
    :disk_bytes,
    :segments,
    :seq,
    :durable_seq
  ]
  defp own_items(list) when is_list(list) do
    if List.improper?(list), do: list, else: for(x <- list, not own_item?(x), do: own_items(x))
  end

  defp own_items(tuple) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> Enum.map(&own_items/1) |> List.to_tuple()

  defp own_items(term), do: term

  defp own_item?({item, _value}), do: item in @own_items
  defp own_item?(_), do: false

  defp texts({_function, {:map, pairs}}), do: for({_argument, text} <- pairs, do: text)
  defp texts(nil), do: nil

  defp of_arguments({function, {:map, pairs}}),
    do: {function, {:map, for({n, _} = pair <- pairs, is_integer(n), do: pair)}}

  defp of_arguments(nil), do: nil

  # 1 and 1.0 compare equal, but their hashes differ.
  defp ordered?(a, b), do: {a, :erlang.phash2(a)} <= {b, :erlang.phash2(b)}

  defp map_raised({:raised, class, reason, place, words}, fun), do: fun.(class, reason, place, words)

  defp map_raised(list, fun) when is_list(list) do
    if List.improper?(list), do: list, else: Enum.map(list, &map_raised(&1, fun))
  end

  defp map_raised(tuple, fun) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> Enum.map(&map_raised(&1, fun)) |> List.to_tuple()

  defp map_raised(term, _fun), do: term
end
