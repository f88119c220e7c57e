"""The shipped maker: quotes both sides around a fair price, earns spread and rebate, and leans against its position.

One cycle, always in this order; `MarketMaker.explain` returns the numbers of every stage:

    guards   may we quote at all, and how boldly            calm · soft · out
    spread   how far a flat maker stands from the fair      fixed · avellaneda_stoikov · glft · adaptive
    skew     how far the position pushes both sides         long: both lower
    nudge    is our place in the queue worth keeping        stay · step ahead · follow the model
    quotes   whole ticks, behind the touch, within the limit

Numbers are floats in price units until the last stage, where bids are rounded down and asks up.

Not handled: payoffs that are not linear in the price (inverse contracts are quoted as if they were), fee tiers above
the first (set `maker_fee_bps`), the venue's smallest order value, and guards on latency and P&L, which no window shows.
"""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from mmbot._core import Intent, SignalSpec, ladder
from mmbot.config import Strict
from mmbot.quoting import (
    AdaptiveSpread,
    Depths,
    SpreadMeasurements,
    SpreadState,
    avellaneda_stoikov,
    break_even_half_spread,
    glft_table,
    inventory_skew,
)
from mmbot.quoting import ladder as rungs
from mmbot.quoting.inventory_chain import inventory_states
from mmbot.quoting.repricer import WorkingLevel, queue_aware_delta_bps
from mmbot.quoting.rounding import BPS
from mmbot.strategy import Strategy, View, Wake, WorkingOrder

if TYPE_CHECKING:
    from mmbot._core import Instrument

__all__ = ["Cycle", "Guard", "MarketMaker", "MarketMakerConfig"]

_NS_PER_MS = 1_000_000
_VOLATILITY_GRID = 0.05
"""Volatility is read on a grid of 5 %, so that a model is solved again when it matters and not at every sample."""
_PRICE_GRID = 0.001
"""The price that scales volatility and fee, likewise."""
_LEVELS_SEEN = 5
"""Book levels whose size the adaptive spread looks at."""
_LARGEST_NUDGE = 0.25
"""Share of the whole spread that one side may give up for a better queue, so that both together never cross."""

_HUMMINGBOT = MappingProxyType(
    {
        "bid_spread": ("bid_depth_bps", 100),
        "ask_spread": ("ask_depth_bps", 100),
        "order_levels": ("levels", 1),
        "order_level_spread": ("level_spacing_bps", 100),
        "order_level_amount": ("level_amount_step", 1),
        "order_refresh_time": ("every_ms", 1000),
    }
)


class MarketMakerConfig(Strict):
    """What the maker is told. Amounts are in units of the instrument (base units), offsets in bps of the fair price.

    The names of Hummingbot's pure market making are accepted where they mean the same, in its own units:

    | theirs              | unit                      | ours                    |
    |---------------------|---------------------------|-------------------------|
    | order_amount        | base units                | order_amount            |
    | bid_spread          | percent of mid (1 = 1 %)  | bid_depth_bps × 100     |
    | ask_spread          | percent of mid            | ask_depth_bps × 100     |
    | order_levels        | count per side            | levels                  |
    | order_level_spread  | percent of mid            | level_spacing_bps × 100 |
    | order_level_amount  | base units                | level_amount_step       |
    | order_refresh_time  | seconds                   | every_ms × 1000         |

    One difference is meant: what already stands right is left standing at a refresh, because its place in the queue is
    worth something.

    Volatilities are in bps per √second: 1 bps/√s is √60 ≈ 7.7 bps over a minute, √31,536,000 ≈ 5,616 bps (56 %)
    over a year of 365 days.
    """

    foreign: ClassVar[Mapping[str, str]] = {
        "minimum_spread": "there it cancels orders that the market came too near to; "
        "here quotes are re-decided at every wake, and min_half_spread_bps keeps them away",
        "filled_order_delay": "a fill is an occasion to re-quote here; to slow down, raise every_ms",
        "inventory_skew_enabled": "there it changes sizes; here skew_bps shifts both prices (0 turns it off)",
        "inventory_target_base_pct": "there it is a share of two balances; here the target is a position of zero",
        "inventory_range_multiplier": "there it changes sizes; here position_limit is where one side stops",
        "order_refresh_tolerance_pct": "there it compares spreads; here reprice_threshold_bps compares prices, "
        "and only a well placed order is kept",
        "order_optimization_enabled": "here improve_touch says whether quotes may stand inside the market's spread",
    }

    order_amount: Decimal = Field(gt=0)
    """Amount of the first level, base units; a whole number of lots."""
    position_limit: Decimal = Field(gt=0)
    """Largest position either way, base units. A side is cut, then silent, when it could pass it."""
    every_ms: float = Field(default=100.0, ge=0.001)
    """How often the maker is asked, beside every fill of its own."""

    fair: Literal["mid", "microprice"] = "mid"
    """What quotes are counted from: middle of the touch, or weighted by the size on its other side."""
    spread_model: Literal["fixed", "avellaneda_stoikov", "glft", "adaptive"] = "fixed"
    """Where a maker stands: as told, or by a model of `mmbot.quoting`."""
    bid_depth_bps: float = Field(default=2.0, ge=0)
    """fixed: distance of the first bid."""
    ask_depth_bps: float = Field(default=2.0, ge=0)
    """fixed: distance of the first ask."""
    skew_bps: float = Field(default=1.0, ge=0)
    """fixed, adaptive: shift of both quotes at the position limit, in proportion before it."""
    gamma: float = Field(default=0.0, ge=0)
    """avellaneda_stoikov, glft: risk aversion, 1/(price·base unit); as the next three, needed by its models alone."""
    kappa: float = Field(default=0.0, ge=0)
    """avellaneda_stoikov, glft: decay of the fill intensity with depth, 1/price."""
    A: float = Field(default=0.0, ge=0)
    """glft: fills per second and side at depth zero."""
    horizon_s: float = Field(default=0.0, ge=0)
    """avellaneda_stoikov: T − t, held constant, as a market without a close asks for."""
    sigma: Literal["signal"] | float = "signal"
    """avellaneda_stoikov, glft: volatility, price per √second, or as measured."""
    adaptive_base_bps: float = Field(default=1.0, gt=0)
    """adaptive: whole spread of a calm market."""
    adaptive_min_bps: float = Field(default=0.6, gt=0)
    """adaptive: least whole spread."""
    adaptive_max_bps: float = Field(default=2.5, gt=0)
    """adaptive: largest whole spread."""
    adaptive_depth_full: float = Field(default=1.0, gt=0)
    """adaptive: base units within five levels of the thinner side, from which on it is not thin."""

    maker_fee_bps: float | None = None
    """Fee of a maker fill, negative for a rebate; None takes the first tier of the instrument."""
    adverse_markout_bps: float = 0.0
    """Expected move of the mid against us after our fill; counts as a fee."""
    min_half_spread_bps: float = Field(default=0.0, ge=0)
    """A flat maker stands no nearer to the fair price; nor nearer than fee and markout together."""
    max_half_spread_bps: float = Field(default=100.0, gt=0)
    """Nor further, unless fee and markout or a guard ask for it."""

    volatility_half_life_ms: float = Field(default=30_000.0, gt=0)
    """After which a return counts half in the measured volatility."""
    volatility_sample_ms: float = Field(default=1_000.0, gt=0)
    """Least time between two prices it is measured from."""
    volatility_floor_bps: float = Field(default=0.01, gt=0)
    """bps/√s; models are told no less, because a market that rests is not without risk."""
    soft_volatility_bps: float = Field(default=15.0, gt=0)
    """bps/√s; above, quotes are wider and smaller."""
    soft_widen_bps: float = Field(default=0.3, ge=0)
    """By how much each side steps back then."""
    soft_size: float = Field(default=0.5, gt=0, le=1)
    """Share of the amount that is quoted then."""
    hard_volatility_bps: float = Field(default=25.0, gt=0)
    """bps/√s; above, all quotes leave."""
    halt_ms: float = Field(default=2_000.0, ge=0)
    """How long they stay out before the market is looked at again."""
    stale_ms: float = Field(default=10_000.0, gt=0)
    """Quotes leave when neither price nor size at the touch moved for so long."""

    levels: int = Field(default=1, ge=1, le=50)
    """Quotes per side."""
    level_spacing_bps: float = Field(default=1.0, gt=0)
    """Distance between levels; at least a tick."""
    level_amount_step: Decimal = Field(default=Decimal(0), ge=0)
    """By how much each level is larger than the one before, base units."""
    improve_touch: bool = True
    """Whether quotes may stand inside the market's spread; otherwise they join the touch at best."""
    reprice_threshold_bps: float = Field(default=0.5, ge=0)
    """A quote this near to where one is wanted is left in its queue while it is well placed there."""
    max_reprice_bps: float = Field(default=0.5, ge=0)
    """The largest step ahead of a queue that we stand at the end of."""
    queue_patience: float = Field(default=0.5, ge=0, lt=1)
    """Share of the queue before us up to which we are well placed."""
    review_ms: float = Field(default=1_000.0, gt=0)
    """How long a decision stands when no price, position or volatility moved; queues are looked at again then."""

    @model_validator(mode="before")
    @classmethod
    def _translate(cls, raw: object) -> object:
        """Read the names of other systems that mean the same. Raises ValueError if both names are given."""
        if not isinstance(raw, Mapping):
            return raw
        told = {key: value for key, value in raw.items() if key not in _HUMMINGBOT}
        for theirs, (ours, factor) in _HUMMINGBOT.items():
            if theirs in raw:
                if ours in told:
                    raise ValueError(f"{theirs!r} and {ours!r} are both given and mean the same; keep one")
                told[ours] = _decimal(theirs, raw[theirs]) * factor
        return told

    @model_validator(mode="after")
    def _check_relations(self) -> "MarketMakerConfig":
        """Raise ValueError where two settings contradict each other, or a model lacks one it needs."""
        needs = {"avellaneda_stoikov": ("gamma", "kappa", "horizon_s"), "glft": ("gamma", "kappa", "A")}
        missing = ", ".join(name for name in needs.get(self.spread_model, ()) if getattr(self, name) == 0.0)
        if missing:
            raise ValueError(
                f"spread_model {self.spread_model!r} needs {missing} above zero; "
                "mmbot.quoting.fit_intensity measures A and kappa"
            )
        if self.sigma != "signal" and not self.sigma > 0:
            raise ValueError(f"sigma is {self.sigma!r}; expected 'signal' or a price per √second above zero")
        ordered = (
            ("order_amount", "position_limit"),
            ("min_half_spread_bps", "max_half_spread_bps"),
            ("soft_volatility_bps", "hard_volatility_bps"),
            ("max_reprice_bps", "reprice_threshold_bps"),  # or a step ahead would be taken back at the next wake
            ("adaptive_min_bps", "adaptive_base_bps"),
            ("adaptive_base_bps", "adaptive_max_bps"),
        )
        for small, large in ordered:
            if getattr(self, small) > getattr(self, large):
                raise ValueError(
                    f"{small} is {getattr(self, small)} and {large} {getattr(self, large)}; expected {small} <= {large}"
                )
        if self.spread_model == "glft":
            inventory_states(float(self.position_limit), float(self.order_amount))
        return self


class Guard(Enum):
    """What the guards allow, and why."""

    CALM = "calm"
    SOFT = "soft: volatility"
    HARD = "hard: volatility"
    NO_MARKET = "out: no two-sided market"
    STALE = "out: the touch is stale"
    WARMING_UP = "out: volatility is not known yet"

    @property
    def quotes(self) -> bool:
        """Whether quotes may stand."""
        return self in (Guard.CALM, Guard.SOFT)


class Cycle(NamedTuple):
    """One decision and the numbers of every stage that led to it; prices and distances in price units."""

    now: int
    """When, ns since epoch."""
    guard: Guard
    """Stage 1."""
    volatility_bps: float
    """bps/√s; NaN while it is not known."""
    fair: float
    """Fair price; NaN when out, as are the distances."""
    half_spread: Depths
    """Stage 2: where a flat maker stands."""
    skewed: Depths
    """Stage 3: with the position in mind; +inf is a silent side."""
    nudged: Depths
    """Stage 4: with the queue in mind."""
    intent: Intent
    """Stage 5."""


class _Terms(NamedTuple):
    """The configuration in the grid of one instrument."""

    tick_size: float
    lot_size: float
    order_lots: int
    step_lots: int
    limit_lots: int
    break_even: float
    """What a maker fill costs, as a fraction of its price."""
    adaptive: AdaptiveSpread


class _Moment(NamedTuple):
    """What the models are told."""

    bid: int
    """Best bid of the market, ticks."""
    ask: int
    """Best ask, ticks."""
    fair: float
    sigma: float
    """Price per √second."""
    fee: float
    """Price per unit: fee − rebate + adverse markout."""
    position: float
    """Base units."""
    volatility_bps: float


_OUT = Depths(math.nan, math.nan)
_NOTHING = ladder([], [])


class MarketMaker(Strategy):
    """Makes a market in the first instrument of a run. It learns the instrument's terms at its first decision."""

    def __init__(self, config: MarketMakerConfig) -> None:
        self.config = config
        self.wake = Wake(every_ms=config.every_ms, fill=True)
        half_life, sample = config.volatility_half_life_ms, config.volatility_sample_ms
        self.signals = (SignalSpec.ewma_volatility(round(half_life * _NS_PER_MS), round(sample * _NS_PER_MS)),)
        self._terms: _Terms | None = None
        self._touch: tuple[int | None, int | None, int, int] | None = None
        self._touched_ns = 0
        self._halted_until_ns = 0
        self._review_ns = 0
        self._seen: tuple[object, ...] | None = None
        self._spread_state: SpreadState | None = None
        self._intent = _NOTHING

    def decide(self, view: View) -> Intent:
        """Return the quotes that shall stand: the last ones again while nothing that matters moved.

        Said again rather than left unsaid, because an order that was refused meanwhile has to be sent anew.
        """
        guard, volatility_bps = self._assess(view)
        touch = self._touch if self.config.fair == "microprice" else (view.bid, view.ask)
        seen = (guard, touch, view.position, _step(volatility_bps))
        if seen != self._seen or view.now >= self._review_ns:
            self._seen = seen
            self._review_ns = view.now + round(self.config.review_ms * _NS_PER_MS)
            self._intent = self._cycle(view, guard, volatility_bps).intent
        return self._intent

    def explain(self, view: View) -> Cycle:
        """Return one whole cycle with the numbers of every stage. The maker remembers it as it does a decision."""
        return self._cycle(view, *self._assess(view))

    def _cycle(self, view: View, guard: Guard, volatility_bps: float) -> Cycle:
        if not guard.quotes or view.bid is None or view.ask is None:
            return Cycle(view.now, guard, volatility_bps, math.nan, _OUT, _OUT, _OUT, _NOTHING)
        terms = self._terms or self._learn(view.instrument)
        moment = self._moment(terms, view.bid, view.ask, view, volatility_bps)
        flat = self._flat(terms, moment, view)
        half_spread = self._spread(moment, flat, guard)
        skewed = self._skew(terms, moment, flat, half_spread)
        nudged = self._nudge(terms, moment.fair, skewed, view)
        intent = self._quotes(terms, moment, nudged, guard, view.position)
        return Cycle(view.now, guard, volatility_bps, moment.fair, half_spread, skewed, nudged, intent)

    # 1 guards

    def _assess(self, view: View) -> tuple[Guard, float]:
        """Say what is allowed now, and return the volatility, bps/√s."""
        config, now = self.config, view.now
        touch = (view.bid, view.ask, view.bid_lots, view.ask_lots)
        if touch != self._touch:
            self._touch, self._touched_ns = touch, now
        volatility_bps = view.signal(0) / BPS
        if volatility_bps > config.hard_volatility_bps and now >= self._halted_until_ns:
            self._halted_until_ns = now + round(config.halt_ms * _NS_PER_MS)
        if view.bid is None or view.ask is None:
            return Guard.NO_MARKET, volatility_bps
        if now - self._touched_ns >= config.stale_ms * _NS_PER_MS:
            return Guard.STALE, volatility_bps
        if now < self._halted_until_ns or volatility_bps > config.hard_volatility_bps:
            return Guard.HARD, volatility_bps
        if math.isnan(volatility_bps):
            return Guard.WARMING_UP, volatility_bps
        return (Guard.SOFT if volatility_bps > config.soft_volatility_bps else Guard.CALM), volatility_bps

    # 2 spread

    def _flat(self, terms: _Terms, moment: _Moment, view: View) -> Depths:
        """Return the distances the model gives a maker who holds nothing."""
        config = self.config
        match config.spread_model:
            case "fixed":
                return Depths(config.bid_depth_bps * moment.fair * BPS, config.ask_depth_bps * moment.fair * BPS)
            case "adaptive":
                bids, asks = view.depth(_LEVELS_SEEN)
                thinner = min(sum(level.lots for level in bids), sum(level.lots for level in asks))
                measured = SpreadMeasurements(volatility_bps=moment.volatility_bps, depth_lots=thinner)
                state = self._spread_state or terms.adaptive.start()
                self._spread_state, spread_bps = terms.adaptive.update(state, view.now, measured)
                half = 0.5 * spread_bps * moment.fair * BPS
                return Depths(half, half)
            case "avellaneda_stoikov":
                return self._by_avellaneda_stoikov(moment, 0.0)
            case "glft":
                return self._by_glft(moment, 0.0)

    def _spread(self, moment: _Moment, flat: Depths, guard: Guard) -> Depths:
        """Return the distances of a flat maker: the model's, within bounds, above break-even, wider when unsafe."""
        config, bps = self.config, moment.fair * BPS
        least = max(config.min_half_spread_bps * bps, moment.fee)
        largest = max(config.max_half_spread_bps * bps, least)
        wider = config.soft_widen_bps * bps if guard is Guard.SOFT else 0.0
        return Depths(min(max(flat.bid, least), largest) + wider, min(max(flat.ask, least), largest) + wider)

    # 3 skew

    def _skew(self, terms: _Terms, moment: _Moment, flat: Depths, half_spread: Depths) -> Depths:
        """Return the distances with the position in mind: the model's move away from flat, on top of the spread."""
        config = self.config
        if config.spread_model in ("fixed", "adaptive"):
            limit = terms.limit_lots * terms.lot_size
            shift = inventory_skew(moment.position, position_limit=limit, max_skew=config.skew_bps * BPS * moment.fair)
            return _apart(Depths(half_spread.bid - shift, half_spread.ask + shift), terms.tick_size)
        model = self._by_glft if config.spread_model == "glft" else self._by_avellaneda_stoikov
        held = model(moment, moment.position)
        skewed = Depths(half_spread.bid + held.bid - flat.bid, half_spread.ask + held.ask - flat.ask)
        return _apart(skewed, terms.tick_size)

    def _by_avellaneda_stoikov(self, moment: _Moment, position: float) -> Depths:
        config = self.config
        quote = avellaneda_stoikov(
            0.0,
            position,
            gamma=config.gamma,
            sigma=moment.sigma,
            kappa=config.kappa,
            time_left=config.horizon_s,
            maker_fee=moment.fee,
        )
        return Depths(-quote.bid, quote.ask)

    def _by_glft(self, moment: _Moment, position: float) -> Depths:
        config = self.config
        table = glft_table(
            gamma=config.gamma,
            sigma=moment.sigma,
            A=config.A,
            kappa=config.kappa,
            position_limit=float(config.position_limit),
            order_size=float(config.order_amount),
            maker_fee=moment.fee,
        )
        return table.at(position)

    # 4 nudge

    def _nudge(self, terms: _Terms, fair: float, depths: Depths, view: View) -> Depths:
        """Return the distances with the queue in mind, for the first level of each side; the others follow it."""
        orders = view.orders()
        if not orders:
            return depths
        most = _LARGEST_NUDGE * (depths.bid + depths.ask)
        bid = self._in_queue(terms, fair, view, side="bid", depth=depths.bid, most=most, orders=orders)
        ask = self._in_queue(terms, fair, view, side="ask", depth=depths.ask, most=most, orders=orders)
        return Depths(bid, ask) if bid + ask >= terms.tick_size else depths

    def _in_queue(
        self,
        terms: _Terms,
        fair: float,
        view: View,
        *,
        side: Literal["bid", "ask"],
        depth: float,
        most: float,
        orders: list[WorkingOrder],
    ) -> float:
        """Stay where we are well placed, step ahead of a queue we stand at the end of, follow the model otherwise."""
        config, ours = self.config, "buy" if side == "bid" else "sell"
        orders = [order for order in orders if order.side == ours]
        if depth == math.inf or not orders:
            return depth
        outward = -1 if side == "bid" else 1
        mine = min(orders, key=lambda order: abs((order.tick * terms.tick_size - fair) * outward - depth))
        standing = (mine.tick * terms.tick_size - fair) * outward
        bps = fair * BPS
        # A tick is the least that can be told apart: rounding alone moves a quote by up to one.
        if abs(standing - depth) > max(config.reprice_threshold_bps * bps, terms.tick_size):
            return depth
        # NaN: not placed yet, so nothing is known against it. Below zero: trades have already reached into us.
        ahead = mine.ahead if mine.ahead > 0.0 else 0.0
        displayed = view.lots_at(ours, mine.tick)
        if ahead <= config.queue_patience * displayed:
            return standing
        level = WorkingLevel(price_bps=standing / bps * outward, ahead_lots=ahead, displayed_lots=displayed)
        move_bps = queue_aware_delta_bps(
            level, side, max_reprice_bps=config.max_reprice_bps, patience=config.queue_patience
        )
        return depth - min(abs(move_bps) * bps, most) if move_bps else standing

    # 5 quotes

    def _quotes(self, terms: _Terms, moment: _Moment, depths: Depths, guard: Guard, position: int) -> Intent:
        """Return whole ticks and lots: behind the touch, levels outward, as many as the position limit has room for."""
        config = self.config
        spacing = max(1, math.ceil(config.level_spacing_bps * BPS * moment.fair / terms.tick_size))
        prices = rungs(
            moment.fair,
            depths.bid,
            depths.ask,
            levels=config.levels,
            level_spacing=spacing,
            amount=terms.order_lots,
            tick_size=terms.tick_size,
            bid_touch=moment.bid if config.improve_touch else moment.ask - 1,
            ask_touch=moment.ask if config.improve_touch else moment.bid + 1,
        )
        share = config.soft_size if guard is Guard.SOFT else 1.0
        bids, asks = (
            _sized((rung.price_ticks for rung in side), terms, share=share, room=room)
            for side, room in (
                (prices.bids, terms.limit_lots - position),
                (prices.asks, terms.limit_lots + position),
            )
        )
        return ladder(bids, asks)

    # the instrument

    def _learn(self, instrument: "Instrument") -> _Terms:
        """Put the configuration on the instrument's grid. Raises ValueError for an amount that is off it."""
        config = self.config
        lots = {}
        for name in ("order_amount", "level_amount_step", "position_limit"):
            try:
                lots[name] = instrument.lots(f"{getattr(config, name):f}")
            except ValueError as error:
                raise ValueError(f"{name} of {instrument.symbol}: {error}") from error
        fee_bps = instrument.maker * 1e-8 / BPS if config.maker_fee_bps is None else config.maker_fee_bps
        self._terms = _Terms(
            tick_size=instrument.tick_size,
            lot_size=instrument.lot_size,
            order_lots=lots["order_amount"],
            step_lots=lots["level_amount_step"],
            limit_lots=lots["position_limit"],
            break_even=break_even_half_spread(maker_fee=fee_bps, adverse_markout=config.adverse_markout_bps) * BPS,
            adaptive=AdaptiveSpread(
                base_bps=config.adaptive_base_bps,
                min_bps=config.adaptive_min_bps,
                max_bps=config.adaptive_max_bps,
                depth_lots_full=config.adaptive_depth_full / instrument.lot_size,
            ),
        )
        return self._terms

    def _moment(self, terms: _Terms, bid: int, ask: int, view: View, volatility_bps: float) -> _Moment:
        config = self.config
        weight = 0.5 if config.fair == "mid" else 0.5 * (1.0 + view.imbalance)
        fair = (bid + (ask - bid) * weight) * terms.tick_size
        scale = _on_grid(fair, _PRICE_GRID)
        if config.sigma == "signal":
            sigma = _on_grid(max(volatility_bps, config.volatility_floor_bps), _VOLATILITY_GRID) * BPS * scale
        else:
            sigma = config.sigma
        position = view.position * terms.lot_size
        return _Moment(bid, ask, fair, sigma, terms.break_even * scale, position, volatility_bps)


def _apart(depths: Depths, least: float) -> Depths:
    """Move both sides out until they are `least` apart: bounds, and the exact table far from flat, let them meet."""
    missing = max(0.0, least - (depths.bid + depths.ask)) / 2
    return Depths(depths.bid + missing, depths.ask + missing)


def _decimal(name: str, value: object) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{name!r} is {value!r}; expected a number") from None


def _sized(prices: Iterable[int], terms: _Terms, *, share: float, room: int) -> list[tuple[int, int]]:
    """Give each price its lots, best first, until the room is used up; the last one is cut to fit."""
    sized = []
    for level, price in enumerate(prices):
        lots = min(max(1, int((terms.order_lots + level * terms.step_lots) * share)), room)
        if lots <= 0:
            break
        sized.append((price, lots))
        room -= lots
    return sized


def _step(volatility_bps: float) -> int | None:
    """Return the step of the volatility grid, None for no volatility; what moves within a step changes nothing."""
    return round(math.log(volatility_bps) / _VOLATILITY_GRID) if volatility_bps > 0.0 else None


def _on_grid(number: float, step: float) -> float:
    """Return the nearest power of e^step."""
    return math.exp(round(math.log(number) / step) * step)
