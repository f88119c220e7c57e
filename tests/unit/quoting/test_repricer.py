"""Queue-aware repricing: who may step ahead, how far, and what may never happen."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot.quoting import (
    BidAskInvariantError,
    RepricedLevel,
    WorkingLevel,
    check_bid_below_ask,
    compute_repriced_levels,
)
from mmbot.quoting.repricer import queue_aware_delta_bps

MARKET = {"fair_price": 30_000.0, "tick_size": 0.1, "max_reprice_bps": 0.5}

LEVELS = st.builds(
    WorkingLevel,
    price_bps=st.floats(1.0, 20.0),
    ahead_lots=st.floats(0.0, 100.0),
    displayed_lots=st.floats(0.0, 100.0),
)


def below(level: WorkingLevel) -> WorkingLevel:
    """Return the level on the other side of the fair price."""
    return WorkingLevel(price_bps=-level.price_bps, ahead_lots=level.ahead_lots, displayed_lots=level.displayed_lots)


@pytest.mark.parametrize(
    ("ahead", "displayed", "delta"),
    [
        (0.0, 10.0, 0.0),  # first in line
        (5.0, 10.0, 0.0),  # at the patience
        (7.5, 10.0, 0.25),
        (10.0, 10.0, 0.5),  # last in line
        (30.0, 10.0, 0.5),  # the queue shrank under a stale estimate
        (0.0, 0.0, 0.0),  # not placed yet
    ],
)
def test_the_back_of_the_queue_steps_ahead(ahead: float, displayed: float, delta: float) -> None:
    """A bid far back moves up and an ask down, in proportion; the front keeps its place."""
    level = WorkingLevel(price_bps=1.0, ahead_lots=ahead, displayed_lots=displayed)
    assert queue_aware_delta_bps(level, "bid", max_reprice_bps=0.5) == delta
    assert queue_aware_delta_bps(level, "ask", max_reprice_bps=0.5) == -delta


def test_bps_are_of_the_price() -> None:
    """Half a bp of 30,000 is 1.5: a bid at 29,994 steps to 29,995.5, not to 29,994.5."""
    repriced = compute_repriced_levels(
        [WorkingLevel(price_bps=-2.0, ahead_lots=10, displayed_lots=10)],
        [WorkingLevel(price_bps=2.0, ahead_lots=10, displayed_lots=10)],
        **MARKET,
    )
    assert repriced.bids == (RepricedLevel(299_955, -1.5),)
    assert repriced.asks == (RepricedLevel(300_045, 1.5),)


def test_bids_round_down_and_asks_up() -> None:
    """Offsets between two ticks land on the safe one."""
    repriced = compute_repriced_levels([WorkingLevel(price_bps=-2.01)], [WorkingLevel(price_bps=2.01)], **MARKET)
    assert (repriced.bids[0].price_ticks, repriced.asks[0].price_ticks) == (299_939, 300_061)


@given(ticks=st.integers(250_000, 299_999), fair=st.floats(30_000.0, 35_000.0))
def test_the_front_of_the_queue_is_never_given_up_to_rounding(ticks: int, fair: float) -> None:
    """An order that need not move keeps its very tick, whatever the fair price has become."""
    offset = (ticks * 0.1 / fair - 1.0) * 1e4
    level = WorkingLevel(price_bps=offset, ahead_lots=1, displayed_lots=100)
    repriced = compute_repriced_levels([level], [], fair_price=fair, tick_size=0.1, max_reprice_bps=0.5)
    assert repriced.bids[0].price_ticks == ticks


@settings(max_examples=1000)
@given(bids=st.lists(LEVELS, max_size=4), asks=st.lists(LEVELS, max_size=4), max_bps=st.floats(0.0, 0.9))
def test_bid_ask_invariant_always_holds(bids: list[WorkingLevel], asks: list[WorkingLevel], max_bps: float) -> None:
    """Quotes apart by more than the moves allowed to them never meet, for every bid and every ask."""
    repriced = compute_repriced_levels(
        [below(level) for level in bids], asks, fair_price=30_000.0, tick_size=0.1, max_reprice_bps=max_bps
    )
    assert all(bid.price_ticks < ask.price_ticks for bid in repriced.bids for ask in repriced.asks)


@given(level=LEVELS, max_bps=st.floats(0.0, 5.0), patience=st.floats(0.0, 0.99))
def test_no_move_exceeds_what_is_allowed(level: WorkingLevel, max_bps: float, patience: float) -> None:
    """A bid moves up, an ask down, by the allowed bps at most, and not by the rounding either."""
    bid = queue_aware_delta_bps(level, "bid", max_reprice_bps=max_bps, patience=patience)
    ask = queue_aware_delta_bps(level, "ask", max_reprice_bps=max_bps, patience=patience)
    assert 0.0 <= bid <= max_bps
    assert bid == -ask


@pytest.mark.parametrize(("bid", "ask"), [(1.0, 1.0), (2.0, 1.0), (-0.2, 0.2)])
def test_quotes_that_would_meet_are_never_returned(bid: float, ask: float) -> None:
    """Crossed, locked, or pushed together by their queues: an exception that no optimisation strips."""
    last_in_line = {"ahead_lots": 10.0, "displayed_lots": 10.0}
    with pytest.raises(BidAskInvariantError, match="Bid-ask invariant violated: our bid at 30"):
        compute_repriced_levels(
            [WorkingLevel(price_bps=bid, **last_in_line)], [WorkingLevel(price_bps=ask, **last_in_line)], **MARKET
        )


def test_the_check_compares_every_bid_with_every_ask() -> None:
    """One stray level is enough, wherever it stands; one empty side can not cross."""
    check_bid_below_ask([98, 99], [100, 101])
    check_bid_below_ask([], [100])
    check_bid_below_ask([99], [])
    with pytest.raises(BidAskInvariantError, match="our bid at 100 ticks is not below our ask at 100"):
        check_bid_below_ask([100], [100])
    with pytest.raises(BidAskInvariantError, match="our bid at 101 ticks is not below our ask at 100"):
        check_bid_below_ask([98, 101], [102, 100])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fair_price": math.nan}, "fair_price is nan"),
        ({"tick_size": 0.0}, "tick_size is 0.0"),
        ({"max_reprice_bps": -0.1}, "max_reprice_bps is -0.1"),
        ({"patience": 1.0}, r"patience is 1.0; expected within \[0, 1\)"),
    ],
)
def test_refuses_parameters_out_of_range(wrong: dict[str, float], message: str) -> None:
    """The refusal names the parameter and its value."""
    with pytest.raises(ValueError, match=message):
        compute_repriced_levels([WorkingLevel(price_bps=-1.0)], [], **(MARKET | wrong))


@pytest.mark.parametrize("name", ["price_bps", "ahead_lots", "displayed_lots"])
def test_refuses_a_level_that_is_not_known(name: str) -> None:
    """A NaN offset or queue never becomes a price."""
    with pytest.raises(ValueError, match=f"{name} is nan"):
        WorkingLevel(**({"price_bps": 1.0} | {name: math.nan}))
