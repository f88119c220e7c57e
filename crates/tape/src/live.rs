//! A tape that is being written and can be read at once.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bytemuck::Pod;
use mmbot_types::{Instrument, Level, Side};

use crate::framer::{Framer, rank};
use crate::growth::{Committed, Growth, Part};
use crate::head::{Counts, Meta, SECTIONS, Section};
use crate::writer::{finish, join};
use crate::{MessageKind, Tape, TapeError, TradeMessage};

/// Trades that get their places in one go: what is copied in between stays small.
const PLACED_AT_ONCE: usize = 8_192;

/// Writes a tape into a directory, message by message, while others read it: same records, same rules as
/// [`crate::TapeWriter`], and [`LiveTape::seal`] makes the same file.
///
/// Each message is committed when its method returns, and outlives this process; what [`LiveTape::sync`] has returned
/// for outlives the machine. Memory does not grow with the tape.
pub struct LiveTape {
    growth: Arc<Growth>,
    tape: Arc<Tape>,
    framer: Framer,
    /// Bytes of each file: allocated, and written.
    allocated: [usize; 5],
    written: [usize; 5],
    generation: u64,
    /// Depth messages that precede the last placed trade in venue order.
    before: usize,
    dropped: [u64; 4],
}

/// A moment of a tape that is being written: see [`LiveTape::sync_point`].
pub struct SyncPoint {
    growth: Arc<Growth>,
    committed: Committed,
}

impl SyncPoint {
    /// Makes durable what was committed at that moment. Others may append meanwhile.
    ///
    /// # Errors
    /// [`TapeError::Io`] when the disk does not take it.
    pub fn sync(&self) -> Result<(), TapeError> {
        self.growth.sync(&self.committed)
    }
}

impl LiveTape {
    /// An empty tape of `instrument`, in a directory that this makes.
    ///
    /// # Errors
    /// [`TapeError::Format`] when the directory exists; [`TapeError::Io`].
    pub fn create(directory: impl AsRef<Path>, instrument: Instrument) -> Result<Self, TapeError> {
        let meta = Meta { instrument, counts: Counts::default() };
        let growth = Growth::create(directory.as_ref(), &meta)?;
        Ok(Self::new(growth, meta.instrument))
    }

    fn new(growth: Growth, instrument: Instrument) -> Self {
        let growth = Arc::new(growth);
        let tape = Arc::new(Tape::growing(Arc::clone(&growth), instrument));
        tape.trust();
        Self {
            growth,
            tape,
            framer: Framer::default(),
            allocated: [0; 5],
            written: [0; 5],
            generation: 0,
            before: 0,
            dropped: [0; 4],
        }
    }

    /// Takes over what a writer that is gone has left. If all that was committed is sound (and it is, unless the
    /// machine went down) that is all; else what was synced last. Trades have to be settled anew.
    ///
    /// # Errors
    /// [`TapeError::Format`] for a directory that holds no tape, or one that is being written;
    /// [`TapeError::Broken`] when not even what was synced is sound: the directory is left as it is; [`TapeError::Io`].
    pub fn recover(directory: impl AsRef<Path>) -> Result<Self, TapeError> {
        let directory = directory.as_ref();
        let (growth, Meta { instrument, .. }) = Growth::open(directory)?;
        let mut live = Self::new(growth, instrument);
        let (committed, synced) = (live.growth.committed(), live.growth.synced());
        let (kept, framer) = match live.sound(&committed) {
            Ok(framer) => (committed, framer),
            Err(_) => (synced, live.sound(&synced)?),
        };
        live.framer = framer;
        for (part, records) in Part::ALL.into_iter().zip(kept.records) {
            let bytes = records as usize * part.record_bytes();
            live.growth.cut(part, bytes).map_err(TapeError::io(directory))?;
            (live.written[part as usize], live.allocated[part as usize]) = (bytes, bytes);
        }
        live.growth.cut(Part::Placed, 0).map_err(TapeError::io(directory))?;
        live.generation = committed.generation.max(synced.generation);
        live.dropped = std::array::from_fn(|at| committed.records[at].saturating_sub(kept.records[at]));
        live.commit();
        Ok(live)
    }

    /// The framer that goes on after `committed`, if the records up to there are what a writer would have written.
    fn sound(&self, committed: &Committed) -> Result<Framer, TapeError> {
        let directory = self.growth.directory();
        if !self.growth.expose(committed.records).map_err(TapeError::io(directory))? {
            return Err(TapeError::format(directory, "a file is shorter than what was committed; restore a copy"));
        }
        // Another view than ours: that one is trusted, this one is checked.
        let tape = Tape::growing(Arc::clone(&self.growth), self.tape.instrument().clone());
        tape.verify_all()?;
        let levels = tape.depth().last().map_or(0, |m| m.first() + u64::from(m.n_bid) + u64::from(m.n_ask));
        if levels != tape.levels().len() as u64 {
            let (section, reason) = (Section::Levels, "it belongs to no depth message");
            return Err(TapeError::Broken { section, index: levels as usize, reason });
        }
        Framer::resume(&tape, committed.counts).map_err(|index| {
            let (section, reason) = (Section::Depth, "its touch is not that of its levels");
            TapeError::Broken { section, index, reason }
        })
    }

    /// The tape, as far as it is written: it grows while others hold it, and stays readable when this is gone.
    #[must_use]
    pub fn tape(&self) -> &Arc<Tape> {
        &self.tape
    }

    /// Where its files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.growth.directory()
    }

    /// The book after the last message, bids and asks ascending; none while it is unknown. With it another tape can go
    /// on where this one ends.
    #[must_use]
    pub fn book(&self) -> Option<[Vec<Level>; 2]> {
        self.framer.book()
    }

    /// Bytes of records written.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.written.iter().sum()
    }

    /// Messages that came after their time had been settled, and were moved behind it.
    #[must_use]
    pub const fn late(&self) -> u64 {
        self.framer.late
    }

    /// Records that were committed and are lost, after [`Self::recover`]: depth, levels, trades, funding.
    #[must_use]
    pub const fn dropped(&self) -> [u64; 4] {
        self.dropped
    }

    /// Adds a book message, as [`crate::TapeWriter::depth`].
    ///
    /// # Errors
    /// [`TapeError::Unfit`] for a negative time or a price that is not positive; [`TapeError::Io`] when the disk is
    /// full. Nothing is added then, and the tape is as sound as before.
    pub fn depth(
        &mut self,
        ts_recv: i64,
        ts_venue: i64,
        kind: MessageKind,
        bids: &[Level],
        asks: &[Level],
    ) -> Result<(), TapeError> {
        self.make_room(Part::Levels, bids.len() + asks.len())?;
        self.make_room(Part::Depth, 1)?;
        let message = self.framer.depth(ts_recv, ts_venue, kind, bids, asks)?;
        let (bids, asks) = (std::mem::take(&mut self.framer.bids), std::mem::take(&mut self.framer.asks));
        self.push(Part::Levels, &bids);
        self.push(Part::Levels, &asks);
        self.push(Part::Depth, &[message]);
        (self.framer.bids, self.framer.asks) = (bids, asks);
        self.commit();
        Ok(())
    }

    /// Adds a public trade.
    ///
    /// # Errors
    /// [`TapeError::Unfit`] for a negative time, a price that is not positive, or zero lots; [`TapeError::Io`] as
    /// [`Self::depth`].
    pub fn trade(&mut self, ts_recv: i64, ts_venue: i64, level: Level, aggressor: Side) -> Result<(), TapeError> {
        self.make_room(Part::Trades, 1)?;
        let mut trade = self.framer.trade(ts_recv, ts_venue, level, aggressor)?;
        trade.depth_before_venue = TradeMessage::pack(trade.depth_before_recv, aggressor);
        self.push(Part::Trades, &[trade]);
        self.commit();
        Ok(())
    }

    /// Adds a funding settlement: `rate` in 10^-8, `mark` in ticks.
    ///
    /// # Errors
    /// [`TapeError::Unfit`] for a negative time; [`TapeError::Io`] as [`Self::depth`].
    pub fn funding(&mut self, ts_recv: i64, ts_venue: i64, rate: i64, mark: i64) -> Result<(), TapeError> {
        self.make_room(Part::Funding, 1)?;
        let record = self.framer.funding(ts_recv, ts_venue, rate, mark)?;
        self.push(Part::Funding, &[record]);
        self.commit();
        Ok(())
    }

    /// Says that everything that happened at the venue up to `ts_venue` has come, and gives the trades up to there
    /// their places among the depth messages. What comes late is moved behind that time, and counted.
    ///
    /// # Errors
    /// [`TapeError::Io`] when the disk is full: the time is not settled for readers then.
    pub fn settle(&mut self, ts_venue: i64) -> Result<(), TapeError> {
        self.framer.settle(ts_venue);
        let tape = Arc::clone(&self.tape);
        loop {
            let placed = tape.placed_trades().len();
            let waiting = &tape.trades()[placed..];
            let due = waiting.partition_point(|trade| trade.ts_venue <= ts_venue).min(PLACED_AT_ONCE);
            if due == 0 {
                break;
            }
            self.make_room(Part::Placed, due)?;
            let mut due = waiting[..due].to_vec();
            rank(tape.depth(), &mut due, &mut self.before);
            self.push(Part::Placed, &due);
            if due.len() == PLACED_AT_ONCE {
                self.growth.release(Part::Depth, self.before * Part::Depth.record_bytes())?;
                self.growth.release(Part::Trades, placed * Part::Trades.record_bytes())?;
            }
        }
        self.growth.settle(ts_venue);
        Ok(())
    }

    /// What is committed now, to be made durable while others append: [`SyncPoint::sync`].
    #[must_use]
    pub fn sync_point(&self) -> SyncPoint {
        SyncPoint { growth: Arc::clone(&self.growth), committed: self.committed() }
    }

    /// Makes durable what is committed.
    ///
    /// # Errors
    /// [`TapeError::Io`] when the disk does not take it.
    pub fn sync(&self) -> Result<(), TapeError> {
        self.sync_point().sync()
    }

    /// Joins it into an ordinary tape under `target` (packed if the name ends in `.tapez`), durably, and removes the
    /// directory. What is later than the last [`Self::settle`] is settled.
    ///
    /// # Errors
    /// [`TapeError::Io`] when the disk does not take it: the directory is then as it was, and [`Self::recover`] opens
    /// it again.
    pub fn seal(mut self, target: impl AsRef<Path>) -> Result<(), TapeError> {
        self.settle(i64::MAX)?;
        let target = target.as_ref();
        let meta = Meta { instrument: self.tape.instrument().clone(), counts: self.framer.counts };
        let parts = [Part::Depth, Part::Levels, Part::Placed, Part::Funding];
        let join = || {
            let [depth, levels, trades, funding] = parts.map(|part| self.growth.reader(part));
            let (mut depth, mut levels, mut trades, mut funding) = (depth?, levels?, trades?, funding?);
            let sections: [&mut dyn Read; SECTIONS] =
                [&mut depth, &mut levels, &mut trades, &mut funding, &mut io::empty()];
            let mut records = [0; SECTIONS];
            for (count, part) in records.iter_mut().zip(parts) {
                *count = self.written[part as usize] / part.record_bytes();
            }
            join(target, meta, records, sections)
        };
        finish(join().map_err(TapeError::io(target))?, target)?;
        self.growth.remove()
    }

    #[inline]
    fn make_room(&mut self, part: Part, records: usize) -> Result<(), TapeError> {
        let needed = self.written[part as usize] + records * part.record_bytes();
        if needed <= self.allocated[part as usize] {
            return Ok(());
        }
        self.allocated[part as usize] = self.growth.grow(part, self.allocated[part as usize], needed)?;
        Ok(())
    }

    /// Writes records for which there is room, and lets readers see them.
    #[inline]
    fn push<T: Pod>(&mut self, part: Part, records: &[T]) {
        let (at, bytes) = (self.written[part as usize], bytemuck::cast_slice(records));
        assert!(at + bytes.len() <= self.allocated[part as usize], "room is made before a record is written");
        // SAFETY: we are the only writer (`&mut self`, and the files are locked), and there is room.
        unsafe { self.growth.write(part, at, bytes) };
        self.written[part as usize] = at + bytes.len();
        self.growth.publish(part, at + bytes.len());
    }

    fn committed(&self) -> Committed {
        let records = [Part::Depth, Part::Levels, Part::Trades, Part::Funding]
            .map(|part| (self.written[part as usize] / part.record_bytes()) as u64);
        Committed { generation: self.generation, records, counts: self.framer.counts }
    }

    #[inline]
    fn commit(&mut self) {
        self.generation += 1;
        self.growth.commit(&self.committed());
    }
}
