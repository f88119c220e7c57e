//! What a fill costs: the rate of the tier that the account's traded notional of the last 30 days has reached.
//!
//! Known limitation: venues recompute the tier once a day at a fixed hour; here it moves with the first fill of each
//! UTC day.

use std::collections::VecDeque;

use mmbot_types::{Cash, FeeTier, Instrument, Lots, Nanos, Ticks};

const DAY: i64 = 86_400_000_000_000;

/// The fee meter of one account at one instrument.
#[derive(Clone, Debug)]
pub struct FeeMeter {
    tier: FeeTier,
    /// Notional before the run that still counts, given by the user; it never expires in a run.
    volume_before: Cash,
    days: VecDeque<(i64, Cash)>,
}

impl FeeMeter {
    /// A meter for an account that comes with `volume_before` of traded notional.
    #[must_use]
    pub fn new(instrument: &Instrument, volume_before: Cash) -> Self {
        Self { tier: *instrument.fees.tier(volume_before), volume_before, days: VecDeque::new() }
    }

    /// The fee of a fill (negative: a rebate), and counts its notional towards the tier of later days.
    pub fn charge(&mut self, instrument: &Instrument, price: Ticks, qty: Lots, maker: bool, now: Nanos) -> Cash {
        let day = now.0.div_euclid(DAY);
        if self.days.back().is_none_or(|(last, _)| *last < day) {
            self.days.push_back((day, Cash::ZERO));
            while self.days.front().is_some_and(|(first, _)| *first <= day - 30) {
                self.days.pop_front();
            }
            let volume = self.volume_before + self.days.iter().map(|(_, volume)| *volume).sum();
            self.tier = *instrument.fees.tier(volume);
        }
        let notional = instrument.notional(price, qty.abs());
        if let Some((_, volume)) = self.days.back_mut() {
            *volume += notional;
        }
        instrument.fee(notional, if maker { self.tier.maker } else { self.tier.taker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmbot_types::{ContractKind, FeeSchedule, Step};

    /// Yesterday's volume moves the tier today, and is forgotten after thirty days.
    #[test]
    fn the_tier_moves_with_the_day() {
        let tiers = vec![
            FeeTier { volume_from: Cash::ZERO, maker: 20_000, taker: 50_000 },
            FeeTier { volume_from: Cash(1_000_000_000_000_000), maker: -5_000, taker: 30_000 }, // 1,000 quote
        ];
        let instrument = Instrument {
            venue: "test".into(),
            symbol: "X".into(),
            kind: ContractKind::Linear,
            tick: Step::parse("0.1").unwrap(),
            lot: Step::parse("1").unwrap(),
            contract: Step::parse("1").unwrap(),
            fees: FeeSchedule::new(tiers).unwrap(),
        };
        let mut meter = FeeMeter::new(&instrument, Cash::ZERO);
        let mut fee = |day: i64| meter.charge(&instrument, Ticks(1_000), Lots(20), true, Nanos(day * DAY)).0;
        assert_eq!([fee(0), fee(0)], [400_000_000_000, 400_000_000_000]); // 2,000 quote × 2 bp
        assert_eq!(fee(1), -100_000_000_000); // 2,000 quote × −0.5 bp
        assert_eq!(fee(40), 400_000_000_000);
    }
}
