defmodule ConformanceTest do
  # The cases wait for messages and watch each other: other tests would be in their way.
  use ExUnit.Case, async: false

  alias Conformance.{Differences, Oracle}

  @moduletag timeout: 300_000
  @module Conformance.module()

  setup_all do
    results = Conformance.run(@module)

    {judged, stale} =
      if @module == :bets, do: Differences.judge(results), else: Differences.judge(results, [])

    # Not in the context, which is copied for every test.
    :persistent_term.put(__MODULE__, %{results: results, judged: judged, stale: stale})
  end

  defp run(what), do: Map.fetch!(:persistent_term.get(__MODULE__), what)

  for about <- Conformance.functions() do
    test "#{@module}: #{about} is as in ets" do
      judged = run(:judged)

      different =
        for {%{about: unquote(about)} = c, type, {:new, expected, got}} <- judged,
            do: {c, type, expected, got}

      broken = for {%{about: unquote(about)} = c, type, {:broken, what}} <- judged, do: {c.name, type, what}
      assert broken == []
      if different != [], do: flunk(told(different))
    end
  end

  test "every function of ets has a case" do
    cases = for c <- Conformance.cases(), uniq: true, do: c.about
    assert for({f, a} <- Oracle.functions(), "#{f}/#{a}" not in cases, do: {f, a}) == []
  end

  test "no two cases have one name" do
    names = for c <- Conformance.cases(), do: {c.theme, c.about, c.name}
    assert names -- Enum.uniq(names) == []
  end

  test "a case that fails by itself is an error, not an agreement" do
    bad = %Conformance.Case{about: "x/0", name: "x", types: [:set], fun: fn _, _ -> raise "oops" end}
    assert [{_, :set, {:broken, _}}] = Conformance.run(:ets, cases: [bad])
  end

  if @module == :bets do
    test "every known difference is seen, and there are few" do
      assert run(:stale) == []
      assert length(Differences.known()) <= 15
    end

    # Other releases of OTP have other functions and faults: the page is made with this one.
    if System.otp_release() == "25" do
      test "docs/ets-compat.md tells what the run finds" do
        assert Conformance.Report.generate(run(:results)) == Conformance.Report.committed(),
               "run bin/soak compat --write"
      end
    end
  end

  defp told(different) do
    shown =
      for {c, type, expected, got} <- Enum.take(different, 5) do
        {expected, got} = apart(expected, got)

        "#{c.about}, #{type}, #{c.theme}: #{c.name}\n  ets:  #{brief(expected)}\n  #{@module}: #{brief(got)}\n"
      end

    "#{length(different)} runs differ; the first:\n\n#{shown}"
  end

  defp brief(term), do: inspect(term, limit: 60, printable_limit: 300)

  # The first place at which two results differ.
  defp apart([a | as], [b | bs]) when a === b, do: apart(as, bs)
  defp apart([a | _], [b | _]), do: apart(a, b)

  defp apart(a, b)
       when is_tuple(a) and is_tuple(b) and tuple_size(a) == tuple_size(b) and elem(a, 0) != :raised,
       do: apart(Tuple.to_list(a), Tuple.to_list(b))

  defp apart(a, b), do: {a, b}
end
