defmodule Bets.Call do
  @moduledoc false
  # Calls of `:bets`: its own errors become exceptions. `ArgumentError` comes as it is, with the argument that is wrong.

  defmacro reraising(do: call) do
    quote do
      try do
        unquote(call)
      catch
        :error, {:bets, reason} -> reraise(Bets.Error, [reason: reason], __STACKTRACE__)
      end
    end
  end
end
