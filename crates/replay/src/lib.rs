//! The drivers of the engine. In a batch: recorded tapes, a simulated venue and engines, moved together from wake to
//! wake.
//!
//! ```text
//! while let Some(wake) = replay.next_wake()? {       // venue to T, then what we have heard to T, then answers
//!     for strategy in wake { replay.decide(strategy, intent) }   // intents become commands, on their way to the venue
//! }
//! ```
//! One pass serves any number of configurations: the public book is the same for all, each has its own orders and
//! ledger. Live: one engine on tapes that still grow, and facts from a venue ([`Live`]).

mod estimate;
mod executions;
mod feed;
mod join_touch;
mod live;
mod opening;
mod record;
mod recovery;
mod replay;
mod seat;

pub use estimate::{Estimates, Heard};
pub use feed::{Feed, FeedLatency, Tally};
pub use join_touch::JoinTouch;
pub use live::{Execution, Live, LiveError, LiveListing, Moved};
pub use opening::OpeningError;
pub use record::{FillRecord, OrderRecord, Recorder, Sample};
pub use recovery::{RecoverError, Recovered, recover, take_over};
pub use replay::{Listing, Plan, Replay, ReplayError, Woken};
pub use seat::{Seat, WakeRule};
