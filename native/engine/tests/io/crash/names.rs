//! What a power loss does to names.

use super::*;

#[test]
fn a_new_name_is_lost_though_the_file_is_synced() {
    let sim = sim();
    let file = sim.create(&path("f")).unwrap();
    file.write_at(b"x", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from([None, some(b"x")]));
}

#[test]
fn a_name_is_durable_before_the_bytes_are() {
    let sim = sim();
    let file = sim.create(&path("f")).unwrap();
    file.write_at(b"x", 0).unwrap();
    sim.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(
        outcomes_of(&sim, "f"),
        BTreeSet::from([b"".as_slice(), b"x", b"\0"].map(some))
    );
}

#[test]
fn an_unlinked_name_comes_back() {
    let sim = sim();
    durable(&sim, "f", b"x");
    sim.unlink(&path("f")).unwrap();
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from([None, some(b"x")]));
    sim.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from([None]));
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one_never_none() {
    let sim = sim();
    durable(&sim, "cur", b"old");
    let from = sim.ops();
    let new = sim.create(&path("tmp")).unwrap();
    new.write_at(b"new", 0).unwrap();
    new.sync().unwrap();
    sim.rename(&path("tmp"), &path("cur")).unwrap();
    let both = BTreeSet::from([some(b"old"), some(b"new")]);
    for at in from..=sim.ops() {
        let seen = outcomes_of(&sim.kill(at), "cur");
        assert!(seen.is_subset(&both), "{at}: {seen:?}");
    }
    assert_eq!(outcomes_of(&sim, "cur"), both);
    // The name that the file had before goes with the rename.
    let named_twice = |files: &BTreeMap<String, Vec<u8>>| files.get("cur") == files.get("tmp");
    assert!(!outcomes(&sim).iter().any(named_twice));
    sim.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(outcomes_of(&sim, "cur"), BTreeSet::from([some(b"new")]));
}

#[test]
fn a_replaced_file_that_was_not_synced_may_be_empty() {
    let sim = sim();
    durable(&sim, "cur", b"old");
    sim.create(&path("tmp")).unwrap().write_at(b"new", 0).unwrap();
    sim.rename(&path("tmp"), &path("cur")).unwrap();
    assert!(outcomes_of(&sim, "cur").contains(&some(b"")));
}

#[test]
fn a_file_renamed_twice_has_one_name() {
    let sim = sim();
    durable(&sim, "a", b"x");
    sim.rename(&path("a"), &path("b")).unwrap();
    sim.rename(&path("b"), &path("c")).unwrap();
    let names: BTreeSet<_> = outcomes(&sim)
        .into_iter()
        .map(|f| f.into_keys().collect::<Vec<_>>())
        .collect();
    let expected = ["a", "b", "c"].map(|name| vec![name.to_owned()]);
    assert_eq!(names, BTreeSet::from(expected));
}

#[test]
fn a_durable_rename_makes_the_rename_before_it_durable() {
    let sim = Sim::new();
    for dir in ["/a", "/b", "/c"] {
        sim.create_dir_all(Path::new(dir)).unwrap();
    }
    sim.create(Path::new("/a/f")).unwrap();
    sim.sync_dir(Path::new("/a")).unwrap();
    sim.rename(Path::new("/a/f"), Path::new("/b/f")).unwrap();
    sim.rename(Path::new("/b/f"), Path::new("/c/f")).unwrap();
    sim.sync_dir(Path::new("/c")).unwrap();
    let point = sim.crash_point(sim.ops());
    for plan in point.plans(SEEDS) {
        assert_eq!(point.image(&plan).files(), [Path::new("/c/f")], "{plan:?}");
    }
}

#[test]
fn names_in_two_directories_are_lost_independently() {
    let sim = Sim::new();
    for dir in ["/a", "/b"] {
        sim.create_dir_all(Path::new(dir)).unwrap();
        sim.create(&Path::new(dir).join("f")).unwrap();
    }
    let point = sim.crash_point(sim.ops());
    let seen: BTreeSet<_> = point.plans(0).iter().map(|p| point.image(p).files()).collect();
    assert_eq!(seen.len(), 4);
    // One synced, the other is still at risk.
    sim.sync_dir(Path::new("/b")).unwrap();
    let point = sim.crash_point(sim.ops());
    let seen: BTreeSet<_> = point.plans(0).iter().map(|p| point.image(p).files()).collect();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|files| files.contains(&"/b/f".into())));
}

#[test]
fn a_rename_between_directories_is_whole_and_durable_with_either() {
    for synced in [None, Some("/a"), Some("/b")] {
        let sim = Sim::new();
        sim.create_dir_all(Path::new("/a")).unwrap();
        sim.create_dir_all(Path::new("/b")).unwrap();
        sim.create(Path::new("/a/f")).unwrap();
        sim.sync_dir(Path::new("/a")).unwrap();
        // Earlier in the target directory, and not synced when only the source is.
        sim.create(Path::new("/b/f")).unwrap();
        sim.rename(Path::new("/a/f"), Path::new("/b/f")).unwrap();
        if let Some(dir) = synced {
            sim.sync_dir(Path::new(dir)).unwrap();
        }
        let point = sim.crash_point(sim.ops());
        for plan in point.plans(SEEDS) {
            let image = point.image(&plan);
            let id = |path| image.stat(Path::new(path)).unwrap().map(|stat| stat.id.1);
            let moved = sim.stat(Path::new("/b/f")).unwrap().map(|stat| stat.id.1);
            let (old, new) = (id("/a/f") == moved, id("/b/f") == moved);
            assert!(old != new, "{synced:?} {plan:?}");
            assert!(new || synced.is_none(), "{synced:?} {plan:?}");
        }
    }
}

#[test]
fn made_directories_are_durable_when_create_dir_all_returns() {
    let sim = Sim::new();
    sim.create_dir_all(Path::new("/a/b/c")).unwrap();
    let is_there = |sim: &Sim| sim.stat(Path::new("/a/b/c")).unwrap().is_some();
    assert!(is_there(&sim.crash(sim.ops(), &Plan::Nothing)));
    // Also when the maker of the first was killed before its sync.
    let killed = sim
        .crash_points()
        .find(|point| point.kind() == OpKind::CreateDir)
        .unwrap()
        .kill();
    killed.create_dir_all(Path::new("/a/b/c")).unwrap();
    assert!(is_there(&killed.crash(killed.ops(), &Plan::Nothing)));
}

#[test]
fn after_a_failed_sync_of_a_directory_its_names_stay_at_risk() {
    let sim = sim();
    sim.create(&path("f")).unwrap();
    sim.fail_sync_dir_at(1);
    sim.sync_dir(Path::new(DIR)).unwrap_err();
    sim.sync_dir(Path::new(DIR)).unwrap();
    sim.create(&path("g")).unwrap();
    sim.sync_dir(Path::new(DIR)).unwrap();
    let crashed = sim.crash(sim.ops(), &Plan::Everything);
    assert_eq!(crashed.files(), [path("g")]);
    assert!(outcomes_of(&sim, "g").iter().all(Option::is_some));
}
