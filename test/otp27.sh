#!/usr/bin/env bash
# Runs the tests that compare bets with ets on the OTP and the Elixir of Debian trixie (27 and 1.18), in a chroot that
# it makes on the first run and uses again on the next. `bin/soak otp27` calls it; `bin/soak --help` lists the options.
#
# The chroot gets its packages from the mirror that apt uses on this machine, and the Rust toolchain and cargo's
# registry of this machine, bound read-only. What is tested is the last commit, cloned into the chroot. Every mount
# is made in a mount namespace of the script's own, so that none outlives it, however it ends.
set -euo pipefail

here=$(readlink -f "$0")
root=$(dirname "$(dirname "$here")")
suite=trixie

die() { echo "bin/soak otp27: $*" >&2; exit 2; }

# --- outside: options, the namespace ------------------------------------------------------------------------

start() {
  local dir=$root/_build/otp27 proper=100 sequences=2000 only=
  while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "$1 wants a value"
    case $1 in
      --dir) dir=$2 ;;
      --proper) proper=$2 ;;
      --sequences) sequences=$2 ;;
      --only) only=$2 ;;
      *) die "unknown option $1" ;;
    esac
    shift 2
  done
  [ "$(id -u)" = 0 ] || die "a chroot is made and entered by root"
  local tool
  for tool in cargo git unshare; do
    command -v "$tool" >/dev/null || die "$tool is missing"
  done
  mkdir -p "$dir"
  dir=$(readlink -f "$dir")
  # A second run in the same chroot would work on the same clone and tables.
  exec 9>"$dir.lock"
  flock --nonblock 9 || die "another run works in $dir"
  # The PID namespace ends every process of the tests with the script.
  PROPER_TESTS=$proper BETS_DIFF_SEQUENCES=$sequences BETS_OTP27_ONLY=$only \
    exec unshare --mount --pid --fork --kill-child bash "$here" --in-namespace "$dir"
}

# --- in the namespace: the chroot and its mounts ------------------------------------------------------------

in_namespace() {
  local dir=$1
  mount --make-rprivate /
  [ -e "$dir/.made" ] || make "$dir"
  mount -t proc proc "$dir/proc"
  mount -t sysfs -o ro sysfs "$dir/sys"
  mount --bind /dev "$dir/dev"
  mount -t devpts devpts "$dir/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$dir/dev/shm"
  local sysroot
  sysroot=$(cargo_sysroot)
  bind_read_only "$sysroot" "$dir/opt/rust"
  bind_read_only "${CARGO_HOME:-$HOME/.cargo}/registry" "$dir/opt/cargo/registry"
  clone "$dir/bets"
  exec chroot "$dir" env -i HOME=/root LC_ALL=C.UTF-8 CARGO_HOME=/opt/cargo CARGO_NET_OFFLINE=true \
    PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PROPER_TESTS="$PROPER_TESTS" BETS_DIFF_SEQUENCES="$BETS_DIFF_SEQUENCES" BETS_OTP27_ONLY="$BETS_OTP27_ONLY" \
    bash /bets/test/otp27.sh --in-chroot
}

make() {
  local dir=$1 mirror
  command -v debootstrap >/dev/null || apt-get -qq install -y debootstrap >/dev/null || die "debootstrap is missing"
  # The main archive of this machine's own release: the one that is not for security updates.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n1)
  [ -n "$mirror" ] || die "apt knows no mirror"
  echo "bin/soak otp27: making the chroot $dir"
  # What a broken attempt left would be in the way of the next.
  find "$dir" -mindepth 1 -delete
  debootstrap --variant=minbase "$suite" "$dir" "$mirror" >"$dir.log" 2>&1 ||
    { tail -n 20 "$dir.log" >&2; die "debootstrap failed, see $dir.log"; }
  # How this machine reaches its mirror (proxies, checks that an archive of old states needs off) holds in there, too.
  apt-config dump Acquire >"$dir/etc/apt/apt.conf.d/90host"
  touch "$dir/.made"
}

cargo_sysroot() {
  dirname "$(dirname "$(cd "$root" && rustc --print target-libdir)")" | sed 's,/lib/rustlib$,,'
}

bind_read_only() {
  mkdir -p "$1" "$2"
  mount --bind "$1" "$2"
  mount -o remount,bind,ro "$2"
}

# The clone stays, with what was built in it.
clone() {
  [ -d "$1/.git" ] || git clone -q --no-checkout --no-hardlinks "$root" "$1"
  git -C "$1" fetch -q "$root" HEAD
  git -C "$1" reset -q --hard FETCH_HEAD
  echo "bin/soak otp27: commit $(git -C "$1" log -1 --format='%h %s')"
  [ -z "$(git -C "$root" status --porcelain)" ] || echo "bin/soak otp27: what is not committed is not tested"
}

# --- in the chroot: setup, build, tests ---------------------------------------------------------------------

failed=()

step() {
  local name=$1
  shift
  [ -z "$BETS_OTP27_ONLY" ] || [ "$BETS_OTP27_ONLY" = "$name" ] || return 0
  echo "== $name: $*"
  "$@" </dev/null || failed+=("$name")
  echo "== $name: $SECONDS s since the start"
}

in_chroot() {
  cd /bets
  bin/setup
  erl -noinput -eval 'io:format("OTP ~s, ERTS ~s~n", [erlang:system_info(otp_release), erlang:system_info(version)]), halt().'
  elixir -e 'IO.puts("Elixir " <> System.version())'
  export BETS_CARGO_FEATURES=testing
  rebar3 as test compile
  MIX_ENV=test mix compile --warnings-as-errors
  step conformance mix test test/conformance
  step mix mix test
  local suites=(bets_{,traversal_,owner_,dir_,match_,copy_,fix_,watch_,zero_,build_,fault_}tests)
  step eunit rebar3 eunit --module="$(IFS=, && echo "${suites[*]}")"
  step proper rebar3 eunit --module=bets_codec_tests,bets_match_prop_tests
  step diff bin/soak diff --sequences "$BETS_DIFF_SEQUENCES"
  if [ ${#failed[@]} -gt 0 ]; then
    echo "bin/soak otp27: failed: ${failed[*]}"
    exit 1
  fi
  echo "bin/soak otp27: all passed"
}

case ${1:-} in
  --in-namespace) in_namespace "$2" ;;
  --in-chroot) in_chroot ;;
  *) start "$@" ;;
esac
