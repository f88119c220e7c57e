//! Random runs: markets, laws and strategies by the dice, and what a run leaves.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and may stop at once")]

use mmbot_engine::{Bounds, Controls, Desk, DifferRules, Intent, Limits, Quote};
use mmbot_replay::{FeedLatency, FillRecord, Listing, OrderRecord, Plan, Replay, Sample, Seat, WakeRule};
use mmbot_sim::{FillRule, LatencyModel, Laws, QueueModel};
use mmbot_tape::MessageKind;
use mmbot_types::{Cash, ContractKind, InstrumentId, Lots, Nanos, OrderRequest, Side, Ticks, Tif, Touch};

use crate::market::{Dice, MIDDLE, News, Said, instrument, news, tape_of};

pub const POSITION_MAX: i64 = 12;
/// Nobody speaks after this; the tape goes on until everything in flight is heard.
pub const QUIET: i64 = 4_000;
pub const FUNDING: [(i64, i64, i64); 2] = [(1_300, 10_000, 998), (1_900, -7_500, 1_003)];

/// One market of a run.
#[derive(Clone)]
pub struct Stage {
    pub news: Vec<News>,
    pub kind: ContractKind,
    pub laws: Laws,
    pub feed: FeedLatency,
}

/// One strategy of a run: what it wants is random, and depends on what it has heard.
#[derive(Clone)]
pub struct Player {
    pub desk: Desk,
    pub wake: WakeRule,
    pub seed: u64,
}

pub fn latency(dice: &mut Dice) -> LatencyModel {
    let sampled = LatencyModel::Sampled { quantiles: vec![Nanos(1), Nanos(20), Nanos(400)], seed: 3 };
    dice.pick(&[LatencyModel::Constant(Nanos(1)), LatencyModel::Constant(Nanos(60)), sampled])
}

pub fn stage(dice: &mut Dice) -> Stage {
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

pub fn player(dice: &mut Dice) -> Player {
    let limits = Limits {
        position_max: Lots(POSITION_MAX),
        order_max: Lots(8),
        open_orders_max: 12,
        collar_bps: 500,
        requests_per_second_max: dice.pick(&[40, 100_000]),
        controls: Controls::default(),
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

pub fn scene(seed: u64, stages: usize, players: usize) -> (Vec<Stage>, Vec<Player>) {
    let mut dice = Dice(seed);
    ((0..stages).map(|_| stage(&mut dice)).collect(), (0..players).map(|_| player(&mut dice)).collect())
}

/// What a strategy wants, by its dice and by what it has heard.
pub fn intent(dice: &mut Dice, instrument: InstrumentId, touch: Touch, position: Lots) -> Option<Intent> {
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

pub fn listing(stage: &Stage, full_book: bool) -> Listing {
    let tape = tape_of(&stage.news, &FUNDING, instrument(stage.kind));
    Listing {
        instrument: tape.instrument().clone(),
        tape,
        without_us: None,
        laws: Laws { full_book, ..stage.laws.clone() },
        feed: stage.feed.clone(),
        signals: vec![],
    }
}

pub fn replay(stages: &[Stage], players: &[Player], full_book: bool) -> Replay {
    replay_of(stages.iter().map(|stage| listing(stage, full_book)).collect(), players, None)
}

pub fn replay_of(listings: Vec<Listing>, players: &[Player], sample: Option<Nanos>) -> Replay {
    let desks = |player: &Player| vec![player.desk.clone(); listings.len()];
    let seats = players
        .iter()
        .map(|player| Seat { desks: desks(player), bounds: Bounds::default(), wake: player.wake, record: true })
        .collect();
    Replay::new(Plan { listings, seats, sample }).unwrap()
}

/// Runs to the end; `look` sees the state after every wake.
pub fn run(replay: &mut Replay, players: &[Player], instruments: u16, look: impl FnMut(&Replay)) {
    drive(replay, &mut dice_of(players), instruments, None, look);
}

/// The dice of each player.
pub fn dice_of(players: &[Player]) -> Vec<Dice> {
    players.iter().map(|player| Dice(player.seed)).collect()
}

/// Runs to the end, or on growing tapes up to a time; `look` sees the state after every wake.
pub fn drive(
    replay: &mut Replay,
    dice: &mut [Dice],
    instruments: u16,
    until: Option<Nanos>,
    mut look: impl FnMut(&Replay),
) {
    let next = |replay: &mut Replay| {
        let woken = match until {
            Some(until) => replay.next_wake_by(until),
            None => replay.next_wake(),
        };
        woken.unwrap().map(|woken| (woken.now, woken.seats.clone()))
    };
    while let Some((now, seats)) = next(replay) {
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
pub struct Outcome {
    pub fills: Vec<FillRecord>,
    pub orders: Vec<OrderRecord>,
    pub samples: Vec<Sample>,
    pub wakes: u64,
    pub denials: Vec<u64>,
    pub commands: u64,
    pub state: u64,
}

pub fn outcome(replay: &Replay, seat: u16) -> Outcome {
    let (engine, recorder) = (replay.engine(seat), replay.recorder(seat).unwrap());
    Outcome {
        fills: recorder.fills.clone(),
        orders: recorder.orders.clone(),
        samples: recorder.samples.clone(),
        wakes: replay.wakes(seat),
        denials: engine.denials().to_vec(),
        commands: engine.commands_hash(),
        state: engine.state_hash(),
    }
}

pub fn outcomes(stages: &[Stage], players: &[Player], full_book: bool) -> Vec<Outcome> {
    let mut replay = replay(stages, players, full_book);
    run(&mut replay, players, stages.len() as u16, |_| ());
    (0..players.len() as u16).map(|seat| outcome(&replay, seat)).collect()
}
