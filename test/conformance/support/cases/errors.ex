defmodule Conformance.Cases.Errors do
  @moduledoc "Each function on what is no table, and by processes that have no right to it."
  use Conformance.Case

  alias Conformance.Calls

  def generated do
    for {function, _rights, args} <- Calls.all() do
      about = "#{function}/#{length(args)}"

      [
        make(about, "what is no table", fn mod, type ->
          dead = table(mod, type)
          mod.delete(dead)

          for bad <- [:no_such_table, dead, make_ref(), 1, "t", ~c"t", nil, [], {}, self(), 1.0] do
            call(mod, function, Calls.args(args, bad))
          end
        end),
        make(about, "by another process, by protection", fn mod, type ->
          for protection <- [:public, :protected, :private] do
            t = mod.new(:t, [type, protection])
            mod.insert(t, [{1, 1}, {2, 2}])
            result = other(fn -> call(mod, function, Calls.args(args, t)) end)
            {shape(type, result, t), call(mod, :match_object, [t, :_]) |> free_or_error(type)}
          end
        end),
        make(about, "by another process, on a named table", fn mod, type ->
          n = name(1)
          mod.new(n, [type, :named_table, :private])
          mod.insert(n, [{1, 1}, {2, 2}])
          result = other(fn -> call(mod, function, Calls.args(args, n)) end)
          {shape(type, result, n), call(mod, :match_object, [n, :_]) |> free_or_error(type)}
        end),
        make(about, "the good call", fn mod, type ->
          t = filled(mod, type, [{1, 1}, {2, 2}])

          {shape(type, call(mod, function, Calls.args(args, t)), t),
           call(mod, :match_object, [t, :_]) |> free_or_error(type)}
        end)
      ]
    end
    |> List.flatten()
  end

  # What has an order of its own, or the table's inside, is cut down to what ets promises.
  defp shape(_type, {:raised, _, _, _, _} = raised, _t), do: raised
  # What is in a slot is free.
  defp shape(type, [], _t) when type != :ordered_set, do: {:list, :some}
  defp shape(type, [object], _t) when type != :ordered_set and is_tuple(object), do: {:list, :some}
  # info/1 is compared elsewhere.
  defp shape(_type, [{:id, _} | _], _t), do: :items
  defp shape(_type, list, _t) when is_list(list), do: {:list, length(list)}
  defp shape(_type, {list, _continuation}, _t) when is_list(list), do: {:chunk, length(list)}
  defp shape(:ordered_set, value, _t), do: value
  # Which key comes first, and whether one comes next, is free.
  defp shape(_type, {key, [_]}, _t) when key in [1, 2], do: :key_or_count
  defp shape(_type, value, _t) when value in [1, 2, :"$end_of_table"], do: :key_or_count
  defp shape(_type, value, _t), do: value

  defp free_or_error({:raised, _, _, _, _} = raised, _type), do: raised
  defp free_or_error(list, type), do: free(type, list)

  for {function, args} <- [lookup: [1], lookup_element: [:missing, :bad], insert: [[1 | 2]], next: [:missing]] do
    check "#{function}/#{length(args) + 1}", "what iex says" do
      t = table(mod, type)
      dead = table(mod, type)
      mod.delete(dead)

      for tab <- [t, dead, :no_such_table],
          do: words(mod, unquote(function), [tab | unquote(Macro.escape(args))])
    end
  end

  defp words(mod, function, args) do
    apply(mod, function, args)
  rescue
    error -> :error |> Exception.blame(error, __STACKTRACE__) |> elem(0) |> Exception.message()
  end

  check "insert/2", "a table that is deleted by another process meanwhile" do
    t = table(mod, type)
    h = helper()
    at(h, fn -> mod.delete(t) end)
    {call(mod, :insert, [t, {1, :a}]), mod.info(t)}
  end
end
