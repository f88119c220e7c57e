//! The deterministic engine: facts in, commands out.
//!
//! ```text
//! intent ── minus working orders ──> wanted ── limits ──> commands
//! events ── join ──> orders ── executions ──> ledger
//! ```

mod chain;
mod engine;
mod intent;
mod limits;
mod market;
mod orders;
mod snapshot;
mod temper;

pub use engine::{Desk, Engine, EngineError, Input, Recorded};
pub use intent::{DifferRules, Intent, Quote, Wanted, differ};
pub use limits::{
    Approved, Bounds, Circle, Controls, Denial, Denials, Elsewhere, FreezeLevel, GROSS_WORTH_HARD, Keeper, Limits,
    Measure, ORDER_WORTH_HARD, Outside, Scope, Seen, Situation, Tier, UNBOUNDED,
};
pub use market::{Heard, Market};
pub use orders::{Adoption, Life, Op, Order, Orders, Owner};
pub use snapshot::{EngineState, RestoreError};
pub use temper::{Temper, WHOLE_PPM};
