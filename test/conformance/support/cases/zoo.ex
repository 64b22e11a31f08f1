defmodule Conformance.Cases.Zoo do
  @moduledoc "Terms that are hard to store, as keys and as elements."
  use Conformance.Case

  alias Conformance.Zoo

  def generated do
    for {name, term} <- Zoo.terms() do
      [
        make("lookup/2", "as key: #{name}", fn mod, type ->
          t = filled(mod, type, [{:a, 0}, {term, 1}, {"z", 2}])

          {mod.lookup(t, term), mod.member(t, term), mod.info(t, :size), mod.insert_new(t, {term, 2}),
           mod.update_element(t, term, {2, 3}) |> then(fn result -> {result, mod.lookup(t, term)} end),
           term in walk(mod, t), mod.delete(t, term), mod.lookup(t, term)}
        end)
        |> only(type_of_update()),
        make("lookup/2", "as element: #{name}", fn mod, type ->
          t = filled(mod, type, [{:k, term}, {:l, [term, {term}]}])

          {mod.lookup(t, :k), mod.lookup_element(t, :l, 2), mod.match_object(t, {:k, :_}),
           mod.delete_object(t, {:k, term}), mod.info(t, :size), mod.take(t, :l)}
        end)
      ]
    end
    |> List.flatten()
    |> Kernel.++(bag_keys())
  end

  defp type_of_update, do: [:set, :ordered_set]
  defp only(c, types), do: %{c | types: types}

  defp bag_keys do
    for {name, term} <- Zoo.terms() do
      make("insert/2", "under a key: #{name}", [:bag, :duplicate_bag], fn mod, type ->
        t = filled(mod, type, [{term, 1}, {term, term}, {term, 1}])
        {mod.lookup(t, term), mod.delete_object(t, {term, term}), mod.lookup(t, term), mod.info(t, :size)}
      end)
    end
  end

  check "tab2list/1", "all of them at once" do
    # Deeply nested ones are left out: sorting them is slow.
    terms = for {name, term} <- Zoo.terms(), not (name =~ "nested"), do: {name, term}
    t = filled(mod, type, for({name, term} <- terms, do: {name, term}))
    objects(mod, t)
  end

  check "next/2", "all of them in order", [:ordered_set] do
    t = filled(mod, type, for({_, term} <- Zoo.terms(), do: {term, :v}))
    {walk(mod, t), mod.info(t, :size)}
  end

  check "match/2", "each as a pattern's constant" do
    terms = for {name, term} <- Zoo.terms(), not (name =~ "nested"), do: term
    t = filled(mod, type, for({term, n} <- Enum.with_index(terms), do: {n, term}))
    for term <- terms, do: free(type, call(mod, :match, [t, {:"$1", term}]))
  end

  check "match/2", "each as a bound key" do
    # No maps: as a pattern, one matches larger maps too, but ets only looks at those that its hash puts beside it.
    terms = for {name, term} <- Zoo.terms(), not (name =~ "nested"), not is_map(term), do: term
    t = filled(mod, type, for({term, n} <- Enum.with_index(terms), do: {term, n}))
    for term <- terms, do: free(type, call(mod, :match, [t, {term, :"$1"}]))
  end
end
