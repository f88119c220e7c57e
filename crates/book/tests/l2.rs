//! The paged book by price against its twin, and against what a broken feed sends.
#![allow(clippy::unwrap_used)] // a test may stop at once

use mmbot_book::reference::L2Reference;
use mmbot_book::{BookError, L2Book, PAGES_MAX, TICK_MAX};
use mmbot_types::{Level, NO_ASK, NO_BID, Side, Touch};
use proptest::prelude::*;

fn level(tick: i32, lots: u32) -> Level {
    Level { tick, lots }
}

/// Mostly near the market, sometimes at the ends of the price axis and on the seams between pages.
fn tick() -> impl Strategy<Value = i32> {
    prop_oneof![
        8 => 990..1_060i32,
        2 => 1..200_000i32,
        1 => 1..=TICK_MAX,
        1 => prop_oneof![Just(1), Just(TICK_MAX), Just(1_023), Just(1_024), Just(2_047), Just(2_048)],
    ]
}

/// One side of a message: rising prices, a third of them deletes (of absent levels too).
fn side() -> impl Strategy<Value = Vec<Level>> {
    let lots = prop_oneof![1 => Just(0), 2 => 1..=u32::MAX];
    prop::collection::btree_map(tick(), lots, 0..12)
        .prop_map(|levels| levels.into_iter().map(|(t, l)| level(t, l)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_paged_book_is_its_twin(messages in prop::collection::vec((0..10, side(), side()), 1..60)) {
        let (mut book, mut twin) = (L2Book::new(), L2Reference::default());
        for (kind, bids, asks) in messages {
            if kind == 0 {
                book.replace(&bids, &asks).unwrap();
                twin.replace(&bids, &asks).unwrap();
            } else {
                book.apply(&bids, &asks).unwrap();
                twin.apply(&bids, &asks).unwrap();
            }
            prop_assert_eq!(book.touch(), twin.touch());
            prop_assert_eq!(book.is_crossed(), twin.touch().bid >= twin.touch().ask);
            prop_assert_eq!(book.state_hash(), twin.state_hash());
            for side in [Side::Buy, Side::Sell] {
                prop_assert_eq!(book.levels(side).collect::<Vec<_>>(), twin.levels(side));
            }
            for bid in bids {
                prop_assert_eq!(book.lots(Side::Buy, bid.tick), bid.lots);
            }
        }
        book.check_invariants();
    }

    #[test]
    fn a_hostile_message_is_refused_or_taken_whole(
        ticks in prop::collection::vec(any::<i32>(), 0..6),
        lots in 0..3u32,
    ) {
        let mut book = L2Book::new();
        book.apply(&[level(99, 5)], &[level(101, 7)]).unwrap();
        let before = book.state_hash();
        let levels: Vec<Level> = ticks.iter().map(|&tick| level(tick, lots)).collect();
        let sound = ticks.windows(2).all(|p| p[0] < p[1]) && ticks.iter().all(|t| (1..=TICK_MAX).contains(t));
        prop_assert_eq!(book.apply(&[level(98, 1)], &levels).is_ok(), sound);
        prop_assert_eq!(book.state_hash() == before, !sound);
        book.check_invariants();
    }
}

#[test]
fn the_touch_moves_only_when_the_best_does() {
    let mut book = L2Book::new();
    assert_eq!(book.touch(), Touch::EMPTY);
    book.apply(&[level(98, 1), level(99, 5)], &[level(101, 7), level(5_000, 2)]).unwrap();
    book.apply(&[level(150, 0)], &[level(60, 0)]).unwrap(); // deletes far through the touch
    assert_eq!(book.touch(), Touch { bid: 99, ask: 101 });
    book.apply(&[level(99, 0)], &[level(101, 0)]).unwrap();
    assert_eq!(book.touch(), Touch { bid: 98, ask: 5_000 }); // across a page
    book.apply(&[level(98, 0)], &[level(5_000, 0)]).unwrap();
    assert_eq!(book.touch(), Touch { bid: NO_BID, ask: NO_ASK });
    assert_eq!(book.levels(Side::Buy).count() + book.levels(Side::Sell).count(), 0);
}

#[test]
fn a_crossed_book_is_shown_as_it_is() {
    let mut book = L2Book::new();
    book.apply(&[level(102, 1)], &[level(101, 1)]).unwrap();
    assert!(book.is_crossed());
    book.apply(&[level(102, 0)], &[]).unwrap();
    assert!(!book.is_crossed());
}

#[test]
fn an_unknown_price_holds_nothing() {
    let book = L2Book::new();
    assert!([i32::MIN, -1, 0, 1, i32::MAX].iter().all(|&tick| book.lots(Side::Buy, tick) == 0));
}

#[test]
fn a_refusal_names_what_was_wrong() {
    let mut book = L2Book::new();
    let twice = book.apply(&[level(5, 1), level(5, 2)], &[]).unwrap_err();
    assert_eq!(twice, BookError::NotAscending { side: Side::Buy, before: 5, tick: 5 });
    assert_eq!(book.apply(&[], &[level(0, 1)]).unwrap_err(), BookError::Tick { side: Side::Sell, tick: 0 });
    assert!(
        book.apply(&[], &[level(i32::MAX, 1)])
            .unwrap_err()
            .to_string()
            .contains("2147483647 ticks is outside 1..=2147483646")
    );
}

#[test]
fn scattered_prices_are_refused_before_they_eat_the_memory() {
    let scattered: Vec<Level> = (0..PAGES_MAX as i32).map(|i| level(i * 4_096 + 1, 1)).collect();
    let mut book = L2Book::new();
    book.apply(&[level(99, 5)], &[]).unwrap();
    let before = book.state_hash();
    assert_eq!(book.apply(&scattered, &[]), Err(BookError::Scattered { side: Side::Buy }));
    assert_eq!(book.replace(&[], &scattered), Err(BookError::Scattered { side: Side::Sell }));
    assert_eq!(book.state_hash(), before);
    let deletes: Vec<Level> = scattered.iter().map(|l| level(l.tick, 0)).collect();
    book.apply(&deletes, &[]).unwrap(); // deleting what is not there costs no memory
    let dense: Vec<Level> = (1..=PAGES_MAX as i32 + 100).map(|tick| level(tick, 1)).collect();
    book.apply(&dense, &[]).unwrap(); // many levels on few pages are no problem
    book.check_invariants();
}
