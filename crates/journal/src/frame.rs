//! Bytes of a segment head and of a record, of this version and of the one before. Little-endian throughout.

use xxhash_rust::xxh3::xxh3_128;

pub(crate) const MAGIC: [u8; 8] = *b"MMBOTJNL";
/// Of what is written.
pub(crate) const VERSION: u16 = 2;

/// Largest payload of one record: a note of that size is a mistake.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// The chain value after a record. Version 1 uses the first half, the rest is zero.
pub(crate) type Chain = [u8; 32];

/// How a version lies in its file.
///
/// ```text
/// head    0 magic · 8 version u32 · 12 head bytes u32 · 16 segment u64 · 24 first seq u64 · 32 chain before
///         zero · crc32c of all before, u32
/// record  0 payload bytes u32 · 4 crc32c of all that follows · 8 seq u64 · 16 time i64 · 24 kind u16 · 26 version u16
///         28 zero u32 · 32 chain · payload
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) version: u16,
    pub(crate) head: usize,
    chain: usize,
}

pub(crate) const V1: Layout = Layout { version: 1, head: 64, chain: 16 };
pub(crate) const V2: Layout = Layout { version: VERSION, head: 72, chain: 32 };

const CHAIN_AT: usize = 32;

/// What a segment head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) segment: u64,
    /// Number of its first record.
    pub(crate) first: u64,
    /// The chain value after the record before; zero in the first segment.
    pub(crate) before: Chain,
}

/// Why bytes are no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHead {
    Magic,
    Short,
    Damaged,
    Version(u32),
}

impl Layout {
    /// Bytes before a record's payload.
    pub(crate) const fn record(self) -> usize {
        CHAIN_AT + self.chain
    }

    /// The layout and the head at the beginning of `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, Head), NoHead> {
        if !bytes.starts_with(&MAGIC) {
            return Err(if MAGIC.starts_with(bytes) { NoHead::Short } else { NoHead::Magic });
        }
        if bytes.len() < V1.head {
            return Err(NoHead::Short);
        }
        let length = head_length(bytes);
        let Some(head) = bytes.get(..length) else { return Err(NoHead::Short) };
        if u32_at(head, length - 4) != crc32c::crc32c(&head[..length - 4]) {
            return Err(NoHead::Damaged);
        }
        let version = u32_at(bytes, 8);
        let layout = [V1, V2].into_iter().find(|layout| u32::from(layout.version) == version);
        let layout = layout.ok_or(NoHead::Version(version))?; // believed, because its checksum fits
        if u32_at(head, 12) as usize != length
            || head[CHAIN_AT + layout.chain..length - 4].iter().any(|byte| *byte != 0)
        {
            return Err(NoHead::Damaged);
        }
        Ok((layout, Head { segment: u64_at(head, 16), first: u64_at(head, 24), before: layout.chain_at(head) }))
    }

    pub(crate) fn chain_at(self, bytes: &[u8]) -> Chain {
        let mut chain = [0; 32];
        chain[..self.chain].copy_from_slice(&bytes[CHAIN_AT..CHAIN_AT + self.chain]);
        chain
    }

    /// The value that the first record of a segment follows. Since version 2 it covers the head, so that a kept chain
    /// value vouches for the heads too.
    pub(crate) fn opening(self, head: &[u8], before: Chain) -> Chain {
        if self == V1 { before } else { *blake3::hash(head).as_bytes() }
    }

    fn chained(self, record: &[u8]) -> Chain {
        let mut chain = [0; 32];
        if self == V1 {
            chain[..16].copy_from_slice(&xxh3_128(&record[8..]).to_le_bytes());
        } else {
            chain = *blake3::hash(&record[8..]).as_bytes();
        }
        chain
    }

    /// Whether an intact record follows the chain value `before`. Uses the record as scratch and leaves it as it was.
    pub(crate) fn follows(self, record: &mut [u8], before: Chain) -> bool {
        let chain = self.chain_at(record);
        record[CHAIN_AT..self.record()].copy_from_slice(&before[..self.chain]);
        let expected = self.chained(record);
        record[CHAIN_AT..self.record()].copy_from_slice(&chain[..self.chain]);
        chain == expected
    }

    /// A chain value as people keep it.
    pub(crate) fn hex(self, chain: Chain) -> String {
        if self == V1 {
            let [low, _] = [0, 16].map(|at| u128::from_le_bytes(chain[at..at + 16].try_into().expect("sixteen bytes")));
            return format!("{low:032x}");
        }
        chain.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How many bytes of head there are, by its first 64; within reason, for a version that is not known.
pub(crate) fn head_length(bytes: &[u8]) -> usize {
    match u32_at(bytes, 8) {
        1 => V1.head,
        2 => V2.head,
        _ => (u32_at(bytes, 12) as usize).clamp(V1.head, 4_096),
    }
}

/// The head of a segment, as it is written now.
pub(crate) fn head(of: Head) -> Vec<u8> {
    let mut head = vec![0; V2.head];
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&u32::from(VERSION).to_le_bytes());
    head[12..16].copy_from_slice(&(V2.head as u32).to_le_bytes());
    head[16..24].copy_from_slice(&of.segment.to_le_bytes());
    head[24..32].copy_from_slice(&of.first.to_le_bytes());
    head[CHAIN_AT..CHAIN_AT + 32].copy_from_slice(&of.before);
    let crc = crc32c::crc32c(&head[..V2.head - 4]);
    head[V2.head - 4..].copy_from_slice(&crc.to_le_bytes());
    head
}

/// Completes a record whose payload has been written behind an empty record head; returns the new chain value.
pub(crate) fn complete(record: &mut [u8], seq: u64, time: i64, kind: u16, before: Chain) -> Chain {
    let payload = (record.len() - V2.record()) as u32;
    record[..4].copy_from_slice(&payload.to_le_bytes());
    record[8..16].copy_from_slice(&seq.to_le_bytes());
    record[16..24].copy_from_slice(&time.to_le_bytes());
    record[24..26].copy_from_slice(&kind.to_le_bytes());
    record[26..28].copy_from_slice(&VERSION.to_le_bytes());
    record[28..32].fill(0);
    record[CHAIN_AT..V2.record()].copy_from_slice(&before);
    let chain = V2.chained(record);
    record[CHAIN_AT..V2.record()].copy_from_slice(&chain);
    let crc = crc32c::crc32c(&record[8..]);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    chain
}

/// Whether a record's bytes are what was written.
pub(crate) fn is_intact(record: &[u8]) -> bool {
    crc32c::crc32c(&record[8..]) == u32_at(record, 4)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}
