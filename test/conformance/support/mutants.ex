defmodule Conformance.Mutant do
  @moduledoc """
  A table module that is `ets` but for what it defines itself.

      defmodule Conformance.Mutants.TakeKeeps do
        use Conformance.Mutant, "take/2 removes nothing"
        def take(tab, key), do: Oracle.lookup(tab, key)
      end
  """

  defmacro __using__(fault) do
    quote do
      @moduledoc unquote(fault)
      @before_compile Conformance.Mutant
      alias Conformance.Oracle
      def fault, do: unquote(fault)
    end
  end

  defmacro __before_compile__(env) do
    for {function, arity} <- Conformance.Oracle.functions(),
        not Module.defines?(env.module, {function, arity}) do
      args = Macro.generate_arguments(arity, __MODULE__)

      quote do
        @doc false
        def unquote(function)(unquote_splicing(args)),
          do: Conformance.Oracle.unquote(function)(unquote_splicing(args))
      end
    end
  end
end

defmodule Conformance.Mutants do
  @moduledoc "Tables that are wrong in one known way each. The suite has to find each of them."

  @doc "The mutants, each with the functions, and the names of their cases, one of which has to be different."
  def all do
    alias Conformance.Mutants, as: M

    [
      {M.BagOrder, ["lookup/2", "insert/2"], ~r/order/},
      {M.EqualForIdentical, ["lookup/2", "insert/2"], ~r/there/},
      {M.IdenticalForEqual, ["insert/2", "lookup/2"], ~r/there/},
      {M.LostHeirMessage, ["new/2", "setopts/2"], ~r/heir|message/},
      {M.LostGift, ["give_away/3"], ~r//},
      {M.HalfSeenList, ["insert/2"], ~r/whole or not at all|part of a list/},
      {M.PartialList, ["insert/2"], ~r/no object/},
      {M.InsertNewOverwrites, ["insert_new/2"], ~r//},
      {M.ThresholdAtEqual, ["update_counter/3"], ~r//},
      {M.CounterNotAtomic, ["update_counter/3"], ~r//},
      {M.DeleteObjectByKey, ["delete_object/2"], ~r//},
      {M.DeleteOneCopy, ["delete_object/2"], ~r/all copies/},
      {M.StaleSize, ["info/2"], ~r/size/},
      {M.NextSkips, ["next/2"], ~r//},
      {M.PrevIsNext, ["prev/2"], ~r//},
      {M.SelectLimitOffByOne, ["select/3"], ~r//},
      {M.ContinuationRestarts, ["select/1", "select/3"], ~r//},
      {M.SelectCountsAll, ["select_count/2"], ~r//},
      {M.MatchDeleteCounts, ["match_delete/2"], ~r//},
      {M.SelectReplaceAnyKey, ["select_replace/2"], ~r//},
      {M.TakeKeeps, ["take/2"], ~r//},
      {M.RenameOverwrites, ["rename/2"], ~r//},
      {M.DefaultSwallowsPosition, ["lookup_element/4"], ~r//},
      {M.FixtableIgnored, ["safe_fixtable/2"], ~r//},
      {M.UpdateElementCreates, ["update_element/3"], ~r/creates nothing/},
      {M.MinusZeroLost, ["lookup/2"], ~r/-0.0|zero/},
      {M.FloatsRounded, ["lookup/2"], ~r/2\^16/},
      {M.AnyoneWrites, ["insert/2"], ~r/by another process/},
      {M.WrongWords, ["lookup/2"], ~r/no table|says/},
      {M.SetReplacesBag, ["new/2"], ~r/options/},
      {M.LastFirst, ["last/1"], ~r//}
    ]
  end
end

defmodule Conformance.Mutants.BagOrder do
  use Conformance.Mutant, "lookup/2 gives the objects of a bag in the order of terms"
  def lookup(tab, key), do: tab |> Oracle.lookup(key) |> Enum.sort()
end

defmodule Conformance.Mutants.EqualForIdentical do
  use Conformance.Mutant, "a set finds 1.0 where 1 stands"

  def lookup(tab, key) do
    case Oracle.lookup(tab, key) do
      [] when is_float(key) and trunc(key) == key -> Oracle.lookup(tab, trunc(key))
      objects -> objects
    end
  end
end

defmodule Conformance.Mutants.IdenticalForEqual do
  use Conformance.Mutant, "an ordered_set tells 1.0 from 1"

  def lookup(tab, key) do
    Enum.filter(Oracle.lookup(tab, key), &(elem(&1, Oracle.info(tab, :keypos) - 1) === key))
  end
end

defmodule Conformance.Mutants.LostHeirMessage do
  use Conformance.Mutant, "a table has no heir"

  def new(name, options) when is_list(options), do: Oracle.new(name, heirless(options))
  def new(name, options), do: Oracle.new(name, options)

  # Not by Enum: the list may be improper.
  defp heirless([{:heir, pid, _} | rest]) when is_pid(pid), do: heirless(rest)
  defp heirless([option | rest]), do: [option | heirless(rest)]
  defp heirless(rest), do: rest
end

defmodule Conformance.Mutants.LostGift do
  use Conformance.Mutant, "give_away/3 loses the data"
  def give_away(tab, pid, _data), do: Oracle.give_away(tab, pid, nil)
end

defmodule Conformance.Mutants.HalfSeenList do
  use Conformance.Mutant, "a list is checked as a whole, but inserted object by object"

  def insert(tab, [{_} | _] = objects), do: Oracle.insert(tab, objects)

  def insert(tab, objects) when is_list(objects) and length(objects) > 1 do
    keypos = :ets.info(tab, :keypos)

    if Enum.all?(objects, &(is_tuple(&1) and tuple_size(&1) >= keypos)) and
         :ets.info(tab, :protection) == :public do
      Enum.each(objects, fn object ->
        Oracle.insert(tab, object)
        :erlang.yield()
      end)

      true
    else
      Oracle.insert(tab, objects)
    end
  end

  def insert(tab, objects), do: Oracle.insert(tab, objects)
end

defmodule Conformance.Mutants.PartialList do
  use Conformance.Mutant, "a list is inserted up to the first that is no object"

  def insert(tab, [object | rest]) when is_tuple(object) do
    Oracle.insert(tab, object)
    if rest == [], do: true, else: insert(tab, rest)
  end

  def insert(tab, objects), do: Oracle.insert(tab, objects)
end

defmodule Conformance.Mutants.InsertNewOverwrites do
  use Conformance.Mutant, "insert_new/2 says whether the key was there, but overwrites it"

  def insert_new(tab, objects) do
    new = Oracle.insert_new(tab, objects)
    if not new, do: Oracle.insert(tab, objects)
    new
  end
end

defmodule Conformance.Mutants.ThresholdAtEqual do
  use Conformance.Mutant, "update_counter/3 sets the value when the threshold is reached, not passed"

  def update_counter(tab, key, {position, increment, threshold, set})
      when is_integer(increment) and increment >= 0 and is_integer(threshold),
      do: Oracle.update_counter(tab, key, {position, increment, threshold - 1, set})

  def update_counter(tab, key, operation), do: Oracle.update_counter(tab, key, operation)
end

defmodule Conformance.Mutants.CounterNotAtomic do
  use Conformance.Mutant, "update_counter/3 of a list does what it can before it fails"

  def update_counter(tab, key, [_, _ | _] = operations) do
    Enum.map(operations, &Oracle.update_counter(tab, key, &1))
  end

  def update_counter(tab, key, operation), do: Oracle.update_counter(tab, key, operation)
end

defmodule Conformance.Mutants.DeleteObjectByKey do
  use Conformance.Mutant, "delete_object/2 looks at the key only"

  def delete_object(tab, object) do
    Oracle.delete_object(tab, object)
    Oracle.delete(tab, elem(object, :ets.info(tab, :keypos) - 1))
  end
end

defmodule Conformance.Mutants.DeleteOneCopy do
  use Conformance.Mutant, "delete_object/2 leaves further copies in a duplicate_bag"

  def delete_object(tab, object) do
    copies = if is_tuple(object), do: Enum.count(Oracle.tab2list(tab), &(&1 === object)), else: 0
    Oracle.delete_object(tab, object)
    for _ <- 2..copies//1, do: Oracle.insert(tab, object)
    true
  end
end

defmodule Conformance.Mutants.StaleSize do
  use Conformance.Mutant, "info/2 does not see the last object deleted"

  def take(tab, key) do
    case Oracle.take(tab, key) do
      [] -> []
      objects -> Process.put(:stale, tab) && objects
    end
  end

  def info(tab, :size) do
    case Process.get(:stale) do
      ^tab -> Oracle.info(tab, :size) + 1
      _ -> Oracle.info(tab, :size)
    end
  end

  def info(tab, item), do: Oracle.info(tab, item)
end

defmodule Conformance.Mutants.NextSkips do
  use Conformance.Mutant, "next/2 goes two steps in a table of more than 100 objects"

  def next(tab, key) do
    case Oracle.next(tab, key) do
      :"$end_of_table" -> :"$end_of_table"
      next -> if Oracle.info(tab, :size) > 100, do: Oracle.next(tab, next), else: next
    end
  end
end

defmodule Conformance.Mutants.PrevIsNext do
  use Conformance.Mutant, "prev/2 of an ordered_set goes forward"
  def prev(tab, key), do: Oracle.next(tab, key)
end

defmodule Conformance.Mutants.SelectLimitOffByOne do
  use Conformance.Mutant, "select/3 gives one object more than its limit"
  def select(tab, spec, limit) when is_integer(limit) and limit > 0, do: Oracle.select(tab, spec, limit + 1)
  def select(tab, spec, limit), do: Oracle.select(tab, spec, limit)
end

defmodule Conformance.Mutants.ContinuationRestarts do
  use Conformance.Mutant, "a continuation gives its first chunk twice"

  def select(tab, spec, limit) do
    case Oracle.select(tab, spec, limit) do
      {objects, continuation} when is_tuple(continuation) -> {objects, {:again, objects, continuation}}
      other -> other
    end
  end

  def select({:again, objects, continuation}), do: {objects, continuation}
  def select(continuation), do: Oracle.select(continuation)
end

defmodule Conformance.Mutants.SelectCountsAll do
  use Conformance.Mutant, "select_count/2 counts what matches, whatever the body gives"
  def select_count(tab, spec), do: tab |> Oracle.select(spec) |> length()
end

defmodule Conformance.Mutants.MatchDeleteCounts do
  use Conformance.Mutant, "match_delete/2 gives the number of deleted objects"

  def match_delete(tab, pattern) do
    before = Oracle.info(tab, :size)
    Oracle.match_delete(tab, pattern)
    before - Oracle.info(tab, :size)
  end
end

defmodule Conformance.Mutants.SelectReplaceAnyKey do
  use Conformance.Mutant, "select_replace/2 lets the key change"

  def select_replace(tab, spec) do
    Oracle.select_replace(tab, spec)
  rescue
    ArgumentError ->
      objects = Oracle.select(tab, spec)
      Oracle.insert(tab, objects)
      length(objects)
  end
end

defmodule Conformance.Mutants.TakeKeeps do
  use Conformance.Mutant, "take/2 removes nothing"
  def take(tab, key), do: Oracle.lookup(tab, key)
end

defmodule Conformance.Mutants.RenameOverwrites do
  use Conformance.Mutant, "rename/2 to a name that is taken deletes that table"

  def rename(tab, name) do
    if is_atom(name) and name != tab and Oracle.whereis(name) != :undefined, do: Oracle.delete(name)
    Oracle.rename(tab, name)
  end
end

defmodule Conformance.Mutants.DefaultSwallowsPosition do
  use Conformance.Mutant, "lookup_element/4 gives the default for a position that the object does not have"

  def lookup_element(tab, key, position, default) do
    Oracle.lookup_element(tab, key, position, default)
  rescue
    ArgumentError -> default
  end
end

defmodule Conformance.Mutants.FixtableIgnored do
  use Conformance.Mutant, "safe_fixtable/2 does nothing"
  def safe_fixtable(tab, fix) when is_boolean(fix), do: is_list(Oracle.info(tab))
  def safe_fixtable(tab, fix), do: Oracle.safe_fixtable(tab, fix)
end

defmodule Conformance.Mutants.UpdateElementCreates do
  use Conformance.Mutant, "update_element/3 inserts where the key is missing"

  def update_element(tab, key, spec) do
    case {Oracle.update_element(tab, key, spec), spec} do
      {false, {2, value}} -> Oracle.insert(tab, {key, value})
      {result, _} -> result
    end
  end
end

defmodule Conformance.Mutants.MinusZeroLost do
  use Conformance.Mutant, "-0.0 comes back as 0.0"

  def lookup(tab, key) do
    for object <- Oracle.lookup(tab, key) do
      object
      |> Tuple.to_list()
      |> Enum.map(&if(is_float(&1) and &1 == 0, do: 0.0, else: &1))
      |> List.to_tuple()
    end
  end
end

defmodule Conformance.Mutants.FloatsRounded do
  use Conformance.Mutant, "an integer comes back as the float that compares equal"

  def lookup(tab, key) do
    for object <- Oracle.lookup(tab, key) do
      object |> Tuple.to_list() |> Enum.map(&if(&1 === 65_536, do: 65_536.0, else: &1)) |> List.to_tuple()
    end
  end
end

defmodule Conformance.Mutants.AnyoneWrites do
  use Conformance.Mutant, "a protected table is public"

  def new(name, options) do
    tab = Oracle.new(name, options)
    if Oracle.info(tab, :protection) == :protected, do: Oracle.setopts(tab, {:protection, :public})
    tab
  end
end

defmodule Conformance.Mutants.WrongWords do
  use Conformance.Mutant, "the explanation of an error is missing"

  def lookup(tab, key) do
    Oracle.lookup(tab, key)
  rescue
    ArgumentError -> :erlang.raise(:error, :badarg, [{:ets, :lookup, [tab, key], []}])
  end
end

defmodule Conformance.Mutants.SetReplacesBag do
  use Conformance.Mutant, "the option set means something after another type"

  def new(name, options) do
    if is_list(options) and not List.improper?(options) and List.last(options) == :set,
      do: Oracle.new(name, Enum.reject(options, &(&1 in [:ordered_set, :bag, :duplicate_bag]))),
      else: Oracle.new(name, options)
  end
end

defmodule Conformance.Mutants.LastFirst do
  use Conformance.Mutant, "last/1 of an ordered_set is its first key"
  def last(tab), do: Oracle.first(tab)
end
