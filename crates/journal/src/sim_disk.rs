//! A disk in memory that fails on purpose: for tests and for the simulator.
//!
//! ```text
//! bytes: [ durable ............ │ in the system's cache ....... ]      allocated ─────────┤
//!          survives a crash       a crash may lose any suffix          a full disk takes no more than this
//! ```
//! One run of bytes, appended to; segments follow each other in it, each with its head. What is not modelled: parts of
//! the cache that reach the disk out of order, rot of what was durable (flip bytes of [`SimDisk::durable`] for that),
//! and time: a sync takes none.

use std::io::{self, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::writer::Disk;

/// What a disk is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskCall {
    /// Take bytes.
    Write,
    /// Make them durable.
    Sync,
}

/// What it answers instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The medium failed.
    Io,
    /// No room beyond what was allocated.
    Full,
}

impl From<DiskError> for io::Error {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::Io => Self::other("Input/output error (simulated EIO)"),
            DiskError::Full => Self::new(ErrorKind::StorageFull, "No space left on device (simulated ENOSPC)"),
        }
    }
}

#[derive(Default)]
struct Platter {
    bytes: Vec<u8>,
    /// Of them, how many survive a crash.
    durable: usize,
    /// Room that a full disk still grants.
    allocated: usize,
    lies: bool,
    /// Without power.
    off: bool,
    /// A sync failed: what it should have made durable was dropped from the cache, and later syncs know nothing of it.
    holed: bool,
    /// Calls that still succeed, and what every later one answers.
    write: Option<(u64, DiskError)>,
    sync: Option<(u64, DiskError)>,
}

impl Platter {
    /// The planned failure, if it is due; else one call less until it is.
    fn due(plan: &mut Option<(u64, DiskError)>) -> Option<DiskError> {
        let (left, error) = plan.as_mut()?;
        match left.checked_sub(1) {
            Some(less) => {
                *left = less;
                None
            }
            None => Some(*error),
        }
    }
}

/// See the module.
#[derive(Default)]
pub struct SimDisk(Mutex<Platter>);

impl SimDisk {
    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power goes: of what was not durable the last `lose` bytes are gone (0: the process alone was killed), the
    /// rest is durable now, and whoever still holds the disk gets errors. Returns how many bytes were lost.
    pub fn crash(&self, lose: usize) -> usize {
        let platter = &mut *self.platter();
        let lost = lose.min(platter.bytes.len() - platter.durable);
        platter.bytes.truncate(platter.bytes.len() - lost);
        platter.durable = platter.bytes.len();
        platter.off = true;
        lost
    }

    /// After `after` more calls of that sort that succeed, every one fails.
    ///
    /// A disk that is [`DiskError::Full`] takes what fits into the room that was allocated before. A sync that fails
    /// with [`DiskError::Io`] fails once, as the system's does; later ones say that all is well, and what was not
    /// durable by then never will be.
    pub fn fail(&self, call: DiskCall, error: DiskError, after: u64) {
        let platter = &mut *self.platter();
        let plan = match call {
            DiskCall::Write => &mut platter.write,
            DiskCall::Sync => &mut platter.sync,
        };
        *plan = Some((after, error));
    }

    /// Whether a sync says yes and makes nothing durable.
    pub fn lie(&self, lies: bool) {
        self.platter().lies = lies;
    }

    /// What a crash now would leave if it lost all that it can.
    #[must_use]
    pub fn durable(&self) -> Vec<u8> {
        let platter = self.platter();
        platter.bytes[..platter.durable].to_vec()
    }

    /// What a reader of the file sees now.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        self.platter().bytes.clone()
    }
}

impl Disk for SimDisk {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let platter = &mut *self.platter();
        if platter.off {
            return Err(DiskError::Io.into());
        }
        let room = match Platter::due(&mut platter.write) {
            None => usize::MAX,
            Some(DiskError::Io) => return Err(DiskError::Io.into()),
            Some(DiskError::Full) => platter.allocated.saturating_sub(platter.bytes.len()),
        };
        if room == 0 {
            return Err(DiskError::Full.into());
        }
        let taken = bytes.len().min(room);
        platter.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn sync(&self) -> io::Result<()> {
        let platter = &mut *self.platter();
        if platter.off {
            return Err(DiskError::Io.into());
        }
        if let Some(error) = Platter::due(&mut platter.sync) {
            platter.sync = None;
            platter.holed = true;
            return Err(error.into());
        }
        if !platter.lies && !platter.holed {
            platter.durable = platter.bytes.len();
        }
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let platter = &mut *self.platter();
        if platter.off {
            return Err(DiskError::Io.into());
        }
        platter.bytes.truncate(bytes as usize);
        platter.durable = platter.durable.min(platter.bytes.len());
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let platter = &mut *self.platter();
        match platter.write {
            _ if platter.off => Err(DiskError::Io.into()),
            Some((0, DiskError::Full)) if bytes as usize > platter.allocated => Err(DiskError::Full.into()),
            _ => {
                platter.allocated = platter.allocated.max(bytes as usize);
                Ok(())
            }
        }
    }
}
