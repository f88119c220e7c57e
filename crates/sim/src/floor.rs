//! The floor of an exchange: public liquidity and clients' orders in one price-time book.
//!
//! ```text
//! one price   first [ public 5 ][ client A 2 ][ public 3 ][ client B 1 ] last
//!             a trade of 6 eats 5 of the public and 1 of A; the next growth joins behind B
//! ```
//! A recording knows the public by level only. Here its lots stand in line as orders of nobody, and clients stand
//! between them as they came, so a client's place is a fact of this book and no estimate.
//!
//! - A depth message sets the public lots of its levels: less leaves first ([`Cancels`] says where from), then more
//!   joins the back. What a trade ate is gone already, so the message that reports it takes nothing twice.
//! - What joins at a price that a client reaches trades with the client, who is the maker. Where it meets public
//!   liquidity instead, the older of the two is gone: a recording does not cross itself, so it was stale.
//! - What clients took stays taken until the recording next speaks of that level.
//!
//! Not handled: hidden and iceberg quantity; a public that reacts to clients; crossings judged by venue time (the venue
//! of `venue` waits for the end of a group of equal times, this one judges each message).

use std::collections::BTreeMap;
use std::mem;

use mmbot_book::{BookError, L3Book, RestingOrder, TICK_MAX};
use mmbot_tape::{MessageKind, Section, Tape, TapeError};
use mmbot_types::{Level, NO_ASK, NO_BID, OrderId, Side, Touch};
use rustc_hash::FxHashMap;

use crate::matching::{Fill, LimitOrder, MatchError, MatchingBook, SelfTrade, reaches};

/// Who is first when public lots leave a price without a trade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cancels {
    /// The last in line: the pessimist's rule, a client moves up only when nobody is left behind.
    #[default]
    Behind,
    /// Everywhere in line in proportion to what stands there.
    Proportional,
}

/// The public's name in fills.
pub const PUBLIC: OrderId = OrderId(0);

/// Orders of the public have this bit; clients' have not.
const OF_PUBLIC: u64 = 1 << 63;

/// Why the floor refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FloorError {
    /// The book or the terms.
    #[error(transparent)]
    Match(#[from] MatchError),
    /// An id that only the public may have.
    #[error("order id {0} is outside 1 to 2^63 - 1")]
    Id(u64),
    /// Nobody can not place an order.
    #[error("order {} has owner 0, which is the public; clients are 1 to 2^32 - 1", id.0)]
    Owner {
        /// Which order.
        id: OrderId,
    },
}

impl From<BookError> for FloorError {
    fn from(error: BookError) -> Self {
        Self::Match(error.into())
    }
}

/// What a client's request did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Trades in the order they happened; the public side is [`PUBLIC`].
    pub fills: Vec<Fill>,
    /// Resting orders that self-trade prevention took out, as they were.
    pub withdrawn: Vec<RestingOrder>,
    /// Lots of the request that did not trade.
    pub remaining: u32,
    /// Whether they rest in the book now.
    pub resting: bool,
    /// Whether self-trade prevention took them out.
    pub stopped: bool,
}

/// The public met a client's resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The client is its maker, [`PUBLIC`] its taker.
    pub fill: Fill,
    /// What the public did.
    pub aggressor: Side,
}

/// A hit while a tape played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// What happened.
    pub hit: Hit,
    /// Venue time of its cause.
    pub ts_venue: i64,
    /// The trade that caused it, by its index; none when liquidity came to rest across the client's price.
    pub trade: Option<usize>,
}

/// Best levels, bids and asks from the touch outward.
pub type Depth = [Vec<(i32, u64)>; 2];

/// A place on a tape: the next depth message and the next trade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Index of the next depth message.
    pub depth: usize,
    /// Index of the next trade.
    pub trade: usize,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Floor {
    matching: MatchingBook,
    cancels: Cancels,
    hides_clients: bool,
    /// Lots of clients per price: by side and tick, looked up and never walked.
    clients: FxHashMap<i64, u64>,
    clients_resting: usize,
    named: u64,
    version: u64,
    published: BTreeMap<usize, Depth>,
    line: Vec<RestingOrder>,
}

fn key(side: Side, tick: i32) -> i64 {
    side.sign() * i64::from(tick)
}

const fn is_public(id: OrderId) -> bool {
    id.0 & OF_PUBLIC != 0
}

impl Floor {
    /// An empty floor. `show_clients`: whether clients' orders are part of what it displays.
    #[must_use]
    pub fn new(cancels: Cancels, show_clients: bool) -> Self {
        Self { cancels, hides_clients: !show_clients, ..Self::default() }
    }

    /// Everything that rests.
    #[must_use]
    pub fn book(&self) -> &L3Book {
        &self.matching.book
    }

    /// Grows whenever the book changes.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// How many orders of clients rest.
    #[must_use]
    pub const fn clients_resting(&self) -> usize {
        self.clients_resting
    }

    // --- the public ---

    /// Sets the public lots of ascending levels; a snapshot also clears all others. Hits are appended to `hits`.
    ///
    /// # Errors
    /// [`BookError::Tick`] and [`BookError::Scattered`]; the book is then as before.
    pub fn public_depth(
        &mut self,
        snapshot: bool,
        bids: &[Level],
        asks: &[Level],
        hits: &mut Vec<Hit>,
    ) -> Result<(), BookError> {
        let sides = [(Side::Buy, bids), (Side::Sell, asks)];
        for (side, levels) in sides {
            self.book().check_levels(side, levels)?;
        }
        self.version += 1;
        for (side, levels) in sides {
            if snapshot {
                self.clear_public_except(side, levels);
            }
            for &level in levels {
                let now = self.public_lots(side, level.tick);
                let left = u64::from(level.lots);
                if left < now {
                    self.leave(side, level.tick, now - left);
                }
            }
        }
        bids.iter().rev().for_each(|&level| self.rise_to(Side::Buy, level, hits));
        asks.iter().for_each(|&level| self.rise_to(Side::Sell, level, hits));
        Ok(())
    }

    /// Somebody of the public took `lots` at `tick`. Hits are appended to `hits`.
    ///
    /// Clients at better prices come first, at their prices, and use up the print; public liquidity there is gone,
    /// since a print shows that the aggressor got past it.
    pub fn public_trade(&mut self, aggressor: Side, tick: i32, lots: u32, hits: &mut Vec<Hit>) {
        self.version += 1;
        let side = aggressor.opposite();
        let mut left = lots;
        let mut line = mem::take(&mut self.line);
        let is_better = |&(better, _): &(i32, u64)| better != tick && reaches(aggressor, tick, better);
        line.extend(
            self.book().levels(side).take_while(is_better).flat_map(|(better, _)| self.book().orders_at(side, better)),
        );
        for order in line.drain(..) {
            if is_public(order.id) {
                self.take_out(order);
            } else {
                left -= self.hit(order, left, hits);
            }
        }
        self.line = line;
        while left > 0
            && let Some(first) = self.first_at(side, tick)
        {
            left -= self.hit(first, left, hits);
        }
    }

    /// What a depth message of a tape says; a gap says nothing, because the exchange itself misses none.
    ///
    /// # Errors
    /// As [`Self::public_depth`], and [`TapeError`] for a damaged tape.
    pub fn apply(&mut self, tape: &Tape, index: usize, hits: &mut Vec<Hit>) -> Result<(), PlayError> {
        tape.verify_upto(Section::Depth, index + 1)?;
        let message = tape.depth().get(index).ok_or(PlayError::Beyond { section: Section::Depth, index })?;
        let end = message.first() as usize + message.n_bid as usize + message.n_ask as usize;
        tape.verify_upto(Section::Levels, end)?;
        let (bids, asks) = tape.levels_of(message);
        match message.kind() {
            MessageKind::Gap => Ok(()),
            kind => Ok(self.public_depth(kind == MessageKind::Snapshot, bids, asks, hits)?),
        }
    }

    /// What a trade of a tape says.
    ///
    /// # Errors
    /// [`TapeError`] for a damaged tape.
    pub fn apply_trade(&mut self, tape: &Tape, index: usize, hits: &mut Vec<Hit>) -> Result<(), PlayError> {
        tape.verify_upto(Section::Trades, index + 1)?;
        let trade = tape.trades().get(index).ok_or(PlayError::Beyond { section: Section::Trades, index })?;
        self.public_trade(trade.aggressor(), trade.tick, trade.lots, hits);
        Ok(())
    }

    /// Everything from `cursor` on whose venue time is at most `until_ns`, in venue order. Returns where it stopped;
    /// hits are appended with their causes.
    ///
    /// # Errors
    /// As [`Self::apply`]; what came before the fault has happened.
    pub fn play(
        &mut self,
        tape: &Tape,
        mut cursor: Cursor,
        until_ns: i64,
        hits: &mut Vec<Played>,
    ) -> Result<Cursor, PlayError> {
        let mut made = Vec::new();
        loop {
            tape.verify_upto(Section::Trades, cursor.trade + 1)?;
            tape.verify_upto(Section::Depth, cursor.depth + 1)?;
            let depth = tape.depth().get(cursor.depth).map(|message| message.ts_venue);
            let trade = tape.trades().get(cursor.trade);
            let is_trade_next = trade.is_some_and(|t| depth.is_none() || t.venue_rank() as usize <= cursor.depth);
            let next = if is_trade_next { trade.map(|t| t.ts_venue) } else { depth };
            let Some(ts) = next.filter(|&ts| ts <= until_ns) else { return Ok(cursor) };
            let trade = is_trade_next.then_some(cursor.trade);
            if is_trade_next {
                self.apply_trade(tape, cursor.trade, &mut made)?;
                cursor.trade += 1;
            } else {
                self.apply(tape, cursor.depth, &mut made)?;
                cursor.depth += 1;
            }
            hits.extend(made.drain(..).map(|hit| Played { hit, ts_venue: ts, trade }));
        }
    }

    // --- clients ---

    /// A client's order: it trades at its price or better, and what is left rests or is gone.
    ///
    /// # Errors
    /// [`FloorError`]; the book is then as before.
    pub fn place(&mut self, request: LimitOrder, rule: SelfTrade) -> Result<Outcome, FloorError> {
        let id = request.order.id;
        if id == PUBLIC || is_public(id) {
            return Err(FloorError::Id(id.0));
        }
        if request.order.owner == 0 {
            return Err(FloorError::Owner { id });
        }
        let outcome = told(self.matching.limit_under(request, rule)?);
        self.version += 1;
        self.account(&outcome, request.order);
        Ok(outcome)
    }

    /// Changes price and open lots of a client's order. Fewer lots at the same price keep the place in line; otherwise
    /// it arrives anew, and may trade.
    ///
    /// # Errors
    /// [`FloorError`]; the order then rests as before.
    pub fn amend(
        &mut self,
        id: OrderId,
        tick: i32,
        lots: u32,
        post_only: bool,
        rule: SelfTrade,
    ) -> Result<Outcome, FloorError> {
        let old = self.client(id)?;
        let outcome = told(self.matching.amend_under(id, tick, lots, post_only, rule)?);
        self.version += 1;
        self.count(old.side, old.tick, u64::from(old.lots), false);
        self.clients_resting -= 1;
        self.account(&outcome, RestingOrder { tick, lots, ..old });
        Ok(outcome)
    }

    /// Takes a client's order out. Returns it as it was.
    ///
    /// # Errors
    /// [`BookError::Unknown`].
    pub fn cancel(&mut self, id: OrderId) -> Result<RestingOrder, FloorError> {
        let order = self.client(id)?;
        self.version += 1;
        self.take_out(order);
        Ok(order)
    }

    /// A client's resting order.
    ///
    /// # Errors
    /// [`BookError::Unknown`].
    pub fn client(&self, id: OrderId) -> Result<RestingOrder, FloorError> {
        let order = self.book().order(id).filter(|order| !is_public(order.id));
        Ok(order.ok_or(BookError::Unknown { id })?)
    }

    // --- what is displayed ---

    /// Displayed prices from the touch outward with their lots.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (i32, u64)> {
        let shown = move |(tick, lots)| (tick, lots - if self.hides_clients { self.clients_at(side, tick) } else { 0 });
        self.book().levels(side).map(shown).filter(|&(_, lots)| lots > 0)
    }

    /// Best displayed bid and ask.
    #[must_use]
    pub fn touch(&self) -> Touch {
        if !self.hides_clients {
            return self.matching.touch();
        }
        let best = |side| self.levels(side).next().map(|(tick, _)| tick);
        Touch { bid: best(Side::Buy).unwrap_or(NO_BID), ask: best(Side::Sell).unwrap_or(NO_ASK) }
    }

    /// Lots displayed at a price.
    #[must_use]
    pub fn lots_at(&self, side: Side, tick: i32) -> u64 {
        if self.hides_clients { self.public_lots(side, tick) } else { self.book().lots(side, tick) }
    }

    /// The public's lots at a price.
    #[must_use]
    pub fn public_lots(&self, side: Side, tick: i32) -> u64 {
        self.book().lots(side, tick) - self.clients_at(side, tick)
    }

    /// The best displayed levels of both sides.
    #[must_use]
    pub fn depth(&self, levels: usize) -> Depth {
        [Side::Buy, Side::Sell].map(|side| self.levels(side).take(levels).collect())
    }

    /// What of the best `levels` changed since the last call with as many: from the touch outward, zero lots for what
    /// left them. So whoever has heard all of it holds exactly the best `levels`, and is never told that a level is
    /// gone which it was not told of.
    pub fn changes(&mut self, levels: usize) -> Depth {
        let now = self.depth(levels);
        let before = self.published.entry(levels).or_default();
        let [bids, asks] = [Side::Buy, Side::Sell];
        let changed = [(bids, 0), (asks, 1)].map(|(side, at)| differences(side, &before[at], &now[at]));
        *before = now;
        changed
    }

    /// The best `levels` as they were at the last call of [`Self::changes`] with as many.
    #[must_use]
    pub fn published(&self, levels: usize) -> Depth {
        self.published.get(&levels).cloned().unwrap_or_default()
    }

    /// Panics when the floor contradicts itself. For tests and for self-checks; reads all of it.
    pub fn check_invariants(&self) {
        self.book().check_invariants();
        assert!(!self.book().is_crossed(), "bids stay below asks");
        let mut resting = 0;
        for side in [Side::Buy, Side::Sell] {
            for (tick, _) in self.book().levels(side) {
                let of_clients = self.book().orders_at(side, tick).filter(|order| !is_public(order.id));
                let (count, lots) = of_clients.fold((0, 0), |(n, sum), order| (n + 1, sum + u64::from(order.lots)));
                assert_eq!(lots, self.clients_at(side, tick), "{side:?} {tick}: clients' lots are counted");
                resting += count;
            }
        }
        assert_eq!(resting, self.clients_resting, "clients' orders are counted");
    }

    // --- inside ---

    fn clients_at(&self, side: Side, tick: i32) -> u64 {
        if self.clients_resting == 0 {
            return 0;
        }
        self.clients.get(&key(side, tick)).copied().unwrap_or_default()
    }

    /// Adds to or takes from the clients' lots at a price.
    fn count(&mut self, side: Side, tick: i32, lots: u64, more: bool) {
        let at = self.clients.entry(key(side, tick)).or_default();
        *at = if more { *at + lots } else { *at - lots };
        if *at == 0 {
            self.clients.remove(&key(side, tick));
        }
    }

    /// Keeps count of what a request of a client did.
    fn account(&mut self, outcome: &Outcome, request: RestingOrder) {
        for fill in outcome.fills.iter().filter(|fill| fill.maker != PUBLIC) {
            self.count(request.side.opposite(), fill.tick, u64::from(fill.lots), false);
            self.clients_resting -= usize::from(self.book().order(fill.maker).is_none());
        }
        for order in &outcome.withdrawn {
            self.count(order.side, order.tick, u64::from(order.lots), false);
            self.clients_resting -= 1;
        }
        if outcome.resting {
            self.count(request.side, request.tick, u64::from(outcome.remaining), true);
            self.clients_resting += 1;
        }
    }

    fn first_at(&self, side: Side, tick: i32) -> Option<RestingOrder> {
        self.book().orders_at(side, tick).next()
    }

    /// The first order of the other side that a `side` order at `limit` trades with.
    fn reached(&self, side: Side, limit: i32) -> Option<RestingOrder> {
        let touch = self.matching.touch();
        let best = match side {
            Side::Buy => touch.ask,
            Side::Sell => touch.bid,
        };
        let is_there = (1..=TICK_MAX).contains(&best) && reaches(side, limit, best);
        is_there.then(|| self.first_at(side.opposite(), best)).flatten()
    }

    fn take_out(&mut self, order: RestingOrder) {
        self.matching.book.cancel(order.id).expect("the order rests");
        if !is_public(order.id) {
            self.count(order.side, order.tick, u64::from(order.lots), false);
            self.clients_resting -= 1;
        }
    }

    /// A public aggressor meets a resting order. Returns the lots that traded.
    fn hit(&mut self, order: RestingOrder, wanted: u32, hits: &mut Vec<Hit>) -> u32 {
        let lots = wanted.min(order.lots);
        if lots == 0 {
            return 0;
        }
        let left = self.matching.book.reduce(order.id, lots).expect("the order rests and holds as much");
        if !is_public(order.id) {
            self.count(order.side, order.tick, u64::from(lots), false);
            self.clients_resting -= usize::from(left == 0);
            let fill = Fill { maker: order.id, taker: PUBLIC, tick: order.tick, lots };
            hits.push(Hit { fill, aggressor: order.side.opposite() });
        }
        lots
    }

    fn clear_public_except(&mut self, side: Side, levels: &[Level]) {
        let is_named = |tick| levels.binary_search_by_key(&tick, |level| level.tick).is_ok();
        let gone: Vec<_> = self.book().levels(side).map(|(tick, _)| tick).filter(|&tick| !is_named(tick)).collect();
        for tick in gone {
            let lots = self.public_lots(side, tick);
            if lots > 0 {
                self.leave(side, tick, lots);
            }
        }
    }

    /// Public lots leave a price without a trade.
    fn leave(&mut self, side: Side, tick: i32, lots: u64) {
        let mut line = mem::take(&mut self.line);
        line.extend(self.book().orders_at(side, tick).filter(|order| is_public(order.id)));
        let all: u64 = line.iter().map(|order| u64::from(order.lots)).sum();
        let mut left = lots;
        if self.cancels == Cancels::Proportional {
            for order in &mut line {
                let share = (u128::from(order.lots) * u128::from(lots) / u128::from(all)) as u32; // at most its lots
                self.matching.book.reduce(order.id, share).expect("the order rests");
                order.lots -= share;
                left -= u64::from(share);
            }
        }
        for order in line.drain(..).rev() {
            let share = u64::from(order.lots).min(left);
            if share > 0 {
                self.matching.book.reduce(order.id, share as u32).expect("the order rests");
            }
            left -= share;
        }
        self.line = line;
    }

    /// Brings the public lots of a price up to what a message says; what a client reaches trades first.
    fn rise_to(&mut self, side: Side, level: Level, hits: &mut Vec<Hit>) {
        let Level { tick, lots } = level;
        let now = self.public_lots(side, tick);
        let Some(mut more) = u64::from(lots).checked_sub(now).filter(|&more| more > 0).map(|more| more as u32) else {
            return;
        };
        while more > 0
            && let Some(first) = self.reached(side, tick)
        {
            if is_public(first.id) {
                self.take_out(first); // stale: a recording does not cross itself
            } else {
                more -= self.hit(first, more, hits);
            }
        }
        if more == 0 {
            return;
        }
        match self.book().last_at(side, tick).filter(|last| is_public(last.id)) {
            Some(last) => self.matching.book.modify(last.id, tick, last.lots + more),
            None => {
                self.named += 1;
                let id = OrderId(OF_PUBLIC | self.named);
                self.matching.book.add(RestingOrder { id, side, tick, lots: more, owner: 0 })
            }
        }
        .expect("the level was checked before anything changed");
    }
}

/// Why a tape could not be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// A level that no book takes.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The tape is damaged.
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// There is no such record.
    #[error("the tape has no record {index} among its {section}")]
    Beyond {
        /// Where.
        section: Section,
        /// Which.
        index: usize,
    },
}

/// A request's execution with the public under its one name.
fn told(done: crate::matching::Execution<'_>) -> Outcome {
    let mut fills: Vec<Fill> = Vec::with_capacity(done.fills.len());
    for &fill in done.fills {
        let maker = if is_public(fill.maker) { PUBLIC } else { fill.maker };
        match fills.last_mut() {
            Some(last) if maker == PUBLIC && (last.maker, last.tick) == (PUBLIC, fill.tick) => last.lots += fill.lots,
            _ => fills.push(Fill { maker, ..fill }),
        }
    }
    Outcome {
        fills,
        withdrawn: done.withdrawn.to_vec(),
        remaining: done.remaining,
        resting: done.resting,
        stopped: done.stopped,
    }
}

/// Two lists from the touch outward: what the second says otherwise, zero lots for what it does not have.
fn differences(side: Side, before: &[(i32, u64)], now: &[(i32, u64)]) -> Vec<(i32, u64)> {
    let rank = |tick: i32| -key(side, tick);
    let (mut old, mut new) = (before.iter().peekable(), now.iter().peekable());
    let mut changed = Vec::new();
    loop {
        match (old.peek(), new.peek()) {
            (Some(&&(was, _)), Some(&&(is, _))) if rank(was) < rank(is) => {
                changed.push((was, 0));
                old.next();
            }
            (Some(&was), Some(&is)) if was.0 == is.0 => {
                if was.1 != is.1 {
                    changed.push(*is);
                }
                old.next();
                new.next();
            }
            (_, Some(&&level)) => {
                changed.push(level);
                new.next();
            }
            (Some(&&(was, _)), None) => {
                changed.push((was, 0));
                old.next();
            }
            (None, None) => return changed,
        }
    }
}
