//! No limit is ever exceeded, judged by what a small model venue really has: requests in flight and lost, facts in any
//! order and twice, fills before acks and after cancels, amends under way, requests refused, orders of unknown fate,
//! adopted orders, restarts.
//!
//! What is promised: limits in lots hold at every moment. A limit in money is judged when an order is approved, with
//! everything else that is decided by then, at the prices of that moment: nothing is approved that could lead beyond.
//! Later the price may carry what is held beyond the limit; then nothing that grows is approved any more. In every
//! second run prices stand still, and there money holds at every moment too.
//!
//! A million steps in a release build (`cargo test --release -p mmbot-engine --test limits_at_the_venue`), a tenth of
//! that in a debug build; `MMBOT_STEPS` says otherwise. The same run with a mistake planted in what the engine is told
//! must be caught.
#![allow(clippy::unwrap_used)] // a test may stop at once

use std::collections::{BTreeMap, VecDeque};

use mmbot_engine::{
    Adoption, Bounds, Controls, Desk, DifferRules, Engine, Input, Intent, Life, Limits, Owner, Quote, Seen,
};
use mmbot_types::{
    Cash, Command, ContractKind, Event, FeeSchedule, Instrument, InstrumentId, Lots, Nanos, OrderId, OrderRequest,
    RejectReason, Side, Step, Ticks, Tif, Touch,
};

const TOUCH: Touch = Touch { bid: 10_000, ask: 10_001 };
/// Lots of one instrument, either way.
const POSITION: i64 = 40;
/// Lots of both together, at the ask.
const GROSS: i64 = 60;
const INSTRUMENTS: u16 = 2;
const STEPS_OF_A_RUN: u64 = 2_000;

/// What is told wrongly, as an engine with that mistake would take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// An order without an answer counts for nothing.
    IgnoresUnknown,
    /// A cancelled order counts for nothing, although fills of it are still to come.
    TerminalFreesBeforeFill,
    /// An amend counts by its new terms as soon as it is sent.
    AmendByNewTerms,
    /// A cancel that was sent has worked.
    CancelFreesAtOnce,
    /// An order that somebody else placed does not count.
    IgnoresAdopted,
    /// A refused cancel ends the waiting for an amend.
    RefusedCancelAnswersAmend,
    /// Positions are valued by the first price that was heard.
    MarksStandStill,
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    fn side(&mut self) -> Side {
        if self.below(2) == 0 { Side::Buy } else { Side::Sell }
    }
}

/// An order as the venue has it.
#[derive(Clone, Copy, Debug)]
struct Truth {
    request: OrderRequest,
    cum: i64,
    open: bool,
}

/// The venue, the way there and the way back.
struct World {
    dice: Dice,
    bug: Bug,
    engine: Engine,
    now: i64,
    orders: BTreeMap<u64, Truth>,
    positions: [i64; INSTRUMENTS as usize],
    going: VecDeque<Command>,
    /// Places that will never arrive.
    lost: Vec<OrderId>,
    coming: Vec<Event>,
    executions: u64,
    met: BTreeMap<&'static str, u64>,
    touches: [Touch; INSTRUMENTS as usize],
    moves: bool,
    /// The first order that was approved although it leads beyond the limit in money.
    unaffordable: Option<String>,
}

fn fresh() -> Engine {
    let one = || Step::parse("1").unwrap();
    let instrument = Instrument {
        venue: "model".into(),
        symbol: "XYZ".into(),
        kind: ContractKind::Linear,
        tick: one(),
        lot: one(),
        contract: one(),
        fees: FeeSchedule::flat(0, 0).unwrap(),
    };
    let limits = Limits {
        position_max: Lots(POSITION),
        order_max: Lots(25),
        open_orders_max: 40,
        collar_bps: 100,
        requests_per_second_max: u32::MAX,
        controls: Controls::default(),
    };
    let rules = DifferRules { amend: true, ..DifferRules::default() };
    let mut engine = Engine::new(vec![(instrument, Desk { limits, rules }); INSTRUMENTS as usize]);
    let worth = i128::from(GROSS) * i128::from(TOUCH.ask) * 1_000_000_000_000;
    engine.bind(Bounds { strategy_notional_max: Cash(worth), ..Bounds::default() });
    engine
}

fn request(instrument: u16, side: Side, price: i32, qty: i64) -> OrderRequest {
    let (instrument, price, qty) = (InstrumentId(instrument), Ticks(i64::from(price)), Lots(qty));
    OrderRequest { instrument, side, price, qty, tif: Tif::Gtc, post_only: false, reduce_only: false }
}

impl World {
    fn new(seed: u64, bug: Bug) -> Self {
        Self {
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            bug,
            engine: fresh(),
            now: 1,
            orders: BTreeMap::new(),
            positions: [0; INSTRUMENTS as usize],
            going: VecDeque::new(),
            lost: Vec::new(),
            coming: Vec::new(),
            executions: 0,
            met: BTreeMap::new(),
            touches: [TOUCH; INSTRUMENTS as usize],
            moves: seed.is_multiple_of(2),
            unaffordable: None,
        }
    }

    fn met(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    fn tell(&mut self, event: &Event) {
        self.now += 1;
        self.engine.step(Nanos(self.now), Input::Event(event)).unwrap();
    }

    fn step(&mut self) {
        match self.dice.below(62) {
            0..=6 => self.want(),
            7..=25 => self.arrive(),
            26..=31 => self.fill(),
            32..=54 => self.hear(),
            55 => self.doubt(),
            56 => self.venue_cancels(),
            57 => self.prove(),
            58 => self.adopt(),
            59 | 60 => self.send_away(),
            _ if self.dice.below(4) == 0 => self.restart(),
            _ => self.lose(),
        }
    }

    /// The strategy wants something, whatever comes to its mind.
    fn want(&mut self) {
        let of = self.dice.below(u64::from(INSTRUMENTS)) as u16;
        if self.moves && self.dice.below(4) == 0 {
            self.market_moves();
        }
        let touch = self.touches[of as usize];
        let mut intent = Intent::default();
        for side in [Side::Buy, Side::Sell] {
            for _ in 0..self.dice.below(3) {
                let away = self.dice.between(0, 3) as i32;
                let price = if side == Side::Buy { touch.bid - away } else { touch.ask + away };
                let qty = Lots(self.dice.between(1, 25));
                intent.quotes.push(Quote { side, price: Ticks(i64::from(price)), qty });
            }
        }
        if self.dice.below(6) == 0 {
            let side = self.dice.side();
            let price = if side == Side::Buy { touch.ask } else { touch.bid };
            let qty = self.dice.between(1, 25);
            let reduce_only = self.dice.below(2) == 0;
            intent.immediate.push(OrderRequest { reduce_only, ..request(of, side, price, qty) });
        }
        self.now += 1;
        let at = Some(Nanos(self.now));
        for (index, &touch) in self.touches.iter().enumerate() {
            let touch = if self.bug == Bug::MarksStandStill { TOUCH } else { touch };
            self.engine.see(InstrumentId(index as u16), Seen { touch, heard: at, venue: at });
        }
        let input = Input::Intent { instrument: InstrumentId(of), intent: &intent, touch };
        for command in self.engine.step(Nanos(self.now), input).unwrap().to_vec() {
            self.met("asked");
            self.going.push_back(command);
            self.afford(command);
            let ts_venue = Nanos(self.now);
            match (self.bug, command) {
                (Bug::AmendByNewTerms, Command::Amend { id, price, qty }) => {
                    self.tell(&Event::OrderAmended { id, price, qty, ts_venue });
                }
                (Bug::CancelFreesAtOnce, Command::Cancel { id }) => self.bury(id),
                _ => {}
            }
        }
    }

    fn market_moves(&mut self) {
        let of = self.dice.below(u64::from(INSTRUMENTS)) as usize;
        let bid = self.touches[of].bid + self.dice.between(-400, 400) as i32;
        let bid = bid.clamp(TOUCH.bid / 2, TOUCH.bid * 2);
        self.touches[of] = Touch { bid, ask: bid + 1 };
        self.met("moved");
    }

    /// What an order leads to that was just approved, when all that is decided arrives: of its own instrument its own
    /// side, of the others the larger one, at the prices of now.
    fn afford(&mut self, command: Command) {
        let (of, side) = match command {
            Command::Place { request, .. } => (request.instrument.0 as usize, request.side),
            Command::Amend { id, .. } => match self.engine.terms_of(id) {
                Some((instrument, side)) => (instrument.0 as usize, side),
                None => return,
            },
            Command::Cancel { .. } | Command::CancelAll { .. } => return,
        };
        let mut then = self.orders.clone();
        for command in &self.going {
            match *command {
                Command::Place { id, request } => drop(then.insert(id.0, Truth { request, cum: 0, open: true })),
                Command::Amend { id, qty, .. } => {
                    if let Some(order) = then.get_mut(&id.0) {
                        order.request.qty = order.request.qty.max(qty);
                    }
                }
                Command::Cancel { .. } | Command::CancelAll { .. } => {}
            }
        }
        let own = self.worst(&then, of, side);
        let lots = |index| {
            let both = [Side::Buy, Side::Sell].map(|side| self.worst(&then, index, side));
            if index == of { own.max(0) } else { both[0].max(both[1]) }
        };
        let worth: i64 = (0..usize::from(INSTRUMENTS)).map(|at| lots(at) * i64::from(self.touches[at].ask)).sum();
        if own > 0 && worth > GROSS * i64::from(TOUCH.ask) {
            self.unaffordable.get_or_insert(format!("{command:?} leads to {worth}, at {:?}", self.touches));
        }
    }

    /// The position of an instrument, towards a side, if everything on that side trades.
    fn worst(&self, orders: &BTreeMap<u64, Truth>, of: usize, side: Side) -> i64 {
        let (mut free, mut reducing) = (0, 0);
        for Truth { request, cum, open } in orders.values() {
            if *open && request.side == side && request.instrument.0 as usize == of {
                *(if request.reduce_only { &mut reducing } else { &mut free }) += request.qty.0 - cum;
            }
        }
        let held = side.sign() * self.positions[of];
        held + free + reducing.min((-held).max(0))
    }

    /// The mistake: an order is taken for dead, with no more executed than was booked.
    fn bury(&mut self, id: OrderId) {
        let cum = self.engine.orders().get(id).map_or(Lots::ZERO, |order| order.booked);
        self.tell(&Event::OrderCanceled { id, cum, ts_venue: Nanos(self.now) });
    }

    /// The next request reaches the venue.
    fn arrive(&mut self) {
        let Some(command) = self.going.pop_front() else { return };
        let ts_venue = Nanos(self.now);
        let busy = self.dice.below(8) == 0;
        match command {
            Command::Place { id, .. } if self.dice.below(12) == 0 => {
                let reason = RejectReason::PostOnlyWouldCross;
                self.coming.push(Event::OrderRejected { id, reason, ts_venue });
            }
            Command::Place { id, request } => {
                self.orders.insert(id.0, Truth { request, cum: 0, open: true });
                self.coming.push(Event::OrderAcked { id, ts_venue });
                self.coming.push(Event::OrderAccepted { id, ts_venue });
            }
            Command::Amend { id, price, qty } => match self.orders.get_mut(&id.0) {
                Some(order) if order.open && qty.0 > order.cum && !busy => {
                    (order.request.price, order.request.qty) = (price, qty);
                    self.coming.push(Event::OrderAmended { id, price, qty, ts_venue });
                    self.met("amended");
                }
                _ => self.refuse(Event::AmendRefused { id, reason: RejectReason::Other, ts_venue }),
            },
            Command::Cancel { id } => match self.orders.get(&id.0) {
                Some(order) if order.open && !busy => self.close(id.0),
                _ => {
                    let reason = RejectReason::Other;
                    self.refuse(match self.bug {
                        Bug::RefusedCancelAnswersAmend => Event::RequestRefused { id, reason, ts_venue },
                        _ => Event::CancelRefused { id, reason, ts_venue },
                    });
                }
            },
            Command::CancelAll { .. } => {}
        }
    }

    fn refuse(&mut self, refusal: Event) {
        self.coming.push(refusal);
        self.met("refused");
    }

    fn close(&mut self, number: u64) {
        let order = self.orders.get_mut(&number).unwrap();
        order.open = false;
        let cum = if self.bug == Bug::TerminalFreesBeforeFill { 0 } else { order.cum };
        let (id, ts_venue) = (OrderId(number), Nanos(self.now));
        self.coming.push(Event::OrderCanceled { id, cum: Lots(cum), ts_venue });
        self.met("canceled");
    }

    fn some_open(&mut self) -> Option<u64> {
        let open: Vec<u64> = self.orders.iter().filter(|(_, order)| order.open).map(|(id, _)| *id).collect();
        (!open.is_empty()).then(|| open[self.dice.below(open.len() as u64) as usize])
    }

    fn fill(&mut self) {
        let Some(number) = self.some_open() else { return };
        let Truth { request, cum, .. } = self.orders[&number];
        let (of, sign) = (request.instrument.0 as usize, request.side.sign());
        let reducible = if request.reduce_only { (-sign * self.positions[of]).max(0) } else { i64::MAX };
        let most = (request.qty.0 - cum).min(reducible);
        if most == 0 {
            self.close(number);
            return;
        }
        let lots = self.dice.between(1, most);
        let order = self.orders.get_mut(&number).unwrap();
        order.cum += lots;
        order.open = order.cum < request.qty.0;
        self.positions[of] += sign * lots;
        self.executions += 1;
        let (id, ts_venue) = (OrderId(number), Nanos(self.now));
        self.coming.push(Event::OrderExecuted { id, cum: Lots(cum + lots), ts_venue });
        self.coming.push(Event::Filled {
            id,
            execution: self.executions,
            price: request.price,
            qty: Lots(lots),
            maker: true,
            fee: Cash::ZERO,
            touch_bid: TOUCH.bid,
            touch_ask: TOUCH.ask,
            ts_venue,
        });
        self.met("filled");
    }

    /// Some fact of those under way is heard, perhaps not for the last time.
    fn hear(&mut self) {
        if self.coming.is_empty() {
            return;
        }
        let at = self.dice.below(self.coming.len() as u64) as usize;
        let event = self.coming[at];
        let answers =
            matches!(event, Event::AmendRefused { .. } | Event::CancelRefused { .. } | Event::RequestRefused { .. });
        if !answers && self.dice.below(8) == 0 {
            self.met("told twice");
        } else {
            self.coming.swap_remove(at);
        }
        self.tell(&event);
    }

    fn some_known(&mut self) -> Option<OrderId> {
        let known: Vec<OrderId> = self.engine.orders().iter().map(|order| order.id).collect();
        (!known.is_empty()).then(|| known[self.dice.below(known.len() as u64) as usize])
    }

    /// Somebody above the strategy wants an order out, whatever is under way about it.
    fn send_away(&mut self) {
        let Some(id) = self.some_known() else { return };
        self.now += 1;
        self.going.extend(self.engine.step(Nanos(self.now), Input::Cancel(id)).unwrap());
    }

    /// We lose patience with some order.
    fn doubt(&mut self) {
        let Some(id) = self.some_known() else { return };
        self.tell(&Event::OrderUnknown { id });
        self.met("unknown");
        if self.bug == Bug::IgnoresUnknown {
            self.bury(id);
        }
    }

    fn venue_cancels(&mut self) {
        if let Some(number) = self.some_open() {
            self.close(number);
        }
    }

    /// A place on its way is lost for good.
    fn lose(&mut self) {
        if let Some(Command::Place { id, .. }) = self.going.front().copied() {
            self.going.pop_front();
            self.lost.push(id);
            self.tell(&Event::OrderUnknown { id });
            self.met("lost");
        }
    }

    /// The deadline of a lost order has passed, which proves it dead.
    fn prove(&mut self) {
        if let Some(id) = self.lost.pop() {
            self.tell(&Event::OrderNeverPlaced { id });
        }
    }

    /// Somebody else's order comes to light. Our limits do not hold others back, so only one is let in that fits beside
    /// everything that the engine counts.
    fn adopt(&mut self) {
        let (of, side) = (self.dice.below(u64::from(INSTRUMENTS)) as u16, self.dice.side());
        let qty = self.dice.between(1, 8);
        let counted = |index: u16, side: Side| {
            let lots = self.engine.orders().side(InstrumentId(index), side).map(|order| order.exposure().0);
            side.sign() * self.engine.position(InstrumentId(index)).0 + lots.sum::<i64>()
        };
        let largest = |index: u16| counted(index, Side::Buy).max(counted(index, Side::Sell));
        let gross: i64 = (0..INSTRUMENTS).map(largest).sum();
        if counted(of, side) + qty > POSITION || gross + qty > GROSS {
            return;
        }
        let owner = if self.dice.below(2) == 0 { Owner::Orphan } else { Owner::Foreign };
        let price = if side == Side::Buy { TOUCH.bid } else { TOUCH.ask };
        let request = request(of, side, price, qty);
        let number = self.engine.orders_named() + 1;
        let adoption = Adoption { request, cum: Lots::ZERO, booked: Lots::ZERO, owner };
        self.now += 1;
        self.engine.step(Nanos(self.now), Input::Adopt(&adoption)).unwrap();
        self.orders.insert(number, Truth { request, cum: 0, open: true });
        self.met("adopted");
        if self.bug == Bug::IgnoresAdopted {
            self.bury(OrderId(number));
        }
    }

    /// The process dies and another goes on: what had no answer is unknown.
    fn restart(&mut self) {
        let state = self.engine.snapshot();
        self.engine = fresh();
        self.engine.restore(state).unwrap();
        let unsure = |life: Life| matches!(life, Life::Intent | Life::Sent | Life::Acked);
        let orders = self.engine.orders().iter().filter(|order| unsure(order.life));
        for id in orders.map(|order| order.id).collect::<Vec<_>>() {
            self.tell(&Event::OrderUnknown { id });
        }
        self.met("restarted");
    }

    /// The worst that may happen at the venue, by what it really has; none if it is within every limit.
    fn breach(&self) -> Option<String> {
        let mut gross = 0;
        for (index, position) in self.positions.iter().enumerate() {
            let (long, short) =
                (self.worst(&self.orders, index, Side::Buy), self.worst(&self.orders, index, Side::Sell));
            if long > POSITION || short > POSITION {
                return Some(format!("instrument {index}: position {position}, worst long {long}, short {short}"));
            }
            gross += long.max(short);
        }
        let beyond = !self.moves && gross > GROSS;
        self.unaffordable.clone().or_else(|| beyond.then(|| format!("gross {gross} lots, limit {GROSS}")))
    }
}

/// Plays so many steps; says where the first breach was, and what was met on the way.
fn play(steps: u64, bug: Bug) -> (Option<String>, BTreeMap<&'static str, u64>) {
    let mut met = BTreeMap::new();
    for seed in 1..=steps.div_ceil(STEPS_OF_A_RUN) {
        let mut world = World::new(seed, bug);
        for step in 0..STEPS_OF_A_RUN {
            world.step();
            if let Some(breach) = world.breach() {
                return (Some(format!("seed {seed}, step {step}: {breach}")), met);
            }
        }
        world.engine.check_invariants();
        world.met.into_iter().for_each(|(what, count)| *met.entry(what).or_default() += count);
    }
    (None, met)
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs is nothing that the core reads")]
fn steps() -> u64 {
    let given = std::env::var("MMBOT_STEPS").ok().and_then(|text| text.parse().ok());
    given.unwrap_or(if cfg!(debug_assertions) { 100_000 } else { 1_000_000 })
}

/// Whatever is lost, late or doubled, the venue never has more than the limits allow.
#[test]
fn the_venue_never_has_more_than_the_limits_allow() {
    let (breach, met) = play(steps(), Bug::None);
    assert_eq!(breach, None);
    for what in [
        "asked",
        "amended",
        "canceled",
        "filled",
        "told twice",
        "unknown",
        "lost",
        "adopted",
        "restarted",
        "refused",
        "moved",
    ] {
        let count = met.get(what).copied().unwrap_or_default();
        assert!(count > steps() / 2_000, "{what} happened {count} times: {met:?}");
    }
}

/// The same run sees each of the mistakes that such a system is known to make.
#[test]
fn each_planted_mistake_is_caught() {
    let bugs = [
        Bug::IgnoresUnknown,
        Bug::TerminalFreesBeforeFill,
        Bug::AmendByNewTerms,
        Bug::CancelFreesAtOnce,
        Bug::IgnoresAdopted,
        Bug::RefusedCancelAnswersAmend,
        Bug::MarksStandStill,
    ];
    for bug in bugs {
        let (breach, _) = play(100_000, bug);
        assert!(breach.is_some(), "{bug:?} went unnoticed");
    }
}
