//! Encoding and decoding of keys and objects, without the VM's part: `cargo bench -p bets_codec`. The limit is a copy of the bytes.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use bets_codec::builder::Discard;
use bets_codec::{Budget, EncodeError, Equality, Form, Source, View, key, object};
use divan::Bencher;

fn main() {
    divan::main();
}

/// A term of another one's list.
enum Node {
    Int(i64),
    Binary(Vec<u8>),
    Tuple(Vec<usize>),
}

/// Terms by their number.
struct Terms(Vec<Node>);

impl Source for Terms {
    type Term = usize;

    fn view(&mut self, term: usize) -> Result<View<'_, usize>, EncodeError> {
        Ok(match &self.0[term] {
            Node::Int(int) => View::Int(*int),
            Node::Binary(bytes) => View::Bits(bytes, 8),
            Node::Tuple(elements) => View::Tuple(elements.len()),
        })
    }

    fn elements(&mut self, term: usize, each: impl FnMut(usize)) -> Result<(), EncodeError> {
        if let Node::Tuple(elements) = &self.0[term] {
            elements.iter().copied().for_each(each);
        }
        Ok(())
    }

    fn pairs(&mut self, _: usize, _: impl FnMut(usize, usize)) -> Result<(), EncodeError> {
        Ok(())
    }
}

const NAMES: [&str; 3] = ["binary of 16", "integer", "tuple of both"];

/// A key of that name, as number 0, and an object with it, `{Key, Binary of 100}`, as the last one.
fn terms(name: &str) -> Terms {
    let key = match name {
        "binary of 16" => Node::Binary((1..=16).collect()),
        "integer" => Node::Int(123_456),
        _ => Node::Tuple(vec![1, 2]),
    };
    Terms(vec![
        key,
        Node::Binary((1..=16).collect()),
        Node::Int(123_456),
        Node::Binary(vec![5; 100]),
        Node::Tuple(vec![0, 3]),
    ])
}

const OBJECT: usize = 4;
const FORM: Form = Form::Exact(Equality::ZerosEqual);

fn encoded_key(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    key::encode(&mut terms(name), 0, FORM, &mut out, &mut Budget::unlimited()).unwrap();
    out
}

fn encoded_object() -> Vec<u8> {
    let mut out = Vec::new();
    object::encode(
        &mut terms("integer"),
        OBJECT,
        1,
        &mut out,
        &mut Budget::unlimited(),
    )
    .unwrap();
    out
}

#[divan::bench(args = NAMES)]
fn a_limit_copy_of_key(bencher: Bencher, name: &str) {
    let (from, mut to) = (encoded_key(name), [0; 64]);
    bencher.bench_local(|| {
        let from = black_box(&from[..]);
        black_box(&mut to)[..from.len()].copy_from_slice(from);
    });
}

#[divan::bench(args = NAMES)]
fn encode_key(bencher: Bencher, name: &str) {
    let (mut terms, mut out) = (terms(name), Vec::with_capacity(256));
    bencher.bench_local(|| {
        out.clear();
        key::encode(black_box(&mut terms), 0, FORM, &mut out, &mut Budget::normal()).unwrap()
    });
}

#[divan::bench(args = NAMES)]
fn decode_key(bencher: Bencher, name: &str) {
    let bytes = encoded_key(name);
    bencher.bench_local(|| key::decode(black_box(&bytes), &mut Discard, &mut Budget::normal()).unwrap());
}

#[divan::bench]
fn a_limit_copy_of_object(bencher: Bencher) {
    let (from, mut to) = (encoded_object(), [0; 256]);
    bencher.bench_local(|| {
        let from = black_box(&from[..]);
        black_box(&mut to)[..from.len()].copy_from_slice(from);
    });
}

#[divan::bench]
fn encode_object(bencher: Bencher) {
    let (mut terms, mut out) = (terms("integer"), Vec::with_capacity(256));
    bencher.bench_local(|| {
        out.clear();
        object::encode(black_box(&mut terms), OBJECT, 1, &mut out, &mut Budget::normal()).unwrap();
    });
}

#[divan::bench]
fn decode_object(bencher: Bencher) {
    let bytes = encoded_object();
    bencher.bench_local(|| {
        object::decode(
            black_box(&bytes),
            1,
            &mut Discard,
            |_| Ok(()),
            &mut Budget::normal(),
        )
        .unwrap();
    });
}
