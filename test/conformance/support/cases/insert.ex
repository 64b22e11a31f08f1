defmodule Conformance.Cases.Insert do
  @moduledoc "insert/2, insert_new/2, init_table/2."
  use Conformance.Case

  def generated do
    for function <- [:insert, :insert_new], {what, args} <- inserts() do
      make("#{function}/2", what, fn mod, type ->
        t = filled(mod, type, [{1, :old}, {2, :old}])
        {call(mod, function, [t, args]), objects(mod, t), mod.info(t, :size)}
      end)
    end
  end

  defp inserts do
    [
      {"a new object", {3, :new}},
      {"an object whose key is there", {1, :new}},
      {"an object that is there", {1, :old}},
      {"an object with a key alone", {1}},
      {"a longer object", {1, :new, :more}},
      {"no object", []},
      {"a list of one", [{3, :new}]},
      {"a list of new objects", [{3, :a}, {4, :b}, {5, :c}]},
      {"a list with one key that is there", [{3, :a}, {2, :b}]},
      {"a list with all keys there", [{1, :a}, {2, :b}]},
      {"a list with a new key twice", [{3, :a}, {4, :x}, {3, :b}]},
      {"a list with a new object twice", [{3, :a}, {3, :a}]},
      {"a list with an old key twice", [{1, :a}, {1, :b}]},
      {"the integer and the float", [{3, :integer}, {3.0, :float}]},
      {"the float of a key that is there", {1.0, :float}},
      {"a list with something that is no object", [{3, :a}, :bad]},
      {"a list that begins with no object", [:bad, {3, :a}]},
      {"a list with an empty tuple", [{3, :a}, {}]},
      {"an improper list", [{3, :a} | {4, :b}]},
      {"an improper list of one", [{3, :a} | :b]},
      {"an empty tuple", {}},
      {"an atom", :bad},
      {"a number", 1},
      {"a map", %{a: 1}},
      {"a binary", "object"},
      {"a list of lists", [[{3, :a}]]},
      {"a long list", for(n <- 1..1000, do: {n, n * n})},
      {"a long list backwards", for(n <- 1000..1//-1, do: {n, n * n})},
      {"a long list with an error at the end", for(n <- 1..500, do: {n, n}) ++ [:bad]}
    ]
  end

  check "insert/2", "keypos 2" do
    t = table(mod, type, keypos: 2)

    results =
      for o <- [{:a, 1}, {:b, 1}, {:c, 2}, {:d}, [{:e, 3}, {:f}], [{:g, 4}, {:h, 5}]],
          do: call(mod, :insert, [t, o])

    {results, objects(mod, t), mod.lookup(t, 1), mod.member(t, :a)}
  end

  check "insert/2", "an object comes back as a copy" do
    t = table(mod, type)
    big = {1, :binary.copy("x", 1000), Enum.to_list(1..100), %{a: {1, 2}}}
    mod.insert(t, big)
    other(fn -> mod.lookup(t, 1) end)
  end

  check "insert/2", "many objects one by one" do
    t = table(mod, type)
    for n <- 1..500, do: mod.insert(t, {rem(n * 7919, 263), n})
    {mod.info(t, :size), objects(mod, t)}
  end

  check "insert/2", "while nothing is left of a deleted key" do
    t = filled(mod, type, [{1, :a}, {1, :b}])
    mod.delete(t, 1)
    mod.insert(t, {1, :c})
    mod.lookup(t, 1)
  end

  # Up to a thousand objects, a traversal by ets is one step.
  check "insert/2", "a list is seen whole or not at all", [:set, :ordered_set] do
    t = filled(mod, type, for(n <- 1..20, do: {n, 0}))
    watcher = watch(fn -> mod.tab2list(t) |> Enum.map(&elem(&1, 1)) |> Enum.uniq() |> length() end)
    for round <- 1..500, do: mod.insert(t, for(n <- 1..20, do: {n, round}))
    seen(watcher)
  end

  check "insert/2", "a list of one key is seen whole or not at all", [:bag, :duplicate_bag] do
    t = table(mod, type)
    watcher = watch(fn -> t |> mod.lookup(:k) |> length() |> rem(10) end)
    for round <- 1..50, do: mod.insert(t, for(n <- 1..10, do: {:k, round, n}))
    seen(watcher)
  end

  # What a function gave, again and again, while the caller went on.
  defp watch(fun) do
    me = self()
    watcher = spawn(fn -> send(me, {:seen, look(fun, MapSet.new())}) end)
    # It has to look before the first change.
    Process.sleep(1)
    watcher
  end

  defp look(fun, seen) do
    seen = MapSet.put(seen, fun.())

    receive do
      :enough -> Enum.sort(seen)
    after
      0 -> look(fun, seen)
    end
  end

  defp seen(watcher) do
    send(watcher, :enough)

    receive do
      {:seen, seen} -> seen
    after
      5000 -> :stuck
    end
  end

  check "insert/2", "the size never shows a part of a list" do
    t = table(mod, type)
    watcher = watch(fn -> rem(mod.info(t, :size), 10) end)
    for round <- 1..300, do: mod.insert(t, for(n <- 1..10, do: {{round, n}, n}))
    seen(watcher)
  end

  check "insert_new/2", "of two processes one wins" do
    t = table(mod, type)
    me = self()

    for n <- 1..8, do: spawn(fn -> send(me, {:won, for(k <- 1..50, mod.insert_new(t, {k, n}), do: k)}) end)

    won =
      for _ <- 1..8 do
        receive do
          {:won, keys} -> keys
        after
          5000 -> :stuck
        end
      end

    {Enum.sort(List.flatten(won)), mod.info(t, :size)}
  end

  check "insert_new/2", "the size stays when it inserts nothing" do
    t = filled(mod, type, [{1, :a}])
    {mod.insert_new(t, [{2, :b}, {1, :c}]), mod.info(t, :size), mod.member(t, 2)}
  end

  # init_table

  def reader(batches) do
    {:ok, agent} = Agent.start_link(fn -> batches end)

    fn
      :read -> Agent.get_and_update(agent, fn [batch | rest] -> {batch, rest} end)
      :close -> Agent.update(agent, fn _ -> [:closed] end)
    end
  end

  check "init_table/2", "takes what the function gives" do
    t = filled(mod, type, [{0, :before}])
    fun = reader([{[{1, :a}, {2, :b}], nil}, {[], nil}, {[{1, :c}], nil}])

    read = fn
      :read ->
        case fun.(:read) do
          {objects, _} -> {objects, again(fun, 2)}
        end

      :close ->
        :closed
    end

    {call(mod, :init_table, [t, read]), objects(mod, t)}
  end

  defp again(_fun, 0), do: fn _ -> :end_of_input end

  defp again(fun, n) do
    fn
      :read ->
        {objects, _} = fun.(:read)
        {objects, again(fun, n - 1)}

      :close ->
        :closed
    end
  end

  check "init_table/2", "an object that is none" do
    t = filled(mod, type, [{0, :before}])
    me = self()

    fun = fn
      :read -> {[{1, :a}, :bad, {2, :b}], fn _ -> :end_of_input end}
      :close -> send(me, :closed)
    end

    {elem(result(call(mod, :init_table, [t, fun])), 0), objects(mod, t), message(50)}
  end

  check "init_table/2", "a function that gives something else" do
    t = filled(mod, type, [{0, :before}])

    for wrong <- [:eof, {:not_a_list, fn _ -> :end_of_input end}, nil, {[], :no_function}] do
      fun = fn
        :read -> wrong
        :close -> :closed
      end

      {elem(result(call(mod, :init_table, [t, fun])), 0), objects(mod, t)}
    end
  end

  check "init_table/2", "a function that fails" do
    t = filled(mod, type, [{0, :before}])

    fun = fn
      :read -> throw(:oops)
      :close -> :closed
    end

    {elem(result(call(mod, :init_table, [t, fun])), 0), objects(mod, t)}
  end

  check "init_table/2", "by a process that may not" do
    t = mod.new(:t, [type])
    fun = fn _ -> :end_of_input end

    {result(other(fn -> call(mod, :init_table, [t, fun]) end)),
     result(call(mod, :init_table, [:no_such_table, fun]))}
  end

  # These functions are written in Erlang: the stack trace is of their insides.
  defp result({:raised, class, {reason, [_ | _]}, _, _}), do: {{:raised, class, reason}}
  defp result({:raised, class, reason, _, _}), do: {{:raised, class, reason}}
  defp result(value), do: {value}
end
