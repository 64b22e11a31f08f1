//! Files whose every CRC is right and that tell what no writer wrote. Whatever a check takes for sound must open, and so must what a repair leaves.

use bets_engine::format::frame::Head;
use bets_engine::format::manifest::Manifest;
use bets_engine::format::segment::file_name;
use bets_engine::format::{IMPOSSIBLE_ID, MAX_SEQ};

use super::*;

/// Where the key of a frame begins that has neither expiry nor suffix nor long parts.
const KEY: usize = 27;
const SEQ: Range<usize> = 13..21;

/// Changes a frame and makes its CRCs right.
fn forge(sim: &Sim, path: &Path, range: &Range<usize>, change: impl FnOnce(&mut [u8])) {
    let mut file = sim.read(path).unwrap();
    let frame = &mut file[range.start..];
    change(frame);
    let head = Head::parse(frame).unwrap();
    frame[4..8].fill(0);
    if head.value_len > 0 {
        let crc = crc32fast::hash(&frame[head.checked_len()..head.frame_len()]);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32fast::hash(&frame[8..head.checked_len()]);
    frame[..4].copy_from_slice(&crc.to_le_bytes());
    sim.write(path, &file).unwrap();
}

fn set_seq(frame: &mut [u8], seq: u64) {
    frame[SEQ].copy_from_slice(&seq.to_le_bytes());
}

/// A table with a batch, a deletion behind it and a mark, closed or killed, and its objects.
fn batched(closed: bool) -> (Sim, Contents) {
    let sim = Sim::new();
    let table = create(&sim, TableKind::Set);
    put(&table, b"k2", b"deleted behind the batch");
    put(&table, b"b1", b"old");
    put_many(
        &table,
        &[(b"b1".to_vec(), vec![1; 9]), (b"b2".to_vec(), vec![2; 9])],
    )
    .unwrap();
    table.delete(key(b"k2"), Wait::May).unwrap();
    table.sync().unwrap();
    put(&table, b"z", b"behind the sync");
    let all = contents(&table);
    if closed {
        table.close().unwrap();
    } else {
        table.kill();
    }
    (sim.kill(sim.ops()), all)
}

/// What a check calls sound opens; what it does not is repaired, and then is sound and opens. Gives the first report, and what the table has then.
fn mends(sim: &Sim) -> (Report, Contents) {
    let report = check(sim);
    let opened = open(&sim.kill(sim.ops()), &existing()).map(Table::kill);
    assert!(opened.is_ok() || !report.is_sound(), "{opened:?}");
    force(sim, TableKind::Set);
    let after = check(sim);
    assert!(after.is_sound(), "{:?}, then {:?}", report.faults, after.faults);
    let left = read(&sim.kill(sim.ops()));
    put(&open(sim, &existing()).unwrap(), b"goes", b"on");
    (report, left)
}

/// Found by the fuzzer of directories: a commit with a longer key took in the deletion behind it. The hint vouched for the batch's members, so the segment
/// passed for sound and its hint for a liar; with the hint gone, nobody vouched for the members any more.
#[test]
fn a_commit_that_is_none_of_its_batch_is_damage_of_its_segment() {
    let (image, expected) = batched(true);
    let (path, commit) = place(&image, Kind::Commit, b"");
    let (_, delete) = place(&image, Kind::Delete, b"k2");
    assert_eq!(commit.end, delete.start);
    forge(&image, &path, &commit, |frame| frame[25] += delete.len() as u8);
    let blind = image.kill(0);
    forget_hints(&blind);

    let (report, left) = mends(&image);
    assert_eq!(report.worst, Some(Loss::Nothing), "{:?}", report.faults);
    assert!(report.faults.iter().all(|fault| fault.path == path));
    assert_eq!(
        left, expected,
        "the hint knows of the members and of the deletion"
    );

    let (report, left) = mends(&blind);
    assert_eq!(report.worst, Some(Loss::Records));
    assert!(left.contains(&(b"b1".to_vec(), b"old".to_vec())));
    assert!(
        !left.iter().any(|(k, _)| k == b"b2"),
        "nobody vouches for the batch"
    );
}

/// Neighbours of that: every frame of a batch is right, and the batch is not. An opening that reads it from the log refuses it, so a check must not pass it.
#[test]
fn a_batch_that_is_wrong_though_its_frames_are_right_is_mended_and_kept() {
    let more: fn(&mut [u8]) = |frame| frame[KEY] += 1;
    let shorter: fn(&mut [u8]) = |frame| frame[KEY + 4] -= 1;
    for closed in [true, false] {
        for hints in [true, false] {
            for (kind, change) in [(Kind::Batch, more), (Kind::Batch, shorter)] {
                let (image, expected) = batched(closed);
                let (path, range) = place(&image, kind, b"");
                forge(&image, &path, &range, change);
                if !hints {
                    forget_hints(&image);
                }
                let (report, left) = mends(&image);
                assert_eq!(report.worst, Some(Loss::Nothing), "{:?}", report.faults);
                assert_eq!(report.fault_count(), 1, "{:?}", report.faults);
                assert_eq!(
                    (&report.faults[0].path, report.faults[0].offset),
                    (&path, range.start as u64)
                );
                assert_eq!(left, expected);
            }
        }
    }
}

/// The header of a batch that is another record: its members have no place, but their commit.
#[test]
fn members_whose_header_is_another_record_are_kept() {
    for closed in [true, false] {
        let (image, expected) = batched(closed);
        forget_hints(&image);
        let (path, range) = place(&image, Kind::Batch, b"");
        // A mark in its place; the seq is that of the record before it.
        forge(&image, &path, &range, |frame| {
            frame[8] = Kind::Mark as u8;
            set_seq(frame, 2);
        });
        let (report, left) = mends(&image);
        assert_eq!(report.worst, Some(Loss::Nothing), "{:?}", report.faults);
        assert_eq!(left, expected);
    }
}

/// Found by a change of what the fuzzer of directories had found: a member that is a batch itself was taken for a record, and repair wrote it as one.
#[test]
fn a_member_that_is_no_record_is_told_and_goes() {
    for closed in [true, false] {
        for kind in [Kind::Batch, Kind::Commit, Kind::Mark] {
            for hints in [true, false] {
                let (image, expected) = batched(closed);
                let (path, range) = place(&image, Kind::Put, b"b2");
                // Its flag stays.
                forge(&image, &path, &range, |frame| {
                    frame[8] = frame[8] & 0xf0 | kind as u8
                });
                if !hints {
                    forget_hints(&image);
                }
                let (report, left) = mends(&image);
                assert_eq!(
                    report.worst,
                    Some(Loss::Records)
                        .filter(|_| !hints || !closed)
                        .or(Some(Loss::Object))
                );
                assert!(
                    left.iter()
                        .all(|object| expected.contains(object) || object.1 == b"old"),
                    "{kind:?}: {left:?}"
                );
                assert!(left.iter().any(|(k, _)| k == b"b1"), "{kind:?}: {left:?}");
            }
        }
        // A mark that is none's member.
        let (image, expected) = batched(closed);
        forget_hints(&image);
        let (path, range) = place(&image, Kind::Mark, b"");
        forge(&image, &path, &range, |frame| frame[8] |= 0x20);
        let (report, left) = mends(&image);
        if closed {
            assert_eq!((report.worst, left), (Some(Loss::Nothing), expected));
        } else {
            assert_eq!(report.worst, None, "the log ends there, above what is durable");
        }
    }
}

/// A mark has the seq of the record before it. With another one an opening goes no further.
#[test]
fn a_mark_out_of_order_is_told() {
    for closed in [true, false] {
        for seq in [1, 4, 6, 7, 1000, MAX_SEQ / 2, MAX_SEQ, u64::MAX] {
            let (image, expected) = batched(closed);
            forget_hints(&image);
            let (path, range) = place(&image, Kind::Mark, b"");
            forge(&image, &path, &range, |frame| set_seq(frame, seq));
            let (_, left) = mends(&image);
            let kept = expected.iter().filter(|(k, _)| k != b"z");
            assert!(
                kept.clone().all(|object| left.contains(object)),
                "{closed}, {seq}: {left:?}"
            );
        }
    }
}

/// Found by the fuzzer of directories: a member of an unsealed segment had a seq, and so a mark, beyond all that a manifest may have. Repair believed it, and
/// published a manifest that nobody reads.
#[test]
fn no_seq_of_a_record_makes_a_manifest_that_is_not_read() {
    for seq in [
        1 << 40,
        MAX_SEQ / 2,
        MAX_SEQ / 2 + 1,
        MAX_SEQ,
        MAX_SEQ + 1,
        0x5d18_6b00_0000_002a,
        u64::MAX,
    ] {
        for kind in [Kind::Put, Kind::Commit, Kind::Batch] {
            for closed in [true, false] {
                let (image, _) = batched(closed);
                forget_hints(&image);
                let k: &[u8] = if kind == Kind::Put { b"b2" } else { b"" };
                let (path, range) = place(&image, kind, k);
                forge(&image, &path, &range, |frame| set_seq(frame, seq));
                let (_, left) = mends(&image);
                // What claims to be possible is believed, and what follows it is out of order.
                let believed = kind == Kind::Put && seq <= MAX_SEQ / 2 && !closed;
                assert!(
                    believed || !left.iter().any(|(k, _)| k == b"k2"),
                    "{seq}, {kind:?}: {left:?}"
                );
            }
        }
    }
}

/// Behind the end of the log a mark that tells what cannot be has an opening refuse the table, so a check must not call it sound.
#[test]
fn an_impossible_mark_behind_the_end_of_the_log_is_told_and_goes() {
    for seq in [MAX_SEQ / 2 + 1, MAX_SEQ + 1, u64::MAX] {
        let (image, expected) = batched(false);
        let (path, mark) = place(&image, Kind::Mark, b"");
        let mut file = image.read(&path).unwrap();
        let copy = file[mark.clone()].to_vec();
        let at = file.len();
        file.resize(at + 100, 0);
        file.extend_from_slice(&copy);
        image.write(&path, &file).unwrap();
        let there = at + 100..at + 100 + copy.len();
        forge(&image, &path, &there, |frame| set_seq(frame, seq));
        let (report, left) = mends(&image);
        assert_eq!(report.worst, Some(Loss::Nothing), "{:?}", report.faults);
        assert_eq!(left, expected);
    }
}

/// Changes the manifest.
fn rewrite(sim: &Sim, change: impl FnOnce(&mut Manifest)) {
    let path = Path::new(DIR).join("MANIFEST");
    let mut manifest = Manifest::decode(&sim.read(&path).unwrap()).unwrap();
    change(&mut manifest);
    sim.write(&path, &manifest.encode()).unwrap();
}

/// What each number of a manifest may be at most is what a table can be opened with, and repaired: at its end, and next to it.
#[test]
fn no_number_of_a_manifest_leads_to_one_that_is_not_read() {
    let half = MAX_SEQ / 2;
    for seq in [
        half - 9,
        half - 8,
        half - 3,
        half - 2,
        half - 1,
        half,
        half + 1,
        MAX_SEQ - 1,
        MAX_SEQ,
    ] {
        let changes: [&dyn Fn(&mut Manifest); 5] = [
            &|manifest| manifest.generation = seq,
            &|manifest| manifest.last_seq = seq,
            &|manifest| manifest.segments[0].last_seq = seq,
            &|manifest| manifest.segments[0].first_seq = seq,
            &|manifest| manifest.clock_ms = seq * 2,
        ];
        for (n, change) in changes.iter().enumerate() {
            for damaged in [true, false] {
                let (image, _) = batched(true);
                rewrite(&image, change);
                if damaged {
                    let (path, range) = place(&image, Kind::Put, b"z");
                    flip(&image, &path, range.end - 1);
                }
                let (_, left) = mends(&image);
                assert!(left.iter().any(|(k, _)| k == b"b1"), "{n}, {seq}: {left:?}");
            }
        }
    }
}

/// An opening publishes a manifest with the next generation. One that has none stays as it is, and is refused.
#[test]
fn a_manifest_that_none_can_follow_is_left_as_it_is() {
    let (image, _) = batched(true);
    rewrite(&image, |manifest| manifest.generation = MAX_SEQ);
    let before = image.read(&Path::new(DIR).join("MANIFEST")).unwrap();
    assert!(matches!(open(&image, &existing()), Err(Error::Damaged { .. })));
    assert_eq!(image.read(&Path::new(DIR).join("MANIFEST")).unwrap(), before);
    assert!(!check(&image).is_sound());
    mends(&image);
}

/// The ids of segments come to their end too: by what a manifest says comes next, or by a file's name.
#[test]
fn no_id_of_a_segment_is_the_last() {
    let half = u32::MAX / 2;
    for next in [
        half - 9,
        half - 4,
        half - 3,
        half - 2,
        half - 1,
        half,
        half + 1,
        u32::MAX - 1,
        u32::MAX,
    ] {
        for damaged in [true, false] {
            let (image, expected) = batched(true);
            rewrite(&image, |manifest| manifest.next_segment = next);
            if damaged {
                let (path, range) = place(&image, Kind::Put, b"z");
                flip(&image, &path, range.end - 1);
            }
            let (_, left) = mends(&image);
            assert_eq!(left.len(), expected.len() - usize::from(damaged), "{next}");
        }
    }
    for id in [IMPOSSIBLE_ID - 1, IMPOSSIBLE_ID, u32::MAX - 1, u32::MAX] {
        for (headless, headed) in [(false, false), (true, false), (true, true)] {
            let (image, expected) = batched(true);
            let stray = Path::new(DIR).join(file_name(id));
            let first = &segments(&image)[0];
            let mut bytes = image.read(first).unwrap();
            if !headed {
                bytes[20] ^= 1;
            }
            storage(&image)
                .create(&stray)
                .unwrap()
                .write_at(&bytes, 0)
                .unwrap();
            if headless {
                image.remove(&Path::new(DIR).join("MANIFEST")).unwrap();
            } else {
                flip(&image, first, 32 + 15);
            }
            let (_, left) = mends(&image);
            assert!(left.iter().all(|object| expected.contains(object)), "{id}");
            assert!(!headless || left == expected, "{id}");
        }
    }
}
