//! Hard limits, judged on the worst that may still happen. Touching one denies the order; nothing retries.
//!
//! ```text
//! order ──> itself · its instrument · the strategy · the account · the firm ──> Approved, or every reason
//! ```
//! All five tiers are always looked at, so that a person sees all that is wrong at once. Worst case = position +
//! everything on a side not proven dead (working, in flight, unknown, the larger side of an amend, executed but not
//! booked). A cancel always passes. An order that only shrinks the position is never held back by a limit that it does
//! not worsen; one that makes no sense by itself, or is measured against a stale book, is refused all the same. What is
//! missing, stale or no number denies. Only this file can make an [`Approved`].

mod controls;
mod denial;
mod exposure;
mod memory;
mod outside;

use std::collections::VecDeque;

use mmbot_types::{
    Cash, Command, ContractKind, Instrument, InstrumentId, Lots, Nanos, OrderRequest, Side, Ticks, Touch,
};

use crate::orders::{Life, Op, Order, Orders};
use crate::temper::WHOLE_PPM;
pub use controls::{Bounds, Controls, GROSS_WORTH_HARD, ORDER_WORTH_HARD, UNBOUNDED};
pub use denial::{Denial, Denials, Tier};
use exposure::{Exposure, Worth, exposures, meets_ours};
use memory::{DayMeter, KeptOne, Priced, Sizes, is_old};
pub use memory::{Kept, RequestMeter, Seen};
pub use outside::{Circle, Elsewhere, FreezeLevel, Measure, Outside, Scope};

/// More lots than any market has: beyond it sums could overflow.
const LOTS_HARD: i64 = 1 << 40;

/// A wrong unit shows as a factor of ten.
const SHIFT: i64 = 10;

/// Hard limits for one instrument of one strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Largest position either way, in lots, worst case.
    pub position_max: Lots,
    /// Most that one order may have left to trade, in lots.
    pub order_max: Lots,
    /// Most orders that are not settled, over all instruments of the strategy.
    pub open_orders_max: u32,
    /// A limit price may be this far from the touch on the aggressive side, in basis points.
    pub collar_bps: u32,
    /// New orders and amends per second.
    pub requests_per_second_max: u32,
    /// Everything else; off by default.
    pub controls: Controls,
}

/// A command that the limits let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approved<C>(C);

impl<C> Approved<C> {
    /// The command itself.
    #[must_use]
    pub fn into_inner(self) -> C {
        self.0
    }
}

/// What is remembered of one instrument.
#[derive(Clone, Debug)]
struct Memory {
    second: RequestMeter,
    day: DayMeter,
    sizes: Sizes,
    reference: Option<Priced>,
    seen: Seen,
    /// The last price by which a position can be valued.
    mark: Option<Priced>,
    /// As of when the entry price of what is held is known.
    entry: Option<Nanos>,
    level: FreezeLevel,
}

/// The limits of a run, with what they remember and what they were told.
#[derive(Clone, Debug)]
pub struct Keeper {
    bounds: Bounds,
    limits: Vec<Limits>,
    worths: Vec<Worth>,
    /// Whether the venue holds a reduce-only order to that; on spot it does not know the word.
    reducible: Vec<bool>,
    memories: Vec<Memory>,
    creates: RequestMeter,
    requests: RequestMeter,
    /// Of strategy, account and firm.
    levels: [FreezeLevel; 3],
    /// Of every amount and size.
    share_ppm: u32,
    /// Of account and firm.
    elsewhere: [Option<Elsewhere>; 2],
    /// As of when the account's free margin is known.
    margin: Option<Nanos>,
}

/// What the limits look at.
pub struct Situation<'a> {
    /// Now.
    pub now: Nanos,
    /// Booked positions, by instrument.
    pub positions: &'a dyn Fn(InstrumentId) -> Lots,
    /// Orders not settled.
    pub orders: &'a Orders,
    /// Those that settled, oldest first, as far as they are remembered.
    pub gone: &'a VecDeque<Order>,
}

/// One order as it would be: new, or under the terms of an amend.
struct Wish {
    request: OrderRequest,
    /// Lots more than may trade already.
    added: i64,
    /// Lots left to trade.
    open: i64,
    /// What the order itself counts for by now, at its worse price; an amend takes its place.
    standing_worth: i128,
    is_new: bool,
}

impl Keeper {
    /// Nothing remembered, nothing told.
    #[must_use]
    pub fn new(limits: Vec<Limits>, instruments: &[Instrument], bounds: Bounds) -> Self {
        let fresh = Memory {
            second: RequestMeter::default(),
            day: DayMeter::default(),
            sizes: Sizes::default(),
            reference: None,
            seen: Seen::NOTHING,
            mark: None,
            entry: None,
            level: FreezeLevel::Normal,
        };
        Self {
            bounds,
            worths: instruments.iter().map(Worth::of).collect(),
            reducible: instruments.iter().map(|each| each.kind != ContractKind::Spot).collect(),
            memories: vec![fresh; limits.len()],
            limits,
            creates: RequestMeter::default(),
            requests: RequestMeter::default(),
            levels: [FreezeLevel::Normal; 3],
            share_ppm: WHOLE_PPM,
            elsewhere: [None; 2],
            margin: None,
        }
    }

    /// What strategy, account and firm are held against from now on.
    pub fn bind(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Takes in what was heard of a market.
    #[inline]
    pub fn see(&mut self, instrument: InstrumentId, seen: Seen) {
        let memory = &mut self.memories[instrument.0 as usize];
        memory.seen = seen;
        if seen.touch.is_two_sided()
            && let Some(at) = seen.heard
        {
            memory.mark = Some(Priced { price: Ticks(i64::from(seen.touch.ask)), at });
        }
    }

    /// Takes in the touch that an intent was decided on.
    pub(crate) fn touch(&mut self, instrument: InstrumentId, touch: Touch) {
        self.memories[instrument.0 as usize].seen.touch = touch;
    }

    /// Takes in what was told from outside. An instrument that is none of ours is passed over.
    pub fn tell(&mut self, told: &Outside) {
        match *told {
            Outside::Restrict { scope, level } => match scope {
                Scope::Symbol(instrument) => {
                    if let Some(memory) = self.memories.get_mut(instrument.0 as usize) {
                        memory.level = level;
                    }
                }
                Scope::Strategy => self.levels[0] = level,
                Scope::Account => self.levels[1] = level,
                Scope::Firm => self.levels[2] = level,
            },
            Outside::Reference { instrument, price, at } => {
                if let Some(memory) = self.memories.get_mut(instrument.0 as usize) {
                    memory.reference = price.filter(|price| price.0 > 0).map(|price| Priced { price, at });
                }
            }
            Outside::Elsewhere { circle, held } => {
                self.elsewhere[circle as usize] = held.filter(|held| held.gross >= Cash::ZERO);
            }
            Outside::Share(ppm) => self.share_ppm = ppm.min(WHOLE_PPM),
            Outside::Measured { what: Measure::Margin, at } => self.margin = at,
            Outside::Measured { what: Measure::Entry(instrument), at } => {
                if let Some(memory) = self.memories.get_mut(instrument.0 as usize) {
                    memory.entry = at;
                }
            }
            Outside::Temper { .. } => {} // the engine's: it is no limit
        }
    }

    /// What holds of an amount now: all of it, or the share that was told.
    fn amount(&self, max: Cash) -> i128 {
        let (whole, ppm) = (i128::from(WHOLE_PPM), i128::from(self.share_ppm));
        if self.share_ppm == WHOLE_PPM { max.0 } else { max.0 / whole * ppm + max.0 % whole * ppm / whole }
    }

    /// Likewise of a size, rounded down to whole lots.
    fn size(&self, max: Lots) -> i64 {
        let held = i128::from(max.0) * i128::from(self.share_ppm) / i128::from(WHOLE_PPM);
        i64::try_from(held).unwrap_or(max.0)
    }

    /// An order of that instrument was executed.
    pub fn traded(&mut self, instrument: InstrumentId, now: Nanos) {
        if let Some(memory) = self.memories.get_mut(instrument.0 as usize) {
            memory.day.traded(now);
        }
    }

    /// Takes over a request that a journal tells of: what is counted and remembered goes on where it was.
    pub(crate) fn recorded(&mut self, now: Nanos, command: Command, instrument: Option<InstrumentId>) {
        match (command, instrument) {
            (Command::Place { request, .. }, _) => self.count(now, request.instrument, Some(request.qty)),
            (Command::Amend { .. }, Some(of)) => self.count(now, of, None),
            _ => {}
        }
    }

    pub(crate) fn meters(&self) -> Vec<RequestMeter> {
        self.memories.iter().map(|memory| memory.second).collect()
    }

    pub(crate) fn set_meters(&mut self, meters: &[RequestMeter]) {
        self.memories.iter_mut().zip(meters).for_each(|(memory, was)| memory.second = *was);
    }

    pub(crate) fn kept(&self) -> Kept {
        let one = |memory: &Memory| KeptOne {
            day: memory.day,
            sizes: memory.sizes,
            reference: memory.reference,
            level: memory.level,
        };
        Kept {
            instruments: self.memories.iter().map(one).collect(),
            creates: self.creates,
            requests: self.requests,
            levels: self.levels,
            share_ppm: self.share_ppm,
            elsewhere: self.elsewhere,
        }
    }

    pub(crate) fn keep(&mut self, kept: &Kept) {
        for (memory, was) in self.memories.iter_mut().zip(&kept.instruments) {
            let KeptOne { day, sizes, reference, level } = *was;
            (memory.day, memory.sizes, memory.reference, memory.level) = (day, sizes, reference, level);
        }
        (self.creates, self.requests) = (kept.creates, kept.requests);
        (self.levels, self.share_ppm, self.elsewhere) = (kept.levels, kept.share_ppm, kept.elsewhere);
    }

    /// How far an instrument's trading is stopped, over all scopes.
    #[must_use]
    pub fn level(&self, instrument: InstrumentId) -> FreezeLevel {
        let own = self.memories.get(instrument.0 as usize).map_or(FreezeLevel::Normal, |memory| memory.level);
        self.levels.iter().copied().fold(own, FreezeLevel::max)
    }

    /// Lets a command through or says why not.
    ///
    /// # Errors
    /// Every [`Denial`] that applies.
    pub fn approve(&mut self, situation: &Situation<'_>, command: Command) -> Result<Approved<Command>, Denials> {
        let wish = match command {
            Command::Cancel { .. } | Command::CancelAll { .. } => return Ok(Approved(command)),
            Command::Place { request, .. } => {
                Wish { request, added: request.qty.0, open: request.qty.0, standing_worth: 0, is_new: true }
            }
            Command::Amend { id, price, qty } => {
                let order = situation.orders.get(id).ok_or(Denials::of(Denial::Malformed))?;
                let request = OrderRequest { price, qty, ..order.request };
                let worth = self.worths.get(request.instrument.0 as usize).ok_or(Denials::of(Denial::NotAllowed))?;
                let exposure = order.exposure().0;
                Wish {
                    request,
                    added: qty.0.saturating_sub(order.qty_max().0).max(0),
                    open: qty.0.saturating_sub(order.booked.0),
                    standing_worth: worth.value(order.prices().1.0, exposure),
                    is_new: false,
                }
            }
        };
        let denials = self.judge(situation, &wish);
        if !denials.is_empty() {
            return Err(denials);
        }
        self.count(situation.now, wish.request.instrument, wish.is_new.then_some(wish.request.qty));
        Ok(Approved(command))
    }

    /// Counts an amend, or a new order of that size.
    fn count(&mut self, now: Nanos, instrument: InstrumentId, new: Option<Lots>) {
        let memory = &mut self.memories[instrument.0 as usize];
        memory.second.count(now);
        memory.day.requested(now);
        if let Some(qty) = new {
            memory.sizes.push(qty.0);
            self.creates.count(now);
        }
        self.requests.count(now);
    }

    /// Everything that speaks against an order.
    fn judge(&self, situation: &Situation<'_>, wish: &Wish) -> Denials {
        let request = &wish.request;
        let index = request.instrument.0 as usize;
        let Some(limits) = self.limits.get(index) else { return Denials::of(Denial::NotAllowed) };
        let mut no = Denials::NONE;
        no.add(Denial::NakedMarket, request.price.0 <= 0);
        let malformed = request.qty <= Lots::ZERO
            || request.qty.0 > LOTS_HARD
            || request.price.0 >= i64::from(i32::MAX)
            || wish.open <= 0;
        no.add(Denial::Malformed, malformed);
        let sums = exposures(situation.orders, &self.worths);
        if no.is_empty() {
            let position = (situation.positions)(request.instrument);
            let held_to_it = request.reduce_only && self.reducible[index];
            let after = sums[index].with(request.side, held_to_it, wish.added);
            // Even if all of it trades, the position only shrinks.
            let sign = request.side.sign();
            let reduces = sign * position.0 < 0 && sign * after.worst(position, request.side) <= 0;
            self.judge_order(&mut no, situation, wish, reduces);
            self.judge_symbol(&mut no, situation, wish, &sums[index], &after, reduces);
            self.judge_sums(&mut no, situation, wish, &sums, &after, reduces);
            self.judge_levels(&mut no, request.instrument, reduces);
        } else {
            self.judge_levels(&mut no, request.instrument, false); // its numbers mean nothing, so nor do sums with them
        }
        no.add(Denial::NotAllowed, !limits.controls.allowed);
        no
    }

    /// The highest level holds: where that is FLATTEN, a lower one elsewhere does not keep the position from shrinking.
    fn judge_levels(&self, no: &mut Denials, instrument: InstrumentId, reduces: bool) {
        let [strategy, account, firm] = self.levels;
        let symbol = self.memories[instrument.0 as usize].level;
        let flattens = reduces && symbol.max(strategy).max(account).max(firm) == FreezeLevel::Flatten;
        no.add(Denial::FrozenSymbol, !(flattens || symbol.allows(reduces)));
        no.add(Denial::FrozenStrategy, !(flattens || strategy.allows(reduces)));
        no.add(Denial::FrozenAccount, !(flattens || account.allows(reduces)));
        no.add(Denial::FrozenFirm, !(flattens || firm.allows(reduces)));
    }

    /// The order by itself, against the market.
    fn judge_order(&self, no: &mut Denials, situation: &Situation<'_>, wish: &Wish, reduces: bool) {
        let (request, now, index) = (&wish.request, situation.now, wish.request.instrument.0 as usize);
        let (limits, memory) = (&self.limits[index], &self.memories[index]);
        let (controls, touch) = (&limits.controls, memory.seen.touch);
        // A share of the limits keeps risk small that is not there yet: the way out is not held to it.
        let largest = if reduces { limits.order_max.0 } else { self.size(limits.order_max) };
        no.add(Denial::OrderSize, wish.open > largest);
        no.add(Denial::PostOnly, controls.maker && !request.post_only && !reduces);

        let two_sided = touch.is_two_sided();
        no.add(Denial::Book, !two_sided);
        no.add(
            Denial::BookAge,
            is_old(memory.seen.heard, now, controls.book_age_max)
                || is_old(memory.seen.venue, now, controls.venue_age_max),
        );
        let (bid, ask) = (i64::from(touch.bid), i64::from(touch.ask));
        no.add(Denial::Collar, two_sided && beyond(request, bid, ask, limits.collar_bps));
        let price = memory.reference.map_or(0, |reference| reference.price.0);
        let at = memory.reference.map(|reference| reference.at);
        let old = is_old(at, now, controls.reference_age_max);
        no.add(Denial::ReferenceAge, old && !reduces);
        no.add(
            Denial::ReferenceCollar,
            price > 0 && !old && beyond(request, price, price, controls.reference_collar_bps),
        );

        let worth = self.worths[index].value(request.price.0, wish.open);
        let most = controls.order_notional_max;
        no.add(Denial::OrderNotional, worth > if reduces { most.0 } else { self.amount(most) });
        no.add(Denial::HardCap, worth > self.bounds.caps().0.0);
        let usual = memory.sizes.median().filter(|_| controls.unit_shift && !reduces);
        let shifted = usual.is_some_and(|median| wish.open >= median.saturating_mul(SHIFT));
        let mispriced = two_sided && (request.price.0 * SHIFT <= bid || request.price.0 >= ask * SHIFT);
        no.add(Denial::UnitShift, shifted || controls.unit_shift && mispriced);
        no.add(Denial::Duplicate, wish.is_new && is_repeated(situation, request, controls.duplicate_window));
    }

    /// The order with all of its instrument.
    fn judge_symbol(
        &self,
        no: &mut Denials,
        situation: &Situation<'_>,
        wish: &Wish,
        before: &Exposure,
        after: &Exposure,
        reduces: bool,
    ) {
        let (request, now, index) = (&wish.request, situation.now, wish.request.instrument.0 as usize);
        let (limits, memory, worth) = (&self.limits[index], &self.memories[index], &self.worths[index]);
        let controls = &limits.controls;
        let position = (situation.positions)(request.instrument);
        // Only growth beyond the limit on the order's own side is refused: shrinking a too large position is not.
        let worst = request.side.sign() * after.worst(position, request.side);
        no.add(Denial::Position, worst > self.size(limits.position_max));
        let price = self.price_of(index).max(request.price.0);
        no.add(Denial::SymbolNotional, worth.value(price, worst) > self.amount(controls.notional_max));
        no.add(Denial::SymbolOrders, wish.is_new && before.orders >= controls.orders_max);
        let own = worth.value(request.price.0, wish.open);
        let open = before.open_worth - wish.standing_worth + own.max(wish.standing_worth);
        no.add(
            Denial::OpenNotional,
            own > wish.standing_worth && !reduces && open > self.amount(controls.open_notional_max),
        );
        let meets =
            controls.self_match && meets_ours(situation.orders, request.instrument, request.side, request.price);
        no.add(Denial::SelfMatch, meets);
        no.add(Denial::Rate, memory.second.is_full(now, limits.requests_per_second_max));
        let over = memory.day.is_over(now, controls.orders_per_trade_max, controls.orders_free);
        no.add(Denial::OrderToTrade, over && !reduces);
        let unmeasured = position != Lots::ZERO && is_old(memory.entry, now, controls.entry_age_max);
        no.add(Denial::EntryAge, unmeasured && !reduces);
    }

    /// The price by which an instrument's lots are valued; zero if there is none.
    fn price_of(&self, index: usize) -> i64 {
        let memory = &self.memories[index];
        let mark = memory.mark.map_or(0, |mark| mark.price.0);
        memory.reference.map_or(mark, |reference| mark.max(reference.price.0))
    }

    /// The order with all that strategy, account and firm have.
    fn judge_sums(
        &self,
        no: &mut Denials,
        situation: &Situation<'_>,
        wish: &Wish,
        sums: &[Exposure],
        after: &Exposure,
        reduces: bool,
    ) {
        let (request, now, bounds) = (&wish.request, situation.now, &self.bounds);
        let spent = wish.is_new && self.creates.is_full(now, bounds.creates_per_second_max);
        no.add(Denial::ApiBudget, (spent && !reduces) || self.requests.is_full(now, bounds.requests_per_second_max));
        let own = request.instrument.0 as usize;
        let most = self.limits[own].open_orders_max as usize;
        no.add(Denial::OpenOrders, wish.is_new && situation.orders.len() >= most);
        let mut worst = Worst::default();
        let mut unvalued = false;
        for (index, sum) in sums.iter().enumerate() {
            let position = (situation.positions)(InstrumentId(index as u16));
            let (then, price) = if index == own {
                (after, self.price_of(index).max(request.price.0))
            } else {
                (sum, self.price_of(index))
            };
            let held = then.largest(position) != 0;
            worst.held += u32::from(held);
            worst.opens |= index == own && held && sum.largest(position) == 0;
            let at = self.memories[index].mark.map(|mark| mark.at);
            unvalued |= held && (at.is_none() || is_old(at, now, bounds.mark_age_max));
            // Of its own instrument the order's side counts: growth there may hide behind a larger other side, and an
            // order that only shrinks the position is not refused for what others hold.
            let side = request.side.sign() * then.worst(position, request.side);
            let lots = if index == own { side.max(0) } else { then.largest(position) };
            worst.grows |= index == own && side > 0;
            worst.add(&self.worths[index], price, lots, position, (sum, then), request.side);
        }
        let careful = bounds.needs_marks() && !reduces;
        no.add(Denial::Unvalued, careful && unvalued);
        no.add(Denial::MarginAge, is_old(self.margin, now, bounds.margin_age_max) && !reduces);
        let grows = worst.grows;
        no.add(Denial::OpenPositions, worst.opens && worst.held > bounds.positions_max);
        no.add(Denial::HardCap, grows && worst.gross > bounds.caps().1.0);
        no.add(Denial::StrategyNotional, grows && worst.gross > self.amount(bounds.strategy_notional_max));

        let [account, firm] = self.elsewhere;
        let missing = |held: Option<Elsewhere>, max| is_old(held.map(|held| held.at), now, max) && !reduces;
        no.add(Denial::AccountElsewhere, missing(account, bounds.account_elsewhere_age_max));
        no.add(Denial::FirmElsewhere, missing(firm, bounds.firm_elsewhere_age_max));
        let sum = |held: Option<Elsewhere>| held.map_or((0, 0), |held| (held.gross.0, held.net.0));
        let (account, firm) = (sum(account), sum(firm));
        let sign = i128::from(request.side.sign());
        let outward = sign * worst.net > sign * worst.net_before;
        let gross = |elsewhere: i128, max: Cash| grows && worst.gross.saturating_add(elsewhere) > self.amount(max);
        let net = |elsewhere: i128, max: Cash| outward && sign * worst.net.saturating_add(elsewhere) > self.amount(max);
        no.add(Denial::AccountGross, gross(account.0, bounds.account_gross_max));
        no.add(Denial::AccountNet, net(account.1, bounds.account_net_max));
        no.add(Denial::FirmGross, gross(account.0.saturating_add(firm.0), bounds.firm_gross_max));
        no.add(Denial::FirmNet, net(account.1.saturating_add(firm.1), bounds.firm_net_max));
    }
}

/// Worst cases of all instruments together, with an order, and the net one without it as well.
#[derive(Default)]
struct Worst {
    /// The order's own side of its instrument is a position, and not only the end of one.
    grows: bool,
    /// Its instrument has nothing yet.
    opens: bool,
    /// Instruments that have something, the order's own included.
    held: u32,
    gross: i128,
    /// With everything on the order's side traded.
    net: i128,
    net_before: i128,
}

impl Worst {
    fn add(
        &mut self,
        worth: &Worth,
        price: i64,
        lots: i64,
        position: Lots,
        (before, after): (&Exposure, &Exposure),
        side: Side,
    ) {
        self.gross += worth.value(price, lots);
        self.net += worth.value(price, after.worst(position, side));
        self.net_before += worth.value(price, before.worst(position, side));
    }
}

/// Whether the same was sent within the window, whatever became of it since: filled, cancelled, leaving, unknown. One
/// that the venue refused, or that never got there, was no order. A maker's quote repeats one that stands; it may come
/// back to a place that was left or filled, which is what makers do all day.
fn is_repeated(situation: &Situation<'_>, request: &OrderRequest, window: Nanos) -> bool {
    let since = situation.now - window;
    let like = |order: &Order| {
        let alike = order.request.instrument == request.instrument && order.request.side == request.side;
        let asked = order.asked() == (request.price, request.qty) && order.ts_decided > since;
        let stands = !order.life.is_terminal() && order.op != Op::Cancel;
        let was = !matches!(order.life, Life::Rejected | Life::Denied | Life::NeverPlaced);
        alike && asked && was && (stands || !request.post_only)
    };
    // They settled one after the other and were decided in another order: all that are remembered are looked at, but
    // only where the control is on.
    let lately = || situation.orders.iter().any(like) || !request.post_only && situation.gone.iter().any(like);
    window > Nanos::ZERO && lately()
}

/// A price too far on the aggressive side of the bid (for a sell) or the ask (for a buy).
fn beyond(request: &OrderRequest, bid: i64, ask: i64, collar_bps: u32) -> bool {
    let (price, ten_thousand, collar) = (i128::from(request.price.0), 10_000, i128::from(collar_bps));
    match request.side {
        Side::Buy => price * ten_thousand > i128::from(ask) * (ten_thousand + collar),
        Side::Sell => price * ten_thousand < i128::from(bid) * (ten_thousand - collar),
    }
}

#[cfg(test)]
mod tests;
