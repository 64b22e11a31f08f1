defmodule Conformance.MutantsTest do
  use ExUnit.Case, async: false

  alias Conformance.Mutants

  @moduletag timeout: 300_000

  test "ets is the same as ets" do
    different =
      for {c, type, verdict} <- Conformance.run(:ets), verdict != :same, do: {c.about, c.name, type, verdict}

    assert different == []
  end

  for {mutant, about, name} <- Mutants.all() do
    test "it is found that #{mutant.fault()}" do
      cases =
        Enum.filter(
          Conformance.cases(),
          &(&1.about in unquote(about) and &1.name =~ unquote(Macro.escape(name)))
        )

      assert cases != []

      assert Enum.any?(Conformance.run(unquote(mutant), cases: cases), fn {_, _, verdict} ->
               verdict != :same
             end)
    end
  end
end
