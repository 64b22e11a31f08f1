//! Hints and checkpoints: what is wrong with them is told, and what a right hint tells of a damaged segment is believed.

use bets_engine::format::hint::{Block, Encoder, Entry, HEADER_LEN, Identity, TRAILER_LEN, header};

use super::*;

/// Of a hint that was there, any bit may rot and any byte be missing: a check tells it, nothing is lost, and the next opening makes it anew.
#[test]
fn a_hint_or_checkpoint_that_is_wrong_is_told_and_harmless() {
    for kind in [TableKind::Set, TableKind::OrderedSet, TableKind::Bag] {
        let image = hundred_of(kind);
        let expected = read(&image.kill(0));
        assert_eq!(check(&image).spoilt, [], "{kind:?}");
        let mut files = hints(&image);
        assert!(files.len() > 1, "{kind:?}: {} hints", files.len());
        files.push(Path::new(DIR).join("CHECKPOINT"));
        for path in files {
            let len = image.read(&path).unwrap().len();
            let told = |spoilt: &Sim, what: &str| {
                let report = check(spoilt);
                assert!(report.is_sound(), "{what}: {:?}", report.faults);
                let told: Vec<_> = report
                    .spoilt
                    .iter()
                    .map(|fault| (&fault.path, fault.loss))
                    .collect();
                assert_eq!(told, [(&path, Loss::Nothing)], "{what}");
            };
            for bit in (0..len * 8).step_by(13) {
                let flipped = image.kill(0);
                flipped.flip_bit(&path, bit as u64 / 8, bit as u8 % 8).unwrap();
                let what = format!("{kind:?}, bit {bit} of {}", path.display());
                told(&flipped, &what);
                if bit % 7 == 0 {
                    assert_eq!(read(&flipped), expected, "{what}");
                }
            }
            for len in (0..len as u64).step_by(11) {
                let cut = image.kill(0);
                cut.set_len(&path, len).unwrap();
                told(&cut, &format!("{kind:?}, {} cut at {len}", path.display()));
            }
            let cut = image.kill(0);
            cut.set_len(&path, len as u64 / 2).unwrap();
            // With a checkpoint nobody reads hints.
            let _ = cut.remove(&Path::new(DIR).join("CHECKPOINT"));
            let table = open(&cut, &existing()).unwrap();
            table.close().unwrap();
            assert_eq!(check(&cut).spoilt, [], "{} is made anew", path.display());
        }
    }
}

/// A repair takes away what stands beside the damage and is of no use. Where there is nothing to repair it changes nothing.
#[test]
fn a_repair_takes_spoilt_hints_away() {
    let image = hundred(TableKind::Set);
    let files = hints(&image);
    flip(&image, &files[0], 90);
    let spoilt = named(&image);
    assert_eq!((spoilt.status, spoilt.spoilt.len()), (Status::Unchanged, 1));
    assert_eq!(hints(&image), files);
    let path = segments(&image).pop().unwrap();
    let end = frames(&image.read(&path).unwrap())[0].0.end;
    flip(&image, &path, end - 1);
    assert_eq!(named(&image).status, Status::Repaired);
    assert!(!hints(&image).contains(&files[0]));
    assert!(check(&image).is_sound());
}

/// An opening publishes its manifest first and removes the checkpoint behind it; a kill between the two leaves one that fits no more.
#[test]
fn a_checkpoint_of_another_manifest_is_told() {
    let image = hundred(TableKind::Set);
    let checkpoint = image.read(&Path::new(DIR).join("CHECKPOINT")).unwrap();
    open(&image, &existing()).unwrap().kill();
    let file = storage(&image)
        .create(&Path::new(DIR).join("CHECKPOINT"))
        .unwrap();
    file.write_at(&checkpoint, 0).unwrap();
    let report = check(&image);
    assert!(report.is_sound());
    assert_eq!(report.spoilt.len(), 1);
    assert_eq!(
        report.spoilt[0].what,
        "the checkpoint is that of another manifest"
    );
}

/// A hint whose every CRC is right, and that leaves a record out, would be believed by each opening, which then would not have the key: that is no harmless fault. A
/// repair takes it away.
#[test]
fn a_hint_that_lies_is_a_fault_and_a_repair_takes_it_away() {
    let mut left_out = 0;
    let (image, expected, path) = with_lie(|entry| {
        let leave = entry.kind == Kind::Put && left_out == 0 && entry.key.bytes() == [2, 2];
        left_out += usize::from(leave);
        !leave
    });
    assert_eq!(left_out, 1);
    let lie = image.read(&path).unwrap();
    assert_ne!(read(&image.kill(0)), expected, "the lie is believed");
    assert_the_lie_is_told_and_repaired(&image, &path, &expected);
    let kept = Path::new(DIR).join("quarantine").join(path.file_name().unwrap());
    assert_eq!(image.read(&kept).unwrap(), lie);
}

/// Its every CRC is right, and one of its records stands in another. A load reads the blocks by themselves and does not see it; a check told it as spoilt, and a
/// repair left it where it was.
#[test]
fn a_hint_whose_entries_overlap_is_a_fault_and_a_repair_takes_it_away() {
    let mut before = 0;
    let (image, expected, path) = with_lie(|entry| {
        if entry.kind == Kind::Put && entry.key.bytes() == [2, 2] {
            entry.offset = before + 1;
        }
        before = entry.offset;
        true
    });
    assert_the_lie_is_told_and_repaired(&image, &path, &expected);
}

/// A table, what it holds, and its hint that was [`forged`]; no checkpoint hides it.
fn with_lie(change: impl FnMut(&mut Entry<'_>) -> bool) -> (Sim, Contents, PathBuf) {
    let image = hundred(TableKind::Set);
    let expected = read(&image.kill(0));
    let path = hints(&image).remove(0);
    let lie = forged(&image.read(&path).unwrap(), change);
    image.write(&path, &lie).unwrap();
    image.remove(&Path::new(DIR).join("CHECKPOINT")).unwrap();
    (image, expected, path)
}

fn assert_the_lie_is_told_and_repaired(image: &Sim, path: &Path, expected: &Contents) {
    let report = check(image);
    assert_eq!(
        (report.worst, report.fault_count(), &*report.faults[0].path),
        (Some(Loss::Nothing), 1, path),
        "{:?}",
        report.faults
    );
    assert_eq!(named(image).status, Status::Repaired);
    assert!(check(image).is_sound());
    assert_eq!(&read(image), expected);
}

/// A hint of one block with other entries, each in a block of its own, and the right CRCs: each entry is changed, or left out.
fn forged(hint: &[u8], mut change: impl FnMut(&mut Entry<'_>) -> bool) -> Vec<u8> {
    let number = |at: usize| u64::from_le_bytes(hint[at..at + 8].try_into().unwrap());
    let identity = Identity {
        table: number(16),
        segment: u32::from_le_bytes(hint[12..16].try_into().unwrap()),
        len: number(24),
        first_seq: number(32),
        last_seq: number(40),
    };
    let mut block = Block::check(&identity, 0, &hint[HEADER_LEN..hint.len() - TRAILER_LEN]).unwrap();
    let mut encoder = Encoder::new(identity.table, identity.segment);
    let mut forged = header(&identity).to_vec();
    while let Some(mut entry) = block.next_entry().unwrap() {
        if change(&mut entry) {
            encoder.push(&entry);
            forged.extend_from_slice(encoder.take());
        }
    }
    forged.extend_from_slice(&encoder.trailer());
    forged
}

/// A whole header of a record is rotten, so the segment does not tell whose it was; the hint does. The key is named, and what it had before stays away.
#[test]
fn a_record_that_cannot_be_read_is_named_by_the_hint_and_nothing_older_comes_back() {
    for kind in [TableKind::Set, TableKind::OrderedSet] {
        let sim = Sim::new();
        let table = create(&sim, kind);
        put(&table, b"a", b"old");
        put(&table, b"b", b"old");
        table.close().unwrap();
        let table = open(&sim, &existing()).unwrap();
        put(&table, b"a", b"new");
        table.delete(key(b"b"), Wait::May).unwrap();
        put(&table, b"c", b"other");
        table.close().unwrap();
        let image = sim.kill(sim.ops());
        let path = segments(&image).pop().unwrap();
        let all = frames(&image.read(&path).unwrap());
        // The put of a, and the deletion of b.
        for (range, ..) in &all[..2] {
            flip(&image, &path, range.start + 15);
        }
        let blind = image.kill(0);
        forget_hints(&blind);
        assert_eq!(named(&blind).status, Status::Refused, "nobody knows the keys");

        let report = named(&image);
        assert_eq!(
            (report.status, report.worst),
            (Status::Repaired, Some(Loss::Object))
        );
        let mut lost = report.faults.iter().filter(|fault| fault.loss == Loss::Object);
        let fault = lost.next().unwrap();
        assert_eq!(fault.key, Some((b"a".to_vec(), 1)));
        assert_eq!(
            (fault.offset, fault.len),
            (all[0].0.start as u64, all[0].0.len() as u64)
        );
        assert!(lost.next().is_none(), "a deletion is whole again");
        assert_eq!(read(&image), [(b"c".to_vec(), b"other".to_vec())]);
        assert!(check(&image).is_sound());
    }
}

/// The whole file is gone: its hint names every key that was in it.
#[test]
fn of_a_missing_segment_the_hint_names_each_key() {
    for kind in [TableKind::Set, TableKind::Bag] {
        let image = hundred_of(kind);
        let before = read(&image.kill(0));
        let path = segments(&image).remove(1);
        let had = frames(&image.read(&path).unwrap());
        image.remove(&path).unwrap();
        let report = named(&image);
        assert_eq!(
            (report.status, report.worst),
            (Status::Repaired, Some(Loss::Object)),
            "{kind:?}"
        );
        let puts = had.iter().filter(|(_, of, ..)| *of == Kind::Put).count();
        let lost = report.faults.iter().filter(|fault| fault.loss == Loss::Object);
        let keys: BTreeSet<_> = lost.clone().map(|fault| fault.key.clone().unwrap().0).collect();
        assert_eq!(lost.count(), puts, "{kind:?}");
        let left = read(&image);
        for object in &before {
            let named = keys.iter().any(|key| key.starts_with(&object.0[..2]));
            assert!(
                left.contains(object) || named,
                "{kind:?}: {object:?} is not named"
            );
        }
        assert!(
            left.iter().all(|object| before.contains(object)),
            "{kind:?}: something came back"
        );
    }
}

/// A batch whose commit is rotten counts as never written where nobody else knows of it. The hint does.
#[test]
fn the_hint_vouches_for_a_batch_whose_commit_is_rotten() {
    let image = hundred(TableKind::Set);
    let expected = read(&image.kill(0));
    let path = segments(&image).remove(0);
    let all = frames(&image.read(&path).unwrap());
    let (commit, ..) = all.iter().find(|(_, kind, ..)| *kind == Kind::Commit).unwrap();
    flip(&image, &path, commit.start + 15);
    let report = named(&image);
    assert_eq!(
        (report.status, report.worst),
        (Status::Repaired, Some(Loss::Nothing))
    );
    assert_eq!(read(&image), expected);
}

/// As [`hundred`], in a bag too.
fn hundred_of(kind: TableKind) -> Sim {
    if !kind.is_bag() {
        return hundred(kind);
    }
    let sim = Sim::new();
    let table = create(&sim, kind);
    for (k, n) in (0..10u8).flat_map(|k| (0..10u8).map(move |n| (k, n))) {
        add(&table, &[k, k], &[k ^ n; 12]).unwrap();
    }
    table.close().unwrap();
    sim.kill(sim.ops())
}
