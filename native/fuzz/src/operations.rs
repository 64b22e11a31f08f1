//! Whole sequences of operations on a simulated disk, chosen by the bytes, and crashes in their midst.
//!
//! The workloads are those of the engine's crash simulation, whose every choice takes a byte; so are the histories that say what may be
//! found.

use bets_engine::io::sim::{Plan, Sim};

use crate::common::Random;
use crate::history::State;
use crate::workload::{DIR, Ended, read_only, reopen, workload};

/// So many moments of a sequence are crashed at.
const CRASHES: usize = 4;

pub fn check(data: &[u8]) {
    let (crashes, choices) = data.split_at(data.len().min(2 * CRASHES));
    let sim = Sim::new();
    let (history, ended) = workload(&sim, &mut Random::chosen(choices));
    if let Ended::Wrong(wrong) = ended {
        panic!("{wrong}");
    }
    for crash in crashes.chunks_exact(2) {
        let at = sim.ops() * usize::from(crash[0]) / 256;
        let point = sim.crash_point(at);
        opens(&point.kill(), history.allowed(at, true), "a kill", at);
        let plan = plan(crash[1]);
        let image = point.image(&plan);
        opens(&image, history.allowed(at, false), "a power loss", at);
        for (dir, expected) in history.backups(at) {
            match read_only(&image, dir) {
                Ok(found) => assert_eq!(found.as_ref(), Some(expected), "the backup {dir} at {at}"),
                Err(error) => panic!("the backup {dir} at {at}: {error}"),
            }
        }
        // The recovery is crashed as well: what it found is durable only once it is through.
        let again = image.crash(image.ops() * usize::from(crash[1]) / 256, &plan);
        opens(
            &again,
            history.allowed(at, false),
            "a power loss in the recovery",
            at,
        );
    }
}

fn plan(byte: u8) -> Plan {
    match byte {
        0 => Plan::Nothing,
        1 => Plan::Everything,
        seed => Plan::Seeded(u64::from(seed)),
    }
}

fn opens(image: &Sim, allowed: &[State], what: &str, at: usize) {
    // Whoever only reads finds the same, and changes nothing of it.
    match read_only(image, DIR) {
        Ok(found) => assert!(
            allowed.contains(&found),
            "read after {what} at {at}: {found:?}, not {allowed:?}"
        ),
        Err(error) => panic!("reading after {what} at {at}: {error}"),
    }
    match reopen(image) {
        Ok(found) => assert!(
            allowed.contains(&found),
            "after {what} at {at}: {found:?}, not {allowed:?}"
        ),
        Err(error) => panic!("after {what} at {at}: {error}"),
    }
}
