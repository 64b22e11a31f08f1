//! Which VM a local pid, port or reference was made by.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::source::Creator;

/// The name that a VM without distribution gives itself.
pub const NO_NODE: &str = "nonode@nohost";

/// Who this VM says it is at the moment; it changes when distribution starts or stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The node's name.
    pub name: String,
    /// Its creation.
    pub creation: u32,
}

/// The incarnations of VMs whose local terms have been met: this one, and earlier ones.
///
/// A local term of an earlier incarnation comes back as one of `nonode@nohost` with a creation that is not zero, which
/// equals no live local term. Which creation stands for which marker is kept for the life of the VM, so that such a
/// term, used as a key, finds what it was read from.
#[derive(Debug)]
pub struct Incarnations {
    own: u64,
    earlier: RwLock<Earlier>,
}

#[derive(Debug, Default)]
struct Earlier {
    creations: HashMap<u64, u32>,
    markers: HashMap<u32, u64>,
}

impl Incarnations {
    /// With the marker of this VM's incarnation, a number that no other start of a VM has.
    pub fn new(own: u64) -> Self {
        Incarnations {
            own,
            earlier: RwLock::default(),
        }
    }

    /// This VM's marker.
    pub fn own(&self) -> u64 {
        self.own
    }

    /// The creator of a term as the VM names it.
    pub fn creator<'a>(&self, name: &'a str, creation: u32, home: &Home) -> Creator<'a> {
        if creation == home.creation && name == home.name {
            return Creator::Local(self.own);
        }
        self.foreign(name, creation)
    }

    /// The creator of a term that is known not to be of this VM.
    pub fn foreign<'a>(&self, name: &'a str, creation: u32) -> Creator<'a> {
        if creation != 0
            && name == NO_NODE
            && let Some(&marker) = self.earlier.read().markers.get(&creation)
        {
            return Creator::Local(marker);
        }
        Creator::Node { name, creation }
    }

    /// The name and creation to give to the VM for a creator that is not this VM; `None` if it is.
    pub fn foreign_name<'a>(&self, creator: Creator<'a>) -> Option<(&'a str, u32)> {
        match creator {
            Creator::Local(marker) if marker == self.own => None,
            Creator::Local(marker) => Some((NO_NODE, self.creation_of(marker))),
            Creator::Node { name, creation } => Some((name, creation)),
        }
    }

    fn creation_of(&self, marker: u64) -> u32 {
        if let Some(&creation) = self.earlier.read().creations.get(&marker) {
            return creation;
        }
        let mut earlier = self.earlier.write();
        if let Some(&creation) = earlier.creations.get(&marker) {
            return creation;
        }
        let mut creation = ((marker >> 32) as u32 ^ marker as u32).max(1);
        while earlier.markers.contains_key(&creation) {
            creation = creation.wrapping_add(1).max(1);
        }
        earlier.creations.insert(marker, creation);
        earlier.markers.insert(creation, marker);
        creation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_of_an_earlier_incarnation_keeps_its_marker() {
        let incarnations = Incarnations::new(7);
        let home = Home {
            name: NO_NODE.into(),
            creation: 0,
        };
        // Two markers that fold to one creation, and one that folds to zero.
        for marker in [
            0x0000_0001_0000_0002,
            0x0000_0002_0000_0001,
            0x0000_0005_0000_0005,
        ] {
            let (name, creation) = incarnations.foreign_name(Creator::Local(marker)).unwrap();
            assert_ne!(creation, 0);
            assert_eq!(
                incarnations.creator(name, creation, &home),
                Creator::Local(marker)
            );
        }
    }

    #[test]
    fn local_terms_follow_the_name_of_the_node() {
        let incarnations = Incarnations::new(7);
        let before = Home {
            name: NO_NODE.into(),
            creation: 0,
        };
        let after = Home {
            name: "a@b".into(),
            creation: 9,
        };
        assert_eq!(incarnations.creator(NO_NODE, 0, &before), Creator::Local(7));
        assert_eq!(incarnations.creator("a@b", 9, &after), Creator::Local(7));
        assert_eq!(incarnations.foreign_name(Creator::Local(7)), None);
        assert!(matches!(
            incarnations.creator("a@b", 8, &after),
            Creator::Node { .. }
        ));
        assert!(matches!(
            incarnations.creator(NO_NODE, 5, &before),
            Creator::Node { .. }
        ));
    }
}
