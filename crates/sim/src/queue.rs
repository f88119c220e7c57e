//! Where our order stands in line, when the feed tells only the sum of lots at each price.
//!
//! ```text
//!        [ ahead ............ ][ us ][ behind ... ]
//! trade   eats from the front          ahead -= lots
//! growth  joins at the back            ahead stays
//! shrink  someone cancelled: ahead of us or behind?   here the laws differ
//! ```
//! With `c` lots cancelled (the fall of the level not explained by trades), `f` ahead and `b` behind, a law names the
//! share `p` of cancels that come from behind us, and `ahead = min(f − (1−p)·c + min(b − p·c, 0), displayed)`: what
//! is not there behind must have gone in front.
//!
//! ```text
//! law         p                                known limitation
//! RiskAverse  1                                pessimistic: only trades move us up, until we cannot be further back
//! Power(n)    bⁿ / (bⁿ + fⁿ)                   n is fitted, not known; a large n is a step at the middle
//! Power2(n)   bⁿ / (b + f)ⁿ                    optimistic for n > 1: at the middle most cancels are ahead of us
//! Power3(n)   1 − (f / (b + f))ⁿ               pessimistic for n > 1: at the middle most cancels are behind us
//! Log         ln(1+b) / (ln(1+b) + ln(1+f))    depends on the size of a lot; may overshoot the front by a fraction
//! Log2        ln(1+b) / ln(1+b+f)              depends on the size of a lot
//! Fifo        told, order by order             exact on a tape by order; untold cancels count as behind us
//! ```
//!
//! The laws are those of hftbacktest (`queue.rs`, risk-averse, probability-power and -log queue models). One
//! deliberate difference: once nothing is ahead, a depth change cannot move us, while hftbacktest's `Log` then drifts
//! by the fraction it overshot.
//!
//! Limits common to all: hidden size is invisible, so on iceberg venues we fill too early; a depth message that
//! arrives before its trade is taken for a cancel; pro-rata venues are not modelled. Floats: `n` a whole number up to
//! 16 is multiplied out and the same on every machine; other `n`, `Log` and `Log2` go through the platform's
//! `powf`/`ln`, whose last bit may differ between platforms.

use thiserror::Error;

/// A law of where cancels come from. See the table at the top of this file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QueueModel {
    /// Cancels come from behind us until that is impossible.
    RiskAverse,
    /// Share behind bⁿ / (bⁿ + fⁿ).
    Power(f64),
    /// Share behind bⁿ / (b + f)ⁿ.
    Power2(f64),
    /// Share behind 1 − (f / (b + f))ⁿ.
    Power3(f64),
    /// Share behind ln(1+b) / (ln(1+b) + ln(1+f)).
    Log,
    /// Share behind ln(1+b) / ln(1+b+f).
    Log2,
    /// Cancels are told one by one: [`QueuePosition::on_cancel`].
    Fifo,
}

/// Why a law can not be used.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum QueueModelError {
    /// An exponent that is no number, not positive, or so large that powers of a quantity overflow.
    #[error("queue model exponent n must be above 0 and at most {EXPONENT_MAX}, got {0}")]
    Exponent(f64),
}

/// Largest exponent: beyond it the power laws are steps, and powers of large quantities overflow.
pub const EXPONENT_MAX: f64 = 16.0;

/// Less than this is a rounding error of the additions, not a quantity.
const DUST: f64 = 1e-9;

/// Our place in one level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueuePosition {
    ahead: f64,
    displayed: f64,
    traded: f64,
    past: f64,
}

impl QueuePosition {
    /// Lots in front of us. Negative once lots went past our place: minus what went past.
    #[must_use]
    pub fn ahead(&self) -> f64 {
        self.ahead
    }

    /// Lots of the last trade that went past our place: that much of us would have traded. Zero after a depth change.
    #[must_use]
    pub fn past(&self) -> f64 {
        self.past
    }

    /// An order left our level by cancellation, and we know where it stood. `displayed` shrinks along, so the
    /// depth message that reports the same cancel changes nothing more.
    pub fn on_cancel(&mut self, lots: f64, in_front: bool) {
        self.past = 0.0;
        self.displayed = (self.displayed - lots).max(0.0);
        if in_front && self.ahead > 0.0 {
            self.ahead = (self.ahead - lots).max(0.0);
        }
    }
}

/// `base` to the `exponent`, multiplied out where the exponent is a small whole number: the same bits everywhere.
fn power(base: f64, exponent: f64) -> f64 {
    if exponent.fract() == 0.0 && (1.0..=EXPONENT_MAX).contains(&exponent) {
        (1..exponent as u32).fold(base, |product, _| product * base)
    } else {
        base.powf(exponent)
    }
}

impl QueueModel {
    /// This law, if its exponent makes sense.
    ///
    /// # Errors
    /// [`QueueModelError::Exponent`] unless `0 < n <= EXPONENT_MAX`.
    pub fn checked(self) -> Result<Self, QueueModelError> {
        match self {
            Self::Power(n) | Self::Power2(n) | Self::Power3(n) if !(n > 0.0 && n <= EXPONENT_MAX) => {
                Err(QueueModelError::Exponent(n))
            }
            sound => Ok(sound),
        }
    }

    /// At the back of what is displayed.
    #[must_use]
    pub fn join(&self, displayed: u32) -> QueuePosition {
        self.join_quantity(f64::from(displayed))
    }

    /// A trade at our price.
    pub fn on_trade(&self, place: &mut QueuePosition, lots: u32) {
        self.on_trade_quantity(place, f64::from(lots));
    }

    /// The lots now displayed at our price.
    pub fn on_depth(&self, place: &mut QueuePosition, lots: u32) {
        self.on_depth_quantity(place, f64::from(lots));
    }

    /// [`Self::join`] in any unit of quantity; not negative.
    #[must_use]
    pub fn join_quantity(&self, displayed: f64) -> QueuePosition {
        QueuePosition { ahead: displayed, displayed, traded: 0.0, past: 0.0 }
    }

    /// [`Self::on_trade`] in any unit of quantity; not negative.
    pub fn on_trade_quantity(&self, place: &mut QueuePosition, quantity: f64) {
        let past = quantity - place.ahead.max(0.0);
        place.past = if past > DUST { past } else { 0.0 };
        place.ahead -= quantity;
        place.traded += quantity;
    }

    /// [`Self::on_depth`] in any unit of quantity; not negative.
    pub fn on_depth_quantity(&self, place: &mut QueuePosition, displayed: f64) {
        let canceled = place.displayed - displayed - place.traded;
        let (ahead, behind) = (place.ahead, place.displayed - place.ahead);
        place.displayed = displayed;
        place.traded = 0.0;
        place.past = 0.0;
        if ahead <= 0.0 {
            return; // we are at the front, or past it: nobody's cancel can help us
        }
        if canceled > 0.0 {
            let share = self.share_behind(ahead, behind);
            place.ahead = ahead - (1.0 - share) * canceled + (behind - share * canceled).min(0.0);
        }
        place.ahead = place.ahead.min(displayed);
    }

    /// The share of cancels that come from behind us, with `f` > 0 ahead and `b` behind.
    fn share_behind(&self, f: f64, b: f64) -> f64 {
        let b = b.max(0.0); // a hair below zero after rounding is zero
        match *self {
            Self::RiskAverse | Self::Fifo => 1.0,
            Self::Power(n) => power(b, n) / (power(b, n) + power(f, n)),
            Self::Power2(n) => power(b, n) / power(b + f, n),
            Self::Power3(n) => 1.0 - power(f / (f + b), n),
            Self::Log => b.ln_1p() / (b.ln_1p() + f.ln_1p()),
            Self::Log2 => b.ln_1p() / (b + f).ln_1p(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Move {
        Trade(u32),
        Join(u32),
        Cancel(u32),
    }

    /// Runs a flow that could happen: nobody trades or cancels more than is displayed. Visits each place.
    fn run(model: QueueModel, displayed: u32, moves: &[Move], all_ahead: bool, mut visit: impl FnMut(f64, f64)) {
        let mut level = displayed;
        let mut place = model.join(displayed);
        for &step in moves {
            match step {
                Move::Trade(lots) if lots <= level => {
                    level -= lots;
                    model.on_trade(&mut place, lots);
                    visit(place.ahead(), place.past());
                    model.on_depth(&mut place, level);
                }
                Move::Join(lots) => {
                    level += lots;
                    model.on_depth(&mut place, level);
                }
                Move::Cancel(lots) if lots <= level => {
                    level -= lots;
                    if model == QueueModel::Fifo {
                        place.on_cancel(f64::from(lots), all_ahead);
                    }
                    model.on_depth(&mut place, level);
                }
                _ => continue,
            }
            visit(place.ahead(), place.past());
        }
    }

    fn places(model: QueueModel, displayed: u32, moves: &[Move], all_ahead: bool) -> Vec<f64> {
        let mut places = Vec::new();
        run(model, displayed, moves, all_ahead, |ahead, _| places.push(ahead));
        places
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let lots = || 1..20u32;
        let step =
            prop_oneof![lots().prop_map(Move::Trade), lots().prop_map(Move::Join), lots().prop_map(Move::Cancel)];
        prop::collection::vec(step, 0..60)
    }

    const LAWS: [QueueModel; 7] = [
        QueueModel::RiskAverse,
        QueueModel::Power(2.0),
        QueueModel::Power2(2.0),
        QueueModel::Power3(3.0),
        QueueModel::Log,
        QueueModel::Log2,
        QueueModel::Power(1.5),
    ];

    proptest! {
        #[test]
        fn nobody_ever_overtakes_us(displayed in 0..60u32, moves in moves()) {
            for law in LAWS {
                let places = places(law, displayed, &moves, false);
                prop_assert!(places.windows(2).all(|p| p[1] <= p[0] + 1e-9), "{law:?} {places:?}");
            }
        }

        #[test]
        fn every_law_lies_between_all_cancels_ahead_and_all_behind(displayed in 0..60u32, moves in moves()) {
            let earliest = places(QueueModel::Fifo, displayed, &moves, true);
            let latest = places(QueueModel::Fifo, displayed, &moves, false);
            prop_assert_eq!(&latest, &places(QueueModel::RiskAverse, displayed, &moves, false));
            for law in LAWS {
                for (i, ahead) in places(law, displayed, &moves, false).into_iter().enumerate() {
                    prop_assert!(ahead <= latest[i] + 1e-9, "{law:?} event {i}: later than risk-averse");
                    // a law may overshoot the front by a part of the cancel; what counts is that it does not fill early
                    let possible = earliest[i].max(0.0);
                    prop_assert!(ahead.max(0.0) >= possible - 1e-9, "{law:?} event {i}: too early");
                }
            }
        }

        #[test]
        fn the_power_laws_are_ordered(displayed in 0..60u32, moves in moves(), n in 1..5u32) {
            let n = f64::from(n);
            let line = [QueueModel::Power2(n), QueueModel::Power(n), QueueModel::Power3(n), QueueModel::RiskAverse]
                .map(|law| places(law, displayed, &moves, false));
            for pair in line.windows(2) {
                prop_assert!(pair[0].iter().zip(&pair[1]).all(|(a, b)| a.max(0.0) <= b.max(0.0) + 1e-9), "{pair:?}");
            }
        }

        #[test]
        fn what_goes_past_us_is_what_traded_minus_what_stood_ahead(
            displayed in 0..60u32,
            trades in prop::collection::vec(1..20u32, 1..30),
        ) {
            let mut place = QueueModel::RiskAverse.join(displayed);
            let mut past = 0.0;
            for &lots in &trades {
                QueueModel::RiskAverse.on_trade(&mut place, lots);
                past += place.past();
            }
            let traded: u32 = trades.iter().sum();
            prop_assert_eq!(past, f64::from(traded.saturating_sub(displayed)));
        }
    }

    #[test]
    fn a_level_that_vanishes_leaves_us_first() {
        for law in LAWS {
            let mut place = law.join(10);
            law.on_depth(&mut place, 0);
            assert!(place.ahead() <= 0.0, "{law:?}");
        }
    }

    #[test]
    fn an_exponent_without_meaning_is_refused() {
        for n in [0.0, -1.0, f64::NAN, f64::INFINITY, 17.0] {
            assert!(QueueModel::Power(n).checked().is_err(), "{n}");
        }
        assert_eq!(QueueModel::Power3(0.5).checked(), Ok(QueueModel::Power3(0.5)));
    }

    #[test]
    fn whole_powers_are_multiplied_out() {
        assert_eq!([power(3.0, 1.0), power(3.0, 2.0), power(3.0, 5.0)], [3.0, 9.0, 243.0]);
        assert!((power(2.0, 0.5) - 2f64.sqrt()).abs() < 1e-15);
    }
}
