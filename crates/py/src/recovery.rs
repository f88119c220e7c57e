//! What a journal leaves for the next run, as Python sees it.

use std::path::PathBuf;

use mmbot_journal::JournalError;
use mmbot_replay::{RecoverError, Recovered};
use mmbot_types::InstrumentId;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::data::PyInstrument;
use crate::journal::{fault, fault_at, journal_error, opened};
use crate::run::order_row;

fn recover_error(error: RecoverError) -> PyErr {
    match error {
        RecoverError::Fault(inner) => fault(inner),
        RecoverError::Differs(inner) => journal_error(JournalError::Differs(inner)),
        RecoverError::Opening { .. } | RecoverError::Start(_) => PyValueError::new_err(error.to_string()),
        RecoverError::Engine { seq, .. } => fault_at(error.to_string(), Some((seq, None, None)), false),
    }
}

/// See the stub.
#[pyfunction]
#[pyo3(signature = (journal, instruments = None, *, until = None))]
fn recover(
    journal: &Bound<'_, PyAny>,
    instruments: Option<Vec<PyRef<'_, PyInstrument>>>,
    until: Option<u64>,
) -> PyResult<PyRecovered> {
    let instruments = instruments.map(|all| all.iter().map(|each| each.inner.clone()).collect());
    let inner = mmbot_replay::recover(opened(journal)?, instruments, until).map_err(recover_error)?;
    Ok(PyRecovered { inner })
}

/// See the stub.
#[pyfunction]
fn take_over(journal: PathBuf, anchors: Vec<(u64, String)>) -> PyResult<PyRecovered> {
    Ok(PyRecovered { inner: mmbot_replay::take_over(journal, anchors).map_err(recover_error)? })
}

/// See the stub.
#[pyclass(name = "Recovered", module = "mmbot._core", frozen)]
struct PyRecovered {
    inner: Recovered,
}

impl PyRecovered {
    fn rows<'py, 'a>(
        &'a self,
        py: Python<'py>,
        orders: impl Iterator<Item = &'a mmbot_engine::Order>,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let told = orders.map(|order| {
            let (number, side, tick, lots, booked, cum, exposure, life, op, owner, reduce_only) = order_row(order);
            let ((client_id, venue_id), instrument) = (self.inner.name(order.id), order.request.instrument.0);
            let first = (number, client_id, instrument, side, tick, lots, booked, cum, life).into_pyobject(py)?;
            let rest = (exposure, op, owner, reduce_only, venue_id, order.ts_decided.0).into_pyobject(py)?;
            first.as_sequence().concat(rest.as_sequence())?.to_tuple()
        });
        told.collect()
    }
}

#[pymethods]
impl PyRecovered {
    #[getter]
    fn snapshot<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.snapshot().as_bytes())
    }

    #[getter]
    fn orders<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        self.rows(py, self.inner.engine().orders().iter())
    }

    #[getter]
    fn gone<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        self.rows(py, self.inner.engine().gone())
    }

    #[getter]
    fn positions(&self) -> Vec<i64> {
        let ledger = self.inner.engine().ledger();
        (0..ledger.len()).map(|index| ledger.position(InstrumentId(index as u16)).0).collect()
    }

    #[getter]
    fn cash_units(&self) -> Vec<i128> {
        let ledger = self.inner.engine().ledger();
        (0..ledger.len()).map(|index| ledger.cash(InstrumentId(index as u16)).0).collect()
    }

    #[getter]
    fn instruments(&self) -> Vec<(String, String)> {
        let ledger = self.inner.engine().ledger();
        let each = (0..ledger.len()).map(|index| ledger.instrument(InstrumentId(index as u16)));
        each.map(|of| (of.venue.clone(), of.symbol.clone())).collect()
    }

    #[getter]
    fn orders_named(&self) -> u64 {
        self.inner.engine().orders_named()
    }

    #[getter]
    fn state_hash(&self) -> u64 {
        self.inner.engine().state_hash()
    }

    #[getter]
    fn ended(&self) -> bool {
        self.inner.ended
    }

    #[getter]
    fn halted(&self) -> bool {
        self.inner.halted
    }

    #[getter]
    fn last_time(&self) -> i64 {
        self.inner.last_time.0
    }

    #[getter]
    fn start(&self) -> &str {
        &self.inner.start
    }

    #[getter]
    fn notes(&self) -> Vec<(i64, &str, &str)> {
        self.inner.notes.iter().map(|(time, topic, text)| (time.0, topic.as_str(), text.as_str())).collect()
    }

    #[getter]
    fn begins(&self) -> u64 {
        self.inner.begins()
    }

    #[getter]
    fn torn(&self) -> Option<(u64, u64)> {
        self.inner.torn
    }

    #[getter]
    fn head(&self) -> (u64, &str) {
        (self.inner.entries, &self.inner.head)
    }
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(recover, module)?)?;
    module.add_function(wrap_pyfunction!(take_over, module)?)?;
    module.add_class::<PyRecovered>()
}
