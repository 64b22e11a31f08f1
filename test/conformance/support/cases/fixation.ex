defmodule Conformance.Cases.Fixation do
  @moduledoc "safe_fixtable/2."
  use Conformance.Case

  defp fixed(mod, t) do
    case mod.info(t, :safe_fixed) do
      {time, who} -> {is_tuple(time), Enum.sort_by(who, fn {_, n} -> n end)}
      other -> other
    end
  end

  check "safe_fixtable/2", "is told by info" do
    t = table(mod, type)

    for fix <- [true, true, false, false, false, true] do
      {call(mod, :safe_fixtable, [t, fix]), mod.info(t, :fixed), fixed(mod, t),
       is_tuple(mod.info(t, :safe_fixed_monotonic_time))}
    end
  end

  check "safe_fixtable/2", "counts for each process" do
    t = table(mod, type)
    h = helper()
    mod.safe_fixtable(t, true)
    at(h, fn -> for(_ <- 1..2, do: mod.safe_fixtable(t, true)) end)
    both = fixed(mod, t)
    mod.safe_fixtable(t, false)
    one = fixed(mod, t)
    mod.safe_fixtable(t, false)
    still = {mod.info(t, :fixed), fixed(mod, t)}
    stop(h)
    {both, one, still, mod.info(t, :fixed), fixed(mod, t)}
  end

  check "safe_fixtable/2", "ends with its process" do
    t = table(mod, type)
    other(fn -> mod.safe_fixtable(t, true) end)
    {mod.info(t, :fixed), fixed(mod, t)}
  end

  check "safe_fixtable/2", "what is no boolean" do
    t = table(mod, type)
    for bad <- [:a, 1, nil, "true", []], do: call(mod, :safe_fixtable, [t, bad])
  end

  check "safe_fixtable/2", "by one who may only read, and by one who may not" do
    protected = mod.new(:t, [type])
    private = mod.new(:t, [type, :private])
    for t <- [protected, private], do: other(fn -> call(mod, :safe_fixtable, [t, true]) end)
  end

  check "safe_fixtable/2", "deleted keys stay usable for next" do
    t = filled(mod, type, for(n <- 1..50, do: {n, n}))
    mod.safe_fixtable(t, true)
    keys = delete_on_the_way(mod, t, mod.first(t), [])
    size = mod.info(t, :size)
    mod.safe_fixtable(t, false)
    {free(type, keys), size, mod.first(t)}
  end

  defp delete_on_the_way(_mod, _t, :"$end_of_table", keys), do: Enum.reverse(keys)
  defp delete_on_the_way(_mod, _t, {:raised, _, _, _, _} = raised, keys), do: [raised | keys]

  defp delete_on_the_way(mod, t, key, keys) do
    mod.delete(t, key)
    delete_on_the_way(mod, t, call(mod, :next, [t, key]), [key | keys])
  end

  check "safe_fixtable/2", "deleted keys are gone for all else" do
    t = filled(mod, type, [{1, :a}, {2, :b}])
    mod.safe_fixtable(t, true)
    mod.delete(t, 1)

    {mod.lookup(t, 1), mod.member(t, 1), mod.info(t, :size), mod.tab2list(t), mod.insert_new(t, {1, :c}),
     mod.lookup(t, 1), mod.info(t, :size), call(mod, :update_counter, [t, 3, 1])}
  end

  check "safe_fixtable/2", "a traversal while all keys are deleted and half come back" do
    t = filled(mod, type, for(n <- 1..100, do: {n, n}))
    mod.safe_fixtable(t, true)
    first = mod.first(t)
    for n <- 1..100, n != first, do: mod.delete(t, n)
    rest = walk(mod, t)
    for n <- 1..100//2, do: mod.insert(t, {n, :again})
    again = walk(mod, t)
    mod.safe_fixtable(t, false)
    {length(rest), length(again) in [50, 51], mod.info(t, :size) in [50, 51]}
  end

  check "next/2", "every key present throughout is seen once while others come and go" do
    t = filled(mod, type, for(n <- 1..200, do: {n, n}))
    mod.safe_fixtable(t, true)

    seen =
      Stream.unfold(mod.first(t), fn
        :"$end_of_table" ->
          nil

        key ->
          if is_integer(key) and rem(key, 3) == 0, do: mod.delete(t, key)
          if is_integer(key), do: mod.insert(t, {{:new, key}, 1})
          {key, mod.next(t, key)}
      end)
      |> Enum.take(2000)
      |> Enum.filter(&is_integer/1)

    mod.safe_fixtable(t, false)
    {Enum.to_list(1..200) -- seen, seen -- Enum.uniq(seen)}
  end

  check "delete/1", "a fixed table" do
    t = table(mod, type)
    mod.safe_fixtable(t, true)
    {mod.delete(t), mod.info(t)}
  end

  check "insert/2", "into a fixed table" do
    t = filled(mod, type, [{1, :a}])
    mod.safe_fixtable(t, true)
    for n <- 1..500, do: mod.insert(t, {n, :b})
    mod.delete(t, 7)
    mod.safe_fixtable(t, false)
    {mod.info(t, :size), objects(mod, t)}
  end

  check "next/2", "without fixing, of a deleted key" do
    t = filled(mod, type, [{1, :a}, {2, :b}, {3, :c}])
    mod.delete(t, 2)
    call(mod, :next, [t, 2])
  end
end
