//! A sum that forgets: each amount counts half after one half-life.

use mmbot_types::Nanos;

/// `Σ amount · 2^(−age / half_life)`: exact forgetting in constant memory, where a sliding window would need a buffer
/// of unknown length.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decayed {
    half_life: Nanos,
    sum: f64,
    at: Nanos,
}

impl Decayed {
    pub(crate) fn new(half_life: Nanos) -> Self {
        Self { half_life, sum: 0.0, at: Nanos::ZERO }
    }

    /// Nothing to add costs nothing: the decay is applied when the sum is touched or read.
    pub(crate) fn add(&mut self, now: Nanos, amount: f64) {
        if amount != 0.0 {
            self.sum = self.at(now) + amount;
            self.at = now;
        }
    }

    pub(crate) fn at(&self, now: Nanos) -> f64 {
        self.sum * decay(now - self.at, self.half_life)
    }

    pub(crate) fn state(&self) -> [u64; 2] {
        [self.sum.to_bits(), self.at.0 as u64]
    }
}

/// What is left of one after `age`.
pub(crate) fn decay(age: Nanos, half_life: Nanos) -> f64 {
    libm::exp2(-(age.0.max(0) as f64) / half_life.0 as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Weighing every amount by its age at the end is the obvious twin of decaying a running sum.
        #[test]
        fn the_running_sum_equals_the_sum_of_weighted_amounts(
            steps in prop::collection::vec((0i64..1_000, -50i32..50), 1..100), half_life in 1i64..5_000
        ) {
            let (mut now, mut fast, mut seen) = (0, Decayed::new(Nanos(half_life)), Vec::new());
            for (gap, amount) in steps {
                now += gap;
                fast.add(Nanos(now), f64::from(amount));
                seen.push((now, f64::from(amount)));
            }
            let plain: f64 = seen.iter().map(|(at, x)| x * 0.5f64.powf((now - at) as f64 / half_life as f64)).sum();
            prop_assert!((fast.at(Nanos(now)) - plain).abs() < 1e-9 * (1.0 + plain.abs()));
        }
    }
}
