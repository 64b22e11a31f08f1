//! Making a manifest of what the segments tell, when there is none that can be read.
//!
//! A manifest alone knows the table's type and the key's position, so the caller has to. It alone knows which segments are the table's, so
//! all that carry the table's id are taken: one that was left over may bring back what was deleted. If they carry several ids, the table is that of most of them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::overlap;
use super::patient::Patient;
use super::quarantine::FOLDER;
use super::report::{Fault, Loss, Report};
use super::walk::{Step, Walk};
use super::{MAX_REPAIRED_SEQ, highest_id};
use crate::format::IMPOSSIBLE_ID;
use crate::format::frame::Bad;
use crate::format::manifest::{Entry, Manifest, State};
use crate::format::segment::{HEADER_LEN, identity, parse_file_name};
use crate::io::Storage;
use crate::log::STAGE_FILE;
use crate::segment::scan::Scanner;
use crate::table::Meta;
use crate::{Error, Result};

/// No manifest before it has this generation or a higher one: nothing that names an older one may be taken for one of it.
const FIRST_GENERATION: u64 = 1 << 32;

/// The manifest, and the names of files that it does not name and that are to be kept.
pub fn rebuild(
    storage: &dyn Storage,
    dir: &Path,
    names: &[String],
    meta: &Meta,
    random: impl Fn() -> u64,
    report: &mut Report,
) -> Result<(Manifest, Vec<String>)> {
    let mut files = Vec::new();
    for name in names {
        if let Some(id) = parse_file_name(name) {
            files.push((id, name.clone(), header(storage, &dir.join(name))?));
        }
    }
    files.sort();
    let told = files.iter().filter_map(|(_, _, found)| *found);
    let table = most(told.map(|(_, table)| table)).unwrap_or_else(&random);
    let stage = header(storage, &dir.join(STAGE_FILE))?.filter(|&(_, of)| of == table);
    let mut manifest = Manifest {
        generation: FIRST_GENERATION,
        table,
        hash_seed: random(),
        last_seq: 0,
        clock_ms: 0,
        meta: meta.clone(),
        next_segment: next_id(storage, dir, names),
        segments: Vec::new(),
        retired: Vec::new(),
    };
    let mut alien = Vec::new();
    for (id, name, found) in files {
        let path = dir.join(&name);
        let stranger = match found {
            Some((_, of)) if of != table => Some("the segment is another table's"),
            Some((told, _)) if told != id => Some("the file holds another segment"),
            _ => (id >= IMPOSSIBLE_ID).then_some("no segment has come to this id"),
        };
        if let Some(what) = stranger {
            report.add(Fault::new(&path, 0, 0, what, Loss::Records));
            alien.push(name);
            continue;
        }
        let mut entry = survey(storage, &path, id)?;
        if entry.first_seq == 0 && entry.len > u64::from(HEADER_LEN) {
            let what = "there is no readable record in the segment";
            report.add(Fault::new(&path, 0, entry.len, what, Loss::Records));
            alien.push(name);
        } else if stage.is_some_and(|(owner, _)| id >= owner) {
            entry.state = State::Unsealed;
            manifest.segments.push(entry);
        } else if entry.first_seq > 0 {
            manifest.segments.push(entry);
        }
    }
    alien.extend(overlap::resolve(storage, dir, &mut manifest, report)?);
    let sealed = manifest
        .segments
        .iter()
        .filter(|entry| entry.state == State::Sealed);
    manifest.last_seq = sealed.map(|entry| entry.last_seq).max().unwrap_or(0);
    Ok((manifest, alien))
}

/// What comes most often; of several, the first of them.
fn most(tables: impl Iterator<Item = u64>) -> Option<u64> {
    let mut counts: HashMap<u64, (usize, Reverse<usize>)> = HashMap::new();
    for (at, table) in tables.enumerate() {
        counts.entry(table).or_insert((0, Reverse(at))).0 += 1;
    }
    let most = counts.into_iter().max_by_key(|&(_, rank)| rank);
    most.map(|(table, _)| table)
}

/// No segment has had this id.
fn next_id(storage: &dyn Storage, dir: &Path, names: &[String]) -> u32 {
    let kept = storage.list(&dir.join(FOLDER)).unwrap_or_default();
    let kept = kept.iter().filter_map(|name| name.get(..14));
    highest_id(names.iter().map(String::as_str).chain(kept)) + 1
}

/// What a segment's header tells of itself, if it can be read.
fn header(storage: &dyn Storage, path: &Path) -> Result<Option<(u32, u64)>> {
    let file = match storage.open(path, false) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("open", path, e)),
    };
    let mut bytes = vec![0; HEADER_LEN as usize];
    Ok(file.read_at(&mut bytes, 0).ok().and_then(|()| identity(&bytes)))
}

/// Which records a segment has, and where they end.
fn survey(storage: &dyn Storage, path: &Path, id: u32) -> Result<Entry> {
    let read_error = |e| Error::io("read", path, e);
    let file = storage
        .open(path, false)
        .map_err(|e| Error::io("open", path, e))?;
    let len = file.len().map_err(read_error)?.min(u64::from(u32::MAX));
    let mut scanner = Scanner::new(Arc::new(Patient::new(file)), id, len);
    let mut walk = Walk::new(u64::from(HEADER_LEN), 0, MAX_REPAIRED_SEQ);
    let mut entry = Entry {
        id,
        state: State::Sealed,
        len: len.max(u64::from(HEADER_LEN)),
        first_seq: 0,
        last_seq: 0,
    };
    loop {
        match walk.step(&mut scanner).map_err(read_error)? {
            Step::Record(placed) | Step::Uncommitted(placed) => {
                entry.last_seq = placed.seq;
                if entry.first_seq == 0 {
                    entry.first_seq = placed.seq;
                }
            }
            // Reserved space is zero and no part of the segment.
            Step::Hole(from, to, Bad::End) if to == len => entry.len = from,
            Step::Hole(..) | Step::Batch(_) | Step::Mark(_) => {}
            Step::End => return Ok(entry),
        }
    }
}
