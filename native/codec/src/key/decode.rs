//! From the bytes of a key to a term.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::number::{self, Number};
use super::suffix::{Kind, Suffix};
use super::{MAX_BIGS_LEN, bits, creator, size, tag, text};
use crate::budget::Budget;
use crate::builder::{Builder, Discard};
use crate::error::DecodeError;
use crate::read::Reader;
use crate::source::{Creator, FunHead, FunVersion};

/// Makes the term of a key, its compared part and suffix, in its stored form, on top of the builder's stack.
///
/// A key with a suffix is read twice, so its builder is [reset](Builder::reset) in between.
pub fn decode<B: Builder>(bytes: &[u8], builder: &mut B, budget: &mut Budget) -> Result<(), DecodeError> {
    let compared = match compared(bytes, builder, Reading::First, budget) {
        Ok(len) if len == bytes.len() => return Ok(()),
        Ok(len) => len,
        Err(Stop::SuffixNeeded) => compared_len(bytes, budget)?,
        Err(Stop::Error(error)) => return Err(error),
    };
    builder.reset();
    let (key, suffix) = bytes.split_at(compared);
    let mut suffix = Suffix::new(suffix)?;
    match self::compared(key, builder, Reading::WithSuffix(&mut suffix), budget) {
        Ok(len) if len == key.len() && suffix.is_done() => Ok(()),
        Err(Stop::Error(error)) => Err(error),
        _ => Err(DecodeError::Damaged {
            at: compared,
            what: "a suffix that fits its key",
        }),
    }
}

/// Hands on the bytes of the binary that a key is, as [`decode`] would make it, without what terms of several parts need. `None` of any other key, and of a damaged one.
#[inline]
pub fn with_binary<R>(
    key: &[u8],
    budget: &mut Budget,
    f: impl FnOnce(&[u8]) -> R,
) -> Result<Option<R>, DecodeError> {
    let Some((&tag::BITS, rest)) = key.split_first() else {
        return Ok(None);
    };
    budget.charge_term()?;
    budget.charge_bytes(key.len().saturating_mul(2))?;
    let found = bits::with_bits(&mut Reader::new(rest), |reader, bytes, last_bits| {
        (last_bits == 8 && reader.is_empty()).then(|| f(bytes))
    });
    Ok(found.ok().flatten())
}

/// The length of a key's compared part. Checks that part, and leaves the suffix unread.
pub fn compared_len(bytes: &[u8], budget: &mut Budget) -> Result<usize, DecodeError> {
    match compared(bytes, &mut Discard, Reading::Length, budget) {
        Ok(len) => Ok(len),
        Err(Stop::Error(error)) => Err(error),
        Err(Stop::SuffixNeeded) => Err(DecodeError::Damaged {
            at: 0,
            what: "a suffix",
        }),
    }
}

enum Stop {
    Error(DecodeError),
    /// The term cannot be made without its suffix.
    SuffixNeeded,
}

impl<E: Into<DecodeError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Error(error.into())
    }
}

/// What a key is read for.
enum Reading<'b, 's> {
    /// For its term, if it turns out to have no suffix.
    First,
    /// For the end of its compared part; nothing is made.
    Length,
    /// For its term.
    WithSuffix(&'b mut Suffix<'s>),
}

/// A compound term whose parts are being read.
enum Frame<'k> {
    Tuple {
        arity: usize,
        left: usize,
    },
    Fun {
        fun: Box<(FunHead<'k>, Cow<'k, str>)>,
        left: usize,
    },
    List {
        len: usize,
        tail: bool,
    },
    Keys {
        pairs: usize,
        left: usize,
        outer_in_map_key: bool,
    },
    Values {
        pairs: usize,
        left: usize,
    },
}

struct Decoder<'b, 's, 'k, B> {
    builder: &'b mut B,
    reading: Reading<'b, 's>,
    in_map_key: bool,
    /// Bytes of the integers beyond 64 bits.
    bigs_len: usize,
    frames: SmallVec<[Frame<'k>; 6]>,
}

fn compared<B: Builder>(
    bytes: &[u8],
    builder: &mut B,
    reading: Reading<'_, '_>,
    budget: &mut Budget,
) -> Result<usize, Stop> {
    budget.charge_bytes(bytes.len().saturating_mul(2))?;
    let mut reader = Reader::new(bytes);
    let mut decoder = Decoder {
        builder,
        reading,
        in_map_key: false,
        bigs_len: 0,
        frames: SmallVec::new(),
    };
    loop {
        let complete = decoder.term(&mut reader)?;
        budget.charge_term()?;
        if complete && decoder.complete(&mut reader)? {
            return Ok(reader.at());
        }
    }
}

impl<'k, B: Builder> Decoder<'_, '_, 'k, B> {
    /// Reads a leaf, which is then complete, or the head of a compound term.
    #[inline]
    fn term(&mut self, reader: &mut Reader<'k>) -> Result<bool, Stop> {
        let first = reader.byte()?;
        match first {
            tag::BITS => {
                bits::with_bits(reader, |_, bytes, last_bits| match last_bits {
                    8 => self.builder.binary(bytes),
                    _ => self.builder.bits(bytes, last_bits),
                })??;
            }
            tag::ATOM => self.builder.atom(&text::text(reader)?)?,
            tag::NIL => self.builder.nil()?,
            tag::INTEGER | tag::FLOAT if self.in_map_key => {
                let number = reader.byte()?;
                self.number(reader, number, Some(first == tag::FLOAT))?;
            }
            tag::NEG_BIG..=tag::BIG if !self.in_map_key => self.number(reader, first, None)?,
            tag::TUPLE..=tag::TUPLE_N => {
                let arity = if first == tag::TUPLE_N {
                    match usize::try_from(size(reader)?) {
                        Ok(arity) if arity >= 8 => arity,
                        _ => return Err(reader.damaged("an arity in its shortest form").into()),
                    }
                } else {
                    usize::from(first - tag::TUPLE)
                };
                return self.parts(reader, arity, Frame::Tuple { arity, left: arity });
            }
            tag::CONS => {
                self.frames.push(Frame::List { len: 0, tail: false });
                return Ok(false);
            }
            tag::MAP => {
                let pairs = usize::try_from(size(reader)?).unwrap_or(usize::MAX);
                let frame = Frame::Keys {
                    pairs,
                    left: pairs,
                    outer_in_map_key: self.in_map_key,
                };
                let empty = self.parts(reader, pairs, frame)?;
                self.in_map_key |= !empty;
                return Ok(empty);
            }
            tag::PID => {
                let serial = u32::from_be_bytes(reader.array()?);
                let id = u32::from_be_bytes(reader.array()?);
                let creator = maker(reader)?;
                self.builder.pid(creator.get(), id, serial)?;
            }
            tag::PORT => {
                let creator = maker(reader)?;
                let id = u64::from_be_bytes(reader.array()?);
                self.builder.port(creator.get(), id)?;
            }
            tag::REFERENCE => {
                let creator = maker(reader)?;
                let len = usize::from(reader.byte()?);
                let (words, _) = reader.take(len * 4)?.as_chunks::<4>();
                let words: Vec<u32> = words.iter().rev().map(|word| u32::from_be_bytes(*word)).collect();
                if words.last() == Some(&0) {
                    return Err(reader.damaged("a reference in its shortest form").into());
                }
                self.builder.reference(creator.get(), &words)?;
            }
            tag::EXPORT => {
                let module = text::text(reader)?;
                let function = text::text(reader)?;
                let arity = reader.byte()?;
                self.builder.export(&module, &function, arity)?;
            }
            tag::FUN => return self.fun(reader),
            _ => return Err(reader.damaged("the tag of a term").into()),
        }
        Ok(true)
    }

    /// Begins a compound term; with no parts it is complete.
    fn parts(&mut self, reader: &Reader<'k>, parts: usize, frame: Frame<'k>) -> Result<bool, Stop> {
        if parts > reader.rest().len() {
            return Err(reader.damaged("a count that the bytes can hold").into());
        }
        if parts > 0 {
            self.frames.push(frame);
            return Ok(false);
        }
        self.build(frame)?;
        Ok(true)
    }

    fn build(&mut self, frame: Frame<'k>) -> Result<(), DecodeError> {
        match frame {
            Frame::Tuple { arity, .. } => self.builder.tuple(arity),
            Frame::List { len, .. } => self.builder.list(len),
            Frame::Keys { pairs, .. } | Frame::Values { pairs, .. } => self.builder.map(pairs),
            Frame::Fun { fun, .. } => self.builder.fun(&FunHead {
                module: &fun.1,
                ..fun.0
            }),
        }
    }

    /// Builds what the term just read completes. Says whether that is the whole key.
    #[inline]
    fn complete(&mut self, reader: &mut Reader<'k>) -> Result<bool, Stop> {
        while let Some(frame) = self.frames.last_mut() {
            match frame {
                Frame::Tuple { left, .. } | Frame::Fun { left, .. } | Frame::Values { left, .. } => {
                    *left -= 1;
                    if *left > 0 {
                        return Ok(false);
                    }
                }
                Frame::Keys {
                    pairs,
                    left,
                    outer_in_map_key,
                } => {
                    *left -= 1;
                    if *left == 0 {
                        self.in_map_key = *outer_in_map_key;
                        *frame = Frame::Values {
                            pairs: *pairs,
                            left: *pairs,
                        };
                    }
                    return Ok(false);
                }
                Frame::List { tail: true, .. } => {}
                Frame::List { len, tail } => {
                    *len += 1;
                    if reader.peek() == Some(tag::CONS) {
                        reader.byte()?;
                    } else {
                        *tail = true;
                    }
                    return Ok(false);
                }
            }
            if let Some(frame) = self.frames.pop() {
                self.build(frame)?;
            }
        }
        Ok(true)
    }

    fn point(&mut self) -> Result<Option<Kind>, DecodeError> {
        match &mut self.reading {
            Reading::WithSuffix(suffix) => suffix.point(),
            Reading::First | Reading::Length => Ok(None),
        }
    }

    /// Reads a number; `float` says which kind it is where its prefix tells.
    #[inline]
    fn number(&mut self, reader: &mut Reader<'k>, first: u8, float: Option<bool>) -> Result<(), DecodeError> {
        let kind = self.point()?;
        let (as_float, negative_zero) = match (kind, float) {
            (None, float) => (float == Some(true), false),
            (Some(Kind::Float), None) => (true, false),
            (Some(Kind::NegativeZero), None | Some(true)) => (true, true),
            _ => return Err(reader.damaged("a suffix that fits its key")),
        };
        let zero = match first {
            tag::NEG_ZERO if float != Some(false) && kind.is_none() => Some(-0.0),
            tag::FLOAT_ZERO if float.is_none() && kind != Some(Kind::Float) => {
                Some(if negative_zero { -0.0 } else { 0.0 })
            }
            tag::ZERO if as_float => Some(if negative_zero { -0.0 } else { 0.0 }),
            tag::ZERO => return self.builder.int(0),
            tag::NEG_BIG..=tag::BIG if negative_zero => {
                return Err(reader.damaged("a suffix that fits its key"));
            }
            tag::NEG_BIG..=tag::NEG_FRACTION | tag::FRACTION..=tag::BIG => None,
            _ => return Err(reader.damaged("a number")),
        };
        if let Some(zero) = zero {
            return self.builder.float(zero);
        }
        match number::number(reader, first, as_float)? {
            Number::Int(value) if float != Some(true) => self.builder.int(value),
            Number::Big(negative, magnitude) if float != Some(true) => {
                self.bigs_len += magnitude.len();
                if self.bigs_len > MAX_BIGS_LEN {
                    return Err(reader.damaged("integers that a key can hold"));
                }
                self.builder.big(negative, &magnitude)
            }
            // The suffix names the floats that have the value of an integer, and only these.
            Number::Float(value) if kind.is_some() && !number::is_integral(value) => {
                Err(reader.damaged("a suffix that fits its key"))
            }
            Number::Float(value) if float != Some(false) => self.builder.float(value),
            _ => Err(reader.damaged("a number of its kind")),
        }
    }

    fn fun(&mut self, reader: &mut Reader<'k>) -> Result<bool, Stop> {
        let module = text::text(reader)?;
        let old_index = plain_int(reader)?;
        let old_uniq = plain_int(reader)?;
        let free = u32::try_from(size(reader)?).map_err(|_| reader.damaged("the size of an environment"))?;
        let version = match (self.point()?, &self.reading) {
            (_, Reading::First) => return Err(Stop::SuffixNeeded),
            (_, Reading::Length) => FunVersion {
                arity: 0,
                index: 0,
                uniq: [0; 16],
            },
            (Some(Kind::Fun(version)), Reading::WithSuffix(_)) => version,
            _ => return Err(reader.damaged("a suffix that fits its key").into()),
        };
        let head = FunHead {
            module: "",
            old_index,
            old_uniq,
            free,
            version,
        };
        let frame = Frame::Fun {
            fun: Box::new((head, module)),
            left: free as usize,
        };
        self.parts(reader, free as usize, frame)
    }
}

/// A creator that owns its name where the bytes escape it.
enum Maker<'k> {
    Local(u64),
    Node(Cow<'k, str>, u32),
}

impl Maker<'_> {
    fn get(&self) -> Creator<'_> {
        match self {
            Maker::Local(marker) => Creator::Local(*marker),
            Maker::Node(name, creation) => Creator::Node {
                name,
                creation: *creation,
            },
        }
    }
}

fn maker<'k>(reader: &mut Reader<'k>) -> Result<Maker<'k>, DecodeError> {
    match reader.byte()? {
        creator::LOCAL => Ok(Maker::Local(u64::from_be_bytes(reader.array()?))),
        creator::NODE => {
            let name = text::text(reader)?;
            Ok(Maker::Node(name, u32::from_be_bytes(reader.array()?)))
        }
        _ => Err(reader.damaged("a creator")),
    }
}

fn plain_int(reader: &mut Reader<'_>) -> Result<i64, DecodeError> {
    let first = reader.byte()?;
    match first {
        tag::ZERO => return Ok(0),
        tag::NEG..tag::NEG_FRACTION | tag::POS..tag::BIG => {}
        _ => return Err(reader.damaged("an integer")),
    }
    match number::number(reader, first, false)? {
        Number::Int(value) => Ok(value),
        _ => Err(reader.damaged("an integer")),
    }
}
