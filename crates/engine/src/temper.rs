//! How boldly a strategy may quote: its sizes shrunk, its prices stepped back, whatever it wants.

use mmbot_types::{Lots, Side, Ticks};
use serde::{Deserialize, Serialize};

use crate::intent::Intent;

/// The whole of anything, in parts per million.
pub const WHOLE_PPM: u32 = 1_000_000;

/// What is done to the quotes of one instrument before they are compared with the orders that stand. Orders that a
/// strategy wants once are left as they are: they may be its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Temper {
    /// Share of each size, parts per million; above the whole is the whole.
    pub size_ppm: u32,
    /// By how much of its price each quote steps back, parts per million, rounded up to a tick.
    pub back_ppm: u32,
    /// No size is shrunk below this, for the venue takes no smaller order.
    pub least: Lots,
}

impl Temper {
    /// As the strategy wants it.
    pub const NONE: Self = Self { size_ppm: WHOLE_PPM, back_ppm: 0, least: Lots(0) };

    /// The quotes as they may stand.
    #[must_use]
    pub fn apply(self, intent: &Intent) -> Intent {
        let mut tempered = intent.clone();
        for quote in &mut tempered.quotes {
            let share = i128::from(self.size_ppm.min(WHOLE_PPM));
            let shrunk = i128::from(quote.qty.0) * share / i128::from(WHOLE_PPM);
            quote.qty = Lots(i64::try_from(shrunk).unwrap_or(0).max(self.least.0.max(1)).min(quote.qty.0));
            let whole = i128::from(WHOLE_PPM);
            let back = (i128::from(quote.price.0) * i128::from(self.back_ppm) + whole - 1) / whole;
            let back = i64::try_from(back).unwrap_or(i64::MAX);
            quote.price = Ticks(match quote.side {
                Side::Buy => quote.price.0.saturating_sub(back).max(1),
                Side::Sell => quote.price.0.saturating_add(back),
            });
        }
        tempered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::Quote;
    use proptest::prelude::*;

    fn quotes(pairs: &[(Side, i64, i64)]) -> Intent {
        let quotes = pairs.iter().map(|&(side, price, qty)| Quote { side, price: Ticks(price), qty: Lots(qty) });
        Intent { quotes: quotes.collect(), ..Intent::default() }
    }

    /// Half the size, a fifth of a basis point away: rounded towards less risk.
    #[test]
    fn sizes_shrink_and_prices_step_back() {
        let temper = Temper { size_ppm: 500_000, back_ppm: 20, least: Lots(0) };
        let wanted = quotes(&[(Side::Buy, 600_000, 5), (Side::Sell, 600_001, 5), (Side::Buy, 10, 1)]);
        let expected = quotes(&[(Side::Buy, 599_988, 2), (Side::Sell, 600_014, 2), (Side::Buy, 9, 1)]);
        assert_eq!(temper.apply(&wanted), expected);
    }

    /// The venue's smallest order stays one, and what was smaller already is not made larger.
    #[test]
    fn nothing_shrinks_below_what_the_venue_takes() {
        let temper = Temper { size_ppm: 100_000, back_ppm: 0, least: Lots(3) };
        let wanted = quotes(&[(Side::Buy, 100, 10), (Side::Buy, 99, 2), (Side::Sell, 101, 90)]);
        assert_eq!(temper.apply(&wanted), quotes(&[(Side::Buy, 100, 3), (Side::Buy, 99, 2), (Side::Sell, 101, 9)]));
    }

    proptest! {
        /// Never larger, never nearer, never nothing; without a temper, as it was.
        #[test]
        fn a_temper_only_takes_risk_away(
            price in 1..i64::MAX, qty in 1..i64::MAX, size_ppm in any::<u32>(), back_ppm in any::<u32>(),
            least in any::<i64>(),
        ) {
            let temper = Temper { size_ppm, back_ppm, least: Lots(least) };
            let wanted = quotes(&[(Side::Buy, price, qty), (Side::Sell, price, qty)]);
            let tempered = temper.apply(&wanted);
            let (buy, sell) = (tempered.quotes[0], tempered.quotes[1]);
            prop_assert!(buy.price.0 <= price && sell.price.0 >= price && buy.price.0 > 0);
            prop_assert!(0 < buy.qty.0 && buy.qty.0 <= qty && buy.qty == sell.qty);
            prop_assert_eq!(Temper::NONE.apply(&wanted), wanted);
        }
    }
}
