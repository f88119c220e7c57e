//! First in, first out on a tape by order, against an exchange that really has our order in its book.
//!
//! The same requests of the public go to two matching books: one without us, which is recorded as a tape, and one in which
//! our order rests. What the venue says of our order over the tape must be what happened to it in the second book, until it
//! has traded: from then on the two markets differ by what we took, which a recording can not know.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod market;

use std::sync::Arc;

use market::{Dice, instrument};
use mmbot_book::{L2Book, RestingOrder};
use mmbot_sim::{
    FillRule, LatencyModel, Laws, LimitOrder, LocalBook, MatchingBook, QueueModel, SelfTrade, Venue, VenueListing,
};
use mmbot_tape::{OrderChange, PublicOrder, Tape, TapeBuilder};
use mmbot_types::{
    Cash, Command, ContractKind, Event, InstrumentId, Level, Lots, Nanos, OrderId, OrderRequest, Side, Ticks, Tif,
};
use proptest::prelude::*;

const MIDDLE: i32 = 1_000;
const OURS: OrderId = OrderId(u64::MAX);
/// Requests of the public, a millisecond apart in thousands; we arrive between two of them.
const REQUESTS: usize = 240;

/// What a trader of the public asks for.
#[derive(Clone, Copy)]
enum Asked {
    Limit(PublicOrder),
    Cancel(u64),
    Reduce(u64, u32),
}

/// When, and how much.
type Fills = Vec<(i64, i64)>;

/// What one request of the public executes is one fill.
fn add(fills: &mut Fills, time: i64, lots: i64) {
    match fills.last_mut().filter(|last| last.0 == time) {
        Some(last) => last.1 += lots,
        None => fills.push((time, lots)),
    }
}

fn limit(order: PublicOrder) -> LimitOrder {
    let PublicOrder { id, side, level: Level { tick, lots } } = order;
    let order = RestingOrder { id: OrderId(id), side, tick, lots, owner: 0 };
    LimitOrder { order, tif: Tif::Gtc, post_only: false }
}

/// Orders of a zero-intelligence market (Cont, Stoikov, Talreja 2010): limits around the touch, some of which take, and
/// withdrawals, whole or in part, of any order that rests.
fn asked(dice: &mut Dice, book: &MatchingBook, id: u64) -> Asked {
    let resting: Vec<RestingOrder> =
        [Side::Buy, Side::Sell].iter().flat_map(|side| book.book().orders(*side)).collect();
    if resting.len() > 12 && dice.chance(45) {
        let order = dice.pick(&resting);
        let less = dice.below(i64::from(order.lots)) as u32;
        return if less > 0 && dice.chance(40) { Asked::Reduce(order.id.0, less) } else { Asked::Cancel(order.id.0) };
    }
    let side = dice.pick(&[Side::Buy, Side::Sell]);
    let away = if dice.chance(25) { -dice.below(3) } else { 1 + dice.below(3) };
    let tick = MIDDLE - (side.sign() * away) as i32;
    Asked::Limit(PublicOrder { id, side, level: Level { tick, lots: 1 + dice.below(9) as u32 } })
}

/// Lets a request happen in a book; what it did to the orders of the public, as a feed by order tells it.
fn happen(book: &mut MatchingBook, asked: Asked) -> Vec<OrderChange> {
    match asked {
        Asked::Limit(order) => {
            let done = book.limit(limit(order)).unwrap();
            let executed = |fill: &mmbot_sim::Fill| OrderChange::Execute { id: fill.maker.0, lots: fill.lots };
            let mut told: Vec<OrderChange> = done.fills.iter().map(executed).collect();
            if done.resting {
                let level = Level { lots: done.remaining, ..order.level };
                told.push(OrderChange::Add(PublicOrder { level, ..order }));
            }
            told
        }
        // In our book an order may be gone, or smaller, that is not in the public's own: we took from it.
        Asked::Cancel(id) => book.cancel(OrderId(id)).map_or(vec![], |_| vec![OrderChange::Remove { id }]),
        Asked::Reduce(id, lots) => match book.book().order(OrderId(id)) {
            Some(order) if order.lots > lots => {
                book.amend(OrderId(id), order.tick, order.lots - lots, false).unwrap();
                vec![OrderChange::Reduce { id, lots }]
            }
            _ => vec![],
        },
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
            let resting = [Side::Buy, Side::Sell].map(|side| public.book().orders(side).collect::<Vec<_>>()).concat();
            let named = |order: &RestingOrder| PublicOrder {
                id: order.id.0,
                side: order.side,
                level: Level { tick: order.tick, lots: order.lots },
            };
            let orders: Vec<PublicOrder> = resting.iter().map(named).collect();
            tape.order_snapshot(now - 100, now - 100, &orders).unwrap();
        }
        if step == arrival {
            let touch = public.touch();
            let nearest = if side == Side::Buy { touch.ask } else { touch.bid };
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
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Our order is first filled when it was, and for as much, whichever book the venue reads and whoever else is there.
    #[test]
    fn an_order_is_filled_as_in_a_book_that_has_it(seed in any::<u64>(), lots in 1..12u32) {
        let scene = scene(seed, lots);
        let thin = simulated(&scene, QueueModel::Fifo, false, 0);
        prop_assert_eq!(thin.first(), scene.truth.first());
        prop_assert_eq!(&simulated(&scene, QueueModel::Fifo, true, 0), &thin);
        prop_assert_eq!(&simulated(&scene, QueueModel::Fifo, false, 3), &thin);
    }
}

/// The scenes meet what they are for: orders are filled, many later in the day again, and the other laws are wrong in them.
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
