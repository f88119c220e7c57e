"""mmbot.sim.QueueTracker: fills, defaults, refusals, and properties over random flows."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.sim import QueueTracker

MODELS = ["risk_averse", "power", "power2", "power3", "log", "log2", "fifo"]
FLOWS = st.lists(st.tuples(st.sampled_from(["trade", "join", "cancel"]), st.floats(0.01, 20)), max_size=40)


def walk(model: str, ahead: float, flow: list[tuple[str, float]]) -> list[float]:
    """Places in line over a flow in which nobody trades or cancels more than is displayed."""
    level, tracker, places = ahead, QueueTracker(model, side="sell", ahead=ahead), [ahead]
    for kind, size in flow:
        qty = size if kind == "join" else min(size, level)
        level += qty if kind == "join" else -qty
        if kind == "trade" and qty > 0:
            tracker.on_trade(qty)
        tracker.on_depth(max(level, 0.0))
        places.append(tracker.ahead)
    return places


@given(model=st.sampled_from(MODELS), ahead=st.floats(0, 50), flow=FLOWS)
def test_nobody_overtakes_us_and_nobody_is_later_than_the_pessimist(
    model: str, ahead: float, flow: list[tuple[str, float]]
) -> None:
    """The place never grows, and the risk-averse law is the latest of all."""
    places, latest = walk(model, ahead, flow), walk("risk_averse", ahead, flow)
    assert all(later <= earlier + 1e-6 for earlier, later in pairwise(places))
    assert all(place <= late + 1e-6 for place, late in zip(places, latest, strict=True))


def test_a_fraction_past_our_place_counts() -> None:
    """Quantities are real: 0.5 past our place fills 0.5, and no more than we brought."""
    tracker = QueueTracker("risk_averse", side="buy", ahead=1.5, qty=2)
    tracker.on_trade(2.0)
    assert (tracker.filled, tracker.filled_qty) == (True, 0.5)
    tracker.on_trade(100)
    assert tracker.filled_qty == 2.0


def test_rounding_is_no_fill() -> None:
    """Three trades of 0.1 behind 0.3 end at our place: the float's last bit must not fill us."""
    tracker = QueueTracker("risk_averse", side="buy", ahead=0.3)
    for _ in range(3):
        tracker.on_trade(0.1)
    assert tracker.ahead == pytest.approx(0)
    assert not tracker.filled


@pytest.mark.parametrize(("model", "default"), [("power", 2), ("power2", 2), ("power3", 3)])
def test_default_exponents_are_documented_ones(model: str, default: float) -> None:
    """Leaving n out is the same as writing the default; another n is another law."""
    flow = [("join", 6.0), ("cancel", 4.0)]

    def place(n: float | None) -> float:
        tracker = QueueTracker(model, side="buy", ahead=10, n=n)
        for level in (16, 12):
            tracker.on_depth(level)
        return tracker.ahead

    assert place(None) == place(default) == walk(model, 10, flow)[-1]
    assert place(None) != place(1)


def test_side_is_named_either_way() -> None:
    """+1 and "buy" are one side, -1 and "sell" the other."""
    assert [QueueTracker("log", side=side, ahead=0).side for side in ("buy", 1, "sell", -1)] == [
        "buy",
        "buy",
        "sell",
        "sell",
    ]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"model": "hopeful"}, 'unknown queue model "hopeful"'),
    ({"side": "up"}, 'side must be "buy", "sell", \\+1 or -1, got \'up\''),
    ({"side": 0}, "side must be"),
    ({"ahead": -1}, "ahead must be a number at least 0"),
    ({"ahead": float("nan")}, "ahead must be a number at least 0 .* got nan"),
    ({"ahead": float("inf")}, "ahead must be"),
    ({"ahead": 1e16}, "at most 1e15"),
    ({"ahead": "ten"}, "got 'ten'"),
    ({"qty": 0}, "qty must be a number above 0"),
    ({"qty": float("nan")}, "qty must be"),
    ({"n": 0}, "exponent n must be above 0"),
    ({"n": float("nan")}, "exponent n"),
    ({"n": 99}, "at most 16"),
    ({"model": "log", "n": 2}, '"log" has no exponent'),
]


@pytest.mark.parametrize(("terms", "message"), BAD, ids=[str(terms) for terms, _ in BAD])
def test_senseless_terms_are_refused_with_a_reason(terms: dict[str, Any], message: str) -> None:
    """Each wrong term says what was expected and what it got."""
    sound = {"model": "power", "side": "buy", "ahead": 10, "qty": 1}
    with pytest.raises(ValueError, match=message):
        QueueTracker(**(sound | terms))


@pytest.mark.parametrize("qty", [float("nan"), float("inf"), -1.0, 1e300])
def test_senseless_events_are_refused_and_change_nothing(qty: float) -> None:
    """A bad trade, level or cancel is a ValueError, and the place stays."""
    tracker = QueueTracker("fifo", side="buy", ahead=10)
    for event in (tracker.on_trade, tracker.on_depth, lambda bad: tracker.on_cancel(bad, ahead=True)):
        with pytest.raises(ValueError, match="must be a number"):
            event(qty)
    assert (tracker.ahead, tracker.filled) == (10, False)


def test_only_fifo_is_told_of_cancels() -> None:
    """The probabilistic laws infer cancels; telling them twice would count twice."""
    with pytest.raises(ValueError, match='on_cancel needs model "fifo"'):
        QueueTracker("power", side="buy", ahead=10).on_cancel(1, ahead=True)
