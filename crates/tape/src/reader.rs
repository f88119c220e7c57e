use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytemuck::Pod;
use memmap2::Mmap;
use mmbot_types::{Instrument, Level, NO_ASK, NO_BID, Side, Touch};

use crate::archive;
use crate::growth::Growth;
use crate::head::{BLOCK_BYTES, Counts, Head, Meta, SECTIONS, Section};
use crate::{DepthMessage, FundingRecord, MessageKind, OrderKind, OrderMessage, TapeError, TradeMessage};

/// The bytes of a tape: mapped, in memory (8-byte words, so that records are aligned), or still being written.
pub(crate) enum Image {
    Mapped(Mmap),
    Memory(Vec<u64>),
    Growing(Arc<Growth>),
}

impl Image {
    /// Zeroed memory for `bytes` bytes.
    pub fn zeroed(bytes: usize) -> Vec<u64> {
        vec![0; bytes.div_ceil(8)]
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Memory(words) => bytemuck::cast_slice(words),
            Self::Growing(_) => &[],
        }
    }
}

/// An open tape. Records are read in place; nothing is copied.
///
/// Opening checks the head and the sizes only. Contents are checked block by block: call [`Tape::verify_upto`] before
/// reading records for the first time, or [`Tape::verify_all`] once. The slices themselves do not check.
///
/// Not handled: somebody truncating the file while it is mapped (the system then ends the program with SIGBUS).
pub struct Tape {
    image: Image,
    head: Head,
    hash: u64,
    /// Per section: how many blocks, and how many records, are known to be good.
    good_blocks: [AtomicUsize; SECTIONS],
    good_records: [AtomicUsize; SECTIONS],
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Instrument { venue, symbol, .. } = self.instrument();
        write!(f, "Tape({venue} {symbol}, {} events, {:016x})", self.events(), self.hash)
    }
}

impl Tape {
    /// Opens a `.tape` by memory map, whatever its size, or a `.tapez` by unpacking it into memory.
    ///
    /// # Errors
    /// [`TapeError::Io`] when it can not be opened; [`TapeError::Format`] when it is empty, foreign, cut off, damaged
    /// in its head or from a newer version; for a `.tapez` also whatever is wrong with its contents.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TapeError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(TapeError::io(path))?;
        if file.metadata().map_err(TapeError::io(path))?.len() == 0 {
            return Err(TapeError::format(path, "the file is empty; expected a tape"));
        }
        // SAFETY: the map is read-only and tapes are immutable once renamed to their final name. A change by another
        // program could at worst show other integers, which every reader must survive, or end the program (see the
        // type's documentation).
        let map = unsafe { Mmap::map(&file) }.map_err(TapeError::io(path))?;
        if map.starts_with(&archive::MAGIC) {
            let words = archive::unpack(&map).map_err(|reason| TapeError::format(path, reason))?;
            let tape = Self::from_image(Image::Memory(words.0), words.1, path)?;
            tape.verify_all()?;
            return Ok(tape);
        }
        let bytes = map.len();
        Self::from_image(Image::Mapped(map), bytes, path)
    }

    pub(crate) fn from_image(image: Image, file_bytes: usize, path: &Path) -> Result<Self, TapeError> {
        let bytes = &image.bytes()[..file_bytes];
        let head = Head::decode(bytes, file_bytes).map_err(|reason| TapeError::format(path, reason))?;
        let starts = head.ranges.iter().skip(1).map(|range| range.start);
        let mut padding = head.ranges.iter().zip(starts).map(|(range, next)| range.end..next);
        if padding.any(|range| bytes[range].iter().any(|&byte| byte != 0)) {
            return Err(TapeError::format(path, "bytes between the sections are damaged; restore a copy"));
        }
        let hash = xxhash_rust::xxh3::xxh3_64(&bytes[..head.ranges[0].start]);
        Ok(Self { image, head, hash, good_blocks: Default::default(), good_records: Default::default() })
    }

    /// The view of a tape that is being written. Its contents are unchecked: see [`Self::trust`].
    pub(crate) fn growing(growth: Arc<Growth>, instrument: Instrument) -> Self {
        let meta = Meta { instrument, counts: Counts::default() };
        let head = Head { meta, ranges: Default::default(), checksums: Vec::new() };
        let image = Image::Growing(growth);
        Self { image, head, hash: 0, good_blocks: Default::default(), good_records: Default::default() }
    }

    /// Nothing of it needs to be checked, now or later: we write it ourselves.
    pub(crate) fn trust(&self) {
        self.good_records.iter().for_each(|good| good.store(usize::MAX, Ordering::Release));
    }

    /// Whether it is (or was, when it was opened) being written: see [`crate::LiveTape`]. Its slices then grow from
    /// call to call, and it has no hash.
    #[must_use]
    pub const fn is_growing(&self) -> bool {
        matches!(self.image, Image::Growing(_))
    }

    /// Nothing that has happened at the venue up to this time is still to come.
    #[must_use]
    pub fn settled(&self) -> i64 {
        match &self.image {
            Image::Growing(growth) => growth.settled(),
            Image::Mapped(_) | Image::Memory(_) => i64::MAX,
        }
    }

    /// The records of a section as bytes.
    #[must_use]
    pub fn section(&self, section: Section) -> &[u8] {
        match &self.image {
            Image::Growing(growth) => growth.section(section),
            image => &image.bytes()[self.head.ranges[section as usize].clone()],
        }
    }

    fn count(&self, section: Section) -> usize {
        self.section(section).len() / section.record_bytes()
    }

    fn records<T: Pod>(&self, section: Section) -> &[T] {
        bytemuck::cast_slice(self.section(section))
    }

    /// Depth messages, in the order of both clocks.
    #[must_use]
    pub fn depth(&self) -> &[DepthMessage] {
        self.records(Section::Depth)
    }

    /// Levels of all depth messages.
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        self.records(Section::Levels)
    }

    /// Public trades, in the order of both clocks. While a tape is being written their places in venue order are not
    /// known yet (they are given as that of receipt): see [`Self::placed_trades`].
    #[must_use]
    pub fn trades(&self) -> &[TradeMessage] {
        self.records(Section::Trades)
    }

    /// The first of [`Self::trades`], as far as their places in venue order are known: all, once a tape is sealed.
    #[must_use]
    pub fn placed_trades(&self) -> &[TradeMessage] {
        match &self.image {
            Image::Growing(growth) => growth.placed(),
            Image::Mapped(_) | Image::Memory(_) => self.trades(),
        }
    }

    /// Funding settlements.
    #[must_use]
    pub fn funding(&self) -> &[FundingRecord] {
        self.records(Section::Funding)
    }

    /// What happened to public orders, in the order of both clocks; none on a tape by level.
    #[must_use]
    pub fn orders(&self) -> &[OrderMessage] {
        self.records(Section::Orders)
    }

    /// What was traded.
    #[must_use]
    pub const fn instrument(&self) -> &Instrument {
        &self.head.meta.instrument
    }

    /// What the writer met.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match &self.image {
            Image::Growing(growth) => growth.committed().counts,
            Image::Mapped(_) | Image::Memory(_) => self.head.meta.counts,
        }
    }

    /// The tape's name for itself: xxh3 of its head, which holds the instrument and the checksum of every block. Zero
    /// while it is being written.
    #[must_use]
    pub const fn tape_hash(&self) -> u64 {
        self.hash
    }

    /// Level updates and trades.
    #[must_use]
    pub fn events(&self) -> u64 {
        (self.count(Section::Levels) + self.count(Section::Trades)) as u64
    }

    /// First and last receive time over depth and trades; `None` for an empty tape. The end is exclusive by one
    /// nanosecond.
    #[must_use]
    pub fn span(&self) -> Option<Range<i64>> {
        let (depth, trades) = (self.depth(), self.trades());
        let first = [depth.first().map(|m| m.ts_recv), trades.first().map(|m| m.ts_recv)];
        let last = depth.last().map(|m| m.ts_recv).max(trades.last().map(|m| m.ts_recv));
        Some(first.into_iter().flatten().min()?..last?.saturating_add(1))
    }

    /// Touch before the depth message at `index` (so `index` may be one past the last).
    #[must_use]
    pub fn touch_before(&self, index: usize) -> Touch {
        index.checked_sub(1).and_then(|i| self.depth().get(i)).map_or(Touch::EMPTY, DepthMessage::touch)
    }

    /// Touch at a venue time: after the last depth message that is not later.
    #[must_use]
    pub fn touch_at(&self, ts_venue: i64) -> Touch {
        self.touch_before(self.depth().partition_point(|message| message.ts_venue <= ts_venue))
    }

    /// Makes sure that the first `count` records of `section` are intact. Costs one load when they are known to be.
    ///
    /// # Errors
    /// [`TapeError::Damaged`] for a flipped bit, [`TapeError::Broken`] for a record that breaks the layout.
    #[inline]
    pub fn verify_upto(&self, section: Section, count: usize) -> Result<(), TapeError> {
        if count <= self.good_records[section as usize].load(Ordering::Acquire) {
            return Ok(());
        }
        self.verify_blocks(section, count)
    }

    #[cold]
    fn verify_blocks(&self, section: Section, count: usize) -> Result<(), TapeError> {
        let (bytes, size) = (self.section(section), section.record_bytes());
        let total = bytes.len() / size;
        let checksums = self.head.section_checksums(section);
        let first = self.good_blocks[section as usize].load(Ordering::Acquire);
        let last = (count.min(total) * size).div_ceil(BLOCK_BYTES);
        for (block, &expected) in checksums.iter().enumerate().take(last).skip(first) {
            let offset = block * BLOCK_BYTES;
            let found = crc32c::crc32c(&bytes[offset..bytes.len().min(offset + BLOCK_BYTES)]);
            if found != expected {
                return Err(TapeError::Damaged { section, offset, found, expected });
            }
        }
        let checked = self.good_records[section as usize].load(Ordering::Acquire);
        let whole = (last.max(first) * BLOCK_BYTES).min(bytes.len()) / size;
        self.check_layout(section, checked..whole.max(checked))?;
        self.good_blocks[section as usize].fetch_max(last, Ordering::Release);
        // Everything asked for is good; a count beyond the end is as good as the end.
        let good = if whole == total { usize::MAX } else { whole };
        self.good_records[section as usize].fetch_max(good, Ordering::Release);
        Ok(())
    }

    /// The layout's promises for records whose bytes are intact.
    fn check_layout(&self, section: Section, range: Range<usize>) -> Result<(), TapeError> {
        let broken = |found: Option<(usize, &'static str)>| match found {
            Some((index, reason)) => Err(TapeError::Broken { section, index, reason }),
            None => Ok(()),
        };
        let mut records = range.clone();
        match section {
            Section::Depth => broken(records.find_map(|i| Some((i, self.broken_depth(i)?)))),
            Section::Levels => broken(records.find_map(|i| Some((i, broken_level(self.levels()[i])?)))),
            Section::Trades => broken(records.find_map(|i| Some((i, self.broken_trade(i)?)))),
            Section::Funding => broken(records.find_map(|i| Some((i, self.broken_funding(i)?)))),
            Section::Orders => broken(records.find_map(|i| Some((i, self.broken_order(i)?)))),
        }
    }

    fn broken_depth(&self, index: usize) -> Option<&'static str> {
        let message = &self.depth()[index];
        let previous = index.checked_sub(1).map(|i| &self.depth()[i]);
        let first = previous.map_or(0, |p| p.first() + u64::from(p.n_bid) + u64::from(p.n_ask));
        let end = message.first() + u64::from(message.n_bid) + u64::from(message.n_ask);
        if message.first() != first || end > self.count(Section::Levels) as u64 {
            return Some("its levels do not follow those of the message before");
        }
        if message.span >> 56 > 2 {
            return Some("its kind is unknown");
        }
        if message.bid != NO_BID && message.ask != NO_ASK && message.bid >= message.ask {
            return Some("its touch is crossed");
        }
        let late = previous.is_some_and(|p| p.ts_recv > message.ts_recv || p.ts_venue > message.ts_venue);
        (late || message.ts_recv < message.ts_venue).then_some("its clock runs backwards")
    }

    fn broken_trade(&self, index: usize) -> Option<&'static str> {
        let trade = &self.trades()[index];
        let previous = index.checked_sub(1).map(|i| &self.trades()[i]);
        let depth = self.count(Section::Depth) as u64;
        if u64::from(trade.depth_before_recv) > depth || u64::from(trade.venue_rank()) > depth {
            return Some("its rank is beyond the last depth message");
        }
        if trade.tick <= 0 || trade.lots == 0 {
            return Some("its price or quantity is not positive");
        }
        let late = previous.is_some_and(|p| {
            p.ts_recv > trade.ts_recv
                || p.depth_before_recv > trade.depth_before_recv
                || p.ts_venue > trade.ts_venue
                || p.venue_rank() > trade.venue_rank()
        });
        (late || trade.ts_recv < trade.ts_venue).then_some("its clock runs backwards")
    }

    fn broken_funding(&self, index: usize) -> Option<&'static str> {
        let funding = &self.funding()[index];
        let previous = index.checked_sub(1).map(|i| &self.funding()[i]);
        let late = previous.is_some_and(|p| p.ts_recv > funding.ts_recv || p.ts_venue > funding.ts_venue);
        (late || funding.ts_recv < funding.ts_venue).then_some("its clock runs backwards")
    }

    fn broken_order(&self, index: usize) -> Option<&'static str> {
        let order = &self.orders()[index];
        let previous = index.checked_sub(1).map(|i| &self.orders()[i]);
        if order.depth as usize >= self.count(Section::Depth) {
            return Some("its depth message is beyond the last one");
        }
        if previous.is_some_and(|p| p.depth > order.depth) {
            return Some("its depth message comes before that of the order before");
        }
        order.broken()
    }

    /// Whether an order's depth message tells of its level: a snapshot does, a delta if it names that level alone.
    fn is_told(&self, order: &OrderMessage) -> bool {
        let message = &self.depth()[order.depth as usize];
        let (bids, asks) = self.levels_of(message);
        let (same, other) = if order.side() == Side::Buy { (bids, asks) } else { (asks, bids) };
        match message.kind() {
            MessageKind::Snapshot => order.kind() == OrderKind::Add,
            MessageKind::Delta => other.is_empty() && matches!(same, [level] if level.tick == order.tick),
            MessageKind::Gap => false,
        }
    }

    /// Checks every block and every record.
    ///
    /// # Errors
    /// The first fault, as [`Tape::verify_upto`].
    pub fn verify_all(&self) -> Result<(), TapeError> {
        Section::ALL.into_iter().try_for_each(|section| self.verify_upto(section, self.count(section)))?;
        let unsorted = |side: &[Level]| side.windows(2).any(|pair| pair[0].tick >= pair[1].tick);
        let found = self.depth().iter().position(|message| {
            let (bids, asks) = self.levels_of(message);
            unsorted(bids) || unsorted(asks)
        });
        if let Some(index) = found {
            let reason = "its levels do not ascend strictly";
            return Err(TapeError::Broken { section: Section::Depth, index, reason });
        }
        if let Some(index) = self.orders().iter().position(|order| !self.is_told(order)) {
            let reason = "its depth message does not tell of its level";
            return Err(TapeError::Broken { section: Section::Orders, index, reason });
        }
        Ok(())
    }

    /// Bids and asks of one message of this tape.
    #[must_use]
    pub fn levels_of(&self, message: &DepthMessage) -> (&[Level], &[Level]) {
        let (first, bids) = (message.first() as usize, message.n_bid as usize);
        let levels = &self.levels()[first..first + bids + message.n_ask as usize];
        levels.split_at(bids)
    }

    /// The whole tape as it is in a `.tape` file; nothing of one that is being written.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.image.bytes()[..self.head.file_bytes()]
    }

    pub(crate) const fn head(&self) -> &Head {
        &self.head
    }
}

const fn broken_level(level: Level) -> Option<&'static str> {
    if level.tick > 0 { None } else { Some("its price is not positive") }
}
