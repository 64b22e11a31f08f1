defmodule Bets.MixProject do
  use Mix.Project

  # The Erlang application file is the one place for what mix and rebar3 both need to know.
  @external_resource Path.join(__DIR__, "src/bets.app.src")
  @app_src __DIR__
           |> Path.join("src/bets.app.src")
           |> :file.consult()
           |> then(fn {:ok, [{:application, :bets, keys}]} -> keys end)

  def project do
    [
      app: :bets,
      version: to_string(@app_src[:vsn]),
      description: to_string(@app_src[:description]),
      elixir: "~> 1.14",
      # rebar3 builds into _build/default and _build/test: mix keeps its own beams apart from those.
      build_path: "_build/mix",
      # The conformance suite is compiled: it also runs by itself, from bin/soak.
      elixirc_paths: if(Mix.env() == :test, do: ["lib", "test/conformance/support"], else: ["lib"]),
      compilers: [:bets_nif] ++ Mix.compilers() ++ [:bets_docs],
      erlc_options: [:debug_info],
      start_permanent: Mix.env() == :prod,
      aliases: aliases(),
      deps: []
    ]
  end

  def application do
    Keyword.take(@app_src, [:registered, :env, :mod])
  end

  defp aliases do
    [
      fmt: ["format", "cmd cargo fmt"],
      lint: ["format --check-formatted", "cmd cargo clippy --workspace --all-targets -- -D warnings"]
    ]
  end
end

defmodule Mix.Tasks.Compile.BetsNif do
  @moduledoc false
  use Mix.Task.Compiler

  @impl true
  def run(_args) do
    build("nif", Mix.Project.app_path())
    {:ok, []}
  end

  @impl true
  def clean, do: File.rm(Path.join(Mix.Project.app_path(), "priv/bets_nif.so"))

  @doc false
  # escript stands beside the running VM when it is not on the PATH.
  def build(step, app_path) do
    escript = System.find_executable("escript") || Path.join(:code.root_dir(), "bin/escript")
    script = Path.join(__DIR__, "native/build.escript")

    case System.cmd(escript, [script, step, app_path], into: IO.stream()) do
      {_, 0} -> :ok
      {_, _} -> Mix.raise("bets: the native part could not be built, see above")
    end
  end
end

defmodule Mix.Tasks.Compile.BetsDocs do
  @moduledoc false
  use Mix.Task.Compiler

  @impl true
  def run(_args) do
    app_path = Mix.Project.app_path()
    chunk = Path.join(app_path, "doc/chunks/bets.chunk")

    if Mix.Utils.stale?(Path.wildcard(Path.join(__DIR__, "src/*.erl")), [chunk]) do
      Mix.Tasks.Compile.BetsNif.build("docs", app_path)
    end

    {:noop, []}
  end

  @impl true
  def clean, do: File.rm_rf!(Path.join(Mix.Project.app_path(), "doc"))
end
