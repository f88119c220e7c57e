//! Public depth: how many lots rest at each tick.
//!
//! A feed message sets many levels at once, sorted by price, so the touch is looked for once per message, from its
//! touch-side end: a better level with lots is the new best; otherwise the old best stands unless it has just been
//! emptied, and only then is the ladder searched. Venues also delete levels far through the touch, which must not
//! start a search there.
//!
//! The two sides are apart: within a message, and between messages of a lossy feed, bids and asks may cross.
//! What is not handled: hidden quantity, and levels a venue drops from a limited-depth feed without saying so.

use mmbot_types::{Level, NO_ASK, NO_BID, Side, Touch};

use crate::ladder::{Ladder, TICK_MAX};
use crate::{BookError, crossed, hash_levels};

/// Order book by price.
#[derive(Clone, Debug)]
pub struct L2Book {
    bids: Ladder,
    asks: Ladder,
    touch: Touch,
}

impl Default for L2Book {
    fn default() -> Self {
        Self::new()
    }
}

/// Refuses what a feed must not send, before anything is written.
pub(crate) fn check(side: Side, levels: &[Level]) -> Result<(), BookError> {
    let (Some(first), Some(last)) = (levels.first(), levels.last()) else { return Ok(()) };
    // the sign bit collects every fall and every negative price: no branch, so the compiler compares several pairs at
    // once
    let falls = levels
        .iter()
        .zip(&levels[1..])
        .fold(last.tick, |falls, (a, b)| falls | a.tick | b.tick.wrapping_sub(a.tick).wrapping_sub(1));
    if falls >= 0 && first.tick > 0 && last.tick <= TICK_MAX { Ok(()) } else { Err(complaint(side, levels)) }
}

#[cold]
fn complaint(side: Side, levels: &[Level]) -> BookError {
    if let Some(bad) = levels.iter().find(|level| !(1..=TICK_MAX).contains(&level.tick)) {
        return BookError::Tick { side, tick: bad.tick };
    }
    let fall = levels.windows(2).find(|pair| pair[0].tick >= pair[1].tick);
    let (before, tick) = fall.map_or((0, 0), |pair| (pair[0].tick, pair[1].tick));
    BookError::NotAscending { side, before, tick }
}

impl L2Book {
    /// An empty book.
    #[must_use]
    pub fn new() -> Self {
        Self { bids: Ladder::new(), asks: Ladder::new(), touch: Touch::EMPTY }
    }

    /// Sets levels; zero lots deletes, and deleting an absent level is no error.
    ///
    /// # Errors
    /// [`BookError`] when a side does not rise strictly, leaves `1..=TICK_MAX` or is scattered beyond reason; the
    /// book is then unchanged.
    pub fn apply(&mut self, bids: &[Level], asks: &[Level]) -> Result<(), BookError> {
        check(Side::Buy, bids)?;
        check(Side::Sell, asks)?;
        self.apply_verified(bids, asks)
    }

    /// As [`Self::apply`], for levels whose prices were checked before (those of a verified tape): half the cost.
    ///
    /// Levels that do not rise strictly give a wrong touch, nothing worse; a price below 1 may end the program.
    ///
    /// # Errors
    /// [`BookError::Scattered`] when they are scattered beyond reason; the book is then unchanged.
    #[inline]
    pub fn apply_verified(&mut self, bids: &[Level], asks: &[Level]) -> Result<(), BookError> {
        debug_assert!(check(Side::Buy, bids).is_ok() && check(Side::Sell, asks).is_ok());
        if !self.bids.has_room(bids) {
            return Err(BookError::Scattered { side: Side::Buy });
        }
        if !self.asks.has_room(asks) {
            return Err(BookError::Scattered { side: Side::Sell });
        }
        self.write(bids, asks);
        Ok(())
    }

    /// Replaces the whole book.
    ///
    /// # Errors
    /// As [`Self::apply`]; the old book then stays.
    pub fn replace(&mut self, bids: &[Level], asks: &[Level]) -> Result<(), BookError> {
        check(Side::Buy, bids)?;
        check(Side::Sell, asks)?;
        let empty = Ladder::new();
        if let Some(side) = [(Side::Buy, bids), (Side::Sell, asks)].iter().find(|(_, levels)| !empty.has_room(levels)) {
            return Err(BookError::Scattered { side: side.0 });
        }
        self.clear();
        self.write(bids, asks);
        Ok(())
    }

    /// Empties the book.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.touch = Touch::EMPTY;
    }

    fn write(&mut self, bids: &[Level], asks: &[Level]) {
        self.bids.write(bids);
        self.asks.write(asks);
        let Touch { bid, ask } = self.touch;
        self.touch.bid = match bids.iter().rev().take_while(|level| level.tick > bid).find(|level| level.lots != 0) {
            Some(better) => better.tick,
            None if bid == NO_BID || self.bids.get(bid) != 0 => bid,
            None => self.bids.below(bid).unwrap_or(NO_BID),
        };
        self.touch.ask = match asks.iter().take_while(|level| level.tick < ask).find(|level| level.lots != 0) {
            Some(better) => better.tick,
            None if ask == NO_ASK || self.asks.get(ask) != 0 => ask,
            None => self.asks.above(ask).unwrap_or(NO_ASK),
        };
    }

    /// Best bid and ask as they stand. May be crossed: see [`Self::is_crossed`].
    #[must_use]
    pub fn touch(&self) -> Touch {
        self.touch
    }

    /// A bid at or above an ask: the feed lost something, or an auction is on. Nothing may be quoted from such a book.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        crossed(self.touch)
    }

    fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    /// Lots at a price; zero where nothing rests, whatever the price.
    #[must_use]
    pub fn lots(&self, side: Side, tick: i32) -> u32 {
        if (1..=TICK_MAX).contains(&tick) { self.ladder(side).get(tick) } else { 0 }
    }

    /// Levels from the touch outward. [`Side::Buy`] walks the bids down, [`Side::Sell`] the asks up.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> {
        let ladder = self.ladder(side);
        let best = match side {
            Side::Buy => (self.touch.bid != NO_BID).then_some(self.touch.bid),
            Side::Sell => (self.touch.ask != NO_ASK).then_some(self.touch.ask),
        };
        std::iter::successors(best, move |&tick| match side {
            Side::Buy => ladder.below(tick),
            Side::Sell => ladder.above(tick),
        })
        .map(|tick| Level { tick, lots: ladder.get(tick) })
    }

    /// One number for the whole state: equal books, equal hashes, however they came to be.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        hash_levels(self.levels(Side::Buy), self.levels(Side::Sell))
    }

    /// Panics when the book contradicts itself. For tests and for the engine's self-check; reads all of it.
    pub fn check_invariants(&self) {
        self.bids.check_invariants();
        self.asks.check_invariants();
        assert_eq!(self.touch.bid, self.bids.below(i32::MAX).unwrap_or(NO_BID), "best bid");
        assert_eq!(self.touch.ask, self.asks.above(0).unwrap_or(NO_ASK), "best ask");
    }
}
