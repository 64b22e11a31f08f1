defmodule Bets.VersionsTest do
  use ExUnit.Case, async: true

  test "the Erlang application and the Rust workspace have one version" do
    Application.load(:bets)
    [version] = Regex.run(~r/^version = "(.*)"/m, File.read!("Cargo.toml"), capture: :all_but_first)
    assert to_string(Application.spec(:bets, :vsn)) == version
  end
end
