//! Hard limits, judged on the worst that may still happen. Touching one denies the order; nothing retries.
//!
//! Worst-case position = position + everything on that side not proven dead (working, in flight, unknown, larger side
//! of an amend, executed but not booked). A cancel always passes, and an order that only shrinks the worst case is
//! never held back by a limit it does not worsen. Only this file can make an [`Approved`].

use mmbot_types::{Command, Lots, Nanos, OrderRequest, Side, Touch};

use serde::{Deserialize, Serialize};

use crate::orders::Orders;

/// Hard limits for one instrument of one strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Largest position either way, in lots, worst case.
    pub position_max: Lots,
    /// Most that one order may have left to trade, in lots.
    pub order_max: Lots,
    /// Most orders that are not settled, over all instruments of the strategy.
    pub open_orders_max: u32,
    /// A limit price may be this far from the touch on the aggressive side, in basis points.
    pub collar_bps: u32,
    /// New orders and amends per second.
    pub requests_per_second_max: u32,
}

/// Why an order was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Denial {
    /// Quantity zero or negative, or price not positive.
    Malformed,
    /// More left to trade than `order_max`.
    OrderSize,
    /// Worst-case position beyond `position_max`.
    Position,
    /// More than `open_orders_max`.
    OpenOrders,
    /// Beyond the collar, or no two-sided market to measure it against.
    Collar,
    /// Faster than `requests_per_second_max`.
    Rate,
}

impl Denial {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Malformed, Self::OrderSize, Self::Position, Self::OpenOrders, Self::Collar, Self::Rate];

    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::OrderSize => "order_size",
            Self::Position => "position",
            Self::OpenOrders => "open_orders",
            Self::Collar => "collar",
            Self::Rate => "rate",
        }
    }
}

/// A command that the limits let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approved<C>(C);

impl<C> Approved<C> {
    /// The command itself.
    #[must_use]
    pub fn into_inner(self) -> C {
        self.0
    }
}

/// Requests of the running second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestMeter {
    second: i64,
    count: u32,
}

impl RequestMeter {
    /// Counts one request.
    pub(crate) fn note(&mut self, now: Nanos) {
        let second = now.0.div_euclid(1_000_000_000);
        if second != self.second {
            *self = Self { second, count: 0 };
        }
        self.count += 1;
    }

    /// Counts one request; false when the second's budget is used up.
    fn admit(&mut self, now: Nanos, max: u32) -> bool {
        self.note(now);
        self.count <= max
    }
}

/// What the limits look at.
pub struct Situation<'a> {
    /// Now.
    pub now: Nanos,
    /// Local touch.
    pub touch: Touch,
    /// Booked position.
    pub position: Lots,
    /// Orders not settled.
    pub orders: &'a Orders,
}

impl Limits {
    /// The position if everything on the request's side that may still trade does, `added` lots of it included, and
    /// nothing on the other side. Reduce-only orders trade against the position alone: they shrink it to zero, and what
    /// else is working on their side then trades all the same.
    #[must_use]
    pub fn worst_case(situation: &Situation<'_>, request: &OrderRequest, added: Lots) -> Lots {
        let exposures = situation.orders.side(request.instrument, request.side);
        let exposures = exposures.map(|order| (order.request.reduce_only, order.exposure()));
        let (mut free, mut reducing) = (0, 0);
        for (reduce_only, Lots(lots)) in exposures.chain([(request.reduce_only, added)]) {
            *(if reduce_only { &mut reducing } else { &mut free }) += lots;
        }
        let sign = request.side.sign();
        let reducible = (-sign * situation.position.0).max(0);
        Lots(situation.position.0 + sign * (free + reducing.min(reducible)))
    }

    fn beyond_position(&self, situation: &Situation<'_>, request: &OrderRequest, added: Lots) -> bool {
        // Only growth beyond the limit on the order's own side is refused: shrinking a too large position is not.
        request.side.sign() * Self::worst_case(situation, request, added).0 > self.position_max.0
    }

    fn beyond_collar(&self, touch: Touch, request: &OrderRequest) -> bool {
        if !touch.is_two_sided() {
            return true;
        }
        let (price, ten_thousand, collar) = (request.price.0, 10_000, i64::from(self.collar_bps));
        match request.side {
            Side::Buy => price * ten_thousand > i64::from(touch.ask) * (ten_thousand + collar),
            Side::Sell => price * ten_thousand < i64::from(touch.bid) * (ten_thousand - collar),
        }
    }

    fn deny_request(
        &self,
        meter: &mut RequestMeter,
        situation: &Situation<'_>,
        request: &OrderRequest,
        added: Lots,
        open: Lots,
    ) -> Option<Denial> {
        if request.qty <= Lots::ZERO || request.price.0 <= 0 || request.price.0 >= i64::from(i32::MAX) {
            return Some(Denial::Malformed);
        }
        if open > self.order_max {
            return Some(Denial::OrderSize);
        }
        if self.beyond_position(situation, request, added) {
            return Some(Denial::Position);
        }
        if self.beyond_collar(situation.touch, request) {
            return Some(Denial::Collar);
        }
        (!meter.admit(situation.now, self.requests_per_second_max)).then_some(Denial::Rate)
    }

    /// Lets a command through or says why not.
    ///
    /// # Errors
    /// The first [`Denial`] that applies.
    pub fn approve(
        &self,
        meter: &mut RequestMeter,
        situation: &Situation<'_>,
        command: Command,
    ) -> Result<Approved<Command>, Denial> {
        let denial = match command {
            Command::Cancel { .. } | Command::CancelAll { .. } => None,
            Command::Place { .. } if situation.orders.len() >= self.open_orders_max as usize => {
                Some(Denial::OpenOrders)
            }
            Command::Place { request, .. } => self.deny_request(meter, situation, &request, request.qty, request.qty),
            Command::Amend { id, price, qty } => match situation.orders.get(id) {
                Some(order) => {
                    let request = OrderRequest { price, qty, ..order.request };
                    let added = Lots((qty.0 - order.qty_max().0).max(0));
                    self.deny_request(meter, situation, &request, added, qty - order.booked)
                }
                None => Some(Denial::Malformed),
            },
        };
        denial.map_or(Ok(Approved(command)), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::Order;
    use mmbot_types::{InstrumentId, OrderId, Ticks, Tif};
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        position_max: Lots(10),
        order_max: Lots(6),
        open_orders_max: 4,
        collar_bps: 100,
        requests_per_second_max: 1_000,
    };

    fn request(side: Side, price: i64, qty: i64) -> OrderRequest {
        OrderRequest {
            instrument: InstrumentId(0),
            side,
            price: Ticks(price),
            qty: Lots(qty),
            tif: Tif::Gtc,
            post_only: false,
            reduce_only: false,
        }
    }

    fn verdict(position: i64, working: &[OrderRequest], wish: OrderRequest) -> Result<(), Denial> {
        let mut orders = Orders::default();
        for (id, request) in working.iter().enumerate() {
            orders.insert(Order::sent(OrderId(id as u64), *request, Nanos(0)));
        }
        let touch = Touch { bid: 10_000, ask: 10_001 };
        let situation = Situation { now: Nanos(0), touch, position: Lots(position), orders: &orders };
        let command = Command::Place { id: OrderId(99), request: wish };
        LIMITS.approve(&mut RequestMeter::default(), &situation, command).map(|_| ())
    }

    /// Each limit at its boundary.
    #[test]
    fn each_limit_at_its_boundary() {
        use Denial::{Collar, Malformed, OpenOrders, OrderSize, Position};
        use Side::{Buy, Sell};
        let five = request(Buy, 10_000, 5);
        type Row<'a> = (&'a str, i64, &'a [OrderRequest], OrderRequest, Result<(), Denial>);
        #[rustfmt::skip]
        let table: &[Row<'_>] = &[
            ("the largest order",                0,   &[],             request(Buy, 10_000, 6),  Ok(())),
            ("one lot larger",                   0,   &[],             request(Buy, 10_000, 7),  Err(OrderSize)),
            ("no lots",                          0,   &[],             request(Buy, 10_000, 0),  Err(Malformed)),
            ("no price",                         0,   &[],             request(Buy, 0, 1),       Err(Malformed)),
            ("up to the position limit",         4,   &[],             request(Buy, 10_000, 6),  Ok(())),
            ("one lot beyond",                   5,   &[],             request(Buy, 10_000, 6),  Err(Position)),
            ("working orders count",             0,   &[five],         request(Buy, 10_000, 6),  Err(Position)),
            ("only those of the same side",      0,   &[five],         request(Sell, 10_001, 6), Ok(())),
            ("shrinking a position too large",   30,  &[],             request(Sell, 10_001, 6), Ok(())),
            ("growing it",                       30,  &[],             request(Buy, 10_000, 1),  Err(Position)),
            ("shorts likewise",                  -5,  &[],             request(Sell, 10_001, 6), Err(Position)),
            ("at the collar",                    0,   &[],             request(Buy, 10_101, 1),  Ok(())),
            ("beyond the collar",                0,   &[],             request(Buy, 10_102, 1),  Err(Collar)),
            ("a passive price has no collar",    0,   &[],             request(Buy, 5_000, 1),   Ok(())),
            ("a sell beyond the collar",         0,   &[],             request(Sell, 9_899, 1),  Err(Collar)),
            ("one order too many",               0,   &[request(Buy, 1, 1); 4], request(Buy, 1, 1), Err(OpenOrders)),
        ];
        for (what, position, working, wish, expected) in table {
            assert_eq!(verdict(*position, working, *wish), *expected, "{what}");
        }
    }

    /// A reduce-only order may take the whole position, and what else works on its side trades all the same.
    #[test]
    fn reduce_only_orders_count_as_far_as_there_is_a_position() {
        use Side::{Buy, Sell};
        let reduce = |side, qty| OrderRequest { reduce_only: true, ..request(side, 10_000, qty) };
        let (six, five) = (request(Sell, 10_000, 6), request(Sell, 10_000, 5));
        assert_eq!(verdict(5, &[six, five], reduce(Sell, 5)), Err(Denial::Position), "5 - 5 - 11 is below -10");
        assert_eq!(verdict(6, &[six], reduce(Sell, 6)), Ok(()), "6 - 6 - 6 is not");
        assert_eq!(verdict(0, &[five, five], reduce(Sell, 6)), Ok(()), "nothing to reduce, nothing to add");
        assert_eq!(verdict(5, &[reduce(Sell, 6)], six), Ok(()), "0 - 6");
        assert_eq!(verdict(-10, &[], reduce(Buy, 6)), Ok(()));
    }

    /// An order with a fill may be amended to what one order may have left, its fill not counted again.
    #[test]
    fn an_amend_is_judged_by_what_it_leaves_open() {
        let mut order = Order::sent(OrderId(1), request(Side::Buy, 10_000, 6), Nanos(0));
        (order.booked, order.venue_cum) = (Lots(4), Lots(4));
        let mut orders = Orders::default();
        orders.insert(order);
        let touch = Touch { bid: 10_000, ask: 10_001 };
        let situation = Situation { now: Nanos(0), touch, position: Lots(4), orders: &orders };
        let amend = |qty| Command::Amend { id: OrderId(1), price: mmbot_types::Ticks(9_999), qty: Lots(qty) };
        let verdict = |qty| LIMITS.approve(&mut RequestMeter::default(), &situation, amend(qty)).map(|_| ());
        assert_eq!(verdict(10), Ok(()));
        assert_eq!(verdict(11), Err(Denial::OrderSize));
    }

    /// Without a market there is no collar to measure, so nothing new leaves.
    #[test]
    fn no_market_no_order() {
        let situation = Situation { now: Nanos(0), touch: Touch::EMPTY, position: Lots(0), orders: &Orders::default() };
        let command = Command::Place { id: OrderId(1), request: request(Side::Buy, 1, 1) };
        assert_eq!(LIMITS.approve(&mut RequestMeter::default(), &situation, command), Err(Denial::Collar));
        let cancel = Command::Cancel { id: OrderId(1) };
        assert!(LIMITS.approve(&mut RequestMeter::default(), &situation, cancel).is_ok());
    }

    /// The budget of a second is used up and comes back with the next one.
    #[test]
    fn the_rate_is_per_second() {
        let mut meter = RequestMeter::default();
        assert_eq!(
            [0, 1, 2, 999_999_999, 1_000_000_000].map(|ns| meter.admit(Nanos(ns), 3)),
            [true, true, true, false, true]
        );
    }

    proptest! {
        /// Whatever is asked, what is approved can never take the position beyond the limit if all of it fills.
        #[test]
        fn no_sequence_of_orders_breaches_the_position_limit(
            wishes in prop::collection::vec((any::<bool>(), 1i64..8), 1..40),
        ) {
            let mut orders = Orders::default();
            let mut meter = RequestMeter::default();
            for (id, (buy, qty)) in wishes.into_iter().enumerate() {
                let (side, price) = if buy { (Side::Buy, 10_000) } else { (Side::Sell, 10_001) };
                let wish = request(side, price, qty);
                let touch = Touch { bid: 10_000, ask: 10_001 };
                let situation = Situation { now: Nanos(0), touch, position: Lots(0), orders: &orders };
                let command = Command::Place { id: OrderId(id as u64), request: wish };
                if LIMITS.approve(&mut meter, &situation, command).is_ok() {
                    orders.insert(Order::sent(OrderId(id as u64), wish, Nanos(0)));
                }
                for side in [Side::Buy, Side::Sell] {
                    let worst: Lots = orders.side(InstrumentId(0), side).map(Order::exposure).sum();
                    prop_assert!(worst <= LIMITS.position_max);
                }
            }
        }
    }
}
