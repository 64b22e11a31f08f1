//! Checking tables and repairing damaged ones.
//!
//! [`verify`] reads every record of a table that is not open and says what is wrong, changing nothing; [`check::Check`] does so for an
//! open table. [`repair`] takes what is readable of damaged segments to fresh ones, puts the damaged files into the
//! [`quarantine`](quarantine::FOLDER), and says what was lost. Its steps:
//!
//! 1. The directory is locked and checked. If nothing is wrong, or the [`Mode`] does not allow for the loss, nothing is changed.
//! 2. If there is no manifest, one is made of what the segments tell and published.
//! 3. Damaged files get a second name in the quarantine, durably.
//! 4. What is readable of them is written to fresh segments and synced; so is what the unsealed segments and the stage hold.
//! 5. A new manifest names the fresh segments in the place of the old ones.
//! 6. The old names are removed, and so are the checkpoint, which is of the manifest before, and hints that are of no use.
//!
//! A crash at any point leaves the old manifest or a new one. With the old one the damaged files are still there, and the repair starts
//! again; with the new one the table is sound.
//!
//! A repair keeps the order of seqs and brings nothing back by itself: where a value is lost and its key is known, a tombstone takes the
//! record's place. Where a record is lost whose key is not known, older values of that key may come back; the report says so.

pub mod check;
mod checkpoint;
mod directory;
mod hints;
mod overlap;
mod patient;
pub mod quarantine;
mod rebuild;
pub mod report;
mod salvage;
mod segment;
mod tail;
mod walk;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use check::Check;
pub use report::{Fault, Loss, Report, Status};

use crate::dir::Dir;
use crate::format::checkpoint::FILE as CHECKPOINT_FILE;
use crate::format::hint;
use crate::format::manifest::{DELETED_FILE, Entry, FILE, Manifest, State};
use crate::format::segment::{file_name, parse_file_name};
use crate::format::{IMPOSSIBLE_ID, MAX_SEQ};
use crate::io::Storage;
use crate::lock::{DirLock, snapshot};
use crate::log::{STAGE_FILE, publish};
use crate::recovery::directory::{check_meta, read_manifest, require_table, table_files};
use crate::table::Open;
use crate::{Error, Result};
use directory::{Damage, Directory};
use report::is_damage;
use salvage::Fresh;

/// What claims higher seqs than this is not taken for a table's: behind a repair there must be room for all that the table will ever write.
const MAX_REPAIRED_SEQ: u64 = MAX_SEQ / 2;

/// So it is with the id that a manifest says comes next.
const MAX_REPAIRED_ID: u32 = u32::MAX / 2;

/// What is said of a file from which other bytes were read before.
const CHANGED: &str = "what was read first is not what was read then";

/// How far a repair may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only if each lost record is known by its key, so that nothing older comes back ([`Loss::Object`]) .
    Named,
    /// Whatever is lost.
    Force,
}

/// What stands in a table's directory, whether somebody has it open or not: its manifest, and the bytes of its segments' files.
pub fn describe(storage: &dyn Storage, dir: &Path) -> Result<(Manifest, u64)> {
    require_table(storage, dir)?;
    let manifest = read_manifest(storage, dir)?;
    let mut bytes = 0;
    for entry in &manifest.segments {
        let path = dir.join(file_name(entry.id));
        let stat = storage.stat(&path).map_err(|e| Error::io("open", &path, e))?;
        bytes += stat.map_or(0, |stat| stat.len);
    }
    Ok((manifest, bytes))
}

/// Checks every record of the table in `dir`, which nobody may have open, and changes nothing. Damage is told in the report; an error
/// means that the check could not be made. Counts the bytes it has read in `progress`. Reads all files; holds the longest record in memory.
pub fn verify(storage: &Arc<dyn Storage>, dir: &Path, progress: &AtomicU64) -> Result<Report> {
    let mut report = Report::default();
    match require_table(&**storage, dir) {
        Err(error) if is_damage(&error) => {
            report.add_error(error, Loss::Records)?;
            return Ok(report);
        }
        other => other?,
    }
    let _lock = DirLock::take_silently(storage, dir)?;
    let names = table_files(&**storage, dir)?;
    refuse_deleted(dir, &names)?;
    match read_manifest(&**storage, dir).and_then(|manifest| with_room(dir, manifest, 0)) {
        Ok(manifest) => {
            let directory = Directory {
                storage: &**storage,
                dir,
                manifest,
                patient: true,
                progress,
            };
            directory.check(&mut report)?;
        }
        Err(error) => report.add_error(error, Loss::Records)?,
    }
    Ok(report)
}

/// Repairs the table in `dir`, which nobody may have open, as far as `mode` allows. `open` says which type and keypos the table must have; with
/// [`Open::OrCreate`] a manifest that cannot be read is made anew with them. Counts the bytes it has read in `progress`. Reads all files, writes
/// as much as is damaged, and needs room on the disk for that.
pub fn repair(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    open: &Open,
    mode: Mode,
    seed: Option<u64>,
    progress: &AtomicU64,
) -> Result<Report> {
    let mut report = Report::default();
    let no_manifest = match require_table(&**storage, dir) {
        Err(error) if is_damage(&error) => Some(error),
        other => {
            other?;
            None
        }
    };
    let _lock = DirLock::take(storage, dir)?;
    // A repair removes files whatever snapshot may read them.
    let Some(_alone) = snapshot::alone(&**storage, dir) else {
        return Err(Error::Locked {
            dir: dir.to_path_buf(),
            pid: None,
        });
    };
    let names = table_files(&**storage, dir)?;
    refuse_deleted(dir, &names)?;
    let found = no_manifest.map_or_else(|| read_manifest(&**storage, dir), Err);
    // What it publishes has a higher generation and higher ids, which must be such that the table is sound.
    let found = found.and_then(|manifest| {
        let made = 2 + manifest.segments.len() as u32;
        with_room(dir, manifest, made)
    });
    let mut repair = Repair {
        storage: &**storage,
        dir,
        names,
        quarantine: Vec::new(),
    };
    let manifest = match found {
        Ok(manifest) => manifest,
        Err(error) if !is_damage(&error) => return Err(error),
        Err(error) => match (open, mode) {
            (Open::OrCreate(meta), Mode::Force) => {
                report.add_error(error, Loss::Records)?;
                let random = || seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
                let (manifest, alien) =
                    rebuild::rebuild(&**storage, dir, &repair.names, meta, random, &mut report)?;
                repair.quarantine.extend(alien);
                if repair.names.iter().any(|name| name == FILE) {
                    repair.quarantine.push(FILE.to_string());
                }
                repair.keep(&mut report)?;
                publish(&**storage, dir, &manifest, true).map_err(|failure| failure.error)?;
                report.status = Status::Repaired;
                manifest
            }
            _ => return Err(error),
        },
    };
    check_meta(&manifest.meta, open)?;
    let directory = Directory {
        storage: &**storage,
        dir,
        manifest,
        patient: mode == Mode::Force,
        progress,
    };
    let before = report.fault_count();
    let damage = directory.check(&mut report)?;
    if report.fault_count() == before {
        if report.status == Status::Repaired {
            repair.remove(damage.spoilt);
        }
        return Ok(report);
    }
    if mode == Mode::Named && report.worst > Some(Loss::Object) {
        report.status = Status::Refused;
        return Ok(report);
    }
    repair.replace(directory, damage, &mut report)?;
    report.status = Status::Repaired;
    Ok(report)
}

/// The manifest, if there is room behind it for as many generations and segments as are to be made and, then, for all that the table will ever write.
fn with_room(dir: &Path, manifest: Manifest, made: u32) -> Result<Manifest> {
    let seqs = manifest.segments.iter().map(|entry| entry.last_seq);
    let highest = seqs.chain([manifest.last_seq, manifest.generation]).max();
    let what = if highest.unwrap_or(0).saturating_add(made.into()) > MAX_REPAIRED_SEQ {
        "its seqs have come to their end"
    } else if manifest.next_segment.saturating_add(made) > MAX_REPAIRED_ID {
        "the ids of its segments have come to their end"
    } else {
        return Ok(manifest);
    };
    Err(Error::Damaged {
        path: dir.join(FILE),
        offset: 0,
        what,
    })
}

/// The highest id in the names of files that may be a table's.
fn highest_id<'a>(names: impl IntoIterator<Item = &'a str>) -> u32 {
    let ids = names.into_iter().filter_map(parse_file_name);
    ids.filter(|&id| id < IMPOSSIBLE_ID).max().unwrap_or(0)
}

/// The files of a table whose deletion a crash cut short are gone for good.
fn refuse_deleted(dir: &Path, names: &[String]) -> Result<()> {
    if names.iter().any(|name| name == DELETED_FILE) {
        return Err(Error::NoTable {
            dir: dir.to_path_buf(),
        });
    }
    Ok(())
}

/// The steps of a repair that change files.
struct Repair<'a> {
    storage: &'a dyn Storage,
    dir: &'a Path,
    names: Vec<String>,
    /// What goes to the quarantine.
    quarantine: Vec<String>,
}

impl Repair<'_> {
    /// Puts what is due into the quarantine.
    fn keep(&mut self, report: &mut Report) -> Result<()> {
        let names = std::mem::take(&mut self.quarantine);
        report
            .quarantined
            .extend(quarantine::keep(self.storage, self.dir, &names)?);
        Ok(())
    }

    /// Puts fresh segments in the place of the damaged ones and of all that are unsealed.
    fn replace(&mut self, mut directory: Directory<'_>, damage: Damage, report: &mut Report) -> Result<()> {
        let present = |name: &String| self.names.contains(name);
        self.quarantine.extend(damage.names().filter(present));
        self.keep(report)?;
        let taken = highest_id(self.names.iter().map(String::as_str));
        let next = &mut directory.manifest.next_segment;
        *next = (*next).max(taken + 1);
        let fresh = self.write_fresh(&mut directory, &damage)?;
        let replaced = |entry: &Entry| entry.state == State::Unsealed || damage.sealed.contains(&entry.id);
        let mut next: Manifest = directory.manifest.clone();
        next.segments.retain(|entry| !replaced(entry));
        next.segments.extend(fresh);
        next.generation += 1;
        publish(self.storage, self.dir, &next, true).map_err(|failure| failure.error)?;
        let old = directory.manifest.segments.iter().filter(|entry| replaced(entry));
        self.remove(old.flat_map(|entry| [file_name(entry.id), hint::file_name(entry.id)]));
        self.remove(damage.hints.iter().map(|&id| hint::file_name(id)));
        self.remove(damage.spoilt);
        // The checkpoint is that of the manifest before.
        self.remove([STAGE_FILE, CHECKPOINT_FILE].map(String::from));
        Ok(())
    }

    /// Removes files that are of no use. What stays is removed, or done without, by the next opening.
    fn remove(&self, names: impl IntoIterator<Item = String>) {
        for name in names {
            let _ = self.storage.unlink(&self.dir.join(name));
        }
    }

    /// Writes what can be read of the damaged segments and of all that are unsealed, and tells the manifest which seqs and ids are used now.
    fn write_fresh(&self, directory: &mut Directory<'_>, damage: &Damage) -> Result<Vec<Entry>> {
        let shared_dir = Arc::new(Dir::new(self.dir));
        let mut next_segment = directory.manifest.next_segment;
        let table = directory.manifest.table;
        let mut fresh = |storage| {
            let id = next_segment;
            next_segment = id.checked_add(1).ok_or(Error::TooManySegments)?;
            Ok(Fresh::new(storage, &shared_dir, table, id))
        };
        let mut entries = Vec::new();
        // All that is to be said of the damage has been said.
        let mut said = Report::default();
        for entry in directory.entries(State::Sealed) {
            if damage.sealed.contains(&entry.id) {
                let mut segment = fresh(self.storage)?;
                directory.check_sealed(&entry, &mut said, &mut |known, fate| segment.put(known, fate))?;
                entries.extend(segment.finish()?);
            }
        }
        let mut pieces: Vec<(usize, Fresh<'_>)> = Vec::new();
        let last_seq = directory.check_tail(&mut said, &mut |piece, known, fate| {
            if pieces.last().is_none_or(|(at, _)| *at != piece) {
                pieces.push((piece, fresh(self.storage)?));
            }
            match pieces.last_mut() {
                Some((_, segment)) => segment.put(known, fate),
                None => Ok(()),
            }
        })?;
        for (_, segment) in pieces {
            entries.extend(segment.finish()?);
        }
        if said.records != damage.right {
            // A disk that reads well once and badly then would have records go that the report says are right.
            return Err(Error::Damaged {
                path: self.dir.to_path_buf(),
                offset: 0,
                what: CHANGED,
            });
        }
        directory.manifest.next_segment = next_segment;
        directory.manifest.last_seq = last_seq;
        Ok(entries)
    }
}
