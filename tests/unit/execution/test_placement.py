"""A single order made fit to rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.execution import Denial, MakerPlacement, Placement, PlacementRules

MAKER = MakerPlacement()
MARKET = PlacementRules(min_lots=10, bid_tick=100_000, ask_tick=100_001)


@pytest.mark.parametrize(
    ("side", "price", "lots", "placed"),
    [
        ("buy", 99_990.7, 20.9, Placement(99_990, 20)),
        ("sell", 100_010.2, 20.9, Placement(100_011, 20)),
        ("buy", 100_000.0, 20, Placement(100_000, 20)),
        ("buy", 99_990.0, 4, Placement(99_990, 11)),
        ("buy", 99_990.0, 9.999, Placement(99_990, 11)),
        ("buy", 99_990.0, 10, Placement(99_990, 10)),
        ("buy", 100_001.0, 20, Placement(99_985, 20)),
        ("sell", 99_000.0, 20, Placement(100_015, 20)),
        ("buy", 1e18, 20, Placement(99_985, 20)),
    ],
    ids=["bid down", "ask up", "at the touch", "padded", "padded by a hair", "least", "bid", "ask", "far"],
)
def test_a_wish_is_made_fit(side: str, price: float, lots: float, placed: Placement) -> None:
    """Rounded to the safe side, padded to the venue's least, put 1.5 bps behind a market it would meet."""
    made, ruling = MAKER.fit(side, price, lots, MARKET)
    assert ruling.allowed
    assert made == placed


@pytest.mark.parametrize(
    ("maker", "rules", "lots", "why"),
    [
        (MAKER, MARKET, 0, Denial.MIN_QTY),
        (MAKER, MARKET, -3, Denial.MIN_QTY),
        (MakerPlacement(adjust=False), MARKET, 20, Denial.CROSS_PRICE),
        (MAKER, PlacementRules(ask_tick=1), 20, Denial.CROSS_PRICE),
        (MAKER, PlacementRules(min_lots=10, ask_tick=100_001, room_lots=9), 20, Denial.RISK_LIMIT),
        (MAKER, PlacementRules(room_lots=0), 20, Denial.RISK_LIMIT),
    ],
)
def test_what_cannot_be_made_fit_is_blocked(
    maker: MakerPlacement, rules: PlacementRules, lots: float, why: Denial
) -> None:
    """With one of three reasons, which are counted, and a sentence."""
    made, ruling = maker.fit("buy", 100_001.0, lots, rules)
    assert made is None
    assert ruling.denial is why
    assert "expected" in ruling.said or "reduce" in ruling.said


def test_the_room_that_is_left_is_used() -> None:
    """A wish is cut to what the limits leave, as long as the venue takes it."""
    rules = PlacementRules(min_lots=10, ask_tick=100_001, room_lots=12)
    assert MAKER.fit("buy", 99_000.0, 50, rules)[0] == Placement(99_000, 12)
    assert MAKER.fit("buy", 99_000.0, 3, rules)[0] == Placement(99_000, 11)


@given(
    st.sampled_from(["buy", "sell"]),
    st.floats(-10, 1e7),
    st.floats(-1, 1e6),
    st.integers(1, 1000),
    st.integers(1, 10**6),
    st.integers(1, 50),
    st.one_of(st.none(), st.integers(0, 2000)),
)
def test_whatever_is_placed_rests_and_fits(
    side: str, price: float, lots: float, least: int, bid: int, spread: int, room: int | None
) -> None:
    """It never meets the market, never is below the venue's least and never beyond the room."""
    rules = PlacementRules(min_lots=least, bid_tick=bid, ask_tick=bid + spread, room_lots=room)
    made, ruling = MAKER.fit(side, price, lots, rules)
    assert (made is None) is not ruling.allowed
    if made is not None:
        assert made.tick > 0
        assert made.tick < bid + spread if side == "buy" else made.tick > bid
        assert made.lots >= least
        assert room is None or made.lots <= room


@pytest.mark.parametrize(("side", "price"), [("bid", 1.0), ("buy", float("nan")), ("sell", float("inf"))])
def test_nonsense_is_the_callers_mistake(side: str, price: float) -> None:
    """No side, no number."""
    with pytest.raises(ValueError, match="expected"):
        MAKER.fit(side, price, 1, MARKET)
