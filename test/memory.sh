#!/usr/bin/env bash
# Runs bets_big, a table four times larger than the memory that its VM may use, in a cgroup that holds the VM to it.
# `bin/soak memory` calls it.
#
#   test/memory.sh [--OPTION VALUE]...   `bin/soak --help` lists the options
#   test/memory.sh --check               status 0 if this machine lets us make such a cgroup, 1 otherwise
set -euo pipefail

# The group stands at the top of the hierarchy: of a group that has processes of its own, cgroup v2 makes none with a limit.
make_group() {
  local mount
  mount=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
  if [ -n "$mount" ]; then
    limit_file=memory.limit_in_bytes peak_file=memory.max_usage_in_bytes
  else
    mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    limit_file=memory.max peak_file=memory.peak
  fi
  [ -n "$mount" ] || return 1
  group=$mount/bets-$$
  mkdir "$group" 2>/dev/null || { group=; return 1; }
  trap remove_group EXIT
  [ -w "$group/$limit_file" ]
}

# The kernel lets go of a group a moment after its last process.
remove_group() {
  local try
  for try in 1 2 3 4 5 6 7 8 9 10; do
    rmdir "$group" 2>/dev/null && return
    sleep 0.2
  done
  echo "test/memory.sh: $group is left behind" >&2
}

group=
if [ "${1:-}" = --check ]; then
  make_group && echo $((64 << 20)) 2>/dev/null >"$group/$limit_file"
  exit
fi

root=$(dirname "$(dirname "$(readlink -f "$0")")")
types="set ordered_set" limit=256 cache=32 keys=524288 size=2048 dir=$root/_build/soak/big
bets=$root/_build/default/lib/bets/ebin
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || { echo "memory: $1 wants a value" >&2; exit 2; }
  case $1 in
    --type) types=$2 ;;
    --limit) limit=$2 ;;
    --cache) cache=$2 ;;
    --keys) keys=$2 ;;
    --size) size=$2 ;;
    --dir) dir=$2 ;;
    --ebin) bets=$2 ;;
    *) echo "memory: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
limit=$((limit << 20))

ebin=$root/_build/soak/ebin
mkdir -p "$ebin"
erlc -Wall -Werror -o "$ebin" "$root/test/bets_big.erl"

run() {
  local type
  for type in $types; do
    rm -rf "$dir"
    "$@" erl -noinput -pa "$ebin" -pa "$bets" -bets cache $((cache << 20)) \
      -s bets_big main -extra "$type" "$dir" "$limit" "$keys" "$size" || return
  done
}

in_group() { bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' - "$group" "$@"; }

if ! make_group; then
  echo "memory: no cgroup with a limit can be made here: the VM's own count is checked, but nothing holds it to the limit"
  run env
  exit
fi
echo "$limit" >"$group/$limit_file"
# Swapping would hide what does not fit. Where the kernel does not count swap, there is no such file.
for file in memory.swap.max:0 memory.memsw.limit_in_bytes:"$limit"; do
  [ ! -w "$group/${file%:*}" ] || echo "${file#*:}" >"$group/${file%:*}"
done
status=0
run in_group || status=$?
[ ! -r "$group/$peak_file" ] ||
  echo "memory: the cgroup's highest use was $(($(cat "$group/$peak_file") >> 20)) MiB of $((limit >> 20)) MiB, the page cache included"
[ $status != 137 ] || echo "memory: the VM was killed: it wanted more than the limit"
exit $status
