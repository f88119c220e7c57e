//! Messages as a test says them, and the tapes that they make.
#![allow(dead_code, clippy::unwrap_used, missing_docs)] // each test file uses a part

use mmbot_tape::{Level, LiveTape, MessageKind, Tape, TapeBuilder, TapeError, TapeWriter};
use mmbot_types::{ContractKind, FeeSchedule, Instrument, Side, Step};
use proptest::prelude::*;

pub fn instrument() -> Instrument {
    Instrument {
        venue: "binance".into(),
        symbol: "BTCUSDT".into(),
        kind: ContractKind::Linear,
        tick: Step::parse("0.1").unwrap(),
        lot: Step::parse("0.001").unwrap(),
        contract: Step::parse("1").unwrap(),
        fees: FeeSchedule::flat(-5_000, 40_000).unwrap(),
    }
}

pub fn level(tick: i32, lots: u32) -> Level {
    Level { tick, lots }
}

/// One message as a test says it.
#[derive(Clone, Debug)]
pub enum Said {
    Depth(i64, i64, MessageKind, Vec<Level>, Vec<Level>),
    Trade(i64, i64, Level, Side),
    Funding(i64, i64, i64, i64),
}
use Said::{Depth, Funding, Trade};

pub fn built(said: &[Said]) -> Tape {
    let mut builder = TapeBuilder::new(instrument());
    for message in said {
        match message {
            Depth(recv, venue, kind, bids, asks) => builder.depth(*recv, *venue, *kind, bids, asks),
            Trade(recv, venue, level, side) => builder.trade(*recv, *venue, *level, *side),
            Funding(recv, venue, rate, mark) => builder.funding(*recv, *venue, *rate, *mark),
        }
        .unwrap();
    }
    builder.finish_in_memory().unwrap()
}

pub fn write(said: &[Said], path: &std::path::Path) {
    let mut writer = TapeWriter::create(path, instrument()).unwrap();
    for message in said {
        match message {
            Depth(recv, venue, kind, bids, asks) => writer.depth(*recv, *venue, *kind, bids, asks),
            Trade(recv, venue, level, side) => writer.trade(*recv, *venue, *level, *side),
            Funding(recv, venue, rate, mark) => writer.funding(*recv, *venue, *rate, *mark),
        }
        .unwrap();
    }
    writer.finish().unwrap();
}

pub fn a_short_day() -> Vec<Said> {
    vec![
        Depth(100, 90, MessageKind::Snapshot, vec![level(10, 1), level(9, 2)], vec![level(12, 3), level(11, 4)]),
        Trade(105, 95, level(11, 1), Side::Buy),
        Depth(110, 96, MessageKind::Delta, vec![], vec![level(11, 3), level(11, 0)]),
        Trade(112, 96, level(10, 1), Side::Sell),
        Funding(115, 110, 10_000, 11),
    ]
}

/// Any stream of messages, its clocks in any order.
pub fn said() -> impl Strategy<Value = Vec<Said>> {
    let levels = || prop::collection::vec((1..200i32, 0..9u32).prop_map(|(tick, lots)| level(tick, lots)), 0..6);
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let kind =
        prop_oneof![8 => Just(MessageKind::Delta), 1 => Just(MessageKind::Snapshot), 1 => Just(MessageKind::Gap)];
    let time = || 0..1_000i64;
    let one = prop_oneof![
        4 => (time(), time(), kind, levels(), levels()).prop_map(|(r, v, k, b, a)| Depth(r, v, k, b, a)),
        3 => (time(), time(), 1..200i32, 1..9u32, side).prop_map(|(r, v, p, q, s)| Trade(r, v, level(p, q), s)),
        1 => (time(), time(), -9..9i64, 1..200i64).prop_map(|(r, v, f, m)| Funding(r, v, f, m)),
    ];
    prop::collection::vec(one, 0..40)
}

/// 256 cases, or `PROPTEST_CASES` for a longer hunt.
pub fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Adds one message to a tape that is being written.
pub fn add(live: &mut LiveTape, message: &Said) -> Result<(), TapeError> {
    match message {
        Depth(recv, venue, kind, bids, asks) => live.depth(*recv, *venue, *kind, bids, asks),
        Trade(recv, venue, level, side) => live.trade(*recv, *venue, *level, *side),
        Funding(recv, venue, rate, mark) => live.funding(*recv, *venue, *rate, *mark),
    }
}
