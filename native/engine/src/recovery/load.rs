//! Loading sealed segments into the keydir.

use std::sync::Arc;

use super::Opening;
use crate::format::frame::{Frame, Kind, removed_seqs};
use crate::format::manifest::{Entry, State};
use crate::format::segment::{BadHeader, HEADER_LEN, check_header};
use crate::io::File;
use crate::keydir::{Keydir, Location, WriteGuard};
use crate::seeded::{self, Fault};
use crate::segment::read::explain;
use crate::segment::scan::{Found, Scanner};
use crate::segment::{Segment, Segments};
use crate::{Error, Result};

impl Opening<'_> {
    /// Applies all sealed segments in the order of their records.
    pub(super) fn load_sealed(&mut self) -> Result<()> {
        let mut sealed: Vec<Entry> = self.manifest.segments.clone();
        sealed.retain(|entry| entry.state == State::Sealed);
        sealed.sort_by_key(|entry| {
            if seeded::has(Fault::LoadedById) {
                u64::from(entry.id)
            } else {
                entry.first_seq
            }
        });
        for entry in sealed {
            let segment = self.add_slot(entry.id)?;
            let (file, len) = self.open_segment(&segment)?;
            if len < entry.len {
                return Err(Error::Damaged {
                    path: segment.path(),
                    offset: len,
                    what: "the file is shorter than the manifest says",
                });
            }
            let scanner = Scanner::new(file, entry.id, entry.len);
            self.load_segment(&segment, scanner, &entry)?;
            segment.set_sealed(entry);
        }
        self.last_seq = self.manifest.last_seq;
        Ok(())
    }

    /// Opens a segment that must be there and checks its header; its file and its length in bytes.
    pub(super) fn open_segment(&self, segment: &Segment) -> Result<(Arc<dyn File>, u64)> {
        let path = &segment.path();
        let file = self.storage.open(path, false).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::Missing { path: path.clone() },
            _ => Error::io("open", path, e),
        })?;
        let len = file.len().map_err(|e| Error::io("read", path, e))?;
        let mut header = vec![0; len.min(u64::from(HEADER_LEN)) as usize];
        file.read_at(&mut header, 0)
            .map_err(|e| Error::io("read", path, e))?;
        check_header(&header, segment.id, self.manifest.table).map_err(|bad| match bad {
            BadHeader::Newer(version) => Error::NewerVersion {
                path: path.clone(),
                version,
                supported: crate::format::VERSION,
            },
            BadHeader::Wrong(what) => Error::Damaged {
                path: path.clone(),
                offset: 0,
                what,
            },
        })?;
        Ok((file, len))
    }

    fn load_segment(&mut self, segment: &Segment, mut scanner: Scanner, entry: &Entry) -> Result<()> {
        let mut pos = u64::from(HEADER_LEN);
        let mut seq = entry.first_seq.saturating_sub(1);
        while pos < scanner.end() {
            let damaged = |what| Error::Damaged {
                path: segment.path(),
                offset: pos,
                what,
            };
            let frame = match scanner
                .at(pos, false)
                .map_err(|e| Error::io("read", &segment.path(), e))?
            {
                Found::Frame(frame) => frame,
                Found::Bad(bad) => return Err(damaged(explain(bad))),
            };
            let head = frame.head;
            let rises = matches!(head.kind, Kind::Batch | Kind::Commit | Kind::Mark) || head.seq > seq;
            if !rises || head.seq > entry.last_seq {
                return Err(damaged("the record's seq is out of order"));
            }
            seq = seq.max(if head.kind == Kind::Batch { 0 } else { head.seq });
            let location = location(segment, pos, head.frame_len());
            apply(&mut self.keydir, &self.segments, &frame, location)
                .map_err(|refused| refused.into_error(segment, pos))?;
            pos += head.frame_len() as u64;
        }
        if seq != entry.last_seq {
            return Err(Error::Damaged {
                path: segment.path(),
                offset: pos,
                what: "the segment ends before its last record",
            });
        }
        Ok(())
    }
}

/// Where a frame of a segment stands.
pub(super) fn location(segment: &Segment, pos: u64, len: usize) -> Location {
    Location::new(segment.slot, pos as u32, len as u64)
}

/// Why a record cannot be applied.
pub(super) enum Refused {
    /// No table of this type has such a record.
    Alien,
    /// Its list of seqs is no such.
    Malformed,
    /// The keydir is full.
    Full,
}

impl Refused {
    pub(super) fn into_error(self, segment: &Segment, offset: u64) -> Error {
        match self {
            Refused::Full => Error::KeydirFull,
            Refused::Alien | Refused::Malformed => Error::Damaged {
                path: segment.path(),
                offset,
                what: match self {
                    Refused::Malformed => "the record's list of seqs is malformed",
                    _ => "a table of this type has no such record",
                },
            },
        }
    }
}

/// Applies a record that stands at `location` to the keydir, and counts what is live of the segments. Applying a run of records a second
/// time, in order, changes nothing.
pub(super) fn apply(
    keydir: &mut Keydir,
    segments: &Segments,
    frame: &Frame<'_>,
    location: Location,
) -> std::result::Result<(), Refused> {
    let key = frame.key();
    let seq = frame.head.seq;
    let segment = |location: Location| {
        segments
            .get(usize::from(location.segment()))
            .and_then(Option::as_ref)
    };
    let dead = |location: Location| {
        if let Some(segment) = segment(location) {
            segment.add_dead(location);
        }
    };
    match frame.head.kind {
        Kind::Put => {
            let hash = keydir.hash(key);
            let old = keydir.load(hash, key, location, seq).map_err(|_| Refused::Full)?;
            if let Some(segment) = segment(location) {
                segment.add_live(location, frame.head.frame_len() as u64);
            }
            old.map(dead);
        }
        Kind::Delete => {
            let hash = keydir.hash(key);
            let removed = keydir.lock(Keydir::shard_of(hash)).remove(hash, key, seq);
            removed.into_iter().for_each(dead);
        }
        Kind::DeleteObject => {
            let hash = keydir.hash(key);
            let WriteGuard::Bag(shard) = &mut keydir.lock(Keydir::shard_of(hash)) else {
                return Err(Refused::Alien);
            };
            let removed = removed_seqs(key).ok_or(Refused::Malformed)?;
            shard.remove(hash, key, &removed).into_iter().for_each(dead);
        }
        Kind::Clear => {
            *keydir = keydir.fresh();
            segments
                .iter()
                .flatten()
                .for_each(|segment| segment.add_all_dead());
        }
        Kind::Batch | Kind::Commit | Kind::Mark => {}
    }
    Ok(())
}
