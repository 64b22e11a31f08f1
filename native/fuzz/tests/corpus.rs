//! Replays the corpora of the fuzzers, as they stand and with changes, in every run of the tests.
//!
//! `BETS_FUZZ_MS` says for how many milliseconds changes are tried for each target (default 800).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bets_fuzz::{TARGETS, Target};

/// No check takes so long, whatever it is given, on a machine that is busy with others.
const LONGEST: Duration = Duration::from_secs(10);

fn files(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn run(target: &Target, data: &[u8], what: &dyn std::fmt::Debug) {
    let from = Instant::now();
    if let Err(panic) = std::panic::catch_unwind(|| target.run(data)) {
        eprintln!(
            "{}: found by {what:?}, {} bytes: {data:?}",
            target.name,
            data.len()
        );
        std::panic::resume_unwind(panic);
    }
    assert!(
        from.elapsed() < LONGEST,
        "{}: {what:?} took {:?}",
        target.name,
        from.elapsed()
    );
}

/// So many changes are tried at most, always the same ones, so that a run finds what was found before or nothing.
const CHANGES: u32 = 20_000;

/// splitmix64 (Steele et al. 2014).
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as usize
}

/// A file with some bytes changed, cut out or put in, or with a part of another one.
fn changed(data: &[u8], other: &[u8], state: &mut u64) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..=next(state) % 3 {
        let at = next(state) % (data.len() + 1);
        let end = (at + next(state) % 8).min(data.len());
        match next(state) % 5 {
            0 => drop(data.drain(at..end)),
            1 => data.insert(at, next(state) as u8),
            2 => {
                let from = next(state) % (other.len() + 1);
                let part = &other[from..(from + next(state) % 16).min(other.len())];
                data.splice(at..end, part.iter().copied());
            }
            3 => data[at..end].fill([0, 0xff, 0x7f, 0x80][next(state) % 4]),
            _ => data[at..end]
                .iter_mut()
                .for_each(|byte| *byte = next(state) as u8),
        }
    }
    data
}

#[test]
fn what_the_fuzzers_found_and_changes_of_it_are_taken() {
    let budget = std::env::var("BETS_FUZZ_MS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(800);
    for target in &TARGETS {
        let files = files(target);
        assert!(!files.is_empty(), "no corpus of {}", target.name);
        for (path, data) in &files {
            run(target, data, path);
        }
        let (from, mut state, mut changes) = (Instant::now(), 0, 0u32);
        while changes < CHANGES && from.elapsed() < Duration::from_millis(budget) {
            changes += 1;
            let (path, data) = &files[next(&mut state) % files.len()];
            let other = &files[next(&mut state) % files.len()].1;
            run(target, &changed(data, other, &mut state), &(path, changes));
        }
        println!(
            "{}: {} files, {changes} changes of them",
            target.name,
            files.len()
        );
    }
}
