//! The plainest maker there is, in Rust: what a wake costs without Python, and a check of the Python one.

use mmbot_engine::{Intent, Quote};
use mmbot_types::{InstrumentId, Lots, Side, Ticks};

use crate::{Replay, ReplayError};

/// Joins the best bid and the best ask with a fixed quantity, one side only beyond the cap.
#[derive(Clone, Copy, Debug)]
pub struct JoinTouch {
    /// Quantity of each quote.
    pub qty: Lots,
    /// No bid at this position or more, no ask at minus this or less.
    pub cap: Lots,
    /// Ticks behind the touch.
    pub offset: i64,
}

impl JoinTouch {
    /// What it wants now, or nothing to say without a two-sided market.
    #[must_use]
    pub fn decide(&self, replay: &Replay, seat: u16, instrument: InstrumentId) -> Option<Intent> {
        let touch = replay.market().get(instrument).touch();
        if !touch.is_two_sided() {
            return None;
        }
        let position = replay.engine(seat).position(instrument);
        let mut intent = Intent::default();
        if position < self.cap {
            let price = Ticks(i64::from(touch.bid) - self.offset);
            intent.quotes.push(Quote { side: Side::Buy, price, qty: self.qty });
        }
        if position > -self.cap {
            let price = Ticks(i64::from(touch.ask) + self.offset);
            intent.quotes.push(Quote { side: Side::Sell, price, qty: self.qty });
        }
        Some(intent)
    }

    /// Replays to the end, one of these per seat.
    ///
    /// # Errors
    /// As [`Replay::next_wake`].
    pub fn run(makers: &[Self], replay: &mut Replay, instrument: InstrumentId) -> Result<(), ReplayError> {
        while let Some(woken) = replay.next_wake()? {
            let seats = woken.seats.clone();
            for seat in seats {
                if let Some(intent) = makers[seat as usize].decide(replay, seat, instrument) {
                    replay.decide(seat, instrument, &intent)?;
                }
            }
        }
        Ok(())
    }
}
