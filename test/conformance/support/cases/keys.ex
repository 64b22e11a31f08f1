defmodule Conformance.Cases.Keys do
  @moduledoc "Which keys are the same, and their order: 1 and 1.0, nested ones, maps, the order of all types."
  use Conformance.Case

  @pairs [
    {1, 1.0},
    {0, 0.0},
    {{1}, {1.0}},
    {[1], [1.0]},
    {{:a, [1, {2}]}, {:a, [1.0, {2.0}]}},
    {%{a: 1}, %{a: 1.0}},
    {%{1 => :a}, %{1.0 => :a}},
    {[1 | 2], [1.0 | 2.0]},
    {Integer.pow(2, 53), :math.pow(2, 53)},
    {Integer.pow(2, 53) + 1, :math.pow(2, 53)},
    {Integer.pow(2, 64), :math.pow(2, 64)},
    {Integer.pow(2, 64) + 1, :math.pow(2, 64)},
    {Integer.pow(2, 100), :math.pow(2, 100)},
    {"a", ~c"a"},
    {:a, "a"},
    {[], {}},
    {%{a: %{b: 1}}, %{a: %{b: 1.0}}},
    {<<1::3>>, <<1::4>>},
    {[1, 2], [1, 2, 3]}
  ]

  def generated do
    for {a, b} <- @pairs, {a, b} <- [{a, b}, {b, a}] do
      make("insert/2", "keys #{inspect(a)} and #{inspect(b)}", fn mod, type ->
        t = filled(mod, type, [{a, 1}])

        [
          call(mod, :lookup, [t, b]),
          call(mod, :member, [t, b]),
          call(mod, :update_counter, [t, b, 5]),
          call(mod, :update_element, [t, b, {2, 50}]),
          call(mod, :match, [t, {b, :"$1"}]),
          call(mod, :match_object, [t, {b, :_}]),
          call(mod, :select, [t, [{{:"$1", :_}, [{:==, :"$1", {:const, b}}], [:"$1"]}]]),
          call(mod, :select, [t, [{{:"$1", :_}, [{:"=:=", :"$1", {:const, b}}], [:"$1"]}]]),
          call(mod, :next, [t, b]),
          call(mod, :insert_new, [t, {b, 2}]),
          objects(mod, t),
          call(mod, :delete_object, [t, {b, 1}]),
          objects(mod, t),
          call(mod, :insert, [t, {b, 3}]),
          objects(mod, t),
          call(mod, :match_delete, [t, {a, :_}]),
          objects(mod, t),
          call(mod, :take, [t, a]),
          call(mod, :delete, [t, b]),
          objects(mod, t)
        ]
      end)
    end
  end

  check "insert/2", "the stored key is that of the last insert" do
    t = table(mod, type)

    for key <- [1, 1.0, 1, {1, 2.0}, {1.0, 2}, [1 | 2.0], [1.0 | 2]] do
      mod.insert(t, {key, :v})
      objects(mod, t)
    end
  end

  check "insert/2", "a list with both forms of a key" do
    t = table(mod, type)
    mod.insert(t, [{1, :a}, {1.0, :b}, {2.0, :c}, {2, :d}])
    {objects(mod, t), mod.info(t, :size)}
  end

  check "next/2", "the order of all types of terms", [:ordered_set] do
    pairs = Enum.flat_map(@pairs, fn {a, b} -> [a, b] end)

    keys =
      pairs ++
        [:b, nil, true, "", "ab", <<0>>, {}, {:z}, {:a, :b}, %{}, %{b: 0}, [[]], [{}], -1, -1.5, 1.0e300]

    keys = keys ++ [-Integer.pow(2, 70), Integer.pow(2, 70), make_ref(), fn -> :ok end, self()]
    t = filled(mod, type, for({k, n} <- Enum.with_index(keys), do: {k, n}))
    {walk(mod, t), walk(mod, t, :last, :prev), mod.tab2list(t), mod.info(t, :size)}
  end

  check "next/2", "local processes and references among those of other nodes", [:ordered_set] do
    # The number is compared first, then the node.
    [0, number, serial] =
      self()
      |> :erlang.pid_to_list()
      |> to_string()
      |> String.split(["<", ".", ">"], trim: true)
      |> Enum.map(&String.to_integer/1)

    away =
      for node <- ["a@b", "z@z"] do
        :erlang.binary_to_term(<<131, 88, 119, 3, node::binary, number::32, serial::32, 7::32>>)
      end

    t = filled(mod, type, for(k <- [self() | away], do: {k}))
    walk(mod, t)
  end

  check "next/2", "integers and floats in between", [:ordered_set] do
    keys = for(n <- -5..5, do: n) ++ for(n <- -5..5, do: n + 0.5)
    t = filled(mod, type, for(k <- keys, do: {k}))
    walk(mod, t)
  end

  check "next/2", "integers beside floats where floats are coarse", [:ordered_set] do
    base = Integer.pow(2, 53)

    keys =
      for(n <- -3..3, do: base + n) ++
        for(n <- -3..3, do: base * 1.0 + n) ++ for(n <- -3..3, do: base * 1024 + n)

    t = filled(mod, type, for(k <- keys, do: {k, :v}))
    {walk(mod, t), mod.info(t, :size)}
  end

  check "next/2", "strings and prefixes", [:ordered_set] do
    keys = for a <- ["", "a", "b", <<0>>, <<255>>], b <- ["", "a", <<0>>, <<255>>], do: a <> b

    t =
      filled(
        mod,
        type,
        for(
          k <- keys ++ Enum.map(keys, &String.to_charlist(:binary.bin_to_list(&1) |> List.to_string())),
          do: {k}
        )
      )

    walk(mod, t)
  end

  check "next/2", "tuples by size first, lists by elements first, maps by size", [:ordered_set] do
    keys =
      for a <- [[], [1], [2], [1, 1], [1, 2], [2, 1], [1, 1, 1]],
          form <- [:list, :tuple, :map],
          do: formed(form, a)

    t = filled(mod, type, for(k <- keys, do: {k}))
    walk(mod, t)
  end

  defp formed(:list, list), do: list
  defp formed(:tuple, list), do: List.to_tuple(list)
  defp formed(:map, list), do: list |> Enum.with_index() |> Map.new(fn {v, i} -> {i, v} end)

  check "next/2", "maps with integer and float keys", [:ordered_set] do
    keys = [
      %{2 => :a},
      %{1.0 => :a},
      %{1 => :a},
      %{2.0 => :a},
      %{1 => 1},
      %{1 => 1.0},
      %{1 => 0.5},
      %{:a => 1},
      %{"a" => 1}
    ]

    t = filled(mod, type, for({k, n} <- Enum.with_index(keys), do: {k, n}))
    {walk(mod, t), mod.info(t, :size)}
  end

  check "next/2", "maps of more than 32 keys", [:ordered_set] do
    keys =
      for last <- [:z, 1, 1.0, nil], n <- [33, 34], do: Map.new(1..n, &{&1, if(&1 == 17, do: last, else: &1)})

    t = filled(mod, type, for({k, n} <- Enum.with_index(keys), do: {k, n}))
    {walk(mod, t), for(k <- keys, do: mod.lookup(t, k))}
  end

  check "next/2", "ten thousand keys", [:ordered_set] do
    t = table(mod, type)
    keys = for n <- 1..3000, do: rem(n * 7919, 10_007) / if(rem(n, 2) == 0, do: 1, else: 4)
    Enum.each(keys, &mod.insert(t, {&1, :v}))

    {walk(mod, t) == Enum.sort(Enum.uniq(keys)),
     walk(mod, t, :last, :prev) == Enum.sort(Enum.uniq(keys), :desc)}
  end

  check "lookup/2", "minus zero", [:set, :ordered_set] do
    zero = fn sign ->
      <<f::float>> = <<sign::1, 0::63>>
      f
    end

    t = filled(mod, type, [{zero.(1), :minus}])
    first = {mod.lookup(t, zero.(0)), mod.lookup(t, zero.(1)), mod.lookup(t, 0)}
    mod.insert(t, {zero.(0), :plus})
    {first, objects(mod, t), mod.info(t, :size)}
  end

  check "lookup/2", "keys with a process, a reference, a function" do
    keys = [self(), make_ref(), fn -> :ok end, &:lists.reverse/1, {self(), [make_ref()]}]
    t = filled(mod, type, for({k, n} <- Enum.with_index(keys), do: {k, n}))

    for k <- keys,
        do:
          {mod.lookup(t, k), mod.member(t, k), mod.match(t, {k, :"$1"}), mod.delete(t, k), mod.info(t, :size)}
  end
end
