//! How long a message is under way.
//!
//! Why a sample is a function of (seed, account message number) and not of a shared generator: two runs, or two
//! configurations in one pass, that send the same messages get the same latencies whatever else happens around them.
//!
//! Known limitation: latency does not grow with our own load or with the venue's, except in a recorded table.

use mmbot_types::Nanos;
use thiserror::Error;

/// The law for one direction (to the venue, or back).
#[derive(Clone, Debug, PartialEq)]
pub enum LatencyModel {
    /// Always the same.
    Constant(Nanos),
    /// Drawn uniformly from the quantiles of a distribution, interpolated: `quantiles[0]` is the minimum, the last the
    /// maximum.
    Sampled {
        /// Rising.
        quantiles: Vec<Nanos>,
        /// Seed.
        seed: u64,
    },
    /// As it was: the latency recorded last before the time of sending (the first one before that). Rows of the very
    /// time are for the messages sent then, one after the other.
    Recorded(Vec<(Nanos, Nanos)>),
}

/// Why a latency model makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LatencyError {
    /// Time does not run backwards.
    #[error("latency must not be negative, got {0} ns")]
    Negative(i64),
    /// Nothing to draw from, or not sorted.
    #[error("{0} must not be empty and must rise")]
    Unsorted(&'static str),
}

/// SplitMix64 (Steele, Lea, Flood 2014): a counter-based stream, so sample `n` needs no sample before it.
fn split_mix(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl LatencyModel {
    /// Checks the model.
    ///
    /// # Errors
    /// [`LatencyError`] for a negative, empty or unsorted model.
    pub fn validated(self) -> Result<Self, LatencyError> {
        let negative = |latency: &Nanos| (latency.0 < 0).then_some(LatencyError::Negative(latency.0));
        let problem = match &self {
            Self::Constant(latency) => negative(latency),
            Self::Sampled { quantiles, .. } => {
                let rising = !quantiles.is_empty() && quantiles.windows(2).all(|pair| pair[0] <= pair[1]);
                (!rising)
                    .then_some(LatencyError::Unsorted("latency quantiles"))
                    .or_else(|| quantiles.iter().find_map(negative))
            }
            Self::Recorded(rows) => {
                let rising = !rows.is_empty() && rows.windows(2).all(|pair| pair[0].0 <= pair[1].0);
                (!rising)
                    .then_some(LatencyError::Unsorted("recorded latency times"))
                    .or_else(|| rows.iter().find_map(|row| negative(&row.1)))
            }
        };
        problem.map_or(Ok(self), Err)
    }

    /// Latency of the `n`-th message of an account in this direction, sent at `now`.
    #[must_use]
    pub fn latency(&self, now: Nanos, n: u64) -> Nanos {
        self.latency_after(now, n, usize::MAX)
    }

    /// The same for one that was sent after `before` others at the very time `now`.
    #[must_use]
    pub fn latency_after(&self, now: Nanos, n: u64, before: usize) -> Nanos {
        match self {
            Self::Constant(latency) => *latency,
            Self::Sampled { quantiles, seed } => {
                // 32 random bits place us between two quantiles: integers only, so the same on every machine.
                let spans = quantiles.len() as u64 - 1;
                let position = u128::from(split_mix(*seed, n) >> 32) * u128::from(spans);
                let (index, fraction) = ((position >> 32) as usize, (position & 0xffff_ffff) as i128);
                let low = quantiles[index].0;
                let high = quantiles[(index + 1).min(quantiles.len() - 1)].0;
                Nanos(low + ((i128::from(high - low) * fraction) >> 32) as i64)
            }
            Self::Recorded(rows) => {
                let last = rows.partition_point(|row| row.0 <= now).max(1) - 1;
                let first = rows.partition_point(|row| row.0 < now);
                rows[first.saturating_add(before).min(last)].1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A recorded table answers with the last row before the time of sending.
    #[test]
    fn recorded_latency_is_the_last_one_known() {
        let rows = vec![(Nanos(10), Nanos(5)), (Nanos(20), Nanos(7))];
        let model = LatencyModel::Recorded(rows).validated().unwrap();
        assert_eq!([0, 10, 19, 20, 99].map(|at| model.latency(Nanos(at), 0).0), [5, 5, 5, 7, 7]);
    }

    /// Messages of one time take the rows of that time in turn, and the last row when there are no more.
    #[test]
    fn messages_of_one_time_take_its_rows_in_turn() {
        let model = LatencyModel::Recorded([(10, 5), (20, 7), (20, 9)].map(|(at, ns)| (Nanos(at), Nanos(ns))).into());
        assert_eq!([0, 1, 2].map(|before| model.latency_after(Nanos(20), 0, before).0), [7, 9, 9]);
        assert_eq!([0, 1].map(|before| model.latency_after(Nanos(15), 0, before).0), [5, 5]);
    }

    /// What makes no sense is refused when the model is built.
    #[test]
    fn nonsense_is_refused() {
        assert_eq!(LatencyModel::Constant(Nanos(-1)).validated(), Err(LatencyError::Negative(-1)));
        assert!(LatencyModel::Sampled { quantiles: vec![], seed: 0 }.validated().is_err());
        assert!(LatencyModel::Sampled { quantiles: vec![Nanos(2), Nanos(1)], seed: 0 }.validated().is_err());
        assert!(LatencyModel::Recorded(vec![]).validated().is_err());
    }

    proptest! {
        /// Samples stay within the distribution, and their mean is that of the interpolated quantiles.
        #[test]
        fn samples_follow_the_quantiles(seed in any::<u64>()) {
            let model = LatencyModel::Sampled { quantiles: vec![Nanos(100), Nanos(200), Nanos(400)], seed };
            let samples: Vec<i64> = (0..4_000).map(|n| model.latency(Nanos(0), n).0).collect();
            prop_assert!(samples.iter().all(|sample| (100..=400).contains(sample)));
            let mean = samples.iter().sum::<i64>() as f64 / 4_000.0;
            prop_assert!((mean - 225.0).abs() < 8.0, "mean {mean}"); // (150 + 300) / 2, 5 s.e. = 6.6
        }
    }
}
