defmodule Conformance.Case do
  @moduledoc """
  A case, and what the bodies of cases are written with.

      defmodule Conformance.Cases.Insert do
        use Conformance.Case

        check "insert/2", "the last of two objects with one key wins" do
          t = table(mod, type)
          [call(mod, :insert, [t, [{1, :a}, {1, :b}]]), objects(mod, t)]
        end
      end

  The body sees `mod` and `type`, and gives any term. `check/4` takes the types that the case is for. `gen/3` adds a case
  from a function, for cases that are made of data.
  """

  alias Conformance.Normal

  defstruct [:about, :name, :types, :fun, :theme]

  @type t :: %__MODULE__{
          about: String.t(),
          name: String.t(),
          types: [atom()],
          theme: String.t(),
          fun: (module(), atom() -> term())
        }

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  defmacro __using__(_) do
    quote do
      import Conformance.Case
      Module.register_attribute(__MODULE__, :checks, accumulate: true)
      @before_compile Conformance.Case
      def generated, do: []
      defoverridable generated: 0
    end
  end

  defmacro __before_compile__(env) do
    checks = env.module |> Module.get_attribute(:checks) |> Enum.reverse()
    theme = env.module |> Module.split() |> List.last()

    quote do
      @doc "The cases of this theme."
      def cases do
        written =
          for {about, name, types, function} <- unquote(Macro.escape(checks)) do
            make(about, name, types, Function.capture(__MODULE__, function, 2))
          end

        Enum.map(written ++ generated(), &%{&1 | theme: unquote(theme)})
      end
    end
  end

  @doc "Defines a case of the function `about`."
  defmacro check(about, name, types \\ @types, do: body) do
    # As ExUnit's `test` does it: the names may be made at compile time, in a comprehension.
    quote bind_quoted: [
            about: about,
            name: name,
            types: types,
            mod: Macro.escape(quote(do: var!(mod))),
            type: Macro.escape(quote(do: var!(type))),
            body: Macro.escape(body, unquote: true)
          ] do
      function = :"case #{about}: #{name}"
      @checks {about, name, types, function}
      @doc false
      def unquote(function)(unquote(mod), unquote(type)) do
        _ = {unquote(mod), unquote(type)}
        unquote(body)
      end
    end
  end

  @doc "A case from a function of module and type."
  def make(about, name, types \\ @types, fun),
    do: %__MODULE__{about: about, name: name, types: types, fun: fun}

  @doc false
  def enter(dir) do
    Process.put(:conformance_dir, dir)
    Process.put(:conformance_names, %{})
  end

  @doc "Calls a function of the table module; an exception comes back as a value."
  defdelegate call(mod, function, args), to: Normal

  @doc "An atom for a table's name, used by no other run. `n` tells the names of one case apart."
  def name(n) do
    # A directory of an earlier VM may still be there.
    atom = :"conformance #{System.pid()} #{System.os_time()} #{:erlang.unique_integer([:positive])}"
    Process.put(:conformance_names, Map.put(Process.get(:conformance_names), atom, n))
    atom
  end

  @doc "A path for a file of the case."
  def path(file) do
    dir = Process.get(:conformance_dir)
    File.mkdir_p!(dir)
    dir |> Path.join(file) |> String.to_charlist()
  end

  @doc "A public table without a name."
  def table(mod, type, options \\ []), do: mod.new(:t, [type, :public | options])

  @doc "A public table with objects. They are inserted one by one."
  def filled(mod, type, objects, options \\ []) do
    t = table(mod, type, options)
    Enum.each(objects, &mod.insert(t, &1))
    t
  end

  @doc "All objects, in the order that the type promises."
  def objects(mod, t), do: arrange(mod, t, mod.tab2list(t))

  @doc "Puts objects into an order wherever `ets` promises none: between the keys of all types but `ordered_set`."
  def arrange(mod, t, objects) when is_list(objects) do
    case mod.info(t, :type) do
      :ordered_set ->
        objects

      _ ->
        # No sort of the objects: lists:keysort/2 may exchange two that compare equal, as {1, 1} and {1, 1.0} do.
        key = &elem(&1, mod.info(t, :keypos) - 1)

        objects
        |> Enum.group_by(key)
        |> Enum.sort_by(fn {key, _} -> rank(key) end)
        |> Enum.flat_map(&elem(&1, 1))
    end
  end

  def arrange(_mod, _t, other), do: other

  @doc "Sorts what a hash table gives in an order of its own; leaves what an `ordered_set` gives."
  def free(:ordered_set, list), do: list
  def free(_type, list) when is_list(list), do: Enum.sort_by(list, &rank/1)
  def free(_type, other), do: other

  # 1 and 1.0 compare equal, but their hashes differ.
  defp rank(term), do: {term, :erlang.phash2(term)}

  @doc "All keys, by `first` and `next` or by `last` and `prev`."
  def walk(mod, t, first \\ :first, next \\ :next) do
    walk_on(mod, t, next, call(mod, first, [t]), [])
  end

  defp walk_on(_mod, _t, _next, :"$end_of_table", keys), do: Enum.reverse(keys)
  defp walk_on(_mod, _t, _next, {:raised, _, _, _, _} = raised, keys), do: Enum.reverse([raised | keys])
  defp walk_on(_mod, _t, _next, _key, keys) when length(keys) > 10_000, do: :endless
  defp walk_on(mod, t, next, key, keys), do: walk_on(mod, t, next, call(mod, next, [t, key]), [key | keys])

  @doc "Runs a function in a new process, which ends before this returns."
  def other(fun) do
    helper = helper()
    result = at(helper, fun)
    stop(helper)
    result
  end

  @doc "Starts a process that runs functions for `at/2`."
  def helper do
    names = Process.get(:conformance_names)
    dir = Process.get(:conformance_dir)

    spawn(fn ->
      Process.put(:conformance_names, names)
      Process.put(:conformance_dir, dir)
      serve()
    end)
  end

  defp serve do
    receive do
      {:run, from, tag, fun} ->
        send(from, {tag, fun.()})
        serve()

      {:stop, reason} ->
        exit(reason)
    end
  end

  @doc "Runs a function in a helper."
  def at(helper, fun) do
    tag = make_ref()
    send(helper, {:run, self(), tag, fun})

    receive do
      {^tag, result} -> result
    after
      5_000 -> :no_answer
    end
  end

  @doc "Ends a helper and waits until it is dead."
  def stop(helper, reason \\ :normal) do
    monitor = Process.monitor(helper)
    send(helper, {:stop, reason})

    receive do
      {:DOWN, ^monitor, :process, ^helper, _} -> :ok
    after
      5_000 -> :still_there
    end
  end

  @doc "The next message, or `:none`."
  def message(patience_ms \\ 500) do
    receive do
      message -> message
    after
      patience_ms -> :none
    end
  end

  @doc "Tells that no message comes."
  def no_message, do: message(20)
end
