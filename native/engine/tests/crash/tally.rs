//! Crashing a workload at every moment, and counting what was tried.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use bets_engine::io::Storage;
use bets_engine::io::sim::{Plan, Sim};

use crate::common::Random;
use crate::history::State;
use crate::workload::{DIR, Ended, reopen, workload};

#[derive(Default)]
pub struct Tally {
    pub distinct: HashSet<u64>,
    pub kinds: BTreeMap<&'static str, u64>,
    pub recovery_kinds: BTreeMap<&'static str, u64>,
    pub kills: u64,
    /// Kills that found records in the stage.
    pub staged: u64,
    /// Workloads that ended with a failed sync.
    pub failed_syncs: u64,
}

/// Whether there is a stage with a record in it.
fn is_staged(image: &Sim) -> bool {
    let stage = image.open(&Path::new(DIR).join("STAGE"), false);
    let mut start = [0; 64];
    stage.is_ok_and(|file| file.read_at(&mut start, 0).is_ok() && start[32..].iter().any(|&b| b != 0))
}

impl Tally {
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
            let what = format!("workload {seed}, kill at {} ({:?})", point.at(), point.kind());
            let image = point.kill();
            self.staged += u64::from(is_staged(&image));
            self.check(&image, allowed, crash_again(8), &what)?;
            if let Some(image) = point.kill_within(point.at() % 40) {
                let allowed = history.allowed(point.at() - 1, true);
                self.check(&image, allowed, None, &format!("{what}, within the write"))?;
            }
            self.kills += 1;
            for plan in point.plans(3) {
                let what = format!(
                    "workload {seed}, power loss at {} ({:?}) {plan:?}",
                    point.at(),
                    point.kind()
                );
                self.check(&point.image(&plan), survivors, crash_again(40), &what)?;
            }
        }
        Ok(())
    }

    /// Opens an image and checks what is found. With `in_recovery`, crashes the opening too, which may leave these states.
    fn check(
        &mut self,
        image: &Sim,
        allowed: &[State],
        in_recovery: Option<&[State]>,
        what: &str,
    ) -> Result<(), String> {
        if !self.distinct.insert(image.fingerprint()) {
            return Ok(());
        }
        let found = reopen(image).map_err(|error| format!("{what}: {error}"))?;
        if !allowed.contains(&found) {
            return Err(format!("{what}: found {found:?}, allowed {allowed:?}"));
        }
        let Some(in_recovery) = in_recovery else {
            return Ok(());
        };
        let after = image.ops();
        for point in image.crash_points() {
            *self.recovery_kinds.entry(point.kind().name()).or_default() += 1;
            let settled = std::slice::from_ref(&found);
            let allowed = if point.at() == after { settled } else { in_recovery };
            for plan in [Plan::Nothing, Plan::Everything, Plan::Seeded(1), Plan::Seeded(2)] {
                let what = format!(
                    "{what}, then in recovery at {} ({:?}) {plan:?}",
                    point.at(),
                    point.kind()
                );
                self.check(&point.image(&plan), allowed, None, &what)?;
            }
        }
        Ok(())
    }
}
