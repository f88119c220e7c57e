//! The recorded market: an immutable file of integer records, mapped and read in place.
//!
//! [`TapeWriter`] or [`TapeBuilder`] makes a tape from messages in receive order; [`Tape`] reads it. A [`LiveTape`] can
//! be read while it is written, and survives its writer. The file format is
//! described in `docs/tape-format.md`, its records in the layout types, its two forms (open `.tape`, packed `.tapez`)
//! in [`pack`] and [`copy`].

mod archive;
mod error;
mod framer;
mod growth;
mod head;
mod layout;
mod live;
mod orders;
mod reader;
mod writer;

pub use archive::{copy, pack};
pub use error::TapeError;
pub use head::{BLOCK_BYTES, Counts, Section};
pub use layout::{DepthMessage, FundingRecord, MessageKind, OrderKind, OrderMessage, TradeMessage};
pub use live::{LiveTape, SyncPoint};
pub use mmbot_types::Level;
pub use orders::{OrderChange, PublicOrder};
pub use reader::Tape;
pub use writer::{TapeBuilder, TapeWriter};
