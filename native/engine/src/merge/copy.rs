//! Checking the inputs, deciding what is live, copying it, and putting the copies in the place of the inputs.

use super::notes::Notes;
use super::{Failed, Merge, Outside, Phase};
use crate::epoch;
use crate::format::frame::{Frame, removed_seqs};
use crate::format::record::{Kind, Record, delete_object_key};
use crate::format::segment::HEADER_LEN;
use crate::keydir::{Keydir, Location};
use crate::log::Output;
use crate::seeded::{self, Fault};
use crate::segment::Segment;
use crate::segment::scan::Found;
use crate::table::Inner;
use crate::{Deadline, Error, Key, Now, Result};

/// What becomes of a record.
enum Verdict {
    /// An object is live because of it.
    Live,
    /// It hides something that may stand in another segment.
    Hides,
    /// It has expired, and does so no less: a tombstone with its seq takes its place.
    HidesExpired,
    /// Of the seqs that it removes, these may stand in other segments.
    HidesSome(Vec<u64>),
    /// Nothing is lost with it.
    Dead,
}

/// How the next record was dealt with.
enum Next {
    Done,
    /// It waits for the filters of other segments.
    Waits,
    /// The input is damaged there.
    Bad,
}

impl Merge {
    /// Checks the next records of the inputs, and copies to outputs what has to stay.
    pub(super) fn copy(&mut self, inner: &Inner, budget: u64) -> Result<()> {
        let Some(input) = self.inputs.get(self.at) else {
            let nothing = self.inputs.is_empty();
            self.begin(if nothing { Phase::Done } else { Phase::Publish });
            return Ok(());
        };
        let len = input.entry.len;
        self.pos = self.pos.max(u64::from(HEADER_LEN));
        let until = self.pos.saturating_add(budget).min(len);
        while self.pos < until {
            match self.copy_record(inner)? {
                Next::Done => {}
                Next::Waits => {
                    self.phase = Phase::Filter;
                    return Ok(());
                }
                Next::Bad => {
                    self.leave_out(inner);
                    return Ok(());
                }
            }
        }
        if self.pos < len {
            return Ok(());
        }
        let input = &mut self.inputs[self.at];
        if self.sweeps && !inner.kind.is_bag() && !input.notes.finish() {
            return Err(Error::Damaged {
                path: input.segment.path(),
                offset: len,
                what: "the keydir points to where no record begins",
            });
        }
        self.at += 1;
        (self.pos, self.scanner) = (0, None);
        Ok(())
    }

    fn copy_record(&mut self, inner: &Inner) -> Result<Next> {
        let run = self.run_of(self.at);
        let lacks_filters = self.lacks_filters();
        let input = &mut self.inputs[self.at];
        let segment = &input.segment;
        let scanner = Self::scanner(&mut self.scanner, inner, segment, &input.entry)?;
        let found = scanner.at(self.pos, true);
        let frame = match found.map_err(|e| Error::io("read", &segment.path(), e))? {
            Found::Frame(frame) => frame,
            Found::Bad(_) => return Ok(Next::Bad),
        };
        let len = frame.head.frame_len() as u64;
        // Its value is checked too.
        let Ok(record) = Record::from_frame(&frame) else {
            return Ok(Next::Bad);
        };
        let record = record.as_lone();
        let notes = self.sweeps.then_some(&mut input.notes);
        let Some(verdict) = judge(
            inner,
            &self.outside,
            lacks_filters,
            segment,
            notes,
            self.pos,
            &frame,
        )?
        else {
            return Ok(Next::Waits);
        };
        self.pos += len;
        let some;
        let record = match &verdict {
            Verdict::Dead => {
                let is_record = !matches!(frame.head.kind, Kind::Batch | Kind::Commit | Kind::Mark);
                self.report.dropped += u64::from(is_record);
                return Ok(Next::Done);
            }
            Verdict::HidesSome(seqs) => {
                some = delete_object_key(frame.key().compared(), seqs);
                let key = Key::new(&some, frame.key().compared().len());
                Record::new(Kind::DeleteObject, key, &[])
            }
            Verdict::HidesExpired => Record::new(Kind::Delete, Key::plain(frame.key().compared()), &[]),
            Verdict::Live | Verdict::Hides => record,
        };
        // An output goes on only within a run of neighbours.
        let goes_on = self.run == run;
        let output = output_for(inner, &mut self.outputs, record.frame_len() as u64, goes_on)?;
        self.run = run;
        let to = output.add(&record, frame.head.seq)?;
        if matches!(verdict, Verdict::Live) {
            self.report.copied += 1;
            if self.sweeps {
                input.notes.push(to);
            }
        } else {
            self.report.kept += 1;
            output.kept_bytes += record.frame_len() as u64;
        }
        Ok(Next::Done)
    }

    /// Goes on without the input that is damaged, which stays as it is. What was decided so far counted on it, so the copying begins anew.
    fn leave_out(&mut self, inner: &Inner) {
        let left = self.inputs.remove(self.at);
        left.segment.set_damaged();
        left.segment.set_merged(false);
        self.report.inputs.retain(|&id| id != left.entry.id);
        self.report.damaged.push(left.entry.id);
        self.report.input_bytes -= left.entry.len;
        (self.report.copied, self.report.dropped, self.report.kept) = (0, 0, 0);
        if !seeded::has(Fault::DamagedForgotten) {
            // It may have any key, so it needs no filter and comes before those that do.
            self.outside.insert(
                0,
                Outside {
                    segment: left.segment,
                    entry: left.entry,
                    filter: None,
                },
            );
            self.older.passed_over();
        }
        self.remove_outputs(inner);
        for input in &mut self.inputs {
            input.notes.forget_copies();
        }
        self.run = 0;
        self.begin(Phase::Copy);
    }

    /// Makes the outputs durable one by one, then names them in the manifest.
    pub(super) fn publish(&mut self, inner: &Inner) -> std::result::Result<bool, Failed> {
        if let Some(output) = self.outputs.get_mut(self.at) {
            output.finish()?;
            self.at += 1;
            return Ok(true);
        }
        let inputs: Vec<_> = self.inputs.iter().map(|input| input.segment.clone()).collect();
        inner
            .log
            .replace(&inputs, &self.outputs)
            .map_err(|failure| Failed {
                error: failure.error,
                outcome_unknown: failure.outcome_unknown,
            })?;
        // What stands in newer segments because of something in the inputs may be dropped by the next merge.
        let oldest = self.inputs.first().map_or(0, |input| input.entry.first_seq);
        for other in self.outside.iter().filter(|other| other.entry.first_seq > oldest) {
            other.segment.set_kept_bytes(0);
        }
        Ok(false)
    }
}

/// The output that takes a record of so many bytes: a new one if the last one has no room or must not go on.
fn output_for<'o>(
    inner: &Inner,
    outputs: &'o mut Vec<Output>,
    frame_len: u64,
    goes_on: bool,
) -> Result<&'o mut Output> {
    let max_file_size = inner.log.config().max_file_size;
    let has_room = outputs
        .last()
        .is_some_and(|output| output.has_room(frame_len, max_file_size));
    if !goes_on || !has_room {
        if let Some(last) = outputs.last_mut() {
            last.end()?;
        }
        outputs.push(inner.log.add_output()?);
    }
    outputs.last_mut().ok_or(Error::Panicked)
}

/// `None` if it takes filters that are not made yet.
fn judge(
    inner: &Inner,
    outside: &[Outside],
    lacks_filters: bool,
    segment: &Segment,
    notes: Option<&mut Notes>,
    pos: u64,
    frame: &Frame<'_>,
) -> Result<Option<Verdict>> {
    let seq = frame.head.seq;
    let key = frame.key();
    let is_older = |other: &&Outside| other.entry.first_seq < seq;
    let hides = |hides| if hides { Verdict::Hides } else { Verdict::Dead };
    // What was removed with everything else is hidden by that record, which stays for as long as anything older does.
    let cleared = seq < inner.log.cleared_seq();
    // Whether a tombstone of this key and seq hides something older.
    let hides_older = || {
        // Where a key has one object, its newest put hides all that is older.
        let replaced = || Ok::<_, Error>(!inner.kind.is_bag() && is_present(inner, key)?);
        let may_hold = |other: &Outside| {
            let hash = inner.hash(key);
            other
                .filter
                .as_ref()
                .is_none_or(|filter| filter.may_contain(hash))
        };
        Ok::<_, Error>(!cleared && outside.iter().filter(is_older).any(may_hold) && !replaced()?)
    };
    Ok(Some(match frame.head.kind {
        Kind::Put => {
            let deadline = Deadline::of(frame.head.expiry_ms);
            let now = inner.log.time.read();
            if !deadline.is_over(now) {
                let is_live = if let Some(notes) = notes {
                    notes.is_live(pos as u32)
                } else {
                    let location = Location::new(segment.slot, pos as u32, frame.head.frame_len() as u64);
                    is_live(inner, key, seq, location)?
                };
                return Ok(Some(if is_live { Verdict::Live } else { Verdict::Dead }));
            }
            // In a bag nothing is hidden by a put.
            let may_hide = !inner.kind.is_bag() && !seeded::has(Fault::ExpiredDropped);
            if may_hide && lacks_filters {
                return Ok(None);
            }
            if let Some(notes) = notes {
                notes.set_dead(pos as u32);
            }
            let (plain, _) = if inner.kind.is_bag() {
                key.split_fingerprint()
            } else {
                (key, 0)
            };
            // The sweep may not have come by. A location must not outlive its segment.
            inner.remove_expired_from_keydir(plain, now)?;
            if may_hide && hides_older()? {
                Verdict::HidesExpired
            } else {
                Verdict::Dead
            }
        }
        Kind::Delete if lacks_filters => return Ok(None),
        Kind::Delete => hides(!seeded::has(Fault::TombstoneDropped) && hides_older()?),
        Kind::DeleteObject => {
            let mut seqs = removed_seqs(key).unwrap_or_default();
            seqs.retain(|seq| {
                let holds = |other: &Outside| (other.entry.first_seq..=other.entry.last_seq).contains(seq);
                !cleared && outside.iter().any(holds)
            });
            if seqs.is_empty() {
                Verdict::Dead
            } else {
                Verdict::HidesSome(seqs)
            }
        }
        Kind::Clear => hides(outside.iter().any(|other| is_older(&other))),
        Kind::Batch | Kind::Commit | Kind::Mark => Verdict::Dead,
    }))
}

/// Whether the record at this location makes an object live.
fn is_live(inner: &Inner, key: Key<'_>, seq: u64, location: Location) -> Result<bool> {
    look(inner, |keydir| {
        Some(match keydir {
            Keydir::Bag(keydir) => {
                let (key, _) = key.split_fingerprint();
                let found = keydir.entries(keydir.hash(key), key, |entries| {
                    let at = entries.behind(seq.saturating_sub(1));
                    at < entries.len() && entries.get(at).location == location
                });
                found.ok()?.unwrap_or(false)
            }
            keydir => {
                let hit = keydir.get(keydir.hash(key), key, Now::BEFORE_ALL).ok()?;
                hit.is_some_and(|hit| hit.location == location)
            }
        })
    })
}

fn is_present(inner: &Inner, key: Key<'_>) -> Result<bool> {
    look(inner, |keydir| {
        Some(keydir.get(keydir.hash(key), key, Now::BEFORE_ALL).ok()?.is_some())
    })
}

/// Asks the keydir until no writer is in the way.
fn look<R>(inner: &Inner, mut ask: impl FnMut(&Keydir) -> Option<R>) -> Result<R> {
    loop {
        if let Some(answer) = ask(inner.keydir.load(&epoch::pin())) {
            return Ok(answer);
        }
        // A writer that panicked keeps its shard for ever.
        inner.check()?;
        std::thread::yield_now();
    }
}
