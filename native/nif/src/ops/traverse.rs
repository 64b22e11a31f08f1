//! Going through a table.

use bets_engine::Key;
use bets_engine::table::Cursor;
use rustler::{Encoder, Term};

use super::lookup::{contains, get};
use super::{key_of, list_of_one};
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers;
use crate::codec;
use crate::error::Fail;
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// A step of a scan reads not much more than this, in bytes.
const SCAN_BYTES: usize = 64 * 1024;

/// What part of a time slice a step of a scan takes at most, in percent.
const SCAN_PERCENT: i32 = 10;

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

/// `first_lookup(Tab) -> [Key, Object] | '$end_of_table'`.
pub fn first_lookup<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| step_lookup(call, table, Cursor::default()))
}

/// `next_lookup(Tab, Key) -> [Key, Object] | '$end_of_table'`.
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
fn behind_present<'a>(call: &Call<'a>, table: &TableResource) -> Result<Cursor, Fail> {
    if contains(call, table, call.arg(1))? { behind(call, call.arg(1)) } else { Err(Fail::none()) }
}

fn behind<'a>(call: &Call<'a>, key: Term<'a>) -> Result<Cursor, Fail> {
    buffers::with(|buffers| {
        let compared = codec::encode_key(key, &mut buffers.key, &mut call.budget())?;
        Ok(Cursor::after(Key::new(&buffers.key, compared)))
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
        if let Some(object) = get(call, table, key)? {
            return Ok(list_of_one(call.env, object).list_prepend(key));
        }
        // It was deleted between the two looks.
        cursor = Cursor::after(Key::new(&bytes, codec::compared(&bytes)));
    }
}

/// `scan(Tab, start | LastObject, Limit) -> {[Object], more | done, Version}`: the objects behind one that an earlier call
/// gave, in the table's order but each step's last first.
pub fn scan<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let mut cursor = match key_of(call.arg(1), table.keypos) {
            Ok(key) => behind(call, key)?,
            Err(_) => Cursor::default(),
        };
        let limit: usize = call.arg(2).decode().map_err(|_| Fail::none())?;
        let version = table.table.stats().seq;
        let mut objects = Term::list_new_empty(call.env);
        let mut failed = None;
        let mut budget = call.budget();
        let mut taken = 0_usize;
        let more = table.table.scan(&mut cursor, limit, SCAN_BYTES, call.wait(), |_key, value| {
            if failed.is_some() {
                return;
            }
            match codec::decode_object(call.env, value, &mut budget) {
                Ok(object) => {
                    objects = objects.list_prepend(object);
                    taken += 1;
                }
                Err(fail) => failed = Some(fail),
            }
        })?;
        let more = match failed {
            // What was decoded so far is a step too; the next one begins where this one stopped.
            Some(Fail::OverBudget) if taken > 0 => true,
            Some(fail) => return Err(fail),
            None => more,
        };
        if call.is_normal() {
            rustler::schedule::consume_timeslice(call.env, SCAN_PERCENT);
        }
        let state = if more { atoms::more() } else { atoms::done() };
        Ok((objects, state, version).encode(call.env))
    })
}

/// `version(Tab) -> integer()`: changes with every write.
pub fn version<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| Ok(table.table.stats().seq.encode(call.env)))
}
