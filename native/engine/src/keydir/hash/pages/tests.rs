#![allow(unsafe_code, clippy::unwrap_used, reason = "uses memory")]

use std::slice;

use proptest::prelude::*;

use super::*;

/// What of a mapping is in memory.
fn resident(pages: &Pages) -> usize {
    let pool = pages.0.lock();
    let mut all = 0;
    for region in &pool.regions {
        let mut states = vec![0_u8; REGION / page_size()];
        // SAFETY: the region is mapped, and there is a byte for each page.
        let failed = unsafe { libc::mincore(region.start.cast(), REGION, states.as_mut_ptr().cast()) };
        assert_eq!(failed, 0);
        all += states.iter().filter(|&&state| state & 1 != 0).count() * page_size();
    }
    all
}

/// Memory of a length, filled with a byte by its owner.
struct Held {
    at: *mut u8,
    len: usize,
    byte: u8,
}

impl Held {
    fn new(pages: &Pages, len: usize, byte: u8) -> Held {
        let at = pages.allocate(len).unwrap();
        // SAFETY: allocated just now.
        let memory = unsafe { slice::from_raw_parts_mut(at, taken(len)) };
        assert!(
            memory.iter().all(|&byte| byte == 0),
            "what is given is not cleared"
        );
        memory.fill(byte);
        Held { at, len, byte }
    }

    fn free(self, pages: &Pages) {
        // SAFETY: allocated, and freed once.
        unsafe {
            let memory = slice::from_raw_parts(self.at, taken(self.len));
            assert!(
                memory.iter().all(|&byte| byte == self.byte),
                "two have the same memory"
            );
            pages.free(self.at, self.len);
        }
    }
}

fn free_all(held: Vec<Held>, pages: &Pages) {
    for one in held {
        one.free(pages);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn each_has_memory_of_zeros_to_itself(steps in prop::collection::vec((least()..=MOST, any::<prop::sample::Index>(), 0..3), 1..60)) {
        let pages = Pages::new();
        let mut held: Vec<Held> = Vec::new();
        for (at, (len, index, more)) in steps.into_iter().enumerate() {
            // Most are small, as shards are.
            let len = if at % 8 == 0 { len } else { least() + len % (256 << 10) };
            if more > 0 || held.is_empty() {
                held.push(Held::new(&pages, len, at as u8 + 1));
            } else {
                held.swap_remove(index.index(held.len())).free(&pages);
            }
            let used: usize = held.iter().map(|one| taken(one.len)).sum();
            prop_assert!(resident(&pages) <= used + KEPT, "more than what is kept is in memory");
        }
        free_all(held, &pages);
        prop_assert_eq!(pages.0.lock().regions.len(), 1);
        prop_assert!(resident(&pages) <= KEPT);
    }
}

/// Pages that could not be given back were once given out again as they were.
#[test]
fn what_the_system_does_not_take_is_cleared() {
    let pages = Pages::new();
    let held = Held::new(&pages, 2 * KEPT, 1);
    let (start, len) = (held.at, held.len);
    // SAFETY: the memory is there.
    let locked = unsafe { libc::mlock(start.cast(), page_size()) };
    held.free(&pages);
    // The process may be one that may lock nothing.
    assert_eq!(pages.0.lock().kept > KEPT, locked == 0);
    Held::new(&pages, len, 2).free(&pages);
    Held::new(&pages, len / 2, 3).free(&pages);
}

#[test]
fn the_system_gives_zeros_for_what_it_got_back() {
    assert_eq!(gives_zeros(), Some(true));
}

/// Shards grow one after the other, each by a quarter. What they leave is used again.
#[test]
fn what_grows_takes_the_place_of_what_grew() {
    let pages = Pages::new();
    let mut held: Vec<Held> = (0..64).map(|byte| Held::new(&pages, 64 << 10, byte)).collect();
    for _ in 0..6 {
        for at in 0..held.len() {
            let (len, byte) = (held[at].len * 5 / 4, held[at].byte);
            held.push(Held::new(&pages, len, byte));
            held.swap_remove(at).free(&pages);
        }
    }
    let used: usize = held.iter().map(|one| taken(one.len)).sum();
    let pool = pages.0.lock();
    assert_eq!(pool.regions.len(), 1);
    let last = pool.regions[0]
        .pages
        .iter()
        .rposition(|&page| page == Page::Used)
        .unwrap();
    let span = (last + 1) * page_size();
    assert!(span < used + used / 4, "{used} bytes are spread over {span}");
    drop(pool);
    free_all(held, &pages);
}

#[test]
fn threads_do_not_get_the_same() {
    let pages = &Pages::new();
    std::thread::scope(|scope| {
        for thread in 1..5 {
            scope.spawn(move || {
                for round in 0..200 {
                    let held: Vec<Held> = (1..9)
                        .map(|n| Held::new(pages, n * (20 << 10) + round, thread))
                        .collect();
                    free_all(held, pages);
                }
            });
        }
    });
}

#[test]
fn a_region_that_is_not_needed_goes() {
    let pages = Pages::new();
    let len = MOST;
    let held: Vec<Held> = (0..REGION / len * 3)
        .map(|n| Held::new(&pages, len, n as u8))
        .collect();
    assert_eq!(pages.0.lock().regions.len(), 3);
    free_all(held, &pages);
    assert_eq!(pages.0.lock().regions.len(), 1);
    assert!(pages.0.lock().dirty * page_size() <= KEPT);
}
