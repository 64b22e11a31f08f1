//! Opening tables.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bets_engine::table::{Meta, Open, Table, TableKind};
use rustler::{Atom, Binary, Encoder, Env, LocalPid, Term};

use crate::atoms;
use crate::codec::Equality;
use crate::error::Fail;
use crate::ops::merge::merge_crowd;
use crate::options::Options;
use crate::owner::{self, Heir};
use crate::raw::{self, element, tuple};
use crate::registry;
use crate::schedule::{Call, Outcome};
use crate::storage::storage;
use crate::table::TableResource;
use crate::temporary;

/// `open({create | existing | stored_name, Name, NameUtf8}, Dir, Options, Heir) -> {ok, NameOrIdentifier}`. `Dir` is a binary; for a
/// temporary table it is the directory under which to make one. `Heir` is `none` or `{Pid, Data}`. With `stored_name`
/// the table exists, and its name is the one stored.
pub fn open<'a>(call: &Call<'a>) -> Outcome<'a> {
    let env = call.env;
    let (mode, name, name_utf8): (Atom, Atom, Binary<'_>) = call.arg(0).decode().map_err(|_| Fail::none())?;
    let options = Options::decode(call.arg(2))?;
    let heir = decode_heir(call.arg(3))?;
    let dir = match path(call.arg(1))? {
        root if options.config.temporary => temporary::fresh(&root)?,
        dir => dir,
    };
    let own = (!options.config.read_only).then_some(dir.as_path());
    let claim = registry::claim(env, options.named.then_some(name), own)?;
    let how = if mode == atoms::create() && !options.config.read_only {
        Open::OrCreate(Meta {
            kind: options.kind.unwrap_or(TableKind::Set),
            keypos: options.keypos.unwrap_or(1),
            equality: equality_of_vm(env).as_u8(),
            name: name_utf8.as_slice().to_vec(),
        })
    } else {
        Open::Existing {
            kind: options.kind,
            keypos: options.keypos,
        }
    };
    let table = Table::open(storage(), &dir, &how, options.config.clone())?;
    let meta = table.meta();
    let equality = match usable(&table, &options, &name_utf8) {
        Ok(equality) => equality,
        Err(refusal) => {
            table.close()?;
            return Err(refusal);
        }
    };
    if !options.config.read_only {
        merge_crowd(&table, &options.merge);
    }
    let name = if mode == atoms::stored_name() {
        raw::atom(env, &meta.name).unwrap_or(name)
    } else {
        name
    };
    let arc = TableResource::create(table, equality, claim.id, name, env.pid(), options);
    arc.admin.lock().heir = heir;
    claim.publish(&arc);
    let monitor = arc.monitor(Some(env), &env.pid());
    let alive = monitor.is_some();
    arc.admin.lock().monitor = monitor;
    if !alive {
        // The caller was killed while the table was opened.
        owner::orphaned(Some(env), &arc);
    }
    Ok((atoms::ok(), arc.handle(env)).encode(env))
}

/// What `bets_dir` writes before a hash, and nowhere else.
const HASH_MARK: &str = "==";

/// The equality of a table that was opened, if it can be used here.
fn usable(table: &Table, options: &Options, name_utf8: &[u8]) -> Result<Equality, Fail> {
    let meta = table.meta();
    // A directory with a hash in its name might be another name's. Any other one is the name's for sure, and may have an older
    // name stored if a renaming was cut short by a crash.
    let dir = table.dir();
    let hashed = options.default_dir && dir.to_string_lossy().contains(HASH_MARK);
    if hashed && meta.name != name_utf8 {
        return Err(Fail::NameMismatch(Box::new(dir)));
    }
    Equality::from_u8(meta.equality).ok_or(Fail::Undecodable)
}

/// Whether `0.0` and `-0.0` are one key, which depends on the OTP release.
pub(super) fn equality_of_vm(env: Env<'_>) -> Equality {
    if 0.0.encode(env) == (-0.0).encode(env) {
        Equality::ZerosEqual
    } else {
        Equality::ZerosDistinct
    }
}

/// `none` or `{Pid, Data}`.
pub fn decode_heir(term: Term<'_>) -> Result<Option<Heir>, Fail> {
    match tuple(term) {
        Some(&[pid, data]) => {
            let pid: LocalPid = element(term.get_env(), pid).decode().map_err(|_| Fail::none())?;
            Ok(Some(Heir::new(pid, element(term.get_env(), data))))
        }
        _ => Ok(None),
    }
}

/// A path from its bytes.
pub fn path(term: Term<'_>) -> Result<PathBuf, Fail> {
    let bytes: Binary<'_> = term.decode().map_err(|_| Fail::none())?;
    Ok(Path::new(OsStr::from_bytes(bytes.as_slice())).to_path_buf())
}

/// `sweep(Root) -> integer()`: removes what dead VMs left below `Root`.
pub fn sweep<'a>(call: &Call<'a>) -> Outcome<'a> {
    Ok(temporary::sweep(&path(call.arg(0))?).encode(call.env))
}
