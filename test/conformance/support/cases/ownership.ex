defmodule Conformance.Cases.Ownership do
  @moduledoc "Owners and heirs: give_away/3, messages, who may do what, what happens at the owner's death."
  use Conformance.Case

  for reason <- [:normal, :shutdown, :kill, {:error, :x}] do
    check "new/2", "the table goes with its owner (#{inspect(reason)})" do
      h = helper()
      t = at(h, fn -> mod.new(:t, [type, :public]) end)
      mod.insert(t, {1, :a})
      there = mod.info(t, :size)
      stop(h, unquote(Macro.escape(reason)))
      {there, mod.info(t), mod.info(t, :size), call(mod, :lookup, [t, 1]), call(mod, :insert, [t, {1, :a}])}
    end
  end

  check "new/2", "the name of a dead owner's table is free" do
    n = name(1)
    h = helper()
    at(h, fn -> mod.new(n, [type, :named_table]) end)
    stop(h)
    {mod.whereis(n), mod.info(n), call(mod, :new, [n, [type, :named_table]])}
  end

  check "new/2", "a killed owner's name is free when the DOWN message comes" do
    n = name(1)
    h = helper()
    at(h, fn -> mod.new(n, [type, :named_table]) end)
    monitor = Process.monitor(h)
    Process.exit(h, :kill)

    receive do
      {:DOWN, ^monitor, _, _, reason} -> {reason, mod.whereis(n), call(mod, :new, [n, [type, :named_table]])}
    end
  end

  check "new/2", "the heir gets the table, a message and the data" do
    h = helper()
    me = self()

    t =
      at(h, fn ->
        t = mod.new(:t, [type, {:heir, me, {:gift, 1}}])
        mod.insert(t, {1, :a})
        t
      end)

    stop(h)
    got = message()

    {t, got, mod.info(t, :owner) == self(), mod.info(t, :heir) == self(), mod.lookup(t, 1),
     call(mod, :insert, [t, {2, :b}])}
  end

  check "new/2", "the message of a named table has the name" do
    n = name(1)
    h = helper()
    me = self()
    at(h, fn -> mod.new(n, [type, :named_table, {:heir, me, nil}]) end)
    stop(h)
    {message(), mod.info(n, :owner) == self(), no_message()}
  end

  check "new/2", "one message for each table" do
    h = helper()
    me = self()
    at(h, fn -> for n <- 1..3, do: mod.new(:t, [type, {:heir, me, n}]) end)
    stop(h)
    got = for _ <- 1..3, do: message()
    {Enum.sort(for({:"ETS-TRANSFER", _, _, data} <- got, do: data)), no_message()}
  end

  check "new/2", "the table goes when owner and heir are dead" do
    heir = helper()
    h = helper()
    t = at(h, fn -> mod.new(:t, [type, {:heir, heir, nil}]) end)
    stop(heir)
    stop(h)
    {mod.info(t), no_message()}
  end

  check "new/2", "an heir passes it on to nobody" do
    heir = helper()
    h = helper()
    t = at(h, fn -> mod.new(:t, [type, {:heir, heir, nil}]) end)
    stop(h)
    kept = mod.info(t, :owner) == heir
    stop(heir)
    {kept, mod.info(t)}
  end

  check "new/2", "the table changes hands before the owner's death is told" do
    h = helper()
    me = self()
    t = at(h, fn -> mod.new(:t, [type, {:heir, me, nil}]) end)
    monitor = Process.monitor(h)
    Process.exit(h, :kill)

    receive do
      {:DOWN, ^monitor, _, _, _} -> {mod.info(t, :owner) == self(), call(mod, :insert, [t, {1, :a}])}
    end
  end

  check "give_away/3", "the new owner has a message and the table" do
    t = mod.new(:t, [type])
    mod.insert(t, {1, :a})
    h = helper()
    me = self()
    given = call(mod, :give_away, [t, h, {:gift, 2}])

    there =
      at(h, fn ->
        send(me, :unrelated)
        {call(mod, :insert, [t, {2, :b}]), objects(mod, t)}
      end)

    {given, there, mod.info(t, :owner) == h, call(mod, :insert, [t, {3, :c}]), message(), no_message()}
  end

  check "give_away/3", "the message" do
    t = mod.new(:t, [type])
    n = name(1)
    mod.new(n, [type, :named_table])
    me = self()

    taker =
      spawn(fn ->
        got = [message(), message()]
        send(me, {:got, got})
        Process.sleep(:infinity)
      end)

    given = {call(mod, :give_away, [t, taker, :gift]), call(mod, :give_away, [n, taker, [1]])}

    receive do
      {:got, messages} ->
        {given, for({:"ETS-TRANSFER", tab, from, data} <- messages, do: {tab, tab == t, from == me, data}),
         mod.info(n, :owner) == taker}
    after
      1000 -> :no_message
    end
  end

  check "give_away/3", "to itself, to the dead, to what is no process" do
    t = mod.new(:t, [type])
    dead = spawn(fn -> :ok end)
    stop(dead)
    for to <- [self(), dead, :init, 1, nil, make_ref()], do: call(mod, :give_away, [t, to, :gift])
  end

  check "give_away/3", "by one who is not the owner" do
    me = self()

    for protection <- [:public, :protected, :private] do
      t = mod.new(:t, [type, protection])
      other(fn -> [call(mod, :give_away, [t, self(), :gift]), call(mod, :give_away, [t, me, :gift])] end)
    end
  end

  check "give_away/3", "the heir stays" do
    h = helper()
    me = self()
    t = mod.new(:t, [type, {:heir, me, :inherited}])
    mod.give_away(t, h, :given)
    heir = mod.info(t, :heir) == me
    stop(h)
    {heir, message(), mod.info(t, :owner) == me}
  end

  check "give_away/3", "the first owner's death changes nothing more" do
    first = helper()
    second = helper()
    t = at(first, fn -> mod.new(:t, [type, :public]) end)
    at(first, fn -> mod.give_away(t, second, nil) end)
    stop(first)
    there = {mod.info(t, :owner) == second, call(mod, :insert, [t, {1, :a}])}
    stop(second)
    {there, mod.info(t)}
  end

  check "setopts/2", "an heir set later" do
    h = helper()
    me = self()

    t =
      at(h, fn ->
        t = mod.new(:t, [type])
        mod.setopts(t, {:heir, me, :later})
        t
      end)

    stop(h)
    {message(), mod.info(t, :owner) == me}
  end

  check "setopts/2", "an heir taken back" do
    h = helper()
    me = self()

    t =
      at(h, fn ->
        t = mod.new(:t, [type, {:heir, me, :x}])
        mod.setopts(t, {:heir, :none})
        t
      end)

    stop(h)
    {no_message(), mod.info(t)}
  end

  check "setopts/2", "only by the owner" do
    for protection <- [:public, :protected, :private] do
      t = mod.new(:t, [type, protection])
      other(fn -> call(mod, :setopts, [t, {:heir, :none}]) end)
    end
  end

  check "delete/1", "the owner's death after a delete sends nothing" do
    h = helper()
    me = self()

    at(h, fn ->
      t = mod.new(:t, [type, {:heir, me, :x}])
      mod.delete(t)
    end)

    stop(h)
    no_message()
  end

  check "insert/2", "a table of a process that never looks at its messages" do
    h = helper()
    t = at(h, fn -> mod.new(:t, [type, :public]) end)
    for n <- 1..100, do: mod.insert(t, {n, n})
    {mod.info(t, :size), mod.info(t, :owner) == h}
  end
end
