use mmbot_types::FeeSchedule;
use proptest::prelude::*;

use super::*;

const BTC: InstrumentId = InstrumentId(0);
const COIN: InstrumentId = InstrumentId(1);

fn instrument(kind: ContractKind, tick: &str, lot: &str, contract: &str) -> Instrument {
    let tiers = [(0, 20_000, 50_000), (1_000_000_000_000_000, -5_000, 40_000)].map(|(from, maker, taker)| FeeTier {
        volume_from: Cash(from),
        maker,
        taker,
    });
    Instrument {
        venue: "test".into(),
        symbol: format!("{kind:?}"),
        kind,
        tick: Step::parse(tick).unwrap(),
        lot: Step::parse(lot).unwrap(),
        contract: Step::parse(contract).unwrap(),
        fees: FeeSchedule::new(tiers.to_vec()).unwrap(),
    }
}

fn ledger() -> Ledger {
    Ledger::new(vec![
        instrument(ContractKind::Linear, "0.1", "0.001", "1"),
        instrument(ContractKind::Inverse, "0.1", "1", "100"),
        instrument(ContractKind::Spot, "0.01", "0.00001", "1"),
    ])
}

fn fill(instrument: InstrumentId, execution: u64, side: Side, price: i64, qty: i64, fee: i128) -> Fill {
    Fill {
        instrument,
        execution,
        side,
        price: Ticks(price),
        qty: Lots(qty),
        maker: fee < 0,
        fee: Cash(fee),
        ts: Nanos(execution as i64),
    }
}

#[test]
fn a_round_trip_leaves_the_spread_and_the_rebates() {
    let mut books = ledger();
    books.book_fill(&fill(BTC, 1, Side::Buy, 300_000, 10, -150_000_000)).unwrap();
    books.book_fill(&fill(BTC, 2, Side::Sell, 300_010, 10, 120_000_000)).unwrap();
    books.book_funding(BTC, Nanos(5), Cash(-30)).unwrap();
    assert_eq!(books.position(BTC), Lots::ZERO);
    assert_eq!(books.cash(BTC), Cash(10_000_000_000 + 150_000_000 - 120_000_000 - 30)); // 0.01 lots × 1.0
    assert_eq!((books.fees(BTC), books.funding(BTC)), (Cash(-30_000_000), Cash(-30)));
    assert_eq!((books.maker_fills(BTC), books.taker_fills(BTC)), (1, 1));
    assert_eq!(books.turnover(BTC), Cash(600_010 * 10 * 100_000_000));
    books.check_invariants();
}

#[test]
fn a_mid_between_two_ticks_is_marked_exactly() {
    let mut books = ledger();
    books.book_fill(&fill(BTC, 1, Side::Buy, 300_000, 10, 0)).unwrap();
    let at_half_tick = books.equity(BTC, Ticks(600_001)).unwrap();
    assert_eq!(at_half_tick, Cash(500_000_000)); // 0.01 BTC × 0.05
    assert_eq!(books.equity(BTC, Ticks(600_000)).unwrap(), Cash::ZERO);
}

#[test]
fn an_inverse_long_gains_coin_when_the_price_rises() {
    let mut books = ledger();
    books.book_fill(&fill(COIN, 1, Side::Buy, 500_000, 5, 0)).unwrap();
    assert_eq!(books.cash(COIN), Cash(10_000_000_000)); // 500 USD at 50,000 are 0.01 coin
    assert_eq!(books.equity(COIN, Ticks(2 * 500_000)).unwrap(), Cash::ZERO);
    assert_eq!(books.equity(COIN, Ticks(2 * 1_000_000)).unwrap(), Cash(5_000_000_000));
}

#[test]
fn an_execution_or_settlement_books_once_ever() {
    let mut books = ledger();
    assert_eq!(books.book_fill(&fill(BTC, 7, Side::Buy, 300_000, 10, 3)).unwrap(), Booked::Posted);
    assert_eq!(books.book_funding(BTC, Nanos(9), Cash(4)).unwrap(), Booked::Posted);
    let before = books.state_hash();
    // Ids are the venue's, so the same id on another instrument of that venue is a repeat as well.
    assert_eq!(books.book_fill(&fill(BTC, 7, Side::Sell, 299_000, 1, 0)).unwrap(), Booked::Repeat);
    assert_eq!(books.book_fill(&fill(COIN, 7, Side::Sell, 299_000, 1, 0)).unwrap(), Booked::Repeat);
    assert_eq!(books.book_funding(BTC, Nanos(9), Cash(5)).unwrap(), Booked::Repeat);
    assert_eq!(books.state_hash(), before);
    assert_eq!(books.book_funding(COIN, Nanos(9), Cash(5)).unwrap(), Booked::Posted);
    assert_ne!(books.state_hash(), before);
}

#[test]
fn a_refused_booking_changes_nothing_and_may_be_corrected() {
    let mut books = ledger();
    books.book_fill(&fill(BTC, 1, Side::Buy, 1, 1, i128::MAX / 4 - 200_000_000)).unwrap();
    let before = books.state_hash();
    let refused = [
        (fill(InstrumentId(9), 2, Side::Buy, 1, 1, 0), "instrument 9 is unknown: the ledger keeps 3"),
        (fill(BTC, 2, Side::Buy, 0, 1, 0), "Linear: price must be positive, got 0"),
        (fill(BTC, 2, Side::Buy, 1, -1, 0), "Linear: qty must be positive, got -1"),
        (fill(BTC, 2, Side::Buy, i64::MAX, i64::MAX, 0), "Linear: a value does not fit"),
        (fill(BTC, 2, Side::Buy, 1, 1, 300_000_000), "Linear: a balance does not fit"),
        (fill(BTC, 2, Side::Sell, 1, 1, i128::MAX / 4), "Linear: a balance does not fit"),
        (fill(BTC, 2, Side::Buy, 1, 1, i128::MAX / 4), "Linear: an amount does not fit"),
        (fill(BTC, 2, Side::Sell, 1, 1, i128::MIN), "Linear: a fee does not fit"),
    ];
    for (bad, words) in refused {
        let text = books.book_fill(&bad).unwrap_err().to_string();
        assert!(text.starts_with(words), "{text}");
        assert_eq!(books.state_hash(), before);
    }
    assert!(books.book_funding(BTC, Nanos(1), Cash(i128::MIN)).is_err());
    assert!(books.equity(BTC, Ticks(0)).is_err());
    assert_eq!(books.book_fill(&fill(BTC, 2, Side::Buy, 1, 1, 0)).unwrap(), Booked::Posted);
    books.check_invariants();
}

#[test]
fn the_fee_tier_follows_our_own_volume_and_is_lost_after_thirty_days() {
    let mut books = ledger();
    let now = Nanos(1_700_000_000_000_000_000);
    assert_eq!(books.tier(BTC, now).maker, 20_000);
    let big = Fill { ts: now, ..fill(BTC, 1, Side::Buy, 300_000, 34, 0) }; // 1,020 of notional
    books.book_fill(&big).unwrap();
    assert_eq!(books.tier(BTC, now).maker, -5_000);
    assert_eq!(books.tier(BTC, Nanos(now.0 + 30 * 86_400_000_000_000)).maker, 20_000);
}

fn fills() -> impl Strategy<Value = Vec<Fill>> {
    let one = (0u16..3, 1u64..30, any::<bool>(), 1i64..10_000_000, 1i64..100_000, -10_000_000i128..10_000_000);
    prop::collection::vec(one, 0..60).prop_map(|rows| {
        rows.into_iter()
            .map(|(id, execution, buy, price, qty, fee)| {
                fill(InstrumentId(id), execution, if buy { Side::Buy } else { Side::Sell }, price, qty, fee)
            })
            .collect()
    })
}

proptest! {
    // Adding up the first booking of each id from the list is the obvious twin of the running books.
    #[test]
    fn the_books_equal_adding_up_the_fills(fills in fills()) {
        let mut books = ledger();
        let mut first = BTreeMap::new();
        for fill in &fills {
            let repeat = first.contains_key(&fill.execution);
            prop_assert_eq!(books.book_fill(fill).unwrap() == Booked::Repeat, repeat);
            first.entry(fill.execution).or_insert(*fill);
            books.check_invariants();
        }
        for id in (0..3).map(InstrumentId) {
            let mine: Vec<&Fill> = first.values().filter(|fill| fill.instrument == id).collect();
            let signed = |fill: &Fill| Lots(fill.side.sign() * fill.qty.0);
            let cash: Cash = mine.iter().map(|f| books.instrument(id).cash_flow(f.price, signed(f)) - f.fee).sum();
            prop_assert_eq!(books.position(id), mine.iter().map(|f| signed(f)).sum::<Lots>());
            prop_assert_eq!(books.cash(id), cash);
            prop_assert_eq!(books.maker_fills(id) + books.taker_fills(id), mine.len() as u64);
        }
    }

    // No order or duplication of the same messages changes the books.
    #[test]
    fn order_and_repetition_do_not_matter(fills in fills(), seed in any::<u64>()) {
        let mut unique: BTreeMap<u64, Fill> = BTreeMap::new();
        for fill in fills {
            unique.entry(fill.execution).or_insert(fill);
        }
        let forward: Vec<Fill> = unique.into_values().collect();
        let mut shuffled: Vec<Fill> = forward.iter().chain(&forward).copied().collect();
        shuffled.sort_by_key(|fill| fill.execution.wrapping_mul(seed | 1).rotate_left(17));
        let hash = |fills: &[Fill]| {
            let mut books = ledger();
            for fill in fills {
                books.book_fill(fill).unwrap();
            }
            books.state_hash()
        };
        prop_assert_eq!(hash(&forward), hash(&shuffled));
    }
}
