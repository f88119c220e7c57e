//! What a run leaves behind for the report: fills, orders, samples. Grows with our own doings, not with the market's.

use mmbot_engine::Order;
use mmbot_types::{Cash, InstrumentId, Lots, Nanos, OrderId, Side, Ticks};
use rustc_hash::FxHashMap;

/// One own execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillRecord {
    /// When it happened.
    pub ts_venue: Nanos,
    /// When we heard.
    pub ts_recv: Nanos,
    /// Of what.
    pub instrument: InstrumentId,
    /// Of which order.
    pub order: OrderId,
    /// Execution id.
    pub execution: u64,
    /// Buy or sell.
    pub side: Side,
    /// Price.
    pub price: Ticks,
    /// Quantity.
    pub qty: Lots,
    /// We were resting.
    pub maker: bool,
    /// Fee paid.
    pub fee: Cash,
    /// Venue's best bid just before.
    pub touch_bid: i32,
    /// Venue's best ask just before.
    pub touch_ask: i32,
    /// Since the venue took the order; zero for a taker.
    pub age: Nanos,
    /// Lots displayed ahead when the order joined; none for an order that never rested.
    pub ahead_at_join: Option<u32>,
}

/// One own order at its end (or at the end of the run).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRecord {
    /// All we know of it.
    pub order: Order,
    /// Lots displayed ahead when it joined.
    pub ahead_at_join: Option<u32>,
}

/// The state of one strategy and instrument at a sampling time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub ts: Nanos,
    /// Of what.
    pub instrument: InstrumentId,
    /// Local best bid.
    pub bid: i32,
    /// Local best ask.
    pub ask: i32,
    /// Position.
    pub position: Lots,
    /// Cash, fees and funding included.
    pub cash: Cash,
    /// Fees paid so far.
    pub fees: Cash,
    /// Own best bid; zero if none is wanted.
    pub quote_bid: i64,
    /// Own best ask; zero if none is wanted.
    pub quote_ask: i64,
}

/// The record of one strategy.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Executions as heard.
    pub fills: Vec<FillRecord>,
    /// Orders as settled.
    pub orders: Vec<OrderRecord>,
    /// Samples.
    pub samples: Vec<Sample>,
    joined: FxHashMap<OrderId, u32>,
}

impl Recorder {
    /// Notes what was ahead of an order when it joined its queue, and when.
    pub fn joined(&mut self, id: OrderId, ahead: u32) {
        self.joined.entry(id).or_insert(ahead);
    }

    /// Lots ahead when the order joined.
    #[must_use]
    pub fn ahead_at_join(&self, id: OrderId) -> Option<u32> {
        self.joined.get(&id).copied()
    }

    /// An order taken over before changed after all: it is open again, or comes again as it is now.
    pub fn give_back(&mut self, id: OrderId) {
        if let Some(at) = self.orders.iter().rposition(|row| row.order.id == id) {
            let row = self.orders.remove(at);
            self.joined.extend(row.ahead_at_join.map(|ahead| (id, ahead)));
        }
    }

    /// Takes an order over that can change no more.
    pub fn settle(&mut self, order: Order) {
        let ahead_at_join = self.joined.remove(&order.id);
        self.orders.push(OrderRecord { order, ahead_at_join });
    }
}
