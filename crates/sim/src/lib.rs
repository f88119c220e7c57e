//! The physical laws of a simulated venue, one file each.
//!
//! - `matching`: orders of several parties meet in price-time priority.
//! - `floor`: recorded liquidity and clients' orders in one such book; the exchange server stands on it.
//! - `queue`: where a resting order of ours stands in a recorded market that does not know it.
//! - `latency`, `fees`: how long a message is under way, what a fill costs.
//! - `public`: the recorded market at the venue's own time.
//! - `venue`: our orders meet that market.
//! - `predict`: orders that a real venue had, judged by these laws.

mod fees;
mod floor;
mod latency;
mod matching;
mod predict;
mod public;
mod queue;
mod venue;
mod watch;

pub use fees::FeeMeter;
pub use floor::{Cancels, Cursor, Depth, Floor, FloorError, Hit, Outcome, PUBLIC, PlayError, Played};
pub use latency::{LatencyError, LatencyModel};
pub use matching::{Execution, Fill, LimitOrder, MatchError, MatchingBook, SelfTrade};
pub use predict::{PredictError, predict};
pub use public::{LocalBook, PublicView, Records, apply};
pub use queue::{EXPONENT_MAX, QueueModel, QueueModelError, QueuePosition};
pub use venue::{FillRule, Laws, Response, Rested, Venue, VenueListing};
