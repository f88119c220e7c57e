//! The physical laws of a simulated market, one file each.

mod matching;
mod queue;

pub use matching::{Execution, Fill, LimitOrder, MatchError, MatchingBook, SelfTrade};
pub use queue::{EXPONENT_MAX, QueueModel, QueueModelError, QueuePosition};
