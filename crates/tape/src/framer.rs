//! From messages as they arrive to records as they are stored.

use std::collections::BTreeMap;

use mmbot_types::{Level, NO_ASK, NO_BID, Side, Touch};

use crate::head::Counts;
use crate::orders::{OrderBook, OrderChange, PublicOrder, grown, levels};
use crate::{DepthMessage, FundingRecord, MessageKind, OrderKind, OrderMessage, Tape, TapeError, TradeMessage};

/// The book as the obvious pair of maps: only the touch is wanted from it.
#[derive(Default)]
struct TouchBook {
    bids: BTreeMap<i32, u32>,
    asks: BTreeMap<i32, u32>,
    /// A snapshot came, and no gap since.
    known: bool,
}

impl TouchBook {
    fn apply(&mut self, kind: MessageKind, bids: &[Level], asks: &[Level]) {
        if kind != MessageKind::Delta {
            self.bids.clear();
            self.asks.clear();
            self.known = kind == MessageKind::Snapshot;
        }
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels {
                match level.lots {
                    0 => side.remove(&level.tick),
                    lots => side.insert(level.tick, lots),
                };
            }
        }
    }

    fn lots(&self, side: Side, tick: i32) -> u32 {
        let levels = if side == Side::Buy { &self.bids } else { &self.asks };
        levels.get(&tick).copied().unwrap_or(0)
    }

    fn touch(&self) -> Touch {
        Touch {
            bid: self.bids.last_key_value().map_or(NO_BID, |(&tick, _)| tick),
            ask: self.asks.first_key_value().map_or(NO_ASK, |(&tick, _)| tick),
        }
    }
}

/// Turns each message into its record, in receive order. A message that is refused leaves no trace.
#[derive(Default)]
pub(crate) struct Framer {
    book: TouchBook,
    /// Public orders, on a tape by order.
    orders: Option<OrderBook>,
    /// Levels of the message at hand.
    pub bids: Vec<Level>,
    pub asks: Vec<Level>,
    n_depth: usize,
    n_levels: u64,
    last_recv: i64,
    /// Latest venue times of depth, trades, funding.
    last_venue: [i64; 3],
    /// Earliest venue time that a message may still have: see [`Framer::settle`].
    floor: i64,
    /// Messages that were raised to it.
    pub late: u64,
    pub counts: Counts,
}

/// Highest number of depth messages: their rank in venue order has 31 bits.
const DEPTH_MAX: usize = (1 << 31) - 1;

impl Framer {
    /// The framer of a tape by level that is written on. `counts` is what its writer had met.
    ///
    /// # Errors
    /// The first depth message whose touch is not that of the book its levels make.
    pub fn resume(tape: &Tape, counts: Counts) -> Result<Self, usize> {
        let mut framer = Self::default();
        for (index, message) in tape.depth().iter().enumerate() {
            let (bids, asks) = tape.levels_of(message);
            framer.book.apply(message.kind(), bids, asks);
            if framer.touch() != message.touch() {
                return Err(index);
            }
        }
        let last_depth = tape.depth().last().map_or((0, 0), |m| (m.ts_recv, m.ts_venue));
        let last_trade = tape.trades().last().map_or((0, 0), |t| (t.ts_recv, t.ts_venue));
        let last_funding = tape.funding().last().map_or((0, 0), |f| (f.ts_recv, f.ts_venue));
        framer.last_recv = last_depth.0.max(last_trade.0).max(last_funding.0);
        framer.last_venue = [last_depth.1, last_trade.1, last_funding.1];
        (framer.n_depth, framer.n_levels) = (tape.depth().len(), tape.levels().len() as u64);
        framer.counts = counts;
        Ok(framer)
    }

    /// Bids and asks, ascending; none while the book is unknown.
    pub fn book(&self) -> Option<[Vec<Level>; 2]> {
        let levels = |side: &BTreeMap<i32, u32>| side.iter().map(|(&tick, &lots)| Level { tick, lots }).collect();
        self.book.known.then(|| [levels(&self.book.bids), levels(&self.book.asks)])
    }

    /// From now on nothing happens at the venue at `ts_venue` or before: what comes all the same is raised to the
    /// nanosecond after it, and counted.
    pub fn settle(&mut self, ts_venue: i64) {
        self.floor = self.floor.max(ts_venue.saturating_add(1));
    }

    /// Both clocks, made monotone: the venue's within its stream, ours over all streams and never before the venue's.
    ///
    /// A time before 1970 would be a mistake of the caller.
    fn clocks(&mut self, stream: usize, ts_recv: i64, ts_venue: i64) -> Result<(i64, i64), TapeError> {
        for (field, value) in [("receive time", ts_recv), ("venue time", ts_venue)] {
            if value < 0 {
                return Err(TapeError::Unfit { field, value, expected: "nanoseconds since 1970" });
            }
        }
        let venue = ts_venue.max(self.last_venue[stream]).max(self.floor);
        let recv = ts_recv.max(self.last_recv).max(venue);
        self.counts.venue_corrections += u64::from(venue != ts_venue);
        self.counts.recv_corrections += u64::from(recv != ts_recv);
        self.late += u64::from(ts_venue < self.floor);
        self.last_venue[stream] = venue;
        self.last_recv = recv;
        Ok((recv, venue))
    }

    /// Frames one book message; its levels are then in `bids` and `asks`, ascending, each price once.
    pub fn depth(
        &mut self,
        ts_recv: i64,
        ts_venue: i64,
        kind: MessageKind,
        bids: &[Level],
        asks: &[Level],
    ) -> Result<DepthMessage, TapeError> {
        if let Some(orders) = &mut self.orders {
            if kind != MessageKind::Gap || !(bids.is_empty() && asks.is_empty()) {
                let expected = "none on a tape by order: give the orders, or a gap";
                return Err(TapeError::Unfit {
                    field: "book message by level, number",
                    value: self.n_depth as i64,
                    expected,
                });
            }
            orders.clear();
        }
        self.book_message(ts_recv, ts_venue, kind, bids, asks)
    }

    /// Frames a snapshot by order: all orders that rest, those of one price in the order in which they trade.
    pub fn order_snapshot(
        &mut self,
        ts_recv: i64,
        ts_venue: i64,
        orders: &[PublicOrder],
    ) -> Result<(DepthMessage, Vec<OrderMessage>), TapeError> {
        if self.orders.is_none() && self.last_recv != 0 {
            let expected = "to come first: a tape tells its book by order from its beginning, or by level";
            return Err(TapeError::Unfit { field: "snapshot by order at", value: ts_recv, expected });
        }
        let (mut book, depth) = (OrderBook::default(), self.n_depth as u32);
        let mut messages = Vec::with_capacity(orders.len());
        for order in orders {
            let message = book.judge(OrderChange::Add(*order), depth)?;
            book.apply(&message);
            messages.push(message);
        }
        let [bids, asks] = levels(orders)?;
        let message = self.book_message(ts_recv, ts_venue, MessageKind::Snapshot, &bids, &asks)?;
        self.orders = Some(book);
        Ok((message, messages))
    }

    /// Frames what happened to one order, as the message of its level, and the trade that an execution is.
    pub fn order(
        &mut self,
        ts_recv: i64,
        ts_venue: i64,
        change: OrderChange,
    ) -> Result<(DepthMessage, OrderMessage, Option<TradeMessage>), TapeError> {
        let Some(orders) = self.orders.as_ref().filter(|_| self.book.known) else {
            let expected = "a snapshot by order before it: without one the book is unknown";
            return Err(TapeError::Unfit { field: "change of an order at", value: ts_recv, expected });
        };
        let order = orders.judge(change, self.n_depth as u32)?;
        let (side, tick) = (order.side(), order.tick);
        let displayed = self.book.lots(side, tick);
        let lots = if order.kind() == OrderKind::Add { grown(displayed, order.lots)? } else { displayed - order.lots };
        let trade = match order.kind() {
            OrderKind::Execute => {
                Some(self.trade(ts_recv, ts_venue, Level { tick, lots: order.lots }, side.opposite())?)
            }
            _ => None,
        };
        let level = [Level { tick, lots }];
        let (bids, asks) = if side == Side::Buy { (&level[..], &[][..]) } else { (&[][..], &level[..]) };
        let message = self.book_message(ts_recv, ts_venue, MessageKind::Delta, bids, asks)?;
        if let Some(orders) = &mut self.orders {
            orders.apply(&order);
        }
        Ok((message, order, trade))
    }

    fn book_message(
        &mut self,
        ts_recv: i64,
        ts_venue: i64,
        kind: MessageKind,
        bids: &[Level],
        asks: &[Level],
    ) -> Result<DepthMessage, TapeError> {
        if self.n_depth == DEPTH_MAX {
            let expected = "at most 2^31 - 1 depth messages: split the recording";
            return Err(TapeError::Unfit { field: "depth message", value: self.n_depth as i64, expected });
        }
        if let Some(level) = bids.iter().chain(asks).find(|level| level.tick <= 0 || level.tick == NO_ASK) {
            return Err(TapeError::Unfit {
                field: "price",
                value: level.tick.into(),
                expected: "ticks from 1 to 2^31 - 2",
            });
        }
        let (ts_recv, ts_venue) = self.clocks(0, ts_recv, ts_venue)?;
        let before = bids.len() + asks.len();
        ascending(bids, &mut self.bids);
        ascending(asks, &mut self.asks);
        self.counts.repeated_levels += (before - self.bids.len() - self.asks.len()) as u64;
        self.book.apply(kind, &self.bids, &self.asks);
        match kind {
            MessageKind::Delta => {}
            MessageKind::Snapshot => self.counts.snapshots += 1,
            MessageKind::Gap => self.counts.gaps += 1,
        }
        let touch = self.touch();
        let (n_bid, n_ask) = (self.bids.len() as u32, self.asks.len() as u32);
        let span = DepthMessage::pack(self.n_levels, kind);
        self.n_depth += 1;
        self.n_levels += u64::from(n_bid) + u64::from(n_ask);
        Ok(DepthMessage { ts_recv, ts_venue, span, n_bid, n_ask, bid: touch.bid, ask: touch.ask })
    }

    /// What may be known of the touch: nothing while the book is unknown or crossed.
    fn touch(&mut self) -> Touch {
        let touch = self.book.touch();
        if !self.book.known {
            return Touch::EMPTY;
        }
        if touch.bid != NO_BID && touch.ask != NO_ASK && touch.bid >= touch.ask {
            self.counts.crossed += 1;
            return Touch::EMPTY;
        }
        touch
    }

    /// Frames one trade. Its rank in venue order is still to come: see [`rank`].
    pub fn trade(
        &mut self,
        ts_recv: i64,
        ts_venue: i64,
        level: Level,
        aggressor: Side,
    ) -> Result<TradeMessage, TapeError> {
        let Level { tick, lots } = level;
        if tick <= 0 || tick == NO_ASK {
            return Err(TapeError::Unfit { field: "price", value: tick.into(), expected: "ticks from 1 to 2^31 - 2" });
        }
        if lots == 0 {
            return Err(TapeError::Unfit { field: "quantity", value: 0, expected: "lots from 1 to 2^32 - 1" });
        }
        // By order, an execution is a trade and a depth message of one time: they share a clock.
        let stream = usize::from(self.orders.is_none());
        let (ts_recv, ts_venue) = self.clocks(stream, ts_recv, ts_venue)?;
        let depth_before_recv = self.n_depth as u32;
        Ok(TradeMessage {
            ts_recv,
            ts_venue,
            tick,
            lots,
            depth_before_recv,
            depth_before_venue: TradeMessage::pack(0, aggressor),
        })
    }

    /// Frames one funding settlement.
    pub fn funding(&mut self, ts_recv: i64, ts_venue: i64, rate: i64, mark: i64) -> Result<FundingRecord, TapeError> {
        let (ts_recv, ts_venue) = self.clocks(2, ts_recv, ts_venue)?;
        Ok(FundingRecord { ts_recv, ts_venue, rate, mark })
    }
}

/// Copies `levels` into `sorted`: ascending, and of a price named twice only the last.
fn ascending(levels: &[Level], sorted: &mut Vec<Level>) {
    sorted.clear();
    sorted.extend_from_slice(levels);
    sorted.sort_by_key(|level| level.tick); // stable: of equals the last received stays last
    sorted.dedup_by(|later, kept| {
        let same = later.tick == kept.tick;
        if same {
            *kept = *later;
        }
        same
    });
}

/// Puts each trade among the depth messages in venue order. Equal times keep their receive order. `before` depth
/// messages are known to precede the first trade, and those that precede the last one when this returns.
pub(crate) fn rank<'a>(
    depth: &[DepthMessage],
    trades: impl IntoIterator<Item = &'a mut TradeMessage>,
    before: &mut usize,
) {
    for trade in trades {
        let precedes = |(index, message): (usize, &DepthMessage)| {
            (message.ts_venue, index as u32) < (trade.ts_venue, trade.depth_before_recv)
        };
        while depth.get(*before).is_some_and(|message| precedes((*before, message))) {
            *before += 1;
        }
        trade.depth_before_venue = TradeMessage::pack(*before as u32, trade.aggressor());
    }
}
