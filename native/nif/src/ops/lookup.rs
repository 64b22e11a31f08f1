//! Reading one key.

use std::ops::ControlFlow;

use bets_engine::table::Found;
use rustler::{Encoder, Term, TermType};
use smallvec::SmallVec;

use super::{boolean, key_of, list_of_one};
use crate::access::{self, Need};
use crate::atoms;
use crate::buffers;
use crate::codec::{Binaries, Budget, stored_key};
use crate::error::Fail;
use crate::raw::{cell, element, empty_list, tuple};
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// `lookup(Tab, Key) -> [Object]`.
pub fn lookup<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| objects(call, table, call.arg(1)))
}

/// `lookup_pattern(Tab, Pattern) -> [Keypos, Object, ...] | none`: the objects whose key stands in a pattern. `none` if no key stands there, and also for keys
/// of unusual terms.
pub fn lookup_pattern<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let mut left = PATTERN_TERMS_MAX;
        match key_of(call.arg(1), table.keypos()) {
            Ok(key) if is_bound(key, &mut left) => {
                let objects = objects(call, table, key)?;
                Ok(objects.list_prepend(table.keypos().encode(call.env)))
            }
            _ => Ok(atoms::none().to_term(call.env)),
        }
    })
}

/// A pattern's key of more terms than this is left to who can look at it for longer.
const PATTERN_TERMS_MAX: usize = 32;

/// Whether a pattern surely stands for one term, itself.
fn is_bound(pattern: Term<'_>, left: &mut usize) -> bool {
    let Some(fewer) = left.checked_sub(1) else {
        return false;
    };
    *left = fewer;
    match pattern.get_type() {
        TermType::Integer | TermType::Float | TermType::Binary => true,
        TermType::Atom => pattern
            .atom_to_string()
            .is_ok_and(|text| text != "_" && !text.starts_with('$')),
        TermType::Tuple => tuple(pattern).is_some_and(|elements| {
            elements
                .iter()
                .all(|word| is_bound(element(pattern.get_env(), *word), left))
        }),
        TermType::List => {
            let mut rest = pattern;
            while let Some((head, tail)) = cell(rest) {
                if !is_bound(head, left) {
                    return false;
                }
                rest = tail;
            }
            rest.is_empty_list() || is_bound(rest, left)
        }
        _ => false,
    }
}

/// The list of a key's objects.
#[expect(
    clippy::inline_always,
    reason = "a term that is handed on is written in pieces and read whole, for which the processor waits"
)]
#[inline(always)]
pub fn objects<'a>(call: &Call<'a>, table: &TableResource, asked: Term<'a>) -> Outcome<'a> {
    if table.layout.kind().is_bag() {
        return each(call, table, asked, |found, binaries, budget| {
            table.layout.decode_one_of(asked, found, binaries, budget)
        });
    }
    Ok(match get(call, table, asked)? {
        Some(object) => list_of_one(call.env, object),
        None => empty_list(call.env),
    })
}

/// A list of what `f` makes of a key's objects.
fn each<'a>(
    call: &Call<'a>,
    table: &TableResource,
    asked: Term<'a>,
    mut f: impl FnMut(Found<'_>, Option<&mut Binaries<'a>>, &mut Budget) -> Result<Term<'a>, Fail>,
) -> Outcome<'a> {
    buffers::with(|buffers| {
        let key = super::key(call, table, asked, &mut buffers.key)?;
        let mut terms = Terms::new(call);
        let failed = table.table.each(key, call.wait(), |at, found| {
            terms.take(at, |binaries, budget| f(found, binaries, budget))
        })?;
        match failed {
            Some(fail) => Err(fail),
            None => Ok(terms.list(call)),
        }
    })
}

/// What was made of a key's objects so far.
pub struct Terms<'a> {
    made: SmallVec<[Term<'a>; 8]>,
    binaries: Binaries<'a>,
    budget: Budget,
}

impl<'a> Terms<'a> {
    /// Nothing yet.
    pub fn new(call: &Call<'a>) -> Self {
        Terms {
            made: SmallVec::new(),
            binaries: Binaries::new(call.env),
            budget: call.budget(),
        }
    }

    /// Takes what `f` makes of the object with this index. Index 0 starts again.
    pub fn take(
        &mut self,
        at: usize,
        f: impl FnOnce(Option<&mut Binaries<'a>>, &mut Budget) -> Result<Term<'a>, Fail>,
    ) -> ControlFlow<Fail> {
        if at == 0 {
            self.made.clear();
        }
        // Finding an object costs about as much as decoding two terms.
        let charged = self.budget.charge(2 * Budget::TERM).map_err(|_| Fail::OverBudget);
        // One object alone has memory of its own.
        let binaries = (at > 0).then_some(&mut self.binaries);
        match charged.and_then(|()| f(binaries, &mut self.budget)) {
            Ok(term) => {
                self.made.push(term);
                ControlFlow::Continue(())
            }
            Err(fail) => ControlFlow::Break(fail),
        }
    }

    /// All of it as a list.
    pub fn list(&self, call: &Call<'a>) -> Term<'a> {
        super::list(call.env, &self.made)
    }
}

/// The object of a key.
#[expect(
    clippy::inline_always,
    reason = "a term that is handed on is written in pieces and read whole, for which the processor waits"
)]
#[inline(always)]
pub fn get<'a>(call: &Call<'a>, table: &TableResource, asked: Term<'a>) -> Result<Option<Term<'a>>, Fail> {
    // Not handed through buffers and engine as their result, which would be moved at each step.
    let (mut object, mut failed) = (None, None);
    let found = buffers::with(|buffers| {
        let key = super::key(call, table, asked, &mut buffers.key)?;
        let found = table.table.get(key, call.wait(), |found| {
            match table.layout.decode_object(asked, found, &mut call.budget()) {
                Ok(word) => (object, failed) = (Some(word), None),
                Err(fail) => failed = Some(fail),
            }
        })?;
        Ok::<_, Fail>(found.is_some())
    })?;
    match failed {
        Some(fail) if found => Err(fail),
        _ => Ok(object.filter(|_| found).map(|word| element(call.env, word))),
    }
}

/// `member(Tab, Key) -> boolean()`.
pub fn member<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        contains(call, table, call.arg(1)).map(|found| boolean(call.env, found))
    })
}

/// `ttl(Tab, Key) -> [Now, Deadline, ...]`: the table's time, and when each of the key's objects expires, in milliseconds since 1970 or `infinity`.
pub fn ttl<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let now = if table.table.expires() {
            table.table.now().ms()
        } else {
            0
        };
        let deadlines = buffers::with(|buffers| {
            let key = super::key(call, table, call.arg(1), &mut buffers.key)?;
            Ok::<_, Fail>(table.table.deadlines(key, call.wait())?)
        })?;
        if call.is_normal() && deadlines.len() > NORMAL_OBJECTS {
            return Err(Fail::OverBudget);
        }
        let infinity = atoms::infinity().to_term(call.env);
        let terms = deadlines
            .iter()
            .map(|deadline| deadline.ms().map_or(infinity, |ms| ms.encode(call.env)));
        let terms: Vec<_> = terms.collect();
        Ok(super::list(call.env, &terms).list_prepend(now.encode(call.env)))
    })
}

/// A key of more objects than this is not told about on a normal scheduler.
const NORMAL_OBJECTS: usize = 1_000;

/// `same_key(Tab, A, B) -> boolean()`: whether both are one key of the table.
pub fn same_key<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let same = table
            .layout
            .same_key(call.arg(1), call.arg(2), &mut call.budget())?;
        Ok(boolean(call.env, same))
    })
}

/// Whether the key is there.
pub fn contains<'a>(call: &Call<'a>, table: &TableResource, key: Term<'a>) -> Result<bool, Fail> {
    buffers::with(|buffers| {
        let key = super::key(call, table, key, &mut buffers.key)?;
        Ok(table.table.contains(key, call.wait())?)
    })
}

/// `lookup_element(Tab, Key, Pos) -> [Element]`, the element of a bag being the list of all objects' elements, and with a fourth argument `[Default]` for a missing key.
pub fn lookup_element<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        // Positive, but of any size: no object has a position beyond 64 bits.
        let position: usize = call.arg(2).decode().map_err(|_| Fail::none())?;
        if position == 0 {
            return Err(Fail::none());
        }
        let decode = |found: Found<'_>, budget: &mut Budget| {
            if position == table.keypos() {
                stored_key(call.arg(1), found, budget)
            } else {
                table
                    .layout
                    .decode_element(call.env, found.value, position, budget)
            }
        };
        let found = if table.layout.kind().is_bag() {
            let elements = each(call, table, call.arg(1), |found, _, budget| decode(found, budget))?;
            (!elements.is_empty_list()).then_some(elements)
        } else {
            buffers::with(|buffers| {
                let key = super::key(call, table, call.arg(1), &mut buffers.key)?;
                table
                    .table
                    .get(key, call.wait(), |found| decode(found, &mut call.budget()))?
                    .transpose()
            })?
        };
        match found {
            Some(element) => Ok(list_of_one(call.env, element)),
            None if call.arity() == 4 => Ok(list_of_one(call.env, call.arg(3))),
            None => Err(Fail::Badarg(atoms::badkey())),
        }
    })
}
