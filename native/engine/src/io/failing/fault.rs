//! Which calls fail, and how.

use rustix::io::Errno;

/// The kinds of calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are those of the calls")]
pub enum Call {
    Create,
    Open,
    /// With and without following links.
    Stat,
    List,
    CreateDir,
    RemoveDir,
    Rename,
    Unlink,
    Link,
    SyncDir,
    Lock,
    Read,
    ReadNowait,
    Write,
    Sync,
    Truncate,
    Preallocate,
    Window,
    Len,
}

impl Call {
    /// All of them.
    pub const ALL: [Call; 19] = [
        Call::Create,
        Call::Open,
        Call::Stat,
        Call::List,
        Call::CreateDir,
        Call::RemoveDir,
        Call::Rename,
        Call::Unlink,
        Call::Link,
        Call::SyncDir,
        Call::Lock,
        Call::Read,
        Call::ReadNowait,
        Call::Write,
        Call::Sync,
        Call::Truncate,
        Call::Preallocate,
        Call::Window,
        Call::Len,
    ];
    /// Those that change something or make it durable.
    pub const CHANGES: [Call; 11] = [
        Call::Create,
        Call::CreateDir,
        Call::RemoveDir,
        Call::Rename,
        Call::Unlink,
        Call::Link,
        Call::SyncDir,
        Call::Write,
        Call::Sync,
        Call::Truncate,
        Call::Preallocate,
    ];
    /// Those that a full disk refuses.
    pub const NEED_ROOM: [Call; 6] = [
        Call::Create,
        Call::CreateDir,
        Call::Rename,
        Call::Link,
        Call::Write,
        Call::Preallocate,
    ];
}

/// How often each kind of call was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Call::ALL.len()]);

impl Counts {
    /// How often this one.
    pub fn of(&self, call: Call) -> u64 {
        self.0[call as usize]
    }

    /// How often these together.
    pub fn all_of(&self, calls: &[Call]) -> u64 {
        calls.iter().map(|call| self.of(*call)).sum()
    }
}

/// A fault: the nth of certain calls fails.
#[derive(Clone, Debug)]
pub struct Fault {
    nth: u64,
    calls: Vec<Call>,
    errno: i32,
    persistent: bool,
    half: bool,
}

impl Fault {
    /// The nth call of these kinds, from 1, fails with EIO, and later ones succeed.
    pub fn nth(nth: u64, calls: &[Call]) -> Self {
        Self {
            nth,
            calls: calls.to_vec(),
            errno: Errno::IO.raw_os_error(),
            persistent: false,
            half: false,
        }
    }

    /// With this error number of the system instead of EIO.
    #[must_use]
    pub fn errno(mut self, errno: i32) -> Self {
        self.errno = errno;
        self
    }

    /// With ENOSPC.
    #[must_use]
    pub fn no_space(self) -> Self {
        self.errno(Errno::NOSPC.raw_os_error())
    }

    /// From the nth call on, all fail.
    #[must_use]
    pub fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// If it is a write, the first half of the bytes is written before it fails.
    #[must_use]
    pub fn half(mut self) -> Self {
        self.half = true;
        self
    }
}

/// What becomes of a call.
pub(super) enum Verdict {
    Go,
    Fail(Errno),
    FailHalf(Errno),
}

/// The faults that wait and the calls that were made.
#[derive(Debug, Default)]
pub(super) struct Watch {
    faults: Vec<Fault>,
    pub(super) counts: Counts,
    pub(super) failed: u64,
}

impl Watch {
    pub(super) fn arm(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn disarm(&mut self) {
        self.faults.clear();
    }

    /// Counts a call and says what becomes of it. Every fault counts it, also if an earlier one has failed it.
    pub(super) fn meet(&mut self, call: Call) -> Verdict {
        self.counts.0[call as usize] += 1;
        let mut verdict = Verdict::Go;
        self.faults.retain_mut(|fault| {
            if !fault.calls.contains(&call) {
                return true;
            }
            fault.nth = fault.nth.saturating_sub(1);
            if fault.nth > 0 {
                return true;
            }
            if matches!(verdict, Verdict::Go) {
                let errno = Errno::from_raw_os_error(fault.errno);
                verdict = if fault.half {
                    Verdict::FailHalf(errno)
                } else {
                    Verdict::Fail(errno)
                };
            }
            fault.persistent
        });
        if !matches!(verdict, Verdict::Go) {
            self.failed += 1;
        }
        verdict
    }
}
