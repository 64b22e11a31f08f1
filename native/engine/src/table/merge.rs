//! Merging, as the NIF calls it: step by step.

use std::path::Path;
use std::time::Duration;

use super::{Commit, Table};
use crate::merge::{Merge, Phase, Policy, Progress, Share};
use crate::sched::Patient;
use crate::{Error, Result};

/// Bytes of a step of a merge that nobody waits beside.
const CROWD_STEP: u64 = 4 << 20;

/// A step that nobody waits for ends behind the first stretch that ends later than this, whatever its budget: who cancels waits for it.
const MAX_STEP: Duration = Duration::from_millis(25);

/// What a merge shall take in.
#[derive(Clone, Copy, Debug)]
pub enum MergeChoice<'a> {
    /// What the policy says, if it says that a merge is due.
    Due(Policy),
    /// Whatever a merge can make smaller, the active segment included.
    Everything,
    /// The sealed segments with these ids.
    Segments(&'a [u32]),
}

/// Numbers of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentStats {
    /// Its id.
    pub id: u32,
    /// Its lowest and its highest seq.
    pub seqs: (u64, u64),
    /// What is live of it.
    pub share: Share,
}

impl Table {
    /// Begins a merge; `false` if there is nothing to merge. [`Table::merge_step`] carries it out. Fails with [`Error::Merging`] if one is under way.
    /// Waits for the disk.
    pub fn merge_start(&self, choice: MergeChoice<'_>) -> Result<bool> {
        let inner = &*self.inner;
        inner.check()?;
        inner.log.check_writable()?;
        let mut merge = inner.merge.lock();
        if merge.is_some() {
            return Err(Error::Merging);
        }
        inner.log.reuse_slots(|slots| {
            if let Some(cache) = &inner.cache {
                cache.forget_segments(slots);
            }
        });
        let max_file_size = inner.log.config().max_file_size;
        let (sealed, chosen) = match choice {
            MergeChoice::Due(policy) => {
                let sealed = inner.log.sealed();
                let chosen = policy.choose(&sealed, max_file_size);
                (sealed, chosen)
            }
            MergeChoice::Everything => {
                inner.log.rotate()?;
                let sealed = inner.log.sealed();
                let chosen = Policy::everything(&sealed, max_file_size);
                (sealed, chosen)
            }
            MergeChoice::Segments(ids) => {
                let sealed = inner.log.sealed();
                let meant = |at: &usize| ids.contains(&sealed[*at].id) && !sealed[*at].is_damaged();
                let chosen = (0..sealed.len()).filter(meant).collect();
                (sealed, chosen)
            }
        };
        if chosen.is_empty() {
            return Ok(false);
        }
        *merge = Some(Merge::new(inner, &sealed, &chosen));
        Ok(true)
    }

    /// Merges small segments before anything else if there are more than some dozens of segments: a table that is opened again and again, never for long, gets one
    /// each time, and could be opened no more in the end. Takes up to 16 MiB of them. To be called by who opened the table, before others have it. Waits for the disk.
    pub fn merge_crowd(&self, policy: &Policy) -> Result<()> {
        let sealed = self.inner.log.sealed();
        let crowd = policy.crowd(&sealed, self.inner.log.config().max_file_size);
        let ids: Vec<u32> = crowd.iter().map(|&at| sealed[at].id).collect();
        if ids.is_empty() || !self.merge_start(MergeChoice::Segments(&ids))? {
            return Ok(());
        }
        // Who opens the table waits for it.
        while let Some(progress) = self.merge_on(CROWD_STEP, None)?
            && progress.phase != Phase::Done
        {}
        Ok(())
    }

    /// Carries the merge on, for about so many bytes of records; the phase [`Phase::Done`] tells its end. `None` if none is under way. After an error it
    /// is given up and nothing is lost; but if the manifest names the outputs already, the next step tries again. Does less if background threads have work, for which it waits some
    /// milliseconds. Touches the disk, and waits for it.
    pub fn merge_step(&self, budget: u64) -> Result<Option<Progress>> {
        self.merge_on(budget, Some(MAX_STEP))
    }

    fn merge_on(&self, budget: u64, limit: Option<Duration>) -> Result<Option<Progress>> {
        let inner = &*self.inner;
        let mut held = inner.merge.lock();
        let Some(merge) = held.as_mut() else {
            inner.check()?;
            return Ok(None);
        };
        let patient = (limit.is_some() && merge.progress().phase.is_long()).then(Patient::begin);
        let stepped = merge.step(inner, budget, limit);
        drop(patient);
        let progress = merge.progress();
        match stepped {
            Ok(()) if progress.phase == Phase::Done => {
                *held = None;
                inner.merge_ended();
                inner.plan_release();
            }
            Ok(()) => {}
            // The keydir still points to inputs, and a merge of the outputs would take what was copied for dead: this one has to come to its end.
            Err(failed) if merge.is_published() => return Err(failed.error),
            Err(failed) => {
                let merge = held.take();
                // Of one that may be published every file stays: the next opening removes what the manifest does not name.
                if let Some(merge) = merge.filter(|_| !failed.outcome_unknown) {
                    merge.give_up(inner);
                    inner.merge_ended();
                }
                return Err(failed.error);
            }
        }
        Ok(Some(progress))
    }

    /// Gives up the merge under way; `false` if there is none, or if it is through but for tidying up and goes on. Waits for a step of it to end.
    pub fn merge_cancel(&self) -> bool {
        let mut held = self.inner.merge.lock();
        match held.take() {
            Some(merge) if merge.is_published() => {
                *held = Some(merge);
                false
            }
            Some(merge) => {
                merge.give_up(&self.inner);
                self.inner.merge_ended();
                true
            }
            None => false,
        }
    }

    /// Makes `to`, which must be empty or not there, a table that holds what this one holds at this moment. Gives the last write that it has. Costs a link for each
    /// segment; on another file system a copy of it, which no write waits for. A merge stands still meanwhile. What was acknowledged before is in it, and durable. Waits for the disk.
    pub fn backup(&self, to: &Path) -> Result<Commit> {
        let inner = &*self.inner;
        inner.check()?;
        inner.log.check_writable()?;
        // Only merges remove segments that are sealed.
        let _merge = inner.merge.lock();
        inner.log.backup(to).map(Commit)
    }

    /// Whether the policy wants a merge. Looks at each segment's numbers, and never touches the disk.
    pub fn merge_due(&self, policy: &Policy) -> bool {
        let log = &self.inner.log;
        log.check_writable().is_ok()
            && !policy
                .choose(&log.sealed(), log.config().max_file_size)
                .is_empty()
    }

    /// The numbers of the sealed segments, in the order of their seqs. Never touches the disk.
    pub fn segments(&self) -> Vec<SegmentStats> {
        let sealed = self.inner.log.sealed();
        let stats = sealed.iter().filter_map(|segment| {
            let entry = segment.sealed()?;
            Some(SegmentStats {
                id: segment.id,
                seqs: (entry.first_seq, entry.last_seq),
                share: Share::of(segment),
            })
        });
        stats.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;
    use std::sync::{Arc, mpsc};
    use std::time::{Duration, Instant};

    use super::MergeChoice;
    use crate::cache::Spot;
    use crate::io::Storage;
    use crate::io::sim::Sim;
    use crate::keydir::Location;
    use crate::merge::Phase;
    use crate::segment::Segment;
    use crate::table::{Config, Meta, Open, Sync, Table, TableKind, Wait};
    use crate::{Key, background};

    fn merge(table: &Table) {
        if table.merge_start(MergeChoice::Everything).unwrap() {
            while table.merge_step(1_000).unwrap().unwrap().phase != Phase::Done {}
        }
    }

    /// The bytes of the segments of [`overwritten`], about.
    const WRITTEN: usize = 4 * 100 * 10_000;

    /// A table of a hundred objects, each written four times, that has background threads.
    fn overwritten() -> Table {
        overwritten_with(Config::default())
    }

    fn overwritten_with(config: Config) -> Table {
        let storage: Arc<dyn Storage> = Arc::new(Sim::new());
        let open = Open::OrCreate(Meta {
            kind: TableKind::Set,
            keypos: 1,
            equality: 0,
            name: Vec::new(),
        });
        let table = Table::open(&storage, Path::new("/t"), &open, config).unwrap();
        for value in [1, 2].repeat(2) {
            for key in 0..100_u8 {
                table
                    .put(Key::plain(&[key]), &vec![value; 10_000], Wait::May)
                    .unwrap();
            }
        }
        table
    }

    /// Has a background thread work until the sender goes.
    fn busy() -> mpsc::Sender<()> {
        let ((go, gone), (began, begun)) = (mpsc::channel::<()>(), mpsc::channel());
        background::run_once(move || {
            began.send(()).unwrap();
            let _ = gone.recv();
        });
        begun.recv().unwrap();
        go
    }

    /// The table of [`overwritten`], merged beside a background thread at work, and how many steps that took, each of which may go through everything.
    fn merged_beside_work(limit: Option<Duration>) -> (Table, usize) {
        let (table, at_work) = (overwritten(), busy());
        let steps = steps_of_a_merge(&table, limit);
        drop(at_work);
        (table, steps)
    }

    /// So many steps it takes to merge everything, if each may go through everything, but for this long.
    fn steps_of_a_merge(table: &Table, limit: Option<Duration>) -> usize {
        assert!(table.merge_start(MergeChoice::Everything).unwrap());
        let step = || table.merge_on(1 << 40, limit).unwrap().unwrap();
        let unfinished = std::iter::repeat_with(step).take_while(|progress| progress.phase != Phase::Done);
        1 + unfinished.count()
    }

    const LONG: Option<Duration> = Some(Duration::from_hours(1));

    /// A step takes in what would take a second to copy from a slow disk, and who cancels it, or closes the table, waits for it.
    #[test]
    fn a_step_that_took_long_ends_behind_the_next_stretch() {
        let steps = |limit| {
            steps_of_a_merge(
                &overwritten_with(Config {
                    background: false,
                    ..Config::default()
                }),
                limit,
            )
        };
        let stretches = WRITTEN / (256 << 10);
        assert!(steps(Some(Duration::ZERO)) > stretches);
        assert!(steps(LONG) < stretches);
    }

    /// The thread of a merge took the processor from one that read and wrote, for up to 4 ms each time it woke up.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn a_merge_is_patient_in_its_steps_and_its_thread_is_not_behind_them() {
        let (table, at_work) = (overwritten(), busy());
        assert!(table.merge_start(MergeChoice::Everything).unwrap());
        let (tx, rx) = mpsc::channel();
        let merging = std::thread::spawn(move || {
            tx.send(crate::sched::thread_number()).unwrap();
            while table.merge_on(1 << 40, LONG).unwrap().unwrap().phase != Phase::Done {
                assert!(!crate::sched::is_patient(0), "behind a step");
            }
        });
        let number = rx.recv().unwrap();
        let mut was_patient = false;
        while !merging.is_finished() {
            was_patient |= crate::sched::is_patient(number);
        }
        merging.join().unwrap();
        drop(at_work);
        assert!(was_patient, "in none of its steps");
    }

    /// Has the thread that syncs the table's last write tell who it is, and whether it is patient.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn who_answers(table: &Table) -> mpsc::Receiver<(std::thread::ThreadId, bool)> {
        let (told, commit) = (
            mpsc::channel(),
            table.put(Key::plain(&[1]), &[3], Wait::May).unwrap(),
        );
        let tell = move |_| {
            let who = (std::thread::current().id(), crate::sched::is_patient(0));
            told.0.send(who).unwrap();
        };
        table.on_durable(commit, Box::new(tell));
        told.1
    }

    /// A merge that publishes syncs what others wait for, and answers them.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn who_waits_for_a_commit_is_not_kept_waiting_by_a_patient_thread() {
        let with = |sync, background| {
            let config = Config::default();
            overwritten_with(Config {
                sync,
                background,
                ..config
            })
        };
        let (table, me) = (with(Sync::Always, false), std::thread::current().id());
        assert!(table.merge_start(MergeChoice::Everything).unwrap());
        let answer = who_answers(&table);
        while table.merge_on(1 << 40, LONG).unwrap().unwrap().phase != Phase::Done {}
        assert_eq!(answer.try_recv(), Ok((me, false)));
        for (sync, is_patient) in [(Sync::Always, false), (Sync::Interval(1000), true)] {
            let table = with(sync, true);
            // What was synced before it was asked for is answered at once.
            let mut answers = std::iter::repeat_with(|| who_answers(&table).recv().unwrap());
            let (_, was_patient) = answers.find(|(who, _)| *who != me).unwrap();
            assert_eq!(was_patient, is_patient, "{sync:?}");
        }
    }

    /// From the ninth input on, what the files took was freed within the steps, and who cancelled the merge, or closed the table, waited for gigabytes.
    #[test]
    fn what_the_inputs_took_is_freed_on_background_threads_some_of_it_at_a_time() {
        let config = Config {
            max_file_size: 128 << 10,
            ..Config::default()
        };
        let table = overwritten_with(config);
        // Background threads seal them.
        while table.segments().len() <= 16 {
            std::thread::yield_now();
        }
        assert!(table.merge_start(MergeChoice::Everything).unwrap());
        let step = || table.merge_on(1 << 40, LONG).unwrap().unwrap().phase;
        while step() != Phase::Retire {}
        // No thread is left to free anything.
        let at_work: Vec<_> = (0..4).map(|_| busy()).collect();
        for _ in 0..10 {
            assert_eq!(step(), Phase::Retire);
        }
        drop(at_work);
        while step() != Phase::Done {}
    }

    /// Who cancelled a merge of gigabytes, or closed its table, waited until the system had freed them.
    #[test]
    fn what_a_merge_leaves_that_is_given_up_is_freed_on_background_threads() {
        // Before the outputs are published, and behind that.
        for phase in [Phase::Publish, Phase::Relocate] {
            let table = overwritten();
            assert!(table.merge_start(MergeChoice::Everything).unwrap());
            let step = || table.merge_on(1 << 20, LONG).unwrap().unwrap().phase;
            while step() != phase {}
            if phase == Phase::Publish {
                assert_eq!(
                    step(),
                    phase,
                    "the output is written to its end, and not named yet"
                );
            }
            let merge = table.inner.merge.lock().take().unwrap();
            let freeing = merge.freeing();
            let at_work: Vec<_> = (0..4).map(|_| busy()).collect();
            merge.give_up(&table.inner);
            assert_eq!(freeing.strong_count(), 1, "{phase:?}: left to a thread");
            drop(at_work);
            while freeing.strong_count() > 0 {
                std::thread::yield_now();
            }
        }
    }

    /// Where all background threads hung, at another table's disk say, a merge would not have ended, and no other one would have begun.
    #[test]
    fn a_merge_does_not_wait_for_background_threads_for_ever() {
        let table = overwritten_with(Config {
            max_file_size: 128 << 10,
            ..Config::default()
        });
        while table.segments().len() <= 16 {
            std::thread::yield_now();
        }
        let at_work: Vec<_> = (0..4).map(|_| busy()).collect();
        assert!(steps_of_a_merge(&table, LONG) > 100);
        drop(at_work);
    }

    /// Beside background threads a merge took a processor from those who read and wrote. When it gave way to them, it kept who wanted to close its table waiting for sixteen rests.
    #[test]
    fn a_merge_gives_way_to_background_threads_but_not_for_ever_and_each_step_rests_once() {
        let (table, resting) = merged_beside_work(LONG);
        // Reading the segments is a stretch of 128 KiB each time, behind which it rests.
        assert!(
            resting > WRITTEN / (256 << 10),
            "it took no notice: {resting} steps"
        );
        for key in 0..100_u8 {
            let value = table.get(Key::plain(&[key]), Wait::May, |found| found.value.to_vec());
            assert_eq!(value.unwrap().unwrap(), vec![2; 10_000]);
        }
    }

    /// An opening that merges first waited for the syncs of other tables.
    #[test]
    fn a_merge_that_somebody_waits_for_does_not_rest() {
        let (_, steps) = merged_beside_work(None);
        assert!(steps < 12, "{steps} steps");
    }

    /// In the tests of this crate, slots are used again from the 64th on.
    #[test]
    fn a_slot_is_not_used_again_while_anyone_may_know_it() {
        let table = Table::simulated();
        let cache = table.inner.cache.as_ref().unwrap();
        let late = |slot: u16| Spot::new(u64::from(slot), Location::new(slot, 1 << 20, 50));
        let mut held: Option<Arc<Segment>> = None;
        let mut used: HashMap<u16, u32> = HashMap::new();
        let started = Instant::now();
        for n in 0.. {
            // Readers of other tests of this process may keep old lists of segments from being freed for a while.
            let is_reused = used.values().any(|&times| times > 1);
            if n >= 400 && (is_reused || started.elapsed() > Duration::from_mins(1)) {
                break;
            }
            if n == 200 {
                // From here on nobody holds an old one.
                assert!(
                    used.values().all(|&times| times == 1) && used.len() > 64,
                    "{used:?}"
                );
                held = None;
                // A reader that was late has left these.
                for &slot in used.keys() {
                    cache.put(late(slot), b"k", b"late");
                }
            }
            let expected = u32::to_le_bytes(n);
            table.put(Key::plain(b"k"), &expected, Wait::May).unwrap();
            merge(&table);
            let sealed = table.inner.log.sealed();
            assert_eq!(sealed.len(), 1);
            if n == 0 {
                held = Some(Arc::clone(&sealed[0]));
            }
            *used.entry(sealed[0].slot).or_default() += 1;
            let value = table.get(Key::plain(b"k"), Wait::May, |found| found.value.to_vec());
            assert_eq!(value.unwrap().unwrap(), expected);
        }
        assert!(held.is_none());
        let again: Vec<u16> = used
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(&slot, _)| slot)
            .collect();
        assert!(!again.is_empty(), "old slots are used again");
        for slot in again {
            let left = cache.get(late(slot), |_, _| ());
            assert!(left.is_none(), "the cache has what slot {slot} named before");
        }
    }
}
