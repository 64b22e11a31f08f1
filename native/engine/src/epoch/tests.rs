//! What is deferred is called once, not too soon, and in the end.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;

use super::*;

/// Flushes until `done`.
fn flush_until(done: impl Fn() -> bool) {
    for _ in 0..1_000_000 {
        if done() {
            return;
        }
        pin().flush();
        thread::yield_now();
    }
    panic!("what was deferred was never called");
}

fn defer(guard: &Guard, f: impl FnOnce() + Send + 'static) {
    // SAFETY: the closure frees nothing that anybody reaches.
    unsafe { guard.defer_unchecked(f) };
}

#[test]
fn nothing_is_called_while_a_guard_of_its_time_is_there() {
    let called = Arc::new(AtomicBool::new(false));
    let kept = pin();
    let other = {
        let called = Arc::clone(&called);
        thread::spawn(move || {
            defer(&pin(), move || called.store(true, Ordering::SeqCst));
            for _ in 0..10_000 {
                pin().flush();
            }
        })
    };
    other.join().unwrap();
    assert!(!called.load(Ordering::SeqCst));
    drop(kept);
    flush_until(|| called.load(Ordering::SeqCst));
}

#[test]
fn a_guard_within_another_ends_nothing_and_a_repin_lets_go() {
    let called = Arc::new(AtomicBool::new(false));
    let mut outer = pin();
    drop(pin());
    let other = {
        let called = Arc::clone(&called);
        thread::spawn(move || defer(&pin(), move || called.store(true, Ordering::SeqCst)))
    };
    // The thread hands over what it deferred when it ends.
    other.join().unwrap();
    for _ in 0..1_000 {
        thread::spawn(|| pin().flush()).join().unwrap();
    }
    assert!(!called.load(Ordering::SeqCst));
    for _ in 0..1_000_000 {
        outer.repin();
        outer.flush();
        if called.load(Ordering::SeqCst) {
            return;
        }
        thread::yield_now();
    }
    panic!("a guard that begins anew holds nothing up");
}

#[test]
fn each_call_comes_once_whatever_its_size() {
    let sum = Arc::new(AtomicU64::new(0));
    for i in 0..1_000u64 {
        let guard = pin();
        let small = Arc::clone(&sum);
        defer(&guard, move || {
            small.fetch_add(i, Ordering::Relaxed);
        });
        let (large, numbers) = (Arc::clone(&sum), [i; 10]);
        defer(&guard, move || {
            large.fetch_add(numbers.iter().sum(), Ordering::Relaxed);
        });
    }
    flush_until(|| Arc::strong_count(&sum) == 1);
    assert_eq!(sum.load(Ordering::Relaxed), 11 * 999 * 500);
}

#[test]
fn what_is_called_may_defer_and_flush() {
    let called = Arc::new(AtomicBool::new(false));
    let inner = Arc::clone(&called);
    defer(&pin(), move || {
        let guard = pin();
        defer(&guard, move || inner.store(true, Ordering::SeqCst));
        guard.flush();
    });
    flush_until(|| called.load(Ordering::SeqCst));
}

#[test]
fn an_unprotected_guard_waits_for_nobody() {
    let mut called = false;
    // SAFETY: nobody else has it.
    unsafe { unprotected().defer_unchecked(|| called = true) };
    assert!(called);
}

#[test]
fn readers_never_find_what_was_freed() {
    const ALIVE: u64 = 0x5ca1_ab1e;
    let place = AtomicPtr::new(Box::into_raw(Box::new(AtomicU64::new(ALIVE))));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let _guard = pin();
                    let at = place.load(Ordering::Acquire);
                    for _ in 0..10 {
                        // SAFETY: it is freed only after the guard.
                        assert_eq!(unsafe { &*at }.load(Ordering::Relaxed), ALIVE);
                    }
                }
            });
        }
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for i in 0..50_000 {
                        let guard = pin();
                        let new = Box::into_raw(Box::new(AtomicU64::new(ALIVE)));
                        let old = place.swap(new, Ordering::AcqRel);
                        let free = move || {
                            // SAFETY: it came from a box, and is taken out once.
                            let old = unsafe { Box::from_raw(old) };
                            // What a late reader would find, if the allocator left it there.
                            old.store(0, Ordering::Relaxed);
                        };
                        // SAFETY: the exchange took it out of reach.
                        unsafe { guard.defer_unchecked(free) };
                        if i % 10 == 0 {
                            guard.flush();
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    // SAFETY: nobody else has it any more.
    drop(unsafe { Box::from_raw(place.load(Ordering::Relaxed)) });
}
