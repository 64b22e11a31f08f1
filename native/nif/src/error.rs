//! What a call that fails tells Erlang.
//!
//! `{badarg, Cause}` is an error that `ets` has too: the face raises `badarg` with `Cause` in its `error_info`.
//! `{bets, Reason}` is one of our own: the face raises or returns it as it is.

use std::path::{Path, PathBuf};

use bets_engine::Error;
use rustler::{Atom, Encoder, Env, Term};

use crate::atoms;

/// Why a body did not give a result.
#[derive(Debug)]
pub enum Fail {
    /// It would have to wait: it is started again on a dirty I/O scheduler.
    WouldWait,
    /// Another call has what it needs, for a moment: it is tried again some times, and then started again on a dirty I/O scheduler.
    Busy,
    /// It would work for long: it is started again on a dirty CPU scheduler.
    OverBudget,
    /// An error of `ets`, with its cause.
    Badarg(Atom),
    /// The engine's error.
    Engine(Box<Error>),
    /// The stored bytes of an object passed their checksum but are no object.
    Undecodable,
    /// The term cannot be stored, and why.
    #[expect(clippy::redundant_allocation, reason = "one word instead of two, see below")]
    Unstorable(Box<&'static str>),
    /// The directory that belongs to a name holds a table of another name.
    NameMismatch(Box<PathBuf>),
    /// The table failed closed earlier.
    TableFailed,
    /// The body panicked.
    Panicked,
}

// A term has three words, of which the last is almost empty. As long as a failure fits into the first two, a result's last bytes are not copied from place to place in pieces
// of other sizes than they were written in, for which the processor would wait each time.
const _: () = assert!(size_of::<Fail>() == 2 * size_of::<usize>());

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        match error {
            Error::WouldBlock => Fail::WouldWait,
            Error::Busy => Fail::Busy,
            Error::Closed => Fail::Badarg(atoms::id()),
            Error::Snapshot => Fail::Badarg(atoms::snapshot()),
            other => Fail::Engine(Box::new(other)),
        }
    }
}

impl Fail {
    /// `badarg` without a cause.
    pub fn none() -> Fail {
        Fail::Badarg(atoms::none())
    }

    /// `badarg`: there is no such table.
    pub fn id() -> Fail {
        Fail::Badarg(atoms::id())
    }

    /// The term that the face gets.
    pub fn term<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self {
            Fail::Badarg(cause) => (atoms::badarg(), *cause).encode(env),
            Fail::Engine(error) => (atoms::bets(), reason(env, error)).encode(env),
            Fail::Unstorable(why) => (atoms::bets(), (atoms::unstorable(), **why)).encode(env),
            Fail::Undecodable => (atoms::bets(), atoms::damaged_object()).encode(env),
            Fail::NameMismatch(dir) => {
                (atoms::bets(), (atoms::name_mismatch(), path_term(env, dir))).encode(env)
            }
            Fail::TableFailed => (atoms::bets(), atoms::table_failed()).encode(env),
            // All but the first never get here: the call is started again instead.
            Fail::Panicked | Fail::WouldWait | Fail::Busy | Fail::OverBudget => {
                (atoms::bets(), atoms::internal_error()).encode(env)
            }
        }
    }
}

/// The engine's error as a term.
pub fn reason<'a>(env: Env<'a>, error: &Error) -> Term<'a> {
    match error {
        Error::Io { op, path, source } => (
            atoms::io(),
            atom(env, op),
            path_term(env, path),
            posix(env, source),
        )
            .encode(env),
        Error::Damaged { path, offset, what } => {
            (atoms::damaged(), path_term(env, path), *offset, *what).encode(env)
        }
        Error::Missing { path } => (atoms::missing(), path_term(env, path)).encode(env),
        Error::Locked { dir, pid } => {
            let pid = pid.map_or_else(|| atoms::undefined().to_term(env), |p| p.encode(env));
            (atoms::locked(), path_term(env, dir), pid).encode(env)
        }
        Error::AlreadyOpen { .. } => atoms::already_open().to_term(env),
        Error::NoTable { dir } => (atoms::no_table(), path_term(env, dir)).encode(env),
        Error::NotATable { path, what } => (atoms::not_a_table(), path_term(env, path), *what).encode(env),
        Error::NewerVersion {
            path,
            version,
            supported,
        } => (atoms::newer_version(), path_term(env, path), *version, *supported).encode(env),
        Error::Mismatch {
            property: "type",
            stored,
            asked,
        } => (atoms::type_mismatch(), kind_number(*stored), kind_number(*asked)).encode(env),
        Error::Mismatch { stored, asked, .. } => (atoms::keypos_mismatch(), *stored, *asked).encode(env),
        Error::ReadOnly { cause } => (atoms::read_only(), reason(env, cause)).encode(env),
        Error::SyncFailed { cause } => (atoms::sync_failed(), reason(env, cause)).encode(env),
        Error::TooLarge { what, len, limit } => {
            (atoms::too_large(), atom(env, what), *len, *limit).encode(env)
        }
        Error::MergeStuck => atoms::merge_stuck().to_term(env),
        Error::Merging => atoms::merging().to_term(env),
        Error::TooManySegments => atoms::too_many_segments().to_term(env),
        Error::Closed => atoms::closed().to_term(env),
        _ => atoms::internal_error().to_term(env),
    }
}

/// The name of a stored table type.
fn kind_number(kind: u32) -> Atom {
    match kind {
        0 => atoms::set(),
        1 => atoms::ordered_set(),
        2 => atoms::bag(),
        3 => atoms::duplicate_bag(),
        _ => atoms::undefined(),
    }
}

/// A path as Erlang's file functions give it: a string, or a binary if it is no text.
pub fn path_term<'a>(env: Env<'a>, path: &Path) -> Term<'a> {
    match path.to_str() {
        Some(text) => text.chars().map(u32::from).collect::<Vec<u32>>().encode(env),
        None => path.as_os_str().as_encoded_bytes().encode_binary(env),
    }
}

trait EncodeBinary {
    fn encode_binary<'a>(&self, env: Env<'a>) -> Term<'a>;
}

impl EncodeBinary for [u8] {
    fn encode_binary<'a>(&self, env: Env<'a>) -> Term<'a> {
        let mut binary = rustler::NewBinary::new(env, self.len());
        binary.as_mut_slice().copy_from_slice(self);
        binary.into()
    }
}

/// One of the engine's few fixed words as an atom.
fn atom<'a>(env: Env<'a>, word: &str) -> Term<'a> {
    Atom::from_str(env, word).map_or_else(|_| word.encode(env), |a| a.to_term(env))
}

/// The system's error as an atom of `file:posix/0`, or its number.
fn posix<'a>(env: Env<'a>, error: &std::io::Error) -> Term<'a> {
    const NAMES: &[(i32, &str)] = &[
        (1, "eperm"),
        (2, "enoent"),
        (4, "eintr"),
        (5, "eio"),
        (6, "enxio"),
        (9, "ebadf"),
        (11, "eagain"),
        (12, "enomem"),
        (13, "eacces"),
        (16, "ebusy"),
        (17, "eexist"),
        (18, "exdev"),
        (19, "enodev"),
        (20, "enotdir"),
        (21, "eisdir"),
        (22, "einval"),
        (23, "enfile"),
        (24, "emfile"),
        (26, "etxtbsy"),
        (27, "efbig"),
        (28, "enospc"),
        (29, "espipe"),
        (30, "erofs"),
        (31, "emlink"),
        (36, "enametoolong"),
        (39, "enotempty"),
        (40, "eloop"),
        (95, "eopnotsupp"),
        (116, "estale"),
        (122, "edquot"),
    ];
    match error.raw_os_error() {
        Some(number) => NAMES
            .iter()
            .find(|(n, _)| *n == number)
            .map_or_else(|| number.encode(env), |(_, name)| atom(env, name)),
        None => error.to_string().encode(env),
    }
}
