//! Whole runs over random markets: however they are driven, batched, cut or read, they end the same; limits hold at the
//! venue, and money adds up.
#![allow(clippy::unwrap_used)] // a test may stop at once

#[path = "../../sim/tests/market/mod.rs"]
mod market;
mod scene;

use market::{Dice, cut, instrument};
use mmbot_engine::{Denial, Engine, Input, Intent, Market};
use mmbot_replay::{Feed, Listing, WakeRule};
use mmbot_sim::{LatencyModel, LocalBook, Venue, VenueListing};
use mmbot_types::{ContractKind, Event, InstrumentId, Lots, Nanos, Side, Touch};
use proptest::prelude::*;
use scene::{FUNDING, POSITION_MAX, Player, QUIET, Stage, intent, listing, outcomes, replay, run, scene};

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

/// The obvious driver: one strategy, nanosecond by nanosecond, nothing skipped. Its engine, and all it was told.
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
        let (mut stages, players) = scene(seed, 2, 1);
        for stage in stages.iter_mut().filter(|stage| stage.laws.entry == LatencyModel::Constant(Nanos(0))) {
            // Decided at the moment of a settlement and arrived at once, it trades after it: times do not tell.
            stage.laws.entry = LatencyModel::Constant(Nanos(1));
        }
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
                let value = notional(stage.kind, mark, held.abs());
                funding -= half_even(value * i128::from(rate * held.signum()), 100_000_000);
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

    /// The driver that skips to the next wake ends as the one that walks every nanosecond, and the engine alone,
    /// told the same, says the same.
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
    let often = [Denial::OrderSize, Denial::Position, Denial::OpenOrders, Denial::Book, Denial::Rate];
    let (mut maker, mut taker, mut amends, mut denials) = (0, 0, 0, [0u64; Denial::ALL.len()]);
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
    assert!(often.iter().all(|denial| denials[*denial as usize] > 5), "denials {denials:?}");
}
