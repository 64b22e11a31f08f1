defmodule Conformance.Cases.Bags do
  @moduledoc "The order and the copies of objects under one key."
  use Conformance.Case

  # The order of a list that is inserted into a bag is turned around up to OTP 25.3, a fault of ets that is mended since.
  check "insert/2", "one by one: the order of insertion" do
    t = filled(mod, type, for(v <- [5, 3, 9, 1, 3, 7, 5], do: {:k, v}))
    {mod.lookup(t, :k), mod.lookup_element(t, :k, 2), mod.info(t, :size)}
  end

  check "insert/2", "the order within many keys" do
    t = table(mod, type)
    for n <- 1..600, do: mod.insert(t, {rem(n, 7), rem(n * 31, 101)})
    {for(k <- 0..6, do: mod.lookup(t, k)), mod.info(t, :size)}
  end

  check "insert/2", "an object again does not move it", [:bag] do
    t = filled(mod, type, [{1, :a}, {1, :b}, {1, :a}])
    mod.lookup(t, 1)
  end

  check "insert/2", "a deleted object comes back at the end", [:bag, :duplicate_bag] do
    t = filled(mod, type, [{1, :a}, {1, :b}, {1, :c}])
    mod.delete_object(t, {1, :a})
    mod.insert(t, {1, :a})
    mod.lookup(t, 1)
  end

  check "insert/2", "objects that only compare equal are two", [:bag, :duplicate_bag] do
    t = filled(mod, type, [{1, 1}, {1, 1.0}, {1, [1]}, {1, [1.0]}, {1, %{a: 1}}, {1, %{a: 1.0}}, {1, 1}])
    {mod.lookup(t, 1), mod.info(t, :size)}
  end

  check "insert/2", "a list of objects of one key holds them all", [:bag, :duplicate_bag] do
    t = table(mod, type)
    mod.insert(t, for(v <- [3, 1, 2, 1], do: {:k, v}))
    # The order of a list is not compared, see above.
    {Enum.sort(mod.lookup(t, :k)), mod.info(t, :size)}
  end

  check "lookup_element/3", "one element of each object", [:bag, :duplicate_bag] do
    t = filled(mod, type, [{1, :a, 1}, {1, :b, 2}, {1, :a, 1}])
    for position <- 1..4, do: call(mod, :lookup_element, [t, 1, position])
  end

  check "lookup_element/4", "one element of each object", [:bag, :duplicate_bag] do
    t = filled(mod, type, [{1, :a, 1}, {1, :b, 2}, {1, :a, 1}])
    for key <- [1, 2], position <- 1..4, do: call(mod, :lookup_element, [t, key, position, :default])
  end

  check "take/2", "all objects in their order", [:bag, :duplicate_bag] do
    t = filled(mod, type, [{1, :c}, {2, :x}, {1, :a}, {1, :c}, {1, :b}])
    {mod.take(t, 1), mod.take(t, 1), mod.tab2list(t)}
  end

  check "delete_object/2", "keeps the order of the rest", [:bag, :duplicate_bag] do
    t = filled(mod, type, for(v <- [1, 2, 3, 2, 4, 2, 5], do: {:k, v}))

    for v <- [2, 5, 1, 9, 3, 4] do
      mod.delete_object(t, {:k, v})
      {mod.lookup(t, :k), mod.info(t, :size), mod.member(t, :k)}
    end
  end

  check "select_delete/2", "some objects of a key", [:bag, :duplicate_bag] do
    t = filled(mod, type, for(v <- 1..20, do: {rem(v, 2), v}))
    {mod.select_delete(t, [{{1, :"$1"}, [{:>, :"$1", 10}], [true]}]), mod.lookup(t, 1), mod.info(t, :size)}
  end

  check "match_delete/2", "some objects of a key", [:bag, :duplicate_bag] do
    t = filled(mod, type, [{1, :a}, {1, :b}, {1, :a}, {2, :a}])
    {mod.match_delete(t, {1, :a}), mod.lookup(t, 1), mod.lookup(t, 2)}
  end

  check "next/2", "a key of many objects comes once", [:bag, :duplicate_bag] do
    t = filled(mod, type, for(k <- 1..5, v <- 1..5, do: {k, v}))
    free(type, walk(mod, t))
  end

  check "insert/2", "many objects under one key", [:bag, :duplicate_bag] do
    t = table(mod, type)
    for n <- 1..1000, do: mod.insert(t, {:k, rem(n, 500), n - rem(n, 500)})
    {length(mod.lookup(t, :k)), mod.lookup(t, :k), mod.info(t, :size)}
  end

  check "select_replace/2", "is not for bags", [:bag, :duplicate_bag] do
    t = filled(mod, type, [{1, :a}])
    call(mod, :select_replace, [t, [{{:"$1", :_}, [], [{{:"$1", :b}}]}]])
  end
end
