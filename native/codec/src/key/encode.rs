//! From a term to the bytes of a key.

use smallvec::SmallVec;

use super::suffix::{Exception, Kind, put_suffix};
use super::{Equality, Form, MAX_BIGS_LEN, bits, creator, number, put_size, put_tuple, tag, text};
use crate::budget::Budget;
use crate::error::EncodeError;
use crate::source::{Creator, FunHead, Source, View};

/// Appends a term's key to `out`: the compared part, whose length is the result, and the suffix. After an error `out` holds a
/// part of it.
///
/// Costs time linear in the term's size, but for maps nested in keys of maps, whose keys are sorted at every level.
pub fn encode<S: Source>(
    source: &mut S,
    term: S::Term,
    form: Form,
    out: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<usize, EncodeError> {
    let start = out.len();
    let mut encoder = Encoder::new(out, form);
    encoder.run(source, term, budget)?;
    let exceptions = encoder.exceptions;
    let compared = out.len() - start;
    put_suffix(out, &exceptions);
    Ok(compared)
}

/// Appends the key of a binary, as [`encode`] does: without what terms of several parts need.
#[inline]
pub fn encode_binary(bytes: &[u8], out: &mut Vec<u8>, budget: &mut Budget) -> Result<usize, EncodeError> {
    let start = out.len();
    budget.charge_term()?;
    put_bitstring(out, bytes, 8, budget)?;
    Ok(out.len() - start)
}

/// Appends the key of an integer, as [`encode`] does: without what terms of several parts need.
#[inline]
pub fn encode_int(value: i64, out: &mut Vec<u8>, budget: &mut Budget) -> Result<usize, EncodeError> {
    let start = out.len();
    budget.charge_term()?;
    number::put_int(out, value);
    Ok(out.len() - start)
}

#[inline]
fn put_bitstring(
    out: &mut Vec<u8>,
    bytes: &[u8],
    last_bits: u8,
    budget: &mut Budget,
) -> Result<(), EncodeError> {
    budget.charge_bytes(bytes.len() * 2)?;
    out.push(tag::BITS);
    bits::put_bits(out, bytes, last_bits);
    Ok(())
}

/// Appends a term as the key of a map, zeros equal, with its suffix: what the keys of a map are sorted by, in one order
/// whichever release the VM is of.
pub(crate) fn encode_map_key<S: Source>(
    source: &mut S,
    term: S::Term,
    out: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<(), EncodeError> {
    let mut encoder = Encoder::new(out, Form::Exact(Equality::ZerosEqual));
    encoder.in_map_key = true;
    encoder.run(source, term, budget)?;
    let exceptions = encoder.exceptions;
    put_suffix(out, &exceptions);
    Ok(())
}

enum Step<T> {
    Term(T),
    /// A key of the innermost map is complete, or its first is about to begin.
    MapKey,
}

/// A map whose keys are being encoded.
struct Map<T> {
    pairs: Vec<(T, T)>,
    /// Where each key begun so far starts.
    starts: Vec<Place>,
    outer_in_map_key: bool,
}

#[derive(Clone, Copy)]
struct Place {
    byte: usize,
    point: u64,
    exception: usize,
}

struct Encoder<'o, T> {
    out: &'o mut Vec<u8>,
    form: Form,
    in_map_key: bool,
    points: u64,
    /// Bytes of the integers beyond 64 bits.
    bigs_len: usize,
    exceptions: Vec<Exception>,
    todo: SmallVec<[Step<T>; 12]>,
    maps: Vec<Map<T>>,
}

impl<'o, T: Copy> Encoder<'o, T> {
    #[inline]
    fn new(out: &'o mut Vec<u8>, form: Form) -> Self {
        Encoder {
            out,
            form,
            in_map_key: false,
            points: 0,
            bigs_len: 0,
            exceptions: Vec::new(),
            todo: SmallVec::new(),
            maps: Vec::new(),
        }
    }

    fn run<S: Source<Term = T>>(
        &mut self,
        source: &mut S,
        term: T,
        budget: &mut Budget,
    ) -> Result<(), EncodeError> {
        self.term(source, term, budget)?;
        while let Some(step) = self.todo.pop() {
            match step {
                Step::Term(term) => self.term(source, term, budget)?,
                Step::MapKey => self.map_key(budget)?,
            }
        }
        Ok(())
    }

    #[inline]
    fn term<S: Source<Term = T>>(
        &mut self,
        source: &mut S,
        term: T,
        budget: &mut Budget,
    ) -> Result<(), EncodeError> {
        budget.charge_term()?;
        match source.view(term)? {
            View::Int(value) => {
                self.integer_follows();
                number::put_int(self.out, value);
            }
            View::Bits(bytes, last_bits) => put_bitstring(self.out, bytes, last_bits, budget)?,
            View::Atom(name) => {
                self.out.push(tag::ATOM);
                text::put_text(self.out, name);
            }
            View::Tuple(arity) => {
                budget.charge_bytes(arity * 16)?;
                put_tuple(self.out, arity);
                self.push_elements(source, term)?;
            }
            View::Nil => self.out.push(tag::NIL),
            View::Cons(head, tail) => {
                self.out.push(tag::CONS);
                self.todo.push(Step::Term(tail));
                self.todo.push(Step::Term(head));
            }
            View::Map(0) => self.out.extend_from_slice(&[tag::MAP, 0]),
            View::Map(size) => {
                budget.charge(size)?;
                self.begin_map(source, term, size)?;
            }
            View::Float(value) => self.float(value),
            View::Big { negative, magnitude } => {
                budget.charge(magnitude.len())?;
                self.bigs_len = self.bigs_len.saturating_add(magnitude.len());
                if self.bigs_len > MAX_BIGS_LEN {
                    return Err(EncodeError::TooLarge("the integers of a key"));
                }
                self.integer_follows();
                number::put_big(self.out, negative, magnitude);
            }
            View::Pid { creator, id, serial } => {
                self.out.push(tag::PID);
                self.out.extend_from_slice(&serial.to_be_bytes());
                self.out.extend_from_slice(&id.to_be_bytes());
                self.creator(creator);
            }
            View::Port(creator, id) => {
                self.out.push(tag::PORT);
                self.creator(creator);
                self.out.extend_from_slice(&id.to_be_bytes());
            }
            View::Reference(creator, words) => {
                let len = words
                    .iter()
                    .rposition(|&word| word != 0)
                    .map_or(0, |last| last + 1);
                self.out.push(tag::REFERENCE);
                self.creator(creator);
                self.out
                    .push(u8::try_from(len).map_err(|_| EncodeError::TooLarge("a reference"))?);
                for word in words[..len].iter().rev() {
                    self.out.extend_from_slice(&word.to_be_bytes());
                }
            }
            View::Export {
                module,
                function,
                arity,
            } => {
                self.out.push(tag::EXPORT);
                text::put_text(self.out, module);
                text::put_text(self.out, function);
                self.out.push(arity);
            }
            View::Fun(head) => {
                self.fun(&head);
                self.push_elements(source, term)?;
            }
        }
        Ok(())
    }

    fn push_elements<S: Source<Term = T>>(&mut self, source: &mut S, term: T) -> Result<(), EncodeError> {
        let first = self.todo.len();
        source.elements(term, |element| self.todo.push(Step::Term(element)))?;
        self.todo[first..].reverse();
        Ok(())
    }

    fn except(&mut self, kind: Kind) {
        let point = self.points;
        self.exceptions.push(Exception { point, kind });
    }

    fn integer_follows(&mut self) {
        if self.in_map_key {
            self.out.push(tag::INTEGER);
        }
        self.points += 1;
    }

    fn float(&mut self, value: f64) {
        let exact = matches!(self.form, Form::Exact(_)) && !self.in_map_key;
        if self.in_map_key {
            self.out.push(tag::FLOAT);
        }
        if value != 0.0 {
            let integral = number::is_integral(value);
            if integral && !exact && !self.in_map_key {
                self.except(Kind::Float);
            }
            number::put_float(self.out, value, integral && exact);
        } else if value.is_sign_negative() && (exact || self.in_map_key) && self.form.zeros_distinct() {
            self.out.push(tag::NEG_ZERO);
        } else {
            self.out.push(if exact { tag::FLOAT_ZERO } else { tag::ZERO });
            if value.is_sign_negative() {
                self.except(Kind::NegativeZero);
            } else if !exact && !self.in_map_key {
                self.except(Kind::Float);
            }
        }
        self.points += 1;
    }

    fn fun(&mut self, head: &FunHead<'_>) {
        self.out.push(tag::FUN);
        text::put_text(self.out, head.module);
        number::put_int(self.out, head.old_index);
        number::put_int(self.out, head.old_uniq);
        put_size(self.out, u64::from(head.free));
        self.except(Kind::Fun(head.version));
        self.points += 1;
    }

    fn creator(&mut self, creator: Creator<'_>) {
        match creator {
            Creator::Local(marker) => {
                self.out.push(creator::LOCAL);
                self.out.extend_from_slice(&marker.to_be_bytes());
            }
            Creator::Node { name, creation } => {
                self.out.push(creator::NODE);
                text::put_text(self.out, name);
                self.out.extend_from_slice(&creation.to_be_bytes());
            }
        }
    }

    fn begin_map<S: Source<Term = T>>(
        &mut self,
        source: &mut S,
        term: T,
        size: usize,
    ) -> Result<(), EncodeError> {
        self.out.push(tag::MAP);
        put_size(self.out, size as u64);
        let mut pairs = Vec::with_capacity(size);
        source.pairs(term, |key, value| pairs.push((key, value)))?;
        self.maps.push(Map {
            starts: Vec::with_capacity(pairs.len() + 1),
            pairs,
            outer_in_map_key: self.in_map_key,
        });
        self.in_map_key = true;
        self.todo.push(Step::MapKey);
        Ok(())
    }

    fn here(&self) -> Place {
        Place {
            byte: self.out.len(),
            point: self.points,
            exception: self.exceptions.len(),
        }
    }

    fn map_key(&mut self, budget: &mut Budget) -> Result<(), EncodeError> {
        let here = self.here();
        let Some(map) = self.maps.last_mut() else {
            return Ok(());
        };
        let begun = map.starts.len();
        map.starts.push(here);
        if let Some(&(key, _)) = map.pairs.get(begun) {
            self.todo.push(Step::MapKey);
            self.todo.push(Step::Term(key));
            return Ok(());
        }
        let Some(map) = self.maps.pop() else {
            return Ok(());
        };
        self.in_map_key = map.outer_in_map_key;
        if map.pairs.len() > 1 {
            budget.charge(map.pairs.len() * 4 + (here.byte - map.starts[0].byte) / 16)?;
        }
        let order = self.sort_keys(&map.starts);
        for &place in order.iter().rev() {
            self.todo.push(Step::Term(map.pairs[place].1));
        }
        Ok(())
    }

    /// Puts the keys that stand between `starts` in order; says which key stands at each place now.
    fn sort_keys(&mut self, starts: &[Place]) -> SmallVec<[usize; 8]> {
        let count = starts.len() - 1;
        let mut order: SmallVec<[usize; 8]> = (0..count).collect();
        let bytes = |key: usize| starts[key].byte..starts[key + 1].byte;
        if order.is_sorted_by(|&a, &b| self.out[bytes(a)] < self.out[bytes(b)]) {
            return order;
        }
        order.sort_by(|&a, &b| self.out[bytes(a)].cmp(&self.out[bytes(b)]));

        let first = starts[0];
        let mut sorted = Vec::with_capacity(starts[count].byte - first.byte);
        for &key in &order {
            sorted.extend_from_slice(&self.out[bytes(key)]);
        }
        self.out[first.byte..].copy_from_slice(&sorted);

        if self.exceptions.len() > first.exception {
            let mut moved = Vec::with_capacity(self.exceptions.len() - first.exception);
            let mut point = first.point;
            for &key in &order {
                let (start, end) = (starts[key], starts[key + 1]);
                for exception in &self.exceptions[start.exception..end.exception] {
                    moved.push(Exception {
                        point: exception.point - start.point + point,
                        kind: exception.kind,
                    });
                }
                point += end.point - start.point;
            }
            self.exceptions.truncate(first.exception);
            self.exceptions.append(&mut moved);
        }
        order
    }
}
