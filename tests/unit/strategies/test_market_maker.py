"""The maker stage by stage, and what must hold whatever the market does."""

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmbot._core import Instrument
from mmbot.strategies import MarketMaker, MarketMakerConfig
from mmbot.strategies.market_maker import Guard
from mmbot.strategy import View

MS = 1_000_000
MODELS = {
    "fixed": {},
    "adaptive": {},
    "avellaneda_stoikov": {"gamma": 0.05, "kappa": 1.0, "horizon_s": 5.0},
    "glft": {"gamma": 0.05, "kappa": 1.0, "A": 0.5},
}


def configured(model: str = "fixed", **settings: object) -> MarketMakerConfig:
    """A maker of 10 lots with a limit of 100."""
    given = {"order_amount": "0.1", "position_limit": "1", "spread_model": model, **MODELS[model], **settings}
    return MarketMakerConfig.model_validate(given)


def prices(maker: MarketMaker, view: View, side: str) -> list[int]:
    """Ticks of one side, best first."""
    return [price for name, price, _ in maker.decide(view).quotes if name == side]


def sizes(maker: MarketMaker, view: View, side: str) -> list[int]:
    """Lots of one side, best first."""
    return [lots for name, _, lots in maker.decide(view).quotes if name == side]


# the configuration


def test_the_names_of_hummingbot_mean_the_same() -> None:
    """Percent become bps, seconds milliseconds; amounts stay."""
    config = MarketMakerConfig.model_validate(
        {
            "order_amount": 0.1,
            "position_limit": 1,
            "bid_spread": 0.03,
            "ask_spread": "0.05",
            "order_levels": 2,
            "order_level_spread": 0.01,
            "order_level_amount": 0.02,
            "order_refresh_time": 1.5,
        }
    )
    assert (config.bid_depth_bps, config.ask_depth_bps, config.level_spacing_bps) == (3.0, 5.0, 1.0)
    assert (config.levels, config.every_ms) == (2, 1500.0)
    assert (config.order_amount, config.level_amount_step) == (Decimal("0.1"), Decimal("0.02"))


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        ({"gama": 0.1}, "did you mean 'gamma'"),
        ({"bid_spread": 0.1, "bid_depth_bps": 10}, "keep one"),
        ({"bid_spread": "wide"}, "'bid_spread' is 'wide'; expected a number"),
        ({"inventory_skew_enabled": True}, "skew_bps shifts both prices"),
        ({"minimum_spread": 0.1}, "min_half_spread_bps"),
        ({"spread_model": "glft", "gamma": 0.1}, "needs kappa, A above zero"),
        ({"spread_model": "avellaneda_stoikov"}, "needs gamma, kappa, horizon_s above zero"),
        ({"spread_model": "glft", "gamma": 1, "kappa": 1, "A": 1, "order_amount": "0.3"}, "whole number of orders"),
        ({"sigma": -1.0}, "sigma is -1.0"),
        ({"order_amount": 2}, "order_amount <= position_limit"),
        ({"soft_volatility_bps": 30}, "soft_volatility_bps <= hard_volatility_bps"),
        ({"max_reprice_bps": 2}, "max_reprice_bps <= reprice_threshold_bps"),
        ({"adaptive_min_bps": 2}, "adaptive_min_bps <= adaptive_base_bps"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_answered(settings: dict[str, object], answer: str) -> None:
    """Each slip or contradiction has an answer that says what to write."""
    with pytest.raises(ValidationError, match=answer):
        MarketMakerConfig.model_validate({"order_amount": "0.1", "position_limit": "1", **settings})


def test_an_amount_off_the_grid_is_refused_with_its_name(view: View) -> None:
    """The instrument's lot is 0.01."""
    with pytest.raises(ValueError, match="order_amount of BTCUSDT"):
        MarketMaker(configured(order_amount="0.105")).decide(view)


# 1 guards


def test_the_hard_guard_holds_for_its_time_and_looks_again(view: View) -> None:
    """Two seconds out after one wild moment, then quotes again; wild still, and the halt starts anew."""
    maker = MarketMaker(configured())
    start = view.now
    view._core.volatility = 30e-4
    assert maker.explain(view).guard is Guard.HARD
    view._core.volatility = 1e-4
    view.now = start + 2_000 * MS - 1
    assert maker.explain(view).guard is Guard.HARD
    assert maker.decide(view).quotes == []
    view.now = start + 2_000 * MS
    assert maker.explain(view).guard is Guard.CALM
    view._core.volatility = 30e-4
    assert maker.explain(view).guard is Guard.HARD


@pytest.mark.parametrize(("bps", "guard"), [(15, Guard.CALM), (15.1, Guard.SOFT), (25, Guard.SOFT), (25.1, Guard.HARD)])
def test_volatility_thresholds(bps: float, guard: Guard, view: View) -> None:
    """Soft above 15 bps per √second, hard above 25."""
    view._core.volatility = bps * 1e-4
    assert MarketMaker(configured()).explain(view).guard is guard


def test_a_touch_that_does_not_move_is_not_trusted(view: View) -> None:
    """After ten seconds without news the quotes leave; one lot of news brings them back."""
    maker = MarketMaker(configured())
    assert len(maker.decide(view).quotes) == 2
    view.now += 10_000 * MS - 1
    assert len(maker.decide(view).quotes) == 2
    view.now += 1
    assert maker.decide(view).quotes == []
    view._core.at_touch = (11, 10)
    assert len(maker.decide(view).quotes) == 2


# 2 spread


def test_a_flat_maker_earns_its_costs(view: View, instrument: Callable[[int], Instrument]) -> None:
    """With a fee of 2 bps and a markout of 1, no side stands nearer than 3 bps; a rebate pays for it."""
    view.instrument = instrument(20_000)
    told = {"bid_depth_bps": 1, "ask_depth_bps": 1, "adverse_markout_bps": 1}
    assert prices(MarketMaker(configured(**told)), view, "buy") == [99_970]
    assert prices(MarketMaker(configured(**told, maker_fee_bps=-0.5)), view, "buy") == [99_990]


def test_half_spreads_stay_within_bounds(view: View) -> None:
    """The bounds are bps of the fair price."""
    near = MarketMaker(configured(bid_depth_bps=0, ask_depth_bps=0, min_half_spread_bps=1)).explain(view)
    far = MarketMaker(configured(bid_depth_bps=50, ask_depth_bps=50, max_half_spread_bps=4)).explain(view)
    assert near.half_spread == pytest.approx((1.0, 1.0))
    assert far.half_spread == pytest.approx((4.0, 4.0))


def test_the_adaptive_spread_walks_towards_a_wild_market(view: View) -> None:
    """0.2 bps a step, and never twice within 200 ms."""
    maker = MarketMaker(configured("adaptive"))
    view._core.volatility = 10e-4
    widths = []
    for _ in range(4):
        half = maker.explain(view).half_spread
        widths.append(round(half.bid + half.ask, 9))
        view.now += 100 * MS
    assert widths == [1.2, 1.2, 1.4, 1.4]


def test_fair_price_leans_to_the_thin_side(view: View) -> None:
    """With three times as much on the bid, the microprice is a quarter of the spread above the middle."""
    view._core.at_touch = (30, 10)
    assert MarketMaker(configured(fair="mid")).explain(view).fair == pytest.approx(10_000.0)
    assert MarketMaker(configured(fair="microprice")).explain(view).fair == pytest.approx(10_002.5)


def test_a_given_sigma_replaces_the_measured_one(view: View) -> None:
    """The model widens by its own sigma, whatever is measured."""
    narrow = MarketMaker(configured("avellaneda_stoikov", sigma=1.0)).explain(view)
    wide = MarketMaker(configured("avellaneda_stoikov", sigma=3.0)).explain(view)
    assert wide.half_spread.bid - narrow.half_spread.bid == pytest.approx(0.5 * 0.05 * (9 - 1) * 5)


# 3 skew


@pytest.mark.parametrize("model", MODELS)
def test_long_inventory_lowers_both_quotes(model: str, view: View) -> None:
    """In every model, and the other way when short."""
    quoted = {}
    for position in (-60, 0, 60):
        view.position = position
        maker = MarketMaker(configured(model))
        quoted[position] = (prices(maker, view, "buy")[0], prices(maker, view, "sell")[0])
    assert quoted[60][0] < quoted[0][0] < quoted[-60][0]
    assert quoted[60][1] < quoted[0][1] < quoted[-60][1]


# 4 nudge


def test_a_well_placed_order_keeps_its_place(view: View) -> None:
    """The market moved by less than the threshold, and a third of the queue is before us: stay."""
    maker = MarketMaker(configured())
    assert prices(maker, view, "buy") == [99_980]
    view._core.own = [(1, "buy", 99_980, 10, "live", 33.0)]
    view.ask += 8
    assert prices(maker, view, "buy") == [99_980]
    assert prices(maker, view, "sell") == [100_025]


def test_an_order_that_the_market_left_follows(view: View) -> None:
    """Beyond the threshold the place is worth nothing."""
    maker = MarketMaker(configured())
    view._core.own = [(1, "buy", 99_980, 10, "live", 0.0)]
    view.ask += 12
    assert prices(maker, view, "buy") == [99_985]
    view.ask += 2
    assert prices(maker, view, "buy") == [99_986]


def test_at_the_end_of_the_queue_we_step_ahead_of_it(view: View) -> None:
    """Behind all of 100 lots: half a bp nearer; then, first in line there, we stay."""
    maker = MarketMaker(configured())
    view._core.own = [(1, "buy", 99_980, 10, "live", 100.0)]
    assert prices(maker, view, "buy") == [99_985]
    view._core.own = [(2, "buy", 99_985, 10, "live", 0.0)]
    assert maker.explain(view).intent.quotes[0] == ("buy", 99_985, 10)


def test_an_order_on_its_way_is_not_chased(view: View) -> None:
    """Its queue is not known yet, and nothing is known against it."""
    view._core.own = [(1, "sell", 100_022, 10, "sent", math.nan)]
    assert prices(MarketMaker(configured()), view, "sell") == [100_022]


# 5 quotes


def test_levels_grow_and_end_where_the_limit_is(view: View) -> None:
    """10, 15 and 20 lots a level outwards; with room for 30 the third is cut to 5, and with none the side is silent."""
    maker = MarketMaker(configured(levels=3, level_amount_step="0.05"))
    assert sizes(maker, view, "buy") == [10, 15, 20]
    assert prices(maker, view, "buy") == [99_980, 99_970, 99_960]
    view.position = 70
    assert sizes(maker, view, "buy") == [10, 15, 5]
    view.position = 100
    assert sizes(maker, view, "buy") == []
    assert sizes(maker, view, "sell") == [10, 15, 20]


def test_quotes_join_the_touch_when_they_may_not_improve_it(view: View) -> None:
    """The touch is five bps away, the model two."""
    maker = MarketMaker(configured(improve_touch=False))
    assert (prices(maker, view, "buy"), prices(maker, view, "sell")) == ([99_950], [100_050])


# the whole


def test_nothing_is_decided_again_while_nothing_moved(view: View) -> None:
    """The same intent is said again until the review; a position ends it at once."""
    maker = MarketMaker(configured())
    said = maker.decide(view)
    view.now += 999 * MS
    assert maker.decide(view) is said
    view.now += 1 * MS
    again = maker.decide(view)
    assert again is not said
    assert again == said
    view.position = 10
    assert maker.decide(view) != said


def test_a_cycle_shows_its_stages_in_order(view: View) -> None:
    """Guard, fair, spread, skew, nudge, quotes: each stage starts from the one before."""
    view.position = 50
    view._core.own = [(1, "sell", 100_015, 10, "live", 100.0)]
    cycle = MarketMaker(configured()).explain(view)
    assert cycle._fields == ("now", "guard", "volatility_bps", "fair", "half_spread", "skewed", "nudged", "intent")
    assert (cycle.guard, cycle.volatility_bps, cycle.fair) == (Guard.CALM, pytest.approx(1.0), pytest.approx(10_000.0))
    assert cycle.half_spread == pytest.approx((2.0, 2.0))
    assert cycle.skewed == pytest.approx((2.5, 1.5))
    assert cycle.nudged == pytest.approx((2.5, 1.0))
    assert cycle.intent.quotes == [("buy", 99_975, 10), ("sell", 100_010, 10)]


def test_two_makers_decide_the_same(view: View) -> None:
    """Nothing but the window decides."""
    makers = [MarketMaker(configured("adaptive")) for _ in range(2)]
    for step in range(50):
        view.now += 300 * MS
        view.bid = 99_950 + step % 7
        view.position = step - 25
        assert makers[0].decide(view) == makers[1].decide(view)


@st.composite
def situations(draw: st.DrawFn) -> dict[str, object]:
    """A market, a position, own orders and a configuration, from plausible to absurd."""
    bid = draw(st.integers(1, 200_000))
    ask = bid + draw(st.integers(1, 500))
    near = st.integers(max(1, bid - 600), ask + 600)
    orders = st.tuples(
        st.just(1),
        st.sampled_from(["buy", "sell"]),
        near,
        st.just(10),
        st.just("live"),
        st.floats(-20, 200) | st.just(math.nan),
    )
    model = draw(st.sampled_from(sorted(MODELS)))
    bps = st.floats(0, 20)
    return {
        "touch": (bid, ask),
        "at_touch": (draw(st.integers(1, 50)), draw(st.integers(1, 50))),
        "position": draw(st.integers(-150, 150)),
        "volatility": draw(st.floats(0, 24)) * 1e-4,
        "own": draw(st.lists(orders, max_size=4)),
        "config": configured(
            model,
            fair=draw(st.sampled_from(["mid", "microprice"])),
            bid_depth_bps=draw(bps),
            ask_depth_bps=draw(bps),
            skew_bps=draw(bps),
            maker_fee_bps=draw(st.floats(-5, 5)),
            max_half_spread_bps=draw(st.floats(0.01, 20)),
            reprice_threshold_bps=draw(st.floats(0.5, 20)),
            levels=draw(st.integers(1, 4)),
            improve_touch=draw(st.booleans()),
        ),
    }


@given(situation=situations())
@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_quotes_never_cross_nor_pass_the_limit(situation: dict, view: View) -> None:
    """Bids below asks, bids below the market's ask, asks above its bid, and never more than the limit has room for."""
    window = View(replace(view._core), 0, view.instrument, [])
    window.now = view.now
    window.bid, window.ask = situation["touch"]
    window.position = situation["position"]
    core = window._core
    core.volatility, core.own, core.at_touch = situation["volatility"], situation["own"], situation["at_touch"]
    quotes = MarketMaker(situation["config"]).decide(window).quotes
    bids = [(price, lots) for side, price, lots in quotes if side == "buy"]
    asks = [(price, lots) for side, price, lots in quotes if side == "sell"]
    assert all(bid < window.ask for bid, _ in bids)
    assert all(ask > window.bid for ask, _ in asks)
    assert all(bid < ask for bid, _ in bids for ask, _ in asks)
    assert sum(lots for _, lots in bids) <= max(0, 100 - window.position)
    assert sum(lots for _, lots in asks) <= max(0, 100 + window.position)
