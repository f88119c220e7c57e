//! The journal: what was heard, what was decided and what was asked, written down before it is done.
//!
//! ```text
//! segment head │ record │ record │ record │ …            append-only, one writer
//! record = len · crc32c · seq · time · kind · version · chain · payload
//! chain  = xxh3-128(this record with the chain of the one before)
//! ```
//! An edit, a swap, a deletion or an insertion breaks the chain from there on; who keeps the last chain value (the
//! *head*) can tell a shortened journal too. The hash is no cryptographic one: it finds accidents and careless hands,
//! not somebody who recomputes the whole chain and has the head replaced. Every segment begins with a head that names
//! its number, its first record and the chain before it, so that a journal may one day go on in a second file; today
//! it is one.
//!
//! Market data is not copied. The runtime gives every input a strictly later time than the one before, and stamps
//! frames so that what lies on a tape with `ts_recv` ≤ an entry's time is exactly what had been heard by then: **an
//! entry's time is the reference into the tapes**. A wake also counts the messages heard, so that a tape that does not
//! fit is found at the first wake.
//!
//! Not handled yet: rotation into several segments, anchors outside of the machine, signatures.

mod check;
mod entry;
mod frame;
mod reader;
mod sim_disk;
mod writer;

pub use check::Difference;
pub use entry::{Entry, Heard, Kind, Reasons};
pub use frame::MAX_PAYLOAD;
pub use reader::{Fault, Reader, Record, Tail};
pub use sim_disk::{DiskCall, DiskError, SimDisk};
pub use writer::{Disk, Journal, JournalError};
