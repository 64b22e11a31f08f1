defmodule Bets.GuidesTest do
  # The examples name files relative to the working directory.
  use ExUnit.Case, async: false

  @moduletag :tmp_dir
  @moduletag :capture_log

  @guides Path.wildcard("docs/guides/*.md")

  setup %{tmp_dir: dir} do
    Application.load(:mnesia)
    Application.put_env(:mnesia, :dir, String.to_charlist(Path.join(dir, "mnesia")))
    cwd = File.cwd!()
    File.cd!(dir)
    on_exit(fn -> File.cd!(cwd) end)
    %{root: cwd}
  end

  for guide <- @guides do
    test "every example of #{guide} does what it says", %{root: root} do
      examples = root |> Path.join(unquote(guide)) |> File.read!() |> examples()
      assert length(examples) >= 3
      Enum.reduce(examples, :erl_eval.new_bindings(), &run/2)
    end
  end

  test "links in the documents lead somewhere", %{root: root} do
    for document <- ["README.md", "CHANGELOG.md" | Path.wildcard(Path.join(root, "docs/**/*.md"))],
        path = Path.expand(document, root),
        [_, link] <- Regex.scan(~r/\]\(([^)#]+)/, File.read!(path)),
        not String.contains?(link, "://") do
      assert File.exists?(Path.expand(link, Path.dirname(path))), "#{document} has a link to #{link}"
    end
  end

  test "the tests that docs/durability.md names are there", %{root: root} do
    named = Regex.scan(~r/`([\w\/]+\.(?:rs|erl)): (\w+)`/, File.read!(Path.join(root, "docs/durability.md")))
    assert length(named) > 30

    for [_, file, test] <- named do
      inside = Path.extname(file) == ".rs" and not String.starts_with?(file, "native/")
      folder = if inside, do: "native/engine/tests", else: ""
      source = File.read!(Path.join([root, folder, file]))
      assert source =~ ~r/^\s*(fn )?#{test}\(/m, "#{file} has no #{test}"
    end
  end

  defp examples(text) do
    for [_, code] <- Regex.scan(~r/^```erlang\n(.*?)^```$/ms, text), do: code
  end

  # Each expression by itself, so that a failed match is told with its words.
  defp run(code, bindings) do
    {:ok, tokens, _} = code |> String.to_charlist() |> :erl_scan.string()
    {:ok, expressions} = :erl_parse.parse_exprs(tokens)

    Enum.reduce(expressions, bindings, fn expression, bindings ->
      try do
        {:value, _, bindings} = :erl_eval.expr(expression, bindings)
        bindings
      catch
        kind, reason ->
          flunk("#{:erl_pp.expr(expression)}\n#{Exception.format(kind, reason, __STACKTRACE__)}")
      end
    end)
  end
end
