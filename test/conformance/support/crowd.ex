defmodule Conformance.Crowd do
  @moduledoc """
  Sixteen processes on one table: twelve change objects of their own and shared ones and keep a model of their own, four
  traverse it meanwhile, with `first/1` and `next/2` or with continuations, under `safe_fixtable/2`.

  What has to hold: a traversal sees each key that is there throughout exactly once; a process finds of its own objects what its model
  says; counters lose no update; at the end the size is that of all models; and every process comes to its end.
  """

  @writers 12
  @readers 4
  @lasting 400
  @counters 8

  # After the time is over, a process has this long to finish the step that it is at.
  @patience_ms 30_000

  @type summary :: %{operations: non_neg_integer(), traversals: non_neg_integer(), faults: [term()]}

  @doc """
  The types that a module can be asked for. `ets` of OTP 25 does not survive the crowd on a bag: when objects are deleted that are kept for
  the fixation of another process, its size becomes negative, and now and then a `select_count/2` never comes to its end.
  """
  def types(:bets), do: Conformance.types()
  def types(_made_of_ets), do: [:set, :ordered_set]

  @doc "Lets the crowd work for some milliseconds."
  @spec run(module(), :ets.type(), pos_integer()) :: summary()
  def run(mod, type, milliseconds) do
    t = mod.new(:crowd, [type, :public])
    for n <- 1..@lasting, do: mod.insert(t, {{:lasting, n}, 0})
    if counts?(type), do: for(n <- 1..@counters, do: mod.insert(t, {{:counter, n}, 0}))

    until = System.monotonic_time(:millisecond) + milliseconds
    ctx = %{mod: mod, t: t, type: type, until: until}

    workers =
      for(n <- 1..@writers, do: start(fn -> write(Map.put(ctx, :me, n)) end)) ++
        for n <- 1..@readers, do: start(fn -> read(Map.put(ctx, :me, n)) end)

    reports = Enum.map(workers, &report(&1, until + @patience_ms))
    summary = Enum.reduce(reports, %{operations: 0, traversals: 0, objects: 0, added: 0, faults: []}, &add/2)
    faults = if summary.faults == [], do: settled(ctx, summary), else: summary.faults
    mod.delete(t)
    %{operations: summary.operations, traversals: summary.traversals, faults: Enum.take(faults, 10)}
  end

  defp start(fun) do
    me = self()
    spawn_monitor(fn -> send(me, {:report, self(), fun.()}) end)
  end

  defp report({pid, monitor}, until) do
    receive do
      {:report, ^pid, report} ->
        report

      {:DOWN, ^monitor, _, _, reason} when reason != :normal ->
        %{faults: [{:died, reason}]}
    after
      max(0, until - System.monotonic_time(:millisecond)) ->
        stack = Process.info(pid, :current_stacktrace)
        Process.exit(pid, :kill)
        %{faults: [{:stuck, stack}]}
    end
  end

  defp add(report, summary),
    do: Map.merge(summary, report, fn _, a, b -> if(is_list(a), do: a ++ b, else: a + b) end)

  # The table against the models, when all is still.
  defp settled(%{mod: mod, t: t, type: type}, %{objects: objects, added: added}) do
    counters = if counts?(type), do: @counters, else: 0
    size = mod.info(t, :size)
    listed = length(mod.tab2list(t))
    expected = objects + @lasting + counters

    counted =
      if counts?(type),
        do: Enum.sum(for(n <- 1..@counters, do: mod.lookup_element(t, {:counter, n}, 2))),
        else: added

    for {what, got, expected} <- [
          {:size, size, expected},
          {:tab2list, listed, expected},
          {:counters, counted, added}
        ],
        got != expected,
        do: {what, got, :expected, expected}
  end

  defp counts?(type), do: type in [:set, :ordered_set]
  defp keyed?(type), do: counts?(type)

  # Writers. The model is the list of objects under each key of the writer's own, in the order of insertion.

  defp write(ctx) do
    :rand.seed(:exsss, {ctx.me, 7, 11})
    write(ctx, %{}, %{operations: 0, added: 0, faults: []})
  end

  defp write(ctx, model, report) do
    if report.faults != [] or System.monotonic_time(:millisecond) > ctx.until do
      Map.put(report, :objects, model |> Map.values() |> Enum.map(&length/1) |> Enum.sum())
    else
      key = {:own, ctx.me, :rand.uniform(30)}
      {model, added, faults} = step(:rand.uniform(16), ctx, key, model)

      write(ctx, model, %{
        report
        | operations: report.operations + 1,
          added: report.added + added,
          faults: faults
      })
    end
  end

  defp step(1, ctx, key, model) do
    object = {key, :rand.uniform(4)}
    changed(ctx.mod.insert(ctx.t, object) == true, put(ctx.type, model, object), :insert)
  end

  # A list of different keys, as the order within one key is not what is looked for here.
  defp step(2, ctx, {_, me, n}, model) do
    objects = for k <- 0..4, do: {{:own, me, rem(n + k, 30) + 1}, :rand.uniform(4)}
    model = Enum.reduce(objects, model, &put(ctx.type, &2, &1))
    changed(ctx.mod.insert(ctx.t, objects) == true, model, :insert_list)
  end

  defp step(3, ctx, key, model) do
    free = Map.get(model, key, []) == []
    model = if free, do: Map.put(model, key, [{key, :new}]), else: model
    changed(ctx.mod.insert_new(ctx.t, {key, :new}) == free, model, :insert_new)
  end

  defp step(4, ctx, key, model),
    do: changed(ctx.mod.delete(ctx.t, key) == true, Map.delete(model, key), :delete)

  defp step(5, ctx, key, model) do
    object = {key, :rand.uniform(4)}
    left = Enum.reject(Map.get(model, key, []), &(&1 === object))
    changed(ctx.mod.delete_object(ctx.t, object) == true, Map.put(model, key, left), :delete_object)
  end

  defp step(6, ctx, key, model) do
    changed(ctx.mod.take(ctx.t, key) == Map.get(model, key, []), Map.delete(model, key), :take)
  end

  defp step(7, %{me: me} = ctx, _key, model) do
    deleted = ctx.mod.select_delete(ctx.t, [{{{:own, me, :"$1"}, :_}, [{:>, :"$1", 20}], [true]}])
    {gone, kept} = Enum.split_with(model, fn {{_, _, n}, _} -> n > 20 end)
    changed(deleted == count(gone), Map.new(kept), :select_delete)
  end

  defp step(8, %{me: me} = ctx, _key, model) do
    found = ctx.mod.select_count(ctx.t, [{{{:own, me, :_}, :_}, [], [true]}])
    changed(found == count(model), model, {:select_count, found, count(model)})
  end

  defp step(n, ctx, _key, model) when n in 9..10 do
    if counts?(ctx.type) do
      result = ctx.mod.update_counter(ctx.t, {:counter, :rand.uniform(@counters)}, 1)
      {model, 1, if(is_integer(result), do: [], else: [:update_counter])}
    else
      {model, 0, []}
    end
  end

  defp step(11, ctx, _key, model) do
    lasting = {:lasting, :rand.uniform(@lasting)}

    changed(
      not keyed?(ctx.type) or ctx.mod.update_element(ctx.t, lasting, {2, ctx.me}),
      model,
      :update_element
    )
  end

  defp step(12, ctx, _key, model) do
    changed(match?([{_, _}], ctx.mod.lookup(ctx.t, {:lasting, :rand.uniform(@lasting)})), model, :lasting)
  end

  defp step(_, ctx, key, model) do
    expected = Map.get(model, key, [])
    got = ctx.mod.lookup(ctx.t, key)

    changed(
      got == expected and ctx.mod.member(ctx.t, key) == (expected != []),
      model,
      {:lookup, got, expected}
    )
  end

  defp changed(true, model, _what), do: {model, 0, []}
  defp changed(false, model, what), do: {model, 0, [{:unlike_the_model, what}]}

  defp put(type, model, {key, _} = object) do
    Map.update(model, key, [object], fn objects ->
      cond do
        keyed?(type) -> [object]
        type == :bag and object in objects -> objects
        true -> objects ++ [object]
      end
    end)
  end

  defp count(model), do: model |> Enum.map(fn {_, objects} -> length(objects) end) |> Enum.sum()

  # Readers

  defp read(ctx) do
    :rand.seed(:exsss, {ctx.me, 13, 17})
    read(ctx, %{traversals: 0, faults: []})
  end

  defp read(ctx, report) do
    if report.faults != [] or System.monotonic_time(:millisecond) > ctx.until do
      report
    else
      kind = Enum.random([:next, :prev, :select, :select_reverse, :match_object, :foldl])
      ctx.mod.safe_fixtable(ctx.t, true)
      keys = keys(kind, ctx)
      ctx.mod.safe_fixtable(ctx.t, false)
      seen = for {:lasting, n} <- keys, do: n

      faults =
        if Enum.sort(seen) == Enum.to_list(1..@lasting),
          do: [],
          else: [{kind, missed(seen), seen -- Enum.uniq(seen)}]

      read(ctx, %{report | traversals: report.traversals + 1, faults: faults})
    end
  end

  defp missed(seen), do: Enum.to_list(1..@lasting) -- seen

  defp keys(:next, %{mod: mod, t: t}), do: follow(mod.first(t), &mod.next(t, &1), [])
  defp keys(:prev, %{mod: mod, t: t}), do: follow(mod.last(t), &mod.prev(t, &1), [])
  defp keys(:foldl, %{mod: mod, t: t}), do: mod.foldl(fn object, acc -> [elem(object, 0) | acc] end, [], t)

  defp keys(:match_object, %{mod: mod, t: t}),
    do:
      chunks(mod.match_object(t, {{:lasting, :_}, :_}, 17), &mod.match_object/1, []) |> Enum.map(&elem(&1, 0))

  defp keys(select, %{mod: mod, t: t}) do
    chunks(
      apply(mod, select, [t, [{{:"$1", :_}, [], [:"$1"]}], 1 + :rand.uniform(60)]),
      &apply(mod, select, [&1]),
      []
    )
  end

  defp follow(:"$end_of_table", _next, keys), do: keys
  defp follow(key, next, keys), do: follow(next.(key), next, [key | keys])

  defp chunks(:"$end_of_table", _more, all), do: all
  defp chunks({some, continuation}, more, all), do: chunks(more.(continuation), more, some ++ all)
end
