//! The exchange's floor, as Python sees it.

use mmbot_book::{BookError, RestingOrder};
use mmbot_sim::{
    Cancels, Cursor, Depth, Fill, Floor, FloorError, Hit, LimitOrder, MatchError, Outcome, PlayError, Played, SelfTrade,
};
use mmbot_types::{Level, NO_ASK, NO_BID, OrderId, Side, Tif};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;

use crate::data::{PyTape, TapeFault, side_named};

/// (maker id, taker id, price in ticks, lots).
type FillRow = (u64, u64, i32, u32);

/// (maker id, price in ticks, lots, aggressor).
type HitRow = (u64, i32, u32, &'static str);

/// The same, venue time and trade.
type PlayedRow = (u64, i32, u32, &'static str, i64, Option<usize>);

fn rows(fills: &[Fill]) -> Vec<FillRow> {
    fills.iter().map(|fill| (fill.maker.0, fill.taker.0, fill.tick, fill.lots)).collect()
}

const fn named(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

const fn hit_row(Hit { fill, aggressor }: &Hit) -> HitRow {
    (fill.maker.0, fill.tick, fill.lots, named(*aggressor))
}

const fn played_row(Played { hit, ts_venue, trade }: &Played) -> PlayedRow {
    let (maker, tick, lots, aggressor) = hit_row(hit);
    (maker, tick, lots, aggressor, *ts_venue, *trade)
}

fn one_of<T: Copy>(field: &str, text: &str, known: &[(&str, T)]) -> PyResult<T> {
    known.iter().find(|(name, _)| *name == text).map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        PyValueError::new_err(format!("{field} {text:?} is none of {}", names.join(", ")))
    })
}

fn rule(text: &str) -> PyResult<SelfTrade> {
    let known = [
        ("none", SelfTrade::Allow),
        ("cancel_maker", SelfTrade::WithdrawMaker),
        ("cancel_taker", SelfTrade::DropTaker),
        ("cancel_both", SelfTrade::DropBoth),
    ];
    one_of("stp", text, &known)
}

fn fault(error: PlayError) -> PyErr {
    match error {
        PlayError::Book(_) => PyValueError::new_err(error.to_string()),
        PlayError::Tape(_) | PlayError::Beyond { .. } => TapeFault::new_err(error.to_string()),
    }
}

/// Ascending levels of (tick, lots) pairs.
fn levels(pairs: Vec<(i32, u32)>) -> Vec<Level> {
    let mut levels: Vec<_> = pairs.into_iter().map(|(tick, lots)| Level { tick, lots }).collect();
    levels.sort_by_key(|level| level.tick);
    levels
}

fn sides([bids, asks]: Depth) -> (Vec<(i32, u64)>, Vec<(i32, u64)>) {
    (bids, asks)
}

/// See the stub.
#[pyclass(name = "Execution", module = "mmbot._core", frozen)]
struct PyExecution {
    outcome: Outcome,
    refused: Option<&'static str>,
}

#[pymethods]
impl PyExecution {
    #[getter]
    fn fills(&self) -> Vec<FillRow> {
        rows(&self.outcome.fills)
    }

    #[getter]
    fn withdrawn(&self) -> Vec<(u64, u32)> {
        self.outcome.withdrawn.iter().map(|order| (order.id.0, order.lots)).collect()
    }

    #[getter]
    fn remaining(&self) -> u32 {
        self.outcome.remaining
    }

    #[getter]
    fn resting(&self) -> bool {
        self.outcome.resting
    }

    #[getter]
    fn stopped(&self) -> bool {
        self.outcome.stopped
    }

    #[getter]
    fn refused(&self) -> Option<&'static str> {
        self.refused
    }

    fn __repr__(&self) -> String {
        let Outcome { fills, withdrawn, remaining, resting, stopped } = &self.outcome;
        let (fills, withdrawn) = (fills.len(), withdrawn.len());
        let refused = self.refused.map_or(String::new(), |why| format!(", refused {why}"));
        format!(
            "Execution({fills} fills, {withdrawn} withdrawn, remaining {remaining}, resting {resting}, \
             stopped {stopped}{refused})"
        )
    }
}

/// What the market decides is an outcome, what the caller got wrong an exception.
fn executed(result: Result<Outcome, FloorError>, lots: u32) -> PyResult<PyExecution> {
    let refused =
        |why| Ok(PyExecution { outcome: Outcome { remaining: lots, ..Outcome::default() }, refused: Some(why) });
    match result {
        Ok(outcome) => Ok(PyExecution { outcome, refused: None }),
        Err(FloorError::Match(MatchError::WouldCross { .. })) => refused("would_cross"),
        Err(FloorError::Match(MatchError::NotFillable { .. })) => refused("not_fillable"),
        Err(error) => Err(wrong(error)),
    }
}

fn wrong(error: FloorError) -> PyErr {
    match error {
        FloorError::Match(MatchError::Book(BookError::Unknown { .. })) => PyKeyError::new_err(error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}

/// See the stub.
#[pyclass(name = "Floor", module = "mmbot._core")]
struct PyFloor {
    floor: Floor,
    hits: Vec<Hit>,
}

impl PyFloor {
    /// Runs one public event and hands out what it hit.
    fn heard<E>(
        &mut self,
        happen: impl FnOnce(&mut Floor, &mut Vec<Hit>) -> Result<(), E>,
        map: impl Fn(E) -> PyErr,
    ) -> PyResult<Vec<HitRow>> {
        self.hits.clear();
        happen(&mut self.floor, &mut self.hits).map_err(map)?;
        Ok(self.hits.iter().map(hit_row).collect())
    }
}

#[pymethods]
impl PyFloor {
    #[new]
    #[pyo3(signature = (*, cancels = "behind", show_clients = true))]
    fn new(cancels: &str, show_clients: bool) -> PyResult<Self> {
        let known = [("behind", Cancels::Behind), ("proportional", Cancels::Proportional)];
        Ok(Self { floor: Floor::new(one_of("cancels", cancels, &known)?, show_clients), hits: Vec::new() })
    }

    fn public_depth(&mut self, kind: &str, bids: Vec<(i32, u32)>, asks: Vec<(i32, u32)>) -> PyResult<Vec<HitRow>> {
        let snapshot = one_of("kind", kind, &[("delta", false), ("snapshot", true)])?;
        let (bids, asks) = (levels(bids), levels(asks));
        let wrong = |error: BookError| PyValueError::new_err(error.to_string());
        self.heard(|floor, hits| floor.public_depth(snapshot, &bids, &asks, hits), wrong)
    }

    fn public_trade(&mut self, aggressor: &str, tick: i32, lots: u32) -> PyResult<Vec<HitRow>> {
        let side = side_named("aggressor", aggressor)?;
        self.heard(
            |floor, hits| {
                floor.public_trade(side, tick, lots, hits);
                Ok(())
            },
            fault,
        )
    }

    fn apply(&mut self, tape: &PyTape, index: usize) -> PyResult<Vec<HitRow>> {
        self.heard(|floor, hits| floor.apply(&tape.inner, index, hits), fault)
    }

    fn apply_trade(&mut self, tape: &PyTape, index: usize) -> PyResult<Vec<HitRow>> {
        self.heard(|floor, hits| floor.apply_trade(&tape.inner, index, hits), fault)
    }

    fn play(
        &mut self,
        tape: &PyTape,
        depth_next: usize,
        trade_next: usize,
        until_ns: i64,
    ) -> PyResult<(usize, usize, Vec<PlayedRow>)> {
        let mut made = Vec::new();
        let cursor = Cursor { depth: depth_next, trade: trade_next };
        let cursor = self.floor.play(&tape.inner, cursor, until_ns, &mut made).map_err(fault)?;
        Ok((cursor.depth, cursor.trade, made.iter().map(played_row).collect()))
    }

    #[pyo3(signature = (order_id, side, tick, lots, owner, *, tif = "gtc", post_only = false, stp = "none"))]
    fn place(
        &mut self,
        order_id: u64,
        side: &str,
        tick: i32,
        lots: u32,
        owner: u32,
        tif: &str,
        post_only: bool,
        stp: &str,
    ) -> PyResult<PyExecution> {
        let tif = one_of("tif", tif, &[("gtc", Tif::Gtc), ("ioc", Tif::Ioc), ("fok", Tif::Fok)])?;
        let order = RestingOrder { id: OrderId(order_id), side: side_named("side", side)?, tick, lots, owner };
        executed(self.floor.place(LimitOrder { order, tif, post_only }, rule(stp)?), lots)
    }

    #[pyo3(signature = (order_id, tick, lots, *, post_only = false, stp = "none"))]
    fn amend(&mut self, order_id: u64, tick: i32, lots: u32, post_only: bool, stp: &str) -> PyResult<PyExecution> {
        executed(self.floor.amend(OrderId(order_id), tick, lots, post_only, rule(stp)?), lots)
    }

    fn cancel(&mut self, order_id: u64) -> PyResult<u32> {
        self.floor.cancel(OrderId(order_id)).map(|order| order.lots).map_err(wrong)
    }

    fn ahead(&self, order_id: u64) -> PyResult<u64> {
        let order = self.floor.client(OrderId(order_id)).map_err(wrong)?;
        Ok(self.floor.book().ahead(order.id).unwrap_or_default())
    }

    fn order(&self, order_id: u64) -> Option<(&'static str, i32, u32)> {
        self.floor.client(OrderId(order_id)).ok().map(|order| (named(order.side), order.tick, order.lots))
    }

    fn touch(&self) -> (Option<i32>, Option<i32>) {
        let touch = self.floor.touch();
        ((touch.bid != NO_BID).then_some(touch.bid), (touch.ask != NO_ASK).then_some(touch.ask))
    }

    fn lots_at(&self, side: &str, tick: i32) -> PyResult<u64> {
        Ok(self.floor.lots_at(side_named("side", side)?, tick))
    }

    fn public_lots_at(&self, side: &str, tick: i32) -> PyResult<u64> {
        Ok(self.floor.public_lots(side_named("side", side)?, tick))
    }

    fn depth(&self, levels: usize) -> (Vec<(i32, u64)>, Vec<(i32, u64)>) {
        sides(self.floor.depth(levels))
    }

    fn changes(&mut self, levels: usize) -> (Vec<(i32, u64)>, Vec<(i32, u64)>) {
        sides(self.floor.changes(levels))
    }

    fn published(&self, levels: usize) -> (Vec<(i32, u64)>, Vec<(i32, u64)>) {
        sides(self.floor.published(levels))
    }

    #[getter]
    fn version(&self) -> u64 {
        self.floor.version()
    }

    fn __len__(&self) -> usize {
        self.floor.clients_resting()
    }

    fn check_invariants(&self) {
        self.floor.check_invariants();
    }
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyExecution>()?;
    module.add_class::<PyFloor>()
}
