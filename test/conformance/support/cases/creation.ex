defmodule Conformance.Cases.Creation do
  @moduledoc "Making tables and their names: new/2, rename/2, whereis/1, setopts/2, all/0."
  use Conformance.Case

  # Of a table that was made, what its options decided.
  @told [:name, :type, :keypos, :protection, :named_table, :heir, :compressed, :read_concurrency] ++
          [:write_concurrency, :decentralized_counters, :size]

  defp told(mod, {:raised, _, _, _, _} = raised), do: {mod, raised}
  defp told(mod, t), do: for(item <- @told, do: {item, call(mod, :info, [t, item])})

  def generated do
    accepted =
      for options <- accepted() do
        make("new/2", "options #{inspect(options)}", fn mod, type ->
          told(mod, call(mod, :new, [:t, [type | options]]))
        end)
      end

    refused =
      for options <- refused() do
        make("new/2", "refuses #{inspect(options)}", fn mod, type ->
          options = if is_list(options) and not List.improper?(options), do: [type | options], else: options
          told(mod, call(mod, :new, [:t, options]))
        end)
      end

    names =
      for bad <- [1, "name", ~c"name", {:t}, nil, true, :"", :"a/b", :.., [], 1.0] do
        make("new/2", "the name #{inspect(bad)}", [:set], fn mod, type ->
          told(mod, call(mod, :new, [bad, [type]]))
        end)
      end

    accepted ++ refused ++ names
  end

  defp accepted do
    [
      [],
      [:public],
      [:private],
      [:protected],
      [:public, :private],
      [:private, :public],
      [:public, :protected],
      [:private, :protected],
      [:set],
      [:bag, :set],
      [:bag],
      [:duplicate_bag],
      [:ordered_set],
      [:ordered_set, :bag],
      [:compressed],
      [:compressed, :compressed],
      [{:keypos, 1}],
      [{:keypos, 2}],
      [{:keypos, 1000}],
      [{:keypos, Integer.pow(2, 33)}],
      [{:keypos, 2}, {:keypos, 3}],
      [{:heir, :none}],
      [{:read_concurrency, true}],
      [{:read_concurrency, true}, {:read_concurrency, false}],
      [{:write_concurrency, true}],
      [{:write_concurrency, :auto}],
      [:private, {:write_concurrency, true}],
      [{:write_concurrency, true}, :private],
      [{:decentralized_counters, true}],
      [{:decentralized_counters, false}],
      [:public, {:write_concurrency, true}, {:decentralized_counters, true}],
      [:public, {:write_concurrency, :auto}, {:read_concurrency, true}]
    ]
  end

  defp refused do
    [
      :set,
      {},
      nil,
      1,
      "set",
      [:set | :public],
      [:unknown],
      [nil],
      [[]],
      [1],
      [{}],
      [{:keypos}],
      [{:keypos, 0}],
      [{:keypos, -1}],
      [{:keypos, 1.0}],
      [{:keypos, :a}],
      [{:keypos, Integer.pow(2, 64)}],
      [{:keypos, 1, 2}],
      [{:heir, 1}],
      [{:heir, :somebody, 1}],
      [{:heir, :none, 1}],
      [{:read_concurrency, 1}],
      [{:read_concurrency, :auto}],
      [{:write_concurrency, :yes}],
      [{:write_concurrency}],
      [{:decentralized_counters, :auto}],
      [{:named_table, true}],
      [{:compressed, true}],
      [{:type, :set}],
      [:set, {:protection, :public}],
      [:public, :nonsense, :private]
    ]
  end

  check "new/2", "a table without a name has a reference" do
    t = mod.new(:anything, [type])
    {is_reference(t), call(mod, :info, [t, :name]), call(mod, :whereis, [:anything])}
  end

  check "new/2", "a named table is known by its name" do
    n = name(1)
    made = call(mod, :new, [n, [type, :named_table]])
    tid = mod.whereis(n)
    mod.insert(n, {1, :a})

    {made, is_reference(tid), mod.lookup(tid, 1), mod.lookup(n, 1), mod.info(tid, :id) == tid,
     mod.info(n, :id) == tid}
  end

  check "new/2", "a name that is taken" do
    n = name(1)
    mod.new(n, [type, :named_table])

    {call(mod, :new, [n, [type, :named_table]]), call(mod, :new, [n, [:set, :named_table, :bad]]),
     told(mod, n)}
  end

  check "new/2", "a name can be used again after delete/1" do
    n = name(1)
    mod.new(n, [type, :named_table])
    mod.insert(n, {1, :a})
    {mod.delete(n), call(mod, :new, [n, [type, :named_table]]), mod.tab2list(n)}
  end

  check "new/2", "unnamed tables may share a name" do
    a = mod.new(:same, [type])
    b = mod.new(:same, [type])
    mod.insert(a, {1, :a})
    {a == b, mod.info(b, :size), mod.info(a, :name), mod.info(b, :name)}
  end

  check "new/2", "an heir that lives, and one that is dead" do
    dead = spawn(fn -> :ok end)
    alive = helper()
    stop(dead)
    a = mod.new(:t, [type, {:heir, alive, :gift}])
    b = mod.new(:t, [type, {:heir, dead, :gift}])
    {mod.info(a, :heir) == alive, mod.info(b, :heir)}
  end

  check "new/2", "the caller may be its own heir" do
    t = call(mod, :new, [:t, [type, {:heir, self(), :gift}]])
    mod.info(t, :heir) == self()
  end

  check "new/2", "objects shorter than keypos are refused" do
    t = table(mod, type, keypos: 3)

    {for(o <- [{}, {1}, {1, 2}, {1, 2, 3}, {1, 2, 3, 4}], do: call(mod, :insert, [t, o])), mod.lookup(t, 3),
     mod.lookup(t, 1)}
  end

  check "whereis/1", "no such name" do
    for bad <- [name(1), :"", nil, true], do: call(mod, :whereis, [bad])
  end

  check "whereis/1", "what is no name" do
    t = table(mod, type)
    for bad <- [t, 1, "t", ~c"t", self(), {}], do: call(mod, :whereis, [bad])
  end

  check "whereis/1", "the identifier does not change with the name" do
    [a, b] = [name(1), name(2)]
    mod.new(a, [type, :named_table])
    tid = mod.whereis(a)
    mod.rename(a, b)
    {mod.whereis(a), mod.whereis(b) == tid}
  end

  check "rename/2", "a named table answers to the new name only" do
    [a, b] = [name(1), name(2)]
    mod.new(a, [type, :named_table])
    mod.insert(a, {1, :a})
    {call(mod, :rename, [a, b]), call(mod, :lookup, [a, 1]), call(mod, :lookup, [b, 1]), mod.info(b, :name)}
  end

  check "rename/2", "an unnamed table changes only what info tells" do
    t = table(mod, type)
    n = name(1)
    {call(mod, :rename, [t, n]) == t, mod.info(t, :name), mod.whereis(n), mod.info(t, :named_table)}
  end

  check "rename/2", "to a name that is taken" do
    [a, b] = [name(1), name(2)]
    mod.new(a, [type, :named_table])
    mod.new(b, [type, :named_table])
    mod.insert(a, {1, :a})
    {call(mod, :rename, [a, b]), mod.lookup(a, 1), mod.lookup(b, 1)}
  end

  check "rename/2", "to its own name" do
    n = name(1)
    mod.new(n, [type, :named_table])
    call(mod, :rename, [n, n])
  end

  check "rename/2", "the old name is free" do
    [a, b] = [name(1), name(2)]
    mod.new(a, [type, :named_table])
    mod.rename(a, b)
    {call(mod, :new, [a, [type, :named_table]]), mod.info(b, :name)}
  end

  check "rename/2", "what is no name" do
    n = name(1)
    mod.new(n, [type, :named_table])
    t = table(mod, type)
    for tab <- [n, t], bad <- [1, "t", {}, self(), []], do: call(mod, :rename, [tab, bad])
  end

  check "rename/2", "by another process" do
    [a, b, c] = [name(1), name(2), name(3)]
    mod.new(a, [type, :named_table, :public])
    mod.new(b, [type, :named_table])
    first = other(fn -> call(mod, :rename, [a, c]) end)
    second = other(fn -> call(mod, :rename, [b, a]) end)
    {first, mod.info(c, :owner) == self(), second}
  end

  check "setopts/2", "heir and protection" do
    t = mod.new(:t, [type])
    h = helper()

    for options <- [
          {:heir, h, :gift},
          {:heir, :none},
          [{:heir, h, :gift}],
          [],
          {:protection, :public},
          {:protection, :private},
          [{:protection, :protected}, {:heir, :none}]
        ] do
      {call(mod, :setopts, [t, options]), mod.info(t, :heir), mod.info(t, :protection)}
    end
  end

  check "setopts/2", "what it refuses" do
    t = mod.new(:t, [type])

    for options <- [
          :heir,
          {:heir},
          {:heir, 1},
          {:heir, self()},
          {:heir, :none, 1},
          {:heir, :x, 1},
          {:protection, :open},
          {:keypos, 2},
          :public,
          [{:heir, :none}, {:heir, :none}],
          [{:protection, :public}, {:protection, :public}],
          [{:heir, :none} | :x],
          [{:protection, :public}, {:keypos, 2}],
          1,
          {},
          [{}],
          {:type, :bag}
        ] do
      {call(mod, :setopts, [t, options]), mod.info(t, :heir), mod.info(t, :protection)}
    end
  end

  check "setopts/2", "protection holds at once" do
    t = mod.new(:t, [type, :public])
    mod.insert(t, {1, :a})

    for protection <- [:private, :protected, :public] do
      mod.setopts(t, {:protection, protection})
      other(fn -> {call(mod, :lookup, [t, 1]), call(mod, :insert, [t, {1, :a}])} end)
    end
  end

  check "all/0", "has the tables that are there" do
    a = table(mod, type)
    n = name(1)
    mod.new(n, [type, :named_table])
    before = mod.all()
    mod.delete(a)
    afterwards = mod.all()
    {a in before, n in before, mod.whereis(n) in before, a in afterwards, n in afterwards}
  end
end
