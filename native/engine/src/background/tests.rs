use super::*;
use std::sync::Arc;

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
    run_after(Arc::downgrade(&job), Duration::ZERO, Urgency::Awaited);
    assert_eq!([rx.recv(), rx.recv(), rx.recv()], [Ok(1), Ok(2), Ok(3)]);
}

fn leaked() -> &'static Pool {
    Box::leak(Box::new(Pool::new(Urgency::Patient)))
}

/// All was done by one kind of threads: they took the processor from a process that read and wrote, for up to 4 ms at a time, and with threads that wait for their turn a commit would have waited.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn work_is_patient_unless_somebody_waits_for_it() {
    #[derive(Debug)]
    struct Tell(AtomicUsize, Mutex<mpsc::Sender<bool>>);
    impl Job for Tell {
        fn run(&self) -> Option<Duration> {
            self.1.lock().send(crate::sched::is_patient(0)).unwrap();
            (self.0.fetch_add(1, Ordering::SeqCst) == 0).then_some(Duration::ZERO)
        }
    }
    for urgency in [Urgency::Awaited, Urgency::Patient] {
        let (tx, rx) = mpsc::channel();
        let job: Arc<dyn Job> = Arc::new(Tell(AtomicUsize::new(0), Mutex::new(tx)));
        run_after(Arc::downgrade(&job), Duration::ZERO, urgency);
        let wanted = urgency == Urgency::Patient;
        assert_eq!([rx.recv(), rx.recv()], [Ok(wanted), Ok(wanted)]);
    }
    let (tx, rx) = mpsc::channel();
    run_once(move || tx.send(crate::sched::is_patient(0)).unwrap());
    assert_eq!(rx.recv(), Ok(true));
}

/// What the next two tell, by whichever thread first, well within the hour.
fn next_two<T: Ord>(told: &mpsc::Receiver<T>) -> [T; 2] {
    let mut two = [(); 2].map(|()| told.recv_timeout(Duration::from_mins(1)).unwrap());
    two.sort();
    two
}

#[test]
fn what_comes_later_but_is_due_earlier_is_not_kept_waiting() {
    #[derive(Debug)]
    struct Tell(u64, Mutex<mpsc::Sender<u64>>);
    impl Job for Tell {
        fn run(&self) -> Option<Duration> {
            self.1.lock().send(self.0).unwrap();
            None
        }
    }
    let pool = leaked();
    let (tx, rx) = mpsc::channel();
    let jobs: Vec<Arc<dyn Job>> = [3600, 20, 0]
        .iter()
        .map(|&n| Arc::new(Tell(n, Mutex::new(tx.clone()))) as Arc<dyn Job>)
        .collect();
    let push = |at: usize, ms: u64| {
        let at_time = Instant::now() + Duration::from_millis(ms);
        pool.push(at_time, Work::Job(Arc::downgrade(&jobs[at])));
    };
    push(0, 3_600_000);
    // The one thread waits for the hour when these come.
    while pool.queue.lock().timed.is_none() {
        thread::yield_now();
    }
    push(1, 20);
    push(2, 0);
    assert_eq!(next_two(&rx), [0, 20]);
    assert_eq!(pool.queue.lock().due.len(), 1);
}

/// A thread that waited for the hour, as the care for a table with a long interval does, let work wait with it that was to be done much sooner: work that was due at once came just before, so
/// the queue did not begin with it, and who did that work saw that somebody waited for the time.
#[test]
fn what_comes_right_behind_work_that_is_due_does_not_wait_for_the_hour() {
    let pool = leaked();
    let (tx, rx) = mpsc::channel();
    let tell = |n: u32| {
        let tx = tx.clone();
        Work::Once(Box::new(move || {
            std::thread::sleep(Duration::from_millis(5));
            tx.send(n).unwrap();
        }))
    };
    (0..2).for_each(|n| pool.push(Instant::now(), tell(n)));
    rx.iter().take(2).for_each(drop);
    pool.push(Instant::now() + Duration::from_hours(1), tell(9));
    while pool.queue.lock().timed.is_none() || pool.queue.lock().idle.is_empty() {
        thread::yield_now();
    }
    // Under one lock, so that nobody looks between.
    let mut queue = pool.queue.lock();
    pool.add(&mut queue, Instant::now(), tell(2));
    pool.add(&mut queue, Instant::now() + Duration::from_millis(20), tell(3));
    drop(queue);
    assert_eq!(next_two(&rx), [2, 3]);
}

#[test]
fn who_gives_way_waits_until_all_are_done_or_for_so_long() {
    let pool = leaked();
    assert_eq!(pool.await_quiet(Duration::from_hours(1)), Duration::ZERO);
    let (began, begun) = mpsc::channel();
    let start = || {
        let ((go, gone), began) = (mpsc::channel::<()>(), began.clone());
        let work = move || {
            began.send(()).unwrap();
            let _ = gone.recv();
        };
        pool.push(Instant::now(), Work::Once(Box::new(work)));
        begun.recv().unwrap();
        go
    };
    let (short, limit) = (Duration::from_millis(5), Duration::from_mins(1));
    let (one, other) = (start(), start());
    drop(one);
    // Once no more than the other is at work.
    while pool.busy.load(Ordering::Relaxed) > 1 {
        thread::yield_now();
    }
    assert_eq!(pool.await_quiet(short), short);
    let waiting = thread::spawn(move || pool.await_quiet(limit));
    drop(other);
    assert!(waiting.join().unwrap() < limit);
    assert_eq!(pool.await_quiet(limit), Duration::ZERO);
}

#[test]
fn long_work_holds_up_no_other_while_there_are_threads() {
    let pool = leaked();
    let (held, done) = (Arc::new(Mutex::new(())), mpsc::channel());
    let guard = held.lock();
    for _ in 1..MAX_THREADS {
        let held = Arc::clone(&held);
        pool.push(Instant::now(), Work::Once(Box::new(move || drop(held.lock()))));
    }
    for n in 0..100 {
        let tx = done.0.clone();
        let work = Work::Once(Box::new(move || tx.send(n).unwrap()));
        pool.push(Instant::now() + Duration::from_micros(n % 3 * 500), work);
    }
    assert_eq!(done.1.iter().take(100).sum::<u64>(), 4950);
    drop(guard);
}

#[test]
fn who_waits_for_the_time_is_one() {
    let pool = leaked();
    // Each waits until all threads have work.
    let all = Arc::new(std::sync::Barrier::new(MAX_THREADS + 1));
    for _ in 0..MAX_THREADS {
        let all = Arc::clone(&all);
        let work = move || {
            all.wait();
        };
        pool.push(Instant::now(), Work::Once(Box::new(work)));
    }
    all.wait();
    let hour = Instant::now() + Duration::from_hours(1);
    pool.push(hour, Work::Once(Box::new(|| {})));
    let waits = |queue: &Queue| queue.timed.is_some() && queue.idle.len() + 1 == queue.threads;
    while !waits(&pool.queue.lock()) {
        thread::yield_now();
    }
    assert_eq!(pool.queue.lock().threads, MAX_THREADS);
}

/// Who pushed took the lock of the queue, and so a scheduler of the VM stood still for 3.6 ms: the thread that it had been handed to did not run yet, for a merge had its processor.
#[test]
fn who_pushes_does_not_wait_for_who_has_the_queue() {
    let pool = leaked();
    let (tx, rx) = mpsc::channel();
    let queue = pool.queue.lock();
    let pusher = thread::spawn(move || {
        for n in 0..10 {
            let tx = tx.clone();
            pool.push(Instant::now(), Work::Once(Box::new(move || tx.send(n).unwrap())));
        }
    });
    let waited_until = Instant::now() + Duration::from_mins(1);
    while !pusher.is_finished() {
        assert!(Instant::now() < waited_until, "it waits");
        thread::yield_now();
    }
    drop(queue);
    pool.settle();
    assert_eq!(rx.iter().take(10).sum::<i32>(), 45);
}

/// Each piece of work comes when those who did the one before are about to wait, and nothing comes behind it by which it would be found.
#[test]
fn what_is_pushed_while_others_have_the_queue_is_done() {
    let pool = leaked();
    let (tx, rx) = mpsc::channel();
    for n in 0..20_000u64 {
        let tx = tx.clone();
        let at = Instant::now() + Duration::from_micros(n % 4 * 10);
        pool.push(at, Work::Once(Box::new(move || tx.send(n).unwrap())));
        while rx.try_recv() != Ok(n) {
            assert!(at.elapsed() < Duration::from_mins(1), "{n} is not done");
            std::hint::spin_loop();
        }
    }
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
