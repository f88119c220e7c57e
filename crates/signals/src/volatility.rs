//! Volatility of the mid per √second, from samples that are at least `sample` apart.
//!
//! A sample is the mid after the first touch that comes when the next one is due, so spacing follows the market:
//! squares are divided by the time that really passed, never by a count. Returns are of log prices.
//! Sums of squares are whole numbers of 2^-96: what enters a window leaves it exactly, and no error grows with the run.
//!
//! Known limitation: the mid still carries the bounce of the touch, which inflates short samples;
//! [`WindowVolatility`] with subsamples (two scales) takes that noise out.

use std::collections::VecDeque;

use mmbot_types::Nanos;
use xxhash_rust::xxh3::Xxh3;

use crate::flow::decay;
use crate::measures::two_scale_variance;

const NANOS_PER_SECOND: f64 = 1e9;
const QUANTA: f64 = (1u128 << 96) as f64;

fn square(change: f64) -> u128 {
    (change * change * QUANTA) as u128
}

/// A log price and when it was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    ts: Nanos,
    log_price: f64,
}

impl Sample {
    fn of(ts: Nanos, price: f64) -> Self {
        Self { ts, log_price: libm::log(price) }
    }
}

/// Time-weighted exponential average of the variance rate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EwmaVolatility {
    half_life: Nanos,
    sample: Nanos,
    last: Option<Sample>,
    weighted: f64,
    weight: f64,
}

impl EwmaVolatility {
    pub(crate) fn new(half_life: Nanos, sample: Nanos) -> Self {
        Self { half_life, sample, last: None, weighted: 0.0, weight: 0.0 }
    }

    pub(crate) fn on_price(&mut self, ts: Nanos, price: f64) {
        let Some(last) = self.last else {
            self.last = Some(Sample::of(ts, price));
            return;
        };
        let elapsed = ts - last.ts;
        if elapsed < self.sample {
            return;
        }
        let seen = Sample::of(ts, price);
        let change = seen.log_price - last.log_price;
        let kept = decay(elapsed, self.half_life);
        let rate = change * change / (elapsed.0 as f64 / NANOS_PER_SECOND);
        self.weighted = self.weighted * kept + rate * (1.0 - kept);
        self.weight = self.weight * kept + (1.0 - kept);
        self.last = Some(seen);
    }

    /// NaN until one half-life has been seen.
    pub(crate) fn value(&self) -> f64 {
        if self.weight < 0.5 { f64::NAN } else { (self.weighted / self.weight).sqrt() }
    }

    pub(crate) fn hash(&self, hash: &mut Xxh3) {
        let last = self.last.map_or([0; 2], |last| [last.ts.0 as u64, last.log_price.to_bits()]);
        for word in [last[0], last[1], self.weighted.to_bits(), self.weight.to_bits()] {
            hash.update(&word.to_le_bytes());
        }
    }
}

/// Realised volatility of the last `window`; with more than one subsample, the two-scale estimate (adjusted for small
/// samples).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WindowVolatility {
    window: Nanos,
    sample: Nanos,
    subsamples: usize,
    samples: VecDeque<Sample>,
    squares_all: u128,
    squares_sub: u128,
    warm: bool,
}

impl WindowVolatility {
    /// Everything it will ever need is reserved here: at most `window / sample + 2` samples.
    pub(crate) fn new(window: Nanos, sample: Nanos, subsamples: usize) -> Self {
        let samples = VecDeque::with_capacity((window.0 / sample.0) as usize + 2);
        Self { window, sample, subsamples, samples, squares_all: 0, squares_sub: 0, warm: false }
    }

    /// Square of the return that ends `steps` after sample `from`, zero if there is none.
    fn square(&self, from: usize, steps: usize) -> u128 {
        match (self.samples.get(from), self.samples.get(from + steps)) {
            (Some(start), Some(end)) => square(end.log_price - start.log_price),
            _ => 0,
        }
    }

    pub(crate) fn on_price(&mut self, ts: Nanos, price: f64) {
        if self.samples.back().is_some_and(|last| ts - last.ts < self.sample) {
            return;
        }
        self.samples.push_back(Sample::of(ts, price));
        let newest = self.samples.len() - 1;
        self.squares_all += newest.checked_sub(1).map_or(0, |from| self.square(from, 1));
        self.squares_sub += newest.checked_sub(self.subsamples).map_or(0, |from| self.square(from, self.subsamples));
        self.warm |= ts - self.samples[0].ts >= self.window;
        while self.samples.len() > 2 && ts - self.samples[0].ts > self.window {
            self.squares_all -= self.square(0, 1);
            self.squares_sub -= self.square(0, self.subsamples);
            self.samples.pop_front();
        }
    }

    /// NaN until a whole window has been seen, and while a quiet market has left too few samples for two scales.
    pub(crate) fn value(&self) -> f64 {
        if !self.warm {
            return f64::NAN;
        }
        let elapsed = (self.samples[self.samples.len() - 1].ts - self.samples[0].ts).0 as f64 / NANOS_PER_SECOND;
        let all = self.squares_all as f64 / QUANTA;
        let variance = if self.subsamples == 1 {
            all
        } else {
            two_scale_variance(all, self.squares_sub as f64 / QUANTA, self.samples.len() - 1, self.subsamples, true)
        };
        // Two scales may go below zero by chance; NaN stays NaN.
        if variance < 0.0 { 0.0 } else { (variance / elapsed).sqrt() }
    }

    pub(crate) fn hash(&self, hash: &mut Xxh3) {
        for sample in &self.samples {
            hash.update(&sample.ts.0.to_le_bytes());
            hash.update(&sample.log_price.to_bits().to_le_bytes());
        }
        hash.update(&[u8::from(self.warm)]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Prices at irregular times: (gap in ns, price).
    fn walks() -> impl Strategy<Value = Vec<(i64, i32)>> {
        prop::collection::vec((1i64..400_000_000, 90_000i32..110_000), 2..120)
    }

    /// The samples taken from a walk, by rereading the rule on the whole list.
    fn sampled(walk: &[(i64, i32)], sample: i64) -> Vec<(i64, f64)> {
        let (mut ts, mut taken): (i64, Vec<(i64, f64)>) = (0, Vec::new());
        for (gap, price) in walk {
            ts += gap;
            if taken.last().is_none_or(|last| ts - last.0 >= sample) {
                taken.push((ts, f64::from(*price)));
            }
        }
        taken
    }

    fn feed(walk: &[(i64, i32)], mut on_price: impl FnMut(Nanos, f64)) {
        let mut ts = 0;
        for (gap, price) in walk {
            ts += gap;
            on_price(Nanos(ts), f64::from(*price));
        }
    }

    fn close(left: f64, right: f64) -> bool {
        left.is_nan() && right.is_nan() || (left - right).abs() <= 1e-9 * (1e-6 + right.abs())
    }

    proptest! {
        // The batch twin takes the samples of the last window from the whole list and squares them again.
        #[test]
        fn a_window_equals_its_batch_twin(walk in walks(), subsamples in 1usize..5) {
            const WINDOW: i64 = 5_000_000_000;
            const SAMPLE: i64 = 100_000_000;
            let mut fast = WindowVolatility::new(Nanos(WINDOW), Nanos(SAMPLE), subsamples);
            feed(&walk, |ts, price| fast.on_price(ts, price));
            let taken = sampled(&walk, SAMPLE);
            let end = taken[taken.len() - 1].0;
            let kept: Vec<_> = taken.iter().filter(|s| end - s.0 <= WINDOW).collect();
            let kept = if kept.len() < 2 { taken.iter().rev().take(2).rev().collect() } else { kept };
            let squares = |steps: usize| -> f64 {
                kept.iter().zip(kept.iter().skip(steps)).map(|(a, b)| (b.1 / a.1).ln().powi(2)).sum()
            };
            let variance = match subsamples {
                1 => squares(1),
                k => two_scale_variance(squares(1), squares(k), kept.len() - 1, k, true),
            };
            let expected = if end - taken[0].0 < WINDOW {
                f64::NAN
            } else if variance < 0.0 {
                0.0
            } else {
                (variance / ((end - kept[0].0) as f64 / 1e9)).sqrt()
            };
            prop_assert!(close(fast.value(), expected), "{} against {expected}", fast.value());
            prop_assert!(fast.samples.len() <= (WINDOW / SAMPLE) as usize + 1);
        }

        // The batch twin weighs each interval's variance rate by how much of the average's memory it covers.
        #[test]
        fn an_ewma_equals_its_batch_twin(walk in walks()) {
            const HALF_LIFE: i64 = 2_000_000_000;
            const SAMPLE: i64 = 50_000_000;
            let mut fast = EwmaVolatility::new(Nanos(HALF_LIFE), Nanos(SAMPLE));
            feed(&walk, |ts, price| fast.on_price(ts, price));
            let taken = sampled(&walk, SAMPLE);
            let end = taken[taken.len() - 1].0;
            let left = |ts: i64| 0.5f64.powf((end - ts) as f64 / HALF_LIFE as f64);
            let (mut weighted, mut weight) = (0.0, 0.0);
            for pair in taken.windows(2) {
                let share = left(pair[1].0) - left(pair[0].0);
                weighted += share * (pair[1].1 / pair[0].1).ln().powi(2) / ((pair[1].0 - pair[0].0) as f64 / 1e9);
                weight += share;
            }
            let expected = if weight < 0.5 { f64::NAN } else { (weighted / weight).sqrt() };
            prop_assert!(close(fast.value(), expected), "{} against {expected}", fast.value());
        }
    }

    #[test]
    fn a_quiet_market_lowers_the_volatility_because_time_has_passed() {
        let mut window = WindowVolatility::new(Nanos(1_000_000_000), Nanos(1_000_000_000), 1);
        for (second, price) in [(0, 100.0), (1, 101.0), (5, 102.01)] {
            window.on_price(Nanos(second * 1_000_000_000), price);
        }
        assert!((window.value() - (1.01f64).ln() / 2.0).abs() < 1e-12); // one return over four seconds
    }
}
