//! Reading one key.

use bets_engine::Key;
use rustler::Term;

use super::{boolean, list_of_one};
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers;
use crate::codec;
use crate::error::Fail;
use crate::raw::{element, tuple};
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// `lookup(Tab, Key) -> [Object]`.
pub fn lookup<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        Ok(match get(call, table, call.arg(1))? {
            Some(object) => list_of_one(call.env, object),
            None => Term::list_new_empty(call.env),
        })
    })
}

/// The object of a key.
pub fn get<'a>(call: &Call<'a>, table: &TableResource, key: Term<'a>) -> Result<Option<Term<'a>>, Fail> {
    buffers::with(|buffers| {
        let compared = codec::encode_key(key, &mut buffers.key, &mut call.budget())?;
        table
            .table
            .get(Key::new(&buffers.key, compared), call.wait(), |found| {
                codec::decode_object(call.env, found.value, &mut call.budget())
            })?
            .transpose()
    })
}

/// `member(Tab, Key) -> boolean()`.
pub fn member<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        contains(call, table, call.arg(1)).map(|found| boolean(call.env, found))
    })
}

/// Whether the key is there.
pub fn contains<'a>(call: &Call<'a>, table: &TableResource, key: Term<'a>) -> Result<bool, Fail> {
    buffers::with(|buffers| {
        let compared = codec::encode_key(key, &mut buffers.key, &mut call.budget())?;
        Ok(table.table.contains(Key::new(&buffers.key, compared), call.wait())?)
    })
}

/// `lookup_element(Tab, Key, Pos) -> [Element]`, and with a fourth argument `[Default]` for a missing key.
pub fn lookup_element<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let position: usize = call.arg(2).decode().map_err(|_| Fail::none())?;
        if position == 0 {
            return Err(Fail::none());
        }
        match get(call, table, call.arg(1))? {
            Some(object) => tuple(object)
                .and_then(|elements| elements.get(position - 1))
                .map(|word| list_of_one(call.env, element(call.env, *word)))
                .ok_or_else(Fail::none),
            None if call.arity() == 4 => Ok(list_of_one(call.env, call.arg(3))),
            None => Err(Fail::Badarg(atoms::badkey())),
        }
    })
}
