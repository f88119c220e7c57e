//! The batch driver: recorded tapes, a simulated venue and engines, moved together from wake to wake.
//!
//! ```text
//! while let Some(wake) = replay.next_wake()? {       // venue to T, then what we have heard to T, then answers
//!     for strategy in wake { replay.decide(strategy, intent) }   // intents become commands, on their way to the venue
//! }
//! ```
//! One pass serves any number of configurations: the public book is the same for all, each has its own orders and
//! ledger.

mod estimate;
mod feed;
mod join_touch;
mod record;
mod replay;

pub use estimate::{Estimates, Heard};
pub use feed::{Feed, FeedLatency, Tally};
pub use join_touch::JoinTouch;
pub use record::{FillRecord, OrderRecord, Recorder, Sample};
pub use replay::{Listing, Plan, Replay, ReplayError, Seat, WakeRule, Woken};
