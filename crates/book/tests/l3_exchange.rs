//! The book by order rebuilt from an exchange's own order feed, against the ten-level snapshots the exchange publishes
//! beside it: an independent witness of adds, withdrawals and trades. (Source and licence: head of the fixture.)
#![allow(clippy::unwrap_used)] // a test may stop at once

use mmbot_book::{BookError, L3Book, RestingOrder};
use mmbot_types::{OrderId, Side};

type Levels = Vec<(i32, u64)>;

fn ten(book: &L3Book) -> [Levels; 2] {
    [Side::Buy, Side::Sell].map(|side| book.levels(side).take(10).collect())
}

fn snapshot(line: &str) -> [Levels; 2] {
    let (bids, asks) = line[2..].split_once('|').unwrap();
    [bids, asks].map(|side| {
        let levels = side.split_whitespace().map(|level| level.split_once(':').unwrap());
        levels.map(|(price, lots)| (price.parse().unwrap(), lots.parse().unwrap())).collect()
    })
}

/// One line of the feed. An order that trades on arrival is published only with what is left, so one side of a trade
/// may be no order of the book; that both are not would be a lost message.
fn apply(book: &mut L3Book, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    match words[0] {
        "A" => {
            let side = if words[2] == "B" { Side::Buy } else { Side::Sell };
            let (tick, lots) = (number(3) as i32, number(4) as u32);
            book.add(RestingOrder { id: OrderId(number(1)), side, tick, lots, owner: 0 }).unwrap();
        }
        "D" => assert_eq!(book.reduce(OrderId(number(1)), number(2) as u32), Ok(0)),
        _ => {
            let sides = [1, 2].map(|at| book.execute(OrderId(number(at)), number(3) as u32));
            let unknown = sides.iter().filter(|side| matches!(side, Err(BookError::Unknown { .. }))).count();
            assert!(unknown <= 1 && !sides.iter().any(|side| matches!(side, Err(BookError::TooMuch { .. }))), "{line}");
        }
    }
}

#[test]
fn every_snapshot_of_the_exchange_is_a_state_the_rebuilt_book_passes_through_in_order() {
    let lines = include_str!("fixtures/sse_600519.txt").lines().filter(|line| !line.starts_with('#'));
    let (snapshots, events): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("S "));
    let mut awaited = snapshots.into_iter().map(snapshot).peekable();
    let mut book = L3Book::new();
    let mut seen = 0;
    for event in events {
        apply(&mut book, event);
        while awaited.next_if(|levels| *levels == ten(&book)).is_some() {
            seen += 1;
        }
    }
    book.check_invariants();
    assert_eq!(awaited.next(), None, "after {seen} snapshots this one was never reached");
}
