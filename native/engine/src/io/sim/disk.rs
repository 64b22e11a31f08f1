//! A disk and the page cache in front of it.
//!
//! For each file and directory there is what programs see, what a power loss leaves for certain, and between the two
//! the changes that may or may not have reached the disk.

use std::sync::Arc;

use super::content::Content;
use super::crash::Survivors;
use super::op::{Change, Ino, Name, NameChange, Op};

/// The root directory.
pub(super) const ROOT: Ino = 0;

#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) nodes: Vec<Arc<Node>>,
    /// Changes of names that a crash may lose, in the order in which they were made.
    pub(super) names: Vec<Pending<NameChange>>,
    /// Operations so far: the time by which changes are ordered.
    clock: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub(super) visible: Content,
    pub(super) durable: Content,
    /// What leads from `durable` to `visible`.
    pub(super) pending: Vec<Pending<Change>>,
    /// Where the last written byte ends; what was only reserved is beyond.
    pub(super) written: u64,
    pub(super) survivors: Survivors,
}

#[derive(Clone, Debug, Default)]
pub(super) struct DirNode {
    pub(super) visible: Entries,
    pub(super) durable: Entries,
}

/// A change that is not simply durable.
#[derive(Clone, Debug)]
pub(super) struct Pending<T> {
    pub(super) change: T,
    pub(super) time: u64,
    pub(super) hold: Hold,
    /// The time of a pending rename without which this change could not have been made.
    pub(super) needs: Option<u64>,
}

/// What is certain about a pending change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing; the next sync makes it durable.
    Open,
    /// Its sync failed: the kernel believes it clean, so that no later sync makes it durable.
    Doomed,
    /// It is durable, but stands on one that is not.
    Durable,
}

/// The names in a directory, sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(Arc<Vec<(Arc<str>, Ino)>>);

impl Entries {
    pub(super) fn get(&self, name: &str) -> Option<Ino> {
        let at = self.find(name).ok()?;
        self.0.get(at).map(|(_, ino)| *ino)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Arc<str>, Ino)> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }

    fn set(&mut self, name: &Arc<str>, ino: Ino) {
        let found = self.find(name);
        let entries = Arc::make_mut(&mut self.0);
        match found {
            Ok(at) => entries[at].1 = ino,
            Err(at) => entries.insert(at, (name.clone(), ino)),
        }
    }

    /// Removes the name if it still names `ino`.
    fn unset(&mut self, name: &str, ino: Ino) {
        if let Ok(at) = self.find(name)
            && self.0[at].1 == ino
        {
            Arc::make_mut(&mut self.0).remove(at);
        }
    }
}

/// Which of the two states of a directory.
#[derive(Clone, Copy)]
pub(super) enum View {
    Visible,
    Durable,
}

impl Disk {
    /// An empty disk: a root directory.
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Arc::new(Node::Dir(DirNode::default()))],
            names: Vec::new(),
            clock: 0,
        }
    }

    /// A disk on which everything is durable.
    pub(super) fn clean(nodes: Vec<Arc<Node>>) -> Self {
        Self {
            nodes,
            names: Vec::new(),
            clock: 0,
        }
    }

    pub(super) fn next_ino(&self) -> Ino {
        self.nodes.len() as Ino
    }

    pub(super) fn file(&self, ino: Ino) -> Option<&FileNode> {
        match &**self.nodes.get(ino as usize)? {
            Node::File(file) => Some(file),
            Node::Dir(_) => None,
        }
    }

    pub(super) fn dir(&self, ino: Ino) -> Option<&DirNode> {
        match &**self.nodes.get(ino as usize)? {
            Node::Dir(dir) => Some(dir),
            Node::File(_) => None,
        }
    }

    pub(super) fn file_mut(&mut self, ino: Ino) -> Option<&mut FileNode> {
        match Arc::make_mut(self.nodes.get_mut(ino as usize)?) {
            Node::File(file) => {
                file.survivors.forget();
                Some(file)
            }
            Node::Dir(_) => None,
        }
    }

    fn dir_mut(&mut self, ino: Ino) -> Option<&mut DirNode> {
        match Arc::make_mut(self.nodes.get_mut(ino as usize)?) {
            Node::Dir(dir) => Some(dir),
            Node::File(_) => None,
        }
    }

    /// Makes these the names of a directory, visibly and durably.
    pub(super) fn set_dir(&mut self, ino: Ino, entries: Option<Entries>) {
        if let (Some(node), Some(visible)) = (self.nodes.get_mut(ino as usize), entries) {
            let durable = visible.clone();
            *node = Arc::new(Node::Dir(DirNode { visible, durable }));
        }
    }

    /// Does one operation. It must be one that is possible in the visible state.
    pub(super) fn apply(&mut self, op: &Op) {
        self.clock += 1;
        let time = self.clock;
        match op {
            Op::Change { ino, change, .. } => {
                if let Some(file) = self.file_mut(*ino) {
                    file.change(change.clone(), time);
                }
            }
            Op::Make { at, ino, dir } => {
                let node = if *dir {
                    Node::Dir(DirNode::default())
                } else {
                    Node::File(FileNode::default())
                };
                self.nodes.push(Arc::new(node));
                let (at, ino) = (at.clone(), *ino);
                self.rename(NameChange::Add { at, ino }, time);
            }
            Op::Name { change, .. } => self.rename(change.clone(), time),
            Op::Sync { ino, ok } => {
                if let Some(file) = self.file_mut(*ino) {
                    file.sync(*ok);
                }
            }
            Op::SyncDir { ino, ok: true } => self.sync_dir(*ino),
            Op::SyncDir { ino, ok: false } => {
                for pending in &mut self.names {
                    if pending.hold == Hold::Open && pending.change.touches(*ino) {
                        pending.hold = Hold::Doomed;
                    }
                }
            }
        }
    }

    fn rename(&mut self, change: NameChange, time: u64) {
        // Who renames a name away proves by it that the rename which made the name was done: a disk that has the second
        // alone would show the file under two names.
        let needs = match &change {
            NameChange::Move { from, ino, .. } => self
                .names
                .iter()
                .rev()
                .find(|p| matches!(&p.change, NameChange::Move { to, ino: moved, .. } if to == from && moved == ino))
                .map(|p| p.time),
            _ => None,
        };
        self.change_names(&change, View::Visible);
        self.names.push(Pending {
            change,
            time,
            hold: Hold::Open,
            needs,
        });
    }

    fn entries_mut(&mut self, ino: Ino, view: View) -> Option<&mut Entries> {
        let dir = self.dir_mut(ino)?;
        Some(match view {
            View::Visible => &mut dir.visible,
            View::Durable => &mut dir.durable,
        })
    }

    /// Does a change of names in one of the two states.
    pub(super) fn change_names(&mut self, change: &NameChange, view: View) {
        let mut set = |at: &Name, ino| {
            if let Some(entries) = self.entries_mut(at.dir, view) {
                entries.set(&at.name, ino);
            }
        };
        match change {
            NameChange::Add { at, ino } => set(at, *ino),
            NameChange::Move { to, ino, .. } => set(to, *ino),
            NameChange::Remove { .. } => {}
        }
        if let NameChange::Remove { at, ino } | NameChange::Move { from: at, ino, .. } = change
            && let Some(entries) = self.entries_mut(at.dir, view)
        {
            entries.unset(&at.name, *ino);
        }
    }

    /// A change that touches the directory is durable now as a whole: of a rename between two directories, half cannot
    /// be.
    fn sync_dir(&mut self, ino: Ino) {
        for pending in &mut self.names {
            if pending.hold == Hold::Open && pending.change.touches(ino) {
                pending.hold = Hold::Durable;
            }
        }
        // Those that stand on one that may be lost stay behind it, so that the order is kept. A rename that they need is
        // one of these: it shares a directory with them.
        let mut kept: Vec<Pending<NameChange>> = Vec::new();
        for pending in std::mem::take(&mut self.names) {
            let free =
                pending.hold == Hold::Durable && !kept.iter().any(|before| before.shares_dir(&pending));
            if free {
                self.change_names(&pending.change, View::Durable);
            } else {
                kept.push(pending);
            }
        }
        self.names = kept;
    }
}

impl Pending<NameChange> {
    fn shares_dir(&self, other: &Self) -> bool {
        match &self.change {
            NameChange::Add { at, .. } | NameChange::Remove { at, .. } => other.change.touches(at.dir),
            NameChange::Move { from, to, .. } => {
                other.change.touches(from.dir) || other.change.touches(to.dir)
            }
        }
    }
}

impl FileNode {
    /// A file whose bytes are all durable.
    pub(super) fn durable(content: Content) -> Self {
        Self {
            written: content.len(),
            visible: content.clone(),
            durable: content,
            pending: Vec::new(),
            survivors: Survivors::default(),
        }
    }

    fn change(&mut self, change: Change, time: u64) {
        change.apply(&mut self.visible);
        match &change {
            Change::Write { offset, data } => self.written = self.written.max(offset + data.len() as u64),
            Change::Truncate { len } => self.written = self.written.min(*len),
            Change::Preallocate { .. } => {}
        }
        self.pending.push(Pending {
            change,
            time,
            hold: Hold::Open,
            needs: None,
        });
    }

    fn sync(&mut self, ok: bool) {
        let to = if ok { Hold::Durable } else { Hold::Doomed };
        for pending in self.pending.iter_mut().filter(|p| p.hold == Hold::Open) {
            pending.hold = to;
        }
        if self.pending.iter().all(|p| p.hold == Hold::Durable) {
            self.pending.clear();
            self.durable = self.visible.clone();
        }
    }
}

impl Change {
    /// Does the change to a file's bytes.
    pub(super) fn apply(&self, content: &mut Content) {
        match self {
            Change::Write { offset, data } => content.write(data, *offset),
            Change::Truncate { len } => content.set_len(*len),
            Change::Preallocate { len } => content.set_len(content.len().max(*len)),
        }
    }
}
