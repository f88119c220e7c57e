//! One tradable thing at one venue: its grid, its contract, its fees.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{CASH_SCALE, Cash, Lots, Step, StepError, Ticks};

/// How price and quantity become money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContractKind {
    /// Value = price × quantity, in the quote currency (USDT- or USDC-settled futures).
    Linear,
    /// Value = quantity × contract value / price, in the base currency (coin-settled futures).
    Inverse,
    /// Value = price × quantity; the position is a balance of the base currency.
    Spot,
}

/// Fee rates are whole multiples of 10^-8 of the notional: 0.5 bp is 5,000.
pub const RATE_SCALE: u32 = 8;

/// Rates from a 30-day volume upward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeTier {
    /// Traded notional of the last 30 days from which the tier holds.
    pub volume_from: Cash,
    /// Maker rate in 10^-8; negative is a rebate.
    pub maker: i64,
    /// Taker rate in 10^-8.
    pub taker: i64,
}

/// Fee tiers by volume, lowest first; the first starts at zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeSchedule {
    tiers: Vec<FeeTier>,
}

/// Why an instrument's terms make no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InstrumentError {
    /// A tick, lot or contract value that is no positive decimal.
    #[error("{field}: {source}")]
    Step {
        /// Which of them.
        field: &'static str,
        /// Why.
        #[source]
        source: StepError,
    },
    /// Tiers missing, unsorted, or not starting at zero volume.
    #[error("fee tiers must start at volume 0 and rise strictly: {0}")]
    Tiers(String),
    /// A rate of 100 % or more is a mistake of unit.
    #[error("fee rate {0}e-8 is outside ±1e8 (100 %)")]
    Rate(i64),
}

impl FeeSchedule {
    /// Tiers as given.
    ///
    /// # Errors
    /// [`InstrumentError::Tiers`] unless they start at zero and rise strictly, [`InstrumentError::Rate`] for a rate
    /// beyond 100 %.
    pub fn new(tiers: Vec<FeeTier>) -> Result<Self, InstrumentError> {
        if tiers.first().is_none_or(|tier| tier.volume_from != Cash::ZERO) {
            return Err(InstrumentError::Tiers("first tier is missing or above zero".into()));
        }
        if let Some(pair) = tiers.windows(2).find(|pair| pair[0].volume_from >= pair[1].volume_from) {
            return Err(InstrumentError::Tiers(format!("{} then {}", pair[0].volume_from, pair[1].volume_from)));
        }
        if let Some(rate) = tiers.iter().flat_map(|t| [t.maker, t.taker]).find(|rate| rate.abs() >= 100_000_000) {
            return Err(InstrumentError::Rate(rate));
        }
        Ok(Self { tiers })
    }

    /// One tier: `maker` and `taker` in 10^-8.
    ///
    /// # Errors
    /// [`InstrumentError::Rate`] for a rate beyond 100 %.
    pub fn flat(maker: i64, taker: i64) -> Result<Self, InstrumentError> {
        Self::new(vec![FeeTier { volume_from: Cash::ZERO, maker, taker }])
    }

    /// The tier for a 30-day volume.
    #[must_use]
    pub fn tier(&self, volume: Cash) -> &FeeTier {
        let above = self.tiers.partition_point(|tier| tier.volume_from <= volume);
        &self.tiers[above.max(1) - 1]
    }

    /// All tiers.
    #[must_use]
    pub fn tiers(&self) -> &[FeeTier] {
        &self.tiers
    }
}

/// An instrument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// The venue's name for itself, lower case.
    pub venue: String,
    /// The venue's name for the instrument.
    pub symbol: String,
    /// Contract.
    pub kind: ContractKind,
    /// Minimum price step.
    pub tick: Step,
    /// Minimum size step (contracts for an inverse one).
    pub lot: Step,
    /// Value of one unit of quantity: 1 for spot and most linear contracts, e.g. 100 USD for a COIN-M BTC contract.
    pub contract: Step,
    /// Fees.
    pub fees: FeeSchedule,
}

/// `numerator / denominator`, rounded half to even. The denominator is positive.
fn divide_half_even(numerator: i128, denominator: i128) -> i128 {
    let (quotient, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
    match (2 * rest).cmp(&denominator) {
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
        std::cmp::Ordering::Less => quotient,
    }
}

fn power10(exponent: u32) -> i128 {
    10i128.pow(exponent)
}

impl Instrument {
    /// The notional of `qty` at `price`: quote currency for linear and spot, base currency for inverse; signed as `qty`
    /// is.
    ///
    /// Exact for linear and spot while tick, lot and contract have at most [`CASH_SCALE`] decimals together; otherwise
    /// rounded half to even.
    #[must_use]
    pub fn notional(&self, price: Ticks, qty: Lots) -> Cash {
        let (tick, lot, contract) = (&self.tick, &self.lot, &self.contract);
        let size = i128::from(qty.0) * i128::from(lot.mantissa) * i128::from(contract.mantissa);
        match self.kind {
            ContractKind::Linear | ContractKind::Spot => {
                let product = size * i128::from(price.0) * i128::from(tick.mantissa);
                let scale = tick.scale + lot.scale + contract.scale;
                if scale <= CASH_SCALE {
                    Cash(product * power10(CASH_SCALE - scale))
                } else {
                    Cash(divide_half_even(product, power10(scale - CASH_SCALE)))
                }
            }
            ContractKind::Inverse => {
                // size/10^(lot+contract scales) ÷ price·tick/10^tick scale, in units of 10^-CASH_SCALE
                let up = CASH_SCALE + tick.scale;
                let down = lot.scale + contract.scale;
                let price = i128::from(price.0) * i128::from(tick.mantissa);
                if up >= down {
                    Cash(divide_half_even(size * power10(up - down), price))
                } else {
                    Cash(divide_half_even(size, price * power10(down - up)))
                }
            }
        }
    }

    /// What the account's cash changes by when `qty` (signed: a buy is positive) trades at `price`.
    ///
    /// Linear and spot: cash goes out for a buy. Inverse: a long contract is short the coin, so its coin value comes
    /// in.
    #[must_use]
    pub fn cash_flow(&self, price: Ticks, qty: Lots) -> Cash {
        match self.kind {
            ContractKind::Linear | ContractKind::Spot => -self.notional(price, qty),
            ContractKind::Inverse => self.notional(price, qty),
        }
    }

    /// The fee on `notional` (unsigned) at `rate` in 10^-8, rounded half to even; negative is a rebate.
    #[must_use]
    pub fn fee(&self, notional: Cash, rate: i64) -> Cash {
        Cash(divide_half_even(notional.0.abs() * i128::from(rate), power10(RATE_SCALE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instrument(kind: ContractKind, tick: &str, lot: &str, contract: &str) -> Instrument {
        Instrument {
            venue: "test".into(),
            symbol: "BTCUSD".into(),
            kind,
            tick: Step::parse(tick).unwrap(),
            lot: Step::parse(lot).unwrap(),
            contract: Step::parse(contract).unwrap(),
            fees: FeeSchedule::flat(-5_000, 40_000).unwrap(),
        }
    }

    #[test]
    fn a_linear_notional_is_exact() {
        let btc = instrument(ContractKind::Linear, "0.1", "0.001", "1");
        assert_eq!(btc.notional(Ticks(616_597), Lots(10)), Cash(616_597 * 10 * 100_000_000)); // 616.597 at 10^-12
        assert_eq!(btc.cash_flow(Ticks(616_597), Lots(10)), -btc.notional(Ticks(616_597), Lots(10)));
    }

    #[test]
    fn an_inverse_long_earns_coin_when_the_price_rises() {
        let coin = instrument(ContractKind::Inverse, "0.1", "1", "100");
        let bought = coin.cash_flow(Ticks(500_000), Lots(5));
        let sold = coin.cash_flow(Ticks(510_000), Lots(-5));
        assert_eq!(bought, Cash(10_000_000_000)); // 500 USD / 50,000 = 0.01 BTC
        assert!((bought + sold).0 > 0);
    }

    #[test]
    fn a_rebate_is_a_negative_fee_rounded_half_to_even() {
        let btc = instrument(ContractKind::Linear, "0.1", "0.001", "1");
        assert_eq!(btc.fee(Cash(1_000_000_000_000), -5_000), Cash(-50_000_000));
        assert_eq!([5, 15, 25, -5, -15].map(|n| divide_half_even(n, 10)), [0, 2, 2, 0, -2]);
    }

    #[test]
    fn the_tier_follows_the_volume() {
        let tiers = FeeSchedule::new(vec![
            FeeTier { volume_from: Cash(0), maker: 20_000, taker: 50_000 },
            FeeTier { volume_from: Cash(100), maker: -1_000, taker: 40_000 },
        ])
        .unwrap();
        assert_eq!([0, 99, 100, 5_000].map(|v| tiers.tier(Cash(v)).maker), [20_000, 20_000, -1_000, -1_000]);
        assert!(FeeSchedule::new(vec![]).is_err());
        assert!(FeeSchedule::flat(0, 100_000_000).is_err());
    }
}
