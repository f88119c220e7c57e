use super::*;

const SECOND: i64 = 1_000_000_000;

fn touch(ts: i64, bid: i32, bid_lots: u32, ask: i32, ask_lots: u32) -> TouchSeen {
    TouchSeen { ts: Nanos(ts), bid, ask, bid_lots, ask_lots }
}

fn trade(ts: i64, tick: i32, lots: u32, aggressor: Side) -> TradeSeen {
    TradeSeen { ts: Nanos(ts), tick, lots, aggressor }
}

fn one(spec: SignalSpec) -> Signals {
    Signals::new(&[spec]).unwrap()
}

#[test]
fn nothing_asked_is_empty() {
    assert!(Signals::new(&[]).unwrap().is_empty());
    assert_eq!(one(SignalSpec::Imbalance).len(), 1);
}

#[test]
fn the_touch_measures_follow_the_book_and_are_unknown_without_two_sides() {
    let mut signals = Signals::new(&[SignalSpec::Microprice, SignalSpec::Imbalance]).unwrap();
    assert!(signals.value(0).is_nan());
    signals.on_touch(&touch(1, 100, 30, 101, 10));
    assert_eq!((signals.value(0), signals.value(1)), (100.75, 0.5));
    for hole in [touch(2, NO_BID, 0, 101, 10), touch(2, 100, 30, NO_ASK, 0), touch(2, 101, 3, 101, 3)] {
        signals.on_touch(&hole);
        assert!(signals.value(0).is_nan() && signals.value(1).is_nan());
    }
}

#[test]
fn order_flow_adds_up_fades_and_skips_holes() {
    let mut signals = one(SignalSpec::OrderFlowImbalance { half_life: Nanos(SECOND) });
    signals.on_touch(&touch(0, 1000, 10, 1001, 12));
    assert!(signals.value(0).is_nan());
    signals.on_touch(&touch(0, 1000, 14, 1001, 12));
    assert_eq!(signals.value(0), 4.0);
    signals.on_touch(&touch(SECOND, 1000, 14, 1001, 12));
    assert_eq!(signals.value(0), 2.0);
    signals.on_touch(&touch(SECOND, NO_BID, 0, 1001, 12));
    signals.on_touch(&touch(SECOND, 900, 1, 1001, 12));
    assert_eq!(signals.value(0), 2.0);
    signals.advance(Nanos(2 * SECOND));
    assert_eq!(signals.value(0), 1.0);
}

#[test]
fn trade_flow_is_bought_minus_sold() {
    let mut signals = one(SignalSpec::TradeFlow { half_life: Nanos(SECOND) });
    signals.on_trade(&trade(0, 100, 8, Side::Buy));
    signals.on_trade(&trade(SECOND, 100, 1, Side::Sell));
    assert_eq!(signals.value(0), 3.0);
}

#[test]
fn volatility_is_per_root_second_whatever_the_sampling() {
    let specs = [1, 4].map(|k| SignalSpec::RealisedVolatility { window: Nanos(8 * SECOND), sample: Nanos(k * SECOND) });
    let mut signals = Signals::new(&specs).unwrap();
    // The log price moves by a constant r per second up and down: per-sample returns depend on the sampling, the rate
    // is checked by hand.
    let mids = [20_000, 20_200, 20_000, 20_200, 20_402, 20_200, 20_402, 20_200, 20_000];
    for (second, twice) in mids.iter().enumerate() {
        signals.on_touch(&touch(second as i64 * SECOND, twice / 2 - 1, 1, twice / 2 + 1, 1));
    }
    let by_second: f64 = mids.windows(2).map(|m| (f64::from(m[1]) / f64::from(m[0])).ln().powi(2)).sum();
    assert!((signals.value(0) - (by_second / 8.0).sqrt()).abs() < 1e-12);
    let by_four = 2.0 * (20_402.0f64 / 20_000.0).ln().powi(2);
    assert!((signals.value(1) - (by_four / 8.0).sqrt()).abs() < 1e-12);
}

#[test]
fn a_bar_is_known_when_its_time_is_over() {
    let fields = [BarField::Open, BarField::High, BarField::Low, BarField::Close, BarField::Volume];
    let specs = fields.map(|field| SignalSpec::Bar { interval: Nanos(SECOND), field });
    let mut signals = Signals::new(&specs).unwrap();
    for (ts, tick, lots) in [(10, 100, 1), (20, 105, 2), (30, 98, 3), (40, 101, 4)] {
        signals.on_trade(&trade(ts, tick, lots, Side::Buy));
    }
    signals.advance(Nanos(SECOND - 1));
    assert!(signals.value(0).is_nan());
    signals.advance(Nanos(SECOND));
    assert_eq!([0, 1, 2, 3, 4].map(|i| signals.value(i)), [100.0, 105.0, 98.0, 101.0, 10.0]);
}

#[test]
fn a_late_event_counts_as_happening_now() {
    let mut signals = one(SignalSpec::TradeFlow { half_life: Nanos(SECOND) });
    signals.on_trade(&trade(5 * SECOND, 100, 4, Side::Buy));
    signals.on_trade(&trade(0, 100, 4, Side::Buy));
    assert_eq!(signals.value(0), 8.0);
}

#[test]
fn a_spec_that_makes_no_sense_is_refused_by_name() {
    let zero = Nanos::ZERO;
    let second = Nanos(SECOND);
    let refused = [
        (SignalSpec::TradeFlow { half_life: zero }, "half_life must be positive"),
        (SignalSpec::EwmaVolatility { half_life: second, sample: Nanos(-1) }, "sample must be positive, got -1 ns"),
        (SignalSpec::RealisedVolatility { window: second, sample: Nanos(1) }, "expected 1 to 1000000"),
        (SignalSpec::RealisedVolatility { window: second, sample: Nanos(2 * SECOND) }, "keeps 0 samples"),
        (SignalSpec::TwoScaleVolatility { window: second, sample: second, subsamples: 1 }, "at least 2 subsamples"),
        (
            SignalSpec::TwoScaleVolatility { window: second, sample: second, subsamples: 2 },
            "keeps 1 samples, expected 4",
        ),
        (SignalSpec::Bar { interval: zero, field: BarField::Open }, "interval must be positive"),
    ];
    for (spec, words) in refused {
        let text = Signals::new(&[SignalSpec::Imbalance, spec]).unwrap_err().to_string();
        assert!(text.starts_with("signal 1: ") && text.contains(words), "{text}");
    }
}

#[test]
fn the_hash_tells_states_apart_and_repeats() {
    let specs = [
        SignalSpec::Microprice,
        SignalSpec::OrderFlowImbalance { half_life: Nanos(SECOND) },
        SignalSpec::TradeFlow { half_life: Nanos(SECOND) },
        SignalSpec::EwmaVolatility { half_life: Nanos(SECOND), sample: Nanos(1) },
        SignalSpec::RealisedVolatility { window: Nanos(SECOND), sample: Nanos(SECOND / 10) },
        SignalSpec::Bar { interval: Nanos(SECOND), field: BarField::Close },
    ];
    let run = |last_lots| {
        let mut signals = Signals::new(&specs).unwrap();
        let mut hashes = vec![signals.state_hash()];
        signals.on_touch(&touch(1, 100, 3, 102, 4));
        hashes.push(signals.state_hash());
        signals.on_trade(&trade(2, 102, last_lots, Side::Buy));
        hashes.push(signals.state_hash());
        hashes
    };
    assert_eq!(run(5), run(5));
    let (five, six) = (run(5), run(6));
    assert!(five[0] != five[1] && five[1] != five[2] && five[2] != six[2]);
}
