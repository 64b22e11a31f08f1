//! Checking a segment whose bounds are known: a sealed one, or the part of an open table's log that is written.

use std::path::{Path, PathBuf};

use super::hints::Witness;
use super::report::{Fault, Loss, Report};
use super::walk::{Placed, Step, Walk};
use crate::format::frame::{Bad, Frame, removed_seqs};
use crate::format::packed::unpack;
use crate::format::record::Kind;
use crate::format::segment::HEADER_LEN;
use crate::segment::read::explain;
use crate::segment::scan::{Found, Scanner};
use crate::table::TableKind;
use crate::{Error, Key, Result};

/// What is wrong with a mark that is not the one of the record before it.
pub const ASTRAY: Bad = Bad::Wrong("the mark's seq is out of order");

/// What becomes of a record in a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is kept.
    Kept,
    /// Its value is lost. A tombstone takes its place, so that no older value comes back.
    Buried,
    /// It is left out.
    Dropped,
}

/// A record that is known by its key.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// It was read, and begins at this byte of its file.
    Read(&'a Frame<'a>, u64),
    /// A hint tells of it: kind, key, seq.
    Told(Kind, Key<'a>, u64),
}

/// Gets each record that is known by its key, with what becomes of it.
pub type Sink<'a> = &'a mut dyn FnMut(Known<'_>, Fate) -> Result<()>;

/// Where a segment's records are expected.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// They end here, in bytes.
    pub end: u64,
    /// The lowest seq.
    pub first_seq: u64,
    /// The highest seq.
    pub last_seq: u64,
}

/// A check of a segment that goes on step by step.
#[derive(Debug)]
pub struct SegmentCheck<'w> {
    path: PathBuf,
    kind: TableKind,
    scanner: Scanner,
    walk: Walk,
    bounds: Bounds,
    holes: Holes,
    witness: Option<Witness<'w>>,
}

impl<'w> SegmentCheck<'w> {
    /// Checks what `scanner` reads, which must end at the end of the bounds or, if the file is shorter, of the file. `witness` is the hint that names what
    /// cannot be read.
    pub fn new(
        path: &Path,
        kind: TableKind,
        scanner: Scanner,
        bounds: Bounds,
        witness: Option<Witness<'w>>,
    ) -> Self {
        SegmentCheck {
            path: path.to_path_buf(),
            kind,
            scanner,
            walk: Walk::new(
                u64::from(HEADER_LEN),
                bounds.first_seq.saturating_sub(1),
                bounds.last_seq,
            ),
            bounds,
            holes: Holes::default(),
            witness,
        }
    }

    /// Goes on for about so many bytes. `false` at the end.
    pub fn step(&mut self, bytes: u64, report: &mut Report, sink: Sink<'_>) -> Result<bool> {
        let from = self.walk.pos();
        loop {
            if self.walk.pos() - from >= bytes {
                report.bytes += self.walk.pos() - from;
                return Ok(true);
            }
            let before = self.walk.last_seq();
            let step = self
                .walk
                .step(&mut self.scanner)
                .map_err(|e| self.read_error(e))?;
            match step {
                Step::Batch(_) => {}
                Step::Mark(Placed { pos, len, seq }) => {
                    if seq > self.bounds.last_seq {
                        self.holes.add(&self.path, pos, pos + len, ASTRAY);
                    }
                }
                Step::Hole(from, to, bad) => self.holes.add(&self.path, from, to, bad),
                Step::Record(placed) => {
                    self.close(before, placed.seq, report, sink)?;
                    record(
                        &self.path,
                        self.kind,
                        &mut self.scanner,
                        placed,
                        true,
                        report,
                        sink,
                    )?;
                }
                Step::Uncommitted(placed) => {
                    self.close(before, placed.seq, report, sink)?;
                    let witness = self.witness.as_mut();
                    record(
                        &self.path,
                        self.kind,
                        &mut self.scanner,
                        placed,
                        witness.is_some_and(|witness| witness.has(placed.seq, placed.pos)),
                        report,
                        sink,
                    )?;
                }
                Step::End => break,
            }
        }
        report.bytes += self.walk.pos() - from;
        report.segments += 1;
        self.finish(report, sink)?;
        Ok(false)
    }

    fn finish(&mut self, report: &mut Report, sink: Sink<'_>) -> Result<()> {
        let end = self.scanner.end();
        let last_seq = self.walk.last_seq();
        if end < self.bounds.end {
            let what = "the file is shorter than the manifest says";
            self.holes.0.push(Fault::new(
                &self.path,
                end,
                self.bounds.end - end,
                what,
                Loss::Nothing,
            ));
        } else if self.holes.0.is_empty() && last_seq < self.bounds.last_seq {
            let what = "the segment ends before its last record";
            self.holes
                .0
                .push(Fault::new(&self.path, end, 0, what, Loss::Nothing));
        }
        self.close(last_seq, self.bounds.last_seq.saturating_add(1), report, sink)
    }

    /// Reports what is missing between the records with these seqs, if there are holes there, and hands on what the hint tells of it.
    fn close(&mut self, before: u64, next: u64, report: &mut Report, sink: Sink<'_>) -> Result<()> {
        self.holes
            .close_by(self.witness.as_mut(), before, next, report, sink)
    }

    fn read_error(&self, e: std::io::Error) -> Error {
        Error::io("read", &self.path, e)
    }
}

/// Bytes that are no frames, until the next record tells which seqs are missing.
#[derive(Debug, Default)]
pub struct Holes(pub Vec<Fault>);

impl Holes {
    /// Adds one.
    pub fn add(&mut self, path: &Path, from: u64, to: u64, bad: Bad) {
        self.0.push(Fault::bad(path, from, to - from, bad, Loss::Nothing));
    }

    /// Reports them: they stand between the records with these seqs, which the hint may know.
    pub fn close_by(
        &mut self,
        witness: Option<&mut Witness<'_>>,
        before: u64,
        next: u64,
        report: &mut Report,
        sink: Sink<'_>,
    ) -> Result<()> {
        let seqs = before.saturating_add(1)..=next.saturating_sub(1);
        if let (Some(witness), Some(path)) = (witness, self.0.first().map(|hole| hole.path.clone()))
            && !seqs.is_empty()
            && witness.name(&path, seqs, report, sink)?
        {
            self.0.drain(..).for_each(|fault| report.add(fault));
        }
        self.close(before, next, report);
        Ok(())
    }

    /// Reports them: they stand between the records with these seqs.
    pub fn close(&mut self, before: u64, next: u64, report: &mut Report) {
        for fault in self.0.drain(..) {
            report.add(fault.missing(before + 1, next - 1));
        }
    }
}

/// Checks a record whose header and key are right, and hands it on.
pub fn record(
    path: &Path,
    kind: TableKind,
    scanner: &mut Scanner,
    placed: Placed,
    exists: bool,
    report: &mut Report,
    sink: Sink<'_>,
) -> Result<()> {
    let read = scanner
        .at(placed.pos, true)
        .map_err(|e| Error::io("read", path, e))?;
    let frame = match read {
        Found::Frame(frame) => frame,
        Found::Bad(bad) => {
            report.add(Fault::bad(path, placed.pos, placed.len, bad, Loss::Records));
            return Ok(());
        }
    };
    let fault = |what, loss| {
        let key = match frame.head.kind {
            Kind::Put if kind.is_bag() => frame.key().split_fingerprint().0,
            _ => frame.key(),
        };
        Fault::new(path, placed.pos, placed.len, what, loss).about(key, placed.seq)
    };
    let fate = if !exists {
        report.add(fault("the record's batch has no commit", Loss::Records));
        Fate::Dropped
    } else if let Some(what) = alien(&frame, kind) {
        report.add(fault(what, Loss::Records));
        Fate::Dropped
    } else if frame.head.kind != Kind::Put {
        if frame.value().is_err() {
            // It has no value that could be lost.
            report.add(fault(
                "the CRC of no value is not that of no value",
                Loss::Nothing,
            ));
        }
        report.records += 1;
        Fate::Kept
    } else if let Err(bad) = value(&frame) {
        report.add(fault(explain(bad), Loss::Object));
        // In a bag a tombstone would remove the key's other objects too.
        if kind.is_bag() {
            Fate::Dropped
        } else {
            Fate::Buried
        }
    } else {
        report.records += 1;
        Fate::Kept
    };
    sink(Known::Read(&frame, placed.pos), fate)
}

/// Why no table of this type has such a record.
fn alien(frame: &Frame<'_>, kind: TableKind) -> Option<&'static str> {
    if frame.head.kind != Kind::DeleteObject {
        None
    } else if !kind.is_bag() {
        Some("a table of this type has no such record")
    } else if removed_seqs(frame.key()).is_none() {
        Some("the record's list of seqs is malformed")
    } else {
        None
    }
}

fn value(frame: &Frame<'_>) -> std::result::Result<(), Bad> {
    let value = frame.value()?;
    if frame.head.compressed {
        unpack(value)?;
    }
    Ok(())
}
