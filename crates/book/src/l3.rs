//! Every order, in time priority.
//!
//! ```text
//! index   order id -> slot                      FxHashMap, looked up and never walked: its order is no one's business
//! orders  slot -> order, linked within its level   first [A]<->[B]<->[C] last: A trades first
//! levels  slot -> one price: first, last, sum of lots
//! ladder  tick -> level slot, one per side
//! ```
//! Slots are used again, so memory follows the number of live orders, not of messages.
//!
//! Priority: a smaller quantity at the same price keeps the place; a new price or a larger quantity goes to the back.
//! That is the rule of nearly all price-time venues (Bybit, Binance, Nasdaq, CME outright futures). What is not
//! handled: hidden and iceberg quantity, pro-rata levels, and orders that a venue moves for its own reasons.

use mmbot_types::{Level, NO_ASK, NO_BID, OrderId, Side, Touch};
use rustc_hash::FxHashMap;

use crate::ladder::{Ladder, TICK_MAX};
use crate::{BookError, crossed, hash_orders};

/// An order as it rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestingOrder {
    /// Its name, unique among live orders.
    pub id: OrderId,
    /// Buy rests as a bid.
    pub side: Side,
    /// Price in ticks.
    pub tick: i32,
    /// Open quantity in lots, positive.
    pub lots: u32,
    /// Whose it is; zero where nobody says so (a public feed).
    pub owner: u32,
}

/// Slot zero is nobody: the end of every list, and the ladder's "no level here".
const NONE: u32 = 0;

#[derive(Clone, Copy, Debug)]
struct Node {
    id: OrderId,
    lots: u32,
    level: u32,
    ahead: u32,
    behind: u32,
    owner: u32,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    side: Side,
    tick: i32,
    first: u32,
    last: u32,
    lots: u64,
}

/// Storage whose slots are used again; slot zero stays unused.
#[derive(Clone, Debug)]
struct Slab<T> {
    slots: Vec<T>,
    free: Vec<u32>,
}

impl<T: Copy> Slab<T> {
    fn new(nobody: T) -> Self {
        Self { slots: vec![nobody], free: Vec::new() }
    }

    fn insert(&mut self, item: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = item;
            return slot;
        }
        let slot = u32::try_from(self.slots.len()).expect("fewer than four billion live orders");
        self.slots.push(item);
        slot
    }

    fn get(&self, slot: u32) -> &T {
        &self.slots[slot as usize]
    }

    fn get_mut(&mut self, slot: u32) -> &mut T {
        &mut self.slots[slot as usize]
    }

    fn remove(&mut self, slot: u32) {
        self.free.push(slot);
    }

    fn live(&self) -> usize {
        self.slots.len() - 1 - self.free.len()
    }
}

/// Order book by order.
#[derive(Clone, Debug)]
pub struct L3Book {
    index: FxHashMap<u64, u32>,
    orders: Slab<Node>,
    queues: Slab<Queue>,
    bids: Ladder,
    asks: Ladder,
    touch: Touch,
}

impl Default for L3Book {
    fn default() -> Self {
        Self::new()
    }
}

impl L3Book {
    /// An empty book.
    #[must_use]
    pub fn new() -> Self {
        Self {
            index: FxHashMap::default(),
            orders: Slab::new(Node { id: OrderId(0), lots: 0, level: NONE, ahead: NONE, behind: NONE, owner: 0 }),
            queues: Slab::new(Queue { side: Side::Buy, tick: 0, first: NONE, last: NONE, lots: 0 }),
            bids: Ladder::new(),
            asks: Ladder::new(),
            touch: Touch::EMPTY,
        }
    }

    /// Puts an order at the back of its price. It does not match: see `mmbot_sim::MatchingBook`.
    ///
    /// # Errors
    /// [`BookError`] for a price outside `1..=TICK_MAX`, no lots, a live id, or a price scattered beyond reason.
    pub fn add(&mut self, order: RestingOrder) -> Result<(), BookError> {
        self.check_order(&order)?;
        self.append(order);
        Ok(())
    }

    /// Whether [`Self::add`] would take this order.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn check_order(&self, order: &RestingOrder) -> Result<(), BookError> {
        self.check_price(order.side, order.tick)?;
        if order.lots == 0 {
            return Err(BookError::NoLots { id: order.id });
        }
        if self.index.contains_key(&order.id.0) {
            return Err(BookError::Duplicate { id: order.id });
        }
        Ok(())
    }

    fn check_price(&self, side: Side, tick: i32) -> Result<(), BookError> {
        self.check_levels(side, &[Level { tick, lots: 1 }])
    }

    /// Whether the book has room for orders at all these prices.
    ///
    /// # Errors
    /// [`BookError::Tick`] for a price outside `1..=TICK_MAX`, [`BookError::Scattered`] for prices beyond reason.
    pub fn check_levels(&self, side: Side, levels: &[Level]) -> Result<(), BookError> {
        if let Some(level) = levels.iter().find(|level| !(1..=TICK_MAX).contains(&level.tick)) {
            return Err(BookError::Tick { side, tick: level.tick });
        }
        if !self.ladder(side).has_room(levels) {
            return Err(BookError::Scattered { side });
        }
        Ok(())
    }

    /// Takes lots out of an order, in place; the order leaves when none are left. Returns what is left.
    ///
    /// # Errors
    /// [`BookError::Unknown`]; [`BookError::TooMuch`] when the order holds fewer.
    pub fn reduce(&mut self, id: OrderId, lots: u32) -> Result<u32, BookError> {
        let slot = self.slot(id)?;
        let held = self.orders.get(slot).lots;
        let left = held.checked_sub(lots).ok_or(BookError::TooMuch { id, held, asked: lots })?;
        self.shrink(slot, left);
        Ok(left)
    }

    /// An execution of a resting order, as an order-level feed reports it: what it does to the book is what
    /// [`Self::reduce`] does.
    ///
    /// # Errors
    /// As [`Self::reduce`].
    pub fn execute(&mut self, id: OrderId, lots: u32) -> Result<u32, BookError> {
        self.reduce(id, lots)
    }

    /// Takes an order out. Returns it as it was.
    ///
    /// # Errors
    /// [`BookError::Unknown`].
    pub fn cancel(&mut self, id: OrderId) -> Result<RestingOrder, BookError> {
        let slot = self.slot(id)?;
        let order = self.resting(slot);
        self.shrink(slot, 0);
        Ok(order)
    }

    /// Changes price and open quantity. Fewer lots at the same price keep the place in line; anything else goes to
    /// the back.
    ///
    /// # Errors
    /// [`BookError`] for an unknown order, a bad price or no lots; the order then stays as it was.
    pub fn modify(&mut self, id: OrderId, tick: i32, lots: u32) -> Result<(), BookError> {
        let slot = self.slot(id)?;
        let order = self.resting(slot);
        if lots == 0 {
            return Err(BookError::NoLots { id });
        }
        self.check_price(order.side, tick)?;
        let is_last = self.orders.get(slot).behind == NONE;
        if tick == order.tick && lots <= order.lots {
            self.shrink(slot, lots);
        } else if tick == order.tick && is_last {
            self.grow(slot, lots); // the back is where it stands
        } else {
            self.shrink(slot, 0);
            self.append(RestingOrder { tick, lots, ..order });
        }
        Ok(())
    }

    /// Empties the book.
    pub fn clear(&mut self) {
        self.index.clear();
        self.orders.slots.truncate(1);
        self.orders.free.clear();
        self.queues.slots.truncate(1);
        self.queues.free.clear();
        self.bids.clear();
        self.asks.clear();
        self.touch = Touch::EMPTY;
    }

    /// Best bid and ask.
    #[must_use]
    pub fn touch(&self) -> Touch {
        self.touch
    }

    /// A bid at or above an ask: an auction, or a feed that lost something.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        crossed(self.touch)
    }

    /// How many orders rest.
    #[must_use]
    pub fn len(&self) -> usize {
        self.orders.live()
    }

    /// Whether no order rests.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A live order.
    #[must_use]
    pub fn order(&self, id: OrderId) -> Option<RestingOrder> {
        self.index.get(&id.0).map(|&slot| self.resting(slot))
    }

    /// Lots at a price; zero where nothing rests.
    #[must_use]
    pub fn lots(&self, side: Side, tick: i32) -> u64 {
        self.queue(side, tick).map_or(0, |queue| queue.lots)
    }

    /// Orders at a price, first in line first.
    pub fn orders_at(&self, side: Side, tick: i32) -> impl Iterator<Item = RestingOrder> {
        let first = self.queue(side, tick).map_or(NONE, |queue| queue.first);
        self.linked(first, |node| node.behind).map(|slot| self.resting(slot))
    }

    /// The last in line at a price.
    #[must_use]
    pub fn last_at(&self, side: Side, tick: i32) -> Option<RestingOrder> {
        self.queue(side, tick).map(|queue| self.resting(queue.last))
    }

    /// Prices from the touch outward with their lots.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (i32, u64)> {
        let best = match side {
            Side::Buy => self.touch.bid,
            Side::Sell => self.touch.ask,
        };
        let ladder = self.ladder(side);
        let first = (1..=TICK_MAX).contains(&best).then_some(best);
        std::iter::successors(first, move |&tick| match side {
            Side::Buy => ladder.below(tick),
            Side::Sell => ladder.above(tick),
        })
        .map(move |tick| (tick, self.lots(side, tick)))
    }

    /// All orders of a side in the order in which they would trade.
    pub fn orders(&self, side: Side) -> impl Iterator<Item = RestingOrder> {
        self.levels(side).flat_map(move |(tick, _)| self.orders_at(side, tick))
    }

    /// Lots in front of an order at its price: its exact place in line. Walks the queue, so it costs what it counts.
    #[must_use]
    pub fn ahead(&self, id: OrderId) -> Option<u64> {
        let &slot = self.index.get(&id.0)?;
        let in_front = self.linked(self.orders.get(slot).ahead, |node| node.ahead);
        Some(in_front.map(|slot| u64::from(self.orders.get(slot).lots)).sum())
    }

    /// One number for the whole state, time priority included.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        hash_orders(self.orders(Side::Buy).chain(self.orders(Side::Sell)))
    }

    /// Panics when the book contradicts itself. For tests and for self-checks; reads all of it.
    pub fn check_invariants(&self) {
        self.bids.check_invariants();
        self.asks.check_invariants();
        assert_eq!(self.touch.bid, self.bids.below(i32::MAX).unwrap_or(NO_BID), "best bid");
        assert_eq!(self.touch.ask, self.asks.above(0).unwrap_or(NO_ASK), "best ask");
        let mut seen = 0;
        for side in [Side::Buy, Side::Sell] {
            for (tick, lots) in self.levels(side) {
                let sum: u64 = self.orders_at(side, tick).map(|order| u64::from(order.lots)).sum();
                assert_eq!(sum, lots, "{side:?} {tick}: the orders add up to the level");
                assert!(lots > 0, "{side:?} {tick}: an empty level is no level");
                for order in self.orders_at(side, tick) {
                    assert!(order.lots > 0, "an empty order is no order");
                    assert_eq!(self.order(order.id), Some(order), "the index finds what rests");
                    assert_eq!((order.side, order.tick), (side, tick), "an order knows where it rests");
                    seen += 1;
                }
            }
        }
        assert_eq!((seen, self.index.len()), (self.len(), self.len()), "every order is reached, and reached once");
    }

    fn slot(&self, id: OrderId) -> Result<u32, BookError> {
        self.index.get(&id.0).copied().ok_or(BookError::Unknown { id })
    }

    fn resting(&self, slot: u32) -> RestingOrder {
        let node = self.orders.get(slot);
        let queue = self.queues.get(node.level);
        RestingOrder { id: node.id, side: queue.side, tick: queue.tick, lots: node.lots, owner: node.owner }
    }

    fn linked(&self, first: u32, next: fn(&Node) -> u32) -> impl Iterator<Item = u32> {
        let some = |slot| (slot != NONE).then_some(slot);
        std::iter::successors(some(first), move |&slot| some(next(self.orders.get(slot))))
    }

    fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn ladder_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn queue(&self, side: Side, tick: i32) -> Option<&Queue> {
        let level = if (1..=TICK_MAX).contains(&tick) { self.ladder(side).get(tick) } else { NONE };
        (level != NONE).then(|| self.queues.get(level))
    }

    /// Links a checked order in at the back.
    fn append(&mut self, order: RestingOrder) {
        let RestingOrder { id, side, tick, lots, owner } = order;
        let level = match self.ladder(side).get(tick) {
            NONE => self.open(side, tick),
            level => level,
        };
        let last = self.queues.get(level).last;
        let slot = self.orders.insert(Node { id, lots, level, ahead: last, behind: NONE, owner });
        let queue = self.queues.get_mut(level);
        queue.last = slot;
        queue.lots += u64::from(lots);
        if last == NONE {
            queue.first = slot;
        } else {
            self.orders.get_mut(last).behind = slot;
        }
        self.index.insert(id.0, slot);
    }

    fn open(&mut self, side: Side, tick: i32) -> u32 {
        let level = self.queues.insert(Queue { side, tick, first: NONE, last: NONE, lots: 0 });
        self.ladder_mut(side).set(tick, level);
        match side {
            Side::Buy => self.touch.bid = self.touch.bid.max(tick),
            Side::Sell => self.touch.ask = self.touch.ask.min(tick),
        }
        level
    }

    /// Leaves an order with more lots, in place.
    fn grow(&mut self, slot: u32, lots: u32) {
        let node = self.orders.get_mut(slot);
        let (more, level) = (lots - node.lots, node.level);
        node.lots = lots;
        self.queues.get_mut(level).lots += u64::from(more);
    }

    /// Leaves an order with fewer lots; with none, it leaves.
    fn shrink(&mut self, slot: u32, lots: u32) {
        let node = *self.orders.get(slot);
        let queue = self.queues.get_mut(node.level);
        queue.lots -= u64::from(node.lots - lots);
        if lots > 0 {
            self.orders.get_mut(slot).lots = lots;
            return;
        }
        match node.ahead {
            NONE => queue.first = node.behind,
            ahead => self.orders.get_mut(ahead).behind = node.behind,
        }
        match node.behind {
            NONE => queue.last = node.ahead,
            behind => self.orders.get_mut(behind).ahead = node.ahead,
        }
        if queue.first == NONE {
            self.close(node.level);
        }
        self.orders.remove(slot);
        self.index.remove(&node.id.0);
    }

    fn close(&mut self, level: u32) {
        let Queue { side, tick, .. } = *self.queues.get(level);
        self.queues.remove(level);
        self.ladder_mut(side).set(tick, NONE);
        match side {
            Side::Buy if tick == self.touch.bid => self.touch.bid = self.bids.below(tick).unwrap_or(NO_BID),
            Side::Sell if tick == self.touch.ask => self.touch.ask = self.asks.above(tick).unwrap_or(NO_ASK),
            _ => {}
        }
    }
}
