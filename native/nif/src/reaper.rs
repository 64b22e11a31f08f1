//! Threads for what no scheduler may do: closing tables whose owner died, freeing large tables, telling writers.
//!
//! Threads are started when there is work and end when there has been none for a while.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use bets_engine::sched;
use bets_engine::table::Table;

use crate::lock::{lock, wait};
use crate::owner;
use crate::registry;
use crate::resource::TableArc;
use crate::table::{State, TableResource};

/// So many tables are closed at a time.
const THREADS_MAX: usize = 4;

/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(5);

/// What is to be done.
pub enum Job {
    /// The process that this number stands for died while it was the owner of the table of that identifier.
    OwnerDown(u64, usize),
    /// Close a table that was taken out of use in this state.
    Close(TableArc, State),
    /// Free a table.
    Drop(Box<Table>),
    /// Anything else.
    Run(Box<dyn FnOnce() + Send>),
}

struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    jobs: VecDeque::new(),
    threads: 0,
    idle: 0,
});

/// Signalled when there is a job.
static WORK: Condvar = Condvar::new();

/// Signalled when a job is done.
static DONE: Condvar = Condvar::new();

/// Leaves a job to the threads. Does not wait.
pub fn push(job: Job) {
    let mut queue = lock(&QUEUE);
    queue.jobs.push_back(job);
    let has_idle = queue.idle >= queue.jobs.len();
    let starts = !has_idle && queue.threads < THREADS_MAX;
    queue.threads += usize::from(starts);
    drop(queue);
    if has_idle {
        WORK.notify_one();
    }
    // If the system has no thread to give, those that run do the job, or those that the next job starts.
    let thread = || std::thread::Builder::new().name("bets_reaper".into()).spawn(work);
    if starts && thread().is_err() {
        lock(&QUEUE).threads -= 1;
    }
}

/// Waits until every job is done.
pub fn drain() {
    let mut queue = lock(&QUEUE);
    while !queue.jobs.is_empty() || queue.threads > queue.idle {
        if queue.threads == 0 {
            let Some(job) = queue.jobs.pop_front() else { return };
            drop(queue);
            run(job);
            queue = lock(&QUEUE);
        } else {
            (queue, _) = wait(&DONE, queue, Duration::from_millis(100));
        }
    }
}

fn work() {
    // A merge may have started it.
    sched::be_prompt();
    let mut queue = lock(&QUEUE);
    loop {
        if let Some(job) = queue.jobs.pop_front() {
            drop(queue);
            run(job);
            queue = lock(&QUEUE);
            continue;
        }
        queue.idle += 1;
        DONE.notify_all();
        let timed_out;
        (queue, timed_out) = wait(&WORK, queue, IDLE);
        queue.idle -= 1;
        if timed_out && queue.jobs.is_empty() {
            queue.threads -= 1;
            return;
        }
    }
}

fn run(job: Job) {
    // A panic ends the job, not the thread: the table stays out of use.
    let _ = catch_unwind(AssertUnwindSafe(|| match job {
        Job::OwnerDown(id, pid) => {
            if let Some(table) = registry::by_id(id)
                && table.owner_raw() == pid
            {
                owner::orphaned(None, &table);
            }
        }
        Job::Close(table, was) => {
            // Nobody is there to be told of an error: what was not synced is found by the next open.
            let _ = close(&table, was, false);
        }
        Job::Drop(table) => drop(table),
        Job::Run(f) => f(),
    }));
}

/// Closes a table that its caller took out of use, or destroys it, and forgets it.
pub fn close(table: &TableResource, was: State, destroy: bool) -> bets_engine::Result<()> {
    let destroy = destroy || table.options.config.temporary;
    let closed = catch_unwind(AssertUnwindSafe(|| {
        if destroy {
            table.table.destroy()
        } else {
            table.table.close()
        }
    }));
    registry::forget(table);
    match closed {
        Ok(closed) => closed,
        // It failed before, and was expected to again.
        Err(_) if was == State::Failed => Ok(()),
        Err(_) => Err(bets_engine::Error::Panicked),
    }
}
