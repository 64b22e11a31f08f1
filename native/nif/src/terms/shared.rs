//! Binaries of many objects that one call makes, several of them side by side in one piece of memory.
//!
//! The VM takes memory of its own for each binary of more than 64 bytes, which costs as much as everything else about a small object. Here a piece
//! is taken for several of them, which are parts of it, like what `binary:split/2` gives. Whoever keeps a part keeps the piece, so pieces are small.
#![expect(unsafe_code, reason = "the VM's C interface")]

use bets_codec::DecodeError;
use rustler::Env;
use rustler::sys::{ErlNifTerm, enif_make_new_binary, enif_make_sub_binary};

use super::build;
use crate::raw::Word;

/// The VM puts binaries up to this length in bytes on the process's own heap.
const HEAP_MAX: usize = 64;

/// The longest piece, in bytes.
const PIECE_MAX: usize = 512;

/// Longer binaries have memory of their own: for two or one of them a piece saves nothing.
const PART_MAX: usize = PIECE_MAX / 3;

/// Makes the binaries of one environment, for the time of one call.
pub struct Binaries<'a> {
    env: Env<'a>,
    piece: Option<Piece>,
    /// The bytes of all binaries that could have been parts.
    asked: usize,
}

/// Memory of which the first part is taken.
struct Piece {
    term: ErlNifTerm,
    data: *mut u8,
    len: usize,
    taken: usize,
}

impl<'a> Binaries<'a> {
    /// None yet.
    pub fn new(env: Env<'a>) -> Self {
        Binaries {
            env,
            piece: None,
            asked: 0,
        }
    }

    /// A binary of these bytes.
    #[inline]
    pub(super) fn make(&mut self, bytes: &[u8]) -> Result<Word, DecodeError> {
        if bytes.len() > HEAP_MAX
            && bytes.len() <= PART_MAX
            && let Some(part) = self.part(bytes)?
        {
            return Ok(part);
        }
        Ok(build::binary(self.env, bytes)?.as_c_arg())
    }

    /// A part of the piece there is or of a new one.
    fn part(&mut self, bytes: &[u8]) -> Result<Option<Word>, DecodeError> {
        // A piece is not longer than what came before it, so that a few objects do not take twice their room.
        let len = self.asked.min(PIECE_MAX);
        self.asked += bytes.len();
        let piece = match &mut self.piece {
            Some(piece) if bytes.len() <= piece.len - piece.taken => piece,
            // Binaries of one length fill it.
            _ if bytes.len() <= len / 2 => {
                let len = len - len % bytes.len();
                self.piece.insert(Piece::new(self.env, len)?)
            }
            _ => return Ok(None),
        };
        Ok(Some(piece.part(self.env, bytes)))
    }
}

impl Piece {
    fn new(env: Env<'_>, len: usize) -> Result<Piece, DecodeError> {
        let mut term = ErlNifTerm::default();
        // SAFETY: the environment is the caller's, and the VM sets the term if it gives memory.
        let data = unsafe { enif_make_new_binary(env.as_c_arg(), len, &raw mut term) };
        if data.is_null() {
            return Err(DecodeError::Unmakeable("no memory for a binary"));
        }
        Ok(Piece {
            term,
            data,
            len,
            taken: 0,
        })
    }

    /// The next part, of no more bytes than are left.
    fn part(&mut self, env: Env<'_>, bytes: &[u8]) -> Word {
        let start = self.taken;
        self.taken += bytes.len();
        debug_assert!(self.taken <= self.len, "a part within the piece");
        // SAFETY: so much of the piece is left, and belongs to no term yet. The VM lets a new binary be written to until the call
        // returns, and the environment, which the piece is of, lives no longer; so long a binary is not on the heap, where it could move.
        unsafe {
            self.data
                .add(start)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            enif_make_sub_binary(env.as_c_arg(), self.term, start, bytes.len())
        }
    }
}
