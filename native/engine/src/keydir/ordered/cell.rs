//! What changes of a node: its location, and the stored form of its key.
//!
//! As long as a key keeps the form that its node was made with and its objects do not expire, the cell is the location alone. An overwrite in another
//! form, or by an object that expires, gives the cell a *form*: a suffix and a deadline together with the location of the records that have them. The cell
//! has one from then on until its node goes, so a reader that saw a pointer reads a location that belongs to it.
#![allow(unsafe_code, reason = "follows a pointer that the epoch protects")]

use std::ptr;

use super::stored::StoredKey;
use crate::Deadline;
use crate::epoch::Guard;
use crate::keydir::Location;
use crate::sync::{AtomicPtr, AtomicU64, Ordering};

/// The changing part of a node. Only the holder of the key's lock changes it.
#[derive(Debug)]
pub(super) struct Cell {
    /// The location while there is no form.
    location: AtomicU64,
    form: AtomicPtr<Form>,
}

/// A stored form other than the node's own, or one that expires.
#[derive(Debug)]
struct Form {
    location: AtomicU64,
    deadline: Deadline,
    suffix: Box<[u8]>,
}

/// What a cell says at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'g> {
    pub(super) location: Location,
    pub(super) suffix: &'g [u8],
    pub(super) deadline: Deadline,
}

impl Form {
    fn new(location: Location, suffix: &[u8], deadline: Deadline) -> Self {
        Form {
            location: AtomicU64::new(location.to_bits()),
            deadline,
            suffix: suffix.into(),
        }
    }

    /// Bytes of memory of a form with this suffix.
    fn size(suffix: &[u8]) -> usize {
        size_of::<Form>() + suffix.len()
    }
}

impl Cell {
    /// The cell of a node that was made with this suffix.
    pub(super) fn new(location: Location, suffix: &[u8], deadline: Deadline) -> Self {
        Cell {
            location: AtomicU64::new(location.to_bits()),
            form: AtomicPtr::new(if deadline == Deadline::NEVER {
                ptr::null_mut()
            } else {
                Box::into_raw(Box::new(Form::new(location, suffix, deadline)))
            }),
        }
    }

    /// The location, and the suffix and the deadline that belong to it. `key` is the node's.
    pub(super) fn read<'g>(&self, key: &'g StoredKey, guard: &'g Guard) -> Content<'g> {
        match self.form(guard) {
            None => Content {
                location: Location::from_bits(self.location.load(Ordering::Acquire)),
                suffix: key.key().suffix(),
                deadline: Deadline::NEVER,
            },
            Some(form) => Content {
                location: Location::from_bits(form.location.load(Ordering::Acquire)),
                suffix: &form.suffix,
                deadline: form.deadline,
            },
        }
    }

    /// Replaces the location alone and gives the old one.
    pub(super) fn set_location(&self, location: Location, guard: &Guard) -> Location {
        let word = self.form(guard).map_or(&self.location, |form| &form.location);
        // Nobody but the lock's holder writes, so this need not be one step.
        let old = word.load(Ordering::Relaxed);
        word.store(location.to_bits(), Ordering::Release);
        Location::from_bits(old)
    }

    /// Replaces location, suffix and deadline in one step. Gives by how many bytes the memory held outside the node changed: those that came
    /// and those that went.
    pub(super) fn set_form(
        &self,
        location: Location,
        suffix: &[u8],
        deadline: Deadline,
        guard: &Guard,
    ) -> (usize, usize) {
        let form = Box::into_raw(Box::new(Form::new(location, suffix, deadline)));
        let came = Form::size(suffix);
        let old = self.form.swap(form, Ordering::AcqRel);
        (came, retire(old, guard))
    }

    /// Bytes of memory that it holds outside the node.
    pub(super) fn outside(&self, guard: &Guard) -> usize {
        self.form(guard).map_or(0, |form| Form::size(&form.suffix))
    }

    fn form<'g>(&self, _guard: &'g Guard) -> Option<&'g Form> {
        // SAFETY: what the pointer points to is destroyed by `retire`, which waits for the guards of its time to go, or by
        // `drop`, when nobody has the cell.
        unsafe { self.form.load(Ordering::Acquire).as_ref() }
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let form = *self.form.get_mut();
        if !form.is_null() {
            // SAFETY: nobody else has the cell, and the pointer is the only one to its form, which came from a box.
            drop(unsafe { Box::from_raw(form) });
        }
    }
}

/// Frees a form that its cell points to no more, once no reader has it. Gives its size.
fn retire(old: *mut Form, guard: &Guard) -> usize {
    // SAFETY: as in `form`: it was a cell's until now, and `guard` was there then.
    let Some(form) = (unsafe { old.as_ref() }) else {
        return 0;
    };
    let went = Form::size(&form.suffix);
    // SAFETY: the cell's pointer was the only way to it and has been replaced, once; it came from a box.
    unsafe { guard.defer_unchecked(move || drop(Box::from_raw(old))) };
    guard.flush();
    went
}
