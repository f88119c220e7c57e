//! Where our orders stand in line, as far as we have heard: the same laws as the venue's, on the same messages, later.
//!
//! The venue's own count would be look-ahead: it has seen what is still on its way to us. An order is followed from the
//! book we hold when its acceptance is heard, and only when somebody asks: then the messages heard since are gone
//! through for its price alone, so an estimate that nobody reads costs nothing.
//!
//! A live venue shows our own orders in its public book. We do not stand behind ourselves: what a message shows at an
//! order's price counts without the order, if the message is of a time when it rested already.
//! Not handled: a second order of ours at the same price, which counts as somebody else's.

use mmbot_book::L2Book;
use mmbot_sim::{QueueModel, QueuePosition, Records, Rested};
use mmbot_tape::MessageKind;
use mmbot_types::{OrderId, Side};

use crate::feed::Feed;

/// One followed order.
#[derive(Clone, Debug)]
struct Place {
    id: OrderId,
    side: Side,
    tick: i32,
    place: QueuePosition,
    depth: usize,
    trades: usize,
    own: Own,
}

/// What of a level is the order itself.
#[derive(Clone, Copy, Debug)]
struct Own {
    lots: u32,
    since: i64,
}

impl Own {
    fn of(rested: &Rested, shown: bool) -> Self {
        let since = rested.ts_venue.0 - rested.ts_venue.0 % VENUE_TIME_NS;
        Self { lots: if shown { rested.lots } else { 0 }, since }
    }

    /// The others' part of a level as of venue time `ts`.
    fn others(&self, lots: u32, ts: i64) -> u32 {
        if ts >= self.since { lots.saturating_sub(self.lots) } else { lots }
    }
}

/// Venues tell whole milliseconds.
const VENUE_TIME_NS: i64 = 1_000_000;

/// The followed orders of one strategy and instrument.
#[derive(Clone, Debug, Default)]
pub struct Estimates {
    places: Vec<Place>,
}

/// How much of a tape we have heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Depth messages.
    pub depth: usize,
    /// Trades.
    pub trades: usize,
}

impl Estimates {
    /// The order rests now, as far as we know: at the back of what our book shows. `shown`: that may be the order too.
    pub fn join(&mut self, rested: &Rested, model: &QueueModel, book: &L2Book, feed: &Feed, shown: bool) {
        let before = feed.heard().depth.checked_sub(1).map_or(i64::MIN, |last| feed.tape().depth()[last].ts_venue);
        self.join_at(rested, model, book.lots(rested.side, rested.tick), (feed.heard(), before), shown);
    }

    /// `heard`: how much, and of which venue time the last depth message was.
    fn join_at(
        &mut self,
        rested: &Rested,
        model: &QueueModel,
        displayed: u32,
        (heard, last): (Heard, i64),
        shown: bool,
    ) {
        let Rested { id, side, tick, .. } = *rested;
        self.leave(id);
        let own = Own::of(rested, shown);
        let place = model.join(own.others(displayed, last));
        self.places.push(Place { id, side, tick, place, depth: heard.depth, trades: heard.trades, own });
    }

    /// The order rests no more.
    pub fn leave(&mut self, id: OrderId) {
        self.places.retain(|place| place.id != id);
    }

    /// Lots ahead of an order by what was heard; none for one that does not rest. Never negative: part of us trading
    /// means that nothing is ahead.
    pub fn ahead(&mut self, id: OrderId, model: &QueueModel, records: &Records<'_>, heard: Heard) -> Option<f64> {
        let place = self.places.iter_mut().find(|place| place.id == id)?;
        place.follow(model, records, heard);
        Some(place.place.ahead().max(0.0))
    }
}

impl Place {
    fn follow(&mut self, model: &QueueModel, records: &Records<'_>, heard: Heard) {
        while self.depth < heard.depth || self.trades < heard.trades {
            let trade = records.trades[..heard.trades].get(self.trades);
            match trade.filter(|trade| trade.depth_before_recv as usize <= self.depth || self.depth == heard.depth) {
                Some(trade) => {
                    self.trades += 1;
                    if trade.aggressor() != self.side && trade.tick == self.tick {
                        model.on_trade(&mut self.place, trade.lots);
                    }
                }
                None => {
                    let message = &records.depth[self.depth];
                    self.depth += 1;
                    let (bids, asks) = records.levels_of(message);
                    let levels = if self.side == Side::Buy { bids } else { asks };
                    let found = levels.binary_search_by_key(&self.tick, |level| level.tick).ok();
                    match (found, message.kind()) {
                        (_, MessageKind::Gap) | (None, MessageKind::Delta) => {}
                        (Some(at), _) => {
                            let others = self.own.others(levels[at].lots, message.ts_venue);
                            model.on_depth(&mut self.place, others);
                        }
                        (None, MessageKind::Snapshot) => model.on_depth(&mut self.place, 0),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmbot_tape::{DepthMessage, TradeMessage};
    use mmbot_types::{InstrumentId, Level, Nanos};

    fn depth(first: u64, n_bid: u32) -> DepthMessage {
        let span = DepthMessage::pack(first, MessageKind::Delta);
        DepthMessage { ts_recv: 0, ts_venue: 0, span, n_bid, n_ask: 0, bid: 100, ask: 101 }
    }

    fn sold(lots: u32, depth_before_recv: u32) -> TradeMessage {
        let depth_before_venue = TradeMessage::pack(0, Side::Sell); // the venue had it before everything
        TradeMessage { ts_recv: 0, ts_venue: 0, tick: 100, lots, depth_before_recv, depth_before_venue }
    }

    fn resting(instrument: InstrumentId) -> Rested {
        let (at, ts_venue) = (Nanos(0), Nanos(0));
        Rested { at, account: 0, id: OrderId(1), instrument, side: Side::Buy, tick: 100, lots: 5, ts_venue }
    }

    /// The estimate moves with what was heard, not with what is on the tape, and in the order of hearing.
    #[test]
    fn an_estimate_knows_what_was_heard() {
        let messages = [depth(0, 1), depth(1, 1)];
        let levels = [Level { tick: 100, lots: 7 }, Level { tick: 100, lots: 2 }];
        let trades = [sold(3, 0), sold(4, 2)];
        let records = Records { depth: &messages, levels: &levels, trades: &trades };
        let model = QueueModel::RiskAverse;
        let (mut estimates, id) = (Estimates::default(), OrderId(1));
        let instrument = InstrumentId(0);
        let rested = resting(instrument);
        estimates.join_at(&rested, &model, 10, (Heard { depth: 0, trades: 0 }, 0), false);
        let mut ahead = |depth, trades| estimates.ahead(id, &model, &records, Heard { depth, trades });
        assert_eq!(ahead(0, 0), Some(10.0));
        assert_eq!(ahead(0, 1), Some(7.0)); // three traded
        assert_eq!(ahead(1, 1), Some(7.0)); // the level tells the same three
        assert_eq!(ahead(2, 2), Some(0.0)); // five left, at most two are ahead, four more trade
        estimates.leave(id);
        assert_eq!(estimates.ahead(id, &model, &records, Heard { depth: 2, trades: 2 }), None);
    }

    /// Where the venue shows our order, the line in front of it is the level without it, before and after.
    #[test]
    fn we_do_not_stand_behind_ourselves() {
        let messages = [depth(0, 1)];
        let levels = [Level { tick: 100, lots: 9 }]; // four of others, five are ours
        let records = Records { depth: &messages, levels: &levels, trades: &[] };
        let (model, none) = (QueueModel::RiskAverse, Heard { depth: 0, trades: 0 });
        let rested = resting(InstrumentId(0));
        let ahead = |last, shown| {
            let mut estimates = Estimates::default();
            estimates.join_at(&rested, &model, 11, (none, last), shown);
            [0, 1].map(|depth| estimates.ahead(rested.id, &model, &records, Heard { depth, trades: 0 }).unwrap())
        };
        assert_eq!(ahead(0, true), [6.0, 4.0], "the book at joining has us");
        assert_eq!(ahead(-1, true), [11.0, 4.0], "it was of a time before us");
        assert_eq!(ahead(0, false), [11.0, 9.0], "a recording of others");
    }
}
