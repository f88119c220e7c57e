//! What one level of a real capture costs hftbacktest's own books, the touch read after each message.
//!
//! `hft-book EVENTS.npy TICK LOT [ROUNDS]` prints one JSON line. EVENTS.npy is the array of tape_to_hft.py; each round
//! starts from an empty book, the figure is the median round.

use std::hint::black_box;
use std::time::Instant;

use hftbacktest::depth::{HashMapMarketDepth, L2MarketDepth, MarketDepth, ROIVectorMarketDepth};
use hftbacktest::types::Side;

const ROW: usize = 64;
const EXCH: u64 = 1 << 31;
const BUY: u64 = 1 << 29;
const DEPTH_EVENT: u64 = 1;
const CLEAR_EVENT: u64 = 3;
const SNAPSHOT_EVENT: u64 = 4;

#[derive(Clone, Copy)]
struct Row {
    kind: u64,
    is_bid: bool,
    price: f64,
    qty: f64,
    ts: i64,
}

/// The book rows of a `.npy` of 64-byte events: ev u64, exch_ts i64, local_ts i64, px f64, qty f64, …
fn read(path: &str) -> Vec<Row> {
    let bytes = std::fs::read(path).expect("the event array");
    assert_eq!(&bytes[..6], b"\x93NUMPY", "{path} is no .npy file");
    let header = if bytes[6] == 1 {
        10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize
    } else {
        12 + u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize
    };
    let rows = bytes[header..].chunks_exact(ROW).map(|row| {
        let word = |at: usize| u64::from_le_bytes(row[8 * at..8 * at + 8].try_into().expect("eight bytes"));
        let ev = word(0);
        Row {
            kind: ev & 0xFF | ev & EXCH,
            is_bid: ev & BUY != 0,
            ts: word(2) as i64,
            price: f64::from_bits(word(3)),
            qty: f64::from_bits(word(4)),
        }
    });
    let book = [DEPTH_EVENT, CLEAR_EVENT, SNAPSHOT_EVENT].map(|kind| kind | EXCH);
    rows.filter(|row| book.contains(&row.kind)).map(|row| Row { kind: row.kind & 0xFF, ..row }).collect()
}

fn pass<B: L2MarketDepth + MarketDepth>(rows: &[Row], mut book: B) -> (i64, i64) {
    let mut heard = i64::MIN;
    for row in rows {
        if row.ts != heard {
            black_box((book.best_bid_tick(), book.best_ask_tick()));
            heard = row.ts;
        }
        if row.kind == CLEAR_EVENT {
            book.clear_depth(if row.is_bid { Side::Buy } else { Side::Sell }, row.price);
        } else if row.is_bid {
            black_box(book.update_bid_depth(row.price, row.qty, row.ts));
        } else {
            black_box(book.update_ask_depth(row.price, row.qty, row.ts));
        }
    }
    (book.best_bid_tick(), book.best_ask_tick())
}

fn cost<B: L2MarketDepth + MarketDepth>(rows: &[Row], rounds: usize, build: impl Fn() -> B) -> (f64, (i64, i64)) {
    let levels = rows.iter().filter(|row| row.kind != CLEAR_EVENT).count();
    let mut touch = (0, 0);
    let mut rates: Vec<f64> = (0..=rounds)
        .map(|_| {
            let book = build();
            let start = Instant::now();
            touch = black_box(pass(rows, book));
            start.elapsed().as_nanos() as f64 / levels as f64
        })
        .skip(1)
        .collect();
    rates.sort_unstable_by(f64::total_cmp);
    (rates[rates.len() / 2], touch)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, tick, lot, ..] = arguments.as_slice() else { panic!("usage: hft-book EVENTS.npy TICK LOT [ROUNDS]") };
    let rounds = arguments.get(3).map_or(15, |text| text.parse().expect("ROUNDS is a number"));
    let (tick, lot): (f64, f64) = (tick.parse().expect("a tick"), lot.parse().expect("a lot"));
    let rows = read(path);
    let middle = rows.iter().find(|row| row.kind != CLEAR_EVENT).expect("a level").price;
    let bound = |share: f64| (middle * share / tick).round() * tick;
    let (roi, touch) = cost(&rows, rounds, || ROIVectorMarketDepth::new(tick, lot, bound(0.9), bound(1.1)));
    let (hash, hash_touch) = cost(&rows, rounds, || HashMapMarketDepth::new(tick, lot));
    assert_eq!(touch, hash_touch, "the two books end differently");
    println!(r#"{{"bid": {}, "ask": {}, "roi_ns": {roi:.3}, "hash_ns": {hash:.3}}}"#, touch.0, touch.1);
}
