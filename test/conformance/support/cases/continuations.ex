defmodule Conformance.Cases.Continuations do
  @moduledoc "select/1,3, select_reverse/1,3, match/1,3, match_object/1,3, repair_continuation/2."
  use Conformance.Case

  @all [{:_, [], [:"$_"]}]

  defp numbers(mod, type, n) do
    t = table(mod, type)
    mod.insert(t, for(k <- 1..n//1, do: {k, k * k}))
    t
  end

  # Chunk sizes, what came, and how it ended.
  defp chunks(mod, function, result, acc \\ [])

  defp chunks(mod, function, {objects, continuation}, acc) when length(acc) < 1000,
    do: chunks(mod, function, call(mod, function, [continuation]), [objects | acc])

  defp chunks(_mod, _function, ended, acc) do
    acc = Enum.reverse(acc)
    {Enum.map(acc, &length/1), Enum.concat(acc), ended}
  end

  defp freed(type, {sizes, all, ended}), do: {sizes, free(type, all), ended}

  def generated do
    for function <- [:select, :select_reverse],
        n <- [0, 1, 9, 10, 11, 100],
        limit <- [1, 2, 10, 11, 100, 1000] do
      make("#{function}/3", "#{n} objects by #{limit}", fn mod, type ->
        t = numbers(mod, type, n)
        freed(type, chunks(mod, function, call(mod, function, [t, @all, limit])))
      end)
    end ++
      for function <- [:select, :select_reverse],
          limit <- [0, -1, 1.0, :a, nil, Integer.pow(2, 70), Integer.pow(2, 40)] do
        make("#{function}/3", "the limit #{inspect(limit)}", fn mod, type ->
          case call(mod, function, [numbers(mod, type, 3), @all, limit]) do
            {objects, _} -> free(type, objects)
            other -> other
          end
        end)
      end ++
      for function <- [:select, :select_reverse, :match, :match_object] do
        make("#{function}/1", "what is no continuation", fn mod, type ->
          t = numbers(mod, type, 3)

          for bad <- [
                :"$end_of_table",
                :a,
                nil,
                [],
                {},
                {1, 2},
                t,
                {t, 1, 2, 3, 4, 5},
                {t, 1, [], 10, make_ref(), [], 0, 0},
                {t, 1, 10, make_ref(), [], 0}
              ] do
            call(mod, function, [bad])
          end
        end)
      end ++
      for function <- [:select, :select_reverse] do
        make("#{function}/3", "with a guard: the limit counts what matched", fn mod, type ->
          t = numbers(mod, type, 100)
          spec = [{{:"$1", :_}, [{:==, {:rem, :"$1", 7}, 0}], [:"$1"]}]
          freed(type, chunks(mod, function, call(mod, function, [t, spec, 4])))
        end)
      end ++
      for function <- [:select, :select_reverse] do
        make("#{function}/3", "a bound key", fn mod, type ->
          t = filled(mod, type, for(k <- 1..5, v <- 1..5, do: {k, v}))
          freed(type, chunks(mod, function, call(mod, function, [t, [{{3, :"$1"}, [], [:"$1"]}], 2])))
        end)
      end ++
      for function <- [:select, :select_reverse] do
        make("#{function}/3", "a bound key that is missing", fn mod, type ->
          call(mod, function, [numbers(mod, type, 5), [{{:missing, :_}, [], [true]}], 2])
        end)
      end
  end

  check "select/3", "the order of an ordered set", [:ordered_set] do
    t = filled(mod, type, for(n <- [5, 3, 9, 1, 7], do: {n, -n}))

    {chunks(mod, :select, mod.select(t, @all, 2)),
     chunks(mod, :select_reverse, mod.select_reverse(t, @all, 2))}
  end

  check "select/1", "a continuation can be used again", [:ordered_set] do
    {_, continuation} = mod.select(numbers(mod, type, 10), @all, 3)
    {one, _} = mod.select(continuation)
    {two, _} = mod.select(continuation)
    {one, two}
  end

  check "select/1", "serves the continuations of match and match_object" do
    t = numbers(mod, type, 10)
    {a, ca} = mod.match(t, {:"$1", :_}, 4)
    {b, cb} = mod.match_object(t, {:_, :_}, 4)
    {sizes_a, rest_a, _} = chunks(mod, :select, call(mod, :select, [ca]))
    {sizes_b, rest_b, _} = chunks(mod, :match, call(mod, :match, [cb]))
    {sizes_a, sizes_b, free(type, a ++ rest_a), free(type, b ++ rest_b)}
  end

  check "select/1", "by another process" do
    t = numbers(mod, type, 10)
    {first, continuation} = mod.select(t, @all, 4)
    {_, rest, ended} = other(fn -> chunks(mod, :select, call(mod, :select, [continuation])) end)
    {free(type, first ++ rest), ended}
  end

  check "select/1", "by a process that may not read" do
    t = mod.new(:t, [type, :private])
    for n <- 1..10, do: mod.insert(t, {n, n})
    {_, continuation} = mod.select(t, @all, 4)
    {:raised, class, reason, {_, f, _}, words} = other(fn -> call(mod, :select, [continuation]) end)
    {class, reason, f, words}
  end

  check "select/1", "after the table is gone" do
    t = numbers(mod, type, 10)
    {_, continuation} = mod.select(t, @all, 4)
    mod.delete(t)
    {:raised, class, reason, {_, f, _}, words} = call(mod, :select, [continuation])
    {class, reason, f, words}
  end

  check "select/1", "after a rename" do
    [a, b] = [name(1), name(2)]
    mod.new(a, [type, :named_table])
    for n <- 1..10, do: mod.insert(a, {n, n})
    {first, continuation} = mod.select(a, @all, 4)
    mod.rename(a, b)
    {_, rest, ended} = chunks(mod, :select, call(mod, :select, [continuation]))
    {free(type, first ++ rest), ended}
  end

  check "select/1", "sees what is inserted ahead of it", [:ordered_set] do
    t = numbers(mod, type, 10)
    {_, continuation} = mod.select(t, @all, 4)
    for n <- [0, 4.5, 20], do: mod.insert(t, {n, :new})
    mod.delete(t, 4)
    mod.delete(t, 5)
    chunks(mod, :select, call(mod, :select, [continuation]))
  end

  check "select/1", "under safe_fixtable, with deletes meanwhile" do
    t = numbers(mod, type, 200)
    mod.safe_fixtable(t, true)
    {first, continuation} = mod.select(t, @all, 20)
    for n <- 1..200, rem(n, 2) == 0, do: mod.delete(t, n)
    {_, rest, ended} = chunks(mod, :select, call(mod, :select, [continuation]))
    mod.safe_fixtable(t, false)
    keys = Enum.map(first ++ rest, &elem(&1, 0))
    # Every key that was there throughout, and none twice.
    {Enum.filter(1..200, &(rem(&1, 2) == 1)) -- keys, keys -- Enum.uniq(keys), ended, mod.info(t, :size)}
  end

  check "match/1", "continues" do
    t = numbers(mod, type, 10)
    freed(type, chunks(mod, :match, mod.match(t, {:"$1", :_}, 3)))
  end

  check "match_object/1", "continues" do
    t = numbers(mod, type, 10)
    freed(type, chunks(mod, :match_object, mod.match_object(t, {:_, :_}, 3)))
  end

  check "select_reverse/1", "continues" do
    t = numbers(mod, type, 10)
    freed(type, chunks(mod, :select_reverse, mod.select_reverse(t, @all, 3)))
  end

  check "repair_continuation/2", "a continuation that was away" do
    t = numbers(mod, type, 10)
    {first, continuation} = mod.select(t, @all, 4)
    away = continuation |> :erlang.term_to_binary() |> :erlang.binary_to_term()
    repaired = call(mod, :repair_continuation, [away, @all])
    {_, rest, ended} = chunks(mod, :select, call(mod, :select, [repaired]))
    {free(type, first ++ rest), ended}
  end

  check "repair_continuation/2", "one that needs no repair" do
    t = numbers(mod, type, 10)
    {_, continuation} = mod.select(t, @all, 4)

    {mod.repair_continuation(continuation, @all) == continuation,
     call(mod, :repair_continuation, [:"$end_of_table", @all])}
  end

  check "repair_continuation/2", "what is no continuation" do
    for bad <- [:a, 1, {}, []] do
      {:raised, class, reason, {_, f, _}, _} = call(mod, :repair_continuation, [bad, @all])
      {class, reason, f}
    end
  end
end
