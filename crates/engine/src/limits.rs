//! Hard limits, judged on the worst that may still happen. Touching one denies the order; nothing retries.
//!
//! Worst-case position = position + everything on that side not proven dead (working, in flight, unknown, larger side of an
//! amend, executed but not booked). A cancel always passes, and an order that only shrinks the worst case is never held
//! back by a limit it does not worsen. Only this file can make an [`Approved`].

use mmbot_types::{Command, Lots, Nanos, OrderRequest, Side, Touch};

use crate::orders::{Op, Orders};

/// Hard limits for one instrument of one strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Largest position either way, in lots, worst case.
    pub position_max: Lots,
    /// Largest order, in lots.
    pub order_max: Lots,
    /// Most orders that are not settled.
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
    /// Larger than `order_max`.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestMeter {
    second: i64,
    count: u32,
}

impl RequestMeter {
    /// Counts one request; false when the second's budget is used up.
    fn admit(&mut self, now: Nanos, max: u32) -> bool {
        let second = now.0.div_euclid(1_000_000_000);
        if second != self.second {
            *self = Self { second, count: 0 };
        }
        self.count += 1;
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
    /// The position if everything on `side` that may still trade does, and nothing on the other side.
    #[must_use]
    pub fn worst_case(situation: &Situation<'_>, request: &OrderRequest) -> Lots {
        let pending: Lots = situation.orders.side(request.instrument, request.side).map(|order| order.exposure()).sum();
        Lots(situation.position.0 + request.side.sign() * pending.0)
    }

    fn beyond_position(&self, situation: &Situation<'_>, request: &OrderRequest, added: Lots) -> bool {
        let worst = Self::worst_case(situation, request).0 + request.side.sign() * added.0;
        // Only growth beyond the limit on the order's own side is refused: shrinking a too large position is not.
        request.side.sign() * worst > self.position_max.0
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
    ) -> Option<Denial> {
        if request.qty <= Lots::ZERO || request.price.0 <= 0 || request.price.0 >= i64::from(i32::MAX) {
            return Some(Denial::Malformed);
        }
        if request.qty > self.order_max {
            return Some(Denial::OrderSize);
        }
        if !request.reduce_only && self.beyond_position(situation, request, added) {
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
            Command::Place { request, .. } => self.deny_request(meter, situation, &request, request.qty),
            Command::Amend { id, price, qty } => match situation.orders.get(id) {
                Some(order) => {
                    let request = OrderRequest { price, qty, ..order.request };
                    let held = match order.op {
                        Op::Amend { qty, .. } => qty.max(order.request.qty),
                        Op::Idle | Op::Cancel => order.request.qty,
                    };
                    self.deny_request(meter, situation, &request, Lots((qty.0 - held.0).max(0)))
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
        fn no_sequence_of_orders_breaches_the_position_limit(wishes in prop::collection::vec((any::<bool>(), 1i64..8), 1..40)) {
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
