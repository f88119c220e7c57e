//! What writing down costs: `cargo bench -p mmbot-journal`. One command is appended, or a batch of eight entries (a
//! wake, two intents, four commands, an event) is appended, written, and made durable, in a file of the given folder
//! (default: the system's temporary one, which may be memory); beside it, the same number of bytes by a bare write and
//! fdatasync.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // a benchmark reads the clock and prints
#![allow(clippy::unwrap_used)] // and may stop at once

use std::borrow::Cow;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use mmbot_engine::{Intent, Quote};
use mmbot_journal::{Entry, Heard, Journal, Reader, Reasons, Segments};
use mmbot_types::{Command, Event, InstrumentId, Lots, Nanos, OrderId, OrderRequest, Side, Ticks, Tif};

fn place(id: u64) -> Entry<'static> {
    Entry::Command(Command::Place {
        id: OrderId(id),
        request: OrderRequest {
            instrument: InstrumentId(0),
            side: Side::Buy,
            price: Ticks(616_597),
            qty: Lots(10),
            tif: Tif::Gtc,
            post_only: true,
            reduce_only: false,
        },
    })
}

fn batch() -> Vec<Entry<'static>> {
    let quote = |side, price| Quote { side, price: Ticks(price), qty: Lots(10) };
    let intent =
        Intent { quotes: [quote(Side::Buy, 1), quote(Side::Sell, 2)].into_iter().collect(), ..Intent::default() };
    let wanted = || Entry::Intent { instrument: InstrumentId(0), intent: Cow::Owned(intent.clone()) };
    let wake = Entry::Wake { reasons: Reasons(1), heard: [Heard { depth: 9, trades: 9 }].into_iter().collect() };
    let accepted = Event::OrderAccepted { id: OrderId(1), ts_venue: Nanos(1) };
    let mut batch = vec![wake, wanted(), wanted(), Entry::Event { event: accepted, words: "" }];
    batch.extend((1..5).map(place));
    batch
}

fn quantiles(name: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!("{name:<34} p50 {:>10.2?}   p99 {:>10.2?}   max {:>10.2?}", at(0.5), at(0.99), at(1.0));
}

fn main() {
    let folder = std::env::args().nth(1).filter(|arg| arg != "--bench").map_or_else(std::env::temp_dir, Into::into);
    let path = folder.join(format!("mmbot-bench-{}.journal", std::process::id()));
    let journal = Journal::create(&path, Segments::default(), Nanos(0), "{}").unwrap();

    let (entry, rounds) = (place(1), 400_000u32);
    let start = Instant::now();
    for at in 0..rounds {
        journal.append(Nanos(i64::from(at)), &entry).unwrap();
    }
    println!("{:<34} {:.0} ns each, writing included", "append", start.elapsed().as_nanos() as f64 / f64::from(rounds));

    let batch = batch();
    batch.iter().for_each(|entry| journal.append(Nanos(1 << 40), entry).unwrap());
    let (before, plain) = (std::fs::metadata(&path).unwrap().len(), folder.join("mmbot-bench.plain"));
    journal.flush().unwrap();
    let bytes = vec![7; (std::fs::metadata(&path).unwrap().len() - before) as usize];
    let mut file = File::create(&plain).unwrap();
    let took = (0..400).map(|_| {
        let start = Instant::now();
        file.write_all(&bytes).and_then(|()| file.sync_data()).unwrap();
        start.elapsed()
    });
    quantiles("as many bytes, write and fdatasync", took.collect());
    std::fs::remove_file(&plain).unwrap();
    for (name, rounds, durable) in [("8 entries and flush", 20_000, false), ("8 entries and sync", 400, true)] {
        let took = (0..rounds).map(|_| {
            let start = Instant::now();
            batch.iter().for_each(|entry| journal.append(Nanos(1 << 40), entry).unwrap());
            if durable { journal.sync() } else { journal.flush() }.unwrap();
            start.elapsed()
        });
        quantiles(name, took.collect());
    }

    let (start, mut reader, mut entries) = (Instant::now(), Reader::open(&path).unwrap(), 0u32);
    while reader.next_record().unwrap().is_some() {
        entries += 1;
    }
    println!("{:<34} {:.0} ns an entry", "read and verify", start.elapsed().as_nanos() as f64 / f64::from(entries));
    std::fs::remove_file(&path).unwrap();
}
