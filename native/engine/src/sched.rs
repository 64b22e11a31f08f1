//! How the system shares its processors between the threads that a caller waits for and the others.
#![allow(unsafe_code, reason = "scheduling policies are set by C functions")]

/// This thread's work is nobody's to wait for until this is dropped: when it wakes up it does not take the processor from who is at work, as it else would, but waits for one to be free or for
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

impl Drop for Patient {
    fn drop(&mut self) {
        if self.0 {
            policy::change(policy::BATCH, policy::PLAIN);
        }
    }
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

/// Whether the calling thread is patient.
#[cfg(all(test, target_os = "linux"))]
pub(crate) fn is_patient() -> bool {
    tests::policy_now() == policy::BATCH
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{Patient, policy};

    pub(super) fn policy_now() -> i32 {
        // SAFETY: asks about the calling thread.
        unsafe { libc::sched_getscheduler(0) }
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

    #[test]
    fn a_policy_of_its_own_is_left_to_a_thread() {
        assert!(policy::change(policy::PLAIN, libc::SCHED_IDLE));
        let patient = Patient::begin();
        assert_eq!(policy_now(), libc::SCHED_IDLE);
        drop(patient);
        assert_eq!(policy_now(), libc::SCHED_IDLE);
    }
}
