defmodule Conformance.Report do
  @moduledoc """
  The table of `docs/ets-compat.md`: function by function and type by type, same or different, and why.

  The page is written by hand but for what stands between its two marks; `bin/soak compat --write` replaces that.
  """

  alias Conformance.{Differences, Oracle}

  @page Path.expand("../../../docs/ets-compat.md", __DIR__)
  @marks {"<!-- generated: begin -->", "<!-- generated: end -->"}

  @doc "The page's path."
  def page, do: @page

  @doc "The generated part for a run."
  @spec generate([Conformance.result()]) :: String.t()
  def generate(results) do
    known = Differences.known()
    {judged, _stale} = Differences.judge(results, known)
    numbers = known |> Enum.map(& &1.id) |> Enum.with_index(1) |> Map.new()

    functions = for {function, arity} <- Oracle.functions(), do: "#{function}/#{arity}"

    rows =
      for about <- functions do
        of_function = for {%{about: ^about} = c, type, verdict} <- judged, do: {c, type, verdict}
        marks = for type <- Conformance.types(), do: cell(for({_, ^type, v} <- of_function, do: v), numbers)
        cases = of_function |> Enum.uniq_by(fn {c, _, _} -> {c.theme, c.name} end) |> length()
        "| `#{about}`#{written_down(about)} | #{cases} | #{Enum.join(marks, " | ")} |"
      end

    reasons =
      for difference <- known do
        "#{numbers[difference.id]}. **#{difference.what}** #{difference.why}"
      end

    cases = judged |> Enum.uniq_by(fn {c, _, _} -> {c.theme, c.about, c.name} end) |> length()

    """
    #{cases} cases, #{length(judged)} runs of a case on a type. A number is that of a difference below; – is a function that has no case for the type,
    as the type makes no difference to it.

    | function | cases | set | ordered_set | bag | duplicate_bag |
    |---|---:|---|---|---|---|
    #{Enum.join(rows, "\n")}

    ### Differences

    #{if reasons == [], do: "None.", else: Enum.join(reasons, "\n")}
    """
  end

  defp written_down(about) do
    if Enum.any?(Oracle.documented(), fn {f, a} -> "#{f}/#{a}" == about end), do: " ¹", else: ""
  end

  defp cell([], _numbers), do: "–"

  defp cell(verdicts, numbers) do
    known = for {:known, id} <- verdicts, uniq: true, do: numbers[id]
    new = Enum.count(verdicts, &(&1 != :same and not match?({:known, _}, &1)))

    case {Enum.sort(known), new} do
      {[], 0} -> "same"
      {known, 0} -> "same, but for #{Enum.join(known, ", ")}"
      {_, new} -> "**#{new} of #{length(verdicts)} differ**"
    end
  end

  @doc "The generated part of the committed page."
  def committed, do: @page |> File.read!() |> split() |> elem(1)

  @doc "Puts a generated part into the page."
  def write(generated) do
    {first, _, last} = @page |> File.read!() |> split()
    {from, to} = @marks
    File.write!(@page, first <> from <> "\n" <> generated <> to <> last)
  end

  defp split(text) do
    {from, to} = @marks
    [first, rest] = String.split(text, from <> "\n", parts: 2)
    [generated, last] = String.split(rest, to, parts: 2)
    {first, generated, last}
  end
end
