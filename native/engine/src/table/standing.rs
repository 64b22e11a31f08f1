//! Steps of a traversal whose records all stand in blocks, where they need not be copied, nor their keys looked at in the keydir.

use std::ops::Range;

use super::{Cursor, Inner, Wait};
use crate::epoch;
use crate::keydir::Location;
use crate::segment::read::Near;
use crate::{Key, Now, Result};

/// So many records are fetched while as many before them are looked at: more would wait for each other, fewer would be waited for.
pub(super) const AHEAD: usize = 8;
/// A step takes so many records at most.
const RECORDS_MAX: usize = 4096;
/// When a record stood elsewhere, others will as well: so many steps do not try.
const PASSED: u32 = 16;

/// Goes through `count` records as long as `f` says so, with what `fetch` finds of each `part` of them a part ahead.
#[inline]
pub(super) fn ahead<'g>(
    count: usize,
    part: usize,
    mut fetch: impl FnMut(Range<usize>, &mut [Option<Near<'g>>]),
    mut f: impl FnMut(usize, Option<Near<'g>>) -> bool,
) -> bool {
    let part = part.clamp(1, count.max(1));
    let range = |from: usize| from.min(count)..count.min(from + part);
    let (mut near, mut next) = (vec![None; part], vec![None; part]);
    fetch(range(0), &mut near);
    for from in (0..count).step_by(part) {
        fetch(range(from + part), &mut next);
        for (at, near) in range(from).zip(&near) {
            if !f(at, *near) {
                return false;
            }
        }
        std::mem::swap(&mut near, &mut next);
    }
    true
}

/// What a thread keeps from step to step.
#[derive(Debug, Default)]
pub(super) struct Standing {
    locations: Vec<Location>,
    /// So many steps are not to try.
    passed: u32,
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
    /// A step of [`Table::scan_wanted`](super::Table::scan_wanted) in a table of one object a key in which nothing expires. `None`, and nothing done, of another table, or if a
    /// record stands elsewhere or one of the last steps met such a one.
    pub(super) fn step_standing(
        &self,
        standing: &mut Standing,
        cursor: &mut Cursor,
        limits: (usize, usize, bool),
        wait: Wait,
        wanted: &mut impl FnMut(&[u8], &[u8]) -> bool,
        f: &mut impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<Option<bool>> {
        if self.cache.is_none() || self.kind.is_bag() || self.log.time.now() != Now::BEFORE_ALL {
            return Ok(None);
        }
        if let Some(left) = standing.passed.checked_sub(1) {
            standing.passed = left;
            return Ok(None);
        }
        let more = self.try_standing(&mut standing.locations, cursor, limits, wait, wanted, f)?;
        if more.is_none() {
            standing.passed = PASSED;
        }
        Ok(more)
    }

    fn try_standing(
        &self,
        locations: &mut Vec<Location>,
        cursor: &mut Cursor,
        (objects, bytes, whole): (usize, usize, bool),
        wait: Wait,
        wanted: &mut impl FnMut(&[u8], &[u8]) -> bool,
        f: &mut impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<Option<bool>> {
        // From before the places are told: the slots of their segments are not given again meanwhile.
        let guard = epoch::pin();
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
        let taken = fitting(locations, bytes);
        let mut found = Found::default();
        if whole {
            found.standing.reserve(taken);
        }
        let mut last_wanted = false;
        let all_stand = ahead(
            taken,
            AHEAD,
            |part, near| {
                self.log
                    .near(locations[part].iter().copied(), whole, &guard, near);
            },
            |at, near| {
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
            cursor.go_behind(Key::new(&key, compared));
        }
        cursor.within = None;
        Ok(Some(more || taken < locations.len()))
    }
}

/// How many of the first records have in whole not many more than so many bytes.
fn fitting(locations: &[Location], bytes: usize) -> usize {
    let mut total: usize = 0;
    let fits = |location: &&Location| {
        let before = total;
        total = total.saturating_add(location.frame_len().map_or(1 << 16, usize::from));
        before < bytes
    };
    locations.iter().take_while(fits).count()
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
                    &mut Standing::default(),
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

    /// The place where a step ends is behind what is compared of its last key.
    #[test]
    fn a_step_goes_on_behind_a_key_whatever_its_form() {
        let table = ordered();
        let keys = [
            Key::new(b"a\xff", 1),
            Key::plain(b"ab"),
            Key::new(b"b12", 1),
            Key::plain(b"b1"),
        ];
        for key in keys {
            table.put(key, &value_of(key.bytes()), Wait::May).unwrap();
        }
        for few in [false, true] {
            let met = steps(&table, Cursor::default(), (1, usize::MAX, true), few)
                .unwrap()
                .concat();
            let met = met.iter().map(|(key, _)| &**key);
            assert!(met.eq(keys.map(|key| key.bytes())), "few: {few}");
        }
    }

    /// What is handed on is not asked for once more.
    #[test]
    fn nothing_is_handed_on_if_the_last_record_goes_meanwhile() {
        let table = filled(Table::simulated());
        let (mut standing, mut cursor) = (Standing::default(), Cursor::default());
        let mut step = |limits, wanted: &mut dyn FnMut()| {
            let mut met = 0;
            let mut wanted = |_: &[u8], _: &[u8]| {
                wanted();
                true
            };
            let more = table.inner.step_standing(
                &mut standing,
                &mut cursor,
                limits,
                Wait::Never,
                &mut wanted,
                &mut |_, _| met += 1,
            );
            (more.unwrap(), met)
        };
        let limits = (3, usize::MAX, true);
        assert_eq!(step(limits, &mut || ()), (Some(true), 3));
        let mut looks = 0;
        let goes = &mut || {
            looks += 1;
            if looks == 3 {
                table.inner.log.forget_written();
            }
        };
        assert_eq!(step(limits, goes), (None, 0));
        assert_eq!(standing.passed, PASSED, "the next steps are left to others");
    }

    #[test]
    fn a_step_that_meets_nothing_ends_outside_of_keys() {
        let table = ordered();
        let mut cursor = Cursor::inside(Key::plain(b"a"), 7);
        let limits = (1, usize::MAX, true);
        let more = table.inner.step_standing(
            &mut Standing::default(),
            &mut cursor,
            limits,
            Wait::Never,
            &mut |_, _| true,
            &mut |_, _| (),
        );
        assert_eq!((more.unwrap(), cursor.within()), (Some(false), None));
        let filled = filled(table);
        let mut locations = Vec::new();
        let none = filled.inner.calm(Wait::May, |keydir| {
            keydir
                .locations(&Cursor::default().span(), 0, &mut locations)
                .ok()
        });
        assert!(matches!(none, Ok(Some(true))) && locations.is_empty());
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
            &mut Standing::default(),
            &mut Cursor::default(),
            limits,
            Wait::May,
            &mut |_, _| true,
            &mut |_, _| (),
        );
        assert!(matches!(step, Err(Error::Closed)), "{step:?}");
    }
}
