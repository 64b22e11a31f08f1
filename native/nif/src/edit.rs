//! An object whose elements are changed: as bytes, so that what stays is neither decoded nor encoded.

use bets_codec::DecodeError;
use bets_codec::object::{arity, as_int, element, put_int, replace};
use rustler::{Env, Term};
use smallvec::SmallVec;

use crate::codec::{self, Budget, Layout};
use crate::error::Fail;
use crate::integer::Integer;

/// The bytes of an element; most are short.
type Element = SmallVec<[u8; ELEMENT_LEN]>;

const ELEMENT_LEN: usize = 16;

/// An object's bytes with changes that are not made yet.
pub struct Edit<'b, 'o> {
    layout: Layout,
    bytes: &'b [u8],
    arity: usize,
    /// Positions and the bytes of their new elements, in the order of positions.
    changes: SmallVec<[(usize, Element); 2]>,
    /// The integers among them, the last put last.
    counted: SmallVec<[(usize, Integer); 2]>,
    /// Where elements are encoded, and in the end the object.
    out: &'o mut Vec<u8>,
}

impl<'b, 'o> Edit<'b, 'o> {
    /// Starts from the object as it is stored. What `out` holds is of no use afterwards.
    pub fn new(layout: Layout, bytes: &'b [u8], out: &'o mut Vec<u8>) -> Result<Self, Fail> {
        Ok(Edit {
            layout,
            bytes,
            arity: arity(bytes)?,
            changes: SmallVec::new(),
            counted: SmallVec::new(),
            out,
        })
    }

    /// Whether the object has an element at this position.
    pub fn has(&self, position: usize) -> bool {
        (1..=self.arity).contains(&position)
    }

    /// The integer at a position, which is none of the key's; `None` if another term stands there.
    pub fn integer(
        &self,
        env: Env<'_>,
        position: usize,
        budget: &mut Budget,
    ) -> Result<Option<Integer>, Fail> {
        if let Some(counted) = self.counted.iter().rev().find(|(at, _)| *at == position) {
            return Ok(Some(counted.1.clone()));
        }
        let range = element(self.bytes, self.layout.keypos(), position, budget)?;
        if let Some(small) = as_int(&self.bytes[range]) {
            return Ok(Some(Integer::Small(small)));
        }
        Ok(Integer::decode(
            self.layout.decode_element(env, self.bytes, position, budget)?,
        ))
    }

    /// Puts a term at a position, which is none of the key's.
    pub fn set(&mut self, position: usize, term: Term<'_>, budget: &mut Budget) -> Result<(), Fail> {
        self.out.clear();
        codec::encode_element(term, self.out, budget)?;
        self.set_out(position);
        Ok(())
    }

    /// Puts an integer at a position, which is none of the key's.
    pub fn set_integer(
        &mut self,
        env: Env<'_>,
        position: usize,
        value: Integer,
        budget: &mut Budget,
    ) -> Result<(), Fail> {
        self.out.clear();
        match &value {
            Integer::Small(small) => put_int(self.out, *small),
            Integer::Large(..) => {
                codec::encode_element(value.encode(env).ok_or_else(Fail::none)?, self.out, budget)?;
            }
        }
        self.set_out(position);
        self.counted.push((position, value));
        Ok(())
    }

    fn set_out(&mut self, position: usize) {
        let bytes = Element::from_slice(self.out);
        match self.changes.binary_search_by_key(&position, |(at, _)| *at) {
            Ok(index) => self.changes[index].1 = bytes,
            Err(index) => self.changes.insert(index, (position, bytes)),
        }
    }

    /// The bytes of the object with all changes.
    pub fn finish(self, budget: &mut Budget) -> Result<&'o [u8], Fail> {
        let changes: SmallVec<[(usize, &[u8]); 2]> = self
            .changes
            .iter()
            .map(|(at, bytes)| (*at, bytes.as_slice()))
            .collect();
        self.out.clear();
        replace(self.bytes, self.layout.keypos(), &changes, self.out, budget).map_err(
            |error| match error {
                DecodeError::NoElement => Fail::none(),
                error => error.into(),
            },
        )?;
        Ok(self.out)
    }
}
