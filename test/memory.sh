#!/usr/bin/env bash
# Runs bets_big, a table four times larger than the memory that its VM may use, in a cgroup that holds the VM to it.
# `bin/soak memory` calls it, and a test with a smaller limit.
#
#   test/memory.sh LIMIT_BYTES COMMAND ARG...   runs the command with at most so much memory, the page cache included;
#                                               prints the highest use, as the kernel counted it
#   test/memory.sh --check                      status 0 if this machine lets us make such a cgroup, 1 otherwise
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
if [ "$1" = --check ]; then
  make_group && echo $((64 << 20)) 2>/dev/null >"$group/$limit_file"
  exit
fi

limit=$1
shift
if ! make_group; then
  echo "memory: no cgroup with a limit can be made here: the VM's own count is checked, but nothing holds it to the limit"
  "$@"
  exit
fi
echo "$limit" >"$group/$limit_file"
# Swapping would hide what does not fit. Where the kernel does not count swap, there is no such file.
for file in memory.swap.max:0 memory.memsw.limit_in_bytes:"$limit"; do
  [ ! -w "$group/${file%:*}" ] || echo "${file#*:}" >"$group/${file%:*}"
done
status=0
bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' - "$group" "$@" || status=$?
[ ! -r "$group/$peak_file" ] ||
  echo "memory: the cgroup's highest use was $(($(cat "$group/$peak_file") >> 20)) MiB of $((limit >> 20)) MiB, the page cache included"
[ $status != 137 ] || echo "memory: the VM was killed: it wanted more than the limit"
exit $status
