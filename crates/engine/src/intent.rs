//! What a strategy wants to be true, and how little must be asked of the venue to make it so.
//!
//! ```text
//! intent ── minus ── working orders ──> Place · Amend · Cancel
//! ```
//! An order that already stands where one is wanted keeps its place in the queue: that place is the asset of a maker.
//! One that is on its way there by an amend counts as standing there.

use mmbot_types::{Command, InstrumentId, Lots, OrderId, OrderRequest, Side, Ticks, Tif};
use smallvec::SmallVec;

use crate::orders::{Life, Op, Order, Orders};

/// One resting order that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quote {
    /// Buy or sell.
    pub side: Side,
    /// Limit price.
    pub price: Ticks,
    /// Quantity.
    pub qty: Lots,
}

/// What a strategy wants for one instrument.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Intent {
    /// The resting orders that shall stand, and no others.
    pub quotes: SmallVec<[Quote; 4]>,
    /// Orders to send once, now, beside them (takers, exits).
    pub immediate: SmallVec<[OrderRequest; 1]>,
}

/// When a standing order is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DifferRules {
    /// A standing order this near (in ticks) to where one is wanted is left in its place.
    pub keep_within: i64,
    /// A partly filled order keeps its place while this share of the wanted quantity is left, in percent.
    pub refill_below_percent: i64,
    /// Change price or quantity by an amend rather than by cancel and place.
    pub amend: bool,
    /// Quotes must rest.
    pub post_only: bool,
}

impl Default for DifferRules {
    fn default() -> Self {
        Self { keep_within: 0, refill_below_percent: 0, amend: false, post_only: true }
    }
}

/// A command before it has a name: the engine names it, then the limits decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A new order.
    Place(OrderRequest),
    /// New terms for a working one.
    Amend(OrderId, Ticks, Lots),
    /// One that shall leave.
    Cancel(OrderId),
}

impl Wanted {
    /// The command, once a new order has its name.
    #[must_use]
    pub fn named(self, fresh: OrderId) -> Command {
        match self {
            Self::Place(request) => Command::Place { id: fresh, request },
            Self::Amend(id, price, qty) => Command::Amend { id, price, qty },
            Self::Cancel(id) => Command::Cancel { id },
        }
    }
}

fn good_enough(order: &Order, quote: &Quote, rules: &DifferRules) -> bool {
    if order.is_uncertain() {
        return false; // it may stand where it is wanted, or not: say so again
    }
    let (price, qty) = order.asked();
    let near = (price.0 - quote.price.0).abs() <= rules.keep_within;
    let leaves = qty - order.done();
    near && leaves <= quote.qty && leaves.0 * 100 >= quote.qty.0 * rules.refill_below_percent
}

/// Where a wanted order can take over a standing one without an extra request: an amend that the venue will accept.
fn amendable(order: &Order) -> bool {
    order.op == Op::Idle && matches!(order.life, Life::Acked | Life::Live | Life::Partial)
}

/// The fewest commands that turn the working orders of one instrument into the intent. Cancels come first on each side,
/// so that the venue frees what the new orders need.
pub fn differ(
    instrument: InstrumentId,
    intent: &Intent,
    orders: &Orders,
    rules: &DifferRules,
    out: &mut SmallVec<[Wanted; 8]>,
) {
    for side in [Side::Buy, Side::Sell] {
        let mut missing: SmallVec<[Quote; 4]> = intent.quotes.iter().filter(|q| q.side == side).copied().collect();
        let mut spare: SmallVec<[&Order; 4]> = SmallVec::new();
        for order in orders.side(instrument, side) {
            if !order.is_strategys() || !order.is_wanted() || order.request.tif != Tif::Gtc {
                continue;
            }
            // Nearest wanted price first: an exact match must not be taken by a neighbour.
            let found = missing
                .iter()
                .enumerate()
                .filter(|(_, quote)| good_enough(order, quote, rules))
                .min_by_key(|(_, quote)| (order.asked().0.0 - quote.price.0).abs())
                .map(|(index, _)| index);
            match found {
                Some(index) => drop(missing.remove(index)),
                None => spare.push(order),
            }
        }
        if rules.amend {
            spare.retain(|order| match missing.first() {
                Some(quote) if amendable(order) => {
                    out.push(Wanted::Amend(order.id, quote.price, quote.qty + order.done()));
                    missing.remove(0);
                    false
                }
                _ => true,
            });
        }
        out.extend(spare.iter().map(|order| Wanted::Cancel(order.id)));
        out.extend(missing.iter().map(|quote| {
            Wanted::Place(OrderRequest {
                instrument,
                side,
                price: quote.price,
                qty: quote.qty,
                tif: Tif::Gtc,
                post_only: rules.post_only,
                reduce_only: false,
            })
        }));
    }
    out.extend(intent.immediate.iter().map(|request| Wanted::Place(*request)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmbot_types::{Event, Nanos};

    const BTC: InstrumentId = InstrumentId(0);

    fn quote(side: Side, price: i64, qty: i64) -> Quote {
        Quote { side, price: Ticks(price), qty: Lots(qty) }
    }

    fn standing(id: u64, side: Side, price: i64, qty: i64) -> Order {
        let request = OrderRequest {
            instrument: BTC,
            side,
            price: Ticks(price),
            qty: Lots(qty),
            tif: Tif::Gtc,
            post_only: true,
            reduce_only: false,
        };
        let mut order = Order::sent(OrderId(id), request, Nanos(0));
        order.observe(&Event::OrderAccepted { id: OrderId(id), ts_venue: Nanos(1) });
        order
    }

    fn diff(standing: Vec<Order>, quotes: &[Quote], rules: DifferRules) -> Vec<Wanted> {
        let mut orders = Orders::default();
        standing.into_iter().for_each(|order| orders.insert(order));
        let intent = Intent { quotes: quotes.iter().copied().collect(), immediate: SmallVec::new() };
        let mut out = SmallVec::new();
        differ(BTC, &intent, &orders, &rules, &mut out);
        out.to_vec()
    }

    /// An order where one is wanted keeps its place; nothing is asked.
    #[test]
    fn what_stands_right_is_left_alone() {
        let commands = diff(
            vec![standing(1, Side::Buy, 100, 5), standing(2, Side::Sell, 103, 5)],
            &[quote(Side::Buy, 100, 5), quote(Side::Sell, 103, 5)],
            DifferRules::default(),
        );
        assert_eq!(commands, []);
    }

    /// A moved quote is cancelled and placed anew, cancel first.
    #[test]
    fn a_moved_quote_is_replaced() {
        let commands = diff(vec![standing(1, Side::Buy, 100, 5)], &[quote(Side::Buy, 101, 5)], DifferRules::default());
        assert_eq!(commands[0], Wanted::Cancel(OrderId(1)));
        assert!(matches!(commands[1], Wanted::Place(r) if r.price == Ticks(101) && r.post_only));
        assert_eq!(commands.len(), 2);
    }

    /// With amends, a move is one request; without a quote the order is cancelled.
    #[test]
    fn an_amend_takes_over_a_spare_order() {
        let rules = DifferRules { amend: true, ..DifferRules::default() };
        let commands = diff(vec![standing(1, Side::Buy, 100, 5)], &[quote(Side::Buy, 101, 7)], rules);
        assert_eq!(commands, [Wanted::Amend(OrderId(1), Ticks(101), Lots(7))]);
        assert_eq!(diff(vec![standing(1, Side::Buy, 100, 5)], &[], rules), [Wanted::Cancel(OrderId(1))]);
    }

    /// Within the threshold the queue position is worth more than the tick; an exact match is not given to a neighbour.
    #[test]
    fn near_enough_keeps_the_queue_position() {
        let rules = DifferRules { keep_within: 1, ..DifferRules::default() };
        assert_eq!(diff(vec![standing(1, Side::Buy, 100, 5)], &[quote(Side::Buy, 101, 5)], rules), []);
        let two = vec![standing(1, Side::Buy, 100, 5), standing(2, Side::Buy, 99, 5)];
        assert_eq!(diff(two, &[quote(Side::Buy, 99, 5), quote(Side::Buy, 100, 5)], rules), []);
    }

    /// Too little left is refilled by replacing; enough left keeps its place.
    #[test]
    fn a_partial_fill_is_refilled_only_below_the_threshold() {
        let mut order = standing(1, Side::Buy, 100, 10);
        order.booked = Lots(6);
        order.venue_cum = Lots(6);
        let refill = |percent| DifferRules { refill_below_percent: percent, ..DifferRules::default() };
        assert_eq!(diff(vec![order.clone()], &[quote(Side::Buy, 100, 10)], refill(40)), []);
        assert_eq!(diff(vec![order], &[quote(Side::Buy, 100, 10)], refill(50)).len(), 2);
    }

    /// An order whose cancel is in flight neither counts as standing nor is cancelled twice.
    #[test]
    fn a_leaving_order_is_not_asked_twice() {
        let mut order = standing(1, Side::Buy, 100, 5);
        order.op = Op::Cancel;
        assert_eq!(diff(vec![order], &[], DifferRules::default()), []);
    }

    /// An order on its way to where one is wanted counts as standing there: the same wish asks nothing more.
    #[test]
    fn an_amend_in_flight_is_not_asked_twice() {
        let rules = DifferRules { amend: true, ..DifferRules::default() };
        let moving = || {
            let mut order = standing(1, Side::Buy, 100, 5);
            order.ask(Op::Amend { price: Ticks(101), qty: Lots(7) });
            vec![order]
        };
        assert_eq!(diff(moving(), &[quote(Side::Buy, 101, 7)], rules), []);
        assert_eq!(diff(moving(), &[quote(Side::Buy, 100, 5)], rules)[0], Wanted::Cancel(OrderId(1)));
    }
}
