use mmbot_signals::{Best, imbalance, microprice, order_flow, realised_variance, two_scale_variance};
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

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
#[pyo3(name = "realised_variance")]
fn py_realised_variance(log_prices: PyReadonlyArray1<'_, f64>, steps: usize) -> PyResult<f64> {
    Ok(realised_variance(log_prices.as_slice()?, steps))
}

#[pyfunction]
#[pyo3(name = "two_scale_variance", signature = (log_prices, subsamples, *, adjusted))]
fn py_two_scale_variance(log_prices: PyReadonlyArray1<'_, f64>, subsamples: usize, adjusted: bool) -> PyResult<f64> {
    let log_prices = log_prices.as_slice()?;
    let squares = |steps| realised_variance(log_prices, steps);
    let returns = log_prices.len().saturating_sub(1);
    Ok(two_scale_variance(squares(1), squares(subsamples), returns, subsamples, adjusted))
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(py_microprice, module)?)?;
    module.add_function(wrap_pyfunction!(py_imbalance, module)?)?;
    module.add_function(wrap_pyfunction!(order_flows, module)?)?;
    module.add_function(wrap_pyfunction!(py_realised_variance, module)?)?;
    module.add_function(wrap_pyfunction!(py_two_scale_variance, module)?)
}
