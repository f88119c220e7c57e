//! Tapes by order: each change of an order is told with its level, in every form, and what can not be is refused.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;

use mmbot_tape::{
    Level, MessageKind, OrderChange, OrderKind, PublicOrder, Section, Tape, TapeBuilder, TapeError, TapeWriter,
};
use mmbot_types::{ContractKind, FeeSchedule, Instrument, Side, Step, Touch};
use proptest::prelude::*;

fn instrument() -> Instrument {
    Instrument {
        venue: "sse".into(),
        symbol: "600519".into(),
        kind: ContractKind::Spot,
        tick: Step::parse("0.01").unwrap(),
        lot: Step::parse("1").unwrap(),
        contract: Step::parse("1").unwrap(),
        fees: FeeSchedule::flat(0, 0).unwrap(),
    }
}

fn order(id: u64, side: Side, tick: i32, lots: u32) -> PublicOrder {
    PublicOrder { id, side, level: Level { tick, lots } }
}

const START: [PublicOrder; 3] = [
    PublicOrder { id: 7, side: Side::Buy, level: Level { tick: 99, lots: 5 } },
    PublicOrder { id: 3, side: Side::Buy, level: Level { tick: 99, lots: 4 } },
    PublicOrder { id: 9, side: Side::Sell, level: Level { tick: 101, lots: 2 } },
];

fn built(changes: &[OrderChange]) -> Tape {
    let mut builder = TapeBuilder::new(instrument());
    builder.order_snapshot(10, 10, &START).unwrap();
    for (at, change) in changes.iter().enumerate() {
        let ts = 20 + at as i64;
        builder.order(ts, ts, *change).unwrap();
    }
    builder.finish_in_memory().unwrap()
}

fn a_short_day() -> Vec<OrderChange> {
    vec![
        OrderChange::Add(order(1, Side::Sell, 100, 6)),
        OrderChange::Execute { id: 7, lots: 3 },
        OrderChange::Reduce { id: 3, lots: 1 },
        OrderChange::Remove { id: 7 },
    ]
}

/// The levels follow the orders, an execution is a trade just before its level shrinks, and places in line are kept.
#[test]
fn each_change_is_told_with_its_level() {
    let tape = built(&a_short_day());
    let displayed = |message| {
        let (bids, asks) = tape.levels_of(message);
        [bids, asks].concat().iter().map(|level| (level.tick, level.lots)).collect::<Vec<_>>()
    };
    let levels: Vec<_> = tape.depth().iter().map(displayed).collect();
    assert_eq!(levels, [vec![(99, 9), (101, 2)], vec![(100, 6)], vec![(99, 6)], vec![(99, 5)], vec![(99, 3)]]);
    assert_eq!(tape.depth()[4].touch(), Touch { bid: 99, ask: 100 });
    let told: Vec<_> = tape.orders().iter().map(|o| (o.kind(), o.id, o.lots, o.depth, o.since)).collect();
    let at_start = START.map(|order| (OrderKind::Add, order.id, order.level.lots, 0, 0));
    let later = [
        (OrderKind::Add, 1, 6, 1, 1),
        (OrderKind::Execute, 7, 3, 2, 0),
        (OrderKind::Reduce, 3, 1, 3, 0),
        (OrderKind::Remove, 7, 2, 4, 0),
    ];
    assert_eq!(told, [&at_start[..], &later].concat());
    let [trade] = tape.trades() else { panic!("one execution is one trade") };
    assert_eq!((trade.tick, trade.lots, trade.aggressor(), trade.ts_venue), (99, 3, Side::Sell, 21));
    assert_eq!((trade.depth_before_recv, trade.venue_rank()), (2, 2));
}

/// The file writer, the memory builder and the packed form make one tape; only a tape by order needs version 2.
#[test]
fn all_forms_are_one_tape() {
    let directory = tempfile::tempdir().unwrap();
    let tape = built(&a_short_day());
    for (name, version) in [("a.tape", 2), ("a.tapez", 2), ("level.tape", 1), ("level.tapez", 1)] {
        let path = directory.path().join(name);
        let mut writer = TapeWriter::create(&path, instrument()).unwrap();
        if version == 2 {
            writer.order_snapshot(10, 10, &START).unwrap();
            for (at, change) in a_short_day().into_iter().enumerate() {
                writer.order(20 + at as i64, 20 + at as i64, change).unwrap();
            }
        } else {
            writer.depth(1, 1, MessageKind::Snapshot, &[Level { tick: 1, lots: 1 }], &[]).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap()[8], version, "{name}");
        let opened = Tape::open(&path).unwrap();
        opened.verify_all().unwrap();
        let same = (opened.tape_hash(), opened.orders()) == (tape.tape_hash(), tape.orders());
        assert_eq!(same, version == 2, "{name}");
    }
}

/// A change that can not be is refused with its value, and the tape goes on as if it had not come.
#[test]
fn impossible_changes_leave_no_trace() {
    let mut builder = TapeBuilder::new(instrument());
    let early = builder.order(1, 1, OrderChange::Remove { id: 7 }).unwrap_err().to_string();
    assert!(early.contains("a snapshot by order before it"), "{early}");
    let twice = [START[0], START[0]];
    assert!(builder.order_snapshot(10, 10, &twice).is_err());
    builder.order_snapshot(10, 10, &START).unwrap();
    for (refused, words) in [
        (builder.order(20, 20, OrderChange::Remove { id: 8 }), "order 8 does not fit"),
        (builder.order(20, 20, OrderChange::Add(order(7, Side::Buy, 98, 1))), "order 7 does not fit"),
        (builder.order(20, 20, OrderChange::Add(order(8, Side::Buy, 98, 0))), "quantity 0 does not fit"),
        (builder.order(20, 20, OrderChange::Add(order(8, Side::Buy, 0, 1))), "price 0 does not fit"),
        (builder.order(20, 20, OrderChange::Add(order(8, Side::Buy, 99, u32::MAX))), "sum of the orders at a price"),
        (builder.order(20, 20, OrderChange::Execute { id: 7, lots: 6 }), "quantity 6 does not fit"),
        (builder.order(20, 20, OrderChange::Reduce { id: 7, lots: 0 }), "quantity 0 does not fit"),
        (builder.order(-1, 20, OrderChange::Remove { id: 7 }), "receive time -1 does not fit"),
        (builder.depth(20, 20, MessageKind::Delta, &[Level { tick: 99, lots: 1 }], &[]), "by level"),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    }
    let tape = builder.finish_in_memory().unwrap();
    assert_eq!((tape.depth().len(), tape.orders().len(), tape.trades().len()), (1, 3, 0));
}

/// A tape that began by level stays by level; after a gap the book by order is unknown until the next snapshot.
#[test]
fn a_book_is_told_by_order_from_its_beginning() {
    let mut by_level = TapeBuilder::new(instrument());
    by_level.depth(5, 5, MessageKind::Snapshot, &[], &[]).unwrap();
    assert!(matches!(by_level.order_snapshot(6, 6, &START), Err(TapeError::Unfit { .. })));
    let mut by_order = TapeBuilder::new(instrument());
    by_order.order_snapshot(5, 5, &START).unwrap();
    by_order.depth(6, 6, MessageKind::Gap, &[], &[]).unwrap();
    assert!(by_order.order(7, 7, OrderChange::Remove { id: 7 }).is_err());
    by_order.order_snapshot(8, 8, &START[..1]).unwrap();
    by_order.order(9, 9, OrderChange::Remove { id: 7 }).unwrap();
    let tape = by_order.finish_in_memory().unwrap();
    assert_eq!(tape.orders().iter().map(|order| order.since).collect::<Vec<_>>(), [0, 0, 0, 2, 2]);
}

/// A public that could be: additions, and changes of orders that rest. The line of the obvious twin, oldest first.
fn flow(rolls: &[(u8, u8, u8)]) -> (Vec<OrderChange>, Vec<PublicOrder>) {
    let (mut line, mut changes) = (START.to_vec(), Vec::new());
    for (at, (what, which, lots)) in rolls.iter().enumerate() {
        let (which, lots) = (usize::from(*which) % line.len().max(1), u32::from(*lots) + 1);
        let id = 100 + at as u64;
        changes.push(match line.get(which).copied() {
            Some(PublicOrder { id, .. }) if *what == 1 => {
                line.remove(which);
                OrderChange::Remove { id }
            }
            Some(PublicOrder { id, level, .. }) if *what > 1 && level.lots > lots => {
                line[which].level.lots -= lots;
                if *what == 2 { OrderChange::Reduce { id, lots } } else { OrderChange::Execute { id, lots } }
            }
            _ => {
                let side = if which % 2 == 0 { Side::Buy } else { Side::Sell };
                let new = order(id, side, 100 - side.sign() as i32 * (1 + i32::from(*what)), lots);
                line.push(new);
                OrderChange::Add(new)
            }
        });
    }
    (changes, line)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What stands in front of who joins now is what the twin's line holds: `since` tells it from what comes later.
    #[test]
    fn who_came_first_is_told_by_the_depth_messages_before(
        rolls in prop::collection::vec((0..4u8, 0..20u8, 0..9u8), 0..60),
        joined in 0..60usize,
    ) {
        let (changes, line) = flow(&rolls);
        let tape = built(&changes);
        let joined = 1 + joined.min(rolls.len());
        let (_, before) = flow(&rolls[..joined - 1]);
        for order in tape.orders() {
            let stood_there = before.iter().any(|held| held.id == order.id);
            let still_to_change = order.depth as usize >= joined;
            if still_to_change && order.kind() != OrderKind::Add {
                prop_assert_eq!(stood_there, (order.since as usize) < joined);
            }
        }
        let mut sums = std::collections::BTreeMap::new();
        for PublicOrder { level, .. } in line {
            *sums.entry(level.tick).or_insert(0) += level.lots;
        }
        let mut shown = std::collections::BTreeMap::new();
        for level in tape.levels() {
            shown.insert(level.tick, level.lots);
        }
        shown.retain(|_, lots| *lots > 0);
        prop_assert_eq!(shown, sums);
    }

    /// A changed byte is found, or it is in the head of the archive and changes nothing.
    #[test]
    fn fuzz_order_records_show_a_changed_byte(at: usize, bits in 1..=255u8, packed: bool) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(if packed { "a.tapez" } else { "a.tape" });
        let tape = built(&a_short_day());
        if packed { mmbot_tape::pack(&tape, &path).unwrap() } else { mmbot_tape::copy(&tape, &path).unwrap() }
        let mut bytes = fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= bits;
        fs::write(&path, bytes).unwrap();
        if let Ok(opened) = Tape::open(&path) && opened.verify_upto(Section::Orders, usize::MAX).is_ok() {
            prop_assert_eq!((opened.tape_hash(), opened.orders()), (tape.tape_hash(), tape.orders()));
        }
    }
}
