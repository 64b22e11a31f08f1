//! Traversal in the order of the keys, forward and backward.
//!
//! A place in the order is a key, present or not, so whatever happens to the table between two steps, the next one goes on
//! with what comes behind the last key that was seen.

use std::ops::ControlFlow;

use crate::epoch;

use super::OrderedKeydir;
use crate::keydir::{BATCH_BYTES, Batch, Location, Next, Span};

impl OrderedKeydir {
    /// The first entry of the span, expired or not; its stored key, suffix included, replaces what is in `key`. Costs O(log n).
    pub fn next(&self, span: &Span<'_>, key: &mut Vec<u8>) -> Option<Next> {
        let mut found = None;
        let guard = epoch::pin();
        self.tree.walk(span, &guard, |node| {
            let compared = node.key.compared();
            let content = node.cell.read(&node.key, &guard);
            key.clear();
            key.extend_from_slice(compared);
            key.extend_from_slice(content.suffix);
            found = Some(Next {
                compared: compared.len(),
                location: content.location,
                deadline: content.deadline,
            });
            ControlFlow::Break(())
        });
        found
    }

    /// Appends the first entries of the span, expired ones too, to `out`, at most `limit` and fewer when the keys are long. `true` if there may
    /// be more. An entry that is there all the time is not missed. Costs O(log n + limit).
    pub fn scan(&self, span: &Span<'_>, limit: usize, out: &mut Batch) -> bool {
        if limit == 0 {
            return true;
        }
        let full = out.len() + limit;
        let bytes_max = out.key_bytes() + BATCH_BYTES;
        let guard = epoch::pin();
        self.tree.walk(span, &guard, |node| {
            let content = node.cell.read(&node.key, &guard);
            out.push_parts(
                0,
                node.key.compared(),
                content.suffix,
                content.location,
                content.deadline,
            );
            if out.len() < full && out.key_bytes() < bytes_max {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })
    }

    /// Appends the locations of what [`OrderedKeydir::scan`] would give. `true` if there may be more.
    pub fn locations(&self, span: &Span<'_>, limit: usize, out: &mut Vec<Location>) -> bool {
        let full = out.len().saturating_add(limit);
        let guard = epoch::pin();
        out.len() == full
            || self.tree.walk(span, &guard, |node| {
                out.push(node.cell.read(&node.key, &guard).location);
                if out.len() < full {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })
    }
}
