//! Puts and deletes of many keys in one step.

use std::collections::HashSet;

use super::write::check_len;
use super::{Commit, Table, Ttl, Wait};
use crate::{Key, Result};

/// A key and its new value, or `None` if the key is to be removed.
pub type Write<'a> = (Key<'a>, Option<&'a [u8]>);

impl Table {
    /// Stores and removes all of them or none, isolated from every reader; of writes of the same key the last wins. Appends one batch, or
    /// nothing, and gives `None`, if no write would change anything.
    pub fn write_many(&self, writes: &[Write<'_>], wait: Wait) -> Result<Option<Commit>> {
        let inner = &*self.inner;
        inner.check()?;
        for (key, value) in writes {
            check_len(*key, value.unwrap_or_default())?;
        }
        let writes = last_of_each_key(writes);
        let keys = writes.iter().map(|(key, _)| *key);
        let deadline = inner.deadline(Ttl::OfTable, wait)?;
        let now = inner.log.time.now();
        inner.with_shards(&keys, wait, |places, shards| {
            let mut writes: Vec<_> = writes.iter().copied().zip(places.iter().copied()).collect();
            // A tombstone for a key that is not there would only take room.
            writes.retain(|((key, value), at)| {
                value.is_some() || shards[at.shard].get(at.hash, *key, now).is_some()
            });
            inner.write_locked(&writes, &[], deadline, shards, wait)
        })
    }
}

/// Leaves out what a later write of the same key undoes.
fn last_of_each_key<'a>(writes: &[Write<'a>]) -> Vec<Write<'a>> {
    let mut seen = HashSet::with_capacity(writes.len());
    let mut last: Vec<Write<'a>> = writes
        .iter()
        .rev()
        .filter(|(key, _)| seen.insert(key.compared()))
        .copied()
        .collect();
    last.reverse();
    last
}
