use std::thread;

use parking_lot::Mutex;

use super::*;

fn location(n: u64) -> Location {
    Location::new((n >> 32) as u16, n as u32, 100)
}

fn entry(table: u64, n: u64, held: &'static Account) -> std::ptr::NonNull<Entry> {
    Entry::new((table, location(n)), held, &n.to_le_bytes(), &[n as u8; 100]).unwrap()
}

fn put(cache: &Cache, n: u64, held: &'static Account) {
    let (shard, tag) = cache.shard(n);
    shard.put(tag, entry(1, n, held), None, cache.limit());
}

fn has(cache: &Cache, n: u64) -> bool {
    let (shard, tag) = cache.shard(n);
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
    let held = Account::open();
    for n in 0..200_000 {
        put(&cache, n, held);
    }
    let kept = (0..200_000).filter(|&n| has(&cache, n)).count();
    assert!(kept > 199_000, "{kept}");
    for n in 0..200_000 {
        let (shard, tag) = cache.shard(n);
        shard.remove(tag, (1, location(n)));
        assert!(!has(&cache, n));
    }
}

#[test]
fn the_bound_holds_and_what_is_read_stays_longer() {
    let cache = Cache::new(16 << 20);
    let held = Account::open();
    let mut hot_hits = 0;
    for n in 0..1_000_000 {
        put(&cache, n, held);
        if n >= 1000 {
            hot_hits += u64::from(has(&cache, n % 100));
            if !has(&cache, n % 100) {
                put(&cache, n % 100, held);
            }
        }
    }
    // Entries that wait for readers to leave still count, and other tests of this process read.
    let bounded = (0..1_000_000).any(|_| {
        crate::epoch::pin().flush();
        std::thread::yield_now();
        held.bytes() < 20 << 20
    });
    assert!(bounded, "{held:?}");
    assert!(
        hot_hits > 900_000,
        "{hot_hits} of 999,000 looks at 100 hot records hit"
    );
}

#[test]
fn a_location_is_another_one_in_another_table() {
    let _alone = ALONE.lock();
    let (a, b) = (TableCache::new(false), TableCache::new(false));
    a.put(spot(9, 5), b"k", b"a");
    b.put(spot(9, 5), b"k", b"b");
    assert_eq!(value(&a, spot(9, 5)), Some(b"a".to_vec()));
    a.clear();
    assert_eq!(value(&a, spot(9, 5)), None);
    assert_eq!(value(&b, spot(9, 5)), Some(b"b".to_vec()));
    assert!(b.held_bytes() > 0);
}

#[test]
fn a_record_takes_the_place_of_the_one_before() {
    let _alone = ALONE.lock();
    for many in [false, true] {
        let cache = TableCache::new(many);
        cache.put(spot(9, 1), b"k", b"one");
        let one = cache.held_bytes();
        for n in 2..1_000 {
            cache.replace(spot(9, n), Some(location(n - 1)), b"k", b"new");
            assert_eq!(value(&cache, spot(9, n)), Some(b"new".to_vec()));
            assert_eq!(value(&cache, spot(9, n - 1)), None);
        }
        // One too long to be kept takes none.
        let long = vec![0; MAX_VALUE_LEN + 1];
        cache.replace(spot(9, 1_000), Some(location(999)), b"k", &long);
        assert_eq!(value(&cache, spot(9, 999)), None);
        assert_eq!(value(&cache, spot(9, 1_000)), None);
        // What was let go of is counted until it is freed, which other tests' guards may hold up.
        for _ in 0..1_000_000 {
            if cache.held_bytes() < one {
                break;
            }
            crate::epoch::pin().flush();
            std::thread::yield_now();
        }
        assert!(cache.held_bytes() < one, "{many}: {}", cache.held_bytes());
    }
}

#[test]
fn all_records_of_a_key_with_many_are_kept() {
    let _alone = ALONE.lock();
    let cache = TableCache::new(true);
    let spots: Vec<Spot> = (0..1_000).map(|n| spot(9, n * 100)).collect();
    for &spot in &spots {
        cache.put(spot, b"k", b"v");
    }
    let kept = spots
        .iter()
        .filter(|&&spot| value(&cache, spot).is_some())
        .count();
    assert!(kept > 990, "{kept}");
    cache.clear();
}

fn spot(hash: u64, n: u64) -> Spot {
    Spot::new(hash, location(n))
}

/// The one cache of all tables keeps nothing while another thread writes to the same part of it, so these tests take turns.
pub(super) static ALONE: Mutex<()> = Mutex::new(());

fn value(cache: &TableCache, spot: Spot) -> Option<Vec<u8>> {
    cache.get(spot, |_, value| value.to_vec())
}

#[test]
fn a_record_that_is_moved_is_found_at_its_new_place_alone() {
    let _alone = ALONE.lock();
    for many in [false, true] {
        let cache = TableCache::new(many);
        let spot = |n: u64, at: u64| Spot {
            hash: n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            location: location(at),
        };
        let has = |n, at| cache.get(spot(n, at), |key, value| (key.to_vec(), value.to_vec()));
        for n in 0..1000 {
            cache.put(spot(n, n), &n.to_le_bytes(), &[n as u8; 100]);
        }
        for n in 0..1000 {
            cache.relocate(spot(n, n), location(n + 5000));
            assert!(has(n, n).is_none());
            assert_eq!(
                has(n, n + 5000),
                Some((n.to_le_bytes().to_vec(), vec![n as u8; 100]))
            );
        }
        // What is not there does not come.
        cache.relocate(spot(8, 8), location(9000));
        assert!(has(8, 9000).is_none());
    }
}

#[test]
fn readers_see_whole_records_while_others_come_and_go() {
    let cache = Cache::new(4 << 20);
    let held = Account::open();
    thread::scope(|scope| {
        for t in 0..2u64 {
            let cache = &cache;
            scope.spawn(move || {
                for i in 0..300_000u64 {
                    let n = i.wrapping_mul(0x9e37_79b9 + t) % 50_000;
                    put(cache, n, held);
                    if i % 3 == 0 {
                        let (shard, tag) = cache.shard(n);
                        shard.remove(tag, (1, location(n)));
                    }
                }
            });
            scope.spawn(move || (0..300_000u64).filter(|i| has(cache, i * 7919 % 50_000)).count());
        }
    });
}
