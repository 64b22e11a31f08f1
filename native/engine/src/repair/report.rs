//! What a check found, and what a repair did about it.

use std::path::{Path, PathBuf};

use crate::segment::read::explain;
use crate::{Error, Key, format::frame::Bad};

/// So many faults are listed; the rest is counted.
pub const MAX_FAULTS: usize = 10_000;
/// Keys are told as long as they have together not more bytes than this.
const MAX_KEY_BYTES: usize = 16 << 20;

/// What a fault costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// No record: what is damaged only describes others, or stands elsewhere too.
    Nothing,
    /// One record, whose key is known: after a repair the key (in a bag, the object) is absent, and no older value of it comes back.
    Object,
    /// Records whose keys are not known, or that must not be taken for written: older values of their keys may come back, and so may
    /// deleted keys.
    Records,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In which file.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// Over how many bytes; 0 if that is not known, or if bytes are missing there.
    pub len: u64,
    /// What is wrong.
    pub what: &'static str,
    /// The bytes of the record's key, suffix included, if the record is known, and how many of them are compared.
    pub key: Option<(Vec<u8>, usize)>,
    /// The seqs, first and last, of the records that this is about or, if [`Fault::loss`] is [`Loss::Records`], among which those
    /// are that are lost.
    pub seqs: Option<(u64, u64)>,
    /// What it costs.
    pub loss: Loss,
}

impl Fault {
    /// A fault of these bytes.
    pub fn new(path: &Path, offset: u64, len: u64, what: &'static str, loss: Loss) -> Self {
        Fault {
            path: path.to_path_buf(),
            offset,
            len,
            what,
            key: None,
            seqs: None,
            loss,
        }
    }

    pub(super) fn bad(path: &Path, offset: u64, len: u64, bad: Bad, loss: Loss) -> Self {
        Fault::new(path, offset, len, explain(bad), loss)
    }

    pub(super) fn about(mut self, key: Key<'_>, seq: u64) -> Self {
        self.key = Some((key.bytes().to_vec(), key.compared().len()));
        self.seqs = Some((seq, seq));
        self
    }

    pub(super) fn missing(mut self, first: u64, last: u64) -> Self {
        if first <= last {
            self.seqs = Some((first, last));
            self.loss = Loss::Records;
        }
        self
    }
}

/// Whether an error says what a check puts into its report: damaged or missing bytes.
pub fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Damaged { .. } | Error::Missing { .. })
}

/// The end of a repair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// It was a check only, or there was nothing to repair. Nothing was changed.
    #[default]
    Unchanged,
    /// What was damaged is in the quarantine, what could be read of it in fresh segments.
    Repaired,
    /// The mode does not allow for what would be lost. Nothing was changed.
    Refused,
}

/// What a check or a repair gives.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was done.
    pub status: Status,
    /// Segments that were looked at.
    pub segments: u64,
    /// Records that were read and are right: puts, deletes, clears.
    pub records: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Live objects that were read where the keydir says they stand, if the table is open.
    pub objects: Option<u64>,
    /// What is wrong, at most [`MAX_FAULTS`] of it.
    pub faults: Vec<Fault>,
    /// So many faults more.
    pub omitted: u64,
    /// The worst loss of all faults.
    pub worst: Option<Loss>,
    /// Hints and checkpoints that are of no use: files that save time only. The next opening does without them, and makes the hints anew.
    pub spoilt: Vec<Fault>,
    /// Files that a repair put into the quarantine.
    pub quarantined: Vec<PathBuf>,
    key_bytes: usize,
}

impl Report {
    /// An empty report that counts live objects too.
    pub(super) fn of_objects() -> Self {
        Report {
            objects: Some(0),
            ..Report::default()
        }
    }

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.worst.is_none()
    }

    /// Number of faults, listed or not.
    pub fn fault_count(&self) -> u64 {
        self.faults.len() as u64 + self.omitted
    }

    /// Adds a fault.
    pub fn add(&mut self, mut fault: Fault) {
        self.worst = self.worst.max(Some(fault.loss));
        if self.faults.len() == MAX_FAULTS {
            self.omitted += 1;
            return;
        }
        let key_len = fault.key.as_ref().map_or(0, |(key, _)| key.len());
        if self.key_bytes + key_len > MAX_KEY_BYTES {
            fault.key = None;
        } else {
            self.key_bytes += key_len;
        }
        self.faults.push(fault);
    }

    /// Adds a file that saves time only and is of no use.
    pub(super) fn add_spoilt(&mut self, fault: Fault) {
        self.spoilt.push(fault);
    }

    /// Adds an error that tells of damage, or gives it back.
    pub(super) fn add_error(&mut self, error: Error, loss: Loss) -> Result<(), Error> {
        match error {
            Error::Damaged { path, offset, what } => self.add(Fault::new(&path, offset, 0, what, loss)),
            Error::Missing { path } => self.add(Fault::new(&path, 0, 0, "the file is missing", loss)),
            other => return Err(other),
        }
        Ok(())
    }
}
