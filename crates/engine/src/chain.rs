//! One number for a sequence: each item is hashed together with the number before it, so that the number alone is all
//! that has to be kept to go on.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain(u64);

impl Chain {
    pub(crate) fn add(&mut self, item: &impl Hash) {
        let mut bytes = Bytes(SmallVec::new());
        item.hash(&mut bytes);
        self.0 = xxh3_64_with_seed(&bytes.0, self.0);
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }
}

/// What an item feeds a hasher.
struct Bytes(SmallVec<[u8; 256]>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        xxh3_64_with_seed(&self.0, 0)
    }
}
