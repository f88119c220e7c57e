//! Who owes what: a double-entry fold of fills, fees and funding, exact to the last unit.
//!
//! ```text
//! an event moves        Cash         Market       Fees     Funding   │ Position   Market   (lots)
//! fill                  flow − fee   −flow        +fee               │ +qty       −qty
//! funding received      +amount                            −amount   │
//! every row sums to zero, in the instrument's settlement currency and in its lots
//! ```
//! Per instrument, because cash in one currency never meets another here: linear and spot instruments settle in the
//! quote currency, inverse ones in the coin. An execution id books once, ever; so does a funding settlement. A
//! booking either happens as a whole or, on any error, not at all; sums that do not fit are an error, never a wrap.
//!
//! Known limitations: a fee is paid in the settlement currency; spot venues that take it out of the bought coin are not
//! handled. Settlement times are kept for ever: a few a day and instrument.

mod seen;
mod state;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use mmbot_types::{Cash, ContractKind, FeeTier, Instrument, InstrumentId, Lots, Nanos, Side, Step, Ticks};
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

use seen::Seen;
pub use state::{BooksState, LedgerState, RestoreLedgerError};
use volume::RollingVolume;

/// Our execution, as it is booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// What was traded.
    pub instrument: InstrumentId,
    /// Execution id, unique per venue account.
    pub execution: u64,
    /// We bought or sold.
    pub side: Side,
    /// Executed price, positive.
    pub price: Ticks,
    /// Executed quantity, positive.
    pub qty: Lots,
    /// We were resting.
    pub maker: bool,
    /// Fee paid; negative is a rebate received.
    pub fee: Cash,
    /// When the venue executed it.
    pub ts: Nanos,
}

/// What became of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booked {
    /// It is in the ledger now.
    Posted,
    /// It was in the ledger already; nothing changed.
    Repeat,
}

/// Why a booking or a valuation is refused. The ledger is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// An instrument the ledger does not keep.
    #[error("instrument {got} is unknown: the ledger keeps {known} instruments, counted from 0")]
    UnknownInstrument {
        /// Which was asked for.
        got: u16,
        /// How many there are.
        known: usize,
    },
    /// Prices and executed quantities are positive.
    #[error("{symbol}: {field} must be positive, got {got}")]
    NotPositive {
        /// Of which instrument.
        symbol: String,
        /// Which number.
        field: &'static str,
        /// What it was.
        got: i64,
    },
    /// A sum does not fit.
    #[error("{symbol}: {what} does not fit its integer; check price, quantity and the instrument's steps")]
    Overflow {
        /// Of which instrument.
        symbol: String,
        /// Which sum.
        what: &'static str,
    },
}

/// Accounts of one instrument that hold money, in its settlement currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Account {
    Cash,
    Market,
    Fees,
    Funding,
}

const ACCOUNTS: usize = 4;
type Balances = [Cash; ACCOUNTS];

/// The books of one instrument.
#[derive(Clone, Debug)]
struct Books {
    instrument: Instrument,
    /// The same instrument on a grid of half ticks, on which every mid is a whole number.
    halved: Instrument,
    /// Index of its venue, whose execution ids it shares.
    venue: usize,
    balances: Balances,
    position: Lots,
    market_lots: Lots,
    settled: BTreeSet<Nanos>,
    turnover: Cash,
    volume: RollingVolume,
    maker_fills: u64,
    taker_fills: u64,
}

/// The ledger of one run.
#[derive(Clone, Debug)]
pub struct Ledger {
    books: Vec<Books>,
    seen: Vec<Seen>,
}

impl Books {
    fn new(instrument: Instrument, venue: usize) -> Self {
        let fives = instrument.tick.mantissa.checked_mul(5).expect("a tick of less than 19 digits");
        let half = Step { mantissa: fives, scale: instrument.tick.scale + 1 };
        Self {
            halved: Instrument { tick: half, ..instrument.clone() },
            instrument,
            venue,
            balances: [Cash::ZERO; ACCOUNTS],
            position: Lots::ZERO,
            market_lots: Lots::ZERO,
            settled: BTreeSet::new(),
            turnover: Cash::ZERO,
            volume: RollingVolume::new(),
            maker_fills: 0,
            taker_fills: 0,
        }
    }

    fn overflow(&self, what: &'static str) -> LedgerError {
        LedgerError::Overflow { symbol: self.instrument.symbol.clone(), what }
    }

    fn positive(&self, field: &'static str, got: i64) -> Result<(), LedgerError> {
        if got > 0 {
            return Ok(());
        }
        Err(LedgerError::NotPositive { symbol: self.instrument.symbol.clone(), field, got })
    }

    /// The cash that trading `qty` at `price` moves, on the grid of `terms`.
    fn cash_flow(&self, terms: &Instrument, price: Ticks, qty: Lots) -> Result<Cash, LedgerError> {
        let flow = value_fits(terms, price, qty).then(|| terms.cash_flow(price, qty));
        flow.and_then(|flow| bounded(flow.0)).ok_or_else(|| self.overflow("a value"))
    }

    /// The balances after an entry. Its postings sum to zero, or it is no entry.
    fn posted(&self, entry: &[(Account, Cash)]) -> Result<Balances, LedgerError> {
        assert_eq!(entry.iter().map(|posting| posting.1).sum::<Cash>(), Cash::ZERO, "an entry must balance: {entry:?}");
        let mut balances = self.balances;
        for &(account, amount) in entry {
            let balance = &mut balances[account as usize];
            *balance = checked_sum(*balance, amount).ok_or_else(|| self.overflow("a balance"))?;
        }
        Ok(balances)
    }

    fn book_fill(&mut self, fill: &Fill) -> Result<(), LedgerError> {
        self.positive("price", fill.price.0)?;
        self.positive("qty", fill.qty.0)?;
        let qty = Lots(fill.side.sign() * fill.qty.0);
        let flow = self.cash_flow(&self.instrument, fill.price, qty)?;
        let fee = bounded(fill.fee.0).ok_or_else(|| self.overflow("a fee"))?;
        let net = checked_sum(flow, -fee).ok_or_else(|| self.overflow("an amount"))?;
        let balances = self.posted(&[(Account::Cash, net), (Account::Market, -flow), (Account::Fees, fee)])?;
        let position = self.position.0.checked_add(qty.0).filter(|lots| *lots != i64::MIN);
        let position = position.map(Lots).ok_or_else(|| self.overflow("the position"))?;
        let turnover = checked_sum(self.turnover, flow.abs()).ok_or_else(|| self.overflow("the turnover"))?;
        // From here on nothing can fail.
        (self.balances, self.position, self.turnover) = (balances, position, turnover);
        self.market_lots -= qty;
        self.volume.add(fill.ts, flow.abs());
        *(if fill.maker { &mut self.maker_fills } else { &mut self.taker_fills }) += 1;
        Ok(())
    }
}

/// No amount and no balance is larger, so that the four accounts of an instrument can be added up and negated.
const CASH_MAX: i128 = i128::MAX / 4;

fn bounded(amount: i128) -> Option<Cash> {
    (-CASH_MAX..=CASH_MAX).contains(&amount).then_some(Cash(amount))
}

fn checked_sum(left: Cash, right: Cash) -> Option<Cash> {
    left.0.checked_add(right.0).and_then(bounded)
}

/// Whether every intermediate of [`Instrument::notional`] fits its integer, by counting bits; generous, but no real
/// trade comes near.
fn value_fits(terms: &Instrument, price: Ticks, qty: Lots) -> bool {
    let bits = |factor: i64| 64 - factor.unsigned_abs().leading_zeros();
    let size = bits(qty.0) + bits(terms.lot.mantissa) + bits(terms.contract.mantissa);
    let price = bits(price.0) + bits(terms.tick.mantissa);
    let down = terms.lot.scale + terms.contract.scale;
    let (product, exponent) = match terms.kind {
        ContractKind::Linear | ContractKind::Spot => {
            (size + price, (down + terms.tick.scale).abs_diff(mmbot_types::CASH_SCALE))
        }
        ContractKind::Inverse => (size.max(price), (mmbot_types::CASH_SCALE + terms.tick.scale).abs_diff(down)),
    };
    product + (exponent * 10).div_ceil(3) <= 125
}

impl Ledger {
    /// Empty books for these instruments; [`InstrumentId`] is the place in the list.
    ///
    /// # Panics
    /// For a tick whose half does not fit its integer.
    #[must_use]
    pub fn new(instruments: Vec<Instrument>) -> Self {
        let mut venues = BTreeMap::new();
        let books = instruments.into_iter().map(|instrument| {
            let next = venues.len();
            let venue = *venues.entry(instrument.venue.clone()).or_insert(next);
            Books::new(instrument, venue)
        });
        let books: Vec<_> = books.collect();
        Self { books, seen: vec![Seen::default(); venues.len()] }
    }

    fn books(&self, id: InstrumentId) -> Result<&Books, LedgerError> {
        let unknown = LedgerError::UnknownInstrument { got: id.0, known: self.books.len() };
        self.books.get(usize::from(id.0)).ok_or(unknown)
    }

    fn books_mut(&mut self, id: InstrumentId) -> Result<&mut Books, LedgerError> {
        let unknown = LedgerError::UnknownInstrument { got: id.0, known: self.books.len() };
        self.books.get_mut(usize::from(id.0)).ok_or(unknown)
    }

    /// Books an execution, once per venue and execution id.
    ///
    /// # Errors
    /// [`LedgerError`] for an unknown instrument, a price or quantity that is not positive, or a sum that does not fit.
    pub fn book_fill(&mut self, fill: &Fill) -> Result<Booked, LedgerError> {
        let venue = self.books(fill.instrument)?.venue;
        if self.seen[venue].contains(fill.execution) {
            return Ok(Booked::Repeat);
        }
        self.books_mut(fill.instrument)?.book_fill(fill)?;
        self.seen[venue].insert(fill.execution);
        Ok(Booked::Posted)
    }

    /// Books funding received (negative: paid), once per instrument and settlement time.
    ///
    /// # Errors
    /// [`LedgerError`] for an unknown instrument or a sum that does not fit.
    pub fn book_funding(&mut self, id: InstrumentId, settlement: Nanos, amount: Cash) -> Result<Booked, LedgerError> {
        let books = self.books_mut(id)?;
        if books.settled.contains(&settlement) {
            return Ok(Booked::Repeat);
        }
        let amount = bounded(amount.0).ok_or_else(|| books.overflow("a funding amount"))?;
        books.balances = books.posted(&[(Account::Cash, amount), (Account::Funding, -amount)])?;
        books.settled.insert(settlement);
        Ok(Booked::Posted)
    }

    /// Whether the ledger keeps an instrument.
    ///
    /// # Errors
    /// [`LedgerError::UnknownInstrument`].
    pub fn check_instrument(&self, id: InstrumentId) -> Result<(), LedgerError> {
        self.books(id).map(|_| ())
    }

    fn of(&self, id: InstrumentId) -> &Books {
        &self.books[usize::from(id.0)]
    }

    /// How many instruments the ledger keeps. The readers below panic for an id beyond it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.books.len()
    }

    /// It keeps none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.books.is_empty()
    }

    /// The terms of an instrument.
    #[must_use]
    pub fn instrument(&self, id: InstrumentId) -> &Instrument {
        &self.of(id).instrument
    }

    /// Signed lots held.
    #[must_use]
    pub fn position(&self, id: InstrumentId) -> Lots {
        self.of(id).position
    }

    /// Cash that trading, fees and funding of this instrument left, in its settlement currency.
    #[must_use]
    pub fn cash(&self, id: InstrumentId) -> Cash {
        self.of(id).balances[Account::Cash as usize]
    }

    /// Fees paid; negative when rebates were larger.
    #[must_use]
    pub fn fees(&self, id: InstrumentId) -> Cash {
        self.of(id).balances[Account::Fees as usize]
    }

    /// Funding received; negative: paid.
    #[must_use]
    pub fn funding(&self, id: InstrumentId) -> Cash {
        -self.of(id).balances[Account::Funding as usize]
    }

    /// Traded notional, unsigned.
    #[must_use]
    pub fn turnover(&self, id: InstrumentId) -> Cash {
        self.of(id).turnover
    }

    /// Executions in which we were resting.
    #[must_use]
    pub fn maker_fills(&self, id: InstrumentId) -> u64 {
        self.of(id).maker_fills
    }

    /// Executions in which we crossed the spread.
    #[must_use]
    pub fn taker_fills(&self, id: InstrumentId) -> u64 {
        self.of(id).taker_fills
    }

    /// What the account would hold after trading the position away at the mark, without a fee:
    /// `cash + cash_flow(mark, −position)`.
    ///
    /// The mark is given as twice the price in ticks (`bid + ask` for the mid), so that a mid between two ticks is
    /// exact. The position's value is rounded half to even where it has more decimals than [`Cash`]; realised P&L is
    /// equity minus equity.
    ///
    /// # Errors
    /// [`LedgerError`] for an unknown instrument, a mark that is not positive, or a value that does not fit.
    pub fn equity(&self, id: InstrumentId, twice_mark: Ticks) -> Result<Cash, LedgerError> {
        let books = self.books(id)?;
        books.positive("mark", twice_mark.0)?;
        let value = books.cash_flow(&books.halved, twice_mark, -books.position)?;
        checked_sum(self.cash(id), value).ok_or_else(|| books.overflow("the equity"))
    }

    /// Traded notional of the hour of `now` and the 719 hours before it.
    #[must_use]
    pub fn volume_30d(&self, id: InstrumentId, now: Nanos) -> Cash {
        self.of(id).volume.at(now)
    }

    /// The fee tier that this instrument's own volume has reached.
    #[must_use]
    pub fn tier(&self, id: InstrumentId, now: Nanos) -> &FeeTier {
        self.instrument(id).fees.tier(self.volume_30d(id, now))
    }

    /// Stops the program if the books do not balance.
    ///
    /// # Panics
    /// When debits and credits, the two sides of the position, or the record of execution ids disagree.
    pub fn check_invariants(&self) {
        for books in &self.books {
            let symbol = &books.instrument.symbol;
            assert_eq!(books.balances.iter().copied().sum::<Cash>(), Cash::ZERO, "{symbol}: accounts do not balance");
            assert_eq!(books.position + books.market_lots, Lots::ZERO, "{symbol}: lots do not balance");
            assert!(books.turnover >= Cash::ZERO, "{symbol}: negative turnover {}", books.turnover);
        }
        self.seen.iter().for_each(Seen::check_invariants);
    }

    /// One number for all state: equal books, equal hashes.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        let mut hash = Xxh3::new();
        for books in &self.books {
            (books.balances, books.position, &books.settled, books.turnover, &books.volume).hash(&mut hash);
            (books.maker_fills, books.taker_fills).hash(&mut hash);
        }
        self.seen.hash(&mut hash);
        hash.finish()
    }
}

#[cfg(test)]
mod tests;
