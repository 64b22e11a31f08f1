//! Looking at a disk and damaging it by hand: what bit rot, an administrator or another program may do.
//!
//! Nothing of this is logged, and what is changed is durable at once. The log starts anew from it, so that crash points
//! come after it. It is meant for disks on which all is durable, such as images: a pending change still follows.

use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Sim;
use super::content::Content;
use super::disk::{Disk, FileNode, Node, ROOT, View};
use super::op::{Ino, NameChange};

impl Sim {
    /// The paths of all files, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        self.0.lock().disk.visit(ROOT, Path::new("/"), &mut |path, file| {
            if file.is_some() {
                files.push(path.to_path_buf());
            }
        });
        files
    }

    /// A number that is the same for the same names, lengths and bytes, in every run: to count distinct images. Costs
    /// little for an image that differs little from one that was asked before.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = 0;
        self.0.lock().disk.fingerprint(ROOT, &mut hash);
        hash
    }

    /// All bytes of a file.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let disk = &self.0.lock().disk;
        let file = disk.lookup(path)?;
        Ok(disk.file(file).ok_or(Errno::ISDIR)?.visible.to_vec())
    }

    /// Replaces all bytes of a file, which is made if it is not there.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut content = Content::default();
        content.write(bytes, 0);
        let state = &mut *self.0.lock();
        state.rebase();
        let disk = &mut state.disk;
        match disk.place(path)? {
            (_, Some(ino)) => *disk.file_mut(ino).ok_or(Errno::ISDIR)? = FileNode::durable(content),
            (at, None) => {
                let ino = disk.next_ino();
                disk.nodes.push(Arc::new(Node::File(FileNode::durable(content))));
                disk.change_both(&NameChange::Add { at, ino });
            }
        }
        Ok(())
    }

    /// Removes a file.
    pub fn remove(&self, path: &Path) -> Result<()> {
        let state = &mut *self.0.lock();
        state.rebase();
        let (at, there) = state.disk.place(path)?;
        let ino = there.ok_or(Errno::NOENT)?;
        state.disk.file(ino).ok_or(Errno::ISDIR)?;
        state.disk.change_both(&NameChange::Remove { at, ino });
        Ok(())
    }

    /// Turns one bit of a file over. `bit` is 0 for the lowest to 7.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> Result<()> {
        self.damage(path, |content| {
            let mut byte = [0];
            if content.read(&mut byte, offset) == 1 {
                content.write(&[byte[0] ^ 1 << (bit & 7)], offset);
            }
        })
    }

    /// Cuts a file, or makes it longer with zeros.
    pub fn set_len(&self, path: &Path, len: u64) -> Result<()> {
        self.damage(path, |content| content.set_len(len))
    }

    /// Does the same to what is seen and to what is on the disk.
    fn damage(&self, path: &Path, change: impl Fn(&mut Content)) -> Result<()> {
        let state = &mut *self.0.lock();
        state.rebase();
        let ino = state.disk.lookup(path)?;
        let file = state.disk.file_mut(ino).ok_or(Errno::ISDIR)?;
        change(&mut file.visible);
        if file.pending.is_empty() {
            file.durable = file.visible.clone();
        } else {
            change(&mut file.durable);
        }
        Ok(())
    }
}

impl super::State {
    fn rebase(&mut self) {
        self.base = None;
        self.log.clear();
    }
}

impl Disk {
    fn change_both(&mut self, change: &NameChange) {
        self.change_names(change, View::Visible);
        self.change_names(change, View::Durable);
    }

    fn visit(&self, dir: Ino, path: &Path, found: &mut dyn FnMut(&Path, Option<&FileNode>)) {
        for (name, ino) in self.dir(dir).into_iter().flat_map(|dir| dir.visible.iter()) {
            let path = path.join(&**name);
            found(&path, self.file(*ino));
            self.visit(*ino, &path, found);
        }
    }

    fn fingerprint(&self, dir: Ino, hash: &mut u64) {
        for (name, ino) in self.dir(dir).into_iter().flat_map(|dir| dir.visible.iter()) {
            *hash = xxh3_64_with_seed(name.as_bytes(), *hash);
            if let Some(file) = self.file(*ino) {
                *hash = xxh3_64_with_seed(&file.visible.hash().to_le_bytes(), *hash);
            } else {
                self.fingerprint(*ino, hash);
                // The end of a directory: names in it and names beside it are not the same.
                *hash = xxh3_64_with_seed(b"..", *hash);
            }
        }
    }
}
