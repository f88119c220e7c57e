//! What a strategy says: an intent made by `quotes` or `ladder`, and how a reply is read.

use std::cell::RefCell;

use mmbot_engine::{Intent, Quote};
use mmbot_types::{InstrumentId, Lots, OrderRequest, Side, Ticks, Tif};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use smallvec::{SmallVec, smallvec};

fn value_error(text: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(text.to_string())
}

/// "buy" or "sell".
pub fn side_from(text: &str) -> PyResult<Side> {
    match text {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        other => Err(value_error(format!("side {other:?}: expected \"buy\" or \"sell\""))),
    }
}

/// See the stub.
#[pyclass(name = "Intent", module = "mmbot._core", frozen, eq)]
#[derive(Clone, PartialEq)]
pub struct PyIntent {
    /// For which instrument.
    pub instrument: InstrumentId,
    /// What is wanted.
    pub inner: Intent,
}

fn quote(side: Side, price: i64, lots: i64) -> PyResult<Quote> {
    if price <= 0 || lots <= 0 {
        return Err(value_error(format!("a quote of {lots} lots at {price} ticks: both must be positive")));
    }
    Ok(Quote { side, price: Ticks(price), qty: Lots(lots) })
}

fn check_uncrossed(intent: &Intent) -> PyResult<()> {
    let prices = |side| intent.quotes.iter().filter(move |q| q.side == side).map(|q| q.price);
    match (prices(Side::Buy).max(), prices(Side::Sell).min()) {
        (Some(bid), Some(ask)) if bid >= ask => {
            Err(value_error(format!("Bid-ask invariant violated: own bid {bid} is not below own ask {ask} (ticks)")))
        }
        _ => Ok(()),
    }
}

#[pymethods]
impl PyIntent {
    /// All own quotes, as (side, price in ticks, lots).
    #[getter]
    fn quotes(&self) -> Vec<(&'static str, i64, i64)> {
        let name = |side| if side == Side::Buy { "buy" } else { "sell" };
        self.inner.quotes.iter().map(|q| (name(q.side), q.price.0, q.qty.0)).collect()
    }

    #[getter]
    fn instrument(&self) -> u16 {
        self.instrument.0
    }

    #[pyo3(signature = (side, lots, limit, *, tif = "ioc", post_only = false, reduce_only = false))]
    fn and_order(
        &self,
        side: &str,
        lots: i64,
        limit: i64,
        tif: &str,
        post_only: bool,
        reduce_only: bool,
    ) -> PyResult<Self> {
        let tif = match tif {
            "gtc" => Tif::Gtc,
            "ioc" => Tif::Ioc,
            "fok" => Tif::Fok,
            other => return Err(value_error(format!("tif {other:?}: expected \"gtc\", \"ioc\" or \"fok\""))),
        };
        let wanted = quote(side_from(side)?, limit, lots)?;
        let mut more = self.clone();
        more.inner.immediate.push(OrderRequest {
            instrument: self.instrument,
            side: wanted.side,
            price: wanted.price,
            qty: wanted.qty,
            tif,
            post_only,
            reduce_only,
        });
        Ok(more)
    }

    fn __repr__(&self) -> String {
        format!("Intent(instrument={}, quotes={:?})", self.instrument.0, self.quotes())
    }
}

/// What `quotes` was called with, and what it made of it.
struct Said {
    bid: Py<PyAny>,
    ask: Py<PyAny>,
    lots: Py<PyAny>,
    pair: Pair,
    intent: Py<PyIntent>,
}

type Pair = (Option<i64>, Option<i64>, i64, u16);

thread_local! {
    /// The last pair of quotes: a maker says the same thing most of the time, often with the very objects that the
    /// window holds, and an intent never changes.
    static LAST_QUOTES: RefCell<Option<Said>> = const { RefCell::new(None) };
}

/// See the stub.
#[pyfunction]
#[pyo3(signature = (bid, ask, lots, instrument = 0))]
fn quotes<'py>(
    bid: &Bound<'py, PyAny>,
    ask: &Bound<'py, PyAny>,
    lots: &Bound<'py, PyAny>,
    instrument: u16,
) -> PyResult<Py<PyIntent>> {
    let py = bid.py();
    let again = |same: &dyn Fn(&Said) -> bool| {
        LAST_QUOTES.with_borrow(|last| last.as_ref().filter(|said| same(said)).map(|said| said.intent.clone_ref(py)))
    };
    let objects = |said: &Said| said.bid.is(bid) && said.ask.is(ask) && said.lots.is(lots) && said.pair.3 == instrument;
    if let Some(intent) = again(&objects) {
        return Ok(intent);
    }
    let pair = (bid.extract()?, ask.extract()?, lots.extract()?, instrument);
    if let Some(intent) = again(&|said| said.pair == pair) {
        return Ok(intent);
    }
    let intent = Py::new(py, two_sided(pair)?)?;
    let owned = |object: &Bound<'py, PyAny>| object.clone().unbind();
    let (bid, ask, lots) = (owned(bid), owned(ask), owned(lots));
    LAST_QUOTES.set(Some(Said { bid, ask, lots, pair, intent: intent.clone_ref(py) }));
    Ok(intent)
}

fn two_sided((bid, ask, lots, instrument): Pair) -> PyResult<PyIntent> {
    let mut inner = Intent::default();
    if let Some(bid) = bid {
        inner.quotes.push(quote(Side::Buy, bid, lots)?);
    }
    if let Some(ask) = ask {
        inner.quotes.push(quote(Side::Sell, ask, lots)?);
    }
    check_uncrossed(&inner)?;
    Ok(PyIntent { instrument: InstrumentId(instrument), inner })
}

/// See the stub.
#[pyfunction]
#[pyo3(signature = (bids, asks, instrument = 0))]
fn ladder(bids: Vec<(i64, i64)>, asks: Vec<(i64, i64)>, instrument: u16) -> PyResult<PyIntent> {
    let mut inner = Intent::default();
    for (side, rungs) in [(Side::Buy, bids), (Side::Sell, asks)] {
        for (price, lots) in rungs {
            inner.quotes.push(quote(side, price, lots)?);
        }
    }
    check_uncrossed(&inner)?;
    Ok(PyIntent { instrument: InstrumentId(instrument), inner })
}

fn wrong_reply(said: &Bound<'_, PyAny>) -> PyErr {
    let got = said.get_type().name().map_or_else(|_| "an object".into(), |name| name.to_string());
    PyTypeError::new_err(format!("decide() returned {got}; expected an Intent, a list of them, or None"))
}

fn intent_from(said: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyIntent>> {
    said.cast_into_exact().map_err(|error| wrong_reply(&error.into_inner()))
}

/// Reads what `decide` returned: nothing, one intent, or a list of them for instruments below `instruments`. All of it
/// is sound, or on an error none is taken.
pub fn replies<'py>(said: &Bound<'py, PyAny>, instruments: usize) -> PyResult<SmallVec<[Bound<'py, PyIntent>; 1]>> {
    if said.is_none() {
        return Ok(SmallVec::new());
    }
    let intents: SmallVec<[_; 1]> = match said.cast_exact::<PyIntent>() {
        Ok(intent) => smallvec![intent.clone()],
        Err(_) => match said.cast::<PyList>() {
            Ok(several) => several.iter().map(intent_from).collect::<PyResult<_>>()?,
            Err(_) => return Err(wrong_reply(said)),
        },
    };
    match intents.iter().map(|intent| intent.get().instrument.0).find(|got| usize::from(*got) >= instruments) {
        None => Ok(intents),
        Some(got) => Err(value_error(format!("an intent for instrument {got}; this run has 0 to {}", instruments - 1))),
    }
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyIntent>()?;
    module.add_function(wrap_pyfunction!(quotes, module)?)?;
    module.add_function(wrap_pyfunction!(ladder, module)?)
}
