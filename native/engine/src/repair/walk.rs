//! Going through a segment that may be damaged: from frame to frame, and over what is none to the next one.
//!
//! Where no frame stands, the next one is searched for: a header whose CRC, segment id and seq are right. Bytes of a value may look like a
//! frame (a file of this table may be stored in the table), but they were there before the record that holds them, so they have a lower
//! seq than what stands around them and are passed over.
//!
//! Members of a batch exist only with their commit. Where the batch is not whole, its commit is looked for behind the members: it names the
//! first and the last seq that it vouches for.
//!
//! An opening takes a batch as a whole or not at all. So where frames are right and their batch is wrong all the same, that is told as a hole too,
//! and what is in it is written anew.

use std::io::Result;

use crate::format::frame::{Bad, Head};
use crate::format::record::Kind;
use crate::segment::scan::{Found, Scanner, unit_at};

/// A place in a segment.
#[derive(Debug)]
pub struct Walk {
    pos: u64,
    last_seq: u64,
    max_seq: u64,
    /// The highest durable seq that a frame told so far.
    pub durable_seq: u64,
    batch: Option<Batch>,
    /// What is wrong with this batch, if none of its bytes are.
    flaw: Option<Bad>,
    /// Where the last hole ended.
    hole_end: u64,
}

/// A run of members with what belongs to them.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Where it begins.
    pub pos: u64,
    /// Where it ends.
    pub end: u64,
    /// The seqs that its commit vouches for; none if the first is higher than the last.
    pub first_seq: u64,
    /// The last of them.
    pub last_seq: u64,
    /// Whether header, members and commit are all there.
    pub whole: bool,
}

/// A record's place.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Its first byte.
    pub pos: u64,
    /// Its frame's length in bytes.
    pub len: u64,
    /// Its seq.
    pub seq: u64,
}

/// What stands next.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A batch begins; its members follow.
    Batch(Batch),
    /// A record that exists.
    Record(Placed),
    /// A member without its commit.
    Uncommitted(Placed),
    /// A mark.
    Mark(Placed),
    /// Bytes that are no frame, or not one that belongs there: from here, up to there, and why.
    Hole(u64, u64, Bad),
    /// Nothing more.
    End,
}

impl Walk {
    /// From `pos` on. Records have seqs above `last_seq` and at most `max_seq`, which rise.
    pub fn new(pos: u64, last_seq: u64, max_seq: u64) -> Self {
        Walk {
            pos,
            last_seq,
            max_seq,
            durable_seq: 0,
            batch: None,
            flaw: None,
            hole_end: 0,
        }
    }

    /// Where it stands.
    pub fn pos(&self) -> u64 {
        self.pos
    }

    /// The last seq that was met.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Goes on.
    pub fn step(&mut self, scanner: &mut Scanner) -> Result<Step> {
        let step = self.next(scanner)?;
        if let Step::Hole(_, to, _) = step {
            self.hole_end = to;
        }
        Ok(step)
    }

    fn next(&mut self, scanner: &mut Scanner) -> Result<Step> {
        if let (Some(flaw), Some(batch)) = (self.flaw.take(), self.batch) {
            return Ok(Step::Hole(batch.pos, self.pos, flaw));
        }
        loop {
            let pos = self.pos;
            if pos >= scanner.end() {
                return Ok(Step::End);
            }
            self.batch = self.batch.filter(|batch| pos < batch.end);
            let head = match scanner.at(pos, false)? {
                Found::Frame(frame) => frame.head,
                Found::Bad(bad) => {
                    self.pos = self.resync(scanner, pos, self.last_seq)?.unwrap_or(scanner.end());
                    return Ok(Step::Hole(pos, self.pos, bad));
                }
            };
            let len = head.frame_len() as u64;
            let told = head.durable_seq.filter(|&seq| seq <= self.max_seq);
            self.durable_seq = self.durable_seq.max(told.unwrap_or(0));
            let inside = match head.kind {
                Kind::Mark => head.member,
                Kind::Batch => self.batch.is_some(),
                _ => false,
            };
            if inside {
                self.pos += len;
                return Ok(Step::Hole(pos, self.pos, Bad::Wrong("a member is no record")));
            }
            if head.kind == Kind::Mark {
                self.pos += len;
                let seq = head.seq;
                return Ok(Step::Mark(Placed { pos, len, seq }));
            }
            if head.kind == Kind::Commit {
                self.pos += len;
                let closes = |batch: Batch| batch.end == pos + len && batch.first_seq <= batch.last_seq;
                if self.batch.is_some_and(closes) {
                    continue;
                }
                return Ok(Step::Hole(
                    pos,
                    self.pos,
                    Bad::Wrong("a commit stands outside of its batch"),
                ));
            }
            if !self.is_next(&head, self.last_seq) {
                self.pos += len;
                return Ok(Step::Hole(
                    pos,
                    self.pos,
                    Bad::Wrong("the record's seq is out of order"),
                ));
            }
            if self.batch.is_none() && (head.kind == Kind::Batch || head.member) {
                let (batch, flaw) = self.batch_at(scanner, pos)?;
                self.batch = Some(batch);
                // Behind a hole it is no wonder that the batch does not begin here.
                self.flaw = flaw.filter(|_| self.hole_end != pos);
                if head.kind == Kind::Batch {
                    self.pos += len;
                }
                return Ok(Step::Batch(batch));
            }
            self.pos += len;
            self.last_seq = head.seq;
            let placed = Placed {
                pos,
                len,
                seq: head.seq,
            };
            let exists = match self.batch {
                Some(batch) => (batch.first_seq..=batch.last_seq).contains(&head.seq),
                None => true,
            };
            return Ok(if exists {
                Step::Record(placed)
            } else {
                Step::Uncommitted(placed)
            });
        }
    }

    /// The batch that begins here, with its header or, if that was lost, with a member. If it is not whole though all of its frames can be read, why.
    fn batch_at(&self, scanner: &mut Scanner, start: u64) -> Result<(Batch, Option<Bad>)> {
        let mut flaw = match unit_at(scanner, start, false)? {
            Ok(unit) => {
                let batch = Batch {
                    pos: start,
                    end: unit.end,
                    first_seq: unit.first_seq,
                    last_seq: unit.last_seq,
                    whole: true,
                };
                return Ok((batch, None));
            }
            Err(bad) => Some(bad),
        };
        let mut batch = Batch {
            pos: start,
            end: start,
            first_seq: 1,
            last_seq: 0,
            whole: false,
        };
        let mut last_seq = self.last_seq;
        while batch.end < scanner.end() {
            let pos = batch.end;
            let (head, first_seq) = match scanner.at(pos, false)? {
                Found::Bad(_) => {
                    flaw = None;
                    batch.end = self.resync(scanner, pos, last_seq)?.unwrap_or(scanner.end());
                    continue;
                }
                Found::Frame(frame) => {
                    let key = frame.key().bytes();
                    (frame.head, key.try_into().map(u64::from_le_bytes))
                }
            };
            if head.kind == Kind::Commit {
                batch.end += head.frame_len() as u64;
                // Members that cannot be read may have come behind the last one that can. There are none where all can be read, or beyond the highest seq.
                let bounded = flaw.is_some() || head.seq > self.max_seq;
                batch.last_seq = if bounded { head.seq.min(last_seq) } else { head.seq };
                batch.first_seq = first_seq.unwrap_or(u64::MAX);
                break;
            }
            if !(head.member || head.kind == Kind::Batch && pos == start) {
                break;
            }
            if head.member {
                last_seq = last_seq.max(head.seq);
            }
            batch.end += head.frame_len() as u64;
        }
        Ok((batch, flaw))
    }

    /// Where the next frame stands behind `from`, where none does.
    fn resync(&self, scanner: &mut Scanner, from: u64, last_seq: u64) -> Result<Option<u64>> {
        // The damaged frame's lengths may be right. Then nothing of its value is taken for a frame.
        if let Some(head) = scanner.head_at(from)?.filter(|head| self.is_next(head, last_seq)) {
            let to = from + head.frame_len() as u64;
            if to == scanner.end() && head.seq == self.max_seq {
                return Ok(None);
            }
            if let Found::Frame(next) = scanner.at(to, false)? {
                let seq = match (head.kind, next.head.kind) {
                    (Kind::Batch, _) | (_, Kind::Mark | Kind::Commit) => head.seq,
                    _ => head.seq.saturating_add(1),
                };
                if next.head.seq == seq {
                    return Ok(Some(to));
                }
            }
        }
        scanner.find(from + 1, |head| self.is_next(head, last_seq))
    }

    /// Whether a frame can follow the record with this seq.
    fn is_next(&self, head: &Head, last_seq: u64) -> bool {
        let first = match head.kind {
            Kind::Mark | Kind::Commit => last_seq,
            _ => last_seq.saturating_add(1),
        };
        (first..=self.max_seq).contains(&head.seq)
    }
}
