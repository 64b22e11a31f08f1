//! Changing the objects that a match specification chose: each only if it is still the object that was chosen.
//!
//! A call works through the front of a list and gives back the rest when its step is used up:
//!
//! ```text
//! delete_objects(Tab, [Object])      -> {Count, Changed, Rest}
//! replace_objects(Tab, [[Old | New]], Through) -> {Count, Changed, Rest}
//! ```
//!
//! `Changed` are the keys under which another object was found.

use std::time::{Duration, Instant};

use bets_engine::Key;
use bets_engine::table::{Change, Commit, Found};
use rustler::{Encoder, Term};

use super::{comparing, key_of, written};
use crate::access::{self, Need};
use crate::buffers::{self, Buffers};
use crate::codec::{Budget, Equality};
use crate::error::Fail;
use crate::raw::{cell, empty_list};
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// What changing an object costs beside its encoding, in units of the budget: an append.
const OBJECT_COST: usize = 100;

/// A step on a dirty scheduler ends after this.
const DIRTY_STEP: Duration = Duration::from_millis(5);

/// `delete_objects(Tab, [Object]) -> {Count, Changed, Rest}`.
pub fn delete_objects<'a>(call: &Call<'a>) -> Outcome<'a> {
    each(call, |table, object, budget, buffers| {
        change(call, table, (object, None), budget, buffers)
    })
}

/// `replace_objects(Tab, [[Old | New]], Through) -> {Count, Changed, Rest}`: in a bag, only objects of a seq up to `Through`.
pub fn replace_objects<'a>(call: &Call<'a>) -> Outcome<'a> {
    each(call, |table, pair, budget, buffers| {
        let (old, new) = cell(pair).ok_or_else(Fail::none)?;
        change(call, table, (old, Some(new)), budget, buffers)
    })
}

/// `clear(Tab) -> Count`: removes all objects in one step.
pub fn clear<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        table.fixes.note_all();
        let (commit, objects) = table.table.clear_counted(call.wait())?;
        Ok(written(call.env, table, Some(commit), objects.encode(call.env)))
    })
}

/// What became of an object.
enum Fate<'a> {
    Done(Option<Commit>, u64),
    /// Another object is there, under this key.
    Changed(Term<'a>),
    /// It is gone.
    Gone,
}

fn each<'a>(
    call: &Call<'a>,
    f: impl Fn(&TableResource, Term<'a>, &mut Budget, &mut Buffers) -> Result<Fate<'a>, Fail>,
) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let started = Instant::now();
        let mut budget = call.budget();
        let mut rest = call.arg(1);
        let (mut count, mut last) = (0, None);
        let mut changed = empty_list(call.env);
        while let Some((object, tail)) = cell(rest) {
            let spent =
                budget.charge(OBJECT_COST).is_err() || (!call.is_normal() && started.elapsed() > DIRTY_STEP);
            let began = rest.as_c_arg() != call.arg(1).as_c_arg();
            if spent && began {
                break;
            }
            match buffers::with(|buffers| f(table, object, &mut budget, buffers)) {
                Ok(Fate::Done(commit, objects)) => {
                    count += objects;
                    last = commit.or(last);
                }
                Ok(Fate::Changed(key)) => changed = changed.list_prepend(key),
                Ok(Fate::Gone) => {}
                // What was done is done; the next step meets the failure first.
                Err(_) if began => break,
                Err(fail) => return Err(fail),
            }
            rest = tail;
        }
        call.consume(started);
        let result = (count, changed, rest).encode(call.env);
        Ok(written(call.env, table, last, result))
    })
}

fn change<'a>(
    call: &Call<'a>,
    table: &TableResource,
    (old, new): (Term<'a>, Option<Term<'a>>),
    budget: &mut Budget,
    buffers: &mut Buffers,
) -> Result<Fate<'a>, Fail> {
    let key_term = key_of(old, table.keypos())?;
    table.layout.encode_object(old, &mut buffers.object, budget)?;
    if table.layout.kind().is_bag() {
        return change_copies(call, table, (key_term, new), budget, buffers);
    }
    let mut new_key = Vec::new();
    let mut key = super::key(call, table, key_term, &mut buffers.key)?;
    let new = match new {
        Some(new) => {
            let mut bytes = Vec::new();
            table.layout.encode_object(new, &mut bytes, budget)?;
            let form = super::key(call, table, key_of(new, table.keypos())?, &mut new_key)?;
            // The key stays the key; the sign of a zero in it may be another.
            if form.compared() == key.compared() {
                key = form;
            }
            Some(bytes)
        }
        None => None,
    };
    if new.is_none() {
        table.note_deletion(key, call.wait())?;
    }
    let (commit, fate) = table.table.update(key, call.wait(), |found: Option<Found<'_>>| {
        let same = found.map(|found| table.layout.same(key_term, found, &buffers.object, budget));
        match (same, new) {
            (Some(Ok(true)), Some(new)) => (Change::Replace(new.into()), Ok(Fate::Done(None, 1))),
            (Some(Ok(true)), None) => (Change::Delete, Ok(Fate::Done(None, 1))),
            (Some(Ok(false)), _) => (Change::Keep, Ok(Fate::Changed(key_term))),
            (Some(Err(fail)), _) => (Change::Keep, Err(fail)),
            (None, _) => (Change::Keep, Ok(Fate::Gone)),
        }
    })?;
    Ok(match fate? {
        Fate::Done(_, objects) => Fate::Done(commit, objects),
        fate => fate,
    })
}

/// Removes or replaces an object, whose bytes are in the buffers, of a bag: all its copies. What a specification chose has its very zeros.
fn change_copies<'a>(
    call: &Call<'a>,
    table: &TableResource,
    (key, new): (Term<'a>, Option<Term<'a>>),
    budget: &mut Budget,
    buffers: &mut Buffers,
) -> Result<Fate<'a>, Fail> {
    let layout = &table.layout;
    let compared = layout.encode_key(key, &mut buffers.key, budget)?;
    let new = match new {
        Some(new) => {
            let (mut new_key, mut bytes) = (Vec::new(), Vec::new());
            layout.encode_object(new, &mut bytes, budget)?;
            let same = layout.encode_key(key_of(new, table.keypos())?, &mut new_key, budget)?;
            if new_key[..same] != buffers.key[..compared] {
                new_key.clone_from(&buffers.key);
            }
            layout.mark_key(&mut new_key, &bytes, budget)?;
            Some((new_key, bytes))
        }
        None => None,
    };
    layout.mark_key(&mut buffers.key, &buffers.object, budget)?;
    let key = Key::new(&buffers.key, compared);
    let (engine, wait) = (&table.table, call.wait());
    let changed = if let Some((new_key, bytes)) = &new {
        let through: u64 = call.arg(2).decode().map_err(|_| Fail::none())?;
        let new = (Key::new(new_key, compared), bytes.as_slice());
        comparing(call, Equality::ZerosDistinct, |same| {
            engine.replace_copies(key, &buffers.object, new, through, wait, same)
        })?
    } else {
        table.note_deletion(key, wait)?;
        comparing(call, Equality::ZerosDistinct, |same| {
            engine.delete_copies(key, &buffers.object, wait, same)
        })?
    };
    Ok(match changed {
        Some((commit, copies)) => Fate::Done(Some(commit), copies as u64),
        None => Fate::Gone,
    })
}
