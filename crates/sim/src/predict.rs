//! What a simulated venue would have answered to commands that reached a real one: its laws, beside the real fills.
//!
//! Nothing is decided here, and nothing is under way: every command comes at the time it is known to have come.

use mmbot_book::L2Book;
use mmbot_types::{Command, Event, InstrumentId, Nanos};
use thiserror::Error;

use crate::latency::LatencyModel;
use crate::public::LocalBook;
use crate::venue::{Venue, VenueListing};

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum PredictError {
    /// The tape is damaged.
    #[error(transparent)]
    Tape(#[from] mmbot_tape::TapeError),
    /// A message that no book can take.
    #[error(transparent)]
    Book(#[from] mmbot_book::BookError),
    /// Commands go back in time.
    #[error("command {index} arrives at {at} ns, before the one in front of it; sort them by arrival")]
    Unsorted {
        /// Which one.
        index: usize,
        /// When it arrives.
        at: Nanos,
    },
}

/// Everything the venue says of `arrived`, commands for instrument 0 by their times of arrival, until the market's time
/// `until`. The listing's latencies do not count.
///
/// # Errors
/// [`PredictError`].
pub fn predict(
    mut listing: VenueListing,
    arrived: &[(Nanos, Command)],
    until: Nanos,
) -> Result<Vec<Event>, PredictError> {
    if let Some(index) = arrived.windows(2).position(|pair| pair[1].0 < pair[0].0) {
        return Err(PredictError::Unsorted { index: index + 1, at: arrived[index + 1].0 });
    }
    listing.tape.verify_all()?;
    listing.laws.full_book = true;
    listing.laws.entry = LatencyModel::Constant(Nanos::ZERO);
    listing.laws.response = LatencyModel::Constant(Nanos::ZERO);
    let mut venue = Venue::new(vec![listing], 1);
    let book = L2Book::new(); // what we would have heard; the venue has a book of its own
    let books = [LocalBook { book: &book, cursor: 0 }];
    for &(at, command) in arrived {
        venue.run(&books, at, false)?;
        venue.accept(0, InstrumentId(0), command, at);
        venue.arrive(&books)?;
    }
    venue.run(&books, until, false)?;
    let answers = std::iter::from_fn(|| venue.next_response(0, Nanos(i64::MAX)));
    Ok(answers.map(|response| response.event).collect())
}
