#!/usr/bin/env bash
# Runs dialyzer over the beams of both builds: rebar3's (Erlang alone) and mix's (with the Elixir modules). What it
# has to know of OTP and Elixir takes a minute or two to work out and is kept in a PLT under _build, named after
# their versions.
set -euo pipefail
cd "$(dirname "$0")/.."

versions=$(elixir -e 'IO.puts([System.otp_release(), "-elixir-", System.version()])')
elixir_lib=$(elixir -e 'IO.puts(Path.dirname(to_string(:code.lib_dir(:elixir))))')
# Elixir's beams are read with Elixir's own code.
export ERL_LIBS=$elixir_lib${ERL_LIBS:+:$ERL_LIBS}
plt=_build/plt/otp-$versions.plt
if [ ! -f "$plt" ]; then
  mkdir -p _build/plt
  # Status 2 stands for warnings about OTP's or Elixir's own code.
  dialyzer --build_plt --quiet --output_plt "$plt.new" --apps erts kernel stdlib \
    -r "$elixir_lib"/{elixir,logger}/ebin >_build/plt/build.log 2>&1 || [ $? = 2 ] || {
    cat _build/plt/build.log >&2
    exit 1
  }
  mv "$plt.new" "$plt"
fi

rebar3 compile
mix compile
for beams in _build/default/lib/bets/ebin _build/mix/dev/lib/bets/ebin; do
  echo "dialyzer $beams"
  dialyzer --plt "$plt" --quiet -Wunmatched_returns -Werror_handling -Wunknown -r "$beams"
done
