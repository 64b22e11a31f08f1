defmodule Bets do
  @moduledoc "Stands in for the Elixir face."
end
