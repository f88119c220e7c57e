//! The journal: what was heard, what was decided and what was asked, written down before it is done.
//!
//! ```text
//! segment head │ record │ record │ … │ segment head │ record │ …       append-only, one writer
//! record = len · crc32c · seq · time · kind · version · chain · payload
//! chain  = BLAKE3(this record with the chain of the one before), for a segment's first: with the hash of its head
//! ```
//! An edit, a swap, a deletion or an insertion breaks the chain from there on; who keeps the last chain value (the
//! *head*, an **anchor**) can tell a shortened journal too, and one that was written anew with a chain that fits. A
//! segment's head names its number, its first record and the chain before it, so that a segment that is missing or
//! comes from elsewhere is found. Version 1 (one segment, xxh3-128 as the chain) is still read.
//!
//! Room is set aside ahead of what is written, and a reserve behind it: a full disk is met by a wake, which is refused,
//! and the way out is still written down ([`JournalError::Full`]). A write or a sync that failed is the end
//! ([`JournalError::Dead`]). A torn end is cut off only where an anchor proves that nothing is lost
//! ([`cut_torn_end`]).
//!
//! Market data is not copied. The runtime gives every input a strictly later time than the one before, and stamps
//! frames so that what lies on a tape with `ts_recv` ≤ an entry's time is exactly what had been heard by then: **an
//! entry's time is the reference into the tapes**. A wake also counts the messages heard, so that a tape that does not
//! fit is found at the first wake.
//!
//! Not handled here: where anchors are kept and who signs them (`python/mmbot/guardian/anchors.py`); a second
//! copy elsewhere.

mod check;
mod entry;
mod frame;
mod reader;
mod sim_disk;
mod writer;

pub use check::Difference;
pub use entry::{Entry, Heard, Kind, Reasons};
pub use frame::MAX_PAYLOAD;
pub use reader::{Fault, Reader, Record, Tail, cut_torn_end};
pub use sim_disk::{DiskCall, DiskError, SimDisk};
pub use writer::{Disk, Journal, JournalError, Segments};
