//! One strategy's place in a run: its engine, when it speaks, and the record of what it did. The batch replay and the
//! live driver move it by the same functions.

use mmbot_engine::{Bounds, Desk, Engine, EngineError, Input, Market};
use mmbot_journal::Reasons;
use mmbot_sim::QueueModel;
use mmbot_types::{Event, Instrument, InstrumentId, Nanos, OrderId, Side};

use crate::estimate::Estimates;
use crate::feed::Feed;
use crate::record::{FillRecord, Recorder, Sample};

/// When a strategy speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WakeRule {
    /// Every so often, counted from the first message.
    pub every: Option<Nanos>,
    /// When the best bid or ask price moved.
    pub touch: bool,
    /// When one of its orders was filled.
    pub fill: bool,
    /// When somebody traded.
    pub trade: bool,
    /// At every message.
    pub message: bool,
}

/// One strategy of a run: where it sits, not what it thinks.
pub struct Seat {
    /// Limits and differ rules, one per instrument.
    pub desks: Vec<Desk>,
    /// What its instruments are held against together.
    pub bounds: Bounds,
    /// When it speaks.
    pub wake: WakeRule,
    /// Keep fills, orders and samples.
    pub record: bool,
}

/// What was heard of the market since the strategy could last speak.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    pub(crate) message: bool,
    pub(crate) trade: bool,
    pub(crate) touch: bool,
}

/// A seat, taken.
pub(crate) struct Sitting {
    pub(crate) engine: Engine,
    pub(crate) wake: WakeRule,
    pub(crate) next_timer: Option<Nanos>,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) estimates: Vec<Estimates>,
    pub(crate) wakes: u64,
    filled: bool,
}

impl Sitting {
    pub(crate) fn new(seat: Seat, instruments: &[Instrument]) -> Self {
        let mut engine = Engine::new(instruments.iter().cloned().zip(seat.desks).collect());
        engine.bind(seat.bounds);
        Self {
            estimates: vec![Estimates::default(); instruments.len()],
            engine,
            wake: seat.wake,
            next_timer: None,
            recorder: seat.record.then(Recorder::default),
            wakes: 0,
            filled: false,
        }
    }

    /// The first message of the run was heard: timers count from it.
    pub(crate) fn start(&mut self, first: Nanos) {
        self.next_timer = self.wake.every.map(|every| first + every);
    }

    /// Gives the engine one fact, and keeps the record of it.
    pub(crate) fn observe(&mut self, at: Nanos, event: &Event) -> Result<(), EngineError> {
        let recorder = self.recorder.as_ref();
        let fill = recorder.and_then(|recorder| fill_record(&self.engine, recorder, event, at));
        self.engine.step(at.max(self.engine.clock()), Input::Event(event))?;
        if let Event::Filled { .. } | Event::PositionMoved { .. } = event {
            self.filled = true;
            if let Some(recorder) = &mut self.recorder {
                recorder.fills.extend(fill);
            }
        }
        self.forget_place(event);
        Ok(())
    }

    /// Takes the orders over that can change no more.
    pub(crate) fn settle(&mut self) {
        let returned = self.engine.take_returned();
        match &mut self.recorder {
            Some(recorder) => {
                returned.into_iter().for_each(|id| recorder.give_back(id));
                self.engine.take_settled().for_each(|order| recorder.settle(order));
            }
            None => drop(self.engine.take_settled()),
        }
    }

    /// An order that is done stands in no line.
    fn forget_place(&mut self, event: &Event) {
        let (Event::OrderCanceled { id, .. }
        | Event::Filled { id, .. }
        | Event::OrderRejected { id, .. }
        | Event::OrderTurnedAway { id, .. }
        | Event::OrderNeverPlaced { id }
        | Event::OrderExpiredUnproven { id }
        | Event::OrderExecuted { id, .. }) = *event
        else {
            return;
        };
        if self.engine.orders().get(id).is_none_or(|order| order.life.is_terminal()) {
            self.estimates.iter_mut().for_each(|places| places.leave(id));
        }
    }

    /// Which of its rules hold now. A timer that is late by several intervals counts once.
    pub(crate) fn due(&mut self, now: Nanos, news: News) -> Reasons {
        let mut timer = false;
        if let (Some(next), Some(every)) = (self.next_timer.filter(|next| *next <= now), self.wake.every) {
            timer = true;
            self.next_timer = Some(Nanos(next.0 + every.0 * ((now.0 - next.0) / every.0 + 1)));
        }
        let filled = std::mem::take(&mut self.filled) && self.wake.fill;
        let WakeRule { touch, trade, message, .. } = self.wake;
        let held = [timer, touch && news.touch, filled, trade && news.trade, message && news.message];
        let reasons = Reasons::of(held);
        self.wakes += u64::from(!reasons.is_empty());
        reasons
    }

    /// Keeps the state of every instrument at a sampling time.
    pub(crate) fn sample(&mut self, ts: Nanos, market: &Market) {
        let Some(recorder) = &mut self.recorder else { return };
        for (index, heard) in market.iter().enumerate() {
            let instrument = InstrumentId(index as u16);
            let (ledger, orders) = (self.engine.ledger(), self.engine.orders());
            let wanted = |side| {
                orders.side(instrument, side).filter(|o| o.is_strategys() && o.is_wanted()).map(|o| o.request.price.0)
            };
            recorder.samples.push(Sample {
                ts,
                instrument,
                bid: heard.touch().bid,
                ask: heard.touch().ask,
                position: ledger.position(instrument),
                cash: ledger.cash(instrument),
                fees: ledger.fees(instrument),
                quote_bid: wanted(Side::Buy).max().unwrap_or(0),
                quote_ask: wanted(Side::Sell).min().unwrap_or(0),
            });
        }
    }

    /// Lots ahead of a resting order, by the law `queue` and by what we have heard.
    pub(crate) fn ahead(&mut self, feed: &Feed, queue: &QueueModel, index: usize, id: OrderId) -> Option<f64> {
        let (records, heard) = (mmbot_sim::Records::of(feed.tape()), feed.heard());
        self.estimates[index].ahead(id, queue, &records, heard)
    }
}

/// The record of an execution that is about to be booked; none for an order that nobody remembers. What moves the
/// position without an order has order number 0.
fn fill_record(engine: &Engine, recorder: &Recorder, event: &Event, heard: Nanos) -> Option<FillRecord> {
    if let Event::PositionMoved { instrument, execution, side, price, qty, fee, touch_bid, touch_ask, ts_venue } =
        *event
    {
        return Some(FillRecord {
            ts_venue,
            ts_recv: heard,
            instrument,
            order: OrderId(0),
            execution,
            side,
            price,
            qty,
            maker: false,
            fee,
            touch_bid,
            touch_ask,
            age: Nanos::ZERO,
            ahead_at_join: None,
        });
    }
    let Event::Filled { id, execution, price, qty, maker, fee, touch_bid, touch_ask, ts_venue } = *event else {
        return None;
    };
    let (instrument, side) = engine.terms_of(id)?;
    let accepted = engine.orders().get(id).and_then(|order| order.ts_accepted);
    Some(FillRecord {
        ts_venue,
        ts_recv: heard,
        instrument,
        order: id,
        execution,
        side,
        price,
        qty,
        maker,
        fee,
        touch_bid,
        touch_ask,
        age: if maker { (ts_venue - accepted.unwrap_or(ts_venue)).max(Nanos::ZERO) } else { Nanos::ZERO },
        ahead_at_join: recorder.ahead_at_join(id),
    })
}
