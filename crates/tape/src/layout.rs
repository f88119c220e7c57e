//! Records of the open tape: what the replay reads in place.
//!
//! ```text
//! depth    40 B  one book message: both clocks, its span of levels, the touch after it
//! levels    8 B  bids ascending, then asks ascending; strictly ascending, so each price once per message and side
//! trades   32 B  one public execution: both clocks, and its place among the depth messages in either order
//! funding  32 B  one funding settlement
//! orders   32 B  what happened to one public order; only on tapes by order
//! ```
//! Depth messages keep one order in both clocks (a venue numbers its updates, so both clocks are made monotone along
//! it); trades likewise. Their interleaving differs between the clocks and is stored as ranks, so replay compares no
//! times of equal value.
//!
//! On a tape by order each order message belongs to the depth message that tells what it did to its level: a delta of
//! that one level, or the snapshot that names the order as already resting. Who reads only depth and trades reads a
//! tape by order like any other.

use bytemuck::{Pod, Zeroable};
use mmbot_types::{Level, Side, Touch};

/// What a depth message does to the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageKind {
    /// Sets the listed levels; zero lots deletes.
    Delta = 0,
    /// Replaces the whole book by the listed levels.
    Snapshot = 1,
    /// Updates were lost here: the book is unknown until the next snapshot.
    Gap = 2,
}

impl MessageKind {
    /// Whether the book is known after such a message: a snapshot makes it so, a gap ends it, updates change nothing.
    #[must_use]
    pub const fn leaves_known(self, known: bool) -> bool {
        match self {
            Self::Delta => known,
            Self::Snapshot => true,
            Self::Gap => false,
        }
    }
}

/// One book message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct DepthMessage {
    /// When we heard it, ns since epoch, after the import's clock shift; not before `ts_venue`.
    pub ts_recv: i64,
    /// When the venue's matching engine did it, ns since epoch.
    pub ts_venue: i64,
    /// Bits 0–55: index of the first level. Bits 56–63: [`MessageKind`].
    pub span: u64,
    /// Number of bid levels.
    pub n_bid: u32,
    /// Number of ask levels.
    pub n_ask: u32,
    /// Best bid after this message; [`mmbot_types::NO_BID`] if none, or if the book is crossed or unknown.
    pub bid: i32,
    /// Best ask after this message; [`mmbot_types::NO_ASK`] likewise.
    pub ask: i32,
}

impl DepthMessage {
    const FIRST: u64 = (1 << 56) - 1;

    /// Packs a level index and a kind.
    #[must_use]
    pub const fn pack(first: u64, kind: MessageKind) -> u64 {
        (first & Self::FIRST) | ((kind as u64) << 56)
    }

    /// Index of its first level.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.span & Self::FIRST
    }

    /// What it does. An unknown kind reads as a gap: no book is better than a wrong one.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self.span >> 56 {
            0 => MessageKind::Delta,
            1 => MessageKind::Snapshot,
            _ => MessageKind::Gap,
        }
    }

    /// Touch after it.
    #[must_use]
    pub const fn touch(&self) -> Touch {
        Touch { bid: self.bid, ask: self.ask }
    }
}

/// One public execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct TradeMessage {
    /// When we heard it.
    pub ts_recv: i64,
    /// When it happened.
    pub ts_venue: i64,
    /// Price in ticks.
    pub tick: i32,
    /// Quantity in lots.
    pub lots: u32,
    /// How many depth messages come before it in receive order.
    pub depth_before_recv: u32,
    /// Bits 0–30: how many depth messages come before it in venue order. Bit 31: the aggressor sold.
    pub depth_before_venue: u32,
}

impl TradeMessage {
    const SOLD: u32 = 1 << 31;

    /// Packs a venue rank and the aggressor's side.
    #[must_use]
    pub const fn pack(depth_before_venue: u32, aggressor: Side) -> u32 {
        match aggressor {
            Side::Buy => depth_before_venue & !Self::SOLD,
            Side::Sell => depth_before_venue | Self::SOLD,
        }
    }

    /// Depth messages before it in venue order.
    #[must_use]
    pub const fn venue_rank(&self) -> u32 {
        self.depth_before_venue & !Self::SOLD
    }

    /// Who crossed the spread.
    #[must_use]
    pub const fn aggressor(&self) -> Side {
        if self.depth_before_venue & Self::SOLD == 0 { Side::Buy } else { Side::Sell }
    }
}

/// One funding settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct FundingRecord {
    /// When we heard it.
    pub ts_recv: i64,
    /// When it settled.
    pub ts_venue: i64,
    /// Rate in 10^-8; positive: longs pay.
    pub rate: i64,
    /// Mark price in ticks.
    pub mark: i64,
}

/// What happened to a public order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum OrderKind {
    /// It came to rest at the back of its price.
    Add = 0,
    /// Its owner took lots out; what is left keeps its place in line.
    Reduce = 1,
    /// Its owner took it out whole.
    Remove = 2,
    /// Lots of it were executed; the same lots are a trade of this tape.
    Execute = 3,
}

/// What happened to one public order, and since when it had its place in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct OrderMessage {
    /// The venue's name for it, unique among the orders that rest.
    pub id: u64,
    /// Index of the depth message that tells what this did to the level; its clocks are those of this message too.
    pub depth: u32,
    /// Index of the depth message with which it took its place in line. Who joined its price when fewer or as many
    /// depth messages had happened stands in front of it, who joined later behind.
    pub since: u32,
    /// Price in ticks.
    pub tick: i32,
    /// Lots that came, were taken out or executed.
    pub lots: u32,
    /// [`OrderKind`] as a number.
    pub kind: u32,
    /// Zero rests as a bid, one as an ask.
    pub side: u32,
}

impl OrderMessage {
    /// A message about order `id` at a level.
    #[must_use]
    pub const fn new(kind: OrderKind, id: u64, side: Side, level: Level, depth: u32, since: u32) -> Self {
        let Level { tick, lots } = level;
        let side = matches!(side, Side::Sell) as u32;
        Self { id, depth, since, tick, lots, kind: kind as u32, side }
    }

    /// What happened. An unknown kind reads as an execution, which moves nobody who is not traded with.
    #[must_use]
    pub const fn kind(&self) -> OrderKind {
        match self.kind {
            0 => OrderKind::Add,
            1 => OrderKind::Reduce,
            2 => OrderKind::Remove,
            _ => OrderKind::Execute,
        }
    }

    /// On which side it rests.
    #[must_use]
    pub const fn side(&self) -> Side {
        if self.side == 0 { Side::Buy } else { Side::Sell }
    }

    /// Which promise of the layout this message breaks by itself, if any.
    pub(crate) const fn broken(&self) -> Option<&'static str> {
        if self.kind > OrderKind::Execute as u32 || self.side > 1 {
            return Some("its kind or side is unknown");
        }
        if self.tick <= 0 || self.lots == 0 {
            return Some("its price or quantity is not positive");
        }
        if self.since > self.depth || (self.kind == OrderKind::Add as u32 && self.since != self.depth) {
            return Some("it took its place in line after it is told of");
        }
        None
    }
}

const _: () = assert!(size_of::<Level>() == 8 && size_of::<DepthMessage>() == 40);
const _: () = assert!(size_of::<TradeMessage>() == 32 && size_of::<FundingRecord>() == 32);
const _: () = assert!(size_of::<OrderMessage>() == 32);
