//! What a feed or a caller can get wrong. The book is unchanged after each of them.

use mmbot_types::{OrderId, Side};
use thiserror::Error;

use crate::{PAGES_MAX, TICK_MAX};

/// Why a book refused a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BookError {
    /// A price no book holds; the two ends of the integer range mean "no bid" and "no ask".
    #[error("{side:?} price {tick} ticks is outside 1..={TICK_MAX}; drop the message and resync")]
    Tick {
        /// Which side.
        side: Side,
        /// The price.
        tick: i32,
    },
    /// Levels of one message out of order, or one price twice.
    #[error(
        "{side:?} levels must rise strictly in price: {before} is followed by {tick} ticks; drop the message and resync"
    )]
    NotAscending {
        /// Which side.
        side: Side,
        /// The price before.
        before: i32,
        /// The price that does not rise.
        tick: i32,
    },
    /// Prices scattered over more of the axis than any market uses: a corrupt tape or a hostile feed, refused before
    /// it eats the memory.
    #[error(
        "{side:?} prices are scattered over more than {PAGES_MAX} pages of 1024 ticks; drop the message and resync"
    )]
    Scattered {
        /// Which side.
        side: Side,
    },
    /// An order without quantity.
    #[error("order {} has zero lots; an order must have at least one", id.0)]
    NoLots {
        /// Which order.
        id: OrderId,
    },
    /// The id is taken by a live order.
    #[error("order {} is already in the book; ids must be unique among live orders", id.0)]
    Duplicate {
        /// Which order.
        id: OrderId,
    },
    /// No live order has this id: filled, cancelled, or never seen.
    #[error("order {} is not in the book", id.0)]
    Unknown {
        /// Which order.
        id: OrderId,
    },
    /// More was taken out of an order than it holds.
    #[error("order {} holds {held} lots, so {asked} can not be taken out of it", id.0)]
    TooMuch {
        /// Which order.
        id: OrderId,
        /// What it holds.
        held: u32,
        /// What was asked.
        asked: u32,
    },
}
