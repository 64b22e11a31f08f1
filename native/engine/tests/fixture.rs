//! Tables written by earlier versions open for ever. Each version has a folder under `fixtures`, a copy of which is opened here.
//! `BETS_WRITE_FIXTURE=1` writes the one of this version anew: only before it is released.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::path::Path;

use bets_engine::table::Wait;
use bets_engine::{Error, Key};
use common::{TestDir, contents, key, put};

/// The versions that have a fixture.
const VERSIONS: &[&str] = &["v1"];

/// What the fixtures hold: overwritten, deleted, cleared and batched records, a key with a suffix, several segments, one of them unsealed.
fn write(dir: &TestDir) {
    let table = dir.open();
    put(&table, b"gone with the clear", b"1");
    table.clear(Wait::May).unwrap();
    for i in 0..20u8 {
        put(&table, &[b'k', i], &vec![i; 10 * usize::from(i)]);
    }
    table.delete(key(&[b'k', 3]), Wait::May).unwrap();
    table
        .put_many(&[(key(b"la"), b"list"), (key(b"lb"), b"list")], Wait::May)
        .unwrap();
    table.put(Key::new(b"suffixed~", 8), b"form", Wait::May).unwrap();
    table.sync().unwrap();
    put(&table, &[b'k', 4], b"above the mark");
}

fn check(dir: &TestDir) {
    let table = dir.reopen();
    let found = contents(&table);
    assert_eq!(found.len(), 22);
    for (k, v) in found {
        match k.as_slice() {
            [b'k', 4] => assert_eq!(v, b"above the mark"),
            [b'k', i] => assert_eq!(v, vec![*i; 10 * usize::from(*i)]),
            b"la" | b"lb" => assert_eq!(v, b"list"),
            b"suffixed~" => assert_eq!(v, b"form"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(table.meta(), common::meta());
}

#[test]
fn tables_of_every_version_open() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    if std::env::var_os("BETS_WRITE_FIXTURE").is_some() {
        let dir = TestDir::new().max_file_size(1000);
        write(&dir);
        let copy = dir.copy();
        std::fs::create_dir_all(fixtures.join("v1")).unwrap();
        for entry in std::fs::read_dir(copy.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), fixtures.join("v1").join(entry.file_name())).unwrap();
        }
    }
    for version in VERSIONS {
        let dir = TestDir::copy_of(&fixtures.join(version));
        check(&dir);
        check(&dir);
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
