//! What an append costs: `cargo bench -p mmbot-tape`. A tape that can be read while it is written, beside the writer
//! that spools, on depth messages of a few and of many levels around a wandering market; both keep the same book.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used)] // it reads the clock and prints

use std::time::Instant;

use mmbot_tape::{LiveTape, MessageKind, TapeWriter};
use mmbot_types::{ContractKind, FeeSchedule, Instrument, Level, Side, Step};

const MESSAGES: i64 = 200_000;

fn instrument() -> Instrument {
    Instrument {
        venue: "bench".into(),
        symbol: "XYZ".into(),
        kind: ContractKind::Linear,
        tick: Step::parse("0.1").unwrap(),
        lot: Step::parse("0.001").unwrap(),
        contract: Step::parse("1").unwrap(),
        fees: FeeSchedule::flat(0, 0).unwrap(),
    }
}

/// The levels of one side of message `at`: a fixed walk, a quarter of them deletes.
fn side(at: i64, levels: i32, sign: i32) -> Vec<Level> {
    let middle = 10_000 + ((at / 50) % 200) as i32;
    let level = |k: i32| Level {
        tick: middle + sign * (1 + (at as i32 * 7 + k * 13) % 300),
        lots: if (at as i32 + k) % 4 == 0 { 0 } else { 1 + k as u32 },
    };
    (0..levels).map(level).collect()
}

/// Nanoseconds per message of what `append` does.
fn measure(messages: &[(Vec<Level>, Vec<Level>)], mut append: impl FnMut(i64, MessageKind, &[Level], &[Level])) -> f64 {
    let started = Instant::now();
    for (at, (bids, asks)) in (0..).zip(messages) {
        append(at, if at == 0 { MessageKind::Snapshot } else { MessageKind::Delta }, bids, asks);
    }
    started.elapsed().as_nanos() as f64 / messages.len() as f64
}

fn main() {
    let room = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for levels in [2, 8, 34] {
        let messages: Vec<_> = (0..MESSAGES).map(|at| (side(at, levels, -1), side(at, levels, 1))).collect();
        let mut writer = TapeWriter::create(room.path().join("w.tape"), instrument()).unwrap();
        let spooled = measure(&messages, |at, kind, bids, asks| writer.depth(at, at, kind, bids, asks).unwrap());
        let mut live = LiveTape::create(room.path().join(format!("{levels}.live")), instrument()).unwrap();
        let appended = measure(&messages, |at, kind, bids, asks| live.depth(at, at, kind, bids, asks).unwrap());
        println!("{:2} levels: {appended:.0} ns per message live, {spooled:.0} ns spooled", 2 * levels);
    }
    let mut live = LiveTape::create(room.path().join("trades.live"), instrument()).unwrap();
    let started = Instant::now();
    for at in 0..MESSAGES {
        live.trade(at, at, Level { tick: 10_000, lots: 1 }, Side::Buy).unwrap();
    }
    println!("   a trade: {:.0} ns live", started.elapsed().as_nanos() as f64 / MESSAGES as f64);
    let started = Instant::now();
    live.settle(MESSAGES).unwrap();
    println!("its place: {:.0} ns", started.elapsed().as_nanos() as f64 / MESSAGES as f64);
}
