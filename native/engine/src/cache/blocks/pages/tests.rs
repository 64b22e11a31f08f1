use std::time::{Duration, Instant};

use super::super::super::tests::ALONE;
use super::super::tests::{bytes, filler, get};
use super::*;
use crate::format::segment::HEADER_LEN;

/// A pool with so many chunks, all of whose pages are ready.
fn pool(chunks: usize) -> Pool {
    let mut pool = Pool::new();
    for _ in 0..chunks {
        let chunk = Chunk::new().unwrap();
        pool.chunks.insert(chunk.start.addr(), chunk);
    }
    while let Some(page) = pool.next_page() {
        assert_eq!(page.0.addr() % LARGE, 0);
        pool.free.extend(blocks_of(page));
    }
    pool
}

/// Blocks that were made ready and are neither free nor without memory.
fn in_use(pool: &Pool) -> usize {
    let of_page = |page: &Page| {
        if page.is_ready {
            BLOCKS - page.gone.count_ones() as usize
        } else {
            0
        }
    };
    let pages = pool.chunks.values().flat_map(|chunk| &chunk.pages);
    pages.map(of_page).sum::<usize>() - pool.free.len()
}

/// A block of a pool that asks for no more chunks.
fn take_from(pool: &Mutex<Pool>) -> Option<*mut u8> {
    let mut pool = pool.lock();
    if pool.free.is_empty() {
        let more = pool.next_page().map(blocks_of).or_else(|| pool.take_gone());
        pool.free.extend(more.into_iter().flatten());
    }
    pool.free.pop().map(|block| block.0)
}

/// All blocks of such a pool, by their addresses.
fn take_all_from(pool: &Mutex<Pool>) -> Vec<*mut u8> {
    let mut blocks: Vec<_> = std::iter::from_fn(|| take_from(pool)).collect();
    blocks.sort_unstable();
    blocks
}

fn free_all(pool: &Mutex<Pool>) {
    let chunks = std::mem::take(&mut pool.lock().chunks);
    chunks.into_values().for_each(Chunk::free);
}

fn await_pool() {
    while {
        let pool = POOL.lock();
        pool.filling || pool.releasing
    } {
        std::thread::yield_now();
    }
}

fn fill_with(block: *mut u8, byte: u8) {
    // SAFETY: a block has so many bytes.
    unsafe { block.write_bytes(byte, LEN) };
}

fn is_filled_with(block: *mut u8, byte: u8) -> bool {
    // SAFETY: as above.
    let found = unsafe { std::slice::from_raw_parts(block, LEN) };
    found.iter().all(|&found| found == byte)
}

/// What each block was filled with is there as long as it is in use, whatever is given back meanwhile; blocks in use, free ones and those without memory are all that there are.
#[test]
fn blocks_do_not_overlap_and_are_taken_again() {
    let pool = Mutex::new(pool(3));
    let mut used: Vec<(*mut u8, u8)> = Vec::new();
    let mut random = 7_u64;
    let (mut refused, mut without_memory) = (0, 0);
    for round in 0..20_000_u64 {
        random = random.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(round);
        // It is used up, and then emptied nearly, again and again.
        let grows = (round / 2_000).is_multiple_of(2);
        if (random >> 62 < 3) == grows {
            match take_from(&pool) {
                Some(block) => {
                    let byte = (random >> 40) as u8;
                    fill_with(block, byte);
                    used.push((block, byte));
                }
                None => refused += 1,
            }
        } else if !used.is_empty() {
            let (block, byte) = used.swap_remove((random >> 20) as usize % used.len());
            assert!(is_filled_with(block, byte), "another block was here");
            assert!(pool.lock().give(Block(block)));
        }
        if random.is_multiple_of(100) {
            release(&pool);
            assert!(pool.lock().free.len() < TOO_MANY);
        }
        let pool = pool.lock();
        assert_eq!(in_use(&pool), used.len());
        let gone = pool.chunks.values().flat_map(|chunk| &chunk.pages);
        without_memory += gone.filter(|page| page.gone > 0).count();
    }
    assert!(refused > 100, "{refused}: it was never used up");
    assert!(without_memory > 100, "{without_memory}: pages were always whole");
    let mut elsewhere = 0;
    assert!(!pool.lock().give(Block(&raw mut elsewhere)));
    for (block, _) in used {
        assert!(pool.lock().give(Block(block)));
    }
    release(&pool);
    assert!(pool.lock().chunks.len() < 3, "no chunk has gone");
    free_all(&pool);
}

/// Each block that was let go of beyond some megabytes was given back at once, by whoever let it go: a merge did so 2,900 times, and interrupted each time the processors on which
/// others read and wrote, for a tenth of a second of them.
#[test]
fn who_lets_go_of_blocks_leaves_their_memory() {
    let pool = Mutex::new(pool(1));
    let blocks = take_all_from(&pool);
    for &block in &blocks {
        fill_with(block, 7);
        assert!(pool.lock().give(Block(block)));
    }
    assert!(blocks.iter().all(|&block| is_filled_with(block, 7)));
    free_all(&pool);
}

#[test]
#[cfg(target_os = "linux")]
fn the_system_gets_what_is_free_beyond_what_is_kept() {
    let pool = Mutex::new(pool(1));
    let blocks = take_all_from(&pool);
    for &block in &blocks {
        fill_with(block, 7);
    }
    // Of one page half of the blocks stay in use.
    let (go, stay) = blocks.split_at(blocks.len() - BLOCKS / 2);
    for &block in go {
        assert!(pool.lock().give(Block(block)));
    }
    release(&pool);
    assert_eq!(in_use(&pool.lock()), stay.len());
    assert!(stay.iter().all(|&block| is_filled_with(block, 7)));
    let kept = pool.lock().free.clone();
    // Whole pages go, and the other half of that one is among what is kept.
    assert_eq!(kept.len(), KEPT - BLOCKS / 2);
    assert!(kept.iter().all(|block| is_filled_with(block.0, 7)));
    assert_eq!(
        kept.iter()
            .filter(|block| page_of(**block) == page_of(Block(stay[0])))
            .count(),
        BLOCKS / 2
    );
    assert_eq!(
        page_of(kept[kept.len() - 1]),
        page_of(Block(stay[0])),
        "the next one to be taken"
    );
    let gone = blocks
        .iter()
        .filter(|&&block| !stay.contains(&block) && !kept.contains(&Block(block)));
    assert!(gone.clone().count() > 0 && gone.clone().all(|&block| is_filled_with(block, 0)));
    // Pages without memory are made ready again, and no chunk is asked for.
    let unready = |pool: &Pool| {
        pool.chunks
            .values()
            .flat_map(|chunk| chunk.pages)
            .filter(|page| !page.is_ready)
            .count()
    };
    assert_eq!(unready(&pool.lock()), gone.count() / BLOCKS);
    assert!(pool.lock().next_page().is_some());
    free_all(&pool);
}

/// New chunks were asked for, while those that there were had lost most of what they had.
#[test]
#[cfg(target_os = "linux")]
fn what_pages_have_lost_is_made_ready_again_before_a_chunk_is_asked_for() {
    let pool = Mutex::new(pool(2));
    let blocks = take_all_from(&pool);
    // Every page keeps a half of its blocks in use.
    for &block in blocks.iter().step_by(2) {
        assert!(pool.lock().give(Block(block)));
    }
    release(&pool);
    let gone = |pool: &Mutex<Pool>| -> u32 {
        let pool = pool.lock();
        let pages = pool.chunks.values().flat_map(|chunk| &chunk.pages);
        pages.map(|page| page.gone.count_ones()).sum()
    };
    let lost = gone(&pool);
    assert!(lost as usize > READY + BLOCKS, "{lost}");
    pool.lock().free.clear();
    fill(&pool, usize::MAX, || {});
    let (still_gone, ready) = (gone(&pool), std::mem::take(&mut pool.lock().free));
    assert_eq!(ready.len() as u32, lost - still_gone);
    assert!(ready.len() >= READY + BLOCKS);
    assert_eq!(pool.lock().chunks.len(), 2);
    fill(&pool, usize::MAX, || {});
    assert_eq!((gone(&pool), pool.lock().chunks.len()), (0, 3));
    free_all(&pool);
}

/// Pages that had lost nearly all of their memory counted as those with most blocks in use, were kept for one free block each, and with them their chunks.
#[test]
#[cfg(target_os = "linux")]
fn a_page_that_is_of_no_use_any_more_is_not_kept_for_one_block() {
    let pool = Mutex::new(pool(2));
    let blocks = take_all_from(&pool);
    // Of each page one block stays in use, and there are more free ones than are kept.
    let (stay, go): (Vec<_>, Vec<_>) = blocks
        .iter()
        .partition(|block| block.addr().is_multiple_of(LARGE));
    for &block in go.iter().chain(&stay[1..]) {
        assert!(pool.lock().give(Block(block)));
        if block == go[go.len() - 1] {
            release(&pool);
        }
    }
    // Those that stayed are not so many that memory would be given back for them.
    let more: Vec<_> = pool.lock().take_gone().into_iter().flatten().collect();
    let rest: Vec<_> = std::iter::from_fn(|| pool.lock().take_gone())
        .take(3)
        .flatten()
        .collect();
    for block in more.into_iter().chain(rest) {
        assert!(pool.lock().give(block));
    }
    release(&pool);
    let ready = |chunk: &Chunk| chunk.pages.iter().filter(|page| page.is_ready).count();
    let pages: usize = pool.lock().chunks.values().map(ready).sum();
    assert!(
        pages <= KEPT / BLOCKS + 2,
        "{pages} pages are kept for one block in use"
    );
    free_all(&pool);
}

#[test]
fn who_may_take_that_long_makes_blocks_ready_itself() {
    let _alone = ALONE.lock();
    enable();
    await_pool();
    let many = (FROM * LEN) as u64;
    let mut blocks = Vec::new();
    for _ in 0..3 * READY / BLOCKS {
        make_ready(many);
        assert!(POOL.lock().free.len() >= READY + BLOCKS);
        blocks.extend((0..BLOCKS).map_while(|_| take(many)));
        assert!(!POOL.lock().filling, "no thread has to");
    }
    assert_eq!(blocks.len(), 3 * READY, "none was left to the allocator");
    assert!(blocks.into_iter().all(give));
}

/// Written for as long as it takes the thread to come, from which on blocks are those that it made ready; they all go back.
#[test]
fn where_there_are_many_blocks_they_come_from_large_pages() {
    let _alone = ALONE.lock();
    enable();
    await_pool();
    let mut filler = filler();
    let (mut at, started) = (HEADER_LEN, Instant::now());
    let few = || take((FROM * LEN) as u64 - 1);
    assert!(few().is_none() && !POOL.lock().filling, "few blocks do without");
    let in_use = || in_use(&POOL.lock());
    while in_use() < 2 * PAGES * BLOCKS && started.elapsed() < Duration::from_mins(1) {
        filler.write(at, &bytes(at, LEN), &[]);
        at += LEN as u32;
        if at > 1 << 30 {
            filler = super::super::tests::filler();
            at = HEADER_LEN;
        }
    }
    assert!(in_use() >= 2 * PAGES * BLOCKS);
    await_pool();
    assert!(few().is_none(), "few blocks do without those that are ready, too");
    let mut offset = at - 200 * LEN as u32;
    while offset < at {
        assert_eq!(get(filler.blocks(), (offset, LEN)), Some(bytes(offset, LEN)));
        offset += LEN as u32;
    }
    drop(filler);
    while in_use() > 0 || POOL.lock().chunks.len() > 2 {
        assert!(
            started.elapsed() < Duration::from_mins(2),
            "{} are in use",
            in_use()
        );
        crate::epoch::pin().flush();
    }
}
