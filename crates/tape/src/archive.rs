//! The archive form (`.tapez`): the same tape, packed to a few bytes per event.
//!
//! ```text
//!  0  magic "mmbtapz\0"     8  version u32     12  bytes of the packed head u32     16  bytes of the head u64
//! 24  head (zstd), then for each section its chunks: packed bytes u32, zstd of up to 32,768 transformed records
//! ```
//! Transformed: each column apart, delta to the record before where neighbours are close, its bytes transposed (all
//! lowest bytes first). The head is the open tape's own, so unpacking ends with the very bytes, and their checksums
//! prove it.

use std::io::{self, Write};
use std::path::Path;

use crate::head::{Head, Section, Version};
use crate::reader::Image;
use crate::writer::{publish, temporary};
use crate::{Tape, TapeError};

pub(crate) const MAGIC: [u8; 8] = *b"mmbtapz\0";
const FIXED: usize = 24;
const CHUNK: usize = 32_768;
const EFFORT: i32 = 12;

/// A column of a record: where, how wide, and whether neighbours are close.
struct Column {
    at: usize,
    width: usize,
    delta: bool,
}

const fn delta(at: usize, width: usize) -> Column {
    Column { at, width, delta: true }
}

const fn plain(at: usize, width: usize) -> Column {
    Column { at, width, delta: false }
}

const DEPTH: [Column; 7] =
    [delta(0, 8), delta(8, 8), delta(16, 8), plain(24, 4), plain(28, 4), delta(32, 4), delta(36, 4)];
const LEVELS: [Column; 2] = [delta(0, 4), plain(4, 4)];
const TRADES: [Column; 6] = [delta(0, 8), delta(8, 8), delta(16, 4), plain(20, 4), delta(24, 4), delta(28, 4)];
const FUNDING: [Column; 4] = [delta(0, 8), delta(8, 8), delta(16, 8), delta(24, 8)];

const ORDERS: [Column; 7] =
    [delta(0, 8), delta(8, 4), delta(12, 4), delta(16, 4), plain(20, 4), plain(24, 4), plain(28, 4)];

const fn columns(section: Section) -> &'static [Column] {
    match section {
        Section::Depth => &DEPTH,
        Section::Levels => &LEVELS,
        Section::Trades => &TRADES,
        Section::Funding => &FUNDING,
        Section::Orders => &ORDERS,
    }
}

/// Small magnitudes of either sign become small numbers.
const fn zigzag(value: u64, width: usize) -> u64 {
    let shift = 64 - 8 * width as u32;
    let value = ((value << shift) as i64) >> shift;
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}

fn word(record: &[u8], column: &Column) -> u64 {
    let mut raw = [0; 8];
    raw[..column.width].copy_from_slice(&record[column.at..column.at + column.width]);
    u64::from_le_bytes(raw)
}

/// Columns apart, deltas, bytes transposed.
fn transform(records: &[u8], section: Section) -> Vec<u8> {
    let size = section.record_bytes();
    let n = records.len() / size;
    let mut out = vec![0; records.len()];
    let mut start = 0;
    for column in columns(section) {
        let mut before = 0;
        for (i, record) in records.chunks_exact(size).enumerate() {
            let value = word(record, column);
            let stored = if column.delta { zigzag(value.wrapping_sub(before), column.width) } else { value };
            before = value;
            for (byte, stored) in stored.to_le_bytes().into_iter().take(column.width).enumerate() {
                out[start + byte * n + i] = stored;
            }
        }
        start += column.width * n;
    }
    out
}

/// The inverse of [`transform`], into `records`.
fn restore(bytes: &[u8], section: Section, records: &mut [u8]) {
    let size = section.record_bytes();
    let n = records.len() / size;
    let mut start = 0;
    for column in columns(section) {
        let planes = &bytes[start..start + column.width * n];
        let mut before = 0u64;
        for (i, record) in records.chunks_exact_mut(size).enumerate() {
            let mut raw = [0; 8];
            for (byte, raw) in raw.iter_mut().take(column.width).enumerate() {
                *raw = planes[byte * n + i];
            }
            let stored = u64::from_le_bytes(raw);
            let value = if column.delta { before.wrapping_add(unzigzag(stored)) } else { stored };
            before = value;
            record[column.at..column.at + column.width].copy_from_slice(&value.to_le_bytes()[..column.width]);
        }
        start += column.width * n;
    }
}

fn check_whole(tape: &Tape, target: &Path) -> Result<(), TapeError> {
    if tape.is_growing() {
        return Err(TapeError::format(target, "the tape to save here is still being written; seal it instead"));
    }
    tape.verify_all()
}

/// Writes `tape` as an archive under `target`, durably and in one step.
///
/// # Errors
/// [`TapeError::Damaged`] or [`TapeError::Broken`] when the tape is not intact; [`TapeError::Format`] while it is being
/// written; [`TapeError::Io`].
pub fn pack(tape: &Tape, target: &Path) -> Result<(), TapeError> {
    check_whole(tape, target)?;
    let packed = (|| {
        let mut file = temporary(target)?;
        write_packed(tape, &mut io::BufWriter::new(&mut file))?;
        io::Result::Ok(file)
    })();
    publish(packed.map_err(TapeError::io(target))?, target)
}

/// Writes `tape` in its open form under `target`, durably and in one step.
///
/// # Errors
/// As [`pack`].
pub fn copy(tape: &Tape, target: &Path) -> Result<(), TapeError> {
    check_whole(tape, target)?;
    let copied = (|| {
        let mut file = temporary(target)?;
        file.write_all(tape.bytes())?;
        io::Result::Ok(file)
    })();
    publish(copied.map_err(TapeError::io(target))?, target)
}

fn write_packed(tape: &Tape, out: &mut impl Write) -> io::Result<()> {
    let head = &tape.bytes()[..tape.head().ranges[0].start];
    let packed = zstd::bulk::compress(head, EFFORT)?;
    out.write_all(&MAGIC)?;
    out.write_all(&(tape.head().version() as u32).to_le_bytes())?;
    out.write_all(&(packed.len() as u32).to_le_bytes())?;
    out.write_all(&(head.len() as u64).to_le_bytes())?;
    out.write_all(&packed)?;
    for section in Section::ALL {
        let records = &tape.bytes()[tape.head().ranges[section as usize].clone()];
        for chunk in records.chunks(CHUNK * section.record_bytes()) {
            let packed = zstd::bulk::compress(&transform(chunk, section), EFFORT)?;
            out.write_all(&(packed.len() as u32).to_le_bytes())?;
            out.write_all(&packed)?;
        }
    }
    out.flush()
}

/// Takes `count` bytes off the front.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (taken, left) = rest.split_at_checked(count).ok_or("the archive is cut off; copy it again")?;
    *rest = left;
    Ok(taken)
}

fn take_u32(rest: &mut &[u8]) -> Result<usize, String> {
    let mut raw = [0; 4];
    raw.copy_from_slice(take(rest, 4)?);
    Ok(u32::from_le_bytes(raw) as usize)
}

fn decompress(packed: &[u8], bytes: usize) -> Result<Vec<u8>, String> {
    let plain = zstd::bulk::decompress(packed, bytes).map_err(|error| format!("the archive is damaged: {error}"))?;
    if plain.len() == bytes {
        Ok(plain)
    } else {
        Err(format!("the archive is damaged: {} bytes instead of {bytes}", plain.len()))
    }
}

/// The open form of an archive, as words and its length in bytes. The caller verifies the checksums.
pub(crate) fn unpack(archive: &[u8]) -> Result<(Vec<u64>, usize), String> {
    let mut rest = archive;
    take(&mut rest, MAGIC.len())?;
    let version = take_u32(&mut rest)? as u32;
    if ![Version::ByLevel as u32, Version::ByOrder as u32].contains(&version) {
        return Err(format!("archive version {version}, but this mmbot reads 1 and 2; update mmbot or import again"));
    }
    let packed = take_u32(&mut rest)?;
    let head_bytes = take_u32(&mut rest)? + (take_u32(&mut rest)? << 32);
    // A head is a few kilobytes plus 4 bytes per MiB of tape: what claims more than that is damaged.
    if head_bytes > FIXED + (1 << 20) + 64 * archive.len() {
        return Err(format!("the archive is damaged: a head of {head_bytes} bytes"));
    }
    let head = decompress(take(&mut rest, packed)?, head_bytes)?;
    let file_bytes = Head::claimed_bytes(&head)?;
    let decoded = Head::decode(&head, file_bytes)?;
    // Each chunk takes at least its length field here and at most 1.25 MiB there: a cheap bound before memory is asked
    // for.
    let chunks = |section: Section| decoded.records(section).div_ceil(CHUNK);
    if Section::ALL.into_iter().map(chunks).sum::<usize>() * 4 > rest.len() {
        return Err("the archive is cut off; copy it again".into());
    }
    let mut words = Image::zeroed(file_bytes);
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    bytes[..head.len()].copy_from_slice(&head);
    for section in Section::ALL {
        let records = &mut bytes[decoded.ranges[section as usize].clone()];
        for chunk in records.chunks_mut(CHUNK * section.record_bytes()) {
            let packed = take_u32(&mut rest)?;
            let plain = decompress(take(&mut rest, packed)?, chunk.len())?;
            restore(&plain, section, chunk);
        }
    }
    if rest.is_empty() {
        Ok((words, file_bytes))
    } else {
        Err(format!("{} bytes follow the archive's end", rest.len()))
    }
}
