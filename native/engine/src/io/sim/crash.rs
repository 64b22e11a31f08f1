//! Crash points: every moment between two operations, and the disks that a power loss there can leave.

use std::sync::Arc;

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
    /// How many bytes each unit writes, by unit; 0 if it is no write.
    lens: Vec<u64>,
    /// The units of the files: file, then the unit of each pending change of it that is not certain.
    files: Vec<(Ino, Vec<usize>)>,
    /// The units of the pending changes of names; those that are certain have `None`.
    names: Vec<Option<usize>>,
}

impl CrashPoint {
    pub(super) fn new(at: usize, last: Option<(Op, Disk)>, disk: Disk) -> Self {
        // Units are numbered by time, over files and names together.
        let mut times: Vec<(u64, u64)> = Vec::new();
        let mut files: Vec<(Ino, Vec<usize>)> = Vec::new();
        for (ino, node) in disk.nodes.iter().enumerate() {
            if let Node::File(file) = &**node
                && !file.pending.is_empty()
            {
                times.extend(file.pending.iter().filter(|p| p.uncertain()).map(Pending::unit));
                files.push((ino as Ino, Vec::new()));
            }
        }
        times.extend(disk.names.iter().filter(|p| p.uncertain()).map(|p| (p.time, 0)));
        times.sort_unstable();
        let unit = |time| times.partition_point(|(t, _)| *t < time);
        for (ino, units) in &mut files {
            if let Some(file) = disk.file(*ino) {
                units.extend(
                    file.pending
                        .iter()
                        .filter(|p| p.uncertain())
                        .map(|p| unit(p.time)),
                );
            }
        }
        let names = disk
            .names
            .iter()
            .map(|p| p.uncertain().then(|| unit(p.time)))
            .collect();
        Self {
            at,
            last,
            lens: times.iter().map(|(_, len)| *len).collect(),
            files,
            names,
            disk,
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
        self.lens.len()
    }

    /// Plans worth trying: systematic ones, and `seeds` chosen at random but the same each time. Two of them may lead to
    /// the same image: see [`Sim::fingerprint`].
    pub fn plans(&self, seeds: u64) -> Vec<Plan> {
        enumerate(&self.lens, seeds)
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
        let mut disk = Disk::clean(self.disk.nodes.clone());
        for (ino, units) in &self.files {
            if let Some(file) = self.disk.file(*ino) {
                disk.nodes[*ino as usize] = Arc::new(Node::File(file.survivor(plan, units)));
            }
        }
        if !self.disk.names.is_empty() {
            self.lose_names(&mut disk, plan);
        }
        Sim::with_disk(disk)
    }

    fn lose_names(&self, disk: &mut Disk, plan: &Plan) {
        let names = &self.disk.names;
        let mut kept: Vec<bool> = names
            .iter()
            .zip(&self.names)
            .map(|(p, unit)| unit.is_none_or(|unit| plan.fate(unit, p.hold == Hold::Doomed, 0) == Fate::Kept))
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
        let touched = |ino: usize| names.iter().any(|p| p.change.touches(ino as Ino));
        let dirs: Vec<usize> = (0..disk.nodes.len()).filter(|ino| touched(*ino)).collect();
        for ino in &dirs {
            disk.set_dir(
                *ino as Ino,
                self.disk.dir(*ino as Ino).map(|dir| dir.durable.clone()),
            );
        }
        for (pending, _) in names.iter().zip(kept).filter(|(_, kept)| *kept) {
            disk.change_names(&pending.change, View::Visible);
        }
        for ino in dirs {
            disk.set_dir(ino as Ino, disk.dir(ino as Ino).map(|dir| dir.visible.clone()));
        }
    }
}

impl<T> Pending<T> {
    fn uncertain(&self) -> bool {
        self.hold != Hold::Durable
    }
}

impl Pending<Change> {
    /// Its time and how many bytes it writes.
    fn unit(&self) -> (u64, u64) {
        let len = match &self.change {
            Change::Write { data, .. } => data.len() as u64,
            Change::Truncate { .. } | Change::Preallocate { .. } => 0,
        };
        (self.time, len)
    }
}

impl FileNode {
    /// The file after a power loss. `units` are the units of the uncertain changes.
    ///
    /// Changes are laid on in their order: a disk that wrote them in another order equals one that lost the earlier.
    fn survivor(&self, plan: &Plan, units: &[usize]) -> FileNode {
        let mut content = self.durable.clone();
        let mut units = units.iter();
        for pending in &self.pending {
            let fate = match pending.hold {
                Hold::Durable => Fate::Kept,
                hold => units.next().map_or(Fate::Lost, |unit| {
                    plan.fate(*unit, hold == Hold::Doomed, pending.unit().1)
                }),
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
