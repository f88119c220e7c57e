//! An engine's state as a value: what a run that takes over begins with.
//!
//! Not in it: limits, rules and the market, which are the new run's own; what a strategy wanted, which it says again.
//! What the limits counted and were told is in it, so that a restart loosens none.

use mmbot_ledger::{LedgerState, RestoreLedgerError};
use mmbot_types::Nanos;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::chain::Chain;
use crate::limits::{Kept, RequestMeter};
use crate::orders::Order;
use crate::temper::Temper;

/// See [`crate::Engine::snapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineState {
    /// Time of the last input.
    pub clock: Nanos,
    /// Number of the last order.
    pub last_id: u64,
    /// Not settled, oldest first.
    pub orders: Vec<Order>,
    /// Settled and remembered, in the order in which they settled.
    pub gone: Vec<Order>,
    /// The books.
    pub ledger: LedgerState,
    /// Requests of the running second, per instrument.
    pub meters: Vec<RequestMeter>,
    /// What else the limits counted and were told; none in a snapshot of version 1, which forgot it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// Per instrument; none in version 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tempers: Vec<Temper>,
    /// By number of the denial.
    pub denials: Vec<u64>,
    /// All events so far.
    pub events_seen: Chain,
    /// All commands so far.
    pub commands_sent: Chain,
}

/// Why no run can go on from a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// Its books do not fit.
    #[error(transparent)]
    Ledger(#[from] RestoreLedgerError),
    /// It contradicts itself.
    #[error("the snapshot contradicts itself: {0}; it was not written by mmbot, or it was changed")]
    Contradiction(&'static str),
}

impl EngineState {
    pub(crate) fn check(&self) -> Result<(), RestoreError> {
        let no = |what| Err(RestoreError::Contradiction(what));
        let instruments = self.ledger.len();
        let counted = self.kept.as_ref().is_none_or(|kept| kept.instruments() == instruments);
        if !counted || ![0, instruments].contains(&self.tempers.len()) {
            return no("its limits are of other instruments");
        }
        let mut all = self.orders.iter().chain(&self.gone);
        if all.any(|order| order.id.0 == 0 || order.id.0 > self.last_id) {
            return no("an order has a number that was never given");
        }
        let mut all = self.orders.iter().chain(&self.gone);
        if all.any(|order| usize::from(order.request.instrument.0) >= instruments || !order.is_sound()) {
            return no("an order has impossible numbers");
        }
        if self.orders.iter().any(Order::is_settled) || !self.gone.iter().all(Order::is_settled) {
            return no("a settled order is open, or an open one settled");
        }
        if !self.orders.is_sorted_by(|one, next| one.id < next.id) {
            return no("its orders are not in the order of their numbers");
        }
        Ok(())
    }
}
