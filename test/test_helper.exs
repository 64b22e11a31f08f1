# PropEr comes with the system (Debian's erlang-proper), not from a package index, and mnesia with OTP. Recent versions of mix
# hide applications that are no dependency from the code path, so both are looked up beside OTP's own.
for app <- [:proper, :mnesia], not Code.ensure_loaded?(app) do
  case Path.wildcard(Path.join(:code.lib_dir(), "#{app}*/ebin")) do
    [ebin | _] -> Code.append_path(ebin)
    [] -> Mix.raise("#{app} is missing: run bin/setup")
  end
end

# Named tables of the tests are not to stand in the working directory.
data_dir = Path.join(System.tmp_dir!(), "bets-test-data-#{System.pid()}")
Application.put_env(:bets, :data_dir, data_dir)
System.at_exit(fn _ -> File.rm_rf!(data_dir) end)

# For the tests that capture logs; bets itself does not need it.
{:ok, _} = Application.ensure_all_started(:logger)

ExUnit.start()
