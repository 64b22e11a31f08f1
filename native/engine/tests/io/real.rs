//! What only the operating system can show: links, modes, limits, other processes.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bets_engine::io::real::Os;
use bets_engine::io::{Kind, Storage};
use rustix::fs::{Advice, CWD, FileType, Mode};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

use crate::TempDir;

/// Runs this test binary again, to do one thing in a process of its own.
fn in_child(task: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "real::child", "--ignored", "--nocapture"])
        .env("BETS_IO_TASK", task)
        .env("BETS_IO_DIR", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn succeeds(mut child: Child) {
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}: {out}");
}

#[test]
#[ignore = "what the other tests run in a process of its own"]
fn child() {
    let Some(dir) = std::env::var_os("BETS_IO_DIR") else {
        return;
    };
    let dir = Path::new(&dir);
    match std::env::var("BETS_IO_TASK").unwrap().as_str() {
        "modes" => modes(dir),
        "hold the lock" => hold_the_lock(dir),
        "file size limit" => file_size_limit(dir),
        other => panic!("{other}"),
    }
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let dir = TempDir::new();
    succeeds(in_child("modes", dir.as_ref()));
}

fn modes(dir: &Path) {
    for mask in [0, 0o022, 0o077, 0o777] {
        umask(Mode::from_raw_mode(mask));
        let sub = dir.join(format!("{mask:o}/sub"));
        Os.create_dir_all(&sub).unwrap();
        Os.create(&sub.join("f")).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&sub.join("f")), 0o600, "umask {mask:o}");
        assert_eq!(mode(&sub), 0o700, "umask {mask:o}");
        assert_eq!(mode(sub.parent().unwrap()), 0o700, "umask {mask:o}");
    }
}

#[test]
fn a_lock_shuts_out_another_process_and_ends_with_it() {
    let dir = TempDir::new();
    let mut child = in_child("hold the lock", dir.as_ref());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("held")));
    assert!(Os.lock(dir.as_ref(), false).unwrap().is_none());
    assert!(Os.lock(dir.as_ref(), true).unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(Os.lock(dir.as_ref(), false).unwrap().is_some());
}

fn hold_the_lock(dir: &Path) {
    let _lock = Os.lock(dir, false).unwrap().unwrap();
    println!("held");
    std::io::stdout().flush().unwrap();
    // Until the parent kills this process, or dies.
    _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn the_limit_on_file_sizes_is_an_error_and_not_a_signal() {
    let dir = TempDir::new();
    succeeds(in_child("file size limit", dir.as_ref()));
}

#[track_caller]
fn too_big(result: std::io::Result<()>) {
    let errno = result.unwrap_err().raw_os_error();
    assert_eq!(errno, Some(Errno::FBIG.raw_os_error()));
}

fn file_size_limit(dir: &Path) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit_to = |current| {
        let limit = Rlimit { current, maximum };
        setrlimit(Resource::Fsize, limit).unwrap();
    };
    let file = Os.create(&dir.join("f")).unwrap();
    limit_to(Some(10_000));
    file.write_at(&[1; 9000], 0).unwrap();
    file.write_at(&[2; 1000], 9000).unwrap();
    too_big(file.write_at(&[3], 10_000));
    too_big(file.write_at(&[3; 2], 9999));
    too_big(file.truncate(10_001));
    too_big(file.preallocate(10_001));
    assert_eq!(file.len().unwrap(), 10_000, "a refused write changes nothing");
    // What is already there can be written, and more when the limit rises.
    file.write_at(&[4; 10_000], 0).unwrap();
    limit_to(Some(4 << 20));
    file.write_at(&[5; 10_000], 10_000).unwrap();
    file.write_at(&[6; 100], (4 << 20) - 100).unwrap();
    too_big(file.write_at(&[6; 101], (4 << 20) - 100));
    file.truncate(4 << 20).unwrap();
    // A file beyond the limit can be cut.
    limit_to(Some(1000));
    file.truncate(500_000).unwrap();
    limit_to(None);
    file.write_at(&[7; 10], 8 << 20).unwrap();
}

#[test]
fn symbolic_links_are_refused_but_for_directories() {
    let dir = TempDir::new();
    let (target, link) = (dir.join("target"), dir.join("link"));
    Os.create(&target).unwrap().write_at(b"x", 0).unwrap();
    symlink(&target, &link).unwrap();
    let loops = |errno: Option<i32>| assert_eq!(errno, Some(Errno::LOOP.raw_os_error()));
    loops(Os.open(&link, false).unwrap_err().raw_os_error());
    loops(Os.open(&link, true).unwrap_err().raw_os_error());
    loops(Os.lock(&link, true).unwrap_err().raw_os_error());
    assert_eq!(Os.stat(&link).unwrap().unwrap().kind, Kind::Other);
    assert_eq!(Os.stat_follow(&link).unwrap(), Os.stat(&target).unwrap());
    // A link to nothing is not filled.
    symlink(dir.join("none"), dir.join("dangling")).unwrap();
    assert_eq!(
        Os.create(&dir.join("dangling")).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(Os.stat_follow(&dir.join("dangling")).unwrap(), None);
    assert!(Os.create_dir_all(&dir.join("dangling")).is_err());
    // Unlinking takes the link away, not what it leads to.
    Os.unlink(&link).unwrap();
    assert!(Os.stat(&target).unwrap().is_some());
    // The way to a table may be a link.
    Os.create_dir_all(&dir.join("d")).unwrap();
    symlink(dir.join("d"), dir.join("way")).unwrap();
    Os.create_dir_all(&dir.join("way/sub")).unwrap();
    Os.sync_dir(&dir.join("way")).unwrap();
    assert_eq!(Os.list(&dir.join("way")).unwrap(), ["sub"]);
    let _lock = Os.lock(&dir.join("way"), false).unwrap().unwrap();
    assert!(Os.lock(&dir.join("d"), false).unwrap().is_none());
}

#[test]
fn a_planted_fifo_does_not_hang_an_open() {
    let dir = TempDir::new();
    let fifo = dir.join("fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_eq!(Os.stat(&fifo).unwrap().unwrap().kind, Kind::Other);
    for write in [false, true] {
        assert_eq!(Os.open(&fifo, write).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn descriptors_are_not_inherited() {
    let dir = TempDir::new();
    Os.create(&dir.join("f")).unwrap();
    let _file = Os.open(&dir.join("f"), true).unwrap();
    let _created = Os.create(&dir.join("g")).unwrap();
    let _lock = Os.lock(dir.as_ref(), false).unwrap();
    let mut checked = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let ours = std::fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&dir));
        if ours {
            let info = Path::new("/proc/self/fdinfo").join(entry.file_name());
            let info = std::fs::read_to_string(info).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
            let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
            assert_ne!(flags & 0o2_000_000, 0, "not close-on-exec");
            checked += 1;
        }
    }
    assert_eq!(checked, 3);
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_that_may_not_wait_says_so_when_the_bytes_are_on_disk_only() {
    let dir = TempDir::new();
    let path = dir.join("f");
    let file = Os.create(&path).unwrap();
    file.write_at(&vec![7; 1 << 20], 0).unwrap();
    file.sync().unwrap();
    let mut buf = vec![0; 1 << 20];
    if file.read_at_nowait(&mut buf, 0).is_err() {
        println!(
            "skipped: the file system of {} cannot tell what is in memory",
            path.display()
        );
        return;
    }
    let evict = || {
        let fd = std::fs::File::open(&path).unwrap();
        rustix::fs::fadvise(&fd, 0, None, Advice::DontNeed).unwrap();
    };
    let kind = |result: std::io::Result<()>| result.map_err(|e| e.kind());
    // A read that is refused can make the kernel fetch the bytes, so that the same read succeeds a moment later.
    evict();
    match kind(file.read_at_nowait(&mut buf, 0)) {
        Ok(()) => println!("{} has no disk behind it, or a very fast one", path.display()),
        Err(error) => assert_eq!(error, ErrorKind::WouldBlock),
    }
    // Half in memory is not enough, and is not taken for the end of the file.
    let random = std::fs::File::open(&path).unwrap();
    rustix::fs::fadvise(&random, 0, None, Advice::Random).unwrap();
    evict();
    rustix::io::pread(&random, &mut buf[..8192], 0).unwrap();
    assert_eq!(kind(file.read_at_nowait(&mut buf[..4096], 0)), Ok(()));
    assert_ne!(
        kind(file.read_at_nowait(&mut buf, 0)),
        Err(ErrorKind::UnexpectedEof)
    );
    file.read_at(&mut buf, 0).unwrap();
    assert_eq!(kind(file.read_at_nowait(&mut buf, 0)), Ok(()));
    assert!(buf.iter().all(|byte| *byte == 7));
    assert_eq!(
        kind(file.read_at_nowait(&mut buf, 1)),
        Err(ErrorKind::UnexpectedEof)
    );
}

/// A small tmpfs, unmounted at the end.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = TempDir::new();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=256k", "bets-test"])
            .arg(dir.as_ref());
        let done = mount.stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("-l").arg(self.0.as_ref()).status();
    }
}

#[test]
fn a_full_disk_is_an_error_until_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: no permission to mount a tmpfs");
        return;
    };
    let dir = &disk.0;
    let other = Os.create(&dir.join("other")).unwrap();
    other.write_at(&vec![1; 128 << 10], 0).unwrap();
    let file = Os.create(&dir.join("f")).unwrap();
    file.write_at(&vec![2; 64 << 10], 0).unwrap();
    let full = |result: std::io::Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull);
    full(file.preallocate(1 << 20));
    full(file.write_at(&vec![3; 256 << 10], 64 << 10));
    // What was written of it can be cut back.
    file.truncate(64 << 10).unwrap();
    let mut bytes = vec![0; 64 << 10];
    file.read_at(&mut bytes, 0).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 2));
    drop(other);
    Os.unlink(&dir.join("other")).unwrap();
    file.write_at(&vec![4; 100 << 10], 64 << 10).unwrap();
    file.sync().unwrap();
}
