//! Owners and heirs.
//!
//! The VM tells of an owner's death by a callback that comes late, so every call of another process asks whether the
//! owner lives. Whoever notices a death first hands the table to its heir, or takes it out of use and leaves the
//! closing to the [`reaper`](crate::reaper).

use rustler::env::SavedTerm;
use rustler::{Encoder, Env, LocalPid, OwnedEnv, Term};

use crate::atoms;
use crate::raw::{is_alive, pid_word, word_pid};
use crate::reaper::{self, Job};
use crate::registry;
use crate::resource::TableArc;
use crate::table::TableResource;

/// Who inherits a table, with the data of the message.
pub struct Heir {
    pid: usize,
    env: OwnedEnv,
    data: SavedTerm,
}

impl Heir {
    /// An heir that will be told `data`.
    pub fn new(pid: LocalPid, data: Term<'_>) -> Heir {
        let env = OwnedEnv::new();
        let data = env.save(data);
        Heir {
            pid: pid_word(pid),
            env,
            data,
        }
    }

    /// The heir's pid, as [`pid_word`] gives it.
    pub fn raw(&self) -> usize {
        self.pid
    }

    fn data<'a>(&self, to: Env<'a>) -> Term<'a> {
        self.env.run(|env| self.data.load(env).in_env(to))
    }
}

/// Sees to a table whose owner is dead: after it, the table has a living owner or is out of use. `env` is the caller's
/// environment, or `None` on a thread that is not the VM's.
pub fn orphaned(env: Option<Env<'_>>, table: &TableResource) {
    let Some(arc) = registry::by_id(table.id) else {
        return;
    };
    let closes = {
        let mut admin = arc.admin.lock();
        let dead = arc.owner_raw();
        if is_alive(env, dead) {
            // Someone else saw to it while we waited for the lock.
            return;
        }
        let heir = admin
            .heir
            .as_ref()
            .map(Heir::raw)
            .filter(|heir| *heir != dead && is_alive(env, *heir));
        if let Some((heir, monitor)) = heir
            .map(word_pid)
            .and_then(|heir| Some((heir, arc.monitor(env, &heir)?)))
        {
            arc.set_owner(heir);
            admin.monitor = Some(monitor);
            if let Some(inheritance) = &admin.heir {
                tell(env, &arc, heir, word_pid(dead), |env| inheritance.data(env));
            }
            None
        } else {
            admin.monitor = None;
            arc.begin_closing()
        }
    };
    if let Some(was) = closes {
        registry::unname(&arc);
        reaper::push(Job::Close(arc, was));
    }
}

/// Makes `to` the owner and tells it. `false` if it is dead.
pub fn give_away(env: Env<'_>, arc: &TableArc, to: LocalPid, gift: Term<'_>) -> bool {
    let mut admin = arc.admin.lock();
    let Some(monitor) = arc.monitor(Some(env), &to) else {
        return false;
    };
    if let Some(old) = admin.monitor.replace(monitor) {
        arc.demonitor(Some(env), &old);
    }
    arc.set_owner(to);
    tell(Some(env), arc, to, env.pid(), |env| gift.in_env(env));
    true
}

/// Sends `{'ETS-TRANSFER', Table, From, Data}`.
fn tell(
    env: Option<Env<'_>>,
    table: &TableResource,
    to: LocalPid,
    from: LocalPid,
    data: impl for<'b> FnOnce(Env<'b>) -> Term<'b>,
) {
    // A receiver that died in the meantime is seen by its own monitor: nothing is to be done here.
    let _ = match env {
        Some(env) => {
            let message = (atoms::ets_transfer(), table.handle(env), from, data(env)).encode(env);
            env.send(&to, message)
        }
        None => OwnedEnv::new().send_and_clear(&to, |env| {
            (atoms::ets_transfer(), table.handle(env), from, data(env)).encode(env)
        }),
    };
}
