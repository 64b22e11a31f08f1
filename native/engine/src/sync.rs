//! The one place where the engine's concurrent code gets its atomics and locks from, so that a model checker can be put
//! underneath all of it at once.

pub(crate) use parking_lot::{Mutex, MutexGuard};
pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
