# The known differences between ets and bets. Conformance.Differences says what the keys mean; docs/ets-compat.md is made from it.

# Up to OTP 25.3, ets turns the order of a list around that is inserted into a bag.
bag = :ets.new(:bag, [:bag])
:ets.insert(bag, [{1, :a}, {1, :b}])
turned_around = :ets.lookup(bag, 1) == [{1, :b}, {1, :a}]
:ets.delete(bag)

inner = ~w(delete_all_objects/1 foldl/3 foldr/3 match_delete/2 select_delete/2 tab2file/2 tab2list/1)

[
  %{
    id: "inner_function",
    what: "A stack trace begins with the function that was called.",
    why:
      "`ets` makes #{inner |> Enum.map_join(", ", &"`#{&1}`")} of other functions, and the errors of these name them and their arguments: " <>
        "`tab2list/1` on no table is an error of `match_object/2`. In `bets` it is one of `tab2list/1`. Class, reason and explanation are the same.",
    cases: [{"info/2", "the item :binary of no table"} | for(function <- inner, do: {function, ~r/./})],
    lens: :place
  },
  %{
    id: "own_items",
    what: "`info/1` has more items.",
    why: "Those of `ets` come first, in its order; behind them stand those that only a table on disk has.",
    cases: [{"info/1", ~r/items and their order|private table/}],
    lens: :own_items
  },
  %{
    id: "keypos",
    what: "A `keypos` above 4294967295 is taken for 4294967295.",
    why:
      "No tuple has so many elements, so nothing can be stored in either table; `info(Tab, keypos)` tells the difference.",
    cases: [{"new/2", "options [keypos: 8589934592]"}]
  },
  %{
    id: "local_identifiers",
    what:
      "In an `ordered_set`, of pids, ports and references that differ in the node alone, that of the own node comes first.",
    why:
      "`ets` orders them by the node's name, which changes when distribution is started; an order on disk must not.",
    types: [:ordered_set],
    cases: [{"next/2", "local processes and references among those of other nodes"}],
    lens: :order
  },
  %{
    id: "renamed_continuation",
    what: "A continuation of a named `ordered_set` survives a rename of the table.",
    why:
      "That of `ets` holds the name, so `select/1` finds no table; that of a hash table holds the identifier. In `bets` all hold the identifier.",
    types: [:ordered_set],
    cases: [{"select/1", "after a rename"}]
  },
  %{
    id: "duplicate_bag_replace",
    what:
      "`select_replace/2` on a `duplicate_bag` moves what it replaces behind the other objects of the key.",
    why:
      "`ets` writes over an object in its place. In `bets`, the place of an object among those of its key is that of its record in the log, and a replaced one has a new record.",
    types: [:duplicate_bag],
    cases: [{"select_replace/2", ~r/./}],
    lens: :order
  },
  %{
    id: "named_option",
    what: "The explanation of a refused option has one line more, which names it.",
    why:
      "`ets` says `invalid options`. That is said of `new/2` here too, but `bets` has more options of which one may be wrong.",
    cases: [{"new/2", ~r/^refuses|^a name that is taken/}],
    lens: :general
  },
  %{
    id: "bag_list_order",
    what: "A list that is inserted into a bag keeps its order.",
    why: "`ets` of OTP 23 to 25.3 turns it around, a fault that is mended in later releases.",
    when: turned_around,
    types: [:bag, :duplicate_bag],
    cases: [
      {~r"^insert(_new)?/2$", ~r/a list /},
      {"tab2file/3", ~r/and back/},
      {"file2tab/1", "a file that ets wrote"}
    ],
    lens: :order
  }
]
