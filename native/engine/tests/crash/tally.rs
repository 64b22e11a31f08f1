//! Crashing a workload at every moment, and counting what was tried.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bets_engine::io::Storage;
use bets_engine::io::sim::{Plan, Sim};

use crate::common::Random;
use crate::history::{History, State};
use crate::workload::{DIR, Ended, read_only, reopen, workload};

/// The images that were tried, for threads that share them.
pub struct Distinct([Mutex<HashSet<u64>>; 64], AtomicUsize);

impl Default for Distinct {
    fn default() -> Self {
        Distinct(std::array::from_fn(|_| Mutex::default()), AtomicUsize::new(0))
    }
}

impl Distinct {
    pub fn len(&self) -> usize {
        self.1.load(Ordering::Relaxed)
    }

    /// Whether this image is a new one.
    fn insert(&self, image: u64) -> bool {
        let new = self.0[image as usize % 64].lock().unwrap().insert(image);
        self.1.fetch_add(usize::from(new), Ordering::Relaxed);
        new
    }
}

#[derive(Default)]
pub struct Tally {
    pub distinct: Arc<Distinct>,
    pub kinds: BTreeMap<&'static str, u64>,
    pub recovery_kinds: BTreeMap<&'static str, u64>,
    pub kills: u64,
    /// Kills that found records in the stage.
    pub staged: u64,
    /// Workloads that ended with a failed sync.
    pub failed_syncs: u64,
    /// Images that were opened for reading only before.
    pub snapshots: u64,
    /// Backups that were looked at in an image.
    pub backups: u64,
}

/// Names an image: it is asked for only when something is wrong, which is less often than there are images.
type What<'a> = &'a dyn Fn() -> String;

/// Whether there is a stage with a record in it.
fn is_staged(image: &Sim) -> bool {
    let stage = image.open(&Path::new(DIR).join("STAGE"), false);
    let mut start = [0; 64];
    stage.is_ok_and(|file| file.read_at(&mut start, 0).is_ok() && start[32..].iter().any(|&b| b != 0))
}

impl Tally {
    /// Adds what another thread has counted.
    pub fn add(&mut self, other: Tally) {
        for (kinds, more) in [
            (&mut self.kinds, other.kinds),
            (&mut self.recovery_kinds, other.recovery_kinds),
        ] {
            for (kind, n) in more {
                *kinds.entry(kind).or_default() += n;
            }
        }
        self.kills += other.kills;
        self.staged += other.staged;
        self.failed_syncs += other.failed_syncs;
        self.snapshots += other.snapshots;
        self.backups += other.backups;
    }

    /// Looks at the backups that must be in an image.
    fn check_backups(
        &mut self,
        image: &Sim,
        history: &History,
        ops: usize,
        what: What<'_>,
    ) -> Result<(), String> {
        for (dir, expected) in history.backups(ops) {
            self.backups += 1;
            match read_only(image, dir) {
                Ok(Some(found)) if found == *expected => {}
                found => return Err(format!("{}: backup {dir} is {found:?}, not {expected:?}", what())),
            }
        }
        Ok(())
    }

    /// Runs the workload of this seed and crashes it everywhere. Gives what is wrong.
    pub fn run(&mut self, seed: u64) -> Result<(), String> {
        let mut random = Random::new(seed);
        let sim = Sim::new();
        let (history, ended) = workload(&sim, &mut random);
        match ended {
            Ended::Done => {}
            Ended::SyncFailed => self.failed_syncs += 1,
            Ended::Wrong(wrong) => return Err(format!("workload {seed}: {wrong}")),
        }
        for point in sim.crash_points() {
            *self.kinds.entry(point.kind().name()).or_default() += 1;
            let (allowed, survivors) = (
                history.allowed(point.at(), true),
                history.allowed(point.at(), false),
            );
            let mut crash_again = |one_in| (random.below(one_in) == 0).then_some(survivors);
            let what = || format!("workload {seed}, kill at {} ({:?})", point.at(), point.kind());
            let image = point.kill();
            self.staged += u64::from(is_staged(&image));
            self.check(&image, allowed, crash_again(8), &what)?;
            if let Some(image) = point.kill_within(point.at() % 40) {
                let allowed = history.allowed(point.at() - 1, true);
                self.check(&image, allowed, None, &|| format!("{}, within the write", what()))?;
            }
            self.kills += 1;
            for plan in point.plans(3) {
                let what = || {
                    let kind = point.kind();
                    format!(
                        "workload {seed}, power loss at {} ({kind:?}) {plan:?}",
                        point.at()
                    )
                };
                let image = point.image(&plan);
                if plan == Plan::Nothing {
                    self.check_backups(&image, &history, point.at(), &what)?;
                }
                self.check(&image, survivors, crash_again(40), &what)?;
            }
        }
        Ok(())
    }

    /// Opens an image and checks what is found. With `in_recovery`, crashes the opening too: a power loss may leave these states, a kill what was found.
    fn check(
        &mut self,
        image: &Sim,
        allowed: &[State],
        in_recovery: Option<&[State]>,
        what: What<'_>,
    ) -> Result<(), String> {
        let fingerprint = image.fingerprint();
        if !self.distinct.insert(fingerprint) {
            return Ok(());
        }
        // One in eight is read before it is recovered, which must show the same.
        let read = (fingerprint >> 32)
            .is_multiple_of(8)
            .then(|| read_only(image, DIR));
        self.snapshots += u64::from(read.is_some());
        let found = reopen(image).map_err(|error| format!("{}: {error}", what()))?;
        match read {
            Some(Err(error)) => return Err(format!("{}, for reading only: {error}", what())),
            Some(Ok(read)) if read != found => {
                return Err(format!("{}: {read:?} was read, then {found:?} recovered", what()));
            }
            _ => {}
        }
        if !allowed.contains(&found) {
            return Err(format!("{}: found {found:?}, allowed {allowed:?}", what()));
        }
        let Some(in_recovery) = in_recovery else {
            return Ok(());
        };
        let after = image.ops();
        for point in image.crash_points() {
            *self.recovery_kinds.entry(point.kind().name()).or_default() += 1;
            let settled = std::slice::from_ref(&found);
            let allowed = if point.at() == after { settled } else { in_recovery };
            let what = || {
                let (at, kind) = (point.at(), point.kind());
                format!("{}, then in recovery at {at} ({kind:?})", what())
            };
            // A kill takes nothing from the disk, so the next opening finds what this one found.
            self.check(&point.kill(), settled, None, &|| format!("{}, kill", what()))?;
            let seed = fingerprint.wrapping_add(2 * point.at() as u64);
            for plan in [
                Plan::Nothing,
                Plan::Everything,
                Plan::Seeded(seed),
                Plan::Seeded(seed + 1),
            ] {
                let what = || format!("{} {plan:?}", what());
                self.check(&point.image(&plan), allowed, None, &what)?;
            }
        }
        Ok(())
    }
}
