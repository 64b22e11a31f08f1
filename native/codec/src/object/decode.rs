//! From the bytes of an object to terms.

use smallvec::SmallVec;

use super::edit::{self, element};
use super::encode::small;
use super::{creator, tag};
use crate::budget::Budget;
use crate::builder::Builder;
use crate::error::DecodeError;
use crate::read::Reader;
use crate::source::{Creator, FunHead, FunVersion};

/// Makes the tuple of an object on top of the builder's stack; `push_key` pushes the key's term where it belongs.
pub fn decode<B: Builder>(
    bytes: &[u8],
    keypos: usize,
    builder: &mut B,
    push_key: impl FnOnce(&mut B) -> Result<(), DecodeError>,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    budget.charge_bytes(bytes.len())?;
    let mut reader = Reader::new(bytes);
    let arity = edit::head(&mut reader, keypos)?;
    let mut frames = SmallVec::new();
    for _ in 1..keypos {
        term(&mut reader, builder, &mut frames, budget)?;
    }
    push_key(builder)?;
    for _ in keypos..arity {
        term(&mut reader, builder, &mut frames, budget)?;
    }
    if !reader.is_empty() {
        return Err(reader.damaged("the end of the object"));
    }
    builder.tuple(arity)
}

/// Makes one element, the one at `pos` (from 1, not the key's), on top of the builder's stack. The others are passed over.
pub fn decode_element<B: Builder>(
    bytes: &[u8],
    keypos: usize,
    pos: usize,
    builder: &mut B,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    let range = element(bytes, keypos, pos, budget)?;
    budget.charge_bytes(range.len())?;
    term(
        &mut Reader::new(&bytes[range]),
        builder,
        &mut SmallVec::new(),
        budget,
    )
}

/// A compound term whose parts are being read.
enum Frame<'a> {
    Tuple {
        arity: usize,
        left: usize,
    },
    /// The tail is one of what is left; a proper list's is not stored.
    List {
        len: usize,
        left: usize,
        proper: bool,
    },
    Map {
        pairs: usize,
        left: usize,
    },
    Fun {
        head: Box<FunHead<'a>>,
        left: usize,
    },
}

type Frames<'a> = SmallVec<[Frame<'a>; 6]>;

fn term<'a, B: Builder>(
    reader: &mut Reader<'a>,
    builder: &mut B,
    frames: &mut Frames<'a>,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    loop {
        budget.charge_term()?;
        let complete = match head(reader, builder)? {
            None => true,
            Some((0, frame)) => {
                build(builder, frame)?;
                true
            }
            Some((_, frame)) => {
                frames.push(frame);
                false
            }
        };
        if complete && finish(builder, frames)? {
            return Ok(());
        }
    }
}

/// Builds what the term just read completes. Says whether no compound term is open any more.
#[inline]
fn finish<B: Builder>(builder: &mut B, frames: &mut Frames<'_>) -> Result<bool, DecodeError> {
    while let Some(frame) = frames.last_mut() {
        let (Frame::Tuple { left, .. }
        | Frame::List { left, .. }
        | Frame::Map { left, .. }
        | Frame::Fun { left, .. }) = frame;
        *left -= 1;
        if *left > 0 {
            return Ok(false);
        }
        if let Some(frame) = frames.pop() {
            build(builder, frame)?;
        }
    }
    Ok(true)
}

fn build<B: Builder>(builder: &mut B, frame: Frame<'_>) -> Result<(), DecodeError> {
    match frame {
        Frame::Tuple { arity, .. } => builder.tuple(arity),
        Frame::List { len, proper, .. } => {
            if proper {
                builder.nil()?;
            }
            builder.list(len)
        }
        Frame::Map { pairs, .. } => builder.map(pairs),
        Frame::Fun { head, .. } => builder.fun(&head),
    }
}

/// Reads a leaf and pushes it, or reads the head of a compound term: how many parts follow, and its frame.
#[inline]
fn head<'a, B: Builder>(
    reader: &mut Reader<'a>,
    builder: &mut B,
) -> Result<Option<(usize, Frame<'a>)>, DecodeError> {
    let first = reader.byte()?;
    match first {
        ..tag::SHORT_BINARY => builder.int(i64::from(first))?,
        tag::SHORT_BINARY..tag::SHORT_ATOM => {
            builder.binary(reader.take(usize::from(first - tag::SHORT_BINARY))?)?;
        }
        tag::SHORT_ATOM..tag::SHORT_TUPLE => {
            builder.atom(utf8(reader, usize::from(first - tag::SHORT_ATOM))?)?;
        }
        tag::SHORT_TUPLE..tag::SHORT_LIST => {
            let arity = usize::from(first - tag::SHORT_TUPLE);
            return Ok(Some((arity, Frame::Tuple { arity, left: arity })));
        }
        tag::SHORT_LIST..tag::INT_1 => {
            let len = usize::from(first - tag::SHORT_LIST) + 1;
            return Ok(Some((
                len,
                Frame::List {
                    len,
                    left: len,
                    proper: true,
                },
            )));
        }
        tag::INT_1..=tag::INT_8 => builder.int(edit::int(reader, first)?)?,
        tag::BINARY => {
            let len = reader.count(1)?;
            builder.binary(reader.take(len)?)?;
        }
        tag::FLOAT => {
            let value = f64::from_le_bytes(reader.array()?);
            if !value.is_finite() {
                return Err(reader.damaged("a finite float"));
            }
            builder.float(value)?;
        }
        tag::NIL => builder.nil()?,
        tag::ATOM => {
            let len = reader.count(1)?;
            builder.atom(utf8(reader, len)?)?;
        }
        tag::TUPLE => {
            let arity = reader.count(1)?;
            return Ok(Some((arity, Frame::Tuple { arity, left: arity })));
        }
        tag::LIST | tag::IMPROPER => {
            let proper = first == tag::LIST;
            let len = reader.count(1)?;
            if len == 0 {
                return Err(reader.damaged("a list of its form"));
            }
            let left = len + usize::from(!proper);
            return Ok(Some((left, Frame::List { len, left, proper })));
        }
        tag::MAP => {
            let pairs = reader.count(2)?;
            let left = pairs * 2;
            return Ok(Some((left, Frame::Map { pairs, left })));
        }
        _ => return rare(reader, first, builder),
    }
    Ok(None)
}

fn rare<'a, B: Builder>(
    reader: &mut Reader<'a>,
    first: u8,
    builder: &mut B,
) -> Result<Option<(usize, Frame<'a>)>, DecodeError> {
    match first {
        tag::BIG | tag::NEG_BIG => {
            let len = reader.count(1)?;
            let magnitude = reader.take(len)?;
            let negative = first == tag::NEG_BIG;
            if magnitude.last() == Some(&0) || small(negative, magnitude).is_some() {
                return Err(reader.damaged("an integer in its shortest form"));
            }
            builder.big(negative, magnitude)?;
        }
        tag::BITS => {
            let last_bits = reader.byte()?;
            let len = reader.count(1)?;
            let bytes = reader.take(len)?;
            match bytes.last() {
                Some(last) if matches!(last_bits, 1..8) && last << last_bits == 0 => {
                    builder.bits(bytes, last_bits)?;
                }
                _ => return Err(reader.damaged("the bits of the last byte")),
            }
        }
        tag::PID => {
            let creator = maker(reader)?;
            let id = u32::from_le_bytes(reader.array()?);
            let serial = u32::from_le_bytes(reader.array()?);
            builder.pid(creator, id, serial)?;
        }
        tag::PORT => {
            let creator = maker(reader)?;
            builder.port(creator, u64::from_le_bytes(reader.array()?))?;
        }
        tag::REFERENCE => {
            let creator = maker(reader)?;
            let len = usize::from(reader.byte()?);
            let (words, _) = reader.take(len * 4)?.as_chunks::<4>();
            let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
            if words.last() == Some(&0) {
                return Err(reader.damaged("a reference in its shortest form"));
            }
            builder.reference(creator, &words)?;
        }
        tag::EXPORT => {
            let module = text(reader)?;
            let function = text(reader)?;
            builder.export(module, function, reader.byte()?)?;
        }
        tag::FUN => {
            let version = FunVersion {
                arity: reader.byte()?,
                index: u32::from_le_bytes(reader.array()?),
                uniq: reader.array()?,
            };
            let module = text(reader)?;
            let old_index = edit::whole_int(reader)?;
            let old_uniq = edit::whole_int(reader)?;
            let left = reader.count(1)?;
            let free = u32::try_from(left).map_err(|_| reader.damaged("the size of an environment"))?;
            let head = Box::new(FunHead {
                module,
                old_index,
                old_uniq,
                free,
                version,
            });
            return Ok(Some((left, Frame::Fun { head, left })));
        }
        _ => return Err(reader.damaged("the tag of a term")),
    }
    Ok(None)
}

fn utf8<'a>(reader: &mut Reader<'a>, len: usize) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(reader.take(len)?).map_err(|_| reader.damaged("the text of an atom in UTF-8"))
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let len = reader.count(1)?;
    utf8(reader, len)
}

fn maker<'a>(reader: &mut Reader<'a>) -> Result<Creator<'a>, DecodeError> {
    match reader.byte()? {
        creator::LOCAL => Ok(Creator::Local(u64::from_le_bytes(reader.array()?))),
        creator::NODE => {
            let name = text(reader)?;
            let creation = u32::from_le_bytes(reader.array()?);
            Ok(Creator::Node { name, creation })
        }
        _ => Err(reader.damaged("a creator")),
    }
}
