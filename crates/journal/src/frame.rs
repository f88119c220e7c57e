//! Bytes of a segment head and of a record. Little-endian throughout.

use xxhash_rust::xxh3::xxh3_128;

pub(crate) const MAGIC: [u8; 8] = *b"MMBOTJNL";
/// Of the segment's layout, and of a record's.
pub(crate) const VERSION: u16 = 1;
pub(crate) const HEAD_BYTES: usize = 64;
pub(crate) const RECORD_HEAD: usize = 48;

/// Largest payload of one record: a note of that size is a mistake.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// The chain value after a record; all zero before the first.
pub(crate) type Chain = [u8; 16];

/// The head of the first and only segment: number 0, first record 0, nothing before it.
///
/// ```text
/// 0 magic · 8 version u32 · 12 head bytes u32 · 16 segment u64 · 24 first seq u64 · 32 chain before · 48 zero · 60 crc
/// ```
pub(crate) fn head() -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&u32::from(VERSION).to_le_bytes());
    head[12..16].copy_from_slice(&(HEAD_BYTES as u32).to_le_bytes());
    let crc = crc32c::crc32c(&head[..60]);
    head[60..].copy_from_slice(&crc.to_le_bytes());
    head
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

pub(crate) fn chain_at(bytes: &[u8]) -> Chain {
    bytes[32..RECORD_HEAD].try_into().expect("sixteen bytes")
}

/// Completes a record whose payload has been written behind `RECORD_HEAD` empty bytes; returns the new chain value.
///
/// ```text
/// 0 payload bytes u32 · 4 crc32c of all that follows · 8 seq u64 · 16 time i64 · 24 kind u16 · 26 version u16
/// 28 zero u32 · 32 chain · 48 payload
/// ```
pub(crate) fn complete(record: &mut [u8], seq: u64, time: i64, kind: u16, before: Chain) -> Chain {
    let payload = (record.len() - RECORD_HEAD) as u32;
    record[..4].copy_from_slice(&payload.to_le_bytes());
    record[8..16].copy_from_slice(&seq.to_le_bytes());
    record[16..24].copy_from_slice(&time.to_le_bytes());
    record[24..26].copy_from_slice(&kind.to_le_bytes());
    record[26..28].copy_from_slice(&VERSION.to_le_bytes());
    record[28..32].fill(0);
    record[32..RECORD_HEAD].copy_from_slice(&before);
    let chain = xxh3_128(&record[8..]).to_le_bytes();
    record[32..RECORD_HEAD].copy_from_slice(&chain);
    let crc = crc32c::crc32c(&record[8..]);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    chain
}

/// Whether a record's bytes are what was written.
pub(crate) fn is_intact(record: &[u8]) -> bool {
    crc32c::crc32c(&record[8..]) == u32_at(record, 4)
}

/// Whether an intact record follows the chain value `before`. Uses the record as scratch and leaves it as it was.
pub(crate) fn follows(record: &mut [u8], before: Chain) -> bool {
    let chain = chain_at(record);
    record[32..RECORD_HEAD].copy_from_slice(&before);
    let expected = xxh3_128(&record[8..]).to_le_bytes();
    record[32..RECORD_HEAD].copy_from_slice(&chain);
    chain == expected
}
