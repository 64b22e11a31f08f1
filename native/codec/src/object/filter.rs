//! Tests on the bytes of objects, so that what no match specification can want is not decoded.
//!
//! A filter may let through what the specification then refuses. It never holds back what the specification would take: where
//! the bytes alone do not decide (floats, which equal integers of their value; damage, which the decoder has to report), the
//! object passes. The arity, and how a key compares with an atom or a bitstring, are always decided: in the order of keys nobody asks for these again (`bets_plain:without/3`).

use std::cmp::Ordering;
use std::ops::Bound;

use smallvec::SmallVec;

use super::edit::{head, int, skip};
use super::range::Range;
use super::tag;
use crate::budget::Budget;
use crate::error::DecodeError;
use crate::read::Reader;

/// A comparison with a constant that stands on its right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `<`
    Less,
    /// `=<`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `/=`
    Unequal,
}

impl Op {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Op::Less => order.is_lt(),
            Op::AtMost => order.is_le(),
            Op::Greater => order.is_gt(),
            Op::AtLeast => order.is_ge(),
            Op::Equal => order.is_eq(),
            Op::Unequal => order.is_ne(),
        }
    }
}

/// What an element, or the key, has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// An element with exactly these bytes, as [`encode_element`](super::encode_element) makes them. The term must be one that has
    /// the bytes of every term equal to it: no zero float, no map, no fun in it.
    Same(Vec<u8>),
    /// An element that compares so with an integer.
    Int(Op, i64),
    /// A key whose bytes begin with these: the compared part of a key.
    KeySame(Vec<u8>),
    /// A key whose bytes compare so (as `Less` or `Greater`) with these.
    Key(Op, Vec<u8>),
}

/// One clause of a match specification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clause {
    /// How many elements the object has, its key included; `None` if any number will do.
    pub arity: Option<usize>,
    /// Tests by position, from 1, in rising order. One at the key's position is a test of the key.
    pub tests: SmallVec<[(usize, Test); 4]>,
}

/// What can be said of a match specification by looking at bytes: an object passes if it passes one of the clauses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The clauses.
    pub clauses: Vec<Clause>,
}

impl Filter {
    /// Whether the object of this key has to be looked at. Does not allocate. Passes over no more than `budget` allows: what would take
    /// longer passes.
    pub fn passes(&self, key: &[u8], object: &[u8], keypos: usize, budget: &mut Budget) -> bool {
        self.clauses
            .iter()
            .any(|clause| clause.passes(key, object, keypos, budget).unwrap_or(true))
    }

    /// The keys that its tests of keys leave, for a table in the order of its keys. No object with another key has to be looked at.
    pub fn key_range(&self, keypos: usize) -> Range<'_> {
        self.clauses
            .iter()
            .map(|clause| clause.key_range(keypos))
            .reduce(Range::join)
            .unwrap_or(Range::ALL)
    }

    /// Leaves out the tests of keys that [`Filter::key_range`] is made of, for who goes through no other keys. Of several clauses they stay: the range that has those of all in it has others, too.
    pub fn leave_keys_to_range(&mut self, keypos: usize) {
        if let [clause] = self.clauses.as_mut_slice() {
            clause
                .tests
                .retain(|(position, test)| *position != keypos || test.key_range() == Range::ALL);
            if *clause == Clause::default() {
                self.clauses.clear();
            }
        }
    }
}

impl Clause {
    fn key_range(&self, keypos: usize) -> Range<'_> {
        self.tests
            .iter()
            .filter(|(position, _)| *position == keypos)
            .fold(Range::ALL, |range, (_, test)| range.meet(test.key_range()))
    }

    fn passes(
        &self,
        key: &[u8],
        object: &[u8],
        keypos: usize,
        budget: &mut Budget,
    ) -> Result<bool, DecodeError> {
        let mut reader = Reader::new(object);
        let arity = head(&mut reader, keypos)?;
        if self.arity.is_some_and(|wanted| wanted != arity) {
            return Ok(false);
        }
        let mut at = 1;
        for (position, test) in &self.tests {
            let position = *position;
            if position > arity {
                return Ok(false);
            }
            if position == keypos {
                if !test.takes_key(key) {
                    return Ok(false);
                }
                continue;
            }
            if position > at {
                let between = position - at - usize::from((at..position).contains(&keypos));
                skip(&mut reader, between, budget)?;
                at = position;
            }
            if !test.takes(reader.rest())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Test {
    /// Whether the element that begins here passes.
    fn takes(&self, rest: &[u8]) -> Result<bool, DecodeError> {
        match self {
            // No element's bytes begin with those of another one. Most differ in the first byte, which needs no call.
            Test::Same(bytes) => Ok(rest.first() == bytes.first() && rest.starts_with(bytes)),
            Test::Int(op, constant) => {
                let mut reader = Reader::new(rest);
                let first = reader.byte()?;
                Ok(match first {
                    ..tag::SHORT_BINARY | tag::INT_1..=tag::INT_8 => {
                        op.holds(int(&mut reader, first)?.cmp(constant))
                    }
                    tag::NEG_BIG => op.holds(Ordering::Less),
                    tag::FLOAT => true,
                    // A larger integer, or a term that is no number: these are greater than all numbers.
                    _ => op.holds(Ordering::Greater),
                })
            }
            Test::KeySame(_) | Test::Key(..) => Ok(true),
        }
    }

    fn key_range(&self) -> Range<'_> {
        let (lower, upper) = match self {
            Test::KeySame(bytes) => (Bound::Included(&**bytes), Bound::Included(&**bytes)),
            Test::Key(Op::Less, bytes) => (Bound::Unbounded, Bound::Excluded(&**bytes)),
            Test::Key(Op::AtMost, bytes) => (Bound::Unbounded, Bound::Included(&**bytes)),
            Test::Key(Op::Greater, bytes) => (Bound::Excluded(&**bytes), Bound::Unbounded),
            Test::Key(Op::AtLeast, bytes) => (Bound::Included(&**bytes), Bound::Unbounded),
            _ => return Range::ALL,
        };
        Range { lower, upper }
    }

    fn takes_key(&self, key: &[u8]) -> bool {
        match self {
            Test::KeySame(bytes) => key.starts_with(bytes),
            Test::Key(op, bytes) => op.holds(key.cmp(bytes)),
            Test::Same(_) | Test::Int(..) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clause(tests: &[(usize, Test)]) -> Clause {
        Clause {
            arity: Some(2),
            tests: tests.iter().cloned().collect(),
        }
    }

    #[test]
    fn of_one_clause_the_tests_of_keys_are_left_to_the_range() {
        let bounds = [
            (1, Test::Key(Op::Greater, vec![7])),
            (1, Test::Key(Op::AtMost, vec![9])),
        ];
        let other = (2, Test::Int(Op::Equal, 5));
        let mut filter = Filter {
            clauses: vec![clause(&[bounds[0].clone(), bounds[1].clone(), other.clone()])],
        };
        let range = Range {
            lower: Bound::Excluded(&[7][..]),
            upper: Bound::Included(&[9][..]),
        };
        assert_eq!(filter.key_range(1), range);
        filter.leave_keys_to_range(1);
        assert_eq!(filter.clauses, [clause(&[other])]);

        let mut filter = Filter {
            clauses: bounds
                .iter()
                .map(|bound| clause(std::slice::from_ref(bound)))
                .collect(),
        };
        let before = filter.clone();
        filter.leave_keys_to_range(1);
        assert_eq!(
            filter, before,
            "the range of several clauses has keys between them"
        );

        let kept = [(1, Test::Same(vec![7])), (2, Test::Key(Op::Unequal, vec![7]))];
        let mut tests = kept.to_vec();
        tests.push((2, Test::KeySame(vec![8])));
        let mut filter = Filter {
            clauses: vec![clause(&tests)],
        };
        filter.leave_keys_to_range(2);
        assert_eq!(
            filter.clauses,
            [clause(&kept)],
            "of elements, and what no range says"
        );

        let mut filter = Filter {
            clauses: vec![Clause {
                arity: None,
                ..clause(&bounds)
            }],
        };
        filter.leave_keys_to_range(1);
        assert_eq!(filter, Filter::default(), "nothing is left to ask");
    }
}
