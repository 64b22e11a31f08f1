//! Merging: copying what is live out of segments that are mostly dead, and dropping those.
//!
//! A merge goes in steps of bounded size while readers and writers go on:
//!
//! 1. *Mark*: the keydir is gone through, and the records of inputs that it points to are noted. Where the inputs are a small part of the table, the keydir is asked
//!    for each of their records instead.
//! 2. *Copy*: every record of every input is read and checked. Those for which an object is live go to outputs, in the order of their seqs and with them; so do
//!    tombstones that may still hide something older. An input with damage leaves the merge, and the copying begins anew: what was decided counted on that input.
//! 3. *Filter*, in the midst of it: when the first tombstone comes, filters are made of the keys of older segments outside of the merge.
//! 4. *Publish*: outputs are synced, then the log (what was judged dead must not outlive the record that made it so), then one new manifest
//!    names the outputs in the place of the inputs.
//! 5. *Relocate*: the keydir is pointed at the outputs, key by key under its lock, wherever it points to an input.
//! 6. *Retire*: no location points to an input any more, and their files go. Readers that are in one finish.
//!
//! Up to the publishing nothing has changed, and giving up is removing the outputs. Neighbouring inputs are read in the order of their seqs, and no output
//! goes on across a segment that is not merged. So the seqs of sealed segments never overlap, which loading relies on, and which tells in which segment a seq stands.

mod copy;
mod filter;
mod held;
mod mark;
mod notes;
mod older;
mod policy;
mod relocate;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use filter::Filter;
pub use policy::{Policy, Share};

use crate::background;
use crate::format::manifest::Entry;
use crate::keydir::{Batch, Keydir, SHARDS};
use crate::log::Output;
use crate::sched::{self, Laps};
use crate::seeded::{self, Fault};
use crate::segment::Segment;
use crate::segment::scan::Scanner;
use crate::table::{Cursor, Inner};
use crate::{Error, Result};
use held::Held;
use notes::Notes;
use older::Older;

/// A merge under way.
#[derive(Debug)]
pub(crate) struct Merge {
    /// In the order of their seqs.
    inputs: Vec<Input>,
    /// The other sealed segments, likewise.
    outside: Vec<Outside>,
    outputs: Vec<Output>,
    phase: Phase,
    /// The phase's place: which input or output, and where in it.
    at: usize,
    pos: u64,
    scanner: Option<Scanner>,
    /// Whether the keydir is gone through as a whole, instead of being asked for each record.
    sweeps: bool,
    /// Where it is being gone through, and what comes next there.
    cursor: Cursor,
    batch: Batch,
    /// The older segments of which filters are being made, and have been once it is through with them.
    older: Older,
    /// The run of neighbouring inputs that the last output has records of.
    run: usize,
    /// So long it may give way to others yet: as long as it has worked, within bounds.
    owed: Duration,
    /// Counts one more for each time that background threads still free what removed inputs took.
    freeing: Arc<()>,
    /// How often that was waited for.
    waited: u32,
    report: Report,
}

/// Waits for those who are in the midst of a write. They hold the lock of their key from before they append a record until they have shown it in the keydir and
/// have counted as dead what it replaces; a clear holds all locks, and counts before it puts another keydir in place.
fn await_writers(inner: &Inner) {
    if seeded::has(Fault::WritersNotAwaited) {
        return;
    }
    let keydir = inner.keydir.hold();
    for shard in 0..SHARDS {
        drop(keydir.lock(shard));
    }
}

/// A segment that is merged.
#[derive(Debug)]
struct Input {
    segment: Arc<Segment>,
    entry: Entry,
    /// Its number among all sealed segments when the merge began.
    index: usize,
    /// Which of its records are live, if the keydir is gone through.
    notes: Notes,
}

/// A sealed segment that is not merged.
#[derive(Debug)]
struct Outside {
    segment: Arc<Segment>,
    entry: Entry,
    /// Its keys. Without, it may have any.
    filter: Option<Arc<Filter>>,
}

/// How far a merge has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Live records are being noted.
    Mark,
    /// Inputs are being checked and live records copied.
    Copy,
    /// Filters of other segments' keys are being made; the copying goes on behind that.
    Filter,
    /// The outputs are about to take the inputs' place.
    Publish,
    /// The keydir is being pointed at the outputs.
    Relocate,
    /// The inputs' files are about to go.
    Retire,
    /// It is through.
    Done,
}

impl Phase {
    /// Whether it goes through all there is, and holds nothing that others wait for meanwhile, but for the key that it is at.
    pub(crate) fn is_long(self) -> bool {
        matches!(self, Phase::Mark | Phase::Copy | Phase::Filter | Phase::Relocate)
    }
}

/// What a merge has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Ids of the segments that were or are being merged.
    pub inputs: Vec<u32>,
    /// Ids of the segments that took or will take their place.
    pub outputs: Vec<u32>,
    /// Ids of those that were left out, because they are damaged.
    pub damaged: Vec<u32>,
    /// Bytes of the inputs.
    pub input_bytes: u64,
    /// Bytes of the outputs.
    pub output_bytes: u64,
    /// Records with a live object that were copied.
    pub copied: u64,
    /// Records that were dropped.
    pub dropped: u64,
    /// Tombstones and the like that had to be kept.
    pub kept: u64,
}

/// How far a merge has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Bytes that it has been through, of `total`: the inputs, then the outputs.
    pub done: u64,
    /// Bytes that it has to go through, about.
    pub total: u64,
    /// What it has done.
    pub report: Report,
}

/// Why a step of a merge failed.
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// Whether the manifest may name the outputs all the same. The table is read-only then, and nothing may be removed.
    pub(crate) outcome_unknown: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed {
            error,
            outcome_unknown: false,
        }
    }
}

/// A key costs so much when the keydir is gone through; asking for a record's costs `ASK_ORDERED` or `ASK_HASHED`. What counts is the ratio.
const SWEEP: u64 = 1;
const ASK_HASHED: u64 = 2;
const ASK_ORDERED: u64 = 8;

/// After so many bytes of records a merge looks whether background threads have work: a fraction of a millisecond.
const STRETCH: u64 = 128 << 10;
/// It may give way for so long without having worked meanwhile.
const MAX_OWED: Duration = Duration::from_millis(250);
/// It gives way for so long at a time.
const MAX_REST: Duration = Duration::from_millis(10);
/// If it stood for so long in a stretch, or when it woke up before that, the system had another thread run on its processor, or it waited for the disk.
const NOTICED: Duration = Duration::from_micros(500);

impl Merge {
    /// A merge of those of the table's sealed segments, which come in the order of their seqs, that have these indices.
    pub(crate) fn new(inner: &Inner, sealed: &[Arc<Segment>], chosen: &[usize]) -> Merge {
        let (mut inputs, mut outside) = (Vec::new(), Vec::new());
        for (index, segment) in sealed.iter().enumerate() {
            let Some(&entry) = segment.sealed() else { continue };
            let segment = Arc::clone(segment);
            if chosen.contains(&index) {
                segment.set_merged(true);
                inputs.push(Input {
                    segment,
                    entry,
                    index,
                    notes: Notes::default(),
                });
            } else {
                outside.push(Outside {
                    segment,
                    entry,
                    filter: None,
                });
            }
        }
        let report = Report {
            inputs: inputs.iter().map(|input| input.entry.id).collect(),
            input_bytes: inputs.iter().map(|input| input.entry.len).sum(),
            ..Report::default()
        };
        let sweeps = sweeps(inner, report.input_bytes);
        for input in inputs.iter_mut().filter(|_| sweeps) {
            input.notes = Notes::new(input.entry.len);
        }
        Merge {
            inputs,
            outside,
            outputs: Vec::new(),
            phase: Phase::Mark,
            at: 0,
            pos: 0,
            scanner: None,
            sweeps,
            cursor: Cursor::default(),
            batch: Batch::new(),
            older: Older::default(),
            run: 0,
            owed: MAX_OWED,
            freeing: Arc::new(()),
            waited: 0,
            report,
        }
    }

    /// Goes on, for about so many bytes of records. With a limit to its time nobody waits for it: it does less if those take longer, or if background threads have work, to which it gives way,
    /// for with them it would want more than one processor, and take what is more from those who read and write. For their sake it also looks for another processor when it begins, and when it found out that it shares its own.
    pub(crate) fn step(
        &mut self,
        inner: &Inner,
        mut budget: u64,
        limit: Option<Duration>,
    ) -> std::result::Result<(), Failed> {
        let (phase, step_began) = (self.phase, Instant::now());
        let gives_way = limit.is_some() && inner.log.config().background;
        let mut laps = Laps::begin();
        if gives_way && self.owed >= NOTICED {
            sched::step_aside();
        }
        loop {
            let part = budget.min(STRETCH);
            self.stretch(inner, part)?;
            budget -= part;
            let mut rested = Duration::ZERO;
            if gives_way {
                let (worked, stood) = laps.next();
                self.owed = (self.owed + worked)
                    .saturating_sub(stood.min(MAX_REST))
                    .min(MAX_OWED);
                rested = background::await_quiet(self.owed.min(MAX_REST));
                self.owed -= rested;
                if stood >= NOTICED && self.owed >= NOTICED {
                    sched::step_aside();
                }
            }
            // Of the others a stretch does as much as a step shall. Who waits for the step to end has waited for the rest.
            let goes_on = phase.is_long();
            let is_long = limit.is_some_and(|limit| step_began.elapsed() >= limit);
            if budget == 0 || is_long || self.phase != phase || !goes_on || !rested.is_zero() {
                return Ok(());
            }
        }
    }

    /// Goes on without looking at others.
    fn stretch(&mut self, inner: &Inner, budget: u64) -> std::result::Result<(), Failed> {
        inner.check()?;
        match self.phase {
            Phase::Mark => {
                if !self.mark(inner, budget)? {
                    self.begin(Phase::Copy);
                }
            }
            Phase::Copy => self.copy(inner, budget)?,
            Phase::Filter => {
                if !self.filter(inner, budget)? {
                    self.phase = Phase::Copy;
                }
            }
            Phase::Publish => {
                if !self.publish(inner)? {
                    self.begin(Phase::Relocate);
                }
            }
            Phase::Relocate => {
                if !self.relocate(inner, budget)? {
                    self.begin(Phase::Retire);
                }
            }
            Phase::Retire => {
                if !self.retire(inner)? {
                    self.begin(Phase::Done);
                }
            }
            Phase::Done => {}
        }
        Ok(())
    }

    /// Begins a phase at its beginning.
    fn begin(&mut self, phase: Phase) {
        self.phase = phase;
        (self.at, self.pos, self.scanner) = (0, 0, None);
        self.cursor = Cursor::default();
    }

    /// The number of the run of neighbours that an input belongs to.
    fn run_of(&self, at: usize) -> usize {
        let until = self.inputs.get(..=at).unwrap_or_default();
        let breaks = |pair: &&[Input]| pair[0].index + 1 != pair[1].index;
        until.windows(2).filter(breaks).count()
    }

    /// Whether the manifest names the outputs.
    pub(crate) fn is_published(&self) -> bool {
        matches!(self.phase, Phase::Relocate | Phase::Retire | Phase::Done)
    }

    /// Gives up what is not published. What is published stays, and files that are no longer the table's go.
    pub(crate) fn give_up(mut self, inner: &Inner) {
        if !self.is_published() {
            self.spare_inputs(inner);
            self.remove_outputs(inner);
        } else if self.phase != Phase::Done {
            let removed = if self.phase == Phase::Retire { self.at } else { 0 };
            self.remove_inputs(inner, removed..self.inputs.len())
                .free(self.freeing);
        }
    }

    /// Removes the outputs, which the manifest does not name.
    fn remove_outputs(&mut self, inner: &Inner) {
        let held = Held::of(inner, self.outputs.iter().map(|output| &output.segment));
        inner.log.remove_outputs(std::mem::take(&mut self.outputs));
        held.free(Arc::clone(&self.freeing));
    }

    /// Removes the files of some inputs, which the manifest does not name any more. What large ones take is there until what is held of them is freed.
    fn remove_inputs(&self, inner: &Inner, which: Range<usize>) -> Held {
        let inputs = self.inputs.get(which).unwrap_or_default();
        let held = Held::of(inner, inputs.iter().map(|input| &input.segment));
        inner.log.remove_inputs(&input_files(inputs));
        held
    }

    /// Counts one for this merge, and one for each time that background threads still free what it left.
    #[cfg(test)]
    pub(crate) fn freeing(&self) -> std::sync::Weak<()> {
        Arc::downgrade(&self.freeing)
    }

    /// Says that the inputs stay, if the manifest does not name the outputs: they get their hints then.
    pub(crate) fn spare_inputs(&self, inner: &Inner) {
        if !self.is_published() {
            for input in &self.inputs {
                input.segment.set_merged(false);
            }
            inner.log.want_put_off_hints();
        }
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        let input = self.report.input_bytes;
        let written = self.output_bytes();
        let done = match self.phase {
            Phase::Mark => 0,
            Phase::Copy | Phase::Filter => {
                let before = self.inputs.iter().take(self.at);
                before.map(|input| input.entry.len).sum::<u64>() + self.pos
            }
            Phase::Publish => input,
            Phase::Relocate => {
                let before = self.outputs.iter().take(self.at);
                input + before.map(|output| output.entry.len).sum::<u64>() + self.pos
            }
            Phase::Retire | Phase::Done => input + written,
        };
        Progress {
            phase: self.phase,
            done,
            total: input + written,
            report: Report {
                outputs: self.outputs.iter().map(|output| output.entry.id).collect(),
                output_bytes: written,
                ..self.report.clone()
            },
        }
    }

    fn output_bytes(&self) -> u64 {
        self.outputs.iter().map(|output| output.entry.len).sum()
    }

    /// The scanner of a sealed segment, kept from one step to the next.
    fn scanner<'s>(
        held: &'s mut Option<Scanner>,
        inner: &Inner,
        segment: &Arc<Segment>,
        entry: &Entry,
    ) -> Result<&'s mut Scanner> {
        if held.is_none() {
            let file = segment
                .open(&*inner.log.storage)
                .map_err(|e| Error::io("open", &segment.path(), e))?;
            *held = Some(Scanner::new(file, entry.id, entry.len));
        }
        held.as_mut().ok_or(Error::Panicked)
    }
}

/// Whether to go through the whole keydir costs less than to ask for each record of so many bytes of segments.
fn sweeps(inner: &Inner, input_bytes: u64) -> bool {
    let keydir = inner.keydir.hold();
    let keys = keydir.len();
    let mean_len = inner.log.live_bytes().checked_div(keys).unwrap_or(0).max(1);
    let ask = match *keydir {
        Keydir::Ordered(_) => ASK_ORDERED,
        _ => ASK_HASHED,
    };
    keys * SWEEP <= input_bytes / mean_len * ask
}

fn input_files(inputs: &[Input]) -> Vec<(Arc<Segment>, u64)> {
    let files = inputs.iter();
    files
        .map(|input| (Arc::clone(&input.segment), input.entry.len))
        .collect()
}
