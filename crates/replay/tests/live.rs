//! Live runs over random markets against a venue that tells what it likes, when it likes: done again from the journal
//! they end the same, whatever lay between the entries.
#![allow(clippy::unwrap_used)] // a test may stop at once

#[path = "../../sim/tests/market/mod.rs"]
mod market;

use std::borrow::Cow;
use std::io::{self, Cursor};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use market::{Dice, MIDDLE, News, Said, instrument, news, tape_of};
use mmbot_engine::{
    Adoption, Bounds, Circle, Controls, Desk, DifferRules, Elsewhere, FreezeLevel, Intent, Life, Limits, Outside,
    Owner, Quote, Scope, Temper,
};
use mmbot_journal::{Disk, Entry, Journal, Kind, Reader, Segments};
use mmbot_replay::{
    Execution, FillRecord, Live, LiveError, LiveListing, Moved, OpeningError, RecoverError, Sample, Seat, WakeRule,
    recover,
};
use mmbot_signals::SignalSpec;
use mmbot_sim::QueueModel;
use mmbot_tape::{MessageKind, Tape};
use mmbot_types::{
    Cash, Command, ContractKind, Event, InstrumentId, Lots, Nanos, OrderId, OrderRequest, RejectReason, Side, Ticks,
    Tif,
};
use proptest::prelude::*;

const ONLY: InstrumentId = InstrumentId(0);
const POSITION_MAX: i64 = 12;

#[derive(Default)]
struct Memory(Mutex<Vec<u8>>);

/// Refuses every byte once it is told to.
#[derive(Default)]
struct Full(AtomicBool);

impl Disk for Full {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.load(Ordering::Relaxed) { Err(io::Error::other("no")) } else { Ok(bytes.len()) }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Memory {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.lock().unwrap().truncate(bytes as usize);
        Ok(())
    }
}

#[derive(Clone)]
struct Scene {
    tape: Arc<Tape>,
    wake: WakeRule,
    amend: bool,
    seed: u64,
}

fn scene(seed: u64) -> Scene {
    let mut dice = Dice(seed);
    let mut news = news(&mut dice, 60);
    let end = Said::Depth { kind: MessageKind::Delta, bids: vec![], asks: vec![] };
    news.push(News { recv: 5_000, venue: 5_000, said: end });
    let every = dice.pick(&[None, Some(Nanos(37)), Some(Nanos(130))]);
    let mut chance = |percent| dice.chance(percent);
    let (touch, fill, trade, message) = (chance(40), chance(50), chance(20), chance(15));
    let every = every.or((!touch).then_some(Nanos(45)));
    let wake = WakeRule { every, touch, fill, trade, message };
    Scene { tape: tape_of(&news, &[], instrument(ContractKind::Linear)), wake, amend: chance(60), seed }
}

fn live(scene: &Scene, journal: Journal) -> Live {
    let limits = Limits {
        position_max: Lots(POSITION_MAX),
        order_max: Lots(8),
        open_orders_max: 6,
        collar_bps: 500,
        requests_per_second_max: 100_000,
        controls: Controls::default(),
    };
    let rules = DifferRules { amend: scene.amend, ..DifferRules::default() };
    let listing = LiveListing {
        tape: Arc::clone(&scene.tape),
        instrument: scene.tape.instrument().clone(),
        queue: QueueModel::Power(2.0),
        signals: vec![
            SignalSpec::Microprice,
            SignalSpec::TradeFlow { half_life: Nanos(300) },
            SignalSpec::OrderFlowImbalance { half_life: Nanos(200) },
        ],
    };
    let seat = Seat { desks: vec![Desk { limits, rules }], bounds: Bounds::default(), wake: scene.wake, record: true };
    Live::new(vec![listing], seat, Some(journal), Some(Nanos(100))).unwrap()
}

/// What the strategy says: random, and by all that it could know (place in line included).
fn decide(live: &mut Live, dice: &mut Dice) {
    let touch = live.market().get(ONLY).touch();
    let signals = &live.market().get(ONLY).signals;
    let known: u64 = (0..signals.len()).map(|index| signals.value(index).to_bits() % 3).sum();
    let ids: Vec<OrderId> = live.engine().orders().iter().map(|order| order.id).collect();
    let ahead: f64 = ids.into_iter().filter_map(|id| live.ahead(ONLY, id)).sum();
    let lean = (known + ahead as u64) as i64 % 3 + live.engine().position(ONLY).0.signum();
    let mut intent = Intent::default();
    for side in [Side::Buy, Side::Sell] {
        let near = match (side, touch.is_two_sided()) {
            (_, false) => MIDDLE,
            (Side::Buy, true) => i64::from(touch.bid),
            (Side::Sell, true) => i64::from(touch.ask),
        };
        if dice.chance(80) {
            let price = Ticks(near - side.sign() * (2 + dice.below(3)) - lean);
            intent.quotes.push(Quote { side, price, qty: Lots(1 + dice.below(9)) });
        }
    }
    live.decide(ONLY, &intent).unwrap();
}

/// A fact about some order that was or was not, as a confused venue tells it.
fn fact(dice: &mut Dice, named: u64) -> Event {
    let id = OrderId(1 + dice.below(named as i64 + 2) as u64);
    let told = if dice.chance(20) { dice.below(9) } else { 0 }; // executed, they say, and it counts until it is booked
    let (cum, ts_venue) = (Lots(told), Nanos(dice.below(5_000)));
    match dice.below(14) {
        12 => Event::AmendRefused { id, reason: RejectReason::Other, ts_venue },
        13 => Event::CancelRefused { id, reason: RejectReason::UnknownOrder, ts_venue },
        8 => Event::OrderTurnedAway { id, reason: RejectReason::HeldBack, ts_venue },
        9 => Event::OrderNeverPlaced { id },
        10 => Event::OrderExpiredUnproven { id },
        0 => Event::OrderAcked { id, ts_venue },
        1 => Event::OrderUnknown { id },
        2 => Event::OrderExecuted { id, cum, ts_venue },
        3 => Event::OrderRejected { id, reason: RejectReason::Other, ts_venue },
        4 => Event::OrderCanceled { id, cum, ts_venue },
        5 => Event::OrderAmended { id, price: Ticks(MIDDLE), qty: cum + Lots(1), ts_venue },
        6 => Event::RequestRefused { id, reason: RejectReason::UnknownOrder, ts_venue },
        7 => Event::FundingPaid { instrument: ONLY, amount: Cash(dice.below(99).into()), ts_venue },
        _ => Event::OrderAccepted { id, ts_venue },
    }
}

/// An order on the account that nobody sent; some are impossible.
fn adoption(dice: &mut Dice) -> Adoption {
    let request = OrderRequest {
        instrument: ONLY,
        side: dice.pick(&[Side::Buy, Side::Sell]),
        price: Ticks(MIDDLE),
        qty: Lots(dice.below(4)),
        tif: Tif::Gtc,
        post_only: false,
        reduce_only: dice.chance(20),
    };
    let owner = dice.pick(&[Owner::Orphan, Owner::Foreign]);
    Adoption { request, cum: Lots(dice.below(2)), booked: Lots::ZERO, owner }
}

fn moved(dice: &mut Dice, now: i64) -> Moved {
    Moved {
        instrument: InstrumentId(u16::from(dice.chance(10))),
        side: dice.pick(&[Side::Buy, Side::Sell]),
        price: Ticks(MIDDLE),
        qty: Lots(dice.below(3)),
        fee: Cash(2),
        ts_venue: Nanos(now - 1),
    }
}

fn told_from_outside(dice: &mut Dice) -> Outside {
    let at = Nanos(dice.below(5_000));
    match dice.below(6) {
        0 => {
            let scope = dice.pick(&[Scope::Symbol(ONLY), Scope::Strategy, Scope::Account, Scope::Firm]);
            let level = dice.pick(&[FreezeLevel::Normal, FreezeLevel::Normal, FreezeLevel::ReduceOnly]);
            return Outside::Restrict { scope, level };
        }
        1 => return Outside::Reference { instrument: ONLY, price: Some(Ticks(MIDDLE + dice.below(9))), at },
        2 => {
            let held = Some(Elsewhere { gross: Cash(dice.below(99).into()), net: Cash(0), at });
            return Outside::Elsewhere { circle: dice.pick(&[Circle::Account, Circle::Firm]), held };
        }
        3 | 4 => return Outside::Share(100_000 * dice.below(11) as u32),
        _ => {}
    }
    let temper = Temper { size_ppm: 500_000, back_ppm: 20 * dice.below(2) as u32, least: Lots(dice.below(3)) };
    Outside::Temper { instrument: ONLY, temper }
}

fn way_out(dice: &mut Dice) -> OrderRequest {
    let side = if dice.chance(50) { Side::Buy } else { Side::Sell };
    let (price, qty) = (Ticks(MIDDLE + dice.below(7) - 3), Lots(1 + dice.below(4)));
    let instrument = ONLY;
    OrderRequest { instrument, side, price, qty, tif: Tif::Ioc, post_only: false, reduce_only: true }
}

/// What an earlier run left: an orphan with a fill, a foreign order, and a position.
fn left_before(scene: &Scene) -> String {
    let mut live = live(scene, Journal::on(Arc::new(Memory::default())));
    let mut dice = Dice(scene.seed ^ 3);
    for turn in 0..2 {
        let told = Adoption { cum: Lots::ZERO, ..adoption(&mut dice) };
        let name = format!("before {turn}");
        taken(live.adopt(Nanos(-100 + 10 * turn), &name, "", told));
        taken(live.moved(Nanos(-95 + 10 * turn), &name, "AdlTrade", moved(&mut dice, -99)));
    }
    let fill = Execution {
        id: OrderId(1),
        price: Ticks(MIDDLE),
        qty: Lots(1),
        maker: true,
        fee: Cash(1),
        ts_venue: Nanos(-50),
    };
    taken(live.filled(Nanos(-50), "execution 1", fill));
    live.snapshot()
}

fn taken<T>(done: Result<T, LiveError>) {
    match done {
        Ok(_) | Err(LiveError::Quarantine(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

/// What must be equal for two runs to be called the same.
#[derive(Debug, PartialEq)]
struct Left {
    state: u64,
    commands: u64,
    fills: Vec<FillRecord>,
    samples: Vec<Sample>,
    wakes: u64,
    quarantined: u64,
    denials: Vec<u64>,
}

fn left(live: &Live) -> Left {
    live.check_invariants();
    let recorder = live.recorder().unwrap();
    Left {
        state: live.engine().state_hash(),
        commands: live.engine().commands_hash(),
        fills: recorder.fills.clone(),
        samples: recorder.samples.clone(),
        wakes: live.wakes(),
        quarantined: live.quarantined(),
        denials: live.engine().denials().to_vec(),
    }
}

/// The state after so many entries of the journal.
type Mark = (u64, String);

fn run(scene: &Scene) -> (Left, Vec<u8>, u64) {
    let (left, bytes, placed, _) = marked(scene, false);
    (left, bytes, placed)
}

/// A run, half of them taking over from an earlier one: steps, facts, verdicts, fills (some told twice), orders of
/// others, moves of the position, cancels asked for, and at last a halt.
fn marked(scene: &Scene, mark: bool) -> (Left, Vec<u8>, u64, Vec<Mark>) {
    ran_until(scene, mark, 4_800)
}

fn ran_until(scene: &Scene, mark: bool, until: i64) -> (Left, Vec<u8>, u64, Vec<Mark>) {
    let disk = Arc::new(Memory::default());
    let journal = Journal::in_segments(disk.clone(), Segments { records: 900, ..Segments::default() });
    let mut live = live(scene, journal.clone());
    let (mut dice, mut mind) = (Dice(scene.seed ^ 1), Dice(scene.seed ^ 2));
    let (mut now, mut told, mut placed, mut marks) = (0, Vec::new(), 0, Vec::new());
    if scene.seed.is_multiple_of(2) {
        live.open(Nanos(0), &left_before(scene), [(OrderId(1), "an earlier name".to_owned())]).unwrap();
    }
    while now < until {
        now += 1 + dice.below(40);
        let named = live.engine().orders_named();
        if mark {
            marks.push((journal.entries(), live.snapshot()));
        }
        match dice.below(12) {
            10 if dice.chance(15) => {
                let (client, venue) = (format!("their {}", dice.below(6)), format!("venue's {}", dice.below(6)));
                taken(live.adopt(Nanos(now), &client, &venue, adoption(&mut dice)));
            }
            11 if dice.chance(30) => {
                let name = format!("execution {}", dice.below(60));
                taken(live.moved(Nanos(now), &name, "BustTrade", moved(&mut dice, now)));
            }
            0..=1 => taken(live.observe(Nanos(now), fact(&mut dice, named), "said so")),
            2 if named > 0 => {
                let id = OrderId(1 + dice.below(named as i64) as u64);
                let (price, qty) = (Ticks(MIDDLE), Lots(dice.below(4)));
                let execution = Execution { id, price, qty, maker: true, fee: Cash(-3), ts_venue: Nanos(now - 1) };
                told.push((format!("execution {}", dice.below(60)), execution));
                let (name, execution) = told.last().unwrap().clone();
                taken(live.filled(Nanos(now), &name, execution));
            }
            3 if !told.is_empty() => {
                let (name, execution) = told[dice.below(told.len() as i64) as usize].clone();
                taken(live.filled(Nanos(now), &name, execution));
            }
            4 if named > 0 => taken(live.cancel(Nanos(now), OrderId(named)).map(<[_]>::len)),
            5 if dice.chance(20) => live.tell(Nanos(now), &told_from_outside(&mut dice)).unwrap(),
            6 if dice.chance(20) => taken(live.order(Nanos(now), way_out(&mut dice)).map(<[_]>::len)),
            _ => {
                if live.wake(Nanos(now)).unwrap() {
                    decide(&mut live, &mut mind);
                    live.rest().unwrap();
                }
                placed += live.commands().iter().filter(|(_, c)| matches!(c, Command::Place { .. })).count() as u64;
            }
        }
        live.check_invariants();
    }
    let ours = |order: &&mmbot_engine::Order| !order.life.is_terminal() && order.owner != Owner::Foreign;
    let open = live.engine().orders().iter().filter(ours).count();
    assert_eq!(live.halt(Nanos(now + 1)).unwrap().len(), open, "every open order but foreign ones is asked to leave");
    assert!(!live.wake(Nanos(now + 2)).unwrap(), "nobody is asked after a halt");
    live.finish(Nanos(now + 3)).unwrap();
    journal.append(Nanos(now + 4), &Entry::RunEnd("{}")).unwrap();
    journal.flush().unwrap();
    marks.push((journal.entries(), live.snapshot()));
    let bytes = disk.0.lock().unwrap().clone();
    (left(&live), bytes, placed, marks)
}

fn reader(bytes: &[u8]) -> Reader {
    Reader::new(Box::new(Cursor::new(bytes.to_vec()))).unwrap()
}

fn again(scene: &Scene, bytes: &[u8]) -> (Left, Journal) {
    let check = Journal::check(reader(bytes));
    let (mut live, mut mind, mut reader) = (live(scene, check.clone()), Dice(scene.seed ^ 2), reader(bytes));
    while let Some(record) = reader.next_record().unwrap() {
        if live.replay(record.time, &record.entry().unwrap()).unwrap() {
            decide(&mut live, &mut mind);
            live.rest().unwrap();
        }
    }
    (left(&live), check)
}

/// Snapshots in a journal.
fn snapshots_in(bytes: &[u8]) -> u64 {
    let (mut reader, mut made) = (reader(bytes), 0);
    while let Some(record) = reader.next_record().unwrap() {
        made += u64::from(matches!(record.entry().unwrap(), Entry::Snapshot { .. }));
    }
    made
}

/// A run of many entries begins segments with snapshots. Each says what the engine is: its replay makes the same, and
/// what the journal says before each comes to it, or `recover` would stop there.
#[test]
fn long_runs_make_snapshots_that_say_what_they_are() {
    for seed in 0..3 {
        let scene = scene(seed);
        let (ran, bytes, _, marks) = ran_until(&scene, true, 60_000);
        let (replayed, check) = again(&scene, &bytes);
        assert!(ran == replayed);
        let made = snapshots_in(&bytes);
        assert!(made >= 1);
        assert!(check.compared().unwrap().contains(&(Kind::Snapshot, made)));
        let left = recover(reader(&bytes), Some(vec![scene.tape.instrument().clone()]), None).unwrap();
        assert_eq!(left.snapshot(), marks.last().unwrap().1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// The journal and the tape are the whole run: between the entries nothing happened that mattered, though the
    /// clock ticked, the market was heard, and samples were taken.
    #[test]
    fn a_run_is_done_again_from_its_journal(seed in any::<u64>()) {
        let scene = scene(seed);
        let (ran, bytes, _) = run(&scene);
        let (replayed, check) = again(&scene, &bytes);
        prop_assert!(ran == replayed, "{:#?}\n{:#?}", ran, replayed);
        check.compared().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Killed after any entry, a run leaves a journal from which its state is made again without market and strategy:
    /// the live engine's own, to the last byte, wherever it had done with an input.
    #[test]
    fn a_journal_cut_anywhere_recovers_the_state_of_then(seed in any::<u64>()) {
        let scene = scene(seed);
        let instruments = || Some(vec![scene.tape.instrument().clone()]);
        let (_, bytes, _, marks) = marked(&scene, true);
        let all = marks.last().unwrap().0;
        for entries in 0..=all {
            let left = recover(reader(&bytes), instruments(), Some(entries)).unwrap();
            prop_assert_eq!(left.entries, entries);
            prop_assert_eq!(left.ended, entries == all);
            left.engine().check_invariants();
            for (_, state) in marks.iter().filter(|(at, _)| *at == entries) {
                prop_assert_eq!(&left.snapshot(), state);
            }
        }
    }

    /// Whoever takes over goes on numbering, holds the same position and counts at least the same exposure.
    #[test]
    fn a_run_that_takes_over_counts_what_was_left(seed in any::<u64>(), at in 0..1_000usize) {
        let scene = scene(seed);
        let (_, bytes, _, marks) = marked(&scene, true);
        let (entries, _) = &marks[at % marks.len()];
        let instruments = Some(vec![scene.tape.instrument().clone()]);
        let left = recover(reader(&bytes), instruments, Some(*entries)).unwrap();
        let mut next = live(&scene, Journal::on(Arc::new(Memory::default())));
        next.open(Nanos(5_000), &left.snapshot(), []).unwrap();
        next.check_invariants();
        let (was, is) = (left.engine(), next.engine());
        prop_assert_eq!((was.position(ONLY), was.orders_named()), (is.position(ONLY), is.orders_named()));
        prop_assert_eq!(was.ledger().state_hash(), is.ledger().state_hash());
        prop_assert!(was.orders().iter().map(|order| (order.id, order.exposure())).eq(
            is.orders().iter().map(|order| (order.id, order.exposure()))
        ));
        prop_assert!(is.orders().iter().all(|order| !matches!(order.life, Life::Intent | Life::Sent | Life::Acked)));
        let (price, ts_venue) = (Ticks(MIDDLE), Nanos(1));
        let again = Execution { id: OrderId(1), price, qty: Lots(1), maker: true, fee: Cash(1), ts_venue };
        if left.snapshot().contains("\"execution 1\"") && was.terms_of(OrderId(1)).is_some() {
            let known = next.filled(Nanos(5_001), "execution 1", again);
            prop_assert!(matches!(known, Ok(false)), "{known:?}");
        }
    }
}

/// Does again what the entries say: facts, and what was wanted when the strategy was asked.
fn driven<'a>(live: &mut Live, entries: impl IntoIterator<Item = &'a (u64, Nanos, Entry<'static>)>) {
    let (mut asked, mut entries) = (false, entries.into_iter().peekable());
    while let Some((_, time, entry)) = entries.next() {
        match entry {
            Entry::Intent { instrument, intent } => live.decide(*instrument, intent).unwrap(),
            Entry::Wake { .. } => drop(live.wake(*time).unwrap()),
            other => drop(live.replay(*time, other).unwrap()),
        }
        asked |= matches!(entry, Entry::Wake { .. });
        if asked && entries.peek().is_none_or(|(_, next, _)| next > time) {
            live.rest().unwrap();
            asked = false;
        }
    }
}

/// The entries of a journal, with texts that live as long as the test.
fn entries_of(bytes: &[u8]) -> Vec<(u64, Nanos, Entry<'static>)> {
    let (mut reader, mut all) = (reader(bytes), Vec::new());
    while let Some(record) = reader.next_record().unwrap() {
        let entry: Entry<'_> = record.entry().unwrap();
        let leaked = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let kept = match entry {
            Entry::Event { event, words } => Entry::Event { event, words: leaked(words) },
            Entry::Opening(text) => Entry::Opening(leaked(text)),
            Entry::Adopted { id, adoption, client_id, venue_id } => {
                Entry::Adopted { id, adoption, client_id: leaked(client_id), venue_id: leaked(venue_id) }
            }
            Entry::Intent { instrument, intent } => {
                Entry::Intent { instrument, intent: Cow::Owned(intent.into_owned()) }
            }
            Entry::Wake { reasons, heard } => Entry::Wake { reasons, heard },
            Entry::Command(command) => Entry::Command(command),
            Entry::Denied { denials, command } => Entry::Denied { denials, command },
            Entry::CancelAsked(id) => Entry::CancelAsked(id),
            Entry::Halt => Entry::Halt,
            Entry::StateHash { state, commands } => Entry::StateHash { state, commands },
            Entry::Outside(told) => Entry::Outside(told),
            Entry::Ordered(request) => Entry::Ordered(request),
            Entry::Snapshot { halted, .. } => Entry::Snapshot { halted, text: "" },
            _ => continue,
        };
        all.push((record.seq, record.time, kept));
    }
    all
}

/// Whether nothing that this run asked for waits for an answer.
fn is_quiet(live: &Live) -> bool {
    let waits = |order: &mmbot_engine::Order| {
        matches!(order.life, Life::Intent | Life::Sent | Life::Acked) || order.op != mmbot_engine::Op::Idle
    };
    !live.engine().orders().iter().any(waits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// Killed after every input, in turn, and taken over: what comes later comes to the same. Where nothing was on its
    /// way at the kill, that is every later command and the state, to the last bit. What was on its way has become
    /// unknown by the kill, which frees the engine's hand: it may say a cancel or an amend again that the other still
    /// holds back. There the same later facts have to come to the same books, and no order of which one more fact came
    /// may differ in anything; one of which none came stays unknown, and counts.
    ///
    /// A kill between an input and the last entry that followed from it is another matter: a command that was not
    /// written never left, so the runs differ in what they sent. `a_journal_cut_anywhere` says what is then left.
    #[test]
    fn taken_over_at_any_point_the_rest_comes_to_the_same(seed in any::<u64>()) {
        let scene = scene(seed);
        let (_, bytes, _, _) = marked(&scene, false);
        let all = entries_of(&bytes);
        let (mut quiet, mut busy) = (0, 0);
        for at in 1..all.len() {
            let ((_, before, _), (entries, after, _)) = (&all[at - 1], &all[at]);
            if after.0 - before.0 < 2 {
                continue; // of one input, or no room for another
            }
            let memory = || Journal::on(Arc::new(Memory::default()));
            let (mut one, mut other) = (live(&scene, memory()), live(&scene, memory()));
            driven(&mut one, &all[..at]);
            let instruments = Some(vec![scene.tape.instrument().clone()]);
            let left = recover(reader(&bytes), instruments, Some(*entries)).unwrap();
            prop_assert_eq!(left.snapshot(), one.snapshot());
            other.open(Nanos(before.0 + 1), &left.snapshot(), []).unwrap();
            if one.is_halted() {
                continue; // the run was over; one that takes over from it trades anew
            }
            let rest = &all[at..];
            if is_quiet(&one) {
                quiet += 1;
                driven(&mut one, rest);
                driven(&mut other, rest);
                let ends = |live: &Live| (live.engine().state_hash(), live.engine().commands_hash(), live.snapshot());
                prop_assert_eq!(ends(&one), ends(&other));
                continue;
            }
            busy += 1;
            let named = one.engine().orders_named();
            let of_then = |event: &Event| event.order().is_none_or(|id| id.0 <= named);
            let facts: Vec<_> = rest
                .iter()
                .filter(|(_, _, entry)| matches!(entry, Entry::Event { event, .. } if of_then(event)))
                .cloned()
                .collect();
            driven(&mut one, &facts);
            driven(&mut other, &facts);
            let (was, is) = (one.engine(), other.engine());
            prop_assert_eq!(was.ledger().state_hash(), is.ledger().state_hash());
            for order in was.orders().iter() {
                let same = is.orders().get(order.id).expect("what is open in one is open in the other");
                prop_assert!(same.exposure() >= order.exposure());
                prop_assert_eq!((same.booked, same.leaves()), (order.booked, order.leaves()));
                prop_assert!(same.life == order.life || same.life == Life::Unknown, "{same:?}\n{order:?}");
            }
        }
        prop_assert!(quiet + busy > 20, "{quiet} {busy}");
    }
}

/// A snapshot in the middle that says another state than the entries before it is named.
#[test]
fn a_snapshot_that_does_not_follow_is_named() {
    let scene = scene(3);
    let disk = Arc::new(Memory::default());
    let journal = Journal::on(disk.clone());
    let mut live = live(&scene, journal.clone());
    journal.append(Nanos(9), &Entry::Note { topic: "", text: "" }).unwrap();
    live.wake(Nanos(10)).unwrap();
    let at = journal.entries();
    journal.begin_segment(Nanos(10), true, &live.snapshot()).unwrap();
    journal.flush().unwrap();
    let bytes = disk.0.lock().unwrap().clone();
    let error = recover(reader(&bytes), Some(vec![scene.tape.instrument().clone()]), None).err().unwrap();
    assert!(matches!(&error, RecoverError::Differs(found) if found.seq == at), "{error}");
}

/// A journal that says a state that does not follow, or not what was traded, and snapshots of other accounts: refused.
#[test]
fn what_cannot_be_taken_over_is_refused_by_name() {
    let scene = scene(4);
    let (_, bytes, _) = run(&scene);
    let unknown = recover(reader(&bytes), None, None).err().unwrap();
    assert!(matches!(unknown, RecoverError::Start(_)), "{unknown}");
    let other = mmbot_types::Instrument { symbol: "OTHER".into(), ..scene.tape.instrument().clone() };
    let error = recover(reader(&bytes), Some(vec![other]), None).err().unwrap().to_string();
    assert!(error.contains("trades the same instruments"), "{error}");
    let mut live = live(&scene, Journal::on(Arc::new(Memory::default())));
    for (text, expected) in [("{", "cannot be read"), ("{\"version\":99}", "version 99")] {
        let error = live.open(Nanos(1), text, []).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    live.wake(Nanos(2)).unwrap();
    let late = live.open(Nanos(3), &left_before(&scene), []).unwrap_err();
    assert!(matches!(late, LiveError::Opening(OpeningError::Late)));
}

/// A run that hears a book, wants two quotes of four lots, and is answered that both rest: orders 1 and 2.
fn quoting(journal: Journal) -> Live {
    let scene = Scene { wake: WakeRule { every: Some(Nanos(1)), ..scene(3).wake }, ..scene(3) };
    let mut live = live(&scene, journal);
    assert!(live.wake(Nanos(2_000)).unwrap());
    want(&mut live, 4);
    assert_eq!(live.commands().len(), 2);
    for id in [OrderId(1), OrderId(2)] {
        let rests = Event::OrderAccepted { id, ts_venue: Nanos(2_000) };
        live.observe(Nanos(2_000 + id.0 as i64), rests, "").unwrap();
    }
    live
}

fn want(live: &mut Live, lots: i64) {
    let touch = live.market().get(ONLY).touch();
    let mut intent = Intent::default();
    for (side, near) in [(Side::Buy, touch.bid), (Side::Sell, touch.ask)] {
        intent.quotes.push(Quote { side, price: Ticks(i64::from(near)), qty: Lots(lots) });
    }
    live.decide(ONLY, &intent).unwrap();
}

fn exposures(live: &Live) -> Vec<(u64, i64)> {
    live.engine().orders().iter().map(|order| (order.id.0, order.exposure().0)).collect()
}

const FIRM_STOPS: Outside = Outside::Restrict { scope: Scope::Firm, level: FreezeLevel::NoNew };

/// After a halt the limits are still told what they have to know, facts are still booked and cancels still asked for;
/// the strategy is not heard any more, even where somebody asks it.
#[test]
fn a_halted_run_listens_and_wants_nothing() {
    let mut live = quoting(Journal::on(Arc::new(Memory::default())));
    assert_eq!(live.halt(Nanos(3_000)).unwrap().len(), 2);
    live.tell(Nanos(3_001), &FIRM_STOPS).unwrap();
    assert_eq!(live.engine().keeper().level(ONLY), FreezeLevel::NoNew);
    live.tell(Nanos(3_002), &Outside::Restrict { scope: Scope::Firm, level: FreezeLevel::Normal }).unwrap();
    assert_eq!(live.engine().keeper().level(ONLY), FreezeLevel::Normal);
    assert!(!live.wake(Nanos(3_003)).unwrap());
    want(&mut live, 7);
    assert!(live.commands().is_empty(), "{:?}", live.commands());
    assert_eq!(live.cancel(Nanos(3_004), OrderId(1)).unwrap().len(), 1, "a cancel may be repeated");
    let (price, ts_venue) = (Ticks(MIDDLE), Nanos(2_900));
    let told = Execution { id: OrderId(1), price, qty: Lots(4), maker: true, fee: Cash(0), ts_venue };
    assert!(live.filled(Nanos(3_005), "execution", told).unwrap());
    assert_eq!(live.halt(Nanos(3_006)).unwrap().len(), 1, "what is still open is asked again");
    assert!(live.is_halted());
}

/// A dead journal keeps no freeze and no cancel back; everything else is refused and changes nothing.
#[test]
fn a_dead_journal_keeps_no_way_to_stop_back() {
    let disk = Arc::new(Full::default());
    let journal = Journal::on(disk.clone());
    let mut live = quoting(journal.clone());
    disk.0.store(true, Ordering::Relaxed);
    journal.flush().unwrap_err();
    let before = (live.engine().orders_named(), exposures(&live), live.engine().position(ONLY));

    let dead = |done: Result<(), LiveError>| assert!(matches!(done, Err(LiveError::Journal(_))), "{done:?}");
    dead(live.tell(Nanos(3_000), &FIRM_STOPS));
    assert_eq!(live.engine().keeper().level(ONLY), FreezeLevel::NoNew, "it holds all the same");
    let canceled = Event::OrderCanceled { id: OrderId(1), cum: Lots(0), ts_venue: Nanos(2_999) };
    dead(live.observe(Nanos(3_001), canceled, ""));
    let (price, qty, fee, ts_venue) = (Ticks(MIDDLE), Lots(1), Cash(0), Nanos(2_999));
    let fill = Execution { id: OrderId(1), price, qty, maker: true, fee, ts_venue };
    dead(live.filled(Nanos(3_002), "execution", fill).map(drop));
    let moved = Moved { instrument: ONLY, side: Side::Buy, price, qty, fee, ts_venue };
    dead(live.moved(Nanos(3_003), "moved", "AdlTrade", moved).map(drop));
    dead(live.adopt(Nanos(3_004), "", "theirs", adoption_of(3)).map(drop));
    dead(live.order(Nanos(3_005), way_out(&mut Dice(1))).map(drop));
    assert_eq!((live.engine().orders_named(), exposures(&live), live.engine().position(ONLY)), before);

    assert_eq!(live.cancel(Nanos(3_006), OrderId(1)).unwrap().len(), 1);
    assert_eq!(live.halt(Nanos(3_007)).unwrap().len(), 2);
    assert!(live.is_halted());
}

fn adoption_of(lots: i64) -> Adoption {
    let (instrument, side, price, qty, tif) = (ONLY, Side::Buy, Ticks(MIDDLE), Lots(lots), Tif::Gtc);
    let request = OrderRequest { instrument, side, price, qty, tif, post_only: false, reduce_only: false };
    Adoption { request, cum: Lots(0), booked: Lots(0), owner: Owner::Foreign }
}

/// A run takes over once, and before anything else; a refused attempt leaves it as it was.
#[test]
fn a_run_takes_over_once() {
    let scene = scene(4);
    let mut live = live(&scene, Journal::on(Arc::new(Memory::default())));
    assert!(matches!(live.open(Nanos(1), "{}", []), Err(LiveError::Opening(OpeningError::Unreadable(_)))));
    live.open(Nanos(1), &left_before(&scene), []).unwrap();
    let (state, named) = (live.engine().state_hash(), live.engine().orders_named());
    let twice = live.open(Nanos(2), &left_before(&scene), []);
    assert!(matches!(twice, Err(LiveError::Opening(OpeningError::Late))), "{twice:?}");
    assert_eq!((live.engine().state_hash(), live.engine().orders_named(), live.now()), (state, named, Nanos(1)));
}

/// An order that is known under either of its names is not counted twice, whatever is told of it this time.
#[test]
fn an_order_is_adopted_once() {
    let mut live = quoting(Journal::on(Arc::new(Memory::default())));
    let id = live.adopt(Nanos(3_000), "their name", "venue's name", adoption_of(3)).unwrap();
    assert_eq!(id, OrderId(3));
    let before = exposures(&live);
    for (at, (client, venue)) in
        [("their name", ""), ("", "venue's name"), ("other", "venue's name")].iter().enumerate()
    {
        let again = live.adopt(Nanos(3_001 + at as i64), client, venue, adoption_of(5)).unwrap();
        assert_eq!((again, exposures(&live)), (id, before.clone()));
    }
    let gone = Event::OrderCanceled { id, cum: Lots(0), ts_venue: Nanos(3_010) };
    live.observe(Nanos(3_010), gone, "").unwrap();
    assert_eq!(live.adopt(Nanos(3_011), "", "venue's name", adoption_of(3)).unwrap(), id, "settled, and remembered");
    assert_eq!(live.adopt(Nanos(3_012), "", "another's", adoption_of(3)).unwrap(), OrderId(4));
    assert_eq!(live.engine().orders_named(), 4);
}

/// A proof of absence ends nothing that the venue has spoken of, settled or not.
#[test]
fn a_proof_of_absence_ends_no_order_that_the_venue_spoke_of() {
    let mut live = quoting(Journal::on(Arc::new(Memory::default())));
    live.observe(Nanos(3_000), Event::OrderNeverPlaced { id: OrderId(1) }, "").unwrap();
    assert_eq!(exposures(&live), [(1, 4), (2, 4)], "it rests");
    let (price, ts_venue) = (Ticks(MIDDLE), Nanos(2_900));
    let fill = Execution { id: OrderId(1), price, qty: Lots(4), maker: true, fee: Cash(0), ts_venue };
    live.filled(Nanos(3_001), "execution", fill).unwrap();
    let settled = |live: &Live| live.engine().gone().map(|order| (order.id.0, order.life)).collect::<Vec<_>>();
    for event in [Event::OrderNeverPlaced { id: OrderId(1) }, Event::OrderExpiredUnproven { id: OrderId(1) }] {
        live.observe(Nanos(live.now().0 + 1), event, "").unwrap();
        assert_eq!((settled(&live), exposures(&live)), (vec![(1, Life::Filled)], vec![(2, 4)]));
    }
    assert_eq!(live.take_risen(), [OrderId(1)], "whoever proved it is told that it is there");
    let unknown = live.observe(Nanos(4_000), Event::OrderNeverPlaced { id: OrderId(9) }, "");
    assert!(matches!(unknown, Err(LiveError::Quarantine(_))), "{unknown:?}");
    assert_eq!(live.quarantined(), 1);
}

/// An execution id counts once at its venue, whether it was told as an order's or as nobody's.
#[test]
fn an_execution_id_is_booked_once_whatever_it_is_told_as() {
    let mut live = quoting(Journal::on(Arc::new(Memory::default())));
    let (price, qty, fee, ts_venue) = (Ticks(MIDDLE), Lots(1), Cash(0), Nanos(2_900));
    let fill = Execution { id: OrderId(1), price, qty, maker: true, fee, ts_venue };
    let moved = Moved { instrument: ONLY, side: Side::Sell, price, qty, fee, ts_venue };
    assert!(live.filled(Nanos(3_000), "one", fill).unwrap());
    assert!(!live.moved(Nanos(3_001), "one", "AdlTrade", moved).unwrap());
    assert!(live.moved(Nanos(3_002), "two", "AdlTrade", moved).unwrap());
    assert!(!live.filled(Nanos(3_003), "two", fill).unwrap());
    assert_eq!((live.engine().position(ONLY), exposures(&live)[0]), (Lots(0), (1, 3)));
    assert_eq!(live.quarantined(), 0);
}

/// The random runs do what runs do: they trade, are denied, and hear facts that they cannot take.
#[test]
fn the_random_runs_are_worth_their_name() {
    let runs: Vec<_> = (0..60).map(|seed| run(&scene(seed))).collect();
    assert!(runs.iter().map(|(_, _, placed)| placed).sum::<u64>() > 200);
    assert!(runs.iter().map(|(left, ..)| left.fills.len()).sum::<usize>() > 100);
    assert!(runs.iter().map(|(left, ..)| left.quarantined).sum::<u64>() > 20);
    assert!(runs.iter().flat_map(|(left, ..)| &left.denials).sum::<u64>() > 20);
}

/// A replay on another market is stopped at its first wake, by the number of messages heard.
#[test]
fn another_tape_is_noticed_at_the_first_wake() {
    let (ours, mut other) = (scene(7), scene(8));
    (other.wake, other.amend, other.seed) = (ours.wake, ours.amend, ours.seed);
    let (_, bytes, _) = run(&ours);
    let check = Journal::check(reader(&bytes));
    let (mut live, mut mind, mut reader) = (live(&other, check), Dice(ours.seed ^ 2), reader(&bytes));
    let error = loop {
        let record = reader.next_record().unwrap().unwrap();
        match live.replay(record.time, &record.entry().unwrap()) {
            Ok(true) => decide(&mut live, &mut mind),
            Ok(false) => {}
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("differs: recorded"), "{error}");
}

/// Inputs come in a strictly rising order of time; one that does not is refused before anything moves.
#[test]
fn time_must_rise() {
    let mut live = live(&scene(3), Journal::on(Arc::new(Memory::default())));
    live.wake(Nanos(900)).unwrap();
    let state = live.engine().state_hash();
    assert!(matches!(live.wake(Nanos(900)), Err(LiveError::Clock { .. })));
    let unknown = Event::OrderUnknown { id: OrderId(1) };
    assert!(matches!(live.observe(Nanos(3), unknown, ""), Err(LiveError::Clock { .. })));
    assert!(matches!(live.halt(Nanos(900)), Err(LiveError::Clock { .. })));
    assert_eq!(live.engine().state_hash(), state);
    assert!(!live.is_halted());
}
