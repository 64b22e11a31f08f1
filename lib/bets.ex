defmodule Bets do
  @moduledoc """
  Tables of keys and values that survive the VM.

  The values live in a log on disk and may be larger than memory; an index in memory finds any of them with one read. Any
  number of processes use a table at once, without a process in between.

      iex> table = Bets.new()
      iex> Bets.put(table, :answer, 42)
      iex> Bets.get(table, :answer)
      42
      iex> Bets.destroy(table)
      :ok

  ## In a supervision tree

      children = [
        {Bets, name: :users, dir: "data/users", type: :ordered_set}
      ]

      Supervisor.start_link(children, strategy: :one_for_one)

      Bets.put(:users, "ada", %{born: 1815})
      Bets.fetch!(:users, "ada")

  The child owns the table and closes it when it is stopped. Every function takes the table's name.

  ## Tables of your own

  `open/2` opens or creates the table in a directory, and `new/1` makes one that goes away with its owner. Both give a struct that the
  functions of `Enum`, `Stream` and `Enum.into/2` take. The process that opened a table owns it: when it ends, the table is closed.
  Where there is only a name, `table/1` gives the struct.

      iex> table = Enum.into([a: 1, b: 2], Bets.new())
      iex> Enum.sort(table)
      [a: 1, b: 2]
      iex> Enum.count(table)
      2

  ## With the module `:bets`

  `:bets` has the functions of `:ets`, with their names, arguments and results, and works on the same tables, for which it takes the name
  or the struct's `id`. An entry of this module is the object `{key, value}`. So a table of type `:bag` or one with another position of
  the key is for `:bets` alone.

      iex> table = Bets.new()
      iex> Bets.put(table, :visits, 1)
      iex> :bets.update_counter(table.id, :visits, 5)
      6

  ## Durability

  When a function that writes returns, the change survives the death of the VM. What survives a power loss depends on the option `:sync`
  of `open/2`; `sync/1` makes sure of all that was written so far.

  ## Errors

  `Bets.Error` is what only a table on disk can meet. `ArgumentError` is raised where `:ets` raises it: there is no such table, or
  another process owns it and does not share it. No function gives a wrong value, or none, when a stored one cannot be read.
  """

  alias Bets.{Call, Error, Options}
  require Call

  @enforce_keys [:id]
  defstruct [:id]

  @typedoc "A table for `Enum` and its like. `id` is what the functions of `:bets` take."
  @type t :: %__MODULE__{id: atom | reference}

  @typedoc "What the functions take for a table: its name, the struct, or the identifier that `:bets.new/2` gave."
  @type table :: t | atom | reference

  @type key :: term
  @type value :: term

  @typedoc "An option of `open/2`, `new/1` and `start_link/1`. The others of `:bets.new/2` can be given too."
  @type option ::
          {:name, atom}
          | {:dir, Path.t()}
          | {:type, :bets.type()}
          | {:protection, :public | :protected | :private}
          | {:sync, :bets.sync_mode()}
          | {:compressed, boolean}
          | {:cache, boolean}
          | {:max_file_size, pos_integer}
          | {:repair, boolean | :force}
          | {:ttl, :bets.ttl()}
          | {:access, :read}
          | {:heir, :none}
          | :bets.option()

  @typedoc "An option of `stream/2`."
  @type stream_option ::
          {:min_key, key}
          | {:max_key, key}
          | {:min_key_inclusive, boolean}
          | {:max_key_inclusive, boolean}
          | {:prefix, binary}
          | {:reverse, boolean}

  @doc """
  Gives the specification of a child that owns a table, so that `{Bets, options}` can stand in a list of children.

  The child's id is `{Bets, name}`. A supervisor that stops it waits up to 30 seconds for the closing.

      iex> Bets.child_spec(name: :users).id
      {Bets, :users}
  """
  @spec child_spec([option]) :: Supervisor.child_spec()
  def child_spec(options) do
    %{id: {:bets, name}} = spec = :bets.child_spec(options)
    %{spec | id: {__MODULE__, name}, start: {__MODULE__, :start_link, [options]}}
  end

  @doc """
  Starts a process that opens or creates a table and owns it.

  `:name` is required and becomes the name of the table, not of the process. The other options are those of `open/2`, and `:dir`, the directory;
  without it the table stands below the `data_dir` of the application `:bets`, in a directory that only depends on the name.

  When the process is stopped it closes the table. After a crash its supervisor's restart opens the table again. Stop the
  child rather than close its table.

  Waits for the disk; takes time in proportion to the number of entries. Gives `{:error, {%Bets.Error{}, stacktrace}}` if the table cannot be
  opened, which a supervisor reports with the error's message.

      iex> dir = Path.join(System.tmp_dir!(), "bets-doc-start-link")
      iex> {:ok, pid} = Bets.start_link(name: :bets_doc_start_link, dir: dir)
      iex> Bets.put(:bets_doc_start_link, :colour, "red")
      :ok
      iex> GenServer.stop(pid)
      iex> {:ok, _} = Bets.start_link(name: :bets_doc_start_link, dir: dir)
      iex> Bets.get(:bets_doc_start_link, :colour)
      "red"
      iex> Bets.destroy(:bets_doc_start_link)
      :ok
  """
  @spec start_link([option]) :: {:ok, pid} | {:error, {Error.t(), Exception.stacktrace()}}
  def start_link(options) do
    case :bets.start_link(Options.to_erlang(options)) do
      {:ok, pid} -> {:ok, pid}
      {:error, reason} -> {:error, {%Error{reason: reason}, [{__MODULE__, :start_link, 1, []}]}}
    end
  end

  @doc """
  Makes a table that is gone with its owner, the calling process: its files are deleted when it is closed.

  With the option `:name` it is the durable table of that name below the `data_dir` of the application `:bets`, which is opened if it is there
  already. The options are those of `open/2`. Waits for the disk. Raises `Bets.Error` if that is not possible.

      iex> table = Bets.new(type: :set)
      iex> Bets.size(table)
      0
  """
  @spec new([option]) :: t
  def new(options \\ []), do: options |> open_new() |> bang()

  @doc """
  Opens the table in a directory, or creates it. The calling process becomes its owner: when it ends, the table is closed.

  Options:

    * `:name` - a name under which the functions find the table
    * `:type` - `:set`, the default, or `:ordered_set`, which is ordered by keys and so has ranges; the types of `:bets` that keep several
      objects a key are `:bag` and `:duplicate_bag`. What is stored in the directory has to be of this type
    * `:protection` - `:public`, the default: every process reads and writes; `:protected`: the others only read; `:private`
    * `:sync` - when a write survives a power loss: `:always`, before it returns; `{:interval, milliseconds}`, within that time, the
      default with 1000; `:none`, when the operating system likes
    * `:compressed` - whether values are stored compressed; default `false`
    * `:cache` - whether the value cache of the VM serves the table; default `true`
    * `:ttl` - how many milliseconds an entry is there that is stored without a time of its own (see `put/4`); `:infinity` by default
    * `:max_file_size` - in bytes; a new file is begun before one grows larger
    * `:access` - `:read` opens a snapshot of a table that is there, beside who writes to it, see `:bets.new/2`
    * `:merge_window`, `:merge_rate`, `:frag_merge_trigger` and the like - when the files are merged, see `:bets.new/2`

  Waits for the disk; takes time in proportion to the number of entries. Raises `ArgumentError` for an option that is none.

      iex> {:ok, table} = Bets.open(Path.join(System.tmp_dir!(), "bets-doc-open"), sync: :always)
      iex> {:error, error} = Bets.open(Path.join(System.tmp_dir!(), "bets-doc-open"))
      iex> error.reason
      :already_open
      iex> Bets.destroy(table)
      :ok
  """
  @spec open(Path.t(), [option]) :: {:ok, t} | {:error, Error.t()}
  def open(dir, options \\ []), do: open_new([{:dir, IO.chardata_to_string(dir)} | options])

  @doc """
  Like `open/2`, but gives the table, and raises `Bets.Error` if it cannot be opened.

      iex> Bets.open!("/dev/null")
      ** (Bets.Error) /dev/null: it is not a directory
  """
  @spec open!(Path.t(), [option]) :: t
  def open!(dir, options \\ []), do: dir |> open(options) |> bang()

  defp open_new(options) do
    converted = Options.to_erlang(options)

    {name, converted} =
      case List.keytake(converted, :name, 0) do
        {{:name, name}, rest} -> {name, [:named_table | rest]}
        nil -> {__MODULE__, converted}
      end

    case :bets_opener.new(name, converted) do
      {:ok, id} -> {:ok, %__MODULE__{id: id}}
      # All options were taken, so what is no atom is the name.
      {:badarg, :none} -> raise ArgumentError, Options.refused({:name, name}, "Bets.open")
      {:badarg, {:bad_option, option}} -> raise ArgumentError, Options.refused(option, "Bets.open")
      {_, reason} -> {:error, %Error{reason: reason}}
    end
  end

  defp bang({:ok, table}), do: table
  defp bang({:error, error}), do: raise(error)

  @doc """
  Gives the struct of a named table, or of an identifier, for `Enum`, `Stream` and `Enum.into/2`.

  Nothing is looked up, so the table may be closed and opened again meanwhile.

      iex> Bets.new(name: :bets_doc_table)
      iex> Enum.into(%{a: 1}, Bets.table(:bets_doc_table))
      iex> Enum.to_list(Bets.table(:bets_doc_table))
      [a: 1]
      iex> Bets.destroy(:bets_doc_table)
      :ok
  """
  @spec table(table) :: t
  def table(table), do: %__MODULE__{id: id(table)}

  @doc """
  Closes a table and keeps its files; those of a table without name and directory are deleted. All writes so far are durable then.

  Waits for the disk.

      iex> table = Bets.new()
      iex> Bets.close(table)
      :ok
  """
  @spec close(table) :: :ok
  def close(table), do: Call.reraising(do: :bets.close(id(table)))

  @doc """
  Deletes a table with its files. After a crash in the middle, the whole table is there or none of it. Waits for the disk.

      iex> table = Bets.new()
      iex> Bets.destroy(table)
      :ok
  """
  @spec destroy(table) :: :ok
  def destroy(table) do
    true = Call.reraising(do: :bets.delete(id(table)))
    :ok
  end

  @doc """
  Returns when all writes so far survive a power loss. Waits for the disk.

      iex> table = Bets.new()
      iex> Bets.put(table, :colour, "red")
      iex> Bets.sync(table)
      :ok
  """
  @spec sync(table) :: :ok
  def sync(table), do: Call.reraising(do: :bets.sync(id(table)))

  @doc """
  Makes a directory, which is created or has to be empty, a table that holds what this one holds at this moment: by links to its files, or copies of them on another
  file system. It is opened like any other. Waits for the disk.

      iex> table = Bets.new()
      iex> Bets.put(table, :colour, "red")
      iex> dir = Path.join(System.tmp_dir!(), "bets-doc-backup")
      iex> Bets.backup(table, dir)
      :ok
      iex> backup = Bets.open!(dir)
      iex> Bets.get(backup, :colour)
      "red"
      iex> Bets.destroy(backup)
      :ok
  """
  @spec backup(table, Path.t()) :: :ok
  def backup(table, dir), do: Call.reraising(do: :bets.backup(id(table), IO.chardata_to_string(dir)))

  @doc """
  Merges whatever can be merged of a table's files, and waits for it: what overwritten and deleted entries took of the disk comes back.

  Tables are merged without being asked to when it is worth it, see the options of `:bets.new/2`; `:bets.merge/2` pauses, cancels and watches that. Readers and
  writers go on meanwhile. Gives what was done. Reads all files that are merged, and writes what is live of them.

      iex> table = Bets.new()
      iex> for n <- 1..100, do: Bets.put(table, :counter, n)
      iex> Bets.merge(table).dropped
      99
  """
  @spec merge(table) :: :bets.merge_report()
  def merge(table), do: Call.reraising(do: :bets.merge(id(table)))

  @doc """
  Tells what is known of a table, as `:bets.info/1` does, or `:undefined` if it is not open. Reads memory.

      iex> table = Bets.new(type: :set)
      iex> Bets.info(table)[:type]
      :set
  """
  @spec info(table) :: keyword | :undefined
  def info(table), do: Call.reraising(do: :bets.info(id(table)))

  @doc """
  Tells how many entries there are. Reads memory; constant time.

      iex> table = Enum.into([a: 1, b: 2], Bets.new())
      iex> Bets.size(table)
      2
  """
  @spec size(table) :: non_neg_integer
  def size(table) do
    with :undefined <- Call.reraising(do: :bets.info(id(table), :size)) do
      raise ArgumentError, "there is no open table #{inspect(id(table))}"
    end
  end

  @doc """
  Gives the value of a key, or the default if the key is not there. May read the disk; constant time.

      iex> table = Enum.into([a: 1], Bets.new())
      iex> {Bets.get(table, :a), Bets.get(table, :b), Bets.get(table, :b, 0)}
      {1, nil, 0}
  """
  @spec get(table, key, default :: value) :: value
  def get(table, key, default \\ nil) do
    Call.reraising(do: :bets.lookup_element(id(table), key, 2, default))
  end

  @doc """
  Gives `{:ok, value}` for a key that is there, `:error` for one that is not. May read the disk; constant time.

      iex> table = Enum.into([a: 1], Bets.new())
      iex> {Bets.fetch(table, :a), Bets.fetch(table, :b)}
      {{:ok, 1}, :error}
  """
  @spec fetch(table, key) :: {:ok, value} | :error
  def fetch(table, key) do
    case lookup(id(table), key) do
      {_key, value} -> {:ok, value}
      nil -> :error
    end
  end

  @doc """
  Gives the value of a key; raises `KeyError` if the key is not there. May read the disk; constant time.

      iex> table = Enum.into([a: 1], Bets.new())
      iex> Bets.fetch!(table, :a)
      1
  """
  @spec fetch!(table, key) :: value
  def fetch!(table, key) do
    case fetch(table, key) do
      {:ok, value} -> value
      :error -> raise KeyError, key: key, term: table(table)
    end
  end

  @doc """
  Tells whether a key is there. Reads memory; constant time.

      iex> table = Enum.into([a: 1], Bets.new())
      iex> Bets.has_key?(table, :a)
      true
  """
  @spec has_key?(table, key) :: boolean
  def has_key?(table, key), do: Call.reraising(do: :bets.member(id(table), key))

  @doc """
  Stores a value under a key, in place of the one that is there. Appends to the log; constant time.

  With `ttl: milliseconds` the entry is there only for so long, with `ttl: :infinity` until it is deleted, whatever the table's option `:ttl` says.
  From then on it is absent for every function. `update/4` leaves the time of an entry that is there as it is.

      iex> table = Bets.new()
      iex> Bets.put(table, :colour, "red")
      :ok
      iex> Bets.put(table, :session, "abc", ttl: 20)
      iex> Process.sleep(30)
      iex> {Bets.get(table, :colour), Bets.get(table, :session)}
      {"red", nil}
  """
  @spec put(table, key, value, ttl: :bets.ttl()) :: :ok
  def put(table, key, value, options \\ [])

  def put(table, key, value, []) do
    true = Call.reraising(do: :bets.insert(id(table), {key, value}))
    :ok
  end

  def put(table, key, value, options) do
    true = Call.reraising(do: :bets.insert(id(table), {key, value}, Call.checked!(options)))
    :ok
  end

  @doc """
  Tells how long an entry is still there: milliseconds, or `:infinity`; `nil` if the key is not there. Reads memory; constant time.

      iex> table = Enum.into([a: 1], Bets.new())
      iex> Bets.put(table, :b, 2, ttl: 60_000)
      iex> {Bets.ttl(table, :a), Bets.ttl(table, :b) in 1..60_000, Bets.ttl(table, :c)}
      {:infinity, true, nil}
  """
  @spec ttl(table, key) :: :bets.ttl() | nil
  def ttl(table, key), do: List.first(Call.reraising(do: :bets.ttl(id(table), key)))

  @doc """
  Stores a value under a key that is not there yet; gives `false` and changes nothing if it is. Of several processes that try at once,
  one gets `true`. Appends to the log; constant time. The option is that of `put/4`.

      iex> table = Bets.new()
      iex> {Bets.put_new(table, :colour, "red"), Bets.put_new(table, :colour, "blue"), Bets.get(table, :colour)}
      {true, false, "red"}
  """
  @spec put_new(table, key, value, ttl: :bets.ttl()) :: boolean
  def put_new(table, key, value, options \\ []) do
    Call.reraising(do: :bets.insert_new(id(table), {key, value}, Call.checked!(options)))
  end

  @doc """
  Replaces the value of a key by what the function makes of it, or stores `initial` if the key is not there. Gives the new value.

  No write of another process is lost: when one comes between, the function is called again with the value that it left. So the function
  is to have no effects of its own, and to be quick. `:bets.update_counter/3` adds to integers in one step.

  May read the disk; appends to the log.

      iex> table = Bets.new()
      iex> Bets.update(table, :seen, ["a"], &["b" | &1])
      ["a"]
      iex> Bets.update(table, :seen, ["a"], &["b" | &1])
      ["b", "a"]
  """
  @spec update(table, key, initial :: value, (value -> value)) :: value
  def update(table, key, initial, fun) when is_function(fun, 1) do
    id = id(table)

    case lookup(id, key) do
      {stored, value} = old ->
        new = fun.(value)
        replaced? = Call.reraising(do: :bets.replace_object(id, old, {stored, new}))
        if replaced?, do: new, else: update(id, key, initial, fun)

      nil ->
        if put_new(id, key, initial), do: initial, else: update(id, key, initial, fun)
    end
  end

  @doc """
  Removes a key with its value, if it is there. Appends to the log; constant time.

      iex> table = Enum.into([a: 1], Bets.new())
      iex> Bets.delete(table, :a)
      :ok
      iex> Bets.has_key?(table, :a)
      false
  """
  @spec delete(table, key) :: :ok
  def delete(table, key) do
    true = Call.reraising(do: :bets.delete(id(table), key))
    :ok
  end

  @doc """
  Removes a key and gives its value, or the default if the key is not there. Of several processes that try at once, one gets the
  value. May read the disk; appends to the log; constant time.

      iex> table = Enum.into([a: 1], Bets.new())
      iex> {Bets.pop(table, :a), Bets.pop(table, :a), Bets.pop(table, :a, 0)}
      {1, nil, 0}
  """
  @spec pop(table, key, default :: value) :: value
  def pop(table, key, default \\ nil) do
    id = id(table)

    # Looked at before it is taken away: an object that is no pair has to stay.
    with {_, _} <- lookup(id, key),
         {_, value} <- pair(id, key, Call.reraising(do: :bets.take(id, key))) do
      value
    else
      nil -> default
    end
  end

  @doc """
  Removes all entries in one step. Appends one record to the log.

      iex> table = Enum.into([a: 1, b: 2], Bets.new())
      iex> Bets.clear(table)
      :ok
      iex> Bets.size(table)
      0
  """
  @spec clear(table) :: :ok
  def clear(table) do
    true = Call.reraising(do: :bets.delete_all_objects(id(table)))
    :ok
  end

  @doc """
  Puts and deletes in one step: every reader sees all of the changes or none, and so does whoever opens the table after a crash.

  Of changes of the same key the last wins. Appends to the log; constant time a change.

      iex> table = Enum.into([a: 1], Bets.new())
      iex> Bets.batch(table, [{:put, :b, 2}, {:put, :c, 3}, {:delete, :a}])
      :ok
      iex> Enum.sort(table)
      [b: 2, c: 3]
  """
  @spec batch(table, [{:put, key, value} | {:delete, key}]) :: :ok
  def batch(table, changes) do
    changes =
      Enum.map(changes, fn
        {:put, key, value} ->
          {:put, {key, value}}

        {:delete, _key} = delete ->
          delete

        other ->
          raise ArgumentError, "a change is {:put, key, value} or {:delete, key}, not #{inspect(other)}"
      end)

    true = Call.reraising(do: :bets.batch(id(table), changes))
    :ok
  end

  @doc """
  Gives a lazy enumerable of all `{key, value}`, or of those in a range of keys.

  What is there all the time is met exactly once; what comes or goes meanwhile may be met or not. May read the disk. Nothing has to be
  closed when the enumeration is left early.

  The options are for tables of type `:ordered_set`, whose order is that of terms:

    * `:min_key`, `:max_key` - the bounds of the range, which belong to it
    * `:min_key_inclusive`, `:max_key_inclusive` - `false` leaves a bound out
    * `:prefix` - only keys that are binaries and begin with this one
    * `:reverse` - whether to go from the last key to the first; default `false`

  For keys that are tuples, begin with a bound and stop with `Stream.take_while/2`.

      iex> table = Enum.into(%{"ada" => 1815, "alan" => 1912, "grace" => 1906}, Bets.new(type: :ordered_set))
      iex> table |> Bets.stream(min_key: "alan") |> Enum.to_list()
      [{"alan", 1912}, {"grace", 1906}]
      iex> table |> Bets.stream(prefix: "a", reverse: true) |> Stream.map(&elem(&1, 1)) |> Enum.to_list()
      [1912, 1815]
  """
  @spec stream(table, [stream_option]) :: Enumerable.t()
  def stream(table, options \\ []), do: Bets.Stream.objects(id(table), options)

  @doc """
  Gives a lazy enumerable of the keys. Options and order are those of `stream/2`.

      iex> table = Enum.into(%{a: 1, b: 2}, Bets.new())
      iex> table |> Bets.keys() |> Enum.sort()
      [:a, :b]
  """
  @spec keys(table, [stream_option]) :: Enumerable.t()
  def keys(table, options \\ []), do: table |> stream(options) |> Stream.map(&elem(&1, 0))

  @doc """
  Gives a lazy enumerable of the values. Options and order are those of `stream/2`.

      iex> table = Enum.into(%{a: 1, b: 2}, Bets.new())
      iex> table |> Bets.values() |> Enum.sort()
      [1, 2]
  """
  @spec values(table, [stream_option]) :: Enumerable.t()
  def values(table, options \\ []), do: table |> stream(options) |> Stream.map(&elem(&1, 1))

  @doc """
  Fills a table with what an `:ets` table, a file of `:dets` or a directory of Basho's Bitcask holds.

  Gives a map with the number of `:objects`, and how many of them were compared (`:verified`), when all of them survive a power loss. After
  a crash in the middle, the same call does it again and ends with the right contents.

  The options are those of `:bets_import.ets/3`, `:bets_import.dets/3` and `:bets_import.bitcask/3`, among them:

    * `:progress` - a function that is called with `%{phase: phase, done: done, total: total}` now and then
    * `:verify` - `:none`, `:all`, or how many objects are compared; default `1000`
    * `:repair` - for `:dets`: whether a copy of a file that was not closed is repaired; default `false`
    * `:decode` - for `:bitcask`: `:raw`, the default, `:riak`, or a function of key and value that gives an entry or `:skip`

  Waits for the disk; takes time in proportion to the number of objects. Raises `ArgumentError` if there is no such table, the caller may not
  write to it, or an option is none. Objects that are no `{key, value}` are for the functions of `:bets`.

      iex> source = :ets.new(:source, [])
      iex> :ets.insert(source, a: 1, b: 2)
      iex> table = Bets.new()
      iex> Bets.import(table, {:ets, source}, verify: :all)
      {:ok, %{objects: 2, skipped: 0, verified: 2}}
      iex> {:error, error} = Bets.import(table, {:dets, "/nowhere"}, [])
      iex> Exception.message(error)
      "open /nowhere: no such file or directory"
  """
  @spec import(table, {:ets, :ets.table()} | {:dets, Path.t()} | {:bitcask, Path.t()}, [
          :bets_import.bitcask_option() | {:repair, boolean}
        ]) ::
          {:ok, map} | {:error, Error.t()}
  def import(table, {kind, source}, options) when kind in [:ets, :dets, :bitcask] do
    case import_from(kind, source, id(table), options) do
      {:ok, report} -> {:ok, report}
      {:error, {:bad_option, option}} -> raise ArgumentError, Options.refused(option, "Bets.import")
      {:error, {:no_target, _} = reason} -> raise ArgumentError, "#{:bets_errors.explain(reason)}"
      {:error, reason} -> {:error, %Error{reason: reason}}
    end
  end

  @doc """
  Reads every record of a table and checks it: of an open one while it is used, or of the one in a directory that no other OS process has open, in which nothing
  is changed.

  Gives a map: `:sound` says whether nothing is wrong, `:faults` what is. `:bets_repair` explains it. A path is a string; a name is an
  open table's. With the option `progress: fun`, `fun` gets `%{done: bytes, total: bytes}` now and then. Waits for the disk; takes time in proportion to
  the bytes on disk.

      iex> table = Enum.into([a: 1, b: 2], Bets.new())
      iex> {:ok, report} = Bets.verify(table)
      iex> {report.sound, report.records, report.faults}
      {true, 2, []}
  """
  @spec verify(table | Path.t(), [:bets_repair.verify_option()]) ::
          {:ok, :bets_repair.report()} | {:error, Error.t()}
  def verify(table_or_dir, options \\ [])

  def verify(dir, options) when is_binary(dir) or is_list(dir) do
    dir |> IO.chardata_to_string() |> :bets.verify(options) |> checked()
  end

  def verify(table, options), do: table |> id() |> :bets.verify(options) |> checked()

  @doc """
  Repairs the damaged table in a directory, which nobody may have open, and tells what was lost; one that is sound stays as it is.

  ## Options

    * `:repair` - `true`, the default, repairs only what can be repaired with each lost entry known by its key; `:force` saves all that can
      be read
    * `:type`, `:keypos`, `:name` - what a manifest is made anew with if it cannot be read
    * `:progress` - as in `verify/2`

  The damaged files are kept, in the folder `quarantine` of the directory. `:bets_repair` explains the report. Waits for the disk; takes time in proportion to
  the bytes on disk.

      iex> dir = Path.join(System.tmp_dir!(), "bets-doc-repair")
      iex> {:ok, table} = Bets.open(dir)
      iex> Bets.close(table)
      iex> {:ok, report} = Bets.repair(dir)
      iex> report.status
      :unchanged
  """
  @spec repair(Path.t(), [{:type, :bets.type()} | :bets_repair.option()]) ::
          {:ok, :bets_repair.report()} | {:error, Error.t()}
  def repair(dir, options \\ []) do
    options =
      Enum.map(options, fn
        {:type, type} -> type
        option -> option
      end)

    dir |> IO.chardata_to_string() |> :bets.repair(options) |> checked()
  end

  defp checked({:ok, report}), do: {:ok, report}
  defp checked({:error, reason}), do: {:error, %Error{reason: reason}}

  defp import_from(:ets, source, id, options), do: :bets_import.ets(source, id, options)
  defp import_from(:dets, file, id, options), do: :bets_import.dets(IO.chardata_to_string(file), id, options)

  defp import_from(:bitcask, dir, id, options),
    do: :bets_import.bitcask(IO.chardata_to_string(dir), id, options)

  defp id(%__MODULE__{id: id}), do: id
  defp id(id) when is_atom(id) or is_reference(id), do: id

  defp id(other) do
    raise ArgumentError, "a table is given by its name or the struct of Bets.open/2, not as #{inspect(other)}"
  end

  defp lookup(id, key), do: pair(id, key, Call.reraising(do: :bets.lookup(id, key)))

  defp pair(_id, _key, []), do: nil
  defp pair(_id, _key, [{_, _} = object]), do: object

  defp pair(id, key, _objects) do
    raise ArgumentError,
          "what table #{inspect(id)} has under the key #{inspect(key)} is not one object {key, value}: use the module :bets"
  end

  defimpl Enumerable do
    require Bets.Call

    def count(table), do: {:ok, Bets.size(table)}

    def member?(table, {key, _value} = entry) do
      objects = Bets.Call.reraising(do: :bets.lookup(table.id, key))
      {:ok, Enum.any?(objects, &(&1 === entry))}
    end

    def member?(_table, _other), do: {:ok, false}
    def slice(_table), do: {:error, __MODULE__}
    def reduce(table, acc, fun), do: Enumerable.reduce(Bets.stream(table), acc, fun)
  end

  defimpl Collectable do
    def into(table), do: {table, &collect/2}

    defp collect(table, {:cont, {key, value}}) do
      Bets.put(table, key, value)
      table
    end

    defp collect(_table, {:cont, other}) do
      raise ArgumentError, "only {key, value} can be put into a table, not #{inspect(other)}"
    end

    defp collect(table, :done), do: table
    defp collect(_table, :halt), do: :ok
  end

  defimpl Inspect do
    import Inspect.Algebra

    def inspect(table, options) do
      state =
        case Bets.info(table) do
          :undefined -> "closed"
          info -> "#{info[:type]}, size: #{info[:size]}"
        end

      concat(["#Bets<", to_doc(table.id, options), ", ", state, ">"])
    end
  end
end
