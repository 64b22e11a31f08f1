//! How many bytes a table holds in the cache.
//!
//! An entry names the account of its table, which therefore must outlive the table, whose entries are freed some time later. Counting
//! references would write to one line with every record that comes and goes, so accounts live for ever instead: one whose table is gone serves
//! another table as soon as it is empty.

use crate::sync::{AtomicU64, Mutex, Ordering};

/// Writers of different records mostly write to different parts.
const PARTS: usize = 4;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Part(AtomicU64);

/// See the module.
#[derive(Debug, Default)]
pub struct Account([Part; PARTS]);

/// Accounts whose tables are gone.
static LEFT: Mutex<Vec<&'static Account>> = Mutex::new(Vec::new());

impl Account {
    /// An empty account for a table, to be given back by [`Account::leave`].
    pub fn open() -> &'static Account {
        let mut left = LEFT.lock();
        match left.iter().position(|account| account.bytes() == 0) {
            Some(at) => left.swap_remove(at),
            None => Box::leak(Box::default()),
        }
    }

    /// Gives the account back: its table is gone, and what is left in it only goes down.
    pub fn leave(&'static self) {
        LEFT.lock().push(self);
    }

    /// Adds the bytes of the entry at this address.
    pub fn add(&self, address: usize, bytes: u64) {
        self.part(address).fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes off what was added for the same entry.
    pub fn subtract(&self, address: usize, bytes: u64) {
        self.part(address).fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The bytes of all records. Exact when nobody writes.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|part| part.0.load(Ordering::Relaxed)).sum()
    }

    fn part(&self, address: usize) -> &AtomicU64 {
        &self.0[(address >> 8) % PARTS].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_serves_again_only_when_it_is_empty() {
        let first = Account::open();
        first.add(0x1234, 100);
        first.leave();
        let second = Account::open();
        assert!(
            !std::ptr::eq(first, second),
            "what the first holds is no concern of the second"
        );
        first.subtract(0x1234, 100);
        let again: Vec<_> = (0..100).map(|_| Account::open()).collect();
        assert!(again.iter().any(|account| std::ptr::eq(*account, first)));
        again.into_iter().chain([second]).for_each(Account::leave);
    }
}
