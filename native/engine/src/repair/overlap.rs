//! Segments whose seqs overlap: what a merge wrote, and what it was about to take the place of. Only a manifest tells which of them count, so where
//! there is none, the records of both are put together, each once.

use std::path::Path;
use std::sync::Arc;

use super::patient::Patient;
use super::report::Report;
use super::salvage::Fresh;
use super::segment::{Bounds, Fate, Known, SegmentCheck};
use crate::dir::Dir;
use crate::format::manifest::{Entry, Manifest, State};
use crate::format::segment::file_name;
use crate::io::Storage;
use crate::segment::scan::{Found, Scanner};
use crate::{Error, Result};

/// A fresh segment takes about so many bytes.
const SEGMENT_LEN: u64 = 1 << 30;

/// Where a record stands and what becomes of it.
struct Place {
    seq: u64,
    file: usize,
    pos: u64,
    fate: Fate,
}

/// Puts fresh segments in the place of those of the manifest that overlap. Gives the names of these. Takes 32 bytes of memory for each of their records.
pub fn resolve(
    storage: &dyn Storage,
    dir: &Path,
    manifest: &mut Manifest,
    report: &mut Report,
) -> Result<Vec<String>> {
    let mut sealed = manifest.segments.clone();
    sealed.retain(|entry| entry.state == State::Sealed);
    sealed.sort_by_key(|entry| entry.first_seq);
    let mut names = Vec::new();
    let shared_dir = Arc::new(Dir::new(dir));
    for group in groups(&sealed).into_iter().filter(|group| group.len() > 1) {
        let mut files = Vec::new();
        let mut places = Vec::new();
        for (file, entry) in group.iter().enumerate() {
            let path = dir.join(file_name(entry.id));
            let open = || {
                let file = storage
                    .open(&path, false)
                    .map_err(|e| Error::io("open", &path, e))?;
                Ok::<_, Error>(Scanner::new(Arc::new(Patient::new(file)), entry.id, entry.len))
            };
            let bounds = Bounds {
                end: entry.len,
                first_seq: entry.first_seq,
                last_seq: entry.last_seq,
            };
            let mut check = SegmentCheck::new(&path, manifest.meta.kind, open()?, bounds, None);
            check.step(u64::MAX, report, &mut |known, fate| {
                if let Known::Read(frame, pos) = known {
                    let seq = frame.head.seq;
                    places.push(Place { seq, file, pos, fate });
                }
                Ok(())
            })?;
            files.push((path.clone(), open()?));
            names.push(file_name(entry.id));
        }
        // The same record may stand in two of them: whole in one and damaged in the other.
        places.retain(|place| place.fate != Fate::Dropped);
        places.sort_by_key(|place| (place.seq, place.fate != Fate::Kept));
        places.dedup_by_key(|place| place.seq);
        let mut fresh: Option<Fresh<'_>> = None;
        let mut entries = Vec::new();
        for place in places {
            if fresh.as_ref().is_some_and(|fresh| fresh.len() >= SEGMENT_LEN) {
                entries.extend(fresh.take().map(Fresh::finish).transpose()?.flatten());
            }
            let (path, scanner) = &mut files[place.file];
            let found = scanner
                .at(place.pos, true)
                .map_err(|e| Error::io("read", path, e))?;
            let Found::Frame(frame) = found else {
                return Err(Error::Damaged {
                    path: path.clone(),
                    offset: place.pos,
                    what: super::CHANGED,
                });
            };
            if fresh.is_none() {
                let id = manifest.next_segment;
                manifest.next_segment = id.checked_add(1).ok_or(Error::TooManySegments)?;
                fresh = Some(Fresh::new(storage, &shared_dir, manifest.table, id));
            }
            if let Some(fresh) = &mut fresh {
                fresh.put(Known::Read(&frame, place.pos), place.fate)?;
            }
        }
        entries.extend(fresh.map(Fresh::finish).transpose()?.flatten());
        manifest
            .segments
            .retain(|entry| group.iter().all(|old| old.id != entry.id));
        manifest.segments.extend(entries);
    }
    Ok(names)
}

/// The segments, which come in the order of their first seqs, in groups that do not overlap one another.
fn groups(sealed: &[Entry]) -> Vec<Vec<Entry>> {
    let mut groups: Vec<Vec<Entry>> = Vec::new();
    let mut last_seq = 0;
    for &entry in sealed {
        match groups.last_mut() {
            Some(group) if entry.first_seq <= last_seq => group.push(entry),
            _ => groups.push(vec![entry]),
        }
        last_seq = last_seq.max(entry.last_seq);
    }
    groups
}
