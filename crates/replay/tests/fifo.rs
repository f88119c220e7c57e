//! Whole runs on tapes by order: refused where the orders are missing, and the same however they are read or batched.
#![allow(clippy::unwrap_used)] // a test may stop at once

#[path = "../../sim/tests/flow/mod.rs"]
mod flow;
#[path = "../../sim/tests/market/mod.rs"]
mod market;

use std::sync::Arc;

use flow::{asked, happen, resting};
use market::{Dice, instrument, news, tape_of};
use mmbot_engine::{Bounds, Controls, Desk, DifferRules, Limits};
use mmbot_replay::{FeedLatency, FillRecord, JoinTouch, Listing, Plan, Replay, ReplayError, Seat, WakeRule};
use mmbot_sim::{FillRule, LatencyModel, Laws, MatchingBook, QueueModel, SelfTrade};
use mmbot_tape::{Tape, TapeBuilder};
use mmbot_types::{Cash, ContractKind, InstrumentId, Lots, Nanos};
use proptest::prelude::*;

fn tape_by_order(seed: u64) -> Arc<Tape> {
    let (mut dice, mut public) = (Dice(seed), MatchingBook::new(SelfTrade::Allow));
    let mut tape = TapeBuilder::new(instrument(ContractKind::Linear));
    for step in 0..300 {
        if step == 30 {
            tape.order_snapshot(step, step, &resting(&public)).unwrap();
        }
        let asked = asked(&mut dice, &public, 1 + step as u64);
        for change in happen(&mut public, asked) {
            if step >= 30 {
                tape.order(100 * step + 40, 100 * step, change).unwrap();
            }
        }
    }
    Arc::new(tape.finish_in_memory().unwrap())
}

fn replay(tape: &Arc<Tape>, queue: QueueModel, full_book: bool, seats: usize) -> Result<Replay, ReplayError> {
    let latency = LatencyModel::Constant(Nanos(70));
    let laws = Laws {
        queue,
        entry: latency.clone(),
        response: latency,
        fill: FillRule::Partial,
        consume_liquidity: true,
        full_book,
        volume_before: Cash::ZERO,
    };
    let limits = Limits {
        position_max: Lots(20),
        order_max: Lots(5),
        open_orders_max: 9,
        collar_bps: 500,
        requests_per_second_max: 100_000,
        controls: Controls::default(),
    };
    let rules = DifferRules { keep_within: 0, refill_below_percent: 50, amend: false, post_only: true };
    let wake = WakeRule { every: Some(Nanos(500)), ..WakeRule::default() };
    let listing = Listing {
        tape: Arc::clone(tape),
        without_us: None,
        instrument: tape.instrument().clone(),
        laws,
        feed: FeedLatency::Recorded(Nanos(0)),
        signals: vec![],
    };
    let seat = || Seat { desks: vec![Desk { limits, rules }], bounds: Bounds::default(), wake, record: true };
    Replay::new(Plan { listings: vec![listing], seats: (0..seats).map(|_| seat()).collect(), sample: None })
}

/// What each maker's orders were filled, and the state it ended in. Each stands farther behind the touch than the last.
fn outcomes(tape: &Arc<Tape>, queue: QueueModel, full_book: bool, offsets: &[i64]) -> Vec<(Vec<FillRecord>, u64)> {
    let mut replay = replay(tape, queue, full_book, offsets.len()).unwrap();
    let maker = |offset: &i64| JoinTouch { qty: Lots(3), cap: Lots(15), offset: *offset };
    let makers: Vec<JoinTouch> = offsets.iter().map(maker).collect();
    JoinTouch::run(&makers, &mut replay, InstrumentId(0)).unwrap();
    replay.check_invariants();
    let outcome = |seat| (replay.recorder(seat).unwrap().fills.clone(), replay.engine(seat).state_hash());
    (0..offsets.len() as u16).map(outcome).collect()
}

/// A tape that tells only levels is refused, with the way out; a law that needs no orders takes either.
#[test]
fn first_in_first_out_needs_a_tape_by_order() {
    let by_level = tape_of(&news(&mut Dice(1), 50), &[], instrument(ContractKind::Linear));
    let refused = replay(&by_level, QueueModel::Fifo, false, 1).err().unwrap().to_string();
    assert!(refused.contains("needs a tape by order") && refused.contains("test XYZ"), "{refused}");
    assert!(replay(&by_level, QueueModel::RiskAverse, false, 1).is_ok());
    assert!(replay(&tape_by_order(1), QueueModel::RiskAverse, false, 1).is_ok());
}

/// The orders change what is filled: the runs below are about something.
#[test]
fn exact_places_fill_otherwise_than_guessed_ones() {
    let tapes: Vec<_> = (0..12).map(tape_by_order).collect();
    let fills = |law| tapes.iter().map(|tape| outcomes(tape, law, false, &[0]).remove(0).0).collect::<Vec<_>>();
    let (exact, guessed) = (fills(QueueModel::Fifo), fills(QueueModel::RiskAverse));
    assert!(exact.iter().flatten().count() > 100, "{}", exact.iter().flatten().count());
    assert!(exact.iter().zip(&guessed).filter(|(a, b)| a != b).count() > 6);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// The thin view ends as the full book, and many makers in one pass as each alone.
    #[test]
    fn a_run_by_order_ends_the_same_however_it_is_made(seed in any::<u64>()) {
        let tape = tape_by_order(seed);
        let together = outcomes(&tape, QueueModel::Fifo, false, &[0, 1, 2]);
        prop_assert_eq!(&outcomes(&tape, QueueModel::Fifo, true, &[0, 1, 2]), &together);
        for (offset, outcome) in [0, 1, 2].into_iter().zip(together) {
            prop_assert_eq!(outcomes(&tape, QueueModel::Fifo, false, &[offset]).remove(0), outcome);
        }
    }
}
