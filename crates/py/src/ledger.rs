use mmbot_ledger::{Booked, Fill, Ledger, LedgerError};
use mmbot_types::{Cash, InstrumentId, Lots, Nanos, Side, Ticks};
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyValueError};
use pyo3::prelude::*;

use crate::data::PyInstrument;

fn ledger_error(error: LedgerError) -> PyErr {
    match error {
        LedgerError::UnknownInstrument { .. } => PyIndexError::new_err(error.to_string()),
        LedgerError::NotPositive { .. } => PyValueError::new_err(error.to_string()),
        LedgerError::Overflow { .. } => PyOverflowError::new_err(error.to_string()),
    }
}

#[pyclass(name = "Ledger", module = "mmbot._core")]
struct PyLedger(Ledger);

impl PyLedger {
    fn id(&self, instrument: u16) -> PyResult<InstrumentId> {
        if usize::from(instrument) < self.0.len() {
            return Ok(InstrumentId(instrument));
        }
        Err(ledger_error(LedgerError::UnknownInstrument { got: instrument, known: self.0.len() }))
    }
}

#[pymethods]
impl PyLedger {
    #[new]
    fn new(instruments: Vec<PyRef<'_, PyInstrument>>) -> Self {
        Self(Ledger::new(instruments.iter().map(|instrument| instrument.inner.clone()).collect()))
    }

    #[pyo3(signature = (*, instrument, execution, side, price, qty, maker, fee, ts))]
    fn book_fill(
        &mut self,
        instrument: u16,
        execution: u64,
        side: i8,
        price: i64,
        qty: i64,
        maker: bool,
        fee: i128,
        ts: i64,
    ) -> PyResult<bool> {
        let side = match side {
            1 => Side::Buy,
            -1 => Side::Sell,
            _ => return Err(PyValueError::new_err(format!("side must be +1 (bought) or -1 (sold), got {side}"))),
        };
        let (price, qty, fee, ts) = (Ticks(price), Lots(qty), Cash(fee), Nanos(ts));
        let fill = Fill { instrument: InstrumentId(instrument), execution, side, price, qty, maker, fee, ts };
        Ok(self.0.book_fill(&fill).map_err(ledger_error)? == Booked::Posted)
    }

    #[pyo3(signature = (*, instrument, settlement, amount))]
    fn book_funding(&mut self, instrument: u16, settlement: i64, amount: i128) -> PyResult<bool> {
        let booked = self.0.book_funding(InstrumentId(instrument), Nanos(settlement), Cash(amount));
        Ok(booked.map_err(ledger_error)? == Booked::Posted)
    }

    fn position(&self, instrument: u16) -> PyResult<i64> {
        Ok(self.0.position(self.id(instrument)?).0)
    }

    fn cash(&self, instrument: u16) -> PyResult<i128> {
        Ok(self.0.cash(self.id(instrument)?).0)
    }

    fn fees(&self, instrument: u16) -> PyResult<i128> {
        Ok(self.0.fees(self.id(instrument)?).0)
    }

    fn funding(&self, instrument: u16) -> PyResult<i128> {
        Ok(self.0.funding(self.id(instrument)?).0)
    }

    fn turnover(&self, instrument: u16) -> PyResult<i128> {
        Ok(self.0.turnover(self.id(instrument)?).0)
    }

    fn maker_fills(&self, instrument: u16) -> PyResult<u64> {
        Ok(self.0.maker_fills(self.id(instrument)?))
    }

    fn taker_fills(&self, instrument: u16) -> PyResult<u64> {
        Ok(self.0.taker_fills(self.id(instrument)?))
    }

    fn equity(&self, instrument: u16, twice_mark: i64) -> PyResult<i128> {
        Ok(self.0.equity(InstrumentId(instrument), Ticks(twice_mark)).map_err(ledger_error)?.0)
    }

    fn volume_30d(&self, instrument: u16, now: i64) -> PyResult<i128> {
        Ok(self.0.volume_30d(self.id(instrument)?, Nanos(now)).0)
    }

    fn fee_rates(&self, instrument: u16, now: i64) -> PyResult<(i64, i64)> {
        let tier = self.0.tier(self.id(instrument)?, Nanos(now));
        Ok((tier.maker, tier.taker))
    }

    fn check_invariants(&self) {
        self.0.check_invariants();
    }

    fn state_hash(&self) -> u64 {
        self.0.state_hash()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyLedger>()
}
