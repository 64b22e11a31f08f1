//! Going through a table.

use std::time::Instant;

use bets_engine::Key;
use bets_engine::table::Cursor;
use rustler::{Encoder, Term};

use super::lookup::{contains, objects};
use super::{key_of, list_of_one};
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers;
use crate::codec::{self, Budget};
use crate::error::Fail;
use crate::raw::cell;
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// A step of a scan reads not much more than this, in bytes.
const SCAN_BYTES: usize = 64 * 1024;

/// A step on a normal scheduler that met no object so many times goes on elsewhere.
const EMPTY_TRIES: u32 = 16;

/// `first(Tab) -> [Key] | '$end_of_table'`.
pub fn first<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        step(call, table, &Cursor::default()).map(|key| key_or_end(call, key))
    })
}

/// `next(Tab, Key) -> [Key] | '$end_of_table'`.
pub fn next<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let cursor = behind_present(call, table)?;
        step(call, table, &cursor).map(|key| key_or_end(call, key))
    })
}

/// `first_lookup(Tab) -> [Key, Object, ...] | '$end_of_table'`.
pub fn first_lookup<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        step_lookup(call, table, Cursor::default())
    })
}

/// `next_lookup(Tab, Key) -> [Key, Object, ...] | '$end_of_table'`.
pub fn next_lookup<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let cursor = behind_present(call, table)?;
        step_lookup(call, table, cursor)
    })
}

fn key_or_end<'a>(call: &Call<'a>, key: Option<Term<'a>>) -> Term<'a> {
    match key {
        Some(key) => list_of_one(call.env, key),
        None => atoms::end_of_table().to_term(call.env),
    }
}

/// The place behind the call's key, which must be there.
fn behind_present(call: &Call<'_>, table: &TableResource) -> Result<Cursor, Fail> {
    if contains(call, table, call.arg(1))? {
        behind(call, table, call.arg(1))
    } else {
        Err(Fail::none())
    }
}

fn behind(call: &Call<'_>, table: &TableResource, key: Term<'_>) -> Result<Cursor, Fail> {
    buffers::with(|buffers| Ok(Cursor::after(super::key(call, table, key, &mut buffers.key)?)))
}

fn step<'a>(call: &Call<'a>, table: &TableResource, cursor: &Cursor) -> Result<Option<Term<'a>>, Fail> {
    table
        .table
        .next_key(cursor, call.wait())?
        .map(|key| codec::decode_key(call.env, &key, &mut call.budget()))
        .transpose()
}

fn step_lookup<'a>(call: &Call<'a>, table: &TableResource, mut cursor: Cursor) -> Outcome<'a> {
    loop {
        let Some(bytes) = table.table.next_key(&cursor, call.wait())? else {
            return Ok(atoms::end_of_table().to_term(call.env));
        };
        let key = codec::decode_key(call.env, &bytes, &mut call.budget())?;
        let objects = objects(call, table, key)?;
        if !objects.is_empty_list() {
            return Ok(objects.list_prepend(key));
        }
        // It was deleted between the two looks.
        let compared = codec::compared(&bytes, &mut call.budget())?;
        cursor = Cursor::after(Key::new(&bytes, compared));
    }
}

/// `scan(Tab, start | LastObject | [LastObject | Seq], Limit) -> {[Object], more | done | Seq, Version}`: the objects behind the key of
/// one that an earlier call gave, in the table's order but each step's last first. Where a key of a bag has more objects than
/// fit in a step, the step has no others and gives a seq: with that, the next one goes on inside the key.
pub fn scan<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let mut cursor = start(call, table, call.arg(1))?;
        let limit: usize = call.arg(2).decode().map_err(|_| Fail::none())?;
        let started = Instant::now();
        let version = table.table.seq();
        let mut step = Step {
            table,
            objects: Term::list_new_empty(call.env),
            taken: 0,
            failed: None,
            budget: call.budget(),
        };
        let mut tries = 0;
        let more = loop {
            let more = table
                .table
                .scan(&mut cursor, limit, SCAN_BYTES, call.wait(), |key, value| {
                    step.take(key, value)
                })?;
            if !more || step.taken > 0 || step.failed.is_some() {
                break more;
            }
            // Nothing but deleted keys so far.
            tries += 1;
            if call.is_normal() && tries == EMPTY_TRIES {
                return Err(Fail::OverBudget);
            }
        };
        let more = match step.failed {
            // What was decoded so far is a step too; the next one begins where this one stopped.
            Some(Fail::OverBudget) if step.taken > 0 && !table.layout.kind().is_bag() => true,
            Some(fail) => return Err(fail),
            None => more,
        };
        call.consume(started);
        let state = match cursor.within() {
            Some(seq) => seq.encode(call.env),
            None if more => atoms::more().to_term(call.env),
            None => atoms::done().to_term(call.env),
        };
        Ok((step.objects, state, version).encode(call.env))
    })
}

/// Where a scan begins.
fn start<'a>(call: &Call<'a>, table: &TableResource, from: Term<'a>) -> Result<Cursor, Fail> {
    let (object, seq) = match cell(from) {
        Some((object, seq)) => (object, seq.decode::<u64>().ok()),
        None => (from, None),
    };
    let Ok(key) = key_of(object, table.keypos()) else {
        return Ok(Cursor::default());
    };
    match seq {
        Some(seq) => buffers::with(|buffers| {
            Ok(Cursor::inside(
                super::key(call, table, key, &mut buffers.key)?,
                seq,
            ))
        }),
        None => behind(call, table, key),
    }
}

/// What a step of a scan has come to.
struct Step<'a, 't> {
    table: &'t TableResource,
    objects: Term<'a>,
    taken: usize,
    failed: Option<Fail>,
    budget: Budget,
}

impl Step<'_, '_> {
    fn take(&mut self, key: &[u8], value: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let key = codec::decode_key(self.objects.get_env(), key, &mut self.budget);
        match key.and_then(|key| self.table.layout.decode(key, value, &mut self.budget)) {
            Ok(object) => {
                self.objects = self.objects.list_prepend(object);
                self.taken += 1;
            }
            Err(fail) => self.failed = Some(fail),
        }
    }
}

/// `version(Tab) -> integer()`: changes with every write.
pub fn version<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        Ok(table.table.seq().encode(call.env))
    })
}
