//! The journal, as Python sees it.

use std::cell::RefCell;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use mmbot_journal::{
    Disk, DiskCall, DiskError, Entry, Fault, Journal, JournalError, Reader, Segments, SimDisk, Tail,
    cut_torn_end as cut,
};
use mmbot_types::Nanos;
use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::live::fields;

create_exception!(mmbot._core, JournalFault, PyValueError, "A journal that is none, or is damaged.");
create_exception!(mmbot._core, JournalDead, PyOSError, "The disk refused once; nothing more is written.");
create_exception!(mmbot._core, JournalFull, PyOSError, "The disk is full: nothing new begins, the way out is written.");
create_exception!(mmbot._core, JournalDiffers, PyRuntimeError, "A replay left the recorded path.");

pub fn fault(fault: Fault) -> PyErr {
    match fault {
        Fault::Io(text) => PyOSError::new_err(text),
        other => {
            let (said, short) = (other.to_string(), matches!(other, Fault::Short { .. }));
            let place = match other {
                Fault::Damaged { seq, segment, offset, .. } => Some((seq, Some(segment), Some(offset))),
                Fault::Unproven { segment, offset } => Some((0, Some(segment), Some(offset))),
                Fault::Rewritten { first, .. } => Some((first, None, None)),
                Fault::Short { found, .. } => Some((found, None, None)),
                Fault::Meaningless { seq } => Some((seq, None, None)),
                _ => None,
            };
            fault_at(said, place, short)
        }
    }
}

/// `place`: first bad entry, segment, byte in it; `short`: nothing is bad, the end is missing.
pub fn fault_at(said: String, place: Option<(u64, Option<u64>, Option<u64>)>, short: bool) -> PyErr {
    let told = JournalFault::new_err(said);
    Python::attach(|py| {
        let value = told.value(py);
        match value.setattr("place", place).and_then(|()| value.setattr("short", short)) {
            Ok(()) => told,
            Err(error) => error,
        }
    })
}

pub fn journal_error(error: JournalError) -> PyErr {
    match error {
        JournalError::Dead(_) => JournalDead::new_err(error.to_string()),
        JournalError::Full(_) => JournalFull::new_err(error.to_string()),
        JournalError::Create { .. } => PyOSError::new_err(error.to_string()),
        JournalError::TooLarge { .. } => PyValueError::new_err(error.to_string()),
        JournalError::Fault(inner) => fault(inner),
        JournalError::Differs(difference) => {
            let told = JournalDiffers::new_err(difference.to_string());
            Python::attach(|py| {
                let at = (difference.seq, difference.time.0);
                let said = (difference.expected, difference.found);
                match told.value(py).setattr("difference", (at.0, at.1, said.0, said.1)) {
                    Ok(()) => told,
                    Err(error) => error,
                }
            })
        }
    }
}

/// A reader of a journal that is given as a path or as its bytes.
pub fn opened(journal: &Bound<'_, PyAny>) -> PyResult<Reader> {
    match journal.cast::<PyBytes>() {
        Ok(bytes) => Reader::new(Box::new(Cursor::new(bytes.as_bytes().to_vec()))).map_err(fault),
        Err(_) => Reader::open(journal.extract::<PathBuf>()?).map_err(fault),
    }
}

/// See the stub.
#[pyclass(name = "SimDisk", module = "mmbot._core", frozen)]
pub struct PySimDisk {
    inner: Arc<SimDisk>,
}

#[pymethods]
impl PySimDisk {
    #[new]
    fn new() -> Self {
        Self { inner: Arc::new(SimDisk::default()) }
    }

    fn crash(&self, lose: usize) -> usize {
        self.inner.crash(lose)
    }

    #[pyo3(signature = (call, error, after = 0))]
    fn fail(&self, call: &str, error: &str, after: u64) -> PyResult<()> {
        let call = match call {
            "write" => DiskCall::Write,
            "sync" => DiskCall::Sync,
            _ => return Err(PyValueError::new_err(format!("a disk is asked to write or to sync, not to {call:?}"))),
        };
        let error = match error {
            "EIO" => DiskError::Io,
            "ENOSPC" => DiskError::Full,
            _ => return Err(PyValueError::new_err(format!("a disk answers EIO or ENOSPC here, not {error:?}"))),
        };
        self.inner.fail(call, error, after);
        Ok(())
    }

    fn lie(&self, lies: bool) {
        self.inner.lie(lies);
    }

    fn durable<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.durable())
    }

    fn written<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.written())
    }
}

fn segments(bytes: Option<u64>, records: Option<u64>, reserve: Option<u64>) -> Segments {
    let usual = Segments::default();
    Segments {
        bytes: bytes.unwrap_or(usual.bytes),
        records: records.unwrap_or(usual.records),
        reserve: reserve.unwrap_or(usual.reserve),
    }
}

/// See the stub.
#[pyclass(name = "Journal", module = "mmbot._core", frozen)]
pub struct PyJournal {
    pub(crate) inner: Journal,
}

#[pymethods]
impl PyJournal {
    #[staticmethod]
    #[pyo3(signature = (path, now, start, *, segment_bytes = None, segment_records = None, reserve_bytes = None))]
    fn create(
        path: PathBuf,
        now: i64,
        start: &str,
        segment_bytes: Option<u64>,
        segment_records: Option<u64>,
        reserve_bytes: Option<u64>,
    ) -> PyResult<Self> {
        let segments = segments(segment_bytes, segment_records, reserve_bytes);
        Ok(Self { inner: Journal::create(path, segments, Nanos(now), start).map_err(journal_error)? })
    }

    #[staticmethod]
    #[pyo3(signature = (
        disk, now = 0, start = None, *, segment_bytes = None, segment_records = None, reserve_bytes = None
    ))]
    fn on(
        disk: &PySimDisk,
        now: i64,
        start: Option<&str>,
        segment_bytes: Option<u64>,
        segment_records: Option<u64>,
        reserve_bytes: Option<u64>,
    ) -> PyResult<Self> {
        let segments = segments(segment_bytes, segment_records, reserve_bytes);
        let inner = Journal::in_segments(Arc::clone(&disk.inner) as Arc<dyn Disk>, segments);
        if let Some(start) = start {
            inner.append(Nanos(now), &Entry::RunStart(start)).and_then(|()| inner.sync()).map_err(journal_error)?;
        }
        Ok(Self { inner })
    }

    #[staticmethod]
    fn check(journal: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { inner: Journal::check(opened(journal)?) })
    }

    fn note(&self, now: i64, topic: &str, text: &str) -> PyResult<()> {
        self.inner.append(Nanos(now), &Entry::Note { topic, text }).map_err(journal_error)
    }

    fn end(&self, py: Python<'_>, now: i64, text: &str) -> PyResult<()> {
        self.inner.append(Nanos(now), &Entry::RunEnd(text)).map_err(journal_error)?;
        self.sync(py)?;
        self.inner.release().map_err(journal_error)
    }

    fn flush(&self) -> PyResult<()> {
        self.inner.flush().map_err(journal_error)
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.sync()).map_err(journal_error)
    }

    fn compared(&self) -> PyResult<Vec<(&'static str, u64)>> {
        let counts = self.inner.compared().map_err(journal_error)?;
        Ok(counts.into_iter().map(|(kind, count)| (kind.name(), count)).collect())
    }

    #[getter]
    fn entries(&self) -> u64 {
        self.inner.entries()
    }

    fn head(&self) -> (u64, String) {
        self.inner.head()
    }

    #[getter]
    fn full(&self) -> Option<String> {
        self.inner.full()
    }

    #[getter]
    fn dead(&self) -> Option<String> {
        self.inner.dead()
    }
}

/// See the stub.
#[pyclass(name = "JournalReader", module = "mmbot._core", unsendable)]
pub struct PyJournalReader {
    inner: RefCell<Reader>,
}

#[pymethods]
impl PyJournalReader {
    #[new]
    #[pyo3(signature = (journal, anchors = Vec::new()))]
    fn new(journal: &Bound<'_, PyAny>, anchors: Vec<(u64, String)>) -> PyResult<Self> {
        Ok(Self { inner: RefCell::new(opened(journal)?.anchored(anchors)) })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<(u64, i64, &'static str, Bound<'py, PyDict>)>> {
        let mut reader = self.inner.borrow_mut();
        let Some(record) = reader.next_record().map_err(fault)? else { return Ok(None) };
        let entry = record.entry().map_err(fault)?;
        Ok(Some((record.seq, record.time.0, entry.kind().name(), fields(py, &entry)?)))
    }

    #[getter]
    fn torn(&self) -> Option<(u64, u64)> {
        match self.inner.borrow().tail()? {
            Tail::Torn { offset, bytes } => Some((offset, bytes)),
            Tail::Whole => None,
        }
    }

    #[getter]
    fn head(&self) -> String {
        self.inner.borrow().head()
    }

    #[getter]
    fn entries(&self) -> u64 {
        self.inner.borrow().seq()
    }

    #[getter]
    fn segment(&self) -> u64 {
        self.inner.borrow().segment()
    }

    #[getter]
    fn vouched(&self) -> u64 {
        self.inner.borrow().vouched()
    }
}

#[pyfunction]
fn cut_torn_end(path: PathBuf, anchors: Vec<(u64, String)>) -> PyResult<Option<u64>> {
    cut(path, anchors).map_err(fault)
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("JournalFault", py.get_type::<JournalFault>())?;
    module.add("JournalDead", py.get_type::<JournalDead>())?;
    module.add("JournalFull", py.get_type::<JournalFull>())?;
    module.add("JournalDiffers", py.get_type::<JournalDiffers>())?;
    module.add_class::<PySimDisk>()?;
    module.add_class::<PyJournal>()?;
    module.add_class::<PyJournalReader>()?;
    module.add_function(wrap_pyfunction!(cut_torn_end, module)?)
}
