//! Objects that expire: how long they are there, and the sweep that takes them out of the keydir.
//!
//! Nobody sees an object from its deadline on: readers compare it with the time of their call. The sweep only gives its memory back and
//! counts its record as dead. It finds what is due by *timers*: a key whose object expires has one, in a bucket of a time at or before its deadline. A
//! later deadline leaves the timer alone; when it is due, it is put into a later bucket. Buckets of a time far off are wide, so there are few.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::{Cursor, Inner, Table, Ttl, Wait};
use crate::background::{self, Job, Urgency};
use crate::format::{get_varint, put_varint};
use crate::keydir::{Batch, Keydir};
use crate::sync::Mutex;
use crate::{Deadline, Error, Key, Now, Result};

/// The width of the narrowest bucket, and the time between two sweeps, in milliseconds.
const PERIOD_MS: u64 = 500;
/// A bucket spans at most this part of the time until it is due.
const PARTS: u64 = 16;
/// Writers of keys with different hashes mostly use different ones of so many.
const STRIPES: usize = 16;
/// A sweep looks at so many keys, then lets others use the thread.
const STEP: usize = 5_000;
/// So many keys are looked at in one step of gathering timers anew.
const SCANNED: usize = 500;
/// Beyond two timers a key and so many more, timers are gathered anew: overwriting with nearer deadlines leaves some that are of no use.
const SPARE: u64 = 4_096;

/// The timers of a table.
#[derive(Debug)]
pub(super) struct Timers {
    stripes: Box<[Mutex<BTreeMap<u64, Bucket>>]>,
    count: AtomicU64,
    bytes: AtomicUsize,
    /// Whether a sweep is planned.
    planned: AtomicBool,
    work: parking_lot::Mutex<Work>,
}

/// Keys, each behind its length. They are few bytes each, and many.
#[derive(Debug, Default)]
struct Bucket {
    keys: Vec<u8>,
}

/// What the sweep is at.
#[derive(Debug, Default)]
struct Work {
    /// Where gathering timers anew goes on.
    gathering: Option<Cursor>,
    due: Vec<Bucket>,
    /// How much of the last bucket is done.
    at: usize,
}

impl Timers {
    pub(super) fn new() -> Self {
        Timers {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            count: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
            planned: AtomicBool::new(false),
            work: parking_lot::Mutex::default(),
        }
    }

    /// Bytes of memory that they take.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) as u64
    }

    /// Has the key looked at when this deadline has come.
    fn add(&self, hash: u64, key: Key<'_>, deadline: Deadline, now: Now) {
        let Some(due) = deadline.ms().map(|ms| bucket_of(ms, now.ms())) else {
            return;
        };
        let mut stripe = self.stripes[hash as usize % STRIPES].lock();
        let bucket = stripe.entry(due).or_default();
        let before = bucket.keys.capacity();
        put_varint(&mut bucket.keys, key.compared().len() as u32);
        bucket.keys.extend_from_slice(key.compared());
        let grown = bucket.keys.capacity() - before;
        self.bytes.fetch_add(grown, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The buckets that are due.
    fn take_due(&self, now: Now) -> Vec<Bucket> {
        let mut due = Vec::new();
        for stripe in &self.stripes {
            let mut stripe = stripe.lock();
            let later = stripe.split_off(&(now.ms() + 1));
            due.extend(std::mem::replace(&mut *stripe, later).into_values());
        }
        due
    }

    /// Drops all of them.
    fn clear(&self) {
        for stripe in &self.stripes {
            let gone = std::mem::take(&mut *stripe.lock());
            for bucket in gone.into_values() {
                self.forget(&bucket);
            }
        }
    }

    /// Counts the timers of a bucket, which nobody adds to any more, no longer.
    fn forget(&self, bucket: &Bucket) {
        self.bytes.fetch_sub(bucket.keys.capacity(), Ordering::Relaxed);
        self.count.fetch_sub(bucket.len(), Ordering::Relaxed);
    }
}

impl Bucket {
    /// The key at `at`, and where the next one stands.
    fn key(&self, at: usize) -> Option<(Key<'_>, usize)> {
        let (len, head) = get_varint(self.keys.get(at..)?)?;
        let (start, end) = (at + head, at + head + len as usize);
        Some((Key::plain(self.keys.get(start..end)?), end))
    }

    fn len(&self) -> u64 {
        let (mut at, mut len) = (0, 0);
        while let Some((_, next)) = self.key(at) {
            (at, len) = (next, len + 1);
        }
        len
    }
}

/// When a bucket is due that has what expires at `deadline`: not before that if it is near, else when it has come near enough for a narrower one.
fn bucket_of(deadline: u64, now: u64) -> u64 {
    let mut width = PERIOD_MS;
    while deadline.saturating_sub(now) / (width * PARTS) >= PARTS
        && width < u64::MAX / (PARTS * PARTS * PARTS)
    {
        width *= PARTS;
    }
    if width == PERIOD_MS {
        deadline.div_ceil(width).saturating_mul(width)
    } else {
        deadline / width * width
    }
}

/// Sweeps a table again and again.
#[derive(Debug)]
pub(super) struct Sweeper(pub(super) Weak<Inner>);

impl Job for Sweeper {
    fn run(&self) -> Option<Duration> {
        self.0.upgrade()?.sweep_and_plan()
    }
}

impl Table {
    /// When the objects of a key expire, in the order in which they were inserted; none if the key is not there. Never touches the disk.
    pub fn deadlines(&self, key: Key<'_>, wait: Wait) -> Result<Vec<Deadline>> {
        let inner = &*self.inner;
        inner.check()?;
        let now = inner.log.time.now();
        let found: Vec<Deadline> = inner.calm(wait, |keydir| match keydir {
            Keydir::Bag(keydir) => {
                let all = keydir.entries(keydir.hash(key), key, |entries| {
                    entries.live(now).map(|entry| entry.deadline).collect()
                });
                all.ok().map(Option::unwrap_or_default)
            }
            keydir => {
                let hit = keydir.get(keydir.hash(key), key, now).ok()?;
                Some(hit.map(|hit| hit.deadline).into_iter().collect())
            }
        })?;
        if found.is_empty() {
            self.inner.nothing::<()>()?;
        }
        Ok(found)
    }

    /// Whether anything in the table may expire.
    pub fn expires(&self) -> bool {
        self.inner.log.time.expires()
    }

    /// The time of the table: that of its clock, or the highest that it ever used.
    pub fn now(&self) -> Now {
        self.inner.log.time.read()
    }

    /// Takes out of the keydir whatever has expired and is due. For tests that decide themselves what happens when; else it is done in the background.
    pub fn sweep(&self) -> Result<()> {
        while self.inner.sweep()? {}
        Ok(())
    }
}

impl Inner {
    /// The deadline of an object that is stored now.
    pub(super) fn deadline(&self, ttl: Ttl, wait: Wait) -> Result<Deadline> {
        let ms = match (ttl, self.log.config().ttl_ms) {
            (Ttl::Infinite, _) | (Ttl::OfTable, None) => return Ok(Deadline::NEVER),
            (Ttl::Ms(ms), _) | (Ttl::OfTable, Some(ms)) => ms,
            (Ttl::Until(deadline), _) => {
                if deadline != Deadline::NEVER {
                    self.log.begin_expiry(wait)?;
                }
                return Ok(deadline);
            }
        };
        self.log.begin_expiry(wait)?;
        Ok(Deadline::at(self.log.time.read().ms().saturating_add(ms)))
    }

    /// Has a key looked at when its new object expires. `before` is the deadline that it had, whose timer will see the new one if that is later. To be called under
    /// the lock of the key.
    pub(super) fn watch(&self, hash: u64, key: Key<'_>, deadline: Deadline, before: Option<Deadline>) {
        if deadline == Deadline::NEVER || before.is_some_and(|before| before <= deadline) {
            return;
        }
        self.timers.add(hash, key, deadline, self.log.time.now());
        self.plan_sweep();
    }

    /// Plans the first sweep, or the next one.
    fn plan_sweep(&self) {
        let timers = &self.timers;
        if self.log.config().background
            && !timers.planned.load(Ordering::Relaxed)
            && !timers.planned.swap(true, Ordering::AcqRel)
        {
            let job: Weak<dyn Job> = std::sync::Arc::downgrade(&self.sweeper) as Weak<dyn Job>;
            background::run_after(job, Duration::from_millis(PERIOD_MS), Urgency::Patient);
        }
    }

    /// Begins to look after what expires in a table that was just opened.
    pub(super) fn begin_timers(&self) {
        self.timers.work.lock().gathering = Some(Cursor::default());
        self.plan_sweep();
    }

    /// Nothing is there any more. To be called under all locks.
    pub(super) fn clear_timers(&self) {
        self.timers.clear();
    }

    fn sweep_and_plan(&self) -> Option<Duration> {
        match self.sweep() {
            Ok(true) => Some(Duration::ZERO),
            Ok(false) if self.timers.count.load(Ordering::Acquire) > 0 => {
                Some(Duration::from_millis(PERIOD_MS))
            }
            Ok(false) => {
                self.timers.planned.store(false, Ordering::Release);
                // A writer may have added one and seen the plan just before.
                if self.timers.count.load(Ordering::Acquire) > 0 {
                    self.plan_sweep();
                }
                None
            }
            Err(_) => None,
        }
    }

    /// A step of the sweep; whether there is more to do at once.
    fn sweep(&self) -> Result<bool> {
        self.check()?;
        let mut work = self.timers.work.lock();
        if self.timers.count.load(Ordering::Relaxed)
            > self.keydir.load(&crate::epoch::pin()).len() * 2 + SPARE
            && work.gathering.is_none()
        {
            self.timers.clear();
            work.gathering = Some(Cursor::default());
        }
        let now = self.log.time.now();
        if work.due.is_empty() {
            work.due = self.timers.take_due(now);
            work.at = 0;
        }
        for _ in 0..STEP {
            let at = work.at;
            let Some(bucket) = work.due.last() else { break };
            if let Some((key, next)) = bucket.key(at) {
                self.look_at(key, now)?;
                work.at = next;
            } else {
                self.timers.forget(bucket);
                work.due.pop();
                work.at = 0;
            }
        }
        if let Some(cursor) = &mut work.gathering {
            if self.gather(cursor)? {
                return Ok(true);
            }
            work.gathering = None;
        }
        Ok(!work.due.is_empty())
    }

    /// Removes what a key has that has expired. What is left gets another timer.
    fn look_at(&self, key: Key<'_>, now: Now) -> Result<()> {
        self.with_shard(key, Wait::May, |hash, shard| {
            let mut next = None;
            let gone = shard.remove_expired(hash, key, now, &mut next);
            self.forget(hash, &gone);
            if let Some(deadline) = next {
                self.timers.add(hash, key, deadline, now);
            }
            Ok(())
        })
    }

    /// Adds timers for the next keys behind the cursor; whether there are more.
    fn gather(&self, cursor: &mut Cursor) -> Result<bool> {
        let now = self.log.time.now();
        let mut keys = Batch::new();
        let keydir = self.keydir.hold();
        let more = loop {
            keys.clear();
            match keydir.scan(&cursor.span(), cursor.within, SCANNED, &mut keys) {
                Ok(more) => break more,
                // A writer that panicked keeps its shard for ever.
                Err(_) => self.check()?,
            }
            std::thread::yield_now();
        };
        for (at, (key, _)) in keys.iter().enumerate() {
            self.timers.add(keydir.hash(key), key, keys.deadline(at), now);
        }
        cursor.within = keys.within(keys.len());
        if let Some((key, _)) = keys.iter().last() {
            cursor.go_behind(key);
        }
        Ok(more)
    }

    /// Takes out what a key has that has expired, for who must not wait for the sweep.
    pub(crate) fn remove_expired_from_keydir(&self, key: Key<'_>, now: Now) -> Result<()> {
        self.with_shard(key, Wait::May, |hash, shard| {
            self.forget(hash, &shard.remove_expired(hash, key, now, &mut None));
            Ok(())
        })
    }
}

/// The refusal of a step that would take too long here.
pub(super) fn refuse_long(wait: Wait, steps: usize) -> Result<()> {
    /// Steps of less than a microsecond each.
    const MAX_STEPS: usize = 300;
    if wait == Wait::Never && steps >= MAX_STEPS {
        return Err(Error::WouldBlock);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_deadline_is_not_looked_at_too_soon_and_a_far_one_not_too_late() {
        for now in [0, 1_700_000_000_123] {
            for left in [
                1,
                499,
                500,
                10_000,
                100_000,
                3_600_000,
                86_400_000,
                1 << 40,
                1 << 62,
            ] {
                let deadline = now + left;
                let (mut at, mut looks) = (now, 0);
                while at < deadline {
                    let due = bucket_of(deadline, at);
                    assert!(due > at, "{left} at {at}");
                    assert!(due < deadline + PERIOD_MS, "{left}: {due}");
                    (at, looks) = (due, looks + 1);
                }
                assert!(looks <= 40, "{left}: looked at {looks} times");
            }
        }
    }
}
