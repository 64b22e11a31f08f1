//! Removing objects.

use bets_engine::Key;
use bets_engine::table::Change;

use super::lookup::Terms;
use super::{boolean, comparing, key_of, list_of_one, written};
use crate::access::{self, Need};
use crate::buffers;
use crate::error::Fail;
use crate::raw::{element, empty_list};
use crate::schedule::{Call, Outcome};

/// `delete(Tab, Key) -> true`.
pub fn delete<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let commit = buffers::with(|buffers| {
            let key = super::key(call, table, call.arg(1), &mut buffers.key)?;
            table.note_deletion(key, call.wait())?;
            Ok::<_, Fail>(table.table.delete(key, call.wait())?)
        })?;
        Ok(written(call.env, table, commit, boolean(call.env, true)))
    })
}

/// `delete_all_objects(Tab) -> true`.
pub fn delete_all_objects<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        table.fixes.note_all();
        let commit = table.table.clear(call.wait())?;
        Ok(written(call.env, table, Some(commit), boolean(call.env, true)))
    })
}

/// `delete_object(Tab, Object) -> true`.
pub fn delete_object<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let object = call.arg(1);
        let asked = key_of(object, table.keypos())?;
        let commit = buffers::with(|buffers| {
            let mut budget = call.budget();
            table
                .layout
                .encode_object(object, &mut buffers.object, &mut budget)?;
            if table.layout.kind().is_bag() {
                let compared = table.layout.encode_key(asked, &mut buffers.key, &mut budget)?;
                table
                    .layout
                    .mark_key(&mut buffers.key, &buffers.object, &mut budget)?;
                let key = Key::new(&buffers.key, compared);
                table.note_deletion(key, call.wait())?;
                return comparing(call, table.layout.equality(), |same| {
                    table.table.delete_object(key, &buffers.object, call.wait(), same)
                });
            }
            let key = super::key(call, table, asked, &mut buffers.key)?;
            table.note_deletion(key, call.wait())?;
            let (commit, result) = table.table.update(key, call.wait(), |found| {
                let same = found.map(|found| table.layout.same(asked, found, &buffers.object, &mut budget));
                match same {
                    Some(Ok(true)) => (Change::Delete, Ok(())),
                    Some(Ok(false)) | None => (Change::Keep, Ok(())),
                    Some(Err(fail)) => (Change::Keep, Err(fail)),
                }
            })?;
            result.map(|()| commit)
        })?;
        Ok(written(call.env, table, commit, boolean(call.env, true)))
    })
}

/// `take(Tab, Key) -> [Object]`.
pub fn take<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        let asked = call.arg(1);
        let (commit, object) = buffers::with(|buffers| {
            let key = super::key(call, table, asked, &mut buffers.key)?;
            if table.layout.kind().is_bag() {
                table.note_deletion(key, call.wait())?;
                let mut terms = Terms::new(call);
                let (commit, failed) = table.table.take_all(key, call.wait(), |at, found| {
                    terms.take(at, |binaries, budget| {
                        table.layout.decode_one_of(asked, found, binaries, budget)
                    })
                })?;
                return match failed {
                    Some(fail) => Err(fail),
                    None => Ok((commit, Ok(terms.list(call)))),
                };
            }
            let mut budget = call.budget();
            table.note_deletion(key, call.wait())?;
            Ok::<_, Fail>(table.table.update(key, call.wait(), |found| {
                match found.map(|found| table.layout.decode_object(asked, found, &mut budget)) {
                    Some(Ok(word)) => {
                        let object = element(call.env, word);
                        (Change::Delete, Ok(list_of_one(call.env, object)))
                    }
                    Some(Err(fail)) => (Change::Keep, Err(fail)),
                    None => (Change::Keep, Ok(empty_list(call.env))),
                }
            })?)
        })?;
        Ok(written(call.env, table, commit, object?))
    })
}
