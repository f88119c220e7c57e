//! The physical laws of a simulated venue, one file each.

mod fees;
mod latency;
mod public;
pub mod queue;
mod venue;
mod watch;

pub use fees::FeeMeter;
pub use latency::{LatencyError, LatencyModel};
pub use public::{LocalBook, PublicView, apply, levels_of};
pub use queue::{QueueModel, QueuePosition};
pub use venue::{FillRule, Laws, Response, Venue};
