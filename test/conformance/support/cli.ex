defmodule Conformance.CLI do
  @moduledoc "The parts `compat` and `crowd` of `bin/soak`."

  alias Conformance.{Crowd, Differences, Report}

  @doc "Runs a part. The VM's status is 0 if nothing was found, 1 otherwise."
  def main(args) do
    # Named tables are not to stand in the working directory. The application is not started yet.
    data_dir = Path.join(System.tmp_dir!(), "bets_conformance_data_#{System.pid()}")
    Application.put_env(:bets, :data_dir, String.to_charlist(data_dir))
    {:ok, _} = Application.ensure_all_started(:bets)
    status = part(args)
    Application.stop(:bets)
    File.rm_rf!(data_dir)
    System.halt(status)
  end

  defp part(["compat" | args]) do
    {options, [], []} = OptionParser.parse(args, strict: [write: :boolean, module: :string])
    module = module(options)
    results = Conformance.run(module)
    {judged, stale} = Differences.judge(results)
    generated = Report.generate(results)
    if options[:write], do: Report.write(generated), else: IO.puts(generated)

    wrong =
      for {c, type, verdict} <- judged, verdict != :same, not match?({:known, _}, verdict), do: {c, type}

    for {c, type} <- wrong, do: IO.puts("differs: #{c.about}, #{type}, #{c.theme}: #{c.name}")
    for id <- stale, do: IO.puts("no case shows the known difference #{id}")
    if wrong == [] and stale == [], do: 0, else: 1
  end

  defp part(["crowd" | args]) do
    {options, [], []} = OptionParser.parse(args, strict: [seconds: :integer, module: :string, type: :keep])
    seconds = Keyword.get(options, :seconds, 60)

    types =
      case Keyword.get_values(options, :type) do
        [] -> Crowd.types(module(options))
        types -> Enum.map(types, &String.to_existing_atom/1)
      end

    faults =
      for type <- types do
        summary = Crowd.run(module(options), type, seconds * 1000)

        IO.puts(
          "#{type}: #{summary.operations} operations, #{summary.traversals} traversals, #{length(summary.faults)} faults"
        )

        Enum.each(summary.faults, &IO.puts("  #{inspect(&1, limit: 100)}"))
        summary.faults
      end

    if Enum.concat(faults) == [], do: 0, else: 1
  end

  defp module(options) do
    if options[:module], do: System.put_env("BETS_CONFORMANCE_MODULE", options[:module])
    Conformance.module()
  end
end
