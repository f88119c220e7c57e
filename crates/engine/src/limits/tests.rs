//! Each control at its boundary, and what holds for all of them.

use super::*;
use crate::orders::Op;
use mmbot_types::{ContractKind, Event, FeeSchedule, OrderId, Step, Tif};
use proptest::prelude::*;

const NOW: i64 = 1_000_000_000_000;
const UNIT: i128 = 1_000_000_000_000;

fn instrument() -> Instrument {
    let one = || Step::parse("1").unwrap();
    Instrument {
        venue: "test".into(),
        symbol: "XYZ".into(),
        kind: ContractKind::Linear,
        tick: one(),
        lot: one(),
        contract: one(),
        fees: FeeSchedule::flat(0, 0).unwrap(),
    }
}

const LIMITS: Limits = Limits {
    position_max: Lots(10),
    order_max: Lots(6),
    open_orders_max: 4,
    collar_bps: 100,
    requests_per_second_max: 1_000,
    controls: OFF,
};

const OFF: Controls = Controls {
    allowed: true,
    maker: false,
    order_notional_max: UNBOUNDED,
    unit_shift: false,
    duplicate_window: Nanos::ZERO,
    self_match: false,
    book_age_max: Nanos::ZERO,
    venue_age_max: Nanos::ZERO,
    reference_age_max: Nanos::ZERO,
    reference_collar_bps: u32::MAX,
    entry_age_max: Nanos::ZERO,
    notional_max: UNBOUNDED,
    orders_max: u32::MAX,
    open_notional_max: UNBOUNDED,
    orders_per_trade_max: 0,
    orders_free: 0,
};

fn request(side: Side, price: i64, qty: i64) -> OrderRequest {
    OrderRequest {
        instrument: InstrumentId(0),
        side,
        price: Ticks(price),
        qty: Lots(qty),
        tif: Tif::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

const fn money(whole: i128) -> Cash {
    Cash(whole * UNIT)
}

/// Two instruments at 10,000 to 10,001, what is held and what works.
struct Scene {
    limits: Limits,
    bounds: Bounds,
    positions: [i64; 2],
    orders: Orders,
    gone: VecDeque<Order>,
    seen: Seen,
    told: Vec<Outside>,
    passed: Vec<i64>,
}

impl Scene {
    fn new(controls: Controls) -> Self {
        let touch = Touch { bid: 10_000, ask: 10_001 };
        let limits = Limits { position_max: Lots(1 << 30), order_max: Lots(1 << 30), controls, ..LIMITS };
        Self {
            limits,
            bounds: Bounds::default(),
            positions: [0, 0],
            orders: Orders::default(),
            gone: VecDeque::new(),
            seen: Seen { touch, heard: Some(Nanos(NOW)), venue: Some(Nanos(NOW)) },
            told: Vec::new(),
            passed: Vec::new(),
        }
    }

    fn bound(bounds: Bounds) -> Self {
        Self { bounds, ..Self::new(OFF) }
    }

    fn holding(mut self, first: i64, second: i64) -> Self {
        self.positions = [first, second];
        self
    }

    fn working(mut self, requests: &[OrderRequest]) -> Self {
        for request in requests {
            let id = OrderId(self.orders.len() as u64 + 1);
            self.orders.insert(Order::sent(id, *request, Nanos(NOW)));
        }
        self
    }

    fn seeing(mut self, seen: Seen) -> Self {
        self.seen = seen;
        self
    }

    fn told(mut self, told: Outside) -> Self {
        self.told.push(told);
        self
    }

    fn keeper(&self) -> Keeper {
        let mut keeper = Keeper::new(vec![self.limits; 2], &[instrument(), instrument()], self.bounds);
        (0..2).for_each(|index| keeper.see(InstrumentId(index), self.seen));
        self.told.iter().for_each(|told| keeper.tell(told));
        self.passed.iter().for_each(|lots| keeper.memories[0].sizes.push(*lots));
        keeper
    }

    fn asks(&self, command: Command) -> Denials {
        let positions = |of: InstrumentId| Lots(self.positions[of.0 as usize]);
        let situation = Situation { now: Nanos(NOW), positions: &positions, orders: &self.orders, gone: &self.gone };
        self.keeper().approve(&situation, command).err().unwrap_or_default()
    }

    fn wants(&self, wish: OrderRequest) -> Denials {
        self.asks(Command::Place { id: OrderId(99), request: wish })
    }
}

fn verdict(position: i64, working: &[OrderRequest], wish: OrderRequest) -> Denials {
    let mut scene = Scene::new(OFF).holding(position, 0).working(working);
    scene.limits = LIMITS;
    scene.wants(wish)
}

/// Each limit at its boundary.
#[test]
fn each_limit_at_its_boundary() {
    use Denial::{Collar, Malformed, NakedMarket, OpenOrders, OrderSize, Position};
    use Side::{Buy, Sell};
    let five = request(Buy, 10_000, 5);
    type Row<'a> = (&'a str, i64, &'a [OrderRequest], OrderRequest, &'a [Denial]);
    #[rustfmt::skip]
    let table: &[Row<'_>] = &[
        ("the largest order",                0,   &[],             request(Buy, 10_000, 6),  &[]),
        ("one lot larger",                   0,   &[],             request(Buy, 10_000, 7),  &[OrderSize]),
        ("no lots",                          0,   &[],             request(Buy, 10_000, 0),  &[Malformed]),
        ("no price",                         0,   &[],             request(Buy, 0, 1),       &[NakedMarket]),
        ("neither",                          0,   &[],             request(Buy, 0, 0),       &[Malformed, NakedMarket]),
        ("lots that no market has",          0,   &[],             request(Buy, 1, 1 << 60), &[Malformed]),
        ("up to the position limit",         4,   &[],             request(Buy, 10_000, 6),  &[]),
        ("one lot beyond",                   5,   &[],             request(Buy, 10_000, 6),  &[Position]),
        ("working orders count",             0,   &[five],         request(Buy, 10_000, 6),  &[Position]),
        ("only those of the same side",      0,   &[five],         request(Sell, 10_001, 6), &[]),
        ("shrinking a position too large",   30,  &[],             request(Sell, 10_001, 6), &[]),
        ("growing it",                       30,  &[],             request(Buy, 10_000, 1),  &[Position]),
        ("shorts likewise",                  -5,  &[],             request(Sell, 10_001, 6), &[Position]),
        ("at the collar",                    0,   &[],             request(Buy, 10_101, 1),  &[]),
        ("beyond the collar",                0,   &[],             request(Buy, 10_102, 1),  &[Collar]),
        ("a passive price has no collar",    0,   &[],             request(Buy, 5_000, 1),   &[]),
        ("a sell beyond the collar",         0,   &[],             request(Sell, 9_899, 1),  &[Collar]),
        ("as many orders as there may be",   0,   &[request(Buy, 1, 1); 3], request(Buy, 1, 1), &[]),
        ("one order too many",               0,   &[request(Buy, 1, 1); 4], request(Buy, 1, 1), &[OpenOrders]),
        ("all that is wrong at once",        5,   &[request(Buy, 1, 1); 4], request(Buy, 10_200, 7),
                                                                   &[OrderSize, Position, OpenOrders, Collar]),
    ];
    for (what, position, working, wish, expected) in table {
        let expected: Denials = expected.iter().copied().collect();
        assert_eq!(verdict(*position, working, *wish), expected, "{what}");
    }
}

/// A reduce-only order may take the whole position, and what else works on its side trades all the same.
#[test]
fn reduce_only_orders_count_as_far_as_there_is_a_position() {
    use Side::{Buy, Sell};
    let reduce = |side, qty| OrderRequest { reduce_only: true, ..request(side, 10_000, qty) };
    let (six, five) = (request(Sell, 10_000, 6), request(Sell, 10_000, 5));
    let beyond = Denials::of(Denial::Position);
    assert_eq!(verdict(5, &[six, five], reduce(Sell, 5)), beyond, "5 - 5 - 11 is below -10");
    assert_eq!(verdict(6, &[six], reduce(Sell, 6)), Denials::NONE, "6 - 6 - 6 is not");
    assert_eq!(verdict(0, &[five, five], reduce(Sell, 6)), Denials::NONE, "nothing to reduce, nothing to add");
    assert_eq!(verdict(5, &[reduce(Sell, 6)], six), Denials::NONE, "0 - 6");
    assert_eq!(verdict(-10, &[], reduce(Buy, 6)), Denials::NONE);
}

/// On spot the venue does not know the word, so an order that says it is taken as any other.
#[test]
fn reduce_only_on_spot_counts_in_full() {
    let limits = Limits { position_max: Lots(10), order_max: Lots(1 << 30), ..LIMITS };
    let seen = Seen { touch: Touch { bid: 10_000, ask: 10_001 }, heard: Some(Nanos(NOW)), venue: Some(Nanos(NOW)) };
    let orders = Orders::default();
    let asks = |kind, position, lots| {
        let mut keeper = Keeper::new(vec![limits], &[Instrument { kind, ..instrument() }], Bounds::default());
        keeper.see(InstrumentId(0), seen);
        let request = OrderRequest { reduce_only: true, ..request(Side::Sell, 10_000, lots) };
        let situation =
            Situation { now: Nanos(NOW), positions: &|_| Lots(position), orders: &orders, gone: &VecDeque::new() };
        keeper.approve(&situation, Command::Place { id: OrderId(1), request }).err().unwrap_or_default()
    };
    assert_eq!(asks(ContractKind::Linear, 1, 50), Denials::NONE, "the venue cuts it to one");
    assert_eq!(asks(ContractKind::Spot, 1, 11), Denials::NONE, "ten short at the most");
    assert_eq!(asks(ContractKind::Spot, 1, 12), Denials::of(Denial::Position));
    assert_eq!(asks(ContractKind::Spot, 50, 50), Denials::NONE, "what is there may leave");
}

/// An order with a fill may be amended to what one order may have left, its fill not counted again.
#[test]
fn an_amend_is_judged_by_what_it_leaves_open() {
    let mut order = Order::sent(OrderId(1), request(Side::Buy, 10_000, 6), Nanos(0));
    (order.booked, order.venue_cum) = (Lots(4), Lots(4));
    let mut scene = Scene::new(OFF).holding(4, 0);
    scene.limits = LIMITS;
    scene.orders.insert(order);
    let amend = |qty| scene.asks(Command::Amend { id: OrderId(1), price: Ticks(9_999), qty: Lots(qty) });
    assert_eq!(amend(10), Denials::NONE);
    assert_eq!(amend(11), [Denial::OrderSize, Denial::Position].into_iter().collect());
    assert_eq!(amend(4), Denials::of(Denial::Malformed), "nothing left to trade");
}

/// Without a market there is nothing to measure a price by, so nothing new leaves; a cancel does.
#[test]
fn no_market_no_order() {
    let scene = Scene::new(OFF).seeing(Seen::NOTHING);
    assert_eq!(scene.wants(request(Side::Buy, 1, 1)), Denials::of(Denial::Book));
    assert_eq!(scene.asks(Command::Cancel { id: OrderId(1) }), Denials::NONE);
}

/// Controls of the order itself, each at its boundary, just below and just above.
#[test]
fn each_control_of_an_order_at_its_boundary() {
    use Side::{Buy, Sell};
    let check = |what: &str, scene: &Scene, wish: OrderRequest, expected: Option<Denial>| {
        assert_eq!(scene.wants(wish), expected.map(Denials::of).unwrap_or_default(), "{what}");
    };
    let worth = Scene::new(Controls { order_notional_max: money(50_000), ..OFF });
    check("worth the most", &worth, request(Buy, 10_000, 5), None);
    check("worth a tick more", &worth, request(Buy, 10_001, 5), Some(Denial::OrderNotional));
    let hard = Scene::new(OFF);
    check("the hard cap", &hard, request(Buy, 10_000, 100), None);
    check("beyond the hard cap", &hard, request(Buy, 10_000, 101), Some(Denial::HardCap));
    let lifted = Scene::bound(Bounds { order_worth_cap: money(5_000_000), ..Bounds::default() });
    check("no configuration lifts it", &lifted, request(Buy, 10_000, 101), Some(Denial::HardCap));
    let lowered = Scene::bound(Bounds { order_worth_cap: money(20_000), ..Bounds::default() });
    check("an attested cap", &lowered, request(Buy, 10_000, 2), None);
    check("beyond an attested cap", &lowered, request(Buy, 10_000, 3), Some(Denial::HardCap));

    let mut unit = Scene::new(Controls { unit_shift: true, ..OFF });
    check("no usual size yet", &unit, request(Buy, 10_000, 90), None);
    unit.passed = vec![1, 2, 2, 2, 9];
    check("nine and a half times", &unit, request(Buy, 10_000, 19), None);
    check("ten times the usual size", &unit, request(Buy, 10_000, 20), Some(Denial::UnitShift));
    check("a tenth of the price", &unit, request(Buy, 1_000, 1), Some(Denial::UnitShift));
    check("just above a tenth", &unit, request(Buy, 1_001, 1), None);
    check("ten times the price", &unit, request(Sell, 100_010, 1), Some(Denial::UnitShift));
    check("just below ten times", &unit, request(Sell, 100_009, 1), None);
    check("an exit of any size", &unit.holding(90, 0), request(Sell, 10_001, 90), None);

    let maker = Scene::new(Controls { maker: true, ..OFF });
    check("an order that may take", &maker, request(Buy, 10_000, 1), Some(Denial::PostOnly));
    check("one that cannot", &maker, OrderRequest { post_only: true, ..request(Buy, 10_000, 1) }, None);
    check("an exit may take", &maker.holding(1, 0), request(Sell, 10_000, 1), None);
}

/// Ages and second prices, each at its boundary; what is missing denies, and an exit needs no second price.
#[test]
fn what_an_order_is_measured_by_must_be_there_and_fresh() {
    use Side::{Buy, Sell};
    let buy = request(Buy, 10_000, 1);
    let aged = |age: Option<i64>, venue: Option<i64>| {
        let at = |age: Option<i64>| age.map(|age| Nanos(NOW - age));
        let touch = Touch { bid: 10_000, ask: 10_001 };
        let controls = Controls { book_age_max: Nanos(250), venue_age_max: Nanos(500), ..OFF };
        Scene::new(controls).seeing(Seen { touch, heard: at(age), venue: at(venue) }).wants(buy)
    };
    let old = Denials::of(Denial::BookAge);
    assert_eq!(aged(Some(249), Some(0)), Denials::NONE);
    assert_eq!(aged(Some(250), Some(500)), Denials::NONE);
    assert_eq!(aged(Some(251), Some(0)), old);
    assert_eq!(aged(Some(0), Some(501)), old);
    assert_eq!([aged(None, Some(0)), aged(Some(0), None), aged(Some(-1), Some(0))], [old; 3]);

    let touch = |bid, ask| Seen { touch: Touch { bid, ask }, heard: Some(Nanos(NOW)), venue: Some(Nanos(NOW)) };
    let one_sided = Touch { ask: 10_001, ..Touch::EMPTY };
    let none = Denials::of(Denial::Book);
    assert_eq!(Scene::new(OFF).seeing(touch(10_002, 10_001)).wants(buy), none, "crossed");
    assert_eq!(Scene::new(OFF).seeing(Seen { touch: one_sided, ..Seen::NOTHING }).wants(buy), none, "one-sided");

    let controls = Controls { reference_age_max: Nanos(1_000), reference_collar_bps: 100, ..OFF };
    let reference = |price: Option<i64>, age: i64| {
        let told = Outside::Reference { instrument: InstrumentId(0), price: price.map(Ticks), at: Nanos(NOW - age) };
        Scene::new(controls).told(told)
    };
    assert_eq!(Scene::new(controls).wants(buy), Denials::of(Denial::ReferenceAge), "never told");
    assert_eq!(reference(None, 0).wants(buy), Denials::of(Denial::ReferenceAge), "not known");
    assert_eq!(reference(Some(10_000), 1_000).wants(buy), Denials::NONE);
    assert_eq!(reference(Some(10_000), 1_001).wants(buy), Denials::of(Denial::ReferenceAge), "old");
    assert_eq!(reference(Some(10_000), 2_000).holding(1, 0).wants(request(Sell, 10_001, 1)), Denials::NONE, "an exit");
    assert_eq!(reference(Some(9_901), 0).wants(request(Buy, 10_000, 1)), Denials::NONE, "within 100 bps of 9,901");
    assert_eq!(reference(Some(9_900), 0).wants(buy), Denials::of(Denial::ReferenceCollar), "the touch is off");
    assert_eq!(reference(Some(10_102), 0).wants(request(Sell, 10_001, 1)), Denials::NONE);
    assert_eq!(reference(Some(10_103), 0).wants(request(Sell, 10_001, 1)), Denials::of(Denial::ReferenceCollar));
}

/// Margin, and the entry price of what is held, are known and fresh, or nothing grows; an exit needs neither.
#[test]
fn what_a_watch_measures_by_must_be_known() {
    use Side::{Buy, Sell};
    let told = |what, age: Option<i64>| Outside::Measured { what, at: age.map(|age| Nanos(NOW - age)) };
    let bounds = Bounds { margin_age_max: Nanos(1_000), ..Bounds::default() };
    let buy = request(Buy, 10_000, 1);
    let none = Denials::of(Denial::MarginAge);
    assert_eq!(Scene::bound(bounds).wants(buy), none, "never told");
    assert_eq!(Scene::bound(bounds).holding(-1, 0).wants(buy), Denials::NONE, "an exit");
    let margin = |age| Scene::bound(bounds).told(told(Measure::Margin, Some(0))).told(told(Measure::Margin, age));
    let found = [Some(1_000), Some(1_001), Some(-1), None].map(|age| margin(age).wants(buy));
    assert_eq!(found, [Denials::NONE, none, none, none]);
    assert_eq!(Scene::new(OFF).wants(buy), Denials::NONE, "off");

    let controls = Controls { entry_age_max: Nanos(1_000), ..OFF };
    let none = Denials::of(Denial::EntryAge);
    assert_eq!(Scene::new(controls).wants(buy), Denials::NONE, "nothing held, nothing to stop");
    assert_eq!(Scene::new(controls).holding(1, 0).wants(buy), none, "never told");
    assert_eq!(Scene::new(controls).holding(1, 0).wants(request(Sell, 10_001, 1)), Denials::NONE, "an exit");
    assert_eq!(Scene::new(controls).holding(1, 0).wants(request(Sell, 10_001, 2)), none, "through zero");
    let entry = |of, age| Scene::new(controls).holding(1, 0).told(told(Measure::Entry(InstrumentId(of)), age));
    let found = [Some(1_000), Some(1_001), Some(-1), None].map(|age| entry(0, age).wants(buy));
    assert_eq!(found, [Denials::NONE, none, none, none]);
    assert_eq!(entry(1, Some(0)).wants(buy), none, "another's");
    assert_eq!(entry(9, Some(0)).wants(buy), none, "nobody's");
}

/// An order like one that was sent a moment ago is a mistake, whatever became of the first; unless that was none.
#[test]
fn a_repeated_order_is_refused_within_its_window() {
    let controls = Controls { duplicate_window: Nanos(1_000), ..OFF };
    let buy = request(Side::Buy, 10_000, 1);
    let sent = |age: i64, touch: fn(&mut Order)| {
        let mut scene = Scene::new(controls);
        let mut order = Order::sent(OrderId(1), buy, Nanos(NOW - age));
        touch(&mut order);
        scene.orders.insert(order);
        scene
    };
    let twice = Denials::of(Denial::Duplicate);
    assert_eq!(sent(999, |_| ()).wants(buy), twice);
    assert_eq!(sent(1_000, |_| ()).wants(buy), Denials::NONE, "long ago");
    assert_eq!(sent(1, |_| ()).wants(request(Side::Buy, 9_999, 1)), Denials::NONE, "another price");
    assert_eq!(sent(1, |order| order.observe(&Event::OrderUnknown { id: OrderId(1) })).wants(buy), twice, "unknown");
    assert_eq!(sent(1, |order| order.ask(Op::Cancel)).wants(buy), twice, "leaving");
    let quote = OrderRequest { post_only: true, ..buy };
    assert_eq!(sent(1, |_| ()).wants(quote), twice, "a maker's, while the first stands");
    assert_eq!(sent(1, |order| order.ask(Op::Cancel)).wants(quote), Denials::NONE, "a maker's comes back");
    let ended = |age: i64, life: Life| {
        let mut scene = Scene::new(controls);
        let mut order = Order::sent(OrderId(1), buy, Nanos(NOW - age));
        order.life = life;
        scene.gone.push_back(order);
        scene
    };
    for life in [Life::Filled, Life::Canceled, Life::Expired, Life::ExpiredUnproven] {
        assert_eq!(ended(999, life).wants(buy), twice, "{life:?} a moment ago");
        assert_eq!(ended(999, life).wants(quote), Denials::NONE, "{life:?}, and a maker comes back");
        assert_eq!(ended(1_000, life).wants(buy), Denials::NONE, "{life:?} long ago");
        assert_eq!(ended(1, life).wants(request(Side::Sell, 10_000, 1)), Denials::NONE, "the other side");
    }
    for life in [Life::Rejected, Life::Denied, Life::NeverPlaced] {
        assert_eq!(ended(1, life).wants(buy), Denials::NONE, "{life:?} was none");
    }
    let mut scene = Scene::new(Controls { duplicate_window: Nanos::ZERO, ..OFF });
    scene.gone.push_back(ended(1, Life::Filled).gone[0].clone());
    assert_eq!(scene.wants(buy), Denials::NONE, "off");
}

/// Controls of an instrument, each at its boundary, just below and just above.
#[test]
fn each_control_of_an_instrument_at_its_boundary() {
    use Side::{Buy, Sell};
    let is = |scene: &Scene, wish: OrderRequest, expected: Option<Denial>| {
        assert_eq!(scene.wants(wish), expected.map(Denials::of).unwrap_or_default(), "{wish:?}");
    };
    let notional = || Scene::new(Controls { notional_max: money(50_005), ..OFF });
    is(&notional(), request(Buy, 10_000, 5), None);
    is(&notional(), request(Buy, 10_000, 6), Some(Denial::SymbolNotional));
    is(&notional().working(&[request(Buy, 9_999, 5)]), request(Buy, 10_000, 1), Some(Denial::SymbolNotional));
    is(&notional().holding(9, 0), request(Sell, 10_001, 3), None);
    is(&notional().holding(9, 0), request(Sell, 10_001, 15), Some(Denial::SymbolNotional));
    is(&notional().holding(9, 0), request(Sell, 10_001, 14), None);

    let orders = |n| Scene::new(Controls { orders_max: 2, ..OFF }).working(&vec![request(Buy, 9_000, 1); n]);
    is(&orders(1), request(Buy, 10_000, 1), None);
    is(&orders(2), request(Buy, 10_000, 1), Some(Denial::SymbolOrders));

    let open = |lots| {
        let scene = Scene::new(Controls { open_notional_max: money(30_000), ..OFF });
        scene.working(&[request(Sell, 10_000, lots)])
    };
    is(&open(2), request(Buy, 10_000, 1), None);
    is(&open(2), request(Buy, 10_001, 1), Some(Denial::OpenNotional));
    let amend = |price, qty| open(3).asks(Command::Amend { id: OrderId(1), price: Ticks(price), qty: Lots(qty) });
    assert_eq!(amend(10_000, 3), Denials::NONE, "an amend takes its own place");
    assert_eq!(amend(10_001, 3), Denials::of(Denial::OpenNotional));

    let cross = |side, price| Scene::new(Controls { self_match: true, ..OFF }).working(&[request(side, price, 1)]);
    is(&cross(Sell, 10_001), request(Buy, 10_000, 1), None);
    is(&cross(Sell, 10_001), request(Buy, 10_001, 1), Some(Denial::SelfMatch));
    is(&cross(Buy, 10_000), request(Sell, 10_001, 1), None);
    is(&cross(Buy, 10_000), request(Sell, 10_000, 1), Some(Denial::SelfMatch));
    let mut leaving = cross(Sell, 10_001);
    leaving.orders.get_mut(OrderId(1)).unwrap().ask(Op::Cancel);
    is(&leaving, request(Buy, 10_001, 1), None);

    is(&Scene::new(Controls { allowed: false, ..OFF }), request(Buy, 10_000, 1), Some(Denial::NotAllowed));
    let elsewhere = OrderRequest { instrument: InstrumentId(7), ..request(Buy, 10_000, 1) };
    is(&Scene::new(OFF), elsewhere, Some(Denial::NotAllowed));
}

/// Requests are counted per second, per day, and over all instruments.
#[test]
fn the_rates_at_their_boundaries() {
    let controls = Controls { orders_per_trade_max: 2, orders_free: 3, ..OFF };
    let mut scene = Scene::new(controls);
    scene.limits.requests_per_second_max = 5;
    let (orders, wish) = (Orders::default(), request(Side::Buy, 10_000, 1));
    let ask = |keeper: &mut Keeper, now: i64, of: u16| {
        let positions = |_| Lots::ZERO;
        let situation = Situation { now: Nanos(now), positions: &positions, orders: &orders, gone: &VecDeque::new() };
        let request = OrderRequest { instrument: InstrumentId(of), ..wish };
        keeper.approve(&situation, Command::Place { id: OrderId(1), request }).err().unwrap_or_default()
    };
    let mut keeper = scene.keeper();
    assert_eq!([0, 1, 2].map(|now| ask(&mut keeper, NOW + now, 0)), [Denials::NONE; 3], "free");
    assert_eq!(ask(&mut keeper, NOW + 3, 0), Denials::of(Denial::OrderToTrade), "a fourth for no trade");
    keeper.traded(InstrumentId(0), Nanos(NOW));
    keeper.traded(InstrumentId(0), Nanos(NOW));
    assert_eq!(ask(&mut keeper, NOW + 4, 0), Denials::NONE, "two trades pay for four");
    assert_eq!(ask(&mut keeper, NOW + 5, 0), Denials::of(Denial::OrderToTrade));

    scene.limits.controls = OFF;
    let mut keeper = scene.keeper();
    assert!((0..5).all(|now| ask(&mut keeper, NOW + now, 0).is_empty()));
    assert_eq!(ask(&mut keeper, NOW + 5, 0), Denials::of(Denial::Rate));
    assert_eq!(ask(&mut keeper, NOW + 6, 1), Denials::NONE, "each instrument has its own");
    scene.bounds.creates_per_second_max = 2;
    let mut keeper = scene.keeper();
    assert_eq!([0, 1].map(|of| ask(&mut keeper, NOW, of)), [Denials::NONE; 2]);
    assert_eq!(ask(&mut keeper, NOW, 0), Denials::of(Denial::ApiBudget), "over all instruments");
    assert_eq!(ask(&mut keeper, NOW + 1_000_000_000, 0), Denials::of(Denial::ApiBudget), "the turn of a second");
    assert_eq!(ask(&mut keeper, NOW + 1_050_000_000, 0), Denials::NONE);
    scene.bounds = Bounds { requests_per_second_max: 1, ..Bounds::default() };
    let mut keeper = scene.keeper();
    assert_eq!(ask(&mut keeper, NOW, 0), Denials::NONE);
    assert_eq!(ask(&mut keeper, NOW, 1), Denials::of(Denial::ApiBudget));
}

/// Sums over instruments and with what others hold, each at its boundary.
#[test]
fn each_sum_at_its_boundary() {
    use Side::{Buy, Sell};
    let base = Bounds::default();
    let held = |circle, gross, net| {
        let held = Some(Elsewhere { gross: money(gross), net: money(net), at: Nanos(NOW) });
        Outside::Elsewhere { circle, held }
    };
    let is = |scene: &Scene, wish: OrderRequest, expected: &[Denial]| {
        assert_eq!(scene.wants(wish), expected.iter().copied().collect(), "{wish:?}");
    };
    // The second instrument's two lots are worth 20,002; a lot of the first 10,001.
    let strategy = || Scene::bound(Bounds { strategy_notional_max: money(50_005), ..base }).holding(0, 2);
    is(&strategy(), request(Buy, 10_000, 3), &[]);
    is(&strategy(), request(Buy, 10_000, 4), &[Denial::StrategyNotional]);
    is(&strategy(), request(Sell, 10_001, 4), &[Denial::StrategyNotional]);
    let account = || Scene::bound(Bounds { account_gross_max: money(50_005), ..base }).holding(0, -2);
    is(&account().told(held(Circle::Account, 10_001, 0)), request(Buy, 10_000, 2), &[]);
    is(&account().told(held(Circle::Account, 10_002, 0)), request(Buy, 10_000, 2), &[Denial::AccountGross]);
    let net = || Scene::bound(Bounds { account_net_max: money(50_005), ..base }).holding(0, -2);
    is(&net(), request(Buy, 10_000, 7), &[]);
    is(&net(), request(Buy, 10_000, 8), &[Denial::AccountNet]);
    is(&net(), request(Sell, 10_001, 3), &[]);
    is(&net(), request(Sell, 10_001, 4), &[Denial::AccountNet]);
    is(&net().told(held(Circle::Account, 0, 10_002)), request(Buy, 10_000, 7), &[Denial::AccountNet]);
    let firm = Bounds { firm_gross_max: money(40_000), firm_net_max: money(30_003), ..base };
    let firm = || Scene::bound(firm).told(held(Circle::Account, 10_000, 0)).told(held(Circle::Firm, 9_000, 0));
    is(&firm(), request(Buy, 10_000, 2), &[]);
    is(&firm(), request(Buy, 10_000, 3), &[Denial::FirmGross]);
    is(&firm(), request(Buy, 10_000, 4), &[Denial::FirmGross, Denial::FirmNet]);
    is(&firm().holding(5, 0), request(Sell, 10_001, 5), &[]);
    let capped = Scene::bound(Bounds { gross_worth_cap: money(50_005), ..base }).holding(0, 2);
    is(&capped, request(Buy, 10_000, 3), &[]);
    is(&capped, request(Buy, 10_000, 4), &[Denial::HardCap]);
}

/// What others hold, and the price of what we hold, must be known and fresh, unless the order is an exit.
#[test]
fn sums_that_are_not_known_deny() {
    let bounds =
        Bounds { account_elsewhere_age_max: Nanos(1_000), firm_elsewhere_age_max: Nanos(1_000), ..Bounds::default() };
    let both = [Denial::AccountElsewhere, Denial::FirmElsewhere];
    let buy = request(Side::Buy, 10_000, 1);
    assert_eq!(Scene::bound(bounds).wants(buy), both.into_iter().collect());
    assert_eq!(Scene::bound(bounds).holding(-1, 0).wants(buy), Denials::NONE, "an exit");
    let told = |circle, age| {
        let held = Some(Elsewhere { gross: Cash::ZERO, net: Cash::ZERO, at: Nanos(NOW - age) });
        Outside::Elsewhere { circle, held }
    };
    let aged = |age| Scene::bound(bounds).told(told(Circle::Account, age)).told(told(Circle::Firm, age)).wants(buy);
    assert_eq!([aged(1_000), aged(1_001)], [Denials::NONE, both.into_iter().collect()]);
    let negative = Some(Elsewhere { gross: Cash(-1), net: Cash::ZERO, at: Nanos(NOW) });
    let negative = Outside::Elsewhere { circle: Circle::Account, held: negative };
    let scene = Scene::bound(bounds).told(negative).told(told(Circle::Firm, 0));
    assert_eq!(scene.wants(buy), Denials::of(Denial::AccountElsewhere), "a gross below zero is none");

    let bounds = Bounds { account_gross_max: money(1_000_000), mark_age_max: Nanos(1_000), ..Bounds::default() };
    let marked = |age: i64, second: i64| {
        let scene = Scene::bound(bounds).holding(0, second);
        let mut keeper = scene.keeper();
        keeper.see(InstrumentId(1), Seen { heard: Some(Nanos(NOW - age)), ..scene.seen });
        let positions = |of: InstrumentId| Lots(scene.positions[of.0 as usize]);
        let situation = Situation { now: Nanos(NOW), positions: &positions, orders: &scene.orders, gone: &scene.gone };
        keeper.approve(&situation, Command::Place { id: OrderId(1), request: buy }).err().unwrap_or_default()
    };
    assert_eq!([marked(1_000, 1), marked(1_001, 1)], [Denials::NONE, Denials::of(Denial::Unvalued)]);
    assert_eq!(marked(1_001, 0), Denials::NONE, "nothing held, nothing to value");
}

/// Every level and scope: what grows a position, what shrinks it, and a cancel.
#[test]
fn a_freeze_lets_through_what_it_says() {
    let scopes = [
        (Scope::Symbol(InstrumentId(0)), Denial::FrozenSymbol),
        (Scope::Strategy, Denial::FrozenStrategy),
        (Scope::Account, Denial::FrozenAccount),
        (Scope::Firm, Denial::FrozenFirm),
    ];
    for (scope, denial) in scopes {
        for (level, grows, shrinks) in [
            (FreezeLevel::Normal, true, true),
            (FreezeLevel::ReduceOnly, false, true),
            (FreezeLevel::NoNew, false, false),
            (FreezeLevel::CancelAll, false, false),
            (FreezeLevel::Flatten, false, true),
            (FreezeLevel::Kill, false, false),
        ] {
            let scene = Scene::new(OFF).holding(2, 0).told(Outside::Restrict { scope, level });
            let passes = |passes: bool| if passes { Denials::NONE } else { Denials::of(denial) };
            assert_eq!(scene.wants(request(Side::Buy, 10_000, 1)), passes(grows), "{level:?}");
            assert_eq!(scene.wants(request(Side::Sell, 10_001, 2)), passes(shrinks), "{level:?}");
            assert_eq!(scene.wants(request(Side::Sell, 10_001, 3)), passes(grows), "through zero, {level:?}");
            let selling = scene.working(&[request(Side::Sell, 10_001, 1)]);
            assert_eq!(selling.wants(request(Side::Sell, 10_002, 2)), passes(grows), "with what works, {level:?}");
            assert_eq!(selling.asks(Command::Cancel { id: OrderId(1) }), Denials::NONE);
            let other = OrderRequest { instrument: InstrumentId(1), ..request(Side::Buy, 10_000, 1) };
            let expected = if matches!(scope, Scope::Symbol(_)) { Denials::NONE } else { passes(grows) };
            assert_eq!(selling.wants(other), expected, "another instrument, {level:?}");
        }
    }
}

/// A share of the limits is a share of every size and amount, rounded down, and of nothing else; no way out is held
/// to it.
#[test]
fn a_share_of_the_limits_holds_for_sizes_and_amounts() {
    use Side::{Buy, Sell};
    let tenth = |mut scene: Scene, set: fn(&mut Scene)| {
        set(&mut scene);
        scene.told(Outside::Share(100_000))
    };
    let plain = || Scene::new(OFF);
    let table: &[(&str, Scene, OrderRequest, &[Denial])] = &[
        ("a tenth of an order", tenth(plain(), |s| s.limits.order_max = Lots(29)), request(Buy, 10_000, 2), &[]),
        (
            "more of it",
            tenth(plain(), |s| s.limits.order_max = Lots(29)),
            request(Buy, 10_000, 3),
            &[Denial::OrderSize],
        ),
        ("a tenth of a position", tenth(plain(), |s| s.limits.position_max = Lots(30)), request(Buy, 10_000, 3), &[]),
        (
            "more of it",
            tenth(plain(), |s| s.limits.position_max = Lots(30)),
            request(Sell, 10_000, 4),
            &[Denial::Position],
        ),
        (
            "shrinking a larger one",
            tenth(plain().holding(30, 0), |s| s.limits.position_max = Lots(30)),
            request(Sell, 10_000, 9),
            &[],
        ),
        (
            "shrinking by less than a tenth of an order",
            tenth(plain().holding(5, 0), |s| s.limits.order_max = Lots(9)),
            request(Sell, 10_000, 1),
            &[],
        ),
        (
            "shrinking by more than an order",
            tenth(plain().holding(30, 0), |s| s.limits.order_max = Lots(9)),
            request(Sell, 10_000, 10),
            &[Denial::OrderSize],
        ),
        (
            "a tenth of an amount",
            tenth(plain(), |s| s.limits.controls.order_notional_max = money(100_000)),
            request(Buy, 10_000, 1),
            &[],
        ),
        (
            "more of it",
            tenth(plain(), |s| s.limits.controls.order_notional_max = money(99_999)),
            request(Buy, 10_000, 1),
            &[Denial::OrderNotional],
        ),
        (
            "of the account's",
            tenth(plain(), |s| s.bounds.account_gross_max = money(100_009)),
            request(Buy, 10_000, 1),
            &[Denial::AccountGross],
        ),
        ("no amount stays none", tenth(plain(), |_| ()), request(Buy, 10_000, 99), &[]),
    ];
    for (what, scene, wish, expected) in table {
        let expected: Denials = expected.iter().copied().collect();
        assert_eq!(scene.wants(*wish), expected, "{what}");
    }
    let mut whole = Scene::new(OFF);
    whole.limits.order_max = Lots(90);
    let whole = whole.told(Outside::Share(100_000)).told(Outside::Share(u32::MAX));
    assert_eq!(whole.wants(request(Buy, 10_000, 90)), Denials::NONE, "a share above the whole is the whole");
}

/// Instruments are counted by their worst case; what is held, or quoted, already may grow.
#[test]
fn a_position_too_many_is_not_opened() {
    let two = |bounds| Scene::bound(Bounds { positions_max: bounds, ..Bounds::default() });
    let (buy, second) = (request(Side::Buy, 10_000, 1), InstrumentId(1));
    let other = OrderRequest { instrument: second, ..buy };
    let denied = Denials::of(Denial::OpenPositions);
    assert_eq!(two(1).wants(buy), Denials::NONE, "the first");
    assert_eq!(two(1).holding(0, 5).wants(buy), denied, "a second");
    assert_eq!(two(1).working(&[other]).wants(buy), denied, "what may become a position counts");
    assert_eq!(two(1).working(&[buy]).holding(0, 5).wants(request(Side::Sell, 10_001, 1)), Denials::NONE, "no new one");
    assert_eq!(two(1).holding(1, 5).wants(buy), Denials::NONE, "nor is a larger one");
    assert_eq!(two(2).holding(0, 5).wants(buy), Denials::NONE, "as many as may be");
}

/// An inverse contract counts by its face value, whatever the price; a grid finer than cash is rounded.
#[test]
fn what_lots_are_worth() {
    let coin = Instrument { kind: ContractKind::Inverse, contract: Step::parse("100").unwrap(), ..instrument() };
    assert_eq!(Worth::of(&coin).value(1, 5), 500 * UNIT);
    let fine = |tick: &str| Instrument {
        tick: Step::parse(tick).unwrap(),
        lot: Step::parse("0.001").unwrap(),
        ..instrument()
    };
    assert_eq!(Worth::of(&fine("0.1")).value(605_000, 2), 121 * UNIT);
    assert_eq!(Worth::of(&fine("0.0000000001")).value(20_000_000_000, 3), 6_000_000_000);
}

/// Limits so tight that nothing may grow, every one of them breached already or short of an input.
fn nothing_may_grow() -> impl Strategy<Value = (Controls, Bounds)> {
    let amount = || prop::sample::select(vec![Cash(1), money(1), UNBOUNDED]);
    let age = || prop::sample::select(vec![Nanos::ZERO, Nanos(1_000)]);
    let count = || prop::sample::select(vec![1, u32::MAX]);
    let controls = (any::<bool>(), amount(), amount(), age(), age(), 0..2u32, any::<bool>());
    let bounds = (amount(), amount(), amount(), count(), amount(), age(), age());
    (controls, bounds).prop_map(|(controls, bounds)| {
        let (maker, notional_max, open_notional_max, reference_age_max, entry_age_max, ratio, unit_shift) = controls;
        let (strategy, gross, firm, positions_max, net, elsewhere, margin_age_max) = bounds;
        let controls = Controls {
            maker,
            unit_shift,
            notional_max,
            open_notional_max,
            reference_age_max,
            entry_age_max,
            orders_per_trade_max: ratio,
            ..OFF
        };
        let bounds = Bounds {
            strategy_notional_max: strategy,
            account_gross_max: gross,
            account_net_max: net,
            firm_gross_max: firm,
            firm_net_max: net,
            positions_max,
            account_elsewhere_age_max: elsewhere,
            firm_elsewhere_age_max: elsewhere,
            margin_age_max,
            mark_age_max: Nanos(1_000),
            gross_worth_cap: gross,
            ..Bounds::default()
        };
        (controls, bounds)
    })
}

proptest! {
    /// Whatever is asked, what is approved can never take the position beyond the limit if all of it fills.
    #[test]
    fn no_sequence_of_orders_breaches_the_position_limit(
        wishes in prop::collection::vec((any::<bool>(), 1i64..8), 1..40),
    ) {
        let mut scene = Scene::new(OFF);
        scene.limits = LIMITS;
        for (id, (buy, qty)) in wishes.into_iter().enumerate() {
            let (side, price) = if buy { (Side::Buy, 10_000) } else { (Side::Sell, 10_001) };
            let wish = request(side, price, qty);
            if scene.wants(wish).is_empty() {
                scene.orders.insert(Order::sent(OrderId(id as u64), wish, Nanos(0)));
            }
            for side in [Side::Buy, Side::Sell] {
                let worst: Lots = scene.orders.side(InstrumentId(0), side).map(Order::exposure).sum();
                prop_assert!(worst <= LIMITS.position_max);
            }
        }
    }

    /// What can only shrink a position is held back by no limit that it does not make worse: not by an amount that is
    /// exceeded already, not by an input that is missing, and not by a freeze that lets positions shrink.
    #[test]
    fn an_order_that_only_shrinks_is_held_back_by_nothing_that_it_does_not_worsen(
        (controls, bounds) in nothing_may_grow(),
        (long, held, second) in (any::<bool>(), 1i64..90, -90i64..90),
        (own, others) in (0i64..45, 0i64..45),
        share in 1i64..=100,
        (level, scope) in (
            prop::sample::select(vec![FreezeLevel::Normal, FreezeLevel::ReduceOnly, FreezeLevel::Flatten]),
            prop::sample::select(vec![Scope::Symbol(InstrumentId(0)), Scope::Strategy, Scope::Account, Scope::Firm]),
        ),
    ) {
        use Side::{Buy, Sell};
        let (position, side, price) = if long { (held, Sell, 10_001) } else { (-held, Buy, 10_000) };
        let working = if long {
            [request(Sell, 10_010, own), request(Buy, 9_990, others)]
        } else {
            [request(Buy, 9_990, own), request(Sell, 10_010, others)]
        };
        let left = held - own;
        prop_assume!(left > 0);
        let mut scene = Scene::bound(bounds).holding(position, second).told(Outside::Restrict { scope, level });
        scene.limits.controls = controls;
        scene.limits.position_max = Lots(1);
        let working: Vec<OrderRequest> = working.into_iter().filter(|one| one.qty.0 > 0).collect();
        let scene = scene.working(&working);
        let found = scene.wants(request(side, price, (left * share / 100).max(1)));
        // A net sum is made worse by an exit, where others hold as much on its side.
        let worsened = [Denial::AccountNet, Denial::FirmNet];
        prop_assert!(
            found.iter().all(|one| worsened.contains(&one) && second * side.sign() > 0),
            "{found} of {left} with {second} beside"
        );
    }
}
