defmodule Conformance.Cases.Delete do
  @moduledoc "delete/1,2, delete_object/2, delete_all_objects/1, take/2."
  use Conformance.Case

  @objects [{1, :a}, {1, :b}, {1, :c}, {2, :x}, {3.0, :y}, {"k", 1, 2}, {{1, 2}, :t}]

  check "delete/1", "the table is gone" do
    t = filled(mod, type, @objects)

    {call(mod, :delete, [t]), call(mod, :delete, [t]), call(mod, :lookup, [t, 1]), mod.info(t),
     mod.info(t, :size)}
  end

  check "delete/1", "a named table" do
    n = name(1)
    mod.new(n, [type, :named_table])
    tid = mod.whereis(n)
    {call(mod, :delete, [n]), mod.whereis(n), mod.info(n), mod.info(tid), call(mod, :delete, [n])}
  end

  check "delete/1", "by another process" do
    public = table(mod, type)
    protected = mod.new(:t, [type])
    private = mod.new(:t, [type, :private])
    for t <- [public, protected, private], do: {other(fn -> call(mod, :delete, [t]) end), mod.info(t, :size)}
  end

  check "delete/2", "all objects of the key" do
    t = filled(mod, type, @objects)

    for key <- [1, 1, 3, 3.0, :missing, {1, 2.0}, {1, 2}],
        do: {call(mod, :delete, [t, key]), objects(mod, t), mod.info(t, :size)}
  end

  check "delete/2", "in an empty table" do
    t = table(mod, type)
    {call(mod, :delete, [t, 1]), mod.info(t, :size)}
  end

  check "delete_object/2", "only the object itself" do
    t = filled(mod, type, @objects)

    for o <- [
          {1, :b},
          {1, :b},
          {1, :zzz},
          {1, :c},
          {2, :x, :more},
          {2},
          {2, :x},
          {3, :y},
          {3.0, :y},
          {"k", 1.0, 2},
          {"k", 1, 2}
        ] do
      {call(mod, :delete_object, [t, o]), objects(mod, t), mod.info(t, :size)}
    end
  end

  check "delete_object/2", "all copies" do
    t = filled(mod, type, [{1, :a}, {1, :b}, {1, :a}, {1, :c}, {1, :a}])
    {call(mod, :delete_object, [t, {1, :a}]), mod.lookup(t, 1), mod.info(t, :size)}
  end

  check "delete_object/2", "what is no object" do
    t = filled(mod, type, [{1, :a}])
    for bad <- [:a, 1, [], [{1, :a}], %{}, "x"], do: {call(mod, :delete_object, [t, bad]), mod.info(t, :size)}
  end

  check "delete_object/2", "a tuple that is too short" do
    t = filled(mod, type, [{:a, 1}], keypos: 2)
    for bad <- [{}, {1}, {:a, 1, 2}, {:a, 1}], do: {call(mod, :delete_object, [t, bad]), mod.info(t, :size)}
  end

  check "delete_object/2", "compares exactly" do
    t = filled(mod, type, [{:k, 1, [2.0], %{a: 1}}])

    for o <- [
          {:k, 1.0, [2.0], %{a: 1}},
          {:k, 1, [2], %{a: 1}},
          {:k, 1, [2.0], %{a: 1.0}},
          {:k, 1, [2.0], %{a: 1}}
        ] do
      mod.delete_object(t, o)
      mod.info(t, :size)
    end
  end

  check "delete_all_objects/1", "nothing is left" do
    t = filled(mod, type, @objects)

    {call(mod, :delete_all_objects, [t]), mod.tab2list(t), mod.info(t, :size), mod.first(t), mod.lookup(t, 1),
     call(mod, :delete_all_objects, [t]), mod.insert(t, {1, :new}), mod.tab2list(t)}
  end

  check "delete_all_objects/1", "while fixed" do
    t = filled(mod, type, @objects)
    mod.safe_fixtable(t, true)

    {call(mod, :delete_all_objects, [t]), mod.info(t, :size), mod.first(t), mod.insert(t, {7, 7}),
     mod.tab2list(t)}
  end

  check "take/2", "gives and deletes" do
    t = filled(mod, type, @objects)

    for key <- [1, 1, 3, 3.0, 2, :missing, {1, 2.0}],
        do: {call(mod, :take, [t, key]), mod.info(t, :size), objects(mod, t)}
  end

  check "take/2", "by two processes: one gets it" do
    t = table(mod, type)
    mod.insert(t, for(n <- 1..100, do: {n, n}))
    me = self()
    for _ <- 1..4, do: spawn(fn -> send(me, {:got, Enum.flat_map(1..100, &mod.take(t, &1))}) end)

    got =
      for _ <- 1..4 do
        receive do
          {:got, objects} -> objects
        after
          5000 -> [:stuck]
        end
      end

    {got |> List.flatten() |> Enum.sort(), mod.info(t, :size)}
  end
end
