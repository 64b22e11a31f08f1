defmodule Conformance.Cases.Counters do
  @moduledoc "update_counter/3,4."
  use Conformance.Case

  @big Integer.pow(2, 64)

  # For each: the operation, on {key, 10, -5, :text, 2^64}.
  defp operations do
    increments = for n <- [0, 1, -1, 5, @big, -@big, Integer.pow(2, 59), Integer.pow(2, 70)], do: n
    pairs = for p <- 0..6, n <- [1, -1], do: {p, n}

    thresholds =
      for {increment, threshold} <- [
            {1, 10},
            {1, 11},
            {1, 12},
            {1, 9},
            {-1, 10},
            {-1, 9},
            {-1, 8},
            {0, 10},
            {0, 9},
            {0, 11},
            {5, 14},
            {5, 15},
            {-20, -10},
            {@big, @big},
            {1, @big},
            {-1, -@big}
          ],
          do: {2, increment, threshold, 100}

    bad =
      [
        :a,
        1.0,
        "1",
        nil,
        {},
        {2},
        {2, :a},
        {2, 1.0},
        {:a, 1},
        {2.0, 1},
        {2, 1, 2},
        {2, 1, :a, 1},
        {2, 1, 1, :a},
        {2, 1, 1, 1, 1}
      ] ++
        [{-1, 1}, {@big, 1}, {2, 1, 1.0, 0}, {1, 1}, {1, 1, 1, 1}, %{}, self()]

    lists = [
      [],
      [{2, 1}],
      [{2, 1}, {2, 1}, {2, 1}],
      [{2, 1}, {3, -1}],
      [{2, 0}, {3, 0}, {5, 0}],
      [{2, 1, 10, 0}, {2, 5}, {2, 1, 5, -1}],
      [{2, 1}, {4, 1}],
      [{2, 1}, {1, 1}],
      [{2, 1}, {9, 1}],
      [{2, 1}, :bad],
      [1, 2],
      [{2, 1} | {3, 1}],
      [{2, 1} | :bad],
      [[]],
      [{5, 1}, {5, -1}],
      [{2, 1}, {2, 1.0}]
    ]

    Enum.uniq(increments ++ pairs ++ thresholds ++ bad ++ lists)
  end

  def generated do
    for operation <- operations() do
      make("update_counter/3", inspect(operation), fn mod, type ->
        t = filled(mod, type, [{:k, 10, -5, :text, @big}])

        {call(mod, :update_counter, [t, :k, operation]), call(mod, :update_counter, [t, :missing, operation]),
         objects(mod, t)}
      end)
    end ++
      for operation <- operations() do
        make("update_counter/4", inspect(operation), fn mod, type ->
          t = filled(mod, type, [{:k, 10, -5, :text, @big}])
          default = {:ignored, 10, -5, :text, @big}

          {call(mod, :update_counter, [t, :k, operation, default]), objects(mod, t),
           call(mod, :update_counter, [t, :new, operation, default]), objects(mod, t)}
        end)
      end ++
      for default <- [{:d}, {:d, 0}, {:d, :text}, :d, [], 1, %{}, [{:d, 0}], {:d, 1, 2, 3}] do
        make("update_counter/4", "the default #{inspect(default)}", fn mod, type ->
          t = filled(mod, type, [{:k, 10}])

          for key <- [:k, :new], operation <- [1, {2, 1}, {3, 1}, [], [{2, 1}], {2, 1, 5, 0}] do
            {call(mod, :update_counter, [t, key, operation, default]), objects(mod, t)}
          end
        end)
      end
  end

  check "update_counter/3", "an object without a counter" do
    t = filled(mod, type, [{:k}])
    for op <- [1, {2, 1}, {1, 1}, [], [{2, 1}]], do: call(mod, :update_counter, [t, :k, op])
  end

  check "update_counter/3", "an increment alone means the position behind the key" do
    t = filled(mod, type, [{1, :k, 2}, {1, :l}], keypos: 2)

    for key <- [:k, :l],
        op <- [1, {1, 1}, {2, 1}, {3, 1}],
        do: {call(mod, :update_counter, [t, key, op]), mod.lookup(t, key)}
  end

  check "update_counter/3", "keys that only compare equal" do
    t = filled(mod, type, [{1, 0}])
    {call(mod, :update_counter, [t, 1.0, 5]), mod.tab2list(t)}
  end

  check "update_counter/4", "keys that only compare equal" do
    t = filled(mod, type, [{1, 0}])
    {call(mod, :update_counter, [t, 1.0, 5, {:d, 100}]), objects(mod, t)}
  end

  check "update_counter/4", "keypos 2" do
    t = table(mod, type, keypos: 2)

    # No default object without a key: ets of OTP 25 takes it, and the VM's memory is broken.
    for d <- [{0, :d, 7}, {0, :d}],
        op <- [1, {1, 1}, {3, 2}],
        do: {call(mod, :update_counter, [t, {d, op}, op, d]), objects(mod, t)}
  end

  check "update_counter/3", "crosses the edges of a word and comes back" do
    for edge <- [Integer.pow(2, 59), Integer.pow(2, 63), @big, -Integer.pow(2, 59) - 1, -@big] do
      t = filled(mod, type, [{:k, edge - 1}])
      for n <- [1, 1, -3, 3], do: call(mod, :update_counter, [t, :k, n])
    end
  end

  check "update_counter/3", "processes do not lose an update", [:set, :ordered_set] do
    t = filled(mod, type, [{:k, 0, 0}])
    me = self()

    for _ <- 1..8 do
      spawn(fn ->
        for _ <- 1..200, do: mod.update_counter(t, :k, [{2, 1}, {3, -1}])
        send(me, :done)
      end)
    end

    for _ <- 1..8, do: message(5000)
    mod.lookup(t, :k)
  end
end
