//! The one writer: records are gathered in memory, written by one call, made durable by one more.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mmbot_types::Nanos;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use thiserror::Error;

use crate::check::{Checker, Difference};
use crate::entry::{Entry, Kind};
use crate::frame::{self, Chain, MAX_PAYLOAD, RECORD_HEAD};
use crate::reader::{Fault, Reader};

/// What is gathered before it is written without being asked to.
const GATHERED_MAX: usize = 256 << 10;

/// Why nothing more can be written down.
#[derive(Clone, Debug, Error)]
pub enum JournalError {
    /// The disk refused once. What is on it is good up to the last whole record; nothing is tried again, because after
    /// a failed write or sync nobody knows what the disk holds.
    #[error("the journal is dead since {0}; stop sending orders, cancel, and start a new run on a healthy disk")]
    Dead(String),
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
}

impl Disk for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&mut &*self).write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match fallocate(self, FallocateFlags::KEEP_SIZE, 0, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()), // then a full disk is met by the write
            done => Ok(done?),
        }
    }
}

struct Writer {
    disk: Arc<dyn Disk>,
    gathered: Vec<u8>,
    /// Bytes of whole records (and the head) that the disk has taken.
    taken: u64,
    seq: u64,
    chain: Chain,
    dead: Option<String>,
}

impl Writer {
    fn new(disk: Arc<dyn Disk>) -> Self {
        let gathered = frame::head().to_vec();
        Self { disk, gathered, taken: 0, seq: 0, chain: [0; 16], dead: None }
    }

    fn alive(&self) -> Result<(), JournalError> {
        self.dead.as_ref().map_or(Ok(()), |why| Err(JournalError::Dead(why.clone())))
    }

    fn append(&mut self, time: Nanos, entry: &Entry<'_>) -> Result<(), JournalError> {
        self.alive()?;
        let start = self.gathered.len();
        self.gathered.resize(start + RECORD_HEAD, 0);
        entry.encode(&mut self.gathered);
        let bytes = self.gathered.len() - start - RECORD_HEAD;
        if bytes > MAX_PAYLOAD {
            self.gathered.truncate(start);
            return Err(JournalError::TooLarge { bytes });
        }
        let record = &mut self.gathered[start..];
        self.chain = frame::complete(record, self.seq, time.0, entry.kind() as u16, self.chain);
        self.seq += 1;
        if self.gathered.len() > GATHERED_MAX { self.flush() } else { Ok(()) }
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

enum Sink {
    Write(Writer),
    Check(Box<Checker>),
}

/// A journal being written: a handle that several hands may hold, each call one at a time.
///
/// [`Journal::check`] makes one that writes nothing and compares instead: a replay appends what it does, and the first
/// entry that is not the recorded one is an error.
#[derive(Clone)]
pub struct Journal(Arc<Mutex<Sink>>);

impl Journal {
    /// A new journal in a new file; its first entry, `start`, is durable when this returns, and so is the file's name.
    ///
    /// # Errors
    /// [`JournalError::Create`] when the file exists already or cannot be made durable.
    pub fn create(path: impl AsRef<Path>, time: Nanos, start: &str) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let failed =
            |error: io::Error| JournalError::Create { path: path.display().to_string(), reason: error.to_string() };
        let file = OpenOptions::new().append(true).create_new(true).open(path).map_err(failed)?;
        let journal = Self::on(Arc::new(file));
        journal.append(time, &Entry::RunStart(start))?;
        journal.sync()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(journal)
    }

    /// A new journal on any disk, with nothing in it yet.
    #[must_use]
    pub fn on(disk: Arc<dyn Disk>) -> Self {
        Self(Arc::new(Mutex::new(Sink::Write(Writer::new(disk)))))
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
    /// [`JournalError`].
    pub fn append(&self, time: Nanos, entry: &Entry<'_>) -> Result<(), JournalError> {
        match &mut *self.sink() {
            Sink::Write(writer) => writer.append(time, entry),
            Sink::Check(checker) => checker.append(time, entry),
        }
    }

    /// Writes what was gathered: one write(2), unless the system takes it in parts.
    ///
    /// # Errors
    /// [`JournalError::Dead`] when the disk refuses; for good.
    pub fn flush(&self) -> Result<(), JournalError> {
        match &mut *self.sink() {
            Sink::Write(writer) => writer.flush(),
            Sink::Check(_) => Ok(()),
        }
    }

    /// Writes what was gathered and returns when it is durable: one fdatasync(2), during which others may append.
    ///
    /// # Errors
    /// [`JournalError::Dead`] when the disk refuses. A failed sync is never tried again: the system may have dropped
    /// the very pages it could not write, and a second call would say that all is well.
    pub fn sync(&self) -> Result<(), JournalError> {
        let disk = match &mut *self.sink() {
            Sink::Write(writer) => {
                writer.flush()?;
                Arc::clone(&writer.disk)
            }
            Sink::Check(_) => return Ok(()),
        };
        match (disk.sync(), &mut *self.sink()) {
            (Err(error), Sink::Write(writer)) => {
                writer.alive()?;
                let why = format!("an fdatasync failed: {error}");
                Err(JournalError::Dead(writer.dead.insert(why).clone()))
            }
            (_, Sink::Write(writer)) => writer.alive(),
            (_, Sink::Check(_)) => Ok(()),
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

    /// The chain value after the last entry, as hex: who keeps it can tell whether the journal was touched.
    #[must_use]
    pub fn head(&self) -> String {
        let chain = match &*self.sink() {
            Sink::Write(writer) => writer.chain,
            Sink::Check(checker) => checker.chain(),
        };
        format!("{:032x}", u128::from_le_bytes(chain))
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
