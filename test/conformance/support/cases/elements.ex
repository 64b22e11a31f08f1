defmodule Conformance.Cases.Elements do
  @moduledoc "update_element/3,4."
  use Conformance.Case

  defp specs do
    [
      {2, :new},
      {3, nil},
      {3, {:deep, [1, %{a: 1}]}},
      {4, 1},
      {1, :k},
      {1, :other},
      {0, :x},
      {-1, :x},
      {:a, :x},
      {2.0, :x},
      {2},
      {2, 1, 1},
      {},
      :bad,
      1,
      nil,
      %{},
      "x",
      [],
      [{2, :a}],
      [{2, :a}, {3, :b}],
      [{2, :a}, {2, :b}],
      [{2, :a}, {1, :b}],
      [{2, :a}, {9, :b}],
      [{2, :a}, :bad],
      [{2, :a} | {3, :b}],
      [{2, :a} | :bad],
      [[]],
      {Integer.pow(2, 64), :x},
      [{2, :a}, {0, :b}],
      [{3, :c}, {2, :b}, {3, :d}]
    ]
  end

  def generated do
    # In a default without a place for the key, `ets` of OTP 27 writes the key behind the end, and with an `ordered_set` the VM ends with
    # "tag_val_def() Assertion failed". What the documentation says is asked of bets alone.
    empty = if function_exported?(:ets, :update_element, 4), do: [], else: [{}]

    for spec <- specs() do
      make("update_element/3", inspect(spec), fn mod, type ->
        t = filled(mod, type, [{:k, 1, 2}])

        {call(mod, :update_element, [t, :k, spec]), call(mod, :update_element, [t, :missing, spec]),
         objects(mod, t)}
      end)
    end ++
      for spec <- specs() do
        make("update_element/4", inspect(spec), fn mod, type ->
          t = filled(mod, type, [{:k, 1, 2}])

          {call(mod, :update_element, [t, :k, spec, {:d, 5, 6}]), objects(mod, t),
           unexplained(call(mod, :update_element, [t, :new, spec, {:d, 5, 6}])), objects(mod, t)}
        end)
      end ++
      for default <- empty ++ [{:d}, {:d, 5}, :d, [], 1, %{}] do
        make("update_element/4", "the default #{inspect(default)}", [:set, :ordered_set], fn mod, type ->
          t = filled(mod, type, [{:k, 1}])

          for key <- [:k, :new], spec <- [{2, :x}, []] do
            {unexplained(call(mod, :update_element, [t, key, spec, default])), objects(mod, t)}
          end
        end)
      end
  end

  # Which argument is named when the default object is at fault is not documented.
  defp unexplained({:raised, class, reason, _, _}), do: {:raised, class, reason}
  defp unexplained(value), do: value

  check "update_element/3", "keys that only compare equal" do
    t = filled(mod, type, [{1, :a}])
    {call(mod, :update_element, [t, 1.0, {2, :b}]), mod.tab2list(t)}
  end

  check "update_element/3", "keypos 2" do
    t = filled(mod, type, [{:a, :k, :b}], keypos: 2)

    for spec <- [{1, :x}, {2, :x}, {3, :x}],
        do: {call(mod, :update_element, [t, :k, spec]), mod.lookup(t, :k)}
  end

  check "update_element/3", "the old value again" do
    t = filled(mod, type, [{:k, 1, 2}])
    {call(mod, :update_element, [t, :k, [{2, 1}, {3, 2}]]), mod.lookup(t, :k)}
  end

  check "update_element/3", "creates nothing" do
    t = table(mod, type)
    {call(mod, :update_element, [t, :k, {2, :x}]), mod.info(t, :size)}
  end
end
