defmodule Conformance.Cases.Match do
  @moduledoc "match/1-3, match_object/1-3, match_delete/2: every pattern on one table of many shapes."
  use Conformance.Case

  def content do
    [
      {1, :a},
      {1, :b},
      {1.0, :float},
      {2, {:x, 1}},
      {2, {:x, 1.0}},
      {3, [1, 2, 3]},
      {3, [1, 2 | 3]},
      {4, %{a: 1, b: 2}},
      {5, %{}},
      {6, "binary"},
      {6, <<1::3>>},
      {7, 7},
      {8, 7, 8},
      {9, :a, :a},
      {9, :a, :b},
      {:k},
      {{1, 2}, {1, 2}},
      {{1, 2.0}, :nested},
      {[1 | 2], :improper},
      {%{a: 1}, :map_key},
      {%{a: 1, b: 2}, :larger_map_key},
      {:"$1", :"$2"},
      {:_, :_},
      {nil, nil},
      {"k", ~c"k"},
      {Integer.pow(2, 70), Integer.pow(2, 70)},
      {Integer.pow(2, 70), Integer.pow(2, 70) + 1},
      {10, 0.0},
      {11, 0}
    ]
  end

  def patterns do
    [
      :_,
      :"$1",
      :"$0",
      :"$100",
      {:_},
      {:"$1"},
      {:_, :_},
      {:"$1", :"$2"},
      {:"$2", :"$1"},
      {:"$1", :"$1"},
      {:_, :"$1", :"$1"},
      {:"$1", :a, :"$2"},
      {1, :_},
      {1, :"$1"},
      {1.0, :_},
      {1, :a},
      {1, :z},
      {2, {:x, :"$1"}},
      {2, {:x, 1}},
      {2.0, {:x, 1.0}},
      {:_, {:x, 1.0}},
      {:"$1", [:"$2" | :"$3"]},
      {:_, [1, 2 | :"$1"]},
      {:_, [1 | [2 | [3 | []]]]},
      {:"$1", []},
      {:"$1", %{}},
      {:"$1", %{a: 1}},
      {:"$1", %{a: :"$2"}},
      {:"$1", %{c: :_}},
      {%{a: 1}, :"$1"},
      {{:"$1", :"$2"}, :_},
      {{1, :_}, :_},
      {{1, 2}, :"$1"},
      {{1, 2.0}, :_},
      {{:"$1", :"$1"}, :_},
      {:"$1", "binary"},
      {:"$1", <<1::3>>},
      {[1 | :_], :"$1"},
      {:k},
      {:"$1", 7},
      {:"$1", 7.0},
      {:_, :_, :_},
      {:_, :_, :_, :_},
      {},
      [],
      :atom,
      1,
      %{},
      "b",
      [:"$1"],
      {Integer.pow(2, 70), :"$1"},
      {:"$1", Integer.pow(2, 70)},
      {:"$1", 0.0},
      {:"$1", 0},
      {nil, :"$1"},
      {"k", :"$1"},
      {:"$3", :"$1"},
      {:"$10", :"$9"},
      {:"$1", {:_, :_}},
      {{:_, :_}, {:"$1", :"$2"}},
      {:"$_", :_},
      {:"$$", :_},
      {:"$01", :_},
      {:"$-1", :_},
      {:"$100000000", :_},
      {:_, :"$1", :_}
    ]
  end

  def generated do
    on_all =
      for pattern <- patterns(), function <- [:match, :match_object] do
        make("#{function}/2", inspect(pattern), fn mod, type ->
          t = filled(mod, type, content())
          free(type, call(mod, function, [t, pattern]))
        end)
      end

    on_empty =
      for pattern <- [:_, {:"$1", :_}, {1, :_}, 1, {:"$100000000", :_}],
          function <- [:match, :match_object] do
        make("#{function}/2", "#{inspect(pattern)} in an empty table", fn mod, type ->
          call(mod, function, [table(mod, type), pattern])
        end)
      end

    deleting =
      for pattern <- patterns() do
        make("match_delete/2", inspect(pattern), fn mod, type ->
          t = filled(mod, type, content())
          {call(mod, :match_delete, [t, pattern]), objects(mod, t), mod.info(t, :size)}
        end)
      end

    in_chunks =
      for pattern <- patterns(), function <- [:match, :match_object] do
        make("#{function}/3", "#{inspect(pattern)} in chunks", fn mod, type ->
          t = filled(mod, type, content())

          for limit <- [1, 3, 1000] do
            {sizes, all} = chunks(mod, function, call(mod, function, [t, pattern, limit]), [], [])
            {sizes, free(type, all)}
          end
        end)
      end

    bad_limit =
      for limit <- [0, -1, 1.0, :a, nil, Integer.pow(2, 70), []], function <- [:match, :match_object] do
        make("#{function}/3", "the limit #{inspect(limit)}", fn mod, type ->
          t = filled(mod, type, [{1, :a}])

          case call(mod, function, [t, :_, limit]) do
            {objects, _} -> objects
            other -> other
          end
        end)
      end

    on_all ++ on_empty ++ deleting ++ in_chunks ++ bad_limit
  end

  defp chunks(mod, function, {objects, continuation}, sizes, all) when length(sizes) < 1000,
    do: chunks(mod, function, call(mod, function, [continuation]), [length(objects) | sizes], all ++ objects)

  defp chunks(_mod, _function, other, sizes, all), do: {Enum.reverse([other | sizes]), all}

  check "match/2", "the order of an ordered set", [:ordered_set] do
    t = filled(mod, type, for(n <- [5, 3, 9, 1, 7], do: {n, -n}))
    {mod.match(t, {:"$1", :"$2"}), mod.match_object(t, {:_, :_})}
  end

  check "match/2", "the objects of one key in the order of insertion" do
    t = filled(mod, type, [{1, :c}, {1, :a}, {1, :b}])
    {mod.match(t, {1, :"$1"}), mod.match_object(t, {1, :_})}
  end

  check "match_delete/2", "keypos 2" do
    t = filled(mod, type, [{:a, 1}, {:b, 2}, {:c, 2}], keypos: 2)
    {mod.match(t, {:"$1", 2}), mod.match_delete(t, {:_, 2}), objects(mod, t)}
  end

  check "match_delete/2", "everything" do
    t = filled(mod, type, content())
    {call(mod, :match_delete, [t, :_]), mod.info(t, :size), mod.first(t)}
  end
end
