//! Reading a segment from front to back, for recovery.

use std::sync::Arc;

use crate::format::frame::{Bad, Frame, Head, MAX_HEAD_LEN, MIN_LEN};
use crate::format::record::Kind;
use crate::io::File;

const WINDOW_LEN: usize = 1 << 20;

/// A window that moves over a file. Positions and lengths are in bytes.
#[derive(Debug)]
pub struct Scanner {
    file: Arc<dyn File>,
    segment: u32,
    end: u64,
    buf: Vec<u8>,
    buf_start: u64,
}

/// What stands at a position.
#[derive(Debug)]
pub enum Found<'a> {
    /// A frame whose header and key are right. Its value was not looked at.
    Frame(Frame<'a>),
    /// No frame.
    Bad(Bad),
}

impl Scanner {
    /// Looks at the bytes of segment `segment` below `end`.
    pub fn new(file: Arc<dyn File>, segment: u32, end: u64) -> Self {
        Scanner {
            file,
            segment,
            end,
            buf: Vec::new(),
            buf_start: 0,
        }
    }

    /// Where it stops.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The frame at `pos`. With `whole`, its value is at hand too (and a missing value is `Bad::Cut`).
    pub fn at(&mut self, pos: u64, whole: bool) -> std::io::Result<Found<'_>> {
        let head = match Head::parse(self.window(pos, MAX_HEAD_LEN)?) {
            Ok(head) => head,
            Err(bad) => return Ok(Found::Bad(bad)),
        };
        if head.segment != self.segment {
            return Ok(Found::Bad(Bad::Wrong(
                "the record was written to another segment",
            )));
        }
        if pos + head.frame_len() as u64 > self.end {
            return Ok(Found::Bad(Bad::Cut));
        }
        let want = if whole {
            head.frame_len()
        } else {
            head.checked_len()
        };
        Ok(match Frame::parse(self.window(pos, want)?) {
            Ok(frame) => Found::Frame(frame),
            Err(bad) => Found::Bad(bad),
        })
    }

    /// The highest durable seq up to `limit` that a frame at or behind `pos`, at any offset, tells; 0 if there is none. Used once damage was met, when
    /// no length can be trusted to lead to the next frame.
    pub fn highest_mark(&mut self, mut pos: u64, limit: u64) -> std::io::Result<u64> {
        let mut highest = 0;
        let is_higher =
            |head: &Head, than: u64| head.durable_seq.is_some_and(|seq| seq > than && seq <= limit);
        while let Some(found) = self.find(pos, |head| is_higher(head, highest))? {
            highest = self
                .head_at(found)?
                .and_then(|head| head.durable_seq)
                .unwrap_or(0);
            pos = found + 1;
        }
        Ok(highest)
    }

    /// What the bytes at `pos` would be if they were a frame of this segment. No CRC is checked.
    pub fn head_at(&mut self, pos: u64) -> std::io::Result<Option<Head>> {
        let head = Head::parse(self.window(pos, MAX_HEAD_LEN)?).ok();
        let end = self.end;
        Ok(head.filter(|head| head.segment == self.segment && pos + head.frame_len() as u64 <= end))
    }

    /// The first offset from `pos` on where a frame stands whose header and key are right and whose header is accepted.
    pub fn find(&mut self, mut pos: u64, accept: impl Fn(&Head) -> bool) -> std::io::Result<Option<u64>> {
        let id = self.segment.to_le_bytes();
        while pos + MIN_LEN as u64 <= self.end {
            let window = self.window(pos, self.search_len(pos))?;
            let next = find_head(window, id);
            let Some(skip) = next else {
                pos += (window.len().saturating_sub(12)).max(1) as u64;
                continue;
            };
            pos += skip as u64;
            // Most that looks like a frame is none, and a long key would have to be read to find that out.
            if self.head_at(pos)?.is_some_and(|head| accept(&head))
                && let Found::Frame(_) = self.at(pos, false)?
            {
                return Ok(Some(pos));
            }
            pos += 1;
        }
        Ok(None)
    }

    /// How many bytes to search at once: those at hand, unless they are few.
    fn search_len(&self, pos: u64) -> usize {
        let held = (self.buf_start + self.buf.len() as u64).saturating_sub(pos);
        if pos >= self.buf_start && held >= 4096 {
            held as usize
        } else {
            WINDOW_LEN
        }
    }

    /// Up to `len` bytes from `pos`, fewer only at the end.
    fn window(&mut self, pos: u64, len: usize) -> std::io::Result<&[u8]> {
        let len = (self.end.saturating_sub(pos)).min(len as u64) as usize;
        let held = self.buf_start..self.buf_start + self.buf.len() as u64;
        if !(held.contains(&pos) && pos + len as u64 <= held.end) && len > 0 {
            let fill = (self.end - pos).min(len.max(WINDOW_LEN) as u64) as usize;
            self.buf.resize(fill, 0);
            self.buf_start = pos;
            if let Err(e) = self.file.read_at(&mut self.buf, pos) {
                self.buf.clear();
                return Err(e);
            }
        }
        let from = (pos - self.buf_start) as usize;
        Ok(if len == 0 {
            &[]
        } else {
            &self.buf[from..from + len]
        })
    }
}

/// The first place where the header of a frame of this segment may stand.
fn find_head(window: &[u8], id: [u8; 4]) -> Option<usize> {
    let mut at = 0;
    while at + 13 <= window.len() {
        // Most of what is searched is reserved space. No id is zero, so no header has its id in zeros.
        if let Some(ahead) = window.get(at..at + ZEROS)
            && ahead.iter().fold(0, |all, byte| all | byte) == 0
        {
            at += ZEROS - 12;
            continue;
        }
        let end = window.len().min(at + ZEROS + 12);
        let found = window[at..end]
            .windows(13)
            .position(|w| w[9..13] == id && (1..=7).contains(&(w[8] & 0x0f)));
        if let Some(found) = found {
            return Some(at + found);
        }
        at = end - 12;
    }
    None
}

/// So many zeros are passed over at once.
const ZEROS: usize = 64;

/// What a position in a log holds: a lone record, or a batch as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Where it ends.
    pub end: u64,
    /// Its first seq.
    pub first_seq: u64,
    /// Its last seq; `first_seq - 1` for a mark, which has none of its own.
    pub last_seq: u64,
    /// The highest durable seq that one of its frames tells.
    pub durable_seq: u64,
    /// Whether every value passed its CRC (if that was asked for).
    pub values_good: bool,
    /// The time that a mark tells; else 0.
    pub clock_ms: u64,
}

/// What is wrong at a position, or an I/O error.
pub type UnitResult = std::io::Result<Result<Unit, Bad>>;

/// The unit at `pos`: a batch counts only with all of its members and its commit.
pub fn unit_at(scanner: &mut Scanner, pos: u64, check_values: bool) -> UnitResult {
    let head;
    let batch;
    let mut unit;
    match scanner.at(pos, check_values)? {
        Found::Bad(bad) => return Ok(Err(bad)),
        Found::Frame(frame) => {
            head = frame.head;
            batch = frame.batch();
            let own = u64::from(head.kind != Kind::Mark);
            let Some(next) = head.seq.checked_add(1) else {
                return Ok(Err(Bad::Wrong("the seq is impossible")));
            };
            unit = Unit {
                end: pos + head.frame_len() as u64,
                first_seq: next - own,
                last_seq: head.seq,
                durable_seq: head.durable_seq.unwrap_or(0),
                values_good: !check_values || frame.value().is_ok(),
                clock_ms: head.expiry_ms.filter(|_| own == 0).unwrap_or(0),
            };
        }
    }
    match head.kind {
        Kind::Batch => {}
        _ if head.member => return Ok(Err(Bad::Wrong("a member stands outside of its batch"))),
        Kind::Commit => return Ok(Err(Bad::Wrong("a commit stands outside of its batch"))),
        _ => return Ok(Ok(unit)),
    }
    let Some((count, len)) = batch.filter(|&(count, _)| count > 0) else {
        return Ok(Err(Bad::Wrong("the batch's header is malformed")));
    };
    let batch_end = unit.end + u64::from(len);
    for i in 0..u64::from(count) {
        match scanner.at(unit.end, check_values)? {
            Found::Bad(bad) => return Ok(Err(bad)),
            Found::Frame(member) => {
                let is_record = !matches!(member.head.kind, Kind::Batch | Kind::Commit | Kind::Mark);
                if !is_record || !member.head.member || member.head.seq != head.seq + i {
                    return Ok(Err(Bad::Wrong("a member of the batch is not its next")));
                }
                unit.end += member.head.frame_len() as u64;
                unit.last_seq = member.head.seq;
                unit.durable_seq = unit.durable_seq.max(member.head.durable_seq.unwrap_or(0));
                unit.values_good &= !check_values || member.value().is_ok();
            }
        }
    }
    match scanner.at(unit.end, check_values)? {
        Found::Bad(bad) => Ok(Err(bad)),
        Found::Frame(commit) => {
            unit.end += commit.head.frame_len() as u64;
            unit.values_good &= !check_values || commit.value().is_ok();
            let fits = commit.head.kind == Kind::Commit
                && commit.head.seq == unit.last_seq
                && commit.key().bytes() == head.seq.to_le_bytes()
                && unit.end == batch_end;
            Ok(if fits {
                Ok(unit)
            } else {
                Err(Bad::Wrong("the batch has no commit of its own"))
            })
        }
    }
}
