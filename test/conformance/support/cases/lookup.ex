defmodule Conformance.Cases.Lookup do
  @moduledoc "lookup/2, lookup_element/3,4, member/2, tab2list/1."
  use Conformance.Case

  @objects [
    {1, :a},
    {1, :b, :more},
    {2, {:nested, 1}},
    {"k", 3},
    {nil, nil},
    {[], []},
    {{1, 2}, 3},
    {2.0, :float},
    {4}
  ]

  check "lookup/2", "keys that are there and that are not" do
    t = filled(mod, type, @objects)

    for key <- [1, 1.0, 2, 2.0, 3, "k", ~c"k", nil, false, [], {1, 2}, {1, 2.0}, %{}, 4],
        do: call(mod, :lookup, [t, key])
  end

  check "member/2", "keys that are there and that are not" do
    t = filled(mod, type, @objects)

    for key <- [1, 1.0, 2, 2.0, 3, "k", ~c"k", nil, false, [], {1, 2}, {1, 2.0}, %{}, 4],
        do: call(mod, :member, [t, key])
  end

  check "lookup_element/3", "positions of what is there" do
    t = filled(mod, type, @objects)
    for key <- [1, 2, "k", {1, 2}], position <- 1..3, do: call(mod, :lookup_element, [t, key, position])
  end

  check "lookup_element/3", "positions beyond the object" do
    t = filled(mod, type, [{1, :a}, {1, :b}])

    # No position from 2^31 to 2^59: ets of OTP 25 cuts it down to 32 bits, and reads outside the object.
    for position <- [3, 4, 1000, Integer.pow(2, 30), Integer.pow(2, 70)],
        do: call(mod, :lookup_element, [t, 1, position])
  end

  check "lookup_element/3", "what is no position" do
    t = filled(mod, type, [{1, :a}])

    for bad <- [0, -1, 1.0, :a, "1", nil, [1], {1}],
        key <- [1, :missing],
        do: call(mod, :lookup_element, [t, key, bad])
  end

  check "lookup_element/3", "a key that is missing" do
    t = filled(mod, type, [{1, :a}])
    for position <- [1, 2, 3], do: call(mod, :lookup_element, [t, :missing, position])
  end

  check "lookup_element/3", "objects of a key with different lengths" do
    t = filled(mod, type, [{1, :a, :b}, {1, :a}, {1, :c, :d}])
    for position <- 1..3, do: call(mod, :lookup_element, [t, 1, position])
  end

  check "lookup_element/4", "a key that is there" do
    t = filled(mod, type, @objects)
    for key <- [1, 2, "k"], position <- 1..2, do: call(mod, :lookup_element, [t, key, position, :default])
  end

  check "lookup_element/4", "a key that is missing" do
    t = filled(mod, type, @objects)

    for key <- [:missing, 17],
        position <- [1, 2, 99],
        do: call(mod, :lookup_element, [t, key, position, :default])
  end

  check "lookup_element/4", "a position that the object does not have" do
    t = filled(mod, type, [{1, :a}])
    call(mod, :lookup_element, [t, 1, 3, :default])
  end

  check "lookup_element/4", "what is no position" do
    t = filled(mod, type, [{1, :a}])
    for bad <- [0, -1, :a, 1.0], do: call(mod, :lookup_element, [t, 1, bad, :default])
  end

  check "lookup_element/4", "no position and no key" do
    t = filled(mod, type, [{1, :a}])

    for bad <- [0, -1, :a, 1.0] do
      # The explanation is not documented here.
      {:raised, class, reason, place, _} = call(mod, :lookup_element, [t, :missing, bad, :default])
      {class, reason, place}
    end
  end

  check "tab2list/1", "all objects" do
    t = filled(mod, type, @objects)
    objects(mod, t)
  end

  check "tab2list/1", "none" do
    mod.tab2list(table(mod, type))
  end

  check "tab2list/1", "many" do
    t = table(mod, type)
    mod.insert(t, for(n <- 1..3000, do: {n, n}))
    objects(mod, t)
  end

  check "foldl/3", "every object once" do
    t = table(mod, type)
    mod.insert(t, for(n <- 1..300, do: {n, n}))
    {mod.foldl(fn {k, v}, acc -> k * v + acc end, 0, t), free(type, mod.foldl(&[&1 | &2], [], t))}
  end

  check "foldr/3", "every object once" do
    t = table(mod, type)
    mod.insert(t, for(n <- 1..300, do: {n, n}))
    {mod.foldr(fn {k, v}, acc -> k * v + acc end, 0, t), free(type, mod.foldr(&[&1 | &2], [], t))}
  end

  for fold <- [:foldl, :foldr] do
    check "#{fold}/3", "objects of one key, in the order of the lookup" do
      t = filled(mod, type, [{1, :a}, {1, :c}, {1, :b}])
      mod.unquote(fold)(fn o, acc -> [o | acc] end, [], t)
    end

    check "#{fold}/3", "nothing" do
      {mod.unquote(fold)(fn _, _ -> :called end, :start, table(mod, type)),
       call(mod, unquote(fold), [:no_fun, :start, table(mod, type)])}
    end

    check "#{fold}/3", "a function that fails" do
      t = filled(mod, type, [{1, :a}])

      for fun <- [
            fn _, _ -> throw(:ball) end,
            fn _, _ -> exit(:gone) end,
            fn _, _ -> :erlang.error(:wrong) end
          ] do
        {:raised, class, reason, _, _} = call(mod, unquote(fold), [fun, :start, t])
        {class, reason, mod.info(t, :fixed)}
      end
    end

    check "#{fold}/3", "a function that deletes and inserts" do
      t = filled(mod, type, for(n <- 1..50, do: {n, n}))

      seen =
        mod.unquote(fold)(
          fn {k, _}, acc ->
            mod.delete(t, k)
            mod.delete(t, k + 1)
            [k | acc]
          end,
          [],
          t
        )

      {length(seen) == length(Enum.uniq(seen)), mod.info(t, :size)}
    end
  end
end
