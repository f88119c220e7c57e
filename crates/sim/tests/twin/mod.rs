//! The obvious venue: one account, one instrument, one event after the other, no short cuts.
//!
//! It shares with the real one only the laws that are tested by themselves: queue models, latencies, fees.

use std::collections::BTreeMap;

use mmbot_sim::{FeeMeter, FillRule, Laws, QueuePosition, Response};
use mmbot_tape::MessageKind;
use mmbot_types::{
    Command, Event, Instrument, Level, Lots, NO_ASK, NO_BID, Nanos, OrderId, OrderRequest, RejectReason, Side, Ticks,
    Tif, Touch,
};

use crate::market::{News, Said};

struct Resting {
    id: OrderId,
    request: OrderRequest,
    cum: i64,
    place: QueuePosition,
}

/// The obvious venue.
pub struct Twin<'a> {
    laws: &'a Laws,
    instrument: &'a Instrument,
    bids: BTreeMap<i32, u32>,
    asks: BTreeMap<i32, u32>,
    known: bool,
    before: Touch,
    orders: Vec<Resting>,
    taken: BTreeMap<(bool, i32), i64>,
    position: i64,
    meter: FeeMeter,
    executions: u64,
    heard: Vec<Response>,
}

fn refused(id: OrderId, reason: RejectReason, ts_venue: Nanos) -> Event {
    Event::AmendRefused { id, reason, ts_venue }
}

impl<'a> Twin<'a> {
    /// What one account hears of its commands, each sent at a time, in the market of `news`.
    pub fn answers(
        news: &[News],
        instrument: &'a Instrument,
        laws: &'a Laws,
        commands: &[(Nanos, Command)],
    ) -> Vec<Response> {
        let mut twin = Self {
            laws,
            instrument,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            known: false,
            before: Touch::EMPTY,
            orders: Vec::new(),
            taken: BTreeMap::new(),
            position: 0,
            meter: FeeMeter::new(instrument, laws.volume_before),
            executions: 0,
            heard: Vec::new(),
        };
        let mut public: Vec<&News> = news.iter().collect();
        public.sort_by_key(|news| news.venue); // stable: equal times follow the order of receipt
        let mut arrivals: Vec<(Nanos, Command)> = Vec::new();
        for (n, (sent, command)) in commands.iter().enumerate() {
            let earliest = arrivals.last().map_or(Nanos(i64::MIN), |last| last.0);
            arrivals.push(((*sent + laws.entry.latency(*sent, n as u64)).max(earliest), *command));
        }
        let mut arrivals = arrivals.into_iter().peekable();
        for (index, news) in public.iter().enumerate() {
            while let Some((at, command)) = arrivals.next_if(|(at, _)| at.0 < news.venue) {
                twin.command(command, at);
            }
            twin.happen(news, public.get(index + 1).copied());
        }
        for (at, command) in arrivals {
            twin.command(command, at);
        }
        twin.heard
    }

    fn say(&mut self, now: Nanos, event: Event) {
        let latency = self.laws.response.latency(now, self.heard.len() as u64);
        let earliest = self.heard.last().map_or(Nanos(i64::MIN), |last| last.at);
        self.heard.push(Response { at: (now + latency).max(earliest), event });
    }

    fn touch(&self) -> Touch {
        let bid = self.bids.last_key_value().map_or(NO_BID, |(tick, _)| *tick);
        let ask = self.asks.first_key_value().map_or(NO_ASK, |(tick, _)| *tick);
        let crossed = bid != NO_BID && ask != NO_ASK && bid >= ask;
        if self.known && !crossed { Touch { bid, ask } } else { Touch::EMPTY }
    }

    fn happen(&mut self, news: &News, next: Option<&News>) {
        let now = Nanos(news.venue);
        match &news.said {
            Said::Trade { level, aggressor } => self.trade(*level, aggressor.opposite(), now),
            Said::Depth { kind, bids, asks } => {
                self.depth(*kind, Side::Buy, bids);
                self.depth(*kind, Side::Sell, asks);
                let more = next.is_some_and(|n| n.venue == news.venue && matches!(n.said, Said::Depth { .. }));
                if !more {
                    self.cross(now);
                    self.before = self.touch();
                }
            }
        }
    }

    fn depth(&mut self, kind: MessageKind, side: Side, levels: &[Level]) {
        let said: BTreeMap<i32, u32> = levels.iter().map(|level| (level.tick, level.lots)).collect();
        let book = if side == Side::Buy { &mut self.bids } else { &mut self.asks };
        if kind != MessageKind::Delta {
            book.clear();
            self.known = kind == MessageKind::Snapshot;
        }
        book.extend(&said);
        book.retain(|_, lots| *lots > 0);
        let now_at = |tick: i32| match (said.get(&tick), kind) {
            (Some(lots), _) => Some(*lots),
            (None, MessageKind::Delta) => None,
            (None, MessageKind::Snapshot | MessageKind::Gap) => Some(0),
        };
        for ((of_bids, tick), taken) in &mut self.taken {
            if *of_bids == (side == Side::Buy) {
                *taken = now_at(*tick).map_or(*taken, |lots| (*taken).min(i64::from(lots)));
            }
        }
        if kind != MessageKind::Gap {
            for order in self.orders.iter_mut().filter(|order| order.request.side == side) {
                if let Some(lots) = now_at(order.request.price.0 as i32) {
                    self.laws.queue.on_depth(&mut order.place, lots);
                }
            }
        }
    }

    /// Displayed on `side` and not taken by us, from the touch outward.
    fn reachable(&self, side: Side, limit: i64, wanted: i64) -> Vec<(i32, i64)> {
        let mut levels: Vec<(i32, u32)> = match side {
            Side::Buy => self.bids.iter().rev().map(|(tick, lots)| (*tick, *lots)).collect(),
            Side::Sell => self.asks.iter().map(|(tick, lots)| (*tick, *lots)).collect(),
        };
        levels.retain(|(tick, _)| side.sign() * i64::from(*tick) >= side.sign() * limit);
        let mut left = wanted;
        let mut found = Vec::new();
        for (tick, lots) in levels {
            let taken = self.taken.get(&(side == Side::Buy, tick)).copied().unwrap_or(0);
            let lots = (i64::from(lots) - taken).clamp(0, left);
            if lots > 0 {
                found.push((tick, lots));
                left -= lots;
            }
        }
        found
    }

    fn take(&mut self, side: Side, levels: &[(i32, i64)]) {
        if self.laws.consume_liquidity {
            for (tick, lots) in levels {
                *self.taken.entry((side == Side::Buy, *tick)).or_default() += lots;
            }
        }
    }

    /// Own orders on `side` that stand at `tick` or nearer to the touch: best price first, then first come.
    fn reached(&self, side: Side, tick: i32) -> Vec<OrderId> {
        let rank = |order: &Resting| side.sign() * order.request.price.0;
        let mut reached: Vec<&Resting> = self.orders.iter().filter(|o| o.request.side == side).collect();
        reached.retain(|order| rank(order) >= side.sign() * i64::from(tick));
        reached.sort_by_key(|order| -rank(order));
        reached.iter().map(|order| order.id).collect()
    }

    fn find(&mut self, id: OrderId) -> Option<&mut Resting> {
        self.orders.iter_mut().find(|order| order.id == id)
    }

    /// How much of an order may trade: reduce-only never beyond the position.
    fn open(&self, request: &OrderRequest, cum: i64) -> i64 {
        let leaves = request.qty.0 - cum;
        if request.reduce_only { leaves.min((-request.side.sign() * self.position).max(0)) } else { leaves }
    }

    fn trade(&mut self, level: Level, side: Side, now: Nanos) {
        let touch = self.touch();
        let mut got = 0;
        for id in self.reached(side, level.tick) {
            let laws = self.laws;
            let Some(order) = self.find(id) else { continue };
            let good_for = if order.request.price.0 == i64::from(level.tick) {
                laws.queue.on_trade(&mut order.place, level.lots);
                order.place.past().round() as i64
            } else {
                i64::from(level.lots)
            };
            let qty = match laws.fill {
                FillRule::Whole if good_for > 0 => i64::MAX,
                FillRule::Whole => 0,
                FillRule::Partial => (good_for - got).max(0),
            };
            if qty > 0 {
                got += self.fill(id, qty, touch, now);
            }
        }
    }

    fn cross(&mut self, now: Nanos) {
        let touch = self.touch();
        if touch == Touch::EMPTY {
            return;
        }
        for (side, tick) in [(Side::Sell, touch.bid), (Side::Buy, touch.ask)] {
            if tick == NO_BID || tick == NO_ASK {
                continue;
            }
            for id in self.reached(side, tick) {
                let Some(order) = self.find(id) else { continue };
                let (request, cum) = (order.request, order.cum);
                let qty = match self.laws.fill {
                    FillRule::Whole => i64::MAX,
                    FillRule::Partial => {
                        let levels = self.reachable(side.opposite(), request.price.0, self.open(&request, cum));
                        self.take(side.opposite(), &levels);
                        levels.iter().map(|level| level.1).sum()
                    }
                };
                self.fill(id, qty, self.before, now);
            }
        }
    }

    /// A resting order trades up to `qty` at its own price. Nothing left to reduce: it leaves.
    fn fill(&mut self, id: OrderId, qty: i64, touch: Touch, now: Nanos) -> i64 {
        let Some(order) = self.find(id) else { return 0 };
        let (request, cum) = (order.request, order.cum);
        let qty = qty.min(self.open(&request, cum));
        if qty > 0 {
            self.execute(id, &request, request.price.0, qty, true, touch, now);
        }
        let cum = cum + qty;
        if let Some(order) = self.find(id) {
            order.cum = cum;
        }
        if cum == request.qty.0 {
            self.orders.retain(|order| order.id != id);
        } else if self.open(&request, cum) == 0 {
            self.leave(id, now);
        }
        qty
    }

    fn leave(&mut self, id: OrderId, now: Nanos) {
        let Some(order) = self.find(id) else { return };
        let cum = Lots(order.cum);
        self.orders.retain(|order| order.id != id);
        self.say(now, Event::OrderCanceled { id, cum, ts_venue: now });
    }

    #[expect(clippy::too_many_arguments, reason = "one execution has that many facts")]
    fn execute(
        &mut self,
        id: OrderId,
        request: &OrderRequest,
        price: i64,
        qty: i64,
        maker: bool,
        touch: Touch,
        now: Nanos,
    ) {
        self.position += request.side.sign() * qty;
        self.executions += 1;
        let (price, qty) = (Ticks(price), Lots(qty));
        let fee = self.meter.charge(self.instrument, price, qty, maker, now);
        let (touch_bid, touch_ask, execution) = (touch.bid, touch.ask, self.executions);
        self.say(now, Event::Filled { id, execution, price, qty, maker, fee, touch_bid, touch_ask, ts_venue: now });
    }

    fn command(&mut self, command: Command, now: Nanos) {
        match command {
            Command::Place { id, request } => self.place(id, request, now),
            Command::Cancel { id } if self.find(id).is_some() => self.leave(id, now),
            Command::Cancel { id } => {
                let reason = RejectReason::UnknownOrder;
                self.say(now, Event::CancelRefused { id, reason, ts_venue: now });
            }
            Command::CancelAll { .. } => {
                for id in self.orders.iter().map(|order| order.id).collect::<Vec<_>>() {
                    self.leave(id, now);
                }
            }
            Command::Amend { id, price, qty } => self.amend(id, price, qty, now),
        }
    }

    fn crosses(&self, side: Side, price: i64) -> bool {
        let touch = self.touch();
        match side {
            Side::Buy => price >= i64::from(touch.ask),
            Side::Sell => price <= i64::from(touch.bid),
        }
    }

    fn join(&mut self, id: OrderId, request: OrderRequest, cum: i64) {
        let book = if request.side == Side::Buy { &self.bids } else { &self.asks };
        let displayed = book.get(&(request.price.0 as i32)).copied().unwrap_or(0);
        self.orders.push(Resting { id, request, cum, place: self.laws.queue.join(displayed) });
    }

    fn place(&mut self, id: OrderId, request: OrderRequest, now: Nanos) {
        let open = self.open(&request, 0);
        let opposite = request.side.opposite();
        let touch = self.touch();
        let levels = match self.laws.fill {
            _ if !self.crosses(request.side, request.price.0) => vec![],
            FillRule::Partial => self.reachable(opposite, request.price.0, open),
            FillRule::Whole => vec![(if opposite == Side::Sell { touch.ask } else { touch.bid }, open)],
        };
        let taking: i64 = levels.iter().map(|level| level.1).sum();
        let refusal = if touch == Touch::EMPTY {
            Some(RejectReason::NoMarket)
        } else if request.reduce_only && open == 0 {
            Some(RejectReason::ReduceOnly)
        } else if request.post_only && self.crosses(request.side, request.price.0) {
            Some(RejectReason::PostOnlyWouldCross)
        } else if request.tif == Tif::Fok && taking < open {
            Some(RejectReason::NotFillable)
        } else {
            None
        };
        if let Some(reason) = refusal {
            return self.say(now, Event::OrderRejected { id, reason, ts_venue: now });
        }
        self.say(now, Event::OrderAccepted { id, ts_venue: now });
        for (tick, lots) in &levels {
            self.execute(id, &request, i64::from(*tick), *lots, false, touch, now);
        }
        self.take(opposite, &levels);
        if taking == request.qty.0 {
        } else if request.tif == Tif::Gtc && self.open(&request, taking) > 0 {
            self.join(id, request, taking);
        } else {
            self.say(now, Event::OrderCanceled { id, cum: Lots(taking), ts_venue: now });
        }
    }

    fn amend(&mut self, id: OrderId, price: Ticks, qty: Lots, now: Nanos) {
        let Some(order) = self.find(id) else {
            return self.say(now, refused(id, RejectReason::UnknownOrder, now));
        };
        let (old, cum) = (order.request, order.cum);
        if qty.0 <= cum {
            return self.leave(id, now);
        }
        let request = OrderRequest { price, qty, ..old };
        if price == old.price && qty <= old.qty {
            order.request = request;
        } else if self.touch() == Touch::EMPTY {
            return self.say(now, refused(id, RejectReason::NoMarket, now));
        } else if self.crosses(old.side, price.0) {
            return self.say(now, refused(id, RejectReason::PostOnlyWouldCross, now));
        } else {
            self.orders.retain(|order| order.id != id);
            self.join(id, request, cum);
        }
        self.say(now, Event::OrderAmended { id, price, qty, ts_venue: now });
    }
}
