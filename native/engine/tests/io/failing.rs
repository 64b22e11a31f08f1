//! The file system that fails at chosen calls.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use bets_engine::io::failing::{Call, Failing, Fault};
use bets_engine::io::real::Os;
use bets_engine::io::sim::{Plan, Sim};
use bets_engine::io::{File, Storage};
use rustix::io::Errno;

use crate::TempDir;

fn setup() -> (Sim, Failing, Arc<dyn File>) {
    let sim = Sim::new();
    let fs = Failing::over_sim(sim.clone());
    fs.create_dir_all(Path::new("/t")).unwrap();
    let file = fs.create(Path::new("/t/f")).unwrap();
    file.write_at(b"ab", 0).unwrap();
    file.sync().unwrap();
    fs.sync_dir(Path::new("/t")).unwrap();
    (sim, fs, file)
}

fn bytes(sim: &Sim) -> Vec<u8> {
    sim.read(Path::new("/t/f")).unwrap()
}

#[test]
fn without_faults_it_is_what_it_wraps() {
    let (sim, fs, _file) = setup();
    assert_eq!(fs.files_and_bytes(), vec![("f".to_owned(), bytes(&sim))]);
    let lock = fs.lock(Path::new("/t"), false).unwrap().unwrap();
    assert!(sim.lock(Path::new("/t"), true).unwrap().is_none());
    drop(lock);
    assert!(sim.lock(Path::new("/t"), true).unwrap().is_some());
    assert_eq!(fs.failed(), 0);
}

trait Look {
    fn files_and_bytes(&self) -> Vec<(String, Vec<u8>)>;
}

impl Look for Failing {
    fn files_and_bytes(&self) -> Vec<(String, Vec<u8>)> {
        let read = |name: String| {
            let file = self.open(&Path::new("/t").join(&name), false).unwrap();
            let mut bytes = vec![0; file.len().unwrap() as usize];
            file.read_at(&mut bytes, 0).unwrap();
            (name, bytes)
        };
        self.list(Path::new("/t"))
            .unwrap()
            .into_iter()
            .map(read)
            .collect()
    }
}

#[test]
fn the_nth_call_fails_and_does_nothing() {
    let (sim, fs, file) = setup();
    fs.arm(Fault::nth(2, &[Call::Write]).no_space());
    file.write_at(b"c", 2).unwrap();
    let error = file.write_at(b"de", 3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(bytes(&sim), b"abc");
    file.write_at(b"de", 3).unwrap();
    assert_eq!(bytes(&sim), b"abcde");
    assert_eq!(fs.failed(), 1);
}

#[test]
fn a_persistent_fault_lasts_until_it_is_disarmed() {
    let (sim, fs, file) = setup();
    fs.arm(Fault::nth(1, &[Call::Write]).persistent());
    for _ in 0..3 {
        let error = file.write_at(b"x", 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()));
    }
    fs.disarm();
    file.write_at(b"x", 0).unwrap();
    assert_eq!(bytes(&sim), b"xb");
}

#[test]
fn a_write_can_fail_half_done() {
    let (sim, fs, file) = setup();
    fs.arm(Fault::nth(1, &[Call::Write]).half());
    file.write_at(b"cdefg", 2).unwrap_err();
    assert_eq!(bytes(&sim), b"abcd");
}

type Attempt<'a> = dyn Fn(&Failing, &dyn File) -> std::io::Result<()> + 'a;

#[test]
fn any_call_fails_when_asked() {
    let dir = Path::new("/t");
    let (f, g, d) = (dir.join("f"), dir.join("g"), dir.join("d"));
    let tries: [(Call, &Attempt); 19] = [
        (Call::Create, &|fs, _| fs.create(&g).map(drop)),
        (Call::Open, &|fs, _| fs.open(&f, false).map(drop)),
        (Call::Stat, &|fs, _| fs.stat_follow(&f).map(drop)),
        (Call::List, &|fs, _| fs.list(dir).map(drop)),
        (Call::CreateDir, &|fs, _| fs.create_dir_all(&d)),
        (Call::RemoveDir, &|fs, _| {
            fs.create_dir_all(&d)?;
            fs.remove_dir(&d)
        }),
        (Call::Rename, &|fs, _| fs.rename(&f, &g)),
        (Call::Unlink, &|fs, _| fs.unlink(&f)),
        (Call::Link, &|fs, _| fs.link(&f, &g)),
        (Call::SyncDir, &|fs, _| fs.sync_dir(dir)),
        (Call::Lock, &|fs, _| fs.lock(dir, false).map(drop)),
        (Call::Read, &|_, file| file.read_at(&mut [0], 0)),
        (Call::ReadNowait, &|_, file| file.read_at_nowait(&mut [0], 0)),
        (Call::Write, &|_, file| file.write_at(b"x", 0)),
        (Call::Sync, &|_, file| file.sync()),
        (Call::Truncate, &|_, file| file.truncate(1)),
        (Call::Preallocate, &|_, file| file.preallocate(9)),
        (Call::Window, &|_, file| file.window(0..1).map(drop)),
        (Call::Len, &|_, file| file.len().map(drop)),
    ];
    for (call, attempt) in tries {
        let (_, fs, file) = setup();
        attempt(&fs, &*file).unwrap();
        let (sim, fs, file) = setup();
        let before = (sim.fingerprint(), fs.counts().of(call));
        fs.arm(Fault::nth(1, &[call]).errno(Errno::NFILE.raw_os_error()));
        let error = attempt(&fs, &*file).unwrap_err();
        assert_eq!(
            error.raw_os_error(),
            Some(Errno::NFILE.raw_os_error()),
            "{call:?}"
        );
        assert_eq!(fs.counts().of(call), before.1 + 1, "{call:?}");
        if call != Call::RemoveDir {
            assert_eq!(sim.fingerprint(), before.0, "{call:?}");
        }
    }
}

#[test]
fn every_call_can_be_visited_in_turn() {
    let (_, fs, file) = setup();
    let before = fs.counts().all_of(&Call::ALL);
    file.write_at(b"x", 0).unwrap();
    fs.stat(Path::new("/t/f")).unwrap();
    file.sync().unwrap();
    let calls = fs.counts().all_of(&Call::ALL) - before;
    assert_eq!(calls, 3);
    let mut failures = 0;
    for n in 1..=calls {
        let (_, fs, file) = setup();
        fs.arm(Fault::nth(n, &Call::ALL));
        let write = file.write_at(b"x", 0).is_err();
        let stat = fs.stat(Path::new("/t/f")).is_err();
        failures += usize::from(write) + usize::from(stat) + usize::from(file.sync().is_err());
        assert_eq!(fs.failed(), 1);
    }
    assert_eq!(failures, 3);
}

#[test]
fn a_failed_sync_of_a_simulated_file_loses_its_bytes_at_a_crash() {
    let (sim, fs, file) = setup();
    file.write_at(b"cd", 2).unwrap();
    fs.arm(Fault::nth(1, &[Call::Sync]).no_space());
    assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::StorageFull);
    file.sync().unwrap();
    assert_eq!(bytes(&sim), b"abcd");
    assert_eq!(bytes(&sim.crash(sim.ops(), &Plan::Everything)), b"ab");
}

#[test]
fn a_failed_sync_of_a_simulated_directory_loses_its_names_at_a_crash() {
    let (sim, fs, _) = setup();
    fs.create(Path::new("/t/g")).unwrap();
    fs.arm(Fault::nth(1, &[Call::SyncDir]));
    fs.sync_dir(Path::new("/t")).unwrap_err();
    fs.sync_dir(Path::new("/t")).unwrap();
    let crashed = sim.crash(sim.ops(), &Plan::Everything);
    assert_eq!(crashed.files(), [Path::new("/t/f")]);
}

#[test]
fn it_wraps_the_operating_system_too() {
    let dir = TempDir::new();
    let fs = Failing::new(Arc::new(Os));
    let file = fs.create(&dir.join("f")).unwrap();
    fs.arm(Fault::nth(1, &[Call::Write]).half().no_space());
    assert_eq!(
        file.write_at(b"abcd", 0).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"ab");
    fs.arm(Fault::nth(1, &[Call::Sync]));
    file.sync().unwrap_err();
    file.sync().unwrap();
}
