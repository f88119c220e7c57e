//! The replay, as Python sees it: plans in, a window on the market at each wake, intents back, records out.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use mmbot_engine::{Denial, Desk, DifferRules, Intent, Life, Limits, Quote};
use mmbot_replay::{FeedLatency, JoinTouch, Listing, Plan, Recorder, Replay, ReplayError, Seat, WakeRule};
use mmbot_sim::{FillRule, LatencyModel, Laws};
use mmbot_types::{
    Cash, InstrumentId, Lots, NO_ASK, NO_BID, Nanos, OrderRequest, RejectReason, Side, Ticks, Tif, Touch,
};
use numpy::PyArray1;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use smallvec::SmallVec;

use crate::data::{PyInstrument, PyTape, TapeFault};
use crate::specs::queue_model;

fn value_error(text: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(text.to_string())
}

fn replay_error(error: ReplayError) -> PyErr {
    match error {
        ReplayError::Tape(_) | ReplayError::Book(_) | ReplayError::Inconsistent { .. } => {
            TapeFault::new_err(error.to_string())
        }
        ReplayError::Plan(_) | ReplayError::Signal(_) => value_error(error),
        ReplayError::Engine(_) => PyRuntimeError::new_err(error.to_string()),
    }
}

fn side_from(text: &str) -> PyResult<Side> {
    match text {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        other => Err(value_error(format!("side {other:?}: expected \"buy\" or \"sell\""))),
    }
}

/// See the stub.
#[pyclass(name = "Latency", module = "mmbot._core", frozen)]
#[derive(Clone)]
pub struct PyLatency {
    inner: LatencyModel,
}

#[pymethods]
impl PyLatency {
    #[staticmethod]
    fn constant(ns: i64) -> PyResult<Self> {
        Self::checked(LatencyModel::Constant(Nanos(ns)))
    }

    #[staticmethod]
    fn sampled(quantiles_ns: Vec<i64>, seed: u64) -> PyResult<Self> {
        Self::checked(LatencyModel::Sampled { quantiles: quantiles_ns.into_iter().map(Nanos).collect(), seed })
    }

    #[staticmethod]
    fn recorded(rows: Vec<(i64, i64)>) -> PyResult<Self> {
        Self::checked(LatencyModel::Recorded(rows.into_iter().map(|(ts, ns)| (Nanos(ts), Nanos(ns))).collect()))
    }
}

impl PyLatency {
    fn checked(model: LatencyModel) -> PyResult<Self> {
        Ok(Self { inner: model.validated().map_err(value_error)? })
    }
}

/// See the stub.
#[pyclass(name = "Listing", module = "mmbot._core", frozen)]
pub struct PyListing {
    tape: Arc<mmbot_tape::Tape>,
    instrument: mmbot_types::Instrument,
    laws: Laws,
    feed: FeedLatency,
    signals: Vec<mmbot_signals::SignalSpec>,
}

#[pymethods]
impl PyListing {
    #[new]
    #[pyo3(signature = (
        tape, *, instrument = None, queue = "power", queue_n = None, entry, response, feed = None, feed_extra_ns = 0,
        whole_fills = false, consume_liquidity = true, full_book = false, volume_before = "0", signals = Vec::new()
    ))]
    fn new(
        tape: &PyTape,
        instrument: Option<&PyInstrument>,
        queue: &str,
        queue_n: Option<f64>,
        entry: &PyLatency,
        response: &PyLatency,
        feed: Option<&PyLatency>,
        feed_extra_ns: i64,
        whole_fills: bool,
        consume_liquidity: bool,
        full_book: bool,
        volume_before: &str,
        signals: Vec<PyRef<'_, crate::specs::PySignalSpec>>,
    ) -> PyResult<Self> {
        if feed_extra_ns < 0 {
            return Err(value_error(format!("feed_extra_ns must not be negative, got {feed_extra_ns}")));
        }
        let instrument = instrument.map_or_else(|| tape.inner.instrument().clone(), |given| given.inner.clone());
        let recorded = tape.inner.instrument();
        if (instrument.tick, instrument.lot) != (recorded.tick, recorded.lot) {
            let grid = |i: &mmbot_types::Instrument| format!("tick {} lot {}", i.tick, i.lot);
            return Err(value_error(format!(
                "{}: the tape's grid is {}, the instrument's {}; only terms and fees may differ",
                recorded.symbol,
                grid(recorded),
                grid(&instrument)
            )));
        }
        let unit = mmbot_types::Step { mantissa: 1, scale: mmbot_types::CASH_SCALE };
        let volume_before = Cash(unit.count_wide(volume_before).map_err(value_error)?);
        let laws = Laws {
            queue: queue_model(queue, queue_n)?,
            entry: entry.inner.clone(),
            response: response.inner.clone(),
            fill: if whole_fills { FillRule::Whole } else { FillRule::Partial },
            consume_liquidity,
            full_book,
            volume_before,
        };
        let feed = match feed {
            Some(model) => FeedLatency::Modelled(model.inner.clone()),
            None => FeedLatency::Recorded(Nanos(feed_extra_ns)),
        };
        let signals = signals.iter().map(|spec| spec.inner).collect();
        Ok(Self { tape: Arc::clone(&tape.inner), instrument, laws, feed, signals })
    }
}

/// See the stub.
#[pyclass(name = "Desk", module = "mmbot._core", frozen)]
#[derive(Clone)]
pub struct PyDesk {
    inner: Desk,
}

#[pymethods]
impl PyDesk {
    #[new]
    #[pyo3(signature = (
        *, position_max, order_max, open_orders_max = 50, collar_bps = 100, requests_per_second_max = 50,
        keep_within = 0, refill_below_percent = 0, amend = false, post_only = true
    ))]
    fn new(
        position_max: i64,
        order_max: i64,
        open_orders_max: u32,
        collar_bps: u32,
        requests_per_second_max: u32,
        keep_within: i64,
        refill_below_percent: i64,
        amend: bool,
        post_only: bool,
    ) -> PyResult<Self> {
        if !(0 < order_max && order_max <= position_max) {
            return Err(value_error(format!(
                "order_max {order_max} must be positive and within position_max {position_max} (lots)"
            )));
        }
        if keep_within < 0 || !(0..=100).contains(&refill_below_percent) {
            return Err(value_error("keep_within must not be negative, refill_below_percent within 0 to 100"));
        }
        let limits = Limits {
            position_max: Lots(position_max),
            order_max: Lots(order_max),
            open_orders_max,
            collar_bps,
            requests_per_second_max,
        };
        let rules = DifferRules { keep_within, refill_below_percent, amend, post_only };
        Ok(Self { inner: Desk { limits, rules } })
    }
}

/// See the stub.
#[pyclass(name = "Seat", module = "mmbot._core", frozen)]
pub struct PySeat {
    desks: Vec<Desk>,
    wake: WakeRule,
    record: bool,
}

#[pymethods]
impl PySeat {
    #[new]
    #[pyo3(signature = (
        desks, *, every_ns = None, touch = false, fill = false, trade = false, message = false, record = true
    ))]
    fn new(
        desks: Vec<PyRef<'_, PyDesk>>,
        every_ns: Option<i64>,
        touch: bool,
        fill: bool,
        trade: bool,
        message: bool,
        record: bool,
    ) -> PyResult<Self> {
        if let Some(bad) = every_ns.filter(|ns| *ns <= 0) {
            return Err(value_error(format!("every_ns must be positive, got {bad}")));
        }
        let wake = WakeRule { every: every_ns.map(Nanos), touch, fill, trade, message };
        Ok(Self { desks: desks.iter().map(|desk| desk.inner.clone()).collect(), wake, record })
    }
}

/// See the stub.
#[pyclass(name = "Intent", module = "mmbot._core", frozen, eq)]
#[derive(Clone, PartialEq)]
pub struct PyIntent {
    instrument: InstrumentId,
    inner: Intent,
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

/// The values that a window's slots hold now, so that a slot is written only when it changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shown {
    touch: Touch,
    position: Lots,
}

/// See the stub.
#[pyclass(name = "Replay", module = "mmbot._core", unsendable)]
pub struct PyReplay {
    core: RefCell<Replay>,
    instruments: usize,
    seats: usize,
    speaking: Cell<u16>,
    fills_seen: RefCell<Vec<usize>>,
}

fn wrong_reply(said: &Bound<'_, PyAny>) -> PyErr {
    let got = said.get_type().name().map_or_else(|_| "an object".into(), |name| name.to_string());
    PyTypeError::new_err(format!("decide() returned {got}; expected an Intent, a list of them, or None"))
}

fn intent_from(said: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyIntent>> {
    said.cast_into_exact().map_err(|error| wrong_reply(&error.into_inner()))
}

fn optional(tick: i32, none: i32) -> Option<i32> {
    (tick != none).then_some(tick)
}

impl PyReplay {
    /// Writes what changed into the window of one instrument.
    fn show(
        &self,
        py: Python<'_>,
        window: &Bound<'_, PyAny>,
        index: usize,
        seat: u16,
        shown: &mut Option<Shown>,
    ) -> PyResult<()> {
        let core = self.core.borrow();
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

    /// From wake to wake, to the end or up to a time; after each `told` hears the time.
    fn drive(
        &self,
        py: Python<'_>,
        strategies: &[Bound<'_, PyAny>],
        windows: &[Bound<'_, PyAny>],
        until: Option<Nanos>,
        mut told: impl FnMut(Nanos) -> PyResult<()>,
    ) -> PyResult<()> {
        if strategies.len() != self.seats || windows.len() != self.instruments {
            return Err(value_error(format!(
                "{} strategies and {} windows for {} seats and {} instruments",
                strategies.len(),
                windows.len(),
                self.seats,
                self.instruments
            )));
        }
        let Some(first) = windows.first() else { return Ok(()) };
        let arguments = PyTuple::new(py, [first])?;
        let mut shown: Vec<Option<Shown>> = vec![None; self.instruments];
        let mut wakes = 0u32;
        while let Some((now, seats)) = self.next_wake(until)? {
            let clock = now.0.into_pyobject(py)?;
            for window in windows {
                window.setattr(intern!(py, "now"), &clock)?;
            }
            for seat in seats {
                self.speaking.set(seat);
                for (index, window) in windows.iter().enumerate() {
                    self.show(py, window, index, seat, &mut shown[index])?;
                }
                let said = strategies[seat as usize].call1(&arguments)?;
                self.hear(seat, &said)?;
            }
            wakes = wakes.wrapping_add(1);
            if wakes.is_multiple_of(4_096) {
                py.check_signals()?;
            }
            told(now)?;
        }
        Ok(())
    }

    fn next_wake(&self, until: Option<Nanos>) -> PyResult<Option<(Nanos, SmallVec<[u16; 8]>)>> {
        let mut core = self.core.borrow_mut();
        let woken = match until {
            Some(until) => core.next_wake_by(until),
            None => core.next_wake(),
        };
        Ok(woken.map_err(replay_error)?.map(|woken| (woken.now, woken.seats.clone())))
    }

    /// Takes what a strategy said: all of it, or on an error none.
    fn hear(&self, seat: u16, said: &Bound<'_, PyAny>) -> PyResult<()> {
        if said.is_none() {
            return Ok(());
        }
        if let Ok(intent) = said.cast_exact::<PyIntent>() {
            return self.decide(seat, self.known(intent.get())?);
        }
        if let Ok(several) = said.cast::<PyList>() {
            let intents: Vec<_> = several.iter().map(intent_from).collect::<PyResult<_>>()?;
            intents.iter().try_for_each(|intent| self.known(intent.get()).map(|_| ()))?;
            return intents.iter().try_for_each(|intent| self.decide(seat, intent.get()));
        }
        Err(wrong_reply(said))
    }

    fn known<'a>(&self, intent: &'a PyIntent) -> PyResult<&'a PyIntent> {
        if usize::from(intent.instrument.0) < self.instruments {
            return Ok(intent);
        }
        let (got, last) = (intent.instrument.0, self.instruments - 1);
        Err(value_error(format!("an intent for instrument {got}; this run has 0 to {last}")))
    }

    fn decide(&self, seat: u16, intent: &PyIntent) -> PyResult<()> {
        self.core.borrow_mut().decide(seat, intent.instrument, &intent.inner).map_err(replay_error)
    }

    fn seat(&self, seat: u16) -> PyResult<u16> {
        if (seat as usize) < self.seats {
            return Ok(seat);
        }
        Err(value_error(format!("seat {seat}: this run has seats 0 to {}", self.seats - 1)))
    }

    fn instrument(&self, instrument: u16) -> PyResult<InstrumentId> {
        if (instrument as usize) < self.instruments {
            return Ok(InstrumentId(instrument));
        }
        Err(value_error(format!("instrument {instrument}: this run has 0 to {}", self.instruments - 1)))
    }

    fn with_recorder<T>(&self, seat: u16, read: impl FnOnce(&Recorder) -> T) -> PyResult<T> {
        let seat = self.seat(seat)?;
        let core = self.core.borrow();
        core.recorder(seat).map(read).ok_or_else(|| value_error(format!("seat {seat} keeps no record (record=False)")))
    }
}

#[pymethods]
impl PyReplay {
    #[new]
    #[pyo3(signature = (listings, seats, *, sample_ns = None))]
    fn new(
        listings: Vec<PyRef<'_, PyListing>>,
        seats: Vec<PyRef<'_, PySeat>>,
        sample_ns: Option<i64>,
    ) -> PyResult<Self> {
        if let Some(bad) = sample_ns.filter(|ns| *ns <= 0) {
            return Err(value_error(format!("sample_ns must be positive, got {bad}")));
        }
        if seats.len() > usize::from(u16::MAX) || listings.len() > usize::from(u16::MAX) {
            return Err(value_error("at most 65,535 strategies and instruments in one pass"));
        }
        let (instruments, seat_count) = (listings.len(), seats.len());
        let listing = |l: &PyRef<'_, PyListing>| Listing {
            tape: Arc::clone(&l.tape),
            instrument: l.instrument.clone(),
            laws: l.laws.clone(),
            feed: l.feed.clone(),
            signals: l.signals.clone(),
        };
        let seat = |s: &PyRef<'_, PySeat>| Seat { desks: s.desks.clone(), wake: s.wake, record: s.record };
        let plan = Plan {
            listings: listings.iter().map(listing).collect(),
            seats: seats.iter().map(seat).collect(),
            sample: sample_ns.map(Nanos),
        };
        Ok(Self {
            core: RefCell::new(Replay::new(plan).map_err(replay_error)?),
            instruments,
            seats: seat_count,
            speaking: Cell::new(0),
            fills_seen: RefCell::new(vec![0; seat_count]),
        })
    }

    /// See the stub.
    #[pyo3(signature = (strategies, windows, progress = None))]
    fn run(
        &self,
        py: Python<'_>,
        strategies: Vec<Bound<'_, PyAny>>,
        windows: Vec<Bound<'_, PyAny>>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (start, end) = (self.core.borrow().now().0, self.core.borrow().end().0);
        let (step, mut told) = (((end - start) / 100).max(1), start);
        self.drive(py, &strategies, &windows, None, |now| {
            let Some(progress) = progress.as_ref().filter(|_| now.0 - told >= step) else { return Ok(()) };
            told = now.0;
            progress.call1(((now.0 - start) as f64 / (end - start).max(1) as f64,)).map(drop)
        })
    }

    /// See the stub.
    #[pyo3(signature = (until_ns, strategies, windows, last = false))]
    fn run_until(
        &self,
        py: Python<'_>,
        until_ns: i64,
        strategies: Vec<Bound<'_, PyAny>>,
        windows: Vec<Bound<'_, PyAny>>,
        last: bool,
    ) -> PyResult<()> {
        let until = (!last).then_some(Nanos(until_ns));
        self.drive(py, &strategies, &windows, until, |_| Ok(()))
    }

    /// See the stub.
    fn run_join_touch(&self, py: Python<'_>, makers: Vec<(i64, i64, i64)>) -> PyResult<()> {
        if makers.len() != self.seats {
            return Err(value_error(format!("{} makers for {} seats", makers.len(), self.seats)));
        }
        let maker = |(lots, cap, offset)| JoinTouch { qty: Lots(lots), cap: Lots(cap), offset };
        let makers: Vec<JoinTouch> = makers.into_iter().map(maker).collect();
        py.check_signals()?;
        JoinTouch::run(&makers, &mut self.core.borrow_mut(), InstrumentId(0)).map_err(replay_error)
    }

    /// Time reached, ns since epoch.
    #[getter]
    fn now(&self) -> i64 {
        self.core.borrow().now().0
    }

    /// See the stub.
    fn wakes(&self, seat: u16) -> PyResult<u64> {
        Ok(self.core.borrow().wakes(self.seat(seat)?))
    }

    // ---- what a window reads when asked, for the strategy that is speaking

    /// See the stub.
    fn depth(&self, instrument: u16, levels: usize) -> PyResult<(Vec<(i32, u32)>, Vec<(i32, u32)>)> {
        let id = self.instrument(instrument)?;
        let core = self.core.borrow();
        let book = &core.market().get(id).book;
        let side = |side| book.levels(side).take(levels).map(|level| (level.tick, level.lots)).collect();
        Ok((side(Side::Buy), side(Side::Sell)))
    }

    /// See the stub.
    fn touch_lots(&self, instrument: u16) -> PyResult<(u32, u32)> {
        let core = self.core.borrow();
        let heard = core.market().get(self.instrument(instrument)?);
        let touch = heard.touch();
        Ok((heard.book.lots(Side::Buy, touch.bid), heard.book.lots(Side::Sell, touch.ask)))
    }

    /// See the stub.
    fn lots_at(&self, instrument: u16, side: &str, tick: i32) -> PyResult<u32> {
        let id = self.instrument(instrument)?;
        Ok(self.core.borrow().market().get(id).book.lots(side_from(side)?, tick))
    }

    /// See the stub.
    fn signal(&self, instrument: u16, index: usize) -> PyResult<f64> {
        let id = self.instrument(instrument)?;
        let core = self.core.borrow();
        let signals = &core.market().get(id).signals;
        if index >= signals.len() {
            return Err(value_error(format!("signal {index}: instrument {instrument} has {}", signals.len())));
        }
        Ok(signals.value(index))
    }

    /// See the stub.
    fn last_trade(&self, instrument: u16) -> PyResult<(i32, u64, u64)> {
        let tally = self.core.borrow().feed(self.instrument(instrument)?).tally();
        Ok((tally.last_tick, tally.bought, tally.sold))
    }

    /// See the stub.
    fn orders(&self, instrument: u16) -> PyResult<Vec<(u64, &'static str, i64, i64, &'static str, f64)>> {
        let id = self.instrument(instrument)?;
        let (mut core, seat) = (self.core.borrow_mut(), self.speaking.get());
        let mine = core.engine(seat).orders().iter().filter(|order| order.request.instrument == id);
        let mine: Vec<_> = mine.cloned().collect();
        let told = |order: mmbot_engine::Order| {
            let side = if order.request.side == Side::Buy { "buy" } else { "sell" };
            let ahead = core.ahead(seat, id, order.id).unwrap_or(f64::NAN);
            (order.id.0, side, order.request.price.0, order.leaves().0, life_name(order.life), ahead)
        };
        Ok(mine.into_iter().map(told).collect())
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
        let open: Vec<_> = self.core.borrow().engine(self.seat(seat)?).orders().iter().cloned().collect();
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
        let core = self.core.borrow();
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
    fn denials(&self, seat: u16) -> PyResult<Vec<(&'static str, u64)>> {
        let seat = self.seat(seat)?;
        let core = self.core.borrow();
        Ok(Denial::ALL.iter().map(|denial| (denial.name(), core.engine(seat).denials()[*denial as usize])).collect())
    }

    /// See the stub.
    fn orders_named(&self, seat: u16) -> PyResult<u64> {
        Ok(self.core.borrow().engine(self.seat(seat)?).orders_named())
    }

    /// See the stub.
    fn commands_hash(&self, seat: u16) -> PyResult<u64> {
        Ok(self.core.borrow().engine(self.seat(seat)?).commands_hash())
    }

    /// See the stub.
    fn state_hash(&self, seat: u16) -> PyResult<u64> {
        Ok(self.core.borrow().engine(self.seat(seat)?).state_hash())
    }

    /// See the stub.
    fn check_invariants(&self) {
        self.core.borrow().check_invariants();
    }
}

fn cash_float(cash: Cash) -> f64 {
    cash.0 as f64 / 1e12
}

fn column<T: numpy::Element>(out: &Bound<'_, PyDict>, name: &str, values: impl Iterator<Item = T>) -> PyResult<()> {
    out.set_item(name, PyArray1::from_vec(out.py(), values.collect()))
}

fn life_name(life: Life) -> &'static str {
    match life {
        Life::Intent => "intent",
        Life::Sent => "sent",
        Life::Acked => "acked",
        Life::Unknown => "unknown",
        Life::Live => "live",
        Life::Partial => "partial",
        Life::NeverPlaced => "never_placed",
        Life::Denied => "denied",
        Life::Rejected => "rejected",
        Life::Expired => "expired",
        Life::Canceled => "canceled",
        Life::Filled => "filled",
    }
}

fn reason_name(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::PostOnlyWouldCross => "post_only_would_cross",
        RejectReason::NotFillable => "not_fillable",
        RejectReason::ReduceOnly => "reduce_only",
        RejectReason::UnknownOrder => "unknown_order",
        RejectReason::Invalid => "invalid",
        RejectReason::NoMarket => "no_market",
    }
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyLatency>()?;
    module.add_class::<PyListing>()?;
    module.add_class::<PyDesk>()?;
    module.add_class::<PySeat>()?;
    module.add_class::<PyIntent>()?;
    module.add_class::<PyReplay>()?;
    module.add_function(wrap_pyfunction!(quotes, module)?)?;
    module.add_function(wrap_pyfunction!(ladder, module)?)?;
    Ok(())
}
