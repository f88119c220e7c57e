//! What the limits are told from outside: each an input of its own, with a time, and in the journal.

use mmbot_types::{Cash, InstrumentId, Nanos, Ticks};
use serde::{Deserialize, Serialize};

use crate::temper::Temper;

/// How far trading is stopped; the same words and numbers as `mmbot.risk.levels`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum FreezeLevel {
    /// Not at all.
    #[default]
    Normal = 0,
    /// Only what shrinks a position.
    ReduceOnly = 1,
    /// Nothing new.
    NoNew = 2,
    /// Nothing new, and all that is open leaves.
    CancelAll = 3,
    /// As that; then what shrinks a position.
    Flatten = 4,
    /// Nothing any more.
    Kill = 5,
}

impl FreezeLevel {
    /// All of them, by number.
    pub const ALL: [Self; 6] =
        [Self::Normal, Self::ReduceOnly, Self::NoNew, Self::CancelAll, Self::Flatten, Self::Kill];

    /// Whether an order may leave that does, or does not, only shrink the position.
    #[must_use]
    pub const fn allows(self, reduces: bool) -> bool {
        match self {
            Self::Normal => true,
            Self::ReduceOnly | Self::Flatten => reduces,
            Self::NoNew | Self::CancelAll | Self::Kill => false,
        }
    }
}

/// Whose trading is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One instrument's.
    Symbol(InstrumentId),
    /// The strategy's.
    Strategy,
    /// The account's.
    Account,
    /// Everybody's.
    Firm,
}

/// Who else trades, beside this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Circle {
    /// Other runs on the account.
    Account,
    /// Other accounts of the firm.
    Firm,
}

/// What they hold, worst case, in the quote currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Longs and shorts added up; not negative.
    pub gross: Cash,
    /// Longs less shorts.
    pub net: Cash,
    /// As of when.
    pub at: Nanos,
}

/// What a watch beside the limits measures by, and cannot look without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// How much of the account's margin is free.
    Margin,
    /// What the position of an instrument was entered at.
    Entry(InstrumentId),
}

/// One thing told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outside {
    /// Trading is stopped so far, or no further than so.
    Restrict {
        /// Whose.
        scope: Scope,
        /// How far.
        level: FreezeLevel,
    },
    /// A second price, not of our book: a mark, an index, another venue's mid.
    Reference {
        /// Of what.
        instrument: InstrumentId,
        /// In its ticks; none: it is not known, or makes no sense.
        price: Option<Ticks>,
        /// As of when.
        at: Nanos,
    },
    /// What others hold; none: it is not known.
    Elsewhere {
        /// Whose.
        circle: Circle,
        /// What.
        held: Option<Elsewhere>,
    },
    /// So much of every amount and size holds from now on, in parts per million: launch limits. The caps, counts and
    /// collars stay as they are; a share above the whole is the whole.
    Share(u32),
    /// How boldly an instrument may be quoted from now on.
    Temper {
        /// Which.
        instrument: InstrumentId,
        /// How.
        temper: Temper,
    },
    /// As of when a watch knows what it measures by; none: it does not.
    Measured {
        /// What.
        what: Measure,
        /// As of when.
        at: Option<Nanos>,
    },
}
