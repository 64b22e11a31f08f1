//! Stands in for the reading and making of terms.
#![allow(clippy::all, clippy::pedantic, missing_docs)]
use std::marker::PhantomData;

use bets_codec::{Builder, Creator, DecodeError, EncodeError, FunHead, Source, View};
use rustler::{Atom, Binary, Encoder, Env, MapIterator, NewBinary, Term, TermType};

use crate::integer::Integer;
use crate::raw::{cell, element, make_tuple, tuple};

#[derive(Default)]
pub struct Reading<'a> {
    scratch: Vec<u8>,
    text: String,
    of: PhantomData<&'a ()>,
}

impl<'a> Source for Reading<'a> {
    type Term = Term<'a>;
    fn view(&mut self, term: Term<'a>) -> Result<View<'_, Term<'a>>, EncodeError> {
        Ok(match term.get_type() {
            TermType::Integer => match Integer::decode(term) {
                Some(Integer::Small(v)) => View::Int(v),
                Some(Integer::Large(negative, digits)) => {
                    self.scratch = digits;
                    View::Big {
                        negative,
                        magnitude: &self.scratch,
                    }
                }
                None => return Err(EncodeError::Unreadable("integer")),
            },
            TermType::Float => View::Float(term.decode().unwrap_or(0.0)),
            TermType::Atom => {
                self.text = term
                    .atom_to_string()
                    .map_err(|_| EncodeError::Unreadable("atom"))?;
                View::Atom(&self.text)
            }
            TermType::Tuple => View::Tuple(tuple(term).map_or(0, <[_]>::len)),
            TermType::Map => View::Map(term.map_size().unwrap_or(0)),
            TermType::List => match cell(term) {
                Some((head, tail)) => View::Cons(head, tail),
                None => View::Nil,
            },
            _ if term.is_binary() => {
                let bytes: Binary = term.decode().map_err(|_| EncodeError::Unreadable("bits"))?;
                self.scratch = bytes.as_slice().to_vec();
                View::Bits(&self.scratch, 8)
            }
            _ => return Err(EncodeError::Unreadable("not yet")),
        })
    }
    fn elements(&mut self, term: Term<'a>, mut each: impl FnMut(Term<'a>)) -> Result<(), EncodeError> {
        for word in tuple(term).unwrap_or(&[]) {
            each(element(term.get_env(), *word));
        }
        Ok(())
    }
    fn pairs(&mut self, term: Term<'a>, mut each: impl FnMut(Term<'a>, Term<'a>)) -> Result<(), EncodeError> {
        if let Some(map) = MapIterator::new(term) {
            map.for_each(|(k, v)| each(k, v));
        }
        Ok(())
    }
}

pub struct Stack<'a> {
    env: Env<'a>,
    terms: Vec<Term<'a>>,
}

impl<'a> Stack<'a> {
    pub fn new(env: Env<'a>) -> Self {
        Stack {
            env,
            terms: Vec::new(),
        }
    }
    pub fn push_term(&mut self, term: Term<'a>) -> Result<(), DecodeError> {
        self.terms.push(term);
        Ok(())
    }
    pub fn pop(&mut self) -> Option<Term<'a>> {
        self.terms.pop()
    }
}

const NO: DecodeError = DecodeError::Unmakeable("not yet");

impl<'a> Builder for Stack<'a> {
    fn reset(&mut self) {
        self.terms.clear();
    }
    fn int(&mut self, value: i64) -> Result<(), DecodeError> {
        self.push_term(value.encode(self.env))
    }
    fn big(&mut self, negative: bool, magnitude: &[u8]) -> Result<(), DecodeError> {
        let term = Integer::Large(negative, magnitude.to_vec())
            .encode(self.env)
            .ok_or(NO)?;
        self.push_term(term)
    }
    fn float(&mut self, value: f64) -> Result<(), DecodeError> {
        self.push_term(value.encode(self.env))
    }
    fn atom(&mut self, text: &str) -> Result<(), DecodeError> {
        let atom = Atom::from_str(self.env, text).map_err(|_| NO)?;
        self.push_term(atom.to_term(self.env))
    }
    fn binary(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut new = NewBinary::new(self.env, bytes.len());
        new.as_mut_slice().copy_from_slice(bytes);
        self.push_term(new.into())
    }
    fn bits(&mut self, _: &[u8], _: u8) -> Result<(), DecodeError> {
        Err(NO)
    }
    fn pid(&mut self, _: Creator<'_>, _: u32, _: u32) -> Result<(), DecodeError> {
        Err(NO)
    }
    fn port(&mut self, _: Creator<'_>, _: u64) -> Result<(), DecodeError> {
        Err(NO)
    }
    fn reference(&mut self, _: Creator<'_>, _: &[u32]) -> Result<(), DecodeError> {
        Err(NO)
    }
    fn export(&mut self, _: &str, _: &str, _: u8) -> Result<(), DecodeError> {
        Err(NO)
    }
    fn fun(&mut self, _: &FunHead<'_>) -> Result<(), DecodeError> {
        Err(NO)
    }
    fn tuple(&mut self, arity: usize) -> Result<(), DecodeError> {
        let at = self.terms.len() - arity;
        let words: Vec<_> = self.terms.drain(at..).map(|t| t.as_c_arg()).collect();
        let term = make_tuple(self.env, &words);
        self.push_term(term)
    }
    fn nil(&mut self) -> Result<(), DecodeError> {
        self.push_term(Term::list_new_empty(self.env))
    }
    fn list(&mut self, len: usize) -> Result<(), DecodeError> {
        let mut list = self.terms.pop().ok_or(NO)?;
        for _ in 0..len {
            list = list.list_prepend(self.terms.pop().ok_or(NO)?);
        }
        self.push_term(list)
    }
    fn map(&mut self, pairs: usize) -> Result<(), DecodeError> {
        let values = self.terms.split_off(self.terms.len() - pairs);
        let keys = self.terms.split_off(self.terms.len() - pairs);
        let map = Term::map_from_term_arrays(self.env, &keys, &values).map_err(|_| NO)?;
        self.push_term(map)
    }
}
