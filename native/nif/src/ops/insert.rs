//! Storing objects.

use std::time::Instant;

use bets_engine::Key;
use rustler::Term;

use super::{boolean, key_of, written};
use crate::access::{self, Need};
use crate::buffers::{self, Buffers};
use crate::error::Fail;
use crate::raw::cell;
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// A list of more objects than this is not taken on a normal scheduler.
const NORMAL_OBJECTS: usize = 100;

/// `insert(Tab, ObjectOrObjects) -> true`.
pub fn insert<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let objects = call.arg(1);
        let commit = buffers::with(|buffers| {
            if objects.is_tuple() {
                let compared = encode(call, table, objects, buffers)?;
                let key = Key::new(&buffers.key, compared);
                return Ok(Some(table.table.put(key, &buffers.object, call.wait())?));
            }
            let started = Instant::now();
            let places = encode_list(call, table, objects, buffers)?;
            let commit = match pairs(&places, buffers).as_slice() {
                [] => None,
                [(key, value)] => Some(table.table.put(*key, value, call.wait())?),
                many => Some(table.table.put_many(many, call.wait())?),
            };
            call.consume(started);
            Ok::<_, Fail>(commit)
        })?;
        Ok(written(call.env, table, commit, boolean(call.env, true)))
    })
}

/// `insert_new(Tab, ObjectOrObjects) -> boolean()`.
pub fn insert_new<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let objects = call.arg(1);
        let (commit, done) = buffers::with(|buffers| {
            let commit = if objects.is_tuple() {
                let compared = encode(call, table, objects, buffers)?;
                let put = (Key::new(&buffers.key, compared), buffers.object.as_slice());
                table.table.put_many_new(&[put], call.wait())?
            } else {
                let places = encode_list(call, table, objects, buffers)?;
                if places.is_empty() {
                    return Ok((None, true));
                }
                table.table.put_many_new(&pairs(&places, buffers), call.wait())?
            };
            Ok::<_, Fail>((commit, commit.is_some()))
        })?;
        Ok(written(call.env, table, commit, boolean(call.env, done)))
    })
}

fn encode<'a>(
    call: &Call<'a>,
    table: &TableResource,
    object: Term<'a>,
    buffers: &mut Buffers,
) -> Result<usize, Fail> {
    let mut budget = call.budget();
    let key = key_of(object, table.keypos())?;
    let compared = table.layout.encode_key(key, &mut buffers.key, &mut budget)?;
    table
        .layout
        .encode_object(object, &mut buffers.object, &mut budget)?;
    Ok(compared)
}

/// Where an object's bytes stand in the buffers: the key's end, its compared length, the object's end.
type Place = (usize, usize, usize);

/// Checks the whole list before anything is done with it.
fn encode_list<'a>(
    call: &Call<'a>,
    table: &TableResource,
    list: Term<'a>,
    buffers: &mut Buffers,
) -> Result<Vec<Place>, Fail> {
    let mut budget = call.budget();
    let mut places = Vec::new();
    let mut rest = list;
    while let Some((object, tail)) = cell(rest) {
        if call.is_normal() && places.len() >= NORMAL_OBJECTS {
            return Err(Fail::OverBudget);
        }
        let key = key_of(object, table.keypos())?;
        let compared = table.layout.encode_key(key, &mut buffers.key, &mut budget)?;
        table
            .layout
            .encode_object(object, &mut buffers.object, &mut budget)?;
        places.push((buffers.key.len(), compared, buffers.object.len()));
        rest = tail;
    }
    if rest.is_empty_list() {
        Ok(places)
    } else {
        Err(Fail::none())
    }
}

fn pairs<'b>(places: &[Place], buffers: &'b Buffers) -> Vec<(Key<'b>, &'b [u8])> {
    let (mut key_start, mut object_start) = (0, 0);
    places
        .iter()
        .map(|&(key_end, compared, object_end)| {
            let pair = (
                Key::new(&buffers.key[key_start..key_end], compared),
                &buffers.object[object_start..object_end],
            );
            (key_start, object_start) = (key_end, object_end);
            pair
        })
        .collect()
}
