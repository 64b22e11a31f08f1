defmodule Conformance.Cases.Files do
  @moduledoc "tab2file/2,3, file2tab/1,2, tabfile_info/1, to_dets/2, from_dets/2."
  use Conformance.Case

  @objects [{1, :a}, {1, :b}, {2.0, "binary"}, {{3, [1 | 2]}, %{a: 1}}, {"k", nil, 1}]

  for {label, options} <-
        [
          {"none", []},
          {"object_count", [extended_info: [:object_count]]},
          {"md5sum", [extended_info: [:md5sum]]}
        ] ++ [{"both", [extended_info: [:object_count, :md5sum]]}, {"sync", [sync: true]}] do
    check "tab2file/3", "and back, with the options #{label}" do
      t = filled(mod, type, @objects)
      written = call(mod, :tab2file, [t, path("t.tab"), unquote(options)])
      {:ok, read} = mod.file2tab(path("t.tab"))
      {:ok, verified} = call(mod, :file2tab, [path("t.tab"), [verify: true]])
      {written, objects(mod, read), objects(mod, verified), mod.info(read, :type), mod.info(read, :name)}
    end

    check "tabfile_info/1", "with the options #{label}" do
      t = filled(mod, type, @objects, keypos: 1)
      mod.tab2file(t, path("t.tab"), unquote(options))
      {:ok, items} = call(mod, :tabfile_info, [path("t.tab")])
      Enum.sort(items)
    end
  end

  check "tab2file/2", "of an empty table" do
    t = table(mod, type, keypos: 3)
    written = call(mod, :tab2file, [t, path("t.tab")])
    {:ok, read} = mod.file2tab(path("t.tab"))
    {written, mod.tab2list(read), mod.info(read, :keypos)}
  end

  check "tab2file/2", "of many objects" do
    t = table(mod, type)
    mod.insert(t, for(n <- 1..2000, do: {n, :binary.copy("x", rem(n, 50))}))
    mod.tab2file(t, path("t.tab"))
    {:ok, read} = mod.file2tab(path("t.tab"))
    {objects(mod, read) == objects(mod, t), mod.info(read, :size)}
  end

  check "tab2file/2", "of no table" do
    call(mod, :tab2file, [:no_such_table, path("t.tab")])
  end

  check "tab2file/2", "to a path that cannot be" do
    t = filled(mod, type, @objects)
    call(mod, :tab2file, [t, path("no/such/directory/t.tab")])
  end

  check "tab2file/2", "of another's private table" do
    t = mod.new(:t, [type, :private])
    file = path("t.tab")
    other(fn -> call(mod, :tab2file, [t, file]) end)
  end

  check "tab2file/3", "what is no option" do
    t = filled(mod, type, @objects)

    for bad <- [:bad, [:bad], [extended_info: :bad], [extended_info: [:bad]], [sync: 1]],
        do: outcome(call(mod, :tab2file, [t, path("t.tab"), bad]))
  end

  check "file2tab/1", "no file, and a file that is none" do
    File.write!(path("junk"), "this is no table")
    File.write!(path("empty"), "")
    for file <- ["missing", "junk", "empty"], do: call(mod, :file2tab, [path(file)])
  end

  check "file2tab/2", "a name that is taken" do
    n = name(1)
    mod.new(n, [type, :named_table])
    mod.tab2file(n, path("t.tab"))
    taken = call(mod, :file2tab, [path("t.tab")])
    mod.delete(n)
    {taken, call(mod, :file2tab, [path("t.tab")])}
  end

  check "file2tab/2", "what is no option" do
    mod.tab2file(filled(mod, type, @objects), path("t.tab"))
    for bad <- [:bad, [:bad], [verify: 1]], do: outcome(call(mod, :file2tab, [path("t.tab"), bad]))
  end

  check "file2tab/2", "a damaged file" do
    mod.tab2file(filled(mod, type, @objects), path("t.tab"), extended_info: [:md5sum, :object_count])
    bytes = File.read!(path("t.tab"))
    size = byte_size(bytes)
    File.write!(path("short"), binary_part(bytes, 0, size - 60))

    for verify <- [true, false] do
      case call(mod, :file2tab, [path("short"), [verify: verify]]) do
        {:ok, t} -> {:ok, mod.info(t, :size) <= 5}
        {:error, _} -> :error
      end
    end
  end

  check "tab2file/2", "a file that ets reads" do
    t = filled(mod, type, @objects)
    mod.tab2file(t, path("t.tab"), extended_info: [:md5sum])
    {:ok, read} = :ets.file2tab(path("t.tab"), verify: true)
    {objects(:ets, read), :ets.info(read, :type)}
  end

  check "file2tab/1", "a file that ets wrote" do
    t = filled(:ets, type, @objects)
    :ets.tab2file(t, path("t.tab"), extended_info: [:md5sum])
    {:ok, read} = mod.file2tab(path("t.tab"), verify: true)
    {objects(mod, read), mod.info(read, :type), mod.info(read, :keypos)}
  end

  check "tabfile_info/1", "no table file" do
    File.write!(path("junk"), "this is no table")
    for file <- ["missing", "junk"], do: call(mod, :tabfile_info, [path(file)])
  end

  defp dets(type) do
    d = make_ref()
    {:ok, ^d} = :dets.open_file(d, file: path("t.dets"), type: type)
    d
  end

  check "to_dets/2", "and back", [:set, :bag, :duplicate_bag] do
    t = filled(mod, type, @objects)
    d = dets(type)
    result = call(mod, :to_dets, [t, d])
    stored = Enum.sort(:dets.match_object(d, :_))
    u = filled(mod, type, [{:before, 1}])
    back = call(mod, :from_dets, [u, d])
    :dets.close(d)
    {result == d, stored, back, objects(mod, u)}
  end

  check "from_dets/2", "no dets table, no table" do
    t = table(mod, type)
    d = dets(:set)
    outcomes = [outcome(call(mod, :from_dets, [t, :no_dets])), outcome(call(mod, :from_dets, [:no_table, d]))]
    :dets.close(d)
    outcomes
  end

  check "to_dets/2", "no dets table, no table" do
    t = table(mod, type)
    d = dets(:set)
    outcomes = [outcome(call(mod, :to_dets, [t, :no_dets])), outcome(call(mod, :to_dets, [:no_table, d]))]
    :dets.close(d)
    outcomes
  end

  defp outcome({:raised, class, reason, _, _}), do: {:raised, class, reason}
  defp outcome({:ok, _table}), do: :ok
  defp outcome(other), do: other
end
