//! The obvious twins: the same books in as few thoughts as possible. Tests compare the fast ones with them, nothing
//! else uses them.

use std::collections::BTreeMap;

use mmbot_types::{Level, NO_ASK, NO_BID, OrderId, Side, Touch};

use crate::{BookError, RestingOrder, TICK_MAX, hash_levels, hash_orders, l2};

/// [`crate::L2Book`] as two sorted maps.
#[derive(Clone, Debug, Default)]
pub struct L2Reference {
    bids: BTreeMap<i32, u32>,
    asks: BTreeMap<i32, u32>,
}

fn set(side: &mut BTreeMap<i32, u32>, levels: &[Level]) {
    for level in levels {
        side.insert(level.tick, level.lots);
    }
    side.retain(|_, lots| *lots > 0);
}

impl L2Reference {
    /// Sets levels; zero lots deletes.
    ///
    /// # Errors
    /// As [`crate::L2Book::apply`], except that scattered prices are no burden here.
    pub fn apply(&mut self, bids: &[Level], asks: &[Level]) -> Result<(), BookError> {
        l2::check(Side::Buy, bids)?;
        l2::check(Side::Sell, asks)?;
        set(&mut self.bids, bids);
        set(&mut self.asks, asks);
        Ok(())
    }

    /// Replaces the whole book.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn replace(&mut self, bids: &[Level], asks: &[Level]) -> Result<(), BookError> {
        let mut fresh = Self::default();
        fresh.apply(bids, asks)?;
        *self = fresh;
        Ok(())
    }

    /// Best bid and ask.
    #[must_use]
    pub fn touch(&self) -> Touch {
        Touch {
            bid: self.bids.last_key_value().map_or(NO_BID, |(&tick, _)| tick),
            ask: self.asks.first_key_value().map_or(NO_ASK, |(&tick, _)| tick),
        }
    }

    /// Levels from the touch outward.
    #[must_use]
    pub fn levels(&self, side: Side) -> Vec<Level> {
        let level = |(&tick, &lots): (&i32, &u32)| Level { tick, lots };
        match side {
            Side::Buy => self.bids.iter().rev().map(level).collect(),
            Side::Sell => self.asks.iter().map(level).collect(),
        }
    }

    /// One number for the whole state.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        hash_levels(self.levels(Side::Buy).into_iter(), self.levels(Side::Sell).into_iter())
    }
}

/// [`crate::L3Book`] as one list in order of arrival.
#[derive(Clone, Debug, Default)]
pub struct L3Reference {
    orders: Vec<RestingOrder>,
}

impl L3Reference {
    fn place(&self, id: OrderId) -> Result<usize, BookError> {
        self.orders.iter().position(|order| order.id == id).ok_or(BookError::Unknown { id })
    }

    /// Puts an order at the back of its price.
    ///
    /// # Errors
    /// As [`crate::L3Book::add`].
    pub fn add(&mut self, order: RestingOrder) -> Result<(), BookError> {
        if !(1..=TICK_MAX).contains(&order.tick) {
            return Err(BookError::Tick { side: order.side, tick: order.tick });
        }
        if order.lots == 0 {
            return Err(BookError::NoLots { id: order.id });
        }
        if self.place(order.id).is_ok() {
            return Err(BookError::Duplicate { id: order.id });
        }
        self.orders.push(order);
        Ok(())
    }

    /// Takes lots out of an order.
    ///
    /// # Errors
    /// As [`crate::L3Book::reduce`].
    pub fn reduce(&mut self, id: OrderId, lots: u32) -> Result<u32, BookError> {
        let place = self.place(id)?;
        let held = self.orders[place].lots;
        if lots > held {
            return Err(BookError::TooMuch { id, held, asked: lots });
        }
        self.orders[place].lots -= lots;
        self.orders.retain(|order| order.lots > 0);
        Ok(held - lots)
    }

    /// Takes an order out.
    ///
    /// # Errors
    /// [`BookError::Unknown`].
    pub fn cancel(&mut self, id: OrderId) -> Result<RestingOrder, BookError> {
        Ok(self.orders.remove(self.place(id)?))
    }

    /// Changes price and quantity.
    ///
    /// # Errors
    /// As [`crate::L3Book::modify`].
    pub fn modify(&mut self, id: OrderId, tick: i32, lots: u32) -> Result<(), BookError> {
        let place = self.place(id)?;
        let order = self.orders[place];
        if lots == 0 {
            return Err(BookError::NoLots { id });
        }
        if !(1..=TICK_MAX).contains(&tick) {
            return Err(BookError::Tick { side: order.side, tick });
        }
        if tick == order.tick && lots <= order.lots {
            self.orders[place].lots = lots;
        } else {
            self.orders.remove(place);
            self.orders.push(RestingOrder { tick, lots, ..order });
        }
        Ok(())
    }

    /// All orders of a side in the order in which they would trade.
    #[must_use]
    pub fn orders(&self, side: Side) -> Vec<RestingOrder> {
        let mut orders: Vec<_> = self.orders.iter().copied().filter(|order| order.side == side).collect();
        orders.sort_by_key(|order| -side.sign() * i64::from(order.tick)); // stable: time decides among equals
        orders
    }

    /// Best bid and ask.
    #[must_use]
    pub fn touch(&self) -> Touch {
        let best = |side| self.orders(side).first().map(|order| order.tick);
        Touch { bid: best(Side::Buy).unwrap_or(NO_BID), ask: best(Side::Sell).unwrap_or(NO_ASK) }
    }

    /// Lots in front of an order at its price.
    #[must_use]
    pub fn ahead(&self, id: OrderId) -> Option<u64> {
        let place = self.place(id).ok()?;
        let us = self.orders[place];
        let in_front = self.orders[..place].iter().filter(|other| (other.side, other.tick) == (us.side, us.tick));
        Some(in_front.map(|order| u64::from(order.lots)).sum())
    }

    /// One number for the whole state.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        hash_orders(self.orders(Side::Buy).into_iter().chain(self.orders(Side::Sell)))
    }
}
