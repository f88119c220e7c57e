//! The simulated venue: our orders meet a recorded market.
//!
//! ```text
//! commands ── entry latency ──> [ resting orders ] <── public messages at venue time
//!                                      │
//! events  <── response latency ────────┘
//! ```
//! What fills a resting order: a public trade at its price, once what is `ahead` of it is gone; a public trade through
//! its price; the opposite touch arriving at its price. Crossings are judged when the venue's clock moves on (or a
//! trade intervenes), so that a feed cut into smaller messages gives the same fills. While the book is crossed or
//! unknown no order is taken, none is moved and no crossing is judged; a public trade still is what it says and fills.
//!
//! Why accounts do not see each other: each is one configuration in a world of its own; only the recorded market is
//! shared.
//!
//! Known limitations: the recorded market does not react to us (no impact beyond the displayed liquidity we take, which
//! stays taken, as far as the level still displays it); hidden and iceberg size is invisible; a venue's own order
//! matching inside one timestamp is not visible either, so equal times follow the order of receipt; self-trades are
//! not detected. On a tape by order [`QueueModel::Fifo`] knows exactly what stands in front of an order, until that
//! order has traded: see `docs/tape-format.md`.

use std::collections::VecDeque;
use std::sync::Arc;

use mmbot_book::BookError;
use mmbot_tape::{Level, MessageKind, OrderKind, Tape, TradeMessage};
use mmbot_types::{
    Cash, Command, Event, Instrument, InstrumentId, Lots, Nanos, OrderId, OrderRequest, RejectReason, Side, Ticks, Tif,
    Touch,
};
use smallvec::SmallVec;

use crate::fees::FeeMeter;
use crate::latency::LatencyModel;
use crate::public::{LocalBook, PublicView, Records};
use crate::queue::{QueueModel, QueuePosition};
use crate::watch::{Slot, Watch, WatchLevel};

/// One instrument as it is listed.
pub struct VenueListing {
    /// Its recorded market.
    pub tape: Arc<Tape>,
    /// Its terms and fees (those of the tape, or what the user says).
    pub instrument: Instrument,
    /// Its laws.
    pub laws: Laws,
}

/// How much of an order a match fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillRule {
    /// What the trade or the displayed liquidity is good for.
    Partial,
    /// All of it at once, whatever the size: what most replay simulators do; kept for comparison with them.
    Whole,
}

/// The physical laws of one instrument's simulated venue.
#[derive(Clone, Debug)]
pub struct Laws {
    /// Where an order stands in line.
    pub queue: QueueModel,
    /// From us to the venue.
    pub entry: LatencyModel,
    /// From the venue to us.
    pub response: LatencyModel,
    /// How much a match fills.
    pub fill: FillRule,
    /// Liquidity that we took stays taken.
    pub consume_liquidity: bool,
    /// Keep a second full book at the venue's cursor and read from it: slower, the oracle of the thin view.
    pub full_book: bool,
    /// Notional traded before the run that counts for the fee tier.
    pub volume_before: Cash,
}

/// An order that rests at the venue.
#[derive(Clone, Debug)]
struct Resting {
    id: OrderId,
    account: u16,
    request: OrderRequest,
    tick: i32,
    cum: Lots,
    place: QueuePosition,
    /// Depth messages that had happened when it joined its queue.
    since: usize,
}

/// Displayed liquidity that one account has taken.
#[derive(Clone, Copy, Debug)]
struct Taken {
    account: u16,
    side: Side,
    level: Level,
}

impl Taken {
    fn is_at(&self, account: u16, side: Side, tick: i32) -> bool {
        (self.account, self.side, self.level.tick) == (account, side, tick)
    }
}

struct Listing {
    instrument: Arc<Instrument>,
    laws: Laws,
    view: PublicView,
    trades: usize,
    /// Order messages before this one are of depth messages that have happened.
    orders: usize,
    fundings: usize,
    buys: Watch,
    sells: Watch,
    taken: Vec<Taken>,
    /// Depth messages at the start of the group that shares one venue time.
    group_start: usize,
    resting: usize,
}

/// An answer on its way to us.
#[derive(Clone, Copy, Debug)]
pub struct Response {
    /// When we hear it.
    pub at: Nanos,
    /// What it says.
    pub event: Event,
}

#[derive(Clone, Debug)]
struct Account {
    responses: VecDeque<Response>,
    orders: Vec<(OrderId, Slot)>,
    positions: Vec<Lots>,
    meters: Vec<FeeMeter>,
    executions: u64,
    lines: Vec<Line>,
    joined: Vec<(OrderId, u32)>,
}

/// The line between an account and one listing: messages of one direction do not overtake each other, and those of
/// another listing know nothing of them.
#[derive(Clone, Copy, Debug)]
struct Line {
    sent: u64,
    answered: u64,
    last_arrival: Nanos,
    last_response: Nanos,
    /// When something last left, in each direction, and how much left at that very time before.
    sent_at: (Nanos, usize),
    answered_at: (Nanos, usize),
}

impl Default for Line {
    fn default() -> Self {
        let never = Nanos(i64::MIN);
        Self {
            sent: 0,
            answered: 0,
            last_arrival: never,
            last_response: never,
            sent_at: (never, 0),
            answered_at: (never, 0),
        }
    }
}

/// Counts a message that leaves `now`, and says how many left at the same time before it.
fn left_before(last: &mut (Nanos, usize), now: Nanos) -> usize {
    *last = (now, if last.0 == now { last.1 + 1 } else { 0 });
    last.1
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: Nanos,
    account: u16,
    instrument: InstrumentId,
    command: Command,
}

/// An order went to the back of a queue; when its account hears of it.
#[derive(Clone, Copy, Debug)]
pub struct Rested {
    /// When it is heard.
    pub at: Nanos,
    /// Whose order.
    pub account: u16,
    /// Which order.
    pub id: OrderId,
    /// Of what.
    pub instrument: InstrumentId,
    /// On which side.
    pub side: Side,
    /// At which price.
    pub tick: i32,
    /// How much of it is open.
    pub lots: u32,
    /// When it joined.
    pub ts_venue: Nanos,
}

/// The venue.
pub struct Venue {
    listings: Vec<Listing>,
    accounts: Vec<Account>,
    orders: Vec<Resting>,
    free: Vec<Slot>,
    arrivals: VecDeque<Arrival>,
    rested: VecDeque<Rested>,
    fill_heard_at: Option<Nanos>,
}

impl Listing {
    fn watch(&mut self, side: Side) -> &mut Watch {
        match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        }
    }

    /// Venue time of the next public message, trades by rank before depth.
    fn next_time(&self) -> Option<Nanos> {
        let tape = self.view.tape();
        let depth = tape.depth().get(self.view.cursor());
        match tape.placed_trades().get(self.trades) {
            Some(trade) if trade.venue_rank() as usize <= self.view.cursor() => Some(Nanos(trade.ts_venue)),
            _ => depth.map(|message| Nanos(message.ts_venue)),
        }
    }

    /// Moves over everything public up to `until` without looking: nothing of ours rests here.
    fn skip(&mut self, until: Nanos) -> Result<(), BookError> {
        let tape = Arc::clone(self.view.tape());
        while let Some(message) = tape.depth().get(self.view.cursor()).filter(|m| m.ts_venue <= until.0) {
            if self.taken.is_empty() {
                break;
            }
            let (bids, asks) = tape.levels_of(message);
            self.forget_taken(bids, asks, message.kind());
            self.view.advance()?;
        }
        let cursor = gallop(tape.depth(), self.view.cursor(), |message| message.ts_venue <= until.0);
        let trades = gallop(tape.placed_trades(), self.trades, |trade| {
            trade.ts_venue <= until.0 && trade.venue_rank() as usize <= cursor
        });
        self.view.jump(cursor)?;
        (self.trades, self.group_start) = (trades, cursor);
        Ok(())
    }

    fn forget_taken(&mut self, bids: &[Level], asks: &[Level], kind: MessageKind) {
        self.taken.retain_mut(|taken| {
            let levels = if taken.side == Side::Buy { bids } else { asks };
            let now = levels.binary_search_by_key(&taken.level.tick, |level| level.tick).map(|at| levels[at].lots);
            match (now, kind) {
                (Ok(lots), _) => taken.level.lots = taken.level.lots.min(lots),
                (Err(_), MessageKind::Delta) => {}
                (Err(_), MessageKind::Snapshot | MessageKind::Gap) => taken.level.lots = 0,
            }
            taken.level.lots > 0
        });
    }

    fn available(&self, account: u16, side: Side, level: Level) -> u32 {
        let gone = self.taken.iter().find(|taken| taken.is_at(account, side, level.tick));
        level.lots.saturating_sub(gone.map_or(0, |taken| taken.level.lots))
    }

    /// What an account can take from `side` up to `limit`, level by level, at most `wanted`.
    fn reachable(
        &self,
        local: LocalBook<'_>,
        account: u16,
        side: Side,
        limit: i32,
        wanted: Lots,
    ) -> SmallVec<[Level; 8]> {
        let (mut found, mut left) = (SmallVec::new(), wanted.0);
        self.view.sweep(local, side, limit, |level| {
            let lots = left.min(i64::from(self.available(account, side, level)));
            if lots > 0 {
                found.push(Level { tick: level.tick, lots: lots as u32 });
                left -= lots;
            }
            left > 0
        });
        found
    }

    fn take(&mut self, account: u16, side: Side, levels: &[Level]) {
        if !self.laws.consume_liquidity {
            return;
        }
        for level in levels {
            match self.taken.iter_mut().find(|taken| taken.is_at(account, side, level.tick)) {
                Some(taken) => taken.level.lots += level.lots,
                None => self.taken.push(Taken { account, side, level: *level }),
            }
        }
    }
}

/// First index at or after `from` where `pred` fails, found in steps that double.
fn gallop<T>(items: &[T], from: usize, pred: impl Fn(&T) -> bool) -> usize {
    let (mut low, mut step) = (from, 1);
    while low + step <= items.len() && pred(&items[low + step - 1]) {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(items.len());
    low + items[low..high].partition_point(pred)
}

impl Venue {
    /// A venue with these instruments, for a number of accounts that do not see each other.
    #[must_use]
    pub fn new(listings: Vec<VenueListing>, accounts: usize) -> Self {
        let listings: Vec<Listing> = listings
            .into_iter()
            .map(|VenueListing { tape, instrument, laws }| Listing {
                instrument: Arc::new(instrument),
                view: PublicView::new(tape, laws.full_book),
                laws,
                trades: 0,
                orders: 0,
                fundings: 0,
                buys: Watch::new(Side::Buy),
                sells: Watch::new(Side::Sell),
                taken: Vec::new(),
                group_start: 0,
                resting: 0,
            })
            .collect();
        let account = Account {
            responses: VecDeque::new(),
            orders: Vec::new(),
            positions: vec![Lots::ZERO; listings.len()],
            meters: listings.iter().map(|l| FeeMeter::new(&l.instrument, l.laws.volume_before)).collect(),
            executions: 0,
            lines: vec![Line::default(); listings.len()],
            joined: Vec::new(),
        };
        Self {
            listings,
            accounts: vec![account; accounts],
            orders: Vec::new(),
            free: Vec::new(),
            arrivals: VecDeque::new(),
            rested: VecDeque::new(),
            fill_heard_at: None,
        }
    }

    /// Takes a command that left us at `now`; it arrives after the entry latency, behind all that the account sent
    /// before.
    pub fn accept(&mut self, account: u16, instrument: InstrumentId, command: Command, now: Nanos) {
        let line = &mut self.accounts[account as usize].lines[instrument.0 as usize];
        let before = left_before(&mut line.sent_at, now);
        let latency = self.listings[instrument.0 as usize].laws.entry.latency_after(now, line.sent, before);
        line.sent += 1;
        let at = (now + latency).max(line.last_arrival);
        line.last_arrival = at;
        let behind = self.arrivals.iter().rposition(|arrival| arrival.at <= at).map_or(0, |index| index + 1);
        self.arrivals.insert(behind, Arrival { at, account, instrument, command });
    }

    /// The next order that went to the back of its queue, if its account hears of it by `until`.
    pub fn next_rested(&mut self, until: Nanos) -> Option<Rested> {
        self.rested.front().is_some_and(|rested| rested.at <= until).then(|| self.rested.pop_front()).flatten()
    }

    /// When the next of our commands arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Nanos> {
        self.arrivals.front().map(|arrival| arrival.at)
    }

    /// The next answer that an account hears by `now`.
    pub fn next_response(&mut self, account: u16, now: Nanos) -> Option<Response> {
        let responses = &mut self.accounts[account as usize].responses;
        responses.front().is_some_and(|response| response.at <= now).then(|| responses.pop_front()).flatten()
    }

    /// When an account hears its next fill, of those that have happened.
    #[must_use]
    pub fn next_fill_heard(&self, account: u16) -> Option<Nanos> {
        let mut responses = self.accounts[account as usize].responses.iter();
        responses.find(|response| matches!(response.event, Event::Filled { .. })).map(|response| response.at)
    }

    /// When the earliest fill is heard that happened since this was last asked.
    pub fn take_fill_heard_at(&mut self) -> Option<Nanos> {
        self.fill_heard_at.take()
    }

    /// Lots displayed ahead of each order when it joined its queue, in the order of joining; forgotten once taken.
    pub fn take_joined(&mut self, account: u16) -> Vec<(OrderId, u32)> {
        std::mem::take(&mut self.accounts[account as usize].joined)
    }

    /// The public view of one instrument.
    #[must_use]
    pub fn view(&self, instrument: InstrumentId) -> &PublicView {
        &self.listings[instrument.0 as usize].view
    }

    /// Lets the public market happen up to and including `until`, or until a fill, if `stop_at_fill`.
    ///
    /// No command may arrive before `until` (the caller stops at each arrival).
    ///
    /// # Errors
    /// [`BookError`] for a tape that no book can take.
    pub fn run(&mut self, books: &[LocalBook<'_>], until: Nanos, stop_at_fill: bool) -> Result<(), BookError> {
        self.fill_heard_at = None;
        loop {
            // Earliest public message among the instruments where something of ours rests.
            let busy = |listing: &Listing| listing.resting > 0;
            let mut next: Option<(Nanos, usize)> = None;
            let mut bound = until;
            for (index, listing) in self.listings.iter().enumerate().filter(|(_, listing)| busy(listing)) {
                let Some(time) = listing.next_time().filter(|time| *time <= until) else { continue };
                match next {
                    Some((first, _)) if first <= time => bound = bound.min(Nanos(time.0 - 1)),
                    Some((first, _)) => {
                        bound = bound.min(Nanos(first.0 - 1));
                        next = Some((time, index));
                    }
                    None => next = Some((time, index)),
                }
            }
            let Some((time, index)) = next else { return Ok(()) };
            self.run_one(index, books[index], bound.max(time), stop_at_fill)?;
            if stop_at_fill && self.fill_heard_at.is_some() {
                return Ok(());
            }
        }
    }

    /// One instrument up to and including `until`, while something of ours rests there.
    fn run_one(
        &mut self,
        index: usize,
        local: LocalBook<'_>,
        until: Nanos,
        stop_at_fill: bool,
    ) -> Result<(), BookError> {
        let tape = Arc::clone(self.listings[index].view.tape());
        let records = Records::placed(&tape);
        while self.listings[index].resting > 0 && !(stop_at_fill && self.fill_heard_at.is_some()) {
            let listing = &mut self.listings[index];
            let cursor = listing.view.cursor();
            let is_next = |trade: &TradeMessage| trade.venue_rank() as usize <= cursor;
            // Trades that do not reach us pass in a tight loop.
            let ours = (listing.buys.reach(), listing.sells.reach());
            let next = records.trades[listing.trades..].iter().position(|trade| {
                let concerns = match trade.aggressor() {
                    Side::Sell => i64::from(trade.tick) <= ours.0,
                    Side::Buy => -i64::from(trade.tick) <= ours.1,
                };
                concerns || !is_next(trade) || trade.ts_venue > until.0
            });
            listing.trades = next.map_or(records.trades.len(), |skipped| listing.trades + skipped);
            if let Some(trade) = records.trades.get(listing.trades).filter(|trade| is_next(trade)) {
                if trade.ts_venue > until.0 {
                    return Ok(());
                }
                listing.trades += 1;
                let level = Level { tick: trade.tick, lots: trade.lots };
                self.traded(index, trade.aggressor().opposite(), level, Nanos(trade.ts_venue));
                continue;
            }
            let Some(message) = records.depth.get(cursor).filter(|message| message.ts_venue <= until.0) else {
                return Ok(());
            };
            self.depth_changed(index, &records)?;
            // Crossings are judged at the end of a group of messages of one venue time.
            let listing = &mut self.listings[index];
            let trade_next =
                records.trades.get(listing.trades).is_some_and(|trade| trade.venue_rank() as usize <= cursor + 1);
            if trade_next || records.depth.get(cursor + 1).is_none_or(|next| next.ts_venue != message.ts_venue) {
                if listing.buys.reaches(message.ask) || listing.sells.reaches(message.bid) {
                    self.crossed(index, local, Nanos(message.ts_venue));
                }
                let listing = &mut self.listings[index];
                listing.group_start = listing.view.cursor();
            }
        }
        Ok(())
    }

    /// Lets the next depth message happen and tells the orders at its levels.
    fn depth_changed(&mut self, index: usize, records: &Records<'_>) -> Result<(), BookError> {
        let listing = &mut self.listings[index];
        let message = &records.depth[listing.view.cursor()];
        listing.view.advance()?;
        let (bids, asks) = records.levels_of(message);
        let kind = message.kind();
        if !listing.taken.is_empty() {
            listing.forget_taken(bids, asks, kind);
        }
        if kind == MessageKind::Gap {
            return Ok(());
        }
        let model = listing.laws.queue;
        if model == QueueModel::Fifo {
            self.tell_cancels(index);
        }
        let listing = &self.listings[index];
        let mut tell = |level: &WatchLevel, lots: Option<u32>| {
            // A snapshot that does not name a level says that nothing is there.
            let Some(lots) = lots.or((kind == MessageKind::Snapshot).then_some(0)) else { return };
            for slot in &level.slots {
                model.on_depth(&mut self.orders[*slot as usize].place, lots);
            }
        };
        // Levels ascend: bids are met from the end, asks from the front, both walking away from the touch.
        let mut left = bids;
        for level in listing.buys.levels() {
            let above = left.iter().rev().take_while(|seen| seen.tick > level.tick).count();
            left = &left[..left.len() - above];
            tell(level, left.last().filter(|seen| seen.tick == level.tick).map(|seen| seen.lots));
        }
        let mut left = asks;
        for level in listing.sells.levels() {
            let below = left.iter().take_while(|seen| seen.tick < level.tick).count();
            left = &left[below..];
            tell(level, left.first().filter(|seen| seen.tick == level.tick).map(|seen| seen.lots));
        }
        Ok(())
    }

    /// Tells the orders at a level which public orders have left it by the last depth message, and where those stood.
    /// What was executed is a trade, and is told as one.
    fn tell_cancels(&mut self, index: usize) {
        let listing = &mut self.listings[index];
        let tape = Arc::clone(listing.view.tape());
        let (told, last) = (tape.orders(), listing.view.cursor() - 1);
        listing.orders = gallop(told, listing.orders, |order| (order.depth as usize) < last);
        for left in told[listing.orders..].iter().take_while(|order| order.depth as usize == last) {
            if !matches!(left.kind(), OrderKind::Reduce | OrderKind::Remove) {
                continue;
            }
            let levels = listing.watch(left.side()).levels();
            let ours = levels.iter().find(|level| level.tick == left.tick).map_or(&[][..], |level| &level.slots);
            for slot in ours {
                let order = &mut self.orders[*slot as usize];
                order.place.on_cancel(f64::from(left.lots), (left.since as usize) < order.since);
            }
        }
    }

    /// A public trade reached prices where own orders stand.
    fn traded(&mut self, index: usize, side: Side, trade: Level, ts: Nanos) {
        let listing = &mut self.listings[index];
        let (model, rule) = (listing.laws.queue, listing.laws.fill);
        let mut used: SmallVec<[(u16, i64); 4]> = SmallVec::new(); // what each account got of this trade already
        let mut slots: SmallVec<[Slot; 4]> = SmallVec::new();
        let watch = listing.watch(side);
        let rank = watch.rank(trade.tick);
        for level in watch.levels().iter().take_while(|level| watch.rank(level.tick) >= rank) {
            slots.extend_from_slice(&level.slots);
        }
        let touch = listing.view.touch();
        for slot in slots {
            let order = &mut self.orders[slot as usize];
            let account = order.account;
            let good_for = if order.tick == trade.tick {
                model.on_trade(&mut order.place, trade.lots);
                // Places are estimates: what went past us is the nearest whole lot; less than half a lot is nothing.
                order.place.past().round() as i64
            } else {
                i64::from(trade.lots)
            };
            let mine = used.iter().position(|(got, _)| *got == account);
            let before = mine.map_or(0, |at| used[at].1);
            let lots = match rule {
                FillRule::Whole if good_for > 0 => i64::MAX,
                FillRule::Whole => 0,
                FillRule::Partial => (good_for - before).max(0),
            };
            if lots > 0 {
                let filled = self.fill(index, slot, Lots(lots), touch, ts).0;
                match mine {
                    Some(at) => used[at].1 += filled,
                    None => used.push((account, filled)),
                }
            }
        }
    }

    /// The opposite touch may have arrived at own orders.
    fn crossed(&mut self, index: usize, local: LocalBook<'_>, ts: Nanos) {
        let touch = self.listings[index].view.touch();
        for (side, opposite) in [(Side::Sell, touch.bid), (Side::Buy, touch.ask)] {
            if !self.listings[index].watch(side).reaches(opposite) || touch == Touch::EMPTY {
                continue;
            }
            let mut slots: SmallVec<[Slot; 8]> = SmallVec::new();
            let watch = self.listings[index].watch(side);
            let rank = watch.rank(opposite);
            for level in watch.levels().iter().take_while(|level| watch.rank(level.tick) >= rank) {
                slots.extend_from_slice(&level.slots);
            }
            let before = self.listings[index].view.touch_after(self.listings[index].group_start);
            for slot in slots {
                let order = &self.orders[slot as usize];
                let (account, tick, leaves) = (order.account, order.tick, self.open(order));
                let listing = &mut self.listings[index];
                let qty = match listing.laws.fill {
                    FillRule::Whole => leaves,
                    FillRule::Partial => {
                        let levels = listing.reachable(local, account, side.opposite(), tick, leaves);
                        listing.take(account, side.opposite(), &levels);
                        levels.iter().map(|level| Lots(i64::from(level.lots))).sum()
                    }
                };
                self.fill(index, slot, qty, before, ts);
            }
        }
    }

    /// What of an order may still trade: a reduce-only one never more than there is to reduce.
    fn open(&self, order: &Resting) -> Lots {
        let leaves = order.request.qty - order.cum;
        if order.request.reduce_only { leaves.min(self.reducible(order.account, &order.request)) } else { leaves }
    }

    /// Books a maker fill of at most `qty` of a resting order, and says how much it was.
    /// A reduce-only order that has nothing left to reduce leaves, as the venue would have it.
    fn fill(&mut self, index: usize, slot: Slot, qty: Lots, touch: Touch, ts: Nanos) -> Lots {
        let order = &self.orders[slot as usize];
        let (account, id, request) = (order.account, order.id, order.request);
        let qty = qty.min(self.open(order));
        if qty > Lots::ZERO {
            self.orders[slot as usize].cum += qty;
            self.execute(index, account, id, &request, request.price, qty, true, touch, ts);
        }
        let order = &self.orders[slot as usize];
        let cum = order.cum;
        if cum == request.qty {
            self.remove(index, slot);
        } else if self.open(order) == Lots::ZERO {
            self.remove(index, slot);
            self.answer(account, request.instrument, ts, Event::OrderCanceled { id, cum, ts_venue: ts });
        }
        qty
    }

    #[expect(clippy::too_many_arguments, reason = "one execution has that many facts")]
    fn execute(
        &mut self,
        index: usize,
        account: u16,
        id: OrderId,
        request: &OrderRequest,
        price: Ticks,
        qty: Lots,
        maker: bool,
        touch: Touch,
        ts_venue: Nanos,
    ) {
        let instrument = Arc::clone(&self.listings[index].instrument);
        let holder = &mut self.accounts[account as usize];
        holder.executions += 1;
        holder.positions[index].0 += request.side.sign() * qty.0;
        let fee = holder.meters[index].charge(&instrument, price, qty, maker, ts_venue);
        let execution = holder.executions;
        let (touch_bid, touch_ask) = (touch.bid, touch.ask);
        let event = Event::Filled { id, execution, price, qty, maker, fee, touch_bid, touch_ask, ts_venue };
        let heard = self.answer(account, request.instrument, ts_venue, event);
        self.fill_heard_at = Some(self.fill_heard_at.map_or(heard, |first| first.min(heard)));
    }

    fn answer(&mut self, account: u16, instrument: InstrumentId, now: Nanos, event: Event) -> Nanos {
        let holder = &mut self.accounts[account as usize];
        let line = &mut holder.lines[instrument.0 as usize];
        let before = left_before(&mut line.answered_at, now);
        let latency = self.listings[instrument.0 as usize].laws.response.latency_after(now, line.answered, before);
        line.answered += 1;
        let at = (now + latency).max(line.last_response);
        line.last_response = at;
        let behind = holder.responses.iter().rposition(|response| response.at <= at).map_or(0, |index| index + 1);
        holder.responses.insert(behind, Response { at, event });
        at
    }

    fn reducible(&self, account: u16, request: &OrderRequest) -> Lots {
        let position = self.accounts[account as usize].positions[request.instrument.0 as usize];
        Lots((-request.side.sign() * position.0).max(0))
    }

    fn remove(&mut self, index: usize, slot: Slot) {
        let order = &self.orders[slot as usize];
        let (id, account, side, tick) = (order.id, order.account, order.request.side, order.tick);
        let listing = &mut self.listings[index];
        listing.watch(side).remove(tick, slot);
        listing.resting -= 1;
        self.accounts[account as usize].orders.retain(|(held, _)| *held != id);
        self.free.push(slot);
    }

    /// Lets the first command arrive and be answered.
    ///
    /// # Errors
    /// [`BookError`] for a tape that no book can take.
    pub fn arrive(&mut self, books: &[LocalBook<'_>]) -> Result<(), BookError> {
        let Some(Arrival { at, account, instrument, command }) = self.arrivals.pop_front() else { return Ok(()) };
        match command {
            Command::Place { id, request } => self.place(books, account, id, request, at)?,
            Command::Amend { id, price, qty } => self.amend(books, account, (instrument, id), price, qty, at),
            Command::Cancel { id } => self.cancel(account, instrument, id, at),
            Command::CancelAll { instrument } => {
                let held = self.accounts[account as usize].orders.clone();
                for (id, slot) in held {
                    if self.orders[slot as usize].request.instrument == instrument {
                        self.cancel(account, instrument, id, at);
                    }
                }
            }
        }
        Ok(())
    }

    fn refuse(&mut self, account: u16, instrument: InstrumentId, id: OrderId, reason: RejectReason, now: Nanos) {
        self.answer(account, instrument, now, Event::OrderRejected { id, reason, ts_venue: now });
    }

    fn place(
        &mut self,
        books: &[LocalBook<'_>],
        account: u16,
        id: OrderId,
        request: OrderRequest,
        now: Nanos,
    ) -> Result<(), BookError> {
        let instrument = request.instrument;
        let index = instrument.0 as usize;
        if self.listings[index].resting == 0 {
            self.listings[index].skip(now)?;
        }
        let Ok(tick) = i32::try_from(request.price.0) else {
            self.refuse(account, instrument, id, RejectReason::Invalid, now);
            return Ok(());
        };
        let touch = self.listings[index].view.touch();
        let order = Resting {
            id,
            account,
            request,
            tick,
            cum: Lots::ZERO,
            place: self.listings[index].laws.queue.join(0),
            since: 0,
        };
        let open = self.open(&order);
        let takes = match request.side {
            Side::Buy => tick >= touch.ask,
            Side::Sell => tick <= touch.bid,
        };
        let levels = if takes { self.takeable(index, books[index], &order, open) } else { SmallVec::new() };
        let taking: Lots = levels.iter().map(|level| Lots(i64::from(level.lots))).sum();
        let refusal = if touch == Touch::EMPTY {
            Some(RejectReason::NoMarket)
        } else if request.reduce_only && open == Lots::ZERO {
            Some(RejectReason::ReduceOnly)
        } else if request.qty <= Lots::ZERO || tick <= 0 {
            Some(RejectReason::Invalid)
        } else if takes && request.post_only {
            Some(RejectReason::PostOnlyWouldCross)
        } else if request.tif == Tif::Fok && taking < open {
            Some(RejectReason::NotFillable)
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.refuse(account, instrument, id, reason, now);
            return Ok(());
        }
        let heard = self.answer(account, instrument, now, Event::OrderAccepted { id, ts_venue: now });
        for level in &levels {
            let (price, qty) = (Ticks(i64::from(level.tick)), Lots(i64::from(level.lots)));
            self.execute(index, account, id, &request, price, qty, false, touch, now);
        }
        self.listings[index].take(account, request.side.opposite(), &levels);
        let order = Resting { cum: taking, ..order };
        if taking < request.qty {
            if request.tif == Tif::Gtc && self.open(&order) > Lots::ZERO {
                self.join(index, books[index], order, now, heard);
            } else {
                self.answer(account, instrument, now, Event::OrderCanceled { id, cum: taking, ts_venue: now });
            }
        }
        Ok(())
    }

    /// What an arriving order takes: by the displayed levels, or all at the touch under [`FillRule::Whole`].
    fn takeable(&self, index: usize, local: LocalBook<'_>, order: &Resting, open: Lots) -> SmallVec<[Level; 8]> {
        let listing = &self.listings[index];
        let side = order.request.side.opposite();
        match listing.laws.fill {
            FillRule::Partial => listing.reachable(local, order.account, side, order.tick, open),
            FillRule::Whole => {
                let touch = listing.view.touch();
                let tick = if side == Side::Sell { touch.ask } else { touch.bid };
                let lots = u32::try_from(open.0).unwrap_or(u32::MAX);
                SmallVec::from_slice(&[Level { tick, lots }])
            }
        }
    }

    /// Puts an order at the back of its queue.
    /// `heard`: when its account hears of it.
    fn join(&mut self, index: usize, local: LocalBook<'_>, mut order: Resting, now: Nanos, heard: Nanos) {
        let (account, id, side, tick) = (order.account, order.id, order.request.side, order.tick);
        let listing = &mut self.listings[index];
        let displayed = listing.view.lots(local, side, tick);
        order.place = listing.laws.queue.join(displayed);
        order.since = listing.view.cursor();
        let lots = u32::try_from((order.request.qty - order.cum).0).unwrap_or(u32::MAX);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.orders[slot as usize] = order;
                slot
            }
            None => {
                self.orders.push(order);
                (self.orders.len() - 1) as Slot
            }
        };
        listing.watch(side).insert(tick, slot);
        listing.resting += 1;
        let holder = &mut self.accounts[account as usize];
        holder.orders.push((id, slot));
        holder.joined.push((id, displayed));
        let instrument = InstrumentId(index as u16);
        let rested = Rested { at: heard, account, id, instrument, side, tick, lots, ts_venue: now };
        let behind = self.rested.iter().rposition(|earlier| earlier.at <= heard).map_or(0, |index| index + 1);
        self.rested.insert(behind, rested);
    }

    fn held(&self, account: u16, id: OrderId) -> Option<Slot> {
        self.accounts[account as usize].orders.iter().find(|(held, _)| *held == id).map(|(_, slot)| *slot)
    }

    fn cancel(&mut self, account: u16, instrument: InstrumentId, id: OrderId, now: Nanos) {
        match self.held(account, id) {
            Some(slot) => {
                let order = &self.orders[slot as usize];
                let (instrument, cum) = (order.request.instrument, order.cum);
                self.remove(instrument.0 as usize, slot);
                self.answer(account, instrument, now, Event::OrderCanceled { id, cum, ts_venue: now });
            }
            None => {
                let reason = RejectReason::UnknownOrder;
                self.answer(account, instrument, now, Event::CancelRefused { id, reason, ts_venue: now });
            }
        }
    }

    fn refuse_amend(&mut self, account: u16, instrument: InstrumentId, id: OrderId, reason: RejectReason, now: Nanos) {
        self.answer(account, instrument, now, Event::AmendRefused { id, reason, ts_venue: now });
    }

    /// New terms. Less quantity at the same price keeps the place in line; anything else goes to the back.
    /// An amend that would take liquidity is refused: venues differ here, and a maker wants to know. So is a move in a
    /// market that is not known: nobody can say whether it would.
    fn amend(
        &mut self,
        books: &[LocalBook<'_>],
        account: u16,
        (instrument, id): (InstrumentId, OrderId),
        price: Ticks,
        qty: Lots,
        now: Nanos,
    ) {
        let (slot, tick) = match (self.held(account, id), i32::try_from(price.0)) {
            (Some(slot), Ok(tick)) if tick > 0 && qty > Lots::ZERO => (slot, tick),
            (None, _) => return self.refuse_amend(account, instrument, id, RejectReason::UnknownOrder, now),
            _ => return self.refuse_amend(account, instrument, id, RejectReason::Invalid, now),
        };
        let order = self.orders[slot as usize].clone();
        let index = instrument.0 as usize;
        if qty <= order.cum {
            return self.cancel(account, instrument, id, now);
        }
        let keeps_place = tick == order.tick && qty <= order.request.qty;
        let touch = self.listings[index].view.touch();
        let takes = match order.request.side {
            Side::Buy => tick >= touch.ask,
            Side::Sell => tick <= touch.bid,
        };
        if !keeps_place && touch == Touch::EMPTY {
            return self.refuse_amend(account, instrument, id, RejectReason::NoMarket, now);
        }
        if !keeps_place && takes {
            return self.refuse_amend(account, instrument, id, RejectReason::PostOnlyWouldCross, now);
        }
        let request = OrderRequest { price, qty, ..order.request };
        let at = self.answer(account, instrument, now, Event::OrderAmended { id, price, qty, ts_venue: now });
        if keeps_place {
            self.orders[slot as usize].request = request;
        } else {
            self.remove(index, slot);
            self.join(index, books[index], Resting { request, tick, ..order }, now, at);
        }
    }

    /// When funding settles next.
    #[must_use]
    pub fn next_funding(&self) -> Option<Nanos> {
        let next = |listing: &Listing| listing.view.tape().funding().get(listing.fundings).map(|f| Nanos(f.ts_venue));
        self.listings.iter().filter_map(next).min()
    }

    /// Settles the funding that is due at `now`: longs pay a positive rate on the mark notional.
    pub fn settle_funding(&mut self, now: Nanos) {
        for index in 0..self.listings.len() {
            let listing = &mut self.listings[index];
            let due = listing.view.tape().funding().get(listing.fundings).copied();
            let Some(record) = due.filter(|record| record.ts_venue <= now.0) else { continue };
            listing.fundings += 1;
            let instrument = Arc::clone(&listing.instrument);
            for account in 0..self.accounts.len() {
                let position = self.accounts[account].positions[index];
                if position == Lots::ZERO {
                    continue;
                }
                let notional = instrument.notional(Ticks(record.mark), position.abs());
                let amount = instrument.fee(notional, -record.rate * position.0.signum());
                let id = InstrumentId(index as u16);
                self.answer(account as u16, id, now, Event::FundingPaid { instrument: id, amount, ts_venue: now });
            }
        }
    }

    /// Panics where the venue's own records disagree.
    pub fn check_invariants(&self) {
        for listing in &self.listings {
            let hanging = |watch: &Watch| watch.levels().iter().map(|level| level.slots.len()).sum::<usize>();
            assert_eq!(listing.resting, hanging(&listing.buys) + hanging(&listing.sells), "resting orders are watched");
        }
        let held: usize = self.accounts.iter().map(|account| account.orders.len()).sum();
        let resting: usize = self.listings.iter().map(|listing| listing.resting).sum();
        assert_eq!(held, resting, "every resting order has an owner");
    }
}
