//! The replay, as Python sees it: plans in, a window on the market at each wake, intents back, records out.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use mmbot_engine::{Bounds, Controls, Desk, DifferRules, Limits};
use mmbot_replay::{FeedLatency, JoinTouch, Listing, Plan, Replay, ReplayError, Seat, WakeRule};
use mmbot_sim::{FillRule, LatencyModel, Laws, VenueListing};
use mmbot_types::{Cash, InstrumentId, Lots, Nanos};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use smallvec::SmallVec;

use crate::controls::{PyBounds, PyControls};
use crate::data::{PyInstrument, PyTape, TapeFault};
use crate::intent::{PyIntent, replies};
use crate::run::{PyRun, Shown, Stage};
use crate::specs::queue_model;

fn value_error(text: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(text.to_string())
}

/// The world's faults are a `TapeFault`, the caller's a `ValueError`, ours a `RuntimeError`.
pub fn replay_error(error: ReplayError) -> PyErr {
    match error {
        ReplayError::Tape(_) | ReplayError::Book(_) | ReplayError::Inconsistent { .. } => {
            TapeFault::new_err(error.to_string())
        }
        ReplayError::Plan(_) | ReplayError::Signal(_) => value_error(error),
        ReplayError::Engine(_) => PyRuntimeError::new_err(error.to_string()),
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
    without_us: Option<Arc<mmbot_tape::Tape>>,
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
        whole_fills = false, consume_liquidity = true, full_book = false, volume_before = "0", signals = Vec::new(),
        without_us = None
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
        without_us: Option<&PyTape>,
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
        let without_us = without_us.map(|tape| Arc::clone(&tape.inner));
        Ok(Self { tape: Arc::clone(&tape.inner), without_us, instrument, laws, feed, signals })
    }
}

impl PyListing {
    /// As its venue has it.
    pub fn at_venue(&self) -> VenueListing {
        let tape = self.without_us.as_ref().unwrap_or(&self.tape);
        VenueListing { tape: Arc::clone(tape), instrument: self.instrument.clone(), laws: self.laws.clone() }
    }
}

/// A sampling interval in ns, positive.
pub fn sample_interval(sample_ns: Option<i64>) -> PyResult<Option<Nanos>> {
    match sample_ns {
        Some(bad) if bad <= 0 => Err(value_error(format!("sample_ns must be positive, got {bad}"))),
        given => Ok(given.map(Nanos)),
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
        keep_within = 0, refill_below_percent = 0, amend = false, post_only = true, controls = None
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
        controls: Option<&PyControls>,
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
            controls: controls.map_or_else(Controls::default, |given| given.inner),
        };
        let rules = DifferRules { keep_within, refill_below_percent, amend, post_only };
        Ok(Self { inner: Desk { limits, rules } })
    }
}

/// See the stub.
#[pyclass(name = "Seat", module = "mmbot._core", frozen)]
pub struct PySeat {
    desks: Vec<Desk>,
    bounds: Bounds,
    wake: WakeRule,
    record: bool,
}

#[pymethods]
impl PySeat {
    #[new]
    #[pyo3(signature = (
        desks, *, every_ns = None, touch = false, fill = false, trade = false, message = false, record = true,
        bounds = None
    ))]
    fn new(
        desks: Vec<PyRef<'_, PyDesk>>,
        every_ns: Option<i64>,
        touch: bool,
        fill: bool,
        trade: bool,
        message: bool,
        record: bool,
        bounds: Option<&PyBounds>,
    ) -> PyResult<Self> {
        if let Some(bad) = every_ns.filter(|ns| *ns <= 0) {
            return Err(value_error(format!("every_ns must be positive, got {bad}")));
        }
        let wake = WakeRule { every: every_ns.map(Nanos), touch, fill, trade, message };
        let bounds = bounds.map_or_else(Bounds::default, |given| given.inner);
        Ok(Self { desks: desks.iter().map(|desk| desk.inner.clone()).collect(), bounds, wake, record })
    }
}

impl PySeat {
    /// The core's own, for a run.
    pub fn taken(&self) -> Seat {
        Seat { desks: self.desks.clone(), bounds: self.bounds, wake: self.wake, record: self.record }
    }
}

/// See the stub.
#[pyclass(name = "Replay", module = "mmbot._core", extends = PyRun, unsendable)]
pub struct PyReplay {
    core: Rc<RefCell<Replay>>,
}

impl PyReplay {
    /// From wake to wake, to the end or up to a time; after each `told` hears the time.
    fn drive(
        slf: &PyRef<'_, Self>,
        strategies: &[Bound<'_, PyAny>],
        windows: &[Bound<'_, PyAny>],
        until: Option<Nanos>,
        mut told: impl FnMut(Nanos) -> PyResult<()>,
    ) -> PyResult<()> {
        let (py, core, readers) = (slf.py(), &slf.core, slf.as_super());
        if strategies.len() != readers.seats || windows.len() != readers.instruments {
            return Err(value_error(format!(
                "{} strategies and {} windows for {} seats and {} instruments",
                strategies.len(),
                windows.len(),
                readers.seats,
                readers.instruments
            )));
        }
        let Some(first) = windows.first() else { return Ok(()) };
        let arguments = PyTuple::new(py, [first])?;
        let mut shown: Vec<Option<Shown>> = vec![None; readers.instruments];
        let mut wakes = 0u32;
        while let Some((now, seats)) = slf.next_wake(until)? {
            let clock = now.0.into_pyobject(py)?;
            for window in windows {
                window.setattr(intern!(py, "now"), &clock)?;
            }
            for seat in seats {
                readers.speaking.set(seat);
                for (index, window) in windows.iter().enumerate() {
                    readers.show(window, index, seat, &mut shown[index])?;
                }
                let said = strategies[seat as usize].call1(&arguments)?;
                for intent in replies(&said, readers.instruments)? {
                    let PyIntent { instrument, inner } = intent.get();
                    core.borrow_mut().decide(seat, *instrument, inner).map_err(replay_error)?;
                }
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
}

#[pymethods]
impl PyReplay {
    #[new]
    #[pyo3(signature = (listings, seats, *, sample_ns = None))]
    fn new(
        listings: Vec<PyRef<'_, PyListing>>,
        seats: Vec<PyRef<'_, PySeat>>,
        sample_ns: Option<i64>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let sample = sample_interval(sample_ns)?;
        if seats.len() > usize::from(u16::MAX) || listings.len() > usize::from(u16::MAX) {
            return Err(value_error("at most 65,535 strategies and instruments in one pass"));
        }
        let listing = |l: &PyRef<'_, PyListing>| Listing {
            tape: Arc::clone(&l.tape),
            without_us: l.without_us.clone(),
            instrument: l.instrument.clone(),
            laws: l.laws.clone(),
            feed: l.feed.clone(),
            signals: l.signals.clone(),
        };
        let plan = Plan {
            listings: listings.iter().map(listing).collect(),
            seats: seats.iter().map(|seat| seat.taken()).collect(),
            sample,
        };
        let core = Rc::new(RefCell::new(Replay::new(plan).map_err(replay_error)?));
        let readers = PyRun::new(Rc::clone(&core) as Rc<RefCell<dyn Stage>>, listings.len(), seats.len());
        Ok(PyClassInitializer::from(readers).add_subclass(Self { core }))
    }

    /// See the stub.
    #[pyo3(signature = (strategies, windows, progress = None))]
    fn run(
        slf: PyRef<'_, Self>,
        strategies: Vec<Bound<'_, PyAny>>,
        windows: Vec<Bound<'_, PyAny>>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let core = Rc::clone(&slf.core);
        let (start, end) = (core.borrow().now().0, core.borrow().end().0);
        let (step, mut told) = (((end - start) / 100).max(1), start);
        Self::drive(&slf, &strategies, &windows, None, |now| {
            let Some(progress) = progress.as_ref().filter(|_| now.0 - told >= step) else { return Ok(()) };
            told = now.0;
            progress.call1(((now.0 - start) as f64 / (end - start).max(1) as f64,)).map(drop)
        })
    }

    /// See the stub.
    #[pyo3(signature = (until_ns, strategies, windows, last = false))]
    fn run_until(
        slf: PyRef<'_, Self>,
        until_ns: i64,
        strategies: Vec<Bound<'_, PyAny>>,
        windows: Vec<Bound<'_, PyAny>>,
        last: bool,
    ) -> PyResult<()> {
        let until = (!last).then_some(Nanos(until_ns));
        Self::drive(&slf, &strategies, &windows, until, |_| Ok(()))
    }

    /// See the stub.
    fn run_join_touch(slf: PyRef<'_, Self>, makers: Vec<(i64, i64, i64)>) -> PyResult<()> {
        let seats = slf.as_super().seats;
        if makers.len() != seats {
            return Err(value_error(format!("{} makers for {seats} seats", makers.len())));
        }
        let maker = |(lots, cap, offset)| JoinTouch { qty: Lots(lots), cap: Lots(cap), offset };
        let makers: Vec<JoinTouch> = makers.into_iter().map(maker).collect();
        slf.py().check_signals()?;
        JoinTouch::run(&makers, &mut slf.core.borrow_mut(), InstrumentId(0)).map_err(replay_error)
    }
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyLatency>()?;
    module.add_class::<PyListing>()?;
    module.add_class::<PyDesk>()?;
    module.add_class::<PySeat>()?;
    module.add_class::<PyReplay>()
}
