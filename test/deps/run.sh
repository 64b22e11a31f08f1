#!/usr/bin/env bash
# Uses bets as others do: as a git dependency of a new mix project and of a new rebar3 project, and in a release of
# each that is moved away from where it was built; and looks at what a build without a usable cargo says. What is
# tested is the last commit, in a temporary directory, under a home directory of its own with nothing in it (no hex,
# no rebar3 plugins), and without a network where the system allows to take it away.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$root/test/deps/consumer.erl.in

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
[ -z "$(git -C "$root" status --porcelain)" ] || echo "note: changes that are not committed are not part of this test"

# Crates are downloaded beforehand, into the caller's cargo home, which is the one thing of the caller's that stays.
# Without a network those that are there have to do: cargo fetch asks for other platforms' too.
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
cargo fetch --locked --quiet --manifest-path "$root/Cargo.toml" || echo "note: not every crate could be fetched"
export HOME=$tmp/home CARGO_NET_OFFLINE=true
unset MIX_HOME MIX_ENV MIX_BUILD_PATH REBAR_CACHE_DIR CARGO_TARGET_DIR
mkdir "$HOME"
git config --global protocol.file.allow always
git config --global safe.directory '*'

git clone --quiet --no-hardlinks "$root" "$tmp/bets.git"
commit=$(git -C "$tmp/bets.git" rev-parse HEAD)
url=file://$tmp/bets.git

# Runs a command without network; only root may take it away.
offline() {
  if unshare --net true 2>/dev/null; then unshare --net -- "$@"; else "$@"; fi
}

step() { printf -- '- %s\n' "$*"; }
die() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# Runs a command quietly: what it prints is shown only if it fails.
quiet() {
  "$@" >"$tmp/log" 2>&1 </dev/null || { cat "$tmp/log"; die "$*"; }
}

# The program ends with status 0 only if each of its matches held; the directory is a new one for every caller.
consumes() {
  local dir=$tmp/data.$RANDOM
  CONSUMER_DIR=$dir quiet "$@"
  grep -q "consumer: objects kept in $dir" "$tmp/log" || { cat "$tmp/log"; die "$* did not run the program"; }
}

mix_project() {
  mkdir -p "$tmp/mix/src" "$tmp/mix/lib"
  cp "$program" "$tmp/mix/src/consumer.erl"
  cat >"$tmp/mix/mix.exs" <<EOF
defmodule Consumer.MixProject do
  use Mix.Project
  def project, do: [app: :consumer, version: "1.0.0", deps: [{:bets, git: "$url", ref: "$commit"}]]
end
EOF
  cd "$tmp/mix"
  step "mix: fetch and compile"
  quiet offline mix deps.get
  quiet offline mix compile
  # .fetch is mix's own mark.
  local left
  left=$(git -C deps/bets status --porcelain --ignored | grep -v ' \.fetch$') || true
  [ -z "$left" ] || die "the build left in the source of the dependency: $left"
  [ -d _build/bets_native ] || die "cargo did not work inside the project's _build"

  step "mix: run"
  consumes mix run -e ':consumer.main()'

  step "mix: documentation in iex"
  quiet mix run -e 'require IEx.Helpers; IEx.Helpers.h(:bets.new)'
  grep -q 'new(' "$tmp/log" || { cat "$tmp/log"; die "h :bets.new shows nothing"; }
  quiet mix run -e 'require IEx.Helpers; IEx.Helpers.h(Bets.stream)'
  grep -q 'def stream(table, options' "$tmp/log" || { cat "$tmp/log"; die "h Bets.stream shows nothing"; }
  quiet mix run -e '
    {:ok, _} = Application.ensure_all_started(:iex)
    {:yes, ~c"eam", _} = IEx.Autocomplete.expand(Enum.reverse(~c"Bets.str"))
    {:yes, ~c"_link", _} = IEx.Autocomplete.expand(Enum.reverse(~c":bets.start"))'

  step "mix: release, moved"
  MIX_ENV=prod quiet offline mix release --path "$tmp/mix/rel"
  mv "$tmp/mix/rel" "$tmp/mix-release"
  mv "$tmp/mix" "$tmp/mix-gone"
  cd "$tmp"
  consumes "$tmp/mix-release/bin/consumer" eval ':consumer.main()'
}

rebar_project() {
  mkdir -p "$tmp/rebar/src"
  cp "$program" "$tmp/rebar/src/consumer.erl"
  cat >"$tmp/rebar/src/consumer.app.src" <<EOF
{application, consumer, [{description, "A user of bets"}, {vsn, "1.0.0"}, {applications, [kernel, stdlib, bets]}]}.
EOF
  cat >"$tmp/rebar/rebar.config" <<EOF
{deps, [{bets, {git, "$url", {ref, "$commit"}}}]}.
{relx, [{release, {consumer, "1.0.0"}, [consumer, sasl]}, {mode, prod}]}.
EOF
  cd "$tmp/rebar"
  step "rebar3: fetch and compile"
  quiet offline rebar3 compile
  [ -d _build/bets_native ] || die "cargo did not work inside the project's _build"

  step "rebar3: run"
  consumes erl -noinput -pa _build/default/lib/*/ebin -eval 'consumer:main().'

  step "rebar3: documentation in the shell"
  quiet erl -noinput -pa _build/default/lib/bets/ebin -eval 'ok = c:h(bets, new), halt().'
  grep -q 'new(' "$tmp/log" || { cat "$tmp/log"; die "h(bets, new) shows nothing"; }

  step "rebar3: release, moved"
  quiet offline rebar3 release
  mv _build/default/rel/consumer "$tmp/rebar-release"
  cd "$tmp"
  mv "$tmp/rebar" "$tmp/rebar-gone"
  ERL_ZFLAGS="-noinput -eval consumer:main()." consumes "$tmp/rebar-release/bin/consumer" foreground
}

# A build has to fail, and to say this.
refuses() {
  local expected=$1
  shift
  if "$@" >"$tmp/log" 2>&1 </dev/null; then die "built all the same: $*"; fi
  grep -q "$expected" "$tmp/log" || { cat "$tmp/log"; die "$* does not say: $expected"; }
}

# The caller's PATH with directories that hold a cargo replaced by links to all else in them.
path_without_cargo() {
  local dir out="" links
  while read -r -d : dir; do
    if [ -x "$dir/cargo" ]; then
      links=$(mktemp -d "$tmp/path.XXXXXX")
      find "$dir" -maxdepth 1 -mindepth 1 ! -name 'cargo*' ! -name 'rust*' -exec ln -s -t "$links" {} +
      dir=$links
    fi
    out+=$dir:
  done <<<"$PATH:"
  echo "${out%:}"
}

unusable_cargo() {
  local path
  path=$(path_without_cargo)
  cd "$tmp/bets.git"
  step "no cargo: mix, rebar3 and bin/setup say what to install"
  refuses "needs a Rust toolchain" env PATH="$path" CARGO_HOME="$tmp/none" mix compile
  refuses "needs a Rust toolchain" env PATH="$path" CARGO_HOME="$tmp/none" rebar3 compile
  refuses "needs a Rust toolchain" env PATH="$path" CARGO_HOME="$tmp/none" bin/setup

  step "an old cargo: the same, with both versions"
  mkdir "$tmp/old"
  printf '#!/bin/sh\necho "cargo 1.63.0 (fd9c4297c 2022-07-01)"\n' >"$tmp/old/cargo"
  chmod +x "$tmp/old/cargo"
  refuses "or newer.* 1.63.0" env PATH="$tmp/old:$path" mix compile
  refuses "or newer.* 1.63.0" env PATH="$tmp/old:$path" rebar3 compile
  refuses "or newer.* 1.63.0" env PATH="$tmp/old:$path" bin/setup
}

# A VM may run on the library in priv while a build replaces it.
replaced_library() {
  step "the library is left alone when it is the same, and replaced by a new file when it is not"
  local app=$tmp/rebar-gone/_build/default/lib/bets so before
  so=$app/priv/bets_nif.so
  before=$(stat -c %i "$so")
  quiet escript "$app/native/build.escript" nif "$app"
  [ "$(stat -c %i "$so")" = "$before" ] || die "the same library was written again"
  echo changed >>"$so"
  ln "$so" "$tmp/held.so"
  quiet escript "$app/native/build.escript" nif "$app"
  [ "$(stat -c %i "$so")" != "$before" ] || die "the library was written over in place"
  [ "$(tail -c 8 "$tmp/held.so")" = changed ] || die "the old file's bytes changed"
  [ -z "$(find "$app/priv" -type f ! -name bets_nif.so)" ] || die "a half-written library was left behind"
}

unusable_cargo
mix_project
rebar_project
replaced_library
