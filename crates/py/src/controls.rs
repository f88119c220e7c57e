//! The numbers of the controls, as Python sees them. Money comes in units of 10^-12, times in ns; None is off.

use mmbot_engine::{Bounds, Circle, Controls, Denial, Elsewhere, FreezeLevel, Scope, UNBOUNDED};
use mmbot_types::{Cash, InstrumentId, Nanos};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

fn value_error(text: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(text.to_string())
}

/// A largest amount: positive, or none.
fn most(name: &str, units: Option<i128>) -> PyResult<Cash> {
    match units {
        Some(bad) if bad <= 0 => {
            Err(value_error(format!("{name} is {bad}; expected more than zero, or None for none")))
        }
        given => Ok(given.map_or(UNBOUNDED, Cash)),
    }
}

/// An age: not negative; zero is off.
fn age(name: &str, ns: i64) -> PyResult<Nanos> {
    if ns < 0 { Err(value_error(format!("{name} is {ns}; expected ns, not negative"))) } else { Ok(Nanos(ns)) }
}

/// See the stub.
#[pyclass(name = "Controls", module = "mmbot._core", frozen)]
#[derive(Clone)]
pub struct PyControls {
    pub inner: Controls,
}

#[pymethods]
impl PyControls {
    #[new]
    #[pyo3(signature = (
        *, allowed = true, maker = false, order_notional_max = None, unit_shift = false, duplicate_ns = 0,
        self_match = false, book_age_ns = 0, venue_age_ns = 0, reference_age_ns = 0, reference_collar_bps = None,
        entry_age_ns = 0,
        notional_max = None, orders_max = None, open_notional_max = None, orders_per_trade_max = 0, orders_free = 0
    ))]
    fn new(
        allowed: bool,
        maker: bool,
        order_notional_max: Option<i128>,
        unit_shift: bool,
        duplicate_ns: i64,
        self_match: bool,
        book_age_ns: i64,
        venue_age_ns: i64,
        reference_age_ns: i64,
        reference_collar_bps: Option<u32>,
        entry_age_ns: i64,
        notional_max: Option<i128>,
        orders_max: Option<u32>,
        open_notional_max: Option<i128>,
        orders_per_trade_max: u32,
        orders_free: u32,
    ) -> PyResult<Self> {
        let inner = Controls {
            allowed,
            maker,
            order_notional_max: most("order_notional_max", order_notional_max)?,
            unit_shift,
            duplicate_window: age("duplicate_ns", duplicate_ns)?,
            self_match,
            book_age_max: age("book_age_ns", book_age_ns)?,
            venue_age_max: age("venue_age_ns", venue_age_ns)?,
            reference_age_max: age("reference_age_ns", reference_age_ns)?,
            reference_collar_bps: reference_collar_bps.unwrap_or(u32::MAX),
            entry_age_max: age("entry_age_ns", entry_age_ns)?,
            notional_max: most("notional_max", notional_max)?,
            orders_max: orders_max.unwrap_or(u32::MAX),
            open_notional_max: most("open_notional_max", open_notional_max)?,
            orders_per_trade_max,
            orders_free,
        };
        Ok(Self { inner })
    }
}

/// See the stub.
#[pyclass(name = "Bounds", module = "mmbot._core", frozen)]
#[derive(Clone)]
pub struct PyBounds {
    pub inner: Bounds,
}

#[pymethods]
impl PyBounds {
    #[new]
    #[pyo3(signature = (
        *, creates_per_second_max = None, requests_per_second_max = None, strategy_notional_max = None,
        account_gross_max = None, account_net_max = None, positions_max = None, firm_gross_max = None,
        firm_net_max = None,
        account_elsewhere_age_ns = 0, firm_elsewhere_age_ns = 0, margin_age_ns = 0, mark_age_ns = 0,
        order_worth_cap = None,
        gross_worth_cap = None
    ))]
    fn new(
        creates_per_second_max: Option<u32>,
        requests_per_second_max: Option<u32>,
        strategy_notional_max: Option<i128>,
        account_gross_max: Option<i128>,
        account_net_max: Option<i128>,
        positions_max: Option<u32>,
        firm_gross_max: Option<i128>,
        firm_net_max: Option<i128>,
        account_elsewhere_age_ns: i64,
        firm_elsewhere_age_ns: i64,
        margin_age_ns: i64,
        mark_age_ns: i64,
        order_worth_cap: Option<i128>,
        gross_worth_cap: Option<i128>,
    ) -> PyResult<Self> {
        let inner = Bounds {
            creates_per_second_max: creates_per_second_max.unwrap_or(u32::MAX),
            requests_per_second_max: requests_per_second_max.unwrap_or(u32::MAX),
            strategy_notional_max: most("strategy_notional_max", strategy_notional_max)?,
            account_gross_max: most("account_gross_max", account_gross_max)?,
            account_net_max: most("account_net_max", account_net_max)?,
            positions_max: positions_max.unwrap_or(u32::MAX),
            firm_gross_max: most("firm_gross_max", firm_gross_max)?,
            firm_net_max: most("firm_net_max", firm_net_max)?,
            account_elsewhere_age_max: age("account_elsewhere_age_ns", account_elsewhere_age_ns)?,
            firm_elsewhere_age_max: age("firm_elsewhere_age_ns", firm_elsewhere_age_ns)?,
            margin_age_max: age("margin_age_ns", margin_age_ns)?,
            mark_age_max: age("mark_age_ns", mark_age_ns)?,
            order_worth_cap: most("order_worth_cap", order_worth_cap)?,
            gross_worth_cap: most("gross_worth_cap", gross_worth_cap)?,
        };
        Ok(Self { inner })
    }

    /// See the stub.
    #[getter]
    fn caps(&self) -> (i128, i128) {
        let (order, gross) = self.inner.caps();
        (order.0, gross.0)
    }
}

/// See the stub.
#[pyfunction]
fn denial_table() -> Vec<(u8, &'static str, &'static str, &'static str)> {
    Denial::ALL.iter().map(|denial| (*denial as u8, denial.name(), denial.tier().name(), denial.meaning())).collect()
}

/// A freeze level by its number.
pub fn level_from(number: u8) -> PyResult<FreezeLevel> {
    FreezeLevel::ALL
        .get(usize::from(number))
        .copied()
        .ok_or_else(|| value_error(format!("freeze level {number}: expected 0 (normal) to 5 (kill)")))
}

/// A scope by its kind; "symbol" needs the instrument.
pub fn scope_from(kind: &str, instrument: Option<u16>) -> PyResult<Scope> {
    match (kind, instrument) {
        ("symbol", Some(instrument)) => Ok(Scope::Symbol(InstrumentId(instrument))),
        ("symbol", None) => Err(value_error("scope symbol: say which instrument")),
        ("strategy", _) => Ok(Scope::Strategy),
        ("account", _) => Ok(Scope::Account),
        ("firm", _) => Ok(Scope::Firm),
        (other, _) => Err(value_error(format!("scope {other:?}: expected symbol, strategy, account or firm"))),
    }
}

/// The name of a scope, and its instrument.
pub const fn scope_name(scope: Scope) -> (&'static str, Option<u16>) {
    match scope {
        Scope::Symbol(InstrumentId(instrument)) => ("symbol", Some(instrument)),
        Scope::Strategy => ("strategy", None),
        Scope::Account => ("account", None),
        Scope::Firm => ("firm", None),
    }
}

/// A circle by its name.
pub fn circle_from(name: &str) -> PyResult<Circle> {
    match name {
        "account" => Ok(Circle::Account),
        "firm" => Ok(Circle::Firm),
        other => Err(value_error(format!("circle {other:?}: expected account or firm"))),
    }
}

/// What others hold: both sums, or neither is known.
pub fn held_from(gross: Option<i128>, net: Option<i128>, at: i64) -> Option<Elsewhere> {
    gross.zip(net).map(|(gross, net)| Elsewhere { gross: Cash(gross), net: Cash(net), at: Nanos(at) })
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyControls>()?;
    module.add_class::<PyBounds>()?;
    module.add_function(wrap_pyfunction!(denial_table, module)?)
}
