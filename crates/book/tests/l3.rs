//! The book by order against its twin, and its rules of priority.
#![allow(clippy::unwrap_used)] // a test may stop at once

use mmbot_book::reference::L3Reference;
use mmbot_book::{BookError, L3Book, RestingOrder};
use mmbot_types::{OrderId, Side, Touch};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    Add(RestingOrder),
    Reduce(u64, u32),
    Cancel(u64),
    Modify(u64, i32, u32),
}

fn order(id: u64, side: Side, tick: i32, lots: u32) -> RestingOrder {
    RestingOrder { id: OrderId(id), side, tick, lots, owner: 0 }
}

fn op() -> impl Strategy<Value = Op> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let tick = || prop_oneof![10 => 1_015..1_035i32, 1 => -1..=i32::MAX];
    prop_oneof![
        4 => (0..40u64, side, tick(), 0..9u32).prop_map(|(id, side, tick, lots)| Op::Add(order(id, side, tick, lots))),
        2 => (0..40u64, 0..9u32).prop_map(|(id, lots)| Op::Reduce(id, lots)),
        1 => (0..40u64).prop_map(Op::Cancel),
        2 => (0..40u64, tick(), 0..9u32).prop_map(|(id, tick, lots)| Op::Modify(id, tick, lots)),
    ]
}

proptest! {
    #[test]
    fn the_linked_book_is_its_twin(ops in prop::collection::vec(op(), 1..200)) {
        let (mut book, mut twin) = (L3Book::new(), L3Reference::default());
        for op in ops {
            match op {
                Op::Add(order) => prop_assert_eq!(book.add(order), twin.add(order)),
                Op::Reduce(id, lots) => prop_assert_eq!(book.reduce(OrderId(id), lots), twin.reduce(OrderId(id), lots)),
                Op::Cancel(id) => prop_assert_eq!(book.cancel(OrderId(id)), twin.cancel(OrderId(id))),
                Op::Modify(id, tick, lots) => {
                    prop_assert_eq!(book.modify(OrderId(id), tick, lots), twin.modify(OrderId(id), tick, lots));
                }
            }
            prop_assert_eq!(book.touch(), twin.touch());
            prop_assert_eq!(book.state_hash(), twin.state_hash());
        }
        book.check_invariants();
        for side in [Side::Buy, Side::Sell] {
            let orders = twin.orders(side);
            prop_assert_eq!(book.orders(side).collect::<Vec<_>>(), orders.clone());
            for order in orders {
                prop_assert_eq!(book.ahead(order.id), twin.ahead(order.id));
            }
        }
    }
}

/// Three orders of 10 lots in line at one price.
fn line() -> L3Book {
    let mut book = L3Book::new();
    for id in 1..=3 {
        book.add(order(id, Side::Buy, 100, 10)).unwrap();
    }
    book
}

#[test]
fn less_at_the_same_price_keeps_the_place() {
    let mut book = line();
    book.modify(OrderId(1), 100, 4).unwrap();
    assert_eq!(book.ahead(OrderId(2)), Some(4));
    assert_eq!(book.ahead(OrderId(3)), Some(14));
}

#[test]
fn more_or_another_price_goes_to_the_back() {
    let mut book = line();
    book.modify(OrderId(1), 100, 11).unwrap();
    assert_eq!(book.ahead(OrderId(1)), Some(20));
    book.modify(OrderId(2), 101, 10).unwrap();
    book.modify(OrderId(2), 100, 10).unwrap();
    assert_eq!(book.orders(Side::Buy).map(|o| o.id.0).collect::<Vec<_>>(), [3, 1, 2]);
}

#[test]
fn an_execution_moves_everyone_up() {
    let mut book = line();
    assert_eq!(book.execute(OrderId(1), 10), Ok(0));
    assert_eq!(book.ahead(OrderId(2)), Some(0));
    assert_eq!((book.lots(Side::Buy, 100), book.len()), (20, 2));
    assert_eq!(book.execute(OrderId(1), 1), Err(BookError::Unknown { id: OrderId(1) }));
}

#[test]
fn the_last_order_takes_its_level_along() {
    let mut book = line();
    book.add(order(9, Side::Buy, 5, 1)).unwrap();
    for id in 1..=3 {
        book.cancel(OrderId(id)).unwrap();
    }
    assert_eq!(book.touch(), Touch { bid: 5, ..Touch::EMPTY });
    assert_eq!(book.levels(Side::Buy).collect::<Vec<_>>(), [(5, 1)]);
    book.clear();
    assert!(book.is_empty() && book.touch() == Touch::EMPTY);
    book.check_invariants();
}

#[test]
fn a_million_lots_in_one_level_do_not_overflow() {
    let mut book = L3Book::new();
    book.add(order(1, Side::Sell, 7, u32::MAX)).unwrap();
    book.add(order(2, Side::Sell, 7, u32::MAX)).unwrap();
    assert_eq!(book.lots(Side::Sell, 7), 2 * u64::from(u32::MAX));
}
