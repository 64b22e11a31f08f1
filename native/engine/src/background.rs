//! A few threads that do for all tables what must not be done by those who call: syncs, sealing, freeing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Debug;
use std::sync::{LazyLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Work that comes up again and again, such as the care for one table. Never run by two threads at once by design of its owner.
pub trait Job: Send + Sync + Debug {
    /// Does what is due. Gives the time after which it wants to be run again.
    fn run(&self) -> Option<Duration>;
}

/// Threads at most; more than one, so that a slow disk under one table does not hold up the others.
const MAX_THREADS: usize = 4;

static POOL: LazyLock<Pool> = LazyLock::new(Pool::default);

#[derive(Default)]
struct Pool {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    due: BinaryHeap<Reverse<Entry>>,
    ticket: u64,
    threads: usize,
    idle: usize,
}

struct Entry {
    at: Instant,
    ticket: u64,
    work: Work,
}

enum Work {
    Job(Weak<dyn Job>),
    Once(Box<dyn FnOnce() + Send>),
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.ticket == other.ticket
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.ticket).cmp(&(other.at, other.ticket))
    }
}

/// Runs a job after some time. A job that is gone by then is forgotten.
pub fn run_after(job: Weak<dyn Job>, delay: Duration) {
    POOL.push(Instant::now() + delay, Work::Job(job));
}

/// Runs something once, soon.
pub fn run_once(work: impl FnOnce() + Send + 'static) {
    POOL.push(Instant::now(), Work::Once(Box::new(work)));
}

impl Pool {
    fn push(&'static self, at: Instant, work: Work) {
        let mut queue = self.queue.lock();
        queue.ticket += 1;
        let ticket = queue.ticket;
        queue.due.push(Reverse(Entry { at, ticket, work }));
        if queue.idle == 0 && queue.threads < MAX_THREADS {
            let named = thread::Builder::new().name("bets".into());
            // Without a thread the work waits for one of the others; if there is none yet, for the next push.
            if named.spawn(|| self.serve()).is_ok() {
                queue.threads += 1;
            }
        }
        self.wake.notify_one();
    }

    fn serve(&self) {
        let mut queue = self.queue.lock();
        loop {
            let now = Instant::now();
            match queue.due.peek().map(|Reverse(entry)| entry.at) {
                Some(at) if at <= now => {
                    let Some(Reverse(entry)) = queue.due.pop() else {
                        continue;
                    };
                    drop(queue);
                    run(entry.work);
                    queue = self.queue.lock();
                }
                Some(at) => {
                    queue.idle += 1;
                    self.wake.wait_until(&mut queue, at);
                    queue.idle -= 1;
                }
                None => {
                    queue.idle += 1;
                    self.wake.wait(&mut queue);
                    queue.idle -= 1;
                }
            }
        }
    }
}

fn run(work: Work) {
    // A panic is the job's own matter (a table fails closed by its guard); this thread serves the other tables on.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match work {
        Work::Once(once) => once(),
        Work::Job(weak) => {
            if let Some(again) = weak.upgrade().and_then(|job| job.run()) {
                run_after(weak, again);
            }
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[derive(Debug)]
    struct Counter(AtomicUsize, Mutex<mpsc::Sender<usize>>);

    impl Job for Counter {
        fn run(&self) -> Option<Duration> {
            let n = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            self.1.lock().send(n).unwrap();
            (n < 3).then_some(Duration::from_millis(1))
        }
    }

    #[test]
    fn a_job_comes_again_as_long_as_it_wants() {
        let (tx, rx) = mpsc::channel();
        let job: Arc<dyn Job> = Arc::new(Counter(AtomicUsize::new(0), Mutex::new(tx)));
        run_after(Arc::downgrade(&job), Duration::ZERO);
        assert_eq!([rx.recv(), rx.recv(), rx.recv()], [Ok(1), Ok(2), Ok(3)]);
    }

    #[test]
    fn a_panic_does_not_end_the_service() {
        for _ in 0..=MAX_THREADS {
            run_once(|| panic!("seeded"));
        }
        let (tx, rx) = mpsc::channel();
        run_once(move || tx.send(()).unwrap());
        rx.recv().unwrap();
    }
}
