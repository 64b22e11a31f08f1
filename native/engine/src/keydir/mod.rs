//! The in-memory index: key to the place of its newest record.
