//! Counters.

use std::borrow::Cow;
use std::cmp::Ordering;

use bets_codec::object;
use bets_engine::table::{Change, Found};
use rustler::{Encoder, Env, Term};

use super::update::{changed, position_of, start};
use super::written;
use crate::access::{self, Need};
use crate::atoms;
use crate::codec::Budget;
use crate::edit::Edit;
use crate::error::Fail;
use crate::integer::Integer;
use crate::raw::{Word, cell, element, tuple};
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// `update_counter(Tab, Key, Op) -> integer() | [integer()]`, and with a fourth argument the object to start from when the
/// key is missing.
pub fn update_counter<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let default = (call.arity() == 4).then(|| call.arg(3));
        if default.is_some_and(|default| !default.is_tuple()) {
            return Err(Fail::none());
        }
        if table.layout.kind().is_bag() {
            return Err(Fail::Badarg(atoms::table_type()));
        }
        let (commit, result) = changed(call, table, |found, object, made| {
            count(call, table, (found, default), object, made)
        })?;
        Ok(written(call.env, table, commit, element(call.env, result)))
    })
}

/// What becomes of the object that was found, or of the one to start from. The latter is encoded in one buffer, what becomes of it in the other.
fn count<'v>(
    call: &Call<'_>,
    table: &TableResource,
    (found, default): (Option<Found<'_>>, Option<Term<'_>>),
    object: &mut Vec<u8>,
    made: &'v mut Vec<u8>,
) -> Result<(Change<'v>, Word), Fail> {
    let mut budget = call.budget();
    let present = found.is_some();
    let bytes = match found {
        Some(found) => found.value,
        None => start(table, default, object, &mut budget)?.ok_or_else(|| Fail::Badarg(atoms::badkey()))?,
    };
    if let Some(sum) = add_small(table, bytes, call.arg(2), made, budget) {
        return Ok((Change::Put(Cow::Borrowed(made)), sum.encode(call.env).as_c_arg()));
    }
    let mut counter = Counter {
        env: call.env,
        edit: Edit::new(table.layout, bytes, made)?,
        keypos: table.keypos(),
        budget: &mut budget,
    };
    let result = counter.all(call.arg(2))?.as_c_arg();
    let edit = counter.edit;
    let change = if present && call.arg(2).is_empty_list() {
        Change::Keep
    } else {
        Change::Put(Cow::Borrowed(edit.finish(&mut budget)?))
    };
    Ok((change, result))
}

/// What mostly happens: one operation without a threshold, on integers of 64 bits. Puts the new object into `made` and gives the sum; `None` where anything is otherwise
/// or wrong, which [`Counter`] sees to.
fn add_small(
    table: &TableResource,
    bytes: &[u8],
    op: Term<'_>,
    made: &mut Vec<u8>,
    mut budget: Budget,
) -> Option<i64> {
    let (position, increment) = match tuple(op) {
        None => (table.keypos() + 1, op),
        Some(&[position, increment]) => (position_of(op, position).ok()?, element(op.get_env(), increment)),
        Some(_) => return None,
    };
    let (range, old) = object::int_element(bytes, table.keypos(), position, &mut budget)?;
    let sum = old.checked_add(increment.decode().ok()?)?;
    budget.charge_bytes(bytes.len()).ok()?;
    made.clear();
    made.extend_from_slice(&bytes[..range.start]);
    object::put_int(made, sum);
    made.extend_from_slice(&bytes[range.end..]);
    Some(sum)
}

/// The object whose integers are counted up and down.
struct Counter<'a, 'b, 'o, 'c> {
    env: Env<'a>,
    edit: Edit<'b, 'o>,
    keypos: usize,
    budget: &'c mut Budget,
}

impl<'a> Counter<'a, '_, '_, '_> {
    /// Applies one operation or a list of them.
    fn all(&mut self, ops: Term<'a>) -> Outcome<'a> {
        if let Some(increment) = Integer::decode(ops) {
            return self.add(self.keypos + 1, &increment, None);
        }
        if ops.is_tuple() {
            return self.one(ops);
        }
        let mut results = Vec::new();
        let mut rest = ops;
        while let Some((op, tail)) = cell(rest) {
            results.push(self.one(op)?);
            rest = tail;
        }
        if rest.is_empty_list() {
            Ok(results.encode(self.env))
        } else {
            Err(Fail::none())
        }
    }

    /// Applies `{Pos, Incr}` or `{Pos, Incr, Threshold, SetValue}`.
    fn one(&mut self, op: Term<'a>) -> Outcome<'a> {
        let env = self.env;
        let integer = |word: Word| Integer::decode(element(env, word)).ok_or_else(Fail::none);
        match tuple(op) {
            Some(&[position, increment]) => {
                let increment = integer(increment)?;
                self.add(position_of(op, position)?, &increment, None)
            }
            Some(&[position, increment, threshold, set_value]) => {
                let limit = (integer(threshold)?, integer(set_value)?);
                let increment = integer(increment)?;
                self.add(position_of(op, position)?, &increment, Some(limit))
            }
            _ => Err(Fail::none()),
        }
    }

    fn add(
        &mut self,
        position: usize,
        increment: &Integer,
        limit: Option<(Integer, Integer)>,
    ) -> Outcome<'a> {
        if position == self.keypos {
            return Err(Fail::Badarg(atoms::keypos()));
        }
        if !self.edit.has(position) {
            return Err(Fail::Badarg(atoms::position()));
        }
        let old = self
            .edit
            .integer(self.env, position, self.budget)?
            .ok_or_else(Fail::none)?;
        let sum = old.plus(increment);
        let result = match limit {
            Some((threshold, set_value)) if beyond(&sum, increment, &threshold) => set_value,
            _ => sum,
        };
        let term = result.encode(self.env).ok_or_else(Fail::none)?;
        self.edit.set_integer(self.env, position, result, self.budget)?;
        Ok(term)
    }
}

/// An increment of 0 counts as upwards.
fn beyond(sum: &Integer, increment: &Integer, threshold: &Integer) -> bool {
    let side = if increment.is_negative() {
        Ordering::Less
    } else {
        Ordering::Greater
    };
    sum.compare(threshold) == side
}
