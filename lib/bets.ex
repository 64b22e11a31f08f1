defmodule Bets do
  @moduledoc """
  Tables on disk for Elixir: keys and values over the Erlang module `:bets`.

  `:bets` has the functions of `:ets`, with the same names, arguments and results, and its objects survive the VM. This
  module is the short way for tables of `{key, value}`; both work on the same tables.

      iex> table = Bets.open!(Path.join(System.tmp_dir!(), "bets-doc-module"))
      iex> Bets.put(table, :answer, 42)
      iex> Bets.get(table, :answer)
      42
      iex> :bets.lookup(table, :answer)
      [answer: 42]
      iex> :bets.delete(table)
      true

  Functions that fail raise: `ArgumentError` where `:ets` does, and `ErlangError` with `original: {:bets, reason}` for
  what only a table on disk can meet. `:bets_errors` lists the reasons and puts them in words.
  """

  @typedoc "The name of a named table, or the identifier that `open!/2` gave."
  @type table :: :bets.table()

  @type key :: term
  @type value :: term

  @doc """
  Opens the table in a directory, or creates it. The calling process becomes its owner: when it ends, the table is closed.

  The options are those of `:bets.new/2` but for `:dir`. Waits for the disk; takes time in proportion to the number of
  objects. Raises `ArgumentError`, with the reason in its message, if the directory or an option cannot be used.

      iex> table = Bets.open!(Path.join(System.tmp_dir!(), "bets-doc-open"), [:public, sync: :always])
      iex> :bets.info(table, :protection)
      :public
      iex> :bets.delete(table)
      true
  """
  @spec open!(Path.t(), [:bets.option()]) :: table
  def open!(dir, options \\ []) do
    :bets.new(__MODULE__, [{:dir, dir} | options])
  end

  @doc """
  Closes a table and keeps its files. All writes so far are durable then. Waits for the disk.

      iex> table = Bets.open!(Path.join(System.tmp_dir!(), "bets-doc-close"))
      iex> Bets.close(table)
      :ok
  """
  @spec close(table) :: :ok
  def close(table), do: :bets.close(table)

  @doc """
  Stores a value under a key, in place of the one that is there. Appends to the log.

      iex> table = Bets.open!(Path.join(System.tmp_dir!(), "bets-doc-put"))
      iex> Bets.put(table, :colour, "red")
      :ok
      iex> :bets.delete(table)
      true
  """
  @spec put(table, key, value) :: :ok
  def put(table, key, value) do
    true = :bets.insert(table, {key, value})
    :ok
  end

  @doc """
  Gives the value of a key, or the default if the key is not there. May read the disk.

      iex> table = Bets.open!(Path.join(System.tmp_dir!(), "bets-doc-get"))
      iex> Bets.get(table, :colour, "none")
      "none"
      iex> :bets.delete(table)
      true
  """
  @spec get(table, key, value) :: value
  def get(table, key, default \\ nil) do
    :bets.lookup_element(table, key, 2, default)
  end

  @doc """
  Removes a key with its value, if it is there. Appends to the log.

      iex> table = Bets.open!(Path.join(System.tmp_dir!(), "bets-doc-delete"))
      iex> Bets.put(table, :colour, "red")
      iex> Bets.delete(table, :colour)
      :ok
      iex> Bets.get(table, :colour)
      nil
      iex> :bets.delete(table)
      true
  """
  @spec delete(table, key) :: :ok
  def delete(table, key) do
    true = :bets.delete(table, key)
    :ok
  end

  @doc """
  Gives a lazy enumerable of all `{key, value}`, read in steps of at most 100 objects.

  What is there all the time is met exactly once; what comes or goes meanwhile may be met or not.

      iex> table = Bets.open!(Path.join(System.tmp_dir!(), "bets-doc-stream"))
      iex> for n <- 1..10, do: Bets.put(table, n, n * n)
      iex> table |> Bets.stream() |> Enum.map(&elem(&1, 1)) |> Enum.sum()
      385
      iex> :bets.delete(table)
      true
  """
  @spec stream(table) :: Enumerable.t()
  def stream(table) do
    Stream.resource(fn -> :start end, &step(table, &1), fn _ -> :ok end)
  end

  defp step(_table, :done), do: {:halt, :done}
  defp step(table, from), do: :bets_fold.step(table, from)
end
