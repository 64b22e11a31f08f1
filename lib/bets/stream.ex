defmodule Bets.Stream do
  @moduledoc false
  # Lazy ways through a table. A table without an order of keys is read in steps of many objects; a range of an ordered one, key
  # by key.

  alias Bets.Call
  require Call

  @type range :: %{
          first: (() -> position),
          next: (key :: term -> position),
          inside?: (key :: term -> boolean)
        }
  @typep position :: {term, [tuple]} | :"$end_of_table"

  @options [:min_key, :max_key, :min_key_inclusive, :max_key_inclusive, :prefix, :reverse]

  @spec objects(:bets.table(), keyword) :: Enumerable.t()
  def objects(id, []) do
    Stream.resource(fn -> :start end, &step(id, &1), fn _ -> :ok end)
  end

  def objects(id, options) do
    range = options |> check(id) |> range(id)

    Stream.resource(
      fn -> range.first end,
      fn
        :done -> {:halt, :done}
        position -> range_step(Call.reraising(do: position.()), range)
      end,
      fn _ -> :ok end
    )
  end

  defp step(_id, :done), do: {:halt, :done}
  defp step(id, from), do: Call.reraising(do: :bets_fold.step(id, from))

  defp range_step({key, objects}, range) do
    if range.inside?.(key), do: {objects, fn -> range.next.(key) end}, else: {:halt, :done}
  end

  defp range_step(:"$end_of_table", _range), do: {:halt, :done}

  defp check(options, id) do
    for option <- options do
      case option do
        {name, _} when name in @options -> :ok
        _ -> raise ArgumentError, "invalid option #{inspect(option)}, there are #{inspect(@options)}"
      end
    end

    case Call.reraising(do: :bets.info(id, :type)) do
      :ordered_set ->
        options

      # The functions of `:bets` tell that there is no such table.
      :undefined ->
        options

      type ->
        raise ArgumentError, "a table of type #{type} has no order of keys: only an ordered_set has ranges"
    end
  end

  defp range(options, id) do
    {low, high} = bounds(options)

    if Keyword.get(options, :reverse, false) do
      %{
        first: fn -> start(id, high, &:bets.last_lookup/1, &:bets.prev_lookup/2) end,
        next: &:bets.prev_lookup(id, &1),
        inside?: &above?(&1, low)
      }
    else
      %{
        first: fn -> start(id, low, &:bets.first_lookup/1, &:bets.next_lookup/2) end,
        next: &:bets.next_lookup(id, &1),
        inside?: &below?(&1, high)
      }
    end
  end

  # The bounds are `:none` or a key and whether it belongs to the range.
  defp bounds(options) do
    case Keyword.fetch(options, :prefix) do
      {:ok, prefix} ->
        if Keyword.has_key?(options, :min_key) or Keyword.has_key?(options, :max_key) do
          raise ArgumentError, "the options :prefix and :min_key or :max_key exclude each other"
        end

        Bets.Prefix.bounds(prefix)

      :error ->
        {bound(options, :min_key, :min_key_inclusive), bound(options, :max_key, :max_key_inclusive)}
    end
  end

  defp bound(options, name, inclusive) do
    case Keyword.fetch(options, name) do
      {:ok, key} -> {key, Keyword.get(options, inclusive, true)}
      :error -> :none
    end
  end

  defp start(id, :none, first, _next), do: first.(id)

  defp start(id, {key, inclusive?}, _first, next) do
    case inclusive? && :bets.lookup(id, key) do
      [object] -> {elem(object, :bets.info(id, :keypos) - 1), [object]}
      _ -> next.(id, key)
    end
  end

  defp below?(_key, :none), do: true
  defp below?(key, {max, true}), do: key <= max
  defp below?(key, {max, false}), do: key < max

  defp above?(_key, :none), do: true
  defp above?(key, {min, true}), do: key >= min
  defp above?(key, {min, false}), do: key > min
end
