use std::sync::atomic::AtomicU32 as Written;
use std::thread;

use super::super::tests::ALONE;
use super::*;

/// Room for all that the tests of this process keep.
const ENOUGH: u64 = 1 << 40;

/// The byte that stands at an offset, so that every one knows what it should have read.
fn byte(offset: u32) -> u8 {
    (offset.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

fn bytes(offset: u32, len: usize) -> Vec<u8> {
    (offset..offset + len as u32).map(byte).collect()
}

fn filler() -> Filler {
    Filler::new(Account::open(), true)
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

fn get(blocks: &Blocks, (offset, len): (u32, usize)) -> Option<Vec<u8>> {
    blocks.get(offset, len, <[u8]>::to_vec)
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
            assert_eq!(
                get(filler.blocks(), (offset, len)),
                Some(bytes(offset, len)),
                "{offset}, {len}"
            );
        }
        let &(last, len) = pieces.last().unwrap();
        assert_eq!(get(filler.blocks(), (last, len + 1)), None, "not written yet");
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
    assert_eq!(held.bytes(), LEN as u64, "the one that is being filled");
    // One object that is overwritten again and again.
    let (mut end, mut before) = pieces.last().map(|&(at, len)| (at + len as u32, None)).unwrap();
    for _ in 0..10_000 {
        filler.write_within(ENOUGH, end, &bytes(end, 100));
        if let Some(before) = before.replace(end) {
            filler.blocks().subtract(before, 100);
        }
        // One that begins at the end of a block goes with it.
        let is_in_one = place(end).0 == place(end + 99).0;
        assert_eq!(
            get(filler.blocks(), (end, 100)),
            is_in_one.then(|| bytes(end, 100))
        );
        assert!(held.bytes() <= 2 * LEN as u64);
        end += 100;
    }
    filler.blocks().clear();
    assert_eq!((held.bytes(), get(filler.blocks(), (end - 100, 100))), (0, None));
    // It has no other one in its place.
    filler.write_within(ENOUGH, end, &bytes(end, 100));
    assert_eq!(get(filler.blocks(), (end, 100)), None);
    // Those behind it come as ever.
    filler.write_within(ENOUGH, end + 100, &bytes(end + 100, 200_000));
    assert_eq!(
        get(filler.blocks(), (end + 150_000, 100)),
        Some(bytes(end + 150_000, 100))
    );
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
    let mut other = Filler::new(Account::open(), false);
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
        filler.write_within(limit, HEADER_LEN, &bytes(HEADER_LEN, 100));
        assert_eq!(get(filler.blocks(), (HEADER_LEN, 100)), None);
        // What follows does not stand behind what is missing.
        filler.write_within(ENOUGH, HEADER_LEN + 100, &bytes(HEADER_LEN + 100, SMALL_LEN));
        assert_eq!(get(filler.blocks(), (HEADER_LEN + 100, 100)), None);
        let next = SMALL_LEN as u32;
        assert_eq!(get(filler.blocks(), (next, 100)), Some(bytes(next, 100)));
        // What was left out is memory that nobody wrote.
        let end = HEADER_LEN + 100 + next;
        filler.write_within(ENOUGH, end + 100, &bytes(end + 100, 100));
        assert_eq!(get(filler.blocks(), (end, 100)), None);
        assert_eq!(get(filler.blocks(), (end + 100, 100)), None);
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
