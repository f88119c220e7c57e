//! A replay's entries against the recorded ones, as they come.

use std::fmt;

use mmbot_types::Nanos;

use crate::entry::{Entry, Kind};
use crate::reader::{Fault, Reader, Record};
use crate::writer::JournalError;

/// The first place where a replay left the recorded path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Number of the recorded entry; one past the last where the replay did more than was recorded.
    pub seq: u64,
    /// Its time; of the replay's own entry where nothing more was recorded.
    pub time: Nanos,
    /// What was recorded, in words.
    pub expected: String,
    /// What the replay did.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, time, expected, found } = self;
        write!(f, "entry {seq} at {time} ns differs: recorded {expected}; the replay made {found}")
    }
}

impl std::error::Error for Difference {}

const NOTHING: &str = "nothing more";

pub(crate) struct Checker {
    reader: Reader,
    encoded: Vec<u8>,
    counts: [u64; Kind::ALL.len()],
    difference: Option<Box<Difference>>,
    /// The journal has said its end.
    ended: bool,
    /// The record that was read last was looked at, and not compared yet.
    peeked: bool,
}

impl Checker {
    pub(crate) fn new(reader: Reader) -> Self {
        let counts = [0; Kind::ALL.len()];
        Self { reader, encoded: Vec::new(), counts, difference: None, ended: false, peeked: false }
    }

    pub(crate) fn head(&self) -> (u64, String) {
        (self.reader.seq(), self.reader.head())
    }

    pub(crate) fn counts(&self) -> Vec<(Kind, u64)> {
        Kind::ALL.iter().copied().zip(self.counts).filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn append(&mut self, time: Nanos, entry: &Entry<'_>) -> Result<(), JournalError> {
        if let Some(known) = &self.difference {
            return Err(JournalError::Differs(known.clone()));
        }
        if !entry.kind().is_drivers() {
            return Ok(());
        }
        self.encoded.clear();
        entry.encode(&mut self.encoded);
        let next = self.reader.seq() - u64::from(self.peeked);
        while let Some(record) = Self::next(&mut self.reader, &mut self.peeked)? {
            let expected = Kind::from_number(record.kind).ok_or(Fault::Meaningless { seq: record.seq })?;
            self.ended |= expected == Kind::RunEnd;
            if !expected.is_drivers() {
                continue;
            }
            if (expected, record.time, record.payload) == (entry.kind(), time, &self.encoded) {
                self.counts[expected as usize - 1] += 1;
                return Ok(());
            }
            let said = record.entry()?.to_string();
            let found = if record.time == time { entry.to_string() } else { format!("{entry} at {time} ns") };
            let difference = Difference { seq: record.seq, time: record.time, expected: said, found };
            return self.differs(difference);
        }
        if !self.ended {
            return Ok(()); // the writer was killed before it could write what follows from its last input
        }
        self.differs(Difference { seq: next, time, expected: NOTHING.into(), found: entry.to_string() })
    }

    fn next<'a>(reader: &'a mut Reader, peeked: &mut bool) -> Result<Option<Record<'a>>, Fault> {
        if std::mem::take(peeked) { Ok(Some(reader.last_record())) } else { reader.next_record() }
    }

    /// Whether the recorded run made a snapshot here.
    pub(crate) fn snapshot_is_next(&mut self) -> bool {
        if !self.peeked {
            self.peeked = matches!(self.reader.next_record(), Ok(Some(_))); // a fault is met again when it is compared
        }
        self.peeked && self.reader.last_record().kind == Kind::Snapshot as u16
    }

    fn differs(&mut self, difference: Difference) -> Result<(), JournalError> {
        Err(JournalError::Differs(self.difference.insert(Box::new(difference)).clone()))
    }

    /// Nothing that a driver writes may be left.
    pub(crate) fn finish(&mut self) -> Result<(), JournalError> {
        if let Some(known) = &self.difference {
            return Err(JournalError::Differs(known.clone()));
        }
        while let Some(record) = Self::next(&mut self.reader, &mut self.peeked)? {
            let kind = Kind::from_number(record.kind).ok_or(Fault::Meaningless { seq: record.seq })?;
            if kind.is_drivers() {
                let expected = record.entry()?.to_string();
                let difference = Difference { seq: record.seq, time: record.time, expected, found: NOTHING.into() };
                return self.differs(difference);
            }
        }
        Ok(())
    }
}
