#!/bin/sh
# Counts the instructions of a lookup, an insert and the like in the engine, under valgrind. See `bin/soak --help'.
set -eu
cd "$(dirname "$0")/.."
# Instructions that valgrind does not know are not to be used: the build is for any processor of its kind.
unset RUSTFLAGS
cargo build --release --locked -p bets_engine --example instructions
program=${CARGO_TARGET_DIR:-target}/release/examples/instructions

# All instructions of a run.
collected() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" "$3" 2>&1 |
    sed -n 's/.*Collected : *\([0-9]*\).*/\1/p'
}

# Instructions of one operation.
each() {
  few=$(collected "$1" "$2" 2000)
  many=$(collected "$1" "$2" 12000)
  echo $(((many - few) / 10000))
}

printf '| instructions | set | ordered_set |\n|---|---|---|\n'
own=$(each set key)
for operation in hit miss member overwrite insert delete update; do
  printf '| %s | %d | %d |\n' $operation $(($(each set $operation) - own)) $(($(each ordered_set $operation) - own))
done
