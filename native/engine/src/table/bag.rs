//! Writes to tables in which a key has many objects.
//!
//! The suffix of a key handed to these calls ends with the object's fingerprint, which must be equal for equal objects: an object is
//! compared with those of its key that have its fingerprint, and no others are read.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use super::locks::Place;
use super::read::MAX_NOWAIT_OBJECTS;
use super::write::check_len;
use super::{Commit, Found, Inner, Table, TableKind, Ttl, Wait};
use crate::cache::Spot;
use crate::format::record::{Kind, Record, delete_object_key};
use crate::keydir::{BagGuard, Entry, WriteGuard};
use crate::{Deadline, Error, Key, Now, Result};

/// Whether a stored value and the other one are the same object. `None` if that cannot be told here: the call ends with
/// [`Error::WouldBlock`] and has changed nothing.
pub type Same<'s> = dyn FnMut(&[u8], &[u8]) -> Option<bool> + 's;

/// A delete-object record names at most so many objects: its key must not be too long.
const MAX_REMOVED: usize = 1 << 20;

/// Looking for a fingerprint among so many objects takes a tenth of a millisecond.
const MAX_NOWAIT_COMPARED: usize = 1 << 18;

impl Table {
    /// Adds an object to its key unless the key has it; `None` if so. Appends one record. Reads the values of objects with its
    /// fingerprint, from the disk if they are not cached.
    pub fn add(&self, key: Key<'_>, value: &[u8], wait: Wait, same: &mut Same<'_>) -> Result<Option<Commit>> {
        self.expiring(Ttl::OfTable).add(key, value, wait, same)
    }

    /// Adds all of them, but for those that their key has and for repeated ones, or none; isolated from every reader. `None` if nothing
    /// was to be added. Appends one batch.
    pub fn add_many(
        &self,
        puts: &[(Key<'_>, &[u8])],
        wait: Wait,
        same: &mut Same<'_>,
    ) -> Result<Option<Commit>> {
        self.expiring(Ttl::OfTable).add_many(puts, wait, same)
    }

    /// Like [`Table::add_many`], but `None` and no change if one of the keys is present.
    pub fn add_many_new(
        &self,
        puts: &[(Key<'_>, &[u8])],
        wait: Wait,
        same: &mut Same<'_>,
    ) -> Result<Option<Commit>> {
        self.expiring(Ttl::OfTable).add_many_new(puts, wait, same)
    }

    /// Removes an object, in all its copies; `None` if its key does not have it. Appends one record. Reads as [`Table::add`] does.
    pub fn delete_object(
        &self,
        key: Key<'_>,
        value: &[u8],
        wait: Wait,
        same: &mut Same<'_>,
    ) -> Result<Option<Commit>> {
        let deleted = self.delete_copies(key, value, wait, same)?;
        Ok(deleted.map(|(commit, _)| commit))
    }

    /// Like [`Table::delete_object`], and tells how many copies there were.
    pub fn delete_copies(
        &self,
        key: Key<'_>,
        value: &[u8],
        wait: Wait,
        same: &mut Same<'_>,
    ) -> Result<Option<(Commit, usize)>> {
        let inner = &*self.inner;
        let now = inner.log.time.now();
        inner.with_shard(key, wait, |hash, shard| {
            let bag = bag(shard)?;
            check_quick(bag, hash, key, wait)?;
            let found = inner.copies(bag, hash, (key, now), value, wait, same)?;
            if found.is_empty() {
                return Ok(None);
            }
            if bag.entries(hash, key).is_some_and(|all| all.len() == found.len()) {
                let commit = inner.remove(shard, hash, key, wait)?;
                return Ok(Some((commit, found.len())));
            }
            let seqs: Vec<u64> = found.iter().map(|entry| entry.seq).collect();
            let compared = key.compared();
            let keys: Vec<Vec<u8>> = seqs
                .chunks(MAX_REMOVED)
                .map(|seqs| delete_object_key(compared, seqs))
                .collect();
            let records: Vec<Record<'_>> = keys
                .iter()
                .map(|key| Record::new(Kind::DeleteObject, Key::new(key, compared.len()), &[]))
                .collect();
            let appended = match records.as_slice() {
                [only] => inner.log.append(only, None, wait)?,
                several => inner.log.append_batch(several, wait, |_, _| {})?,
            };
            inner.forget(hash, &bag.remove(hash, key, &seqs));
            Ok(Some((inner.done(appended), found.len())))
        })
    }

    /// Puts an object in the place of another one of the same key, for each of its copies with a seq of at most `through`, in one step; `None` if
    /// the key does not have it. The new ones stand behind the other objects of the key and keep the deadlines of the old ones. Appends one batch. Reads as [`Table::add`] does.
    pub fn replace_copies(
        &self,
        key: Key<'_>,
        value: &[u8],
        (new_key, new_value): (Key<'_>, &[u8]),
        through: u64,
        wait: Wait,
        same: &mut Same<'_>,
    ) -> Result<Option<(Commit, usize)>> {
        let inner = &*self.inner;
        check_len(new_key, new_value)?;
        let now = inner.log.time.now();
        inner.with_shard(key, wait, |hash, shard| {
            let bag = bag(shard)?;
            check_quick(bag, hash, key, wait)?;
            let mut found = inner.copies(bag, hash, (key, now), value, wait, same)?;
            found.retain(|entry| entry.seq <= through);
            if found.is_empty() {
                return Ok(None);
            }
            if !bag.has_room(new_key) {
                return Err(Error::KeydirFull);
            }
            let seqs: Vec<u64> = found.iter().map(|entry| entry.seq).collect();
            let compared = key.compared();
            let removed: Vec<Vec<u8>> = seqs
                .chunks(MAX_REMOVED)
                .map(|seqs| delete_object_key(compared, seqs))
                .collect();
            let mut records: Vec<Record<'_>> = removed
                .iter()
                .map(|key| Record::new(Kind::DeleteObject, Key::new(key, compared.len()), &[]))
                .collect();
            let put = Record::new(Kind::Put, new_key, new_value);
            records.extend(found.iter().map(|entry| put.until(entry.deadline)));
            let mut locations = Vec::with_capacity(records.len());
            let shown = inner.lock_many(wait)?;
            let appended = inner
                .log
                .append_batch(&records, wait, |_, location| locations.push(location))?;
            let first_seq = appended.last_seq + 1 - found.len() as u64;
            let mut full = false;
            inner.epoch.fetch_add(1, Ordering::AcqRel);
            let gone = bag.remove(hash, key, &seqs);
            let (plain, fingerprint) = new_key.split_fingerprint();
            for ((&location, seq), old) in locations[removed.len()..].iter().zip(first_seq..).zip(&found) {
                let entry = Entry {
                    location,
                    seq,
                    fingerprint,
                    deadline: old.deadline,
                };
                full |= bag.add(hash, plain, entry).is_err();
                inner.watch(hash, plain, old.deadline, None);
            }
            inner.epoch.fetch_add(1, Ordering::AcqRel);
            drop(shown);
            if full {
                // The log has what the keydir cannot show: only a fresh start brings them together.
                inner.log.sticky.set(Error::KeydirFull);
                return Err(Error::KeydirFull);
            }
            inner.forget(hash, &gone);
            Ok(Some((inner.done(appended), found.len())))
        })
    }

    /// Removes a key after its objects were handed to `f` as [`Table::each`] does, in one step that no other writer of the key comes
    /// between. If `f` breaks off, nothing is changed. Appends a tombstone if the key is there.
    pub fn take_all<B>(
        &self,
        key: Key<'_>,
        wait: Wait,
        mut f: impl FnMut(usize, Found<'_>) -> ControlFlow<B>,
    ) -> Result<(Option<Commit>, Option<B>)> {
        let inner = &*self.inner;
        let now = inner.log.time.now();
        inner.with_shard(key, wait, |hash, shard| {
            let Some(entries) = bag(shard)?.entries(hash, key) else {
                return Ok((None, None));
            };
            if entries.last_deadline().is_over(now) {
                return Ok((None, None));
            }
            if wait == Wait::Never && entries.len() > MAX_NOWAIT_OBJECTS {
                return Err(Error::WouldBlock);
            }
            for (at, entry) in entries.live(now).enumerate() {
                let spot = Spot::new(hash, entry.location);
                let read = inner.record(spot, key.compared(), wait, |stored, value| {
                    let stored = inner.own_key(stored, key.compared());
                    let form = (stored != key.bytes()).then_some(stored);
                    f(at, Found { value, key: form })
                })?;
                match read {
                    Some(ControlFlow::Continue(())) => {}
                    Some(ControlFlow::Break(result)) => return Ok((None, Some(result))),
                    // No segment goes away while a location that the keydir holds under lock points to it.
                    None => return Err(Error::Panicked),
                }
            }
            let commit = inner.remove(shard, hash, key, wait)?;
            Ok((Some(commit), None))
        })
    }
}

impl Inner {
    /// Which objects are neither in the table nor repeat another one of the list, or are in the table with another deadline.
    pub(super) fn fresh(
        &self,
        puts: &[(Key<'_>, &[u8])],
        places: &[Place],
        (deadline, now): (Deadline, Now),
        shards: &mut [WriteGuard<'_>],
        wait: Wait,
        same: &mut Same<'_>,
    ) -> Result<Fresh> {
        let mut fresh = Fresh::default();
        let mut listed: HashMap<(u64, u32), Vec<usize>> = HashMap::new();
        'puts: for (at, (&(key, value), &Place { hash, shard })) in puts.iter().zip(places).enumerate() {
            let mut old = None;
            for entry in alike(bag(&mut shards[shard])?, hash, (key, now), wait)? {
                if self.is_same(Spot::new(hash, entry.location), key, value, wait, same)? {
                    if entry.deadline == deadline {
                        continue 'puts;
                    }
                    old = Some(entry.seq);
                    break;
                }
            }
            if puts.len() > 1 {
                let before = listed.entry((hash, key.split_fingerprint().1)).or_default();
                for &other in before.iter() {
                    let (other_key, other_value) = puts[other];
                    if other_key.compared() == key.compared()
                        && same(other_value, value).ok_or(Error::WouldBlock)?
                    {
                        continue 'puts;
                    }
                }
                before.push(at);
            }
            fresh.puts.push(at);
            fresh.renewed.extend(old.map(|seq| (at, seq)));
        }
        Ok(fresh)
    }

    /// The objects of the key that are this one.
    fn copies(
        &self,
        bag: &mut BagGuard<'_>,
        hash: u64,
        (key, now): (Key<'_>, Now),
        value: &[u8],
        wait: Wait,
        same: &mut Same<'_>,
    ) -> Result<Vec<Entry>> {
        let mut copies = Vec::new();
        for entry in alike(bag, hash, (key, now), wait)? {
            if self.is_same(Spot::new(hash, entry.location), key, value, wait, same)? {
                copies.push(entry);
            }
        }
        Ok(copies)
    }

    pub(super) fn is_same(
        &self,
        spot: Spot,
        key: Key<'_>,
        value: &[u8],
        wait: Wait,
        same: &mut Same<'_>,
    ) -> Result<bool> {
        match self.record(spot, key.compared(), wait, |_, stored| same(stored, value))? {
            Some(answer) => answer.ok_or(Error::WouldBlock),
            // No segment goes away while a location that the keydir holds under lock points to it.
            None => Err(Error::Panicked),
        }
    }
}

/// What of a list is to be written to a bag.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// The indices of objects.
    pub(super) puts: Vec<usize>,
    /// Those among them that take the place of one with another deadline, with its seq.
    pub(super) renewed: Vec<(usize, u64)>,
}

pub(super) fn bag<'s, 'g>(shard: &'s mut WriteGuard<'g>) -> Result<&'s mut BagGuard<'g>> {
    match shard {
        WriteGuard::Bag(shard) => Ok(shard),
        _ => Err(Error::Mismatch {
            property: "type",
            stored: TableKind::Set as u32,
            asked: TableKind::Bag as u32,
        }),
    }
}

/// Refuses to change a key of very many objects where nothing may wait.
fn check_quick(bag: &mut BagGuard<'_>, hash: u64, key: Key<'_>, wait: Wait) -> Result<()> {
    if wait == Wait::Never && bag.is_long_to_remove(hash, key) {
        return Err(Error::WouldBlock);
    }
    Ok(())
}

/// The objects of the key that have its fingerprint and have not expired.
pub(super) fn alike(
    bag: &mut BagGuard<'_>,
    hash: u64,
    (key, now): (Key<'_>, Now),
    wait: Wait,
) -> Result<Vec<Entry>> {
    let Some(entries) = bag.entries(hash, key) else {
        return Ok(Vec::new());
    };
    if wait == Wait::Never && entries.len() > MAX_NOWAIT_COMPARED {
        return Err(Error::WouldBlock);
    }
    let (_, fingerprint) = key.split_fingerprint();
    let alike: Vec<Entry> = entries
        .with_fingerprint(fingerprint)
        .filter(|entry| !entry.deadline.is_over(now))
        .collect();
    if wait == Wait::Never && alike.len() > MAX_NOWAIT_OBJECTS {
        return Err(Error::WouldBlock);
    }
    Ok(alike)
}
