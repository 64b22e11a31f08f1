//! Counters.

use std::cmp::Ordering;

use bets_engine::Key;
use bets_engine::table::Change;
use rustler::{Env, Term};

use super::update::{place, position_of, store, with_key};
use super::written;
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers;
use crate::codec;
use crate::error::Fail;
use crate::integer::Integer;
use crate::raw::{Word, cell, element, tuple};
use crate::schedule::{Call, Outcome};

/// `update_counter(Tab, Key, Op) -> integer() | [integer()]`, and with a fourth argument the object to start from when the
/// key is missing.
pub fn update_counter<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let (env, keypos) = (call.env, table.keypos);
        let default = (call.arity() == 4).then(|| call.arg(3));
        if default.is_some_and(|default| !default.is_tuple()) {
            return Err(Fail::none());
        }
        let (commit, result) = buffers::with(|buffers| {
            let compared = codec::encode_key(call.arg(1), &mut buffers.key, &mut call.budget())?;
            let mut budget = call.budget();
            Ok::<_, Fail>(table.table.update(Key::new(&buffers.key, compared), call.wait(), |found| {
                let present = found.is_some();
                let elements = match (found, default) {
                    (Some(found), _) => codec::decode_object(env, found.value, &mut budget)
                        .and_then(|object| tuple(object).map(<[Word]>::to_vec).ok_or(Fail::Undecodable)),
                    (None, Some(default)) => with_key(default, call.arg(1), keypos),
                    (None, None) => Err(Fail::Badarg(atoms::badkey())),
                };
                let counted = elements.and_then(|mut elements| {
                    let (result, any) = count_all(env, &mut elements, call.arg(2), keypos)?;
                    Ok((elements, result, any))
                });
                match counted {
                    Ok((_, result, false)) if present => (Change::Keep, Ok(result)),
                    Ok((elements, result, _)) => store(call, &elements, &mut budget, result),
                    Err(fail) => (Change::Keep, Err(fail)),
                }
            })?)
        })?;
        written(env, table, commit, result?)
    })
}

/// Applies one operation or a list of them, and tells the result and whether there was any operation.
fn count_all<'a>(env: Env<'a>, elements: &mut [Word], ops: Term<'a>, keypos: u32) -> Result<(Term<'a>, bool), Fail> {
    if let Some(increment) = Integer::decode(ops) {
        let position = i64::from(keypos) + 1;
        return Ok((add(env, elements, position, keypos, &increment, None)?, true));
    }
    if ops.is_tuple() {
        return Ok((count(env, elements, ops, keypos)?, true));
    }
    let mut results = Vec::new();
    let mut rest = ops;
    while let Some((op, tail)) = cell(rest) {
        results.push(count(env, elements, op, keypos)?);
        rest = tail;
    }
    if !rest.is_empty_list() {
        return Err(Fail::none());
    }
    let any = !results.is_empty();
    let list = results.into_iter().rev().fold(Term::list_new_empty(env), |list, result| list.list_prepend(result));
    Ok((list, any))
}

/// Applies `{Pos, Incr}` or `{Pos, Incr, Threshold, SetValue}`.
fn count<'a>(env: Env<'a>, elements: &mut [Word], op: Term<'a>, keypos: u32) -> Result<Term<'a>, Fail> {
    let integer = |word: Word| Integer::decode(element(env, word)).ok_or_else(Fail::none);
    let (position, increment, limit) = match tuple(op) {
        Some(&[position, increment]) => (position, increment, None),
        Some(&[position, increment, threshold, set_value]) => {
            integer(set_value)?;
            (position, increment, Some((integer(threshold)?, element(env, set_value))))
        }
        _ => return Err(Fail::none()),
    };
    let position = position_of(op, position)?;
    add(env, elements, position, keypos, &integer(increment)?, limit)
}

fn add<'a>(
    env: Env<'a>,
    elements: &mut [Word],
    position: i64,
    keypos: u32,
    increment: &Integer,
    limit: Option<(Integer, Term<'a>)>,
) -> Result<Term<'a>, Fail> {
    if position == i64::from(keypos) {
        return Err(Fail::Badarg(atoms::keypos()));
    }
    let slot = place(elements, position).ok_or_else(|| Fail::Badarg(atoms::position()))?;
    let sum = Integer::decode(element(env, *slot)).ok_or_else(Fail::none)?.plus(increment);
    let result = match limit {
        Some((threshold, set_value)) if beyond(&sum, increment, &threshold) => set_value,
        _ => sum.encode(env).ok_or_else(Fail::none)?,
    };
    *slot = result.as_c_arg();
    Ok(result)
}

/// An increment of 0 counts as upwards.
fn beyond(sum: &Integer, increment: &Integer, threshold: &Integer) -> bool {
    let side = if increment.is_negative() { Ordering::Less } else { Ordering::Greater };
    sum.compare(threshold) == side
}
