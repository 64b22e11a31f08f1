defmodule Bets.Error do
  @moduledoc """
  What only a table on disk can meet: a full disk, a directory in use, damage.

  `:reason` is one of the terms that `:bets_errors` lists, for programs; the message says it in words.

      iex> {:error, error} = Bets.open("/dev/null")
      iex> Exception.message(error)
      "/dev/null: it is not a directory"
  """

  defexception [:reason]

  @type t :: %__MODULE__{reason: :bets_errors.reason()}

  @impl true
  def message(%__MODULE__{reason: reason}), do: List.to_string(:bets_errors.explain(reason))
end
