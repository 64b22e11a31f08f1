//! Traversals.

use std::cell::RefCell;
use std::ops::Range;

use super::{Cursor, Inner, Table, Wait};
use crate::keydir::{self, Batch, HashKeydir, Location};
use crate::{Key, Result};

/// What one step of a traversal gathers; kept by each thread.
#[derive(Default)]
struct Step {
    keys: Batch,
    values: Vec<u8>,
}

/// A step's buffers larger than this are not kept, in bytes.
const MAX_KEPT_LEN: usize = 1 << 20;

thread_local! {
    static STEP: RefCell<Step> = RefCell::default();
}

impl Cursor {
    /// The place just behind this key, whether the key is present or not.
    pub fn after(key: Key<'_>) -> Self {
        Cursor {
            after: Some(key.compared().to_vec()),
        }
    }

    fn place(&self, keydir: &HashKeydir) -> keydir::Cursor {
        match &self.after {
            None => keydir::Cursor::start(),
            Some(compared) => {
                let key = Key::plain(compared);
                keydir::Cursor::after(keydir.hash(key), key)
            }
        }
    }
}

impl Table {
    /// The first key behind the cursor, in the table's order, as stored bytes (suffix included). Never touches the disk.
    pub fn next_key(&self, cursor: &Cursor, wait: Wait) -> Result<Option<Vec<u8>>> {
        self.inner.check()?;
        let mut key = Vec::new();
        let found = self
            .inner
            .calm(wait, |keydir| keydir.next(&cursor.place(keydir), &mut key).ok())?;
        match found {
            Some(_) => Ok(Some(key)),
            None => self.inner.nothing(),
        }
    }

    /// Hands the objects behind the cursor to `f` in the table's order, at most `objects` of them and not many more than `bytes`, and
    /// moves the cursor behind the last. `true` if there may be more. An object present throughout a traversal is seen
    /// exactly once. `f` gets the stored key bytes and the value, and is called for none if the result is an error. Values that are
    /// not cached are read from the disk in the order of their places.
    pub fn scan(
        &self,
        cursor: &mut Cursor,
        objects: usize,
        bytes: usize,
        wait: Wait,
        mut f: impl FnMut(&[u8], &[u8]),
    ) -> Result<bool> {
        self.inner.check()?;
        STEP.with(|step| match step.try_borrow_mut() {
            Ok(mut step) => {
                let more = self.inner.step(&mut step, cursor, (objects, bytes), wait, &mut f);
                if step.values.capacity() > MAX_KEPT_LEN {
                    *step = Step::default();
                }
                more
            }
            Err(_) => self
                .inner
                .step(&mut Step::default(), cursor, (objects, bytes), wait, &mut f),
        })
    }
}

impl Inner {
    fn step(
        &self,
        step: &mut Step,
        cursor: &mut Cursor,
        (objects, bytes): (usize, usize),
        wait: Wait,
        f: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<bool> {
        loop {
            step.keys.clear();
            step.values.clear();
            let Step { keys, values } = step;
            let more = self.calm(wait, |keydir| {
                keys.clear();
                keydir.scan(&mut cursor.place(keydir), objects, keys).ok()
            })?;
            if !more {
                // An end met in a table that was closed meanwhile is none.
                self.check()?;
            }
            let found: Vec<(Key<'_>, Location)> = keys.iter().collect();
            let Some((taken, ranges)) = self.gather(&found, values, bytes, wait)? else {
                continue;
            };
            for ((key, _), range) in found.iter().zip(ranges).take(taken) {
                f(key.bytes(), &values[range]);
                cursor.after = Some(key.compared().to_vec());
            }
            return Ok(more || taken < found.len());
        }
    }

    /// Puts the values of the first records, in whole not many more than `bytes`, into `values`. `None` if one has moved meanwhile.
    fn gather(
        &self,
        found: &[(Key<'_>, Location)],
        values: &mut Vec<u8>,
        bytes: usize,
        wait: Wait,
    ) -> Result<Option<(usize, Vec<Range<usize>>)>> {
        let mut total = 0;
        let fitting = found.iter().take_while(|(key, location)| {
            let before = total;
            total += location.frame_len().map_or(1 << 16, usize::from) + key.bytes().len();
            before < bytes
        });
        let taken = fitting.count();
        let mut order: Vec<usize> = (0..taken).collect();
        order.sort_unstable_by_key(|&i| (found[i].1.segment(), found[i].1.offset()));
        let mut ranges = vec![0..0; taken];
        for i in order {
            let (key, location) = found[i];
            let start = values.len();
            let read = self.record(location, key.compared(), wait, |_, value| {
                values.extend_from_slice(value);
            })?;
            if read.is_none() {
                return Ok(None);
            }
            ranges[i] = start..values.len();
        }
        Ok(Some((taken, ranges)))
    }
}
