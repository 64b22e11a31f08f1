//! Lookups write to no memory that threads share: all of it is made read-only while 16 threads look up, and a write to it is a fault that is counted.
//!
//! What is looked at is the heap as the table's making and filling left it, and the statics; each thread's own are its stack, its thread-locals, and what it
//! has allocated itself. So whoever writes is found, in this crate or in another one. One test, since it is the whole process that is protected.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]
#![allow(unsafe_code, reason = "protects memory and handles faults")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};

use bets_engine::table::{Config, Table, Wait};
use common::{ALL_KINDS, TestDir, key};

const THREADS: usize = 16;
const KEYS: u32 = 2_000;
/// Each thread's lookups of each way: many times what epochs and the like count to.
const ROUNDS: u32 = 20_000;

const ARENA_LEN: usize = 256 << 20;
const PAGE: usize = 4096;
const MAX_FAULTS: usize = 64;

thread_local! {
    /// Whether this thread allocates what is its own.
    static OWN: Cell<bool> = const { Cell::new(false) };
}

/// Takes what is shared from one stretch of memory, and never gives it back.
struct Arena;

static START: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static USED: AtomicUsize = AtomicUsize::new(0);

fn in_arena(at: *mut u8) -> bool {
    let start = START.load(SeqCst);
    !start.is_null() && (start.addr()..start.addr() + ARENA_LEN).contains(&at.addr())
}

// SAFETY: each call gives bytes of its own, aligned; the rest is the system allocator's.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = START.load(SeqCst);
        if start.is_null() || OWN.get() {
            // SAFETY: passed on as it came.
            return unsafe { System.alloc(layout) };
        }
        let align = layout.align().max(16);
        let at = USED
            .fetch_add(layout.size() + align, SeqCst)
            .next_multiple_of(align);
        assert!(at + layout.size() <= ARENA_LEN);
        start.wrapping_add(at)
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if !in_arena(ptr) {
            // SAFETY: it came from there.
            unsafe { System.dealloc(ptr, layout) }
        }
    }
}

#[global_allocator]
static ALLOCATOR: Arena = Arena;

/// What the threads tell each other, on pages that are never protected.
struct Notes {
    round: AtomicUsize,
    done: AtomicUsize,
    faults: AtomicUsize,
    addresses: [AtomicUsize; MAX_FAULTS],
    instructions: [AtomicUsize; MAX_FAULTS],
    expected: AtomicBool,
}

static NOTES: AtomicPtr<Notes> = AtomicPtr::new(ptr::null_mut());

fn map(len: usize) -> *mut u8 {
    // SAFETY: a fresh mapping touches nothing that is there.
    let at = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(at, libc::MAP_FAILED);
    at.cast()
}

fn notes() -> &'static Notes {
    // SAFETY: made before anything else, of zeros, which are valid, and never unmapped.
    unsafe { &*NOTES.load(SeqCst) }
}

fn protect(range: &Range<usize>, writable: bool) {
    let access = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
    // SAFETY: the range is mapped, and who writes to it meanwhile is noted by the handler.
    let done = unsafe { libc::mprotect(ptr::with_exposed_provenance_mut(range.start), range.len(), access) };
    assert_eq!(done, 0);
}

fn protect_all(shared: &[Range<usize>], writable: bool) {
    for range in shared {
        protect(range, writable);
    }
}

/// Notes a write and allows it.
extern "C" fn fault(_: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands both over.
    let (address, context) = unsafe { ((*info).si_addr().addr(), &*context.cast::<libc::ucontext_t>()) };
    let notes = notes();
    if !notes.expected.load(SeqCst) {
        // SAFETY: a fault of another kind takes its usual course when the instruction is tried again.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        return;
    }
    // The process's first thread is the harness's, which tells of a test that takes more than a minute.
    // SAFETY: both only tell a number.
    let is_harness = unsafe { libc::gettid() == libc::getpid() };
    if !is_harness {
        let n = notes.faults.fetch_add(1, SeqCst);
        if let (Some(to), Some(from)) = (notes.addresses.get(n), notes.instructions.get(n)) {
            to.store(address, SeqCst);
            from.store(context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize, SeqCst);
        }
    }
    let page = address & !(PAGE - 1);
    // SAFETY: the page is one of those that were protected, else the fault comes again.
    unsafe {
        libc::mprotect(
            ptr::with_exposed_provenance_mut(page),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
        )
    };
}

fn catch_faults() {
    // SAFETY: zeros are a valid value; the handler does nothing that a signal handler may not do.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = fault as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(
            libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()),
            0
        );
    }
}

/// The arena and the program's statics.
fn shared() -> Vec<Range<usize>> {
    let exe = std::env::current_exe().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let start = START.load(SeqCst).addr();
    let arena = start..start + ARENA_LEN;
    let mut ranges = vec![arena];
    let mut end_of_exe = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, access) = (words.next().unwrap(), words.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        let range = usize::from_str_radix(from, 16).unwrap()..usize::from_str_radix(to, 16).unwrap();
        let path = words.nth(3).unwrap_or_default();
        let is_exe = exe.to_str() == Some(path);
        // Statics of zeros stand in a mapping without a name behind those that the file has.
        if access.starts_with("rw") && (is_exe || path.is_empty() && range.start == end_of_exe) {
            ranges.push(range.clone());
        }
        if is_exe {
            end_of_exe = range.end;
        }
    }
    assert!(ranges.len() > 1, "statics were found");
    ranges
}

/// Waits until each thread is through with what it does.
fn wait_for_threads() {
    while notes().done.load(SeqCst) < THREADS {
        // SAFETY: it only waits.
        unsafe { libc::usleep(1_000) };
    }
    notes().done.store(0, SeqCst);
}

/// Lets each thread do the work of this round with all that is shared protected, and gives the writes to it.
fn writes(shared: &[Range<usize>], round: usize) -> usize {
    let notes = notes();
    notes.faults.store(0, SeqCst);
    notes.expected.store(true, SeqCst);
    protect_all(shared, false);
    notes.round.store(round, SeqCst);
    wait_for_threads();
    protect_all(shared, true);
    notes.expected.store(false, SeqCst);
    let found = notes.faults.load(SeqCst);
    let base = shared[1].start;
    for n in 0..found.min(MAX_FAULTS) {
        println!(
            "round {round}: a write to {:#x} by the instruction {:#x}, which is {:#x} before the statics",
            notes.addresses[n].load(SeqCst),
            notes.instructions[n].load(SeqCst),
            base.wrapping_sub(notes.instructions[n].load(SeqCst))
        );
    }
    found
}

/// A way to look up, or, as the last one, to write.
type Work = fn(&Table, u32);

const WORKS: [(&str, Work); 5] = [
    ("a hit in the cache", |table, i| {
        let found = table.get(key(&(i % KEYS).to_be_bytes()), Wait::Never, |found| {
            found.value.len()
        });
        assert_eq!(found.unwrap(), Some(100));
    }),
    ("a miss", |table, i| {
        let found = table.get(key(&(KEYS + i).to_be_bytes()), Wait::Never, |_| ());
        assert_eq!(found.unwrap(), None);
    }),
    ("member", |table, i| {
        assert!(
            table
                .contains(key(&(i % KEYS).to_be_bytes()), Wait::Never)
                .unwrap()
        );
    }),
    ("all objects of a key", |table, i| {
        let each = table.each(key(&(i % KEYS).to_be_bytes()), Wait::Never, |_, _| {
            std::ops::ControlFlow::<()>::Continue(())
        });
        assert_eq!(each.unwrap(), None);
    }),
    ("a write", |table, i| {
        if i == 1 {
            table.put(key(&i.to_be_bytes()), &[1; 100], Wait::May).unwrap();
        }
    }),
];

#[test]
fn lookups_write_to_no_memory_that_threads_share() {
    NOTES.store(map(size_of::<Notes>().next_multiple_of(PAGE)).cast(), SeqCst);
    START.store(map(ARENA_LEN), SeqCst);
    catch_faults();
    bets_engine::cache::set_capacity(64 << 20);
    let tables: Vec<(TestDir, Table)> = ALL_KINDS
        .iter()
        .map(|&kind| {
            let mut dir = TestDir::of(kind);
            dir.config = Config {
                background: false,
                ..Config::default()
            };
            let table = dir.open();
            for i in 0..KEYS {
                let bytes = [&i.to_be_bytes()[..], &[0; 4]].concat();
                // In a bag the last four bytes are the object's fingerprint.
                let key = if kind.is_bag() {
                    bets_engine::Key::new(&bytes, 4)
                } else {
                    key(&bytes[..4])
                };
                table.put(key, &[7; 100], Wait::May).unwrap();
            }
            (dir, table)
        })
        .collect();
    let run = |work: Work| {
        for (_, table) in &tables {
            for i in 0..ROUNDS {
                work(table, i);
            }
        }
    };
    let found = std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (run, tables) = (&run, &tables);
            scope.spawn(move || {
                OWN.set(true);
                // What a thread has of its own comes to be with its first lookups, and the cache's marks are set by them.
                for (_, work) in &WORKS[..4] {
                    run(*work);
                }
                notes().done.fetch_add(1, SeqCst);
                for round in 1..=WORKS.len() {
                    while notes().round.load(SeqCst) != round {
                        std::thread::yield_now();
                    }
                    if round < WORKS.len() {
                        run(WORKS[round - 1].1);
                    } else if thread == 0 {
                        WORKS[round - 1].1(&tables[0].1, 1);
                    }
                    notes().done.fetch_add(1, SeqCst);
                }
            });
        }
        wait_for_threads();
        let shared = shared();
        (1..=WORKS.len())
            .map(|round| writes(&shared, round))
            .collect::<Vec<_>>()
    });
    for ((name, _), found) in WORKS.iter().zip(&found) {
        println!("{name}: {found} writes");
    }
    assert!(found[WORKS.len() - 1] > 3, "writes are found");
    assert_eq!(found[..WORKS.len() - 1], [0; 4]);
}
