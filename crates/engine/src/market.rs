//! What we have heard of the public market: one book per instrument, and the measures that strategies asked for.

use mmbot_book::{BookError, L2Book};
use mmbot_signals::{SignalError, SignalSpec, Signals, TouchSeen, TradeSeen};
use mmbot_types::{InstrumentId, Level, Nanos, Side, Touch};

/// One instrument, heard.
pub struct Heard {
    /// The book.
    pub book: L2Book,
    /// Measures.
    pub signals: Signals,
    touch: Touch,
    /// A whole book came, and nothing was lost since.
    known: bool,
}

impl Heard {
    /// Touch; empty while the book is unknown or crossed: what cannot be true is not traded on.
    #[inline]
    #[must_use]
    pub fn touch(&self) -> Touch {
        self.touch
    }

    /// Takes over the book after a change made to it, and tells the measures.
    #[inline]
    fn book_changed(&mut self, ts: Nanos) {
        self.touch = if self.known && !self.book.is_crossed() { self.book.touch() } else { Touch::EMPTY };
        if !self.signals.is_empty() {
            let Touch { bid, ask } = self.touch;
            let seen = TouchSeen {
                ts,
                bid,
                ask,
                bid_lots: self.book.lots(Side::Buy, bid),
                ask_lots: self.book.lots(Side::Sell, ask),
            };
            self.signals.on_touch(&seen);
        }
    }

    /// Levels changed; zero lots means gone.
    ///
    /// # Errors
    /// [`BookError`] for levels that no book can take.
    #[inline]
    pub fn apply(&mut self, ts: Nanos, bids: &[Level], asks: &[Level]) -> Result<(), BookError> {
        self.book.apply(bids, asks)?;
        self.book_changed(ts);
        Ok(())
    }

    /// As [`Self::apply`], for levels of a verified tape.
    ///
    /// # Errors
    /// [`BookError`] for levels that no book can take.
    #[inline]
    pub fn apply_verified(&mut self, ts: Nanos, bids: &[Level], asks: &[Level]) -> Result<(), BookError> {
        self.book.apply_verified(bids, asks)?;
        self.book_changed(ts);
        Ok(())
    }

    /// The whole book, new.
    ///
    /// # Errors
    /// [`BookError`] for levels that no book can take.
    pub fn replace(&mut self, ts: Nanos, bids: &[Level], asks: &[Level]) -> Result<(), BookError> {
        self.book.replace(bids, asks)?;
        self.known = true;
        self.book_changed(ts);
        Ok(())
    }

    /// Updates were lost: nothing is known until the next whole book.
    pub fn lose(&mut self, ts: Nanos) {
        self.book.clear();
        self.known = false;
        self.book_changed(ts);
    }

    /// A public trade.
    pub fn traded(&mut self, trade: &TradeSeen) {
        self.signals.on_trade(trade);
    }
}

/// All instruments of a run.
pub struct Market {
    heard: Vec<Heard>,
}

impl Market {
    /// One instrument per list of measures.
    ///
    /// # Errors
    /// [`SignalError`] for a measure that cannot be computed.
    pub fn new(signals: &[Vec<SignalSpec>]) -> Result<Self, SignalError> {
        let heard = |specs: &Vec<SignalSpec>| {
            Ok(Heard { book: L2Book::new(), signals: Signals::new(specs)?, touch: Touch::EMPTY, known: false })
        };
        Ok(Self { heard: signals.iter().map(heard).collect::<Result<_, SignalError>>()? })
    }

    /// One instrument.
    #[inline]
    #[must_use]
    pub fn get(&self, instrument: InstrumentId) -> &Heard {
        &self.heard[instrument.0 as usize]
    }

    /// One instrument, to tell it news.
    #[inline]
    pub fn get_mut(&mut self, instrument: InstrumentId) -> &mut Heard {
        &mut self.heard[instrument.0 as usize]
    }

    /// All instruments.
    pub fn iter(&self) -> impl Iterator<Item = &Heard> {
        self.heard.iter()
    }
}
