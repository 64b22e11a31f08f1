//! Changing elements of an object.

use bets_engine::Key;
use bets_engine::table::Change;
use rustler::Term;

use super::{boolean, written};
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers;
use crate::codec::{self, Budget};
use crate::error::Fail;
use crate::raw::{Word, cell, element, make_tuple, tuple};
use crate::schedule::{Call, Outcome};

/// The largest position that `ets` takes: the VM's largest one-word integer.
const POSITION_MAX: i64 = (1 << 59) - 1;

/// `update_element(Tab, Key, Spec) -> boolean()`, and with a fourth argument the object to store for a missing key.
pub fn update_element<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let (env, specs, keypos) = (call.env, call.arg(2), table.keypos);
        let default = (call.arity() == 4).then(|| call.arg(3));
        if default.is_some_and(|default| !default.is_tuple()) {
            return Err(Fail::none());
        }
        let (commit, done) = buffers::with(|buffers| {
            let compared = codec::encode_key(call.arg(1), &mut buffers.key, &mut call.budget())?;
            let mut budget = call.budget();
            Ok::<_, Fail>(table.table.update(Key::new(&buffers.key, compared), call.wait(), |found| {
                let old = match found.map(|found| codec::decode_object(env, found.value, &mut budget)) {
                    Some(Ok(object)) => tuple(object).ok_or(Fail::Undecodable).map(|e| Some(e.to_vec())),
                    Some(Err(fail)) => Err(fail),
                    None => Ok(None),
                };
                let changed = old.and_then(|old| match (old, default) {
                    (Some(elements), _) => replace(elements, specs, keypos).map(Some),
                    (None, Some(default)) => {
                        replace(with_key(default, call.arg(1), keypos)?, specs, keypos).map(Some)
                    }
                    (None, None) => Ok(None),
                });
                match changed {
                    Ok(None) => (Change::Keep, Ok(false)),
                    Ok(Some(elements)) => store(call, &elements, &mut budget, true),
                    Err(fail) => (Change::Keep, Err(fail)),
                }
            })?)
        })?;
        written(env, table, commit, boolean(env, done?))
    })
}

/// The elements of a default object with this key, or `badarg` if it has no place for one.
pub fn with_key(default: Term<'_>, key: Term<'_>, keypos: u32) -> Result<Vec<Word>, Fail> {
    let mut elements = tuple(default).ok_or_else(Fail::none)?.to_vec();
    *elements.get_mut(keypos as usize - 1).ok_or_else(Fail::none)? = key.as_c_arg();
    Ok(elements)
}

/// The change that stores these elements, with the result of the call.
pub fn store<'a, R>(
    call: &Call<'a>,
    elements: &[Word],
    budget: &mut Budget,
    result: R,
) -> (Change, Result<R, Fail>) {
    let mut bytes = Vec::new();
    match codec::encode_object(make_tuple(call.env, elements), &mut bytes, budget) {
        Ok(_) => (Change::Put(bytes), Ok(result)),
        Err(fail) => (Change::Keep, Err(fail)),
    }
}

fn replace(mut elements: Vec<Word>, specs: Term<'_>, keypos: u32) -> Result<Vec<Word>, Fail> {
    if specs.is_tuple() {
        replace_one(&mut elements, specs, keypos)?;
        return Ok(elements);
    }
    let mut rest = specs;
    while let Some((spec, tail)) = cell(rest) {
        replace_one(&mut elements, spec, keypos)?;
        rest = tail;
    }
    if rest.is_empty_list() { Ok(elements) } else { Err(Fail::none()) }
}

fn replace_one(elements: &mut [Word], spec: Term<'_>, keypos: u32) -> Result<(), Fail> {
    let Some(&[position, value]) = tuple(spec) else {
        return Err(Fail::none());
    };
    let position = position_of(spec, position)?;
    if position == i64::from(keypos) {
        return Err(Fail::Badarg(atoms::keypos()));
    }
    *place(elements, position).ok_or_else(Fail::none)? = value;
    Ok(())
}

/// A position as `ets` reads it: any one-word integer.
pub fn position_of(tuple: Term<'_>, word: Word) -> Result<i64, Fail> {
    element(tuple.get_env(), word)
        .decode::<i64>()
        .ok()
        .filter(|position| (-POSITION_MAX - 1..=POSITION_MAX).contains(position))
        .ok_or_else(Fail::none)
}

/// The element at a position, if there is one.
pub fn place(elements: &mut [Word], position: i64) -> Option<&mut Word> {
    elements.get_mut(usize::try_from(position.checked_sub(1)?).ok()?)
}
