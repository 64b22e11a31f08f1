//! What a power loss does to the bytes of files.

use super::*;

#[test]
fn what_is_synced_is_never_lost() {
    let sim = sim();
    durable(&sim, "f", b"bytes");
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from([some(b"bytes")]));
}

#[test]
fn an_unsynced_append_is_there_lost_torn_or_zeros() {
    let sim = sim();
    durable(&sim, "f", b"ab").write_at(b"cdef", 2).unwrap();
    let seen = outcomes_of(&sim, "f");
    for expected in [
        b"ab".as_slice(),
        b"abcdef",
        b"abc",
        b"abcd",
        b"ab\0\0\0\0",
        b"ab\0\0ef",
    ] {
        assert!(seen.contains(&some(expected)), "never {expected:?}");
    }
}

#[test]
fn an_unsynced_overwrite_leaves_old_and_new_bytes_mixed() {
    let sim = sim();
    durable(&sim, "f", &[1; 9000]).write_at(&[2; 8000], 100).unwrap();
    let seen = outcomes_of(&sim, "f");
    let with = |ranges: &[std::ops::Range<usize>]| {
        let mut bytes = vec![1; 9000];
        for range in ranges {
            bytes[range.clone()].fill(2);
        }
        Some(bytes)
    };
    assert!(seen.contains(&with(&[])) && seen.contains(&with(&[100..500, 500..8100])));
    // Each combination of the three pages that the write touches is one of eight, most of them torn.
    let pages = [100..4096, 4096..8100];
    for page in &pages {
        assert!(
            seen.contains(&with(std::slice::from_ref(page))),
            "never torn at a page: {page:?}"
        );
    }
    let sectors = |bytes: &Vec<u8>| {
        let edges = (1..9000).filter(|n| bytes[*n] != bytes[*n - 1]);
        let inner: Vec<usize> = edges.filter(|n| ![100, 8100].contains(n)).collect();
        inner.len() > 2 && inner.iter().all(|n| n % 512 == 0)
    };
    assert!(seen.iter().flatten().any(sectors), "never torn at sectors");
    assert!(seen.iter().flatten().all(|bytes| bytes.len() == 9000));
}

#[test]
fn a_later_write_is_there_while_an_earlier_is_lost() {
    let sim = sim();
    let file = durable(&sim, "f", b"");
    file.write_at(b"aa", 0).unwrap();
    file.write_at(b"bb", 2).unwrap();
    file.write_at(b"cc", 4).unwrap();
    let seen = outcomes_of(&sim, "f");
    for expected in [
        b"".as_slice(),
        b"aa",
        b"\0\0bb",
        b"\0\0\0\0cc",
        b"aa\0\0cc",
        b"\0\0bbcc",
        b"aabbcc",
    ] {
        assert!(seen.contains(&some(expected)), "never {expected:?}");
    }
}

#[test]
fn each_of_many_writes_is_lost_alone_and_kept_alone() {
    let sim = sim();
    let file = durable(&sim, "f", &[0; 40]);
    (0..40).for_each(|n| file.write_at(&[1], n).unwrap());
    let seen = outcomes_of(&sim, "f");
    for n in 0..40 {
        let (mut kept, mut lost) = (vec![0; 40], vec![1; 40]);
        (kept[n], lost[n]) = (1, 0);
        assert!(seen.contains(&Some(kept)) && seen.contains(&Some(lost)));
        let prefix = [vec![1; n], vec![0; 40 - n]].concat();
        assert!(seen.contains(&Some(prefix)));
    }
}

#[test]
fn truncations_and_reservations_are_lost_or_kept() {
    let sim = sim();
    let file = durable(&sim, "f", b"abcd");
    file.truncate(1).unwrap();
    file.preallocate(3).unwrap();
    let expected = [b"abcd".as_slice(), b"a", b"a\0\0"].map(some);
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from(expected));
}

#[test]
fn reserved_space_holds_zeros_where_a_write_is_lost() {
    let sim = sim();
    let file = durable(&sim, "f", b"");
    file.preallocate(6).unwrap();
    file.sync().unwrap();
    file.write_at(b"ab", 0).unwrap();
    file.write_at(b"cd", 2).unwrap();
    let seen = outcomes_of(&sim, "f");
    assert!(seen.contains(&some(b"\0\0cd\0\0")) && seen.contains(&some(b"ab\0\0\0\0")));
    assert!(seen.iter().flatten().all(|bytes| bytes.len() == 6));
}

#[test]
fn after_a_failed_sync_bytes_are_seen_but_gone_at_a_crash() {
    let sim = sim();
    let file = durable(&sim, "f", b"ab");
    file.write_at(b"cd", 2).unwrap();
    sim.fail_sync_at(1);
    file.sync().unwrap_err();
    file.sync().unwrap();
    assert_eq!(sim.read(&path("f")).unwrap(), b"abcd");
    // What is written and synced afterwards is durable; what the failed sync dropped is not, whatever was synced since.
    file.write_at(b"ef", 4).unwrap();
    file.sync().unwrap();
    let crashed = sim.crash(sim.ops(), &Plan::Everything);
    assert_eq!(crashed.read(&path("f")).unwrap(), b"ab\0\0ef");
    let seen = outcomes_of(&sim, "f");
    assert!(
        seen.contains(&some(b"abcdef")),
        "part of a failed sync can have been done"
    );
    assert!(seen.iter().flatten().all(|bytes| bytes.ends_with(b"ef")));
    let kinds: Vec<_> = (0..sim.ops()).filter_map(|n| sim.op(n)).collect();
    assert!(kinds.contains(&OpKind::SyncFailed));
}

#[test]
fn a_cold_file_is_never_read_without_waiting() {
    let sim = sim();
    let file = durable(&sim, "f", b"abc");
    sim.set_cold(true);
    let error = file.read_at_nowait(&mut [0], 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    file.read_at(&mut [0], 0).unwrap();
}
