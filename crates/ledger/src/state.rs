//! A ledger as a value, exact to the last unit: what the books of a run that takes over begin with.

use mmbot_types::{Cash, ContractKind, Instrument, Lots, Nanos, Step};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::seen::Seen;
use crate::{ACCOUNTS, Books, Ledger, bounded};

/// The books of one instrument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BooksState {
    /// Its venue.
    pub venue: String,
    /// Its name there.
    pub symbol: String,
    /// What one lot and one tick are worth.
    pub terms: (ContractKind, Step, Step, Step),
    /// Cash, market, fees, funding.
    pub balances: [Cash; ACCOUNTS],
    /// Signed lots.
    pub position: Lots,
    /// Funding settlements booked.
    pub settled: Vec<Nanos>,
    /// Traded notional.
    pub turnover: Cash,
    /// Traded notional by hour since 1970, of the last 30 days.
    pub volume: Vec<(i64, Cash)>,
    /// Executions in which we were resting, and in which we were not.
    pub fills: (u64, u64),
}

/// See [`Ledger::snapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerState {
    /// Per instrument.
    pub books: Vec<BooksState>,
    /// Per venue, in the order in which the instruments name them: first and last of each run of booked executions.
    pub seen: Vec<Vec<(u64, u64)>>,
}

impl LedgerState {
    /// How many instruments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.books.len()
    }

    /// None.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.books.is_empty()
    }
}

/// Why a ledger cannot go on from a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreLedgerError {
    /// Of other instruments.
    #[error(
        "the snapshot keeps {found}, this run {expected}: a run that takes over trades the same instruments, in \
         the same order and by the same steps; configure it so, or flatten the account and begin a new history"
    )]
    OtherInstruments {
        /// In the snapshot.
        found: String,
        /// In this run.
        expected: String,
    },
    /// It does not add up.
    #[error("{symbol}: the snapshot's books do not add up ({what}); it was not written by mmbot, or it was changed")]
    Unbalanced {
        /// Of which instrument.
        symbol: String,
        /// What is wrong.
        what: &'static str,
    },
}

fn named(venue: &str, symbol: &str, (kind, tick, lot, contract): (ContractKind, Step, Step, Step)) -> String {
    format!("{venue} {symbol} ({kind:?}, tick {tick}, lot {lot}, contract {contract})")
}

fn terms(instrument: &Instrument) -> (ContractKind, Step, Step, Step) {
    (instrument.kind, instrument.tick, instrument.lot, instrument.contract)
}

impl Ledger {
    /// All balances, positions and booked executions.
    #[must_use]
    pub fn snapshot(&self) -> LedgerState {
        let books = self.books.iter().map(|books| BooksState {
            venue: books.instrument.venue.clone(),
            symbol: books.instrument.symbol.clone(),
            terms: terms(&books.instrument),
            balances: books.balances,
            position: books.position,
            settled: books.settled.iter().copied().collect(),
            turnover: books.turnover,
            volume: books.volume.hours(),
            fills: (books.maker_fills, books.taker_fills),
        });
        LedgerState { books: books.collect(), seen: self.seen.iter().map(Seen::runs).collect() }
    }

    /// Goes on from a snapshot of the same instruments.
    ///
    /// # Errors
    /// [`RestoreLedgerError`]; the ledger is as it was.
    pub fn restore(&mut self, state: LedgerState) -> Result<(), RestoreLedgerError> {
        let told = |all: Vec<String>| if all.is_empty() { "nothing".into() } else { all.join(", ") };
        let found: Vec<_> = state.books.iter().map(|books| named(&books.venue, &books.symbol, books.terms)).collect();
        let ours = self.books.iter().map(|books| &books.instrument);
        let expected: Vec<_> = ours.map(|of| named(&of.venue, &of.symbol, terms(of))).collect();
        if found != expected {
            return Err(RestoreLedgerError::OtherInstruments { found: told(found), expected: told(expected) });
        }
        let wrong = |books: &BooksState, what| {
            let symbol = books.symbol.clone();
            Err(RestoreLedgerError::Unbalanced { symbol, what })
        };
        for books in &state.books {
            let sum = books
                .balances
                .iter()
                .try_fold(0i128, |sum, balance| bounded(balance.0).and_then(|_| sum.checked_add(balance.0)));
            if sum != Some(0) {
                return wrong(books, "its accounts do not sum to zero");
            }
            if books.position.0 == i64::MIN || books.turnover < Cash::ZERO {
                return wrong(books, "an impossible position or turnover");
            }
        }
        let seen: Option<Vec<Seen>> = state.seen.iter().map(|runs| Seen::of_runs(runs)).collect();
        let Some(seen) = seen.filter(|seen| seen.len() == self.seen.len()) else {
            let all = RestoreLedgerError::Unbalanced {
                symbol: told(expected),
                what: "its booked executions are in no order, or of another number of venues",
            };
            return Err(all);
        };
        self.seen = seen;
        for (books, was) in self.books.iter_mut().zip(state.books) {
            let mut fresh = Books::new(books.instrument.clone(), books.venue);
            fresh.balances = was.balances;
            (fresh.position, fresh.market_lots) = (was.position, -was.position);
            fresh.settled = was.settled.into_iter().collect();
            fresh.turnover = was.turnover;
            was.volume.into_iter().for_each(|(hour, notional)| fresh.volume.set(hour, notional));
            (fresh.maker_fills, fresh.taker_fills) = was.fills;
            *books = fresh;
        }
        Ok(())
    }
}
