//! How the system schedules a background thread.
#![allow(unsafe_code, reason = "a system call")]

/// Asks the system not to interrupt others when this thread wakes up: it gets the processor that comes free next, or its share a little later. Without, it takes
/// the processor of a thread that reads or writes, for some milliseconds, though another one may come free meanwhile. It gets no less time than others. Where the system
/// does not know of this, or does not allow it, nothing changes.
pub(super) fn wake_quietly() {
    #[cfg(target_os = "linux")]
    {
        let param = libc::sched_param { sched_priority: 0 };
        // SAFETY: the call reads the parameter and changes the calling thread alone.
        let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const param) };
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_background_thread_is_one_for_batches() {
        let policy = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // The thread's name is in brackets; proc_pid_stat(5) counts from one.
            let behind_name = stat.rsplit_once(')').unwrap().1;
            let field = behind_name.split_whitespace().nth(41 - 3).unwrap();
            field.parse::<i32>().unwrap()
        };
        let own = policy();
        if own != libc::SCHED_OTHER {
            return;
        }
        let (tx, rx) = std::sync::mpsc::channel();
        super::super::run_once(move || tx.send(policy()).unwrap());
        assert_eq!(rx.recv(), Ok(libc::SCHED_BATCH));
        assert_eq!(policy(), own);
    }
}
