//! The threads of a load.

use std::thread;

/// Has so many threads do the same work, the calling one among them, and gives what they came to, an error if one failed. If the system has no thread to give, the others do its work.
pub(crate) fn together<E: Send>(threads: usize, work: impl Fn() -> Result<(), E> + Sync) -> Result<(), E> {
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .filter_map(|_| {
                let named = thread::Builder::new().name("bets-load".into());
                named.spawn_scoped(scope, &work).ok()
            })
            .collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(result) => done = done.and(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::{Barrier, Mutex};
    use std::thread::current;

    use super::together;

    #[test]
    fn each_thread_works_and_the_failure_of_one_is_that_of_all() {
        for threads in 1..4 {
            let (met, who) = (Barrier::new(threads), Mutex::new(HashSet::new()));
            let done = together(threads, || {
                met.wait();
                let mut who = who.lock().unwrap();
                who.insert(current().id());
                if who.len() == threads {
                    Err(threads)
                } else {
                    Ok(())
                }
            });
            assert_eq!(done, Err(threads));
            let who = who.into_inner().unwrap();
            assert!(who.len() == threads && who.contains(&current().id()));
        }
        assert_eq!(together(3, || Ok::<(), ()>(())), Ok(()));
    }
}
