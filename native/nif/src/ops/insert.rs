//! Storing objects.

use std::time::Instant;

use bets_engine::table::{Commit, TableKind, Ttl};
use bets_engine::{Deadline, Key};
use rustler::Term;

use super::{boolean, comparing, key_of, written};
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers::{self, Buffers};
use crate::error::Fail;
use crate::raw::{cell, prefetch, tuple};
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// A list of more objects than this is not taken on a normal scheduler.
const NORMAL_OBJECTS: usize = 100;

/// `insert(Tab, ObjectOrObjects) -> true`, and with a third argument that says how long they are there (see [`ttl`]).
pub fn insert<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let objects = call.arg(1);
        let commit = buffers::with(|buffers| {
            if objects.is_tuple() {
                let compared = encode(call, table, objects, buffers)?;
                let key = Key::new(&buffers.key, compared);
                return store(call, table, &[(key, &buffers.object)]);
            }
            let started = Instant::now();
            let places = encode_list(call, table, objects, buffers)?;
            let commit = store(call, table, &pairs(&places, buffers))?;
            call.consume(started);
            Ok::<_, Fail>(commit)
        })?;
        Ok(written(call.env, table, commit, boolean(call.env, true)))
    })
}

/// `insert_new(Tab, ObjectOrObjects) -> boolean()`, and with a third argument as [`insert`].
pub fn insert_new<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let objects = call.arg(1);
        let (commit, done) = buffers::with(|buffers| {
            let commit = if objects.is_tuple() {
                let compared = encode(call, table, objects, buffers)?;
                let put = (Key::new(&buffers.key, compared), buffers.object.as_slice());
                store_new(call, table, &[put])?
            } else {
                let places = encode_list(call, table, objects, buffers)?;
                if places.is_empty() {
                    return Ok((None, true));
                }
                store_new(call, table, &pairs(&places, buffers))?
            };
            Ok::<_, Fail>((commit, commit.is_some()))
        })?;
        Ok(written(call.env, table, commit, boolean(call.env, done)))
    })
}

/// How long the objects of this call are there: `infinity`, a number of milliseconds, `[Ms]` for a moment in milliseconds since 1970, or, without the argument, as long as the table says.
#[inline]
fn ttl(call: &Call<'_>) -> Result<Ttl, Fail> {
    if call.arity() < 3 {
        return Ok(Ttl::OfTable);
    }
    let asked = call.arg(2);
    if let Some((moment, _)) = cell(asked) {
        let ms = moment.decode().map_err(|_| Fail::none())?;
        return Ok(Ttl::Until(Deadline::at(ms)));
    }
    match asked.decode::<u64>() {
        Ok(ms) => Ok(Ttl::Ms(ms)),
        Err(_) if asked == atoms::infinity().to_term(call.env) => Ok(Ttl::Infinite),
        Err(_) => Err(Fail::none()),
    }
}

fn store(call: &Call<'_>, table: &TableResource, puts: &[(Key<'_>, &[u8])]) -> Result<Option<Commit>, Fail> {
    let wait = call.wait();
    let engine = table.table.expiring(ttl(call)?);
    Ok(match puts {
        [] => None,
        [(key, value)] if table.layout.kind() == TableKind::Bag => {
            comparing(call, table.layout.equality(), |same| {
                engine.add(*key, value, wait, same)
            })?
        }
        many if table.layout.kind() == TableKind::Bag => comparing(call, table.layout.equality(), |same| {
            engine.add_many(many, wait, same)
        })?,
        [(key, value)] => Some(engine.put(*key, value, wait)?),
        many => Some(engine.put_many(many, wait)?),
    })
}

fn store_new(
    call: &Call<'_>,
    table: &TableResource,
    puts: &[(Key<'_>, &[u8])],
) -> Result<Option<Commit>, Fail> {
    let engine = table.table.expiring(ttl(call)?);
    if table.layout.kind() == TableKind::Bag {
        comparing(call, table.layout.equality(), |same| {
            engine.add_many_new(puts, call.wait(), same)
        })
    } else {
        Ok(engine.put_many_new(puts, call.wait())?)
    }
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
    table.table.prefetch(Key::new(&buffers.key, compared));
    table
        .layout
        .encode_object(object, &mut buffers.object, &mut budget)?;
    table
        .layout
        .mark_key(&mut buffers.key, &buffers.object, &mut budget)?;
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
    let mut ahead = Ahead::of(list);
    while let Some((object, tail)) = cell(rest) {
        ahead.step();
        if call.is_normal() && places.len() >= NORMAL_OBJECTS {
            return Err(Fail::OverBudget);
        }
        let key = key_of(object, table.keypos())?;
        let compared = table.layout.encode_key(key, &mut buffers.key, &mut budget)?;
        let start = buffers.object.len();
        table
            .layout
            .encode_object(object, &mut buffers.object, &mut budget)?;
        table
            .layout
            .mark_key(&mut buffers.key, &buffers.object[start..], &mut budget)?;
        places.push((buffers.key.len(), compared, buffers.object.len()));
        rest = tail;
    }
    if rest.is_empty_list() {
        Ok(places)
    } else {
        Err(Fail::none())
    }
}

/// Who goes through a list before it is read, and has the processor fetch what will be: the terms of a list lie anywhere.
struct Ahead<'a> {
    /// From here on, objects were not looked at.
    far: Term<'a>,
    /// From here on, objects are on their way, but not what they consist of.
    near: Term<'a>,
}

impl<'a> Ahead<'a> {
    /// So many objects lie between the two, and between the nearer one and the reader.
    const OBJECTS: usize = 8;
    /// So many elements of an object are fetched: it may have millions.
    const ELEMENTS: usize = 4;

    fn of(list: Term<'a>) -> Self {
        let mut ahead = Ahead {
            far: list,
            near: list,
        };
        (0..Self::OBJECTS).for_each(|_| ahead.step_far());
        (0..Self::OBJECTS).for_each(|_| ahead.step());
        ahead
    }

    /// Goes on by one object.
    fn step(&mut self) {
        self.step_far();
        if let Some((object, tail)) = cell(self.near) {
            let elements = tuple(object).into_iter().flatten().take(Self::ELEMENTS);
            elements.copied().for_each(prefetch);
            self.near = tail;
        }
    }

    fn step_far(&mut self) {
        if let Some((object, tail)) = cell(self.far) {
            prefetch(object.as_c_arg());
            self.far = tail;
        }
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
