defmodule Conformance.Cases.Traversal do
  @moduledoc "first/1, last/1, next/2, prev/2, their lookup forms, slot/2."
  use Conformance.Case

  @keys [5, 1, 3.0, 3, :atom, "binary", {1, 2}, [1], nil, %{a: 1}, -7, 1.5, [], {}, ""]

  defp full(mod, type), do: filled(mod, type, for(k <- @keys, do: {k, :v}))

  for {first, next} <- [first: :next, last: :prev] do
    check "#{first}/1", "of an empty table" do
      call(mod, unquote(first), [table(mod, type)])
    end

    check "#{first}/1", "of one object" do
      call(mod, unquote(first), [filled(mod, type, [{:only, 1}])])
    end

    check "#{first}/1", "of many, in the order of the keys", [:ordered_set] do
      call(mod, unquote(first), [full(mod, type)])
    end

    check "#{next}/2", "visits every key once" do
      free(type, walk(mod, full(mod, type), unquote(first), unquote(next)))
    end

    check "#{next}/2", "visits every key of a large table once" do
      t = table(mod, type)
      mod.insert(t, for(n <- 1..2000, do: {{:key, n}, n}))
      free(type, walk(mod, t, unquote(first), unquote(next)))
    end

    check "#{next}/2", "of a key that is missing" do
      t = filled(mod, type, [{1, :a}, {3, :b}])
      for key <- [0, 2, 4, 1.5, :atom, nil, []], do: call(mod, unquote(next), [t, key])
    end

    check "#{next}/2", "of a key in an empty table" do
      call(mod, unquote(next), [table(mod, type), 1])
    end

    check "#{next}/2", "of the end" do
      t = filled(mod, type, [{1, :a}])
      call(mod, unquote(next), [t, :"$end_of_table"])
    end

    check "#{next}/2", "where the end is a key" do
      t = filled(mod, type, [{:"$end_of_table", :a}])
      call(mod, unquote(next), [t, :"$end_of_table"])
    end

    check "#{next}/2", "of a key that only compares equal" do
      t = filled(mod, type, [{1, :a}, {2.0, :b}])
      for key <- [1.0, 2], do: call(mod, unquote(next), [t, key])
    end

    check "#{next}/2", "of a deleted key" do
      t = filled(mod, type, for(n <- 1..10, do: {n, n}))
      mod.delete(t, 5)
      call(mod, unquote(next), [t, 5])
    end

    check "#{next}/2", "from each key of an ordered set", [:ordered_set] do
      t = full(mod, type)
      for key <- @keys ++ [2, 2.5, :zzz, {0}, {9, 9, 9}, "zz"], do: call(mod, unquote(next), [t, key])
    end

    lookup_first = :"#{first}_lookup"
    lookup_next = :"#{next}_lookup"

    check "#{lookup_first}/1", "key and objects" do
      for objects <- [[], [{1, :a}], [{1, :a}, {1, :c}, {1, :b}]],
          do: call(mod, unquote(lookup_first), [filled(mod, type, objects)])
    end

    check "#{lookup_first}/1", "of many", [:ordered_set] do
      call(mod, unquote(lookup_first), [full(mod, type)])
    end

    check "#{lookup_next}/2", "visits every key once" do
      t = full(mod, type)
      free(type, walk_lookup(mod, t, call(mod, unquote(lookup_first), [t]), unquote(lookup_next), []))
    end

    check "#{lookup_next}/2", "of a key that is missing" do
      t = filled(mod, type, [{1, :a}, {3, :b}])
      for key <- [0, 2, 4, 1.5, :atom, :"$end_of_table"], do: call(mod, unquote(lookup_next), [t, key])
    end

    check "#{lookup_next}/2", "in an empty table" do
      call(mod, unquote(lookup_next), [table(mod, type), 1])
    end
  end

  defp walk_lookup(mod, t, {key, objects}, next, acc) when length(acc) < 100,
    do: walk_lookup(mod, t, call(mod, next, [t, key]), next, [{key, objects} | acc])

  defp walk_lookup(_mod, _t, :"$end_of_table", _next, acc), do: Enum.reverse(acc)
  defp walk_lookup(_mod, _t, other, _next, acc), do: [other | acc]

  check "prev/2", "goes back the way of next/2", [:ordered_set] do
    t = full(mod, type)
    walk(mod, t) == Enum.reverse(walk(mod, t, :last, :prev))
  end

  check "prev/2", "is next/2 where there is no order", [:set, :bag, :duplicate_bag] do
    t = full(mod, type)
    {mod.first(t) == mod.last(t), walk(mod, t) == walk(mod, t, :last, :prev)}
  end

  check "slot/2", "visits every object once" do
    t = full(mod, type)
    free(type, slots(mod, t, 0, []))
  end

  check "slot/2", "the first slot of an empty table" do
    t = table(mod, type)
    {slots(mod, t, 0, []), call(mod, :slot, [table(mod, :ordered_set), 0])}
  end

  check "slot/2", "past the end" do
    t = filled(mod, type, [{1, :a}, {2, :b}])
    last = Enum.find(0..100_000, &(mod.slot(t, &1) == :"$end_of_table"))
    {:raised, class, reason, {_, :slot, _}, words} = call(mod, :slot, [t, last + 1])
    {class, reason, words}
  end

  check "slot/2", "what is no slot" do
    t = filled(mod, type, [{1, :a}])

    for bad <- [-1, 1.0, :a, nil, Integer.pow(2, 70), -Integer.pow(2, 70), [0]],
        do: call(mod, :slot, [t, bad])
  end

  check "slot/2", "objects by their place", [:ordered_set] do
    t = filled(mod, type, [{3, :c}, {1, :a}, {2, :b}])
    for n <- 0..4, do: call(mod, :slot, [t, n])
  end

  defp slots(mod, t, n, acc) do
    case call(mod, :slot, [t, n]) do
      objects when is_list(objects) -> slots(mod, t, n + 1, acc ++ objects)
      :"$end_of_table" -> acc
      other -> [other | acc]
    end
  end
end
