//! The live engine, as Python sees it, and what a journal's entries say in Python's words.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use mmbot_engine::{Adoption, Circle, EngineError, Measure, Outside, Owner, Temper};
use mmbot_journal::Entry;
use mmbot_replay::{Execution, Live, LiveError, LiveListing, Moved};
use mmbot_types::{
    Cash, Command, Event, InstrumentId, Lots, Nanos, OrderId, OrderRequest, RejectReason, Side, Ticks, Tif,
};
use pyo3::create_exception;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::controls::{circle_from, held_from, level_from, scope_from, scope_name};
use crate::data::{PyInstrument, PyTape};
use crate::intent::{PyIntent, replies, side_from};
use crate::journal::{PyJournal, fault, journal_error, opened};
use crate::replay::{PySeat, replay_error, sample_interval};
use crate::run::{PyRun, Shown, Stage, owner_name, reason_name};
use crate::specs::{PySignalSpec, queue_model};

create_exception!(mmbot._core, Quarantine, PyValueError, "A fact that the books cannot take; nothing changed.");

fn live_error(error: LiveError) -> PyErr {
    match error {
        LiveError::Market(inner) => replay_error(inner),
        LiveError::Journal(inner) => journal_error(inner),
        LiveError::Quarantine(EngineError::TimeRanBack { .. }) | LiveError::Engine(_) => {
            PyRuntimeError::new_err(error.to_string())
        }
        LiveError::Quarantine(_) => Quarantine::new_err(error.to_string()),
        LiveError::Opening(_) => PyValueError::new_err(error.to_string()),
        LiveError::Clock { .. } | LiveError::Future(_) | LiveError::Late { .. } => {
            PyRuntimeError::new_err(error.to_string())
        }
    }
}

pub const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

pub const fn tif_name(tif: Tif) -> &'static str {
    match tif {
        Tif::Gtc => "gtc",
        Tif::Ioc => "ioc",
        Tif::Fok => "fok",
    }
}

/// An entry's content under plain names, whole numbers as they are.
pub fn fields<'py>(py: Python<'py>, entry: &Entry<'_>) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    match entry {
        Entry::RunStart(text) | Entry::RunEnd(text) | Entry::Opening(text) => out.set_item("text", text)?,
        Entry::Adopted { id, adoption, client_id, venue_id } => {
            let Adoption { request, cum, booked, owner } = adoption;
            out.set_item("order_id", id.0)?;
            out.set_item("client_id", client_id)?;
            out.set_item("venue_id", venue_id)?;
            out.set_item("instrument", request.instrument.0)?;
            out.set_item("side", side_name(request.side))?;
            out.set_item("tick", request.price.0)?;
            out.set_item("lots", request.qty.0)?;
            out.set_item("cum", cum.0)?;
            out.set_item("booked", booked.0)?;
            out.set_item("reduce_only", request.reduce_only)?;
            out.set_item("owner", owner_name(*owner))?;
        }
        Entry::Event { event, words } => {
            event_fields(&out, event)?;
            out.set_item("words", words)?;
        }
        Entry::Wake { reasons, heard } => {
            out.set_item("reasons", reasons.names().collect::<Vec<_>>())?;
            out.set_item("heard", heard.iter().map(|h| (h.depth, h.trades)).collect::<Vec<_>>())?;
        }
        Entry::Intent { instrument, intent } => {
            out.set_item("instrument", instrument.0)?;
            let quotes = intent.quotes.iter().map(|q| (side_name(q.side), q.price.0, q.qty.0));
            out.set_item("quotes", quotes.collect::<Vec<_>>())?;
            let now = intent.immediate.iter().map(|r| (side_name(r.side), r.price.0, r.qty.0, tif_name(r.tif)));
            out.set_item("immediate", now.collect::<Vec<_>>())?;
        }
        Entry::Command(command) => command_fields(&out, command)?,
        Entry::Denied { denials, command } => {
            command_fields(&out, command)?;
            out.set_item("denials", denials.iter().map(|denial| denial.name()).collect::<Vec<_>>())?;
        }
        Entry::CancelAsked(id) => out.set_item("order_id", id.0)?,
        Entry::Halt => {}
        Entry::Note { topic, text } => {
            out.set_item("topic", topic)?;
            out.set_item("text", text)?;
        }
        Entry::Outside(told) => outside_fields(&out, told)?,
        Entry::Ordered(request) => request_fields(&out, request)?,
        Entry::Snapshot { halted, text } => {
            out.set_item("halted", halted)?;
            out.set_item("text", text)?;
        }
        Entry::Carried { at, topic, text } => {
            out.set_item("at", at.0)?;
            out.set_item("topic", topic)?;
            out.set_item("text", text)?;
        }
        Entry::StateHash { state, commands } => {
            out.set_item("state", format!("{state:016x}"))?;
            out.set_item("commands", format!("{commands:016x}"))?;
        }
    }
    Ok(out)
}

fn outside_fields(out: &Bound<'_, PyDict>, told: &Outside) -> PyResult<()> {
    match *told {
        Outside::Restrict { scope, level } => {
            let (kind, instrument) = scope_name(scope);
            out.set_item("outside", "restrict")?;
            out.set_item("scope", kind)?;
            out.set_item("instrument", instrument)?;
            out.set_item("level", level as u8)
        }
        Outside::Reference { instrument, price, at } => {
            out.set_item("outside", "reference")?;
            out.set_item("instrument", instrument.0)?;
            out.set_item("tick", price.map(|price| price.0))?;
            out.set_item("at", at.0)
        }
        Outside::Elsewhere { circle, held } => {
            out.set_item("outside", "elsewhere")?;
            out.set_item("circle", if circle == Circle::Account { "account" } else { "firm" })?;
            out.set_item("gross_units", held.map(|held| held.gross.0))?;
            out.set_item("net_units", held.map(|held| held.net.0))?;
            out.set_item("at", held.map(|held| held.at.0))
        }
        Outside::Share(ppm) => {
            out.set_item("outside", "share")?;
            out.set_item("ppm", ppm)
        }
        Outside::Measured { what, at } => {
            let (name, instrument) = match what {
                Measure::Margin => ("margin", None),
                Measure::Entry(instrument) => ("entry", Some(instrument.0)),
            };
            out.set_item("outside", "measured")?;
            out.set_item("what", name)?;
            out.set_item("instrument", instrument)?;
            out.set_item("at", at.map(|at| at.0))
        }
        Outside::Temper { instrument, temper } => {
            out.set_item("outside", "temper")?;
            out.set_item("instrument", instrument.0)?;
            out.set_item("size_ppm", temper.size_ppm)?;
            out.set_item("back_ppm", temper.back_ppm)?;
            out.set_item("least", temper.least.0)
        }
    }
}

fn request_fields(out: &Bound<'_, PyDict>, request: &OrderRequest) -> PyResult<()> {
    out.set_item("instrument", request.instrument.0)?;
    out.set_item("side", side_name(request.side))?;
    out.set_item("tick", request.price.0)?;
    out.set_item("lots", request.qty.0)?;
    out.set_item("tif", tif_name(request.tif))?;
    out.set_item("post_only", request.post_only)?;
    out.set_item("reduce_only", request.reduce_only)
}

fn command_fields(out: &Bound<'_, PyDict>, command: &Command) -> PyResult<()> {
    match *command {
        Command::Place { id, request } => {
            out.set_item("command", "place")?;
            out.set_item("order_id", id.0)?;
            out.set_item("instrument", request.instrument.0)?;
            out.set_item("side", side_name(request.side))?;
            out.set_item("tick", request.price.0)?;
            out.set_item("lots", request.qty.0)?;
            out.set_item("tif", tif_name(request.tif))?;
            out.set_item("post_only", request.post_only)?;
            out.set_item("reduce_only", request.reduce_only)
        }
        Command::Amend { id, price, qty } => {
            out.set_item("command", "amend")?;
            out.set_item("order_id", id.0)?;
            out.set_item("tick", price.0)?;
            out.set_item("lots", qty.0)
        }
        Command::Cancel { id } => {
            out.set_item("command", "cancel")?;
            out.set_item("order_id", id.0)
        }
        Command::CancelAll { instrument } => {
            out.set_item("command", "cancel_all")?;
            out.set_item("instrument", instrument.0)
        }
    }
}

pub fn event_fields(out: &Bound<'_, PyDict>, event: &Event) -> PyResult<()> {
    out.set_item("order_id", event.order().map(|id| id.0))?;
    out.set_item("ts_venue", event.ts_venue().map(|ts| ts.0))?;
    let name = match *event {
        Event::OrderAcked { .. } => "acked",
        Event::OrderUnknown { .. } => "unknown",
        Event::OrderAccepted { .. } => "accepted",
        Event::OrderExecuted { cum, .. } => {
            out.set_item("cum", cum.0)?;
            "executed"
        }
        Event::OrderRejected { reason, .. } => {
            out.set_item("reason", reason_name(reason))?;
            "rejected"
        }
        Event::OrderCanceled { cum, .. } => {
            out.set_item("cum", cum.0)?;
            "canceled"
        }
        Event::OrderAmended { price, qty, .. } => {
            out.set_item("tick", price.0)?;
            out.set_item("lots", qty.0)?;
            "amended"
        }
        Event::RequestRefused { reason, .. }
        | Event::AmendRefused { reason, .. }
        | Event::CancelRefused { reason, .. } => {
            let request = match *event {
                Event::AmendRefused { .. } => Some("amend"),
                Event::CancelRefused { .. } => Some("cancel"),
                _ => None,
            };
            out.set_item("request", request)?;
            out.set_item("reason", reason_name(reason))?;
            "refused"
        }
        Event::Filled { execution, price, qty, maker, fee, touch_bid, touch_ask, .. } => {
            out.set_item("execution", execution)?;
            out.set_item("tick", price.0)?;
            out.set_item("lots", qty.0)?;
            out.set_item("maker", maker)?;
            out.set_item("fee_units", fee.0)?;
            out.set_item("touch", (touch_bid, touch_ask))?;
            "filled"
        }
        Event::OrderTurnedAway { reason, .. } => {
            out.set_item("reason", reason_name(reason))?;
            "turned_away"
        }
        Event::OrderNeverPlaced { .. } => "never_placed",
        Event::OrderExpiredUnproven { .. } => "expired_unproven",
        Event::PositionMoved { instrument, execution, side, price, qty, fee, touch_bid, touch_ask, .. } => {
            out.set_item("instrument", instrument.0)?;
            out.set_item("execution", execution)?;
            out.set_item("side", side_name(side))?;
            out.set_item("tick", price.0)?;
            out.set_item("lots", qty.0)?;
            out.set_item("fee_units", fee.0)?;
            out.set_item("touch", (touch_bid, touch_ask))?;
            "moved"
        }
        Event::FundingPaid { instrument, amount, .. } => {
            out.set_item("instrument", instrument.0)?;
            out.set_item("amount_units", amount.0)?;
            "funded"
        }
    };
    out.set_item("event", name)
}

/// A venue's reason by our name for it; what has none is `Other`, and stands in the journal in the venue's words.
fn reason_from(text: &str) -> RejectReason {
    use RejectReason::{HeldBack, Invalid, NoMarket, NotFillable, PostOnlyWouldCross, ReduceOnly, UnknownOrder};
    let named = [PostOnlyWouldCross, NotFillable, ReduceOnly, UnknownOrder, Invalid, NoMarket, HeldBack];
    named.into_iter().find(|reason| reason_name(*reason) == text).unwrap_or(RejectReason::Other)
}

fn told<'py>(py: Python<'py>, commands: &[(InstrumentId, Command)]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for &(InstrumentId(instrument), command) in commands {
        match command {
            Command::Place { id, request } => {
                let (side, tif) = (side_name(request.side), tif_name(request.tif));
                let (price, qty) = (request.price.0, request.qty.0);
                let (post_only, reduce_only) = (request.post_only, request.reduce_only);
                list.append(("place", id.0, instrument, side, price, qty, tif, post_only, reduce_only))?;
            }
            Command::Amend { id, price, qty } => list.append(("amend", id.0, instrument, price.0, qty.0))?,
            Command::Cancel { id } => list.append(("cancel", id.0, instrument))?,
            Command::CancelAll { .. } => {} // no strategy can ask for it, so no engine does
        }
    }
    Ok(list)
}

/// See the stub.
#[pyclass(name = "Live", module = "mmbot._core", extends = PyRun, unsendable)]
pub struct PyLive {
    core: Rc<RefCell<Live>>,
    shown: RefCell<Vec<Option<Shown>>>,
    /// Of the window that has been shown last: others know nothing yet.
    window: Cell<usize>,
}

impl PyLive {
    /// Shows the windows and asks, then takes in what was said.
    fn ask(&self, readers: &PyRun, now: i64, decide: &Bound<'_, PyAny>, windows: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = decide.py();
        let first = windows.get_item(0)?;
        let mut shown = self.shown.borrow_mut();
        if self.window.replace(first.as_ptr() as usize) != first.as_ptr() as usize {
            shown.fill(None);
        }
        let clock = now.into_pyobject(py)?;
        for (index, shown) in shown.iter_mut().enumerate() {
            let window = windows.get_item(index)?;
            window.setattr(intern!(py, "now"), &clock)?;
            readers.show(&window, index, 0, shown)?;
        }
        drop(shown);
        let said = decide.call1((first,))?;
        for intent in replies(&said, readers.instruments)? {
            let PyIntent { instrument, inner } = intent.get();
            self.core.borrow_mut().decide(*instrument, inner).map_err(live_error)?;
        }
        self.core.borrow_mut().rest().map_err(live_error)
    }

    fn tell(&self, now: i64, told: &Outside) -> PyResult<()> {
        self.core.borrow_mut().tell(Nanos(now), told).map_err(live_error)
    }

    fn listed(&self, instrument: u16) -> PyResult<InstrumentId> {
        let known = self.shown.borrow().len();
        if usize::from(instrument) < known {
            return Ok(InstrumentId(instrument));
        }
        Err(PyValueError::new_err(format!("instrument {instrument}: this run has 0 to {}", known - 1)))
    }

    fn observe(&self, now: i64, event: Event, words: &str) -> PyResult<()> {
        self.core.borrow_mut().observe(Nanos(now), event, words).map_err(live_error)
    }
}

#[pymethods]
impl PyLive {
    #[new]
    #[pyo3(signature = (tapes, seat, *, instruments, signals = Vec::new(), queues, journal = None, sample_ns = None))]
    fn new(
        tapes: Vec<PyRef<'_, PyTape>>,
        seat: &PySeat,
        instruments: Vec<PyRef<'_, PyInstrument>>,
        signals: Vec<PyRef<'_, PySignalSpec>>,
        queues: Vec<(String, Option<f64>)>,
        journal: Option<&PyJournal>,
        sample_ns: Option<i64>,
    ) -> PyResult<PyClassInitializer<Self>> {
        if tapes.len() != instruments.len() || tapes.len() != queues.len() {
            let (tapes, instruments, queues) = (tapes.len(), instruments.len(), queues.len());
            let text =
                format!("{tapes} tapes, {instruments} instruments and {queues} queues; expected as many of each");
            return Err(PyValueError::new_err(text));
        }
        let signals: Vec<_> = signals.iter().map(|spec| spec.inner).collect();
        let mut listings = Vec::with_capacity(tapes.len());
        for ((tape, instrument), (queue, exponent)) in tapes.iter().zip(&instruments).zip(&queues) {
            listings.push(LiveListing {
                tape: Arc::clone(&tape.inner),
                instrument: instrument.inner.clone(),
                queue: queue_model(queue, *exponent)?,
                signals: signals.clone(),
            });
        }
        let journal = journal.map(|journal| journal.inner.clone());
        let live = Live::new(listings, seat.taken(), journal, sample_interval(sample_ns)?).map_err(live_error)?;
        let core = Rc::new(RefCell::new(live));
        let readers = PyRun::new(Rc::clone(&core) as Rc<RefCell<dyn Stage>>, tapes.len(), 1);
        let shown = RefCell::new(vec![None; tapes.len()]);
        Ok(PyClassInitializer::from(readers).add_subclass(Self { core, shown, window: Cell::new(0) }))
    }

    /// See the stub.
    fn step<'py>(
        slf: PyRef<'py, Self>,
        now: i64,
        decide: &Bound<'py, PyAny>,
        windows: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        if slf.core.borrow_mut().wake(Nanos(now)).map_err(live_error)? {
            slf.ask(slf.as_super(), now, decide, windows)?;
        }
        told(py, slf.core.borrow().commands())
    }

    /// See the stub.
    fn look(&self, now: i64) -> PyResult<()> {
        self.core.borrow_mut().look(Nanos(now)).map_err(live_error)
    }

    /// See the stub.
    #[pyo3(signature = (journal, decide, windows, progress = None))]
    fn replay<'py>(
        slf: PyRef<'py, Self>,
        journal: &Bound<'py, PyAny>,
        decide: &Bound<'py, PyAny>,
        windows: &Bound<'py, PyAny>,
        progress: Option<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let (py, mut reader) = (slf.py(), opened(journal)?);
        while let Some(record) = reader.next_record().map_err(fault)? {
            let entry = record.entry().map_err(fault)?;
            let (seq, time) = (record.seq, record.time);
            if slf.core.borrow_mut().replay(time, &entry).map_err(live_error)? {
                slf.ask(slf.as_super(), time.0, decide, windows)?;
            }
            if seq % 4_096 == 0 {
                py.check_signals()?;
                if let Some(progress) = &progress {
                    progress.call1((seq,))?;
                }
            }
        }
        Ok(())
    }

    #[pyo3(signature = (now, snapshot, names = Vec::new()))]
    fn open(&self, now: i64, snapshot: &[u8], names: Vec<(u64, String)>) -> PyResult<()> {
        let text = std::str::from_utf8(snapshot).map_err(|_| {
            PyValueError::new_err("the snapshot is no text; expected the bytes of `recover(...).snapshot`")
        })?;
        let names = names.into_iter().map(|(id, client)| (OrderId(id), client));
        self.core.borrow_mut().open(Nanos(now), text, names).map_err(live_error)
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.core.borrow().snapshot().as_bytes())
    }

    #[pyo3(signature = (
        now, client_id, venue_id, instrument, side, tick, lots, cum, reduce_only, owner, *, booked = 0
    ))]
    fn adopt(
        &self,
        now: i64,
        client_id: &str,
        venue_id: &str,
        instrument: u16,
        side: &str,
        tick: i64,
        lots: i64,
        cum: i64,
        reduce_only: bool,
        owner: &str,
        booked: i64,
    ) -> PyResult<u64> {
        let owner = match owner {
            "orphan" => Owner::Orphan,
            "foreign" => Owner::Foreign,
            _ => return Err(PyValueError::new_err(format!("an order is adopted as orphan or foreign, not {owner:?}"))),
        };
        if client_id.is_empty() && venue_id.is_empty() {
            return Err(PyValueError::new_err(
                "an order without any name; expected its client id, its venue id or both",
            ));
        }
        let request = OrderRequest {
            instrument: InstrumentId(instrument),
            side: side_from(side)?,
            price: Ticks(tick),
            qty: Lots(lots),
            tif: Tif::Gtc,
            post_only: false,
            reduce_only,
        };
        let adoption = Adoption { request, cum: Lots(cum), booked: Lots(booked), owner };
        let id = self.core.borrow_mut().adopt(Nanos(now), client_id, venue_id, adoption).map_err(live_error)?;
        Ok(id.0)
    }

    fn turned_away(&self, now: i64, order_id: u64, reason: &str, ts_venue: i64) -> PyResult<()> {
        let (id, ts_venue) = (OrderId(order_id), Nanos(ts_venue));
        self.observe(now, Event::OrderTurnedAway { id, reason: reason_from(reason), ts_venue }, reason)
    }

    fn never_placed(&self, now: i64, order_id: u64) -> PyResult<()> {
        self.observe(now, Event::OrderNeverPlaced { id: OrderId(order_id) }, "")
    }

    fn expired_unproven(&self, now: i64, order_id: u64) -> PyResult<()> {
        self.observe(now, Event::OrderExpiredUnproven { id: OrderId(order_id) }, "")
    }

    fn take_risen(&self) -> Vec<u64> {
        self.core.borrow_mut().take_risen().into_iter().map(|id| id.0).collect()
    }

    fn moved(
        &self,
        now: i64,
        instrument: u16,
        execution: &str,
        kind: &str,
        side: &str,
        tick: i64,
        lots: i64,
        fee_units: i128,
        ts_venue: i64,
    ) -> PyResult<bool> {
        if kind.is_empty() || kind.contains(' ') {
            return Err(PyValueError::new_err(format!(
                "a kind of execution is one word, such as AdlTrade, not {kind:?}"
            )));
        }
        let (instrument, side) = (InstrumentId(instrument), side_from(side)?);
        let (price, qty, fee, ts_venue) = (Ticks(tick), Lots(lots), Cash(fee_units), Nanos(ts_venue));
        let told = Moved { instrument, side, price, qty, fee, ts_venue };
        self.core.borrow_mut().moved(Nanos(now), execution, kind, told).map_err(live_error)
    }

    fn next_timer(&self) -> Option<i64> {
        self.core.borrow().next_timer().map(|timer| timer.0)
    }

    fn acked(&self, now: i64, order_id: u64, ts_venue: i64) -> PyResult<()> {
        self.observe(now, Event::OrderAcked { id: OrderId(order_id), ts_venue: Nanos(ts_venue) }, "")
    }

    fn unknown(&self, now: i64, order_id: u64) -> PyResult<()> {
        self.observe(now, Event::OrderUnknown { id: OrderId(order_id) }, "")
    }

    fn accepted(&self, now: i64, order_id: u64, ts_venue: i64) -> PyResult<()> {
        self.observe(now, Event::OrderAccepted { id: OrderId(order_id), ts_venue: Nanos(ts_venue) }, "")
    }

    fn executed(&self, now: i64, order_id: u64, cum: i64, ts_venue: i64) -> PyResult<()> {
        let (id, cum, ts_venue) = (OrderId(order_id), Lots(cum), Nanos(ts_venue));
        self.observe(now, Event::OrderExecuted { id, cum, ts_venue }, "")
    }

    fn rejected(&self, now: i64, order_id: u64, reason: &str, ts_venue: i64) -> PyResult<()> {
        if reason == reason_name(RejectReason::HeldBack) {
            return self.turned_away(now, order_id, reason, ts_venue); // the venue never heard of it
        }
        let (id, ts_venue) = (OrderId(order_id), Nanos(ts_venue));
        self.observe(now, Event::OrderRejected { id, reason: reason_from(reason), ts_venue }, reason)
    }

    fn canceled(&self, now: i64, order_id: u64, cum: i64, ts_venue: i64) -> PyResult<()> {
        let (id, cum, ts_venue) = (OrderId(order_id), Lots(cum), Nanos(ts_venue));
        self.observe(now, Event::OrderCanceled { id, cum, ts_venue }, "")
    }

    fn amended(&self, now: i64, order_id: u64, tick: i64, lots: i64, ts_venue: i64) -> PyResult<()> {
        let (id, price, qty, ts_venue) = (OrderId(order_id), Ticks(tick), Lots(lots), Nanos(ts_venue));
        self.observe(now, Event::OrderAmended { id, price, qty, ts_venue }, "")
    }

    fn refused(&self, now: i64, order_id: u64, request: &str, reason: &str, ts_venue: i64) -> PyResult<()> {
        let (id, words, ts_venue) = (OrderId(order_id), reason, Nanos(ts_venue));
        let reason = reason_from(words);
        let event = match request {
            "amend" => Event::AmendRefused { id, reason, ts_venue },
            "cancel" => Event::CancelRefused { id, reason, ts_venue },
            other => {
                return Err(PyValueError::new_err(format!("a refused {other:?}; expected \"amend\" or \"cancel\"")));
            }
        };
        self.observe(now, event, words)
    }

    fn filled(
        &self,
        now: i64,
        order_id: u64,
        execution: &str,
        tick: i64,
        lots: i64,
        maker: bool,
        fee_units: i128,
        ts_venue: i64,
    ) -> PyResult<bool> {
        let (price, qty, fee) = (Ticks(tick), Lots(lots), Cash(fee_units));
        let told = Execution { id: OrderId(order_id), price, qty, maker, fee, ts_venue: Nanos(ts_venue) };
        self.core.borrow_mut().filled(Nanos(now), execution, told).map_err(live_error)
    }

    fn funded(&self, now: i64, instrument: u16, amount_units: i128, ts_venue: i64) -> PyResult<()> {
        let (instrument, amount) = (InstrumentId(instrument), Cash(amount_units));
        self.observe(now, Event::FundingPaid { instrument, amount, ts_venue: Nanos(ts_venue) }, "")
    }

    #[pyo3(signature = (now, scope, level, instrument = None))]
    fn restrict(&self, now: i64, scope: &str, level: u8, instrument: Option<u16>) -> PyResult<()> {
        if let Some(instrument) = instrument {
            self.listed(instrument)?;
        }
        self.tell(now, &Outside::Restrict { scope: scope_from(scope, instrument)?, level: level_from(level)? })
    }

    #[pyo3(signature = (now, instrument, tick, at))]
    fn reference(&self, now: i64, instrument: u16, tick: Option<i64>, at: i64) -> PyResult<()> {
        let instrument = self.listed(instrument)?;
        let price = tick.filter(|tick| *tick > 0).map(Ticks);
        self.tell(now, &Outside::Reference { instrument, price, at: Nanos(at) })
    }

    #[pyo3(signature = (now, circle, gross_units, net_units, at))]
    fn elsewhere(
        &self,
        now: i64,
        circle: &str,
        gross_units: Option<i128>,
        net_units: Option<i128>,
        at: i64,
    ) -> PyResult<()> {
        let held = held_from(gross_units, net_units, at);
        self.tell(now, &Outside::Elsewhere { circle: circle_from(circle)?, held })
    }

    #[pyo3(signature = (now, what, at, instrument = None))]
    fn measured(&self, now: i64, what: &str, at: Option<i64>, instrument: Option<u16>) -> PyResult<()> {
        let what = match (what, instrument) {
            ("margin", None) => Measure::Margin,
            ("entry", Some(instrument)) => Measure::Entry(self.listed(instrument)?),
            _ => {
                let said = format!("measured {what:?} of {instrument:?}: expected margin, or entry of an instrument");
                return Err(PyValueError::new_err(said));
            }
        };
        self.tell(now, &Outside::Measured { what, at: at.map(Nanos) })
    }

    #[pyo3(signature = (now, ppm))]
    fn share(&self, now: i64, ppm: u32) -> PyResult<()> {
        self.tell(now, &Outside::Share(ppm))
    }

    #[pyo3(signature = (now, instrument, *, size_ppm, back_ppm, least_lots))]
    fn temper(&self, now: i64, instrument: u16, size_ppm: u32, back_ppm: u32, least_lots: i64) -> PyResult<()> {
        let instrument = self.listed(instrument)?;
        let temper = Temper { size_ppm, back_ppm, least: Lots(least_lots) };
        self.tell(now, &Outside::Temper { instrument, temper })
    }

    fn way_out<'py>(
        &self,
        py: Python<'py>,
        now: i64,
        instrument: u16,
        side: &str,
        lots: i64,
        limit: i64,
    ) -> PyResult<Bound<'py, PyList>> {
        let request = OrderRequest {
            instrument: self.listed(instrument)?,
            side: side_from(side)?,
            price: Ticks(limit),
            qty: Lots(lots),
            tif: Tif::Ioc,
            post_only: false,
            reduce_only: true,
        };
        told(py, self.core.borrow_mut().order(Nanos(now), request).map_err(live_error)?)
    }

    fn halt<'py>(&self, py: Python<'py>, now: i64) -> PyResult<Bound<'py, PyList>> {
        told(py, self.core.borrow_mut().halt(Nanos(now)).map_err(live_error)?)
    }

    fn cancel<'py>(&self, py: Python<'py>, now: i64, order_id: u64) -> PyResult<Bound<'py, PyList>> {
        told(py, self.core.borrow_mut().cancel(Nanos(now), OrderId(order_id)).map_err(live_error)?)
    }

    fn finish(&self, now: i64) -> PyResult<()> {
        self.core.borrow_mut().finish(Nanos(now)).map_err(live_error)
    }

    #[getter]
    fn quarantined(&self) -> u64 {
        self.core.borrow().quarantined()
    }

    #[getter]
    fn halted(&self) -> bool {
        self.core.borrow().is_halted()
    }
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("Quarantine", py.get_type::<Quarantine>())?;
    module.add_class::<PyLive>()
}
