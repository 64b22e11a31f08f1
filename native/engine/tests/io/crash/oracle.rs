//! Random histories of a few files in one directory, with an oracle that knows only what each byte and name may be.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Write(usize, u64, Vec<u8>),
    Truncate(usize, u64),
    Sync(usize),
    Replace(usize, Vec<u8>),
    Unlink(usize),
    SyncDir,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0usize..3;
    let bytes = || prop::collection::vec(1u8.., 1..700);
    prop_oneof![
        4 => (name.clone(), 0u64..1500, bytes()).prop_map(|(f, at, b)| Step::Write(f, at, b)),
        1 => (name.clone(), 0u64..1500).prop_map(|(f, len)| Step::Truncate(f, len)),
        3 => name.clone().prop_map(Step::Sync),
        1 => (name.clone(), bytes()).prop_map(|(f, b)| Step::Replace(f, b)),
        1 => name.prop_map(Step::Unlink),
        2 => Just(Step::SyncDir),
    ]
}

/// What one file may hold: at each offset, which bytes; and which lengths.
#[derive(Clone, Debug, Default)]
struct May {
    now: Vec<u8>,
    bytes: Vec<HashSet<u8>>,
    /// The shortest possible length.
    len_min: usize,
}

impl May {
    fn change(&mut self, change: impl Fn(&mut Vec<u8>)) {
        change(&mut self.now);
        self.len_min = self.len_min.min(self.now.len());
        let longest = self.bytes.len().max(self.now.len());
        self.bytes.resize(longest, HashSet::new());
        // Where the file may have ended, what is lost reads as zero.
        self.bytes[self.len_min..]
            .iter_mut()
            .for_each(|may| _ = may.insert(0));
        for (at, byte) in self.now.iter().enumerate() {
            self.bytes[at].insert(*byte);
        }
    }

    fn sync(&mut self) {
        self.bytes = self.now.iter().map(|b| HashSet::from([*b])).collect();
        self.len_min = self.now.len();
    }

    fn explains(&self, found: &[u8]) -> bool {
        let len = self.len_min..=self.bytes.len();
        len.contains(&found.len())
            && found
                .iter()
                .zip(&self.bytes)
                .all(|(byte, may)| may.contains(byte))
    }
}

fn run(steps: Vec<Step>) {
    let sim = super::sim();
    let mut files: Vec<(May, Arc<dyn File>)> = Vec::new();
    // Name to file, as seen; and what each name may stand for after a crash.
    let mut names: [Option<usize>; 3] = [None; 3];
    let mut may_name: [HashSet<Option<usize>>; 3] = [(); 3].map(|()| HashSet::from([None]));
    let label = |n: usize| path(["a", "b", "c"][n]);
    for step in steps {
        match step {
            Step::Write(n, ..) | Step::Truncate(n, _) | Step::Sync(n) if names[n].is_none() => {
                files.push((May::default(), sim.create(&label(n)).unwrap()));
                names[n] = Some(files.len() - 1);
                may_name[n].insert(names[n]);
            }
            Step::Write(n, at, bytes) => {
                let (may, file) = &mut files[names[n].unwrap()];
                file.write_at(&bytes, at).unwrap();
                may.change(|now| {
                    let (from, to) = (at as usize, at as usize + bytes.len());
                    now.resize(now.len().max(to), 0);
                    now[from..to].copy_from_slice(&bytes);
                });
            }
            Step::Truncate(n, len) => {
                let (may, file) = &mut files[names[n].unwrap()];
                file.truncate(len).unwrap();
                may.change(|now| now.resize(len as usize, 0));
            }
            Step::Sync(n) => {
                let (may, file) = &mut files[names[n].unwrap()];
                file.sync().unwrap();
                may.sync();
            }
            Step::Replace(n, bytes) => {
                let file = sim.create(&path("tmp")).unwrap();
                let mut may = May::default();
                file.write_at(&bytes, 0).unwrap();
                may.change(|now| now.clone_from(&bytes));
                file.sync().unwrap();
                may.sync();
                sim.rename(&path("tmp"), &label(n)).unwrap();
                files.push((may, file));
                names[n] = Some(files.len() - 1);
                may_name[n].insert(names[n]);
            }
            Step::Unlink(n) => {
                if names[n].take().is_some() {
                    sim.unlink(&label(n)).unwrap();
                    may_name[n].insert(None);
                }
            }
            Step::SyncDir => {
                sim.sync_dir(Path::new(DIR)).unwrap();
                may_name = names.map(|n| HashSet::from([n]));
            }
        }
        assert_eq!(sim.files().len(), names.iter().flatten().count());
        let point = sim.crash_point(sim.ops());
        for plan in point.plans(20) {
            let image = point.image(&plan);
            for (n, may_name) in may_name.iter().enumerate() {
                check(&files, may_name, image.read(&label(n)).ok(), plan);
            }
        }
    }
}

/// Checks what a name stands for on an image against the files for which it may stand.
fn check(files: &[(May, Arc<dyn File>)], may: &HashSet<Option<usize>>, found: Option<Vec<u8>>, plan: Plan) {
    let Some(found) = found else {
        assert!(may.contains(&None), "{plan:?}: a durable name is gone");
        return;
    };
    let explained = may.iter().flatten().any(|file| files[*file].0.explains(&found));
    assert!(explained, "{plan:?}: {found:?} was never written");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_image_is_explained_by_what_was_not_synced(steps in prop::collection::vec(step(), 1..25)) {
        run(steps);
    }
}
