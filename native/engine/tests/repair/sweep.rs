//! Flipped bits, one at a time.

use super::*;

#[derive(Default)]
struct Tally {
    bits: u64,
    harmless: u64,
    whole: u64,
    lost_objects: u64,
    named: u64,
    older: u64,
}

/// Flips every bit of every file, repairs, and compares. Only objects of the record that was hit may be missing, and if so the report says it.
fn sweep(image: &Sim, kind: TableKind, step: usize) -> Tally {
    let expected = read(&image.kill(0));
    let mut tally = Tally::default();
    for path in image.files() {
        let bytes = image.read(&path).unwrap();
        let frames = frames(&bytes);
        for bit in (0..bytes.len() * 8).step_by(step) {
            let what = format!("bit {bit} of {}", path.display());
            let flipped = image.kill(0);
            flipped.flip_bit(&path, bit as u64 / 8, bit as u8 % 8).unwrap();
            let found = check(&flipped);
            let report = force(&flipped, kind);
            assert_eq!(report.faults.len() as u64, report.fault_count());
            assert_eq!(found.is_sound(), report.is_sound(), "{what}");
            assert!(check(&flipped).is_sound(), "{what}: not sound after the repair");
            let left = read(&flipped);
            let (mut missing, mut rest) = (Vec::new(), left.clone());
            for object in &expected {
                match rest.iter().position(|other| other == object) {
                    Some(at) => drop(rest.remove(at)),
                    None => missing.push(object.clone()),
                }
            }
            let deletion = frames.iter().any(|(range, kind, ..)| {
                range.contains(&(bit / 8)) && matches!(kind, Kind::Delete | Kind::Clear)
            });
            if !rest.is_empty() {
                let told = report.worst == Some(Loss::Records);
                assert!(
                    deletion && told && rest.len() == 1,
                    "{what}: comes back: {rest:?}"
                );
                tally.older += 1;
            }
            let hit: BTreeSet<Vec<u8>> = frames
                .iter()
                .filter(|(range, kind, ..)| range.contains(&(bit / 8)) && *kind == Kind::Put)
                .map(|(_, _, key, _)| key.clone())
                .collect();
            // Without its commit a batch does not exist.
            let commit = frames
                .iter()
                .any(|(range, kind, ..)| range.contains(&(bit / 8)) && *kind == Kind::Commit);
            let most = if commit { 3 } else { 1 };
            assert!(missing.len() <= most, "{what}: {} lost", missing.len());
            for (k, _) in &missing {
                let k = &k[..2];
                assert!(commit || hit.contains(k), "{what}: {k:?} was not hit");
                let told = report.faults.iter().any(|fault| {
                    let key = fault.key.as_ref().map(|(key, compared)| &key[..*compared]);
                    fault.loss > Loss::Nothing && fault.path == path && key.is_none_or(|key| key == k)
                });
                assert!(
                    told,
                    "{what}: {k:?} is lost, and the report says {:?}",
                    report.faults
                );
            }
            if report.status == Status::Repaired {
                let kept = Path::new(DIR).join("quarantine").join(path.file_name().unwrap());
                let mut hit = bytes.clone();
                hit[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(
                    flipped.read(&kept).unwrap(),
                    hit,
                    "{what}: what was damaged is kept"
                );
            }
            tally.bits += 1;
            tally.harmless += u64::from(report.is_sound());
            tally.whole += u64::from(!report.is_sound() && missing.is_empty());
            tally.lost_objects += missing.len() as u64;
            tally.named += u64::from(report.worst == Some(Loss::Object));
        }
    }
    println!(
        "{kind:?}: {} bits flipped, {} harmless, {} repaired without a loss, {} objects lost and told, {} of them by their key, {} deleted objects back and told, 0 wrong",
        tally.bits, tally.harmless, tally.whole, tally.lost_objects, tally.named, tally.older
    );
    tally
}

#[test]
fn every_object_whose_bytes_were_not_hit_comes_back() {
    for kind in KINDS {
        let tally = sweep(&hundred(kind), kind, if kind == TableKind::Set { 11 } else { 31 });
        assert!(tally.harmless > 0 && tally.whole > 0 && tally.lost_objects > 0);
    }
}

/// Guards against a loss that is told only where a hint names it.
#[test]
fn without_hints_too_every_loss_is_told() {
    let image = hundred(TableKind::Set);
    forget_hints(&image);
    let tally = sweep(&image, TableKind::Set, 31);
    assert!(tally.whole > 0 && tally.lost_objects > 0);
}

#[test]
fn every_object_of_a_bag_whose_bytes_were_not_hit_comes_back() {
    let sim = Sim::new();
    let table = create(&sim, TableKind::Bag);
    for (k, n) in (0..6u8).flat_map(|k| (0..6u8).map(move |n| (k, n))) {
        add(&table, &[k, k], &[k ^ n; 12]).unwrap();
    }
    table.close().unwrap();
    let tally = sweep(&sim.kill(sim.ops()), TableKind::Bag, 3);
    assert!(tally.whole > 0 && tally.lost_objects > 0);
}

#[test]
fn of_a_killed_table_a_repair_leaves_what_an_opening_would_and_what_damage_spared() {
    for kind in KINDS {
        let image = killed(kind);
        let expected = read(&image.kill(0));
        assert!(check(&image).is_sound(), "a crash is no damage");
        let (mut refused, mut cut) = (0, 0);
        for path in image.files() {
            let bytes = image.read(&path).unwrap();
            // Behind what is written there are only zeros.
            let written = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 3);
            for bit in (0..written.min(bytes.len()) * 8).step_by(13) {
                let what = format!("bit {bit} of {}", path.display());
                let flipped = image.kill(0);
                flipped.flip_bit(&path, bit as u64 / 8, bit as u8 % 8).unwrap();
                let strict = open(&flipped.kill(0), &existing()).map(|table| {
                    let len = table.len();
                    table.kill();
                    len
                });
                let found = check(&flipped);
                let report = force(&flipped, kind);
                let left = read(&flipped);
                assert!(left.iter().all(|object| expected.contains(object)), "{what}");
                assert!(check(&flipped).is_sound(), "{what}");
                match strict {
                    Ok(len) if found.is_sound() => {
                        assert_eq!(left.len() as u64, len, "{what}: not what an opening finds");
                        cut += u64::from(len < expected.len() as u64);
                    }
                    // A rotten value of one key, bytes that only describe others, or what a hint let the opening pass over: at worst the
                    // commit of a list of two.
                    Ok(len) => assert!(left.len() as u64 + 2 >= len, "{what}"),
                    Err(_) => {
                        assert_eq!(report.status, Status::Repaired, "{what}");
                        let lost = expected.len() - left.len();
                        assert!(lost <= 2, "{what}: {lost} lost");
                        refused += 1;
                    }
                }
            }
        }
        println!("{kind:?}: {refused} flips refused at opening and repaired, {cut} cut as a crash");
        assert!(refused > 0 && cut > 0);
    }
}

#[test]
fn of_merged_segments_too_all_that_was_not_hit_comes_back() {
    let sim = Sim::new();
    let table = create(&sim, TableKind::Set);
    for i in 0..200u8 {
        put(&table, &[i % 50, 7], &[i; 20]);
    }
    merge_all(&table);
    table.close().unwrap();
    let tally = sweep(&sim.kill(sim.ops()), TableKind::Set, 11);
    assert!(tally.whole > 0 && tally.lost_objects > 0);
}
