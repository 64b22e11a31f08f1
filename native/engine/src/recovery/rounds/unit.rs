//! What one thread of a load decodes in one go, and the records in it.

use super::super::load::location;
use super::{Load, Stopped};
use crate::format::hint;
use crate::format::record::Kind;
use crate::keydir::{Hashed, Keydir, Location, SHARDS, common, head};
use crate::segment::Segment;
use crate::segment::hint::{Blocks, Place};
use crate::segment::reading::Reading;
use crate::{Deadline, Key};

/// A record on its way to the keydir. Its key stands in its unit's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) hash: u64,
    seq: u64,
    pub(super) location: Location,
    pub(super) start: u32,
    key_len: u32,
    suffix_len: u32,
    pub(super) frame_len: u32,
    pub(super) kind: Kind,
    pub(super) deadline: Deadline,
}

/// A record as it is applied.
#[derive(Clone, Copy, Debug)]
pub(in crate::recovery) struct Loaded<'a> {
    pub kind: Kind,
    pub hash: u64,
    pub key: Key<'a>,
    pub seq: u64,
    pub location: Location,
    pub frame_len: u32,
    pub deadline: Deadline,
}

impl Item {
    /// Its key, which stands in these bytes.
    pub(super) fn key<'b>(&self, bytes: &'b [u8]) -> Key<'b> {
        let bytes = &bytes[self.start as usize..][..self.key_len as usize];
        Key::new(bytes, (self.key_len - self.suffix_len) as usize)
    }

    pub(super) fn record<'a>(&self, key: Key<'a>) -> Loaded<'a> {
        Loaded {
            kind: self.kind,
            hash: self.hash,
            key,
            seq: self.seq,
            location: self.location,
            frame_len: self.frame_len,
            deadline: self.deadline,
        }
    }
}

/// Records in the order of their keys, those of one key in the order of their seqs. It takes no more memory than they need.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) source: usize,
    pub(super) items: Vec<Item>,
    /// Their keys, in the same order.
    pub(super) keys: Vec<u8>,
}

impl Run {
    /// The items of a source in the order of the keys, which stand in `bytes`; those of one key stay in theirs.
    fn of(source: usize, items: &[Item], bytes: &[u8]) -> Run {
        let key = |item: &Item| item.key(bytes).compared();
        let first = items.first().map_or(&[][..], key);
        let skip = items.iter().map(|item| common(first, key(item))).min();
        let mut items = items.to_vec();
        items.sort_by_cached_key(|item| (head(key(item), skip.unwrap_or(0)), key(item)));
        let mut keys = Vec::with_capacity(items.iter().map(|item| item.key_len as usize).sum());
        for item in &mut items {
            let start = keys.len() as u32;
            keys.extend_from_slice(item.key(bytes).bytes());
            item.start = start;
        }
        Run { source, items, keys }
    }

    pub(super) fn key(&self, item: &Item) -> Key<'_> {
        item.key(&self.keys)
    }
}

/// What one thread decodes in one go. Used again and again, it keeps its memory.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) source: usize,
    pub(super) work: Work,
    pub(super) bytes: Vec<u8>,
    /// By shard; for a keydir in the order of the keys, all in the first list, until they are in `run`.
    pub(super) items: Vec<Vec<Item>>,
    /// What it has for a keydir in the order of the keys.
    pub(super) run: Run,
    /// Its first record stands behind a clear.
    pub(super) cleared: bool,
}

/// What there is to decode.
#[derive(Debug)]
pub(super) enum Work {
    Block(Blocks, Place),
    Piece(Box<Reading>),
    Done,
}

impl Unit {
    pub(super) fn new() -> Self {
        Unit {
            source: 0,
            work: Work::Done,
            bytes: Vec::new(),
            items: (0..SHARDS).map(|_| Vec::new()).collect(),
            run: Run::default(),
            cleared: false,
        }
    }

    pub(super) fn key(&self, item: &Item) -> Key<'_> {
        item.key(&self.bytes)
    }

    pub(super) fn decode(
        &mut self,
        load: &Load<'_>,
        keydir: Option<Hashed<'_>>,
    ) -> std::result::Result<(), Stopped> {
        self.decode_items(load, keydir)?;
        if keydir.is_none() {
            self.run = Run::of(self.source, &self.items[0], &self.bytes);
        }
        Ok(())
    }

    fn decode_items(
        &mut self,
        load: &Load<'_>,
        keydir: Option<Hashed<'_>>,
    ) -> std::result::Result<(), Stopped> {
        self.items.iter_mut().for_each(Vec::clear);
        self.cleared = false;
        let source = &load.sources[self.source];
        match &mut self.work {
            Work::Done => Ok(()),
            Work::Piece(reading) => {
                self.bytes.clear();
                let (bytes, items, cleared) = (&mut self.bytes, &mut self.items, &mut self.cleared);
                reading.read_piece(&source.segment, load.piece_len(), |entry| {
                    let start = bytes.len();
                    bytes.extend_from_slice(entry.key.bytes());
                    keep(keydir, &source.segment, entry, start, items, cleared);
                })?;
                Ok(())
            }
            Work::Block(blocks, place) => {
                let bad = |_| Stopped::BadHint(self.source);
                let mut block = blocks
                    .read(*place, &mut self.bytes)
                    .map_err(|_| Stopped::BadHint(self.source))?;
                let len = place.len();
                let mut last = None;
                while let Some(entry) = block.next_entry().map_err(bad)? {
                    if last.is_some_and(|last| entry.seq <= last) {
                        return Err(Stopped::BadHint(self.source));
                    }
                    last = Some(entry.seq);
                    let start = len - block.bytes_left() - entry.key.bytes().len();
                    keep(
                        keydir,
                        &source.segment,
                        &entry,
                        start,
                        &mut self.items,
                        &mut self.cleared,
                    );
                }
                Ok(())
            }
        }
    }
}

/// Puts a record, whose key begins at `start` of its unit's bytes, with those of its shard.
fn keep(
    keydir: Option<Hashed<'_>>,
    segment: &Segment,
    entry: &hint::Entry<'_>,
    start: usize,
    items: &mut [Vec<Item>],
    cleared: &mut bool,
) {
    if entry.kind == Kind::Clear {
        items.iter_mut().for_each(Vec::clear);
        *cleared = true;
        return;
    }
    let hash = keydir.map_or(0, |keydir| keydir.hash(entry.key));
    items[Keydir::shard_of(hash)].push(Item {
        hash,
        seq: entry.seq,
        location: location(segment, u64::from(entry.offset), entry.frame_len as usize),
        start: start as u32,
        key_len: entry.key.bytes().len() as u32,
        suffix_len: entry.key.suffix().len() as u32,
        frame_len: entry.frame_len,
        kind: entry.kind,
        deadline: Deadline::of(entry.expiry_ms),
    });
}
