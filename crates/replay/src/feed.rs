//! The recorded market as we hear it: depth messages and trades of one tape, in receive order.

use std::sync::Arc;

use mmbot_engine::{Heard, Seen};
use mmbot_signals::TradeSeen;
use mmbot_sim::{LatencyModel, Records};
use mmbot_tape::{DepthMessage, MessageKind, Section, Tape, TradeMessage};
use mmbot_types::{Nanos, Side, Touch};

use crate::ReplayError;

/// When public news is heard.
#[derive(Clone, Debug)]
pub enum FeedLatency {
    /// As recorded, and this much later.
    Recorded(Nanos),
    /// By a law, from venue time; a message never overtakes an earlier one of its stream.
    Modelled(LatencyModel),
}

impl FeedLatency {
    /// `n` counts the messages of one stream; `after` is when its last one was heard.
    fn heard_at(&self, ts_recv: i64, ts_venue: i64, n: u64, after: i64) -> i64 {
        match self {
            Self::Recorded(extra) => ts_recv + extra.0,
            Self::Modelled(model) => (ts_venue + model.latency(Nanos(ts_venue), n).0).max(after),
        }
    }
}

/// What was last traded, as heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Price of the last trade in ticks; zero before the first.
    pub last_tick: i32,
    /// Lots bought by aggressors so far.
    pub bought: u64,
    /// Lots sold by aggressors so far.
    pub sold: u64,
}

/// A position in one tape.
pub struct Feed {
    tape: Arc<Tape>,
    latency: FeedLatency,
    depth: usize,
    trades: usize,
    depth_heard: i64,
    trade_heard: i64,
    tally: Tally,
    good_depth: usize,
    good_trades: usize,
    /// Everything that happened at the venue up to here has been checked against its checksums.
    good_until: i64,
}

/// Records checked at a time, ahead of both cursors.
const CHECKED_AT_ONCE: usize = 32_768;

impl Feed {
    /// The start of a tape.
    #[must_use]
    pub fn new(tape: Arc<Tape>, latency: FeedLatency) -> Self {
        // A tape that is being written needs no check: it is our own.
        let good_until = if tape.is_growing() { i64::MAX } else { i64::MIN };
        Self {
            tape,
            latency,
            depth: 0,
            trades: 0,
            depth_heard: i64::MIN,
            trade_heard: i64::MIN,
            tally: Tally::default(),
            good_depth: 0,
            good_trades: 0,
            good_until,
        }
    }

    /// Checks the tape's contents up to venue time `until`, before anything of it is read. Free when it has been done.
    ///
    /// # Errors
    /// [`ReplayError::Tape`] for damage.
    #[inline]
    pub fn verify_until(&mut self, until: Nanos) -> Result<(), ReplayError> {
        if self.good_until >= until.0 { Ok(()) } else { self.verify_chunks(until) }
    }

    #[cold]
    fn verify_chunks(&mut self, until: Nanos) -> Result<(), ReplayError> {
        let tape = Arc::clone(&self.tape);
        let (depth, trades) = (tape.depth(), tape.trades());
        // What lies beyond the checked part is not before the last checked record.
        let bound = |good: usize, len: usize, last: &dyn Fn() -> i64| if good == len { i64::MAX } else { last() - 1 };
        loop {
            let depth_good = self.good_depth.checked_sub(1);
            let until_depth =
                bound(self.good_depth, depth.len(), &|| depth_good.map_or(i64::MIN + 1, |i| depth[i].ts_venue));
            let trades_good = self.good_trades.checked_sub(1);
            let until_trade =
                bound(self.good_trades, trades.len(), &|| trades_good.map_or(i64::MIN + 1, |i| trades[i].ts_venue));
            self.good_until = until_depth.min(until_trade);
            if self.good_until >= until.0 {
                return Ok(());
            }
            if until_depth <= until_trade {
                self.good_depth = (self.good_depth + CHECKED_AT_ONCE).min(depth.len());
                tape.verify_upto(Section::Depth, self.good_depth)?;
                let last = &depth[self.good_depth - 1];
                tape.verify_upto(Section::Levels, last.first() as usize + (last.n_bid + last.n_ask) as usize)?;
            } else {
                self.good_trades = (self.good_trades + CHECKED_AT_ONCE).min(trades.len());
                tape.verify_upto(Section::Trades, self.good_trades)?;
            }
        }
    }

    /// Checks the contents that are heard by `until` on the recorded clock, before they are read. For a tape that may
    /// still grow: what comes later is checked when it is there.
    ///
    /// # Errors
    /// [`ReplayError::Tape`] for damage.
    #[inline]
    pub fn verify_heard(&mut self, until: Nanos) -> Result<(), ReplayError> {
        let (depth, trades) = (self.tape.depth(), self.tape.trades());
        let due = |good: usize, len: usize, last: &dyn Fn(usize) -> i64| {
            good < len && (good == 0 || last(good - 1) <= until.0)
        };
        while due(self.good_depth, depth.len(), &|i| depth[i].ts_recv) {
            self.good_depth = (self.good_depth + CHECKED_AT_ONCE).min(depth.len());
            self.tape.verify_upto(Section::Depth, self.good_depth)?;
            let last = &depth[self.good_depth - 1];
            self.tape.verify_upto(Section::Levels, last.first() as usize + (last.n_bid + last.n_ask) as usize)?;
        }
        while due(self.good_trades, trades.len(), &|i| trades[i].ts_recv) {
            self.good_trades = (self.good_trades + CHECKED_AT_ONCE).min(trades.len());
            self.tape.verify_upto(Section::Trades, self.good_trades)?;
        }
        Ok(())
    }

    /// The touch just before venue time `ts_venue`, by the messages heard so far.
    #[must_use]
    pub fn touch_heard_before(&self, ts_venue: Nanos) -> Touch {
        let heard = &self.tape.depth()[..self.depth];
        self.tape.touch_before(heard.partition_point(|message| message.ts_venue < ts_venue.0))
    }

    /// The tape.
    #[must_use]
    pub fn tape(&self) -> &Arc<Tape> {
        &self.tape
    }

    /// Depth messages heard.
    #[must_use]
    pub fn cursor(&self) -> usize {
        self.depth
    }

    /// How much of the tape we have heard.
    #[must_use]
    pub fn heard(&self) -> crate::estimate::Heard {
        crate::estimate::Heard { depth: self.depth, trades: self.trades }
    }

    /// What the limits look at: the touch that was heard, and how old it is.
    #[must_use]
    pub fn seen(&self, touch: Touch) -> Seen {
        let heard = self.depth_heard.max(self.trade_heard);
        let book = self.depth.checked_sub(1).map(|last| Nanos(self.tape.depth()[last].ts_venue));
        Seen { touch, heard: (heard > i64::MIN).then_some(Nanos(heard)), venue: book }
    }

    /// What was traded so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn depth_time(&self, index: usize, message: &DepthMessage, after: i64) -> i64 {
        self.latency.heard_at(message.ts_recv, message.ts_venue, 2 * index as u64, after)
    }

    fn trade_time(&self, index: usize, trade: &TradeMessage, after: i64) -> i64 {
        self.latency.heard_at(trade.ts_recv, trade.ts_venue, 2 * index as u64 + 1, after)
    }

    /// When the next depth message is heard.
    #[must_use]
    pub fn next_depth(&self) -> Option<Nanos> {
        let message = self.tape.depth().get(self.depth)?;
        Some(Nanos(self.depth_time(self.depth, message, self.depth_heard)))
    }

    /// When the next trade is heard.
    #[must_use]
    pub fn next_trade(&self) -> Option<Nanos> {
        let trade = self.tape.trades().get(self.trades)?;
        Some(Nanos(self.trade_time(self.trades, trade, self.trade_heard)))
    }

    /// When the touch next differs from `touch`, judged after all messages of one time; by the tape's own touch
    /// columns.
    #[must_use]
    pub fn next_touch_change(&self, touch: Touch) -> Option<Nanos> {
        let depth = self.tape.depth();
        let (mut index, mut heard) = (self.depth, self.depth_heard);
        while index < depth.len() {
            heard = self.depth_time(index, &depth[index], heard);
            let next = depth.get(index + 1);
            let drained = next.is_none_or(|next| self.depth_time(index + 1, next, heard) > heard);
            if drained && depth[index].touch() != touch {
                return Some(Nanos(heard));
            }
            index += 1;
        }
        None
    }

    /// Hears everything up to and including `until`; true when a trade was among it.
    ///
    /// # Errors
    /// [`ReplayError`] for a tape whose touch columns contradict its levels.
    pub fn hear(&mut self, heard: &mut Heard, until: Nanos) -> Result<bool, ReplayError> {
        let (tape, trades_before) = (Arc::clone(&self.tape), self.trades);
        let records = Records::of(&tape);
        if heard.signals.is_empty() {
            while let Some((now, message)) = self.depth_by(&records, until) {
                self.hear_depth(heard, &records, message, now)?;
            }
            while let Some((now, trade)) = self.trade_by(&records, until) {
                self.hear_trade(trade, now);
            }
        } else {
            self.hear_in_order(heard, &records, until)?;
        }
        Ok(self.trades > trades_before)
    }

    /// Measures hear trades and depth in the order of receipt; at equal times trades go first (they cause the change).
    fn hear_in_order(&mut self, heard: &mut Heard, records: &Records<'_>, until: Nanos) -> Result<(), ReplayError> {
        loop {
            match (self.depth_by(records, until), self.trade_by(records, until)) {
                (Some((now, message)), trade) if trade.is_none_or(|(at, _)| at > now) => {
                    self.hear_depth(heard, records, message, now)?;
                }
                (_, Some((now, trade))) => {
                    let seen = self.hear_trade(trade, now);
                    heard.traded(&seen);
                }
                (_, None) => {
                    heard.signals.advance(until);
                    return Ok(());
                }
            }
        }
    }

    /// The next depth message, if it is heard by `until`.
    #[inline]
    fn depth_by<'a>(&self, records: &Records<'a>, until: Nanos) -> Option<(i64, &'a DepthMessage)> {
        let message = records.depth.get(self.depth)?;
        let now = self.depth_time(self.depth, message, self.depth_heard);
        (now <= until.0).then_some((now, message))
    }

    /// The next trade, if it is heard by `until`.
    #[inline]
    fn trade_by<'a>(&self, records: &Records<'a>, until: Nanos) -> Option<(i64, &'a TradeMessage)> {
        let trade = records.trades.get(self.trades)?;
        let now = self.trade_time(self.trades, trade, self.trade_heard);
        (now <= until.0).then_some((now, trade))
    }

    #[inline]
    fn hear_depth(
        &mut self,
        heard: &mut Heard,
        records: &Records<'_>,
        message: &DepthMessage,
        now: i64,
    ) -> Result<(), ReplayError> {
        let (bids, asks) = records.levels_of(message);
        match message.kind() {
            MessageKind::Delta => heard.apply_verified(Nanos(now), bids, asks)?,
            MessageKind::Snapshot => heard.replace(Nanos(now), bids, asks)?,
            MessageKind::Gap => heard.lose(Nanos(now)),
        }
        if heard.touch() != message.touch() {
            return Err(ReplayError::Inconsistent { message: self.depth, tape: message.touch(), book: heard.touch() });
        }
        self.depth += 1;
        self.depth_heard = now;
        Ok(())
    }

    #[inline]
    fn hear_trade(&mut self, trade: &TradeMessage, now: i64) -> TradeSeen {
        self.trades += 1;
        self.trade_heard = now;
        self.tally.last_tick = trade.tick;
        match trade.aggressor() {
            Side::Buy => self.tally.bought += u64::from(trade.lots),
            Side::Sell => self.tally.sold += u64::from(trade.lots),
        }
        TradeSeen { ts: Nanos(now), tick: trade.tick, lots: trade.lots, aggressor: trade.aggressor() }
    }

    /// When the last message of the tape is heard, as far as the recorded clock tells.
    #[must_use]
    pub fn end(&self) -> Option<Nanos> {
        let (depth, trades) = (self.tape.depth(), self.tape.trades());
        let bound = |recv: i64, venue: i64, n: usize| self.latency.heard_at(recv, venue, n as u64, i64::MIN);
        let last_depth = depth.last().map(|m| bound(m.ts_recv, m.ts_venue, 2 * (depth.len() - 1)));
        let last_trade = trades.last().map(|t| bound(t.ts_recv, t.ts_venue, 2 * (trades.len() - 1) + 1));
        last_depth.max(last_trade).map(Nanos)
    }

    /// When the first message of the tape is heard.
    #[must_use]
    pub fn start(&self) -> Option<Nanos> {
        [self.next_depth(), self.next_trade()].into_iter().flatten().min()
    }
}
