//! Test equipment: what calls cost the schedulers they ran on.
//!
//! Each call on a normal scheduler is measured by the processor time of its thread, and by the thread's voluntary context switches: a
//! call that waits for anything gives its processor away. Time that other threads take from it counts for neither.

#![expect(unsafe_code, reason = "getrusage and clock_gettime are C functions")]

use std::sync::atomic::{AtomicU64, Ordering};

use rustler::{Encoder, Term};

use crate::schedule::{Call, DIRTY_CPU, NORMAL, Outcome};

static NORMAL_CALLS: AtomicU64 = AtomicU64::new(0);
static DIRTY_CPU_CALLS: AtomicU64 = AtomicU64::new(0);
static DIRTY_IO_CALLS: AtomicU64 = AtomicU64::new(0);
static LONGEST_NS: AtomicU64 = AtomicU64::new(0);
static LONG_CALLS: AtomicU64 = AtomicU64::new(0);
static SWITCHES: AtomicU64 = AtomicU64::new(0);

/// A call on a normal scheduler may take so long, in nanoseconds.
const LIMIT_NS: u64 = 1_000_000;

/// The state of the thread when a call began.
pub struct Watch {
    on: u8,
    cpu_ns: u64,
    switches: u64,
}

impl Watch {
    /// Begins to watch a call on this kind of scheduler.
    pub fn start(on: u8) -> Self {
        let (cpu_ns, switches) = if on == NORMAL { thread_state() } else { (0, 0) };
        Watch { on, cpu_ns, switches }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.on != NORMAL {
            let counter = if self.on == DIRTY_CPU {
                &DIRTY_CPU_CALLS
            } else {
                &DIRTY_IO_CALLS
            };
            counter.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (cpu_ns, switches) = thread_state();
        let took_ns = cpu_ns.saturating_sub(self.cpu_ns);
        NORMAL_CALLS.fetch_add(1, Ordering::Relaxed);
        LONGEST_NS.fetch_max(took_ns, Ordering::Relaxed);
        LONG_CALLS.fetch_add(u64::from(took_ns >= LIMIT_NS), Ordering::Relaxed);
        SWITCHES.fetch_add(switches.saturating_sub(self.switches), Ordering::Relaxed);
    }
}

/// Processor time of this thread in nanoseconds, and its voluntary context switches.
fn thread_state() -> (u64, u64) {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of our own.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    // SAFETY: an rusage is plain numbers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to an rusage of our own.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    (
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64,
        usage.ru_nvcsw as u64,
    )
}

/// `test_watch() -> {NormalCalls, DirtyCpuCalls, DirtyIoCalls, LongestNs, LongCalls, VoluntarySwitches}` since it was last called.
#[expect(clippy::unnecessary_wraps, reason = "the signature of all bodies")]
pub fn test_watch<'a>(call: &Call<'a>) -> Outcome<'a> {
    let all = [
        &NORMAL_CALLS,
        &DIRTY_CPU_CALLS,
        &DIRTY_IO_CALLS,
        &LONGEST_NS,
        &LONG_CALLS,
        &SWITCHES,
    ];
    let [normal, cpu, io, longest, long, switches] = all.map(|counter| counter.swap(0, Ordering::Relaxed));
    let term: Term<'a> = (normal, cpu, io, longest, long, switches).encode(call.env);
    Ok(term)
}
