use mmbot_book::{RestingOrder, TICK_MAX};
use mmbot_sim::{Execution, LimitOrder, MatchError, MatchingBook, QueueModel, QueuePosition, SelfTrade};
use mmbot_types::{NO_ASK, NO_BID, OrderId, Side, Tif};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;

/// Quantities above this lose whole units in a float.
const QUANTITY_MAX: f64 = 1e15;

fn refused(message: String) -> PyErr {
    PyValueError::new_err(message)
}

/// What Python calls it: numbers as they are, the rest quoted.
fn shown(value: &Bound<'_, PyAny>) -> String {
    value.repr().map_or_else(|_| "something without a repr".into(), |repr| repr.to_string())
}

fn side_of(value: &Bound<'_, PyAny>) -> PyResult<Side> {
    let text = value.extract::<String>().unwrap_or_default();
    let sign = value.extract::<i64>().unwrap_or_default();
    match (text.as_str(), sign) {
        ("buy", _) | (_, 1) => Ok(Side::Buy),
        ("sell", _) | (_, -1) => Ok(Side::Sell),
        _ => Err(refused(format!("side must be \"buy\", \"sell\", +1 or -1, got {}", shown(value)))),
    }
}

/// A finite quantity from `least` up to [`QUANTITY_MAX`].
fn quantity(name: &str, value: &Bound<'_, PyAny>, zero_is_fine: bool) -> PyResult<f64> {
    let number = value.extract::<f64>().unwrap_or(f64::NAN);
    let high_enough = if zero_is_fine { number >= 0.0 } else { number > 0.0 };
    if high_enough && number <= QUANTITY_MAX {
        return Ok(number);
    }
    let least = if zero_is_fine { "at least 0" } else { "above 0" };
    Err(refused(format!("{name} must be a number {least} and at most {QUANTITY_MAX:e}, got {}", shown(value))))
}

/// A whole number in `1..=most`.
fn whole(name: &str, value: &Bound<'_, PyAny>, most: u32) -> PyResult<u32> {
    match value.extract::<i64>() {
        Ok(number) if (1..=i64::from(most)).contains(&number) => Ok(number as u32),
        _ => Err(refused(format!("{name} must be a whole number from 1 to {most}, got {}", shown(value)))),
    }
}

fn lots_of(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    whole("qty_lots", value, u32::MAX)
}

fn price_of(value: &Bound<'_, PyAny>) -> PyResult<i32> {
    whole("price_ticks", value, TICK_MAX as u32).map(|tick| tick as i32)
}

fn id_of(value: &Bound<'_, PyAny>) -> PyResult<OrderId> {
    let message = || refused(format!("order_id must be a whole number from 0 to 2**64 - 1, got {}", shown(value)));
    value.extract::<u64>().map(OrderId).map_err(|_| message())
}

fn law(name: &str, n: Option<f64>) -> PyResult<QueueModel> {
    let model = match name {
        "risk_averse" => QueueModel::RiskAverse,
        "power" => QueueModel::Power(n.unwrap_or(2.0)),
        "power2" => QueueModel::Power2(n.unwrap_or(2.0)),
        "power3" => QueueModel::Power3(n.unwrap_or(3.0)),
        "log" => QueueModel::Log,
        "log2" => QueueModel::Log2,
        "fifo" => QueueModel::Fifo,
        _ => {
            let known = "risk_averse, power, power2, power3, log, log2, fifo";
            return Err(refused(format!("unknown queue model {name:?}; choose one of {known}")));
        }
    };
    let has_exponent = matches!(model, QueueModel::Power(_) | QueueModel::Power2(_) | QueueModel::Power3(_));
    if n.is_some() && !has_exponent {
        return Err(refused(format!("queue model {name:?} has no exponent; leave n out")));
    }
    model.checked().map_err(|error| refused(error.to_string()))
}

/// Where an order of ours stands in line, and when trades reach it; the very law the simulated venue uses.
#[pyclass(name = "QueueTracker", module = "mmbot._core")]
struct PyQueueTracker {
    model: QueueModel,
    side: Side,
    place: QueuePosition,
    qty: f64,
    past: f64,
}

#[pymethods]
impl PyQueueTracker {
    #[new]
    #[pyo3(signature = (model, *, side, ahead, qty=None, n=None))]
    fn new(
        model: &str,
        side: &Bound<'_, PyAny>,
        ahead: &Bound<'_, PyAny>,
        qty: Option<&Bound<'_, PyAny>>,
        n: Option<f64>,
    ) -> PyResult<Self> {
        let (model, side) = (law(model, n)?, side_of(side)?);
        let qty = qty.map_or(Ok(1.0), |qty| quantity("qty", qty, false))?;
        let place = model.join_quantity(quantity("ahead", ahead, true)?);
        Ok(Self { model, side, place, qty, past: 0.0 })
    }

    /// A public trade at our price: it eats from the front, and what goes past our place fills us.
    fn on_trade(&mut self, qty: &Bound<'_, PyAny>) -> PyResult<()> {
        self.model.on_trade_quantity(&mut self.place, quantity("qty", qty, false)?);
        self.past += self.place.past();
        Ok(())
    }

    /// The quantity now displayed at our price, ours not counted. What trades do not explain was cancelled.
    fn on_depth(&mut self, new_level_qty: &Bound<'_, PyAny>) -> PyResult<()> {
        self.model.on_depth_quantity(&mut self.place, quantity("new_level_qty", new_level_qty, true)?);
        Ok(())
    }

    /// A cancel whose place is known. Only for "fifo"; the next on_depth does not count it again.
    fn on_cancel(&mut self, qty: &Bound<'_, PyAny>, ahead: bool) -> PyResult<()> {
        if self.model != QueueModel::Fifo {
            return Err(refused("on_cancel needs model \"fifo\": the other laws infer cancels from on_depth".into()));
        }
        self.place.on_cancel(quantity("qty", qty, false)?, ahead);
        Ok(())
    }

    #[getter]
    fn side(&self) -> &'static str {
        match self.side {
            Side::Buy => "buy",
            Side::Sell => "sell",
        }
    }

    #[getter]
    fn ahead(&self) -> f64 {
        self.place.ahead()
    }

    #[getter]
    fn filled(&self) -> bool {
        self.past > 0.0
    }

    #[getter]
    fn filled_qty(&self) -> f64 {
        self.past.min(self.qty)
    }
}

/// (maker id, taker id, price in ticks, lots).
type FillRow = (u64, u64, i32, u32);

fn rows(outcome: Result<Execution<'_>, MatchError>) -> PyResult<Vec<FillRow>> {
    let done = outcome.map_err(|error| refused(error.to_string()))?;
    Ok(done.fills.iter().map(|fill| (fill.maker.0, fill.taker.0, fill.tick, fill.lots)).collect())
}

/// Price-time matching: see mmbot.sim.MatchingBook.
#[pyclass(name = "MatchingBook", module = "mmbot._core")]
struct PyMatchingBook {
    book: MatchingBook,
}

#[pymethods]
impl PyMatchingBook {
    #[new]
    #[pyo3(signature = (self_trade="allow"))]
    fn new(self_trade: &str) -> PyResult<Self> {
        let policy = match self_trade {
            "allow" => SelfTrade::Allow,
            "drop_taker" => SelfTrade::DropTaker,
            "withdraw_maker" => SelfTrade::WithdrawMaker,
            _ => {
                let known = "allow, drop_taker, withdraw_maker";
                return Err(refused(format!("unknown self_trade policy {self_trade:?}; choose one of {known}")));
            }
        };
        Ok(Self { book: MatchingBook::new(policy) })
    }

    #[pyo3(signature = (order_id, side, price_ticks, qty_lots, *, tif="gtc", post_only=false, owner=0))]
    #[allow(clippy::too_many_arguments)] // an order has that many terms, and Python names them
    fn add(
        &mut self,
        order_id: &Bound<'_, PyAny>,
        side: &Bound<'_, PyAny>,
        price_ticks: &Bound<'_, PyAny>,
        qty_lots: &Bound<'_, PyAny>,
        tif: &str,
        post_only: bool,
        owner: u32,
    ) -> PyResult<Vec<FillRow>> {
        let tif = match tif {
            "gtc" => Tif::Gtc,
            "ioc" => Tif::Ioc,
            "fok" => Tif::Fok,
            _ => return Err(refused(format!("tif must be \"gtc\", \"ioc\" or \"fok\", got {tif:?}"))),
        };
        let (id, side, tick, lots) = (id_of(order_id)?, side_of(side)?, price_of(price_ticks)?, lots_of(qty_lots)?);
        rows(self.book.limit(LimitOrder { order: RestingOrder { id, side, tick, lots, owner }, tif, post_only }))
    }

    #[pyo3(signature = (side, qty_lots, *, owner=0))]
    fn market(&mut self, side: &Bound<'_, PyAny>, qty_lots: &Bound<'_, PyAny>, owner: u32) -> PyResult<Vec<FillRow>> {
        rows(self.book.market(OrderId(0), side_of(side)?, lots_of(qty_lots)?, owner))
    }

    #[pyo3(signature = (order_id, price_ticks, qty_lots, *, post_only=false))]
    fn amend(
        &mut self,
        order_id: &Bound<'_, PyAny>,
        price_ticks: &Bound<'_, PyAny>,
        qty_lots: &Bound<'_, PyAny>,
        post_only: bool,
    ) -> PyResult<Vec<FillRow>> {
        let (id, tick, lots) = (self.live(order_id)?, price_of(price_ticks)?, lots_of(qty_lots)?);
        rows(self.book.amend(id, tick, lots, post_only))
    }

    fn cancel(&mut self, order_id: &Bound<'_, PyAny>) -> PyResult<u32> {
        let id = self.live(order_id)?;
        self.book.cancel(id).map(|order| order.lots).map_err(|error| refused(error.to_string()))
    }

    fn ahead(&self, order_id: &Bound<'_, PyAny>) -> PyResult<u64> {
        let id = self.live(order_id)?;
        Ok(self.book.book().ahead(id).unwrap_or_default())
    }

    fn best(&self) -> (Option<i32>, Option<i32>) {
        let touch = self.book.touch();
        ((touch.bid != NO_BID).then_some(touch.bid), (touch.ask != NO_ASK).then_some(touch.ask))
    }

    #[pyo3(signature = (side, levels=None))]
    fn depth(&self, side: &Bound<'_, PyAny>, levels: Option<usize>) -> PyResult<Vec<(i32, u64)>> {
        Ok(self.book.book().levels(side_of(side)?).take(levels.unwrap_or(usize::MAX)).collect())
    }

    fn state_hash(&self) -> u64 {
        self.book.book().state_hash()
    }

    fn __len__(&self) -> usize {
        self.book.book().len()
    }

    fn __contains__(&self, order_id: u64) -> bool {
        self.book.book().order(OrderId(order_id)).is_some()
    }
}

impl PyMatchingBook {
    fn live(&self, order_id: &Bound<'_, PyAny>) -> PyResult<OrderId> {
        let id = id_of(order_id)?;
        match self.book.book().order(id) {
            Some(_) => Ok(id),
            None => {
                Err(PyKeyError::new_err(format!("order {} is not in the book: filled, cancelled or never added", id.0)))
            }
        }
    }
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyQueueTracker>()?;
    module.add_class::<PyMatchingBook>()
}
