//! Measures that a strategy may ask for and laws of the simulated venue, as Python names them.

use mmbot_signals::{BarField, SignalSpec};
use mmbot_sim::QueueModel;
use mmbot_types::Nanos;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// See the stub.
#[pyclass(name = "SignalSpec", module = "mmbot._core", frozen, eq)]
#[derive(Clone, Copy, PartialEq)]
pub struct PySignalSpec {
    /// The core's own.
    pub inner: SignalSpec,
}

#[pymethods]
impl PySignalSpec {
    #[staticmethod]
    fn microprice() -> Self {
        Self { inner: SignalSpec::Microprice }
    }

    #[staticmethod]
    fn imbalance() -> Self {
        Self { inner: SignalSpec::Imbalance }
    }

    #[staticmethod]
    fn order_flow_imbalance(half_life_ns: i64) -> Self {
        Self { inner: SignalSpec::OrderFlowImbalance { half_life: Nanos(half_life_ns) } }
    }

    #[staticmethod]
    fn trade_flow(half_life_ns: i64) -> Self {
        Self { inner: SignalSpec::TradeFlow { half_life: Nanos(half_life_ns) } }
    }

    #[staticmethod]
    fn ewma_volatility(half_life_ns: i64, sample_ns: i64) -> Self {
        Self { inner: SignalSpec::EwmaVolatility { half_life: Nanos(half_life_ns), sample: Nanos(sample_ns) } }
    }

    #[staticmethod]
    fn realised_volatility(window_ns: i64, sample_ns: i64) -> Self {
        Self { inner: SignalSpec::RealisedVolatility { window: Nanos(window_ns), sample: Nanos(sample_ns) } }
    }

    #[staticmethod]
    fn two_scale_volatility(window_ns: i64, sample_ns: i64, subsamples: u32) -> Self {
        let (window, sample) = (Nanos(window_ns), Nanos(sample_ns));
        Self { inner: SignalSpec::TwoScaleVolatility { window, sample, subsamples } }
    }

    #[staticmethod]
    fn bar(interval_ns: i64, field: &str) -> PyResult<Self> {
        let field = match field {
            "open" => BarField::Open,
            "high" => BarField::High,
            "low" => BarField::Low,
            "close" => BarField::Close,
            "volume" => BarField::Volume,
            other => {
                let text = format!("bar field {other:?}: expected open, high, low, close or volume");
                return Err(PyValueError::new_err(text));
            }
        };
        Ok(Self { inner: SignalSpec::Bar { interval: Nanos(interval_ns), field } })
    }

    fn __repr__(&self) -> String {
        format!("SignalSpec({:?})", self.inner)
    }
}

/// A queue law by the name that configurations use. Default exponents: 2 for the power laws, 3 for `power3`.
pub fn queue_model(name: &str, n: Option<f64>) -> PyResult<QueueModel> {
    let (model, takes_n) = match name {
        "risk_averse" => (QueueModel::RiskAverse, false),
        "power" => (QueueModel::Power(n.unwrap_or(2.0)), true),
        "power2" => (QueueModel::Power2(n.unwrap_or(2.0)), true),
        "power3" => (QueueModel::Power3(n.unwrap_or(3.0)), true),
        "log" => (QueueModel::Log, false),
        "log2" => (QueueModel::Log2, false),
        "fifo" => (QueueModel::Fifo, false),
        other => {
            return Err(PyValueError::new_err(format!(
                "queue model {other:?}: expected risk_averse, power, power2, power3, log, log2 or fifo"
            )));
        }
    };
    if n.is_some() && !takes_n {
        return Err(PyValueError::new_err(format!("queue model {name:?} takes no exponent n")));
    }
    model.checked().map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PySignalSpec>()
}
