defmodule Conformance.Cases.Select do
  @moduledoc "select/2, select_reverse/2, select_count/2, select_delete/2, select_replace/2, and compiled specifications."
  use Conformance.Case

  defdelegate content, to: Conformance.Cases.Match

  # Match specifications: {head, guards, body} lists.
  def specs do
    [
      [],
      [{:_, [], [true]}],
      [{:_, [], [false]}],
      [{:_, [], [:"$_"]}],
      [{:_, [], [:"$$"]}],
      [{:"$1", [], [:"$1"]}],
      [{{:"$1", :"$2"}, [], [:"$$"]}],
      [{{:"$1", :"$2"}, [], [{{:"$2", :"$1"}}]}],
      [{{:"$1", :"$2"}, [], [[:"$1", :"$2"]]}],
      [{{:"$1", :"$2"}, [], [:"$1", :"$2"]}],
      [{{:"$1", :_}, [{:is_integer, :"$1"}], [:"$1"]}],
      [{{:"$1", :_}, [{:is_float, :"$1"}], [:"$_"]}],
      [{{:"$1", :_}, [{:>, :"$1", 2}], [true]}],
      [{{:"$1", :_}, [{:andalso, {:is_integer, :"$1"}, {:<, :"$1", 5}}], [true]}],
      [{{:"$1", :_}, [{:==, :"$1", 1}], [:"$_"]}],
      [{{:"$1", :_}, [{:"=:=", :"$1", 1}], [:"$_"]}],
      [{{:"$1", :_}, [{:"=/=", :"$1", 1}], [:"$1"]}],
      [{{:"$1", :_}, [{:or, {:==, :"$1", 1}, {:==, :"$1", 2}}], [:"$_"]}],
      [{{1, :"$1"}, [], [:"$1"]}],
      [{{1, :_}, [], [true]}],
      [{{1.0, :_}, [], [true]}],
      [{{1, :_}, [], [:"$_"]}, {{2, :_}, [], [:"$_"]}],
      [{{1, :_}, [], [true]}, {{2, :_}, [], [false]}, {{3, :_}, [], [true]}],
      [{{2, :_}, [], [:two]}, {{:_, :_}, [], [:other]}],
      [{{{1, :"$1"}, :_}, [], [:"$1"]}],
      [{{:"$1", {:x, :"$2"}}, [{:>, :"$2", 0}], [{{:"$1", :"$2"}}]}],
      [{{:"$1", :"$2"}, [{:is_map, :"$2"}], [{:map_size, :"$2"}]}],
      [{{:"$1", %{a: :"$2"}}, [], [:"$2"]}],
      [{{:"$1", :"$2"}, [{:is_list, :"$2"}], [{:hd, :"$2"}]}],
      [{{:"$1", :"$2"}, [], [{:hd, :"$2"}]}],
      [{{:"$1", :"$2"}, [{:>, {:+, :"$1", 1}, 3}], [:"$1"]}],
      [{{:"$1", :"$2"}, [{:==, {:element, 1, :"$2"}, :x}], [:"$_"]}],
      [{{:"$1", :_}, [{:const, true}], [{:const, :"$1"}]}],
      [{{:"$1", :_}, [:yes], [true]}],
      [{{:"$1", :_}, [false], [true]}],
      [{{:"$1", :_}, [], [{:+, :"$1", 1}]}],
      [{{:"$1", :_}, [], [{:self}]}],
      [{{:"$1", :_}, [], [%{k: :"$1"}]}],
      [{{:"$1", :_}, [], ["text"]}],
      [{{:"$1", :_}, [], []}],
      [{{:"$1", :_}, [], [{}]}],
      [{{:"$1", :_}, [], [{{}}]}],
      [{{:"$1", :_}, [], [:"$2"]}],
      [{{:"$1", :_}, [{:>, :"$2", 1}], [true]}],
      [{{:"$1", :_}, [{:no_such_guard, :"$1"}], [true]}],
      [{{:"$1", :_}, [{:>, :"$1"}], [true]}],
      [{{:"$1", :_}, [{:message, :"$1"}], [true]}],
      [{{:"$1", :_}, :not_a_list, [true]}],
      [{{:"$1", :_}, [], :not_a_list}],
      [{{:"$1", :_}, []}],
      [{{:"$1", :_}}],
      [:"$1"],
      [{1, [], [true]}],
      [{[], [], [true]}],
      [{{}, [], [true]}],
      :_,
      {:_, [], [true]},
      1,
      nil,
      [{:_, [], [true]} | :tail],
      [{{Integer.pow(2, 70), :"$1"}, [], [:"$1"]}],
      [{{:"$1", :"$1"}, [], [:"$1"]}],
      [{{:"$1"}, [], [:"$1"]}],
      [{{:_, :"$1", :"$1"}, [], [true]}],
      [{{:"$1", :_}, [{:is_atom, :"$1"}], [true]}],
      [{{:"$1", :_}, [{:is_binary, :"$1"}], [true]}],
      [{{:"$1", :_}, [{:is_tuple, :"$1"}], [true]}],
      [{{:"$1", :"$2"}, [{:"=:=", :"$2", {:const, [1, 2, 3]}}], [true]}],
      [{{:"$1", :"$2"}, [{:"=:=", :"$2", {{:x, 1}}}], [true]}],
      [{{:"$1", :"$2"}, [{:orelse, {:==, :"$2", :a}, {:==, :"$2", :b}}], [true]}],
      [{{:"$1", :"$2"}, [{:not, {:==, :"$2", :a}}], [true]}],
      [{{:"$1", :"$2"}, [{:xor, true, {:is_integer, :"$1"}}], [:"$1"]}],
      [{{:"$1", :"$2"}, [{:<, :"$1", :"$2"}], [:"$1"]}],
      [{{:_, :a}, [], [true]}, {{:_, :b}, [], [:"$_"]}]
    ]
  end

  # Functions of the key's object: each is given `{key, value}` or another shape.
  defp replacements do
    [
      [{{:"$1", :"$2"}, [], [{{:"$1", {{:new, :"$2"}}}}]}],
      [{{:"$1", :_}, [{:is_integer, :"$1"}], [{{:"$1", :replaced}}]}],
      [{{:"$1", :_}, [], [{{:"$1", :a, :longer}}]}],
      [{{:"$1", :_}, [], [{{:"$1"}}]}],
      [{{1, :_}, [], [{{1, :replaced}}]}],
      [{{1, :_}, [], [{{{:const, 1}, :replaced}}]}],
      [{{1, :_}, [], [{{1.0, :replaced}}]}],
      [{{1, :_}, [], [{{2, :replaced}}]}],
      [{{{1, :"$1"}, :_}, [], [{{{{1, :"$1"}}, :replaced}}]}],
      [{{{1, :"$1"}, :_}, [], [{{{{1, 2}}, :replaced}}]}],
      [{{:"$1", :"$2"}, [], [{{:"$2", :"$1"}}]}],
      [{{:"$1", :_}, [], [{{{:element, 1, :"$_"}, :replaced}}]}],
      [{{:"$1", :_}, [], [{{{:element, 2, :"$_"}, :replaced}}]}],
      [{:_, [], [:"$_"]}],
      [{:"$1", [], [:"$1"]}],
      [{{:"$1", :_}, [], [:"$_"]}],
      [{{:"$1", :_}, [], [:"$1"]}],
      [{{:"$1", :_}, [], [true]}],
      [{{:"$1", :_}, [], [{{}}]}],
      [{{:"$1", :_}, [], [{:setelement, 2, :"$_", :x}]}],
      [{{:k}, [], [{{:k, :longer}}]}],
      [{{:k}, [], [{:const, {:k, :whole}}]}],
      [{{:"$1", :"$2"}, [{:==, :"$2", :a}], [{{:"$1", :was_a}}]}, {{:"$1", :_, :_}, [], [{{:"$1", :three}}]}],
      [{{:"$1", :_}, [], [{{:"$1", {:hd, :"$1"}}}]}],
      [{{:"$1", :_}, [], [{{:"$2", :x}}]}],
      [],
      :bad,
      [{{:"$1", :_}, [], []}],
      [{{:"$1", :"$2"}, [], [:"$_", {{:"$1", :last}}]}]
    ]
  end

  def generated do
    selecting =
      for spec <- specs(), function <- [:select, :select_reverse, :select_count] do
        make("#{function}/2", inspect(spec), fn mod, type ->
          t = filled(mod, type, content())
          free(type, call(mod, function, [t, spec]))
        end)
      end

    empty =
      for spec <- specs(),
          function <- [:select, :select_reverse, :select_count, :select_delete, :select_replace] do
        make("#{function}/2", "#{inspect(spec)} in an empty table", fn mod, type ->
          call(mod, function, [table(mod, type), spec])
        end)
      end

    deleting =
      for spec <- specs() do
        make("select_delete/2", inspect(spec), fn mod, type ->
          t = filled(mod, type, content())
          {call(mod, :select_delete, [t, spec]), objects(mod, t), mod.info(t, :size)}
        end)
      end

    replacing =
      for spec <- Enum.uniq(replacements() ++ specs()) do
        make("select_replace/2", inspect(spec), fn mod, type ->
          t = filled(mod, type, content())
          {call(mod, :select_replace, [t, spec]), objects(mod, t), mod.info(t, :size)}
        end)
      end

    compiled =
      for spec <- specs() do
        make("match_spec_run/2", inspect(spec), [:set], fn mod, _type ->
          case call(mod, :match_spec_compile, [spec]) do
            {:raised, _, _, _, _} = raised ->
              raised

            compiled ->
              {call(mod, :is_compiled_ms, [compiled]), call(mod, :match_spec_run, [content(), compiled])}
          end
        end)
      end

    tested =
      for spec <- Enum.uniq(specs() ++ replacements()), object <- [{1, :a}, {:k}] do
        make("test_ms/2", "#{inspect(spec)} on #{inspect(object)}", [:set], fn mod, _type ->
          case call(mod, :test_ms, [object, spec]) do
            {:raised, class, reason, _, _} -> {class, reason}
            value -> value
          end
        end)
      end

    selecting ++ empty ++ deleting ++ replacing ++ compiled ++ tested
  end

  check "select/2", "the order of an ordered set", [:ordered_set] do
    t = filled(mod, type, for(n <- [5, 3, 9, 1, 7], do: {n, -n}))
    all = [{{:"$1", :_}, [], [:"$1"]}]
    {mod.select(t, all), mod.select_reverse(t, all)}
  end

  check "select/2", "ranges of an ordered set", [:ordered_set] do
    t = filled(mod, type, for(a <- 1..5, b <- [1, 2.0, :x], do: {{a, b}, a}))

    for spec <- [
          [{{{3, :"$1"}, :_}, [], [:"$1"]}],
          [{{{3.0, :"$1"}, :_}, [], [:"$1"]}],
          [{{{:"$1", 2.0}, :_}, [{:>, :"$1", 2}], [:"$1"]}],
          [{{:"$1", :_}, [{:>=, :"$1", {{2, 2}}}, {:<, :"$1", {{4, 0}}}], [:"$1"]}],
          [{{{2, :_}, :_}, [], [true]}, {{{4, :_}, :_}, [], [true]}]
        ] do
      {mod.select(t, spec), mod.select_count(t, spec), mod.select_reverse(t, spec)}
    end
  end

  check "select/2", "the objects of one key in the order of insertion" do
    t = filled(mod, type, [{1, :c}, {1, :a}, {1, :b}, {2, :z}])

    {mod.select(t, [{{1, :"$1"}, [], [:"$1"]}]), mod.select_delete(t, [{{1, :a}, [], [true]}]),
     mod.lookup(t, 1)}
  end

  check "select_delete/2", "counts only what it deletes" do
    t = filled(mod, type, for(n <- 1..100, do: {n, n}))
    spec = [{{:"$1", :_}, [{:>, :"$1", 90}], [true]}, {{:"$1", :_}, [], [false]}]
    {mod.select_count(t, spec), mod.select_delete(t, spec), mod.info(t, :size)}
  end

  check "select_replace/2", "keypos 2", [:set, :ordered_set] do
    t = filled(mod, type, [{:a, 1}, {:b, 2}], keypos: 2)

    for spec <- [
          [{{:"$1", :"$2"}, [], [{{:x, :"$2"}}]}],
          [{{:"$1", :"$2"}, [], [{{:"$1", :x}}]}],
          [{{:"$1", :"$2"}, [], [{{:short}}]}]
        ] do
      {call(mod, :select_replace, [t, spec]), objects(mod, t)}
    end
  end

  check "match_spec_compile/1", "what is no specification" do
    for bad <- [:a, 1, {}, [1], [{:_}], [[]], "x"], do: call(mod, :match_spec_compile, [bad])
  end

  check "is_compiled_ms/1", "anything" do
    compiled = mod.match_spec_compile([{:_, [], [true]}])
    for term <- [compiled, :a, 1, make_ref(), [], {}], do: call(mod, :is_compiled_ms, [term])
  end

  check "match_spec_run/2", "lists that are none" do
    compiled = mod.match_spec_compile([{:"$1", [], [:"$1"]}])

    for list <- [[], [1, :a, {2}], :a, [1 | 2], 1] do
      case call(mod, :match_spec_run, [list, compiled]) do
        {:raised, class, reason, _, _} -> {class, reason}
        value -> value
      end
    end
  end

  check "match_spec_run/2", "keeps the order of the list" do
    compiled = mod.match_spec_compile([{{:"$1", :_}, [{:>, :"$1", 3}], [:"$1"]}])
    mod.match_spec_run(for(n <- 1..2000, do: {n, n}), compiled)
  end

  check "fun2ms/1", "a fun of the shell", [:set] do
    for text <- [
          ~c"fun({X, Y}) -> Y end.",
          ~c"fun({X, Y}) when X > 1 -> {Y, X}; (_) -> no end.",
          ~c"fun(X) when hd(X) =:= a -> X end."
        ] do
      {:ok, tokens, _} = :erl_scan.string(text)
      {:ok, exprs} = :erl_parse.parse_exprs(tokens)
      {:value, fun, _} = :erl_eval.exprs(exprs, [])
      call(mod, :fun2ms, [fun])
    end
  end

  check "fun2ms/1", "what is no fun of the shell", [:set] do
    for bad <- [fn x -> x end, :a, 1] do
      {:raised, class, reason, _, _} = call(mod, :fun2ms, [bad])
      {class, if(is_tuple(reason), do: elem(reason, 0), else: reason)}
    end
  end
end
