defmodule Conformance.Calls do
  @moduledoc """
  One good call of each function that takes a table, to be made bad one argument at a time.

  `:tab` stands for the table, which holds `{1, 1}` and `{2, 2}`. The second element tells who may call: `:read` and
  `:write` as the table's protection allows, `:owner` the owner alone, `:anyone`.
  """

  @spec all() :: [{atom(), :read | :write | :owner | :anyone, [term()]}]
  def all do
    all = [{:_, [], [true]}]

    [
      {:delete, :write, [:tab]},
      {:delete, :write, [:tab, 1]},
      {:delete_all_objects, :write, [:tab]},
      {:delete_object, :write, [:tab, {1, 1}]},
      {:first, :read, [:tab]},
      {:first_lookup, :read, [:tab]},
      {:foldl, :read, [&__MODULE__.count/2, 0, :tab]},
      {:foldr, :read, [&__MODULE__.count/2, 0, :tab]},
      {:give_away, :owner, [:tab, :taker, :gift]},
      {:info, :anyone, [:tab]},
      {:info, :anyone, [:tab, :size]},
      {:insert, :write, [:tab, {3, 3}]},
      {:insert_new, :write, [:tab, {3, 3}]},
      {:last, :read, [:tab]},
      {:last_lookup, :read, [:tab]},
      {:lookup, :read, [:tab, 1]},
      {:lookup_element, :read, [:tab, 1, 2]},
      {:lookup_element, :read, [:tab, 1, 2, :default]},
      {:match, :read, [:tab, {:"$1", 2}]},
      {:match, :read, [:tab, {:"$1", 2}, 10]},
      {:match_delete, :write, [:tab, {:_, 2}]},
      {:match_object, :read, [:tab, {:_, 2}]},
      {:match_object, :read, [:tab, {:_, 2}, 10]},
      {:member, :read, [:tab, 1]},
      {:next, :read, [:tab, 1]},
      {:next_lookup, :read, [:tab, 1]},
      {:prev, :read, [:tab, 1]},
      {:prev_lookup, :read, [:tab, 1]},
      {:rename, :write, [:tab, :renamed]},
      {:safe_fixtable, :read, [:tab, true]},
      {:select, :read, [:tab, all]},
      {:select, :read, [:tab, all, 10]},
      {:select_count, :read, [:tab, all]},
      {:select_delete, :write, [:tab, [{{1, :_}, [], [true]}]]},
      {:select_replace, :write, [:tab, [{{:"$1", :_}, [], [{{:"$1", :x}}]}]]},
      {:select_reverse, :read, [:tab, all]},
      {:select_reverse, :read, [:tab, all, 10]},
      {:setopts, :owner, [:tab, {:heir, :none}]},
      {:slot, :read, [:tab, 0]},
      {:tab2list, :read, [:tab]},
      {:take, :write, [:tab, 1]},
      {:update_counter, :write, [:tab, 1, 1]},
      {:update_counter, :write, [:tab, 1, 1, {0, 0}]},
      {:update_element, :write, [:tab, 1, {2, :x}]},
      {:update_element, :write, [:tab, 1, {2, :x}, {0, 0}]}
    ]
  end

  @doc false
  def count(_object, count), do: count + 1

  @doc "The arguments with the table in its place."
  def args(args, table) do
    Enum.map(args, fn
      :tab -> table
      :taker -> spawn(fn -> Process.sleep(1000) end)
      arg -> arg
    end)
  end
end
