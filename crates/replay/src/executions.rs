//! The venue's execution ids, numbered as they come: exact, where a hash of the text might drop a fill.
//!
//! None is ever forgotten, for a venue may tell an old one again at any time; so each is kept small.

use std::fmt;

use mmbot_types::{Instrument, InstrumentId, OrderId};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// An id as text, in fewer bytes where it is written in one of the usual ways.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// Decimal digits, not beginning with zero.
    Number(u64),
    /// A UUID in lower case with its four hyphens.
    Uuid([u8; 16]),
    Text(Box<str>),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Uuid(bytes) => bytes.iter().enumerate().try_for_each(|(at, byte)| {
                let hyphen = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
                write!(f, "{hyphen}{byte:02x}")
            }),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Name {
    fn of(text: &str) -> Self {
        if let Some(number) = text.parse::<u64>().ok().filter(|_| !text.starts_with(['0', '+'])) {
            return Self::Number(number);
        }
        uuid(text.as_bytes()).map_or_else(|| Self::Text(text.into()), Self::Uuid)
    }
}

/// The bytes of a UUID written `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` in lower case; none for any other text, so that
/// no two texts have the same bytes.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let mut bytes = [0; 16];
    let mut digits = 0;
    for (at, &sign) in text.iter().enumerate() {
        let value = match sign {
            b'-' if matches!(at, 8 | 13 | 18 | 23) => continue,
            _ if matches!(at, 8 | 13 | 18 | 23) => return None,
            b'0'..=b'9' => sign - b'0',
            b'a'..=b'f' => sign - b'a' + 10,
            _ => return None,
        };
        bytes[digits / 2] = bytes[digits / 2] << 4 | value;
        digits += 1;
    }
    Some(bytes)
}

/// Executions that a snapshot keeps whatever became of their orders: some MB.
const NEWEST_KEPT: u64 = 1 << 16;

/// Booked executions, per venue: (number, order, the venue's id), by number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExecutionsState {
    last: u64,
    venues: Vec<Vec<(u64, OrderId, String)>>,
}

/// Which executions were booked. An id counts within its venue.
pub(crate) struct Executions {
    /// Per venue: of which order, and its number. Never iterated.
    known: Vec<FxHashMap<Name, (OrderId, u64)>>,
    /// Which of them an instrument's venue is.
    venue: Vec<usize>,
    last: u64,
}

impl Executions {
    pub(crate) fn new(instruments: &[Instrument]) -> Self {
        let mut venues: Vec<&str> = Vec::new();
        let mut number = |venue| {
            let known = venues.iter().position(|known| *known == venue);
            known.unwrap_or_else(|| {
                venues.push(venue);
                venues.len() - 1
            })
        };
        let venue = instruments.iter().map(|instrument| number(&instrument.venue)).collect();
        Self { known: vec![FxHashMap::default(); venues.len()], venue, last: 0 }
    }

    /// The number of an execution that was booked. Without the instrument, because its order is forgotten, the order
    /// itself must be the one that it was booked for.
    pub(crate) fn number(&self, text: &str, order: OrderId, instrument: Option<InstrumentId>) -> Option<u64> {
        let name = Name::of(text);
        match instrument {
            Some(instrument) => self.known[self.venue[instrument.0 as usize]].get(&name).map(|&(_, number)| number),
            None => {
                let mut told = self.known.iter().filter_map(|known| known.get(&name));
                told.find(|(of, _)| *of == order).map(|&(_, number)| number)
            }
        }
    }

    /// The booked ones that a restart must know: the newest, those of orders that are `remembered`, and those of no
    /// order. An older one told again is refused then, for its order is forgotten too.
    pub(crate) fn snapshot(&self, remembered: impl Fn(OrderId) -> bool) -> ExecutionsState {
        let venues = self.known.iter().map(|known| {
            let keep =
                |order: OrderId, number: u64| order.0 == 0 || number + NEWEST_KEPT > self.last || remembered(order);
            let rows = known.iter().filter(|&(_, &(order, number))| keep(order, number));
            let mut rows: Vec<_> = rows.map(|(name, &(order, number))| (number, order, name.to_string())).collect();
            rows.sort_unstable_by_key(|row| row.0);
            rows
        });
        ExecutionsState { last: self.last, venues: venues.collect() }
    }

    /// Whether a snapshot is one of these venues and in itself possible.
    pub(crate) fn fits(&self, state: &ExecutionsState) -> bool {
        let sound = |(number, ..): &(u64, OrderId, String)| *number > 0 && *number <= state.last;
        state.venues.len() == self.known.len() && state.venues.iter().flatten().all(sound)
    }

    /// Goes on from a snapshot that fits.
    pub(crate) fn restore(&mut self, state: ExecutionsState) {
        self.last = state.last;
        for (known, rows) in self.known.iter_mut().zip(state.venues) {
            *known = rows.iter().map(|(number, order, name)| (Name::of(name), (*order, *number))).collect();
        }
    }

    /// The number of the next one.
    pub(crate) fn next(&self) -> u64 {
        self.last + 1
    }

    /// The next one was booked.
    pub(crate) fn booked(&mut self, text: &str, order: OrderId, instrument: InstrumentId) {
        self.last += 1;
        self.known[self.venue[instrument.0 as usize]].insert(Name::of(text), (order, self.last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the one way of writing is taken for a number or a UUID, and an entry is as small as it is meant to be.
    #[test]
    fn different_texts_are_different_names() {
        let texts = [
            "7",
            "07",
            "+7",
            "18446744073709551616",
            "2290000000061666327",
            "0f6ad1c9-1234-4abc-a123-00000000000a",
            "0F6ad1c9-1234-4abc-a123-00000000000a",
            "0f6ad1c91234-4abc-a123-00000000000a-",
            "0f6ad1c91-234-4abc-a123-00000000000a",
            "",
            "0",
        ];
        for (at, one) in texts.iter().enumerate() {
            for (other_at, other) in texts.iter().enumerate() {
                assert_eq!(Name::of(one) == Name::of(other), at == other_at, "{one:?} {other:?}");
            }
        }
        assert!(matches!(Name::of(texts[4]), Name::Number(_)));
        assert!(matches!(Name::of(texts[5]), Name::Uuid(_)));
        assert_eq!(size_of::<(Name, (OrderId, u64))>(), 40);
    }
}
