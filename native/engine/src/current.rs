//! What a table has at the moment and another one takes the place of, while readers look: the keydir, which a clear or a close replaces, and the list of segments.
//!
//! Who may not wait looks at it under a guard of [`epoch`](crate::epoch), which takes no count of references and writes to nothing that threads
//! share. Who may wait counts a reference: a guard kept for long would hold up the freeing of memory everywhere.
#![allow(unsafe_code, reason = "a pointer that the epoch keeps alive")]

use std::sync::Arc;

use crate::epoch::{self, Guard};
use crate::sync::{AtomicPtr, Ordering};

/// See the module.
#[derive(Debug)]
pub struct Current<T>(AtomicPtr<T>);

impl<T: Send + Sync> Current<T> {
    /// With this one at first.
    pub fn new(first: T) -> Self {
        Current(AtomicPtr::new(Arc::into_raw(Arc::new(first)).cast_mut()))
    }

    /// The one of now, for as long as the guard is kept.
    #[inline]
    pub fn load<'g>(&'g self, _guard: &'g Guard) -> &'g T {
        // SAFETY: the pointer owns a count of it, which is given up only after all guards that may have seen it are gone.
        unsafe { &*self.0.load(Ordering::Acquire) }
    }

    /// The one of now, kept by a count.
    pub fn hold(&self) -> Arc<T> {
        let guard = &epoch::pin();
        let current = std::ptr::from_ref(self.load(guard));
        // SAFETY: it came from an `Arc` whose count is not given up while the guard is kept.
        unsafe {
            Arc::increment_strong_count(current);
            Arc::from_raw(current)
        }
    }

    /// Whether this one, which the caller has by [`Current::load`] or [`Current::hold`], still is the one of now.
    #[inline]
    pub fn is(&self, one: &T) -> bool {
        std::ptr::eq(self.0.load(Ordering::Acquire), one)
    }

    /// Puts another one in its place and gives the one that was.
    pub fn replace(&self, new: T) -> Arc<T> {
        let old = self
            .0
            .swap(Arc::into_raw(Arc::new(new)).cast_mut(), Ordering::AcqRel);
        let guard = epoch::pin();
        // SAFETY: the count was the pointer's until now. One more is taken for the caller; that of the pointer goes when no reader can have it from there.
        let held = unsafe {
            Arc::increment_strong_count(old);
            let at = old as usize;
            guard.defer_unchecked(move || Arc::decrement_strong_count(at as *const T));
            Arc::from_raw(old)
        };
        guard.flush();
        held
    }
}

impl<T> Drop for Current<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else has the pointer, which owns a count.
        drop(unsafe { Arc::from_raw(self.0.load(Ordering::Relaxed)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keydir::Keydir;
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
