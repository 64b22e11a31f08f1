//! Reading one key.

use rustler::Term;

use super::{boolean, list_of_one};
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers;
use crate::codec::stored_key;
use crate::error::Fail;
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
pub fn get<'a>(call: &Call<'a>, table: &TableResource, asked: Term<'a>) -> Result<Option<Term<'a>>, Fail> {
    buffers::with(|buffers| {
        let key = super::key(call, table, asked, &mut buffers.key)?;
        table
            .table
            .get(key, call.wait(), |found| {
                table.layout.decode_object(asked, found, &mut call.budget())
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
        let key = super::key(call, table, key, &mut buffers.key)?;
        Ok(table.table.contains(key, call.wait())?)
    })
}

/// `lookup_element(Tab, Key, Pos) -> [Element]`, and with a fourth argument `[Default]` for a missing key.
pub fn lookup_element<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        // Positive, but of any size: no object has a position beyond 64 bits.
        let position: usize = call.arg(2).decode().map_err(|_| Fail::none())?;
        if position == 0 {
            return Err(Fail::none());
        }
        let found = buffers::with(|buffers| {
            let key = super::key(call, table, call.arg(1), &mut buffers.key)?;
            table
                .table
                .get(key, call.wait(), |found| {
                    let mut budget = call.budget();
                    if position == table.keypos() {
                        stored_key(call.arg(1), found, &mut budget)
                    } else {
                        table
                            .layout
                            .decode_element(call.env, found.value, position, &mut budget)
                    }
                })?
                .transpose()
        })?;
        match found {
            Some(element) => Ok(list_of_one(call.env, element)),
            None if call.arity() == 4 => Ok(list_of_one(call.env, call.arg(3))),
            None => Err(Fail::Badarg(atoms::badkey())),
        }
    })
}
