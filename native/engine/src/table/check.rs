//! Checking an open table.

use super::{Inner, Table, Wait};
use crate::keydir::{Keydir, Location, Span};
use crate::repair::{Check, Fault, Loss};
use crate::{Error, Key, Now, Result};

/// So many keys are looked at in one step.
const KEYS: usize = 500;

impl Table {
    /// Begins a check of all records that there are now. Waits for the disk.
    pub fn begin_check(&self) -> Result<Check> {
        self.inner.check()?;
        Ok(Check::new(self.inner.kind, self.inner.log.extents()?))
    }

    /// Goes on with a check: reads about so many bytes of the segments, or, once these are read, some hundred objects where the keydir says
    /// they stand. `false` when all is read. Nothing that is cached counts as read. Readers and writers go on meanwhile. Waits for the disk.
    pub fn check(&self, check: &mut Check, bytes: u64) -> Result<bool> {
        self.inner.check()?;
        let log = &self.inner.log;
        if check.step(&*log.storage, log, bytes)? {
            return Ok(true);
        }
        self.inner.check_keys(check)
    }
}

impl Inner {
    /// Reads the next objects of the keydir, in the order of their places.
    fn check_keys(&self, check: &mut Check) -> Result<bool> {
        let mut keys = std::mem::take(&mut check.keys);
        let more = self.calm(Wait::May, |keydir| {
            keys.clear();
            let cursor = &check.cursor;
            let span = Span {
                direction: cursor.direction,
                from: cursor.from.as_ref().map(Vec::as_slice),
                until: cursor.until.as_ref().map(Vec::as_slice),
            };
            keydir.scan(&span, cursor.within, KEYS, &mut keys).ok()
        })?;
        let mut found: Vec<_> = keys.iter().collect();
        if let Some((key, _)) = found.last() {
            check.cursor.within = keys.within(found.len());
            check.cursor.go_behind(*key);
        }
        found.sort_unstable_by_key(|(_, location)| (location.segment(), location.offset()));
        let mut buf = Vec::new();
        for (key, location) in found {
            match self.read_record(location, key.compared(), Wait::May, &mut buf, |_, _| ()) {
                Ok(Some(())) => check.count_object(),
                Ok(None) => {}
                // It may have been moved meanwhile, and something else stand there.
                Err(Error::Damaged { path, offset, what }) => {
                    if self.stands_at(key, location)? {
                        let mut fault = Fault::new(&path, offset, 0, what, Loss::Object);
                        fault.key = Some((key.bytes().to_vec(), key.compared().len()));
                        check.add(fault);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        check.keys = keys;
        Ok(more)
    }

    /// Whether the keydir has this location for an object of the key.
    fn stands_at(&self, key: Key<'_>, location: Location) -> Result<bool> {
        self.calm(Wait::May, |keydir| {
            let found = match keydir {
                Keydir::Bag(keydir) => keydir.entries(keydir.hash(key), key, |entries| {
                    entries.iter().any(|entry| entry.location == location)
                }),
                keydir => {
                    let hit = keydir.get(keydir.hash(key), key, Now::BEFORE_ALL);
                    hit.map(|hit| hit.map(|hit| hit.location == location))
                }
            };
            found.ok().map(|found| found.unwrap_or(false))
        })
    }
}
