//! What one level of a real capture costs the book, the touch read after each message.
//!
//! `cargo run --release -p mmbot-replay --example book_alone -- X1.tape [ROUNDS]` prints one JSON line. Each round
//! starts from an empty book; the figure is the median round, in wall time, so a busy machine shows.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // a benchmark reads the clock and prints

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use mmbot_book::{BookError, L2Book};
use mmbot_tape::{Level, MessageKind, Tape};

type Apply = fn(&mut L2Book, &[Level], &[Level]) -> Result<(), BookError>;

/// One pass over the tape; the book that it ends with.
fn pass(tape: &Tape, apply: Apply) -> Result<L2Book, BookError> {
    let mut book = L2Book::new();
    for message in tape.depth() {
        let (bids, asks) = tape.levels_of(message);
        match message.kind() {
            MessageKind::Delta => apply(&mut book, bids, asks)?,
            MessageKind::Snapshot | MessageKind::Gap => book.replace(bids, asks)?,
        }
        black_box(book.touch());
    }
    Ok(book)
}

/// Median nanoseconds per level over `rounds` passes after an unmeasured one.
fn cost(tape: &Tape, rounds: usize, apply: Apply) -> Result<f64, BookError> {
    let mut rates = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        let start = Instant::now();
        black_box(pass(tape, apply)?);
        if round > 0 {
            rates.push(start.elapsed().as_nanos() as f64 / tape.levels().len() as f64);
        }
    }
    rates.sort_unstable_by(f64::total_cmp);
    Ok(rates[rates.len() / 2])
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which tape? usage: book_alone X1.tape [ROUNDS]")?;
    let rounds: usize = arguments.next().map_or(Ok(15), |text| text.parse())?;
    if rounds == 0 {
        return Err("at least one round is needed, got 0".into());
    }
    let tape = Tape::open(&path)?;
    tape.verify_all()?;
    let touch = pass(&tape, L2Book::apply)?.touch();
    println!(
        r#"{{"levels": {}, "messages": {}, "bid": {}, "ask": {}, "checked_ns": {:.3}, "verified_ns": {:.3}}}"#,
        tape.levels().len(),
        tape.depth().len(),
        touch.bid,
        touch.ask,
        cost(&tape, rounds, L2Book::apply)?,
        cost(&tape, rounds, L2Book::apply_verified)?,
    );
    Ok(())
}
