//! The alphabet: every noun the core speaks, defined once.
//!
//! Prices are whole [`Ticks`], quantities whole [`Lots`], time is [`Nanos`], money is integer [`Cash`].
//! Mixing them does not compile. Floats appear only in signals, quoting and statistics, which are not here.

mod instrument;
mod messages;
mod units;

pub use instrument::{ContractKind, FeeSchedule, FeeTier, Instrument, InstrumentError, RATE_SCALE};
pub use messages::{
    Command, Event, InstrumentId, Level, NO_ASK, NO_BID, OrderId, OrderRequest, RejectReason, Tif, Touch,
};
pub use units::{CASH_SCALE, Cash, Lots, Nanos, Side, Step, StepError, Ticks};
