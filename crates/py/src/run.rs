//! What a run can be asked, while it is under way and afterwards: the same readers for a replay and for a live engine.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mmbot_engine::{Denial, Engine, Life, Market, Op, Order, Owner};
use mmbot_ledger::LedgerState;
use mmbot_replay::{Feed, Live, Recorder, Replay};
use mmbot_types::{Cash, InstrumentId, Lots, NO_ASK, NO_BID, Nanos, OrderId, RejectReason, Side, Touch};
use numpy::PyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::intent::side_from;
use crate::live::side_name;

fn value_error(text: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(text.to_string())
}

/// What the readers need of a driver.
pub trait Stage {
    fn market(&self) -> &Market;
    fn feed(&self, instrument: InstrumentId) -> &Feed;
    fn engine(&self, seat: u16) -> &Engine;
    fn recorder(&self, seat: u16) -> Option<&Recorder>;
    fn ahead(&mut self, seat: u16, instrument: InstrumentId, id: OrderId) -> Option<f64>;
    fn wakes(&self, seat: u16) -> u64;
    fn now(&self) -> Nanos;
    /// The books that a run took over; none for one that began with nothing.
    fn opening(&self) -> Option<&LedgerState> {
        None
    }
    fn check_invariants(&self);
}

impl Stage for Replay {
    fn market(&self) -> &Market {
        self.market()
    }

    fn feed(&self, instrument: InstrumentId) -> &Feed {
        self.feed(instrument)
    }

    fn engine(&self, seat: u16) -> &Engine {
        self.engine(seat)
    }

    fn recorder(&self, seat: u16) -> Option<&Recorder> {
        self.recorder(seat)
    }

    fn ahead(&mut self, seat: u16, instrument: InstrumentId, id: OrderId) -> Option<f64> {
        self.ahead(seat, instrument, id)
    }

    fn wakes(&self, seat: u16) -> u64 {
        self.wakes(seat)
    }

    fn now(&self) -> Nanos {
        self.now()
    }

    fn check_invariants(&self) {
        self.check_invariants();
    }
}

impl Stage for Live {
    fn market(&self) -> &Market {
        self.market()
    }

    fn feed(&self, instrument: InstrumentId) -> &Feed {
        self.feed(instrument)
    }

    fn engine(&self, _: u16) -> &Engine {
        self.engine()
    }

    fn recorder(&self, _: u16) -> Option<&Recorder> {
        self.recorder()
    }

    fn ahead(&mut self, _: u16, instrument: InstrumentId, id: OrderId) -> Option<f64> {
        self.ahead(instrument, id)
    }

    fn wakes(&self, _: u16) -> u64 {
        self.wakes()
    }

    fn now(&self) -> Nanos {
        self.now()
    }

    fn opening(&self) -> Option<&LedgerState> {
        self.opening()
    }

    fn check_invariants(&self) {
        self.check_invariants();
    }
}

/// See the stub.
#[pyclass(name = "Run", module = "mmbot._core", subclass, unsendable)]
pub struct PyRun {
    stage: Rc<RefCell<dyn Stage>>,
    /// How many it has.
    pub instruments: usize,
    /// How many strategies.
    pub seats: usize,
    /// Whose turn it is to be shown the market.
    pub speaking: Cell<u16>,
    fills_seen: RefCell<Vec<usize>>,
}

/// The values that a window's slots hold now, so that a slot is written only when it changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    touch: Touch,
    position: Lots,
}

fn optional(tick: i32, none: i32) -> Option<i32> {
    (tick != none).then_some(tick)
}

impl PyRun {
    /// The readers of a driver.
    pub fn new(stage: Rc<RefCell<dyn Stage>>, instruments: usize, seats: usize) -> Self {
        Self { stage, instruments, seats, speaking: Cell::new(0), fills_seen: RefCell::new(vec![0; seats]) }
    }

    /// Writes what changed into the window of one instrument.
    pub fn show(&self, window: &Bound<'_, PyAny>, index: usize, seat: u16, shown: &mut Option<Shown>) -> PyResult<()> {
        let py = window.py();
        let core = self.stage.borrow();
        let instrument = InstrumentId(index as u16);
        let touch = core.market().get(instrument).touch();
        let fresh = Shown { touch, position: core.engine(seat).position(instrument) };
        drop(core);
        let old = shown.replace(fresh);
        if old.is_none_or(|old| old.touch.bid != fresh.touch.bid) {
            window.setattr(intern!(py, "bid"), optional(fresh.touch.bid, NO_BID))?;
        }
        if old.is_none_or(|old| old.touch.ask != fresh.touch.ask) {
            window.setattr(intern!(py, "ask"), optional(fresh.touch.ask, NO_ASK))?;
        }
        if old.is_none_or(|old| old.position != fresh.position) {
            window.setattr(intern!(py, "position"), fresh.position.0)?;
        }
        Ok(())
    }

    /// A seat of this run, or an error that says which there are.
    pub fn seat(&self, seat: u16) -> PyResult<u16> {
        if (seat as usize) < self.seats {
            return Ok(seat);
        }
        Err(value_error(format!("seat {seat}: this run has seats 0 to {}", self.seats - 1)))
    }

    /// An instrument of this run, likewise.
    pub fn instrument(&self, instrument: u16) -> PyResult<InstrumentId> {
        if (instrument as usize) < self.instruments {
            return Ok(InstrumentId(instrument));
        }
        Err(value_error(format!("instrument {instrument}: this run has 0 to {}", self.instruments - 1)))
    }

    fn with_recorder<T>(&self, seat: u16, read: impl FnOnce(&Recorder) -> T) -> PyResult<T> {
        let seat = self.seat(seat)?;
        let core = self.stage.borrow();
        core.recorder(seat).map(read).ok_or_else(|| value_error(format!("seat {seat} keeps no record (record=False)")))
    }
}

#[pymethods]
impl PyRun {
    /// Time reached, ns since epoch.
    #[getter]
    fn now(&self) -> i64 {
        self.stage.borrow().now().0
    }

    /// See the stub.
    fn wakes(&self, seat: u16) -> PyResult<u64> {
        Ok(self.stage.borrow().wakes(self.seat(seat)?))
    }

    // ---- what a window reads when asked, for the strategy that is speaking

    /// See the stub.
    fn depth(&self, instrument: u16, levels: usize) -> PyResult<(Vec<(i32, u32)>, Vec<(i32, u32)>)> {
        let id = self.instrument(instrument)?;
        let core = self.stage.borrow();
        let book = &core.market().get(id).book;
        let side = |side| book.levels(side).take(levels).map(|level| (level.tick, level.lots)).collect();
        Ok((side(Side::Buy), side(Side::Sell)))
    }

    /// See the stub.
    fn touch_lots(&self, instrument: u16) -> PyResult<(u32, u32)> {
        let core = self.stage.borrow();
        let heard = core.market().get(self.instrument(instrument)?);
        let touch = heard.touch();
        Ok((heard.book.lots(Side::Buy, touch.bid), heard.book.lots(Side::Sell, touch.ask)))
    }

    /// See the stub.
    fn lots_at(&self, instrument: u16, side: &str, tick: i32) -> PyResult<u32> {
        let id = self.instrument(instrument)?;
        Ok(self.stage.borrow().market().get(id).book.lots(side_from(side)?, tick))
    }

    /// See the stub.
    fn signal(&self, instrument: u16, index: usize) -> PyResult<f64> {
        let id = self.instrument(instrument)?;
        let core = self.stage.borrow();
        let signals = &core.market().get(id).signals;
        if index >= signals.len() {
            return Err(value_error(format!("signal {index}: instrument {instrument} has {}", signals.len())));
        }
        Ok(signals.value(index))
    }

    /// See the stub.
    fn last_trade(&self, instrument: u16) -> PyResult<(i32, u64, u64)> {
        let tally = self.stage.borrow().feed(self.instrument(instrument)?).tally();
        Ok((tally.last_tick, tally.bought, tally.sold))
    }

    /// See the stub.
    fn orders(&self, instrument: u16) -> PyResult<Vec<(u64, &'static str, i64, i64, &'static str, f64)>> {
        let id = self.instrument(instrument)?;
        let (mut core, seat) = (self.stage.borrow_mut(), self.speaking.get());
        let orders = core.engine(seat).orders().iter();
        let mine = orders.filter(|order| order.request.instrument == id && order.is_strategys());
        let mine: Vec<_> = mine.cloned().collect();
        let told = |order: mmbot_engine::Order| {
            let side = if order.request.side == Side::Buy { "buy" } else { "sell" };
            let ahead = core.ahead(seat, id, order.id).unwrap_or(f64::NAN);
            (order.id.0, side, order.request.price.0, order.leaves().0, life_name(order.life), ahead)
        };
        Ok(mine.into_iter().map(told).collect())
    }

    /// See the stub.
    fn order_rows(&self, instrument: u16) -> PyResult<Vec<OrderRow>> {
        let id = self.instrument(instrument)?;
        let core = self.stage.borrow();
        let orders = core.engine(self.speaking.get()).orders().iter();
        Ok(orders.filter(|order| order.request.instrument == id).map(order_row).collect())
    }

    /// See the stub.
    fn open_orders(&self) -> Vec<u64> {
        let core = self.stage.borrow();
        let mut open: Vec<_> = core.engine(self.speaking.get()).orders().iter().collect();
        open.sort_by_key(|order| order.request.instrument.0); // stable: by number within an instrument
        open.into_iter().map(|order| order.id.0).collect()
    }

    /// See the stub.
    fn new_fills(&self) -> PyResult<Vec<(u16, i64, &'static str, i64, i64, bool, f64)>> {
        let seat = self.speaking.get();
        let mut seen = self.fills_seen.borrow_mut();
        self.with_recorder(seat, |recorder| {
            let fresh = &recorder.fills[seen[seat as usize]..];
            seen[seat as usize] = recorder.fills.len();
            fresh
                .iter()
                .map(|fill| {
                    let side = if fill.side == Side::Buy { "buy" } else { "sell" };
                    let fee = cash_float(fill.fee);
                    (fill.instrument.0, fill.ts_venue.0, side, fill.price.0, fill.qty.0, fill.maker, fee)
                })
                .collect()
        })
    }

    // ---- what a run leaves behind

    /// See the stub.
    fn fills<'py>(&self, py: Python<'py>, seat: u16) -> PyResult<Bound<'py, PyDict>> {
        self.with_recorder(seat, |recorder| {
            let rows = &recorder.fills;
            let out = PyDict::new(py);
            column(&out, "ts_venue", rows.iter().map(|f| f.ts_venue.0))?;
            column(&out, "ts_recv", rows.iter().map(|f| f.ts_recv.0))?;
            column(&out, "instrument", rows.iter().map(|f| f.instrument.0))?;
            column(&out, "order_id", rows.iter().map(|f| f.order.0))?;
            column(&out, "execution", rows.iter().map(|f| f.execution))?;
            column(&out, "side", rows.iter().map(|f| f.side.sign() as i8))?;
            column(&out, "price_ticks", rows.iter().map(|f| f.price.0))?;
            column(&out, "qty_lots", rows.iter().map(|f| f.qty.0))?;
            column(&out, "maker", rows.iter().map(|f| f.maker))?;
            column(&out, "fee", rows.iter().map(|f| cash_float(f.fee)))?;
            column(&out, "touch_bid", rows.iter().map(|f| f.touch_bid))?;
            column(&out, "touch_ask", rows.iter().map(|f| f.touch_ask))?;
            column(&out, "order_age_ns", rows.iter().map(|f| f.age.0))?;
            column(&out, "ahead_at_join", rows.iter().map(|f| f.ahead_at_join.map_or(-1, i64::from)))?;
            Ok(out)
        })?
    }

    /// See the stub.
    fn order_log<'py>(&self, py: Python<'py>, seat: u16) -> PyResult<Bound<'py, PyDict>> {
        let open: Vec<_> = self.stage.borrow().engine(self.seat(seat)?).orders().iter().cloned().collect();
        self.with_recorder(seat, |recorder| {
            let settled = recorder.orders.iter().map(|row| (&row.order, row.ahead_at_join));
            let rows: Vec<_> =
                settled.chain(open.iter().map(|order| (order, recorder.ahead_at_join(order.id)))).collect();
            let (out, orders) = (PyDict::new(py), || rows.iter().map(|(order, _)| *order));
            column(&out, "order_id", orders().map(|o| o.id.0))?;
            column(&out, "instrument", orders().map(|o| o.request.instrument.0))?;
            column(&out, "side", orders().map(|o| o.request.side.sign() as i8))?;
            column(&out, "price_ticks", orders().map(|o| o.request.price.0))?;
            column(&out, "qty_lots", orders().map(|o| o.request.qty.0))?;
            column(&out, "ts_decided", orders().map(|o| o.ts_decided.0))?;
            column(&out, "ts_accepted", orders().map(|o| o.ts_accepted.map_or(-1, |ts| ts.0)))?;
            column(&out, "ts_done", orders().map(|o| o.ts_done.map_or(-1, |ts| ts.0)))?;
            column(&out, "cum_lots", orders().map(|o| o.booked.0))?;
            column(&out, "amends", orders().map(|o| o.amends))?;
            column(&out, "cancels", orders().map(|o| o.cancels))?;
            column(&out, "ahead_at_join", rows.iter().map(|(_, ahead)| ahead.map_or(-1, i64::from)))?;
            out.set_item("state", orders().map(|o| life_name(o.life)).collect::<Vec<_>>())?;
            let reason = |o: &mmbot_engine::Order| o.reason.filter(|_| o.life == Life::Rejected).map(reason_name);
            out.set_item("reason", orders().map(reason).collect::<Vec<_>>())?;
            Ok(out)
        })?
    }

    /// See the stub.
    fn samples<'py>(&self, py: Python<'py>, seat: u16) -> PyResult<Bound<'py, PyDict>> {
        self.with_recorder(seat, |recorder| {
            let (rows, out) = (&recorder.samples, PyDict::new(py));
            column(&out, "ts", rows.iter().map(|s| s.ts.0))?;
            column(&out, "instrument", rows.iter().map(|s| s.instrument.0))?;
            column(&out, "bid", rows.iter().map(|s| s.bid))?;
            column(&out, "ask", rows.iter().map(|s| s.ask))?;
            column(&out, "position_lots", rows.iter().map(|s| s.position.0))?;
            column(&out, "cash", rows.iter().map(|s| cash_float(s.cash)))?;
            column(&out, "fees", rows.iter().map(|s| cash_float(s.fees)))?;
            column(&out, "quote_bid", rows.iter().map(|s| s.quote_bid))?;
            column(&out, "quote_ask", rows.iter().map(|s| s.quote_ask))?;
            Ok(out)
        })?
    }

    /// See the stub.
    fn books<'py>(&self, py: Python<'py>, seat: u16, instrument: u16) -> PyResult<Bound<'py, PyDict>> {
        let (seat, id) = (self.seat(seat)?, self.instrument(instrument)?);
        let core = self.stage.borrow();
        let (engine, out) = (core.engine(seat), PyDict::new(py));
        let (ledger, touch) = (engine.ledger(), core.market().get(id).touch());
        out.set_item("position_lots", ledger.position(id).0)?;
        out.set_item("cash_units", ledger.cash(id).0)?;
        out.set_item("fee_units", ledger.fees(id).0)?;
        out.set_item("funding_units", ledger.funding(id).0)?;
        out.set_item("turnover_units", ledger.turnover(id).0)?;
        out.set_item("maker_fills", ledger.maker_fills(id))?;
        out.set_item("taker_fills", ledger.taker_fills(id))?;
        out.set_item("bid", optional(touch.bid, NO_BID))?;
        out.set_item("ask", optional(touch.ask, NO_ASK))?;
        Ok(out)
    }

    /// See the stub.
    fn opening<'py>(&self, py: Python<'py>, seat: u16, instrument: u16) -> PyResult<Option<Bound<'py, PyDict>>> {
        let (_, id) = (self.seat(seat)?, self.instrument(instrument)?);
        let core = self.stage.borrow();
        let Some(opening) = core.opening() else { return Ok(None) };
        let (books, out) = (&opening.books[id.0 as usize], PyDict::new(py));
        let [cash, _, fees, funding] = books.balances;
        out.set_item("position_lots", books.position.0)?;
        out.set_item("cash_units", cash.0)?;
        out.set_item("fee_units", fees.0)?;
        out.set_item("funding_units", -funding.0)?;
        out.set_item("turnover_units", books.turnover.0)?;
        out.set_item("maker_fills", books.fills.0)?;
        out.set_item("taker_fills", books.fills.1)?;
        Ok(Some(out))
    }

    /// See the stub.
    fn denials(&self, seat: u16) -> PyResult<Vec<(&'static str, u64)>> {
        let seat = self.seat(seat)?;
        let core = self.stage.borrow();
        Ok(Denial::ALL.iter().map(|denial| (denial.name(), core.engine(seat).denials()[*denial as usize])).collect())
    }

    /// See the stub.
    fn orders_named(&self, seat: u16) -> PyResult<u64> {
        Ok(self.stage.borrow().engine(self.seat(seat)?).orders_named())
    }

    /// See the stub.
    fn commands_hash(&self, seat: u16) -> PyResult<u64> {
        Ok(self.stage.borrow().engine(self.seat(seat)?).commands_hash())
    }

    /// See the stub.
    fn state_hash(&self, seat: u16) -> PyResult<u64> {
        Ok(self.stage.borrow().engine(self.seat(seat)?).state_hash())
    }

    /// See the stub.
    fn check_invariants(&self) {
        self.stage.borrow().check_invariants();
    }
}

fn cash_float(cash: Cash) -> f64 {
    cash.0 as f64 / 1e12
}

fn column<T: numpy::Element>(out: &Bound<'_, PyDict>, name: &str, values: impl Iterator<Item = T>) -> PyResult<()> {
    out.set_item(name, PyArray1::from_vec(out.py(), values.collect()))
}

/// Number, side, tick, lots, booked, cum, exposure, life, op, owner, reduce-only.
pub type OrderRow = (u64, &'static str, i64, i64, i64, i64, i64, &'static str, &'static str, &'static str, bool);

/// All that decides what an order may still do.
pub fn order_row(order: &Order) -> OrderRow {
    let request = &order.request;
    (
        order.id.0,
        side_name(request.side),
        request.price.0,
        request.qty.0,
        order.booked.0,
        order.venue_cum.0,
        order.exposure().0,
        life_name(order.life),
        op_name(order),
        owner_name(order.owner),
        request.reduce_only,
    )
}

fn op_name(order: &Order) -> &'static str {
    match order.op {
        Op::Cancel => "cancel",
        Op::Amend { .. } => "amend",
        Op::Idle if order.is_uncertain() => "amend_unknown",
        Op::Idle => "idle",
    }
}

/// What Python calls an owner.
pub const fn owner_name(owner: Owner) -> &'static str {
    match owner {
        Owner::Strategy => "strategy",
        Owner::Orphan => "orphan",
        Owner::Foreign => "foreign",
    }
}

fn life_name(life: Life) -> &'static str {
    match life {
        Life::Intent => "intent",
        Life::Sent => "sent",
        Life::Acked => "acked",
        Life::Unknown => "unknown",
        Life::Live => "live",
        Life::Partial => "partial",
        Life::ExpiredUnproven => "expired_unproven",
        Life::NeverPlaced => "never_placed",
        Life::Denied => "denied",
        Life::Rejected => "rejected",
        Life::Expired => "expired",
        Life::Canceled => "canceled",
        Life::Filled => "filled",
    }
}

/// What Python calls a reason.
pub fn reason_name(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::PostOnlyWouldCross => "post_only_would_cross",
        RejectReason::NotFillable => "not_fillable",
        RejectReason::ReduceOnly => "reduce_only",
        RejectReason::UnknownOrder => "unknown_order",
        RejectReason::Invalid => "invalid",
        RejectReason::NoMarket => "no_market",
        RejectReason::Other => "other",
        RejectReason::HeldBack => "held_back",
    }
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyRun>()
}
