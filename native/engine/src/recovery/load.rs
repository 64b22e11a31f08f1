//! Loading sealed segments into the keydir.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::rounds::{Load, Loaded, Source, Stopped, threads};
use super::{Expiry, Opening};
use crate::checkpoint::Loading;
use crate::format::checkpoint;
use crate::format::frame::{Frame, removed_seqs};
use crate::format::manifest::{Entry, State};
use crate::format::record::Kind;
use crate::format::segment::{BadHeader, HEADER_LEN, check_header};
use crate::io::File;
use crate::keydir::{Keydir, Location, WriteGuard};
use crate::seeded::{self, Fault};
use crate::segment::hint::{HintReader, identity};
use crate::segment::{Segment, Segments};
use crate::{Deadline, Error, Result};

impl Opening<'_> {
    /// Applies all sealed segments: by their hints, where those are there and right, else by reading them, which makes a hint.
    pub(super) fn load_sealed(&mut self, names: &[String]) -> Result<()> {
        let mut sealed: Vec<Entry> = self.manifest.segments.clone();
        sealed.retain(|entry| entry.state == State::Sealed);
        sealed.sort_by_key(|entry| {
            if seeded::has(Fault::LoadedById) {
                u64::from(entry.id)
            } else {
                entry.first_seq
            }
        });
        let mut sources = Vec::with_capacity(sealed.len());
        for entry in sealed {
            let segment = self.add_slot(entry.id)?;
            // Not held open: a table may have more segments than a process may have descriptors.
            let (_, len) = self.open_segment(&segment)?;
            if len < entry.len {
                return Err(Error::Damaged {
                    path: segment.path(),
                    offset: len,
                    what: "the file is shorter than the manifest says",
                });
            }
            sources.push(Source {
                hint_len: self.hint_len(&entry, false),
                segment,
                entry,
            });
        }
        for source in &sources {
            source.segment.set_sealed(source.entry);
        }
        self.last_seq = self.manifest.last_seq;
        if names.iter().any(|name| name == checkpoint::FILE) && self.load_checkpoint(&sources) {
            return Ok(());
        }
        loop {
            let load = Load {
                storage: &**self.storage,
                dir: self.dir,
                table: self.manifest.table,
                sources: &sources,
                segments: &self.segments,
                write_hints: !self.config.temporary && !self.config.read_only,
                threads: self.config.load_threads,
                expiry: &self.expiry,
            };
            match load.run(&mut self.keydir) {
                Ok(()) => return Ok(()),
                Err(Stopped::Failed(error)) => {
                    load.remove_hints();
                    return Err(error);
                }
                Err(Stopped::BadHint(bad)) => {
                    // What came before it was right, but is in the keydir already: it is less work to begin anew than to take it out.
                    self.start_again();
                    sources[bad].hint_len = None;
                    // If one hint was spoilt, others may be. Each would cost another load.
                    for source in &mut sources[bad..] {
                        if source.hint_len.is_some() {
                            source.hint_len = self.hint_len(&source.entry, true);
                        }
                    }
                }
            }
        }
    }

    /// Loads the checkpoint, if there is one that fits to the last byte: `false`, and nothing is loaded, if not.
    fn load_checkpoint(&mut self, sources: &[Source]) -> bool {
        let mut entries = self.manifest.segments.iter();
        if !entries.all(|entry| entry.state == State::Sealed) && !seeded::has(Fault::StaleCheckpoint) {
            return false;
        }
        let identity = crate::checkpoint::identity(&self.manifest);
        let sealed = sources.iter().map(|source| &source.segment);
        let loaded = Loading::open(&**self.storage, self.dir, identity, sealed).and_then(|loading| {
            let threads = threads(self.config.load_threads, loading.len());
            loading.run(&mut self.keydir, threads)
        });
        if let Ok(true) = loaded {
            *self.expiry.met.get_mut() = true;
        }
        if loaded.is_err() {
            self.start_again();
        }
        loaded.is_ok()
    }

    /// Forgets all that was loaded.
    fn start_again(&mut self) {
        self.keydir = self.keydir.fresh();
        let segments = self.segments.iter().flatten();
        segments.for_each(|segment| segment.add_all_dead());
    }

    /// The length of a segment's hint, if it is the segment's. With `whole`, all of it is read and must be right.
    pub(super) fn hint_len(&self, entry: &Entry, whole: bool) -> Option<u64> {
        let identity = identity(self.manifest.table, entry);
        let reader = HintReader::open(&**self.storage, self.dir, identity).ok()?;
        let len = reader.file_len();
        if whole {
            reader.for_each(|_| {}).ok()?;
        }
        Some(len)
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
    expiry: &Expiry,
) -> std::result::Result<(), Refused> {
    let head = frame.head;
    match head.kind {
        Kind::Put | Kind::Delete | Kind::DeleteObject => {
            let key = frame.key();
            let hash = keydir.hash(key);
            let record = Loaded {
                kind: head.kind,
                hash,
                key,
                seq: head.seq,
                location,
                frame_len: head.frame_len() as u32,
                deadline: Deadline::of(head.expiry_ms),
            };
            let mut live = 0;
            let mut guard = keydir.lock(Keydir::shard_of(hash));
            let done = apply_under(&mut guard, segments, &record, expiry, &mut live);
            if let Some(segment) = named(segments, location) {
                segment.add_live_bytes(live);
            }
            done
        }
        Kind::Clear => {
            *keydir = keydir.fresh();
            let segments = segments.iter().flatten();
            segments.for_each(|segment| segment.add_all_dead());
            Ok(())
        }
        Kind::Batch | Kind::Commit | Kind::Mark => Ok(()),
    }
}

/// Applies a put, a delete or a delete-object under the lock of its key, as [`apply`] does. What becomes live is added to `live` if its location can
/// tell its length: threads that count each frame for its segment would get in each other's way.
pub(super) fn apply_under(
    guard: &mut WriteGuard<'_>,
    segments: &Segments,
    record: &Loaded<'_>,
    expiry: &Expiry,
    live: &mut u64,
) -> std::result::Result<(), Refused> {
    let &Loaded {
        hash,
        key,
        seq,
        location,
        deadline,
        ..
    } = record;
    let dead = |location: Location| {
        if let Some(segment) = named(segments, location) {
            segment.add_dead(location);
        }
    };
    match (record.kind, guard) {
        (Kind::Put, guard) if deadline.is_over(expiry.now) => {
            expiry.met.store(true, Ordering::Relaxed);
            // It hides what is older all the same. In a bag it hides nothing.
            if !matches!(guard, WriteGuard::Bag(_)) {
                guard.remove(hash, key, seq).into_iter().for_each(dead);
            }
        }
        (Kind::Put, guard) => {
            if deadline != Deadline::NEVER {
                expiry.met.store(true, Ordering::Relaxed);
            }
            let old = guard
                .put(hash, key, (location, deadline), seq)
                .map_err(|_| Refused::Full)?
                .map(|hit| hit.location);
            match (location.frame_len(), named(segments, location)) {
                (None, Some(segment)) => segment.add_live(location, u64::from(record.frame_len)),
                _ => *live += u64::from(record.frame_len),
            }
            old.map(dead);
        }
        (Kind::Delete, guard) => guard.remove(hash, key, seq).into_iter().for_each(dead),
        (Kind::DeleteObject, WriteGuard::Bag(guard)) => {
            let removed = removed_seqs(key).ok_or(Refused::Malformed)?;
            guard.remove(hash, key, &removed).into_iter().for_each(dead);
        }
        _ => return Err(Refused::Alien),
    }
    Ok(())
}

/// The segment that a location names.
pub(super) fn named(segments: &Segments, location: Location) -> Option<&Arc<Segment>> {
    segments.get(usize::from(location.segment()))?.as_ref()
}
