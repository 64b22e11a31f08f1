defmodule BetsTest do
  use ExUnit.Case, async: true

  doctest Bets

  @moduletag :tmp_dir

  test "what is put is there after closing and opening again", %{tmp_dir: dir} do
    table = Bets.open!(dir)
    for n <- 1..1000, do: Bets.put(table, {:key, n}, Integer.to_string(n))
    assert Bets.close(table) == :ok

    table = Bets.open!(dir)
    assert Bets.get(table, {:key, 500}) == "500"
    assert table |> Bets.stream() |> Enum.count() == 1000
    assert Bets.close(table) == :ok
  end

  test "a stream can be left early", %{tmp_dir: dir} do
    table = Bets.open!(dir)
    for n <- 1..1000, do: Bets.put(table, n, n)
    assert table |> Bets.stream() |> Enum.take(3) |> length() == 3
    assert Bets.stream(table) |> Enum.to_list() == :bets.tab2list(table)
  end

  test "an error says what is wrong with which argument", %{tmp_dir: dir} do
    error = assert_raise ArgumentError, fn -> Bets.open!(dir, [:bag]) end
    assert Exception.message(error) =~ "tables of type bag cannot be used yet"
    error = assert_raise ArgumentError, fn -> Bets.get(:no_such_table, 1) end
    assert Exception.message(error) =~ "does not refer to an existing ETS table"
    error = assert_raise ArgumentError, fn -> :no_such_table |> Bets.stream() |> Enum.to_list() end
    assert Exception.message(error) =~ "does not refer to an existing ETS table"
  end
end
