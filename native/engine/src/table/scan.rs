//! Traversals.

use std::cell::RefCell;
use std::ops::Bound;

use super::expiry::refuse_long;
use super::gather::{Gathered, Records};
use super::standing::Standing;
use super::{Cursor, Direction, Inner, Table, Wait};
use crate::keydir::{Batch, Span};
use crate::{Key, Result};

/// What one step of a traversal gathers; kept by each thread.
#[derive(Default)]
struct Step {
    standing: Standing,
    keys: Batch,
    gathered: Gathered,
}

/// A step's buffers larger than this are not kept, in bytes.
const MAX_KEPT_LEN: usize = 1 << 20;

thread_local! {
    static STEP: RefCell<Step> = RefCell::default();
}

impl Cursor {
    /// A traversal of the keys between two bounds, of which `from` is where it begins: the upper one if it goes backward. Bounds are
    /// compared with the compared parts of keys by `memcmp` and need not be keys. Only in a table of type
    /// [`OrderedSet`](super::TableKind::OrderedSet) do bounds and the direction mean anything.
    pub fn range(direction: Direction, from: Bound<&[u8]>, until: Bound<&[u8]>) -> Self {
        Cursor {
            direction,
            from: from.map(<[u8]>::to_vec),
            until: until.map(<[u8]>::to_vec),
            within: None,
        }
    }

    /// The objects of this key behind the one with this seq, then the keys behind it: where [`Cursor::within`] told so.
    pub fn inside(key: Key<'_>, seq: u64) -> Self {
        Cursor {
            within: Some(seq),
            ..Cursor::after(key)
        }
    }

    /// The seq of the object where the traversal stands, if that key has more objects behind it.
    pub fn within(&self) -> Option<u64> {
        self.within
    }

    /// The same, if it stands inside this key: a step that met only expired objects may have gone on to another one.
    pub fn within_key(&self, key: Key<'_>) -> Option<u64> {
        let inside = matches!(&self.from, Bound::Excluded(at) if at == key.compared());
        self.within.filter(|_| inside)
    }

    /// All keys, from the last one to the first. In a table in hash order, from the first to the last.
    pub fn backward() -> Self {
        Cursor::range(Direction::Backward, Bound::Unbounded, Bound::Unbounded)
    }

    /// The keys behind this one, whether it is present or not.
    pub fn after(key: Key<'_>) -> Self {
        Cursor::range(
            Direction::Forward,
            Bound::Excluded(key.compared()),
            Bound::Unbounded,
        )
    }

    /// The keys before this one, whether it is present or not, going backward. In a table in hash order, those behind it.
    pub fn before(key: Key<'_>) -> Self {
        Cursor::range(
            Direction::Backward,
            Bound::Excluded(key.compared()),
            Bound::Unbounded,
        )
    }

    /// Moves to the place behind this key in the cursor's direction. The end stays.
    pub fn go_behind(&mut self, key: Key<'_>) {
        self.from = Bound::Excluded(key.compared().to_vec());
    }

    /// Moves to the place behind this key, or, in a bag, behind its object with the seq `within`.
    pub(crate) fn go_on(&mut self, key: Key<'_>, within: Option<u64>) {
        self.within = within;
        self.go_behind(key);
    }

    pub(crate) fn span(&self) -> Span<'_> {
        Span {
            direction: self.direction,
            from: self.from.as_ref().map(Vec::as_slice),
            until: self.until.as_ref().map(Vec::as_slice),
        }
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Cursor::range(Direction::Forward, Bound::Unbounded, Bound::Unbounded)
    }
}

impl Table {
    /// The next key of the traversal, as stored bytes (suffix included). Never touches the disk.
    pub fn next_key(&self, cursor: &Cursor, wait: Wait) -> Result<Option<Vec<u8>>> {
        self.inner.check()?;
        let now = self.inner.log.time.now();
        let mut key = Vec::new();
        let next = |cursor: &Cursor, key: &mut Vec<u8>| {
            self.inner
                .calm(wait, |keydir| keydir.next(&cursor.span(), key).ok())
        };
        let mut found = next(cursor, &mut key)?;
        let mut behind: Option<Cursor> = None;
        let mut passed = 0;
        while let Some(over) = found.filter(|found| found.deadline.is_over(now)) {
            refuse_long(wait, passed)?;
            passed += 1;
            let behind = behind.get_or_insert_with(|| cursor.clone());
            behind.go_behind(Key::new(&key, over.compared));
            found = next(behind, &mut key)?;
        }
        match found {
            Some(_) => Ok(Some(key)),
            None => self.inner.nothing(),
        }
    }

    /// Hands the next objects of the traversal to `f`, at most `objects` of them and not many more than `bytes`, and
    /// moves the cursor behind the last. `true` if there may be more, even if there was none in this step: objects that have expired count as well. An object present throughout a traversal is seen
    /// exactly once. `f` gets the stored key bytes and the value, and is called for none if the result is an error. Values that are
    /// not cached are read from the disk in the order of their places. `f` must not wait: memory that others let go of may be kept until it is done.
    ///
    /// The objects of a key in a bag come in one step and as they were at one moment, unless the key has more of them than a step takes:
    /// then [`Cursor::within`] tells that the step ended inside the key.
    pub fn scan(
        &self,
        cursor: &mut Cursor,
        objects: usize,
        bytes: usize,
        wait: Wait,
        mut f: impl FnMut(&[u8], &[u8]),
    ) -> Result<bool> {
        self.scan_wanted(
            cursor,
            (objects, bytes, true),
            wait,
            |_, _| true,
            |key, value| f(key, value.unwrap_or_default()),
        )
    }

    /// Like [`Table::scan`], but `f` gets only the objects that are `wanted`, and the key of the last one in any case. `wanted` may be asked about an object more than once, and before it is
    /// known whether the step succeeds. The limits are at most so many objects, about so many bytes, and whether most of the values will be wanted, which are
    /// then fetched whole ahead of time.
    pub fn scan_wanted(
        &self,
        cursor: &mut Cursor,
        limits: (usize, usize, bool),
        wait: Wait,
        mut wanted: impl FnMut(&[u8], &[u8]) -> bool,
        mut f: impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<bool> {
        self.inner.check()?;
        STEP.with(|step| match step.try_borrow_mut() {
            Ok(mut step) => {
                let more = self
                    .inner
                    .step(&mut step, cursor, limits, wait, &mut wanted, &mut f);
                if step.gathered.held_bytes().max(step.keys.held_bytes()) > MAX_KEPT_LEN {
                    *step = Step::default();
                }
                more
            }
            Err(_) => self
                .inner
                .step(&mut Step::default(), cursor, limits, wait, &mut wanted, &mut f),
        })
    }
}

impl Inner {
    fn step(
        &self,
        step: &mut Step,
        cursor: &mut Cursor,
        (objects, bytes, whole): (usize, usize, bool),
        wait: Wait,
        wanted: &mut impl FnMut(&[u8], &[u8]) -> bool,
        f: &mut impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<bool> {
        let Step {
            standing,
            keys,
            gathered,
        } = step;
        let limits = (objects, bytes, whole);
        if let Some(more) = self.step_standing(standing, cursor, limits, wait, wanted, f)? {
            return Ok(more);
        }
        let now = self.log.time.now();
        loop {
            let more = self.calm(wait, |keydir| {
                keys.clear();
                keydir.scan(&cursor.span(), cursor.within, objects, keys).ok()
            })?;
            if !more {
                // An end met in a table that was closed meanwhile is none.
                self.check()?;
            }
            let taken = fitting(keys, bytes);
            // A step ends between two keys if it can.
            let taken = match keys.within(taken) {
                Some(_) => (0..taken)
                    .rev()
                    .find(|&at| keys.within(at).is_none())
                    .filter(|&at| at > 0)
                    .unwrap_or(taken),
                None => taken,
            };
            let records = Records {
                keys,
                count: taken,
                now,
            };
            if !self.hand_on(&records, gathered, (bytes, whole, wait), wanted, f)? {
                self.check()?;
                continue;
            }
            cursor.within = keys.within(taken);
            if let Some(last) = taken.checked_sub(1) {
                cursor.go_behind(keys.key(last));
            }
            return Ok(more || taken < keys.len());
        }
    }
}

/// How many of the first records have in whole not many more than so many bytes.
fn fitting(keys: &Batch, bytes: usize) -> usize {
    let mut total = 0;
    let fitting = keys.iter().take_while(|(key, location)| {
        let before = total;
        total += location.frame_len().map_or(1 << 16, usize::from) + key.bytes().len();
        before < bytes
    });
    fitting.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread kept memory for the longest keys that it had ever met.
    #[test]
    fn what_a_step_needed_for_long_keys_or_values_is_not_kept() {
        let table = Table::simulated();
        let kept = || STEP.with_borrow(|step| step.gathered.held_bytes().max(step.keys.held_bytes()));
        for (key, value) in [(10, 10), (2 * MAX_KEPT_LEN, 10), (11, 2 * MAX_KEPT_LEN)] {
            table
                .put(Key::plain(&vec![1; key]), &vec![1; value], Wait::May)
                .unwrap();
            let mut met = 0;
            table
                .scan(&mut Cursor::default(), 100, 1 << 30, Wait::May, |_, _| met += 1)
                .unwrap();
            assert!(met > 0 && kept() <= MAX_KEPT_LEN, "{met}, {} kept", kept());
        }
    }
}
