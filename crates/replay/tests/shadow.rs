//! Runs on tapes that are still being written: however they are cut, they end as one run over the finished tapes.
#![allow(clippy::unwrap_used)] // a test may stop at once

#[path = "../../sim/tests/market/mod.rs"]
mod market;
mod scene;

use std::path::PathBuf;
use std::sync::Arc;

use market::{Dice, News, Said, instrument};
use mmbot_replay::{FeedLatency, Listing, Replay, ReplayError};
use mmbot_signals::SignalSpec;
use mmbot_sim::LatencyModel;
use mmbot_tape::{LiveTape, Tape};
use mmbot_types::{InstrumentId, Nanos};
use proptest::prelude::*;
use scene::{FUNDING, Outcome, Player, Stage, dice_of, drive, outcome, replay_of, run, scene};
use tempfile::TempDir;

const SAMPLE: Option<Nanos> = Some(Nanos(70));

/// One message on its way to a tape.
enum Coming<'a> {
    News(&'a News),
    Funding(i64, i64, i64),
}

/// All messages of all stages in the order of receipt, each with its stage.
fn coming(stages: &[Stage]) -> Vec<(i64, usize, Coming<'_>)> {
    let mut all = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        all.extend(stage.news.iter().map(|news| (news.recv, index, Coming::News(news))));
        all.extend(FUNDING.map(|(at, rate, mark)| (at, index, Coming::Funding(at, rate, mark))));
    }
    all.sort_by_key(|(recv, ..)| *recv);
    all
}

fn add(live: &mut LiveTape, message: &Coming<'_>) {
    match message {
        Coming::News(News { recv, venue, said: Said::Depth { kind, bids, asks } }) => {
            live.depth(*recv, *venue, *kind, bids, asks).unwrap();
        }
        Coming::News(News { recv, venue, said: Said::Trade { level, aggressor } }) => {
            live.trade(*recv, *venue, *level, *aggressor).unwrap();
        }
        Coming::Funding(at, rate, mark) => live.funding(*at, *at, *rate, *mark).unwrap(),
    }
}

/// The run of `stages`, on tapes at whatever state they are.
fn replay_on(tapes: Vec<Arc<Tape>>, stages: &[Stage], players: &[Player]) -> Replay {
    let listing = |(tape, stage): (Arc<Tape>, &Stage)| Listing {
        instrument: tape.instrument().clone(),
        tape,
        without_us: None,
        laws: stage.laws.clone(),
        feed: stage.feed.clone(),
        signals: vec![SignalSpec::Microprice, SignalSpec::TradeFlow { half_life: Nanos(300) }],
    };
    replay_of(tapes.into_iter().zip(stages).map(listing).collect(), players, SAMPLE)
}

/// What must be equal: each strategy's outcome, the measures, and the time reached.
fn ending(replay: &Replay, players: &[Player]) -> (Vec<Outcome>, Vec<u64>, Nanos) {
    let outcomes = (0..players.len() as u16).map(|seat| outcome(replay, seat)).collect();
    (outcomes, replay.market().iter().map(|heard| heard.signals.state_hash()).collect(), replay.now())
}

fn live_tapes(room: &TempDir, stages: &[Stage]) -> (Vec<LiveTape>, Vec<PathBuf>) {
    let path = |index: usize| room.path().join(format!("{index}.tape"));
    let live = |(index, stage): (usize, &Stage)| {
        LiveTape::create(path(index).with_extension("live"), instrument(stage.kind)).unwrap()
    };
    (stages.iter().enumerate().map(live).collect(), (0..stages.len()).map(path).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// A shadow run, cut anywhere, with messages that come too late, ends as a backtest of what it has recorded.
    #[test]
    fn a_shadow_run_ends_as_the_backtest_of_its_tape(seed in any::<u64>()) {
        let (mut stages, players) = scene(seed, 2, 3);
        let (room, mut cuts) = (tempfile::tempdir().unwrap(), Dice(!seed));
        if cuts.chance(30) {
            let quantiles = vec![Nanos(0), Nanos(10), Nanos(250)];
            stages[0].feed = FeedLatency::Modelled(LatencyModel::Sampled { quantiles, seed: 5 });
        }
        let (mut live, paths) = live_tapes(&room, &stages);
        let tapes = || live.iter().map(|live| Arc::clone(live.tape())).collect();
        let mut shadow = replay_on(tapes(), &stages, &players);
        let (mut dice, often, lag) = (dice_of(&players), cuts.pick(&[3, 20, 60]), cuts.pick(&[0, 30, 400, 2_000]));
        for (recv, stage, message) in coming(&stages) {
            add(&mut live[stage], &message);
            while cuts.chance(often) {
                let until = recv - lag - cuts.below(100);
                live.iter_mut().for_each(|live| live.settle(until).unwrap());
                let until = Nanos(until - cuts.pick(&[0, 0, 70]));
                let before = shadow.now();
                drive(&mut shadow, &mut dice, 2, Some(until), |_| ());
                prop_assert!(shadow.now() <= until.max(before));
            }
        }
        live.into_iter().zip(&paths).for_each(|(live, path)| live.seal(path).unwrap());
        drive(&mut shadow, &mut dice, 2, None, |_| ());
        let sealed = paths.iter().map(|path| Arc::new(Tape::open(path).unwrap())).collect();
        let mut backtest = replay_on(sealed, &stages, &players);
        run(&mut backtest, &players, 2, |_| ());
        prop_assert_eq!(ending(&shadow, &players), ending(&backtest, &players));
    }

    /// A run over finished tapes may be cut as well.
    #[test]
    fn a_cut_run_ends_as_a_whole_one(seed in any::<u64>()) {
        let (stages, players) = scene(seed, 2, 2);
        let mut cuts = Dice(!seed);
        let start = || scene::replay(&stages, &players, false);
        let (mut whole, mut pieces) = (start(), start());
        run(&mut whole, &players, 2, |_| ());
        let (mut dice, mut until) = (dice_of(&players), 0);
        while until < 9_000 {
            until += cuts.below(200);
            drive(&mut pieces, &mut dice, 2, Some(Nanos(until)), |_| ());
        }
        drive(&mut pieces, &mut dice, 2, None, |_| ());
        prop_assert_eq!(ending(&pieces, &players), ending(&whole, &players));
    }
}

/// A run does not go where something may still come, and says what to do.
#[test]
fn what_is_not_settled_is_not_replayed() {
    let (stages, players) = scene(1, 1, 1);
    let room = tempfile::tempdir().unwrap();
    let (mut live, _) = live_tapes(&room, &stages);
    let mut shadow = replay_on(vec![Arc::clone(live[0].tape())], &stages, &players);
    let refused = |found: Result<Option<Nanos>, ReplayError>| found.unwrap_err().to_string();
    assert!(refused(shadow.next_wake_by(Nanos(5)).map(|_| None)).contains("settle it"));
    live[0].settle(5).unwrap();
    assert!(shadow.next_wake_by(Nanos(5)).unwrap().is_none(), "an empty tape wakes nobody");
    coming(&stages).iter().for_each(|(_, _, message)| add(&mut live[0], message));
    assert!(refused(shadow.next_wake_by(Nanos(6)).map(|_| None)).contains("settled up to"));
    assert!(refused(shadow.next_wake().map(|_| None)).contains("to its end"));
    live[0].settle(50_000).unwrap();
    drive(&mut shadow, &mut dice_of(&players), 1, Some(Nanos(50_000)), |_| ());
    assert_eq!(shadow.now(), Nanos(shadow.end().0 - 1), "a later message would end the run later");
    drive(&mut shadow, &mut dice_of(&players), 1, None, |_| ());
    assert_eq!((shadow.now(), shadow.feed(InstrumentId(0)).start()), (shadow.end(), None));
}

/// Tapes on which nothing ever came end at once.
#[test]
fn an_empty_shadow_run_ends() {
    let (stages, players) = scene(1, 1, 1);
    let room = tempfile::tempdir().unwrap();
    let (live, _) = live_tapes(&room, &stages);
    let mut shadow = replay_on(vec![Arc::clone(live[0].tape())], &stages, &players);
    assert!(shadow.next_wake().unwrap().is_none());
    assert_eq!(shadow.now(), Nanos::ZERO);
}
