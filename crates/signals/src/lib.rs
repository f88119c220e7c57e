//! Market measures, updated event by event: whole ticks and lots in, floats out.
//!
//! ```text
//! touch ──▶ microprice · imbalance · order-flow imbalance · volatility (EWMA, window, two scales)
//! trade ──▶ trade flow · bars
//! ```
//! A strategy declares what it wants ([`SignalSpec`]) and reads one number per spec ([`Signals::value`]); NaN means
//! "not known": not warm yet, or no two-sided market. All memory is reserved at the start, nothing is allocated per
//! event, and the logarithms are this build's own (`libm`), so the same events give the same bits on every machine.
//!
//! What is not handled: the clock of a signal never runs back; an event with an older time stamp counts as happening
//! now.

mod bars;
mod flow;
mod measures;
mod spec;
mod volatility;

use mmbot_types::{NO_ASK, NO_BID, Nanos, Side};
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

pub use bars::{Bar, BarField, Bars};
pub use measures::{Best, imbalance, microprice, order_flow, realised_variance, two_scale_variance};
pub use spec::SignalSpec;

use flow::Decayed;
use volatility::{EwmaVolatility, WindowVolatility};

/// The touch after a book message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TouchSeen {
    /// When it was seen.
    pub ts: Nanos,
    /// Best bid in ticks; [`NO_BID`] if there is none.
    pub bid: i32,
    /// Best ask in ticks; [`NO_ASK`] if there is none.
    pub ask: i32,
    /// Lots at the best bid.
    pub bid_lots: u32,
    /// Lots at the best ask.
    pub ask_lots: u32,
}

impl TouchSeen {
    /// The touch as sizes and prices, if both sides are there and not crossed or locked.
    fn two_sided(&self) -> Option<Best<i32>> {
        let whole = self.bid != NO_BID && self.ask != NO_ASK && self.bid < self.ask;
        let (bid_size, ask_size) = (f64::from(self.bid_lots), f64::from(self.ask_lots));
        whole.then_some(Best { bid: self.bid, bid_size, ask: self.ask, ask_size })
    }
}

/// A public execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradeSeen {
    /// When it was seen.
    pub ts: Nanos,
    /// Price in ticks.
    pub tick: i32,
    /// Quantity in lots.
    pub lots: u32,
    /// Who crossed the spread.
    pub aggressor: Side,
}

/// Why a spec cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignalError {
    /// Time spans must be positive.
    #[error("signal {index}: {field} must be positive, got {got} ns")]
    NotPositive {
        /// Which spec, counted from zero.
        index: usize,
        /// Which of its numbers.
        field: &'static str,
        /// What it was.
        got: i64,
    },
    /// A window holds at least a sample (two scales: two slow steps), and memory stays bounded.
    #[error(
        "signal {index}: a window of {window} ns with samples of {sample} ns keeps {kept} samples, \
         expected {least} to {MAX_SAMPLES}"
    )]
    Window {
        /// Which spec, counted from zero.
        index: usize,
        /// The window.
        window: i64,
        /// The least time between samples.
        sample: i64,
        /// How many samples would be kept.
        kept: i64,
        /// How many it takes at least.
        least: i64,
    },
    /// One scale is no two scales.
    #[error("signal {index}: two-scale volatility needs at least 2 subsamples, got {got}")]
    Subsamples {
        /// Which spec, counted from zero.
        index: usize,
        /// What it was.
        got: u32,
    },
}

/// No window keeps more samples than this (16 MB).
pub const MAX_SAMPLES: i64 = 1_000_000;

#[derive(Clone, Debug)]
enum Signal {
    Microprice,
    Imbalance,
    OrderFlow { sum: Decayed, before: Option<Best<i32>>, warm: bool },
    TradeFlow { sum: Decayed, warm: bool },
    Ewma(EwmaVolatility),
    Window(WindowVolatility),
    Bar { bars: Bars, field: BarField, last: Option<Bar> },
}

/// The measures of one instrument.
#[derive(Clone, Debug)]
pub struct Signals {
    now: Nanos,
    touch: Option<Best<i32>>,
    signals: Vec<Signal>,
}

impl SignalSpec {
    fn build(&self, index: usize) -> Result<Signal, SignalError> {
        let positive = |field, span: Nanos| match span.0 {
            got if got <= 0 => Err(SignalError::NotPositive { index, field, got }),
            _ => Ok(span),
        };
        let windowed = |window: Nanos, sample: Nanos, subsamples: u32, least: i64| {
            let (window, sample) = (positive("window", window)?, positive("sample", sample)?);
            let kept = window.0 / sample.0;
            if kept < least || kept > MAX_SAMPLES {
                return Err(SignalError::Window { index, window: window.0, sample: sample.0, kept, least });
            }
            Ok(Signal::Window(WindowVolatility::new(window, sample, subsamples as usize)))
        };
        Ok(match *self {
            Self::Microprice => Signal::Microprice,
            Self::Imbalance => Signal::Imbalance,
            Self::OrderFlowImbalance { half_life } => {
                let sum = Decayed::new(positive("half_life", half_life)?);
                Signal::OrderFlow { sum, before: None, warm: false }
            }
            Self::TradeFlow { half_life } => {
                Signal::TradeFlow { sum: Decayed::new(positive("half_life", half_life)?), warm: false }
            }
            Self::EwmaVolatility { half_life, sample } => {
                let (half_life, sample) = (positive("half_life", half_life)?, positive("sample", sample)?);
                Signal::Ewma(EwmaVolatility::new(half_life, sample))
            }
            Self::RealisedVolatility { window, sample } => windowed(window, sample, 1, 1)?,
            Self::TwoScaleVolatility { subsamples: got, .. } if got < 2 => {
                return Err(SignalError::Subsamples { index, got });
            }
            Self::TwoScaleVolatility { window, sample, subsamples } => {
                windowed(window, sample, subsamples, 2 * i64::from(subsamples))?
            }
            Self::Bar { interval, field } => {
                Signal::Bar { bars: Bars::new(positive("interval", interval)?), field, last: None }
            }
        })
    }
}

impl Signals {
    /// The measures asked for, in the order asked for.
    ///
    /// # Errors
    /// [`SignalError`] naming the spec that cannot be computed.
    pub fn new(specs: &[SignalSpec]) -> Result<Self, SignalError> {
        let signals = specs.iter().enumerate().map(|(index, spec)| spec.build(index)).collect::<Result<_, _>>()?;
        Ok(Self { now: Nanos(i64::MIN), touch: None, signals })
    }

    /// Nobody asked for anything: the caller may skip the updates.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signals.is_empty()
    }

    /// How many measures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.signals.len()
    }

    /// The book's touch is now this. A one-sided or crossed touch suspends what needs two sides.
    pub fn on_touch(&mut self, seen: &TouchSeen) {
        self.now = self.now.max(seen.ts);
        let now = self.now;
        self.touch = seen.two_sided();
        for signal in &mut self.signals {
            match (signal, self.touch) {
                (Signal::OrderFlow { sum, before, warm }, Some(after)) => {
                    if let Some(before) = before {
                        sum.add(now, order_flow(before, &after));
                        *warm = true;
                    }
                    *before = Some(after);
                }
                // The change across a hole in the market is not flow.
                (Signal::OrderFlow { before, .. }, None) => *before = None,
                (Signal::Ewma(ewma), Some(best)) => ewma.on_price(now, twice_mid(&best)),
                (Signal::Window(window), Some(best)) => window.on_price(now, twice_mid(&best)),
                _ => {}
            }
        }
    }

    /// Somebody traded.
    pub fn on_trade(&mut self, seen: &TradeSeen) {
        self.now = self.now.max(seen.ts);
        let now = self.now;
        for signal in &mut self.signals {
            match signal {
                Signal::TradeFlow { sum, warm } => {
                    sum.add(now, seen.aggressor.sign() as f64 * f64::from(seen.lots));
                    *warm = true;
                }
                Signal::Bar { bars, last, .. } => *last = bars.on_trade(&TradeSeen { ts: now, ..*seen }).or(*last),
                _ => {}
            }
        }
    }

    /// Time has passed without news: flows fade, bars close.
    pub fn advance(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        for signal in &mut self.signals {
            if let Signal::Bar { bars, last, .. } = signal {
                *last = bars.advance(self.now).or(*last);
            }
        }
    }

    /// The measure of spec `index` as of the last event; NaN while it is not known.
    ///
    /// # Panics
    /// If there is no such spec.
    #[must_use]
    pub fn value(&self, index: usize) -> f64 {
        let known = match &self.signals[index] {
            Signal::Microprice => {
                self.touch.map(|t| microprice(f64::from(t.bid), t.bid_size, f64::from(t.ask), t.ask_size))
            }
            Signal::Imbalance => self.touch.map(|t| imbalance(t.bid_size, t.ask_size)),
            Signal::OrderFlow { sum, warm, .. } | Signal::TradeFlow { sum, warm } => warm.then(|| sum.at(self.now)),
            Signal::Ewma(ewma) => Some(ewma.value()),
            Signal::Window(window) => Some(window.value()),
            Signal::Bar { field, last, .. } => last.map(|bar| bar.field(*field)),
        };
        known.unwrap_or(f64::NAN)
    }

    /// One number for all state: equal states, equal hashes.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(&self.now.0.to_le_bytes());
        hash_best(&mut hash, self.touch);
        for signal in &self.signals {
            match signal {
                Signal::Microprice | Signal::Imbalance => {}
                Signal::OrderFlow { sum, before, warm } => {
                    hash_flow(&mut hash, sum, *warm);
                    hash_best(&mut hash, *before);
                }
                Signal::TradeFlow { sum, warm } => hash_flow(&mut hash, sum, *warm),
                Signal::Ewma(ewma) => ewma.hash(&mut hash),
                Signal::Window(window) => window.hash(&mut hash),
                Signal::Bar { bars, last, .. } => std::hash::Hash::hash(&(bars, last), &mut hash),
            }
        }
        hash.digest()
    }
}

/// Twice the mid, in ticks: a whole number, and as good as the mid for returns.
fn twice_mid(best: &Best<i32>) -> f64 {
    f64::from(best.bid) + f64::from(best.ask)
}

fn hash_flow(hash: &mut Xxh3, sum: &Decayed, warm: bool) {
    for word in sum.state() {
        hash.update(&word.to_le_bytes());
    }
    hash.update(&[u8::from(warm)]);
}

fn hash_best(hash: &mut Xxh3, best: Option<Best<i32>>) {
    let best = best.unwrap_or(Best { bid: NO_BID, bid_size: 0.0, ask: NO_ASK, ask_size: 0.0 });
    hash.update(&best.bid.to_le_bytes());
    hash.update(&best.ask.to_le_bytes());
    hash.update(&best.bid_size.to_bits().to_le_bytes());
    hash.update(&best.ask_size.to_bits().to_le_bytes());
}

#[cfg(test)]
mod tests;
