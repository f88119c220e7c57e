//! Bars from trades: open, high, low, close and volume of one interval of the clock.
//!
//! Intervals begin at whole multiples of their length since the epoch. An interval without a trade makes no bar.

use mmbot_types::Nanos;

use crate::TradeSeen;

/// One finished interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bar {
    /// When the interval began.
    pub start: Nanos,
    /// First price, in ticks.
    pub open: i32,
    /// Highest price, in ticks.
    pub high: i32,
    /// Lowest price, in ticks.
    pub low: i32,
    /// Last price, in ticks.
    pub close: i32,
    /// Traded quantity, in lots.
    pub volume: u64,
}

/// One number of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BarField {
    /// First price, in ticks.
    Open,
    /// Highest price, in ticks.
    High,
    /// Lowest price, in ticks.
    Low,
    /// Last price, in ticks.
    Close,
    /// Traded quantity, in lots.
    Volume,
}

impl Bar {
    /// One of its numbers.
    #[must_use]
    pub fn field(&self, field: BarField) -> f64 {
        match field {
            BarField::Open => f64::from(self.open),
            BarField::High => f64::from(self.high),
            BarField::Low => f64::from(self.low),
            BarField::Close => f64::from(self.close),
            BarField::Volume => self.volume as f64,
        }
    }
}

/// Builds bars trade by trade.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bars {
    interval: Nanos,
    open: Option<Bar>,
}

impl Bars {
    /// Bars of `interval`.
    ///
    /// # Panics
    /// If the interval is not positive: whoever declares it checks it.
    #[must_use]
    pub fn new(interval: Nanos) -> Self {
        assert!(interval > Nanos::ZERO, "a bar needs a positive interval, got {interval} ns");
        Self { interval, open: None }
    }

    /// Time has passed: the bar that is finished by `now`, once.
    pub fn advance(&mut self, now: Nanos) -> Option<Bar> {
        self.open.take_if(|bar| now.0 - bar.start.0 >= self.interval.0)
    }

    /// Takes a trade in, and returns the bar that it closed. A trade older than the open bar counts in the open bar.
    pub fn on_trade(&mut self, trade: &TradeSeen) -> Option<Bar> {
        let closed = self.advance(trade.ts);
        let (price, volume) = (trade.tick, u64::from(trade.lots));
        match &mut self.open {
            Some(bar) => {
                bar.high = bar.high.max(price);
                bar.low = bar.low.min(price);
                bar.close = price;
                bar.volume += volume;
            }
            None => {
                let start = Nanos(trade.ts.0 - trade.ts.0.rem_euclid(self.interval.0));
                self.open = Some(Bar { start, open: price, high: price, low: price, close: price, volume });
            }
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mmbot_types::Side;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Grouping the whole list by interval is the obvious twin of building bars one trade at a time.
        #[test]
        fn bars_equal_grouping_the_trades_by_interval(
            gaps in prop::collection::vec((0i64..40, 1i32..1_000, 1u32..50), 1..200), interval in 1i64..60
        ) {
            let (mut ts, mut bars, mut built) = (0, Bars::new(Nanos(interval)), Vec::new());
            let mut groups: BTreeMap<i64, Vec<(i32, u32)>> = BTreeMap::new();
            for (gap, tick, lots) in gaps {
                ts += gap;
                built.extend(bars.on_trade(&TradeSeen { ts: Nanos(ts), tick, lots, aggressor: Side::Buy }));
                groups.entry(ts / interval * interval).or_default().push((tick, lots));
            }
            built.extend(bars.advance(Nanos(ts + interval)));
            let expected: Vec<Bar> = groups.iter().map(|(start, trades)| Bar {
                start: Nanos(*start),
                open: trades[0].0,
                high: trades.iter().map(|t| t.0).max().unwrap(),
                low: trades.iter().map(|t| t.0).min().unwrap(),
                close: trades[trades.len() - 1].0,
                volume: trades.iter().map(|t| u64::from(t.1)).sum(),
            }).collect();
            prop_assert_eq!(built, expected);
            prop_assert_eq!(bars.advance(Nanos(ts + 10 * interval)), None);
        }
    }
}
