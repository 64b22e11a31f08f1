defmodule Conformance.Zoo do
  @moduledoc "Terms that a table on disk may get wrong."

  @doc "Each with a name. The local ones (pids, references) are the same in one run of the VM."
  @spec terms() :: [{String.t(), term()}]
  def terms do
    integers() ++ floats() ++ atoms() ++ binaries() ++ lists() ++ tuples() ++ maps() ++ local()
  end

  defp integers do
    edges =
      for bits <- [7, 8, 15, 16, 27, 28, 31, 32, 47, 59, 60, 63, 64, 65, 127, 128, 1023, 1024, 4000],
          offset <- [-1, 0, 1],
          sign <- [1, -1],
          do: {"integer #{sign} * 2^#{bits} + #{offset}", sign * Integer.pow(2, bits) + offset}

    [{"zero", 0}, {"one", 1}, {"minus one", -1} | edges]
  end

  defp floats do
    exact = for bits <- [52, 53, 54, 59, 63, 64, 100, 1000], do: {"float 2^#{bits}", :math.pow(2, bits)}

    exact ++
      [
        {"float 0.0", 0.0},
        {"float -0.0", <<1::1, 0::63>> |> then(fn <<f::float>> -> f end)},
        {"float 1.0", 1.0},
        {"float 0.1", 0.1},
        {"smallest float", 5.0e-324},
        {"smallest normal float", 2.2250738585072014e-308},
        {"largest float", 1.7976931348623157e308},
        {"most negative float", -1.7976931348623157e308},
        {"float beside an integer", 9_007_199_254_740_993.0}
      ]
  end

  defp atoms do
    for text <- [
          "",
          "a",
          "true",
          "nil",
          "undefined",
          "_",
          "$1",
          "$end_of_table",
          "größe",
          "ключ",
          "鍵",
          "🗝",
          String.duplicate("x", 255),
          String.duplicate("é", 255)
        ],
        do: {"atom #{String.slice(text, 0, 20)}", String.to_atom(text)}
  end

  defp binaries do
    [
      {"empty binary", ""},
      {"binary of 64 bytes", :binary.copy("a", 64)},
      {"binary of 65 bytes", :binary.copy("a", 65)},
      {"binary of 100 kB", :binary.copy("xyz", 34_000)},
      {"binary of zeros", <<0, 0, 0>>},
      {"binary of 255s", <<255, 255>>},
      {"sub-binary", binary_part(:binary.copy("abc", 100), 7, 200)},
      {"one bit", <<1::1>>},
      {"seven bits", <<77::7>>},
      {"bitstring", <<1, 2, 3::5>>},
      {"bitstring that begins as a binary", <<1, 2, 0::3>>}
    ]
  end

  defp lists do
    [
      {"empty list", []},
      {"string", ~c"string"},
      {"string beyond Latin-1", [0x416, 0x1F600]},
      {"improper list", [1, 2 | 3]},
      {"improper list of lists", [[1 | 2] | [3 | 4]]},
      {"list ending in a map", [1 | %{}]},
      {"long list", Enum.to_list(1..5000)},
      {"nested lists", Enum.reduce(1..20_000, [], fn _, acc -> [acc] end)}
    ]
  end

  defp tuples do
    [
      {"empty tuple", {}},
      {"tuple of one", {1}},
      {"tuple of 300", List.to_tuple(Enum.to_list(1..300))},
      {"nested tuples", Enum.reduce(1..20_000, {}, fn n, acc -> {rem(n, 2), acc} end)}
    ]
  end

  defp maps do
    [
      {"empty map", %{}},
      {"small map", %{1 => :a, "b" => [], nil => %{}}},
      {"map with 1 and 1.0", %{1 => :integer, 1.0 => :float}},
      {"map of 32", Map.new(1..32, &{&1, -&1})},
      {"map of 33", Map.new(1..33, &{&1, -&1})},
      {"map of 1000", Map.new(1..1000, &{{:key, &1}, &1})},
      {"map with map keys", %{%{a: 1} => %{b: 2}, %{} => 1}},
      {"nested maps", Enum.reduce(1..5000, %{}, fn n, acc -> %{n => acc} end)}
    ]
  end

  defp local do
    once(:conformance_zoo, fn ->
      [
        {"pid", spawn(fn -> :ok end)},
        {"reference", make_ref()},
        {"port", hd(:erlang.ports())},
        {"external fun", &:lists.reverse/1},
        {"external pid", :erlang.binary_to_term(<<131, 88, 119, 5, "o@hos", 1::32, 0::32, 7::32>>)},
        {"external reference",
         :erlang.binary_to_term(<<131, 90, 3::16, 119, 5, "o@hos", 7::32, 1::32, 2::32, 3::32>>)}
      ]
    end)
  end

  # A function body cannot hold what is made when it runs; both runs of a case need the same.
  defp once(key, fun) do
    case :persistent_term.get(key, nil) do
      nil ->
        :global.trans(
          {key, self()},
          fn ->
            if :persistent_term.get(key, nil) == nil, do: :persistent_term.put(key, fun.())
          end,
          [node()]
        )

        :persistent_term.get(key)

      terms ->
        terms
    end
  end

  @doc "What a caller may pass in error for any argument."
  def junk do
    [
      :atom,
      :"$end_of_table",
      true,
      0,
      1,
      2,
      3,
      -1,
      1.0,
      Integer.pow(2, 64),
      "binary",
      [],
      [:atom],
      [1 | 2],
      [{:a, 1} | {:b, 2}],
      {},
      {:a},
      {1, 2},
      {1, 2, 3},
      {2, 1},
      {2, 1, 1, 1},
      {:c, 5, :x},
      [{:d, 1}, {:e, 2}],
      [{:f, 1}, :g],
      [{2, 1}],
      [{2, 1}, {3, 1}],
      [{:_, [], [true]}],
      [{:"$1", [], [:"$1"]}],
      [{{:"$1", :"$2"}, [{:>, :"$2", 1}], [:"$_"]}],
      [{{:"$1", :"$2"}, [{:nope, :"$2"}], [:"$_"]}],
      {:"$1", :_},
      :_,
      %{},
      %{a: 1},
      make_ref(),
      self(),
      <<1::3>>,
      &:lists.reverse/1
    ]
  end
end
