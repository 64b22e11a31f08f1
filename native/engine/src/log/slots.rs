//! The slots of segments, by which locations name them.
//!
//! A slot that a location has named may still be held by a reader that looked into the keydir a while ago, and by the value cache. So slots are
//! given one after the other, and used a second time only once most of them are used up: the oldest ones first, when no reader holds their segment
//! any more and the cache has forgotten it.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::{Log, Maintenance};
use crate::format::segment::file_name;
use crate::segment::hint::path as hint_path;
use crate::segment::{Segment, Segments};
use crate::{Error, Result};

/// From so many slots on, old ones are used again.
const MANY: usize = if cfg!(test) { 64 } else { 1 << 15 };

/// Slots to be used again.
#[derive(Debug, Default)]
pub struct Slots {
    /// At once: no location names them.
    free: Vec<u16>,
    /// Some time, the oldest first.
    retired: VecDeque<(u16, Weak<Segment>)>,
}

impl Log {
    /// A segment with an id and a slot of its own, of which nobody knows yet. The id is used up even if no file can be made: no id ever names two
    /// files.
    pub(super) fn next_segment(&self, maintenance: &mut Maintenance) -> Result<Arc<Segment>> {
        let slot = match maintenance.slots.free.last() {
            Some(&slot) => slot,
            None => u16::try_from(self.segments.hold().len()).map_err(|_| Error::TooManySegments)?,
        };
        let id = maintenance.manifest.next_segment;
        maintenance.manifest.next_segment = id.checked_add(1).ok_or(Error::TooManySegments)?;
        Ok(Arc::new(Segment::new(&self.dir, id, slot)))
    }

    /// Lets locations name a segment.
    pub(super) fn put_segment(&self, maintenance: &mut Maintenance, segment: &Arc<Segment>) {
        let slot = usize::from(segment.slot);
        maintenance.slots.free.retain(|&free| free != segment.slot);
        let mut segments = Segments::clone(&self.segments.hold());
        segments.resize(segments.len().max(slot + 1), None);
        segments[slot] = Some(Arc::clone(segment));
        self.segments.replace(segments);
    }

    /// Removes a segment that the manifest does not name and no location ever named.
    pub(super) fn remove_unused(&self, maintenance: &mut Maintenance, segment: &Arc<Segment>) {
        self.remove_segment(maintenance, segment);
        maintenance.slots.free.push(segment.slot);
    }

    /// Removes a segment that is no part of the table any more, and to which no location in the keydir points. Readers that are in it finish. Its file
    /// stays if the manifest keeps it for snapshots.
    pub(super) fn remove_retired(&self, maintenance: &mut Maintenance, segment: &Arc<Segment>) {
        if maintenance.manifest.retired.contains(&segment.id) {
            self.forget_segment(maintenance, segment);
        } else {
            self.remove_segment(maintenance, segment);
        }
        let retired = (segment.slot, Arc::downgrade(segment));
        maintenance.slots.retired.push_back(retired);
    }

    fn remove_segment(&self, maintenance: &mut Maintenance, segment: &Arc<Segment>) {
        self.forget_segment(maintenance, segment);
        self.unlink_segment(segment.id);
    }

    /// Removes a segment's file, and its hint. One that stays is an orphan, which the next opening removes.
    pub(super) fn unlink_segment(&self, id: u32) {
        self.dir.with(|dir| {
            let _ = self.storage.unlink(&dir.join(file_name(id)));
            let _ = self.storage.unlink(&hint_path(dir, id));
        });
    }

    /// Who has the maintenance is the only one to change the list.
    fn forget_segment(&self, _maintenance: &mut Maintenance, segment: &Arc<Segment>) {
        segment.set_retired();
        let mut segments = Segments::clone(&self.segments.hold());
        if let Some(slot) = segments.get_mut(usize::from(segment.slot)) {
            *slot = None;
        }
        self.segments.replace(segments);
        self.handles.forget(segment);
        // The last one who has the segment may be a reader, who has no time for it.
        if let Some(blocks) = segment.blocks() {
            blocks.clear();
        }
    }

    /// If slots are running short, makes old ones free again after `forget` was called with them.
    pub fn reuse_slots(&self, forget: impl FnOnce(&[u16])) {
        let mut maintenance = self.maintenance.lock();
        let retired = &mut maintenance.slots.retired;
        if self.segments.hold().len() < MANY || retired.is_empty() {
            return;
        }
        let mut old = Vec::new();
        while let Some((slot, segment)) = retired.front()
            && segment.strong_count() == 0
        {
            old.push(*slot);
            retired.pop_front();
        }
        if !old.is_empty() {
            forget(&old);
            maintenance.slots.free.extend(old);
        }
    }
}
