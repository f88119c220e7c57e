//! The worst that may still happen, summed over everything that is not proven dead.

use mmbot_types::{CASH_SCALE, ContractKind, Instrument, InstrumentId, Lots, Side, Ticks};
use smallvec::SmallVec;

use crate::orders::{Op, Orders};

/// How lots become money, in the quote currency.
#[derive(Clone, Debug)]
pub(super) enum Worth {
    /// Linear and spot on a grid that cash can show: units of cash per tick and lot.
    PerTickLot(i128),
    /// Inverse: a contract is worth so much whatever the price.
    PerLot(i128),
    /// Linear and spot on a finer grid.
    Rounded(Box<Instrument>),
}

impl Worth {
    pub(super) fn of(instrument: &Instrument) -> Self {
        let (lot, contract) = (&instrument.lot, &instrument.contract);
        match instrument.kind {
            ContractKind::Inverse => {
                let value = i128::from(lot.mantissa) * i128::from(contract.mantissa);
                let scale = lot.scale + contract.scale;
                Self::PerLot(if scale <= CASH_SCALE {
                    value * 10i128.pow(CASH_SCALE - scale)
                } else {
                    // Rounded up: a limit is never wider than it says.
                    (value + 10i128.pow(scale - CASH_SCALE) - 1) / 10i128.pow(scale - CASH_SCALE)
                })
            }
            ContractKind::Linear | ContractKind::Spot
                if instrument.tick.scale + lot.scale + contract.scale <= CASH_SCALE =>
            {
                Self::PerTickLot(instrument.notional(Ticks(1), Lots(1)).0)
            }
            ContractKind::Linear | ContractKind::Spot => Self::Rounded(Box::new(instrument.clone())),
        }
    }

    /// What so many lots are worth at a price; signed as `lots` is.
    #[inline]
    pub(super) fn value(&self, price: i64, lots: i64) -> i128 {
        match self {
            Self::PerTickLot(unit) => unit * i128::from(price) * i128::from(lots),
            Self::PerLot(unit) => unit * i128::from(lots),
            Self::Rounded(instrument) => instrument.notional(Ticks(price), Lots(lots)).0,
        }
    }
}

/// What may still trade of one instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exposure {
    /// Lots of orders that are out, buying and selling, and of a new one that may open a position.
    free: [i64; 2],
    /// Lots of a new reduce-only order: it shrinks the position to zero, and what else is out on its side trades too.
    reducing: [i64; 2],
    /// Orders that are not settled.
    pub(super) orders: u32,
    /// What they are worth, each at its worse price.
    pub(super) open_worth: i128,
}

const fn at(side: Side) -> usize {
    match side {
        Side::Buy => 0,
        Side::Sell => 1,
    }
}

impl Exposure {
    /// The same, and so many lots more on a side.
    #[must_use]
    pub(super) fn with(mut self, side: Side, reduce_only: bool, lots: i64) -> Self {
        let sums = if reduce_only { &mut self.reducing } else { &mut self.free };
        sums[at(side)] = sums[at(side)].saturating_add(lots);
        self
    }

    /// The position if everything on a side trades that may, and nothing on the other.
    #[must_use]
    pub(super) fn worst(&self, position: Lots, side: Side) -> i64 {
        let sign = side.sign();
        let reducible = (-sign * position.0).max(0);
        let traded = self.free[at(side)].saturating_add(self.reducing[at(side)].min(reducible));
        position.0.saturating_add(sign * traded)
    }

    /// The largest position, either way, that may come of it.
    #[must_use]
    pub(super) fn largest(&self, position: Lots) -> i64 {
        self.worst(position, Side::Buy).max(-self.worst(position, Side::Sell))
    }
}

/// Each instrument's exposure, in one pass over the orders.
pub(super) fn exposures(orders: &Orders, worths: &[Worth]) -> SmallVec<[Exposure; 4]> {
    let mut sums: SmallVec<[Exposure; 4]> = SmallVec::from_elem(Exposure::default(), worths.len());
    for order in orders.iter() {
        let index = order.request.instrument.0 as usize;
        let lots = order.exposure().0;
        let sum = &mut sums[index];
        // A reduce-only order that is out counts in full: it may have traded against a larger position than is booked
        // by now, because other fills of its side were heard before its own.
        *sum = sum.with(order.request.side, false, lots);
        sum.orders += 1;
        sum.open_worth += worths[index].value(order.prices().1.0, lots);
    }
    sums
}

/// Whether an order would meet one of ours: one on its way out is no hindrance, for its cancel left before.
pub(super) fn meets_ours(orders: &Orders, instrument: InstrumentId, side: Side, price: Ticks) -> bool {
    orders.side(instrument, side.opposite()).any(|order| {
        let (low, high) = order.prices();
        let crosses = if side == Side::Buy { price >= low } else { price <= high };
        crosses && !order.life.is_terminal() && order.op != Op::Cancel
    })
}
