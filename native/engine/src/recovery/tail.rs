//! Recovering unsealed segments: finding the durable mark, cutting what a crash can explain, refusing what it cannot.
//!
//! The unsealed segments, in the order of their ids, hold records with consecutive seqs. The first place where that ends is the
//! *stop*. A frame anywhere behind it that tells a durable seq at or above the missing one proves that the missing record was once on
//! disk: that is damage, and the opening is refused. Otherwise the log is cut there. Below the durable mark a rotten value concerns its
//! key alone; above it, it is a torn write, and the log is cut there too.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use super::Opening;
use super::load::{apply, location};
use crate::format::frame::Bad;
use crate::format::manifest::{Entry, State};
use crate::format::record::{Kind, Record, Stamp};
use crate::format::segment::{HEADER_LEN, check_header};
use crate::io::File;
use crate::log::STAGE_FILE;
use crate::segment::Segment;
use crate::segment::read::explain;
use crate::segment::scan::{Found, Scanner, Unit, unit_at};
use crate::{Error, Now, Result};

/// Copies are written in pieces of about so many bytes.
const COPY_LEN: usize = 1 << 20;

/// An unsealed segment on the disk, or the stage with what may be missing in it.
pub(super) struct Piece {
    pub(super) segment: Arc<Segment>,
    pub(super) path: PathBuf,
    pub(super) scanner: Scanner,
    pub(super) staged: bool,
}

/// Where the log stops.
#[derive(Clone, Copy)]
pub(super) struct Stop {
    pub(super) piece: usize,
    pub(super) pos: u64,
    bad: Bad,
}

/// What reading the unsealed segments told.
pub(super) struct Survey {
    /// Where the accepted records end, in the last piece that has some.
    pub(super) stop: Stop,
    /// Where they end in each piece.
    pub(super) ends: Vec<u64>,
    /// The last accepted seq.
    pub(super) last_seq: u64,
    /// The highest seq known to be durable.
    durable_seq: u64,
    /// The highest time that a mark tells.
    clock_ms: u64,
    /// Values that fail their CRC: where, and the seq of the unit.
    rotten: Vec<(usize, u64, Unit)>,
}

impl Opening<'_> {
    /// Applies the unsealed segments, seals what is durable of them, and moves the rest to fresh ones. Gives the ids of segments that hold
    /// nothing of the table any more.
    pub(super) fn recover_tail(&mut self) -> Result<Vec<u32>> {
        let mut pieces = self.pieces()?;
        let path = self.dir.join(STAGE_FILE);
        match self.storage.open(&path, false) {
            Ok(file) => self.add_stage(&mut pieces, file)?,
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("open", &path, e)),
        }
        let mut survey = self.survey(&mut pieces)?;
        self.learn_time(&survey);
        refuse_damage(&mut pieces, &mut survey)?;
        cut_torn(&mut survey);
        self.apply_pieces(&mut pieces, &survey)
    }

    /// Takes the time that the marks tell for reached.
    pub(super) fn learn_time(&mut self, survey: &Survey) {
        self.manifest.clock_ms = self.manifest.clock_ms.max(survey.clock_ms);
        self.expiry.now = self.expiry.now.max(Now::at(survey.clock_ms));
    }

    /// The unsealed segments, in the order of their ids, which is that of their records.
    pub(super) fn pieces(&mut self) -> Result<Vec<Piece>> {
        let mut entries = self.manifest.segments.clone();
        entries.retain(|entry| entry.state == State::Unsealed);
        let mut pieces = Vec::new();
        for entry in &entries {
            let segment = self.add_slot(entry.id)?;
            let (file, len) = self.open_segment(&segment)?;
            pieces.push(Piece {
                path: segment.path(),
                segment,
                scanner: Scanner::new(file, entry.id, len.min(u64::from(u32::MAX))),
                staged: false,
            });
        }
        Ok(pieces)
    }

    /// Puts the stage behind the piece that it belongs to.
    pub(super) fn add_stage(&self, pieces: &mut Vec<Piece>, file: Arc<dyn File>) -> Result<()> {
        let path = self.dir.join(STAGE_FILE);
        let len = file.len().map_err(|e| Error::io("read", &path, e))?;
        let mut header = vec![0; len.min(u64::from(HEADER_LEN)) as usize];
        file.read_at(&mut header, 0)
            .map_err(|e| Error::io("read", &path, e))?;
        // It is written to without syncs: after a power loss anything may stand there, and nothing durable is missing then.
        let owner = pieces
            .iter()
            .position(|piece| check_header(&header, piece.segment.id, self.manifest.table).is_ok());
        if let Some(owner) = owner {
            let segment = Arc::clone(&pieces[owner].segment);
            let scanner = Scanner::new(file, segment.id, len);
            let staged = true;
            pieces.insert(
                owner + 1,
                Piece {
                    segment,
                    path,
                    scanner,
                    staged,
                },
            );
        }
        Ok(())
    }

    /// Reads on from the last sealed record for as long as the seqs go on.
    pub(super) fn survey(&self, pieces: &mut [Piece]) -> Result<Survey> {
        let start = Stop {
            piece: 0,
            pos: u64::from(HEADER_LEN),
            bad: Bad::End,
        };
        let mut survey = Survey {
            stop: start,
            ends: Vec::with_capacity(pieces.len()),
            last_seq: self.last_seq,
            durable_seq: self.last_seq,
            clock_ms: 0,
            rotten: Vec::new(),
        };
        for i in 0..pieces.len() {
            let (piece, behind) = match &mut pieces[i..] {
                [piece, behind, ..] => (piece, Some(behind)),
                [piece] => (piece, None),
                [] => break,
            };
            let mut pos = u64::from(HEADER_LEN);
            let mut accepted = false;
            let mut bad = loop {
                let unit = match unit_at(&mut piece.scanner, pos, true).map_err(|e| read_error(piece, e))? {
                    Ok(unit) if unit.first_seq == survey.last_seq + 1 => unit,
                    Ok(unit) if piece.staged && unit.last_seq <= survey.last_seq => {
                        pos = unit.end;
                        continue;
                    }
                    Ok(_) => break Bad::Wrong("records are missing before this one"),
                    Err(bad) => break bad,
                };
                survey.last_seq = unit.last_seq;
                survey.durable_seq = survey.durable_seq.max(unit.durable_seq);
                survey.clock_ms = survey.clock_ms.max(unit.clock_ms);
                if !unit.values_good {
                    survey.rotten.push((i, pos, unit));
                }
                accepted = true;
                pos = unit.end;
            };
            // A process that died while it wrote its stage out leaves a torn value at the end of the segment, and the whole record staged.
            if let (Some(&(at, start, torn)), Some(stage)) = (survey.rotten.last(), behind)
                && (at, torn.end, stage.staged) == (i, pos, true)
                && holds(stage, torn.first_seq)?
            {
                survey.rotten.pop();
                survey.last_seq = torn.first_seq - 1;
                (pos, bad) = (start, Bad::Cut);
            }
            survey.ends.push(pos);
            // A segment without a record of its own is no stop yet: it is a spare, or what is missing here goes on in the next.
            if i == 0 || accepted {
                survey.stop = Stop { piece: i, pos, bad };
            }
        }
        Ok(survey)
    }

    /// Applies all accepted records. Those above the durable mark go to fresh segments first.
    fn apply_pieces(&mut self, pieces: &mut [Piece], survey: &Survey) -> Result<Vec<u32>> {
        let mut emptied = Vec::new();
        let mut copier = Copier::default();
        let mut applied = self.last_seq;
        for (i, piece) in pieces.iter_mut().enumerate() {
            let end = match i.cmp(&survey.stop.piece) {
                std::cmp::Ordering::Less => survey.ends[i],
                std::cmp::Ordering::Equal => survey.stop.pos,
                std::cmp::Ordering::Greater => u64::from(HEADER_LEN),
            };
            let mut sealed = Entry {
                id: piece.segment.id,
                state: State::Sealed,
                len: u64::from(HEADER_LEN),
                first_seq: 0,
                last_seq: 0,
            };
            let mut pos = u64::from(HEADER_LEN);
            while pos < end {
                // The first pass stopped at the same places: an error here is only the end of a segment that is not the last.
                let Ok(unit) = unit_at(&mut piece.scanner, pos, false).map_err(|e| read_error(piece, e))?
                else {
                    break;
                };
                if unit.first_seq > survey.last_seq {
                    break;
                }
                if unit.first_seq > unit.last_seq || unit.last_seq <= applied {
                    // A mark, or what the segment has too.
                } else if piece.staged {
                    copier.copy(self, piece, pos, unit)?;
                } else if unit.last_seq <= survey.durable_seq || self.config.temporary {
                    self.apply_unit(piece, pos, unit.end, 0)?;
                    sealed.len = unit.end;
                    sealed.last_seq = unit.last_seq;
                    if sealed.first_seq == 0 {
                        sealed.first_seq = unit.first_seq;
                    }
                } else {
                    copier.copy(self, piece, pos, unit)?;
                }
                applied = applied.max(unit.last_seq);
                pos = unit.end;
            }
            if piece.staged {
                continue;
            }
            if sealed.first_seq == 0 {
                emptied.push(sealed.id);
                self.manifest.segments.retain(|entry| entry.id != sealed.id);
                self.segments[usize::from(piece.segment.slot)] = None;
            } else if let Some(entry) = self
                .manifest
                .segments
                .iter_mut()
                .find(|entry| entry.id == sealed.id)
            {
                *entry = sealed;
                piece.segment.set_sealed(sealed);
            }
        }
        copier.finish(self)?;
        self.last_seq = survey.last_seq;
        Ok(emptied)
    }

    /// Applies the records of a unit, which stand so many bytes further on in the segment than in the piece (or before, the number wraps).
    pub(super) fn apply_unit(&mut self, piece: &mut Piece, mut pos: u64, end: u64, shift: u64) -> Result<()> {
        while pos < end {
            let Found::Frame(frame) = piece
                .scanner
                .at(pos, false)
                .map_err(|e| Error::io("read", &piece.path, e))?
            else {
                return Err(changed(piece, pos));
            };
            let len = frame.head.frame_len();
            apply(
                &mut self.keydir,
                &self.segments,
                &frame,
                location(&piece.segment, pos.wrapping_add(shift), len),
                &self.expiry,
            )
            .map_err(|refused| refused.into_error(&piece.segment, pos))?;
            pos += len as u64;
        }
        Ok(())
    }
}

/// Whether a whole unit with this first seq is staged.
fn holds(stage: &mut Piece, first_seq: u64) -> Result<bool> {
    let mut pos = u64::from(HEADER_LEN);
    while let Ok(unit) = unit_at(&mut stage.scanner, pos, true).map_err(|e| read_error(stage, e))? {
        if unit.first_seq == first_seq && unit.last_seq >= first_seq && unit.values_good {
            return Ok(true);
        }
        pos = unit.end;
    }
    Ok(false)
}

/// Whatever the marks say, a value that is rotten above them was torn by the crash, and so was all that followed.
pub(super) fn cut_torn(survey: &mut Survey) {
    let torn = survey
        .rotten
        .iter()
        .find(|(_, _, unit)| unit.last_seq > survey.durable_seq);
    if let Some(&(piece, pos, unit)) = torn {
        survey.stop = Stop {
            piece,
            pos,
            bad: Bad::Cut,
        };
        survey.last_seq = unit.first_seq - 1;
    }
}

/// Refuses a stop that no crash can have made: one below a durable mark, wherever behind the stop that mark stands.
pub(super) fn refuse_damage(pieces: &mut [Piece], survey: &mut Survey) -> Result<()> {
    let Stop { piece: at, pos, bad } = survey.stop;
    for (i, piece) in pieces.iter_mut().enumerate().skip(at) {
        let from = if i == at { pos } else { u64::from(HEADER_LEN) };
        let mark = piece
            .scanner
            .highest_mark(from, u64::MAX)
            .map_err(|e| read_error(piece, e))?;
        survey.durable_seq = survey.durable_seq.max(mark);
    }
    if survey.durable_seq <= survey.last_seq {
        return Ok(());
    }
    Err(Error::Damaged {
        path: pieces[at].path.clone(),
        offset: pos,
        what: explain(bad),
    })
}

/// Writes records that are above the durable mark once more, where they can be synced.
#[derive(Default)]
struct Copier {
    target: Option<(Arc<Segment>, Arc<dyn File>)>,
    entry: Option<Entry>,
    buf: Vec<u8>,
}

impl Copier {
    fn copy(&mut self, opening: &mut Opening<'_>, piece: &mut Piece, mut pos: u64, unit: Unit) -> Result<()> {
        let len = self.entry.map_or(0, |entry| entry.len) + (unit.end - pos);
        if self.entry.is_none() || len > opening.config.max_file_size {
            self.finish(opening)?;
            let target = opening.add_segment()?;
            self.entry = Some(Entry {
                id: target.0.id,
                state: State::Sealed,
                len: u64::from(HEADER_LEN),
                first_seq: unit.first_seq,
                last_seq: unit.last_seq,
            });
            self.target = Some(target);
        }
        while pos < unit.end {
            let (Some((segment, _)), Some(entry)) = (&self.target, &mut self.entry) else {
                break;
            };
            let Found::Frame(frame) = piece
                .scanner
                .at(pos, true)
                .map_err(|e| Error::io("read", &piece.path, e))?
            else {
                return Err(changed(piece, pos));
            };
            let Ok(record) = Record::from_frame(&frame) else {
                return Err(changed(piece, pos));
            };
            let stamp = Stamp {
                segment: segment.id,
                seq: frame.head.seq,
                durable_seq: None,
            };
            if frame.head.kind != Kind::Mark {
                let at = location(segment, entry.len, record.frame_len());
                record.put(&mut self.buf, stamp);
                entry.len += record.frame_len() as u64;
                entry.last_seq = unit.last_seq;
                apply(
                    &mut opening.keydir,
                    &opening.segments,
                    &frame,
                    at,
                    &opening.expiry,
                )
                .map_err(|refused| refused.into_error(&piece.segment, pos))?;
            }
            pos += frame.head.frame_len() as u64;
        }
        if self.buf.len() >= COPY_LEN {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<()> {
        if let (Some((segment, file)), Some(entry)) = (&self.target, &self.entry) {
            file.write_at(&self.buf, entry.len - self.buf.len() as u64)
                .map_err(|e| Error::io("write", &segment.path(), e))?;
        }
        self.buf.clear();
        Ok(())
    }

    fn finish(&mut self, opening: &mut Opening<'_>) -> Result<()> {
        self.flush()?;
        if let (Some((segment, file)), Some(entry)) = (self.target.take(), self.entry.take()) {
            file.sync().map_err(|e| Error::io("sync", &segment.path(), e))?;
            segment.set_sealed(entry);
            opening.manifest.segments.push(entry);
        }
        Ok(())
    }
}

pub(super) fn read_error(piece: &Piece, e: std::io::Error) -> Error {
    Error::io("read", &piece.path, e)
}

pub(super) fn changed(piece: &Piece, offset: u64) -> Error {
    let path = piece.path.clone();
    Error::Damaged {
        path,
        offset,
        what: "the file changed while it was read",
    }
}
