//! The checkpoint in a check. One that is wrong costs time only: an opening does without it, and removes it.

use std::io::ErrorKind;
use std::path::Path;

use crate::checkpoint::identity;
use crate::format::checkpoint::{FILE, HEADER_LEN, Header, Section, Tail};
use crate::format::manifest::{Manifest, State};
use crate::io::Storage;
use crate::table::TableKind;

const CUT: &str = "the checkpoint is cut off, or cannot be read";
const STALE: &str = "the checkpoint is that of another manifest";
const ROTTEN: &str = "the checkpoint is not as it was written";

/// Reads the checkpoint of a table with this manifest, a section at a time: why an opening does without it, or `None` if it uses it or if there is none.
pub fn check(storage: &dyn Storage, dir: &Path, manifest: &Manifest) -> Option<&'static str> {
    let file = match storage.open(&dir.join(FILE), false) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return None,
        Err(_) => return Some(CUT),
    };
    let read = || {
        let mut bytes = [0; HEADER_LEN];
        let len = file.len().map_err(|_| CUT)?;
        file.read_at(&mut bytes, 0).map_err(|_| CUT)?;
        let header = Header::decode(&bytes).ok_or(ROTTEN)?;
        let sealed = |id| {
            let mut entries = manifest.segments.iter();
            entries.any(|entry| entry.id == id && entry.state == State::Sealed)
        };
        if header.identity != identity(manifest) {
            return Err(STALE);
        }
        if header.tail.checked_add(u64::from(header.tail_len)) != Some(len) {
            return Err(CUT);
        }
        let mut bytes = vec![0; header.tail_len as usize];
        file.read_at(&mut bytes, header.tail).map_err(|_| CUT)?;
        let tail = Tail::decode(&header, &bytes).ok_or(ROTTEN)?;
        if tail.segments.len() != manifest.segments.len() || !tail.segments.iter().all(|part| sealed(part.id))
        {
            return Err(ROTTEN);
        }
        let (mut pos, mut objects) = (HEADER_LEN as u64, 0);
        for part in &tail.sections {
            if pos + u64::from(part.len) > header.tail {
                return Err(ROTTEN);
            }
            bytes.resize(part.len as usize, 0);
            file.read_at(&mut bytes, pos).map_err(|_| CUT)?;
            let counted = part
                .fits(&bytes)
                .then(|| count(Section::new(&bytes), manifest.meta.kind, tail.segments.len()));
            match counted.flatten() {
                Some((keys, more)) if keys == u64::from(part.keys) => objects += more,
                _ => return Err(ROTTEN),
            }
            pos += u64::from(part.len);
        }
        if objects == header.objects {
            Ok(())
        } else {
            Err(ROTTEN)
        }
    };
    read().err()
}

/// The keys and objects of a section, whose locations must name one of so many segments.
fn count(mut section: Section<'_>, kind: TableKind, segments: usize) -> Option<(u64, u64)> {
    let (mut keys, mut count, mut objects) = (0, 0, Vec::new());
    while !section.is_done() {
        let named = if kind.is_bag() {
            section.objects(&mut objects)?;
            count += objects.len() as u64;
            let mut places = objects.iter().map(|object| object.location.segment());
            places.all(|place| usize::from(place) < segments)
        } else {
            let (_, location, _) = section.one()?;
            count += 1;
            usize::from(location.segment()) < segments
        };
        if !named {
            return None;
        }
        keys += 1;
    }
    Some((keys, count))
}
