//! Opening a table: from what is in its directory to a log that can be appended to.
//!
//! 1. The directory is locked, before anything in it is read.
//! 2. A deletion that a crash cut short is finished.
//! 3. The manifest tells the segments. Sealed ones must be whole; a fault in one is damage.
//! 4. Unsealed ones hold what a crash may have cut: see [`tail`].
//!    What the stage holds beyond its segment comes behind it.
//! 5. Records above the durable mark are copied to fresh segments and synced, since what the page cache shows of the old ones need not
//!    be on the disk.
//! 6. A new manifest names the old segments as sealed, the fresh ones, and a new active one. Only then is anything removed or appended.
//!
//! A crash at any point leaves the old manifest or the new one, and either opens to the same contents.

pub mod delete;
pub(crate) mod directory;
mod load;
mod rounds;
pub mod snapshot;
mod tail;
pub(crate) mod threads;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::directory::{
    check_meta, first_manifest, make_and_lock, orphans, read_manifest, remove_orphaned_hints, require_table,
    table_files,
};
use crate::dir::Dir;
use crate::format::IMPOSSIBLE_ID;
use crate::format::checkpoint::FILE as CHECKPOINT_FILE;
use crate::format::clock::{self, FILE as CLOCK_FILE};
use crate::format::manifest::{DELETED_FILE, Entry, FILE, Manifest, State};
use crate::format::segment::parse_file_name;
use crate::io::Storage;
use crate::keydir::Keydir;
use crate::lock::{DirLock, snapshot as snapshot_lock};
use crate::log::{Log, STAGE_FILE, create_segment, publish};
use crate::seeded::{self, Fault};
use crate::segment::{Segment, Segments};
use crate::table::{Config, Open, Wait};
use crate::{Error, Now, Result};

/// An opened table's parts.
#[derive(Debug)]
pub struct Opened {
    /// The hold on the directory.
    pub lock: DirLock,
    /// Its log.
    pub log: Log,
    /// Its live keys.
    pub keydir: Keydir,
}

/// What the steps of an opening share.
struct Opening<'a> {
    storage: &'a Arc<dyn Storage>,
    dir: &'a Path,
    shared_dir: Arc<Dir>,
    config: &'a Config,
    keydir: Keydir,
    manifest: Manifest,
    segments: Segments,
    last_seq: u64,
    expiry: Expiry,
}

/// What an opening knows of expiry.
#[derive(Debug)]
struct Expiry {
    /// The time of the opening: what had expired by then is not loaded.
    now: Now,
    /// Whether a record that expires was met.
    met: AtomicBool,
}

/// Opens the table in `dir`.
pub fn open(storage: &Arc<dyn Storage>, dir: &Path, open: &Open, config: Config) -> Result<Opened> {
    let lock = match open {
        Open::Existing { .. } => {
            require_table(&**storage, dir)?;
            DirLock::take(storage, dir)?
        }
        Open::OrCreate(_) => make_and_lock(storage, dir)?,
    };
    let mut names = table_files(&**storage, dir)?;
    if names.iter().any(|name| name == DELETED_FILE) {
        delete::finish(&**storage, dir)?;
        names = table_files(&**storage, dir)?;
    }
    let manifest = if names.iter().any(|name| name == FILE) {
        let manifest = read_manifest(&**storage, dir)?;
        check_meta(&manifest.meta, open)?;
        manifest
    } else {
        if names.iter().any(|name| parse_file_name(name).is_some()) {
            return Err(Error::Missing { path: dir.join(FILE) });
        }
        let Open::OrCreate(meta) = open else {
            return Err(Error::NoTable {
                dir: dir.to_path_buf(),
            });
        };
        first_manifest(&**storage, dir, meta, &config)?
    };
    let orphans = orphans(&names, &manifest);
    remove_orphaned_hints(&**storage, dir, &names, &manifest);
    let keydir = Keydir::new(manifest.meta.kind, manifest.hash_seed);
    let mut opening = Opening {
        storage,
        dir,
        shared_dir: Arc::new(Dir::new(dir)),
        config: &config,
        keydir,
        manifest,
        segments: Segments::new(),
        last_seq: 0,
        expiry: Expiry {
            now: Now::BEFORE_ALL,
            met: AtomicBool::new(false),
        },
    };
    opening.read_clock(&names);
    if !orphans.is_empty() {
        // The manifest that does not name them may have been renamed by a process that died before that was durable: after a power
        // loss the one before it would be back, and it names them.
        storage.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
    }
    opening.remove_orphans(&orphans);
    opening.load_sealed(&names)?;
    let emptied = opening.recover_tail()?;
    let active = opening.add_segment()?;
    opening.manifest.segments.push(Entry {
        id: active.0.id,
        state: State::Unsealed,
        len: 0,
        first_seq: 0,
        last_seq: 0,
    });
    opening.manifest.generation += 1;
    opening.manifest.last_seq = opening.last_seq;
    let expires = *opening.expiry.met.get_mut();
    if expires {
        // What was left out as expired must not come back.
        opening.manifest.clock_ms = opening.manifest.clock_ms.max(opening.expiry.now.ms());
    }
    let gone = opening.publish(emptied)?;
    opening.remove_orphans(&gone);
    let hintless = opening.hintless();
    // Its segment is sealed now, so one that stays does no harm.
    let _ = storage.unlink(&dir.join(STAGE_FILE));
    if names.iter().any(|name| name == CHECKPOINT_FILE) {
        // It names another generation now.
        let _ = storage.unlink(&dir.join(CHECKPOINT_FILE));
    }
    let Opening {
        keydir,
        manifest,
        segments,
        last_seq,
        shared_dir,
        ..
    } = opening;
    let log = Log::new(
        Arc::clone(storage),
        shared_dir,
        config,
        manifest,
        segments,
        active,
        last_seq,
    );
    log.want_hints(hintless);
    if expires {
        log.begin_expiry(Wait::May)?;
    }
    Ok(Opened { lock, log, keydir })
}

impl Opening<'_> {
    /// Learns the time from the clock and from what was kept of it.
    fn read_clock(&mut self, names: &[String]) {
        if names.iter().any(|name| name == CLOCK_FILE) {
            let mut bytes = [0; clock::LEN];
            let read = self.storage.open(&self.dir.join(CLOCK_FILE), false);
            let read = read.and_then(|file| file.read_at(&mut bytes, 0));
            // It is never synced: after a power loss it may be of any length.
            let kept = read.ok().and_then(|()| clock::read(self.manifest.table, &bytes));
            self.manifest.clock_ms = self.manifest.clock_ms.max(kept.unwrap_or(0));
        }
        if seeded::has(Fault::ClockForgotten) {
            self.manifest.clock_ms = 0;
        }
        self.expiry.now = Now::at(self.config.clock.now_ms().max(self.manifest.clock_ms));
    }

    /// Makes a fresh segment, which the manifest does not name yet.
    fn add_segment(&mut self) -> Result<(Arc<Segment>, Arc<dyn crate::io::File>)> {
        let id = self.manifest.next_segment;
        self.manifest.next_segment = id.checked_add(1).ok_or(Error::TooManySegments)?;
        let segment = self.add_slot(id)?;
        let file = create_segment(
            &**self.storage,
            &segment,
            self.manifest.table,
            !self.config.temporary,
        )?;
        Ok((segment, file))
    }

    /// Publishes the manifest, in which `emptied` and the retired segments are not named any more, unless snapshots may read them. Gives those whose files can go.
    fn publish(&mut self, mut emptied: Vec<u32>) -> Result<Vec<u32>> {
        let alone = if self.config.temporary {
            None
        } else {
            snapshot_lock::alone(&**self.storage, self.dir)
        };
        let retired = &mut self.manifest.retired;
        if alone.is_some() || self.config.temporary {
            emptied.append(retired);
        } else {
            retired.append(&mut emptied);
            retired.sort_unstable();
        }
        publish(&**self.storage, self.dir, &self.manifest, !self.config.temporary)
            .map_err(|failure| failure.error)?;
        Ok(emptied)
    }

    /// The sealed segments without a hint: those that were unsealed till now.
    fn hintless(&self) -> Vec<Entry> {
        let missing = |entry: &&Entry| entry.state == State::Sealed && self.hint_len(entry, false).is_none();
        self.manifest.segments.iter().filter(missing).copied().collect()
    }

    fn add_slot(&mut self, id: u32) -> Result<Arc<Segment>> {
        let slot = u16::try_from(self.segments.len()).map_err(|_| Error::TooManySegments)?;
        let segment = Arc::new(Segment::new(&self.shared_dir, id, slot));
        self.segments.push(Some(Arc::clone(&segment)));
        Ok(segment)
    }

    /// Removes segments that the published manifest does not name. One that stays does no harm.
    fn remove_orphans(&mut self, ids: &[u32]) {
        for &id in ids {
            let _ = self
                .storage
                .unlink(&self.dir.join(crate::format::segment::file_name(id)));
            if id < IMPOSSIBLE_ID {
                self.manifest.next_segment = self.manifest.next_segment.max(id + 1);
            }
        }
    }
}
