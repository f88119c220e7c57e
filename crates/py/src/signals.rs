use mmbot_signals::{
    Best, Signals, TouchSeen, TradeSeen, imbalance, microprice, order_flow, realised_variance, two_scale_variance,
};
use mmbot_types::{NO_ASK, NO_BID, Nanos, Side};
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::specs::PySignalSpec;

#[pyfunction]
#[pyo3(name = "microprice")]
fn py_microprice(bid: f64, bid_size: f64, ask: f64, ask_size: f64) -> f64 {
    microprice(bid, bid_size, ask, ask_size)
}

#[pyfunction]
#[pyo3(name = "imbalance")]
fn py_imbalance(bid_size: f64, ask_size: f64) -> f64 {
    imbalance(bid_size, ask_size)
}

#[pyfunction]
fn order_flows<'py>(
    py: Python<'py>,
    bid: PyReadonlyArray1<'py, f64>,
    bid_size: PyReadonlyArray1<'py, f64>,
    ask: PyReadonlyArray1<'py, f64>,
    ask_size: PyReadonlyArray1<'py, f64>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (bid, bid_size, ask, ask_size) = (bid.as_array(), bid_size.as_array(), ask.as_array(), ask_size.as_array());
    if [bid_size.len(), ask.len(), ask_size.len()] != [bid.len(); 3] {
        let lengths = [bid.len(), bid_size.len(), ask.len(), ask_size.len()];
        return Err(PyValueError::new_err(format!(
            "bid, bid_size, ask and ask_size must be equally long, got {lengths:?}"
        )));
    }
    let best = |i: usize| Best { bid: bid[i], bid_size: bid_size[i], ask: ask[i], ask_size: ask_size[i] };
    Ok(PyArray1::from_iter(py, (1..bid.len()).map(|i| order_flow(&best(i - 1), &best(i)))))
}

#[pyfunction]
#[pyo3(name = "two_scale_variance", signature = (log_prices, subsamples, *, adjusted))]
fn py_two_scale_variance(log_prices: PyReadonlyArray1<'_, f64>, subsamples: usize, adjusted: bool) -> PyResult<f64> {
    let log_prices = log_prices.as_slice()?;
    let squares = |steps| realised_variance(log_prices, steps);
    let returns = log_prices.len().saturating_sub(1);
    Ok(two_scale_variance(squares(1), squares(subsamples), returns, subsamples, adjusted))
}

#[pyclass(name = "Signals", module = "mmbot._core")]
struct PySignals(Signals);

#[pymethods]
impl PySignals {
    #[new]
    fn new(specs: Vec<PyRef<'_, PySignalSpec>>) -> PyResult<Self> {
        let specs: Vec<_> = specs.iter().map(|spec| spec.inner).collect();
        Ok(Self(Signals::new(&specs).map_err(|error| PyValueError::new_err(error.to_string()))?))
    }

    #[pyo3(signature = (*, ts, bid, bid_lots, ask, ask_lots))]
    fn on_touch(&mut self, ts: i64, bid: Option<i32>, bid_lots: u32, ask: Option<i32>, ask_lots: u32) {
        let (bid, ask) = (bid.unwrap_or(NO_BID), ask.unwrap_or(NO_ASK));
        self.0.on_touch(&TouchSeen { ts: Nanos(ts), bid, ask, bid_lots, ask_lots });
    }

    #[pyo3(signature = (*, ts, tick, lots, side))]
    fn on_trade(&mut self, ts: i64, tick: i32, lots: u32, side: i8) -> PyResult<()> {
        let aggressor = match side {
            1 => Side::Buy,
            -1 => Side::Sell,
            _ => return Err(PyValueError::new_err(format!("side must be +1 or -1 (who crossed), got {side}"))),
        };
        self.0.on_trade(&TradeSeen { ts: Nanos(ts), tick, lots, aggressor });
        Ok(())
    }

    fn advance(&mut self, now: i64) {
        self.0.advance(Nanos(now));
    }

    fn values(&self) -> Vec<f64> {
        (0..self.0.len()).map(|i| self.0.value(i)).collect()
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
    module.add_class::<PySignals>()?;
    module.add_function(wrap_pyfunction!(py_microprice, module)?)?;
    module.add_function(wrap_pyfunction!(py_imbalance, module)?)?;
    module.add_function(wrap_pyfunction!(order_flows, module)?)?;
    module.add_function(wrap_pyfunction!(py_two_scale_variance, module)?)
}
