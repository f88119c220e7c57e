//! First in, first out on a tape by order, against an exchange that really has our order in its book.
//!
//! The same requests of the public go to two matching books: one without us, which is recorded as a tape, and one in
//! which our order rests. What the venue says of our order over the tape must be what happened to it in the second
//! book, until it has traded: from then on the two markets differ by what we took, which a recording can not know.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod flow;
mod market;

use std::sync::Arc;

use flow::{MIDDLE, asked, happen, resting};
use market::{Dice, instrument};
use mmbot_book::{L2Book, RestingOrder};
use mmbot_sim::{
    FillRule, LatencyModel, Laws, LimitOrder, LocalBook, MatchingBook, QueueModel, SelfTrade, Venue, VenueListing,
};
use mmbot_tape::{OrderChange, Tape, TapeBuilder};
use mmbot_types::{
    Cash, Command, ContractKind, Event, InstrumentId, Lots, NO_ASK, NO_BID, Nanos, OrderId, OrderRequest, Side, Ticks,
    Tif,
};
use proptest::prelude::*;

const OURS: OrderId = OrderId(u64::MAX);
/// Requests of the public, a millisecond apart in thousands; we arrive between two of them.
const REQUESTS: usize = 240;

/// When, and how much.
type Fills = Vec<(i64, i64)>;

/// What one request of the public executes is one fill.
fn add(fills: &mut Fills, time: i64, lots: i64) {
    match fills.last_mut().filter(|last| last.0 == time) {
        Some(last) => last.1 += lots,
        None => fills.push((time, lots)),
    }
}

/// Our order, when it arrives, the tape without it, and what happened to it.
struct Scene {
    tape: Arc<Tape>,
    arrival: Nanos,
    request: OrderRequest,
    truth: Fills,
}

fn scene(seed: u64, lots: u32) -> Scene {
    let mut dice = Dice(seed);
    let (mut public, mut shared) = (MatchingBook::new(SelfTrade::Allow), MatchingBook::new(SelfTrade::Allow));
    let mut tape = TapeBuilder::new(instrument(ContractKind::Linear));
    let side = dice.pick(&[Side::Buy, Side::Sell]);
    let (opening, arrival) = (dice.below(20) as usize, 20 + dice.below(60) as usize);
    let mut request = OrderRequest {
        instrument: InstrumentId(0),
        side,
        price: Ticks(0),
        qty: Lots(i64::from(lots)),
        tif: Tif::Gtc,
        post_only: true,
        reduce_only: false,
    };
    let mut truth = Vec::new();
    for step in 0..REQUESTS {
        let now = 1_000 * (step as i64 + 1);
        if step == opening {
            tape.order_snapshot(now - 100, now - 100, &resting(&public)).unwrap();
        }
        if step == arrival {
            let touch = public.touch();
            let nearest = match side {
                Side::Buy if touch.ask < NO_ASK => touch.ask,
                Side::Sell if touch.bid > NO_BID => touch.bid,
                _ => MIDDLE,
            };
            let tick = nearest - (side.sign() * (1 + dice.below(3))) as i32;
            request.price = Ticks(i64::from(tick));
            let order = RestingOrder { id: OURS, side, tick, lots, owner: 1 };
            shared.limit(LimitOrder { order, tif: Tif::Gtc, post_only: true }).unwrap();
        }
        let asked = asked(&mut dice, &public, step as u64 + 1);
        for change in happen(&mut public, asked) {
            if step >= opening {
                tape.order(now, now, change).unwrap();
            }
        }
        let ours = |change: &OrderChange| match change {
            OrderChange::Execute { id, lots } if *id == OURS.0 => Some((now, i64::from(*lots))),
            _ => None,
        };
        for (time, lots) in happen(&mut shared, asked).iter().filter_map(ours) {
            add(&mut truth, time, lots);
        }
    }
    let arrival = Nanos(1_000 * (arrival as i64 + 1) - 50);
    Scene { tape: Arc::new(tape.finish_in_memory().unwrap()), arrival, request, truth }
}

/// What the venue fills of our order, beside `others` accounts with the same order at other times.
fn simulated(scene: &Scene, queue: QueueModel, full_book: bool, others: u16) -> Fills {
    let laws = Laws {
        queue,
        entry: LatencyModel::Constant(Nanos(0)),
        response: LatencyModel::Constant(Nanos(0)),
        fill: FillRule::Partial,
        consume_liquidity: true,
        full_book,
        volume_before: Cash::ZERO,
    };
    let instrument = scene.tape.instrument().clone();
    let listing = VenueListing { tape: Arc::clone(&scene.tape), instrument, laws };
    let mut venue = Venue::new(vec![listing], usize::from(others) + 1);
    let unheard = L2Book::new();
    let books = [LocalBook { book: &unheard, cursor: 0 }];
    for account in 0..=others {
        let left = Nanos(scene.arrival.0 + i64::from(account) * 7_000);
        venue.accept(account, InstrumentId(0), Command::Place { id: OrderId(1), request: scene.request }, left);
    }
    while let Some(arrival) = venue.next_arrival() {
        venue.run(&books, arrival, false).unwrap();
        venue.arrive(&books).unwrap();
    }
    venue.run(&books, Nanos(i64::MAX), false).unwrap();
    let mut fills = Fills::new();
    while let Some(response) = venue.next_response(0, Nanos(i64::MAX)) {
        if let Event::Filled { qty, ts_venue, .. } = response.event {
            add(&mut fills, ts_venue.0, qty.0);
        }
    }
    fills
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Our order is first filled when it was, and for as much, whichever book is read and whoever else is there.
    #[test]
    fn an_order_is_filled_as_in_a_book_that_has_it(seed in any::<u64>(), lots in 1..12u32) {
        let scene = scene(seed, lots);
        let thin = simulated(&scene, QueueModel::Fifo, false, 0);
        prop_assert_eq!(thin.first(), scene.truth.first());
        prop_assert_eq!(&simulated(&scene, QueueModel::Fifo, true, 0), &thin);
        prop_assert_eq!(&simulated(&scene, QueueModel::Fifo, false, 3), &thin);
    }
}

/// The scenes meet what they are for: orders are filled, many later again, and the other laws are wrong in them.
#[test]
fn the_scenes_tell_the_laws_apart() {
    let scenes: Vec<Scene> = (0..150).map(|seed| scene(seed, 6)).collect();
    let filled = scenes.iter().filter(|scene| !scene.truth.is_empty()).count();
    let again = scenes.iter().filter(|scene| scene.truth.len() > 1).count();
    assert!(filled > 75 && again > 15, "{filled} filled, {again} of them again");
    let wrong = |law| {
        let is_wrong = |scene: &&Scene| simulated(scene, law, false, 0).first() != scene.truth.first();
        scenes.iter().filter(is_wrong).count()
    };
    let others = [QueueModel::RiskAverse, QueueModel::Power(2.0), QueueModel::Log].map(wrong);
    assert!(wrong(QueueModel::Fifo) == 0 && others.iter().all(|wrong| *wrong > 15), "{others:?}");
}
