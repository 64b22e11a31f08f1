//! Removing objects.

use bets_engine::Key;
use bets_engine::table::Change;
use rustler::Term;

use super::{boolean, key_of, list_of_one, written};
use crate::access::{self, Need};
use crate::buffers;
use crate::codec;
use crate::error::Fail;
use crate::schedule::{Call, Outcome};

/// `delete(Tab, Key) -> true`.
pub fn delete<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let commit = buffers::with(|buffers| {
            let compared = codec::encode_key(call.arg(1), &mut buffers.key, &mut call.budget())?;
            Ok::<_, Fail>(table.table.delete(Key::new(&buffers.key, compared), call.wait())?)
        })?;
        written(call.env, table, commit, boolean(call.env, true))
    })
}

/// `delete_all_objects(Tab) -> true`.
pub fn delete_all_objects<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let commit = table.table.clear(call.wait())?;
        written(call.env, table, Some(commit), boolean(call.env, true))
    })
}

/// `delete_object(Tab, Object) -> true`.
pub fn delete_object<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let object = call.arg(1);
        let key = key_of(object, table.keypos)?;
        let commit = buffers::with(|buffers| {
            let compared = codec::encode_key(key, &mut buffers.key, &mut call.budget())?;
            let (commit, result) = table.table.update(Key::new(&buffers.key, compared), call.wait(), |found| {
                match found.map(|found| codec::decode_object(call.env, found.value, &mut call.budget())) {
                    Some(Ok(stored)) if stored == object => (Change::Delete, Ok(())),
                    Some(Err(fail)) => (Change::Keep, Err(fail)),
                    _ => (Change::Keep, Ok(())),
                }
            })?;
            result.map(|()| commit)
        })?;
        written(call.env, table, commit, boolean(call.env, true))
    })
}

/// `take(Tab, Key) -> [Object]`.
pub fn take<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let (commit, object) = buffers::with(|buffers| {
            let compared = codec::encode_key(call.arg(1), &mut buffers.key, &mut call.budget())?;
            Ok::<_, Fail>(table.table.update(Key::new(&buffers.key, compared), call.wait(), |found| {
                match found.map(|found| codec::decode_object(call.env, found.value, &mut call.budget())) {
                    Some(Ok(object)) => (Change::Delete, Ok(list_of_one(call.env, object))),
                    Some(Err(fail)) => (Change::Keep, Err(fail)),
                    None => (Change::Keep, Ok(Term::list_new_empty(call.env))),
                }
            })?)
        })?;
        written(call.env, table, commit, object?)
    })
}
