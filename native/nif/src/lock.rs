//! Locks that schedulers take and that threads wait at. They are the standard library's: who unlocks one leaves it to whoever comes first. A lock of `parking_lot` may be handed to a thread
//! that does not run yet, for which a scheduler would wait.
//!
//! A panic of who holds one ends that call alone, as everywhere in this library: what is behind the lock is used on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Takes a lock.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the lock back until something is signalled, or for so long; whether it was for so long.
pub fn wait<'m, T>(
    condition: &Condvar,
    held: MutexGuard<'m, T>,
    timeout: Duration,
) -> (MutexGuard<'m, T>, bool) {
    let waited = condition.wait_timeout(held, timeout);
    let (held, result) = waited.unwrap_or_else(PoisonError::into_inner);
    (held, result.timed_out())
}
