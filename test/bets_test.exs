defmodule BetsTest do
  use ExUnit.Case, async: true

  doctest Bets
  doctest Bets.Error

  @moduletag :tmp_dir

  describe "a table's life" do
    test "what is put is there after closing and opening again", %{tmp_dir: dir} do
      table = Bets.open!(dir)
      for n <- 1..1000, do: Bets.put(table, {:key, n}, Integer.to_string(n))
      assert Bets.close(table) == :ok

      table = Bets.open!(dir)
      assert Bets.get(table, {:key, 500}) == "500"
      assert Bets.size(table) == 1000
      assert Bets.close(table) == :ok
    end

    test "a temporary table leaves nothing behind" do
      table = Bets.new()
      dir = Bets.info(table)[:dir]
      assert File.dir?(dir)
      Bets.close(table)
      refute File.exists?(dir)
    end

    test "every process may use it unless it is protected", %{tmp_dir: dir} do
      table = Bets.open!(Path.join(dir, "public"))
      assert :ok == Task.await(Task.async(fn -> Bets.put(table, :a, 1) end))

      table = Bets.open!(Path.join(dir, "protected"), protection: :protected)
      assert {:EXIT, {:badarg, _}} = Task.await(Task.async(fn -> catch_exit(exit_of(table)) end))
    end

    test "a table is found by name, struct or identifier", %{tmp_dir: dir} do
      table = Bets.open!(dir, name: :bets_test_named)
      assert table == Bets.table(:bets_test_named)
      Bets.put(:bets_test_named, :a, 1)
      assert Bets.get(table, :a) == 1
      assert Bets.get(:bets.whereis(:bets_test_named), :a) == 1
      assert Bets.close(table) == :ok
    end
  end

  defp exit_of(table) do
    Bets.put(table, :a, 1)
  rescue
    ArgumentError -> exit({:EXIT, {:badarg, :put}})
  end

  describe "errors" do
    test "name the argument", %{tmp_dir: dir} do
      assert_message(ArgumentError, "does not refer to an existing ETS table", fn ->
        Bets.get(:no_such_table, 1)
      end)

      assert_message(ArgumentError, "there is no open table :no_such_table", fn ->
        Bets.size(:no_such_table)
      end)

      assert_message(ArgumentError, "not as \"name\"", fn -> Bets.get("name", 1) end)
      assert_message(ArgumentError, "{:sync, :often}", fn -> Bets.open(dir, sync: :often) end)
      assert_message(ArgumentError, "[type: :tree]", fn -> Bets.open(dir, type: :tree) end)

      assert_message(ArgumentError, "invalid option {:colour, :red}: ", fn -> Bets.open(dir, colour: :red) end)

      assert_message(ArgumentError, "invalid option :colour: ", fn -> Bets.new([:colour]) end)

      assert_message(ArgumentError, "invalid option {:name, \"red\"}: ", fn -> Bets.open(dir, name: "red") end)

      assert_message(ArgumentError, "{:colour, :red}", fn ->
        Bets.import(Bets.new(), {:ets, :ets.new(:red, [])}, colour: :red)
      end)

      assert_message(ArgumentError, "keyword list", fn -> Bets.new(%{}) end)

      assert_message(ArgumentError, "does not refer to an existing ETS table", fn ->
        :no_such_table |> Bets.stream() |> Enum.to_list()
      end)
    end

    # The options stand third in :bets.insert/3, and fourth here: the message named the value.
    test "name the options where they stand" do
      table = Bets.new()

      for ttl <- [-1, 0, :never], put <- [&Bets.put/4, &Bets.put_new/4] do
        assert_raise ArgumentError, ~r/4th argument: .*ttl/, fn -> put.(table, :a, 1, ttl: ttl) end
      end

      assert Bets.size(table) == 0
    end

    test "of the disk are exceptions with a reason and words", %{tmp_dir: dir} do
      table = Bets.open!(dir)
      assert {:error, %Bets.Error{reason: :already_open} = error} = Bets.open(dir)
      assert Exception.message(error) =~ "use that one by its name or identifier"
      Bets.put(table, :a, 1)
      Bets.close(table)

      assert {:error, %Bets.Error{reason: {:keypos_mismatch, 1, 2}}} = Bets.open(dir, keypos: 2)
    end

    test "on reading what is damaged are raised by every function that reads", %{tmp_dir: dir} do
      table = Bets.open!(dir, cache: false)
      Bets.put(table, :a, "a value that can be found in the file")
      [segment] = Path.wildcard(Path.join(dir, "*1.seg"))
      bytes = File.read!(segment)
      {at, _} = :binary.match(bytes, "can be found")
      {:ok, file} = :file.open(segment, [:read, :write, :raw])
      :ok = :file.pwrite(file, at, "can't")

      for read <- [
            fn -> Bets.get(table, :a) end,
            fn -> Bets.fetch(table, :a) end,
            fn -> Bets.pop(table, :a) end,
            fn -> Bets.update(table, :a, 0, & &1) end,
            fn -> Enum.to_list(table) end,
            fn -> Enum.member?(table, {:a, 1}) end
          ] do
        error = assert_raise Bets.Error, read
        assert {:damaged, _file, _offset, _what} = error.reason
        assert Exception.message(error) =~ "is damaged at offset"
      end
    end

    test "on objects that are no pairs point to :bets", %{tmp_dir: dir} do
      table = Bets.open!(dir)
      :bets.insert(table.id, {:a, 1, 2})

      for call <- [&Bets.fetch/2, &Bets.pop/2, &Bets.update(&1, &2, 0, fn n -> n + 1 end)] do
        assert_message(ArgumentError, "use the module :bets", fn -> call.(table, :a) end)
      end
    end

    defp assert_message(exception, part, fun) do
      assert Exception.message(assert_raise(exception, fun)) =~ part
    end
  end

  describe "update/4" do
    test "loses nothing of many processes" do
      table = Bets.new()

      1..8
      |> Enum.map(fn _ ->
        Task.async(fn -> for n <- 1..200, do: Bets.update(table, rem(n, 3), [n], &[n | &1]) end)
      end)
      |> Task.await_many(30_000)

      assert Enum.sum(for {_, list} <- table, do: length(list)) == 8 * 200
    end

    test "starts anew when the key goes away in between" do
      table = Enum.into([a: 1], Bets.new())

      result =
        Bets.update(table, :a, :initial, fn n ->
          Bets.delete(table, :a)
          n + 1
        end)

      assert result == :initial
      assert Bets.get(table, :a) == :initial
    end

    test "leaves the value alone when the function raises" do
      table = Enum.into([a: 1], Bets.new())
      assert_raise ArithmeticError, fn -> Bets.update(table, :a, 1, &(&1 / 0)) end
      assert Bets.get(table, :a) == 1
    end
  end

  describe "batch/2" do
    test "the last change of a key wins", %{tmp_dir: dir} do
      table = Bets.open!(dir)
      Bets.put(table, :gone, 0)

      Bets.batch(table, [
        {:put, :a, 1},
        {:delete, :a},
        {:delete, :b},
        {:put, :b, 2},
        {:delete, :gone},
        {:delete, :never_there},
        {:put, :c, 1},
        {:put, :c, 3}
      ])

      assert Enum.sort(table) == [b: 2, c: 3]
      Bets.close(table)
      table = Bets.open!(dir)
      assert Enum.sort(table) == [b: 2, c: 3]
    end

    test "that changes nothing writes nothing" do
      table = Bets.new()
      before = Bets.info(table)[:seq]
      assert Bets.batch(table, []) == :ok
      assert Bets.batch(table, [{:delete, :a}, {:delete, :b}]) == :ok
      assert Bets.info(table)[:seq] == before
    end

    test "is seen whole or not at all" do
      table = Bets.new()
      parent = self()

      writer =
        spawn_link(fn ->
          for n <- 1..3000 do
            {there, gone} = if rem(n, 2) == 0, do: {:even, :odd}, else: {:odd, :even}
            Bets.batch(table, [{:put, there, n}, {:delete, gone}])
          end

          send(parent, :done)
        end)

      Process.monitor(writer)
      look(table)
    end

    defp look(table) do
      # The keys of a small table are looked up in one step.
      assert table |> Bets.keys() |> Enum.to_list() |> length() <= 1

      receive do
        :done -> :ok
      after
        0 -> look(table)
      end
    end

    test "is large or small, and refuses what is no change" do
      table = Bets.new()
      assert Bets.batch(table, for(n <- 1..10_000, do: {:put, n, n})) == :ok
      assert Bets.batch(table, for(n <- 1..10_000, n != 7, do: {:delete, n})) == :ok
      assert Enum.to_list(table) == [{7, 7}]
      assert_raise ArgumentError, ~r/a change is/, fn -> Bets.batch(table, [{:put, 1, 2}, :delete]) end
      assert Enum.to_list(table) == [{7, 7}]

      for changes <- [[{:put, {1}}, {:remove, 1}], [{:put, 1}], [:delete], [{:delete, 1} | 2], 1] do
        assert_raise ArgumentError, fn -> :bets.batch(table.id, changes) end
      end

      assert Enum.to_list(table) == [{7, 7}]
    end

    test "is durable when it returns with sync: :always", %{tmp_dir: dir} do
      table = Bets.open!(dir, sync: :always)
      Bets.batch(table, [{:put, :a, 1}, {:put, :b, 2}])
      assert Bets.info(table)[:durable_seq] == Bets.info(table)[:seq]
    end
  end

  describe "replace_object/3" do
    test "swaps exactly what is there" do
      table = Bets.new().id
      :bets.insert(table, {:a, 1})
      refute :bets.replace_object(table, {:a, 1.0}, {:a, 2})
      refute :bets.replace_object(table, {:b, 1}, {:b, 2})
      assert :bets.replace_object(table, {:a, 1}, {:a, 2, 3})
      assert :bets.lookup(table, :a) == [{:a, 2, 3}]

      for {old, new} <- [{{:a, 2, 3}, {:b, 2}}, {{:a, 2, 3}, :a}, {:a, {:a}}, {{}, {}}, {{1, 1}, {1.0, 1}}] do
        assert_raise ArgumentError, fn -> :bets.replace_object(table, old, new) end
      end

      assert :bets.lookup(table, :a) == [{:a, 2, 3}]
    end
  end

  describe "a compressed table" do
    test "takes less of the disk and gives the same values, however it is opened", %{tmp_dir: dir} do
      document = fn n ->
        %{id: n, title: "Document #{n}", words: List.duplicate("the quick brown fox", 20)}
      end

      fill = fn table -> for n <- 1..200, do: Bets.put(table, n, document.(n)) end
      bytes = fn table -> Bets.info(table)[:disk_bytes] end

      plain = Bets.open!(Path.join(dir, "plain"), compressed: false)
      fill.(plain)
      packed = Bets.open!(Path.join(dir, "packed"), compressed: true, cache: false)
      fill.(packed)
      assert bytes.(packed) < bytes.(plain) / 2
      assert {:bets.info(plain.id, :compressed), :bets.info(packed.id, :compressed)} == {false, true}

      Bets.close(packed)

      for compressed <- [false, true] do
        table = Bets.open!(Path.join(dir, "packed"), compressed: compressed, cache: false)
        assert Enum.sort(table) == Enum.sort(plain)
        assert Bets.update(table, 1, nil, &Map.put(&1, :seen, true)).seen
        assert :bets.take(table.id, 1) == [{1, Map.put(document.(1), :seen, true)}]
        Bets.put(table, 1, document.(1))
        Bets.close(table)
      end
    end

    test "is read in steps that no scheduler feels, however much a value has shrunk" do
      table = Bets.new(compressed: true, cache: false)
      value = :binary.copy("a", 1_000_000)
      for n <- 1..20, do: Bets.put(table, n, value)
      assert Bets.info(table)[:disk_bytes] < 1_000_000
      assert Enum.all?(table, fn {_, found} -> found == value end)
      assert Bets.get(table, 7) == value
    end
  end

  describe "import/3" do
    test "from each source", %{tmp_dir: dir} do
      ets = :ets.new(:source, [])
      :ets.insert(ets, a: 1)
      file = Path.join(dir, "source.dets")
      {:ok, dets} = :dets.open_file(:source, file: String.to_charlist(file))
      :ok = :dets.insert(dets, {:b, 2})
      :ok = :dets.close(dets)
      record = <<0::32, 1::16, 1::32, "cv">>
      File.write!(Path.join(dir, "1.bitcask.data"), <<:erlang.crc32(record)::32, record::binary>>)

      table = Bets.new()
      assert {:ok, %{objects: 1, verified: 1}} = Bets.import(table, {:ets, ets}, [])
      assert {:ok, %{objects: 1}} = Bets.import(table.id, {:dets, file}, verify: :all)
      assert {:ok, %{objects: 1, torn: []}} = Bets.import(table, {:bitcask, dir}, progress: &send(self(), &1))
      assert_received %{phase: :import, done: 1, total: 1}
      assert Enum.sort(table) == [{:a, 1}, {:b, 2}, {"c", "v"}]
    end

    test "says what is wrong", %{tmp_dir: dir} do
      table = Bets.new()
      assert {:error, %Bets.Error{reason: {:no_bitcask, _}}} = Bets.import(table, {:bitcask, dir}, [])

      assert_message(ArgumentError, "{:verify, :some}", fn ->
        Bets.import(table, {:bitcask, dir}, verify: :some)
      end)

      assert_message(ArgumentError, "no_such_table", fn ->
        Bets.import(:no_such_table, {:bitcask, dir}, [])
      end)
    end
  end

  describe "protocols" do
    test "Enum sees every entry once, and membership is exact" do
      table = Enum.into(Enum.map(1..1000, &{&1, &1}), Bets.new())
      assert Enum.sort(table) == Enum.map(1..1000, &{&1, &1})
      assert Enum.count(table) == 1000
      assert {7, 7} in table
      refute {7, 7.0} in table
      refute {7.0, 7} in table
      refute :something_else in table
      assert Enum.zip(table, table) |> Enum.all?(fn {a, b} -> a == b end)
      assert Enum.slice(table, 10, 5) == table |> Enum.to_list() |> Enum.slice(10, 5)
    end

    test "a stream can be left early" do
      table = Enum.into(Enum.map(1..1000, &{&1, &1}), Bets.new())
      assert table |> Bets.stream() |> Enum.take(3) |> length() == 3
      assert Bets.stream(table) |> Enum.to_list() == :bets.tab2list(table.id)
      assert table |> Bets.keys() |> Enum.sum() == table |> Bets.values() |> Enum.sum()
    end

    test "Enum.into puts pairs and nothing else" do
      table = Bets.new()
      assert Enum.into([a: 1, a: 2], table) == table
      assert Bets.get(table, :a) == 2
      assert_raise ArgumentError, ~r/only {key, value}/, fn -> Enum.into([:a], table) end
      assert for(n <- 1..3, into: table, do: {n, n}) == table
      assert Bets.size(table) == 4
    end

    test "a struct tells what it is" do
      table = Bets.new(name: :bets_test_inspect)
      Bets.put(table, :a, 1)
      assert inspect(table) == "#Bets<:bets_test_inspect, set, size: 1>"
      Bets.destroy(table)
      assert inspect(table) == "#Bets<:bets_test_inspect, closed>"
    end

    test "a missing key is told with the table" do
      table = Bets.new(name: :bets_test_key_error)
      error = assert_raise KeyError, fn -> Bets.fetch!(table, :nowhere) end
      assert Exception.message(error) =~ "key :nowhere not found in: #Bets<:bets_test_key_error"
      Bets.destroy(table)
    end
  end

  describe "ranges" do
    setup do
      keys =
        Enum.to_list(1..300) ++
          [:a, :b, {1, 2}, {:user, 1}, {:user, 2}, "", "a", "ab", "abc", "b", <<255>>, <<255, 255>>]

      table = for(key <- Enum.shuffle(keys), into: Bets.new(type: :ordered_set), do: {key, [key]})
      %{table: table, keys: Enum.sort(keys)}
    end

    test "have the order of terms, forward and backward", %{table: table, keys: keys} do
      assert table |> Bets.keys() |> Enum.to_list() == keys
      assert Enum.to_list(table) == Enum.map(keys, &{&1, [&1]})
      assert table |> Bets.keys(reverse: true) |> Enum.to_list() == Enum.reverse(keys)
      assert table |> Bets.keys(reverse: false) |> Enum.take(2) == [1, 2]
      assert table |> Bets.values(reverse: true) |> Enum.take(1) == [[<<255, 255>>]]
    end

    test "keep their bounds, whether those are there or not", %{table: table, keys: keys} do
      bounds = [
        :none,
        0,
        1,
        2,
        2.0,
        2.5,
        150,
        299.5,
        300,
        301,
        :a,
        {:user, 0},
        {:user, 2},
        "aa",
        <<255, 255, 255>>
      ]

      for min <- bounds,
          max <- bounds,
          low? <- [true, false],
          high? <- [true, false],
          reverse <- [true, false] do
        options =
          Enum.reject([min_key: min, max_key: max], &match?({_, :none}, &1)) ++
            [min_key_inclusive: low?, max_key_inclusive: high?, reverse: reverse]

        expected =
          Enum.filter(keys, fn key ->
            (min == :none or key > min or (low? and key == min)) and
              (max == :none or key < max or (high? and key == max))
          end)

        expected = if reverse, do: Enum.reverse(expected), else: expected
        assert {options, table |> Bets.keys(options) |> Enum.to_list()} == {options, expected}
      end
    end

    test "of a prefix", %{table: table, keys: keys} do
      for prefix <- ["", "a", "ab", "abc", "abcd", "b", <<254>>, <<255>>, <<255, 255>>, <<255, 255, 255>>],
          reverse <- [true, false] do
        expected = Enum.filter(keys, &(is_binary(&1) and String.starts_with?(&1, prefix)))
        expected = if reverse, do: Enum.reverse(expected), else: expected

        assert {prefix, table |> Bets.keys(prefix: prefix, reverse: reverse) |> Enum.to_list()} ==
                 {prefix, expected}
      end

      assert_raise ArgumentError, ~r/exclude each other/, fn ->
        Bets.stream(table, prefix: "a", min_key: 1)
      end

      assert_raise ArgumentError, ~r/a prefix is a binary/, fn -> Bets.stream(table, prefix: {:user}) end
    end

    test "of tuples end where the reader stops", %{table: table} do
      users = table |> Bets.keys(min_key: {:user, 0}) |> Stream.take_while(&match?({:user, _}, &1))
      assert Enum.to_list(users) == [{:user, 1}, {:user, 2}]
    end

    test "go on while the table is written to", %{table: table} do
      seen =
        for n <- Bets.keys(table, max_key: 10_000) do
          Bets.put(table, n, :again)
          Bets.delete(table, n)
          n
        end

      assert seen == Enum.to_list(1..300)
    end

    test "update and batch keep the stored form of a key that is only equal", %{table: table} do
      Bets.put(table, 1.0, 0)
      assert Bets.update(table, 1, :none, &(&1 + 1)) == 1
      assert [{1.0, 1} | _] = Enum.to_list(table)
      Bets.batch(table, [{:put, 2.0, :float}, {:delete, 3.0}])
      assert [{1.0, 1}, {2.0, :float}, {4, _} | _] = Enum.to_list(table)
      refute :bets.replace_object(table.id, {2, :float}, {2, :integer})
    end

    test "are refused where there is no order, and so are options that are none" do
      assert_raise ArgumentError, ~r/only an ordered_set has ranges/, fn ->
        Bets.stream(Bets.new(), min_key: 1)
      end

      assert_raise ArgumentError, ~r/invalid option/, fn -> Bets.stream(Bets.new(), from: 1) end
    end
  end
end
