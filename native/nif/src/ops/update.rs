//! Changing elements of an object.

use std::borrow::Cow;

use bets_engine::table::{Change, Commit, Found};
use rustler::Term;

use super::open::equality_of_vm;
use super::{boolean, written};
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers::{self, Buffers};
use crate::codec::{Budget, Equality};
use crate::edit::Edit;
use crate::error::Fail;
use crate::raw::{Word, cell, element, tuple};
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// The largest position that `ets` takes: the VM's largest one-word integer.
const POSITION_MAX: i64 = (1 << 59) - 1;

/// `update_element(Tab, Key, Spec) -> boolean()`, and with a fourth argument the object to start from for a missing key.
pub fn update_element<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let default = (call.arity() == 4).then(|| call.arg(3));
        if default.is_some_and(|default| !default.is_tuple()) || table.layout.kind().is_bag() {
            return Err(Fail::none());
        }
        let (commit, done) = changed(call, table, |found, object, made| {
            change(call, table, (found, default), object, made)
        })?;
        Ok(written(call.env, table, commit, boolean(call.env, done)))
    })
}

/// Changes the object of the call's key as `f` says, which gets what was found, a buffer for an object to start from, and one for what becomes of it. If it
/// fails nothing is changed.
pub fn changed<R>(
    call: &Call<'_>,
    table: &TableResource,
    mut f: impl for<'v> FnMut(Option<Found<'_>>, &mut Vec<u8>, &'v mut Vec<u8>) -> Result<(Change<'v>, R), Fail>,
) -> Result<(Option<Commit>, R), Fail> {
    buffers::with(|Buffers { key, object, made }| {
        let key = super::key(call, table, call.arg(1), key)?;
        let f = &mut f;
        let decide = move |found: Option<Found<'_>>| {
            let made = made;
            match f(found, object, made) {
                Ok((change, result)) => (change, Ok(result)),
                Err(fail) => (Change::Keep, Err(fail)),
            }
        };
        let (commit, result) = table.table.update(key, call.wait(), decide)?;
        Ok((commit, result?))
    })
}

/// What becomes of the object that was found, or of the one to start from; `false` if there is neither. The latter is encoded in one buffer, what becomes
/// of it in the other.
fn change<'v>(
    call: &Call<'_>,
    table: &TableResource,
    (found, default): (Option<Found<'_>>, Option<Term<'_>>),
    object: &mut Vec<u8>,
    made: &'v mut Vec<u8>,
) -> Result<(Change<'v>, bool), Fail> {
    let mut budget = call.budget();
    let present = found.is_some();
    let bytes = match found {
        Some(found) => found.value,
        None => match start(table, default, object, &mut budget)? {
            Some(bytes) => bytes,
            None => return Ok((Change::Keep, false)),
        },
    };
    let mut edit = Edit::new(table.layout, bytes, made)?;
    replace_all(&mut edit, call.arg(2), table.keypos(), &mut budget)?;
    if present && call.arg(2).is_empty_list() {
        return Ok((Change::Keep, true));
    }
    Ok((Change::Put(Cow::Borrowed(edit.finish(&mut budget)?)), true))
}

/// The bytes of the object to start from when the key is missing, if the call gave one: a tuple with a place for the key.
pub fn start<'b>(
    table: &TableResource,
    default: Option<Term<'_>>,
    buffer: &'b mut Vec<u8>,
    budget: &mut Budget,
) -> Result<Option<&'b [u8]>, Fail> {
    let Some(default) = default else {
        return Ok(None);
    };
    super::key_of(default, table.keypos())?;
    buffer.clear();
    table.layout.encode_object(default, buffer, budget)?;
    Ok(Some(buffer))
}

fn replace_all(
    edit: &mut Edit<'_, '_>,
    specs: Term<'_>,
    keypos: usize,
    budget: &mut Budget,
) -> Result<(), Fail> {
    if specs.is_tuple() {
        return replace(edit, specs, keypos, budget);
    }
    let mut rest = specs;
    while let Some((spec, tail)) = cell(rest) {
        replace(edit, spec, keypos, budget)?;
        rest = tail;
    }
    if rest.is_empty_list() {
        Ok(())
    } else {
        Err(Fail::none())
    }
}

fn replace(edit: &mut Edit<'_, '_>, spec: Term<'_>, keypos: usize, budget: &mut Budget) -> Result<(), Fail> {
    let Some(&[position, value]) = tuple(spec) else {
        return Err(Fail::none());
    };
    let position = position_of(spec, position)?;
    if position == keypos {
        return Err(Fail::Badarg(atoms::keypos()));
    }
    if !edit.has(position) {
        // `ets` names this cause from the release on in which the zeros became distinct.
        return Err(match equality_of_vm(spec.get_env()) {
            Equality::ZerosEqual => Fail::none(),
            Equality::ZerosDistinct => Fail::Badarg(atoms::position()),
        });
    }
    edit.set(position, element(spec.get_env(), value), budget)
}

/// A position as `ets` reads it: any one-word integer. One that no element has, because it is not positive, is given as 0.
pub fn position_of(tuple: Term<'_>, word: Word) -> Result<usize, Fail> {
    element(tuple.get_env(), word)
        .decode::<i64>()
        .ok()
        .filter(|position| (-POSITION_MAX - 1..=POSITION_MAX).contains(position))
        .map(|position| usize::try_from(position).unwrap_or(0))
        .ok_or_else(Fail::none)
}
