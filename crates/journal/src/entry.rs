//! What an entry says, and how it lies in a record's payload: fixed little-endian fields, text at the end.

use std::borrow::Cow;
use std::fmt;

use mmbot_engine::{
    Adoption, Circle, Denial, Denials, Elsewhere, FreezeLevel, Intent, Measure, Outside, Owner, Quote, Scope, Temper,
};
use mmbot_types::{
    Cash, Command, Event, InstrumentId, Lots, Nanos, OrderId, OrderRequest, RejectReason, Side, Ticks, Tif,
};
use smallvec::SmallVec;

/// The kinds of entries, by the number that a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Kind {
    /// What the run is: JSON.
    RunStart = 1,
    /// A fact about our own orders or position, in full.
    Event = 2,
    /// The strategy was asked.
    Wake = 3,
    /// What it wants.
    Intent = 4,
    /// What is asked of the venue. It leaves after this is written.
    Command = 5,
    /// What the limits refused.
    Denied = 6,
    /// Somebody above the strategy wants one order out.
    CancelAsked = 7,
    /// From here on no new orders.
    Halt = 8,
    /// Anything else that a reader of the journal should know: links, the operator, raw facts.
    Note = 9,
    /// One number for all state.
    StateHash = 10,
    /// The run ended in order: JSON.
    RunEnd = 11,
    /// What a run that takes over begins with: JSON.
    Opening = 12,
    /// An order that the venue has and nobody of this run sent.
    Adopted = 13,
    /// What the limits were told from outside.
    Outside = 14,
    /// An order that somebody above the strategy wants out.
    Ordered = 15,
    /// All state as of then, at the beginning of a segment: a reader may begin here.
    Snapshot = 16,
    /// The newest note on a topic from the segments before, said again for who begins with this one.
    Carried = 17,
}

impl Kind {
    /// All of them, by number.
    pub const ALL: [Self; 17] = [
        Self::RunStart,
        Self::Event,
        Self::Wake,
        Self::Intent,
        Self::Command,
        Self::Denied,
        Self::CancelAsked,
        Self::Halt,
        Self::Note,
        Self::StateHash,
        Self::RunEnd,
        Self::Opening,
        Self::Adopted,
        Self::Outside,
        Self::Ordered,
        Self::Snapshot,
        Self::Carried,
    ];

    pub(crate) fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Written by the driver of the engine, so that a replay must write the same.
    #[must_use]
    pub const fn is_drivers(self) -> bool {
        !matches!(self, Self::RunStart | Self::Note | Self::RunEnd | Self::Carried)
    }

    /// The name that Python and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RunStart => "run_start",
            Self::Event => "event",
            Self::Wake => "wake",
            Self::Intent => "intent",
            Self::Command => "command",
            Self::Denied => "denied",
            Self::CancelAsked => "cancel_asked",
            Self::Halt => "halt",
            Self::Note => "note",
            Self::StateHash => "state_hash",
            Self::RunEnd => "run_end",
            Self::Opening => "opening",
            Self::Adopted => "adopted",
            Self::Outside => "outside",
            Self::Ordered => "ordered",
            Self::Snapshot => "snapshot",
            Self::Carried => "carried",
        }
    }
}

/// Which wake rules held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(pub u8);

impl Reasons {
    /// The names of the bits, lowest first.
    pub const NAMES: [&'static str; 5] = ["timer", "touch", "fill", "trade", "message"];

    /// From one answer per name.
    #[must_use]
    pub fn of(held: [bool; 5]) -> Self {
        Self(held.iter().enumerate().fold(0, |bits, (at, held)| bits | u8::from(*held) << at))
    }

    /// None held: nobody is asked.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that held, by name.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().enumerate().filter(move |(at, _)| self.0 >> at & 1 == 1).map(|(_, name)| name)
    }
}

/// How much of one tape had been heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Depth messages.
    pub depth: u64,
    /// Trades.
    pub trades: u64,
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// What the run is, as JSON: configuration, strategy, instruments, tapes, hashes of code and configuration.
    RunStart(&'a str),
    /// A fact, and what the venue called it: the execution id of a fill, the reason of a refusal in its own words.
    Event {
        /// The fact.
        event: Event,
        /// The venue's text.
        words: &'a str,
    },
    /// The strategy was asked, because of what, and having heard how much of each tape.
    Wake {
        /// Rules that held.
        reasons: Reasons,
        /// Per instrument.
        heard: SmallVec<[Heard; 4]>,
    },
    /// What the strategy wants for an instrument.
    Intent {
        /// Which.
        instrument: InstrumentId,
        /// What.
        intent: Cow<'a, Intent>,
    },
    /// What is asked of the venue.
    Command(Command),
    /// What the limits refused.
    Denied {
        /// Every reason.
        denials: Denials,
        /// What.
        command: Command,
    },
    /// One order shall leave, whatever the strategy wants.
    CancelAsked(OrderId),
    /// No new orders from here on, and every open one shall leave.
    Halt,
    /// Something to know, in JSON.
    Note {
        /// What it is about.
        topic: &'a str,
        /// What it says.
        text: &'a str,
    },
    /// One number for all state, and one for all commands so far.
    StateHash {
        /// Of the engine.
        state: u64,
        /// Of its commands.
        commands: u64,
    },
    /// How the run ended, in JSON.
    RunEnd(&'a str),
    /// Orders, books and executions of the run before, in JSON.
    Opening(&'a str),
    /// An order that the venue has and nobody of this run sent.
    Adopted {
        /// The number that it was given.
        id: OrderId,
        /// Its terms, what was executed, and whose it is.
        adoption: Adoption,
        /// Its client id at the venue, empty if it has none.
        client_id: &'a str,
        /// The venue's own id.
        venue_id: &'a str,
    },
    /// What the limits were told from outside.
    Outside(Outside),
    /// An order that somebody above the strategy wants out.
    Ordered(OrderRequest),
    /// All state as of then.
    Snapshot {
        /// Nothing more is placed.
        halted: bool,
        /// Orders, books and executions, in JSON.
        text: &'a str,
    },
    /// A note from before the segment.
    Carried {
        /// When it was said.
        at: Nanos,
        /// What it is about.
        topic: &'a str,
        /// What it says.
        text: &'a str,
    },
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunStart(_) => write!(f, "the start of the run"),
            Self::Event { event, words: "" } => write!(f, "{event:?}"),
            Self::Event { event, words } => write!(f, "{event:?} ({words})"),
            Self::Wake { reasons, heard } => {
                write!(f, "a wake ({})", reasons.names().collect::<Vec<_>>().join(", "))?;
                heard.iter().enumerate().try_for_each(|(index, Heard { depth, trades })| {
                    write!(f, ", instrument {index}: {depth} depth messages and {trades} trades heard")
                })
            }
            Self::Intent { instrument, intent } => {
                write!(f, "the intent for instrument {}", instrument.0)?;
                intent
                    .quotes
                    .iter()
                    .try_for_each(|quote| write!(f, " {:?} {} at {}", quote.side, quote.qty, quote.price))?;
                intent.immediate.iter().try_for_each(|request| write!(f, " now {request:?}"))
            }
            Self::Command(command) => write!(f, "{command:?}"),
            Self::Denied { denials, command } => write!(f, "{command:?} denied ({denials})"),
            Self::CancelAsked(id) => write!(f, "order {} asked to leave", id.0),
            Self::Halt => write!(f, "a halt"),
            Self::Note { topic, text } => write!(f, "a note on {topic}: {text}"),
            Self::StateHash { state, commands } => write!(f, "state {state:016x}, commands {commands:016x}"),
            Self::RunEnd(_) => write!(f, "the end of the run"),
            Self::Opening(_) => write!(f, "what an earlier run left"),
            Self::Adopted { id, adoption, client_id, venue_id } => {
                write!(f, "order {} adopted ({client_id} {venue_id}): {adoption:?}", id.0)
            }
            Self::Outside(told) => write!(f, "{told:?}"),
            Self::Ordered(request) => write!(f, "an order from above: {request:?}"),
            Self::Snapshot { halted, text } => {
                let crc = crc32c::crc32c(text.as_bytes());
                write!(f, "a snapshot of {} bytes, crc32c {crc:08x}, halted: {halted}", text.len())
            }
            Self::Carried { at, topic, text } => write!(f, "the note of {at} ns on {topic}: {text}"),
        }
    }
}

impl<'a> Entry<'a> {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::RunStart(_) => Kind::RunStart,
            Self::Event { .. } => Kind::Event,
            Self::Wake { .. } => Kind::Wake,
            Self::Intent { .. } => Kind::Intent,
            Self::Command(_) => Kind::Command,
            Self::Denied { .. } => Kind::Denied,
            Self::CancelAsked(_) => Kind::CancelAsked,
            Self::Halt => Kind::Halt,
            Self::Note { .. } => Kind::Note,
            Self::StateHash { .. } => Kind::StateHash,
            Self::RunEnd(_) => Kind::RunEnd,
            Self::Opening(_) => Kind::Opening,
            Self::Adopted { .. } => Kind::Adopted,
            Self::Outside(_) => Kind::Outside,
            Self::Ordered(_) => Kind::Ordered,
            Self::Snapshot { .. } => Kind::Snapshot,
            Self::Carried { .. } => Kind::Carried,
        }
    }

    /// Appends the payload to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::RunStart(text) | Self::RunEnd(text) | Self::Opening(text) => text.put(out),
            Self::Event { event, words } => {
                event.put(out);
                words.put(out);
            }
            Self::Wake { reasons, heard } => {
                reasons.0.put(out);
                heard.iter().for_each(|Heard { depth, trades }| {
                    depth.put(out);
                    trades.put(out);
                });
            }
            Self::Intent { instrument, intent } => {
                instrument.0.put(out);
                (intent.quotes.len() as u32).put(out);
                for Quote { side, price, qty } in &intent.quotes {
                    (*side, price.0, qty.0).put(out);
                }
                intent.immediate.iter().for_each(|request| request.put(out));
            }
            Self::Command(command) => command.put(out),
            Self::Denied { denials, command } => {
                ALL_REASONS.put(out);
                denials.bits().put(out);
                command.put(out);
            }
            Self::CancelAsked(id) => id.0.put(out),
            Self::Halt => {}
            Self::Note { topic, text } => {
                (topic.len() as u32).put(out);
                topic.put(out);
                text.put(out);
            }
            Self::StateHash { state, commands } => {
                state.put(out);
                commands.put(out);
            }
            Self::Adopted { id, adoption, client_id, venue_id } => {
                let Adoption { request, cum, booked, owner } = adoption;
                id.0.put(out);
                request.put(out);
                cum.0.put(out);
                booked.0.put(out);
                u8::from(*owner == Owner::Foreign).put(out);
                (client_id.len() as u32).put(out);
                client_id.put(out);
                venue_id.put(out);
            }
            Self::Outside(told) => told.put(out),
            Self::Ordered(request) => request.put(out),
            Self::Snapshot { halted, text } => {
                u8::from(*halted).put(out);
                text.put(out);
            }
            Self::Carried { at, topic, text } => {
                at.0.put(out);
                (topic.len() as u32).put(out);
                topic.put(out);
                text.put(out);
            }
        }
    }

    /// What a payload of that kind says; none if it is not laid out as such.
    pub(crate) fn decode(kind: u16, payload: &'a [u8]) -> Option<Self> {
        let mut rest = Payload(payload);
        let entry = match Kind::from_number(kind)? {
            Kind::RunStart => Self::RunStart(rest.text()?),
            Kind::RunEnd => Self::RunEnd(rest.text()?),
            Kind::Event => Self::Event { event: rest.event()?, words: rest.text()? },
            Kind::Wake => {
                let (reasons, mut heard) = (Reasons(rest.byte()?), SmallVec::new());
                while !rest.0.is_empty() {
                    heard.push(Heard { depth: rest.u64()?, trades: rest.u64()? });
                }
                Self::Wake { reasons, heard }
            }
            Kind::Intent => {
                let (instrument, mut intent) = (InstrumentId(rest.u16()?), Intent::default());
                for _ in 0..rest.u32()? {
                    let (side, price, qty) = (rest.side()?, Ticks(rest.i64()?), Lots(rest.i64()?));
                    intent.quotes.push(Quote { side, price, qty });
                }
                while !rest.0.is_empty() {
                    intent.immediate.push(rest.request()?);
                }
                Self::Intent { instrument, intent: Cow::Owned(intent) }
            }
            Kind::Command => Self::Command(rest.command()?),
            Kind::Denied => {
                let denials = match rest.byte()? {
                    ALL_REASONS => Denials::from_bits(rest.u64()?)?,
                    first => Denials::of(*Denial::ALL.get(usize::from(first))?),
                };
                Self::Denied { denials, command: rest.command()? }
            }
            Kind::CancelAsked => Self::CancelAsked(OrderId(rest.u64()?)),
            Kind::Halt => Self::Halt,
            Kind::Note => {
                let topic = rest.u32()? as usize;
                Self::Note { topic: std::str::from_utf8(rest.take(topic)?).ok()?, text: rest.text()? }
            }
            Kind::StateHash => Self::StateHash { state: rest.u64()?, commands: rest.u64()? },
            Kind::Opening => Self::Opening(rest.text()?),
            Kind::Adopted => {
                let (id, request) = (OrderId(rest.u64()?), rest.request()?);
                let (cum, booked) = (Lots(rest.i64()?), Lots(rest.i64()?));
                let owner = if rest.flag()? { Owner::Foreign } else { Owner::Orphan };
                let adoption = Adoption { request, cum, booked, owner };
                let client = rest.u32()? as usize;
                let client_id = std::str::from_utf8(rest.take(client)?).ok()?;
                Self::Adopted { id, adoption, client_id, venue_id: rest.text()? }
            }
            Kind::Outside => Self::Outside(rest.outside()?),
            Kind::Ordered => Self::Ordered(rest.request()?),
            Kind::Snapshot => Self::Snapshot { halted: rest.flag()?, text: rest.text()? },
            Kind::Carried => {
                let (at, topic) = (Nanos(rest.i64()?), rest.u32()? as usize);
                let topic = std::str::from_utf8(rest.take(topic)?).ok()?;
                Self::Carried { at, topic, text: rest.text()? }
            }
        };
        rest.0.is_empty().then_some(entry)
    }
}

trait Put {
    fn put(&self, out: &mut Vec<u8>);
}

macro_rules! put_whole {
    ($($whole:ty),+) => {
        $(impl Put for $whole {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        })+
    };
}

put_whole!(u8, u16, u32, u64, i64, i128);

impl Put for &str {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Put for (Side, i64, i64) {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(self.0 == Side::Sell).put(out);
        self.1.put(out);
        self.2.put(out);
    }
}

impl Put for OrderRequest {
    fn put(&self, out: &mut Vec<u8>) {
        self.instrument.0.put(out);
        (self.side, self.price.0, self.qty.0).put(out);
        let tif = match self.tif {
            Tif::Gtc => 0u8,
            Tif::Ioc => 1,
            Tif::Fok => 2,
        };
        (tif | u8::from(self.post_only) << 2 | u8::from(self.reduce_only) << 3).put(out);
    }
}

impl Put for Command {
    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Place { id, request } => {
                0u8.put(out);
                id.0.put(out);
                request.put(out);
            }
            Self::Amend { id, price, qty } => {
                1u8.put(out);
                id.0.put(out);
                price.0.put(out);
                qty.0.put(out);
            }
            Self::Cancel { id } => {
                2u8.put(out);
                id.0.put(out);
            }
            Self::CancelAll { instrument } => {
                3u8.put(out);
                instrument.0.put(out);
            }
        }
    }
}

/// Marks a denial with every reason; a journal of before has the number of the first reason in its place.
const ALL_REASONS: u8 = u8::MAX;

const REASONS: [RejectReason; 8] = [
    RejectReason::PostOnlyWouldCross,
    RejectReason::NotFillable,
    RejectReason::ReduceOnly,
    RejectReason::UnknownOrder,
    RejectReason::Invalid,
    RejectReason::NoMarket,
    RejectReason::Other,
    RejectReason::HeldBack,
];

impl Put for RejectReason {
    fn put(&self, out: &mut Vec<u8>) {
        let number = REASONS.iter().position(|reason| reason == self).unwrap_or(REASONS.len() - 1);
        (number as u8).put(out);
    }
}

impl Put for Outside {
    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Restrict { scope, level } => {
                let (kind, instrument) = match scope {
                    Scope::Symbol(instrument) => (0u8, instrument),
                    Scope::Strategy => (1, InstrumentId(0)),
                    Scope::Account => (2, InstrumentId(0)),
                    Scope::Firm => (3, InstrumentId(0)),
                };
                0u8.put(out);
                kind.put(out);
                instrument.0.put(out);
                (level as u8).put(out);
            }
            Self::Reference { instrument, price, at } => {
                1u8.put(out);
                instrument.0.put(out);
                price.map_or(0, |price| price.0).put(out); // no price is zero
                at.0.put(out);
            }
            Self::Elsewhere { circle, held } => {
                2u8.put(out);
                (circle as u8).put(out);
                u8::from(held.is_some()).put(out);
                if let Some(Elsewhere { gross, net, at }) = held {
                    gross.0.put(out);
                    net.0.put(out);
                    at.0.put(out);
                }
            }
            Self::Share(ppm) => {
                3u8.put(out);
                ppm.put(out);
            }
            Self::Measured { what, at } => {
                let (kind, instrument) = match what {
                    Measure::Margin => (0u8, InstrumentId(0)),
                    Measure::Entry(instrument) => (1, instrument),
                };
                5u8.put(out);
                kind.put(out);
                instrument.0.put(out);
                u8::from(at.is_some()).put(out);
                at.map_or(0, |at| at.0).put(out);
            }
            Self::Temper { instrument, temper: Temper { size_ppm, back_ppm, least } } => {
                4u8.put(out);
                instrument.0.put(out);
                size_ppm.put(out);
                back_ppm.put(out);
                least.0.put(out);
            }
        }
    }
}

impl Put for Event {
    fn put(&self, out: &mut Vec<u8>) {
        let mut put = |tag: u8, id: OrderId, ts_venue: Nanos| {
            tag.put(out);
            id.0.put(out);
            ts_venue.0.put(out);
        };
        match *self {
            Self::OrderAccepted { id, ts_venue } => put(0, id, ts_venue),
            Self::OrderRejected { id, reason, ts_venue } => {
                put(1, id, ts_venue);
                reason.put(out);
            }
            Self::OrderCanceled { id, cum, ts_venue } => {
                put(2, id, ts_venue);
                cum.0.put(out);
            }
            Self::OrderAmended { id, price, qty, ts_venue } => {
                put(3, id, ts_venue);
                price.0.put(out);
                qty.0.put(out);
            }
            Self::RequestRefused { id, reason, ts_venue } => {
                put(4, id, ts_venue);
                reason.put(out);
            }
            Self::Filled { id, execution, price, qty, maker, fee, touch_bid, touch_ask, ts_venue } => {
                put(5, id, ts_venue);
                execution.put(out);
                price.0.put(out);
                qty.0.put(out);
                u8::from(maker).put(out);
                fee.0.put(out);
                i64::from(touch_bid).put(out);
                i64::from(touch_ask).put(out);
            }
            Self::FundingPaid { instrument, amount, ts_venue } => {
                put(6, OrderId(u64::from(instrument.0)), ts_venue);
                amount.0.put(out);
            }
            Self::OrderAcked { id, ts_venue } => put(7, id, ts_venue),
            Self::OrderUnknown { id } => put(8, id, Nanos::ZERO),
            Self::OrderExecuted { id, cum, ts_venue } => {
                put(9, id, ts_venue);
                cum.0.put(out);
            }
            Self::OrderTurnedAway { id, reason, ts_venue } => {
                put(10, id, ts_venue);
                reason.put(out);
            }
            Self::OrderNeverPlaced { id } => put(11, id, Nanos::ZERO),
            Self::OrderExpiredUnproven { id } => put(12, id, Nanos::ZERO),
            Self::PositionMoved { instrument, execution, side, price, qty, fee, touch_bid, touch_ask, ts_venue } => {
                put(13, OrderId(u64::from(instrument.0)), ts_venue);
                execution.put(out);
                (side, price.0, qty.0).put(out);
                fee.0.put(out);
                i64::from(touch_bid).put(out);
                i64::from(touch_ask).put(out);
            }
            Self::AmendRefused { id, reason, ts_venue } => {
                put(14, id, ts_venue);
                reason.put(out);
            }
            Self::CancelRefused { id, reason, ts_venue } => {
                put(15, id, ts_venue);
                reason.put(out);
            }
        }
    }
}

/// What is left of a payload.
struct Payload<'a>(&'a [u8]);

impl<'a> Payload<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn cash(&mut self) -> Option<Cash> {
        self.array().map(i128::from_le_bytes).map(Cash)
    }

    fn text(&mut self) -> Option<&'a str> {
        let all = self.0.len();
        std::str::from_utf8(self.take(all)?).ok()
    }

    fn side(&mut self) -> Option<Side> {
        Some(if self.flag()? { Side::Sell } else { Side::Buy })
    }

    fn reason(&mut self) -> Option<RejectReason> {
        REASONS.get(usize::from(self.byte()?)).copied()
    }

    fn request(&mut self) -> Option<OrderRequest> {
        let (instrument, side) = (InstrumentId(self.u16()?), self.side()?);
        let (price, qty, bits) = (Ticks(self.i64()?), Lots(self.i64()?), self.byte()?);
        let tif = *[Tif::Gtc, Tif::Ioc, Tif::Fok].get(usize::from(bits & 3))?;
        let (post_only, reduce_only) = (bits & 4 != 0, bits & 8 != 0);
        (bits < 16).then_some(OrderRequest { instrument, side, price, qty, tif, post_only, reduce_only })
    }

    fn command(&mut self) -> Option<Command> {
        Some(match self.byte()? {
            0 => Command::Place { id: OrderId(self.u64()?), request: self.request()? },
            1 => Command::Amend { id: OrderId(self.u64()?), price: Ticks(self.i64()?), qty: Lots(self.i64()?) },
            2 => Command::Cancel { id: OrderId(self.u64()?) },
            3 => Command::CancelAll { instrument: InstrumentId(self.u16()?) },
            _ => return None,
        })
    }

    fn outside(&mut self) -> Option<Outside> {
        Some(match self.byte()? {
            0 => {
                let (kind, instrument) = (self.byte()?, InstrumentId(self.u16()?));
                let scope = [Scope::Symbol(instrument), Scope::Strategy, Scope::Account, Scope::Firm];
                let scope = *scope.get(usize::from(kind))?;
                Outside::Restrict { scope, level: *FreezeLevel::ALL.get(usize::from(self.byte()?))? }
            }
            1 => {
                let (instrument, price) = (InstrumentId(self.u16()?), Ticks(self.i64()?));
                Outside::Reference { instrument, price: (price.0 != 0).then_some(price), at: Nanos(self.i64()?) }
            }
            2 => {
                let circle = *[Circle::Account, Circle::Firm].get(usize::from(self.byte()?))?;
                let held = if self.flag()? {
                    Some(Elsewhere { gross: self.cash()?, net: self.cash()?, at: Nanos(self.i64()?) })
                } else {
                    None
                };
                Outside::Elsewhere { circle, held }
            }
            3 => Outside::Share(self.u32()?),
            4 => {
                let instrument = InstrumentId(self.u16()?);
                let temper = Temper { size_ppm: self.u32()?, back_ppm: self.u32()?, least: Lots(self.i64()?) };
                Outside::Temper { instrument, temper }
            }
            5 => {
                let (kind, instrument) = (self.byte()?, InstrumentId(self.u16()?));
                let what = *[Measure::Margin, Measure::Entry(instrument)].get(usize::from(kind))?;
                let (known, at) = (self.flag()?, Nanos(self.i64()?));
                Outside::Measured { what, at: known.then_some(at) }
            }
            _ => return None,
        })
    }

    fn event(&mut self) -> Option<Event> {
        let (tag, id, ts_venue) = (self.byte()?, OrderId(self.u64()?), Nanos(self.i64()?));
        Some(match tag {
            0 => Event::OrderAccepted { id, ts_venue },
            1 => Event::OrderRejected { id, reason: self.reason()?, ts_venue },
            2 => Event::OrderCanceled { id, cum: Lots(self.i64()?), ts_venue },
            3 => Event::OrderAmended { id, price: Ticks(self.i64()?), qty: Lots(self.i64()?), ts_venue },
            4 => Event::RequestRefused { id, reason: self.reason()?, ts_venue },
            5 => Event::Filled {
                id,
                execution: self.u64()?,
                price: Ticks(self.i64()?),
                qty: Lots(self.i64()?),
                maker: self.flag()?,
                fee: self.cash()?,
                touch_bid: self.i64()?.try_into().ok()?,
                touch_ask: self.i64()?.try_into().ok()?,
                ts_venue,
            },
            6 => Event::FundingPaid { instrument: InstrumentId(id.0.try_into().ok()?), amount: self.cash()?, ts_venue },
            7 => Event::OrderAcked { id, ts_venue },
            8 => Event::OrderUnknown { id },
            9 => Event::OrderExecuted { id, cum: Lots(self.i64()?), ts_venue },
            10 => Event::OrderTurnedAway { id, reason: self.reason()?, ts_venue },
            11 => Event::OrderNeverPlaced { id },
            12 => Event::OrderExpiredUnproven { id },
            13 => Event::PositionMoved {
                instrument: InstrumentId(id.0.try_into().ok()?),
                execution: self.u64()?,
                side: self.side()?,
                price: Ticks(self.i64()?),
                qty: Lots(self.i64()?),
                fee: self.cash()?,
                touch_bid: self.i64()?.try_into().ok()?,
                touch_ask: self.i64()?.try_into().ok()?,
                ts_venue,
            },
            14 => Event::AmendRefused { id, reason: self.reason()?, ts_venue },
            15 => Event::CancelRefused { id, reason: self.reason()?, ts_venue },
            _ => return None,
        })
    }
}
