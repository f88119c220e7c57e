//! The one writer: records are gathered in memory, written by one call, made durable by one more.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mmbot_types::Nanos;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use thiserror::Error;

use crate::check::{Checker, Difference};
use crate::entry::{Entry, Kind};
use crate::frame::{self, Chain, Head, MAX_PAYLOAD, V2};
use crate::reader::{Fault, Reader};

/// What is gathered before it is written without being asked to.
const GATHERED_MAX: usize = 256 << 10;
/// Room is set aside in steps of this size, or of the reserve's if that is smaller.
const STEP_MAX: u64 = 1 << 20;

/// How a journal lies on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// A segment that has so many bytes gets no more records.
    pub bytes: u64,
    /// Nor one that has so many records.
    pub records: u64,
    /// Bytes that are always set aside beyond what is written: for the cancels, halts and facts of a run that has met a
    /// full disk.
    pub reserve: u64,
}

impl Segments {
    /// What is set aside where `used` bytes are used.
    fn room(&self, used: u64) -> u64 {
        used + self.reserve + self.reserve.clamp(1, STEP_MAX)
    }
}

impl Default for Segments {
    /// 64 MiB, 65,536 records, and a reserve for some 30,000 cancels and their answers.
    fn default() -> Self {
        Self { bytes: 64 << 20, records: 65_536, reserve: 4 << 20 }
    }
}

/// Why nothing more can be written down.
#[derive(Clone, Debug, Error)]
pub enum JournalError {
    /// The disk refused once. What is on it is good up to the last whole record; nothing is tried again, because after
    /// a failed write or sync nobody knows what the disk holds.
    #[error("the journal is dead since {0}; stop sending orders, cancel, and start a new run on a healthy disk")]
    Dead(String),
    /// The disk is full. What a run needs to get out (cancels, halts, facts, notes) is still taken, into the reserve;
    /// the strategy is not asked any more, so that nothing new begins.
    #[error(
        "the journal has met a full disk ({0}): nothing new begins, the way out is still written down; cancel, end the \
         run, make room, and start a new one"
    )]
    Full(String),
    /// The file could not be made.
    #[error("{path}: {reason}")]
    Create {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// An entry that no record can hold.
    #[error("an entry of {bytes} bytes; a record holds at most {MAX_PAYLOAD}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A replay did something else than the journal says.
    #[error(transparent)]
    Differs(Box<Difference>),
    /// The journal that a replay is compared with cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What the writer needs of a disk; a file, or what a test puts in its place.
pub trait Disk: Send + Sync {
    /// Writes some of `bytes` at the end and says how many.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Returns when everything written is durable.
    ///
    /// # Errors
    /// Whatever the disk says; after one, what is durable is unknown.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to `bytes`.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Sets room aside, so that the first so many bytes of the file can be written on a full disk too; the
    /// default is a disk that promises nothing.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn allocate(&self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }
    /// Begins segment `segment` in a place of its own: `head` is durable there when this returns, and so is the place's
    /// name. None, the default: it goes on in this one.
    ///
    /// # Errors
    /// Whatever the disk says; the segment is then not there.
    fn next(&self, _segment: u64, _head: &[u8], _room: u64) -> io::Result<Option<Arc<dyn Disk>>> {
        Ok(None)
    }
}

/// One segment's file. Each has its own: a file in which a sync failed is never written again.
struct SegmentFile {
    file: File,
    /// Of the first segment.
    base: PathBuf,
}

/// Where a segment of the journal at `base` lies: `journal.mmj`, `journal.1.mmj`, `journal.2.mmj`, …
pub(crate) fn segment_path(base: &Path, segment: u64) -> PathBuf {
    if segment == 0 {
        return base.to_path_buf();
    }
    let [stem, ending] = [base.file_stem(), base.extension()].map(|part| part.unwrap_or_default().to_string_lossy());
    base.with_file_name(format!("{stem}.{segment}.{ending}"))
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl SegmentFile {
    /// Room, bytes, name: durable in this order. A file that could not be made so is removed.
    fn create(base: &Path, segment: u64, head: &[u8], room: u64) -> io::Result<Self> {
        let path = segment_path(base, segment);
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        let made = Self { file, base: base.to_path_buf() };
        let done = made.allocate(room).and_then(|()| (&made.file).write_all(head)).and_then(|()| made.sync());
        let done = done.and_then(|()| File::open(folder_of(base))?.sync_all());
        match done {
            Ok(()) => Ok(made),
            Err(error) => Err(std::fs::remove_file(&path).err().unwrap_or(error)),
        }
    }
}

impl Disk for SegmentFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.file).write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()), // then a full disk is met by a write, and is the end
            done => Ok(done?),
        }
    }

    fn next(&self, segment: u64, head: &[u8], room: u64) -> io::Result<Option<Arc<dyn Disk>>> {
        Ok(Some(Arc::new(Self::create(&self.base, segment, head, room)?)))
    }
}

/// No room: by the disk, a quota, or a limit on the size of files.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

struct Writer {
    disk: Arc<dyn Disk>,
    segments: Segments,
    gathered: Vec<u8>,
    /// Bytes of whole records and heads that the disk has taken.
    taken: u64,
    /// Of those, the ones before this segment.
    earlier: u64,
    /// Bytes that the disk has set aside, from its beginning on.
    room: u64,
    segment: u64,
    /// Number of the segment's first record.
    first: u64,
    seq: u64,
    chain: Chain,
    /// What the next record follows: the chain, or the head of a segment that has no record yet.
    before: Chain,
    /// Records and chain value as of the last flush or sync that was asked for and went well.
    acknowledged: (u64, Chain),
    /// Somebody begins segments with snapshots; without one they are begun when they have twice their size.
    awaited: bool,
    /// The newest note of each topic, with its time.
    notes: BTreeMap<String, (Nanos, String)>,
    full: Option<String>,
    dead: Option<String>,
}

impl Writer {
    /// On a disk with nothing in it, or with the first head and room for `room` bytes.
    fn new(disk: Arc<dyn Disk>, segments: Segments, begun: Option<u64>) -> Self {
        let (head, chain) = (frame::head(FIRST), [0; 32]);
        let before = V2.opening(&head, chain);
        let (gathered, taken) = if begun.is_some() { (Vec::new(), head.len() as u64) } else { (head, 0) };
        Self {
            disk,
            segments,
            gathered,
            taken,
            earlier: 0,
            room: begun.unwrap_or(0),
            segment: 0,
            first: 0,
            seq: 0,
            chain,
            before,
            acknowledged: (0, chain),
            awaited: false,
            notes: BTreeMap::new(),
            full: None,
            dead: None,
        }
    }

    fn alive(&self) -> Result<(), JournalError> {
        self.dead.as_ref().map_or(Ok(()), |why| Err(JournalError::Dead(why.clone())))
    }

    fn append(&mut self, time: Nanos, entry: &Entry<'_>) -> Result<(), JournalError> {
        self.alive()?;
        self.make_room(entry.kind())?;
        let start = self.gathered.len();
        self.gathered.resize(start + V2.record(), 0);
        entry.encode(&mut self.gathered);
        let bytes = self.gathered.len() - start - V2.record();
        if bytes > MAX_PAYLOAD {
            self.gathered.truncate(start);
            return Err(JournalError::TooLarge { bytes });
        }
        let record = &mut self.gathered[start..];
        self.chain = frame::complete(record, self.seq, time.0, entry.kind() as u16, self.before);
        self.before = self.chain;
        self.seq += 1;
        if let Entry::Note { topic, text } = *entry {
            self.notes.insert(topic.to_owned(), (time, text.to_owned()));
        }
        if self.gathered.len() > GATHERED_MAX { self.flush() } else { Ok(()) }
    }

    /// Before an entry: a segment for it, and the reserve behind it.
    ///
    /// On a full disk the **wake** is refused, and nothing else. Every order follows from what a strategy says when it
    /// is woken, so nothing new begins; what follows from a wake that was taken is written whole, so that no replay
    /// finds half of it; and the way out has the reserve.
    fn make_room(&mut self, kind: Kind) -> Result<(), JournalError> {
        if self.full.is_none() {
            if self.segment_has(if self.awaited { 2 } else { 1 }) {
                self.rotate()?;
            }
            let used = self.taken + self.gathered.len() as u64;
            if self.full.is_none() && used + self.segments.reserve > self.room {
                let room = self.segments.room(used);
                match self.disk.allocate(room) {
                    Ok(()) => self.room = room,
                    Err(error) if is_full(&error) => self.full = Some(error.to_string()),
                    Err(error) => return Err(self.die("setting room aside", &error)),
                }
            }
        }
        match &self.full {
            Some(why) if kind == Kind::Wake => Err(JournalError::Full(why.clone())),
            _ => Ok(()),
        }
    }

    /// Whether the segment has so many times its size.
    fn segment_has(&self, times: u64) -> bool {
        let bytes = self.taken - self.earlier + self.gathered.len() as u64;
        let size = |of: u64| of.max(1).saturating_mul(times);
        bytes >= size(self.segments.bytes) || self.seq - self.first >= size(self.segments.records)
    }

    /// Begins a segment with a snapshot and the newest note of each topic; nothing on a full disk.
    fn begin_segment(&mut self, time: Nanos, snapshot: &Entry<'_>) -> Result<bool, JournalError> {
        self.alive()?;
        if self.full.is_none() {
            self.rotate()?;
        }
        if self.full.is_some() {
            return Ok(false); // the old segment and its reserve serve on
        }
        self.append(time, snapshot)?;
        let notes = std::mem::take(&mut self.notes);
        let carried = notes
            .iter()
            .try_for_each(|(topic, (at, text))| self.append(time, &Entry::Carried { at: *at, topic, text }));
        self.notes = notes;
        carried.map(|()| true)
    }

    /// Closes the segment, durably, and begins the next one, whose head names what it follows.
    fn rotate(&mut self) -> Result<(), JournalError> {
        if self.seq == self.first {
            return Ok(()); // nothing in it yet
        }
        self.flush()?;
        if let Err(error) = self.disk.sync() {
            return Err(self.die("an fdatasync", &error));
        }
        let of = Head { segment: self.segment + 1, first: self.seq, before: self.chain };
        let head = frame::head(of);
        let room = self.segments.room(head.len() as u64);
        match self.disk.next(of.segment, &head, room) {
            Ok(Some(disk)) => {
                if let Err(error) = self.disk.truncate(self.taken) {
                    return Err(self.die("giving back what was set aside", &error));
                }
                (self.disk, self.earlier, self.taken, self.room) = (disk, 0, head.len() as u64, room);
            }
            Ok(None) => {
                self.earlier = self.taken;
                self.gathered.extend_from_slice(&head);
            }
            Err(error) if is_full(&error) => {
                self.full = Some(error.to_string()); // the old segment and its reserve serve on
                return Ok(());
            }
            Err(error) => return Err(self.die("beginning a segment", &error)),
        }
        (self.segment, self.first) = (of.segment, of.first);
        self.before = V2.opening(&head, self.chain);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        self.alive()?;
        let mut rest = &self.gathered[..];
        while !rest.is_empty() {
            match self.disk.write(rest) {
                Ok(0) => return Err(self.die("a write", &io::Error::from(ErrorKind::WriteZero))),
                Ok(some) => rest = &rest[some..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.die("a write", &error)),
            }
        }
        self.taken += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }

    /// The end: what was written in part is cut off, so that not even a reader in a hurry meets it. If the cut fails
    /// too, the torn record is there and every reader recognises it.
    fn die(&mut self, what: &str, error: &io::Error) -> JournalError {
        let cut = self.disk.truncate(self.taken);
        let cut =
            cut.map_or_else(|error| format!(", and the torn end could not be cut off ({error})"), |()| String::new());
        let why = format!("{what} failed: {error}{cut}");
        self.gathered = Vec::new();
        JournalError::Dead(self.dead.insert(why).clone())
    }
}

const FIRST: Head = Head { segment: 0, first: 0, before: [0; 32] };

enum Sink {
    Write(Box<Writer>),
    Check(Box<Checker>),
}

/// A journal being written: a handle that several hands may hold, each call one at a time.
///
/// [`Journal::check`] makes one that writes nothing and compares instead: a replay appends what it does, and the first
/// entry that is not the recorded one is an error.
#[derive(Clone)]
pub struct Journal(Arc<Mutex<Sink>>);

impl Journal {
    /// A new journal in new files; its first entry, `start`, is durable when this returns, and so is the file's name.
    /// Later segments lie beside the first: `journal.mmj`, `journal.1.mmj`, …
    ///
    /// # Errors
    /// [`JournalError::Create`] when the file exists already, cannot be made durable, or finds no room for the reserve.
    pub fn create(path: impl AsRef<Path>, segments: Segments, time: Nanos, start: &str) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let failed =
            |error: io::Error| JournalError::Create { path: path.display().to_string(), reason: error.to_string() };
        let head = frame::head(FIRST);
        let room = segments.room(head.len() as u64);
        let file = SegmentFile::create(path, 0, &head, room).map_err(failed)?;
        let journal = Self::writes(Writer::new(Arc::new(file), segments, Some(room)));
        journal.append(time, &Entry::RunStart(start))?;
        journal.sync()?;
        Ok(journal)
    }

    /// A new journal on any disk, with nothing in it yet.
    #[must_use]
    pub fn on(disk: Arc<dyn Disk>) -> Self {
        Self::in_segments(disk, Segments::default())
    }

    /// As [`Journal::on`], in segments of another size.
    #[must_use]
    pub fn in_segments(disk: Arc<dyn Disk>, segments: Segments) -> Self {
        Self::writes(Writer::new(disk, segments, None))
    }

    fn writes(writer: Writer) -> Self {
        Self(Arc::new(Mutex::new(Sink::Write(Box::new(writer)))))
    }

    /// Compares instead of writing: with what `reader` reads from here on. Entries that a driver does not write itself
    /// (start, notes, end) are passed over.
    #[must_use]
    pub fn check(reader: Reader) -> Self {
        Self(Arc::new(Mutex::new(Sink::Check(Box::new(Checker::new(reader))))))
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // a panicking writer has left whole records behind
    }

    /// Gathers an entry. It is on the disk after [`Journal::flush`], and safe there after [`Journal::sync`].
    ///
    /// # Errors
    /// [`JournalError`]; [`JournalError::Full`] for a wake alone.
    pub fn append(&self, time: Nanos, entry: &Entry<'_>) -> Result<(), JournalError> {
        match &mut *self.sink() {
            Sink::Write(writer) => writer.append(time, entry),
            Sink::Check(checker) => checker.append(time, entry),
        }
    }

    /// From here on whoever calls this begins the segments, with snapshots: they grow to twice their size before one is
    /// begun without.
    pub fn await_snapshots(&self) {
        if let Sink::Write(writer) = &mut *self.sink() {
            writer.awaited = true;
        }
    }

    /// Tells whether the moment for a snapshot has come: the segment is full, or the recorded run made one here.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        match &mut *self.sink() {
            Sink::Write(writer) => writer.full.is_none() && writer.segment_has(1),
            Sink::Check(checker) => checker.snapshot_is_next(),
        }
    }

    /// Begins a segment with a snapshot, from which a reader can then begin; the newest note of each topic follows.
    /// False on a full disk: nothing was written.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn begin_segment(&self, time: Nanos, halted: bool, text: &str) -> Result<bool, JournalError> {
        let snapshot = Entry::Snapshot { halted, text };
        match &mut *self.sink() {
            Sink::Write(writer) => writer.begin_segment(time, &snapshot),
            Sink::Check(checker) => checker.append(time, &snapshot).map(|()| true),
        }
    }

    /// Writes what was gathered: one write(2), unless the system takes it in parts.
    ///
    /// # Errors
    /// [`JournalError::Dead`] when the disk refuses; for good.
    pub fn flush(&self) -> Result<(), JournalError> {
        match &mut *self.sink() {
            Sink::Write(writer) => {
                writer.flush()?;
                writer.acknowledged = (writer.seq, writer.chain);
                Ok(())
            }
            Sink::Check(_) => Ok(()),
        }
    }

    /// Writes what was gathered and returns when it is durable: one fdatasync(2), during which others may append.
    ///
    /// # Errors
    /// [`JournalError::Dead`] when the disk refuses. A failed sync is never tried again: the system may have dropped
    /// the very pages it could not write, and a second call would say that all is well.
    pub fn sync(&self) -> Result<(), JournalError> {
        let (disk, written) = match &mut *self.sink() {
            Sink::Write(writer) => {
                writer.flush()?;
                (Arc::clone(&writer.disk), (writer.seq, writer.chain))
            }
            Sink::Check(_) => return Ok(()),
        };
        let synced = disk.sync();
        let Sink::Write(writer) = &mut *self.sink() else { return Ok(()) };
        writer.alive()?;
        if let Err(error) = synced {
            let why = format!("an fdatasync failed: {error}");
            return Err(JournalError::Dead(writer.dead.insert(why).clone()));
        }
        if written.0 > writer.acknowledged.0 {
            writer.acknowledged = written;
        }
        Ok(())
    }

    /// Gives back what was set aside and not used: the run is over.
    ///
    /// # Errors
    /// [`JournalError::Dead`].
    pub fn release(&self) -> Result<(), JournalError> {
        let Sink::Write(writer) = &mut *self.sink() else { return Ok(()) };
        writer.flush()?;
        match writer.disk.truncate(writer.taken) {
            Ok(()) => {
                writer.room = writer.taken;
                Ok(())
            }
            Err(error) => Err(writer.die("giving room back", &error)),
        }
    }

    /// Entries appended so far, or compared.
    #[must_use]
    pub fn entries(&self) -> u64 {
        match &*self.sink() {
            Sink::Write(writer) => writer.seq,
            Sink::Check(checker) => checker.counts().iter().map(|(_, count)| count).sum(),
        }
    }

    /// An anchor: how many entries the last flush or sync has left on the disk, and the chain value after them, as hex.
    /// Who keeps it elsewhere can tell whether the journal was touched or cut short. Entries that a command may have
    /// followed are in it; entries that a crash may still take rightly are not.
    #[must_use]
    pub fn head(&self) -> (u64, String) {
        match &*self.sink() {
            Sink::Write(writer) => (writer.acknowledged.0, V2.hex(writer.acknowledged.1)),
            Sink::Check(checker) => checker.head(),
        }
    }

    /// Why no strategy is asked any more, once the disk was full.
    #[must_use]
    pub fn full(&self) -> Option<String> {
        match &*self.sink() {
            Sink::Write(writer) => writer.full.clone(),
            Sink::Check(_) => None,
        }
    }

    /// Why nothing more is written, once that is so.
    #[must_use]
    pub fn dead(&self) -> Option<String> {
        match &*self.sink() {
            Sink::Write(writer) => writer.dead.clone(),
            Sink::Check(_) => None,
        }
    }

    /// What was compared, by kind; the journal must hold nothing more that a driver writes. Empty for a journal that is
    /// written.
    ///
    /// # Errors
    /// [`JournalError::Differs`] for an entry that the replay did not make, [`JournalError::Fault`] for damage.
    pub fn compared(&self) -> Result<Vec<(Kind, u64)>, JournalError> {
        match &mut *self.sink() {
            Sink::Write(_) => Ok(Vec::new()),
            Sink::Check(checker) => {
                checker.finish()?;
                Ok(checker.counts())
            }
        }
    }
}
