//! Traded notional of the last 30 days, in hours: what venues set fee tiers by.
//!
//! The current hour and the 719 before it count in full, so a fill leaves the figure up to one hour early, never late.
//! Known limitation: venues refresh their tiers once a day at an hour of their own; the figure here moves by the hour.

use mmbot_types::{Cash, Nanos};

const HOUR: i64 = 3_600_000_000_000;
const HOURS: usize = 30 * 24;

/// A ring of hours: each slot holds the newest hour that maps to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RollingVolume {
    hours: Vec<(i64, Cash)>,
}

impl RollingVolume {
    pub(crate) fn new() -> Self {
        Self { hours: vec![(i64::MIN, Cash::ZERO); HOURS] }
    }

    /// The caller has checked that the sum of all volume fits. Volume older than what its slot holds is out of the
    /// window already.
    pub(crate) fn add(&mut self, ts: Nanos, notional: Cash) {
        let hour = ts.0.div_euclid(HOUR);
        let slot = &mut self.hours[hour.rem_euclid(HOURS as i64) as usize];
        if slot.0 < hour {
            *slot = (hour, Cash::ZERO);
        }
        if slot.0 == hour {
            slot.1 += notional;
        }
    }

    /// The hours that it holds.
    pub(crate) fn hours(&self) -> Vec<(i64, Cash)> {
        self.hours.iter().copied().filter(|(hour, _)| *hour != i64::MIN).collect()
    }

    pub(crate) fn set(&mut self, hour: i64, notional: Cash) {
        self.hours[hour.rem_euclid(HOURS as i64) as usize] = (hour, notional);
    }

    pub(crate) fn at(&self, now: Nanos) -> Cash {
        let hour = now.0.div_euclid(HOUR);
        let window = hour - HOURS as i64 + 1..=hour;
        self.hours.iter().filter(|(at, _)| window.contains(at)).map(|(_, notional)| *notional).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Adding up the fills of the window again is the obvious twin of the ring.
        #[test]
        fn the_ring_equals_adding_up_the_window(gaps in prop::collection::vec((0i64..60, 1i128..1_000), 1..120)) {
            let (mut hour, mut ring, mut fills) = (500_000i64, RollingVolume::new(), Vec::new());
            for (gap, notional) in gaps {
                hour += gap;
                ring.add(Nanos(hour * HOUR + 17), Cash(notional));
                fills.push((hour, notional));
                let window: i128 = fills.iter().filter(|(at, _)| hour - at < HOURS as i64).map(|(_, n)| n).sum();
                prop_assert_eq!(ring.at(Nanos(hour * HOUR + 20)), Cash(window));
            }
            prop_assert_eq!(ring.at(Nanos((hour + HOURS as i64) * HOUR)), Cash::ZERO);
        }
    }

    #[test]
    fn a_fill_that_comes_a_month_late_is_not_counted() {
        let mut ring = RollingVolume::new();
        ring.add(Nanos(HOURS as i64 * HOUR), Cash(5));
        ring.add(Nanos(0), Cash(7));
        assert_eq!(ring.at(Nanos(HOURS as i64 * HOUR)), Cash(5));
    }
}
