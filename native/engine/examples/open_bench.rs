//! How long an opening, a close and a merge take, and what a key takes of memory: `cargo run --release -p bets_engine --example open_bench [KEYS] [KIND] [CASE] [DIR]`, where
//! `KIND` and `CASE` are words of the output (`merge` is one), or `-` for all.
//! Keys of 16 bytes in random order, values of 100 bytes. Files are in the page cache. The best of some rounds.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a benchmark prints"
)]

#[path = "../tests/common/counting.rs"]
mod counting;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bets_engine::io::{Storage, real::Os};
use bets_engine::merge::Phase;
use bets_engine::table::{Config, MergeChoice, Meta, Open, Table, TableKind, Wait};
use bets_engine::{Key, Result};

/// So many rounds for a million keys, fewer for more.
const ROUNDS: u64 = 5;

fn key(i: u64) -> [u8; 16] {
    let mut key = [0; 16];
    let mixed = (i ^ (i << 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    key[..8].copy_from_slice(&mixed.to_be_bytes());
    key[8..].copy_from_slice(&i.to_le_bytes());
    key
}

fn open(dir: &Path, kind: TableKind, threads: usize) -> Result<Table> {
    let storage: Arc<dyn Storage> = Arc::new(Os);
    let meta = Meta {
        kind,
        keypos: 1,
        equality: 0,
        name: Vec::new(),
    };
    let config = Config {
        load_threads: threads,
        background: false,
        cache: false,
        ..Config::default()
    };
    Table::open(&storage, dir, &Open::OrCreate(meta), config)
}

/// Waits until the background threads have freed what a closed table had.
fn settle() {
    let mut before = 0;
    while before != counting::held() {
        before = counting::held();
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Removes files by their names' end.
fn remove(dir: &Path, end: &str) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().ends_with(end) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// What the process has had of all processors, in milliseconds.
fn cpu_time() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}

/// What the rounds of one case came to: times in milliseconds.
struct Best {
    opened: f64,
    /// Processor time of opening, of all threads.
    cpu: f64,
    /// The peak of memory as a part of what the open table holds.
    peak: f64,
    closed: f64,
    /// Bytes that the open table holds.
    held: usize,
}

fn measure(dir: &Path, kind: TableKind, keys: u64, threads: usize, gone: &[&str]) -> Result<Best> {
    let mut best = Best {
        opened: f64::MAX,
        cpu: f64::MAX,
        peak: 0.0,
        closed: f64::MAX,
        held: 0,
    };
    for _ in 0..(ROUNDS * 1_000_000 / keys).clamp(1, ROUNDS) {
        for end in gone {
            remove(dir, end);
        }
        settle();
        let before = counting::begin_peak();
        let (start, cpu) = (Instant::now(), cpu_time());
        let table = open(dir, kind, threads)?;
        best.opened = best.opened.min(start.elapsed().as_secs_f64() * 1e3);
        best.cpu = best.cpu.min(cpu_time() - cpu);
        let held = counting::held() - before;
        best.held = held;
        best.peak = best.peak.max((counting::peak() - before) as f64 / held as f64);
        let start = Instant::now();
        table.close()?;
        best.closed = best.closed.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}

fn wanted(word: &str, text: &str) -> bool {
    word == "-" || text.contains(word)
}

fn run(dir: &Path, kind: TableKind, keys: u64, case: &str) -> Result<()> {
    let table = open(dir, kind, 0)?;
    for i in 0..keys {
        let bytes = key(i);
        if kind.is_bag() {
            // A fingerprint, and four objects a key.
            let bytes = [&key(i / 4)[..], &(i as u32).to_le_bytes()].concat();
            table.put(Key::new(&bytes, 16), &[5; 100], Wait::May)?;
        } else {
            table.put(Key::plain(&bytes), &[5; 100], Wait::May)?;
        }
    }
    let start = Instant::now();
    table.close()?;
    println!(
        "{kind:?}: {keys} objects, first close {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    let cases: [(&str, &[&str]); 3] = [
        ("after a clean close", &[]),
        ("from hints", &["CHECKPOINT"]),
        ("without hints", &["CHECKPOINT", ".hint"]),
    ];
    for (what, gone) in cases.into_iter().filter(|(what, _)| wanted(case, what)) {
        for threads in [1, 2] {
            let best = measure(dir, kind, keys, threads, gone)?;
            println!(
                "  {what:<20} {threads} thread(s): open {:7.1} ms ({:7.1} ms of processor time), {:.1} bytes an object, peak {:.2} of that, close {:7.1} ms",
                best.opened,
                best.cpu,
                best.held as f64 / keys as f64,
                best.peak,
                best.closed
            );
        }
    }
    if wanted(case, "merge") {
        merge(dir, kind, keys)?;
    }
    Ok(())
}

/// Overwrites every second object, then merges everything in one go.
fn merge(dir: &Path, kind: TableKind, keys: u64) -> Result<()> {
    if kind.is_bag() {
        return Ok(());
    }
    let table = open(dir, kind, 0)?;
    for i in (0..keys).step_by(2) {
        table.put(Key::plain(&key(i)), &[6; 100], Wait::May)?;
    }
    table.close()?;
    settle();
    let table = open(dir, kind, 0)?;
    let disk = table.stats().disk_bytes;
    let before = counting::begin_peak();
    let (start, cpu, mut longest) = (Instant::now(), cpu_time(), Duration::ZERO);
    if table.merge_start(MergeChoice::Everything)? {
        loop {
            let step = Instant::now();
            let progress = table.merge_step(1 << 20)?;
            longest = longest.max(step.elapsed());
            if progress.is_none_or(|progress| progress.phase == Phase::Done) {
                break;
            }
        }
    }
    println!(
        "  merge                {:7.1} ms ({:7.1} ms of processor time), longest step {:.1} ms, {:.1} bytes an object beyond the table at the peak, {} -> {} MB of disk",
        start.elapsed().as_secs_f64() * 1e3,
        cpu_time() - cpu,
        longest.as_secs_f64() * 1e3,
        (counting::peak() - before) as f64 / keys as f64,
        disk >> 20,
        table.stats().disk_bytes >> 20
    );
    table.close()
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let keys = args.next().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let (only, case) = (args.next(), args.next());
    let (only, case) = (only.as_deref().unwrap_or("-"), case.as_deref().unwrap_or("-"));
    let parent = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    for kind in [TableKind::Set, TableKind::OrderedSet, TableKind::DuplicateBag] {
        if !wanted(only, &format!(" {kind:?}")) {
            continue;
        }
        let dir = parent.join(format!("bets-open-{}-{kind:?}", std::process::id()));
        let done = run(&dir, kind, keys, case);
        let _ = std::fs::remove_dir_all(&dir);
        done?;
    }
    Ok(())
}
