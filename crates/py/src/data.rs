//! Tapes and instruments, as Python sees them.

use std::mem::offset_of;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mmbot_tape::{
    DepthMessage, FundingRecord, Level, LiveTape, MessageKind, OrderChange, OrderMessage, PublicOrder, Section, Tape,
    TapeError, TapeWriter, TradeMessage, copy, pack,
};
use mmbot_types::{CASH_SCALE, Cash, ContractKind, FeeSchedule, FeeTier, Instrument, Side, Step};
use numpy::ndarray::ArrayView1;
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyDict;

create_exception!(mmbot._core, TapeFault, PyValueError);

fn fault(error: TapeError) -> PyErr {
    match error {
        TapeError::Io { .. } => PyOSError::new_err(error.to_string()),
        TapeError::Unfit { .. } => PyValueError::new_err(error.to_string()),
        _ => TapeFault::new_err(error.to_string()),
    }
}

fn value_error(field: &str, error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("{field} {error}"))
}

/// See the stub.
#[pyclass(name = "Instrument", module = "mmbot._core", frozen, eq)]
#[derive(Clone, PartialEq)]
pub struct PyInstrument {
    /// The core's own.
    pub inner: Instrument,
}

#[pymethods]
impl PyInstrument {
    #[new]
    #[pyo3(signature = (*, venue, symbol, kind, tick, lot, contract = "1", maker = 0, taker = 0, tiers = None))]
    fn new(
        venue: String,
        symbol: String,
        kind: &str,
        tick: &str,
        lot: &str,
        contract: &str,
        maker: i64,
        taker: i64,
        tiers: Option<Vec<(String, i64, i64)>>,
    ) -> PyResult<Self> {
        let kind = match kind {
            "linear" => ContractKind::Linear,
            "inverse" => ContractKind::Inverse,
            "spot" => ContractKind::Spot,
            other => return Err(value_error("kind", format!("{other:?} is none of linear, inverse, spot"))),
        };
        let step = |field, text| Step::parse(text).map_err(|error| value_error(field, error));
        let cash = Step { mantissa: 1, scale: CASH_SCALE.min(18) };
        let tier = |(volume, maker, taker): (String, i64, i64)| {
            let volume = cash.count_wide(&volume).map_err(|error| value_error("fee tier volume", error))?;
            PyResult::Ok(FeeTier { volume_from: Cash(volume), maker, taker })
        };
        let fees = match tiers {
            Some(tiers) => FeeSchedule::new(tiers.into_iter().map(tier).collect::<PyResult<_>>()?),
            None => FeeSchedule::flat(maker, taker),
        };
        let fees = fees.map_err(|error| value_error("fees:", error))?;
        let (tick, lot, contract) = (step("tick", tick)?, step("lot", lot)?, step("contract", contract)?);
        Ok(Self { inner: Instrument { venue, symbol, kind, tick, lot, contract, fees } })
    }

    #[getter]
    fn venue(&self) -> &str {
        &self.inner.venue
    }

    #[getter]
    fn symbol(&self) -> &str {
        &self.inner.symbol
    }

    #[getter]
    fn kind(&self) -> &'static str {
        match self.inner.kind {
            ContractKind::Linear => "linear",
            ContractKind::Inverse => "inverse",
            ContractKind::Spot => "spot",
        }
    }

    #[getter]
    fn tick(&self) -> String {
        self.inner.tick.to_string()
    }

    #[getter]
    fn lot(&self) -> String {
        self.inner.lot.to_string()
    }

    #[getter]
    fn contract(&self) -> String {
        self.inner.contract.to_string()
    }

    #[getter]
    fn tick_size(&self) -> f64 {
        self.inner.tick.as_f64()
    }

    #[getter]
    fn lot_size(&self) -> f64 {
        self.inner.lot.as_f64()
    }

    #[getter]
    fn maker(&self) -> i64 {
        self.inner.fees.tier(Cash::ZERO).maker
    }

    #[getter]
    fn taker(&self) -> i64 {
        self.inner.fees.tier(Cash::ZERO).taker
    }

    fn ticks(&self, price: &str) -> PyResult<i64> {
        self.inner.tick.count(price).map_err(|error| value_error("price", error))
    }

    fn lots(&self, qty: &str) -> PyResult<i64> {
        self.inner.lot.count(qty).map_err(|error| value_error("quantity", error))
    }

    fn price(&self, ticks: i64) -> String {
        self.inner.tick.text(ticks)
    }

    fn quantity(&self, lots: i64) -> String {
        self.inner.lot.text(lots)
    }

    fn __repr__(&self) -> String {
        let (tick, lot) = (&self.inner.tick, &self.inner.lot);
        format!("Instrument({} {} {}, tick {tick}, lot {lot})", self.venue(), self.symbol(), self.kind())
    }
}

/// A level as decimal text.
type Text = (PyBackedStr, PyBackedStr);

pub fn side_named(field: &str, text: &str) -> PyResult<Side> {
    match text {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        other => Err(value_error(field, format!("{other:?} is neither buy nor sell"))),
    }
}

/// The exact lots of a decimal string; `of` names it in errors.
fn lots(instrument: &Instrument, of: &str, qty: &str) -> PyResult<u32> {
    let lots = instrument.lot.count(qty).map_err(|error| value_error(&format!("{of} quantity"), error))?;
    u32::try_from(lots).map_err(|_| value_error(of, format!("quantity {qty} is outside 0 to 2^32 - 1 lots")))
}

/// The exact level of two decimal strings; `side` names it in errors.
fn level(instrument: &Instrument, side: &str, (price, qty): &Text) -> PyResult<Level> {
    let tick = instrument.tick.count(price).map_err(|error| value_error(&format!("{side} price"), error))?;
    let lots = lots(instrument, side, qty)?;
    let tick = i32::try_from(tick).ok().filter(|&tick| tick > 0 && tick < i32::MAX);
    let tick = tick.ok_or_else(|| value_error(side, format!("price {price} is outside 1 to 2^31 - 2 ticks")))?;
    Ok(Level { tick, lots })
}

/// See the stub.
#[pyclass(name = "TapeWriter", module = "mmbot._core")]
pub struct PyTapeWriter {
    writer: Option<TapeWriter>,
    instrument: Instrument,
}

/// A side of a book message, as decimal text.
fn levels(instrument: &Instrument, side: &str, texts: &[Text]) -> PyResult<Vec<Level>> {
    texts.iter().map(|text| level(instrument, side, text)).collect()
}

fn message_kind(kind: &str) -> PyResult<MessageKind> {
    match kind {
        "delta" => Ok(MessageKind::Delta),
        "snapshot" => Ok(MessageKind::Snapshot),
        "gap" => Ok(MessageKind::Gap),
        other => Err(value_error("kind", format!("{other:?} is none of delta, snapshot, gap"))),
    }
}

impl PyTapeWriter {
    fn open(&mut self) -> PyResult<&mut TapeWriter> {
        self.writer.as_mut().ok_or_else(|| PyRuntimeError::new_err("this tape is finished; create another writer"))
    }

    fn public_order(&self, id: u64, side: &str, text: Text) -> PyResult<PublicOrder> {
        let level = level(&self.instrument, "order", &text)?;
        Ok(PublicOrder { id, side: side_named("side", side)?, level })
    }

    fn order(&mut self, ts_recv: i64, ts_venue: i64, change: OrderChange) -> PyResult<()> {
        self.open()?.order(ts_recv, ts_venue, change).map_err(fault)
    }
}

#[pymethods]
impl PyTapeWriter {
    #[new]
    fn new(path: PathBuf, instrument: &PyInstrument) -> PyResult<Self> {
        let instrument = instrument.inner.clone();
        let writer = TapeWriter::create(path, instrument.clone()).map_err(fault)?;
        Ok(Self { writer: Some(writer), instrument })
    }

    fn depth(&mut self, ts_recv: i64, ts_venue: i64, kind: &str, bids: Vec<Text>, asks: Vec<Text>) -> PyResult<()> {
        let kind = message_kind(kind)?;
        let (bids, asks) = (levels(&self.instrument, "bid", &bids)?, levels(&self.instrument, "ask", &asks)?);
        self.open()?.depth(ts_recv, ts_venue, kind, &bids, &asks).map_err(fault)
    }

    fn trade(
        &mut self,
        ts_recv: i64,
        ts_venue: i64,
        price: PyBackedStr,
        qty: PyBackedStr,
        aggressor: &str,
    ) -> PyResult<()> {
        let aggressor = side_named("aggressor", aggressor)?;
        let level = level(&self.instrument, "trade", &(price, qty))?;
        self.open()?.trade(ts_recv, ts_venue, level, aggressor).map_err(fault)
    }

    fn funding(&mut self, ts_recv: i64, ts_venue: i64, rate: i64, mark: i64) -> PyResult<()> {
        self.open()?.funding(ts_recv, ts_venue, rate, mark).map_err(fault)
    }

    fn order_snapshot(
        &mut self,
        ts_recv: i64,
        ts_venue: i64,
        orders: Vec<(u64, PyBackedStr, PyBackedStr, PyBackedStr)>,
    ) -> PyResult<()> {
        let orders = orders.into_iter().map(|(id, side, price, qty)| self.public_order(id, &side, (price, qty)));
        let orders = orders.collect::<PyResult<Vec<_>>>()?;
        self.open()?.order_snapshot(ts_recv, ts_venue, &orders).map_err(fault)
    }

    fn add_order(
        &mut self,
        ts_recv: i64,
        ts_venue: i64,
        order_id: u64,
        side: &str,
        price: PyBackedStr,
        qty: PyBackedStr,
    ) -> PyResult<()> {
        let order = self.public_order(order_id, side, (price, qty))?;
        self.order(ts_recv, ts_venue, OrderChange::Add(order))
    }

    fn reduce_order(&mut self, ts_recv: i64, ts_venue: i64, order_id: u64, qty: &str) -> PyResult<()> {
        let lots = lots(&self.instrument, "order", qty)?;
        self.order(ts_recv, ts_venue, OrderChange::Reduce { id: order_id, lots })
    }

    fn remove_order(&mut self, ts_recv: i64, ts_venue: i64, order_id: u64) -> PyResult<()> {
        self.order(ts_recv, ts_venue, OrderChange::Remove { id: order_id })
    }

    fn execute_order(&mut self, ts_recv: i64, ts_venue: i64, order_id: u64, qty: &str) -> PyResult<()> {
        let lots = lots(&self.instrument, "order", qty)?;
        self.order(ts_recv, ts_venue, OrderChange::Execute { id: order_id, lots })
    }

    fn finish(&mut self) -> PyResult<()> {
        self.open()?;
        self.writer.take().map_or(Ok(()), TapeWriter::finish).map_err(fault)
    }
}

/// Name, NumPy format and offset of each column of a record.
type Columns = Vec<(&'static str, &'static str, usize)>;

fn columns(section: Section) -> Columns {
    macro_rules! of {
        ($record:ty: $($field:ident $format:literal),+) => {
            vec![$((stringify!($field), $format, offset_of!($record, $field))),+]
        };
    }
    match section {
        Section::Depth => {
            of!(DepthMessage: ts_recv "<i8", ts_venue "<i8", span "<u8", n_bid "<u4", n_ask "<u4", bid "<i4", ask "<i4")
        }
        Section::Levels => of!(Level: tick "<i4", lots "<u4"),
        Section::Trades => {
            of!(TradeMessage: ts_recv "<i8", ts_venue "<i8", tick "<i4", lots "<u4",
                depth_before_recv "<u4", depth_before_venue "<u4")
        }
        Section::Funding => of!(FundingRecord: ts_recv "<i8", ts_venue "<i8", rate "<i8", mark "<i8"),
        Section::Orders => {
            of!(OrderMessage: id "<u8", depth "<u4", since "<u4", tick "<i4", lots "<u4", kind "<u4", side "<u4")
        }
    }
}

fn section(name: &str) -> PyResult<Section> {
    match name {
        "depth" => Ok(Section::Depth),
        "levels" => Ok(Section::Levels),
        "trades" => Ok(Section::Trades),
        "funding" => Ok(Section::Funding),
        "orders" => Ok(Section::Orders),
        other => Err(value_error("section", format!("{other:?} is none of depth, levels, trades, funding, orders"))),
    }
}

/// See the stub.
#[pyclass(name = "Tape", module = "mmbot._core", frozen)]
pub struct PyTape {
    /// The core's own, shared with whoever replays it.
    pub inner: Arc<Tape>,
}

#[pymethods]
impl PyTape {
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let tape = py.detach(|| Tape::open(path)).map_err(fault)?;
        Ok(Self { inner: Arc::new(tape) })
    }

    #[getter]
    fn instrument(&self) -> PyInstrument {
        PyInstrument { inner: self.inner.instrument().clone() }
    }

    #[getter]
    fn tape_hash(&self) -> u64 {
        self.inner.tape_hash()
    }

    #[getter]
    fn events(&self) -> u64 {
        self.inner.events()
    }

    #[getter]
    fn span(&self) -> PyResult<Option<(i64, i64)>> {
        self.verify(Section::Depth, usize::MAX)?;
        self.verify(Section::Trades, usize::MAX)?;
        Ok(self.inner.span().map(|span| (span.start, span.end)))
    }

    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (tape, dict) = (&self.inner, PyDict::new(py));
        let instrument = self.instrument();
        let counts = tape.counts();
        for (key, text) in [("venue", instrument.venue()), ("symbol", instrument.symbol()), ("kind", instrument.kind())]
        {
            dict.set_item(key, text)?;
        }
        dict.set_item("tick", instrument.tick())?;
        dict.set_item("lot", instrument.lot())?;
        dict.set_item("maker", instrument.maker())?;
        dict.set_item("taker", instrument.taker())?;
        dict.set_item("tape_hash", format!("{:016x}", tape.tape_hash()))?;
        dict.set_item("span", self.span()?)?;
        for (key, number) in [
            ("events", tape.events()),
            ("depth", tape.depth().len() as u64),
            ("levels", tape.levels().len() as u64),
            ("trades", tape.trades().len() as u64),
            ("funding", tape.funding().len() as u64),
            ("orders", tape.orders().len() as u64),
            ("snapshots", counts.snapshots),
            ("gaps", counts.gaps),
            ("crossed", counts.crossed),
            ("repeated_levels", counts.repeated_levels),
            ("recv_corrections", counts.recv_corrections),
            ("venue_corrections", counts.venue_corrections),
        ] {
            dict.set_item(key, number)?;
        }
        Ok(dict)
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.verify_all()).map_err(fault)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let packed = path.extension().is_some_and(|extension| extension == "tapez");
        py.detach(|| if packed { pack(&self.inner, &path) } else { copy(&self.inner, &path) }).map_err(fault)
    }

    #[staticmethod]
    fn columns(name: &str) -> PyResult<Columns> {
        Ok(columns(section(name)?))
    }

    #[pyo3(signature = (name, start = 0, stop = None))]
    fn bytes<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        start: usize,
        stop: Option<usize>,
    ) -> PyResult<Bound<'py, PyArray1<u8>>> {
        let (section, tape) = (section(name)?, slf.get());
        let bytes = tape.inner.section(section);
        let size = section.record_bytes();
        let total = bytes.len() / size;
        let stop = stop.unwrap_or(total);
        if start > stop || stop > total {
            return Err(value_error("records", format!("{start} to {stop} are outside the {total} {section} records")));
        }
        tape.verify(section, stop)?;
        let view = ArrayView1::from(&bytes[start * size..stop * size]);
        // SAFETY: the array keeps the tape alive, the tape never moves or changes its bytes, and nobody can write to
        // the array.
        let array = unsafe { PyArray1::borrow_from_array(&view, slf.clone().into_any()) };
        array.try_readwrite().map_err(|error| PyRuntimeError::new_err(error.to_string()))?.make_nonwriteable();
        Ok(array)
    }

    fn touch_at<'py>(
        &self,
        py: Python<'py>,
        ts_venue: PyReadonlyArray1<'py, i64>,
    ) -> PyResult<(Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<i32>>)> {
        self.verify(Section::Depth, usize::MAX)?;
        let touches = ts_venue.as_array().mapv(|ts| self.inner.touch_at(ts));
        let (bid, ask): (Vec<_>, Vec<_>) = touches.iter().map(|touch| (touch.bid, touch.ask)).unzip();
        Ok((PyArray1::from_vec(py, bid), PyArray1::from_vec(py, ask)))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.inner)
    }
}

impl PyTape {
    fn verify(&self, section: Section, count: usize) -> PyResult<()> {
        self.inner.verify_upto(section, count).map_err(fault)
    }
}

/// See the stub.
#[pyclass(name = "LiveTape", module = "mmbot._core", frozen)]
pub struct PyLiveTape {
    /// None once it is sealed.
    live: Mutex<Option<LiveTape>>,
    tape: Arc<Tape>,
    late: AtomicU64,
    dropped: [u64; 4],
}

impl PyLiveTape {
    fn of(live: LiveTape) -> Self {
        let (tape, dropped) = (Arc::clone(live.tape()), live.dropped());
        Self { live: Mutex::new(Some(live)), tape, late: AtomicU64::new(0), dropped }
    }

    fn live(&self) -> MutexGuard<'_, Option<LiveTape>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut LiveTape) -> Result<T, TapeError>) -> PyResult<T> {
        let mut live = self.live();
        let live = live.as_mut().ok_or_else(|| PyRuntimeError::new_err("this tape is sealed; begin another one"))?;
        let done = act(live).map_err(fault);
        self.late.store(live.late(), Ordering::Relaxed);
        done
    }
}

#[pymethods]
impl PyLiveTape {
    #[new]
    fn new(py: Python<'_>, directory: PathBuf, instrument: &PyInstrument) -> PyResult<Self> {
        let instrument = instrument.inner.clone();
        Ok(Self::of(py.detach(|| LiveTape::create(directory, instrument)).map_err(fault)?))
    }

    #[staticmethod]
    fn recover(py: Python<'_>, directory: PathBuf) -> PyResult<Self> {
        Ok(Self::of(py.detach(|| LiveTape::recover(directory)).map_err(fault)?))
    }

    fn depth(&self, ts_recv: i64, ts_venue: i64, kind: &str, bids: Vec<Text>, asks: Vec<Text>) -> PyResult<()> {
        let (kind, instrument) = (message_kind(kind)?, self.tape.instrument());
        let (bids, asks) = (levels(instrument, "bid", &bids)?, levels(instrument, "ask", &asks)?);
        self.with(|live| live.depth(ts_recv, ts_venue, kind, &bids, &asks))
    }

    fn trade(
        &self,
        ts_recv: i64,
        ts_venue: i64,
        price: PyBackedStr,
        qty: PyBackedStr,
        aggressor: &str,
    ) -> PyResult<()> {
        let aggressor = side_named("aggressor", aggressor)?;
        let level = level(self.tape.instrument(), "trade", &(price, qty))?;
        self.with(|live| live.trade(ts_recv, ts_venue, level, aggressor))
    }

    fn funding(&self, ts_recv: i64, ts_venue: i64, rate: i64, mark: i64) -> PyResult<()> {
        self.with(|live| live.funding(ts_recv, ts_venue, rate, mark))
    }

    fn settle(&self, ts_venue: i64) -> PyResult<()> {
        self.with(|live| live.settle(ts_venue))
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        let moment = self.with(|live| Ok(live.sync_point()))?;
        py.detach(|| moment.sync()).map_err(fault) // others may append meanwhile
    }

    fn seal(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.with(|_| Ok(()))?;
        let live = self.live().take();
        py.detach(|| live.map_or(Ok(()), |live| live.seal(path))).map_err(fault)
    }

    #[getter]
    fn tape(&self) -> PyTape {
        PyTape { inner: Arc::clone(&self.tape) }
    }

    fn book(&self) -> PyResult<Option<(Vec<(String, String)>, Vec<(String, String)>)>> {
        let terms = self.tape.instrument();
        let text = |level: Level| (terms.tick.text(level.tick.into()), terms.lot.text(level.lots.into()));
        let side = |levels: Vec<Level>| levels.into_iter().map(text).collect();
        Ok(self.with(|live| Ok(live.book()))?.map(|[bids, asks]| (side(bids), side(asks))))
    }

    #[getter]
    fn bytes(&self) -> PyResult<usize> {
        self.with(|live| Ok(live.bytes()))
    }

    #[getter]
    fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    #[getter]
    fn dropped(&self) -> (u64, u64, u64, u64) {
        self.dropped.into()
    }
}

/// Adds this room's names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("TapeFault", module.py().get_type::<TapeFault>())?;
    module.add_class::<PyInstrument>()?;
    module.add_class::<PyTape>()?;
    module.add_class::<PyTapeWriter>()?;
    module.add_class::<PyLiveTape>()
}
