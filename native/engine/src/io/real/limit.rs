//! The process's limit on file lengths (`ulimit -f`).
//!
//! A write beyond it raises SIGXFSZ, which ends the process. So it is asked for before the kernel finds out.

use std::io::Result;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Asking the kernel costs about half as much as a small write, so an answer holds for so many bytes of growth.
const STEP: u64 = 1 << 20;

/// What is known of the limit for one file.
#[derive(Debug, Default)]
pub(super) struct Limit {
    /// Writes that end here or below are known to be allowed.
    allowed: AtomicU64,
}

impl Limit {
    /// Whether a write may end at `end`: `EFBIG` if not. Costs one load, and a system call for each MiB of growth. A
    /// limit that is lowered from outside while the process runs is noticed within that MiB.
    pub(super) fn check(&self, end: u64) -> Result<()> {
        if end <= self.allowed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let limit = now();
        if end > limit {
            return Err(Errno::FBIG.into());
        }
        self.allowed
            .store(end.saturating_add(STEP).min(limit), Ordering::Relaxed);
        Ok(())
    }
}

/// Like [`Limit::check`], asking the kernel each time: for the rare calls that set a length.
pub(super) fn check_now(end: u64) -> Result<()> {
    if end > now() {
        Err(Errno::FBIG.into())
    } else {
        Ok(())
    }
}

fn now() -> u64 {
    getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX)
}
