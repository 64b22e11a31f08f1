#!/usr/bin/env bash
# Pastes the README's first example into both shells. Its lines match the results that they expect, so that each
# failed promise shows as an exception.
set -euo pipefail
cd "$(dirname "$0")/.."

rebar3 compile
mix compile
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# example LANGUAGE: the block in that language after the heading "First steps".
example() { sed -n "/^## First steps/,/^## /{/^\`\`\`$1/,/^\`\`\`/{/^\`\`\`/!p}}" README.md; }

# A pipe that this script itself holds open: at the end of its input a shell would stop before it has read all.
mkfifo "$tmp/input"
exec 3<>"$tmp/input"

# check NAME SHELL...: feeds the example, read from the standard input, to the shell once it prompts: what comes
# earlier rebar3 throws away.
check() {
  local name=$1 shell tries
  shift
  timeout 120 "$@" <"$tmp/input" >"$tmp/output" 2>&1 3>&- &
  shell=$!
  for tries in {1..600}; do
    if grep -q '1)\?> ' "$tmp/output" || ! kill -0 $shell 2>/dev/null; then break; fi
    sleep 0.1
  done
  cat >&3
  if ! wait $shell || ! grep -q 'the example ended' "$tmp/output" ||
    grep -E '\*\* |exception|syntax error|undefined' "$tmp/output"; then
    cat "$tmp/output"
    echo "FAILED: the README's example in $name" >&2
    exit 1
  fi
  echo "the README's example works in $name"
}

data='"'$tmp/data'"'
erlang=$(example erlang) elixir=$(example elixir)
[ -n "$erlang" ] && [ -n "$elixir" ] || { echo "FAILED: no example in the README" >&2; exit 1; }

check "rebar3 shell" rebar3 shell <<EOF
application:set_env(bets, data_dir, $data).
$erlang
io:put_chars(["the example", " ended\n"]), erlang:halt(0).
EOF
check "iex" iex -S mix <<EOF
Application.put_env(:bets, :data_dir, $data)
$elixir
IO.puts(["the example", " ended"]); System.halt(0)
EOF
