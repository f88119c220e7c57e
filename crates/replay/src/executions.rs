//! The venue's execution ids, numbered as they come: exact, where a hash of the text might drop a fill.
//!
//! None is ever forgotten, for a venue may tell an old one again at any time; so each is kept small.

use mmbot_types::{Instrument, InstrumentId, OrderId};
use rustc_hash::FxHashMap;

/// An id as text, in fewer bytes where it is written in one of the usual ways.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// Decimal digits, not beginning with zero.
    Number(u64),
    /// A UUID in lower case with its four hyphens.
    Uuid([u8; 16]),
    Text(Box<str>),
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
