#!/usr/bin/env bash
# The checks of native/fuzz under libFuzzer. What a run finds new stays in _build/fuzz/corpus, from which `--keep` picks the files that
# reach most code for native/fuzz/corpus, at most 60 a target. A finding stays in _build/fuzz/found, and the status is 1.
#
#   test/fuzz.sh [--seconds N of each target (60)] [--target NAME]... [--plain] [--keep]
#
# --plain leaves AddressSanitizer out, which is some five times as fast.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
seconds=60 targets=() sanitizer=address keep=no
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift 2 ;;
    --target) targets+=("$2"); shift 2 ;;
    --plain) sanitizer=none; shift ;;
    --keep) keep=yes; shift ;;
    *) echo "test/fuzz.sh: no option is named '$1'" >&2; exit 2 ;;
  esac
done
[ ${#targets[@]} -gt 0 ] || for dir in native/fuzz/corpus/*/; do targets+=("$(basename "$dir")"); done

work=$root/_build/fuzz
triple=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz passes too: counters at every edge, and the operands of comparisons.
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
[ "$sanitizer" = none ] || flags+=" -Zsanitizer=$sanitizer"
# Sanitizers are an unstable flag of a stable compiler; the host's own build scripts are built without them.
RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags cargo build --release --locked --quiet --target "$triple" \
  --manifest-path native/fuzz/libfuzzer/Cargo.toml --target-dir "$work/$sanitizer"
program=$work/$sanitizer/$triple/release/bets_libfuzzer

status=0
for target in "${targets[@]}"; do
  seeds=$root/native/fuzz/corpus/$target corpus=$work/corpus/$target found=$work/found/$target
  [ -d "$seeds" ] || { echo "test/fuzz.sh: no target is named '$target'" >&2; exit 2; }
  mkdir -p "$corpus" "$found"
  printf '%-12s ' "$target"
  # A check that takes 10 s hangs, whatever it was given.
  if BETS_FUZZ_TARGET=$target ASAN_OPTIONS=detect_leaks=0 "$program" "$corpus" "$seeds" -max_total_time="$seconds" -timeout=10 \
      -rss_limit_mb=1024 -max_len=4096 -print_final_stats=1 -artifact_prefix="$found/" >"$work/$target.log" 2>&1; then
    awk -v files="$(find "$corpus" -type f | wc -l)" '
      /^#[0-9]/ { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
      /number_of_executed_units/ { runs = $2 } /average_exec_per_sec/ { rate = $2 } /peak_rss_mb/ { rss = $2 }
      END { printf "%d runs, %d a second, %d edges, %d files, %d MiB at most: no finding\n", runs, rate, cov, files, rss }' "$work/$target.log"
  else
    status=1
    echo "FOUND: $work/$target.log"
    grep -aE 'panicked at|ERROR:|^assertion|SUMMARY|Test unit written' -A 3 "$work/$target.log" | head -20
  fi
  if [ "$keep" = yes ]; then
    rm -rf "$work/kept" && mkdir -p "$work/kept"
    BETS_FUZZ_TARGET=$target ASAN_OPTIONS=detect_leaks=0 "$program" -merge=1 "$work/kept" "$seeds" "$corpus" >>"$work/$target.log" 2>&1
    # Short files reach about as much as long ones; they come first, every nth of them if there are many.
    mapfile -t files < <(find "$work/kept" -type f -size -2k -printf '%s %p\n' | sort -n | cut -d' ' -f2-)
    step=$(( (${#files[@]} + 59) / 60 ))
    for ((i = 0; i < ${#files[@]}; i += step)); do cp "${files[i]}" "$seeds/$(sha1sum <"${files[i]}" | cut -c1-12)"; done
  fi
done
exit "$status"
