use std::path::Path;
use std::sync::atomic::AtomicU32 as Written;
use std::thread;

use super::super::tests::ALONE;
use super::*;
use crate::Key;
use crate::dir::Dir;
use crate::format::record::{Kind, Record, Stamp};
use crate::format::segment::HEADER_LEN;
use crate::keydir::Location;
use crate::segment::Segment;
use crate::segment::read::cached_put;
use std::sync::Arc;

/// Room for all that the tests of this process keep.
const ENOUGH: u64 = 1 << 40;

/// The byte that stands at an offset, so that every one knows what it should have read.
fn byte(offset: u32) -> u8 {
    (offset.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

pub(super) fn bytes(offset: u32, len: usize) -> Vec<u8> {
    (offset..offset + len as u32).map(byte).collect()
}

/// An account of its own: those that are given back and taken again are another test's.
fn account() -> &'static Account {
    Box::leak(Box::default())
}

pub(super) fn filler() -> Filler {
    Filler::new(account(), true)
}

/// Writes so many bytes behind the header, in pieces of about `piece`; gives the offset and length of each.
fn fill(filler: &mut Filler, len: u32, piece: usize) -> Vec<(u32, usize)> {
    let mut at = HEADER_LEN;
    let mut pieces = Vec::new();
    while at < len {
        let len = piece / 2 + at as usize % piece;
        filler.write_within(ENOUGH, at, &bytes(at, len));
        pieces.push((at, len));
        at += len as u32;
    }
    pieces
}

pub(super) fn get(blocks: &Blocks, (offset, len): (u32, usize)) -> Option<Vec<u8>> {
    blocks.get(offset, len, &epoch::pin(), <[u8]>::to_vec)
}

#[test]
fn places_of_bytes_follow_one_another() {
    let mut before = place(0);
    assert_eq!(before, (0, 0, SMALL_LEN));
    for offset in (1..400_000).chain(u32::MAX - 200_000..=u32::MAX) {
        let (index, at, len) = place(offset);
        assert_eq!(len, len_of(index));
        if at == 0 {
            assert!(offset > 400_000 || (before.0 + 1, before.2) == (index, before.1 + 1));
        } else if before.0 == index {
            assert_eq!(before.1 + 1, at);
        }
        before = (index, at, len);
        let (bucket, within) = in_bucket(index);
        assert!(bucket < BUCKETS && within < 1 << bucket);
        assert_eq!((1 << bucket) - 1 + within as u32, index);
    }
}

#[test]
fn what_was_written_is_found_whole_wherever_blocks_end() {
    let _alone = ALONE.lock();
    for piece in [40, 900, 17_000, 60_000, 200_000] {
        let mut filler = filler();
        let pieces = fill(&mut filler, 3 << 20, piece);
        for &(offset, len) in &pieces {
            let expected = bytes(offset, len);
            let (guard, (.., at, block_len)) = (epoch::pin(), place(offset));
            for whole in [false, true] {
                let near = filler.blocks().near(offset, len, whole, &guard);
                let in_one = at + len <= block_len;
                assert_eq!(near, in_one.then_some(&*expected), "{offset}, {len}");
            }
            assert_eq!(
                get(filler.blocks(), (offset, len)),
                Some(expected),
                "{offset}, {len}"
            );
        }
        let &(last, len) = pieces.last().unwrap();
        assert_eq!(get(filler.blocks(), (last, len + 1)), None, "not written yet");
        let near = |offset| {
            filler
                .blocks()
                .near(offset, len + 1, true, &epoch::pin())
                .is_some()
        };
        assert!(!near(last) && !near(last + (1 << 20)), "not written yet");
        assert_eq!(get(filler.blocks(), (last + (1 << 20), 10)), None);
    }
}

#[test]
fn what_a_failed_write_left_is_forgotten() {
    let _alone = ALONE.lock();
    // The write fails at each of these lengths; then something else goes there, as long, shorter or longer.
    for failed in [10, 5_000, 40_000, 300_000] {
        for len in [10, 4_000, 40_001, 400_000] {
            let mut filler = filler();
            let pieces = fill(&mut filler, 30_000, 100);
            let &(last, last_len) = pieces.last().unwrap();
            let end = last + last_len as u32;
            filler.write_within(ENOUGH, end, &vec![0xff; failed]);
            filler.write_within(ENOUGH, end, &bytes(end, len));
            let behind = end + len as u32;
            filler.write_within(ENOUGH, behind, &bytes(behind, 200_000));
            for (offset, len) in [(end, len), (behind, 200_000)].into_iter().chain(pieces) {
                let found = get(filler.blocks(), (offset, len));
                assert!(
                    found.is_none_or(|found| found == bytes(offset, len)),
                    "{offset}, {len}"
                );
            }
            if failed <= 40_000 {
                // The blocks behind are as good as any.
                let far = behind + 150_000;
                assert_eq!(get(filler.blocks(), (far, 100)), Some(bytes(far, 100)));
            }
        }
    }
}

#[test]
fn a_block_goes_when_hardly_anything_in_it_is_live() {
    let _alone = ALONE.lock();
    let mut filler = filler();
    let held = filler.blocks().held;
    let pieces = fill(&mut filler, 1 << 20, 100);
    let all = held.bytes();
    let (mut dead, mut gone) = (0, 0);
    for &(offset, len) in &pieces {
        let there = filler.blocks().subtract(offset, len as u32);
        dead += len;
        gone += usize::from(!there);
        assert!(held.bytes() + dead as u64 <= all + (LEN / MIN_LIVE + LEN) as u64 + gone as u64 * 150);
    }
    assert_eq!(
        held.bytes(),
        2 * LEN as u64,
        "the one that is being filled, and the one before"
    );
    // One object that is overwritten again and again, of which the one who fills the blocks may know.
    let (mut end, mut before) = pieces.last().map(|&(at, len)| (at + len as u32, None)).unwrap();
    for round in 0..10_000 {
        filler.write_within(ENOUGH, end, &bytes(end, 100));
        if let Some(before) = before.replace(end) {
            let there = if round < 5_000 {
                filler.blocks().subtract(before, 100)
            } else {
                filler.subtract_in_front(before, 100) || filler.blocks().subtract(before, 100)
            };
            assert!(there);
        }
        // It may begin at the end of the block before.
        assert_eq!(get(filler.blocks(), (end, 100)), Some(bytes(end, 100)));
        assert!(held.bytes() <= 2 * LEN as u64);
        end += 100;
    }
    filler.blocks().clear();
    assert_eq!((held.bytes(), get(filler.blocks(), (end - 100, 100))), (0, None));
    // It has no other one in its place.
    assert!(!filler.subtract_in_front(end - 100, 100));
    filler.write_within(ENOUGH, end, &bytes(end, 100));
    assert_eq!(get(filler.blocks(), (end, 100)), None);
    // Those behind it come as ever.
    filler.write_within(ENOUGH, end + 100, &bytes(end + 100, 200_000));
    assert_eq!(
        get(filler.blocks(), (end + 150_000, 100)),
        Some(bytes(end + 150_000, 100))
    );
}

/// What died in the block that is being filled is counted of that block, once. And when nothing more is written, none is spared.
#[test]
fn each_block_counts_its_own_dead() {
    let _alone = ALONE.lock();
    let mut filler = filler();
    let held = filler.blocks().held;
    // Of the first whole block all is dead, but for some live records at its end.
    let from = LEN as u32;
    filler.write_within(ENOUGH, from, &bytes(from, 60_000));
    assert!(filler.subtract_in_front(from, 60_000));
    let live = from + 60_000;
    filler.write_within(ENOUGH, live, &bytes(live, 1_000));
    // The two behind it are live.
    let behind = from + LEN as u32;
    filler.write_within(ENOUGH, live + 1_000, &bytes(live + 1_000, 150_000));
    assert_eq!(get(filler.blocks(), (live, 1_000)), None, "little of it was live");
    assert_eq!(get(filler.blocks(), (behind, 1_000)), Some(bytes(behind, 1_000)));
    assert!(
        !filler.subtract_in_front(behind, 1_000),
        "it is not in front any more"
    );
    assert_eq!(get(filler.blocks(), (behind, 1_000)), Some(bytes(behind, 1_000)));
    filler.write_within(ENOUGH, live + 151_000, &bytes(live + 151_000, 150_000));
    assert_eq!(held.bytes(), 5 * LEN as u64);
    let blocks = Arc::clone(filler.blocks());
    drop(filler);
    let newest = live + 300_000;
    assert_eq!(get(&blocks, (newest, 1_000)), Some(bytes(newest, 1_000)));
    for number in 2..7 {
        blocks.subtract(number * from, from);
    }
    assert_eq!(held.bytes(), 0);
}

#[test]
fn the_oldest_go_when_there_is_no_room_and_what_is_read_stays() {
    let _alone = ALONE.lock();
    let mut filler = filler();
    let held = filler.blocks().held;
    let limit = 1 << 20;
    let mut at = HEADER_LEN;
    while at < 20 << 20 {
        filler.write_within(limit, at, &bytes(at, 1_000));
        assert!(held.bytes() <= limit);
        let first = get(filler.blocks(), (HEADER_LEN, 1_000));
        assert_eq!(first, Some(bytes(HEADER_LEN, 1_000)), "at {at}");
        at += 1_000;
    }
    let kept = (0..210).filter(|n| get(filler.blocks(), (n * 100_000, 10)).is_some());
    let kept: Vec<u32> = kept.collect();
    assert!(kept.len() < 15 && kept[0] == 0 && kept.contains(&209), "{kept:?}");
    // One that presses nobody has to do with what is free.
    let mut other = Filler::new(account(), false);
    other.write_within(limit / 2, HEADER_LEN, &bytes(HEADER_LEN, 100));
    assert_eq!(get(other.blocks(), (HEADER_LEN, 100)), None);
    drop(filler);
    assert_eq!(held.bytes(), 0);
}

#[test]
fn nothing_is_kept_without_room_for_a_block() {
    let _alone = ALONE.lock();
    for limit in [0, 1, SMALL_LEN as u64 - 1] {
        let mut filler = filler();
        let (first, second) = (HEADER_LEN, HEADER_LEN + 100);
        filler.write_within(limit, first, &bytes(first, 100));
        assert_eq!(get(filler.blocks(), (first, 100)), None);
        // What follows is kept as soon as there is room, and what stands in front of it is not taken for what was written there.
        filler.write_within(ENOUGH, second, &bytes(second, SMALL_LEN));
        assert_eq!(
            get(filler.blocks(), (second, SMALL_LEN)),
            Some(bytes(second, SMALL_LEN))
        );
        assert_eq!(get(filler.blocks(), (first, 100)), Some(vec![0; 100]));
    }
}

/// Memory that nobody wrote would be read as what stands in the gap.
#[test]
fn nothing_is_kept_behind_a_gap_in_a_block() {
    let _alone = ALONE.lock();
    let mut filler = filler();
    let behind = HEADER_LEN + 200;
    filler.write(HEADER_LEN, &bytes(HEADER_LEN, 100), &[]);
    filler.write(behind, &bytes(behind, 100), &[]);
    assert_eq!(get(filler.blocks(), (behind - 100, 100)), None);
    assert_eq!(get(filler.blocks(), (behind, 100)), None);
    assert!(get(filler.blocks(), (HEADER_LEN, 100)).is_some());
}

/// The end of a record would be zeros, and its front would tell that it is one.
#[test]
fn what_was_kept_in_part_is_not_found() {
    let _alone = ALONE.lock();
    let mut filler = filler();
    let end = 2 * SMALL_LEN as u32;
    fill(&mut filler, end - 200, 100);
    let at = filler.blocks().front().1 + SMALL_LEN as u32;
    // It goes on in the next block, which has no room for its end, but for what comes behind it.
    let len = (end - at) as usize + 50;
    filler.write_within(ENOUGH, at, &bytes(at, len - 50));
    filler.write_within(0, end, &bytes(end, 50));
    filler.write_within(ENOUGH, end + 50, &bytes(end + 50, 100));
    assert_eq!(get(filler.blocks(), (at, len)), None);
    assert_eq!(get(filler.blocks(), (at, len - 50)), Some(bytes(at, len - 50)));
    assert_eq!(get(filler.blocks(), (end + 50, 100)), Some(bytes(end + 50, 100)));
}

#[test]
fn of_what_is_too_long_nothing_is_kept() {
    let _alone = ALONE.lock();
    let mut filler = filler();
    let held = filler.blocks().held;
    let at = HEADER_LEN;
    let all = bytes(at, 1 << 20);
    let ranges = [100..200_000, 200_000..500_000, 500_100..1_000_000];
    filler.write(at, &all, &ranges);
    for kept in [0..100, 500_000..500_100, 1_000_000..1 << 20] {
        let place = (at + kept.start as u32, kept.len());
        assert_eq!(get(filler.blocks(), place), Some(bytes(place.0, place.1)));
    }
    assert_eq!(get(filler.blocks(), (at + 100, 199_900)), None);
    assert!(held.bytes() <= 4 * LEN as u64, "{}", held.bytes());
    // What comes next is kept.
    let end = at + (1 << 20);
    filler.write(end, &bytes(end, 100), &[]);
    assert_eq!(get(filler.blocks(), (end, 100)), Some(bytes(end, 100)));
    filler.write(
        end + 100,
        &bytes(end + 100, 100_000),
        &[0..50_000, 50_000..100_000],
    );
    filler.write(end + 100_100, &bytes(end + 100_100, 100), &[]);
    assert_eq!(
        get(filler.blocks(), (end + 100_100, 100)),
        Some(bytes(end + 100_100, 100))
    );
}

/// A reader may come with a location whose slot has another segment by now, where anything may stand.
#[test]
fn what_an_old_location_leads_to_is_not_taken_for_its_record() {
    let _alone = ALONE.lock();
    let segment = Segment::new(&Arc::new(Dir::new(Path::new("/t"))), 7, 3);
    let mut filler = filler();
    segment.set_blocks(filler.blocks());
    let record = Record::new(Kind::Put, Key::plain(b"key"), b"value");
    let tombstone = Record::new(Kind::Delete, Key::plain(b"key"), b"");
    let mut frames = Vec::new();
    let mut put = |record: &Record<'_>, segment| {
        let at = frames.len();
        let (seq, durable_seq) = (1, None);
        record.put(
            &mut frames,
            Stamp {
                segment,
                seq,
                durable_seq,
            },
        );
        let len = (frames.len() - at) as u64;
        Location::new(3, HEADER_LEN + at as u32, len)
    };
    let right = put(&record, 7);
    let wrong = [
        put(&record, 8),
        put(&tombstone, 7),
        put(&record.as_compressed(), 7),
    ];
    let long = Location::new(3, right.offset(), record.frame_len() as u64 + 1);
    filler.write_within(ENOUGH, HEADER_LEN, &frames);
    let get = |location| {
        cached_put(&segment, location, &epoch::pin(), |key, value| {
            (key.to_vec(), value.to_vec())
        })
    };
    assert_eq!(get(right), Some((b"key".to_vec(), b"value".to_vec())));
    for location in wrong.into_iter().chain([long]) {
        assert_eq!(get(location), None, "{location:?}");
    }
}

#[test]
fn readers_find_what_was_written_or_nothing_while_blocks_come_and_go() {
    let _alone = ALONE.lock();
    let mut filler = filler();
    let blocks = Arc::clone(filler.blocks());
    let written = Written::new(HEADER_LEN);
    let end = if cfg!(miri) { 200_000 } else { 30 << 20 };
    thread::scope(|scope| {
        for reader in 0..2u32 {
            let (blocks, written) = (&blocks, &written);
            scope.spawn(move || {
                let (mut found, mut reads, mut n) = (0, 0, reader);
                loop {
                    let until = written.load(Ordering::Acquire);
                    reads += 1;
                    n = n.wrapping_mul(0x9e37_79b1).wrapping_add(1);
                    let behind = if n % 2 == 0 { until / 10 } else { until };
                    let offset = (until - 1 - n % behind).max(HEADER_LEN);
                    let len = (1 + n as usize % 300).min((until - offset) as usize);
                    if let Some(bytes) = get(blocks, (offset, len)) {
                        found += 1;
                        assert!(bytes.iter().zip(offset..).all(|(&b, at)| b == byte(at)));
                    }
                    if n % 64 == 0 {
                        blocks.subtract(offset, 10_000);
                    }
                    if until >= end && reads > 10_000 {
                        return assert!(found > 0);
                    }
                }
            });
        }
        let mut at = HEADER_LEN;
        while at < end {
            let len = 100 + at as usize % 400;
            filler.write_within(ENOUGH, at, &bytes(at, len));
            at += len as u32;
            written.store(at, Ordering::Release);
        }
    });
}
