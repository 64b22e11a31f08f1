//! Checking and repairing tables.

use std::sync::atomic::{AtomicU64, Ordering};

use bets_engine::format::manifest::State;
use bets_engine::repair::{self, Check, Fault, Loss, Mode, Report, Status};
use bets_engine::table::{Meta, Open};
use parking_lot::Mutex;
use rustler::{Atom, Binary, Encoder, Env, NewBinary, Resource, ResourceArc, Term};

use super::open::{equality_of_vm, path};
use crate::access::{self, Need};
use crate::atoms;
use crate::codec::{self, Budget};
use crate::error::{Fail, path_term};
use crate::options::{kind_atom, kind_of, optional};
use crate::registry;
use crate::schedule::{Call, Outcome};
use crate::storage::storage;

/// One step of a check reads about so many bytes.
const STEP_LEN: u64 = 4 << 20;

/// How far a check has come, and what an open table's check knows.
struct Checking {
    bytes: AtomicU64,
    check: Mutex<Option<Check>>,
}

#[rustler::resource_impl]
impl Resource for Checking {}

fn checking(term: Term<'_>) -> Result<ResourceArc<Checking>, Fail> {
    term.decode().map_err(|_| Fail::none())
}

/// `new_progress() -> Progress`.
#[expect(clippy::unnecessary_wraps, reason = "the signature of all bodies")]
pub fn new_progress<'a>(call: &Call<'a>) -> Outcome<'a> {
    let checking = Checking {
        bytes: AtomicU64::new(0),
        check: Mutex::new(None),
    };
    Ok(ResourceArc::new(checking).encode(call.env))
}

/// `progress(Progress) -> Bytes`: so many were read.
pub fn progress<'a>(call: &Call<'a>) -> Outcome<'a> {
    let bytes = checking(call.arg(0))?.bytes.load(Ordering::Relaxed);
    Ok(bytes.encode(call.env))
}

/// `check(Tab, Progress) -> more | {ok, Report}`: a step of the check of an open table.
pub fn check<'a>(call: &Call<'a>) -> Outcome<'a> {
    let checking = checking(call.arg(1))?;
    access::with(call.arg(0), Need::Read, |table| {
        let mut held = checking.check.lock();
        let mut check = match held.take() {
            Some(check) => check,
            None => table.table.begin_check()?,
        };
        if table.table.check(&mut check, STEP_LEN)? {
            checking.bytes.store(check.report().bytes, Ordering::Relaxed);
            *held = Some(check);
            Ok(atoms::more().to_term(call.env))
        } else {
            Ok((atoms::ok(), report(call.env, &check.into_report())).encode(call.env))
        }
    })
}

/// `verify(Dir, Progress) -> {ok, Report}`: checks a table that is not open.
pub fn verify<'a>(call: &Call<'a>) -> Outcome<'a> {
    let dir = path(call.arg(0))?;
    let checking = checking(call.arg(1))?;
    let _claim = registry::claim(call.env, None, Some(&dir))?;
    let found = repair::verify(storage(), &dir, &checking.bytes)?;
    Ok((atoms::ok(), report(call.env, &found)).encode(call.env))
}

/// `repair(Dir, Mode, {Type, KeyPos, NameUtf8}, Progress) -> {ok, Report}`: `Mode` is `true` or `force`; `undefined` in the place of `Type` leaves it to the manifest.
pub fn repair<'a>(call: &Call<'a>) -> Outcome<'a> {
    let dir = path(call.arg(0))?;
    let force = Atom::from_term(call.arg(1)).is_ok_and(|mode| mode == atoms::force());
    let mode = if force { Mode::Force } else { Mode::Named };
    let (kind, keypos, name): (Term<'_>, Term<'_>, Binary<'_>) =
        call.arg(2).decode().map_err(|_| Fail::none())?;
    let kind = optional(kind).map(kind_of).transpose()?;
    let keypos: Option<u32> = optional(keypos)
        .map(|keypos| keypos.decode().map_err(|_| Fail::none()))
        .transpose()?;
    let checking = checking(call.arg(3))?;
    let how = match kind {
        Some(kind) => Open::OrCreate(Meta {
            kind,
            keypos: keypos.unwrap_or(1),
            equality: equality_of_vm(call.env).as_u8(),
            name: name.as_slice().to_vec(),
        }),
        None => Open::Existing { kind, keypos },
    };
    let _claim = registry::claim(call.env, None, Some(&dir))?;
    let done = repair::repair(storage(), &dir, &how, mode, None, &checking.bytes)?;
    Ok((atoms::ok(), report(call.env, &done)).encode(call.env))
}

/// `inspect(Dir) -> {ok, Map}`: what the directory tells without being opened.
pub fn inspect<'a>(call: &Call<'a>) -> Outcome<'a> {
    let env = call.env;
    let (manifest, bytes) = repair::describe(&**storage(), &path(call.arg(0))?)?;
    let sealed = manifest
        .segments
        .iter()
        .filter(|entry| entry.state == State::Sealed);
    let mut name = NewBinary::new(env, manifest.meta.name.len());
    name.as_mut_slice().copy_from_slice(&manifest.meta.name);
    let items = [
        (atoms::r#type(), kind_atom(manifest.meta.kind).to_term(env)),
        (atoms::keypos(), manifest.meta.keypos.encode(env)),
        (atoms::name(), name.into()),
        (atoms::generation(), manifest.generation.encode(env)),
        (atoms::segments(), manifest.segments.len().encode(env)),
        (atoms::sealed(), sealed.count().encode(env)),
        (atoms::disk_bytes(), bytes.encode(env)),
    ];
    Ok((atoms::ok(), map(env, &items)).encode(env))
}

/// A report as a map.
fn report<'a>(env: Env<'a>, report: &Report) -> Term<'a> {
    let status = match report.status {
        Status::Unchanged => atoms::unchanged(),
        Status::Repaired => atoms::repaired(),
        Status::Refused => atoms::refused(),
    };
    let faults: Vec<_> = report.faults.iter().map(|f| fault(env, f)).collect();
    let spoilt: Vec<_> = report.spoilt.iter().map(|f| fault(env, f)).collect();
    let files: Vec<_> = report.quarantined.iter().map(|p| path_term(env, p)).collect();
    let mut items = vec![
        (atoms::status(), status.to_term(env)),
        (atoms::sound(), report.is_sound().encode(env)),
        (atoms::segments(), report.segments.encode(env)),
        (atoms::records(), report.records.encode(env)),
        (atoms::bytes(), report.bytes.encode(env)),
        (atoms::faults(), faults.encode(env)),
        (atoms::omitted(), report.omitted.encode(env)),
        (atoms::spoilt(), spoilt.encode(env)),
        (
            atoms::loss(),
            loss(report.worst.unwrap_or(Loss::Nothing)).to_term(env),
        ),
        (atoms::quarantined(), files.encode(env)),
    ];
    items.extend(report.objects.map(|n| (atoms::objects(), n.encode(env))));
    map(env, &items)
}

fn fault<'a>(env: Env<'a>, fault: &Fault) -> Term<'a> {
    let mut items = vec![
        (atoms::file(), path_term(env, &fault.path)),
        (atoms::offset(), fault.offset.encode(env)),
        (atoms::length(), fault.len.encode(env)),
        (atoms::what(), fault.what.encode(env)),
        (atoms::loss(), loss(fault.loss).to_term(env)),
    ];
    // Bytes that are no key of this version are not told.
    let key = fault
        .key
        .as_ref()
        .and_then(|(key, _)| codec::decode_key(env, key, &mut Budget::unlimited()).ok());
    items.extend(key.map(|key| (atoms::key(), key)));
    items.extend(fault.seqs.map(|seqs| (atoms::seqs(), seqs.encode(env))));
    map(env, &items)
}

fn loss(loss: Loss) -> Atom {
    match loss {
        Loss::Nothing => atoms::none(),
        Loss::Object => atoms::object(),
        Loss::Records => atoms::records(),
    }
}

fn map<'a>(env: Env<'a>, items: &[(Atom, Term<'a>)]) -> Term<'a> {
    Term::map_from_pairs(env, items).unwrap_or_else(|_| Term::map_new(env))
}
