//! Where own orders stand, by price: one short list per side, nearest to the touch first.
//!
//! Orders of many configurations hang on few prices, so the cost of a public message does not grow with their number
//! unless it concerns them.

use mmbot_types::Side;
use smallvec::SmallVec;

/// Slot of a resting order.
pub type Slot = u32;

/// Own orders at one price, oldest first.
#[derive(Clone, Debug)]
pub struct WatchLevel {
    /// Price.
    pub tick: i32,
    /// Orders.
    pub slots: SmallVec<[Slot; 4]>,
}

/// Own orders of one instrument and side.
#[derive(Clone, Debug)]
pub struct Watch {
    side: Side,
    levels: Vec<WatchLevel>,
    /// Rank of the nearest level; the lowest possible when there is none.
    best: i64,
}

impl Watch {
    /// Nothing watched.
    #[must_use]
    pub fn new(side: Side) -> Self {
        Self { side, levels: Vec::new(), best: i64::MIN }
    }

    /// Higher is nearer to the touch (and better for the other party).
    #[inline]
    #[must_use]
    pub fn rank(&self, tick: i32) -> i64 {
        self.side.sign() * i64::from(tick)
    }

    /// Whether any own order stands at `tick` or better.
    #[inline]
    #[must_use]
    pub fn reaches(&self, tick: i32) -> bool {
        self.best >= self.rank(tick)
    }

    /// Rank of the nearest own order: a price of at most this rank is reached by it. The lowest possible when there is
    /// none.
    #[inline]
    #[must_use]
    pub fn reach(&self) -> i64 {
        self.best
    }

    /// Levels, nearest first.
    #[must_use]
    pub fn levels(&self) -> &[WatchLevel] {
        &self.levels
    }

    /// Hangs an order on its price.
    pub fn insert(&mut self, tick: i32, slot: Slot) {
        let rank = self.rank(tick);
        let index = self.levels.partition_point(|level| self.side.sign() * i64::from(level.tick) > rank);
        match self.levels.get_mut(index) {
            Some(level) if level.tick == tick => level.slots.push(slot),
            _ => self.levels.insert(index, WatchLevel { tick, slots: SmallVec::from_slice(&[slot]) }),
        }
        self.best = self.rank(self.levels[0].tick);
    }

    /// Takes an order off its price.
    pub fn remove(&mut self, tick: i32, slot: Slot) {
        let found = self.levels.iter().position(|level| level.tick == tick);
        debug_assert!(found.is_some(), "an order leaves a price it does not stand at");
        if let Some(index) = found {
            self.levels[index].slots.retain(|held| *held != slot);
            if self.levels[index].slots.is_empty() {
                self.levels.remove(index);
            }
        }
        self.best = self.levels.first().map_or(i64::MIN, |level| self.rank(level.tick));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bids are held highest first, asks lowest first; orders of one price in the order they came.
    #[test]
    fn nearest_to_the_touch_comes_first() {
        for (side, near, far) in [(Side::Buy, 101, 99), (Side::Sell, 99, 101)] {
            let mut watch = Watch::new(side);
            for (tick, slot) in [(100, 1), (far, 2), (near, 3), (100, 4)] {
                watch.insert(tick, slot);
            }
            let ticks: Vec<i32> = watch.levels().iter().map(|level| level.tick).collect();
            assert_eq!(ticks, [near, 100, far]);
            assert_eq!(watch.levels()[1].slots.as_slice(), [1, 4]);
            assert!(watch.reaches(near) && watch.reaches(far));
            watch.remove(near, 3);
            assert!(!watch.reaches(near) && watch.reaches(100));
        }
    }
}
