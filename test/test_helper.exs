# PropEr comes with the system (Debian's erlang-proper), not from a package index. Recent versions of mix hide
# applications that are no dependency from the code path, so it is looked up beside OTP's own.
unless Code.ensure_loaded?(:proper) do
  case Path.wildcard(Path.join(:code.lib_dir(), "proper*/ebin")) do
    [ebin | _] -> Code.append_path(ebin)
    [] -> Mix.raise("PropEr is missing: run bin/setup")
  end
end

ExUnit.start()
