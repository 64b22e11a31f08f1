//! Changes of an object that depend on it.

use smallvec::SmallVec;

use super::{Change, Commit, Found, Inner, Table, Ttl, Wait};
use crate::cache::Spot;
use crate::epoch;
use crate::keydir::{Candidate, WriteGuard};
use crate::{Deadline, Error, Key, Result};

/// A stored key of more bytes is copied to memory of its own while its object is changed.
const STORED_LEN: usize = 64;

impl Table {
    /// Reads a key's object and decides what becomes of it, in one step that no other writer of the key comes between. `f` is called at
    /// most once. After an error nothing was changed, whatever `f` said. Reads the value from the disk if it is not cached.
    pub fn update<'v, R>(
        &self,
        key: Key<'_>,
        wait: Wait,
        f: impl FnOnce(Option<Found<'_>>) -> (Change<'v>, R),
    ) -> Result<(Option<Commit>, R)> {
        let inner = &*self.inner;
        let fresh = inner.deadline(Ttl::OfTable, wait)?;
        let now = inner.log.time.now();
        // Not handed on from call to call, which would move it each time.
        let mut result = None;
        let commit = inner.with_shard(key, wait, |hash, shard| {
            let mut form = SmallVec::<[u8; STORED_LEN]>::new();
            let (mut f, mut change) = (Some(f), None);
            let mut decide = |found: Option<Found<'_>>| {
                if let Some(f) = f.take() {
                    let (decided, of_f) = f(found);
                    (change, result) = (Some(decided), Some(of_f));
                }
            };
            let decide_likely = |value: &[u8]| decide(Some(Found { value, key: None }));
            // How long what is there lasts; `None` if nothing is.
            let mut held = Some(Deadline::NEVER);
            let likely = inner.likely(shard, hash, key, decide_likely);
            if likely.is_none() {
                let hit = shard.get(hash, key, now);
                held = hit.map(|hit| hit.deadline);
                if let Some(hit) = hit {
                    let spot = Spot::new(hash, hit.location);
                    inner.record(spot, key.compared(), wait, |stored, value| {
                        form.extend_from_slice(stored);
                        let key = if hit.same_form { None } else { Some(stored) };
                        decide(Some(Found { value, key }));
                    })?;
                } else {
                    form.extend_from_slice(key.bytes());
                    decide(None);
                }
            }
            let until = held.unwrap_or(fresh);
            match change {
                // No segment goes away while a location that the keydir holds under lock points to it.
                None => Err(Error::Panicked),
                Some(Change::Keep) => Ok(None),
                // The stored form stays; where the record told the entry, that is the key's own.
                Some(Change::Put(value)) if likely.is_none() => {
                    let form = Key::new(&form, key.compared().len());
                    inner
                        .store(shard, hash, form, (&value, until), None, wait)
                        .map(Some)
                }
                Some(Change::Put(value) | Change::Replace(value)) => inner
                    .store(shard, hash, key, (&value, until), likely, wait)
                    .map(Some),
                Some(Change::Delete) if held.is_none() => Ok(None),
                Some(Change::Delete) => inner.remove(shard, hash, key, wait).map(Some),
            }
        })?;
        result.map(|result| (commit, result)).ok_or(Error::Panicked)
    }
}

impl Inner {
    /// Hands the value of the key's record on if that is in memory as it was written with these very bytes as its key, and does not expire, without a look at the keydir's copy of the key,
    /// which would be one more wait. Gives the shard's candidate then; `None` tells nothing.
    fn likely(
        &self,
        shard: &mut WriteGuard<'_>,
        hash: u64,
        key: Key<'_>,
        mut f: impl FnMut(&[u8]),
    ) -> Option<Candidate> {
        // Asked under the key's lock: a record that expires is shown after the table was told of it. What time it was before the lock was taken says less.
        let cache = self.cache.as_ref().filter(|_| !self.log.time.expires())?;
        let likely = shard.candidate(hash)?;
        let spot = || Spot::new(hash, likely.location);
        let found = self.cached(cache, likely.location, spot, &epoch::pin(), |stored, value| {
            let is_it = stored == key.bytes();
            if is_it {
                f(value);
            }
            is_it
        });
        (found == Some(true)).then_some(likely)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::Clock;
    use crate::format::record::{Kind, Record};
    use crate::table::Config;

    /// The value as the sum of what was added to it, one byte a time.
    fn add(table: &Table, key: Key<'_>, byte: u8) -> Vec<u8> {
        add_if(table, key, byte, Wait::Never)
    }

    fn add_if(table: &Table, key: Key<'_>, byte: u8, wait: Wait) -> Vec<u8> {
        let change = |found: Option<Found<'_>>| {
            let mut value = found.map_or(Vec::new(), |found| found.value.to_vec());
            value.push(byte);
            (Change::Replace(value.clone().into()), value)
        };
        table.update(key, wait, change).unwrap().1
    }

    #[test]
    fn what_is_in_memory_is_replaced_without_a_look_at_the_keydirs_copy_of_its_key() {
        let table = Table::simulated();
        let (inner, key) = (&*table.inner, Key::new(b"key:form", 4));
        add(&table, key, 1);
        let likely = |key: Key<'_>| {
            let found = inner.with_shard(key, Wait::May, |hash, shard| {
                Ok(inner
                    .likely(shard, hash, key, |_| {})
                    .map(|likely| likely.location))
            });
            found.unwrap()
        };
        let first = likely(key).unwrap();
        assert_eq!(add(&table, key, 2), [1, 2]);
        assert_ne!(likely(key).unwrap(), first);
        // Another form of it is the same key, but of other bytes.
        assert_eq!(likely(Key::new(b"key:other", 4)), None);
        assert_eq!(add(&table, Key::new(b"key:other", 4), 3), [1, 2, 3]);
        assert_eq!(likely(key), None);
        assert!(likely(Key::new(b"key:other", 4)).is_some());
    }

    /// What is compressed, or too long for its location to tell its length, is in memory as an entry of the cache and not as it was written.
    #[test]
    fn what_is_in_memory_as_an_entry_is_replaced_so_too() {
        for (compressed, len) in [(true, 1_000), (false, 100_000)] {
            let table = Table::simulated_with(Config {
                compressed,
                ..Config::default()
            });
            let (inner, key) = (&*table.inner, Key::plain(b"k"));
            table.put(key, &vec![0; len], Wait::May).unwrap();
            for byte in 1..4 {
                let value = add(&table, key, byte);
                assert_eq!(
                    (value.len(), value.last()),
                    (len + usize::from(byte), Some(&byte))
                );
                let known = inner.with_shard(key, Wait::May, |hash, shard| {
                    let mut right = false;
                    let likely = inner.likely(shard, hash, key, |found| right = found == value);
                    Ok(likely.is_some() && right)
                });
                assert!(known.unwrap(), "compressed {compressed}");
                let found = table.get(key, Wait::May, |found| found.value.to_vec()).unwrap();
                assert_eq!(found, Some(value));
            }
            // One record is live, and none of those that it replaced.
            let live = inner.log.live_bytes();
            assert!((1..len as u64 + 100).contains(&live), "{live}");
        }
    }

    /// Merges free the files of which nothing is live: counts of live bytes are exact for each segment, in which way ever a record came and went.
    #[test]
    fn live_bytes_are_those_of_the_records_that_are_there() {
        let table = Table::simulated_with(Config {
            max_file_size: 32 << 10,
            ..Config::default()
        });
        let inner = &*table.inner;
        let mut state = 20_u64;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % bound
        };
        let mut model = BTreeMap::<u8, Vec<u8>>::new();
        for step in 0..3_000 {
            let number = below(20) as u8;
            let (bytes, len) = (
                [number],
                [10, 100, 3_000, 70_000][below(100).saturating_sub(96) as usize],
            );
            let (key, value) = (Key::plain(&bytes), vec![step as u8; len]);
            match below(100) {
                0 => {
                    table.clear(Wait::May).unwrap();
                    model.clear();
                }
                1..10 => {
                    table.delete(key, Wait::May).unwrap();
                    model.remove(&number);
                }
                10..20 => {
                    table.put(key, &value, Wait::May).unwrap();
                    model.insert(number, value);
                }
                20..30 => {
                    let other = [number + 1];
                    let puts = [(key, &*value), (Key::plain(&other), b"short".as_slice())];
                    table.put_many(&puts, Wait::May).unwrap();
                    model.insert(number + 1, b"short".to_vec());
                    model.insert(number, value);
                }
                _ => {
                    add_if(&table, key, step as u8, Wait::May);
                    model.entry(number).or_default().push(step as u8);
                }
            }
            if step % 1_000 == 999 {
                // What was in blocks is read from the file then, and is an entry of the cache.
                inner.log.forget_written();
            }
            let frame_len = |(number, value): (&u8, &Vec<u8>)| put_len(&[*number], value);
            let expected = model.iter().map(frame_len).sum::<u64>();
            assert_eq!(inner.log.live_bytes(), expected, "step {step}");
        }
        let mut by_segment = BTreeMap::<u16, u64>::new();
        for (number, value) in &model {
            let key = [*number];
            let at = inner.with_shard(Key::plain(&key), Wait::May, |hash, shard| {
                Ok(shard.candidate(hash))
            });
            *by_segment
                .entry(at.unwrap().unwrap().location.segment())
                .or_default() += put_len(&key, value);
        }
        for (slot, expected) in by_segment {
            assert_eq!(inner.log.segment(slot).unwrap().live_bytes(), expected);
        }
        assert!(inner.log.segment_count() > 4);
    }

    fn put_len(key: &[u8], value: &[u8]) -> u64 {
        Record::new(Kind::Put, Key::plain(key), value).frame_len() as u64
    }

    #[test]
    fn a_counter_keeps_two_blocks_of_what_was_written() {
        let table = Table::simulated();
        table.put(Key::plain(b"k"), &[0; 100], Wait::May).unwrap();
        for byte in 0..20_000 {
            let change =
                |found: Option<Found<'_>>| (Change::Replace(found.unwrap().value.to_vec().into()), ());
            table.update(Key::plain(b"k"), Wait::May, change).unwrap();
            assert!(table.stats().cache_bytes <= 3 * 65_536, "{byte}");
        }
    }

    /// An update took the time that it had looked at before it had the key's lock for a sign that nothing expires: a record that another process had given a deadline
    /// meanwhile lost it. The same was to be seen with a clock that stands at 1970.
    #[test]
    fn an_object_keeps_its_deadline_whatever_time_it_is() {
        #[derive(Debug)]
        struct Stopped;
        impl Clock for Stopped {
            fn now_ms(&self) -> u64 {
                0
            }
        }
        let table = Table::simulated_with(Config {
            clock: std::sync::Arc::new(Stopped),
            ..Config::default()
        });
        let key = Key::plain(b"k");
        add(&table, key, 1);
        let until = Ttl::Until(Deadline::at(5000));
        table.expiring(until).put(key, &[2], Wait::May).unwrap();
        assert_eq!(add(&table, key, 3), [2, 3]);
        assert_eq!(table.deadlines(key, Wait::Never).unwrap(), [Deadline::at(5000)]);
    }

    /// The keydir tells keys apart by 40 bits of their hashes before it looks at them, and these two are alike there.
    #[test]
    fn a_key_with_the_hash_of_another_one_is_not_taken_for_it() {
        let table = Table::simulated();
        let (a, b) = (1_557_789_u32.to_le_bytes(), 4_226_815_u32.to_le_bytes());
        let (a, b) = (Key::plain(&a), Key::plain(&b));
        assert_eq!(table.inner.hash(a) >> 24, table.inner.hash(b) >> 24);
        assert_eq!(add(&table, a, 1), [1]);
        assert_eq!(add(&table, b, 2), [2]);
        assert_eq!(add(&table, a, 3), [1, 3]);
        assert_eq!(add(&table, b, 4), [2, 4]);
        assert!(table.delete(a, Wait::Never).unwrap().is_some());
        assert_eq!(add(&table, a, 5), [5]);
        assert_eq!(add(&table, b, 6), [2, 4, 6]);
        let value = |key| table.get(key, Wait::Never, |found| found.value.to_vec()).unwrap();
        assert_eq!((value(a), value(b)), (Some(vec![5]), Some(vec![2, 4, 6])));
    }
}
