//! The simulated venue against random markets: as the obvious one says, whichever book it reads, whoever else is there.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod market;
mod twin;

use std::sync::Arc;

use market::{Dice, MIDDLE, News, cut, instrument, news, tape_of};
use mmbot_book::L2Book;
use mmbot_sim::{FillRule, LatencyModel, Laws, LocalBook, QueueModel, Response, Venue, VenueListing, apply};
use mmbot_tape::Tape;
use mmbot_types::{
    Cash, Command, ContractKind, Event, InstrumentId, Lots, Nanos, OrderId, OrderRequest, Side, Ticks, Tif,
};
use proptest::prelude::*;
use twin::Twin;

fn latency(dice: &mut Dice) -> LatencyModel {
    let quantiles = || vec![Nanos(0), Nanos(20), Nanos(30), Nanos(400)];
    dice.pick(&[
        LatencyModel::Constant(Nanos(0)),
        LatencyModel::Constant(Nanos(7)),
        LatencyModel::Constant(Nanos(250)),
        LatencyModel::Sampled { quantiles: quantiles(), seed: 11 },
    ])
}

fn laws(dice: &mut Dice) -> Laws {
    let models = [
        QueueModel::RiskAverse,
        QueueModel::Power(2.0),
        QueueModel::Power2(1.0),
        QueueModel::Power3(3.0),
        QueueModel::Log,
        QueueModel::Log2,
    ];
    Laws {
        queue: dice.pick(&models),
        entry: latency(dice),
        response: latency(dice),
        fill: if dice.chance(75) { FillRule::Partial } else { FillRule::Whole },
        consume_liquidity: dice.chance(70),
        full_book: false,
        volume_before: Cash::ZERO,
    }
}

/// One command, by whom, about what, and when it left.
#[derive(Clone, Debug)]
struct Sent {
    now: Nanos,
    account: u16,
    instrument: InstrumentId,
    command: Command,
}

fn request(dice: &mut Dice, instrument: InstrumentId) -> OrderRequest {
    OrderRequest {
        instrument,
        side: dice.pick(&[Side::Buy, Side::Sell]),
        price: Ticks(MIDDLE + dice.below(17) - 8),
        qty: Lots(1 + dice.below(9)),
        tif: dice.pick(&[Tif::Gtc, Tif::Gtc, Tif::Gtc, Tif::Ioc, Tif::Fok]),
        post_only: dice.chance(40),
        reduce_only: dice.chance(25),
    }
}

/// Random commands of several accounts, in the order of sending. Each account names its orders from one.
fn commands(dice: &mut Dice, count: usize, accounts: u16, instruments: u16) -> Vec<Sent> {
    let mut now = 990;
    let mut named = vec![Vec::<InstrumentId>::new(); usize::from(accounts)];
    let mut all = Vec::new();
    for _ in 0..count {
        now += if dice.chance(20) { 0 } else { dice.below(45) };
        let account = dice.below(i64::from(accounts)) as u16;
        let orders = &mut named[usize::from(account)];
        let mut instrument = InstrumentId(dice.below(i64::from(instruments)) as u16);
        let command = if orders.is_empty() || dice.chance(60) {
            orders.push(instrument);
            Command::Place { id: OrderId(orders.len() as u64), request: request(dice, instrument) }
        } else {
            let index = orders.len() - 1 - dice.below(orders.len().min(3) as i64) as usize;
            let id = OrderId(index as u64 + 1);
            instrument = orders[index];
            match dice.below(20) {
                0..=9 => Command::Cancel { id },
                10 => Command::CancelAll { instrument },
                _ => {
                    let qty = Lots(1 + dice.below(12));
                    Command::Amend { id, price: Ticks(MIDDLE + dice.below(13) - 6), qty }
                }
            }
        };
        all.push(Sent { now: Nanos(now), account, instrument, command });
    }
    all
}

/// What each account hears in the end, when we hear the market `lag` after it was recorded.
fn drive(listed: &[(Arc<Tape>, Laws)], accounts: u16, sent: &[Sent], lag: i64) -> Vec<Vec<Response>> {
    let listing = |(tape, laws): &(Arc<Tape>, Laws)| VenueListing {
        tape: Arc::clone(tape),
        instrument: tape.instrument().clone(),
        laws: laws.clone(),
    };
    let mut venue = Venue::new(listed.iter().map(listing).collect(), usize::from(accounts));
    let mut heard: Vec<(L2Book, usize)> = listed.iter().map(|_| (L2Book::new(), 0)).collect();
    let mut left = sent.iter().peekable();
    loop {
        let arrival = venue.next_arrival();
        let leaving = left.peek().map(|sent| sent.now);
        let until = [arrival, leaving].into_iter().flatten().min();
        let books: Vec<_> = heard.iter().map(|(book, cursor)| LocalBook { book, cursor: *cursor }).collect();
        venue.run(&books, until.unwrap_or(Nanos(i64::MAX)), false).unwrap();
        let Some(now) = until else { break };
        for ((book, cursor), (tape, _)) in heard.iter_mut().zip(listed) {
            while let Some(message) = tape.depth().get(*cursor).filter(|message| message.ts_recv + lag <= now.0) {
                apply(book, tape, message).unwrap();
                *cursor += 1;
            }
        }
        let books: Vec<_> = heard.iter().map(|(book, cursor)| LocalBook { book, cursor: *cursor }).collect();
        if arrival == Some(now) {
            venue.arrive(&books).unwrap();
        } else if let Some(Sent { now, account, instrument, command }) = left.next().cloned() {
            venue.accept(account, instrument, command, now);
        }
        venue.check_invariants();
    }
    let all = |account| std::iter::from_fn(|| venue.next_response(account, Nanos(i64::MAX))).collect();
    (0..accounts).map(all).collect()
}

/// The first place where two accounts heard something else, with what came just before.
fn difference(left: &[Response], right: &[Response]) -> Option<String> {
    let text = |response: Option<&Response>| response.map(|r| format!("{:?} {:?}", r.at, r.event));
    let at = (0..left.len().max(right.len())).find(|&at| text(left.get(at)) != text(right.get(at)))?;
    let before = at.checked_sub(1).and_then(|before| text(left.get(before)));
    Some(format!("answer {at} after {before:#?}: {:#?} and {:#?}", text(left.get(at)), text(right.get(at))))
}

/// How much later than recorded we hear: the thin view reads from what lies between.
fn lags() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![0, 40, 5_000])
}

fn markets(dice: &mut Dice, count: usize) -> Vec<(Vec<News>, Laws)> {
    (0..count).map(|_| (news(dice, 70), laws(dice))).collect()
}

fn listed(markets: &[(Vec<News>, Laws)], full_book: bool) -> Vec<(Arc<Tape>, Laws)> {
    let tape = |news: &[News]| tape_of(news, &[], instrument(ContractKind::Linear));
    markets.iter().map(|(news, laws)| (tape(news), Laws { full_book, ..laws.clone() })).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Acks, refusals, fills, cancels: all facts with their times are those of the obvious venue.
    #[test]
    fn an_account_hears_what_the_obvious_venue_says(seed in any::<u64>(), lag in lags()) {
        let mut dice = Dice(seed);
        let markets = markets(&mut dice, 1);
        let sent = commands(&mut dice, 60, 1, 1);
        let listed = listed(&markets, false);
        let own: Vec<_> = sent.iter().map(|sent| (sent.now, sent.command)).collect();
        let expected = Twin::answers(&markets[0].0, listed[0].0.instrument(), &listed[0].1, &own);
        prop_assert_eq!(difference(&drive(&listed, 1, &sent, lag)[0], &expected), None);
    }

    /// The thin view reads what a second full book would, in several markets at once.
    #[test]
    fn the_thin_view_equals_a_second_book(seed in any::<u64>(), lag in lags()) {
        let mut dice = Dice(seed);
        let markets = markets(&mut dice, 2);
        let sent = commands(&mut dice, 60, 2, 2);
        let thin = drive(&listed(&markets, false), 2, &sent, lag);
        let full = drive(&listed(&markets, true), 2, &sent, lag);
        for (thin, full) in thin.iter().zip(&full) {
            prop_assert_eq!(difference(thin, full), None);
        }
    }

    /// An account hears the same alone and beside others.
    #[test]
    fn accounts_do_not_see_each_other(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let listed = listed(&markets(&mut dice, 2), false);
        let sent = commands(&mut dice, 90, 3, 2);
        let together = drive(&listed, 3, &sent, 30);
        for account in 0..3 {
            let own = sent.iter().filter(|sent| sent.account == account);
            let alone: Vec<Sent> = own.map(|sent| Sent { account: 0, ..sent.clone() }).collect();
            prop_assert_eq!(difference(&together[usize::from(account)], &drive(&listed, 1, &alone, 30)[0]), None);
        }
    }

    /// A feed cut into messages of one level, at the same times, gives the same answers.
    #[test]
    fn how_a_feed_is_cut_does_not_matter(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let whole = markets(&mut dice, 1);
        let pieces: Vec<_> = whole.iter().map(|(news, laws)| (cut(news), laws.clone())).collect();
        let sent = commands(&mut dice, 60, 1, 1);
        let heard = |markets: &[_]| drive(&listed(markets, false), 1, &sent, 30).remove(0);
        prop_assert_eq!(difference(&heard(&whole), &heard(&pieces)), None);
    }
}

/// The random markets are worth something: every kind of answer and every reason comes up, fills of both kinds too.
#[test]
fn random_markets_meet_every_answer() {
    let mut met = std::collections::BTreeMap::<String, usize>::new();
    for seed in 0..150 {
        let mut dice = Dice(seed);
        let markets = markets(&mut dice, 1);
        let sent = commands(&mut dice, 60, 1, 1);
        for response in drive(&listed(&markets, false), 1, &sent, 0).concat() {
            let what = match response.event {
                Event::OrderRejected { reason, .. } => format!("rejected {reason:?}"),
                Event::AmendRefused { reason, .. } => format!("amend refused {reason:?}"),
                Event::CancelRefused { reason, .. } => format!("cancel refused {reason:?}"),
                Event::Filled { maker, .. } => format!("filled, maker {maker}"),
                Event::OrderCanceled { cum, .. } => format!("canceled, partly filled {}", cum > Lots::ZERO),
                Event::OrderAccepted { .. } => "accepted".into(),
                Event::OrderAmended { .. } => "amended".into(),
                Event::FundingPaid { .. } => "funding".into(),
                other => panic!("the simulated venue never says {other:?}"),
            };
            *met.entry(what).or_default() += 1;
        }
    }
    assert_eq!(met.len(), 14, "kinds of answers met: {met:#?}");
    assert!(met.values().all(|count| *count >= 5), "too rare to test anything: {met:#?}");
}
