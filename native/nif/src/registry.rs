//! All open tables: by name, by identifier and by directory.
//!
//! A look-up by name takes no lock and writes to no shared memory: the names stand in maps that are replaced as a whole.
//! Everything else is behind one mutex that is never held while anything waits.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use bets_engine::Error;
use rustler::{Atom, Env};

use crate::atoms;
use crate::error::Fail;
use crate::lock::{lock, wait};
use crate::owner;
use crate::raw::{atom_word, is_alive, pid_word};
use crate::resource::TableArc;
use crate::schedule::Call;
use crate::table::{State, TableResource};

type Names = HashMap<usize, TableArc, BuildHasherDefault<AtomHasher>>;

/// So many maps share the names: a new name copies one of them.
const NAME_SHARDS: usize = 64;

static NAMES: LazyLock<[ArcSwap<Names>; NAME_SHARDS]> =
    LazyLock::new(|| std::array::from_fn(|_| ArcSwap::new(Arc::new(Names::default()))));

static TABLES: LazyLock<Mutex<Tables>> = LazyLock::new(Mutex::default);

/// Signalled when a table was closed, and when an opening has ended.
static CLOSED: Condvar = Condvar::new();

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

#[derive(Default)]
struct Tables {
    by_id: HashMap<u64, Entry>,
    /// Directories in use; `None` while the table is being opened.
    dirs: HashMap<PathBuf, Option<u64>>,
    /// Names that a table being opened will have.
    reserved: HashSet<usize>,
    /// Who opens the tables that are being opened, by their directories: the name that the table will have, and the process.
    openers: HashMap<PathBuf, (Option<usize>, usize)>,
}

impl Tables {
    /// Whether one who opens a table under this name or in this directory was killed meanwhile: its call goes on to the end, and then gives both back.
    fn is_opened_by_dead(&self, env: Env<'_>, name: Option<usize>, dir: Option<&Path>) -> bool {
        self.openers
            .iter()
            .filter(|(at, (named, _))| Some(at.as_path()) == dir || (name.is_some() && *named == name))
            .any(|(_, (_, opener))| !is_alive(Some(env), *opener))
    }
}

struct Entry {
    table: TableArc,
    /// The directory as it was claimed; `None` for a snapshot, which leaves it to others.
    dir: Option<PathBuf>,
}

/// Spreads the words of atoms, which are small numbers shifted by the VM's tag bits.
#[derive(Default)]
struct AtomHasher(u64);

impl Hasher for AtomHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, word: usize) {
        self.0 = (self.0 ^ word as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
}

fn shard(name: usize) -> &'static ArcSwap<Names> {
    &NAMES[(name >> 6) % NAME_SHARDS]
}

/// Runs `f` with the table of this name.
pub fn with_name<R>(name: Atom, f: impl FnOnce(Option<&TableResource>) -> R) -> R {
    let raw = atom_word(name);
    let names = shard(raw).load();
    f(names.get(&raw).map(|arc| &**arc))
}

/// The table of this name.
pub fn by_name(name: Atom) -> Option<TableArc> {
    let raw = atom_word(name);
    shard(raw).load().get(&raw).cloned()
}

/// The table of this number.
pub fn by_id(id: u64) -> Option<TableArc> {
    lock(&TABLES).by_id.get(&id).map(|entry| entry.table.clone())
}

/// All tables that take calls, in the order of their opening.
pub fn all() -> Vec<TableArc> {
    let tables = lock(&TABLES);
    let open = tables
        .by_id
        .values()
        .filter(|entry| entry.table.state() != State::Closing);
    let mut all: Vec<_> = open.map(|entry| entry.table.clone()).collect();
    drop(tables);
    all.sort_unstable_by_key(|t| t.id);
    all
}

/// A place in the registry, held while a table is opened.
pub struct Claim {
    name: Option<usize>,
    dir: Option<PathBuf>,
    /// The number that the table will have.
    pub id: u64,
    published: bool,
}

/// Takes the name and the directory (a snapshot takes none) for a table to be opened. Waits for tables there that are just closing, so it is for
/// dirty schedulers only.
pub fn claim(env: Env<'_>, name: Option<Atom>, dir: Option<&Path>) -> Result<Claim, Fail> {
    let raw = name.map(atom_word);
    loop {
        let mut tables = lock(&TABLES);
        if tables.is_opened_by_dead(env, raw, dir) {
            drop(wait(&CLOSED, tables, Duration::from_millis(100)));
            continue;
        }
        let rival = match (raw, name.and_then(by_name)) {
            (_, Some(table)) => Some((table, Fail::Badarg(atoms::already_exists()))),
            (Some(raw), None) if tables.reserved.contains(&raw) => {
                return Err(Fail::Badarg(atoms::already_exists()));
            }
            _ => match dir.and_then(|dir| Some((dir, tables.dirs.get(dir)?))) {
                None => None,
                Some((dir, id)) => {
                    let taken = || {
                        Fail::Engine(Box::new(Error::AlreadyOpen {
                            dir: dir.to_path_buf(),
                        }))
                    };
                    match id
                        .and_then(|id| tables.by_id.get(&id))
                        .map(|entry| entry.table.clone())
                    {
                        None => return Err(taken()),
                        Some(table) => Some((table, taken())),
                    }
                }
            },
        };
        let Some((table, refusal)) = rival else {
            if let Some(raw) = raw {
                tables.reserved.insert(raw);
            }
            tables.dirs.extend(dir.map(|dir| (dir.to_path_buf(), None)));
            let opener = (raw, pid_word(env.pid()));
            tables.openers.extend(dir.map(|dir| (dir.to_path_buf(), opener)));
            return Ok(Claim {
                name: raw,
                dir: dir.map(Path::to_path_buf),
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                published: false,
            });
        };
        if table.state() != State::Closing && is_alive(Some(env), table.owner_raw()) {
            return Err(refusal);
        }
        drop(tables);
        owner::orphaned(Some(env), &table);
        if table.state() == State::Closing {
            wait_closed(&table);
        }
    }
}

impl Claim {
    /// Makes the opened table visible.
    pub fn publish(mut self, table: &TableArc) {
        let mut tables = lock(&TABLES);
        self.published = true;
        let dir = std::mem::take(&mut self.dir);
        if let Some(dir) = &dir {
            tables.openers.remove(dir);
            tables.dirs.insert(dir.clone(), Some(self.id));
        }
        tables.by_id.insert(
            self.id,
            Entry {
                table: table.clone(),
                dir,
            },
        );
        if let Some(name) = self.name {
            tables.reserved.remove(&name);
            put_name(&tables, name, table);
        }
        CLOSED.notify_all();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.published {
            let mut tables = lock(&TABLES);
            if let Some(dir) = &self.dir {
                tables.dirs.remove(dir);
                tables.openers.remove(dir);
            }
            if let Some(name) = self.name {
                tables.reserved.remove(&name);
            }
            CLOSED.notify_all();
        }
    }
}

// The mutex's guard is asked for as a proof that no one else changes the names.
fn put_name(_tables: &Tables, name: usize, table: &TableArc) {
    let mut names = Names::clone(&shard(name).load());
    names.insert(name, table.clone());
    shard(name).store(Arc::new(names));
}

fn remove_name(_tables: &Tables, name: usize, table: &TableResource) {
    if shard(name).load().get(&name).is_some_and(|t| t.id == table.id) {
        let mut names = Names::clone(&shard(name).load());
        names.remove(&name);
        shard(name).store(Arc::new(names));
    }
}

/// Takes away the name of a table that is closing.
pub fn unname(table: &TableResource) {
    if table.options.named {
        remove_name(&lock(&TABLES), atom_word(table.name()), table);
    }
}

/// A name taken for a named table that is to be renamed; given back if it is dropped before [`Renaming::finish`].
pub struct Renaming<'t> {
    table: &'t TableArc,
    name: Atom,
}

/// Takes a name for a table. `None` if a table has it, be it the same one.
pub fn begin_renaming<'t>(env: Env<'_>, table: &'t TableArc, name: Atom) -> Option<Renaming<'t>> {
    if let Some(rival) = by_name(name) {
        if rival.state() != State::Closing && is_alive(Some(env), rival.owner_raw()) {
            return None;
        }
        owner::orphaned(Some(env), &rival);
    }
    let raw = atom_word(name);
    let mut tables = lock(&TABLES);
    let free = !tables.reserved.contains(&raw) && !shard(raw).load().contains_key(&raw);
    (free && tables.reserved.insert(raw)).then_some(Renaming { table, name })
}

impl Renaming<'_> {
    /// Makes the name the table's, and `dir` its directory if it moved. `false` if the table was closed meanwhile.
    pub fn finish(self, dir: Option<PathBuf>) -> bool {
        let mut tables = lock(&TABLES);
        if let Some(dir) = dir
            && let Some(entry) = tables.by_id.get_mut(&self.table.id)
        {
            if let Some(old) = entry.dir.replace(dir.clone()) {
                tables.dirs.remove(&old);
            }
            tables.dirs.insert(dir, Some(self.table.id));
        }
        // Whoever closes a table takes its name away after the state has changed, under the same lock.
        let open = self.table.state() != State::Closing;
        if open {
            put_name(&tables, atom_word(self.name), self.table);
            remove_name(&tables, atom_word(self.table.name()), self.table);
            self.table.set_name(self.name);
        }
        open
    }
}

impl Drop for Renaming<'_> {
    fn drop(&mut self) {
        lock(&TABLES).reserved.remove(&atom_word(self.name));
    }
}

/// Forgets a table that was closed.
pub fn forget(table: &TableResource) {
    let mut tables = lock(&TABLES);
    let dir = tables.by_id.remove(&table.id).and_then(|entry| entry.dir);
    if let Some(dir) = dir {
        tables.dirs.remove(&dir);
    }
    CLOSED.notify_all();
}

/// Waits until a closing table is closed.
pub fn wait_closed(table: &TableResource) {
    let mut tables = lock(&TABLES);
    while tables.by_id.contains_key(&table.id) {
        (tables, _) = wait(&CLOSED, tables, Duration::from_millis(100));
    }
}

/// After a panic in a call: the table it was on takes no more.
pub fn fail_closed(call: &Call<'_>) {
    // The same terms made the body panic: no second panic may cross the boundary.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if call.arity() > 0 {
            crate::access::with_any(call.arg(0), |table| {
                if let Some(table) = table {
                    table.fail();
                    table.table.fail();
                }
            });
        }
    }));
}
