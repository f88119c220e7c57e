//! One strategy's private state: its orders, its ledger, its limits, its clock.
//!
//! [`Engine::step`] is a function of that state, the public market and one input: no socket, no file, no clock, no
//! randomness. Time arrives with the input. Replaying the same inputs gives the same commands and the same state hash.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use mmbot_ledger::{Booked, Fill, Ledger, LedgerError};
use mmbot_types::{Command, Event, Instrument, InstrumentId, Lots, Nanos, OrderId, OrderRequest, Side, Touch};
use smallvec::SmallVec;
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

use crate::chain::Chain;
use crate::intent::{DifferRules, Intent, Wanted, differ};
use crate::limits::{Bounds, Denial, Denials, Keeper, Limits, Outside, Seen, Situation};
use crate::orders::{Adoption, Life, Op, Order, Orders, Owner};
use crate::snapshot::{EngineState, RestoreError};
use crate::temper::Temper;

/// How many settled orders are remembered for facts that arrive late; a fill of an older one cannot be booked.
const GONE_REMEMBERED: usize = 4_096;

/// What the engine is told.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A fact about our own orders or position.
    Event(&'a Event),
    /// What the strategy wants for one instrument, and the touch it was decided on.
    Intent {
        /// Which instrument.
        instrument: InstrumentId,
        /// What is wanted.
        intent: &'a Intent,
        /// Local touch.
        touch: Touch,
    },
    /// Somebody above the strategy wants an order out: a halt, or a cancel that went unanswered. A foreign order stays.
    Cancel(OrderId),
    /// The venue has an order that nobody here sent. It takes the next number.
    Adopt(&'a Adoption),
    /// What the limits have to know from outside.
    Outside(&'a Outside),
    /// Somebody above the strategy wants an order out: the way out of a position. The limits judge it as any other.
    Order(OrderRequest),
}

/// What a journal says that an engine did, told to an engine without market and strategy.
#[derive(Clone, Copy, Debug)]
pub enum Recorded {
    /// It was asked: time moved.
    Asked,
    /// It asked this of the venue.
    Command(Command),
    /// Its limits refused something, for these reasons.
    Denied(Denials),
}

/// What one strategy may do with one instrument, and how.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Hard limits.
    pub limits: Limits,
    /// How intents become commands.
    pub rules: DifferRules,
}

/// A broken promise of the outside: the run stops and says so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EngineError {
    /// The books do not add up.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A fact about an order that was never sent.
    #[error("event about order {0:?}, which this engine never sent")]
    UnknownOrder(OrderId),
    /// An adopted order with impossible numbers.
    #[error("an order to adopt has {qty} lots, {cum} executed, {booked} booked; expected 0 <= booked <= cum < lots")]
    NotAdoptable {
        /// Its quantity.
        qty: Lots,
        /// Executed of it.
        cum: Lots,
        /// Booked of it.
        booked: Lots,
    },
    /// Time ran backwards.
    #[error("an input at {now} after one at {clock}")]
    TimeRanBack {
        /// The new input's time.
        now: Nanos,
        /// The clock.
        clock: Nanos,
    },
}

/// The engine.
pub struct Engine {
    clock: Nanos,
    orders: Orders,
    ledger: Ledger,
    rules: Vec<DifferRules>,
    keeper: Keeper,
    /// Per instrument.
    tempers: Vec<Temper>,
    last_id: u64,
    /// Per instrument, an intent that the orders already fulfil: said again, it asks for nothing until an event
    /// arrives.
    stands: Vec<Option<Intent>>,
    commands: SmallVec<[Command; 8]>,
    wanted: SmallVec<[Wanted; 8]>,
    settled: Vec<Order>,
    /// Settled orders, as they settled.
    gone: VecDeque<Order>,
    returned: Vec<OrderId>,
    risen: Vec<OrderId>,
    denials: [u64; Denial::ALL.len()],
    denied: SmallVec<[(Denials, Command); 2]>,
    events_seen: Chain,
    commands_sent: Chain,
}

impl Engine {
    /// An engine at rest: no orders, no position.
    #[must_use]
    pub fn new(desks: Vec<(Instrument, Desk)>) -> Self {
        let (instruments, desks): (Vec<_>, Vec<Desk>) = desks.into_iter().unzip();
        Self {
            clock: Nanos(i64::MIN),
            stands: vec![None; desks.len()],
            tempers: vec![Temper::NONE; desks.len()],
            orders: Orders::default(),
            rules: desks.iter().map(|desk| desk.rules).collect(),
            keeper: Keeper::new(desks.iter().map(|desk| desk.limits).collect(), &instruments, Bounds::default()),
            ledger: Ledger::new(instruments),
            last_id: 0,
            commands: SmallVec::new(),
            wanted: SmallVec::new(),
            settled: Vec::new(),
            gone: VecDeque::new(),
            returned: Vec::new(),
            risen: Vec::new(),
            denials: [0; Denial::ALL.len()],
            denied: SmallVec::new(),
            events_seen: Chain::default(),
            commands_sent: Chain::default(),
        }
    }

    /// What strategy, account and firm are held against, before the first input.
    pub fn bind(&mut self, bounds: Bounds) {
        self.keeper.bind(bounds);
    }

    /// Tells the limits what was heard of a market. It is public, so it is no input.
    #[inline]
    pub fn see(&mut self, instrument: InstrumentId, seen: Seen) {
        self.keeper.see(instrument, seen);
    }

    /// Takes one input in and says what to ask of the venue, in order.
    ///
    /// # Errors
    /// [`EngineError`] when an input contradicts what the engine knows. But for the clock, nothing has changed then.
    pub fn step(&mut self, now: Nanos, input: Input<'_>) -> Result<&[Command], EngineError> {
        self.advance(now)?;
        match input {
            Input::Event(event) => self.observe(event)?,
            Input::Intent { instrument, intent, touch } => self.want(instrument, intent, touch),
            Input::Cancel(id) => {
                self.stands.fill(None);
                if self.orders.get(id).is_some_and(|order| !order.life.is_terminal() && order.owner != Owner::Foreign) {
                    self.send(Command::Cancel { id }); // cancels always pass
                }
            }
            Input::Adopt(adoption) => self.adopt(adoption)?,
            Input::Outside(told) => self.tell(told),
            Input::Order(request) => {
                self.stands.fill(None);
                self.ask_for(Wanted::Place(request));
            }
        }
        Ok(&self.commands)
    }

    fn tell(&mut self, told: &Outside) {
        self.keeper.tell(told);
        if let Outside::Temper { instrument, temper } = *told
            && let Some(known) = self.tempers.get_mut(instrument.0 as usize)
        {
            *known = temper;
            self.stands.fill(None);
        }
    }

    fn advance(&mut self, now: Nanos) -> Result<(), EngineError> {
        if now < self.clock {
            return Err(EngineError::TimeRanBack { now, clock: self.clock });
        }
        self.clock = now;
        self.commands.clear();
        self.denied.clear();
        Ok(())
    }

    /// Takes over what a recorded engine did at `now`: inputs that are facts go to [`Engine::step`] instead.
    ///
    /// # Errors
    /// [`EngineError::TimeRanBack`].
    pub fn recorded(&mut self, now: Nanos, what: Recorded) -> Result<(), EngineError> {
        self.advance(now)?;
        match what {
            Recorded::Asked => {}
            Recorded::Command(command) => {
                self.keeper.recorded(self.clock, command, self.instrument_of(command));
                self.send(command);
            }
            Recorded::Denied(denials) => self.count(denials),
        }
        Ok(())
    }

    fn count(&mut self, denials: Denials) {
        denials.iter().for_each(|denial| self.denials[denial as usize] += 1);
    }

    /// Which instrument a command is about; none for an order that nobody remembers.
    #[must_use]
    pub fn instrument_of(&self, command: Command) -> Option<InstrumentId> {
        match command {
            Command::Place { request, .. } => Some(request.instrument),
            Command::Amend { id, .. } | Command::Cancel { id } => self.terms_of(id).map(|(instrument, _)| instrument),
            Command::CancelAll { instrument } => Some(instrument),
        }
    }

    fn adopt(&mut self, adoption: &Adoption) -> Result<(), EngineError> {
        let Adoption { request, cum, booked, .. } = *adoption;
        self.ledger.check_instrument(request.instrument)?;
        if !(Lots::ZERO <= booked && booked <= cum && cum < request.qty) {
            return Err(EngineError::NotAdoptable { qty: request.qty, cum, booked });
        }
        self.last_id += 1;
        self.events_seen.add(&(self.clock, self.last_id, adoption));
        self.stands.fill(None);
        self.orders.insert(Order::adopted(OrderId(self.last_id), adoption, self.clock));
        Ok(())
    }

    fn observe(&mut self, event: &Event) -> Result<(), EngineError> {
        let booked = self.book(event)?;
        if let (Event::Filled { id, .. }, Booked::Posted) = (*event, booked)
            && let Some((instrument, _)) = self.terms_of(id)
        {
            self.keeper.traded(instrument, self.clock);
        }
        self.events_seen.add(&(self.clock, event));
        self.stands.fill(None);
        let Some(id) = event.order().filter(|_| booked == Booked::Posted) else { return Ok(()) };
        if let Some(order) = self.orders.get_mut(id) {
            let had_risen = order.has_risen();
            order.observe(event);
            if order.has_risen() && !had_risen {
                self.risen.push(id);
            }
            if let Some(order) = self.orders.take_settled(id) {
                self.remember(order.clone());
                self.settled.push(order);
            }
        } else if let Some(at) = self.gone.iter().rposition(|order| order.id == id) {
            self.observe_gone(at, event);
        }
        Ok(())
    }

    /// A settled order may still be talked about: a cancel that met its fill, a fill after the cancel, an execution
    /// that we have not booked, a sign of life of one that we had concluded not to exist. What may still trade, or is
    /// executed and not booked, counts again.
    fn observe_gone(&mut self, at: usize, event: &Event) {
        let mut order = self.gone[at].clone();
        order.observe(event);
        if order.has_risen() && !self.gone[at].has_risen() {
            self.risen.push(order.id);
        }
        let end = |order: &Order| (order.life, order.booked, order.venue_cum);
        let ends_alike = end(&order) == end(&self.gone[at]);
        if order.is_settled() {
            self.gone[at] = order.clone();
        } else {
            self.gone.remove(at);
            self.orders.put_back(order.clone());
        }
        if ends_alike {
            return; // what is told of it stands
        }
        match self.settled.iter().position(|settled| settled.id == order.id) {
            Some(untold) => drop(self.settled.remove(untold)),
            None => self.returned.push(order.id),
        }
        if order.is_settled() {
            self.settled.push(order);
        }
    }

    fn remember(&mut self, order: Order) {
        self.gone.push_back(order);
        if self.gone.len() > GONE_REMEMBERED {
            self.gone.pop_front();
        }
    }

    /// What can be refused goes first, so that a refused fact changes nothing: the order must be one of ours, and the
    /// ledger must take what moves money.
    fn book(&mut self, event: &Event) -> Result<Booked, EngineError> {
        if let Some(id) = event.order().filter(|id| id.0 == 0 || id.0 > self.last_id) {
            return Err(EngineError::UnknownOrder(id));
        }
        Ok(match *event {
            Event::FundingPaid { instrument, amount, ts_venue } => {
                self.ledger.book_funding(instrument, ts_venue, amount)?
            }
            Event::Filled { id, execution, price, qty, maker, fee, ts_venue, .. } => {
                let (instrument, side) = self.terms_of(id).ok_or(EngineError::UnknownOrder(id))?;
                self.ledger.book_fill(&Fill { instrument, execution, side, price, qty, maker, fee, ts: ts_venue })?
            }
            Event::PositionMoved { instrument, execution, side, price, qty, fee, ts_venue, .. } => {
                let maker = false;
                self.ledger.book_fill(&Fill { instrument, execution, side, price, qty, maker, fee, ts: ts_venue })?
            }
            _ => Booked::Posted,
        })
    }

    /// What an order was for, settled ones included while they are remembered.
    #[must_use]
    pub fn terms_of(&self, id: OrderId) -> Option<(InstrumentId, Side)> {
        let known = self.orders.get(id).or_else(|| self.gone.iter().rev().find(|order| order.id == id));
        known.map(|order| (order.request.instrument, order.request.side))
    }

    fn want(&mut self, instrument: InstrumentId, intent: &Intent, touch: Touch) {
        let index = instrument.0 as usize;
        if self.stands[index].as_ref() == Some(intent) {
            return;
        }
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.clear();
        let temper = self.tempers[index];
        let tempered = if temper == Temper::NONE { Cow::Borrowed(intent) } else { Cow::Owned(temper.apply(intent)) };
        differ(instrument, &tempered, &self.orders, &self.rules[index], &mut wanted);
        self.keeper.touch(instrument, touch);
        wanted.iter().for_each(|&wish| self.ask_for(wish));
        self.stands[index] = (wanted.is_empty() && intent.immediate.is_empty()).then(|| intent.clone());
        self.wanted = wanted;
    }

    /// Names what is wanted, and sends it where the limits let it.
    fn ask_for(&mut self, wish: Wanted) {
        let command = wish.named(OrderId(self.last_id + 1));
        let positions = |of| self.ledger.position(of);
        let situation = Situation { now: self.clock, positions: &positions, orders: &self.orders, gone: &self.gone };
        match self.keeper.approve(&situation, command) {
            Ok(approved) => self.send(approved.into_inner()),
            Err(denials) => {
                self.count(denials);
                self.denied.push((denials, command));
                // Not where it is wanted, and it may not move there: it leaves. Cancels always pass.
                if let Wanted::Amend(id, ..) = wish {
                    self.send(Command::Cancel { id });
                }
            }
        }
    }

    fn send(&mut self, command: Command) {
        self.commands_sent.add(&(self.clock, command));
        match command {
            Command::Place { id, request } => {
                self.last_id = id.0;
                self.orders.insert(Order::sent(id, request, self.clock));
            }
            Command::Amend { id, price, qty } => self.mark(id, Op::Amend { price, qty }),
            Command::Cancel { id } => self.mark(id, Op::Cancel),
            Command::CancelAll { .. } => {}
        }
        self.commands.push(command);
    }

    fn mark(&mut self, id: OrderId, op: Op) {
        if let Some(order) = self.orders.get_mut(id) {
            order.ask(op);
        }
    }

    /// Time of the last input.
    #[must_use]
    pub fn clock(&self) -> Nanos {
        self.clock
    }

    /// Orders that are not settled.
    #[must_use]
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// The books.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Position in lots.
    #[inline]
    #[must_use]
    pub fn position(&self, instrument: InstrumentId) -> Lots {
        self.ledger.position(instrument)
    }

    /// How often each limit denied, by [`Denial`].
    #[must_use]
    pub fn denials(&self) -> &[u64; Denial::ALL.len()] {
        &self.denials
    }

    /// What the limits know.
    #[must_use]
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// What the last step refused, and why.
    #[must_use]
    pub fn denied(&self) -> &[(Denials, Command)] {
        &self.denied
    }

    /// Orders that were settled since this was last asked.
    pub fn take_settled(&mut self) -> std::vec::Drain<'_, Order> {
        self.settled.drain(..)
    }

    /// Orders told of as settled that are not so any more, or not as told, since this was last asked.
    pub fn take_returned(&mut self) -> Vec<OrderId> {
        std::mem::take(&mut self.returned)
    }

    /// Settled orders that are remembered, as they settled.
    pub fn gone(&self) -> impl Iterator<Item = &Order> {
        self.gone.iter()
    }

    /// Orders that the venue spoke of although we had concluded that they do not exist, since this was last asked.
    pub fn take_risen(&mut self) -> Vec<OrderId> {
        std::mem::take(&mut self.risen)
    }

    /// Everything that later inputs may depend on, apart from limits, rules and market.
    #[must_use]
    pub fn snapshot(&self) -> EngineState {
        EngineState {
            clock: self.clock,
            last_id: self.last_id,
            orders: self.orders.iter().cloned().collect(),
            gone: self.gone.iter().cloned().collect(),
            ledger: self.ledger.snapshot(),
            meters: self.keeper.meters(),
            kept: Some(self.keeper.kept()),
            tempers: self.tempers.clone(),
            denials: self.denials.to_vec(),
            events_seen: self.events_seen,
            commands_sent: self.commands_sent,
        }
    }

    /// Goes on from a snapshot, under its own limits and rules.
    ///
    /// # Errors
    /// [`RestoreError`] for a snapshot of other instruments, or one that contradicts itself; the engine is as it was.
    pub fn restore(&mut self, state: EngineState) -> Result<(), RestoreError> {
        state.check()?;
        self.ledger.restore(state.ledger)?;
        self.clock = state.clock;
        self.last_id = state.last_id;
        self.orders = Orders::default();
        state.orders.into_iter().for_each(|order| self.orders.insert(order));
        self.gone = state.gone.into();
        self.keeper.set_meters(&state.meters);
        if let Some(kept) = &state.kept {
            self.keeper.keep(kept);
        }
        self.tempers.iter_mut().zip(state.tempers).for_each(|(temper, was)| *temper = was);
        self.denials.iter_mut().zip(state.denials).for_each(|(count, was)| *count = was);
        (self.events_seen, self.commands_sent) = (state.events_seen, state.commands_sent);
        self.stands.fill(None);
        self.check_invariants();
        Ok(())
    }

    /// Orders named so far.
    #[must_use]
    pub fn orders_named(&self) -> u64 {
        self.last_id
    }

    /// One number for all commands sent so far, with their times.
    #[must_use]
    pub fn commands_hash(&self) -> u64 {
        self.commands_sent.value()
    }

    /// One number for the whole state: events seen, commands sent, orders, ledger, clock.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        let mut hasher = Xxh3::new();
        self.clock.hash(&mut hasher);
        self.events_seen.value().hash(&mut hasher);
        self.commands_sent.value().hash(&mut hasher);
        self.orders.iter().for_each(|order| order.hash(&mut hasher));
        self.ledger.state_hash().hash(&mut hasher);
        // The first six as ever, the others where they were met: a new reason leaves the hashes of older runs alone.
        let (first, others) = self.denials.split_at(6);
        first.hash(&mut hasher);
        others.iter().enumerate().filter(|(_, count)| **count > 0).for_each(|met| met.hash(&mut hasher));
        hasher.finish()
    }

    /// Panics where a promise of the engine is broken.
    pub fn check_invariants(&self) {
        for order in self.orders.iter() {
            order.check_invariants();
            assert!(!order.is_settled(), "a settled order has left");
            assert_ne!(order.life, Life::Denied, "a denied order was never sent");
        }
        self.ledger.check_invariants();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::Quote;
    use crate::limits::Controls;
    use mmbot_types::{ContractKind, FeeSchedule, Step, Ticks};

    const XYZ: InstrumentId = InstrumentId(0);
    const TOUCH: Touch = Touch { bid: 1_000, ask: 1_002 };

    fn engine() -> Engine {
        let limits = Limits {
            position_max: Lots(10),
            order_max: Lots(5),
            open_orders_max: 4,
            collar_bps: 100,
            requests_per_second_max: 100,
            controls: Controls::default(),
        };
        let one = || Step::parse("1").unwrap();
        let instrument = Instrument {
            venue: "test".into(),
            symbol: "XYZ".into(),
            kind: ContractKind::Linear,
            tick: one(),
            lot: one(),
            contract: one(),
            fees: FeeSchedule::flat(0, 0).unwrap(),
        };
        let rules = DifferRules { amend: true, ..DifferRules::default() };
        Engine::new(vec![(instrument, Desk { limits, rules })])
    }

    fn want(engine: &mut Engine, now: i64, price: i64, qty: i64) -> Vec<Command> {
        let quote = Quote { side: Side::Buy, price: Ticks(price), qty: Lots(qty) };
        let intent = Intent { quotes: [quote].into_iter().collect(), ..Intent::default() };
        let input = Input::Intent { instrument: XYZ, intent: &intent, touch: TOUCH };
        engine.step(Nanos(now), input).unwrap().to_vec()
    }

    /// A quote that may not move to where it is wanted does not stay where it is not: it is cancelled.
    #[test]
    fn a_denied_amend_becomes_a_cancel() {
        let mut engine = engine();
        assert!(matches!(want(&mut engine, 0, 1_000, 5)[..], [Command::Place { id: OrderId(1), .. }]));
        let accepted = Event::OrderAccepted { id: OrderId(1), ts_venue: Nanos(1) };
        engine.step(Nanos(1), Input::Event(&accepted)).unwrap();
        assert_eq!(want(&mut engine, 2, 999, 6), [Command::Cancel { id: OrderId(1) }]);
        assert_eq!(engine.denials()[Denial::OrderSize as usize], 1);
    }

    /// A temper changes what stands at the next word of the strategy, also where that is the same word.
    #[test]
    fn a_temper_holds_from_the_next_intent_on() {
        let mut engine = engine();
        want(&mut engine, 0, 1_000, 4);
        engine.step(Nanos(1), Input::Event(&Event::OrderAccepted { id: OrderId(1), ts_venue: Nanos(1) })).unwrap();
        assert!(want(&mut engine, 2, 1_000, 4).is_empty());
        let temper = Temper { size_ppm: 500_000, back_ppm: 1_000, least: Lots(0) };
        let told = engine.step(Nanos(3), Input::Outside(&Outside::Temper { instrument: XYZ, temper })).unwrap();
        assert!(told.is_empty());
        let moved = Command::Amend { id: OrderId(1), price: Ticks(999), qty: Lots(2) };
        assert_eq!(want(&mut engine, 4, 1_000, 4), [moved]);
    }

    /// The way out of a position passes the limits as any order does, also where the strategy may do nothing more.
    #[test]
    fn an_order_from_above_is_named_and_judged() {
        let mut engine = engine();
        let seen = Seen { touch: TOUCH, heard: Some(Nanos(0)), venue: Some(Nanos(0)) };
        engine.see(XYZ, seen);
        let bought = Event::PositionMoved {
            instrument: XYZ,
            execution: 1,
            side: Side::Buy,
            price: Ticks(1_000),
            qty: Lots(3),
            fee: mmbot_types::Cash(0),
            touch_bid: 0,
            touch_ask: 0,
            ts_venue: Nanos(0),
        };
        engine.step(Nanos(0), Input::Event(&bought)).unwrap();
        let flatten =
            Outside::Restrict { scope: crate::limits::Scope::Firm, level: crate::limits::FreezeLevel::Flatten };
        engine.step(Nanos(1), Input::Outside(&flatten)).unwrap();
        let out = |qty| OrderRequest {
            instrument: XYZ,
            side: Side::Sell,
            price: Ticks(995),
            qty: Lots(qty),
            tif: mmbot_types::Tif::Ioc,
            post_only: false,
            reduce_only: true,
        };
        let beside = |level| Outside::Restrict { scope: crate::limits::Scope::Account, level };
        engine.step(Nanos(1), Input::Outside(&beside(crate::limits::FreezeLevel::Kill))).unwrap();
        assert!(engine.step(Nanos(1), Input::Order(out(3))).unwrap().is_empty(), "nothing leaves under KILL");
        engine.step(Nanos(1), Input::Outside(&beside(crate::limits::FreezeLevel::CancelAll))).unwrap();
        let sent = engine.step(Nanos(2), Input::Order(out(3))).unwrap().to_vec();
        assert_eq!(sent, [Command::Place { id: OrderId(1), request: out(3) }]);
        assert!(engine.step(Nanos(3), Input::Order(OrderRequest { price: Ticks(900), ..out(3) })).unwrap().is_empty());
        assert_eq!(engine.denials()[Denial::Collar as usize], 1);
        assert!(want(&mut engine, 4, 1_000, 1).is_empty(), "the strategy may not");
    }

    /// Time that runs back and facts about orders that were never sent stop the run, by name.
    #[test]
    fn a_broken_promise_of_the_outside_is_an_error() {
        let mut engine = engine();
        let accepted = Event::OrderAccepted { id: OrderId(1), ts_venue: Nanos(1) };
        let unknown = engine.step(Nanos(5), Input::Event(&accepted)).unwrap_err();
        assert_eq!(unknown, EngineError::UnknownOrder(OrderId(1)));
        let back = engine.step(Nanos(4), Input::Event(&accepted)).unwrap_err();
        assert_eq!(back, EngineError::TimeRanBack { now: Nanos(4), clock: Nanos(5) });
    }
}
