//! What a merge notes of an input: which of its records are live, and where those went.
//!
//! Both follow from the offset of a record without a search, so that neither the records nor the keydir have to be asked key by key, each time for the price of
//! some cache misses. It costs a bit and a half for each 16 bytes of the input, and four bytes for each record that is copied.

use crate::format::frame::MIN_LEN;
use crate::keydir::Location;

/// No two records begin in the same so many bytes.
const GRAIN: u64 = 16;
const _: () = assert!(MIN_LEN as u64 >= GRAIN);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// A bit for each grain of the input: a live record begins there.
    live: Vec<u64>,
    /// How many bits are set before each of these words. Counted once all records were copied.
    ranks: Vec<u32>,
    /// The offsets that the live records have in the outputs, in the order of the input.
    moved: Vec<u32>,
    /// How many of them come before those in the output with this slot.
    outputs: Vec<(usize, u16)>,
}

impl Notes {
    /// Notes that no record of an input of so many bytes is live.
    pub(super) fn new(len: u64) -> Self {
        Notes {
            live: vec![0; len.div_ceil(GRAIN * 64) as usize],
            ..Notes::default()
        }
    }

    /// Notes that the record at this offset is live.
    pub(super) fn set_live(&mut self, offset: u32) {
        let (at, bit) = place(offset);
        if let Some(word) = self.live.get_mut(at) {
            *word |= bit;
        }
    }

    /// Notes that it is no longer.
    pub(super) fn set_dead(&mut self, offset: u32) {
        let (at, bit) = place(offset);
        if let Some(word) = self.live.get_mut(at) {
            *word &= !bit;
        }
    }

    /// Whether the record that begins at this offset was noted to be live.
    pub(super) fn is_live(&self, offset: u32) -> bool {
        let (at, bit) = place(offset);
        self.live.get(at).is_some_and(|word| word & bit != 0)
    }

    /// Notes where the next live record was copied to. They come in the order of the input.
    pub(super) fn push(&mut self, to: Location) {
        if self.outputs.last().is_none_or(|&(_, slot)| slot != to.segment()) {
            self.outputs.push((self.moved.len(), to.segment()));
        }
        self.moved.push(to.offset());
    }

    /// Forgets what was copied.
    pub(super) fn forget_copies(&mut self) {
        (self.ranks, self.moved, self.outputs) = Default::default();
    }

    /// Makes [`Notes::moved`] answer. `false` if the records that were copied are not those that are live: then the keydir names places where no record begins.
    pub(super) fn finish(&mut self) -> bool {
        let mut sum = 0;
        self.ranks = Vec::with_capacity(self.live.len());
        for word in &self.live {
            self.ranks.push(sum);
            sum += word.count_ones();
        }
        sum as usize == self.moved.len()
    }

    /// Where the live record of this place went. `None` if none that is live begins there.
    pub(super) fn moved(&self, old: Location) -> Option<Location> {
        let (at, bit) = place(old.offset());
        let word = self.live.get(at).filter(|word| *word & bit != 0)?;
        let rank = *self.ranks.get(at)? as usize + (word & (bit - 1)).count_ones() as usize;
        let (_, slot) = self.outputs.iter().rev().find(|(before, _)| *before <= rank)?;
        Some(old.moved(*slot, *self.moved.get(rank)?))
    }
}

/// The word of a record's bit, and the bit.
fn place(offset: u32) -> (usize, u64) {
    let grain = u64::from(offset) / GRAIN;
    ((grain / 64) as usize, 1 << (grain % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths of frames, from the shortest one on.
    fn offsets() -> impl Iterator<Item = u32> {
        (0..5000u32).scan(32, |at, n| {
            let offset = *at;
            *at += MIN_LEN as u32 + n * n % 97;
            Some(offset)
        })
    }

    #[test]
    fn each_live_record_is_found_where_it_went_and_no_other() {
        let end = u64::from(offsets().last().unwrap()) + 1000;
        let mut notes = Notes::new(end);
        let live: Vec<u32> = offsets().filter(|offset| offset % 3 != 0).collect();
        for &offset in &live {
            notes.set_live(offset);
        }
        let other = offsets().find(|offset| offset % 3 == 0).unwrap();
        notes.set_live(other);
        assert!(notes.is_live(other));
        notes.set_dead(other);
        let to = |n: usize| Location::new(if n < 900 { 5 } else { 6 }, n as u32 * 50 % 45_000, 40);
        for round in 0..2 {
            for n in 0..live.len() {
                assert!(!notes.finish(), "round {round}, {n} copied");
                notes.push(to(n));
            }
            assert!(notes.finish());
            for offset in offsets() {
                let expected = live.binary_search(&offset).ok().map(to);
                assert_eq!(notes.is_live(offset), expected.is_some());
                assert_eq!(
                    notes.moved(Location::new(1, offset, 40)),
                    expected,
                    "offset {offset}"
                );
            }
            notes.forget_copies();
        }
        assert_eq!(notes.moved(Location::new(1, u32::MAX, 40)), None);
    }
}
