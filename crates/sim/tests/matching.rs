//! Price-time matching, as a trader would check it.
#![allow(clippy::unwrap_used)] // a test may stop at once

use mmbot_book::{BookError, RestingOrder};
use mmbot_sim::{Fill, LimitOrder, MatchError, MatchingBook, SelfTrade};
use mmbot_types::{OrderId, Side, Tif, Touch};
use proptest::prelude::*;

fn limit(id: u64, side: Side, tick: i32, lots: u32) -> LimitOrder {
    let order = RestingOrder { id: OrderId(id), side, tick, lots, owner: 0 };
    LimitOrder { order, tif: Tif::Gtc, post_only: false }
}

fn owned(owner: u32, mut request: LimitOrder) -> LimitOrder {
    request.order.owner = owner;
    request
}

fn fill(maker: u64, taker: u64, tick: i32, lots: u32) -> Fill {
    Fill { maker: OrderId(maker), taker: OrderId(taker), tick, lots }
}

/// Asks 101: orders 1 and 2 of 10 lots; 102: order 3 of 10 lots. Bid 99: order 4 of 10 lots.
fn market(policy: SelfTrade) -> MatchingBook {
    let mut book = MatchingBook::new(policy);
    for request in [
        limit(1, Side::Sell, 101, 10),
        limit(2, Side::Sell, 101, 10),
        limit(3, Side::Sell, 102, 10),
        limit(4, Side::Buy, 99, 10),
    ] {
        book.limit(owned(1, request)).unwrap();
    }
    book
}

#[test]
fn the_best_price_trades_first_then_the_oldest_order() {
    let mut book = market(SelfTrade::Allow);
    let done = book.limit(limit(9, Side::Buy, 102, 25)).unwrap();
    assert_eq!(done.fills, [fill(1, 9, 101, 10), fill(2, 9, 101, 10), fill(3, 9, 102, 5)]);
    assert_eq!((done.remaining, done.resting), (0, false));
    assert_eq!(book.touch(), Touch { bid: 99, ask: 102 });
}

#[test]
fn what_does_not_trade_rests_or_goes_as_its_life_time_says() {
    let mut book = market(SelfTrade::Allow);
    let gone = book.limit(LimitOrder { tif: Tif::Ioc, ..limit(8, Side::Buy, 101, 30) }).unwrap();
    assert_eq!((gone.fills.len(), gone.remaining, gone.resting), (2, 10, false));
    let stays = book.limit(limit(9, Side::Buy, 102, 30)).unwrap();
    assert_eq!((stays.remaining, stays.resting), (20, true));
    assert_eq!(book.touch().bid, 102);
}

#[test]
fn fill_or_kill_is_all_or_nothing() {
    let mut book = market(SelfTrade::Allow);
    let kill = book.limit(LimitOrder { tif: Tif::Fok, ..limit(9, Side::Buy, 101, 21) });
    assert_eq!(kill, Err(MatchError::NotFillable { id: OrderId(9), wanted: 21, available: 20 }));
    assert_eq!(book.limit(LimitOrder { tif: Tif::Fok, ..limit(9, Side::Buy, 101, 20) }).unwrap().fills.len(), 2);
}

#[test]
fn post_only_never_takes() {
    let mut book = market(SelfTrade::Allow);
    let post = |id, tick| LimitOrder { post_only: true, ..limit(id, Side::Buy, tick, 1) };
    assert_eq!(book.limit(post(9, 101)), Err(MatchError::WouldCross { id: OrderId(9), tick: 101, best: 101 }));
    assert!(book.limit(post(9, 100)).unwrap().resting);
}

#[test]
fn a_market_order_takes_what_there_is() {
    let mut book = market(SelfTrade::Allow);
    let done = book.market(OrderId(9), Side::Sell, 15, 0).unwrap();
    assert_eq!((done.fills, done.remaining), (&[fill(4, 9, 99, 10)][..], 5));
    assert_eq!(book.market(OrderId(9), Side::Sell, 5, 0).unwrap().fills, []);
}

#[test]
fn an_amendment_keeps_its_place_only_when_it_shrinks() {
    let mut book = market(SelfTrade::Allow);
    book.amend(OrderId(1), 101, 4, true).unwrap();
    assert_eq!(book.book().ahead(OrderId(2)), Some(4));
    book.amend(OrderId(1), 101, 5, true).unwrap();
    assert_eq!(book.book().ahead(OrderId(1)), Some(10));
}

#[test]
fn an_amendment_into_the_other_side_trades() {
    let mut book = market(SelfTrade::Allow);
    assert!(matches!(book.amend(OrderId(4), 101, 10, true), Err(MatchError::WouldCross { .. })));
    let done = book.amend(OrderId(4), 101, 12, false).unwrap();
    assert_eq!((done.fills.len(), done.remaining, done.resting), (2, 0, false));
    assert_eq!(book.cancel(OrderId(4)), Err(BookError::Unknown { id: OrderId(4) }.into()));
}

#[test]
fn the_policy_decides_about_trades_with_oneself() {
    let taker = || owned(1, limit(9, Side::Buy, 102, 5));
    assert_eq!(market(SelfTrade::Allow).limit(taker()).unwrap().fills.len(), 1);
    let mut book = market(SelfTrade::DropTaker);
    let dropped = book.limit(taker()).unwrap();
    assert_eq!((dropped.fills.len(), dropped.remaining, dropped.resting), (0, 5, false));
    let mut book = market(SelfTrade::WithdrawMaker);
    let went_on = book.limit(taker()).unwrap();
    assert_eq!(went_on.withdrawn.iter().map(|order| order.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(went_on.resting);
}

#[test]
fn fill_or_kill_does_not_count_ones_own_orders() {
    for policy in [SelfTrade::DropTaker, SelfTrade::WithdrawMaker] {
        let mut book = market(policy);
        book.limit(owned(2, limit(5, Side::Sell, 103, 7))).unwrap();
        let request = LimitOrder { tif: Tif::Fok, ..owned(1, limit(9, Side::Buy, 103, 8)) };
        assert!(matches!(book.limit(request), Err(MatchError::NotFillable { .. })), "{policy:?}");
    }
}

proptest! {
    #[test]
    fn lots_are_conserved_and_the_book_never_crosses(
        requests in prop::collection::vec((any::<bool>(), 95..106i32, 1..9u32, 0..4u8, 1..60u64), 1..150)
    ) {
        let mut book = MatchingBook::default();
        let rests = |book: &MatchingBook| -> u64 {
            [Side::Buy, Side::Sell].iter().flat_map(|&side| book.book().levels(side)).map(|(_, lots)| lots).sum()
        };
        for (buy, tick, lots, kind, id) in requests {
            let side = if buy { Side::Buy } else { Side::Sell };
            let before = rests(&book);
            let old = book.book().order(OrderId(id)).map_or(0, |order| u64::from(order.lots));
            let (asked, outcome) = match kind {
                0 => (u64::from(lots), book.market(OrderId(1_000), side, lots, 0)),
                1 => (u64::from(lots).wrapping_sub(old), book.amend(OrderId(id), tick, lots, false)),
                2 => (u64::from(lots), book.limit(LimitOrder { tif: Tif::Ioc, ..limit(id, side, tick, lots) })),
                _ => (u64::from(lots), book.limit(limit(id, side, tick, lots))),
            };
            let Ok(done) = outcome else {
                prop_assert_eq!(rests(&book), before); // refused: nothing changed
                continue;
            };
            let traded: u64 = done.fills.iter().map(|fill| u64::from(fill.lots)).sum();
            let dropped = if done.resting { 0 } else { u64::from(done.remaining) };
            prop_assert!(done.fills.iter().all(|fill| fill.lots > 0 && fill.maker != fill.taker));
            prop_assert_eq!(rests(&book), before.wrapping_add(asked) - 2 * traded - dropped);
            prop_assert!(!book.book().is_crossed());
            book.book().check_invariants();
        }
    }
}
