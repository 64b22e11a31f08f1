//! Counters.

use std::cmp::Ordering;

use bets_engine::table::Change;
use rustler::{Encoder, Env, Term};

use super::update::{position_of, start};
use super::written;
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers;
use crate::codec::Budget;
use crate::edit::Edit;
use crate::error::Fail;
use crate::integer::Integer;
use crate::raw::{Word, cell, element, tuple};
use crate::schedule::{Call, Outcome};

/// `update_counter(Tab, Key, Op) -> integer() | [integer()]`, and with a fourth argument the object to start from when the
/// key is missing.
pub fn update_counter<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let default = (call.arity() == 4).then(|| call.arg(3));
        if default.is_some_and(|default| !default.is_tuple()) {
            return Err(Fail::none());
        }
        let (commit, result) = buffers::with(|buffers| {
            let key = super::key(call, table, call.arg(1), &mut buffers.key)?;
            let mut budget = call.budget();
            Ok::<_, Fail>(table.table.update(key, call.wait(), |found| {
                let mut count = || {
                    let present = found.is_some();
                    let bytes = match found {
                        Some(found) => found.value,
                        None => start(table, default, &mut buffers.object, &mut budget)?
                            .ok_or_else(|| Fail::Badarg(atoms::badkey()))?,
                    };
                    let mut edit = Edit::new(table.layout, bytes)?;
                    let result = count_all(call.env, &mut edit, call.arg(2), table.keypos(), &mut budget)?;
                    let unchanged = present && call.arg(2).is_empty_list();
                    let change = if unchanged {
                        Change::Keep
                    } else {
                        Change::Put(edit.finish(&mut budget)?)
                    };
                    Ok::<_, Fail>((change, result))
                };
                match count() {
                    Ok((change, result)) => (change, Ok(result)),
                    Err(fail) => (Change::Keep, Err(fail)),
                }
            })?)
        })?;
        Ok(written(call.env, table, commit, result?))
    })
}

/// Applies one operation or a list of them.
fn count_all<'a>(
    env: Env<'a>,
    edit: &mut Edit<'_>,
    ops: Term<'a>,
    keypos: usize,
    budget: &mut Budget,
) -> Result<Term<'a>, Fail> {
    if let Some(increment) = Integer::decode(ops) {
        return add(env, edit, keypos as i64 + 1, keypos, &increment, None, budget);
    }
    if ops.is_tuple() {
        return count(env, edit, ops, keypos, budget);
    }
    let mut results = Vec::new();
    let mut rest = ops;
    while let Some((op, tail)) = cell(rest) {
        results.push(count(env, edit, op, keypos, budget)?);
        rest = tail;
    }
    if rest.is_empty_list() {
        Ok(results.encode(env))
    } else {
        Err(Fail::none())
    }
}

/// Applies `{Pos, Incr}` or `{Pos, Incr, Threshold, SetValue}`.
fn count<'a>(
    env: Env<'a>,
    edit: &mut Edit<'_>,
    op: Term<'a>,
    keypos: usize,
    budget: &mut Budget,
) -> Result<Term<'a>, Fail> {
    let integer = |word: Word| Integer::decode(element(env, word)).ok_or_else(Fail::none);
    let (position, increment, limit) = match tuple(op) {
        Some(&[position, increment]) => (position, increment, None),
        Some(&[position, increment, threshold, set_value]) => (
            position,
            increment,
            Some((integer(threshold)?, integer(set_value)?)),
        ),
        _ => return Err(Fail::none()),
    };
    let increment = integer(increment)?;
    add(
        env,
        edit,
        position_of(op, position)?,
        keypos,
        &increment,
        limit,
        budget,
    )
}

fn add<'a>(
    env: Env<'a>,
    edit: &mut Edit<'_>,
    position: i64,
    keypos: usize,
    increment: &Integer,
    limit: Option<(Integer, Integer)>,
    budget: &mut Budget,
) -> Result<Term<'a>, Fail> {
    if position == keypos as i64 {
        return Err(Fail::Badarg(atoms::keypos()));
    }
    let place = edit
        .place(position)
        .ok_or_else(|| Fail::Badarg(atoms::position()))?;
    let sum = edit
        .integer(env, place, budget)?
        .ok_or_else(Fail::none)?
        .plus(increment);
    let result = match limit {
        Some((threshold, set_value)) if beyond(&sum, increment, &threshold) => set_value,
        _ => sum,
    };
    let term = result.encode(env).ok_or_else(Fail::none)?;
    edit.set_integer(env, place, result, budget)?;
    Ok(term)
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
