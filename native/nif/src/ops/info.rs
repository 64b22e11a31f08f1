//! What is known of tables.

use bets_engine::table::{Sync, TableKind};
use rustler::{Atom, Encoder, Env, Term};

use super::boolean;
use crate::access;
use crate::atoms;
use crate::error::{Fail, path_term};
use crate::options::{Options, kind_atom, protection_atom};
use crate::owner::Heir;
use crate::raw;
use crate::registry;
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// `info(Tab) -> [{Item, Value}] | undefined`, memory in bytes.
pub fn info<'a>(call: &Call<'a>) -> Outcome<'a> {
    let found = access::with_open(call.arg(0), |table| describe(call, table))?;
    Ok(match found {
        Some(items) => items?,
        None => atoms::undefined().to_term(call.env),
    })
}

fn describe<'a>(call: &Call<'a>, table: &TableResource) -> Result<Term<'a>, Fail> {
    let env = call.env;
    let objects = table.table.settled_len(call.wait())?;
    let stats = table.table.stats();
    let meta = table.table.meta();
    let config = table.table.config();
    let options = &table.options;
    let word = |name: &str, value: Term<'a>| match Atom::from_str(env, name) {
        Ok(name) => (name, value).encode(env),
        Err(_) => value,
    };
    let items = [
        word("id", table.identifier(env)),
        word(
            "decentralized_counters",
            boolean(env, decentralized_counters(options, meta.kind)),
        ),
        word("read_concurrency", boolean(env, options.read_concurrency)),
        word("write_concurrency", options.write_concurrency.to_term(env)),
        word("compressed", boolean(env, config.compressed)),
        word("memory", stats.memory_bytes.encode(env)),
        word("owner", table.owner().encode(env)),
        word("heir", heir(env, table)),
        word("name", table.name().to_term(env)),
        word("size", objects.encode(env)),
        word("named_table", boolean(env, options.named)),
        word("type", kind_atom(meta.kind).to_term(env)),
        word("keypos", meta.keypos.encode(env)),
        word("protection", protection_atom(table.protection()).to_term(env)),
        word("dir", path_term(env, &table.table.dir())),
        word("temporary", boolean(env, options.config.temporary)),
        word("access", access_atom(options).to_term(env)),
        word("sync", sync(env, config.sync)),
        word(
            "ttl",
            config
                .ttl_ms
                .map_or_else(|| atoms::infinity().to_term(env), |ms| ms.encode(env)),
        ),
        word("max_file_size", config.max_file_size.encode(env)),
        word("cache", stats.cache_bytes.encode(env)),
        word("disk_bytes", stats.disk_bytes.encode(env)),
        word("segments", stats.segments.encode(env)),
        word("seq", stats.seq.encode(env)),
        word("durable_seq", stats.durable_seq.encode(env)),
    ];
    Ok(items.as_slice().encode(env))
}

/// What `ets` would use: without writers side by side there are no such counters, and some tables have them unless told otherwise.
fn decentralized_counters(options: &Options, kind: TableKind) -> bool {
    let by_default = kind == TableKind::OrderedSet || options.write_concurrency == atoms::auto();
    options.write_concurrency != atoms::r#false() && options.decentralized_counters.unwrap_or(by_default)
}

fn access_atom(options: &Options) -> Atom {
    if options.config.read_only {
        atoms::read()
    } else {
        atoms::write()
    }
}

fn sync(env: Env<'_>, sync: Sync) -> Term<'_> {
    match sync {
        Sync::Always => atoms::always().to_term(env),
        Sync::Interval(milliseconds) => (atoms::interval(), milliseconds).encode(env),
        Sync::None => atoms::none().to_term(env),
    }
}

fn heir<'a>(env: Env<'a>, table: &TableResource) -> Term<'a> {
    match table.admin.lock().heir.as_ref().map(Heir::raw) {
        Some(heir) if raw::is_alive(Some(env), heir) => raw::word_pid(heir).encode(env),
        _ => atoms::none().to_term(env),
    }
}

/// `whereis(Name) -> Identifier | undefined`.
pub fn whereis<'a>(call: &Call<'a>) -> Outcome<'a> {
    let name = Atom::from_term(call.arg(0)).map_err(|_| Fail::none())?;
    let found = access::with_open(name.to_term(call.env), |table| table.identifier(call.env))?;
    Ok(found.unwrap_or_else(|| atoms::undefined().to_term(call.env)))
}

/// `all() -> [NameOrIdentifier]`.
#[expect(clippy::unnecessary_wraps, reason = "the signature of all bodies")]
pub fn all<'a>(call: &Call<'a>) -> Outcome<'a> {
    let mut list = raw::empty_list(call.env);
    for table in registry::all() {
        if access::is_open(call.env, &table) {
            list = list.list_prepend(table.handle(call.env));
        }
    }
    Ok(list)
}
