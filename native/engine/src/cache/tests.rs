use std::thread;

use super::*;

fn location(n: u64) -> Location {
    Location::new((n >> 32) as u16, n as u32, 100)
}

fn entry(table: u64, n: u64, held: &Arc<AtomicU64>) -> std::ptr::NonNull<Entry> {
    Entry::new((table, location(n)), held, &n.to_le_bytes(), &[n as u8; 100]).unwrap()
}

fn put(cache: &Cache, n: u64, held: &Arc<AtomicU64>) {
    let (shard, tag) = cache.shard((1, location(n)));
    shard.put(tag, entry(1, n, held), cache.limit());
}

fn has(cache: &Cache, n: u64) -> bool {
    let (shard, tag) = cache.shard((1, location(n)));
    shard
        .get(tag, (1, location(n)), |key, value| {
            assert_eq!(key, n.to_le_bytes());
            assert_eq!(value, [n as u8; 100]);
        })
        .is_some()
}

#[test]
fn with_room_nothing_is_forgotten_while_the_sets_grow() {
    let cache = Cache::new(1 << 30);
    let held = Arc::default();
    for n in 0..200_000 {
        put(&cache, n, &held);
    }
    let kept = (0..200_000).filter(|&n| has(&cache, n)).count();
    assert!(kept > 199_000, "{kept}");
    for n in 0..200_000 {
        let (shard, tag) = cache.shard((1, location(n)));
        shard.remove(tag, (1, location(n)));
        assert!(!has(&cache, n));
    }
}

#[test]
fn the_bound_holds_and_what_is_read_stays_longer() {
    let cache = Cache::new(16 << 20);
    let held = Arc::new(AtomicU64::new(0));
    let mut hot_hits = 0;
    for n in 0..1_000_000 {
        put(&cache, n, &held);
        if n >= 1000 {
            hot_hits += u64::from(has(&cache, n % 100));
            if !has(&cache, n % 100) {
                put(&cache, n % 100, &held);
            }
        }
    }
    crossbeam_epoch::pin().flush();
    // Entries that wait for readers to leave still count.
    assert!(held.load(Ordering::Relaxed) < 20 << 20, "{held:?}");
    assert!(
        hot_hits > 900_000,
        "{hot_hits} of 999,000 looks at 100 hot records hit"
    );
}

#[test]
fn a_location_is_another_one_in_another_table() {
    let (a, b) = (TableCache::default(), TableCache::default());
    a.put(location(5), b"k", b"a");
    b.put(location(5), b"k", b"b");
    assert_eq!(a.get(location(5), |_, value| value.to_vec()), Some(b"a".to_vec()));
    a.clear();
    assert_eq!(a.get(location(5), |_, value| value.to_vec()), None);
    assert_eq!(
        b.get(location(5), |key, value| [key, value].concat()),
        Some(b"kb".to_vec())
    );
    assert!(b.held_bytes() > 0);
}

#[test]
fn a_record_that_is_moved_is_found_at_its_new_place_alone() {
    let cache = TableCache::default();
    for n in 0..1000 {
        cache.put(location(n), &n.to_le_bytes(), &[n as u8; 100]);
    }
    let held = cache.held_bytes();
    assert!(held > 100_000);
    for n in 0..1000 {
        cache.relocate(location(n), location(n + 5000));
        assert!(cache.get(location(n), |_, _| ()).is_none());
        let found = cache.get(location(n + 5000), |key, value| (key.to_vec(), value.to_vec()));
        assert_eq!(found, Some((n.to_le_bytes().to_vec(), vec![n as u8; 100])));
    }
    assert_eq!(cache.held_bytes(), held);
    // What has another record there already stays as it is; what is not there does not come.
    cache.put(location(7), b"k", b"v");
    cache.relocate(location(7), location(5008));
    cache.relocate(location(8), location(9));
    assert!(
        [7, 8, 9]
            .iter()
            .all(|&n| cache.get(location(n), |_, _| ()).is_none())
    );
    assert_eq!(cache.get(location(5008), |key, _| key.len()), Some(8));
}

#[test]
fn readers_see_whole_records_while_others_come_and_go() {
    let cache = Cache::new(4 << 20);
    let held = Arc::default();
    thread::scope(|scope| {
        for t in 0..2u64 {
            let (cache, held) = (&cache, &held);
            scope.spawn(move || {
                for i in 0..300_000u64 {
                    let n = i.wrapping_mul(0x9e37_79b9 + t) % 50_000;
                    put(cache, n, held);
                    if i % 3 == 0 {
                        let (shard, tag) = cache.shard((1, location(n)));
                        shard.remove(tag, (1, location(n)));
                    }
                }
            });
            scope.spawn(move || (0..300_000u64).filter(|i| has(cache, i * 7919 % 50_000)).count());
        }
    });
}
