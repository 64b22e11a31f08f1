defmodule Conformance do
  @moduledoc """
  Runs the same calls on `ets` and on another table module and compares what comes back.

  A case (`Conformance.Case`) is a function of a table module and a table type. It runs twice, each time in a
  process of its own: with `Conformance.Oracle`, which is `ets`, and with the module under test. The two results
  are made comparable by `Conformance.Normal` and have to be exactly equal.

  The module under test is `:bets`, or what the environment variable `BETS_CONFORMANCE_MODULE` names.
  """

  alias Conformance.{Case, Normal, Oracle}

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  # A case that runs longer is stuck: the longest takes some milliseconds.
  @patience_ms 30_000

  @type verdict :: :same | {:different, expected :: term(), got :: term()} | {:broken, expected :: term()}
  @type result :: {Case.t(), :ets.type(), verdict()}

  @doc "The four table types."
  def types, do: @types

  @doc "The module under test."
  @spec module() :: module()
  def module do
    case System.get_env("BETS_CONFORMANCE_MODULE", "bets") do
      "Elixir." <> _ = name -> Module.concat([name])
      name -> String.to_atom(name)
    end
  end

  @doc "Every case of every theme."
  @spec cases() :: [Case.t()]
  def cases, do: Enum.flat_map(themes(), & &1.cases())

  @doc "The functions that cases are about."
  def functions, do: cases() |> Enum.map(& &1.about) |> Enum.uniq() |> Enum.sort()

  @doc "The modules that hold the cases."
  def themes do
    [
      Conformance.Cases.Creation,
      Conformance.Cases.Insert,
      Conformance.Cases.Lookup,
      Conformance.Cases.Delete,
      Conformance.Cases.Counters,
      Conformance.Cases.Elements,
      Conformance.Cases.Traversal,
      Conformance.Cases.Match,
      Conformance.Cases.Select,
      Conformance.Cases.Continuations,
      Conformance.Cases.Bags,
      Conformance.Cases.Keys,
      Conformance.Cases.Ownership,
      Conformance.Cases.Fixation,
      Conformance.Cases.Info,
      Conformance.Cases.Files,
      Conformance.Cases.Errors,
      Conformance.Cases.Arguments,
      Conformance.Cases.Zoo
    ]
  end

  @doc """
  Runs cases on `ets` and on `module`, each for all its types.

  Options: `cases` (all), `parallel` (how many at once; one for each scheduler).
  """
  @spec run(module(), keyword()) :: [result()]
  def run(module, options \\ []) do
    cases = Keyword.get_lazy(options, :cases, &cases/0)

    scratch =
      Path.join(System.tmp_dir!(), "bets_conformance_#{System.pid()}_#{:erlang.unique_integer([:positive])}")

    runs = for c <- cases, type <- c.types, do: {c, type}

    results =
      runs
      |> Enum.with_index()
      |> Task.async_stream(fn {run, n} -> compare(run, n, module, scratch) end,
        timeout: :infinity,
        max_concurrency: Keyword.get(options, :parallel, System.schedulers_online())
      )
      |> Enum.map(fn {:ok, result} -> result end)

    File.rm_rf!(scratch)
    results
  end

  defp compare({c, type}, number, module, scratch) do
    dir = Path.join(scratch, Integer.to_string(number))
    expected = observe(c, Oracle, type, dir)
    got = observe(c, substitute(module), type, dir)
    {c, type, verdict(expected, got)}
  end

  # A case that does not get to its end with ets compares nothing.
  defp verdict({:case_failed, _, _} = expected, _got), do: {:broken, expected}
  defp verdict({:died, _} = expected, _got), do: {:broken, expected}
  defp verdict(:stuck, _got), do: {:broken, :stuck}
  defp verdict(same, got) when same === got, do: :same
  defp verdict(expected, got), do: {:different, expected, got}

  # `ets` has the functions of later releases only through the oracle.
  defp substitute(:ets), do: Oracle
  defp substitute(module), do: module

  @doc "Runs one case once: gives its result in the form that is compared."
  @spec observe(Case.t(), module(), :ets.type(), Path.t()) :: term()
  def observe(c, module, type, dir) do
    parent = self()
    tag = make_ref()

    {pid, monitor} =
      spawn_monitor(fn ->
        Case.enter(dir)
        result = outcome(c, module, type)
        send(parent, {tag, Normal.form(result, module)})
      end)

    result =
      receive do
        {^tag, result} ->
          result

        {:DOWN, ^monitor, :process, ^pid, reason} ->
          {:died, Normal.form(reason, module)}
      after
        @patience_ms ->
          Process.exit(pid, :kill)
          :stuck
      end

    # The next run has the same names: the tables of this one have to be gone.
    receive do
      {:DOWN, ^monitor, :process, ^pid, _} -> :ok
    after
      if(match?({:died, _}, result), do: 0, else: @patience_ms) -> :ok
    end

    if File.exists?(dir), do: File.rm_rf!(dir)
    result
  end

  defp outcome(c, module, type) do
    c.fun.(module, type)
  catch
    class, reason -> {:case_failed, class, reason}
  end
end
