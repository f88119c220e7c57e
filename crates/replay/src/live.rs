//! The live driver: one strategy's engine on feeds that are being heard, with a real venue at the other end.
//!
//! ```text
//! frames ─> tapes ─┐                                         ┌─> journal (wake, intents, commands, denials)
//! answers ─> facts ┼─> hear the market to now ─> engine ─────┤
//! timers ──────────┘                                         └─> commands, for the venue
//! ```
//! It owns no socket and no clock. Every input carries its time, strictly later than the one before, and first hears
//! what lies on the tapes by then; so the inputs in the journal and the tapes together are the whole run, and
//! [`Live::replay`] does it again. Facts may come late, twice or about orders that nobody knows: those that the books
//! cannot take are refused one by one ([`LiveError::Quarantine`]) and change nothing.

use std::borrow::Cow;
use std::sync::Arc;

use mmbot_engine::{Adoption, Engine, EngineError, Input, Intent, Market, Outside, Owner};
use mmbot_journal::{Entry, Journal, JournalError, Kind, Reasons};
use mmbot_ledger::LedgerState;
use mmbot_signals::SignalSpec;
use mmbot_sim::{QueueModel, Rested};
use mmbot_tape::Tape;
use mmbot_types::{
    Cash, Command, Event, Instrument, InstrumentId, Lots, Nanos, OrderId, OrderRequest, Side, Ticks, Touch,
};
use smallvec::SmallVec;
use thiserror::Error;

use crate::executions::Executions;
use crate::feed::{Feed, FeedLatency};
use crate::opening::{Names, Opening, OpeningError};
use crate::record::Recorder;
use crate::replay::ReplayError;
use crate::seat::{News, Seat, Sitting};

/// Entries between two state hashes in the journal.
const HASH_EVERY: u32 = 1_000;

/// Samples that one input may lead to: more than a day's, one a second. After a longer silence only the last are taken.
const SAMPLES_MAX: i64 = 100_000;

/// No input is later than this, in the year 2116: what is later is no time, and leaves room to add a distance to one.
const LATEST: Nanos = Nanos(i64::MAX / 2);

/// Why an input was not taken.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The market cannot be read: a damaged tape, or a plan that makes no sense.
    #[error(transparent)]
    Market(#[from] ReplayError),
    /// The journal takes nothing more, or a replay left the recorded path.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A fact that the books cannot take. Nothing changed; keep the raw message, count it, and go on.
    #[error("a fact that the books cannot take: {0}")]
    Quarantine(EngineError),
    /// The engine refused what its own driver told it.
    #[error(transparent)]
    Engine(EngineError),
    /// What an earlier run left cannot be taken over.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// Times of inputs must rise.
    #[error("an input at {now} ns, not after the one before at {before} ns; the caller must give each a later time")]
    Clock {
        /// The new input's time.
        now: Nanos,
        /// Time of the one before.
        before: Nanos,
    },
    /// No clock shows such a time.
    #[error("an input at {0} ns, later than any clock of ours shows; expected ns since 1970")]
    Future(Nanos),
    /// A tape was written to behind our back.
    #[error(
        "instrument {instrument}: a message with ts_recv {ts_recv} lies on the tape although everything by {heard} ns \
         had been heard; stamp frames before the next input's time"
    )]
    Late {
        /// Which instrument.
        instrument: usize,
        /// When it says that it was received.
        ts_recv: Nanos,
        /// Until when we had heard everything.
        heard: Nanos,
    },
}

/// One instrument of a live run.
pub struct LiveListing {
    /// Where its news is written; it may still grow.
    pub tape: Arc<Tape>,
    /// Its terms and fees.
    pub instrument: Instrument,
    /// The law by which our place in line is estimated.
    pub queue: QueueModel,
    /// Measures asked for.
    pub signals: Vec<SignalSpec>,
}

/// A live run under way.
pub struct Live {
    market: Market,
    feeds: Vec<Feed>,
    queues: Vec<QueueModel>,
    sitting: Sitting,
    journal: Option<Journal>,
    unhashed: u32,
    executions: Executions,
    names: Names,
    /// The books as they were taken over.
    opening: Option<LedgerState>,
    now: Nanos,
    /// Everything by then has been heard.
    heard: Nanos,
    started: bool,
    sample: Option<Nanos>,
    next_sample: Nanos,
    /// As of the last time the strategy could speak.
    touches: SmallVec<[Touch; 4]>,
    news: News,
    halted: bool,
    quarantined: u64,
    commands: Vec<(InstrumentId, Command)>,
}

impl Live {
    /// An engine at rest before its first input.
    ///
    /// # Errors
    /// [`LiveError::Market`] for a plan without instruments, with limits for another number of them, or with the queue
    /// law `fifo`, which a feed by level cannot serve; for a measure that cannot be computed.
    pub fn new(
        listings: Vec<LiveListing>,
        seat: Seat,
        journal: Option<Journal>,
        sample: Option<Nanos>,
    ) -> Result<Self, LiveError> {
        let plan = |text: String| LiveError::Market(ReplayError::Plan(text));
        if listings.is_empty() || seat.desks.len() != listings.len() {
            let (got, expected) = (seat.desks.len(), listings.len());
            return Err(plan(format!(
                "a strategy with limits for {got} of {expected} instruments; expected all, and some"
            )));
        }
        if let Some(listing) = listings.iter().find(|listing| listing.queue == QueueModel::Fifo) {
            let symbol = &listing.instrument.symbol;
            return Err(plan(format!("{symbol}: queue model fifo needs order by order; choose power or risk_averse")));
        }
        let specs: Vec<Vec<SignalSpec>> = listings.iter().map(|listing| listing.signals.clone()).collect();
        let instruments: Vec<Instrument> = listings.iter().map(|listing| listing.instrument.clone()).collect();
        let feed = |listing: &LiveListing| Feed::new(Arc::clone(&listing.tape), FeedLatency::Recorded(Nanos::ZERO));
        let market = Market::new(&specs).map_err(ReplayError::from)?;
        if let Some(journal) = &journal {
            journal.await_snapshots();
        }
        Ok(Self {
            market,
            feeds: listings.iter().map(feed).collect(),
            queues: listings.iter().map(|listing| listing.queue).collect(),
            sitting: Sitting::new(seat, &instruments),
            journal,
            unhashed: 0,
            executions: Executions::new(&instruments),
            names: Names::new(),
            opening: None,
            now: Nanos(i64::MIN),
            heard: Nanos(i64::MIN),
            started: false,
            sample,
            next_sample: Nanos(i64::MAX),
            touches: SmallVec::from_elem(Touch::EMPTY, instruments.len()),
            news: News::default(),
            halted: false,
            quarantined: 0,
            commands: Vec::new(),
        })
    }

    // ---- inputs

    /// Begins with what an earlier run left: the bytes that [`crate::recover`] made of its journal. Numbers of orders
    /// go on, its executions are known, and what was on its way is unknown from now on. `names` says how orders that
    /// were taken over are called, so that the journal knows them without the earlier one.
    ///
    /// # Errors
    /// [`LiveError::Opening`] if the run has begun, or for a snapshot that does not fit; [`LiveError`].
    pub fn open(
        &mut self,
        now: Nanos,
        snapshot: &str,
        names: impl IntoIterator<Item = (OrderId, String)>,
    ) -> Result<(), LiveError> {
        if self.now != Nanos(i64::MIN) {
            return Err(OpeningError::Late.into());
        }
        let mut opening = Opening::read(snapshot)?;
        opening.name(names);
        self.hear(now)?;
        let text = opening.text();
        opening.restore(now, &mut self.sitting.engine, &mut self.executions, &mut self.names)?;
        self.opening = Some(self.sitting.engine.ledger().snapshot());
        self.append(&Entry::Opening(&text))?;
        self.append_hash()
    }

    /// Takes in an order that the venue has and nobody here sent, and gives it a number. It is counted as the
    /// strategy's own are, but the strategy does not see it; an orphan can be cancelled, a foreign order cannot. Told
    /// again under the same names it keeps its number, and nothing changes.
    ///
    /// # Errors
    /// [`LiveError::Quarantine`] for impossible numbers; else [`LiveError`].
    pub fn adopt(
        &mut self,
        now: Nanos,
        client_id: &str,
        venue_id: &str,
        adoption: Adoption,
    ) -> Result<OrderId, LiveError> {
        self.hear(now)?;
        if let Some(id) = self.named(adoption.request.instrument, client_id, venue_id) {
            return Ok(id);
        }
        let id = OrderId(self.sitting.engine.orders_named() + 1);
        self.append(&Entry::Adopted { id, adoption, client_id, venue_id })?;
        if let Err(error) = self.sitting.engine.step(now, Input::Adopt(&adoption)) {
            self.quarantined += 1;
            return Err(LiveError::Quarantine(error));
        }
        self.names.insert(id, (client_id.to_owned(), venue_id.to_owned()));
        self.rest()?;
        Ok(id)
    }

    /// The order that is called so, if it is remembered: by the venue's name, or by ours.
    fn named(&self, instrument: InstrumentId, client_id: &str, venue_id: &str) -> Option<OrderId> {
        let same = |one: &str, other: &str| !one.is_empty() && one == other;
        let called = |(client, venue): &(String, String)| same(venue, venue_id) || same(client, client_id);
        let engine = &self.sitting.engine;
        let of = |id: OrderId| engine.terms_of(id).is_some_and(|(known, _)| known == instrument);
        self.names.iter().find(|(id, name)| called(name) && of(**id)).map(|(id, _)| *id)
    }

    /// Hears the market up to now and says whether the strategy is to be asked; if so, the wake is in the journal, and
    /// what it says goes to [`Live::decide`]. Never after a halt.
    ///
    /// # Errors
    /// [`LiveError`].
    #[inline]
    pub fn wake(&mut self, now: Nanos) -> Result<bool, LiveError> {
        self.commands.clear();
        self.hear(now)?;
        let mut moved = false;
        for (before, heard) in self.touches.iter_mut().zip(self.market.iter()) {
            moved |= *before != heard.touch();
            *before = heard.touch();
        }
        let news = News { touch: moved, ..std::mem::take(&mut self.news) };
        if self.halted {
            return Ok(false);
        }
        let reasons = self.sitting.due(now, news);
        if !reasons.is_empty() {
            self.note_wake(reasons)?;
        }
        Ok(!reasons.is_empty())
    }

    fn note_wake(&mut self, reasons: Reasons) -> Result<(), LiveError> {
        let heard = |feed: &Feed| {
            let heard = feed.heard();
            mmbot_journal::Heard { depth: heard.depth as u64, trades: heard.trades as u64 }
        };
        let heard = self.feeds.iter().map(heard).collect();
        self.append(&Entry::Wake { reasons, heard })
    }

    /// Takes in what the strategy wants for one instrument. What follows from it is in the journal when this returns,
    /// and waits in [`Live::commands`]. After a halt nothing is taken in.
    ///
    /// # Errors
    /// [`LiveError::Journal`] when the journal takes nothing more: the commands must then not be sent.
    pub fn decide(&mut self, instrument: InstrumentId, intent: &Intent) -> Result<(), LiveError> {
        if self.halted {
            return Ok(());
        }
        self.append(&Entry::Intent { instrument, intent: Cow::Borrowed(intent) })?;
        self.show_limits();
        let touch = self.market.get(instrument).touch();
        self.ask(Input::Intent { instrument, intent, touch })
    }

    /// Moves the engine, and writes down what it asks for and what its limits refused.
    fn ask(&mut self, input: Input<'_>) -> Result<(), LiveError> {
        let first = self.commands.len();
        let engine = &mut self.sitting.engine;
        let commands: SmallVec<[Command; 8]> = engine.step(self.now, input).map_err(LiveError::Engine)?.into();
        for command in commands {
            let instrument = engine.instrument_of(command);
            self.commands.extend(instrument.map(|instrument| (instrument, command)));
        }
        let Some(journal) = &self.journal else { return Ok(()) };
        for (_, command) in &self.commands[first..] {
            journal.append(self.now, &Entry::Command(*command))?;
        }
        for &(denials, command) in self.sitting.engine.denied() {
            journal.append(self.now, &Entry::Denied { denials, command })?;
        }
        self.unhashed += (self.commands.len() - first + self.sitting.engine.denied().len()) as u32;
        Ok(())
    }

    /// The strategy has said all that it has to say: the state may be hashed.
    ///
    /// # Errors
    /// [`LiveError::Journal`].
    #[inline]
    pub fn rest(&mut self) -> Result<(), LiveError> {
        if self.unhashed < HASH_EVERY {
            return Ok(());
        }
        self.append_hash()?;
        self.begin_segment_if_due()
    }

    /// A segment that is full is followed by one that begins with all state, so that who takes over reads no other.
    fn begin_segment_if_due(&self) -> Result<(), LiveError> {
        match &self.journal {
            Some(journal) if journal.wants_snapshot() => {
                journal.begin_segment(self.now, self.halted, &self.snapshot())?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes in one fact, with the venue's own words for it (the reason of a refusal), empty where it has none. A fill
    /// goes to [`Live::filled`].
    ///
    /// # Errors
    /// [`LiveError::Quarantine`] for a fact that the books cannot take; the engine is as it was. Else [`LiveError`].
    pub fn observe(&mut self, now: Nanos, event: Event, words: &str) -> Result<(), LiveError> {
        self.hear(now)?;
        self.append(&Entry::Event { event, words })?;
        self.take(&event)?;
        self.rest()
    }

    /// Takes in one execution, named by the venue. False for one that was booked before: nothing changes then.
    ///
    /// # Errors
    /// As [`Live::observe`].
    pub fn filled(&mut self, now: Nanos, execution: &str, told: Execution) -> Result<bool, LiveError> {
        self.hear(now)?;
        let Execution { id, price, qty, maker, fee, ts_venue } = told;
        let instrument = self.sitting.engine.terms_of(id).map(|(instrument, _)| instrument);
        let known = self.executions.number(execution, id, instrument);
        let heard_before = |of: InstrumentId| self.feeds[of.0 as usize].touch_heard_before(ts_venue);
        let touch = instrument.map_or(Touch::EMPTY, heard_before);
        let number = known.unwrap_or_else(|| self.executions.next());
        let (touch_bid, touch_ask) = (touch.bid, touch.ask);
        let event = Event::Filled { id, execution: number, price, qty, maker, fee, touch_bid, touch_ask, ts_venue };
        self.append(&Entry::Event { event, words: execution })?;
        if known.is_none() {
            self.take(&event)?;
            if let Some(instrument) = instrument {
                self.executions.booked(execution, id, instrument);
            }
        }
        self.rest()?;
        Ok(known.is_none())
    }

    /// Takes in an execution that moved the position and is of no order: a deleveraging, a bust, a settlement, a
    /// transfer. `kind` is the venue's one word for it. False for one that was booked before.
    ///
    /// # Errors
    /// As [`Live::observe`].
    pub fn moved(&mut self, now: Nanos, execution: &str, kind: &str, told: Moved) -> Result<bool, LiveError> {
        self.hear(now)?;
        let Moved { instrument, side, price, qty, fee, ts_venue } = told;
        let listed = usize::from(instrument.0) < self.feeds.len();
        let known = listed.then(|| self.executions.number(execution, OrderId(0), Some(instrument))).flatten();
        let heard_before = || self.feeds[instrument.0 as usize].touch_heard_before(ts_venue);
        let touch = if listed { heard_before() } else { Touch::EMPTY };
        let number = known.unwrap_or_else(|| self.executions.next());
        let (touch_bid, touch_ask) = (touch.bid, touch.ask);
        let event = Event::PositionMoved {
            instrument,
            execution: number,
            side,
            price,
            qty,
            fee,
            touch_bid,
            touch_ask,
            ts_venue,
        };
        self.append(&Entry::Event { event, words: &format!("{kind} {execution}") })?;
        if known.is_none() {
            self.take(&event)?;
            self.executions.booked(execution, OrderId(0), instrument);
        }
        self.rest()?;
        Ok(known.is_none())
    }

    /// From here on no new orders, whatever the strategy would want; everything open is asked to leave, but for foreign
    /// orders. May be said again: orders that are still open are asked again.
    ///
    /// Neither a journal that takes nothing more nor a market that cannot be read keeps the cancels back: the journal
    /// says itself that it is dead, and the next wake meets the same market.
    ///
    /// # Errors
    /// [`LiveError::Clock`], [`LiveError::Future`].
    pub fn halt(&mut self, now: Nanos) -> Result<&[(InstrumentId, Command)], LiveError> {
        self.hear_if_possible(now)?;
        self.halted = true;
        let open = self.sitting.engine.orders().iter();
        let open = open.filter(|order| !order.life.is_terminal() && order.owner != Owner::Foreign);
        let open: SmallVec<[OrderId; 8]> = open.map(|order| order.id).collect();
        self.must_leave(&Entry::Halt, &open)
    }

    /// Asks for one order to leave, whatever was asked about it before: a cancel may always be repeated. Nothing for an
    /// order that is done, foreign, or that nobody knows. Nothing holds it back, as in [`Live::halt`].
    ///
    /// # Errors
    /// [`LiveError::Clock`], [`LiveError::Future`].
    pub fn cancel(&mut self, now: Nanos, id: OrderId) -> Result<&[(InstrumentId, Command)], LiveError> {
        self.hear_if_possible(now)?;
        self.must_leave(&Entry::CancelAsked(id), &[id])
    }

    /// Tells the limits what they have to know from outside: a freeze, a second price, what others hold. It holds from
    /// here on, whatever market and journal say: a journal that is dead says so afterwards.
    ///
    /// # Errors
    /// [`LiveError::Clock`], [`LiveError::Future`], [`LiveError::Journal`].
    pub fn tell(&mut self, now: Nanos, told: &Outside) -> Result<(), LiveError> {
        self.hear_if_possible(now)?;
        self.sitting.engine.step(now, Input::Outside(told)).map_err(LiveError::Engine)?;
        self.append(&Entry::Outside(*told))
    }

    /// Hears the market without asking the strategy: while nothing is quoted, positions are still worth what the market
    /// says. Leaves nothing in the journal, for what is heard next holds it too.
    ///
    /// # Errors
    /// [`LiveError`].
    pub fn look(&mut self, now: Nanos) -> Result<(), LiveError> {
        self.hear(now)
    }

    /// Asks for an order that no strategy wants: the way out of a position. The limits judge it against the market as
    /// it is now, and commands or a denial are in the journal when this returns. A halt is the strategy's and does not
    /// hold it back.
    ///
    /// # Errors
    /// [`LiveError`].
    pub fn order(&mut self, now: Nanos, request: OrderRequest) -> Result<&[(InstrumentId, Command)], LiveError> {
        self.commands.clear();
        self.hear(now)?;
        self.append(&Entry::Ordered(request))?;
        self.show_limits();
        self.ask(Input::Order(request))?;
        self.rest()?;
        Ok(&self.commands)
    }

    /// Lets the limits see what was heard of every market.
    fn show_limits(&mut self) {
        for (index, (feed, heard)) in self.feeds.iter().zip(self.market.iter()).enumerate() {
            self.sitting.engine.see(InstrumentId(index as u16), feed.seen(heard.touch()));
        }
    }

    fn must_leave(&mut self, entry: &Entry<'_>, orders: &[OrderId]) -> Result<&[(InstrumentId, Command)], LiveError> {
        self.commands.clear();
        let mut written = self.append(entry);
        for id in orders {
            written = written.and(self.ask(Input::Cancel(*id)));
        }
        written = written.and(self.rest());
        match written {
            Ok(()) | Err(LiveError::Journal(JournalError::Dead(_))) => Ok(&self.commands),
            Err(error) => Err(error),
        }
    }

    /// The end of the run: the last sample, and the state's hash for the journal.
    ///
    /// # Errors
    /// [`LiveError`].
    pub fn finish(&mut self, now: Nanos) -> Result<(), LiveError> {
        self.hear(now)?;
        if self.sample.is_some_and(|every| self.next_sample != after(now, every)) {
            self.sitting.sample(now, &self.market);
        }
        self.append_hash()
    }

    /// Does again what a journal's entry tells, if it is an input; commands, denials and hashes follow from those. True
    /// if the strategy is to be asked now, as after [`Live::wake`].
    ///
    /// # Errors
    /// As the input itself, but for facts in quarantine, which were refused in the recorded run too.
    pub fn replay(&mut self, now: Nanos, entry: &Entry<'_>) -> Result<bool, LiveError> {
        let done = match *entry {
            Entry::Wake { .. } => return self.wake(now),
            Entry::Event { event: Event::Filled { id, price, qty, maker, fee, ts_venue, .. }, words } => {
                self.filled(now, words, Execution { id, price, qty, maker, fee, ts_venue }).map(|_| ())
            }
            Entry::Event { event: Event::PositionMoved { instrument, side, price, qty, fee, ts_venue, .. }, words } => {
                let (kind, execution) = words.split_once(' ').unwrap_or(("", words));
                self.moved(now, execution, kind, Moved { instrument, side, price, qty, fee, ts_venue }).map(|_| ())
            }
            Entry::Event { event, words } => self.observe(now, event, words),
            Entry::Opening(text) => self.open(now, text, []),
            Entry::Adopted { adoption, client_id, venue_id, .. } => {
                self.adopt(now, client_id, venue_id, adoption).map(|_| ())
            }
            Entry::CancelAsked(id) => self.cancel(now, id).map(|_| ()),
            Entry::Halt => self.halt(now).map(|_| ()),
            Entry::Outside(told) => self.tell(now, &told),
            Entry::Ordered(request) => self.order(now, request).map(|_| ()),
            // At a time of its own a hash is the one that the end of the run asked for.
            Entry::StateHash { .. } if now > self.now => self.finish(now),
            _ => Ok(()),
        };
        match done {
            Ok(()) | Err(LiveError::Quarantine(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    // ---- how an input moves the run

    fn advance(&mut self, now: Nanos) -> Result<(), LiveError> {
        if now <= self.now {
            return Err(LiveError::Clock { now, before: self.now });
        }
        if now > LATEST {
            return Err(LiveError::Future(now));
        }
        self.now = now;
        Ok(())
    }

    fn append(&mut self, entry: &Entry<'_>) -> Result<(), LiveError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        journal.append(self.now, entry)?;
        self.unhashed += 1;
        Ok(())
    }

    fn append_hash(&mut self) -> Result<(), LiveError> {
        let engine = &self.sitting.engine;
        let entry = Entry::StateHash { state: engine.state_hash(), commands: engine.commands_hash() };
        self.append(&entry)?;
        self.unhashed = 0;
        Ok(())
    }

    /// Moves to `now`: everything on the tapes by then is heard, samples on the way are taken.
    #[inline]
    fn hear(&mut self, now: Nanos) -> Result<(), LiveError> {
        self.advance(now)?;
        for (instrument, feed) in self.feeds.iter().enumerate() {
            let next = [feed.next_depth(), feed.next_trade()].into_iter().flatten().min();
            if let Some(ts_recv) = next.filter(|ts| *ts <= self.heard) {
                return Err(LiveError::Late { instrument, ts_recv, heard: self.heard });
            }
        }
        if !self.started {
            let first = self.feeds.iter().filter_map(Feed::start).min();
            if let Some(first) = first.filter(|first| *first <= now) {
                self.started = true;
                self.sitting.start(first);
                self.next_sample = self.sample.map_or(self.next_sample, |every| after(first, every));
            }
        }
        if let (true, Some(every)) = (self.next_sample <= now, self.sample) {
            let due = (now - self.next_sample).0 / every.0 + 1;
            self.next_sample += Nanos(every.0 * (due - SAMPLES_MAX).max(0));
            while self.next_sample <= now {
                self.hear_market(self.next_sample)?;
                self.sitting.sample(self.next_sample, &self.market);
                self.next_sample = after(self.next_sample, every);
            }
        }
        self.hear_market(now)
    }

    /// As [`Live::hear`], for what must go on without a market.
    fn hear_if_possible(&mut self, now: Nanos) -> Result<(), LiveError> {
        match self.hear(now) {
            Err(LiveError::Market(_) | LiveError::Late { .. }) => Ok(()),
            other => other,
        }
    }

    #[inline]
    fn hear_market(&mut self, until: Nanos) -> Result<(), LiveError> {
        for (index, feed) in self.feeds.iter_mut().enumerate() {
            feed.verify_heard(until)?;
            let before = feed.heard();
            self.news.trade |= feed.hear(self.market.get_mut(InstrumentId(index as u16)), until)?;
            self.news.message |= feed.heard() != before;
        }
        self.heard = until;
        Ok(())
    }

    /// The engine takes a fact in; a refusal is the fact's fault.
    fn take(&mut self, event: &Event) -> Result<(), LiveError> {
        let place = |engine: &Engine| {
            let order = engine.orders().get(event.order()?)?;
            Some((order.ts_accepted.is_some(), order.request))
        };
        let before = place(&self.sitting.engine);
        if let Err(error) = self.sitting.observe(self.now, event) {
            self.quarantined += 1;
            return Err(LiveError::Quarantine(error));
        }
        if let (Some((was_known, was)), Some((is_known, is)), Some(id)) =
            (before, place(&self.sitting.engine), event.order())
        {
            // Accepted for the first time, or moved: it stands at the back of what our book shows at its price.
            if (is_known && !was_known) || was.price != is.price || is.qty > was.qty {
                self.join_queue(id, is.instrument, event.ts_venue().unwrap_or(self.now));
            }
        }
        self.sitting.settle();
        Ok(())
    }

    fn join_queue(&mut self, id: OrderId, instrument: InstrumentId, ts_venue: Nanos) {
        let index = instrument.0 as usize;
        let Some(order) = self.sitting.engine.orders().get(id).filter(|order| !order.life.is_terminal()) else {
            return;
        };
        let Ok(tick) = i32::try_from(order.request.price.0) else { return };
        let (at, side) = (self.now, order.request.side);
        let book = &self.market.get(instrument).book;
        if let Some(recorder) = &mut self.sitting.recorder {
            recorder.joined(id, book.lots(side, tick));
        }
        let lots = u32::try_from(order.leaves().0).unwrap_or(u32::MAX);
        let rested = Rested { at, account: 0, id, instrument, side, tick, lots, ts_venue };
        self.sitting.estimates[index].join(&rested, &self.queues[index], book, &self.feeds[index], true);
    }

    // ---- what it knows

    /// Commands that the last input led to, in order.
    #[must_use]
    pub fn commands(&self) -> &[(InstrumentId, Command)] {
        &self.commands
    }

    /// When a timer of the strategy is due; none before the first message, without a timer, or after a halt.
    #[must_use]
    pub fn next_timer(&self) -> Option<Nanos> {
        self.sitting.next_timer.filter(|_| !self.halted)
    }

    /// Time of the last input; zero before the first.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.now.max(Nanos::ZERO)
    }

    /// No new orders any more.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// Orders that the venue spoke of although we had concluded that they do not exist, since this was last asked. They
    /// count again.
    pub fn take_risen(&mut self) -> Vec<OrderId> {
        self.sitting.engine.take_risen()
    }

    /// What a run that takes over would begin with, as of the last input.
    #[must_use]
    pub fn snapshot(&self) -> String {
        Opening::of(&self.sitting.engine, &self.executions, &self.names).text()
    }

    /// The books as they were taken over from an earlier run; none for a run that began with nothing.
    #[must_use]
    pub fn opening(&self) -> Option<&LedgerState> {
        self.opening.as_ref()
    }

    /// Facts that the books did not take.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.quarantined
    }

    /// Times the strategy was woken.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.sitting.wakes
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

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.sitting.engine
    }

    /// The record of the run, if one is kept.
    #[must_use]
    pub fn recorder(&self) -> Option<&Recorder> {
        self.sitting.recorder.as_ref()
    }

    /// Lots ahead of a resting order, by the queue law and by what we have heard.
    pub fn ahead(&mut self, instrument: InstrumentId, id: OrderId) -> Option<f64> {
        let index = instrument.0 as usize;
        self.sitting.ahead(&self.feeds[index], &self.queues[index], index, id)
    }

    /// What a checking journal has compared, by kind; see [`Journal::compared`].
    ///
    /// # Errors
    /// [`LiveError::Journal`].
    pub fn compared(&self) -> Result<Vec<(Kind, u64)>, LiveError> {
        Ok(self.journal.as_ref().map_or(Ok(Vec::new()), Journal::compared)?)
    }

    /// Panics where a promise of any part is broken.
    pub fn check_invariants(&self) {
        self.sitting.engine.check_invariants();
        self.market.iter().for_each(|heard| heard.book.check_invariants());
    }
}

/// A time and a distance, as far as times go.
fn after(time: Nanos, distance: Nanos) -> Nanos {
    Nanos(time.0.saturating_add(distance.0))
}

/// What a venue says of one of our executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Of which order.
    pub id: OrderId,
    /// Executed price.
    pub price: Ticks,
    /// Executed quantity.
    pub qty: Lots,
    /// We were resting.
    pub maker: bool,
    /// Fee paid; negative is a rebate received.
    pub fee: Cash,
    /// When the venue did it.
    pub ts_venue: Nanos,
}

/// What a venue says of a change of the position that is of no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Which way.
    pub side: Side,
    /// At which price, positive.
    pub price: Ticks,
    /// How much, positive.
    pub qty: Lots,
    /// Fee paid; negative is received.
    pub fee: Cash,
    /// When the venue did it.
    pub ts_venue: Nanos,
}
