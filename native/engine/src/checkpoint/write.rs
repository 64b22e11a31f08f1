//! Writing a checkpoint.

use std::io::{ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

use super::{identity, path};
use crate::format::checkpoint::{HEADER_LEN, Header, SectionPart, SegmentPart, Tail, put_objects, put_one};
use crate::format::crc32;
use crate::format::manifest::Manifest;
use crate::io::{File, Storage};
use crate::keydir::{Entry, Keydir, Location, WriteGuard};
use crate::segment::Segment;

/// A section of an ordered table ends once it has so many bytes.
const SECTION_LEN: usize = 64 << 10;

/// Writes the checkpoint of a table that was closed with this manifest, whose segments `sealed` are. `guards` are all of the keydir's locks. Holds one
/// section in memory. Gives up, and leaves none, if a location names another segment: a merge was under way.
pub(crate) fn write(
    storage: &dyn Storage,
    dir: &Path,
    manifest: &Manifest,
    sealed: &[Arc<Segment>],
    keydir: &Keydir,
    guards: &mut [WriteGuard<'_>],
) -> Result<()> {
    let path = path(dir);
    match storage.unlink(&path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut out = Sections {
        file: storage.create(&path)?,
        places: Places::new(sealed),
        pos: HEADER_LEN as u64,
        section: Vec::new(),
        keys: 0,
        parts: Vec::new(),
    };
    let written = out
        .all(keydir, guards)
        .and_then(|()| out.finish(manifest, sealed, keydir.len()));
    if written.is_err() {
        let _ = storage.unlink(&path);
    }
    written
}

/// What stands in a checkpoint for the segments' slots.
struct Places {
    by_slot: Vec<Option<u16>>,
    /// A location named another segment.
    unknown: bool,
}

impl Places {
    fn new(sealed: &[Arc<Segment>]) -> Self {
        let slots = sealed.iter().map(|segment| usize::from(segment.slot) + 1);
        let mut by_slot = vec![None; slots.max().unwrap_or(0)];
        for (place, segment) in (0..).zip(sealed) {
            by_slot[usize::from(segment.slot)] = Some(place);
        }
        Places {
            by_slot,
            unknown: false,
        }
    }

    fn of(&mut self, location: Location) -> Location {
        let place = self.by_slot.get(usize::from(location.segment()));
        if let Some(&Some(place)) = place {
            location.in_segment(place)
        } else {
            self.unknown = true;
            location
        }
    }
}

struct Sections {
    file: Arc<dyn File>,
    places: Places,
    pos: u64,
    section: Vec<u8>,
    keys: u32,
    parts: Vec<SectionPart>,
}

impl Sections {
    fn all(&mut self, keydir: &Keydir, guards: &mut [WriteGuard<'_>]) -> Result<()> {
        if let Keydir::Ordered(keydir) = keydir {
            let mut written = Ok(());
            keydir.each(|key, location, deadline| {
                self.keys += 1;
                put_one(&mut self.section, key, self.places.of(location), deadline);
                if self.section.len() >= SECTION_LEN {
                    written = self.end_section();
                }
                written.is_ok()
            });
            return written.and_then(|()| self.end_section());
        }
        for guard in guards {
            match guard {
                WriteGuard::Hash(guard) => guard.each(|key, location, deadline| {
                    self.keys += 1;
                    put_one(&mut self.section, key, self.places.of(location), deadline);
                }),
                WriteGuard::Bag(guard) => guard.each(|key, entries| {
                    self.keys += 1;
                    let places = &mut self.places;
                    let objects = entries.iter().map(|entry| Entry {
                        location: places.of(entry.location),
                        ..entry
                    });
                    put_objects(&mut self.section, key, objects, entries.can_expire());
                }),
                WriteGuard::Ordered(_) => {}
            }
            self.end_section()?;
        }
        Ok(())
    }

    fn end_section(&mut self) -> Result<()> {
        if self.places.unknown || u32::try_from(self.section.len()).is_err() {
            return Err(ErrorKind::Unsupported.into());
        }
        self.file.write_at(&self.section, self.pos)?;
        self.parts.push(SectionPart::of(&self.section, self.keys));
        self.pos += self.section.len() as u64;
        self.section.clear();
        self.keys = 0;
        Ok(())
    }

    fn finish(self, manifest: &Manifest, sealed: &[Arc<Segment>], objects: u64) -> Result<()> {
        let part = |segment: &Arc<Segment>| {
            let long = segment.long_frames();
            SegmentPart {
                id: segment.id,
                live_bytes: segment.live_bytes(),
                kept_bytes: segment.kept_bytes(),
                long: long
                    .into_iter()
                    .map(|(offset, len)| (offset, len as u32))
                    .collect(),
            }
        };
        let tail = Tail {
            segments: sealed.iter().map(part).collect(),
            sections: self.parts,
        };
        let tail = tail.encode();
        let header = Header {
            identity: identity(manifest),
            objects,
            tail: self.pos,
            tail_len: u32::try_from(tail.len()).map_err(|_| ErrorKind::Unsupported)?,
            tail_crc: crc32(&tail),
        };
        self.file.write_at(&tail, self.pos)?;
        self.file.write_at(&header.encode(), 0)
    }
}
