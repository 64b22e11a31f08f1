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
    while let Some((chunk, page)) = pool.next_page() {
        assert_eq!(page.0.addr() % LARGE, 0);
        pool.add_page(chunk, page);
    }
    pool
}

/// What each block was filled with is there as long as it is in use; blocks in use and free ones are all that there are.
#[test]
fn blocks_do_not_overlap_and_are_taken_again() {
    let mut pool = pool(3);
    let all = 3 * PAGES * BLOCKS;
    let mut used: Vec<(*mut u8, u8)> = Vec::new();
    let mut random = 7_u64;
    let mut refused = 0;
    for round in 0..20_000_u64 {
        random = random.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(round);
        if random >> 62 < 3 && round < 15_000 {
            match pool.take() {
                Some(block) => {
                    let byte = (random >> 40) as u8;
                    // SAFETY: a block has so many bytes.
                    unsafe { block.write_bytes(byte, LEN) };
                    used.push((block, byte));
                }
                None => refused += 1,
            }
        } else if !used.is_empty() {
            let (block, byte) = used.swap_remove((random >> 20) as usize % used.len());
            // SAFETY: as above.
            let found = unsafe { std::slice::from_raw_parts(block, LEN) };
            assert!(found.iter().all(|&found| found == byte), "another block was here");
            match pool.give(Block(block)) {
                Back::Kept => {}
                Back::Emptied(chunk) => chunk.free(),
                Back::Elsewhere => panic!("{block:?} is not known"),
            }
        }
        assert_eq!(pool.free.len() + used.len(), pool.chunks.len() * PAGES * BLOCKS);
    }
    assert!(refused > 100, "{refused}: it was never used up");
    assert!(used.is_empty() && pool.free.len() < all, "no chunk has gone");
    let mut elsewhere = 0;
    assert!(matches!(pool.give(Block(&raw mut elsewhere)), Back::Elsewhere));
    for chunk in pool.chunks.into_values() {
        chunk.free();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_system_gets_what_is_free_beyond_what_is_kept() {
    let mut pool = pool(1);
    let blocks: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
    for &block in &blocks {
        // SAFETY: a block has so many bytes.
        unsafe { block.write_bytes(7, LEN) };
    }
    for &block in &blocks {
        assert!(matches!(pool.give(Block(block)), Back::Kept));
    }
    let (all, kept) = (PAGES * BLOCKS, KEPT);
    let is_gone = |block: &Block| {
        // SAFETY: as above.
        let bytes = unsafe { std::slice::from_raw_parts(block.0, LEN) };
        bytes.iter().all(|&byte| byte == 0)
    };
    let gone: Vec<_> = pool.free.iter().map(is_gone).collect();
    // What the system has taken is used last.
    assert_eq!(gone, [vec![true; all - kept], vec![false; kept]].concat());
    for chunk in pool.chunks.into_values() {
        chunk.free();
    }
}

#[test]
fn who_may_take_that_long_makes_blocks_ready_itself() {
    let _alone = ALONE.lock();
    enable();
    while POOL.lock().filling {
        std::thread::yield_now();
    }
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
    let mut filler = filler();
    let (mut at, started) = (HEADER_LEN, Instant::now());
    let few = || take((FROM * LEN) as u64 - 1);
    assert!(few().is_none() && !POOL.lock().filling, "few blocks do without");
    let in_use = || POOL.lock().chunks.values().map(|chunk| chunk.used).sum::<usize>();
    while in_use() < 2 * PAGES * BLOCKS && started.elapsed() < Duration::from_mins(1) {
        filler.write(at, &bytes(at, LEN), &[]);
        at += LEN as u32;
        if at > 1 << 30 {
            filler = super::super::tests::filler();
            at = HEADER_LEN;
        }
    }
    assert!(in_use() >= 2 * PAGES * BLOCKS);
    while POOL.lock().filling {
        std::thread::yield_now();
    }
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
