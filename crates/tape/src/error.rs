use std::io;
use std::path::Path;

use thiserror::Error;

use crate::Section;

/// Why a tape can not be read or written.
#[derive(Debug, Error)]
pub enum TapeError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bytes are no tape of ours: empty, foreign, cut off, damaged in the head, or from a newer version.
    #[error("{path}: {reason}")]
    Format {
        /// Which file.
        path: String,
        /// What was found, what was expected, and what to do.
        reason: String,
    },
    /// A block of records differs from its checksum.
    #[error(
        "{section} records from byte {offset} are damaged: checksum {found:08x}, expected {expected:08x}; \
         import the tape again or restore a copy"
    )]
    Damaged {
        /// Which section.
        section: Section,
        /// First byte of the block within its section.
        offset: usize,
        /// CRC32C of what is there.
        found: u32,
        /// CRC32C of what was written.
        expected: u32,
    },
    /// Intact bytes that break a promise of the layout: the tape was written by a faulty program.
    #[error("{section} record {index}: {reason}")]
    Broken {
        /// Which section.
        section: Section,
        /// Which record.
        index: usize,
        /// Which promise.
        reason: &'static str,
    },
    /// A record that does not fit the tape; nothing of it was written.
    #[error("{field} {value} does not fit a tape: expected {expected}")]
    Unfit {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: i64,
        /// What would have been right.
        expected: &'static str,
    },
}

impl TapeError {
    /// For `map_err` on file operations.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.display().to_string(), source }
    }

    pub(crate) fn format(path: &Path, reason: impl Into<String>) -> Self {
        Self::Format { path: path.display().to_string(), reason: reason.into() }
    }
}
