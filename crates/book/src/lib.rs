//! Resting liquidity: [`L2Book`] by price, [`L3Book`] by order.
//!
//! ```text
//! l2         public depth: lots per tick             "what could I hit, and where is the touch"
//! l3         every order, in time priority per tick  "who is in front of me"
//! ladder     tick -> u32 in pages; both books stand on it
//! reference  the obvious twins, compared with the fast ones under random flows
//! ```
//! Both hold whole ticks and whole lots only. A book never panics on what a feed sends: it answers with a
//! [`BookError`] and stays as it was. Both tolerate a crossed touch, because feeds have them for a moment; see
//! [`L2Book::is_crossed`].

mod error;
mod l2;
mod l3;
mod ladder;
pub mod reference;

pub use error::BookError;
pub use l2::L2Book;
pub use l3::{L3Book, RestingOrder};
pub use ladder::{PAGES_MAX, TICK_MAX};

use mmbot_types::{Level, Touch};
use xxhash_rust::xxh3::Xxh3;

/// One number for a book by price: its levels from the touch outward, bids first. Equal books have equal hashes.
fn hash_levels(bids: impl Iterator<Item = Level>, asks: impl Iterator<Item = Level>) -> u64 {
    let mut hash = Xxh3::new();
    let mut feed = |level: Level| {
        hash.update(&level.tick.to_le_bytes());
        hash.update(&level.lots.to_le_bytes());
    };
    bids.for_each(&mut feed);
    feed(Level { tick: 0, lots: 0 }); // no level has tick 0: a bid can not be mistaken for an ask
    asks.for_each(&mut feed);
    hash.digest()
}

/// One number for a book by order: its orders in priority, bids first.
fn hash_orders(orders: impl Iterator<Item = RestingOrder>) -> u64 {
    let mut hash = Xxh3::new();
    for order in orders {
        hash.update(&order.id.0.to_le_bytes());
        hash.update(&(order.side.sign() * i64::from(order.tick)).to_le_bytes());
        hash.update(&order.lots.to_le_bytes());
        hash.update(&order.owner.to_le_bytes());
    }
    hash.digest()
}

/// Whether the two sides meet: a bid at or above an ask.
fn crossed(touch: Touch) -> bool {
    touch.bid >= touch.ask // an empty side is beyond every price, so it never crosses
}
