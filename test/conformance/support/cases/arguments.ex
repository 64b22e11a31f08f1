defmodule Conformance.Cases.Arguments do
  @moduledoc "Each argument of each function but the table, replaced by terms of all types, right or wrong."
  use Conformance.Case

  alias Conformance.{Calls, Zoo}

  # They would be the same cases again, or have no argument that could be wrong.
  @elsewhere [rename: 2, give_away: 3]

  def generated do
    for {function, _rights, args} <- Calls.all(),
        {function, length(args)} not in @elsewhere,
        {arg, position} <- Enum.with_index(args),
        arg != :tab do
      make("#{function}/#{length(args)}", "argument #{position + 1} of any type", fn mod, type ->
        t = table(mod, type)

        for junk <- Zoo.junk(), not fatal?(function, position, junk) do
          mod.delete_all_objects(t)
          mod.insert(t, [{1, 1}, {2, 2}])
          result = call(mod, function, args |> Calls.args(t) |> List.replace_at(position, junk))
          # What is in a slot is free.
          shape = if function == :slot, do: shape(:slot, result), else: shape(type, result)
          {shape, contents(mod, t)}
        end
      end)
    end
  end

  # `ets` of OTP 25 takes an empty tuple for a default object, and the VM's memory is broken.
  defp fatal?(function, position, junk), do: {function, position, junk} == {:update_counter, 3, {}}

  defp shape(_type, {:raised, _, _, _, _} = raised), do: raised

  defp shape(type, {list, continuation}) when is_list(list) and is_tuple(continuation),
    do: {:chunk, free(type, list)}

  defp shape(type, {list, :"$end_of_table"}) when is_list(list), do: {:last_chunk, free(type, list)}
  defp shape(:slot, list) when is_list(list), do: :objects
  defp shape(:slot, :"$end_of_table"), do: :objects
  defp shape(type, list) when is_list(list), do: free(type, list)
  # Which key comes next is free.
  defp shape(:ordered_set, value), do: value
  defp shape(_type, value) when value in [1, 2, :"$end_of_table"], do: :key_or_count
  defp shape(_type, {key, [{key, _}]}) when key in [1, 2], do: :key_or_count
  defp shape(_type, value), do: value

  defp contents(mod, t), do: {objects(mod, t), mod.info(t, :size)}
end
