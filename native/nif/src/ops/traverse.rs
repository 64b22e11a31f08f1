//! Going through a table.

use std::time::Instant;

use bets_engine::Key;
use bets_engine::table::{Cursor, Direction};
use rustler::{Encoder, Term};

use super::lookup::{contains, get, objects};
use super::{key_of, list_of_one};
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers;
use crate::codec::{self, Binaries, Budget};
use crate::error::Fail;
use crate::raw::{cell, element, empty_list};
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// A step of a scan reads not much more than this, in bytes.
const SCAN_BYTES: usize = 64 * 1024;

/// A step on a normal scheduler that met no object so many times goes on elsewhere.
const EMPTY_TRIES: u32 = 16;

/// `first(Tab) -> [Key] | '$end_of_table'`.
pub fn first<'a>(call: &Call<'a>) -> Outcome<'a> {
    key_from(call, |_| Ok(Cursor::default()))
}

/// `last(Tab) -> [Key] | '$end_of_table'`.
pub fn last<'a>(call: &Call<'a>) -> Outcome<'a> {
    key_from(call, |_| Ok(Cursor::backward()))
}

/// `next(Tab, Key) -> [Key] | '$end_of_table'`.
pub fn next<'a>(call: &Call<'a>) -> Outcome<'a> {
    key_from(call, |table| beside(call, table, Direction::Forward))
}

/// `prev(Tab, Key) -> [Key] | '$end_of_table'`.
pub fn prev<'a>(call: &Call<'a>) -> Outcome<'a> {
    key_from(call, |table| beside(call, table, Direction::Backward))
}

/// `first_lookup(Tab) -> [Key, Object, ...] | '$end_of_table'`.
pub fn first_lookup<'a>(call: &Call<'a>) -> Outcome<'a> {
    object_from(call, |_| Ok(Cursor::default()))
}

/// `last_lookup(Tab) -> [Key, Object] | '$end_of_table'`.
pub fn last_lookup<'a>(call: &Call<'a>) -> Outcome<'a> {
    object_from(call, |_| Ok(Cursor::backward()))
}

/// `next_lookup(Tab, Key) -> [Key, Object, ...] | '$end_of_table'`.
pub fn next_lookup<'a>(call: &Call<'a>) -> Outcome<'a> {
    object_from(call, |table| beside(call, table, Direction::Forward))
}

/// `prev_lookup(Tab, Key) -> [Key, Object] | '$end_of_table'`.
pub fn prev_lookup<'a>(call: &Call<'a>) -> Outcome<'a> {
    object_from(call, |table| beside(call, table, Direction::Backward))
}

fn key_from<'a>(call: &Call<'a>, place: impl FnOnce(&TableResource) -> Result<Cursor, Fail>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        Ok(match step(call, table, &place(table)?)? {
            Some(key) => list_of_one(call.env, key),
            None => atoms::end_of_table().to_term(call.env),
        })
    })
}

fn object_from<'a>(
    call: &Call<'a>,
    place: impl FnOnce(&TableResource) -> Result<Cursor, Fail>,
) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        step_lookup(call, table, place(table)?)
    })
}

/// The place behind or before the call's key. In hash order the key must be there, or have been since the table is fixed; in the order of keys every key has its place,
/// but `ets` takes the end of the table for none.
fn beside(call: &Call<'_>, table: &TableResource, direction: Direction) -> Result<Cursor, Fail> {
    let key = call.arg(1);
    let known = if table.layout.is_ordered() {
        key != atoms::end_of_table().to_term(call.env)
    } else {
        contains(call, table, key)? || was_there(call, table, key)?
    };
    if known {
        beside_key(call, table, key, direction)
    } else {
        Err(Fail::none())
    }
}

fn was_there(call: &Call<'_>, table: &TableResource, key: Term<'_>) -> Result<bool, Fail> {
    buffers::with(|buffers| {
        Ok(table.fixes.has_deleted(
            super::key(call, table, key, &mut buffers.key)?,
            table.table.expires(),
        ))
    })
}

fn beside_key(
    call: &Call<'_>,
    table: &TableResource,
    key: Term<'_>,
    direction: Direction,
) -> Result<Cursor, Fail> {
    buffers::with(|buffers| {
        let key = super::key(call, table, key, &mut buffers.key)?;
        Ok(match direction {
            Direction::Forward => Cursor::after(key),
            Direction::Backward => Cursor::before(key),
        })
    })
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
        if table.layout.kind().is_bag() {
            let objects = objects(call, table, key)?;
            if !objects.is_empty_list() {
                return Ok(objects.list_prepend(key));
            }
        } else if let Some(object) = get(call, table, key)? {
            // The object's own key: it may have been stored in another form between the two looks.
            let key = key_of(object, table.keypos())?;
            return Ok(list_of_one(call.env, object).list_prepend(key));
        }
        // It was deleted between the two looks.
        let compared = codec::compared(&bytes, &mut call.budget())?;
        cursor.go_behind(Key::new(&bytes, compared));
    }
}

/// `scan(Tab, start | LastObject | [LastObject, Seq], Limit) -> {[Object], more | done | Seq, Version}`: the objects behind the key of
/// one that an earlier call gave, in the table's order but each step's last first. Where a key of a bag has more objects than
/// fit in a step, the step has no others and gives a seq: with that, the next one goes on inside the key.
pub fn scan<'a>(call: &Call<'a>) -> Outcome<'a> {
    scan_to(call, Direction::Forward)
}

/// `scan_back(Tab, start | LastObject, Limit)`: as `scan`, from the table's end to its start.
pub fn scan_back<'a>(call: &Call<'a>) -> Outcome<'a> {
    scan_to(call, Direction::Backward)
}

fn scan_to<'a>(call: &Call<'a>, direction: Direction) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let mut cursor = start(call, table, call.arg(1), direction)?;
        let limit: usize = call.arg(2).decode().map_err(|_| Fail::none())?;
        let started = Instant::now();
        let version = table.table.seq();
        let mut step = Step {
            table,
            objects: empty_list(call.env),
            binaries: Binaries::new(call.env),
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
fn start<'a>(
    call: &Call<'a>,
    table: &TableResource,
    from: Term<'a>,
    direction: Direction,
) -> Result<Cursor, Fail> {
    let (object, seq) = match cell(from) {
        Some((object, rest)) => (object, cell(rest).and_then(|(seq, _)| seq.decode::<u64>().ok())),
        None => (from, None),
    };
    match (key_of(object, table.keypos()), seq, direction) {
        (Ok(key), Some(seq), _) => buffers::with(|buffers| {
            let key = super::key(call, table, key, &mut buffers.key)?;
            Ok(Cursor::inside(key, seq))
        }),
        (Ok(key), None, _) => beside_key(call, table, key, direction),
        (Err(_), _, Direction::Forward) => Ok(Cursor::default()),
        (Err(_), _, Direction::Backward) => Ok(Cursor::backward()),
    }
}

/// What a step of a scan has come to.
struct Step<'a, 't> {
    table: &'t TableResource,
    objects: Term<'a>,
    binaries: Binaries<'a>,
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
        let binaries = (self.taken > 0).then_some(&mut self.binaries);
        match key.and_then(|key| self.table.layout.decode(key, value, binaries, &mut self.budget)) {
            Ok(word) => {
                let object = element(self.objects.get_env(), word);
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
