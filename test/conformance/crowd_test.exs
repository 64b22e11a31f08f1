defmodule Conformance.CrowdTest do
  use ExUnit.Case, async: false

  alias Conformance.Crowd

  @moduletag timeout: 300_000
  @module Conformance.module()
  @milliseconds 1500

  for type <- Crowd.types(@module) do
    test "#{@module}: sixteen processes on one #{type}" do
      assert %{faults: [], operations: operations, traversals: traversals} =
               Crowd.run(@module, unquote(type), @milliseconds)

      assert operations > 100 and traversals > 4
    end
  end

  defmodule LosesUpdates do
    use Conformance.Mutant, "update_counter/3 reads, then writes"

    def update_counter(tab, key, 1) do
      value = Oracle.lookup_element(tab, key, 2) + 1
      :erlang.yield()
      Oracle.insert(tab, {key, value})
      value
    end
  end

  test "a counter that loses updates is found" do
    assert %{faults: [_ | _]} = Crowd.run(LosesUpdates, :set, 500)
  end

  defmodule SkipsKeys do
    use Conformance.Mutant, "a chunk that begins with a new key is left out"

    def select(continuation) do
      case Oracle.select(continuation) do
        {[{:own, _, _} | _], continuation} when is_tuple(continuation) -> Oracle.select(continuation)
        other -> other
      end
    end
  end

  test "a traversal that loses objects is found" do
    assert %{faults: [_ | _]} = Crowd.run(SkipsKeys, :set, 1000)
  end

  test "the model is that of ets" do
    for type <- Crowd.types(:ets), do: assert(%{faults: []} = Crowd.run(:ets, type, 300))
  end
end
