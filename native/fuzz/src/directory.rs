//! A whole table's directory of which bytes were changed, their CRCs made right if so asked: opened, checked, repaired.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use bets_engine::io::Storage;
use bets_engine::io::sim::Sim;
use bets_engine::repair::{Mode, repair, verify};
use bets_engine::table::{Config, Cursor, Open, Table, TableKind, Wait};
use bets_engine::{Error, Result};

use crate::common::{ALL_KINDS, add, merge_all, meta_of, put, put_many, remove};
use crate::frame::mend_frame;
use crate::{mended, put_crc};

const DIR: &str = "/t";

/// A change of a file: which one, where, and how many bytes follow.
const PATCH_LEN: usize = 4;

pub fn check(data: &[u8]) {
    let (mend, data) = mended(data);
    let Some((&which, mut patches)) = data.split_first() else {
        return;
    };
    let base = base(usize::from(which) % BASES);
    let sim = base.kill(base.ops());
    let files: Vec<_> = sim
        .files()
        .into_iter()
        .filter(|path| !path.ends_with("LOCK"))
        .collect();
    while let Some((&[file, low, high, len], rest)) = patches.split_first_chunk::<PATCH_LEN>() {
        let (bytes, rest) = rest.split_at(usize::from(len).min(rest.len()));
        let file = &files[usize::from(file) % files.len()];
        patch(
            &sim,
            file,
            usize::from(u16::from_le_bytes([low, high])),
            bytes,
            mend,
        );
        patches = rest;
    }
    let opened = opens(&sim.kill(sim.ops()));
    let checked = verify(&storage(&sim), Path::new(DIR), &AtomicU64::new(0));
    if checked.is_ok_and(|report| report.is_sound()) {
        opened.unwrap();
    }
    repairs(&sim, ALL_KINDS[usize::from(which) % ALL_KINDS.len()]);
}

/// Each type of table, closed or killed.
const BASES: usize = 2 * ALL_KINDS.len();

fn base(which: usize) -> &'static Sim {
    static BASE: [OnceLock<Sim>; BASES] = [const { OnceLock::new() }; BASES];
    BASE[which].get_or_init(|| {
        let sim = Sim::new();
        let kind = ALL_KINDS[which % ALL_KINDS.len()];
        let table = open(&sim, &Open::OrCreate(meta_of(kind))).unwrap();
        fill(&table, kind);
        if which < ALL_KINDS.len() {
            table.close().unwrap();
        } else {
            table.kill();
        }
        sim
    })
}

fn fill(table: &Table, kind: TableKind) {
    for n in 0..40u8 {
        put(table, &[b'k', n % 30], &vec![n; 20 + usize::from(n)]);
        if n == 20 {
            merge_all(table);
        }
    }
    put_many(
        table,
        &[(b"l1".to_vec(), vec![1; 9]), (b"l2".to_vec(), vec![2; 9])],
    )
    .unwrap();
    if kind.is_bag() {
        add(table, b"k\x01", b"another").unwrap();
        remove(table, b"k\x01", b"another").unwrap();
    }
    table
        .delete(bets_engine::Key::plain(b"k\x02"), Wait::May)
        .unwrap();
    table.sync().unwrap();
    put(table, b"m0", b"behind the sync");
}

fn storage(sim: &Sim) -> Arc<dyn Storage> {
    Arc::new(sim.clone())
}

fn open(sim: &Sim, how: &Open) -> Result<Table> {
    let config = Config {
        max_file_size: 800,
        background: false,
        seed: Some(7),
        cache: false,
        ..Config::default()
    };
    Table::open(&storage(sim), Path::new(DIR), how, config)
}

fn patch(sim: &Sim, file: &Path, at: usize, bytes: &[u8], mend: bool) {
    let mut content = sim.read(file).unwrap();
    let at = at.min(content.len());
    let end = (at + bytes.len()).min(content.len());
    content[at..end].copy_from_slice(&bytes[..end - at]);
    let extension = file.extension().and_then(|name| name.to_str());
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if mend && content.len() >= 64 {
        let last = content.len() - 4;
        match (name, extension) {
            ("MANIFEST", _) => put_crc(&mut content, last, 0..last),
            ("CHECKPOINT", _) | (_, Some("hint")) => put_crc(&mut content, 60, 0..60),
            ("STAGE", _) | (_, Some("seg")) => mend_segment(&mut content, at),
            _ => {}
        }
    }
    sim.write(file, &content).unwrap();
}

/// Makes the CRCs of the header right, or those of the frame that was changed, if the frames before it lead there.
fn mend_segment(content: &mut [u8], changed: usize) {
    put_crc(content, 28, 0..28);
    let mut pos = 32;
    while pos < content.len() {
        let Ok(head) = bets_engine::format::frame::Head::parse(&content[pos..]) else {
            return;
        };
        if changed < pos + head.frame_len() {
            mend_frame(&mut content[pos..]);
            return;
        }
        pos += head.frame_len();
    }
}

/// Whether it opens. What it says it has can be read, or there is an error.
fn opens(sim: &Sim) -> Result<()> {
    let existing = Open::Existing {
        kind: None,
        keypos: None,
    };
    let table = open(sim, &existing)?;
    let (mut cursor, mut seen) = (Cursor::default(), 0u64);
    loop {
        match table.scan(&mut cursor, 10, 1 << 20, Wait::May, |_, _| seen += 1) {
            Ok(true) => {}
            Ok(false) => break assert_eq!(seen, table.len()),
            Err(_) => break,
        }
    }
    table.kill();
    Ok(())
}

/// What was repaired is sound, and opens.
fn repairs(sim: &Sim, kind: TableKind) {
    let progress = AtomicU64::new(0);
    let how = Open::OrCreate(meta_of(kind));
    match repair(
        &storage(sim),
        Path::new(DIR),
        &how,
        Mode::Force,
        Some(9),
        &progress,
    ) {
        Ok(_) => {
            let after = verify(&storage(sim), Path::new(DIR), &progress).unwrap();
            assert!(after.is_sound(), "{after:?}");
            opens(&sim.kill(sim.ops())).unwrap();
        }
        Err(Error::NewerVersion { .. } | Error::Mismatch { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}
