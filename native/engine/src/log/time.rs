//! The time of a table: that of the wall clock, which never goes back here, not even over a restart.
//!
//! The highest time used is kept in shared memory, which outlives the process (`format::clock`), and goes into every manifest, and into a mark before each sync. So what
//! was once seen as expired does not come back when the clock was set back, and after a power loss this holds for what was seen before the last sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::append::End;
use super::{Log, Maintenance};
use crate::clock::Clock;
use crate::format::clock::{FILE, LEN, header, time};
use crate::format::record::{Kind, Record, Stamp};
use crate::io::Window;
use crate::sync::Mutex;
use crate::table::Wait;
use crate::{Error, Key, Now, Result};

/// The time of a table.
#[derive(Debug)]
pub struct Time {
    clock: Arc<dyn Clock>,
    table: u64,
    /// Whether anything in the table may expire. Until then nobody looks at the clock.
    expires: AtomicBool,
    highest: AtomicU64,
    kept: Mutex<Kept>,
    /// The highest time that a mark in the log tells.
    told: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    /// `None` where there is no shared memory, or nothing expires.
    window: Option<Box<dyn Window>>,
    turn: u64,
}

impl Time {
    /// The time of a table that has used this one before.
    pub fn new(clock: Arc<dyn Clock>, table: u64, highest: u64) -> Self {
        Time {
            clock,
            table,
            expires: AtomicBool::new(false),
            highest: AtomicU64::new(highest),
            kept: Mutex::default(),
            told: AtomicU64::new(highest),
        }
    }

    /// The time for those who look whether something has expired.
    #[inline]
    pub fn now(&self) -> Now {
        if self.expires.load(Ordering::Relaxed) {
            self.read()
        } else {
            Now::BEFORE_ALL
        }
    }

    /// The time, whether anything expires or not.
    pub fn read(&self) -> Now {
        let wall = Now::at(self.clock.now_ms()).ms();
        let highest = self.highest.load(Ordering::Acquire);
        if wall <= highest {
            return Now::at(highest);
        }
        // At most once a millisecond for all threads.
        self.highest.fetch_max(wall, Ordering::AcqRel);
        if self.expires.load(Ordering::Relaxed) {
            self.keep();
        }
        Now::at(self.highest())
    }

    /// The highest time used.
    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Acquire)
    }

    /// Whether anything may expire.
    pub fn expires(&self) -> bool {
        self.expires.load(Ordering::Acquire)
    }

    /// From now on things may expire.
    pub fn begin(&self) {
        self.expires.store(true, Ordering::Release);
    }

    /// Writes the highest time to the shared memory. Before this nobody is told that something has expired by then.
    fn keep(&self) {
        let mut kept = self.kept.lock();
        let Kept { window, turn } = &mut *kept;
        if let Some(open) = window {
            *turn += 1;
            let (at, bytes) = time(self.table, self.highest(), *turn);
            // Without it, manifests and marks are what is left.
            if open.write_at(&bytes, at).is_err() {
                *window = None;
            }
        }
    }
}

impl Log {
    /// Makes the table ready for objects that expire. Waits for the disk the first time, or gives [`Error::WouldBlock`].
    pub fn begin_expiry(&self, wait: Wait) -> Result<()> {
        if self.time.expires() {
            return Ok(());
        }
        if wait == Wait::Never {
            return Err(Error::WouldBlock);
        }
        let mut maintenance = self.maintenance.lock();
        self.check_open()?;
        self.keep_time(&mut maintenance);
        self.time.begin();
        Ok(())
    }

    /// Has the highest time kept in shared memory, if the system can.
    pub(super) fn keep_time(&self, _: &mut Maintenance) {
        if self.config.temporary || self.time.kept.lock().window.is_some() {
            return;
        }
        let path = self.dir.path().join(FILE);
        let made = (|| {
            let _ = self.storage.unlink(&path);
            let file = self.storage.create(&path)?;
            let window = file.preallocate(LEN as u64).and_then(|()| {
                file.write_at(&header(self.table), 0)?;
                file.window(0..LEN as u64)
            });
            if window.is_err() {
                let _ = self.storage.unlink(&path);
            }
            window
        })();
        self.time.kept.lock().window = made.ok();
        self.time.keep();
    }

    /// Removes the file of a log whose manifest tells the time. One that stays does no harm.
    pub(super) fn remove_time(&self) {
        if self.time.kept.lock().window.take().is_some() {
            let _ = self.storage.unlink(&self.dir.path().join(FILE));
        }
    }

    /// Tells the highest time in the log, for the sync that is about to be done, which must not be left out then. `false` if that is not needed.
    pub(super) fn tell_time(&self, end: &mut End) -> bool {
        let ms = self.time.highest();
        if !self.time.expires() || self.time.told.load(Ordering::Relaxed) == ms || end.active.left_behind {
            return false;
        }
        let mut mark = Record::new(Kind::Mark, Key::plain(&[]), &[]);
        mark.expiry_ms = Some(ms);
        let stamp = Stamp {
            segment: end.active.segment.id,
            seq: end.next_seq - 1,
            durable_seq: Some(self.durable_seq()),
        };
        let staged = end.buf.len();
        mark.put(&mut end.buf, stamp);
        let told = self.write(end, staged, 0, &[]).is_ok();
        if told {
            self.time.told.store(ms, Ordering::Relaxed);
        }
        told
    }
}
