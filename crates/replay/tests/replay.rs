//! Whole runs over random markets: however they are driven, batched, cut or read, they end the same; limits hold at the
//! venue, and money adds up.
#![allow(clippy::unwrap_used)] // a test may stop at once

#[path = "../../sim/tests/market/mod.rs"]
mod market;

use market::{Dice, MIDDLE, News, Said, cut, instrument, news, tape_of};
use mmbot_engine::{Desk, DifferRules, Engine, Input, Intent, Limits, Market, Quote};
use mmbot_replay::{Feed, FeedLatency, FillRecord, Listing, Plan, Replay, Seat, WakeRule};
use mmbot_sim::{FillRule, LatencyModel, Laws, LocalBook, QueueModel, Venue, VenueListing};
use mmbot_tape::MessageKind;
use mmbot_types::{Cash, ContractKind, Event, InstrumentId, Lots, Nanos, OrderRequest, Side, Ticks, Tif, Touch};
use proptest::prelude::*;

const POSITION_MAX: i64 = 12;
/// Nobody speaks after this; the tape goes on until everything in flight is heard.
const QUIET: i64 = 4_000;
const FUNDING: [(i64, i64, i64); 2] = [(1_300, 10_000, 998), (1_900, -7_500, 1_003)];

/// One market of a run.
#[derive(Clone)]
struct Stage {
    news: Vec<News>,
    kind: ContractKind,
    laws: Laws,
    feed: FeedLatency,
}

/// One strategy of a run: what it wants is random, and depends on what it has heard.
#[derive(Clone)]
struct Player {
    desk: Desk,
    wake: WakeRule,
    seed: u64,
}

fn latency(dice: &mut Dice) -> LatencyModel {
    let sampled = LatencyModel::Sampled { quantiles: vec![Nanos(1), Nanos(20), Nanos(400)], seed: 3 };
    dice.pick(&[LatencyModel::Constant(Nanos(1)), LatencyModel::Constant(Nanos(60)), sampled])
}

fn stage(dice: &mut Dice) -> Stage {
    let models = [QueueModel::RiskAverse, QueueModel::Power(2.0), QueueModel::Power3(2.0), QueueModel::Log];
    let mut news = news(dice, 60);
    let end = Said::Depth { kind: MessageKind::Delta, bids: vec![], asks: vec![] };
    news.push(News { recv: 2 * QUIET, venue: 2 * QUIET, said: end });
    Stage {
        news,
        kind: dice.pick(&[ContractKind::Linear, ContractKind::Inverse, ContractKind::Spot]),
        laws: Laws {
            queue: dice.pick(&models),
            entry: if dice.chance(20) { LatencyModel::Constant(Nanos(0)) } else { latency(dice) },
            response: latency(dice),
            fill: if dice.chance(80) { FillRule::Partial } else { FillRule::Whole },
            consume_liquidity: dice.chance(70),
            full_book: false,
            volume_before: Cash::ZERO,
        },
        feed: FeedLatency::Recorded(Nanos(dice.pick(&[0, 0, 25, 900]))),
    }
}

fn player(dice: &mut Dice) -> Player {
    let limits = Limits {
        position_max: Lots(POSITION_MAX),
        order_max: Lots(8),
        open_orders_max: 12,
        collar_bps: 500,
        requests_per_second_max: dice.pick(&[40, 100_000]),
    };
    let rules = DifferRules {
        keep_within: dice.below(3),
        refill_below_percent: dice.pick(&[0, 50]),
        amend: dice.chance(60),
        post_only: dice.chance(60),
    };
    let wake = WakeRule {
        every: dice.pick(&[None, Some(Nanos(20)), Some(Nanos(130))]),
        touch: dice.chance(40),
        fill: dice.chance(50),
        trade: dice.chance(20),
        message: dice.chance(15),
    };
    let every = wake.every.or((!wake.touch).then_some(Nanos(45)));
    Player { desk: Desk { limits, rules }, wake: WakeRule { every, ..wake }, seed: dice.roll() }
}

fn scene(seed: u64, stages: usize, players: usize) -> (Vec<Stage>, Vec<Player>) {
    let mut dice = Dice(seed);
    ((0..stages).map(|_| stage(&mut dice)).collect(), (0..players).map(|_| player(&mut dice)).collect())
}

/// What a strategy wants, by its dice and by what it has heard.
fn intent(dice: &mut Dice, instrument: InstrumentId, touch: Touch, position: Lots) -> Option<Intent> {
    if dice.chance(25) {
        return None;
    }
    let mut intent = Intent::default();
    let lean = position.0.signum();
    for side in [Side::Buy, Side::Sell] {
        let near = match (side, touch.is_two_sided()) {
            (_, false) => MIDDLE,
            (Side::Buy, true) => i64::from(touch.bid),
            (Side::Sell, true) => i64::from(touch.ask),
        };
        for _ in 0..dice.below(4) {
            let price = Ticks(near - side.sign() * (dice.below(5) - 1) - lean);
            intent.quotes.push(Quote { side, price, qty: Lots(1 + dice.below(7)) });
        }
    }
    if dice.chance(20) {
        intent.immediate.push(OrderRequest {
            instrument,
            side: dice.pick(&[Side::Buy, Side::Sell]),
            price: Ticks(MIDDLE + dice.below(15) - 7),
            qty: Lots(1 + dice.below(9)),
            tif: dice.pick(&[Tif::Gtc, Tif::Ioc, Tif::Fok]),
            post_only: false,
            reduce_only: dice.chance(40),
        });
    }
    Some(intent)
}

fn listing(stage: &Stage, full_book: bool) -> Listing {
    let tape = tape_of(&stage.news, &FUNDING, instrument(stage.kind));
    Listing {
        instrument: tape.instrument().clone(),
        tape,
        laws: Laws { full_book, ..stage.laws.clone() },
        feed: stage.feed.clone(),
        signals: vec![],
    }
}

fn replay(stages: &[Stage], players: &[Player], full_book: bool) -> Replay {
    let seat =
        |player: &Player| Seat { desks: vec![player.desk.clone(); stages.len()], wake: player.wake, record: true };
    let listings = stages.iter().map(|stage| listing(stage, full_book)).collect();
    Replay::new(Plan { listings, seats: players.iter().map(seat).collect(), sample: None }).unwrap()
}

/// Runs to the end; `look` sees the state after every wake.
fn run(replay: &mut Replay, players: &[Player], instruments: u16, mut look: impl FnMut(&Replay)) {
    let mut dice: Vec<Dice> = players.iter().map(|player| Dice(player.seed)).collect();
    while let Some(woken) = replay.next_wake().unwrap() {
        let (now, seats) = (woken.now, woken.seats.clone());
        for seat in seats.into_iter().filter(|_| now.0 < QUIET) {
            for instrument in (0..instruments).map(InstrumentId) {
                let (touch, position) =
                    (replay.market().get(instrument).touch(), replay.engine(seat).position(instrument));
                if let Some(intent) = intent(&mut dice[usize::from(seat)], instrument, touch, position) {
                    replay.decide(seat, instrument, &intent).unwrap();
                }
            }
        }
        replay.check_invariants();
        look(replay);
    }
}

/// What must be equal for two runs to be called the same, for one strategy.
#[derive(Debug, PartialEq)]
struct Outcome {
    fills: Vec<FillRecord>,
    denials: Vec<u64>,
    commands: u64,
    state: u64,
}

fn outcome(replay: &Replay, seat: u16) -> Outcome {
    let engine = replay.engine(seat);
    Outcome {
        fills: replay.recorder(seat).map(|recorder| recorder.fills.clone()).unwrap_or_default(),
        denials: engine.denials().to_vec(),
        commands: engine.commands_hash(),
        state: engine.state_hash(),
    }
}

fn outcomes(stages: &[Stage], players: &[Player], full_book: bool) -> Vec<Outcome> {
    let mut replay = replay(stages, players, full_book);
    run(&mut replay, players, stages.len() as u16, |_| ());
    (0..players.len() as u16).map(|seat| outcome(&replay, seat)).collect()
}

/// An input of an engine, as it was.
enum Told {
    Event(Event),
    Intent(InstrumentId, Intent, Touch),
}

fn step(engine: &mut Engine, now: Nanos, told: &Told) -> Vec<mmbot_types::Command> {
    let input = match told {
        Told::Event(event) => Input::Event(event),
        Told::Intent(instrument, intent, touch) => Input::Intent { instrument: *instrument, intent, touch: *touch },
    };
    engine.step(now, input).unwrap().to_vec()
}

fn engine(stages: &[Stage], player: &Player) -> Engine {
    Engine::new(stages.iter().map(|stage| (instrument(stage.kind), player.desk.clone())).collect())
}

/// The obvious driver: one strategy, nanosecond by nanosecond, nothing skipped. Returns its engine and all that it was
/// told.
fn walk(stages: &[Stage], player: &Player) -> (Engine, Vec<(Nanos, Told)>) {
    let listings: Vec<Listing> = stages.iter().map(|stage| listing(stage, false)).collect();
    let mut feeds: Vec<Feed> = listings.iter().map(|l| Feed::new(l.tape.clone(), l.feed.clone())).collect();
    let listed = |l: Listing| VenueListing { tape: l.tape, instrument: l.instrument, laws: l.laws };
    let mut venue = Venue::new(listings.into_iter().map(listed).collect(), 1);
    let mut market = Market::new(&vec![vec![]; stages.len()]).unwrap();
    let (mut engine, mut told, mut dice) = (engine(stages, player), Vec::new(), Dice(player.seed));
    let start = feeds.iter().filter_map(Feed::start).min().unwrap();
    let end = feeds.iter().filter_map(Feed::end).max().unwrap();
    let mut timer = player.wake.every.map(|every| start + every);
    for now in (start.0..=end.0).map(Nanos) {
        let before: Vec<Touch> = market.iter().map(|heard| heard.touch()).collect();
        let cursors: usize = feeds.iter().map(Feed::cursor).sum();
        let (mut traded, mut filled) = (false, false);
        loop {
            let arrival = venue.next_arrival().filter(|at| *at <= now);
            let funding = venue.next_funding().filter(|at| *at <= now);
            let until = [arrival, funding].into_iter().flatten().min().unwrap_or(now);
            let books = |market: &Market, feeds: &[Feed], run: &mut dyn FnMut(&[LocalBook<'_>])| {
                let book = |(heard, feed): (_, &Feed)| {
                    let heard: &mmbot_engine::Heard = heard;
                    LocalBook { book: &heard.book, cursor: feed.cursor() }
                };
                run(&market.iter().zip(feeds).map(book).collect::<Vec<_>>());
            };
            books(&market, &feeds, &mut |books| venue.run(books, until, false).unwrap());
            for (index, feed) in feeds.iter_mut().enumerate() {
                traded |= feed.hear(market.get_mut(InstrumentId(index as u16)), until).unwrap();
            }
            if arrival == Some(until) {
                books(&market, &feeds, &mut |books| venue.arrive(books).unwrap());
            } else if funding == Some(until) {
                venue.settle_funding(until);
            } else {
                break;
            }
        }
        while let Some(response) = venue.next_response(0, now) {
            filled |= matches!(response.event, Event::Filled { .. });
            told.push((response.at, Told::Event(response.event)));
            step(&mut engine, response.at, &told[told.len() - 1].1);
        }
        let moved = market.iter().zip(&before).any(|(heard, before)| heard.touch() != *before);
        let heard = traded || cursors != feeds.iter().map(Feed::cursor).sum::<usize>();
        let due = timer == Some(now);
        if due {
            timer = timer.zip(player.wake.every).map(|(timer, every)| timer + every);
        }
        let WakeRule { touch, fill, trade, message, .. } = player.wake;
        if !(due || (touch && moved) || (fill && filled) || (trade && traded) || (message && heard)) || now.0 >= QUIET {
            continue;
        }
        for instrument in (0..stages.len() as u16).map(InstrumentId) {
            let touch = market.get(instrument).touch();
            let Some(intent) = intent(&mut dice, instrument, touch, engine.position(instrument)) else { continue };
            told.push((now, Told::Intent(instrument, intent, touch)));
            for command in step(&mut engine, now, &told[told.len() - 1].1) {
                venue.accept(0, instrument, command, now);
            }
        }
    }
    (engine, told)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// A strategy ends the same, bit for bit, whether the venue keeps a book of its own or not.
    #[test]
    fn the_thin_view_ends_as_the_full_book(seed in any::<u64>()) {
        let (stages, players) = scene(seed, 2, 2);
        prop_assert_eq!(outcomes(&stages, &players, false), outcomes(&stages, &players, true));
    }

    /// Several strategies in one pass end as each does in a pass of its own; a second pass ends as the first.
    #[test]
    fn a_batch_ends_as_separate_runs(seed in any::<u64>()) {
        let (stages, players) = scene(seed, 2, 4);
        let together = outcomes(&stages, &players, false);
        for (player, outcome) in players.iter().zip(&together) {
            let alone = outcomes(&stages, std::slice::from_ref(player), false);
            prop_assert_eq!(&alone[0], outcome);
        }
        prop_assert_eq!(&together, &outcomes(&stages, &players, false));
    }

    /// A feed cut into messages of one level at the same times ends the same, under every wake rule. Not so with
    /// sampled feed latencies, which are drawn per message, nor for measures that count messages.
    #[test]
    fn how_a_feed_is_cut_does_not_matter(seed in any::<u64>()) {
        let (stages, players) = scene(seed, 2, 2);
        let pieces: Vec<Stage> = stages.iter().map(|stage| Stage { news: cut(&stage.news), ..stage.clone() }).collect();
        prop_assert_eq!(outcomes(&stages, &players, false), outcomes(&pieces, &players, false));
    }

    /// Whatever is wanted, amended, cancelled and in flight: the position at the venue stays within the limit, and
    /// would if all that works filled.
    #[test]
    fn the_venue_never_holds_more_than_the_limit(seed in any::<u64>()) {
        let (stages, players) = scene(seed, 2, 1);
        let mut replay = replay(&stages, &players, false);
        let mut worst = 0;
        run(&mut replay, &players, 2, |replay| {
            for (id, side) in [(0, Side::Buy), (0, Side::Sell), (1, Side::Buy), (1, Side::Sell)] {
                let (engine, id) = (replay.engine(0), InstrumentId(id));
                let free = engine.orders().side(id, side).filter(|order| !order.request.reduce_only);
                let working: i64 = free.map(|order| order.exposure().0).sum();
                worst = worst.max(side.sign() * engine.position(id).0 + working);
            }
        });
        prop_assert!(worst <= POSITION_MAX, "position {worst} if all that works filled");
        let mut fills = replay.recorder(0).unwrap().fills.clone();
        fills.sort_by_key(|fill| fill.execution);
        let mut positions = [0i64; 2];
        for fill in fills {
            let position = &mut positions[usize::from(fill.instrument.0)];
            *position += fill.side.sign() * fill.qty.0;
            prop_assert!(position.abs() <= POSITION_MAX, "{position} lots after {fill:?}");
        }
    }

    /// Cash, fees, funding and position are what a fold over the fills by hand makes of them, to the last unit.
    #[test]
    fn money_adds_up(seed in any::<u64>()) {
        let (stages, players) = scene(seed, 2, 1);
        let mut replay = replay(&stages, &players, false);
        run(&mut replay, &players, 2, |_| ());
        for (index, stage) in stages.iter().enumerate() {
            let id = InstrumentId(index as u16);
            let fills: Vec<_> =
                replay.recorder(0).unwrap().fills.iter().filter(|fill| fill.instrument == id).copied().collect();
            let position = |until: i64| -> i64 {
                fills.iter().filter(|fill| fill.ts_venue.0 <= until).map(|fill| fill.side.sign() * fill.qty.0).sum()
            };
            let (mut cash, mut fees, mut funding) = (0i128, 0i128, 0i128);
            for fill in &fills {
                let value = notional(stage.kind, fill.price.0, fill.qty.0);
                let fee = half_even(value * if fill.maker { 10_000 } else { 55_000 }, 100_000_000);
                let outgoing = if stage.kind == ContractKind::Inverse { -1 } else { 1 };
                cash -= outgoing * i128::from(fill.side.sign()) * value + fee;
                fees += fee;
            }
            for (time, rate, mark) in FUNDING {
                let held = position(time);
                let paid = half_even(notional(stage.kind, mark, held.abs()) * i128::from(rate * held.signum()), 100_000_000);
                funding -= paid;
            }
            let ledger = replay.engine(0).ledger();
            prop_assert_eq!(ledger.position(id), Lots(position(i64::MAX)));
            prop_assert_eq!((ledger.fees(id).0, ledger.funding(id).0), (fees, funding));
            prop_assert_eq!(ledger.cash(id).0, cash + funding);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// The driver that skips to the next wake ends as the one that walks every nanosecond, and the engine alone, told
    /// the same, says the same.
    #[test]
    fn skipping_ends_as_walking(seed in any::<u64>()) {
        let (stages, players) = scene(seed, 2, 1);
        let (walked, told) = walk(&stages, &players[0]);
        let skipped = &outcomes(&stages, &players, false)[0];
        prop_assert_eq!((skipped.commands, skipped.state), (walked.commands_hash(), walked.state_hash()));
        let mut alone = engine(&stages, &players[0]);
        for (now, told) in &told {
            step(&mut alone, *now, told);
        }
        prop_assert_eq!((alone.commands_hash(), alone.state_hash()), (walked.commands_hash(), walked.state_hash()));
    }
}

fn half_even(numerator: i128, denominator: i128) -> i128 {
    let (quotient, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
    let up = 2 * rest > denominator || (2 * rest == denominator && quotient % 2 != 0);
    quotient + i128::from(up)
}

/// In units of 10^-12; a tick is 0.1, a lot 0.001, an inverse contract 100.
fn notional(kind: ContractKind, ticks: i64, lots: i64) -> i128 {
    let (ticks, lots) = (i128::from(ticks), i128::from(lots));
    match kind {
        ContractKind::Linear | ContractKind::Spot => ticks * lots * 100_000_000,
        ContractKind::Inverse => half_even(lots * 100 * 10_000_000_000, ticks),
    }
}

/// The random runs are worth something: makers' and takers' fills, amends, and every kind of denial that they can meet.
#[test]
fn random_runs_meet_what_they_are_for() {
    let (mut maker, mut taker, mut amends, mut denials) = (0, 0, 0, [0u64; 6]);
    for seed in 0..60 {
        let (stages, players) = scene(seed, 2, 1);
        let mut replay = replay(&stages, &players, false);
        run(&mut replay, &players, 2, |_| ());
        let recorder = replay.recorder(0).unwrap();
        maker += recorder.fills.iter().filter(|fill| fill.maker).count();
        taker += recorder.fills.iter().filter(|fill| !fill.maker).count();
        amends += recorder.orders.iter().map(|row| row.order.amends).sum::<u32>();
        denials.iter_mut().zip(replay.engine(0).denials()).for_each(|(sum, n)| *sum += n);
    }
    assert!(maker > 200 && taker > 200 && amends > 100, "fills {maker} {taker}, amends {amends}");
    assert!(denials[1..].iter().all(|count| *count > 5), "denials {denials:?}");
}
