use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use memmap2::{Mmap, MmapMut};
use mmbot_types::{Instrument, Level, Side};
use tempfile::NamedTempFile;

use crate::framer::{Framer, rank};
use crate::head::{BLOCK_BYTES, Counts, Head, Meta, SECTIONS, Section, checksums};
use crate::reader::Image;
use crate::{
    DepthMessage, FundingRecord, MessageKind, OrderChange, OrderMessage, PublicOrder, Tape, TapeError, TradeMessage,
    archive,
};

const IN_MEMORY: &str = "tape in memory";

/// Builds a tape in memory, for tests and synthetic markets. Same rules as [`TapeWriter`].
pub struct TapeBuilder {
    instrument: Instrument,
    framer: Framer,
    depth: Vec<DepthMessage>,
    levels: Vec<Level>,
    trades: Vec<TradeMessage>,
    funding: Vec<FundingRecord>,
    orders: Vec<OrderMessage>,
}

impl TapeBuilder {
    /// An empty tape of `instrument`.
    #[must_use]
    pub fn new(instrument: Instrument) -> Self {
        let framer = Framer::default();
        Self { instrument, framer, depth: vec![], levels: vec![], trades: vec![], funding: vec![], orders: vec![] }
    }

    /// Adds a book message. Levels may come in any order; of a price named twice on one side the last counts.
    ///
    /// # Errors
    /// [`TapeError::Unfit`] for a negative time or a price that is not positive; nothing is added then.
    pub fn depth(
        &mut self,
        ts_recv: i64,
        ts_venue: i64,
        kind: MessageKind,
        bids: &[Level],
        asks: &[Level],
    ) -> Result<(), TapeError> {
        let message = self.framer.depth(ts_recv, ts_venue, kind, bids, asks)?;
        self.push_depth(message);
        Ok(())
    }

    /// Adds a snapshot by order: all orders that rest, those of one price in the order in which they trade. It comes
    /// first on a tape by order, and again after a gap.
    ///
    /// # Errors
    /// [`TapeError::Unfit`] for a negative time, a price or quantity that is not positive, a name given twice, or a
    /// tape that began by level.
    pub fn order_snapshot(&mut self, ts_recv: i64, ts_venue: i64, orders: &[PublicOrder]) -> Result<(), TapeError> {
        let (message, orders) = self.framer.order_snapshot(ts_recv, ts_venue, orders)?;
        self.push_depth(message);
        self.orders.extend(orders);
        Ok(())
    }

    /// Adds what happened to one public order, with the message of its level that this makes and, for an execution, its
    /// trade.
    ///
    /// # Errors
    /// [`TapeError::Unfit`] before a snapshot by order, for an order that does not rest (or does, for an addition), for
    /// more lots than it holds, and as [`Self::depth`].
    pub fn order(&mut self, ts_recv: i64, ts_venue: i64, change: OrderChange) -> Result<(), TapeError> {
        let (message, order, trade) = self.framer.order(ts_recv, ts_venue, change)?;
        self.trades.extend(trade);
        self.push_depth(message);
        self.orders.push(order);
        Ok(())
    }

    fn push_depth(&mut self, message: DepthMessage) {
        self.depth.push(message);
        self.levels.extend_from_slice(&self.framer.bids);
        self.levels.extend_from_slice(&self.framer.asks);
    }

    /// Adds a public trade.
    ///
    /// # Errors
    /// [`TapeError::Unfit`] for a negative time, a price that is not positive, or zero lots.
    pub fn trade(&mut self, ts_recv: i64, ts_venue: i64, level: Level, aggressor: Side) -> Result<(), TapeError> {
        self.trades.push(self.framer.trade(ts_recv, ts_venue, level, aggressor)?);
        Ok(())
    }

    /// Adds a funding settlement: `rate` in 10^-8, `mark` in ticks.
    ///
    /// # Errors
    /// [`TapeError::Unfit`] for a negative time.
    pub fn funding(&mut self, ts_recv: i64, ts_venue: i64, rate: i64, mark: i64) -> Result<(), TapeError> {
        self.funding.push(self.framer.funding(ts_recv, ts_venue, rate, mark)?);
        Ok(())
    }

    /// The finished tape, byte for byte what [`TapeWriter`] would have written to a file.
    ///
    /// # Errors
    /// [`TapeError::Format`] when the instrument makes no sense.
    pub fn finish_in_memory(mut self) -> Result<Tape, TapeError> {
        let path = Path::new(IN_MEMORY);
        let unusable = |error: serde_json::Error| TapeError::format(path, error.to_string());
        rank(&self.depth, &mut self.trades, &mut 0);
        let sections: [&[u8]; SECTIONS] = [
            bytemuck::cast_slice(&self.depth),
            bytemuck::cast_slice(&self.levels),
            bytemuck::cast_slice(&self.trades),
            bytemuck::cast_slice(&self.funding),
            bytemuck::cast_slice(&self.orders),
        ];
        let meta = Meta { instrument: self.instrument, counts: self.framer.counts };
        let records = Section::ALL.map(|section| sections[section as usize].len() / section.record_bytes());
        let (_, ranges) = Head::plan(&meta, records).map_err(unusable)?;
        let checksums = sections.iter().flat_map(|bytes| checksums(bytes)).collect();
        let head = Head { meta, ranges, checksums };
        let encoded = head.encode().map_err(unusable)?;
        let mut words = Image::zeroed(head.file_bytes());
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        bytes[..encoded.len()].copy_from_slice(&encoded);
        for (range, section) in head.ranges.iter().zip(sections) {
            bytes[range.clone()].copy_from_slice(section);
        }
        let tape = Tape::from_image(Image::Memory(words), head.file_bytes(), path)?;
        tape.verify_all()?;
        Ok(tape)
    }
}

/// Writes a tape with bounded memory: sections are spooled to unnamed files beside the target, joined at the end, made
/// durable and renamed. Until [`TapeWriter::finish`] returns there is nothing under the target's name, whatever
/// happens.
pub struct TapeWriter {
    target: PathBuf,
    instrument: Instrument,
    framer: Framer,
    spools: [BufWriter<File>; SECTIONS],
    records: [usize; SECTIONS],
}

/// The directory a file lies in.
pub(crate) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

impl TapeWriter {
    /// A writer for `target`: packed if the name ends in `.tapez`.
    ///
    /// # Errors
    /// [`TapeError::Io`] when the directory can not be written.
    pub fn create(target: impl Into<PathBuf>, instrument: Instrument) -> Result<Self, TapeError> {
        let target = target.into();
        let spool = || tempfile::tempfile_in(directory(&target)).map(|file| BufWriter::with_capacity(1 << 18, file));
        let fail = TapeError::io(&target);
        let spools = (|| Ok([spool()?, spool()?, spool()?, spool()?, spool()?]))().map_err(fail)?;
        Ok(Self { target, instrument, framer: Framer::default(), spools, records: [0; SECTIONS] })
    }

    /// Adds a book message. Levels may come in any order; of a price named twice on one side the last counts.
    ///
    /// # Errors
    /// [`TapeError::Unfit`] for a negative time or a price that is not positive (nothing is added then);
    /// [`TapeError::Io`].
    pub fn depth(
        &mut self,
        ts_recv: i64,
        ts_venue: i64,
        kind: MessageKind,
        bids: &[Level],
        asks: &[Level],
    ) -> Result<(), TapeError> {
        let message = self.framer.depth(ts_recv, ts_venue, kind, bids, asks)?;
        self.push_depth(&message)
    }

    /// Adds a snapshot by order, as [`TapeBuilder::order_snapshot`].
    ///
    /// # Errors
    /// As there, or [`TapeError::Io`].
    pub fn order_snapshot(&mut self, ts_recv: i64, ts_venue: i64, orders: &[PublicOrder]) -> Result<(), TapeError> {
        let (message, orders) = self.framer.order_snapshot(ts_recv, ts_venue, orders)?;
        self.push_depth(&message)?;
        orders.iter().try_for_each(|order| self.push(Section::Orders, order))
    }

    /// Adds what happened to one public order, as [`TapeBuilder::order`].
    ///
    /// # Errors
    /// As there, or [`TapeError::Io`].
    pub fn order(&mut self, ts_recv: i64, ts_venue: i64, change: OrderChange) -> Result<(), TapeError> {
        let (message, order, trade) = self.framer.order(ts_recv, ts_venue, change)?;
        if let Some(trade) = trade {
            self.push(Section::Trades, &trade)?;
        }
        self.push_depth(&message)?;
        self.push(Section::Orders, &order)
    }

    fn push_depth(&mut self, message: &DepthMessage) -> Result<(), TapeError> {
        self.records[Section::Levels as usize] += self.framer.bids.len() + self.framer.asks.len();
        let levels = &mut self.spools[Section::Levels as usize];
        levels.write_all(bytemuck::cast_slice(&self.framer.bids)).map_err(TapeError::io(&self.target))?;
        levels.write_all(bytemuck::cast_slice(&self.framer.asks)).map_err(TapeError::io(&self.target))?;
        self.push(Section::Depth, message)
    }

    /// Adds a public trade.
    ///
    /// # Errors
    /// [`TapeError::Unfit`] for a negative time, a price that is not positive, or zero lots; [`TapeError::Io`].
    pub fn trade(&mut self, ts_recv: i64, ts_venue: i64, level: Level, aggressor: Side) -> Result<(), TapeError> {
        let trade = self.framer.trade(ts_recv, ts_venue, level, aggressor)?;
        self.push(Section::Trades, &trade)
    }

    /// Adds a funding settlement: `rate` in 10^-8, `mark` in ticks.
    ///
    /// # Errors
    /// [`TapeError::Unfit`] for a negative time; [`TapeError::Io`].
    pub fn funding(&mut self, ts_recv: i64, ts_venue: i64, rate: i64, mark: i64) -> Result<(), TapeError> {
        let record: FundingRecord = self.framer.funding(ts_recv, ts_venue, rate, mark)?;
        self.push(Section::Funding, &record)
    }

    fn push<T: Pod>(&mut self, section: Section, record: &T) -> Result<(), TapeError> {
        self.records[section as usize] += 1;
        self.spools[section as usize].write_all(bytemuck::bytes_of(record)).map_err(TapeError::io(&self.target))
    }

    /// What was met so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.framer.counts
    }

    /// Ranks the trades, joins the sections, and puts the tape under its name, durably.
    ///
    /// # Errors
    /// [`TapeError::Io`] when the disk does not take it; the target is untouched then.
    pub fn finish(self) -> Result<(), TapeError> {
        let target = self.target.clone();
        let joined = self.join().map_err(TapeError::io(&target))?;
        finish(joined, &target)
    }

    /// The whole tape in a temporary file beside the target.
    fn join(mut self) -> io::Result<NamedTempFile> {
        for spool in &mut self.spools {
            spool.flush()?;
        }
        rank_spooled(self.spools[Section::Depth as usize].get_ref(), self.spools[Section::Trades as usize].get_ref())?;
        let meta = Meta { instrument: self.instrument, counts: self.framer.counts };
        for spool in &mut self.spools {
            spool.rewind()?;
        }
        join(&self.target, meta, self.records, self.spools.each_mut().map(|spool| spool.get_mut() as &mut dyn Read))
    }
}

/// The whole tape in a temporary file beside `target`, from its sections.
pub(crate) fn join(
    target: &Path,
    meta: Meta,
    records: [usize; SECTIONS],
    sections: [&mut dyn Read; SECTIONS],
) -> io::Result<NamedTempFile> {
    let (_, ranges) = Head::plan(&meta, records)?;
    let mut head = Head { meta, ranges, checksums: Vec::new() };
    let mut joined = temporary(target)?;
    joined.as_file().set_len(head.file_bytes() as u64)?; // what is not written below is zero padding
    for (range, section) in head.ranges.iter().zip(sections) {
        joined.seek(SeekFrom::Start(range.start as u64))?;
        copy_blocks(section, &mut joined, &mut head.checksums)?;
    }
    joined.rewind()?;
    joined.write_all(&head.encode()?)?;
    Ok(joined)
}

/// Puts a joined tape under its name, durably: packed if the name ends in `.tapez`.
pub(crate) fn finish(joined: NamedTempFile, target: &Path) -> Result<(), TapeError> {
    if target.extension().is_some_and(|extension| extension == "tapez") {
        return archive::pack(&Tape::open(joined.path())?, target);
    }
    publish(joined, target)
}

/// Ranks the spooled trades in place. The files are mapped, so that memory stays bounded.
fn rank_spooled(depth: &File, trades: &File) -> io::Result<()> {
    if trades.metadata()?.len() == 0 {
        return Ok(());
    }
    // SAFETY: both files are unnamed and ours alone, so nobody else changes or truncates them.
    let mut trades = unsafe { MmapMut::map_mut(trades) }?;
    if depth.metadata()?.len() == 0 {
        rank(&[], bytemuck::cast_slice_mut::<_, TradeMessage>(&mut trades), &mut 0);
        return Ok(());
    }
    // SAFETY: as above.
    let depth = unsafe { Mmap::map(depth) }?;
    rank(bytemuck::cast_slice(&depth), bytemuck::cast_slice_mut::<_, TradeMessage>(&mut trades), &mut 0);
    Ok(())
}

/// Copies a section and notes the checksum of each of its blocks.
fn copy_blocks(from: &mut dyn Read, to: &mut impl Write, checksums: &mut Vec<u32>) -> io::Result<()> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    loop {
        block.clear();
        if from.take(BLOCK_BYTES as u64).read_to_end(&mut block)? == 0 {
            return Ok(());
        }
        checksums.push(crc32c::crc32c(&block));
        to.write_all(&block)?;
    }
}

/// A temporary file beside `target`, with the usual permissions, gone when dropped.
pub(crate) fn temporary(target: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mmbot-").suffix(".partial");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // the umask takes its part
    builder.tempfile_in(directory(target))
}

/// Makes `file` durable and gives it its final name, in that order.
pub(crate) fn publish(file: NamedTempFile, target: &Path) -> Result<(), TapeError> {
    file.as_file().sync_all().map_err(TapeError::io(target))?;
    file.persist(target).map_err(|error| TapeError::io(target)(error.error))?;
    File::open(directory(target)).and_then(|directory| directory.sync_all()).map_err(TapeError::io(target))
}
