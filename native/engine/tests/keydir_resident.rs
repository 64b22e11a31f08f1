//! What growing shards leave behind goes back to the system. One test, since it looks at the memory of the whole process.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "common/counting.rs"]
mod counting;

use bets_engine::keydir::{Keydir, Location, use_slot_pages};
use bets_engine::table::TableKind;
use bets_engine::{Deadline, Key};

/// Bytes of memory that this process has to itself.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    let kib: u64 = kib.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}

#[test]
fn the_system_gets_what_growing_shards_leave_behind() {
    use_slot_pages();
    let (start, allocated) = (resident(), counting::held());
    let keydir = Keydir::new(TableKind::Set, 11);
    for n in 0..1_000_000_u64 {
        let bytes = n.to_be_bytes();
        let key = Key::plain(&bytes);
        let hash = keydir.hash(key);
        let record = (Location::from_bits(n), Deadline::NEVER);
        let mut guard = keydir.lock(Keydir::shard_of(hash));
        guard.put(hash, key, record, n).unwrap();
    }
    let (held, resident) = (keydir.memory_bytes(), resident() - start);
    let allocated = (counting::held() - allocated) as u64;
    println!("{held} bytes held, {resident} resident, {allocated} in the allocator");
    // Slots are more than half of it.
    assert!(
        allocated < held / 2,
        "{allocated} of {held} bytes are in the allocator, slots among them"
    );
    assert!(
        resident < held + held / 10,
        "{held} bytes held, {resident} resident"
    );
}
