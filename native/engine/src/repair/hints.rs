//! Hint files in a check: whether each is what its writer wrote for its segment, and which records a damaged segment had by what its hint tells.
//!
//! A hint that fails its own CRCs, or names another segment, costs time only: the next opening makes it anew. One that passes them and tells of other
//! records than its segment holds would be believed, so that is a fault.
//!
//! Of bytes that are no records, a hint that is right names each record that stood there. A deletion among them is whole again with that, and a lost
//! put has its key: so nothing older comes back.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::Path;

use super::report::{Fault, Loss, Report};
use super::segment::{Fate, Known, Sink};
use crate::format::frame::{Frame, removed_seqs};
use crate::format::hint::{Entry, Identity};
use crate::format::record::Kind;
use crate::io::Storage;
use crate::segment::hint::{HintReader, OUT_OF_ORDER, Unusable};
use crate::table::TableKind;
use crate::{Key, Result};

/// What is said of a record that only a hint tells of.
const TOLD: &str = "of this record only the hint is left";

/// What stands for the records of a segment, in their order.
#[derive(Debug, Default)]
pub struct Digest(DefaultHasher);

impl Digest {
    /// Adds a record as the segment has it.
    pub fn add_frame(&mut self, frame: &Frame<'_>, pos: u64) {
        let head = &frame.head;
        self.add(&Entry {
            kind: head.kind,
            seq: head.seq,
            offset: pos as u32,
            frame_len: head.frame_len() as u32,
            expiry_ms: head.expiry_ms,
            key: frame.key(),
        });
    }

    fn add(&mut self, entry: &Entry<'_>) {
        let hasher = &mut self.0;
        (
            entry.kind as u8,
            entry.seq,
            entry.offset,
            entry.frame_len,
            entry.expiry_ms,
        )
            .hash(hasher);
        (entry.key.compared(), entry.key.suffix()).hash(hasher);
    }
}

/// What there is to say of a hint file.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none, or it is right.
    Good,
    /// Whoever reads it sees that it is of no use.
    Spoilt(&'static str),
    /// It would be believed, and is wrong.
    Lies,
}

/// Reads the hint of a segment, whose records `digest` stands for if all of them could be read.
pub fn check(storage: &dyn Storage, dir: &Path, identity: Identity, digest: Option<Digest>) -> Found {
    let mut told = Digest::default();
    let read =
        HintReader::open(storage, dir, identity).and_then(|hint| hint.for_each(|entry| told.add(entry)));
    match (read, digest) {
        (Err(Unusable::Io(e)), _) if e.kind() == ErrorKind::NotFound => Found::Good,
        (Err(Unusable::Io(e)), _) if e.kind() == ErrorKind::UnexpectedEof => {
            Found::Spoilt("the hint is cut off")
        }
        (Err(Unusable::Io(_)), _) => Found::Spoilt("the hint cannot be read"),
        (Err(Unusable::Wrong(OUT_OF_ORDER)), _) => Found::Lies,
        (Err(Unusable::Wrong(what)), _) => Found::Spoilt(what),
        (Ok(()), Some(digest)) if digest.0.finish() != told.0.finish() => Found::Lies,
        (Ok(()), _) => Found::Good,
    }
}

/// What the hint of a damaged segment tells, read when it is first asked for. Then it is in memory as a whole.
#[derive(Debug)]
pub struct Witness<'a> {
    storage: &'a dyn Storage,
    dir: &'a Path,
    identity: Identity,
    kind: TableKind,
    told: Asked,
}

/// Whether a hint was read.
#[derive(Debug)]
enum Asked {
    NotYet,
    Useless,
    Told(Told),
}

#[derive(Debug, Default)]
struct Told {
    keys: Vec<u8>,
    entries: Vec<Place>,
}

/// An entry whose key stands among the keys of all.
#[derive(Debug)]
struct Place {
    kind: Kind,
    seq: u64,
    offset: u32,
    frame_len: u32,
    key_at: usize,
    key_len: usize,
    compared: usize,
}

impl<'a> Witness<'a> {
    /// For the segment with this identity in a table of this type.
    pub fn new(storage: &'a dyn Storage, dir: &'a Path, identity: Identity, kind: TableKind) -> Self {
        Witness {
            storage,
            dir,
            identity,
            kind,
            told: Asked::NotYet,
        }
    }

    fn told(&mut self) -> Option<&Told> {
        if matches!(self.told, Asked::NotYet) {
            self.told = self.read().map_or(Asked::Useless, Asked::Told);
        }
        match &self.told {
            Asked::Told(told) => Some(told),
            _ => None,
        }
    }

    fn read(&self) -> Option<Told> {
        let mut told = Told::default();
        let mut strange = false;
        let hint = HintReader::open(self.storage, self.dir, self.identity).ok()?;
        hint.for_each(|entry| {
            strange |= entry.kind == Kind::DeleteObject
                && (!self.kind.is_bag() || removed_seqs(entry.key).is_none());
            told.entries.push(Place {
                kind: entry.kind,
                seq: entry.seq,
                offset: entry.offset,
                frame_len: entry.frame_len,
                key_at: told.keys.len(),
                key_len: entry.key.bytes().len(),
                compared: entry.key.compared().len(),
            });
            told.keys.extend_from_slice(entry.key.bytes());
        })
        .ok()?;
        (!strange).then_some(told)
    }

    /// Whether a record with this seq began at `pos` when the segment was whole, so that a commit vouched for it if it is one of a batch.
    pub fn has(&mut self, seq: u64, pos: u64) -> bool {
        self.told().is_some_and(|told| {
            let found = told.entries.binary_search_by_key(&seq, |place| place.seq);
            found.is_ok_and(|at| u64::from(told.entries[at].offset) == pos)
        })
    }

    /// Reports and hands on the records with these seqs, which could not be read in `segment`. `false` if no hint tells of them.
    pub fn name(
        &mut self,
        segment: &Path,
        seqs: RangeInclusive<u64>,
        report: &mut Report,
        sink: Sink<'_>,
    ) -> Result<bool> {
        let is_bag = self.kind.is_bag();
        let Some(told) = self.told() else {
            return Ok(false);
        };
        let from = told.entries.partition_point(|place| place.seq < *seqs.start());
        for place in told.entries[from..]
            .iter()
            .take_while(|place| seqs.contains(&place.seq))
        {
            let bytes = &told.keys[place.key_at..place.key_at + place.key_len];
            let key = Key::new(bytes, place.compared);
            let (loss, fate, named) = match place.kind {
                // In a bag a tombstone would remove the key's other objects too.
                Kind::Put if is_bag => (Loss::Object, Fate::Dropped, key.split_fingerprint().0),
                Kind::Put => (Loss::Object, Fate::Buried, key),
                _ => (Loss::Nothing, Fate::Kept, key),
            };
            let (offset, len) = (u64::from(place.offset), u64::from(place.frame_len));
            report.add(Fault::new(segment, offset, len, TOLD, loss).about(named, place.seq));
            sink(Known::Told(place.kind, key, place.seq), fate)?;
        }
        Ok(true)
    }
}
