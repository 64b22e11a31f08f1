//! A table's directory while it is checked: its manifest, and each segment that the manifest names.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::checkpoint;
use super::hints::{self, Digest, Found, Witness};
use super::patient::Patient;
use super::report::{Fault, Loss, Report};
use super::segment::{Bounds, Holes, Known, SegmentCheck, Sink};
use super::tail::{self, Piece, PieceSink};
use crate::format::checkpoint::FILE as CHECKPOINT_FILE;
use crate::format::hint;
use crate::format::manifest::{Entry, Manifest, State};
use crate::format::segment::{BadHeader, HEADER_LEN, check_header, file_name, identity};
use crate::io::{File, Storage};
use crate::log::STAGE_FILE;
use crate::segment::hint::{identity as identity_of, path as hint_path};
use crate::segment::scan::Scanner;
use crate::{Error, Result};

/// Progress is told after so many bytes.
const STEP_LEN: u64 = 4 << 20;

/// A locked directory with a manifest.
#[derive(Debug)]
pub struct Directory<'a> {
    /// Where it is.
    pub storage: &'a dyn Storage,
    /// Its path.
    pub dir: &'a Path,
    /// What it should hold.
    pub manifest: Manifest,
    /// Whether unreadable blocks are damage to be reported, instead of an error.
    pub patient: bool,
    /// Counts the bytes that were read.
    pub progress: &'a AtomicU64,
}

/// What a check gives to know about the files besides its report.
#[derive(Debug, Default)]
pub struct Damage {
    /// The sealed segments that have faults.
    pub sealed: Vec<u32>,
    /// The unsealed ones that have faults of their own.
    pub unsealed: Vec<u32>,
    /// The segments whose hints tell of other records than they hold.
    pub hints: Vec<u32>,
    /// Hints and the checkpoint, if they are of no use.
    pub spoilt: Vec<String>,
    /// So many records are right in damaged sealed segments and in unsealed ones.
    pub right: u64,
}

/// A segment's file.
struct Opened {
    path: PathBuf,
    file: Arc<dyn File>,
    patient: Option<Arc<Patient>>,
    len: u64,
}

impl Damage {
    /// The names of the damaged files, some of which may be missing.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let segments = self.sealed.iter().chain(&self.unsealed).map(|&id| file_name(id));
        segments.chain(self.hints.iter().map(|&id| hint::file_name(id)))
    }
}

impl Directory<'_> {
    /// Checks all segments with their hints, and the checkpoint, and changes nothing.
    pub fn check(&self, report: &mut Report) -> Result<Damage> {
        let mut damage = Damage::default();
        for entry in self.entries(State::Sealed) {
            let (faults, records) = (report.fault_count(), report.records);
            let mut digest = Digest::default();
            self.check_sealed(&entry, report, &mut |known, _| {
                if let Known::Read(frame, pos) = known {
                    digest.add_frame(frame, pos);
                }
                Ok(())
            })?;
            let whole = report.fault_count() == faults;
            if !whole {
                damage.sealed.push(entry.id);
                damage.right += report.records - records;
            }
            self.check_hint(&entry, whole.then_some(digest), report, &mut damage);
        }
        if let Some(what) = checkpoint::check(self.storage, self.dir, &self.manifest) {
            let path = self.dir.join(CHECKPOINT_FILE);
            report.add_spoilt(Fault::new(&path, 0, 0, what, Loss::Nothing));
            damage.spoilt.push(CHECKPOINT_FILE.to_string());
        }
        let (known, records) = (report.faults.len(), report.records);
        self.check_tail(report, &mut |_, _, _| Ok(()))?;
        damage.right += report.records - records;
        for entry in self.entries(State::Unsealed) {
            let path = self.dir.join(file_name(entry.id));
            if report.omitted > 0 || report.faults[known..].iter().any(|fault| fault.path == path) {
                damage.unsealed.push(entry.id);
            }
        }
        Ok(damage)
    }

    /// Checks the hint of a segment, whose records `digest` stands for if all of them could be read.
    fn check_hint(&self, entry: &Entry, digest: Option<Digest>, report: &mut Report, damage: &mut Damage) {
        let identity = identity_of(self.manifest.table, entry);
        let fault = |what| Fault::new(&hint_path(self.dir, entry.id), 0, 0, what, Loss::Nothing);
        match hints::check(self.storage, self.dir, identity, digest) {
            Found::Good => {}
            Found::Spoilt(what) => {
                report.add_spoilt(fault(what));
                damage.spoilt.push(hint::file_name(entry.id));
            }
            Found::Lies => {
                report.add(fault("the hint tells of other records than its segment holds"));
                damage.hints.push(entry.id);
            }
        }
    }

    /// Checks one sealed segment and hands its records on, those too that only its hint tells of.
    pub fn check_sealed(&self, entry: &Entry, report: &mut Report, sink: Sink<'_>) -> Result<()> {
        let identity = identity_of(self.manifest.table, entry);
        let mut witness = Witness::new(self.storage, self.dir, identity, self.manifest.meta.kind);
        let Opened {
            path,
            file,
            patient,
            len,
        } = match self.open(entry, report)? {
            Ok(opened) => opened,
            Err(lost) => {
                let (before, next) = (
                    entry.first_seq.saturating_sub(1),
                    entry.last_seq.saturating_add(1),
                );
                return Holes(vec![lost]).close_by(Some(&mut witness), before, next, report, sink);
            }
        };
        let bounds = Bounds {
            end: entry.len,
            first_seq: entry.first_seq,
            last_seq: entry.last_seq,
        };
        let scanner = Scanner::new(file, entry.id, entry.len.min(len));
        let mut check = SegmentCheck::new(&path, self.manifest.meta.kind, scanner, bounds, Some(witness));
        loop {
            let before = report.bytes;
            let more = check.step(STEP_LEN, report, sink)?;
            self.progress.fetch_add(report.bytes - before, Ordering::Relaxed);
            if !more {
                if let Some(patient) = patient {
                    patient.report(&path, report);
                }
                return Ok(());
            }
        }
    }

    /// Checks the unsealed segments and hands their records on. Gives the highest seq that is known of.
    pub fn check_tail(&self, report: &mut Report, sink: PieceSink<'_>) -> Result<u64> {
        let mut pieces = Vec::new();
        let mut patients = Vec::new();
        let mut ids = Vec::new();
        for entry in self.entries(State::Unsealed) {
            let Opened {
                path,
                file,
                patient,
                len,
            } = match self.open(&entry, report)? {
                Ok(opened) => opened,
                Err(mut lost) => {
                    lost.loss = Loss::Records;
                    report.add(lost);
                    continue;
                }
            };
            patients.extend(patient.map(|patient| (path.clone(), patient)));
            let scanner = Scanner::new(file, entry.id, len.min(u64::from(u32::MAX)));
            let staged = false;
            pieces.push(Piece {
                path,
                scanner,
                staged,
            });
            ids.push(entry.id);
        }
        self.add_stage(&ids, &mut pieces)?;
        let before = report.bytes;
        let kind = self.manifest.meta.kind;
        let last_seq = tail::check(&mut pieces, kind, self.manifest.last_seq, report, sink)?;
        for (path, patient) in patients {
            patient.report(&path, report);
        }
        self.progress.fetch_add(report.bytes - before, Ordering::Relaxed);
        Ok(last_seq)
    }

    /// The manifest's segments in this state, in the order of their records.
    pub fn entries(&self, state: State) -> impl Iterator<Item = Entry> + use<> {
        let mut entries = self.manifest.segments.clone();
        entries.retain(|entry| entry.state == state);
        entries.sort_by_key(|entry| entry.first_seq);
        entries.into_iter()
    }

    /// Opens a segment's file; or says why its records are out of reach. A header that is damaged says nothing that the manifest does not.
    fn open(&self, entry: &Entry, report: &mut Report) -> Result<std::result::Result<Opened, Fault>> {
        let path = self.dir.join(file_name(entry.id));
        let lost = |what| Ok(Err(Fault::new(&path, 0, 0, what, Loss::Nothing)));
        let file = match self.storage.open(&path, false) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return lost("the file is missing");
            }
            Err(e) => return Err(Error::io("open", &path, e)),
        };
        let patient = self.patient.then(|| Arc::new(Patient::new(Arc::clone(&file))));
        let file = patient.clone().map_or(file, |patient| patient as Arc<dyn File>);
        let len = file.len().map_err(|e| Error::io("read", &path, e))?;
        let mut header = vec![0; len.min(u64::from(HEADER_LEN)) as usize];
        file.read_at(&mut header, 0)
            .map_err(|e| Error::io("read", &path, e))?;
        match check_header(&header, entry.id, self.manifest.table) {
            Ok(()) => {}
            Err(BadHeader::Newer(version)) => {
                return Err(Error::NewerVersion {
                    path,
                    version,
                    supported: crate::format::VERSION,
                });
            }
            Err(BadHeader::Wrong(what)) => {
                if identity(&header).is_some_and(|found| found != (entry.id, self.manifest.table)) {
                    return lost(what);
                }
                report.add(Fault::new(&path, 0, header.len() as u64, what, Loss::Nothing));
            }
        }
        Ok(Ok(Opened {
            path,
            file,
            patient,
            len,
        }))
    }

    /// Puts the stage behind the segment that it belongs to.
    fn add_stage(&self, ids: &[u32], pieces: &mut Vec<Piece>) -> Result<()> {
        let path = self.dir.join(STAGE_FILE);
        let file = match self.storage.open(&path, false) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io("open", &path, e)),
        };
        let len = file.len().map_err(|e| Error::io("read", &path, e))?;
        let mut header = vec![0; len.min(u64::from(HEADER_LEN)) as usize];
        file.read_at(&mut header, 0)
            .map_err(|e| Error::io("read", &path, e))?;
        let owner = ids
            .iter()
            .position(|&id| check_header(&header, id, self.manifest.table).is_ok());
        if let Some(owner) = owner {
            let piece = Piece {
                path,
                scanner: Scanner::new(file, ids[owner], len),
                staged: true,
            };
            pieces.insert(owner + 1, piece);
        }
        Ok(())
    }
}
