defmodule Conformance.Cases.Info do
  @moduledoc "info/1,2, i/0-3, table/1,2."
  use Conformance.Case

  @items [
           :id,
           :decentralized_counters,
           :read_concurrency,
           :write_concurrency,
           :compressed,
           :owner,
           :heir,
           :name
         ] ++
           [:size, :node, :named_table, :type, :keypos, :protection, :fixed, :safe_fixed] ++
           [:safe_fixed_monotonic_time, :binary]

  def generated do
    for item <- @items do
      make("info/2", "the item #{item}", fn mod, type ->
        t = filled(mod, type, [{1, :a}, {2, :b}])
        n = name(1)
        mod.new(n, [type, :named_table, :private])

        {call(mod, :info, [t, item]), call(mod, :info, [n, item]),
         other(fn -> call(mod, :info, [n, item]) end)}
      end)
    end ++
      for item <- @items ++ [:memory, :stats, :unknown, 1] do
        make("info/2", "the item #{inspect(item)} of no table", fn mod, type ->
          t = table(mod, type)
          mod.delete(t)
          for tab <- [t, :no_such_table, make_ref(), 1, "t", nil], do: call(mod, :info, [tab, item])
        end)
      end
  end

  check "info/1", "items and their order" do
    t = filled(mod, type, [{1, :a}])

    for {item, value} <- mod.info(t),
        do: if(item == :memory, do: {item, is_integer(value)}, else: {item, value})
  end

  check "info/1", "of another's private table" do
    t = mod.new(:t, [type, :private])
    other(fn -> Keyword.delete(mod.info(t), :memory) end)
  end

  check "info/1", "of no table" do
    for tab <- [:no_such_table, make_ref(), 1, "t", nil, [], {}], do: call(mod, :info, [tab])
  end

  check "info/2", "what is no item" do
    t = table(mod, type)
    for bad <- [:unknown, 1, "size", nil, {:size}, [:size], :Size], do: call(mod, :info, [t, bad])
  end

  check "info/2", "memory is a number of words that grows" do
    t = table(mod, type)
    before = mod.info(t, :memory)
    mod.insert(t, for(n <- 1..10_000, do: {n, n}))
    {is_integer(before), mod.info(t, :memory) > before}
  end

  check "info/2", "the size follows every change" do
    t = table(mod, type)

    changes = [
      fn -> mod.insert(t, {1, :a}) end,
      fn -> mod.insert(t, {1, :a}) end,
      fn -> mod.insert(t, {1, :b}) end,
      fn -> mod.insert(t, [{2, :a}, {3, :a}, {2, :a}, {2, :b}]) end,
      fn -> mod.insert_new(t, [{4, :a}, {4, :b}]) end,
      fn -> mod.insert_new(t, {4, :c}) end,
      fn -> mod.delete_object(t, {2, :a}) end,
      fn -> mod.delete(t, 3) end,
      fn -> mod.delete(t, 3) end,
      fn -> mod.take(t, 4) end,
      fn -> call(mod, :update_counter, [t, 9, 1, {9, 0}]) end,
      fn -> mod.insert(t, for(n <- 10..30, do: {n, n})) end,
      fn -> mod.match_delete(t, {20, :_}) end,
      fn -> mod.select_delete(t, [{{:"$1", :_}, [{:>, :"$1", 25}], [true]}]) end,
      fn -> mod.delete_all_objects(t) end
    ]

    for change <- changes do
      change.()
      mod.info(t, :size)
    end
  end

  check "info/2", "the node and the owner" do
    t = table(mod, type)
    {mod.info(t, :node) == node(), mod.info(t, :owner) == self()}
  end

  # What is printed has widths and memory of its own: only that the tables are named is compared.
  check "i/0", "prints the tables" do
    n = name(1)
    mod.new(n, [type, :named_table])
    text = printed(fn -> call(mod, :i, []) end)
    {text =~ "id", text =~ "conformance", text =~ "size", text =~ "owner"}
  end

  for {about, more} <- [{"i/1", []}, {"i/2", [10]}, {"i/3", [10, 60]}] do
    check about, "prints the objects" do
      t = filled(mod, type, [{:one, 1}, {:two, 2}])
      text = printed(fn -> call(mod, :i, [t | unquote(more)]) end)
      {text =~ "{one,1}", text =~ "{two,2}", text =~ "EOT"}
    end
  end

  defp printed(fun) do
    {:ok, device} = StringIO.open("q\n")
    leader = Process.group_leader()
    Process.group_leader(self(), device)
    fun.()
    Process.group_leader(self(), leader)
    {_, text} = StringIO.contents(device)
    text
  end

  defp ask(text, bindings) do
    :qlc.eval(:qlc.string_to_handle(text, [], bindings))
  end

  check "table/1", "a query reads all objects" do
    t = filled(mod, type, for(n <- 1..250, do: {n, rem(n, 10)}))
    free(type, ask(~c"[X || {X, Y} <- T, Y =:= 3].", T: mod.table(t)))
  end

  check "table/1", "a query with a key" do
    t = filled(mod, type, for(n <- 1..20, do: {n, n * n}))

    {free(type, ask(~c"[Y || {X, Y} <- T, X =:= 7].", T: mod.table(t))),
     free(type, ask(~c"[Y || {X, Y} <- T, X == 7.0].", T: mod.table(t)))}
  end

  check "table/1", "a join" do
    a = filled(mod, type, for(n <- 1..30, do: {n, rem(n, 5)}))
    b = filled(mod, type, for(n <- 1..5, do: {n, :name}))

    free(
      type,
      Enum.sort(ask(~c"[{X, N} || {X, Y} <- A, {Z, N} <- B, Y =:= Z].", A: mod.table(a), B: mod.table(b)))
    )
  end

  for {option, label} <-
        [
          {[], "none"},
          {[{:traverse, :select}], "select"},
          {[{:traverse, :first_next}], "first_next"},
          {[{:traverse, :last_prev}], "last_prev"}
        ] ++ [{[{:n_objects, 3}], "n_objects"}] do
    check "table/2", "the option #{label}" do
      t = filled(mod, type, for(n <- 1..50, do: {n, n}))
      free(type, Enum.sort(ask(~c"[X || {X, _} <- T].", T: mod.table(t, unquote(option)))))
    end
  end

  check "table/2", "a match specification" do
    t = filled(mod, type, for(n <- 1..50, do: {n, n}))
    spec = [{{:"$1", :"$2"}, [{:>, :"$1", 45}], [{{:"$2", :x}}]}]
    Enum.sort(ask(~c"[X || X <- T].", T: mod.table(t, traverse: {:select, spec})))
  end

  check "table/2", "options that are none" do
    t = table(mod, type)

    for bad <- [[{:traverse, :nonsense}], [:bad], {:n_objects, 0}, :bad] do
      case call(mod, :table, [t, bad]) do
        {:raised, class, reason, _, _} -> {class, reason}
        _handle -> :handle
      end
    end
  end
end
