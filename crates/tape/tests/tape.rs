//! What a tape promises: what goes in comes out, both forms are one tape, and damage is found before use.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;

use mmbot_tape::{MessageKind, Section, Tape, TapeBuilder, TapeError, TapeWriter, copy, pack};
use mmbot_types::{NO_BID, Side, Step, Touch};
use proptest::prelude::*;

mod said;

use said::Said::{self, Depth, Trade};
use said::{a_short_day, built, cases, instrument, level, said, write};

/// The touch follows the book, and of a price named twice the last counts.
#[test]
fn touch_and_levels_are_those_of_the_book() {
    let tape = built(&a_short_day());
    assert_eq!(tape.levels_of(&tape.depth()[0]).0, [level(9, 2), level(10, 1)]);
    assert_eq!(tape.levels_of(&tape.depth()[1]).1, [level(11, 0)]);
    assert_eq!(tape.depth()[1].touch(), Touch { bid: 10, ask: 12 });
    assert_eq!((tape.touch_at(89), tape.touch_at(95)), (Touch::EMPTY, Touch { bid: 10, ask: 11 }));
    assert_eq!((tape.counts().repeated_levels, tape.events(), tape.span()), (1, 7, Some(100..113)));
    assert_eq!((tape.funding()[0].rate, tape.instrument()), (10_000, &instrument()));
}

/// Ranks interleave trades and depth in either clock; equal venue times keep the receive order.
#[test]
fn trades_are_ranked_in_both_clocks() {
    let said = [
        Depth(100, 90, MessageKind::Snapshot, vec![level(10, 1)], vec![]),
        Depth(101, 95, MessageKind::Delta, vec![level(10, 2)], vec![]),
        Trade(102, 92, level(10, 1), Side::Sell), // heard after the second message, happened before it
        Trade(103, 95, level(10, 1), Side::Sell),
        Depth(104, 95, MessageKind::Delta, vec![level(10, 3)], vec![]),
        Trade(105, 99, level(10, 1), Side::Buy),
    ];
    let tape = built(&said);
    let ranks: Vec<_> = tape.trades().iter().map(|t| (t.depth_before_recv, t.venue_rank(), t.aggressor())).collect();
    assert_eq!(ranks, [(2, 1, Side::Sell), (2, 2, Side::Sell), (3, 3, Side::Buy)]);
}

/// A crossed book, and one after a gap, has no touch; a snapshot brings it back.
#[test]
fn no_touch_is_better_than_a_wrong_one() {
    let tape = built(&[
        Depth(1, 1, MessageKind::Delta, vec![level(10, 1)], vec![level(11, 1)]),
        Depth(2, 2, MessageKind::Snapshot, vec![level(10, 1)], vec![level(11, 1)]),
        Depth(3, 3, MessageKind::Delta, vec![level(11, 1)], vec![]),
        Depth(4, 4, MessageKind::Delta, vec![level(11, 0)], vec![]),
        Depth(5, 5, MessageKind::Gap, vec![], vec![]),
        Depth(6, 6, MessageKind::Delta, vec![level(10, 1)], vec![level(11, 1)]),
        Depth(7, 7, MessageKind::Snapshot, vec![], vec![level(11, 1)]),
    ]);
    let known = Touch { bid: 10, ask: 11 };
    let touches: Vec<_> = tape.depth().iter().map(|m| m.touch()).collect();
    let one_sided = Touch { bid: NO_BID, ask: 11 };
    let none = Touch::EMPTY;
    assert_eq!(touches, [none, known, none, known, none, none, one_sided]);
    assert_eq!((tape.counts().crossed, tape.counts().gaps, tape.counts().snapshots), (1, 1, 2));
}

/// Clocks never run backwards, receipt never precedes the event, and each correction is counted.
#[test]
fn both_clocks_are_made_monotone() {
    let tape = built(&[
        Depth(100, 90, MessageKind::Snapshot, vec![], vec![]),
        Depth(99, 89, MessageKind::Delta, vec![], vec![]),
        Trade(98, 120, level(1, 1), Side::Buy),
    ]);
    assert_eq!((tape.depth()[1].ts_recv, tape.depth()[1].ts_venue, tape.trades()[0].ts_recv), (100, 90, 120));
    assert_eq!((tape.counts().recv_corrections, tape.counts().venue_corrections), (2, 1));
}

/// What does not fit is refused with its value, and the tape goes on as if it had not come.
#[test]
fn unfit_records_leave_no_trace() {
    let mut builder = TapeBuilder::new(instrument());
    for refused in [
        builder.depth(1, 1, MessageKind::Delta, &[level(0, 1)], &[]),
        builder.depth(-1, 1, MessageKind::Delta, &[], &[]),
        builder.depth(1, 1, MessageKind::Delta, &[], &[level(i32::MAX, 1)]),
        builder.trade(1, 1, level(5, 0), Side::Buy),
        builder.trade(1, 1, level(-5, 1), Side::Buy),
        builder.funding(1, -9, 0, 0),
    ] {
        assert!(matches!(refused, Err(TapeError::Unfit { .. })));
    }
    let tape = builder.finish_in_memory().unwrap();
    assert_eq!((tape.events(), tape.span(), tape.depth().len()), (0, None, 0));
    assert_eq!(tape.counts(), Default::default());
}

/// The file writer and the memory builder make the same bytes; the packed form opens to the same tape.
#[test]
fn all_forms_are_one_tape() {
    let directory = tempfile::tempdir().unwrap();
    let [open, packed, again] = ["a.tape", "b.tapez", "c.tape"].map(|name| directory.path().join(name));
    write(&a_short_day(), &open);
    write(&a_short_day(), &packed);
    let tapes = [built(&a_short_day()), Tape::open(&open).unwrap(), Tape::open(&packed).unwrap()];
    for tape in &tapes {
        tape.verify_all().unwrap();
        assert_eq!(tape.tape_hash(), tapes[0].tape_hash());
        assert_eq!((tape.depth(), tape.trades()), (tapes[0].depth(), tapes[0].trades()));
        assert_eq!((tape.levels(), tape.funding()), (tapes[0].levels(), tapes[0].funding()));
    }
    copy(&tapes[2], &again).unwrap();
    assert_eq!(fs::read(&open).unwrap(), fs::read(&again).unwrap());
    pack(&tapes[1], &again).unwrap();
    assert_eq!(fs::read(&packed).unwrap(), fs::read(&again).unwrap());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3, "nothing half-done is left behind");
}

/// A writer that is dropped leaves neither a tape nor a temporary file.
#[test]
fn an_abandoned_import_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tape");
    let mut writer = TapeWriter::create(&path, instrument()).unwrap();
    writer.trade(1, 1, level(1, 1), Side::Buy).unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let error = TapeWriter::create(directory.path().join("no/such/place.tape"), instrument()).map(drop).unwrap_err();
    assert!(matches!(error, TapeError::Io { .. }));
}

fn opened(bytes: &[u8]) -> Result<Tape, TapeError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.tape");
    fs::write(&path, bytes).unwrap();
    Tape::open(&path)
}

fn file_of(said: &[Said], name: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    write(said, &path);
    fs::read(path).unwrap()
}

/// Empty, foreign, cut off and newer files are told apart in the message.
#[test]
fn a_bad_file_is_named_for_what_it_is() {
    let good = file_of(&a_short_day(), "a.tape");
    let mut newer = good.clone();
    newer[8] = 3;
    let mut swapped = good.clone();
    swapped[12..16].reverse();
    for (bytes, words) in [
        (&[][..], "empty"),
        (b"PK\x03\x04 something", "not a tape"),
        (&good[..10], "cut off"),
        (&good[..good.len() - 1], "cut off"),
        (&newer, "version 3"),
        (&swapped, "byte order"),
    ] {
        let error = opened(bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    }
    assert!(matches!(Tape::open("/no/such/tape"), Err(TapeError::Io { .. })));
}

fn many(n: i64) -> Vec<Said> {
    let snapshot = Depth(0, 0, MessageKind::Snapshot, vec![level(1_000, 1)], vec![level(1_001, 1)]);
    let delta = |i: i64| {
        let bids = (0..4).map(|k| level(900 + k + (i % 50) as i32, 1 + i as u32)).collect();
        Depth(i * 10, i * 9, MessageKind::Delta, bids, vec![level(1_001 + (i % 7) as i32, 2)])
    };
    std::iter::once(snapshot).chain((1..n).map(delta)).collect()
}

/// Only blocks that are read are checked, each is checked before it is read, and damage names its place.
#[test]
fn damage_is_found_in_the_block_it_is_in() {
    let mut bytes = file_of(&many(60_000), "a.tape"); // two blocks of depth, three of levels
    let intact = opened(&bytes).unwrap();
    let depth_at = bytes.len() - 64 * ((intact.levels().len() * 8).div_ceil(64)) - intact.depth().len() * 40;
    let flipped = depth_at - depth_at % 64 + (1 << 20) + 77;
    bytes[flipped] ^= 1;
    let tape = opened(&bytes).unwrap();
    assert_eq!(tape.tape_hash(), intact.tape_hash());
    tape.verify_upto(Section::Levels, tape.levels().len()).unwrap();
    tape.verify_upto(Section::Depth, 26_000).unwrap();
    tape.verify_upto(Section::Depth, 1).unwrap();
    for _ in 0..2 {
        let error = tape.verify_upto(Section::Depth, 27_000).unwrap_err();
        assert!(matches!(error, TapeError::Damaged { section: Section::Depth, offset: 1_048_576, .. }), "{error}");
    }
    intact.verify_upto(Section::Depth, usize::MAX).unwrap();
    intact.verify_all().unwrap();
}

/// A change to a file: bits, a cut, or a piece of it put elsewhere.
fn mutated(good: &[u8], kind: u8, at: usize, other: usize, bits: u8) -> Vec<u8> {
    let (at, other) = (at % good.len(), other % good.len());
    let mut bytes = good.to_vec();
    match kind {
        0 => bytes[at] ^= bits.max(1),
        1 => bytes.truncate(at),
        2 => bytes.splice(at..at, good[other..(other + 16).min(good.len())].iter().copied()).for_each(drop),
        3 => bytes.splice(at..(at + 8).min(good.len()), [bits; 8]).for_each(drop),
        _ => bytes.truncate(at.max(1)),
    }
    bytes
}

/// A short day's file after `change` is refused, or it is the tape it was.
fn refused_or_right(name: &str, change: impl Fn(&[u8]) -> Vec<u8>) -> Result<(), TestCaseError> {
    let said = a_short_day();
    if let Ok(tape) = opened(&change(&file_of(&said, name)))
        && tape.verify_all().is_ok()
    {
        let original = built(&said);
        prop_assert_eq!(tape.tape_hash(), original.tape_hash());
        prop_assert_eq!((tape.depth(), tape.levels()), (original.depth(), original.levels()));
        prop_assert_eq!((tape.trades(), tape.funding()), (original.trades(), original.funding()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    /// Every stream of messages gives a tape that keeps all promises of the layout, equal in every form.
    #[test]
    fn any_stream_makes_a_sound_tape(said in said()) {
        let tape = built(&said);
        tape.verify_all().unwrap();
        prop_assert_eq!(opened(&file_of(&said, "a.tape")).unwrap().tape_hash(), tape.tape_hash());
        let packed = opened(&file_of(&said, "a.tapez")).unwrap();
        prop_assert_eq!(packed.levels(), tape.levels());
        prop_assert_eq!(packed.trades(), tape.trades());
        for trade in tape.trades() {
            // The obvious twin of the rank: count.
            let before = tape.depth().iter().enumerate().filter(|(i, message)| {
                (message.ts_venue, *i as u32) < (trade.ts_venue, trade.depth_before_recv)
            });
            prop_assert_eq!(trade.venue_rank() as usize, before.count());
        }
    }

    /// Whatever is done to a tape's records, it is refused, or still the same tape: no panic, no other records.
    #[test]
    fn fuzz_tape_records_are_refused_or_right(kind in 0..5u8, at: usize, other: usize, bits: u8) {
        refused_or_right("a.tape", |good| mutated(good, kind, at, other, bits))?;
    }

    /// The same where every change is in the head, which says how all else is read.
    #[test]
    fn fuzz_tape_head_is_refused_or_right(kind in 0..5u8, at in 0..512usize, other: usize, bits: u8) {
        refused_or_right("a.tape", |good| mutated(good, kind, at, other, bits))?;
    }

    /// The same for a packed tape, whose every block is unpacked from what it says itself.
    #[test]
    fn fuzz_archive_is_refused_or_right(kind in 0..5u8, at: usize, other: usize, bits: u8) {
        refused_or_right("a.tapez", |good| mutated(good, kind, at, other, bits))?;
    }

    /// A decimal string becomes whole steps exactly and back, or is refused; no text panics.
    #[test]
    fn fuzz_decimal_steps_are_exact_or_refused(
        mantissa in 1..1_000i64, scale in 0..19u32, count: i64, text in ".{0,24}|[-+.0-9]{0,24}",
    ) {
        let step = Step { mantissa, scale };
        if let Ok(found) = step.count(&text) {
            prop_assert_eq!(step.count(&step.text(found)), Ok(found));
        }
        let count = count / 1_000_000; // leaves room for the mantissa in 64 bits
        prop_assert_eq!(step.count(&step.text(count)), Ok(count));
    }
}
