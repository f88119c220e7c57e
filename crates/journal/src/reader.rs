//! Reads a journal back: every record checked, the first bad one named, a torn end told from damage.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use mmbot_types::Nanos;
use thiserror::Error;

use crate::entry::Entry;
use crate::frame::{
    Chain, HEAD_BYTES, MAGIC, MAX_PAYLOAD, RECORD_HEAD, VERSION, chain_at, follows, is_intact, u16_at, u32_at, u64_at,
};

/// Why a journal cannot be read on. Everything before the named record is good.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The file cannot be opened or read.
    #[error("{0}")]
    Io(String),
    /// It does not begin as a journal does.
    #[error("not a journal of this version: {0}")]
    Head(&'static str),
    /// A record is not what was written, and good ones follow: somebody or something changed the file.
    #[error("the journal is damaged at entry {seq} (byte {offset}): {reason}; entries before it are good")]
    Damaged {
        /// The first bad record.
        seq: u64,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// An intact record that this version cannot read.
    #[error("entry {seq} is intact, but its kind or layout is unknown to this version of mmbot")]
    Meaningless {
        /// Which.
        seq: u64,
    },
}

/// How a journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With its last record.
    Whole,
    /// In the middle of one: the writer was stopped while it wrote. What it was about to write was never acted on,
    /// because a command leaves only after its record is whole.
    Torn {
        /// Where the torn record begins.
        offset: u64,
        /// How many bytes of it there are.
        bytes: u64,
    },
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its number, from zero.
    pub seq: u64,
    /// Time of the entry.
    pub time: Nanos,
    /// Number of its kind.
    pub kind: u16,
    /// What it says, encoded.
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// What it says.
    ///
    /// # Errors
    /// [`Fault::Meaningless`] for a kind or layout that is not known.
    pub fn entry(&self) -> Result<Entry<'a>, Fault> {
        Entry::decode(self.kind, self.payload).ok_or(Fault::Meaningless { seq: self.seq })
    }
}

/// A reader at some record of a journal.
pub struct Reader {
    source: Box<dyn Read + Send>,
    record: Vec<u8>,
    offset: u64,
    seq: u64,
    chain: Chain,
    tail: Option<Tail>,
    fault: Option<Fault>,
}

fn io_fault(error: io::Error) -> Fault {
    Fault::Io(error.to_string())
}

/// Fills `bytes` as far as the source goes.
fn read_some(source: &mut dyn Read, bytes: &mut [u8]) -> Result<usize, Fault> {
    let mut filled = 0;
    while filled < bytes.len() {
        match source.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(some) => filled += some,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(io_fault(error)),
        }
    }
    Ok(filled)
}

impl Reader {
    /// Opens a journal.
    ///
    /// # Errors
    /// [`Fault::Io`] when it cannot be opened, [`Fault::Head`] when it is none.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Fault> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| Fault::Io(format!("{}: {error}", path.display())))?;
        Self::new(Box::new(BufReader::with_capacity(1 << 20, file)))
    }

    /// Reads a journal from anywhere.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn new(mut source: Box<dyn Read + Send>) -> Result<Self, Fault> {
        let mut head = [0; HEAD_BYTES];
        let filled = read_some(&mut *source, &mut head)?;
        if head[..8] != MAGIC {
            return Err(Fault::Head("it does not begin with MMBOTJNL"));
        }
        if filled < HEAD_BYTES {
            return Err(Fault::Head("it is cut off in its head"));
        }
        if u32_at(&head, 60) != crc32c::crc32c(&head[..60]) {
            return Err(Fault::Head("its head is damaged"));
        }
        if u32_at(&head, 8) != u32::from(VERSION) || u32_at(&head, 12) as usize != HEAD_BYTES {
            return Err(Fault::Head("another version wrote it"));
        }
        let (seq, chain) = (u64_at(&head, 24), chain_at(&head));
        let offset = HEAD_BYTES as u64;
        Ok(Self { source, record: Vec::new(), offset, seq, chain, tail: None, fault: None })
    }

    /// The next record, checked; none at the end.
    ///
    /// # Errors
    /// [`Fault::Damaged`] naming the first bad record.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if self.tail.is_some() {
            return Ok(None);
        }
        self.record.resize(RECORD_HEAD, 0);
        let filled = read_some(&mut *self.source, &mut self.record)?;
        self.record.truncate(filled);
        if filled == 0 {
            self.tail = Some(Tail::Whole);
            return Ok(None);
        }
        if filled < RECORD_HEAD {
            return self.broken("it is cut off");
        }
        let payload = u32_at(&self.record, 0) as usize;
        if payload > MAX_PAYLOAD {
            return self.broken("its length is impossible");
        }
        self.record.resize(RECORD_HEAD + payload, 0);
        let filled = read_some(&mut *self.source, &mut self.record[RECORD_HEAD..])?;
        if filled < payload {
            self.record.truncate(RECORD_HEAD + filled);
            return self.broken("it is cut off");
        }
        if !is_intact(&self.record) {
            return self.broken("its checksum does not fit");
        }
        let (seq, time) = (u64_at(&self.record, 8), Nanos(u64_at(&self.record, 16) as i64));
        if u16_at(&self.record, 26) != VERSION {
            return Err(self.fault.insert(Fault::Meaningless { seq: self.seq }).clone());
        }
        if seq != self.seq {
            return self.damaged("its number is not the next one: records were taken out, put in or swapped");
        }
        if !follows(&mut self.record, self.chain) {
            return self.damaged("it does not follow the record before it: one of them was changed");
        }
        self.chain = chain_at(&self.record);
        self.offset += self.record.len() as u64;
        self.seq += 1;
        let kind = u16_at(&self.record, 24);
        Ok(Some(Record { seq, time, kind, payload: &self.record[RECORD_HEAD..] }))
    }

    #[cold]
    fn damaged(&mut self, reason: &'static str) -> Result<Option<Record<'_>>, Fault> {
        Err(self.fault.insert(Fault::Damaged { seq: self.seq, offset: self.offset, reason }).clone())
    }

    /// A record that is not whole: the torn end of the file if no good record follows, damage otherwise.
    #[cold]
    fn broken(&mut self, reason: &'static str) -> Result<Option<Record<'_>>, Fault> {
        let mut rest = std::mem::take(&mut self.record);
        self.source.read_to_end(&mut rest).map_err(io_fault)?;
        if has_later_record(&rest, self.seq) {
            return self.damaged(reason);
        }
        self.tail = Some(Tail::Torn { offset: self.offset, bytes: rest.len() as u64 });
        Ok(None)
    }

    /// Number of the next record.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How the journal ends; none before its end was read.
    #[must_use]
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    pub(crate) fn chain(&self) -> Chain {
        self.chain
    }

    /// The chain value after the last record read, as hex.
    #[must_use]
    pub fn head(&self) -> String {
        format!("{:032x}", u128::from_le_bytes(self.chain))
    }
}

/// Whether anywhere in `rest`, which begins with the broken record number `seq`, a later record is intact.
fn has_later_record(rest: &[u8], seq: u64) -> bool {
    let possible = rest.len() as u64 / RECORD_HEAD as u64;
    (1..rest.len().saturating_sub(RECORD_HEAD - 1)).any(|at| {
        let bytes = &rest[at..];
        let (payload, found) = (u32_at(bytes, 0) as usize, u64_at(bytes, 8));
        found > seq
            && found - seq <= possible
            && payload <= bytes.len() - RECORD_HEAD
            && u16_at(bytes, 26) == VERSION
            && u32_at(bytes, 28) == 0
            && is_intact(&bytes[..RECORD_HEAD + payload])
    })
}
