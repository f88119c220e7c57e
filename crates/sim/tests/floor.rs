//! The floor of an exchange, as a trader would check it, and against its obvious twin.
#![allow(clippy::unwrap_used)] // a test may stop at once

use mmbot_book::{BookError, RestingOrder};
use mmbot_sim::{Cancels, Fill, Floor, FloorError, Hit, LimitOrder, MatchError, Outcome, SelfTrade};
use mmbot_types::{Level, OrderId, Side, Tif, Touch};
use proptest::prelude::*;

const fn level(tick: i32, lots: u32) -> Level {
    Level { tick, lots }
}

const fn order(id: u64, side: Side, tick: i32, lots: u32) -> LimitOrder {
    let order = RestingOrder { id: OrderId(id), side, tick, lots, owner: 1 };
    LimitOrder { order, tif: Tif::Gtc, post_only: false }
}

const fn fill(maker: u64, taker: u64, tick: i32, lots: u32) -> Fill {
    Fill { maker: OrderId(maker), taker: OrderId(taker), tick, lots }
}

/// Public bids 100: 5, 99: 8; public asks 102: 4, 103: 6.
fn opened(cancels: Cancels) -> Floor {
    let mut floor = Floor::new(cancels, true);
    depth(&mut floor, true, &[level(99, 8), level(100, 5)], &[level(102, 4), level(103, 6)]);
    floor
}

fn depth(floor: &mut Floor, snapshot: bool, bids: &[Level], asks: &[Level]) -> Vec<Fill> {
    let mut hits = Vec::new();
    floor.public_depth(snapshot, bids, asks, &mut hits).unwrap();
    floor.check_invariants();
    hits.into_iter().map(|hit: Hit| hit.fill).collect()
}

fn trade(floor: &mut Floor, aggressor: Side, tick: i32, lots: u32) -> Vec<Fill> {
    let mut hits = Vec::new();
    floor.public_trade(aggressor, tick, lots, &mut hits);
    floor.check_invariants();
    assert!(hits.iter().all(|hit: &Hit| hit.aggressor == aggressor));
    hits.into_iter().map(|hit| hit.fill).collect()
}

fn place(floor: &mut Floor, request: LimitOrder) -> Outcome {
    let outcome = floor.place(request, SelfTrade::Allow).unwrap();
    floor.check_invariants();
    outcome
}

fn ahead(floor: &Floor, id: u64) -> u64 {
    floor.book().ahead(OrderId(id)).unwrap()
}

#[test]
fn a_client_stands_behind_what_was_there_and_before_what_comes_later() {
    let mut floor = opened(Cancels::Behind);
    assert!(place(&mut floor, order(1, Side::Buy, 100, 2)).resting);
    depth(&mut floor, false, &[level(100, 9)], &[]);
    place(&mut floor, order(2, Side::Buy, 100, 1));
    assert_eq!((ahead(&floor, 1), ahead(&floor, 2)), (5, 11));
    assert_eq!((floor.lots_at(Side::Buy, 100), floor.public_lots(Side::Buy, 100)), (12, 9));
    assert_eq!(trade(&mut floor, Side::Sell, 100, 6), [fill(1, 0, 100, 1)]);
    assert_eq!(trade(&mut floor, Side::Sell, 100, 9), [fill(1, 0, 100, 1), fill(2, 0, 100, 1)]);
}

#[test]
fn a_cancel_comes_from_behind_until_that_is_impossible() {
    let mut floor = opened(Cancels::Behind);
    place(&mut floor, order(1, Side::Buy, 100, 2));
    depth(&mut floor, false, &[level(100, 8)], &[]);
    depth(&mut floor, false, &[level(100, 6)], &[]);
    assert_eq!(ahead(&floor, 1), 5);
    depth(&mut floor, false, &[level(100, 3)], &[]);
    assert_eq!(ahead(&floor, 1), 3);
}

#[test]
fn a_proportional_cancel_takes_everywhere_and_the_odd_lot_from_the_back() {
    let mut floor = opened(Cancels::Proportional);
    place(&mut floor, order(1, Side::Buy, 100, 2));
    depth(&mut floor, false, &[level(100, 15)], &[]); // 5 before the client, 10 behind
    depth(&mut floor, false, &[level(100, 8)], &[]); // 7 leave: 2 of the 5, 5 of the 10
    assert_eq!((ahead(&floor, 1), floor.public_lots(Side::Buy, 100)), (3, 8));
}

#[test]
fn what_a_trade_ate_is_not_cancelled_a_second_time() {
    let mut floor = opened(Cancels::Behind);
    place(&mut floor, order(1, Side::Buy, 100, 2));
    depth(&mut floor, false, &[level(100, 9)], &[]);
    trade(&mut floor, Side::Sell, 100, 4);
    depth(&mut floor, false, &[level(100, 5)], &[]); // the message that reports the trade
    assert_eq!((ahead(&floor, 1), floor.public_lots(Side::Buy, 100)), (1, 5));
}

#[test]
fn a_print_beyond_a_client_trades_through_it_and_no_further_than_its_lots() {
    let mut floor = opened(Cancels::Behind);
    place(&mut floor, order(1, Side::Buy, 101, 3));
    place(&mut floor, order(2, Side::Buy, 100, 3));
    let fills = trade(&mut floor, Side::Sell, 99, 5);
    assert_eq!(fills, [fill(1, 0, 101, 3), fill(2, 0, 100, 2)]);
    assert_eq!((floor.public_lots(Side::Buy, 100), floor.public_lots(Side::Buy, 99)), (0, 8));
}

#[test]
fn an_addition_that_crosses_a_client_trades_at_the_clients_price() {
    let mut floor = opened(Cancels::Behind);
    place(&mut floor, order(1, Side::Buy, 101, 3));
    let fills = depth(&mut floor, false, &[], &[level(100, 2), level(101, 4)]);
    assert_eq!(fills, [fill(1, 0, 101, 2), fill(1, 0, 101, 1)]);
    assert_eq!((floor.touch(), floor.public_lots(Side::Sell, 101)), (Touch { bid: 100, ask: 101 }, 3));
}

#[test]
fn public_liquidity_that_is_crossed_by_newer_is_gone() {
    let mut floor = opened(Cancels::Behind);
    assert_eq!(depth(&mut floor, false, &[], &[level(100, 2)]), []);
    assert_eq!(floor.touch(), Touch { bid: 99, ask: 100 });
}

#[test]
fn removals_come_before_additions() {
    let mut floor = opened(Cancels::Behind);
    depth(&mut floor, false, &[level(102, 7)], &[level(102, 0), level(104, 1)]);
    assert_eq!(floor.touch(), Touch { bid: 102, ask: 103 });
}

#[test]
fn a_snapshot_replaces_the_public_and_leaves_clients_in_place() {
    let mut floor = opened(Cancels::Behind);
    place(&mut floor, order(1, Side::Buy, 99, 2));
    depth(&mut floor, true, &[level(98, 1)], &[level(102, 4)]);
    assert_eq!(floor.depth(9), [vec![(99, 2), (98, 1)], vec![(102, 4)]]);
    assert_eq!(ahead(&floor, 1), 0);
}

#[test]
fn a_taker_meets_the_public_under_one_name_and_what_it_took_stays_taken() {
    let mut floor = opened(Cancels::Behind);
    place(&mut floor, order(1, Side::Sell, 102, 2));
    depth(&mut floor, false, &[], &[level(102, 7)]);
    let request = LimitOrder { tif: Tif::Ioc, ..order(9, Side::Buy, 102, 20) };
    let done = floor.place(request, SelfTrade::Allow).unwrap();
    assert_eq!(done.fills, [fill(0, 9, 102, 4), fill(1, 9, 102, 2), fill(0, 9, 102, 3)]);
    assert_eq!((done.remaining, done.resting), (11, false));
    depth(&mut floor, false, &[level(99, 1)], &[]);
    assert_eq!(floor.touch().ask, 103);
    depth(&mut floor, false, &[], &[level(102, 3)]);
    assert_eq!(floor.touch().ask, 102);
}

#[test]
fn the_incoming_orders_rule_decides_about_self_trades() {
    let meet = |rule| {
        let mut floor = opened(Cancels::Behind);
        place(&mut floor, order(1, Side::Sell, 101, 2));
        let outcome = floor.place(order(2, Side::Buy, 102, 3), rule).unwrap();
        floor.check_invariants();
        (outcome, floor.clients_resting())
    };
    let (traded, _) = meet(SelfTrade::Allow);
    assert_eq!(traded.fills, [fill(1, 2, 101, 2), fill(0, 2, 102, 1)]);
    let (maker, resting) = meet(SelfTrade::WithdrawMaker);
    assert_eq!((maker.withdrawn[0].id, maker.fills, resting), (OrderId(1), vec![fill(0, 2, 102, 3)], 0));
    let (taker, resting) = meet(SelfTrade::DropTaker);
    assert_eq!((taker.remaining, taker.stopped, taker.resting, resting), (3, true, false, 1));
    let (both, resting) = meet(SelfTrade::DropBoth);
    assert_eq!((both.withdrawn.len(), both.remaining, both.stopped, resting), (1, 3, true, 0));
}

#[test]
fn nothing_changes_when_the_floor_refuses() {
    let mut floor = opened(Cancels::Behind);
    place(&mut floor, order(1, Side::Buy, 99, 2));
    let (version, hash) = (floor.version(), floor.book().state_hash());
    let post = LimitOrder { post_only: true, ..order(2, Side::Buy, 102, 1) };
    assert!(matches!(floor.place(post, SelfTrade::Allow), Err(FloorError::Match(MatchError::WouldCross { .. }))));
    let kill = LimitOrder { tif: Tif::Fok, ..order(2, Side::Buy, 102, 5) };
    assert!(matches!(floor.place(kill, SelfTrade::Allow), Err(FloorError::Match(MatchError::NotFillable { .. }))));
    assert_eq!(floor.place(order(1 << 63, Side::Buy, 99, 1), SelfTrade::Allow), Err(FloorError::Id(1 << 63)));
    assert!(floor.amend(OrderId(1), 102, 1, true, SelfTrade::Allow).is_err());
    assert!(floor.cancel(OrderId(7)).is_err());
    let public = floor.book().orders_at(Side::Buy, 100).next().unwrap().id;
    assert_eq!(floor.cancel(public), Err(BookError::Unknown { id: public }.into()), "the public is nobody's to cancel");
    assert!(floor.public_depth(false, &[level(0, 1)], &[], &mut Vec::new()).is_err());
    assert_eq!((floor.version(), floor.book().state_hash()), (version, hash));
}

#[test]
fn an_amendment_loses_its_place_unless_it_only_shrinks() {
    let mut floor = opened(Cancels::Behind);
    place(&mut floor, order(1, Side::Buy, 100, 4));
    depth(&mut floor, false, &[level(100, 9)], &[]);
    floor.amend(OrderId(1), 100, 3, false, SelfTrade::Allow).unwrap();
    assert_eq!(ahead(&floor, 1), 5);
    floor.amend(OrderId(1), 100, 4, false, SelfTrade::Allow).unwrap();
    assert_eq!(ahead(&floor, 1), 9);
    let done = floor.amend(OrderId(1), 102, 6, false, SelfTrade::Allow).unwrap();
    assert_eq!((done.fills, done.remaining, done.resting), (vec![fill(0, 1, 102, 4)], 2, true));
    floor.check_invariants();
}

#[test]
fn hidden_clients_match_and_are_not_displayed() {
    let mut floor = Floor::new(Cancels::Behind, false);
    depth(&mut floor, true, &[level(100, 5)], &[level(102, 4)]);
    place(&mut floor, order(1, Side::Buy, 101, 3));
    place(&mut floor, order(2, Side::Buy, 100, 3));
    assert_eq!((floor.depth(5)[0].clone(), floor.touch().bid, floor.lots_at(Side::Buy, 100)), (vec![(100, 5)], 100, 5));
    assert_eq!(trade(&mut floor, Side::Sell, 100, 1), [fill(1, 0, 101, 1)]);
}

#[test]
fn changes_never_speak_of_a_level_that_was_not_sent() {
    let mut floor = opened(Cancels::Behind);
    assert_eq!(floor.changes(1), [vec![(100, 5)], vec![(102, 4)]]);
    depth(&mut floor, false, &[level(99, 0), level(98, 3)], &[level(102, 0)]);
    assert_eq!(floor.changes(1), [vec![], vec![(102, 0), (103, 6)]]);
    depth(&mut floor, false, &[level(101, 1)], &[level(103, 5)]);
    assert_eq!(floor.changes(1), [vec![(101, 1), (100, 0)], vec![(103, 5)]]);
    assert_eq!(floor.published(1), [vec![(101, 1)], vec![(103, 5)]]);
}

/// The floor in as few thoughts as possible: two lists of orders, sorted by price and then by arrival. The public has
/// id 0, one order per arrival.
#[derive(Clone, Debug, Default)]
struct Plain {
    sides: [Vec<Node>; 2],
    came: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    id: u64,
    tick: i32,
    lots: u32,
    came: u64,
    owner: u32,
}

const fn at(side: Side) -> usize {
    side as usize
}

impl Plain {
    fn rank(side: Side, tick: i32) -> i64 {
        -side.sign() * i64::from(tick)
    }

    fn insert(&mut self, side: Side, node: Node) {
        self.came += 1;
        self.sides[at(side)].push(Node { came: self.came, ..node });
        self.tidy(side);
    }

    fn tidy(&mut self, side: Side) {
        self.sides[at(side)].retain(|node| node.lots > 0);
        self.sides[at(side)].sort_by_key(|node| (Self::rank(side, node.tick), node.came));
    }

    fn public(&self, side: Side, tick: i32) -> u32 {
        self.sides[at(side)].iter().filter(|node| node.id == 0 && node.tick == tick).map(|node| node.lots).sum()
    }

    fn depth(&mut self, bids: &[Level], asks: &[Level]) -> Vec<Fill> {
        let mut fills = Vec::new();
        for (side, levels) in [(Side::Buy, bids), (Side::Sell, asks)] {
            for level in levels {
                let mut cut = self.public(side, level.tick).saturating_sub(level.lots);
                for node in self.sides[at(side)].iter_mut().rev().filter(|n| n.id == 0 && n.tick == level.tick) {
                    let share = cut.min(node.lots);
                    node.lots -= share;
                    cut -= share;
                }
                self.tidy(side);
            }
        }
        for (side, levels) in
            [(Side::Buy, bids.iter().rev().collect::<Vec<_>>()), (Side::Sell, asks.iter().collect::<Vec<_>>())]
        {
            for level in levels {
                let mut more = level.lots.saturating_sub(self.public(side, level.tick));
                let other = side.opposite();
                while more > 0
                    && self.first(other).is_some_and(|n| Self::rank(other, n.tick) <= Self::rank(other, level.tick))
                {
                    let first = &mut self.sides[at(other)][0];
                    let share = if first.id == 0 { first.lots } else { more.min(first.lots) };
                    first.lots -= share;
                    if first.id != 0 {
                        fills.push(fill(first.id, 0, first.tick, share));
                        more -= share;
                    }
                    self.tidy(other);
                }
                if more > 0 {
                    self.insert(side, Node { id: 0, tick: level.tick, lots: more, came: 0, owner: 0 });
                }
            }
        }
        fills
    }

    fn first(&self, side: Side) -> Option<&Node> {
        self.sides[at(side)].first()
    }

    fn trade(&mut self, aggressor: Side, tick: i32, lots: u32) -> Vec<Fill> {
        let (side, mut left, mut fills) = (aggressor.opposite(), lots, Vec::new());
        for node in &mut self.sides[at(side)] {
            let (rank, print) = (Self::rank(side, node.tick), Self::rank(side, tick));
            let share = match node.id {
                _ if rank > print => 0,
                0 if rank < print => {
                    node.lots = 0;
                    0
                }
                _ => left.min(node.lots),
            };
            node.lots -= share;
            left -= share;
            if node.id != 0 && share > 0 {
                fills.push(fill(node.id, 0, node.tick, share));
            }
        }
        self.tidy(side);
        fills
    }

    fn place(&mut self, request: LimitOrder, rule: SelfTrade) -> Option<Outcome> {
        let LimitOrder { order, tif, post_only } = request;
        let other = order.side.opposite();
        let in_reach = |n: &&Node| Self::rank(other, n.tick) <= Self::rank(other, order.tick);
        if post_only && self.first(other).as_ref().is_some_and(in_reach) {
            return None;
        }
        let mut after = self.clone();
        let mut done = Outcome { remaining: order.lots, ..Outcome::default() };
        while done.remaining > 0 && !done.stopped && after.first(other).as_ref().is_some_and(in_reach) {
            let first = &mut after.sides[at(other)][0];
            if rule != SelfTrade::Allow && first.owner == order.owner {
                if rule != SelfTrade::DropTaker {
                    let Node { id, tick, lots, owner, .. } = *first;
                    done.withdrawn.push(RestingOrder { id: OrderId(id), side: other, tick, lots, owner });
                    first.lots = 0;
                }
                done.stopped = rule != SelfTrade::WithdrawMaker;
            } else {
                let share = done.remaining.min(first.lots);
                first.lots -= share;
                done.remaining -= share;
                match done.fills.last_mut() {
                    Some(last) if (last.maker.0, first.id, last.tick) == (0, 0, first.tick) => last.lots += share,
                    _ => done.fills.push(fill(first.id, order.id.0, first.tick, share)),
                }
            }
            after.tidy(other);
        }
        if tif == Tif::Fok && done.remaining > 0 {
            return None;
        }
        done.resting = tif == Tif::Gtc && done.remaining > 0 && !done.stopped;
        *self = after;
        if done.resting {
            let RestingOrder { id, side, tick, owner, .. } = order;
            self.insert(side, Node { id: id.0, tick, lots: done.remaining, came: 0, owner });
        }
        Some(done)
    }

    fn amend(&mut self, id: u64, tick: i32, lots: u32, post_only: bool, rule: SelfTrade) -> Option<Outcome> {
        let mut after = self.clone();
        for side in [Side::Buy, Side::Sell] {
            let Some(found) = after.sides[at(side)].iter_mut().find(|node| node.id == id) else { continue };
            if found.tick == tick && lots <= found.lots {
                found.lots = lots;
                *self = after;
                return Some(Outcome { remaining: lots, resting: true, ..Outcome::default() });
            }
            let owner = found.owner;
            found.lots = 0;
            after.tidy(side);
            let order = RestingOrder { id: OrderId(id), side, tick, lots, owner };
            let done = after.place(LimitOrder { order, tif: Tif::Gtc, post_only }, rule)?;
            *self = after;
            return Some(done);
        }
        None
    }

    fn cancel(&mut self, id: u64) {
        for side in [Side::Buy, Side::Sell] {
            self.sides[at(side)].retain(|node| node.id != id);
        }
    }

    fn levels(&self, side: Side) -> Vec<(i32, u64)> {
        let mut levels: Vec<(i32, u64)> = Vec::new();
        for node in &self.sides[at(side)] {
            match levels.last_mut() {
                Some((tick, lots)) if *tick == node.tick => *lots += u64::from(node.lots),
                _ => levels.push((node.tick, u64::from(node.lots))),
            }
        }
        levels
    }

    fn ahead(&self, id: u64) -> Option<u64> {
        self.sides.iter().flatten().find(|node| node.id == id).map(|me| {
            let side = &self.sides[usize::from(!self.sides[0].iter().any(|node| node.id == id))];
            side.iter().filter(|n| n.tick == me.tick && n.came < me.came).map(|n| u64::from(n.lots)).sum()
        })
    }
}

#[derive(Clone, Debug)]
enum Happens {
    Depth(Vec<(i32, u32)>, Vec<(i32, u32)>),
    Trade(Side, i32, u32),
    Place(LimitOrder, SelfTrade),
    Amend(u64, i32, u32, bool, SelfTrade),
    Cancel(u64),
}

fn sides() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn rules() -> impl Strategy<Value = SelfTrade> {
    prop_oneof![
        Just(SelfTrade::Allow),
        Just(SelfTrade::WithdrawMaker),
        Just(SelfTrade::DropTaker),
        Just(SelfTrade::DropBoth)
    ]
}

fn happenings() -> impl Strategy<Value = Happens> {
    let tick = 95..106_i32;
    let side = || prop::collection::btree_map(95..106_i32, 0..9_u32, 0..4).prop_map(|m| m.into_iter().collect());
    let request = (1..30_u64, sides(), tick.clone(), 1..12_u32, 1..3_u32, 0..3_u8, any::<bool>()).prop_map(
        |(id, side, tick, lots, owner, tif, post_only)| LimitOrder {
            order: RestingOrder { id: OrderId(id), side, tick, lots, owner },
            tif: [Tif::Gtc, Tif::Ioc, Tif::Fok][usize::from(tif)],
            post_only,
        },
    );
    prop_oneof![
        3 => (side(), side()).prop_map(|(bids, asks)| Happens::Depth(bids, asks)),
        2 => (sides(), tick.clone(), 1..12_u32).prop_map(|(side, tick, lots)| Happens::Trade(side, tick, lots)),
        4 => (request, rules()).prop_map(|(request, rule)| Happens::Place(request, rule)),
        1 => (1..30_u64, tick, 1..12_u32, any::<bool>(), rules())
            .prop_map(|(id, tick, lots, post, rule)| Happens::Amend(id, tick, lots, post, rule)),
        1 => (1..30_u64).prop_map(Happens::Cancel),
    ]
}

fn levels(pairs: &[(i32, u32)]) -> Vec<Level> {
    pairs.iter().map(|&(tick, lots)| level(tick, lots)).collect()
}

proptest! {
    /// Whatever happens, floor and twin trade the same and hold the same, and who rebuilds the best levels from
    /// `changes` holds them exactly.
    #[test]
    fn the_floor_equals_its_twin(flow in prop::collection::vec(happenings(), 1..120)) {
        let (mut floor, mut plain) = (Floor::new(Cancels::Behind, true), Plain::default());
        let mut rebuilt: [std::collections::BTreeMap<i32, u64>; 2] = Default::default();
        for happens in flow {
            let lives = |floor: &Floor, id: u64| floor.client(OrderId(id)).is_ok();
            match happens {
                Happens::Depth(bids, asks) => {
                    let (bids, asks) = (levels(&bids), levels(&asks));
                    prop_assert_eq!(depth(&mut floor, false, &bids, &asks), plain.depth(&bids, &asks));
                }
                Happens::Trade(side, tick, lots) => {
                    prop_assert_eq!(trade(&mut floor, side, tick, lots), plain.trade(side, tick, lots));
                }
                Happens::Place(request, _) if lives(&floor, request.order.id.0) => {
                    prop_assert!(floor.place(request, SelfTrade::Allow).is_err());
                }
                Happens::Place(request, rule) => {
                    prop_assert_eq!(floor.place(request, rule).ok(), plain.place(request, rule));
                }
                Happens::Amend(id, tick, lots, post, rule) => {
                    let done = floor.amend(OrderId(id), tick, lots, post, rule).ok();
                    prop_assert_eq!(done, plain.amend(id, tick, lots, post, rule));
                }
                Happens::Cancel(id) => {
                    let _ = floor.cancel(OrderId(id));
                    plain.cancel(id);
                }
            }
            floor.check_invariants();
            for side in [Side::Buy, Side::Sell] {
                prop_assert_eq!(floor.levels(side).collect::<Vec<_>>(), plain.levels(side));
            }
            for id in (1..30).filter(|&id| lives(&floor, id)) {
                prop_assert_eq!(floor.book().ahead(OrderId(id)), plain.ahead(id));
            }
            for (held, changed) in rebuilt.iter_mut().zip(floor.changes(3)) {
                for (tick, lots) in changed {
                    match lots {
                        0 => prop_assert!(held.remove(&tick).is_some(), "{} was never sent", tick),
                        lots => drop(held.insert(tick, lots)),
                    }
                }
            }
            let [bids, asks] = floor.depth(3);
            prop_assert!(rebuilt[0].iter().rev().map(|(&t, &l)| (t, l)).eq(bids));
            prop_assert!(rebuilt[1].iter().map(|(&t, &l)| (t, l)).eq(asks));
        }
    }
}
