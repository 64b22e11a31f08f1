//! What another process does to a directory between two system calls of ours.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::fmt::{Debug, Formatter};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bets_engine::io::real::Os;
use bets_engine::io::{File, Lock, Stat, Storage};
use bets_engine::table::{Config, Open, Table, TableKind};
use bets_engine::{Error, Key};
use common::{TestDir, get, meta_of, put};

type Meddle = Box<dyn FnMut(&Path) + Send>;

/// The real disk, on which somebody else does something right before a table is locked or right behind that, or before a directory is renamed.
struct Meddling {
    before_lock: Mutex<Meddle>,
    after_lock: Mutex<Meddle>,
    before_rename: Mutex<Meddle>,
}

impl Debug for Meddling {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meddling")
    }
}

impl Storage for Meddling {
    fn create(&self, path: &Path) -> std::io::Result<Arc<dyn File>> {
        Os.create(path)
    }
    fn open(&self, path: &Path, write: bool) -> std::io::Result<Arc<dyn File>> {
        Os.open(path, write)
    }
    fn stat(&self, path: &Path) -> std::io::Result<Option<Stat>> {
        Os.stat(path)
    }
    fn stat_follow(&self, path: &Path) -> std::io::Result<Option<Stat>> {
        Os.stat_follow(path)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<String>> {
        Os.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> std::io::Result<()> {
        Os.create_dir_all(dir)
    }
    fn remove_dir(&self, dir: &Path) -> std::io::Result<()> {
        Os.remove_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        // Files of the table are renamed too; only its directory is of interest.
        if from.is_dir() {
            (self.before_rename.lock().unwrap())(to);
        }
        Os.rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        (self.before_rename.lock().unwrap())(to);
        Os.rename_new(from, to)
    }
    fn unlink(&self, path: &Path) -> std::io::Result<()> {
        Os.unlink(path)
    }
    fn link(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        Os.link(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        Os.sync_dir(dir)
    }
    fn lock(&self, path: &Path, shared: bool) -> std::io::Result<Option<Box<dyn Lock>>> {
        if !path.is_dir() {
            return Os.lock(path, shared);
        }
        (self.before_lock.lock().unwrap())(path);
        let lock = Os.lock(path, shared);
        (self.after_lock.lock().unwrap())(path);
        lock
    }
}

impl Meddling {
    fn nothing() -> Self {
        Meddling {
            before_lock: Mutex::new(nothing()),
            after_lock: Mutex::new(nothing()),
            before_rename: Mutex::new(nothing()),
        }
    }
}

fn open(before_lock: Meddle, before_rename: Meddle, dir: &Path) -> bets_engine::Result<Table> {
    let disk = Meddling {
        before_lock: Mutex::new(before_lock),
        before_rename: Mutex::new(before_rename),
        ..Meddling::nothing()
    };
    open_on(disk, dir)
}

fn open_on(disk: Meddling, dir: &Path) -> bets_engine::Result<Table> {
    let storage: Arc<dyn Storage> = Arc::new(disk);
    let config = Config {
        background: false,
        ..Config::default()
    };
    Table::open(&storage, dir, &Open::OrCreate(meta_of(TableKind::Set)), config)
}

fn nothing() -> Meddle {
    Box::new(|_| {})
}

/// One VM deleted a table while another opened it: the directory that was there was gone when it was to be locked, and `new/2` failed with ENOENT although it may make a
/// directory.
#[test]
fn a_directory_that_is_deleted_while_a_table_is_made_there_is_made_again() {
    let root = TestDir::new();
    let dir = root.path().join("t");
    let mut left = 3;
    let meddle = move |dir: &Path| {
        if left > 0 {
            left -= 1;
            std::fs::remove_dir(dir).unwrap();
        }
    };
    let table = open(Box::new(meddle), nothing(), &dir).unwrap();
    put(&table, b"a", b"1");
    table.close().unwrap();
    assert!(dir.join("MANIFEST").is_file());
    // Who removes it whenever it is there is not fought for ever.
    let never = root.path().join("never");
    let error = open(
        Box::new(|dir| std::fs::remove_dir(dir).unwrap()),
        nothing(),
        &never,
    )
    .unwrap_err();
    assert!(
        matches!(error, Error::Io { .. } | Error::NoTable { .. }),
        "{error}"
    );
}

/// A table was renamed to a name for which another VM was just making a directory: the rename took the place of the empty directory, and the other VM, which had locked it,
/// wrote its manifest over that of the renamed table.
#[test]
fn a_rename_takes_no_directory_away_that_somebody_else_has_just_made() {
    let root = TestDir::new();
    let (dir, to) = (root.path().join("t"), root.path().join("other"));
    let table = open(nothing(), Box::new(|to| std::fs::create_dir(to).unwrap()), &dir).unwrap();
    put(&table, b"a", b"1");
    let theirs = |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
    let error = table.rename(&to, b"other").unwrap_err();
    assert!(matches!(error, Error::NotATable { .. }), "{error}");
    assert_ne!(theirs(&to), theirs(&dir));
    assert_eq!(table.dir(), dir);
    assert_eq!(get(&table, b"a"), Some(b"1".to_vec()));
    assert!(
        table
            .contains(Key::plain(b"a"), bets_engine::table::Wait::May)
            .unwrap()
    );
    table.close().unwrap();
}

/// A directory was removed just when it was to be locked, and the next one that was made had its number: it counted as open, and could not be opened.
#[test]
fn a_number_that_is_given_again_does_not_count_as_open() {
    let root = TestDir::new();
    let (dir, next) = (root.path().join("t"), root.path().join("next"));
    let (tell, told) = std::sync::mpsc::channel();
    let mut first = true;
    let meddle = move |dir: &Path| {
        if std::mem::take(&mut first) {
            // Not every file system gives a number again at once. Where none does, there is nothing to see here.
            std::fs::remove_dir(dir).unwrap();
            std::fs::create_dir(&next).unwrap();
            let next = next.clone();
            tell.send(std::thread::spawn(move || open_on(Meddling::nothing(), &next)))
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
    };
    let table = open(Box::new(meddle), nothing(), &dir).unwrap();
    told.recv().unwrap().join().unwrap().unwrap().close().unwrap();
    table.close().unwrap();
}

/// Guards against a lock on a directory that is no longer the one at the path: two processes would write to one table.
#[test]
fn a_directory_that_is_replaced_while_it_is_locked_is_not_used_without_its_lock() {
    let root = TestDir::new();
    let (dir, away) = (root.path().join("t"), root.path().join("away"));
    let mut left = 1;
    let meddle = {
        let away = away.clone();
        move |dir: &Path| {
            if left > 0 {
                left -= 1;
                std::fs::rename(dir, &away).unwrap();
                std::fs::create_dir(dir).unwrap();
            }
        }
    };
    let disk = Meddling {
        after_lock: Mutex::new(Box::new(meddle)),
        ..Meddling::nothing()
    };
    let table = open_on(disk, &dir).unwrap();
    put(&table, b"a", b"1");
    assert!(dir.join("MANIFEST").is_file());
    assert_eq!(
        std::fs::read_dir(&away).unwrap().count(),
        0,
        "nothing was made there"
    );
    assert!(
        Os.lock(&dir, false).unwrap().is_none(),
        "the table's directory is locked"
    );
    assert!(Os.lock(&away, false).unwrap().is_some());
    table.close().unwrap();
}
