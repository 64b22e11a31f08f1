//! A segment from front to back, and looking for frames behind damage.

use std::path::Path;
use std::sync::Arc;

use bets_engine::format::segment::{HEADER_LEN, check_header, identity};
use bets_engine::io::sim::Sim;
use bets_engine::io::{File, Storage};
use bets_engine::segment::scan::{Found, Scanner};

use crate::frame::mend_frame;
use crate::memory::Bound;
use crate::mended;

/// A scanner reads a mebibyte at a time, or a whole file that is shorter.
pub const BOUND: Bound = Bound::FILE;

const ID: u32 = 0x0101_0101;

pub fn check(data: &[u8]) {
    let (mend, bytes) = mended(data);
    let mut bytes = bytes.to_vec();
    if mend {
        mend_frames(&mut bytes);
    }
    if let Some((id, table)) = identity(&bytes) {
        let _ = check_header(&bytes, id, table);
    }
    let file = file(&bytes);
    BOUND.watch(bytes.len(), || {
        walk(&file, bytes.len() as u64);
    });
    search(&file, bytes.len() as u64);
}

/// Makes every frame one of this segment, with the right CRCs, one behind the other.
fn mend_frames(bytes: &mut [u8]) {
    let mut pos = HEADER_LEN as usize;
    while let Some(rest) = bytes.get_mut(pos..)
        && rest.len() > 13
    {
        rest[9..13].copy_from_slice(&ID.to_le_bytes());
        match mend_frame(rest) {
            Some(len) => pos += len,
            None => return,
        }
    }
}

fn file(bytes: &[u8]) -> Arc<dyn File> {
    let sim = Sim::new();
    let path = Path::new("/segment");
    sim.write(path, bytes).unwrap();
    sim.open(path, false).unwrap()
}

/// Each frame is inside the file, and the walk comes to its end.
fn walk(file: &Arc<dyn File>, end: u64) {
    let mut scanner = Scanner::new(Arc::clone(file), ID, end);
    let mut pos = u64::from(HEADER_LEN);
    loop {
        let next = match scanner.at(pos, true).unwrap() {
            Found::Bad(_) => return,
            Found::Frame(frame) => {
                let _ = frame.value();
                pos + frame.head.frame_len() as u64
            }
        };
        assert!(pos < next && next <= end);
        pos = next;
    }
}

/// What is found is a frame, and the next search begins behind it.
fn search(file: &Arc<dyn File>, end: u64) {
    let mut scanner = Scanner::new(Arc::clone(file), ID, end);
    let mut pos = 0;
    let mut highest = 0;
    while let Some(found) = scanner.find(pos, |_| true).unwrap() {
        assert!(pos <= found && found < end);
        match scanner.at(found, false).unwrap() {
            Found::Frame(frame) => highest = highest.max(frame.head.durable_seq.unwrap_or(0)),
            Found::Bad(bad) => panic!("what was found at {found} is {bad:?}"),
        }
        pos = found + 1;
    }
    assert_eq!(scanner.highest_mark(0, u64::MAX).unwrap(), highest);
}
