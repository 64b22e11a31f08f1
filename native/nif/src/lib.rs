//! The NIF of bets: terms to bytes, resources, owners, scheduling.
//!
//! `ops` holds the functions that Erlang calls. They find their table through `registry`, check their rights with
//! `access`, and run under `schedule`, which moves a call to a dirty scheduler when it would have to wait or to work for
//! long. `owner` and `reaper` see to tables whose owner died. Files are touched by `bets_engine` only.

mod access;
mod atoms;
mod buffers;
mod codec;
mod edit;
mod error;
mod fix;
mod integer;
mod lock;
mod ops;
mod options;
mod owner;
mod raw;
mod reaper;
mod registry;
mod resource;
mod schedule;
mod storage;
mod table;
mod temporary;
mod terms;

#[cfg(feature = "testing")]
mod codec_nif;
#[cfg(feature = "testing")]
mod panics;
#[cfg(feature = "testing")]
mod watch;

/// Called once, when the VM loads the library.
fn load(env: rustler::Env<'_>, _info: rustler::Term<'_>) -> bool {
    bets_engine::cache::use_large_pages();
    bets_engine::keydir::use_slot_pages();
    resource::open(env)
}

rustler::init!("bets_nif", load = load);
