//! A page: the place of a leaf. It has one address for as long as it is in the tree, and its lower bound stays the same.
#![allow(unsafe_code, reason = "follows and frees pointers that the epoch protects")]

use std::ptr::NonNull;

use crate::epoch::Guard;

use super::leaf::{self, Header, Leaf, SEARCHED_LINES};
use crate::keydir::prefetch::{LINE, prefetch};
use crate::sync::{AtomicPtr, Ordering};

/// See the module. Its keys are those from its lower bound up to that of the page behind it.
#[derive(Debug)]
pub(super) struct Page {
    leaf: AtomicPtr<Header>,
    low: Box<[u8]>,
}

/// The address of a page, which threads may hand to each other. Who follows it answers for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PagePtr(pub(super) *const Page);

// SAFETY: an address is a number.
unsafe impl Send for PagePtr {}
// SAFETY: as above.
unsafe impl Sync for PagePtr {}

impl Page {
    /// A page with this leaf, which becomes its own.
    pub(super) fn new(low: Box<[u8]>, leaf: NonNull<Header>) -> Self {
        Page {
            leaf: AtomicPtr::new(leaf.as_ptr()),
            low,
        }
    }

    /// What none of its keys comes before.
    pub(super) fn low(&self) -> &[u8] {
        &self.low
    }

    /// Gives it another lower bound.
    pub(super) fn set_low(&mut self, low: Box<[u8]>) {
        self.low = low;
    }

    /// Has the processor fetch what is looked at when keys of it change.
    pub(super) fn prefetch(&self) {
        prefetch(self.low.as_ptr());
        let leaf = self.leaf.load(Ordering::Relaxed);
        for line in 0..SEARCHED_LINES {
            prefetch(leaf.cast::<u8>().wrapping_add(line * LINE));
        }
    }

    /// Puts a leaf in the place of the old one, which is freed.
    pub(super) fn set_leaf(&mut self, leaf: NonNull<Header>) {
        let old = std::mem::replace(self.leaf.get_mut(), leaf.as_ptr());
        // SAFETY: nobody else has the page any more, and the leaf was its own.
        unsafe { leaf::free(NonNull::new_unchecked(old)) };
    }

    /// Tells its leaf the page behind this one.
    pub(super) fn set_next(&mut self, next: *const Page) {
        // SAFETY: as in `set_leaf`.
        unsafe { leaf::set_next(NonNull::new_unchecked(*self.leaf.get_mut()), next) };
    }

    /// Its keys at this moment.
    pub(super) fn leaf<'g>(&self, _guard: &'g Guard) -> Leaf<'g> {
        // SAFETY: the pointer is never null. What it pointed to at any moment under the guard is freed only after the guard is gone.
        unsafe { Leaf::new(NonNull::new_unchecked(self.leaf.load(Ordering::Acquire))) }
    }

    /// Puts a new leaf in the place of an old one, which goes when no reader has it; `false` if another one stands there by now. Then the new
    /// one is freed.
    pub(super) fn replace(&self, old: Leaf<'_>, new: NonNull<Header>, guard: &Guard) -> bool {
        let done = self
            .leaf
            .compare_exchange(old.as_ptr(), new.as_ptr(), Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        if done {
            let old = old.as_ptr();
            // SAFETY: only this exchange took it out, so it is freed once, and only after all who may have found it are gone.
            unsafe { guard.defer_unchecked(move || leaf::free(NonNull::new_unchecked(old))) };
        } else {
            // SAFETY: nobody else has seen it.
            unsafe { leaf::free(new) };
        }
        done
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: nobody else has the page any more, and the leaf is its own.
        unsafe { leaf::free(NonNull::new_unchecked(*self.leaf.get_mut())) };
    }
}
