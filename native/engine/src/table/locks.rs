//! The locks that writers take.

use std::sync::Arc;

use super::{Inner, Wait};
use crate::epoch::{self, Guard};
use crate::keydir::{Keydir, WriteGuard};
use crate::sync::MutexGuard;
use crate::{Error, Key, Result};

/// How often a call that may not wait looks at a lock before it gives up.
const SPINS: usize = 500;

/// Where a key belongs: its hash, and which of the locked shards it is in.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) hash: u64,
    pub(super) shard: usize,
}

impl Inner {
    /// Runs `f` under the write lock of the key's shard.
    pub(crate) fn with_shard<R>(
        &self,
        key: Key<'_>,
        wait: Wait,
        f: impl FnOnce(u64, &mut WriteGuard<'_>) -> Result<R>,
    ) -> Result<R> {
        self.check()?;
        let hash = self.hash(key);
        if let Some(cache) = &self.cache {
            cache.prefetch(hash);
        }
        let (mut pinned, mut counted) = (None, None);
        loop {
            let keydir = self.current(wait, &mut pinned, &mut counted);
            keydir.prefetch(hash);
            let mut shard = lock_shard(keydir, Keydir::shard_of(hash), wait)?;
            // A clear puts a new keydir in place while it holds all locks of the old one.
            if self.keydir.is(keydir) {
                // A close puts an empty one in place, in which no key is there.
                self.check()?;
                return f(hash, &mut shard);
            }
        }
    }

    /// The keydir of now, kept as becomes one who may wait or not.
    fn current<'k>(
        &'k self,
        wait: Wait,
        pinned: &'k mut Option<Guard>,
        counted: &'k mut Option<Arc<Keydir>>,
    ) -> &'k Keydir {
        match wait {
            Wait::Never => self.keydir.load(pinned.get_or_insert_with(epoch::pin)),
            Wait::May => counted.insert(self.keydir.hold()),
        }
    }

    /// Runs `f` under the write locks of the shards of all keys, with the place of each.
    pub(super) fn with_shards<'k, R>(
        &self,
        keys: &(impl Iterator<Item = Key<'k>> + Clone),
        wait: Wait,
        mut f: impl FnMut(&[Place], &mut [WriteGuard<'_>]) -> Result<R>,
    ) -> Result<R> {
        let hashes: Vec<u64> = keys.clone().map(|key| self.hash(key)).collect();
        let (mut pinned, mut counted) = (None, None);
        loop {
            let keydir = self.current(wait, &mut pinned, &mut counted);
            let mut wanted: Vec<usize> = hashes.iter().map(|&hash| Keydir::shard_of(hash)).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let mut shards = lock_shards(keydir, wanted.iter().copied(), wait)?;
            if !self.keydir.is(keydir) {
                continue;
            }
            self.check()?;
            let place = |&hash| Place {
                hash,
                shard: wanted.binary_search(&Keydir::shard_of(hash)).unwrap_or_default(),
            };
            let places: Vec<Place> = hashes.iter().map(place).collect();
            return f(&places, &mut shards);
        }
    }

    pub(super) fn lock_many(&self, wait: Wait) -> Result<MutexGuard<'_, ()>> {
        if wait == Wait::May {
            return Ok(self.many.lock());
        }
        spin(|| self.many.try_lock())
    }
}

/// Locks shards, which must come in ascending order.
pub(super) fn lock_shards(
    keydir: &Keydir,
    shards: impl Iterator<Item = usize>,
    wait: Wait,
) -> Result<Vec<WriteGuard<'_>>> {
    shards.map(|shard| lock_shard(keydir, shard, wait)).collect()
}

#[expect(
    clippy::inline_always,
    reason = "a guard that is handed on is written in pieces and read whole, for which the processor waits"
)]
#[inline(always)]
fn lock_shard(keydir: &Keydir, shard: usize, wait: Wait) -> Result<WriteGuard<'_>> {
    match wait {
        Wait::May => {
            let mut guard = keydir.lock(shard);
            guard.resize();
            Ok(guard)
        }
        Wait::Never => match keydir.try_lock(shard) {
            Ok(guard) if guard.is_resize_due() => Err(Error::WouldBlock),
            Ok(guard) => Ok(guard),
            Err(_) => Err(Error::Busy),
        },
    }
}

fn spin<T>(mut attempt: impl FnMut() -> Option<T>) -> Result<T> {
    for _ in 0..SPINS {
        if let Some(got) = attempt() {
            return Ok(got);
        }
        std::hint::spin_loop();
    }
    Err(Error::Busy)
}
