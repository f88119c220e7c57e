//! From wake to wake: the venue first (it knows before we do), then what we have heard, then the answers, then the
//! strategy.

use std::sync::Arc;

use mmbot_book::BookError;
use mmbot_engine::{Engine, EngineError, Input, Intent, Market};
use mmbot_signals::{SignalError, SignalSpec};
use mmbot_sim::{Laws, LocalBook, QueueModel, Venue, VenueListing};
use mmbot_tape::{Section, Tape, TapeError};
use mmbot_types::{Instrument, InstrumentId, Nanos, OrderId, Touch};
use smallvec::SmallVec;
use thiserror::Error;

use crate::feed::{Feed, FeedLatency};
use crate::record::Recorder;
use crate::seat::{News, Seat, Sitting};

/// Why a replay stops before its end.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The tape is damaged.
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// A message that no book can take.
    #[error("the tape has a book message that no book can take: {0}")]
    Book(#[from] BookError),
    /// The tape's touch columns contradict its levels.
    #[error("depth message {message}: the tape says touch {tape:?}, its levels make {book:?}; import the tape again")]
    Inconsistent {
        /// Which message.
        message: usize,
        /// By the touch columns.
        tape: Touch,
        /// By the levels.
        book: Touch,
    },
    /// The engine refused an input.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A measure that cannot be computed.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// Nothing to replay.
    #[error("{0}")]
    Plan(String),
}

/// One instrument of a run.
pub struct Listing {
    /// Its tape.
    pub tape: Arc<Tape>,
    /// What happened at the venue, where the tape shows orders of our own as well: the same without them.
    pub without_us: Option<Arc<Tape>>,
    /// Its terms and fees (those of the tape, or what the user says).
    pub instrument: Instrument,
    /// Its simulated venue's laws.
    pub laws: Laws,
    /// When its news is heard.
    pub feed: FeedLatency,
    /// Measures asked for.
    pub signals: Vec<SignalSpec>,
}

/// All that a run is.
pub struct Plan {
    /// Instruments.
    pub listings: Vec<Listing>,
    /// Strategies; they do not see each other.
    pub seats: Vec<Seat>,
    /// Sampling interval of position, cash and quotes.
    pub sample: Option<Nanos>,
}

/// Which strategies are to speak now.
pub struct Woken {
    /// Now.
    pub now: Nanos,
    /// Indices of the strategies.
    pub seats: SmallVec<[u16; 8]>,
}

/// A replay under way.
pub struct Replay {
    market: Market,
    feeds: Vec<Feed>,
    queues: Vec<QueueModel>,
    /// Whether a tape shows orders of our own.
    shows_us: Vec<bool>,
    venue: Venue,
    sittings: Vec<Sitting>,
    now: Nanos,
    /// Of the messages that there are.
    end: Nanos,
    /// The first message's time is known.
    begun: bool,
    /// A tape is being written.
    growing: bool,
    sample: Option<Nanos>,
    next_sample: Nanos,
    done: bool,
    woken: Woken,
}

fn books<'a>(market: &'a Market, feeds: &[Feed]) -> SmallVec<[LocalBook<'a>; 4]> {
    let local =
        |(heard, feed): (&'a mmbot_engine::Heard, &Feed)| LocalBook { book: &heard.book, cursor: feed.cursor() };
    market.iter().zip(feeds).map(local).collect()
}

/// First in, first out needs the orders of the line, and all of them intact.
fn check_queue(listing: &Listing) -> Result<(), ReplayError> {
    if listing.laws.queue != QueueModel::Fifo {
        return Ok(());
    }
    if listing.tape.orders().is_empty() {
        let Instrument { venue, symbol, .. } = &listing.instrument;
        return Err(ReplayError::Plan(format!(
            "queue model fifo needs a tape by order, but that of {venue} {symbol} tells levels only: \
             import a recording by order, or choose another model (power, risk_averse)"
        )));
    }
    Ok(listing.tape.verify_upto(Section::Orders, usize::MAX)?)
}

/// A listing as its venue has it. A tape that is heard from another one has a book of its own there.
fn listed(Listing { tape, without_us, instrument, mut laws, .. }: Listing) -> Result<VenueListing, TapeError> {
    if let Some(without_us) = &without_us {
        without_us.verify_all()?;
        laws.full_book = true;
    }
    Ok(VenueListing { tape: without_us.unwrap_or(tape), instrument, laws })
}

fn not_settled(tape: &Tape, until: Option<Nanos>) -> ReplayError {
    let Instrument { venue, symbol, .. } = tape.instrument();
    let upto = until.map_or("its end".into(), |until| format!("{until} ns"));
    ReplayError::Plan(format!("the tape of {venue} {symbol} is not settled up to {upto}: settle it, or seal it, first"))
}

impl Replay {
    /// A replay at the start of its tapes. One that is being written may be empty still.
    ///
    /// # Errors
    /// [`ReplayError::Plan`] for a plan without instruments, strategies or messages, or with a law that its tape is no
    /// match for; [`ReplayError::Tape`] for damage; [`ReplayError::Signal`] for a bad measure.
    pub fn new(plan: Plan) -> Result<Self, ReplayError> {
        let Plan { listings, seats, sample } = plan;
        if listings.is_empty() || seats.is_empty() {
            return Err(ReplayError::Plan("a run needs at least one instrument and one strategy".into()));
        }
        if let Some(seat) = seats.iter().find(|seat| seat.desks.len() != listings.len()) {
            let (got, expected) = (seat.desks.len(), listings.len());
            return Err(ReplayError::Plan(format!("a strategy has limits for {got} instruments, expected {expected}")));
        }
        listings.iter().try_for_each(check_queue)?;
        let specs: Vec<Vec<SignalSpec>> = listings.iter().map(|listing| listing.signals.clone()).collect();
        let instruments: Vec<_> = listings.iter().map(|listing| listing.instrument.clone()).collect();
        let feeds: Vec<Feed> =
            listings.iter().map(|listing| Feed::new(Arc::clone(&listing.tape), listing.feed.clone())).collect();
        let growing = listings.iter().any(|listing| listing.tape.is_growing());
        if !growing && feeds.iter().all(|feed| feed.start().is_none()) {
            return Err(ReplayError::Plan("the tapes hold no messages".into()));
        }
        let accounts = seats.len();
        let queues: Vec<QueueModel> = listings.iter().map(|listing| listing.laws.queue).collect();
        let shows_us: Vec<bool> = listings.iter().map(|listing| listing.without_us.is_some()).collect();
        let mut replay = Self {
            market: Market::new(&specs)?,
            venue: Venue::new(listings.into_iter().map(listed).collect::<Result<_, TapeError>>()?, accounts),
            feeds,
            sittings: seats.into_iter().map(|seat| Sitting::new(seat, &instruments)).collect(),
            queues,
            shows_us,
            now: Nanos::ZERO,
            end: Nanos::ZERO,
            begun: false,
            growing,
            sample,
            next_sample: Nanos(i64::MAX),
            done: false,
            woken: Woken { now: Nanos::ZERO, seats: SmallVec::new() },
        };
        if !growing {
            replay.begin(Nanos(i64::MAX));
        }
        Ok(replay)
    }

    /// Looks how far the tapes go, and starts the clocks at the first message if that is heard by `limit`. True once
    /// they run.
    fn begin(&mut self, limit: Nanos) -> bool {
        self.end = self.feeds.iter().filter_map(Feed::end).max().unwrap_or(self.end);
        if self.begun {
            return true;
        }
        let Some(start) = self.feeds.iter().filter_map(Feed::start).min().filter(|start| *start <= limit) else {
            return false;
        };
        (self.now, self.woken.now, self.begun) = (start, start, true);
        self.next_sample = self.sample.map_or(self.next_sample, |every| start + every);
        for sitting in &mut self.sittings {
            sitting.start(start);
        }
        true
    }

    /// Moves to the next wake and says who speaks; none at the end of the tapes. None of them grows any more.
    ///
    /// # Errors
    /// [`ReplayError`] for a damaged or inconsistent tape, or a broken promise of the engine; [`ReplayError::Plan`] for
    /// a tape that was written meanwhile and is not settled to its end.
    pub fn next_wake(&mut self) -> Result<Option<&Woken>, ReplayError> {
        if self.growing {
            let unsettled = |feed: &&Feed| feed.tape().placed_trades().len() < feed.tape().trades().len();
            if let Some(feed) = self.feeds.iter().find(unsettled) {
                return Err(not_settled(feed.tape(), None));
            }
            self.done |= !self.begin(Nanos(i64::MAX));
        }
        self.wake_by(self.end, true)
    }

    /// As [`Self::next_wake`] on tapes that are being written: to the next wake at `until` or before, if there is one.
    /// All tapes are settled up to `until`, so nothing can come that should have been heard, or should have happened at
    /// the venue: what follows is what follows on the finished tapes, bit for bit. For the same reason the last
    /// message that there is stays unheard: a run ends with its last message, and only [`Self::next_wake`] ends it.
    ///
    /// # Errors
    /// As [`Self::next_wake`]; [`ReplayError::Plan`] for a tape that is not settled up to `until`.
    pub fn next_wake_by(&mut self, until: Nanos) -> Result<Option<&Woken>, ReplayError> {
        if let Some(feed) = self.feeds.iter().find(|feed| feed.tape().settled() < until.0) {
            return Err(not_settled(feed.tape(), Some(until)));
        }
        let begun = self.begin(until);
        let limit = until.min(self.end - Nanos(1));
        if begun { self.wake_by(limit, false) } else { Ok(None) }
    }

    /// To the next wake at `limit` or before; with `last` the run ends there.
    fn wake_by(&mut self, limit: Nanos, last: bool) -> Result<Option<&Woken>, ReplayError> {
        while !self.done && (last || self.now < limit) {
            let target = self.next_stop().min(limit);
            let touched = self.sittings.iter().any(|sitting| sitting.wake.touch);
            let before: SmallVec<[Touch; 4]> =
                if touched { self.market.iter().map(mmbot_engine::Heard::touch).collect() } else { SmallVec::new() };
            let depth_before: usize = self.feeds.iter().map(Feed::cursor).sum();
            let traded = self.advance(target)?;
            let heard = traded || depth_before != self.feeds.iter().map(Feed::cursor).sum::<usize>();
            let moved = touched && self.market.iter().zip(&before).any(|(heard, before)| heard.touch() != *before);
            self.done = last && self.now >= limit;
            self.take_sample();
            if self.wake_up(News { message: heard, trade: traded, touch: moved }) {
                return Ok(Some(&self.woken));
            }
        }
        Ok(None)
    }

    /// The earliest time at which anybody wants to speak or be sampled.
    fn next_stop(&self) -> Nanos {
        let mut stop = self.next_sample;
        let (mut touch, mut trade, mut message) = (false, false, false);
        for (seat, sitting) in self.sittings.iter().enumerate() {
            stop = sitting.next_timer.map_or(stop, |timer| timer.min(stop));
            if sitting.wake.fill {
                // A fill that has happened already, and is heard only after the stop that came between.
                stop = self.venue.next_fill_heard(seat as u16).map_or(stop, |heard| heard.min(stop));
            }
            touch |= sitting.wake.touch;
            trade |= sitting.wake.trade;
            message |= sitting.wake.message;
        }
        for (feed, heard) in self.feeds.iter().zip(self.market.iter()) {
            let next_depth = if message { feed.next_depth() } else { None };
            let next_trade = if message || trade { feed.next_trade() } else { None };
            let next_touch = if touch { feed.next_touch_change(heard.touch()) } else { None };
            stop = [next_depth, next_trade, next_touch].into_iter().flatten().fold(stop, Nanos::min);
        }
        stop.max(self.now)
    }

    /// Everything up to and including `target`, or to the time a fill is heard if somebody waits for one. True if there
    /// was a trade.
    fn advance(&mut self, mut target: Nanos) -> Result<bool, ReplayError> {
        let stop_at_fill = self.sittings.iter().any(|sitting| sitting.wake.fill);
        let mut traded = false;
        loop {
            let arrival = self.venue.next_arrival();
            let funding = self.venue.next_funding();
            let boundary = [arrival, funding].into_iter().flatten().fold(target, Nanos::min);
            for feed in &mut self.feeds {
                feed.verify_until(boundary)?;
            }
            self.venue.run(&books(&self.market, &self.feeds), boundary, stop_at_fill)?;
            if let Some(heard_at) = self.fill_heard(stop_at_fill) {
                target = target.min(heard_at.max(self.now));
                continue;
            }
            if arrival == Some(boundary) {
                // What has arrived at the venue meets the book of that time, of which we have heard a part.
                traded |= self.hear(boundary)?;
                self.venue.arrive(&books(&self.market, &self.feeds))?;
                if let Some(heard_at) = self.fill_heard(stop_at_fill) {
                    target = target.min(heard_at.max(boundary));
                }
            } else if funding == Some(boundary) {
                self.venue.settle_funding(boundary);
            } else {
                break;
            }
        }
        traded |= self.hear(target)?;
        self.now = target;
        for seat in 0..self.sittings.len() {
            self.listen(seat)?;
        }
        Ok(traded)
    }

    fn fill_heard(&mut self, wanted: bool) -> Option<Nanos> {
        let heard_at = self.venue.take_fill_heard_at();
        if wanted { heard_at } else { None }
    }

    /// What has been heard by `until`, in order. An order's place in line is counted from the very moment its resting
    /// is heard of, wherever the stops are.
    fn hear(&mut self, until: Nanos) -> Result<bool, ReplayError> {
        let mut traded = false;
        while let Some(rested) = self.venue.next_rested(until) {
            traded |= self.hear_market(rested.at)?;
            let index = rested.instrument.0 as usize;
            let (book, feed) = (&self.market.get(rested.instrument).book, &self.feeds[index]);
            let sitting = &mut self.sittings[rested.account as usize];
            sitting.estimates[index].join(&rested, &self.queues[index], book, feed, self.shows_us[index]);
        }
        Ok(self.hear_market(until)? || traded)
    }

    fn hear_market(&mut self, until: Nanos) -> Result<bool, ReplayError> {
        let mut traded = false;
        for (index, feed) in self.feeds.iter_mut().enumerate() {
            traded |= feed.hear(self.market.get_mut(InstrumentId(index as u16)), until)?;
        }
        Ok(traded)
    }

    /// Hands a strategy's engine the answers it has heard by now.
    fn listen(&mut self, seat: usize) -> Result<(), ReplayError> {
        let sitting = &mut self.sittings[seat];
        while let Some(response) = self.venue.next_response(seat as u16, self.now) {
            let joined = self.venue.take_joined(seat as u16); // also when nobody records: it must not pile up
            if let Some(recorder) = &mut sitting.recorder {
                joined.into_iter().for_each(|(id, ahead)| recorder.joined(id, ahead));
            }
            sitting.observe(response.at, &response.event)?;
        }
        sitting.settle();
        Ok(())
    }

    fn wake_up(&mut self, news: News) -> bool {
        self.woken.now = self.now;
        self.woken.seats.clear();
        for (seat, sitting) in self.sittings.iter_mut().enumerate() {
            if !sitting.due(self.now, news).is_empty() {
                self.woken.seats.push(seat as u16);
            }
        }
        !self.woken.seats.is_empty()
    }

    /// Takes a strategy's intent in; what follows from it is on its way to the venue when this returns.
    ///
    /// # Errors
    /// [`ReplayError::Engine`] when the engine refuses the input.
    pub fn decide(&mut self, seat: u16, instrument: InstrumentId, intent: &Intent) -> Result<(), ReplayError> {
        let touch = self.market.get(instrument).touch();
        let input = Input::Intent { instrument, intent, touch };
        for (index, (feed, heard)) in self.feeds.iter().zip(self.market.iter()).enumerate() {
            self.sittings[seat as usize].engine.see(InstrumentId(index as u16), feed.seen(heard.touch()));
        }
        let commands = self.sittings[seat as usize].engine.step(self.now, input)?;
        for command in commands {
            self.venue.accept(seat, instrument, *command, self.now);
        }
        Ok(())
    }

    fn take_sample(&mut self) {
        let Some(every) = self.sample else { return };
        if self.now < self.next_sample && !self.done {
            return;
        }
        while self.next_sample <= self.now {
            self.next_sample += every;
        }
        for sitting in &mut self.sittings {
            sitting.sample(self.now, &self.market);
        }
    }

    /// Time reached; zero before the first message.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Time of the last message, when it was last looked for.
    #[must_use]
    pub fn end(&self) -> Nanos {
        self.end
    }

    /// Times a strategy was woken.
    #[must_use]
    pub fn wakes(&self, seat: u16) -> u64 {
        self.sittings[seat as usize].wakes
    }

    /// What we have heard of the market.
    #[must_use]
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// The position in one tape.
    #[must_use]
    pub fn feed(&self, instrument: InstrumentId) -> &Feed {
        &self.feeds[instrument.0 as usize]
    }

    /// One strategy's engine.
    #[must_use]
    pub fn engine(&self, seat: u16) -> &Engine {
        &self.sittings[seat as usize].engine
    }

    /// One strategy's record, if it keeps one.
    #[must_use]
    pub fn recorder(&self, seat: u16) -> Option<&Recorder> {
        self.sittings[seat as usize].recorder.as_ref()
    }

    /// Lots ahead of a resting order, by the venue's law and by what we have heard.
    pub fn ahead(&mut self, seat: u16, instrument: InstrumentId, id: OrderId) -> Option<f64> {
        let index = instrument.0 as usize;
        self.sittings[seat as usize].ahead(&self.feeds[index], &self.queues[index], index, id)
    }

    /// Panics where a promise of any part is broken.
    pub fn check_invariants(&self) {
        self.venue.check_invariants();
        self.sittings.iter().for_each(|sitting| sitting.engine.check_invariants());
        for heard in self.market.iter() {
            heard.book.check_invariants();
        }
    }
}
