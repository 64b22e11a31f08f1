defmodule Conformance.Oracle do
  @moduledoc """
  `ets`, with the functions of all releases up to OTP 28.

  A function that the running `ets` has is that of `ets`. One that it does not have yet is written here from its
  documentation; what is compared with it is a written-down expectation, not an observation. `documented/0` names them.
  """

  later = [
    lookup_element: 4,
    update_element: 4,
    first_lookup: 1,
    last_lookup: 1,
    next_lookup: 2,
    prev_lookup: 2
  ]

  Code.ensure_loaded!(:ets)

  @documented Enum.reject(later, fn {function, arity} -> function_exported?(:ets, function, arity) end)
  @internal [module_info: 0, module_info: 1, internal_delete_all: 2, internal_request_all: 0] ++
              [internal_select_delete: 2, match_spec_run_r: 3]

  exports = Enum.reject(:ets.module_info(:exports), &(&1 in @internal))

  for {function, arity} <- exports do
    args = Macro.generate_arguments(arity, __MODULE__)
    @doc false
    def unquote(function)(unquote_splicing(args)), do: :ets.unquote(function)(unquote_splicing(args))
  end

  @doc "The functions that the running `ets` does not have."
  def documented, do: @documented

  @doc "All functions of `ets`, of the running release and later ones."
  def functions, do: Enum.sort(unquote(exports) ++ @documented)

  if {:lookup_element, 4} in @documented do
    @doc "OTP 26. The default stands for a missing key only."
    def lookup_element(tab, key, position, default) do
      if as(:lookup_element, [tab, key, position, default], fn -> :ets.member(tab, key) end) do
        as(:lookup_element, [tab, key, position, default], fn -> :ets.lookup_element(tab, key, position) end)
      else
        # With a missing key a position that can be none is an error, a large one is not.
        as(:lookup_element, [tab, key, position, default], fn -> position_only(position) end)
        default
      end
    end

    defp position_only(position) when is_integer(position) and position > 0, do: :ok

    defp position_only(position) do
      :ets.lookup_element(:ets.new(:t, []), :missing, position)
    end
  end

  if {:update_element, 4} in @documented do
    @doc "OTP 27. The default object is inserted, with the key in its place, before the update. It has to be a tuple, needed or not."
    def update_element(tab, key, spec, default) do
      args = [tab, key, spec, default]

      if not is_tuple(default) do
        # The errors of the table come first.
        as(:update_element, args, fn -> :ets.update_element(tab, key, []) end)
        fail(:update_element, args, :none)
      end

      if as(:update_element, args, fn -> :ets.update_element(tab, key, spec) end) do
        true
      else
        keypos = :ets.info(tab, :keypos)

        if tuple_size(default) < keypos, do: fail(:update_element, args, :keypos)

        # The specification is checked on a table of its own: nothing may be inserted if it is wrong.
        trial = :ets.new(:t, [:ets.info(tab, :type), {:keypos, keypos}])
        object = put_elem(default, keypos - 1, key)
        :ets.insert(trial, object)
        as(:update_element, args, fn -> :ets.update_element(trial, key, spec) end)
        [object] = :ets.lookup(trial, key)
        :ets.delete(trial)
        :ets.insert(tab, object)
      end
    end
  end

  for {function, base} <- [first_lookup: :first, last_lookup: :last] do
    if {function, 1} in @documented do
      @doc "OTP 27. The key with its objects."
      def unquote(function)(tab) do
        case as(unquote(function), [tab], fn -> :ets.unquote(base)(tab) end) do
          :"$end_of_table" -> :"$end_of_table"
          key -> {key, :ets.lookup(tab, key)}
        end
      end
    end
  end

  for {function, base} <- [next_lookup: :next, prev_lookup: :prev] do
    if {function, 2} in @documented do
      @doc "OTP 27. The key with its objects."
      def unquote(function)(tab, key) do
        case as(unquote(function), [tab, key], fn -> :ets.unquote(base)(tab, key) end) do
          :"$end_of_table" -> :"$end_of_table"
          key -> {key, :ets.lookup(tab, key)}
        end
      end
    end
  end

  if @documented != [] do
    # An error of a part is an error of the whole: the same explanation, under the function that was called.
    defp as(function, args, fun) do
      fun.()
    rescue
      error in ArgumentError ->
        _ = error
        [{:ets, inner, inner_args, info} | _] = __STACKTRACE__
        reraise_as(function, args, {inner, inner_args, info})
    end

    defp reraise_as(function, args, {inner, inner_args, info}) do
      :erlang.raise(:error, :badarg, [
        {:ets, function, args, [error_info: %{module: __MODULE__, cause: {inner, inner_args, info}}]}
      ])
    end

    defp fail(function, args, cause) do
      info = [error_info: %{module: :erl_stdlib_errors, cause: cause}]
      reraise_as(function, args, {:update_element, Enum.take(args, 3), info})
    end
  end

  @doc "What the shell says below an error of a function that the running `ets` does not have."
  def format_error(_reason, [{_, function, args, info} | _]) do
    {inner, inner_args, inner_info} = info[:error_info].cause
    words = :erl_stdlib_errors.format_error(:badarg, [{:ets, inner, inner_args, inner_info}])

    case {function, args} do
      {:update_element, [_, _, _, default]} when not is_tuple(default) ->
        words |> Map.delete(3) |> Map.put(4, "not a tuple")

      _ ->
        words
    end
  end
end
