//! Damage of each kind.

use bets_engine::format::MAX_SEQ;
use bets_engine::format::manifest::Manifest;
use proptest::prelude::*;

use super::*;

#[test]
fn a_rotten_value_is_buried_and_no_older_one_comes_back() {
    let sim = Sim::new();
    let table = create(&sim, TableKind::Set);
    put(&table, b"a", b"old");
    put(&table, b"b", b"other");
    table.close().unwrap();
    let table = open(&sim, &existing()).unwrap();
    put(&table, b"a", b"new");
    table.close().unwrap();
    let image = sim.kill(sim.ops());
    let path = segments(&image).pop().unwrap();
    let end = frames(&image.read(&path).unwrap())[0].0.end;
    flip(&image, &path, end - 1);
    let report = named(&image);
    assert_eq!(
        (report.status, report.worst),
        (Status::Repaired, Some(Loss::Object))
    );
    assert_eq!(report.faults[0].key, Some((b"a".to_vec(), 1)));
    assert_eq!(report.faults[0].path, path);
    assert_eq!(read(&image), [(b"b".to_vec(), b"other".to_vec())]);
}

#[test]
fn of_a_batch_the_members_that_were_not_hit_come_back_if_it_was_committed() {
    let batched = || {
        let sim = Sim::new();
        let table = create(&sim, TableKind::Set);
        put(&table, b"a", b"old");
        put_many(
            &table,
            &[
                (vec![b'a'], vec![1; 9]),
                (vec![b'b'], vec![2; 9]),
                (vec![b'c'], vec![3; 9]),
            ],
        )
        .unwrap();
        put(&table, b"d", b"after");
        table.close().unwrap();
        let image = sim.kill(sim.ops());
        forget_hints(&image);
        image
    };
    let keys = |sim: &Sim| read(sim).into_iter().map(|(k, _)| k[0]).collect::<Vec<_>>();

    let header = batched();
    let (path, range) = place(&header, Kind::Batch, b"");
    flip(&header, &path, range.start + 15);
    let report = named(&header);
    assert_eq!(
        (report.status, report.worst),
        (Status::Repaired, Some(Loss::Nothing))
    );
    assert_eq!(keys(&header), b"abcd");

    let member = batched();
    let (path, range) = place(&member, Kind::Put, b"b");
    flip(&member, &path, range.start + 15);
    assert_eq!(named(&member).status, Status::Refused);
    assert_eq!(force(&member, TableKind::Set).faults[0].seqs, Some((3, 3)));
    assert_eq!(keys(&member), b"acd");

    let commit = batched();
    let (path, range) = place(&commit, Kind::Commit, b"");
    flip(&commit, &path, range.start + 15);
    assert_eq!(named(&commit).status, Status::Refused);
    let report = force(&commit, TableKind::Set);
    let lost: Vec<_> = report
        .faults
        .iter()
        .filter_map(|fault| fault.key.clone())
        .collect();
    assert_eq!(lost.len(), 3, "{report:?}");
    let table = open(&commit, &existing()).unwrap();
    assert_eq!(
        common::get(&table, b"a"),
        Some(b"old".to_vec()),
        "none of the batch"
    );
    assert_eq!(table.len(), 2);
}

#[test]
fn a_missing_segment_costs_its_records_and_two_damaged_ones_theirs() {
    let image = hundred(TableKind::Set);
    forget_hints(&image);
    let expected = read(&image.kill(0));
    let files = segments(&image);
    assert!(files.len() > 3);
    let gone = image.kill(0);
    gone.remove(&files[1]).unwrap();
    assert_eq!(named(&gone).status, Status::Refused);
    let report = force(&gone, TableKind::Set);
    assert_eq!((report.faults.len(), report.worst), (1, Some(Loss::Records)));
    assert_eq!(report.faults[0].path, files[1]);
    let of_segment = frames(&image.read(&files[1]).unwrap());
    let seqs: Vec<_> = of_segment.iter().map(|frame| frame.3).collect();
    let (first, last) = report.faults[0].seqs.unwrap();
    assert_eq!((first, last), (seqs[0], *seqs.last().unwrap()));
    let left = read(&gone);
    assert!(left.len() > expected.len() - of_segment.len());
    put(&open(&gone, &existing()).unwrap(), b"~", b"goes on");

    let cut = image.kill(0);
    let len = of_segment[of_segment.len() / 2].0.start;
    cut.set_len(&files[1], len as u64).unwrap();
    let report = force(&cut, TableKind::Set);
    assert_eq!(
        (report.faults[0].offset, report.worst),
        (len as u64, Some(Loss::Records))
    );
    assert!(read(&cut).len() > left.len());

    let two = image.kill(0);
    for path in &files[1..3] {
        flip(&two, path, 32 + 15);
    }
    let report = force(&two, TableKind::Set);
    assert_eq!(report.quarantined.len(), 2);
    assert!(read(&two).len() >= expected.len() - 2);
}

#[test]
fn a_manifest_that_is_gone_is_made_anew_if_the_type_is_told() {
    for kind in ALL_KINDS {
        let image = if kind.is_bag() {
            let sim = Sim::new();
            let table = create(&sim, kind);
            for i in 0..60u8 {
                add(&table, &[i % 7], &[i / 2; 20]).unwrap();
            }
            remove(&table, &[3], &[1; 20]).unwrap().unwrap();
            table.kill();
            sim.kill(sim.ops())
        } else {
            killed(kind)
        };
        let expected = read(&image.kill(0));
        for rotten in [false, true] {
            let headless = image.kill(0);
            let manifest = Path::new(DIR).join("MANIFEST");
            if rotten {
                flip(&headless, &manifest, 40);
            } else {
                headless.remove(&manifest).unwrap();
            }
            for (how, mode) in [
                (existing(), Mode::Force),
                (Open::OrCreate(meta_of(kind)), Mode::Named),
            ] {
                let refused = repair(
                    &storage(&headless),
                    Path::new(DIR),
                    &how,
                    mode,
                    None,
                    &AtomicU64::new(0),
                );
                assert!(
                    matches!(refused, Err(Error::Missing { path } | Error::Damaged { path, .. }) if path == manifest)
                );
            }
            let report = force(&headless, kind);
            assert_eq!(report.status, Status::Repaired);
            assert_eq!(read(&headless), expected, "{kind:?}");
            assert_eq!(report.quarantined.len(), usize::from(rotten));
        }
    }
}

#[test]
fn frames_inside_of_values_are_no_records() {
    let sim = Sim::new();
    let table = create(&sim, TableKind::Set);
    put(&table, b"k", b"deleted");
    table.delete(key(b"k"), Wait::May).unwrap();
    table.sync().unwrap();
    let log = sim.read(&segments(&sim)[0]).unwrap();
    let embedded = log[frames(&log)[0].0.clone()].to_vec();
    // Behind a damaged header, the search meets the frame in the value first.
    put(&table, b"file", &embedded);
    put(&table, b"z", b"after");
    table.close().unwrap();
    let image = sim.kill(sim.ops());
    for byte in [9, 15, 25, 26, 27] {
        let flipped = image.kill(0);
        let (path, range) = place(&flipped, Kind::Put, b"file");
        flip(&flipped, &path, range.start + byte);
        force(&flipped, TableKind::Set);
        assert_eq!(
            read(&flipped),
            [(b"z".to_vec(), b"after".to_vec())],
            "byte {byte}"
        );
    }
}

#[test]
fn behind_damage_that_reaches_above_the_mark_the_log_is_cut() {
    let sim = Sim::new();
    let table = open(&sim, &Open::OrCreate(meta_of(TableKind::Set))).unwrap();
    for k in [b"a", b"b", b"c"] {
        put(&table, k, b"durable");
    }
    table.sync().unwrap();
    for k in [b"d", b"e", b"f"] {
        put(&table, k, b"above");
    }
    table.kill();
    let image = sim.kill(sim.ops());
    let keys = |sim: &Sim| read(sim).into_iter().map(|(k, _)| k[0]).collect::<Vec<_>>();
    for (hit, left) in [
        ("b", "acdef"),
        ("bc", "adef"),
        ("cd", "ab"),
        ("d", "abc"),
        ("e", "abcd"),
    ] {
        let damaged = image.kill(0);
        for k in hit.bytes() {
            let (path, range) = place(&image, Kind::Put, &[k]);
            flip(&damaged, &path, range.start + 15);
        }
        let report = force(&damaged, TableKind::Set);
        assert_eq!(keys(&damaged), left.as_bytes(), "{hit}: {report:?}");
        assert_eq!(report.is_sound(), hit > "cd", "{hit}");
    }
}

#[test]
fn a_segment_of_another_table_is_not_taken_in() {
    let image = hundred(TableKind::Set);
    forget_hints(&image);
    let other = Sim::new();
    let config = Config {
        seed: Some(8),
        background: false,
        max_file_size: 1500,
        ..Config::default()
    };
    let how = Open::OrCreate(meta_of(TableKind::Set));
    let table = Table::open(&storage(&other), Path::new(DIR), &how, config).unwrap();
    for i in 0..60 {
        put(&table, &[i, 99], b"of another table");
    }
    table.close().unwrap();
    let path = &segments(&image)[1];
    image.write(path, &other.read(path).unwrap()).unwrap();
    // Without a manifest, the other segments tell whose directory it is: a fuzzer found that repair gave up.
    let headless = image.kill(0);
    headless.remove(&Path::new(DIR).join("MANIFEST")).unwrap();
    for image in [image, headless] {
        let report = force(&image, TableKind::Set);
        assert_eq!(report.worst, Some(Loss::Records));
        let found = read(&image);
        assert!(!found.is_empty() && found.iter().all(|(_, v)| v != b"of another table"));
        let kept = Path::new(DIR).join("quarantine").join(path.file_name().unwrap());
        assert_eq!(image.read(&kept).unwrap(), other.read(path).unwrap());
    }
}

/// What a repair published after a manifest with the highest generation, or seq, that is read had a higher one, and was not: found by a change of a fuzzer's file.
#[test]
fn behind_a_repair_there_is_room_for_what_is_to_come() {
    let changes: [fn(&mut Manifest); 4] = [
        |manifest| manifest.segments[0].last_seq = MAX_SEQ,
        |manifest| manifest.generation = MAX_SEQ,
        |manifest| manifest.last_seq = MAX_SEQ,
        |manifest| manifest.last_seq = MAX_SEQ / 2 + 1,
    ];
    for change in changes {
        let image = hundred(TableKind::Set);
        let expected = read(&image.kill(0));
        let path = Path::new(DIR).join("MANIFEST");
        let mut manifest = Manifest::decode(&image.read(&path).unwrap()).unwrap();
        change(&mut manifest);
        image.write(&path, &manifest.encode()).unwrap();
        force(&image, TableKind::Set);
        let table = open(&image, &existing()).unwrap();
        put(&table, &[1, 1], b"goes on");
        table.close().unwrap();
        let found = read(&image);
        assert_eq!(found.len(), expected.len());
        let verified = verify(&storage(&image), Path::new(DIR), &AtomicU64::new(0));
        assert!(verified.unwrap().is_sound());
    }
}

#[test]
fn the_quarantine_keeps_what_is_in_it() {
    let image = hundred(TableKind::Set);
    let file = segments(&image)[0].clone();
    let folder = Path::new(DIR).join("quarantine");
    image.create_dir_all(&folder).unwrap();
    let taken = folder.join(file.file_name().unwrap());
    image.write(&taken, b"from an earlier repair").unwrap();
    flip(&image, &file, 32 + 15);
    let report = force(&image, TableKind::Set);
    assert_eq!(image.read(&taken).unwrap(), b"from an earlier repair");
    assert_eq!(report.quarantined.len(), 1);
    assert_ne!(report.quarantined[0], taken);
}

#[test]
fn an_open_table_is_checked_while_it_is_written_to() {
    for kind in ALL_KINDS {
        let sim = Sim::new();
        let table = create(&sim, kind);
        for i in 0..60u8 {
            put(&table, &[i % 30, i % 30], &[i; 20]);
            if i == 30 {
                table.care().unwrap();
            }
        }
        let run = |table: &Table| {
            let mut check = table.begin_check().unwrap();
            let mut i = 0u8;
            while table.check(&mut check, 200).unwrap() {
                put(table, &[i % 40, 200], &[i; 5]);
                i += 1;
            }
            check.into_report()
        };
        let report = run(&table);
        assert!(report.is_sound(), "{:?}", report.faults);
        assert!(report.segments > 1 && report.records >= 60 && report.objects >= Some(30));
        table.sync().unwrap();
        let path = segments(&sim)[0].clone();
        let (range, ..) = frames(&sim.read(&path).unwrap())[5].clone();
        sim.flip_bit(&path, range.end as u64 - 1, 0).unwrap();
        let report = run(&table);
        assert_eq!(report.fault_count(), 1, "{:?}", report.faults);
        assert_eq!(
            (&report.faults[0].path, report.faults[0].offset),
            (&path, range.start as u64)
        );
        let (k, compared) = report.faults[0].key.clone().unwrap();
        assert_eq!(&k[..compared], [5, 5]);
        table.kill();
    }
}

#[test]
fn without_a_manifest_what_an_interrupted_merge_left_is_put_together() {
    for kind in ALL_KINDS {
        let sim = Sim::new();
        let table = create(&sim, kind);
        let mut k = 0u8;
        for i in 0..120u8 {
            k = k.wrapping_mul(5).wrapping_add(3);
            put(&table, &[k % 16], &[i / 2; 30]);
            if i % 9 == 0 {
                table.delete(key(&[k % 7]), Wait::May).unwrap();
            }
        }
        table.sync().unwrap();
        let before = sim.kill(sim.ops());
        merge_all(&table);
        let expected = contents(&table);
        table.kill();
        let after = sim.kill(sim.ops());
        assert!(
            segments(&before)
                .iter()
                .any(|path| !segments(&after).contains(path))
        );
        for path in segments(&before) {
            if !segments(&after).contains(&path) {
                after.write(&path, &before.read(&path).unwrap()).unwrap();
            }
        }
        after.remove(&Path::new(DIR).join("MANIFEST")).unwrap();
        let report = force(&after, kind);
        assert_eq!(report.status, Status::Repaired);
        assert_eq!(report.fault_count(), 1, "the manifest alone: {:?}", report.faults);
        assert!(check(&after).is_sound());
        assert_eq!(read(&after), expected, "{kind:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in the files, a repair ends with a sound table, of objects that were there before.
    #[test]
    fn hostile_bytes_end_in_a_sound_table(
        places in proptest::collection::vec((0usize..8, 0usize..2000, proptest::collection::vec(any::<u8>(), 1..80)), 1..12),
        copies in proptest::collection::vec((0usize..8, 0usize..2000, 0usize..8, 0usize..2000, 1usize..200), 0..4),
        live: bool,
    ) {
        let image = if live { killed(TableKind::Set) } else { hundred(TableKind::Set) };
        let before = read(&image.kill(0));
        let files: Vec<_> = image.files().into_iter().filter(|path| !path.ends_with("LOCK")).collect();
        let patch = |file: &PathBuf, at: usize, bytes: &[u8]| {
            let mut content = image.read(file).unwrap();
            let at = at.min(content.len());
            let end = (at + bytes.len()).min(content.len());
            content[at..end].copy_from_slice(&bytes[..end - at]);
            image.write(file, &content).unwrap();
        };
        for (file, at, bytes) in &places {
            patch(&files[file % files.len()], *at, bytes);
        }
        // Bytes of one file in another: frames, or parts of them, where they do not belong.
        for (from, at, to, into, len) in copies {
            let content = image.read(&files[from % files.len()]).unwrap();
            let at = at.min(content.len());
            let bytes = content[at..(at + len).min(content.len())].to_vec();
            patch(&files[to % files.len()], into, &bytes);
        }
        let how = Open::OrCreate(meta_of(TableKind::Set));
        let progress = AtomicU64::new(0);
        let _ = verify(&storage(&image), Path::new(DIR), &progress);
        match repair(&storage(&image), Path::new(DIR), &how, Mode::Force, Some(9), &progress) {
            Ok(_) => {
                prop_assert!(check(&image).is_sound());
                let after = read(&image);
                let known = |object: &(Vec<u8>, Vec<u8>)| before.contains(object) || object.0[0] == b'g' || object.1 == b"deleted below";
                prop_assert!(after.iter().all(known), "{after:?}");
            }
            Err(Error::NewerVersion { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
