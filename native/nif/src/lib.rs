//! The NIF of bets.

rustler::init!("bets_nif");
