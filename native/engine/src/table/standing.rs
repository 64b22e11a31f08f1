//! Steps of a traversal whose records all stand in blocks, where they need not be copied, nor their keys looked at in the keydir.

use std::ops::Range;

use super::{Cursor, Inner, Wait};
use crate::epoch;
use crate::keydir::Location;
use crate::segment::read::Near;
use crate::{Key, Now, Result};

/// So many records are fetched while as many before them are looked at: more would wait for each other, fewer would be waited for.
const AHEAD: usize = 8;
/// A step takes so many records at most.
const RECORDS_MAX: usize = 4096;

/// Goes through `count` records as long as `f` says so, with what `fetch` finds of each part of them a part ahead.
#[inline]
pub(super) fn ahead<'g>(
    count: usize,
    mut fetch: impl FnMut(Range<usize>, &mut [Option<Near<'g>>; AHEAD]),
    mut f: impl FnMut(usize, Option<Near<'g>>) -> bool,
) -> bool {
    let part = |from: usize| from.min(count)..count.min(from + AHEAD);
    let (mut near, mut next) = ([None; AHEAD], [None; AHEAD]);
    fetch(part(0), &mut near);
    for from in (0..count).step_by(AHEAD) {
        fetch(part(from + AHEAD), &mut next);
        for (at, near) in part(from).zip(near) {
            if !f(at, near) {
                return false;
            }
        }
        std::mem::swap(&mut near, &mut next);
    }
    true
}

/// The wanted records of a step, stored keys and values.
#[derive(Default)]
struct Found<'g> {
    /// As they stand in blocks, but those that stand across two are empty here.
    standing: Vec<(&'g [u8], &'g [u8])>,
    /// Those, with their places among the others.
    across: Vec<(usize, [Box<[u8]>; 2])>,
}

impl Found<'_> {
    fn push_across(&mut self, key: &[u8], value: &[u8]) {
        self.across
            .push((self.standing.len(), [key.into(), value.into()]));
        self.standing.push(Default::default());
    }

    fn hand_on(&self, f: &mut impl FnMut(&[u8], Option<&[u8]>)) {
        let mut across = self.across.iter().peekable();
        for (at, (key, value)) in self.standing.iter().enumerate() {
            match across.next_if(|across| across.0 == at) {
                Some((_, [key, value])) => f(key, Some(value)),
                None => f(key, Some(value)),
            }
        }
    }
}

impl Inner {
    /// A step of [`Table::scan_wanted`](super::Table::scan_wanted) in a table of one object a key in which nothing expires. `None`, and nothing done, of another table or if a
    /// record stands elsewhere. `locations` is memory to be used.
    pub(super) fn step_standing(
        &self,
        locations: &mut Vec<Location>,
        cursor: &mut Cursor,
        (objects, bytes, whole): (usize, usize, bool),
        wait: Wait,
        wanted: &mut impl FnMut(&[u8], &[u8]) -> bool,
        f: &mut impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<Option<bool>> {
        if self.cache.is_none() || self.log.time.now() != Now::BEFORE_ALL {
            return Ok(None);
        }
        let more = self.calm(wait, |keydir| {
            locations.clear();
            keydir
                .locations(&cursor.span(), objects.min(RECORDS_MAX), locations)
                .ok()
        })?;
        let Some(more) = more else {
            return Ok(None);
        };
        if !more {
            // An end met in a table that was closed meanwhile is none.
            self.check()?;
        }
        let guard = epoch::pin();
        let mut found = Found::default();
        if whole {
            found.standing.reserve(locations.len());
        }
        let (mut taken, mut total, mut last_wanted) = (0_usize, 0, false);
        let all_stand = ahead(
            locations.len(),
            |part, near| {
                self.log
                    .near(locations[part].iter().copied(), whole, &guard, near);
            },
            |at, near| {
                if total >= bytes {
                    return true;
                }
                taken += 1;
                total += locations[at].frame_len().map_or(bytes, usize::from);
                let stands = match near {
                    Some(near) => near.put().map(|(key, value)| {
                        last_wanted = wanted(key, value);
                        if last_wanted {
                            found.standing.push((key, value));
                        }
                    }),
                    None => self.log.with_near(locations[at], &guard, |near| {
                        let (key, value) = near.put()?;
                        last_wanted = wanted(key, value);
                        if last_wanted {
                            found.push_across(key, value);
                        }
                        Some(())
                    }),
                };
                stands.is_some()
            },
        );
        if !all_stand {
            return Ok(None);
        }
        if let Some(last) = taken.checked_sub(1) {
            let key = self.log.with_near(locations[last], &guard, |near| {
                let key = near.key()?;
                Some((key.bytes().to_vec(), key.compared().len()))
            });
            let Some((key, compared)) = key else {
                return Ok(None);
            };
            found.hand_on(f);
            if !last_wanted {
                f(&key, None);
            }
            cursor.go_on(Key::new(&key, compared), None);
        }
        Ok(Some(more || taken < locations.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use super::*;
    use crate::Error;
    use crate::table::{Config, Direction, Table, TableKind, Ttl};

    /// Of each step what `f` was handed, its key and value.
    type Steps = Vec<Vec<(Vec<u8>, Option<Vec<u8>>)>>;

    /// All steps from the cursor on, or `None` if one of them cannot be made in this way.
    fn steps(table: &Table, mut cursor: Cursor, limits: (usize, usize, bool), few: bool) -> Option<Steps> {
        let (mut steps, mut more) = (Steps::new(), true);
        while more {
            let mut met = Vec::new();
            more = table
                .inner
                .step_standing(
                    &mut Vec::new(),
                    &mut cursor,
                    limits,
                    Wait::Never,
                    &mut |key, value| {
                        assert_eq!(value, value_of(key));
                        !few || key[0] % 16 == 0
                    },
                    &mut |key, value| met.push((key.to_vec(), value.map(<[u8]>::to_vec))),
                )
                .unwrap()?;
            steps.push(met);
        }
        Some(steps)
    }

    fn value_of(key: &[u8]) -> Vec<u8> {
        vec![key[0]; 100 + usize::from(key[1] % 50)]
    }

    fn filled(table: Table) -> Table {
        for i in 0..5_000_u16 {
            let key = i.to_le_bytes();
            table.put(Key::plain(&key), &value_of(&key), Wait::May).unwrap();
        }
        table
    }

    fn ordered() -> Table {
        Table::simulated_of(TableKind::OrderedSet, Config::default())
    }

    /// Some of the records stand across two blocks.
    #[test]
    fn every_wanted_record_is_met_once_and_each_step_tells_its_last_key() {
        for table in [Table::simulated(), ordered()].map(filled) {
            let guard = epoch::pin();
            let mut locations = Vec::new();
            let all = Cursor::default();
            let found = table.inner.calm(Wait::May, |keydir| {
                keydir.locations(&all.span(), 6_000, &mut locations).ok()
            });
            assert!(matches!(found, Ok(Some(false))));
            let mut near = vec![None; locations.len()];
            table
                .inner
                .log
                .near(locations.iter().copied(), true, &guard, &mut near);
            assert!(near.iter().filter(|near| near.is_none()).count() > 3);
            for (objects, whole, few) in [
                (usize::MAX, true, false),
                (128, true, false),
                (128, false, true),
                (7, true, true),
                (1, false, false),
            ] {
                let steps = steps(&table, Cursor::default(), (objects, usize::MAX, whole), few).unwrap();
                let wanted = steps.iter().flatten().filter(|(_, value)| value.is_some());
                let mut keys: Vec<_> = wanted.clone().map(|(key, _)| key.clone()).collect();
                keys.sort_unstable();
                let keys_before = keys.len();
                keys.dedup();
                let expected = (0..5_000_u16).filter(|i| !few || i % 16 == 0).count();
                assert_eq!(
                    (keys.len(), keys_before),
                    (expected, expected),
                    "{objects} {whole} {few}"
                );
                for (key, value) in wanted {
                    assert_eq!(value.as_deref(), Some(&*value_of(key)));
                }
                assert!(steps.iter().all(|step| step.len() <= RECORDS_MAX));
                for step in &steps[..steps.len() - 1] {
                    let unwanted = step.iter().filter(|(_, value)| value.is_none()).count();
                    assert!(
                        !step.is_empty()
                            && unwanted <= 1
                            && step[..step.len() - unwanted].iter().all(|met| met.1.is_some())
                    );
                }
            }
        }
    }

    #[test]
    fn a_step_ends_with_the_bytes_it_was_asked_for() {
        for table in [Table::simulated(), ordered()].map(filled) {
            let steps = steps(&table, Cursor::default(), (128, 1_000, true), false).unwrap();
            let (last, others) = steps.split_last().unwrap();
            assert!(
                others.iter().all(|step| (5..9).contains(&step.len())),
                "{:?}",
                others[0].len()
            );
            assert_eq!(others.iter().map(Vec::len).sum::<usize>() + last.len(), 5_000);
        }
    }

    #[test]
    fn a_range_is_gone_through_in_its_order() {
        let table = filled(ordered());
        let (from, until) = (1_000_u16.to_le_bytes(), 1_007_u16.to_le_bytes());
        let cursor = Cursor::range(
            Direction::Backward,
            Bound::Included(&until),
            Bound::Excluded(&from),
        );
        let met = steps(&table, cursor, (3, usize::MAX, true), false)
            .unwrap()
            .concat();
        let mut expected: Vec<_> = (0..5_000_u16)
            .map(u16::to_le_bytes)
            .filter(|key| from < *key && *key <= until)
            .collect();
        expected.sort_unstable_by(|a, b| b.cmp(a));
        assert!(
            met.iter()
                .map(|(key, _)| &**key)
                .eq(expected.iter().map(|key| &key[..]))
        );
    }

    #[test]
    fn what_stands_elsewhere_is_left_to_others_before_any_of_it_is_handed_on() {
        let limits = (128, usize::MAX, true);
        let without_cache = Config {
            cache: false,
            ..Config::default()
        };
        let compressed = Config {
            compressed: true,
            ..Config::default()
        };
        for table in [
            Table::simulated_with(without_cache),
            Table::simulated_with(compressed),
        ]
        .map(filled)
        {
            assert!(steps(&table, Cursor::default(), limits, false).is_none());
        }
        let expiring = filled(Table::simulated());
        expiring
            .expiring(Ttl::Ms(1))
            .put(Key::plain(b"late"), b"", Wait::May)
            .unwrap();
        assert!(steps(&expiring, Cursor::default(), limits, false).is_none());
        let closed = filled(Table::simulated());
        closed.close().unwrap();
        let step = closed.inner.step_standing(
            &mut Vec::new(),
            &mut Cursor::default(),
            limits,
            Wait::May,
            &mut |_, _| true,
            &mut |_, _| (),
        );
        assert!(matches!(step, Err(Error::Closed)), "{step:?}");
    }
}
