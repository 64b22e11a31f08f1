//! Storing objects with a time to live of their own.

use super::bag::{alike, bag};
use super::locks::Place;
use super::write::check_len;
use super::{Commit, Same, Table, Ttl, Wait};
use crate::cache::Spot;
use crate::{Key, Result};

/// A table through which objects are stored that are there for so long. Its methods do what those of [`Table`] with the same names do, which store
/// objects as long as the table's option says.
#[derive(Clone, Copy, Debug)]
pub struct Expiring<'t> {
    table: &'t Table,
    ttl: Ttl,
}

impl Table {
    /// For storing objects with this time to live. The first one that expires makes a file, for which a call may have to wait.
    pub fn expiring(&self, ttl: Ttl) -> Expiring<'_> {
        Expiring { table: self, ttl }
    }
}

impl Expiring<'_> {
    /// As [`Table::put`].
    pub fn put(&self, key: Key<'_>, value: &[u8], wait: Wait) -> Result<Commit> {
        let inner = &*self.table.inner;
        check_len(key, value)?;
        let deadline = inner.deadline(self.ttl, wait)?;
        let packed = inner.pack([value]);
        let record = packed.record(0, key, value).until(deadline);
        inner.with_shard(key, wait, |hash, shard| {
            inner.store_record(shard, hash, &record, value, None, wait)
        })
    }

    /// As [`Table::put_many`].
    pub fn put_many(&self, puts: &[(Key<'_>, &[u8])], wait: Wait) -> Result<Commit> {
        let stored = self.list(puts, wait, false, None)?;
        Ok(stored.unwrap_or(Commit(self.table.inner.log.last_seq())))
    }

    /// As [`Table::put_many_new`].
    pub fn put_many_new(&self, puts: &[(Key<'_>, &[u8])], wait: Wait) -> Result<Option<Commit>> {
        self.list(puts, wait, true, None)
    }

    /// As [`Table::add`]. An object that is there with another deadline gets the new one, and stands behind the other objects of its key then.
    pub fn add(&self, key: Key<'_>, value: &[u8], wait: Wait, same: &mut Same<'_>) -> Result<Option<Commit>> {
        let inner = &*self.table.inner;
        let deadline = inner.deadline(self.ttl, wait)?;
        let now = inner.log.time.now();
        inner.with_shard(key, wait, |hash, shard| {
            for entry in alike(bag(shard)?, hash, (key, now), wait)? {
                if inner.is_same(Spot::new(hash, entry.location), key, value, wait, same)? {
                    if entry.deadline == deadline {
                        return Ok(None);
                    }
                    let place = Place { hash, shard: 0 };
                    let put = [((key, Some(value)), place)];
                    let renewed = [(key, entry.seq, place)];
                    check_len(key, value)?;
                    return inner.write_locked(&put, &renewed, deadline, std::slice::from_mut(shard), wait);
                }
            }
            inner
                .store(shard, hash, key, (value, deadline), None, wait)
                .map(Some)
        })
    }

    /// As [`Table::add_many`]; of objects that are there with another deadline the same holds as in [`Expiring::add`].
    pub fn add_many(
        &self,
        puts: &[(Key<'_>, &[u8])],
        wait: Wait,
        same: &mut Same<'_>,
    ) -> Result<Option<Commit>> {
        if puts.is_empty() {
            return Ok(None);
        }
        self.list(puts, wait, false, Some(same))
    }

    /// As [`Table::add_many_new`].
    pub fn add_many_new(
        &self,
        puts: &[(Key<'_>, &[u8])],
        wait: Wait,
        same: &mut Same<'_>,
    ) -> Result<Option<Commit>> {
        self.list(puts, wait, true, Some(same))
    }

    fn list(
        &self,
        puts: &[(Key<'_>, &[u8])],
        wait: Wait,
        only_new: bool,
        same: Option<&mut Same<'_>>,
    ) -> Result<Option<Commit>> {
        let inner = &*self.table.inner;
        inner.check()?;
        let deadline = inner.deadline(self.ttl, wait)?;
        inner.put_list(puts, deadline, wait, only_new, same)
    }
}
