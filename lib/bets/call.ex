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

  # Options that `:bets` takes as its third argument, behind an object, come fourth where key and value are arguments of their own.
  @spec checked!(term) :: list
  def checked!(options) do
    case :bets_options.ttl(options) do
      {:ok, _} ->
        options

      {:badarg, cause} ->
        raise ArgumentError,
              "errors were found at the given arguments:\n\n  * 4th argument: #{:bets_errors.explain(cause)}\n"
    end
  end
end
