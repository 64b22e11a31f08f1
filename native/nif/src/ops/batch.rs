//! Storing and removing in one step.

use std::time::Instant;

use bets_engine::Key;
use bets_engine::table::Write;
use rustler::Term;

use super::{boolean, key_of, written};
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers::{self, Buffers};
use crate::error::Fail;
use crate::raw::{cell, element, tuple};
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// More changes than this are not taken on a normal scheduler.
const NORMAL_CHANGES: usize = 100;

/// `batch(Tab, [{put, Object} | {delete, Key}]) -> true`.
pub fn batch<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        one_object_a_key(table)?;
        let started = Instant::now();
        let commit = buffers::with(|buffers| {
            let places = encode(call, table, buffers)?;
            Ok::<_, Fail>(table.table.write_many(&writes(&places, buffers), call.wait())?)
        })?;
        call.consume(started);
        Ok(written(call.env, table, commit, boolean(call.env, true)))
    })
}

/// Refuses bags, whose keys have many objects.
pub fn one_object_a_key(table: &TableResource) -> Result<(), Fail> {
    if table.layout.kind().is_bag() {
        Err(Fail::Badarg(atoms::table_type()))
    } else {
        Ok(())
    }
}

/// Where a change's bytes stand in the buffers.
struct Place {
    key_end: usize,
    compared: usize,
    /// `None` for a key that is to be removed.
    object_end: Option<usize>,
}

/// Checks all changes before anything is done with them.
fn encode(call: &Call<'_>, table: &TableResource, buffers: &mut Buffers) -> Result<Vec<Place>, Fail> {
    let mut budget = call.budget();
    let mut places = Vec::new();
    let mut rest = call.arg(1);
    while let Some((change, tail)) = cell(rest) {
        if call.is_normal() && places.len() >= NORMAL_CHANGES {
            return Err(Fail::OverBudget);
        }
        let (object, key) = what(change, table.keypos())?;
        let compared = table.layout.encode_key(key, &mut buffers.key, &mut budget)?;
        if let Some(object) = object {
            table
                .layout
                .encode_object(object, &mut buffers.object, &mut budget)?;
        }
        places.push(Place {
            key_end: buffers.key.len(),
            compared,
            object_end: object.map(|_| buffers.object.len()),
        });
        rest = tail;
    }
    if rest.is_empty_list() {
        Ok(places)
    } else {
        Err(Fail::none())
    }
}

/// The object that a change stores, if it does, and the key.
fn what(change: Term<'_>, keypos: usize) -> Result<(Option<Term<'_>>, Term<'_>), Fail> {
    let env = change.get_env();
    let Some(&[word, what]) = tuple(change) else {
        return Err(Fail::none());
    };
    let (word, what) = (element(env, word), element(env, what));
    if word == atoms::put().to_term(env) {
        Ok((Some(what), key_of(what, keypos)?))
    } else if word == atoms::delete().to_term(env) {
        Ok((None, what))
    } else {
        Err(Fail::none())
    }
}

fn writes<'b>(places: &[Place], buffers: &'b Buffers) -> Vec<Write<'b>> {
    let (mut key_start, mut object_start) = (0, 0);
    places
        .iter()
        .map(|place| {
            let key = Key::new(&buffers.key[key_start..place.key_end], place.compared);
            key_start = place.key_end;
            let object = place.object_end.map(|end| {
                let object = &buffers.object[object_start..end];
                object_start = end;
                object
            });
            (key, object)
        })
        .collect()
}
