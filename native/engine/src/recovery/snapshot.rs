//! Opening a table for reading beside its writer: what is there at one moment, without a change to anything.
//!
//! 1. The lock of [`snapshot`](crate::lock::snapshot) is taken: from now on no segment goes that a manifest named.
//! 2. The manifest is read, then the stage is copied, then the unsealed segments are read. In this order, because the writer makes room in its stage by writing it to the
//!    segment: what the copy lacks, or shows torn, is in the file by then.
//! 3. The records end at the first incomplete one, which the writer may be about to write. What was acknowledged before is complete.
//! 4. If another opening for write has recovered the log meanwhile, what was staged has gone elsewhere: its manifest tells of later records, and all is begun again.
//! 5. Sealed segments are loaded as by any opening. What was staged is kept in memory, since it may never come to stand in this segment's file.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::directory::{check_meta, read_manifest, require_table};
use super::tail::{Piece, Survey, changed, cut_torn, read_error, refuse_damage};
use super::{CLOCK_FILE, Expiry, Opened, Opening};
use crate::dir::Dir;
use crate::format::checkpoint::FILE as CHECKPOINT_FILE;
use crate::format::manifest::Manifest;
use crate::format::segment::HEADER_LEN;
use crate::io::{Bytes, File, Storage};
use crate::keydir::Keydir;
use crate::lock::{DirLock, snapshot};
use crate::log::{Log, STAGE_FILE, Written};
use crate::segment::Segments;
use crate::segment::scan::{Scanner, unit_at};
use crate::table::{Config, Open};
use crate::{Error, Now, Result};

/// An opening that meets a writer's changes begins again so many times at most.
const ATTEMPTS: u32 = 200;
/// A fault that stays while the manifest does not change is met so many times before it is believed.
const FAULTS: u32 = 3;
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Opens the table in `dir` as it is now.
pub fn open(storage: &Arc<dyn Storage>, dir: &Path, open: &Open, config: &Config) -> Result<Opened> {
    require_table(&**storage, dir)?;
    let mut lock = snapshot::hold(&**storage, dir)?;
    let mut faults = 0;
    let mut failure = None;
    for attempt in 0..ATTEMPTS {
        std::thread::sleep(PAUSE_MAX.min(Duration::from_millis(attempt.into())));
        if lock.is_none() {
            // A writer elsewhere, under another mount say, may have made the file meanwhile.
            lock = snapshot::hold(&**storage, dir)?;
        }
        let manifest = manifest(&**storage, dir)?;
        check_meta(&manifest.meta, open)?;
        match try_open(storage, dir, manifest.clone(), config) {
            Ok(Some((log, keydir))) => {
                let unlocked = lock.is_none();
                if unlocked && snapshot::hold(&**storage, dir)?.is_some() {
                    continue;
                }
                let lock = DirLock::for_reading(lock);
                return Ok(Opened { lock, log, keydir });
            }
            Ok(None) => {}
            Err(error @ (Error::Io { .. } | Error::Damaged { .. } | Error::Missing { .. })) => {
                let same =
                    read_manifest(&**storage, dir).is_ok_and(|now| now.generation == manifest.generation);
                faults = if same { faults + 1 } else { 0 };
                if faults == FAULTS {
                    return Err(error);
                }
                failure = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or(Error::Locked {
        dir: dir.to_path_buf(),
        pid: None,
    }))
}

/// The manifest; a table that is being deleted is none.
fn manifest(storage: &dyn Storage, dir: &Path) -> Result<Manifest> {
    read_manifest(storage, dir).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            // A deletion renames the manifest and takes the segments away behind that.
            match require_table(storage, dir) {
                Err(refusal @ Error::Missing { .. }) => refusal,
                _ => Error::NoTable {
                    dir: dir.to_path_buf(),
                },
            }
        }
        error => error,
    })
}

/// `None` if it has to be begun again.
fn try_open(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    manifest: Manifest,
    config: &Config,
) -> Result<Option<(Log, Keydir)>> {
    let keydir = Keydir::new(manifest.meta.kind, manifest.hash_seed);
    let mut opening = Opening {
        storage,
        dir,
        shared_dir: Arc::new(Dir::of_snapshot(dir, manifest.table)),
        config,
        keydir,
        last_seq: manifest.last_seq,
        manifest,
        segments: Segments::new(),
        expiry: Expiry {
            now: Now::BEFORE_ALL,
            met: AtomicBool::new(false),
        },
    };
    opening.read_clock(&[CLOCK_FILE.to_string()]);
    let stage = copy_stage(&**storage, dir)?;
    let mut pieces = opening.pieces()?;
    if let Some(stage) = &stage {
        opening.add_stage(&mut pieces, Arc::clone(stage) as Arc<dyn File>)?;
    }
    let mut survey = opening.survey(&mut pieces)?;
    opening.learn_time(&survey);
    if let Err(damage) = refuse_damage(&mut pieces, &mut survey)
        && !opening.went_on(&pieces, &survey)?
    {
        return Err(damage);
    }
    cut_torn(&mut survey);
    let now = read_manifest(&**storage, dir)?;
    let changed = now.generation != opening.manifest.generation || now.table != opening.manifest.table;
    if changed && (now.last_seq > survey.last_seq || now.table != opening.manifest.table) {
        return Ok(None);
    }
    let path = dir.join(CHECKPOINT_FILE);
    let stat = storage.stat(&path).map_err(|e| Error::io("open", &path, e))?;
    let names: Vec<String> = stat.iter().map(|_| CHECKPOINT_FILE.to_string()).collect();
    opening.load_sealed(&names)?;
    let written = opening.read_pieces(&mut pieces, &survey, stage.as_deref())?;
    let expires = *opening.expiry.met.get_mut();
    if expires {
        opening.manifest.clock_ms = opening.manifest.clock_ms.max(opening.expiry.now.ms());
    }
    let Opening {
        keydir,
        manifest,
        segments,
        shared_dir,
        ..
    } = opening;
    let log = Log::for_reading(
        Arc::clone(storage),
        shared_dir,
        config.clone(),
        manifest,
        segments,
        written,
        survey.last_seq,
    );
    if expires {
        log.time.begin();
    }
    Ok(Some((log, keydir)))
}

impl Opening<'_> {
    /// Whether the records go on behind what was read: the writer has written more meanwhile, and made it durable.
    fn went_on(&self, pieces: &[Piece], survey: &Survey) -> Result<bool> {
        let next = survey.last_seq + 1;
        for (piece, &end) in pieces.iter().zip(&survey.ends).filter(|(piece, _)| !piece.staged) {
            let (file, len) = self.open_segment(&piece.segment)?;
            let mut scanner = Scanner::new(file, piece.segment.id, len.min(u64::from(u32::MAX)));
            let mut pos = end;
            while let Ok(unit) = unit_at(&mut scanner, pos, false).map_err(|e| read_error(piece, e))? {
                if (unit.first_seq..=unit.last_seq).contains(&next) {
                    return Ok(true);
                }
                pos = unit.end;
            }
        }
        Ok(false)
    }

    /// Applies the records of the unsealed segments and of the stage. Gives where they end.
    fn read_pieces(
        &mut self,
        pieces: &mut [Piece],
        survey: &Survey,
        stage: Option<&Bytes>,
    ) -> Result<Vec<Written>> {
        let mut written: Vec<Written> = Vec::new();
        let mut applied = self.last_seq;
        for (i, piece) in pieces.iter_mut().enumerate().take(survey.stop.piece + 1) {
            let end = if i == survey.stop.piece {
                survey.stop.pos
            } else {
                survey.ends[i]
            };
            if !piece.staged {
                written.push(Written::new(&piece.segment));
            }
            let Some(held) = written.last_mut() else { continue };
            if piece.staged {
                // They follow where the file ends for this snapshot, though it may have grown.
                held.file_end = survey.ends[i - 1];
            }
            let mut pos = u64::from(HEADER_LEN);
            while pos < end {
                let Ok(unit) = unit_at(&mut piece.scanner, pos, false).map_err(|e| read_error(piece, e))?
                else {
                    return Err(changed(piece, pos));
                };
                if unit.first_seq > survey.last_seq {
                    break;
                }
                if unit.first_seq > unit.last_seq || unit.last_seq <= applied {
                    // A mark, or what the segment has too.
                } else if let (true, Some(stage)) = (piece.staged, stage) {
                    let stands = held.file_end + held.staged.len() as u64;
                    held.staged
                        .extend_from_slice(&stage.0[pos as usize..unit.end as usize]);
                    self.apply_unit(piece, pos, unit.end, stands.wrapping_sub(pos))?;
                } else {
                    self.apply_unit(piece, pos, unit.end, 0)?;
                    held.records(unit.first_seq, unit.last_seq, unit.end);
                }
                applied = applied.max(unit.last_seq);
                pos = unit.end;
            }
        }
        Ok(written)
    }
}

/// The stage as it is now; the writer goes on writing to it.
fn copy_stage(storage: &dyn Storage, dir: &Path) -> Result<Option<Arc<Bytes>>> {
    let path = dir.join(STAGE_FILE);
    let file = match storage.open(&path, false) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("open", &path, e)),
    };
    let len = file.len().map_err(|e| Error::io("read", &path, e))?;
    if len > MAX_STAGE_LEN {
        return Ok(None);
    }
    let mut bytes = vec![0; len as usize];
    file.read_at(&mut bytes, 0)
        .map_err(|e| Error::io("read", &path, e))?;
    Ok(Some(Arc::new(Bytes(bytes))))
}

/// A file that is longer is no stage.
const MAX_STAGE_LEN: u64 = 64 << 20;
