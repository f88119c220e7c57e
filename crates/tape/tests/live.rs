//! A tape that is being written: what is read of it, what it becomes, and what is left of it when its writer is gone.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use mmbot_tape::{LiveTape, MessageKind, Section, Tape, TapeError, TradeMessage};
use mmbot_types::{Side, Touch};
use proptest::prelude::*;

mod said;

use said::Said::{self, Depth, Trade};
use said::{a_short_day, add, built, cases, instrument, level, said, write};

fn live_at(directory: &Path) -> LiveTape {
    LiveTape::create(directory, instrument()).unwrap()
}

/// The bytes of the tape that `said` makes in one go.
fn whole(said: &[Said]) -> Vec<u8> {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("whole.tape");
    write(said, &path);
    fs::read(path).unwrap()
}

fn sealed(live: LiveTape) -> Vec<u8> {
    let path = live.directory().with_extension("tape");
    let directory = live.directory().to_path_buf();
    live.seal(&path).unwrap();
    assert!(!directory.exists(), "a sealed tape leaves no directory");
    fs::read(path).unwrap()
}

/// A reader sees each message as soon as it is added, with the records and the touch of the finished tape.
#[test]
fn a_tape_is_read_while_it_is_written() {
    let room = tempfile::tempdir().unwrap();
    let mut live = live_at(&room.path().join("x.live"));
    let tape = Arc::clone(live.tape());
    assert_eq!((tape.span(), tape.events(), tape.tape_hash(), tape.is_growing()), (None, 0, 0, true));
    for (at, message) in a_short_day().iter().enumerate() {
        add(&mut live, message).unwrap();
        let so_far = built(&a_short_day()[..=at]);
        assert_eq!((tape.depth(), tape.levels(), tape.funding()), (so_far.depth(), so_far.levels(), so_far.funding()));
        assert_eq!((tape.span(), tape.events(), tape.counts()), (so_far.span(), so_far.events(), so_far.counts()));
        assert_eq!(tape.touch_at(95), so_far.touch_at(95));
        tape.verify_upto(Section::Depth, usize::MAX).unwrap();
    }
    assert!(mmbot_tape::copy(&tape, &room.path().join("y.tape")).unwrap_err().to_string().contains("seal it"));
    assert_eq!(live.book(), Some([vec![level(9, 2), level(10, 1)], vec![level(12, 3)]]));
    assert_eq!(live.bytes(), 2 * 40 + 5 * 8 + 2 * 32 + 32);
    assert_eq!(sealed(live), whole(&a_short_day()));
    assert_eq!(tape.placed_trades(), built(&a_short_day()).trades(), "a view outlives the directory");
    assert_eq!(tape.settled(), i64::MAX);
}

/// Trades get their places up to the settled time; what comes later than that is moved behind it and counted.
#[test]
fn a_settled_time_is_over() {
    let room = tempfile::tempdir().unwrap();
    let mut live = live_at(&room.path().join("x.live"));
    let tape = Arc::clone(live.tape());
    let messages = [
        Depth(100, 90, MessageKind::Snapshot, vec![level(10, 1)], vec![]),
        Trade(101, 92, level(10, 1), Side::Sell),
        Trade(102, 97, level(10, 1), Side::Sell),
        Depth(103, 91, MessageKind::Delta, vec![level(10, 2)], vec![]), // heard last, happened before both trades
    ];
    messages.iter().for_each(|message| add(&mut live, message).unwrap());
    assert_eq!((tape.trades().len(), tape.placed_trades().len(), tape.settled()), (2, 0, i64::MIN));
    live.settle(95).unwrap();
    let ranks = |trades: &[TradeMessage]| trades.iter().map(TradeMessage::venue_rank).collect::<Vec<_>>();
    assert_eq!((ranks(tape.placed_trades()), tape.settled(), live.late()), (vec![2], 95, 0));
    live.settle(94).unwrap();
    assert_eq!(tape.settled(), 95, "what is over stays over");
    add(&mut live, &Depth(105, 93, MessageKind::Delta, vec![level(10, 3)], vec![])).unwrap();
    assert_eq!((tape.depth()[2].ts_venue, live.late(), tape.counts().venue_corrections), (96, 1, 1));
    live.settle(200).unwrap();
    assert_eq!(ranks(tape.placed_trades()), [2, 3]);
    add(&mut live, &Trade(150, 150, level(10, 1), Side::Buy)).unwrap();
    assert_eq!((tape.trades()[2].ts_venue, tape.trades()[2].ts_recv), (201, 201));
    let bytes = sealed(live);
    let path = room.path().join("x.tape");
    assert_eq!(ranks(Tape::open(&path).unwrap().trades()), [2, 3, 3]);
    assert!(!bytes.is_empty());
}

/// One directory, one writer; a directory that holds no tape is named for what it is.
#[test]
fn a_directory_is_checked_before_it_is_taken_over() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("x.live");
    let live = live_at(&path);
    let said = |found: Result<LiveTape, TapeError>| found.map(drop).unwrap_err().to_string();
    assert!(said(LiveTape::create(&path, instrument())).contains("exists already"));
    assert!(said(LiveTape::recover(&path)).contains("written by somebody else"));
    drop(live);
    fs::write(path.join("state"), [1; 5_000]).unwrap();
    assert!(said(LiveTape::recover(&path)).contains("no state of a tape"));
    fs::write(path.join("state"), [0; 5_000]).unwrap();
    assert!(said(LiveTape::recover(&path)).contains("remove it"));
    fs::remove_file(path.join("state")).unwrap();
    assert!(said(LiveTape::recover(&path)).contains("remove it"));
    assert!(matches!(LiveTape::recover(room.path().join("none")), Err(TapeError::Io { .. })));
}

/// Files grow in steps and nothing that was read moves.
#[test]
fn a_long_tape_grows() {
    let room = tempfile::tempdir().unwrap();
    let mut live = live_at(&room.path().join("x.live"));
    let tape = Arc::clone(live.tape());
    add(&mut live, &Depth(0, 0, MessageKind::Snapshot, vec![level(1, 1)], vec![level(1_000_000, 1)])).unwrap();
    let first = &tape.depth()[0];
    for i in 1..200_000 {
        let levels: Vec<_> = (0..20).map(|k| level(1 + (i * 7 + k) % 1_000, 1 + k as u32)).collect();
        live.depth(i.into(), i.into(), MessageKind::Delta, &levels, &[]).unwrap();
    }
    assert_eq!((tape.depth().len(), tape.levels().len()), (200_000, 2 + 199_999 * 20));
    assert_eq!((first, first.touch()), (&tape.depth()[0], Touch { bid: 1, ask: 1_000_000 }));
    live.sync().unwrap();
    sealed(live);
}

/// Trades are placed in pieces: however many wait, the file is the same.
#[test]
fn many_trades_get_their_places() {
    let room = tempfile::tempdir().unwrap();
    let mut live = live_at(&room.path().join("x.live"));
    let said: Vec<_> = (0..30_000i64)
        .map(|i| match i % 3 {
            0 => Depth(i, i - i % 5, MessageKind::Snapshot, vec![level(10, 1)], vec![level(11, 1)]),
            _ => Trade(i, i - i % 11, level(10, 1), Side::Sell),
        })
        .collect();
    said.iter().for_each(|message| add(&mut live, message).unwrap());
    assert_eq!(sealed(live), whole(&said));
}

/// After a power loss some pages never reached the disk: what was synced is there, and all of it is sound.
#[test]
fn a_power_loss_costs_what_was_not_synced() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("x.live");
    let mut live = live_at(&path);
    let day = a_short_day();
    day[..3].iter().for_each(|message| add(&mut live, message).unwrap());
    live.sync().unwrap();
    day[3..].iter().for_each(|message| add(&mut live, message).unwrap());
    drop(live);
    let trades = OpenOptions::new().write(true).open(path.join("trades")).unwrap();
    trades.write_all_at(&[0; 32], 32).unwrap();
    let live = LiveTape::recover(&path).unwrap();
    assert_eq!(live.dropped(), [0, 0, 1, 1]);
    assert_eq!(sealed(live), whole(&day[..3]));
}

/// Where not even what was synced is sound the directory is left to a person.
#[test]
fn damage_to_synced_records_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("x.live");
    let mut live = live_at(&path);
    a_short_day().iter().for_each(|message| add(&mut live, message).unwrap());
    live.sync().unwrap();
    drop(live);
    let levels = OpenOptions::new().write(true).open(path.join("levels")).unwrap();
    levels.write_all_at(&[9], 16).unwrap(); // the best ask is another one: only the touch tells
    let error = LiveTape::recover(&path).map(drop).unwrap_err();
    assert!(matches!(error, TapeError::Broken { section: Section::Depth, index: 0, .. }), "{error}");
    levels.set_len(8).unwrap();
    assert!(LiveTape::recover(&path).map(drop).unwrap_err().to_string().contains("shorter"));
    assert!(path.join("state").exists());
}

proptest! {
    #![proptest_config(cases())]

    /// Any stream makes the very file that a writer makes of it, wherever the writer was lost and taken over, and
    /// wherever its trades were settled while nothing came late.
    #[test]
    fn a_sealed_tape_is_a_written_tape(
        mut said in said(), stops in prop::collection::vec((any::<bool>(), 0..1_000i64), 40),
    ) {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("x.live");
        let mut live = live_at(&path);
        let mut settled = -1;
        for (message, (lost, settle)) in said.iter_mut().zip(stops) {
            let (Depth(_, venue, ..) | Trade(_, venue, ..) | Said::Funding(_, venue, ..)) = message;
            *venue = (*venue).max(settled + 1); // nothing is late here
            add(&mut live, message).unwrap();
            if lost {
                drop(live);
                live = LiveTape::recover(&path).unwrap();
                prop_assert_eq!(live.dropped(), [0; 4]);
            } else if settle % 3 == 0 {
                live.settle(settle).unwrap();
                settled = settled.max(settle);
            }
        }
        prop_assert_eq!(sealed(live), whole(&said));
    }

    /// Whatever bytes a lost writer's files hold, they are refused, or a sound tape is made of them.
    #[test]
    fn fuzz_live_tape_is_refused_or_sound(
        file in 0..5usize, at in 0..6_000u64, bytes in prop::collection::vec(any::<u8>(), 1..64),
    ) {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("x.live");
        let mut live = live_at(&path);
        a_short_day().iter().for_each(|message| add(&mut live, message).unwrap());
        drop(live);
        let name = ["state", "depth", "levels", "trades", "funding"][file];
        let damaged = OpenOptions::new().write(true).open(path.join(name)).unwrap();
        damaged.write_all_at(&bytes, at % damaged.metadata().unwrap().len()).unwrap();
        if let Ok(live) = LiveTape::recover(&path) {
            live.seal(room.path().join("x.tape")).unwrap();
            Tape::open(room.path().join("x.tape")).unwrap().verify_all().unwrap();
        }
    }
}
