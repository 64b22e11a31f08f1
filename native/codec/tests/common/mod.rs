//! Terms as an enum, with their order, and what the codec needs to read and make them.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "a model, written for brevity"
)]

use std::cmp::Ordering;

use bets_codec::source::FunVersion;
use bets_codec::{
    Budget, Builder, Creator, DecodeError, EncodeError, Form, FunHead, Source, View, key, object,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub enum Term {
    Int(i64),
    /// Beyond 64 bits: sign and magnitude, little-endian, without zeros at its end.
    Big(bool, Vec<u8>),
    Float(f64),
    Atom(String),
    Reference(Made, Vec<u32>),
    Fun(String, i64, i64, [u8; 16], Vec<Term>),
    Export(String, String, u8),
    Port(Made, u64),
    Pid(Made, u32, u32),
    Tuple(Vec<Term>),
    Map(Vec<(Term, Term)>),
    Nil,
    List(Vec<Term>, Box<Term>),
    Bits(Vec<u8>, u8),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Made {
    Local(u64),
    Node(String, u32),
}

impl Made {
    fn creator(&self) -> Creator<'_> {
        match self {
            Made::Local(marker) => Creator::Local(*marker),
            Made::Node(name, creation) => Creator::Node {
                name,
                creation: *creation,
            },
        }
    }
}

impl From<Creator<'_>> for Made {
    fn from(creator: Creator<'_>) -> Self {
        match creator {
            Creator::Local(marker) => Made::Local(marker),
            Creator::Node { name, creation } => Made::Node(name.to_owned(), creation),
        }
    }
}

/// How numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Numeric,
    Exact,
    MapKey,
}

use Term::{Atom, Big, Bits, Export, Float, Fun, Int, List, Map, Nil, Pid, Port, Reference, Tuple};

impl Term {
    fn rank(&self) -> u8 {
        match self {
            Int(_) | Big(..) | Float(_) => 0,
            Atom(_) => 1,
            Reference(..) => 2,
            Fun(..) => 3,
            Export(..) => 4,
            Port(..) => 5,
            Pid(..) => 6,
            Tuple(_) => 7,
            Map(_) => 8,
            Nil => 9,
            List(..) => 10,
            Bits(..) => 11,
        }
    }

    /// The order of terms, zeros equal.
    pub fn cmp(&self, other: &Term, mode: Mode) -> Ordering {
        match (self, other) {
            (Int(_) | Big(..) | Float(_), Int(_) | Big(..) | Float(_)) => number(self, other, mode),
            (Atom(a), Atom(b)) => a.chars().cmp(b.chars()),
            (Reference(a, x), Reference(b, y)) => a
                .cmp(b)
                .then(x.len().cmp(&y.len()))
                .then_with(|| x.iter().rev().cmp(y.iter().rev())),
            (Fun(a, i, u, _, x), Fun(b, j, v, _, y)) => a
                .cmp(b)
                .then(i.cmp(j))
                .then(u.cmp(v))
                .then(x.len().cmp(&y.len()))
                .then_with(|| all(x, y, mode)),
            (Export(a, b, c), Export(x, y, z)) => (a, b, c).cmp(&(x, y, z)),
            (Port(a, x), Port(b, y)) => (a, x).cmp(&(b, y)),
            (Pid(a, i, s), Pid(b, j, t)) => (s, i, a).cmp(&(t, j, b)),
            (Tuple(a), Tuple(b)) => a.len().cmp(&b.len()).then_with(|| all(a, b, mode)),
            (Map(a), Map(b)) => a.len().cmp(&b.len()).then_with(|| {
                let (a, b) = (sorted(a), sorted(b));
                let keys = all_of(a.iter().map(|p| &p.0), b.iter().map(|p| &p.0), Mode::MapKey);
                keys.then_with(|| all_of(a.iter().map(|p| &p.1), b.iter().map(|p| &p.1), mode))
            }),
            (List(a, x), List(b, y)) => {
                let common = a.len().min(b.len());
                all(&a[..common], &b[..common], mode).then_with(|| match a.len().cmp(&b.len()) {
                    Ordering::Equal => x.cmp(y, mode),
                    Ordering::Less => x.cmp(&List(b[common..].to_vec(), y.clone()), mode),
                    Ordering::Greater => List(a[common..].to_vec(), x.clone()).cmp(y, mode),
                })
            }
            (Bits(a, x), Bits(b, y)) => bits(a, *x).cmp(bits(b, *y)),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Whether no map in it has a key twice.
    pub fn has_distinct_keys(&self) -> bool {
        match self {
            Tuple(terms) | Fun(.., terms) => terms.iter().all(Term::has_distinct_keys),
            List(terms, tail) => terms.iter().all(Term::has_distinct_keys) && tail.has_distinct_keys(),
            Map(pairs) => {
                let sorted = sorted(pairs);
                sorted
                    .windows(2)
                    .all(|two| two[0].0.cmp(&two[1].0, Mode::MapKey).is_lt())
                    && pairs
                        .iter()
                        .all(|(k, v)| k.has_distinct_keys() && v.has_distinct_keys())
            }
            _ => true,
        }
    }

    /// Whether they are the same down to the bits of their floats.
    pub fn is(&self, other: &Term) -> bool {
        match (self, other) {
            (Int(a), Int(b)) => a == b,
            (Float(a), Float(b)) => a.to_bits() == b.to_bits(),
            (Fun(a, i, u, m, x), Fun(b, j, v, n, y)) => (a, i, u, m) == (b, j, v, n) && are(x, y),
            (Tuple(a), Tuple(b)) => are(a, b),
            (List(a, x), List(b, y)) => are(a, b) && x.is(y),
            (Map(a), Map(b)) => {
                let (a, b) = (sorted(a), sorted(b));
                a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0.is(&b.0) && a.1.is(&b.1))
            }
            (Int(_) | Float(_) | Tuple(_) | List(..) | Map(_) | Fun(..), _) => false,
            _ => self.cmp(other, Mode::Exact) == Ordering::Equal,
        }
    }
}

fn are(a: &[Term], b: &[Term]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is(b))
}

fn all(a: &[Term], b: &[Term], mode: Mode) -> Ordering {
    all_of(a.iter(), b.iter(), mode)
}

fn all_of<'a>(a: impl Iterator<Item = &'a Term>, b: impl Iterator<Item = &'a Term>, mode: Mode) -> Ordering {
    a.zip(b)
        .map(|(a, b)| a.cmp(b, mode))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn sorted(pairs: &[(Term, Term)]) -> Vec<&(Term, Term)> {
    let mut pairs: Vec<_> = pairs.iter().collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0, Mode::MapKey));
    pairs
}

fn bits(bytes: &[u8], last_bits: u8) -> impl Iterator<Item = u8> {
    let count = if bytes.is_empty() {
        0
    } else {
        bytes.len() * 8 - 8 + usize::from(last_bits)
    };
    (0..count).map(|bit| bytes[bit / 8] >> (7 - bit % 8) & 1)
}

/// Sign, and the magnitude scaled by 2^1074, little-endian, without zeros at its end: exact for every number there is.
fn exact(number: &Term) -> (bool, Vec<u8>) {
    let (negative, mantissa, shift) = match number {
        Int(value) => (*value < 0, value.unsigned_abs().to_le_bytes().to_vec(), 1074),
        Big(negative, magnitude) => (*negative, magnitude.clone(), 1074),
        Float(value) => {
            let bits = value.to_bits();
            let (biased, low) = (bits >> 52 & 0x7FF, bits & ((1 << 52) - 1));
            let mantissa = if biased == 0 { low } else { low | 1 << 52 };
            (
                *value < 0.0,
                mantissa.to_le_bytes().to_vec(),
                biased.saturating_sub(1) as usize,
            )
        }
        _ => unreachable!("no number"),
    };
    let mut scaled = vec![0; shift / 8];
    let mut carry = 0u16;
    for byte in mantissa {
        let wide = u16::from(byte) << (shift % 8) | carry;
        scaled.push(wide as u8);
        carry = wide >> 8;
    }
    scaled.push(carry as u8);
    while scaled.last() == Some(&0) {
        scaled.pop();
    }
    (negative && !scaled.is_empty(), scaled)
}

fn number(a: &Term, b: &Term, mode: Mode) -> Ordering {
    let is_float = |term: &Term| matches!(term, Float(_));
    if mode == Mode::MapKey && is_float(a) != is_float(b) {
        return is_float(a).cmp(&is_float(b));
    }
    let ((a_negative, x), (b_negative, y)) = (exact(a), exact(b));
    let magnitude = || {
        x.len()
            .cmp(&y.len())
            .then_with(|| x.iter().rev().cmp(y.iter().rev()))
    };
    let by_value = match (a_negative, b_negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => magnitude(),
        (true, true) => magnitude().reverse(),
    };
    by_value.then_with(|| match mode {
        Mode::Exact if a_negative => is_float(b).cmp(&is_float(a)),
        Mode::Exact => is_float(a).cmp(&is_float(b)),
        _ => Ordering::Equal,
    })
}

/// Terms that are read.
#[derive(Default)]
pub struct Terms<'t>(std::marker::PhantomData<&'t Term>);

/// A term, or the rest of a list from some element on.
#[derive(Clone, Copy)]
pub struct At<'t>(pub &'t Term, pub usize);

impl<'t> Source for Terms<'t> {
    type Term = At<'t>;

    fn view(&mut self, At(term, from): At<'t>) -> Result<View<'_, At<'t>>, EncodeError> {
        Ok(match term {
            Int(value) => View::Int(*value),
            Big(negative, magnitude) => View::Big {
                negative: *negative,
                magnitude,
            },
            Float(value) => View::Float(*value),
            Atom(text) => View::Atom(text),
            Reference(made, words) => View::Reference(made.creator(), words),
            Fun(module, old_index, old_uniq, uniq, free) => View::Fun(FunHead {
                module,
                old_index: *old_index,
                old_uniq: *old_uniq,
                free: free.len() as u32,
                version: FunVersion {
                    arity: uniq[0],
                    index: 7,
                    uniq: *uniq,
                },
            }),
            Export(module, function, arity) => View::Export {
                module,
                function,
                arity: *arity,
            },
            Port(made, id) => View::Port(made.creator(), *id),
            Pid(made, id, serial) => View::Pid {
                creator: made.creator(),
                id: *id,
                serial: *serial,
            },
            Tuple(elements) => View::Tuple(elements.len()),
            Map(pairs) => View::Map(pairs.len()),
            Nil => View::Nil,
            List(elements, tail) if from == elements.len() => return self.view(At(tail, 0)),
            // Of the tail itself, not of the list that it ends, the elements may be asked for.
            List(elements, tail) if from + 1 == elements.len() => {
                View::Cons(At(&elements[from], 0), At(tail, 0))
            }
            List(elements, _) => View::Cons(At(&elements[from], 0), At(term, from + 1)),
            Bits(bytes, last_bits) => View::Bits(bytes, *last_bits),
        })
    }

    fn elements(&mut self, At(term, _): At<'t>, each: impl FnMut(At<'t>)) -> Result<(), EncodeError> {
        let (Tuple(elements) | Fun(.., elements)) = term else {
            return Err(EncodeError::Unreadable("no elements"));
        };
        elements.iter().map(|element| At(element, 0)).for_each(each);
        Ok(())
    }

    fn pairs(
        &mut self,
        At(term, _): At<'t>,
        mut each: impl FnMut(At<'t>, At<'t>),
    ) -> Result<(), EncodeError> {
        let Map(pairs) = term else {
            return Err(EncodeError::Unreadable("no map"));
        };
        pairs
            .iter()
            .for_each(|(key, value)| each(At(key, 0), At(value, 0)));
        Ok(())
    }
}

/// Terms that are made.
#[derive(Default)]
pub struct Stack(pub Vec<Term>);

impl Stack {
    fn push(&mut self, term: Term) -> Result<(), DecodeError> {
        self.0.push(term);
        Ok(())
    }

    fn take(&mut self, count: usize) -> Vec<Term> {
        self.0.split_off(self.0.len() - count)
    }
}

impl Builder for Stack {
    fn reset(&mut self) {
        self.0.clear();
    }
    fn int(&mut self, value: i64) -> Result<(), DecodeError> {
        self.push(Int(value))
    }
    fn big(&mut self, negative: bool, magnitude: &[u8]) -> Result<(), DecodeError> {
        assert_ne!(magnitude.last(), Some(&0));
        assert!(magnitude.len() >= 8);
        self.push(Big(negative, magnitude.to_vec()))
    }
    fn float(&mut self, value: f64) -> Result<(), DecodeError> {
        assert!(value.is_finite());
        self.push(Float(value))
    }
    fn atom(&mut self, text: &str) -> Result<(), DecodeError> {
        self.push(Atom(text.to_owned()))
    }
    fn binary(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.push(Bits(bytes.to_vec(), 8))
    }
    fn bits(&mut self, bytes: &[u8], last_bits: u8) -> Result<(), DecodeError> {
        assert!((1..8).contains(&last_bits) && !bytes.is_empty());
        self.push(Bits(bytes.to_vec(), last_bits))
    }
    fn pid(&mut self, creator: Creator<'_>, id: u32, serial: u32) -> Result<(), DecodeError> {
        self.push(Pid(creator.into(), id, serial))
    }
    fn port(&mut self, creator: Creator<'_>, id: u64) -> Result<(), DecodeError> {
        self.push(Port(creator.into(), id))
    }
    fn reference(&mut self, creator: Creator<'_>, words: &[u32]) -> Result<(), DecodeError> {
        self.push(Reference(creator.into(), words.to_vec()))
    }
    fn export(&mut self, module: &str, function: &str, arity: u8) -> Result<(), DecodeError> {
        self.push(Export(module.to_owned(), function.to_owned(), arity))
    }
    fn fun(&mut self, head: &FunHead<'_>) -> Result<(), DecodeError> {
        let free = self.take(head.free as usize);
        let module = head.module.to_owned();
        self.push(Fun(
            module,
            head.old_index,
            head.old_uniq,
            head.version.uniq,
            free,
        ))
    }
    fn tuple(&mut self, arity: usize) -> Result<(), DecodeError> {
        let elements = self.take(arity);
        self.push(Tuple(elements))
    }
    fn nil(&mut self) -> Result<(), DecodeError> {
        self.push(Nil)
    }
    fn list(&mut self, len: usize) -> Result<(), DecodeError> {
        let tail = self.take(1).remove(0);
        let mut elements = self.take(len);
        match tail {
            List(more, tail) => {
                elements.extend(more);
                self.push(List(elements, tail))
            }
            tail => self.push(List(elements, Box::new(tail))),
        }
    }
    fn map(&mut self, pairs: usize) -> Result<(), DecodeError> {
        let values = self.take(pairs);
        let keys = self.take(pairs);
        self.push(Map(keys.into_iter().zip(values).collect()))
    }
}

/// A term's key and the length of its compared part.
pub fn encode_key(term: &Term, form: Form) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let compared = key::encode(
        &mut Terms::default(),
        At(term, 0),
        form,
        &mut out,
        &mut Budget::unlimited(),
    )
    .unwrap();
    (out, compared)
}

/// The term of a key.
pub fn decode_key(bytes: &[u8]) -> Result<Term, DecodeError> {
    let mut stack = Stack::default();
    key::decode(bytes, &mut stack, &mut Budget::unlimited())?;
    assert_eq!(stack.0.len(), 1);
    Ok(stack.0.remove(0))
}

/// An object of these elements, the key's left out.
pub fn encode_object(elements: &[Term], keypos: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let tuple = Tuple(elements.to_vec());
    object::encode(
        &mut Terms::default(),
        At(&tuple, 0),
        keypos,
        &mut out,
        &mut Budget::unlimited(),
    )
    .unwrap();
    out
}

/// One element's bytes.
pub fn encode_element(term: &Term) -> Vec<u8> {
    let mut out = Vec::new();
    object::encode_element(
        &mut Terms::default(),
        At(term, 0),
        &mut out,
        &mut Budget::unlimited(),
    )
    .unwrap();
    out
}

/// The tuple of an object whose key is the atom `key`.
pub fn decode_object(bytes: &[u8], keypos: usize) -> Result<Term, DecodeError> {
    let mut stack = Stack::default();
    object::decode(
        bytes,
        keypos,
        &mut stack,
        |stack| stack.atom("key"),
        &mut Budget::unlimited(),
    )?;
    assert_eq!(stack.0.len(), 1);
    Ok(stack.0.remove(0))
}

/// Any term.
pub fn term() -> impl Strategy<Value = Term> {
    leaf().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..10).prop_map(Tuple),
            (
                prop::collection::vec(inner.clone(), 1..6),
                prop_oneof![4 => Just(Nil), 1 => leaf()]
            )
                .prop_map(|(elements, tail)| List(elements, Box::new(tail))),
            prop::collection::vec((inner.clone(), inner.clone()), 0..6).prop_map(distinct),
            (
                prop_oneof![Just("m"), Just("n")],
                0..3i64,
                -2..2i64,
                any::<[u8; 16]>(),
                prop::collection::vec(inner, 0..3)
            )
                .prop_map(|(module, index, uniq, md5, free)| Fun(
                    module.into(),
                    index,
                    uniq,
                    md5,
                    free
                )),
        ]
    })
}

/// A map of pairs, the first of those with equal keys.
fn distinct(pairs: Vec<(Term, Term)>) -> Term {
    let mut map: Vec<(Term, Term)> = Vec::new();
    for (key, value) in pairs {
        if map
            .iter()
            .all(|(present, _)| present.cmp(&key, Mode::MapKey).is_ne())
        {
            map.push((key, value));
        }
    }
    Map(map)
}

fn made() -> impl Strategy<Value = Made> {
    prop_oneof![
        (0..3u64).prop_map(Made::Local),
        (
            prop_oneof![Just("a@b"), Just("a@bc"), Just("\u{0}\u{1}")],
            0..3u32
        )
            .prop_map(|(name, creation)| Made::Node(name.into(), creation)),
    ]
}

fn leaf() -> impl Strategy<Value = Term> {
    prop_oneof![
        4 => number_term(),
        2 => "[\u{0}-\u{2}a-bé€\u{10FFFF}]{0,3}".prop_map(Atom),
        2 => (prop::collection::vec(prop_oneof![3 => 0..4u8, 1 => any::<u8>()], 0..12), 1..=8u8).prop_map(bitstring),
        1 => (60..200usize, prop::collection::vec(0..4u8, 0..2), 1..=8u8)
            .prop_map(|(zeros, tail, last_bits)| bitstring(([vec![0; zeros], tail].concat(), last_bits))),
        1 => Just(Nil),
        1 => (made(), prop::collection::vec(0..3u32, 0..5)).prop_map(|(made, mut words)| {
            while words.last() == Some(&0) {
                words.pop();
            }
            Reference(made, words)
        }),
        1 => (made(), 0..3u32, 0..3u32).prop_map(|(made, id, serial)| Pid(made, id, serial)),
        1 => (made(), any::<u64>()).prop_map(|(made, id)| Port(made, id)),
        1 => ("[a-b]{0,2}", "[a-b]{0,2}", 0..3u8).prop_map(|(module, function, arity)| Export(module, function, arity)),
    ]
}

fn bitstring((mut bytes, last_bits): (Vec<u8>, u8)) -> Term {
    match bytes.last_mut() {
        Some(last) => *last = (u16::from(*last) >> (8 - last_bits) << (8 - last_bits)) as u8,
        None => return Bits(bytes, 8),
    }
    Bits(bytes, last_bits)
}

/// Any number; many are near a power of two, where integers and floats meet.
pub fn number_term() -> impl Strategy<Value = Term> {
    prop_oneof![
        (-300..300i64).prop_map(Int),
        any::<i64>().prop_map(Int),
        (-20..20i32).prop_map(|value| Float(f64::from(value) / 4.0)),
        any::<u64>().prop_map(|bits| float(f64::from_bits(bits))),
        (0..63u32, -1..=1i64, any::<bool>()).prop_map(|(power, off, neg)| {
            let value = (1i64 << power).wrapping_add(off);
            Int(if neg { value.wrapping_neg() } else { value })
        }),
        (-1074..1024i32, any::<bool>())
            .prop_map(|(power, neg)| float(if neg { -1.0 } else { 1.0 } * 2f64.powi(power))),
        (64..1100usize, any::<bool>(), any::<bool>()).prop_map(|(power, neg, odd)| {
            let mut magnitude = vec![0; power / 8 + 1];
            magnitude[0] = u8::from(odd);
            magnitude[power / 8] |= 1 << (power % 8);
            Big(neg, magnitude)
        }),
        (
            prop::collection::vec(any::<u8>(), 8..20),
            1..=255u8,
            any::<bool>()
        )
            .prop_map(|(low, high, neg)| Big(neg, [low, vec![high]].concat())),
    ]
}

fn float(value: f64) -> Term {
    Float(if value.is_finite() { value } else { 0.5 })
}
