//! Comparing and swapping.

use bets_engine::table::Change;

use super::batch::one_object_a_key;
use super::{boolean, key_of, written};
use crate::access::{self, Need};
use crate::buffers;
use crate::error::Fail;
use crate::schedule::{Call, Outcome};

/// `replace_object(Tab, Old, New) -> boolean()`.
pub fn replace_object<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Write, |table| {
        one_object_a_key(table)?;
        let (old, new) = (call.arg(1), call.arg(2));
        let (asked, new_key) = (key_of(old, table.keypos())?, key_of(new, table.keypos())?);
        let (commit, done) = buffers::with(|buffers| {
            let mut budget = call.budget();
            table
                .layout
                .encode_object(old, &mut buffers.object, &mut budget)?;
            let mut replacement = Vec::new();
            table.layout.encode_object(new, &mut replacement, &mut budget)?;
            let mut new_bytes = Vec::new();
            super::key(call, table, new_key, &mut new_bytes)?;
            let key = super::key(call, table, asked, &mut buffers.key)?;
            if key.bytes() != new_bytes {
                return Err(Fail::none());
            }
            Ok::<_, Fail>(table.table.update(key, call.wait(), |found| {
                let same = found.map(|found| table.layout.same(asked, found, &buffers.object, &mut budget));
                match same {
                    Some(Ok(true)) => (Change::Put(replacement.into()), Ok(true)),
                    Some(Ok(false)) | None => (Change::Keep, Ok(false)),
                    Some(Err(fail)) => (Change::Keep, Err(fail)),
                }
            })?)
        })?;
        Ok(written(call.env, table, commit, boolean(call.env, done?)))
    })
}
