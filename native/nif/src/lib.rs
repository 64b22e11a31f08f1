//! The NIF of bets.

mod codec_nif;
mod terms;

rustler::init!("bets_nif");
