//! The one place where the engine's concurrent code gets its atomics and locks from, so that a model checker can be put
//! underneath all of it at once: with the feature `shuttle` every step of them is one at which another thread may go on.

#[cfg(not(feature = "shuttle"))]
pub(crate) use locks::Mutex;
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::hint::spin_loop;
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

pub(crate) use parking_lot::MutexGuard;
pub(crate) use std::sync::atomic::Ordering;

#[cfg(feature = "shuttle")]
pub(crate) use modelled::*;

#[cfg(not(feature = "shuttle"))]
mod locks {
    use std::thread;
    use std::time::Duration;

    use super::MutexGuard;

    /// So often a lock is asked for at once, some microseconds in all.
    const SPINS: u32 = 200;
    /// How long a thread sleeps before it asks once more.
    const PAUSE: Duration = Duration::from_micros(50);
    /// Who has slept so often, for about half a millisecond, stands in line after all: a lock that others take again as soon as they let it go would never be free when it is asked for.
    const PAUSES: u32 = 4;

    /// The mutex of what calls on the VM's schedulers and other threads share: it hardly ever belongs to one who does not run. `parking_lot`'s own `lock` makes a queue of those who wait, and now and then unlocking hands the lock
    /// to the first of them; until the system has found that thread a processor, which it may not for milliseconds, all schedulers stand still for it. So who waits here first asks again and again, and mostly finds it free.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Mutex(parking_lot::Mutex::new(value))
        }

        #[inline]
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            match self.0.try_lock() {
                Some(guard) => guard,
                None => self.wait(),
            }
        }

        #[cold]
        fn wait(&self) -> MutexGuard<'_, T> {
            for asked in 0..SPINS + PAUSES {
                if let Some(guard) = self.0.try_lock() {
                    return guard;
                }
                if asked < SPINS {
                    super::spin_loop();
                } else {
                    thread::sleep(PAUSE);
                }
            }
            self.0.lock()
        }

        #[inline]
        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock()
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut()
        }
    }
}

/// Something on cache lines of its own, for what every read looks at: what writers change beside it must not take it out of the readers' caches. Lines are
/// fetched in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Lines<T>(pub(crate) T);

impl<T> std::ops::Deref for Lines<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Test equipment: the same names, each call of which lets shuttle decide who goes on.
///
/// They are the standard library's atomics, so that memory of zeros is one and a pointer to a word may be taken for one, as the keydir does. What
/// shuttle tries are orders of steps; it takes every access to be sequentially consistent.
#[cfg(feature = "shuttle")]
mod modelled {
    use std::sync::atomic::{self, Ordering};

    use super::MutexGuard;

    /// Lets another thread go on. Behind the end of a model's run, where what it let go of is freed, there is none.
    fn step() {
        if shuttle::current::try_get_current_task().is_some() {
            shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
        }
    }

    /// Waits for another thread.
    pub(crate) fn spin_loop() {
        shuttle::thread::yield_now();
    }

    /// A lock that is waited for in steps.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Mutex(parking_lot::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            loop {
                if let Some(guard) = self.try_lock() {
                    return guard;
                }
                spin_loop();
            }
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            step();
            self.0.try_lock()
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut()
        }
    }

    macro_rules! atomic {
        ($name:ident, $value:ty $(, $generic:ident)?) => {
            #[derive(Debug, Default)]
            #[repr(transparent)]
            pub(crate) struct $name $(<$generic>)? (atomic::$name $(<$generic>)?);

            #[allow(dead_code, reason = "each type has the calls of all")]
            impl $(<$generic>)? $name $(<$generic>)? {
                pub(crate) const fn new(value: $value) -> Self {
                    Self(atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $value {
                    step();
                    self.0.load(order)
                }

                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    step();
                    self.0.store(value, order);
                }

                pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                    step();
                    self.0.swap(value, order)
                }

                pub(crate) fn compare_exchange(
                    &self,
                    old: $value,
                    new: $value,
                    done: Ordering,
                    failed: Ordering,
                ) -> Result<$value, $value> {
                    step();
                    self.0.compare_exchange(old, new, done, failed)
                }

                pub(crate) fn get_mut(&mut self) -> &mut $value {
                    self.0.get_mut()
                }
            }
        };
    }

    macro_rules! counter {
        ($name:ident, $value:ty) => {
            atomic!($name, $value);

            #[allow(dead_code, reason = "each type has the calls of all")]
            impl $name {
                pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    step();
                    self.0.fetch_add(value, order)
                }

                pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    step();
                    self.0.fetch_sub(value, order)
                }
            }
        };
    }

    atomic!(AtomicBool, bool);
    atomic!(AtomicPtr, *mut T, T);
    counter!(AtomicU32, u32);
    counter!(AtomicU64, u64);
    counter!(AtomicUsize, usize);
}
