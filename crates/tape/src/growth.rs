//! The files of a tape that is being written: mapped once with room to grow, so that what was written never moves.
//!
//! ```text
//! DIR/state                  4096 bytes of slots, then the meta (JSON)
//! DIR/depth levels trades funding      records, as in the open form; the file is longer than what is committed
//! DIR/placed                 the first of the trades again, with their places in venue order
//! ```
//! A record is written once, beyond what is committed, and then the count is raised: whoever reads the committed part
//! never sees a byte change. That is why trades are written a second time when their places are known.
//!
//! Space is allocated before it is mapped into use, so a full disk is an error of that call and not a SIGBUS. Not
//! handled: a file system that allocates anew when it rewrites a block (btrfs, ZFS) and is full; a program that
//! truncates the files.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Take};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};
use rustix::fs::{FallocateFlags, fallocate};

use crate::head::{Counts, Meta, ORDER_MARK, Section};
use crate::{TapeError, TradeMessage};

/// The files with records: the four sections of a tape by level, and the trades that have their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Depth,
    Levels,
    Trades,
    Funding,
    Placed,
}

impl Part {
    pub const ALL: [Self; 5] = [Self::Depth, Self::Levels, Self::Trades, Self::Funding, Self::Placed];

    const fn name(self) -> &'static str {
        match self {
            Self::Depth => "depth",
            Self::Levels => "levels",
            Self::Trades => "trades",
            Self::Funding => "funding",
            Self::Placed => "placed",
        }
    }

    const fn section(self) -> Section {
        match self {
            Self::Depth => Section::Depth,
            Self::Levels => Section::Levels,
            Self::Trades | Self::Placed => Section::Trades,
            Self::Funding => Section::Funding,
        }
    }

    /// Bytes of one record.
    pub const fn record_bytes(self) -> usize {
        self.section().record_bytes()
    }
}

/// Address space set aside for each file: 1.7 billion depth messages. It costs nothing until it is used.
pub(crate) const RESERVED: usize = 1 << 36;
/// A file grows by its own length, within these bounds.
const GROWTH: (usize, usize) = (1 << 16, 1 << 22);

/// One file of records.
struct Store {
    file: File,
    map: MmapRaw,
    /// Bytes that are committed.
    committed: AtomicUsize,
}

impl Store {
    fn new(file: File) -> io::Result<Self> {
        let map = MmapOptions::new().len(RESERVED).map_raw(&file)?;
        Ok(Self { file, map, committed: AtomicUsize::new(0) })
    }

    fn bytes(&self) -> &[u8] {
        let committed = self.committed.load(Ordering::Acquire);
        // SAFETY: the committed bytes are mapped, were written before the count was raised, and never change.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr(), committed) }
    }
}

/// What is committed: how many records of each section, and what their writer had met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Committed {
    /// Counts up from one; the slot with the higher one is the later.
    pub generation: u64,
    /// Depth, levels, trades, funding.
    pub records: [u64; 4],
    pub counts: Counts,
}

const WORDS: usize = 12;

impl Committed {
    fn words(&self) -> [u64; WORDS] {
        let Self { generation, records: [depth, levels, trades, funding], counts } = *self;
        let Counts { snapshots, gaps, crossed, repeated_levels, recv_corrections, venue_corrections } = counts;
        let mut words = [
            generation,
            depth,
            levels,
            trades,
            funding,
            snapshots,
            gaps,
            crossed,
            repeated_levels,
            recv_corrections,
            venue_corrections,
            0,
        ];
        words[WORDS - 1] = checksum(&words);
        words
    }

    fn from_words(words: &[u64; WORDS]) -> Option<Self> {
        let &[
            generation,
            depth,
            levels,
            trades,
            funding,
            snapshots,
            gaps,
            crossed,
            repeated_levels,
            recv_corrections,
            venue_corrections,
            found,
        ] = words;
        let counts = Counts { snapshots, gaps, crossed, repeated_levels, recv_corrections, venue_corrections };
        let records = [depth, levels, trades, funding];
        (found == checksum(words) && generation > 0).then_some(Self { generation, records, counts })
    }
}

fn checksum(words: &[u64; WORDS]) -> u64 {
    u64::from(crc32c::crc32c(bytemuck::cast_slice(&words[..WORDS - 1])))
}

/// Whose counts: those of every append, or those of the last [`Growth::sync`], which are on the disk.
#[derive(Clone, Copy)]
pub(crate) enum Said {
    Appended,
    Synced,
}

const MAGIC: [u8; 8] = *b"mmblive\0";
const VERSION: u32 = 1;
const STATE_BYTES: usize = 4096;

/// The state file. Of each kind of count there are two slots, written in turn: one of them is whole at any instant.
struct State {
    file: File,
    map: MmapRaw,
}

impl State {
    /// The words of a slot; each slot lies in a sector of its own.
    fn slot(&self, said: Said, generation: u64) -> [&AtomicU64; WORDS] {
        let sector = 1 + 2 * said as usize + (generation % 2) as usize;
        std::array::from_fn(|word| {
            // SAFETY: within the mapped page, aligned, and only ever used as an atomic.
            unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(512 * sector + 8 * word).cast()) }
        })
    }

    fn write(&self, said: Said, committed: &Committed) {
        let slot = self.slot(said, committed.generation);
        fence(Ordering::Release);
        for (cell, word) in slot.into_iter().zip(committed.words()) {
            cell.store(word, Ordering::Relaxed);
        }
        fence(Ordering::Release);
    }

    /// The latest whole slot, if there is one.
    fn read(&self, said: Said) -> Option<Committed> {
        let read =
            |generation| Committed::from_words(&self.slot(said, generation).map(|cell| cell.load(Ordering::Acquire)));
        [read(0), read(1)].into_iter().flatten().max_by_key(|committed| committed.generation)
    }
}

/// The files of a tape that is being written. There is one writer; anybody may read what is committed.
pub(crate) struct Growth {
    directory: PathBuf,
    stores: [Store; 5],
    state: State,
    settled: AtomicI64,
    syncing: Mutex<()>,
}

impl Growth {
    /// New files in a directory that this makes.
    pub fn create(directory: &Path, meta: &Meta) -> Result<Self, TapeError> {
        if directory.exists() {
            let reason = "exists already: recover what is in it, or choose another name";
            return Err(TapeError::format(directory, reason));
        }
        let meta = serde_json::to_vec(meta).map_err(|error| TapeError::format(directory, error.to_string()))?;
        let create = || {
            std::fs::create_dir(directory)?;
            let open = |name| OpenOptions::new().read(true).write(true).create_new(true).open(directory.join(name));
            let stores = [open("depth")?, open("levels")?, open("trades")?, open("funding")?, open("placed")?];
            let mut head = vec![0; STATE_BYTES];
            head[..8].copy_from_slice(&MAGIC);
            let words = [VERSION, ORDER_MARK, meta.len() as u32, crc32c::crc32c(&meta)];
            head[8..24].copy_from_slice(bytemuck::cast_slice(&words));
            head.extend(&meta);
            // It comes last and whole: where there is a state, there are all the files.
            let (begun, state) = (directory.join("state.partial"), directory.join("state"));
            std::fs::write(&begun, head)?;
            std::fs::rename(&begun, &state)?;
            Ok((stores, OpenOptions::new().read(true).write(true).open(state)?))
        };
        let (stores, state) = create().map_err(TapeError::io(directory))?;
        Self::new(directory, stores, state)
    }

    /// The files of a writer that is gone, with nothing committed as yet, and their meta.
    pub fn open(directory: &Path) -> Result<(Self, Meta), TapeError> {
        let never_begun =
            || TapeError::format(directory, "holds no state, so nothing was ever made durable here; remove it");
        let open = |name| OpenOptions::new().read(true).write(true).open(directory.join(name));
        let state = match open("state") {
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory.is_dir() => {
                return Err(never_begun());
            }
            opened => opened.map_err(TapeError::io(directory))?,
        };
        let head = std::fs::read(directory.join("state")).map_err(TapeError::io(directory))?;
        if head.iter().all(|&byte| byte == 0) {
            return Err(never_begun()); // the machine went down before the first sync
        }
        let meta = decode_state(&head).map_err(|reason| TapeError::format(&directory.join("state"), reason))?;
        let parts =
            || io::Result::Ok([open("depth")?, open("levels")?, open("trades")?, open("funding")?, open("placed")?]);
        let parts = parts().map_err(TapeError::io(directory))?;
        Ok((Self::new(directory, parts, state)?, meta))
    }

    fn new(directory: &Path, stores: [File; 5], state: File) -> Result<Self, TapeError> {
        if state.try_lock().is_err() {
            let reason = "is being written by somebody else; stop that writer first";
            return Err(TapeError::format(directory, reason));
        }
        let [depth, levels, trades, funding, placed] = stores.map(Store::new);
        let map = MmapOptions::new().len(STATE_BYTES).map_raw(&state);
        (|| {
            let stores = [depth?, levels?, trades?, funding?, placed?];
            let state = State { file: state, map: map? };
            let settled = AtomicI64::new(i64::MIN);
            Ok(Self { directory: directory.to_path_buf(), stores, state, settled, syncing: Mutex::new(()) })
        })()
        .map_err(TapeError::io(directory))
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The committed records of a section; a tape that grows has none by order.
    pub fn section(&self, section: Section) -> &[u8] {
        let part = match section {
            Section::Depth => Part::Depth,
            Section::Levels => Part::Levels,
            Section::Trades => Part::Trades,
            Section::Funding => Part::Funding,
            Section::Orders => return bytemuck::cast_slice::<u64, u8>(&[]), // none, and aligned as records are
        };
        self.stores[part as usize].bytes()
    }

    /// The trades that have their place in venue order.
    pub fn placed(&self) -> &[TradeMessage] {
        bytemuck::cast_slice(self.stores[Part::Placed as usize].bytes())
    }

    /// See [`crate::Tape::settled`].
    pub fn settled(&self) -> i64 {
        self.settled.load(Ordering::Acquire)
    }

    pub fn settle(&self, ts_venue: i64) {
        self.settled.fetch_max(ts_venue, Ordering::Release);
    }

    /// What was committed last.
    pub fn committed(&self) -> Committed {
        self.state.read(Said::Appended).unwrap_or_default()
    }

    /// What was on the disk last.
    pub fn synced(&self) -> Committed {
        self.state.read(Said::Synced).unwrap_or_default()
    }

    /// Says what is committed. The records are there before the words are.
    pub fn commit(&self, committed: &Committed) {
        self.state.write(Said::Appended, committed);
    }

    /// Lengthens a file that holds `capacity` bytes to at least `needed`, and says how long it is then.
    pub fn grow(&self, part: Part, capacity: usize, needed: usize) -> Result<usize, TapeError> {
        let (store, path) = (&self.stores[part as usize], self.directory.join(part.name()));
        let grown = needed.max(capacity + capacity.clamp(GROWTH.0, GROWTH.1)).next_multiple_of(GROWTH.0);
        if grown > RESERVED {
            return Err(TapeError::format(&path, "is full: seal this tape and go on with another one"));
        }
        allocate(&store.file, capacity, grown - capacity).map_err(TapeError::io(&path))?;
        self.release(part, capacity.saturating_sub(GROWTH.1))?;
        Ok(grown)
    }

    /// Gives the pages of the first `bytes` back to the system, so that our memory does not grow with the tape: what
    /// was written long ago is read seldom.
    pub fn release(&self, part: Part, bytes: usize) -> Result<(), TapeError> {
        let map = &self.stores[part as usize].map;
        // SAFETY: of a shared file the pages come back as they were when somebody reads them.
        let released = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, 0, bytes) };
        released.map_err(TapeError::io(&self.directory.join(part.name())))
    }

    /// Reads the committed part of a file from its start, by the side of the map.
    pub fn reader(&self, part: Part) -> io::Result<Take<&File>> {
        let store = &self.stores[part as usize];
        let mut file = &store.file;
        file.rewind()?;
        Ok(file.take(store.committed.load(Ordering::Acquire) as u64))
    }

    /// Cuts a file to `bytes`, all of it committed.
    pub fn cut(&self, part: Part, bytes: usize) -> io::Result<()> {
        let store = &self.stores[part as usize];
        store.file.set_len(bytes as u64)?;
        store.committed.store(bytes, Ordering::Release);
        Ok(())
    }

    /// Calls the first records of each section committed, if the files are long enough.
    pub fn expose(&self, records: [u64; 4]) -> io::Result<bool> {
        for (part, records) in Part::ALL.into_iter().zip(records) {
            let store = &self.stores[part as usize];
            let length = store.file.metadata()?.len();
            let Some(bytes) = records.checked_mul(part.record_bytes() as u64).filter(|bytes| *bytes <= length) else {
                return Ok(false);
            };
            store.committed.store(bytes as usize, Ordering::Release);
        }
        Ok(true)
    }

    /// Writes at `at`, beyond what is committed.
    ///
    /// # Safety
    /// There is one writer, `at` is not below what is committed, and [`Self::grow`] has made room.
    pub unsafe fn write(&self, part: Part, at: usize, bytes: &[u8]) {
        let store = &self.stores[part as usize];
        // SAFETY: the caller's; nobody reads beyond what is committed.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), store.map.as_mut_ptr().add(at), bytes.len()) };
    }

    /// Lets readers see what was written up to `bytes`.
    pub fn publish(&self, part: Part, bytes: usize) {
        self.stores[part as usize].committed.store(bytes, Ordering::Release);
    }

    /// Makes `committed` durable, which may take a while: data first, then the word about it.
    pub fn sync(&self, committed: &Committed) -> Result<(), TapeError> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let synced = self.synced();
        if synced.records == committed.records {
            return Ok(());
        }
        let flush = || {
            self.stores[..4].iter().try_for_each(|store| store.file.sync_data())?;
            if synced.generation == 0 {
                self.state.file.sync_all()?;
                File::open(&self.directory)?.sync_all()?;
                File::open(crate::writer::directory(&self.directory))?.sync_all()?;
            }
            self.state.write(Said::Synced, &Committed { generation: synced.generation + 1, ..*committed });
            self.state.file.sync_data()
        };
        flush().map_err(TapeError::io(&self.directory))
    }

    /// Removes the files: what is mapped stays readable. The state goes first, see [`Self::create`].
    pub fn remove(&self) -> Result<(), TapeError> {
        let names = ["state"].into_iter().chain(Part::ALL.map(Part::name));
        let remove = || {
            names.into_iter().try_for_each(|name| std::fs::remove_file(self.directory.join(name)))?;
            std::fs::remove_dir(&self.directory)
        };
        remove().map_err(TapeError::io(&self.directory))
    }
}

/// Gives a file `more` bytes after its first `from`: allocated, so that writing to the map can not fail.
fn allocate(file: &File, from: usize, more: usize) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), from as u64, more as u64) {
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let zeros = vec![0; GROWTH.0];
            (from..from + more).step_by(GROWTH.0).try_for_each(|at| file.write_all_at(&zeros, at as u64))
        }
        done => Ok(done?),
    }
}

fn decode_state(head: &[u8]) -> Result<Meta, &'static str> {
    if head.len() < STATE_BYTES || !head.starts_with(&MAGIC) {
        return Err("is no state of a tape that is being written; the directory is another program's, or damaged");
    }
    let word = |at: usize| head[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
    if (word(8), word(12)) != (VERSION, ORDER_MARK) {
        return Err("was written by another version of mmbot, or with another byte order; recover it with that one");
    }
    let meta = head.get(STATE_BYTES..STATE_BYTES + word(16) as usize).filter(|meta| crc32c::crc32c(meta) == word(20));
    serde_json::from_slice(meta.unwrap_or_default()).map_err(|_| "names no instrument that can be read: it is damaged")
}
