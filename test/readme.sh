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

# check NAME SHELL...: feeds the example to the shell, whose tables go into a directory of their own.
check() {
  local name=$1
  shift
  if ! timeout 120 "$@" <"$tmp/input" >"$tmp/output" 2>&1 || ! grep -q 'the example ended' "$tmp/output" ||
    grep -E '^\*\* |exception|syntax error|undefined' "$tmp/output"; then
    cat "$tmp/output"
    echo "FAILED: the README's example in $name" >&2
    exit 1
  fi
  echo "the README's example works in $name"
}

data='"'$tmp/data'"'
{ echo "application:set_env(bets, data_dir, $data)."; example erlang
  echo 'io:put_chars(["the example", " ended\n"]), erlang:halt(0).'; } >"$tmp/input"
[ "$(grep -c 'bets:' "$tmp/input")" -gt 5 ] || { echo "FAILED: no Erlang example in the README" >&2; exit 1; }
check "rebar3 shell" rebar3 shell

{ echo "Application.put_env(:bets, :data_dir, $data)"; example elixir
  echo 'IO.puts(["the example", " ended"]); System.halt(0)'; } >"$tmp/input"
[ "$(grep -c ':bets\.' "$tmp/input")" -gt 5 ] || { echo "FAILED: no Elixir example in the README" >&2; exit 1; }
check "iex" iex -S mix
