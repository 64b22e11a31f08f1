//! Tables written by earlier versions open for ever. Each version has a folder under `fixtures`, a copy of which is opened here.
//! `BETS_WRITE_FIXTURE=1` writes the one of this version anew: only before it is released.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::path::Path;

use bets_engine::table::{TableKind, Wait};
use bets_engine::{Error, Key};
use common::{TestDir, contents, key, merge_all, put, put_many, remove};

/// The versions that have a fixture.
const VERSIONS: &[&str] = &["v1"];

/// A table of each type but one: the two kinds of bags are stored alike.
const KINDS: [(&str, TableKind); 3] = [
    ("set", TableKind::Set),
    ("ordered_set", TableKind::OrderedSet),
    ("bag", TableKind::Bag),
];

/// What a fixture holds: overwritten, deleted, cleared and batched records, a key with a suffix, several segments, a merged one among them, and
/// records that are staged.
fn write(dir: &TestDir, kind: TableKind) {
    let table = dir.open();
    put(&table, b"gone with the clear", b"1");
    table.clear(Wait::May).unwrap();
    for i in 0..20u8 {
        put(&table, &[b'k', i], &vec![i; 10 * usize::from(i)]);
    }
    merge_all(&table).unwrap();
    table.delete(key(&[b'k', 3]), Wait::May).unwrap();
    let list = |k: &[u8]| (k.to_vec(), b"list".to_vec());
    put_many(&table, &[list(b"la"), list(b"lb")]).unwrap();
    if kind.is_bag() {
        put(&table, b"lb", b"gone");
        put(&table, b"lb", b"second");
        remove(&table, b"lb", b"gone").unwrap().unwrap();
    } else {
        table.put(Key::new(b"suffixed~", 8), b"form", Wait::May).unwrap();
    }
    table.sync().unwrap();
    put(&table, &[b'm', 4], b"above the mark");
}

fn check(dir: &TestDir, kind: TableKind) {
    let table = dir.reopen();
    let mut found = contents(&table);
    assert_eq!(table.meta(), common::meta_of(kind));
    let mut expected: Vec<(Vec<u8>, Vec<u8>)> = (0..20u8)
        .filter(|&i| i != 3)
        .map(|i| (vec![b'k', i], vec![i; 10 * usize::from(i)]))
        .collect();
    expected.extend([
        (b"la".to_vec(), b"list".to_vec()),
        (b"lb".to_vec(), b"list".to_vec()),
    ]);
    expected.push(if kind.is_bag() {
        (b"lb".to_vec(), b"second".to_vec())
    } else {
        (b"suffixed~".to_vec(), b"form".to_vec())
    });
    expected.push((vec![b'm', 4], b"above the mark".to_vec()));
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn tables_of_every_version_open() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    if std::env::var_os("BETS_WRITE_FIXTURE").is_some() {
        for (name, kind) in KINDS {
            let dir = TestDir::of(kind).max_file_size(1000);
            write(&dir, kind);
            let copy = dir.copy();
            let fixture = fixtures.join("v1").join(name);
            std::fs::create_dir_all(&fixture).unwrap();
            for entry in std::fs::read_dir(copy.path()).unwrap() {
                let entry = entry.unwrap();
                if entry.file_name() != "LOCK" {
                    std::fs::copy(entry.path(), fixture.join(entry.file_name())).unwrap();
                }
            }
        }
    }
    for version in VERSIONS {
        for (name, kind) in KINDS {
            let dir = TestDir::copy_of(&fixtures.join(version).join(name));
            check(&dir, kind);
            check(&dir, kind);
        }
    }
}

#[test]
fn a_link_to_a_table_is_followed_and_one_inside_is_refused() {
    let dir = TestDir::new();
    let table = dir.open();
    put(&table, b"a", b"b");
    table.close().unwrap();
    let link = dir.path().with_extension("link");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    let linked = TestDir::at(&link);
    let table = linked.reopen();
    assert_eq!(table.len(), 1);
    assert!(
        matches!(dir.try_reopen(), Err(Error::AlreadyOpen { .. })),
        "one directory, whatever its name"
    );
    table.close().unwrap();
    std::fs::remove_file(&link).unwrap();
    for name in ["MANIFEST", "0000000001.seg"] {
        let copy = dir.copy();
        let file = copy.path().join(name);
        let moved = copy.path().join("elsewhere");
        std::fs::rename(&file, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &file).unwrap();
        assert!(matches!(copy.try_reopen(), Err(Error::NotATable { path, .. }) if path == file));
    }
}
