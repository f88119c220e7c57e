//! The public market as the venue itself sees it: at venue time, ahead of what we have heard.
//!
//! ```text
//! depth messages     ──────────────┬──────────────┬───────>
//!                             local cursor    venue cursor
//!                             (we heard)      (it happened)
//! ```
//! The thin view keeps no second book. Both clocks give depth messages one order, so the venue's book is the local book
//! plus the messages between the two cursors: a level is the last write among those, or else what the local book says.
//! The full view applies every message to a book of its own: it is the oracle that the thin view must equal, bit for
//! bit.

use std::collections::BTreeMap;
use std::sync::Arc;

use mmbot_book::{BookError, L2Book};
use mmbot_tape::{DepthMessage, Level, MessageKind, Tape, TradeMessage};
use mmbot_types::{Side, Touch};

/// What we have heard of one instrument: the local book, and how many depth messages are in it.
#[derive(Clone, Copy)]
pub struct LocalBook<'a> {
    /// The book.
    pub book: &'a L2Book,
    /// Depth messages applied to it.
    pub cursor: usize,
}

/// The venue's side of one tape.
pub struct PublicView {
    tape: Arc<Tape>,
    /// Depth messages that have happened.
    cursor: usize,
    oracle: Option<Oracle>,
}

/// The venue's own full book.
#[derive(Default)]
struct Oracle {
    book: L2Book,
    /// A snapshot came, and no gap since.
    known: bool,
}

/// The records of a tape, looked up once for many messages.
#[derive(Clone, Copy)]
pub struct Records<'a> {
    /// Depth messages.
    pub depth: &'a [DepthMessage],
    /// Their levels.
    pub levels: &'a [Level],
    /// Trades.
    pub trades: &'a [TradeMessage],
}

impl<'a> Records<'a> {
    /// Those of `tape`, as they are heard.
    #[must_use]
    pub fn of(tape: &'a Tape) -> Self {
        Self { depth: tape.depth(), levels: tape.levels(), trades: tape.trades() }
    }

    /// Those of `tape`, as they happen at the venue: of a tape that is being written, the trades that have their place.
    #[must_use]
    pub fn placed(tape: &'a Tape) -> Self {
        Self { trades: tape.placed_trades(), ..Self::of(tape) }
    }

    /// Bid and ask levels of a depth message.
    #[inline]
    #[must_use]
    pub fn levels_of(&self, message: &DepthMessage) -> (&'a [Level], &'a [Level]) {
        let first = message.first() as usize;
        let levels = &self.levels[first..first + (message.n_bid + message.n_ask) as usize];
        levels.split_at(message.n_bid as usize)
    }
}

fn find(levels: &[Level], tick: i32) -> Option<u32> {
    levels.binary_search_by_key(&tick, |level| level.tick).ok().map(|index| levels[index].lots)
}

/// Applies one depth message of a verified tape to a book.
///
/// # Errors
/// [`BookError`] for levels that no book can take: the tape is inconsistent.
pub fn apply(book: &mut L2Book, tape: &Tape, message: &DepthMessage) -> Result<(), BookError> {
    let (bids, asks) = tape.levels_of(message);
    match message.kind() {
        MessageKind::Delta => book.apply_verified(bids, asks),
        MessageKind::Snapshot => book.replace(bids, asks),
        MessageKind::Gap => {
            book.clear();
            Ok(())
        }
    }
}

impl PublicView {
    /// The start of a tape; `full` keeps the oracle book.
    #[must_use]
    pub fn new(tape: Arc<Tape>, full: bool) -> Self {
        Self { tape, cursor: 0, oracle: full.then(Oracle::default) }
    }

    /// The tape.
    #[must_use]
    pub fn tape(&self) -> &Arc<Tape> {
        &self.tape
    }

    /// Depth messages that have happened.
    #[must_use]
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Lets the next depth message happen.
    ///
    /// # Errors
    /// [`BookError`] in the full view, for levels that no book can take.
    #[inline]
    pub fn advance(&mut self) -> Result<(), BookError> {
        if let Some(oracle) = &mut self.oracle {
            let message = &self.tape.depth()[self.cursor];
            apply(&mut oracle.book, &self.tape, message)?;
            oracle.known = message.kind().leaves_known(oracle.known);
        }
        self.cursor += 1;
        Ok(())
    }

    /// Lets all depth messages up to `cursor` happen at once.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub fn jump(&mut self, cursor: usize) -> Result<(), BookError> {
        if self.oracle.is_none() {
            self.cursor = self.cursor.max(cursor);
            return Ok(());
        }
        while self.cursor < cursor {
            self.advance()?;
        }
        Ok(())
    }

    /// The venue's touch now; empty when the book is unknown or crossed.
    #[inline]
    #[must_use]
    pub fn touch(&self) -> Touch {
        match &self.oracle {
            Some(Oracle { book, known }) if book.is_crossed() || !known => Touch::EMPTY,
            Some(oracle) => oracle.book.touch(),
            None => self.touch_after(self.cursor),
        }
    }

    /// The touch when `cursor` depth messages had happened, from the tape.
    #[inline]
    #[must_use]
    pub fn touch_after(&self, cursor: usize) -> Touch {
        cursor.checked_sub(1).map_or(Touch::EMPTY, |last| self.tape.depth()[last].touch())
    }

    /// Displayed lots of one level now.
    #[must_use]
    pub fn lots(&self, local: LocalBook<'_>, side: Side, tick: i32) -> u32 {
        if let Some(Oracle { book, .. }) = &self.oracle {
            return book.lots(side, tick);
        }
        debug_assert!(local.cursor <= self.cursor, "we cannot have heard what has not happened");
        let records = Records::of(&self.tape);
        for message in records.depth[local.cursor..self.cursor].iter().rev() {
            let (bids, asks) = records.levels_of(message);
            let found = find(if side == Side::Buy { bids } else { asks }, tick);
            match (found, message.kind()) {
                (Some(lots), MessageKind::Delta | MessageKind::Snapshot) => return lots,
                (_, MessageKind::Snapshot | MessageKind::Gap) => return 0,
                (None, MessageKind::Delta) => {}
            }
        }
        local.book.lots(side, tick)
    }

    /// Visits the displayed levels on `side` from the touch outward, up to and including `limit`, until `visit` says
    /// stop.
    pub fn sweep(&self, local: LocalBook<'_>, side: Side, limit: i32, mut visit: impl FnMut(Level) -> bool) {
        let rank = |tick: i32| side.sign() * i64::from(tick); // higher is nearer to the touch
        let within = |level: &Level| rank(level.tick) >= rank(limit);
        if let Some(Oracle { book, .. }) = &self.oracle {
            book.levels(side).take_while(within).all(&mut visit);
            return;
        }
        let mut unheard: BTreeMap<i32, u32> = BTreeMap::new();
        let mut replaced = false;
        for message in &self.tape.depth()[local.cursor..self.cursor] {
            if message.kind() != MessageKind::Delta {
                unheard.clear();
                replaced = true;
            }
            let (bids, asks) = self.tape.levels_of(message);
            let levels = if side == Side::Buy { bids } else { asks };
            unheard.extend(levels.iter().map(|level| (level.tick, level.lots)));
        }
        let mut newer: Vec<Level> = unheard.iter().map(|(&tick, &lots)| Level { tick, lots }).collect();
        newer.sort_unstable_by_key(|level| -rank(level.tick));
        let mut newer = newer.into_iter().filter(|level| level.lots > 0).peekable();
        let heard = (!replaced).then(|| local.book.levels(side)).into_iter().flatten();
        let mut heard = heard.filter(|level| !unheard.contains_key(&level.tick)).peekable();
        loop {
            let next = match (newer.peek(), heard.peek()) {
                (Some(a), Some(b)) if rank(b.tick) > rank(a.tick) => heard.next(),
                (Some(_), _) => newer.next(),
                (None, _) => heard.next(),
            };
            match next {
                Some(level) if within(&level) && visit(level) => {}
                _ => return,
            }
        }
    }
}
