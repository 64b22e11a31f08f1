//! What bytes that nobody vouches for must not do: panic, hang, take memory that they do not back, or be read as what was never written.
//!
//! A [`Target`] takes any bytes and panics if something is wrong. libFuzzer looks for such bytes (`bin/soak fuzz`, in `libfuzzer/`, which is no part of
//! the workspace); what it found worth keeping stands in `corpus/`, and `tests/corpus.rs` replays it, with changes, in every run of the tests.
//!
//! Most of what is read has a CRC, which no fuzzer guesses. So the first byte of a target's bytes says whether the CRCs are to be made right
//! before the bytes are read: then they are what someone would write who lies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a check fails by panicking"
)]

mod checkpoint;
#[path = "../../engine/tests/common/mod.rs"]
mod common;
mod directory;
mod external;
mod frame;
mod hint;
#[path = "../../engine/tests/crash/history.rs"]
#[allow(
    clippy::new_without_default,
    unreachable_pub,
    missing_docs,
    reason = "a test's own file"
)]
mod history;
mod key;
mod manifest;
pub mod memory;
mod object;
mod operations;
mod segment;
#[path = "../../codec/tests/common/mod.rs"]
#[allow(unreachable_pub, missing_docs, reason = "a test's own file")]
mod terms;
#[path = "../../engine/tests/crash/workload.rs"]
#[allow(unreachable_pub, missing_docs, reason = "a test's own file")]
mod workload;

use memory::Bound;

/// A check.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// How much memory it may take.
    pub bound: Bound,
    check: fn(&[u8]),
}

/// All checks.
pub const TARGETS: [Target; 10] = [
    Target {
        name: "frame",
        bound: Bound::FILE,
        check: frame::check,
    },
    Target {
        name: "segment",
        bound: segment::BOUND,
        check: segment::check,
    },
    Target {
        name: "hint",
        bound: Bound::FILE,
        check: hint::check,
    },
    Target {
        name: "manifest",
        bound: Bound::FILE,
        check: manifest::check,
    },
    Target {
        name: "checkpoint",
        bound: Bound::FILE,
        check: checkpoint::check,
    },
    Target {
        name: "key",
        bound: Bound::KEY,
        check: key::check,
    },
    Target {
        name: "object",
        bound: Bound::TERM,
        check: object::check,
    },
    Target {
        name: "external",
        bound: Bound::TERM,
        check: external::check,
    },
    Target {
        name: "directory",
        bound: Bound::NONE,
        check: directory::check,
    },
    Target {
        name: "operations",
        bound: Bound::NONE,
        check: operations::check,
    },
];

impl Target {
    /// The target with this name.
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Runs the check on these bytes. Panics if something is wrong.
    pub fn run(&self, data: &[u8]) {
        (self.check)(data);
    }
}

/// Whether the CRCs are to be made right, and the bytes behind the one that says so.
fn mended(data: &[u8]) -> (bool, &[u8]) {
    match data.split_first() {
        Some((first, rest)) => (first & 1 == 1, rest),
        None => (false, data),
    }
}

/// Puts the CRC of some bytes where it belongs.
fn put_crc(bytes: &mut [u8], at: usize, of: std::ops::Range<usize>) {
    let crc = crc32fast::hash(&bytes[of]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}
