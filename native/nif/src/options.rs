//! The options of a table, as the face hands them over: checked, complete and in a fixed order.

use bets_engine::table::{Config, Sync, TableKind};
use rustler::types::tuple::get_tuple;
use rustler::{Atom, Term};

use crate::atoms;
use crate::error::Fail;
use crate::ops::merge::MergeOptions;
use crate::table::Protection;

/// What a table was opened with, beyond what its directory stores.
pub struct Options {
    /// The type that was asked for.
    pub kind: Option<TableKind>,
    /// The key's position that was asked for.
    pub keypos: Option<u32>,
    /// Who may do what, at first.
    pub protection: Protection,
    /// Whether it is registered under its name.
    pub named: bool,
    /// Whether the directory was derived from the name.
    pub default_dir: bool,
    /// How the engine treats it.
    pub config: Config,
    /// `read_concurrency`, for `info` only.
    pub read_concurrency: bool,
    /// `write_concurrency`, for `info` only: `false`, `true` or `auto`.
    pub write_concurrency: Atom,
    /// `decentralized_counters`, for `info` only; `None` leaves it to the type.
    pub decentralized_counters: Option<bool>,
    /// When it is merged.
    pub merge: MergeOptions,
}

impl Options {
    /// Reads `{Type, KeyPos, Protection, Named, DefaultDir, Temporary, Sync, MaxFileSize, Cache, ReadConcurrency,
    /// WriteConcurrency, DecentralizedCounters, Compressed, Ttl, Merge, ReadOnly}`.
    pub fn decode(term: Term<'_>) -> Result<Options, Fail> {
        let fields = get_tuple(term).map_err(|_| Fail::none())?;
        let &[
            kind,
            keypos,
            protection,
            named,
            default_dir,
            temporary,
            sync,
            max_file_size,
            cache,
            read_concurrency,
            write_concurrency,
            decentralized_counters,
            compressed,
            ttl,
            merge,
            read_only,
        ] = fields.as_slice()
        else {
            return Err(Fail::none());
        };
        Ok(Options {
            kind: optional(kind).map(kind_of).transpose()?,
            keypos: optional(keypos).map(get).transpose()?,
            protection: protection_of(get(protection)?)?,
            named: get(named)?,
            default_dir: get(default_dir)?,
            config: Config {
                sync: sync_of(sync)?,
                max_file_size: get(max_file_size)?,
                cache: get(cache)?,
                compressed: get(compressed)?,
                temporary: get(temporary)?,
                ttl_ms: optional(ttl).map(get).transpose()?,
                read_only: get(read_only)?,
                ..Config::default()
            },
            read_concurrency: get(read_concurrency)?,
            write_concurrency: get(write_concurrency)?,
            decentralized_counters: optional(decentralized_counters).map(get).transpose()?,
            merge: MergeOptions::decode(merge)?,
        })
    }
}

fn get<'a, T: rustler::Decoder<'a>>(term: Term<'a>) -> Result<T, Fail> {
    term.decode().map_err(|_| Fail::none())
}

/// `None` for `undefined`.
pub fn optional(term: Term<'_>) -> Option<Term<'_>> {
    (term != atoms::undefined().to_term(term.get_env())).then_some(term)
}

/// Reads a type's name.
pub fn kind_of(term: Term<'_>) -> Result<TableKind, Fail> {
    let kind: Atom = get(term)?;
    [
        TableKind::Set,
        TableKind::OrderedSet,
        TableKind::Bag,
        TableKind::DuplicateBag,
    ]
    .into_iter()
    .find(|k| kind_atom(*k) == kind)
    .ok_or_else(Fail::none)
}

/// A type's name in `ets`.
pub fn kind_atom(kind: TableKind) -> Atom {
    match kind {
        TableKind::Set => atoms::set(),
        TableKind::OrderedSet => atoms::ordered_set(),
        TableKind::Bag => atoms::bag(),
        TableKind::DuplicateBag => atoms::duplicate_bag(),
    }
}

/// Reads `public`, `protected` or `private`.
pub fn protection_of(name: Atom) -> Result<Protection, Fail> {
    [Protection::Public, Protection::Protected, Protection::Private]
        .into_iter()
        .find(|p| protection_atom(*p) == name)
        .ok_or_else(Fail::none)
}

/// A protection's name in `ets`.
pub fn protection_atom(protection: Protection) -> Atom {
    match protection {
        Protection::Public => atoms::public(),
        Protection::Protected => atoms::protected(),
        Protection::Private => atoms::private(),
    }
}

fn sync_of(term: Term<'_>) -> Result<Sync, Fail> {
    if let Ok((word, milliseconds)) = term.decode::<(Atom, u64)>() {
        return (word == atoms::interval())
            .then_some(Sync::Interval(milliseconds))
            .ok_or_else(Fail::none);
    }
    let word: Atom = get(term)?;
    if word == atoms::always() {
        Ok(Sync::Always)
    } else if word == atoms::none() {
        Ok(Sync::None)
    } else {
        Err(Fail::none())
    }
}
