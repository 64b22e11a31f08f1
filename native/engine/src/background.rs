//! A few threads that do for all tables what must not be done by those who call: syncs, sealing, freeing.
//!
//! Where callers wait for the work, as for the commits of a table with `{sync, always}`, it is done by threads of its own. The others are patient ([`Patient`]): they take no processor from who
//! reads and writes when they wake up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{LazyLock, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sched::{self, Patient};

/// Whether callers wait for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody does.
    Awaited,
    /// Nobody does.
    Patient,
}

/// Work that comes up again and again, such as the care for one table. Never run by two threads at once by design of its owner.
pub trait Job: Send + Sync + Debug {
    /// Does what is due. Gives the time after which it wants to be run again.
    fn run(&self) -> Option<Duration>;
}

/// Threads of a pool at most; more than one, so that a slow disk under one table does not hold up the others.
const MAX_THREADS: usize = 4;

static AWAITED: LazyLock<Pool> = LazyLock::new(|| Pool::new(Urgency::Awaited));
static PATIENT: LazyLock<Pool> = LazyLock::new(|| Pool::new(Urgency::Patient));

struct Pool {
    urgency: Urgency,
    /// Whether a thread was ever to be had; it stays.
    is_served: AtomicBool,
    /// What was pushed goes here first: who pushes may be a scheduler of the VM, and must not wait for a thread that holds the queue while the system runs another.
    pushed: Sender<(Instant, Work)>,
    /// Whether something was pushed that nobody has looked for since.
    news: AtomicBool,
    queue: Mutex<Queue>,
    /// Threads that are at work. Changed under the lock of the queue.
    busy: AtomicUsize,
}

struct Queue {
    pushed: Receiver<(Instant, Work)>,
    due: BinaryHeap<Reverse<Entry>>,
    ticket: u64,
    threads: usize,
    /// Who waits for work.
    idle: Vec<Thread>,
    /// Who waits for the time of the next work, and until when. One does for all: if each did, all would be woken for it.
    timed: Option<(Instant, Thread)>,
    /// Who waits until nothing is at work.
    quiet: Vec<Thread>,
}

/// What a thread does next.
enum Turn {
    Work(Work),
    /// It waits for this time, or until it is called.
    Until(Instant),
    /// It waits until it is called.
    Called,
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
pub fn run_after(job: Weak<dyn Job>, delay: Duration, urgency: Urgency) {
    pool(urgency).push(Instant::now() + delay, Work::Job(job));
}

/// Whether what is left to them will be done. Before, each push tries to start a thread.
pub fn is_served(urgency: Urgency) -> bool {
    pool(urgency).is_served.load(Ordering::Relaxed)
}

fn pool(urgency: Urgency) -> &'static Pool {
    match urgency {
        Urgency::Awaited => &AWAITED,
        Urgency::Patient => &PATIENT,
    }
}

/// Runs something once, soon, for which nobody waits.
pub fn run_once(work: impl FnOnce() + Send + 'static) {
    run_once_after(Duration::ZERO, work);
}

/// Runs something once, after some time, for which nobody waits.
pub fn run_once_after(delay: Duration, work: impl FnOnce() + Send + 'static) {
    PATIENT.push(Instant::now() + delay, Work::Once(Box::new(work)));
}

/// Waits until no work is being done, but not longer than this: for who would only take a processor from others with a thread beside those.
/// Gives how long that was, which is nothing if none is.
pub fn await_quiet(limit: Duration) -> Duration {
    let waited = PATIENT.await_quiet(limit);
    waited + AWAITED.await_quiet(limit.saturating_sub(waited))
}

impl Pool {
    fn new(urgency: Urgency) -> Pool {
        let (pushed, receiver) = mpsc::channel();
        Pool {
            urgency,
            is_served: AtomicBool::new(false),
            pushed,
            news: AtomicBool::new(false),
            queue: Mutex::new(Queue {
                pushed: receiver,
                due: BinaryHeap::new(),
                ticket: 0,
                threads: 0,
                idle: Vec::new(),
                timed: None,
                quiet: Vec::new(),
            }),
            busy: AtomicUsize::new(0),
        }
    }

    /// Waits for no lock.
    fn push(&'static self, at: Instant, work: Work) {
        // The receiver is there as long as the pool, which is always.
        let _ = self.pushed.send((at, work));
        self.news.store(true, Ordering::Release);
        self.settle();
    }

    /// Puts what was pushed into the queue, or leaves that to who has it: that one looks here once it has let go.
    fn settle(&'static self) {
        loop {
            // Either this sees the queue free, or who lets it go sees the news: each has told the one before it asks for the other.
            fence(Ordering::SeqCst);
            if !self.news.load(Ordering::Relaxed) {
                return;
            }
            let Some(mut queue) = self.queue.try_lock() else {
                return;
            };
            self.take_in(&mut queue);
        }
    }

    /// Does something with the queue. Waits for others to do so.
    fn with<R>(&'static self, f: impl FnOnce(&mut Queue) -> R) -> R {
        let mut queue = self.queue.lock();
        self.take_in(&mut queue);
        let result = f(&mut queue);
        drop(queue);
        self.settle();
        result
    }

    fn take_in(&'static self, queue: &mut Queue) {
        if self.news.swap(false, Ordering::Acquire) {
            while let Ok((at, work)) = queue.pushed.try_recv() {
                self.add(queue, at, work);
            }
        }
    }

    fn add(&'static self, queue: &mut Queue, at: Instant, work: Work) {
        queue.ticket += 1;
        let ticket = queue.ticket;
        queue.due.push(Reverse(Entry { at, ticket, work }));
        if at <= Instant::now() {
            self.call(queue);
        } else {
            self.watch(queue);
        }
    }

    /// Sees to it that somebody waits no longer than until the next work is due. To be called by who adds or takes work, and by who stops looking at the queue.
    fn watch(&'static self, queue: &mut Queue) {
        let Some(next) = queue.next() else { return };
        match &queue.timed {
            Some((until, _)) if *until <= next => {}
            Some(_) => queue.call_timed(),
            None => self.call(queue),
        }
    }

    /// Has a thread look at the queue. There may be none: then one does that is at work, once it is done.
    fn call(&'static self, queue: &mut Queue) {
        if let Some(idle) = queue.idle.pop() {
            idle.unpark();
        } else if queue.timed.is_some() {
            queue.call_timed();
        } else if queue.threads < MAX_THREADS {
            let named = thread::Builder::new().name("bets".into());
            // Without a thread the work waits for one of the others; if there is none yet, for the next push.
            if named.spawn(|| self.serve()).is_ok() {
                queue.threads += 1;
            }
        }
    }

    fn await_quiet(&'static self, limit: Duration) -> Duration {
        if self.busy.load(Ordering::Relaxed) == 0 {
            return Duration::ZERO;
        }
        let (began, me) = (Instant::now(), thread::current());
        loop {
            let waited = began.elapsed().min(limit);
            let goes_on = self.with(|queue| {
                queue.quiet.retain(|thread| thread.id() != me.id());
                let goes_on = waited < limit && self.busy.load(Ordering::Relaxed) > 0;
                if goes_on {
                    queue.quiet.push(me.clone());
                }
                goes_on
            });
            if !goes_on {
                return waited;
            }
            thread::park_timeout(limit.saturating_sub(waited));
        }
    }

    fn serve(&'static self) {
        self.is_served.store(true, Ordering::Relaxed);
        sched::be_prompt();
        let _patient = (self.urgency == Urgency::Patient).then(Patient::begin);
        let me = thread::current();
        loop {
            match self.with(|queue| self.turn(queue, &me)) {
                Turn::Work(work) => {
                    self.run(work);
                    self.with(|queue| {
                        if self.busy.fetch_sub(1, Ordering::Relaxed) == 1 {
                            queue.quiet.drain(..).for_each(|thread| thread.unpark());
                        }
                    });
                }
                Turn::Until(at) => thread::park_timeout(at.saturating_duration_since(Instant::now())),
                Turn::Called => thread::park(),
            }
        }
    }

    /// Work that is due, or what this thread waits for.
    fn turn(&'static self, queue: &mut Queue, me: &Thread) -> Turn {
        queue.forget(me);
        match queue.next() {
            Some(at) if at > Instant::now() && queue.timed.is_none() => {
                queue.timed = Some((at, me.clone()));
                Turn::Until(at)
            }
            Some(at)
                if at <= Instant::now()
                    && let Some(Reverse(entry)) = queue.due.pop() =>
            {
                self.watch(queue);
                self.busy.fetch_add(1, Ordering::Relaxed);
                Turn::Work(entry.work)
            }
            _ => {
                self.watch(queue);
                queue.idle.push(me.clone());
                Turn::Called
            }
        }
    }

    fn run(&'static self, work: Work) {
        // A panic is the job's own matter (a table fails closed by its guard); this thread serves the other tables on.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match work {
            Work::Once(once) => once(),
            Work::Job(weak) => {
                if let Some(again) = weak.upgrade().and_then(|job| job.run()) {
                    self.push(Instant::now() + again, Work::Job(weak));
                }
            }
        }));
    }
}

impl Queue {
    /// When the next work is due.
    fn next(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse(entry)| entry.at)
    }

    /// Has the thread look that waits for the time.
    fn call_timed(&mut self) {
        if let Some((_, thread)) = self.timed.take() {
            thread.unpark();
        }
    }

    /// This thread waits for nothing any more, though nobody called it.
    fn forget(&mut self, me: &Thread) {
        self.idle.retain(|idle| idle.id() != me.id());
        if self
            .timed
            .as_ref()
            .is_some_and(|(_, timed)| timed.id() == me.id())
        {
            self.timed = None;
        }
    }
}

#[cfg(test)]
mod tests;
