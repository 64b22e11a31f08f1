defmodule Bets.Stream do
  @moduledoc false
  # Lazy ways through a table, in steps of objects. Steps start small, for who takes only a few, and grow.

  alias Bets.Call
  require Call

  @typep bound :: :none | {key :: term, inclusive? :: boolean}
  @typep plan :: %{
           id: :bets.table(),
           direction: :forward | :backward,
           from: bound,
           # Whether a key is not yet behind the range's end.
           inside?: :always | (term -> boolean),
           keypos: pos_integer
         }

  @options [:min_key, :max_key, :min_key_inclusive, :max_key_inclusive, :prefix, :reverse]
  @first_step 8
  @objects_max 100

  @spec objects(:bets.table(), keyword) :: Enumerable.t()
  def objects(id, options) do
    plan = plan(id, options)

    Stream.resource(
      fn -> :start end,
      fn
        :done -> {:halt, :done}
        state -> Call.reraising(do: step(plan, state))
      end,
      fn _ -> :ok end
    )
  end

  @spec plan(:bets.table(), keyword) :: plan
  defp plan(id, []), do: %{id: id, direction: :forward, from: :none, inside?: :always, keypos: 1}

  defp plan(id, options) do
    check(id, options)
    {low, high} = bounds(options)

    {direction, from, inside?} =
      if Keyword.get(options, :reverse, false),
        do: {:backward, high, above(low)},
        else: {:forward, low, below(high)}

    %{id: id, direction: direction, from: from, inside?: inside?, keypos: :bets.info(id, :keypos)}
  end

  defp check(id, options) do
    for option <- options, not match?({name, _} when name in @options, option) do
      raise ArgumentError, "invalid option #{inspect(option)}, there are #{inspect(@options)}"
    end

    case :bets.info(id, :type) do
      :ordered_set ->
        :ok

      :undefined ->
        raise ArgumentError, "there is no open table #{inspect(id)}"

      type ->
        raise ArgumentError, "a table of type #{type} has no order of keys: only an ordered_set has ranges"
    end
  end

  defp bounds(options) do
    case Keyword.fetch(options, :prefix) do
      {:ok, prefix} ->
        if Enum.any?([:min_key, :max_key], &Keyword.has_key?(options, &1)) do
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

  defp below(:none), do: :always
  defp below({max, true}), do: &(&1 <= max)
  defp below({max, false}), do: &(&1 < max)

  defp above(:none), do: :always
  defp above({min, true}), do: &(&1 >= min)
  defp above({min, false}), do: &(&1 > min)

  defp step(plan, :start) do
    case plan.from do
      :none -> scan(plan, :start, @first_step)
      {key, true} -> inside(plan, :bets.lookup(plan.id, key), {behind(plan, key), @first_step})
      {key, false} -> scan(plan, behind(plan, key), @first_step)
    end
  end

  defp step(plan, {from, limit}), do: scan(plan, from, limit)

  # The scan goes on behind the key of an object, whether that one is there or not.
  defp behind(plan, key), do: :erlang.make_tuple(plan.keypos, key)

  defp scan(plan, from, limit) do
    case :bets_fold.step(plan.direction, plan.id, from, limit) do
      {objects, :done} -> inside(plan, objects, :done)
      {objects, next} -> inside(plan, objects, {next, min(2 * limit, @objects_max)})
    end
  end

  defp inside(%{inside?: :always}, objects, next), do: {objects, next}

  defp inside(plan, objects, next) do
    case Enum.split_while(objects, &plan.inside?.(elem(&1, plan.keypos - 1))) do
      {^objects, []} -> {objects, next}
      {objects, _behind} -> {objects, :done}
    end
  end
end
