//! The keydir that a table has at the moment, for a clear or a close puts another one in its place.
//!
//! Who may not wait looks at it under a guard of [`epoch`](crate::epoch), which takes no count of references and writes to nothing that threads
//! share. Who may wait counts a reference: a guard kept for long would hold up the freeing of memory everywhere.
#![allow(unsafe_code, reason = "a pointer that the epoch keeps alive")]

use std::sync::Arc;

use crate::epoch::{self, Guard};

use super::Keydir;
use crate::sync::{AtomicPtr, Ordering};

/// See the module.
#[derive(Debug)]
pub struct Current(AtomicPtr<Keydir>);

impl Current {
    /// With this keydir at first.
    pub fn new(keydir: Keydir) -> Self {
        Current(AtomicPtr::new(Arc::into_raw(Arc::new(keydir)).cast_mut()))
    }

    /// The keydir of now, for as long as the guard is kept.
    #[inline]
    pub fn load<'g>(&'g self, _guard: &'g Guard) -> &'g Keydir {
        // SAFETY: the pointer owns a count of the keydir, which is given up only after all guards that may have seen it are gone.
        unsafe { &*self.0.load(Ordering::Acquire) }
    }

    /// The keydir of now, kept by a count.
    pub fn hold(&self) -> Arc<Keydir> {
        let guard = &epoch::pin();
        let keydir = std::ptr::from_ref(self.load(guard));
        // SAFETY: it came from an `Arc` whose count is not given up while the guard is kept.
        unsafe {
            Arc::increment_strong_count(keydir);
            Arc::from_raw(keydir)
        }
    }

    /// Whether this keydir, which the caller has by [`Current::load`] or [`Current::hold`], still is the one of now.
    #[inline]
    pub fn is(&self, keydir: &Keydir) -> bool {
        std::ptr::eq(self.0.load(Ordering::Acquire), keydir)
    }

    /// Puts another one in its place and gives the one that was.
    pub fn replace(&self, new: Keydir) -> Arc<Keydir> {
        let old = self
            .0
            .swap(Arc::into_raw(Arc::new(new)).cast_mut(), Ordering::AcqRel);
        let guard = epoch::pin();
        // SAFETY: the count was the pointer's until now. One more is taken for the caller; that of the pointer goes when no reader can have it from there.
        let held = unsafe {
            Arc::increment_strong_count(old);
            let at = old as usize;
            guard.defer_unchecked(move || Arc::decrement_strong_count(at as *const Keydir));
            Arc::from_raw(old)
        };
        guard.flush();
        held
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        // SAFETY: nobody else has the pointer, which owns a count.
        drop(unsafe { Arc::from_raw(self.0.load(Ordering::Relaxed)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TableKind;

    #[test]
    fn what_was_replaced_goes_with_the_last_who_has_it() {
        let current = Current::new(Keydir::new(TableKind::Set, 1));
        let first = current.hold();
        assert!(current.is(&first));
        let old = current.replace(Keydir::new(TableKind::Set, 2));
        assert!(Arc::ptr_eq(&first, &old) && !current.is(&old));
        assert_eq!(current.load(&epoch::pin()).seed(), 2);
        let weak = Arc::downgrade(&first);
        drop((first, old));
        for _ in 0..1_000_000 {
            if weak.upgrade().is_none() {
                return;
            }
            epoch::pin().flush();
        }
        panic!("the count of the place itself was never given up");
    }

    #[test]
    fn readers_see_one_or_the_other_while_it_is_replaced() {
        let current = Current::new(Keydir::new(TableKind::Set, 0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for seed in 1..2_000 {
                    drop(current.replace(Keydir::new(TableKind::Set, seed)));
                }
            });
            let mut last = 0;
            while last < 1_999 {
                let counted = current.hold().seed();
                let seen = current.load(&epoch::pin()).seed();
                assert!(last <= counted && counted <= seen && seen < 2_000);
                last = seen;
            }
        });
    }
}
