//! `safe_fixtable/2` and `slot/2`.

use std::time::Instant;

use bets_engine::Key;
use bets_engine::table::{Cursor, Table, TableKind};
use rustler::Encoder;

use super::list_of_one;
use crate::access::{self, Need};
use crate::atoms;
use crate::codec;
use crate::error::Fail;
use crate::fix::Since;
use crate::raw::{caller, empty_list, word_pid};
use crate::registry;
use crate::schedule::{Call, Outcome};
use crate::table::{SlotPlace, TableResource};

/// A call on a normal scheduler walks over so many keys at most.
const WALK_MAX: usize = 200;

/// `fix(Tab, MonotonicTime, Timestamp) -> true`.
pub fn fix<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let since = Since {
            monotonic: call.arg(1).decode().map_err(|_| Fail::none())?,
            timestamp: call.arg(2).decode().map_err(|_| Fail::none())?,
        };
        let arc = registry::by_id(table.id).ok_or_else(Fail::id)?;
        table.fixes.fix(call.env, &arc, caller(call.env), since);
        Ok(super::boolean(call.env, true))
    })
}

/// `unfix(Tab) -> true`.
pub fn unfix<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let arc = registry::by_id(table.id).ok_or_else(Fail::id)?;
        table.fixes.unfix(call.env, &arc, caller(call.env));
        Ok(super::boolean(call.env, true))
    })
}

/// `fixes(Tab) -> {MonotonicTime, Timestamp, [{Pid, Count}]} | false | undefined`.
pub fn fixes<'a>(call: &Call<'a>) -> Outcome<'a> {
    let found = access::with_open(call.arg(0), |table| match table.fixes.holders(call.env) {
        Some((since, holders)) => {
            let holders: Vec<_> = holders
                .into_iter()
                .map(|(pid, count)| (word_pid(pid), count))
                .collect();
            (since.monotonic, since.timestamp, holders).encode(call.env)
        }
        None => super::boolean(call.env, false),
    })?;
    Ok(found.unwrap_or_else(|| atoms::undefined().to_term(call.env)))
}

/// `slot(Tab, Number) -> [Key] | '$end_of_table'`.
pub fn slot<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let number: usize = call.arg(1).decode().map_err(|_| Fail::none())?;
        if table.table.meta().kind == TableKind::OrderedSet {
            return ordered(call, table, number);
        }
        let bits = table.fixes.slot_bits().unwrap_or_else(|| table.table.slot_bits());
        match table.table.slot(number, bits, call.wait())? {
            Some(keys) => {
                let mut list = empty_list(call.env);
                for key in keys.iter().rev() {
                    list = list.list_prepend(codec::decode_key(call.env, key, &mut call.budget())?);
                }
                Ok(list)
            }
            None if number == Table::slots(bits) => Ok(atoms::end_of_table().to_term(call.env)),
            None => Err(Fail::none()),
        }
    })
}

/// The key of this number in the order of the keys: one step behind the last number that was asked for, if nothing was written since.
fn ordered<'a>(call: &Call<'a>, table: &TableResource, number: usize) -> Outcome<'a> {
    let version = table.table.seq();
    let started = Instant::now();
    let known = table
        .slot
        .lock()
        .take()
        .filter(|place| place.version == version && place.number <= number);
    let (mut at, mut key) = match known {
        Some(place) => (place.number, Some(place.key)),
        None => (0, table.table.next_key(&Cursor::default(), call.wait())?),
    };
    if call.is_normal() && number - at > WALK_MAX {
        return Err(Fail::OverBudget);
    }
    while at < number {
        let Some(bytes) = &key else { break };
        let compared = codec::compared(bytes, &mut call.budget())?;
        let cursor = Cursor::after(Key::new(bytes, compared));
        key = table.table.next_key(&cursor, call.wait())?;
        at += 1;
    }
    call.consume(started);
    match key {
        Some(key) => {
            let term = codec::decode_key(call.env, &key, &mut call.budget())?;
            *table.slot.lock() = Some(SlotPlace { version, number, key });
            Ok(list_of_one(call.env, term))
        }
        None if at == number => Ok(atoms::end_of_table().to_term(call.env)),
        None => Err(Fail::none()),
    }
}
