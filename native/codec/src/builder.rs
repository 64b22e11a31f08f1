//! Terms to be made.

use crate::error::DecodeError;
use crate::source::{Creator, FunHead};

/// Makes terms on a stack: leaves are pushed, and compound terms take their parts from the top and push themselves.
///
/// Decoders call it with what they read from hostile bytes, checked for length and form; what only the VM can know (a map's
/// keys are distinct, an atom's text is short enough) is for the builder to check.
pub trait Builder {
    /// Forgets everything pushed since the builder was handed to the decoder.
    fn reset(&mut self);
    /// Pushes an integer.
    fn int(&mut self, value: i64) -> Result<(), DecodeError>;
    /// Pushes an integer outside the range of `i64`: its magnitude, little-endian, without zeros at its end.
    fn big(&mut self, negative: bool, magnitude: &[u8]) -> Result<(), DecodeError>;
    /// Pushes a float, which is finite.
    fn float(&mut self, value: f64) -> Result<(), DecodeError>;
    /// Pushes an atom.
    fn atom(&mut self, text: &str) -> Result<(), DecodeError>;
    /// Pushes a binary.
    fn binary(&mut self, bytes: &[u8]) -> Result<(), DecodeError>;
    /// Pushes a bitstring whose last byte counts for `last_bits` (1 to 7) bits.
    fn bits(&mut self, bytes: &[u8], last_bits: u8) -> Result<(), DecodeError>;
    /// Pushes a pid.
    fn pid(&mut self, creator: Creator<'_>, id: u32, serial: u32) -> Result<(), DecodeError>;
    /// Pushes a port.
    fn port(&mut self, creator: Creator<'_>, id: u64) -> Result<(), DecodeError>;
    /// Pushes a reference: words, the lowest first, the last one not zero.
    fn reference(&mut self, creator: Creator<'_>, words: &[u32]) -> Result<(), DecodeError>;
    /// Pushes an external fun.
    fn export(&mut self, module: &str, function: &str, arity: u8) -> Result<(), DecodeError>;
    /// Takes the environment and pushes the local fun.
    fn fun(&mut self, head: &FunHead<'_>) -> Result<(), DecodeError>;
    /// Takes so many elements and pushes the tuple.
    fn tuple(&mut self, arity: usize) -> Result<(), DecodeError>;
    /// Pushes the empty list.
    fn nil(&mut self) -> Result<(), DecodeError>;
    /// Takes so many elements and, above them, a tail; pushes the list.
    fn list(&mut self, len: usize) -> Result<(), DecodeError>;
    /// Takes so many keys and, above them, as many values; pushes the map.
    fn map(&mut self, pairs: usize) -> Result<(), DecodeError>;
}

/// Makes nothing: for a decoder that only measures or checks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Builder for Discard {
    fn reset(&mut self) {}
    fn int(&mut self, _: i64) -> Result<(), DecodeError> {
        Ok(())
    }
    fn big(&mut self, _: bool, _: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
    fn float(&mut self, _: f64) -> Result<(), DecodeError> {
        Ok(())
    }
    fn atom(&mut self, _: &str) -> Result<(), DecodeError> {
        Ok(())
    }
    fn binary(&mut self, _: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
    fn bits(&mut self, _: &[u8], _: u8) -> Result<(), DecodeError> {
        Ok(())
    }
    fn pid(&mut self, _: Creator<'_>, _: u32, _: u32) -> Result<(), DecodeError> {
        Ok(())
    }
    fn port(&mut self, _: Creator<'_>, _: u64) -> Result<(), DecodeError> {
        Ok(())
    }
    fn reference(&mut self, _: Creator<'_>, _: &[u32]) -> Result<(), DecodeError> {
        Ok(())
    }
    fn export(&mut self, _: &str, _: &str, _: u8) -> Result<(), DecodeError> {
        Ok(())
    }
    fn fun(&mut self, _: &FunHead<'_>) -> Result<(), DecodeError> {
        Ok(())
    }
    fn tuple(&mut self, _: usize) -> Result<(), DecodeError> {
        Ok(())
    }
    fn nil(&mut self) -> Result<(), DecodeError> {
        Ok(())
    }
    fn list(&mut self, _: usize) -> Result<(), DecodeError> {
        Ok(())
    }
    fn map(&mut self, _: usize) -> Result<(), DecodeError> {
        Ok(())
    }
}
