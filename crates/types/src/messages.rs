//! Facts in the past tense ([`Event`]), requests in the imperative ([`Command`]).

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use crate::{Cash, Lots, Nanos, Side, Ticks};

/// Index of an instrument in its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstrumentId(pub u16);

/// Our name for an order: unique in its run, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderId(pub u64);

/// How long an order may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tif {
    /// Good till cancelled.
    Gtc,
    /// Immediate or cancel: what does not trade on arrival is cancelled.
    Ioc,
    /// Fill or kill: all of it on arrival, or none.
    Fok,
}

/// One price level: its new quantity, in lots; zero means the level is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Level {
    /// Price in ticks, positive.
    pub tick: i32,
    /// Quantity in lots.
    pub lots: u32,
}

/// Best bid and offer, in ticks; [`NO_BID`] / [`NO_ASK`] where a side is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Touch {
    /// Highest bid.
    pub bid: i32,
    /// Lowest ask.
    pub ask: i32,
}

/// An empty bid side: below every price.
pub const NO_BID: i32 = i32::MIN;
/// An empty ask side: above every price.
pub const NO_ASK: i32 = i32::MAX;

impl Touch {
    /// Neither side.
    pub const EMPTY: Self = Self { bid: NO_BID, ask: NO_ASK };

    /// Both sides present and not crossed or locked.
    #[must_use]
    pub const fn is_two_sided(self) -> bool {
        self.bid != NO_BID && self.ask != NO_ASK && self.bid < self.ask
    }
}

/// All that a new order says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderRequest {
    /// What is traded.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Limit price.
    pub price: Ticks,
    /// Quantity, positive.
    pub qty: Lots,
    /// Life time.
    pub tif: Tif,
    /// Rest or be refused.
    pub post_only: bool,
    /// May only shrink the position.
    pub reduce_only: bool,
}

/// What we ask of a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Command {
    /// A new order.
    Place {
        /// Its name.
        id: OrderId,
        /// Its terms.
        request: OrderRequest,
    },
    /// Change a working order. Losing queue priority or not is the venue's rule.
    Amend {
        /// Which order.
        id: OrderId,
        /// New limit price.
        price: Ticks,
        /// New total quantity (filled part included).
        qty: Lots,
    },
    /// Take an order out.
    Cancel {
        /// Which order.
        id: OrderId,
    },
    /// Take every order of one instrument out.
    CancelAll {
        /// Which instrument.
        instrument: InstrumentId,
    },
}

/// Why a venue refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RejectReason {
    /// A post-only order would have taken liquidity.
    PostOnlyWouldCross,
    /// A fill-or-kill order could not be filled whole.
    NotFillable,
    /// A reduce-only order would have grown or turned the position.
    ReduceOnly,
    /// Cancel or amend of an order the venue does not have (any more).
    UnknownOrder,
    /// Price or quantity outside the instrument's rules.
    Invalid,
    /// The book is not known (no snapshot yet, or a gap): the simulated venue takes no orders.
    NoMarket,
    /// A reason without a name here, such as a balance or a rate limit; the venue's own words are in the journal.
    Other,
    /// Not the venue's word: we held it back, for our pace or the venue's earlier complaint.
    HeldBack,
}

/// What happened, as the engine hears it. Public market data reaches the engine apart, by reference into the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// The venue took our order.
    OrderAccepted {
        /// Which order.
        id: OrderId,
        /// When the venue did it.
        ts_venue: Nanos,
    },
    /// The venue refused our order.
    OrderRejected {
        /// Which order.
        id: OrderId,
        /// Why.
        reason: RejectReason,
        /// When the venue did it.
        ts_venue: Nanos,
    },
    /// The order left the book; `cum` of it had been executed.
    OrderCanceled {
        /// Which order.
        id: OrderId,
        /// Executed quantity in all.
        cum: Lots,
        /// When the venue did it.
        ts_venue: Nanos,
    },
    /// The order's terms changed.
    OrderAmended {
        /// Which order.
        id: OrderId,
        /// New price.
        price: Ticks,
        /// New total quantity.
        qty: Lots,
        /// When the venue did it.
        ts_venue: Nanos,
    },
    /// A cancel or an amend was refused, and nobody says which: the word of older journals.
    RequestRefused {
        /// Which order.
        id: OrderId,
        /// Why.
        reason: RejectReason,
        /// When the venue did it.
        ts_venue: Nanos,
    },
    /// Our execution.
    Filled {
        /// Which order.
        id: OrderId,
        /// Execution id: unique per venue account, so that a repeat books nothing.
        execution: u64,
        /// Executed price.
        price: Ticks,
        /// Executed quantity.
        qty: Lots,
        /// We were resting.
        maker: bool,
        /// Fee paid; negative is a rebate received.
        fee: Cash,
        /// Venue's touch just before the execution, for spread capture and slippage.
        touch_bid: i32,
        /// See `touch_bid`.
        touch_ask: i32,
        /// When the venue did it.
        ts_venue: Nanos,
    },
    /// Funding settled on the position.
    FundingPaid {
        /// Of which instrument.
        instrument: InstrumentId,
        /// Received (negative: paid).
        amount: Cash,
        /// When the venue did it.
        ts_venue: Nanos,
    },
    /// The venue answered the request for a new order. It says nothing about the order: it may never rest.
    OrderAcked {
        /// Which order.
        id: OrderId,
        /// When the venue did it.
        ts_venue: Nanos,
    },
    /// No answer came to what was asked about an order, in the time that one should take: our own conclusion. A new
    /// order may be live, an amend may have been taken, a cancel may have been lost.
    OrderUnknown {
        /// Which order.
        id: OrderId,
    },
    /// The venue's word on how much of an order was executed in all; the executions themselves come apart.
    OrderExecuted {
        /// Which order.
        id: OrderId,
        /// Executed quantity in all.
        cum: Lots,
        /// When the venue did it.
        ts_venue: Nanos,
    },
    /// The request for a new order was refused, or never left: no order should exist. Unlike
    /// [`Event::OrderRejected`] this says nothing of an order that the venue had.
    OrderTurnedAway {
        /// Which order.
        id: OrderId,
        /// Why.
        reason: RejectReason,
        /// When the venue refused it, or we did.
        ts_venue: Nanos,
    },
    /// It is proven that the order never reached the venue and no longer can: our own conclusion.
    OrderNeverPlaced {
        /// Which order.
        id: OrderId,
    },
    /// A person gave up an order whose fate nobody could find out.
    OrderExpiredUnproven {
        /// Which order.
        id: OrderId,
    },
    /// The position changed by something that is no order of ours: a deleveraging, a bust, a settlement, a transfer.
    PositionMoved {
        /// Of which instrument.
        instrument: InstrumentId,
        /// Execution id, counted with those of fills.
        execution: u64,
        /// Which way.
        side: Side,
        /// At which price.
        price: Ticks,
        /// How many lots.
        qty: Lots,
        /// Fee paid; negative is received.
        fee: Cash,
        /// The touch heard just before, as of a fill.
        touch_bid: i32,
        /// See `touch_bid`.
        touch_ask: i32,
        /// When the venue did it.
        ts_venue: Nanos,
    },
    /// An amend was refused: it had and will have no effect. Another one of the order may be under way.
    AmendRefused {
        /// Which order.
        id: OrderId,
        /// Why.
        reason: RejectReason,
        /// When the venue refused it, or we did.
        ts_venue: Nanos,
    },
    /// A cancel was refused. It says nothing of the order's end, nor of an amend that is under way.
    CancelRefused {
        /// Which order.
        id: OrderId,
        /// Why.
        reason: RejectReason,
        /// When the venue refused it, or we did.
        ts_venue: Nanos,
    },
}

impl Event {
    /// When the venue did it; none for what we concluded ourselves.
    #[must_use]
    pub const fn ts_venue(&self) -> Option<Nanos> {
        match *self {
            Self::OrderAccepted { ts_venue, .. }
            | Self::OrderRejected { ts_venue, .. }
            | Self::OrderCanceled { ts_venue, .. }
            | Self::OrderAmended { ts_venue, .. }
            | Self::RequestRefused { ts_venue, .. }
            | Self::Filled { ts_venue, .. }
            | Self::FundingPaid { ts_venue, .. }
            | Self::OrderAcked { ts_venue, .. }
            | Self::OrderExecuted { ts_venue, .. }
            | Self::OrderTurnedAway { ts_venue, .. }
            | Self::PositionMoved { ts_venue, .. }
            | Self::AmendRefused { ts_venue, .. }
            | Self::CancelRefused { ts_venue, .. } => Some(ts_venue),
            Self::OrderUnknown { .. } | Self::OrderNeverPlaced { .. } | Self::OrderExpiredUnproven { .. } => None,
        }
    }

    /// Which order it is about; none for what concerns the account.
    #[must_use]
    pub const fn order(&self) -> Option<OrderId> {
        match *self {
            Self::OrderAccepted { id, .. }
            | Self::OrderRejected { id, .. }
            | Self::OrderCanceled { id, .. }
            | Self::OrderAmended { id, .. }
            | Self::RequestRefused { id, .. }
            | Self::Filled { id, .. }
            | Self::OrderAcked { id, .. }
            | Self::OrderUnknown { id }
            | Self::OrderExecuted { id, .. }
            | Self::OrderTurnedAway { id, .. }
            | Self::OrderNeverPlaced { id }
            | Self::OrderExpiredUnproven { id }
            | Self::AmendRefused { id, .. }
            | Self::CancelRefused { id, .. } => Some(id),
            Self::FundingPaid { .. } | Self::PositionMoved { .. } => None,
        }
    }
}
