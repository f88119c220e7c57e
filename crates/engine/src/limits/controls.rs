//! The numbers of the controls. What is left out is off; the caps at the end can only be lowered.

use mmbot_types::{Cash, Nanos};

/// No amount reaches it.
pub const UNBOUNDED: Cash = Cash(i128::MAX);

/// No order is worth more than a million in the quote currency, whatever is configured: a size that a person types by
/// mistake, and no size that this system was made for.
pub const ORDER_WORTH_HARD: Cash = Cash(1_000_000 * 1_000_000_000_000);

/// Nor do all positions of one run, worst case, exceed ten million.
pub const GROSS_WORTH_HARD: Cash = Cash(10_000_000 * 1_000_000_000_000);

/// What an order and its instrument are held against, beside the [`Limits`](super::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Controls {
    /// On the list of what may be traded.
    pub allowed: bool,
    /// Orders that may take are refused, but for those that shrink the position.
    pub maker: bool,
    /// Most that one order may be worth.
    pub order_notional_max: Cash,
    /// Refuse what looks like a wrong unit.
    pub unit_shift: bool,
    /// Refuse an order like one that was sent within this time, whatever became of it; a post-only one only like one
    /// that still stands. Zero is off.
    pub duplicate_window: Nanos,
    /// Refuse an order that would meet our own.
    pub self_match: bool,
    /// Oldest message of the instrument, by our clock; zero is off.
    pub book_age_max: Nanos,
    /// Oldest book, by the venue's own time; zero is off.
    pub venue_age_max: Nanos,
    /// Oldest second reference price; zero: none is needed, and one that is there counts all the same.
    pub reference_age_max: Nanos,
    /// How far beyond the second reference a price may be on the aggressive side, in basis points.
    pub reference_collar_bps: u32,
    /// Oldest word on the entry price of what is held, which stops are measured by; zero: there is no stop.
    pub entry_age_max: Nanos,
    /// Most that the worst-case position may be worth.
    pub notional_max: Cash,
    /// Most orders that are not settled.
    pub orders_max: u32,
    /// Most that open orders may be worth.
    pub open_notional_max: Cash,
    /// Requests for one execution within a day of UTC; zero is off.
    pub orders_per_trade_max: u32,
    /// Requests of a day before the ratio is looked at.
    pub orders_free: u32,
}

impl Default for Controls {
    /// All off.
    fn default() -> Self {
        Self {
            allowed: true,
            maker: false,
            order_notional_max: UNBOUNDED,
            unit_shift: false,
            duplicate_window: Nanos::ZERO,
            self_match: false,
            book_age_max: Nanos::ZERO,
            venue_age_max: Nanos::ZERO,
            reference_age_max: Nanos::ZERO,
            reference_collar_bps: u32::MAX,
            entry_age_max: Nanos::ZERO,
            notional_max: UNBOUNDED,
            orders_max: u32::MAX,
            open_notional_max: UNBOUNDED,
            orders_per_trade_max: 0,
            orders_free: 0,
        }
    }
}

/// What strategy, account and firm are held against: worst cases worth, in the quote currency.
///
/// Known limitation: quote currencies are taken to be worth the same, as USD, USDT and USDC nearly are; the depeg watch
/// looks after the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// New orders per second, over all instruments.
    pub creates_per_second_max: u32,
    /// New orders and amends per second, over all instruments.
    pub requests_per_second_max: u32,
    /// Sum over the strategy's instruments.
    pub strategy_notional_max: Cash,
    /// With what the account has elsewhere.
    pub account_gross_max: Cash,
    /// Likewise, longs against shorts.
    pub account_net_max: Cash,
    /// Most instruments with a position, worst case: one that only has orders counts.
    pub positions_max: u32,
    /// With what other accounts have.
    pub firm_gross_max: Cash,
    /// Likewise, longs against shorts.
    pub firm_net_max: Cash,
    /// How old the word on what the account has elsewhere may be; zero: nobody else trades there, none is needed.
    pub account_elsewhere_age_max: Nanos,
    /// Likewise for the firm.
    pub firm_elsewhere_age_max: Nanos,
    /// How old the word on the account's free margin may be; zero: nobody looks at it.
    pub margin_age_max: Nanos,
    /// How old the price may be by which a position is valued; zero is off.
    pub mark_age_max: Nanos,
    /// Cap on one order's worth: takes effect below [`ORDER_WORTH_HARD`] only.
    pub order_worth_cap: Cash,
    /// Cap on the run's gross worst case: takes effect below [`GROSS_WORTH_HARD`] only.
    pub gross_worth_cap: Cash,
}

impl Default for Bounds {
    /// All off, but for the caps that no configuration can lift.
    fn default() -> Self {
        Self {
            creates_per_second_max: u32::MAX,
            requests_per_second_max: u32::MAX,
            strategy_notional_max: UNBOUNDED,
            account_gross_max: UNBOUNDED,
            account_net_max: UNBOUNDED,
            positions_max: u32::MAX,
            firm_gross_max: UNBOUNDED,
            firm_net_max: UNBOUNDED,
            account_elsewhere_age_max: Nanos::ZERO,
            firm_elsewhere_age_max: Nanos::ZERO,
            margin_age_max: Nanos::ZERO,
            mark_age_max: Nanos::ZERO,
            order_worth_cap: ORDER_WORTH_HARD,
            gross_worth_cap: GROSS_WORTH_HARD,
        }
    }
}

impl Bounds {
    /// The caps that hold: what is attested, or what is compiled in where that is less.
    #[must_use]
    pub fn caps(&self) -> (Cash, Cash) {
        (self.order_worth_cap.min(ORDER_WORTH_HARD), self.gross_worth_cap.min(GROSS_WORTH_HARD))
    }

    /// Something is summed up beyond one instrument.
    pub(super) fn needs_marks(&self) -> bool {
        [
            self.strategy_notional_max,
            self.account_gross_max,
            self.account_net_max,
            self.firm_gross_max,
            self.firm_net_max,
        ]
        .iter()
        .any(|max| *max != UNBOUNDED)
    }
}
