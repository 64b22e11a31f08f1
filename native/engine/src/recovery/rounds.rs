//! Loading sealed segments into the keydir, by hint or by reading them, on several threads.
//!
//! The work goes in rounds. In a round the next *units* (blocks of hints, or a piece of a segment) are decoded; at the same time those of the round before are applied, each part of the
//! keydir by one thread (`hashed`), or, where the order is that of the keys, those of many rounds before (`sorted`), in the order of the units. So a key's records are applied in the order of their seqs, whatever the number of threads is, and what
//! is decoded ahead is bounded.
//!
//! A clear makes all that stands before it void: what a unit has before its clear is dropped when it is decoded, and the units before it
//! before they are applied.

mod hashed;
mod sorted;
mod unit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use self::sorted::Gathered;
pub(super) use self::unit::Loaded;
use self::unit::{Item, Unit, Work};
use super::Expiry;
use super::load::Refused;
use super::threads::together;
use crate::format::hint;
use crate::format::hint::Identity;
use crate::format::manifest::Entry;
use crate::io::Storage;
use crate::keydir::{Chain, Exclusive, Hashed, Keydir};
use crate::segment::hint::{self as hint_file, HintReader, HintWriter, identity};
use crate::segment::reading::Reading;
use crate::segment::{Segment, Segments};
use crate::{Error, Result};

/// Units that are decoded in one round at most: 384 KiB of hints, so that they stay in the processor's cache and are a small part of a table of a million keys.
const MAX_UNITS: usize = 6;
/// A table is loaded in so many rounds at least, if its units suffice: so what is decoded ahead is a small part of the whole.
const MIN_ROUNDS: u64 = 32;
/// Bytes of a segment that make up a unit.
const PIECE_LEN: std::ops::Range<u64> = 256 << 10..2 << 20;
/// A load of fewer bytes is done sooner than threads are started.
const ALONE_LEN: u64 = 1 << 20;
/// More threads than this wait for memory.
const MAX_THREADS: usize = 4;

/// A sealed segment that is to be loaded.
#[derive(Debug)]
pub(super) struct Source {
    pub segment: Arc<Segment>,
    pub entry: Entry,
    /// Bytes of its hint; `None` if it has to be read itself.
    pub hint_len: Option<u64>,
}

impl Source {
    fn len(&self) -> u64 {
        self.hint_len.unwrap_or(self.entry.len)
    }
}

/// Why a load ended.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The hint of this source is not to be trusted. What the keydir holds is void.
    BadHint(usize),
    /// The table cannot be opened.
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Failed(error)
    }
}

/// What all threads of a load look at.
#[derive(Debug)]
pub(super) struct Load<'a> {
    pub storage: &'a dyn Storage,
    pub dir: &'a std::path::Path,
    pub table: u64,
    /// In the order of their seqs.
    pub sources: &'a [Source],
    /// All segments by slot, whose live bytes are counted.
    pub segments: &'a Segments,
    /// Whether hints are written for segments that are read.
    pub write_hints: bool,
    /// How many threads may work; 0 means as many as the machine has processors for.
    pub threads: usize,
    pub expiry: &'a Expiry,
}

impl Load<'_> {
    /// Applies all records of the sources to an empty keydir.
    pub(super) fn run(&self, keydir: &mut Keydir) -> std::result::Result<(), Stopped> {
        let threads = threads(self.threads, self.bytes());
        let mut feed = Feed::new(self);
        let (mut now, mut next, mut spare) = (Vec::new(), Vec::new(), Vec::new());
        let (mut chain, mut gathered) = (Chain::new(), Gathered::default());
        loop {
            feed.fill(&mut next, &mut spare)?;
            if now.is_empty() && next.is_empty() && gathered.is_empty() {
                break;
            }
            let is_sorted = match keydir.exclusive() {
                Exclusive::Hashed(keydir) => {
                    self.hashed_round(keydir, &now, &mut next, threads)?;
                    false
                }
                Exclusive::Ordered(_) => {
                    let due = gathered.take_due(&chain, next.is_empty());
                    self.sorted_round(&mut chain, &due, &mut next, threads)?;
                    true
                }
            };
            spare.append(&mut now);
            feed.take_back(&mut next);
            if let Some(clear) = next.iter().rposition(|unit| unit.cleared) {
                *keydir = keydir.fresh();
                (chain, gathered) = (Chain::new(), Gathered::default());
                let segments = self.segments.iter().flatten();
                segments.for_each(|segment| segment.add_all_dead());
                spare.extend(next.drain(..clear));
            }
            if is_sorted {
                for unit in &mut next {
                    gathered.take(unit);
                }
                spare.append(&mut next);
            } else {
                std::mem::swap(&mut now, &mut next);
            }
        }
        if let Exclusive::Ordered(keydir) = keydir.exclusive() {
            keydir.fill(chain);
        }
        Ok(())
    }

    /// Removes the hints that it began or wrote: a table that cannot be opened stays as it is.
    pub(super) fn remove_hints(&self) {
        let read = self.sources.iter().filter(|source| source.hint_len.is_none());
        for source in read.filter(|_| self.write_hints) {
            // One that stays has no header, or is right.
            let _ = self.storage.unlink(&hint_file::path(self.dir, source.entry.id));
        }
    }

    /// Bytes that are to be read.
    fn bytes(&self) -> u64 {
        self.sources.iter().map(Source::len).sum()
    }

    /// Bytes of a segment that make up a unit.
    fn piece_len(&self) -> u64 {
        (self.bytes() / MIN_ROUNDS).clamp(PIECE_LEN.start, PIECE_LEN.end)
    }

    /// Begins to read a segment.
    fn reading(&self, source: &Source) -> Result<Reading> {
        let id = source.entry.id;
        let file = source.segment.open(self.storage);
        let file = file.map_err(|e| Error::io("open", &source.segment.path(), e))?;
        let create = || HintWriter::create(self.storage, self.dir, self.table, id).ok();
        let hint = self.write_hints.then(create).flatten();
        Ok(Reading::new(file, identity(self.table, &source.entry), hint))
    }

    /// Decodes the units of `next`, and has so many parts applied.
    fn round(
        &self,
        next: &mut [Unit],
        keydir: Option<Hashed<'_>>,
        parts: usize,
        threads: usize,
        apply: impl Fn(usize) -> Result<()> + Sync,
    ) -> std::result::Result<(), Stopped> {
        let next: Vec<Mutex<&mut Unit>> = next.iter_mut().map(Mutex::new).collect();
        let begun = AtomicUsize::new(0);
        // What takes longest begins first: a piece of a segment, or the only part of a keydir in the order of the keys.
        let units_from = if keydir.is_some() { 0 } else { parts };
        let parts_from = if keydir.is_some() { next.len() } else { 0 };
        let work = || loop {
            let task = begun.fetch_add(1, Ordering::Relaxed);
            if task >= next.len() + parts {
                return Ok(());
            }
            match task.checked_sub(units_from).and_then(|unit| next.get(unit)) {
                Some(unit) => unit.lock().decode(self, keydir)?,
                None => apply(task - parts_from)?,
            }
        };
        together(threads, work)
    }

    /// Why the item of a source cannot be applied.
    fn refused(&self, source: usize, item: &Item, refused: Refused) -> Error {
        let source = &self.sources[source];
        refused.into_error(&source.segment, u64::from(item.location.offset()))
    }
}

/// How many threads load so many bytes. `wanted` is 0 if it is not said.
pub(super) fn threads(wanted: usize, bytes: u64) -> usize {
    if wanted > 0 {
        return wanted;
    }
    if bytes < ALONE_LEN {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS))
}

/// Gives out the units of the sources in their order.
struct Feed<'a> {
    load: &'a Load<'a>,
    source: usize,
    at: At,
    units: usize,
}

/// Where in a source it is.
enum At {
    Start,
    Hint(HintReader),
    /// Being read; the unit that was given out last has it, or it has come back.
    Segment(Option<Box<Reading>>),
}

impl<'a> Feed<'a> {
    fn new(load: &'a Load<'a>) -> Self {
        let units = (load.bytes() / hint::BLOCK_LEN as u64 / MIN_ROUNDS) as usize;
        Feed {
            load,
            source: 0,
            at: At::Start,
            units: units.clamp(2, MAX_UNITS),
        }
    }

    /// Puts the next units into `next`. Those of a segment that is read come one at a time.
    fn fill(&mut self, next: &mut Vec<Unit>, spare: &mut Vec<Unit>) -> std::result::Result<(), Stopped> {
        while next.len() < self.units {
            let Some(source) = self.load.sources.get(self.source) else {
                break;
            };
            let bad = |_| Stopped::BadHint(self.source);
            let work = match &mut self.at {
                At::Start if source.hint_len.is_some() => {
                    let identity: Identity = identity(self.load.table, &source.entry);
                    let reader = HintReader::open(self.load.storage, self.load.dir, identity).map_err(bad)?;
                    self.at = At::Hint(reader);
                    continue;
                }
                At::Start => {
                    self.at = At::Segment(Some(Box::new(self.load.reading(source)?)));
                    continue;
                }
                At::Hint(reader) => {
                    let Some(place) = reader.next_place().map_err(bad)? else {
                        self.source += 1;
                        self.at = At::Start;
                        continue;
                    };
                    Work::Block(reader.blocks(), place)
                }
                At::Segment(reading) => match reading.take() {
                    Some(reading) if !reading.is_done() => Work::Piece(reading),
                    Some(_) => {
                        self.source += 1;
                        self.at = At::Start;
                        continue;
                    }
                    // It has to come back first.
                    None => break,
                },
            };
            let unit = spare.pop().unwrap_or_else(Unit::new);
            next.push(Unit {
                source: self.source,
                work,
                ..unit
            });
        }
        Ok(())
    }

    /// Takes back what goes on in the next unit.
    fn take_back(&mut self, units: &mut [Unit]) {
        for unit in units {
            if let Work::Piece(reading) = std::mem::replace(&mut unit.work, Work::Done) {
                self.at = At::Segment(Some(reading));
            }
        }
    }
}
