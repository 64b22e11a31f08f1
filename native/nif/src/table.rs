//! The resource behind a table identifier.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use bets_engine::table::Table;
use parking_lot::Mutex;
use rustler::{Atom, Encoder, Env, LocalPid, Monitor, Term};

use crate::codec::{Equality, Layout};
use crate::error::Fail;
use crate::fix::Fixes;
use crate::options::Options;
use crate::owner::Heir;
use crate::raw::{atom_word, pid_word, word_atom, word_pid};
use crate::reaper::{self, Job};
use crate::resource::{self, TableArc};

/// Where a table is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It takes calls.
    Open = 0,
    /// A panic happened on it: every call but closing gives an error.
    Failed = 1,
    /// Someone closes or deletes it: to all others it is gone.
    Closing = 2,
}

/// Who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Protection {
    /// Any process reads and writes.
    Public = 0,
    /// Any process reads, the owner writes.
    Protected = 1,
    /// The owner reads and writes.
    Private = 2,
}

/// What only changes of ownership touch.
#[derive(Default)]
pub struct Admin {
    /// The monitor of the owner.
    pub monitor: Option<Monitor>,
    /// Who inherits the table.
    pub heir: Option<Heir>,
}

/// An open table. What every call reads stands in lines of its own, away from the VM's count of references.
#[repr(C, align(64))]
pub struct TableResource {
    state: AtomicU8,
    protection: AtomicU8,
    /// Whether a write is acknowledged only when it is durable.
    pub sync_always: bool,
    /// How its terms become bytes.
    pub layout: Layout,
    owner: AtomicUsize,
    name: AtomicUsize,
    raw: AtomicUsize,
    /// The engine's table.
    pub table: Table,
    /// The number it is registered under.
    pub id: u64,
    /// What it was opened with.
    pub options: Options,
    /// What only changes of ownership touch.
    pub admin: Mutex<Admin>,
    /// Who holds the table fixed.
    pub fixes: Fixes,
    /// The last place that a walk by number through a table in the order of its keys came to.
    pub slot: Mutex<Option<SlotPlace>>,
}

/// A place in the order of the keys by its number.
pub struct SlotPlace {
    /// The table's last write when this was the place.
    pub version: u64,
    /// The number, from 0.
    pub number: usize,
    /// The key's stored bytes.
    pub key: Vec<u8>,
}

impl TableResource {
    /// Makes the resource of a table that was just opened. It is not monitored or registered yet.
    pub fn create(
        table: Table,
        equality: Equality,
        id: u64,
        name: Atom,
        owner: LocalPid,
        options: Options,
    ) -> TableArc {
        let meta = table.meta();
        let layout = Layout::new(meta.kind, equality, meta.keypos);
        let arc = TableArc::new(TableResource {
            state: AtomicU8::new(State::Open as u8),
            protection: AtomicU8::new(options.protection as u8),
            sync_always: options.config.sync == bets_engine::table::Sync::Always,
            layout,
            owner: AtomicUsize::new(pid_word(owner)),
            name: AtomicUsize::new(atom_word(name)),
            raw: AtomicUsize::new(0),
            table,
            id,
            options,
            admin: Mutex::default(),
            fixes: Fixes::default(),
            slot: Mutex::default(),
        });
        arc.raw.store(arc.address(), Ordering::Release);
        arc
    }

    /// The position of the key in an object, from 1.
    pub fn keypos(&self) -> usize {
        self.layout.keypos()
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Open,
            1 => State::Failed,
            _ => State::Closing,
        }
    }

    /// Makes every later call but closing fail.
    pub fn fail(&self) {
        let _ = self.state.compare_exchange(
            State::Open as u8,
            State::Failed as u8,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }

    /// Takes the table out of use. The one caller that gets the state it was in has to close it.
    pub fn begin_closing(&self) -> Option<State> {
        match self.state.swap(State::Closing as u8, Ordering::AcqRel) {
            0 => Some(State::Open),
            1 => Some(State::Failed),
            _ => None,
        }
    }

    /// Who may do what.
    pub fn protection(&self) -> Protection {
        match self.protection.load(Ordering::Relaxed) {
            0 => Protection::Public,
            1 => Protection::Protected,
            _ => Protection::Private,
        }
    }

    /// Changes who may do what.
    pub fn set_protection(&self, protection: Protection) {
        self.protection.store(protection as u8, Ordering::Relaxed);
    }

    /// The owner's pid, as [`pid_word`] made it.
    pub fn owner_raw(&self) -> usize {
        self.owner.load(Ordering::Acquire)
    }

    /// The owner.
    pub fn owner(&self) -> LocalPid {
        word_pid(self.owner_raw())
    }

    /// Makes another process the owner.
    pub fn set_owner(&self, pid: LocalPid) {
        self.owner.store(pid_word(pid), Ordering::Release);
    }

    /// The table's name, whether it is registered under it or not.
    pub fn name(&self) -> Atom {
        word_atom(self.name.load(Ordering::Acquire))
    }

    /// Changes the name.
    pub fn set_name(&self, name: Atom) {
        self.name.store(atom_word(name), Ordering::Release);
    }

    /// The table identifier.
    pub fn identifier<'a>(&self, env: Env<'a>) -> Term<'a> {
        resource::identifier(env, self, self.raw.load(Ordering::Acquire))
    }

    /// The name of a named table, the identifier of another.
    pub fn handle<'a>(&self, env: Env<'a>) -> Term<'a> {
        if self.options.named {
            self.name().encode(env)
        } else {
            self.identifier(env)
        }
    }

    /// An error if the table does not take calls.
    pub fn check_state(&self) -> Result<(), Fail> {
        match self.state() {
            State::Open => Ok(()),
            State::Failed => Err(Fail::TableFailed),
            State::Closing => Err(Fail::id()),
        }
    }

    /// For the VM, when nobody has the table any more.
    pub fn destroyed(self) {
        // Frees a keydir of any size: too long for the scheduler that collects the garbage.
        reaper::push(Job::Drop(Box::new(self.table)));
    }

    /// For the VM, when a process died that the table monitors.
    pub fn down(&self, pid: usize) {
        self.fixes.release(pid);
        reaper::push(Job::OwnerDown(self.id, pid));
    }
}
