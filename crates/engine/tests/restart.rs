//! A restart loosens no control: an engine that goes on from a snapshot answers the same future with the same commands
//! and the same denials as the one that was never stopped.
#![allow(clippy::unwrap_used)] // a test may stop at once

use std::collections::BTreeMap;

use mmbot_engine::{
    Bounds, Circle, Controls, Denial, Denials, Desk, DifferRules, Elsewhere, Engine, EngineState, FreezeLevel, Input,
    Intent, Limits, Outside, Quote, Scope, Seen, Temper,
};
use mmbot_types::{
    Cash, Command, ContractKind, Event, FeeSchedule, Instrument, InstrumentId, Lots, Nanos, Side, Step, Ticks, Touch,
};
use proptest::prelude::*;

const TOUCH: Touch = Touch { bid: 10_000, ask: 10_001 };
const LOT: i128 = TOUCH.ask as i128 * 1_000_000_000_000;
const STEPS: usize = 160;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Two instruments, every control on that remembers something.
fn fresh() -> Engine {
    let one = || Step::parse("1").unwrap();
    let instrument = Instrument {
        venue: "model".into(),
        symbol: "XYZ".into(),
        kind: ContractKind::Linear,
        tick: one(),
        lot: one(),
        contract: one(),
        fees: FeeSchedule::flat(0, 0).unwrap(),
    };
    let controls = Controls {
        unit_shift: true,
        duplicate_window: Nanos(400_000_000),
        reference_collar_bps: 20,
        orders_per_trade_max: 4,
        orders_free: 12,
        ..Controls::default()
    };
    let limits = Limits {
        position_max: Lots(200),
        order_max: Lots(100),
        open_orders_max: 60,
        collar_bps: 500,
        requests_per_second_max: 5,
        controls,
    };
    let rules = DifferRules { amend: true, ..DifferRules::default() };
    let mut engine = Engine::new(vec![(instrument, Desk { limits, rules }); 2]);
    engine.bind(Bounds {
        creates_per_second_max: 6,
        requests_per_second_max: 7,
        strategy_notional_max: Cash(150 * LOT),
        account_gross_max: Cash(300 * LOT),
        ..Bounds::default()
    });
    engine
}

/// What happens next: drawn from the one engine's state, told to both.
enum Next {
    Wanted(InstrumentId, Intent),
    Told(Outside),
    Happened(Event),
}

fn told(dice: &mut Dice, now: Nanos) -> Outside {
    let instrument = InstrumentId(dice.below(2) as u16);
    match dice.below(5) {
        0 => {
            let scope = [Scope::Symbol(instrument), Scope::Strategy, Scope::Account, Scope::Firm];
            let level = if dice.one_in(4) { FreezeLevel::ReduceOnly } else { FreezeLevel::Normal };
            Outside::Restrict { scope: scope[dice.below(4) as usize], level }
        }
        1 => {
            let price = Some(Ticks(9_960 + dice.below(80) as i64)).filter(|_| !dice.one_in(5));
            Outside::Reference { instrument, price, at: now }
        }
        2 => {
            let gross = Cash(LOT * i128::from(dice.below(300)));
            let held = Some(Elsewhere { gross, net: Cash(0), at: now }).filter(|_| !dice.one_in(5));
            Outside::Elsewhere { circle: Circle::Account, held }
        }
        3 => Outside::Share(200_000 * (1 + dice.below(5) as u32)),
        _ => {
            let temper = Temper { size_ppm: 500_000, back_ppm: 100 * dice.below(2) as u32, least: Lots(1) };
            Outside::Temper { instrument, temper }
        }
    }
}

fn next(dice: &mut Dice, engine: &Engine, now: Nanos) -> Next {
    let open: Vec<_> = engine.orders().iter().map(|order| (order.id, order.leaves(), order.request)).collect();
    match dice.below(8) {
        0 => Next::Told(told(dice, now)),
        1..=3 if !open.is_empty() => {
            let (id, leaves, request) = open[dice.below(open.len() as u64) as usize];
            Next::Happened(match dice.below(4) {
                0 if leaves > Lots(0) => Event::Filled {
                    id,
                    execution: now.0 as u64,
                    price: request.price,
                    qty: Lots(1 + dice.below(leaves.0 as u64) as i64),
                    maker: true,
                    fee: Cash(0),
                    touch_bid: TOUCH.bid,
                    touch_ask: TOUCH.ask,
                    ts_venue: now,
                },
                1 => Event::OrderCanceled { id, cum: engine.orders().get(id).unwrap().booked, ts_venue: now },
                _ => Event::OrderAccepted { id, ts_venue: now },
            })
        }
        _ => {
            let mut intent = Intent::default();
            for side in [Side::Buy, Side::Sell] {
                let near = i64::from(if side == Side::Buy { TOUCH.bid } else { TOUCH.ask });
                let lots = if dice.one_in(9) { 60 + dice.below(40) } else { 1 + dice.below(5) };
                let price = Ticks(near - side.sign() * dice.below(20) as i64);
                intent.quotes.push(Quote { side, price, qty: Lots(lots as i64) });
            }
            Next::Wanted(InstrumentId(dice.below(2) as u16), intent)
        }
    }
}

type Answer = (Vec<Command>, Vec<(Denials, Command)>);

fn tell(engine: &mut Engine, now: Nanos, next: &Next) -> Answer {
    let seen = Seen { touch: TOUCH, heard: Some(now), venue: Some(now) };
    (0..2).for_each(|index| engine.see(InstrumentId(index), seen));
    let commands = match next {
        Next::Wanted(instrument, intent) => {
            engine.step(now, Input::Intent { instrument: *instrument, intent, touch: TOUCH })
        }
        Next::Told(told) => engine.step(now, Input::Outside(told)),
        Next::Happened(event) => engine.step(now, Input::Event(event)),
    };
    (commands.unwrap().to_vec(), engine.denied().to_vec())
}

/// Plays a run with a restart after so many steps, through `kept`. Says where the two first differ, and counts what was
/// denied after the restart.
fn play(
    seed: u64,
    restart: usize,
    kept: impl Fn(EngineState) -> EngineState,
    met: &mut BTreeMap<Denial, u32>,
) -> Option<String> {
    let (mut dice, mut one, mut other, mut now) = (Dice(seed), fresh(), None, Nanos(1_000_000_000));
    for step in 0..STEPS {
        if step == restart {
            let mut engine = fresh();
            engine.restore(kept(one.snapshot())).unwrap();
            other = Some(engine);
        }
        now += Nanos(1 + dice.below(200_000_000) as i64);
        if dice.one_in(40) {
            now += Nanos(1_000_000_000 * dice.below(80_000) as i64); // overnight
        }
        let next = next(&mut dice, &one, now);
        let was = tell(&mut one, now, &next);
        if let Some(other) = &mut other {
            let is = tell(other, now, &next);
            if was != is {
                return Some(format!("step {step}: {was:?}, after a restart {is:?}"));
            }
            was.1.iter().flat_map(|(denials, _)| denials.iter()).for_each(|no| *met.entry(no).or_default() += 1);
        }
    }
    one.check_invariants();
    let states = (one.snapshot(), other.map_or_else(|| one.snapshot(), |other| other.snapshot()));
    (states.0 != states.1).then(|| format!("{states:#?}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Stopped at any point and started again, an engine denies what it would have denied.
    #[test]
    fn a_restart_loosens_no_control(seed in any::<u64>(), restart in 0..STEPS) {
        let differs = play(seed, restart, |state| state, &mut BTreeMap::new());
        prop_assert_eq!(differs, None);
    }
}

/// The runs meet every control that remembers, and a snapshot that forgets them is found out.
#[test]
fn the_runs_are_worth_their_name() {
    let (mut met, mut caught) = (BTreeMap::new(), 0);
    for seed in 0..200 {
        assert_eq!(play(seed, 60, |state| state, &mut met), None);
        let forgetful = |state| EngineState { kept: None, tempers: Vec::new(), ..state };
        caught += u32::from(play(seed, 60, forgetful, &mut BTreeMap::new()).is_some());
    }
    let expected = [
        Denial::Rate,
        Denial::ApiBudget,
        Denial::UnitShift,
        Denial::OrderToTrade,
        Denial::ReferenceCollar,
        Denial::StrategyNotional,
        Denial::AccountGross,
        Denial::OrderSize,
        Denial::FrozenSymbol,
        Denial::FrozenStrategy,
        Denial::FrozenAccount,
        Denial::FrozenFirm,
    ];
    for denial in expected {
        assert!(met.get(&denial).is_some_and(|count| *count >= 5), "{denial:?} is too rare: {met:?}");
    }
    assert!(caught > 150, "a snapshot that forgets was noticed in {caught} of 200 runs");
}

/// A snapshot of before this was kept is read, and forgets what it forgot then.
#[test]
fn a_snapshot_of_version_1_is_read() {
    let mut engine = fresh();
    let told = Outside::Restrict { scope: Scope::Firm, level: FreezeLevel::Kill };
    engine.step(Nanos(1), Input::Outside(&told)).unwrap();
    let state = EngineState { kept: None, tempers: Vec::new(), ..engine.snapshot() };
    let mut other = fresh();
    other.restore(state).unwrap();
    assert_eq!(other.keeper().level(InstrumentId(0)), FreezeLevel::Normal);
    let foreign = EngineState { tempers: vec![Temper::NONE; 3], ..engine.snapshot() };
    let error = fresh().restore(foreign).unwrap_err().to_string();
    assert!(error.contains("of other instruments"), "{error}");
}
