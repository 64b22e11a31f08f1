//! Loading a checkpoint, on several threads.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::path;
use crate::Deadline;
use crate::format::checkpoint::{HEADER_LEN, Header, Identity, Section, SectionPart, SegmentPart, Tail};
use crate::io::{File, Storage};
use crate::keydir::{Chain, Exclusive, Full, Hashed, KeyChange, Keydir, Location, SHARDS, WriteGuard};
use crate::recovery::threads::together;
use crate::seeded::{self, Fault};
use crate::segment::Segment;

/// Why a checkpoint is not used; the keydir may hold a part of it.
#[derive(Debug)]
pub(crate) struct Unusable;

impl From<std::io::Error> for Unusable {
    fn from(_: std::io::Error) -> Self {
        Unusable
    }
}

impl From<Full> for Unusable {
    fn from(_: Full) -> Self {
        Unusable
    }
}

type Result<T> = std::result::Result<T, Unusable>;

/// A checkpoint that is being loaded.
#[derive(Debug)]
pub(crate) struct Loading {
    file: Arc<dyn File>,
    header: Header,
    segments: Vec<(SegmentPart, Arc<Segment>)>,
    /// Where each section stands, and what is told of it.
    sections: Vec<(u64, SectionPart)>,
}

impl Loading {
    /// Opens the checkpoint of the table in `dir`, if it belongs to the manifest with this identity, whose segments, all of them sealed, `sealed`
    /// are.
    pub(crate) fn open<'s>(
        storage: &dyn Storage,
        dir: &Path,
        identity: Identity,
        sealed: impl Iterator<Item = &'s Arc<Segment>>,
    ) -> Result<Loading> {
        let file = storage.open(&path(dir), false)?;
        let mut bytes = [0; HEADER_LEN];
        file.read_at(&mut bytes, 0)?;
        let header = Header::decode(&bytes).ok_or(Unusable)?;
        let stale = seeded::has(Fault::StaleCheckpoint);
        if header.identity != identity && !stale
            || header.tail.checked_add(u64::from(header.tail_len)) != Some(file.len()?)
        {
            return Err(Unusable);
        }
        let mut bytes = vec![0; header.tail_len as usize];
        file.read_at(&mut bytes, header.tail)?;
        let Tail { segments, sections } = Tail::decode(&header, &bytes).ok_or(Unusable)?;
        let sealed: HashMap<u32, _> = sealed.map(|segment| (segment.id, segment)).collect();
        if segments.len() != sealed.len() && !stale {
            return Err(Unusable);
        }
        let find = |part: SegmentPart| {
            let segment = sealed.get(&part.id)?;
            Some((part, Arc::clone(segment)))
        };
        let segments: Option<Vec<_>> = segments.into_iter().map(find).collect();
        let mut pos = HEADER_LEN as u64;
        let place = |part: SectionPart| {
            let at = pos;
            pos += u64::from(part.len);
            (at, part)
        };
        Ok(Loading {
            file,
            header,
            segments: segments.ok_or(Unusable)?,
            sections: sections.into_iter().map(place).collect(),
        })
    }

    /// Bytes that are to be read.
    pub(crate) fn len(&self) -> u64 {
        self.header.tail
    }

    /// Fills an empty keydir, and tells the segments what is live of them. Whether there is an object that expires.
    pub(crate) fn run(&self, keydir: &mut Keydir, threads: usize) -> Result<bool> {
        let expires = AtomicBool::new(false);
        self.fill(keydir.exclusive(), threads, &expires)?;
        if keydir.len() != self.header.objects {
            return Err(Unusable);
        }
        for (part, segment) in &self.segments {
            let mut short = part.live_bytes;
            for &(offset, len) in &part.long {
                let len = u64::from(len);
                segment.add_live(Location::new(segment.slot, offset, len), len);
                short = short.checked_sub(len).ok_or(Unusable)?;
            }
            segment.add_live_bytes(short);
            segment.set_kept_bytes(part.kept_bytes);
        }
        Ok(expires.into_inner())
    }

    fn fill(&self, keydir: Exclusive<'_>, threads: usize, expires: &AtomicBool) -> Result<()> {
        match keydir {
            Exclusive::Hashed(_) if self.sections.len() != SHARDS => Err(Unusable),
            Exclusive::Hashed(keydir) => self.each_section(threads, |section, bytes| {
                self.shard(section, keydir, bytes, expires)
            }),
            Exclusive::Ordered(keydir) => {
                // By one thread: two would wait for each other where the allocator has one lock for both.
                let (mut bytes, mut whole) = (Vec::new(), Chain::new());
                for section in 0..self.sections.len() {
                    let chain = self.ordered(section, &mut bytes, expires)?;
                    if !whole.is_before(&chain) {
                        return Err(Unusable);
                    }
                    whole.append(chain);
                }
                keydir.fill(whole);
                Ok(())
            }
        }
    }

    /// Has `load` load each section, with bytes that it may use, on several threads.
    fn each_section(
        &self,
        threads: usize,
        load: impl Fn(usize, &mut Vec<u8>) -> Result<()> + Sync,
    ) -> Result<()> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<()> {
            let mut bytes = Vec::new();
            loop {
                let section = next.fetch_add(1, Ordering::Relaxed);
                if section >= self.sections.len() {
                    return Ok(());
                }
                load(section, &mut bytes)?;
            }
        };
        together(threads, work)
    }

    /// The location that one of the checkpoint stands for.
    #[inline]
    fn place(&self, location: Location) -> Result<Location> {
        let found = self.segments.get(usize::from(location.segment()));
        found
            .map(|(_, segment)| location.in_segment(segment.slot))
            .ok_or(Unusable)
    }

    fn section<'b>(&self, section: usize, bytes: &'b mut Vec<u8>) -> Result<(SectionPart, Section<'b>)> {
        let (at, part) = self.sections[section];
        bytes.resize(part.len as usize, 0);
        self.file.read_at(bytes, at)?;
        if part.fits(bytes) {
            Ok((part, Section::new(bytes)))
        } else {
            Err(Unusable)
        }
    }

    fn shard(
        &self,
        shard: usize,
        keydir: Hashed<'_>,
        bytes: &mut Vec<u8>,
        expires: &AtomicBool,
    ) -> Result<()> {
        let (part, mut section) = self.section(shard, bytes)?;
        if part.keys == 0 {
            return if section.is_done() { Ok(()) } else { Err(Unusable) };
        }
        let mut any = false;
        let good = match keydir.lock(shard) {
            WriteGuard::Hash(mut guard) => {
                let mut fill = guard.fill(part.keys, part.key_bytes());
                let mut good = true;
                while good && !section.is_done() {
                    let (key, location, deadline) = section.one().ok_or(Unusable)?;
                    good = fill.push(keydir.hash(key), key, self.place(location)?, deadline)?;
                    any |= deadline != Deadline::NEVER;
                }
                good
            }
            WriteGuard::Bag(mut guard) => {
                let mut fill = guard.fill(part.keys, part.key_bytes());
                let (mut good, mut objects) = (true, Vec::new());
                while good && !section.is_done() {
                    let key = section.objects(&mut objects).ok_or(Unusable)?;
                    for object in &mut objects {
                        object.location = self.place(object.location)?;
                        any |= object.deadline != Deadline::NEVER;
                    }
                    good = fill.push(keydir.hash(key), key, &objects)?;
                }
                good
            }
            WriteGuard::Ordered(_) => false,
        };
        expires.fetch_or(any, Ordering::Relaxed);
        if good { Ok(()) } else { Err(Unusable) }
    }

    /// The keys of a section, if they are in order.
    fn ordered(&self, section: usize, bytes: &mut Vec<u8>, expires: &AtomicBool) -> Result<Chain> {
        let (_, mut section) = self.section(section, bytes)?;
        let (mut chain, mut any, mut done) = (Chain::new(), false, Ok(()));
        let mut last: Option<&[u8]> = None;
        let entries = std::iter::from_fn(|| (!section.is_done()).then(|| section.one().ok_or(Unusable)));
        let changes = entries.map(|entry| {
            let (key, location, deadline) = entry?;
            if last.is_some_and(|last| last >= key.compared()) {
                return Err(Unusable);
            }
            last = Some(key.compared());
            any |= deadline != Deadline::NEVER;
            let to = Some((self.place(location)?, deadline));
            Ok(KeyChange { key, to })
        });
        chain.merge(
            changes.map_while(|change| change.map_err(|unusable| done = Err(unusable)).ok()),
            |_| {},
        );
        expires.fetch_or(any, Ordering::Relaxed);
        done.map(|()| chain)
    }
}
