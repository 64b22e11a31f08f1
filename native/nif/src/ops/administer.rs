//! What happens to a table as a whole.

use std::sync::Arc;

use bets_engine::table::Commit;
use parking_lot::Mutex;
use rustler::{Atom, Binary, Encoder, LocalPid, OwnedEnv, Term};

use super::boolean;
use crate::access::{self, Need};
use crate::atoms;
use crate::error::{Fail, reason};
use crate::options::protection_of;
use crate::owner;
use crate::raw;
use crate::reaper::{self, Job};
use crate::registry;
use crate::resource::{self, TableArc};
use crate::schedule::{Call, Outcome};
use crate::temporary;

use super::open::{decode_heir, path};

/// The table of the call's first argument, for callers that have the right; a failed one only if `failed` allows.
fn arc(call: &Call<'_>, need: Need, failed: bool) -> Result<TableArc, Fail> {
    let id = match access::with(call.arg(0), need, |table| Ok(table.id)) {
        Err(Fail::TableFailed) if failed => access::with_any(call.arg(0), |table| table.map(|t| t.id)),
        other => Some(other?),
    };
    id.and_then(registry::by_id).ok_or_else(Fail::id)
}

/// `close(Tab) -> ok`.
pub fn close<'a>(call: &Call<'a>) -> Outcome<'a> {
    retire(call, false)?;
    Ok(atoms::ok().to_term(call.env))
}

/// `delete(Tab) -> true`.
pub fn delete<'a>(call: &Call<'a>) -> Outcome<'a> {
    retire(call, true)?;
    Ok(boolean(call.env, true))
}

fn retire(call: &Call<'_>, destroy: bool) -> Result<(), Fail> {
    let need = if destroy { Need::Write } else { Need::Administer };
    let table = arc(call, need, true)?;
    let was = table.begin_closing().ok_or_else(Fail::id)?;
    registry::unname(&table);
    let monitor = table.admin.lock().monitor.take();
    if let Some(monitor) = monitor {
        table.demonitor(Some(call.env), &monitor);
    }
    Ok(reaper::close(&table, was, destroy)?)
}

/// `close_all() -> ok`: closes every table and waits for those that are closing.
#[expect(clippy::unnecessary_wraps, reason = "the signature of all bodies")]
pub fn close_all<'a>(call: &Call<'a>) -> Outcome<'a> {
    for table in registry::all() {
        if let Some(was) = table.begin_closing() {
            registry::unname(&table);
            reaper::push(Job::Close(table, was));
        }
    }
    reaper::drain();
    temporary::remove_base();
    Ok(atoms::ok().to_term(call.env))
}

/// `set_cache(Bytes) -> ok`: gives the value cache a new bound.
pub fn set_cache<'a>(call: &Call<'a>) -> Outcome<'a> {
    bets_engine::cache::set_capacity(call.arg(0).decode().map_err(|_| Fail::none())?);
    Ok(atoms::ok().to_term(call.env))
}

/// `backup(Tab, Dir) -> ok`, `Dir` a binary.
pub fn backup<'a>(call: &Call<'a>) -> Outcome<'a> {
    let dir = path(call.arg(1))?;
    access::with(call.arg(0), Need::Read, |table| {
        table.table.backup(&dir)?;
        Ok(atoms::ok().to_term(call.env))
    })
}

/// `sync(Tab) -> ok`.
pub fn sync<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        table.table.sync()?;
        Ok(atoms::ok().to_term(call.env))
    })
}

/// `rename(Tab, Name) -> NameOrIdentifier | {move, Identifier}`: the latter if the directory has to move too, by [`relocate`].
pub fn rename<'a>(call: &Call<'a>) -> Outcome<'a> {
    let table = arc(call, Need::Write, false)?;
    let name = Atom::from_term(call.arg(1)).map_err(|_| Fail::none())?;
    if !table.options.named {
        table.set_name(name);
        return Ok(table.identifier(call.env));
    }
    let renaming = registry::begin_renaming(call.env, &table, name).ok_or_else(Fail::none)?;
    if table.options.default_dir {
        return Ok((atoms::r#move(), table.identifier(call.env)).encode(call.env));
    }
    if renaming.finish(None) {
        Ok(name.to_term(call.env))
    } else {
        Err(Fail::id())
    }
}

/// `relocate(Tab, Name, NameUtf8, Dir) -> Name`: renames a table and moves its directory.
pub fn relocate<'a>(call: &Call<'a>) -> Outcome<'a> {
    let table = arc(call, Need::Write, false)?;
    let name = Atom::from_term(call.arg(1)).map_err(|_| Fail::none())?;
    let name_utf8: Binary<'_> = call.arg(2).decode().map_err(|_| Fail::none())?;
    let dir = path(call.arg(3))?;
    let renaming = registry::begin_renaming(call.env, &table, name).ok_or_else(Fail::none)?;
    table.table.rename(&dir, name_utf8.as_slice())?;
    if renaming.finish(Some(dir)) {
        Ok(name.to_term(call.env))
    } else {
        Err(Fail::id())
    }
}

/// `give_away(Tab, Pid, Gift) -> true`.
pub fn give_away<'a>(call: &Call<'a>) -> Outcome<'a> {
    let table = arc(call, Need::Administer, false)?;
    let to: LocalPid = call.arg(1).decode().map_err(|_| Fail::none())?;
    let caller = raw::caller(call.env);
    if table.owner_raw() != caller {
        return Err(Fail::Badarg(atoms::not_owner()));
    }
    if raw::pid_word(to) == caller {
        return Err(Fail::Badarg(atoms::owner()));
    }
    if raw::is_alive(Some(call.env), raw::pid_word(to)) && owner::give_away(call.env, &table, to, call.arg(2))
    {
        Ok(boolean(call.env, true))
    } else {
        Err(Fail::none())
    }
}

/// `set_options(Tab, {Heir, Protection} | invalid) -> true`, where `undefined` leaves one as it is.
pub fn set_options<'a>(call: &Call<'a>) -> Outcome<'a> {
    let table = arc(call, Need::Administer, false)?;
    if table.owner_raw() != raw::caller(call.env) {
        return Err(Fail::Badarg(atoms::not_owner()));
    }
    let (heir, protection): (Term<'_>, Atom) = call.arg(1).decode().map_err(|_| Fail::none())?;
    if heir != atoms::undefined().to_term(call.env) {
        let heir = decode_heir(heir)?;
        // The old one is freed when the lock is released.
        let _old = std::mem::replace(&mut table.admin.lock().heir, heir);
    }
    if protection != atoms::undefined() {
        table.set_protection(protection_of(protection)?);
    }
    Ok(boolean(call.env, true))
}

enum Answer {
    /// The caller has not looked yet.
    Open,
    /// The engine answered before the caller looked.
    Given(bets_engine::Result<()>),
    /// The caller waits for a message.
    Awaited,
}

/// `await_durable(Tab, Commit, Ref) -> ok | {bets, Reason} | wait`: after `wait` comes a message `{Ref, ok | {bets, Reason}}`.
pub fn await_durable<'a>(call: &Call<'a>) -> Outcome<'a> {
    let table = resource::of_term(call.arg(0)).ok_or_else(Fail::none)?;
    let commit: u64 = call.arg(1).decode().map_err(|_| Fail::none())?;
    let pid = call.env.pid();
    let env = OwnedEnv::new();
    let reference = env.save(call.arg(2));
    let answer = Arc::new(Mutex::new(Answer::Open));
    let theirs = answer.clone();
    table.table.on_durable(
        Commit(commit),
        Box::new(move |result| {
            let mut answer = theirs.lock();
            if let Answer::Open = *answer {
                *answer = Answer::Given(result);
                return;
            }
            drop(answer);
            let send = move || {
                let mut env = env;
                // A waiter that died needs no answer.
                let _ = env.run(|env| {
                    let result = match &result {
                        Ok(()) => atoms::ok().to_term(env),
                        Err(error) => (atoms::bets(), reason(env, error)).encode(env),
                    };
                    env.send(&pid, (reference.load(env), result))
                });
                env.clear();
            };
            if rustler::thread::is_scheduler_thread() {
                // The VM wants a process's environment for a message from its own threads.
                reaper::push(Job::Run(Box::new(send)));
            } else {
                send();
            }
        }),
    );
    let mut answer = answer.lock();
    match std::mem::replace(&mut *answer, Answer::Awaited) {
        Answer::Given(Ok(())) => Ok(atoms::ok().to_term(call.env)),
        Answer::Given(Err(error)) => Ok((atoms::bets(), reason(call.env, &error)).encode(call.env)),
        Answer::Open | Answer::Awaited => Ok(atoms::wait().to_term(call.env)),
    }
}

/// `test_panic(Tab)`: panics while it works on the table.
#[cfg(feature = "testing")]
#[expect(clippy::panic, reason = "it is there to panic")]
pub fn test_panic<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |_table| panic!("asked for by a test"))
}
