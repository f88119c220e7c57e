//! An order's life is a join, not a walk: facts may arrive late, twice or in any order and end in one state.
//!
//! Four independent parts:
//! - `stage` is ours: how far the request came, and what we concluded (it was turned away, it never arrived);
//! - `seen` is the venue's: what it said of the order itself. While it has said nothing, the stage is the order's life;
//!   one word of it overrides whatever we had concluded (the order has *risen*);
//! - `op` says whether a cancel or an amend is in flight;
//! - `booked` (from executions) and `venue_cum` (what the venue says was executed) meet before the order is settled.
//!
//! Stage and seen only move up in rank; two different terminals are settled by what was executed. `leaves` is computed,
//! never trusted. Not handled here: proving that an unanswered order is dead (reconciliation does); an amend that went
//! unanswered and is taken by the venue after the answer to a later one; a refusal that is told twice.

use std::hash::{Hash, Hasher};

use mmbot_types::{Event, InstrumentId, Lots, Nanos, OrderId, OrderRequest, RejectReason, Side, Ticks};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The stage of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Life {
    /// Written down, not sent.
    Intent,
    /// Bytes left.
    Sent,
    /// The venue answered the request; the order may or may not be live.
    Acked,
    /// No answer: counted as live until proven dead.
    Unknown,
    /// Resting.
    Live,
    /// Resting, partly executed.
    Partial,
    /// Given up by a person, its fate unproven.
    ExpiredUnproven,
    /// Proven never to have reached the venue.
    NeverPlaced,
    /// Refused by us.
    Denied,
    /// Refused by the venue.
    Rejected,
    /// Ran out of time.
    Expired,
    /// Cancelled.
    Canceled,
    /// Executed whole.
    Filled,
}

impl Life {
    /// Higher wins, among what we concluded and among what the venue said. Terminals outrank all else; among them an
    /// execution outranks a cancel, a cancel a refusal, a proof a person's word. Silence outranks an answer that only
    /// promised to look: of the two, in either order, the order stays unknown.
    #[rustfmt::skip]
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Intent => 0,
            Self::Sent => 1,
            Self::Acked => 2,
            Self::Unknown => 3,
            Self::Live => 4,
            Self::Partial => 5,
            Self::ExpiredUnproven => 6, Self::NeverPlaced => 7, Self::Denied => 8, Self::Rejected => 9,
            Self::Expired => 10, Self::Canceled => 11, Self::Filled => 12,
        }
    }

    /// No more of it can trade.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        self.rank() >= Self::ExpiredUnproven.rank()
    }
}

/// Whose order it is: who may move it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// The strategy's.
    #[default]
    Strategy,
    /// One of ours by its name, that no journal knows: counted, and taken out.
    Orphan,
    /// Somebody else's on our account: counted, and left alone.
    Foreign,
}

/// A request about a working order that the venue has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// Nothing in flight.
    Idle,
    /// A cancel is on its way.
    Cancel,
    /// An amend is on its way, to these terms.
    Amend {
        /// New price.
        price: Ticks,
        /// New total quantity.
        qty: Lots,
    },
}

/// The latest venue time among the facts about an order. It follows from them, and they are hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Latest(Nanos);

impl Hash for Latest {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// What the venue said of an order itself. It is hashed as what follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Told(Option<Life>);

impl Told {
    fn is_nothing(&self) -> bool {
        self.0.is_none()
    }
}

impl Hash for Told {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// A person gave the order up, and the venue has not spoken of it since. It is hashed as what follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct GivenUp(bool);

impl GivenUp {
    fn is_not(&self) -> bool {
        !self.0
    }
}

impl Hash for GivenUp {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// An order that the venue has and nobody of this engine sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Adoption {
    /// Its terms by the venue's word.
    pub request: OrderRequest,
    /// What was executed of it.
    pub cum: Lots,
    /// How much of that the books hold already: its executions will not be told again.
    pub booked: Lots,
    /// Orphan or foreign.
    pub owner: Owner,
}

/// One order as we know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Order {
    /// Our name for it.
    pub id: OrderId,
    /// Its terms; price and qty follow confirmed amends.
    pub request: OrderRequest,
    /// Whose it is.
    pub owner: Owner,
    /// What the venue said of it, or our own stage while it has said nothing.
    pub life: Life,
    stage: Life,
    /// What the venue said, or that it is executed whole.
    seen: Option<Life>,
    #[serde(default, skip_serializing_if = "Told::is_nothing")]
    told: Told,
    #[serde(default, skip_serializing_if = "GivenUp::is_not")]
    given_up: GivenUp,
    /// Request in flight.
    pub op: Op,
    /// Executed, from executions.
    pub booked: Lots,
    /// Executed, by the venue's word.
    pub venue_cum: Lots,
    /// When it was decided.
    pub ts_decided: Nanos,
    /// When the venue took it.
    pub ts_accepted: Option<Nanos>,
    /// When the last thing happened to it at the venue; none while it may still live.
    pub ts_done: Option<Nanos>,
    /// Why it was refused.
    pub reason: Option<RejectReason>,
    /// Who gave the reason (the venue of the order, of the request, of a request about it), and when.
    reason_of: (u8, Nanos),
    /// Amends sent.
    pub amends: u32,
    /// Cancels sent.
    pub cancels: u32,
    /// Terms of the amends that the venue has not answered, oldest first, even when a cancel went after them. An answer
    /// to one ends the waiting for those before it.
    amending: SmallVec<[(Ticks, Lots); 1]>,
    /// When the terms above were last confirmed: of two amends told out of order the later one holds.
    ts_amended: Nanos,
    latest: Latest,
}

impl Order {
    /// A new order, written down and on its way.
    #[must_use]
    pub fn sent(id: OrderId, request: OrderRequest, now: Nanos) -> Self {
        Self {
            id,
            request,
            owner: Owner::Strategy,
            life: Life::Sent,
            stage: Life::Sent,
            seen: None,
            told: Told::default(),
            given_up: GivenUp::default(),
            op: Op::Idle,
            booked: Lots::ZERO,
            venue_cum: Lots::ZERO,
            ts_decided: now,
            ts_accepted: None,
            ts_done: None,
            reason: None,
            reason_of: (0, Nanos(i64::MIN)),
            amends: 0,
            cancels: 0,
            amending: SmallVec::new(),
            ts_amended: Nanos::ZERO,
            latest: Latest::default(),
        }
    }

    /// One that the venue shows and nobody of this engine sent.
    #[must_use]
    pub fn adopted(id: OrderId, adoption: &Adoption, now: Nanos) -> Self {
        let Adoption { request, cum, booked, owner } = *adoption;
        let mut order = Self { owner, stage: Life::Acked, booked, ..Self::sent(id, request, now) };
        order.see(if cum > Lots::ZERO { Life::Partial } else { Life::Live }, cum);
        order
    }

    /// The venue spoke of an order that we had concluded not to exist.
    #[must_use]
    pub fn has_risen(&self) -> bool {
        self.stage.is_terminal() && self.seen.is_some_and(|seen| seen != Life::Rejected)
    }

    /// What is still open by our books; never negative.
    #[must_use]
    pub fn leaves(&self) -> Lots {
        Lots((self.request.qty.0 - self.done().0).max(0))
    }

    /// What is executed, by our books or the venue's word, whichever is more.
    #[must_use]
    pub fn done(&self) -> Lots {
        self.booked.max(self.venue_cum)
    }

    /// The largest total quantity that may stand at the venue: an amend in flight may or may not have arrived.
    #[must_use]
    pub fn qty_max(&self) -> Lots {
        self.amending.iter().map(|terms| terms.1).fold(self.request.qty, Lots::max)
    }

    /// The lowest and the highest price at which it may stand at the venue.
    #[must_use]
    pub fn prices(&self) -> (Ticks, Ticks) {
        let price = self.request.price;
        self.amending.iter().fold((price, price), |(low, high), terms| (low.min(terms.0), high.max(terms.0)))
    }

    /// The terms we asked for last, and so expect to stand: price and total quantity.
    #[must_use]
    pub fn asked(&self) -> (Ticks, Lots) {
        match self.op {
            Op::Amend { price, qty } => (price, qty),
            Op::Idle | Op::Cancel => (self.request.price, self.request.qty),
        }
    }

    /// An amend went unanswered: the order stands at its old terms or at the new ones, and whatever is wanted of it has
    /// to be said again.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        let stands = (self.request.price, self.request.qty);
        self.op == Op::Idle && self.amending.iter().any(|terms| *terms != stands)
    }

    /// Notes a request about this order that is on its way.
    pub fn ask(&mut self, op: Op) {
        match op {
            Op::Amend { price, qty } => {
                self.amends += 1;
                self.amending.push((price, qty));
            }
            Op::Cancel => self.cancels += 1,
            Op::Idle => {}
        }
        self.op = op;
    }

    /// The most that may still trade: the larger of old and amended terms while an amend is unanswered;
    /// for a terminal order, what the venue executed and we have not booked yet.
    #[must_use]
    pub fn exposure(&self) -> Lots {
        if self.life.is_terminal() {
            return Lots((self.venue_cum.0 - self.booked.0).max(0));
        }
        Lots((self.qty_max().0 - self.booked.0).max(0))
    }

    /// The strategy may move it, and it counts among what the strategy wants.
    #[must_use]
    pub fn is_strategys(&self) -> bool {
        self.owner == Owner::Strategy
    }

    /// Working or possibly working, and not asked to leave.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.life.is_terminal() && self.op != Op::Cancel
    }

    /// Nothing can change any more: terminal, and executions and the venue's word agree.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.life.is_terminal() && self.booked == self.venue_cum
    }

    /// How far the request came, by our own lights.
    fn reach(&mut self, stage: Life) {
        if stage.rank() > self.stage.rank() {
            self.stage = stage;
        }
        self.conclude();
    }

    /// The venue's word on the order itself.
    fn see(&mut self, seen: Life, cum: Lots) {
        self.given_up = GivenUp(false);
        self.venue_cum = self.venue_cum.max(cum);
        if self.told().is_none_or(|known| seen.rank() > known.rank()) {
            self.told = Told(Some(seen));
        }
        self.conclude();
    }

    fn told(&self) -> Option<Life> {
        self.told.0.or(self.seen) // snapshots of version 1 have only the latter
    }

    fn conclude(&mut self) {
        self.venue_cum = self.venue_cum.max(self.booked);
        // Executed whole, whatever else was said of it: as long as nobody amends it to more.
        let whole = self.venue_cum >= self.qty_max();
        let told = self.told().filter(|told| told.is_terminal() || self.given_up.is_not());
        self.seen = if whole { Some(Life::Filled) } else { told };
        self.life = self.seen.unwrap_or(self.stage);
        self.ts_done = self.life.is_terminal().then_some(if self.latest.0 == Nanos::ZERO {
            self.ts_decided
        } else {
            self.latest.0
        });
        if self.is_closed() {
            self.op = Op::Idle; // what we conclude answers no request: the order may rise with it still in flight
        }
    }

    /// The venue said that no more of it can trade.
    fn is_closed(&self) -> bool {
        self.seen.is_some_and(Life::is_terminal)
    }

    /// Of several reasons the venue's word on the order holds, then that on the request; of one kind the last.
    fn refused_for(&mut self, reason: RejectReason, of: u8, ts_venue: Nanos) {
        let known = (self.reason_of, self.reason.map(|reason| reason as u8));
        if ((of, ts_venue), Some(reason as u8)) > known {
            (self.reason_of, self.reason) = ((of, ts_venue), Some(reason));
        }
    }

    /// Takes in one fact. Facts about other orders are a caller's mistake.
    pub fn observe(&mut self, event: &Event) {
        if let Some(ts_venue) = event.ts_venue() {
            self.latest.0 = self.latest.0.max(ts_venue);
        }
        match *event {
            Event::OrderAcked { .. } => self.reach(Life::Acked),
            Event::OrderUnknown { .. } => {
                // What is in flight may have arrived or not: a cancel or amend may be asked again, an amend goes on
                // counting by the worse of both terms.
                self.op = Op::Idle;
                self.reach(Life::Unknown);
            }
            Event::OrderTurnedAway { reason, ts_venue, .. } => {
                self.refused_for(reason, 1, ts_venue);
                self.reach(Life::Rejected);
            }
            Event::OrderNeverPlaced { .. } => self.reach(Life::NeverPlaced),
            Event::OrderExpiredUnproven { .. } => {
                // Of an order that the venue had shown it holds as well, until the venue's next word: no other fact can
                // end one of which no list knows any more.
                (self.told, self.given_up) = (Told(self.told()), GivenUp(true));
                self.reach(Life::ExpiredUnproven);
            }
            Event::OrderAccepted { ts_venue, .. } => {
                self.ts_accepted = Some(self.ts_accepted.map_or(ts_venue, |known| known.min(ts_venue)));
                self.see(Life::Live, Lots::ZERO);
            }
            Event::OrderExecuted { cum, .. } => {
                self.see(if cum > Lots::ZERO { Life::Partial } else { Life::Live }, cum);
            }
            Event::OrderRejected { reason, ts_venue, .. } => {
                self.refused_for(reason, 2, ts_venue);
                self.see(Life::Rejected, Lots::ZERO);
            }
            Event::OrderCanceled { cum, .. } => self.see(Life::Canceled, cum),
            Event::OrderAmended { price, qty, ts_venue, .. } => {
                self.amended(price, qty, ts_venue);
                self.see(Life::Live, Lots::ZERO);
            }
            Event::RequestRefused { reason, ts_venue, .. } => {
                // It does not say which request it answers: of an amend and a cancel after it, it is the amend. So a
                // refused cancel frees an amend that may have been taken.
                self.refused_for(reason, 0, ts_venue);
                if self.amending.is_empty() || self.op != Op::Cancel {
                    self.op = Op::Idle;
                }
                self.amending.clear();
                self.conclude();
            }
            Event::AmendRefused { reason, ts_venue, .. } => {
                self.refused_for(reason, 0, ts_venue);
                if reason == RejectReason::HeldBack {
                    self.amending.pop(); // we answer at once, before there is another
                } else if self.amending.len() == 1 && ts_venue > self.ts_amended {
                    self.amending.clear();
                } // of several nobody knows which it was; one from before the last confirmation is of none of these
                if matches!(self.op, Op::Amend { .. }) {
                    self.op = Op::Idle;
                }
                self.conclude();
            }
            Event::CancelRefused { reason, ts_venue, .. } => {
                // The order may be gone (its own terminal fact will say so) or stand.
                self.refused_for(reason, 0, ts_venue);
                if self.op == Op::Cancel {
                    self.op = Op::Idle;
                }
                self.conclude();
            }
            Event::Filled { qty, .. } => {
                self.booked += qty;
                self.see(Life::Partial, self.booked);
            }
            Event::FundingPaid { .. } | Event::PositionMoved { .. } => {}
        }
    }

    /// The venue tells the order's terms. Of two such facts the later one holds; at one time the larger, which is the
    /// worse. Terms that were asked for answer that request, the first one where they were asked for again: what was
    /// asked for in between may still be taken. Others answer none.
    fn amended(&mut self, price: Ticks, qty: Lots, ts_venue: Nanos) {
        if self.op == (Op::Amend { price, qty }) {
            self.op = Op::Idle;
        }
        if (ts_venue, qty, price) <= (self.ts_amended, self.request.qty, self.request.price) {
            return; // told twice or late: what was asked for since waits for its own answer
        }
        (self.request.price, self.request.qty, self.ts_amended) = (price, qty, ts_venue);
        if let Some(at) = self.amending.iter().position(|terms| *terms == (price, qty)) {
            self.amending.drain(..=at);
        }
    }

    /// Whether all that this type promises holds.
    pub(crate) fn is_sound(&self) -> bool {
        self.request.qty > Lots::ZERO
            && self.life == self.seen.unwrap_or(self.stage)
            && self.booked <= self.venue_cum
            && !(self.is_closed() && self.op != Op::Idle)
    }

    /// Panics where a promise of this type is broken: our mistake, so the engine stops.
    pub fn check_invariants(&self) {
        assert!(self.request.qty > Lots::ZERO, "order {:?} without quantity", self.id);
        assert_eq!(self.life, self.seen.unwrap_or(self.stage), "order {:?}: the venue's word holds", self.id);
        assert!(self.booked <= self.venue_cum, "order {:?} booked more than the venue executed", self.id);
        assert!(!(self.is_closed() && self.op != Op::Idle), "order {:?} is done but busy", self.id);
    }
}

/// The orders that are not settled, in the order they were decided.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    open: Vec<Order>,
}

impl Orders {
    /// Adds a new one.
    pub fn insert(&mut self, order: Order) {
        debug_assert!(self.open.last().is_none_or(|last| last.id < order.id));
        self.open.push(order);
    }

    /// Puts one back that was settled, in its place by age.
    pub(crate) fn put_back(&mut self, order: Order) {
        let at = self.open.partition_point(|other| other.id < order.id);
        self.open.insert(at, order);
    }

    /// The order of that name, unless it is settled and gone.
    #[must_use]
    pub fn get(&self, id: OrderId) -> Option<&Order> {
        self.open.iter().find(|order| order.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: OrderId) -> Option<&mut Order> {
        self.open.iter_mut().find(|order| order.id == id)
    }

    pub(crate) fn take_settled(&mut self, id: OrderId) -> Option<Order> {
        let index = self.open.iter().position(|order| order.id == id && order.is_settled())?;
        Some(self.open.remove(index))
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Order> {
        self.open.iter()
    }

    /// Those of one instrument and side, oldest first.
    pub fn side(&self, instrument: InstrumentId, side: Side) -> impl Iterator<Item = &Order> {
        self.open.iter().filter(move |o| o.request.instrument == instrument && o.request.side == side)
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// None is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmbot_types::{Cash, NO_ASK, NO_BID, Tif};
    use proptest::prelude::*;

    const ID: OrderId = OrderId(1);

    fn order(qty: i64) -> Order {
        let request = OrderRequest {
            instrument: InstrumentId(0),
            side: Side::Buy,
            price: Ticks(100),
            qty: Lots(qty),
            tif: Tif::Gtc,
            post_only: true,
            reduce_only: false,
        };
        Order::sent(ID, request, Nanos(0))
    }

    fn filled(qty: i64, at: i64) -> Event {
        Event::Filled {
            id: ID,
            execution: at as u64,
            price: Ticks(100),
            qty: Lots(qty),
            maker: true,
            fee: Cash::ZERO,
            touch_bid: NO_BID,
            touch_ask: NO_ASK,
            ts_venue: Nanos(at),
        }
    }

    /// What a trader expects of one order, fact by fact.
    #[test]
    fn one_order_fact_by_fact() {
        let accepted = Event::OrderAccepted { id: ID, ts_venue: Nanos(1) };
        let canceled = |cum| Event::OrderCanceled { id: ID, cum: Lots(cum), ts_venue: Nanos(9) };
        let refused = Event::RequestRefused { id: ID, reason: RejectReason::UnknownOrder, ts_venue: Nanos(9) };
        let rejected = Event::OrderRejected { id: ID, reason: RejectReason::PostOnlyWouldCross, ts_venue: Nanos(2) };
        #[rustfmt::skip]
        let table: &[(&str, &[Event], Life, i64, bool)] = &[
            ("accepted",                     &[accepted],                           Life::Live,     10, false),
            ("a fill before the ack",        &[filled(4, 2)],                       Life::Partial,   6, false),
            ("the ack after that fill",      &[filled(4, 2), accepted],             Life::Partial,   6, false),
            ("filled whole",                 &[accepted, filled(4, 2), filled(6, 3)], Life::Filled,  0, true),
            ("canceled, nothing done",       &[accepted, canceled(0)],              Life::Canceled, 10, true),
            ("canceled after a partial",     &[accepted, filled(4, 2), canceled(4)], Life::Canceled, 6, true),
            ("cancel told before the fill",  &[accepted, canceled(4)],              Life::Canceled,  6, false),
            ("that fill arrives",            &[accepted, canceled(4), filled(4, 2)], Life::Canceled, 6, true),
            ("cancel met a filled order",    &[accepted, filled(10, 2), refused],   Life::Filled,    0, true),
            ("post-only refused",            &[rejected],                           Life::Rejected, 10, true),
        ];
        for (what, events, life, leaves, settled) in table {
            let mut order = order(10);
            for event in *events {
                order.observe(event);
                order.check_invariants();
            }
            assert_eq!((order.life, order.leaves(), order.is_settled()), (*life, Lots(*leaves), *settled), "{what}");
        }
    }

    /// A cancel sent after an amend does not make the amend unsent: its quantity counts until the venue has
    /// answered it, and a refusal answers the amend first.
    #[test]
    fn an_unanswered_amend_counts_although_a_cancel_follows() {
        let refused = Event::RequestRefused { id: ID, reason: RejectReason::NoMarket, ts_venue: Nanos(5) };
        let mut order = order(10);
        order.observe(&Event::OrderAccepted { id: ID, ts_venue: Nanos(1) });
        order.ask(Op::Amend { price: Ticks(101), qty: Lots(25) });
        order.ask(Op::Cancel);
        assert_eq!(order.exposure(), Lots(25));
        order.observe(&filled(10, 3));
        assert_eq!((order.life, order.exposure()), (Life::Partial, Lots(15)), "the amend may have been taken");
        order.observe(&refused);
        assert_eq!((order.life, order.exposure(), order.is_settled()), (Life::Filled, Lots(0), true), "it was not");

        let mut order = super::tests::order(10);
        order.ask(Op::Amend { price: Ticks(101), qty: Lots(25) });
        order.ask(Op::Cancel);
        order.observe(&refused);
        assert_eq!((order.op, order.exposure()), (Op::Cancel, Lots(10)), "the cancel is still on its way");
        order.observe(&refused);
        assert_eq!(order.op, Op::Idle);
    }

    /// A refusal frees what it answers and nothing else: a cancel's no amend, an amend's no other one that may have
    /// been taken, and none that was asked for after terms that are newer than it.
    #[test]
    fn a_refusal_frees_what_it_answers_and_nothing_else() {
        let reason = RejectReason::Other;
        let refused = |at| Event::AmendRefused { id: ID, reason, ts_venue: Nanos(at) };
        let cancel_refused = Event::CancelRefused { id: ID, reason, ts_venue: Nanos(5) };
        let held_back = Event::AmendRefused { id: ID, reason: RejectReason::HeldBack, ts_venue: Nanos(0) };
        let to = |qty| Op::Amend { price: Ticks(101), qty: Lots(qty) };
        let mut order = order(10);
        order.ask(to(25));
        order.ask(Op::Cancel);
        order.observe(&cancel_refused);
        assert_eq!((order.op, order.exposure()), (Op::Idle, Lots(25)), "the amend may have been taken");
        order.observe(&refused(6));
        assert_eq!((order.is_uncertain(), order.exposure()), (false, Lots(10)));
        order.ask(to(25));
        order.ask(Op::Cancel);
        order.observe(&refused(7));
        assert_eq!((order.op, order.exposure()), (Op::Cancel, Lots(10)), "the cancel is still on its way");

        order.observe(&cancel_refused);
        order.ask(to(25));
        order.observe(&Event::OrderUnknown { id: ID });
        order.ask(to(12));
        order.observe(&cancel_refused);
        assert_eq!(order.op, to(12), "an old cancel's answer");
        order.observe(&held_back);
        assert_eq!((order.op, order.qty_max()), (Op::Idle, Lots(25)), "the last never left");
        order.ask(to(12));
        order.observe(&refused(8));
        assert_eq!((order.op, order.qty_max()), (Op::Idle, Lots(25)), "one of the two");

        order.ask(to(11));
        order.observe(&Event::OrderAmended { id: ID, price: Ticks(101), qty: Lots(11), ts_venue: Nanos(20) });
        order.ask(to(30));
        order.observe(&refused(19));
        assert_eq!(order.exposure(), Lots(30), "told late, of an earlier one");
        order.observe(&refused(21));
        assert_eq!(order.exposure(), Lots(11));
    }

    /// Silence about a new order, a cancel and an amend: nothing blocks, and nothing is forgotten.
    #[test]
    fn silence_leaves_the_exposure_and_frees_the_hand() {
        let unknown = Event::OrderUnknown { id: ID };
        let mut order = order(10);
        order.observe(&Event::OrderAcked { id: ID, ts_venue: Nanos(1) });
        assert_eq!((order.life, order.exposure()), (Life::Acked, Lots(10)), "an answer is no order in the book");
        order.observe(&unknown);
        order.observe(&Event::OrderAcked { id: ID, ts_venue: Nanos(1) });
        assert_eq!((order.life, order.exposure()), (Life::Unknown, Lots(10)), "a late answer proves nothing");
        order.observe(&Event::OrderAccepted { id: ID, ts_venue: Nanos(2) });
        order.ask(Op::Cancel);
        order.observe(&unknown);
        assert_eq!((order.life, order.op), (Life::Live, Op::Idle), "the cancel may be repeated");
        order.ask(Op::Amend { price: Ticks(101), qty: Lots(25) });
        order.observe(&unknown);
        assert!(order.is_uncertain());
        assert_eq!((order.op, order.exposure()), (Op::Idle, Lots(25)), "the worse of both terms");
        order.ask(Op::Amend { price: Ticks(99), qty: Lots(5) });
        assert_eq!(order.exposure(), Lots(25), "still: the first may have been taken");
        order.observe(&Event::OrderAmended { id: ID, price: Ticks(99), qty: Lots(5), ts_venue: Nanos(9) });
        assert_eq!((order.is_uncertain(), order.exposure()), (false, Lots(5)));
    }

    /// The venue's word on what was executed counts as exposure until the execution is booked, also after the end.
    #[test]
    fn what_the_venue_executed_and_we_have_not_booked_stays_exposure() {
        let executed = |cum, at| Event::OrderExecuted { id: ID, cum: Lots(cum), ts_venue: Nanos(at) };
        let mut order = order(10);
        order.observe(&executed(4, 2));
        assert_eq!((order.life, order.leaves(), order.exposure()), (Life::Partial, Lots(6), Lots(10)));
        order.observe(&executed(10, 3));
        assert_eq!((order.life, order.exposure(), order.is_settled()), (Life::Filled, Lots(10), false));
        order.observe(&filled(10, 3));
        assert_eq!((order.exposure(), order.is_settled()), (Lots(0), true));
    }

    /// An old amend told again, or told late, answers no newer one.
    #[test]
    fn only_its_own_terms_answer_an_amend_in_flight() {
        let amended = |qty, at| Event::OrderAmended { id: ID, price: Ticks(101), qty: Lots(qty), ts_venue: Nanos(at) };
        let mut order = order(10);
        order.ask(Op::Amend { price: Ticks(101), qty: Lots(5) });
        order.observe(&amended(5, 3));
        order.ask(Op::Amend { price: Ticks(101), qty: Lots(25) });
        order.observe(&amended(5, 3));
        assert_eq!((order.exposure(), order.op != Op::Idle), (Lots(25), true), "told twice");
        order.observe(&amended(25, 8));
        assert_eq!((order.request.qty, order.op, order.amends), (Lots(25), Op::Idle, 2));
        order.observe(&amended(5, 3));
        assert_eq!(order.request.qty, Lots(25), "told late");
    }

    /// The same terms were asked for twice, and others in between: shown once, they are the first request's answer, and
    /// what was asked for in between may still be taken.
    #[test]
    fn terms_that_were_asked_for_again_answer_the_first_request() {
        let shown = |qty, at| Event::OrderAmended { id: ID, price: Ticks(101), qty: Lots(qty), ts_venue: Nanos(at) };
        let mut order = order(13);
        for qty in [14, 15, 14] {
            order.ask(Op::Amend { price: Ticks(101), qty: Lots(qty) });
        }
        order.observe(&shown(14, 3));
        assert_eq!((order.request.qty, order.exposure()), (Lots(14), Lots(15)));
        order.observe(&shown(15, 4));
        assert_eq!(order.exposure(), Lots(15));
        order.observe(&shown(14, 5));
        assert_eq!((order.exposure(), order.is_uncertain()), (Lots(14), false));
    }

    /// Every fact that a venue, or our own patience, may tell of one order; what was asked for is noted by the caller.
    /// Not among them: that a person gives it up, which holds until the venue's next word, so that its place matters.
    fn facts() -> Vec<Event> {
        let amended = |qty, at| Event::OrderAmended { id: ID, price: Ticks(101), qty: Lots(qty), ts_venue: Nanos(at) };
        vec![
            Event::OrderAcked { id: ID, ts_venue: Nanos(1) },
            Event::OrderUnknown { id: ID },
            Event::OrderAccepted { id: ID, ts_venue: Nanos(2) },
            amended(15, 3),
            Event::OrderExecuted { id: ID, cum: Lots(3), ts_venue: Nanos(4) },
            Event::OrderExecuted { id: ID, cum: Lots(5), ts_venue: Nanos(5) },
            amended(12, 6),
            Event::OrderCanceled { id: ID, cum: Lots(5), ts_venue: Nanos(7) },
            Event::OrderRejected { id: ID, reason: RejectReason::NoMarket, ts_venue: Nanos(1) },
            Event::OrderAccepted { id: ID, ts_venue: Nanos(5) },
            Event::OrderTurnedAway { id: ID, reason: RejectReason::HeldBack, ts_venue: Nanos(8) },
            Event::OrderTurnedAway { id: ID, reason: RejectReason::Other, ts_venue: Nanos(1) },
            Event::OrderNeverPlaced { id: ID },
            Event::CancelRefused { id: ID, reason: RejectReason::Other, ts_venue: Nanos(9) },
        ]
    }

    /// What we concluded ends an order until the venue speaks of it; then it counts as the venue says, and has risen.
    #[test]
    fn a_word_of_the_venue_overrides_what_we_concluded() {
        let turned_away = Event::OrderTurnedAway { id: ID, reason: RejectReason::HeldBack, ts_venue: Nanos(2) };
        let (absent, given_up) = (Event::OrderNeverPlaced { id: ID }, Event::OrderExpiredUnproven { id: ID });
        let accepted = Event::OrderAccepted { id: ID, ts_venue: Nanos(3) };
        let executed = Event::OrderExecuted { id: ID, cum: Lots(4), ts_venue: Nanos(3) };
        let canceled = Event::OrderCanceled { id: ID, cum: Lots(0), ts_venue: Nanos(3) };
        let acked = Event::OrderAcked { id: ID, ts_venue: Nanos(3) };
        let refused = Event::OrderRejected { id: ID, reason: RejectReason::NoMarket, ts_venue: Nanos(3) };
        #[rustfmt::skip]
        let table: &[(&str, &[Event], Life, i64, bool)] = &[
            ("turned away",                         &[turned_away],              Life::Rejected,         0, false),
            ("proven absent",                       &[absent],                   Life::NeverPlaced,      0, false),
            ("given up",                            &[given_up],                 Life::ExpiredUnproven,  0, false),
            ("given up, then proven absent",        &[given_up, absent],         Life::NeverPlaced,      0, false),
            ("a late answer proves no order",       &[absent, acked],            Life::NeverPlaced,      0, false),
            ("turned away, and it rests",           &[turned_away, accepted],    Life::Live,            10, true),
            ("proven absent, and it trades",        &[absent, executed],         Life::Partial,         10, true),
            ("proven absent, and a fill comes",     &[absent, filled(4, 5)],     Life::Partial,          6, true),
            ("given up, and it was canceled",       &[given_up, canceled],       Life::Canceled,         0, true),
            ("turned away, and so says the order",  &[turned_away, refused],     Life::Rejected,         0, false),
            ("it rests, and a proof comes late",    &[accepted, absent],         Life::Live,            10, true),
            ("it rested, and is given up",          &[accepted, given_up],       Life::ExpiredUnproven,  0, false),
            ("given up, and it rests after all",    &[accepted, given_up, accepted], Life::Live,        10, true),
            ("given up, and it traded more",        &[filled(2, 3), given_up, filled(4, 5)], Life::Partial, 4, true),
        ];
        for (what, events, life, exposure, risen) in table {
            let mut order = order(10);
            for event in *events {
                order.observe(event);
                order.check_invariants();
            }
            assert_eq!((order.life, order.exposure(), order.has_risen()), (*life, Lots(*exposure), *risen), "{what}");
        }
    }

    fn adopted_order(qty: i64) -> Order {
        let adoption = Adoption { request: order(qty).request, cum: Lots(3), booked: Lots(1), owner: Owner::Foreign };
        Order::adopted(ID, &adoption, Nanos(0))
    }

    /// Once asked, so that the venue may have done it.
    fn amended_twice(qty: i64) -> Order {
        let mut order = order(qty);
        order.ask(Op::Amend { price: Ticks(101), qty: Lots(15) });
        order.ask(Op::Amend { price: Ticks(101), qty: Lots(12) });
        order
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        /// Any order of the same facts, each any number of times, ends in one state, bit for bit. Executions are told
        /// once: the ledger drops repeats before they get here.
        #[test]
        fn any_permutation_and_duplication_ends_in_one_state(
            picked in prop::collection::vec(0..14usize, 1..9),
            adopted in any::<bool>(),
            executions in prop::collection::vec((1i64..4, 1i64..9), 0..4),
            repeats in prop::collection::vec(0..24usize, 0..6),
            seed in any::<u64>(),
        ) {
            let all = facts();
            let mut once: Vec<Event> = picked.iter().map(|&at| all[at]).collect();
            once.extend(executions.iter().map(|&(qty, at)| filled(qty, at)));
            let mut again = once.clone();
            again.extend(repeats.iter().filter_map(|&at| all.get(at)).filter(|fact| once.contains(fact)));
            let mut dice = seed;
            for last in (1..again.len()).rev() {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                again.swap(last, (dice >> 33) as usize % (last + 1));
            }
            let told = |facts: &[Event]| {
                let mut order = if adopted { adopted_order(10) } else { amended_twice(10) };
                for fact in facts {
                    order.observe(fact);
                    order.check_invariants();
                }
                order
            };
            prop_assert_eq!(told(&once), told(&again));
        }

        /// A venue does with an order what it likes and tells of it when it likes, in any order and more than once:
        /// what we have booked and what we count never fall short of what was executed and what still stands.
        #[test]
        fn exposure_is_never_below_what_the_venue_has(
            script in prop::collection::vec((0..8u8, 1i64..6), 1..25),
            seed in any::<u64>(),
        ) {
            let (mut order, mut facts, mut fills) = (order(10), Vec::<Event>::new(), Vec::<Event>::new());
            let mut answers = Vec::<Event>::new();
            let (mut taken, mut done, mut qty, mut executed, mut at, mut dice) = (false, false, 10, 0, 0, seed);
            let mut below = |most: usize| {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (dice >> 33) as usize % most
            };
            for (what, lots) in script {
                at += 1;
                let ts_venue = Nanos(at);
                match what {
                    0 if !done => {
                        taken = true;
                        facts.push(Event::OrderAccepted { id: ID, ts_venue });
                    }
                    1 | 2 if taken && !done => {
                        let lots = lots.min(qty - executed);
                        executed += lots;
                        fills.push(filled(lots, at));
                        facts.push(Event::OrderExecuted { id: ID, cum: Lots(executed), ts_venue });
                        done = executed == qty;
                    }
                    3 if taken && !done => {
                        done = true;
                        facts.push(Event::OrderCanceled { id: ID, cum: Lots(executed), ts_venue });
                    }
                    // Asked, and taken, refused or lost: nothing is told of a request that was lost.
                    4 if !order.life.is_terminal() => {
                        let (price, wish) = (Ticks(101), Lots(order.done().0.max(executed) + lots));
                        order.ask(Op::Amend { price, qty: wish });
                        if taken && !done && below(2) == 0 {
                            qty = wish.0;
                            facts.push(Event::OrderAmended { id: ID, price, qty: wish, ts_venue });
                        } else if below(2) == 0 {
                            answers.push(Event::AmendRefused { id: ID, reason: RejectReason::Other, ts_venue });
                        }
                    }
                    5 => facts.push(Event::OrderUnknown { id: ID }),
                    6 if !order.life.is_terminal() => {
                        order.ask(Op::Cancel);
                        answers.push(Event::CancelRefused { id: ID, reason: RejectReason::Other, ts_venue });
                    }
                    _ => facts.push(Event::OrderAcked { id: ID, ts_venue }),
                }
                for _ in 0..below(4) {
                    if !fills.is_empty() && below(2) == 0 {
                        order.observe(&fills.remove(below(fills.len())));
                    } else if !answers.is_empty() && below(3) == 0 {
                        order.observe(&answers.remove(below(answers.len()))); // each request is answered once
                    } else if !facts.is_empty() {
                        order.observe(&facts[below(facts.len())]);
                    }
                    order.check_invariants();
                    let standing = if done || !taken { 0 } else { qty - executed };
                    prop_assert!(order.booked.0 + order.exposure().0 >= executed + standing, "{order:?}");
                }
            }
        }
    }
}
