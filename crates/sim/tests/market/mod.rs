//! Random markets: two-sided, with a moving touch, deletes through it, snapshots, gaps, crossed moments, and trades at,
//! through and away from the touch. Many things share a time; trades and depth are delayed apart, so that they come in
//! one order at the venue and in another to us.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use mmbot_tape::{MessageKind, Tape, TapeBuilder};
use mmbot_types::{Cash, ContractKind, FeeSchedule, FeeTier, Instrument, Level, Side, Step};

/// A seeded source of chance (SplitMix64), so that a failing seed can be run again.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From zero up to, but not including, `n`.
    pub fn below(&mut self, n: i64) -> i64 {
        (self.roll() % n as u64) as i64
    }

    pub fn chance(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as i64) as usize].clone()
    }
}

/// What a depth message says, or a trade.
#[derive(Clone, Debug)]
pub enum Said {
    Depth { kind: MessageKind, bids: Vec<Level>, asks: Vec<Level> },
    Trade { level: Level, aggressor: Side },
}

/// One public message.
#[derive(Clone, Debug)]
pub struct News {
    pub recv: i64,
    pub venue: i64,
    pub said: Said,
}

/// Where the middle of every market starts.
pub const MIDDLE: i64 = 1_000;

fn side_levels(dice: &mut Dice, middle: i64, sign: i64, whole: bool) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    for distance in 1..=7 {
        if whole || dice.chance(35) {
            let lots = if dice.chance(25) { 0 } else { 1 + dice.below(12) as u32 };
            levels.push(Level { tick: (middle + sign * distance) as i32, lots });
        }
    }
    levels
}

fn depth(dice: &mut Dice, middle: i64, known: bool) -> Said {
    let kind = match dice.below(100) {
        0..=40 if !known => MessageKind::Snapshot,
        0..=5 => MessageKind::Snapshot,
        6..=7 => MessageKind::Gap,
        _ => MessageKind::Delta,
    };
    if kind == MessageKind::Gap {
        return Said::Depth { kind, bids: vec![], asks: vec![] };
    }
    let whole = kind == MessageKind::Snapshot;
    let (mut bids, mut asks) = (side_levels(dice, middle, -1, whole), side_levels(dice, middle, 1, whole));
    if whole {
        bids.retain(|level| level.lots > 0);
        asks.retain(|level| level.lots > 0);
    } else if !dice.chance(4) {
        // What stands on the wrong side of the middle is deleted, through the touch; forgetting it crosses the book.
        bids.extend((0..6).map(|up| Level { tick: (middle + up) as i32, lots: 0 }));
        asks.extend((0..6).map(|down| Level { tick: (middle - down) as i32, lots: 0 }));
    }
    Said::Depth { kind, bids, asks }
}

/// A market of that many messages, in receive order.
pub fn news(dice: &mut Dice, messages: usize) -> Vec<News> {
    let (mut middle, mut now) = (MIDDLE, 1_000);
    let lags: [i64; 2] = [dice.pick(&[0, 5, 60]), dice.pick(&[0, 5, 60])];
    let mut heard = [0i64; 2];
    let (mut all, mut known) = (Vec::new(), true);
    for index in 0..messages {
        now += if dice.chance(35) { 0 } else { dice.below(40) };
        middle += dice.pick(&[0, 0, 0, 0, -1, 1, -3, 3]);
        middle = middle.clamp(MIDDLE - 5, MIDDLE + 5);
        let said = if index == 0 {
            let (bids, asks) = (side_levels(dice, middle, -1, true), side_levels(dice, middle, 1, true));
            Said::Depth { kind: MessageKind::Snapshot, bids, asks }
        } else if dice.chance(35) {
            let level = Level { tick: (middle + dice.below(9) - 4) as i32, lots: 1 + dice.below(9) as u32 };
            Said::Trade { level, aggressor: dice.pick(&[Side::Buy, Side::Sell]) }
        } else {
            depth(dice, middle, known)
        };
        if let Said::Depth { kind, .. } = said {
            known = kind.leaves_known(known);
        }
        let stream = usize::from(matches!(said, Said::Trade { .. }));
        let lag = if dice.chance(10) { 300 } else { dice.below(lags[stream] + 1) };
        heard[stream] = heard[stream].max(now + lag);
        all.push(News { recv: heard[stream], venue: now, said });
    }
    all.sort_by_key(|news| news.recv);
    all
}

/// The same market, every depth delta cut into messages of one level: same times, same order.
pub fn cut(news: &[News]) -> Vec<News> {
    let mut all = Vec::new();
    for whole in news {
        match &whole.said {
            Said::Depth { kind: MessageKind::Delta, bids, asks } if bids.len() + asks.len() > 1 => {
                let piece = |bids: &[Level], asks: &[Level]| News {
                    said: Said::Depth { kind: MessageKind::Delta, bids: bids.to_vec(), asks: asks.to_vec() },
                    ..whole.clone()
                };
                all.extend(bids.iter().map(|level| piece(&[*level], &[])));
                all.extend(asks.iter().map(|level| piece(&[], &[*level])));
            }
            _ => all.push(whole.clone()),
        }
    }
    all
}

/// Terms with a rebate and a tier that a busy day reaches.
pub fn instrument(kind: ContractKind) -> Instrument {
    let tiers = vec![
        FeeTier { volume_from: Cash::ZERO, maker: 10_000, taker: 55_000 },
        FeeTier { volume_from: Cash(1_000_000_000_000), maker: -2_500, taker: 40_000 },
    ];
    Instrument {
        venue: "test".into(),
        symbol: "XYZ".into(),
        kind,
        tick: Step::parse("0.1").unwrap(),
        lot: Step::parse("0.001").unwrap(),
        contract: Step::parse(if kind == ContractKind::Inverse { "100" } else { "1" }).unwrap(),
        fees: FeeSchedule::new(tiers).unwrap(),
    }
}

/// The tape of a market; `funding` as (time, rate in 10^-8, mark in ticks).
pub fn tape_of(news: &[News], funding: &[(i64, i64, i64)], instrument: Instrument) -> Arc<Tape> {
    let mut builder = TapeBuilder::new(instrument);
    for News { recv, venue, said } in news {
        match said {
            Said::Depth { kind, bids, asks } => builder.depth(*recv, *venue, *kind, bids, asks).unwrap(),
            Said::Trade { level, aggressor } => builder.trade(*recv, *venue, *level, *aggressor).unwrap(),
        }
    }
    for (time, rate, mark) in funding {
        builder.funding(*time, *time, *rate, *mark).unwrap();
    }
    Arc::new(builder.finish_in_memory().unwrap())
}
