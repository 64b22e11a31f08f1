//! Checking an open table, step by step, while it is used.

use std::io::ErrorKind;
use std::sync::Arc;

use super::report::{Fault, Loss, Report};
use super::segment::{Bounds, SegmentCheck};
use crate::Result;
use crate::io::Storage;
use crate::keydir::Batch;
use crate::log::{Extent, Log};
use crate::segment::scan::Scanner;
use crate::table::{Cursor, TableKind};

/// What is left to check of an open table, as of the moment when the check began. [`Table::check`](crate::table::Table::check) goes on.
#[derive(Debug)]
pub struct Check {
    kind: TableKind,
    segments: std::vec::IntoIter<Extent>,
    segment: Option<SegmentCheck<'static>>,
    /// Where the reading of the keydir stands, which comes behind that of the segments.
    pub(crate) cursor: Cursor,
    /// What one step of that gathers.
    pub(crate) keys: Batch,
    report: Report,
}

impl Check {
    pub(crate) fn new(kind: TableKind, segments: Vec<Extent>) -> Self {
        Check {
            kind,
            segments: segments.into_iter(),
            segment: None,
            cursor: Cursor::default(),
            keys: Batch::new(),
            report: Report::of_objects(),
        }
    }

    /// What was found so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What was found.
    pub fn into_report(self) -> Report {
        self.report
    }

    /// Reads on in the segments for about so many bytes. `false` at their end.
    pub(crate) fn step(&mut self, storage: &dyn Storage, log: &Log, bytes: u64) -> Result<bool> {
        if self.segment.is_none() {
            let Some(extent) = self.segments.next() else {
                return Ok(false);
            };
            self.segment = self.open(storage, log, &extent)?;
        }
        if let Some(segment) = &mut self.segment
            && !segment.step(bytes, &mut self.report, &mut |_, _| Ok(()))?
        {
            self.segment = None;
        }
        Ok(true)
    }

    fn open(
        &mut self,
        storage: &dyn Storage,
        log: &Log,
        extent: &Extent,
    ) -> Result<Option<SegmentCheck<'static>>> {
        let segment = &extent.segment;
        let path = segment.path();
        let file = match segment.open(storage) {
            Ok(file) => file,
            // It went away as it should: what is live of it stands elsewhere and is read by its key.
            Err(_)
                if !log
                    .segment(segment.slot)
                    .is_some_and(|now| Arc::ptr_eq(&now, segment)) =>
            {
                return Ok(None);
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let fault = Fault::new(&path, 0, 0, "the file is missing", Loss::Records);
                self.report.add(fault.missing(extent.first_seq, extent.last_seq));
                return Ok(None);
            }
            Err(e) => return Err(crate::Error::io("open", &path, e)),
        };
        let len = file.len().map_err(|e| crate::Error::io("read", &path, e))?;
        let bounds = Bounds {
            end: extent.end,
            first_seq: extent.first_seq,
            last_seq: extent.last_seq,
        };
        let scanner = Scanner::new(file, segment.id, extent.end.min(len));
        Ok(Some(SegmentCheck::new(&path, self.kind, scanner, bounds, None)))
    }

    /// Counts an object that was read where the keydir says.
    pub(crate) fn count_object(&mut self) {
        self.report.objects = self.report.objects.map(|n| n + 1);
    }

    /// Adds a fault, unless the segment's turn told it already.
    pub(crate) fn add(&mut self, fault: Fault) {
        let known = |told: &Fault| told.offset == fault.offset && told.path == fault.path;
        if !self.report.faults.iter().any(known) {
            self.report.add(fault);
        }
    }
}
