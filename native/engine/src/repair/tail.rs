//! Checking the unsealed segments of a table that is not open, and its stage.
//!
//! As at an opening, their records have consecutive seqs, and where that ends above the highest durable mark a crash has cut the log:
//! nothing behind it is the table's. Where it ends at or below the mark there is damage: what is missing is told, and the log goes on with the
//! next record that is readable, unless records above the mark are missing too.

use std::path::{Path, PathBuf};

use super::MAX_REPAIRED_SEQ;
use super::report::{Fault, Loss, Report};
use super::segment::{ASTRAY, Fate, Holes, Known, record};
use super::walk::{Batch, Placed, Step, Walk};
use crate::format::frame::Bad;
use crate::format::segment::HEADER_LEN;
use crate::segment::scan::{Scanner, unit_at};
use crate::table::TableKind;
use crate::{Error, Result};

/// An unsealed segment, or the stage behind the one it belongs to.
#[derive(Debug)]
pub struct Piece {
    /// Its file.
    pub path: PathBuf,
    /// Its bytes.
    pub scanner: Scanner,
    /// Whether it is the stage.
    pub staged: bool,
}

/// Gets each record that is known by its key, with what becomes of it and the piece's number.
pub type PieceSink<'a> = &'a mut dyn FnMut(usize, Known<'_>, Fate) -> Result<()>;

/// What is known on the way.
struct State {
    /// The last seq that was accepted.
    last_seq: u64,
    /// The highest durable seq that was told so far.
    durable_seq: u64,
    /// Whether all pieces have been searched for marks.
    searched: bool,
    /// Bytes between frames that are none.
    holes: Holes,
    /// Where the frames of the last piece that had some end. That is damage only if what follows is missing in the next pieces too.
    stop: Option<Fault>,
    /// The pieces in which a mark tells more than there can be.
    impossible: Vec<PathBuf>,
}

/// Checks the pieces, whose records follow the one with `last_seq`. Gives the highest seq that is known of.
pub fn check(
    pieces: &mut [Piece],
    kind: TableKind,
    last_seq: u64,
    report: &mut Report,
    sink: PieceSink<'_>,
) -> Result<u64> {
    let mut state = State {
        last_seq,
        durable_seq: last_seq,
        searched: false,
        holes: Holes::default(),
        stop: None,
        impossible: Vec::new(),
    };
    for i in 0..pieces.len() {
        check_piece(pieces, i, kind, &mut state, report, sink)?;
    }
    state.search(pieces)?;
    if state.durable_seq > state.last_seq {
        state.holes.0.extend(state.stop);
        state.holes.close(state.last_seq, state.durable_seq + 1, report);
    }
    for path in state.impossible {
        // An opening believes it.
        report.add(Fault::new(
            &path,
            0,
            0,
            "a mark tells an impossible seq",
            Loss::Nothing,
        ));
    }
    Ok(state.last_seq.max(state.durable_seq))
}

/// Checks one piece.
fn check_piece(
    pieces: &mut [Piece],
    i: usize,
    kind: TableKind,
    state: &mut State,
    report: &mut Report,
    sink: PieceSink<'_>,
) -> Result<()> {
    let staged = pieces[i].staged;
    let path = pieces[i].path.clone();
    let file_end = pieces[i].scanner.end();
    // What the stage has of its segment's records comes again.
    let start = if staged { 0 } else { state.last_seq };
    let mut walk = Walk::new(u64::from(HEADER_LEN), start, MAX_REPAIRED_SEQ);
    let mut accepted = state.stop.is_none();
    let mut end = walk.pos();
    let mut bad = Bad::End;
    loop {
        let step = walk
            .step(&mut pieces[i].scanner)
            .map_err(|e| Error::io("read", &path, e))?;
        state.durable_seq = state.durable_seq.max(walk.durable_seq);
        let (placed, exists) = match step {
            Step::End => break,
            Step::Hole(_, to, why) if staged || to == file_end => {
                bad = why;
                break;
            }
            Step::Hole(from, to, why) => {
                state.search(pieces)?;
                if state.durable_seq <= state.last_seq {
                    break;
                }
                state.holes.add(&path, from, to, why);
                continue;
            }
            Step::Mark(mark) => {
                if state.ends_at(pieces, i, mark)? {
                    break;
                }
                continue;
            }
            Step::Batch(batch) => {
                let known = staged && batch.whole && batch.last_seq <= state.last_seq;
                if !known && state.tears(pieces, i, batch)? {
                    break;
                }
                continue;
            }
            Step::Record(placed) => (placed, true),
            Step::Uncommitted(placed) => (placed, false),
        };
        if staged && placed.seq <= state.last_seq {
            continue;
        }
        if state.ends_before(pieces, i, placed)? {
            break;
        }
        state.go_on(&path, placed, report);
        let scanner = &mut pieces[i].scanner;
        record(
            &path,
            kind,
            scanner,
            placed,
            exists,
            report,
            &mut |known, fate| sink(i, known, fate),
        )?;
        accepted = true;
        end = placed.pos + placed.len;
    }
    report.bytes += end - u64::from(HEADER_LEN);
    report.segments += u64::from(!staged);
    if accepted {
        state.stop = Some(Fault::bad(&path, end, 0, bad, Loss::Nothing));
    }
    Ok(())
}

impl State {
    /// Accepts a record and tells what is missing before it.
    fn go_on(&mut self, path: &Path, placed: Placed, report: &mut Report) {
        if placed.seq > self.last_seq + 1 && self.holes.0.is_empty() {
            let what = "records are missing before this one";
            let here = Fault::new(path, placed.pos, 0, what, Loss::Nothing);
            self.holes.0.push(self.stop.take().unwrap_or(here));
        }
        self.holes.close(self.last_seq, placed.seq, report);
        self.last_seq = placed.seq;
    }

    /// Whether the log ends at this mark: it is not that of the last record, and nothing behind that is durable.
    fn ends_at(&mut self, pieces: &mut [Piece], i: usize, mark: Placed) -> Result<bool> {
        let comes_again = pieces[i].staged && mark.seq < self.last_seq;
        if comes_again || mark.seq == self.last_seq {
            return Ok(false);
        }
        self.search(pieces)?;
        if self.durable_seq <= self.last_seq {
            return Ok(true);
        }
        if self.holes.0.is_empty() {
            let end = mark.pos + mark.len;
            match self.stop.take() {
                Some(stop) if mark.seq > self.last_seq => self.holes.0.push(stop),
                _ => self.holes.add(&pieces[i].path, mark.pos, end, ASTRAY),
            }
        }
        Ok(false)
    }

    /// Whether the log ends before this record: records above the mark are missing before it, or its value was torn above the mark.
    fn ends_before(&mut self, pieces: &mut [Piece], i: usize, placed: Placed) -> Result<bool> {
        if placed.seq > self.last_seq + 1 {
            self.search(pieces)?;
            if placed.seq > self.durable_seq + 1 {
                return Ok(true);
            }
        }
        if placed.seq <= self.durable_seq || values_good(&mut pieces[i], placed.pos)? != Some(false) {
            return Ok(false);
        }
        self.search(pieces)?;
        Ok(placed.seq > self.durable_seq)
    }

    /// Whether a crash has left this batch in parts, so that the log ends before it.
    fn tears(&mut self, pieces: &mut [Piece], i: usize, batch: Batch) -> Result<bool> {
        if batch.whole && values_good(&mut pieces[i], batch.pos)? == Some(true) {
            return Ok(false);
        }
        self.search(pieces)?;
        Ok(if batch.first_seq <= batch.last_seq {
            batch.last_seq > self.durable_seq
        } else {
            self.last_seq >= self.durable_seq
        })
    }

    /// Looks for marks in all pieces, at any offset: where something is wrong, no length leads to the next frame.
    fn search(&mut self, pieces: &mut [Piece]) -> Result<()> {
        if !self.searched {
            for piece in pieces {
                let mut highest = |limit| {
                    let mark = piece.scanner.highest_mark(u64::from(HEADER_LEN), limit);
                    mark.map_err(|e| Error::io("read", &piece.path, e))
                };
                let mut mark = highest(u64::MAX)?;
                if mark > MAX_REPAIRED_SEQ {
                    mark = highest(MAX_REPAIRED_SEQ)?;
                    self.impossible.push(piece.path.clone());
                }
                self.durable_seq = self.durable_seq.max(mark);
            }
            self.searched = true;
        }
        Ok(())
    }
}

/// Whether all values of the record or batch at `pos` pass their CRCs; `None` if neither stands there.
fn values_good(piece: &mut Piece, pos: u64) -> Result<Option<bool>> {
    let unit = unit_at(&mut piece.scanner, pos, true).map_err(|e| Error::io("read", &piece.path, e))?;
    Ok(unit.ok().map(|unit| unit.values_good))
}
