//! Price-time matching: the best price trades first, at one price the oldest order.
//!
//! ```text
//! limit / market ─▶ every check, before anything changes ─▶ trade with the other side ─▶ rest, or drop the rest
//! ```
//! A trade happens at the price of the order that was there first. An order that trades on arrival is the taker, all
//! others are makers. Priority on amendment is the book's rule ([`mmbot_book::L3Book`]): less at the same price keeps
//! the place.
//!
//! What is not handled here: fees, latency, price bands, auctions (see the venue), and stop orders.

use mmbot_book::{BookError, L3Book, RestingOrder};
use mmbot_types::{OrderId, Side, Tif, Touch};
use thiserror::Error;

/// What happens when an order would trade with its own owner. Owner zero is nobody and always trades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelfTrade {
    /// It trades.
    #[default]
    Allow,
    /// What is left of the incoming order is dropped.
    DropTaker,
    /// The resting order is withdrawn, and the incoming one goes on.
    WithdrawMaker,
    /// The resting order is withdrawn, and what is left of the incoming one is dropped.
    DropBoth,
}

/// A limit order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitOrder {
    /// Name, quantity, price, side, owner.
    pub order: RestingOrder,
    /// Life time.
    pub tif: Tif,
    /// Rest or be refused.
    pub post_only: bool,
}

/// One trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The order that rested.
    pub maker: OrderId,
    /// The order that came.
    pub taker: OrderId,
    /// The maker's price.
    pub tick: i32,
    /// How much.
    pub lots: u32,
}

/// What one request did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution<'a> {
    /// Trades, in the order they happened.
    pub fills: &'a [Fill],
    /// Resting orders taken out to prevent a self-trade, as they were.
    pub withdrawn: &'a [RestingOrder],
    /// Lots of the request that did not trade.
    pub remaining: u32,
    /// Whether they rest in the book now; otherwise they are gone.
    pub resting: bool,
    /// Whether they are gone to prevent a self-trade.
    pub stopped: bool,
}

/// Why a request was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MatchError {
    /// The book does not take such an order.
    #[error(transparent)]
    Book(#[from] BookError),
    /// A post-only order would have traded.
    #[error("post-only order {} at {tick} ticks would trade with {best}; move it away from the other side", id.0)]
    WouldCross {
        /// Which order.
        id: OrderId,
        /// Its price.
        tick: i32,
        /// The best price of the other side.
        best: i32,
    },
    /// A fill-or-kill order found too little.
    #[error("fill-or-kill order {} wants {wanted} lots and only {available} can trade at its price", id.0)]
    NotFillable {
        /// Which order.
        id: OrderId,
        /// What it wants.
        wanted: u32,
        /// What there is.
        available: u64,
    },
}

/// A book that matches.
#[derive(Clone, Debug, Default)]
pub struct MatchingBook {
    pub(crate) book: L3Book,
    self_trade: SelfTrade,
    fills: Vec<Fill>,
    withdrawn: Vec<RestingOrder>,
}

/// Whether a `side` order at `limit` trades with a resting `tick`.
pub(crate) fn reaches(side: Side, limit: i32, tick: i32) -> bool {
    match side {
        Side::Buy => tick <= limit,
        Side::Sell => tick >= limit,
    }
}

impl MatchingBook {
    /// An empty book.
    #[must_use]
    pub fn new(self_trade: SelfTrade) -> Self {
        Self { self_trade, ..Self::default() }
    }

    /// The orders that rest, for everything one may read.
    #[must_use]
    pub fn book(&self) -> &L3Book {
        &self.book
    }

    /// Best bid and ask.
    #[must_use]
    pub fn touch(&self) -> Touch {
        self.book.touch()
    }

    /// A limit order: trades what it can at its price or better; the rest stays (GTC) or goes (IOC).
    ///
    /// # Errors
    /// [`MatchError`]; the book is then as before.
    pub fn limit(&mut self, request: LimitOrder) -> Result<Execution<'_>, MatchError> {
        self.limit_under(request, self.self_trade)
    }

    /// A limit order that brings its own rule for self-trades, as at Bybit: the rule of the incoming order counts.
    ///
    /// # Errors
    /// As [`Self::limit`].
    pub fn limit_under(&mut self, request: LimitOrder, rule: SelfTrade) -> Result<Execution<'_>, MatchError> {
        let LimitOrder { order, tif, post_only } = request;
        self.book.check_order(&order)?;
        self.check_terms(&order, tif, post_only, rule)?;
        Ok(self.arrive(order, tif == Tif::Gtc, rule))
    }

    /// A market order: trades with whatever there is; what is left is gone.
    ///
    /// # Errors
    /// [`BookError::NoLots`].
    pub fn market(&mut self, id: OrderId, side: Side, lots: u32, owner: u32) -> Result<Execution<'_>, MatchError> {
        if lots == 0 {
            return Err(BookError::NoLots { id }.into());
        }
        let tick = match side {
            Side::Buy => i32::MAX,
            Side::Sell => i32::MIN,
        };
        Ok(self.arrive(RestingOrder { id, side, tick, lots, owner }, false, self.self_trade))
    }

    /// Takes an order out. Returns it as it was.
    ///
    /// # Errors
    /// [`BookError::Unknown`].
    pub fn cancel(&mut self, id: OrderId) -> Result<RestingOrder, MatchError> {
        Ok(self.book.cancel(id)?)
    }

    /// Changes price and open quantity of a resting order. Fewer lots at the same price keep the place in line;
    /// otherwise it leaves and arrives anew, and may trade.
    ///
    /// # Errors
    /// [`MatchError`]; the order then rests as before.
    pub fn amend(&mut self, id: OrderId, tick: i32, lots: u32, post_only: bool) -> Result<Execution<'_>, MatchError> {
        self.amend_under(id, tick, lots, post_only, self.self_trade)
    }

    /// An amendment that brings its own rule for self-trades.
    ///
    /// # Errors
    /// As [`Self::amend`].
    pub fn amend_under(
        &mut self,
        id: OrderId,
        tick: i32,
        lots: u32,
        post_only: bool,
        rule: SelfTrade,
    ) -> Result<Execution<'_>, MatchError> {
        let old = self.book.order(id).ok_or(BookError::Unknown { id })?;
        let new = RestingOrder { tick, lots, ..old };
        if tick != old.tick {
            self.check_terms(&new, Tif::Gtc, post_only, rule)?;
        }
        self.book.modify(id, tick, lots)?; // judges price and quantity
        self.fills.clear();
        self.withdrawn.clear();
        if !self.crosses(&new) {
            return Ok(self.execution(lots, true, false));
        }
        self.book.cancel(id)?;
        Ok(self.arrive(new, true, rule))
    }

    fn best_against(&self, side: Side) -> i32 {
        match side {
            Side::Buy => self.book.touch().ask,
            Side::Sell => self.book.touch().bid,
        }
    }

    fn crosses(&self, order: &RestingOrder) -> bool {
        self.other_side_lives(order.side) && reaches(order.side, order.tick, self.best_against(order.side))
    }

    fn other_side_lives(&self, side: Side) -> bool {
        (1..=mmbot_book::TICK_MAX).contains(&self.best_against(side))
    }

    fn check_terms(&self, order: &RestingOrder, tif: Tif, post_only: bool, rule: SelfTrade) -> Result<(), MatchError> {
        if post_only && self.crosses(order) {
            return Err(MatchError::WouldCross { id: order.id, tick: order.tick, best: self.best_against(order.side) });
        }
        if tif == Tif::Fok {
            let available = self.available(order, rule);
            if available < u64::from(order.lots) {
                return Err(MatchError::NotFillable { id: order.id, wanted: order.lots, available });
            }
        }
        Ok(())
    }

    /// What could trade with an order, counted no further than it wants.
    fn available(&self, order: &RestingOrder, rule: SelfTrade) -> u64 {
        let mut sum = 0;
        for maker in self.book.orders(order.side.opposite()) {
            if sum >= u64::from(order.lots) || !reaches(order.side, order.tick, maker.tick) {
                break;
            }
            match rule {
                SelfTrade::DropTaker | SelfTrade::DropBoth if same_owner(order, &maker) => break,
                SelfTrade::WithdrawMaker if same_owner(order, &maker) => {}
                _ => sum += u64::from(maker.lots),
            }
        }
        sum
    }

    /// Trades a checked order, then rests it or drops it.
    fn arrive(&mut self, mut taker: RestingOrder, may_rest: bool, rule: SelfTrade) -> Execution<'_> {
        self.fills.clear();
        self.withdrawn.clear();
        let mut stopped = false;
        while taker.lots > 0 && !stopped && self.crosses(&taker) {
            let other = taker.side.opposite();
            let Some(maker) = self.book.orders_at(other, self.best_against(taker.side)).next() else { break };
            if rule != SelfTrade::Allow && same_owner(&taker, &maker) {
                if rule != SelfTrade::DropTaker {
                    self.withdraw(maker.id);
                }
                stopped = rule != SelfTrade::WithdrawMaker;
                continue;
            }
            let lots = taker.lots.min(maker.lots);
            self.book.reduce(maker.id, lots).expect("the first in line is in the book");
            self.fills.push(Fill { maker: maker.id, taker: taker.id, tick: maker.tick, lots });
            taker.lots -= lots;
        }
        let resting = may_rest && !stopped && taker.lots > 0;
        if resting {
            self.book.add(taker).expect("the order was checked on arrival");
        }
        self.execution(taker.lots, resting, stopped)
    }

    /// Clears the taker's own order out of its way.
    fn withdraw(&mut self, maker: OrderId) {
        let order = self.book.cancel(maker).expect("the first in line is in the book");
        self.withdrawn.push(order);
    }

    fn execution(&self, remaining: u32, resting: bool, stopped: bool) -> Execution<'_> {
        Execution { fills: &self.fills, withdrawn: &self.withdrawn, remaining, resting, stopped }
    }
}

fn same_owner(a: &RestingOrder, b: &RestingOrder) -> bool {
    a.owner != 0 && a.owner == b.owner
}
