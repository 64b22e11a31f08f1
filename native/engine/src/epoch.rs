//! When memory may be freed that readers without a lock may still look at: epoch-based reclamation (Fraser, "Practical lock-freedom", 2004).
//!
//! A reader *pins* its thread: it says in a line of memory of the thread's own which epoch it saw. What a writer has taken out of a
//! structure it *defers*: that is freed when the epoch has gone on twice since, for the epoch goes on only when all pinned threads have seen
//! the one that is.
//!
//! It is here, and not crossbeam-epoch, because of what readers write: there, each thread tries at every 128th pin to move the epoch on, which
//! reads a line of each other thread and writes one that every pin of all threads reads, whether there is anything to free or not. Here the epoch moves only
//! while something waits to be freed, and one thread at a time works on that. So as long as nobody writes, a pin writes to the thread's own line alone.
#![allow(
    unsafe_code,
    reason = "runs what was deferred, and gives a record to its thread alone"
)]

use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};

use smallvec::SmallVec;

use crate::sync::Mutex;

/// A thread hands over what it deferred when there are so many of it.
const BAG_LEN: usize = 64;
/// A thread looks at so many of its pins whether there is something to free.
const LOOK_EVERY: usize = 128;
/// So many bags are emptied at a time: more would hold up who comes by.
const BAGS_AT_A_TIME: usize = 8;

/// The lowest bit of a thread's state says that it is pinned; the others are the epoch.
const PINNED: usize = 1;
const STEP: usize = 2;

/// On lines of its own, for every pin reads it. Lines are fetched in pairs.
#[repr(align(128))]
struct Epoch(AtomicUsize);

static EPOCH: Epoch = Epoch(AtomicUsize::new(0));
/// The threads' records, which stay for ever and are used again.
static RECORDS: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());
/// The bags that were handed over and nobody has looked at yet, the last one first.
static HANDED: AtomicPtr<Bag> = AtomicPtr::new(ptr::null_mut());
/// The others, about in the order in which they were handed over. Who holds the lock moves the epoch on.
static BAGS: Mutex<VecDeque<Box<Bag>>> = Mutex::new(VecDeque::new());
/// How many there are of both.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// What was deferred, with the epoch in which it was handed over.
struct Bag {
    epoch: usize,
    deferred: Vec<Deferred>,
    next: *mut Bag,
}

// SAFETY: who defers vouches that any thread may call it.
unsafe impl Send for Bag {}

/// A call: of a closure that stands in three words, or whose address does.
struct Deferred {
    /// To be called once, with the address of the words.
    call: unsafe fn(*mut u8),
    words: MaybeUninit<[usize; 3]>,
}

impl Deferred {
    fn new<'f, F: FnOnce() + 'f>(f: F) -> Self {
        /// # Safety
        /// An `F` stands there, and is not used again.
        unsafe fn call<F: FnOnce()>(at: *mut u8) {
            // SAFETY: by this function's contract.
            let f = unsafe { at.cast::<F>().read() };
            f();
        }
        let mut words = MaybeUninit::<[usize; 3]>::uninit();
        if size_of::<F>() <= size_of_val(&words) && align_of::<F>() <= align_of::<usize>() {
            // SAFETY: there is room for it, aligned.
            unsafe { words.as_mut_ptr().cast::<F>().write(f) };
            Deferred {
                call: call::<F>,
                words,
            }
        } else {
            let boxed: Box<dyn FnOnce() + 'f> = Box::new(f);
            Deferred::new(boxed)
        }
    }

    fn call(mut self) {
        // SAFETY: `new` put there what this function reads, and `self` goes with this call.
        unsafe { (self.call)(self.words.as_mut_ptr().cast()) }
    }
}

/// A thread's record.
#[derive(Debug)]
#[repr(align(128))]
struct Record {
    /// The epoch and [`PINNED`], or 0. Its thread alone writes it.
    state: AtomicUsize,
    taken: AtomicBool,
    next: AtomicPtr<Record>,
    own: Own,
}

/// What only the thread that has taken the record looks at.
struct Own {
    guards: Cell<usize>,
    pins: Cell<usize>,
    is_freeing: Cell<bool>,
    bag: UnsafeCell<Vec<Deferred>>,
}

// SAFETY: `own` is for the thread that took the record, and comes to the next one through `taken`; the rest are atomics.
unsafe impl Sync for Record {}

impl Record {
    /// A record for the calling thread: one that is free, or a new one.
    fn take() -> &'static Record {
        let mut at = RECORDS.load(Ordering::Acquire);
        // SAFETY: records are never freed.
        while let Some(record) = unsafe { at.as_ref() } {
            if !record.taken.load(Ordering::Relaxed) && !record.taken.swap(true, Ordering::Acquire) {
                return record;
            }
            at = record.next.load(Ordering::Acquire);
        }
        let record: &'static Record = Box::leak(Box::new(Record {
            state: AtomicUsize::new(0),
            taken: AtomicBool::new(true),
            next: AtomicPtr::default(),
            own: Own {
                guards: Cell::new(0),
                pins: Cell::new(0),
                is_freeing: Cell::new(false),
                bag: UnsafeCell::new(Vec::new()),
            },
        }));
        push(&RECORDS, ptr::from_ref(record).cast_mut(), |next| {
            record.next.store(next, Ordering::Relaxed);
        });
        record
    }

    /// Ends the use of a record by its thread. One that a guard is left of stays pinned for ever.
    fn give_back(&self) {
        self.hand_over();
        if self.own.guards.get() == 0 {
            self.taken.store(false, Ordering::Release);
        }
    }

    #[inline]
    fn pin(&self) {
        let guards = self.own.guards.get();
        self.own.guards.set(guards + 1);
        if guards > 0 {
            return;
        }
        self.announce();
        let pins = self.own.pins.get().wrapping_add(1);
        self.own.pins.set(pins);
        if pins.is_multiple_of(LOOK_EVERY) && WAITING.load(Ordering::Relaxed) > 0 {
            self.free_some();
        }
    }

    /// Says which epoch the thread sees, before it looks at anything.
    #[inline]
    fn announce(&self) {
        let state = EPOCH.0.load(Ordering::Relaxed) | PINNED;
        if cfg!(target_arch = "x86_64") {
            // An exchange is a full fence there, and takes half the time of the other way.
            self.state.swap(state, Ordering::SeqCst);
        } else {
            self.state.store(state, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
    }

    #[inline]
    fn unpin(&self) {
        let guards = self.own.guards.get() - 1;
        self.own.guards.set(guards);
        if guards == 0 {
            self.state.store(0, Ordering::Release);
        }
    }

    fn defer(&self, deferred: Deferred) {
        // SAFETY: the thread that took the record is the one that runs, and this reference ends before anything else is called.
        let bag = unsafe { &mut *self.own.bag.get() };
        bag.push(deferred);
        if bag.len() >= BAG_LEN {
            self.hand_over();
            self.free_some();
        }
    }

    /// Hands over what the thread has deferred.
    fn hand_over(&self) {
        // SAFETY: as in `defer`.
        let deferred = std::mem::take(unsafe { &mut *self.own.bag.get() });
        if deferred.is_empty() {
            return;
        }
        // What was deferred had been taken out of reach before the epoch is looked at: who pins in a later one does not find it.
        fence(Ordering::SeqCst);
        let bag = Box::into_raw(Box::new(Bag {
            epoch: EPOCH.0.load(Ordering::Relaxed),
            deferred,
            next: ptr::null_mut(),
        }));
        WAITING.fetch_add(1, Ordering::Relaxed);
        // SAFETY: nobody else has the bag before it is there.
        push(&HANDED, bag, |next| unsafe { (*bag).next = next });
    }

    /// Moves the epoch on if that can be, and empties some bags. Does nothing if another thread is at it, or this one is.
    fn free_some(&self) {
        if self.own.is_freeing.get() {
            return;
        }
        let Some(mut bags) = BAGS.try_lock() else {
            return;
        };
        let epoch = advance();
        let mut handed = HANDED.swap(ptr::null_mut(), Ordering::Acquire);
        let before = bags.len();
        while !handed.is_null() {
            // SAFETY: it came from a box, and who has swapped the first of them has them all.
            let bag = unsafe { Box::from_raw(handed) };
            handed = bag.next;
            bags.push_back(bag);
        }
        bags.make_contiguous()[before..].reverse();
        let mut over: SmallVec<[Box<Bag>; BAGS_AT_A_TIME]> = SmallVec::new();
        while over.len() < BAGS_AT_A_TIME
            && let Some(first) = bags.front()
            && epoch.wrapping_sub(first.epoch) >= 2 * STEP
        {
            over.extend(bags.pop_front());
        }
        drop(bags);
        WAITING.fetch_sub(over.len(), Ordering::Relaxed);
        // Outside of the lock, and once at a time: what is called may take long, and defer something itself.
        self.own.is_freeing.set(true);
        over.into_iter()
            .flat_map(|bag| bag.deferred)
            .for_each(Deferred::call);
        self.own.is_freeing.set(false);
    }
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

/// Puts something in front of a list that only grows, or is taken as a whole.
fn push<T>(list: &AtomicPtr<T>, new: *mut T, set_next: impl Fn(*mut T)) {
    let mut first = list.load(Ordering::Relaxed);
    loop {
        set_next(first);
        match list.compare_exchange_weak(first, new, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => first = now,
        }
    }
}

/// Moves the epoch on if all pinned threads have seen it. Gives the epoch of now. For who holds [`BAGS`].
fn advance() -> usize {
    let epoch = EPOCH.0.load(Ordering::Relaxed);
    // Before the states are looked at: who is not pinned by then finds nothing that was deferred before.
    fence(Ordering::SeqCst);
    let mut at = RECORDS.load(Ordering::Acquire);
    // SAFETY: records are never freed.
    while let Some(record) = unsafe { at.as_ref() } {
        // Acquire: what the thread did under its earlier guards comes before what is freed now.
        let state = record.state.load(Ordering::Acquire);
        if state & PINNED != 0 && state & !PINNED != epoch {
            return epoch;
        }
        at = record.next.load(Ordering::Acquire);
    }
    let next = epoch.wrapping_add(STEP);
    EPOCH.0.store(next, Ordering::Release);
    next
}

/// A thread's hold on its record.
struct Handle(Cell<Option<&'static Record>>);

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(record) = self.0.take() {
            record.give_back();
        }
    }
}

thread_local! {
    static HANDLE: Handle = const { Handle(Cell::new(None)) };
}

/// Keeps what the calling thread finds from being freed, as long as it is not dropped. What waits for the disk must not hold one: nothing that
/// anybody defers is freed meanwhile.
#[derive(Debug)]
pub struct Guard {
    /// `None` for one that keeps nothing.
    record: Option<&'static Record>,
    /// The thread is ending, and its record is for this guard alone.
    last: bool,
    /// It belongs to the thread that made it.
    thread: PhantomData<*mut ()>,
}

/// Pins the calling thread. Costs one fence; while it has another guard, next to nothing.
#[inline]
pub fn pin() -> Guard {
    let found = HANDLE.try_with(|handle| {
        handle.0.get().unwrap_or_else(|| {
            let record = Record::take();
            handle.0.set(Some(record));
            record
        })
    });
    // The destructor of another thread-local may come after that of the handle.
    let last = found.is_err();
    let record = found.unwrap_or_else(|_| Record::take());
    record.pin();
    Guard {
        record: Some(record),
        last,
        thread: PhantomData,
    }
}

/// Whether the calling thread has a guard.
pub fn is_pinned() -> bool {
    let has_guards = |handle: &Handle| handle.0.get().is_some_and(|record| record.own.guards.get() > 0);
    HANDLE.try_with(has_guards).unwrap_or(false)
}

/// A guard that keeps nothing: what is deferred with it is done at once.
///
/// # Safety
/// No other thread can reach what is looked at or deferred with it.
pub unsafe fn unprotected() -> Guard {
    Guard {
        record: None,
        last: false,
        thread: PhantomData,
    }
}

impl Guard {
    /// Calls `f` when all guards of now are gone, on any thread.
    ///
    /// # Safety
    /// Any thread may call it, whenever that is, and nobody who pins from now on reaches what it frees.
    pub unsafe fn defer_unchecked<F: FnOnce()>(&self, f: F) {
        match self.record {
            Some(record) => record.defer(Deferred::new(f)),
            None => f(),
        }
    }

    /// Hands over what the thread has deferred so far, and frees some of what can be freed.
    pub fn flush(&self) {
        if let Some(record) = self.record {
            record.hand_over();
            record.free_some();
        }
    }

    /// Lets go of what was found under this guard and begins anew, unless the thread has another guard.
    pub fn repin(&mut self) {
        if let Some(record) = self.record.filter(|record| record.own.guards.get() == 1) {
            record.announce();
        }
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        if let Some(record) = self.record {
            record.unpin();
            if self.last {
                record.give_back();
            }
        }
    }
}

#[cfg(test)]
mod tests;
