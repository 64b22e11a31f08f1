//! One list of behaviours that the operating system and the simulator share.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use bets_engine::io::real::Os;
use bets_engine::io::sim::Sim;
use bets_engine::io::{Kind, Storage};
use rustix::io::Errno;

use crate::TempDir;

/// Runs each case in a directory that exists and is empty.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        mod real {
            use super::*;
            $(#[test] fn $name() {
                let dir = TempDir::new();
                super::$name(&Os, dir.as_ref());
            })*
        }
        mod sim {
            use super::*;
            $(#[test] fn $name() {
                let sim = Sim::new();
                sim.create_dir_all(Path::new("/work")).unwrap();
                super::$name(&sim, Path::new("/work"));
            })*
        }
    };
}

cases!(
    what_is_written_is_read,
    a_read_beyond_the_end_is_unexpected_eof,
    a_gap_reads_as_zeros,
    writes_at_absurd_offsets_are_refused,
    an_empty_write_changes_nothing,
    truncate_cuts_and_extends_with_zeros,
    preallocated_space_is_zeros_and_never_shrinks_the_file,
    create_refuses_what_exists,
    open_refuses_what_is_no_file,
    a_file_opened_for_reading_refuses_changes,
    handles_of_one_file_see_each_other,
    stat_tells_kind_length_and_identity,
    list_names_what_is_there,
    directories_are_made_with_their_parents,
    a_file_in_the_way_of_a_directory_is_an_error,
    remove_dir_wants_an_empty_directory,
    rename_replaces,
    rename_between_directories,
    rename_refuses_what_cannot_be,
    rename_of_a_file_to_another_name_of_itself_keeps_both,
    directories_are_renamed_with_their_contents,
    an_unlinked_file_lives_on_while_open,
    a_link_is_the_same_file,
    link_refuses_what_cannot_be,
    sync_dir_wants_a_directory,
    an_exclusive_lock_shuts_everyone_out,
    shared_locks_stand_together,
    a_lock_stays_with_what_was_locked,
);

type Fs<'a> = &'a dyn Storage;

fn put(fs: Fs, path: &Path, bytes: &[u8]) -> Arc<dyn bets_engine::io::File> {
    let file = fs.create(path).unwrap();
    file.write_at(bytes, 0).unwrap();
    file
}

fn get(fs: Fs, path: &Path) -> Vec<u8> {
    let file = fs.open(path, false).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

#[track_caller]
fn refused<T>(result: std::io::Result<T>, errno: Errno) {
    match result {
        Ok(_) => panic!("not refused, wanted {errno:?}"),
        Err(e) => assert_eq!(e.raw_os_error(), Some(errno.raw_os_error()), "{e}"),
    }
}

#[track_caller]
fn refused_as<T>(result: std::io::Result<T>, kind: ErrorKind) {
    match result {
        Ok(_) => panic!("not refused, wanted {kind:?}"),
        Err(e) => assert_eq!(e.kind(), kind, "{e}"),
    }
}

fn what_is_written_is_read(fs: Fs, dir: &Path) {
    let file = fs.create(&dir.join("f")).unwrap();
    let bytes: Vec<u8> = (0..20_000u32).map(|n| (n * 7) as u8).collect();
    file.write_at(&bytes[..9000], 0).unwrap();
    file.write_at(&bytes[9000..], 9000).unwrap();
    file.sync().unwrap();
    let mut read = vec![0; 5000];
    file.read_at(&mut read, 8000).unwrap();
    assert_eq!(read, bytes[8000..13_000]);
    // Just written, so it is in memory; a file system that cannot tell is allowed not to.
    match file.read_at_nowait(&mut read, 1) {
        Ok(()) => assert_eq!(read, bytes[1..5001]),
        Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
    }
    assert_eq!(get(fs, &dir.join("f")), bytes);
}

fn a_read_beyond_the_end_is_unexpected_eof(fs: Fs, dir: &Path) {
    let file = put(fs, &dir.join("f"), b"12345");
    for (len, offset) in [
        (6, 0),
        (1, 5),
        (1, 6),
        (2, 4),
        (1, u64::MAX),
        (1, i64::MAX as u64),
    ] {
        refused_as(file.read_at(&mut vec![0; len], offset), ErrorKind::UnexpectedEof);
        let kind = file.read_at_nowait(&mut vec![0; len], offset).unwrap_err().kind();
        assert!(
            matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::WouldBlock),
            "{kind:?}"
        );
    }
    file.read_at(&mut [], 5).unwrap();
    file.read_at(&mut [], 77).unwrap();
}

fn a_gap_reads_as_zeros(fs: Fs, dir: &Path) {
    let file = put(fs, &dir.join("f"), b"ab");
    file.write_at(b"z", 5000).unwrap();
    let mut expected = vec![0; 5001];
    expected[..2].copy_from_slice(b"ab");
    expected[5000] = b'z';
    assert_eq!(get(fs, &dir.join("f")), expected);
}

fn writes_at_absurd_offsets_are_refused(fs: Fs, dir: &Path) {
    let file = put(fs, &dir.join("f"), b"ab");
    for offset in [u64::MAX, u64::MAX - 1, i64::MAX as u64] {
        refused(file.write_at(b"cd", offset), Errno::FBIG);
    }
    assert_eq!(file.len().unwrap(), 2);
}

fn an_empty_write_changes_nothing(fs: Fs, dir: &Path) {
    let file = put(fs, &dir.join("f"), b"ab");
    file.write_at(b"", 100).unwrap();
    assert_eq!(file.len().unwrap(), 2);
}

fn truncate_cuts_and_extends_with_zeros(fs: Fs, dir: &Path) {
    let file = put(fs, &dir.join("f"), &[7; 3000]);
    file.truncate(1500).unwrap();
    file.truncate(2500).unwrap();
    let mut expected = vec![7; 1500];
    expected.resize(2500, 0);
    assert_eq!(get(fs, &dir.join("f")), expected);
    file.truncate(0).unwrap();
    assert!(file.is_empty().unwrap());
}

fn preallocated_space_is_zeros_and_never_shrinks_the_file(fs: Fs, dir: &Path) {
    let file = put(fs, &dir.join("f"), b"abc");
    match file.preallocate(10_000) {
        Err(e) if e.kind() == ErrorKind::Unsupported => return,
        other => other.unwrap(),
    }
    file.preallocate(5000).unwrap();
    file.preallocate(0).unwrap();
    let mut expected = b"abc".to_vec();
    expected.resize(10_000, 0);
    assert_eq!(get(fs, &dir.join("f")), expected);
}

fn create_refuses_what_exists(fs: Fs, dir: &Path) {
    put(fs, &dir.join("f"), b"kept");
    refused(fs.create(&dir.join("f")), Errno::EXIST);
    assert_eq!(get(fs, &dir.join("f")), b"kept");
    fs.create_dir_all(&dir.join("d")).unwrap();
    refused(fs.create(&dir.join("d")), Errno::EXIST);
    refused(fs.create(&dir.join("none/f")), Errno::NOENT);
    refused(fs.create(&dir.join("f/f")), Errno::NOTDIR);
}

fn open_refuses_what_is_no_file(fs: Fs, dir: &Path) {
    refused(fs.open(&dir.join("f"), false), Errno::NOENT);
    refused(fs.open(&dir.join("f"), true), Errno::NOENT);
    refused(fs.open(dir, false), Errno::ISDIR);
    refused(fs.open(dir, true), Errno::ISDIR);
}

fn a_file_opened_for_reading_refuses_changes(fs: Fs, dir: &Path) {
    put(fs, &dir.join("f"), b"kept");
    let file = fs.open(&dir.join("f"), false).unwrap();
    refused(file.write_at(b"x", 0), Errno::BADF);
    refused(file.truncate(0), Errno::INVAL);
    assert!(file.preallocate(100).is_err());
    file.sync().unwrap();
    assert_eq!(get(fs, &dir.join("f")), b"kept");
}

fn handles_of_one_file_see_each_other(fs: Fs, dir: &Path) {
    let one = put(fs, &dir.join("f"), b"one");
    let two = fs.open(&dir.join("f"), true).unwrap();
    two.write_at(b"two", 3).unwrap();
    let mut bytes = [0; 6];
    one.read_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"onetwo");
    assert_eq!(one.len().unwrap(), 6);
}

fn stat_tells_kind_length_and_identity(fs: Fs, dir: &Path) {
    assert_eq!(fs.stat(&dir.join("f")).unwrap(), None);
    assert_eq!(fs.stat_follow(&dir.join("f")).unwrap(), None);
    put(fs, &dir.join("f"), b"12345");
    put(fs, &dir.join("g"), b"");
    let (f, g) = (
        fs.stat(&dir.join("f")).unwrap().unwrap(),
        fs.stat(&dir.join("g")).unwrap().unwrap(),
    );
    assert_eq!((f.kind, f.len), (Kind::File, 5));
    assert_ne!(f.id, g.id);
    assert_eq!(fs.stat_follow(&dir.join("f")).unwrap(), Some(f));
    assert_eq!(fs.stat(dir).unwrap().unwrap().kind, Kind::Dir);
    refused(fs.stat(&dir.join("f/x")), Errno::NOTDIR);
    fs.rename(&dir.join("f"), &dir.join("h")).unwrap();
    assert_eq!(fs.stat(&dir.join("h")).unwrap().unwrap().id, f.id);
}

fn list_names_what_is_there(fs: Fs, dir: &Path) {
    assert!(fs.list(dir).unwrap().is_empty());
    for name in ["b", "a", "ü"] {
        fs.create(&dir.join(name)).unwrap();
    }
    fs.create_dir_all(&dir.join("d/e")).unwrap();
    let mut names = fs.list(dir).unwrap();
    names.sort();
    assert_eq!(names, ["a", "b", "d", "ü"]);
    refused(fs.list(&dir.join("none")), Errno::NOENT);
    refused(fs.list(&dir.join("a")), Errno::NOTDIR);
}

fn directories_are_made_with_their_parents(fs: Fs, dir: &Path) {
    let deep = dir.join("a/b/c");
    fs.create_dir_all(&deep).unwrap();
    fs.create_dir_all(&deep).unwrap();
    put(fs, &deep.join("f"), b"x");
    fs.create_dir_all(&dir.join("a/x/../y")).unwrap();
    let mut names = fs.list(&dir.join("a")).unwrap();
    names.sort();
    assert_eq!(names, ["b", "x", "y"]);
}

fn a_file_in_the_way_of_a_directory_is_an_error(fs: Fs, dir: &Path) {
    put(fs, &dir.join("f"), b"x");
    refused_as(fs.create_dir_all(&dir.join("f")), ErrorKind::NotADirectory);
    refused_as(fs.create_dir_all(&dir.join("f/d")), ErrorKind::NotADirectory);
}

fn remove_dir_wants_an_empty_directory(fs: Fs, dir: &Path) {
    fs.create_dir_all(&dir.join("d")).unwrap();
    put(fs, &dir.join("d/f"), b"x");
    refused(fs.remove_dir(&dir.join("d")), Errno::NOTEMPTY);
    refused(fs.remove_dir(&dir.join("d/f")), Errno::NOTDIR);
    fs.unlink(&dir.join("d/f")).unwrap();
    fs.remove_dir(&dir.join("d")).unwrap();
    refused(fs.remove_dir(&dir.join("d")), Errno::NOENT);
}

fn rename_replaces(fs: Fs, dir: &Path) {
    put(fs, &dir.join("new"), b"new");
    let old = put(fs, &dir.join("cur"), b"old");
    fs.rename(&dir.join("new"), &dir.join("cur")).unwrap();
    assert_eq!(get(fs, &dir.join("cur")), b"new");
    assert_eq!(fs.list(dir).unwrap(), ["cur"]);
    let mut bytes = [0; 3];
    old.read_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"old");
    refused(fs.rename(&dir.join("new"), &dir.join("cur")), Errno::NOENT);
}

fn rename_between_directories(fs: Fs, dir: &Path) {
    fs.create_dir_all(&dir.join("a")).unwrap();
    fs.create_dir_all(&dir.join("b")).unwrap();
    put(fs, &dir.join("a/f"), b"x");
    fs.rename(&dir.join("a/f"), &dir.join("b/g")).unwrap();
    assert!(fs.list(&dir.join("a")).unwrap().is_empty());
    assert_eq!(get(fs, &dir.join("b/g")), b"x");
    refused(fs.rename(&dir.join("b/g"), &dir.join("none/g")), Errno::NOENT);
}

fn rename_refuses_what_cannot_be(fs: Fs, dir: &Path) {
    put(fs, &dir.join("f"), b"x");
    fs.create_dir_all(&dir.join("d/e")).unwrap();
    refused(fs.rename(&dir.join("f"), &dir.join("d")), Errno::ISDIR);
    refused(fs.rename(&dir.join("d"), &dir.join("f")), Errno::NOTDIR);
    refused(fs.rename(&dir.join("d"), &dir.join("d/e/g")), Errno::INVAL);
    fs.create_dir_all(&dir.join("g")).unwrap();
    refused(fs.rename(&dir.join("g"), &dir.join("d")), Errno::NOTEMPTY);
    fs.rename(&dir.join("d"), &dir.join("g")).unwrap();
    assert_eq!(fs.list(&dir.join("g")).unwrap(), ["e"]);
}

fn rename_of_a_file_to_another_name_of_itself_keeps_both(fs: Fs, dir: &Path) {
    put(fs, &dir.join("a"), b"x");
    fs.rename(&dir.join("a"), &dir.join("a")).unwrap();
    fs.link(&dir.join("a"), &dir.join("b")).unwrap();
    fs.rename(&dir.join("a"), &dir.join("b")).unwrap();
    assert_eq!(get(fs, &dir.join("a")), b"x");
    assert_eq!(get(fs, &dir.join("b")), b"x");
}

fn directories_are_renamed_with_their_contents(fs: Fs, dir: &Path) {
    fs.create_dir_all(&dir.join("t")).unwrap();
    let file = put(fs, &dir.join("t/f"), b"x");
    fs.rename(&dir.join("t"), &dir.join("u")).unwrap();
    file.write_at(b"y", 1).unwrap();
    assert_eq!(get(fs, &dir.join("u/f")), b"xy");
    assert_eq!(fs.stat(&dir.join("t")).unwrap(), None);
}

fn an_unlinked_file_lives_on_while_open(fs: Fs, dir: &Path) {
    let file = put(fs, &dir.join("f"), b"x");
    fs.unlink(&dir.join("f")).unwrap();
    assert_eq!(fs.stat(&dir.join("f")).unwrap(), None);
    file.write_at(b"y", 1).unwrap();
    file.sync().unwrap();
    assert_eq!(file.len().unwrap(), 2);
    put(fs, &dir.join("f"), b"another");
    assert_eq!(file.len().unwrap(), 2);
    refused(fs.unlink(&dir.join("none")), Errno::NOENT);
    fs.create_dir_all(&dir.join("d")).unwrap();
    refused(fs.unlink(&dir.join("d")), Errno::ISDIR);
}

fn a_link_is_the_same_file(fs: Fs, dir: &Path) {
    let file = put(fs, &dir.join("a"), b"x");
    fs.link(&dir.join("a"), &dir.join("b")).unwrap();
    file.write_at(b"y", 0).unwrap();
    assert_eq!(get(fs, &dir.join("b")), b"y");
    assert_eq!(fs.stat(&dir.join("a")).unwrap(), fs.stat(&dir.join("b")).unwrap());
    fs.unlink(&dir.join("a")).unwrap();
    assert_eq!(get(fs, &dir.join("b")), b"y");
}

fn link_refuses_what_cannot_be(fs: Fs, dir: &Path) {
    put(fs, &dir.join("a"), b"a");
    put(fs, &dir.join("b"), b"b");
    refused(fs.link(&dir.join("a"), &dir.join("b")), Errno::EXIST);
    refused(fs.link(&dir.join("none"), &dir.join("c")), Errno::NOENT);
    fs.create_dir_all(&dir.join("d")).unwrap();
    refused(fs.link(&dir.join("d"), &dir.join("c")), Errno::PERM);
}

fn sync_dir_wants_a_directory(fs: Fs, dir: &Path) {
    put(fs, &dir.join("f"), b"x");
    fs.sync_dir(dir).unwrap();
    refused(fs.sync_dir(&dir.join("none")), Errno::NOENT);
    refused(fs.sync_dir(&dir.join("f")), Errno::NOTDIR);
}

fn an_exclusive_lock_shuts_everyone_out(fs: Fs, dir: &Path) {
    let lock = fs.lock(dir, false).unwrap().unwrap();
    assert_eq!(lock.id().unwrap(), fs.stat(dir).unwrap().unwrap().id);
    assert!(fs.lock(dir, false).unwrap().is_none());
    assert!(fs.lock(dir, true).unwrap().is_none());
    drop(lock);
    assert!(fs.lock(dir, false).unwrap().is_some());
    refused(fs.lock(&dir.join("none"), false), Errno::NOENT);
}

fn shared_locks_stand_together(fs: Fs, dir: &Path) {
    put(fs, &dir.join("snapshot.lock"), b"");
    let path = dir.join("snapshot.lock");
    let one = fs.lock(&path, true).unwrap().unwrap();
    let two = fs.lock(&path, true).unwrap().unwrap();
    assert!(fs.lock(&path, false).unwrap().is_none());
    drop(one);
    assert!(fs.lock(&path, false).unwrap().is_none());
    // The directory's own lock is another one.
    assert!(fs.lock(dir, false).unwrap().is_some());
    drop(two);
    assert!(fs.lock(&path, false).unwrap().is_some());
}

fn a_lock_stays_with_what_was_locked(fs: Fs, dir: &Path) {
    fs.create_dir_all(&dir.join("t")).unwrap();
    let lock = fs.lock(&dir.join("t"), false).unwrap().unwrap();
    fs.rename(&dir.join("t"), &dir.join("u")).unwrap();
    fs.create_dir_all(&dir.join("t")).unwrap();
    assert_ne!(lock.id().unwrap(), fs.stat(&dir.join("t")).unwrap().unwrap().id);
    assert!(fs.lock(&dir.join("u"), false).unwrap().is_none());
    assert!(fs.lock(&dir.join("t"), false).unwrap().is_some());
}
