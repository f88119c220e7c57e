//! The head of a tape: what is where, and the checksum of every block.
//!
//! ```text
//!   0  magic "mmbtape\0"
//!   8  version u32           12  byte order mark u32
//!  16  file bytes u64        24  head bytes u32 (a multiple of 64)     28  CRC32C of the head, this field being zero
//!  32  n × { offset u64, records u64 }: depth, levels, trades, funding; each section starts at a multiple of 64
//!  +0  meta bytes u32        +4  number of block checksums u32
//!  +8  meta (JSON: instrument, counts), zero padding to 4, CRC32C of each 1 MiB block of each section, padding to 64
//! ```
//! In version 1 there are four sections. Version 2 has a fifth, orders, and is written only where that has records: a
//! tape by level keeps the bytes, and the hash, that it always had.

use std::fmt;
use std::ops::Range;

use mmbot_types::{FeeSchedule, Instrument, Level, Step};
use serde::{Deserialize, Serialize};

use crate::{DepthMessage, FundingRecord, OrderMessage, TradeMessage};

pub(crate) const MAGIC: [u8; 8] = *b"mmbtape\0";
pub(crate) const ORDER_MARK: u32 = 0x0a0b_0c0d;
/// Bytes that one checksum covers.
pub const BLOCK_BYTES: usize = 1 << 20;
/// Where the section table begins.
const TABLE: usize = 32;
/// Sections there are.
pub(crate) const SECTIONS: usize = Section::ALL.len();
const CRC_AT: Range<usize> = 28..32;

/// The kinds of records, each contiguous in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// [`DepthMessage`] records.
    Depth,
    /// [`Level`] records.
    Levels,
    /// [`TradeMessage`] records.
    Trades,
    /// [`FundingRecord`] records.
    Funding,
    /// [`OrderMessage`] records; only on tapes by order.
    Orders,
}

impl Section {
    /// All of them, in file order.
    pub const ALL: [Self; 5] = [Self::Depth, Self::Levels, Self::Trades, Self::Funding, Self::Orders];

    /// Bytes of one record.
    #[must_use]
    pub const fn record_bytes(self) -> usize {
        match self {
            Self::Depth => size_of::<DepthMessage>(),
            Self::Levels => size_of::<Level>(),
            Self::Trades => size_of::<TradeMessage>(),
            Self::Funding => size_of::<FundingRecord>(),
            Self::Orders => size_of::<OrderMessage>(),
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Depth => "depth",
            Self::Levels => "level",
            Self::Trades => "trade",
            Self::Funding => "funding",
            Self::Orders => "order",
        })
    }
}

/// What the writer met on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Depth messages that replace the book.
    pub snapshots: u64,
    /// Places where updates were lost.
    pub gaps: u64,
    /// Depth messages after which the best bid was not below the best ask.
    pub crossed: u64,
    /// Levels of one message that named a price twice; the last one was kept.
    pub repeated_levels: u64,
    /// Receive times raised: to their venue time, or so that they never run backwards.
    pub recv_corrections: u64,
    /// Venue times raised so that they never run backwards within their stream.
    pub venue_corrections: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Meta {
    pub instrument: Instrument,
    pub counts: Counts,
}

impl Meta {
    /// What `serde` can not see: steps and fee tiers that make no sense.
    fn check(&self) -> Result<(), String> {
        let Instrument { tick, lot, contract, fees, .. } = &self.instrument;
        for step in [tick, lot, contract] {
            if step.mantissa <= 0 || step.scale > 18 {
                return Err(format!("step {}e-{} is not positive or too fine", step.mantissa, step.scale));
            }
            Step::parse(&step.text(1)).map_err(|error| error.to_string())?;
        }
        FeeSchedule::new(fees.tiers().to_vec()).map_err(|error| error.to_string())?;
        Ok(())
    }
}

/// A head, read or about to be written.
pub(crate) struct Head {
    pub meta: Meta,
    /// Byte ranges of the sections in the file.
    pub ranges: [Range<usize>; SECTIONS],
    /// Block checksums of all sections, one after the other.
    pub checksums: Vec<u32>,
}

/// Version of the format: what sections there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Version {
    ByLevel = 1,
    ByOrder = 2,
}

impl Version {
    const fn of(orders: usize) -> Self {
        if orders == 0 { Self::ByLevel } else { Self::ByOrder }
    }

    fn sections(self) -> &'static [Section] {
        match self {
            Self::ByLevel => &Section::ALL[..4],
            Self::ByOrder => &Section::ALL,
        }
    }

    /// Bytes of the head before the meta.
    fn fixed(self) -> usize {
        TABLE + 16 * self.sections().len() + 8
    }
}

const fn align(n: usize) -> usize {
    n.next_multiple_of(64)
}

/// Checksums of one section's bytes.
pub(crate) fn checksums(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks(BLOCK_BYTES).map(crc32c::crc32c)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(raw)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}

/// CRC32C of a head whose own checksum field counts as zero.
fn head_crc(head: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&head[..CRC_AT.start]);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    crc32c::crc32c_append(crc, &head[CRC_AT.end..])
}

impl Head {
    /// Where sections of `records` records go, and the length of the head before them.
    pub fn plan(
        meta: &Meta,
        records: [usize; SECTIONS],
    ) -> Result<(usize, [Range<usize>; SECTIONS]), serde_json::Error> {
        let version = Version::of(records[Section::Orders as usize]);
        let meta_bytes = serde_json::to_vec(meta)?.len();
        let sizes = Section::ALL.map(|section| records[section as usize] * section.record_bytes());
        let blocks: usize = sizes.iter().map(|size| size.div_ceil(BLOCK_BYTES)).sum();
        let head = align((version.fixed() + meta_bytes).next_multiple_of(4) + 4 * blocks);
        let mut start = head;
        let mut ranges = sizes.map(|size| {
            let range = start..start + size;
            start = align(range.end);
            range
        });
        if version == Version::ByLevel {
            let end = ranges[Section::Funding as usize].end; // no fifth section: nothing, not even padding
            ranges[Section::Orders as usize] = end..end;
        }
        Ok((head, ranges))
    }

    /// The head as bytes. `checksums` are those of the sections laid out by [`Head::plan`].
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let meta = serde_json::to_vec(&self.meta)?;
        let mut head = Vec::with_capacity(self.ranges[0].start);
        head.extend(MAGIC);
        let version = self.version();
        head.extend((version as u32).to_le_bytes());
        head.extend(ORDER_MARK.to_le_bytes());
        head.extend((self.file_bytes() as u64).to_le_bytes());
        head.extend((self.ranges[0].start as u32).to_le_bytes());
        head.extend([0; 4]);
        for &section in version.sections() {
            let range = &self.ranges[section as usize];
            head.extend((range.start as u64).to_le_bytes());
            head.extend(((range.len() / section.record_bytes()) as u64).to_le_bytes());
        }
        head.extend((meta.len() as u32).to_le_bytes());
        head.extend((self.checksums.len() as u32).to_le_bytes());
        head.extend(meta);
        head.resize(head.len().next_multiple_of(4), 0);
        head.extend(self.checksums.iter().flat_map(|crc| crc.to_le_bytes()));
        head.resize(self.ranges[0].start, 0);
        let crc = head_crc(&head);
        head[CRC_AT].copy_from_slice(&crc.to_le_bytes());
        Ok(head)
    }

    /// Reads and checks the head at the start of `bytes`; `file_bytes` is the length of the whole tape.
    pub fn decode(bytes: &[u8], file_bytes: usize) -> Result<Self, String> {
        let version = Self::check_identity(bytes)?;
        let fixed = version.fixed();
        if bytes.len() < fixed {
            return Err(format!("cut off: {} bytes are not even a head; copy or import it again", bytes.len()));
        }
        let (said, head_bytes) = (u64_at(bytes, 16), u32_at(bytes, 24) as usize);
        if said != file_bytes as u64 {
            return Err(format!(
                "{file_bytes} bytes long, but its head says {said}: cut off or appended to; copy it again"
            ));
        }
        if head_bytes < fixed || head_bytes > bytes.len() {
            return Err(format!("head length {head_bytes} is impossible; restore a copy"));
        }
        let head = &bytes[..head_bytes];
        let (found, expected) = (head_crc(head), u32_at(head, CRC_AT.start));
        if found != expected {
            return Err(format!("the head is damaged: checksum {found:08x}, expected {expected:08x}; restore a copy"));
        }
        let meta_bytes = u32_at(head, fixed - 8) as usize;
        let meta = head.get(fixed..fixed + meta_bytes).ok_or("meta is longer than the head")?;
        let meta: Meta = serde_json::from_slice(meta).map_err(|error| format!("meta is unreadable: {error}"))?;
        meta.check().map_err(|error| format!("meta is unusable: {error}"))?;
        let limit = file_bytes as u64;
        // No section has more records than the file has bytes: keeps the plan from overflowing.
        let entry = |section: Section| {
            let at = TABLE + 16 * section as usize;
            version.sections().contains(&section).then(|| (u64_at(head, at), u64_at(head, at + 8)))
        };
        let records = Section::ALL.map(|section| entry(section).map_or(0, |(_, count)| count.min(limit) as usize));
        let (planned, ranges) = Self::plan(&meta, records).map_err(|error| format!("meta is unusable: {error}"))?;
        let starts_agree = version
            .sections()
            .iter()
            .all(|&section| entry(section).is_some_and(|(start, _)| start == ranges[section as usize].start as u64));
        let checksums_at = (fixed + meta_bytes).next_multiple_of(4);
        let count = u32_at(head, fixed - 4) as usize;
        let blocks: usize = ranges.iter().map(|range| range.len().div_ceil(BLOCK_BYTES)).sum();
        if planned != head_bytes
            || !starts_agree
            || count != blocks
            || Version::of(records[Section::Orders as usize]) != version
        {
            return Err("the section table contradicts itself; written by a faulty program, import it again".into());
        }
        let decoded =
            Self { meta, ranges, checksums: (0..count).map(|i| u32_at(head, checksums_at + 4 * i)).collect() };
        if decoded.file_bytes() != file_bytes {
            return Err("the sections do not fill the file; written by a faulty program, import it again".into());
        }
        Ok(decoded)
    }

    /// The tape length that a head claims, itself unchecked.
    pub fn claimed_bytes(head: &[u8]) -> Result<usize, String> {
        let fixed = Self::check_identity(head)?.fixed();
        let claimed = head.len().checked_sub(fixed).map(|_| u64_at(head, 16));
        claimed.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| "the head is cut off; copy it again".into())
    }

    /// Magic, byte order, version: what tells a foreign file from a broken one.
    fn check_identity(bytes: &[u8]) -> Result<Version, String> {
        if bytes.is_empty() {
            return Err("the file is empty; expected a tape".into());
        }
        let magic = &bytes[..bytes.len().min(8)];
        if !MAGIC.starts_with(magic) {
            return Err(format!(
                "not a tape: starts with \"{}\"; make one with `mmbot data import`",
                magic.escape_ascii()
            ));
        }
        if bytes.len() < 16 {
            return Err(format!("cut off: {} bytes are not even a head; copy or import it again", bytes.len()));
        }
        if u32_at(bytes, 12) != ORDER_MARK {
            return Err("written with another byte order, or damaged; only little-endian tapes are read".into());
        }
        match u32_at(bytes, 8) {
            1 => Ok(Version::ByLevel),
            2 => Ok(Version::ByOrder),
            version => {
                Err(format!("format version {version}, but this mmbot reads 1 and 2; update mmbot or import again"))
            }
        }
    }

    /// Version in which this tape is written.
    pub fn version(&self) -> Version {
        Version::of(self.records(Section::Orders))
    }

    /// Length of the whole tape.
    pub const fn file_bytes(&self) -> usize {
        self.ranges[SECTIONS - 1].end
    }

    /// Records of a section.
    pub fn records(&self, section: Section) -> usize {
        self.ranges[section as usize].len() / section.record_bytes()
    }

    /// Checksums of a section's blocks.
    pub fn section_checksums(&self, section: Section) -> &[u32] {
        let blocks = |range: &Range<usize>| range.len().div_ceil(BLOCK_BYTES);
        let first: usize = self.ranges[..section as usize].iter().map(blocks).sum();
        &self.checksums[first..first + blocks(&self.ranges[section as usize])]
    }
}
