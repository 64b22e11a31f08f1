//! Crash points: every moment between two operations, and the disks that a power loss there can leave.

use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::Sim;
use super::disk::{Disk, FileNode, Hold, Node, Pending, View};
use super::op::{Change, Ino, Op, OpKind};
use super::plan::{Fate, Plan, Tear, enumerate};

/// The moment after one operation, from which images are made.
///
/// Images are cheap: about a microsecond for a table of a few small files, of which only what differs is copied.
#[derive(Clone, Debug)]
pub struct CrashPoint {
    at: usize,
    /// The last operation before the crash, and the disk before it.
    last: Option<(Op, Disk)>,
    disk: Disk,
    /// By time, over files and names together.
    units: Vec<Unit>,
    /// The units of the files: file, then the unit of each pending change of it that is not certain.
    files: Vec<(Ino, Vec<usize>)>,
    /// The units of the pending changes of names; those that are certain have `None`.
    names: Vec<Option<usize>>,
    /// The directories in which these names are.
    dirs: Vec<Ino>,
}

/// A change that a power loss may lose.
#[derive(Clone, Copy, Debug)]
struct Unit {
    time: u64,
    /// How many bytes it writes; 0 if it is no write.
    len: u64,
    doomed: bool,
}

impl CrashPoint {
    pub(super) fn new(at: usize, last: Option<(Op, Disk)>, disk: Disk) -> Self {
        let mut units: Vec<Unit> = Vec::new();
        let mut unsynced: Vec<(Ino, &FileNode)> = Vec::new();
        for (ino, node) in disk.nodes.iter().enumerate() {
            if let Node::File(file) = &**node
                && !file.pending.is_empty()
            {
                units.extend(uncertain(&file.pending).map(|p| p.unit(p.change.len())));
                unsynced.push((ino as Ino, file));
            }
        }
        units.extend(uncertain(&disk.names).map(|p| p.unit(0)));
        units.sort_unstable_by_key(|unit| unit.time);
        let unit = |time| units.partition_point(|unit| unit.time < time);
        let files = unsynced
            .into_iter()
            .map(|(ino, file)| (ino, uncertain(&file.pending).map(|p| unit(p.time)).collect()))
            .collect();
        let names = disk
            .names
            .iter()
            .map(|p| p.uncertain().then(|| unit(p.time)))
            .collect();
        let touched = |ino: &Ino| disk.names.iter().any(|p| p.change.touches(*ino));
        let dirs = (0..disk.next_ino()).filter(touched).collect();
        Self {
            at,
            last,
            disk,
            units,
            files,
            names,
            dirs,
        }
    }

    /// How many operations were done before the crash.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The kind of the last of them.
    pub fn kind(&self) -> OpKind {
        self.last.as_ref().map_or(OpKind::Start, |(op, _)| op.kind())
    }

    /// How many changes a power loss may lose.
    pub fn units(&self) -> usize {
        self.units.len()
    }

    /// Plans worth trying: systematic ones, and `seeds` chosen at random but the same each time. Two of them may lead to
    /// the same image: see [`Sim::fingerprint`].
    pub fn plans(&self, seeds: u64) -> Vec<Plan> {
        let lens: Vec<u64> = self.units.iter().map(|unit| unit.len).collect();
        enumerate(&lens, seeds)
    }

    /// What a process finds after a kill at this point: everything done is there, but what was not synced still is not.
    pub fn kill(&self) -> Sim {
        Sim::with_disk(self.disk.clone())
    }

    /// A kill in the middle of the last operation, when that is a write: its first `done` bytes are there.
    pub fn kill_within(&self, done: usize) -> Option<Sim> {
        let (op, before) = self.last.as_ref()?;
        let Op::Change {
            ino,
            change: Change::Write { offset, data },
            kind,
        } = op
        else {
            return None;
        };
        let data = Arc::from(data.get(..done)?);
        let (ino, kind, offset) = (*ino, *kind, *offset);
        let change = Change::Write { offset, data };
        let mut disk = before.clone();
        disk.apply(&Op::Change { ino, change, kind });
        Some(Sim::with_disk(disk))
    }

    /// What is on the disk after a power loss at this point. Everything on it is durable.
    pub fn image(&self, plan: &Plan) -> Sim {
        let units = self.units.iter().enumerate();
        let fates: Vec<Fate> = units
            .map(|(number, unit)| plan.fate(number, unit.doomed, unit.len))
            .collect();
        let mut disk = Disk::clean(self.disk.nodes.clone());
        for (ino, units) in &self.files {
            if let Some(file) = self.disk.file(*ino) {
                let fates = units.iter().map(|unit| fates[*unit]).collect();
                disk.nodes[*ino as usize] = file.survivor(fates);
            }
        }
        if !self.disk.names.is_empty() {
            self.lose_names(&mut disk, &fates);
        }
        Sim::with_disk(disk)
    }

    fn lose_names(&self, disk: &mut Disk, fates: &[Fate]) {
        let names = &self.disk.names;
        let units = self.names.iter();
        let mut kept: Vec<bool> = units
            .map(|unit| unit.is_none_or(|unit| fates[unit] == Fate::Kept))
            .collect();
        // Backwards, since what is needed is always older.
        for at in (0..names.len()).rev() {
            if kept[at]
                && let Some(time) = names[at].needs
                && let Ok(needed) = names.binary_search_by_key(&time, |p| p.time)
            {
                kept[needed] = true;
            }
        }
        for ino in &self.dirs {
            disk.set_dir(*ino, self.disk.dir(*ino).map(|dir| dir.durable.clone()));
        }
        for (pending, _) in names.iter().zip(kept).filter(|(_, kept)| *kept) {
            disk.change_names(&pending.change, View::Visible);
        }
        for ino in &self.dirs {
            disk.set_dir(*ino, disk.dir(*ino).map(|dir| dir.visible.clone()));
        }
    }
}

fn uncertain<T>(pending: &[Pending<T>]) -> impl Iterator<Item = &Pending<T>> {
    pending.iter().filter(|p| p.uncertain())
}

impl<T> Pending<T> {
    fn uncertain(&self) -> bool {
        self.hold != Hold::Durable
    }

    fn unit(&self, len: u64) -> Unit {
        Unit {
            time: self.time,
            len,
            doomed: self.hold == Hold::Doomed,
        }
    }
}

impl Change {
    /// How many bytes it writes.
    fn len(&self) -> u64 {
        match self {
            Change::Write { data, .. } => data.len() as u64,
            Change::Truncate { .. } | Change::Preallocate { .. } => 0,
        }
    }
}

/// What became of a file's uncertain changes.
type Fates = SmallVec<[Fate; 4]>;

/// What power losses leave of a file, by what becomes of its uncertain changes: most images differ in other files, so that they can share this one. It is
/// made anew when the file changes.
#[derive(Debug, Default)]
pub(super) struct Survivors(Mutex<Vec<(Fates, Arc<Node>)>>);

impl Clone for Survivors {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Survivors {
    pub(super) fn forget(&mut self) {
        self.0.get_mut().clear();
    }
}

impl FileNode {
    /// The file after a power loss.
    fn survivor(&self, fates: Fates) -> Arc<Node> {
        let mut survivors = self.survivors.0.lock();
        if let Some((_, known)) = survivors.iter().find(|(known, _)| *known == fates) {
            return Arc::clone(known);
        }
        let node = Arc::new(Node::File(self.without(&fates)));
        survivors.push((fates, Arc::clone(&node)));
        node
    }

    /// The file with what is left of its changes.
    ///
    /// Changes are laid on in their order: a disk that wrote them in another order equals one that lost the earlier.
    fn without(&self, fates: &[Fate]) -> FileNode {
        let mut content = self.durable.clone();
        let mut fates = fates.iter();
        for pending in &self.pending {
            let fate = if pending.uncertain() {
                fates.next().copied().unwrap_or(Fate::Lost)
            } else {
                Fate::Kept
            };
            match (fate, &pending.change) {
                (Fate::Kept, change) => change.apply(&mut content),
                (Fate::Torn(tear), Change::Write { offset, data }) => {
                    let len = data.len() as u64;
                    // The length is the new one even if the last bytes are lost, but for a tear that is a prefix.
                    let mut end = offset + len;
                    if let Tear::Prefix(n) = tear {
                        end = offset + n.min(len);
                    }
                    content.set_len(content.len().max(end));
                    tear.parts(*offset, len, |part| {
                        content.write(&data[part.clone()], offset + part.start as u64);
                    });
                }
                (Fate::Lost | Fate::Torn(_), _) => {}
            }
        }
        FileNode::durable(content)
    }
}

/// See [`Sim::crash_points`].
#[derive(Debug)]
pub struct CrashPoints {
    pub(super) disk: Disk,
    pub(super) log: std::vec::IntoIter<Op>,
    pub(super) last: Option<(Op, Disk)>,
    /// How many operations `disk` has seen; the next point is after them.
    pub(super) at: usize,
    pub(super) done: bool,
}

impl Iterator for CrashPoints {
    type Item = CrashPoint;

    fn next(&mut self) -> Option<CrashPoint> {
        if self.done {
            return None;
        }
        let point = CrashPoint::new(self.at, self.last.take(), self.disk.clone());
        match self.log.next() {
            Some(op) => {
                let before = self.disk.clone();
                self.disk.apply(&op);
                self.last = Some((op, before));
                self.at += 1;
            }
            None => self.done = true,
        }
        Some(point)
    }
}
