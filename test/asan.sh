#!/usr/bin/env bash
# The EUnit and ExUnit suites with the NIF under AddressSanitizer. Any report ends the VM that it happens in, and the status is 1.
#
#   test/asan.sh [--module MODULE]... [--no-mix]
#
# The VM itself is not instrumented. It is run with +Mea min: then every block of the NIF's comes from malloc, where the sanitizer sees it, and not from
# a carrier of the VM's own allocators, where it would see nothing; but for the slots of the index of tables of 200,000 keys and more. What it finds is any use of the heap, the stack or globals by the
# library that is out of bounds or after their end, and what the VM itself does to memory through malloc, memcpy and their like.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
modules=() mix=yes
while [ $# -gt 0 ]; do
  case $1 in
    --module) modules+=("$2"); mix=no; shift 2 ;;
    --no-mix) mix=no; shift ;;
    *) echo "test/asan.sh: no option is named '$1'" >&2; exit 2 ;;
  esac
done

work=$root/_build/asan
triple=$(rustc -vV | sed -n 's/^host: //p')
# How fast a call is, how long it keeps a scheduler, and how much memory a VM has are not asked under a sanitizer; what bin/bets runs is the
# library of _build/default, and not this one.
leave_out=" bets_watch_tests bets_big_tests bets_build_tests bets_cache_tests bets_cli_tests "

# Sanitizers are an unstable flag of a stable compiler; the host's own build scripts are built without them.
build() {
  RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_BUILD_TARGET=$triple CARGO_TARGET_DIR=$work/native BETS_CARGO_FEATURES=testing "$@"
}
build env REBAR_BASE_DIR="$work/rebar3" rebar3 as test compile
REBAR_BASE_DIR=$work/rebar3 rebar3 as test path >/dev/null

reports=$work/reports
rm -rf "$reports" && mkdir -p "$reports" "$work/ebin" "$work/tmp"
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:handle_segv=0:log_path=$reports/asan ERL_FLAGS="+Mea min ${ERL_FLAGS:-}" TMPDIR=$work/tmp
export PROPER_TESTS=${PROPER_TESTS:-20} BETS_CARGO_FEATURES=testing
libasan=$(gcc -print-file-name=libasan.so)

status=0
ebin=$work/rebar3/test/lib/bets/ebin
erlc -o "$work/ebin" -I include -pa "$ebin" +debug_info +nowarn_export_all -DTEST test/*.erl
if [ ${#modules[@]} = 0 ]; then
  for file in test/*_tests.erl; do
    module=$(basename "$file" .erl)
    [[ $leave_out == *" $module "* ]] || modules+=("$module")
  done
fi
for module in "${modules[@]}"; do
  from=$SECONDS
  if LD_PRELOAD=$libasan timeout 1200 erl -noinput -pa "$ebin" "$work/ebin" -eval "
      {ok, _} = application:ensure_all_started(bets),
      case eunit:test($module, []) of ok -> halt(0); _ -> halt(1) end." \
      >"$work/$module.log" 2>&1; then
    printf '%-24s %4d s  passed\n' "$module" $((SECONDS - from))
  else
    printf '%-24s %4d s  FAILED: %s\n' "$module" $((SECONDS - from)) "$work/$module.log"
    status=1
  fi
done

if [ "$mix" = yes ]; then
  build env MIX_ENV=test MIX_BUILD_PATH="$work/mix" mix compile
  from=$SECONDS
  if LD_PRELOAD=$libasan MIX_ENV=test MIX_BUILD_PATH=$work/mix mix test --no-compile >"$work/mix.log" 2>&1; then
    printf '%-24s %4d s  passed\n' 'mix test' $((SECONDS - from))
  else
    printf '%-24s %4d s  FAILED: %s\n' 'mix test' $((SECONDS - from)) "$work/mix.log"
    status=1
  fi
fi
count=$(find "$reports" -type f | wc -l)
echo "reports of the sanitizer: $count"
[ "$count" = 0 ] || { head -n 30 "$reports"/*; status=1; }
exit "$status"
