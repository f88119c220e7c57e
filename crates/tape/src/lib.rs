//! The recorded market: an immutable file of integer records, mapped and read in place.

mod layout;

pub use layout::{DepthMessage, FundingRecord, MessageKind, TradeMessage};
pub use mmbot_types::Level;
