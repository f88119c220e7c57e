//! Executes `tests/spec/venue.md`: the venue's laws as tables a trader reads.
#![allow(clippy::unwrap_used)] // a test may stop at once

use std::collections::BTreeMap;
use std::sync::Arc;

use mmbot_book::L2Book;
use mmbot_sim::{FillRule, LatencyModel, Laws, LocalBook, QueueModel, Venue, VenueListing, apply};
use mmbot_tape::{MessageKind, Tape, TapeBuilder};
use mmbot_types::{
    Cash, Command, ContractKind, Event, FeeSchedule, Instrument, InstrumentId, Level, Lots, Nanos, OrderId,
    OrderRequest, Side, Step, Ticks, Tif,
};

const SPEC: &str = include_str!("../../../tests/spec/venue.md");
const XYZ: InstrumentId = InstrumentId(0);

/// The rows of each table, without its header, under the heading it stands below.
fn tables() -> BTreeMap<&'static str, Vec<Vec<&'static str>>> {
    let (mut title, mut tables) = ("", BTreeMap::<_, Vec<Vec<_>>>::new());
    for line in SPEC.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            title = heading;
        } else if let Some(cells) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) {
            tables.entry(title).or_default().push(cells.split('|').map(str::trim).collect());
        }
    }
    tables.values_mut().for_each(|rows| drop(rows.drain(..2)));
    tables
}

fn at(text: &str) -> (i64, i64) {
    let (lots, tick) = text.split_once('@').unwrap_or_else(|| panic!("{text:?}: expected lots@tick"));
    (lots.parse().unwrap(), tick.parse().unwrap())
}

fn level(text: &str) -> Level {
    let (lots, tick) = at(text);
    Level { tick: tick as i32, lots: lots as u32 }
}

fn instrument() -> Instrument {
    let one = || Step::parse("1").unwrap();
    Instrument {
        venue: "test".into(),
        symbol: "XYZ".into(),
        kind: ContractKind::Linear,
        tick: one(),
        lot: one(),
        contract: one(),
        fees: FeeSchedule::flat(10_000, 55_000).unwrap(),
    }
}

/// What the market does in each row, at the time of its number.
fn tape(rows: &[Vec<&str>]) -> Arc<Tape> {
    let mut tape = TapeBuilder::new(instrument());
    for (time, row) in (1i64..).zip(rows) {
        let (verb, rest) = row[0].split_once(' ').unwrap_or((row[0], ""));
        let levels = || {
            let (bids, asks) = rest.split_once('/').unwrap_or_else(|| panic!("{:?}: expected bids / asks", row[0]));
            let side = |text: &str| text.split_whitespace().map(level).collect::<Vec<_>>();
            (side(bids), side(asks))
        };
        match verb {
            "book" => tape.depth(time, time, MessageKind::Snapshot, &levels().0, &levels().1).unwrap(),
            "delta" => tape.depth(time, time, MessageKind::Delta, &levels().0, &levels().1).unwrap(),
            "gap" => tape.depth(time, time, MessageKind::Gap, &[], &[]).unwrap(),
            "sold" => tape.trade(time, time, level(rest), Side::Sell).unwrap(),
            "bought" => tape.trade(time, time, level(rest), Side::Buy).unwrap(),
            "funding" => {
                let (rate, mark) = rest.split_once(" % at ").unwrap();
                let rate = Step { mantissa: 1, scale: 6 }.count(rate.trim_start_matches('-')).unwrap()
                    * if rate.starts_with('-') { -1 } else { 1 };
                tape.funding(time, time, rate, mark.parse().unwrap()).unwrap();
            }
            own => assert!(own.ends_with(':'), "no such event: {:?}", row[0]),
        }
    }
    Arc::new(tape.finish_in_memory().unwrap())
}

fn id_of(name: &str) -> OrderId {
    OrderId(u64::from(name.as_bytes()[0] - b'a') + 1)
}

/// Our part of a row, if it is ours.
fn command(row: &str) -> Option<Command> {
    let (name, rest) = row.split_once(": ")?;
    let (id, words) = (id_of(name), rest.split_whitespace().collect::<Vec<_>>());
    let terms = || words.get(1).map_or((0, 0), |text| at(text));
    let ((qty, price), said) = (terms(), |word| words.contains(&word));
    Some(match words[0] {
        "cancel" => Command::Cancel { id },
        "amend" => Command::Amend { id, price: Ticks(price), qty: Lots(qty) },
        side => {
            let side = if side == "buy" { Side::Buy } else { Side::Sell };
            let tif = if said("ioc") { Tif::Ioc } else { [Tif::Gtc, Tif::Fok][usize::from(said("fok"))] };
            let (post_only, reduce_only) = (said("post"), said("reduce"));
            let (price, qty) = (Ticks(price), Lots(qty));
            Command::Place {
                id,
                request: OrderRequest { instrument: XYZ, side, price, qty, tif, post_only, reduce_only },
            }
        }
    })
}

/// A sum of money as a trader writes it.
fn decimal(cash: Cash) -> String {
    let digits = format!("{:013}", cash.0.abs());
    let (whole, fraction) = digits.split_at(digits.len() - 12);
    let sign = if cash < Cash::ZERO { "-" } else { "" };
    format!("{sign}{whole}.{fraction}").trim_end_matches('0').trim_end_matches('.').into()
}

/// An answer in the words of the tables, and its fee.
fn words(event: &Event) -> (String, Option<Cash>) {
    let name = |id: OrderId| char::from(b'a' + id.0 as u8 - 1);
    let text = match *event {
        Event::OrderAccepted { id, .. } => format!("{} accepted", name(id)),
        Event::OrderRejected { id, reason, .. } => format!("{} rejected {reason:?}", name(id)),
        Event::OrderCanceled { id, cum, .. } => format!("{} canceled, {} done", name(id), cum.0),
        Event::OrderAmended { id, price, qty, .. } => format!("{} amended {}@{}", name(id), qty.0, price.0),
        Event::AmendRefused { id, reason, .. } | Event::CancelRefused { id, reason, .. } => {
            format!("{} refused {reason:?}", name(id))
        }
        Event::FundingPaid { amount, .. } => format!("funding {}", decimal(amount)),
        Event::Filled { id, price, qty, maker, fee, .. } => {
            let role = if maker { "maker" } else { "taker" };
            return (format!("{} filled {}@{} {role}", name(id), qty.0, price.0), Some(fee));
        }
        other => panic!("the simulated venue never says {other:?}"),
    };
    (text, None)
}

/// Lets every row happen and holds the venue's answers against it.
fn execute(title: &str, rows: &[Vec<&str>], full_book: bool) {
    let zero = LatencyModel::Constant(Nanos(0));
    let laws = Laws {
        queue: QueueModel::RiskAverse,
        entry: zero.clone(),
        response: zero,
        fill: FillRule::Partial,
        consume_liquidity: true,
        full_book,
        volume_before: Cash::ZERO,
    };
    let tape = tape(rows);
    let mut venue = Venue::new(vec![VenueListing { tape: Arc::clone(&tape), instrument: instrument(), laws }], 1);
    let (mut book, mut cursor) = (L2Book::new(), 0);
    for (now, row) in (1i64..).map(Nanos).zip(rows) {
        if let Some(command) = command(row[0]) {
            venue.accept(0, XYZ, command, now);
        }
        venue.run(&[LocalBook { book: &book, cursor }], now, false).unwrap();
        while let Some(message) = tape.depth().get(cursor).filter(|message| message.ts_recv <= now.0) {
            apply(&mut book, &tape, message).unwrap();
            cursor += 1;
        }
        venue.arrive(&[LocalBook { book: &book, cursor }]).unwrap();
        venue.settle_funding(now);
        venue.check_invariants();
        let said: Vec<_> = std::iter::from_fn(|| venue.next_response(0, now)).map(|r| words(&r.event)).collect();
        let text = said.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join("; ");
        assert_eq!(text, row[1], "venue.md, {title:?}, row {}: {}", now.0, row[0]);
        if let Some(fee) = row.get(2) {
            let paid = said.iter().filter_map(|(_, fee)| *fee).map(decimal).collect::<Vec<_>>().join("; ");
            assert_eq!(paid, *fee, "venue.md, {title:?}, row {}: fee of {}", now.0, row[0]);
        }
    }
}

/// Every row of every table, by the thin view and by the full book.
#[test]
fn the_venue_answers_as_the_tables_say() {
    let tables = tables();
    assert_eq!(tables.len(), SPEC.matches("\n## ").count(), "every heading has its table");
    for (title, rows) in &tables {
        execute(title, rows, false);
        execute(title, rows, true);
    }
}
