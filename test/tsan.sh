#!/usr/bin/env bash
# The engine's tests that have threads under ThreadSanitizer. Any report that test/tsan.supp does not explain fails the run.
#
#   test/tsan.sh [--test NAME]...   NAME is lib, or a file of native/engine/tests (threads, hints, merge, stage, backup, bag, written)
#
# The standard library is built anew with it (rust-src is needed: rustup component add rust-src), since its Arc, Once and channels would otherwise not
# be seen to order anything.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
tests=()
while [ $# -gt 0 ]; do
  case $1 in
    --test) tests+=("$2"); shift 2 ;;
    *) echo "test/tsan.sh: no option is named '$1'" >&2; exit 2 ;;
  esac
done
[ ${#tests[@]} -gt 0 ] || tests=(lib threads hints merge stage backup bag written)
[ -d "$(rustc --print sysroot)/lib/rustlib/src/rust/library" ] ||
  { echo "test/tsan.sh: the standard library's source is missing: rustup component add rust-src" >&2; exit 2; }

work=$root/_build/tsan
triple=$(rustc -vV | sed -n 's/^host: //p')
wanted=()
for name in "${tests[@]}"; do
  if [ "$name" = lib ]; then wanted+=(--lib); else wanted+=(--test "$name"); fi
done
# The sanitizer knows no fences. The epoch has some, for the total order that reclamation rests on; what it orders besides, it orders by loads and stores.
run() {
  RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread \
    TSAN_OPTIONS="suppressions=$root/test/tsan.supp:halt_on_error=0:history_size=4:exitcode=66" \
    cargo test -p bets_engine -Zbuild-std --target "$triple" --target-dir "$work" --locked "${wanted[@]}" "$@"
}
run --no-run
status=0
# What is long and has no second thread is left out.
run --no-fail-fast -- --skip a_key_with_10_000_objects >"$work/log" 2>&1 || status=1
grep -aE '^test result|^     Running|SUMMARY: ThreadSanitizer' "$work/log" | sort | uniq -c | sort -rn | sed 's/^ *1 //'
echo "reports of the sanitizer: $(grep -ac 'WARNING: ThreadSanitizer' "$work/log"); the whole is in $work/log"
exit "$status"
