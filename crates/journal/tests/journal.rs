//! What a journal promises: everything comes back, nothing half-done is read as truth, every change is noticed, and a
//! disk that refused once is never asked again.
#![allow(clippy::unwrap_used)] // a test may stop at once

use std::borrow::Cow;
use std::io::{self, Cursor, ErrorKind};
use std::sync::{Arc, Mutex};

use mmbot_engine::{Circle, Denial, Elsewhere, FreezeLevel, Intent, Measure, Outside, Quote, Scope, Temper};
use mmbot_journal::{
    Disk, DiskCall, DiskError, Entry, Fault, Heard, Journal, JournalError, Kind, Reader, Reasons, Segments, SimDisk,
    Tail,
};
use mmbot_types::{
    Cash, Command, Event, InstrumentId, Lots, Nanos, OrderId, OrderRequest, RejectReason, Side, Ticks, Tif,
};
use proptest::prelude::*;

/// A disk in memory that can take little at a time, fill up, or fail to sync.
#[derive(Default)]
struct Platter {
    bytes: Mutex<Vec<u8>>,
    at_once: Option<usize>,
    room: Option<usize>,
    syncs_left: Option<Mutex<u32>>,
}

impl Disk for Platter {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = self.bytes.lock().unwrap();
        let room = self.room.map_or(usize::MAX, |room| room - held.len());
        if room == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.at_once.unwrap_or(usize::MAX)).min(room);
        held.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn sync(&self) -> io::Result<()> {
        let Some(left) = &self.syncs_left else { return Ok(()) };
        let mut left = left.lock().unwrap();
        *left = left.checked_sub(1).ok_or(ErrorKind::Other)?;
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().truncate(bytes as usize);
        Ok(())
    }
}

fn reader(bytes: &[u8]) -> Result<Reader, Fault> {
    Reader::new(Box::new(Cursor::new(bytes.to_vec())))
}

/// Number, time and words of an entry.
type Told = (u64, Nanos, String);

/// Everything up to the end or the first fault: entries in words, and how it ended.
fn read(bytes: &[u8]) -> (Vec<Told>, Result<Tail, Fault>) {
    let mut found = Vec::new();
    let mut reader = match reader(bytes) {
        Ok(reader) => reader,
        Err(fault) => return (found, Err(fault)),
    };
    loop {
        match reader.next_record() {
            Ok(Some(record)) => found.push((record.seq, record.time, format!("{:?}", record.entry().unwrap()))),
            Ok(None) => return (found, Ok(reader.tail().unwrap())),
            Err(fault) => return (found, Err(fault)),
        }
    }
}

/// The parts of sectors between two bytes of a file.
fn sectors(begin: usize, end: usize) -> impl Iterator<Item = (usize, usize)> {
    (begin / 512..=(end - 1) / 512).map(move |sector| ((sector * 512).max(begin), ((sector + 1) * 512).min(end)))
}

fn written(entries: &[(i64, Entry<'_>)]) -> Vec<u8> {
    let disk = Arc::new(Platter::default());
    let journal = Journal::on(disk.clone());
    for (time, entry) in entries {
        journal.append(Nanos(*time), entry).unwrap();
    }
    journal.flush().unwrap();
    disk.bytes.lock().unwrap().clone()
}

prop_compose! {
    fn request()(
        instrument in 0u16..3, buy: bool, price in 1i64..1 << 40, qty in 1i64..1 << 40, tif in 0usize..3,
        post_only: bool, reduce_only: bool,
    ) -> OrderRequest {
        let side = if buy { Side::Buy } else { Side::Sell };
        let tif = [Tif::Gtc, Tif::Ioc, Tif::Fok][tif];
        let (instrument, price, qty) = (InstrumentId(instrument), Ticks(price), Lots(qty));
        OrderRequest { instrument, side, price, qty, tif, post_only, reduce_only }
    }
}

fn command() -> impl Strategy<Value = Command> {
    let id = || any::<u64>().prop_map(OrderId);
    prop_oneof![
        (id(), request()).prop_map(|(id, request)| Command::Place { id, request }),
        (id(), any::<i64>(), any::<i64>())
            .prop_map(|(id, price, qty)| { Command::Amend { id, price: Ticks(price), qty: Lots(qty) } }),
        id().prop_map(|id| Command::Cancel { id }),
        any::<u16>().prop_map(|instrument| Command::CancelAll { instrument: InstrumentId(instrument) }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let reason = prop::sample::select(vec![
        RejectReason::PostOnlyWouldCross,
        RejectReason::NotFillable,
        RejectReason::ReduceOnly,
        RejectReason::UnknownOrder,
        RejectReason::Invalid,
        RejectReason::NoMarket,
        RejectReason::Other,
    ]);
    (any::<[i64; 5]>(), any::<i128>(), any::<u64>(), reason, any::<(bool, i32, i32, u16)>(), 0usize..12).prop_map(
        |([a, b, c, d, ts], cash, id, reason, (maker, touch_bid, touch_ask, of), which)| {
            let (id, ts_venue, cash) = (OrderId(id), Nanos(ts), Cash(cash));
            match which {
                0 => Event::OrderAccepted { id, ts_venue },
                1 => Event::OrderRejected { id, reason, ts_venue },
                2 => Event::OrderCanceled { id, cum: Lots(a), ts_venue },
                3 => Event::OrderAmended { id, price: Ticks(a), qty: Lots(b), ts_venue },
                4 => Event::RequestRefused { id, reason, ts_venue },
                5 => Event::Filled {
                    id,
                    execution: c as u64,
                    price: Ticks(d),
                    qty: Lots(b),
                    maker,
                    fee: cash,
                    touch_bid,
                    touch_ask,
                    ts_venue,
                },
                6 => Event::FundingPaid { instrument: InstrumentId(of), amount: cash, ts_venue },
                7 => Event::OrderAcked { id, ts_venue },
                8 => Event::OrderUnknown { id },
                9 => Event::AmendRefused { id, reason, ts_venue },
                10 => Event::CancelRefused { id, reason, ts_venue },
                _ => Event::OrderExecuted { id, cum: Lots(a), ts_venue },
            }
        },
    )
}

/// Every kind of entry; texts are leaked, because an entry borrows them.
fn entry() -> impl Strategy<Value = Entry<'static>> {
    let text = || ".{0,20}".prop_map(|text: String| -> &'static str { text.leak() });
    let quote = (any::<bool>(), any::<i64>(), any::<i64>()).prop_map(|(buy, price, qty)| Quote {
        side: if buy { Side::Buy } else { Side::Sell },
        price: Ticks(price),
        qty: Lots(qty),
    });
    let intent =
        (prop::collection::vec(quote, 0..5), prop::collection::vec(request(), 0..3)).prop_map(|(quotes, immediate)| {
            Intent { quotes: quotes.into_iter().collect(), immediate: immediate.into_iter().collect() }
        });
    let heard = prop::collection::vec(any::<(u64, u64)>(), 0..4);
    prop_oneof![
        text().prop_map(Entry::RunStart),
        (event(), text()).prop_map(|(event, words)| Entry::Event { event, words }),
        (0u8..32, heard).prop_map(|(reasons, heard)| Entry::Wake {
            reasons: Reasons(reasons),
            heard: heard.into_iter().map(|(depth, trades)| Heard { depth, trades }).collect(),
        }),
        (any::<u16>(), intent)
            .prop_map(|(of, intent)| Entry::Intent { instrument: InstrumentId(of), intent: Cow::Owned(intent) }),
        command().prop_map(Entry::Command),
        (prop::collection::vec(prop::sample::select(Denial::ALL.to_vec()), 0..5), command())
            .prop_map(|(denials, command)| Entry::Denied { denials: denials.into_iter().collect(), command }),
        any::<u64>().prop_map(|id| Entry::CancelAsked(OrderId(id))),
        Just(Entry::Halt),
        (text(), text()).prop_map(|(topic, text)| Entry::Note { topic, text }),
        any::<(u64, u64)>().prop_map(|(state, commands)| Entry::StateHash { state, commands }),
        text().prop_map(Entry::RunEnd),
        outside().prop_map(Entry::Outside),
        request().prop_map(Entry::Ordered),
    ]
}

fn outside() -> impl Strategy<Value = Outside> {
    let of = any::<u16>().prop_map(InstrumentId);
    let scope = prop_oneof![
        of.clone().prop_map(Scope::Symbol),
        Just(Scope::Strategy),
        Just(Scope::Account),
        Just(Scope::Firm),
    ];
    let level = prop::sample::select(FreezeLevel::ALL.to_vec());
    let held = any::<(i128, i128, i64)>().prop_map(|(gross, net, at)| Elsewhere {
        gross: Cash(gross),
        net: Cash(net),
        at: Nanos(at),
    });
    let circle = prop::sample::select(vec![Circle::Account, Circle::Firm]);
    prop_oneof![
        (scope, level).prop_map(|(scope, level)| Outside::Restrict { scope, level }),
        (of.clone(), prop::option::of(1..i64::MAX), any::<i64>()).prop_map(|(instrument, price, at)| {
            Outside::Reference { instrument, price: price.map(Ticks), at: Nanos(at) }
        }),
        (circle, prop::option::of(held)).prop_map(|(circle, held)| Outside::Elsewhere { circle, held }),
        any::<u32>().prop_map(Outside::Share),
        prop::option::of(any::<i64>()).prop_map(|at| Outside::Measured { what: Measure::Margin, at: at.map(Nanos) }),
        (of.clone(), prop::option::of(any::<i64>()))
            .prop_map(|(of, at)| Outside::Measured { what: Measure::Entry(of), at: at.map(Nanos) }),
        any::<(u16, u32, u32, i64)>().prop_map(|(of, size_ppm, back_ppm, least)| Outside::Temper {
            instrument: InstrumentId(of),
            temper: Temper { size_ppm, back_ppm, least: Lots(least) },
        }),
    ]
}

fn entries() -> impl Strategy<Value = Vec<(i64, Entry<'static>)>> {
    prop::collection::vec((any::<i64>(), entry()), 1..12)
}

fn told(entries: &[(i64, Entry<'_>)]) -> Vec<Told> {
    let number = |(seq, (time, entry)): (usize, &(i64, Entry<'_>))| (seq as u64, Nanos(*time), format!("{entry:?}"));
    entries.iter().enumerate().map(number).collect()
}

/// What somebody who may write could put down: entries by themselves, as (time, kind, payload).
type Loose = (i64, u16, Vec<u8>);

/// The records of a journal of one segment, version 2.
fn loose(whole: &[u8]) -> Vec<Loose> {
    let (mut found, mut rest) = (Vec::new(), &whole[72..]);
    while !rest.is_empty() {
        let bytes = 64 + u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        let time = i64::from_le_bytes(rest[16..24].try_into().unwrap());
        found.push((time, u16::from_le_bytes([rest[24], rest[25]]), rest[64..bytes].to_vec()));
        rest = &rest[bytes..];
    }
    found
}

/// A journal of either version, made from the documentation alone: every number, chain value and checksum fits. The
/// parts are its heads and records; version 1 has one segment.
fn composed(version: u16, entries: &[Loose], per_segment: usize) -> Vec<Vec<u8>> {
    let (head, chain) = if version == 1 { (64, 16) } else { (72, 32) };
    let hash = |bytes: &[u8]| match version {
        1 => xxhash_rust::xxh3::xxh3_128(bytes).to_le_bytes().to_vec(),
        _ => blake3::hash(bytes).as_bytes().to_vec(),
    };
    let mut parts = Vec::new();
    let (mut last, mut before) = (vec![0; chain], vec![0; chain]);
    for (seq, (time, kind, payload)) in entries.iter().enumerate() {
        if seq == 0 || (version == 2 && seq % per_segment == 0) {
            let mut bytes = b"MMBOTJNL".to_vec();
            bytes.extend(u32::from(version).to_le_bytes());
            bytes.extend((head as u32).to_le_bytes());
            bytes.extend(((seq / per_segment) as u64 * u64::from(version - 1)).to_le_bytes());
            bytes.extend((seq as u64).to_le_bytes());
            bytes.extend(&last);
            bytes.resize(head - 4, 0);
            bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
            before = if version == 1 { last.clone() } else { hash(&bytes) };
            parts.push(bytes);
        }
        let mut body = (seq as u64).to_le_bytes().to_vec();
        body.extend(time.to_le_bytes());
        body.extend(kind.to_le_bytes());
        body.extend(version.to_le_bytes());
        body.extend([0; 4]);
        let of = [&body[..], &before, payload].concat();
        last = hash(&of);
        before.clone_from(&last);
        body.extend(&last);
        body.extend(payload);
        let mut record = (payload.len() as u32).to_le_bytes().to_vec();
        record.extend(crc32c::crc32c(&body).to_le_bytes());
        record.extend(body);
        parts.push(record);
    }
    parts
}

/// Good entries, and how it ended, held against an anchor.
fn held(bytes: &[u8], anchor: &(u64, String)) -> (u64, Result<Tail, Fault>) {
    let mut reader = match reader(bytes) {
        Ok(reader) => reader.anchored(vec![anchor.clone()]),
        Err(fault) => return (0, Err(fault)),
    };
    loop {
        match reader.next_record() {
            Ok(Some(_)) => {}
            Ok(None) => return (reader.seq(), Ok(reader.tail().unwrap())),
            Err(fault) => return (reader.seq(), Err(fault)),
        }
    }
}

proptest! {
    /// Flipped, cut, taken out, put in twice, swapped, written anew, renumbered: of either version, of one segment or
    /// many, by hands that make every chain value and checksum fit, nothing passes the anchor of the last entry.
    #[test]
    fn nothing_that_is_done_to_a_journal_passes_its_anchor(
        entries in entries(), version in 1u16..=2, per_segment in 1usize..5, how in 0..8,
        at: prop::sample::Index, bit in 0u8..8, other in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let loose = loose(&written(&entries));
        let parts = composed(version, &loose, per_segment);
        let whole = parts.concat();
        let mut good = reader(&whole).unwrap();
        while good.next_record().unwrap().is_some() {}
        let anchor = (good.seq(), good.head());
        prop_assert_eq!(held(&whole, &anchor), (loose.len() as u64, Ok(Tail::Whole)));

        let (part, entry, byte) = (at.index(parts.len()), at.index(loose.len()), at.index(whole.len()));
        let (mut parts, mut forged) = (parts.clone(), loose.clone());
        let changed = match how {
            0 | 1 => {
                let mut bytes = whole.clone();
                bytes[byte] ^= 1 << bit;
                bytes
            }
            2 => whole[..byte].to_vec(),
            3 => {
                parts.remove(part);
                parts.concat()
            }
            4 => {
                parts.insert(part, parts[part].clone());
                parts.concat()
            }
            5 => {
                let next = (part + 1) % parts.len();
                parts.swap(part, next);
                parts.concat()
            }
            6 => {
                forged[entry].2 = other;
                composed(version, &forged, per_segment).concat()
            }
            _ => {
                forged.remove(entry);
                composed(version, &forged, per_segment).concat()
            }
        };
        prop_assume!(changed != whole);
        let (found, end) = held(&changed, &anchor);
        prop_assert!(end.is_err(), "{found} entries, {end:?}");
    }

    /// A bit that is flipped in the last record is damage, though nothing follows it: no unfinished write leaves that.
    /// Only where some sector of it is empty anyway it may be one.
    #[test]
    fn a_flip_in_the_last_record_is_no_torn_end(entries in entries(), at: prop::sample::Index, bit in 0u8..8) {
        let whole = written(&entries);
        let last: usize = loose(&whole).last().map(|(_, _, payload)| 64 + payload.len()).unwrap();
        let begin = whole.len() - last;
        let mut harmed = whole.clone();
        harmed[begin + at.index(last)] ^= 1 << bit;
        let (found, end) = read(&harmed);
        prop_assert_eq!(found.len(), entries.len() - 1);
        match end {
            Err(Fault::Damaged { seq, offset, .. }) => {
                prop_assert_eq!((seq, offset), (entries.len() as u64 - 1, begin as u64));
            }
            Ok(Tail::Torn { .. }) => {
                let empty = |(from, to): (usize, usize)| harmed[from..to].iter().all(|byte| *byte == 0);
                prop_assert!(sectors(begin, whole.len()).any(empty));
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    /// What a power cut leaves of the last write is a torn end: its beginning, and any of its sectors never written.
    #[test]
    fn what_a_power_cut_leaves_is_a_torn_end(
        entries in entries(), payload in prop::collection::vec(1u8.., 0..3_000), cut: prop::sample::Index,
        lost in prop::collection::vec(any::<bool>(), 1..8),
    ) {
        let text = String::from_utf8_lossy(&payload).into_owned();
        let mut entries: Vec<(i64, Entry<'_>)> = entries;
        entries.push((0, Entry::Note { topic: "test", text: &text }));
        let whole = written(&entries);
        let last: usize = loose(&whole).last().map(|(_, _, payload)| 64 + payload.len()).unwrap();
        let begin = whole.len() - last;
        let mut left = whole.clone();
        for ((from, to), lost) in sectors(begin, whole.len()).zip(lost.iter().cycle()) {
            if *lost {
                left[from..to].fill(0);
            }
        }
        left.truncate(begin + 1 + cut.index(last));
        prop_assume!(left != whole[..]);
        let (found, end) = read(&left);
        prop_assert_eq!(found.len(), entries.len() - 1);
        prop_assert_eq!(end, Ok(Tail::Torn { offset: begin as u64, bytes: (left.len() - begin) as u64 }));
    }

    /// What goes in comes out, whatever it is.
    #[test]
    fn everything_comes_back(entries in entries()) {
        prop_assert_eq!(read(&written(&entries)), (told(&entries), Ok(Tail::Whole)));
    }

    /// Cut anywhere, a journal reads as a strict prefix with a torn end, or as no journal where its head is cut.
    #[test]
    fn a_cut_leaves_a_prefix(entries in entries(), share in 0.0f64..1.0) {
        let whole = written(&entries);
        let at = (whole.len() as f64 * share) as usize;
        let (found, end) = read(&whole[..at]);
        let all = told(&entries);
        prop_assert_eq!(&found[..], &all[..found.len()]);
        match end {
            Ok(Tail::Whole) => prop_assert!(found.len() < all.len()),
            Ok(Tail::Torn { offset, bytes }) => prop_assert_eq!(offset + bytes, at as u64),
            Err(fault) => prop_assert!(matches!(fault, Fault::Head(_)) && at < 72, "{fault}"),
        }
    }

    /// Whichever bit is flipped: what is read is what was written, up to a place before the flip, and the end is not
    /// called whole.
    #[test]
    fn a_flipped_bit_is_noticed(entries in entries(), share in 0.0f64..1.0, bit in 0u8..8) {
        let mut harmed = written(&entries);
        let at = ((harmed.len() - 1) as f64 * share) as usize;
        harmed[at] ^= 1 << bit;
        let (found, end) = read(&harmed);
        let all = told(&entries);
        prop_assert!(found.len() < all.len());
        prop_assert_eq!(&found[..], &all[..found.len()]);
        prop_assert_ne!(end, Ok(Tail::Whole));
    }

    /// Whatever bytes are read, the reader says what they are, and never more than it can vouch for.
    #[test]
    fn fuzz_reader(
        entries in entries(), at: prop::sample::Index, strange in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = read(&strange);
        let mut harmed = written(&entries);
        let at = at.index(harmed.len());
        let until = (at + strange.len()).min(harmed.len());
        harmed.splice(at..until, strange);
        let (found, _) = read(&harmed);
        let all = told(&entries);
        prop_assert!(found.len() <= all.len());
        prop_assert_eq!(&found[..], &all[..found.len()]);
    }

    /// Records taken out, put in twice or swapped are noticed at the first that is out of place, though each is sound.
    #[test]
    fn sound_records_in_the_wrong_place_are_noticed(entries in entries(), first: prop::sample::Index, how in 0..3) {
        let whole = written(&entries);
        let (head, mut records, mut rest) = (&whole[..72], Vec::new(), &whole[72..]);
        while !rest.is_empty() {
            let bytes = 64 + u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
            records.push(&rest[..bytes]);
            rest = &rest[bytes..];
        }
        let at = first.index(records.len());
        match how {
            0 if at + 1 < records.len() => drop(records.remove(at)),
            1 => records.insert(at, records[at]),
            _ if at + 1 < records.len() => records.swap(at, at + 1),
            _ => return Ok(()),
        }
        let changed = [head, &records.concat()].concat();
        let (found, end) = read(&changed);
        prop_assert_eq!(&found[..], &told(&entries)[..found.len()]);
        prop_assert!(found.len() <= at + 1);
        prop_assert!(matches!(end, Err(Fault::Damaged { seq, .. }) if seq as usize == found.len()), "{end:?}");
    }

    /// A replay of the very entries is equal; one entry changed is the first difference.
    #[test]
    fn a_replay_is_compared_entry_by_entry(entries in entries(), other in entry(), at: prop::sample::Index) {
        let mut ended = entries.clone();
        ended.push((0, Entry::RunEnd("{}")));
        let bytes = written(&ended);
        let same = Journal::check(reader(&bytes).unwrap());
        for (time, entry) in &entries {
            same.append(Nanos(*time), entry).unwrap();
        }
        same.compared().unwrap();

        let at = at.index(entries.len());
        let (time, was) = &entries[at];
        prop_assume!(*was != other && was.kind().is_drivers() && other.kind().is_drivers());
        let check = Journal::check(reader(&bytes).unwrap());
        for (time, entry) in &entries[..at] {
            check.append(Nanos(*time), entry).unwrap();
        }
        let Err(JournalError::Differs(difference)) = check.append(Nanos(*time), &other) else {
            return Err(TestCaseError::fail("a changed entry was taken"));
        };
        prop_assert_eq!((difference.seq, difference.time), (at as u64, Nanos(*time)));
        prop_assert_eq!(&difference.expected, &was.to_string());
        prop_assert!(check.compared().is_err());
    }
}

fn note(journal: &Journal, text: &str) -> Result<(), JournalError> {
    journal.append(Nanos(1), &Entry::Note { topic: "test", text })
}

/// A disk that takes three bytes at a time gets the same journal.
#[test]
fn short_writes_are_completed() {
    let entries = [(1, Entry::Halt), (2, Entry::CancelAsked(OrderId(7)))];
    let disk = Arc::new(Platter { at_once: Some(3), ..Platter::default() });
    let journal = Journal::on(disk.clone());
    entries.iter().for_each(|(time, entry)| journal.append(Nanos(*time), entry).unwrap());
    journal.flush().unwrap();
    assert_eq!(*disk.bytes.lock().unwrap(), written(&entries));
}

/// A full disk ends the journal: what is on it reads back whole, and nothing is tried again, though there is room now.
#[test]
fn a_full_disk_is_the_end_and_leaves_whole_records() {
    let disk = Arc::new(Platter { room: Some(72 + 2 * (64 + 4 + 4 + 1) + 30), ..Platter::default() });
    let journal = Journal::on(disk.clone());
    note(&journal, "1").unwrap();
    note(&journal, "2").unwrap();
    journal.flush().unwrap();
    note(&journal, "3").unwrap();
    let error = journal.flush().unwrap_err();
    assert!(matches!(&error, JournalError::Dead(why) if why.contains("a write failed")), "{error}");
    for refused in [note(&journal, "4"), journal.flush(), journal.sync()] {
        assert!(matches!(refused, Err(JournalError::Dead(_))));
    }
    assert!(journal.dead().is_some());
    let (found, end) = read(&disk.bytes.lock().unwrap());
    assert_eq!((found.len(), end), (2, Ok(Tail::Whole)));
}

/// On a full disk a wake is refused before anything follows from it; what follows from one that was taken is not, nor
/// is the way out; and room that appears later changes nothing.
#[test]
fn a_full_disk_refuses_wakes_alone() {
    let disk = Arc::new(SimDisk::default());
    let journal = Journal::in_segments(disk.clone(), Segments { reserve: 4_096, ..Segments::default() });
    let wake = Entry::Wake { reasons: Reasons(1), heard: [Heard::default()].into_iter().collect() };
    journal.append(Nanos(1), &wake).unwrap();
    disk.fail(DiskCall::Write, DiskError::Full, 0);
    let asked = std::iter::repeat_with(|| journal.append(Nanos(2), &wake)).take(1_000).find_map(Result::err).unwrap();
    assert!(matches!(&asked, JournalError::Full(why) if why.contains("No space")), "{asked}");
    let intent = Entry::Intent { instrument: InstrumentId(0), intent: Cow::Owned(Intent::default()) };
    for entry in
        [intent, Entry::Halt, Entry::Command(Command::Cancel { id: OrderId(1) }), Entry::CancelAsked(OrderId(1))]
    {
        journal.append(Nanos(3), &entry).unwrap();
        journal.sync().unwrap();
    }
    disk.fail(DiskCall::Write, DiskError::Full, 1_000_000);
    assert!(matches!(journal.append(Nanos(4), &wake), Err(JournalError::Full(_))));
    assert!(journal.full().is_some() && journal.dead().is_none());
    let (found, end) = read(&disk.durable());
    assert_eq!((found.len() as u64, end), (journal.head().0, Ok(Tail::Whole)));
}

/// A snapshot begins a segment when it is due, the newest notes follow it, and a reader passes the border.
#[test]
fn a_segment_begins_with_a_snapshot_and_the_newest_notes() {
    let disk = Arc::new(SimDisk::default());
    let journal = Journal::in_segments(disk.clone(), Segments { records: 3, ..Segments::default() });
    journal.await_snapshots();
    assert!(!journal.wants_snapshot());
    let say = |at: i64, topic, text| journal.append(Nanos(at), &Entry::Note { topic, text }).unwrap();
    for (at, topic, text) in [(1, "a", "old"), (2, "b", "other"), (3, "a", "new"), (4, "c", "late")] {
        say(at, topic, text);
    }
    assert!(journal.wants_snapshot(), "it waits for one beyond its size");
    assert!(journal.begin_segment(Nanos(5), true, "state").unwrap());
    assert!(journal.wants_snapshot(), "a snapshot and three notes are three records and one");
    journal.begin_segment(Nanos(6), true, "state").unwrap();
    for at in 7..10 {
        say(at, "c", "more");
    }
    journal.sync().unwrap();
    let mut reader = reader(&disk.durable()).unwrap().anchored(vec![journal.head()]);
    let mut found = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        let said = match record.entry().unwrap() {
            Entry::Snapshot { halted: true, text: "state" } => "snapshot".to_owned(),
            Entry::Carried { at, topic, text } => format!("{topic} {text} {}", at.0),
            _ => "note".to_owned(),
        };
        found.push((reader.segment(), said));
    }
    let second: Vec<_> = found.iter().filter(|(segment, _)| *segment == 1).map(|(_, said)| said.as_str()).collect();
    assert_eq!(second, ["snapshot", "a new 3", "b other 2", "c late 4"]);
    assert_eq!(found.last().unwrap().0, 3, "twice the size of a segment, and no snapshot: begun without one");
}

/// On a full disk no segment begins, and no snapshot is made.
#[test]
fn a_full_disk_has_no_room_for_snapshots() {
    let disk = Arc::new(SimDisk::default());
    let journal = Journal::in_segments(disk.clone(), Segments { records: 1, ..Segments::default() });
    note(&journal, "1").unwrap();
    assert!(journal.wants_snapshot());
    disk.fail(DiskCall::Write, DiskError::Full, 0);
    let wake = Entry::Wake { reasons: Reasons(1), heard: [Heard::default()].into_iter().collect() };
    while journal.full().is_none() {
        let _ = journal.append(Nanos(2), &wake);
    }
    assert!(!journal.wants_snapshot());
    assert!(!journal.begin_segment(Nanos(3), false, "state").unwrap());
}

/// A sync that failed once is never asked again: the next one might lie.
#[test]
fn a_failed_sync_is_final() {
    let disk = Arc::new(Platter { syncs_left: Some(Mutex::new(1)), ..Platter::default() });
    let journal = Journal::on(disk);
    note(&journal, "1").unwrap();
    journal.sync().unwrap();
    note(&journal, "2").unwrap();
    let error = journal.sync().unwrap_err();
    assert!(error.to_string().contains("fdatasync failed"), "{error}");
    assert!(matches!(note(&journal, "3"), Err(JournalError::Dead(_))));
}

/// What is in a file is what was flushed; a journal is never written over; the head is the last chain value.
#[test]
fn a_file_holds_what_was_flushed() {
    let path = std::env::temp_dir().join(format!("mmbot-test-{}.journal", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let journal = Journal::create(&path, Segments::default(), Nanos(5), "{}").unwrap();
    note(&journal, "kept back").unwrap();
    assert_eq!(read(&std::fs::read(&path).unwrap()).0.len(), 1);
    journal.flush().unwrap();
    assert!(matches!(Journal::create(&path, Segments::default(), Nanos(6), "{}"), Err(JournalError::Create { .. })));
    let mut reader = Reader::open(&path).unwrap();
    while reader.next_record().unwrap().is_some() {}
    assert_eq!((reader.seq(), reader.head()), journal.head());
    std::fs::remove_file(&path).unwrap();
}

/// A payload that no record can hold is refused, and the journal goes on.
#[test]
fn a_huge_entry_is_refused_alone() {
    let journal = Journal::on(Arc::new(Platter::default()));
    let huge = "x".repeat(mmbot_journal::MAX_PAYLOAD + 1);
    assert!(matches!(note(&journal, &huge), Err(JournalError::TooLarge { .. })));
    note(&journal, "small").unwrap();
    assert_eq!(journal.entries(), 1);
}

/// A replay that stops early is told what is missing, one that does more what is too much; of a journal without an end
/// more is no fault, because its writer may have been killed before it could write it.
#[test]
fn a_replay_must_end_where_the_journal_does() {
    let ended = written(&[(1, Entry::Halt), (2, Entry::RunEnd("{}"))]);
    let early = Journal::check(reader(&ended).unwrap());
    assert!(early.compared().unwrap_err().to_string().contains("recorded a halt; the replay made nothing more"));
    let more = Journal::check(reader(&ended).unwrap());
    more.append(Nanos(1), &Entry::Halt).unwrap();
    let error = more.append(Nanos(3), &Entry::CancelAsked(OrderId(4))).unwrap_err().to_string();
    assert!(error.contains("recorded nothing more; the replay made order 4 asked to leave"), "{error}");
    let killed = Journal::check(reader(&written(&[(1, Entry::Halt)])).unwrap());
    killed.append(Nanos(1), &Entry::Halt).unwrap();
    killed.append(Nanos(1), &Entry::Command(Command::Cancel { id: OrderId(4) })).unwrap();
    assert_eq!(killed.compared().unwrap(), [(Kind::Halt, 1)]);
}
