//! What the limits remember between orders: all of it bounded, all of it a function of the inputs.

use mmbot_types::{Nanos, Ticks, Touch};
use serde::{Deserialize, Serialize};

use super::{Elsewhere, FreezeLevel};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Requests of the last second, whenever it begins: no second at all sees more than the limit, so none passes twice as
/// much over the turn of one. They are counted in slots of 50 ms, and one counts until the last slot that touches its
/// second is over: 1 to 1.05 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "MeterState")]
pub struct RequestMeter {
    /// The newest, counted since 1970.
    slot: i64,
    /// By slot, modulo their number.
    counts: [u32; SLOTS],
}

const SLOT: i64 = 50_000_000;
/// Those of a second, and the running one.
const SLOTS: usize = (SECOND / SLOT) as usize + 1;

/// As a snapshot has it: of now, or of the version that counted whole seconds.
#[derive(Deserialize)]
struct MeterState {
    #[serde(default)]
    slot: i64,
    #[serde(default)]
    counts: [u32; SLOTS],
    #[serde(default)]
    second: i64,
    #[serde(default)]
    count: u32,
}

impl From<MeterState> for RequestMeter {
    /// A whole second counts as if all of it had been asked at its end.
    fn from(was: MeterState) -> Self {
        let mut meter = Self { slot: was.slot, counts: was.counts };
        if was.count > 0 {
            meter
                .count_times(Nanos((was.second.saturating_add(1)).saturating_mul(SECOND).saturating_sub(1)), was.count);
        }
        meter
    }
}

impl RequestMeter {
    /// Whether one more would be too many.
    pub(super) fn is_full(&self, now: Nanos, max: u32) -> bool {
        let ahead = now.0.div_euclid(SLOT).saturating_sub(self.slot);
        let gone = usize::try_from(ahead.max(0)).unwrap_or(SLOTS).min(SLOTS);
        // The oldest ones are over: they follow the newest in the ring.
        let newest = self.place(self.slot);
        let held = (0..SLOTS - gone).map(|back| u64::from(self.counts[(newest + SLOTS - back) % SLOTS])).sum::<u64>();
        held >= u64::from(max)
    }

    /// Counts one.
    pub(super) fn count(&mut self, now: Nanos) {
        self.count_times(now, 1);
    }

    fn count_times(&mut self, now: Nanos, times: u32) {
        let slot = now.0.div_euclid(SLOT).max(self.slot);
        for passed in 1..=slot.saturating_sub(self.slot).min(SLOTS as i64) {
            let at = self.place(self.slot.saturating_add(passed));
            self.counts[at] = 0;
        }
        self.slot = slot;
        let at = self.place(slot);
        self.counts[at] = self.counts[at].saturating_add(times);
    }

    fn place(&self, slot: i64) -> usize {
        slot.rem_euclid(SLOTS as i64) as usize
    }
}

/// Requests and executions of the running day of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct DayMeter {
    day: i64,
    requests: u32,
    trades: u32,
}

impl DayMeter {
    fn turn(&mut self, now: Nanos) {
        let day = now.0.div_euclid(DAY);
        if day != self.day {
            *self = Self { day, requests: 0, trades: 0 };
        }
    }

    pub(super) fn requested(&mut self, now: Nanos) {
        self.turn(now);
        self.requests = self.requests.saturating_add(1);
    }

    pub(super) fn traded(&mut self, now: Nanos) {
        self.turn(now);
        self.trades = self.trades.saturating_add(1);
    }

    /// Whether one more request would be more than `per_trade` for each execution, `free` ones aside.
    pub(super) fn is_over(&self, now: Nanos, per_trade: u32, free: u32) -> bool {
        let today = now.0.div_euclid(DAY) == self.day;
        let requests = if today { self.requests } else { 0 };
        let trades = if today { self.trades } else { 0 };
        let most = u64::from(per_trade) * u64::from(trades.max(1));
        per_trade > 0 && requests >= free && u64::from(requests) >= most
    }
}

/// Sizes of the last orders that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Sizes {
    last: [i64; Self::KEPT],
    seen: u32,
}

impl Sizes {
    const KEPT: usize = 15;
    /// Fewer say nothing about what is usual.
    const NEEDED: u32 = 5;

    pub(super) fn push(&mut self, lots: i64) {
        self.last[self.seen as usize % Self::KEPT] = lots;
        self.seen = self.seen.wrapping_add(1).max(1);
    }

    /// The usual size, once it is known.
    pub(super) fn median(&self) -> Option<i64> {
        if self.seen < Self::NEEDED {
            return None;
        }
        let kept = (self.seen as usize).min(Self::KEPT);
        let mut sizes = self.last;
        let sizes = &mut sizes[..kept];
        sizes.sort_unstable();
        Some(sizes[(kept - 1) / 2])
    }
}

/// What we know of an instrument's market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// The touch; empty while the book is unknown or crossed.
    pub touch: Touch,
    /// When its last message of any kind came, by our clock.
    pub heard: Option<Nanos>,
    /// What the venue's clock said when it made the book that we have.
    pub venue: Option<Nanos>,
}

impl Seen {
    /// Nothing was heard.
    pub const NOTHING: Self = Self { touch: Touch::EMPTY, heard: None, venue: None };
}

/// A price and when it was true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Priced {
    pub(super) price: Ticks,
    pub(super) at: Nanos,
}

/// Whether something is older than it may be. What lies in the future is no age: our clocks disagree, so it is old.
pub(super) fn is_old(at: Option<Nanos>, now: Nanos, max: Nanos) -> bool {
    max > Nanos::ZERO && at.is_none_or(|at| at > now || now - at > max)
}

/// What a restart must not forget: the counts of the running second and day, the usual sizes, and what was told from
/// outside. The market is heard anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub(super) instruments: Vec<KeptOne>,
    pub(super) creates: RequestMeter,
    pub(super) requests: RequestMeter,
    pub(super) levels: [FreezeLevel; 3],
    pub(super) share_ppm: u32,
    pub(super) elsewhere: [Option<Elsewhere>; 2],
}

/// Of one instrument, beside its [`RequestMeter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptOne {
    pub(super) day: DayMeter,
    pub(super) sizes: Sizes,
    pub(super) reference: Option<Priced>,
    pub(super) level: FreezeLevel,
}

impl Kept {
    /// Of how many instruments.
    #[must_use]
    pub fn instruments(&self) -> usize {
        self.instruments.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(meter: &mut RequestMeter, ns: i64, max: u32) -> bool {
        let full = meter.is_full(Nanos(ns), max);
        if !full {
            meter.count(Nanos(ns));
        }
        !full
    }

    /// The budget of a second is used up, and comes back when that second is surely over.
    #[test]
    fn the_rate_is_per_second() {
        let mut meter = RequestMeter::default();
        let found = [0, 1, 2, 999_999_999, 1_000_000_000, 1_049_999_999, 1_050_000_000];
        assert_eq!(found.map(|ns| admit(&mut meter, ns, 3)), [true, true, true, false, false, false, true]);
        assert!(RequestMeter::default().is_full(Nanos(0), 0), "nothing may leave");
    }

    /// At the end of one second and at the beginning of the next: the limit, and not twice of it.
    #[test]
    fn the_turn_of_a_second_lets_no_second_budget_through() {
        let mut meter = RequestMeter::default();
        let burst = |meter: &mut RequestMeter, ns: i64| (0..10).filter(|_| admit(meter, ns, 5)).count();
        assert_eq!(burst(&mut meter, 5 * SECOND - 1), 5);
        assert_eq!(burst(&mut meter, 5 * SECOND), 0);
        assert_eq!(burst(&mut meter, 6 * SECOND - 1), 0);
        assert_eq!(burst(&mut meter, 6 * SECOND), 5);
    }

    proptest::proptest! {
        /// Whenever it is asked, no second sees more than the limit; and what it refuses was more than the limit in the
        /// slots that a second touches.
        #[test]
        fn no_second_sees_more_than_the_limit(
            steps in proptest::collection::vec(0..400_000_000_i64, 1..200),
            max in 1..8_u32,
        ) {
            let (mut meter, mut now, mut passed) = (RequestMeter::default(), 0, Vec::new());
            for step in steps {
                now += step;
                let recent = |within: i64| passed.iter().filter(|at| now - **at < within).count();
                let (second, widest) = (recent(SECOND), recent(SECOND + SLOT));
                if admit(&mut meter, now, max) {
                    proptest::prop_assert!(second < max as usize);
                    passed.push(now);
                } else {
                    proptest::prop_assert!(widest >= max as usize);
                }
            }
        }
    }

    /// What was counted by whole seconds counts on, until the second after is over.
    #[test]
    fn a_count_of_the_earlier_version_is_taken_over() {
        let old = RequestMeter::from(MeterState { slot: 0, counts: [0; SLOTS], second: 7, count: 3 });
        assert!(old.is_full(Nanos(7 * SECOND), 3));
        assert!(old.is_full(Nanos(9 * SECOND - 1), 3));
        assert!(!old.is_full(Nanos(9 * SECOND), 3));
        let now = MeterState { slot: old.slot, counts: old.counts, second: 0, count: 0 };
        assert_eq!(RequestMeter::from(now), old);
    }

    /// The usual size is the median of the last fifteen, and unknown before the fifth.
    #[test]
    fn the_usual_size_is_a_median_of_the_last() {
        let mut sizes = Sizes::default();
        for lots in [1, 9, 2, 8] {
            sizes.push(lots);
        }
        assert_eq!(sizes.median(), None);
        sizes.push(5);
        assert_eq!(sizes.median(), Some(5));
        for _ in 0..15 {
            sizes.push(100);
        }
        assert_eq!(sizes.median(), Some(100));
    }

    /// A day's ratio begins anew at midnight UTC.
    #[test]
    fn the_ratio_is_of_a_day() {
        let mut meter = DayMeter::default();
        for _ in 0..10 {
            meter.requested(Nanos(1));
        }
        assert!(meter.is_over(Nanos(2), 10, 10), "an eleventh for no trade");
        assert!(!meter.is_over(Nanos(2), 10, 11), "the free ones");
        meter.traded(Nanos(2));
        assert!(meter.is_over(Nanos(2), 10, 10), "one trade pays for ten");
        meter.traded(Nanos(2));
        assert!(!meter.is_over(Nanos(2), 10, 10));
        assert!(!meter.is_over(Nanos(DAY), 1, 1));
        assert!(!meter.is_over(Nanos(2), 0, 0), "off");
    }

    /// What is missing, or from the future, is old.
    #[test]
    fn an_age_that_is_not_known_is_old() {
        let old = |at: Option<i64>| is_old(at.map(Nanos), Nanos(1_000), Nanos(250));
        assert_eq!([Some(750), Some(749), Some(1_000), Some(1_001), None].map(old), [false, true, false, true, true]);
        assert!(!is_old(None, Nanos(1), Nanos::ZERO), "off");
    }
}
