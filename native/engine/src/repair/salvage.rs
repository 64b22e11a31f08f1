//! Writing what is readable of a damaged segment to a fresh one.

use std::path::PathBuf;
use std::sync::Arc;

use super::segment::{Fate, Known};
use crate::dir::Dir;
use crate::format::manifest::{Entry, State};
use crate::format::record::{Kind, Record, Stamp};
use crate::format::segment::HEADER_LEN;
use crate::io::{File, Storage};
use crate::log::create_segment;
use crate::segment::Segment;
use crate::{Error, Key, Result};

/// Records are written in pieces of about so many bytes.
const WRITE_LEN: usize = 1 << 20;

/// A fresh segment, made with its first record.
#[derive(Debug)]
pub struct Fresh<'a> {
    storage: &'a dyn Storage,
    dir: &'a Arc<Dir>,
    table: u64,
    id: u32,
    file: Option<(PathBuf, Arc<dyn File>)>,
    entry: Entry,
    buf: Vec<u8>,
}

impl<'a> Fresh<'a> {
    /// The segment `id` of a table. No file may have its name.
    pub fn new(storage: &'a dyn Storage, dir: &'a Arc<Dir>, table: u64, id: u32) -> Self {
        let entry = Entry {
            id,
            state: State::Sealed,
            len: u64::from(HEADER_LEN),
            first_seq: 0,
            last_seq: 0,
        };
        Fresh {
            storage,
            dir,
            table,
            id,
            file: None,
            entry,
            buf: Vec::new(),
        }
    }

    /// Writes a record that exists, or what takes its place, with its seq. A member of a batch becomes a record of its own.
    pub fn put(&mut self, known: Known<'_>, fate: Fate) -> Result<()> {
        let (kind, key, seq) = match known {
            Known::Read(frame, _) => (frame.head.kind, frame.key(), frame.head.seq),
            Known::Told(kind, key, seq) => (kind, key, seq),
        };
        let record = match (fate, known) {
            (Fate::Dropped, _) => return Ok(()),
            (Fate::Buried, _) => Record::new(Kind::Delete, Key::plain(key.compared()), &[]),
            (Fate::Kept, Known::Read(frame, _)) if kind == Kind::Put => match Record::from_frame(frame) {
                Ok(record) => record.as_lone(),
                Err(_) => return Err(self.changed()),
            },
            (Fate::Kept, _) => Record::new(kind, key, &[]),
        };
        if self.file.is_none() {
            let segment = Segment::new(self.dir, self.id, 0);
            let file = create_segment(self.storage, &segment, self.table, true)?;
            self.file = Some((segment.path(), file));
        }
        let stamp = Stamp {
            segment: self.id,
            seq,
            durable_seq: None,
        };
        record.put(&mut self.buf, stamp);
        self.entry.len += record.frame_len() as u64;
        self.entry.last_seq = seq;
        if self.entry.first_seq == 0 {
            self.entry.first_seq = seq;
        }
        if self.buf.len() >= WRITE_LEN {
            self.flush()?;
        }
        Ok(())
    }

    fn changed(&self) -> Error {
        Error::Damaged {
            path: self.dir.path(),
            offset: 0,
            what: super::CHANGED,
        }
    }

    /// Its length so far, in bytes.
    pub fn len(&self) -> u64 {
        self.entry.len
    }

    fn flush(&mut self) -> Result<()> {
        if let Some((path, file)) = &self.file {
            file.write_at(&self.buf, self.entry.len - self.buf.len() as u64)
                .map_err(|e| Error::io("write", path, e))?;
        }
        self.buf.clear();
        Ok(())
    }

    /// Makes it durable. `None` if it has no record, and so no file.
    pub fn finish(mut self) -> Result<Option<Entry>> {
        self.flush()?;
        let Some((path, file)) = &self.file else {
            return Ok(None);
        };
        file.sync().map_err(|e| Error::io("sync", path, e))?;
        Ok(Some(self.entry))
    }
}
