//! Repairs on disks that crash, fail, or cannot read.

use super::*;

#[test]
fn a_crash_in_a_repair_changes_nothing_of_its_outcome() {
    let mut images = Vec::new();
    for kind in [TableKind::Set, TableKind::OrderedSet] {
        let image = hundred(kind);
        let files = segments(&image);
        let rotten = image.kill(0);
        flip(&rotten, &files[1], 32 + 15);
        flip(&rotten, &files[2], 32 + 40);
        images.push((kind, rotten, true));
        let headless = image.kill(0);
        flip(&headless, &Path::new(DIR).join("MANIFEST"), 20);
        flip(&headless, &files[0], 32 + 15);
        images.push((kind, headless, true));
        let tail = killed(kind);
        let last = segments(&tail)[0].clone();
        flip(&tail, &last, 32 + 15);
        images.push((kind, tail, false));
    }
    let mut crashed = 0;
    for (kind, image, durable) in images {
        let whole = image.kill(0);
        force(&whole, kind);
        let expected = read(&whole.kill(whole.ops()));
        for point in whole.crash_points() {
            // What a killed table has not synced may go with the power, whatever is repaired.
            let plans = [Plan::Nothing, Plan::Seeded(1), Plan::Seeded(2), Plan::Seeded(3)];
            let plans = plans.iter().filter(|_| durable).map(|plan| point.image(plan));
            for again in plans.chain([point.kill()]) {
                force(&again, kind);
                assert!(check(&again).is_sound());
                assert_eq!(
                    read(&again),
                    expected,
                    "crash at {} ({:?})",
                    point.at(),
                    point.kind()
                );
                crashed += 1;
            }
        }
    }
    println!("{crashed} crashed repairs repeated");
    assert!(crashed > 500);
}

/// A table with damage in a sealed segment, and one whose manifest is damaged too.
fn damaged_images() -> [Sim; 2] {
    let image = hundred(TableKind::Set);
    let file = segments(&image)[1].clone();
    flip(&image, &file, 32 + 15);
    let headless = image.kill(0);
    flip(&headless, &Path::new(DIR).join("MANIFEST"), 20);
    [image, headless]
}

#[test]
fn a_repair_on_a_failing_disk_fails_or_tells_and_leaves_nothing_undone() {
    let how = Open::OrCreate(meta_of(TableKind::Set));
    let (mut failed, mut passed) = (0, 0);
    for image in damaged_images() {
        let whole = image.kill(0);
        force(&whole, TableKind::Set);
        let expected = read(&whole);
        for nth in 1.. {
            let mut reached = false;
            for fault in [
                Fault::nth(nth, &Call::ALL),
                Fault::nth(nth, &Call::CHANGES).persistent(),
                Fault::nth(nth, &Call::NEED_ROOM).no_space().persistent(),
                Fault::nth(nth, &[Call::Write]).half(),
            ] {
                let sim = image.kill(0);
                let failing = Failing::over_sim(sim.clone());
                failing.arm(fault.clone());
                let storage: Arc<dyn Storage> = Arc::new(failing.clone());
                let done = repair(
                    &storage,
                    Path::new(DIR),
                    &how,
                    Mode::Force,
                    Some(9),
                    &AtomicU64::new(0),
                );
                reached |= failing.counts().all_of(&Call::ALL) >= nth;
                drop(storage);
                failing.disarm();
                let what = format!("{fault:?}: {done:?}");
                if let Ok(report) = &done {
                    // A read that failed once is told as damage.
                    assert!(report.fault_count() >= 1, "{what}");
                    assert!(check(&sim).is_sound(), "{what}");
                    passed += 1;
                } else {
                    force(&sim, TableKind::Set);
                    assert_eq!(read(&sim), expected, "{what}");
                    failed += 1;
                }
            }
            if !reached {
                break;
            }
        }
    }
    println!("{failed} repairs failed and were repeated, {passed} went on");
    assert!(failed > 100 && passed > 10);
}

#[test]
fn of_a_block_that_the_disk_cannot_read_only_the_records_in_it_are_lost() {
    let sim = Sim::new();
    let config = Config {
        background: false,
        seed: Some(7),
        ..Config::default()
    };
    let how = Open::OrCreate(meta_of(TableKind::Set));
    let table = Table::open(&storage(&sim), Path::new(DIR), &how, config).unwrap();
    for i in 0..200u8 {
        put(&table, &[i, i], &[i; 100]);
    }
    table.close().unwrap();
    let image = sim.kill(sim.ops());
    forget_hints(&image);
    let failing: Arc<dyn Storage> = Arc::new(Rotten(storage(&image)));
    let report = verify(&failing, Path::new(DIR), &AtomicU64::new(0)).unwrap();
    assert_eq!(report.worst, Some(Loss::Records), "{report:?}");
    let told = report
        .faults
        .iter()
        .find(|fault| fault.what.contains("cannot read"));
    assert_eq!(told.map(|fault| (fault.offset, fault.len)), Some((8192, 4096)));
    let done = repair(
        &failing,
        Path::new(DIR),
        &how,
        Mode::Force,
        None,
        &AtomicU64::new(0),
    )
    .unwrap();
    assert_eq!(done.status, Status::Repaired);
    let left = read(&image);
    assert!((165..172).contains(&left.len()), "{} left", left.len());
    assert!(left.iter().all(|(k, v)| v == &[k[0]; 100]));
}

/// A disk that cannot read the third block of segments but those that it wrote itself.
#[derive(Debug)]
struct Rotten(Arc<dyn Storage>);

#[derive(Debug)]
struct RottenFile(Arc<dyn File>);

impl Storage for Rotten {
    fn create(&self, path: &Path) -> std::io::Result<Arc<dyn File>> {
        self.0.create(path)
    }
    fn open(&self, path: &Path, write: bool) -> std::io::Result<Arc<dyn File>> {
        Ok(Arc::new(RottenFile(self.0.open(path, write)?)))
    }
    fn stat(&self, path: &Path) -> std::io::Result<Option<Stat>> {
        self.0.stat(path)
    }
    fn stat_follow(&self, path: &Path) -> std::io::Result<Option<Stat>> {
        self.0.stat_follow(path)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<String>> {
        self.0.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> std::io::Result<()> {
        self.0.create_dir_all(dir)
    }
    fn remove_dir(&self, dir: &Path) -> std::io::Result<()> {
        self.0.remove_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.0.rename(from, to)
    }
    fn unlink(&self, path: &Path) -> std::io::Result<()> {
        self.0.unlink(path)
    }
    fn link(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.0.link(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn lock(&self, path: &Path, shared: bool) -> std::io::Result<Option<Box<dyn Lock>>> {
        self.0.lock(path, shared)
    }
}

impl File for RottenFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        if offset < 12288 && offset + buf.len() as u64 > 8192 {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        self.0.read_at(buf, offset)
    }
    fn read_at_nowait(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> std::io::Result<()> {
        self.0.write_at(buf, offset)
    }
    fn sync(&self) -> std::io::Result<()> {
        self.0.sync()
    }
    fn truncate(&self, len: u64) -> std::io::Result<()> {
        self.0.truncate(len)
    }
    fn preallocate(&self, len: u64) -> std::io::Result<()> {
        self.0.preallocate(len)
    }
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
}
