//! Crash points and images as values: kills, images of images, fingerprints, damage by hand.

use super::*;

#[test]
fn a_kill_loses_nothing_and_makes_nothing_durable() {
    let sim = sim();
    durable(&sim, "f", b"ab").write_at(b"cd", 2).unwrap();
    sim.create(&path("g")).unwrap();
    let killed = sim.kill(sim.ops());
    assert_eq!(contents(&killed), contents(&sim));
    assert_eq!(killed.ops(), 0);
    assert_eq!(outcomes(&killed), outcomes(&sim));
    // A sync by the next process covers what the killed one wrote.
    killed.open(&path("f"), false).unwrap().sync().unwrap();
    assert_eq!(outcomes_of(&killed, "f"), BTreeSet::from([some(b"abcd")]));
}

#[test]
fn a_kill_in_the_middle_of_a_write_leaves_its_beginning() {
    let sim = sim();
    durable(&sim, "f", b"ab").write_at(b"cdef", 2).unwrap();
    let point = sim.crash_point(sim.ops());
    assert_eq!(point.kind(), OpKind::Append);
    let killed = point.kill_within(3).unwrap();
    assert_eq!(killed.read(&path("f")).unwrap(), b"abcde");
    assert_eq!(outcomes_of(&killed, "f").first(), Some(&some(b"ab")));
    assert!(point.kill_within(5).is_none());
    assert!(sim.crash_point(sim.ops() - 1).kill_within(0).is_none());
}

#[test]
fn operations_after_the_crash_never_happened() {
    let sim = sim();
    let file = durable(&sim, "f", b"ab");
    let at = sim.ops();
    file.write_at(b"cd", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(sim.kill(at).read(&path("f")).unwrap(), b"ab");
    assert_eq!(sim.crash(at, &Plan::Everything).read(&path("f")).unwrap(), b"ab");
    assert_eq!(sim.kill(at + 1).read(&path("f")).unwrap(), b"cd");
}

#[test]
fn an_image_logs_and_crashes_in_its_turn() {
    let sim = sim();
    durable(&sim, "f", b"ab").write_at(b"cd", 2).unwrap();
    let once = sim.crash(sim.ops(), &Plan::Nothing);
    assert_eq!(once.ops(), 0);
    assert_eq!(outcomes(&once).len(), 1, "all of an image is durable");
    once.open(&path("f"), true).unwrap().write_at(b"xy", 2).unwrap();
    once.rename(&path("f"), &path("g")).unwrap();
    let twice = once.crash(once.ops(), &Plan::Only(1));
    assert_eq!(contents(&twice), BTreeMap::from([("g".into(), b"ab".to_vec())]));
    assert_eq!(contents(&sim)["f"], b"abcd");
    assert_eq!(contents(&once)["g"], b"abxy");
}

#[test]
fn a_crash_ends_every_lock() {
    let sim = sim();
    let _lock = sim.lock(Path::new(DIR), false).unwrap().unwrap();
    let image = sim.crash(sim.ops(), &Plan::Nothing);
    assert!(image.lock(Path::new(DIR), false).unwrap().is_some());
}

#[test]
fn every_kind_of_operation_is_a_crash_point() {
    let sim = sim();
    let file = durable(&sim, "f", b"ab");
    file.write_at(b"c", 0).unwrap();
    file.truncate(1).unwrap();
    file.preallocate(10).unwrap();
    file.write_at(b"d", 1).unwrap();
    sim.link(&path("f"), &path("g")).unwrap();
    sim.rename(&path("f"), &path("h")).unwrap();
    sim.unlink(&path("g")).unwrap();
    sim.create_dir_all(&path("d")).unwrap();
    sim.remove_dir(&path("d")).unwrap();
    sim.fail_sync_at(1);
    file.sync().unwrap_err();
    sim.fail_sync_dir_at(1);
    sim.sync_dir(Path::new(DIR)).unwrap_err();
    let kinds: BTreeSet<&str> = sim.crash_points().map(|point| point.kind().name()).collect();
    assert_eq!(kinds.len(), 15, "{kinds:?}");
    assert_eq!(sim.crash_points().count(), sim.ops() + 1);
    // A write into reserved space is still an append.
    assert_eq!(
        sim.op(10),
        Some(OpKind::Append),
        "{:?}",
        (0..sim.ops()).map(|n| sim.op(n)).collect::<Vec<_>>()
    );
}

#[test]
fn the_same_plan_gives_the_same_image() {
    let sim = sim();
    let file = durable(&sim, "f", &[7; 100]);
    (0..20).for_each(|n| file.write_at(&[n as u8; 600], n * 500).unwrap());
    let images = |point: &CrashPoint| -> Vec<u64> {
        point
            .plans(100)
            .iter()
            .map(|plan| point.image(plan).fingerprint())
            .collect()
    };
    let (one, two) = (sim.crash_point(sim.ops()), sim.crash_points().last().unwrap());
    assert_eq!(images(&one), images(&two));
    let distinct: HashSet<u64> = images(&one).into_iter().collect();
    assert!(distinct.len() > 150, "{}", distinct.len());
}

#[test]
fn the_fingerprint_is_of_names_lengths_and_bytes() {
    let build = |names: [&str; 2], bytes: &[u8]| {
        let sim = sim();
        durable(&sim, names[0], bytes);
        durable(&sim, names[1], b"");
        sim
    };
    let base = build(["a", "b"], b"xy").fingerprint();
    assert_eq!(build(["a", "b"], b"xy").fingerprint(), base);
    // Made in another order, or in several steps: the same disk.
    let other = sim();
    durable(&other, "b", b"");
    durable(&other, "a", b"xyz").truncate(2).unwrap();
    assert_eq!(other.fingerprint(), base);
    let different = [
        build(["a", "b"], b"xz"),
        build(["a", "b"], b"xy\0"),
        build(["a", "c"], b"xy"),
        build(["b", "a"], b"xy"),
    ];
    assert!(different.iter().all(|sim| sim.fingerprint() != base));
}

#[test]
fn damage_by_hand_is_durable_and_starts_the_log_anew() {
    let sim = sim();
    durable(&sim, "f", b"abc");
    sim.flip_bit(&path("f"), 1, 0).unwrap();
    sim.write(&path("g"), b"new").unwrap();
    sim.set_len(&path("g"), 4).unwrap();
    assert_eq!(sim.ops(), 0);
    let expected = BTreeMap::from([("f".into(), b"acc".to_vec()), ("g".into(), b"new\0".to_vec())]);
    assert_eq!(outcomes(&sim), BTreeSet::from([expected]));
    sim.remove(&path("f")).unwrap();
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from([None]));
}

/// How many images a second: run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn images_per_second() {
    let sim = sim();
    let file = durable(&sim, "1.seg", &[1; 3000]);
    durable(&sim, "MANIFEST", &[2; 300]);
    file.preallocate(65536).unwrap();
    for n in 0..40u64 {
        file.write_at(&[n as u8; 120], 3000 + n * 120).unwrap();
        if n % 8 == 7 {
            file.sync().unwrap();
        }
        if n % 16 == 15 {
            let tmp = durable(&sim, "tmp", &[n as u8; 300]);
            drop(tmp);
            sim.rename(&path("tmp"), &path("MANIFEST")).unwrap();
            sim.sync_dir(Path::new(DIR)).unwrap();
        }
    }
    for fingerprint in [false, true] {
        let start = std::time::Instant::now();
        let (mut images, mut distinct) = (0u32, HashSet::new());
        for point in sim.crash_points() {
            for plan in point.plans(5000) {
                let image = point.image(&plan);
                images += 1;
                if fingerprint {
                    distinct.insert(image.fingerprint());
                }
            }
        }
        let rate = f64::from(images) / start.elapsed().as_secs_f64();
        println!("{images} images, {} distinct, {rate:.0} a second", distinct.len());
    }
}
