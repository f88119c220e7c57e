//! A public that trades by order: limits around the touch, some of which take, and withdrawals.
#![allow(dead_code, reason = "each test file uses its part")]

use mmbot_book::RestingOrder;
use mmbot_sim::{Fill, LimitOrder, MatchingBook};
use mmbot_tape::{OrderChange, PublicOrder};
use mmbot_types::{Level, OrderId, Side, Tif};

use crate::market::Dice;

/// Where the public's prices lie around.
pub const MIDDLE: i32 = 1_000;

/// What a trader of the public asks for.
#[derive(Clone, Copy)]
pub enum Asked {
    Limit(PublicOrder),
    Cancel(u64),
    Reduce(u64, u32),
}

fn limit(order: PublicOrder) -> LimitOrder {
    let PublicOrder { id, side, level: Level { tick, lots } } = order;
    let order = RestingOrder { id: OrderId(id), side, tick, lots, owner: 0 };
    LimitOrder { order, tif: Tif::Gtc, post_only: false }
}

/// Orders of a zero-intelligence market (Cont, Stoikov, Talreja 2010): limits around the touch, some of which take, and
/// withdrawals, whole or in part, of any order that rests.
pub fn asked(dice: &mut Dice, book: &MatchingBook, id: u64) -> Asked {
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
pub fn happen(book: &mut MatchingBook, asked: Asked) -> Vec<OrderChange> {
    match asked {
        Asked::Limit(order) => {
            let done = book.limit(limit(order)).unwrap();
            let executed = |fill: &Fill| OrderChange::Execute { id: fill.maker.0, lots: fill.lots };
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

/// The orders that rest, as a snapshot by order names them.
pub fn resting(book: &MatchingBook) -> Vec<PublicOrder> {
    let named = |RestingOrder { id, side, tick, lots, .. }| PublicOrder { id: id.0, side, level: Level { tick, lots } };
    [Side::Buy, Side::Sell].into_iter().flat_map(|side| book.book().orders(side)).map(named).collect()
}
