//! CPU cost of the books on a flow shaped like a real one: `cargo bench -p mmbot-book`.
//!
//! Depth messages of 68 levels around a wandering market, a third of them deletes and a few far away, as the Binance
//! futures feed sends them; order-level messages as half adds and half cancels with ten thousand live orders.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // a benchmark reads the clock and prints

use std::hint::black_box;
use std::time::Instant;

use mmbot_book::{L2Book, L3Book, RestingOrder};
use mmbot_types::{Level, OrderId, Side};

/// A small fixed generator (SplitMix64), so that each run measures the same flow.
struct Flow(u64);

impl Flow {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn side(&mut self, mid: i32, sign: i32) -> Vec<Level> {
        let mut levels: Vec<Level> = (0..34)
            .map(|_| {
                let distance =
                    if self.below(30) == 0 { self.below(300_000) } else { 1 + self.below(8) * self.below(400) };
                let lots = if self.below(3) == 0 { 0 } else { self.below(5_000) as u32 };
                Level { tick: (mid + sign * distance as i32).max(1), lots }
            })
            .collect();
        levels.sort_unstable_by_key(|level| level.tick);
        levels.dedup_by_key(|level| level.tick);
        levels
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn l2() -> f64 {
    let mut flow = Flow(1);
    let mut mid = 616_000;
    let messages: Vec<_> = (0..6_000)
        .map(|_| {
            mid += flow.below(5) as i32 - 2;
            (flow.side(mid, -1), flow.side(mid, 1))
        })
        .collect();
    let levels: usize = messages.iter().map(|(bids, asks)| bids.len() + asks.len()).sum();
    let mut book = L2Book::new();
    median(
        (0..15)
            .map(|_| {
                let start = Instant::now();
                for (bids, asks) in &messages {
                    book.apply(bids, asks).expect("sorted");
                    black_box(book.touch());
                }
                start.elapsed().as_nanos() as f64 / levels as f64
            })
            .collect(),
    )
}

fn l3() -> f64 {
    const LIVE: usize = 10_000;
    const STEPS: u64 = 400_000;
    let mut flow = Flow(2);
    let mut book = L3Book::new();
    let mut live: Vec<u64> = Vec::new();
    let mut next = 1;
    median(
        (0..9)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..STEPS {
                    let side = if flow.below(2) == 0 { Side::Buy } else { Side::Sell };
                    if live.len() < LIVE || flow.below(2) == 0 {
                        let tick = 50_000 - side.sign() as i32 * (1 + flow.below(200) as i32);
                        book.add(RestingOrder { id: OrderId(next), side, tick, lots: 5, owner: 0 }).expect("new id");
                        live.push(next);
                        next += 1;
                    } else {
                        let place = flow.below(live.len() as u64) as usize;
                        book.cancel(OrderId(live.swap_remove(place))).expect("live");
                    }
                    black_box(book.touch());
                }
                start.elapsed().as_nanos() as f64 / STEPS as f64
            })
            .collect(),
    )
}

fn main() {
    println!("l2 {:.2} ns per level, touch read per message", l2());
    println!("l3 {:.1} ns per message, generator included", l3());
}
