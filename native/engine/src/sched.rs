//! How the system shares its processors between the threads that a caller waits for and the others.
#![allow(unsafe_code, reason = "scheduling policies are set by C functions")]

use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// This thread's work is hardly anybody's to wait for until this is dropped: when it wakes up it does not take the processor from who is at work, as it else would, but waits for one to be free or for
/// its turn. It gets the same share. Where the system knows no such policy, or this thread has one of its own, nothing changes.
#[derive(Debug)]
#[must_use]
pub(crate) struct Patient(bool);

impl Patient {
    /// From now on.
    pub(crate) fn begin() -> Patient {
        Patient(policy::change(policy::PLAIN, policy::BATCH))
    }
}

/// This thread is not patient, whoever started it: a thread begins with the policy of that one. For threads that do what callers wait for.
pub fn be_prompt() {
    policy::change(policy::BATCH, policy::PLAIN);
}

impl Drop for Patient {
    fn drop(&mut self) {
        if self.0 {
            policy::change(policy::BATCH, policy::PLAIN);
        }
    }
}

/// A moment, in which the thread before this one on its processor goes on.
const MOMENT: Duration = Duration::from_micros(50);

/// Waits a moment: when a thread wakes up, the system looks for a processor that is free. Else it does so every few milliseconds, for which one thread stands behind the other though a processor has nothing to do.
pub(crate) fn step_aside() {
    thread::sleep(MOMENT);
}

/// How the time of this thread passes.
#[derive(Debug)]
pub(crate) struct Laps {
    began: Instant,
    /// The processor time that it had had by then.
    worked: Duration,
}

impl Laps {
    /// The first one begins.
    pub(crate) fn begin() -> Laps {
        Laps {
            began: Instant::now(),
            worked: worked(),
        }
    }

    /// The next one begins. Tells how long this thread worked in the last one, and how long it stood: it waited, or another thread had its processor.
    pub(crate) fn next(&mut self) -> (Duration, Duration) {
        let next = Laps::begin();
        let worked = next.worked.saturating_sub(self.worked);
        let stood = (next.began - self.began).saturating_sub(worked);
        *self = next;
        (worked, stood)
    }
}

/// The processor time of this thread.
fn worked() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}

#[cfg(target_os = "linux")]
mod policy {
    pub(super) const PLAIN: i32 = libc::SCHED_OTHER;
    pub(super) const BATCH: i32 = libc::SCHED_BATCH;

    /// Gives the calling thread a policy in the place of another. `false` if it has neither that, nor leave to change it.
    pub(super) fn change(from: i32, to: i32) -> bool {
        let none = libc::sched_param { sched_priority: 0 };
        // SAFETY: both are about the calling thread, and the one reads a structure that is on the stack.
        unsafe {
            libc::sched_getscheduler(0) == from && libc::sched_setscheduler(0, to, &raw const none) == 0
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod policy {
    pub(super) const PLAIN: i32 = 0;
    pub(super) const BATCH: i32 = 0;

    pub(super) fn change(_from: i32, _to: i32) -> bool {
        false
    }
}

/// Whether the thread of this number is patient; 0 is the calling one.
#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
pub(crate) fn is_patient(number: i32) -> bool {
    tests::policy_of(number) == policy::BATCH
}

/// The system's number of the calling thread.
#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
pub(crate) fn thread_number() -> i32 {
    // SAFETY: asks about the calling thread.
    unsafe { libc::gettid() }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{Laps, Patient, policy, worked};

    pub(super) fn policy_of(number: i32) -> i32 {
        // SAFETY: reads nothing of ours.
        unsafe { libc::sched_getscheduler(number) }
    }

    fn policy_now() -> i32 {
        policy_of(0)
    }

    #[test]
    fn a_thread_is_patient_until_the_end_and_then_what_it_was() {
        assert_eq!(policy_now(), policy::PLAIN);
        let patient = Patient::begin();
        assert_eq!(policy_now(), policy::BATCH);
        // It is patient already, and remains so.
        drop(Patient::begin());
        assert_eq!(policy_now(), policy::BATCH);
        drop(patient);
        assert_eq!(policy_now(), policy::PLAIN);
    }

    /// Threads that a merge started, for the answers to who waited for a sync, were patient like it, and remained so.
    #[test]
    fn who_is_started_by_a_patient_thread_need_not_be_one() {
        let patient = Patient::begin();
        let policies = thread::spawn(|| {
            let born = policy_now();
            super::be_prompt();
            (born, policy_now())
        });
        assert_eq!(policies.join().unwrap(), (policy::BATCH, policy::PLAIN));
        assert_eq!(policy_now(), policy::BATCH);
        drop(patient);
    }

    #[test]
    fn a_policy_of_its_own_is_left_to_a_thread() {
        assert!(policy::change(policy::PLAIN, libc::SCHED_IDLE));
        let patient = Patient::begin();
        assert_eq!(policy_now(), libc::SCHED_IDLE);
        drop(patient);
        assert_eq!(policy_now(), libc::SCHED_IDLE);
    }
    #[test]
    fn a_lap_tells_work_from_waiting() {
        let long = Duration::from_millis(20);
        let mut laps = Laps::begin();
        thread::sleep(long);
        let (waiting, stood) = laps.next();
        assert!(stood >= long && waiting < long, "{stood:?}, {waiting:?}");
        let before = worked();
        while worked() < before + long {
            std::hint::spin_loop();
        }
        let began = Instant::now();
        let (working, _) = laps.next();
        assert!(working >= long, "{working:?}");
        let (worked, stood) = laps.next();
        assert!(worked + stood <= began.elapsed(), "what is over counts no more");
    }
}
