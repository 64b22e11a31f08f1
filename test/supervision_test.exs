defmodule Bets.SupervisionTest do
  use ExUnit.Case, async: true

  @moduletag :tmp_dir
  @moduletag :capture_log

  test "a child serves a table by its name, and a restart serves it again", %{tmp_dir: dir} do
    start_supervised!({Bets, name: :bets_supervised, dir: dir})
    Bets.put(:bets_supervised, :a, 1)

    for _ <- 1..3 do
      owner = Bets.info(:bets_supervised)[:owner]
      ref = Process.monitor(owner)
      Process.exit(owner, :kill)
      assert_receive {:DOWN, ^ref, _, _, _}, 60_000
      await_other(owner)
      assert Bets.fetch!(:bets_supervised, :a) == 1
    end

    assert stop_supervised({Bets, :bets_supervised}) == :ok
    assert Bets.info(:bets_supervised) == :undefined
    assert Bets.open!(dir) |> Enum.to_list() == [a: 1]
  end

  defp await_other(owner) do
    info = Bets.info(:bets_supervised)
    if info == :undefined or info[:owner] == owner, do: await_other(owner)
  end

  test "several tables under one supervisor", %{tmp_dir: dir} do
    children =
      for name <- [:bets_one, :bets_two], do: {Bets, name: name, dir: Path.join(dir, Atom.to_string(name))}

    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
    assert Bets.put(:bets_one, :a, 1) == :ok
    assert Bets.put(:bets_two, :a, 2) == :ok
    assert Bets.get(:bets_one, :a) == 1
    Supervisor.stop(supervisor)
    assert Bets.info(:bets_one) == :undefined
  end

  test "a failed start says why in words", %{tmp_dir: dir} do
    Process.flag(:trap_exit, true)
    Bets.open!(dir)
    assert {:error, {%Bets.Error{reason: :already_open}, _}} = Bets.start_link(name: :bets_failing, dir: dir)
    {:error, reason} = Supervisor.start_link([{Bets, name: :bets_failing, dir: dir}], strategy: :one_for_one)
    words = Exception.format_exit(reason)
    assert words =~ "failed to start child: {Bets, :bets_failing}"
    assert words =~ "(Bets.Error) the directory is already open as a table in this VM"

    assert {:error, {error, _}} = Bets.start_link(dir: dir)
    assert Exception.message(error) =~ "{name, Name} is missing"
  end
end
