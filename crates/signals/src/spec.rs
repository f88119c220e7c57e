//! What can be asked for.

use mmbot_types::Nanos;

use crate::BarField;

/// One measure that a strategy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalSpec {
    /// Size-weighted mid, in ticks.
    Microprice,
    /// Queue imbalance at the touch, −1 to 1.
    Imbalance,
    /// Order-flow imbalance at the touch, in lots, each change counting half after a half-life.
    OrderFlowImbalance {
        /// After which a change counts half.
        half_life: Nanos,
    },
    /// Bought minus sold lots of public trades, by aggressor, each counting half after a half-life.
    TradeFlow {
        /// After which a trade counts half.
        half_life: Nanos,
    },
    /// Volatility of the log mid per √second, exponentially averaged over time.
    EwmaVolatility {
        /// After which an observation counts half.
        half_life: Nanos,
        /// Least time between two prices.
        sample: Nanos,
    },
    /// Volatility of the log mid per √second over a window: √(Σr² / elapsed).
    RealisedVolatility {
        /// How far back.
        window: Nanos,
        /// Least time between two prices.
        sample: Nanos,
    },
    /// As realised volatility, with the bounce of the touch taken out by two time scales.
    TwoScaleVolatility {
        /// How far back.
        window: Nanos,
        /// Least time between two prices of the fast scale.
        sample: Nanos,
        /// Fast steps per slow step, at least 2.
        subsamples: u32,
    },
    /// One number of the last finished bar of trades.
    Bar {
        /// Length of the bar.
        interval: Nanos,
        /// Which number.
        field: BarField,
    },
}
